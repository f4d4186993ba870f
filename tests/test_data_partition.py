"""Dealing samples into splits

Written by nbdev-export from the check cells of nbs/api/data/12_partition.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from mtl_explain.data.partition import (
    block_of_place, km_per_degree, number_amounts, split_samples, split_table,
)
from mtl_explain.data.samples import check_samples, modality_array
from mtl_explain.data.splits import plot_split
from mtl_explain.trace import split_names


@pytest.fixture(scope='module')
def farm_and_world():
    farm = np.repeat(np.arange(40), 5)
    rng = np.random.default_rng(1)
    north = 48 + rng.uniform(0, 4, 40)[farm] + rng.normal(0, 0.01, 200)
    east = 8 + rng.uniform(0, 6, 40)[farm] + rng.normal(0, 0.01, 200)
    crop = rng.integers(0, 3, 40)[farm]
    amount = rng.normal(6, 1, 40)[farm] + rng.normal(0, 0.3, 200)
    world = xr.Dataset(
        dict(
            crop=modality_array("crop", crop, "category", classes=["wheat", "maize", "rye"]),
            grain=modality_array("grain", amount[:, None].astype("float32"), "tabular", units="t/ha"),
        )
    ).assign_coords(
        sample=[f"f{i:03d}" for i in range(200)],
        lat=("sample", north),
        lon=("sample", east),
        farm=("sample", np.char.add("farm ", farm.astype(str))),
        time=("sample", pd.Timestamp("2020-03-01") + pd.to_timedelta(np.arange(200) % 50, "D")),
    )
    plot_split(split_samples(world, "farm", balance=("crop", "grain")))
    return farm, world


def test_neighbours_within_a_kilometre_mostly_share_a_block_of_100_km_and():
    "Blocks of so many kilometres."
    # neighbours within a kilometre mostly share a block of 100 km, and places 300 km apart never do
    rng = np.random.default_rng(0)
    lat = rng.uniform(-80, 80, 2000)
    lon = rng.uniform(-180, 180, 2000)
    here = block_of_place(lat, lon, 100)
    beside = block_of_place(lat + 0.5 / km_per_degree, lon, 100)
    assert 0.97 < (here == beside).mean() < 1
    away = block_of_place(lat, lon + 300 / km_per_degree / np.cos(np.radians(lat)), 100)
    assert (here != away).all()
    # 180° east is 180° west
    assert block_of_place([10.0], [-180.0], 50) == block_of_place([10.0], [180.0], 50)
    assert block_of_place([np.nan], [3.0], 50)[0] == ""
    with pytest.raises(ValueError, match="block_km is 0"):
        block_of_place([1.0], [1.0], 0)


def test_fifths_by_hand_and_a_missing_number_lies_nowhere():
    "In what the splits should be alike."
    v = np.array([[0.0], [1], [2], [3], [4], [5], [6], [7], [8], [9], [np.nan]])
    found = number_amounts(v)
    assert found.sum(0).tolist() == [2, 2, 2, 2, 2]
    assert not found[-1].any()
    assert found[0].argmax() == 0
    assert found[9].argmax() == 4
    assert not number_amounts(np.full((3, 1), np.nan)).any()


def test_by_a_column(farm_and_world):
    "A world to split."
    # by a column: no value in two splits, the sizes are kept, classes and numbers are alike
    farm, world = farm_and_world
    dealt = split_samples(world, "farm", balance=("crop", "grain"))
    check_samples(dealt)
    assert dealt.attrs["split_by"] == "by 'farm', alike in crop, grain"
    of_farm = pd.Series(dealt.split.values).groupby(dealt.farm.values).nunique()
    assert (of_farm == 1).all()
    share = (dealt.split == "train").mean().item()
    assert abs(share - 0.6) < 0.05
    means = [dealt.grain.values[dealt.split.values == s].mean() for s in split_names]
    plain = split_samples(world, "farm", seed=3)
    plain_means = [plain.grain.values[plain.split.values == s].mean() for s in split_names]
    assert np.ptp(means) < np.ptp(plain_means)
    # the same seed, the same split
    again = split_samples(world, "farm", balance=("crop", "grain"))
    assert (again.split.values == dealt.split.values).all()


def test_by_blocks(farm_and_world):
    "A world to split."
    # by blocks: no two fields of one block in two splits
    farm, world = farm_and_world
    dealt = split_samples(world, block_km=40)
    check_samples(dealt)
    assert dealt.attrs["split_by"] == "by blocks of 40 km"
    assert len(set(dealt.group.values)) > 20
    # without a word: by the places, in blocks of a twentieth of the extent
    assert "by blocks of" in split_samples(world).attrs["split_by"]


def test_by_time(farm_and_world):
    "A world to split."
    # by time: nothing that is tested is older than what was learnt, and no day is on two sides
    farm, world = farm_and_world
    dealt = split_samples(world, "time")
    check_samples(dealt)
    days = {s: dealt.time.values[dealt.split.values == s] for s in split_names}
    assert days["train"].max() < days["valid"].min()
    assert days["valid"].max() < days["test"].min()
    # numbers are times, too
    years = world.assign_coords(time=("sample", 2000 + np.arange(200) % 20))
    assert split_samples(years, "time").time.values[-1] == 2019


def test_a_given_test_set_is_kept_the_rest_is_dealt(farm_and_world):
    "A world to split."
    # a given test set is kept, the rest is dealt; a group on both sides is refused
    farm, world = farm_and_world
    given = np.isin(farm, [3, 7, 11])
    dealt = split_samples(world, "farm", test=given)
    assert ((dealt.split.values == "test") == given).all()
    assert 0.7 < (dealt.split.values[~given] == "train").mean() < 0.8
    half = given.copy()
    half[np.flatnonzero(given)[0]] = False
    with pytest.raises(ValueError, match="1 groups stand in the given test set and outside"):
        split_samples(world, "farm", test=half)


def test_what_cannot_be_split_is_refused_in_one_line(farm_and_world):
    "A world to split."
    farm, world = farm_and_world
    with pytest.raises(ValueError, match="no coordinate or category 'fram'; there are sample, lat"):
        split_samples(world, "fram")
    with pytest.raises(ValueError, match="exclude each other"):
        split_samples(world, "farm", 30)
    with pytest.raises(ValueError, match="three positive numbers"):
        split_samples(world, shares=(0.5, 0.5))
    with pytest.raises(ValueError, match="needs a coordinate `time`"):
        split_samples(world.drop_vars("time"), "time")
    with pytest.raises(ValueError, match="1 group: train"):
        split_samples(world, block_km=20000)
    with pytest.raises(ValueError, match="balance: no modality 'grian'"):
        split_samples(world, balance="grian")
    unknown = world.assign_coords(lat=world.lat.where(world.sample != "f003"))
    with pytest.raises(ValueError, match="1 samples cannot be split by blocks"):
        split_samples(unknown, block_km=40)
    timeless = world.time.where(~world.sample.isin(["f000", "f001"]))
    with pytest.raises(ValueError, match="2 samples have no time"):
        split_samples(world.assign_coords(time=timeless), "time")
    bare = world.drop_vars(["lat", "lon"])
    assert split_samples(bare).attrs["split_by"] == "sample by sample (no group, no places)"
    assert split_samples(world, "crop").attrs["split_by"] == "by 'crop'"


def test_counts_and_shares_are_those_of_the_samples(farm_and_world):
    "What each split holds."
    farm, world = farm_and_world
    dealt = split_samples(world, "farm", balance="crop")
    table = split_table(dealt)
    assert table["", "samples"].astype(int).sum() == 200
    assert table["", "groups"].astype(int).sum() == 40
    train = dealt.isel(sample=dealt.split.values == "train")
    wheat = float((train.crop == 0).mean()) * 100
    assert abs(table["crop", "wheat [%]"]["train"] - wheat) < 0.1
    assert table["grain", "0 [t/ha]"]["train"].startswith(f"{float(train.grain.mean()):.3g}")
