"""Farms and fields

Written by nbdev-export from the check cells of nbs/api/simulate/crops/01_farms.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from rasterio.features import geometry_mask
from rasterio.transform import from_origin

from mtl_explain.simulate.crops.farms import (
    apportion, area_of, circle, crop_counts, cut_margins, cut_ring, divide, elevation_grid, farm_rings,
    field_ground, field_window, heights, net_area, plan_fields, simulate_plan, table_4, waves, write_outlines,
)


@pytest.fixture(scope='module')
def small():
    "A plan of 60 fields."
    return simulate_plan(60, seed=1)


def test_smooth_fields_have_unit_variance_and_do_not_depend_on_the_window():
    "Smooth randomness at absolute coordinates."
    x = np.arange(0, 40_000, 250.0)
    y = np.arange(0, 50_000, 250.0)
    whole = waves(x, y, np.random.default_rng(1), 200, 4000)
    part = waves(x[5:7], y[3:9], np.random.default_rng(1), 200, 4000)
    assert abs(whole.mean()) < 0.05
    assert abs(whole.std() - 1) < 0.05
    assert np.allclose(part, whole[3:9, 5:7])


def test_largest_remainders_by_hand():
    "The plan: crops, farms, years."
    assert apportion(10, [1, 1, 1]).tolist() == [4, 3, 3]
    assert apportion(12, table_4.fields).tolist() == [4, 7, 1]
    assert apportion(497, table_4.fields).tolist() == [147, 289, 61]


def test_the_papers_numbers_at_the_papers_size_each_crop_at_the_smallest():
    "The plan: crops, farms, years."
    assert crop_counts(497).equals(table_4[["fields", "farms"]])
    assert crop_counts(3).fields.tolist() == [1, 1, 1]
    assert crop_counts(12).farms.tolist() == [2, 3, 1]


def test_497_fields_have_the_crops_farms_and_years_of_the_paper():
    "The plan: crops, farms, years."
    plan = plan_fields(497, np.random.default_rng(0))
    assert plan.crop.value_counts()[table_4.index].tolist() == table_4.fields.tolist()
    assert plan.groupby("crop").farm.nunique()[table_4.index].tolist() == table_4.farms.tolist()
    assert set(plan.year) == set(range(2017, 2024))
    assert plan.farm.nunique() == 29
    assert plan.gap.between(0.25, 0.95).all()


def test_a_triangle_of_base_3_and_height_2_both_ways_around():
    "Outlines."
    assert area_of(np.array([[0, 0], [3, 0], [1, 2.0]])) == 3
    assert area_of(np.array([[1, 2], [3, 0], [0, 0.0]])) == -3


def test_a_unit_square_under_its_diagonal_on_this_side_of_a_line_beyond_it_and():
    "Outlines."
    # a unit square under its diagonal, on this side of a line beyond it, and on the other
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]])
    half = cut_ring(square, np.array([1.0, 1]), 1)
    assert area_of(half) == 0.5
    assert {tuple(p) for p in half} == {(0, 0), (1, 0), (0, 1)}
    assert np.array_equal(cut_ring(square, np.array([1.0, 0]), 2), square)
    assert len(cut_ring(square, np.array([1.0, 0]), -1)) == 0


def test_a_square_is_divided_by_given_areas():
    "Outlines."
    parts = divide(np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]]), np.array([1, 2, 1, 4.0]))
    assert np.allclose([area_of(p) for p in parts], np.array([1, 2, 1, 4]) / 8)


def test_a_circle_is_nearly_round():
    "Outlines."
    assert np.isclose(area_of(circle(np.zeros(2), 1)), np.pi, rtol=0.01)


def test_a_square_of_300_m_keeps_between_268_and_288_m():
    "Outlines."
    square = np.array([[0, 0], [300, 0], [300, 300], [0, 300.0]])
    left = cut_margins(square, np.random.default_rng(0))
    assert (np.ptp(left, 0) > 268).all()
    assert (np.ptp(left, 0) < 288).all()
    assert left.min() > 6


def test_fields_of_a_farm_do_not_overlap_stay_in_its_rectangle_and_have_about():
    "Outlines."
    # fields of a farm do not overlap, stay in its rectangle, and have about the areas asked for
    areas = np.random.default_rng(1).uniform(5e4, 2e5, 40)
    rings = farm_rings((0, 0), areas, np.random.default_rng(1))
    at = from_origin(-1800, 1800, 10, 10)
    cover = np.zeros((360, 360), int)
    for r in rings:
        outline = dict(type="Polygon", coordinates=[r[0].tolist()])
        cover += geometry_mask([outline], cover.shape, at, invert=True)
    assert cover.max() == 1
    assert 0.8 < sum(map(net_area, rings)) / areas.sum() < 1.05
    assert len(rings) == 40


def test_two_farms_from_above(small):
    "Outlines."
    fig, axes = plt.subplots(1, 2, figsize=(9, 4), dpi=75, layout="constrained")
    colors = dict(maize="#de8f05", soybean="#029e73", wheat="#0173b2")
    label = dict(ha="center", va="center", fontsize=7, color="white")
    for ax, farm in zip(axes, ("farm00", "farm01"), strict=True):
        fields = small[small.farm == farm]
        corner = np.min([rings[0].min(0) for rings in fields.rings], 0)
        for f in fields.itertuples():
            outline, *holes = (ring - corner for ring in f.rings)
            ax.fill(*outline.T, color=colors[f.crop], ec=".3", lw=0.5)
            for hole in holes:
                ax.fill(*hole.T, color="white", ec=".3", lw=0.5)
            ax.text(*outline.mean(0), f"{f.field}\n{f.year}", **label)
        ax.set_title(f"{farm}: orange maize, green soybean, blue wheat", fontsize=9)
        ax.set(xlabel="x [m]", ylabel="y [m]", aspect="equal")
    net = np.array([net_area(r) for r in small.rings]) / 1e4
    assert 0.75 < net.mean() / 12 < 1.05
    assert net.min() > 1
    assert small.farm.nunique() == 12
    assert small.drop(columns="rings").equals(simulate_plan(60, seed=1).drop(columns="rings"))


def test_too_few_and_too_small_fields():
    "Outlines."
    with pytest.raises(ValueError, match="at least 3 fields"):
        simulate_plan(2)
    with pytest.raises(ValueError, match="1 to 300 hectares on average; got 0.5"):
        simulate_plan(12, hectares=0.5)


def test_outlines_are_closed_and_stand_where_the_plan_says(small):
    "Outlines."
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fields.geojson"
        write_outlines(small, path)
        shapes = json.loads(path.read_text())["features"]
    ring = shapes[7]["geometry"]["coordinates"][0]
    assert len(shapes) == 60
    assert ring[0] == ring[-1]
    assert np.allclose(np.mean(ring[:-1], 0), [small.lon[7], small.lat[7]], atol=2e-5)


def test_the_landscape_of_the_foothills_and_how_much_flatter_the_plains_are():
    "The ground."
    x = 480_000 + np.arange(0, 12_000, 60.0)
    y = 7_040_000 - np.arange(0, 8000, 60.0)
    z = heights(x, y, "west", 0)
    fig, ax = plt.subplots(figsize=(5.5, 3.2), dpi=75, layout="constrained")
    fig.colorbar(ax.imshow(z, extent=(0, 12, 0, 8), cmap="cividis"), ax=ax, label="height [m]")
    ax.set(title="foothills", xlabel="x [km]", ylabel="y [km]")
    assert np.isclose(heights(x, y, "east", 0).std() * 4, z.std())
    assert 5 < z.std() < 40
    assert 300 < z.mean() < 460


def test_a_square_field_of_one_hectare_with_a_hole_by_hand():
    "The ground."
    outline = np.array([[100, 100], [200, 100], [200, 200], [100, 200.0]])
    hole = np.array([[140, 140], [160, 140], [160, 160], [140, 160.0]])
    window = field_window([outline, hole])
    assert (window["x0"], window["y0"], window["shape"]) == (60, 240, (18, 18))
    assert window["mask"].sum() == 96
    assert window["x"][0] == 65
    assert window["y"][0] == 235
    pixels = [field_window(r)["mask"].sum() for r in simulate_plan(497, 3, 1.0).rings]
    assert min(pixels) > 9  # the smallest fields have pixels, too


def test_pixels_in_cells():
    "The ground."
    # pixels in cells: the corner of the window, and one cell further
    grid = elevation_grid(dict(x0=600.0, y0=1200.0, shape=(12, 18)), "east", 0)
    assert grid["true"].shape == (24, 26)
    assert grid["corner"] == (300, 1500)
    assert np.allclose([grid["at"][0][0, 0], grid["at"][1][0, 0]], 10 - 1 / 3)
    assert np.isclose(grid["at"][1][0, 3] - grid["at"][1][0, 0], 1)


def test_one_fields_ground_against_the_landscape(small):
    "The ground."
    field = small[(small.crop == "soybean") & (small.region == "west")].iloc[0]
    window = field_window(field.rings)
    ground = field_ground(window, "west", 1, np.random.default_rng(5))
    error = np.abs(ground["height"] - heights(window["x"], window["y"], "west", 1))
    assert np.median(error) < 0.01  # the bottom of a valley is sharper than 30 m
    assert error.max() < 1.5
    assert ground["dem"].shape == tuple(k // 3 + 20 for k in window["shape"])
    assert np.abs(ground["dem"] - elevation_grid(window, "west", 1)["true"]).max() < 2
    assert 0.3 < ground["wet"][window["mask"]].mean() < 0.7
    inside = np.where(window["mask"], 1, np.nan)
    high, wide = window["shape"]
    fig, axes = plt.subplots(1, 4, figsize=(11, 2.4), dpi=75, layout="constrained")
    for ax, values, title, cmap in (
        (axes[0], ground["height"], "height [m]", "cividis"),
        (axes[1], ground["wet"] * inside, "wetness", "Blues"),
        (axes[2], ground["vigour"] * inside, "vigour", "YlGn"),
        (axes[3], ground["bright"] * inside, "brightness of the soil", "copper"),
    ):
        shown = ax.imshow(values, cmap=cmap, extent=(0, 10 * wide, 0, 10 * high))
        fig.colorbar(shown, ax=ax, shrink=0.7)
        ax.set(title=title, xlabel="x [m]")
