"""The verdict on a claim

Written by nbdev-export from the check cells of nbs/api/explain/07_verdict.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t as student

from mtl_explain.explain.resampling import difference, mean_of, mean_statistic
from mtl_explain.explain.verdict import (
    claim, directions, equivalence_p, equivalence_power, judge, plot_verdicts, power_of, word_for,
)


def word(estimate, se, direction="greater", level=0.95, enough=0.8):
    p = 2 * student.sf(abs(estimate) / se, 20)
    p_equal = student.sf((0.1 - abs(estimate)) / se, 20)
    able = equivalence_power if direction == "equal" else power_of
    power = able(0.1, se, 20, level)
    return word_for(estimate, p, p, p_equal, power, direction, level, enough)


def planted_study(truth, margin, direction, rng, n_seeds=3, n_clusters=20, spread=0.1):
    "Ten claims about a known difference; their errors by the textbook, not by the library."
    places = rng.normal(0, spread, (10, 1, n_clusters))
    seeds = rng.normal(0, spread / 5, (10, n_seeds, 1))
    own = rng.normal(0, spread / 3, (10, n_seeds, n_clusters))
    x = truth + places + seeds + own
    by_place = x.mean(1).var(1, ddof=1) / n_clusters
    by_seed = x.mean(2).var(1, ddof=1) / n_seeds
    variance = by_place + by_seed
    parts = by_place**2 / (n_clusters - 1) + by_seed**2 / (n_seeds - 1)
    return pd.DataFrame(
        dict(
            claim=[f"claim {i}" for i in range(10)],
            estimate=x.mean((1, 2)),
            se=np.sqrt(variance),
            df=variance**2 / parts,
            margin=margin,
            direction=direction,
        )
    )
def shares_of_words(truth, margin, direction, n_studies=100, seed=0):
    "How often each verdict is given, and how many studies have at least one 'seen'."
    rng = np.random.default_rng(seed)
    verdicts = [
        judge(planted_study(truth, margin, direction, rng))["verdict"] for _ in range(n_studies)
    ]
    shares = pd.concat(verdicts).value_counts(normalize=True)
    return shares, np.mean([(v == "seen").any() for v in verdicts])


@pytest.fixture(scope='module')
def claims_and_judged():
    claims = pd.DataFrame(
        dict(
            claim=["they fail together", "it costs nothing", "it helps"],
            estimate=[0.30, 0.01, 0.05],
            se=[0.05, 0.015, 0.021],
            df=20,
            margin=[0.1, 0.05, 0.02],
            direction=["greater", "equal", "greater"],
        )
    )
    judged = judge(claims)
    return claims, judged


def test_by_hand():
    "The rule."
    # by hand: the same rule for what is claimed above, below and at zero
    assert word(0.30, 0.05) == "seen"
    assert word(-0.30, 0.05) == "opposite seen"
    assert word(-0.30, 0.05, "less") == "seen"
    assert word(0.01, 0.02) == "equivalent"
    assert word(0.06, 0.02) == "equivalent"  # it differs from zero (p = .007), by less than matters
    assert word(0.06, 0.033) == "not seen"
    assert word(0.02, 0.20) == "could not be seen"
    assert word(0.01, 0.02, "equal") == "seen"
    assert word(0.30, 0.05, "equal") == "opposite seen"
    assert word(0.09, 0.03, "equal") == "opposite seen"
    assert word(0.05, 0.032, "equal") == "not seen"
    assert word(0.02, 0.20, "equal") == "could not be seen"
    assert word_for(np.nan, np.nan, np.nan, np.nan, np.nan) == "could not be seen"


def test_the_edges_of_the_rule_and_other_levels_than_95():
    "The rule."
    able = power_of(0.1, 0.033, 20)
    assert word(0.06, 0.033, enough=able) == "not seen"
    assert word(0.06, 0.033, enough=able + 1e-9) == "could not be seen"
    able = equivalence_power(0.1, 0.032, 20)
    assert word(0.05, 0.032, "equal", enough=able) == "not seen"
    assert word(0.05, 0.032, "equal", enough=able + 1e-9) == "could not be seen"
    assert word(0.06, 0.033, level=0.9) == "seen"
    edge = 1 - 0.95
    assert word_for(0.3, edge, edge, 1.0, 0.5) == "could not be seen"  # p is not below 5 %
    assert word_for(0.3, 0.01, np.nextafter(edge, 0), 1.0, 0.5) == "seen"
    assert word_for(0.3, 0.5, 0.5, edge, 0.5) == "could not be seen"
    assert word_for(0.3, 0.5, 0.5, np.nextafter(edge, 0), 0.5) == "equivalent"
    # seen alone, not when corrected: never 'not seen', however strong the study; of equality it may be
    assert word_for(0.3, 0.01, 0.2, 1.0, 0.99) == "could not be seen"
    assert word_for(0.3, 0.06, 0.2, 1.0, 0.99) == "not seen"
    assert word_for(0.3, 0.01, 0.2, 1.0, 0.99, "equal") == "not seen"
    for direction in directions:
        unknown = word_for(0.3, np.nan, np.nan, np.nan, np.nan, direction)
        assert unknown == "could not be seen"


def test_power_against_simulated_studies():
    "The rule."
    # power against simulated studies: t tests, and two one-sided tests, of 9 values each
    rng = np.random.default_rng(0)
    n = 9
    x = rng.normal(0.8, 1, (20_000, n))
    t = x.mean(1) / (x.std(1, ddof=1) / np.sqrt(n))
    found = (np.abs(t) > student.ppf(0.975, n - 1)).mean()
    assert abs(found - power_of(0.8, 1 / np.sqrt(n), n - 1)) < 0.01
    assert power_of(1.0, 1e-3, 20) == 1.0  # so large that the other tail cannot be computed
    x = rng.normal(0, 1, (20_000, n))
    half = student.ppf(0.95, n - 1) * x.std(1, ddof=1) / np.sqrt(n)
    shown = (np.abs(x.mean(1)) + half < 1.1).mean()
    assert abs(shown - equivalence_power(1.1, 1 / np.sqrt(n), n - 1)) < 0.06  # s is taken as known
    assert equivalence_power(0.1, 1, 8) == 0


def test_power_by_hand():
    "The rule."
    # power by hand: nothing to find, nothing in the way, and the normal distribution in the limit
    assert (power_of(0, 0, 5), power_of(-0.1, 0, 5), equivalence_power(0.1, 0, 5)) == (0, 1, 1)
    for level, z in ((0.95, 1.959964), (0.9, 1.644854)):
        by_hand = norm.sf(z - 2) + norm.cdf(-z - 2)
        for df in (1e7, np.inf):
            assert power_of(0.8, 0.4, df, level) == pytest.approx(by_hand, abs=1e-5)
            assert power_of(-0.8, 0.4, df, level) == pytest.approx(by_hand, abs=1e-5)
    for level in (0.95, 0.9):
        room = 0.5 / 0.2 - student.ppf(level, 8)
        by_hand = student.cdf(room, 8) - student.cdf(-room, 8)
        assert equivalence_power(0.5, 0.2, 8, level) == pytest.approx(by_hand)
    assert power_of(0, 1, 8) == pytest.approx(0.05)  # of nothing, the false alarms
    # two one-sided tests: below 5 % exactly where the 90 % interval lies within the margin
    half = student.ppf(0.95, 20) * 0.02
    inside = equivalence_p([0.06, -0.06, 0.06], [0.02] * 3, [20] * 3, 0.06 + half + 1e-9)
    assert (inside < 0.05).all() and inside == pytest.approx(0.05, abs=1e-6)
    assert (equivalence_p([0.06, -0.06], [0.02] * 2, [20] * 2, 0.06 + half - 1e-9) > 0.05).all()
    nothing_varies = equivalence_p([0.0, 0.1, -0.2], np.zeros(3), [np.nan] * 3, 0.1)
    assert nothing_varies.tolist() == [0, 1, 1]  # as large as the margin is not within it
    assert np.isnan(equivalence_p(0.1, np.nan, 0, 0.2))


def test_from_seeds_alone_it_is_a_t_test():
    "A claim."
    # from seeds alone it is a t-test; from clusters the jackknife of a difference
    row = claim("better", [1.0, 2.0, 3.0], 0.5)
    assert (row["estimate"], row["df"], row["over"]) == (2, 2, "seeds")
    assert np.isclose(row["se"], 1 / np.sqrt(3))
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (2, 1, 40)) + np.array([1.0, 0.0])[:, None, None]
    everybody = np.ones((1, 40), bool)
    a, b = (mean_statistic(v, everybody, np.arange(40)) for v in (x, y))
    row = claim("larger", difference(a, b), 0.2)
    assert np.isclose(row["estimate"], x.mean() - y.mean())
    assert np.isclose(row["se"], (x - y).std(ddof=1) / np.sqrt(40), rtol=0.02)
    assert row["over"] == "clusters"
    seeds = mean_of([difference(a, b), difference(a, b)])
    assert claim("larger", seeds, 0.2)["over"] == "clusters and seeds"
    with pytest.raises(ValueError, match="on the natural scale, got .*share"):
        claim("larger", mean_statistic(x > 0, everybody, np.arange(40), scale="share"), 0.2)


def test_the_whole_row():
    "A claim."
    # the whole row; one training alone has no error
    row = claim("better", [1.0, 2.0, 3.0], 0.5, "less")
    keys = ["claim", "estimate", "se", "df", "margin", "direction", "over"]
    assert list(row) == keys
    assert (row["claim"], row["margin"], row["direction"]) == ("better", 0.5, "less")
    alone = claim("better", [2.0], 0.5)
    assert (alone["estimate"], alone["df"], alone["direction"]) == (2, 0, "greater")
    assert np.isnan(alone["se"])
    x = np.random.default_rng(1).normal(size=(1, 12))
    of_clusters = claim("above", mean_statistic(x, np.ones((1, 12), bool), np.arange(12)), 0.5)
    assert of_clusters["df"] == pytest.approx(11)
    assert of_clusters["se"] == pytest.approx(x.std(ddof=1) / np.sqrt(12))


def test_a_table_of_three_claims_its_correction_and_what_is_refused(claims_and_judged):
    "A table of claims."
    claims, judged = claims_and_judged
    assert list(judged["verdict"]) == ["seen", "seen", "could not be seen"]
    assert judged["p"][2] < 0.05 < judged["p_holm"][2]  # alone it would have been seen
    assert judge(claims[2:])["verdict"].item() == "seen"
    many = judge(pd.concat([claims] * 7))  # among twenty-one the equal one is not sure enough either
    assert set(many["verdict"]) == {"seen", "could not be seen"}
    assert many["p_equal"][1] < 0.05 < many["p_equal_holm"][1]
    with pytest.raises(ValueError, match="need the column 'margin'"):
        judge(claims.drop(columns="margin"))
    with pytest.raises(ValueError, match="one of greater, less, equal; got 'more'"):
        judge(claims.assign(direction="more"))
    with pytest.raises(ValueError, match="a margin lies above zero"):
        judge(claims.assign(margin=0.0))
    # a difference that is zero in every cluster and every run has neither error nor freedom
    never = judge(claims.assign(estimate=0.0, se=0.0, df=np.nan))
    assert list(never["verdict"]) == ["equivalent", "seen", "equivalent"]
    assert (never["low"] == 0).all() and (never["high"] == 0).all()
    judged.round(3)


def test_low_high_all_p_and_power_against_scipy_at_two_levels(claims_and_judged):
    "A table of claims."
    claims, judged = claims_and_judged
    for level in (0.95, 0.9):
        found = judge(claims, level)
        for row in found.itertuples():
            ends = student.interval(level, row.df, row.estimate, row.se)
            assert (row.low, row.high) == pytest.approx(ends)
            assert row.p == pytest.approx(2 * student.cdf(-row.estimate / row.se, row.df))
        first, second, third = found["p"]
        assert found["p_holm"].tolist() == pytest.approx([3 * first, second, 2 * third])
        outside = [student.sf(x, 20) for x in ((0.1 - 0.3) / 0.05, 0.04 / 0.015, -0.03 / 0.021)]
        assert found["p_equal"].tolist() == pytest.approx(outside)
        assert found["p_equal_holm"].tolist() == pytest.approx([1, 3 * outside[1], 1])
        strict = 1 - (1 - level) / 3
        expected = [
            power_of(0.1, 0.05, 20, strict),
            equivalence_power(0.05, 0.015, 20, strict),
            power_of(0.02, 0.021, 20, strict),
        ]
        assert found["power"].tolist() == pytest.approx(expected)
    assert list(judge(claims, 0.9)["verdict"]) == ["seen", "seen", "seen"]


def test_of_a_negative_estimate_an_infinite_df_an_error_of_zero(claims_and_judged):
    "A table of claims."
    # of a negative estimate, an infinite df, an error of zero; and what is kept of the table
    claims, judged = claims_and_judged
    mirrored = judge(claims.assign(estimate=-claims["estimate"]))
    assert mirrored["low"].tolist() == pytest.approx((-judged["high"]).tolist())
    assert mirrored["p"].tolist() == pytest.approx(judged["p"].tolist())
    assert list(mirrored["verdict"]) == ["opposite seen", "seen", "could not be seen"]
    wide = judge(claims.assign(df=np.inf))
    assert wide["high"][0] == pytest.approx(0.30 + 1.959964 * 0.05)
    sure = judge(claims.assign(se=0.0, estimate=[0.3, 0.0, 0.0]))
    assert sure["p"].tolist()[0] == 0
    assert list(sure["verdict"]) == ["seen", "seen", "equivalent"]
    alone = judge(pd.DataFrame([claim("better", [2.0], 0.5)]))
    assert alone["verdict"].item() == "could not be seen"
    assert alone[["low", "high", "p"]].isna().all(axis=None)
    part = judge(claims[1:].assign(study="globe"))
    assert part.index.tolist() == [0, 1]
    new = ["low", "high", "p", "p_holm", "p_equal", "p_equal_holm", "power", "family"]
    new += ["level", "verdict"]
    assert list(part) == [*claims, "study", *new]
    assert "p" not in claims  # what was given stays as it is
    with pytest.raises(ValueError, match="need the column 'se'; they have claim, estimate, margin"):
        judge(claims[["claim", "estimate", "margin"]])
    with pytest.raises(ValueError, match="got 'less than'"):
        judge(claims.assign(direction=["more", "less than", "equal"]))
    with pytest.raises(ValueError, match="a margin lies above zero"):
        judge(claims.assign(margin=[0.1, -0.1, 0.1]))


def test_nothing_there():
    "Does the rule keep its word?"
    # nothing there: a false word in few studies, and equivalence is not claimed falsely
    shares, any_seen = shares_of_words(truth=0.0, margin=0.05, direction="greater")
    assert any_seen <= 0.05
    assert shares.get("opposite seen", 0) <= 0.01
    shares, any_seen = shares_of_words(truth=0.0, margin=0.2, direction="greater")
    assert shares["equivalent"] > 0.95
    _, any_seen = shares_of_words(truth=0.1, margin=0.1, direction="equal")  # at the edge of the margin
    assert any_seen <= 0.07  # of a hundred studies; the rule allows 5


def test_something_there():
    "Does the rule keep its word?"
    # something there: it is seen where it could be, and its absence is not claimed where it could not
    shares, _ = shares_of_words(truth=0.2, margin=0.1, direction="greater")
    assert shares["seen"] > 0.95
    shares, _ = shares_of_words(truth=0.2, margin=0.1, direction="less")
    assert shares["opposite seen"] > 0.95
    shares, _ = shares_of_words(truth=0.02, margin=0.02, direction="greater")
    assert shares["could not be seen"] > 0.8
    assert shares.get("not seen", 0) + shares.get("equivalent", 0) < 0.02
    shares, _ = shares_of_words(truth=0.0, margin=0.2, direction="equal")
    assert shares["seen"] > 0.8


def test_a_row_per_claim_a_word_per_row(claims_and_judged):
    "Seeing a table of claims."
    claims, judged = claims_and_judged
    ax = plot_verdicts(judged)
    assert [t.get_text() for t in ax.texts] == ["seen", "seen", "could not be seen"]
    assert [t.get_text() for t in ax.get_yticklabels()] == list(judged["claim"])
    long = plot_verdicts(judged.assign(claim="a claim that needs more words than fit in one line " * 2))
    assert long.get_yticklabels()[0].get_text().count("\n") == 2
    plt.close(long.figure)


def test_every_mark_stands_at_its_number(claims_and_judged):
    "Seeing a table of claims."
    # every mark stands at its number: margins around zero, intervals, estimates, words
    claims, judged = claims_and_judged
    fig, own = plt.subplots()
    ax = plot_verdicts(judged, own, units="m")
    assert ax is own
    rows = [2, 1, 0]  # the first claim on top
    for bar, y, margin in zip(ax.patches, rows, judged["margin"], strict=True):
        assert (bar.get_x(), bar.get_width()) == pytest.approx((-margin, 2 * margin))
        assert bar.get_y() + bar.get_height() / 2 == pytest.approx(y)
    *marks, zero = ax.lines
    for k, (y, row) in enumerate(zip(rows, judged.itertuples(), strict=True)):
        of_all, interval, point = marks[3 * k : 3 * k + 3]
        assert interval.get_xydata().tolist() == [[row.low, y], [row.high, y]]
        ends = student.interval(1 - 0.05 / 3, row.df, row.estimate, row.se)
        assert of_all.get_xdata() == pytest.approx(ends)
        assert point.get_xydata().tolist() == [[row.estimate, y]]
        assert ax.texts[k].xy[1] == y
    assert zero.get_xdata() == [0, 0]
    assert ax.get_yticks().tolist() == rows
    assert ax.get_ylim()[0] <= -0.5 and ax.get_ylim()[1] >= 2.5  # all rows are in view
    # and all intervals of single claims; one of all together that is longer ends in an arrow
    alike = judge(claims.assign(estimate=0.0, se=0.02, margin=0.045))
    one_unsure = judge(claims.assign(estimate=0.0, se=0.02, margin=0.045, df=[20, 20, 1.5]))
    for table, arrows in ((alike, 0), (one_unsure, 2)):
        shown = plot_verdicts(table)
        assert shown.get_xlim()[0] < table["low"].min() and shown.get_xlim()[1] > table["high"].max()
        marks = [c for c in shown.collections if len(c.get_offsets()) == 1]
        assert [c.get_offsets()[0, 1] for c in marks] == [0] * arrows
    thin = "% interval of each, thin: of all 3 together"
    assert ax.get_xlabel() == f"difference [m]; thick: 95 {thin}"
    assert plot_verdicts(judged).get_xlabel() == f"difference; thick: 95 {thin}"
    assert plot_verdicts(judge(judged, level=0.99)).get_xlabel() == f"difference; thick: 99 {thin}"
    plt.close("all")
