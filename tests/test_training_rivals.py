"""Rivals

Written by nbdev-export from the check cells of nbs/api/training/11_rivals.ipynb.
Do not edit: change the notebook, then `make export`.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.metrics import accuracy_score, mean_absolute_error, r2_score

from mtl_explain.data.partition import split_samples
from mtl_explain.data.samples import modality_array
from mtl_explain.modality import Modality
from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.rivals import (
    Caps, known_steps, pixel_features, rival_names, rival_scores, rivals, sample_features, series_maps,
    split_optimism,
)


def farms(shared, n=240, seed=0):
    "Fields on farms: each farm has its own look and its own class, or a class by the field."
    rng = np.random.default_rng(seed)
    farm = np.repeat(np.arange(n // 8), 8)
    look = rng.normal(0, 1, (n // 8, 6))[farm] + rng.normal(0, 0.1, (n, 6))
    crop = rng.integers(0, 2, n // 8)[farm] if shared else rng.integers(0, 2, n)
    look[:, 0] += crop  # what honestly tells the class
    values = dict(
        look=modality_array("look", look.astype("float32"), "tabular"),
        crop=modality_array("crop", crop, "category", classes=["wheat", "maize"]),
    )
    coords = dict(
        sample=np.arange(n).astype(str), farm=("sample", np.char.add("farm ", farm.astype(str)))
    )
    return split_samples(xr.Dataset(values).assign_coords(coords), "farm")


@pytest.fixture(scope='module')
def samples_setup_and_made():
    "The toy world, and a task that nobody can learn: coins."
    samples = toy_samples(192)
    coins = np.random.default_rng(0).integers(0, 4, 192)
    samples["coin"] = samples.climate.copy(data=coins)
    setup = Setup(("optical", "months"), ("cover", "elevation", "climate", "coin", "warmth"))
    made = rivals(samples, setup, caps=Caps(trees=30, rows=6000))
    return samples, setup, made


def test_features_by_hand():
    "Features of a sample."
    image = Modality("z", "image", (1, 1, 2), channels=("z",))
    made = sample_features(np.array([[[[1.0, 3.0]]]]), image)
    np.testing.assert_allclose(made, [[2, 1, 1.1, 1.5, 2, 2.5, 2.9]], rtol=1e-6)
    label = Modality("kind", "category", classes=("a", "b"))
    assert sample_features(np.array([1, -1]), label).tolist() == [[0, 1], [0, 0]]
    mask = Modality("cover", "mask", (1, 4), classes=("a", "b"))
    assert sample_features(np.array([[[0, 0, 1, -1]]]), mask).tolist() == [[0.5, 0.25]]
    year = Modality("year", "series", (2, 1), channels=("t",))
    assert sample_features(np.array([[[1.0], [2.0]]]), year).tolist() == [[1, 2]]
    # a series of images: what each pixel shows on the whole, and when it shows most
    dates = np.array([1.0, 5, np.nan, 2]).reshape(1, 4, 1, 1, 1)
    mean, spread, least, most, when = series_maps(dates).ravel()
    assert (mean, least, most, when) == pytest.approx((8 / 3, 1, 5, 0.25))
    assert spread == pytest.approx(np.std([1, 5, 2]))
    stack = Modality("stack", "image_series", (4, 1, 1, 1), channels=("ndvi",))
    assert sample_features(dates, stack)[0, 0] == pytest.approx(8 / 3)
    # samples of different length: what is there on the whole, and the day of the greatest
    days = np.array([[10.0, 40, np.nan], [5, 15, 25], [np.nan] * 3])
    rain = modality_array("rain", np.array([[1.0, 3, 0], [6, 4, 2], [0] * 3])[..., None], "series")
    rain = rain.assign_coords(rain_time=(rain.dims[:2], days))
    of_three = replace(year, shape=(3, 1))
    made = sample_features(*known_steps(rain)[:1], of_three, known_steps(rain)[1])
    np.testing.assert_allclose(made[0], [2, 1, 1, 3, 40])
    np.testing.assert_allclose(made[1], [4, np.sqrt(8 / 3), 2, 6, 5], rtol=1e-6)
    assert np.isnan(made[2]).all()
    whole = rain.isel(sample=[1])
    assert known_steps(whole)[1] is None


def test_a_pixel_and_its_surroundings_by_hand():
    "Features of a pixel."
    # a pixel and its surroundings by hand; a coarser input is read at the nearest pixel
    flat = np.zeros((1, 1, 10, 10))
    flat[0, 0, 5, 5] = 25
    m = Modality("z", "image", (1, 10, 10), channels=("z",))
    found = pixel_features(flat, m, np.array([[55, 44, 0]]), (10, 10))
    np.testing.assert_allclose(found[0, :, 0], [25, 0, 0])
    np.testing.assert_allclose(found[0, :, 1], [1, 1, 0], atol=1e-5)
    np.testing.assert_allclose(found[0, :, 2], [24**0.5, 24**0.5, 0], rtol=1e-4, atol=1e-2)
    coarse = np.arange(4.0).reshape(1, 1, 2, 2)
    half = Modality("z", "image", (1, 2, 2), channels=("z",))
    assert pixel_features(coarse, half, np.array([[0, 3, 12, 15]]), (4, 4))[0, :, 0].tolist() == [
        0,
        1,
        2,
        3,
    ]


def test_how_many_observations_there_are_is_hardly_told_by_noise():
    "Both rivals."
    # how many observations there are is hardly told by noise; where padding is taken for data, it is
    rng = np.random.default_rng(0)
    length = rng.integers(3, 13, 300)
    there = np.arange(12) < length[:, None]
    days = np.where(there, np.sort(rng.uniform(0, 365, there.shape), 1), np.nan)
    values = np.where(there, rng.normal(100, 5, there.shape), 0)[..., None]


    def told_of_length(days):
        "R² of a forest that reads the series and predicts its length."
        rain = modality_array("rain", values, "series", time=days)
        count = modality_array("count", 1.0 * length[:, None], "tabular")
        made = xr.Dataset(dict(rain=rain, count=count)).assign_coords(sample=np.arange(300).astype(str))
        found = rivals(split_samples(made), Setup("rain", "count"), splits=("valid",)).scores
        forest = found[(found.setup == rival_names[1]) & (found.metric == "r2")]
        return forest["value"].item()


    assert told_of_length(days) < 0.7
    assert told_of_length(None) > 0.95


def test_the_forest_beats_the_constant_where_something_can_be_learnt_and_only(samples_setup_and_made):
    "In the toy world."
    # the forest beats the constant where something can be learnt, and only there
    samples, setup, made = samples_setup_and_made
    test = made.scores[made.scores.split == "test"].set_index(["setup", "task", "metric"]).value
    constant, forest = (test[n] for n in rival_names)
    assert forest["cover", "accuracy"] > constant["cover", "accuracy"] + 0.1
    assert forest["climate", "accuracy"] > constant["climate", "accuracy"] + 0.1
    assert forest["warmth", "r2"] > 0.8
    assert forest["elevation", "r2"] > 0.2
    assert abs(forest["coin", "accuracy"] - 0.25) < 0.2
    assert constant["warmth", "r2"] < 0.05
    test.unstack("setup").round(3)


def test_by_seed_and_against_scikit_learn(samples_setup_and_made):
    "In the toy world."
    samples, setup, made = samples_setup_and_made
    few = replace(setup, targets=dict(climate={}, warmth={}), main="climate")
    caps = Caps(trees=10)
    one = rivals(samples, few, caps=caps)
    again = rivals(samples, few, caps=caps)
    pd.testing.assert_frame_equal(one.scores, again.scores)
    assert one.errors.identical(again.errors)
    assert not one.errors.equals(rivals(samples, few, 1, caps=caps).errors)
    split = samples.split.values
    train, test = (np.flatnonzero(split == s) for s in ("train", "test"))
    told = one.scores.query("split == 'test' and setup == 'constant'").set_index(["task", "metric"])
    label = samples.climate.values
    frequent = np.full(len(test), np.bincount(label[train]).argmax())
    assert told.value["climate", "accuracy"] == pytest.approx(accuracy_score(label[test], frequent))
    warm = samples.warmth.values[:, 0]
    median = np.full(len(test), np.median(warm[train]))
    mean = np.full(len(test), warm[train].mean())
    assert told.value["warmth", "mae"] == pytest.approx(mean_absolute_error(warm[test], median), 1e-5)
    assert told.value["warmth", "r2"] == pytest.approx(r2_score(warm[test], mean), abs=1e-5)
    off = one.errors.sel(rival="constant", task="climate", sample=samples.sample[test].values)
    np.testing.assert_array_equal(off, label[test] != frequent)


def test_missing_labels_do_not_count(samples_setup_and_made):
    "In the toy world."
    # missing labels do not count; other grids, masks, categories and missing inputs are read
    samples, setup, made = samples_setup_and_made
    holes = samples.copy(deep=True)
    holes["warmth"][:20] = np.nan
    holes["climate"][5:30] = -1
    holes["months"][3, 2] = np.nan
    holes["coarse"] = samples.elevation[:, :, ::2, ::2].rename(y="v", x="w")
    role = Setup(("cover", "months", "coarse", "zone"), ("climate", "warmth", "elevation"))
    found = rivals(holes, role, caps=Caps(trees=5, rows=2000, pixels=9))
    rows = found.scores.query("metric == 'mae' or metric == 'accuracy'").set_index(["task", "split"])
    assert (rows.loc[("elevation", "test"), "rows"] == 9 * int((holes.split == "test").sum())).all()
    known = (holes.split == "train") & (holes.climate >= 0)
    assert (rows.loc[("climate", "test"), "train_rows"] == int(known.sum())).all()
    assert found.scores.value.notna().all()


def test_where_farms_are_alike_within_a_random_split_flatters():
    "How much a random split flatters."
    # where farms are alike within, a random split flatters; where fields are independent, it does not
    role = Setup("look", "crop")
    flattered = split_optimism(farms(True), role, caps=Caps(trees=20))
    honest = split_optimism(farms(False), role, caps=Caps(trees=20))
    assert flattered.optimism["crop", "accuracy"] > 0.2
    assert abs(honest.optimism["crop", "accuracy"]) < 0.12
    unsplit = farms(True).assign_coords(split=("sample", ["train"] * 240))
    with pytest.raises(ValueError, match="no samples of split valid"):
        rival_scores(unsplit, role, splits=("valid",))
    flattered.round(2)
