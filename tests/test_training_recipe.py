"""Recipes

Written by nbdev-export from the check cells of nbs/api/training/09_recipe.ipynb.
Do not edit: change the notebook, then `make export`.
"""

from dataclasses import replace

import pytest

from mtl_explain.setup import Setup
from mtl_explain.training.recipe import (
    Recipe, recipe_changes, recipe_record, recipe_table, small_recipe, with_recipe,
)


@pytest.fixture(scope='module')
def stated():
    "A paper that states some of it."
    return Recipe(
        "paper C",
        epochs=50,
        bs=8,
        lr=1e-4,
        at_once=2,
        start="levir",
        augment=dict(photos=["late"]),
        zoom=2.0,
        origin=dict(epochs="paper", lr="released code"),
    )


def test_a_recipe_to_read(stated):
    "Recipes."
    table = recipe_table(stated)
    assert table.loc["epochs"].tolist() == [50, "paper"]
    assert table.loc["lr", "stated by"] == "released code"
    assert table.loc["optimiser"].tolist() == ["-", "not stated; ours"]
    with pytest.raises(ValueError, match="origin names 'batch', which is no value of a recipe"):
        replace(stated, origin=dict(batch="paper"))
    with pytest.raises(ValueError, match="schedule is 'one-cycle' or 'constant', got 'cosine'"):
        replace(stated, schedule="cosine")


def test_a_setup_by_a_recipe(stated):
    "A setup by a recipe."
    row = Setup(("early", "late"), "change", network=dict(type="mmcd", features=8))
    made = with_recipe(row, stated)
    assert made.network == dict(type="mmcd", features=8, zoom=2.0)
    assert made.training == dict(augment=dict(photos=["late"]))
    own = replace(row, training=dict(augment=dict(photos=["early"])))
    assert with_recipe(own, stated).training == own.training
    assert with_recipe(row, small_recipe) == row
    assert with_recipe(Setup(("early", "late"), "change"), stated).network == {}


def test_what_is_not_the_papers_has_a_name(stated):
    "Whose recipe was it?"
    assert recipe_changes(stated, stated) == []
    assert recipe_changes(stated, replace(stated, epochs=3, start="")) == [
        "epochs 3 instead of 50",
        "no start",
    ]
    assert recipe_changes(stated, replace(stated, augment=dict(photos=["late"], white=1))) == [
        "another augment"
    ]
    assert recipe_record(stated, stated)["followed"] == "paper C's recipe"
    record = recipe_record(stated, replace(stated, epochs=3), ("U-Nets of 4 channels",))
    assert record["followed"] == "not paper C's recipe: epochs 3 instead of 50, U-Nets of 4 channels"
    assert record["epochs"] == 3
    assert "origin" not in record
    assert recipe_changes(stated, small_recipe) == [
        "epochs 6 instead of 50",
        "bs 32 instead of 8",
        "lr 0.002 instead of 0.0001",
        "no at_once",
        "no start",
        "no augment",
        "zoom 1.0 instead of 2.0",
    ]
