"""From a STAC catalogue

Written by nbdev-export from the check cells of nbs/api/doors/04_stac.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from rasterio.warp import transform_bounds

from mtl_explain.doors.stac import samples_from_stac
from mtl_explain.files.raster import read_raster, write_geotiff


@pytest.fixture(scope='module')
def pystac_folder_items_and_samples():
    pystac = pytest.importorskip("pystac")
    pytest.importorskip("odc.stac")
    folder = Path(tempfile.mkdtemp())
    def make_items(folder, dates=("2023-05-01", "2023-06-01", "2023-07-01"), n=40):
        "STAC items with their files; each pixel says where it is and when."
        corner = (500_000, 5_540_000)
        south = corner[1] - 10 * n
        edges = transform_bounds(
            "EPSG:32632", "EPSG:4326", corner[0], south, corner[0] + 10 * n, corner[1]
        )
        west, south, east, north = edges
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        items = []
        for k, date in enumerate(dates):
            when = np.datetime64(date).astype("datetime64[s]").item()
            place = {"type": "Polygon", "coordinates": [ring]}
            item = pystac.Item(f"scene-{k}", place, list(edges), when, {"proj:code": "EPSG:32632"})
            for j, band in enumerate(("red", "nir")):
                path = folder / f"{date}_{band}.tif"
                row, column = np.mgrid[:n, :n]
                values = (10_000 * (2 * k + j) + 100 * row + column + 1).astype("uint16")
                write_geotiff(path, values, corner, 10, "EPSG:32632", nodata=0)
                item.add_asset(band, pystac.Asset(str(path), media_type="image/tiff", roles=["data"]))
            items.append(item)
        return items
    items = make_items(folder)
    samples = samples_from_stac(
        items, 8, s2=dict(source=["red", "nir"], nodata=0), crs="EPSG:32632", resolution=10
    )
    return pystac, folder, items, samples


def test_windows_hold_what_the_files_hold_from_all_bands_and_dates_the_same(pystac_folder_items_and_samples):
    "From a STAC catalogue."
    # windows hold what the files hold, from all bands and dates the same place; dates are days
    pystac, folder, items, samples = pystac_folder_items_and_samples
    one = samples.isel(sample=int(np.argmax((samples.s2 > 0).all(samples.s2.dims[1:]).values)))
    start = int(one.s2.values[0, 0, 0, 0]) - 1
    row, column = divmod(start, 100)
    for k, date in enumerate(("2023-05-01", "2023-06-01", "2023-07-01")):
        for j, band in enumerate(("red", "nir")):
            whole = read_raster(folder / f"{date}_{band}.tif")[0]
            assert (one.s2.values[k, j] == whole[row : row + 8, column : column + 8]).all()
    assert samples.s2_time.values.tolist() == [0, 31, 61]
    assert abs(one.lat - 50.0) < 0.02
    # a file of items is as good as the items
    collection = pystac.ItemCollection(items).to_dict()
    (folder / "items.json").write_text(json.dumps(collection))
    again = samples_from_stac(
        folder / "items.json",
        8,
        s2=dict(source=["red", "nir"], nodata=0),
        crs="EPSG:32632",
        resolution=10,
    )
    xr.testing.assert_equal(again, samples)
    # one date is an image
    single = samples_from_stac(items[:1], 8, red="red", crs="EPSG:32632", resolution=10)
    assert single.red.attrs["kind"] == "image"


def test_what_is_not_there_is_one_line(pystac_folder_items_and_samples):
    "From a STAC catalogue."
    pystac, folder, items, samples = pystac_folder_items_and_samples
    with pytest.raises(ValueError, match="no item has the band 'blue'; their assets are nir, red"):
        samples_from_stac(items, 8, s2=["blue"])
    with pytest.raises(ValueError, match="no STAC item was given"):
        samples_from_stac([], 8, s2=["red"])
    with pytest.raises(FileNotFoundError, match="no such STAC file"):
        samples_from_stac(folder / "none.json", 8, s2=["red"])
