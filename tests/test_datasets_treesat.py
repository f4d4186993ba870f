"""TreeSatAI

Written by nbdev-export from the check cells of nbs/api/datasets/08_treesat.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import contextlib
import functools
import hashlib
import http.server
import io
import json
import re
import shutil
import tempfile
import threading
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from rasterio.transform import Affine

from mtl_explain.data.samples import check_samples, describe, modalities
from mtl_explain.data.store import read_manifest
from mtl_explain.datasets.treesat import (
    dataset, fetch, fill_nodata, for_few_patches, forest_recipe, genus_presence, load, patch_index,
    plot_patch, prepare, resize, setups,
)
from mtl_explain.datasets.treesat_index import nearest_training, read_fractions, read_lists
from mtl_explain.datasets.treesat_labels import aerial_bands, fraction_vector, species, spruce_and_fir
from mtl_explain.files.raster import ground_size, open_raster
from mtl_explain.modality import ancestor_index
from mtl_explain.setup import setup_table
from mtl_explain.simulate.forest.patches import nodata_value, simulate_forest, simulate_patch
from mtl_explain.simulate.forest.trees import draw_plots


# a simulated archive of 60 patches with small images
@pytest.fixture(scope='module')
def plots():
    return draw_plots(60, seed=3).set_index("file", drop=False)


@pytest.fixture(scope='module')
def home_forest_and_index():
    home = tempfile.TemporaryDirectory()
    forest = simulate_forest(
        Path(home.name) / "forest", n=60, size=24, seed=3, nodata=0.1, workers=1, progress=False
    )
    index = patch_index(forest)
    return home, forest, index


@pytest.fixture(scope='module')
def prepared_and_samples(home_forest_and_index):
    "The simulated archive as a sample set."
    home, forest, index = home_forest_and_index
    prepared = prepare(forest, Path(home.name) / "store", workers=1, progress=False)
    samples = load(prepared).load()
    return prepared, samples


@pytest.fixture(scope='module')
def rasters():
    "What can be wrong with a raster: sensor, change, what the message says."
    def crop(v):
        return v[:, :20, :20]
    def rewrite(path, change=lambda v: v, **options):
        with rasterio.open(path) as src:
            values = change(src.read())
            profile = src.profile
        shape = dict(
            count=len(values), height=values.shape[1], width=values.shape[2], dtype=str(values.dtype)
        )
        with rasterio.open(path, "w", **profile | shape | options) as dst:
            dst.write(values)
    return [
        ("s2", lambda p: p.unlink(), "no image of s2"),
        (
            "aerial",
            lambda p: p.write_bytes(p.read_bytes()[:900]),
            "cannot be read, it is truncated or no raster",
        ),
        ("aerial", lambda p: rewrite(p, crop), "expected 60 m a side, got 50.7"),
        (
            "aerial",
            lambda p: rewrite(p, crop, transform=rasterio.open(p).transform @ Affine.scale(1.2)),
            r"expected shape \(24, 24\), got \(20, 20\)",
        ),
        ("s2", lambda p: rewrite(p, lambda v: v.astype("int32")), "expected dtype uint16, got int32"),
        (
            "s1",
            lambda p: rewrite(p, transform=Affine(10, 0, 5e5, 0, -10, 58e5)),
            "lies .* m from geojson",
        ),
        (
            "s1",
            lambda p: rewrite(p, crs="EPSG:32633"),
            r"expected UTM zone 32N \(EPSG:25832 or 32632\), got EPSG:32633",
        ),
        ("s1", lambda p: rewrite(p, lambda v: np.full_like(v, -9999)), "band 1 has no valid pixel"),
        ("s2", lambda p: rewrite(p, lambda v: v * 0), "all pixels are 0"),
        ("s1", lambda p: rewrite(p, lambda v: v[:2]), "expected 3 bands, got 2"),
    ]


@pytest.fixture(scope='module')
def spoil(home_forest_and_index, rasters):
    "Spoils a copy of the archive: ten rasters, two labels, a place, and three lines of a list."
    home, forest, index = home_forest_and_index
    def spoil(folder):
        folder = Path(shutil.copytree(forest, folder))
        files = read_lists(folder)["train"]
        wanted = {}
        for file, (sensor, change, message) in zip(files, rasters, strict=False):
            change(folder / sensor / "60m" / file)
            wanted[file] = message
        labels = read_fractions(folder)
        labels[files[10]], _ = [["Oak", 1.0]], labels.pop(files[11])
        (folder / "labels/TreeSatBA_v9_60m_multi_labels.json").write_text(json.dumps(labels))
        boxes = json.loads((folder / "geojson/bb_60m.GeoJSON").read_text())
        number = {f["properties"]["IMG_ID"] + ".tif": i for i, f in enumerate(boxes["features"])}
        boxes["features"].append(
            boxes["features"][number[files[0]]]
            | dict(properties=boxes["features"][number[files[12]]]["properties"])
        )
        (folder / "geojson/bb_60m.GeoJSON").write_text(json.dumps(boxes))
        listed = read_lists(folder)["test"] + [
            files[13],
            "Picea_abies_3_99999_WEFL_NLF.tif",
            "Oak_1_1_WEFL_NLF.tif",
        ]
        (folder / "test_filenames.lst").write_text("\n".join(listed))
        wanted |= dict(
            zip(
                files[10:14],
                (
                    "unknown genus 'Oak'",
                    "no entry in the labels",
                    "several places in bb_60m.GeoJSON",
                    "this id occurred before",
                ),
                strict=True,
            )
        )
        return folder, wanted | {
            listed[-2]: "no image of aerial and s1 and s2; no entry in the labels",
            listed[-1]: "no image of aerial and s1 and s2; unknown species",
        }
    return spoil


def test_one_row_per_patch_nothing_wrong(home_forest_and_index):
    "The index: one row per patch."
    home, forest, index = home_forest_and_index
    assert len(index) == 60
    assert (index.problem == "").all()
    assert index.split.value_counts().to_dict() == dict(train=54, valid=3, test=3)
    assert index.groupby("group").split.nunique().max() == 1
    assert not index[["lat", "lon", "easting", "northing", "year"]].isna().any().any()
    assert nearest_training(index).min() >= 60
    index[["split", "group", "lat", "lon", "age", "species", "year"]].head(3)


def test_gaps_get_the_mean_of_what_is_valid_by_hand():
    "Three images of a patch."
    image = np.array(
        [[[-6, -8], [-9999, -10]], [[-12, -12], [-12, -9999]], [[0.5, np.inf], [np.nan, 0.7]]],
        "float32",
    )
    filled, missing = fill_nodata(image)
    assert filled[0, 1, 0] == -8
    assert filled[1, 1, 1] == -12
    assert np.allclose(filled[2, 0, 1], 0.6)
    assert missing.tolist() == [1, 1, 2]
    assert (
        np.array_equal(filled[image > -100], image[image > -100], equal_nan=True)
        or np.isfinite(filled).all()
    )
    with pytest.raises(ValueError, match="band 2 has no valid pixel"):
        fill_nodata(np.stack([image[0], np.full((2, 2), -9999.0, "float32")]))


def test_a_smaller_image_keeps_its_mean_an_equal_one_is_left_alone():
    "Three images of a patch."
    image = np.random.default_rng(0).integers(0, 255, (4, 60, 60)).astype("uint8")
    small = resize(image, 20)
    assert small.shape == (4, 20, 20)
    assert np.allclose(small, image.reshape(4, 20, 3, 20, 3).mean((2, 4)), atol=1)
    assert resize(image, 60) is image
    assert np.allclose(resize(image, 90).mean((1, 2)), image.mean((1, 2)), atol=1)


def test_pixels_are_as_large_as_in_the_files(home_forest_and_index, prepared_and_samples):
    "The sample set."
    # pixels are as large as in the files: a map of another scale is refused later
    home, forest, index = home_forest_and_index
    prepared, samples = prepared_and_samples
    row = index[index.problem == ""].iloc[0]
    for name in ("aerial", "s1", "s2"):
        with open_raster(row[name]) as file:
            expected = ground_size(file)
        assert modalities(samples)[name].pixel_size == pytest.approx(expected, rel=0.02)


def test_the_sample_set_is_sound_and_says_what_it_is(prepared_and_samples):
    "The sample set."
    prepared, samples = prepared_and_samples
    check_samples(samples)
    assert samples.sizes["sample"] == 60
    assert samples.aerial.shape == (60, 3, 24, 24)
    assert samples.attrs["title"] == "TreeSatAI"
    assert ancestor_index(modalities(samples), "species", "foliage")[0] == "foliage"
    assert all(
        len(modalities(samples)[n].classes) == k
        for n, k in (("foliage", 3), ("stand_type", 9), ("genus", 15), ("species", 20))
    )
    describe(samples)


def test_the_simulators_truth_comes_back(plots, prepared_and_samples):
    "The sample set."
    prepared, samples = prepared_and_samples
    for _, plot in plots.iterrows():
        truth, _ = simulate_patch(plot, size=24, seed=3, nodata=0.1)
        one = samples.sel(sample=plot.file.removesuffix(".tif"))
        (name, age, _) = plot.parts[0]
        rgb = truth["aerial"][[aerial_bands.index(b) for b in "RGB"]]
        assert np.array_equal(one.aerial, rgb)
        assert np.array_equal(one.s2, truth["s2"])
        lost = truth["s1"] == nodata_value
        assert np.array_equal(one.s1.values[~lost], truth["s1"][~lost])
        assert np.array_equal(one.s1_missing, lost.sum((1, 2)))
        assert (one.s1 > -100).all()
        found = [
            samples[n].attrs["classes"][int(one[n])]
            for n in ("species", "genus", "stand_type", "foliage")
        ]
        s = species[name]
        assert found == [name, s.genus, spruce_and_fir.get(s.group, s.group), s.foliage]
        assert float(one.age[0]) == age
        assert np.allclose(
            one.fraction, fraction_vector([[species[n].genus, f] for n, _, f in plot.parts])
        )
        assert (one.split == "train") == (plot.split == "train")
        assert float(one.year) == plot.year
    assert (samples.s1_missing > 0).any(axis=1).sum() >= 3


def test_no_9999_in_any_statistic(prepared_and_samples, home_forest_and_index):
    "The sample set."
    # no -9999 in any statistic; the aerial folder may be flat; a smaller image of all four bands
    prepared, samples = prepared_and_samples
    home, forest, index = home_forest_and_index
    statistics = read_manifest(prepared)["statistics"]
    assert min(statistics["s1"]["min"]) > -60
    assert max(statistics["s1"]["std"][:2]) < 6
    with tempfile.TemporaryDirectory() as temporary:
        flat = Path(shutil.copytree(forest, Path(temporary) / "flat"))
        for f in (flat / "aerial/60m").iterdir():
            f.rename(flat / "aerial" / f.name)
        (flat / "aerial/60m").rmdir()
        small = load(
            prepare(
                flat,
                Path(temporary) / "store",
                size=12,
                bands=aerial_bands,
                label="largest",
                workers=1,
                progress=False,
            )
        ).load()
        assert small.aerial.shape == (60, 4, 12, 12)
        assert list(small.aerial_band.values) == [
            "IR",
            "G",
            "B",
            "R",
        ]
        assert np.allclose(
            small.aerial.sel(aerial_band="R"),
            samples.aerial.sel(aerial_band="R").values.reshape(60, 12, 2, 12, 2).mean((2, 4)),
            atol=1,
        )
        assert np.array_equal(small.genus, small.fraction.argmax("genus_name"))
        assert (small.genus != samples.genus.sel(sample=small.sample)).any()


def test_one_genus_in_a_pure_patch_two_in_a_mixture_and_fewer_with_a_higher(prepared_and_samples, plots):
    "Many labels."
    # one genus in a pure patch, two in a mixture, and fewer with a higher threshold
    prepared, samples = prepared_and_samples
    present = genus_presence(samples)
    pure = plots.parts.map(lambda p: len(p) == 1 and p[0][2] == 1).values
    ids = plots.file.str.removesuffix(".tif")
    assert (present.sel(sample=ids[pure].values).sum("genus_name") == 1).all()
    assert present.sum("genus_name").max() >= 2
    assert genus_presence(samples, 0.5).sum() <= present.sum() <= genus_presence(samples, 0.0).sum()
    assert "present" in modalities(samples.assign(present=present))


def test_a_mixed_patch(prepared_and_samples):
    "Many labels."
    prepared, samples = prepared_and_samples
    mixed = samples.sample.values[int((samples.fraction > 0.05).sum("genus_name").argmax("sample"))]
    axes = plot_patch(samples, mixed)
    assert len(axes[3].patches) >= 2


def test_it_stops_with_the_first_offenders_and_a_count_or_leaves_them_out_and(spoil):
    "Bad input."
    # it stops with the first offenders and a count, or leaves them out and the manifest says why
    with tempfile.TemporaryDirectory() as temporary:
        bad, wanted = spoil(Path(temporary) / "bad")
        with pytest.raises(
            ValueError, match="(?s)7 bad samples among 63.*no image of s2.*skip_bad=True"
        ):
            prepare(bad, Path(temporary) / "store", workers=1, progress=False)
        assert not (Path(temporary) / "store").exists()
        store = prepare(bad, Path(temporary) / "store", skip_bad=True, workers=1, progress=False)
        dropped = pd.DataFrame(read_manifest(store)["dropped"])
        kept = load(store).load()
        check_samples(kept)
    problems = dict(zip(dropped["sample"], dropped.problem, strict=True))
    assert set(problems) == {f.removesuffix(".tif") for f in wanted}
    assert kept.sizes["sample"] == 63 - 16
    for file, message in wanted.items():
        assert re.match(message, problems[file.removesuffix(".tif")])


def test_what_is_wrong_with_one_raster_is_found_while_reading(home_forest_and_index, rasters):
    "Bad input."
    # what is wrong with one raster is found while reading; then, too, nothing is written
    home, forest, index = home_forest_and_index
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(shutil.copytree(forest, Path(temporary) / "copy"))
        files = read_lists(copy)["train"]
        for file, (sensor, change, _) in zip(files, rasters[4:6], strict=False):
            change(copy / sensor / "60m" / file)
        with pytest.raises(
            ValueError, match="(?s)2 bad samples among .*expected dtype uint16.*m from geojson"
        ):
            prepare(copy, Path(temporary) / "store", workers=1, progress=False)
        assert not (Path(temporary) / "store").exists()


def test_wrong_encodings_and_folders_are_one_line(home_forest_and_index):
    "Bad input."
    home, forest, index = home_forest_and_index
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(shutil.copytree(forest, Path(temporary) / "copy"))
        labels = copy / "labels/TreeSatBA_v9_60m_multi_labels.json"
        labels.write_bytes(b'{"B\xfcche": 1}')
        with pytest.raises(ValueError, match="UTF-8"):
            prepare(copy, Path(temporary) / "store", progress=False)
        labels.write_bytes((forest / "labels" / labels.name).read_bytes())
        shutil.rmtree(copy / "s2")
        with pytest.raises(FileNotFoundError, match="no images in"):
            prepare(copy, Path(temporary) / "store", progress=False)
        with pytest.raises(ValueError, match="no aerial band 'NIR'; known: IR, G, B, R"):
            prepare(copy, Path(temporary) / "store", bands=("NIR", "R"), progress=False)
        with pytest.raises(FileNotFoundError, match="data fetch treesat"):
            prepare(copy / "none", Path(temporary) / "store", progress=False)
        with pytest.raises(
            FileNotFoundError, match="data prepare treesat FOLDER.*data simulate treesat FOLDER"
        ):
            load(copy / "none")
        assert not (Path(temporary) / "store").exists()


def test_fetched_from_a_server_on_this_computer_unpacked_and_prepared(home_forest_and_index, prepared_and_samples):
    "From the official record."
    # fetched from a server on this computer, unpacked and prepared; what was tampered with is refused
    home, forest, index = home_forest_and_index
    prepared, samples = prepared_and_samples
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass


    with tempfile.TemporaryDirectory() as temporary, contextlib.redirect_stdout(io.StringIO()) as said:
        shelf = Path(temporary) / "shelf"
        names = ["aerial_60m_all.zip", "s1.zip", "s2.zip", "labels.zip", "geojson.zip"]
        shelf.mkdir()
        for name in names:
            inside = forest / "aerial/60m" if name.startswith("aerial") else forest
            with zipfile.ZipFile(shelf / name, "w") as z:
                for f in sorted(
                    (inside if name.startswith("aerial") else inside / name[:-4]).rglob("*.*")
                ):
                    z.write(f, f.relative_to(inside))
        for s in ("train", "test"):
            shutil.copy(forest / f"{s}_filenames.lst", shelf)
        with zipfile.ZipFile(shelf / "escape.zip", "w") as z:
            z.writestr("../out.tif", "x")
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Quiet, directory=str(shelf))
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        files = [
            dict(name=p.name, bytes=p.stat().st_size, md5=hashlib.md5(p.read_bytes()).hexdigest())
            for p in sorted(shelf.iterdir())
        ]
        record = dict(
            title="twin",
            page="local",
            url=f"http://127.0.0.1:{server.server_port}/{{name}}",
            files=files,
        )
        pinned = {f["name"]: f["md5"] for f in files if f["name"] != "escape.zip"}
        native = fetch(temporary, record, pinned, progress=False)["archive"]
        again = load(prepare(native, Path(temporary) / "store", workers=1, progress=False)).load()
        xr.testing.assert_identical(again, samples)
        with pytest.raises(ValueError, match="s1.zip is another file"):
            fetch(Path(temporary) / "x", record, pinned | {"s1.zip": "0" * 32}, progress=False)
        with pytest.raises(ValueError, match="no gone.zip any more"):
            fetch(Path(temporary) / "x", record, {"gone.zip": "0" * 32}, progress=False)
        with pytest.raises(ValueError, match="would lead out"):
            fetch(
                Path(temporary) / "x",
                record,
                {"escape.zip": files[[f["name"] for f in files].index("escape.zip")]["md5"]},
                progress=False,
            )
        assert not (Path(temporary) / "out.tif").exists()
        server.shutdown()
        server.server_close()
    assert said.getvalue().startswith("twin: 7 files, 0.3 MB")


def test_the_rows_of_the_table_the_weights_4(prepared_and_samples):
    "Experiments."
    # the rows of the table, the weights 4 : 1 : 1, and samples that suit them
    prepared, samples = prepared_and_samples
    assert [s.variant for s in setups.values()] == ["baseline", "MML"] + ["MTL"] * 6
    assert {n: round(w, 4) for n, w in setups["7"].weights.items()} == dict(
        genus=0.6667, stand_type=0.1667, age=0.1667
    )
    for s in setups.values():
        check_samples(samples, s)
    setup_table(setups.values())


def test_another_way_to_read_the_images_nothing_else():
    "A short training on few patches."
    few = for_few_patches(setups["8"])
    assert few.targets == setups["8"].targets and few.inputs.keys() == setups["8"].inputs.keys()
    assert few.inputs["s2"] == dict(type="bands")
    assert few.training["augment"] == forest_recipe.augment
    assert for_few_patches(setups["2"]).inputs["age"] == setups["2"].inputs["age"]


def test_it_says_what_it_is():
    "The dataset."
    assert "setups" in repr(dataset)
