"""A scene, as a network reads it

Written by nbdev-export from the check cells of nbs/api/data/11_scene.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rasterio.windows import Window

from mtl_explain.data.inputs import raster_bands
from mtl_explain.data.scene import (
    Scene, common_windows, constant_input, opened_inputs, pixel_problem, read_input, sample_windows,
    standardise_window, window_mean, window_mode,
)
from mtl_explain.files.raster import band_names, ground_size, open_raster
from mtl_explain.modality import Modality
from mtl_explain.testing.scene import write_raster


# a height model, a photograph, a number, a class and a series
@pytest.fixture(scope='module')
def height():
    return Modality("height", "image", (1, 8, 8), ("height",), units="m", mean=(4.0,), std=(5.0,))


@pytest.fixture(scope='module')
def photograph():
    return Modality(
        "photograph", "image", (3, 8, 8), ("x0", "x1", "x2"), mean=(90.0, 91, 92), std=(50.0,) * 3
    )


@pytest.fixture(scope='module')
def warmth():
    return Modality("warmth", "tabular", (1,), ("warmth",), mean=(10.0,), std=(5.0,))


@pytest.fixture(scope='module')
def zone():
    return Modality("zone", "category", classes=("wet", "dry", "cold"))


@pytest.fixture(scope='module')
def rain():
    return Modality("rain", "series", (2, 1), ("rain",), mean=(50.0,), std=(9.0,))


def test_what_two_rasters_share_and_rasters_that_do_not_fit():
    "Rasters on one grid."
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:

        def made(name, shape, *args, **options):
            path = Path(folder) / f"{name}.tif"
            write_raster(path, np.zeros((1, *shape), "float32"), *args, **options)
            return stack.enter_context(open_raster(path))

        def shared(a, b):
            return tuple(common_windows(dict(a=a, b=b)).values())

        dsm = made("dsm", (20, 30))
        found = shared(dsm, made("a", (15, 40), (120_000.75, 487_000.5)))
        assert found == (Window(3, 0, 27, 13), Window(0, 2, 27, 13))
        plain = made("plain", (8, 9), crs=None)
        plain2 = made("plain2", (8, 9), crs=None)
        assert shared(plain, plain2) == (Window(0, 0, 9, 8), Window(0, 0, 9, 8))
        with pytest.raises(
            ValueError,
            match=r"b.tif: its projection is EPSG:32631, that of .*dsm.tif is EPSG:28992; "
            "bring one onto the grid",
        ):
            shared(dsm, made("b", (20, 30), crs="EPSG:32631"))
        with pytest.raises(ValueError, match="its projection is not known"):
            shared(dsm, made("c", (20, 30), crs=None))
        with pytest.raises(
            ValueError, match="its pixels are 0.5 × 0.5, those of .*dsm.tif 0.25 × 0.25; resample"
        ):
            shared(dsm, made("d", (20, 30), pixel=0.5))
        with pytest.raises(
            ValueError, match=r"lie between those of .*dsm.tif \(by 0.40 and 0.00 of a pixel\)"
        ):
            shared(dsm, made("e", (20, 30), (120_000.1, 487_000.0)))
        with pytest.raises(
            ValueError,
            match="does not overlap .*dsm.tif: x 121000 to 121007.5, y 486995 to 487000 "
            "and x 120000 to 120007.5",
        ):
            shared(dsm, made("f", (20, 30), (121_000.0, 487_000.0)))
        with pytest.raises(
            ValueError, match="it has 9 × 9 pixels, .* 8 × 9, and neither says where it lies"
        ):
            shared(made("g", (8, 9), crs=None), made("h", (9, 9), crs=None))
        (Path(folder) / "no.tif").write_text("no raster")
        with pytest.raises(ValueError, match="no.tif: cannot be read"):
            open_raster(Path(folder) / "no.tif")
        with pytest.raises(FileNotFoundError, match="no such raster: nowhere.tif"):
            open_raster("nowhere.tif")


def test_grids_whose_pixels_fill_each_other():
    "Rasters on one grid."
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:

        def made(name, shape, corner, pixel):
            path = write_raster(Path(folder) / f"{name}.tif", np.zeros((1, *shape)), corner, pixel)
            return stack.enter_context(open_raster(path))

        fine = made("fine", (12, 25), (990.0, 2000.0), 10)
        coarse = made("coarse", (10, 10), (1000.0, 2000.0), 20)
        found = common_windows(dict(fine=fine, coarse=coarse), dict(fine=2, coarse=1))
        assert found == dict(fine=Window(1, 0, 20, 12), coarse=Window(0, 0, 10, 6))
        found = common_windows(dict(coarse=coarse, fine=fine), dict(fine=2))
        assert found == dict(fine=Window(1, 0, 20, 12), coarse=Window(0, 0, 10, 6))
        odd = made("odd", (10, 10), (1005.0, 2000.0), 20)
        with pytest.raises(ValueError, match=r"odd.tif: its pixels lie between .* \(by 0.75 and 0.00"):
            common_windows(dict(fine=fine, odd=odd), dict(fine=2, odd=1))
        with pytest.raises(ValueError, match=r"\(in training 1 of them lay beside 3\); resample"):
            common_windows(dict(fine=fine, coarse=coarse), dict(fine=3, coarse=1))
        third = made("third", (4, 4), (990.0, 2000.0), 30)  # three of 20 m beside two of 30 m
        left = made("left", (6, 6), (990.0, 2000.0), 20)
        found = common_windows(dict(left=left, third=third), dict(left=3, third=2))
        assert found == dict(left=Window(0, 0, 6, 6), third=Window(0, 0, 4, 4))


def test_metres_on_the_ground():
    "How large is a pixel?"
    # metres on the ground: in metres, in degrees, in the Mercator of the web, in feet, nowhere
    with tempfile.TemporaryDirectory() as folder:

        def size_of(crs, corner, pixel):
            path = write_raster(Path(folder) / "a.tif", np.zeros((1, 4, 4)), corner, pixel, crs)
            with open_raster(path) as file:
                return ground_size(file), pixel_problem(file, optical)

        optical = Modality("optical", "image", (1, 8, 8), ("a",), pixel_size=10.0)
        size, problem = size_of("EPSG:32632", (500_000, 5_300_000), 10.0)
        assert size == pytest.approx(10, rel=0.01)
        assert problem == ""
        size, problem = size_of("EPSG:4326", (11.0, 60.0), 1e-3)
        assert size == pytest.approx(111.2 * np.sqrt(0.5), rel=0.01)
        assert "its pixels are 78.6 m wide, those of 'optical' were 10 m in training" in problem
        size, problem = size_of("EPSG:3857", (1_000_000, 8_399_700), 20.0)
        assert size == pytest.approx(10, rel=0.02), "at 60° north half of what the map says"
        assert size_of("EPSG:2263", (980_000, 200_000), 10.0)[0] == pytest.approx(3.05, rel=0.01)
        assert size_of(None, (0, 0), 1.0) == (None, "")


def test_bands_holes_and_nodata(height, photograph):
    "What the network gets to see."
    with tempfile.TemporaryDirectory() as folder:
        heights = np.full((1, 4, 6), 7, "float32")
        heights[0, 0, :3] = np.inf, 3.4e38, -9999
        heights[0, 3, 5] = -8888
        photo = np.full((4, 4, 6), 100, "uint8")
        photo[:3, :, 0] = 255
        photo[3, :, 0] = 0
        dsm = write_raster(Path(folder) / "a.tif", heights, nodata=-8888)
        image = write_raster(Path(folder) / "b.tif", photo, photometric="RGB", alpha="YES")
        five = write_raster(Path(folder) / "c.tif", np.zeros((5, 4, 6), "uint8"))
        with open_raster(dsm) as d, open_raster(image) as i, open_raster(five) as f:
            values, known = read_input(d, Window(0, 0, 6, 4), height)
            assert known.sum() == 20
            assert (values == 7).all()
            assert not read_input(d, Window(0, 0, 3, 1), height)[1].any()
            cold = replace(height, units="K", mean=(270.0,))
            values, known = read_input(d, Window(0, 0, 6, 4), cold)
            assert known.sum() == 22, "what is no height may be as large as it likes"
            assert (values[0, :, 5] == [7, 7, 7, 270]).all()
            values, known = read_input(i, Window(0, 0, 6, 4), photograph)
            assert values[:, 2, 0].tolist() == [90, 91, 92]
            assert values.shape == (3, 4, 6)
            assert known.sum() == 20
            assert (values[:, known] == 100).all()
            assert raster_bands(band_names(i), photograph, "b.tif") == [1, 2, 3]
            with pytest.raises(
                ValueError, match=r"c.tif: expected 3 bands for 'photograph' \(x0, x1, x2\), got 5"
            ):
                raster_bands(band_names(f), photograph, "c.tif")


def test_a_sample_of_a_raster_tells_units_and_types_of_numbers():
    "What the network gets to see."
    assert [tuple(w.flatten()) for w in sample_windows(Window(5, 7, 30, 20))] == [(5, 7, 30, 20)]
    many = sample_windows(Window(0, 0, 2000, 100))
    assert len(many) == 12
    assert {(w.width, w.height) for w in many} == {(64, 64)}
    assert max(w.col_off for w in many) == 1936


def test_heights_in_centimetres_are_noticed(height):
    "What the network gets to see."
    known = np.ones((2, 2), bool)
    nine = np.full((1, 2, 2), 9, "float32")
    assert standardise_window(nine, known, height, "a.tif").tolist() == [[[1, 1], [1, 1]]]
    with pytest.raises(
        ValueError,
        match="a.tif: values of 900 in the mean, where 'height' was 4 ± 5 in training: other units",
    ):
        standardise_window(100 * nine, known, height, "a.tif")


def test_means_and_most_frequent_classes_of_small_pixels_and_large_ones(zone, warmth):
    "What is no image."
    with tempfile.TemporaryDirectory() as folder:
        warm = np.arange(24, dtype="float32").reshape(1, 4, 6)
        warm[0, 0, 0] = -99
        kinds_there = np.array([[[0, 0, 1, 1, 2, 255]] * 4], "uint8")
        path = write_raster(Path(folder) / "warm.tif", warm, (0.0, 40.0), 10.0, nodata=-99)
        labels = write_raster(Path(folder) / "zone.tif", kinds_there, (0.0, 40.0), 10.0, nodata=255)
        with open_raster(path) as file, open_raster(labels) as label:

            def mean(*bounds):
                found = window_mean(file, bounds, warmth, [1])
                return None if found is None else found.item()

            assert mean(0, 20, 20, 40) == pytest.approx((1 + 6 + 7) / 3), "a hole does not count"
            assert mean(20, 0, 60, 20) == warm[0, 2:, 2:].mean()
            assert mean(33, 12, 36, 15) == warm[0, 2, 3], "inside of one pixel"
            assert mean(50, -500, 900, 10) == warm[0, 3, 5], "beyond the edge"
            assert mean(70, 0, 80, 10) is None
            assert mean(0, 30, 10, 40) is None, "a hole, and nothing else"
            assert window_mode(label, (0, 0, 30, 40), zone) == 0
            assert window_mode(label, (20, 0, 40, 40), zone) == 1
            assert window_mode(label, (50, 0, 60, 40), zone) is None
            two = replace(zone, classes=("wet", "dry"))
            with pytest.raises(ValueError, match="zone.tif: a value of 2, where 'zone' has .* 0 to 1:"):
                window_mode(label, (0, 0, 60, 40), two)


def test_constants_and_what_is_none(zone, warmth, rain, height):
    "What is no image."
    assert constant_input("dry", zone) == constant_input(1, zone) == 1
    assert constant_input(12, warmth).tolist() == [12]
    assert constant_input([[1], [2]], rain).shape == (2, 1)
    for value, m, match in (
        (
            "hot",
            zone,
            r"'zone': expected a raster, a class \(wet, dry, cold\) or its number, got 'hot'",
        ),
        (3, zone, "or its number, got 3"),
        ([1, 2], warmth, r"'warmth': expected a raster or 1 numbers \(warmth\), got \[1, 2\]"),
        ("warm", warmth, "expected a raster or 1 numbers"),
        (float("nan"), warmth, "'warmth': expected finite numbers, got nan"),
        (5, rain, r"'rain': expected numbers of shape \(2, 1\) \(rain\), got 5"),
        (5, height, "'height' is of kind image: expected a raster, got 5"),
    ):
        with pytest.raises(ValueError, match=match):
            constant_input(value, m)


def test_two_grids_a_mean_a_class_and_a_series_in_one_scene(warmth, zone, rain):
    "All together."
    # two grids, a mean, a class and a series in one scene; holes on each grid
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        folder = Path(folder)
        mods = dict(
            optical=Modality(
                "optical", "image", (2, 8, 8), ("x0", "x1"), mean=(0.0, 10.0), std=(1.0, 2.0)
            ),
            dem=Modality("dem", "image", (1, 4, 4), ("h",), units="m", mean=(100.0,), std=(10.0,)),
            soil=Modality("soil", "mask", (4, 4), classes=("sand", "clay")),
            warmth=warmth,
            zone=zone,
            rain=rain,
        )
        bands = np.stack([np.zeros((20, 24)), np.full((20, 24), 12.0)]).astype("float32")
        bands[:, 2, 3] = np.nan
        levels = np.full((1, 10, 12), 110.0, "float32")
        levels[0, 5, 5] = -9999
        rasters = dict(
            optical=write_raster(folder / "o.tif", bands, (0.0, 200.0), 10.0),
            dem=write_raster(folder / "d.tif", levels, (0.0, 200.0), 20.0),
            soil=write_raster(folder / "s.tif", np.ones((1, 10, 12), "uint8"), (0.0, 200.0), 20.0),
            warmth=write_raster(folder / "w.tif", np.full((1, 2, 2), 15.0), (0.0, 200.0), 150.0),
            zone="dry",
            rain=[[50.0], [59.0]],
            rain_time=[15, 45],
        )
        files, constants = opened_inputs(rasters, mods, tuple(mods), stack)
        scene = Scene(files, mods, tuple(mods), constants)
        assert scene.shape == (10, 12)
        assert scene.scales == dict(optical=2, dem=1, soil=1)
        assert scene.grid(2)[0] == (20, 24)
        assert scene.grid(2)[1].a == 10
        x, known = scene.read([0, 2], [0, 4], (4, 4), (1, 2))
        assert {n: tuple(v.shape) for n, v in x.items()} == dict(
            optical=(2, 2, 8, 8),
            dem=(2, 1, 4, 4),
            soil=(2, 4, 4),
            warmth=(2, 1),
            zone=(2,),
            rain=(2, 2, 1),
            rain_time=(2, 2),
        )
        assert x["optical"][0, :, 0, 0].tolist() == [0, 1]
        assert (x["dem"] == 1).all(), "a hole is filled from its neighbours"
        assert x["warmth"].tolist() == [[1], [1]]
        assert x["zone"].tolist() == [1, 1]
        assert x["rain"][0, :, 0].tolist() == [0, 1]
        assert np.argwhere(~known[1]).tolist() == [[0, 0, 1, 1], [1, 0, 3, 1]]
        fine = np.argwhere(~known[2]).tolist()
        assert fine == [[0, 0, 2, 3], *([1, 0, r, c] for r in (6, 7) for c in (2, 3))]


def test_what_is_missing_and_what_is_no_input(zone, warmth, rain):
    "All together."
    with ExitStack() as stack:
        for rasters, match in (
            (dict(zone="dry"), "no raster of 'warmth' was given; the network reads zone, warmth"),
            (dict(zone="dry", warmth=3, dem="a.tif"), "'dem' is no input of this network, which reads"),
            (dict(zone="wett", warmth=3), "expected a raster, a class .*, got 'wett'"),
            (dict(zone="dry", warmth="wett"), "no such raster: wett"),
        ):
            with pytest.raises((ValueError, FileNotFoundError), match=match):
                opened_inputs(rasters, dict(zone=zone, warmth=warmth), ("zone", "warmth"), stack)
        with pytest.raises(
            ValueError, match="'rain' is a series: no raster shows one; give its values"
        ):
            opened_inputs(dict(rain="a.tif"), dict(rain=rain), ("rain",), stack)
        with pytest.raises(ValueError, match="'rain_time': expected 2 days, got 5"):
            given = dict(rain=[[1.0], [2.0]], rain_time=5)
            opened_inputs(given, dict(rain=rain), ("rain",), stack)
        with pytest.raises(ValueError, match="the network reads zone, and no image: there are no"):
            Scene({}, dict(zone=zone), ("zone",), dict(zone=np.int64(1)))
