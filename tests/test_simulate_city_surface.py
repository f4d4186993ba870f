"""A scene

Written by nbdev-export from the check cells of nbs/api/simulate/city/01_surface.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mtl_explain.simulate.aerial import Window
from mtl_explain.simulate.city.blocks import Building, cities
from mtl_explain.simulate.city.surface import (
    buffer_box, changed_outlines, code, days, fill_boxes, ground_of, make_scene, make_surface, meadow,
    roof_height,
)


def test_a_box_of_the_plan_has_its_area_in_the_raster_wherever_it_lies_and():
    "A scene."
    # a box of the plan has its area in the raster, wherever it lies and however the window cuts it
    scene = make_scene(cities["utrecht"], Window(400, 600, 300, 300, 0.5))
    u = float(scene.u[150, 150])
    v = float(scene.v[150, 150])
    box = (u - 20, v - 6, u + 20, v + 6)
    area = fill_boxes(scene, np.zeros((300, 300)), [box], 1).sum() * 0.25
    assert abs(area / (40 * 12) - 1) < 0.1  # the plan's bend stretches by some per cent
    empty = [buffer_box(box, -20, -6), (-900, -900, -800, -800)]
    assert fill_boxes(scene, np.zeros((300, 300)), empty, 1).sum() <= 1
    assert len(scene.blocks) > 50
    assert all(len(q) == 2 for q in scene.quarters)


def test_terrain_of_a_polder_city_canals_with_bridges_and_a_lot_that_was_sand():
    "The surface."
    # terrain of a polder city, canals with bridges, and a lot that was sand before
    wet = cities["amsterdam"]._replace(change=1.0, canals=1.0)
    scene = make_scene(wet, Window(0, 0, 500, 500, 1.0))
    height, cover = ground_of(scene)
    _, before = ground_of(scene, late=False)
    water = cover == code["water"]
    assert -3 < height.min()
    assert height.max() < 2.1
    assert 0.01 < water.mean() < 0.08
    assert height[water].mean() < height[~water].mean() - 0.8
    assert np.array_equal(water, before == code["water"])
    assert (before == code["sand"]).sum() > (cover == code["sand"]).sum()
    assert (cover != before).mean() < 0.25
    along = np.unique(scene.v[water].astype(int))  # metres along the canals
    assert not set(range(int(along.min()), int(along.max()))) <= set(along)  # bridges


def test_roofs_by_hand():
    "The surface."
    house = Building(0, 0, 10, 4, 6.0, 3.0, "ridge")
    hip = house._replace(roof="hip")
    flat = house._replace(roof="flat", rise=0)
    saw = house._replace(roof="saw")
    assert np.allclose(roof_height(house, np.zeros(3), np.array([0, 2, 4.0])), [9, 7.5, 6])
    assert np.allclose(roof_height(hip, np.array([10.0, 8, 0]), np.zeros(3)), [6, 7.5, 9])
    assert np.allclose(roof_height(flat, np.array([0, 9.8]), np.zeros(2)), [6, 6.35])
    teeth = roof_height(saw, np.array([-10, -6.8, -3.7]), 0.0)
    assert np.allclose(teeth, [6, 7.5, 6 - 3 * 0.1 / 6.4 + 3], atol=0.1)


def test_the_laser_falls_through_glass_and_bare_crowns_the_camera_does_not():
    "The surface."
    # the laser falls through glass and bare crowns, the camera does not; what is new was not there
    def heights_at(scene, surface, u, v, r=2):
        near_u = np.abs(scene.u - scene.u.mean() - u) < r
        near_v = np.abs(scene.v - scene.v.mean() - v) < r
        return (surface.height - surface.ground)[near_u & near_v]


    for name, day in days.items():
        scene, surface, outlines = meadow(name)
        glass = heights_at(scene, surface, -10, -8)
        slab = heights_at(scene, surface, 9, -8)
        house = heights_at(scene, surface, 9, 10)
        oak = heights_at(scene, surface, -10, 10)
        outlined = outlines[scene.v > scene.v.mean() + 5].any()
        assert np.allclose(slab, 20)
        assert (house.max() > 7) == day.late == bool(outlined)
        if day.camera:
            assert glass.min() >= 5
            assert oak.min() > 5
        else:
            assert np.median(glass) == pytest.approx(-0.35, abs=1e-5)
            assert 0.1 < (oak < 1).mean() < 0.4
            assert oak.max() > 10
    scene = make_scene(cities["amsterdam"], Window(0, 0, 400, 400, 0.5))
    first = make_surface(scene, days["early_photo"])[0].cover == code["car"]
    other = make_surface(scene, days["late_photo"])[0].cover == code["car"]
    assert 0.002 < first.mean() < 0.05
    assert (first & other).sum() < 0.8 * first.sum()


def test_on_the_meadow_one_building_is_new_and_its_outline_grows_with_the():
    "What changed."
    # on the meadow one building is new, and its outline grows with the margin
    scene, _, outlines = meadow("late_scan")
    new = changed_outlines(scene, (True,))
    wide = changed_outlines(scene, (True, False), 0.6)
    assert not changed_outlines(scene, (False,)).any()
    assert (outlines | ~new).all()
    assert (wide | ~new).all()
    assert new.sum() * 0.25**2 == pytest.approx(14 * 10, rel=0.06)
    assert wide.sum() * 0.25**2 == pytest.approx(15.2 * 11.2, rel=0.06)


def test_the_meadow_for_the_laser_and_for_the_camera():
    "What changed."
    axes = plt.figure(figsize=(7, 3), layout="constrained").subplots(1, 2)
    for ax, day in zip(axes, ("late_scan", "late_photo"), strict=True):
        _, surface, _ = meadow(day)
        above = surface.height - surface.ground
        shown = ax.imshow(above, cmap="cividis", vmin=0, vmax=20, extent=(0, 40, 40, 0))
        ax.set(title=day.replace("_", " "), xlabel="east [m]")
    axes[0].set_ylabel("south [m]")
    axes[0].figure.colorbar(shown, ax=axes, label="height above ground [m]")
    assert len(axes) == 2
