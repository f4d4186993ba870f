"""Weighting of losses

Written by nbdev-export from the check cells of nbs/api/training/00_weighting.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import math
import sys
from types import SimpleNamespace
from unittest import mock

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch
from fastai.callback.core import Callback
from fastai.callback.fp16 import AMPMode, MixedPrecision

from mtl_explain.modality import Modality
from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.learner import multitask_learner
from mtl_explain.training.losses import MultitaskLoss
from mtl_explain.training.weighting import (
    AggregateGradients, Aggregation, DynamicWeightAverage, Uncertainty, aggregator,
)


# two tasks to weigh
@pytest.fixture(scope='module')
def mods():
    return dict(
        kind=Modality("kind", "category", classes=("a", "b", "c")),
        height=Modality("height", "tabular", (1,), channels=("height",)),
    )


@pytest.fixture(scope='module')
def setup():
    return Setup("optical", ("kind", "height"))


@pytest.fixture(scope='module')
def base_and_weights_over_epochs():
    "The same training with each weighting."
    samples = toy_samples(192)
    base = dict(
        inputs=dict(optical=dict(type="unet", width=8, depth=2)),
        targets=("cover", "elevation", "climate", "warmth"),
    )
    def weights_over_epochs(kind, epochs=8):
        "Weights after each epoch, scaled to sum to 1."
        learn = multitask_learner(
            samples,
            Setup(**base, weighting=dict(type=kind)),
            bs=16,
            lr=1e-2,
            device="cpu",
            trace=(),
            metrics=[],
        )
        found = []
        for _ in range(epochs):
            with learn.no_bar(), learn.no_logging():
                learn.fit(1)
            w = learn.loss_func.weighting.current()
            found.append([v / sum(w.values()) for v in w.values()])
        return found, learn
    return base, weights_over_epochs


@pytest.fixture(scope='module')
def samples_base_and_gradients():
    "A toy world with three tasks."
    samples = toy_samples(96)
    base = dict(
        inputs=dict(optical=dict(type="unet", width=4, depth=2)),
        targets=("cover", "elevation", "climate"),
    )
    def gradients(weighting, roles=base, more=()):
        "Gradients of all weights after one batch."
        learn = multitask_learner(
            samples,
            Setup(**roles, weighting=weighting),
            bs=96,
            lr=0.0,
            device="cpu",
            trace=(),
            metrics=[],
        )
        found = {}

        class Look(Callback):
            def after_backward(self):
                found.update({n: p.grad.clone() for n, p in self.model.named_parameters()})

            def after_cancel_backward(self):
                self.after_backward()

        with learn.no_bar(), learn.no_logging(), learn.added_cbs([Look(), *more]):
            learn.fit(1)
        return found
    return samples, base, gradients


def test_by_hand_and_where_it_comes_to_rest(mods, setup):
    "Uncertainty."
    weighting = Uncertainty(mods, setup)
    parts = dict(kind=torch.tensor(3.0), height=torch.tensor(8.0))
    known = dict(kind=1.0, height=1.0)
    assert weighting(parts, known).item() == 7
    assert weighting.current() == dict(kind=1, height=0.5)
    optimiser = torch.optim.Adam(weighting.parameters(), 0.05)
    for _ in range(600):
        optimiser.zero_grad()
        weighting(parts, known).backward()
        optimiser.step()
    torch.testing.assert_close(
        weighting.log_variance.detach(), torch.tensor([6.0, 8.0]).log(), atol=1e-3, rtol=0
    )
    assert [w * parts[t].item() for t, w in weighting.current().items()] == pytest.approx(
        [0.5, 0.5], abs=1e-3
    )


def test_away_from_the_start_by_hand(mods, setup):
    "Uncertainty."
    # away from the start, by hand; a task without a label costs nothing, not even its noise
    weighting = Uncertainty(mods, setup)
    with torch.no_grad():
        weighting.log_variance.copy_(torch.tensor([math.log(2), math.log(4)]))
    parts = dict(kind=torch.tensor(3.0), height=torch.tensor(8.0))
    assert weighting.current() == pytest.approx(dict(kind=1 / 2, height=0.5 / 4))
    full = 3 / 2 + math.log(2) / 2 + 8 / 8 + math.log(4) / 2
    assert weighting(parts, dict(kind=1.0, height=1.0)).item() == pytest.approx(full)
    parts["height"] = torch.tensor(0.0)
    known = dict(kind=1.0, height=0.0)
    assert weighting(parts, known).item() == pytest.approx(3 / 2 + math.log(2) / 2)


def test_batches_without_labels_change_nothing(mods):
    "Uncertainty."
    def learnt_weight(every):
        "The weight of `height` after many batches, of which one in `every` has labels."
        torch.manual_seed(0)
        loss = MultitaskLoss(
            mods, Setup("optical", ("kind", "height"), weighting=dict(type="uncertainty"))
        )
        optimiser = torch.optim.SGD(loss.parameters(), lr=0.05)
        preds = dict(kind=torch.zeros(64, 3), height=torch.zeros(64, 1))
        for i in range(60 * every):
            y = dict(kind=torch.zeros(64, dtype=torch.long), height=torch.randn(64, 1))
            if i % every:
                y["height"][:] = torch.nan
            optimiser.zero_grad()
            loss(preds, y).backward()
            optimiser.step()
        return loss.weighting.current()["height"]


    assert learnt_weight(1) == pytest.approx(0.5, abs=0.05)
    assert learnt_weight(10) == pytest.approx(learnt_weight(1), abs=0.05)


def test_by_hand(mods, setup):
    "Dynamic weight average."
    # by hand; a batch without a label of a task does not count for it
    known = dict(kind=1.0, height=1.0)
    weighting = DynamicWeightAverage(mods, setup)
    for first in (4.0, 2.0):
        assert weighting.current() == dict(kind=0.5, height=0.5)
        for _ in range(2):
            assert (
                weighting(dict(kind=torch.tensor(first), height=torch.tensor(3.0)), known).item()
                == (first + 3) / 2
            )
        with torch.no_grad():
            weighting(dict(kind=torch.tensor(99.0), height=torch.tensor(99.0)), known)
        unlabelled = dict(kind=torch.tensor(first), height=torch.tensor(0.0))
        weighting(unlabelled, dict(kind=1.0, height=0.0))
        weighting.end_epoch()
    a = math.exp(1 / 4)
    b = math.exp(1 / 2)
    assert weighting.current() == pytest.approx(dict(kind=a / (a + b), height=b / (a + b)))
    last = weighting(dict(kind=torch.tensor(a + b), height=torch.tensor(0.0)), known)
    assert last.item() == pytest.approx(a)


def test_means_over_unequal_epochs_and_what_nobody_knows_yet(mods, setup):
    "Dynamic weight average."
    weighting = DynamicWeightAverage(mods, setup)


    def seen(kind, height, labelled=1.0):
        "One batch."
        parts = dict(kind=torch.tensor(kind), height=torch.tensor(height))
        return weighting(parts, dict(kind=1.0, height=labelled)).item()


    def shares(first, second):
        "Weights of two rates."
        a, b = math.exp(first / 2), math.exp(second / 2)
        return pytest.approx(dict(kind=a / (a + b), height=b / (a + b)))


    assert weighting.epochs.isnan().all()
    assert weighting.total.tolist() == weighting.batches.tolist() == [0, 0]
    seen(4.0, 3.0)
    assert (weighting.total.tolist(), weighting.batches.tolist()) == ([4, 3], [1, 1])
    weighting.end_epoch()
    assert weighting.epochs[0].isnan().all() and weighting.epochs[1].tolist() == [4, 3]
    assert weighting.total.tolist() == weighting.batches.tolist() == [0, 0]
    seen(1.0, 6.0)
    seen(2.0, 0.0, labelled=0.0)
    seen(3.0, 0.0, labelled=0.0)
    weighting.end_epoch()
    assert weighting.epochs.tolist() == [[4, 3], [2, 6]]
    assert weighting.current() == shares(2 / 4, 6 / 3)
    seen(1.0, 0.0, labelled=0.0)
    weighting.end_epoch()
    assert weighting.epochs.tolist() == [[2, 6], [1, 6]]
    assert weighting.current() == shares(1 / 2, 1)
    weighting.epochs[:] = torch.tensor([[0.0, 2], [1, 1]])  # a loss that rose from zero
    assert weighting.current() == shares(1, 1 / 2)
    weighting.epochs[:] = torch.tensor([[torch.nan, 4], [1, 2]])  # a task that has just come in
    assert weighting.current() == shares(1, 1 / 2)
    assert DynamicWeightAverage(mods, setup, 4.0).temperature == 4


def test_weights_move_and_the_network_learns(base_and_weights_over_epochs):
    "In a training."
    base, weights_over_epochs = base_and_weights_over_epochs
    curves = {kind: weights_over_epochs(kind) for kind in ("uncertainty", "dwa")}
    fig, axs = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained", sharey=True)
    for ax, (kind, (found, learn)) in zip(axs, curves.items(), strict=True):
        for t, y, color in zip(
            base["targets"],
            zip(*found, strict=True),
            ("#0072b2", "#e69f00", "#009e73", "#cc79a7"),
            strict=True,
        ):
            ax.plot(y, label=t, color=color)
        ax.set(title=kind, xlabel="epoch")
        assert learn.loss_func(
            learn.model(learn.dls.train.one_batch()[0]), learn.dls.train.one_batch()[1]
        ).isfinite()
    axs[0].set_ylabel("share of the weights")
    axs[1].legend(fontsize=8, ncols=2)
    assert max(abs(a - b) for a, b in zip(*curves["uncertainty"][0][::7], strict=True)) > 0.01
    assert curves["dwa"][0][0] == [0.25] * 4


def test_from_a_setup_with_options(mods):
    "In a training."
    loss = MultitaskLoss(
        mods, Setup("optical", ("kind", "height"), weighting=dict(type="dwa", temperature=1.0))
    )
    assert loss.weighting.temperature == 1
    assert (
        len(
            list(
                MultitaskLoss(
                    mods, Setup("optical", ("kind", "height"), weighting=dict(type="uncertainty"))
                ).parameters()
            )
        )
        == 1
    )
    with pytest.raises(ValueError, match="weighting: 'dwa' has no option 'speed'"):
        MultitaskLoss(mods, Setup("optical", ("kind", "height"), weighting=dict(type="dwa", speed=1)))


def test_the_conflict_on_paper():
    "Which direction?"
    # the conflict on paper; no task loses
    jacobian = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])
    found = {
        m: aggregator(m, **o)(jacobian)
        for m, o in dict(Mean={}, UPGrad={}, PCGrad={}, MGDA={}, CAGrad=dict(c=0.5)).items()
    }
    torch.testing.assert_close(found["Mean"], torch.tensor([0.0, 0.5]))
    torch.testing.assert_close(found["UPGrad"], torch.tensor([0.25, 0.75]), atol=1e-3, rtol=0)
    assert (jacobian @ found["UPGrad"] > 0).all()
    assert not (jacobian @ found["Mean"] > 0).all()
    pd.DataFrame(
        {
            m: dict(
                zip(
                    ("x", "y", "first task", "second task"),
                    [*g.tolist(), *(jacobian @ g).tolist()],
                    strict=True,
                )
            )
            for m, g in found.items()
        }
    ).T.round(2)


def test_what_is_not_there_says_so():
    "Which direction?"
    with pytest.raises(ValueError, match="TorchJD has no aggregator 'Magic'; it has "):
        aggregator("Magic")
    with pytest.raises(ValueError, match="no aggregator 'Aggregator'"):
        aggregator("Aggregator")
    with pytest.raises(ValueError, match="no aggregator 'UPGradWeighting'"):
        aggregator("UPGradWeighting")
    with pytest.raises(ValueError, match="aggregator 'CAGrad': .*'c'"):
        aggregator("CAGrad")
    with (
        mock.patch.dict(sys.modules, torchjd=None),
        pytest.raises(ImportError, match="mtl_explain.aggregation"),
    ):
        aggregator("UPGrad")


def test_the_weighted_sum_by_hand_and_options_that_reach_the_aggregator(mods):
    "As a weighting."
    pulls = Setup("optical", dict(kind=dict(weight=3), height=dict(weight=1)))
    weighting = Aggregation(mods, pulls)
    parts = dict(kind=torch.tensor(2.0), height=torch.tensor(8.0))
    assert weighting(parts, {}).item() == 0.75 * 2 + 0.25 * 8
    assert type(weighting.aggregator).__name__ == "UPGrad"
    jacobian = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])
    for c in (0.1, 0.9):
        own = Aggregation(mods, pulls, "CAGrad", dict(c=c)).aggregator(jacobian)
        torch.testing.assert_close(own, aggregator("CAGrad", c=c)(jacobian))
    assert not torch.allclose(own, aggregator("CAGrad", c=0.1)(jacobian))


def test_the_sum_of_gradients_is_the_gradient_of_the_sum(samples_base_and_gradients):
    "As a weighting."
    samples, base, gradients = samples_base_and_gradients
    plain = gradients({})
    summed = gradients(dict(type="aggregation", method="Sum"))
    upgrad = gradients(dict(type="aggregation", method="UPGrad"))
    for name in plain:
        torch.testing.assert_close(summed[name], plain[name], atol=1e-5, rtol=1e-3)
    assert all(
        torch.allclose(upgrad[n], plain[n], atol=1e-5, rtol=1e-3)
        for n in plain
        if n.startswith("heads")
    )
    assert any(
        not torch.allclose(upgrad[n], plain[n], atol=1e-4) for n in plain if n.startswith("body")
    )


def test_weights_relations_and_what_others_do_to_the_loss_against_the_ordinary(samples_base_and_gradients):
    "As a weighting."
    # weights, relations and what others do to the loss, against the ordinary backward pass
    samples, base, gradients = samples_base_and_gradients
    tied = dict(
        inputs=base["inputs"],
        targets=dict(cover=dict(weight=1), climate=dict(weight=4), zone=dict(weight=3)),
        relations=(dict(type="hierarchy", tasks=["climate", "zone"], weight=2.0),),
    )


    class Halved(Callback):
        "Halves the loss before the backward pass, as gradient accumulation does."

        order = -10

        def after_loss(self):
            self.learn.loss_grad = self.learn.loss_grad / 2


    for more in ((), (Halved(),)):
        plain, summed = (gradients(w, tied, more) for w in ({}, dict(type="aggregation", method="Sum")))
        for name in plain:
            torch.testing.assert_close(summed[name], plain[name], atol=1e-5, rtol=1e-3)
    free = gradients(dict(type="aggregation", method="Sum"), tied | dict(relations=()))
    assert any(not torch.allclose(free[n], summed[n] * 2, atol=1e-4) for n in free)


def test_bfloat16_is_let_through_float16_is_not(mods, setup):
    "As a weighting."
    assert [type(cb) for cb in Aggregation(mods, setup).callbacks()] == [AggregateGradients]
    seen_by = SimpleNamespace(model=SimpleNamespace(body=torch.nn.Linear(1, 1)))
    for mode in (AMPMode.BF16, AMPMode.FP16):
        seen_by.cbs = [Callback(), MixedPrecision(amp_mode=mode)]
        aggregating = AggregateGradients()
        aggregating.learn = seen_by
        if mode == AMPMode.FP16:
            with pytest.raises(ValueError, match="does not train in float16.*use learn.to_bf16"):
                aggregating.before_fit()
            continue
        aggregating.before_fit()
        out = seen_by.model.body(torch.ones(1, 1))
        assert aggregating.features is out
        aggregating.after_fit()
        assert not seen_by.model.body._forward_hooks


def test_the_loss_falls(samples_base_and_gradients):
    "As a weighting."
    samples, base, gradients = samples_base_and_gradients
    learn = multitask_learner(
        samples,
        Setup(**base, weighting=dict(type="aggregation", method="UPGrad")),
        bs=16,
        lr=1e-2,
        device="cpu",
        trace=(),
        metrics=[],
    )
    with learn.no_bar(), learn.no_logging():
        learn.fit(4)
    losses = [row[0] for row in learn.recorder.values]
    assert losses[-1] < losses[0]
    assert not learn.model.body._forward_hooks
    with (
        learn.no_bar(),
        learn.no_logging(),
        pytest.raises(ValueError, match="'aggregation' does not train in float16"),
    ):
        learn.to_fp16().fit(1)
