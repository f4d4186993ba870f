"""Screening

Written by nbdev-export from the check cells of nbs/api/roles/03_screen.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest
import xarray as xr

from mtl_explain.roles.screen import screen_roles
from mtl_explain.setup import Setup
from mtl_explain.testing.role_worlds import role_world
from mtl_explain.testing.toy_samples import toy_samples


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


def test_where_nothing_is_hardly_a_hint_is_given(begun):
    "R² on other regions."
    # where nothing is, hardly a hint is given: 40 modalities of noise in regions of 2 to 200 samples
    hints = []
    for seed in range(10):
        noise = role_world(("unrelated",) * 4, n=2400, regions=40, answered=0.3, seed=seed)
        sizes = np.geomspace(2, 200, 40)
        edges = np.searchsorted(np.cumsum(sizes) / sizes.sum(), np.arange(2400) / 2400)
        split = np.random.default_rng(seed).permutation(
            np.repeat(["train", "valid", "test"], [20, 10, 10])
        )
        noise = noise.assign_coords(group=("sample", edges), split=("sample", split[edges]))
        hints += list(screen_roles(noise, begun).hint)
    assert len(hints) == 40
    assert sum(h != "nothing seen for it" for h in hints) <= 4


def test_samples_without_a_label_or_a_number_are_no_class_and_no_zero():
    "R² on other regions."
    # samples without a label or a number are no class and no zero; they are counted
    gappy = toy_samples(120)
    gone = np.arange(120) % 5 == 0
    gappy["zone"] = (
        gappy.zone.where(~xr.DataArray(gone, dims="sample"), -1)
        .astype("int8")
        .assign_attrs(gappy.zone.attrs)
    )
    told = screen_roles(gappy, Setup("optical", "warmth"), ("zone", "cover"))
    assert told.gaps.to_dict() == dict(zone=24, cover=0)
