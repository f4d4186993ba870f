"""Signals of an error

Written by nbdev-export from the check cells of nbs/api/trust/04_signals.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf

from mtl_explain.change.losses import range_scaling
from mtl_explain.setup import Setup
from mtl_explain.testing.scene import scene_modalities, scene_setup
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.runs import train_run
from mtl_explain.trust.applicability import area_of_applicability
from mtl_explain.trust.signals import (
    Evidence, _relations, _turn, _turn_back, compute_signals, entropy, error_signals, free_tasks, mahalanobis,
    signals, wrong_labels,
)


@pytest.fixture(scope='module')
def p_line_and_hand():
    p = np.array([[0.8, 0.1, 0.1], [0.5, 0.4, 0.1], [1 / 3, 1 / 3, 1 / 3]])
    other = np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.25, 0.25]])
    halves = np.array([[0.8, 0.2], [0.5, 0.5], [1 / 3, 2 / 3]])
    line = area_of_applicability(np.array([[0.0], [1], [5]]), np.arange(3))
    hand = Evidence(
        p,
        dict(ensemble=other),
        dict(zone=(halves, halves[::-1])),
        dict(height=np.array([1.0, 2, np.nan]), rain=np.array([3.0, 0, np.nan])),
        np.array([[0.0], [3], [10]]),
        line,
        dict(dropout="the network has no dropout"),
    )
    return p, line, hand


@pytest.fixture(scope='module')
def home_samples_how_run_twin_tested_and_found():
    home = Path(tempfile.mkdtemp())
    samples = toy_samples(192)
    targets = ("climate", "zone", "elevation", "warmth")
    heads = dict.fromkeys(targets, {}) | dict(climate=dict(dropout=0.2))
    setup = Setup("optical", heads, main="climate", name="flags")
    how = dict(epochs=2, bs=32, lr=1e-2, bar=False, device="cpu")
    run = train_run(samples, setup, home / "run", **how)
    twin = train_run(samples, setup, home / "twin", seed=1, **how)
    reader = train_run(samples, Setup(("optical", "warmth"), "climate"), home / "reader", **how)
    tested = samples.isel(sample=samples.split.values == "test")
    relatives = dict(runs=[twin], readers=[reader], training=samples)
    found = error_signals(run, tested, **relatives)
    return home, samples, how, run, twin, tested, found


@pytest.fixture(scope='module')
def mask_and_by_pixel(home_samples_how_run_twin_tested_and_found):
    home, samples, how, run, twin, tested, found = home_samples_how_run_twin_tested_and_found
    mask = train_run(samples, Setup("optical", ("cover", "elevation", "warmth")), home / "mask", **how)
    by_pixel = error_signals(mask, tested, pixels=True, training=samples)
    return mask, by_pixel


def test_three_samples_by_hand(p_line_and_hand):
    "Signals as data."
    p, line, hand = p_line_and_hand
    found = compute_signals(hand)
    np.testing.assert_allclose(found["confidence"], [0.2, 0.5, 2 / 3])
    np.testing.assert_allclose(found["margin"], [0.3, 0.9, 1])
    np.testing.assert_allclose(found["entropy"][2], 1)
    np.testing.assert_allclose(found["ensemble"], [0, 1, 0.5])
    np.testing.assert_allclose(found["heads"], [0.8 - 1 / 3, 0, 0.8 - 1 / 3])
    np.testing.assert_allclose(found["auxiliary"], [2, 1, np.nan])
    np.testing.assert_allclose(found["auxiliary_rain"], [3, 0, np.nan])
    np.testing.assert_allclose(found["dissimilarity"], [0, 0.6, 1.5])
    np.testing.assert_allclose(found["mahalanobis"], np.abs(np.array([0, 3, 10]) - 2) / line.std)
    np.testing.assert_allclose(found["neighbours"] * line.std, [5, 3, 10])
    assert set(signals) - set(found) == {"dropout", "turned", "reader"}
    assert hand.lacks("dropout") == "the network has no dropout"
    assert hand.lacks("turned") == "not given"


def test_masks_a_value_per_pixel_an_auxiliary_loss_of_the_patch_is_that_of_each(p_line_and_hand):
    "Signals as data."
    # masks: a value per pixel; an auxiliary loss of the patch is that of each of its pixels
    p, line, hand = p_line_and_hand
    pixels = Evidence(
        np.moveaxis(p, -1, 0).reshape(1, 3, 1, 3),
        auxiliary=dict(height=np.array([[[1.0, 3, np.nan]]]), rain=np.array([3.0])),
    )
    found = compute_signals(pixels)
    np.testing.assert_allclose(found["confidence"], [[[0.2, 0.5, 2 / 3]]])
    np.testing.assert_allclose(found["auxiliary"], [[[2, 3, 3]]])


def test_against_scipy():
    "Signals as data."
    # against scipy: entropy; against numpy: Mahalanobis with the same covariance
    from scipy.stats import entropy as their_entropy

    rng = np.random.default_rng(0)
    q = rng.dirichlet(np.ones(5), 40)
    ours = entropy(Evidence(q))
    np.testing.assert_allclose(ours, their_entropy(q, axis=1) / np.log(5))
    train = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 3))
    cloud = area_of_applicability(train, np.arange(200) // 10)
    new = rng.normal(size=(7, 3))
    z = cloud.standardised(new)
    precision = np.linalg.inv(LedoitWolf(assume_centered=True).fit(cloud.features).covariance_)
    theirs = [np.sqrt(v @ precision @ v) for v in z]
    np.testing.assert_allclose(mahalanobis(Evidence(q[:7], features=new, area=cloud)), theirs)


def test_a_height_change_is_seen_in_the_classes_of_its_label_by_the_soft():
    "Evidence of a run."
    # a height change is seen in the classes of its label by the soft threshold
    heights = dict(scaling=range_scaling(-30, 30))
    change = SimpleNamespace(setup=scene_setup(height_change=heights), modalities=scene_modalities(8))
    relation = _relations(change)["height_change"]
    zero = change.modalities["height_change"]
    metres = torch.tensor([0.0, -30, 30]).view(3, 1, 1, 1)
    fixed = {k: tuple(v) for k, v in heights["scaling"].items()}
    preds = dict(
        semantic_change=10 * torch.eye(3).view(3, 3, 1, 1),
        height_change=replace(zero, **fixed).standardise(metres),
    )
    views = [v.scores(preds[t])[..., 0, 0] for v, t in zip(relation.views, relation.tasks, strict=True)]
    assert (views[0].argmax(1) == views[1].argmax(1)).all()


def test_a_turn_is_undone_and_an_image_that_is_not_square_is_not_turned_by_a():
    "Evidence of a run."
    # a turn is undone, and an image that is not square is not turned by a quarter
    v = torch.arange(12.0).view(1, 1, 3, 4)
    for flip in (False, True):
        for turns in range(4):
            assert torch.equal(_turn_back(_turn(v, flip, turns), flip, turns), v)
    assert _turn(v, True, 0)[0, 0, 0].tolist() == [3, 2, 1, 0]


def test_a_toy_run_has_all_of_them(home_samples_how_run_twin_tested_and_found):
    "All signals of a run."
    # a toy run has all of them; the confidence is that of its prediction
    home, samples, how, run, twin, tested, found = home_samples_how_run_twin_tested_and_found
    assert set(signals) <= set(found)
    assert found.attrs["left_out"] == []
    told = run.predict(tested, probabilities=True)
    np.testing.assert_allclose(found.confidence, 1 - told.climate_confidence, atol=1e-5)
    assert (found.predicted == told.climate).all()
    assert all(found[n].dims == ("sample",) and np.isfinite(found[n]).all() for n in found)
    other = twin.predict(tested, probabilities=True).climate_probability.values
    both = (told.climate_probability.values + other) / 2
    of_label = both[np.arange(len(both)), told.climate.values]
    np.testing.assert_allclose(found.ensemble, 1 - of_label, atol=1e-5)
    assert found.auxiliary.attrs["truth"] and not found.confidence.attrs["truth"]
    wrong = wrong_labels(found, tested)
    assert wrong.mean() == pytest.approx(1 - (told.climate == tested.climate).mean().item())


def test_zone_is_climate_read_coarsely(home_samples_how_run_twin_tested_and_found):
    "All signals of a run."
    # zone is climate read coarsely: not free; its head is a view of the same thing
    home, samples, how, run, twin, tested, found = home_samples_how_run_twin_tested_and_found
    assert free_tasks(run) == ["elevation", "warmth"]
    assert {"auxiliary_elevation", "auxiliary_warmth"} <= set(found)
    chance = run.predict(tested, probabilities=True)
    by_zone = chance.zone_probability.values
    summed = chance.climate_probability.values.reshape(-1, 2, 2).sum(2)
    np.testing.assert_allclose(found.heads, np.abs(by_zone - summed).sum(1) / 2, atol=1e-5)
    named = error_signals(run, tested, auxiliary=["zone"], training=samples)
    assert "auxiliary_warmth" not in named
    truth = run.predict(tested).warmth.values[:, 0] - tested.warmth.values[:, 0]
    squared = (truth / run.modalities["warmth"].std[0]) ** 2
    ratio = found.auxiliary_warmth.values / squared
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)


def test_without_labels_of_other_tasks_relatives_or_training_samples(home_samples_how_run_twin_tested_and_found):
    "All signals of a run."
    # without labels of other tasks, relatives or training samples: what is missing has a reason
    home, samples, how, run, twin, tested, found = home_samples_how_run_twin_tested_and_found
    bare = error_signals(run, tested[["optical"]])
    assert set(bare) == {"confidence", "margin", "entropy", "dropout", "turned", "heads"}
    reasons = " ".join(bare.attrs["left_out"])
    for part in ("other seeds", "no true elevation, warmth", "applicability.nc is missing"):
        assert part in reasons
    np.testing.assert_allclose(bare.confidence, found.confidence, atol=1e-6)
    again = error_signals(run, tested[["optical"]], bs=7)
    np.testing.assert_allclose(again.turned, bare.turned, atol=1e-5)


def test_a_mask(mask_and_by_pixel, home_samples_how_run_twin_tested_and_found):
    "All signals of a run."
    # a mask: pixel by pixel, and as means of samples
    mask, by_pixel = mask_and_by_pixel
    home, samples, how, run, twin, tested, found = home_samples_how_run_twin_tested_and_found
    by_sample = error_signals(mask, tested, training=samples)
    assert by_pixel.auxiliary.dims == ("sample", "y", "x")
    for name in by_sample:
        np.testing.assert_allclose(by_pixel[name].mean(("y", "x")), by_sample[name], rtol=1e-4)
    told = mask.predict(tested)
    off = (told.elevation.values - tested.elevation.values)[:, 0]
    off = off / mask.modalities["elevation"].std[0]
    ratio = by_pixel.auxiliary_elevation.values / off**2
    np.testing.assert_allclose(ratio[off**2 > 1e-3], np.median(ratio), rtol=1e-2)
    wrong = wrong_labels(by_pixel, tested)
    assert wrong.shape == (32, 16, 16)
    np.testing.assert_allclose(wrong.mean((1, 2)), wrong_labels(by_sample, tested))
    assert "dropout: the network has no dropout" in by_sample.attrs["left_out"]
    assert "heads: no other head can be seen" in " ".join(by_sample.attrs["left_out"])


def test_what_cannot_be_asked_in_a_line(home_samples_how_run_twin_tested_and_found):
    "All signals of a run."
    home, samples, how, run, twin, tested, found = home_samples_how_run_twin_tested_and_found
    warm = train_run(samples, Setup("optical", "warmth"), home / "warm", **how)
    for ask, match in (
        (lambda: error_signals(warm, tested), "signals are about labels; the main task 'warmth' is of"),
        (lambda: error_signals(run, tested, runs=[warm]), "does not predict 'climate' in the same"),
        (lambda: error_signals(run, tested, auxiliary=["soil"]), "'soil' is no task of this run"),
        (lambda: wrong_labels(found, samples), "other samples"),
    ):
        with pytest.raises(ValueError, match=match):
            ask()
