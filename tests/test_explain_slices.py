"""Where does a task fail

Written by nbdev-export from the check cells of nbs/api/explain/12_slices.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from mtl_explain.explain.slices import (
    _scores, conditions, failing_slices, fulfils, planted_slices, read_slices, sample_features, slice_text,
)


def test_conditions_of_classes_and_numbers_and_what_is_not_known_fulfils_none():
    "Conditions."
    table = pd.DataFrame(dict(cover=["a", "a", "b", None], height=[1.0, 2.0, 3.0, np.nan]))
    found = conditions(table, 1)
    assert ("cover", "is", "a") in found
    assert ("height", ">", 2.0) in found
    assert fulfils(table, (("cover", "is", "a"), ("height", ">", 1.5))).tolist() == [0, 1, 0, 0]
    assert fulfils(table, (("height", "<=", 2.0),)).tolist() == [1, 1, 0, 0]
    assert slice_text((("cover", "is", "a"), ("height", ">", 1200.0))) == "cover is a and height > 1200"
    assert conditions(table, 2) == [c for c in found if 2 <= fulfils(table, (c,)).sum() <= 2]


def test_the_scores_are_those_of_scipy_slice_by_slice():
    "Found on validation."
    from scipy import stats

    rng = np.random.default_rng(0)
    table = pd.DataFrame(dict(a=rng.choice(["x", "y", "z"], 200), b=rng.normal(size=200)))
    error = rng.exponential(size=200)
    single = conditions(table, 10)
    inside = np.stack([fulfils(table, (c,)) for c in single], 1)
    score, size = _scores(inside, error)
    for i, j in ((0, 0), (0, 3), (1, 4)):
        at = inside[:, i] & inside[:, j]
        theirs = stats.ttest_ind(error[at], error[~at], equal_var=False).statistic
        assert size[i, j] == at.sum()
        assert score[i, j] == pytest.approx(theirs)


def test_the_slice_that_fails_is_found_and_confirmed_in_each_of_twenty_worlds():
    "Planted: a slice that fails."
    for seed in range(20):
        found = failing_slices(*planted_slices(1.5, seed=seed))
        sure = found[found.confirmed].slice
        assert any("cover is steppe" in s and "height >" in s for s in sure), seed


def test_in_200_worlds_without_slices_nothing_is_confirmed_in_at_least_95():
    "Planted: a slice that fails."
    wrong = sum(failing_slices(*planted_slices(0, seed=s)).confirmed.any() for s in range(200))
    print(f"{wrong} of 200 worlds without a slice have one confirmed")
    assert wrong <= 10, wrong


def test_judged_where_it_was_found_the_worst_of_many_slices_looks_real_far_too():
    "Planted: a slice that fails."
    # judged where it was found, the worst of many slices looks real far too often
    wrong = 0
    for seed in range(40):
        trace, table = planted_slices(0, seed=seed)
        same = trace.assign_coords(split=("sample", np.full(trace.sizes["sample"], "valid")))
        twice = xr.concat([same, same.assign_coords(split=same.split.where(False, "test"))], "sample")
        wrong += failing_slices(twice, table, n=1).confirmed.any()
    print(f"{wrong} of 40 when the worst slice is judged where it was found")
    assert wrong >= 8, wrong


def test_what_a_sample_set_says_of_its_samples():
    "Read it."
    from mtl_explain.testing.toy_samples import toy_samples

    toys = toy_samples(40, size=8)
    known = sample_features(toys)
    assert list(known.index) == list(toys.sample.values)
    assert {"zone", "climate", "cover", "lat", "lon"} <= set(known)
    assert known.climate.dtype.kind not in "iuf"
    assert sample_features(toys, ["zone"]).columns.tolist() == ["zone", "lat", "lon"]
    days = pd.date_range("2025-01-15", periods=40, freq="30D")
    seasons = sample_features(toys.assign_coords(time=("sample", days))).season
    assert set(seasons) == {"Dec-Feb", "Mar-May", "Jun-Aug", "Sep-Nov"}
    assert seasons.iloc[0] == "Dec-Feb"
    with pytest.raises(ValueError, match="'rain' is no modality of these samples; they have "):
        sample_features(toys, ["rain"])


def test_bad_questions_get_one_line():
    "Read it."
    # bad questions get one line; too few samples no slice
    trace, table = planted_slices(1.0, n_blocks=8, n=4)
    few = failing_slices(trace, table)
    assert few.empty
    assert read_slices(few) == "No slice of these samples is large enough to be asked about."
    with pytest.raises(ValueError, match="found and confirmed on 'test'"):
        failing_slices(trace, table, find="test")
    with pytest.raises(ValueError, match="'height' is no task of this trace; it has depth"):
        failing_slices(trace, table, "height")
    with pytest.raises(ValueError, match="no row for sample 's0' .16 of 16 in valid.; its index"):
        failing_slices(trace, table.reset_index(drop=True))
    with pytest.raises(ValueError, match="several rows for a sample"):
        failing_slices(trace, pd.concat([table, table]))
