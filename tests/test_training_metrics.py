"""Metrics

Written by nbdev-export from the check cells of nbs/api/training/04_metrics.ipynb.
Do not edit: change the notebook, then `make export`.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from mtl_explain.data.batches import sample_loaders
from mtl_explain.modality import Modality
from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.metrics import (
    _update, comparable, computed, predictions, score_table, task_metrics, task_scores,
)


# a label and a quantity
@pytest.fixture(scope='module')
def label():
    return Modality("kind", "category", classes=("a", "b", "c"))


@pytest.fixture(scope='module')
def height():
    return Modality(
        "height", "image", (1, 2, 2), channels=("height",), units="m", mean=(100.0,), std=(10.0,)
    )


@pytest.fixture(scope='module')
def dl():
    "The validation split of the toy world."
    samples = toy_samples()
    return sample_loaders(samples, Setup("optical", ("cover", "warmth")), bs=16, device="cpu").valid


# networks whose answers are prepared: right ones, and always the mean
@pytest.fixture(scope='module')
def right_and_flat(dl):
    truths = [y for _, y in dl]
    mean = torch.cat([y["warmth"] for y in truths]).mean()
    right = [
        dict(cover=10.0 * torch.eye(3)[y["cover"]].permute(0, 3, 1, 2), warmth=y["warmth"])
        for y in truths
    ]
    flat = [dict(cover=r["cover"], warmth=r["warmth"] * 0 + mean) for r in right]
    return right, flat


@pytest.fixture(scope='module')
def Answers_and_values(dl):
    class Answers(torch.nn.Module):
        "Gives prepared answers, batch after batch."

        def __init__(self, answers):
            super().__init__()
            self.answers = iter(answers)

        def forward(self, x):
            return next(self.answers)
    def values(answers):
        return score_table(Answers(answers), dl).set_index(["task", "metric"]).value
    return Answers, values


def test_the_most_likely_class_and_metres(label, height):
    "Predictions and targets, comparable."
    assert predictions(torch.tensor([[0.0, 3.0, 1.0]]), label).tolist() == [1]
    assert predictions(torch.full((1, 1, 2, 2), 1.5), height).unique().tolist() == [115]


def test_labels_by_hand(label):
    "Predictions and targets, comparable."
    p, t = comparable(
        torch.tensor([[9.0, 0, 0], [0, 0, 1.0], [0, 1, 0]]), torch.tensor([0, 1, -1]), label
    )
    assert p.tolist() == [0, 2]
    assert t.tolist() == [0, 1]


def test_metres_by_hand(height):
    "Predictions and targets, comparable."
    y = torch.tensor([[[[0.0, 1.0], [2.0, torch.nan]]]])
    p, t = comparable(y.nan_to_num() + 1, y, height)
    assert t.ravel().tolist() == [0, 10, 20]
    assert (p - t).ravel().tolist() == [10, 10, 10]


def test_channels_of_images_and_of_series_end_up_in_columns():
    "Predictions and targets, comparable."
    # channels of images and of series end up in columns; an unknown channel takes its pixel along
    as_it_is = dict(mean=(0.0, 0.0), std=(1.0, 1.0))
    two = Modality("wind", "image", (2, 1, 2), channels=("u", "v"), **as_it_is)
    y = torch.tensor([[[[1.0, 2.0]], [[3.0, torch.nan]]]])
    p, t = comparable(y.nan_to_num(), y, two)
    assert p.tolist() == t.tolist() == [[1, 3]]
    year = Modality("year", "series", (3, 2), channels=("t", "p"), **as_it_is)
    _, t = comparable(torch.zeros(2, 3, 2), torch.arange(12.0).reshape(2, 3, 2), year)
    assert t.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11]]


def test_degrees_and_millimetres_each_five_and_fifty_too_high():
    "Predictions and targets, comparable."
    # degrees and millimetres, each five and fifty too high: one standard deviation each
    scaling = dict(mean=(10.0, 60.0), std=(5.0, 50.0))
    both = Modality("year", "series", (3, 2), channels=("t", "p"), units="°C, mm", **scaling)
    p, t = comparable(torch.ones(1, 3, 2), torch.zeros(1, 3, 2), both)
    assert (p - t).tolist() == [[1, 1]] * 3


def test_several_labels_at_once():
    "The metrics of a task."
    # several labels at once: scikit-learn's F1 by label and over all, unknown labels left out
    trees = Modality("trees", "multilabel", (3,), ("oak", "pine", "ash"), ("absent", "present"))
    rng = np.random.default_rng(0)
    true = rng.integers(0, 2, (200, 3))
    logits = torch.tensor(rng.normal(0, 1, (200, 2, 3))).float()
    logits[:, 1] += torch.tensor(true)
    said = logits.argmax(1).numpy()
    scores = task_scores(trees)
    scores.update(*comparable(logits, torch.tensor(true), trees))
    found = computed(scores)
    assert found["f1_macro"] == pytest.approx(sk.f1_score(true, said, average="macro"), 1e-5)
    assert found["f1_micro"] == pytest.approx(sk.f1_score(true, said, average="micro"), 1e-5)
    assert found["accuracy"] == pytest.approx((true == said).mean(), 1e-5)
    unknown = torch.tensor(true)
    unknown[:50] = -1
    unknown[50:100, 1] = -1
    scores = task_scores(trees)
    scores.update(*comparable(logits, unknown, trees))
    known = unknown.numpy() >= 0
    by_label = [sk.f1_score(true[k, i], said[k, i]) for i, k in enumerate(known.T)]
    assert computed(scores)["f1_macro"] == pytest.approx(np.mean(by_label), 1e-5)
    assert computed(scores)["accuracy"] == pytest.approx((true == said)[known].mean(), 1e-5)


def test_labels_against_scikit_learn():
    "The metrics of a task."
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 4, (2, 640))
    scores = task_scores(Modality("cover", "mask", (8, 8), classes=tuple("abcde")))
    for a, b in zip(np.split(p, 10), np.split(y, 10), strict=True):
        scores.update(torch.tensor(a), torch.tensor(b))
    got = computed(scores)
    assert (
        got["accuracy"]
        == pytest.approx(sk.accuracy_score(y, p))
        == pytest.approx(sk.f1_score(y, p, average="micro"))
    )
    assert got["f1_macro"] == pytest.approx(sk.f1_score(y, p, average="macro"))
    assert got["iou"] == pytest.approx(sk.jaccard_score(y, p, average="macro"))


def test_two_channels_of_quantities_against_scikit_learn():
    "The metrics of a task."
    rng = np.random.default_rng(0)
    y = rng.normal(size=(50, 2)).astype("float32")
    p = y + rng.normal(0, 0.3, (50, 2)).astype("float32")
    scores = task_scores(Modality("z", "tabular", (2,), channels="ab"))
    for a, b in zip(np.split(p, 5), np.split(y, 5), strict=True):
        scores.update(torch.tensor(a), torch.tensor(b))
    assert computed(scores) == pytest.approx(
        dict(mae=sk.mean_absolute_error(y, p), r2=sk.r2_score(y, p)), rel=1e-4
    )


def test_not_defined_is_nan_not_an_error(height):
    "The metrics of a task."
    scores = task_scores(height)
    assert all(np.isnan(v) for v in computed(scores).values())
    scores.update(torch.zeros(1, 1), torch.ones(1, 1))
    assert computed(scores)["mae"] == 1
    assert np.isnan(computed(scores)["r2"])


def test_the_offset_of_a_quantity_is_no_matter():
    "In the training table."
    # the offset of a quantity is no matter: R² and MAE against scikit-learn in double precision
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, 1))
    guess = z + rng.normal(0, 0.5, z.shape)
    for offset, spread in ((0, 1), (288, 2), (101325, 30), (2.46e6, 0.5)):
        m = Modality("p", "tabular", (1,), channels=("p",), mean=(offset,), std=(spread,))
        scores = task_scores(m)
        _update(scores, torch.tensor(guess), torch.tensor(z), m)
        true, said = (offset + spread * v for v in (z, guess))
        assert computed(scores)["r2"] == pytest.approx(sk.r2_score(true, said), abs=1e-4)
        assert computed(scores)["mae"] == pytest.approx(sk.mean_absolute_error(true, said), rel=1e-4)


def test_two_batches_of_labels_as_fastai_would_count_them(label):
    "In the training table."
    columns = task_metrics(dict(kind=label), ("kind",))
    assert [c.name for c in columns] == ["kind_accuracy", "kind_f1_macro"]
    assert [c.leads for c in columns] == [True, False], "a batch is counted once"
    for c in columns:
        c.reset()
    for truth in ([0, 1], [0, -1]):
        batch = SimpleNamespace(
            pred=dict(kind=torch.tensor([[9.0, 0, 0], [9.0, 0, 0]])), y=dict(kind=torch.tensor(truth))
        )
        for c in columns:
            c.accumulate(batch)
    assert columns[0].value == columns[0].value == pytest.approx(2 / 3)
    assert columns[1].value == pytest.approx(0.4)


def test_a_new_epoch_begins_anew(label, height):
    "In the training table."
    # a new epoch begins anew; columns of two tasks do not mix
    both = task_metrics(dict(kind=label, height=height), ("kind", "height"))
    assert [c.name for c in both] == ["kind_accuracy", "kind_f1_macro", "height_mae", "height_r2"]
    assert [c.leads for c in both] == [True, False, True, False]
    batch = SimpleNamespace(
        pred=dict(kind=torch.tensor([[9.0, 0, 0]]), height=torch.tensor([[[[1.0, 2], [3, 4]]]])),
        y=dict(kind=torch.tensor([0]), height=torch.tensor([[[[0.0, 2], [3, 4]]]])),
    )
    for c in both:
        c.accumulate(batch)
    assert [c.value for c in both[:3]] == [1, 1, 2.5]
    for c in both:
        c.reset()
    assert np.isnan([c.value for c in both]).all()


def test_a_perfect_network_and_one_that_always_gives_the_mean(Answers_and_values, right_and_flat, dl):
    "On a whole split."
    Answers, values = Answers_and_values
    right, flat = right_and_flat
    assert score_table(Answers(right), dl).units.tolist() == ["", "", "", "°C", ""]
    assert (
        values(right)["cover", "accuracy"]
        == values(right)["cover", "iou"]
        == values(right)["warmth", "r2"]
        == 1
    )
    assert values(right)["warmth", "mae"] < 1e-5
    assert abs(values(flat)["warmth", "r2"]) < 1e-5


def test_some_of_the_tasks(Answers_and_values, right_and_flat, dl):
    "On a whole split."
    # some of the tasks; the network is as in use, not as in training
    Answers, values = Answers_and_values
    right, flat = right_and_flat
    net = Answers(right)
    net.train()
    some = score_table(net, dl, ("warmth",))
    assert not net.training
    assert some[["task", "metric"]].values.tolist() == [["warmth", "mae"], ["warmth", "r2"]]
    expected = [["cover", "accuracy"], ["cover", "f1_macro"], ["cover", "iou"]]
    whole = score_table(Answers(right), dl)
    assert whole[["task", "metric"]].values.tolist()[:3] == expected
    assert list(whole) == ["task", "metric", "value", "units"]
    wrong = [dict(cover=r["cover"], warmth=r["warmth"] + 1) for r in right]
    one_sd = dl.mods["warmth"].std[0]
    assert values(wrong)["warmth", "mae"] == pytest.approx(one_sd, rel=1e-4)
