"""Correct and false together

Written by nbdev-export from the check cells of nbs/api/explain/02_correctness.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from matplotlib.colors import to_hex
from scipy import stats
from scipy.special import logit
from sklearn.metrics import confusion_matrix, roc_auc_score

from mtl_explain.explain.correctness import (
    _comparison, _comparison_rows, comparison_statistic, corrected_together, correctness, correctness_groups,
    error_by_correctness, error_by_groups, group_fate, groups_statistic, pixel_groups,
    plot_corrected_together, plot_correctness_groups, plot_error_by_correctness, plot_error_by_groups,
    plot_group_fate, plot_transition_matrix, regression_error, transition_matrix, transition_statistic,
)
from mtl_explain.explain.resampling import Resampling, estimate, holm, jackknife
from mtl_explain.palette import blue, group_colors, orange
from mtl_explain.testing.planted import planted_trace
from mtl_explain.trace import group_names, moment_names
from mtl_explain.training.recorder import co_moments


# two labels that are wrong at first, in groups of five samples
def two_labels(corrected):
    n = len(corrected)
    correct = np.stack([np.zeros((n, 2)), corrected]).astype("float32")
    return xr.Dataset(
        dict(correct=(("epoch", "sample", "task"), correct)),
        dict(
            epoch=[0, 1],
            sample=np.arange(n),
            task=["p", "q"],
            kind=("task", ["category"] * 2),
            split=("sample", ["test"] * n),
            group=("sample", np.arange(n) // 5),
        ),
    )


@pytest.fixture(scope='module')
def trace():
    "A trace with known moves."
    return planted_trace(n_samples=2000, n_groups=50, n_epochs=8, size=4)


@pytest.fixture(scope='module')
def fate(trace):
    "What becomes of those that were FF at first."
    return group_fate(trace, "zone", "climate")


@pytest.fixture(scope='module')
def flat():
    "A world without effects, in ten blocks."
    return planted_trace(n_samples=2000, n_groups=10, n_epochs=2, size=4, effects=(1, 1, 1, 1))


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


def test_the_columns_of_the_table_what_it_is_about_and_splits_levels_clusters(trace):
    "The four groups."
    result = correctness_groups(trace, "zone", "climate")
    columns = "epoch group count share low high n clusters effective band_low band_high "
    columns += "change change_low change_high missing"
    assert list(result) == columns.split()
    assert result.attrs == dict(first="zone", second="climate")
    assert result["group"].tolist() == list(group_names) * 8
    assert result["epoch"].tolist() == np.repeat(range(8), 4).tolist()
    of_shares = estimate(groups_statistic(trace, "zone", "climate"), over="epoch")
    assert of_shares.index.names == ["epoch", "group"]
    np.testing.assert_allclose(result["share"], of_shares["value"])
    np.testing.assert_allclose(result["low"], of_shares["low"])
    assert result["change"][:4].isna().all()
    halves = trace.assign_coords(split=("sample", ["test"] * 500 + ["valid"] * 1500))
    assert (correctness_groups(halves, "zone", "climate")["n"] == 500).all()
    assert (correctness_groups(halves, "zone", "climate", None)["n"] == 2000).all()
    single = correctness_groups(trace, "zone", "climate", resampling=Resampling(cluster="sample"))
    assert (single["clusters"] == 2000).all() and (result["clusters"] == 50).all()
    narrow = correctness_groups(trace, "zone", "climate", resampling=Resampling(level=0.5))
    assert (narrow["low"] > result["low"]).all()


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


def test_a_patch_with_one_common_pixel_counts_one_a_patch_with_none_counts():
    "By pixel."
    # a patch with one common pixel counts one, a patch with none counts nothing
    rows = np.zeros((1, 4, 1, 6))
    rows[0, :, 0, 0] = [1, 0, 2, 2]  # pixels
    rows[0, :, 0, 1] = [1, np.nan, 0.5, 0]  # share of wrong ones, first mask
    rows[0, :, 0, 2] = [0, np.nan, 0.5, 1]  # second mask
    rows[0, :, 0, 5] = [0, np.nan, 0.5, 0]
    few = xr.Dataset(
        dict(moments=(("epoch", "sample", "pair", "moment"), rows)),
        dict(
            epoch=[0],
            sample=list("abcd"),
            split=("sample", ["test"] * 4),
            task=["p", "q", "r"],
            kind=("task", ["mask"] * 3),
            pair_x=("pair", ["p"]),
            pair_y=("pair", ["q"]),
            moment=list(moment_names),
        ),
    )
    found = pixel_groups(few, "p", "q")
    assert found["count"].tolist() == [1, 2, 1, 1]
    assert (found["n"] == 5).all() and (found["clusters"] == 3).all()
    assert found["effective"].tolist() == pytest.approx([25 / 9] * 4)
    assert found["share"].tolist() == pytest.approx([0.2, 0.4, 0.2, 0.2])
    assert found.attrs == dict(first="p", second="q", unit="pixels")
    with pytest.raises(ValueError, match="'p' and 'r' are no such pair"):
        pixel_groups(few, "p", "r")


def test_groups_over_the_epochs(trace):
    "By pixel."
    ax = plot_correctness_groups(correctness_groups(trace, "zone", "climate"))
    assert [line.get_label() for line in ax.lines] == list(group_names)


def test_lines_stand_at_the_counts(trace):
    "By pixel."
    # lines stand at the counts; the labels say what is counted
    result = correctness_groups(trace, "zone", "climate")
    fig, own = plt.subplots()
    ax = plot_correctness_groups(result, own)
    assert ax is own
    for line in ax.lines:
        rows = result[result["group"] == line.get_label()]
        np.testing.assert_array_equal(line.get_xydata(), rows[["epoch", "count"]])
        assert line.get_color() == group_colors[line.get_label()]
    assert ax.get_ylim()[0] == 0
    assert ax.get_title() == "Correct (C) and false (F):\nzone, climate"
    assert ax.get_ylabel() == "number of samples"
    result.attrs["unit"] = "pixels"
    assert plot_correctness_groups(result).get_ylabel() == "number of pixels"
    plt.close("all")


def test_a_fifth_of_the_false_ones_is_corrected(fate):
    "Where they go."
    later = fate[fate.epoch == 1].set_index("group")
    assert later["count"].tolist() == [240, 60, 60, 840]
    assert np.allclose(later.share, [0.2, 0.05, 0.05, 0.7])
    assert (later.n == 1200).all()
    assert ((later.low < later.share) & (later.share < later.high)).all()
    assert later.clusters.eq(50).all()
    assert fate[fate.epoch == 0].share.tolist() == [0, 0, 0, 1]
    assert fate[fate.epoch == 0].low.isna().all()


def test_another_group_from_another_epoch_on_against_counting_by_hand(trace, fate):
    "Where they go."
    g = correctness(trace, "zone", "climate", np.arange(2000))
    followed = group_fate(trace, "zone", "climate", "CF", 2)
    assert followed["epoch"].unique().tolist() == [2, 3, 4, 5, 6, 7]
    member = g[2] == 1
    for epoch, rows in followed.groupby("epoch"):
        expected = np.bincount(g[epoch][member], minlength=4)
        assert rows["count"].tolist() == expected.tolist()
        assert (rows["n"] == member.sum()).all()
        assert rows["clusters"].eq(len(np.unique(trace.group[member]))).all()
    assert followed.attrs == dict(first="zone", second="climate", start="CF", start_epoch=2)
    ends = ["low", "high", "band_low", "band_high"]
    assert followed[ends][:4].isna().all(axis=None) and followed[ends][4:].notna().all(axis=None)
    assert "change" not in followed
    assert fate.attrs["start"] == "FF" and fate.attrs["start_epoch"] == 0


def test_fate_of_the_false_ones(trace):
    "Where they go."
    ax = plot_group_fate(group_fate(trace, "zone", "climate"))
    assert len(ax.collections) == 4
    assert "1200" in ax.get_title()
    assert ax.get_xlim() == (trace.epoch[0], trace.epoch[-1])


def test_the_edges_of_the_areas_are_the_sums_of_the_shares(trace):
    "Where they go."
    fate_of_ff = group_fate(trace, "zone", "climate")
    fig, own = plt.subplots()
    ax = plot_group_fate(fate_of_ff, own)
    assert ax is own
    table = fate_of_ff.pivot(index="epoch", columns="group", values="share")[list(group_names)]
    tops = table.cumsum(axis=1)
    for area, name in zip(ax.collections, group_names, strict=True):
        edge = {tuple(v) for v in area.get_paths()[0].vertices.round(6)}
        top = set(zip(table.index, tops[name].round(6), strict=True))
        bottom = set(zip(table.index, (tops[name] - table[name]).round(6), strict=True))
        assert top | bottom <= edge
        assert to_hex(area.get_facecolor()[0]) == to_hex(group_colors[name])
    assert ax.get_title() == "Samples that were FF at epoch 0 (1200)"
    assert ax.get_ylim() == (0, 1)
    one_epoch = plot_group_fate(group_fate(trace, "zone", "climate", epoch=7))
    assert one_epoch.get_xlim() == (7, 8)  # a width where there is one epoch only
    plt.close("all")


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


def test_without_a_word_of_when(trace):
    "Where they go."
    # without a word of when: from the first to the last epoch; and each source less FF, by hand
    found = transition_matrix(trace, "zone", "climate")
    assert found.attrs == dict(first="zone", second="climate", start=0, end=7)
    g = correctness(trace, "zone", "climate", np.arange(2000))
    expected = pd.crosstab(g[0], g[7]).reindex(index=range(4), columns=range(4), fill_value=0)
    assert found["count"].tolist() == expected.values.ravel().tolist()
    share = expected.values / expected.values.sum(1, keepdims=True)
    np.testing.assert_allclose(found["share"], share.ravel())
    np.testing.assert_allclose(found["less_ff"][:12], (share - share[3])[:3].ravel())
    of_less = ["less_ff", "less_ff_low", "less_ff_high", "less_ff_p"]
    assert found[of_less][12:].isna().all(axis=None) and found[of_less][:12].notna().all(axis=None)
    for _, rows in found.groupby("target"):
        np.testing.assert_allclose(rows["less_ff_p_holm"], holm(rows["less_ff_p"]))
        assert rows["less_ff_p"].notna().sum() == 3
    assert (found["less_ff_low"] < found["less_ff"])[:12].all()
    statistic = transition_statistic(trace, "zone", "climate")
    assert statistic.index.names == ["source", "target"]
    np.testing.assert_allclose(estimate(statistic)["value"], found["share"])
    from_three = transition_statistic(trace, "zone", "climate", start=3, end=3)
    np.testing.assert_allclose(estimate(from_three)["value"], np.eye(4).ravel())


def test_the_heat_map_of_moves(trace):
    "Where they go."
    ax = plot_transition_matrix(transition_matrix(trace, "zone", "climate"))
    assert len(ax.texts) == 16


def test_what_stands_in_the_cells(trace):
    "Where they go."
    table = transition_matrix(trace, "zone", "climate", 0, 1)
    fig, own = plt.subplots()
    ax = plot_transition_matrix(table, own)
    assert ax is own
    assert [t.get_text() for t in ax.texts][:4] == ["95%\n190", "3%\n6", "2%\n4", "0%\n0"]
    np.testing.assert_allclose(ax.collections[0].get_array().ravel(), table["share"])
    assert ax.collections[0].get_clim() == (0, 1)
    assert ax.get_xlabel() == "epoch 1\nC correct, F false:\nfirst zone, then climate"
    assert ax.get_ylabel() == "epoch 0"
    known = table.assign(share=table["share"].where(table["source"] != "FF"))
    assert len(plot_transition_matrix(known).texts) == 12  # an empty group has no cells
    plt.close("all")


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


def test_one_of_each_group_labels_that_are_lost_later_and_an_epoch_of_ones_own():
    "Together, or each by itself?"
    t = planted_trace(n_samples=7, n_groups=7, n_epochs=3, size=4)
    t["correct"].loc[dict(task="zone")] = [[0, 0, 0, 0, 0, 0, 1], [1] * 7, [1, 1, 0, 0, 1, 0, 1]]
    t["correct"].loc[dict(task="climate")] = [
        [0, 0, 0, 0, 0, 0, 0],
        [0] * 7,
        [1, 0, 1, 0, np.nan, 1, 1],
    ]
    rows = corrected_together(t, "zone", "climate").set_index("share")
    a, b = 2 / 5, 3 / 5
    assert rows["value"].tolist() == pytest.approx([1 / 5, a, b, a * b, 1 / 5 - a * b])
    assert (rows["n"] == 5).all() and (rows["clusters"] == 5).all()
    assert rows.index.tolist() == ["together", "first", "second", "independent", "difference"]
    assert rows["p"].notna().tolist() == [False] * 4 + [True]  # shares have no zero to be tested at
    step = corrected_together(t, "zone", "climate", end=1)
    assert step.attrs == dict(first="zone", second="climate", start=0, end=1)
    assert step["value"].tolist() == [0, 1, 0, 0, 0]
    last = corrected_together(t, "zone", "climate", start=1)
    assert (last.attrs["start"], last.attrs["end"]) == (1, 2)
    assert last["value"].isna().all() and (last["n"] == 0).all()


def test_words_that_are_wrong_where_nothing_is_there_and_right_where_something():
    "Together, or each by itself?"
    # words that are wrong where nothing is there, and right where something is
    def told(n, share, dependence, seed):
        rng = np.random.default_rng(seed)
        a, b = rng.random((2, n)) < share
        b = np.where(rng.random(n) < dependence, a, b)
        rows = corrected_together(two_labels(np.stack([a, b], 1)), "p", "q").set_index("share")
        return np.sign(rows["value"]["difference"]) * (rows["p"]["difference"] < 0.05)


    apart = [told(100, 0.9, 0, seed) for seed in range(100)]
    tied = [told(100, 0.8, 0.5, seed) for seed in range(100)]
    print(f"each by itself, said of 100: less {apart.count(-1)}, more {apart.count(1)}; ", end="")
    print(f"planted: more {tied.count(1)}")
    assert sum(v != 0 for v in apart) <= 5
    assert tied.count(1) > 70 and tied.count(-1) == 0
    # by hand: none of 34 stays wrong in both, where one is expected
    few = np.r_[np.tile([1, 1], (23, 1)), np.tile([1, 0], (5, 1)), np.tile([0, 1], (6, 1))]
    rows = corrected_together(two_labels(few), "p", "q").set_index("share")
    a, b = 28 / 34, 29 / 34
    assert rows["value"]["difference"] == pytest.approx(-(1 - a) * (1 - b))
    assert rows["low"]["difference"] < 0 < rows["high"]["difference"] and rows["p"]["difference"] > 0.3


def test_no_group_is_said_to_be_corrected_less_or_more_often_than_ff_where_all():
    "Together, or each by itself?"
    # no group is said to be corrected less or more often than FF where all are alike, and rare
    def two_groups(n_ff, n_cf, of_ff, of_cf, seed):
        rng = np.random.default_rng(seed)
        start = np.r_[np.zeros((n_ff, 2)), np.tile([1, 0], (n_cf, 1))]
        right = rng.random(n_ff + n_cf) < np.repeat([of_ff, of_cf], [n_ff, n_cf])
        t = two_labels(np.where(right[:, None], 1, start))
        t["correct"].values[0] = start
        t["group"] = ("sample", rng.integers(0, 20, n_ff + n_cf))
        rows = transition_matrix(t, "p", "q").query("target == 'CC' and source == 'CF'").iloc[0]
        return np.sign(rows["less_ff"]) * (rows["less_ff_p_holm"] < 0.05)


    alike = [two_groups(100, 15, 0.05, 0.05, seed) for seed in range(100)]
    apart = [two_groups(100, 30, 0.05, 0.4, seed) for seed in range(30)]
    assert sum(v != 0 for v in alike) <= 5
    assert apart.count(1) > 25


def test_both_each_and_both_by_chance(trace):
    "Together, or each by itself?"
    ax = plot_corrected_together(corrected_together(trace, "zone", "climate", 0, 1))
    assert len(ax.get_yticklabels()) == 4


def test_marks_and_lines_at_the_four_shares(trace):
    "Together, or each by itself?"
    rows = corrected_together(trace, "zone", "climate", 0, 1)
    fig, own = plt.subplots()
    ax = plot_corrected_together(rows, own)
    assert ax is own
    np.testing.assert_allclose(ax.lines[0].get_xydata(), np.stack([rows["value"][:4], range(4)], 1))
    ends = [s[:, 0].tolist() for s in ax.collections[0].get_segments()]
    assert ends == rows[["low", "high"]][:4].values.tolist()
    names = ["both", "zone", "climate", "both, if each by itself"]
    assert [t.get_text() for t in ax.get_yticklabels()] == names
    assert ax.get_xlabel() == "share corrected, epoch 0 to 1"
    assert ax.get_title() == "Samples with both labels wrong (1200)"
    assert ax.get_xlim() == (0, 1) and ax.yaxis_inverted()
    plt.close(fig)


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


def test_absolute_errors_as_they_are_and_what_is_no_regression():
    "Is a regression worse where a label is wrong?"
    t = planted_trace(n_samples=11, n_groups=3, n_epochs=2, size=4)
    found = regression_error(t, "elevation", np.array([4, 2]))
    np.testing.assert_array_equal(found, t["error"].sel(task="elevation").values[:, [4, 2]])
    with pytest.raises(ValueError, match="'landcover' is of kind mask; a regression task is needed"):
        regression_error(t, "landcover", np.arange(2))
    with pytest.raises(ValueError, match="'soil' is no task of this trace; it has landcover, elevati"):
        regression_error(t, "soil", np.arange(2))


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


def test_three_epochs_at_once_each_with_gaps_of_its_own_as_each_by_itself():
    "Is a regression worse where a label is wrong?"
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 6, 80)
    error = rng.gamma(2, 1, (3, 80))
    correct = (rng.random((3, 80)) < 0.5) * 1.0
    error[0, :5] = np.nan
    correct[1, 10:30] = np.nan
    correct[2, codes == 2] = 1  # at the last epoch one cluster has no wrong label
    whole = estimate(_comparison(error, correct, codes, [4, 5, 6]))
    assert whole.index.names == ["quantity", "epoch"]
    for k, epoch in enumerate((4, 5, 6)):
        at = np.isfinite(error[k]) & np.isfinite(correct[k])
        right, wrong = at & (correct[k] == 1), at & (correct[k] == 0)
        now = whole.xs(epoch, level="epoch")
        means = error[k][right].mean(), error[k][wrong].mean()
        auc = roc_auc_score(wrong[at], error[k][at])
        expected = [*means, means[1] - means[0], auc]
        assert now["value"].tolist() == pytest.approx(expected)
        sizes = right.sum(), wrong.sum()
        assert now["n"].tolist() == [*sizes, min(sizes), min(sizes)]
        with_right, with_wrong = (len(np.unique(codes[v])) for v in (right, wrong))
        assert now["clusters"].tolist() == [with_right, with_wrong] + [min(with_right, with_wrong)] * 2
        alone = estimate(_comparison(error[[k]], correct[[k]], codes, [epoch]))
        np.testing.assert_allclose(now[["low", "high"]], alone[["low", "high"]])


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


def test_the_table(trace):
    "Is a regression worse where a label is wrong?"
    # the table: its columns, what it is about, and what each row rests on
    result = error_by_correctness(trace, "temperature", "zone")
    columns = "epoch right wrong difference effect low high p p_holm band_low band_high "
    columns += "effect_low effect_high n_right n_wrong clusters effective missing"
    assert list(result) == columns.split()
    facts = dict(regression="temperature", label="zone", relative=False, split="test", units="°C")
    assert result.attrs == facts
    assert result["epoch"].tolist() == list(range(8))
    assert (result["p_holm"] == result["p"]).all()  # one question per epoch
    statistic = comparison_statistic(trace, "temperature", "zone")
    rows = estimate(statistic, over="epoch")
    for name in ("right", "wrong", "difference", "effect"):
        np.testing.assert_allclose(result[name], rows["value"].loc[name])
    for name in ("low", "high", "p", "band_low", "band_high", "clusters", "effective"):
        np.testing.assert_allclose(result[name], rows[name].loc["difference"])
    np.testing.assert_allclose(result["effect_high"], rows["high"].loc["effect"])
    relative = error_by_correctness(trace, "temperature", "zone", relative=True)
    assert relative.attrs["relative"] and relative.attrs["units"] == ""
    size = np.abs(trace["truth"].sel(task="temperature").values.astype(float))
    right = trace["correct"].sel(task="zone", epoch=0).values == 1
    error = trace["error"].sel(task="temperature", epoch=0).values / size
    assert relative["right"][0] == pytest.approx(error[right & (size > 0)].mean(), rel=1e-5)
    gappy = trace.copy(deep=True)
    gappy["correct"].loc[dict(task="zone", sample=trace.sample[:30])] = np.nan
    assert (error_by_correctness(gappy, "temperature", "zone")["missing"] == 30).all()


def test_no_effect_no_difference(flat):
    "Is a regression worse where a label is wrong?"
    # no effect, no difference: one comparison a block
    result = error_by_correctness(flat, "temperature", "zone", by="group")
    assert len(result) == 20
    assert list(result.columns[:2]) == ["epoch", "group"]
    assert (result.clusters > 10).all()
    assert (result.p < 0.05).sum() <= 3
    assert (result.p_holm < 0.05).sum() <= 1
    assert result.difference.abs().mean() < 0.1


def test_by_block(flat):
    "Is a regression worse where a label is wrong?"
    # by block: each block by itself, corrected for all blocks of an epoch
    result = error_by_correctness(flat, "temperature", "zone", by="group")
    assert result["group"].tolist() == np.repeat(range(10), 2).tolist()
    for _, rows in result.groupby("epoch"):
        np.testing.assert_allclose(rows["p_holm"], holm(rows["p"]))
    block = flat.isel(sample=flat.group.values == 3)
    alone = error_by_correctness(block, "temperature", "zone", resampling=Resampling(cluster="sample"))
    columns = ["right", "wrong", "difference", "low", "high", "p", "n_right", "n_wrong"]
    mine = result[result["group"] == 3][columns]
    np.testing.assert_allclose(mine, alone[columns])
    halves = flat.assign_coords(half=("sample", np.arange(2000) // 1000))
    two = error_by_correctness(halves, "temperature", "zone", by="half")
    assert two["half"].tolist() == [0, 0, 1, 1]
    assert (two["clusters"] == 5).all()  # blocks stay the clusters


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


def test_means_and_dots_are_those_of_the_samples_at_most_as_many_as_asked_for(trace):
    "Is a regression worse where a label is wrong?"
    fig, own = plt.subplots()
    ax = plot_error_by_correctness(trace, "temperature", "zone", n_points=5000, ax=own)
    assert ax is own
    error = trace["error"].sel(task="temperature").values
    correct = trace["correct"].sel(task="zone").values
    sides = zip((1, 0), (-0.2, 0.2), (blue, orange), ("right", "wrong"), strict=True)
    for k, (value, shift, color, text) in enumerate(sides):
        line, dots = ax.lines[k], ax.collections[k]
        means = [e[c == value].mean() for e, c in zip(error, correct, strict=True)]
        np.testing.assert_allclose(line.get_ydata(), means, rtol=1e-5)
        np.testing.assert_allclose(line.get_xdata(), np.arange(8) + shift)
        assert (line.get_label(), line.get_color()) == (f"zone {text}", color)
        shown = np.sort(dots.get_offsets()[:, 1])
        np.testing.assert_allclose(shown, np.sort(error[correct == value]), rtol=1e-5)
    assert ax.get_title() == "Error of temperature where zone is right and where it is wrong"
    few = plot_error_by_correctness(trace, "temperature", "zone", relative=True)
    counts = [np.minimum((correct == v).sum(1), 300).sum() for v in (1, 0)]
    assert [len(dots.get_offsets()) for dots in few.collections] == counts
    assert few.get_ylabel() == "relative error of temperature"
    first, again, other = (
        plot_error_by_correctness(trace, "temperature", "zone", **o).collections[0].get_offsets()
        for o in ({}, dict(seed=0), dict(seed=1))
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    plt.close("all")


def test_a_side_without_samples_has_no_dots_and_no_mean(trace):
    "Is a regression worse where a label is wrong?"
    never = trace.copy(deep=True).isel(epoch=[0])
    never["correct"].loc[dict(task="zone")] = 1.0
    never["error"].loc[dict(task="temperature", sample=trace.sample[:10])] = np.nan
    ax = plot_error_by_correctness(never, "temperature", "zone", n_points=5000)
    assert [len(dots.get_offsets()) for dots in ax.collections] == [1990, 0]
    assert np.isnan(ax.lines[1].get_ydata()).all()
    plt.close()


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


def test_every_epoch_by_hand(trace):
    "Which label hurts more?"
    # every epoch by hand; a test is made of the difference only
    result = error_by_groups(trace, "temperature", "zone", "climate")
    error = trace.error.sel(task="temperature").values.astype(float)
    g = correctness(trace, "zone", "climate", np.arange(2000))
    for epoch, rows in result.groupby("epoch"):
        assert rows["group"].tolist() == [*group_names, "FC-CF"]
        means = pd.Series(error[epoch]).groupby(g[epoch]).mean().tolist()
        np.testing.assert_allclose(rows["error"], [*means, means[2] - means[1]])
        sizes = np.bincount(g[epoch], minlength=4).tolist()
        assert rows["n"].tolist() == [*sizes, min(sizes[1:3])]
        assert rows["p"].isna().tolist() == [True] * 4 + [False]
    facts = dict(regression="temperature", first="zone", second="climate", units="°C")
    assert result.attrs == facts
    assert error_by_groups(trace, "temperature", "zone", "climate", True).attrs["units"] == ""
    gappy = trace.copy(deep=True)
    gappy["error"].loc[dict(task="temperature", sample=trace.sample[:30])] = np.nan
    rows = error_by_groups(gappy, "temperature", "zone", "climate")
    assert rows["n"][:4].tolist() == np.bincount(g[0][30:], minlength=4).tolist()
    np.testing.assert_allclose(rows["error"][0], error[0][30:][g[0][30:] == 0].mean())


def test_errors_in_the_four_groups(trace):
    "Which label hurts more?"
    ax = plot_error_by_groups(error_by_groups(trace, "temperature", "zone", "climate"))
    assert len(ax.lines) == 4
    assert len(ax.collections) == 4


def test_lines_and_bands_at_their_numbers(trace):
    "Which label hurts more?"
    result = error_by_groups(trace, "temperature", "zone", "climate")
    fig, own = plt.subplots()
    ax = plot_error_by_groups(result, own)
    assert ax is own
    for line, band in zip(ax.lines, ax.collections, strict=True):
        rows = result[result["group"] == line.get_label()]
        np.testing.assert_array_equal(line.get_xydata(), rows[["epoch", "error"]])
        edge = {tuple(v) for v in band.get_paths()[0].vertices.round(9)}
        for end in ("band_low", "band_high"):
            assert set(zip(rows["epoch"], rows[end].round(9), strict=True)) <= edge
    assert ax.get_ylabel() == "mean error of temperature [°C]"
    assert ax.get_title() == "Correct (C) and false (F):\nzone, climate"
    assert ax.get_ylim() == (0, pytest.approx(1.05 * result["band_high"].max()))
    result.attrs.clear()
    assert plot_error_by_groups(result).get_ylabel() == "mean error of the regression"
    result.loc[result.index[0], "band_high"] = 1e6  # one band of two clusters does not squeeze the rest
    assert plot_error_by_groups(result).get_ylim() == (0, pytest.approx(3.15 * result["error"].max()))
    plt.close("all")
