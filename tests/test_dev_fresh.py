"""Up to date

Written by nbdev-export from the check cells of nbs/dev/05_fresh.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest
from nbdev.config import get_config
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from mtl_explain.dev.fresh import (
    export_all, format_library, main, stale_files, unwritable_tests, written_files,
)
from mtl_explain.dev.site import notebooks


# the settings of a project
small_project = """[project]
name = "pkg"
[tool.nbdev]
lib_path = "pkg"
update_pyproject = false
export_procs = ["mtl_explain.dev.notebook_tests:TestExporter"]
"""


# a project with one room
def project(folder):
    "Make a small project and return its folder."
    os.environ.pop("IN_TEST", None)  # where nbdev runs pages, it exports nothing
    root = Path(folder).resolve() / "project"
    (root / "nbs").mkdir(parents=True)
    (root / "pyproject.toml").write_text(small_project)
    cells = [
        "#| default_exp room",
        "#| export\ndef double(x):\n    return 2 * x",
        "# twice two\nassert double(2) == 4",
    ]
    write_notebook(root / "nbs" / "00_room.ipynb", *cells)
    write_notebook(root / "nbs" / "index.ipynb", "print(1)")
    return root
def write_notebook(path, *sources):
    "A notebook of code cells."
    bare = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    cells = [bare | {"id": f"c{i}", "source": source} for i, source in enumerate(sources)]
    nb = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    path.write_text(json.dumps(nb))


# what ruff says of this project
def ruff(*command):
    "Exit status, and what was said."
    run = [sys.executable, "-m", "ruff", *command]
    done = subprocess.run(run, cwd=get_config().config_path, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


# the files of this project
@pytest.fixture(scope='module')
def root_pyproject_and_settings():
    root = get_config().config_path
    pyproject = tomllib.loads((root / "pyproject.toml").read_text())
    config = ConfigParser()
    config.read(root / "settings.ini")
    settings = config["DEFAULT"]
    return root, pyproject, settings


@pytest.fixture(scope='module')
def installed():
    return importlib.metadata.metadata("mtl_explain")


def test_every_faulty_notebook_is_named():
    "Exporting everything."
    def one_cell(code):
        return {"cells": [{"cell_type": "code", "source": s} for s in ("#| default_exp m", code)]}


    three = {"a": one_cell("assert x"), "b": one_cell("assert 1"), "c": one_cell("assert y")}
    assert [fault.split(":")[0] for fault in unwritable_tests(three)] == ["a", "c"]


def test_imports_are_written_out_in_full_and_in_order_lines_are_broken():
    "Exporting everything."
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        (made / "room.py").write_text("from .door import open_it\nimport sys\nx = {'a':1}\n")
        (made / "__init__.py").touch()
        format_library(made, made)
        text = (made / "room.py").read_text()
    assert text.index("import sys") < text.index("door import open_it")
    assert text.endswith('x = {"a": 1}\n')


def test_an_exported_project_is_up_to_date():
    "Comparing."
    with tempfile.TemporaryDirectory() as folder:
        root = project(folder)
        export_all(root)
        assert written_files(root) == {
            "pkg/__init__.py",
            "pkg/_modidx.py",
            "pkg/room.py",
            "tests/test_room.py",
            "README.md",
            "nbs/sidebar.yml",
            "nbs/about.yml",
        }
        assert stale_files(root) == []


def test_what_was_changed_by_hand_is_found():
    "Comparing."
    with tempfile.TemporaryDirectory() as folder:
        root = project(folder)
        export_all(root)
        (root / "pkg" / "room.py").write_text("changed = True\n")
        (root / "tests" / "test_room.py").unlink()
        (root / "tests" / "test_old.py").write_text("")
        assert stale_files(root) == [
            "pkg/room.py: out of date",
            "tests/test_room.py: missing",
            "tests/test_old.py: no notebook gives it",
        ]


def test_the_command_fails_until_everything_is_exported():
    "Comparing."
    with tempfile.TemporaryDirectory() as folder:
        root = project(folder)
        assert main(["--check"], root) == 1
        assert main([], root) == 0
        assert main(["--check"], root) == 0


def test_notebooks_are_formatted():
    "The form of the lines."
    status, said = ruff("format", "--check", "nbs")
    assert status == 0, said


def test_notebooks_and_library_are_clean():
    "The form of the lines."
    status, said = ruff("check", "--output-format", "concise", "nbs", "mtl_explain")
    assert status == 0, said


def test_the_identity_that_pip_sees_is_the_one_in_pyproject_toml(root_pyproject_and_settings, installed):
    "Each fact in one place."
    root, pyproject, settings = root_pyproject_and_settings
    identity = pyproject["project"]
    assert installed["Name"] == identity["name"]
    assert installed["Summary"] == identity["description"]
    assert installed["License-Expression"] == identity["license"]
    assert installed["Author"] == identity["authors"][0]["name"]
    assert installed["Keywords"].split(",") == identity["keywords"]


def test_the_requirements_that_pip_sees_are_those_of_settings_ini(root_pyproject_and_settings, installed):
    "Each fact in one place."
    root, pyproject, settings = root_pyproject_and_settings
    def as_set(requirements):
        return {(canonicalize_name(r.name), str(r.specifier)) for r in requirements}


    def in_settings(*keys):
        return [Requirement(line) for key in keys for line in settings[key].split()]


    extras = [name for name in settings if name.endswith("_requirements")]
    seen = [Requirement(r) for r in importlib.metadata.requires("mtl_explain")]
    always = [r for r in seen if r.marker is None]
    optional = [r for r in seen if r.marker]
    assert as_set(always) == as_set(in_settings("requirements"))
    assert as_set(optional) == as_set(in_settings(*extras))
    assert installed["Requires-Python"] == ">=" + settings["min_python"]


def test_the_version_that_pip_sees_is_the_one_in_the_package(installed):
    "Each fact in one place."
    import mtl_explain

    assert installed["Version"] == mtl_explain.__version__ == get_config().version


def test_no_fact_stands_in_two_files(root_pyproject_and_settings):
    "Each fact in one place."
    root, pyproject, settings = root_pyproject_and_settings
    dynamic = set(pyproject["project"]["dynamic"])
    assert dynamic == {"version", "requires-python", "dependencies", "optional-dependencies"}
    assert not dynamic & (pyproject["project"].keys() - {"dynamic"})
    assert set(settings) == {
        "min_python",
        "requirements",
        "dev_requirements",
        "simulate_requirements",
        "aggregation_requirements",
        "trust_requirements",
        "queue_requirements",
        "doors_requirements",
        "networks_requirements",
        "attribution_requirements",
        "hub_requirements",
        "onnx_requirements",
        "search_requirements",
        "cluster_requirements",
    }
    setup = (root / "setup.py").read_text()
    assert not [word for word in ("version=", "name=", "description=") if word in setup]


def test_every_pinned_version_fits_the_requirements(root_pyproject_and_settings):
    "Each fact in one place."
    root, pyproject, settings = root_pyproject_and_settings
    lines = (root / "constraints.txt").read_text().split()
    pins = dict(line.split("==") for line in lines if "==" in line)
    lists = ["requirements"] + [name for name in settings if name.endswith("_requirements")]
    for line in " ".join(settings[name] for name in lists).split():
        wanted = Requirement(line)
        pinned = pins[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(pinned), f"{wanted} against {pinned}"
    running = ".".join(map(str, sys.version_info[:3]))
    assert SpecifierSet(">=" + settings["min_python"]).contains(running)


def test_constraints_hold_names_and_versions_only(root_pyproject_and_settings):
    "Each fact in one place."
    root, pyproject, settings = root_pyproject_and_settings
    text = (root / "constraints.txt").read_text()
    assert "://" not in text
    assert "@" not in text
    assert "+" not in text


def test_no_notebook_carries_the_state_of_widgets_which_grows_to_megabytes():
    "Each fact in one place."
    nbs = notebooks(get_config().nbs_path)
    assert [path for path, nb in nbs.items() if "widgets" in nb["metadata"]] == []
