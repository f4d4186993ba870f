"""The role map

Written by nbdev-export from the check cells of nbs/api/roles/02_role_map.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest

from mtl_explain.roles.designs import role_names
from mtl_explain.roles.role_map import affordable, keep_near
from mtl_explain.testing.role_worlds import role_world


def test_kept_samples_have_an_answer_come_from_training_and_are_few():
    "In distribution, and elsewhere."
    world = role_world(n=600, regions=24)
    rest, near = keep_near(world, "answer", 0.2)
    assert set(world.split.values[near]) == {"train"}
    assert np.isfinite(world.answer.values[near]).all()
    assert (rest.split == "train").sum() == (world.split == "train").sum() - len(near)
    assert len(near) == round(0.2 * np.isfinite(world.answer.values[world.split == "train"]).sum())
    assert len(keep_near(world, "answer", 0)[1]) == 0
    with pytest.raises(ValueError, match="near is 1"):
        keep_near(world, "answer", 1)


def test_what_a_budget_buys():
    "The map."
    # what a budget buys: an array for one half of it, neighbours with seeds for the other
    four = {n: role_names for n in "ABCD"}
    bought = {b: (len(d), k, s) for b in (36, 54, 108) for d, k, s in [affordable(four, b)]}
    assert bought == {36: (9, 2, 2), 54: (27, 1, 3), 108: (27, 2, 6)}
    few, once, seeds = affordable(dict(a=role_names, b=("out", "read")), 27)
    assert (len(few), once, seeds) == (6, 2, 3)
    with pytest.raises(ValueError, match="26 trainings is too small for 4 candidates: .* 27 at least"):
        affordable(four, 26)
