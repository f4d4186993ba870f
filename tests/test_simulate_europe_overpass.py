"""A simulated overpass

Written by nbdev-export from the check cells of nbs/api/simulate/europe/01_overpass.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest

from mtl_explain.simulate.europe.landscape import Terrain, make_land, normals, numbers, surfaces
from mtl_explain.simulate.europe.overpass import (
    backscatter, daily, elevation_model, make_scene, moisture, plants, reflectance, shading, sky, snow_cover,
    speckle, spectra, tilt, weather_at,
)


@pytest.fixture(scope='module')
def lands():
    "Three blocks of land for the checks below."
    return dict(
        Ireland=make_land("Ireland", 53, -8, [0, 1], 96),
        Portugal=make_land("Portugal", 38.5, -8, [0, 0], 96),
        Finland=make_land("Finland", 62, 27, [0, 3], 96),
    )


def test_green_plants_have_a_red_edge_snow_is_dark_in_the_short_wave_infrared():
    "Spectra."
    # green plants have a red edge, snow is dark in the short-wave infrared, water everywhere
    assert all(v.shape == (12,) and 0 < v.min() and v.max() < 900 for v in spectra.values())
    assert all(spectra[k][7] > 3.5 * spectra[k][3] for k in ("grass", "crop", "leaves", "needles"))
    assert spectra["snow"][10] < 0.15 * spectra["snow"][1]
    assert spectra["water"].max() < 30
    assert all({s.leaf, s.dry, s.rest} <= set(spectra) for s in surfaces.values())


def test_interpolation_hits_the_months():
    "A date."
    # interpolation hits the months; summers are dry in Portugal and not in Ireland
    temperature, rain = normals(53, -8, 50)
    assert abs(daily(temperature, 15.2 + 30.42 * 3) - temperature[3]) < 0.01
    assert abs(daily(temperature, 380.2) - temperature[0]) < 0.01
    assert moisture(temperature, rain).min() > 0.5 > 0.15 > moisture(*normals(38, -8, 50)).min()
    scene = make_scene(50, 180, [1])
    assert scene == make_scene(50, 180, [1])
    assert 31 <= scene.incidence <= 45
    assert 0 <= scene.haze < 1


def test_shares_are_shares(lands):
    "Plants through the year."
    # shares are shares; grass is green in Ireland's winter and Portugal's spring, not in its summer
    def green(country, surface, date):
        land = lands[country]._replace(surface=np.full((96, 96), numbers[surface]))
        found = plants(land, date, np.zeros((96, 96)))
        assert found.min() >= 0
        assert found.sum(0).max() <= 1.001
        return found[0].mean()


    assert green("Ireland", "meadow", 20) > 0.5
    assert green("Portugal", "meadow", 90) > 0.6 > 0.3 > green("Portugal", "meadow", 225)
    assert green("Finland", "meadow", 20) < 0.05
    assert green("Ireland", "broadleaves", 190) > 0.8 > 0.1 > green("Ireland", "broadleaves", 20)
    assert green("Finland", "conifers", 20) > 0.8
    assert green("Portugal", "winter crop", 120) > 0.7 > 0.1 > green("Portugal", "winter crop", 180)
    assert green("Finland", "winter crop", 195) > 0.7


def test_slopes_that_face_the_sun_are_brighter(lands):
    "What Sentinel-2 sees."
    # slopes that face the sun are brighter; it snows where it is cold, less under trees
    y, x = np.indices((40, 40)) * 10.0
    south = Terrain(400 - 0.3 * y, np.zeros((40, 40), bool), np.ones((40, 40)))
    assert shading(south, 30, 180).mean() > 1.2 > 1 > 0.8 > shading(south, 30, 0).mean()
    assert np.allclose(shading(south._replace(height=0 * y), 30, 180), 1)
    land = lands["Finland"]
    white = snow_cover(land, np.full((96, 96), -8.0), np.zeros((96, 96)))
    assert white[land.trait("height") < 5].min() > 0.85 > 0.35 > white[land.trait("height") > 5].max()
    assert snow_cover(land, np.full((96, 96), 4.0), np.zeros((96, 96))).max() < 0.01


def test_water_is_dark_forest_darker_than_meadow_green_land_has_an_ndvi_snow(lands):
    "What Sentinel-2 sees."
    # water is dark, forest darker than meadow, green land has an NDVI, snow does not
    land = lands["Finland"]
    summer = make_scene(62, 200, [3])
    image = reflectance(land, summer, [0, 1])


    def mean(name, band):
        return image[band][land.surface == numbers[name]].mean()


    assert image.shape == (12, 96, 96)
    assert image.min() >= 1
    assert np.array_equal(image, reflectance(land, summer, [0, 1]))
    assert mean("water", 7) < 500 < mean("conifers", 7) < mean("broadleaves", 7)
    ndvi = (image[7] - image[3]) / (image[7] + image[3])
    winter = reflectance(land, make_scene(62, 45, [3])._replace(anomaly=-4.0), [0, 2])
    assert ndvi[land.trait("code") == 10].mean() > 0.6
    assert winter[3].mean() > 2 * image[3].mean()
    assert winter[10].mean() < 2000
    overcast = sky(np.random.default_rng(0), image / 10, summer, cloudy=1.0)
    assert overcast[1].mean() > 1.2 * image[1].mean()
    assert overcast[1].max() > 4000


def test_speckle_has_mean_1_and_the_spread_of_four_to_five_looks():
    "What Sentinel-1 sees."
    # speckle has mean 1 and the spread of four to five looks; neighbours are alike
    grains = speckle(np.random.default_rng(0), 200)
    assert abs(grains.mean() - 1) < 0.01
    assert 3.5 < 1 / grains.var() < 5.5
    assert 0.6 < np.corrcoef(grains[:, 1:].ravel(), grains[:, :-1].ravel())[0, 1] < 0.9
    x = np.arange(40) * 10.0 + np.zeros((40, 1))
    # falls to the east: faces a radar that looks to the west
    slope = Terrain(500 - 0.3 * x, np.zeros((40, 40), bool), np.ones((40, 40)))
    assert tilt(slope, 38, 270).mean() > 3 > 0 > -1.5 > tilt(slope, 38, 90).mean()
    assert np.allclose(tilt(slope._replace(height=0 * x), 38, 90), 0)


def test_water_is_dark_and_darker_without_wind_houses_shine_vh_is_below_vv(lands):
    "What Sentinel-1 sees."
    land = lands["Ireland"]
    calm = make_scene(53, 200, [5])._replace(wind=(1.0, 0.0))
    windy = calm._replace(wind=(9.0, 0.0))
    level = backscatter(land, calm, [1])
    assert level.shape == (2, 96, 96)
    assert np.isfinite(level).all()
    assert 3 < (level[0] - level[1]).mean() < 10
    flood = land._replace(
        surface=np.full((96, 96), numbers["water"]),
        terrain=land.terrain._replace(water=np.ones((96, 96), bool)),
    )
    still = backscatter(flood, calm, [1])[0].mean()
    rippled = backscatter(flood, windy, [1])[0].mean()
    assert still < -20 < rippled
    town = land._replace(surface=np.full((96, 96), numbers["roofs"]))
    assert backscatter(town, calm, [1])[0].mean() > level[0].mean() + 4


def test_trees_stick_out_by_some_metres_lakes_are_flat(lands):
    "Elevation and weather."
    # trees stick out by some metres, lakes are flat; summers are warmer, mountains have less pressure
    land = lands["Finland"]
    water = land.terrain.water
    model = elevation_model(land)
    assert model.dtype == "int16"
    assert np.abs(model - land.terrain.height).max() < 25
    assert (model - land.terrain.height)[land.surface == numbers["conifers"]].mean() > 4
    assert not water.any() or np.ptp(model[water]) <= 1


    def weather(land, day):
        return weather_at(land, make_scene(62, day, [3]), day, 11, np.random.default_rng(0))


    hot = weather(land, 200)
    cold = weather(land, 20)
    assert 283 < hot["temperature"] < 305
    assert 250 < cold["temperature"] < 280
    assert 15 <= hot["relhumidity"] <= 100
    raised = land.terrain._replace(height=land.terrain.height + 1500)
    high = weather(land._replace(terrain=raised), 200)
    assert high["atmpressure_level"] < 875 < hot["atmpressure_level"] <= 1000
