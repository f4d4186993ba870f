"""Hi-BCD

Written by nbdev-export from the check cells of nbs/api/datasets/10_hibcd.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from fastai.callback.core import Callback, CancelValidException

from mtl_explain.data.native import BadSample
from mtl_explain.data.samples import check_samples, describe, modalities
from mtl_explain.data.store import read_manifest
from mtl_explain.datasets.hibcd import (
    change_table, check_codes, city_recipe, city_scaling, cumulative_heights, dataset, fetch, for_cities,
    index_tiles, intersection_rates, load, plot_cumulative, plot_tile, prepare, read_tile, recipe, scores,
    setups, table_2, table_rows, template, to_classes,
)
from mtl_explain.datasets.hibcd_build import folders
from mtl_explain.files.raster import fill_holes, known_heights, read_raster, write_geotiff
from mtl_explain.networks.layers import n_parameters
from mtl_explain.networks.multitask import MultitaskNetwork
from mtl_explain.setup import setup_table
from mtl_explain.simulate.city.tiles import simulate_city
from mtl_explain.training.learner import multitask_learner
from mtl_explain.training.recipe import recipe_table, recipe_values, with_recipe


# a copy of the native tiles, each of ten tiles spoilt in its own way
def spoilt_copy(source, dest):
    shutil.copytree(source, dest, ignore=shutil.ignore_patterns("rasters"))
    tiles = index_tiles(dest)
    names = list(tiles.index[tiles.split == "train"][:10])

    def at(k, m):
        return Path(tiles.folder[names[k]]) / folders[m] / tiles.file[names[k]]

    def rewrite(k, m, change, **new):
        with rasterio.open(at(k, m)) as file:
            profile = file.profile
            values = change(file.read())
        with rasterio.open(
            at(k, m),
            "w",
            **profile
            | dict(
                dtype=values.dtype, height=values.shape[1], width=values.shape[2], count=len(values)
            )
            | new,
        ) as file:
            file.write(values)

    at(0, "height_change").unlink()
    at(1, "early_height").write_bytes(at(1, "early_height").read_bytes()[:700])
    rewrite(2, "semantic_change", lambda v: v[:, :50])
    rewrite(3, "semantic_change", lambda v: v.astype("float32"))
    rewrite(4, "semantic_change", lambda v: np.where(v == 0, 9, v).astype("uint8"))
    rewrite(5, "late_image", lambda v: v, transform=rasterio.transform.from_origin(0, 0, 2, 2))
    rewrite(6, "early_height", lambda v: np.full_like(v, np.inf))
    rewrite(7, "late_image", lambda v: v[:2])
    rewrite(8, "early_height", lambda v: np.clip(v, 0, 255).astype("uint8"))
    for f in folders.values():
        other = Path(tiles.folder[names[9]]).parent / "test" / f / tiles.file[names[9]]
        other.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(tiles.folder[names[9]]) / f / tiles.file[names[9]], other)
    return names


# tiles of full size in the native layout
def enlarged(source, dest, edge=1000):
    "The first tile of each split, its pixels repeated until it has `edge` of them a side."
    for split in ("train", "val", "test"):
        tile = next((source / "amsterdam_025" / split / folders["late_image"]).glob("*.tif")).name
        for folder in folders.values():
            values = read_raster(source / "amsterdam_025" / split / folder / tile)
            times = -(-edge // values.shape[-1])
            large = values.repeat(times, 1).repeat(times, 2)[:, :edge, :edge]
            write_geotiff(
                dest / "amsterdam_025" / split / folder / tile,
                large,
                (120_000, 487_000),
                0.25,
                "EPSG:28992",
            )
    return dest


class Shapes(Callback):
    "Keeps the sizes of what the heads say; a training step is enough."

    def before_fit(self):
        self.said = set()

    def after_pred(self):
        self.said |= {tuple(p.shape[-2:]) for p in self.pred.values()}

    def before_validate(self):
        raise CancelValidException


@pytest.fixture(scope='module')
def _folder_and_native():
    "Two small simulated cities in the published layout."
    _folder = tempfile.TemporaryDirectory()
    native = simulate_city(
        Path(_folder.name) / "native",
        n=24,
        seed=2,
        tile=64,
        pixel=2.0,
        cities=("amsterdam", "utrecht"),
        rasters=True,
        progress=False,
    )
    return _folder, native


@pytest.fixture(scope='module')
def tiles_pixel(_folder_and_native):
    _folder, native = _folder_and_native
    return index_tiles(native).pixel.median()


@pytest.fixture(scope='module')
def samples(_folder_and_native):
    _folder, native = _folder_and_native
    return load(prepare(native, Path(_folder.name) / "store", progress=False))


@pytest.fixture(scope='module')
def narrow():
    "Tiles of full size in the native layout."
    pyramid = dict(
        widths=[8, 8, 16, 16], depths=[1, 1, 1, 1], features=8, dropout=0.0
    )  # dropout would cost memory
    return dict(
        fcsiamese=dict(widths=[4, 8, 8, 8], depths=[1, 1, 1, 1]),
        snunet=dict(base=4),
        mtbit=dict(decoder_depth=1, width=8),
        changeformer=pyramid,
        mmcd=pyramid,
        p2vnet=dict(
            n_frames=2, video_widths=[4, 8], pair_widths=[4, 8, 8], decoder_widths=[16, 8, 8, 8]
        ),
    )


def test_fetch_says_where_to_look_and_what_to_expect_and_finds_what_is_there():
    "Where it comes from."
    with tempfile.TemporaryDirectory() as folder:
        with pytest.raises(
            FileNotFoundError,
            match="behind links that need a browser: open https://.+ into .+Hi-BCD, such that there is "
            "{city}_025",
        ):
            fetch(folder)
        tile = Path(folder) / "Hi-BCD/delft_025/train/img_1k/delft_00_00.tif"
        tile.parent.mkdir(parents=True)
        tile.touch()
        assert fetch(folder) == dict(tiles=Path(folder) / "Hi-BCD")


def test_the_index_knows_split_city_and_place_of_each_tile(_folder_and_native):
    "Reading the tiles."
    _folder, native = _folder_and_native
    tiles = index_tiles(native)
    assert len(tiles) == 24
    assert tiles.index.is_unique
    assert set(tiles.split) == {"train", "valid", "test"}
    assert set(tiles.city) == {"amsterdam", "utrecht"}
    one = tiles.loc["amsterdam_01_02"]
    assert (one.col, one.row, one.edge, one.group) == (1, 2, 64, "amsterdam_01_02")
    assert tiles.lat.between(51, 54).all()
    assert tiles.lon.between(3, 7.5).all()
    assert tiles.lon.nunique() == 24
    assert tiles.pixel.max() < 1.01 * tiles.pixel.min()
    with pytest.raises(ValueError, match="no tiles; expected"):
        index_tiles(native.parent.parent / native.parent.name)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        index_tiles("nowhere")


def test_holes_are_filled_from_the_nearest_height_and_counted_codes_are_mapped():
    "Reading the tiles."
    # holes are filled from the nearest height and counted, codes are mapped or refused
    h = np.array([[1.0, 3.4e38, 5.0], [1.0, -np.inf, 5.2], [np.nan, 2.0, -9999]])
    inf = np.inf
    filled, share = fill_holes(h)
    assert np.isfinite(filled).all()
    assert share == pytest.approx(4 / 9)
    assert set(filled.ravel().round(1)) <= {1.0, 5.0, np.float32(5.2), 2.0}
    assert filled[0, 0] == 1
    assert np.isnan(fill_holes(np.full((2, 2), inf))[0]).all()
    assert fill_holes(np.zeros((2, 2)))[1] == 0
    assert to_classes(np.array([0, 1, 2, 3], "uint8")).tolist() == [0, 1, 2, 2]
    assert to_classes(np.array([1, 2]), {1: 2, 2: 1}).tolist() == [2, 1]
    with pytest.raises(ValueError, match="unknown label code 255"):
        to_classes(np.array([0, 255], "uint8"))
    with pytest.raises(ValueError, match="whole numbers as labels, got float32"):
        to_classes(np.zeros(3, "float32"))


def test_a_tile_as_it_comes_from_its_files(_folder_and_native):
    "Reading the tiles."
    _folder, native = _folder_and_native
    tile = read_tile(index_tiles(native).loc["amsterdam_01_02"], 64)
    assert {n: (v.shape, str(v.dtype)) for n, v in tile.items()} == dict(
        early_height=((1, 64, 64), "float32"),
        late_image=((3, 64, 64), "uint8"),
        semantic_change=((64, 64), "int8"),
        height_change=((1, 64, 64), "float32"),
        pseudo_change=((64, 64), "int8"),
        early_nodata=((1,), "float32"),
    )
    assert np.isfinite(tile["early_height"]).all()
    assert set(np.unique(tile["semantic_change"])) <= {
        0,
        1,
        2,
    }


def test_the_classes_go_the_right_way_and_swapped_codes_are_noticed(_folder_and_native):
    "A store."
    _folder, native = _folder_and_native
    share = check_codes(index_tiles(native))
    assert share["demolished"] < 0.3
    assert share["newly built"] > 0.8
    with pytest.raises(ValueError, match="are the codes swapped"):
        check_codes(index_tiles(native), {0: 0, 1: 2, 2: 1, 3: 1})


def test_the_sample_set_keeps_the_rules_and_its_values_are_those_of_the_files(samples, tiles_pixel, _folder_and_native):
    "A store."
    _folder, native = _folder_and_native
    check_samples(samples)
    assert samples.sizes["sample"] == 24
    assert list(modalities(samples)) == list(template().data_vars)
    pixels = {n: m.pixel_size for n, m in modalities(samples).items() if m.is_dense}
    assert set(pixels.values()) == {float(f"{tiles_pixel:.3g}")}, "as the tiles are laid out"
    assert template().late_image.attrs.get("pixel_size") is None, "unless nobody knows"
    for tile in ("amsterdam_00_00", "utrecht_02_01"):
        values = read_tile(index_tiles(native).loc[tile], 64)
        for name, v in values.items():
            assert np.array_equal(
                samples[name].sel(sample=tile).values, v, equal_nan=v.dtype.kind == "f"
            )
    assert samples.lat.dims == ("sample",)
    assert set(samples.city.values) == {"amsterdam", "utrecht"}
    describe(samples)


def test_each_kind_of_bad_tile_is_named_and_left_out_where_that_is_asked(_folder_and_native):
    "Bad tiles."
    _folder, native = _folder_and_native
    words = [
        "no file for",
        "truncated",
        r"expected shape \(64, 64\), got \(50, 64\)",
        "whole numbers as labels, got float32",
        "unknown label code 9",
        "georeference differs",
        "nothing but nodata",
        "expected 3 bands, got 2",
        "metres as float32 or int16, got uint8",
    ]
    with tempfile.TemporaryDirectory() as folder:
        names = spoilt_copy(native, Path(folder) / "native")
        rows = index_tiles(Path(folder) / "native")
        rows = rows[~rows.index.duplicated()]
        for name, word in zip(names, words, strict=False):
            with pytest.raises(BadSample, match=word):
                read_tile(rows.loc[name], 64)
        with pytest.raises(ValueError, match="bad sample"):
            prepare(Path(folder) / "native", Path(folder) / "store", progress=False)
        made = prepare(Path(folder) / "native", Path(folder) / "store", skip_bad=True, progress=False)
        dropped = read_manifest(made)["dropped"]
        assert {d["sample"] for d in dropped} == set(names)
        assert load(made).sizes["sample"] == 24 - 9
        assert any("occurred before" in d["problem"] for d in dropped)
    with pytest.raises(
        FileNotFoundError, match="prepare one with `mtl_explain data prepare hibcd FOLDER`"
    ):
        load("nowhere")


def test_colours_and_scales_of_a_tiles_files_are_read_as_they_are_meant(_folder_and_native):
    "Bad tiles."
    _folder, native = _folder_and_native
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(native, Path(folder) / "native", ignore=shutil.ignore_patterns("rasters"))
        row = index_tiles(Path(folder) / "native").iloc[0]
        whole = read_tile(row, 64)

        def rewrite(modality, change, **about):
            path = Path(row.folder) / folders[modality] / row.file
            with rasterio.open(path) as file:
                profile = file.profile
                values = change(file.read())
            profile |= dict(count=len(values), dtype=values.dtype)
            with rasterio.open(path, "w", **profile) as file:
                file.write(values)
                for key, value in about.items():
                    setattr(file, key, value)

        rewrite("late_image", lambda v: v[::-1], descriptions=["blue", "green", "red"])
        assert np.array_equal(read_tile(row, 64)["late_image"], whole["late_image"])
        rewrite("late_image", lambda v: v[::-1], descriptions=["nir", "red", "green"])
        with pytest.raises(BadSample, match="its bands are nir, red, green, expected 'late_image'"):
            read_tile(row, 64)
        # as published: images with a fourth band, whole metres, the code 3, huge numbers for no height
        rewrite("late_image", lambda v: np.concatenate([v, v[:1] * 0]), descriptions=("",) * 4)
        assert np.array_equal(read_tile(row, 64)["late_image"], whole["late_image"])
        rewrite("late_image", lambda v: v[:3], descriptions=["red", "green", "blue"])
        rewrite("semantic_change", lambda v: np.where(v == 2, 3, v).astype("uint8"))
        assert np.array_equal(read_tile(row, 64)["semantic_change"], whole["semantic_change"])
        rewrite("height_change", lambda v: np.where(np.arange(64) < 2, 3.4e38, v).astype("float32"))
        found = read_tile(row, 64)
        assert np.isnan(found["height_change"][..., :2]).all()
        assert (found["pseudo_change"][:, :2] == -1).all()
        rewrite("height_change", lambda v: np.round(np.where(v < 1e6, v, 0)).astype("int16"))
        assert read_tile(row, 64)["height_change"].dtype == "float32"

        def decimetres(v):
            known = known_heights(v)
            return np.where(known, np.round(10 * np.where(known, v, 0)), -32768).astype("int16")

        rewrite("early_height", decimetres, scales=[0.1], nodata=-32768)
        heights = read_tile(row, 64)["early_height"]
        np.testing.assert_allclose(heights, whole["early_height"], atol=0.051)


def test_counted_by_hand():
    "What the paper tells of it."
    # counted by hand: two objects of four pixels, half of one contradicted, and a ring
    semantic, pseudo = np.zeros((2, 1, 8, 8), "int8")
    semantic[0, 1:3, 1:3], semantic[0, 5:7, 5:7] = 1, 2
    pseudo[0] = semantic[0]
    pseudo[0, 5, 5:7], pseudo[0, 1:3, 3] = 1, 1
    small = xr.Dataset(
        dict(
            semantic_change=(("sample", "y", "x"), semantic),
            pseudo_change=(("sample", "y", "x"), pseudo),
        ),
        dict(sample=["t"], split=("sample", ["test"]), city=("sample", ["delft"])),
    )
    row = change_table(small, 4).loc["t"]
    assert (
        row.changed,
        row.demolished,
        row.newly_built,
        row.agree,
        row.union,
        row.demolished_objects,
        row.newly_built_objects,
    ) == (8, 4, 4, 6, 10, 1, 1)
    assert change_table(small, 5).newly_built_objects.sum() == 0
    assert intersection_rates(change_table(small))["of either change"].test == 60
    assert intersection_rates(change_table(small))["of semantic change"].test == 75
    assert table_2(change_table(small, 4)).delft.tolist() == [1, 1, 0, 12.5, 1, 100]


def test_the_tables_of_the_small_simulated_cities(samples):
    "What the paper tells of it."
    tiles_ = change_table(samples, 3)
    assert tiles_.agree.sum() <= tiles_.changed.sum() <= tiles_.union.sum() * 1.01
    assert list(intersection_rates(tiles_).index) == ["train", "valid", "test"]
    intersection_rates(tiles_)


def test_shares_grow_to_one_and_are_those_of_numpy(samples):
    "What the paper tells of it."
    table = cumulative_heights(samples)
    values = samples.height_change.values[:, 0][samples.semantic_change.values == 2]
    assert (np.diff(table, axis=0) >= 0).all()
    assert np.allclose(table.iloc[-1], 1)
    for metres in (-5.0, 0.0, 3.0, 10.0):
        assert table["newly built"][metres] == pytest.approx(np.mean(values <= metres), abs=1e-6)
    assert table["demolished"][0.0] > 0.7 > 0.3 > table["newly built"][0.0]


def test_demolished_left_of_zero_newly_built_right_of_it_and_a_tail_of_each_on(samples):
    "What the paper tells of it."
    # demolished left of zero, newly built right of it, and a tail of each on the wrong side
    ax = plot_cumulative(samples)
    assert len(ax.lines) == 2
    assert ax.get_xlabel() == "height change [m]"


def test_the_tile_with_most_change(samples):
    "What the paper tells of it."
    busiest = change_table(samples).changed.idxmax()
    axes = plot_tile(samples, busiest)
    assert [ax.get_title() for ax in axes] == [
        "early height [m]",
        "late image",
        "height change [m]",
        "semantic change",
        "pseudo change",
    ]


def test_the_setups_fit_the_samples_and_have_the_papers_weights(samples):
    "Setups."
    for name, s in setups.items():
        check_samples(samples, s)
        assert s.name == name
        assert s.main == next(iter(s.targets))
        assert (s.main == "semantic_change") == ("semantic_change" in s.targets)
    assert len(setups) == 6 * 3 + 3 + 2 + 2 + 4
    assert (
        setups["mmcd-consistency"].weights
        == setups["consistency"].weights
        == pytest.approx(dict(semantic_change=0.6, height_change=0.2, pseudo_change=0.2))
    )
    assert setups["mtbit-both"].weights["semantic_change"] == pytest.approx(0.75)
    assert setups["mmcd-height-consistency"].weights["height_change"] == pytest.approx(0.5)
    assert setups["mmcd-released"].weights["height_change"] == pytest.approx(0.6)
    assert len(setups["mmcd-explicit"].relations) == 1
    assert setups["fcsiamese-consistency"].heads["pseudo_change"]["variant"] == "small"
    assert "variant" not in setups["changeformer-consistency"].heads["pseudo_change"]
    setup_table(setups.values())


def test_the_recipe_and_who_states_it():
    "Recipe."
    assert not {n for n in recipe_values if "ours" in recipe_table(recipe).loc[n, "stated by"]}
    recipe_table(recipe)


def test_what_differs_for_made_up_cities(samples):
    "A short training on small tiles."
    # what differs for made-up cities: heights and thresholds in the same metres, fewer weights
    row = setups["mmcd-consistency"]
    city_row = for_cities(row)
    assert city_row.name == row.name and city_row.targets.keys() == row.targets.keys()
    assert city_row.scaling["height_change"] == city_scaling
    assert city_row.training["augment"] == city_recipe.augment
    half_range = row.scaling["height_change"]["std"][0]
    assert np.isclose(city_row.heads["pseudo_change"]["temperature"] * 10, 0.5 * half_range)
    assert np.isclose(city_row.heads["pseudo_change"]["zero"], 0, atol=1e-9)
    for kind in table_rows:
        full, narrow_one = (
            MultitaskNetwork(modalities(samples), made(setups[f"{kind}-both"]), pretrained=False)
            for made in (lambda s: s, for_cities)
        )
        assert n_parameters(narrow_one) < n_parameters(full)


def test_a_step_of_each_network_on_a_tile_of_1000_pixels(_folder_and_native, narrow):
    "A short training on small tiles."
    _folder, native = _folder_and_native
    with tempfile.TemporaryDirectory() as folder:
        large = load(
            prepare(
                enlarged(native, Path(folder) / "tiles"),
                Path(folder) / "store",
                workers=1,
                progress=False,
            )
        )
        assert large.late_image.shape[1:] == (3, 1000, 1000)
        for kind, options in narrow.items():
            row = setups[f"{kind}-both"]
            row = with_recipe(
                replace(row, network=row.network | options),
                recipe if kind == "p2vnet" else replace(recipe, zoom=1.0, augment={}),
            )
            learner = multitask_learner(
                large, row, bs=1, trace=(), device="cpu", cbs=[shapes := Shapes()]
            )
            with learner.no_bar(), learner.no_logging():
                learner.fit(1)
            assert shapes.said == {(1000, 1000)} and np.isfinite(float(learner.recorder.losses[-1])), (
                kind
            )
        del large, learner


def test_the_scores_of_a_network_that_has_learnt_nothing_yet(samples):
    "Scores."
    table = scores(
        multitask_learner(samples, setups["multitask"], trace=(), device="cpu"),
        samples.isel(sample=slice(4)),
    )
    assert {"miou", "f1", "iou demolished", "iou newly built"} < set(
        table[table.task == "semantic_change"].metric
    )
    assert {"rmse", "mae", "crmse", "crel", "zncc"} < set(table[table.task == "height_change"].metric)
    assert {"task", "metric", "value", "units"} <= set(table.columns)


def test_the_truth_of_the_simulator_comes_through_scanner_annotator_equation_8(_folder_and_native, samples):
    "What the simulator knows."
    # the truth of the simulator comes through scanner, annotator, equation 8, files and reader
    _folder, native = _folder_and_native
    for city in ("amsterdam", "utrecht"):
        truth = read_raster(native / "rasters" / city / "event.tif")[0]
        part = samples.isel(sample=samples.city.values == city)
        read = np.zeros(truth.shape, int)
        for k in range(part.sizes["sample"]):
            read[int(part.row[k]) * 64 :, int(part.col[k]) * 64 :][:64, :64] = part.semantic_change[
                k
            ].values
        once = (truth == 1) | (truth == 2)
        assert once.sum() > 100
        assert (read == truth)[once].mean() > 0.85
        assert not read[truth == 0].any()
        assert set(np.unique(read[truth == 3])) <= {0, 1, 2}


def test_it_says_what_it_is():
    "The dataset."
    assert dataset.scores is scores
