"""Screening

Written by nbdev-export from the check cells of nbs/api/roles/03_screen.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest

from mtl_explain.roles.screen import screen_roles
from mtl_explain.setup import Setup
from mtl_explain.testing.role_worlds import role_world


@pytest.fixture(scope='module')
def world():
    return role_world()


@pytest.fixture(scope='module')
def begun():
    return Setup("image", "answer")


def test_in_a_planted_world_the_screen_sees_what_there_is_to_see_and_no_more(world, begun):
    "R² on other regions."
    found = screen_roles(world, begun)
    assert found.gain_low["clean"] > 0.02
    assert found.gain_high["shifted"] < 0
    assert found.gain_low["unrelated"] < 0.01 and abs(found.gain["unrelated"]) < 0.05
    assert found.predictable_low["unrelated"] < 0.02
    assert found.predictable["clean"] < 0.02
    found.round(2)


def test_by_hand(world, begun):
    "R² on other regions."
    # by hand: a number that is twice the image is told wholly, and reading it adds nothing
    twice = world.assign(clean=(world.clean.dims, 2 * world.image.values[:, :1], world.clean.attrs))
    found = screen_roles(twice, begun, ("clean",))
    assert found.predictable["clean"] > 0.99
    assert abs(found.gain["clean"]) < 0.02
    closed = screen_roles(world, begun, ("clean",), allowed=dict(clean=("out", "read")))
    assert np.isnan(closed.predictable["clean"]) and np.isfinite(closed.gain["clean"])
    known = np.flatnonzero((world.split == "train").values & np.isfinite(world.answer.values[:, 0]))
    few = world.assign(answer=world.answer.where(world.sample.isin(world.sample[known[:5]])))
    with pytest.raises(ValueError, match="5 training samples have this truth"):
        screen_roles(few, begun)
