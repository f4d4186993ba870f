"""A leaderboard of flags

Written by nbdev-export from the check cells of nbs/api/trust/06_flags.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mtl_explain.explain.resampling import jackknife
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.trust.flags import (
    ClassTable, _planted_signals, auxiliary_table, class_table, compare_predictions, compare_signals,
    cross_fitted_flag, planted_flags, plot_flags, read_flags, repaired, signal_statistic, with_combination,
)


@pytest.fixture(scope='module')
def labels_values_and_counted():
    g = np.random.default_rng(2)
    labels = g.integers(0, 3, 30_000)
    values = labels + g.normal(size=30_000)
    counted = class_table(labels, values, 3, numbers=True)
    return labels, values, counted


@pytest.fixture(scope='module')
def told_and_untold():
    def planted_leaderboard(**world):
        "Signals of a planted world beside its confidence."
        evidence, wrong, groups, *_ = planted_flags(**world)
        whole = with_combination(_planted_signals(evidence), wrong, groups)
        return compare_signals(whole, wrong, groups).set_index(["name", "score"])
    told = planted_leaderboard()
    untold = planted_leaderboard(spoilt=0.0, sharpness=2.0)
    return told, untold


def test_against_scikit_learn_with_ties():
    "The score of a signal."
    # against scikit-learn, with ties; and errors as shares are those of all pixels
    rng = np.random.default_rng(0)
    signal = rng.normal(size=300).round(1)
    wrong = (rng.random(300) < 1 / (1 + np.exp(-signal))).astype(float)
    groups = np.arange(300) // 10
    found = jackknife(signal_statistic(signal, wrong, groups)).value
    assert found[0] == pytest.approx(roc_auc_score(wrong, signal))
    assert found[2] == pytest.approx(wrong.mean())
    pixels = rng.random((300, 8)) < wrong[:, None]
    each = np.repeat(signal[:, None], 8, 1)
    shares = jackknife(signal_statistic(signal, pixels.mean(1), groups)).value
    whole = jackknife(signal_statistic(each, pixels, groups)).value
    np.testing.assert_allclose(shares[[0, 2]], whole[[0, 2]])
    assert shares[1] == pytest.approx(whole[1], abs=2e-3)  # steps of a sample, steps of a pixel
    assert shares[0] == pytest.approx(roc_auc_score(pixels.ravel(), each.ravel()))


def test_the_logit_of_an_error_is_found_again():
    "A combination."
    # the logit of an error is found again; a block is judged by others
    rng = np.random.default_rng(1)
    n = 4000
    blocks = np.arange(n) // 50
    x = rng.normal(size=n)
    z = rng.integers(0, 3, n)
    chance = 1 / (1 + np.exp(-(2 * x - 1 + z)))
    failed = (rng.random(n) < chance).astype(float)
    told = cross_fitted_flag(pd.DataFrame({"x": x, "class z": z}), failed, blocks)
    assert np.corrcoef(told, chance)[0, 1] > 0.98
    alone = cross_fitted_flag(pd.DataFrame(dict(x=rng.normal(size=n))), failed, blocks)
    assert abs(roc_auc_score(failed, alone) - 0.5) < 0.04
    by_share = cross_fitted_flag(pd.DataFrame({"x": x, "class z": z}), chance, blocks)
    assert np.corrcoef(by_share, chance)[0, 1] > 0.99
    assert (cross_fitted_flag(pd.DataFrame(dict(x=x)), np.zeros(n), blocks) == 0).all()
    with pytest.raises(ValueError, match="2 blocks: a flag cannot be learnt"):
        cross_fitted_flag(pd.DataFrame(dict(x=x)), failed, np.arange(n) % 2)


def test_a_row_per_sample_whatever_the_kind():
    "Those who read the truth without predicting it."
    toy = toy_samples(24)
    table = auxiliary_table(toy, ["zone", "cover", "elevation", "months", "warmth"])
    assert len(table) == 24
    assert [c for c in table if c.startswith("class")] == ["class zone", "class cover"]
    np.testing.assert_allclose(table["warmth temperature"], toy.warmth.values[:, 0])
    spread = toy.months.values.astype(float).std((1, 2))
    np.testing.assert_allclose(table["months temperature spread"], spread)
    assert table.notna().all(axis=None)


def test_by_hand(labels_values_and_counted):
    "Those who read the truth without predicting it."
    # by hand: 0.6 x 0.1 against 0.4 x 0.9
    labels, values, counted = labels_values_and_counted
    known = ClassTable(np.empty(0), np.array([[0.9, 0.1], [0.1, 0.9]]) / 0.5)
    p = np.array([[0.6, 0.4]] * 3)
    np.testing.assert_allclose(repaired(p[:1], [known.factor([1])]), [[1 / 7, 6 / 7]])
    np.testing.assert_allclose(repaired(p, [known.factor([0, np.nan, -1])])[1:], p[1:])
    masks = repaired(np.full((1, 2, 3, 3), 0.5), [known.factor([1])])
    np.testing.assert_allclose(masks[0, 1], 0.9)
    # counted in samples of a known world: 8 equally frequent classes of a number
    at = np.searchsorted(counted.edges, values)
    theirs = np.array([[np.mean(at[labels == k] == a) for a in range(8)] for k in range(3)])
    np.testing.assert_allclose(counted.chance, theirs * 8, rtol=0.01)
    halves = class_table(np.array([[0, 1], [0, 0]]), np.array([0, 1]), 2)
    np.testing.assert_allclose(halves.chance, [[0.8, 1.2], [4 / 3, 2 / 3]])


def test_where_the_auxiliary_is_independent_of_the_image_given_the_class_repair(labels_values_and_counted):
    "Those who read the truth without predicting it."
    # where the auxiliary is independent of the image given the class, repair is as good as can be
    labels, values, counted = labels_values_and_counted
    rng = np.random.default_rng(3)
    seen = labels[:, None] == np.arange(3)
    evidence = 1.0 * seen + rng.normal(size=(30_000, 3))
    p = np.exp(evidence) / np.exp(evidence).sum(1, keepdims=True)
    best = p * np.exp(-0.5 * (values[:, None] - np.arange(3)) ** 2)
    after = repaired(p, [counted.factor(values)])
    right = {n: (q.argmax(1) == labels).mean() for n, q in dict(p=p, r=after, b=best).items()}
    print({n: round(float(v), 3) for n, v in right.items()})
    assert right["p"] + 0.05 < right["r"]
    assert right["b"] - 0.01 < right["r"] <= right["b"] + 0.002


def test_spoilt_inputs(told_and_untold):
    "Two worlds."
    # spoilt inputs: the auxiliary wins by every score; honest doubt: it loses, and adds nothing
    told, untold = told_and_untold
    assert (told.loc["auxiliary", "verdict"] == "seen").all()
    assert (told.loc["combined_auxiliary", "verdict"] == "seen").all()
    assert told.loc[("auxiliary", "auroc"), "estimate"] > 0.05
    assert (untold.loc["auxiliary", "verdict"] == "opposite seen").all()
    assert untold.loc[("auxiliary", "auroc"), "value"] > 0.52  # it does find errors
    assert (untold.loc["combined_auxiliary", "verdict"] == "equivalent").all()
    columns = ["value", "control", "estimate", "low", "high", "verdict"]
    pd.concat(dict(spoilt=told, honest=untold), names=["world"])[columns].round(3)


def test_over_many_worlds():
    "Two worlds."
    # over many worlds: a false word is rare, and the wanted one frequent
    words = {"spoilt": [], "honest": []}
    for seed in range(40):
        for kind, how in dict(spoilt={}, honest=dict(spoilt=0.0, sharpness=2.0)).items():
            evidence, wrong, groups, *_ = planted_flags(n_blocks=27, seed=seed, **how)
            whole = _planted_signals(evidence)
            verdict = compare_signals(whole, wrong, groups, scores=("auroc",)).set_index("name").verdict
            words[kind].append(verdict["auxiliary"])
    counted = pd.DataFrame({kind: pd.Series(w).value_counts() for kind, w in words.items()}).fillna(0)
    assert counted.loc["seen", "spoilt"] >= 38
    assert counted.reindex(["seen"]).fillna(0)["honest"].item() == 0
    counted.astype(int)


def test_seeds_pixels_what_is_not_known_and_what_cannot_be_compared():
    "Two worlds."
    evidence, wrong, groups, *_ = planted_flags(n_blocks=12, n_samples=10)
    base = _planted_signals(evidence)
    twice = compare_signals([base, base], [wrong, wrong], groups)
    once = compare_signals(base, wrong, groups)
    np.testing.assert_allclose(twice.estimate, once.estimate)
    assert (twice.over == "clusters and seeds").all()
    maps = {n: np.repeat(base[n].values[:, None], 6, 1).reshape(-1, 2, 3) for n in base}
    by_pixel = compare_signals(maps, np.repeat(wrong[:, None], 6, 1).reshape(-1, 2, 3), groups)
    np.testing.assert_allclose(by_pixel.estimate, once.estimate, atol=2e-3)
    gap = base.assign(auxiliary=base.auxiliary.where(np.arange(120) > 9))
    assert compare_signals(gap, wrong, groups).attrs["left_out"] == 10
    for ask, match in (
        (lambda: compare_signals(base, wrong, groups, "hope"), "there is no 'hope' to compare with"),
        (lambda: compare_signals(base[["margin"]], wrong, groups), "one signal only, margin"),
        (lambda: compare_signals([base], [wrong, wrong], groups), "1 sets of signals, but errors of 2"),
        (lambda: signal_statistic(wrong, wrong[:3], groups), "the signal is of shape"),
    ):
        with pytest.raises(ValueError, match=match):
            ask()
    both = dict(own=(base.confidence, wrong), other=[(base.confidence, 1 - wrong)])
    table = compare_predictions(both, groups, "own").set_index("score")
    assert table.loc["error", "estimate"] == pytest.approx(1 - 2 * wrong.mean())


def test_the_two_worlds(told_and_untold):
    "In words and pictures."
    told, untold = told_and_untold
    fig, axs = plt.subplots(1, 2, figsize=(11, 2.6), layout="constrained")
    for ax, (said, table) in zip(axs, dict(spoilt=told, honest=untold).items(), strict=True):
        plot_flags(table.reset_index(), ax=ax).set_title(f"{said} world", loc="left")
    assert [t.get_text() for t in axs[0].texts].count("seen") >= 2
    assert "opposite seen: " in read_flags(untold.reset_index())
    print(read_flags(told.reset_index()))
