"""The verdict on a claim

Written by nbdev-export from the check cells of nbs/api/explain/07_verdict.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from mtl_explain.explain.resampling import difference, mean_of, mean_statistic
from mtl_explain.explain.verdict import claim, equivalence_power, judge, plot_verdicts, power_of, word_for


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
            se=[0.05, 0.02, 0.021],
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
    def word(estimate, se, direction="greater"):
        p = 2 * student.sf(abs(estimate) / se, 20)
        return word_for(estimate, se, 20, p, 0.1, direction)


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
    assert word_for(np.nan, np.nan, 5, np.nan, 0.1) == "could not be seen"


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


def test_a_table_of_three_claims_its_correction_and_what_is_refused(claims_and_judged):
    "A table of claims."
    claims, judged = claims_and_judged
    assert list(judged["verdict"]) == ["seen", "seen", "could not be seen"]
    assert judged["p"][2] < 0.05 < judged["p_holm"][2]  # alone it would have been seen
    assert judge(claims[2:])["verdict"].item() == "seen"
    with pytest.raises(ValueError, match="need the column 'margin'"):
        judge(claims.drop(columns="margin"))
    with pytest.raises(ValueError, match="one of greater, less, equal; got 'more'"):
        judge(claims.assign(direction="more"))
    with pytest.raises(ValueError, match="a margin lies above zero"):
        judge(claims.assign(margin=0.0))
    judged.round(3)


def test_nothing_there():
    "Does the rule keep its word?"
    # nothing there: a false word in few studies, and equivalence is not claimed falsely
    shares, any_seen = shares_of_words(truth=0.0, margin=0.05, direction="greater")
    assert any_seen <= 0.05
    assert shares.get("opposite seen", 0) <= 0.01
    shares, any_seen = shares_of_words(truth=0.0, margin=0.2, direction="greater")
    assert shares["equivalent"] > 0.95
    _, any_seen = shares_of_words(truth=0.1, margin=0.1, direction="equal")  # at the edge of the margin
    assert any_seen <= 10 * 0.06


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
    shares, _ = shares_of_words(truth=0.0, margin=0.15, direction="equal")
    assert shares["seen"] > 0.8


def test_a_row_a_claim_a_word_a_row(claims_and_judged):
    "Seeing a table of claims."
    claims, judged = claims_and_judged
    ax = plot_verdicts(judged)
    assert [t.get_text() for t in ax.texts] == ["seen", "seen", "could not be seen"]
    assert [t.get_text() for t in ax.get_yticklabels()] == list(judged["claim"])
    long = plot_verdicts(judged.assign(claim="a claim that needs more words than fit in one line " * 2))
    assert long.get_yticklabels()[0].get_text().count("\n") == 2
    plt.close(long.figure)
