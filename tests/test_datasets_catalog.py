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

from mtl_explain.datasets.catalog import catalog, dataset, load_prepared


def test_each_entry_of_the_catalogue_is_a_dataset_and_all_take_the_same():
    "The protocol."
    # each entry of the catalogue is a dataset, and all take the same arguments
    def arguments(function, *names):
        return list(inspect.signature(function).parameters)[: len(names)] == list(names)


    for name in catalog:
        made = dataset(name)
        assert made.name == name
        assert made.setups
        assert arguments(made.fetch, "folder")
        assert arguments(made.prepare, "source", "dest")
        assert arguments(made.load, "path")
        assert arguments(made.plot, "samples", "sample", "axes")
        assert made.scores is None or arguments(made.scores, "learner", "samples")
    with pytest.raises(ValueError, match="there is no dataset 'moon'; known: globe, [a-z, ]*$"):
        dataset("moon")
    with pytest.raises(ValueError, match="levir; did you mean 'globe'\\?"):
        dataset("golbe")
    dataset("hibcd")


def test_each_simulator_is_there_and_takes_the_same_options():
    "The protocol."
    for name in catalog:
        if catalog[name].simulator:
            options = inspect.signature(dataset(name).simulate).parameters
            assert {"folder", "n", "seed", "workers", "progress"} <= set(options)
    with pytest.raises(ValueError, match="globe is real and at hand"):
        dataset("globe").simulate


def test_neither_the_catalogue_nor_a_dataset_imports_torch():
    "The protocol."
    code = (
        "import sys; from mtl_explain.datasets.catalog import catalog, dataset; "
        "[dataset(n) for n in catalog]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_no_store_and_what_to_do():
    "The protocol."
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, MTL_EXPLAIN_DATA=folder):
        with pytest.raises(
            FileNotFoundError,
            match="no store of benge at .*benge: prepare one with `mtl_explain data prepare benge "
            "FOLDER`",
        ):
            load_prepared("benge")
    with pytest.raises(FileNotFoundError, match="no store of treesat at nowhere"):
        load_prepared("treesat", "nowhere")
