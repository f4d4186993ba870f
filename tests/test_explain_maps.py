"""Error maps

Written by nbdev-export from the check cells of nbs/api/explain/04_maps.ipynb.
Do not edit: change the notebook, then `make export`.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex

from mtl_explain.explain.correlation import correlation_of_moments
from mtl_explain.explain.maps import (
    _visible, class_colors, common_range, draw_classes, draw_values, error_label, errors_at_positions,
    patch_maps, pixel_errors, plot_error_maps, plot_errors_on_map, sample_correlations, samples_worth_showing,
    task_maps,
)
from mtl_explain.modality import modality_of
from mtl_explain.palette import missing_color
from mtl_explain.testing.planted import planted_world


@pytest.fixture(scope='module')
def world():
    "A planted world whose land cover and elevation fail together."
    return planted_world(n_samples=110, n_groups=10, n_epochs=3, size=24, pixel_r=0.8, shown=5)


@pytest.fixture(scope='module')
def world_patches_and_name():
    "A planted world whose patches have two dense tasks."
    world = planted_world(n_samples=40, n_groups=5, n_epochs=2, size=24, shown=3)
    patches = world.samples
    name = str(world.trace.shown.values[1])
    return world, patches, name


def test_four_pixels_by_hand():
    "Truth, prediction, error."
    found = pixel_errors([[0, 1], [2, -1]], [[0, 2], [2, 0]], "mask")
    assert np.array_equal(found, [[0, 1], [0, np.nan]], equal_nan=True)
    image = np.array([[[100.0, np.nan]], [[0, 0]]])
    found = pixel_errors(image, [[[104, 1]], [[-2, 1]]], "image")
    assert np.array_equal(found, [[3, np.nan]], equal_nan=True)


def test_maps_agree_with_the_trace(world):
    "Truth, prediction, error."
    maps = {t: task_maps(world.trace, world.samples, t, "p0003") for t in ("landcover", "elevation")}
    for t, m in maps.items():
        expected = world.trace.error.sel(task=t, sample="p0003").isel(epoch=-1)
        assert np.isclose(m.error.mean(), expected, rtol=1e-4)
    r = np.corrcoef(*(m.error.ravel() for m in maps.values()))[0, 1]
    kept = correlation_of_moments(world.trace.moments.sel(sample="p0003").isel(epoch=-1, pair=0).values)
    assert np.isclose(r, kept, atol=1e-4)
    with pytest.raises(ValueError, match="keeps no maps of 'zone'; it keeps landcover, elevation"):
        task_maps(world.trace, world.samples, "zone", "p0003")
    with pytest.raises(ValueError, match="no maps of sample 'p0050'"):
        task_maps(world.trace, world.samples, "landcover", "p0050")


def test_every_class_has_its_colour_in_every_map(world):
    "Drawing one map."
    m = modality_of(world.samples.landcover)
    fig, ax = plt.subplots(figsize=(1, 1))
    image = draw_classes(ax, np.array([[0, 3], [-1, 1]]), m)
    rgba = image.to_rgba(image.get_array())
    hexes = [to_hex(c) for c in rgba.reshape(-1, 4)]
    plt.close(fig)
    assert hexes == [m.colors[0], m.colors[3], missing_color, m.colors[1]]
    assert len(set(class_colors(replace(m, classes=tuple(range(17)), colors=())))) == 17


def test_arrows_at_the_bar_of_what_lies_beyond_the_scale_on_either_side():
    "Drawing one map."
    # arrows at the bar of what lies beyond the scale, on either side; missing pixels lie nowhere
    row = np.array([[-1.0, 0.5, 2.0, np.nan]])
    drawn = dict(neither=row[:, 1:2], min=row[:, :2], max=row[:, 1:], both=row)
    for extend, values in drawn.items():
        shown = draw_values(plt.figure().gca(), values, (0, 1), "height [m]")
        assert shown.colorbar.extend == extend
    plt.close("all")


def test_one_range_whatever_is_missing():
    "Drawing one map."
    assert common_range([1, 2, np.nan], [np.inf, 4]) == tuple(np.quantile([1, 2, 4], [0.01, 0.99]))
    assert common_range([np.nan]) == (0, 1)
    assert common_range([3, 3]) == (2.5, 3.5)


def test_land_cover_and_elevation_side_by_side(world):
    "A row per task."
    fig = plot_error_maps(world.trace, world.samples, "p0003")
    assert [ax.get_title() for ax in fig.axes[:3]] == ["truth", "prediction", "error"]
    assert len(fig.axes) == 8


def test_missing_pixels_a_task_without_colours_many_channels(world):
    "A row per task."
    gappy = world.samples.copy(deep=True)
    gappy["landcover"].loc[dict(sample="p0000")] = -1
    gappy["elevation"] = gappy["elevation"].where(gappy["elevation"] > 500)
    gappy["landcover"].attrs.pop("colors")
    fig = plot_error_maps(world.trace, gappy, tasks=["landcover", "elevation"], epoch=0)
    assert fig.axes[2].get_xlabel() == "no label"
    assert "epoch 0" in fig.get_suptitle()
    plt.close(fig)
    elevation = modality_of(world.samples.elevation)
    three = replace(elevation, shape=(3, 4, 4), channels=("a", "b", "c"))
    values, name = _visible(np.ones((3, 4, 4)), three)
    assert values.shape == (4, 4)
    assert name == "elevation, mean of 3 channels"
    with pytest.raises(ValueError, match="keeps no maps"):
        plot_error_maps(world.trace.drop_vars(["map_landcover", "map_elevation"]), world.samples)


def test_ranked_as_numpy_would_rank_them(world):
    "Which samples to show."
    ranked = sample_correlations(world.trace, "elevation", "landcover")
    assert len(ranked) == 110
    assert (ranked.r.diff().dropna() <= 0).all()
    assert (ranked.n == 576).all()
    worth = samples_worth_showing(world.trace, "landcover", "elevation")
    assert worth.which.tolist() == ["highest", "median", "lowest"]
    assert worth["sample"].isin(world.trace.shown.values).all()


    def by_hand(s):
        cover, elevation = (
            task_maps(world.trace, world.samples, t, s).error for t in ("landcover", "elevation")
        )
        return np.corrcoef(cover.ravel(), elevation.ravel())[0, 1]


    np.testing.assert_allclose(worth.r, [by_hand(s) for s in worth["sample"]], atol=1e-4)
    assert len(samples_worth_showing(world.trace, "landcover", "elevation", drawable=False)) == 3
    with pytest.raises(ValueError, match="both must be dense tasks"):
        sample_correlations(world.trace, "landcover", "zone")


def test_few_samples_and_none(world):
    "Which samples to show."
    two = world.trace.isel(sample=slice(0, 2), shown=slice(0, 2))
    assert samples_worth_showing(two, "landcover", "elevation").which.tolist() == ["highest", "lowest"]
    one = two.isel(shown=[0])
    assert samples_worth_showing(one, "landcover", "elevation").which.tolist() == ["highest"]
    with pytest.raises(ValueError, match="no sample whose maps are kept"):
        samples_worth_showing(two.isel(shown=[]), "landcover", "elevation")


def test_errors_at_their_positions(world):
    "On the map of the world."
    fig, axs = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    for ax, task in zip(axs, ("landcover", "zone", "temperature"), strict=True):
        plot_errors_on_map(errors_at_positions(world.trace, task), ax)
    assert axs[0].get_title() == "landcover, epoch 2"
    assert len(axs[1].collections) == 2
    assert len(fig.axes) == 5


def test_no_positions(world):
    "On the map of the world."
    with pytest.raises(ValueError, match="no position"):
        errors_at_positions(world.trace.drop_vars(["lat", "lon"]))
    assert error_label(world.trace, "elevation") == ("mean absolute error [m]", 1)


def test_by_name(world_patches_and_name):
    "All maps of a patch."
    # by name: truth, prediction and error of each task
    world, patches, name = world_patches_and_name
    maps = patch_maps(world.trace, patches, name)
    assert list(maps) == [
        f"{t} {w}" for t in ("landcover", "elevation") for w in ("truth", "prediction", "error")
    ]
    assert np.array_equal(maps["landcover truth"], patches.landcover.sel(sample=name))


def test_several_channels_are_several_bands_a_missing_label_is_nan_and_no_maps(world_patches_and_name):
    "All maps of a patch."
    # several channels are several bands, a missing label is NaN, and no maps are an error
    world, patches, name = world_patches_and_name
    cover = patches.landcover.copy(deep=True)
    height = patches.elevation
    cover[:, :, 0] = -1
    twice = xr.concat([height, height], "level", combine_attrs="override").transpose(*height.dims)
    two = patches.drop_vars(["elevation", "level"]).assign(
        landcover=cover, elevation=twice.assign_coords(level=["low", "high"])
    )
    predicted = world.trace.map_elevation.isel(level=[0, 0]).drop_vars("level", errors="ignore")
    trace_of_two = world.trace.drop_vars("map_elevation").assign(map_elevation=predicted)
    maps = patch_maps(trace_of_two, two, name)
    assert [n for n in maps if "elevation" in n] == [
        "elevation low truth",
        "elevation high truth",
        "elevation low prediction",
        "elevation high prediction",
        "elevation error",
    ]
    assert maps["landcover truth"][:, 0].isnull().all()
    assert maps["landcover error"][:, 0].isnull().all()
    assert maps["landcover truth"][:, 1:].notnull().all()
    with pytest.raises(ValueError, match="keeps no maps"):
        patch_maps(world.trace.drop_vars(["map_landcover", "map_elevation"]), patches, name)
