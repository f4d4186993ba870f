"""City

Written by nbdev-export from the check cells of nbs/api/26_simulate_city.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pytest

from mtl_explain.datasets.hibcd_build import make_labels, pseudo_label
from mtl_explain.simulate.aerial import Window, sun_shadow
from mtl_explain.simulate.blocks import Building, Tree, cities
from mtl_explain.simulate.city import (
    annotate, changed_outlines, code, days, fill, grid_of, ground_of, grown, lean_of, make_scene,
    make_surface, photograph, plot_place, render, roof_height, simulate_city, windows_of,
)


# a meadow of 40 m with a glasshouse, a slab and an oak, alone in the world
def lonely(day, pixel=.25):
    empty = make_scene(cities['amsterdam'], Window(0, 0, int(40 / pixel), int(40 / pixel), pixel))
    u, v = float(empty.u.mean()), float(empty.v.mean())
    things = [Building(u - 10, v - 8, 8, 6, 5., 1., 'saw', 'glass'), Building(u + 9, v - 8, 7, 5, 20.), Building(u + 9, v + 10, 7, 5, 8., early=False)]
    block = empty.blocks[0]._replace(box=(u - 60, v - 60, u + 60, v + 60), grounds=('grass', 'grass'), buildings=things, trees=[Tree(u - 10, v + 10, 4., 11., 12.)])
    scene = empty._replace(quarters=[], blocks=[block])
    return scene, *make_surface(scene, days[day])


@pytest.fixture(scope='module')
def place():
    "A changed place in Amsterdam, 160 m."
    return render(cities['amsterdam']._replace(change=1.), Window(3840, 2720, 640, 640))


def test_a_box_of_the_plan_has_its_area_in_the_raster_wherever_it_lies_and():
    "A scene."
    # a box of the plan has its area in the raster, wherever it lies and however the window cuts it
    scene = make_scene(cities['utrecht'], Window(400, 600, 300, 300, .5))
    middle = float(scene.u[150, 150]), float(scene.v[150, 150])
    box = (middle[0] - 20, middle[1] - 6, middle[0] + 20, middle[1] + 6)
    assert abs(fill(scene, np.zeros((300, 300)), [box], 1).sum() * .25 / (40 * 12) - 1) < .1  # the plan's bend stretches by some per cent
    assert fill(scene, np.zeros((300, 300)), [grown(box, -20, -6), (-900, -900, -800, -800)], 1).sum() <= 1
    assert len(scene.blocks) > 50 and all(len(q) == 2 for q in scene.quarters)


def test_terrain_of_a_polder_city_canals_with_bridges_and_a_lot_that_was_sand():
    "The surface."
    # terrain of a polder city, canals with bridges, and a lot that was sand before
    scene = make_scene(cities['amsterdam']._replace(change=1., canals=1.), Window(0, 0, 500, 500, 1.))
    (height, cover), (_, before) = ground_of(scene), ground_of(scene, late=False)
    water = cover == code['water']
    assert -3 < height.min() and height.max() < 2.1 and .01 < water.mean() < .08 and height[water].mean() < height[~water].mean() - .8
    assert np.array_equal(water, before == code['water']) and (before == code['sand']).sum() > (cover == code['sand']).sum() and (cover != before).mean() < .25
    along = np.unique(scene.v[water].astype(int))  # metres along the canals
    assert not set(range(int(along.min()), int(along.max()))) <= set(along)  # bridges


def test_roofs_by_hand():
    "The surface."
    house = Building(0, 0, 10, 4, 6., 3., 'ridge')
    assert np.allclose(roof_height(house, np.zeros(3), np.array([0, 2, 4.])), [9, 7.5, 6])
    assert np.allclose(roof_height(house._replace(roof='hip'), np.array([10., 8, 0]), np.zeros(3)), [6, 7.5, 9])
    assert np.allclose(roof_height(house._replace(roof='flat', rise=0), np.array([0, 9.8]), np.zeros(2)), [6, 6.35])
    assert np.allclose(roof_height(house._replace(roof='saw'), np.array([-10, -6.8, -3.7]), 0.), [6, 7.5, 6 - 3 * .1 / 6.4 + 3], atol=.1)


def test_the_laser_falls_through_glass_and_bare_crowns_the_camera_does_not():
    "The surface."
    # the laser falls through glass and bare crowns, the camera does not; what was built later is not there earlier
    for day in days:
        scene, surface, outlines = lonely(day)
        above = surface.height - surface.ground
        def at(u, v, r=2): return above[(np.abs(scene.u - scene.u.mean() - u) < r) & (np.abs(scene.v - scene.v.mean() - v) < r)]
        assert np.allclose(at(9, -8), 20) and (at(9, 10).max() > 7) == days[day].late == bool(outlines[scene.v > scene.v.mean() + 5].any())
        if days[day].camera: assert at(-10, -8).min() >= 5 and at(-10, 10).min() > 5
        else: assert np.median(at(-10, -8)) == pytest.approx(-.35, abs=1e-5) and .1 < (at(-10, 10) < 1).mean() < .4 and at(-10, 10).max() > 10
    scene = make_scene(cities['amsterdam'], Window(0, 0, 400, 400, .5))
    first, other = (make_surface(scene, days[d])[0].cover == code['car'] for d in ('early_photo', 'late_photo'))
    assert .002 < first.mean() < .05 and (first & other).sum() < .8 * first.sum()


def test_the_slab_of_20_m_is_printed_beside_its_footprint_and_shades_the_meadow():
    "The photograph."
    # the slab of 20 m is printed beside its footprint and shades the meadow to its north; the shade is bluer than the sun
    scene, surface, _ = lonely('late_photo')
    far = scene._replace(window=scene.window._replace(col=1200, row=900))  # near the edge of a frame
    lean = [float(v.mean()) for v in lean_of(far.window, days['late_photo'])]
    seen = photograph(far, surface, days['late_photo'], (180., 45.)).astype(float)
    print(f'lean {lean[0]:.2f} east, {lean[1]:.2f} south')
    grass = surface.cover == code['grass']
    shade = sun_shadow(surface.height, 180., 45., .25)
    red, _, blue = np.moveaxis(seen, -1, 0)
    assert np.median(red[grass & shade]) < .6 * np.median(red[grass & ~shade]) and np.median((blue / red)[grass & shade]) > np.median((blue / red)[grass & ~shade])


def test_on_the_meadow_one_building_is_new():
    "The annotator."
    # on the meadow one building is new: masked with its margin, M = -1 where a sign of the wrong side prevails
    scene, _, _ = lonely('late_scan')
    new = changed_outlines(scene, (True,))
    high, low = (annotate(scene, np.full(new.shape, h)) for h in (5., -5.))
    assert np.array_equal(high[1], 2 * new) and not changed_outlines(scene, (False,)).any()
    assert (high[0][new] == 1).all() and (low[0][new] == -1).all() and new.sum() < (high[0] != 0).sum() < 1.4 * new.sum()


def test_the_annotator_is_right_where_heights_tell_and_nothing_but_changed(place):
    "The annotator."
    # the annotator is right where heights tell, and nothing but changed buildings is marked
    change, label = make_labels(place)
    label, pseudo, event = np.minimum(label, 2), pseudo_label(change), place['event']
    simple = (event == 1) | (event == 2)
    assert simple.sum() > 5000 and (label == event)[simple].mean() > .85
    assert not label[event == 0].any() and (place['relevance'][event > 0] != 0).all() and (place['relevance'] == -1).any()
    both = (event == 3) & (label > 0)
    assert (label[both] == pseudo[both]).mean() > .9  # a rebuilt lot: the sign decides


def test_the_place_in_the_panels_of_figures_4_and_6(place):
    "The annotator."
    axes = plot_place(place)
    assert len(axes) == 6 and axes[1].get_title() == 'late image'


def test_a_window_is_a_part_of_a_larger_window():
    "No seams."
    city = cities['utrecht']._replace(change=1.)
    large = render(city, Window(-60, 400, 160, 200, 1.))
    for row, col in ((-60, 400), (0, 470)):
        part = render(city, Window(row, col, 70, 90, 1.))
        for name, v in part.items(): assert np.array_equal(v, large[name][..., row + 60:row + 130, col - 400:col - 310]), name
    other = render(city._replace(seed=5), Window(0, 470, 70, 90, 1.))
    assert all((other[n] != part[n]).any() for n in ('early_dsm', 'late_dsm', 'late_image'))


def test_the_published_layout_the_same_bytes_for_the_same_seed_whatever_the():
    "Writing it."
    # the published layout, the same bytes for the same seed, whatever the number of processes
    def digest(folder): return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob('*.tif'))}
    with tempfile.TemporaryDirectory() as place_:
        made = [simulate_city(Path(place_)/k, 4, s, 64, 2., ('utrecht',), r, w, progress=False) for k, s, r, w in (('a', 0, True, 1), ('b', 0, False, 2), ('c', 1, False, 1))]
        first, again, different = (digest(k) for k in made)
        assert all(first[k] == v for k, v in again.items()) and len(again) == 16 and len(first) == 16 + 7
        seen = [k for k in again if 'dsm_1k' in k or 'img_1k' in k]
        assert len(seen) == 8 and not {first[k] for k in seen} & {different[k] for k in seen if k in different}
        assert {Path(k).parts[2] for k in again} == {'img_1k', 'dsm_1k', 'mask2d_1k', 'mask3d_1k'} and any(k.endswith('utrecht_01_01.tif') for k in again)
        assert {Path(k).parts[1] for k in again} == {'train', 'val', 'test'} and [p.name for p in made[1].iterdir()] == ['utrecht_025']
        with pytest.raises(FileExistsError, match='exists already'): simulate_city(made[0], n=4)
    with pytest.raises(ValueError, match='0 tiles: at least one is needed'): simulate_city('x', n=0)
    with pytest.raises(ValueError, match="unknown city 'delft'"): simulate_city('x', n=1, cities=('delft',))
    assert grid_of(500) == (20, 25) and grid_of(7) == (1, 7) and not Path('x').exists()


def test_windows_cover_a_raster_once_in_whole_blocks():
    "Writing it."
    for shape, pixel in (((2000, 3000), .25), ((500, 750), 1.), ((64, 300), 2.)):
        covered = np.zeros(shape, int)
        for w in windows_of(shape, pixel): covered[w.row:w.row + w.height, w.col:w.col + w.width] += 1
        assert (covered == 1).all() and all(w.row % 256 == w.col % 256 == 0 and w.pixel == pixel for w in windows_of(shape, pixel))
