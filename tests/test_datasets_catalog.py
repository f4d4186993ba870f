"""The catalogue

Written by nbdev-export from the check cells of nbs/api/datasets/00_catalog.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import inspect
import os
import subprocess
import sys
import tempfile
from unittest import mock

import pytest

from mtl_explain.datasets.catalog import catalog, dataset, load_prepared, simulator


def test_each_entry_names_a_module_with_the_five_names():
    "The catalogue."
    for name in catalog:
        module = dataset(name)
        assert all(callable(getattr(module, f)) for f in ("fetch", "prepare", "load", "describe"))
        assert module.setups
    with pytest.raises(ValueError, match="there is no dataset 'moon'; known: globe"):
        dataset("moon")


def test_each_simulator_is_there_and_takes_the_same_options():
    "The catalogue."
    for name in catalog:
        if catalog[name].simulator:
            assert {"folder", "n", "seed", "workers", "progress"} <= set(
                inspect.signature(simulator(name)).parameters
            )
    with pytest.raises(ValueError, match="globe is real and at hand"):
        simulator("globe")


def test_neither_the_catalogue_nor_a_dataset_imports_torch():
    "The catalogue."
    code = "import sys; from mtl_explain.datasets.catalog import catalog, dataset; [dataset(n) for n in catalog]; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_no_store_and_what_to_do():
    "The catalogue."
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, MTL_EXPLAIN_DATA=folder):
        with pytest.raises(
            FileNotFoundError,
            match="no store of benge at .*benge: prepare one with `mtl_explain data prepare benge FOLDER`",
        ):
            load_prepared("benge")
    with pytest.raises(FileNotFoundError, match="no store of treesat at nowhere"):
        load_prepared("treesat", "nowhere")
