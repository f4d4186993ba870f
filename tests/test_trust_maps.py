"""Any task, any scene, on a map

Written by nbdev-export from the check cells of nbs/api/trust/05_maps.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import errno
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import pytest
import rasterio
import torch

from mtl_explain.modality import Modality
from mtl_explain.networks.multitask import MultitaskNetwork
from mtl_explain.setup import Setup
from mtl_explain.testing.scene import write_raster
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.learner import multitask_learner
from mtl_explain.training.runs import train_run
from mtl_explain.trust.maps import plot_maps, predict_scene, window_multiple
from mtl_explain.trust.promise import promise


def tiles_of(path):
    "A raster cut back into tiles: (48, band, 16, 16)."
    with rasterio.open(path) as file:
        v = file.read()
    return v.reshape(-1, 6, 16, 8, 16).transpose(1, 3, 0, 2, 4).reshape(48, -1, 16, 16)


@pytest.fixture(scope='module')
def home_samples_setup_run_tiles_mosaic_write_and_optical():
    home = Path(tempfile.mkdtemp())
    samples = toy_samples(384)
    setup = Setup(
        dict(optical=dict(width=4, depth=1)),
        ("climate", "cover", "warmth", "elevation", "months"),
        main="climate",
    )
    run = train_run(samples, setup, home / "run", epochs=2, bs=32, lr=1e-2, bar=False, device="cpu")
    tiles = samples.isel(sample=slice(0, 48))
    def mosaic(values, rows=6, columns=8):
        "Tiles (n, C, h, w) as one raster (C, rows · h, columns · w)."
        n, c, h, w = values.shape
        grid = values.reshape(rows, columns, c, h, w)
        return np.moveaxis(grid, 2, 0).transpose(0, 1, 3, 2, 4).reshape(c, rows * h, columns * w)
    write = partial(write_raster, corner=(500_000.0, 5_600_000.0), pixel=10.0, crs="EPSG:32632")
    optical = write(home / "optical.tif", mosaic(tiles.optical.values))
    return home, samples, setup, run, tiles, mosaic, write, optical


@pytest.fixture(scope='module')
def quiet():
    return dict(device="cpu", progress=False)


@pytest.fixture(scope='module')
def made(home_samples_setup_run_tiles_mosaic_write_and_optical, quiet):
    "One call."
    home, samples, setup, run, tiles, mosaic, write, optical = home_samples_setup_run_tiles_mosaic_write_and_optical
    made = predict_scene(run, dict(optical=optical), home / "maps", probabilities=True, **quiet)
    print(*sorted(p.name for p in made.iterdir()), sep="\n")
    return made


@pytest.fixture(scope='module')
def promises_options_and_found(home_samples_setup_run_tiles_mosaic_write_and_optical, quiet):
    home, samples, setup, run, tiles, mosaic, write, optical = home_samples_setup_run_tiles_mosaic_write_and_optical
    promises = [
        promise(run, 0.3, "climate", out=home / "a.json"),
        promise(run, 0.3, "cover", out=home / "b.json"),
        promise(run, 0.2, "climate", "set", out=home / "c.json"),
        promise(run, 0.2, "climate", "level", out=home / "d.json"),
        promise(run, 0.2, "warmth", "interval", out=home / "e.json"),
        promise(run, 0.2, "elevation", "interval", out=home / "f.json"),
    ]
    options = dict(probabilities=True, size=16, overlap=0, bs=8) | quiet
    found = predict_scene(run, dict(optical=optical), home / "tiles", promises, **options)
    return promises, options, found


@pytest.fixture(scope='module')
def opened(made):
    def opened(name, folder=made):
        "A file of a result."
        return rasterio.open(folder / f"{name}.tif")
    return opened


@pytest.fixture(scope='module')
def both_fine_coarse_and_given(home_samples_setup_run_tiles_mosaic_write_and_optical):
    home, samples, setup, run, tiles, mosaic, write, optical = home_samples_setup_run_tiles_mosaic_write_and_optical
    class Opened(NamedTuple):
        "What a run has, without a folder."

        network: MultitaskNetwork
    def image(name, side, **about):
        about = dict(channels=("x0",), mean=(0.0,), std=(1.0,)) | about
        return Modality(name, "image", (1, side, side), **about)
    mods = dict(
        fine=image("fine", 32),
        coarse=image("coarse", 16),
        zone=Modality("zone", "category", classes=("wet", "dry")),
        soil=Modality("soil", "mask", (16, 16), classes=("sand", "clay")),
        depth=image("depth", 32, units="m"),
        yield_=Modality("yield_", "tabular", (1,), ("t",), mean=(5.0,), std=(2.0,)),
    )
    torch.manual_seed(0)
    unet = dict(width=4, depth=1)
    roles = Setup(dict(fine=unet, coarse=unet, zone={}), ("soil", "depth", "yield_"), main="depth")
    both = Opened(MultitaskNetwork(mods, roles).eval())
    rng = np.random.default_rng(0)
    fine = rng.normal(size=(1, 48, 64)).astype("float32")
    coarse = rng.normal(size=(1, 24, 32)).astype("float32")
    given = dict(
        fine=write(home / "fine.tif", fine),
        coarse=write(home / "coarse.tif", coarse, pixel=20.0),
        zone="dry",
    )
    return both, fine, coarse, given


def test_somebodys_executor_predicts_the_windows(home_samples_setup_run_tiles_mosaic_write_and_optical, quiet, made):
    "A run, and a scene."
    # somebody's executor predicts the windows: the same files
    home, samples, setup, run, tiles, mosaic, write, optical = home_samples_setup_run_tiles_mosaic_write_and_optical
    with ThreadPoolExecutor(2) as threads:
        far = predict_scene(run, dict(optical=optical), home / "far", executor=threads, **quiet)
        for path in sorted(far.iterdir()):
            with rasterio.open(path) as there, rasterio.open(made / path.name) as here:
                assert np.array_equal(there.read(), here.read(), equal_nan=True)
        with pytest.raises(ValueError, match="other processes open the run from its folder"):
            learner = mock.Mock(model=run.network, temperatures={}, folder="x", epoch=1, weights="")
            predict_scene(learner, dict(optical=optical), home / "no", executor=threads, **quiet)


def test_the_maps_are_the_predictions_of_the_samples_whatever_the_kind_of_the(promises_options_and_found, home_samples_setup_run_tiles_mosaic_write_and_optical):
    "A run, and a scene."
    # the maps are the predictions of the samples, whatever the kind of the task and of the promise
    promises, options, found = promises_options_and_found
    home, samples, setup, run, tiles, mosaic, write, optical = home_samples_setup_run_tiles_mosaic_write_and_optical
    seen = set()
    for one in promises:
        expected = run.predict(tiles, promise=one)
        for name, values in expected.data_vars.items():
            got = tiles_of(found / f"{name}.tif")
            v = values.values
            is_map = v.ndim > 2 and v.shape[-2:] == (16, 16)
            v = v.reshape(48, -1, 16, 16) if is_map else v.reshape(48, -1, 1, 1)
            if v.dtype.kind == "i" and "_as_" in name:
                v = np.where(v < 0, 255, v)
            np.testing.assert_allclose(got, np.broadcast_to(v, got.shape), rtol=1e-4, atol=1e-4)
            seen.add(name)
    assert seen == {p.stem for p in found.iterdir()}
    assert {"climate_ask", "climate_set", "climate_level", "warmth_low", "elevation_high"} <= seen
    sorted(seen)


def test_numbers_with_quantiles_bring_their_scale_as_a_map_as_well(home_samples_setup_run_tiles_mosaic_write_and_optical, promises_options_and_found):
    "A run, and a scene."
    # numbers with quantiles bring their scale, as a map as well; and it is that of the predictions
    home, samples, setup, run, tiles, mosaic, write, optical = home_samples_setup_run_tiles_mosaic_write_and_optical
    promises, options, found = promises_options_and_found
    numbers = setup.with_options("warmth", quantiles=(0.1, 0.5, 0.9))
    numbers = numbers.with_options("elevation", quantiles=(0.1, 0.5, 0.9))
    sure = train_run(samples, numbers, home / "sure", epochs=1, bs=32, bar=False, device="cpu")
    both = [promise(sure, 0.3, t, "interval", home / f"{t}.json") for t in ("warmth", "elevation")]
    assert all(c.scaled for c in both)
    with tempfile.TemporaryDirectory() as d:
        folder = predict_scene(sure, dict(optical=optical), Path(d) / "maps", both, **options)
        for one in both:
            expected = sure.predict(tiles, promise=one)
            for name in (f"{one.task}{end}" for end in ("", "_scale", "_low", "_high")):
                v = expected[name].values.reshape(48, 1, *expected[name].shape[2:] or (1, 1))
                got = tiles_of(folder / f"{name}.tif")
                np.testing.assert_allclose(got, np.broadcast_to(v, got.shape), rtol=1e-4, atol=1e-3)


def test_what_the_files_say_of_themselves(opened, home_samples_setup_run_tiles_mosaic_write_and_optical, promises_options_and_found):
    "A run, and a scene."
    home, samples, setup, run, tiles, mosaic, write, optical = home_samples_setup_run_tiles_mosaic_write_and_optical
    promises, options, found = promises_options_and_found
    with opened("cover") as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.dtypes == ("uint8",)
        assert file.nodata == 255
        assert file.tags(1)["classes"] == "0 meadow, 1 forest, 2 rock"
        assert len({file.colormap(1)[i] for i in range(3)}) == 3 or not samples.cover.attrs.get(
            "colors"
        )
        assert file.crs.to_epsg() == 32632
        assert tuple(file.transform)[:6] == (10, 0, 500_000, 0, -10, 5_600_000)
        assert file.shape == (96, 128)
        assert "resolution" not in file.tags()
    with opened("climate") as file:
        assert file.tags()["resolution"] == "one value per window of 16 × 16 pixels, blended"
        assert float(file.tags()["temperature"]) == pytest.approx(run.temperatures["climate"], 1e-3)
        assert file.tags()["run"] == "run"
        assert file.tags()["weights"] == run.weights
    with opened("elevation") as file:
        assert file.units == ("m",)
        assert file.descriptions == ("elevation",)
        assert np.isnan(file.nodata)
    with opened("cover_probability") as file:
        assert file.descriptions[0] == "probability of meadow"
        np.testing.assert_allclose(file.read().sum(0), 1, atol=1e-5)
    with opened("months") as file:
        assert file.count == 12
    with opened("climate_ask", found) as file:
        assert file.tags(1)["classes"] == "0 answered, 1 ask"
        assert file.tags()["promise"].startswith("On new regions like these, at most 30% of climate")


def test_classes_confidence_where_to_ask_numbers(promises_options_and_found):
    "A run, and a scene."
    promises, options, found = promises_options_and_found
    names = ["cover", "cover_confidence", "cover_ask", "climate", "climate_level", "elevation"]
    axes = plot_maps(found, names)
    assert [ax.get_title() for ax in axes][-1] == "elevation [m]"


def test_holes_stay_holes_in_every_file(home_samples_setup_run_tiles_mosaic_write_and_optical, promises_options_and_found, quiet, opened):
    "Holes, grids, and everything else that a scene can be."
    home, samples, setup, run, tiles, mosaic, write, optical = home_samples_setup_run_tiles_mosaic_write_and_optical
    promises, options, found = promises_options_and_found
    with tempfile.TemporaryDirectory() as d:
        holed = mosaic(tiles.optical.values).astype("float32")
        holed[:, 20:30, 40:45] = -1
        path = write(Path(d) / "holed.tif", holed, nodata=-1)
        folder = predict_scene(run, dict(optical=path), Path(d) / "maps", promises[:2], **quiet)
        for name in ("cover", "cover_confidence", "cover_ask", "climate", "climate_ask", "warmth"):
            with opened(name, folder) as file:
                hole = file.read_masks(1) == 0
            assert hole[20:30, 40:45].all(), name
            assert hole.sum() == 50, name


def test_a_fine_image_beside_a_coarse_one_with_targets_on_both_grids(both_fine_coarse_and_given, home_samples_setup_run_tiles_mosaic_write_and_optical, quiet, opened):
    "Holes, grids, and everything else that a scene can be."
    both, fine, coarse, given = both_fine_coarse_and_given
    home, samples, setup, run, tiles, mosaic, write, optical = home_samples_setup_run_tiles_mosaic_write_and_optical
    assert window_multiple(both.network, dict(fine=2, coarse=1)) == 2
    folder = predict_scene(both, given, home / "both", size=64, **quiet)
    x = dict(
        fine=torch.from_numpy(fine[None]), coarse=torch.from_numpy(coarse[None]), zone=torch.tensor([1])
    )
    with torch.no_grad():
        y = both.network(x)
    with opened("soil", folder) as file:
        assert (file.read(1) == y["soil"][0].argmax(0).numpy()).all()
        assert file.transform.a == 20
    with opened("depth", folder) as file:
        np.testing.assert_allclose(file.read(), y["depth"][0].numpy(), atol=1e-5)
        assert file.transform.a == 10
        assert file.shape == (48, 64)
    with opened("yield_", folder) as file:
        np.testing.assert_allclose(file.read(1), 5 + 2 * y["yield_"].item(), atol=1e-4)
    small = predict_scene(both, given, home / "small", size=32, overlap=16, width=40, bs=3, **quiet)
    with opened("depth", small) as file:
        assert not np.isnan(file.read()).any()


def test_mistakes_and_what_they_leave_behind(home_samples_setup_run_tiles_mosaic_write_and_optical, both_fine_coarse_and_given, promises_options_and_found, made, quiet):
    "Nothing half-written."
    home, samples, setup, run, tiles, mosaic, write, optical = home_samples_setup_run_tiles_mosaic_write_and_optical
    both, fine, coarse, given = both_fine_coarse_and_given
    promises, options, found = promises_options_and_found
    def refuses(match, error=ValueError, rasters=None, source=run, **options):
        with tempfile.TemporaryDirectory() as d:
            with pytest.raises(error, match=match):
                predict_scene(source, rasters or dict(optical=optical), f"{d}/out", **quiet, **options)
            assert os.listdir(d) == []


    five = write(home / "five.tif", np.zeros((5, 64, 64), "uint8"))
    bright = write(home / "bright.tif", np.full((3, 64, 64), 9000, "uint16"))
    north = write(home / "north.tif", fine[:, :, :8], corner=(500_000.0, 5_900_000.0))
    cut = home / "cut.tif"
    cut.write_bytes(optical.read_bytes()[:20_000])
    refuses("no raster of 'optical' was given; the network reads optical", rasters=dict(dem="a.tif"))
    refuses("'dem' is no input of this network", rasters=dict(optical=optical, dem=optical))
    refuses("five.tif: expected 3 bands for 'optical'", rasters=dict(optical=five))
    refuses("bright.tif: numbers of 9000 ± 0, where 'optical'", rasters=dict(optical=bright))
    refuses("no such raster", FileNotFoundError, rasters=dict(optical=home / "none.tif"))
    refuses("cut.tif: cannot be read", rasters=dict(optical=cut), check_range=False)
    refuses("overlap=64: expected 0 to 63 pixels", size=64, overlap=64)
    refuses("'optical' is of kind image: expected a raster, got 5", rasters=dict(optical=5))
    refuses("overlap=64: expected 0 to 31 pixels", rasters=given, source=both, size=33, overlap=64)
    refuses("size=1: expected at least 2 pixels", rasters=given, source=both, size=1)
    refuses("north.tif: its pixels are 10", rasters=given | dict(coarse=north), source=both)
    refuses("a promise is made for a run in a folder", source=both, rasters=given, promise=promises[0])
    with mock.patch.object(MultitaskNetwork, "forward", side_effect=KeyboardInterrupt):
        refuses(None, KeyboardInterrupt)
    with mock.patch.object(rasterio.shutil, "copy", side_effect=OSError(errno.ENOSPC, "No space left")):
        refuses("climate.tif: the disk is full; nothing of it was kept: make room", OSError)
    with pytest.raises(FileExistsError, match="maps exists already: choose another folder, or remove"):
        predict_scene(run, dict(optical=optical), made, **quiet)
    learner = multitask_learner(samples, setup, trace=(), device="cpu")
    refuses("a promise is made for a run in a folder", source=learner, promise=promises[0])
    other = train_run(samples, setup, home / "other", epochs=1, bs=32, bar=False, device="cpu")
    refuses("a promise of another run: it was made for", source=other, promise=home / "a.json")


def test_a_scene_of_millions_of_pixels_within_a_fixed_memory(home_samples_setup_run_tiles_mosaic_write_and_optical):
    "Constant memory, measured."
    home, samples, setup, run, tiles, mosaic, write, optical = home_samples_setup_run_tiles_mosaic_write_and_optical
    script = """
import resource, sys, pathlib
import numpy as np, rasterio, torch
from mtl_explain.trust.maps import predict_scene
from mtl_explain.training.runs import load_run
folder, run = pathlib.Path(sys.argv[1]), load_run(sys.argv[2])
torch.set_num_threads(1)
run.network({n: torch.zeros(1, *run.modalities[n].shape) for n in run.setup.inputs})
run.temperatures
lines = open('/proc/self/status').read().splitlines()
used = next(int(line.split()[1]) for line in lines if line.startswith('VmData')) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + 48 * 2**20,) * 2)
predict_scene(run, dict(optical=folder/'optical.tif'), folder/'maps', size=128, overlap=16,
              width=512, cache=4, device='cpu', progress=False)
try: held = [np.ones((4, 1500, 2000), 'float32')] + [
    rasterio.open(path).read() for path in (folder/'optical.tif', *(folder/'maps').iterdir())]
except MemoryError: print('the limit bites')
"""
    if sys.platform == "linux":
        with tempfile.TemporaryDirectory() as d:
            seen = mosaic(tiles.optical.values)
            wide = np.tile(seen, (1, 16, 16))[:, :1500, :2000]
            write(Path(d) / "optical.tif", wide, tiled=True, compress="deflate", zlevel=1)
            narrow = Setup(dict(optical=dict(width=2, depth=1)), ("cover", "warmth"))
            train_run(samples[["optical", "cover", "warmth"]], narrow, f"{d}/run", epochs=1, bar=False)
            threads = dict(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MALLOC_ARENA_MAX="1")
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", script, d, f"{d}/run"],
                capture_output=True,
                text=True,
                env=os.environ | threads,
            )
            assert done.returncode == 0 and "the limit bites" in done.stdout, done.stderr
            with rasterio.open(f"{d}/maps/cover.tif") as file:
                assert file.shape == (1500, 2000)
                assert file.read_masks(1).all()
