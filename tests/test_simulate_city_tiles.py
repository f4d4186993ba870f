"""City

Written by nbdev-export from the check cells of nbs/api/simulate/city/02_tiles.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import hashlib
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mtl_explain.change.labels import pseudo_label
from mtl_explain.datasets.hibcd_build import make_labels
from mtl_explain.simulate.aerial import Window, sun_shadow, translate
from mtl_explain.simulate.city.blocks import cities
from mtl_explain.simulate.city.surface import changed_outlines, code, days, meadow
from mtl_explain.simulate.city.tiles import (
    annotate, grid_of, lean_of, photograph, plot_place, render, simulate_city, windows_of,
)


@pytest.fixture(scope='module')
def place():
    "A changed place in Amsterdam, 160 m."
    return render(cities["amsterdam"]._replace(change=1.0), Window(3840, 2720, 640, 640))


def test_the_slab_of_20_m_is_printed_beside_its_footprint_and_shades_the_meadow():
    "The photograph."
    # the slab of 20 m is printed beside its footprint and shades the meadow; the shade is bluer
    scene, surface, _ = meadow("late_photo")
    far = scene._replace(window=scene.window._replace(col=2800, row=1280))  # near the corner of a frame
    lean = [float(v.mean()) for v in lean_of(far.window, days["late_photo"])]
    seen = photograph(far, surface, days["late_photo"], (180.0, 45.0)).astype(float)
    roof = surface.height - surface.ground == 20
    grass = surface.cover == code["grass"]
    shade = sun_shadow(surface.height, 180.0, 45.0, 0.25)
    cols, rows = (-round(20 * k / 0.25) for k in lean)
    printed = translate(roof, rows, cols, False)
    alike = np.abs(seen - np.median(seen[printed], 0)).max(-1) < 20
    assert np.hypot(*lean) > 0.15
    assert alike[printed].mean() > 0.9 > alike[roof].mean() + 0.05
    red, _, blue = np.moveaxis(seen, -1, 0)
    assert np.median(red[grass & shade]) < 0.6 * np.median(red[grass & ~shade])
    assert np.median((blue / red)[grass & shade]) > np.median((blue / red)[grass & ~shade])


def test_the_meadow_in_the_corner_of_a_frame():
    "The photograph."
    scene, surface, _ = meadow("late_photo")
    corner = scene._replace(window=scene.window._replace(col=2800, row=1280))
    photo = photograph(corner, surface, days["late_photo"], (180.0, 45.0))
    ax = plt.figure(figsize=(3.2, 3), layout="constrained").subplots()
    ax.imshow(photo, extent=(0, 40, 40, 0))
    ax.set(xlabel="east [m]", ylabel="south [m]")
    assert ax.images


def test_on_the_meadow_one_building_is_new():
    "The annotator."
    # on the meadow one building is new: masked with its margin, M = -1 where the wrong sign prevails
    scene, _, _ = meadow("late_scan")
    new = changed_outlines(scene, (True,))
    high, event = annotate(scene, np.full(new.shape, 5.0))
    low, _ = annotate(scene, np.full(new.shape, -5.0))
    assert np.array_equal(event, 2 * new)
    assert not changed_outlines(scene, (False,)).any()
    assert (high[new] == 1).all()
    assert (low[new] == -1).all()
    assert new.sum() < (high != 0).sum() < 1.4 * new.sum()


def test_the_annotator_is_right_where_heights_tell_and_nothing_but_changed(place):
    "The annotator."
    # the annotator is right where heights tell, and nothing but changed buildings is marked
    change, label = make_labels(place)
    label = np.minimum(label, 2)
    pseudo = pseudo_label(change)
    event = place["event"]
    simple = (event == 1) | (event == 2)
    assert simple.sum() > 5000
    assert (label == event)[simple].mean() > 0.85
    assert not label[event == 0].any()
    assert (place["relevance"][event > 0] != 0).all()
    assert (place["relevance"] == -1).any()
    both = (event == 3) & (label > 0)
    assert (label[both] == pseudo[both]).mean() > 0.9  # a rebuilt lot: the sign decides


def test_the_place_in_the_panels_of_figures_4_and_6(place):
    "The annotator."
    axes = plot_place(place)
    assert len(axes) == 6
    assert axes[1].get_title() == "late image"


def test_a_window_is_a_part_of_a_larger_window():
    "No seams."
    city = cities["utrecht"]._replace(change=1.0)
    large = render(city, Window(-60, 400, 160, 200, 1.0))
    for row, col in ((-60, 400), (0, 470)):
        part = render(city, Window(row, col, 70, 90, 1.0))
        for name, v in part.items():
            there = large[name][..., row + 60 : row + 130, col - 400 : col - 310]
            assert np.array_equal(v, there), name
    other = render(city._replace(seed=5), Window(0, 470, 70, 90, 1.0))
    assert all((other[n] != part[n]).any() for n in ("early_dsm", "late_dsm", "late_image"))


def test_windows_cover_a_raster_once_in_whole_blocks():
    "Writing it."
    for shape, pixel in (((2000, 3000), 0.25), ((500, 750), 1.0), ((64, 300), 2.0)):
        covered = np.zeros(shape, int)
        for w in windows_of(shape, pixel):
            covered[w.row : w.row + w.height, w.col : w.col + w.width] += 1
            assert w.row % 256 == w.col % 256 == 0
            assert w.pixel == pixel
        assert (covered == 1).all()


def test_the_published_layout_the_same_bytes_for_the_same_seed_whatever_the():
    "Writing it."
    # the published layout, the same bytes for the same seed, whatever the number of processes
    def digest(folder):
        return {
            str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(folder.rglob("*.tif"))
        }


    small = dict(n=4, tile=64, pixel=2.0, cities=("utrecht",), progress=False)
    with tempfile.TemporaryDirectory() as place_:
        root = Path(place_)
        first = digest(simulate_city(root / "a", seed=0, rasters=True, workers=1, **small))
        again = digest(simulate_city(root / "b", seed=0, workers=2, **small))
        different = digest(simulate_city(root / "c", seed=1, workers=1, **small))
        busy = digest(simulate_city(root / "busy", change=1.0, workers=1, **small))
        assert all(first[k] == v for k, v in again.items())
        assert len(again) == 16
        assert len(first) == 16 + 7
        seen = [k for k in again if "dsm_1k" in k or "img_1k" in k]
        assert len(seen) == 8
        assert not {first[k] for k in seen} & {different[k] for k in seen if k in different}
        kinds = {"img_1k", "dsm_1k", "mask2d_1k", "mask3d_1k"}
        assert {Path(k).parts[2] for k in again} == kinds
        assert any(k.endswith("utrecht_01_01.tif") for k in again)
        assert {Path(k).parts[1] for k in again} == {"train", "val", "test"}
        assert [p.name for p in (root / "b").iterdir()] == ["utrecht_025"]
        with pytest.raises(FileExistsError, match="exists already"):
            simulate_city(root / "a", n=4)
        assert all(first[k] != v for k, v in busy.items() if "dsm_1k" in k)
        whole = dict(n=16, tile=16, pixel=4.0, cities=("utrecht",), workers=1, progress=False)
        of_blocks = simulate_city(root / "blocks", block=2, **whole)
        folders_of = {}
        for p in of_blocks.glob("*/*/img_1k/*.tif"):
            col, row = (int(n) // 2 for n in p.stem.split("_")[1:])
            folders_of.setdefault((col, row), []).append(p.parts[-3])
        assert sorted(map(len, folders_of.values())) == [4, 4, 4, 4]
        split_within = [len(set(f)) > 1 for f in folders_of.values()]
        assert sum(split_within) <= 2  # a share may end within a block
    with pytest.raises(ValueError, match="0 tiles: at least one is needed"):
        simulate_city("x", n=0)
    with pytest.raises(ValueError, match="unknown city 'delft'"):
        simulate_city("x", n=1, cities=("delft",))
    assert grid_of(500) == (20, 25)
    assert grid_of(7) == (1, 7)
    assert not Path("x").exists()
