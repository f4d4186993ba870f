"""Which way imports run

Written by nbdev-export from the check cells of nbs/dev/07_imports.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import ast
import tempfile
from pathlib import Path

import pytest
from nbdev.config import get_config

from mtl_explain.dev.imports import (
    against_the_flow, import_table, imported_modules, lost_in_page, lost_names, plot_imports,
)
from mtl_explain.dev.site import notebooks


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


def test_names_modules_and_arguments_that_are_not_there_also_in_programs_given():
    "What pages ask for is there."
    # names, modules and arguments that are not there, also in programs given as text
    text = """
from mtl_explain.setup import Setup, Roles
from mtl_explain.networks import pair, triple
from mtl_explain.cellar import wine
from mtl_explain.testing.toy_samples import toy_samples
pair.PairBody, pair.Nobody
toy_samples(3, size=4), toy_samples(*a, sizes=4), toy_samples(**b), toy_samples(1, 2, 3, 4, 5, 6)
program = 'from mtl_explain.modality import Modality\\nModality()'
def f(Setup):
    return Setup(nothing=1)
no_code = 'all from mtl_explain: a text'
"""
    assert sorted(lost_names(text)) == [
        "line 2: mtl_explain.setup has no Roles",
        "line 3: mtl_explain.networks has no triple",
        "line 4: there is no mtl_explain.cellar",
        "line 6: mtl_explain.networks.pair has no Nobody",
        "line 7: toy_samples: got an unexpected keyword argument 'sizes'",
        "line 7: toy_samples: too many positional arguments",
        "line 8, in a text, line 2: Modality: missing a required argument: 'name'",
    ]


def test_benchmarks_studies_gallery_and_lessons_ask_for_nothing_that_is_gone():
    "What pages ask for is there."
    folders = ("benchmarks", "studies", "gallery", "tutorials")
    pages = {path: nb for path, nb in notebooks().items() if path.split("/")[0] in folders}
    lost = [f"{path}: {said}" for path, nb in pages.items() for said in lost_in_page(nb)]
    assert not lost, "\n".join(lost)
    assert sum(path.startswith("benchmarks/") for path in pages) > 5
