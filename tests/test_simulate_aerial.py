"""Seen from above

Written by nbdev-export from the check cells of nbs/api/simulate/01_aerial.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LightSource

from mtl_explain.simulate.aerial import (
    Window, camera, laser_scan, lattice_noise, lean_view, normal_noise, smooth_noise, sun_light, sun_shadow,
    translate,
)


def test_a_window_knows_where_its_pixels_are():
    "A window on the world."
    w = Window(10, 20, 4, 3, 2.0)
    assert w.x.tolist() == [[41, 43, 45]]
    assert w.y.ravel().tolist() == [21, 23, 25, 27]
    assert w.padded(2).i[2:-2].tolist() == w.i.tolist()


def test_noise_is_white_normal_where_it_should_be_and_the_same_in_every_window():
    "Noise that stays where it is."
    w = Window(0, 0, 300, 300)
    part = Window(50, 50, 40, 40)
    whole = lattice_noise(w.i, w.j, 3)
    part = lattice_noise(part.i, part.j, 3)
    assert np.array_equal(whole[50:90, 50:90], part)
    assert abs(whole.mean() - 0.5) < 0.005
    assert abs(whole.std() - 12**-0.5) < 0.005
    for a, b in (
        (whole[1:], whole[:-1]),
        (whole[:, 1:], whole[:, :-1]),
        (whole, lattice_noise(w.i, w.j, 4)),
        (whole, whole.T),
    ):
        assert abs(np.corrcoef(a[:290, :290].ravel(), b[:290, :290].ravel())[0, 1]) < 0.01
    z = normal_noise(w.i - 1000, w.j, 5)
    assert abs(z.mean()) < 0.01
    assert abs(z.std() - 1) < 0.01


def test_smooth_noise_in_one_two_and_four_octaves():
    "Noise that stays where it is."
    w = Window(0, 0, 200, 200, 1.0)
    figure = plt.figure(figsize=(8, 2.4), layout="constrained")
    axes = figure.subplots(1, 3)
    for ax, n in zip(axes, (1, 2, 4), strict=True):
        z = smooth_noise(w.x, w.y, 50.0, 1, n)
        ax.imshow(z, cmap="cividis")
        ax.set(title=f"{n} octave{'s' * (n > 1)}", xlabel="east [m]", ylabel="south [m]")
        assert 0 <= z.min() < 0.3
        assert 0.7 < z.max() <= 1
        assert np.abs(np.diff(z)).max() < 0.12
        assert np.allclose(
            z[60:80, 30:70], smooth_noise(w.x[:, 30:70], w.y[60:80], 50.0, 1, n), atol=1e-6
        )


def test_translated_by_two_rows_and_minus_one_column():
    "Shadow."
    assert translate(np.arange(12).reshape(3, 4), 2, -1, -9).tolist() == [
        [-9, 8, 9, 10],
        [-9] * 4,
        [-9] * 4,
    ]
    assert (translate(np.zeros((3, 4)), 5, 0, 1) == 1).all()


def test_the_shadow_of_a_wall_is_as_long_as_trigonometry_says():
    "Shadow."
    land = np.zeros((60, 20))
    land[40:42, 5:15] = 10.0
    for elevation, metres in ((45.0001, 9), (26.566, 19)):
        shade = sun_shadow(land, 180.0, elevation, 1.0)
        rows, cols = np.nonzero(shade)
        assert rows.min() == 39 - metres + 1
        assert rows.max() == 39
        assert (cols.min(), cols.max()) == (5, 14)
    assert sun_shadow(land, 90.0, 45.0, 1.0)[:, :5].any()
    assert not sun_shadow(land, 90.0, 45.0, 1.0)[:, 15:].any()
    roof = np.maximum(0, 10 - np.abs(np.arange(21.0) - 10))[:, None] * np.ones(5)
    light = sun_light(roof, 180.0, 45.0, 1.0)
    assert np.allclose(light[12:18], 1)
    assert np.allclose(light[3:9], 0, atol=1e-6)
    assert np.isclose(sun_light(land, 0.0, 30.0, 1.0)[0, 0], 0.5)


def test_light_is_that_of_matplotlib_but_for_its_stretch_and_a_poles_shadow():
    "Shadow."
    # light is that of matplotlib but for its stretch, and a pole's shadow ends where the sun says
    w = Window(0, 0, 80, 90, 2.0)
    hills = 60 * smooth_noise(w.x, w.y, 70.0, 2, 3).astype("float64")
    ours = sun_light(hills, 200.0, 60.0, 2.0)
    theirs = LightSource(200.0, 60.0).hillshade(hills, dx=2.0, dy=2.0)
    assert ours.min() > 0.05
    assert np.allclose((ours - ours.min()) / np.ptp(ours), theirs, atol=1e-6)
    for azimuth in (20.0, 140.0, 250.0):
        pole = np.zeros((101, 101))
        pole[50, 50] = 20.0
        rows, cols = np.nonzero(sun_shadow(pole, azimuth, 30.0, 1.0))
        far = np.hypot(rows - 50, cols - 50).argmax()
        assert abs(rows[far] - 50 - 20 / np.tan(np.radians(30)) * np.cos(np.radians(azimuth))) < 1
        assert abs(cols[far] - 50 + 20 / np.tan(np.radians(30)) * np.sin(np.radians(azimuth))) < 1.2


def test_the_roof_of_a_tower_is_printed_beside_its_footprint():
    "Lean."
    land = np.zeros((60, 60))
    land[20:40, 20:40] = 30.0
    source, level = lean_view(land, 0.1, 0.0, 1.0)
    roof = level >= 28
    assert np.array_equal(np.flatnonzero(roof[30]), np.arange(23, 43))
    assert roof.sum() == 400
    assert np.array_equal(source[30, 23:43] % 60, np.arange(20, 40))
    wall = (level > 0) & ~roof
    assert 2 * 20 <= wall.sum() <= 3 * 20
    assert np.flatnonzero(wall[30]).max() == 22
    source, level = lean_view(land, 0.0, 0.0, 1.0)
    assert np.array_equal(source.ravel(), np.arange(3600))


def test_a_tower_a_row_of_houses_and_their_picture():
    "Lean."
    w = Window(0, 0, 120, 160, 0.5)
    tower = (np.abs(w.x - 22) < 6) & (np.abs(w.y - 32) < 6)
    row = (np.abs(w.x - 55) < 4.5) & (np.abs(w.y - 30) < 22)
    land = np.where(tower, 40.0, np.where(row, 10.0 - np.abs(w.x - 55), 0.0))
    light = 0.35 + sun_light(land, 150.0, 45.0, 0.5) * ~sun_shadow(land, 150.0, 45.0, 0.5)
    source, level = lean_view(land, 0.12, -0.1, 0.5)
    wall = land.ravel()[source] - level > 2
    leaning = np.where(wall, 0.9, light.ravel()[source])
    axes = plt.figure(figsize=(8, 2.7), layout="constrained").subplots(1, 3)
    for ax, image, title, cmap in (
        (axes[0], land, "height [m]", "cividis"),
        (axes[1], light, "straight from above", "gray"),
        (axes[2], leaning, "leaning: roof beside footprint", "gray"),
    ):
        ax.imshow(image, cmap=cmap, extent=(0, 80, 60, 0))
        ax.set(title=title, xlabel="east [m]")
    assert len(axes) == 3


def test_two_surveys_of_the_same_flat_land_differ_by_centimetres_and_only_water():
    "The two instruments."
    # two surveys of the same flat land differ by centimetres, and only water gives nothing back
    w = Window(0, 0, 400, 400, 0.5)
    flat = np.zeros((400, 400))
    water = np.broadcast_to(w.x < 40, (400, 400))
    a, b = (laser_scan(flat, water, w, s) for s in (0, 50))
    lost = (a > 1e30) | (b > 1e30)
    assert lost[water].mean() > 0.3
    assert not lost[~water].any()
    assert a.dtype == "float32"
    assert 0.05 < (b - a)[~water].std() < 0.15
    assert abs((b - a)[~water].mean()) < 0.05


def test_haze_lifts_black_noise_is_small_white_does_not_overflow():
    "The two instruments."
    w = Window(0, 0, 50, 50)
    dark, bright = (camera(np.full((50, 50, 3), v), w) for v in (0.0, 400.0))
    assert 17 < dark.mean() < 19
    assert 1.5 < dark.std() < 3
    assert bright.min() == 255
