"""Controls

Written by nbdev-export from the check cells of nbs/api/explain/09_controls.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mtl_explain.data.samples import modalities
from mtl_explain.explain.controls import (
    _at, against_control, asked_of, look_up, plot_control, read_control, read_controls, shuffle_within_class,
    true_classes,
)
from mtl_explain.explain.correlation import correlation_statistic
from mtl_explain.explain.resampling import difference, estimate
from mtl_explain.testing.planted import planted_trace, planted_world


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
    with pytest.raises(ValueError, match="the control's main task is 'weather'"):
        against_control(tied, not_tied.assign_attrs(main="weather"), mods)


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


def test_the_four_sentences(beside_not_tied_question_beside_tied_there_and_nothing):
    "In words."
    # the four sentences: what is not told apart is only called the same where the interval is narrow
    beside_not_tied, question, beside_tied, there, nothing = beside_not_tied_question_beside_tied_there_and_nothing
    assert read_control(there).endswith("more than there.")
    narrow = nothing.copy()
    narrow[["difference", "low", "high"]] = (0.01, -0.06, 0.08)
    assert "the samples, not in the network" in read_control(narrow)
    wide = nothing.copy()
    wide[["difference", "low", "high"]] = (0.05, -0.21, 0.31)
    assert read_control(wide).endswith("not told apart from there; a difference of up to 0.31 may be.")
    swapped = there.copy()
    swapped[["difference", "low", "high"]] = -there[["difference", "high", "low"]].values
    assert read_control(swapped).endswith("less than there.")
    empty = there.copy()
    empty["difference"] = np.nan
    assert "not defined" in read_control(empty)
    print(read_control(there), read_control(nothing), sep="\n")


def test_a_row_a_sentence_and_none_about_what_was_not_learnt(beside_not_tied_question_beside_tied_there_and_nothing):
    "In words."
    beside_not_tied, question, beside_tied, there, nothing = beside_not_tied_question_beside_tied_there_and_nothing
    said = read_controls(beside_tied)
    assert said.count("in networks that share nothing") == beside_tied["difference"].notna().sum()
    said = read_controls(beside_tied, unlearnt=("weather",))
    assert "landcover and weather" not in said
    assert said.endswith("since not shown to be learnt: weather.")


def test_a_row_a_question_in_both_axes(beside_not_tied_question_beside_tied_there_and_nothing, trace_and_labelled, mods):
    "In words."
    beside_not_tied, question, beside_tied, there, nothing = beside_not_tied_question_beside_tied_there_and_nothing
    trace, labelled = trace_and_labelled
    axs = plot_control(beside_tied)
    assert len(axs[0].get_yticklabels()) == 8
    assert len(axs) == 2
    mixed = against_control(labelled, labelled, mods)
    assert len(plot_control(mixed)) == 4  # degrees have axes of their own
    assert len(plot_control(mixed.assign(difference=np.nan))) == 1
    plt.close("all")
    assert axs[1].get_xlabel().startswith("difference")
