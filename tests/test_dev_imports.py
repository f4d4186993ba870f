"""Which way imports run

Written by nbdev-export from the check cells of nbs/dev/07_imports.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import ast
import tempfile
from pathlib import Path

import pytest
from nbdev.config import get_config

from mtl_explain.dev.imports import against_the_flow, import_table, imported_modules, plot_imports


@pytest.fixture(scope='module')
def imports():
    "The imports of this package."
    return import_table(get_config().lib_path)


def test_absolute_and_relative_imports_at_the_top_and_within_a_function():
    "Reading the imports."
    text = """
import numpy, mtl_explain.modality
from ..files.paths import take_folder
from .samples import describe
from mtl_explain import trace
def late():
    from mtl_explain.networks.layers import mlp
"""
    assert imported_modules(text, "mtl_explain", "data") == [
        (2, "modality"),
        (3, "files.paths"),
        (4, "data.samples"),
        (5, "trace"),
        (7, "networks.layers"),
    ]
    assert imported_modules("from .change.detect import *", "mtl_explain", "") == [(1, "change.detect")]
    assert imported_modules("from ..common import f", "mtl_explain", "simulate.city") == [
        (1, "simulate.common")
    ]


def test_an_import_against_the_flow_is_named_with_file_and_line():
    "Reading the imports."
    # an import against the flow is named, with file and line; one with it is not
    with tempfile.TemporaryDirectory() as d:
        library = Path(d) / "mtl_explain"
        for name, text in {
            "data/store.py": "from ..explain.maps import x",
            "explain/maps.py": "from ..data.batches import x\nfrom .correlation import y",
            "cellar/wine.py": "from ..data.store import x",
        }.items():
            (library / name).parent.mkdir(parents=True, exist_ok=True)
            (library / name).write_text(text)
        assert against_the_flow(import_table(library)) == [
            "cellar.wine, line 1: imports data.store, but data stands behind cellar",
            "data.store, line 1: imports explain.maps, but explain stands behind data",
        ]


def test_no_import_runs_against_the_flow_so_there_is_no_circle_of_folders(imports):
    "This package."
    assert against_the_flow(imports) == []
    assert len(imports) > 100


def test_explanations_need_neither_network_nor_pytorch():
    "This package."
    def top_packages(path):
        "The packages that a module imports from, anywhere in it."
        nodes = list(ast.walk(ast.parse(path.read_text())))
        whole = [a.name for node in nodes if isinstance(node, ast.Import) for a in node.names]
        parts = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
        return {name.split(".")[0] for name in whole + parts}


    for path in sorted((get_config().lib_path / "explain").glob("*.py")):
        assert not top_packages(path) & {"torch", "fastai", "torchmetrics"}, path


def test_all_arcs_lead_to_the_left(imports):
    "This package."
    ax = plot_imports(imports)
    assert {t.get_text() for t in ax.texts} >= {"modality", "data", "networks", "explain", "show"}
