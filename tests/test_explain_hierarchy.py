"""Hierarchy

Written by nbdev-export from the check cells of nbs/api/explain/03_hierarchy.ipynb.
Do not edit: change the notebook, then `make export`.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from scipy import stats
from scipy.special import expit

from mtl_explain.data.samples import modalities
from mtl_explain.explain.hierarchy import (
    _columns, _predictions, _values, chance_given_truth, hierarchy_adherence, hierarchy_cases,
    hierarchy_statistic, plot_hierarchy_adherence,
)
from mtl_explain.explain.resampling import Resampling, estimate, holm
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


# labels at the last epoch: (2, samples), zone and climate
@pytest.fixture(scope='module')
def index(trace_and_mods):
    trace, mods = trace_and_mods
    return np.array(mods["climate"].parent_index)


@pytest.fixture(scope='module')
def predicted_and_true(trace_and_mods):
    trace, mods = trace_and_mods
    names = ["zone", "climate"]
    predicted = trace.predicted.sel(epoch=3, task=names).values.T.astype(int)
    true = trace.truth.sel(task=names).values.T.astype(int)
    return predicted, true


@pytest.fixture(scope='module')
def blocks(trace_and_mods):
    trace, mods = trace_and_mods
    return trace.group.values


@pytest.fixture(scope='module')
def two_heads(trace_and_mods, predicted_and_true, index):
    "What two heads give that share nothing but the truth."
    trace, mods = trace_and_mods
    predicted, true = predicted_and_true
    def two_heads(blind, seed=0):
        rng = np.random.default_rng(seed)
        t = trace.copy(deep=True).isel(epoch=[0])
        zone, climate = true
        if blind:
            common = np.array([1, 1, 1, 1, 1, 15, 15, 15, 1, 1, 1]) / 53
            child = rng.choice(11, 2200, p=common)
            parent = rng.choice(4, 2200, p=[0.05, 0.05, 0.85, 0.05])
        else:
            confused_with = np.roll(np.arange(11), 3)  # each class has one that it is taken for
            child, other = climate.copy(), climate.copy()
            for head in (child, other):
                wrong = rng.random(2200) < 0.5
                usual = rng.random(2200) < 0.7
                head[wrong] = rng.integers(0, 11, wrong.sum())
                head[wrong & usual] = confused_with[climate[wrong & usual]]
            parent = index[other]
        for task, v in dict(climate=child, zone=parent).items():
            t["predicted"].loc[dict(task=task)] = v
        return t
    return two_heads


@pytest.fixture(scope='module')
def fig_and_last(result):
    "The figure of both epochs."
    fig = plot_hierarchy_adherence(result)
    last = fig.axes[-1]
    return fig, last


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


def test_four_samples_by_hand_and_one_that_is_alone_in_its_class():
    "What chance would give, given the truth."
    index = np.array([0, 0, 1, 1, 2, 2, 3])
    parent = np.array([1, 1, 2, 2])
    child = np.array([2, 3, 4, 2])
    m, within, chance = chance_given_truth(np.zeros(4, int), parent, child, np.full(4, 3), index)
    assert m.tolist() == [0, 4]
    assert within[1] == 3 / 4
    assert np.isclose(chance[1], 5 / 12)
    more = [
        np.r_[v, w] for v, w in ((np.zeros(4, int), 1), (parent, 1), (child, 2), (np.full(4, 3), 3))
    ]
    m, within, again = chance_given_truth(*more, index)
    assert m.tolist() == [0, 4]
    assert np.isclose(again[1], 5 / 12)
    single = [
        np.r_[v, w] for v, w in ((np.zeros(4, int), 0), (parent, 3), (child, 6), (np.full(4, 3), 3))
    ]
    m, within, chance = chance_given_truth(*single, index)
    assert m.tolist() == [0, 4]  # a predicted parent with a single child is not asked about
    assert np.isclose(chance[1], (2 / 4 + 2 / 4 + 0 / 4 + 1 / 4) / 4)


def test_the_closed_form_against_shuffles_within_the_true_class():
    "What chance would give, given the truth."
    rng = np.random.default_rng(1)
    index = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    n = 200
    parent = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    agrees = rng.random(n) < 0.2
    child = np.where(agrees, 3 * parent, rng.choice(8, n)) + 1
    group = np.where(parent == 0, 1, 3)
    m, within, chance = chance_given_truth(np.zeros(n, int), parent, child, group, index)
    shuffled = np.zeros((2000, 2))
    for row in shuffled:
        met = index[rng.permutation(child)] == parent
        row[:] = met[group == 1].mean(), met[group == 3].mean()
    np.testing.assert_allclose(shuffled.mean(0), ((n - 1) * chance + within) / n, atol=0.005)


def test_pair_by_pair_for_both_groups():
    "What chance would give, given the truth."
    rng = np.random.default_rng(2)
    index = np.array([0, 0, 1, 1, 1, 2, 3, 3])
    true_child = rng.choice(8, 60, p=[0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.09, 0.01])
    true_parent = index[true_child]
    child = rng.integers(0, 8, 60)
    parent = np.where(rng.random(60) < 0.4, true_parent, rng.integers(0, 4, 60))
    group, inside = hierarchy_cases(
        np.stack([true_parent, true_child]), np.stack([parent, child]), index
    )
    m, within, chance = chance_given_truth(true_child, parent, child, group, index)
    for k, g in enumerate((1, 3)):
        shares = []
        own = []
        for i in range(60):
            others = [j for j in range(60) if j != i and true_child[j] == true_child[i]]
            others = [j for j in others if child[j] != true_child[j]]
            if group[i] == g and parent[i] != 2 and others:  # zone 2 has a single child
                shares.append(np.mean([index[child[j]] == parent[i] for j in others]))
                own.append(inside[i])
        assert (m[k], within[k]) == (len(own), np.mean(own))
        assert chance[k] == pytest.approx(np.mean(shares))


def test_exactly_the_planted_share(result):
    "The table."
    first = result[result.epoch == 0].set_index("case")
    assert first["count"].tolist() == [220, 231, 99, 330, 924, 396]
    assert first.index.tolist() == list(case_colors)
    free = ["CF-in", "FF-in"]
    assert first.within.drop([*free, "CF-out", "FF-out"]).tolist() == [1, 1]
    assert np.allclose(first.within[free], 0.7, atol=0.06)
    assert (first.n[free] == first.asked[free] + first.single[free] + first.alone[free]).all()
    assert first.excess_low["FF-in"] > 0.2
    assert first.p_holm["FF-in"] < 0.005
    assert first[["low", "chance"]].loc[["CC-in", "FC-out"]].isna().all(axis=None)
    assert np.isclose(first.share.sum(), 1)
    assert np.isclose(first.chance["FF-in"] + first.chance["FF-out"], 1)


def test_the_columns_holms_correction_within_an_epoch_and_the_six_rows_of_each(result, trace_and_mods):
    "The table."
    trace, mods = trace_and_mods
    assert list(result) == list(_columns)
    assert result["epoch"].tolist() == [0] * 6 + [3] * 6
    assert result.attrs == dict(parent="zone", child="climate")
    for _, rows in result.groupby("epoch"):
        np.testing.assert_allclose(rows["p_holm"], holm(rows["p"]))
        assert rows["p"].notna().sum() == 2
        for group in ("CF", "FF"):
            inner, outer = (rows.set_index("case").loc[f"{group}-{c}"] for c in ("in", "out"))
            assert inner.low < inner.within < inner.high
            ends = (1 - inner.high, 1 - inner.within, 1 - inner.low)
            assert (outer.low, outer.within, outer.high) == pytest.approx(ends)
            assert inner.excess_low < inner.excess < inner.excess_high
    narrow = hierarchy_adherence(trace, mods, "climate", resampling=Resampling(level=0.5))
    at = result["case"].isin(["CF-in", "FF-in"])
    assert (narrow["low"] > result["low"])[at].all()
    single = hierarchy_adherence(trace, mods, "climate", resampling=Resampling(cluster="sample"))
    assert (single["clusters"] == single["n"])[at].all()


def test_the_excess_and_its_error_pair_by_pair(blocks, trace_and_mods, predicted_and_true, index):
    "The table."
    trace, mods = trace_and_mods
    predicted, true = predicted_and_true


    def excess_of_ff(rest):
        (parent, child), (zone, climate) = predicted[:, rest], true[:, rest]
        wrong = child != climate
        same_class = (climate[:, None] == climate) & wrong & ~np.eye(len(climate), dtype=bool)
        agree = index[child] == parent[:, None]  # parent of a row, child of a column
        ff = wrong & (parent != zone) & (np.bincount(index)[parent] > 1) & same_class.any(1)
        chance = (agree & same_class)[ff].sum(1) / same_class[ff].sum(1)
        return np.mean((index[child] == parent)[ff] - chance)


    whole = excess_of_ff(blocks >= 0)
    left_out = np.array([excess_of_ff(blocks != g) for g in range(50)])
    se = np.sqrt(49 / 50 * ((left_out - whole) ** 2).sum())
    row = hierarchy_adherence(trace, mods, "climate", epochs=[3]).set_index("case").loc["FF-in"]
    assert np.isclose(row.excess, whole)
    assert np.isclose(row.excess_high - row.excess, stats.t.ppf(0.975, row.effective - 1) * se)


def test_the_share_within_and_the_numbers_of_each_case_by_hand(predicted_and_true, index, trace_and_mods, blocks):
    "The table."
    predicted, true = predicted_and_true
    trace, mods = trace_and_mods
    zone, climate = true
    parent, child = predicted
    ff = (child != climate) & (parent != zone)
    inside_ff = index[child] == parent


    def logit_within(rest):
        "Logit of the share of FF that lies in the predicted parent."
        share = inside_ff[ff & rest].mean()
        return np.log(share / (1 - share))


    row = hierarchy_adherence(trace, mods, "climate", epochs=[3]).set_index("case").loc["FF-in"]
    assert (row.n, row.asked, row.single, row.alone) == (ff.sum(), ff.sum(), 0, 0)
    assert row.within == pytest.approx(inside_ff[ff].mean())
    assert row["count"] == (ff & inside_ff).sum()
    assert row.share == pytest.approx((ff & inside_ff).mean())
    by_block = np.bincount(blocks[ff])
    assert row.clusters == (by_block > 0).sum()
    assert row.effective == pytest.approx(by_block.sum() ** 2 / (by_block**2).sum())
    whole = logit_within(blocks >= 0)
    moves = np.array([logit_within(blocks != g) for g in range(50)]) - whole
    reach = stats.t.ppf(0.975, row.effective - 1) * np.sqrt(49 / 50 * (moves**2).sum())
    assert [row.low, row.high] == pytest.approx(expit(whole + np.array([-reach, reach])).tolist())
    assert row.kappa == pytest.approx(row.excess / (1 - row.chance))
    assert row.excess == pytest.approx(row.within - row.chance)


def test_the_statistic_has_five_values_of_two_groups_at_each_epoch(trace_and_mods):
    "The table."
    trace, mods = trace_and_mods
    statistic = hierarchy_statistic(trace, mods, "climate")
    assert statistic.index.names == ["epoch", "value", "group"]
    assert statistic.index.unique("epoch").tolist() == [0, 3]
    assert statistic.index.unique("value").tolist() == list(_values)
    assert statistic.index.unique("group").tolist() == ["CF", "FF"]
    of_value = dict(zip(statistic.index.get_level_values("value"), statistic.scale, strict=True))
    assert of_value == dict.fromkeys(_values, "natural") | dict(within="share")
    found = estimate(statistic)
    for epoch in (0, 3):
        rows = hierarchy_adherence(trace, mods, "climate", epochs=epoch).set_index("case")
        assert set(rows["epoch"]) == {epoch}
        for group in ("CF", "FF"):
            values = found["value"].loc[epoch].unstack("group")[group]
            case = rows.loc[f"{group}-in"]
            expected = case[["asked", "within", "chance", "excess", "kappa"]].astype(float)
            assert values[list(_values)].tolist() == pytest.approx(expected.tolist())
            assert (found["n"].loc[epoch].unstack("group")[group] == case.n).all()
    assert hierarchy_statistic(trace, mods, "climate", "zone", [2]).index.unique("epoch") == [2]
    assert hierarchy_statistic(trace.isel(epoch=[1]), mods, "climate").index.unique("epoch") == [1]


def test_counts_of_what_cannot_be_asked_in_ten_samples_by_hand(trace_and_mods):
    "The table."
    trace, mods = trace_and_mods
    few = trace.isel(epoch=[0], sample=slice(0, 10)).copy(deep=True)
    few["truth"].loc[dict(task="climate")] = [0, 0, 0, 0, 0, 3, 3, 5, 8, 8]
    few["truth"].loc[dict(task="zone")] = [0, 0, 0, 0, 0, 1, 1, 2, 3, 3]
    few["predicted"].loc[dict(task="climate")] = [[0, 0, 1, 3, 5, 3, 0, 6, 5, 9]]
    few["predicted"].loc[dict(task="zone")] = [[0, 1, 0, 0, 2, 1, 0, 2, 1, 3]]
    rows = hierarchy_adherence(few, mods, "climate").set_index("case")
    assert rows["count"].to_dict() == {
        "CC-in": 2,
        "CF-in": 3,
        "CF-out": 1,
        "FC-out": 1,
        "FF-in": 2,
        "FF-out": 1,
    }
    assert rows["n"].tolist() == [2, 4, 4, 1, 3, 3]
    cf, ff = rows.loc["CF-in"], rows.loc["FF-in"]
    assert (cf.asked, cf.single, cf.alone) == (3, 0, 1)  # the fifth climate has one wrong child
    assert (ff.asked, ff.single, ff.alone) == (2, 0, 1)  # so has the third
    assert (cf.within, ff.within) == (2 / 3, 1 / 2)
    # wrong children of class 0 lie in 0, 1, 2; of class 8 in 2, 3
    assert cf.chance == pytest.approx((0 + 1 / 2 + 0) / 3)
    assert ff.chance == pytest.approx((0 + 0) / 2)
    for group in ("CF", "FF"):
        inner, outer = rows.loc[f"{group}-in"], rows.loc[f"{group}-out"]
        assert (outer.within, outer.chance) == (1 - inner.within, 1 - inner.chance)
        assert (outer.low, outer.high) == pytest.approx((1 - inner.high, 1 - inner.low), nan_ok=True)
        assert outer[["excess", "p", "p_holm", "kappa"]].isna().all()
    lonely = dict(
        mods, climate=replace(mods["climate"], parent_index=(0, 0, 0, 1, 2, 2, 2, 2, 3, 3, 3))
    )
    few["truth"].loc[dict(task="zone")] = [0, 0, 0, 0, 0, 1, 1, 2, 3, 3]
    rows = hierarchy_adherence(few, lonely, "climate").set_index("case")
    assert rows["single"].dropna().tolist() == [0, 0, 1, 1]  # zone 1 is left with one child
    assert rows["alone"].dropna().tolist() == [1, 1, 1, 1]


def test_frequent_classes_and_knowledge_of_the_truth_look_like_knowledge_of_the(two_heads, trace_and_mods):
    "The table."
    # frequent classes and knowledge of the truth look like knowledge of the hierarchy
    trace, mods = trace_and_mods
    shown = ["within", "low", "high", "chance", "excess", "excess_low", "excess_high", "p_holm"]
    for blind in (True, False):
        rows = hierarchy_adherence(two_heads(blind), mods, "climate").set_index("case")
        rows = rows.loc[["CF-in", "FF-in"]]
        print(rows[shown].round(3).to_string())
        assert rows.within["FF-in"] > 0.55
        assert (rows.p_holm > 0.05).all()
        assert (rows.kappa < 0.1).all()


def test_false_alarms_where_two_heads_share_the_truth_only(two_heads, trace_and_mods):
    "The table."
    trace, mods = trace_and_mods
    found = [
        hierarchy_adherence(two_heads(False, seed), mods, "climate").set_index("case")
        for seed in range(200)
    ]
    alarms = np.mean([(f.p_holm < 0.05).any() for f in found])
    print(f"false alarms of a reading: {alarms:.1%}")
    assert alarms < 0.09


def test_pies_and_chance(fig_and_last, result):
    "The table."
    fig, last = fig_and_last
    assert len(fig.axes) == 3
    assert len(fig.axes[0].patches) == 6
    free = result[result["case"].isin(["CF-in", "FF-in"])].sort_values(["case", "epoch"])
    assert np.allclose([bar.get_height() for bar in last.patches], free.within)
    interval, chance = ([line[:, 1] for line in c.get_segments()] for c in last.collections)
    excess = free[["excess_low", "excess_high"]].values
    assert np.allclose(interval, free.chance.values[:, None] + excess)
    assert np.allclose(chance, free.chance.values[:, None])


def test_a_wedge_for_each_case_as_large_as_its_share_hatched_where_it_is_out(fig_and_last, result):
    "The table."
    fig, last = fig_and_last
    for ax, epoch in zip(fig.axes[:2], (0, 3), strict=True):
        rows = result[result["epoch"] == epoch]
        angles = [w.theta2 - w.theta1 for w in ax.patches]
        np.testing.assert_allclose(angles, 360 * rows["share"], rtol=1e-4)
        assert [to_hex(w.get_facecolor()) for w in ax.patches] == [
            to_hex(case_colors[c]) for c in rows["case"]
        ]
        assert [bool(w.get_hatch()) for w in ax.patches] == rows["case"].str.endswith("out").tolist()
        assert ax.get_title() == f"epoch {epoch}"
    said = [t.get_text() for t in fig.axes[0].get_legend().get_texts()]
    assert said[:3] == ["CC-in 220 (10%)", "CF-in 231 (10%)", "CF-out 99 (4%)"]
    assert fig.get_suptitle() == "zone (first letter) and climate (second)"
    assert [t.get_text() for t in last.get_xticklabels()] == [
        f"{g}\nepoch {e}" for g in ("CF", "FF") for e in (0, 3)
    ]
    centres = [bar.get_x() + bar.get_width() / 2 for bar in last.patches]
    np.testing.assert_allclose(centres, range(4))
    assert last.get_ylim()[0] == 0 and last.get_ylim()[1] >= 1
    assert last.get_yticks().tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])


def test_a_case_that_did_not_occur_has_no_wedge(result):
    "The table."
    part = plot_hierarchy_adherence(result[result["epoch"] == 0].assign(count=[5, 0, 0, 3, 2, 0]))
    assert [to_hex(w.get_facecolor()) for w in part.axes[0].patches] == [
        to_hex(case_colors[c]) for c in ("CC-in", "FC-out", "FF-in")
    ]
    np.testing.assert_allclose(
        [w.theta2 - w.theta1 for w in part.axes[0].patches], [180, 108, 72], rtol=1e-4
    )
    plt.close(part)


def test_missing_labels_no_labels_nothing_wrong_wrong_kind(trace_and_mods):
    "The table."
    trace, mods = trace_and_mods
    gappy = trace.copy(deep=True)
    kept = np.arange(2200) % 10 > 0
    for name in ("truth", "predicted"):
        gappy[name].loc[dict(task="zone")] = gappy[name].sel(task="zone").where(kept)
    rows = hierarchy_adherence(gappy, mods, "climate")
    assert (rows.missing == 220).all()
    assert rows[rows.epoch == 0]["count"].sum() == 1980
    gappy["truth"].loc[dict(task="zone")] = np.nan
    with pytest.raises(ValueError, match="no sample has both labels"):
        hierarchy_adherence(gappy, mods, "climate")
    perfect = trace.copy(deep=True).isel(epoch=[0])
    for t in ("zone", "climate"):
        perfect["predicted"].loc[dict(task=t)] = perfect["truth"].sel(task=t)
    rows = hierarchy_adherence(perfect, mods, "climate").set_index("case")
    assert rows["count"]["CC-in"] == 2200
    assert rows.within[["CF-in", "FF-in"]].isna().all()
    assert rows.p.isna().all()
    assert len(plot_hierarchy_adherence(rows.reset_index()).axes) == 2
    plt.close()
    with pytest.raises(ValueError, match="'zone' is no task of this trace"):
        hierarchy_adherence(trace.sel(task=["climate", "landcover"]), mods, "climate")


def test_where_everything_agrees_whatever_one_deals_nothing_is_left_to_be(trace_and_mods):
    "The table."
    # where everything agrees whatever one deals, nothing is left to be better than
    trace, mods = trace_and_mods
    same = trace.isel(epoch=[0], sample=slice(0, 6)).copy(deep=True)
    for task, true_class, said in (("climate", 0, 5), ("zone", 0, 2)):
        same["truth"].loc[dict(task=task)] = true_class
        same["predicted"].loc[dict(task=task)] = said
    row = hierarchy_adherence(same, mods, "climate").set_index("case").loc["FF-in"]
    assert (row.within, row.chance, row.excess) == (1, 1, 0)
    assert np.isnan(row.kappa)
    with pytest.raises(ValueError, match="'elevation' is of kind image; a hierarchy needs tasks with"):
        _predictions(trace, ("elevation",), np.arange(3))
