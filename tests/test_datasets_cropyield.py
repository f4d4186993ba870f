"""CropYield

Written by nbdev-export from the check cells of nbs/api/datasets/03_cropyield.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import shutil
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr

from mtl_explain.data.samples import check_samples, describe, modalities
from mtl_explain.data.store import open_store, read_manifest
from mtl_explain.datasets.cropyield import (
    dataset, fetch, field_map, load, load_sample, plot_fields, plot_pixel, prepare, setups, template,
)
from mtl_explain.datasets.cropyield_fields import crops, read_field, read_fields, read_weather
from mtl_explain.modality import modality_of
from mtl_explain.networks.multitask import MultitaskNetwork, example_inputs
from mtl_explain.setup import setup_table
from mtl_explain.simulate.crops.fields import simulate_crops


# breaks a file, or the row of a field
def rewrite(path, edit=lambda v: v, shift=0, **profile):
    with rasterio.open(path) as file:
        values = edit(file.read())
        names = file.descriptions
        kept = dict(file.profile)
    a, b, x, *rest = list(kept["transform"])[:6]
    kept["transform"] = rasterio.Affine(a, b, x + shift * a, *rest)
    shape = dict(count=len(values), height=values.shape[1], width=values.shape[2])
    with rasterio.open(path, "w", **(kept | shape | profile)) as file:
        file.write(values.astype(file.dtypes[0]))
        file.descriptions = names[: len(values)]


def part(kind):
    return lambda root, name: sorted((root / "sentinel2" / name).glob(f"*_{kind}.tif"))[2]


def dem(root, name):
    return root / "dem" / f"{name}.tif"


def csv(root, name):
    return root / "yield" / f"{name}.csv"


@pytest.fixture(scope='module')
def home_world_and_fields():
    "A simulated world of four small fields, for the checks of this page."
    home = Path(tempfile.mkdtemp())
    world = simulate_crops(home / "world", n=4, seed=5, hectares=1.5, workers=1, progress=False)
    fields = read_fields(world)
    return home, world, fields


@pytest.fixture(scope='module')
def samples(home_world_and_fields):
    "The store of the simulated world."
    home, world, fields = home_world_and_fields
    return open_store(prepare(world, home / "store", workers=1, progress=False))


@pytest.fixture(scope='module')
def faults():
    "What is broken: name of the copy -> where, how, what the reader says."
    return {
        "part missing": (part("20m"), Path.unlink, "no such file"),
        "truncated": (
            part("10m"),
            lambda p: p.write_bytes(p.read_bytes()[:-200]),
            "it is truncated or no raster",
        ),
        "wrong size": (part("20m"), lambda p: rewrite(p, lambda v: v[:, 1:]), "expected shape"),
        "wrong type": (
            part("10m"),
            lambda p: rewrite(p, dtype="float32", nodata=None),
            "expected dtype uint16, got float32",
        ),
        "band missing": (
            part("20m"),
            lambda p: rewrite(p, lambda v: v[1:]),
            "expected the bands B05 B06 B07 B8A B11 B12, got 5",
        ),
        "shifted": (part("60m"), lambda p: rewrite(p, shift=1), "lies elsewhere: upper left corner"),
        "other zone": (
            part("SCL"),
            lambda p: rewrite(p, crs="EPSG:32721"),
            "expected crs EPSG:32720, got EPSG:32721",
        ),
        "class 77": (part("SCL"), lambda p: rewrite(p, lambda v: 0 * v + 77), "unknown scene class 77"),
        "only no data": (
            lambda root, name: root / "sentinel2" / name,
            lambda folder: [rewrite(p, lambda v: 0 * v) for p in folder.glob("*.tif")],
            "no data in any of its",
        ),
        "stray name": (
            part("10m"),
            lambda p: p.rename(p.with_name("2020-01-01_10m.tif")),
            "expected a name as 20201231_10m.tif",
        ),
        "no scenes": (
            lambda root, name: root / "sentinel2" / name,
            shutil.rmtree,
            "no scene between sowing",
        ),
        "dem missing": (dem, Path.unlink, "no such file"),
        "dem with gap": (
            dem,
            lambda p: rewrite(
                p, lambda v: np.where(np.arange(v.size).reshape(v.shape) == 7, -32768, v), nodata=-32768
            ),
            "without gaps, but 1 of",
        ),
        "dem too small": (
            dem,
            lambda p: rewrite(p, lambda v: v[:, :12, :12]),
            "does not cover the field",
        ),
        "no points": (csv, Path.unlink, "no such file"),
        "latin-1": (
            csv,
            lambda p: p.write_bytes("x,y,yield,título\n1,1,3,a\n".encode("latin-1")),
            "not in the encoding UTF-8",
        ),
        "kilograms": (
            csv,
            lambda p: p.write_text("x,y,yield\n1,1,3400\n"),
            "1 of 1 points outside 0 .. 40 t/ha, e.g. 3400: other units?",
        ),
        "elsewhere": (
            csv,
            lambda p: p.write_text("x,y,yield\n1,1,3\n"),
            "1 of 1 points lie outside the scenes",
        ),
        "rye": (dict(crop="rye"), None, "unknown crop 'rye'; known: maize, soybean, wheat"),
        "backwards": (dict(harvest="2016-01-01"), None, "is not after sowing"),
        "no year": (dict(year=""), None, "year, lat and lon must be numbers"),
        "degrees": (dict(crs="EPSG:4326"), None, "crs must be one in metres"),
        "far away": (dict(lat="-20"), None, "the next grid point of the weather is 7"),
    }


@pytest.fixture(scope='module')
def broken_world(home_world_and_fields, faults):
    "A copy of the world with a broken copy of a field for each fault, and a field that is listed twice."
    home, world, fields = home_world_and_fields
    def broken_world(root):
        root = Path(shutil.copytree(world, root))
        good = (fields.harvest - fields.sowing).idxmin()
        table = pd.read_csv(root / "fields.csv", dtype=str).set_index("field")
        for name, (where, how, _) in faults.items():
            (root / "sentinel2" / name).mkdir()
            for file in sorted((root / "sentinel2" / good).iterdir())[:12]:
                shutil.copy(file, root / "sentinel2" / name)  # three scenes
            for file in ("yield/{}.csv", "dem/{}.tif"):
                shutil.copy(root / file.format(good), root / file.format(name))
            table.loc[name] = table.loc[good]
            if how is None:
                table.loc[name, list(where)] = list(where.values())
            else:
                how(where(root, name))
        pd.concat([table, table.loc[[good]]]).to_csv(root / "fields.csv")
        return root
    return broken_world


def test_nothing_to_fetch():
    "Getting it."
    with pytest.raises(FileNotFoundError, match="confidential .* simulate cropyield FOLDER"):
        fetch()


def test_five_modalities_weather_by_scenes_or_by_days():
    "What a sample looks like."
    assert [modality_of(v).shape for v in template(30, 30).data_vars.values()] == [
        (30, 25),
        (30, 4),
        (5,),
        (),
        (1,),
    ]
    assert template(30, 180, daily=True).weather.dims == ("sample", "day", "weather_feature")


def test_a_whole_sample_set_that_networks_can_read(samples, home_world_and_fields):
    "All of it."
    home, world, fields = home_world_and_fields
    check_samples(samples)
    assert list(modalities(samples)) == ["satellite", "weather", "dem", "crop", "yield"]
    assert modalities(samples)["satellite"].n_channels == 25
    assert set(samples.split.values) == {"train", "valid", "test"}
    assert list(dict.fromkeys(samples.group.values)) == list(fields.index)
    absent = np.isnan(samples.satellite_time.values)
    assert absent.any()
    assert (samples.satellite.values[absent] == 0).all()
    assert (samples.weather.values[absent] == 0).all()
    assert (
        samples.satellite.values[..., 12:].sum(-1) == ~absent
    ).all()  # each step that is there has one class
    assert not list(home.glob("store.*"))
    describe(samples)


def test_one_field_in_the_store(home_world_and_fields, samples):
    "All of it."
    home, world, fields = home_world_and_fields
    name = fields.index[2]
    one = read_field(world, fields.loc[name], read_weather(world))
    part = samples.isel(sample=samples.group.values == name)
    n = len(one["satellite_time"])
    assert np.array_equal(part.satellite.values[:, :n], one["satellite"])
    assert np.array_equal(part["yield"], one["yield"])
    assert np.array_equal(part.dem, one["dem"])
    assert np.array_equal(part.weather.values[0, :n], one["weather"])
    assert np.array_equal(part.satellite_time.values[0, :n], one["satellite_time"])
    assert (part.crop == list(crops).index(fields.crop[name])).all()
    assert (part.year == fields.year[name]).all()
    assert np.hypot(part.lat - fields.lat[name], part.lon - fields.lon[name]).max() < 0.01


def test_the_same_store_from_two_processes(home_world_and_fields, samples):
    "All of it."
    home, world, fields = home_world_and_fields
    with tempfile.TemporaryDirectory() as folder:
        xr.testing.assert_identical(
            open_store(prepare(world, Path(folder) / "store", workers=2, progress=False)), samples
        )


def test_interrupted_while_the_fields_are_read_the_next_call_goes_on_from_there(home_world_and_fields, samples):
    "All of it."
    home, world, fields = home_world_and_fields
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        seen = []
        whole = read_field

        def stops(source, row, *rest, **options):
            seen.append(row.name)
            if len(seen) == 3:
                raise KeyboardInterrupt
            return whole(source, row, *rest, **options)

        patch.setitem(prepare.__globals__, "read_field", stops)
        with pytest.raises(KeyboardInterrupt):
            prepare(world, Path(folder) / "store", daily=True, workers=1, progress=False)
        assert [len(list(p.glob("*.npz"))) for p in Path(folder).glob("store.fields-*")] == [2]
        assert not (Path(folder) / "store").exists()
        days = open_store(prepare(world, Path(folder) / "store", daily=True, workers=1, progress=False))
        assert seen == [*fields.index[:3], *fields.index[2:]]
        assert [p.name for p in Path(folder).iterdir()] == ["store"]
        assert days.sizes["day"] == (fields.harvest - fields.sowing).dt.days.max() + 1
        assert np.nanmin(days.weather_time) == 0
        assert np.array_equal(days.satellite, samples.satellite)
        del days


def test_a_store_none_and_a_sample(home_world_and_fields, samples):
    "Loading it."
    home, world, fields = home_world_and_fields
    assert load(home / "store").equals(samples)
    assert describe(samples).loc["satellite", "kind"] == "series"
    with pytest.raises(
        FileNotFoundError, match="data prepare cropyield FOLDER.*data simulate cropyield FOLDER"
    ):
        load(home / "none")
    with pytest.raises(FileNotFoundError, match="confidential"):
        prepare()
    few = load_sample(4)
    assert len(set(few.group.values)) == 4
    assert few.sizes["sample"] > 500
    assert set(few.split.values) == {"train", "valid", "test"}


def test_four_yield_maps(samples):
    "What it looks like."
    axes = plot_fields(samples)
    name = samples.group.values[0]
    assert len(axes) == 4
    assert np.nansum(field_map(samples, name)) == pytest.approx(
        samples["yield"].values[samples.group.values == name].sum(), rel=1e-5
    )
    with pytest.raises(ValueError, match="no sample of field"):
        field_map(samples, "x")


def test_a_pixels_season(home_world_and_fields, samples):
    "What it looks like."
    home, world, fields = home_world_and_fields
    fig, axes = plt.subplots(1, 2, figsize=(10, 2.6), dpi=70, layout="constrained")
    for name in fields.index:
        pixel = samples.isel(sample=np.flatnonzero(samples.group.values == name)[40])
        s = pixel.satellite.values.astype(float)
        clear = pixel.satellite.sel(
            satellite_feature=["SCL vegetation", "SCL not vegetated"]
        ).values.any(1)
        ndvi = (s[:, 7] - s[:, 3]) / np.maximum(s[:, 7] + s[:, 3], 1)
        style = dict(color=crops[fields.crop[name]], lw=1)
        axes[0].plot(
            pixel.satellite_time[clear],
            ndvi[clear],
            "o-",
            ms=3,
            label=f"{fields.crop[name]} {fields.year[name]:.0f}, {pixel['yield'].item():.1f} t/ha",
            **style,
        )
        axes[1].plot(
            pixel.weather_time,
            pixel.weather.sel(weather_feature="temperature_mean").where(pixel.weather_time.notnull()),
            **style,
        )
    axes[0].legend(fontsize=7, loc="lower center")
    for ax in axes:
        ax.invert_xaxis()
    axes[0].set(
        title="clear scenes of one pixel in each field", xlabel="days to harvest", ylabel="NDVI"
    )
    axes[1].set(
        title="mean temperature since the scene before",
        xlabel="days to harvest",
        ylabel="temperature [°C]",
    )
    assert len(axes[0].lines) == len(fields)


def test_bad_fields_stop_it_or_are_left_out_and_listed(home_world_and_fields, broken_world, faults, samples):
    "Bad fields."
    home, world, fields = home_world_and_fields
    good = (fields.harvest - fields.sowing).idxmin()
    with tempfile.TemporaryDirectory() as folder:
        root = broken_world(Path(folder) / "world")
        with pytest.raises(
            ValueError,
            match=f"(?s)^{len(faults) + 1} bad samples among {len(faults) + 5}:.*part missing: .*no "
            f"such file.*and {len(faults) - 9} more.*skip_bad",
        ):
            prepare(root, Path(folder) / "store", workers=1, progress=False)
        assert [p.name for p in Path(folder).iterdir()] == ["world"]
        store = prepare(root, Path(folder) / "store", skip_bad=True, workers=1, progress=False)
        assert (
            prepare(root, Path(folder) / "store", skip_bad=True, progress=False) == store
        )  # it is there already
        kept = load(store)
        dropped = pd.DataFrame(read_manifest(store)["dropped"]).set_index("sample")
        assert list(kept.sample.values) == list(samples.sample.values)
        assert np.array_equal(kept.satellite, samples.satellite)
        del kept
    assert dropped.problem[good] == "this id occurred before"
    assert list(dropped.index) == [*faults, good]
    for name, (*_, said) in faults.items():
        assert said in dropped.problem[name], f"{name}: {dropped.problem[name]}"
    dropped.assign(file=[Path(f).name for f in dropped.file]).rename_axis("field")


def test_faults_of_a_whole_folder(home_world_and_fields):
    "Bad fields."
    home, world, fields = home_world_and_fields
    with tempfile.TemporaryDirectory() as folder:
        root = Path(shutil.copytree(world, Path(folder) / "world"))

        def says(path, text, match, encoding="utf-8"):
            before = (root / path).read_bytes()
            (root / path).write_bytes(text.encode(encoding))
            with pytest.raises(ValueError, match=match):
                prepare(root, Path(folder) / "store", skip_bad=True, workers=1, progress=False)
            (root / path).write_bytes(before)

        table = (root / "fields.csv").read_text()
        weather = (root / "weather" / "era5_daily.csv").read_text()
        says(
            "fields.csv",
            table.replace("farm", "größe"),
            "fields.csv: not in the encoding UTF-8",
            "latin-1",
        )
        says("fields.csv", table.replace("crop", "plant"), "fields.csv: no column crop")
        says("fields.csv", "\n".join(table.splitlines()[:3]), "lists 2 fields; it takes at least three")
        says(
            "fields.csv",
            table.replace("-", "/"),
            "(?s)4 bad samples among 4:.*sowing and harvest must be dates",
        )
        says(
            "weather/era5_daily.csv",
            weather.replace(",28", ",2"),
            "era5_daily.csv: temperatures must be in kelvin",
        )
        says(
            "weather/era5_daily.csv",
            weather + "2030-13-01,-27,-60,290,291,292,0\n",
            "era5_daily.csv: 1 rows with missing values or dates, first row",
        )
        says(
            "weather/era5_daily.csv",
            weather + "2030-01-01,-27,-60,290,291,292,12\n",
            r"era5_daily.csv: precipitation \(tp\) must be in metres",
        )
        says(
            "weather/era5_daily.csv",
            "\n".join(weather.splitlines()[:40]),
            "(?s)4 bad samples.*rows of weather for the .* days from",
        )
        (root / "weather" / "era5_daily.csv").unlink()
        with pytest.raises(FileNotFoundError, match="no such file: .*era5_daily.csv"):
            prepare(root, Path(folder) / "store", progress=False)
        with pytest.raises(FileNotFoundError, match="has no fields.csv"):
            prepare(root / "dem", Path(folder) / "store", progress=False)
        with pytest.raises(FileNotFoundError, match="no such folder"):
            prepare(root / "nowhere", Path(folder) / "store", progress=False)


def test_thirteen_experiments_and_what_their_networks_return(samples):
    "Setups."
    assert [s.variant for s in setups.values()] == ["baseline"] * 4 + ["MML"] * 5 + ["MTL"] * 4
    assert setups["7"].weights == pytest.approx({"yield": 0.67, "crop": 0.33})
    mods = modalities(samples)
    outputs = {"yield": (3, 1), "crop": (3, 3), "dem": (3, 5)}
    for s in setups.values():
        check_samples(samples, s)
        assert {
            t: tuple(y.shape)
            for t, y in MultitaskNetwork(mods, s)(example_inputs(mods, s.inputs, 3)).items()
        } == {t: outputs[t] for t in s.targets}
    setup_table(setups.values())


def test_the_first_pixel_of_the_small_world(samples):
    "One sample."
    axes = plot_pixel(samples, samples.sample.values[0])
    assert axes[0].get_title().endswith("t/ha")
    assert len(axes[0].lines) == 2


def test_it_says_what_it_is():
    "The dataset."
    assert "13 setups" in repr(dataset)
