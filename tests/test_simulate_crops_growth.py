"""Crop growth

Written by nbdev-export from the check cells of nbs/api/simulate/crops/00_growth.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from mtl_explain.simulate.crops.growth import (
    band_responses, cached_season, calendar, canopy_spectrum, days, extra, load_tables, make_tables,
    radiation_above, rain_days, region_weather, regions, s2_bands, season_axes, season_days, season_key,
    season_table, season_weather, seasons, simulate_weather, sowing_date, spectra_axes, table_file, wetness,
    write_tables,
)


@pytest.fixture(scope='module')
def weather():
    "The weather of all three places."
    return simulate_weather()


@pytest.fixture(scope='module')
def tables():
    "The tables of the package."
    return load_tables()


def test_sunlight_at_the_top_of_the_atmosphere_as_in_the_textbook():
    "Three places and their weather."
    assert abs(radiation_above(-20, 246) - 32.2) < 0.1
    assert radiation_above(-27, 355) > 2 * radiation_above(-27, 172)  # December, not June, is summer


def test_the_chain_rains_as_often_as_its_chances_say():
    "Three places and their weather."
    wet = rain_days(np.zeros(100_000), np.random.default_rng(0))
    assert abs(wet.mean() - 0.15 / (1 - 0.4 + 0.15)) < 0.005


def test_over_seven_and_a_half_usual_years_a_place_gets_its_rain_and_dry_days():
    "Three places and their weather."
    # over seven and a half usual years a place gets its rain, and dry days are thirstier than wet ones
    found = region_weather(regions["west"], np.ones(len(days)), np.random.default_rng(0))
    assert np.isclose(found["rain"].sum() * 365.25 / len(days), 800)
    assert found["et0"][found["rain"] == 0].mean() > found["et0"][found["rain"] > 0].mean()


def test_the_weather_is_possible_warm_in_january_and_the_same_for_the_same_seed(weather):
    "Three places and their weather."
    assert (weather.tmin <= weather.tmean).all()
    assert (weather.tmean <= weather.tmax).all()
    assert (weather.rain >= 0).all()
    assert weather.equals(simulate_weather())
    assert not weather.equals(simulate_weather(1))
    year = weather.rain.groupby("time.year").sum().sel(year=slice(2017, 2023))
    monthly = weather.groupby("time.month").mean()
    assert (monthly.tmean.sel(month=1) - monthly.tmean.sel(month=7) > 10).all()
    assert (weather.et0.mean("time") > weather.rain.mean("time")).all()
    fig, axes = plt.subplots(1, 2, figsize=(9, 2.6), dpi=75, layout="constrained")
    for k, color in zip(regions, ("#0173b2", "#de8f05", "#029e73"), strict=True):
        axes[0].plot(year.year, year.sel(region=k), "o-", color=color, label=k)
        axes[1].plot(monthly.month, monthly.tmean.sel(region=k), color=color)
    axes[0].set(title="rain of each year", xlabel="year", ylabel="rain [mm]")
    axes[1].set(title="mean temperature of each month", xlabel="month", ylabel="temperature [°C]")
    axes[0].legend()


def test_a_few_hundred_seasons_and_their_dates():
    "Seasons: AquaCrop."
    assert len(seasons()) == 756
    assert len({json.dumps(s) for s in seasons()}) == 756
    assert str(sowing_date("soybean", 2020, 1).date()) == "2019-12-18"
    assert str(sowing_date("wheat", 2020, 0).date()) == "2020-05-12"


def test_without_the_extra_there_is_one_clear_line():
    "Seasons: AquaCrop."
    with (
        patch.dict(sys.modules, aquacrop=None),
        pytest.raises(ImportError, match=r"package aquacrop: pip install 'mtl_explain\[simulate\]'"),
    ):
        extra("aquacrop")


def test_the_rain_of_a_knoll_is_four_fifths_of_that_of_a_slope(weather):
    "Seasons: AquaCrop."
    season = dict(crop="maize", region="east", year=2019, sowing=0)
    knoll = season_weather(season | dict(wetness="knoll"), weather)
    slope = season_weather(season | dict(wetness="slope"), weather)
    assert np.allclose(knoll.Precipitation, 0.8 * slope.Precipitation)
    assert str(knoll.Date[0].date()) == "2018-12-05"
    assert len(knoll) == season_days + 1


def test_seasons_that_are_there_are_not_run_again_and_stand_where_they_belong(weather):
    "Seasons: AquaCrop."
    if not find_spec("aquacrop"):
        pytest.skip("aquacrop is missing: pip install 'mtl_explain[simulate]'")
    with tempfile.TemporaryDirectory() as folder:
        for k, s in enumerate(seasons()):
            kept = dict(canopy=[0] * season_days, grain=k, maturity=k % 99)
            (Path(folder) / f"{season_key(s, weather)}.json").write_text(json.dumps(kept))
        table = season_table(weather, folder, workers=1, progress=False)
    assert all(int(table.grain.sel(**seasons()[k])) == k for k in range(0, 756, 55))
    assert table.maturity.values.max() == 98


def test_each_band_sees_its_own_centre_and_half_as_much_at_half_its_width():
    "Spectra: PROSAIL."
    nm = np.arange(400, 2501)
    seen = band_responses(nm)
    assert np.allclose(seen @ nm, [c for c, _ in s2_bands.values()], atol=0.5)
    assert np.isclose(seen[7, 833 + 53 - 400] / seen[7, 833 - 400], 0.5)


def test_without_the_extra_nothing_is_begun():
    "The file that ships."
    with tempfile.TemporaryDirectory() as folder:
        with (
            patch.dict(sys.modules, prosail=None),
            pytest.raises(ImportError, match="needs the package"),
        ):
            make_tables(Path(folder) / "t.nc", Path(folder) / "seasons", progress=False)
        assert list(Path(folder).iterdir()) == []


def test_what_ships_is_small_whole_and_has_the_axes_of_this_page(tables):
    "The file that ships."
    assert table_file.stat().st_size < 1e6
    assert tables.canopy.sizes == dict(
        crop=3, region=3, year=7, sowing=2, soil=2, wetness=3, day=season_days
    )
    assert all(tables[v].notnull().all() for v in tables.data_vars)
    assert list(tables.band.values) == list(s2_bands)
    for axis, values in (season_axes | spectra_axes).items():
        assert list(tables[axis].values) == values
    print(f"{table_file.stat().st_size / 1e3:.0f} kB")


def test_packing_loses_nothing_the_second_time(tables):
    "The file that ships."
    with tempfile.TemporaryDirectory() as folder:
        path = write_tables(tables.drop_encoding(), Path(folder) / "again.nc")
        with xr.open_dataset(path, engine="h5netcdf") as again:
            assert again.load().equals(tables)
        assert [p.name for p in Path(folder).iterdir()] == ["again.nc"]


def test_wetter_spots_and_better_soils_yield_more(tables):
    "The file that ships."
    grain = tables.grain
    assert (grain.sel(wetness="hollow") >= grain.sel(wetness="knoll") - 0.5).mean() > 0.97
    assert grain.sel(soil="SiltLoam").mean() > grain.sel(soil="SandyLoam").mean()
    assert 10 < grain.sel(crop="maize").mean() < 18
    assert 3 < grain.sel(crop="soybean").mean() < 6
    assert 3 < grain.sel(crop="wheat").mean() < 9
    canopy = tables.canopy.sel(region="centre", year=2019, sowing=0, soil="SiltLoam")
    by_year = grain.sel(wetness="slope").mean(("region", "sowing", "soil"))
    steps = np.arange(0, 18.1, 0.75)
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 2.8), dpi=75, layout="constrained")
    for crop, color in zip(calendar, ("#de8f05", "#029e73", "#0173b2"), strict=True):
        for k, wet in enumerate(wetness):
            cover = canopy.sel(crop=crop, wetness=wet)
            left.plot(tables.day, cover, color=color, lw=1 + k, alpha=0.4 + 0.3 * k)
        values = grain.sel(crop=crop).values.ravel()
        middle.hist(values, steps, histtype="step", lw=1.8, color=color, label=crop)
        right.plot(tables.year, by_year.sel(crop=crop), "o-", color=color)
    left.set_title("canopy, centre 2019 (thicker: wetter)")
    left.set(xlabel="days since sowing", ylabel="green canopy cover")
    middle.set(title="grain of all seasons", xlabel="grain [t/ha]", ylabel="seasons")
    right.set(title="mean by year of harvest", xlabel="year", ylabel="grain [t/ha]")
    middle.legend()


def test_spectra_behave(tables):
    "The file that ships."
    # spectra behave: NDVI rises with leaves and falls with age, wet soil is darker
    s = tables.spectra
    red = s.sel(band="B04")
    near = s.sel(band="B08")
    ndvi = (near - red) / (near + red)
    assert (ndvi.sel(senescence=0).diff("lai") > -0.01).all()
    assert (ndvi.sel(lai=2.5).diff("senescence") < 0.02).all()
    assert (ndvi.sel(lai=2.5, senescence=1) < 0.45).all()
    assert ((s > 0) & (s < 0.8)).all()
    assert (s.sel(lai=0, band="B02") < 0.75 * s.sel(lai=0, band="B04")).all()
    assert (s.sel(lai=0, ground=1) > s.sel(lai=0, ground=0)).all()
    at = s.sel(crop="soybean", sun=40, view=0).interp(ground=0.4)
    centre = [c for c, _ in s2_bands.values()]
    cmap = plt.cm.cividis
    fig, axes = plt.subplots(1, 2, figsize=(9, 2.8), dpi=75, sharey=True, layout="constrained")
    for v in (0, 0.5, 1.2, 2.5, 5):
        spectrum = at.sel(senescence=0, lai=v)
        axes[0].plot(centre, spectrum, "o-", ms=3, label=f"{v:g}", color=cmap(v / 6))
    for v in tables.senescence.values:
        spectrum = at.sel(senescence=v, lai=2.5)
        axes[1].plot(centre, spectrum, "o-", ms=3, label=f"{v:g}", color=cmap(v / 1.2))
    axes[0].set(title="leaf area grows", xlabel="wavelength [nm]", ylabel="reflectance")
    axes[1].set(title="leaves age", xlabel="wavelength [nm]")
    for ax, title in zip(axes, ("LAI", "senescence"), strict=True):
        ax.legend(title=title, fontsize=8)


def test_the_weather_of_the_tables_made_again(weather, tables):
    "Is it what the models say?"
    assert all(np.allclose(tables[k], weather[k], atol=0.006) for k in weather.data_vars)


def test_seasons_of_the_table_run_again(weather, tables):
    "Is it what the models say?"
    if not find_spec("aquacrop"):
        pytest.skip("aquacrop is missing: pip install 'mtl_explain[simulate]'")
    some = dict(sowing=1, soil="SiltLoam", wetness="slope")
    with tempfile.TemporaryDirectory() as folder:
        for season in (
            dict(crop="soybean", region="west", year=2020, **some),
            dict(crop="maize", region="centre", year=2018, **some),
            dict(crop="wheat", region="east", year=2023, **some),
        ):
            run = cached_season(season, weather, folder)
            again = cached_season(season, weather, folder)
            kept = tables.sel(**season)
            assert abs(run["grain"] - float(kept.grain)) < 1e-3
            assert run["maturity"] == int(kept.maturity)
            assert np.allclose(run["canopy"], kept.canopy, atol=3e-3)
            assert again == run
        assert len(list(Path(folder).iterdir())) == 3


def test_spectra_of_the_table_run_again(tables):
    "Is it what the models say?"
    if not find_spec("prosail"):
        pytest.skip("prosail is missing: pip install 'mtl_explain[simulate]'")
    for crop, lai, aged, view in (
        ("maize", 0.5, 0.0, -10.0),
        ("wheat", 5.0, 0.5, 10.0),
        ("soybean", 0.0, 0.0, 0.0),
    ):
        at = dict(crop=crop, lai=lai, senescence=aged, ground=1.0, sun=40.0, view=view)
        assert np.allclose(canopy_spectrum(**at), tables.spectra.sel(**at), atol=1e-4)
