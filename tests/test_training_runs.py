"""Runs

Written by nbdev-export from the check cells of nbs/api/training/08_runs.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import contextlib
import errno
import io
import json
import math
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import pandas as pd
import pytest
import timm
import torch
import xarray as xr
from fastai.callback.core import Callback
from fastai.callback.tracker import EarlyStoppingCallback, ReduceLROnPlateau, SaveModelCallback
from safetensors import SafetensorError
from safetensors.torch import save_file

from mtl_explain.data.store import open_store, save_samples
from mtl_explain.files.paths import load_netcdf, save_netcdf
from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.trace import best_epoch, chosen_epoch
from mtl_explain.training.learner import multitask_learner
from mtl_explain.training.runs import (
    RunKeeper, _claim_folder, _is_best, config_differences, epochs_since_best, fingerprint, load_run,
    load_state, record_confidence, run_config, save_state, train_run,
)
from mtl_explain.training.weights import state_folder, weights_digest


# somebody who presses Ctrl-C in the middle of an epoch
class InterruptAt(Callback):
    def __init__(self, epoch):
        self.at = epoch

    def after_batch(self):
        if self.training and self.epoch == self.at:
            raise KeyboardInterrupt


@pytest.fixture(scope='module')
def samples_setup_and_learn():
    "A small world and a fast setup."
    samples = toy_samples(96, size=8)
    setup = Setup(dict(optical=dict(type="unet", width=4, depth=1)), ("cover", "climate"))
    learn = multitask_learner(samples, setup, device="cpu")
    return samples, setup, learn


@pytest.fixture(scope='module')
def exported(samples_setup_and_learn):
    "A learner with fastai's habits: early stopping, the best weights brought back, then a run."
    samples, setup, learn = samples_setup_and_learn
    @contextlib.contextmanager
    def exported(*cbs, epochs=3, lr=1e-2, trace=("valid", "test")):
        "A trained learner, and a folder to export it to."
        with tempfile.TemporaryDirectory() as d, contextlib.redirect_stdout(io.StringIO()):
            options = dict(bs=16, device="cpu", path=Path(d), trace=trace)
            made = multitask_learner(samples, setup, cbs=list(cbs), **options)
            with made.no_bar(), made.no_logging():
                if epochs:
                    made.fine_tune(epochs - 1, lr)
                yield made, Path(d) / "run"
    return exported


@pytest.fixture(scope='module')
def home_and_run(samples_setup_and_learn):
    "A finished run."
    samples, setup, learn = samples_setup_and_learn
    home = Path(tempfile.mkdtemp())
    run = train_run(samples, setup, home / "whole", epochs=3, bs=16, lr=1e-2, bar=False, device="cpu")
    return home, run


@pytest.fixture(scope='module')
def trackers_and_tracked(samples_setup_and_learn):
    "Trackers: interrupted and resumed as if nothing had happened; saved models are left alone."
    samples, setup, learn = samples_setup_and_learn
    trackers = {
        "patient": lambda: EarlyStoppingCallback(monitor="valid_loss", patience=9),
        "hasty": lambda: EarlyStoppingCallback(monitor="valid_loss", patience=1, min_delta=9.0),
        "saved": lambda: SaveModelCallback(monitor="cover_accuracy", fname="model"),
        "plateau": lambda: ReduceLROnPlateau(monitor="climate_accuracy", patience=1, min_delta=9.0),
    }
    def tracked(folder, name, *more, at=2):
        "A training with one of the trackers, and a place of its own for what it saves."
        cbs = [trackers[name](), *more]
        run = train_run(
            samples,
            setup,
            folder / "run",
            cbs=cbs,
            path=folder,
            epochs=4,
            bs=16,
            lr=1e-2,
            bar=False,
            device="cpu",
        )
        return run, cbs[0].best
    return trackers, tracked


@pytest.fixture(scope='module')
def stranger(home_and_run):
    "No name in a config is imported or called."
    home, run = home_and_run
    def stranger(folder, **changes):
        "A copy of the finished run whose setup says something else."
        shutil.copytree(home / "whole", folder)
        config = json.loads((folder / "config.json").read_text())
        config["setup"] |= changes
        (folder / "config.json").write_text(json.dumps(config))
        return folder
    return stranger


def test_the_fingerprint_sees_values_ids_splits_and_descriptions_of_what_is(samples_setup_and_learn):
    "What identifies a run."
    # the fingerprint sees values, ids, splits and descriptions of what is used, and nothing else
    samples, setup, learn = samples_setup_and_learn
    names = list(setup.names)
    corrected = samples.copy(deep=True)
    elsewhere = samples.copy(deep=True)
    corrected.climate[3] = (corrected.climate[3] + 1) % 4
    elsewhere.warmth[:] = 0
    same = [samples.copy(deep=True), samples.assign_attrs(title="another"), elsewhere]
    others = [
        samples.isel(sample=slice(1, None)),
        samples.assign_coords(split=samples.split[::-1].drop_vars("sample")),
        corrected,
        samples.assign(cover=samples.cover.assign_attrs(long_name="x")),
    ]
    with tempfile.TemporaryDirectory() as d:
        same.append(open_store(save_samples(samples, Path(d) / "store", progress=False)))
        assert {fingerprint(s, names) for s in same} == {fingerprint(samples, names)}
    assert (
        len({fingerprint(s, names) for s in (samples, *others)} | {fingerprint(samples, ["cover"])})
        == 6
    )


def test_what_differs_is_named(samples_setup_and_learn):
    "What identifies a run."
    # what differs is named; the order of options is no difference
    samples, setup, learn = samples_setup_and_learn
    a, b = (run_config(samples, learn, epochs=n, wd=0) for n in (3, 4))
    assert config_differences(a, b) == ["options.epochs: the folder has 3, asked for is 4"]
    assert not config_differences(a, json.loads(json.dumps(a)))
    assert not config_differences(a | dict(versions={}), a)
    # statistics may differ by the rounding of another version, and by no more
    for factor, differs in ((1 + 1e-7, False), (1 + 1e-3, True)):
        other = json.loads(json.dumps(a))
        scaled = next(m for m in other["modalities"].values() if m["std"])
        scaled["std"] = [factor * v for v in scaled["std"]]
        assert bool(config_differences(a, other)) == differs
    assert not config_differences(
        dict(a, setup=dict(network=dict(x=1, y=2))), dict(a, setup=dict(network=dict(y=2, x=1)))
    )


def test_of_long_descriptions_only_what_differs_is_shown_and_never_two_texts():
    "What identifies a run."
    # of long descriptions only what differs is shown, and never two texts that are the same
    long = {f"channel {i}": dict(type="unet", width=32) for i in range(9)}
    a = dict(format=2, dataset="", samples="", setup=dict(inputs=dict(optical=long)), options={})
    a |= dict(modalities=dict(climate=dict(classes=[f"class {i}" for i in range(20)], mean=[])))
    b = json.loads(json.dumps(a))
    b["setup"]["inputs"]["optical"]["channel 7"]["width"] = 16
    b["modalities"]["climate"]["classes"][18] = "desert"
    b["dataset"] = "x" * 80 + "2"
    a["dataset"] = "x" * 80 + "1"
    told = config_differences(a, b)
    assert "setup.inputs.optical.channel 7.width: the folder has 32, asked for is 16" in told
    assert "modalities.climate.classes.18: the folder has 'class 18', asked for is 'desert'" in told
    assert "dataset: the folder has ...xxxxxxxxxx1', asked for is ...xxxxxxxxxx2'" in told
    assert len(told) == 3
    del b["setup"]["inputs"]["optical"]["channel 0"]
    told = config_differences(a, b)
    assert any(line.startswith("setup.inputs.optical.channel 0: the folder has {") for line in told)


def test_a_state_comes_back_to_the_bit_and_the_older_one_is_gone(samples_setup_and_learn):
    "State: weights and optimiser, without pickle."
    samples, setup, learn = samples_setup_and_learn
    with tempfile.TemporaryDirectory() as d:
        one = multitask_learner(samples, setup, bs=16, device="cpu")
        with one.no_bar(), one.no_logging():
            one.fit(1, 1e-2)
        for epoch in (0, 1):
            save_state(one, d, epoch)
        assert os.listdir(d) == ["state-001"]
        two = multitask_learner(samples, setup, seed=7, bs=16, device="cpu")
        assert load_state(two, state_folder(d))["epoch"] == 1
        for a, b in zip(one.model.state_dict().values(), two.model.state_dict().values(), strict=True):
            assert torch.equal(a, b)
        for p, q in zip(one.opt.state_dict()["state"], two.opt.state_dict()["state"], strict=True):
            assert p.keys() == q.keys()
            assert all(torch.equal(p[k], q[k]) if torch.is_tensor(p[k]) else p[k] == q[k] for k in p)


def test_the_first_finite_number_is_the_best_then_each_smaller_one():
    "The callback that keeps a run."
    # the first finite number is the best, then each smaller one; equal ones are not
    for losses, best in (
        ([3], True),
        ([np.nan], False),
        ([np.nan, 5], True),
        ([3, 2], True),
        ([3, 3], False),
        ([1, 2], False),
        ([2, np.nan], False),
    ):
        assert _is_best(pd.Series(losses, dtype=float)) == best


def test_how_long_nothing_became_better():
    "The callback that keeps a run."
    for losses, waited in (
        ([3], 0),
        ([3, 2], 0),
        ([2, 3], 1),
        ([2, 2, 2], 2),
        ([np.nan, np.nan], 1),
        ([np.nan, 5, np.nan, 6], 2),
    ):
        assert epochs_since_best(pd.Series(losses, dtype=float)) == waited


def test_a_learner_that_is_kept_epoch_by_epoch(samples_setup_and_learn):
    "The callback that keeps a run."
    samples, setup, learn = samples_setup_and_learn
    with tempfile.TemporaryDirectory() as d:
        kept = multitask_learner(samples, setup, bs=16, device="cpu", cbs=[RunKeeper(d)])
        with kept.no_bar(), kept.no_logging():
            kept.fit(2, 1e-2)
        assert sorted(os.listdir(d)) == [
            "best-001.safetensors",
            "metrics.csv",
            "state-001",
            "trace",
        ]
        assert sorted(os.listdir(f"{d}/trace")) == ["000.nc", "001.nc"]
        table = pd.read_csv(f"{d}/metrics.csv")
        assert table.epoch.tolist() == [0, 1]
        assert table.columns[1:3].tolist() == [
            "train_loss",
            "valid_loss",
        ]
        np.testing.assert_allclose(table.cover_accuracy, [v[2] for v in kept.recorder.values])


def test_a_folder_is_claimed_once(samples_setup_and_learn):
    "One call."
    samples, setup, learn = samples_setup_and_learn
    config = run_config(samples, learn, epochs=3, seed=0)
    with tempfile.TemporaryDirectory() as d:
        run = Path(d) / "run"
        for _ in range(2):
            _claim_folder(run, config)
        assert json.loads((run / "config.json").read_text()) == config
        other = run_config(samples, learn, epochs=4, seed=0)
        with pytest.raises(FileExistsError, match="options.epochs: the folder has 3, asked for is 4"):
            _claim_folder(run, other)
        with pytest.raises(FileExistsError, match="is not a run folder"):
            _claim_folder(Path(d), config)


def test_a_learning_rate_that_cannot_be_is_refused_before_a_folder_is_made():
    "One call."
    with tempfile.TemporaryDirectory() as folder:
        for lr in (0, -1e-3, math.inf, math.nan):
            with pytest.raises(ValueError, match="train_run: lr is .*, expected"):
                train_run(toy_samples(24), Setup("optical", "climate"), Path(folder) / "run", lr=lr)
        assert list(Path(folder).iterdir()) == []


def test_what_was_exported_is_a_run(exported, samples_setup_and_learn):
    "A run of a learner."
    # what was exported is a run: its trace, its scores and its predictions are those of the weights
    samples, setup, learn = samples_setup_and_learn
    with exported() as (made, folder):
        out = made.export("run")
        assert out.folder == folder
        assert out.finished
        assert out.epoch == 2
        assert out.about == "Epoch 2 of 0 to 2 is kept: its weights were exported."
        np.testing.assert_array_equal(out.trace.error, made.trace.error)
        assert out.metrics.index.tolist() == [0, 1, 2]
        assert out.predict(samples).equals(made.predict(samples))
        of_test = out.scores.query("split == 'test'").drop(columns="split").reset_index(drop=True)
        pd.testing.assert_frame_equal(of_test, made.scores("test"), rtol=1e-6)
        assert set(out.temperatures) == {"cover", "climate"}
        assert made.export("run").scores.equals(out.scores)
        made.fit(1)
        with pytest.raises(FileExistsError, match="options.epochs: the folder has 3, asked for is 4"):
            made.export("run")
        with pytest.raises(FileExistsError, match="the folder has .exported., asked for is .best."):
            train_run(samples, setup, folder, epochs=3, bs=16, device="cpu")


def test_the_best_weights_were_brought_back(exported, samples_setup_and_learn):
    "A run of a learner."
    # the best weights were brought back: the run is about their epoch
    samples, setup, learn = samples_setup_and_learn
    with exported(SaveModelCallback(monitor="valid_loss"), lr=3.0) as (made, folder):
        best = made.table.valid_loss[1:].idxmin()
        out = made.export(folder)
        assert out.epoch == out.trace.attrs["kept"] == best
        last = made.trace.epoch.values[-1]
        told = out.predict(samples).sel(sample=out.trace.sample.values)
        correct = out.trace.correct.sel(task="climate", epoch=best).values == 1
        truth = samples.climate.sel(sample=out.trace.sample.values)
        assert ((told.climate == truth).values == correct).all()


def test_weights_of_no_epoch_are_looked_at_once_more(exported, samples_setup_and_learn):
    "A run of a learner."
    # weights of no epoch are looked at once more; so are those of an untrained learner
    samples, setup, learn = samples_setup_and_learn
    with exported(trace=("valid",)) as (made, folder):
        with torch.no_grad():
            next(made.model.heads.parameters()).mul_(3)
        out = made.export(folder)
        assert out.epoch == 3
        assert out.trace.sizes["epoch"] == len(out.metrics) == 4
        assert np.isnan(out.metrics.train_loss.iloc[-1])
        valid = samples.isel(sample=samples.split.values == "valid")
        told = out.predict(valid).climate == valid.climate
        assert (told == (out.trace.correct.sel(task="climate", epoch=3) == 1).values).all()
    with exported(epochs=0, trace=()) as (made, folder):
        out = made.export(folder)
        assert out.epoch == 0
        assert out.predict(samples).equals(made.predict(samples))


def test_the_folder_holds_what_the_table_promises(home_and_run, samples_setup_and_learn):
    "A run, from beginning to end."
    home, run = home_and_run
    samples, setup, learn = samples_setup_and_learn
    assert sorted(p.name for p in (home / "whole").iterdir()) == [
        f"best-{run.epoch:03d}.safetensors",
        "confidence.nc",
        "config.json",
        "metrics.csv",
        "scores.csv",
        "state-002",
        "trace",
    ]
    assert run.finished
    assert run.metrics.index.tolist() == [0, 1, 2]
    assert run.trace.sizes["epoch"] == 3
    assert set(run.scores.split) == {"valid", "test"}
    assert run.setup == setup
    assert "main" in run._repr_html_()
    assert "accuracy" in run._repr_html_()
    assert "3 of 3 epochs" in repr(run)


def test_scores_weights_and_explanations_are_about_one_epoch_which_the_run(samples_setup_and_learn):
    "A run, from beginning to end."
    # scores, weights and explanations are about one epoch, which the run names
    samples, setup, learn = samples_setup_and_learn
    with tempfile.TemporaryDirectory() as d:
        options = dict(epochs=4, bs=16, lr=0.3, bar=False, device="cpu")
        best, last = (
            train_run(samples, setup, Path(d) / keep, keep=keep, **options) for keep in ("best", "last")
        )
        losses = best.metrics["cover_valid_loss"]
        assert best.epoch == losses.argmin() == best_epoch(best.trace) == chosen_epoch(best.trace) < 3
        assert last.epoch == chosen_epoch(last.trace) == 3
        for made in (best, last):
            traced = made.trace.sel(
                task="cover", epoch=made.epoch, sample=samples.sample[samples.split.values == "test"]
            ).correct
            told = made.scores.query(
                "split == 'test' and task == 'cover' and metric == 'accuracy'"
            ).value.item()
            assert told == pytest.approx(float(traced.mean()), abs=1e-6)
            tested = samples.isel(sample=samples.split.values == "test")
            assert (made.predict(tested).cover.values == tested.cover.values).mean() == pytest.approx(
                float(traced.mean()), abs=1e-6
            )
        assert (
            best.about
            == f"Epoch {best.epoch} of 0 to 3 is kept: the lowest loss of cover on the validation "
            "samples."
        )
        assert last.about == "Epoch 3, the last one, is kept."
        assert not best.trace.drop_attrs().identical(last.trace)
        assert f"epoch {best.epoch} kept" in repr(best)
        assert [p.name for p in sorted(best.folder.glob("best-*"))] == [
            f"best-{best.epoch:03d}.safetensors"
        ]
        assert not list(last.folder.glob("best-*"))
        with pytest.raises(
            FileExistsError, match="options.keep: the folder has .best., asked for is .last."
        ):
            train_run(samples, setup, best.folder, keep="last", **options)
        with pytest.raises(ValueError, match="keep is 'worst', expected one of best, last"):
            train_run(samples, setup, Path(d) / "worst", keep="worst", **options)


def test_deployment_other_samples_only_the_inputs_no_training_data(home_and_run):
    "A run, from beginning to end."
    home, run = home_and_run
    fresh = toy_samples(12, size=8, seed=5)
    alone = load_run(home / "whole").predict(fresh[["optical"]])
    assert alone.equals(run.predict(fresh))
    assert set(alone) == {"cover", "climate"}
    with pytest.raises(ValueError, match="input modality 'optical' is missing"):
        run.predict(fresh[["elevation"]])


def test_the_same_numbers_by_prediction_by_the_trace_and_made_afterwards(samples_setup_and_learn, home_and_run):
    "A run, from beginning to end."
    samples, setup, learn = samples_setup_and_learn
    home, run = home_and_run
    tested = samples.isel(sample=samples.split.values == "test")
    told = run.predict(tested, probabilities=True)
    kept = run.trace.sel(sample=tested.sample)
    np.testing.assert_allclose(told.climate_probability, kept.probability_climate, atol=1e-5)
    sure = told.cover_confidence.mean(("cover_y", "cover_x"))
    np.testing.assert_allclose(sure, kept.certainty.sel(task="cover"), atol=1e-5)
    assert set(run.temperatures) == {"cover", "climate"}
    with tempfile.TemporaryDirectory() as d:
        older = Path(d) / "older"
        shutil.copytree(run.folder, older)
        (older / "confidence.nc").unlink()
        assert load_run(older).temperatures == {}
        assert record_confidence(load_run(older), samples).trace.identical(run.trace)
        with pytest.raises(ValueError, match="the samples that it was trained on; these are others"):
            record_confidence(run, samples.isel(sample=slice(0, 60)))
        xr.load_dataset(older / "confidence.nc").isel(sample=slice(5)).to_netcdf(older / "few.nc")
        (older / "few.nc").replace(older / "confidence.nc")
        with pytest.raises(ValueError, match="its samples are not those of the trace; make it again"):
            load_run(older).trace


def test_asking_again_for_a_finished_run_only_opens_it(home_and_run, samples_setup_and_learn):
    "A run, from beginning to end."
    home, run = home_and_run
    samples, setup, learn = samples_setup_and_learn
    before = (home / "whole" / "scores.csv").stat().st_mtime_ns
    again = train_run(samples, setup, home / "whole", epochs=3, bs=16, lr=1e-2, bar=False, device="cpu")
    assert again.trace.equals(run.trace)
    assert (home / "whole" / "scores.csv").stat().st_mtime_ns == before


def test_a_datasets_own_scores_stand_beside_those_of_the_kinds_or_in_their(samples_setup_and_learn):
    "A run, from beginning to end."
    # a dataset's own scores stand beside those of the kinds, or in their place
    samples, setup, learn = samples_setup_and_learn
    def own(learner, part):
        return pd.DataFrame(
            [
                ("cover", "size", float(part.sizes["sample"]), ""),
                ("cover", "accuracy", 2.0, ""),
                ("cover", "undefined", np.nan, ""),
            ],
            columns=["task", "metric", "value", "units"],
        )


    with tempfile.TemporaryDirectory() as d:
        found = train_run(
            samples, setup, Path(d) / "own", epochs=1, bs=16, bar=False, device="cpu", score=own
        ).scores
    assert found[found.metric == "size"].set_index("split").value.to_dict() == {
        s: (samples.split.values == s).sum() for s in ("valid", "test")
    }
    assert found[(found.task == "cover") & (found.metric == "accuracy")].value.tolist() == [2, 2]
    assert (found.metric == "accuracy").sum() == 4
    assert found.value.dtype == float
    assert found[found.metric == "undefined"].value.isna().all()


def test_the_trace_in_one_file_and_what_a_kill_at_any_moment_of_joining_leaves(home_and_run, samples_setup_and_learn):
    "A run, from beginning to end."
    home, run = home_and_run
    samples, setup, learn = samples_setup_and_learn
    assert os.listdir(home / "whole" / "trace") == ["all.nc"]
    one = load_netcdf(home / "whole" / "trace" / "all.nc")
    three = [f"{k:03d}.nc" for k in range(3)]
    for left in (["all.nc"], three, ["all.nc", *three]):
        with tempfile.TemporaryDirectory() as d:
            killed = Path(d) / "killed"
            shutil.copytree(home / "whole", killed)
            (killed / "scores.csv").unlink()
            (killed / "trace" / "all.nc").unlink()
            for name in left:
                part = one if name == "all.nc" else one.isel(epoch=[int(name[:3])])
                save_netcdf(part, killed / "trace" / name)
            assert load_run(killed).trace.identical(run.trace)
            again = train_run(samples, setup, killed, epochs=3, bs=16, lr=1e-2, bar=False, device="cpu")
            assert os.listdir(killed / "trace") == ["all.nc"]
            assert again.trace.identical(run.trace)
            pd.testing.assert_frame_equal(again.scores, run.scores)


def test_interrupted_then_resumed(samples_setup_and_learn, home_and_run):
    "Stopped and resumed."
    # interrupted, then resumed: as if nothing had happened
    samples, setup, learn = samples_setup_and_learn
    home, run = home_and_run
    with tempfile.TemporaryDirectory() as d:
        options = dict(epochs=3, bs=16, lr=1e-2, bar=False, device="cpu")
        with pytest.raises(KeyboardInterrupt):
            train_run(samples, setup, Path(d) / "run", cbs=[InterruptAt(2)], **options)
        assert not load_run(Path(d) / "run").finished
        assert load_run(Path(d) / "run").state == "2 of 3 epochs"
        resumed = train_run(samples, setup, Path(d) / "run", **options)
        assert resumed.trace.equals(run.trace)
        pd.testing.assert_frame_equal(
            resumed.metrics.drop(columns="seconds"), run.metrics.drop(columns="seconds")
        )
        for a, b in zip(
            resumed.network.state_dict().values(), run.network.state_dict().values(), strict=True
        ):
            assert torch.equal(a, b)


def test_each_tracker_disturbed_and_not(trackers_and_tracked):
    "Stopped and resumed."
    trackers, tracked = trackers_and_tracked
    for name in trackers:
        with tempfile.TemporaryDirectory() as d, contextlib.redirect_stdout(io.StringIO()):
            at = 1 if name == "hasty" else 2
            quiet = Path(d) / "quiet"
            disturbed = Path(d) / "disturbed"
            whole, best = tracked(quiet, name)
            with pytest.raises(KeyboardInterrupt):
                tracked(disturbed, name, InterruptAt(at))
            resumed, best_again = tracked(disturbed, name)
            assert resumed.trace.identical(whole.trace)
            assert resumed.epoch == whole.epoch
            assert best_again == best
            assert len(whole.metrics) == (2 if name == "hasty" else 4)
            assert whole.finished
            pd.testing.assert_frame_equal(
                resumed.metrics.drop(columns="seconds"), whole.metrics.drop(columns="seconds")
            )
            for a, b in zip(
                resumed.network.state_dict().values(), whole.network.state_dict().values(), strict=True
            ):
                assert torch.equal(a, b)
            if name == "saved":
                a, b = (
                    torch.load(f / "models" / "model.pth", weights_only=True)
                    for f in (quiet, disturbed)
                )
                assert a.keys() == b.keys()
                assert all(torch.equal(a[k], b[k]) for k in a)


def test_patience_the_training_ends_early_disturbed_or_not_and_the_best_epoch(samples_setup_and_learn):
    "Stopped and resumed."
    # patience: the training ends early, disturbed or not, and the best epoch is kept
    samples, setup, learn = samples_setup_and_learn
    with tempfile.TemporaryDirectory() as d:
        options = dict(epochs=9, bs=16, lr=0.3, bar=False, device="cpu", trace=(), patience=2)
        options |= dict(schedule="constant")
        whole = train_run(samples, setup, Path(d) / "whole", **options)
        assert len(whole.metrics) == whole.epoch + 3 < 9
        assert whole.finished
        assert whole.options["patience"] == 2
        assert f"{len(whole.metrics)} of 9 epochs, epoch {whole.epoch} kept" in repr(whole)
        broken = Path(d) / "broken"
        with pytest.raises(KeyboardInterrupt):
            train_run(samples, setup, broken, cbs=[InterruptAt(whole.epoch + 1)], **options)
        again = train_run(samples, setup, broken, **options)
        assert again.metrics.cover_valid_loss.equals(whole.metrics.cover_valid_loss)
        (broken / "scores.csv").unlink()  # killed after its last epoch
        assert len(train_run(samples, setup, broken, **options).metrics) == len(whole.metrics)
        with pytest.raises(FileExistsError, match="options.patience"):
            train_run(samples, setup, whole.folder, **options | dict(patience=3))
        with pytest.raises(ValueError, match="train_run: patience is 0"):
            train_run(samples, setup, Path(d) / "none", **options | dict(patience=0))


def test_half_the_precision_stands_in_the_folder_and_a_broken_run_goes_on_in_it(samples_setup_and_learn):
    "Stopped and resumed."
    samples, setup, learn = samples_setup_and_learn
    with tempfile.TemporaryDirectory() as d:
        options = dict(epochs=2, bs=16, bar=False, device="cpu", trace=(), precision="bf16")
        whole = train_run(samples, setup, Path(d) / "whole", **options)
        assert whole.options["precision"] == "bf16"
        with pytest.raises(KeyboardInterrupt):
            train_run(samples, setup, Path(d) / "broken", cbs=[InterruptAt(1)], **options)
        again = train_run(samples, setup, Path(d) / "broken", **options)
        assert again.metrics.cover_valid_loss.equals(whole.metrics.cover_valid_loss)
        with pytest.raises(FileExistsError, match="options.precision"):
            train_run(samples, setup, whole.folder, **options | dict(precision="fp32"))
        with pytest.raises(ValueError, match="train_run: precision is 'half'"):
            train_run(samples, setup, Path(d) / "none", **options | dict(precision="half"))


def test_a_run_with_networks_by_name_is_trained_saved_and_opened_again(samples_setup_and_learn):
    "Stopped and resumed."
    samples, setup, learn = samples_setup_and_learn
    with tempfile.TemporaryDirectory() as d:
        path = str(Path(d) / "learnt.safetensors")
        save_file(timm.create_model("resnet10t").state_dict(), path)
        vector = Setup(dict(optical=dict(type="timm:resnet10t", weights=path, freeze=2)), "climate")
        plane = Setup(dict(optical=dict(type="smp:unet/mobilenet_v2"), elevation={}), "cover")
        options = dict(epochs=2, bs=32, bar=False, device="cpu", shown=2)
        for name, roles in dict(vector=vector, plane=plane).items():
            made = train_run(samples, roles, Path(d) / name, **options)
            Path(path).unlink(missing_ok=True)
            opened = load_run(Path(d) / name)
            assert opened.setup == roles
            tested = samples.isel(sample=samples.split.values == "test")
            expected = made.trace.sel(epoch=made.epoch, sample=tested.sample)
            right = opened.predict(tested)[roles.main].values == tested[roles.main].values
            agrees = right.reshape(len(right), -1).mean(1)
            np.testing.assert_allclose(agrees, expected.correct.squeeze("task"), atol=1e-6)


def test_a_run_that_starts_from_another_one_says_so(samples_setup_and_learn, home_and_run):
    "Beginning with another run."
    samples, setup, learn = samples_setup_and_learn
    home, run = home_and_run
    with tempfile.TemporaryDirectory() as d:
        other = replace(setup, targets=("elevation", "climate"), main="")
        options = dict(epochs=1, bs=16, bar=False, device="cpu")
        begun = multitask_learner(
            samples, other, start=run, bs=16, device="cpu"
        ).model.body.state_dict()
        assert all(torch.equal(v, begun[k]) for k, v in run.network.body.state_dict().items())
        assert len(begun) > 10
        twin = train_run(samples, other, Path(d) / "twin", start=home / "whole", **options)
        assert twin.config["options"]["start"] == weights_digest(run)
        assert twin.config["options"]["started"].startswith(
            f"{len(begun)} of {len(begun)} tensors of the body taken"
        )
        assert "start" not in run.config["options"]
        with pytest.raises(
            FileExistsError, match="options.start: the folder has .*, asked for is None"
        ):
            train_run(samples, other, Path(d) / "twin", **options)


def test_each_field_that_names_something_is_tried(stranger):
    "A folder from a stranger."
    # each field that names something is tried; nothing is written, imported or started
    with tempfile.TemporaryDirectory() as d, mock.patch.object(sys, "path", [d, *sys.path]):
        proof = Path(d) / "proof.txt"
        (Path(d) / "evil_module.py").write_text(
            f'open({str(proof)!r}, "w").write("ran")\nclass Body:\n    def __init__(self, *a, '
            "**k): pass\n"
        )
        names = (
            "evil_module.Body",
            "evil_module",
            "os.system",
            "subprocess.Popen",
            "builtins.exec",
            "torch.nn.Linear",
            '__import__("evil_module")',
            ["evil_module.Body"],
            dict(type="evil_module.Body"),
        )
        fields = {
            "network": lambda name: dict(network=dict(type=name)),
            "fusion": lambda name: dict(network=dict(fusion=dict(type=name))),
            "encoder": lambda name: dict(inputs=dict(optical=dict(type=name))),
            "head": lambda name: dict(
                targets=dict(cover=dict(type=name, weight=0.5), climate=dict(weight=0.5))
            ),
        }
        for n, made in enumerate(fields.values()):
            for k, name in enumerate(names):
                opened = load_run(stranger(Path(d) / f"{n}-{k}", **made(name)))
                with pytest.raises(ValueError) as caught:
                    opened.network
                assert "\n" not in str(caught.value)
                assert "evil_module" not in sys.modules
                assert not proof.exists()


def test_a_config_of_another_structure(home_and_run):
    "A folder from a stranger."
    # a config of another structure: one line that names file and field
    home, run = home_and_run
    faults = {
        "setup.inputs is .optical., expected a dictionary": lambda c: c["setup"].update(
            inputs="optical"
        ),
        "setup is missing": lambda c: c.pop("setup"),
        "options.epochs is .two., expected a whole number": lambda c: c["options"].update(epochs="two"),
        "options.bs is 0, expected at least 1": lambda c: c["options"].update(bs=0),
        "modalities.optical.kind is .video., expected one of": lambda c: c["modalities"][
            "optical"
        ].update(kind="video"),
        "setup names .elevation., which modalities lacks": lambda c: c["setup"].update(
            inputs=dict(elevation={})
        ),
        "modality .optical.: has 3 channels but 1 numbers in `std`": lambda c: c["modalities"][
            "optical"
        ].update(std=[1.0]),
        r"modalities.optical.std\[0\] is 0, expected more than 0": lambda c: c["modalities"][
            "optical"
        ].update(std=[0, 1, 1]),
        "modalities.climate.name is .cover., expected .climate.": lambda c: c["modalities"][
            "climate"
        ].update(name="cover"),
        "loss weights are given for": lambda c: c["setup"]["targets"]["cover"].pop("weight"),
        "needs at least two classes, has 1": lambda c: c["modalities"]["cover"].update(
            classes=["one"], colors=[], parent_index=[], parent=""
        ),
    }
    with tempfile.TemporaryDirectory() as d:
        for match, change in faults.items():
            config = json.loads(json.dumps(run.config))
            change(config)
            (Path(d) / "config.json").write_text(json.dumps(config))
            with pytest.raises(ValueError, match=f"config.json: .*{match}") as caught:
                load_run(d)
            assert "\n" not in str(caught.value)


def test_tables_and_traces_of_another_structure(home_and_run):
    "A folder from a stranger."
    # tables and traces of another structure: one line that names the file and what it lacks
    home, run = home_and_run
    with tempfile.TemporaryDirectory() as d:
        shutil.copytree(home / "whole", Path(d) / "run")
        odd = load_run(Path(d) / "run")
        piece = Path(d) / "run" / "trace" / "all.nc"
        for name, text, match in (
            (
                "scores.csv",
                "task,score\ncover,1\n",
                "scores.csv: the column 'metric' is missing; it has task, score",
            ),
            ("scores.csv", "", "scores.csv: no table that can be read"),
            ("scores.csv", 'a,b\n1,2,3,4\n"', "scores.csv: no table that can be read"),
        ):
            (odd.folder / name).write_text(text)
            with pytest.raises(ValueError, match=match):
                load_run(odd.folder).scores
        with h5py.File(piece, "r+") as file:
            file["stolen"] = h5py.ExternalLink("/etc/passwd", "/")
        with pytest.raises(
            ValueError,
            match="trace/all.nc: 'stolen' is a link to /etc/passwd, not a variable: it is refused",
        ):
            load_run(odd.folder).trace
        wrong = run.trace.sel(epoch=[1]).drop_attrs(deep=False).assign_attrs(main="cover")
        wrong["truth"].loc[dict(task="climate")] = 999
        save_netcdf(wrong, piece)
        with pytest.raises(ValueError, match="trace/all.nc: epochs are missing, it has 1 of 3"):
            odd.trace
        piece.unlink()
        for k in range(3):
            save_netcdf(wrong.assign_coords(epoch=[k]), piece.with_name(f"{k:03d}.nc"))
        with pytest.raises(
            ValueError, match="run/trace: 'truth' of 'climate' has the class 999, expected 0 to 3"
        ):
            odd.trace


def test_the_network_of_a_config_is_compared_with_the_file_of_weights_before_it(stranger):
    "A folder from a stranger."
    # the network of a config is compared with the file of weights before it takes memory
    with tempfile.TemporaryDirectory() as d:
        huge = load_run(
            stranger(Path(d) / "huge", inputs=dict(optical=dict(type="unet", width=90_000, depth=1)))
        )
        with pytest.raises(ValueError, match="these are the weights of another network: .* more"):
            huge.network


def test_another_config_does_not_overwrite_a_run_and_a_folder_of_something_else(samples_setup_and_learn, home_and_run):
    "What it refuses, and what it survives."
    # another config does not overwrite a run, and a folder of something else is left alone
    samples, setup, learn = samples_setup_and_learn
    home, run = home_and_run
    with pytest.raises(FileExistsError, match=r"options.seed: the folder has 0, asked for is 1"):
        train_run(
            samples, setup, home / "whole", epochs=3, bs=16, lr=1e-2, seed=1, bar=False, device="cpu"
        )
    with tempfile.TemporaryDirectory() as d:
        (Path(d) / "thesis.tex").write_text("")
        with pytest.raises(FileExistsError, match="not a run folder"):
            train_run(samples, setup, d, device="cpu")
    with pytest.raises(FileNotFoundError, match="not a run folder"):
        load_run(home / "nowhere")
    corrected = samples.copy(deep=True)
    corrected.climate[3] = (corrected.climate[3] + 1) % 4
    with pytest.raises(FileExistsError, match="holds another run.*\n  samples: the folder has"):
        train_run(corrected, setup, home / "whole", epochs=3, bs=16, lr=1e-2, bar=False, device="cpu")
    with tempfile.TemporaryDirectory() as d:
        (Path(d) / "config.json").write_text(json.dumps(run.config))
        with pytest.raises(
            FileNotFoundError, match="holds no weights: .* training stopped before the first epoch"
        ):
            load_run(d).network
        (Path(d) / "config.json").write_text(json.dumps(run.config | dict(format=1)))
        with pytest.raises(
            ValueError, match="has format 1, this version of mtl_explain reads format 2"
        ):
            load_run(d)


def test_a_full_disk_leaves_the_last_epoch_whole_whichever_library_notices_it(samples_setup_and_learn):
    "What it refuses, and what it survives."
    samples, setup, learn = samples_setup_and_learn
    full = OSError(errno.ENOSPC, "No space left on device")
    told = {  # what is being written -> how it fails, and what is said
        "save_netcdf": (full, "the disk is full; the epochs that are done stay in .*/run"),
        "save_file": (SafetensorError("I/O error: No space left on device (os error 28)"), "is full"),
        "write_beside": (OSError(errno.EDQUOT, "Disk quota exceeded"), "the quota is used up; the"),
    }
    with tempfile.TemporaryDirectory() as d:
        options = dict(epochs=2, bs=16, bar=False, device="cpu")
        with pytest.raises(KeyboardInterrupt):
            train_run(samples, setup, Path(d) / "run", cbs=[InterruptAt(1)], **options)
        for writer, (error, text) in told.items():
            with (
                mock.patch.dict(save_state.__globals__, {writer: mock.Mock(side_effect=error)}),
                pytest.raises(OSError, match=f"{text}.* make room and call again"),
            ):
                train_run(samples, setup, Path(d) / "run", **options)
        assert state_folder(Path(d) / "run").name == "state-000"
        assert load_run(Path(d) / "run").predict(samples).sizes["sample"] == 96
        assert train_run(samples, setup, Path(d) / "run", **options).finished
