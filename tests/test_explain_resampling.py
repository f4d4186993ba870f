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
    Resampling, Statistic, _note, _rescaled, as_slice, cluster_codes, cluster_sums, contrast, difference,
    estimate, exact_share_interval, floored, holm, jackknife, largest_t, mean_of, mean_statistic, number_of,
    p_floor, p_text, scales,
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


def test_what_is_meant_if_nothing_is_said_and_the_edges_of_what_is_allowed():
    "An interval as a value."
    assert Resampling() == Resampling(level=0.95, cluster="group", n=2000, seed=0)
    assert Resampling(n=1).n == 1
    for level in (0, 1, -0.5):
        with pytest.raises(ValueError, match=f"level is {level}: expected a share between 0 and 1"):
            Resampling(level=level)
    with pytest.raises(ValueError, match="n is -1: expected at least one draw"):
        Resampling(n=-1)


def test_groups_and_no_groups(samples):
    "Which samples, which clusters."
    codes = cluster_codes(samples, split_positions(samples, "test"))
    assert codes.max() + 1 == len(np.unique(samples.group[samples.split == "test"]))
    assert list(cluster_codes(samples.drop_vars("group"), np.arange(3))) == [0, 1, 2]
    assert list(cluster_codes(samples, np.arange(3), "sample")) == [0, 1, 2]
    with pytest.raises(ValueError, match="no coordinate 'field'"):
        cluster_codes(samples, np.arange(3), "field")


def test_clusters_by_hand_of_chosen_samples(samples):
    "Which samples, which clusters."
    # clusters by hand, of chosen samples; those without a name share one
    named = samples.isel(sample=slice(0, 5)).assign_coords(
        field=("sample", np.array(["b", None, "a", "b", None], object))
    )
    assert cluster_codes(named, np.arange(5), "field").tolist() == [0, 1, 2, 0, 1]
    assert cluster_codes(named, np.array([2, 0, 3]), "field").tolist() == [0, 1, 1]
    with pytest.raises(ValueError, match="no coordinate 'soil' on the samples; there are "):
        cluster_codes(named, np.arange(5), "soil")


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


def test_the_names_of_the_scales_and_a_perfect_correlation():
    "A statistic."
    assert list(scales) == ["natural", "fisher", "logit", "share"]
    there = _rescaled([1.0, -1.0], ("fisher",) * 2, 0)
    np.testing.assert_allclose(there, [np.arctanh(1 - 1e-9), -np.arctanh(1 - 1e-9)])
    kept = np.array([0.3, 0.9])
    _rescaled(kept, ("logit", "logit"), 0)
    assert kept.tolist() == [0.3, 0.9]  # what is given stays as it is


def test_weights_gaps_and_groups_by_hand():
    "A statistic."
    values = np.array([[1.0, 2, np.nan, 8], [1, 0, 0, 1]])
    weights = np.array([[1.0, 3, 0, 0.5], [1, 1, 0, 0]])
    weighted = mean_statistic(values, weights, np.array([0, 0, 1, 1]), scale="share")
    sums = weighted.features(np.arange(4))
    assert sums.tolist() == [[1, 1, 1, 1], [6, 0, 3, 1], [0, 0, 0, 0], [4, 0, 0.5, 0]]
    assert weighted.of_sums(sums.sum(0)).tolist() == [11 / 4.5, 0.5]
    assert weighted.sizes.tolist() == [[2], [3]]
    assert weighted.scale == ("share", "share") and weighted.index.tolist() == [0, 1]
    assert mean_statistic(values, weights, np.arange(4), pd.Index(["a", "b"])).index[1] == "b"
    assert mean_statistic(values, weights, np.arange(4)).scale == ("natural", "natural")


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


def test_two_groups_in_different_clusters_by_hand():
    "Leaving out one cluster after the other."
    error = np.array([1.0, 3, 2, 6, 4, 8, 5, 9])
    codes = np.array([0, 0, 1, 1, 2, 2, 3, 4])
    members = np.array([codes < 4, codes > 2])  # four clusters of 2, 2, 2 and 1; two of 1
    two = mean_statistic(np.stack([error] * 2), members, codes)
    apart = Statistic(
        two.features,
        lambda sums: two.of_sums(sums)[..., :1] - two.of_sums(sums)[..., 1:],
        np.array([[2, 3]]),
        codes,
        pd.RangeIndex(1),
        ("natural",),
    )
    found = jackknife(apart, block=3)
    assert (found.size[0], found.clusters[0]) == (2, 2)
    assert found.effective[0] == 2 and found.df[0] == 1
    left_out = []
    for c in range(5):
        rest = codes != c
        left_out.append(error[members[0] & rest].mean() - error[members[1] & rest].mean())
    whole = error[members[0]].mean() - error[members[1]].mean()
    assert found.value[0] == pytest.approx(whole)
    moves = np.array(left_out) - whole
    assert found.error[0] == pytest.approx(np.sqrt(3 / 4 * (moves**2).sum()))
    each = jackknife(two, (np.array([0, 1]),))
    assert each.clusters.tolist() == [4, 2] and each.size.tolist() == [7, 2]
    assert each.effective.tolist() == pytest.approx([49 / 13, 2])


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


def test_other_levels_one_for_all_or_one_each():
    "Shares."
    for level in (0.9, 0.99):
        theirs = stats.binomtest(3, 20).proportion_ci(level, method="exact")
        np.testing.assert_allclose(exact_share_interval(3 / 20, 20, level), theirs, rtol=1e-9)
    low, high = exact_share_interval([0.15, 0.15], [20, 20], np.array([0.9, 0.99]))
    assert low[1] < low[0] < high[0] < high[1]


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


def test_of_two_rare_things_that_do_not_meet_by_chance_the_jackknife_is_too():
    "The table."
    # of two rare things that do not meet by chance the jackknife is too sure; not with `least`
    def moment_correlation(x, y, codes):
        values = np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], 1)

        def of_sums(sums):
            n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
            with np.errstate(all="ignore"):
                r = (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))
            return r[..., None]

        return Statistic(
            lambda at: values[at], of_sums, np.zeros((1, 1), int), codes, pd.RangeIndex(1), ("fisher",)
        )


    x = np.arange(100) % 10 == 0
    y = np.arange(100) % 10 == 5
    rare = moment_correlation(x, y, np.arange(100) // 5)
    sure = estimate(rare).iloc[0]
    dealt = estimate(rare, least=lambda value, size: 1 / np.sqrt(size - 1)).iloc[0]
    print(f"r = {sure['value']:.2f}: {sure.low:.2f} to {sure.high:.2f}; ", end="")
    print(f"as if dealt out: {dealt.low:.2f} to {dealt.high:.2f}")
    assert sure.high < 0 and sure.p < 0.05
    assert dealt.low < 0 < dealt.high and dealt.p > 0.2
    assert dealt["value"] == sure["value"]
    wide = estimate(rare, least=lambda value, size: 0 * value).iloc[0]
    assert (wide.low, wide.high) == (sure.low, sure.high)


def test_the_standard_error_of_errors_that_are_dealt_out_and_a_floor_that():
    "The table."
    # the standard error of errors that are dealt out, and a floor that leaves what is not defined
    rng = np.random.default_rng(0)
    x, y = rng.exponential(size=40), np.arange(40) < 4.0
    dealt = [np.corrcoef(x, rng.permutation(y))[0, 1] for _ in range(4000)]
    assert abs(np.std(dealt) * np.sqrt(39) - 1) < 0.03
    curve = mean_statistic(
        np.tile(np.arange(12.0), (2, 1)),
        np.array([[True] * 12, [True] * 2 + [False] * 10]),
        np.arange(12) // 2,
        pd.MultiIndex.from_product([["a", "b"], [0]], names=["task", "epoch"]),
    )
    plain = estimate(curve, over="epoch")
    floor = estimate(curve, over="epoch", least=lambda value, size: np.array([9.0, 9.0]))
    assert floor.low["a", 0] < plain.low["a", 0] and floor.band_low["a", 0] < plain.band_low["a", 0]
    assert floor.low.isna().tolist() == [False, True]  # one cluster only


def test_one_value_is_students_many_independent_ones_are_sidaks_and_copies_of():
    "The table."
    # one value is Student's, many independent ones are Sidak's, and copies of one count once
    one = np.quantile(largest_t(np.eye(1), 9.0, 40_000), 0.95)
    assert abs(one - stats.t.ppf(0.975, 9)) < 0.05
    twelve = np.quantile(largest_t(np.eye(12), 9.0, 40_000), 0.95)
    assert abs(twelve - stats.t.ppf((1 + 0.95 ** (1 / 12)) / 2, 9)) < 0.08
    copies = np.quantile(largest_t(np.ones((12, 12)), 9.0, 40_000), 0.95)
    assert abs(copies - stats.t.ppf(0.975, 9)) < 0.05


def test_draws_are_as_many_as_asked_for_and_the_same_for_the_same_seed():
    "The table."
    assert largest_t(np.eye(2), 5.0).shape == (2000,)
    assert np.array_equal(largest_t(np.eye(2), 5.0), largest_t(np.eye(2), 5.0, 2000, 0))
    assert not np.array_equal(largest_t(np.eye(2), 5.0, 50), largest_t(np.eye(2), 5.0, 50, 1))
    normal = np.quantile(largest_t(np.eye(1), 1e9, 40_000), 0.95)
    assert abs(normal - stats.t.ppf(0.975, 50)) < 0.05
    few = np.quantile(largest_t(np.eye(1), 0.3, 200_000), 0.9)  # one degree of freedom at least
    assert abs(few / stats.t.ppf(0.95, 1) - 1) < 0.05


def test_curves_of_two_tasks():
    "The table."
    # curves of two tasks: bands, and changes from the first epoch of their own
    rng = np.random.default_rng(4)
    x = rng.normal(size=(6, 60)) + np.arange(6)[:, None] / 4
    index = pd.MultiIndex.from_product([[0, 1, 2], ["a", "b"]], names=["epoch", "task"])
    clusters = np.arange(60) // 4
    curves = mean_statistic(x, np.ones(x.shape, bool), clusters, index)
    found = estimate(curves, over="epoch")
    by_itself = estimate(curves)
    pd.testing.assert_frame_equal(found[list(by_itself)], by_itself)
    change = ["change", "change_low", "change_high", "change_p"]
    assert list(found)[7:] == ["band_low", "band_high", *change, "note"]
    assert found[change][:2].isna().all(axis=None) and found[change][2:].notna().all(axis=None)
    for k in range(2, 6):
        by_hand = mean_statistic((x[k] - x[k % 2])[None], np.ones((1, 60), bool), clusters)
        expected = estimate(by_hand).loc[0, ["value", "low", "high", "p"]].astype(float)
        np.testing.assert_allclose(found[change].iloc[k].astype(float), expected)
    for task in "ab":
        rows = found.xs(task, level="task")
        reach = (rows["band_high"] - rows["value"]) / (rows["high"] - rows["value"])
        np.testing.assert_allclose(reach, reach.iloc[0])  # one factor a family
        assert 1.1 < reach.iloc[0] < 1.5
        assert np.allclose(rows["band_high"] - rows["value"], rows["value"] - rows["band_low"])
    one = estimate(mean_statistic(x[:3], np.ones((3, 60), bool), clusters), over=None)
    assert "band_low" not in one
    only_epochs = pd.Index([0, 1, 2], name="epoch")
    alone = estimate(
        mean_statistic(x[::2], np.ones((3, 60), bool), clusters, only_epochs), over="epoch"
    )
    np.testing.assert_allclose(alone["band_low"], found.xs("a", level="task")["band_low"])
    single = estimate(
        mean_statistic(x[:1], np.ones((1, 60), bool), clusters, only_epochs[:1]), over="epoch"
    ).iloc[0]
    assert single["band_low"] == pytest.approx(single["low"], abs=0.03)
    assert single["band_low"] <= single["low"]


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


def test_why_there_is_no_interval_word_by_word():
    "The table."
    words = {
        (0, np.nan, 0, 0, np.nan): "no samples",
        (5, np.nan, 3, 3, np.nan): "not defined for these samples",
        (5, 1.0, 2, 2, np.nan): "2 clusters: no interval below three",
        (5, 1.0, 3, 3, np.nan): "too few clusters: without one of them it is not defined",
        (5, 1.0, 3, 1.96, 0.5): "nearly all in one cluster (effectively 2.0): hardly anything is known",
        (5, 1.0, 3, 2, 0.5): "",
    }
    for case, said in words.items():
        assert _note(*case) == said


def test_three_clusters_are_enough_p_values_have_a_floor_and_an_error_of_zero():
    "The table."
    # three clusters are enough, p-values have a floor, and an error of zero is certain
    three = estimate(mean_statistic(np.array([[1.0, 2, 4]]), np.ones((1, 3), bool), np.arange(3)))
    theirs = stats.ttest_1samp([1, 2, 4], 0)
    ends = theirs.confidence_interval()
    row = three.loc[0]
    np.testing.assert_allclose([row.low, row.high, row.p], [ends.low, ends.high, theirs.pvalue])
    assert list(three) == ["value", "low", "high", "p", "n", "clusters", "effective", "note"]
    assert (row.n, row.clusters, row.effective, row.note) == (3, 3, pytest.approx(3), "")
    narrow = estimate(
        mean_statistic(np.array([[1.0, 2, 4]]), np.ones((1, 3), bool), np.arange(3)), Resampling(0.5)
    ).loc[0]
    ends = theirs.confidence_interval(0.5)
    np.testing.assert_allclose([narrow.low, narrow.high], [ends.low, ends.high])
    np.testing.assert_array_equal(
        floored(np.array([1e-9, 0.001, 0.002, np.nan])), [0.001, 0.001, 0.002, np.nan]
    )
    assert p_floor == 0.001
    zero = estimate(mean_statistic(np.zeros((1, 9)), np.ones((1, 9), bool), np.arange(9))).loc[0]
    assert (zero.low, zero.high, zero.p) == (0, 0, 1)


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


def test_a_curve_of_shares_of_which_nothing_was_seen():
    "The table."
    # a curve of shares of which nothing was seen: Sidak's level for all epochs
    none = mean_statistic(
        np.zeros((3, 60)),
        np.ones((3, 60), bool),
        codes := np.repeat(np.arange(12), 5),
        pd.Index([0, 1, 2], name="epoch"),
        "share",
    )
    found = estimate(none, over="epoch")
    np.testing.assert_allclose(found["high"], exact_share_interval(0.0, 12)[1])
    np.testing.assert_allclose(found["band_high"], exact_share_interval(0.0, 12, 0.95 ** (1 / 3))[1])
    assert (found["band_low"] == 0).all()
    some = np.zeros((2, 60))
    some[1] = np.arange(60) % 4 == 0
    mixed = mean_statistic(some, np.ones((2, 60), bool), codes, pd.Index([0, 1], name="epoch"), "share")
    row = estimate(mixed, over="epoch").iloc[1]
    assert row["band_low"] <= row["low"] < 0.25 < row["high"] <= row["band_high"]


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


def test_sizes_of_a_difference_its_name_and_what_cannot_be_compared():
    "Two numbers from the same samples."
    x, y = np.random.default_rng(6).normal(size=(2, 60))
    everybody = np.ones((1, 60), bool)
    names = pd.Index(["a"])
    some = everybody.copy()
    some[:, :20] = False
    c, d = (mean_statistic(x[None], who, np.arange(60), names) for who in (everybody, some))
    left = difference(c, d)
    assert left.index.equals(names) and left.scale == ("natural",) and left.runs == ()
    assert estimate(left)[["n", "clusters"]].values.tolist() == [[40, 40]]
    assert estimate(left)["value"].item() == pytest.approx(x.mean() - x[20:].mean())
    shares = (mean_statistic(v[None] > 0, everybody, np.arange(60), scale="share") for v in (x, y))
    assert difference(*shares).scale == ("natural",)
    with pytest.raises(ValueError, match=r"have different values: \['a'\]... and \[0\]..."):
        difference(c, mean_statistic(x[None], everybody, np.arange(60)))


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


def test_a_mean_keeps_scale_and_name():
    "Two numbers from the same samples."
    # a mean keeps scale and name; runs count beside clusters, by Satterthwaite's formula
    rng = np.random.default_rng(9)
    x = rng.normal(size=(3, 24)) + np.array([[0.0], [0.3], [0.5]])
    blocks = np.arange(24) // 3
    each = [mean_statistic(v[None], np.ones((1, 24), bool), blocks, pd.Index(["a"])) for v in x]
    mean = mean_of(each)
    assert mean.index.tolist() == ["a"] and mean.scale == ("natural",) and len(mean.runs) == 1
    found = jackknife(mean)
    of_blocks = x.mean(0).reshape(8, 3).mean(1).var(ddof=1) / 8
    of_runs = x.mean(1).var(ddof=1) / 3
    variance = of_blocks + of_runs
    df = variance**2 / (of_blocks**2 / 7 + of_runs**2 / 2)
    assert (found.error[0], found.df[0]) == pytest.approx((np.sqrt(variance), df))
    assert (found.size[0], found.clusters[0]) == (24, 8)
    assert mean_of(each[:1]) is each[0]


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


def test_the_number_of_a_name_keeps_its_size_and_its_runs_on_the_natural_scale():
    "Two numbers from the same samples."
    x = np.random.default_rng(8).normal(size=(3, 40)) + np.array([[0.0], [1], [2]])
    gone = np.ones(x.shape, bool)
    gone[1, :10] = False
    means = mean_statistic(x > 1, gone, np.arange(40), pd.Index(["a", "b", "c"]), "share")
    b = number_of(mean_of([means, means]), "b")
    assert (b.scale, b.index.tolist(), len(b.runs)) == (("natural",), [0], 1)
    row = estimate(b).loc[0]
    assert (row["n"], row["value"]) == (30, (x > 1)[1, 10:].mean())
    pair = number_of(means, "b", "c", of=lambda v: v[..., 1] - v[..., 0])
    assert estimate(pair)["n"].item() == 30
    with pytest.raises(ValueError, match="one number of 2 values: say which"):
        number_of(means, "a", "b")


def test_by_hand():
    "Many looks."
    # by hand: the smallest times three, the next times two, the last not below it
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.5, np.nan, 0.9]), [1, np.nan, 1])
    assert len(holm([])) == 0


def test_many_questions_some_of_them_tied_against_the_rule_written_as_a_loop():
    "Many looks."
    rng = np.random.default_rng(0)
    p = np.r_[rng.random(12) ** 3, 0.01, 0.01]
    order = np.argsort(p, kind="stable")
    expected = np.empty(14)
    highest = 0
    for rank, k in enumerate(order):
        highest = max(highest, (14 - rank) * p[k])
        expected[k] = min(highest, 1)
    np.testing.assert_allclose(holm(p), expected)
    assert holm([0.04]).tolist() == [0.04]


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
