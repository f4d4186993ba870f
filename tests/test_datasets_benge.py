"""ben-ge

Written by nbdev-export from the check cells of nbs/api/datasets/05_benge.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import atexit
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import rasterio

from mtl_explain.data.native import BadSample
from mtl_explain.data.samples import check_samples, describe, modalities
from mtl_explain.data.store import open_store, read_manifest
from mtl_explain.datasets.benge import (
    blocked_split, climate_zones, dataset, dataset_folder, fetch, load, make_examples, patch_index,
    plot_patch, prepare, read_climate, read_numbers, read_patch, read_tables, season_of, setups, sources,
    template, weather_columns, worldcover,
)
from mtl_explain.setup import check_setup, setup_table
from mtl_explain.simulate.europe.landscape import make_land
from mtl_explain.simulate.europe.patches import plan, see_block, simulate_europe


# the files of a patch
optical, cover, height, radar = (
    "sentinel-2/{0}/{0}_B05.tif",
    "esaworldcover/{0}_esaworldcover.tif",
    "dem/{0}_dem.tif",
    "sentinel-1/{1}/{1}_VH.tif",
)


# a small simulated dataset for the checks below; a copy of it that a check may change
@contextmanager
def copied(source):
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copytree(source, Path(folder) / source.name))


# files that are spoiled, one at a time
@contextmanager
def spoiled(path, change):
    good = path.read_bytes()
    change(path)
    yield
    path.write_bytes(good)


def rewrite(change=lambda v: v, **other):
    def spoil(path):
        with rasterio.open(path) as file:
            values = np.atleast_3d(change(file.read(1)).T).T
            profile = file.profile
        with rasterio.open(
            path,
            "w",
            **(
                profile
                | dict(
                    dtype=values.dtype,
                    count=len(values),
                    height=values.shape[1],
                    width=values.shape[2],
                )
                | other
            ),
        ) as file:
            file.write(values)

    return spoil


# the six patches as a ben-ge folder, or why not
def real_patches(folder):
    try:
        with mock.patch.dict(os.environ, PIP_RETRIES="0", PIP_TIMEOUT="10"):
            return make_examples(Path(folder) / "bigearthnet-examples", progress=False)
    except OSError as error:
        pytest.skip(f"the six real patches are not to be had: {error}")


@pytest.fixture(scope='module')
def mini():
    "A small simulated dataset for the checks below; a copy of it that a check may change."
    def simulated():
        folder = tempfile.mkdtemp()
        atexit.register(shutil.rmtree, folder)
        return simulate_europe(Path(folder) / "ben-ge-mini", n=9, seed=4, side=1, progress=False)
    return simulated()


@pytest.fixture(scope='module')
def modality_names():
    "The files of a patch."
    return list(template().data_vars)


def test_the_shortest_and_the_longest_day():
    "Legends."
    # the shortest and the longest day; a spring day in between
    assert abs(season_of(172) - 1) < 1e-4
    assert season_of(356) < 0.01
    assert 0.6 < season_of(80) < 0.75
    assert len(worldcover) == 11
    assert len(climate_zones) == 12


def test_records_are_complete():
    "Six real patches."
    # records are complete; other editions are told how; what is there is not fetched again
    assert sources["ben-ge-8k"]["page"].endswith("/8121208")
    with pytest.raises(ValueError, match="take ben-ge-8k or ben-ge-800"):
        fetch(edition="ben-ge-0.2")
    with tempfile.TemporaryDirectory() as folder:
        (root := Path(folder) / "native" / "bigearthnet-examples").mkdir(parents=True)
        assert fetch(folder, "examples") == dict(examples=root)
        assert len(list(Path(folder).iterdir())) == 1


def test_all_rows_are_there(mini):
    "The index."
    # all rows are there; the climate zone may have a table of its own; tables may be missing
    table, files = read_tables(mini)
    assert len(table) == 9
    assert len(files) == 2
    assert table.index.is_unique
    assert not table[weather_columns].isna().any().any()
    assert (table.flaw == "").all()
    with copied(mini) as root:
        meta = pd.read_csv(root / "ben-ge-mini_meta.csv")
        meta.drop(columns="climatezone").to_csv(root / "ben-ge-mini_meta.csv", index=False)
        assert "climatezone" not in read_tables(root)[0]
        meta[["patch_id", "climatezone"]].sample(frac=1, random_state=0).to_csv(
            root / "ben-ge_climatezones.csv", index=False
        )
        other, files = read_tables(root)
        assert (other.climatezone == table.climatezone).all()
        assert len(files) == 3
        assert dataset_folder(root.parent) == dataset_folder(root) == root
        (root / "ben-ge-mini_era-5.csv").unlink()
        assert "temperature_s2" not in read_tables(root)[0]


def test_what_is_wrong_with_a_row_is_kept_with_it(mini):
    "The index."
    with copied(mini) as root:
        meta, era = (pd.read_csv(root / f"ben-ge-mini_{t}.csv") for t in ("meta", "era-5"))
        meta.loc[0, "patch_id"], meta.loc[1, "timestamp_s1"] = "S2A_1_2", "yesterday"
        meta["lat"] = meta.lat.astype(object)
        meta.loc[2, "lat"] = "north"
        meta.loc[4, ["lat", "lon"]] = meta.loc[4, ["lon", "lat"]].values
        meta.loc[5, "timestamp_s2"] = "2017-06"
        meta.loc[6, "timestamp_s2"] = "13/06/2017 10:10"
        meta.to_csv(root / "ben-ge-mini_meta.csv", index=False)
        pd.concat([era, era[3:4]]).to_csv(root / "ben-ge-mini_era-5.csv", index=False)
        flaws = read_tables(root)[0].flaw.tolist()
        for flaw, message in zip(
            flaws,
            (
                "no name of a patch",
                "no time like",
                "no position",
                "several rows in ben-ge-mini_era-5.csv",
                "are lat and lon swapped",
                "no time like",
                "no time like",
            ),
            strict=False,
        ):
            assert message in flaw
        assert not any(flaws[7:])


def test_a_folder_without_tables_tables_in_a_wrong_encoding_or_without_a_column(mini):
    "The index."
    # a folder without tables, tables in a wrong encoding or without a column are one clear line
    with copied(mini) as root:
        with pytest.raises(FileNotFoundError, match="holds no ben-ge: there is no table …_meta.csv"):
            dataset_folder(root / "splits")
        for name, column in (("era-5", "relhumidity_s2"), ("meta", "season_s2")):
            path = root / f"ben-ge-mini_{name}.csv"
            pd.read_csv(path).drop(columns=column).to_csv(path, index=False)
            with pytest.raises(ValueError, match=f"{name}.csv: no column {column}"):
                read_tables(root)
            path.write_bytes(b"patch_id,caf\xe9\n")
            with pytest.raises(ValueError, match=f"{name}.csv: not in the encoding UTF-8"):
                read_tables(root)


def test_no_tile_on_two_sides_sizes_about_right():
    "Splits."
    # no tile on two sides, sizes about right; two tiles are too few
    rng = np.random.default_rng(0)
    tile = rng.choice([f"t{i:02d}" for i in range(30)], 3000)
    split = blocked_split(tile, rng.choice([8.0, 15, 26, np.nan], 3000))
    assert (pd.Series(split).groupby(tile).nunique() == 1).all()
    assert np.allclose(
        [(split == s).mean() for s in ("train", "valid", "test")], (0.8, 0.1, 0.1), atol=0.03
    )
    assert set(blocked_split(np.array(["a", "b"]), np.array([1, 1]))) == {""}


def test_names_without_files_are_marked(mini):
    "Splits."
    # names without files are marked; groups stand on one side, scenes on two in the authors' split
    index, files = patch_index(mini)
    assert len(index) == 9
    assert len(files) == 5
    assert not index.problem.any()
    assert set(index.split) == {"train", "valid", "test"}
    assert (index.groupby("group").split.nunique() == 1).all()
    other, _ = patch_index(mini, split="blocked")
    assert (other.groupby("tile").split.nunique() == 1).all()
    assert (other.groupby("scene").split.nunique() == 1).all()
    assert set(other.split) == {"train", "valid", "test"}
    assert (other.split_authors == index.split).all()
    with copied(mini) as root:
        with open(root / "splits" / "ben-ge-mini_test.csv", "a") as file:
            file.write("S2A_MSIL2A_20170613T101031_1_1\n" + index.index[0] + "\n")
        marked = patch_index(root)[0].problem
        assert marked.iloc[-2] == "listed in split test, but nothing else is known of it"
        assert marked.iloc[-1] == "this id occurred before"
        with pytest.raises(
            ValueError, match="no lists of the edition 'ben-ge-0.4'; there are ben-ge-mini"
        ):
            patch_index(root, "ben-ge-0.4")
        for theirs in ("train", "val", "test"):
            shutil.copy(
                root / "splits" / f"ben-ge-mini_{theirs}.csv",
                root / "splits" / f"ben-ge-0.2_{theirs}.csv",
            )
        assert len(patch_index(root, "ben-ge-0.2")[0]) == 11
        meta = pd.read_csv(root / "ben-ge-mini_meta.csv")
        pd.concat([meta, meta[:1]]).to_csv(root / "ben-ge-mini_meta.csv", index=False)
        assert (
            patch_index(root, "ben-ge-0.2")[0].problem[meta.patch_id[0]]
            == "this id has several rows in the table"
        )
        (root / "splits" / "ben-ge-mini_val.csv").write_bytes("Gebäude".encode("latin-1"))
        with pytest.raises(ValueError, match="mini_val.csv: not in the encoding UTF-8"):
            patch_index(root)
    with pytest.raises(ValueError, match="split is 'random'"):
        patch_index(mini, split="random")


def test_the_rows_of_the_paper_with_its_weights_on_the_modalities_there_are():
    "The paper's experiments."
    assert [s.variant for s in setups.values()] == ["baseline"] + ["MML"] * 7 + ["MTL"] * 7
    assert setups["15"].weights == pytest.approx(
        {
            "landcover": 9 / 13,
            "elevation": 1 / 13,
            "climate": 1 / 13,
            "season": 1 / 13,
            "weather_target": 1 / 13,
        }
    )
    with pytest.warns(UserWarning, match="'elevation' is no longer an input.*dropped: type='unet'"):
        shifted = setups["8"].shift("elevation").shift("climate").shift("season")
    assert list(shifted.targets) == ["landcover", "elevation", "climate", "season"]
    assert shifted.scaling == setups["8"].scaling
    for s in setups.values():
        check_setup(s, modalities(template()))
    setup_table(setups.values())


def test_the_simulated_truth_comes_back_value_for_value(mini):
    "Preparing a store."
    with tempfile.TemporaryDirectory() as folder:
        samples = open_store(prepare(mini, Path(folder) / "store", progress=False)).load()
        at = plan(9, seed=4, side=1).set_index("patch_id")
        table = pd.read_csv(mini / "ben-ge-mini_meta.csv").set_index("patch_id")
        for patch in samples.sample.values[[0, 4]]:
            one = samples.sel(sample=patch)
            row = at.loc[patch]
            land = make_land(
                row.country, row.lat, row.lon, [4, *row.tile.encode(), int(row.block)], 120
            )
            truth = see_block(land, row, 4)
            code = np.r_[np.array(list(worldcover)), 0][one.landcover.values]
            assert np.array_equal(code, land.code)
            assert np.array_equal(one.elevation[0], truth["dem"][0])
            assert np.array_equal(one.sentinel1, truth["sentinel-1"])
            assert np.array_equal(one.sentinel2[1], truth["sentinel-2"][1].round().astype("uint16"))
            assert np.abs(one.sentinel2[10] - truth["sentinel-2"][10]).mean() < 400
            assert list(climate_zones)[int(one.climate)] == table.climatezone[patch]
            assert abs(float(one.season[0]) - table.season_s2[patch]) < 1e-6
            assert abs(float(one.weather[0]) - truth["weather"][0]["temperature"]) < 1e-3
            assert np.array_equal(one.weather_target, one.weather[[0, 3, 4]])
            assert str(one.place.values) == "_".join([row.tile, *patch.split("_")[-2:]])
        check_samples(samples, setups["15"])
        assert {"scene", "place", "time", "split_blocked"} <= set(samples.coords)
        assert pd.Timestamp(str(samples.time.values[0])).year in (2017, 2018)


def test_a_store_that_is_not_there_is_one_clear_line(mini):
    "Preparing a store."
    # a store that is not there is one clear line; a small one described
    with pytest.raises(FileNotFoundError, match="data prepare benge"):
        load("/nowhere")
    with tempfile.TemporaryDirectory() as folder:
        table = describe(load(prepare(mini, Path(folder) / "store", split="blocked", progress=False)))
    assert list(table.index) == list(template().data_vars)
    maps = {n: m.pixel_size for n, m in modalities(template()).items() if m.is_dense}
    assert len(maps) > 3 and set(maps.values()) == {10.0}
    assert table.loc["sentinel2", "shape"] == "12 × 120 × 120"
    assert table.loc["climate", "what"] == "12 classes"


def test_what_the_reader_says_of_bad_files(mini, modality_names):
    "Bad files."
    cases = [
        (optical, Path.unlink, "no such file"),
        (height, Path.unlink, "dem.tif: no such file"),
        (optical, lambda p: p.write_bytes(p.read_bytes()[:2000]), "cannot be read: truncated"),
        (optical, lambda p: p.write_text("not a tiff"), "no GeoTIFF"),
        (
            optical,
            rewrite(lambda v: v[:40, :40]),
            r"expected 1 band\(s\) of 60 × 60 pixels of type uint16, got 1 band\(s\) of 40 × 40",
        ),
        (optical, rewrite(lambda v: v.astype("float32")), "of type float32"),
        (cover, rewrite(lambda v: np.stack([v, v])), r"got 2 band\(s\)"),
        (
            optical,
            rewrite(transform=rasterio.transform.from_origin(5e5, 6e6, 20, 20)),
            r"lies at \(500000, .*the patch at",
        ),
        (cover, rewrite(crs="EPSG:32601"), "in EPSG:32601, the patch at"),
        (height, rewrite(crs=None), "in no coordinate system"),
        (
            cover,
            rewrite(lambda v: np.where(np.arange(120) == 7, 42, v).astype("uint8")),
            "unknown land cover code 42",
        ),
        (cover, rewrite(lambda v: 0 * v), "all pixels are 0: no data"),
        (
            height,
            rewrite(lambda v: np.full_like(v, -32768)),
            "heights from -32768 to -32768 m: no data",
        ),
        (radar, rewrite(lambda v: v * np.nan), "no finite value"),
        (
            radar,
            rewrite(lambda v: np.where(np.arange(120) == 7, -np.inf, v)),
            "120 of 28,800 values are not finite: give `radar_floor`",
        ),
    ]
    with copied(mini) as root:
        row = patch_index(root)[0].iloc[0]
        for file, change, message in cases:
            path = root / file.format(row.name, row.patch_id_s1)
            with spoiled(path, change), pytest.raises(BadSample, match=message) as caught:
                read_patch(row, str(root), modality_names)
            assert caught.value.sample == row.name
            assert path.parent.name in caught.value.file
        assert read_patch(row, str(root), modality_names)["sentinel2"].shape == (12, 120, 120)


def test_unknown_pixels_the_last_codes_of_the_legend_the_sea_and_scaled_heights(mini):
    "Bad files."
    codes = np.resize(np.array([0, 10, 95, 100], "uint8"), (1, 120, 120))
    with copied(mini) as root:
        row = patch_index(root)[0].iloc[0]
        path = root / cover.format(row.name)
        with spoiled(path, rewrite(lambda v: codes)):
            found = read_patch(row, str(root), ["landcover"])["landcover"]
        assert found.ravel()[:4].tolist() == [-1, 0, 9, 10]
        for code in (5, 110, 255):
            with (
                spoiled(path, rewrite(lambda v, code=code: np.full_like(v, code))),
                pytest.raises(BadSample, match=f"unknown land cover code {code}"),
            ):
                read_patch(row, str(root), ["landcover"])

        def scaled(path):
            with rasterio.open(path, "r+") as file:
                file.scales = [0.1]

        with (
            spoiled(root / height.format(row.name), scaled),
            pytest.raises(BadSample, match="expected int16 as it stands, but its bands have scale 0.1"),
        ):
            read_patch(row, str(root), ["elevation"])
        assert read_climate(pd.Series(dict(climatezone=0.0))) == 0


def test_numbers_that_are_missing_or_impossible(mini):
    "Bad files."
    # numbers that are missing or impossible; a patch may have no climate zone, water has one of its own
    row = patch_index(mini)[0].iloc[0]
    everything = list(template().data_vars)
    for column, value, message in (
        ("climatezone", 3.0, "unknown climate zone 3"),
        ("temperature_s2", np.nan, "weather: missing in the tables"),
        ("season_s2", np.nan, "season: missing"),
        ("season_s2", 1.5, "season 1.5 is not between 0 and 1"),
    ):
        with pytest.raises(BadSample, match=message):
            read_numbers(row.where(row.index != column, value), everything)
    assert read_climate(row.where(row.index != "climatezone", 0)) == 0
    assert read_climate(row.where(row.index != "climatezone", np.nan)) == -1


def test_dark_pixels_of_the_radar_another_name_of_the_heights_twelve_bands_of(mini):
    "Bad files."
    # dark pixels of the radar, another name of the heights, twelve bands of zeros
    with copied(mini) as root:
        row = patch_index(root)[0].iloc[1]
        rewrite(
            lambda v: np.where(np.arange(120) < 3, [np.nan, -np.inf, np.inf] * 40, v).astype("float32")
        )(root / "sentinel-1" / row.patch_id_s1 / f"{row.patch_id_s1}_VV.tif")
        (root / "dem").rename(root / "glo-30_dem")
        found = read_patch(row, str(root), ["elevation"], -25.0)
        assert (found["sentinel1"][0, :, :3] == -25).all()
        assert (found["sentinel1"][0, :, 3:] < 5).all()
        assert found["sentinel1"].dtype == "float32"
        assert found["elevation"].shape == (1, 120, 120)
        for path in (root / "sentinel-2" / row.name).glob("*.tif"):
            rewrite(lambda v: 0 * v)(path)
        with pytest.raises(BadSample, match="all bands are zero"):
            read_patch(row, str(root), [])


def test_bad_patches_stop_the_preparation_or_are_left_out_and_written_down(mini):
    "Bad files."
    with copied(mini) as root:
        index = patch_index(root)[0]
        store = root.parent / "store"
        one, two = index.index[:2]
        (root / "sentinel-2" / one / f"{one}_B05.tif").unlink()
        shutil.rmtree(root / "sentinel-1" / index.patch_id_s1[two])
        with pytest.raises(
            ValueError,
            match=f"(?s)2 bad samples among 9:\n.*{one}.*B05.tif: no such file\n.*{two}.*VV.tif: no "
            "such file.*skip_bad",
        ):
            prepare(root, store, progress=False)
        with open(root / "splits" / "ben-ge-mini_test.csv", "a") as file:
            file.write("S2A_MSIL2A_20170613T101031_1_1\n" + index.index[-1] + "\n")
        with pytest.raises(
            ValueError,
            match="(?s)2 bad samples among 11:\n.*nothing else is known.*this id occurred before",
        ):
            prepare(root, store, progress=False)
        path = prepare(root, store, skip_bad=True, progress=False)
        dropped = read_manifest(path)["dropped"]
        assert open_store(path).sizes["sample"] == 7
        assert [d["sample"] for d in dropped[2:]] == [
            one,
            two,
        ]
        assert [d["problem"] for d in dropped] == [
            "listed in split test, but nothing else is known of it",
            "this id occurred before",
            "no such file",
            "no such file",
        ]


def test_a_part_that_is_missing_as_a_whole_stops_the_preparation_or_the(mini):
    "Bad files."
    # a part that is missing as a whole stops the preparation, or the manifest says so
    with copied(mini) as root:
        shutil.rmtree(root / "dem")
        (root / "ben-ge-mini_era-5.csv").unlink()
        with pytest.raises(
            ValueError,
            match=r"nothing for elevation \(no folder dem\), weather \(no table …_era-5.csv\), "
            r"weather_target .*--skip-bad",
        ):
            prepare(root, root.parent / "store", progress=False)
        path = prepare(root, root.parent / "store", skip_bad=True, progress=False)
        assert list(open_store(path).data_vars) == [
            "sentinel2",
            "sentinel1",
            "landcover",
            "climate",
            "season",
        ]
        assert "level" not in open_store(path).dims
        assert "no folder dem" in read_manifest(path)["settings"]["left_out"]
        assert "no folder dem" in open_store(path).left_out


def test_six_real_patches_become_a_store_honest_about_what_there_is_not():
    "Six real patches become a store."
    with tempfile.TemporaryDirectory() as folder:
        root = real_patches(folder)
        with pytest.raises(ValueError, match="nothing for elevation .*landcover .*climate .*weather"):
            prepare(root, Path(folder) / "store", progress=False)
        samples = load(prepare(root, Path(folder) / "store", skip_bad=True, progress=False)).load()
        check_samples(samples)
        assert samples.sizes["sample"] == 6
        assert list(samples.data_vars) == ["sentinel2", "sentinel1", "season"]
        assert dict(samples.split.to_series().value_counts()) == dict(train=4, valid=1, test=1)
        finland = samples.sel(sample="S2B_MSIL2A_20170924T93020_69_24")
        assert finland.lat == pytest.approx(62.83, abs=0.02)
        assert finland.time.item() == "2017-09-24T09:30:20"
        assert finland.place.item() == "35VPK_69_24"
        for row in patch_index(root)[0].itertuples():
            assert row.time.strftime("%Y%m%d") in row.Index
            assert row.time_s1.strftime("%Y%m%dT%H%M%S") in row.patch_id_s1


def test_the_first_patch_of_the_small_world(mini):
    "A picture."
    with tempfile.TemporaryDirectory() as folder:
        shown = load(prepare(mini, Path(folder) / "store", split="blocked", progress=False)).load()
    axes = plot_patch(shown, shown.sample.values[0])
    assert [ax.get_title() for ax in axes[1:]] == [
        "Sentinel-1, VV [-22 to -2 dB]",
        "elevation [m]",
        "land cover",
    ]


def test_it_says_what_it_is():
    "The dataset."
    assert "15 setups" in repr(dataset)
