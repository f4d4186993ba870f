"""Losses

Written by nbdev-export from the check cells of nbs/api/training/03_losses.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import math
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import mean_pinball_loss

from mtl_explain.modality import Modality
from mtl_explain.setup import Setup
from mtl_explain.training.losses import (
    FixedWeights, MultitaskLoss, _class_weights, element_losses, pinball_loss, relations, sample_losses,
    task_loss, valid_elements, weightings,
)


# a relation of one's own, and two tasks
class Agreement(torch.nn.Module):
    "Half the squared distance of two predictions."

    def __init__(self, mods, setup, tasks):
        super().__init__()
        self.tasks = tasks

    def forward(self, preds, y):
        return (preds[self.tasks[0]] - preds[self.tasks[1]]).square().mean() / 2


# a label and an image to try it on
@pytest.fixture(scope='module')
def label():
    return Modality("kind", "category", classes=("a", "b", "c"))


@pytest.fixture(scope='module')
def height():
    return Modality("height", "image", (1, 1, 2), channels=("height",))


@pytest.fixture(scope='module')
def mods():
    "A relation of one's own, and two tasks."
    return {n: Modality(n, "tabular", (1,), channels=("x",)) for n in "ab"}


def test_1_is_no_label_nan_no_measurement(label, height):
    "Element by element."
    # -1 is no label, NaN no measurement; zero is both
    assert valid_elements(torch.tensor([0, 2, -1]), label).tolist() == [True, True, False]
    assert valid_elements(torch.tensor([[[[0.0, torch.nan]]]]), height).tolist() == [[[[True, False]]]]


def test_two_labels_by_hand_and_a_missing_one(label):
    "Element by element."
    logits = torch.tensor([[100.0, 0.0, 0.0], [0.0, 0.0, 0.0], [5.0, 1.0, 0.0]])
    torch.testing.assert_close(
        element_losses(logits, torch.tensor([0, 2, -1]), label), torch.tensor([0.0, math.log(3), 0.0])
    )


def test_two_pixels_by_hand(height):
    "Element by element."
    pred = torch.tensor([[[[3.0, 7.0]]]], requires_grad=True)
    y = torch.tensor([[[[1.0, torch.nan]]]])
    loss = element_losses(pred, y, height)
    assert loss.tolist() == [[[[4.0, 0.0]]]]
    loss.sum().backward()
    assert pred.grad.tolist() == [[[[4.0, 0.0]]]], "no gradient, and no NaN, where the label is missing"


def test_a_batch_is_the_mean_over_elements_not_over_samples(height):
    "By sample, and by batch."
    pred = torch.zeros(2, 1, 1, 2)
    y = torch.tensor([[[[2.0, 2.0]]], [[[5.0, torch.nan]]]])
    assert sample_losses(pred, y, height).tolist() == [4, 25]
    assert task_loss(pred, y, height).item() == 11


def test_class_weights_by_hand_and_as_torch_has_them(label):
    "By sample, and by batch."
    rare = torch.tensor([0.05, 0.95, 0.95])
    logits = torch.tensor([[100.0, 0.0, 0.0], [100.0, 0.0, 0.0], [3.0, 2.0, 1.0]])
    assert task_loss(logits, torch.tensor([0, 1, -1]), label, rare).item() == pytest.approx(95)
    assert task_loss(torch.zeros(2, 3), torch.tensor([0, 2]), label, rare).item() == pytest.approx(
        math.log(3)
    )
    g = torch.Generator().manual_seed(0)
    pred = torch.randn(8, 3, generator=g)
    y = torch.tensor([0, 1, 2, 0, 0, -1, 1, 0])
    torch.testing.assert_close(
        task_loss(pred, y, label, rare), F.cross_entropy(pred, y, weight=rare, ignore_index=-1)
    )


def test_without_missing_labels_it_is_torchs_own_loss():
    "By sample, and by batch."
    g = torch.Generator().manual_seed(0)
    pred = torch.randn(4, 3, 5, 5, generator=g)
    y = torch.randint(0, 3, (4, 5, 5), generator=g)
    cover = Modality("cover", "mask", (5, 5), classes=("a", "b", "c"))
    torch.testing.assert_close(task_loss(pred, y, cover), F.cross_entropy(pred, y))
    torch.testing.assert_close(sample_losses(pred, y, cover).mean(), F.cross_entropy(pred, y))
    z = torch.randn(4, 3, generator=g)
    torch.testing.assert_close(
        task_loss(z, z + 2, Modality("z", "tabular", (3,), channels="abc")), F.mse_loss(z, z + 2)
    )


def test_pinball_loss_by_hand_with_a_missing_value():
    "By sample, and by batch."
    # pinball loss by hand, with a missing value; and as scikit-learn has it
    pred = torch.tensor([[[0.0], [1.0], [3.0]], [[0.0], [0.0], [0.0]], [[9.0], [9.0], [9.0]]])
    y = torch.tensor([[2.0], [-1.0], [torch.nan]])
    levels = (0.1, 0.5, 0.9)
    by_hand = [(0.1 * 2 + 0.5 * 1 + 0.1 * 1) / 3, (0.9 * 1 + 0.5 * 1 + 0.1 * 1) / 3]
    assert pinball_loss(pred, y, levels).item() == pytest.approx(sum(by_hand) / 2)
    g = torch.Generator().manual_seed(0)
    pred = torch.randn(50, 3, 2, 4, generator=g)
    y = torch.randn(50, 2, 4, generator=g)
    theirs = [
        mean_pinball_loss(y.ravel().numpy(), pred[:, k].ravel().numpy(), alpha=a)
        for k, a in enumerate(levels)
    ]
    assert pinball_loss(pred, y, levels).item() == pytest.approx(sum(theirs) / 3, rel=1e-5)
    pred.requires_grad_()
    nothing = pinball_loss(pred, torch.full_like(y, torch.nan), levels)
    nothing.backward()
    assert nothing == 0 and not pred.grad.any()
    sample = torch.randn(4001, 1, generator=g)  # smallest where the quantiles are
    grid = torch.linspace(-2, 2, 81)
    for a in levels:
        losses = [pinball_loss(v.expand(4001, 1, 1), sample, (a,)).item() for v in grid]
        best = grid[losses.index(min(losses))].item()
        assert best == pytest.approx(sample.quantile(a).item(), abs=0.06)


def test_nothing_to_learn_from(label, height):
    "By sample, and by batch."
    for m, y in ((label, torch.full((2,), -1)), (height, torch.full((2, 1, 1, 2), torch.nan))):
        pred = (
            torch.zeros(2, 3, requires_grad=True)
            if m.is_label
            else torch.zeros(2, 1, 1, 2, requires_grad=True)
        )
        loss = task_loss(pred, y, m)
        loss.backward()
        assert loss == 0
        assert not pred.grad.any()
        assert sample_losses(pred, y, m).isnan().all()


def test_classes_of_weight_zero_alone(label):
    "By sample, and by batch."
    # classes of weight zero alone: nothing to learn from either
    nothing = task_loss(torch.zeros(2, 3), torch.tensor([1, 1]), label, torch.tensor([1.0, 0, 1]))
    assert nothing == 0


def test_two_tasks_by_hand(label, height):
    "Together."
    loss = MultitaskLoss(
        dict(kind=label, height=height),
        Setup("optical", dict(kind=dict(weight=3), height=dict(weight=1))),
    )
    preds = dict(kind=torch.zeros(1, 3), height=torch.full((1, 1, 1, 2), 2.0))
    y = dict(kind=torch.tensor([1]), height=torch.zeros(1, 1, 1, 2))
    assert {t: v.item() for t, v in loss.parts(preds, y).items()} == pytest.approx(
        dict(kind=math.log(3), height=4)
    )
    assert loss(preds, y).item() == pytest.approx(0.75 * math.log(3) + 0.25 * 4)
    assert loss({t: p.half() for t, p in preds.items()}, y).dtype == torch.float32


def test_what_the_sum_is_told_of_labels_what_it_keeps_and_the_numbers_in_half(label, height):
    "Together."
    # what the sum is told of labels, what it keeps, and the numbers in half precision
    told = {}


    class Told(FixedWeights):
        "Remembers which tasks are known."

        def forward(self, parts, known):
            told.update({t: v.item() for t, v in known.items()})
            return super().forward(parts, known)


    roles = Setup("optical", ("kind", "height"), weighting=dict(type="told"))
    with mock.patch.dict(weightings, told=Told):
        loss = MultitaskLoss(dict(kind=label, height=height), roles)
    preds = dict(kind=torch.zeros(2, 3), height=torch.full((2, 1, 1, 2), 2.0))
    y = dict(kind=torch.tensor([-1, -1]), height=torch.tensor([[[[0.0, torch.nan]]]] * 2))
    assert loss(preds, y).item() == 0.5 * 4
    assert told == dict(kind=0, height=1)
    assert loss.class_weights("kind") is None
    assert not loss.state_dict()
    assert (loss.relation_weights, loss.related(preds, y)) == ([], [])
    weighting = dict(kind=dict(loss=dict(class_weights=[1, 0, 3])), height={})
    loss = MultitaskLoss(dict(kind=label, height=height), Setup("optical", weighting))
    assert loss.class_weights("kind").tolist() == [1, 0, 3]
    assert loss.class_weights("height") is None
    assert not loss.state_dict(), "weights of a run hold nothing that the setup says"
    near = dict(kind=torch.tensor([[2.0, 1, 0]]).half(), height=torch.full((1, 1, 1, 2), 0.1).half())
    y = dict(kind=torch.tensor([2]), height=torch.zeros(1, 1, 1, 2))
    by_hand = task_loss(near["kind"].float(), y["kind"], label, torch.tensor([1.0, 0, 3]))
    assert loss.parts(near, y)["kind"].item() == by_hand.item()


def test_class_weights_and_relations_come_from_the_setup(mods, label):
    "Together."
    tied = dict(type="agreement", tasks=["a", "b"], weight=0.5)
    with mock.patch.dict(relations, agreement=Agreement):
        loss = MultitaskLoss(mods, Setup("x", ("a", "b"), relations=(tied,)))
        assert (
            loss(
                dict(a=torch.tensor([[1.0]]), b=torch.tensor([[3.0]])),
                dict(a=torch.zeros(1, 1), b=torch.zeros(1, 1)),
            ).item()
            == 0.5 * 1 + 0.5 * 9 + 0.5 * 2
        )
    for name in ("kind", "soil.kind"):  # whatever the name
        weights = dict(class_weights=[0.05, 0.95, 0.95])
        loss = MultitaskLoss({name: label}, Setup("x", {name: dict(loss=weights)}))
        logits = torch.tensor([[100.0, 0, 0], [100.0, 0, 0]])
        found = loss({name: logits}, {name: torch.tensor([0, 1])})
        assert found.item() == pytest.approx(95)
    for options, match in (
        (dict(targets=dict(kind=dict(loss=dict(class_weights=[1, 2])))), "2 weights for 3 classes"),
        (dict(weighting=dict(type="magic")), "no weighting 'magic'"),
        (dict(relations=(dict(type="love"),)), "no relation 'love'"),
        (dict(weighting=dict(speed=3)), "weighting: '' has no option 'speed'"),
    ):
        with pytest.raises(ValueError, match=match):
            MultitaskLoss(dict(kind=label), Setup(**(dict(inputs="x", targets="kind") | options)))


def test_a_relation_counts_once_unless_its_entry_says_otherwise_and_class(mods, label, height):
    "Together."
    # a relation counts once unless its entry says otherwise, and class weights are checked
    alike = dict(type="agreement", tasks=["a", "b"])
    with mock.patch.dict(relations, agreement=Agreement):
        loss = MultitaskLoss(mods, Setup("x", ("a", "b"), relations=(alike, alike | dict(weight=3))))
    preds = dict(a=torch.tensor([[1.0]]), b=torch.tensor([[3.0]]))
    y = dict(a=torch.zeros(1, 1), b=torch.zeros(1, 1))
    assert [v.item() for v in loss.related(preds, y)] == [2, 6]
    assert loss(preds, y).item() == 0.5 * 1 + 0.5 * 9 + 2 + 6
    assert _class_weights("kind", label, [0, 0.5, 2]).tolist() == [0, 0.5, 2]
    assert _class_weights("kind", label, [0, 0, 1]).dtype == torch.float32
    for odd in ([-1, 1, 1], [0, 0, 0], [math.inf, 1, 1], [math.nan, 1, 1], ["a", 1, 1]):
        with pytest.raises(ValueError, match="class_weights of 'kind' are .*, expected numbers from 0"):
            _class_weights("kind", label, odd)
    with pytest.raises(ValueError, match="'height': it is of kind image and has no classes"):
        _class_weights("height", height, [1, 1])
    with pytest.raises(ValueError, match="the loss of 'kind' has no option 'focal'; it has class_w"):
        MultitaskLoss(dict(kind=label), Setup("x", dict(kind=dict(loss=dict(zeal=1, focal=2)))))
