"""The catalogue

Written by nbdev-export from the check cells of nbs/api/19_catalog.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import subprocess
import sys

import pytest

from mtl_explain.datasets.catalog import catalog, dataset


def test_each_entry_names_a_module_with_the_five_names():
    "The catalogue."
    for name in catalog:
        module = dataset(name)
        assert all(callable(getattr(module, f)) for f in ('fetch', 'prepare', 'load', 'describe')) and module.setups
    with pytest.raises(ValueError, match="there is no dataset 'moon'; known: globe"): dataset('moon')


def test_neither_the_catalogue_nor_a_dataset_imports_torch():
    "The catalogue."
    code = "import sys; from mtl_explain.datasets.catalog import dataset; dataset('globe'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0
