"""From a table, from a folder

Written by nbdev-export from the check cells of nbs/api/doors/01_table.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from mtl_explain.data.samples import describe
from mtl_explain.data.statistics import training_statistics
from mtl_explain.doors.table import samples_from_folder, samples_from_table, table_of_files
from mtl_explain.files.raster import open_raster, write_geotiff


@pytest.fixture(scope='module')
def invent_lakes_lakes_and_table():
    def invent_lakes(folder, n=60, size=8, seed=0):
        "A table, images by lake, temperatures by lake and date."
        rng = np.random.default_rng(seed)
        lake = [f"L{i:03d}" for i in range(n)]
        state = rng.choice(["clear", "green", "brown"], n)
        lat = 47 + rng.uniform(0, 5, n)
        lon = 8 + rng.uniform(0, 5, n)
        region = np.char.add("region ", (np.arange(n) // 4).astype(str))
        depth = rng.uniform(1, 30, n).round(1)
        depth[:5] = np.nan
        visit = np.datetime64("2020-01-01") + rng.integers(0, 900, n)
        columns = dict(lake=lake, region=region, lat=lat, lon=lon, state=state, visited=visit)
        table = pd.DataFrame(columns | {"depth [m]": depth})
        table.to_csv(folder / "lakes.csv", index=False)
        rows = rng.integers(1, n, 5 * n)  # lake 0 was never visited
        days = rng.integers(0, 365, 5 * n)
        date = np.datetime64("2020-01-01") + days
        warm = 12 - 9 * np.cos(2 * np.pi * days / 365) + rng.normal(0, 1, 5 * n)
        visits = pd.DataFrame(
            {"lake": np.array(lake)[rows], "date": date, "temperature [°C]": warm.round(1)}
        )
        visits.drop_duplicates(["lake", "date"]).to_csv(folder / "temperature.csv", index=False)
        for i in range(n):
            image = rng.integers(0, 255, (3, size, size)).astype("uint8")
            place = ((lon[i], lat[i]), 0.0001, "EPSG:4326")
            write_geotiff(
                folder / f"images/{lake[i]}.tif", image, *place, names=["red", "green", "blue"]
            )
        return table
    lakes = Path(tempfile.mkdtemp())
    table = invent_lakes(lakes)
    table.head(3)
    return invent_lakes, lakes, table


@pytest.fixture(scope='module')
def complaints_and_samples(invent_lakes_lakes_and_table):
    invent_lakes, lakes, table = invent_lakes_lakes_and_table
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        samples = samples_from_table(
            lakes / "lakes.csv",
            image="images/{lake}.tif",
            state="state",
            depth="depth [m]",
            temperature="temperature.csv",
            id="lake",
            group="region",
            deal=dict(balance=("state", "depth")),
        )
    describe(samples)
    return complaints, samples


@pytest.fixture(scope='module')
def few_and_dozen(invent_lakes_lakes_and_table):
    invent_lakes, lakes, table = invent_lakes_lakes_and_table
    few = Path(tempfile.mkdtemp())
    dozen = invent_lakes(few, 12)
    return few, dozen


def test_what_came_in_is_what_stood_in_the_files(invent_lakes_lakes_and_table, complaints_and_samples):
    "Lakes, in eight lines."
    invent_lakes, lakes, table = invent_lakes_lakes_and_table
    complaints, samples = complaints_and_samples
    i = 17
    row = table.iloc[i]
    one = samples.sel(sample=row.lake)
    with open_raster(lakes / f"images/{row.lake}.tif") as file:
        assert (one.image.values == file.read()).all()
    assert one.depth.values == np.float32(row["depth [m]"])
    assert samples.depth.attrs["units"] == "m"
    assert samples.temperature.attrs["units"] == "°C"
    assert samples.state.attrs["classes"][int(one.state)] == row.state
    observed = pd.read_csv(lakes / "temperature.csv", parse_dates=["date"])
    own = observed[observed.lake == row.lake].sort_values("date", kind="stable")
    steps = one.temperature_time.notnull().values
    origin = pd.Timestamp(samples.temperature_time.attrs["units"].removeprefix("days since "))
    assert np.allclose(one.temperature.values[steps, 0], own["temperature [°C]"])
    assert (one.temperature_time.values[steps] == (own.date - origin).dt.days).all()
    # missing stays missing, and is said
    assert "1 of 60 samples has no row there, e.g. 'L000'" in str(complaints[0].message)
    assert int(samples.depth.isnull().sum()) == 5
    assert samples.temperature_time.sel(sample="L000").isnull().all()
    # and the split keeps regions together
    assert samples.attrs["split_by"] == "by 'group', alike in state, depth"
    assert samples.attrs["title"] == "lakes"


def test_through_a_store(invent_lakes_lakes_and_table):
    "Lakes, in eight lines."
    # through a store: the same samples, streamed; the next call finds them there
    invent_lakes, lakes, table = invent_lakes_lakes_and_table
    words = dict(image="images/{lake}.tif", state="state", depth="depth [m]", id="lake")
    stored = samples_from_table(
        lakes / "lakes.csv", dest=lakes / "store", group="region", progress=False, **words
    )
    direct = samples_from_table(lakes / "lakes.csv", group="region", progress=False, **words)
    xr.testing.assert_equal(stored.load(), direct)
    assert isinstance(stored.depth.attrs["units"], str)
    again = samples_from_table(
        lakes / "lakes.csv", dest=lakes / "store", group="region", progress=False, **words
    )
    assert again.sizes == direct.sizes
    # another table, or another split, is not taken for the store that is there
    other = pd.read_csv(lakes / "lakes.csv").assign(state=lambda t: t.state.to_numpy()[::-1])
    options = dict(dest=lakes / "store", group="region", progress=False) | words
    with pytest.raises(FileExistsError, match="was made with other settings"):
        samples_from_table(other, lakes, **options)
    with pytest.raises(FileExistsError, match="was made with other settings"):
        samples_from_table(lakes / "lakes.csv", deal=dict(seed=5), **options)


def test_what_cannot_be_read_is_named_with_its_file(invent_lakes_lakes_and_table):
    "Lakes, in eight lines."
    # what cannot be read is named, with its file; or left out, which is said
    invent_lakes, lakes, table = invent_lakes_lakes_and_table
    broken = Path(tempfile.mkdtemp())
    invent_lakes(broken, 12)
    (broken / "images/L003.tif").write_bytes(b"no raster")
    (broken / "images/L007.tif").unlink()
    words = dict(image="images/{lake}.tif", state="state", id="lake", group="lake", progress=False)
    with pytest.raises(ValueError, match="2 bad samples among 12"):
        samples_from_table(broken / "lakes.csv", **words)
    with pytest.warns(UserWarning, match="2 bad samples are left out, e.g. L003"):
        rest = samples_from_table(broken / "lakes.csv", skip_bad=True, **words)
    assert rest.sizes["sample"] == 10


def test_a_column_that_is_not_there_an_id_that_occurs_twice_no_modality_at_all(few_and_dozen):
    "Lakes, in eight lines."
    few, dozen = few_and_dozen
    with pytest.raises(ValueError, match="no column 'pond' for `id`; the table has lake, region"):
        samples_from_table(dozen, state="state", id="pond")
    with pytest.raises(ValueError, match="9 ids occur twice, e.g. 'region 0'"):
        samples_from_table(dozen, state="state", id="region")
    with pytest.raises(ValueError, match="no modality was named"):
        samples_from_table(dozen)
    with pytest.raises(ValueError, match="balance: 'image' is no column of labels or numbers"):
        samples_from_table(
            few / "lakes.csv", image="images/{lake}.tif", id="lake", deal=dict(balance="image")
        )


def test_a_given_split_is_kept_whatever_it_is_called(few_and_dozen):
    "Lakes, in eight lines."
    # a given split is kept, whatever it is called; a DataFrame is a table, too
    few, dozen = few_and_dozen
    third = np.arange(12) % 3
    given = dozen.assign(split=np.array(["training", "val", "test"])[third])
    samples = samples_from_table(given, state="state", id="lake", progress=False)
    assert samples.split.values.tolist() == np.array(["train", "valid", "test"])[third].tolist()
    with pytest.raises(ValueError, match="unknown split"):
        samples_from_table(given.assign(split="holdout"), state="state", id="lake")


def test_a_group_that_was_given_is_kept():
    "Lakes, in eight lines."
    # a group that was given is kept; dealing that would tear it apart is refused
    years = pd.DataFrame(
        dict(farm=np.arange(60) // 3, year=2000 + np.arange(60) % 5, y=np.arange(60.0))
    )
    with pytest.raises(ValueError, match="dealt by 'year', .* of 20 groups would stand in more than"):
        samples_from_table(years, y="y", group="farm", deal=dict(by="year"), progress=False)
    nested = years.assign(region=years.farm // 2)
    both = samples_from_table(nested, y="y", group="farm", deal=dict(by="region"), progress=False)
    assert both.group.values.tolist() == years.farm.tolist()
    assert both.split_by == "by 'region'"
    alone = samples_from_table(years, y="y", deal=dict(by="year"), progress=False)
    assert alone.group.values.tolist() == years.year.astype(str).tolist()
    with pytest.raises(ValueError, match="no modality can be called 'time'"):
        samples_from_table(years, time="y")
    # a series with samples of different length is described and scaled by what was observed
    rng = np.random.default_rng(0)
    length = rng.integers(1, 9, 60)
    days = pd.DataFrame(
        dict(
            id=np.repeat(np.arange(60), length),
            day=np.concatenate([np.arange(n) for n in length]),
            rain=rng.normal(100, 5, length.sum()),
        )
    )
    words = dict(group="farm", progress=False)
    rainy = samples_from_table(years.assign(id=np.arange(60)), y="y", rain=days, **words)
    train = days[days.id.isin(rainy.sample.values[rainy.split == "train"].astype(int))]
    (said,) = (training_statistics(rainy)["rain"],)
    assert np.allclose([*said["mean"], *said["std"]], [train.rain.mean(), train.rain.std(ddof=0)])
    assert said["min"][0] == np.float32(train.rain.min())
    assert describe(rainy).missing["rain"] == 0


def test_ids_keep_their_zeros_and_files_are_found_by_them():
    "Lakes, in eight lines."
    # ids keep their zeros, and files are found by them; a row without an id is named
    def tiles_in(folder, n=24, missing=()):
        "Square rasters in a row to the east, and a table of their classes."
        for i in range(n):
            place = ((5e5 + 3000 * i, 5.6e6), 10, "EPSG:32632")
            values = np.full((1, 4, 4), 5 * i, "uint8")
            write_geotiff(folder / f"t/{i:03d}.tif", values, *place)
        table = pd.DataFrame(dict(id=[f"{i:03d}" for i in range(n)], kind=["a", "b"] * (n // 2)))
        table.to_csv(folder / "tiles.csv", index=False)
        return table


    tiles = Path(tempfile.mkdtemp())
    rows = tiles_in(tiles)
    words = dict(tile=dict(source="t/{id}.tif", kind="image"), kind="kind", progress=False)
    whole = samples_from_table(tiles / "tiles.csv", **words)
    assert whole.sample.values[:2].tolist() == ["000", "001"]
    assert whole.split_by.startswith("by blocks of")
    with pytest.raises(ValueError, match="1 of 24 rows have no id in 'id', the first of them row 4"):
        samples_from_table(rows.assign(id=rows.id.where(rows.index != 3)), tiles, **words)
    # a file that is not there is left out, and the others are dealt by blocks as before
    (tiles / "t/003.tif").unlink()
    with pytest.warns(UserWarning, match="1 bad samples are left out, e.g. 003"):
        rest = samples_from_table(tiles / "tiles.csv", skip_bad=True, **words)
    assert rest.split_by.startswith("by blocks of")
    assert np.isfinite(rest.lat).all()
    # one without a coordinate system: no other way of dealing is taken in silence
    write_geotiff(tiles / "t/003.tif", np.full((1, 4, 4), 7, "uint8"), (0, 0), 10, None)
    with pytest.raises(ValueError, match="1 of 24 samples have no place, e.g. '003': .*003.tif has no"):
        samples_from_table(tiles / "tiles.csv", **words)
    named = rows.assign(file=[f"t/{i}.tif" for i in rows.id])
    named.loc[5, "file"] = None
    write_geotiff(tiles / "t/003.tif", np.full((1, 4, 4), 7, "uint8"), (5e5, 5.6e6), 10, "EPSG:32632")
    words = dict(tile=dict(source="file", kind="image"), kind="kind", progress=False)
    with pytest.raises(ValueError, match="e.g. '005': no file is named. Blocks cannot be dealt"):
        samples_from_table(named, tiles, **words)
    with pytest.warns(UserWarning, match="e.g. '005': no file is named; their lat and lon are NaN"):
        kept = samples_from_table(named.assign(group=np.arange(24) // 4), tiles, **words)
    assert kept.split_by == "by 'group'"
    assert int(kept.lat.isnull().sum()) == 1


def test_three_lines_for_a_folder_of_images(invent_lakes_lakes_and_table):
    "A folder and nothing else."
    invent_lakes, lakes, table = invent_lakes_lakes_and_table
    samples = samples_from_folder(
        lakes, image="images/{id}.tif", deal=dict(block_km=50), progress=False
    )
    assert samples.sizes["sample"] == 60
    assert samples.attrs["split_by"] == "by blocks of 50 km"
    lat = pd.read_csv(lakes / "lakes.csv", index_col="lake").lat
    assert np.allclose(samples.lat, lat[samples.sample.values], atol=1e-3)
    assert samples.image_channel.values.tolist() == ["red", "green", "blue"]
    # fields become columns; a field twice must be the same twice
    (lakes / "more/a").mkdir(parents=True)
    for name in ("more/a/a_1.txt", "more/a/a_2.txt", "more/a/b_3.txt"):
        (lakes / name).write_text("")
    found = table_of_files(lakes, "more/{region}/{region}_{id}.txt")
    assert found.to_dict("list") == dict(region=["a", "a"], id=["1", "2"])
    with pytest.raises(FileNotFoundError, match="no file fits 'x/{id}.tif'; there are"):
        table_of_files(lakes, "x/{id}.tif")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        table_of_files(lakes / "none", "x/{id}.tif")
    with pytest.raises(ValueError, match="name at least one modality by a pattern"):
        samples_from_folder(lakes, image="images")


def test_real_tiles_where_they_are_at_hand():
    "A folder and nothing else."
    # real tiles, where they are at hand: five modalities in four lines, places in degrees
    tiles = [p / "shared/data/terramesh" for p in Path.cwd().parents]
    tiles = next((p for p in tiles if p.exists()), None)
    if tiles is None:
        pytest.skip("the tiles of TerraMesh are not here")
    real = samples_from_folder(
        tiles, s2="S2L2A/{id}.tif", s1="S1RTC/{id}.tif", dem="DEM/{id}.tif", cover="LULC/{id}.tif"
    )
    assert real.s2.shape == (5, 12, 224, 224)
    assert {n: real[n].attrs["kind"] for n in real} == dict(
        s2="image", s1="image", dem="image", cover="mask"
    )
    assert real.s2.attrs["pixel_size"] == 10
    assert np.allclose(real.lat.sel(sample="637U_59R_1_3"), 57.2, atol=0.1)
    assert real.attrs["split_by"].startswith("by blocks of")
