"""Blocks of a city

Written by nbdev-export from the check cells of nbs/api/simulate/city/00_blocks.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Rectangle

from mtl_explain.simulate.city.blocks import (
    blocks_of, build, cities, divide, named_city, overhang, parking_places, plant, quarter, to_map, to_plan,
    uses, wall_distance,
)


@pytest.fixture(scope='module')
def city():
    "The city of the checks."
    return cities["amsterdam"]


def test_the_sun_stands_in_the_south_before_noon_and_a_seed_gives_another_city():
    "Three cities."
    # the sun stands in the south before noon, and a seed gives another city of the same kind
    for c in cities.values():
        assert 130 < c.sun[0] < 180
        assert 40 < c.sun[1] < 62
    assert named_city("utrecht", 3)._replace(seed=2000) == cities["utrecht"]
    assert named_city("utrecht", 3).seed == 32000


def test_there_and_back_again():
    "The plan."
    x, y = np.random.default_rng(0).uniform(0, 6000, (2, 1000))
    for c in cities.values():
        assert np.allclose(to_map(c, *to_plan(c, x, y)), (x, y), atol=1e-4)


def test_quarters_touch_blocks_keep_their_streets(city):
    "The plan."
    assert quarter(city, 3, 5)[2] == quarter(city, 4, 5)[0]
    assert quarter(city, 3, 5)[3] == quarter(city, 3, 6)[1]
    assert quarter(city, -2, 0)[0] < 0
    blocks = np.array(divide((0, 0, 240, 260), np.random.default_rng(1)))
    size = blocks[:, 2:] - blocks[:, :2]
    assert (size.min(1) > 20).all()
    assert (size.max(1) < 140).all()
    assert size.prod(1).sum() < 0.95 * 240 * 260


def test_buildings_stay_on_their_block_and_have_the_sizes_they_should_have():
    "What stands on a block."
    for use in uses:
        for seed, box in ((0, (0, 0, 90, 55)), (1, (0, 0, 50, 90)), (2, (10, 10, 70, 70))):
            found = build(use, box, np.random.default_rng(seed))
            large = np.array([b.box for b in found if not b.small]).reshape(-1, 4)
            assert (large[:, :2] >= np.array(box[:2]) - 1).all()
            assert (large[:, 2:] <= np.array(box[2:]) + 1).all()
            assert all(2 < b.eave <= 140 and b.a > 0 and b.b > 0 for b in found)
            assert (len(found) > 0) == (uses[use].make is not None)


def test_no_tree_stands_in_a_building_of_its_time_those_at_the_walls_reach_over(city):
    "Trees."
    # no tree stands in a building of its time, those at the walls reach over the roof, and trees grow
    rng = np.random.default_rng(0)
    box = (0, 0, 90, 60)
    houses = [b._replace(early=False) for b in build("terraces", box, rng)]
    trees = plant(city, box, houses, 6.0, rng)
    u, v, _, early, late = np.array(trees).T
    assert (wall_distance(houses, u, v)[late > 0] >= 1).all()
    assert (early[wall_distance(houses, u, v) < 0] > 0).any()
    both = (early > 0) & (late > 0)
    assert (late > early)[both].all()
    assert (late - early)[both].mean() < 0.5 * city.years
    assert 0.02 < (early == 0).mean() < 0.1
    edge = overhang(city._replace(overhang=1.0), houses, rng)
    u, v, radius, early, _ = np.array(edge).T
    assert len(edge) > 5
    assert (wall_distance([b for b in houses if not b.small], u, v) < radius).all()
    assert (early > 8).all()
    assert not overhang(city, build("terraces", box, rng), rng)


def test_sites_are_as_frequent_as_announced_and_a_block_is_what_its_event_says():
    "What happens to a block."
    quarters = [blocks_of(cities["amsterdam"], i, j) for i in range(10) for j in range(10)]
    everything = [b for q in quarters for b in q]
    assert abs(np.mean([any(b.event != "none" for b in q) for q in quarters]) - 0.27) < 0.14
    stands = dict(built=(False, True), demolished=(True, False), rebuilt=(True, True))
    for b in everything:
        early, late = (any(getattr(k, t) for k in b.buildings) for t in ("early", "late"))
        if b.event != "none":
            assert (early, late) == stands[b.event]
        else:
            assert all(k.early and k.late for k in b.buildings)
            assert b.grounds[0] == b.grounds[1]
    assert all(t.early > 0 or t.late > 0 for b in everything for t in b.trees)


def test_no_car_parks_in_a_building_and_a_quarter_has_room_for_some_hundred(city):
    "What happens to a block."
    for i, j in ((0, 0), (3, 4), (7, 2)):
        u, v, a, b = parking_places(city, i, j).T
        buildings = [k for q in blocks_of(city, i, j) for k in q.buildings]
        assert 40 < len(u) < 2000
        assert np.allclose(np.sort([a, b], 0), [[0.9], [2.2]] * np.ones(len(u)))
        assert (wall_distance(buildings, u, v) > 0).all()


def test_four_by_three_quarters_with_several_sites():
    "What happens to a block."
    ax = plt.figure(figsize=(7.5, 5.2), layout="constrained").subplots()
    busy = cities["utrecht"]._replace(change=0.6)
    some = [b for i in range(4, 8) for j in range(4, 7) for b in blocks_of(busy, i, j)]
    look = {
        (True, True): dict(fc="#b0b0b0"),
        (False, True): dict(fc="#0173b2", alpha=0.75),
        (True, False): dict(fc="#de8f05", alpha=0.75),
    }


    def draw_box(box, **style):
        u0, v0, u1, v1 = box
        ax.add_patch(Rectangle((u0, v0), u1 - u0, v1 - v0, **style))


    for b in some:
        draw_box(b.box, fc="#f4f4f0", ec="#cccccc", lw=0.5)
        for k in b.buildings:
            draw_box(k.box, ec="white", lw=0.3, **look[k.early, k.late])
    u, v = np.array([(t.u, t.v) for b in some for t in b.trees]).T
    ax.plot(u, v, ".", ms=2, color="#2a7f3f")
    ax.set(
        aspect="equal",
        xlabel="u [m]",
        ylabel="v [m]",
        title="built (blue), demolished (orange), unchanged (grey)",
        ylim=(v.max() + 15, v.min() - 15),
        xlim=(u.min() - 15, u.max() + 15),
    )
    assert {b.event for b in some} == {"none", "built", "demolished", "rebuilt"}
