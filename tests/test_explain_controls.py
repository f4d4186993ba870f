"""Controls

Written by nbdev-export from the check cells of nbs/api/explain/09_controls.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mtl_explain.data.samples import modalities
from mtl_explain.explain.controls import (
    _at, _p_equal, _wrong, against_control, asked_of, look_up, mean_readings, plot_control, read_control,
    read_controls, shuffle_within_class, true_classes,
)
from mtl_explain.explain.correctness import error_by_correctness
from mtl_explain.explain.correlation import correlation_statistic, error_correlation
from mtl_explain.explain.hierarchy import hierarchy_adherence
from mtl_explain.explain.resampling import Resampling, difference, estimate, holm, jackknife
from mtl_explain.testing.planted import planted_trace, planted_world
from mtl_explain.trace import chosen_epoch


@pytest.fixture(scope='module')
def two_tasks_tied_not_tied_and_share_nothing():
    def two_tasks(tie, seed=0, n=600, n_groups=40):
        "A trace of two regressions whose errors share a difficulty, and a tie of a given strength."
        rng = np.random.default_rng(seed)
        hard = np.random.default_rng(99).normal(size=n)  # a property of the samples, not of networks
        common = rng.normal(size=n)
        trace = planted_trace(n_samples=n, n_groups=n_groups, n_epochs=2, size=4)
        for task in ("landcover", "weather"):
            own = rng.normal(size=n)
            trace["error"].loc[dict(task=task)] = hard + tie * common + own + 6
        return trace
    tied = two_tasks(tie=1.0, seed=1)
    not_tied = two_tasks(tie=0.0, seed=2)
    share_nothing = two_tasks(tie=0.0, seed=3)
    return two_tasks, tied, not_tied, share_nothing


@pytest.fixture(scope='module')
def mods():
    return modalities(planted_world(n_samples=44, n_groups=4, size=4).samples)


@pytest.fixture(scope='module')
def trace_and_labelled():
    trace = planted_trace(n_samples=440, n_epochs=2, size=4)  # with labels of a hierarchy
    labelled = trace.assign_attrs(main="temperature")
    return trace, labelled


@pytest.fixture(scope='module')
def beside_not_tied_question_beside_tied_there_and_nothing(two_tasks_tied_not_tied_and_share_nothing, mods):
    two_tasks, tied, not_tied, share_nothing = two_tasks_tied_not_tied_and_share_nothing
    beside_not_tied = against_control(not_tied, share_nothing, mods)
    question = "r of errors, landcover and weather, by sample"
    beside_tied = against_control(tied, share_nothing, mods)
    there = beside_tied[beside_tied["question"] == question].iloc[0]
    nothing = beside_not_tied[beside_not_tied["question"] == question].iloc[0]
    return beside_not_tied, question, beside_tied, there, nothing


@pytest.fixture(scope='module')
def several(two_tasks_tied_not_tied_and_share_nothing, mods):
    two_tasks, tied, not_tied, share_nothing = two_tasks_tied_not_tied_and_share_nothing
    return against_control([tied, two_tasks(1.0, 11)], [share_nothing, not_tied], mods)


@pytest.fixture(scope='module')
def mixed(trace_and_labelled, mods):
    "Readings with and without units."
    trace, labelled = trace_and_labelled
    return against_control(labelled, labelled, mods)


def test_the_looked_up_label_always_lies_in_the_hierarchy_is_right_where_the(trace_and_labelled, mods):
    "A label that is looked up."
    # the looked-up label always lies in the hierarchy, is right where the child is, and ties to it
    trace, labelled = trace_and_labelled
    found = look_up(trace, mods, "climate")
    child = found["predicted"].sel(task="climate").values.astype(int)
    parents = np.array(mods["climate"].parent_index)
    assert (found["predicted"].sel(task="zone").values == parents[child]).all()
    right = found["correct"].sel(task="climate").values == 1
    assert (found["correct"].sel(task="zone").values[right] == 1).all()
    assert found["error"].sel(task="climate").equals(trace["error"].sel(task="climate"))
    assert not found["error"].sel(task="zone").equals(trace["error"].sel(task="zone"))
    assert np.isnan(found["loss"].sel(task="zone")).all()
    with pytest.raises(ValueError, match="'zone' is no task of this trace"):
        look_up(trace.drop_sel(task="zone"), mods, "climate")


def test_by_hand(trace_and_labelled, mods):
    "A label that is looked up."
    # by hand: what is missing stays missing; the parent may be named
    trace, labelled = trace_and_labelled
    few = trace.isel(epoch=[0], sample=slice(0, 4)).copy(deep=True)
    few["predicted"].loc[dict(task="climate")] = [[0, 5, np.nan, 10]]  # zones 0, 2, none, 3
    few["truth"].loc[dict(task="zone")] = [0, 1, 1, np.nan]
    for found in (look_up(few, mods, "climate"), look_up(few, mods, "climate", "zone")):
        zone = found.sel(task="zone").isel(epoch=0)
        np.testing.assert_array_equal(zone["predicted"], [0, 2, np.nan, 3])
        np.testing.assert_array_equal(zone["error"], [0, 1, np.nan, np.nan])
        np.testing.assert_array_equal(zone["correct"], [1, 0, np.nan, np.nan])
        assert found.drop_sel(task="zone").equals(few.drop_sel(task="zone"))


def test_every_class_keeps_its_errors_and_no_sample_its_own(trace_and_labelled):
    "Shuffled within the true class."
    trace, labelled = trace_and_labelled
    classes = true_classes(trace, "climate")
    dealt = shuffle_within_class(trace, "temperature", classes, seed=1)
    before = trace["error"].sel(task="temperature").isel(epoch=0).values
    after = dealt["error"].sel(task="temperature").isel(epoch=0).values
    for k in range(11):
        np.testing.assert_array_equal(np.sort(before[classes == k]), np.sort(after[classes == k]))
    assert (before != after).mean() > 0.9
    rest = ["landcover", "elevation", "weather", "zone", "climate"]
    assert dealt["error"].sel(task=rest).equals(trace["error"].sel(task=rest))
    assert dealt.sizes["pair"] == 1
    assert shuffle_within_class(trace, "elevation", classes).sizes["pair"] == 0
    with pytest.raises(ValueError, match="kind tabular; true classes need"):
        true_classes(trace, "temperature")
    with pytest.raises(ValueError, match="one class a sample is needed, 440"):
        shuffle_within_class(trace, "temperature", classes[:3])


def test_all_that_is_recorded_of_a_task_moves_together_within_split_and_class(trace_and_labelled):
    "Shuffled within the true class."
    # all that is recorded of a task moves together, within split and class; no class is a class, too
    trace, labelled = trace_and_labelled
    halves = ["train" if i % 2 else "test" for i in range(440)]
    numbered = trace.assign_coords(split=("sample", halves)).copy(deep=True)
    for k, name in enumerate(("loss", "error", "correct", "predicted", "truth")):
        numbered[name].loc[dict(task="weather")] = np.arange(440) + 1000 * k
    classes = np.r_[np.full(100, np.nan), np.ones(100), np.zeros(240)]
    dealt = shuffle_within_class(numbered, "weather", classes).sel(task="weather")
    source = dealt["loss"].values[0].astype(int)
    for k, name in enumerate(("loss", "error", "correct", "predicted", "truth")):
        assert (dealt[name].values == source + 1000 * k).all()
    assert sorted(source) == list(range(440))
    np.testing.assert_array_equal(classes[source], classes)
    np.testing.assert_array_equal(source % 2, np.arange(440) % 2)
    for a, b in ((0, 100), (100, 200), (200, 440)):
        for start in (a, a + 1):
            assert (source[start:b:2] != np.arange(start, b, 2)).mean() > 0.8  # every deck is dealt
    again = shuffle_within_class(numbered, "weather", classes, seed=0).sel(task="weather")
    assert again.equals(dealt)
    other = shuffle_within_class(numbered, "weather", classes, seed=1).sel(task="weather")
    assert not other.equals(dealt)


def test_without_splits_there_is_one_deck_a_class(trace_and_labelled):
    "Shuffled within the true class."
    # without splits there is one deck a class; pixels lose the partner that was dealt
    trace, labelled = trace_and_labelled
    plain = trace.drop_vars("split")
    dealt = shuffle_within_class(plain, "weather", np.zeros(440))
    before, after = (t["error"].sel(task="weather").values for t in (plain, dealt))
    assert (before != after).mean() > 0.9
    np.testing.assert_array_equal(np.sort(before, 1), np.sort(after, 1))
    assert shuffle_within_class(plain, "landcover", np.zeros(440)).sizes["pair"] == 0
    assert shuffle_within_class(plain, "weather", np.zeros(440)).sizes["pair"] == 1
    assert "moments" not in shuffle_within_class(plain.drop_vars("moments"), "weather", np.zeros(440))
    assert true_classes(trace, "zone").tolist() == trace["truth"].sel(task="zone").values.tolist()
    with pytest.raises(ValueError, match="'soil' is no task of this trace; it has landcover, elev"):
        true_classes(trace, "soil")
    with pytest.raises(ValueError, match="one class a sample is needed, 440, got shape .3,."):
        shuffle_within_class(trace, "weather", [0, 1, 2])


def test_the_questions_of_a_trace_with_all_kinds_of_tasks(trace_and_labelled, mods):
    "What is asked."
    trace, labelled = trace_and_labelled
    asked = asked_of(trace, mods)
    assert len(asked) == 2 + 4 + 2
    assert "r of errors, landcover and weather, by sample" in asked
    assert "climate inside the predicted zone, where both are wrong" in asked
    assert all(len(a.statistic.index) == 1 for a in asked.values())
    assert asked["r of errors, landcover and weather, by sample"].tasks == ("landcover", "weather")
    assert "error of temperature, zone wrong less right" in asked_of(labelled, mods)


def test_each_question_is_the_one_number_that_its_own_notebook_gives(trace_and_labelled, mods):
    "What is asked."
    trace, labelled = trace_and_labelled
    last = chosen_epoch(trace)


    def asked_number(asked, question):
        "Value and ends of an interval."
        found = estimate(asked[question].statistic, least=asked[question].least)
        return found.iloc[0][["value", "low", "high"]].tolist()


    of_landcover = asked_of(trace, mods)
    rows = error_correlation(trace).query("epoch == @last").set_index(["auxiliary", "basis"])
    names = dict(within="within patches", between="between patches", sample="by sample")
    for (task, basis), row in rows.drop(index="pixel", level="basis").iterrows():
        question = f"r of errors, landcover and {task}, {names[basis]}"
        assert asked_number(of_landcover, question) == pytest.approx([row.r, row.low, row.high])
        assert of_landcover[question].tasks == ("landcover", task)
    rows = hierarchy_adherence(trace, mods, "climate", epochs=[last]).set_index("case")
    for case, where in (("CF-in", "it alone is"), ("FF-in", "both are")):
        question = f"climate inside the predicted zone, where {where} wrong"
        row = rows.loc[case]
        assert asked_number(of_landcover, question) == pytest.approx([row.within, row.low, row.high])
        assert of_landcover[question].tasks == ("climate", "zone")
    of_numbers = asked_of(labelled, mods)
    for label in ("zone", "climate"):
        question = f"error of temperature, {label} wrong less right"
        row = error_by_correctness(labelled, "temperature", label).query("epoch == @last").iloc[0]
        assert asked_number(of_numbers, question) == pytest.approx([row.difference, row.low, row.high])
        assert of_numbers[question].tasks == ("temperature", label)


def test_which_questions_there_are_follows_from_the_main_task_and_the_kinds(trace_and_labelled, mods):
    "What is asked."
    trace, labelled = trace_and_labelled
    others = ["landcover", "elevation", "weather", "zone", "climate"]
    within = {f"climate inside the predicted zone, {w}" for w in _wrong.values()}
    expected = {f"r of errors, temperature and {t}, by sample" for t in others} | within
    expected |= {f"error of temperature, {t} wrong less right" for t in ("zone", "climate")}
    assert set(asked_of(labelled, mods)) == expected
    of_zone = asked_of(trace.assign_attrs(main="zone"), mods)
    compared = {q for q in of_zone if q.startswith("error of")}
    numbers = ("elevation", "weather", "temperature")
    assert compared == {f"error of {n}, zone wrong less right" for n in numbers}
    assert not [q for q in asked_of(trace, mods) if q.startswith("error of")]  # the main one is a mask
    alone = trace.sel(task=["landcover"])
    assert asked_of(alone, mods) == {}
    childless = asked_of(labelled.drop_sel(task="zone"), mods)
    assert not [q for q in childless if "inside" in q]
    early, late = (
        estimate(asked_of(trace, mods, e)["r of errors, landcover and zone, by sample"].statistic)
        for e in (0, 1)
    )
    assert early["value"].item() != late["value"].item()
    assert early.index[0][0] == late.index[0][0] == 0


def test_a_tie_is_found_beyond_the_difficulty(beside_not_tied_question_beside_tied_there_and_nothing):
    "Against a control."
    # a tie is found beyond the difficulty; difficulty alone is not taken for a tie
    beside_not_tied, question, beside_tied, there, nothing = beside_not_tied_question_beside_tied_there_and_nothing
    assert there["value"] > 0.55
    assert 0.4 < there["control"] < 0.6
    assert there["low"] > 0
    assert nothing["value_low"] > 0.35  # by itself it looks like a discovery
    assert nothing["low"] < 0 < nothing["high"]
    beside_not_tied[["question", "value", "control", "difference", "low", "high"]].round(2)


def test_seeds_are_averaged_and_comparing_what_differs_is_refused(several, beside_not_tied_question_beside_tied_there_and_nothing, two_tasks_tied_not_tied_and_share_nothing, mods):
    "Against a control."
    beside_not_tied, question, beside_tied, there, nothing = beside_not_tied_question_beside_tied_there_and_nothing
    two_tasks, tied, not_tied, share_nothing = two_tasks_tied_not_tied_and_share_nothing
    assert several.attrs["seeds"] == 2
    assert several.set_index("question").loc[question, "low"] > 0
    assert (several["p_holm"].dropna() >= several["p"].dropna()).all()
    with pytest.raises(ValueError, match="the control has other samples"):
        against_control(tied, two_tasks(0, n=440), mods)
    with pytest.raises(ValueError, match="control's main task is 'weather', this one's 'landcover'"):
        against_control(tied, not_tied.assign_attrs(main="weather"), mods)
    with pytest.raises(ValueError, match="2 traces, and epochs for 1 of them"):
        mean_readings([tied, not_tied], mods, [3])


def test_the_table_is_what_estimate_says_of_each_of_both_and_of_their(beside_not_tied_question_beside_tied_there_and_nothing, two_tasks_tied_not_tied_and_share_nothing, mods):
    "Against a control."
    # the table is what `estimate` says of each, of both, and of their difference
    beside_not_tied, question, beside_tied, there, nothing = beside_not_tied_question_beside_tied_there_and_nothing
    two_tasks, tied, not_tied, share_nothing = two_tasks_tied_not_tied_and_share_nothing
    columns = "question tasks value value_low value_high control control_low control_high "
    columns += (
        "difference level low high p p_holm n clusters effective note p_equal p_equal_holm margin"
    )
    assert list(beside_tied) == columns.split()
    both = [asked_of(t, mods)[question] for t in (tied, share_nothing)]
    mine, its = (asked.statistic for asked in both)
    ends = ["value", "low", "high"]
    own, control = (estimate(asked.statistic, least=asked.least).iloc[0] for asked in both)
    left = estimate(difference(mine, its)).iloc[0]
    assert there[["value", "value_low", "value_high"]].tolist() == own[ends].tolist()
    assert there[["control", "control_low", "control_high"]].tolist() == control[ends].tolist()
    assert there[["difference", "low", "high", "p"]].tolist() == left[[*ends, "p"]].tolist()
    assert (there["n"], there["clusters"], there["tasks"]) == (600, 40, ("landcover", "weather"))
    np.testing.assert_allclose(beside_tied["p_holm"], holm(beside_tied["p"].astype(float)))
    found = jackknife(difference(mine, its))
    too_far = (stats.t(found.df).cdf((found.value + k * 0.1) / found.error) for k in (-1, 1))
    assert there["p_equal"] == pytest.approx(max(next(too_far), 1 - next(too_far)).item())
    np.testing.assert_allclose(beside_tied["p_equal_holm"], holm(beside_tied["p_equal"]))
    assert set(beside_tied["margin"]) == {0.1}
    assert beside_tied.attrs == dict(seeds=1, control_seeds=1)
    uneven = against_control([tied, two_tasks(1.0, 11)], share_nothing, mods)
    assert uneven.attrs == dict(seeds=2, control_seeds=1)
    both = [asked_of(t, mods)[question].statistic for t in (tied, two_tasks(1.0, 11))]
    mean = uneven.set_index("question").loc[question, "value"]
    assert mean == pytest.approx(np.mean([estimate(s)["value"].item() for s in both]))


def test_another_epoch_another_level_one_task_only(two_tasks_tied_not_tied_and_share_nothing, beside_not_tied_question_beside_tied_there_and_nothing, mods, trace_and_labelled):
    "Against a control."
    # another epoch, another level, one task only; and no question in common
    two_tasks, tied, not_tied, share_nothing = two_tasks_tied_not_tied_and_share_nothing
    beside_not_tied, question, beside_tied, there, nothing = beside_not_tied_question_beside_tied_there_and_nothing
    trace, labelled = trace_and_labelled
    ours, theirs = tied.copy(deep=True), share_nothing.copy(deep=True).assign_attrs(kept=0)
    for t, other in ((ours, not_tied), (theirs, tied)):
        t["error"].loc[dict(epoch=0, task="weather")] = other["error"].sel(epoch=0, task="weather")


    def row_of(*args, **options):
        "The row of the question."
        return against_control(*args, mods, **options).set_index("question").loc[question]


    def r_at(t, epoch):
        "The correlation by numpy."
        return np.corrcoef(*(t["error"].sel(epoch=epoch, task=k) for k in ("landcover", "weather")))[
            0, 1
        ]


    early = row_of(ours, theirs, epoch=0)
    later = row_of(ours, theirs)
    assert early["value"] == pytest.approx(r_at(ours, 0), rel=1e-4)
    assert later["value"] == pytest.approx(r_at(ours, 1), rel=1e-4)
    for row in (early, later):  # the control speaks of the epoch that it kept
        assert row["control"] == pytest.approx(r_at(theirs, 0), rel=1e-4)
    assert abs(r_at(ours, 0) - r_at(ours, 1)) > 0.05 and abs(r_at(theirs, 0) - r_at(theirs, 1)) > 0.05
    narrow = row_of(tied, share_nothing, resampling=Resampling(level=0.5))
    assert there["low"] < narrow["low"] < narrow["high"] < there["high"]
    assert there["value_low"] < narrow["value_low"] and narrow["control_high"] < there["control_high"]
    about = against_control(tied, share_nothing, mods, about="weather")
    assert about["question"].tolist() == [question]
    np.testing.assert_allclose(about["p_holm"], about["p"])  # a family of one
    np.testing.assert_allclose(about["p_equal_holm"], about["p_equal"])
    wider = row_of(tied, share_nothing, margin=0.3)
    assert wider["p_equal"] < 0.05 < there["p_equal"]
    units = against_control(labelled, labelled, mods)
    units = units[units["question"].str.startswith("error of")]
    assert len(units) and units["p_equal"].isna().all()  # no margin fits all units
    fewer = against_control(tied, share_nothing.drop_sel(task="climate"), mods)
    assert not fewer["question"].str.contains("climate").any() and question in set(fewer["question"])
    with pytest.raises(ValueError, match="this trace and the control have no question in common"):
        against_control(tied, share_nothing, mods, about="soil")
    with pytest.raises(ValueError, match=r"other samples \(440, this trace 600\)"):
        against_control([tied, tied], [share_nothing, two_tasks(0, n=440)], mods)
    with pytest.raises(ValueError, match="or in another order: train it on the same sample set"):
        against_control(tied, share_nothing.isel(sample=slice(None, None, -1)), mods)


def test_false_alarms_of_a_comparison_against_those_of_a_look_at_r_alone(two_tasks_tied_not_tied_and_share_nothing):
    "Against a control."
    two_tasks, tied, not_tied, share_nothing = two_tasks_tied_not_tied_and_share_nothing
    alone = paired = 0
    for seed in range(100):
        one, other = (two_tasks(0.0, 1000 + 2 * seed + k, n=220, n_groups=20) for k in range(2))
        ours, theirs = (
            correlation_statistic(_at(t, 1), ["weather"], main="landcover") for t in (one, other)
        )
        alone += estimate(ours)["p"].item() < 0.05
        paired += estimate(difference(ours, theirs))["p"].item() < 0.05
    print(f"'they fail together': {alone} of 100 by r alone, {paired} of 100 against the control")
    assert alone == 100
    assert paired <= 10


def test_the_test_of_equivalence(two_tasks_tied_not_tied_and_share_nothing):
    "Against a control."
    # the test of equivalence: right where nothing is, seldom wrong where the difference is the margin
    two_tasks, tied, not_tied, share_nothing = two_tasks_tied_not_tied_and_share_nothing
    regions = np.repeat(np.arange(30), np.random.default_rng(0).integers(2, 60, 30))
    as_much = {}
    for said, tie in (("nothing", 0.0), ("the margin", np.sqrt(0.5))):
        p = []
        for seed in range(100):
            both = [
                two_tasks(t, 5000 + 2 * seed + k, len(regions)).assign_coords(
                    group=("sample", regions.astype(str))
                )
                for k, t in enumerate((tie, 0.0))
            ]
            ours, theirs = (
                correlation_statistic(_at(t, 1), ["weather"], main="landcover") for t in both
            )
            p.append(_p_equal(difference(ours, theirs), 0.1))
        as_much[said] = int((np.array(p) < 0.05).sum())
    print(f"'as much', of 100 pairs that differ by ...: {as_much}")
    assert as_much["nothing"] > 60
    assert as_much["the margin"] <= 10


def test_the_four_sentences(beside_not_tied_question_beside_tied_there_and_nothing):
    "In words."
    # the four sentences: what is not told apart is only called the same where the interval is narrow
    beside_not_tied, question, beside_tied, there, nothing = beside_not_tied_question_beside_tied_there_and_nothing
    assert read_control(there).endswith("more than there.")
    narrow = nothing.copy()
    narrow[["difference", "low", "high", "p_equal_holm"]] = (0.01, -0.06, 0.08, 0.01)
    assert "the samples, not in the network" in read_control(narrow)
    wide = nothing.copy()
    wide[["difference", "low", "high", "p_equal_holm"]] = (0.05, -0.21, 0.31, 0.3)
    assert read_control(wide).endswith("not told apart from there; a difference of up to 0.31 may be.")
    swapped = there.copy()
    swapped[["difference", "low", "high"]] = -there[["difference", "high", "low"]].values
    assert read_control(swapped).endswith("less than there.")
    empty = there.copy()
    empty["difference"] = np.nan
    assert "not defined" in read_control(empty)
    print(read_control(there), read_control(nothing), sep="\n")


def test_every_sentence_word_by_word():
    "In words."
    row = pd.Series(
        dict(
            question="r of errors, a and b, by sample",
            value=0.5,
            control=0.25,
            difference=0.25,
            low=0.1,
            high=0.4,
            p_holm=0.03,
            p_equal_holm=0.9,
            note="",
        )
    )
    start = "r of errors, a and b, by sample: 0.50; 0.25 in networks that share nothing"
    more = f"{start}; difference +0.25 (95%: +0.10 to +0.40; p = 0.03, corrected): more than there."
    assert read_control(row) == more


    def changed(**values):
        "The row with other values."
        return pd.concat([row.drop(list(values)), pd.Series(values)])


    less = changed(difference=-0.25, low=-0.4, high=-0.1)
    told = read_control(less, "shuffled labels", 0.9)
    assert told.startswith(start.replace("networks that share nothing", "shuffled labels"))
    assert told.endswith(
        "; difference -0.25 (90%: -0.40 to -0.10; p = 0.03, corrected): less than there."
    )
    same = changed(difference=0.01, low=-0.04, high=0.09, p_equal_holm=0.04)
    assert read_control(same).endswith(
        "as much as there. What both show lies in the samples, not in the network."
    )
    assert "more than there" in read_control(changed(p_equal_holm=0.06))
    assert "as much as there" in read_control(changed(p_equal_holm=0.09), level=0.9)
    other = dict(question="error of a, b wrong less right", p_holm=0.5, p_equal_holm=np.nan)
    degrees = changed(**(same.to_dict() | other))
    assert read_control(degrees).endswith(
        "not told apart from there; a difference of up to 0.09 may be."
    )
    edge = changed(p_holm=1 - 0.95, low=-0.2)
    assert "not told apart" in read_control(edge)
    assert "more than there" in read_control(edge, level=0.9)
    assert "not told apart" in read_control(changed(p_holm=np.nan, low=-0.5))
    assert read_control(changed(low=np.nan)) == f"{start}: no interval, no verdict."
    noted = changed(low=np.nan, note="2 clusters")
    assert read_control(noted) == f"{start}: 2 clusters, no verdict."
    assert read_control(changed(difference=np.nan)) == (
        "r of errors, a and b, by sample: not defined in one of the two."
    )


def test_a_row_a_sentence_and_none_about_what_was_not_learnt(beside_not_tied_question_beside_tied_there_and_nothing):
    "In words."
    beside_not_tied, question, beside_tied, there, nothing = beside_not_tied_question_beside_tied_there_and_nothing
    said = read_controls(beside_tied)
    assert said.count("in networks that share nothing") == beside_tied["difference"].notna().sum()
    said = read_controls(beside_tied, unlearnt=("weather",))
    assert "landcover and weather" not in said
    assert said.endswith("since not shown to be learnt: weather.")


def test_name_and_level_reach_every_sentence(beside_not_tied_question_beside_tied_there_and_nothing):
    "In words."
    # name and level reach every sentence; what is not interpreted is counted and named in order
    beside_not_tied, question, beside_tied, there, nothing = beside_not_tied_question_beside_tied_there_and_nothing
    told = read_controls(beside_tied, "a control", 0.9)
    sentences = [read_control(row, "a control", 0.9) for _, row in beside_tied.iterrows()]
    assert told == " ".join(sentences)
    hidden = [{"weather", "elevation"} & set(tasks) for tasks in beside_tied["tasks"]]
    n_hidden = sum(map(bool, hidden))
    told = read_controls(beside_tied, unlearnt=("weather", "soil", "elevation"))
    assert told.endswith(
        f"Not interpreted ({n_hidden} of {len(hidden)} readings), since not shown to be learnt: "
        "elevation, weather."
    )
    assert n_hidden == 3
    assert read_controls(beside_tied, unlearnt=("soil",)) == read_controls(beside_tied)


def test_a_row_per_question_in_both_axes(beside_not_tied_question_beside_tied_there_and_nothing, mixed):
    "In words."
    beside_not_tied, question, beside_tied, there, nothing = beside_not_tied_question_beside_tied_there_and_nothing
    axs = plot_control(beside_tied)
    assert len(axs[0].get_yticklabels()) == 8
    assert len(axs) == 2
    assert len(plot_control(mixed)) == 4  # degrees have axes of their own
    assert len(plot_control(mixed.assign(difference=np.nan))) == 1
    plt.close("all")
    assert axs[1].get_xlabel().startswith("difference")


def test_marks_stand_at_their_numbers(beside_not_tied_question_beside_tied_there_and_nothing):
    "In words."
    beside_not_tied, question, beside_tied, there, nothing = beside_not_tied_question_beside_tied_there_and_nothing
    readings, differences = plot_control(beside_tied, "a control")
    at = np.arange(8)[::-1]
    for k, (column, shift) in enumerate((("value", 0.13), ("control", -0.13))):
        points = readings.lines[k].get_xydata()
        np.testing.assert_allclose(points, np.stack([beside_tied[column], at + shift], 1))
        ends = np.array([s[:, 0] for s in readings.collections[k].get_segments()])
        np.testing.assert_allclose(ends, beside_tied[[f"{column}_low", f"{column}_high"]])
        heights = np.array([s[:, 1] for s in readings.collections[k].get_segments()])
        np.testing.assert_allclose(heights, np.stack([at + shift] * 2, 1))
    np.testing.assert_allclose(
        differences.lines[0].get_xydata(), np.stack([beside_tied["difference"], at], 1)
    )
    ends = np.array([s[:, 0] for s in differences.collections[0].get_segments()])
    np.testing.assert_allclose(ends, beside_tied[["low", "high"]])
    assert [t.get_text() for t in readings.get_yticklabels()] == beside_tied["question"].tolist()
    assert readings.get_yticks().tolist() == at.tolist()
    for ax in (readings, differences):
        assert ax.lines[-1].get_xdata() == [0, 0]
        assert ax.get_ylim()[0] <= -0.5 and ax.get_ylim()[1] >= 7.5  # all rows are in view
    assert readings.get_xlabel() == "correlation or share"
    legend = [t.get_text() for t in readings.figure.legends[0].get_texts()]
    assert legend == ["this network", "a control"]
    plt.close("all")


def test_errors_with_units_have_axes_of_their_own(mixed):
    "In words."
    # errors with units have axes of their own; what is not defined has no row
    axs = plot_control(mixed)
    assert axs[0].get_xlabel() == "correlation or share"
    assert axs[2].get_xlabel() == "difference of errors, in their units"
    assert axs[3].get_xlabel() == "difference, 95 % paired interval" and not axs[1].get_xlabel()
    counts = [len(ax.get_yticks()) for ax in axs]
    with_units = mixed["question"].str.startswith("error of").sum()
    assert counts == [len(mixed) - with_units] * 2 + [with_units] * 2
    assert plot_control(mixed.assign(level=0.9))[3].get_xlabel() == "difference, 90 % paired interval"
    part = mixed.assign(difference=mixed["difference"].where(mixed.index != 1))
    assert len(plot_control(part)[0].get_yticks()) == counts[0] - 1
    only = plot_control(mixed[mixed["question"].str.startswith("error of")])
    assert len(only) == 2 and only[0].get_xlabel() == "difference of errors, in their units"
    nothing_defined = plot_control(mixed.assign(difference=np.nan))[0]
    assert nothing_defined.texts[0].get_text() == "no reading is defined in both"
    assert not nothing_defined.axison
    plt.close("all")
