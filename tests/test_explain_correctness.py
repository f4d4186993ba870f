"""Correct and false together

Written by nbdev-export from the check cells of nbs/api/explain/02_correctness.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from scipy import stats
from scipy.special import logit
from sklearn.metrics import confusion_matrix, roc_auc_score

from mtl_explain.explain.correctness import (
    _comparison, _comparison_rows, corrected_together, correctness, correctness_groups, error_by_correctness,
    error_by_groups, group_fate, pixel_groups, plot_corrected_together, plot_correctness_groups,
    plot_error_by_correctness, plot_error_by_groups, plot_group_fate, plot_transition_matrix,
    regression_error, transition_matrix,
)
from mtl_explain.explain.resampling import Resampling, jackknife
from mtl_explain.testing.planted import planted_trace
from mtl_explain.trace import group_names, moment_names
from mtl_explain.training.recorder import co_moments


@pytest.fixture(scope='module')
def trace():
    "A trace with known moves."
    return planted_trace(n_samples=2000, n_groups=50, n_epochs=8, size=4)


def test_five_samples_by_hand():
    "The four groups."
    trace = planted_trace(n_samples=5, n_groups=5, n_epochs=1, size=4)
    trace["correct"].loc[dict(task="zone")] = [[1, 1, 0, 0, 1]]
    trace["correct"].loc[dict(task="climate")] = [[1, 0, 1, 0, np.nan]]
    assert correctness(trace, "zone", "climate", np.arange(5)).tolist() == [[0, 1, 2, 3, -1]]
    assert correctness(trace, "climate", "zone", np.arange(5)).tolist() == [[0, 2, 1, 3, -1]]
    with pytest.raises(ValueError, match="'elevation' is of kind image"):
        correctness(trace, "zone", "elevation", np.arange(5))
    with pytest.raises(ValueError, match="'roads' is no task"):
        correctness(trace, "roads", "zone", np.arange(5))


def test_counts_against_sklearns_confusion_matrix(trace):
    "The four groups."
    result = correctness_groups(trace, "zone", "climate")
    assert result[result.epoch == 0]["count"].tolist() == [200, 300, 300, 1200]
    assert (result.missing == 0).all()
    for epoch in (1, 7):
        a, b = (trace.correct.sel(task=t, epoch=epoch).values for t in ("zone", "climate"))
        expected = confusion_matrix(a, b, labels=[1, 0]).ravel().tolist()
        assert result[result.epoch == epoch]["count"].tolist() == expected
    np.testing.assert_allclose(result.groupby("epoch").share.sum(), 1)
    assert ((result.low < result.share) & (result.share < result.high)).all()
    assert ((result.band_low <= result.low) & (result.high <= result.band_high)).all()
    last = result[result.epoch == 7].set_index("group")
    first = result[result.epoch == 0].set_index("group")
    np.testing.assert_allclose(last.change, last.share - first.share)
    assert last.change_high["FF"] < 0 < last.change_low["CC"]


def test_missing_labels_are_left_out_and_counted(trace):
    "The four groups."
    gappy = trace.copy(deep=True)
    kept = np.arange(2000) % 10 > 0
    gappy["correct"].loc[dict(task="climate")] = gappy["correct"].sel(task="climate").where(kept)
    result = correctness_groups(gappy, "zone", "climate")
    assert (result.missing == 200).all()
    assert (result.groupby("epoch")["count"].sum() == 1800).all()
    gappy["correct"].loc[dict(task="climate")] = np.nan
    assert correctness_groups(gappy, "zone", "climate").share.isna().all()


def test_pixels_counted_one_by_one_some_of_them_unlabelled_against_what_the_co():
    "By pixel."
    # pixels counted one by one, some of them unlabelled, against what the co-moments say
    g = torch.Generator().manual_seed(0)
    shape = (2, 5, 9, 7)  # (epoch, sample, y, x): wrong or not
    x = torch.rand(shape, generator=g) < 0.3
    y = torch.rand(shape, generator=g) < 0.4
    y = torch.where(torch.rand(shape, generator=g) < 0.5, x, y).float()
    x = x.float()
    y[:, 2, :3] = torch.nan
    moments = torch.stack([co_moments(a, b) for a, b in zip(x, y, strict=True)])[:, :, None].numpy()
    kept = xr.Dataset(
        dict(moments=(("epoch", "sample", "pair", "moment"), moments)),
        dict(
            epoch=[0, 1],
            sample=list("abcde"),
            split=("sample", ["test"] * 4 + ["valid"]),
            task=["p", "q"],
            kind=("task", ["mask", "mask"]),
            pair_x=("pair", ["p"]),
            pair_y=("pair", ["q"]),
            moment=list(moment_names),
        ),
    )
    a, b = (v[1, :4].flatten().numpy() for v in (x, y))
    known = ~np.isnan(b)
    expected = confusion_matrix(1 - a[known], 1 - b[known], labels=[1, 0])
    found = pixel_groups(kept, "p", "q").query("epoch == 1")
    assert found["count"].tolist() == expected.ravel().tolist()
    assert found.share.sum() == pytest.approx(1)
    swapped = pixel_groups(kept, "q", "p").query("epoch == 1")
    assert swapped["count"].tolist() == expected.T.ravel().tolist()
    with pytest.raises(ValueError, match="need two masks of one grid"):
        pixel_groups(kept.assign_coords(kind=("task", ["mask", "image"])), "p", "q")


def test_groups_over_the_epochs(trace):
    "By pixel."
    ax = plot_correctness_groups(correctness_groups(trace, "zone", "climate"))
    assert [line.get_label() for line in ax.lines] == list(group_names)


def test_a_fifth_of_the_false_ones_is_corrected(trace):
    "Where they go."
    fate = group_fate(trace, "zone", "climate")
    later = fate[fate.epoch == 1].set_index("group")
    assert later["count"].tolist() == [240, 60, 60, 840]
    assert np.allclose(later.share, [0.2, 0.05, 0.05, 0.7])
    assert (later.n == 1200).all()
    assert ((later.low < later.share) & (later.share < later.high)).all()
    assert later.clusters.eq(50).all()
    assert fate[fate.epoch == 0].share.tolist() == [0, 0, 0, 1]
    assert fate[fate.epoch == 0].low.isna().all()


def test_fate_of_the_false_ones(trace):
    "Where they go."
    ax = plot_group_fate(group_fate(trace, "zone", "climate"))
    assert len(ax.collections) == 4
    assert "1200" in ax.get_title()
    assert ax.get_xlim() == (trace.epoch[0], trace.epoch[-1])


def test_one_step_and_two_steps(trace):
    "Where they go."
    def table(start, end):
        result = transition_matrix(trace, "zone", "climate", start, end)
        return result.pivot(index="source", columns="target", values="share").values


    planted = np.array(
        [[0.95, 0.03, 0.02, 0], [0.1, 0.8, 0.02, 0.08], [0.08, 0.02, 0.8, 0.1], [0.2, 0.05, 0.05, 0.7]]
    )
    np.testing.assert_allclose(table(0, 1), planted, atol=0.004)
    np.testing.assert_allclose(table(0, 2), planted @ planted, atol=0.03)
    np.testing.assert_allclose(table(3, 3), np.eye(4))


def test_counts_against_pandas_crosstab_an_empty_group(trace):
    "Where they go."
    g = correctness(trace, "zone", "climate", np.arange(2000))
    expected = pd.crosstab(g[2], g[5]).reindex(index=range(4), columns=range(4), fill_value=0)
    found = transition_matrix(trace, "zone", "climate", 2, 5)
    assert found["count"].tolist() == expected.values.ravel().tolist()
    assert found.columns[:4].tolist() == ["source", "target", "count", "share"]
    never = trace.copy(deep=True)
    never["correct"].loc[dict(task="zone")] = 1.0
    rows = transition_matrix(never, "zone", "climate").query("source == 'FF'")
    assert rows.share.isna().all()
    assert rows.low.isna().all()
    assert (rows.n == 0).all()
    with pytest.raises(ValueError, match="no sample is FF at epoch 0"):
        group_fate(never, "zone", "climate")


def test_the_heat_map_of_moves(trace):
    "Where they go."
    ax = plot_transition_matrix(transition_matrix(trace, "zone", "climate"))
    assert len(ax.texts) == 16


def test_four_samples_by_hand_planted_together_planted_each_by_itself(trace):
    "Together, or each by itself?"
    t = planted_trace(n_samples=4, n_groups=4, n_epochs=2, size=4)
    t["correct"].loc[dict(task="zone")] = [[0, 0, 0, 0], [1, 1, 1, 0]]
    t["correct"].loc[dict(task="climate")] = [[0, 0, 0, 0], [1, 1, 0, 0]]
    rows = corrected_together(t, "zone", "climate").set_index("share")
    assert rows["value"].tolist() == [2 / 4, 3 / 4, 2 / 4, 3 / 8, 1 / 8]
    assert (rows.n == 4).all()
    rows = corrected_together(trace, "zone", "climate", 0, 1).set_index("share")
    np.testing.assert_allclose(rows["value"], [0.2, 0.25, 0.25, 0.0625, 0.1375], atol=1e-3)
    assert rows.low["difference"] > 0.1
    by_itself = ((0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0), (0.06, 0.24, 0.14, 0.56))
    by_itself = (*np.eye(4)[:3], by_itself[3])
    apart = planted_trace(n_samples=2000, n_groups=50, n_epochs=2, size=4, moves=by_itself)
    rows = corrected_together(apart, "zone", "climate").set_index("share")
    assert np.isclose(rows["value"]["together"], 0.06, atol=1e-3)
    assert rows.low["difference"] < 0 < rows.high["difference"]


def test_both_each_and_both_by_chance(trace):
    "Together, or each by itself?"
    ax = plot_corrected_together(corrected_together(trace, "zone", "climate", 0, 1))
    assert len(ax.get_yticklabels()) == 4


def test_relative_error_by_hand():
    "Is a regression worse where a label is wrong?"
    t = planted_trace(n_samples=11, n_groups=3, n_epochs=2, size=4)
    t["error"].loc[dict(task="temperature", sample="p0000")] = 3
    t["truth"].loc[dict(task="temperature", sample=["p0000", "p0001"])] = [-12, 0]
    error = regression_error(t, "temperature", np.arange(2), relative=True)
    assert error[:, 0].tolist() == [0.25, 0.25]
    assert np.isnan(error[:, 1]).all()
    with pytest.raises(ValueError, match="no single true value"):
        regression_error(t, "weather", np.arange(2), relative=True)
    with pytest.raises(ValueError, match="regression task is needed"):
        regression_error(t, "zone", np.arange(2))


def test_the_effect_without_each_cluster_against_sklearn():
    "Is a regression worse where a label is wrong?"
    rng = np.random.default_rng(4)
    codes = rng.integers(0, 8, 150)
    error = rng.integers(0, 12, (1, 150)).astype(float)  # with ties
    correct = (rng.random((1, 150)) < 0.6) * 1.0
    statistic = _comparison(error, correct, codes, [0])
    left_out = []
    for c in range(8):
        rest = codes != c
        left_out.append(logit(roc_auc_score(1 - correct[0, rest], error[0, rest])))
    whole = logit(roc_auc_score(1 - correct[0], error[0]))
    se = np.sqrt(7 / 8 * ((np.array(left_out) - whole) ** 2).sum())
    found = jackknife(statistic, block=16)
    assert np.isclose(found.scaled[3], whole)
    assert np.isclose(found.error[3], se)


def test_two_right_and_three_wrong_by_hand():
    "Is a regression worse where a label is wrong?"
    error = np.array([[1.0, 2, 2, 4, 9, 7]])
    correct = np.array([[1, 1, 0, 0, 0, np.nan]])
    rows = _comparison_rows(_comparison(error, correct, np.arange(6), [0]), Resampling()).iloc[0]
    assert (rows.right, rows.wrong, rows.difference) == (1.5, 5, 3.5)
    assert (rows.n_right, rows.n_wrong, rows.missing) == (2, 3, 1)
    assert np.isclose(rows.effect, (1 + 0.5 + 4) / 6)  # 2 beats 1 and ties with 2; 4 and 9 beat both


def test_planted_effects_against_scipy_and_sklearn(trace):
    "Is a regression worse where a label is wrong?"
    result = error_by_correctness(trace, "temperature", "zone")
    row = result.iloc[0]
    assert (row.n_right, row.n_wrong) == (500, 1500)
    assert abs(row.right - (200 * 1 + 300 * 1.2) / 500) < 0.06
    assert abs(row.wrong - (300 * 1.6 + 1200 * 2) / 1500) < 0.06
    error = trace.error.sel(task="temperature", epoch=0).values.astype(float)
    wrong = trace.correct.sel(task="zone", epoch=0).values == 0
    assert np.isclose(row.effect, roc_auc_score(wrong, error))
    assert 0.5 < row.effect_low < row.effect < row.effect_high < 1
    assert row.low > 0.5
    assert row.high < 1.2
    assert (result.p < 0.01).all()


def test_independent_samples_against_scipys_interval_for_a_difference(trace):
    "Is a regression worse where a label is wrong?"
    alone = error_by_correctness(
        trace, "temperature", "zone", resampling=Resampling(cluster="sample")
    ).iloc[0]
    error = trace.error.sel(task="temperature", epoch=0).values.astype(float)
    wrong = trace.correct.sel(task="zone", epoch=0).values == 0
    theirs = stats.ttest_ind(error[wrong], error[~wrong], equal_var=False).confidence_interval()
    np.testing.assert_allclose([alone.low, alone.high], [theirs.low, theirs.high], atol=0.006)


def test_no_effect_no_difference():
    "Is a regression worse where a label is wrong?"
    # no effect, no difference: one comparison a block
    flat = planted_trace(n_samples=2000, n_groups=10, n_epochs=2, size=4, effects=(1, 1, 1, 1))
    result = error_by_correctness(flat, "temperature", "zone", by="group")
    assert len(result) == 20
    assert list(result.columns[:2]) == ["epoch", "group"]
    assert (result.clusters > 10).all()
    assert (result.p < 0.05).sum() <= 3
    assert (result.p_holm < 0.05).sum() <= 1
    assert result.difference.abs().mean() < 0.1


def test_one_side_empty(trace):
    "Is a regression worse where a label is wrong?"
    never = trace.copy(deep=True).isel(epoch=[0])
    never["correct"].loc[dict(task="zone")] = 1.0
    row = error_by_correctness(never, "temperature", "zone").iloc[0]
    assert np.isnan([row.wrong, row.difference, row.low, row.p, row.effect, row.effect_low]).all()
    assert row.n_wrong == 0
    assert np.isfinite(row.right)


def test_errors_where_the_label_is_right_and_wrong(trace):
    "Is a regression worse where a label is wrong?"
    ax = plot_error_by_correctness(trace, "temperature", "zone")
    assert len(ax.lines) == 2
    assert ax.get_ylabel() == "error of temperature [°C]"
    for dots, means in zip(ax.collections, ax.lines, strict=True):
        away = np.abs(dots.get_offsets()[:, :1] - means.get_xdata())
        assert away.min(1).max() <= 0.13, "dots stand around their mean"


def test_the_planted_effects_come_back(trace):
    "Which label hurts more?"
    result = error_by_groups(trace, "temperature", "zone", "climate")
    start = result[result.epoch == 0].set_index("group")
    np.testing.assert_allclose(start.error, [1, 1.2, 1.6, 2, 0.4], atol=0.12)
    assert start.n.tolist() == [200, 300, 300, 1200, 300]  # of a difference: the smaller side
    assert (start.low < start.error).all()
    assert start.low["FC-CF"] > 0.2
    assert start.p["FC-CF"] <= 0.001
    error = trace.error.sel(task="temperature", epoch=0).values.astype(float)
    g = correctness(trace, "zone", "climate", np.arange(2000))[0]
    np.testing.assert_allclose(start.error[:4], pd.Series(error).groupby(g).mean())


def test_errors_in_the_four_groups(trace):
    "Which label hurts more?"
    ax = plot_error_by_groups(error_by_groups(trace, "temperature", "zone", "climate"))
    assert len(ax.lines) == 4
    assert len(ax.collections) == 4
