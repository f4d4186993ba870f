"""Was it learnt?

Written by nbdev-export from the check cells of nbs/api/explain/06_skill.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from scipy.stats import bootstrap

from mtl_explain.explain.resampling import Resampling, estimate
from mtl_explain.explain.skill import judged_by, plot_skill, read_skill, skill, skill_statistic
from mtl_explain.palette import blue, grey
from mtl_explain.testing.planted import planted_world


def one_skill(error, other, codes):
    "A single skill with its interval."
    found = skill_statistic(np.array([error], float), np.array([other], float), codes)
    return estimate(found).iloc[0]


@pytest.fixture(scope='module')
def trace_end_and_begin():
    "A world in which everything is learnt in the end, and nothing at the beginning."
    trace = planted_world(n_samples=440, n_epochs=8).trace
    end = skill(trace, epoch=7)
    begin = skill(trace, epoch=0)
    return trace, end, begin


@pytest.fixture(scope='module')
def told(trace_end_and_begin):
    trace, end, begin = trace_end_and_begin
    rng = np.random.default_rng(1)
    guessed = trace.copy(deep=True)
    hopeless = guessed.constant_loss.sel(task="weather").values
    guessed["loss"].loc[dict(task="weather")] = rng.permuted(np.tile(hopeless, (8, 1)), axis=1)
    return skill(guessed, epoch=7)


@pytest.fixture(scope='module')
def rows():
    "Five tasks: two learnt, one not, two without an interval."
    return pd.DataFrame(
        dict(
            skill=[0.5, 0.25, 0.01, 0.3, np.nan],
            low=[0.4, 0.125, -0.1, np.nan, np.nan],
            high=[0.6, 0.5, 0.12, np.nan, np.nan],
            learnt=[True, True, False, False, False],
            clusters=[20, 20, 20, 2, 0],
            note=["", "", "", "2 clusters: no interval below three", ""],
        ),
        index=["cover", "zone", "age", "soil", "rain"],
    )


def test_three_clusters_by_hand():
    "One minus a ratio, with an interval."
    by_hand = one_skill([1, 2, 3], [4, 4, 4], np.arange(3))
    assert by_hand["value"] == 0.5
    assert by_hand["high"] - 0.5 == pytest.approx(4.3027 * np.sqrt(1 / 48), rel=1e-4)
    assert by_hand["effective"] == 3
    assert one_skill([0.01, 0.02], [0.05, 0.05], np.arange(2))["value"] == pytest.approx(0.7)
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


def test_several_rows_at_once():
    "One minus a ratio, with an interval."
    # several rows at once: each counts its own samples, and leaves its own clusters out
    rng = np.random.default_rng(1)
    ours, theirs = rng.gamma(2, 1, (2, 3, 12))
    ours[1, :3] = np.nan
    theirs[2, 3:] = np.nan
    blocks = np.arange(12) // 3
    index = pd.Index(["a", "b", "c"], name="task")
    together = estimate(skill_statistic(ours, theirs, blocks, index))
    assert together.index.equals(index)
    assert together["n"].tolist() == [12, 9, 3]
    assert together["clusters"].tolist() == [4, 3, 1]
    assert together["effective"].tolist() == pytest.approx([4, 3, 1])
    for row, a, b in zip(together.itertuples(), ours, theirs, strict=True):
        alone = one_skill(a, b, blocks)
        known = np.isfinite(a + b)
        assert row.value == alone["value"] == pytest.approx(1 - a[known].sum() / b[known].sum())
        assert (row.low, row.high) == pytest.approx((alone["low"], alone["high"]), nan_ok=True)


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


def test_learnt_at_the_end_not_at_the_beginning(trace_end_and_begin):
    "Planted."
    trace, end, begin = trace_end_and_begin
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


def test_the_table_by_hand_and_what_may_be_asked_of_it_otherwise(trace_end_and_begin):
    "Planted."
    trace, end, begin = trace_end_and_begin
    by_task = ["error", "loss", "loss", "error", "error", "loss"]
    assert end["judged_by"].tolist() == by_task
    assert list(end)[:5] == ["judged_by", "skill", "low", "high", "learnt"]
    assert list(end)[5:] == ["n", "clusters", "effective", "note"]
    for (task, row), by in zip(end.iterrows(), by_task, strict=True):
        ours, constant = (trace[name].sel(task=task).values for name in (by, f"constant_{by}"))
        assert row["skill"] == pytest.approx(1 - ours[7].mean() / constant.mean(), rel=1e-5)
    pd.testing.assert_frame_equal(skill(trace), end)  # the epoch that was kept is the last here
    narrow = skill(trace, epoch=7, resampling=Resampling(level=0.5))
    assert (narrow["low"] > end["low"]).all() and (narrow["high"] < end["high"]).all()
    assert (skill(trace, epoch=7, resampling=Resampling(cluster="sample"))["clusters"] == 440).all()
    halves = trace.assign_coords(split=("sample", ["test"] * 220 + ["valid"] * 220))
    assert (skill(halves, epoch=7)["n"] == 220).all()
    assert (skill(halves, split=None, epoch=7)["n"] == 440).all()
    assert [judged_by(k) for k in ("image", "series", "tabular")] == ["loss"] * 3
    assert [judged_by(k) for k in ("category", "mask")] == ["error"] * 2


def test_exactly_as_good_as_the_constant_is_not_learnt(trace_end_and_begin):
    "Planted."
    trace, end, begin = trace_end_and_begin
    same = trace.isel(epoch=[0]).copy(deep=True)
    same["error"][:] = same["constant_error"]
    same["loss"][:] = same["constant_loss"]
    found = skill(same)
    assert (found["skill"] == 0).all() and (found["low"] == 0).all()
    assert not found["learnt"].any()


def test_a_trace_that_does_not_know_its_constants_says_so(trace_end_and_begin):
    "Planted."
    trace, end, begin = trace_end_and_begin
    with pytest.raises(ValueError, match="does not say what a constant gets wrong"):
        skill(trace.drop_vars("constant_error"))


def test_the_sentence_names_both_kinds_and_the_figure_has_a_row_per_task(told):
    "In words."
    text = read_skill(told)
    assert "Not shown to be learnt: weather" in text
    assert "landcover" in text.split("Not shown")[0]
    ax = plot_skill(told)
    assert [t.get_text() for t in ax.get_yticklabels()] == told.index.tolist()
    print(text)


def test_the_sentences_word_by_word(rows):
    "In words."
    # the sentences word by word; each may be missing, and one without an interval says why
    learnt = "Better than the best constant (90% intervals): cover 0.50 (0.40 to 0.60); zone 0.25 "
    learnt += "(0.12 to 0.50)."
    rest = "Not shown to be learnt: age 0.01 (-0.10 to 0.12); soil (2 clusters: no interval below "
    rest += "three); rain (not defined). Errors of such a task are those of its truth, and what they "
    rest += "go with is not interpreted here."
    assert read_skill(rows, 0.9) == f"{learnt} {rest}"
    assert read_skill(rows[2:]) == rest
    few = read_skill(rows.assign(clusters=5))
    assert few.endswith(
        "interpreted here. 5 groups of test samples are few to show it: with `cross_validate` all "
        "groups of the sample set are tested."
    )
    assert read_skill(rows[:2]) == learnt.replace("90%", "95%")


def test_marks_stand_at_their_numbers_in_the_colour_of_what_was_shown(rows):
    "In words."
    fig, own = plt.subplots()
    ax = plot_skill(rows[:3], own)
    assert ax is own
    intervals, points = ax.collections
    assert [s.tolist() for s in intervals.get_segments()] == [
        [[0.4, 2], [0.6, 2]],
        [[0.125, 1], [0.5, 1]],
        [[-0.1, 0], [0.12, 0]],
    ]
    assert points.get_offsets().tolist() == [[0.5, 2], [0.25, 1], [0.01, 0]]
    colors = [to_hex(c) for c in points.get_facecolors()]
    assert colors == [to_hex(c) for c in (blue, blue, grey)]
    assert ax.lines[0].get_xdata() == [0, 0]
    assert ax.get_yticks().tolist() == [2, 1, 0]
    assert ax.get_ylim()[0] <= -0.5 and ax.get_ylim()[1] >= 2.5
    plt.close(fig)
