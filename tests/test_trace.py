"""Trace

Written by nbdev-export from the check cells of nbs/api/02_trace.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest
import xarray as xr

from mtl_explain.modality import modality_of
from mtl_explain.testing.planted import planted_samples, planted_world
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.trace import (
    best_epoch, by_channel, check_trace, chosen_epoch, confidence_edges, empty_trace, error_edges, joined,
    joined_folds, label_correct, shown_split, split_positions,
)


@pytest.fixture(scope='module')
def samples():
    "Sixteen of the toy world's samples are test samples."
    return toy_samples(96, 4)


@pytest.fixture(scope='module')
def made_and_empty():
    "An empty trace of two tasks."
    made = planted_samples(44, 4, 6, np.random.default_rng(0))
    empty = empty_trace(made, ["landcover", "weather"], 3)
    return made, empty


@pytest.fixture(scope='module')
def world():
    "A planted world."
    return planted_world(n_samples=24, n_groups=4, n_epochs=3, size=8, shown=2)


# a trace, and the same with one value replaced
@pytest.fixture(scope='module')
def mods(world):
    return {n: modality_of(da) for n, da in world.samples.data_vars.items()}


@pytest.fixture(scope='module')
def trace_and_changed(world):
    trace = world.trace
    def changed(name, value, **at):
        "The trace with one value replaced."
        t = trace.copy(deep=True)
        t[name].loc[
            dict(epoch=0, sample=t.sample[1]) | at if name != "truth" else dict(sample=t.sample[1]) | at
        ] = value
        return t
    return trace, changed


@pytest.fixture(scope='module')
def off_vector_and_apart(world):
    "Weather of two channels, taken apart."
    channels = dict(
        channel=["weather (t)", "weather (p)"],
        channel_task=("channel", ["weather", "weather"]),
        channel_units=("channel", ["°C", "mm"]),
    )
    rng = np.random.default_rng(0)
    off = rng.gamma(2, 1, (3, 24, 2)).astype("float32")
    both = dict(
        channel_error=(("epoch", "sample", "channel"), off * [1, 50]),
        channel_loss=(("epoch", "sample", "channel"), off**2),
        channel_constant_error=(("sample", "channel"), off[0] * [1, 50]),
        channel_constant_loss=(("sample", "channel"), off[0] ** 2),
    )
    vector = world.trace.assign(both).assign_coords(channels)
    apart = by_channel(vector)
    return off, vector, apart


@pytest.fixture(scope='module')
def thirds_turns_and_whole(world):
    "Three folds of the planted world, whose kept epochs differ."
    thirds = np.arange(24) * 3 // 24
    def of_fold(f, kept):
        "The trace of one fold: its third is tested, the next one decides."
        split = np.select([thirds == f, thirds == (f + 1) % 3], ["test", "valid"], "train")
        part = world.trace.assign_coords(split=("sample", split)).assign_attrs(kept=kept)
        return part.isel(sample=np.flatnonzero(split != "train"))
    turns = [of_fold(f, kept) for f, kept in enumerate((2, 0, 1))]
    whole = joined_folds(turns)
    return thirds, turns, whole


def test_64_bins_without_a_gap():
    "Names."
    # 64 bins without a gap; the last holds what is surer than 0.99987
    assert len(confidence_edges) == 65
    assert (np.diff(confidence_edges) > 0).all()
    assert confidence_edges[[0, 31, 64]].tolist() == [0, 31 / 32, 1]
    assert 0.99987 < confidence_edges[63] < 0.99988


def test_the_edges_by_hand():
    "Names."
    # the edges by hand: 31 of width 1/32, then four for each halving of what is missing
    assert (confidence_edges[:32] * 32).tolist() == list(range(32))
    missing = 32 * (1 - confidence_edges[32:64])
    np.testing.assert_allclose(
        missing[3::4], [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]
    )
    np.testing.assert_allclose(missing[1:] / missing[:-1], 2**-0.25)
    with pytest.raises(ValueError, match="read-only"):
        confidence_edges[0] = 1


def test_64_bins_again_nothing_outside():
    "Names."
    assert len(error_edges) == 65
    assert (error_edges[1], error_edges[32], error_edges[63]) == (2**-7.75, 1, 2**7.75)


def test_four_bins_a_doubling():
    "Names."
    # four bins a doubling; nobody moves them
    np.testing.assert_allclose(error_edges[2:64] / error_edges[1:63], 2**0.25)
    assert (error_edges[0], error_edges[64]) == (0, np.inf)
    with pytest.raises(ValueError, match="read-only"):
        error_edges[0] = 1


def test_the_positions_of_a_split(samples):
    "Which samples."
    test = split_positions(samples, "test")
    assert set(samples.split.values[test]) == {"test"}
    assert len(test) == (samples.split == "test").sum()
    assert len(split_positions(samples, None)) == 96
    with pytest.raises(ValueError, match="no samples of split 'tset'.*test, train, valid"):
        split_positions(samples, "tset")


def test_positions_one_by_one(samples):
    "Which samples."
    # positions one by one; a trace that knows no splits
    few = samples.isel(sample=slice(0, 5)).assign_coords(
        split=("sample", ["test", "train", "test", "valid", "test"])
    )
    assert split_positions(few).tolist() == [0, 2, 4]
    assert split_positions(few, "valid").tolist() == [3]
    assert split_positions(few, None).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="has no coordinate `split`; pass split=None"):
        split_positions(few.drop_vars("split"))
    assert split_positions(few.drop_vars("split"), None).tolist() == [0, 1, 2, 3, 4]


def test_the_best_epoch_is_chosen_on_validation_samples():
    "Which epoch."
    # the best epoch is chosen on validation samples; what was kept, or asked for, comes first
    loss = np.array([[3.0, 3], [1, 2], [2, 1]])  # three epochs; a validation and a test sample
    told = xr.Dataset(
        dict(loss=(("epoch", "sample", "task"), loss[..., None])),
        dict(epoch=range(3), task=["a"], split=("sample", ["valid", "test"])),
        dict(main="a"),
    )
    assert best_epoch(told) == 1
    assert best_epoch(told, split="test") == 2
    assert best_epoch(told.drop_vars("split")) == 2
    assert best_epoch(told.where(told.epoch != 1)) == 2 and best_epoch(told * np.nan, "a") == 2, (
        "without a loss: not that one; without any: the last"
    )
    assert chosen_epoch(told) == 1
    assert chosen_epoch(told.assign_attrs(kept=2)) == 2
    assert chosen_epoch(told, 0) == 0
    with pytest.raises(ValueError, match="there is no epoch 7 in the trace; it has 0 to 2"):
        chosen_epoch(told, 7)


def test_the_mean_over_samples_another_task_and_a_split_that_nobody_has():
    "Which epoch."
    two = np.array([[[1.0, 5], [4, 1]], [[2, 4], [2, 3]], [[3, 0], [3, 9]]])  # epoch, sample, task
    tasks = xr.Dataset(
        dict(loss=(("epoch", "sample", "task"), two)),
        dict(epoch=[3, 4, 5], task=["a", "b"], split=("sample", ["valid", "valid"])),
        dict(main="a"),
    )
    assert best_epoch(tasks) == 4  # means 2.5, 2, 3
    assert best_epoch(tasks, "b") == 3  # means 3, 3.5, 4.5
    assert best_epoch(tasks, split="test") == 5
    with pytest.raises(ValueError, match="there is no epoch 0 in the trace; it has 3 to 5"):
        chosen_epoch(tasks, 0)
    with pytest.raises(ValueError, match="there is no epoch 9"):
        chosen_epoch(tasks.assign_attrs(kept=9))


def test_right_wrong_no_label():
    "Which labels are right."
    # right, wrong, no label; what is no label is refused by name
    labels = xr.Dataset(
        dict(
            correct=(
                ("epoch", "sample", "task"),
                np.array([[[1.0, np.nan], [0, np.nan], [np.nan, np.nan]]]),
            )
        ),
        dict(task=["kind", "height"], kind=("task", ["category", "image"])),
    )
    np.testing.assert_array_equal(label_correct(labels, "kind", np.array([0, 1, 2])), [[1, 0, np.nan]])
    with pytest.raises(ValueError, match="'height' is of kind image"):
        label_correct(labels, "height", np.arange(3))
    with pytest.raises(ValueError, match="'soil' is no task of this trace; it has kind, height"):
        label_correct(labels, "soil", np.arange(3))


def test_test_samples_first(samples):
    "Whose errors are summed up."
    # test samples first; a trace that knows of no split has none to show
    assert shown_split(samples) == "test"
    assert shown_split(samples.drop_vars("split")) == ""
    assert shown_split(samples.isel(sample=samples.split.values != "test")) == "train"


def test_an_empty_trace_has_the_coordinates_of_a_trace(made_and_empty):
    "A trace with nothing in it yet."
    made, empty = made_and_empty
    assert dict(empty.sizes) == dict(epoch=3, sample=44, task=2)
    assert empty.attrs["main"] == "landcover"
    assert list(empty.kind.values) == ["mask", "series"]
    assert {
        "split",
        "group",
        "lat",
        "lon",
        "units",
    } <= set(empty.coords)


def test_nothing_is_in_it_and_everything_has_its_place(made_and_empty):
    "A trace with nothing in it yet."
    made, empty = made_and_empty
    three = ("epoch", "sample", "task")
    dims = dict.fromkeys(("loss", "error", "correct", "confidence", "predicted"), three)
    dims |= dict(truth=("sample", "task"))
    assert {name: v.dims for name, v in empty.data_vars.items()} == dims
    assert all(v.dtype == "float32" and np.isnan(v).all() for v in empty.data_vars.values())
    assert empty.epoch.values.tolist() == [0, 1, 2]
    assert empty.task.values.tolist() == ["landcover", "weather"]
    assert empty.units.values.tolist() == ["", modality_of(made["weather"]).error_units]
    assert empty.attrs["dataset"] == "planted"
    assert empty["group"].equals(made["group"]) and empty["split"].equals(made["split"])
    bare = empty_trace(made.drop_vars(["group", "lat"]), ["zone"], 1)
    assert "group" not in bare.coords and "lon" in bare.coords


def test_taken_apart_and_joined_again(world):
    "Epoch by epoch."
    pieces = [world.trace.isel(epoch=[e]) for e in range(3)]
    assert joined(pieces).equals(world.trace)
    with pytest.raises(ValueError, match="train at least one epoch"):
        joined([])


def test_a_trace_passes(trace_and_changed, mods):
    "A trace from elsewhere."
    # a trace passes; each nonsense is named
    trace, changed = trace_and_changed
    assert check_trace(trace, mods) is trace


    faults = {
        "'truth' of 'climate' has the class 999, expected 0 to 10": changed(
            "truth", 999, task="climate"
        ),
        "'predicted' of 'climate' has the class 0.5": changed("predicted", 0.5, task="climate"),
        "'error' is infinite for some samples": changed("error", np.inf, task="landcover"),
        "errors of 'elevation' are below 0": changed("error", -1, task="elevation"),
        "'correct' of 'landcover' lies outside 0 to 1": changed("correct", 2, task="landcover"),
        "'confidence' of 'zone' lies outside 0 to 1": changed("confidence", 2, task="zone"),
        "a trace has the variable 'loss', this has error, ": trace.drop_vars("loss"),
        "a trace has the variable 'loss', this has none": trace.drop_vars(list(trace.data_vars)),
        "'loss' has dimensions": trace.isel(epoch=0),
        "'truth' is of type object": trace.assign(truth=trace.truth.astype(object)),
        "main task 'soil' is not among its tasks": trace.assign_attrs(main="soil"),
        "the coordinate 'kind' of the tasks is missing": trace.drop_vars("kind"),
        "task 'landcover' is of kind image, expected mask": trace.assign_coords(
            kind=("task", ["image"] * trace.sizes["task"])
        ),
    }
    for match, t in faults.items():
        with pytest.raises(ValueError, match=f"here: {match}"):
            check_trace(t, mods, "here")
    with pytest.raises(ValueError, match="task 'landcover' is no modality of this run"):
        check_trace(trace, {"climate": mods["climate"]})


def test_the_edges_of_what_is_allowed(trace_and_changed, mods):
    "A trace from elsewhere."
    # the edges of what is allowed: 0, 1 and the last class pass, what lies beyond does not
    trace, changed = trace_and_changed
    allowed = trace.copy(deep=True)
    allowed["error"].loc[dict(task="elevation")] = 0.0
    allowed["confidence"].loc[dict(task="zone", epoch=0)] = 0.0
    allowed["confidence"].loc[dict(task="zone", epoch=1)] = 1.0
    allowed["truth"].loc[dict(task="climate")] = 10.0
    allowed["predicted"].loc[dict(task="climate")] = 0.0
    assert check_trace(allowed, mods) is allowed
    further = {
        "'truth' of 'climate' has the class 11, expected 0 to 10": ("truth", 11, "climate"),
        "'truth' of 'climate' has the class -1, expected 0 to 10": ("truth", -1, "climate"),
        "'predicted' of 'zone' has the class 4, expected 0 to 3": ("predicted", 4, "zone"),
        "'predicted' of 'zone' has the class 2.5": ("predicted", 2.5, "zone"),
        "'correct' of 'landcover' lies outside 0 to 1": ("correct", -0.1, "landcover"),
        "'confidence' of 'zone' lies outside 0 to 1": ("confidence", -0.1, "zone"),
        "'loss' is infinite for some samples": ("loss", -np.inf, "zone"),
    }
    for match, (name, value, task) in further.items():
        with pytest.raises(ValueError, match=f"^the trace: {match}"):
            check_trace(changed(name, value, task=task), mods)
    sure = trace.assign(certainty=trace["truth"] * 0 + 1.5)
    with pytest.raises(ValueError, match="'certainty' of '.*' lies outside 0 to 1"):
        check_trace(sure, mods)
    assert check_trace(trace.assign(brier=trace["truth"] * 0), mods)
    with pytest.raises(ValueError, match=r"'brier' has dimensions .*, expected \('sample', 'task'\)"):
        check_trace(trace.assign(brier=trace["error"]), mods)
    with pytest.raises(ValueError, match="'constant_loss' is of type int64, expected floating point"):
        check_trace(trace.assign(constant_loss=trace["constant_loss"].astype("int64")), mods)
    with pytest.raises(ValueError, match="the coordinate 'units' of the tasks is missing"):
        check_trace(trace.drop_vars("units"), mods)
    older = trace.drop_vars(["confidence", "constant_error", "constant_loss"])
    assert check_trace(older, mods) is older
    assert check_trace(trace.transpose("task", ...), mods) is not None  # any order of dimensions


def test_weather_of_two_channels_is_taken_apart_the_rest_stays(off_vector_and_apart, world):
    "Channel by channel."
    off, vector, apart = off_vector_and_apart
    assert apart.task.values.tolist() == [
        "landcover",
        "elevation",
        "weather (t)",
        "weather (p)",
        "zone",
        "climate",
        "temperature",
    ]
    np.testing.assert_allclose(apart.error.sel(task="weather (p)"), off[..., 1] * 50, rtol=1e-6)
    assert apart.units.sel(task="weather (p)").item() == "mm"
    assert apart.error.sel(task="zone").equals(world.trace.error.sel(task="zone"))
    assert apart.moments.equals(world.trace.moments)
    assert "channel_error" not in apart
    with pytest.raises(ValueError, match="none of its tasks has several"):
        by_channel(world.trace)
    with pytest.raises(ValueError, match="say which of weather .t., weather .p. is `main`"):
        by_channel(vector.assign_attrs(main="weather"))
    assert by_channel(vector.assign_attrs(main="weather"), "weather (t)").attrs["main"] == "weather (t)"


def test_every_number_of_a_channel_is_in_its_place(off_vector_and_apart, world):
    "Channel by channel."
    # every number of a channel is in its place; pairs with a task that was taken apart go
    off, vector, apart = off_vector_and_apart
    for k, name in enumerate(("t", "p")):
        one = apart.sel(task=f"weather ({name})")
        scale = [1, 50][k]
        np.testing.assert_allclose(one["error"], off[..., k] * scale, rtol=1e-6)
        np.testing.assert_allclose(one["loss"], off[..., k] ** 2, rtol=1e-6)
        np.testing.assert_allclose(one["constant_error"], off[0, :, k] * scale, rtol=1e-6)
        np.testing.assert_allclose(one["constant_loss"], off[0, :, k] ** 2, rtol=1e-6)
    assert apart.units.sel(task="weather (t)").item() == "°C"
    rest = ["landcover", "elevation", "zone", "climate", "temperature"]
    assert (
        apart[["loss", "truth", "constant_error"]]
        .sel(task=rest)
        .equals(world.trace[["loss", "truth", "constant_error"]].sel(task=rest))
    )
    assert apart.attrs == vector.attrs
    assert by_channel(vector, "zone").attrs["main"] == "zone"
    for task in ("landcover", "elevation"):  # of the only pair
        of_pair = vector.assign_coords(channel_task=("channel", [task, task]))
        assert by_channel(of_pair, "zone").sizes["pair"] == 0
    assert "moments" not in by_channel(vector.drop_vars("moments"))


def test_every_sample_once_at_the_epoch_that_its_fold_kept(thirds_turns_and_whole, world, mods):
    "Fold by fold."
    thirds, turns, whole = thirds_turns_and_whole
    assert whole.sizes["sample"] == 24
    assert whole.sample.values.tolist() == world.trace.sample.values.tolist()
    assert set(whole.split.values) == {"test"}
    assert whole.sizes["epoch"] == 1
    assert best_epoch(whole) == chosen_epoch(whole) == 0
    for f, kept in enumerate((2, 0, 1)):
        at = np.flatnonzero(thirds == f)
        assert (whole.kept_epoch.values[at] == kept).all()
        for name in ("error", "loss", "predicted", "moments"):
            a = whole[name].isel(epoch=0, sample=at).values
            np.testing.assert_array_equal(a, world.trace[name].isel(epoch=kept, sample=at).values)
    np.testing.assert_array_equal(whole.constant_error, world.trace.constant_error)
    assert check_trace(whole, mods) is whole
    assert whole.shown.values.tolist() == world.trace.shown.values.tolist()


def test_which_fold_tested_a_sample_which_epoch_is_kept_and_the_maps_of_the(thirds_turns_and_whole, world):
    "Fold by fold."
    # which fold tested a sample, which epoch is kept, and the maps of the tested
    thirds, turns, whole = thirds_turns_and_whole
    np.testing.assert_array_equal(whole.fold, thirds)
    assert whole.attrs["kept"] == 0
    for name in [v for v in whole.data_vars if "shown" in whole[v].dims]:
        kept_of = {s: (2, 0, 1)[thirds[i]] for i, s in enumerate(world.trace.sample.values)}
        for s in whole.shown.values:
            shown = whole[name].sel(shown=s).isel(epoch=0).values
            np.testing.assert_array_equal(shown, world.trace[name].sel(shown=s, epoch=kept_of[s]))
    bare = joined_folds([t.drop_dims("shown") for t in turns])
    assert bare.error.equals(whole.error) and "shown" not in bare.dims


def test_all_epochs_by_number(thirds_turns_and_whole, world):
    "Fold by fold."
    # all epochs by number; a sample that is tested twice is refused
    thirds, turns, whole = thirds_turns_and_whole
    aligned = joined_folds(turns, aligned=True)
    np.testing.assert_array_equal(aligned.error, world.trace.error)
    assert chosen_epoch(aligned) == 2
    with pytest.raises(ValueError, match="is tested in 2 folds, expected one"):
        joined_folds([turns[0], turns[0]])
    twice = turns[0]["sample"].values[turns[0]["split"].values == "test"][-1]
    with pytest.raises(ValueError, match=f"sample '{twice}' is tested in 2 folds, expected one"):
        joined_folds([turns[0], turns[0].isel(sample=turns[0]["sample"].values == twice)])


def test_with_all_epochs_the_last_one_counts_as_kept(thirds_turns_and_whole):
    "Fold by fold."
    thirds, turns, whole = thirds_turns_and_whole
    every = joined_folds(turns, aligned=True)
    assert every.attrs["kept"] == 2
    assert every.epoch.values.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(every.kept_epoch, np.array([2, 0, 1])[thirds])
