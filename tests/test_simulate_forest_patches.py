"""Simulated forest

Written by nbdev-export from the check cells of nbs/api/simulate/forest/01_patches.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import hashlib
import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mtl_explain.datasets.treesat_labels import aerial_bands, s1_bands, s2_bands
from mtl_explain.files.raster import read_raster
from mtl_explain.simulate.forest.patches import (
    _resample, aerial_image, brightness, draw_ground, draw_scene, grow, part_map, plot_aerial,
    sentinel1_image, sentinel2_image, shadow_map, simulate_forest, simulate_patch, sunlight,
)
from mtl_explain.simulate.forest.trees import draw_plots, extent


@pytest.fixture(scope='module')
def scenes():
    "Three scenes for the checks below."
    return {
        n: draw_scene([(n, a, 1.0)], 152, np.random.default_rng(1))
        for n, a in (("Fagus sylvatica", 6), ("Picea abies", 6), ("Cleared", 0))
    }


@pytest.fixture(scope='module')
def drawn():
    "150 small patches."
    plots = draw_plots(150, seed=5)
    return [simulate_patch(p, size=40, seed=5, nodata=0)[0] for _, p in plots.iterrows()]


@pytest.fixture(scope='module')
def published():
    "What was published of each band; the means of Sentinel-1 without the pixels of -9999."
    return dict(
        aerial=([151.27, 93.12, 85.05, 81.05], [48.71, 33.60, 28.00, 33.68]),
        s1=([-6.17, -12.41, 0.474], [np.nan] * 3),
        s2=(
            [231.4, 376.9, 241.0, 2809.8, 616.6, 2104.4, 2695.1, 2969.9, 1306.1, 587.1, 249.2, 2950.2],
            [123.2, 139.8, 140.6, 786.5, 202.5, 530.7, 710.3, 777.4, 424.3, 247.2, 122.8, 702.7],
        ),
    )


def test_level_ground_is_lit_the_sunny_side_of_a_ridge_is_brighter():
    "Light."
    # level ground is lit, the sunny side of a ridge is brighter; a mast of 20 m has a shadow of 20 m
    flat = sunlight(np.zeros((40, 40), "float32"))
    assert all(np.allclose(flat[k], 1) for k in ("lit", "slope", "depth"))
    profile = np.maximum(0, 8 - np.abs(np.arange(76) - 38) * extent / 76)
    ridge = profile[:, None].repeat(76, 1).astype("float32")
    b = brightness(sunlight(ridge, azimuth=180), 0.3)
    assert b[43, 38] > 1.5 * b[33, 38]
    mast = np.zeros((76, 76), "float32")
    mast[38, 30] = 20
    shadow = shadow_map(mast, 270, 45)
    assert shadow[38, 31:55].all()
    assert not shadow[38, 57:].any()
    assert not shadow[:38].any()
    assert not shadow[38, :31].any()
    wood = np.full((76, 76), 15, "float32")
    wood[:40] = 0
    assert shadow_map(wood[::-1], 0, 45)[36:53].all()
    assert not shadow_map(wood, 0, 45)[:40].any()
    hedge = np.zeros((76, 76), "float32")
    hedge[3:8] = 15
    assert shadow_map(hedge, 0, 45)[:3].all()  # from beyond the edge, too


def test_soil_is_brighter_in_the_red_grass_in_the_infrared():
    "Light."
    grass, ground = draw_ground(152, np.random.default_rng(3))
    infrared, _, _, red = ground
    assert np.corrcoef(grass.ravel(), infrared.ravel())[0, 1] > 0.8
    assert np.corrcoef(grass.ravel(), red.ravel())[0, 1] < -0.8
    assert ground.min() > 0
    assert 0 <= grass.min() < grass.max() <= 1


def test_what_a_scene_is_made_of(scenes):
    "The three images."
    # what a scene is made of; a clearing lies in the sun
    def row(name):
        scene = scenes[name]
        return [np.quantile(scene["height"], 0.9), (scene["tree"] >= 0).mean(), scene["lit"].mean()]


    table = pd.DataFrame({n: row(n) for n in scenes}, ["height [m], 90 %", "crown cover", "lit"]).T
    assert (table["height [m], 90 %"] > [20, 20, -1]).all()
    assert (table["crown cover"][:2] > 0.75).all()
    assert table["crown cover"].Cleared < 0.2
    assert table.lit.Cleared > 0.85
    spruce = scenes["Picea abies"]
    assert (part_map(spruce) == np.where(spruce["tree"] >= 0, 0, -1)).all()
    beech = scenes["Fagus sylvatica"]
    fig, axes = plt.subplots(1, 4, figsize=(9, 2.6), dpi=75, layout="constrained")
    for ax, what in zip(axes, ("height", "lit", "slope", "depth"), strict=True):
        is_height = what == "height"
        ax.imshow(beech[what], cmap="viridis" if is_height else "gray", extent=(0, extent, extent, 0))
        ax.set(title=what + " [m]" * is_height, xlabel="east [m]")
    axes[0].set(ylabel="south [m]")
    table.round(2)


def test_beech_is_redder_than_spruce_in_false_colour(scenes):
    "The three images."
    # beech is redder than spruce in false colour: more infrared; a clearing is bright in the red
    images = {n: aerial_image(s, np.random.default_rng(2)) for n, s in scenes.items()}
    assert images["Fagus sylvatica"][0].mean() > 1.3 * images["Picea abies"][0].mean()
    assert images["Cleared"][3].mean() > 1.3 * images["Fagus sylvatica"][3].mean()
    assert all(i.dtype == "uint8" and i.shape == (4, 152, 152) for i in images.values())


def test_a_step_of_30_m_is_seen_a_uniform_map_stays_uniform_the_20_m_bands_are():
    "The three images."
    # a step of 30 m is seen, a uniform map stays uniform, the 20 m bands are blocks
    step = (np.arange(304) < 152).astype(float)[:, None].repeat(304, 1)
    seen = _resample(step, 4.0)
    assert np.allclose(_resample(np.ones((64, 64)), 4.0), 1)
    assert (seen[:2] > 0.98).all()
    assert (seen[4:] < 0.02).all()
    assert 0.5 < seen[2, 0] < 0.95
    coarse = _resample(np.random.default_rng(0).random((304, 304)), 8.0, 20.0)
    assert np.allclose(coarse[::2], coarse[1::2])
    assert len(np.unique(coarse.round(9))) == 9


def test_pixels_of_a_mixed_patch_lie_between_the_pure_stands_and_differ_more(scenes):
    "The three images."
    rng = np.random.default_rng(0)
    b08 = s2_bands.index("B08")
    beech = sentinel2_image(scenes["Fagus sylvatica"], rng)[b08]
    spruce = sentinel2_image(scenes["Picea abies"], rng)[b08]
    half = [("Fagus sylvatica", 6, 0.5), ("Picea abies", 6, 0.5)]
    mixed = sentinel2_image(draw_scene(half, 152, rng), rng)
    assert spruce.mean() < mixed[b08].mean() < beech.mean()
    assert mixed[b08].std() > spruce.std()
    assert mixed.dtype == "uint16"
    assert mixed.shape == (12, 6, 6)


def test_forest_is_brighter_than_a_clearing_most_in_vh(scenes):
    "The three images."
    # forest is brighter than a clearing, most in VH; lost pixels are marked in the quotient, too
    rng = np.random.default_rng(0)
    forest = sentinel1_image(scenes["Fagus sylvatica"], rng, nodata=0)
    clearing = sentinel1_image(scenes["Cleared"], rng, nodata=0)
    gain = forest[:2].mean((1, 2)) - clearing[:2].mean((1, 2))
    assert 2 < gain[0] < gain[1]
    assert np.allclose(forest[2], forest[0] / forest[1])
    lost = sentinel1_image(scenes["Picea abies"], rng, nodata=1) == -9999
    assert 6 <= lost[0].sum() <= 18
    assert (lost[0] <= lost[2]).all()


def test_a_patch_depends_on_the_seed_and_its_number_not_on_the_others():
    "A patch, and a folder of them."
    plots = draw_plots(12, seed=1)
    images, scene = simulate_patch(plots.iloc[7], size=32, seed=1)
    again, _ = simulate_patch(plots.iloc[7], size=32, seed=1)
    other, _ = simulate_patch(plots.iloc[7], size=32, seed=2)
    assert list(images) == ["aerial", "s1", "s2"]
    for k, image in images.items():
        assert np.array_equal(image, again[k])
        assert not np.array_equal(image, other[k])
    assert scene["stands"].shape == (32, 32) == images["aerial"].shape[1:]


def test_a_small_archive_on_disk():
    "A patch, and a folder of them."
    # a small archive on disk: all files are there, typed and placed as the original's
    with tempfile.TemporaryDirectory() as temporary:
        folder = simulate_forest(Path(temporary) / "forest", n=10, size=32, progress=False)
        names = sorted(p.relative_to(folder).parts[0] for p in folder.iterdir())
        assert names == [
            "aerial",
            "geojson",
            "labels",
            "s1",
            "s2",
            "simulated.csv",
            "simulated.json",
            "test_filenames.lst",
            "train_filenames.lst",
        ]
        lists = [(folder / f"{s}_filenames.lst").read_text() for s in ("train", "test")]
        files = "".join(lists).split()
        fractions = json.loads((folder / "labels/TreeSatBA_v9_60m_multi_labels.json").read_text())
        assert set(files) == set(fractions) == {p.name for p in (folder / "s1/60m").iterdir()}
        assert len(files) == 10
        for f in files:
            read_raster(folder / "aerial/60m" / f, shape=(32, 32), dtype="uint8", crs="EPSG:25832")
            read_raster(folder / "s1/60m" / f, shape=(6, 6), dtype="float32", crs="EPSG:32632")
            read_raster(folder / "s2/60m" / f, shape=(6, 6), dtype="uint16", crs="EPSG:32632")
        boxes = json.loads((folder / "geojson/bb_60m.GeoJSON").read_text())["features"]
        assert {b["properties"]["IMG_ID"] + ".tif" for b in boxes} == set(files)


def test_the_same_seed_writes_the_same_bytes_with_one_process_or_two():
    "A patch, and a folder of them."
    # the same seed writes the same bytes, with one process or two; what is there is not overwritten
    def digest(folder):
        files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
        return hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()


    small = dict(n=8, size=24, progress=False)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        one = simulate_forest(root / "one", seed=0, workers=1, **small)
        two = simulate_forest(root / "two", seed=0, workers=2, **small)
        other = simulate_forest(root / "other", seed=1, workers=1, **small)
        assert digest(one) == digest(two) != digest(other)
        with pytest.raises(FileExistsError, match="exists already"):
            simulate_forest(one, **small)
        with pytest.raises(ValueError, match="2 plots"):
            simulate_forest(root / "few", n=2, progress=False)
        assert not (root / "few").exists()


def test_two_mixed_patches_four_views():
    "What it looks like."
    mixtures = [
        [("Pinus sylvestris", 5, 0.62), ("Quercus petraea", 5, 0.38)],
        [("Picea abies", 4, 0.55), ("Cleared", 0, 0.30), ("Betula spec.", 2, 0.15)],
    ]
    titles = [
        "Pinus 62%, Quercus 38%",
        "Picea 55%, Cleared 30%\nBetula 15%",
    ]
    false_colour = [s2_bands.index(b) for b in ("B08", "B04", "B03")]
    fig, axes = plt.subplots(2, 4, figsize=(7.6, 4), dpi=70, layout="constrained")
    for k, (row, parts) in enumerate(zip(axes, mixtures, strict=True)):
        image, s1, s2, scene = grow(parts, seed=20 + k)
        covered = np.bincount(scene["stands"].ravel()) / 304**2
        assert np.allclose(covered, [share for _, _, share in parts], atol=1e-4)
        colours = s2[false_colour].transpose(1, 2, 0) / [5000, 900, 900]
        plot_aerial(image, ("IR", "R", "G"), row[0], titles[k])
        row[1].imshow(scene["stands"], cmap="cividis", vmin=-1, vmax=2, interpolation="nearest")
        row[2].imshow(np.clip(colours, 0, 1))
        row[3].imshow(s1[0], cmap="gray", vmin=-12, vmax=-2)
        for ax, title in zip(row[1:], ("stands", "Sentinel-2", "Sentinel-1 VV"), strict=True):
            ax.set_title(title, fontsize=8, pad=2)
        for ax in row:
            ax.set_axis_off()


def test_means_are_within_a_fifth_of_those_of_the_archive_spreads_within_a(drawn, published):
    "Compared with the archive."
    # means are within a fifth of those of the archive, spreads within a factor of two
    names = dict(aerial=aerial_bands, s1=s1_bands, s2=s2_bands)
    rows = []
    for sensor, bands in names.items():
        images = np.stack([d[sensor] for d in drawn]).astype(float)
        means, spreads = published[sensor]
        for k, band in enumerate(bands):
            v = images[:, k]
            rows.append((sensor, band, means[k], v.mean(), spreads[k], v.std()))
    columns = ["sensor", "band", "mean, archive", "mean, simulated", "sd, archive", "sd, simulated"]
    bands = pd.DataFrame(rows, columns=columns).set_index(["sensor", "band"])
    assert (bands["mean, simulated"] / bands["mean, archive"]).between(0.83, 1.2).all()
    assert (bands["sd, simulated"] / bands["sd, archive"]).dropna().between(0.5, 2).all()
    bands.round(2)
