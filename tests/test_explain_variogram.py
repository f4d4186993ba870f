"""How far errors reach

Written by nbdev-export from the check cells of nbs/api/explain/08_variogram.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from mtl_explain.explain.correlation import correlation_statistic
from mtl_explain.explain.resampling import estimate
from mtl_explain.explain.variogram import (
    block_size, earth_radius, error_range, error_ranges, fit_range, furthest_distance, great_circle_distance,
    plot_error_range, semivariogram,
)
from mtl_explain.testing.planted import planted_trace


# a field with an exponential covariance: positions (s,) and values (worlds, s)
def planted_field(reach, common=0.5, n=700, worlds=1, seed=0, side=9.0):
    rng = np.random.default_rng(seed)
    lat, lon = rng.uniform(0, side, (2, n))
    apart = great_circle_distance(lat[:, None], lon[:, None], lat, lon)
    root = np.linalg.cholesky(np.exp(-3 * apart / reach) + 1e-9 * np.eye(n))
    field = rng.normal(size=(worlds, n)) @ root.T
    noise = rng.normal(size=(worlds, n))
    return lat, lon, np.sqrt(common) * field + np.sqrt(1 - common) * noise


@pytest.fixture(scope='module')
def degree():
    "Km of a degree."
    return np.pi * earth_radius / 180


@pytest.fixture(scope='module')
def trace():
    "Samples of a block share half of their difficulty."
    return planted_trace(n_samples=800, n_groups=40, n_epochs=1, size=4, clustering=0.5)


def test_a_degree_along_a_meridian_a_quarter_of_the_earth_across_the_date_line(degree):
    "Distances."
    # a degree along a meridian, a quarter of the Earth, across the date line, and nowhere
    assert np.isclose(great_circle_distance(10, 20, 11, 20), degree)
    assert np.isclose(great_circle_distance(0, 0, 90, 123), 90 * degree)
    assert np.isclose(great_circle_distance(0, 179.5, 0, -179.5), degree)
    assert great_circle_distance(48.1, 11.5, 48.1, 11.5) == 0
    # Munich to Berlin: 504 km
    assert abs(great_circle_distance(48.137, 11.575, 52.52, 13.405) - 504) < 2


def test_three_samples_by_hand_and_many_against_all_pairs_in_order_of_their(degree):
    "The semivariogram."
    # three samples by hand, and many against all pairs in order of their distance
    found = semivariogram(np.zeros(3), np.array([0, 1, 2.2]), np.array([1.0, 3, 0]))
    assert found.semivariance.tolist() == [2]
    assert np.isclose(found.distance[0], degree)
    rng = np.random.default_rng(0)
    lat, lon, e = rng.uniform(0, 5, (3, 60))
    pairs = [
        (great_circle_distance(lat[a], lon[a], lat[b], lon[b]), (e[a] - e[b]) ** 2 / 2)
        for a in range(60)
        for b in range(a)
    ]
    pairs = np.array(sorted(pairs))
    found = semivariogram(lat, lon, e)
    parts = np.split(pairs, np.cumsum(found.pairs))[:-1]
    np.testing.assert_allclose(found[["distance", "semivariance"]], [part.mean(0) for part in parts])
    assert found.pairs.sum() == (pairs[:, 0] < pairs[-1, 0] / 2).sum()


def test_the_same_numbers_as_scikit_gstat_1_0_26():
    "The semivariogram."
    # the same numbers as scikit-gstat 1.0.26 (Matheron's estimator, the same classes), written down
    rng = np.random.default_rng(5)
    lat, lon = rng.uniform(0, 0.5, (2, 40))
    e = np.sin(6 * lat) + 0.3 * rng.normal(size=40)
    found = semivariogram(lat, lon, e)
    theirs = [0.0012856544247, 0.0680971896351, 0.0230016987783, 0.0023483759564, 0.0890679977690]
    theirs += [0.0119273685582, 0.1326727539379, 0.0897629412117, 0.0783387926689, 0.1081541667251]
    theirs += [0.1916738928799, 0.1423524287812, 0.1909445295698, 0.1577530344499]
    np.testing.assert_allclose(found.semivariance, theirs, rtol=1e-9)
    assert found.pairs.tolist() == [1, 2, 4, 1, 5, 3, 4, 12, 32, 51, 50, 89, 117, 162]


def test_the_planted_range_in_the_median_of_twelve_worlds_and_none_where_there():
    "The range."
    # the planted range, in the median of twelve worlds, and none where there is none
    for reach in (150, 300):
        lat, lon, fields = planted_field(reach, worlds=12)
        ranges = [fit_range(semivariogram(lat, lon, v)) for v in fields]
        found = np.median([r.range for r in ranges])
        nugget = np.median([r.nugget for r in ranges])
        print(f"planted {reach} km, found {found:.0f} km, nugget {nugget:.2f}")
        assert 0.65 * reach < found < 1.5 * reach
    noise = np.random.default_rng(1).normal(size=(12, 700))
    silent = [fit_range(semivariogram(lat, lon, v)).range == 0 for v in noise]
    assert np.mean(silent) > 0.9


def test_the_same_as_by_all_pairs_on_either_side_of_the_date_line_at_a_pole_at():
    "Of a trace, beside its blocks."
    # the same as by all pairs, on either side of the date line, at a pole, at one place
    rng = np.random.default_rng(0)
    for middle in ((50, 10), (0, 180), (89, 0), (-30, -179)):
        for spread in (0.001, 1, 60):
            lats = np.clip(middle[0] + spread * rng.uniform(-1, 1, 400), -90, 90)
            lons = (middle[1] + spread * rng.uniform(-1, 1, 400) + 180) % 360 - 180
            pairs = great_circle_distance(lats[:, None], lons[:, None], lats, lons)
            assert furthest_distance(lats, lons) == pairs.max()
    assert furthest_distance(np.zeros(9), np.zeros(9)) == 0


def test_blocks_by_hand_and_as_planted_of_three_degrees(degree, trace):
    "Of a trace, beside its blocks."
    lat, lon = np.array([0, 0, 3, 9.0]), np.array([0, 4, 0, 9.0])
    assert np.isclose(block_size(lat, lon, np.array([0, 0, 0, 1])), 5 * degree / np.sqrt(2), rtol=1e-3)
    assert block_size(lat, lon, np.arange(4)) == 0
    table = error_ranges(trace).set_index("task")
    assert 180 < table.block.iloc[0] < 330
    with pytest.raises(ValueError, match="no positions"):
        error_range(trace.drop_vars("lat"))
    with pytest.raises(ValueError, match="'roads' is no task"):
        error_range(trace, "roads")
    with pytest.raises(ValueError, match="9 samples with a position"):
        error_range(trace.isel(sample=slice(0, 9)))


def test_two_tasks(trace):
    "Of a trace, beside its blocks."
    ax = plot_error_range([error_range(trace, t) for t in ("landcover", "zone")])
    assert "side of a block" in ax.get_legend().get_texts()[-1].get_text()


def test_false_alarms_of_blocks_that_are_smaller_and_larger_than_the_range(degree):
    "What it is for."
    def false_alarms(side, worlds=150):
        lat, lon, fields = planted_field(300, common=0.9, worlds=2 * worlds, seed=3)
        block = (lat * degree // side) * 100 + lon * degree // side
        codes = pd.factorize(block)[0]
        world = xr.Dataset(
            dict(error=(("epoch", "sample", "task"), np.stack([fields[::2], fields[1::2]], -1))),
            dict(epoch=np.arange(worlds), task=["a", "b"], group=("sample", codes)),
            dict(main="a"),
        )
        return (estimate(correlation_statistic(world, ["b"], split=None)).p < 0.05).mean()


    alarms = {side: false_alarms(side) for side in (150, 300, 500)}
    print(", ".join(f"blocks of {side} km: {a:.0%}" for side, a in alarms.items()))
    assert alarms[150] > alarms[500]
    assert alarms[500] < 0.11
