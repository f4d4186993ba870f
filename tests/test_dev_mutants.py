"""Mutants

Written by nbdev-export from the check cells of nbs/dev/08_mutants.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import ast
import gc
import os
import tempfile
import warnings
from pathlib import Path

import pandas as pd
import pytest
from nbdev.config import get_config

from mtl_explain.dev.mutants import (
    copy_project, fault_sites, is_look, killed_table, make_fault, make_mutant, sample_mutants, try_mutant,
)


@pytest.fixture(scope='module')
def tried():
    "The tests of a made-up module, and what they say to one of its mutants."
    def tried(fault):
        "What the tests of a made-up module say to one of its mutants."
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            (home / "mtl_explain").mkdir()
            (home / "tests").mkdir()
            (home / "mtl_explain" / "__init__.py").touch()
            (home / "mtl_explain" / "room.py").write_text(room_code)
            check = "from mtl_explain.room import f\ndef test_f(): assert f(2) == 3\n"
            (home / "tests" / "test_room.py").write_text(check)
            found = {m.after: m for m in sample_mutants({"room": room_code}, 9)}
            return try_mutant(home, found[fault], ["test_room.py"])
    room_code = "def f(x):\n    return x + 1 if x > 0 else -x\n"
    return tried


def test_one_fault_a_node_by_hand():
    "Faults."
    def faulty(code):
        node = ast.parse(code, mode="eval").body
        return make_fault(node), ast.unparse(node)


    assert faulty("a < b") == ("comparison", "a <= b")
    assert faulty("a - b") == ("arithmetic", "a + b")
    assert faulty("a and b") == ("boolean", "a or b")
    assert faulty("not a") == ("not", "not not a")
    assert faulty("-a") == ("sign", "+a")
    assert faulty("True") == ("constant", "False")
    assert faulty("0.5") == ("constant", "1.5")
    assert faulty("f(a, b, c)") == ("arguments", "f(b, a, c)")
    for code in ("'text'", "f(a)", "f(a, a)", "f(*a, b)", "None", "a"):
        assert faulty(code)[0] == ""


def test_all_mutants_of_three_lines():
    "A mutant."
    code = "def f(x: int = 1) -> bool | None:\n    'A text.'\n    return x > 0 and not x == 3\n"
    mutants = [make_mutant("room", code, site) for site in fault_sites(code)]
    changes = {(m.kind, m.after) for m in mutants}
    assert changes == {
        ("constant", "2"),
        ("boolean", "x > 0 or not x == 3"),
        ("comparison", "x >= 0"),
        ("not", "not not x == 3"),
        ("comparison", "x != 3"),
        ("constant", "1"),
        ("constant", "4"),
    }
    assert len({m.code for m in mutants}) == 7
    assert sample_mutants({"room": code}, 3, seed=1) == sample_mutants({"room": code}, 3, seed=1)
    assert len(sample_mutants({"room": code}, 99)) == 7
    assert {m.function for m in mutants} == {"f"}
    nested = """
a = 1
def plot_f():
    def g():
        return 2
class C:
    def h(self):
        return 3
"""
    found = [make_mutant("room", nested, site) for site in fault_sites(nested)]
    assert {m.before: m.function for m in found} == {"1": "", "2": "plot_f", "3": "h"}


def test_a_fault_is_noticed_a_change_that_nobody_asks_about_is_not(tried):
    "Do its tests notice?"
    assert tried("x - 1") == "test_f"
    assert tried("x >= 0") == ""


def test_garbage_of_the_process_that_asks_and_its_filters_of_warnings_are(tried):
    "Do its tests notice?"
    # garbage of the process that asks, and its filters of warnings, are nothing to the tests
    class Garbage:
        def __init__(self):
            self.itself = self
            self.process = os.getpid()

        def __del__(self):
            if os.getpid() != self.process:
                raise RuntimeError("collected in another process")


    gc.disable()
    try:
        Garbage()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert tried("x - 1") == "test_f"
            assert tried("x >= 0") == ""
    finally:
        gc.enable()


def test_what_the_project_says_of_warnings_holds_for_the_copy():
    "Do its tests notice?"
    with tempfile.TemporaryDirectory() as folder:
        copied = copy_project(get_config().config_path, Path(folder) / "copy")
        assert 'filterwarnings = [\n    "error"' in (copied / "pyproject.toml").read_text()
        assert (copied / "mtl_explain" / "trace.py").exists()
        assert (copied / "tests" / "test_trace.py").exists()
        assert not list(copied.rglob("*.pyc"))


def test_counted_by_module():
    "Do its tests notice?"
    rows = dict(module=["a", "b", "b"], **{"noticed by": ["test_x", "", "too slow"]})
    table = killed_table(pd.DataFrame(rows))
    assert table.killed.to_dict() == {"a": 1, "b": 1, "in all": 2}
    assert table.sampled.to_dict() == {"a": 1, "b": 2, "in all": 3}

    # what is looks: a constant, in a function that draws
    names = ["plot_skill", "_plot_cases", "plot_skill", "skill", "explore_plot_", ""]
    kinds = ["constant", "constant", "sign", "constant", "constant", "constant"]
    looks = is_look(pd.DataFrame(dict(function=names, kind=kinds)))
    assert looks.tolist() == [True, True, False, False, False, False]
