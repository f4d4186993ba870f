"""Crop fields

Written by nbdev-export from the check cells of nbs/api/datasets/02_cropyield_fields.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import rasterio
from rasterio.transform import from_origin
from scipy.ndimage import zoom

from mtl_explain.data.native import BadSample
from mtl_explain.datasets.cropyield_fields import (
    aggregate_between_scenes, average_points, bands, check_place, coarsen_grid, crops, enlarge, field_grid,
    field_weather, one_hot_classes, read_field, read_fields, read_placed, read_points, read_scene,
    read_terrain, read_weather, scene_paths, split_fields,
)
from mtl_explain.files.raster import Grid, to_grid, write_geotiff
from mtl_explain.simulate.crops.fields import simulate_crops, simulate_field, simulate_plan


@pytest.fixture(scope='module')
def world():
    "A simulated world of four small fields."
    home = Path(tempfile.mkdtemp())
    return simulate_crops(home / "world", n=4, seed=5, hectares=1.5, workers=1, progress=False)


@pytest.fixture(scope='module')
def fields(world):
    "The fields of the simulated world."
    return read_fields(world)


@pytest.fixture(scope='module')
def truths(fields, world):
    "The truth of each field, and what is read of it."
    plan = simulate_plan(4, 5, 1.5).set_index("field", drop=False)
    return {
        name: (simulate_field(plan.loc[name], 5), read_field(world, row, read_weather(world)))
        for name, row in fields.iterrows()
    }


def test_shares_of_497_fields_and_all_years_in_all_splits():
    "The table of fields."
    year = np.random.default_rng(0).integers(2017, 2024, 497)
    counts = pd.crosstab(year, split_fields(year))[["train", "valid", "test"]].values
    assert np.allclose(counts.sum(0) / 497, [0.6, 0.2, 0.2], atol=0.005)
    assert np.abs(counts / counts.sum(1, keepdims=True) - [0.6, 0.2, 0.2]).max() < 0.05
    assert (split_fields(year[:40]) == split_fields(year[:40])).all()


def test_four_fields_all_well(fields):
    "The table of fields."
    assert len(fields) == 4
    assert (fields.problem == "").all()
    assert set(fields.crop) == set(crops)
    assert (fields.harvest > fields.sowing).all()
    assert dict(fields.split.value_counts()) == dict(train=2, valid=1, test=1)
    fields.drop(columns=["problem", "crs"])


def test_five_points_by_hand():
    "Yield points to pixels."
    points = pd.DataFrame(
        {
            "x": [1001, 1009, 1015, 1029, 1031],
            "y": [1999, 1991, 1985, 1971, 1971],
            "yield": [2, 4, 5, 7, 9.0],
        }
    )
    mean, count = average_points(points, Grid((3, 3), from_origin(1000, 2000, 10, 10)))
    assert mean[0, 0] == 3  # the last point lies outside
    assert mean[1, 1] == 5
    assert mean[2, 2] == 7
    assert np.isnan(mean[0, 1])
    assert count.sum() == 4


def test_a_million_points_against_pandas():
    "Yield points to pixels."
    x, y, v = np.random.default_rng(0).uniform(0, 500, (3, 1_000_000))
    points = pd.DataFrame({"x": x, "y": y, "yield": v})
    mean, count = average_points(points, Grid((50, 50), from_origin(0, 500, 10, 10)))
    row = ((500 - y) // 10).astype(int)
    column = (x // 10).astype(int)
    assert np.allclose(mean, pd.Series(v).groupby([row, column]).mean().unstack().values)
    assert count.sum() == 1_000_000


def test_faults_of_a_sensor_stop_it_or_are_left_out():
    "Yield points to pixels."
    outside = r"2 of 4 points outside 0 .. 40 t/ha, e.g. -0.2: other units\?"
    no_numbers = "2 of 3 points have something else than numbers, first in row 2"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.csv"
        path.write_text("x,y,yield\n1,1,3.5\n2,1,-0.2\n3,1,90\n4,1,17\n")
        with pytest.raises(ValueError, match=outside):
            read_points(path)
        assert read_points(path, (0, 15))["yield"].tolist() == [3.5]
        with pytest.raises(ValueError, match="no point with a yield from 4 to 5"):
            read_points(path, (4, 5))
        path.write_text("x,y,yield\n1,1,3.5\n2,1,\n3,1,three\n")
        with pytest.raises(ValueError, match=no_numbers):
            read_points(path)


def test_classes_by_hand():
    "Scenes."
    found = one_hot_classes(np.array([[4, 9], [0, 255]]))
    assert (found.sum(0) == 1).all()
    assert found[4, 0, 0]
    assert found[9, 0, 1]
    assert found[0, 1, 0]
    assert found[12, 1, 1]
    for code in (12, 14, 254):
        with pytest.raises(ValueError, match=f"unknown scene class {code}"):
            one_hot_classes(np.array([[4, code]]))


def test_a_ramp_a_single_pixel_a_gap():
    "Scenes."
    # a ramp, a single pixel, a gap; and random numbers as GDAL enlarges them, from 20 m and from 60 m
    ramp = np.arange(100, 1300, 100, dtype="uint16")[None, None].repeat(6, 1)
    assert enlarge(ramp, 2)[0, 3].tolist()[:5] == [100, 125, 175, 225, 275]
    assert (enlarge(np.full((1, 1, 2), 7, "uint16"), 6) == np.full((6, 12), 7)).all()
    flat = np.full((2, 6, 12), 800, "uint16")
    flat[0, 2, 3] = 0
    assert np.array_equal(enlarge(flat, 2), flat.repeat(2, 1).repeat(2, 2))
    noise = np.random.default_rng(0).integers(1, 9000, (3, 6, 12)).astype("uint16")
    for k in (2, 6):
        grid = Grid((6 * k, 12 * k), from_origin(600_000, 7e6, 10, 10), "EPSG:32720")
        theirs = to_grid(noise.astype("float64"), coarsen_grid(grid, 10 * k), grid)
        assert np.abs(enlarge(noise, k) - theirs).max() < 0.51


def test_places_and_bands_are_compared():
    "Scenes."
    def check(folder, corner=(600_000, 7e6), names=("B01", "B09")):
        path = Path(folder) / "one.tif"
        write_geotiff(path, np.ones((2, 6, 6), "uint16"), corner, 20, "EPSG:32720")
        with rasterio.open(path, "r+") as file:
            file.descriptions = names
        place = Grid((6, 6), from_origin(600_000, 7e6, 20, 20), "EPSG:32720")
        return check_place(read_placed(path, crs="EPSG:32720"), place, ("B01", "B09"))


    elsewhere = (
        "lies elsewhere: upper left corner .* with pixels of 20 × 20 m, "
        "expected upper left corner 600000.0, 7000000.0"
    )
    with tempfile.TemporaryDirectory() as folder:
        assert check(folder).shape == (2, 6, 6)
        assert check(folder, names=(None, None)).all()  # a file need not name its bands
        for corner in ((600_020, 7e6), (600_000, 7e6 + 0.01)):
            with pytest.raises(ValueError, match=elsewhere):
                check(folder, corner)
        with pytest.raises(ValueError, match="expected the bands B01 B09, got 2: B09 B01"):
            check(folder, names=("B09", "B01"))


def test_the_first_scene_of_a_field(fields, world):
    "Scenes."
    row = fields.iloc[0]
    paths = scene_paths(world, row)
    grid = field_grid(row, next(iter(paths.values()))["10m"])
    scene = read_scene(row.name, next(iter(paths.values())), grid)
    assert scene.shape == (25, *grid.shape)
    assert (scene[12:].sum(0) == 1).all()
    assert scene[:12].max() > 500
    assert len(paths) > 12


def test_four_days_by_hand():
    "Weather."
    day = pd.DataFrame(
        dict(
            temperature_min=[5.0, 3, 9, 0],
            temperature_mean=[10.0, 12, 14, 0],
            temperature_max=[20.0, 21, 25, 0],
            precipitation=[0.0, 2, 4, 99],
        ),
        pd.date_range("2020-01-01", periods=4),
    )
    steps = aggregate_between_scenes(day, [pd.Timestamp("2020-01-02"), pd.Timestamp("2020-01-03")])
    assert np.allclose(steps, [[3, 11, 21, 2], [9, 14, 25, 4]])


def test_weather_of_the_simulated_world(world, fields):
    "Weather."
    day = field_weather(read_weather(world), fields.iloc[0])
    assert len(day) == (fields.harvest.iloc[0] - fields.sowing.iloc[0]).days + 1
    assert (day.temperature_min <= day.temperature_max).all()
    assert day.precipitation.sum() > 50


def test_a_plane_comes_back_exactly_on_an_offset_grid():
    "Terrain."
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plane.tif"
        x = np.array([1305.0, 1415.0])
        y = np.array([8605.0, 8495.0])
        column, row = np.meshgrid(np.arange(30), np.arange(30))
        heights = 100 + 0.1 * (1015 + 30 * column) + 0.05 * (8985 - 30 * row)
        write_geotiff(path, heights, (1000, 9000), 30, "EPSG:32720")
        found = read_terrain("f", path, x, y, "EPSG:32720")
    assert np.allclose(found[:, 0], 100 + 0.1 * x + 0.05 * y, atol=1e-3)
    assert np.allclose(found[:, 1], 6.3794, atol=1e-3)
    assert np.allclose(found[:, 2], 243.435, atol=1e-2)
    assert np.allclose(found[:, 3], 0, atol=1e-6)


def test_shapes_and_days_to_harvest(fields, world):
    "A field."
    row = fields.iloc[0]
    weather = read_weather(world)
    one = read_field(world, row, weather)
    n, t = one["satellite"].shape[:2]
    assert one["dem"].shape == (n, 5)
    assert one["weather"].shape == (t, 4)
    assert one["yield"].shape == (n, 1)
    assert (np.diff(one["satellite_time"]) < 0).all()
    assert one["satellite_time"][-1] >= 0
    days = read_field(world, row, weather, daily=True)
    assert len(days["weather"]) == (row.harvest - row.sowing).days + 1
    assert days["weather_time"][[0, -1]].tolist() == [(row.harvest - row.sowing).days, 0]


def test_dates_bands_and_classes_come_back_exactly_coarse_bands_up_to_their(truths, fields):
    "What went in comes out."
    # dates, bands and classes come back exactly, coarse bands up to their resampling
    def enlarged(values, n):
        return zoom(values.astype(float), n, order=1, mode="nearest", grid_mode=True)


    for name, (truth, got) in truths.items():
        r = got["row"]
        c = got["column"]
        satellite = got["satellite"]
        assert truth["harvest"] == fields.harvest[name]
        assert [(truth["harvest"] - d).days for d in truth["dates"]] == got["satellite_time"].tolist()
        for k, s in enumerate(truth["scenes"]):
            assert np.array_equal(satellite[:, k, bands.index("B04")], s["10m"][2][r, c])
            assert np.array_equal(satellite[:, k, 12:].argmax(1), s["SCL"][r // 2, c // 2])
            for band, values, n in (("B11", s["20m"][4], 2), ("B09", s["60m"][1], 6)):
                if values.all():
                    error = satellite[:, k, bands.index(band)] - enlarged(values, n)[r, c]
                    assert np.abs(error).max() < 0.51


def test_heights_come_back_within_the_errors_of_the_elevation_model_weather_as(world, truths, fields):
    "What went in comes out."
    # heights come back within the errors of the elevation model, weather as a table of days says it
    raw = pd.read_csv(world / "weather" / "era5_daily.csv").set_index("date")
    for name, (truth, got) in truths.items():
        height = truth["ground"]["height"][got["row"], got["column"]]
        assert np.abs(got["dem"][:, 0] - height).max() < 2.5
        assert np.isfinite(got["dem"]).all()
        far = np.hypot(raw.latitude - fields.lat[name], raw.longitude - fields.lon[name])
        here = raw[far < 0.5].sort_index()
        first = truth["dates"][0] + pd.Timedelta(1, "D")  # the day after the first scene
        last = truth["dates"][1]
        second = here.loc[str(first.date()) : str(last.date())]
        wanted = [
            second.t2m_min.min() - 273.15,
            second.t2m_mean.mean() - 273.15,
            second.t2m_max.max() - 273.15,
            1000 * second.tp.sum(),
        ]
        assert np.allclose(got["weather"][1], wanted, atol=1e-3)


def test_yields_come_back_up_to_what_the_harvester_did_to_them(truths, fields):
    "What went in comes out."
    pairs = []
    for truth, got in truths.values():
        at = (got["row"], got["column"])
        inside = truth["window"]["mask"][at]
        pair = np.stack([truth["grain"][at], got["yield"][:, 0]])[:, inside]
        assert abs(np.median(pair[1] / pair[0]) - 1) < 0.12
        pairs.append(pair)
    assert np.corrcoef(*np.concatenate(pairs, 1))[0, 1] > 0.95
    fig, ax = plt.subplots(figsize=(3.4, 3), dpi=70, layout="constrained")
    lines = {
        crop: ax.plot(*pair, ".", ms=2, color=crops[crop])[0]
        for pair, crop in zip(pairs, fields.crop, strict=True)
    }
    ax.axline((0, 0), slope=1, color="gray", lw=0.8)
    ax.legend(lines.values(), lines, markerscale=4, fontsize=8)
    ax.set_title("pixels of four fields")
    ax.set(xlabel="simulated yield [t/ha]", ylabel="yield read [t/ha]")


def test_rows_of_the_table_that_cannot_be_used(world):
    "What went in comes out."
    row = pd.read_csv(world / "fields.csv", dtype=str).iloc[0].to_dict()


    def says(**change):
        rows = [row, row | dict(field="b"), row | dict(field="c") | change]
        with tempfile.TemporaryDirectory() as folder:
            pd.DataFrame(rows).to_csv(Path(folder) / "fields.csv", index=False)
            return read_fields(folder).problem.iloc[2]


    assert says() == ""
    assert says(field="a/b") == "the field has no name that can be a file name"
    assert says(field=row["field"]) == "this id occurred before"
    assert says(crop="rye") == "unknown crop 'rye'; known: maize, soybean, wheat"
    assert "is not after sowing" in says(harvest="2001-01-01")
    assert says(sowing="12/31/2018").startswith("sowing and harvest must be dates")
    assert says(year="") == says(lat="x") == "year, lat and lon must be numbers"
    assert says(year="2019.5") == "year is 2019.5, expected a whole number"
    assert "in metres" in says(crs="EPSG:4326")
    assert says(crs="Mars") == "unknown coordinate system 'Mars'"


def test_windows_and_cells_that_do_not_fit(fields):
    "What went in comes out."
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.tif"
        one = fields.iloc[0]
        for shape, pixel in (((6, 10), 10), ((6, 6), 20)):
            write_geotiff(path, np.ones(shape, "uint16"), (600_000, 7e6), pixel, one.crs)
            got = f"got {pixel} × {pixel} m and 6 × {shape[1]} pixels"
            with pytest.raises(BadSample, match=f"one.tif: expected 10 m pixels .* {got}"):
                field_grid(one, path)
        profile = dict(driver="GTiff", count=1, height=9, width=9, dtype="float32", crs=one.crs)
        with rasterio.open(path, "w", transform=from_origin(0, 0, 30, 20), **profile):
            pass
        with pytest.raises(BadSample, match="expected square cells from north to south, got 30 × 20 m"):
            read_terrain("f", path, np.array([100.0]), np.array([-100.0]), one.crs)
