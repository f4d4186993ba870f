"""Risk and coverage

Written by nbdev-export from the check cells of nbs/api/trust/00_risk.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from torchmetrics.classification import MulticlassCalibrationError

from mtl_explain.explain.resampling import Resampling, difference, estimate
from mtl_explain.trace import confidence_edges
from mtl_explain.trust.risk import (
    confidence_scores, group_scores, planted_confidence, plot_reliability, plot_risk_coverage,
    read_confidence, reliability, score_names, selective_statistic, trace_scores,
)


@pytest.fixture(scope='module')
def some_labels_p_labels_confidence_wrong_and_brier():
    def some_labels(n=300, classes=4, heat=0.6, seed=0):
        "Probabilities of a network that is too sure of itself, and labels."
        rng = np.random.default_rng(seed)
        z = rng.normal(0, 2, (n, classes))
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        cooler = p**heat / (p**heat).sum(1, keepdims=True)
        return p, np.array([rng.choice(classes, p=row) for row in cooler])
    p, labels = some_labels()
    confidence, wrong = p.max(1), p.argmax(1) != labels
    brier = ((p - np.eye(4)[labels]) ** 2).sum(1)
    return some_labels, p, labels, confidence, wrong, brier


@pytest.fixture(scope='module')
def honest():
    return planted_confidence()


@pytest.fixture(scope='module')
def blind():
    return planted_confidence(honesty=0.0)


def test_three_elements_by_hand():
    "Scores from groups of equal confidence."
    # three elements by hand: one at a time, and as one group whose order nobody knows
    sixteenths = np.zeros(3, int)
    ones = np.ones(3)
    by_hand = group_scores(ones, np.array([0.0, 1, 0]), np.array([0.9, 0.8, 0.7]), sixteenths, 0.1)
    told = dict(zip(score_names, by_hand, strict=True))
    assert told["augrc"] == pytest.approx(1 / 6 / (2 / 3))
    assert told["aurc"] == pytest.approx((0 + 2 * 1 / 2 + 1 / 3) / 6 / (2 / 3))
    assert told["auroc"] == 0.5
    assert told["aupr"] == 0.5
    assert told["risk_at_80"] == pytest.approx(1 / 3)
    assert told["coverage_at_5"] == pytest.approx(1 / 3)
    assert told["ece"] == pytest.approx((2 - 2.4) / 3 * -1)
    tied = group_scores(np.array([3.0]), np.array([1.0]), np.array([2.4]), sixteenths[:1], 0.1)
    orders = [np.eye(3)[k] for k in range(3)]
    each = [group_scores(ones, w, 0.8 * ones, sixteenths, 0.1)[:2] for w in orders]
    np.testing.assert_allclose(tied[:2], np.mean(each, 0))


def test_the_same_as_scikit_learn_torchmetrics_and_torch_uncertainty(some_labels_p_labels_confidence_wrong_and_brier):
    "Scores from groups of equal confidence."
    some_labels, p, labels, confidence, wrong, brier = some_labels_p_labels_confidence_wrong_and_brier
    import torch

    everyone = np.arange(300)
    found = estimate(selective_statistic(confidence, wrong, everyone, brier))["value"]
    assert found["auroc"] == pytest.approx(roc_auc_score(wrong, -confidence), abs=1e-9)
    assert found["aupr"] == pytest.approx(average_precision_score(wrong, -confidence), abs=1e-9)
    theirs = MulticlassCalibrationError(4, n_bins=16)(torch.tensor(p), torch.tensor(labels))
    assert found["ece"] == pytest.approx(theirs.item(), abs=1e-6)
    torch_uncertainty = dict(
        augrc=0.18214604275836904,
        aurc=0.29158214252670855,
        risk_at_80=0.425,
        coverage_at_5=0.07999999821186066,
        brier=0.590713381767273,
    )
    for name, value in torch_uncertainty.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name
    assert found["error"] == pytest.approx(wrong.mean())
    found.round(3)


def test_more_than_a_thousand_different_confidences(some_labels_p_labels_confidence_wrong_and_brier):
    "Scores from groups of equal confidence."
    # more than a thousand different confidences: neighbours share a group, which changes nothing
    some_labels, p, labels, confidence, wrong, brier = some_labels_p_labels_confidence_wrong_and_brier
    p, labels = some_labels(20_000, seed=1)
    many = p.max(1), (p.argmax(1) != labels).astype(float), np.arange(20_000) // 500
    coarse = estimate(selective_statistic(*many))["value"]
    exact_auroc = roc_auc_score(many[1], -many[0])
    assert coarse["auroc"] == pytest.approx(exact_auroc, abs=1e-4)
    order = np.argsort(-many[0], kind="stable")
    risk = many[1][order].cumsum() / np.arange(1, 20_001)
    share = np.arange(1, 20_001) / 20_000
    area = np.trapezoid(risk * share, share) / (1 - 1 / 20_000)
    assert coarse["augrc"] == pytest.approx(area, abs=1e-4)


def test_an_honest_confidence_finds_errors_and_is_calibrated(honest, blind):
    "Of a trace."
    # an honest confidence finds errors and is calibrated; a blind one does neither
    table = pd.concat(
        {said: confidence_scores(world).loc["cover"] for said, world in dict(h=honest, b=blind).items()}
    )
    assert table.loc[("h", "auroc"), "low"] > 0.6
    assert abs(table.loc[("b", "auroc"), "value"] - 0.5) < 0.01
    assert table.loc[("h", "ece"), "value"] < 0.02 < table.loc[("b", "ece"), "value"]
    error = table.loc[("b", "error"), "value"]
    assert table.loc[("b", "risk_at_80"), "value"] == pytest.approx(error, abs=0.01)
    assert table.loc[("b", "augrc"), "value"] == pytest.approx(error / 2, abs=0.01)
    assert table.loc[("h", "augrc"), "high"] < table.loc[("b", "augrc"), "low"]
    assert (table["clusters"] == 30).all()
    few = confidence_scores(
        planted_confidence(3, 2, pixels=12, seed=1)
    )  # wide intervals, but possible ones
    assert few["low"].min() == 0 and few.loc[("cover", "auroc"), "high"] == 1
    table["value"].unstack(0).rename(columns=dict(h="honest", b="blind")).round(3)


def test_bins_instead_of_pixels():
    "Of a trace."
    # bins instead of pixels: of the same patches, the scores of all pixels one by one
    from scipy.special import expit

    rng = np.random.default_rng(3)
    logits = np.abs(rng.normal(1.5, 1.5, 60_000))
    sure = expit(logits)
    failed = rng.random(60_000) < 1 - sure
    bins = np.digitize(sure, confidence_edges[1:-1])
    sums = [np.bincount(bins, w, 64)[::-1] for w in (np.ones(60_000), failed, sure)]
    middle = np.clip(confidence_edges[:-1][::-1] * 16, 0, 15).astype(int)
    coarse = dict(zip(score_names, group_scores(*sums, middle, np.nan), strict=True))
    order = np.argsort(-sure)
    curve = failed[order].cumsum() / 60_000
    assert coarse["augrc"] == pytest.approx(curve.mean(), abs=2e-4)
    assert coarse["auroc"] == pytest.approx(roc_auc_score(failed, -sure), abs=2e-3)


def test_intervals_over_blocks_hold_the_truth():
    "Of a trace."
    # intervals over blocks hold the truth; those over patches do not
    truth = confidence_scores(planted_confidence(2000, pixels=60, seed=99))["value"]["cover"]
    held = {"group": [], "sample": []}
    for seed in range(150):
        world = planted_confidence(27, pixels=60, seed=seed)
        for cluster, hits in held.items():
            found = confidence_scores(world, resampling=Resampling(cluster=cluster)).loc["cover"]
            hits.append((found["low"] <= truth) & (truth <= found["high"]))
    shares = pd.DataFrame({c: pd.concat(h, axis=1).mean(axis=1) for c, h in held.items()})
    asked = ["augrc", "aurc", "risk_at_80", "error"]
    assert (shares["group"][asked] > 0.9).all()
    assert (shares["sample"][asked] < 0.85).all()
    shares.round(2)


def test_unequal_regions():
    "Of a trace."
    # unequal regions: intervals hold nearly as often, and what is lost is printed
    uneven = np.random.default_rng(1).integers(1, 16, 27)
    whole = confidence_scores(planted_confidence(2000, pixels=60, seed=99))["value"]["cover"]
    hits = []
    for seed in range(150):
        found = confidence_scores(planted_confidence(27, uneven, 60, seed=seed)).loc["cover"]
        hits.append((found["low"] <= whole) & (whole <= found["high"]))
    share = pd.concat(hits, axis=1).mean(axis=1)
    print(share.round(2).to_dict())
    assert (share.drop("ece") > 0.88).all()
    assert share["ece"] > 0.8


def test_a_paired_difference(honest):
    "Of a trace."
    # a paired difference: the same regions under two networks
    one, other = (trace_scores(planted_confidence(shift=s), "cover") for s in (0.0, 0.4))
    row = estimate(difference(other, one)).loc["augrc"]
    apart = confidence_scores(honest).loc[("cover", "augrc")]
    assert row["low"] > 0
    assert row["high"] - row["low"] < 1.5 * (apart["high"] - apart["low"])


def test_chance_is_called_chance(blind, honest):
    "In words and pictures."
    assert "which is chance" in read_confidence(confidence_scores(blind))
    told = read_confidence(confidence_scores(honest))
    assert "which is chance" not in told
    print(told)


def test_the_honest_world_lies_on_the_diagonal_within_its_intervals(honest):
    "In words and pictures."
    found = reliability(honest)
    inside = (found["low"] <= found["confidence"]) & (found["confidence"] <= found["high"])
    assert inside.mean() > 0.7
    assert found["n"].sum() == honest.bin_count.sum()
    far = reliability(planted_confidence(shift=1.0))
    assert (far["high"] < far["confidence"]).mean() > 0.9


def test_pictures_of_both_worlds(honest, blind):
    "In words and pictures."
    fig, axs = plt.subplots(2, 2, figsize=(10, 7.4), layout="constrained")
    for row, (said, world) in zip(axs, dict(honest=honest, blind=blind).items(), strict=True):
        plot_risk_coverage(world, ax=row[0]).set_title(f"Risk and coverage, {said} confidence")
        plot_reliability(world, ax=row[1])
    assert len(axs[0, 0].lines) == 3
    assert axs[1, 0].get_ylim()[0] == 0


def test_a_record_labels_and_a_known_task_are_asked_for_in_a_line(honest):
    "In words and pictures."
    for world, task, match in (
        (honest, "soil", "'soil' is no task of this trace; it has cover"),
        (honest.drop_vars("certainty"), "cover", "record_confidence.*adds it"),
        (honest.assign_coords(kind=("task", ["image"])), "cover", "of kind image and has no conf"),
    ):
        with pytest.raises(ValueError, match=match):
            trace_scores(world, task)
    with pytest.raises(ValueError, match="no task of this trace has labels"):
        confidence_scores(honest, tasks=[])
