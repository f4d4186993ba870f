"""The role map

Written by nbdev-export from the check cells of nbs/api/roles/02_role_map.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from dataclasses import replace

import numpy as np
import pytest

from mtl_explain.data.samples import modalities
from mtl_explain.roles.designs import role_names
from mtl_explain.roles.role_map import affordable, allowed_roles, confirm_roles, find_roles, keep_near
from mtl_explain.setup import Setup
from mtl_explain.testing.role_worlds import role_world
from mtl_explain.testing.toy_samples import toy_samples


@pytest.fixture(scope='module')
def begun():
    return Setup(dict(image=dict(width=64)), "answer")


def test_roles_that_are_closed_and_why():
    "Which roles are open?"
    toy = toy_samples(8)
    found = allowed_roles(
        modalities(toy), Setup("optical", "climate"), given=dict(months=("out", "predict"))
    )
    assert found.roles["zone"] == ("out", "predict")  # the coarser level of climate
    assert found.roles["months"] == ("out", "predict")
    deep = modalities(toy)
    deep["world"] = replace(deep["zone"], name="world")
    deep["zone"] = replace(
        deep["zone"], parent="world", parent_index=tuple(range(deep["zone"].n_classes))
    )
    closed = allowed_roles(deep, Setup("optical", "climate")).roles
    assert "read" not in closed["world"]  # two levels up, and still it gives climate away
    with pytest.raises(ValueError, match="'climate' is predicted already"):
        allowed_roles(modalities(toy), Setup("optical", ("cover", "climate")))
    with pytest.raises(ValueError, match="candidates: 'optical' already has a role"):
        allowed_roles(modalities(toy), Setup("optical", "climate"), ("optical",))
    with pytest.raises(ValueError, match="allowed: 'months' is no candidate; they are cover"):
        asked = dict(given=dict(months=("out",)))
        allowed_roles(modalities(toy), Setup("optical", "climate"), ("cover",), **asked)
    print(found.to_string())


def test_on_globe_what_the_years_rain_is_computed_from_and_what_is_computed():
    "Which roles are open?"
    # on globe, what the year's rain is computed from, and what is computed from it, is not read
    from mtl_explain.datasets import globe

    rain = allowed_roles(modalities(globe.load_sample()), Setup("optical", "precipitation_log"))
    away = rain.index[rain.why.str.contains("gives precipitation_log away")]
    levels = {"climate", "climate_type", "climate_group"}
    assert set(away) == levels | {"precipitation", "monthly_precipitation", "weather"}


def test_kept_samples_have_an_answer_come_from_training_and_are_few():
    "In distribution, and elsewhere."
    world = role_world(n=600, regions=24, answered=0.5)
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


def test_end_to_end_small(begun):
    "Confirmed, once."
    # end to end, small: what is clean is read, the test regions are opened once, for one choice
    easy = role_world(("clean", "unrelated"), n=600, regions=24, answered=0.6)
    asked = dict(allowed=dict.fromkeys(("clean", "unrelated"), ("out", "read")), budget=10, bar=False)
    quick = dict(epochs=8, bs=64, lr=1e-2)
    with tempfile.TemporaryDirectory() as d:
        first = find_roles(easy, begun, d, **asked, **quick)
        again = find_roles(easy, begun, d, **asked, **quick)
        confirmed = confirm_roles(first, easy, seeds=2, bar=False)
        dear = find_roles(easy, begun, d, costs=dict(clean=5.0), **asked, **quick)
        with pytest.raises(ValueError, match="the test regions were opened on .* for"):
            confirm_roles(dear, easy, seeds=2, bar=False)
    assert first.chosen.role.to_dict() == dict(clean="read", unrelated="out")
    assert first.code == "ro" and first.setup.inputs.keys() == {"image", "clean"}
    assert again.table.equals(first.table)
    assert first.table.loc[("clean", "read"), ["effect", "near"]].max() < -0.1
    assert dear.chosen.role["clean"] == "out"
    assert confirmed.verdict[0] == "seen" and len(confirmed) == 2
    assert "clean: read" in repr(first) and "<table" in first._repr_html_()
