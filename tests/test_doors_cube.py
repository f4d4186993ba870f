"""From a data cube

Written by nbdev-export from the check cells of nbs/api/doors/02_cube.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from rasterio import CRS

from mtl_explain.doors.cube import _days_of, samples_from_cube


@pytest.fixture(scope='module')
def make_cube_cube_words_and_samples():
    def make_cube(n=48, seed=0):
        "A cube of (time, y, x) with a label that follows from when a pixel is green."
        rng = np.random.default_rng(seed)
        crop = rng.integers(0, 2, (n // 8, n // 8)).repeat(8, 0).repeat(8, 1)
        month = np.arange(12)[:, None, None]
        green = np.exp(-((month - np.where(crop, 4, 7)) ** 2) / 2)
        nir = (3000 + 2000 * green + rng.normal(0, 100, green.shape)).astype("uint16")
        red = (1500 - 1000 * green + rng.normal(0, 100, green.shape)).astype("uint16")
        nir[2, :4, :4] = 65535
        code = np.where(crop, 1101, 1201)
        code[:, -8:] = 0
        time = np.datetime64("2020-11-15") + np.arange(12) * np.timedelta64(30, "D")
        height = np.add.outer(np.arange(n), np.arange(n)) * 1.0
        dims = ("t", "y", "x")
        return xr.Dataset(
            dict(
                B04=(dims, red, dict(units="1e-4")),
                B08=(dims, nir, dict(units="1e-4")),
                elevation=(("y", "x"), height, dict(units="m")),
                crop=(("y", "x"), code),
                crs=((), 0, dict(crs_wkt=CRS.from_epsg(32631).to_wkt())),
            ),
            dict(t=time, y=5_612_000 - 10.0 * np.arange(n), x=664_000 + 10.0 * np.arange(n)),
            dict(title="a valley"),
        )
    cube = make_cube()
    words = dict(
        s2=dict(source=["B04", "B08"], nodata=65535),
        dem="elevation",
        crop=dict(source="crop", classes={1101: "wheat", 1201: "maize"}),
    )
    samples = samples_from_cube(cube, 8, **words)
    return make_cube, cube, words, samples


def test_windows_are_what_stands_in_the_cube(make_cube_cube_words_and_samples):
    "A valley in a cube."
    # windows are what stands in the cube; nodata is missing; places are those of the grid
    make_cube, cube, words, samples = make_cube_cube_words_and_samples
    one = samples.sel(sample="8_16")
    assert (one.dem.values[0] == cube.elevation.values[8:16, 16:24]).all()
    assert (one.s2.values[:, 1] == cube.B08.values[:, 8:16, 16:24]).all()
    named = np.array(samples.crop.attrs["classes"])[one.crop.values]
    assert (np.where(named == "wheat", 1101, 1201) == cube.crop.values[8:16, 16:24]).all()
    assert int(samples.s2.isnull().sum()) == 16
    assert samples.s2_time.values.tolist() == (30 * np.arange(12)).tolist()
    assert samples.s2.dtype == "float32"
    assert np.allclose([one.lat, one.lon], [50.640, 5.321], atol=0.01)
    assert (samples.crop.sel(sample="0_40") == -1).all()
    assert samples.sizes["sample"] == 36
    # what nobody knows is left out if asked for, and said
    with pytest.warns(UserWarning, match="6 of 36 windows lack some of crop: left out"):
        assert samples_from_cube(cube, 8, known="crop", **words).sizes["sample"] == 30


def test_pixel_by_pixel(make_cube_cube_words_and_samples):
    "A valley in a cube."
    # pixel by pixel: series, numbers, categories; and overlapping windows
    make_cube, cube, words, samples = make_cube_cube_words_and_samples
    pixels = samples_from_cube(cube, 1, stride=4, **words)
    assert {n: pixels[n].attrs["kind"] for n in words} == dict(
        s2="series", dem="tabular", crop="category"
    )
    assert (pixels.s2.sel(sample="4_8").values[:, 1] == cube.B08.values[:, 4, 8]).all()
    overlapping = samples_from_cube(cube, 8, stride=4, dem="elevation")
    assert overlapping.sizes["sample"] == 11 * 11
    assert "row" not in overlapping.coords


def test_a_cube_in_a_file_in_zarr_as_one_array(make_cube_cube_words_and_samples):
    "A valley in a cube."
    # a cube in a file, in zarr, as one array; streamed into a store: the same samples
    make_cube, cube, words, samples = make_cube_cube_words_and_samples
    folder = Path(tempfile.mkdtemp())
    cube.to_netcdf(folder / "cube.nc", engine="h5netcdf")
    again = samples_from_cube(folder / "cube.nc", 8, **words)
    xr.testing.assert_equal(again, samples)
    stored = samples_from_cube(cube, 8, dest=folder / "store", progress=False, **words)
    xr.testing.assert_equal(stored.load(), samples)
    # another cube is not taken for the store that is there
    with pytest.raises(FileExistsError, match="was made with other settings"):
        samples_from_cube(make_cube(seed=1), 8, dest=folder / "store", progress=False, **words)
    bands = cube[["B04", "B08"]].to_dataarray("band")
    array = samples_from_cube(bands, 8, s2=["B04", "B08"])
    assert (
        array.s2.values[..., 1, :, :] == samples_from_cube(cube, 8, nir="B08").nir.values[:, :, 0]
    ).all()
    zarr = pytest.importorskip("zarr")
    cube.to_zarr(folder / "cube.zarr", consolidated=False, zarr_format=2)
    xr.testing.assert_equal(samples_from_cube(folder / "cube.zarr", 8, **words), samples)


def test_netcdf_3_other_names_of_axes_text_as_classes_units_of_each_channel(make_cube_cube_words_and_samples):
    "A valley in a cube."
    make_cube, cube, words, samples = make_cube_cube_words_and_samples
    old = cube.drop_vars("crs").assign(B08=cube.B08.astype("int32"), B04=cube.B04.astype("int32"))
    made = Path(tempfile.mkdtemp())
    old.to_netcdf(made / "old.nc", engine="scipy", format="NETCDF3_CLASSIC")
    read = samples_from_cube(made / "old.nc", 8, s2=["B04", "B08"], dem="elevation")
    xr.testing.assert_equal(read, samples_from_cube(old, 8, s2=["B04", "B08"], dem="elevation"))
    era = old.rename(t="valid_time", y="Lat", x="Lon")
    era = era.assign_coords(Lat=np.linspace(50, 51, 48), Lon=np.linspace(5, 6, 48))
    renamed = samples_from_cube(era, 8, s2=["B04", "B08"])
    assert (renamed.s2.values == read.s2.values).all()
    assert {"lat", "lon"} <= set(renamed.coords)
    text = np.where(cube.crop == 1101, "wheat", np.where(cube.crop == 0, "", "maize"))
    named_cube = cube.assign(crop=(("y", "x"), text))
    named = samples_from_cube(named_cube, 8, crop="crop")
    assert named.crop.attrs["classes"] == ["maize", "wheat"]
    coded = samples_from_cube(cube, 8, crop=dict(source="crop", classes={1201: "maize", 1101: "wheat"}))
    assert (named.crop.values == coded.crop.values).all()
    with pytest.raises(ValueError, match="'maize' is none of the classes wheat"):
        samples_from_cube(named_cube, 8, crop=dict(source="crop", classes=["wheat", "rye"]))
    both = samples_from_cube(cube.assign(B08=cube.B08.assign_attrs(units="%")), 8, s2=["B04", "B08"])
    assert both.s2.attrs["units"] == "1e-4, %"
    assert _days_of(np.array([datetime(2020, 1, 1), datetime(2020, 3, 1)], object)).tolist() == [0, 60]
    # times that are no dates are said, with what can be done
    for units, calendar in (("days since 2020-01-01", "noleap"), ("months since 2020-01-01", None)):
        about = dict(units=units) | (dict(calendar=calendar) if calendar else {})
        strange = old.assign_coords(t=("t", np.arange(12.0), about))
        strange.to_netcdf(made / "strange.nc", engine="h5netcdf")
        with pytest.raises(ValueError, match=f"cannot be read as dates \\('t' in '{units}'"):
            samples_from_cube(made / "strange.nc", 8, s2="B04")
    (made / "torn.nc").write_bytes(b"CDF\\x01torn")
    with pytest.raises(ValueError, match="torn.nc: cannot be read as netCDF"):
        samples_from_cube(made / "torn.nc", 8, s2="B04")


def test_what_does_not_fit_is_one_line(make_cube_cube_words_and_samples):
    "A valley in a cube."
    make_cube, cube, words, samples = make_cube_cube_words_and_samples
    with pytest.raises(ValueError, match="'s2': no variable 'B4' in the cube; it has B04, B08"):
        samples_from_cube(cube, 8, s2="B4")
    with pytest.raises(ValueError, match="windows no larger than the 48 × 48 pixels"):
        samples_from_cube(cube, 64, dem="elevation")
    with pytest.raises(ValueError, match="'mix': the axes of elevation are y, x, expected t, y, x"):
        samples_from_cube(cube, 8, mix=["B04", "elevation"])
    with pytest.raises(ValueError, match="the cube has no axis y or lat or latitude; it has t, row"):
        samples_from_cube(cube.rename(y="row"), 8, dem="elevation")
    with pytest.raises(ValueError, match="no modality was named; the cube has the variables B04"):
        samples_from_cube(cube, 8)
    with pytest.raises(FileNotFoundError, match="no such cube"):
        samples_from_cube("none.nc", 8, dem="elevation")
    with pytest.raises(ValueError, match="are no classes"):
        samples_from_cube(cube, 8, dem=dict(source="elevation", kind="mask", values=[0.5, 1]))
    with pytest.raises(ValueError, match="'clases' is no option .* \\(did you mean 'classes'\\?\\)"):
        samples_from_cube(cube, 8, crop=dict(source="crop", clases={1101: "wheat"}))
    with pytest.raises(ValueError, match="no modality can be called 'row'"):
        samples_from_cube(cube, 8, row="elevation")
    with pytest.raises(ValueError, match="if 'step' is time, call it so"):
        samples_from_cube(cube.rename(t="step"), 8, s2="B04")
    by_field = xr.Dataset(dict(t2m=(("field", "month"), np.zeros((3, 12)))))
    with pytest.raises(ValueError, match="what has no grid is a table: cube.to_dataframe"):
        samples_from_cube(by_field, 1, t2m="t2m")
    part = cube.isel(x=slice(40, 48))
    with pytest.raises(ValueError, match="2 classes for the values 0; say which value is which"):
        samples_from_cube(part, 4, crop=dict(source="crop", classes=["none", "wheat"]))
