"""Simulated landscapes

Written by nbdev-export from the check cells of nbs/api/simulate/europe/00_landscape.ipynb.
Do not edit: change the notebook, then `make export`.
"""

from itertools import product

import numpy as np
import pytest

from mtl_explain.datasets.benge import climate_zones, worldcover
from mtl_explain.simulate.europe.landscape import (
    Terrain, _nearest_seed, add_borders, add_village, by_parcel, countries, draw_map, farm_cover, koeppen,
    make_land, make_terrain, noise, normals, numbers, parcels, sigmoid, spread_noise, surfaces, wild_cover,
)


@pytest.fixture(scope='module')
def parcel():
    "Fields for the checks below."
    return parcels(np.random.default_rng(3), 120, 2)


def test_shares_sum_to_one_tiles_are_well_formed_and_counted_once_a_country():
    "The ten countries of BigEarthNet."
    assert abs(sum(c.share for c in countries.values()) - 1) < 0.01
    for c in countries.values():
        assert all(len(t) == 5 and t[:2].isdigit() for t in c.tiles.split())
        assert all(0 <= v <= 1 for v in (c.sea + c.lakes, c.woods, c.hedges, c.village))


def test_standardised_repeatable_and_smooth_below_its_scale():
    "Random fields."
    one = noise(np.random.default_rng(0), 120, 20)
    assert one.shape == (120, 120)
    assert abs(one.mean()) < 1e-4
    assert abs(one.std() - 1) < 1e-4
    assert np.array_equal(one, noise(np.random.default_rng(0), 120, 20))
    assert not np.array_equal(one, noise(np.random.default_rng(1), 120, 20))
    rough = [np.abs(np.diff(noise(np.random.default_rng(0), 120, s))).mean() for s in (2, 8, 32)]
    assert rough[0] > 2 * rough[1] > 4 * rough[2]


def test_about_equally_often():
    "Random fields."
    fields = [spread_noise(np.random.default_rng(i), 100, 6) for i in range(8)]
    share = np.mean([np.histogram(v, 5, (0, 1))[0] for v in fields], 0) / 1e4
    assert np.abs(share - 0.2).max() < 0.04
    assert sigmoid(0) == 0.5
    assert sigmoid(1e4) == 1


def test_water_is_flat_and_low_rivers_lie_in_valleys():
    "Terrain."
    for seed in range(24):
        country = countries["Finland" if seed % 2 else "Austria"]
        terrain = make_terrain(np.random.default_rng(seed), country, 96)
        assert terrain.height.min() >= 0
        assert np.isfinite(terrain.slope).all()
        assert terrain.slope.mean() < 0.301
        if terrain.water.any():
            assert terrain.height[terrain.water].mean() <= terrain.height.mean()
        if terrain.water.mean() > 0.2:
            assert np.ptp(terrain.height[terrain.water]) == 0


def test_five_stations():
    "Climate."
    stations = {
        "Lisbon": (38.7, -9.1, 80, 17, 23.5),
        "Dublin": (53.4, -6.2, 70, 9.8, 15.5),
        "Vienna": (48.2, 16.4, 200, 11, 21.3),
        "Vilnius": (54.6, 25.1, 160, 7, 18.5),
        "Jyväskylä": (62.4, 25.7, 140, 3.6, 17),
    }
    for name, (lat, lon, height, mean, july) in stations.items():
        temperature, rain = normals(lat, lon, height)
        assert abs(temperature.mean() - mean) < 1.5, name
        assert abs(temperature.max() - july) < 2.2, name
        assert 400 < rain.sum() < 1200, name
    assert normals(38.7, -9.1, 80)[1][7] < 15 < 60 < normals(48.2, 16.4, 200)[1][6]


def test_zones_where_they_are_on_the_map_and_only_such_that_ben_ge_knows():
    "Climate."
    places = {
        "Csa": (38.7, -9.1, 50),
        "Csb": (41.5, -8, 500),
        "Cfb": (53.3, -6.3, 50),
        "Cfa": (44.8, 20.5, 80),
        "Dfb": (54.7, 25.3, 120),
        "Dfc": (67, 25, 200),
        "ET": (47.2, 13, 2400),
    }
    for zone, (lat, lon, height) in places.items():
        assert climate_zones[koeppen(*normals(lat, lon, height))][0] == zone, zone
    everywhere = product(range(36, 71), range(-10, 33, 2), (0, 400, 1000, 2000))
    assert {koeppen(*normals(*place)) for place in everywhere} <= set(climate_zones)


def test_as_the_slow_search_over_all_seeds_finds_them_nearly_everywhere():
    "Fields."
    at = np.random.default_rng(1).uniform(0, 9, (2, 400))
    fast = _nearest_seed(np.random.default_rng(2), at)
    shifted = at - np.floor(at.min(1, keepdims=True)) + 1
    rows, cols = shifted.astype(int).max(1) + 3
    jitter = np.random.default_rng(2).uniform(0, 0.75, (2, rows * cols))
    seeds = np.indices((rows, cols)).reshape(2, -1) + jitter
    slow = np.abs(seeds[:, None] - shifted[:, :, None]).max(0).argmin(1)
    assert (fast == slow).mean() > 0.97


def test_of_about_the_size_that_was_asked_for():
    "Fields."
    for hectares in (1, 4):
        label = parcels(np.random.default_rng(0), 200, hectares)
        assert label.min() == 0
        assert hectares / 2 < 400 / (label.max() + 1) < hectares * 2
        assert (np.diff(label) != 0).mean() < 0.2


def test_every_code_is_one_of_the_legend():
    "Surfaces."
    # every code is one of the legend; taller plants answer more in VH
    assert {s.code for s in surfaces.values()} == set(worldcover) - {95}
    assert list(surfaces)[numbers["bog"]] == "bog"
    assert all(s.vh < s.vv - 4 for s in surfaces.values())
    assert surfaces["conifers"].vh > surfaces["meadow"].vh > surfaces["water"].vh


def test_no_trees_above_the_tree_line_bogs_in_the_cold_only_scrub_mostly_in_the():
    "What grows where."
    # no trees above the tree line, bogs in the cold only, scrub mostly in the south
    def share(names, lat, height, dry):
        shape = (64, 64)
        terrain = Terrain(np.full(shape, height, float), np.zeros(shape, bool), np.full(shape, 0.3))
        temperature, _ = normals(lat, 10, terrain.height)
        cover = wild_cover(np.random.default_rng(0), terrain, temperature, dry)
        return np.isin(cover, [numbers[n] for n in names.split(",")]).mean()


    assert share("conifers,broadleaves,oaks", 47, 2600, 0) == 0
    assert share("conifers,broadleaves", 47, 900, 0) > 0.7
    assert share("bog", 66, 100, 0) > 0.1 > share("bog", 47, 300, 0) == 0
    assert share("shrubs", 38, 200, 1) > 0.3 > 0.1 > share("shrubs", 55, 100, 0)
    assert share("conifers", 64, 100, 0) > 0.45 > 0.2 > share("conifers", 46, 100, 0)
    assert share("glacier", 47, 4300, 0) > 0.9


def test_irelands_rain_makes_meadows(parcel):
    "What grows where."
    # Ireland's rain makes meadows; slopes are not ploughed
    flat = Terrain(np.zeros((120, 120)), np.zeros((120, 120), bool), np.ones((120, 120)))
    steep = flat._replace(height=np.arange(120)[:, None] * 3.0 + np.zeros(120))


    def ploughed(terrain, july, rain):
        warm = np.full((120, 120), july)
        found = farm_cover(np.random.default_rng(0), parcel, terrain, warm, rain)
        return (found != numbers["meadow"]).mean()


    assert ploughed(flat, 23, 610) > 0.6 > 0.5 > ploughed(flat, 15.5, 880)
    assert ploughed(steep, 23, 610) < 0.1
    assert np.allclose(by_parcel(parcel, np.ones((120, 120))), 1)


def test_hedges_follow_borders_houses_avoid_lakes(parcel):
    "What grows where."
    bare = np.full((120, 120), numbers["meadow"])
    edges = np.zeros((120, 120), bool)
    edges[:-1, :-1] = (parcel[:-1, :-1] != parcel[1:, :-1]) | (parcel[:-1, :-1] != parcel[:-1, 1:])
    hedged = bare.copy()
    add_borders(np.random.default_rng(0), hedged, parcel, 0.7)
    assert not (hedged != bare)[~edges].any()
    assert 0.3 < (hedged != bare)[edges].mean() < 0.9
    lake = bare.copy()
    lake[:60] = numbers["water"]
    add_village(np.random.default_rng(0), lake, np.zeros((120, 120)), True)
    assert not (lake[:60] == numbers["roofs"]).any()
    assert (lake == numbers["roofs"]).any()
    assert (lake == numbers["road"]).any()


def test_wrong_in_some_fields_and_nowhere_else(parcel):
    "A block of land."
    # wrong in some fields and nowhere else; sometimes with an edge
    surface = np.full((120, 120), numbers["meadow"])
    surface[:, 60:] = numbers["conifers"]
    code = draw_map(np.random.default_rng(0), surface, parcel, wrong=0.2, edge=0)
    assert 0.05 < (code[:, :60] == 40).mean() < 0.4
    assert (code[:, 60:] == 10).all()
    assert code.dtype == "uint8"
    assert 0 < (draw_map(np.random.default_rng(0), surface, parcel, edge=1) == 0).mean() <= 0.5


def test_the_same_seed_makes_the_same_land():
    "A block of land."
    # the same seed makes the same land; what is on the map is what is there, but for its mistakes
    one, two = (make_land("Lithuania", 55, 24, [7, 1], 120) for _ in range(2))
    assert np.array_equal(one.surface, two.surface)
    assert np.array_equal(one.terrain.height, two.terrain.height)
    assert (one.trait("code") == one.code).mean() > 0.8
    assert one.climate[0].shape == (12, 120, 120)
