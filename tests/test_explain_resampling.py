"""Intervals that know about neighbours

Written by nbdev-export from the check cells of nbs/api/explain/00_resampling.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mtl_explain.explain.resampling import (
    Resampling, Statistic, _rescaled, as_slice, cluster_codes, cluster_sums, contrast, difference, estimate,
    exact_share_interval, holm, jackknife, largest_t, mean_of, mean_statistic, number_of, p_floor, p_text,
    scales,
)
from mtl_explain.palette import blue, orange
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.trace import split_positions


# a correlation from plain sums: n, x, y, xx, yy, xy
def pair_sums(x, y):
    return lambda at: np.stack(
        [np.ones(len(at)), x[at], y[at], x[at] ** 2, y[at] ** 2, x[at] * y[at]], 1
    )
def correlation_of(sums):
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    with np.errstate(all="ignore"):
        return ((n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y)))[..., None]
def pair_statistic(x, y, codes):
    return Statistic(
        pair_sums(x, y), correlation_of, np.array([[0]]), codes, pd.RangeIndex(1), ("fisher",)
    )


@pytest.fixture(scope='module')
def samples():
    "Sixteen of the toy world's samples are test samples."
    return toy_samples(96, 4)


def test_nonsense_is_refused_where_the_value_is_made():
    "An interval as a value."
    for wrong, message in ((dict(n=0), "n is 0"), (dict(level=95), "level is 95.*e.g. 0.95")):
        with pytest.raises(ValueError, match=message):
            Resampling(**wrong)
    Resampling()


def test_groups_and_no_groups(samples):
    "Which samples, which clusters."
    codes = cluster_codes(samples, split_positions(samples, "test"))
    assert codes.max() + 1 == len(np.unique(samples.group[samples.split == "test"]))
    assert list(cluster_codes(samples.drop_vars("group"), np.arange(3))) == [0, 1, 2]
    assert list(cluster_codes(samples, np.arange(3), "sample")) == [0, 1, 2]
    with pytest.raises(ValueError, match="no coordinate 'field'"):
        cluster_codes(samples, np.arange(3), "field")


def test_consecutive_positions_are_a_slice():
    "Which samples, which clusters."
    assert as_slice(np.arange(3, 7)) == slice(3, 7)
    assert as_slice(np.array([5])) == slice(5, 6)
    assert [list(as_slice(np.array(p))) for p in ([0, 2, 1, 3], [3, 2, 1], [])] == [
        [0, 2, 1, 3],
        [3, 2, 1],
        [],
    ]


def test_five_samples_by_hand():
    "Sums of clusters, in constant memory."
    values = np.array([[1.0], [2], [4], [8], [16]])
    blocks = list(cluster_sums(lambda at: values[at], np.array([0, 1, 0, 2, 0]), block=2))
    assert np.concatenate(blocks).ravel().tolist() == [1 + 4 + 16, 2, 8]


def test_any_block_size_against_pandas():
    "Sums of clusters, in constant memory."
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 3))
    c = rng.integers(0, 40, 500)
    expected = pd.DataFrame(x).groupby(c).sum().values
    for block in (1, 7, 64, 5000):
        sums = np.concatenate(list(cluster_sums(lambda at: x[at], c, block)))
        np.testing.assert_allclose(sums, expected)


def test_there_and_back_again():
    "A statistic."
    values = np.array([[0.3, 0.3, 0.3, 0.3], [0.9, 0.9, 0.9, 0.9]])
    there = _rescaled(values, tuple(scales), 0)
    np.testing.assert_allclose(there[1], [0.9, np.arctanh(0.9), np.log(9), np.log(9)])
    np.testing.assert_allclose(_rescaled(there, tuple(scales), 1), values)
    assert np.isfinite(_rescaled([1.0, -1.0], ("fisher",) * 2, 0)).all()


def test_three_clusters_by_hand():
    "Leaving out one cluster after the other."
    values = np.array([[1.0, 2, 2, 3, 10]])
    codes = np.array([0, 0, 1, 1, 2])
    three = mean_statistic(values, np.ones((1, 5), bool), codes)
    found = jackknife(three, block=2)
    assert found.value == 18 / 5
    moves = np.array([15 / 3, 13 / 3, 8 / 4]) - 18 / 5
    assert np.isclose(found.error, np.sqrt(2 / 3 * (moves**2).sum()))
    assert found.size == 5
    assert found.clusters == 3
    assert np.isclose(found.effective, 25 / 9)
    assert np.isclose(found.df, 25 / 9 - 1)


def test_against_a_loop_over_the_samples_that_are_left():
    "Leaving out one cluster after the other."
    rng = np.random.default_rng(3)
    codes = rng.permutation(np.repeat(np.arange(9), rng.integers(1, 30, 9)))
    x, y = rng.normal(size=(2, len(codes))) + rng.normal(size=9)[codes]
    chosen = rng.random(len(codes)) < 0.6
    by_hand = []
    for c in range(9):
        rest = codes != c
        by_hand.append((x[rest & chosen].mean(), np.arctanh(np.corrcoef(x[rest], y[rest])[0, 1])))
    whole = np.array([x[chosen].mean(), np.arctanh(np.corrcoef(x, y)[0, 1])])
    expected = np.sqrt(8 / 9 * ((np.array(by_hand) - whole) ** 2).sum(0))
    for block in (3, 1024):
        mean = jackknife(mean_statistic(x[None], chosen[None], codes), block=block)
        np.testing.assert_allclose(
            [mean.error[0], jackknife(pair_statistic(x, y, codes), block=block).error[0]], expected
        )


def test_against_scipys_exact_interval():
    "Shares."
    # against scipy's exact interval; none and all of twelve
    for k, n in ((3, 20), (150, 200), (0, 12), (12, 12)):
        theirs = stats.binomtest(k, n).proportion_ci(0.95, method="exact")
        np.testing.assert_allclose(exact_share_interval(k / n, n), theirs, rtol=1e-9)
    assert np.isnan(exact_share_interval(np.nan, 5)).all()


def test_a_contrast_is_the_mean_of_the_differences():
    "The table."
    # a contrast is the mean of the differences; of a value and itself it is 0, for sure
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 60))
    everyone = np.ones((2, 60), bool)
    clusters = np.arange(60) // 5
    means = mean_statistic(np.stack([a, b]), everyone, clusters)
    by_contrast = estimate(contrast(means, np.array([1, 1])))
    by_hand = estimate(mean_statistic((a - b)[None], everyone[:1], clusters))
    columns = ["value", "low", "high", "p"]
    np.testing.assert_allclose(by_contrast[columns].values[:1], by_hand[columns].values)
    itself = by_contrast.iloc[1]
    assert (itself.value, itself.low, itself.high, itself.p) == (0, 0, 0, 1)


def test_one_value_is_students_many_independent_ones_are_sidaks_and_copies_of():
    "The table."
    # one value is Student's, many independent ones are Sidak's, and copies of one count once
    one = np.quantile(largest_t(np.eye(1), 9.0, 40_000), 0.95)
    assert abs(one - stats.t.ppf(0.975, 9)) < 0.05
    twelve = np.quantile(largest_t(np.eye(12), 9.0, 40_000), 0.95)
    assert abs(twelve - stats.t.ppf((1 + 0.95 ** (1 / 12)) / 2, 9)) < 0.08
    copies = np.quantile(largest_t(np.ones((12, 12)), 9.0, 40_000), 0.95)
    assert abs(copies - stats.t.ppf(0.975, 9)) < 0.05


def test_a_mean_of_independent_samples_against_scipys_t_test():
    "The table."
    x = np.random.default_rng(1).normal(0.3, 1, 80)
    row = estimate(mean_statistic(x[None], np.ones((1, 80), bool), np.arange(80))).loc[0]
    theirs = stats.ttest_1samp(x, 0)
    ends = theirs.confidence_interval()
    np.testing.assert_allclose([row.low, row.high], [ends.low, ends.high], rtol=0.005)
    assert abs(np.log(row.p / theirs.pvalue)) < 0.1
    assert row.effective == 80


def test_coverage_with_and_without_the_knowledge_of_fields():
    "The table."
    worlds, fields, size = 1000, 25, 40
    rng = np.random.default_rng(2)
    codes = np.repeat(np.arange(fields), size)
    x = rng.normal(size=(fields, worlds))[codes] + rng.normal(size=(fields * size, worlds))


    def coverage(codes):
        found = estimate(mean_statistic(x.T, np.ones(x.T.shape, bool), codes))
        holds = (found.low < 0) & (0 < found.high)
        assert ((found.p > 0.05) == holds).all()
        return holds.mean()


    with_fields = coverage(codes)
    without = coverage(np.arange(len(codes)))
    print(
        f"95 % intervals that hold the truth: {with_fields:.1%} by field, "
        f"{without:.1%} if samples pass for independent"
    )
    assert 0.93 < with_fields < 0.97
    assert without < 0.5


def test_too_few_clusters_constant_numbers_numbers_that_need_one_cluster():
    "The table."
    few = estimate(mean_statistic(np.ones((1, 4)), np.ones((1, 4), bool), np.array([0, 0, 1, 1])))
    assert few.note[0] == "2 clusters: no interval below three"
    assert few[["low", "high", "p"]].isna().all(axis=None)
    same = estimate(mean_statistic(np.full((1, 9), 5.0), np.ones((1, 9), bool), np.arange(9) // 2))
    assert (same.low[0], same.high[0], same.p[0]) == (5, 5, p_floor)
    nothing = estimate(mean_statistic(np.ones((1, 9)), np.zeros((1, 9), bool), np.arange(9)))
    assert nothing.note[0] == "no samples"
    assert nothing.clusters[0] == nothing.effective[0] == 0
    alone = (np.arange(9) == 3) * 1.0
    lonely = pair_statistic(alone, np.arange(9.0), np.arange(9))
    row = estimate(lonely).loc[0]
    uneven = estimate(mean_statistic(alone[None], np.ones((1, 9), bool), np.array([0] * 7 + [1, 2])))
    assert uneven.note[0].startswith("nearly all in one cluster (effectively 1.6)")
    assert np.isfinite(row["value"])
    assert np.isnan([row.low, row.p]).all()
    assert "without one of them" in row.note
    assert [p_text(v) for v in (p_floor, 0.0213, 0.4, np.nan)] == [
        "p < 0.001",
        "p = 0.021",
        "p = 0.4",
        "no p-value",
    ]


def test_shares_none_all_and_all_that_was_seen_in_one_cluster():
    "The table."
    codes = np.repeat(np.arange(12), 5)
    in_one = (codes == 4) & (np.arange(60) % 5 < 3)
    x = np.array([np.zeros(60), np.ones(60), in_one, np.arange(60) % 4 == 0])
    rows = estimate(mean_statistic(x, np.ones(x.shape, bool), codes, scale="share"))
    for i, share in enumerate((0, 1, 3 / 60)):
        assert np.allclose(rows.loc[i, ["low", "high"]].tolist(), exact_share_interval(share, 12))
    assert 0 < rows.low[3] < 0.25 < rows.high[3] < 0.35
    assert rows.p.isna().all()


def test_more_samples_or_more_fields():
    "The table."
    def width(fields, size, by_field):
        rng = np.random.default_rng(fields)
        codes = np.repeat(np.arange(fields), size)
        x = rng.random(fields * size) < rng.beta(2, 2, fields)[codes]
        clusters = codes if by_field else np.arange(len(x))
        row = estimate(mean_statistic(x[None], np.ones((1, len(x)), bool), clusters, scale="share"))
        return row.high[0] - row.low[0]


    fig, ax = plt.subplots(figsize=(5.5, 3), layout="constrained")
    fields = np.array([6, 12, 24, 48, 96])
    for by_field, label, color in (
        (True, "clusters are fields", blue),
        (False, "samples pass for independent", orange),
    ):
        ax.plot(fields, [width(f, 20, by_field) for f in fields], "o-", color=color, label=label)
    ax.set(
        xscale="log",
        xticks=fields,
        xticklabels=fields,
        xlabel="number of fields, 20 samples each",
        ylabel="width of the 95 % interval",
        ylim=(0, None),
    )
    ax.minorticks_off()
    ax.legend(frameon=False)
    assert len(ax.lines) == 2


def test_a_paired_difference_against_scipy():
    "Two numbers from the same samples."
    rng = np.random.default_rng(5)
    hard = rng.normal(size=60)
    x, y = hard + 0.1 * rng.normal(size=(2, 60)) + np.array([[0.03], [0]])
    everybody = np.ones((1, 60), bool)
    a, b = (mean_statistic(v[None], everybody, np.arange(60)) for v in (x, y))
    row = estimate(difference(a, b)).loc[0]
    theirs = stats.ttest_rel(x, y).confidence_interval()
    np.testing.assert_allclose([row.low, row.high], [theirs.low, theirs.high], rtol=0.02)
    apart = estimate(a).loc[0]
    assert row.high - row.low < (apart.high - apart.low) / 5
    with pytest.raises(ValueError, match="the same samples in the same order"):
        difference(a, mean_statistic(x[None, :50], everybody[:, :50], np.arange(50)))


def test_three_runs_that_differ_and_clusters_that_do_not():
    "Two numbers from the same samples."
    runs = [
        mean_statistic(np.full((1, 12), v), np.ones((1, 12), bool), np.arange(12)) for v in (1.0, 2, 6)
    ]
    row = estimate(mean_of(runs)).loc[0]
    theirs = stats.ttest_1samp([1, 2, 6], 0).confidence_interval()
    np.testing.assert_allclose([row["value"], row.low, row.high], [3, theirs.low, theirs.high])
    assert estimate(mean_of(runs[:1])).high[0] == 1
    against = estimate(difference(mean_of(runs), mean_of(runs[::-1]))).loc[0]
    welch = stats.ttest_ind([1, 2, 6], [6, 2, 1], equal_var=False).confidence_interval()
    np.testing.assert_allclose([against.low, against.high], [welch.low, welch.high])


def test_seeds_and_clusters():
    "Two numbers from the same samples."
    # seeds and clusters: coverage in 400 worlds in which both differ
    rng = np.random.default_rng(6)
    codes = np.repeat(np.arange(20), 10)


    def holds_truth():
        blocks = rng.normal(size=20)[codes]
        seeds = 0.3 * rng.normal(size=(4, 1))
        x = blocks + seeds + rng.normal(size=(4, 200))
        runs = [mean_statistic(v[None], np.ones((1, 200), bool), codes) for v in x]
        row = estimate(mean_of(runs)).loc[0]
        return row.low < 0 < row.high


    held = np.mean([holds_truth() for _ in range(400)])
    print(f"intervals over seeds and clusters that hold the truth: {held:.1%}")
    assert 0.92 < held < 0.99


def test_one_of_three_means_and_the_change_from_the_first_to_the_last_as_by():
    "Two numbers from the same samples."
    # one of three means, and the change from the first to the last, as by hand
    x = np.random.default_rng(8).normal(size=(3, 40)) + np.array([[0.0], [1], [5]])
    means = mean_statistic(x, np.ones(x.shape, bool), np.arange(40), pd.Index(["a", "b", "c"]))
    assert np.isclose(estimate(number_of(means, "b"))["value"].item(), x[1].mean())
    change = number_of(means, "a", "c", of=lambda v: v[..., 1] - v[..., 0])
    row = estimate(change).loc[0]
    theirs = stats.ttest_rel(x[2], x[0]).confidence_interval()
    np.testing.assert_allclose([row.low, row.high], [theirs.low, theirs.high], rtol=0.02)
    seeds = number_of(mean_of([means, means, means]), of=lambda v: v.mean(-1))
    assert np.isclose(estimate(seeds)["value"].item(), x.mean())
    with pytest.raises(ValueError, match="one number of 3 values: say which"):
        number_of(means)


def test_by_hand():
    "Many looks."
    # by hand: the smallest times three, the next times two, the last not below it
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.5, np.nan, 0.9]), [1, np.nan, 1])
    assert len(holm([])) == 0


def test_a_curve_of_nothing_over_twelve_epochs():
    "Many looks."
    rng = np.random.default_rng(7)
    codes = np.repeat(np.arange(27), 6)
    epochs = pd.MultiIndex.from_product([range(12), ["age"]], names=["epoch", "auxiliary"])


    def leaves_zero():
        x = rng.normal(size=(12, 27))[:, codes] + rng.normal(size=(12, len(codes)))
        curve = mean_statistic(x, np.ones(x.shape, bool), codes, epochs)
        rows = estimate(curve, Resampling(n=2000), over="epoch")
        return (rows.p < 0.05).any(), ((rows.band_low > 0) | (rows.band_high < 0)).any()


    single, band = np.mean([leaves_zero() for _ in range(200)], 0)
    print(f"worlds in which something leaves zero: an interval {single:.0%}, the band {band:.1%}")
    assert single > 0.3
    assert band < 0.09
