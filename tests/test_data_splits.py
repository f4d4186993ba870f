"""Splits in space

Written by nbdev-export from the check cells of nbs/api/data/02_splits.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from mtl_explain.data.splits import (
    assign_splits, beside_another_split, block_folds, block_names, fold_split, label_amounts, plot_split,
    said_groups, split_imbalance,
)
from mtl_explain.testing.toy_samples import toy_samples


@pytest.fixture(scope='module')
def line_column_quarter_tiled_and_folds():
    "A map of 24 by 30 patches in blocks of 4 by 5, and four classes."
    line, column = (v.ravel() for v in np.mgrid[:24, :30])
    quarter = xr.DataArray(
        (line // 12 * 2 + column // 15).astype("int8"), dims="sample", attrs=dict(classes=list("abcd"))
    )
    tiled = xr.Dataset(
        dict(quarter=quarter),
        dict(
            sample=[f"p{i}" for i in range(720)],
            row=("sample", line),
            col=("sample", column),
            group=("sample", line // 4 * 6 + column // 5),
        ),
    )
    folds = block_folds(tiled, ("quarter",), k=4)
    return line, column, quarter, tiled, folds


def test_kaiserslautern_buenos_aires_auckland():
    "Blocks."
    assert block_names(np.array([49.4, -34.6, -36.8]), np.array([7.8, -58.4, 174.8])).tolist() == [
        "050N000E",
        "030S060W",
        "030S160E",
    ]


def test_alike_unlike_and_lacking_a_class_by_hand():
    "Assigning blocks."
    assert split_imbalance(np.array([[6, 3], [2, 1], [2, 1]])) == 0
    assert np.isclose(split_imbalance(np.array([[6, 2], [2, 6]])), 0.25 * 2)
    assert np.isclose(split_imbalance(np.array([[4, 0], [0, 4]])), 0.5 * 2 + 0.1 * 2)
    assert split_imbalance(np.array([[4, 4], [0, 0]])) == np.inf


def test_whole_blocks_about_the_right_sizes_the_same_again_with_the_same_seed():
    "Assigning blocks."
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 50, 2000)
    amounts = rng.random((2000, 6))
    split = assign_splits(blocks, amounts, trials=2000)
    assert all(len(set(split[blocks == b])) == 1 for b in range(50))
    assert np.allclose(np.bincount(split) / 2000, (0.6, 0.2, 0.2), atol=0.04)
    assert np.array_equal(split, assign_splits(blocks, amounts, trials=2000))
    assert not np.array_equal(split, assign_splits(blocks, amounts, trials=2000, seed=1))
    with pytest.raises(ValueError, match="2 blocks are too few for 3 splits"):
        assign_splits(blocks % 2, amounts)


def test_swapping_balances_what_a_random_start_does_not():
    "Assigning blocks."
    few = np.eye(8)[np.sort(np.random.default_rng(1).integers(0, 8, 600))]
    where = np.repeat(np.arange(60), 10)


    def score_of(trials):
        split = assign_splits(where, few, trials=trials)
        return split_imbalance(np.stack([few[split == k].sum(0) for k in range(3)]))


    assert score_of(500) < score_of(1)


def test_six_patches_in_a_row_around_the_earth_by_hand():
    "The gap."
    row = np.zeros(6, int)
    col = np.arange(6)
    split = np.array([0, 0, 1, 1, 2, 0])
    assert np.flatnonzero(beside_another_split(row, col, split, 6)).tolist() == [1, 3, 5]
    one_test = np.array([2, 0, 0, 0, 0, 0])
    assert np.flatnonzero(beside_another_split(row, col, one_test, 6)).tolist() == [1, 5]


def test_three_blocks_in_a_plane():
    "The gap."
    # three blocks in a plane: what stays, and what is left out
    r, c = (v.ravel() for v in np.mgrid[:8, :18])
    side = np.select([c < 7, r < 4], [0, 1], 2)
    out = beside_another_split(r, c, side, 40)
    fig, ax = plt.subplots(figsize=(5, 2.4), layout="constrained")
    ax.scatter(
        c[~out], r[~out], 60, np.array(["#0173b2", "#de8f05", "#029e73"])[side[~out]], marker="s"
    )
    ax.scatter(c[out], r[out], 20, "#949494", marker="x")
    ax.set(title="train, valid, test, and the gap", xlabel="column", ylabel="row")
    ax.invert_yaxis()
    near = (abs(r[:, None] - r) <= 1) & (abs(c[:, None] - c) <= 1) & ~out & ~out[:, None]
    assert (side[:, None] == side)[near].all()
    assert out.sum() == 19


def test_whole_blocks(line_column_quarter_tiled_and_folds):
    "Every block once a test block."
    # whole blocks; every sample is tested once; no block and no neighbour on two sides
    line, column, quarter, tiled, folds = line_column_quarter_tiled_and_folds
    turns = [fold_split(tiled, folds, f) for f in range(4)]
    assert (np.sum([t == "test" for t in turns], 0) == 1).all()
    assert all(len(set(folds[tiled.group.values == g])) == 1 for g in range(36))
    assert np.bincount(folds).min() >= 160
    touch = (np.abs(line[:, None] - line) <= 1) & (np.abs(column[:, None] - column) <= 1)
    for split in turns:
        used = split != ""
        pairs = touch & used[:, None] & used
        assert (split[:, None] == split)[pairs].all()
        assert {"train", "valid", "test"} == set(split[used])
        sides = {s: set(tiled.group.values[split == s]) for s in ("train", "valid", "test")}
        assert not sides["test"] & (sides["train"] | sides["valid"])
        assert not sides["valid"] & sides["train"]
        shares = label_amounts(tiled, ("quarter",))[split == "test"].mean(0)
        assert shares.min() > 0.1


def test_without_a_grid_nobody_touches(line_column_quarter_tiled_and_folds):
    "Every block once a test block."
    # without a grid nobody touches; a closed grid touches around the Earth; what is refused
    line, column, quarter, tiled, folds = line_column_quarter_tiled_and_folds
    plain = tiled.drop_vars(["row", "col"])
    assert (fold_split(plain, folds, 0) != "").all()
    ring = fold_split(tiled, np.where(column < 5, 0, 1 + (column > 20)), 0, columns=30)
    assert (ring[column == 29] == "").all() and (ring[column == 28] != "").all()
    with pytest.raises(ValueError, match="no coordinate `group`"):
        block_folds(tiled.drop_vars("group"), ("quarter",))
    with pytest.raises(ValueError, match="k is 2: training, validation and test need"):
        block_folds(tiled, ("quarter",), k=2)
    with pytest.raises(ValueError, match="'height' has no classes"):
        block_folds(tiled.assign(height=quarter.drop_attrs()), ("height",))


def test_groups_that_keep_to_one_split_one_that_does_not_and_none_at_all():
    "What can be said of a split."
    toy = toy_samples(48)
    assert said_groups(toy) == "24 groups, each in one split"
    torn = toy.assign_coords(split=("sample", ["test", *toy.split.values[1:]]))
    assert said_groups(torn) == "1 of 24 groups in more than one split"
    alone = said_groups(toy.drop_vars("group"))
    assert alone.startswith("no groups: intervals take samples as independent")


def test_each_split_has_its_colour():
    "On the map."
    # each split has its colour; a title claims nothing about samples without groups
    ax = plot_split(toy_samples())
    assert ax.get_title() == "24 groups, each in one split"
    assert plot_split(toy_samples().drop_vars("group")).get_title() == ""
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "train (64)",
        "valid (16)",
        "test (16)",
    ]
    # a region fills the picture, the whole Earth is drawn as such
    near = toy_samples()
    near = near.assign_coords(lon=9 + near.lon / 100, lat=50 + near.lat / 100)
    low, high = plot_split(near).get_ylim()
    assert low < near.lat.min() < near.lat.max() < high < low + 20
    assert ax.get_xlim() == (-180, 180)
