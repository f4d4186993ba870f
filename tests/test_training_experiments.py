"""Experiments

Written by nbdev-export from the check cells of nbs/api/training/10_experiments.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.callback.core import Callback

from mtl_explain.data.splits import block_folds, fold_split
from mtl_explain.data.store import open_store, save_samples
from mtl_explain.files.paths import only_writer
from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.trace import joined_folds
from mtl_explain.training.experiments import (
    comparison, cross_validate, durations, find_runs, mean_sd, narrower, paper_table, row_name, run_folder,
    score_columns, start_changes, starts_of, train_table, training_options,
)
from mtl_explain.training.recipe import Recipe
from mtl_explain.training.rivals import Caps, rival_names, rival_scores
from mtl_explain.training.runs import train_run


# options of a training
class StopAt(Callback):
    "Somebody who presses Ctrl-C in the middle of an epoch."

    def __init__(self, epoch):
        self.at = epoch

    def after_batch(self):
        if self.training and self.epoch == self.at and self.iter:
            raise KeyboardInterrupt


# three variants of one question in the toy world
@pytest.fixture(scope='module')
def samples():
    return toy_samples(96, size=8)


@pytest.fixture(scope='module')
def setups():
    unet = dict(optical=dict(type="unet", width=4, depth=1))
    return [
        Setup(unet, "cover"),
        Setup(unet | dict(months={}), "cover", core="optical", name="with months"),
        Setup(unet, ("cover", "warmth"), core="optical", name="mtl"),
    ]


@pytest.fixture(scope='module')
def turns_home_turn_options_and_turns(samples, setups):
    "Three folds of the toy world."
    turns_home = Path(tempfile.mkdtemp())
    turn_options = dict(k=3, epochs=2, bs=16, lr=1e-2, bar=False, device="cpu")
    turns = cross_validate(samples, setups[2], turns_home, ("climate",), **turn_options)
    return turns_home, turn_options, turns


# options of a training
@pytest.fixture(scope='module')
def told_and_plain():
    told = Recipe(
        "paper C",
        epochs=2,
        bs=8,
        at_once=4,
        lr=1e-2,
        schedule="constant",
        optimiser=dict(sqr_mom=0.999, wd=0.0),
    )
    plain = replace(told, at_once=0)
    return told, plain


@pytest.fixture(scope='module')
def table_only():
    return Setup(
        ("climate", "zone"), "warmth"
    )  # without dropout and normalisation, so that only steps matter


@pytest.fixture(scope='module')
def home_options_and_runs(samples, setups):
    "Three rows, two seeds."
    home = Path(tempfile.mkdtemp())
    options = dict(seeds=(0, 1), epochs=1, bs=16, lr=1e-2, bar=False, device="cpu")
    runs = train_table(samples, setups, home, **options)
    return home, options, runs


def test_names_become_folders(setups):
    "Training a table."
    assert [row_name(s) for s in setups] == ["baseline", "with months", "mtl"]
    assert run_folder("runs", setups[2], 7) == Path("runs/mtl-seed7")


def test_slimmer_u_nets_and_fusion_the_rest_as_it_was():
    "Training a table."
    wide = Setup(
        dict(optical=dict(type="unet", width=64, depth=2), months=dict(width=16)),
        "cover",
        name="wide",
        network=dict(fusion=dict(widths=[64, 64])),
    )
    slim = narrower(wide, 8)
    assert slim.encoders == dict(optical=dict(type="unet", width=8, depth=2), months=dict(width=16))
    assert slim.network == dict(fusion=dict(widths=[8, 8]))
    assert slim.name == "wide"
    with pytest.raises(ValueError, match="'baseline' has no U-Net"):
        narrower(Setup("months", "warmth"), 8)


def test_somebodys_executor_trains_what_is_trained_here(samples, setups):
    "Training a table."
    # somebody's executor trains what is trained here; samples and options are sent, and arrive
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as two:
        stored = open_store(save_samples(samples, Path(folder) / "store", progress=False))
        options = dict(epochs=1, bs=16, bar=False, device="cpu")
        there = train_table(stored, setups[:2], Path(folder) / "there", executor=two, **options)
        here = train_table(samples, setups[:1], Path(folder) / "here", **options)
        assert [r.folder.name for r in there] == ["baseline-seed0", "with months-seed0"]
        assert there[0].config["samples"] == here[0].config["samples"]
        assert np.allclose(there[0].scores.value, here[0].scores.value, atol=1e-4)
        # two callers on one folder: the second is told who writes there, and nothing is lost
        with only_writer(there[0].folder), pytest.raises(BlockingIOError) as told:
            train_table(stored, setups[:1], Path(folder) / "there", executor=two, **options)
        assert f"is being written by process {os.getpid()}" in str(told.value)
        assert told.value.__notes__[0].startswith("in baseline, seed 0, process ")
        del stored


def test_each_sample_once_by_a_network_that_did_not_see_its_group(turns_home_turn_options_and_turns, samples, setups):
    "Every sample tested once."
    # each sample once, by a network that did not see its group; a second call only reads
    turns_home, turn_options, turns = turns_home_turn_options_and_turns
    whole = joined_folds([r.trace for r in turns])
    assert sorted(whole.sample.values) == sorted(samples.sample.values)
    folds = block_folds(samples, ("climate",), 3)
    assert (whole.fold.values == folds[np.searchsorted(samples.sample, whole.sample)]).all()
    for f, run in enumerate(turns):
        split = fold_split(samples, folds, f)
        seen = set(samples.group.values[split != "test"])
        tested = whole.isel(sample=np.flatnonzero(whole.fold.values == f))
        assert not seen & set(tested.group.values)
        assert (tested.kept_epoch == run.epoch).all()
        told = run.scores.query("split == 'test' and task == 'cover' and metric == 'accuracy'").value
        assert told.item() == pytest.approx(tested.correct.sel(task="cover").mean().item(), abs=1e-5)
    before = [r.folder.stat().st_mtime_ns for r in turns]
    again = cross_validate(samples, setups[2], turns_home, ("climate",), **turn_options)
    assert [r.folder.stat().st_mtime_ns for r in again] == before
    assert joined_folds([r.trace for r in again]).identical(whole)


def test_where_a_sample_is_tested_one_that_touches_it_on_the_grid_is_neither(samples, setups, turns_home_turn_options_and_turns):
    "Every sample tested once."
    # where a sample is tested, one that touches it on the grid is neither trained on nor validated on
    turns_home, turn_options, turns = turns_home_turn_options_and_turns
    folds = block_folds(samples, ("climate",), 3)
    other = np.flatnonzero(folds != folds[0])[0]
    place = 2 * np.arange(samples.sizes["sample"])
    place[other] = 1
    grid = dict(row=("sample", np.zeros_like(place)), col=("sample", place))
    with tempfile.TemporaryDirectory() as folder:
        touching = samples.assign_coords(grid)
        found = cross_validate(touching, setups[2], folder, ("climate",), **turn_options)
        tested = joined_folds([r.trace for r in found])
        names = [set(r.trace.sample.values) for r in found]
    assert sorted(tested.sample.values) == sorted(samples.sample.values)
    a, b = samples.sample.values[[0, other]]
    assert a in names[folds[0]] and b not in names[folds[0]]
    assert b in names[folds[other]] and a not in names[folds[other]]


def test_what_a_network_has_learnt_of_one_fold_is_not_in_its_own_test_samples(samples, turns_home_turn_options_and_turns):
    "Every sample tested once."
    # what a network has learnt of one fold is not in its own test samples: a label that is the group
    turns_home, turn_options, turns = turns_home_turn_options_and_turns
    secret = samples.assign(
        climate=samples.climate.copy(data=samples.group.values % 4),
    )
    by_group = Setup("optical", "climate", name="by group")
    with tempfile.TemporaryDirectory() as folder:
        found = cross_validate(secret, by_group, folder, ("climate",), **turn_options)
        trace = joined_folds([r.trace for r in found])
    assert trace.correct.sel(task="climate").mean() < 0.5, "no network knows the number of a new group"


def test_what_a_recipe_asks_for_is_done_and_on_record(told_and_plain, samples, table_only):
    "By a recipe."
    told, plain = told_and_plain
    options = training_options(told)
    assert options["bs"] == 4
    assert options["cbs"][0].n_acc == 8
    assert options["schedule"] == "constant"
    assert options["opt_func"].keywords == dict(sqr_mom=0.999, wd=0.0)
    assert training_options(Recipe("nobody", 1, 4, 1e-3)).keys() == {
        "epochs",
        "lr",
        "bs",
        "schedule",
        "keep",
        "recipe",
    }
    with pytest.raises(
        ValueError, match="a step of 9 samples cannot be put together from batches of 4"
    ):
        training_options(replace(told, bs=9))
    with tempfile.TemporaryDirectory() as folder:

        def trained(name, recipe, **more):
            return train_run(
                samples,
                table_only,
                f"{folder}/{name}",
                bar=False,
                device="cpu",
                trace=(),
                **training_options(told, recipe),
                **more,
            )

        def weights(run):
            return torch.cat([p.flatten() for p in run.network.parameters()]).detach()

        steps = trained("steps", told)
        whole = trained("whole", plain)
        cycle = trained("cycle", replace(plain, schedule="one-cycle"))
        torch.testing.assert_close(
            weights(steps), weights(whole), atol=1e-4, rtol=1e-3
        )  # the sum of two halves
        assert not torch.allclose(weights(whole), weights(cycle), atol=1e-3)
        assert steps.options["recipe"]["followed"] == "paper C's recipe"
        assert steps.options["schedule"] == "constant"
        assert (
            cycle.options["recipe"]["followed"]
            == "not paper C's recipe: no at_once, schedule one-cycle instead of constant"
        )
        stopping = training_options(told)
        stopping["cbs"] = [*stopping["cbs"], StopAt(1)]
        with pytest.raises(KeyboardInterrupt):
            train_run(
                samples, table_only, f"{folder}/stopped", bar=False, device="cpu", trace=(), **stopping
            )
        assert torch.equal(weights(trained("stopped", told)), weights(steps))
        with pytest.raises(FileExistsError, match="options.recipe.followed: the folder has"):
            trained("steps", replace(told, optimiser=dict(wd=0.1)))


def test_where_rows_begin(setups, told_and_plain, samples):
    "By a recipe."
    told, plain = told_and_plain
    rows = [
        Setup(("a", "b"), "c", name=n, network=dict(type=t))
        for n, t in (("x", "mmcd"), ("y", "mmcd"), ("z", "snunet"))
    ]
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("mmcd", "snunet"):
            with pytest.raises(
                FileNotFoundError,
                match=f"no finished run in .*levir-{kind}-seed0: the networks begin with what they "
                "learnt from levir; train them with `mtl_explain table levir`, or .*--start none",
            ):
                starts_of("levir", rows, folder)
            (Path(folder) / f"levir-{kind}-seed0").mkdir()
            (Path(folder) / f"levir-{kind}-seed0" / "scores.csv").touch()
        assert starts_of("levir", rows, folder) == {
            k: Path(folder) / f"levir-{k}-seed0" for k in ("mmcd", "snunet")
        }
        with pytest.raises(
            ValueError, match="'baseline' has encoders of its own, which no run of levir has trained"
        ):
            starts_of("levir", [setups[0]], folder)
        small = Setup(("climate", "zone"), "warmth")

        def first(name, used):
            return train_run(
                samples,
                small,
                f"{folder}/{name}",
                bar=False,
                device="cpu",
                trace=(),
                **training_options(told, used),
            ).folder

        whole = first("whole", told)
        short = first("short", replace(told, epochs=1))
        assert start_changes(dict(mmcd=whole)) == ()
        assert start_changes(dict(mmcd=whole, snunet=short, mtbit=short)) == (
            "begun with runs that are not paper C's recipe: epochs 1 instead of 2",
        )


def test_a_table_that_is_finished_is_only_read_and_can_be_found_again(samples, setups, home_options_and_runs):
    "By a recipe."
    home, options, runs = home_options_and_runs
    def stamps():
        return {p: p.stat().st_mtime_ns for p in home.glob("**/*.safetensors")}


    before = stamps()
    again = train_table(samples, setups, home, **options)
    assert stamps() == before
    assert [r.folder for r in again] == [r.folder for r in runs]
    assert [r.folder.name for r in runs] == [
        f"{n}-seed{s}" for s in (0, 1) for n in ("baseline", "with months", "mtl")
    ]
    assert {r.folder for r in find_runs(home)} == {r.folder for r in runs}


def test_setups_that_would_share_a_folder_and_a_run_that_is_not_finished(samples, setups, home_options_and_runs):
    "By a recipe."
    home, options, runs = home_options_and_runs
    with pytest.raises(ValueError, match="need names that differ, got baseline, baseline"):
        train_table(samples, [setups[0], setups[0]], home)
    with tempfile.TemporaryDirectory() as d:
        (Path(d) / "begun").mkdir()
        (Path(d) / "begun" / "config.json").write_text((runs[0].folder / "config.json").read_text())
        assert find_runs(d) == []


def test_means_and_standard_deviations_by_hand(home_options_and_runs):
    "Comparing."
    home, options, runs = home_options_and_runs
    table = comparison(runs).set_index(["setup", "task", "metric"])
    a, b = (
        r.scores.query("split == 'test' and task == 'cover' and metric == 'accuracy'").value.item()
        for r in runs
        if r.setup.name == "mtl"
    )
    assert a != b
    assert table.loc[("mtl", "cover", "accuracy"), "mean"] == pytest.approx((a + b) / 2)
    assert table.loc[("mtl", "cover", "accuracy"), "sd"] == pytest.approx(abs(a - b) / 2**0.5)
    assert comparison(runs[:3]).sd.isna().all()
    assert table.loc[("mtl", "warmth", "mae"), "units"] == "°C"


def test_the_main_task_comes_first_the_metrics_of_a_task_stand_together_a():
    "Comparing."
    # the main task comes first, the metrics of a task stand together, a missing task is empty
    assert mean_sd(0.7123, 0.0041) == "0.712 ± 0.004"
    assert mean_sd(0.7123) == "0.712"
    long = pd.DataFrame(
        [
            ("mtl", "warmth", "mae", 2.0, 0.5),
            ("mtl", "cover", "iou", 0.6, 0.1),
            ("base", "cover", "iou", 0.5, np.nan),
        ],
        columns=["setup", "task", "metric", "mean", "sd"],
    ).assign(main="cover")
    wide = score_columns(long, digits=1)
    assert wide.columns.tolist() == [("cover", "iou"), ("warmth", "mae")]
    assert wide.loc["mtl"].tolist() == ["0.6 ± 0.1", "2.0 ± 0.5"]
    assert wide.loc["base"].tolist() == [
        "0.5",
        "",
    ]
    mixed = pd.DataFrame(
        dict(
            setup="mtl",
            task=["warmth", "cover", "depth", "warmth"],
            metric=["mae", "iou", "mae", "r2"],
            mean=1.0,
            sd=0.1,
            main="cover",
        )
    )
    assert score_columns(mixed).columns.tolist() == [
        ("cover", "iou"),
        ("warmth", "mae"),
        ("warmth", "r2"),
        ("depth", "mae"),
    ]


def test_roles_and_scores_in_one_table(home_options_and_runs):
    "Comparing."
    home, options, runs = home_options_and_runs
    table = paper_table(runs)
    assert table.index.tolist() == ["baseline", "with months", "mtl"]
    assert table["", "variant"].tolist() == ["baseline", "MML", "MTL"]
    assert table["warmth", "mae"].tolist()[:2] == ["", ""]
    assert "±" in table["warmth", "mae"]["mtl"]
    assert "±" in table["cover", "iou"]["baseline"]


def test_rivals_stand_below_the_networks_over_their_seeds(samples, setups, home_options_and_runs):
    "Comparing."
    home, options, runs = home_options_and_runs
    told = pd.concat(
        rival_scores(samples, setups[2], seed, caps=Caps(trees=5, rows=500)) for seed in (0, 1)
    )
    table = paper_table(runs, rivals=told)
    assert table.index.tolist() == ["baseline", "with months", "mtl", *rival_names]
    assert table["", "variant"].tolist()[3:] == ["rival", "rival"]
    assert "±" in table["warmth", "mae"][rival_names[1]]
    assert (table["roles"].loc[list(rival_names)] == "").all(axis=None)


def test_seconds_a_training_mean_over_the_seeds(home_options_and_runs):
    "Comparing."
    home, options, runs = home_options_and_runs
    assert durations(runs).index.tolist() == ["baseline", "with months", "mtl"]
    assert durations(runs)["mtl"] == pytest.approx(
        (runs[2].metrics.seconds.sum() + runs[5].metrics.seconds.sum()) / 2
    )
