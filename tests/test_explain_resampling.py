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
    Bootstrap, as_slice, cluster_codes, cluster_sums, resampled_means, resampled_sums, share_interval,
    t_interval,
)
from mtl_explain.palette import blue, orange
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.trace import split_positions


@pytest.fixture(scope='module')
def samples():
    "Sixteen of the toy world's samples are test samples."
    return toy_samples(96, 4)


def test_nonsense_is_refused_where_the_value_is_made():
    "An interval as a value."
    for wrong, message in ((dict(n=0), "n is 0"), (dict(level=95), "level is 95.*e.g. 0.95")):
        with pytest.raises(ValueError, match=message):
            Bootstrap(**wrong)
    Bootstrap()


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


def test_the_weights_are_multinomial():
    "Resampled sums."
    G = 30
    for block in (4, 11, 100):
        w, present = resampled_sums(lambda at: np.eye(G)[at], np.arange(G), n_boot=4000, block=block)
        assert (present == 1).all()
        assert (w.sum(1) == G).all()
        assert (w >= 0).all()
        assert np.abs(w.mean(0) - 1).max() < 0.08
        assert np.abs(w.var(0) - (1 - 1 / G)).max() < 0.15
        # what one gets, another does not
        assert abs(np.corrcoef(w[:, 0], w[:, -1])[0, 1] + 1 / (G - 1)) < 0.06


def test_the_same_seed_gives_the_same_resamples():
    "Resampled sums."
    def resampled(seed):
        return resampled_sums(lambda at: at[:, None] * 1.0, np.arange(50), 20, seed)[0]


    one, two, three = resampled(0), resampled(0), resampled(1)
    assert (one == two).all()
    assert (one != three).any()


def test_a_mean_of_independent_samples_against_scipys_t_test():
    "From resamples to an interval and a p-value."
    x = np.random.default_rng(1).normal(0.3, 1, 80)
    sums, _ = resampled_sums(lambda at: np.c_[np.ones(len(at)), x[at]], np.arange(80), n_boot=8000)
    low, high, p = t_interval(x.mean(), sums[:, 1] / sums[:, 0], 80)
    theirs = stats.ttest_1samp(x, 0)
    assert abs(low - theirs.confidence_interval().low) < 0.01
    assert abs(high - theirs.confidence_interval().high) < 0.01
    assert abs(np.log(p / theirs.pvalue)) < 0.4


def test_coverage_with_and_without_the_knowledge_of_fields():
    "From resamples to an interval and a p-value."
    worlds, fields, size = 1000, 25, 40
    rng = np.random.default_rng(2)
    codes = np.repeat(np.arange(fields), size)
    x = rng.normal(size=(fields, worlds))[codes] + rng.normal(size=(fields * size, worlds))


    def coverage(codes):
        sums, _ = resampled_sums(lambda at: x[at], codes, 400)
        low, high, p = t_interval(x.mean(0), sums / len(x), codes.max() + 1)
        holds = (low < 0) & (0 < high)
        assert ((p > 0.05) == holds).all()
        return holds.mean()


    with_fields = coverage(codes)
    without = coverage(np.arange(len(codes)))
    print(
        f"95 % intervals that hold the truth: {with_fields:.1%} by field, "
        f"{without:.1%} if samples pass for independent"
    )
    assert 0.93 < with_fields < 0.97
    assert without < 0.5


def test_too_few_clusters_constant_numbers_undefined_resamples():
    "From resamples to an interval and a p-value."
    replicates = np.random.default_rng(0).normal(size=(100, 4))
    replicates[:, 1] = 5.0
    replicates[:20, 2] = np.nan
    low, high, p = t_interval([1.0, 5.0, 1.0, np.nan], replicates, np.array([2, 9, 9, 9]))
    # two clusters
    assert np.isnan([low[0], high[0], p[0]]).all()
    # the same in every resample
    assert low[1] == high[1] == 5
    assert p[1] == 0
    # a fifth of the resamples undefined; undefined itself
    assert np.isnan([low[2], p[2], low[3], p[3]]).all()


def test_two_means_over_different_samples():
    "Shares and mean errors."
    values = np.array([[1.0, 2, 3, 4], [1, 0, 1, np.nan]])
    mean, replicates, clusters = resampled_means(
        values, np.array([[1, 1, 1, 1], [1, 1, 1, 0]], bool), np.array([0, 0, 1, 1]), 500
    )
    assert mean.tolist() == [2.5, 2 / 3]
    assert clusters.tolist() == [2, 2]
    assert replicates.shape == (500, 2)
    assert set(replicates[:, 0]) == {1.5, 2.5, 3.5}  # first cluster twice, both, second twice


def test_a_share_of_independent_samples_against_scipys_bootstrap():
    "Shares and mean errors."
    x = np.random.default_rng(3).random(200) < 0.3
    mean, replicates, clusters = resampled_means(x[None], np.ones((1, 200), bool), np.arange(200), 4000)
    (low,), (high,) = share_interval(mean, replicates, clusters)
    boot = stats.bootstrap((x,), np.mean, n_resamples=4000, method="percentile", rng=0)
    theirs = boot.confidence_interval
    assert abs(low - theirs.low) < 0.011
    assert abs(high - theirs.high) < 0.011


def test_none_and_all_of_twelve_clusters_against_scipys_exact_interval():
    "Shares and mean errors."
    low, high = share_interval([0, 1], np.tile([0.0, 1], (100, 1)), 12)
    none, every = (stats.binomtest(k, 12).proportion_ci(0.95, method="exact") for k in (0, 12))
    np.testing.assert_allclose([low, high], [[none.low, every.low], [none.high, every.high]])


def test_a_share_that_nobody_has():
    "Shares and mean errors."
    low, high = share_interval([np.nan] * 2, np.full((50, 2), np.nan), np.array([9, 9]))
    assert np.isnan([low, high]).all()
    assert np.isnan(share_interval([1.0], np.ones((50, 1)), 2)).all()


def test_more_samples_or_more_fields():
    "Shares and mean errors."
    def width(fields, size, by_field):
        rng = np.random.default_rng(fields)
        codes = np.repeat(np.arange(fields), size)
        x = rng.random(fields * size) < rng.beta(2, 2, fields)[codes]
        clusters = codes if by_field else np.arange(len(x))
        found = resampled_means(x[None], np.ones((1, len(x)), bool), clusters, 500)
        return np.ptp(share_interval(*found))


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
