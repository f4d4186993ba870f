"""Devices

Written by nbdev-export from the check cells of nbs/api/testing/06_devices.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from mtl_explain.change.metrics import HeightScores, SemanticScores
from mtl_explain.data.augment import augment_batch, draw_look, draw_place, move, move_back
from mtl_explain.modality import kinds
from mtl_explain.networks.choosing import encoders
from mtl_explain.networks.fusion import Fusion
from mtl_explain.networks.heads import QuantileHead, heads
from mtl_explain.networks.layers import Dropout
from mtl_explain.networks.multitask import MultitaskNetwork, bodies, example_inputs
from mtl_explain.testing.devices import FakeDevice, example_networks, zero_targets
from mtl_explain.training.confidence import own_scale, sample_confidence, sample_errors
from mtl_explain.training.losses import MultitaskLoss, relations, weightings
from mtl_explain.training.metrics import comparable, predictions, task_scores
from mtl_explain.training.program import NativeNetwork
from mtl_explain.training.recorder import batch_record
from mtl_explain.trust.adapt import objectives


@pytest.fixture(scope='module')
def networks():
    return example_networks()


def test_mixed_devices_forgotten_constants_and_double_precision_are_found():
    "A device that is not there."
    class Forgetful(nn.Module):
        "Adds numbers that it forgot to register."

        def __init__(self):
            super().__init__()
            self.forgotten = torch.ones(3)
            self.kept = nn.Parameter(torch.ones(3))

        def forward(self, x, how):
            if how == "kept":
                return x + self.kept
            if how == "forgotten":
                return x + self.forgotten
            return x + torch.ones(3)


    gpu = FakeDevice()
    x = gpu.put(torch.zeros(2, 3))
    assert gpu.call(Forgetful(), x, "kept").is_cuda
    for how in ("forgotten", "made on the way"):
        with pytest.raises(Exception, match="same device|FakeTensors first"):
            gpu.call(Forgetful(), x, how)
    assert not gpu.doubles
    with gpu:
        x.double()
        assert x[x > 0].is_cuda
        assert not bool(x.any())
    assert gpu.doubles


def test_nothing_of_the_package_is_left_out(networks):
    "One of everything."
    used = set()
    used_weightings = set()
    used_relations = set()
    read = set()
    predicted = set()
    for mods, setup in networks.values():
        read |= {mods[n].kind for n in setup.inputs}
        predicted |= {mods[t].kind for t in setup.targets}
        used |= {type(m) for m in MultitaskNetwork(mods, setup, pretrained=False).modules()}
        loss = MultitaskLoss(mods, setup)
        used_weightings.add(type(loss.weighting))
        used_relations |= {type(r) for r in loss.relations}
    assert used >= {*encoders.values(), *bodies.values(), Fusion, Dropout, QuantileHead}
    assert read == set(kinds)
    assert predicted == {k for k, kind in kinds.items() if kind.head}
    assert used >= {getattr(head, "func", head) for head in heads.values()}
    assert used_weightings == set(weightings.values())
    assert used_relations == set(relations.values())


def test_networks_losses_weightings_relations_recorder_and_metrics_keep_to_the(networks):
    "Where it was put, in single precision."
    # networks, losses, weightings, relations, recorder and metrics keep to the device
    gpu = FakeDevice()
    mistakes = {}
    for name, (mods, setup) in networks.items():
        net = MultitaskNetwork(mods, setup, pretrained=False).train()
        loss = MultitaskLoss(mods, setup)
        x, y = gpu.put((example_inputs(mods, setup.inputs, n=4), zero_targets(mods, setup)))
        try:
            preds = gpu.call(net, x)
            total = gpu.call(loss, preds, y)
            with gpu:
                record = batch_record(preds, y, mods, setup.targets)
                pairs = [comparable(preds[t].float(), y[t], mods[t]) for t in setup.targets]
        except Exception as error:
            mistakes[name] = f"{type(error).__name__}: {error}"
            continue
        assert all(p.is_cuda for p in preds.values()), name
        assert total.is_cuda, name
        assert all(v.is_cuda for k, v in record.items() if k != "moments"), name
        assert all(predicted.device == true.device for predicted, true in pairs), name
    assert not mistakes
    assert not gpu.doubles


def test_the_scores_of_changes_keep_to_the_device():
    "Where it was put, in single precision."
    gpu = FakeDevice()
    label, height = gpu.put((torch.zeros(2, 8, 8, dtype=torch.long), torch.zeros(2, 8, 8)))
    with gpu, warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Accessing the data pointer"
        )  # torchmetrics copies its states
        scores = SemanticScores().to("cuda")
        scores.update(label, label)
        assert set(scores.compute()) > {"miou", "f1"}
        HeightScores().to("cuda").update(height, height, label)
    assert not gpu.doubles


def test_scores_confidence_and_what_outputs_mean_keep_to_the_device(networks):
    "Where it was put, in single precision."
    gpu = FakeDevice()
    for name in ("all targets", "labels predicted", "quantiles"):
        mods, setup = networks[name]
        net = MultitaskNetwork(mods, setup, pretrained=False).eval()
        loss = MultitaskLoss(mods, setup)
        x, y = gpu.put((example_inputs(mods, setup.inputs, n=4), zero_targets(mods, setup)))
        preds = gpu.call(net, x)
        with gpu, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Accessing the data pointer")
            found = loss.activation(preds)
            kept = [*found.values(), *loss.decodes(found).values()]
            for t in setup.targets:
                m = mods[t]
                kept.append(predictions(preds[t], m))
                if m.is_label and m.kind != "multilabel":
                    kept += sample_confidence(preds[t], y[t], m, 1.5).values()
                elif not m.is_label:
                    kept += sample_errors(preds[t], y[t], own_scale(preds, t)).values()
                if m.is_label:
                    task_scores(m).to("cuda").update(*comparable(preds[t], y[t], m))
            assert all(v.is_cuda for v in kept), name
    assert not gpu.doubles


def test_weights_over_epochs_programs_in_native_units_and_adaptation_keep_to(networks):
    "Where it was put, in single precision."
    # weights over epochs, programs in native units and adaptation keep to the device
    gpu = FakeDevice()
    mods, setup = networks["weighting dwa"]
    weighting = MultitaskLoss(mods, setup).weighting
    buffers = gpu.put(dict(weighting.named_buffers()))
    with gpu:
        for name, buffer in buffers.items():
            setattr(weighting, name, buffer)
        weighting.end_epoch()
    assert weighting.epochs.is_cuda
    mods, setup = networks["all inputs"]
    native = NativeNetwork(MultitaskNetwork(mods, setup), dict(zone=1.5)).eval()
    x, y = gpu.put((example_inputs(mods, setup.inputs, n=4), zero_targets(mods, setup)))
    assert all(v.is_cuda for v in gpu.call(native, x).values())
    mods, setup = networks["all targets"]
    net = MultitaskNetwork(mods, setup)
    x, y = gpu.put((example_inputs(mods, setup.inputs, n=4), zero_targets(mods, setup)))
    preds = gpu.call(net, x)
    with gpu:
        for small in objectives.values():
            assert small(preds, y, net, ("elevation", "zone")).is_cuda
    assert not gpu.doubles


def test_augmentation_keeps_to_the_device(networks):
    "Where it was put, in single precision."
    gpu = FakeDevice()
    mods, setup = networks["all targets"]
    rng = np.random.default_rng(0)
    places = [draw_place(rng) for _ in range(4)]
    looks = [draw_look(rng) for _ in range(4)]
    x, y = gpu.put((example_inputs(mods, setup.inputs, n=4), zero_targets(mods, setup)))
    with gpu:
        lit = augment_batch(x, y, mods, places, looks, ("optical",))
        moved = augment_batch(x, y, mods, places, outside="unchanged")
        turned = dict(flip=True, turns=1, zoom=1, shift=(0, 0))
        back = move_back(move(x["optical"], turned, True, []), turned)
    assert all(v.is_cuda for part in (*lit, *moved) for v in part.values())
    assert back.is_cuda
    assert not gpu.doubles


def test_bfloat16_and_float16(networks):
    "Half precision."
    # bfloat16 and float16: finite losses and gradients
    def not_finite(name, dtype):
        "What is NaN or infinite in one pass forward and back."
        mods, setup = networks[name]
        torch.manual_seed(0)
        net = MultitaskNetwork(mods, setup, pretrained=False).train()
        loss = MultitaskLoss(mods, setup)
        x = example_inputs(mods, setup.inputs, n=4, seed=0)
        y = zero_targets(mods, setup)
        with torch.autocast("cpu", dtype=dtype):
            preds = net(x)
            total = loss(preds, y)
        total.backward()
        found = [t for t, p in preds.items() if not p.isfinite().all()]
        found += [] if total.isfinite() else ["loss"]
        trained = [*net.named_parameters(), *loss.named_parameters()]
        return found + [n for n, p in trained if p.grad is not None and not p.grad.isfinite().all()]


    for dtype in (torch.bfloat16, torch.float16):
        found = {name: not_finite(name, dtype) for name in networks}
        assert not {name: what for name, what in found.items() if what}, dtype
