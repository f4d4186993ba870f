"""Explain

Written by nbdev-export from the check cells of nbs/api/explain/11_overview.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mtl_explain.data.samples import modalities
from mtl_explain.explain.correctness import (
    corrected_together, correctness_groups, error_by_correctness, error_by_groups, transition_matrix,
)
from mtl_explain.explain.correlation import error_correlation
from mtl_explain.explain.hierarchy import hierarchy_adherence
from mtl_explain.explain.overview import (
    Explanation, _ask_construction, _is_above, _names, _with_interval, check_traced, explain, label_pairs,
    read_correlation, read_error_by_correctness, read_error_by_groups, read_groups, read_hierarchy,
    read_ranges, read_together, read_transitions, tied_by_construction,
)
from mtl_explain.testing.planted import map_moments, planted_world


@pytest.fixture(scope='module')
def world_and_mods():
    "A planted world in which everything applies."
    world = planted_world(n_samples=880, n_groups=40, n_epochs=6, size=8)
    mods = modalities(world.samples)
    return world, mods


@pytest.fixture(scope='module')
def found(world_and_mods):
    "Everything about the planted world."
    world, mods = world_and_mods
    return explain(world.trace, world.samples, mods)


@pytest.fixture(scope='module')
def apart_and_gated(world_and_mods):
    world, mods = world_and_mods
    other = planted_world(n_samples=880, n_groups=40, n_epochs=6, size=8, sample_r=0.0, seed=5)
    apart = other.trace.assign_coords(sample=world.trace.sample, group=world.trace.group)
    hopeless = world.trace.copy(deep=True)
    hopeless["constant_loss"].loc[dict(task="weather")] = 1e-6
    gated = explain(hopeless, modalities=mods, control=apart)
    return apart, gated


def test_an_explanation_that_does_not_apply():
    "What an explanation is."
    e = Explanation("hierarchy", "Do wrong labels respect the hierarchy?", reason="only one label task")
    assert not e.applies
    assert e.result is None
    assert Explanation("a", "b").applies


def test_how_numbers_are_printed():
    "Readings."
    row = dict(r=0.4, low=0.381, high=0.414, share=0.7)
    assert _with_interval(row, "r") == "0.40 (95%: 0.38 to 0.41)"
    assert _with_interval(dict(r=-0.001, low=-0.3, high=-0.0), "r") == "0.00 (95%: -0.30 to 0.00)"
    assert _with_interval(row, "share", ".0%") == "70% (95%: 38% to 41%)"
    assert _with_interval(dict(r=np.nan, low=0, high=0), "r") == "not defined"
    few = dict(r=0.4, low=np.nan, high=np.nan)
    assert _with_interval(few, "r") == "0.40 (no interval: too few clusters)"
    assert _names(["a"]) == "a"
    assert _names("abc") == "a, b and c"


def test_correlations_in_words_with_and_without_something_to_say():
    "Readings."
    rows = [
        (0, "dem", "within", 0.6, 0.5, 0.7, 0.004, np.nan, np.nan, ""),
        (3, "dem", "pixel", 0.5, 0.4, 0.6, 0.001, -0.1, 0.004, ""),
        (3, "dem", "within", 0.3, 0.2, 0.4, 0.004, -0.3, 0.004, ""),
        (3, "dem", "between", 0.2, 0.01, 0.4, 0.09, 0.1, 0.9, ""),
        (3, "zone", "sample", -0.02, -0.1, 0.06, 0.8, -0.1, 0.9, ""),
        (3, "age", "sample", np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, "only one value"),
    ]
    columns = "epoch auxiliary basis r low high p_holm change change_p_holm note".split()
    result = pd.DataFrame(rows, columns=columns).assign(main="cover")
    text = read_correlation(result, 3)
    print(text)
    assert text == (
        "Epoch 3. cover and dem fail in the same pixels of a sample: r = 0.30 (95%: 0.20 to 0.40). "
        "It was higher at first (0.60 at epoch 0). "
        "For zone (r = -0.02, 95%: -0.10 to 0.06) the interval includes zero: no correlation is "
        "shown. "
        "For dem (between samples, r = 0.20, 95%: 0.01 to 0.40) the interval excludes zero, but not "
        "after correction for 3 questions: no correlation is shown. age: only one value."
    )
    silent = read_correlation(result, 3, unlearnt=("dem", "age"))
    assert silent.startswith("Epoch 3. For zone (r = -0.02")
    assert silent.endswith("Not interpreted, since not shown to be learnt: age and dem.")
    assert read_correlation(result, 3, unlearnt=("dem", "age", "zone")).startswith("Epoch 3. Not inter")


def test_hard_samples_are_not_hard_pixels():
    "Readings."
    rng = np.random.default_rng(0)
    hard = rng.normal(size=(300, 1, 1))
    x, y = hard + rng.normal(size=(2, 300, 6, 6))
    t = planted_world(n_samples=300, n_groups=30, n_epochs=1, size=6).trace
    t["moments"] = t["moments"].dims, map_moments(x, y)[None, :, None]
    text = read_correlation(error_correlation(t), 0)
    assert "landcover and elevation fail in the same samples" in text
    assert "the same pixels" not in text
    assert "elevation (within samples, r = " in text


def test_moves_in_words(world_and_mods):
    "Readings."
    world, mods = world_and_mods
    rows = transition_matrix(world.trace, "zone", "climate", 0, 1)
    print(read_groups(correctness_groups(world.trace, "zone", "climate")))
    print(read_transitions(rows))
    assert "FF 20% (95%" in read_transitions(rows)
    assert "CF (one correction) against FF (two corrections): -10 points" in read_transitions(rows)
    assert "CF was corrected less often." in read_transitions(rows)
    blurred = rows.assign(less_ff_p_holm=0.4)
    blurred.attrs = rows.attrs
    assert read_transitions(blurred).count("no difference is shown.") == 2
    both = corrected_together(world.trace, "zone", "climate", 0, 1)
    print(read_together(both))
    assert "together more often than each by itself (p < 0.001)." in read_together(both)
    blurred = both.assign(p=0.3)
    blurred.attrs = both.attrs
    assert read_together(blurred).endswith("that they are corrected together is not shown.")


def test_hierarchy_in_words_planted_and_blind(world_and_mods):
    "Readings."
    world, mods = world_and_mods
    rows = hierarchy_adherence(world.trace, mods, "climate", epochs=[5])
    print(read_hierarchy(rows, 5))
    assert "both are wrong" in read_hierarchy(rows, 5)
    assert "more than chance" in read_hierarchy(rows, 5)
    blind = rows.assign(excess=0.0, excess_low=-0.1, excess_high=0.1, p_holm=0.9)
    blind.attrs = rows.attrs
    assert read_hierarchy(blind, 5).count("not distinguishable from chance") == 2


def test_blocks_that_are_large_enough_and_blocks_that_are_not():
    "Readings."
    rows = pd.DataFrame(
        dict(
            task=["cover", "rain"],
            epoch=3,
            block=1100.0,
            range=[300.0, 2000.0],
            beyond=[False, True],
            smaller=[False, True],
        )
    )
    assert read_ranges(rows) == (
        "Epoch 3. The side of a typical block is 1,100 km. The errors of cover do not reach further. "
        "Further than that reach the errors of rain (at least 2,000 km): neighbouring blocks are not "
        "independent there, and the intervals are too narrow."
    )
    assert read_ranges(rows[:1]).endswith("The errors of cover do not reach further.")
    assert "own block" in read_ranges(rows.assign(block=0.0))


def test_regression_errors_in_words(world_and_mods):
    "Readings."
    world, mods = world_and_mods
    one = error_by_correctness(world.trace, "temperature", "zone")
    four = error_by_groups(world.trace, "temperature", "zone", "climate")
    print(read_error_by_correctness(one, 0))
    print(read_error_by_groups(four, 0))
    assert "larger error in" in read_error_by_correctness(one, 0)
    assert "a wrong zone goes with the larger error." in read_error_by_groups(four, 0)
    same = planted_world(n_samples=440, n_epochs=1, size=4, effects=(1, 1, 1, 1)).trace
    said = read_error_by_correctness(error_by_correctness(same, "temperature", "zone"), 0)
    assert said.endswith("includes zero: no difference is shown.")
    said = read_error_by_groups(error_by_groups(same, "temperature", "zone", "climate"), 0)
    assert "neither label is shown" in said


def test_the_coarser_label_comes_first(world_and_mods):
    "Which questions a run can answer."
    world, mods = world_and_mods
    assert label_pairs(world.trace, mods) == [("zone", "climate")]
    assert label_pairs(world.trace.sel(task=["climate", "zone"]), mods) == [("zone", "climate")]
    assert label_pairs(world.trace.sel(task=["climate", "weather"]), mods) == []
    assert _is_above(mods, "zone", "climate")
    assert not _is_above(mods, "climate", "zone")
    assert not _is_above(mods, "zone", "zone")


def test_the_zone_is_a_function_of_the_climate(world_and_mods):
    "Before anything is read."
    # the zone is a function of the climate; what is said to be derived is named, too
    world, mods = world_and_mods
    assert tied_by_construction(["zone", "climate", "weather"], mods) == [("zone", "climate")]
    from_weather = mods | dict(climate=replace(mods["climate"], derived_from=("weather",)))
    assert ("climate", "weather") in tied_by_construction(["climate"], from_weather)
    assert "zone from climate" in _ask_construction(world.trace, mods).reading
    assert not _ask_construction(world.trace, {}).applies


def test_the_own_samples_pass(world_and_mods):
    "In one call."
    # the own samples pass; others are told by what they lack
    world, mods = world_and_mods
    assert check_traced(world.trace, world.samples) is None
    other = world.samples.drop_vars("zone").isel(sample=slice(0))
    with pytest.raises(
        ValueError, match="they have no modalities zone, no samples p0000, p0001, p0002 and 877 more"
    ):
        check_traced(world.trace, other)


def test_all_of_it_applies_and_every_figure_is_its_own(found):
    "In one call."
    assert list(found.left_out) == ["control: networks that share nothing", "slices"]
    assert list(found)[:3] == ["skill", "tied by construction", "error correlation"]
    assert "control: zone looked up from climate" in found
    assert "control: dealt out within the true zone" in found
    assert "transitions (zone, climate)" in found
    for e in found.applied.values():
        assert len(e.result)
        if not e.figure:
            continue
        fig = e.figure()
        assert isinstance(fig, plt.Figure)
        assert e.reading.endswith(".")
        assert e.question.endswith("?")
        if e.name.startswith("error of elevation by correctness of"):
            assert e.name.split()[-1] in fig.axes[0].get_title()
            assert "elevation" in fig.axes[0].get_title()
        plt.close(fig)


def test_slices_none_in_the_planted_world_the_planted_one_where_a_class_fails_a(world_and_mods):
    "In one call."
    # slices: none in the planted world, the planted one where a class fails, a reason without a split
    world, mods = world_and_mods
    third = world.trace.group.astype(int) % 3 == 0
    dealt = world.trace.assign_coords(split=world.trace.split.where(~third, "valid"))
    assert "none is confirmed on test" in explain(dealt, world.samples, mods)["slices"].reading
    failing = dealt.copy(deep=True)
    wet = world.samples["zone"].sel(sample=dealt.sample) == 2
    failing["error"].loc[dict(task="landcover")] += 0.3 * wet
    named = explain(failing, world.samples, mods)["slices"]
    assert f"landcover is worse where zone is {mods['zone'].classes[2]}" in named.reading
    assert named.result.confirmed.sum() == 1
    assert "need another split" in explain(dealt, world.samples, mods, split="valid").left_out["slices"]


def test_the_control_has_its_row(world_and_mods, apart_and_gated):
    "In one call."
    # the control has its row; weather and what concerns it is not interpreted
    world, mods = world_and_mods
    apart, gated = apart_and_gated
    against = explain(world.trace, modalities=mods, control=[apart, apart])
    said = against["control: networks that share nothing"].reading
    assert "landcover and weather, by sample" in said
    assert "in networks that share nothing" in said
    assert "Not shown to be learnt: weather" in gated["skill"].reading
    assert (
        "Not interpreted, since not shown to be learnt: weather." in gated["error correlation"].reading
    )
    assert "landcover and weather" not in gated["control: networks that share nothing"].reading
    guessed = world.trace.copy(deep=True)
    guessed["constant_error"].loc[dict(task="zone")] = 1e-6
    silent = explain(guessed, modalities=mods)["transitions (zone, climate)"].reading
    assert silent.startswith("Not interpreted: zone was not shown to be learnt")


def test_what_does_not_apply_says_why(world_and_mods):
    "In one call."
    world, mods = world_and_mods
    one = explain(world.trace.sel(task=["landcover"]).drop_vars(["lat", "lon"]), modalities=mods)
    assert set(one.applied) == {"skill"}
    assert set(one.left_out) == {
        "tied by construction",
        "control: networks that share nothing",
        "rival explanations",
        "error correlation",
        "correctness groups",
        "hierarchy",
        "error by correctness",
        "reach of errors",
        "slices",
        "error maps",
        "errors on the map",
    }
    assert "one task only, 'landcover'" in one.left_out["error correlation"]
    two = explain(
        world.trace.sel(task=["zone", "weather"]).assign_attrs(main="zone"),
        modalities=mods,
    )
    assert set(two.applied) == {
        "skill",
        "control: dealt out within the true zone",
        "rival explanations",
        "error correlation",
        "error of weather by correctness of zone",
        "reach of errors",
        "errors on the map",
    }
    assert repr(two).startswith("Explanations: 7 apply")
    assert "Which tasks are tied by construction?\nleft out: " in str(one)
    with pytest.raises(ValueError, match="'error correlation' has no figure: the trace has one"):
        one["error correlation"].figure()
    assert "left out" in one._repr_html_()
    assert "fewer than two label tasks" in two._repr_html_()


def test_a_run_is_enough_no_labels_are_no_harm(world_and_mods):
    "In one call."
    # a run is enough, no labels are no harm; a broken hierarchy is a reason, an empty split an error
    world, mods = world_and_mods
    first = world.trace.isel(epoch=[0])
    run = SimpleNamespace(trace=first, modalities=mods)
    short = explain(run)
    unlabelled = world.trace.copy(deep=True).assign_attrs(main="temperature")
    unlabelled["correct"].loc[dict(task="zone")] = np.nan
    found = explain(unlabelled.drop_vars("constant_error"), modalities=mods)
    assert "what a constant gets wrong" in found.left_out["skill"]
    assert found["transitions (zone, climate)"].reading == "No sample has both labels."
    assert (
        "No sample has both labels" in found["error of temperature by groups (zone, climate)"].reading
    )
    assert short._repr_html_() == explain(first, modalities=mods)._repr_html_()
    assert not any(k.startswith(("fate", "transitions")) for k in short)
    assert short["error correlation"].applies
    broken = world.trace.copy(deep=True)
    one = dict(task="zone", sample="p0000")
    broken["truth"].loc[one] = (broken["truth"].sel(one) + 1) % 4
    left_out = explain(broken, modalities=mods).left_out
    assert "leaves the hierarchy in 1 of 880" in left_out["hierarchy (zone, climate)"]
    with pytest.raises(ValueError, match="no samples of split 'train'"):
        explain(world.trace, modalities=mods, split="train")
    other = world.samples.drop_vars("zone").isel(sample=slice(0))
    with pytest.raises(
        ValueError,
        match="not those of the run: they have no modalities zone, "
        "no samples p0000, p0001, p0002 and 877 more",
    ):
        explain(world.trace, other, mods)


def test_without_modalities(world_and_mods):
    "In one call."
    # without modalities: everything but what needs them, and the reason; a path is no sample set
    world, mods = world_and_mods
    plain = explain(world.trace)
    assert set(plain.applied) > {"skill", "error correlation", "correctness groups (zone, climate)"}
    for name in ("tied by construction", "hierarchy"):
        assert plain.left_out[name].startswith("needs `modalities`, which say what is above")
        assert "climate" in plain.left_out[name]
    some = explain(world.trace, modalities={n: m for n, m in mods.items() if n != "weather"})
    assert some.left_out["tied by construction"].endswith("nothing is known of weather")
    assert "hierarchy (zone, climate)" in some.applied
    with pytest.raises(ValueError, match=r"samples: expected a sample set, got 'report' \(str\)"):
        explain(world.trace, "report", mods)


def test_reasons_name_what_can_be_typed_and_are_those_that_matter(world_and_mods):
    "In one call."
    world, mods = world_and_mods
    bare = explain(world.trace, modalities=mods).left_out
    assert "--control" in bare["control: networks that share nothing"]
    assert "--store" in bare["slices"]
    numbers = world.trace.sel(task=["temperature", "zone"]).assign_attrs(main="temperature")
    said = explain(numbers, modalities=mods).left_out["error maps"]
    assert said == "no two tasks are dense (images, masks), one of them 'temperature', on one grid"


def test_no_torch_is_imported():
    "In one call."
    code = """
import sys, mtl_explain.explain.overview, mtl_explain.testing.planted
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
