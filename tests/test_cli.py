"""Command line

Written by nbdev-export from the check cells of nbs/api/90_cli.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import errno
import io
import os
import subprocess
import sys
import tempfile
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import rasterio
import typer
import xarray as xr

from mtl_explain import papers
from mtl_explain.change import detect as detection
from mtl_explain.cli import (
    _misfitting_setups, _said, app, chosen_recipe, data_app, demo_samples, done_by, few_threads, find_setup,
    main, need_stores, parse_options, parse_rasters, run_folder,
)
from mtl_explain.data.samples import modality_array
from mtl_explain.data.store import contiguous_layout, open_store, save_samples
from mtl_explain.datasets import globe
from mtl_explain.files.executor import chosen_executor, units_at_once
from mtl_explain.files.raster import write_geotiff
from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training import experiments, runs
from mtl_explain.training.recipe import Recipe, recipe_record, small_recipe
from mtl_explain.training.runs import train_run


# calling the command line in this process
def command(*words, app=None):
    "Exit code, output, and lines of errors."
    parts = mock.patch.dict(main.__globals__, app=app) if app else mock.patch.dict(main.__globals__)
    out = io.StringIO()
    err = io.StringIO()
    wide = mock.patch.dict(os.environ, COLUMNS="100", TERM="dumb")
    with redirect_stdout(out), redirect_stderr(err), parts, wide, pytest.raises(SystemExit) as stop:
        main(list(words))
    return stop.value.code, out.getvalue(), err.getvalue().strip().splitlines()


def failing(error):
    "A program whose only command fails."
    probe = typer.Typer(pretty_exceptions_enable=False)

    @probe.command()
    def fail():
        raise error

    return probe


@pytest.fixture(scope='module')
def names_and_done():
    "A process that prints the help of all commands, and what it had to load."
    names = [
        "",
        "demo",
        "train",
        "table",
        "explain",
        "report",
        "promise",
        "predict",
        "export",
        "detect",
        "roles",
        "course",
        "data",
        "data list",
        "data fetch",
        "data prepare",
        "data simulate",
        "data describe",
        "data verify",
    ]
    code = f"""
import sys
import warnings
from mtl_explain.cli import main
for name in {names}:
    try: main([*name.split(), '--help'])
    except SystemExit as stop: assert stop.code == 0
print(sorted({{'torch', 'fastai', 'matplotlib', 'xarray'}} & set(sys.modules)), file=sys.stderr)
"""
    plain = {k: v for k, v in os.environ.items() if "COLOR" not in k} | dict(COLUMNS="100", TERM="dumb")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=plain)
    return names, done


def test_a_note_is_one_line():
    "Errors in one line."
    def noting():
        probe = typer.Typer()

        @probe.command()
        def note():
            warnings.warn("3 masks lie between", stacklevel=1)

        return probe


    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert command(app=noting()) == (0, "", ["note: 3 masks lie between"])


def test_mistakes_are_one_line_and_exit_code_1_ctrl_c_130_a_bug_keeps_its():
    "Errors in one line."
    # mistakes are one line and exit code 1, Ctrl-C 130, a bug keeps its traceback
    assert command(app=failing(ValueError("the bands must be named"))) == (
        1,
        "",
        ["error: the bands must be named"],
    )
    assert command(app=failing(FileNotFoundError(2, "No such file", "a.nc"))) == (
        1,
        "",
        ["error: a.nc: there is no such file or folder"],
    )
    assert command(app=failing(OSError(errno.ENOSPC, "the disk is full; make room"))) == (
        1,
        "",
        ["error: the disk is full; make room"],
    )
    assert command(app=failing(KeyboardInterrupt())) == (
        130,
        "",
        ["stopped; the same command goes on where it was"],
    )
    for fault in (ZeroDivisionError(), KeyError("no band"), TypeError("no text")):
        with pytest.raises(type(fault)):
            command(app=failing(fault))


def test_the_sentences_are_those_of_whoever_opens_a_run_or_a_store():
    "A wrong path at once."
    def complaint(function, *given):
        with pytest.raises(FileNotFoundError) as said:
            function(*given)
        return str(said.value)


    with tempfile.TemporaryDirectory() as d:
        empty = Path(d)
        for folder in (empty, empty / "nowhere"):
            assert complaint(run_folder, folder) == complaint(runs.load_run, folder)
            assert complaint(need_stores, None, folder) == complaint(open_store, folder)
    assert run_folder(None) is None
    with mock.patch.dict(run_folder.__globals__, hub_folder=lambda name: Path("cache") / name[4:]):
        assert run_folder(Path("hub:lakes/depth@v1")) == Path("cache/lakes/depth@v1")


def test_options_are_checked_against_the_function_they_go_to():
    "Data."
    def prepared(source, dest, tile=None, edition=None, skip_bad=False):
        pass


    assert parse_options(
        ["tile=256", "edition=ben-ge-0.2", "skip_bad=True"], prepared, "data prepare"
    ) == dict(tile=256, edition="ben-ge-0.2", skip_bad=True)
    with pytest.raises(
        ValueError, match="data prepare has no option 'size'; it has source, dest, tile"
    ):
        parse_options(["size=3"], prepared, "data prepare")
    with pytest.raises(ValueError, match="an option is written KEY=VALUE, got 'tile'"):
        parse_options(["tile"], prepared, "data prepare")


def test_the_words_reach_the_executor():
    "Data."
    # the words reach the executor; an error says in which unit it was
    with done_by(None, None), chosen_executor() as usual, done_by(None, 3), chosen_executor() as three:
        assert (units_at_once(usual), units_at_once(three)) == (1, 3)
    error = ValueError("no number")
    error.add_note("in unit 7, process 1 on node2")
    assert _said(error) == "no number (in unit 7, process 1 on node2)"


def test_what_is_asked_of_a_dataset():
    "Data."
    def prepare(source, dest, tile=None, skip_bad=False):
        return f"{source} to {dest}, tile {tile}, skip {skip_bad}"


    def simulate(folder, n, seed, size=9):
        return f"{folder} {n} {seed} {size}"


    known = mock.Mock(
        fetch=lambda folder, edition="all": {"earth.whl": folder / edition},
        prepare=prepare,
        simulate=simulate,
    )
    with mock.patch.dict(
        main.__globals__,
        dataset=lambda name: dict(globe=known)[name],
    ):
        assert command("data", "fetch", "globe", "--folder", "raw")[1].split() == [
            "earth.whl",
            str(Path("raw") / "all"),
        ]
        assert command("data", "fetch", "globe", "--folder", "raw", "--option", "edition=old")[
            1
        ].split() == ["earth.whl", str(Path("raw") / "old")]
        assert (
            command("data", "prepare", "globe", "raw", "store")[1]
            == "prepared: raw to store, tile None, skip False\n"
        )
        assert (
            command("data", "prepare", "globe", "raw", "store", "--skip-bad", "--option", "tile=64")[1]
            == "prepared: raw to store, tile 64, skip True\n"
        )
        assert command("data", "prepare", "globe", "--option", "size=64")[2] == [
            "error: globe: data prepare has no option 'size'; it has source, dest, tile, skip_bad"
        ]
        assert (
            command("data", "simulate", "globe", "made", "-n", "5", "--option", "size=8")[1]
            == "simulated: made 5 0 8\n"
        )
    assert command("data", "list")[1].startswith("globe ")


def test_a_dataset_is_described():
    "Data."
    # a dataset is described: modalities, splits, groups or that there are none, setups
    with (
        tempfile.TemporaryDirectory() as d,
        mock.patch.dict(os.environ, MTL_EXPLAIN_DATA=d),
    ):  # an empty data folder: the shipped sample
        code, described, _ = command("data", "describe", "globe")
    assert code == 0
    assert "landcover" in described
    assert "train 160" in described
    assert "landcover-mtl" in described
    assert "groups, each in one split" in described
    alone = mock.Mock(
        load=lambda store: globe.load_sample().drop_vars("group"),
        setups=globe.setups,
    )
    with mock.patch.dict(main.__globals__, dataset=lambda name: alone):
        assert (
            "\nno groups: intervals take samples as independent"
            in command("data", "describe", "globe")[1]
        )
    with (
        tempfile.TemporaryDirectory() as d,
        mock.patch.dict(os.environ, MTL_EXPLAIN_DATA=d),
    ):  # and without a store its setups, and how to get one
        code, described, _ = command("data", "describe", "hibcd")
    assert code == 0
    assert "mmcd" in described
    assert "main: the main target" in described
    assert "prepare one with `mtl_explain data prepare hibcd FOLDER`" in described
    assert command("data", "describe", "mars") == (
        1,
        "",
        ["error: there is no dataset 'mars'; known: globe, cropyield, benge, treesat, hibcd, levir"],
    )


def test_the_folder_of_any_store_is_described():
    "Data."
    # the folder of any store is described; of a dataset, which setups fit the store
    with tempfile.TemporaryDirectory() as d:
        own = f"{d}/own store"
        save_samples(toy_samples(24), own, progress=False)
        code, described, _ = command("data", "describe", own)
        assert code == 0
        assert "elevation" in described and "splits: train" in described and "setup" not in described
        code, described, _ = command("data", "describe", "globe", "--store", own)
        assert code == 0
        assert "10 setups fit the store: climate-baseline; it lacks landcover, relief" in described
        code, _, said = command("data", "describe", "felder", "--store", own)
        assert (code, len(said)) == (1, 1) and "described without a name" in said[0] and own in said[0]
        assert "two stores" in command("data", "describe", own, "--store", own)[2][0]
        assert command("data", "describe", d)[2] == [f"error: {d} is no store: it has no manifest.json"]
    few = {n: Setup(*pair, name=n) for n, pair in dict(a=("x", "y"), b=("x", "z")).items()}
    part = dict(x=1, y=1)
    assert _misfitting_setups("globe", few, part).endswith(
        "fit the store: a; it lacks z for the others"
    )
    assert "which lacks x, y, z: is it a store of globe?" in _misfitting_setups("globe", few, {})
    assert _misfitting_setups("globe", few, dict(x=1, y=1, z=1)) == ""


def test_a_store_is_verified_and_a_flipped_bit_is_one_line():
    "Data."
    with tempfile.TemporaryDirectory() as d:
        store = save_samples(toy_samples(24), Path(d) / "store", progress=False)
        assert command("data", "verify", str(store)) == (
            0,
            f"verified: {store}, 8 blocks are as they were written\n",
            [],
        )
        content = bytearray((store / "samples.nc").read_bytes())
        content[contiguous_layout(store / "samples.nc")["cover"][0]] ^= 1
        (store / "samples.nc").write_bytes(content)
        code, _, (line,) = command("data", "verify", str(store))
        assert code == 1
        assert "samples.nc is damaged: 'cover' in samples number 0 .. 23; copy it again" in line


def test_a_setup_by_name_or_all_names():
    "Train, explain, report."
    known = mock.Mock(setups=dict(small=1, large=Setup("a", ("b", "c"), name="large")))
    assert find_setup(known, "large").name == "large"
    assert find_setup(known, "large-separate").network["type"] == "separate"
    with pytest.raises(ValueError, match="there is no setup 'medium'; known: small, large"):
        find_setup(known, "medium")


def test_the_recipe_a_smaller_one_single_values():
    "Train, explain, report."
    told = Recipe("paper C", epochs=50, bs=8, lr=1e-4, start="levir")
    assert chosen_recipe(told, "paper", None, epochs=None, bs=None) == told
    assert chosen_recipe(told, "paper", None, epochs=3, bs=None) == replace(told, epochs=3)
    assert chosen_recipe(told, "small", None, lr=1.0) == replace(small_recipe, lr=1.0)
    assert chosen_recipe(told, "paper", "none").start == ""
    assert chosen_recipe(told, "small", "runs/levir").start == "levir"
    assert chosen_recipe(small_recipe, "paper", "first").start == "first"
    with pytest.raises(ValueError, match="there is no recipe 'large'; known: paper, small"):
        chosen_recipe(told, "large", None)


def test_the_words_of_train_reach_the_run_and_a_setup_that_is_not_there_is():
    "Train, explain, report."
    # the words of `train` reach the run, and a setup that is not there is known at once
    large = Setup("a", "b", name="large")
    known = mock.Mock(
        setups=dict(large=large),
        load=lambda store: f"samples of {store}",
        recipe=replace(small_recipe, whose="paper C"),
    )
    run = mock.Mock(folder="kept")
    with (
        mock.patch.dict(main.__globals__, dataset=lambda name: known, need_stores=mock.Mock()),
        mock.patch.object(runs, "train_run", return_value=run) as made,
    ):
        code, out, _ = command(
            "train", "globe", "large", "--epochs", "3", "--seed", "5", "--store", "here"
        )
        assert code == 0
        assert "run: kept\nnot paper C's recipe: epochs 3 instead of 6\n" in out
        assert command("train", "globe", "best") == (
            1,
            "",
            ["error: there is no setup 'best'; known: large"],
        )
        record = recipe_record(known.recipe, replace(small_recipe, epochs=3))
        made.assert_called_once_with(
            "samples of here",
            large,
            Path("runs") / "globe" / "large-seed5",
            epochs=3,
            lr=2e-3,
            bs=32,
            schedule="one-cycle",
            keep="best",
            recipe=record,
            seed=5,
            score=known.scores,
        )
        run.config = dict(options=dict(started="12 of 12 tensors"))
        assert (
            "started from first: 12 of 12 tensors\n"
            in command("train", "globe", "large", "--start", "first")[1]
        )
        assert made.call_args.kwargs["start"] == "first"


def test_the_words_of_table_reach_the_trainings():
    "Train, explain, report."
    setups = {n: Setup("a", "b", name=n, network=dict(type="mmcd")) for n in ("1", "7")}
    told = Recipe("paper C", epochs=50, bs=8, lr=1e-4, start="levir", zoom=1.024)
    here = mock.Mock(sizes=dict(sample=1234))
    known = mock.Mock(setups=setups, load=mock.Mock(return_value=here), recipe=told)
    with (
        mock.patch.dict(main.__globals__, dataset=lambda name: known, need_stores=mock.Mock()),
        mock.patch.object(experiments, "train_table", return_value="runs") as made,
        mock.patch.object(papers, "beside_paper") as shown,
    ):
        shown.return_value.T.to_string.return_value = "the table"
        words = ["table", "treesat", "--rows", "7, 1", "--seeds", "2", "--data", "here"]
        code, out, _ = command(*words, "--epochs", "3", "--recipe", "small")
        assert code == 0
        assert "the table" in out
        assert "1,234 samples of treesat" in out
        known.load.assert_called_once_with(Path("here"))
        assert "2 seeds, 3 epochs" in out
        assert (
            "\nnot paper C's recipe: epochs 3 instead of 50, bs 32 instead of 8, lr 0.002 "
            "instead of 0.0001, no start, zoom 1.0 instead of 1.024\n" in out
        )
        assert command("table", "treesat", "--rows", "7,9") == (
            1,
            "",
            ["error: there is no setup '9'; known: 1, 7"],
        )
        record = recipe_record(told, replace(small_recipe, epochs=3))
        made.assert_called_once_with(
            here,
            [setups["7"], setups["1"]],
            Path("runs") / "treesat",
            (0, 1),
            starts={},
            epochs=3,
            lr=2e-3,
            bs=32,
            schedule="one-cycle",
            keep="best",
            recipe=record,
            score=known.scores,
        )
        code, _, errors = command(*words)
        assert code == 1
        assert errors[0].startswith(
            f"error: no finished run in {Path('runs') / 'levir' / 'levir-mmcd-seed0'}: the "
            "networks begin with"
        )
        with tempfile.TemporaryDirectory() as first:
            finished = Path(first) / "levir-mmcd-seed0"
            finished.mkdir()
            (finished / "scores.csv").touch()
            with mock.patch.object(
                experiments,
                "load_run",
                return_value=mock.Mock(options=dict(recipe=dict(followed="paper C's recipe"))),
            ):
                code, out, _ = command(*words, "--start", first)
            assert code == 0
            assert out.endswith("\npaper C's recipe\n")
            assert made.call_args.kwargs["starts"] == dict(mmcd=finished)
            assert made.call_args.args[1][0].network == dict(type="mmcd", zoom=1.024)
            assert made.call_args.kwargs["bs"] == 8
        with mock.patch(
            "mtl_explain.papers.rows_in_paper",
            lambda name: [replace(setups["7"], name=f"rows of {name}")],
        ):
            assert command("table", "change", "--start", "none")[0] == 0
        assert made.call_args.args[1][0].name == "rows of hibcd"
        assert made.call_args.args[2] == Path("runs") / "hibcd"
        assert made.call_args.kwargs["recipe"]["followed"] == "not paper C's recipe: no start"


def test_the_words_of_roles_reach_the_trainings():
    "Train, explain, report."
    # the words of `roles` reach the trainings; a map is printed, drawn and kept
    with tempfile.TemporaryDirectory() as d:
        words = ["roles", "globe", "precipitation-baseline", "--out", d, "--epochs", "1", "--bs", "64"]
        asked = ["--candidates", " climate_type,", "--budget", "6", "--confirm"]
        code, out, said = command(*words, *asked)
        assert code == 0, said
        assert "RoleMap of precipitation_log (an array of 2 setups, then 2 with 2 seeds" in out
        assert "climate_type: not read: it gives precipitation_log away" in out
        assert "on the test regions" in out
        assert {"roles.csv", "roles.png"} <= {p.name for p in Path(d).iterdir()}
        code, _, said = command(*words, "--candidates", "moon")
        assert (code, said[0][:40]) == (1, "error: candidates: 'moon' is not among t")
        code, _, said = command(*words, "--candidates", "elevation_mean", "--budget", "4")
        assert code == 1
        assert "a budget of 4 trainings is too small for 1 candidates" in said[0]
    print(out)


def test_a_run_that_is_not_there():
    "Train, explain, report."
    assert command("explain", "nowhere") == (
        1,
        "",
        ["error: nowhere is not a run folder: it has no config.json"],
    )


def test_a_promise_in_words_and_as_a_file_its_fate_on_the_test_split_and_what():
    "Promise."
    # a promise in words and as a file, its fate on the test split, and what cannot be promised
    with tempfile.TemporaryDirectory() as d:
        world = toy_samples(384)
        setup = Setup("optical", ("climate", "zone"))
        train_run(world, setup, Path(d) / "run", epochs=1, bs=32, bar=False)
        code, said, _ = command("promise", f"{d}/run", "--alpha", "0.4")
        assert code == 0
        assert "replaces" not in said
        assert "at most 40% of climate is answered wrongly" in said
        assert "of the split 'test'" in said
        assert Path(f"{d}/run/promise.json").exists()
        for words, match in (
            (("--alpha", "0.001"), "allow no promise below"),
            (("--alpha", "2"), "alpha is 2.0, expected a share between 0 and 1"),
            (
                ("--about", "all"),
                "a promise is about one of undetected, level, set, interval; got 'all'",
            ),
            (("--unit", "country"), "no coordinate 'country' on the samples"),
            (("--task", "soil"), "'soil' is no task of this trace; it has climate, zone"),
        ):
            code, said, errors = command("promise", f"{d}/run", *words)
            assert (code, said, len(errors)) == (1, "", 1)
            assert match in errors[0]
        more = ("promise", f"{d}/run", "--task", "zone", "--alpha", "0.5")
        assert "replaces" not in command(*more, "--out", f"{d}/zone.json")[1]
        assert "This replaces the promise about climate (undetected); with" in command(*more)[1]
        assert "replaces" not in command(*more)[1]  # the same once more
        Path(f"{d}/run/promise.json").write_text("{")
        code, said, _ = command(*more)
        assert (code, "replaces" in said) == (0, False)


def test_a_name_of_the_hub_that_cannot_be_one_is_told_at_once():
    "Promise."
    code, _, said = command("promise", "hub:lakes/depth/more")
    assert (code, said) == (
        1,
        ["error: 'hub:lakes/depth/more' is no run on the hub: expected 'hub:owner/name'"],
    )


def test_paths_classes_numbers():
    "Predict."
    words = ["optical=a=b.tif", "zone=dry", "warmth=-11.5", "soil=1,2.5", "dem=zip://p.zip!a.tif"]
    assert parse_rasters(words) == dict(
        optical="a=b.tif", zone="dry", warmth=-11.5, soil=[1, 2.5], dem="zip://p.zip!a.tif"
    )
    for words, match in (
        (["a.tif"], "a raster is given as NAME=PATH, got 'a.tif'"),
        (["dem="], "got 'dem='"),
        (["dem=a.tif", "dem=b.tif"], "two rasters of 'dem' were given: a.tif and b.tif"),
    ):
        with pytest.raises(ValueError, match=match):
            parse_rasters(words)


def test_from_a_run_and_a_raster_to_maps_with_a_promise():
    "Predict."
    # from a run and a raster to maps, with a promise; and the promise of another run
    with tempfile.TemporaryDirectory() as d:
        world = toy_samples(384)
        for name, seed in (("run", 0), ("other", 1)):
            train_run(
                world, Setup("optical", "climate"), f"{d}/{name}", epochs=1, bs=32, bar=False, seed=seed
            )
            assert command("promise", f"{d}/{name}", "--alpha", "0.4")[0] == 0
        scene = np.concatenate(list(world.optical.values[:3]), -1)
        write_geotiff(f"{d}/optical.tif", scene, (1000, 2000), 10, "EPSG:32632")
        words = ["predict", f"{d}/run", "--raster", f"optical={d}/optical.tif", "--out", f"{d}/maps"]
        code, out, _ = command(*words, "--promise", f"{d}/run/promise.json")
        assert code == 0
        names = ("climate", "climate_ask", "climate_confidence")
        assert out == "".join(f"predicted: {d}/maps/{n}.tif\n" for n in names)
        again = [*words[:-1], f"{d}/apart", "--workers", "2"]
        assert command(*again)[0] == 0
        for name in ("climate", "climate_confidence"):
            with (
                rasterio.open(f"{d}/maps/{name}.tif") as one,
                rasterio.open(f"{d}/apart/{name}.tif") as two,
            ):
                assert np.array_equal(one.read(), two.read())
        for more, match in (
            ((), f"{d}/maps exists already: choose another folder, or remove it"),
            (("--promise", f"{d}/other/promise.json"), "a promise of another run: it was made for"),
            (("--promise", f"{d}/run/config.json"), "config.json: task is missing"),
            (("--raster", "dem=a.tif"), "'dem' is no input of this network, which reads optical"),
        ):
            code, _, errors = command(*words, *more)
            assert (code, len(errors)) == (1, 1)
            assert match in errors[0], errors


def test_a_run_becomes_a_program_with_its_item():
    "Out again."
    # a run becomes a program with its item; a wrong ending, or no such folder, is one line
    with tempfile.TemporaryDirectory() as d:
        world = toy_samples(32, size=8)
        train_run(world, Setup("optical", "climate"), f"{d}/run", epochs=1, bs=16, bar=False)
        code, out, _ = command("export", f"{d}/run", f"{d}/toys.pt2")
        assert (code, out) == (0, f"exported: {d}/toys.pt2, {d}/toys.json\n")
        assert Path(f"{d}/toys.json").stat().st_size > 500
        for name, match in (("toys.pt", "a program ends in .pt2"), ("a/toys.pt2", "/a is no folder")):
            code, _, errors = command("export", f"{d}/run", f"{d}/{name}")
            assert (code, len(errors)) == (1, 1)
            assert match in errors[0], errors


def test_the_words_of_detect_reach_the_function_and_mistakes_are_one_line():
    "Detect change."
    words = ["detect", "--dsm", "a.tif", "--image", "b.tif", "--run", "r"]
    with (
        mock.patch.dict(main.__globals__, run_folder=Path),
        mock.patch.object(detection, "detect_change", return_value="c.tif") as made,
    ):
        assert command(*words, "--out", "c.tif", "--size", "512", "--probabilities") == (
            0,
            "detected: c.tif\n",
            [],
        )
        made.assert_called_once_with(
            "a.tif",
            "b.tif",
            Path("r"),
            Path("c.tif"),
            size=512,
            overlap=None,
            bs=1,
            probabilities=True,
            check_range=True,
            tasks=None,
            precision="fp32",
        )
        assert command(*words, "--task", "roofs", "--task", "heights", "--precision", "bf16")[0] == 0
        assert made.call_args.kwargs["tasks"] == ["roofs", "heights"]
        assert made.call_args.kwargs["precision"] == "bf16"
        command(*words[:1], "--dsm", "zip://p.zip!a.tif", *words[3:], "--no-check-range")
        assert made.call_args.args[0] == "zip://p.zip!a.tif"  # GDAL's own paths stay as they are
        assert made.call_args.kwargs["check_range"] is False
        made.side_effect = ValueError("b.tif: its pixels lie between those of a.tif")
        assert command(*words) == (1, "", ["error: b.tif: its pixels lie between those of a.tif"])
    assert command(*words) == (1, "", ["error: r is not a run folder: it has no config.json"])
    assert command("detect", "--dsm", "a.tif")[0] == 2, "the other rasters and the run are asked for"


def test_from_a_run_and_two_rasters_to_a_raster():
    "Detect change."
    def raster(path, values, crs="EPSG:28992"):
        write_geotiff(path, values, (1000, 2000), 0.5, crs)
        return str(path)


    with tempfile.TemporaryDirectory() as d:
        rng = np.random.default_rng(0)
        arrays = [
            modality_array(n, v, "image", (f"{n} channel", "y", "x"))
            for n, v in (
                ("before", rng.random((4, 1, 16, 16), "float32")),
                ("after", rng.integers(0, 255, (4, 3, 16, 16), "uint8")),
            )
        ]
        change = modality_array(
            "change",
            rng.integers(0, 2, (4, 16, 16)).astype("int8"),
            "mask",
            ("y", "x"),
            classes=["no", "yes"],
        )
        samples = xr.Dataset(
            {a.name: a for a in (*arrays, change)},
            dict(sample=list("abcd"), split=("sample", ["train", "train", "valid", "test"])),
        )
        setup = Setup(
            ("before", "after"), "change", network=dict(type="fcsiamese", widths=[4], depths=[1])
        )
        runs.train_run(samples, setup, Path(d) / "run", epochs=1, bs=2, bar=False, device="cpu")
        dsm, image, far = (
            raster(Path(d) / n, v, c)
            for n, v, c in (
                ("a.tif", rng.random((1, 48, 80), "float32"), "EPSG:28992"),
                ("b.tif", rng.integers(0, 255, (3, 48, 80), "uint8"), "EPSG:28992"),
                ("far.tif", rng.random((1, 48, 80), "float32"), "EPSG:2263"),
            )
        )
        words = ["--image", image, "--run", f"{d}/run", "--out", f"{d}/c.tif"]
        code, _, errors = command("detect", "--dsm", far, *words)
        assert code == 1
        assert errors[-1].startswith(
            f"error: {image}: its projection is EPSG:28992, that of {far} is EPSG:2263"
        )
        assert not Path(d, "c.tif").exists()
        assert command("detect", "--dsm", dsm, *words)[:2] == (0, f"detected: {d}/c.tif\n")
        with rasterio.open(f"{d}/c.tif") as file:
            assert file.shape == (48, 80)
            assert file.descriptions == ("change",)
            assert set(np.unique(file.read(1))) <= {0, 1}


def test_lessons_go_out():
    "The course."
    # lessons go out; a second time they are not overwritten
    with tempfile.TemporaryDirectory() as folder:
        code, out, _ = command("course", f"{folder}/lessons", "--lesson", "4", "--no-answers")
        assert code == 0
        assert out.startswith(f"written: {folder}/lessons/4-")
        assert command("course", f"{folder}/lessons", "--lesson", "4")[0] == 1
        assert command("course", f"{folder}/more", "--lesson", "99")[0] == 1


def test_the_full_data_where_they_can_be_had_else_the_sample_and_the_reason():
    "The demo."
    known = mock.Mock(
        load=lambda store: f"all of {store}", load_sample=lambda: "some", prepare=lambda: "store"
    )
    assert demo_samples(known, offline=False) == ("all of store", "full")
    for error, reason in (
        (OSError("no network\nat all"), "no network"),
        (TimeoutError(), "TimeoutError"),
    ):
        known.prepare = mock.Mock(side_effect=error)
        with redirect_stdout(io.StringIO()) as out:
            assert demo_samples(known, offline=False) == ("some", "sample")
        assert out.getvalue().strip().endswith(f"inside the package: {reason}")
    with redirect_stdout(io.StringIO()) as out:
        found = demo_samples(known, offline=True)
    assert found == ("some", "sample")
    assert out.getvalue().strip().endswith("asked for by --sample")


def test_one_thread_inside_as_many_as_before_outside():
    "The demo."
    # one thread inside, as many as before outside; and nothing where somebody has said how many
    import torch

    plain = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    for said, inside in (({}, 1), (dict(OMP_NUM_THREADS="2"), 2)):
        with mock.patch.dict(os.environ, plain | said, clear=True), few_threads():
            assert torch.get_num_threads() == inside
        assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_the_demo_makes_a_report_and_goes_on_from_what_is_there():
    "Does it keep its promises?"
    few = globe.load_sample().isel(sample=slice(None, None, 5))
    with tempfile.TemporaryDirectory() as d, mock.patch.object(globe, "load_sample", lambda: few):
        words = ["demo", "--sample", "--family", "precipitation", "--epochs", "1", "--out", d]
        code, first, _ = command(*words)
        run = Path(d) / "sample" / "precipitation-mtl-seed0"
        page = run / "report" / "report.html"
        trained = (run / "metrics.csv").read_text()
        assert code == 0
        assert f"report: {page.resolve()}" in first
        assert "On new regions like these, at most" in first or "No promise about" in first
        assert page.stat().st_size > 50_000
        assert command(*words)[0] == 0
        assert (run / "metrics.csv").read_text() == trained
        apart = f"{run.parent}/precipitation-mtl-separate-seed0"
        assert "left out: control" in command("explain", str(run))[1]
        assert "left out: control" not in command("explain", str(run), "--control", apart)[1]
        code, said, _ = command("report", str(run), "--out", f"{d}/again", "--control", apart)
        assert code == 0
        assert f"report: {Path(d) / 'again' / 'report.html'}" in said
        assert "pass `samples`" in Path(f"{d}/again/report.html").read_text()


def test_a_report_with_a_store_of_other_samples_is_refused():
    "Does it keep its promises?"
    with tempfile.TemporaryDirectory() as d:
        earth = globe.load_sample()
        train_run(earth, globe.setups["precipitation-mtl"], Path(d) / "run", epochs=1, bs=64, bar=False)
        store = save_samples(earth.isel(sample=slice(100)), Path(d) / "store", progress=False)
        code, _, said = command("report", f"{d}/run", "--data", str(store))
        assert code == 1
        assert "these samples are not those of the run: " in said[0]
        assert not Path(f"{d}/run/report").exists()


def test_every_command_has_help_and_nothing_heavy_is_loaded_for_it(names_and_done):
    "Does it keep its promises?"
    names, done = names_and_done
    helps = done.stdout.split("Usage: mtl_explain ")[1:]
    assert done.returncode == 0
    assert len(helps) == len(names)
    assert all(h.startswith(n) and "--help" in h for h, n in zip(helps, names, strict=True))
    assert done.stderr.strip() == "[]"
    for name, said in dict(
        explain="bands over epochs", report="bands over epochs", train="order of the samples"
    ).items():
        text = " ".join(next(h for h in helps if h.startswith(f"{name} ")).replace("│", " ").split())
        assert f"Seed of the {'draws' if 'bands' in said else 'weights'}" in text and said in text
    assert "Bring your own data" in next(h for h in helps if h.startswith("train "))
    print("Usage: mtl_explain", helps[0])


def test_where_there_is_no_cluster_it_is_one_line():
    "Does it keep its promises?"
    # where there is no cluster, it is one line; help shows an example
    for words in (("table", "globe"), ("data", "prepare", "globe")):
        code, _, errors = command(*words, "--cluster", "nowhere.json")
        assert (code, errors) == (1, ["error: nowhere.json: there is no such scheduler file"])
        code, _, errors = command(*words, "--cluster", "moon")
        assert (code, errors[0][:42]) == (1, "error: cluster is 'moon', expected the add")
    commands = *app.registered_commands, *data_app.registered_commands
    assert sum("--cluster tcp://host:8786" in (c.epilog or "") for c in commands) == 4
