"""Where a modality comes from

Written by nbdev-export from the check cells of nbs/api/doors/00_sources.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mtl_explain.data.native import BadSample
from mtl_explain.doors.sources import (
    Label, Labels, NpyFile, Numbers, WideSeries, check_names, find_source, image_series, long_series,
    raster_source, read_table,
)
from mtl_explain.files.raster import open_raster, write_geotiff


@pytest.fixture(scope='module')
def folder():
    return Path(tempfile.mkdtemp())


@pytest.fixture(scope='module')
def world_table_and_big():
    def small_world(folder, n=6, size=16, seed=0):
        "A folder of rasters by kind, one file per sample, and a table."
        rng = np.random.default_rng(seed)
        for kind in ("image", "dem", "lc"):
            (folder / kind).mkdir(exist_ok=True)
        for i in range(n):
            place = ((8 + 0.05 * i, 50), 0.001, "EPSG:4326")
            height = rng.normal(300, 20, (size, size)).astype("float32")
            height[:2, :3] = -9999
            classes = rng.choice([10, 30, 80], (size, size)).astype("uint8")
            image = rng.integers(0, 3000, (2, size, size)).astype("uint16")
            write_geotiff(folder / f"image/{i}.tif", image, *place, names=["B4", "B8"])
            write_geotiff(folder / f"dem/{i}.tif", height, *place, nodata=-9999)
            write_geotiff(folder / f"lc/{i}.tif", classes, *place)
        lon = 8 + 0.05 * np.arange(n) + size / 2000
        lat = 50 - size / 2000
        table = pd.DataFrame(dict(id=np.arange(n), lat=lat, lon=lon, biome=["a", "b"] * (n // 2)))
        return table
    world = Path(tempfile.mkdtemp())
    table = small_world(world)
    big = np.arange(400 * 600, dtype="float32").reshape(1, 400, 600)
    write_geotiff(world / "big.tif", big, (7.9, 50.1), 0.001, "EPSG:4326")
    table.index = table.id.astype(str)
    table.head(3)
    return world, table, big


@pytest.fixture(scope='module')
def image(world_table_and_big):
    world, table, big = world_table_and_big
    return raster_source("image", "image/{id}.tif", table, str(world))


@pytest.fixture(scope='module')
def dem(world_table_and_big):
    world, table, big = world_table_and_big
    return raster_source("dem", "dem/{id}.tif", table, str(world), units="m")


@pytest.fixture(scope='module')
def lc(world_table_and_big):
    world, table, big = world_table_and_big
    return raster_source("lc", "lc/{id}.tif", table, str(world))


def test_by_its_ending(folder):
    "Tables."
    # by its ending; what is missing or no table is one line; a name keeps its leading zeros
    pd.DataFrame(dict(id=["007", "100"], n=[1, 2])).to_csv(folder / "zeros.csv", index=False)
    assert read_table(folder / "zeros.csv", ("id", "plot")).id.tolist() == ["007", "100"]
    assert read_table(folder / "zeros.csv").id.tolist() == [7, 100]
    assert read_table(folder / "zeros.csv", ("n",)).n.tolist() == [1, 2]
    pd.DataFrame(dict(id=["a", "b"], depth=[1.5, 2.5])).to_csv(folder / "lakes.csv", index=False)
    assert read_table(folder / "lakes.csv").depth.tolist() == [1.5, 2.5]
    with pytest.raises(FileNotFoundError, match="no such table: .*ponds.csv"):
        read_table(folder / "ponds.csv")
    (folder / "lakes.xyz").write_text("?")
    with pytest.raises(ValueError, match=r"expected a table \(.csv, .tsv"):
        read_table(folder / "lakes.xyz")


def test_a_geopackage_knows_its_places(folder):
    "Tables."
    geopandas = pytest.importorskip("geopandas")
    corners = geopandas.points_from_xy([10.0, 11.0], [50.0, 51.0], crs="EPSG:4326")
    frame = geopandas.GeoDataFrame(dict(id=["a", "b"]), geometry=corners).to_crs("EPSG:32632")
    frame.to_file(folder / "places.gpkg")
    for given in (folder / "places.gpkg", frame):
        table = read_table(given)
        assert np.allclose(table.lat, [50, 51], atol=1e-6)
        assert np.allclose(table.lon, [10, 11], atol=1e-6)
        assert "geometry" not in table


def test_units_stand_in_brackets_behind_a_name():
    "Columns."
    # units stand in brackets behind a name; missing stays missing
    row = pd.Series({"depth [m]": 3.5, "size": np.nan, "state": "green", "none": np.nan}, name="L1")
    source = Numbers("depth", ["depth [m]", "size"])
    assert list(source.template().attrs["units"].split(", ")) == ["m", ""]
    assert source.template().depth_feature.values.tolist() == ["depth", "size"]
    assert np.array_equal(source.read(row), np.array([3.5, np.nan], "float32"), equal_nan=True)
    states = Label("state", "state", ["clear", "green"])
    assert states.read(row) == 1
    assert Label("state", "none", ["clear", "green"]).read(row) == -1
    with pytest.raises(BadSample, match="L1: 'state' is 'green', expected one of clear, brown"):
        Label("state", "state", ["clear", "brown"]).read(row)
    with pytest.raises(BadSample, match="L1: 'state' is 'green', expected a number"):
        Numbers("x", ["size", "state"]).read(row)
    # a number, or a class, that means nothing
    row = pd.Series({"depth": -9999, "size": 2.5, "code": 0.0}, name="L1")
    read = Numbers("x", ["depth", "size"], nodata=-9999).read(row)
    assert np.array_equal(read, np.array([np.nan, 2.5], "float32"), equal_nan=True)
    assert "nodata" not in Numbers("x", ["depth"], nodata=-9999).template().attrs
    assert Label("code", "code", ["1", "2"], nodata=0).read(row) == -1
    # several labels: from a threshold on they count
    row = pd.Series({"oak": 0.6, "pine": 0.05, "ash": np.nan}, name="p1")
    trees = Labels("trees", ["oak", "pine", "ash"])
    assert trees.read(row).tolist() == [1, 0, -1]
    assert Labels("trees", ["oak", "pine"], 0.05).read(row).tolist() == [1, 1]
    assert trees.template().attrs["classes"] == ["absent", "present"]
    with pytest.raises(BadSample, match="p1: 'oak' is 7.0, expected 0 to 1"):
        trees.read(row.where(row.index != "oak", 7.0))


def test_rows_in_any_order_samples_of_different_length():
    "Series."
    # rows in any order, samples of different length: in order of time, padded, the gap has no time
    rows = pd.DataFrame(
        dict(
            lake=["b", "a", "a", "c"],
            date=["2020-01-11", "2020-02-01", "2020-01-01", "2020-05-01"],
            ndvi=[0.3, 0.2, 0.1, 0.9],
        )
    )
    source = long_series("ndvi", rows, ["a", "b"], "lake")
    assert source.time_units == "days since 2020-01-01"
    assert source.length == 2
    one, two, none = (pd.Series(dtype=object, name=n) for n in ("a", "b", "z"))
    assert source.times(one).tolist() == [0, 31]
    assert np.isnan(source.times(two)[1])
    assert source.times(two)[0] == 10
    assert np.allclose(source.read(one)[:, 0], [0.1, 0.2])
    assert np.isnan(source.read(two)[1]).all()
    assert source.template().ndvi_time.attrs["units"] == "days since 2020-01-01"
    # a sample without any row has no step
    assert np.isnan(source.times(none)).all()
    with pytest.raises(ValueError, match="no column 'pond' for `by`; it has lake, date, ndvi"):
        long_series("ndvi", rows, ["a"], "pond")
    with pytest.raises(ValueError, match="1 times cannot be read, e.g. '01/02/2020'; expected"):
        long_series("ndvi", rows.assign(date=["01/02/2020", *rows.date[1:]]), ["a"], "lake")
    with pytest.raises(ValueError, match="no row belongs to a sample"):
        long_series("ndvi", rows, ["x"], "lake")


def test_dates_as_numbers_are_dates():
    "Series."
    # dates as numbers are dates; of other numbers nobody knows the units, unless they are days
    def days_of(**columns):
        rows = pd.DataFrame(dict(lake=["a", "a", "a"], ndvi=[1.0, 2, 3]) | columns)
        (time,) = columns
        source = long_series("ndvi", rows, ["a"], "lake", time)
        return source.times(pd.Series(dtype=object, name="a")).tolist(), source.time_units


    assert days_of(date=[20200131, 20200101, 20200301]) == ([0, 30, 60], "days since 2020-01-01")
    assert days_of(date=[202001, 202003, 202002]) == ([0, 31, 60], "days since 2020-01-01")
    assert days_of(month=[1, 2, 12]) == ([1, 2, 12], "")
    assert days_of(day=[1, 2, 366]) == ([1, 2, 366], "d")
    with pytest.raises(ValueError, match="1 times cannot be read, e.g. '20201345'"):
        days_of(date=[20200131, 20201345, 20200301])
    # no column of times: say which; a table with a row per sample is joined instead
    soils = pd.DataFrame(dict(lake=["a", "b"], clay=[0.1, 0.2]))
    with pytest.raises(ValueError, match="no column of times .* say which it is, e.g. time='month'"):
        long_series("soil", soils, ["a"], "lake")
    with pytest.raises(ValueError, match="it has one row per 'lake': join it to the table"):
        long_series("soil", soils, ["a"], "lake")


def test_what_is_odd_about_the_rows_of_a_series_is_counted_and_named():
    "Series."
    visits = pd.DataFrame(
        dict(
            lake=["a", "a", "b", "b", "zz"],
            date=["2020-01-01", "2020-01-01", "2020-02-01", None, "2020-02-01"],
            ndvi=[0.1, 0.2, 0.3, 0.4, 0.5],
            place=["pier"] * 5,
        )
    )
    with pytest.warns(UserWarning) as heard:
        odd = long_series("ndvi", visits, ["a", "b", "c"], "lake", where="visits.csv")
    for said in (
        "visits.csv: place left out: no numbers; name the `columns` that are wanted",
        "visits.csv: 1 of 5 rows have no 'date' and are left out, e.g. of 'lake' b",
        "visits.csv: 1 rows have the 'lake' and 'date' of another, e.g. a at 2020-01-01: each is",
        "visits.csv: 1 of 3 samples has no row there, e.g. 'c': all of it is missing; of no sample "
        "are rows such as of 'zz'",
    ):
        assert any(str(w.message).startswith(said) for w in heard), said
    assert len(heard) == 4
    assert np.isnan(odd.read(pd.Series(dtype=object, name="c"))).all()
    # nothing is odd, nothing is said; numbers as text are numbers; -9999 may mean nothing
    plain = visits.iloc[[0, 2]].drop(columns="place").assign(ndvi=["0.1", "-9999"])
    quiet = long_series("ndvi", plain, ["a", "b"], "lake", nodata=-9999)
    assert np.allclose(quiet.read(pd.Series(dtype=object, name="a")), 0.1)
    assert np.isnan(quiet.read(pd.Series(dtype=object, name="b"))).all()
    # one bad cell does not take a variable away
    bad = pd.concat([plain] * 5).assign(ndvi=[*"123456789", "x"], lake=[*"abcdefghij"])
    with pytest.raises(ValueError, match="'ndvi' is 'x' in row 10, expected a number \\(1 of 10"):
        long_series("ndvi", bad, list("abcdefghij"), "lake")
    with pytest.raises(ValueError, match="no column 'evi'; it has lake"):
        long_series("ndvi", bad, ["a"], "lake", columns=["evi"])


def test_wide_a_column_per_step_a_list_of_columns_a_channel():
    "Series."
    row = pd.Series({"n1": 0.1, "n2": 0.2, "v1": 5.0, "v2": 6.0}, name="a")
    source = WideSeries("year", dict(ndvi=["n1", "n2"], vv=["v1", "v2"]), [15, 46])
    assert np.allclose(source.read(row), [[0.1, 5], [0.2, 6]])
    with pytest.raises(ValueError, match="'year': 3 times for 2 columns"):
        WideSeries("year", dict(ndvi=["n1", "n2"]), [1, 2, 3]).template()


def test_told_from_the_files(image, dem, lc, world_table_and_big):
    "What the first files say."
    # told from the files: kind, channels, type, classes
    world, table, big = world_table_and_big
    assert (image.kind, image.channels, image.dtype) == ("image", ["B4", "B8"], "uint16")
    assert (dem.kind, dem.channels, dem.dtype) == ("image", ["dem"], "float32")
    assert (lc.kind, lc.classes) == ("mask", ["10", "30", "80"])
    # and read: holes are NaN, classes are positions
    row = table.iloc[2]
    assert image.read(row).shape == (2, 16, 16)
    assert np.isnan(dem.read(row)[0]).sum() == 6
    assert set(np.unique(lc.read(row))) == {0, 1, 2}
    with open_raster(world / "lc/2.tif") as file:
        as_written = file.read(1)
    assert (np.array([10, 30, 80])[lc.read(row)] == as_written).all()


def test_classes_by_name_in_any_order_and_a_value_that_is_not_among_them(world_table_and_big, lc):
    "What the first files say."
    world, table, big = world_table_and_big
    names = {80: "water", 10: "trees", 30: "grass"}
    named = raster_source("lc", "lc/{id}.tif", table, str(world), classes=names)
    assert named.classes == ["water", "trees", "grass"]
    assert (named.read(table.iloc[0]) == np.array([1, 2, 0])[lc.read(table.iloc[0])]).all()
    fewer = raster_source("lc", "lc/{id}.tif", table, str(world), classes={10: "trees", 30: "grass"})
    with pytest.raises(BadSample, match="the value 80 is no class of 'lc' \\(10, 30\\)"):
        fewer.read(table.iloc[0])
    with pytest.raises(ValueError, match="2 classes, but the files hold 3 values: 10, 30, 80"):
        raster_source("lc", "lc/{id}.tif", table, str(world), classes=["trees", "grass"])
    with pytest.raises(ValueError, match="is no map of at most 64 classes"):
        raster_source("dem", "dem/{id}.tif", table, str(world), kind="mask")
    with pytest.raises(FileNotFoundError, match="'x': none of the files is there, e.g. .*x/0.tif"):
        raster_source("x", "x/{id}.tif", table, str(world))


def test_a_window_of_one_large_raster_about_each_place_is_what_the_file_of_that(world_table_and_big, image):
    "What the first files say."
    # a window of one large raster about each place is what the file of that place holds
    world, table, big = world_table_and_big
    window = raster_source("big", "big.tif", table, str(world), size=16)
    found = window.read(table.iloc[3])
    column = round((8.15 - 7.9) * 1000)
    assert np.array_equal(found[0], big[0, 100:116, column : column + 16])
    far = table.assign(lon=7.9)
    with pytest.raises(BadSample, match="a window of 16 pixels reaches over the edge"):
        window.read(far.iloc[0])
    # bands in files of their own are one image, named by what the patterns differ in
    for i in range(6):
        with open_raster(world / f"image/{i}.tif") as file:
            both = file.read()
        for band, values in zip(("B4", "B8"), both, strict=True):
            place = ((8 + 0.05 * i, 50), 0.001, "EPSG:4326")
            write_geotiff(world / f"apart/x_{i}_{band}.tif", values, *place)
    apart = raster_source(
        "s2", ["apart/x_{id}_B4.tif", "apart/x_{id}_B8.tif"], table, str(world), units="1"
    )
    assert apart.channels == ["B4", "B8"]
    assert np.array_equal(apart.read(table.iloc[4]), image.read(table.iloc[4]))
    # of a pattern with `size`, the middle of each file
    middle = raster_source("image", "image/{id}.tif", table, str(world), size=8)
    assert np.array_equal(middle.read(table.iloc[1]), image.read(table.iloc[1])[:, 4:12, 4:12])


def test_a_number_that_means_nothing_in_an_image_in_a_map_of_classes_in_a():
    "What the first files say."
    # a number that means nothing, in an image, in a map of classes, in a series of images
    def written(where, values, pixel=10.0, **options):
        write_geotiff(made / where, values, (5e5, 5.6e6), pixel, "EPSG:32632", **options)


    made = Path(tempfile.mkdtemp())
    plain = np.arange(1, 17, dtype="uint16").reshape(1, 4, 4) * 100
    two = pd.DataFrame(dict(id=["a", "b"]), index=["a", "b"])
    for place in "ab":
        written(f"x_{place}.tif", plain)
        written(f"c_{place}.tif", (plain % 300 // 100).astype("uint8"))
    holes = raster_source("x", "x_{id}.tif", two, str(made), "image", nodata=100)
    assert holes.dtype == "float32"
    assert np.isnan(holes.read(two.iloc[0])).sum() == 1
    cover = raster_source("c", "c_{id}.tif", two, str(made), nodata=0)
    assert cover.classes == ["1", "2"]
    assert (cover.read(two.iloc[0]) == plain[0].astype(int) % 300 // 100 - 1).all()
    # another type, gaps that others have not, another size of pixels: each is said for itself
    ints = raster_source("x", "x_{id}.tif", two, str(made), "image")
    written("x_b.tif", plain.astype("float32") / 10_000)
    with pytest.raises(BadSample, match="holds fractions .* where the first files hold whole numbers"):
        ints.read(two.iloc[1])
    written("x_b.tif", plain, nodata=300)
    with pytest.raises(
        BadSample, match="has gaps \\(1 of 16 numbers are its nodata 300\\).*nodata=300"
    ):
        ints.read(two.iloc[1])
    heard = raster_source("x", "x_{id}.tif", two, str(made), "image", nodata=300)
    assert [int(np.isnan(heard.read(r)).sum()) for _, r in two.iterrows()] == [1, 1]
    written("x_b.tif", plain, 20.0)
    with pytest.raises(BadSample, match="its pixels are 20 m a side, those of the first file 10 m"):
        ints.read(two.iloc[1])


def test_dates_from_a_column_as_a_list_or_by_position():
    "Series of images."
    # dates from a column, as a list or by position; padded, and no more than asked for
    made = Path(tempfile.mkdtemp())
    series = {"a": 3, "b": 5}
    for place, n in series.items():
        values = np.arange(n * 2 * 4 * 4).reshape(n, 2, 4, 4).astype("int16")
        np.save(made / f"S2_{place}.npy", values)
    by_position = {str(i): 20190101 + 100 * i for i in range(5)}
    dates = [["2019-01-01", "2019-02-01", "2019-03-01"], by_position]
    places = pd.DataFrame(dict(when=dates), index=["a", "b"])
    source = image_series("s2", NpyFile("S2_{id}.npy", str(made), "when"), places)
    assert source.template().shape == (0, 5, 2, 4, 4)
    assert source.times(places.iloc[0])[:3].tolist() == [0, 31, 59]
    assert np.isnan(source.times(places.iloc[0])[3:]).all()
    assert source.times(places.iloc[1])[4] == 120
    whole = np.load(made / "S2_b.npy")
    assert (source.read(places.iloc[1]) == whole).all()
    assert (source.read(places.iloc[0])[3:] == 0).all()
    few = image_series("s2", NpyFile("S2_{id}.npy", str(made), "when"), places, steps=3)
    assert (few.read(places.iloc[1]) == whole[[0, 2, 4]]).all()
    assert few.times(places.iloc[1]).tolist() == [0, 59, 120]
    with pytest.raises(BadSample, match="has shape \\(5, 2, 4, 4\\), and there are 3 dates"):
        source.read(pd.Series(dict(when=dates[0]), name="b"))
    np.save(made / "S2_c.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(BadSample, match="is no array"):
        source.read(pd.Series(dict(when=dates[0]), name="c"))


def test_a_word_is_enough_where_the_table_and_the_files_say_the_rest(world_table_and_big):
    "Whatever stands there."
    world, table, big = world_table_and_big
    def found(given, name="x"):
        return type(find_source(name, given, table, str(world))).__name__


    assert found("lat") == "Numbers"
    assert found(["lat", "lon"]) == "Numbers"
    assert found("biome") == "Label"
    assert found(dict(source="id", kind="category")) == "Label"
    assert found(dict(source=["lat", "lon"], time=[1, 2])) == "WideSeries"
    assert found(dict(source=["lat", "lon"], kind="multilabel")) == "Labels"
    assert found({"a": ["lat"], "b": ["lon"]}) == "WideSeries"
    assert found("image/{id}.tif") == "Raster"
    assert found(dict(source="big.tif", size=8)) == "Raster"
    with_paths = table.assign(path=[f"image/{i}.tif" for i in table.id])
    assert find_source("x", "path", with_paths, str(world)).read(with_paths.iloc[0]).shape == (
        2,
        16,
        16,
    )
    # an empty path means that there is none
    with_paths.loc["1", "path"] = None
    paths = find_source("x", "path", with_paths, str(world))
    assert paths.dtype == "float32"
    assert np.isnan(paths.read(with_paths.loc["1"])).all()
    assert not np.isnan(paths.read(with_paths.loc["0"])).any()


def test_labels_that_a_cell_lists_as_text_or_as_a_list(world_table_and_big):
    "Whatever stands there."
    world, table, big = world_table_and_big
    lists = pd.DataFrame(dict(cover=["water; forest", "forest", None]), index=["p", "q", "r"])
    covers = find_source("covers", dict(source="cover", kind="multilabel"), lists)
    assert covers.labels == ["forest", "water"]
    assert [covers.read(row).tolist() for _, row in lists.iterrows()] == [[1, 1], [1, 0], [-1, -1]]
    arrays = lists.assign(cover=[["water", "forest"], ["forest"], None])
    again = find_source("covers", dict(source="cover", kind="multilabel"), arrays)
    assert again.read(arrays.iloc[0]).tolist() == [1, 1]
    with pytest.raises(BadSample, match="'lava' is no label of 'covers': forest, water"):
        covers.read(pd.Series(dict(cover="lava"), name="s"))
    # what is nothing is one line that says what there is
    for given, said in {
        "lta": "'x': 'lta' is no column of the table \\(id, lat, lon, biome\\)",
        "big.tif": "'x': big.tif is one raster for all samples: give the `size`",
        "image/{nr}.tif": "'x': no column 'nr'",
        5: "'x': 5 is no column, pattern, file or table",
    }.items():
        with pytest.raises(ValueError, match=said):
            find_source("x", given, table, str(world))
    with pytest.raises(ValueError, match="kind is 'picture', expected image"):
        find_source("x", dict(source="lat", kind="picture"), table)


def test_a_name_that_is_no_option_is_refused_and_nearly_a_number_is_not_taken(world_table_and_big):
    "Whatever stands there."
    # a name that is no option is refused, and nearly a number is not taken for a class
    world, table, big = world_table_and_big
    for given, said in (
        (
            dict(source="biome", clases=["a"]),
            "'clases' is no option .* \\(did you mean 'classes'\\?\\)",
        ),
        (dict(source=["lat", "lon"], unit="m"), "did you mean 'units'"),
        (dict(source="image/{id}.tif", band=["a"]), "'band' is no option"),
        (dict(source="big.tif", sise=3), "did you mean 'size'"),
        (dict(source=table, collumns=["lat"]), "did you mean 'columns'"),
        (dict(source=["lat", "lon"], time=[1, 2], treshold=3), "'treshold' is no option"),
        (dict(sorce="biome"), "a dictionary has a `source`, or channel -> list of columns"),
    ):
        with pytest.raises(ValueError, match=said):
            find_source("x", given, table, str(world))
    many = pd.DataFrame(dict(ph=[*map(str, range(19)), "n/a?"]), index=[*map(str, range(20))])
    with pytest.raises(ValueError, match="but for 1 of 20 cells, e.g. 'n/a\\?' \\(sample '19'\\)"):
        find_source("x", "ph", many)
    assert len(find_source("x", dict(source="ph", kind="category"), many).classes) == 20
    assert type(find_source("x", "ph", many.iloc[:19])).__name__ == "Label"
    # a number that means nothing is told to whatever reads it
    assert np.isnan(
        find_source("x", dict(source="lat", nodata=table.lat.iloc[0]), table).read(table.iloc[0])
    )
    coded = find_source("x", dict(source="id", kind="category", nodata=1), table)
    assert (coded.classes, int(coded.read(table.iloc[1]))) == (["0", "2", "3", "4", "5"], -1)
    for name in ("split", "sample", "lat", "top"):
        with pytest.raises(ValueError, match=f"no modality can be called '{name}'"):
            check_names({name: "biome"}, "top")
    check_names(dict(image="x"))
