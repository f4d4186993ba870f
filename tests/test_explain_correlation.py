"""Error correlation

Written by nbdev-export from the check cells of nbs/api/explain/01_correlation.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from itertools import pairwise
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from mtl_explain.explain.correlation import (
    _correlation, _correlation_of_sums, _note, _pooled, _pooled_samples, _sample_features, _sample_values,
    _spread, _standard_sums, bases, correlation_of_moments, correlation_statistic, error_correlation,
    merge_moments, pair_basis, pixel_moments, plot_error_correlation, sample_moments,
)
from mtl_explain.explain.resampling import Resampling, difference, estimate, holm, p_floor
from mtl_explain.palette import grey, red
from mtl_explain.testing.planted import map_moments, planted_trace


# errors of pixels (sample, y, x) with a planted relation within and between samples
def two_levels(within, between, seed=0, n=300):
    rng = np.random.default_rng(seed)
    block = rng.normal(size=(2, 30, 1, 1)).repeat(n // 30, axis=1) * 0.5
    hard, other = rng.normal(size=(2, n, 1, 1)) + block
    x = rng.normal(size=(n, 6, 6))
    y = within * x + np.sqrt(1 - within**2) * rng.normal(size=x.shape)
    return hard + x, between * hard + np.sqrt(1 - between**2) * other + y


def trace_of_maps(x, y, n_groups=30):
    t = planted_trace(n_samples=len(x), n_epochs=1, n_groups=n_groups, size=x.shape[-1])
    t["moments"] = t["moments"].dims, map_moments(x, y)[None, :, None]
    return t


@pytest.fixture(scope='module')
def trace():
    "A trace with known answers: 0.4 between pixels, 0.3 between samples."
    return planted_trace(n_samples=440, n_groups=40, n_epochs=4, pixel_r=0.4, sample_r=0.3, seed=1)


@pytest.fixture(scope='module')
def gappy(trace):
    "A trace in which a label is missing."
    gappy = trace.copy(deep=True)
    gappy["error"].loc[dict(task="weather", sample="p0001")] = np.nan
    return gappy


@pytest.fixture(scope='module')
def result(trace):
    "The planted correlations."
    return error_correlation(trace)


@pytest.fixture(scope='module')
def fading():
    "Ten epochs."
    return planted_trace(n_samples=440, n_epochs=10, sample_r=np.linspace(0.6, 0, 10))


def test_three_pixels_by_hand():
    "Merging sums without losing digits."
    x = np.array([0.0, 1, 1])
    y = np.array([1.0, 3, 5])
    whole = map_moments(x[None], y[None])
    np.testing.assert_allclose(whole, [3, 2 / 3, 3, 2 / 3, 8, 2])
    assert np.isclose(correlation_of_moments(whole), np.sqrt(3) / 2)
    first = map_moments(x[None, :1], y[None, :1])
    rest = map_moments(x[None, 1:], y[None, 1:])
    np.testing.assert_allclose(merge_moments(np.stack([first, rest])), whole)


def test_a_million_pixels_against_scipy_and_naive_sums():
    "Merging sums without losing digits."
    rng = np.random.default_rng(0)
    x = 1e4 + rng.normal(size=1_000_000)
    y = 1e4 + 0.4 * (x - 1e4) + rng.normal(size=x.size)
    cuts = np.r_[0, np.sort(rng.choice(x.size, 30, replace=False)), x.size]
    blocks = np.stack([map_moments(x[None, a:b], y[None, a:b]) for a, b in pairwise(cuts)])
    ours = correlation_of_moments(merge_moments(blocks))
    theirs = stats.pearsonr(x, y).statistic
    a = x.astype("float32")
    n = np.float32(x.size)
    s_aa = (a * a).sum() - a.sum() * a.sum() / n
    print(f"scipy {theirs:.6f}, merged co-moments differ by {abs(ours - theirs):.0e}")
    print(f"naive float32 sums: M_xx = {s_aa:.0f} instead of {merge_moments(blocks)[3]:.0f}")
    assert abs(ours - theirs) < 1e-12
    assert abs(s_aa / 1e6 - 1) > 0.5


def test_empty_blocks_other_axes_one_block():
    "Merging sums without losing digits."
    m = map_moments(*np.random.default_rng(0).normal(size=(2, 4, 5, 3, 3)))
    np.testing.assert_allclose(merge_moments(m, axis=1), merge_moments(np.moveaxis(m, 1, 0)))
    np.testing.assert_allclose(merge_moments(m[:1]), m[0])
    empty = np.full((2, 5, 6), np.nan)
    empty[..., 0] = 0
    empty[..., 3:] = 0
    np.testing.assert_allclose(merge_moments(np.concatenate([m, empty])), merge_moments(m))
    undefined = np.array([[1.0, 3, 3, 0, 0, 0], [5, 0.1, 2, 1e-30, 4, 1e-15], [0, 0, 0, 0, 0, 0]])
    assert np.isnan(correlation_of_moments(undefined)).all()
    rounded = np.array([[9.0, 0, 0, 1, 4, 2.00001], [9, 0, 0, 1, 4, -2.00001]])  # lost digits
    assert correlation_of_moments(rounded).tolist() == [1, -1]


def test_a_small_variation_beside_a_large_mean_is_one_as_long_as_it_is_more():
    "Merging sums without losing digits."
    # a small variation beside a large mean is one, as long as it is more than rounding
    for mean, share, r in ((1.0, 1e-7, 1), (1e6, 1e-7, 1), (1.0, 1e-11, 1), (1.0, 1e-13, np.nan)):
        varies = 4 * (share * mean) ** 2
        m = np.array([4, mean, mean, varies, varies, varies])
        np.testing.assert_allclose(correlation_of_moments(m), r)


def test_which_pairs_are_known_by_pixel(trace):
    "Pixels or samples."
    assert pair_basis(trace, "elevation", "landcover") == 0
    assert pair_basis(trace, "landcover", "elevation") == 0
    assert pair_basis(trace, "landcover", "weather") == -1
    assert pair_basis(trace, "landcover", "elevation", "loss") == -1
    assert pair_basis(trace.drop_vars("moments"), "landcover", "elevation") == -1


def test_pairs_one_by_one():
    "Pixels or samples."
    # pairs one by one: each position gives its own six numbers, in the order asked for
    two = planted_trace(n_samples=6, n_groups=3, n_epochs=2, size=4)
    moments = np.concatenate([two["moments"].values, two["moments"].values + 1], axis=2)
    names = dict(pair_x=("pair", ["landcover", "b"]), pair_y=("pair", ["elevation", "c"]))
    two = two.drop_dims("pair").assign(moments=(("epoch", "sample", "pair", "moment"), moments))
    two = two.assign_coords(names)
    assert pair_basis(two, "c", "b") == 1
    assert pair_basis(two, "landcover", "b") == -1
    found = pixel_moments(two, [1, 0])(np.array([4, 2]))
    np.testing.assert_array_equal(found, moments[:, [4, 2]].transpose(1, 0, 2, 3)[:, :, [1, 0]])
    np.testing.assert_array_equal(pixel_moments(two, [0])(np.array([1, 2]))[0, 1, 0], moments[1, 1, 0])


def test_one_sample_is_one_value(gappy, trace):
    "Pixels or samples."
    # one sample is one value; a missing label counts nothing
    m = sample_moments(gappy, "landcover", ["weather", "zone"])(np.array([0, 1]))
    assert m.shape == (2, 4, 2, 6)
    assert (m[0, ..., 0] == 1).all()
    assert (m[1, :, 0] == 0).all()
    assert (m[1, :, 1, 0] == 1).all()
    np.testing.assert_allclose(m[0, :, 0, 2], trace.error.sel(task="weather").isel(sample=0))


def test_both_errors_stand_in_their_places(trace):
    "Pixels or samples."
    # both errors stand in their places; a sample that lacks either counts for neither
    pair = trace.isel(sample=slice(0, 3)).copy(deep=True)
    pair["error"].loc[dict(task="landcover", sample="p0002")] = np.nan
    m = sample_moments(pair, "landcover", ["weather"])(np.arange(3))
    x, y = (pair["error"].sel(task=t).values.T for t in ("landcover", "weather"))
    np.testing.assert_allclose(m[:2, :, 0, 1], x[:2])
    np.testing.assert_allclose(m[:2, :, 0, 2], y[:2])
    assert not m[2].any() and not m[..., 3:].any()
    of_loss = sample_moments(pair, "landcover", ["weather"], "loss")(np.arange(1))
    np.testing.assert_allclose(of_loss[0, :, 0, 2], pair["loss"].sel(task="weather").values[:, 0])


def test_the_short_way_for_single_values_gives_what_merging_samples_one_by_one(trace, gappy):
    "Correlation, interval and p-value."
    # the short way for single values gives what merging samples one by one gives, with gaps and without
    for part in (trace, gappy):
        of = part, "landcover", ["weather", "zone"], "error"
        at = np.arange(1, part.sizes["sample"])
        read = _sample_values(*of)
        by_one = _pooled(sample_moments(*of), at)
        pooled = _pooled_samples(read, at, block=7)
        used = [0, 1, 2, 3, 4, 6]
        np.testing.assert_allclose(pooled[..., used], by_one[..., used], rtol=1e-12, atol=1e-14)
        sums = _sample_features(read, at, pooled)(np.arange(len(at)))
        expected = _standard_sums(sample_moments(*of)(at), by_one)[:, : sums.shape[1]]
        np.testing.assert_allclose(sums, expected, rtol=1e-10, atol=1e-10)


def test_digits_lost_in_the_sums_of_nearly_one_line_do_not_carry_a_correlation():
    "Correlation, interval and p-value."
    # digits lost in the sums of nearly one line do not carry a correlation beyond one
    apart = np.array([2.00001, -2.00001, 1])
    assert _correlation(np.ones(3), np.full(3, 4.0), apart, np.full(3, 9)).tolist() == [1, -1, 0.5]


def test_both_ways_to_the_same_correlation_and_both_parts_against_numpy_on_the():
    "Correlation, interval and p-value."
    # both ways to the same correlation, and both parts against numpy on the pixels themselves
    rng = np.random.default_rng(0)
    level_x, level_y = rng.normal(size=(2, 60, 1, 1))
    x = level_x + rng.normal(size=(60, 5, 5))
    y = -2 * level_x + level_y + x + rng.normal(size=(60, 5, 5))
    m = map_moments(x, y)[:, None, None]
    pooled = _pooled(lambda at: m[at], np.arange(60), block=25)
    np.testing.assert_allclose(pooled[..., :6], merge_moments(m))
    sums = _standard_sums(m, pooled).sum(0)
    found = {b: _correlation_of_sums(sums, b)[0] for b in bases}
    found["sample"] = _correlation_of_sums(sums[: 6 * m[0, ..., 0].size], "sample")[0]
    of_x, of_y = (v.mean((1, 2)) for v in (x, y))
    expected = dict(
        pixel=np.corrcoef(x.ravel(), y.ravel())[0, 1],
        within=np.corrcoef((x - of_x[:, None, None]).ravel(), (y - of_y[:, None, None]).ravel())[0, 1],
        between=np.corrcoef(of_x, of_y)[0, 1],
        sample=np.corrcoef(of_x, of_y)[0, 1],
    )
    assert found == pytest.approx(expected)
    assert found["within"] > 0.5
    assert found["between"] < -0.3


def test_the_sums_are_those_of_errors_with_mean_0_and_variance_1_so_none_of():
    "Correlation, interval and p-value."
    # the sums are those of errors with mean 0 and variance 1, so none of them is large
    spread = _spread(np.array([8.0, 0, 1e-30]), np.array([3.0, 3, 3]), np.array([2, 2, 2]))
    assert spread.tolist() == [2, np.inf, np.inf]
    rng = np.random.default_rng(1)
    x = 1e5 + 300 * rng.normal(size=(40, 3, 3))
    y = 1e-3 * rng.normal(size=(40, 3, 3))
    m = map_moments(x, y)[:, None, None]
    pooled = _pooled(lambda at: m[at], np.arange(40))
    n, of_x, of_y, xx, yy, xy, *within = _standard_sums(m, pooled).sum(0)
    assert n == 360
    assert (of_x, of_y) == pytest.approx((0, 0), abs=1e-6)
    assert (xx + within[0], yy + within[1]) == pytest.approx((360, 360))


def test_what_was_planted_is_found(result):
    "Correlation, interval and p-value."
    planted = dict(elevation=0.4, weather=0.3, zone=0, climate=0, temperature=0)
    for task, truth in planted.items():
        rows = result[(result.auxiliary == task) & result.basis.isin(["pixel", "sample"])]
        assert (np.abs(rows.r - truth) < 0.12).all()
        assert ((rows.low < truth) & (truth < rows.high)).sum() >= 3
    assert result.basis[result.auxiliary == "elevation"].unique().tolist() == list(bases)
    assert set(result.basis[result.auxiliary != "elevation"]) == {"sample"}
    assert (result.n[result.basis == "within"] == 440 * 144).all()
    assert (result.n[result.basis == "between"] == 440).all()
    assert ((result.p < 0.05) == ((result.low > 0) | (result.high < 0))).all()
    assert (result.p_holm >= result.p).all()
    assert (result.band_low <= result.low).all()
    assert (result.effective.round(9) == 40).all()


def test_no_correlation_of_rare_errors_is_shown_where_none_is():
    "Correlation, interval and p-value."
    def error_of_two(seed, both=0.0, n=100):
        rng = np.random.default_rng(seed)
        wrong = (rng.random((1, n, 2)) < 0.1).astype(float)
        wrong[:, rng.random(n) < both] = 1
        about = dict(
            epoch=[0],
            sample=np.arange(n),
            task=["p", "q"],
            kind=("task", ["category"] * 2),
            split=("sample", ["test"] * n),
            group=("sample", np.arange(n) // 5),
        )
        rare = xr.Dataset(dict(error=(("epoch", "sample", "task"), wrong)), about, dict(main="p"))
        row = error_correlation(rare).iloc[0]
        return np.sign(row["r"]) * (row["p"] < 0.05)


    nothing = [error_of_two(seed) for seed in range(100)]
    planted = [error_of_two(seed, both=0.2) for seed in range(30)]
    print(f"nothing planted, said of 100: less {nothing.count(-1)}, more {nothing.count(1)}")
    assert sum(v != 0 for v in nothing) <= 5
    assert planted.count(1) > 20 and planted.count(-1) == 0


def test_families_of_one_epoch(result):
    "Correlation, interval and p-value."
    now = result[result.epoch == 0]
    asked = now[now.basis != "pixel"]
    np.testing.assert_allclose(asked.p_holm, holm(asked.p))
    assert len(asked) == 6
    alone = now[now.basis == "pixel"]
    assert (alone.p_holm == alone.p).all()


def test_asked_by_pixel_only_all_are_one_family(trace, result):
    "Correlation, interval and p-value."
    # asked by pixel only, all are one family; changes are corrected like the numbers themselves
    by_pixel = error_correlation(trace, basis="pixel")
    for _, rows in by_pixel.groupby("epoch"):
        assert len(rows) == 5
        np.testing.assert_allclose(rows["p_holm"], holm(rows["p"]))
    asked = correlation_statistic(trace, ["elevation"], ("within", "between"))
    others = ["weather", "zone", "climate", "temperature"]
    by_sample = correlation_statistic(trace, others)
    changes = [estimate(s, over="epoch")["change_p"].xs(2, level="epoch") for s in (asked, by_sample)]
    now = result[(result["epoch"] == 2) & (result["basis"] != "pixel")]
    np.testing.assert_allclose(now["change_p_holm"], holm(pd.concat(changes)))
    assert result.query("epoch == 0")["change_p_holm"].isna().all()


def test_the_table(result, trace):
    "Correlation, interval and p-value."
    # the table: its columns and order, what each row rests on, and the epochs one asks for
    columns = "epoch main auxiliary basis r low high p p_holm band_low band_high change change_low "
    columns += "change_high change_p_holm n clusters effective missing note"
    assert list(result) == columns.split()
    asked = [("elevation", b) for b in bases]
    asked += [(t, "sample") for t in ("weather", "zone", "climate", "temperature")]
    order = list(zip(result["auxiliary"], result["basis"], result["epoch"], strict=True))
    assert order == [(*pair, epoch) for pair in asked for epoch in range(4)]
    assert (result["n"][result["basis"] == "pixel"] == 440 * 144).all()
    assert (result["n"][result["basis"] == "sample"] == 440).all()
    assert (result["clusters"] == 40).all() and (result["note"] == "").all()
    others = ["weather", "zone", "climate", "temperature"]
    statistic = correlation_statistic(trace, epochs=[3, 1])
    assert statistic.index.unique("epoch").tolist() == [3, 1]
    assert statistic.index.unique("basis").tolist() == ["sample"]
    assert statistic.index.unique("auxiliary").tolist() == ["elevation", *others]
    found = estimate(statistic)["value"]
    for (epoch, _, task), value in found.items():
        x, y = (trace["error"].sel(task=t, epoch=epoch).values for t in ("landcover", task))
        assert value == pytest.approx(np.corrcoef(x, y)[0, 1], rel=1e-5)
    narrow = error_correlation(trace, resampling=Resampling(level=0.5))
    assert (narrow["low"] > result["low"]).all()


def test_within_0_and_between_strong_and_opposite_signs():
    "Simpson's paradox."
    def found(within, between):
        t = trace_of_maps(*two_levels(within, between))
        return error_correlation(t).query("auxiliary == 'elevation'").set_index("basis")


    rows = found(0.0, 0.8)
    assert rows.r["pixel"] > 0.3
    assert rows.low["between"] > 0.6
    assert rows.low["within"] < 0 < rows.high["within"]
    assert rows.p_holm["within"] > 0.05
    rows = found(0.5, -0.8)
    assert rows.low["within"] > 0.4
    assert rows.high["between"] < -0.6
    assert rows.r["pixel"] < 0
    print(rows[["r", "low", "high", "p_holm"]].round(2).to_string())


def test_independent_samples_against_scipy():
    "Against somebody else's."
    t = planted_trace(n_samples=300, n_epochs=2, n_groups=30, clustering=0, sample_r=0.15)
    result = error_correlation(t, resampling=Resampling(cluster="sample"))
    ours = result.query("auxiliary == 'weather' and epoch == 1").iloc[0]
    x = t.error.sel(task="landcover", epoch=1).values.astype(float)
    y = t.error.sel(task="weather", epoch=1).values.astype(float)
    theirs = stats.pearsonr(x, y)
    ends = theirs.confidence_interval()
    print(f"ours  r = {ours.r:.4f}, 95 % {ours.low:.3f} to {ours.high:.3f}, p = {ours.p:.1e}")
    print(
        f"scipy r = {theirs.statistic:.4f}, 95 % {ends.low:.3f} to {ends.high:.3f}, "
        f"p = {theirs.pvalue:.1e}"
    )
    assert abs(ours.r - theirs.statistic) < 1e-12
    assert abs(ours.low - ends.low) < 0.02
    assert abs(ours.high - ends.high) < 0.02
    assert abs(np.log(ours.p / theirs.pvalue)) < 1


def test_pixelwise_against_scipy_on_all_pixels():
    "Against somebody else's."
    rng = np.random.default_rng(0)
    x = (rng.random((60, 8, 8)) < 0.3) * 1.0
    y = rng.gamma(2, 50, (60, 8, 8))
    x[3, 2] = np.nan
    y[5, :, 1] = np.nan
    y[7] = np.nan
    t = planted_trace(n_samples=60, n_epochs=1, n_groups=6, size=8)
    t["moments"] = t["moments"].dims, map_moments(x, y)[None, :, None]
    ok = np.isfinite(x) & np.isfinite(y)
    row = error_correlation(t).query("basis == 'pixel'").iloc[0]
    assert np.isclose(row.r, stats.pearsonr(x[ok], y[ok]).statistic, rtol=1e-12)
    assert row.n == ok.sum()
    assert row.missing == 1


def test_a_loop_that_leaves_out_groups(trace):
    "Against somebody else's."
    t = trace.isel(epoch=[2])
    x, y = (t.error.sel(task=k).values[0].astype(float) for k in ("landcover", "weather"))
    group = t.group.values
    left_out = [np.arctanh(np.corrcoef(x[group != g], y[group != g])[0, 1]) for g in range(40)]
    z = np.arctanh(np.corrcoef(x, y)[0, 1])
    se = np.sqrt(39 / 40 * ((np.array(left_out) - z) ** 2).sum())
    row = error_correlation(t).query("auxiliary == 'weather'").iloc[0]
    expected = np.tanh(z + stats.t.ppf([0.025, 0.975], 39) * se)
    np.testing.assert_allclose([row.low, row.high], expected)


def test_the_change_since_the_first_epoch_by_a_loop_and_as_a_difference(trace):
    "Against somebody else's."
    x, y = (trace.error.sel(task=k).values[[0, 2]].astype(float) for k in ("landcover", "weather"))
    group = trace.group.values


    def change(at):
        first, later = (np.corrcoef(a[at], b[at])[0, 1] for a, b in zip(x, y, strict=True))
        return later - first


    left_out = np.array([change(group != g) for g in range(40)])
    whole = change(group >= 0)
    se = np.sqrt(39 / 40 * ((left_out - whole) ** 2).sum())
    expected = whole + stats.t.ppf([0.025, 0.975], 39) * se
    row = error_correlation(trace).query("auxiliary == 'weather' and epoch == 2").iloc[0]
    np.testing.assert_allclose([row.change_low, row.change_high], expected)
    late, early = (
        correlation_statistic(trace.sel(epoch=[e]).assign_coords(epoch=[0]), ["weather"])
        for e in (2, 0)
    )
    direct = estimate(difference(late, early)).iloc[0]
    np.testing.assert_allclose([direct.low, direct.high], expected)


def test_a_steady_a_fading_and_three_absent_correlations(fading):
    "What it looks like."
    ax = plot_error_correlation(error_correlation(fading))
    assert len(ax.lines) == 8
    assert len(ax.collections) == 6


def test_lines_and_bands_at_their_numbers_and_what_each_line_is_called(fading):
    "What it looks like."
    table = error_correlation(fading)
    fig, own = plt.subplots()
    ax = plot_error_correlation(table, own)
    assert ax is own
    pairs = list(dict.fromkeys(zip(table["auxiliary"], table["basis"], strict=True)))
    words = dict(
        pixel="all pixels", within="within samples", between="between samples", sample="by sample"
    )
    assert [line.get_label() for line in ax.lines[:-1]] == [f"{t} ({words[b]})" for t, b in pairs]
    bands = iter(ax.collections)
    for line, (task, basis) in zip(ax.lines, pairs, strict=False):
        rows = table[(table["auxiliary"] == task) & (table["basis"] == basis)]
        np.testing.assert_array_equal(line.get_xydata(), rows[["epoch", "r"]])
        if basis != "pixel":
            edge = {tuple(v) for v in next(bands).get_paths()[0].vertices.round(9)}
            for end in ("band_low", "band_high"):
                assert set(zip(rows["epoch"], rows[end].round(9), strict=True)) <= edge
    assert ax.lines[-1].get_ydata() == [0, 0]
    assert ax.get_title() == "Errors of landcover and of each auxiliary task"
    mixed_up = plot_error_correlation(table.sample(frac=1, random_state=0))
    for line in mixed_up.lines[:-1]:
        assert line.get_xdata().tolist() == list(range(10))
    plt.close("all")


def test_what_fades_is_seen_to_fade_what_stays_is_not(fading):
    "What it looks like."
    rows = error_correlation(fading).query("epoch == 9").set_index(["auxiliary", "basis"])
    assert rows.change_high["weather", "sample"] < -0.3
    assert rows.change_p_holm["weather", "sample"] < 0.05
    assert rows.change_p_holm["elevation", "pixel"] > 0.05
    assert rows.change_p_holm["zone", "sample"] > 0.05


def test_independent_errors_with_spatial_structure():
    "What it looks like."
    unrelated = planted_trace(
        n_samples=440, n_groups=20, n_epochs=100, size=4, pixel_r=0, sample_r=0, clustering=0.6
    )
    by_block = error_correlation(unrelated).query("auxiliary == 'weather'")
    naive = error_correlation(unrelated, resampling=Resampling(cluster="sample")).query(
        "auxiliary == 'weather'"
    )
    fig, axs = plt.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
    both = {"samples pass for independent": naive, "clusters are blocks": by_block}
    for ax, (title, rows) in zip(axs, both.items(), strict=True):
        rows = rows[:40]
        wrong = (rows.p < 0.05).values
        for part, color, label in ((~wrong, grey, "holds zero"), (wrong, red, "false alarm")):
            ax.vlines(rows.epoch[part], rows.low[part], rows.high[part], color=color, label=label)
        ax.axhline(0, color="black", lw=0.8)
        ax.set(xlabel="world", title=title)
    axs[0].set_ylabel("error correlation r, 95 %")
    axs[0].legend(frameon=False, fontsize=8, loc="lower right")
    naive_alarms = (naive.p < 0.05).mean()
    block_alarms = (by_block.p < 0.05).mean()
    print(f"false alarms in 100 worlds: {naive_alarms:.0%} naive, {block_alarms:.0%} by block")
    assert naive_alarms > 0.12
    assert block_alarms < 0.11


def test_missing_labels_are_masked_pair_by_pair(trace):
    "Missing labels, subsets, and what cannot be computed."
    keep = np.arange(440) % 4 > 0
    gappy = trace.copy(deep=True)
    gappy["error"].loc[dict(task="weather")] = gappy["error"].sel(task="weather").where(keep)
    rows = error_correlation(gappy).query("epoch == 0").set_index("auxiliary")
    assert rows.missing.to_dict() == dict(elevation=0, weather=110, zone=0, climate=0, temperature=0)
    error = trace.error.isel(epoch=0).sel(task=["landcover", "weather"]).values[keep].astype(float)
    assert np.isclose(rows.r["weather"], np.corrcoef(*error.T)[0, 1])


def test_the_northern_half(trace):
    "Missing labels, subsets, and what cannot be computed."
    north = trace.isel(sample=(trace.lat > trace.lat.median()).values)
    by_sample = error_correlation(north).query("basis == 'sample'")
    assert (by_sample.n == north.sizes["sample"]).all()


def test_a_trace_that_stays_on_disk_gives_the_same(trace):
    "Missing labels, subsets, and what cannot be computed."
    with tempfile.TemporaryDirectory() as folder:
        trace.to_netcdf(f"{folder}/trace.nc")
        with xr.open_dataset(f"{folder}/trace.nc") as lazy:
            assert not lazy["moments"]._in_memory
            pd.testing.assert_frame_equal(
                error_correlation(lazy),
                error_correlation(trace),
            )
            assert not lazy["moments"]._in_memory


def test_what_cannot_be_computed_is_nan_with_a_reason(trace):
    "Missing labels, subsets, and what cannot be computed."
    odd = trace.copy(deep=True).isel(sample=slice(0, 44))
    odd["error"].loc[dict(task="zone")] = 1.0
    odd["error"].loc[dict(task="climate")] = np.nan
    rows = error_correlation(odd).query("epoch == 0").set_index("auxiliary")
    assert np.isnan(rows.r["zone"])
    assert rows.note["zone"] == "the errors of one task do not vary"
    assert rows.note["climate"] == "no sample has both labels"
    assert rows.n["climate"] == rows.clusters["climate"] == 0
    rows = error_correlation(trace.isel(sample=slice(0, 11)))
    one_cluster = rows.query("auxiliary == 'weather'").iloc[0]
    assert np.isfinite(one_cluster.r)
    assert np.isnan([one_cluster.low, one_cluster.p]).all()
    assert one_cluster.note == "1 clusters: no interval below three"
    rows = error_correlation(trace.isel(sample=[0]))
    single = rows.query("auxiliary == 'weather'").iloc[0]
    assert np.isnan(single.r)
    assert single.note == "only one value"
    lonely = trace.copy(deep=True).isel(epoch=[0])
    lonely["error"].loc[dict(task="zone")] = (np.arange(440) == 5) * 1.0
    row = error_correlation(lonely).query("auxiliary == 'zone'").iloc[0]
    assert np.isfinite(row.r)
    assert np.isnan(row.low)
    assert "too few clusters" in row.note


def test_the_reasons_one_by_one():
    "Missing labels, subsets, and what cannot be computed."
    row = dict(n=5, r=0.3, low=0.1, clusters=3)
    for odd, said in (
        (dict(), ""),
        (dict(n=0, r=np.nan), "no sample has both labels"),
        (dict(n=1, r=np.nan), "only one value"),
        (dict(n=2, r=np.nan), "the errors of one task do not vary"),
        (dict(clusters=2, low=np.nan), "2 clusters: no interval below three"),
        (dict(low=np.nan), "the errors vary in too few clusters for an interval"),
    ):
        assert _note(SimpleNamespace(**row | odd)) == said


def test_equal_errors_correlate_perfectly(trace):
    "Missing labels, subsets, and what cannot be computed."
    same = trace.copy(deep=True).isel(epoch=[0])
    same["error"].loc[dict(task="weather")] = same["error"].sel(task="landcover")
    same["error"].loc[dict(task="temperature")] = -same["error"].sel(task="landcover")
    rows = error_correlation(same).set_index("auxiliary")
    assert rows.r["weather"] > 0.999999
    assert rows.low["weather"] > 0.9999
    assert rows.p["weather"] == p_floor
    assert rows.r["temperature"] < -0.999999


def test_questions_that_cannot_be_asked(trace):
    "Missing labels, subsets, and what cannot be computed."
    with pytest.raises(
        ValueError, match="'roads' is no task of this trace; it has landcover, elevation"
    ):
        error_correlation(trace, main="roads")
    with pytest.raises(ValueError, match="one task only"):
        error_correlation(trace.sel(task=["landcover"]))
    with pytest.raises(ValueError, match="no variable 'anger'"):
        error_correlation(trace, measure="anger")
    with pytest.raises(ValueError, match="expected 'auto', 'pixel' or 'sample'"):
        error_correlation(trace, basis="pixels")
    with pytest.raises(ValueError, match="'landcover' and 'weather' are not both known by pixel"):
        correlation_statistic(trace, ["weather"], ("within",))
    with pytest.raises(ValueError, match="expected some of pixel, within, between, or sample"):
        correlation_statistic(trace, ["weather"], ("pixels",))
    with pytest.raises(ValueError, match="'sample' stands alone"):
        correlation_statistic(trace, ["elevation"], ("within", "sample"))
    with pytest.raises(ValueError, match="no samples of split 'train'"):
        error_correlation(trace, split="train")


def test_losses_all_by_sample_another_main_task(trace):
    "Missing labels, subsets, and what cannot be computed."
    rows = error_correlation(trace, measure="loss")
    assert set(rows.basis) == {"sample"}
    assert len(rows) == 20
    assert set(error_correlation(trace, basis="sample").basis) == {"sample"}
    assert set(error_correlation(trace, basis="pixel").basis) == {"pixel", "sample"}
    rows = error_correlation(trace, main="elevation")
    assert rows.query("auxiliary == 'landcover'").basis.isin(bases).all()
    assert set(rows.main) == {"elevation"}
    np.testing.assert_allclose(
        rows.query("auxiliary == 'landcover'").r,
        error_correlation(trace).query("auxiliary == 'elevation'").r,
    )


def test_the_same_answer_in_any_order_of_samples_and_for_the_same_seed(trace):
    "Missing labels, subsets, and what cannot be computed."
    shuffled = trace.isel(sample=np.random.default_rng(0).permutation(440))
    a = error_correlation(trace)
    b = error_correlation(shuffled)
    c = error_correlation(trace)
    np.testing.assert_allclose(a.r, b.r, rtol=1e-9)
    np.testing.assert_allclose(a.low, b.low, atol=0.05)
    pd.testing.assert_frame_equal(a, c)
