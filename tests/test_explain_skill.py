"""Was it learnt?

Written by nbdev-export from the check cells of nbs/api/explain/06_skill.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest
from scipy.stats import bootstrap

from mtl_explain.explain.resampling import estimate
from mtl_explain.explain.skill import plot_skill, read_skill, skill, skill_statistic
from mtl_explain.testing.planted import planted_world


def one_skill(error, other, codes):
    "A single skill with its interval."
    found = skill_statistic(np.array([error], float), np.array([other], float), codes)
    return estimate(found).iloc[0]


@pytest.fixture(scope='module')
def trace():
    "A world in which everything is learnt in the end, and nothing at the beginning."
    return planted_world(n_samples=440, n_epochs=8).trace


@pytest.fixture(scope='module')
def told(trace):
    rng = np.random.default_rng(1)
    guessed = trace.copy(deep=True)
    hopeless = guessed.constant_loss.sel(task="weather").values
    guessed["loss"].loc[dict(task="weather")] = rng.permuted(np.tile(hopeless, (8, 1)), axis=1)
    return skill(guessed, epoch=7)


def test_three_clusters_by_hand():
    "One minus a ratio, with an interval."
    by_hand = one_skill([1, 2, 3], [4, 4, 4], np.arange(3))
    assert by_hand["value"] == 0.5
    assert by_hand["high"] - 0.5 == pytest.approx(4.3027 * np.sqrt(1 / 48), rel=1e-4)
    assert by_hand["effective"] == 3
    uneven = one_skill(np.ones(4), np.full(4, 2.0), np.array([0, 0, 0, 1]))
    assert uneven["effective"] == pytest.approx(16 / 10)


def test_against_scipys_bootstrap():
    "One minus a ratio, with an interval."
    rng = np.random.default_rng(0)
    theirs = rng.gamma(2, 1, 300)
    ours = theirs * rng.uniform(0.2, 1.2, 300)
    made = one_skill(ours, theirs, np.arange(300))
    drawn = bootstrap(
        (ours, theirs),
        lambda a, b, axis: 1 - a.mean(axis) / b.mean(axis),
        paired=True,
        vectorized=True,
        method="basic",
        rng=np.random.default_rng(0),
    ).confidence_interval
    np.testing.assert_allclose([made["low"], made["high"]], [drawn.low, drawn.high], atol=0.01)


def test_nothing_to_compare_one_cluster_a_constant_that_is_perfect_missing():
    "One minus a ratio, with an interval."
    # nothing to compare, one cluster, a constant that is perfect, missing values
    nan = np.array([np.nan, np.nan])
    assert np.isnan(one_skill(nan, nan, np.arange(2))["value"])
    one = one_skill(np.ones(3), np.full(3, 2.0), np.zeros(3, int))
    assert one["value"] == 0.5
    assert np.isnan(one["low"])
    assert np.isnan(one_skill(np.ones(3), np.zeros(3), np.arange(3))["value"])
    part = one_skill([1, np.nan, 1], [2.0, 2, 2], np.arange(3))
    assert part["n"] == part["clusters"] == 2


def test_false_alarms_where_nothing_was_learnt():
    "One minus a ratio, with an interval."
    # false alarms where nothing was learnt: near one side of 5 %
    def false_alarms(size, worlds=1000, shared=0.3, seed=0):
        "Share of worlds without skill whose interval lies above zero, and whose interval holds it."
        rng = np.random.default_rng(seed)
        codes = np.repeat(np.arange(len(size)), size)

        def errors():
            common = rng.gamma(4, 1, len(size))[codes]
            return shared * common + (1 - shared) * rng.gamma(1, 4, len(codes))

        ours = np.stack([errors() for _ in range(worlds)])
        theirs = np.stack([errors() for _ in range(worlds)])
        found = estimate(skill_statistic(ours, theirs, codes))
        above = (found["low"] > 0).mean()
        holds = ((found["low"] <= 0) & (found["high"] >= 0)).mean()
        return above, holds


    equal = false_alarms(np.full(27, 12))
    unequal = false_alarms(np.round(np.geomspace(2, 60, 27)).astype(int))
    assert equal[0] < 0.05 and unequal[0] < 0.05
    assert abs(equal[1] - 0.95) < 0.025 and unequal[1] > 0.93
    print(
        f"false alarms {equal[0]:.1%} and {unequal[0]:.1%}, coverage {equal[1]:.1%}, {unequal[1]:.1%}"
    )


def test_learnt_at_the_end_not_at_the_beginning(trace):
    "Planted."
    end = skill(trace, epoch=7)
    begin = skill(trace, epoch=0)
    assert end.learnt.all()
    assert not begin.learnt.any()
    assert (end.low > 0).all() and (end.skill > 0.1).all()
    assert end.loc["elevation", "judged_by"] == "loss"
    assert end.loc["climate", "judged_by"] == "error"
    assert (end.clusters == 40).all()
    end.round(3)


def test_one_task_that_was_never_learnt_stands_out(told):
    "Planted."
    assert told.index[~told.learnt].tolist() == ["weather"]
    assert told.loc["weather", "low"] < 0 < told.loc["weather", "high"]


def test_a_trace_that_does_not_know_its_constants_says_so(trace):
    "Planted."
    with pytest.raises(ValueError, match="does not say what a constant gets wrong"):
        skill(trace.drop_vars("constant_error"))


def test_the_sentence_names_both_kinds_and_the_figure_has_a_row_a_task(told):
    "In words."
    text = read_skill(told)
    assert "Not shown to be learnt: weather" in text
    assert "landcover" in text.split("Not shown")[0]
    ax = plot_skill(told)
    assert [t.get_text() for t in ax.get_yticklabels()] == told.index.tolist()
    print(text)
