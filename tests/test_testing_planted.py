"""Planted truth

Written by nbdev-export from the check cells of nbs/api/testing/01_planted.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import seaborn as sns

from mtl_explain.data.samples import check_samples, modalities
from mtl_explain.testing.planted import (
    _climate_zone, _moves, _spoilt, _terrain, apportion, clustered_noise, map_moments, planted_groups,
    planted_labels, planted_partner, planted_samples, planted_trace, planted_world,
)


@pytest.fixture(scope='module')
def world():
    "A small world."
    return planted_world(n_samples=220, n_groups=20, n_epochs=5)


def test_0_1_errors_with_a_partner_that_correlates_by_0_0_4_and_0_8():
    "A partner with a given correlation."
    rng = np.random.default_rng(0)
    x = (rng.random((3, 200_000)) < 0.2).astype(float)
    y = planted_partner(x, [0, 0.4, -0.8], rng.normal(size=x.shape))
    found = [np.corrcoef(a, b)[0, 1] for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(found, [0, 0.4, -0.8], atol=0.006)


def test_neighbours_correlate_others_do_not():
    "Noise that neighbours share."
    noise = clustered_noise(np.repeat(np.arange(2000), 2), 0.6, 3, np.random.default_rng(0))
    assert abs(noise.mean()) < 0.05
    assert abs(noise.var() - 1) < 0.05
    within = np.corrcoef(noise[:, ::2].ravel(), noise[:, 1::2].ravel())[0, 1]
    between = np.corrcoef(noise[:, 1:-1:2].ravel(), noise[:, 2::2].ravel())[0, 1]
    assert abs(within - 0.6) < 0.03
    assert abs(between) < 0.03


def test_ten_seats_by_hand():
    "Correct and false, with known moves."
    assert apportion(10, [0.55, 0.25, 0.20]).tolist() == [6, 2, 2]
    assert apportion(3, [0.2] * 5).sum() == 3
    assert apportion(0, [0.5, 0.5]).tolist() == [0, 0]


def test_a_fifth_of_ff_becomes_cc_in_each_epoch():
    "Correct and false, with known moves."
    g = planted_groups(1000, 4, [0.1, 0.1, 0.1, 0.7], _moves, np.random.default_rng(0))
    assert np.bincount(g[0]).tolist() == [100, 100, 100, 700]
    assert np.bincount(g[1][g[0] == 3]).tolist() == [140, 35, 35, 490]  # 20, 5, 5 and 70 % of 700


def test_groups_and_the_share_inside_are_as_ordered():
    "Labels under a hierarchy."
    parents = np.array([0, 0, 1, 1, 2, 2, 2])
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(4), 100)
    child = rng.integers(0, 7, 400)
    p, c = planted_labels(group, child, parents, 0.7, rng)
    assert (2 * (p != parents[child]) + (c != child) == group).all()
    kept = parents[c] == p
    assert [kept[group == g].mean() for g in range(4)] == [1, 0.7, 0, 0.7]


def test_three_pixels_by_hand_and_one_that_is_missing():
    "Maps and their co-moments."
    x = np.array([[0.0, 1, 1, 1]])
    y = np.array([[1.0, 3, 5, np.nan]])
    np.testing.assert_allclose(map_moments(x, y), [3, 2 / 3, 3, 2 / 3, 8, 2])
    assert (map_moments(x * np.nan, y) == 0).all()


def test_wrong_exactly_where_it_should_be():
    "Maps and their co-moments."
    cover, height = _terrain(3, 8, np.random.default_rng(0))
    wrong = np.random.default_rng(1).random((2, 3, 8, 8)) < 0.3
    assert ((_spoilt(cover, wrong, 4, np.random.default_rng(0)) != cover) == wrong).all()
    assert cover.shape == height.shape == (3, 8, 8)
    assert set(np.unique(cover)) <= {0, 1, 2, 3}


def test_the_sample_set_is_a_good_one():
    "The planted world."
    made = planted_samples(44, 4, 6, np.random.default_rng(0))
    names = ["landcover", "elevation", "weather", "zone", "climate", "temperature"]
    assert list(modalities(made)) == names
    assert modalities(made)["climate"].parent_index == _climate_zone
    assert made.group.values.max() == 3
    with pytest.raises(ValueError, match="split 'train' is empty"):
        check_samples(made)  # by design: all of it is for testing


def test_errors_moments_and_maps_agree_with_one_another(world):
    "What is in it."
    t = world.trace
    s = world.samples
    shown = s.sel(sample=t.shown.values)
    wrong = (t.map_landcover != shown.landcover.values[None]).astype(float)
    off = np.abs(t.map_elevation - shown.elevation.values[None]).isel(level=0)
    kept = t.sel(sample=t.shown.values)
    np.testing.assert_allclose(wrong.mean(["y", "x"]), kept.error.sel(task="landcover"), atol=1e-6)
    moments = map_moments(wrong.values, off.values)
    np.testing.assert_allclose(moments, kept.moments.isel(pair=0), rtol=1e-4, atol=1e-2)
    temperature = t.sel(task="temperature")
    off = np.abs(temperature.predicted - temperature.truth)
    np.testing.assert_allclose(off, temperature.error, atol=1e-5)
    for task in ("zone", "climate"):
        assert ((t.predicted != t.truth).sel(task=task) == t.error.sel(task=task)).all()
    assert t.attrs["main"] == "landcover"
    assert t.error.notnull().all()
    assert t.loss.dtype == t.error.dtype == "float32"


def test_the_planted_numbers_are_in_it(world):
    "What is in it."
    t = world.trace
    x, y = t.error.sel(task=["landcover", "weather"]).values.transpose(2, 0, 1).astype(float)
    found = [np.corrcoef(a, b)[0, 1] for a, b in zip(x, y, strict=True)]
    assert abs(np.mean(found) - 0.3) < 0.08
    zone, climate = (t.correct.sel(task=k).values == 1 for k in ("zone", "climate"))
    assert [np.sum(zone[0] == a) for a in (True, False)] == [55, 165]
    assert (zone & climate)[0].sum() == 22
    lower = t.error.isel(epoch=-1).mean("sample") < t.error.isel(epoch=0).mean("sample")
    assert lower.all()


def test_the_same_seed_gives_the_same_world():
    "What is in it."
    one = planted_trace(n_samples=44, n_groups=4, n_epochs=2)
    two = planted_trace(n_samples=44, n_groups=4, n_epochs=2)
    assert one.identical(two)
    assert not one.identical(planted_trace(n_samples=44, n_groups=4, n_epochs=2, seed=1))


def test_errors_fall_and_blocks_differ(world):
    "What is in it."
    t = world.trace
    fig, (left, right) = plt.subplots(1, 2, figsize=(7, 2.7), layout="constrained")
    left.set_prop_cycle(color=sns.color_palette("colorblind"))
    for task in t.task.values:
        left.plot(t.epoch, t.loss.sel(task=task).mean("sample"), "o-", label=task)
    left.set(xlabel="epoch", ylabel="mean error relative to epoch 0", ylim=(0, None), title="learning")
    left.legend(frameon=False, fontsize=8, ncols=2)
    wrong = 100 * t.error.sel(task="landcover").isel(epoch=0)
    dots = right.scatter(t.lon, t.lat, c=wrong, s=12, cmap="cividis")
    right.set(xlabel="longitude [°]", ylabel="latitude [°]", title="land cover, epoch 0")
    fig.colorbar(dots, ax=right, label="wrong pixels [%]")
    assert len(left.lines) == 6
