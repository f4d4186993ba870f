"""A toy world

Written by nbdev-export from the check cells of nbs/api/testing/00_toy_samples.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np

from mtl_explain.testing.toy_samples import _toy_values


def test_height_decides_what_grows_latitude_and_height_how_warm_it_is():
    "A toy world."
    v = _toy_values(400, 8, np.random.default_rng(0))
    meadow, forest, rock = (v["height"][v["cover"] == k].mean() for k in range(3))
    assert meadow < 150 < forest < 600 < rock
    assert np.corrcoef(np.abs(v["lat"]), v["warmth"])[0, 1] < -0.8
    january = v["months"][:, 0]
    july = v["months"][:, 6]
    north = v["lat"] > 0
    assert (january < july)[north].mean() > 0.95
    assert (january > july)[~north].mean() > 0.95
