"""Statistics of the training split

Written by nbdev-export from the check cells of nbs/api/data/01_statistics.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest

from mtl_explain.data.samples import modality_array
from mtl_explain.data.statistics import (
    _channel_statistics, _first_known, _merge, _moments, training_statistics,
)
from mtl_explain.testing.toy_samples import toy_samples


@pytest.fixture(scope='module')
def world():
    "A small made-up world."
    return toy_samples()


def test_merged_moments_are_those_of_numpy_where_naive_sums_in_float32_fail():
    "Block by block."
    values = np.random.default_rng(0).normal(1e4, 1, (1, 200_000))
    values[0, ::7] = np.nan
    shift = _first_known(values)
    first, second, third = (_moments(v, shift) for v in np.split(values, [50, 9999], axis=1))
    n, mean, squares, low, high = _merge(first, _merge(second, third))
    assert n == np.isfinite(values).sum()
    assert np.isclose(mean, np.nanmean(values), rtol=1e-14)
    assert np.isclose(squares / n, np.nanvar(values), rtol=1e-10)
    assert (low, high) == (np.nanmin(values), np.nanmax(values))
    x = values[np.isfinite(values)].astype("float32")
    mean_square = np.cumsum(x**2, dtype="float32")[-1] / len(x)
    square_mean = (np.cumsum(x, dtype="float32")[-1] / len(x)) ** 2
    naive = mean_square - square_mean
    print(
        f"variance: numpy {np.nanvar(values):.4f}, merged {squares[0] / n[0]:.4f}, "
        f"naive float32 sums {naive:.0f}"
    )


def test_in_float32_from_a_number_nearby():
    "Block by block."
    # in float32 from a number nearby: a seventh digit may differ, a constant has no deviation
    rng = np.random.default_rng(1)
    shorts = np.stack([rng.normal(1e4, 1, 90_000), rng.normal(0, 50, 90_000), np.full(90_000, 0.1)])
    shorts = shorts.astype("float32")
    exact = shorts.astype(float)
    found = _channel_statistics(np.split(shorts.T, 9), 1, list("abc"))
    assert np.allclose(found["mean"], exact.mean(1), rtol=1e-8, atol=1e-6)
    assert np.allclose(found["std"], exact.std(1), rtol=1e-7)
    assert found["std"][2] == 0
    assert found["mean"][2] == np.float32(0.1)
    huge = _channel_statistics([np.array([[1e30], [3e30], [np.nan]], "float32")], 1, ["far"])
    assert np.isclose(huge["std"][0], 1e30)
    assert huge["count"] == [2]


def test_a_first_number_far_from_all_others_bytes_and_flags():
    "Block by block."
    rng = np.random.default_rng(2)
    far = np.concatenate([[-1e4], rng.normal(0, 1, 300_000)]).astype("float32")[:, None]
    found = _channel_statistics(np.array_split(far, 9), 1, ["far"])
    assert np.isclose(found["std"][0], far.astype(float).std(), rtol=1e-5)
    for values in (rng.integers(0, 256, (5000, 2), "uint8"), rng.random((5000, 2)) < 0.2):
        found = _channel_statistics(np.split(values, 5), 1, ["a", "b"])
        assert np.allclose(found["std"], values.std(0), rtol=1e-7)
        assert (found["min"], found["max"]) == (values.min(0).tolist(), values.max(0).tolist())


def test_statistics_are_those_of_numpy_over_the_training_split_whatever_the(world):
    "Block by block."
    # statistics are those of numpy over the training split, whatever the block
    train = world.isel(sample=world.split.values == "train")
    for block in (7, None):
        stats = training_statistics(world, block=block)
        assert np.allclose(stats["optical"]["mean"], train.optical.mean(("sample", "y", "x")))
        assert np.allclose(
            stats["optical"]["std"], train.optical.astype(float).std(("sample", "y", "x"))
        )
        assert stats["months"]["channels"] == ["temperature"]
        assert np.isclose(stats["months"]["max"][0], train.months.max())
        assert stats["cover"]["count"] == [int((train.cover == k).sum()) for k in range(3)]


def test_missing_values_are_counted_and_change_nothing_else(world):
    "Block by block."
    gaps = world.copy(deep=True)
    gaps.climate[:5] = -1
    gaps.months[0, :3] = np.nan
    gaps.warmth[:] = np.nan
    stats = training_statistics(gaps)
    assert stats["climate"]["missing"] == 5
    assert sum(stats["climate"]["count"]) == (world.split == "train").sum() - 5
    assert stats["months"]["missing"] == [3]
    train = gaps.months[gaps.split.values == "train"]
    assert np.isclose(stats["months"]["mean"][0], np.nanmean(train, dtype=float))
    assert stats["warmth"]["mean"] == [None]
    assert stats["warmth"]["count"] == [0]
    with pytest.raises(ValueError, match="the split 'train' is empty"):
        training_statistics(world.isel(sample=world.split.values == "test"))


def test_series_of_different_length(world):
    "Block by block."
    # series of different length: the statistics are those of the observations that there are
    rng = np.random.default_rng(3)
    length = rng.integers(0, 6, len(world.sample))
    days = np.where(np.arange(5) < length[:, None], 30.0 * np.arange(5), np.nan)
    values = rng.normal(100, 5, (len(length), 5, 2)).astype("float32")
    train = (world.split == "train").values
    own = values[train][np.isfinite(days[train])].astype(float)
    for pad in (0, np.nan):
        padded = np.where(np.isfinite(days)[..., None], values, np.float32(pad))
        rain = modality_array("rain", padded, "series", time=days)
        for block in (7, None):
            stats = training_statistics(world[["warmth"]].assign(rain=rain), block=block)["rain"]
            assert np.allclose(stats["mean"], own.mean(0))
            assert np.allclose(stats["std"], own.std(0))
            assert stats["min"] == own.min(0).tolist()
            assert (stats["count"], stats["missing"]) == ([len(own)] * 2, [0, 0])
    # images that are whole numbers, padded with zeros; and a series without any step at all
    shorts = np.nan_to_num(padded).round().astype("int16")[..., None, None]
    stack = modality_array("stack", shorts, "image_series", time=days)
    stats = training_statistics(world[["warmth"]].assign(stack=stack))["stack"]
    assert stats["min"][0] > 50
    never = rain.assign_coords(rain_time=(rain.dims[:2], np.full_like(days, np.nan)))
    stats = training_statistics(world[["warmth"]].assign(rain=never))["rain"]
    assert (stats["mean"], stats["count"], stats["missing"]) == ([None, None], [0, 0], [0, 0])
