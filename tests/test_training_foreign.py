"""Anybody's model

Written by nbdev-export from the check cells of nbs/api/training/13_foreign.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
import xarray as xr

from mtl_explain.data.samples import modalities as described_modalities, modality_array
from mtl_explain.explain.correlation import error_correlation
from mtl_explain.explain.overview import explain
from mtl_explain.files.raster import open_raster, write_geotiff
from mtl_explain.modality import Modality
from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.trace import error_edges
from mtl_explain.training.foreign import (
    _as_samples, _clean, _described, _table_parts, raster_files, raw_output, trace_of,
)
from mtl_explain.training.runs import train_run
from mtl_explain.trust.promise import certify, check_promise
from mtl_explain.trust.risk import confidence_scores


@pytest.fixture(scope='module')
def kind():
    return Modality("kind", "category", classes=("meadow", "forest", "rock"))


@pytest.fixture(scope='module')
def cover():
    return Modality("cover", "mask", (2, 2), classes=("meadow", "forest"))


@pytest.fixture(scope='module')
def warmth():
    return Modality("warmth", "tabular", (1,), channels=("warmth",), units="°C")


@pytest.fixture(scope='module')
def targets_home_run_own_asked_trained_said_differences_and_plain():
    samples = toy_samples()
    height = samples.elevation.values.mean((1, 2, 3))
    two = np.stack([samples.warmth.values[:, 0], height], 1)
    two_channels = dict(channels=["warmth", "height"], units="°C, m")
    samples["both"] = modality_array("both", two, "tabular", **two_channels)
    targets = ("climate", "cover", "elevation", "warmth", "months", "both")
    home = tempfile.TemporaryDirectory()
    options = dict(epochs=2, bs=32, lr=1e-2, bar=False, device="cpu")
    run = train_run(samples, Setup("optical", targets), Path(home.name) / "run", **options)
    own = run.trace.sel(epoch=[run.epoch])
    asked = samples.sel(sample=own.sample.values)
    trained = samples.isel(sample=samples.split.values == "train")
    said = run.predict(asked, probabilities=True)
    def in_deviations(trace):
        "Errors and values in standard deviations of their task, co-moments as means over pixels."
        mods = {t: run.modalities[t] for t in trace.task.values}
        deviation = {t: 1.0 if m.is_label or m.is_vector else m.std[0] for t, m in mods.items()}
        units = dict.fromkeys(
            ("error", "predicted", "truth", "constant_error"),
            xr.DataArray(list(deviation.values()), dims="task"),
        )
        of_channels = xr.DataArray(list(run.modalities["both"].std), dims="channel")
        units |= dict.fromkeys(("channel_error", "channel_constant_error"), of_channels)
        if "moments" in trace:
            height = deviation["elevation"]
            n = trace.moments.sel(moment="n", drop=True)
            of_pixels = xr.concat(
                [n * 0 + 1, n * 0 + 1, n * 0 + height, n, n * height**2, n * height], "moment"
            )
            units |= dict(moments=of_pixels, map_elevation=height)
        return trace.assign({k: trace[k] / unit for k, unit in units.items() if k in trace})
    def differences(theirs):
        "Name of a variable -> its largest difference from our own run, in millionths."
        found = {}
        ours = in_deviations(own)
        for name, values in in_deviations(theirs).data_vars.items():
            expected = ours[name]
            for d in {"task", "mask", "number", "channel"} & set(expected.dims):
                expected = expected.sel({d: theirs[d].values})
            a, b = (v.values.astype(float) for v in (values, expected))
            same = a.shape == b.shape and (np.isnan(a) == np.isnan(b)).all()
            off = 1e6 * np.abs(a - b) / np.maximum(1, np.abs(b)) if same else np.inf
            found[name] = np.nanmax(off, initial=0)
        return pd.Series(found)
    plain = {t: said[t].values for t in targets}
    return targets, home, run, own, asked, trained, said, differences, plain


@pytest.fixture(scope='module')
def write_folders_and_folder(targets_home_run_own_asked_trained_said_differences_and_plain):
    targets, home, run, own, asked, trained, said, differences, plain = targets_home_run_own_asked_trained_said_differences_and_plain
    def write_folders(folder, part=said, truth=asked):
        "Predictions, probabilities and truths of the dense tasks as GeoTIFFs, a file per sample."
        for i, name in enumerate(truth.sample.values):
            corner = (float(truth.lon[i]) - 0.08, float(truth.lat[i]) + 0.08)
            for what, values in dict(
                predicted=part.cover.values,
                true=truth.cover.values,
                chance=part.cover_probability.values,
            ).items():
                kind = "float32" if what == "chance" else "uint8"
                path = folder / what / "cover" / f"{name}.tif"
                write_geotiff(path, values[i].astype(kind), corner, 0.01, "EPSG:4326", nodata=255)
            for what, values in dict(predicted=part, true=truth).items():
                path = folder / what / "elevation" / f"{name}.tif"
                write_geotiff(path, values.elevation.values[i], corner, 0.01, "EPSG:4326")
        return folder
    folder = write_folders(Path(home.name) / "tiles")
    return write_folders, folder


@pytest.fixture(scope='module')
def explained(targets_home_run_own_asked_trained_said_differences_and_plain):
    targets, home, run, own, asked, trained, said, differences, plain = targets_home_run_own_asked_trained_said_differences_and_plain
    def explained(trace):
        "What every function that reads a trace says of it, as text."
        how = dict(split=None)
        found = {k: e.reading for k, e in explain(trace, asked, run.modalities, **how).items()}
        found["correlation"] = error_correlation(trace, **how).round(4).to_csv(index=False)
        found["confidence"] = confidence_scores(trace).round(4).to_csv()
        promised = certify(trace, 0.4, "cover")
        became = check_promise(promised, trace).round(4)
        return found | dict(promise=promised.sentence, became=became.to_csv())
    return explained


def test_names_floats_and_missing_labels(kind, warmth, cover):
    "Values as a sample set has them."
    # names, floats and missing labels; one number per sample; and what is none of it
    named = np.array(["rock", None, "meadow"], object)
    assert _clean(named, kind, "truths").tolist() == [2, -1, 0]
    assert _clean([0.0, np.nan, 2.0], kind, "truths").tolist() == [0, -1, 2]
    assert _clean(np.array([True, False]), kind, "truths").tolist() == [1, 0]
    assert _clean([1.5, 2.5], warmth, "truths").tolist() == [[1.5], [2.5]]
    with pytest.raises(ValueError, match="truths of 'kind': 'sand' is no class of it; its classes"):
        _clean(["sand"], kind, "truths")
    with pytest.raises(ValueError, match="0.5 is no class, expected whole numbers from 0 to 2"):
        _clean([0.5], kind, "truths")
    with pytest.raises(ValueError, match=r"a sample has shape \(2,\), expected \(2, 2\) \(mask\)"):
        _clean([[0, 1]], cover, "predictions")
    with pytest.raises(ValueError, match="predictions of 'warmth': expected numbers"):
        _clean(["warm"], warmth, "predictions")
    again = described_modalities(xr.Dataset({"kind": _described(np.zeros(3, int), kind)}))
    assert again == dict(kind=kind)


def test_a_table_by_patterns_and_by_names_with_names_of_classes(kind, warmth, cover):
    "The doors."
    table = pd.DataFrame(
        dict(
            kind_predicted=["rock", "meadow"],
            kind_true=["rock", None],
            warmth_predicted=[1.0, 2],
            warmth_true=[1.5, np.nan],
            p=[0.1, 0.2],
            q=[0.2, 0.7],
            r=[0.7, 0.1],
        )
    )
    mods = dict(kind=kind, warmth=warmth, cover=cover)
    patterns = ("{}_predicted", "{}_true")
    said, true, chance = _table_parts(table, mods, patterns, dict(kind=["p", "q", "r"]))
    assert list(said) == list(true) == ["kind", "warmth"]
    assert chance["kind"].tolist() == [[0.1, 0.2, 0.7], [0.2, 0.7, 0.1]]
    few = {n: mods[n] for n in said}
    assert _as_samples(true, few, "truths").kind.values.tolist() == [2, -1]
    only = _table_parts(table, mods, dict(warmth=("p", "q")), None)[0]
    assert list(only) == ["warmth"]
    with pytest.raises(ValueError, match="the table has no columns kind_rf and kind, or those"):
        _table_parts(table, mods, ("{}_rf", "{}"), None)
    with pytest.raises(ValueError, match="the table has no column 'warm'; it has kind_predicted"):
        _table_parts(table, mods, dict(warmth=("warm", "q")), None)
    with pytest.raises(ValueError, match="truths: 2 of 'kind', but 3 of 'warmth'"):
        _as_samples(dict(kind=[0, 1], warmth=[1.0, 2, 3]), few, "truths")
    with pytest.raises(ValueError, match="truths: nothing about 'warmth'; there is kind"):
        _as_samples(dict(kind=[0, 1]), few, "truths")


def test_softmax_brings_the_probabilities_back_at_any_temperature(kind, warmth):
    "What a head would have said."
    # softmax brings the probabilities back, at any temperature; a tie; no votes; no probabilities
    p = np.array([[0.2, 0.5, 0.3]])
    for heat in (1.0, 2.5):
        back = (raw_output(np.array([1]), kind, p, heat) / heat).softmax(1)
        np.testing.assert_allclose(back, p, rtol=1e-6)
    even = raw_output(np.array([2]), kind, np.array([[0.1, 0.45, 0.45]]))
    assert even.argmax(1).item() == 2
    np.testing.assert_allclose(even.softmax(1), [[0.1, 0.45, 0.45]], rtol=2e-5)
    none = raw_output(np.array([0]), kind, np.array([[1.0, 0, 0]]))
    assert F.cross_entropy(none, torch.tensor([1])).item() == pytest.approx(23 * np.log(2), rel=1e-6)
    assert raw_output(np.array([2]), kind).tolist() == [[0, 0, 1]]
    scaled = replace(warmth, mean=(10.0,), std=(5.0,))
    assert raw_output(np.array([[20.0]]), scaled).tolist() == [[2]]


def test_a_few_numbers_by_hand(kind, warmth):
    "The trace."
    chance = np.array([[0.7, 0.2, 0.1], [0.2, 0.2, 0.6], [0.2, 0.2, 0.6]])
    made = trace_of(
        dict(kind=["meadow", "rock", "rock"], warmth=[1.0, 5, 9]),
        dict(kind=["meadow", "forest", None], warmth=[2.0, 8, np.nan]),
        dict(kind=kind, warmth=warmth),
        groups=["north", "south", "south"],
        split="test",
        probabilities=dict(kind=chance),
    )
    one = made.sel(epoch=0, task="kind")
    np.testing.assert_equal(one.error.values, [0, 1, np.nan])
    np.testing.assert_allclose(one.confidence, [0.7, 0.6, np.nan], rtol=1e-6)
    np.testing.assert_allclose(one.loss, [-np.log(0.7), -np.log(0.2), np.nan], rtol=1e-6)
    np.testing.assert_allclose(one.brier, [0.14, 0.2**2 + 0.8**2 + 0.6**2, np.nan], rtol=1e-6)
    number = made.sel(epoch=0, task="warmth")
    np.testing.assert_allclose(number.error, [1, 3, np.nan], rtol=1e-6)
    np.testing.assert_allclose(number.loss, [1 / 9, 1, np.nan], rtol=1e-6)  # the truths' deviation is 3
    assert made.group.values.tolist() == ["north", "south", "south"]
    assert set(made.split.values) == {"test"}
    assert made.attrs == dict(main="kind", dataset="", kept=0)


def test_errors_in_units_of_their_own_scale_by_hand(warmth):
    "The trace."
    # errors in units of their own scale, by hand; what is no scale is refused
    truths = dict(warmth=[2.0, 8, np.nan])
    said = dict(warmth=[1.0, 5, 9])
    options = dict(modalities=dict(warmth=warmth), split="test")
    plain = trace_of(said, truths, **options)
    scaled = trace_of(said, truths, scales=dict(warmth=[2.0, 1, 1]), **options)
    for found, ratios in ((plain, [1 / 3, 1]), (scaled, [1 / 2, 3])):
        counts = found.bin_error.sel(number="warmth").values
        assert counts.argmax(1)[:2].tolist() == np.digitize(ratios, error_edges[1:-1]).tolist()
        assert counts.sum(1).tolist() == [1, 1, 0]
    assert "scaled" not in plain.coords
    assert scaled.scaled.values.tolist() == [True]
    for wrong in (0, -1, np.nan):
        with pytest.raises(ValueError, match="scales of 'warmth': expected numbers above 0"):
            trace_of(said, truths, scales=dict(warmth=[1.0, wrong, 1]), **options)
    with pytest.raises(ValueError, match="scales of 'kind': expected tasks with numbers"):
        trace_of(said, truths, scales=dict(kind=[1.0, 1, 1]), **options)


def test_arrays_every_variable_of_our_own_trace_of_all_kinds(targets_home_run_own_asked_trained_said_differences_and_plain):
    "The trace."
    targets, home, run, own, asked, trained, said, differences, plain = targets_home_run_own_asked_trained_said_differences_and_plain
    heat = run.temperatures
    theirs = trace_of(said, asked, run.modalities, temperatures=heat, train=trained)
    off = differences(theirs)
    assert off.max() <= 1
    assert set(off.index) == set(own.data_vars)
    assert theirs.sizes == own.sizes
    for name in set(own.coords) - {"epoch", "lat", "lon", "temperature"}:
        assert (theirs[name] == own[name]).all(), name
    print(off[off > 0].round(2).to_dict())
    # as plain arrays, and a few at a time
    true = {t: asked[t].values for t in targets}
    chance = {t: said[f"{t}_probability"].values for t in ("climate", "cover")}
    again = trace_of(
        plain,
        true,
        run.modalities,
        groups=asked.group.values,
        split=asked.split.values,
        coords={n: asked[n].values for n in ("sample", "lat", "lon")},
        probabilities=chance,
        temperatures=heat,
        train={t: trained[t].values for t in targets},
        bs=5,
    )
    assert differences(again).max() <= 1
    assert set(again) == set(own)
    # scaled by the training truths, as the run was
    bare = {t: replace(run.modalities[t], mean=(), std=()) for t in targets}
    scaled_again = trace_of(said, asked, bare, temperatures=heat, train=trained)
    assert differences(scaled_again).max() <= 1


def test_a_table(targets_home_run_own_asked_trained_said_differences_and_plain):
    "The trace."
    # a table: classes and single numbers, with names of classes and groups in its columns
    targets, home, run, own, asked, trained, said, differences, plain = targets_home_run_own_asked_trained_said_differences_and_plain
    classes = np.array(run.modalities["climate"].classes)
    table = pd.DataFrame(
        dict(
            climate_predicted=classes[said.climate.values],
            climate_true=classes[asked.climate.values],
            warmth_predicted=said.warmth.values[:, 0],
            warmth_true=asked.warmth.values[:, 0],
            region=asked.group.values,
            fold=asked.split.values,
            id=asked.sample.values,
        )
    )
    named = [f"p_{c}" for c in classes]
    table[named] = said.climate_probability.values
    few = {t: run.modalities[t] for t in ("climate", "warmth")}
    theirs = trace_of(
        table,
        modalities=few,
        groups="region",
        split="fold",
        coords=dict(sample="id"),
        probabilities=dict(climate=named),
        temperatures=run.temperatures,
        train=pd.DataFrame(
            dict(climate_true=trained.climate.values, warmth_true=trained.warmth.values[:, 0])
        ),
    )
    assert differences(theirs).max() <= 1
    expected = "loss error correct confidence predicted truth certainty brier bin_error"
    expected += " probability_climate constant_error constant_loss"
    assert set(theirs) == set(expected.split())
    # two tables: their columns are the tasks
    first = pd.DataFrame(dict(climate=said.climate.values, other=0))
    second = pd.DataFrame(dict(climate=asked.climate.values))
    apart = trace_of(first, second, few, train=pd.DataFrame(dict(climate=trained.climate.values)))
    assert differences(apart[["error", "correct", "constant_error"]]).max() <= 1


def test_ids_of_a_table():
    "The trace."
    # ids of a table: its column `id` or its index; splits as they are spelt; nothing else passes
    rows = pd.DataFrame(
        dict(
            warmth_true=[1.0, 2, 3],
            warmth_predicted=[1.0, 2, 4],
            id=["a", "b", "c"],
            part=["TEST", "Validation", " test"],
        )
    )
    warm = dict(warmth=Modality("warmth", "tabular", (1,), channels=("warmth",)))
    found = trace_of(rows, modalities=warm, split="part")
    assert found["sample"].values.tolist() == ["a", "b", "c"]
    assert found["split"].values.tolist() == ["test", "valid", "test"]
    for table, ids in (
        (rows.set_index("id"), ["a", "b", "c"]),
        (rows.drop(columns="id").set_axis(["x", "y", "z"]), ["x", "y", "z"]),
        (rows.drop(columns="id")[::-1], [0, 1, 2]),  # numbers of rows are no ids
    ):
        assert trace_of(table, modalities=warm)["sample"].values.tolist() == ids
    given = trace_of(rows, modalities=warm, coords=dict(sample=["p", "q", "r"]))
    assert given["sample"].values.tolist() == ["p", "q", "r"]
    twice = pd.concat([rows, rows[:1]])
    for table in (twice, twice.set_index("id")):
        with pytest.raises(ValueError, match="the id 'a' stands there twice"):
            trace_of(table, modalities=warm)
    with pytest.raises(ValueError, match="'holdout' of sample 'a' .and of 2 others. is no split; exp"):
        trace_of(rows.assign(part="holdout"), modalities=warm, split="part")
    with pytest.raises(ValueError, match="infinite|finite numbers.*sample 'b'"):
        trace_of(rows.assign(warmth_predicted=[1, np.inf, 2]), modalities=warm)
    with pytest.raises(ValueError, match="'warmth' has no value at all in the truths for warmth"):
        trace_of(rows.assign(warmth_true=np.nan), modalities=warm)
    with pytest.raises(ValueError, match="no value at all in the training truths"):
        trace_of(rows, modalities=warm, train=rows.assign(warmth_true=np.nan))
    with tempfile.TemporaryDirectory() as folder:
        rows.to_csv(f"{folder}/said.csv")
        with pytest.raises(ValueError, match="said.csv is a file, expected a folder.*pd.read_csv"):
            trace_of(f"{folder}/said.csv", modalities=warm)


def test_two_folders_of_geotiffs_in_the_order_that_is_asked_for(targets_home_run_own_asked_trained_said_differences_and_plain, write_folders_and_folder):
    "The trace."
    # two folders of GeoTIFFs, in the order that is asked for; files say where they lie
    targets, home, run, own, asked, trained, said, differences, plain = targets_home_run_own_asked_trained_said_differences_and_plain
    write_folders, folder = write_folders_and_folder
    dense = {t: run.modalities[t] for t in ("cover", "elevation")}
    theirs = trace_of(
        folder / "predicted",
        folder / "true",
        dense,
        groups=pd.Series(asked.group.values, asked.sample.values),
        split=dict(zip(asked.sample.values, asked.split.values, strict=True)),
        coords=dict(sample=own.sample.values),
        probabilities=folder / "chance",
        temperatures=run.temperatures,
        bs=7,
    )
    assert differences(theirs).max() <= 1
    expected = "loss error correct confidence predicted truth moments certainty brier bin_count"
    expected += " bin_wrong bin_confidence bin_doubt bin_error map_cover map_elevation"
    assert set(theirs) == set(expected.split())
    np.testing.assert_allclose(theirs.lat, asked.lat, atol=1e-9)
    np.testing.assert_allclose(theirs.lon, asked.lon, atol=1e-9)
    # one task: the folders themselves; without an order, that of the names
    alone = trace_of(folder / "predicted/cover", folder / "true/cover", dict(cover=dense["cover"]))
    assert alone.sample.values.tolist() == sorted(own.sample.values)
    same = own.correct.sel(task=["cover"], sample=alone.sample)
    np.testing.assert_allclose(alone.correct, same, rtol=1e-6)
    # what a file calls nodata is no label: there, a prediction may be missing, too
    holes = write_folders(Path(home.name) / "holes", said.isel(sample=[0]), asked.isel(sample=[0]))
    name = asked.sample.values[0]
    cut = asked.cover.values[0].astype("uint8")
    cut[:4] = 255
    for what in ("predicted", "true"):
        path = holes / what / "cover" / f"{name}.tif"
        with open_raster(path) as file:
            kept, place = file.read(1), (file.bounds.left, file.bounds.top)
        kept[:4] = 255
        write_geotiff(path, kept, place, 0.01, "EPSG:4326", nodata=255)
    only = dict(cover=dense["cover"])
    holed = trace_of(holes / "predicted", holes / "true", only, probabilities=holes / "chance")
    lower = (said.cover.values[0] != asked.cover.values[0])[4:].mean()
    assert holed.error.item() == pytest.approx(lower)
    assert holed.bin_count.sum().item() == 12 * 16


def test_right_and_wrong_as_before(targets_home_run_own_asked_trained_said_differences_and_plain):
    "Without probabilities."
    # right and wrong as before; confidence unknown, and said so
    targets, home, run, own, asked, trained, said, differences, plain = targets_home_run_own_asked_trained_said_differences_and_plain
    unsure = trace_of(plain, asked, run.modalities, train=trained)
    known = ["error", "correct", "predicted", "truth", "moments", "constant_error", "bin_error"]
    assert differences(unsure[known]).max() <= 1
    labels = unsure.sel(task=["climate", "cover"])
    assert labels.loss.isnull().all()
    assert labels.confidence.isnull().all()
    assert labels.certainty.isnull().all()
    assert not {"bin_count", "probability_climate"} & set(unsure)
    only_labels = trace_of({t: plain[t] for t in ("climate", "cover")}, asked, run.modalities)
    assert "certainty" not in only_labels
    for judge in (confidence_scores, certify):
        with pytest.raises(ValueError, match="had no probabilities"):
            judge(only_labels)
        with pytest.raises(ValueError, match="how sure the model was of 'climate': `trace_of` had"):
            judge(unsure)


def test_readings_and_reasons_of_our_own_trace_and_of_the_one_that_went_through(targets_home_run_own_asked_trained_said_differences_and_plain, explained):
    "Explained like our own."
    # readings and reasons of our own trace, and of the one that went through the first door
    targets, home, run, own, asked, trained, said, differences, plain = targets_home_run_own_asked_trained_said_differences_and_plain
    theirs = trace_of(said, asked, run.modalities, temperatures=run.temperatures, train=trained)
    kept = own.assign_coords(epoch=[0]).assign_attrs(kept=0)
    ours, again = explained(kept), explained(theirs)
    assert ours == again
    print(ours["promise"])
    print(sum(map(bool, ours.values())), "readings agree; one of them:", again["error correlation"])


def test_lengths_shapes_names_classes_probabilities_what_is_missing(kind, warmth, targets_home_run_own_asked_trained_said_differences_and_plain):
    "What does not fit."
    targets, home, run, own, asked, trained, said, differences, plain = targets_home_run_own_asked_trained_said_differences_and_plain
    yes = dict(kind=[0, 1, 2])
    three = dict(kind=kind)
    chance = np.array([[0.7, 0.2, 0.1], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]])


    def chances(**cells):
        "The same probabilities with one changed."
        changed = chance.copy()
        changed[cells["at"]] = cells["to"]
        return dict(probabilities=dict(kind=changed))


    bad = [
        ((yes, dict(kind=[0, 1]), three), {}, "3 predictions, but 2 truths"),
        ((dict(kinds=[0]), yes, three), {}, "'kinds' is no modality here; there are kind"),
        ((dict(kind=[0, 1, 3]), yes, three), {}, "predictions of 'kind': class 3, expected 0 to 2"),
        ((yes, dict(kind=[0, 7, 7]), three), {}, "class 7, expected 0 to 2, or -1 .sample '1', and 1"),
        ((dict(kind=[0, -1, 1]), yes, three), {}, "predictions of 'kind': none .-1 or NaN. where a"),
        ((yes, yes, three), chances(at=(1, 1), to=0.1), "sum to 0.5, expected 1: a number for each"),
        ((yes, yes, three), chances(at=(1, 1), to=np.nan), "probabilities of 'kind': NaN where"),
        ((yes, yes, three), chances(at=0, to=[-0.1, 1, 0.1]), "of 'kind': -0.1, expected 0 to 1"),
        ((dict(kind=[1, 1, 2]), yes, three), chances(at=2, to=chance[2]), "class 1 is not the most"),
        ((yes, yes, three), dict(probabilities=dict(kind=chance[:, :2])), "shape .2,., expected .3,."),
        ((yes, yes, three), dict(probabilities=dict(cover=chance)), "of 'cover', which is not pred"),
        ((yes, yes, three), dict(groups=["a", "b"]), "group: has shape .2,., expected one value for"),
        ((yes, yes, three), dict(groups={0: "a"}), "group: nothing about sample '1'; 2 of 3 missing"),
        ((yes, yes, three), dict(split="dev"), "split: 'dev' is not one value per sample"),
        ((yes, yes, three), dict(main="cover"), "main: 'cover' is not predicted; kind are"),
        ((yes, yes, three), dict(train=dict(kind=[0, 5])), "training truths of 'kind': class 5"),
        ((yes, yes, None), {}, "modalities: say what each task is"),
        ((dict(kind=[]), dict(kind=[]), three), {}, "no sample at all"),
        ((yes, yes, three), dict(coords=dict(sample=["a", "b", "a"])), "the id 'a' stands there twice"),
        (
            (yes, yes, three),
            chances(at=0, to=chance[0]) | dict(temperatures=dict(kind=0)),
            "0 of 'kind'",
        ),
        ((yes, None, three), {}, "truths: expected a dictionary, a sample set, a table or a folder"),
        (
            (dict(warmth=[np.inf]), dict(warmth=[1.0]), dict(warmth=warmth)),
            {},
            "'warmth': inf, expected finite",
        ),
    ]
    for inputs, options, line in bad:
        with pytest.raises(ValueError, match=line):
            trace_of(*inputs, **options)
    with pytest.raises(ValueError, match="in another order: bring them into one, as truths.sel"):
        trace_of(said, asked.isel(sample=slice(None, None, -1)), run.modalities)


def test_files_names_size_place_bands(write_folders_and_folder, targets_home_run_own_asked_trained_said_differences_and_plain):
    "What does not fit."
    write_folders, folder = write_folders_and_folder
    targets, home, run, own, asked, trained, said, differences, plain = targets_home_run_own_asked_trained_said_differences_and_plain
    moved = write_folders(
        Path(home.name) / "moved", said.isel(sample=[0, 1]), asked.isel(sample=[0, 1])
    )
    one, two = (moved / "predicted" / "cover" / f"{n}.tif" for n in asked.sample.values[:2])
    only = dict(cover=run.modalities["cover"])
    pair = (moved / "predicted", moved / "true", only)
    grid = np.zeros((16, 16), "uint8")
    write_geotiff(one, grid, (0, 0), 0.01, "EPSG:4326")
    with pytest.raises(ValueError, match="expected the same geotransform, got .0.01, 0.0, 0.0,"):
        trace_of(*pair)
    write_geotiff(one, grid[:8], (0, 0), 0.01, "EPSG:4326")
    with pytest.raises(ValueError, match=r"expected the same size, got \(8, 16\) and \(16, 16\)"):
        trace_of(*pair)
    two.unlink()
    with pytest.raises(ValueError, match="has no counterpart among the predictions; 1 files have none"):
        trace_of(*pair)
    with pytest.raises(ValueError, match="lacks nowhere.tif; 1 of 1 missing"):
        trace_of(*pair, coords=dict(sample=["nowhere"]))
    with pytest.raises(FileNotFoundError, match="no such folder"):
        trace_of(moved / "nothing", moved / "true", only)
    with pytest.raises(ValueError, match="holds no GeoTIFF"):
        raster_files(moved)
