"""Confidence

Written by nbdev-export from the check cells of nbs/api/training/12_confidence.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from mtl_explain.data.batches import SampleDataset, split_loaders
from mtl_explain.palette import blue, orange
from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.trace import confidence_edges, error_edges
from mtl_explain.training.confidence import (
    _in_bins, confidence_record, fit_temperature, learn_temperatures, sample_confidence, sample_errors,
)
from mtl_explain.training.learner import multitask_learner


@pytest.fixture(scope='module')
def g_drawn_from_and_logits():
    g = torch.Generator().manual_seed(0)
    def drawn_from(logits):
        "Labels that follow the probabilities of these logits (..., K)."
        p = logits.softmax(-1)
        return torch.multinomial(p.reshape(-1, p.shape[-1]), 1, generator=g).reshape(p.shape[:-1])
    logits = 3 * torch.randn(20_000, 5, generator=g)
    return g, drawn_from, logits


@pytest.fixture(scope='module')
def samples_setup_and_mods():
    samples = toy_samples(96)
    setup = Setup("optical", ("climate", "cover", "elevation"), main="climate")
    learn = multitask_learner(samples, setup)
    mods = learn.modalities
    return samples, setup, mods


def test_labels_drawn_from_a_known_temperature(g_drawn_from_and_logits):
    "Temperature."
    # labels drawn from a known temperature: it is found again
    g, drawn_from, logits = g_drawn_from_and_logits
    labels = drawn_from(logits / 2.5)
    assert fit_temperature(logits, labels) == pytest.approx(2.5, rel=0.03)
    assert fit_temperature(logits / 2.5, labels) == pytest.approx(1, rel=0.03)
    assert fit_temperature(logits[:0], labels[:0]) == 1


def test_two_classes(g_drawn_from_and_logits):
    "Temperature."
    # two classes: the slope of scikit-learn's logistic regression on the difference of the logits
    g, drawn_from, logits = g_drawn_from_and_logits
    from sklearn.linear_model import LogisticRegression

    two = logits[:, :2]
    y = drawn_from(two / 1.7)
    theirs = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-8)
    theirs.fit((two[:, 1] - two[:, 0])[:, None].numpy(), y.numpy())
    assert fit_temperature(two, y) == pytest.approx(1 / theirs.coef_.item(), rel=1e-3)


def test_a_category_and_a_mask_of_known_temperatures_one_label_in_ten_missing(samples_setup_and_mods, g_drawn_from_and_logits):
    "Temperature."
    samples, setup, mods = samples_setup_and_mods
    g, drawn_from, logits = g_drawn_from_and_logits
    class Batches(list):
        "Logits as inputs, with labels: what a loader gives to a network that only passes them on."

        def __init__(self, batches):
            super().__init__(batches)
            self.mods = mods
            self.dataset = SampleDataset(samples, (), ("climate", "cover"))


    def batch(n=96):
        x = dict(climate=torch.randn(n, 4, generator=g), cover=torch.randn(n, 16, 16, 3, generator=g))
        y = {t: drawn_from(z / (2.0 if t == "climate" else 0.5)) for t, z in x.items()}
        y = {t: torch.where(torch.rand(v.shape, generator=g) < 0.1, -1, v) for t, v in y.items()}
        return {t: z.movedim(-1, 1) for t, z in x.items()}, y


    found = learn_temperatures(torch.nn.Identity(), Batches(batch() for _ in range(40)))
    print({t: round(v, 2) for t, v in found.items()})
    assert found["climate"] == pytest.approx(2, rel=0.1)
    assert found["cover"] == pytest.approx(0.5, rel=0.02)


def test_by_hand(samples_setup_and_mods):
    "What is kept of a sample."
    # by hand: odds of three to one are cooled to nine to one at half the temperature
    samples, setup, mods = samples_setup_and_mods
    kind, cover = mods["climate"], mods["cover"]
    odds = torch.log(torch.tensor([[3.0, 1e-9, 1, 1e-9]]))
    r = sample_confidence(odds, torch.tensor([0]), kind)
    assert r["certainty"].item() == pytest.approx(0.75)
    assert r["brier"].item() == pytest.approx(0.25**2 + 0.25**2)
    cooled = sample_confidence(odds, torch.tensor([2]), kind, 0.5)
    assert cooled["certainty"].item() == pytest.approx(0.9)
    assert cooled["brier"].item() == pytest.approx(0.9**2 + 0.9**2)
    nothing = sample_confidence(odds, torch.tensor([-1]), kind)
    assert nothing["certainty"].isnan().all() and nothing["brier"].isnan().all()
    # three pixels of 0.75, of which one is wrong and one has no label
    pixels = odds[:, :3, None, None].expand(1, 3, 1, 3)
    r = sample_confidence(pixels, torch.tensor([[[0, 2, -1]]]), cover)
    at = np.searchsorted(confidence_edges, 0.75, side="right") - 1
    assert r["bin_count"].nonzero().tolist() == [[0, at]]
    assert (r["bin_count"][0, at].item(), r["bin_wrong"][0, at].item()) == (2, 1)
    assert r["bin_confidence"].sum().item() == pytest.approx(1.5)
    lower = confidence_edges[r["bin_doubt"][0].nonzero()[:, 0]]
    np.testing.assert_allclose(lower, [0.25, 0.75], atol=1 / 32)  # on an edge, up to rounding
    # two numbers per sample, off by half a standard deviation and by two; one is not known
    off = sample_errors(torch.tensor([[0.5, 2.0], [0.5, 1.0]]), torch.tensor([[0.0, 4], [0, np.nan]]))
    at = [np.searchsorted(error_edges, v, side="right") - 1 for v in (0.5, 2)]
    assert off["bin_error"].nonzero().tolist() == [[0, at[0]], [0, at[1]], [1, at[0]]]


def test_bins_against_numpys_histogram_edges_included(g_drawn_from_and_logits):
    "What is kept of a sample."
    g, drawn_from, logits = g_drawn_from_and_logits
    v = torch.rand(3, 1000, generator=g)
    v[0, :66] = torch.as_tensor(np.r_[confidence_edges, 0.5], dtype=torch.float32)
    counts = _in_bins(v, dict(n=torch.ones_like(v)))["n"].numpy()
    for row, ours in zip(v.numpy(), counts, strict=True):
        edges = confidence_edges.astype("float32")
        assert (np.histogram(row, edges)[0] == ours).all()


def test_the_record_of_an_untrained_network(samples_setup_and_mods):
    "The record."
    # the record of an untrained network: complete, and in agreement with its trace
    samples, setup, mods = samples_setup_and_mods
    learn = multitask_learner(samples, setup)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-3)
    loaders = {s: dl for s, dl in split_loaders(learn.dls).items() if s != "train"}
    record = confidence_record(learn.model, loaders, loaders["valid"])
    trace = learn.trace
    assert (record.sample == trace.sample).all()
    pixels = record.bin_count.sel(mask="cover").sum("bin")
    wrong = record.bin_wrong.sel(mask="cover").sum("bin") / pixels
    np.testing.assert_allclose(wrong, trace.error.sel(task="cover")[0], atol=1e-6)
    chance = record.probability_climate
    np.testing.assert_allclose(chance.sum("class_climate"), 1, atol=1e-5)
    same = chance.argmax("class_climate") == trace.predicted.sel(task="climate")[0]
    assert same.all()
    np.testing.assert_allclose(chance.max("class_climate"), record.certainty.sel(task="climate"))
    assert record.certainty.sel(task="elevation").isnull().all()
    assert (record.bin_doubt.sum("bin") == record.bin_count.sum("bin")).all()
    sizes = record.bin_error.sel(number="elevation").values @ np.r_[0, error_edges[1:-1]]
    typical = sizes / 256 * mods["elevation"].std[0]
    ratio = trace.error.sel(task="elevation")[0] / typical
    assert ((1 < ratio) & (ratio < 1.25)).all()  # the lower edges of bins are at most a fifth too small
    assert record.temperature.notnull().values.tolist() == [True, True, False]


def test_orange(g_drawn_from_and_logits):
    "The record."
    g, drawn_from, logits = g_drawn_from_and_logits
    fig, ax = plt.subplots(figsize=(4.6, 4), layout="constrained")
    z = 3 * torch.randn(50_000, 4, generator=g)
    y = drawn_from(z / 3)
    for t, color, said in ((1.0, orange, "as it is"), (fit_temperature(z, y), blue, "T = {t:.2f}")):
        p, label = (z / t).softmax(1).max(1)
        which = np.digitize(p, np.linspace(0, 1, 17))
        right = (label == y).numpy()
        points = [(p[which == k].mean(), right[which == k].mean()) for k in np.unique(which)]
        ax.plot(*zip(*points, strict=True), "o-", color=color, label=said.format(t=t))
    ax.plot([0.25, 1], [0.25, 1], color="black", lw=0.8)
    ax.set(xlabel="confidence", ylabel="share that is right", title="One number sets it right")
    ax.legend(frameon=False)
    assert len(ax.lines) == 3
