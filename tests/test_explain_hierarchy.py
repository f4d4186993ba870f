"""Hierarchy

Written by nbdev-export from the check cells of nbs/api/explain/03_hierarchy.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from mtl_explain.data.samples import modalities
from mtl_explain.explain.hierarchy import (
    agreements_by_chance, chance_inside, hierarchy_adherence, hierarchy_cases, plot_hierarchy_adherence,
)
from mtl_explain.explain.resampling import Bootstrap
from mtl_explain.palette import case_colors
from mtl_explain.testing.planted import planted_world
from mtl_explain.trace import group_names


@pytest.fixture(scope='module')
def trace_and_mods():
    "Labels that respect the hierarchy in 70 % of the free cases."
    world = planted_world(n_samples=2200, n_groups=50, n_epochs=4, size=4, inside=0.7)
    trace = world.trace
    mods = modalities(world.samples)
    return trace, mods


@pytest.fixture(scope='module')
def result(trace_and_mods):
    "The table at the first and the last epoch."
    trace, mods = trace_and_mods
    return hierarchy_adherence(trace, mods, "climate")


def test_six_samples_one_of_each_case():
    "In or out."
    index = np.array([0, 0, 0, 1, 1, 2])
    true = np.array([[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]])
    predicted = np.array([[0, 0, 0, 1, 1, 1], [0, 1, 3, 0, 4, 5]])
    group, inside = hierarchy_cases(true, predicted, index)
    cases = [f"{group_names[g]}-{'in' if i else 'out'}" for g, i in zip(group, inside, strict=True)]
    assert cases == ["CC-in", "CF-in", "CF-out", "FC-out", "FF-in", "FF-out"]
    broken = true + np.array([[0, 0, 0, 0, 0, 0], [3, 3, 0, 0, 0, 0]])
    with pytest.raises(ValueError, match="leaves the hierarchy in 2 of 6"):
        hierarchy_cases(broken, predicted, index)


def test_every_world_of_three_parents_and_six_children_obeys_the_theorem():
    "In or out."
    rng = np.random.default_rng(0)
    child = rng.integers(0, 6, 20_000)
    parent_of = np.array([0, 0, 0, 1, 1, 2])
    group, inside = hierarchy_cases(
        np.stack([parent_of[child], child]),
        np.stack([rng.integers(0, 3, 20_000), rng.integers(0, 6, 20_000)]),
        parent_of,
    )
    met = {(group_names[g], bool(i)) for g, i in zip(group, inside, strict=True)}
    assert met == {("CC", 1), ("CF", 1), ("CF", 0), ("FC", 0), ("FF", 1), ("FF", 0)}


def test_tables_that_their_margins_determine_tables_with_empty_classes_and():
    "What chance would give."
    # tables that their margins determine, tables with empty classes, and permutations of them
    assert (agreements_by_chance(np.array([5]), np.array([5]), 100) == 5).all()
    assert (agreements_by_chance(np.array([0, 5]), np.array([0, 5]), 100) == 5).all()
    assert (agreements_by_chance(np.array([5, 0]), np.array([3, 2]), 100) == 3).all()
    assert (agreements_by_chance(np.array([0, 0, 3]), np.array([1, 1, 1]), 100) == 1).all()
    assert (agreements_by_chance(np.array([0, 4]), np.array([4, 0]), 100) == 0).all()
    for case in range(60):
        rng = np.random.default_rng(case)
        k = rng.integers(1, 6)
        m = rng.integers(1, 400)
        x, y = (rng.choice(k, m, p=rng.dirichlet(np.full(k, 0.4))) for _ in range(2))
        a, b = (np.bincount(v, minlength=k) for v in (x, y))
        drawn = agreements_by_chance(a, b, 400, case)
        permuted = np.array([(rng.permutation(x) == y).sum() for _ in range(400)])
        assert drawn.min() >= 0
        assert drawn.max() <= m
        spread = (drawn.std() + permuted.std() + 1e-9) / 20
        assert abs(drawn.mean() - permuted.mean()) <= 5 * spread, case


def test_four_samples_by_hand():
    "What chance would give."
    parent = np.array([0, 0, 1, 1])
    child_parent = np.array([0, 0, 0, 1])
    mean, low, high, p = chance_inside(parent, child_parent, 4000)
    assert mean == (2 * 3 + 2 * 1) / 16
    assert {low, high} == {0.25, 0.75}
    assert abs(p - 0.5) < 0.03  # the lone 1 meets one of two 1s: half of all permutations


def test_always_the_same_parent():
    "What chance would give."
    # always the same parent: chance gives just what was seen, and no share leaves 0 to 1
    mean, low, high, p = chance_inside(np.full(30, 2), np.array([2] * 20 + [1] * 10))
    assert (mean, low, high, p) == pytest.approx((20 / 30, 20 / 30, 20 / 30, 1))
    assert chance_inside(np.zeros(7, int), np.zeros(7, int)) == (1, 1, 1, 1)


def test_random_tables_against_permutations():
    "What chance would give."
    rng = np.random.default_rng(1)
    parent = rng.choice(4, 300, p=[0.6, 0.2, 0.1, 0.1])
    child_parent = np.where(rng.random(300) < 0.1, parent, rng.choice(4, 300, p=[0.5, 0.3, 0.1, 0.1]))
    mean, low, high, p = chance_inside(parent, child_parent, 4000)
    permuted = np.array([(rng.permutation(parent) == child_parent).mean() for _ in range(4000)])
    assert abs(permuted.mean() - mean) < 0.003
    np.testing.assert_allclose([low, high], np.quantile(permuted, [0.025, 0.975]), atol=0.008)
    assert abs(p - (permuted >= (parent == child_parent).mean()).mean()) < 0.03


def test_exactly_the_planted_share(result):
    "The table."
    first = result[result.epoch == 0].set_index("case")
    assert first["count"].tolist() == [220, 231, 99, 330, 924, 396]
    assert first.index.tolist() == list(case_colors)
    assert first.within.round(9).tolist() == [1, 0.7, 0.3, 1, 0.7, 0.3]
    free = ["CF-in", "FF-in"]
    assert (first.low[free] > first.chance_high[free]).all()
    assert (first.p[free] < 0.002).all()
    assert first[["low", "chance"]].loc[["CC-in", "FC-out"]].isna().all(axis=None)
    assert np.isclose(first.share.sum(), 1)


def test_kappa_against_sklearn(trace_and_mods):
    "The table."
    trace, mods = trace_and_mods
    predicted = trace.predicted.sel(epoch=3)
    zone, climate = (predicted.sel(task=t).values.astype(int) for t in ("zone", "climate"))
    ff = (trace.correct.sel(epoch=3, task=["zone", "climate"]) == 0).all("task").values
    index = np.array(mods["climate"].parent_index)
    row = hierarchy_adherence(trace, mods, "climate", epochs=[3]).set_index("case").loc["FF-in"]
    assert np.isclose(row.kappa, cohen_kappa_score(zone[ff], index[climate[ff]]))
    assert row.n == ff.sum()


def test_frequent_classes_look_like_knowledge_of_the_hierarchy(trace_and_mods):
    "The table."
    trace, mods = trace_and_mods
    rng = np.random.default_rng(0)
    blind = trace.copy(deep=True).isel(epoch=[0])
    common = np.array([1, 1, 1, 1, 1, 15, 15, 15, 1, 1, 1]) / 53
    climate = rng.choice(11, 2200, p=common)
    zone = rng.choice(4, 2200, p=[0.05, 0.05, 0.85, 0.05])
    for t, v in dict(climate=climate, zone=zone).items():
        blind["predicted"].loc[dict(task=t)] = v
    rows = hierarchy_adherence(blind, mods, "climate").set_index("case").loc[["CF-in", "FF-in"]]
    shown = ["within", "low", "high", "chance", "chance_low", "chance_high", "p", "kappa"]
    print(rows[shown].round(3).to_string())
    assert (rows.within > 0.6).all()
    assert (rows.p > 0.05).all()
    assert (rows.kappa < 0.03).all()


def test_pies_and_chance(result):
    "The table."
    fig = plot_hierarchy_adherence(result)
    assert len(fig.axes) == 3
    assert len(fig.axes[0].patches) == 6


def test_missing_labels_no_labels_nothing_wrong_wrong_kind(trace_and_mods):
    "The table."
    trace, mods = trace_and_mods
    gappy = trace.copy(deep=True)
    kept = np.arange(2200) % 10 > 0
    for name in ("truth", "predicted"):
        gappy[name].loc[dict(task="zone")] = gappy[name].sel(task="zone").where(kept)
    rows = hierarchy_adherence(gappy, mods, "climate", bootstrap=Bootstrap(n=100))
    assert (rows.missing == 220).all()
    assert rows[rows.epoch == 0]["count"].sum() == 1980
    gappy["truth"].loc[dict(task="zone")] = np.nan
    with pytest.raises(ValueError, match="no sample has both labels"):
        hierarchy_adherence(gappy, mods, "climate")
    perfect = trace.copy(deep=True).isel(epoch=[0])
    for t in ("zone", "climate"):
        perfect["predicted"].loc[dict(task=t)] = perfect["truth"].sel(task=t)
    rows = hierarchy_adherence(perfect, mods, "climate", bootstrap=Bootstrap(n=100)).set_index("case")
    assert rows["count"]["CC-in"] == 2200
    assert rows.within[["CF-in", "FF-in"]].isna().all()
    assert rows.p.isna().all()
    assert len(plot_hierarchy_adherence(rows.reset_index()).axes) == 2
    plt.close()
    with pytest.raises(ValueError, match="'zone' is no task of this trace"):
        hierarchy_adherence(trace.sel(task=["climate", "landcover"]), mods, "climate")
