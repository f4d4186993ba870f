"""Tests from notebooks

Written by nbdev-export from the check cells of nbs/dev/02_notebook_tests.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mtl_explain.dev.code import Import
from mtl_explain.dev.notebook_tests import (
    Cell, NotebookTestError, Piece, check_name, check_python, clashes, export_tests, function, kind_of,
    locate, main, names_of_tests, notebook_tests, read_notebook, read_plan, role, used_pieces,
)


# constants, helpers and generators are told from fixtures
def kind_of_code(code):
    return kind_of(Piece(code))


# names from comments
def name_of(*comment):
    return check_name(Piece("assert x", list(comment)))


# a project in a folder
def project(folder, nb):
    "A project with one notebook; returns its path."
    (Path(folder) / "nbs").mkdir()
    (Path(folder) / "pyproject.toml").write_text(
        '[project]\nname = "pkg"\n[tool.nbdev]\nlib_path = "pkg"\n'
    )
    path = Path(folder) / "nbs" / "00_room.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, **nb}))
    return path


@pytest.fixture(scope='module')
def notebook_and_small():
    "A small notebook to write tests from."
    def notebook(*cells):
        "Cells in order; those that begin with `## ` or `# Title` are markdown."
        kinds = ["markdown" if re.match("## |# Title", c) else "code" for c in cells]
        return {"cells": [{"cell_type": k, "source": c} for k, c in zip(kinds, cells, strict=True)]}
    small = notebook(
        "# Title\n> A description",
        "#| default_exp room",
        "import numpy as np\nimport pandas as pd\nfrom os import sep, path",
        "#| export\ndef double(x): return 2 * x\n\nLIMIT = 3",
        "## By hand",
        "# three pixels\nx = np.array([1, 2, 3])\nspare = 1",
        "# twice as much\nassert (double(x) == [2, 4, 6]).all()",
        "double(x)",
        "#| hide\n# nothing at all\nassert double(0) == 0 < LIMIT",
    )
    return notebook, small


@pytest.fixture(scope='module')
def rich(notebook_and_small):
    "A notebook with every kind of set-up."
    notebook, small = notebook_and_small
    return notebook(
        "# Rich",
        "#| default_exp a.b",
        "import numpy as np",
        "## Part",
        "# sizes\nN = 3\nM = 4",
        "# a helper\ndef twice(x):\n    return 2 * x",
        "# randomness\nrng = np.random.default_rng(0)",
        "# a pair\na, b = np.ones(N), np.zeros(M)\na",
        "# their sum\ntotal = a.sum() + b.sum()",
        "# a pair and its sum: hand-counted\nassert total == N and len(b) == M",
        "# noise is small\nassert twice(rng.normal(size=N)).max() < 100",
    )


@pytest.fixture(scope='module')
def complaint(notebook_and_small):
    "Mistakes in a notebook."
    notebook, small = notebook_and_small
    def complaint(*cells):
        with pytest.raises(NotebookTestError) as error:
            notebook_tests(notebook("#| default_exp m", *cells), "n.ipynb")
        return str(error.value)
    return complaint


def test_a_cell_is_called_by_its_first_comment():
    "What a cell is for."
    cell = Cell("# three pixels by hand\n# (see the sketch)\nx = 1")
    assert (cell.comment, cell.body) == (["three pixels by hand", "(see the sketch)"], "x = 1")
    assert Cell("x = 1  # not a title").comment == []
    assert Cell("# nothing").body == ""


def test_what_a_cell_is_for():
    "What a cell is for."
    assert role(Cell("x = 1", {"export": ""})) == "export"
    assert role(Cell("import os\nfrom re import sub")) == "import"
    assert role(Cell("x = 1\nassert x")) == "check"
    assert role(Cell("np.testing.assert_allclose(a, b)")) == "check"
    assert role(Cell("with pytest.raises(OSError): f()")) == "check"
    assert role(Cell("x = 1")) == "setup"
    assert role(Cell("def helper(x): assert x")) == "setup"
    assert role(Cell("samples['x'] = 1")) == "setup"
    assert role(Cell("plot_it()")) == "show"
    assert role(Cell("assert x", {"eval": "false"})) == "show"


def test_kinds_of_set_up():
    "Set-up cells come apart into fixtures."
    assert kind_of_code("names = ['a', 'b']") == "constant"
    assert kind_of_code("def f(x): return x + 1") == "helper"
    assert kind_of_code("rng = np.random.default_rng(0)") == "generator"
    assert kind_of_code("x = np.ones(3)") == kind_of_code("a = 1\nb = a") == "fixture"


def test_star_imports_are_looked_into_for_names_that_nothing_else_makes():
    "From cells to a plan."
    known = {"json.*": Import("json", "*"), "x": Import("os", "x")}
    assert locate("dumps", known) == Import("json", "dumps")
    assert locate("x", known) == Import("os", "x")
    assert locate("nowhere", known) is None


def test_the_plan_of_the_small_notebook(notebook_and_small):
    "From cells to a plan."
    notebook, small = notebook_and_small
    plan = read_plan(small)
    assert (plan.module, plan.title) == ("room", "Title")
    assert [c.comment for c in plan.checks] == [["twice as much"], ["nothing at all"]]
    assert plan.checks[0].needs == {
        "double": Import("mtl_explain.room", "double"),
        "x": plan.known["x"],
    }
    assert plan.known["np"] == Import("numpy", "", "np")
    assert plan.checks[0].section == "By hand"


def test_a_short_comment_is_the_name_a_long_one_gives_it_and_stays():
    "Names for tests."
    assert name_of("Chan's formula, by hand") == ("test_chans_formula_by_hand", [])
    assert name_of("three pixels: covariance 2, so r = 1") == (
        "test_three_pixels",
        ["three pixels: covariance 2, so r = 1"],
    )
    assert name_of("two lines", "of comment")[0] == "test_two_lines"
    assert name_of("e.g.: nothing")[0] == "test_e_g_nothing"
    assert len(name_of("word " * 40)[0]) <= 75
    assert check_name(Piece("assert x", section="By `hand`"))[0] == "test_by_hand"


def test_a_test_as_text():
    "Writing it down."
    x = Piece("x = f()", wanted={"x": None})
    rng = Piece("rng = random.Random(0)", kind="generator")
    check = Piece("assert x > rng.random()", needs={"x": x, "rng": rng})
    expected = """def test_it(x):
    "By hand."
    rng = random.Random(0)
    assert x > rng.random()"""
    assert function("test_it", check, "By hand") == expected


def test_only_what_is_asked_for_directly_or_through_another_piece(notebook_and_small):
    "Writing it down."
    notebook, small = notebook_and_small
    plan = read_plan(
        notebook("#| default_exp m", "# a\na = f()", "# b\nb = [a]", "# c\nc = 1", "# it\nassert b")
    )
    pieces = used_pieces(plan)
    assert [p.fixture for p in pieces] == ["a", "b"]
    assert pieces[1].needs == {"a": pieces[0]}


def test_unnamed_checks_are_numbered():
    "Writing it down."
    two = [Piece("assert x", section="S"), Piece("assert y", section="S")]
    assert [name for name, _ in names_of_tests(two)] == ["test_s", "test_s_2"]
    assert clashes(["test_a", "test_a"], []) == [
        "two check cells are called `test_a`; give one another comment"
    ]


def test_the_whole_module_of_the_small_notebook(notebook_and_small):
    "What comes out."
    notebook, small = notebook_and_small
    expected = '''"""Title

Written by nbdev-export from the check cells of nbs/small.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest

from mtl_explain.room import LIMIT, double


@pytest.fixture(scope='module')
def x():
    "Three pixels."
    return np.array([1, 2, 3])


def test_twice_as_much(x):
    "By hand."
    assert (double(x) == [2, 4, 6]).all()


def test_nothing_at_all():
    "By hand."
    assert double(0) == 0 < LIMIT
'''
    assert notebook_tests(small, "nbs/small.ipynb") == expected


def test_every_kind_of_set_up_has_its_form(rich):
    "What comes out."
    lines = notebook_tests(rich, "nbs/rich.ipynb").splitlines()
    assert "N = 3" in lines
    assert "def twice(x):" in lines
    assert "def a_and_b():" in lines
    assert "def total(a_and_b):" in lines
    assert "    a, b = a_and_b" in lines
    assert "    rng = np.random.default_rng(0)" in lines
    assert "def test_a_pair_and_its_sum(total, a_and_b):" in lines
    assert "    # a pair and its sum: hand-counted" in lines


def test_the_written_tests_run_and_pass(rich):
    "What comes out."
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test_rich_notebook.py"
        path.write_text(notebook_tests(rich, "rich.ipynb"))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)]
        run = subprocess.run(command, capture_output=True, text=True)
        assert run.returncode == 0
        assert "2 passed" in run.stdout


def test_a_check_that_lives_on_another_check(complaint):
    "Mistakes, and what they say."
    assert complaint("# one\ny = 1\nassert y", "# two\nassert y == 1") == (
        "n.ipynb: the cell 'two' uses `y`, which the cell 'one' makes; "
        "as that one checks something, make `y` in a set-up cell"
    )


def test_a_check_that_changes_its_set_up(complaint):
    "Mistakes, and what they say."
    assert "changes `d`" in complaint("# d\nd = f()", '# change\nd["a"] = 1\nassert d')
    assert "after the cell 'more' changed it" in complaint(
        "# d\nd = g()", '# more\nd["b"] = 2', "# read\nassert d"
    )


def test_names_that_are_missing_taken_or_made_twice(complaint):
    "Mistakes, and what they say."
    assert "nothing above it makes" in complaint("# unknown\nassert whatever")
    assert "two check cells are called `test_same`" in complaint("# same\nassert 1", "# same\nassert 2")
    assert "two different set-ups called `x`" in complaint(
        "# a\nx = str()", "# b\nassert x", "# c\nx = list()", "# d\nassert x"
    )
    assert "use another name" in complaint("from m import f", "# f\nf = f(1)\nassert f")


def test_a_conflict_and_a_magic_name_the_notebook(notebook_and_small):
    "Mistakes, and what they say."
    notebook, small = notebook_and_small
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.ipynb"
        for text, match in (
            ('<<<<<<< HEAD\n{"cells": []}', "x.ipynb: no notebook .*merge conflict"),
            ("[1, 2]", "x.ipynb: no notebook: it has no list of cells"),
        ):
            path.write_text(text)
            with pytest.raises(NotebookTestError, match=match):
                read_notebook(path)
    magic = notebook("#| default_exp m", "# a check\nassert 1 == 1\n%time x = 1")
    with pytest.raises(
        NotebookTestError, match="m.ipynb: the cell '# a check' is no Python, at '%time"
    ):
        check_python(magic, "m.ipynb")
    check_python(small, "small.ipynb")


def test_tests_go_to_the_folder_of_the_project_with_the_packages_own_name(notebook_and_small):
    "At every export."
    notebook, small = notebook_and_small
    with tempfile.TemporaryDirectory() as folder:
        target = export_tests(project(folder, small))
        assert target.relative_to(Path(folder).resolve()).as_posix() == "tests/test_room.py"
        assert "from pkg.room import LIMIT, double" in target.read_text()
        assert "nbs/00_room.ipynb" in target.read_text()


def test_a_notebook_without_checks_has_no_test_module(notebook_and_small):
    "At every export."
    notebook, small = notebook_and_small
    with tempfile.TemporaryDirectory() as folder:
        assert export_tests(project(folder, notebook("#| default_exp m", "x = 1"))) is None


def test_the_command_line_says_what_it_wrote_and_what_is_wrong(notebook_and_small):
    "At every export."
    notebook, small = notebook_and_small
    with tempfile.TemporaryDirectory() as folder:
        path = project(folder, small)
        assert main([str(path)]) == 0
        path.write_text(json.dumps(notebook("#| default_exp m", "# unknown\nassert whatever")))
        assert main([str(path)]) == 1
