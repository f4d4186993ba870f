"""Simulated Europe

Written by nbdev-export from the check cells of nbs/api/simulate/europe/02_patches.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio

from mtl_explain.datasets.benge_images import bands
from mtl_explain.simulate.europe.patches import block_mean, choose_places, plan, simulate_europe


def test_ids_are_unique_places_come_back_in_other_seasons_neighbours_touch():
    "Where and when."
    table = plan(300, seed=1)
    assert len(table) == 300
    assert table.patch_id.is_unique
    assert table.patch_id_s1.is_unique
    assert table.equals(plan(300, seed=1))
    assert not table.equals(plan(300, seed=2))
    assert (table.groupby(["tile", "block"]).visit.nunique() > 1).mean() > 0.4
    assert table.country.value_counts().index[0] == "Finland"
    assert plan(12).country.nunique() == 3
    _, one = next(iter(table.groupby(["tile", "block", "visit"], sort=False)))
    assert sorted(one.x - one.x.min()) == [0, 0, 1200, 1200]
    assert table.lat.between(36, 71).all()
    assert table.lon.between(-10, 33).all()
    assert ((table.time_s1 - table.time_s2).abs() < pd.Timedelta(days=3)).all()
    assert table.time_s2.between("2017-06-01", "2018-06-01").all()
    with pytest.raises(ValueError, match="is full"):
        choose_places(5000, 0, 45)


def test_means_of_two_by_two_pixels():
    "The files."
    assert np.array_equal(block_mean(np.arange(16.0).reshape(4, 4), 2), [[2.5, 4.5], [10.5, 12.5]])


def test_five_patches_in_the_originals_layout_the_same_for_a_seed_with_one():
    "The files."
    # five patches in the original's layout, the same for a seed with one process and with two
    with tempfile.TemporaryDirectory() as folder:
        name = "ben-ge-mini"
        one, two = (
            simulate_europe(
                Path(folder) / f"v{w}" / name, n=5, seed=4, side=1, workers=w, progress=False
            )
            for w in (1, 2)
        )
        assert sorted(p.name for p in one.iterdir()) == [
            "ben-ge-mini_era-5.csv",
            "ben-ge-mini_esaworldcover.csv",
            "ben-ge-mini_meta.csv",
            "dem",
            "esaworldcover",
            "sentinel-1",
            "sentinel-2",
            "splits",
        ]
        files = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
        assert len(files) == 5 * 16 + 6
        assert all((one / f).read_bytes() == (two / f).read_bytes() for f in files)
        meta = pd.read_csv(one / f"{name}_meta.csv")
        era = pd.read_csv(one / f"{name}_era-5.csv")
        cover = pd.read_csv(one / f"{name}_esaworldcover.csv")
        patch = meta.patch_id[0]
        for band, size in bands.items():
            with rasterio.open(one / "sentinel-2" / patch / f"{patch}_{band}.tif") as file:
                assert file.shape == (size, size)
                assert file.dtypes == ("uint16",)
                assert file.res == (1200 / size,) * 2
        assert len(meta) == 5
        assert list(meta) == [
            "patch_id",
            "patch_id_s1",
            "timestamp_s2",
            "timestamp_s1",
            "season_s2",
            "season_s1",
            "lon",
            "lat",
            "climatezone",
        ]
        assert "wind-u_s2" in era
        assert "bare/sparse_vegetation" in cover
        for row in cover.itertuples():
            with rasterio.open(one / "esaworldcover" / f"{row.patch_id}_esaworldcover.tif") as file:
                code = file.read(1)
            written = [row.tree_cover, row.grassland, row.cropland]
            assert np.allclose(written, [(code == c).mean() for c in (10, 30, 40)])
        lists = [one / "splits" / f"{name}_{s}.csv" for s in ("train", "val", "test")]
        assert sum(len(p.read_text().split()) for p in lists) == 5
        with pytest.raises(FileExistsError, match="exists already"):
            simulate_europe(one)
        with pytest.raises(ValueError, match="too few"):
            simulate_europe(Path(folder) / "x", n=2)
