"""Simulated crop fields

Written by nbdev-export from the check cells of nbs/api/simulate/crops/03_fields.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import rasterio
from matplotlib.colors import ListedColormap

from mtl_explain.simulate.crops.farms import crs, field_ground, field_window, simulate_plan, table_4
from mtl_explain.simulate.crops.fields import (
    compare_table_4, era5_table, field_yields, flow_sensor, gaps, grow, harvest, interpolate_levels,
    leaf_area, simulate_crops, simulate_field, tracks,
)
from mtl_explain.simulate.crops.growth import regions
from mtl_explain.simulate.crops.satellite import resolutions, scl_colors


@pytest.fixture(scope='module')
def field_window_ground_and_grown():
    "A field of a plan, its window and ground."
    small = simulate_plan(60, seed=1, hectares=20.0)
    field = small[(small.crop == "soybean") & (small.region == "west") & (small.year > 2018)].iloc[0]
    window = field_window(field.rings)
    ground = field_ground(window, field.region, 1, np.random.default_rng(5))
    grown = grow(field, ground, np.arange(0, 160, 4))
    return field, window, ground, grown


@pytest.fixture(scope='module')
def whole(field_window_ground_and_grown):
    "One simulated field with all its scenes."
    field, window, ground, grown = field_window_ground_and_grown
    return simulate_field(field, seed=1)


def test_a_knoll_half_way_up_a_slope_a_hollow():
    "The crop."
    wet = np.array([0, 0.25, 0.5, 1])
    assert interpolate_levels(np.array([1.0, 3, 4]), wet).tolist() == [1, 2, 3, 4]
    assert interpolate_levels(np.ones((3, 7)), np.zeros((2, 5))).shape == (2, 5, 7)


def test_by_hand():
    "The crop."
    # by hand: half the ground covered at k = 0.5 is a leaf area of 2 ln 2; beyond 97 % all is one
    assert np.isclose(leaf_area(np.array(0.5), 0.5, 1.0), 2 * np.log(2))
    assert leaf_area(np.array(0.99), 0.6, 1.2) == leaf_area(np.array(0.97), 0.6, 1.0)


def test_a_field_from_sowing_to_harvest(field_window_ground_and_grown):
    "The crop."
    field, window, ground, grown = field_window_ground_and_grown
    days = np.arange(0, 160, 4)
    inside = np.where(window["mask"], 1, np.nan)
    fig, axes = plt.subplots(1, 4, figsize=(11, 2.5), dpi=75, layout="constrained")
    for ax, v, title, cmap in (
        (axes[0], ground["height"], "height [m]", "cividis"),
        (axes[1], ground["wet"] * inside, "wetness", "Blues"),
        (axes[2], grown["grain"] * inside, "grain [t/ha]", "viridis"),
    ):
        fig.colorbar(ax.imshow(v, cmap=cmap), ax=ax, shrink=0.7)
        ax.set(title=title, xticks=[], yticks=[])
    wet = np.array([[0.2, 0.5, 0.8]])
    levels = grow(field, dict(wet=wet, vigour=np.ones((1, 3))), days)["lai"][:, 0].T
    for lai, w, color in zip(levels, wet[0], ("#a6cee3", "#1f78b4", "#08306b"), strict=True):
        axes[3].plot(days, lai, color=color, label=f"wetness {w}")
    axes[3].set(title="leaf area, green and dry", xlabel="days since sowing", ylabel="LAI [m²/m²]")
    axes[3].legend(fontsize=7)
    assert (np.diff(levels.max(1)) > 0).all()
    assert np.corrcoef(ground["wet"][window["mask"]], grown["grain"][window["mask"]])[0, 1] > 0.2
    assert (grown["lai"][0] < 0.1).all()
    assert grown["senescence"][-1].min() > 0.95


def test_two_tracks_of_three_points_in_a_field_of_30_m_by_20_m_there_and_back():
    "The harvester."
    driven = tracks([np.array([[0, 0], [30, 0], [30, 20], [0, 20.0]])], 10.0, 10.0)
    assert driven.x.tolist() == [5, 15, 25, 25, 15, 5]
    assert driven.y.tolist() == [5] * 3 + [15] * 3
    assert driven.track.tolist() == [0, 0, 0, 1, 1, 1]


def test_on_an_even_field_the_reading_is_right_in_the_middle_late_at_the_edge():
    "The harvester."
    # on an even field the reading is right in the middle, late at the edge, now and then wrong
    true = np.repeat([0.0, 8, 0], [50, 5000, 50])
    read = flow_sensor(true, true > 0, np.random.default_rng(3))
    assert abs(np.median(read[60:5000]) / 8 - 1) < 0.1
    assert read[:50].max() == 0
    assert read[50] < 3
    assert 0.002 < (np.abs(read[60:5000] / np.median(read[60:5000]) - 1) > 0.4).mean() < 0.012


def test_a_hundred_thousand_points_miss_some_percent_in_stretches():
    "The harvester."
    missing = gaps(100_000, np.random.default_rng(0))
    assert 0.01 < missing.mean() < 0.04
    assert (np.diff(missing.astype(int)) == 1).sum() <= 40


def test_a_long_narrow_field_that_lies_askew():
    "The harvester."
    # a long narrow field that lies askew: all points are in it, none comes from beyond its window
    strip = np.array([[-300, -30], [300, -30], [300, 30], [-300, 30.0]])
    strip = strip @ np.array([[0.8, 0.6], [-0.6, 0.8]])
    askew = field_window([strip])
    points = harvest(np.full(askew["shape"], 5.0), askew, [strip], np.random.default_rng(0))
    across, along = np.abs(points[["x", "y"]].values @ np.array([[-0.6, 0.8], [0.8, 0.6]])).T
    assert across.max() < 32
    assert along.max() < 302
    assert 1.5 < len(points) / askew["mask"].sum() < 5


def test_the_harvester_on_the_field_above(field_window_ground_and_grown):
    "The harvester."
    field, window, ground, grown = field_window_ground_and_grown
    points = harvest(grown["grain"], window, field.rings, np.random.default_rng(2))
    grain = grown["grain"][window["mask"]]
    assert 1.5 < len(points) / window["mask"].sum() < 5
    assert abs(points["yield"].median() / np.median(grain) - 1) < 0.15
    assert points.equals(harvest(grown["grain"], window, field.rings, np.random.default_rng(2)))
    low, high = np.percentile(grain, [1, 99])
    near_x = (points.x - points.x.median()).abs() < 60
    near_y = (points.y - points.y.median()).abs() < 60
    fig, axes = plt.subplots(1, 2, figsize=(8, 3), dpi=60, layout="constrained", width_ratios=(1.2, 1))
    for ax, some, dots, title in (
        (axes[0], points, dict(s=1, lw=0), "points of a harvester"),
        (axes[1], points[near_x & near_y], dict(s=14), "close up"),
    ):
        x = some.x - window["x0"]
        y = some.y - window["y0"]
        shown = ax.scatter(x, y, c=some["yield"], vmin=low, vmax=high, **dots)
        ax.set(title=title, xlabel="x [m]", ylabel="y [m]", aspect="equal")
    fig.colorbar(shown, ax=axes[0], label="yield [t/ha]")


def test_six_clear_scenes_of_one_field(whole, field_window_ground_and_grown):
    "A field, whole."
    field, window, ground, grown = field_window_ground_and_grown
    is_clear = [np.isin(s["SCL"], (4, 5)).mean() > 0.6 for s in whole["scenes"]]
    clear = np.flatnonzero(is_clear)
    six = clear[np.linspace(0, len(clear) - 1, 6).round().astype(int)]
    look = dict(cmap=ListedColormap(scl_colors), vmin=-0.5, vmax=11.5, interpolation="nearest")
    fig, axes = plt.subplots(2, 6, figsize=(9.5, 3.1), dpi=60, layout="constrained")
    for (top, low), k in zip(axes.T, six, strict=True):
        scene = whole["scenes"][k]
        top.imshow((scene["10m"][2::-1].transpose(1, 2, 0) / 2200).clip(0, 1) ** 0.8)
        low.imshow(scene["SCL"], **look)
        top.set_title(f"{whole['dates'][k]:%d %b %y}", fontsize=8)
    for ax in axes.flat:
        ax.axis("off")
    assert len(whole["scenes"]) == len(whole["dates"]) == len(whole["lai"]) > 20
    assert len(clear) > 5
    assert field.sowing <= whole["dates"][0]
    assert whole["dates"][-1] <= whole["harvest"]


def test_three_grid_points_seven_and_a_half_years_kelvin_and_metres():
    "Writing."
    table = era5_table()
    points = {(r["lat"], r["lon"]) for r in regions.values()}
    assert len(table) == 3 * 2740
    assert set(zip(table.latitude, table.longitude, strict=True)) == points
    assert table.t2m_mean.between(265, 315).all()
    assert (table.t2m_min <= table.t2m_max).all()
    assert 0.4 < table.tp.sum() / 3 / 7.5 < 1.2


def test_what_is_written_and_that_it_is_the_same_whatever_the_number_of():
    "Writing."
    # what is written, and that it is the same whatever the number of processes
    small_world = dict(n=3, seed=51, hectares=1.0, progress=False)
    with tempfile.TemporaryDirectory() as folder:
        one = simulate_crops(Path(folder) / "world1", workers=1, **small_world)
        two = simulate_crops(Path(folder) / "world2", workers=2, **small_world)
        table = pd.read_csv(one / "fields.csv")
        files = [sorted(p.relative_to(w) for p in w.rglob("*") if p.is_file()) for w in (one, two)]
        assert sorted(p.name for p in one.iterdir()) == [
            "dem",
            "fields.csv",
            "fields.geojson",
            "sentinel2",
            "weather",
            "yield",
        ]
        assert set(table.crop) == set(table_4.index)
        assert files[0] == files[1]
        assert all((one / p).read_bytes() == (two / p).read_bytes() for p in files[0])
        first = sorted((one / "sentinel2" / table.field[0]).glob("*"))
        assert [p.name.split("_")[1] for p in first[:4]] == ["10m.tif", "20m.tif", "60m.tif", "SCL.tif"]
        with rasterio.open(first[1]) as a, rasterio.open(first[3]) as b:
            assert a.count == len(resolutions[20])
            assert a.nodata == 0
            assert a.transform == b.transform
            assert a.crs == crs
            assert b.dtypes == ("uint8",)
        with pytest.raises(FileExistsError, match="exists already"):
            simulate_crops(one)
        with pytest.raises(ValueError, match="at least 3 fields"):
            simulate_crops(Path(folder) / "new", n=1)
        assert sorted(p.name for p in Path(folder).iterdir()) == ["world1", "world2"]


def test_the_plan_at_the_papers_size_against_table_4():
    "Compared with Table 4, and with what one knows."
    both = compare_table_4(simulate_plan(497, seed=0, hectares=73.0))
    assert (both["simulated"].percent - both["Table 4"].percent).abs().max() < 4
    assert abs(both["simulated"].pixels.sum() / table_4.pixels.sum() - 1) < 0.12
    assert both["simulated"][["farms", "fields"]].equals(both["Table 4"][["farms", "fields"]])


def test_yields_of_fields_and_what_the_crop_alone_explains():
    "Compared with Table 4, and with what one knows."
    yields = field_yields(simulate_plan(40, seed=1, hectares=5.0), 1)
    by_crop = yields.groupby("crop")["mean"]
    within = (by_crop.var(ddof=0) * by_crop.size()).sum()
    explained = 1 - within / (yields["mean"].var(ddof=0) * len(yields))
    print(f"share of the variance between fields that the crop explains: {explained:.2f}")
    assert 6 < by_crop.mean()["maize"] < 10
    assert 2 < by_crop.mean()["soybean"] < 4
    assert 1.5 < by_crop.mean()["wheat"] < 4.5
    assert 0.4 < explained < 0.95
    fig, ax = plt.subplots(figsize=(6, 2.6), dpi=75, layout="constrained")
    for k, (c, color) in enumerate(zip(table_4.index, ("#de8f05", "#029e73", "#0173b2"), strict=True)):
        one = yields[yields.crop == c].sort_values("mean")
        x = k + np.linspace(-0.3, 0.3, len(one))
        ax.errorbar(x, one["mean"], one["std"], fmt="o", ms=3, color=color)
    ax.set_title("mean and spread within each field")
    ax.set(xticks=range(3), xticklabels=table_4.index, ylabel="yield [t/ha]", ylim=(0, None))
