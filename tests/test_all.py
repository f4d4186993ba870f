"""Everything

Written by nbdev-export from the check cells of nbs/api/99_all.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import ast
import importlib
from collections import Counter
from pathlib import Path

import pytest

import mtl_explain.all


@pytest.fixture(scope='module')
def public():
    "The names that the first line of a notebook brings."
    source = ast.parse(Path(mtl_explain.all.__file__).read_text())
    modules = [
        node.module
        for node in ast.walk(source)
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
    ]
    return [name for module in modules for name in importlib.import_module(module).__all__]


def test_every_public_name_is_there_and_none_hides_another(public):
    "Why."
    assert set(public) <= set(mtl_explain.all.__all__)
    assert {name: n for name, n in Counter(public).items() if n > 1} == {}


def test_datasets_come_as_modules():
    "Why."
    assert callable(mtl_explain.all.globe.load)
