"""Archives by name

Written by nbdev-export from the check cells of nbs/api/doors/05_archives.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from mtl_explain.doors.archives import (
    TreeSeries, read_bigearthnet, read_eurosat, read_pastis, read_treesat_series,
)
from mtl_explain.doors.sources import image_series
from mtl_explain.files.raster import write_geotiff


@pytest.fixture(scope='module')
def trees_and_names():
    def write_place(folder, name, n=5, seed=0):
        "A place of TreeSatAI-Time-Series, smaller than a real one; the third date is under clouds."
        rng = np.random.default_rng(seed)
        photo = rng.integers(0, 255, (4, 16, 16)).astype("uint8")
        corner = (560_000, 5_700_000 + 60 * seed)
        write_geotiff(folder / f"aerial/{name}.tif", photo, corner, 0.2, "EPSG:25832")
        (folder / "sentinel-ts").mkdir(exist_ok=True)
        with h5py.File(folder / f"sentinel-ts/{name}.h5", "w") as file:
            for sensor, channels in (("sen-2", 10), ("sen-1-asc", 2), ("sen-1-des", 2)):
                file[f"{sensor}-data"] = rng.random((n, channels, 6, 6)).astype("float32")
                products = [f"S2A_MSIL2A_2020{m:02d}05T103421_N0213" for m in range(1, n + 1)]
                file[f"{sensor}-products"] = np.array(products, "S60")
            masks = np.zeros((n, 10, 6, 6), "float32")
            masks[2, 1] = 90
            file["sen-2-masks"] = masks
    trees = Path(tempfile.mkdtemp())
    names = [f"Abies_alba_1_{k}_WEFL_NLF" for k in range(3)]
    for k, name in enumerate(names):
        write_place(trees, name, 5 + k, k)
    (trees / "labels").mkdir()
    shares = {
        f"{names[0]}.tif": [["Abies", 0.9], ["Pinus", 0.05]],
        f"{names[1]}.tif": [["Pinus", 1.2], ["Quercus", 0.8]],
        f"{names[2]}.tif": [["Quercus", 1.0]],
    }
    (trees / "labels/TreeSatBA_v9_60m_multi_labels.json").write_text(json.dumps(shares))
    for split, name in zip(("train", "val", "test"), names, strict=True):
        (trees / f"{split}_filenames.lst").write_text(f"{name}.tif\n")
    return trees, names


def test_a_few_patches_in_the_published_folders_in_both_versions():
    "EuroSAT."
    made = Path(tempfile.mkdtemp())
    rng = np.random.default_rng(0)
    for name in ("Forest", "River", "SeaLake"):
        for i in range(1, 5):
            image = rng.integers(0, 3000, (13, 64, 64)).astype("uint16")
            place = ((9 + 0.1 * i, 50), 0.0001, "EPSG:4326")
            write_geotiff(made / f"ms/{name}/{name}_{i}.tif", image, *place)
    found = read_eurosat(made / "ms", progress=False)
    assert found.sizes["sample"] == 12
    assert found.landuse.attrs["classes"] == ["Forest", "River", "SeaLake"]
    assert found.image_channel.values[12] == "B8A"
    assert "Forest_1" in found.sample.values
    with pytest.raises(FileNotFoundError, match="no such folder"):
        read_eurosat(made / "none")


def test_three_patches_in_the_published_folders():
    "BigEarthNet v2."
    pytest.importorskip("pyarrow")
    ben = Path(tempfile.mkdtemp())
    rng = np.random.default_rng(0)
    rows = []
    for k, split in enumerate(("train", "validation", "test")):
        patch = f"S2A_MSIL2A_2017061{k}T101031_N9999_R022_T33UUP_26_5{k}"
        radar = f"S1A_IW_GRDH_1SDV_2017061{k}T165043_33UUP_26_5{k}"
        tile, scene = patch.rsplit("_", 2)[0], radar.rsplit("_", 3)[0]
        for bands, n in (("B02 B03 B04 B08", 12), ("B05 B06 B07 B8A B11 B12", 6)):
            for band in bands.split():
                values = rng.integers(0, 3000, (n, n)).astype("uint16")
                path = ben / f"BigEarthNet-S2/{tile}/{patch}/{patch}_{band}.tif"
                write_geotiff(path, values, (300_000, 5_300_000), 120 / n, "EPSG:32633")
        for band in ("VV", "VH"):
            values = rng.normal(-12, 3, (12, 12)).astype("float32")
            path = ben / f"BigEarthNet-S1/{scene}/{radar}/{radar}_{band}.tif"
            write_geotiff(path, values, (300_000, 5_300_000), 10, "EPSG:32633")
        covers = ["Arable land", "Pastures"][: 1 + k % 2]
        rows.append(dict(patch_id=patch, labels=covers, split=split, s1_name=radar, country="Austria"))
    pd.DataFrame(rows).to_parquet(ben / "metadata.parquet")
    found = read_bigearthnet(ben, coords=["country"], progress=False)
    assert found.s2_10m.shape == (3, 4, 12, 12)
    assert found.s2_20m_channel.values.tolist() == ["B05", "B06", "B07", "B8A", "B11", "B12"]
    assert found.split.values.tolist() == ["train", "valid", "test"]
    assert found.covers.values.tolist() == [[1, 0], [1, 1], [1, 0]]
    assert found.attrs["title"] == "BigEarthNet v2"
    with pytest.raises(FileNotFoundError, match="expected metadata.parquet in it; there are"):
        read_bigearthnet(ben / "BigEarthNet-S2")


def test_five_patches_in_the_published_folders_one_a_fold():
    "PASTIS-R."
    pastis = Path(tempfile.mkdtemp())
    features = []
    for name in ("DATA_S2", "DATA_S1A", "ANNOTATIONS"):
        (pastis / name).mkdir()
    for k in range(5):
        n = 3 + k
        two = {str(i): 20180917 + i for i in range(n)}
        one = {str(i): 20180901 + 7 * i for i in range(3)}
        known = {"ID_PATCH": 10000 + k, "Fold": k + 1, "TILE": "t30uxv"}
        known |= {"dates-S2": two, "dates-S1A": one}
        features.append(dict(type="Feature", properties=known, geometry=None))
        np.save(pastis / f"DATA_S2/S2_{10000 + k}.npy", np.full((n, 10, 128, 128), k, "int16"))
        np.save(pastis / f"DATA_S1A/S1A_{10000 + k}.npy", np.zeros((3, 3, 128, 128), "float32"))
        target = np.full((3, 128, 128), 19, "uint8")
        target[0, :64] = k
        np.save(pastis / f"ANNOTATIONS/TARGET_{10000 + k}.npy", target)
    collection = dict(type="FeatureCollection", features=features)
    (pastis / "metadata.geojson").write_text(json.dumps(collection))
    found = read_pastis(pastis, progress=False)
    assert found.s2.shape == (5, 7, 10, 128, 128)
    assert found.split.values.tolist() == ["train"] * 3 + ["valid", "test"]
    assert (found.s2.sel(sample="10003")[:6] == 3).all()
    assert found.s2_time.notnull().sum(found.s2.dims[1]).values.tolist() == [3, 4, 5, 6, 7]
    assert (found.crop.sel(sample="10002").values[:64] == 2).all()
    assert (found.crop.sel(sample="10002").values[64:] == -1).all()
    assert read_pastis(pastis, steps=2, progress=False).s2.shape[1] == 2


def test_dates_from_the_products_clouds_are_gaps(trees_and_names):
    "TreeSatAI-Time-Series."
    # dates from the products, clouds are gaps; shares that sum to 2 are scaled, and counted
    trees, names = trees_and_names
    found = read_treesat_series(trees, progress=False)
    assert found.s2.shape == (3, 7, 10, 6, 6)
    assert np.isnan(found.s2.values[:, 2]).all()
    assert not np.isnan(found.s2.values[0, :2]).any()
    days = found.s2_time.sel(sample=names[0]).values
    assert days[:5].tolist() == [0, 31, 60, 91, 121]
    assert np.isnan(days[5:]).all()
    assert found.trees.values.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
    assert found.attrs["shares_scaled"] == 1
    assert found.split.values.tolist() == ["train", "valid", "test"]
    assert abs(found.lat.values[0] - 51.4) < 0.1


def test_the_real_one():
    "TreeSatAI-Time-Series."
    # the real one: 146 passes of a year, of which clouds leave a third
    places = [p / "shared/data/treesat-time-series" for p in Path.cwd().parents]
    real = next((p for p in places if p.exists()), None)
    if real is None:
        pytest.skip("the real place of TreeSatAI-Time-Series is not here")
    name = "Abies_alba_1_1005_WEFL_NLF"
    file = TreeSeries("{id}.h5", str(real), "sen-2", masked=True)
    table = pd.DataFrame(index=[name])
    source = image_series("s2", file, table)
    values = source.read(table.iloc[0])
    assert values.shape == (146, 10, 6, 6)
    assert 0.2 < np.isfinite(values).mean() < 0.6
    assert str(source.origin) == "2020-01-02"
