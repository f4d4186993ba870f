"""Globe

Written by nbdev-export from the check cells of nbs/api/datasets/01_globe.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import contextlib
import hashlib
import io
import os
import tempfile
import warnings
import zipfile
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from mtl_explain.data.samples import check_samples, describe, modalities
from mtl_explain.data.splits import plot_split
from mtl_explain.data.store import open_store, read_manifest
from mtl_explain.datasets.globe import (
    climate_levels, cut_earth, dataset, degree_metres, derived, fetch, find_patches, igbp, koeppen, load,
    load_sample, load_trace, make_sample, make_trace, patch_slope, plot_patch, prepare, read_earth,
    sample_file, setups, sources, trace_file, with_derived,
)
from mtl_explain.files.raster import MemoryFile, NotGeoreferencedWarning, degree_grid
from mtl_explain.setup import setup_table
from mtl_explain.trace import check_trace


# the made-up planet: what is where
def planet(lat, lon):
    lat, lon = np.broadcast_arrays(lat, lon)
    land = np.sin(np.radians(3 * lon)) + np.cos(np.radians(2 * lat)) > -0.2
    warm = 24 - 0.5 * np.abs(lat) + 5 * np.sin(np.radians(lon))
    zone = np.select([np.abs(lat) < 20, np.abs(lat) < 40, np.abs(lat) < 60], [1, 7, 10], 31)
    return land, warm, zone


# a made-up planet in made-up wheels, and their table
def _image_bytes(values, driver):
    profile = dict(
        driver=driver,
        width=values.shape[2],
        height=values.shape[1],
        count=len(values),
        dtype="uint8",
    )
    if driver == "JPEG":
        profile["quality"] = 95
    with MemoryFile() as memory, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(**profile) as dst:
            dst.write(values)
        return memory.read()
def _hdf_bytes(**values):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, value in values.items():
            file[name] = value
    return buffer.getvalue()
def made_up_wheels(folder):
    def at(per_degree):
        g = degree_grid(per_degree)
        return planet(g.y[:, None], g.x)

    land, _, _ = at(1.5)
    optical = np.stack([np.where(land, a, b) for a, b in ((120, 10), (100, 20), (60, 90))])
    land, warm, _ = at(2)
    cover = np.where(land, np.where(warm > 15, 2, 10), 0)[None]
    land, _, zone = at(3)
    climate = np.where(land, zone, 32)[None]
    land, _, _ = at(1)
    altitude = np.where(land, 30, 255)
    month = np.cos(2 * np.pi * (np.arange(12)[:, None, None] - 6) / 12)
    _, warm, _ = planet(np.linspace(90, -90, 73)[:, None], np.arange(0, 360, 2.5))
    rain = np.broadcast_to(np.maximum(warm, 0) * 4, (12, 73, 144))
    content = dict(
        optical=_image_bytes(optical.astype("uint8"), "JPEG"),
        landcover=_image_bytes(cover.astype("uint8"), "GTiff"),
        climate=_image_bytes(climate.astype("uint8"), "PNG"),
        weather=_hdf_bytes(t2m=(warm + 6 * month).astype("float32"), tp=rain.astype("float32")),
        altitude=_hdf_bytes(Altitude=altitude.astype("uint8")),
    )
    (Path(folder) / "wheels").mkdir(parents=True, exist_ok=True)
    table = {}
    for name, source in sources.items():
        path = Path(folder) / "wheels" / source["wheel"]
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(source["file"], content[name])
        table[name] = source | dict(sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    return table


@pytest.fixture(scope='module')
def small_earth():
    "A made-up planet, read once for several checks."
    with tempfile.TemporaryDirectory() as _folder:
        _table = made_up_wheels(_folder)
        small_earth = read_earth(fetch(_folder, _table, progress=False), _table, progress=False)
    return small_earth


@pytest.fixture(scope='module')
def small_and_small_dropped(small_earth):
    "The made-up planet in patches."
    small, small_dropped = cut_earth(small_earth, size=6, min_land=0.9, block=30)
    return small, small_dropped


@pytest.fixture(scope='module')
def sample():
    "The small sample, shared by the cells below."
    return load_sample()


def test_the_table_of_sources_is_complete():
    "Where the data come from."
    table = pd.DataFrame(sources).T
    assert all(len(s) == 64 for s in table.sha256)
    assert table.wheel.is_unique
    assert not table.isna().any().any()


def test_zones_types_and_groups_hang_together():
    "The legends."
    levels = climate_levels(["Af", "BWh", "BWk", "Cfb", "ET"])
    assert levels["climate_type"]["classes"] == ["Af", "BW", "Cf", "ET"]
    assert levels["climate"]["parent_index"] == [0, 1, 1, 2, 3]
    assert levels["climate_group"]["classes"] == [
        "A tropical",
        "B dry",
        "C temperate",
        "E polar",
    ]
    assert levels["climate_type"]["parent_index"] == [0, 1, 2, 3]
    assert len(koeppen) == 31
    assert len(igbp) == 17
    assert len(climate_levels(koeppen)["climate_type"]["classes"]) == 14


def test_the_made_up_planet_is_read_every_thing_at_its_place():
    "The Earth on one grid."
    with tempfile.TemporaryDirectory() as folder:
        table = made_up_wheels(folder)
        earth = read_earth(fetch(folder, table, progress=False), table, progress=False)
    land, warm, zone = planet(earth.lat.values[:, None], earth.lon.values)
    assert ((earth.landcover > 0).values == land).mean() > 0.97
    assert (earth.climate.values + 1 == zone)[land].mean() > 0.97
    assert ((earth.elevation == 28 * 30 - 450).values == land).mean() > 0.95
    assert earth.elevation.max() == 390
    assert earth.elevation.min() == 0
    points = planet(earth.point_lat.values[:, None], earth.point_lon.values)[1]
    assert np.abs(earth.temperature.mean("month") - points).max() < 1e-4


def test_patches_of_land_have_their_centres_on_land(small_earth):
    "Patches."
    found, dropped = find_patches(small_earth, size=6, min_land=0.9)
    assert planet(found.lat.values, found.lon.values)[0].all()
    assert found.lat.min() > -60
    assert len(found) + sum(dropped.values()) == (270 // 6) * (540 // 6)
    assert set(dropped) == {"less than 90% land", "south of 60°S"}
    with pytest.raises(ValueError, match="no patch of 270×270 pixels has 100% land"):
        find_patches(small_earth, 270, 1.0)


def test_a_ramp_to_the_east_by_hand():
    "What a photograph can tell."
    # a ramp to the east by hand: 1 % at the equator, twice as steep at 60°
    ramp = 0.01 * degree_metres / 15 * np.arange(8) * np.ones((8, 1))
    steep = patch_slope(np.stack([ramp, ramp, ramp.T]), np.array([0.0, 60, 60]), 1 / 15)
    np.testing.assert_allclose(np.tan(np.radians(steep[0])), 0.01)
    np.testing.assert_allclose(np.tan(np.radians(steep[1])), 0.02)
    np.testing.assert_allclose(np.tan(np.radians(steep[2])), 0.01)


def test_each_patch_carries_the_values_of_its_place(small_and_small_dropped):
    "The sample set."
    small, small_dropped = small_and_small_dropped
    check_samples(small)
    _, warm, zone = planet(small.lat.values, small.lon.values)
    inside = np.abs(np.abs(small.lat.values) % 20 - 10) < 7
    names = np.array(small.climate.attrs["classes"])[small.climate.values]
    assert (names == np.array(list(koeppen))[zone - 1])[inside].all()
    assert len(set(names)) == 4
    assert np.abs(small.temperature.values[:, 0] - warm).max() < 1
    assert np.abs(small.weather[..., 0].values[:, 6] - warm - 6).max() < 1
    assert np.allclose(small.precipitation.values[:, 0], 48 * np.maximum(warm, 0), atol=48)
    assert np.abs(small.elevation_mean - 390).max() < 60


def test_the_levels_of_the_climate_agree_and_the_split_separates_no_neighbours(small_and_small_dropped):
    "The sample set."
    small, small_dropped = small_and_small_dropped
    mods = modalities(small)
    types = np.array(mods["climate"].parent_index)[small.climate.values]
    mains = np.array(mods["climate_type"].parent_index)[small.climate_type.values]
    assert np.array_equal(types, small.climate_type)
    assert np.array_equal(mains, small.climate_group)
    rows = np.abs(small.row.values[:, None] - small.row.values)
    columns = np.abs(small.col.values[:, None] - small.col.values) % 89
    near = (rows <= 1) & (columns <= 1)
    assert near.sum() > len(near)
    assert (small.split.values[:, None] == small.split.values)[near].all()
    assert small_dropped["beside another split"] > 0


def test_prepare_makes_a_store_once_and_makes_no_other_in_its_place():
    "Preparing."
    # prepare makes a store once, and makes no other in its place; a folder must be there
    with tempfile.TemporaryDirectory() as folder:
        table = made_up_wheels(folder)
        options = dict(size=6, min_land=0.9, sources=table, progress=False)
        path = prepare(folder, **options)
        stored = open_store(path).load()
        manifest = read_manifest(path)
        with mock.patch("mtl_explain.datasets.globe.fetch", side_effect=AssertionError):
            assert prepare(folder, **options) == path
        with pytest.raises(FileExistsError, match="was made with other settings"):
            prepare(folder, **options | dict(seed=1))
        with (
            mock.patch("mtl_explain.datasets.globe.fetch", side_effect=AssertionError),
            pytest.raises(FileNotFoundError, match="no such folder: .*typo; make it, or name none"),
        ):
            prepare(Path(folder) / "typo", **options)
        assert not (Path(folder) / "typo").exists()
    check_samples(stored)
    assert [s["sha256"] for s in manifest["sources"]] == [s["sha256"] for s in table.values()]
    assert manifest["settings"]["size"] == 6
    assert len(manifest["dropped"]) == 3


def test_the_sample_is_a_part_of_the_whole_evenly_from_the_zones(small_and_small_dropped):
    "A small real sample."
    small, small_dropped = small_and_small_dropped
    shares = dict(train=30, valid=8, test=8)
    with tempfile.TemporaryDirectory() as folder:
        path = make_sample(small, Path(folder) / "part.nc", shares)
        with xr.open_dataset(path, engine="h5netcdf") as file:
            part = file.load()
    assert part.sizes["sample"] == 46
    assert part.split.to_series().value_counts().to_dict() == shares
    assert not set(derived) & set(part)
    part = with_derived(part)
    xr.testing.assert_equal(part, small.sel(sample=part.sample))
    assert np.bincount(part.climate[:30]).min() >= 4
    assert modalities(part) == modalities(small)


def test_without_a_prepared_store_there_is_the_small_sample_and_it_says_so():
    "A small real sample."
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, MTL_EXPLAIN_DATA=folder),
        contextlib.redirect_stdout(io.StringIO()) as said,
    ):
        samples = load()
    check_samples(samples)
    assert samples.sizes["sample"] == 270
    assert "small sample of 270 real patches" in said.getvalue()
    assert sample_file.stat().st_size < 1.5e6
    with pytest.raises(FileNotFoundError, match="no store at nowhere"):
        load("nowhere")


def test_all_five_kinds(sample):
    "What it looks like."
    assert set(describe(sample).kind) == {"image", "series", "tabular", "category", "mask"}
    describe(sample)


def test_two_patches_of_two_climates(sample):
    "What it looks like."
    zones = np.array(sample.climate.attrs["classes"])[sample.climate.values]
    for zone in ("BWh", "Dfc"):
        axes = plot_patch(sample, sample.sample.values[zones == zone][0])
        assert axes[3].get_title().startswith(zone)


def test_the_split_of_the_small_sample(sample):
    "What it looks like."
    ax = plot_split(sample)
    assert len(ax.collections) == 3


def test_each_family_has_its_three_variants_and_the_samples_have_what_they_name(sample):
    "Experiments."
    for name, setup in setups.items():
        family, variant, *_ = name.split("-")
        assert setup.variant.lower() == variant
        assert setup.main in (family, f"{family}_log")
        assert setup.core == ("optical",)
        check_samples(sample, setup)
    assert np.isclose(setups["landcover-mtl"].weights["landcover"], 0.6)
    assert np.isclose(setups["climate-mtl"].weights["climate_type"], 0.4 / 3)
    setup_table(setups.values())


def test_the_traces_are_traces_of_the_same_patches_and_tasks():
    "A small real trace."
    # the traces are traces, of the same patches and tasks; what is written is read again
    shipped, control = load_trace()
    check_trace(shipped, modalities(load_sample()))
    assert shipped.attrs["main"] == "climate"
    assert shipped.sizes["epoch"] == 12
    assert shipped.sizes["sample"] == 633
    assert (control.sample == shipped.sample).all()
    np.testing.assert_array_equal(control.truth, shipped.truth)
    assert trace_file.stat().st_size < 6e5
    with tempfile.TemporaryDirectory() as folder:
        again = make_trace(shipped, control, Path(folder) / "trace.nc")
        with xr.open_dataset(again, engine="h5netcdf", group="apart") as file:
            xr.testing.assert_identical(file.load(), control)
    right = (shipped.predicted == shipped.truth) == shipped.correct
    assert right.sel(task="climate").all()


def test_it_says_what_it_is():
    "The dataset."
    assert "10 setups" in repr(dataset)
