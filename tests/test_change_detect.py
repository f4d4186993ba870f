"""Detecting change

Written by nbdev-export from the check cells of nbs/api/change/03_detect.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import matplotlib.pyplot as plt
import numpy as np
import pytest
import rasterio
import torch
import xarray as xr
from rasterio.enums import ColorInterp
from rasterio.transform import Affine, from_origin
from rasterio.windows import Window

from mtl_explain.change.detect import band_list, change_network, detect_change, plot_detection, to_bands
from mtl_explain.change.losses import range_scaling
from mtl_explain.data.samples import modality_array
from mtl_explain.data.scene import Scene
from mtl_explain.datasets import hibcd
from mtl_explain.files.paths import scratch_file
from mtl_explain.files.raster import open_raster
from mtl_explain.modality import Modality
from mtl_explain.networks.multitask import MultitaskNetwork, with_network
from mtl_explain.setup import Setup
from mtl_explain.testing.scene import example_scene, scene_modalities, scene_setup, write_raster
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.learner import multitask_learner
from mtl_explain.training.runs import train_run
from mtl_explain.trust.maps import predict_layers, window_multiple


# networks that compare two images, and others
targets = ["semantic_change", "height_change"]


# tiles and rasters of a place of boxes
def boxes(n, seed):
    "Heights in metres, photographs, kinds of change and height changes of `n` tiles."
    x, y = example_scene(n, 64, seed=seed)
    return dict(
        early_height=6 * x["early_height"].numpy(),
        late_image=(100 + 50 * x["late_image"]).clamp(0, 255).byte().numpy(),
        semantic_change=y["semantic_change"].numpy().astype("int8"),
        height_change=12 * y["height_change"].numpy(),
    )
def sample_set(n, seed):
    "Tiles as a sample set; every fourth one is for validation."
    arrays = {}
    for name, values in boxes(n, seed).items():
        if name == "semantic_change":
            labels = dict(classes=hibcd.classes, colors=hibcd.colors)
            arrays[name] = modality_array(name, values, "mask", ("y", "x"), **labels)
        else:
            dims = (f"{name} channel", "y", "x")
            is_height = "height" in name
            about = dict(channels=["height"] if is_height else ["red", "green", "blue"])
            about["units"] = "m" if is_height else ""
            arrays[name] = modality_array(name, values, "image", dims, **about)
    split = np.array(["train", "train", "train", "valid"])[np.arange(n) % 4]
    coords = dict(sample=[f"s{i:03d}" for i in range(n)], split=("sample", split))
    return xr.Dataset(arrays, coords, dict(title="boxes"))


def mosaic(v):
    "24 tiles as one raster of 4 rows and 6 columns of tiles."
    grid = v.reshape(4, 6, -1, 64, 64)
    return np.moveaxis(grid, (2, 0, 3, 1, 4), range(5)).reshape(-1, 256, 384)


# one map per pair of rasters, and what a file can say of itself
def told(path, values, at=(120_000.0, 487_000.0), **about):
    write_raster(path, values, at, 0.5)
    with rasterio.open(path, "r+") as file:
        for key, value in about.items():
            setattr(file, key, value)
    return path


@pytest.fixture(scope='module')
def network_Opened_small_and_mods():
    "Networks that compare two images, and others."
    scaling = dict(
        early_height=dict(mean=(4.0,), std=(5.0,)),
        late_image=dict(mean=(100.0,) * 3, std=(50.0,) * 3),
        height_change=dict(mean=(0.0,), std=(12.0,)),
    )
    def network(type="fcsiamese", size=64, targets=("semantic_change", "height_change"), **options):
        torch.manual_seed(0)
        mods = {n: replace(m, **scaling.get(n, {})) for n, m in scene_modalities(size).items()}
        setup = with_network(scene_setup(targets=targets), type, **options)
        return MultitaskNetwork(mods, setup).eval()
    class Opened(NamedTuple):
        "What a run has, without a folder."

        network: MultitaskNetwork
    small = Opened(network(widths=[4, 8], depths=[1, 1]))
    mods = small.network.modalities
    return network, Opened, small, mods


@pytest.fixture(scope='module')
def _folder_dsm_path_and_image_path():
    "A scene on disk: heights with an edge to them, a photograph."
    _folder = tempfile.TemporaryDirectory()
    rng = np.random.default_rng(0)
    blocks = 4 + 5 * rng.normal(size=(1, 40, 56))
    rough = rng.normal(0, 0.2, (1, 320, 448)).astype("float32")
    z = blocks.repeat(8, 1).repeat(8, 2).astype("float32") + rough
    colours = (100 + 50 * rng.normal(size=(3, 80, 112))).clip(0, 255)
    rgb = colours.repeat(4, 1).repeat(4, 2).astype("uint8")
    dsm_path = write_raster(Path(_folder.name) / "dsm.tif", z)
    image_path = write_raster(Path(_folder.name) / "image.tif", rgb)
    return _folder, dsm_path, image_path


# what the network says of the whole scene, and of windows
@pytest.fixture(scope='module')
def expected(_folder_dsm_path_and_image_path, network_Opened_small_and_mods):
    _folder, dsm_path, image_path = _folder_dsm_path_and_image_path
    network, Opened, small, mods = network_Opened_small_and_mods
    def at_once():
        paths = dict(early_height=dsm_path, late_image=image_path)
        files = {name: open_raster(path) for name, path in paths.items()}
        scene = Scene(files, mods, tuple(paths), heights=("early_height",))
        x, _ = scene.read([0], [0], (320, 448))
        layers = predict_layers(small.network, x, targets)
        return to_bands({t: v[0].numpy() for t, v in layers.items()}, mods, targets, True)
    return at_once()


@pytest.fixture(scope='module')
def quiet_in_windows_and_little(_folder_dsm_path_and_image_path, network_Opened_small_and_mods):
    _folder, dsm_path, image_path = _folder_dsm_path_and_image_path
    network, Opened, small, mods = network_Opened_small_and_mods
    quiet = dict(device="cpu", progress=False)
    def in_windows(**options):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out.tif"
            made = detect_change(
                dsm_path, image_path, small, out, probabilities=True, **quiet, **options
            )
            with rasterio.open(made) as file:
                return file.read()
    little = in_windows(size=64, overlap=16)
    return quiet, in_windows, little


@pytest.fixture(scope='module')
def roles_folder_run_truth_early_corner_and_late(_folder_dsm_path_and_image_path):
    "A run, and the two rasters of another place."
    _folder, dsm_path, image_path = _folder_dsm_path_and_image_path
    setup = scene_setup(
        semantic_change=dict(loss=dict(class_weights=[0.2, 0.9, 0.9])),
        height_change=dict(scaling=range_scaling(-15, 15)),
    )
    roles = with_network(setup, "fcsiamese", widths=[8, 16], depths=[1, 2])
    folder = Path(_folder.name)
    run = train_run(
        sample_set(64, 0),
        roles,
        folder / "run",
        epochs=8,
        lr=1e-2,
        bs=8,
        trace=(),
        bar=False,
        device="cpu",
    )
    truth = {k: mosaic(v) for k, v in boxes(24, 1).items()}
    early = write_raster(folder / "early.tif", truth["early_height"], pixel=0.5)
    corner = (120_020.0, 487_000.0)
    late = write_raster(folder / "late.tif", truth["late_image"][..., 40:], corner, 0.5)
    return roles, folder, run, truth, early, corner, late


@pytest.fixture(scope='module')
def made(roles_folder_run_truth_early_corner_and_late, quiet_in_windows_and_little):
    "From files to a file."
    roles, folder, run, truth, early, corner, late = roles_folder_run_truth_early_corner_and_late
    quiet, in_windows, little = quiet_in_windows_and_little
    return detect_change(early, late, run.folder, folder / "found.tif", probabilities=True, **quiet)


@pytest.fixture(scope='module')
def mapped(roles_folder_run_truth_early_corner_and_late, quiet_in_windows_and_little):
    "One map per pair of rasters, and what a file can say of itself."
    roles, folder, run, truth, early, corner, late = roles_folder_run_truth_early_corner_and_late
    quiet, in_windows, little = quiet_in_windows_and_little
    def mapped(dsm, image, folder):
        out = Path(folder) / f"{len(os.listdir(folder))}.tif"
        detect_change(dsm, image, run, out, size=64, overlap=16, **quiet)
        with rasterio.open(out) as file:
            return file.read(1)
    return mapped


def test_what_of_a_network_matters_here_and_which_ones_do_not_fit(network_Opened_small_and_mods):
    "Which network, and what it says."
    network, Opened, small, mods = network_Opened_small_and_mods
    assert change_network(small) == (small.network, targets, small)
    pair = ("early_height", "late_image")
    here = dict.fromkeys(pair, 1)
    assert [window_multiple(network(t), here) for t in ("fcsiamese", "mmcd")] == [16, 32]
    assert window_multiple(small.network, here) == 4
    unets = Setup(
        dict(early_height=dict(width=4, depth=2), late_image=dict(width=4, depth=3)),
        "height_change",
    )
    assert window_multiple(MultitaskNetwork(scene_modalities(64), unets), here) == 8
    toy = toy_samples(24, size=16)
    single = Setup(dict(optical=dict(width=4)), "cover")
    learner = multitask_learner(toy, single, device="cpu")
    with pytest.raises(
        ValueError, match="reads optical; to detect change it must compare two images, early and late"
    ):
        change_network(learner)
    zone = Modality("zone", "category", classes=("a", "b"))
    labels = Setup({n: dict(type="conv") for n in pair}, "zone")
    flat = MultitaskNetwork(scene_modalities(64) | dict(zone=zone), labels)
    with pytest.raises(ValueError, match="predicts zone: none of them is a map"):
        change_network(Opened(flat))
    with pytest.raises(FileNotFoundError, match="is not a run folder"):
        change_network("nowhere")


def test_what_is_made_from_another_map_is_written_on_request(network_Opened_small_and_mods):
    "Which network, and what it says."
    network, Opened, small, mods = network_Opened_small_and_mods
    pseudo = replace(mods["semantic_change"], name="pseudo_change")
    reads = dict(pseudo_change=dict(type="soft-threshold", reads="height_change"))
    with_pseudo = scene_setup(
        dict(type="fcsiamese", widths=[4, 8], depths=[1, 1]), (*targets, "pseudo_change"), **reads
    )
    three = Opened(MultitaskNetwork(mods | dict(pseudo_change=pseudo), with_pseudo).eval())
    assert change_network(three)[1] == targets
    assert change_network(three, ("pseudo_change", "semantic_change"))[1] == [
        "semantic_change",
        "pseudo_change",
    ]
    assert change_network(three, "pseudo_change")[1] == ["pseudo_change"]
    with pytest.raises(ValueError, match="no map 'roofs' to ask for; the network has semantic_change,"):
        change_network(three, ("roofs",))
    with pytest.raises(ValueError, match="tasks is empty; the network has semantic_change, height"):
        change_network(three, ())


def test_two_pixels_by_hand(network_Opened_small_and_mods):
    "The bands of the result."
    # two pixels by hand: sure and undecided, and one where nothing is known
    network, Opened, small, mods = network_Opened_small_and_mods
    chances = [[[0.1, 0.4, np.nan]], [[0.2, 0.35, np.nan]], [[0.7, 0.25, np.nan]]]
    layers = dict(
        semantic_change=np.array(chances, "float32"),
        height_change=np.array([[[-0.5, 0.25, np.nan]]], "float32"),
    )
    np.testing.assert_allclose(
        to_bands(layers, mods, targets, True)[:, 0],
        [[2, 0, np.nan], [-6, 3, np.nan], *layers["semantic_change"][:, 0]],
    )
    assert [b.text for b in band_list(mods, targets, True)] == [
        "semantic_change",
        "height_change",
        "probability of no change",
        "probability of demolished",
        "probability of newly built",
    ]
    assert band_list(mods, targets, False)[0].classes == "0 no change, 1 demolished, 2 newly built"
    assert len(band_list(mods, targets[::-1], True)) == 2


def test_windows_and_the_whole_scene_agree(quiet_in_windows_and_little, expected):
    "The same as the whole scene at once."
    quiet, in_windows, little = quiet_in_windows_and_little
    found = in_windows(size=192, overlap=128)
    np.testing.assert_allclose(found[1:], expected[1:], atol=1e-4)
    np.testing.assert_allclose(in_windows(size=192, overlap=128, width=100, bs=3), found, atol=1e-4)
    assert (found[0] == expected[0]).mean() > 0.9999
    assert len(np.unique(found[0])) > 1
    edges = np.array([edge for s in range(48, 448, 48) for edge in (s, s + 16)])
    away = np.abs(np.arange(448)[:, None] - edges).min(1) > 20
    inside = away[:320, None] & away
    off = np.abs(little[1] - expected[1])
    assert inside.mean() > 0.005
    assert off[inside].max() < 1e-3 < off.max()


def test_bfloat16_rounds(quiet_in_windows_and_little, expected):
    "The same as the whole scene at once."
    # bfloat16 rounds; tasks are bands
    quiet, in_windows, little = quiet_in_windows_and_little
    rounded = in_windows(size=192, overlap=128, precision="bf16")
    assert (rounded[0] == expected[0]).mean() > 0.98
    assert 0 < np.abs(rounded[1] - expected[1]).max() < 0.02 * 12
    heights = in_windows(size=192, overlap=128, tasks="height_change")
    assert np.array_equal(heights, in_windows(size=192, overlap=128)[1:2])
    with pytest.raises(ValueError, match="precision is 'half', expected 'fp32' or 'bf16'"):
        in_windows(precision="half")


def test_how_visible_the_borders_of_windows_are(quiet_in_windows_and_little, expected):
    "Seams."
    quiet, in_windows, little = quiet_in_windows_and_little
    def seam(values):
        "Mean step of the difference from the whole scene, in the column where it is largest."
        return np.abs(np.diff(values[1] - expected[1], axis=1)).mean(0).max()


    found = {
        "cut hard": in_windows(size=64, overlap=0),
        "16 pixels shared": little,
        "32 pixels shared": in_windows(size=64, overlap=32),
    }
    fig, axs = plt.subplots(1, 3, figsize=(9, 2.5), layout="constrained", dpi=70)
    for ax, (title, v) in zip(axs, found.items(), strict=True):
        shown = ax.imshow(np.abs(v[1] - expected[1])[:192, :256], cmap="cividis", vmin=0, vmax=0.2)
        ax.set(title=title, xticks=range(0, 257, 64), yticks=range(0, 193, 64))
    fig.colorbar(shown, ax=axs, shrink=0.8, label="off by [m]")
    assert seam(found["32 pixels shared"]) < 0.001 * seam(found["cut hard"])
    assert seam(little) < 0.02 * seam(found["cut hard"])


def test_classes_metres_and_probabilities_where_the_rasters_lie(made, roles_folder_run_truth_early_corner_and_late, quiet_in_windows_and_little):
    "A run, and two files."
    roles, folder, run, truth, early, corner, late = roles_folder_run_truth_early_corner_and_late
    quiet, in_windows, little = quiet_in_windows_and_little
    with rasterio.open(made) as file:
        found = file.read()
        place = file.transform
        assert file.shape == (256, 344)
        assert file.crs.to_epsg() == 28992
        assert (place.c, place.f, place.a) == (120_020, 487_000, 0.5)
        assert file.descriptions == (
            "semantic_change",
            "height_change",
            "probability of unchanged",
            "probability of demolished",
            "probability of newly built",
        )
        assert file.units[1] == "m"
        assert file.tags(1)["classes"] == "0 unchanged, 1 demolished, 2 newly built"
        assert np.isnan(file.nodata)
        assert file.tags()["weights"] == run.weights
        assert file.dtypes[0] == "float32"
    np.testing.assert_allclose(found[2:].sum(0), 1, atol=1e-5)
    assert (found[0] == found[2:].argmax(0)).all()
    assert set(np.unique(found[0])) == {0, 1, 2}
    change = truth["height_change"][0, :, 40:]
    right = found[0] == truth["semantic_change"][0, :, 40:]
    high = np.abs(change) > 4
    assert made.stat().st_size < 1.05 * found.nbytes
    assert right.mean() > 0.9
    assert np.abs(found[1] - change)[high].mean() < 3
    assert not scratch_file(made).exists()
    by_learner = multitask_learner(sample_set(64, 0), roles, bs=8, trace=(), device="cpu")
    by_learner.model.load_state_dict(run.network.state_dict())
    same = detect_change(early, late, by_learner, folder / "same.tif", **quiet)
    with rasterio.open(same) as file:
        assert np.array_equal(file.read(), found[:2])
    epochs = run.options["epochs"]
    print(f"{right.mean():.1%} of the pixels have the right class, after {epochs} epochs")


def test_the_result_drawn(made):
    "A run, and two files."
    fig = plt.figure(figsize=(8, 2.6), dpi=72, layout="constrained")
    axes = plot_detection(made, ["#dddddd", *hibcd.colors[1:]], fig.subplots(1, 2))
    assert [ax.get_title() for ax in axes] == ["semantic change", "height change [m]"]


def test_mistakes_and_what_they_leave_behind(roles_folder_run_truth_early_corner_and_late, made, quiet_in_windows_and_little):
    "Nothing half-written."
    roles, folder, run, truth, early, corner, late = roles_folder_run_truth_early_corner_and_late
    quiet, in_windows, little = quiet_in_windows_and_little
    def refuses(match, error=ValueError, early=early, late=late, source=run, **options):
        with tempfile.TemporaryDirectory() as d:
            with pytest.raises(error, match=match):
                detect_change(early, late, source, Path(d) / "out.tif", **quiet, **options)
            assert os.listdir(d) == []


    with tempfile.TemporaryDirectory() as d:
        five = write_raster(Path(d) / "five.tif", np.zeros((5, 64, 64), "uint8"), pixel=0.5)
        far = write_raster(Path(d) / "far.tif", np.zeros((3, 64, 64), "uint8"), (0.0, 0.0), 0.5)
        centimetres = write_raster(Path(d) / "cm.tif", 100 * truth["early_height"], pixel=0.5)
        words = write_raster(Path(d) / "words.tif", np.full((3, 64, 64), 9000, "uint16"), pixel=0.5)
        cut = Path(d) / "cut.tif"
        cut.write_bytes(early.read_bytes()[:200_000])
        refuses("five.tif: expected 3 bands for 'late_image'", late=five)
        refuses("does not overlap", late=far)
        refuses(
            "cm.tif: numbers of .*, where 'early_height' was .* in training: other units",
            early=centimetres,
        )
        refuses("words.tif: numbers of 9000 ± 0, where 'late_image'", late=words)
        refuses("cut.tif: cannot be read", early=cut)
        refuses("no such raster", FileNotFoundError, early=Path(d) / "nowhere.tif")
        refuses("overlap=64: expected 0 to 63 pixels", size=64, overlap=64)
        with mock.patch.object(MultitaskNetwork, "forward", side_effect=KeyboardInterrupt):
            refuses(None, KeyboardInterrupt)
    with pytest.raises(
        FileExistsError, match="found.tif exists already: choose another name, or remove it"
    ):
        detect_change(early, late, run, made, **quiet)


def test_nodata_in_both_rasters(roles_folder_run_truth_early_corner_and_late, quiet_in_windows_and_little):
    "Nothing half-written."
    roles, folder, run, truth, early, corner, late = roles_folder_run_truth_early_corner_and_late
    quiet, in_windows, little = quiet_in_windows_and_little
    with tempfile.TemporaryDirectory() as d:
        z = truth["early_height"].copy()
        z[0, 10:20, 60:70] = np.inf
        z[0, 128:, 256:] = 3.4e38
        rgb = truth["late_image"].copy()
        rgb[:, :40, :50] = 0
        dsm = write_raster(Path(d) / "z.tif", z, pixel=0.5)
        image = write_raster(Path(d) / "rgb.tif", rgb, nodata=0, pixel=0.5)
        out = detect_change(dsm, image, run, Path(d) / "out.tif", size=64, overlap=16, **quiet)
        with rasterio.open(out) as file:
            got = file.read(1)
    lost = np.isnan(got)
    assert lost[:40, :50].all()
    assert lost[160:, 304:].all()
    assert lost[10:20, 60:70].all()
    assert not lost[20:120, 60:].any()


def test_scale_offset_units_archives(roles_folder_run_truth_early_corner_and_late, mapped):
    "What the files say of themselves."
    # scale, offset, units, archives: the same map
    roles, folder, run, truth, early, corner, late = roles_folder_run_truth_early_corner_and_late
    with tempfile.TemporaryDirectory() as d:
        z = truth["early_height"]
        expected = mapped(early, late, d)
        whole = np.round(100 * z).astype("int32")
        for about in (
            dict(scales=[0.01]),
            dict(units=["cm"]),
            dict(scales=[0.001], units=["dam"]),
        ):
            dsm = told(Path(d) / "a.tif", whole, **about)
            if about.get("units") == ["dam"]:
                with pytest.raises(
                    ValueError, match="a.tif: its numbers are in dam, 'early_height' was"
                ):
                    mapped(dsm, late, d)
                continue
            assert (mapped(dsm, late, d) != expected).mean() < 0.01
        dsm = told(Path(d) / "b.tif", z - 3, offsets=[3.0])
        assert (mapped(dsm, late, d) != expected).mean() < 0.01
        with zipfile.ZipFile(Path(d) / "pair.zip", "w") as archive:
            archive.write(early, "h.tif")
        assert (mapped(f"zip://{d}/pair.zip!h.tif", late, d) == expected).all()
        with pytest.raises(ValueError, match="nothing can be written beside it; say where with `out`"):
            detect_change(early, f"/vsizip/{d}/pair.zip/h.tif", run)


def test_bands_of_a_photograph(roles_folder_run_truth_early_corner_and_late, mapped):
    "What the files say of themselves."
    # bands of a photograph: names decide, what was left out is said
    roles, folder, run, truth, early, corner, late = roles_folder_run_truth_early_corner_and_late
    with tempfile.TemporaryDirectory() as d:
        rgb = truth["late_image"][..., 40:]
        expected = mapped(early, late, d)
        four = np.concatenate([rgb[::-1], np.full_like(rgb[:1], 255)])
        colours = [ColorInterp[c] for c in ("blue", "green", "red", "alpha")]
        image = told(Path(d) / "bgra.tif", four, corner, colorinterp=colours)
        with pytest.warns(UserWarning, match="blue, green, red, alpha the network reads number 3, 2"):
            assert (mapped(early, image, d) == expected).all()
        image = told(Path(d) / "infrared.tif", rgb, corner, descriptions=["nir", "red", "green"])
        with pytest.raises(ValueError, match="infrared.tif: its bands are nir, red, green, expected"):
            mapped(early, image, d)
        for name, values, match in (
            (
                "bright",
                (rgb / 255).astype("float32"),
                "bright.tif: numbers of .* where 'late_image' was",
            ),
            ("deep", 257 * rgb.astype("uint16"), "deep.tif: numbers of .* where 'late_image' was"),
            ("many", rgb + 1j, "many.tif: expected real numbers, got complex"),
        ):
            image = write_raster(Path(d) / f"{name}.tif", values, corner, 0.5)
            with pytest.raises(ValueError, match=match):
                mapped(early, image, d)
        image = write_raster(Path(d) / "south.tif", rgb, corner, 0.5)
        with rasterio.open(image, "r+") as file:
            file.transform = file.transform @ Affine.translation(0, file.height) @ Affine.scale(1, -1)
        with pytest.raises(ValueError, match="south.tif: .* they run from south to north"):
            mapped(early, image, d)


def test_rasters_of_57_mb_within_40_mb(roles_folder_run_truth_early_corner_and_late):
    "Constant memory, measured."
    roles, folder, run, truth, early, corner, late = roles_folder_run_truth_early_corner_and_late
    script = """
import resource, sys, pathlib
import numpy as np, rasterio, torch
from mtl_explain.change.detect import detect_change
from mtl_explain.training.runs import load_run
folder, run = pathlib.Path(sys.argv[1]), load_run(sys.argv[2])
torch.set_num_threads(1)
run.network({n: torch.zeros(1, *run.modalities[n].shape) for n in run.setup.inputs})
lines = open('/proc/self/status').read().splitlines()
used = next(int(line.split()[1]) for line in lines if line.startswith('VmData')) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + 40 * 2**20,) * 2)
detect_change(folder/'early.tif', folder/'late.tif', run, folder/'found.tif', size=128,
              overlap=16, width=512, cache=4, device='cpu', progress=False)
try: held = [rasterio.open(folder/f'{n}.tif').read() for n in ('early', 'late', 'found')]
except MemoryError: print('the limit bites')
"""


    def tiled(path, v, shape):
        "A raster that repeats a small one, written row by row of tiles."
        height, width = shape
        side = v.shape[1]
        wide = np.tile(v, (1, 1, -(-width // v.shape[2])))[..., :width]
        grid = dict(
            count=len(v),
            height=height,
            width=width,
            dtype=v.dtype,
            crs="EPSG:28992",
            transform=from_origin(0, 0, 0.5, 0.5),
        )
        with rasterio.open(
            path, "w", driver="GTiff", tiled=True, compress="deflate", zlevel=1, **grid
        ) as file:
            for r in range(0, height, side):
                rows = min(side, height - r)
                file.write(wide[:, :rows], window=Window(0, r, width, rows))


    if sys.platform == "linux":
        with tempfile.TemporaryDirectory() as d:
            narrow = with_network(roles, "fcsiamese", widths=[2, 4], depths=[1, 1])
            tiny = train_run(
                sample_set(16, 0),
                narrow,
                Path(d) / "run",
                epochs=1,
                bs=8,
                trace=(),
                bar=False,
                device="cpu",
            )
            tiled(Path(d) / "early.tif", truth["early_height"].astype("float64"), (1500, 2000))
            tiled(Path(d) / "late.tif", truth["late_image"].astype("uint8"), (1500, 2000))
            threads = dict(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MALLOC_ARENA_MAX="1")
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", script, d, str(tiny.folder)],
                capture_output=True,
                text=True,
                env=os.environ | threads,
            )
            assert done.returncode == 0 and "the limit bites" in done.stdout, done.stderr
            with rasterio.open(Path(d) / "found.tif") as file:
                assert file.shape == (1500, 2000)
                assert not np.isnan(file.read(1, window=Window(1300, 1000, 700, 500))).any()
