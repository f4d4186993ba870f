"""Terrain

Written by nbdev-export from the check cells of nbs/api/files/06_terrain.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.interpolate import RectBivariateSpline
from scipy.ndimage import gaussian_filter, minimum_filter

from mtl_explain.files.terrain import (
    aspect, curvature, fill_pits, flow_accumulation, flow_shares, slope, spline_upsample, terrain,
    terrain_features, upsample_angle, wetness_index,
)


@pytest.fixture(scope='module')
def size_yy_xx_and_plane():
    "A plane that rises 10 cm a metre to the east and 5 cm a metre to the north, with cells of 30 m."
    size = 30.0
    yy, xx = np.meshgrid(-size * np.arange(25), size * np.arange(30), indexing="ij")
    plane = 100 + 0.1 * xx + 0.05 * yy
    return size, yy, xx, plane


@pytest.fixture(scope='module')
def hills():
    "Rough hills."
    return 60 * gaussian_filter(np.random.default_rng(3).normal(0, 1, (60, 60)), 6) * 6


# the knoll, and its inner 5 × 5 cells as the libraries see them
@pytest.fixture(scope='module')
def knoll():
    r, c = np.mgrid[:7, :7]
    return np.round(
        50
        - 1.5 * ((r - 3) ** 2 + (c - 3.2) ** 2)
        + 1.1 * np.sin(1.7 * r + 0.4 * c)
        + 1.3 * np.cos(1.3 * c - 0.8 * r),
        2,
    )


@pytest.fixture(scope='module')
def inner():
    return np.s_[1:-1, 1:-1]


@pytest.fixture(scope='module')
def known():
    theirs = dict(
        slope="""
        15.480 11.715  9.500  8.857 12.958
        13.230  7.532  6.335  6.784  9.911
        14.363  7.079  3.167  5.395  8.360
        15.380  9.906  5.284  8.692 12.538
        18.329 16.403 13.291 13.488 16.127""",
        aspect="""
        313.82 337.17 355.70  19.66  46.12
        286.43 318.78   3.64  31.74  53.96
        271.61 287.01   9.45  65.91  86.94
        249.29 234.14 177.68 130.98 126.22
        223.91 210.33 184.25 150.58 135.11""",
        curvature="""
        1.183 0.774 0.437 0.530 0.759
        0.773 0.570 0.174 0.116 0.494
        0.593 0.849 0.693 0.504 0.708
        0.802 1.201 1.187 0.796 0.544
        0.546 0.756 0.882 0.590 0.167""",
        freeman="""
        1.799 1.749 1.872 1.845 2.178
        1.655 1.367 1.412 1.593 1.752
        1.698 1.130 1.015 1.173 1.349
        1.615 1.153 1.000 1.213 1.704
        1.960 1.625 1.434 1.612 2.225""",
        d8="""
        2 1 3 1 2
        1 1 2 1 1
        2 1 1 1 1
        1 1 1 1 2
        2 2 1 1 2""",
    )
    return {name: np.array(text.split(), float).reshape(5, 5) for name, text in theirs.items()}


def test_slope_and_aspect_of_the_plane_corners_included(size_yy_xx_and_plane):
    "Slope and aspect."
    size, yy, xx, plane = size_yy_xx_and_plane
    assert np.allclose(slope(plane, size), 6.3794, atol=1e-4)
    assert np.allclose(aspect(plane, size), 243.4349, atol=1e-3)
    assert (aspect(0 * plane, size) == 0).all()


def test_the_four_directions(size_yy_xx_and_plane):
    "Slope and aspect."
    size, yy, xx, plane = size_yy_xx_and_plane
    north, east = yy, xx
    for surface, direction in ((-north, 0), (-east, 90), (north, 180), (east, 270)):
        assert np.allclose(aspect(surface, size), direction)


def test_slope_and_aspect_of_the_knoll_as_in_richdem_and_xarray_spatial(knoll, size_yy_xx_and_plane, inner, known):
    "Slope and aspect."
    size, yy, xx, plane = size_yy_xx_and_plane
    assert np.allclose(slope(knoll, size)[inner], known["slope"], atol=6e-4)
    assert np.allclose(aspect(knoll, size)[inner], known["aspect"], atol=6e-3)


def test_a_bowl_a_plane_and_the_knoll_as_in_richdem_and_xarray_spatial(size_yy_xx_and_plane, inner, knoll, known):
    "Curvature."
    size, yy, xx, plane = size_yy_xx_and_plane
    assert np.allclose(curvature(0.001 * (xx**2 + yy**2), size)[inner], -0.4)
    assert np.allclose(curvature(plane, size), 0)
    assert np.allclose(curvature(knoll, size)[inner], known["curvature"], atol=6e-4)


def test_a_pit_in_a_plane(size_yy_xx_and_plane):
    "Where the water goes."
    size, yy, xx, plane = size_yy_xx_and_plane
    pit = plane.copy()
    pit[12, 15] -= 20
    low = np.sort(pit[11:14, 14:17], axis=None)[1]
    filled = fill_pits(pit)
    assert filled[12, 15] == pytest.approx(low, abs=1e-3)
    filled[12, 15] = pit[12, 15]
    assert np.array_equal(filled, pit)


def test_rough_hills_filled_by_sinking_water(hills):
    "Where the water goes."
    water = np.full(hills.shape, np.inf)
    water[[0, -1]] = hills[[0, -1]]
    water[:, [0, -1]] = hills[:, [0, -1]]
    while True:
        lower = np.maximum(hills, np.minimum(water, minimum_filter(water, 3)))
        if np.array_equal(lower, water):
            break
        water = lower
    assert (water > hills + 0.1).sum() > 50
    assert np.abs(fill_pits(hills) - water).max() < 0.02


def test_a_plane_that_falls_to_the_west(size_yy_xx_and_plane):
    "Where the water goes."
    # a plane that falls to the west: rows of 1, 2, 3 ... 30 cells
    size, yy, xx, plane = size_yy_xx_and_plane
    assert np.allclose(flow_accumulation(xx, np.inf), 30 - xx / size)


def test_no_water_is_lost_in_a_valley_with_one_way_out(size_yy_xx_and_plane):
    "Where the water goes."
    size, yy, xx, plane = size_yy_xx_and_plane
    valley = 0.001 * xx + 2 * np.abs(yy + 360) / 100
    for exponent in (1.1, np.inf):
        last = flow_shares(fill_pits(valley), exponent).sum(0) == 0
        assert np.isclose(flow_accumulation(valley, exponent)[last].sum(), valley.size)


def test_flow_on_the_knoll_as_in_richdem_and_pysheds(knoll, inner, known):
    "Where the water goes."
    assert np.allclose(flow_accumulation(knoll)[inner], known["freeman"], atol=6e-4)
    assert np.array_equal(flow_accumulation(knoll, np.inf)[inner], known["d8"])


def test_twi_of_a_cone():
    "Topographic wetness index."
    y, x = np.mgrid[-40:41, -40:41] * 10.0
    r = np.hypot(x, y)
    exact = np.log(np.maximum(r, 1) / 2 / 0.05)
    ring = (r > 100) & (r < 390)
    error = {e: (wetness_index(200 - 0.05 * r, 10.0, e) - exact)[ring] for e in (1.1, np.inf)}
    for e, v in error.items():
        upper, lower = np.percentile(v, [75, 25])
        print(f"exponent {e}: median {np.median(v):+.3f}, middle half {upper - lower:.3f}")
    assert abs(np.median(error[1.1])) < 0.15
    assert error[1.1].std() < 0.5 * error[np.inf].std()


def test_a_known_wave_between_its_cells(size_yy_xx_and_plane):
    "To the pixels of the satellite."
    size, yy, xx, plane = size_yy_xx_and_plane
    r, c = np.mgrid[8:20:0.33, 8:20:0.33]
    wave = np.sin(xx / 150) * np.cos(yy / 120)
    exact = np.sin(size * c / 150) * np.cos(-size * r / 120)
    assert np.abs(spline_upsample(wave, r, c) - exact).max() < 1e-3
    between = spline_upsample(plane, np.array([12.5]), np.array([14.25]))
    assert np.allclose(between, 100 + 0.1 * 14.25 * size - 0.05 * 12.5 * size)


def test_cubic_splines_of_fitpack_say_the_same_away_from_the_edge(hills):
    "To the pixels of the satellite."
    r = np.arange(12, 47, 0.3)
    c = np.arange(12, 47, 0.3)
    theirs = RectBivariateSpline(np.arange(60), np.arange(60), hills)(r, c)
    assert np.abs(spline_upsample(hills, *np.meshgrid(r, c, indexing="ij")) - theirs).max() < 1e-4


def test_angles_across_north():
    "To the pixels of the satellite."
    middle = upsample_angle(np.array([[350.0, 10.0], [350.0, 10.0]]), np.array([0.5]), np.array([0.5]))
    assert min(middle[0], 360 - middle[0]) < 1e-6


def test_the_five_features_of_rough_hills(hills, size_yy_xx_and_plane):
    "All five."
    size, yy, xx, plane = size_yy_xx_and_plane
    r, c = np.mgrid[5:50:0.34, 5:50:0.34]
    found = terrain(hills, size, r, c)
    fig, axes = plt.subplots(1, 5, figsize=(11, 2.3), dpi=60, layout="constrained")
    for ax, v, (name, unit), cmap in zip(
        axes,
        found,
        terrain_features.items(),
        ("cividis", "cividis", "twilight", "PuOr", "Blues"),
        strict=True,
    ):
        limits = dict(vmin=-0.3, vmax=0.3) if name == "curvature" else {}
        shown = ax.imshow(v, cmap=cmap, **limits)
        fig.colorbar(shown, ax=ax, shrink=0.75)
        ax.set(title=f"{name} [{unit}]" if unit else name, xticks=[], yticks=[])
    assert found.shape == (5, *r.shape)
    assert np.isfinite(found).all()
    assert np.corrcoef(found[3].ravel(), found[4].ravel())[0, 1] < -0.3


def test_gaps_and_tiny_rasters_are_named():
    "All five."
    hole = np.where((r := np.arange(25).reshape(5, 5)) == 7, np.nan, r)
    for f in (
        lambda z: slope(z, 30.0),
        lambda z: curvature(z, 30.0),
        fill_pits,
        lambda z: wetness_index(z, 30.0),
    ):
        with pytest.raises(ValueError, match="without gaps, but 1 of 25 cells have none"):
            f(hole)
        with pytest.raises(ValueError, match="at least 3×3 cells, got"):
            f(np.zeros((2, 9)))
