"""The best constant

Written by nbdev-export from the check cells of nbs/api/data/07_constants.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest
import xarray as xr
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import log_loss

from mtl_explain.data.batches import scaled_modalities
from mtl_explain.data.constants import (
    best_constants, channel_errors, constant_errors, constant_losses, drawn_rows, sample_errors,
)
from mtl_explain.modality import Modality
from mtl_explain.testing.toy_samples import toy_samples


# a label and a height
@pytest.fixture(scope='module')
def label():
    return Modality("kind", "category", classes=("a", "b", "c"))


@pytest.fixture(scope='module')
def height():
    return Modality("height", "tabular", (1,), channels=("height",), units="m")


@pytest.fixture(scope='module')
def samples_train_test_names_and_mods():
    "The toy world."
    samples = toy_samples()
    split = samples.split.values
    train = np.flatnonzero(split == "train")
    test = np.flatnonzero(split == "test")
    names = ("cover", "elevation", "climate", "months", "warmth")
    mods = scaled_modalities(samples, names)
    return samples, train, test, names, mods


def test_constants_by_hand(label, height):
    "Learnt from the training split."
    # constants by hand: the most frequent class, the median and the mean
    found = best_constants(np.array([1, 1, 0, -1]), label)
    assert found["error"] == 1
    np.testing.assert_allclose(found["loss"], np.array([1, 2, 0.5]) / 3.5)
    found = best_constants(np.array([[0.0], [1], [np.nan], [8]]), height)
    assert (found["error"].tolist(), found["loss"].tolist()) == ([1], [3])
    image = Modality("z", "image", (2, 1, 2), channels=("a", "b"))
    two = np.array([[[[1, 2]], [[10, 20]]], [[[3, np.nan]], [[30, 40]]]])
    assert best_constants(two, image)["loss"][:, 0, 0].tolist() == [2, 25]
    with pytest.raises(ValueError, match="no training sample has a label"):
        best_constants(np.array([-1, -1]), label)
    with pytest.raises(ValueError, match="'height': no training sample has a value for 1 of 1"):
        best_constants(np.array([[np.nan]]), height)


def test_several_labels():
    "Errors, sample by sample."
    # several labels: the more frequent answer of each, and what it gets wrong, by hand
    trees = Modality("trees", "multilabel", (2,), ("oak", "pine"), ("absent", "present"))
    seen = np.array([[1, 0], [1, 0], [1, 1], [0, -1]])
    best = best_constants(seen, trees)
    assert best["error"].tolist() == [1, 0]
    assert np.allclose(best["loss"], [[0.25, 0.75], [2 / 3, 1 / 3]])
    asked = np.array([[1, 1], [0, -1]])
    assert sample_errors(best["error"], asked, trees).tolist() == [0.5, 1]
    expected = [-(np.log(0.75) + np.log(1 / 3)) / 2, -np.log(0.25)]
    assert np.allclose(constant_losses(best["loss"], asked, trees), expected)
    wrong, surprise = channel_errors(best, asked, trees)
    assert np.array_equal(wrong, [[0, 1], [1, np.nan]], equal_nan=True)
    assert surprise[0, 1] == pytest.approx(-np.log(1 / 3))


def test_errors_by_hand(label):
    "Errors, sample by sample."
    # errors by hand: labels, and a height whose scaling is 10 m
    truth = np.array([0, 1, 2, -1])
    np.testing.assert_equal(sample_errors(1, truth, label), [1, 0, 1, np.nan])
    shares = np.array([0.5, 0.25, 0.25])
    np.testing.assert_allclose(constant_losses(shares, truth, label)[:3], np.log([2, 4, 4]))
    scaled = Modality("height", "tabular", (1,), channels=("height",), mean=(0.0,), std=(10.0,))
    metres = np.array([[20.0], [np.nan]])
    np.testing.assert_equal(sample_errors(np.array([30.0]), metres, scaled), [10, np.nan])
    np.testing.assert_equal(constant_losses(np.array([40.0]), metres, scaled), [4, np.nan])
    both = dict(mean=(0.0, 0.0), std=(5.0, 50.0))
    month = Modality("month", "tabular", (2,), channels=("t", "p"), **both)
    truth = np.array([[10.0, 100.0], [np.nan, 50.0]])
    np.testing.assert_equal(sample_errors(np.zeros(2), truth, month), [2, 1])
    off, squared = channel_errors(dict(error=np.zeros(2), loss=np.zeros(2)), truth, month)
    np.testing.assert_equal(off, [[10, 100], [np.nan, 50]])
    np.testing.assert_allclose(squared, [[4, 4], [np.nan, 1]])


def test_against_scikit_learn(samples_train_test_names_and_mods):
    "Errors, sample by sample."
    samples, train, test, names, mods = samples_train_test_names_and_mods
    made = constant_errors(samples, mods, names, train, test)
    assert dict(made.sizes) == dict(sample=16, task=5)
    climate = samples.climate.values
    frequent = DummyClassifier(strategy="most_frequent").fit(train[:, None], climate[train])
    wrong = frequent.predict(test[:, None]) != climate[test]
    np.testing.assert_array_equal(made.constant_error.sel(task="climate"), wrong)
    prior = DummyClassifier(strategy="prior").fit(train[:, None], climate[train])
    entropy = log_loss(climate[test], prior.predict_proba(test[:, None]), labels=prior.classes_)
    assert made.constant_loss.sel(task="climate").mean().item() == pytest.approx(entropy, rel=1e-5)
    for name in ("warmth", "months"):
        flat = samples[name].values.reshape(96, -1)
        median = DummyRegressor(strategy="median").fit(train[:, None], flat[train])
        off = np.abs(median.predict(test[:, None]).reshape(16, -1) - flat[test]).mean(1)
        np.testing.assert_allclose(made.constant_error.sel(task=name), off, rtol=1e-4)


def test_the_loss_of_the_mean_is_one_on_the_training_samples(samples_train_test_names_and_mods):
    "Errors, sample by sample."
    samples, train, test, names, mods = samples_train_test_names_and_mods
    own = constant_errors(samples, mods, ("elevation", "warmth"), train, train)
    np.testing.assert_allclose(own.constant_loss.mean("sample"), 1, rtol=1e-4)


def test_few_samples_drawn_missing_labels_a_task_without_any(samples_train_test_names_and_mods):
    "Errors, sample by sample."
    samples, train, test, names, mods = samples_train_test_names_and_mods
    few = drawn_rows(np.arange(100), 10)
    assert len(set(few)) == 10 and list(few) == sorted(few)
    assert list(drawn_rows(np.arange(100), 10)) == list(few)
    assert list(drawn_rows(np.arange(100), 10, 1)) != list(few)
    assert list(drawn_rows(np.array([3, 1]), 10)) == [1, 3]
    holes = samples.copy(deep=True)
    holes["climate"][test[0]] = -1
    holes["warmth"][test[1]] = np.nan
    made = constant_errors(holes, mods, names, train, test)
    assert np.isnan(made.constant_error.sel(task="climate")).values.tolist() == [True] + 15 * [False]
    assert np.isnan(made.constant_loss.sel(task="warmth")).values.nonzero()[0].tolist() == [1]
    assert not np.isnan(made.constant_error.sel(task="cover")).any()
    elsewhere = samples.isel(sample=train)  # the training samples in a sample set of their own
    apart = constant_errors(holes, mods, names, np.arange(len(train)), test, elsewhere=elsewhere)
    xr.testing.assert_identical(apart, made)
    holes["climate"][:] = -1
    made = constant_errors(holes, mods, names, train, test)
    assert np.isnan(made.constant_error.sel(task="climate")).all()
