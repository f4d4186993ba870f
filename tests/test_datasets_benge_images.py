"""Patches of BigEarthNet

Written by nbdev-export from the check cells of nbs/api/datasets/04_benge_images.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import os
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import rasterio
from rasterio.transform import Affine
from scipy.ndimage import zoom

from mtl_explain.data.native import BadSample
from mtl_explain.datasets.benge_images import (
    bands, parse_ids, read_band, read_optical, read_radar, tile_corner, to_ten_metres, unpack_examples,
    upsampling,
)
from mtl_explain.files.raster import write_geotiff


# the six patches in a folder, or why not
def real_patches(folder):
    try:
        with mock.patch.dict(os.environ, PIP_RETRIES="0", PIP_TIMEOUT="10"):
            found = unpack_examples(folder, progress=False)
    except OSError as error:
        pytest.skip(f"the six real patches are not to be had: {error}")
    partners = [pd.read_json(p, typ="series").corresponding_s2_patch for p in found]
    names = pd.DataFrame(dict(patch_id=partners, patch_id_s1=[p.parent.name for p in found]))
    return names.join(parse_ids(names.patch_id, names.patch_id_s1)).set_index("patch_id")


def test_twelve_bands_in_three_resolutions():
    "Bands."
    assert len(bands) == 12
    assert "B10" not in bands
    assert {1200 // n for n in bands.values()} == {10, 20, 60}


def test_four_real_names_one_with_a_lost_zero():
    "What a name says."
    # four real names, one with a lost zero; their corner against what their files say
    real = pd.DataFrame(
        dict(
            two=[
                "S2A_MSIL2A_20170613T101031_87_48",
                "S2A_MSIL2A_20170617T113321_36_85",
                "S2B_MSIL2A_20170924T93020_69_24",
                "S2A_MSIL2A_20171221T112501_56_35",
            ],
            one=[
                "S1A_IW_GRDH_1SDV_20170613T165043_33UUP_87_48",
                "S1A_IW_GRDH_1SDV_20170617T064724_29UPU_36_85",
                "S1A_IW_GRDH_1SDV_20170925T043256_35VPK_69_24",
                "S1A_IW_GRDH_1SDV_20171221T064238_29SND_56_35",
            ],
            x=[404400, 643200, 682800, 567180],
            y=[5342400, 5798040, 6971220, 4358040],
            epsg=[32633, 32629, 32635, 32629],
        )
    )
    found = parse_ids(real.two, real.one)
    assert list(found.tile) == ["33UUP", "29UPU", "35VPK", "29SND"]
    assert found.place[2] == "35VPK_69_24"
    assert found.scene[2] == "S2B_MSIL2A_20170924T93020_35VPK"
    for row, at in zip(found.itertuples(), real.itertuples(), strict=True):
        epsg, x, y = tile_corner(row.tile)
        assert epsg == at.epsg
        assert x + 1200 * int(row.column) == at.x
        assert y - 1200 * int(row.row) == at.y
    assert parse_ids(pd.Series(["S2A_1_2"]), real.one[:1]).place.isna().all()


def test_a_band_is_read_if_it_is_what_it_should_be():
    "A band."
    with tempfile.TemporaryDirectory() as folder:
        values = np.arange(400, dtype="uint16").reshape(20, 20)
        place = {}
        path = f"{folder}/a.tif"

        def write(values=values, corner=(404400, 5342400), crs="EPSG:32633"):
            write_geotiff(path, values, corner, 60.0, crs)

        def read():
            return read_band("a", path, 20, "uint16", place)

        write()
        assert np.array_equal(read(), values)
        assert place["bounds"][::3] == (404400, 5342400)
        wanted = r"expected 1 band\(s\) of 20 × 20 pixels of type uint16"
        for change, message in (
            (dict(values=values[:9, :9]), wanted + r", got 1 band\(s\) of 9 × 9"),
            (dict(values=values.astype("float32")), "of type float32"),
            (dict(values=np.stack([values] * 2)), r"got 2 band\(s\)"),
            (dict(corner=(404460, 5342400)), r"lies at \(404460, .*the patch at \(404400"),
            (dict(crs="EPSG:32632"), "in EPSG:32632, the patch at"),
            (dict(crs=None), "in no coordinate system"),
        ):
            write(**change)
            with pytest.raises(BadSample, match=message) as caught:
                read()
            assert caught.value.sample == "a"
            assert caught.value.file == path
        write()
        with rasterio.open(path, "r+") as file:
            file.scales = [0.0001]
        with pytest.raises(
            BadSample, match="expected uint16 as it stands, but its bands have scale 0.0"
        ):
            read()
        write()
        with rasterio.open(path, "r+") as file:
            turned = Affine(60, 0, 404400, 0, 60, 5342400 - 20 * 60)
            file.transform = turned
        with pytest.raises(BadSample, match="they run from south to north"):
            read_band("a", path, 20, "uint16", {})
        write()
        Path(path).write_bytes(Path(path).read_bytes()[:500])
        with pytest.raises(BadSample, match="cannot be read: truncated"):
            read()
        Path(path).unlink()
        with pytest.raises(BadSample, match="no such file"):
            read()


def test_two_pixels_become_four():
    "All bands on one grid."
    assert np.allclose(upsampling(2, 4) @ [0, 1], [0, 0.25, 0.75, 1])


def test_as_scipy_interpolates():
    "All bands on one grid."
    # as scipy interpolates; means are kept
    for size in (20, 60):
        values = np.random.default_rng(0).integers(0, 9000, (size, size)).astype("uint16")
        theirs = zoom(values.astype(float), 120 / size, order=1, mode="nearest", grid_mode=True)
        ours = to_ten_metres(values)
        assert ours.dtype == "uint16"
        assert np.abs(ours - theirs).max() < 0.51
        assert abs(ours.mean() - values.mean()) < 60
    assert to_ten_metres(np.zeros((120, 120), "uint16")).shape == (120, 120)
    assert np.allclose(upsampling(60).sum(1), 1)


def test_six_real_patches_are_read_as_they_come_and_lie_where_their_names_say():
    "Six real patches."
    with tempfile.TemporaryDirectory() as folder:
        table = real_patches(folder)
        assert len(table) == 6
        assert set(table.tile) == {"29SND", "29UPU", "33UUP", "35VPK"}
        for _, row in table.iterrows():
            place = {}
            epsg, x, y = tile_corner(row.tile)
            optical = read_optical(row, folder, place)
            radar = read_radar(row, folder, place)
            assert optical.shape == (12, 120, 120)
            assert optical.dtype == "uint16"
            assert 50 < optical[3].mean() < 5000
            assert radar.dtype == "float32"
            assert np.isfinite(radar).all()
            assert -30 < radar[1].mean() < radar[0].mean() < 0
            assert place["bounds"][::3] == (x + 1200 * int(row.column), y - 1200 * int(row.row))
            assert place["crs"].to_epsg() == epsg
