"""Weights

Written by nbdev-export from the check cells of nbs/api/training/06_weights.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mtl_explain.modality import Modality
from mtl_explain.networks.multitask import MultitaskNetwork, with_network
from mtl_explain.setup import Setup
from mtl_explain.testing.scene import scene_modalities, scene_setup
from mtl_explain.training.weights import (
    epoch_of, fill_weights, load_matching, load_weights, state_folder, weights_digest, weights_file,
)


@pytest.fixture(scope='module')
def pairs_first_network_and_second_network():
    "Two networks with one body."
    def photograph(name):
        return Modality(name, "image", (3, 32, 32), channels=("red", "green", "blue"))
    pairs = {
        m.name: m
        for m in (
            photograph("early"),
            photograph("late"),
            Modality("change", "mask", (32, 32), classes=("no", "yes")),
        )
    }
    def network(seed, mods, setup, **options):
        torch.manual_seed(seed)
        return MultitaskNetwork(
            mods, with_network(setup, "fcsiamese", **dict(widths=[4, 8], depths=[1, 2]) | options)
        )
    def first_network():
        return network(0, pairs, Setup(("early", "late"), ("change",)))
    def second_network(**options):
        return network(1, scene_modalities(32), scene_setup(), **options)
    return pairs, first_network, second_network


def test_weights_that_are_damaged_pickled_or_of_another_network_are_refused():
    "The weights of a network."
    with tempfile.TemporaryDirectory() as d:
        path = Path(d) / "weights.safetensors"
        net = torch.nn.Linear(2, 1)
        torch.save(net.state_dict(), path)
        with pytest.raises(ValueError, match="pickled weights are refused"):
            load_weights(net, path)
        path.write_bytes(b"half")
        with pytest.raises(ValueError, match="no readable safetensors file"):
            load_weights(net, path)
        save_file({"other": torch.zeros(1)}, path)
        with pytest.raises(
            ValueError, match="weights of another network: weight is missing, and 2 more"
        ):
            load_weights(net, path)
        save_file({"weight": torch.ones(1, 2), "bias": torch.ones(1)}, path)
        load_weights(net, path)
        assert net(torch.ones(1, 2)).item() == 3


def test_another_shape_or_type_a_missing_counter_one_tensor_too_many():
    "The weights of a network."
    # another shape or type, a missing counter, one tensor too many: named, and nothing is filled in
    with tempfile.TemporaryDirectory() as d:
        path = Path(d) / "weights.safetensors"
        net = torch.nn.BatchNorm1d(2)
        right = {k: v.clone() for k, v in net.state_dict().items()}
        wrong = {
            r"weight is \(1,\) float32 there and \(2,\) float32 here": right
            | dict(weight=torch.ones(1)),
            r"bias is \(2,\) int64 there and \(2,\) float32 here": right
            | dict(bias=torch.ones(2, dtype=torch.int64)),
            "num_batches_tracked is missing": {
                k: v for k, v in right.items() if k != "num_batches_tracked"
            },
            "gain is unknown here": right | dict(gain=torch.ones(2)),
        }
        for match, weights in wrong.items():
            save_file({k: 3 * v for k, v in weights.items()}, path)
            with pytest.raises(
                ValueError, match=f"{path}: these are the weights of another network: {match}"
            ):
                load_weights(net, path)
        assert all(torch.equal(v, net.state_dict()[k]) for k, v in right.items())


def test_nan_and_infinity_are_refused_where_a_network_will_predict_and_kept():
    "The weights of a network."
    # NaN and infinity are refused where a network will predict, and kept where a training goes on
    with tempfile.TemporaryDirectory() as d:
        path = Path(d) / "weights.safetensors"
        net = torch.nn.Linear(2, 1)
        for bad in (torch.nan, torch.inf):
            save_file({"weight": torch.tensor([[1.0, bad]]), "bias": torch.ones(1)}, path)
            with pytest.raises(
                ValueError,
                match="weight holds NaN or infinity.*the file is damaged, or the training diverged",
            ):
                load_weights(net, path)
        fill_weights(net, path)
        assert torch.isinf(net.weight).any()


def test_the_newest_complete_state_and_its_file():
    "Where a run keeps them."
    with tempfile.TemporaryDirectory() as d:
        assert state_folder(d) is None
        with pytest.raises(
            FileNotFoundError, match="holds no weights: it is no run folder, or its training stopped"
        ):
            weights_file(d)
        for name in ("state-999", "state-1000", "state-1001.partial"):
            (Path(d) / name).mkdir()
        last = Path(d) / "state-1000" / "weights.safetensors"
        assert state_folder(d).name == "state-1000"
        assert weights_file(d) == last
        assert weights_file(Path(d) / "mine.safetensors").name == "mine.safetensors"
        save_file({"a": torch.ones(1)}, last)
        assert len(weights_digest(d)) == 16
        assert weights_digest(d) == weights_digest(last)
        for epoch in (7, 12):
            (Path(d) / f"best-{epoch:03d}.safetensors").write_bytes(b"")
        assert weights_file(d).name == "best-012.safetensors"
        assert epoch_of(weights_file(d)) == 12


def test_the_body_is_taken_the_heads_are_not(pairs_first_network_and_second_network):
    "To start from another network."
    pairs, first_network, second_network = pairs_first_network_and_second_network
    with tempfile.TemporaryDirectory() as d:
        path = Path(d) / "first.safetensors"
        first = first_network()
        second = second_network()
        first.body.encoder.stages[0][0][1].running_mean += 3
        save_file({k: v.contiguous() for k, v in first.state_dict().items()}, path)
        heads = {k: v.clone() for k, v in second.heads.state_dict().items()}
        found = load_matching(second, path)
    for k, v in first.body.state_dict().items():
        assert torch.equal(v, second.body.state_dict()[k])
    for k, v in heads.items():
        assert torch.equal(v, second.heads.state_dict()[k])
    n_body = len(first.body.state_dict())
    n_heads = len(first.heads.state_dict())
    assert len(found.taken) == n_body
    assert found.new == []
    assert len(found.left) == n_heads
    assert all(k.startswith("heads.change.") for k in found.left)
    assert str(found) == f"{n_body} of {n_body} tensors of the body taken, {n_heads} others left aside"


def test_weights_of_another_network_and_a_body_that_is_known_in_part(pairs_first_network_and_second_network):
    "To start from another network."
    pairs, first_network, second_network = pairs_first_network_and_second_network
    with tempfile.TemporaryDirectory() as d:
        path = Path(d) / "first.safetensors"
        save_file({k: v.contiguous() for k, v in first_network().state_dict().items()}, path)
        wider = second_network(widths=[6, 8])
        before = {k: v.clone() for k, v in wider.state_dict().items()}
        with pytest.raises(
            ValueError,
            match=r"first.safetensors: these are the weights of another network: "
            r"body.encoder.stages.0.0.0.weight is \(4, 3, 3, 3\) there and \(6, 3, 3, 3\) here",
        ):
            load_matching(wider, path)
        assert all(torch.equal(v, wider.state_dict()[k]) for k, v in before.items())
        save_file({"backbone.weight": torch.ones(3)}, path)
        with pytest.raises(ValueError, match="none of its 1 tensors has the name of one of the"):
            load_matching(wider, path)
        torch.save(wider.state_dict(), path)
        with pytest.raises(ValueError, match="pickled weights are refused"):
            load_matching(wider, path)
        one, two = (
            MultitaskNetwork(pairs, Setup(inputs, "change", network=dict(fusion=dict(widths=[4]))))
            for inputs in (("early",), ("early", "late"))
        )
        save_file({k: v.contiguous() for k, v in one.state_dict().items() if "fusion" not in k}, path)
        found = load_matching(two, path)
        assert found.taken
        assert all("encoders.early" in k for k in found.taken)
        assert all("encoders.late" in k or "fusion" in k for k in found.new)
