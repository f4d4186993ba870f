"Settings that all tests share. The other files in this folder are written from the notebooks (see CONTRIBUTING.md)."
import os

os.environ.setdefault('MPLBACKEND', 'Agg')
os.environ.setdefault('OMP_NUM_THREADS', '1')  # results that do not depend on the number of cores

import matplotlib.pyplot as plt
import pytest
import torch

torch.set_num_threads(int(os.environ['OMP_NUM_THREADS']))


@pytest.fixture(autouse=True)
def close_figures():
    "No test leaves figures open."
    yield
    plt.close('all')


def pytest_pycollect_makeitem(collector, name, obj):
    "Only what a test module defines itself is a test: not an imported function that happens to be called `test_…`."
    if getattr(obj, '__module__', collector.module.__name__) != collector.module.__name__: return []
