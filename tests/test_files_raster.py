"""Rasters

Written by nbdev-export from the check cells of nbs/api/files/05_raster.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import errno
import tempfile
import warnings
import zipfile
from io import BytesIO
from pathlib import Path
from unittest import mock

import h5py
import matplotlib.pyplot as plt
import numpy as np
import pytest
import rasterio.shutil
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from rasterio.transform import Affine
from rasterio.windows import Window

from mtl_explain.files.raster import (
    band_names, cloud_optimised, cut_patches, degree_grid, geotiff_writer, global_grid, grid_transform,
    ground_size, open_raster, patch_mean, patch_mode, read_hdf, read_raster, to_grid, unroll, valid_mask,
    write_geotiff,
)


@pytest.fixture(scope='module')
def landscape():
    "A smooth landscape, 40 by 60."
    rng = np.random.default_rng(0)
    return (
        np.sin(np.arange(60) / 9)[None]
        + np.cos(np.arange(40) / 7)[:, None]
        + rng.normal(0, 0.05, (40, 60))
    ).astype("float32")


@pytest.fixture(scope='module')
def tiff(landscape):
    "The bytes of a GeoTIFF."
    with MemoryFile() as _memory:
        with _memory.open(
            driver="GTiff",
            width=60,
            height=40,
            count=1,
            dtype="float32",
            crs="EPSG:4326",
            transform=Affine(1, 0, -30, 0, -1, 20),
        ) as _dst:
            _dst.write(landscape, 1)
        tiff = _memory.read()
    return tiff


def test_nodata_nan_and_infinite_pixels_hold_nothing():
    "What is missing."
    values = np.array([1.0, np.nan, np.inf, -np.inf, -9999.0])
    assert valid_mask(values, -9999).tolist() == [True, False, False, False, False]
    assert valid_mask(np.array([0, 255, 3], "uint8"), 255).tolist() == [True, False, True]


def test_what_is_written_is_read(tiff, landscape):
    "What a file says of its numbers and its rows."
    assert np.array_equal(
        read_raster(tiff, shape=(40, 60), dtype="float32", crs="EPSG:4326")[0], landscape
    )
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.tif").write_bytes(tiff)
        assert np.array_equal(read_raster(Path(folder) / "a.tif", bands=[1])[0], landscape)


def test_a_raster_which_is_missing_truncated_or_unexpected_is_one_clear_line(tiff):
    "What a file says of its numbers and its rows."
    with pytest.raises(FileNotFoundError, match="no such raster: nowhere.tif"):
        read_raster("nowhere.tif")
    with pytest.raises(ValueError, match="dem.tif: cannot be read, it is truncated"):
        read_raster(tiff[:5000], name="dem.tif")
    with pytest.raises(ValueError, match="no raster"):
        read_raster(b"not a raster at all")
    with pytest.raises(ValueError, match=r"expected shape \(10, 10\), got \(40, 60\)"):
        read_raster(tiff, shape=(10, 10))
    with pytest.raises(ValueError, match="expected dtype uint8, got float32"):
        read_raster(tiff, dtype="uint8")
    with pytest.raises(ValueError, match="expected crs EPSG:32632, got EPSG:4326"):
        read_raster(tiff, crs="EPSG:32632")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "no.tif").write_text("no raster")
        with pytest.raises(ValueError, match="no.tif: cannot be read, it is truncated or no raster"):
            open_raster(Path(folder) / "no.tif")
        crowded = OSError(errno.EMFILE, "Too many open files")
        with (
            mock.patch("os.open", side_effect=crowded),
            pytest.raises(OSError, match="Too many open files"),
        ):
            open_raster(Path(folder) / "no.tif")


def test_a_truncated_jpeg_or_png_is_an_error_and_not_a_grey_area():
    "What a file says of its numbers and its rows."
    def image_bytes(driver):
        with MemoryFile() as memory, warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with memory.open(driver=driver, width=64, height=64, count=3, dtype="uint8") as dst:
                dst.write(np.random.default_rng(0).integers(0, 255, (3, 64, 64), dtype="uint8"))
            return memory.read()


    for driver in ("JPEG", "PNG"):
        whole = image_bytes(driver)
        assert read_raster(whole).shape == (3, 64, 64)
        with pytest.raises(ValueError, match="truncated"):
            read_raster(whole[: len(whole) // 2])


def test_scale_and_offset_are_applied_nodata_is_not():
    "What a file says of its numbers and its rows."
    # scale and offset are applied, nodata is not; rows run from north to south
    north_up = Affine(1, 0, 5, 0, -1, 9)


    def written(folder, values, transform=north_up, **about):
        path = Path(folder) / f"{len(list(Path(folder).iterdir()))}.tif"
        shape = dict(count=len(values), height=values.shape[1], width=values.shape[2])
        how = dict(driver="GTiff", dtype=values.dtype, crs="EPSG:32632", transform=transform, **shape)
        with rasterio.open(path, "w", nodata=about.pop("nodata", None), **how) as file:
            file.write(values)
            for key, value in about.items():
                setattr(file, key, value)
        return path


    with tempfile.TemporaryDirectory() as folder:
        decimetres = np.array([[[75, -9999], [0, 20]]], "int16")
        path = written(folder, decimetres, nodata=-9999, scales=[0.1], offsets=[3.0])
        found = read_raster(path)
        np.testing.assert_allclose(found[0], [[10.5, np.nan], [3, 5]])
        assert found.dtype == "float32"
        with pytest.raises(
            ValueError, match="expected int16 as it stands, but .* scale 0.1 and offset"
        ):
            read_raster(path, dtype="int16")
        assert read_raster(written(folder, decimetres)).dtype == "int16"
        for tilted, match in (
            (Affine(1, 0, 5, 0, 1, 9), "they run from south to north"),
            (Affine(-1, 0, 5, 0, -1, 9), "they run from east to west"),
            (Affine(1, 0.2, 5, 0.2, -1, 9), "it is rotated"),
        ):
            with pytest.raises(ValueError, match=match):
                read_raster(written(folder, decimetres, tilted))
        two = np.zeros((2, 2, 2), "complex64")
        with pytest.raises(ValueError, match="expected real numbers, got complex64"):
            read_raster(written(folder, two))
        with open_raster(written(folder, np.zeros((4, 2, 2), "uint8"))) as file:
            assert band_names(file) == ("red", "green", "blue", "alpha")
        named = written(folder, np.zeros((2, 2, 2), "int16"), descriptions=["nir", ""])
        with open_raster(named) as file:
            assert band_names(file) == ("nir", "")


def test_rasters_in_archives_and_containers_of_several(tiff, landscape):
    "What a file says of its numbers and its rows."
    with tempfile.TemporaryDirectory() as folder:
        pack = Path(folder) / "pair.zip"
        with zipfile.ZipFile(pack, "w") as archive:
            archive.writestr("a.tif", tiff)
        for path in (f"zip://{pack}!a.tif", f"/vsizip/{pack}/a.tif", Path(f"/vsizip/{pack}/a.tif")):
            assert np.array_equal(read_raster(path)[0], landscape)
        for path in (f"zip://{pack}!b.tif", f"/vsizip/{pack}/b.tif", f"zip://{folder}/no.zip!a.tif"):
            with pytest.raises(FileNotFoundError, match="no such raster"):
                read_raster(path)
        with pytest.raises(ValueError, match="cannot be read, it is truncated or no raster"):
            read_raster("https://localhost:1/a.tif")
        box = Path(folder) / "two.h5"
        with h5py.File(box, "w") as file:
            file["red"] = np.ones((8, 8))
            file["green"] = np.zeros((8, 8))
        with pytest.raises(
            ValueError, match="two.h5: has no bands but 2 subdatasets: give one of them"
        ):
            read_raster(box)
        with open_raster(f'HDF5:"{box}"://red') as file:
            assert file.read(1).all()
        empty = Path(folder) / "none.h5"
        h5py.File(empty, "w").close()
        with pytest.raises(ValueError, match="none.h5: "):
            read_raster(empty)


def test_other_units_show_in_the_range():
    "What a file says of its numbers and its rows."
    def hdf_of(**values):
        with h5py.File(buffer := BytesIO(), "w") as file:
            for name, value in values.items():
                file[name] = value
        return buffer.getvalue()


    assert read_hdf(hdf_of(t=np.array([3.0, 20.0])), "t", -90, 60).tolist() == [3, 20]
    with pytest.raises(ValueError, match="t: values from 290 to 290, expected -90 to 60: other units?"):
        read_hdf(hdf_of(t=np.full(3, 290.0)), "t", -90, 60)
    with pytest.raises(ValueError, match="t: cannot be read, the file is truncated or another one"):
        read_hdf(hdf_of(a=np.zeros(3)), "t", 0, 1)
    with pytest.raises(ValueError, match="t: cannot be read"):
        read_hdf(hdf_of(t=np.zeros(3000))[:500], "t", 0, 1)


def test_pixel_centres_lie_half_a_pixel_inside():
    "Grids."
    earth = degree_grid(15)
    assert earth.shape == (2700, 5400)
    assert np.isclose(earth.x[0], -180 + 1 / 30)
    assert np.isclose(earth.x[-1], 180 - 1 / 30)
    assert np.isclose(earth.y[0], 90 - 1 / 30)


def test_the_earth_is_twice_as_wide_as_high():
    "Grids."
    assert global_grid(np.zeros((3, 1800, 3600))) == degree_grid(10)
    with pytest.raises(ValueError, match="5×7 pixels does not span the Earth"):
        global_grid(np.zeros((5, 7)))


def test_four_pixels_by_hand():
    "Grids."
    fine = degree_grid(1, 0, 4, (4, 4))
    coarse = degree_grid(0.5, 0, 4, (2, 2))
    classes = np.array([[1, 2], [3, 4]], "uint8")
    there = to_grid(classes, coarse, fine, "nearest")
    assert np.array_equal(there, classes.repeat(2, 0).repeat(2, 1))
    assert np.array_equal(to_grid(there, fine, coarse, "mode"), classes)
    numbers = np.arange(16, dtype="float32").reshape(4, 4)
    assert np.allclose(to_grid(numbers, fine, coarse, "average"), [[2.5, 4.5], [10.5, 12.5]])
    numbers[0, 0] = np.nan
    assert np.isclose(to_grid(numbers, fine, coarse, "average")[0, 0], (1 + 4 + 5) / 3)


def test_a_plane_stays_where_it_is():
    "Grids."
    plane = np.add.outer(degree_grid(1).y, 2 * degree_grid(1).x).astype("float32")
    moved = to_grid(plane, degree_grid(1), degree_grid(3), "bilinear")
    expected = np.add.outer(degree_grid(3).y, 2 * degree_grid(3).x)
    assert np.abs(moved - expected)[3:-3, 3:-3].max() < 1e-3


def test_values_which_do_not_fit_their_grid_are_an_error():
    "Grids."
    with pytest.raises(ValueError, match=r"values of shape \(3, 3\) do not lie on a grid of \(4, 4\)"):
        to_grid(np.zeros((3, 3)), degree_grid(1, 0, 4, (4, 4)), degree_grid(1))


def test_a_wave_that_runs_around_the_earth_is_met_at_its_place_across_the_date():
    "Longitudes from 0 to 360."
    # a wave that runs around the Earth is met at its place, across the date line too
    lon = np.arange(0, 360, 0.5)
    lat = np.linspace(90, -90, 361)
    wave = np.broadcast_to(np.sin(np.radians(lon + 30)), (361, 720)).astype("float32")
    wave, grid = unroll(wave, 0.5)
    target = degree_grid(3)
    met = to_grid(wave, grid, target)
    assert np.abs(met - np.sin(np.radians(target.x + 30))).max() < 1e-3
    with pytest.raises(ValueError, match="do not go around the Earth"):
        unroll(wave, 0.25)


def test_patches_stand_where_they_stood():
    "Patches."
    image = np.arange(2 * 7 * 9).reshape(2, 7, 9)
    patches = cut_patches(image, 3)
    assert patches.shape == (2, 3, 2, 3, 3)
    assert np.array_equal(patches[1, 2], image[:, 3:6, 6:9])
    with pytest.raises(ValueError, match="holds no patch of 8×8"):
        cut_patches(image, 8)


def test_means_and_majorities_by_hand():
    "Patches."
    labels = np.array([[0, 0, 2, 2], [0, 1, 2, -1]])
    assert patch_mode(labels, 2, 3)[0].tolist() == [[0, 2]]
    assert patch_mode(labels, 2, 3)[1].tolist() == [[0.75, 1.0]]
    assert patch_mode(labels, 2, 3, labels > 0)[0].tolist() == [[1, 2]]
    assert patch_mode(labels, 2, 3, labels > 5)[0].tolist() == [[-1, -1]]
    values = np.array([[1.0, 2, np.nan, 4], [3, 4, 6, 8]])
    assert patch_mean(values, 2).tolist() == [[2.5, 6.0]]
    assert patch_mean(values, 2, values > 4)[0, 1] == 7
    assert np.isnan(patch_mean(values, 2, values > 9)).all()
    assert patch_mean(values, 2, np.array([[1, 0, 1, 0], [0, 3, 3, 1]]))[0].tolist() == [3.25, 6.5]


def test_a_landscape_its_patches_their_means(landscape):
    "Patches."
    fig, axes = plt.subplots(1, 2, figsize=(8, 2.8))
    axes[0].imshow(landscape, cmap="viridis")
    axes[0].set(title="40 × 60 pixels", xlabel="column", ylabel="row")
    for k in range(8, 60, 8):
        axes[0].axvline(k - 0.5, color="w", lw=0.7)
    for k in range(8, 40, 8):
        axes[0].axhline(k - 0.5, color="w", lw=0.7)
    axes[1].imshow(patch_mean(landscape, 8), cmap="viridis")
    axes[1].set(title="means of 5 × 7 patches of 8 × 8", xlabel="patch column", ylabel="patch row")
    fig.tight_layout()
    assert patch_mean(landscape, 8).shape == (5, 7)


def test_a_small_raster_read_back():
    "Writing."
    with tempfile.TemporaryDirectory() as folder:
        write_geotiff(
            Path(folder) / "a/b.tif",
            np.arange(6, dtype="int16").reshape(2, 3),
            (500_000, 5_600_000),
            10.0,
            "EPSG:32632",
            nodata=-1,
        )
        with rasterio.open(Path(folder) / "a/b.tif") as file:
            assert (file.read(1) == [[0, 1, 2], [3, 4, 5]]).all()
            assert file.nodata == -1
            assert file.crs.to_epsg() == 32632
            assert tuple(file.bounds) == (500_000, 5_599_980, 500_030, 5_600_000)


def test_the_same_numbers_names_and_colours_in_another_layout():
    "Writing."
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plain.tif"
        classes = np.random.default_rng(0).integers(0, 3, (1200, 1100)).astype("uint8")
        tags = [dict(classes="0 field, 1 house, 2 road")]
        about = dict(names=["cover"], tags=tags, nodata=255)
        place = (Affine(10, 0, 0, 0, -10, 0), "EPSG:32632")
        with geotiff_writer(path, (1, 1200, 1100), "uint8", *place, **about) as file:
            file.write(classes, 1)
            file.write_colormap(1, {0: (1, 2, 3, 255), 1: (9, 9, 9, 255)})
        cloud_optimised(path, Path(folder) / "cloud.tif")
        with rasterio.open(Path(folder) / "cloud.tif") as file:
            assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert file.overviews(1) == [2, 4]
            assert (file.read(1) == classes).all()
            assert file.descriptions == ("cover",)
            assert file.tags(1)["classes"] == "0 field, 1 house, 2 road"
            assert file.colormap(1)[1] == (9, 9, 9, 255)
            assert file.nodata == 255
        path.write_bytes(path.read_bytes()[:9000])
        with pytest.raises(ValueError, match="plain.tif: cannot be read, it is truncated or no raster"):
            cloud_optimised(path, Path(folder) / "broken.tif")
        full = OSError(errno.ENOSPC, "No space left on device")
        with mock.patch.object(rasterio.shutil, "copy", side_effect=full):
            with pytest.raises(OSError, match="cloud2.tif: the disk is full; nothing of it was kept"):
                cloud_optimised(path, Path(folder) / "cloud2.tif")
        assert sorted(p.name for p in Path(folder).iterdir()) == ["cloud.tif", "plain.tif"]


def test_a_large_raster_window_by_window_with_names_units_and_tags():
    "Writing."
    # a large raster, window by window, with names, units and tags; what fails leaves nothing
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a" / "map.tif"
        maps = np.arange(2 * 32 * 48, dtype="float32").reshape(2, 32, 48)
        about = dict(
            names=["classes", "height"],
            units=["", "m"],
            tags=[dict(classes="0 field, 1 house"), {}],
            nodata=np.nan,
            tiled=True,
            blockxsize=16,
            blockysize=16,
        )

        def write(rows):
            with geotiff_writer(
                path, maps.shape, maps.dtype, Affine(1, 0, 5, 0, -1, 7), None, **about
            ) as file:
                for row in rows:
                    window = Window(0, row, 48, 16)
                    file.write(maps[:, row : row + 16], window=window)
                    assert not path.exists()

        def power_cut():
            yield 0
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write(power_cut())
        assert list(path.parent.iterdir()) == []
        write([0, 16])
        assert list(path.parent.iterdir()) == [path]
        with open_raster(path) as file:
            assert np.array_equal(file.read(), maps)
            assert file.descriptions == ("classes", "height")
            assert file.units == ("", "m") or file.units == (None, "m")
            assert file.tags(1)["classes"] == "0 field, 1 house"
            assert np.isnan(file.nodata)
            assert (file.transform.c, file.transform.f, file.block_shapes[0]) == (5, 7, (16, 16))


def test_a_turned_grid_and_points_on_no_grid():
    "Where pixels lie."
    column, row = (v.ravel() for v in np.meshgrid(np.arange(5), np.arange(4)))
    turned = Affine(1e-4, 2e-5, -64, 1e-5, -9e-5, -27)
    lon, lat = np.array([turned @ (c + 0.5, r + 0.5) for c, r in zip(column, row, strict=True)]).T
    assert np.allclose(grid_transform(column, row, lon, lat), turned, atol=1e-9)
    with pytest.raises(ValueError, match="do not lie on a grid"):
        grid_transform(column, row, lon + 1e-4 * (column == 2), lat)
    with pytest.raises(ValueError, match="one line"):
        grid_transform(column[:5], row[:5], lon[:5], lat[:5])


def test_metres_on_the_ground():
    "Where pixels lie."
    # metres on the ground: a degree of longitude at 60° north is half of one at the equator
    with tempfile.TemporaryDirectory() as folder:
        for crs, corner, pixel, metres in (
            ("EPSG:32632", (500_000, 5_300_000), 10.0, 10.0),
            ("EPSG:4326", (11.0, 60.0), 1e-3, 111.2 * np.sqrt(0.5)),
            ("EPSG:3857", (1_000_000, 8_399_700), 20.0, 10.0),
        ):
            path = Path(folder) / f"{pixel}.tif"
            write_geotiff(path, np.zeros((1, 4, 4), "float32"), corner, pixel, crs)
            with open_raster(path) as file:
                assert ground_size(file) == pytest.approx(metres, rel=0.02)
