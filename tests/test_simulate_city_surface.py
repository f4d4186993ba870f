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
    changed_outlines, code, days, fill, ground_of, grown, make_scene, make_surface, meadow, roof_height,
)


def test_a_box_of_the_plan_has_its_area_in_the_raster_wherever_it_lies_and():
    "A scene."
    # a box of the plan has its area in the raster, wherever it lies and however the window cuts it
    scene = make_scene(cities["utrecht"], Window(400, 600, 300, 300, 0.5))
    middle = float(scene.u[150, 150]), float(scene.v[150, 150])
    box = (middle[0] - 20, middle[1] - 6, middle[0] + 20, middle[1] + 6)
    assert (
        abs(fill(scene, np.zeros((300, 300)), [box], 1).sum() * 0.25 / (40 * 12) - 1) < 0.1
    )  # the plan's bend stretches by some per cent
    assert (
        fill(scene, np.zeros((300, 300)), [grown(box, -20, -6), (-900, -900, -800, -800)], 1).sum() <= 1
    )
    assert len(scene.blocks) > 50
    assert all(len(q) == 2 for q in scene.quarters)


def test_terrain_of_a_polder_city_canals_with_bridges_and_a_lot_that_was_sand():
    "The surface."
    # terrain of a polder city, canals with bridges, and a lot that was sand before
    scene = make_scene(
        cities["amsterdam"]._replace(change=1.0, canals=1.0), Window(0, 0, 500, 500, 1.0)
    )
    (height, cover) = ground_of(scene)
    (_, before) = ground_of(scene, late=False)
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
    assert np.allclose(roof_height(house, np.zeros(3), np.array([0, 2, 4.0])), [9, 7.5, 6])
    assert np.allclose(
        roof_height(house._replace(roof="hip"), np.array([10.0, 8, 0]), np.zeros(3)), [6, 7.5, 9]
    )
    assert np.allclose(
        roof_height(house._replace(roof="flat", rise=0), np.array([0, 9.8]), np.zeros(2)), [6, 6.35]
    )
    assert np.allclose(
        roof_height(house._replace(roof="saw"), np.array([-10, -6.8, -3.7]), 0.0),
        [6, 7.5, 6 - 3 * 0.1 / 6.4 + 3],
        atol=0.1,
    )


def test_the_laser_falls_through_glass_and_bare_crowns_the_camera_does_not():
    "The surface."
    # the laser falls through glass and bare crowns, the camera does not; what was built later is not there earlier
    for day in days:
        scene, surface, outlines = meadow(day)
        above = surface.height - surface.ground

        def at(u, v, r=2):
            return above[
                (np.abs(scene.u - scene.u.mean() - u) < r) & (np.abs(scene.v - scene.v.mean() - v) < r)
            ]

        assert np.allclose(at(9, -8), 20)
        assert (
            (at(9, 10).max() > 7)
            == days[day].late
            == bool(outlines[scene.v > scene.v.mean() + 5].any())
        )
        if days[day].camera:
            assert at(-10, -8).min() >= 5
            assert at(-10, 10).min() > 5
        else:
            assert np.median(at(-10, -8)) == pytest.approx(-0.35, abs=1e-5)
            assert 0.1 < (at(-10, 10) < 1).mean() < 0.4
            assert at(-10, 10).max() > 10
    scene = make_scene(cities["amsterdam"], Window(0, 0, 400, 400, 0.5))
    first, other = (
        make_surface(scene, days[d])[0].cover == code["car"] for d in ("early_photo", "late_photo")
    )
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
        shown = ax.imshow(
            surface.height - surface.ground, cmap="cividis", vmin=0, vmax=20, extent=(0, 40, 40, 0)
        )
        ax.set(title=day.replace("_", " "), xlabel="east [m]")
    axes[0].set_ylabel("south [m]")
    axes[0].figure.colorbar(shown, ax=axes, label="height above ground [m]")
    assert len(axes) == 2
