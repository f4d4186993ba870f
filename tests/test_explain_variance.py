"""Rival explanations

Written by nbdev-export from the check cells of nbs/api/explain/10_variance.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from mtl_explain.explain.variance import (
    _penalties, _ridge, class_mixture, cross_fitted, error_sources, plot_variance, read_variance,
    variance_told,
)
from mtl_explain.testing.planted import planted_trace, planted_world
from mtl_explain.trace import split_positions


@pytest.fixture(scope='module')
def told_world_tied_and_not_tied():
    def told_world(tie, seed=0, n=800, n_groups=40):
        "Errors that follow the true class, and of two tasks a tie beyond it."
        rng = np.random.default_rng(seed)
        trace = planted_trace(n_samples=n, n_groups=n_groups, n_epochs=1, size=4)
        hard = np.linspace(0, 3, 11)[trace["truth"].sel(task="climate").values.astype(int)]
        common = rng.normal(size=n)
        for task in ("climate", "weather"):
            own = rng.normal(size=n)
            trace["error"].loc[dict(task=task)] = hard + tie * common + own + 6
        return trace.assign_attrs(main="climate").sel(task=["climate", "weather", "temperature"])
    tied = variance_told(told_world(1.0)).set_index(["source", "how"])
    not_tied = variance_told(told_world(0.0)).set_index(["source", "how"])
    return told_world, tied, not_tied


def test_two_pixels_of_one_class_half_and_half_no_label():
    "What is known of a sample."
    mask = xr.DataArray([[[1, 1]], [[0, 2]], [[-1, -1]]], dims=("sample", "y", "x"))
    found = class_mixture(mask)
    np.testing.assert_allclose(found["mixture"], [0, np.log(2), np.nan])
    assert found["class"][0] == 1
    assert np.isnan(found["class"][2])


def test_what_a_mask_a_label_and_a_number_may_be_told_by():
    "What is known of a sample."
    world = planted_world(n_samples=220, n_epochs=3, n_groups=20, size=6)
    tasks = ["elevation", "weather", "zone", "climate", "temperature"]
    of_mask = error_sources(world.trace, world.samples)
    assert list(of_mask) == ["true class", "mixture", *(f"error of {t}" for t in tasks)]
    assert "mixture" not in error_sources(world.trace)
    of_label = error_sources(world.trace.assign_attrs(main="zone"))
    assert list(of_label)[:2] == ["true class", "error of landcover"]
    of_number = error_sources(world.trace.assign_attrs(main="temperature"))
    assert list(of_number)[0] == "true value"
    sure = world.trace.copy(deep=True)
    sure["confidence"].loc[dict(task="landcover")] = 0.5
    assert list(error_sources(sure))[0] == "confidence"


def test_a_line_is_found():
    "What they tell, judged on other clusters."
    # a line is found; against scikit-learn's own cross-fitting
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(30), 20)
    x = rng.normal(size=600)
    y = 2 * x + rng.normal(size=600)
    ours = cross_fitted(y, pd.DataFrame(dict(x=x)), codes)
    theirs = cross_val_predict(LinearRegression(), x[:, None], y, groups=codes, cv=GroupKFold(5))
    assert abs(r2_score(y, ours) - r2_score(y, theirs)) < 0.02
    kinds = rng.integers(0, 5, 600)
    by_class = cross_fitted(kinds * 1.0, pd.DataFrame({"class": kinds}), codes)
    np.testing.assert_allclose(by_class, kinds, atol=0.05)
    constant = cross_fitted(y, pd.DataFrame(dict(x=np.ones(600))), codes)
    np.testing.assert_array_equal(constant, cross_fitted(y, pd.DataFrame(index=range(600)), codes))
    with pytest.raises(ValueError, match="2 clusters: what is told cannot be judged"):
        cross_fitted(y[:9], pd.DataFrame(dict(x=x[:9])), np.arange(9) % 2)


def test_the_same_as_scikit_learns_ridge_which_looks_at_one_penalty_after_the():
    "What they tell, judged on other clusters."
    # the same as scikit-learn's ridge, which looks at one penalty after the other
    rng = np.random.default_rng(4)
    x = rng.normal(size=(300, 6))
    for noise in (0.1, 3, 30):
        y = x @ np.arange(6) + 5 + noise * rng.normal(size=300)
        slope, intercept = _ridge(x, y)
        theirs = RidgeCV(_penalties).fit(x, y)
        np.testing.assert_allclose(slope, theirs.coef_, rtol=1e-9)
        assert np.isclose(intercept, theirs.intercept_)


def test_what_the_auxiliary_error_adds_is_found_where_it_is_and_not_where_the(told_world_tied_and_not_tied):
    "Planted in both directions."
    # what the auxiliary error adds is found where it is, and not where the class tells it all
    told_world, tied, not_tied = told_world_tied_and_not_tied
    weather, temperature = "error of weather", "error of temperature"
    assert tied.share[weather, "alone"] > 0.2
    assert not_tied.share[weather, "alone"] > 0.1  # by itself it looks like an explanation
    assert tied.low[weather, "adds"] > 0.05
    assert not_tied.low[weather, "adds"] <= 0
    assert abs(not_tied.share[weather, "adds"]) < 0.02
    assert tied.p_holm[temperature, "adds"] > 0.05
    truth = 0.25 * np.linspace(0, 3, 11).var() / (0.25 * np.linspace(0, 3, 11).var() + 0.25)
    assert abs(not_tied.share["true class", "alone"] - truth) < 0.06
    not_tied.round(3)


def test_the_class_of_another_label_given_as_a_further_rival_takes_away_what(told_world_tied_and_not_tied):
    "Planted in both directions."
    # the class of another label, given as a further rival, takes away what its error seemed to add
    told_world, tied, not_tied = told_world_tied_and_not_tied
    by_temperature = told_world(0.0).assign_attrs(main="weather")
    at = split_positions(by_temperature)
    zone = by_temperature.truth.sel(task="climate").values[at]
    known = {"true climate": pd.DataFrame({"class": zone})}
    without = variance_told(by_temperature).set_index(["source", "how"])
    beyond = variance_told(by_temperature, more=known).set_index(["source", "how"])
    climate = ("error of climate", "adds")
    assert without.low[climate] > 0.05
    assert beyond.low[climate] <= 0
    with pytest.raises(ValueError, match="'true climate' has 3 rows, expected a row per sample"):
        variance_told(by_temperature, more={"true climate": pd.DataFrame({"class": zone[:3]})})


def test_false_additions_corrected_for_two_questions(told_world_tied_and_not_tied):
    "Planted in both directions."
    told_world, tied, not_tied = told_world_tied_and_not_tied
    alarms = 0
    for seed in range(40):
        trace = told_world(0.0, 100 + seed, n=220, n_groups=20)
        found = variance_told(trace).query("how == 'adds'")
        alarms += ((found["low"] > 0) & (found["p_holm"] < 0.05)).any()
    print(f"an addition claimed in {alarms} of 40 worlds without one")
    assert alarms <= 4


def test_the_sentence_says_what_adds_and_what_does_not(told_world_tied_and_not_tied):
    "In words and as a picture."
    told_world, tied, not_tied = told_world_tied_and_not_tied
    result = variance_told(told_world(1.0))
    text = read_variance(result)
    print(text)
    assert "the error of weather adds" in text
    assert "error of temperature adds" in text and text.count("nothing is shown") == 1
    # of a task that was not learnt nothing is said, nor of all others together
    silent = read_variance(result, unlearnt=("weather", "landcover"))
    assert silent.endswith("Not interpreted, since not shown to be learnt: weather.")
    assert "error of weather" not in silent and "all other tasks" not in silent
    assert "error of temperature adds" in silent
    ax = plot_variance(result)
    assert len(ax.get_yticklabels()) == len(result)


def test_an_interval_without_zero_whose_p_value_does_not_pass_the_correction_is(told_world_tied_and_not_tied):
    "In words and as a picture."
    # an interval without zero whose p-value does not pass the correction is said to be that
    told_world, tied, not_tied = told_world_tied_and_not_tied
    lost = variance_told(told_world(1.0))
    at = lost.index[lost["how"] == "adds"][0]
    lost.loc[at, ["share", "low", "high", "p_holm"]] = [0.19, 0.03, 0.35, 0.061]
    text = read_variance(lost)
    asked = int((lost["how"] == "adds").sum())
    said = f"19% (3% to 35%), but not after correction for {asked} questions (p = 0.061): nothing is"
    assert said in text
