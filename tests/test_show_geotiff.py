"""Maps for a GIS

Written by nbdev-export from the check cells of nbs/api/show/06_geotiff.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.warp import transform as reproject

from mtl_explain.show.geotiff import export_field, export_patch, patch_place
from mtl_explain.testing.planted import planted_world


@pytest.fixture(scope='module')
def wrong_and_field():
    "One field of 4 × 6 pixels, its yield overestimated by a tenth, one crop misread."
    def both(a, b):
        return np.stack(np.broadcast_arrays(a, b), -1)[None].astype("float32")
    row, column = (v.ravel() for v in np.meshgrid(np.arange(4), np.arange(6), indexing="ij"))
    truth = 5.0 + row
    wrong = column == 2
    dims = ("epoch", "sample", "task")
    field = xr.Dataset(
        dict(
            error=(dims, both(0.1 * truth, wrong)),
            correct=(dims, both(np.nan, ~wrong)),
            predicted=(dims, both(1.1 * truth, wrong)),
            truth=(("sample", "task"), both(truth, 0)[0]),
        ),
        dict(
            epoch=[0],
            sample=[f"p{i}" for i in range(24)],
            task=["yield", "crop"],
            kind=("task", ["tabular", "category"]),
            units=("task", ["t/ha", ""]),
            group=("sample", np.full(24, "field 4")),
            row=("sample", row),
            column=("sample", column),
            lon=("sample", -64 + 1e-4 * column),
            lat=("sample", -27 - 9e-5 * row),
        ),
        dict(main="yield", kept=0),
    )
    return wrong, field


@pytest.fixture(scope='module')
def world_patches_and_name():
    "Patches with two dense tasks."
    world = planted_world(n_samples=40, n_groups=5, n_epochs=2, size=24, shown=3)
    patches = world.samples.assign_attrs(pixel_metres=10.0)
    name = str(world.trace.shown.values[1])
    return world, patches, name


def test_written_and_read_again_at_the_right_place(wrong_and_field):
    "Fields."
    wrong, field = wrong_and_field
    with tempfile.TemporaryDirectory() as folder:
        path = export_field(Path(folder) / "field.tif", field, "field 4", "yield", "crop")
        with rasterio.open(path) as file:
            assert file.descriptions == ("target", "prediction", "relative_error", "wrong")
            assert file.crs.to_epsg() == 4326
            assert np.allclose(file.read(3), 0.1)
            assert np.array_equal(file.read(4), wrong.reshape(4, 6))
            assert np.allclose(file.xy(3, 5), (-64 + 5e-4, -27 - 2.7e-4), atol=1e-7)
        assert [p.name for p in Path(folder).iterdir()] == ["field.tif"]


def test_by_hand():
    "Patches."
    # by hand: half a degree around a centre; 10 m in zone 32, whose central meridian has x = 500 km
    centres = xr.Dataset(
        coords=dict(sample=["a", "b"], lat=("sample", [50.0, -10.0]), lon=("sample", [9.0, np.nan]))
    )
    place, crs = patch_place(centres.assign_attrs(pixel_degrees=0.25), "a", 2, 4)
    assert crs == "EPSG:4326"
    assert place @ (0, 0) == (8.5, 50.25)
    assert place @ (4, 2) == (9.5, 49.75)
    place, crs = patch_place(centres.assign_attrs(pixel_metres=10.0), "a", 2, 4)
    assert crs == "EPSG:32632"
    assert np.allclose(place @ (2, 1), (500_000, 5_538_630.7), atol=0.1)
    assert np.allclose(place @ (4, 0), np.add(place @ (2, 1), (20, 10)))
    with pytest.raises(ValueError, match="how large a pixel is"):
        patch_place(centres, "a", 2, 4)
    with pytest.raises(ValueError, match="'b' has no centre"):
        patch_place(centres.assign_attrs(pixel_metres=10.0), "b", 2, 4)
    with pytest.raises(ValueError, match="no position"):
        patch_place(centres.drop_vars("lat"), "a", 2, 4)


def test_bands_say_what_they_are_stand_at_their_place_and_hold_what_the_trace(world_patches_and_name):
    "Patches."
    # bands say what they are, stand at their place, and hold what the trace holds
    world, patches, name = world_patches_and_name
    names = [f"{t} {w}" for t in ("landcover", "elevation") for w in ("truth", "prediction", "error")]
    error = world.trace.error.sel(task="elevation", sample=name).isel(epoch=-1)
    patch = patches.sel(sample=name)
    with tempfile.TemporaryDirectory() as folder:
        path = export_patch(Path(folder) / "patch.tif", world.trace, patches, name)
        with rasterio.open(path) as file:
            assert file.descriptions == tuple(names)
            assert file.res == (10, 10)
            assert np.isclose(file.read(6).mean(), error, rtol=1e-4)
            assert np.array_equal(file.read(1), patch.landcover)
            x, y = file.xy(11.5, 11.5)
            (lon,), (lat,) = reproject(file.crs, "EPSG:4326", [x], [y])
            assert np.allclose([lat, lon], [float(patch.lat), float(patch.lon)], atol=1e-6)
