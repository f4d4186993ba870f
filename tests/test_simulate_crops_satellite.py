"""Scenes

Written by nbdev-export from the check cells of nbs/api/simulate/crops/02_satellite.ipynb.
Do not edit: change the notebook, then `make export`.
"""

from importlib.util import find_spec

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import ListedColormap
from scipy.stats import norm

from mtl_explain.simulate.crops.farms import field_ground, field_window, simulate_plan
from mtl_explain.simulate.crops.growth import canopy_spectrum, load_tables
from mtl_explain.simulate.crops.satellite import (
    add_atmosphere, as_product, classify_scene, cloud_color, cloud_opacity, cloud_shade, coarsen, draw_sky,
    interpolate, outside_swath, pasture, scene_dates, scl_colors, simulate_scene, surface,
)


@pytest.fixture(scope='module')
def field_window_and_ground():
    "A field of a plan, its window and ground."
    field = simulate_plan(12, seed=1, hectares=30.0).query("crop == 'soybean'").iloc[0]
    window = field_window(field.rings)
    ground = field_ground(window, field.region, 1, np.random.default_rng(5))
    return field, window, ground


def test_five_days_ten_before_july_2017():
    "When."
    assert len(scene_dates(pd.Timestamp("2020-01-01"), pd.Timestamp("2020-04-09"), 2)) == 20
    assert len(scene_dates(pd.Timestamp("2017-01-01"), pd.Timestamp("2017-04-10"), 2)) == 10


def test_rainy_days_are_cloudy():
    "The sky of a day."
    # rainy days are cloudy: three to four tenths of the ground are covered otherwise
    def cover(rain):
        skies = [draw_sky(rain, np.random.default_rng(k)) for k in range(2000)]
        return np.mean([norm.sf(sky["level"]) for sky in skies])


    assert 0.3 < cover(0.0) < 0.45
    assert 0.75 < cover(10.0) < 0.85


def test_a_shadow_lies_on_the_side_away_from_the_sun_as_far_as_the_cloud_is():
    "The sky of a day."
    # a shadow lies on the side away from the sun, as far as the cloud is high with the sun at 45°
    x = np.arange(0, 6000, 20.0)
    y = -np.arange(0, 6000, 20.0)
    high = dict(level=0.8, cirrus=False, base=1000.0, clouds=3)
    cloud = cloud_opacity(x, y, high)  # the sun in the east: shadows 1,000 m to the west
    shade = cloud_shade(x, y, high, (45.0, 90.0))
    assert np.allclose(shade[:, :250], cloud[:, 50:])
    assert 0 < cloud.mean() < 0.5
    seen = 0.3 * (1 - 0.6 * shade) * (1 - cloud) + 0.95 * cloud
    fig, ax = plt.subplots(figsize=(4, 3), dpi=75, layout="constrained")
    ax.imshow(seen, cmap="gray", vmin=0, vmax=1, extent=(0, 6, 0, 6))
    ax.set(title="clouds and their shadows", xlabel="x [km]", ylabel="y [km]")


def test_between_two_rows_on_a_row_and_beyond_the_last():
    "The surface."
    assert interpolate(np.array([[0, 1], [10, 3], [20, 5.0]]), [0, 1, 3], 2).tolist() == [15, 4]
    assert interpolate(np.array([0.0, 10, 20]), [0, 1, 3], 1) == 10
    assert interpolate(np.array([0.0, 10, 20]), [0, 1, 3], 9) == 20


def test_at_a_node_of_the_table():
    "The surface."
    table = load_tables().spectra
    one = np.ones((1, 1))
    looked_up = surface("maize", 1.2 * one, 0.5 * one, one, 25.0, -10.0)[:, 0, 0]
    node = table.sel(crop="maize", lai=1.2, senescence=0.5, ground=1, sun=25, view=-10)
    assert np.allclose(looked_up, node)


def test_between_nodes_against_prosail():
    "The surface."
    if not find_spec("prosail"):
        pytest.skip("prosail is missing: pip install 'mtl_explain[simulate]'")
    at = dict(lai=3.0, senescence=0.1, sun=33.0, view=8.0)
    one = np.ones((1, 1))
    looked_up = surface("soybean", 3 * one, 0.1 * one, 0.4 * one, 33.0, 8.0)[:, 0, 0]
    run = canopy_spectrum("soybean", ground=0.4, **at)
    assert np.abs(looked_up - run).max() < 0.02


def test_a_pasture_in_february_and_in_august():
    "The surface."
    green, fresh = pasture(40, np.ones((2, 2)))
    dry, straw = pasture(223, np.ones((2, 2)))
    assert np.allclose(green, 1.5)
    assert np.allclose(fresh, 0.4)
    assert np.allclose(dry, 0.5, atol=0.01)
    assert np.allclose(straw, 0.8, atol=0.01)


def test_clear_air_changes_nothing_a_thick_cloud_hides_all_a_shadow_takes_more():
    "Through the air."
    # clear air changes nothing, a thick cloud hides all, a shadow takes more of infrared than of blue
    ground = np.full((12, 1, 1), 0.2)
    clear = dict(gain=1.0, haze=0.0)
    nothing = np.zeros((1, 1))
    whole = np.ones((1, 1))
    assert np.allclose(add_atmosphere(ground, nothing, nothing, clear), ground)
    hidden = add_atmosphere(ground, whole, nothing, clear)[:, 0, 0]
    assert np.allclose(hidden, list(cloud_color.values()))
    dark = add_atmosphere(ground, nothing, whole, clear)[:, 0, 0]
    assert dark[7] < dark[1] < 0.2


def test_four_pixels_become_one():
    "The product."
    assert coarsen(np.arange(8.0).reshape(2, 4), 2).tolist() == [[2.5, 4.5]]
    assert coarsen(np.ones((12, 6, 12)), 6).shape == (12, 1, 2)


def test_a_leafy_pixel_bare_soil_a_cloud_its_edge_cirrus_a_shadow():
    "The product."
    def scene_class(red, near, cloud=0.0, dark=0.0, cirrus=False):
        seen = np.full((12, 2, 2), 0.3)
        seen[3] = red
        seen[7] = near
        opacity = np.full((2, 2), cloud)
        shade = np.full((2, 2), dark)
        return int(classify_scene(seen, opacity, shade, cirrus, np.random.default_rng(0))[0, 0])


    assert scene_class(0.04, 0.4) == 4
    assert scene_class(0.2, 0.26) == 5
    assert scene_class(0.7, 0.7, cloud=0.9) == 9
    assert scene_class(0.5, 0.5, cloud=0.4) == 8
    assert scene_class(0.1, 0.3, cloud=0.1, cirrus=True) == 10
    assert scene_class(0.05, 0.15, dark=0.8) == 3


def test_sizes_types_noise_of_one_or_two_percent_and_no_data_outside_the_swath():
    "The product."
    gone = np.zeros((60, 120), bool)
    gone[:, 60:] = True
    seen = np.full((12, 60, 120), 0.25)
    product = as_product(seen, np.full((30, 60), 4), gone, np.random.default_rng(0))
    assert [v.shape for v in product.values()] == [(4, 60, 120), (6, 30, 60), (2, 10, 20), (30, 60)]
    assert product["20m"].dtype == "uint16"
    assert product["SCL"].dtype == "uint8"
    inside = product["10m"][..., :60]
    assert abs(inside.mean() - 2500) < 5
    assert 15 < inside.std() < 35
    assert not product["10m"][..., 60:].any()
    assert (product["SCL"][:, 30:] == 0).all()


def test_an_edge_through_the_middle_of_a_window():
    "One scene."
    grid = dict(x=np.arange(-50, 50, 10.0), y=np.arange(50, -50, -10.0))
    assert 0.4 < outside_swath(grid, (0, 0), 0.0).mean() < 0.6
    assert not outside_swath(grid, (0, 0), np.inf).any()


def test_the_same_leaves_on_twelve_days(field_window_and_ground):
    "One scene."
    field, window, ground = field_window_and_ground
    leaves = np.full(window["shape"], 3.0) * ground["vigour"], np.zeros(window["shape"])


    def scene_on(date):
        return simulate_scene(field, window, ground, leaves, date, 1, np.random.default_rng(0))


    dates = pd.date_range("2019-01-04", periods=12, freq="5D")
    scenes = [scene_on(d) for d in dates]
    assert len({int(np.median(s["SCL"])) for s in scenes}) > 2
    assert np.array_equal(scenes[0]["20m"], scene_on(dates[0])["20m"])
    look = dict(cmap=ListedColormap(scl_colors), vmin=-0.5, vmax=11.5, interpolation="nearest")
    fig, axes = plt.subplots(2, 12, figsize=(11.5, 2.3), dpi=75, layout="constrained")
    for (top, low), d, s in zip(axes.T, dates, scenes, strict=True):
        top.imshow((s["10m"][2::-1].transpose(1, 2, 0) / 2200).clip(0, 1) ** 0.8)
        low.imshow(s["SCL"], **look)
        top.set_title(f"{d:%d %b}", fontsize=8)
    for ax in axes.flat:
        ax.axis("off")
