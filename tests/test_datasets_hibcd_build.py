"""Building Hi-BCD

Written by nbdev-export from the check cells of nbs/api/datasets/09_hibcd_build.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import rasterio

from mtl_explain.datasets.hibcd_build import build_tiles, folders, make_labels, split_tiles
from mtl_explain.files.raster import read_raster, write_geotiff


# rasters of noise, on disk, and in memory
def noisy_rasters(folder, rows, columns, seed=0):
    rng = np.random.default_rng(seed)

    def heights():
        found = rng.normal(5, 5, (1, rows, columns)).astype("float32")
        found[:, :, :7] = 3.4028235e38
        return found

    def integers(low, high, dtype, count=1):
        return rng.integers(low, high, (count, rows, columns)).astype(dtype)

    values = dict(
        early_dsm=heights(),
        late_dsm=heights(),
        early_buildings=integers(0, 2, "uint8"),
        late_buildings=integers(0, 2, "uint8"),
        relevance=integers(-1, 2, "int8"),
        late_image=integers(0, 256, "uint8", 3),
    )
    paths = {name: Path(folder) / f"{name}.tif" for name in values}
    for name, v in values.items():
        write_geotiff(paths[name], v, (120_000, 487_000), 0.25, "EPSG:28992")
    return paths, values


def test_500_tiles():
    "Tiles from rasters."
    # 500 tiles: 340, 40 and 120 as published; blocks stay together but for one at each cut
    names, number = np.unique(split_tiles(25, 20), return_counts=True)
    assert dict(zip(names.tolist(), number.tolist(), strict=True)) == dict(test=120, train=340, val=40)
    blocked = split_tiles(25, 20, block=5).reshape(4, 5, 5, 5).swapaxes(1, 2).reshape(20, 25)
    assert sum(len(set(b)) > 1 for b in blocked) <= 2
    assert (split_tiles(25, 20, seed=1) != split_tiles(25, 20)).any()
    assert all(len(set(split_tiles(n, 1).ravel())) == 3 for n in range(3, 20))


def test_tiles_built_by_windows_are_what_the_equations_say_of_the_whole_raster():
    "Tiles from rasters."
    with tempfile.TemporaryDirectory() as folder:
        paths, whole = noisy_rasters(folder, 130, 170)
        made = build_tiles(paths, folder, "delft", 32, progress=False)
        change, semantic = make_labels({n: v[0] for n, v in whole.items()})
        files = sorted(made.glob("*/mask2d_1k/*.tif"))
        assert len(files) == 4 * 5
        assert files[0].name.startswith("delft_")
        assert not Path(folder, "delft_025.partial").exists()
        for path in files:
            col, row = (int(k) for k in path.stem.split("_")[1:])
            at = np.s_[row * 32 : row * 32 + 32, col * 32 : col * 32 + 32]
            split = path.parent.parent
            image, early, mask, height = (read_raster(split / f / path.name) for f in folders.values())
            assert mask.dtype == "uint8"
            assert np.array_equal(mask[0], semantic[at])
            assert np.array_equal(height[0], change[at], equal_nan=True)
            assert np.array_equal(early[0], whole["early_dsm"][0][at])
            assert np.array_equal(image, whole["late_image"][:, *at])
        with pytest.raises(FileExistsError, match="exists already"):
            build_tiles(paths, folder, "delft", 32)
    assert set(np.unique(semantic)) == {0, 1, 2, 3}


def test_tiles_are_built_within_32_mb_from_rasters_of_48_mb():
    "Never whole in memory."
    script = """
import pathlib, resource, sys
import numpy as np, rasterio
from mtl_explain.datasets.hibcd_build import build_tiles, raster_names
folder = pathlib.Path(sys.argv[1])
paths = {n: folder / f'{n}.tif' for n in raster_names}
status = open('/proc/self/status')
used = next(int(line.split()[1]) for line in status if line.startswith('VmData')) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + 32 * 2**20,) * 2)
build_tiles(paths, folder, 'delft', 400, cache=8, progress=False)
try:
    held = [np.ones(rasterio.open(p).shape, 'float32') for p in paths.values()]
except MemoryError:
    print('the limit bites')
"""
    if sys.platform == "linux":
        with tempfile.TemporaryDirectory() as folder:
            _, values = noisy_rasters(folder, 1400, 2450)
            done = subprocess.run(
                [sys.executable, "-c", script, folder],
                capture_output=True,
                text=True,
                env=os.environ | dict(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1"),
            )
            assert done.returncode == 0, done.stderr
            assert "the limit bites" in done.stdout, done.stderr
            assert sum(v.nbytes for v in values.values()) > 48e6
            assert len(list(Path(folder).glob("delft_025/*/dsm_1k/*.tif"))) == 18


def test_rasters_that_do_not_fit_together_are_refused_by_name():
    "Never whole in memory."
    with tempfile.TemporaryDirectory() as folder:
        paths, _ = noisy_rasters(folder, 40, 40)
        Path(folder, "small").mkdir()
        small, _ = noisy_rasters(Path(folder, "small"), 30, 40)
        with pytest.raises(ValueError, match=r"late_dsm.tif: its shape is \(30, 40\), that of"):
            build_tiles(paths | dict(late_dsm=small["late_dsm"]), folder, "a", 32)
        with pytest.raises(ValueError, match="no raster 'relevance'"):
            build_tiles({k: v for k, v in paths.items() if k != "relevance"}, folder, "a", 32)
        with pytest.raises(FileNotFoundError, match="nowhere.tif"):
            build_tiles(paths | dict(late_dsm="nowhere.tif"), folder, "a", 32)
        with pytest.raises(ValueError, match="smaller than one tile of 50"):
            build_tiles(paths, folder, "a", 50)
        with rasterio.open(paths["late_dsm"], "r+") as file:
            file.nodata = file.read(1)[30, 30]  # some height, declared to be none
        made = build_tiles(paths, folder, "b", 40, progress=False)
        (change,) = (read_raster(p)[0] for p in made.glob("*/mask3d_1k/*.tif"))
        relevance = read_raster(paths["relevance"])[0]
        assert np.isnan(change[30, 30]) == (relevance[30, 30] != 0)
        assert np.isfinite(change[:, 8:]).sum() >= 40 * 32 - 1
        with rasterio.open(paths["relevance"], "r+") as file:
            file.write(np.full((1, 40, 40), 7, "int8"))
        with pytest.raises(ValueError, match="relevance 7; expected 1, -1 or 0"):
            build_tiles(paths, folder, "a", 32, progress=False)
        assert not Path(folder, "a_025").exists()
        assert not Path(folder, "a_025.partial").exists()
        for path in paths.values():
            with rasterio.open(path, "r+") as file:
                file.transform = rasterio.Affine(0.25, 0, 120_000, 0, -0.5, 487_000)
        with pytest.raises(ValueError, match="expected square pixels with north up"):
            build_tiles(paths, folder, "a", 32)
