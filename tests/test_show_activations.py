"""Activations

Written by nbdev-export from the check cells of nbs/api/show/02_activations.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest
import torch
from torch import nn

from mtl_explain.data.batches import SampleDataset, SampleLoader
from mtl_explain.setup import Setup
from mtl_explain.show.activations import activation_map, task_activations
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.learner import multitask_learner


@pytest.fixture(scope='module')
def samples_and_Trained():
    "Two tasks of toy samples, one of which reads the other."
    samples = toy_samples(24, size=8)
    reader = dict(cover=dict(type="soft-threshold", reads="elevation"))
    small = dict(optical=dict(width=4, depth=1))
    setup = Setup(small, dict(elevation={}, cover={}) | reader)
    class Trained:
        "What a run has, as far as it is needed here."

        def __init__(self):
            learner = multitask_learner(samples, setup, trace=(), device="cpu")
            self.network = learner.model.eval()
            self.modalities = learner.modalities
            self.setup = setup
    return samples, Trained


def test_two_channels_by_hand():
    "Why."
    # two channels by hand; the hook is gone afterwards
    double = nn.Conv2d(2, 2, 1, bias=False)
    with torch.no_grad():
        double.weight.copy_(2 * torch.eye(2)[..., None, None])
    network = nn.Sequential(double, nn.Identity())
    x = torch.tensor([1.0, -3]).view(1, 2, 1, 1).expand(1, 2, 2, 3)
    assert torch.equal(activation_map(network, double, x), torch.full((1, 2, 3), 2.0))
    assert torch.equal(activation_map(network, double, x, entering=False), torch.full((1, 2, 3), 4.0))
    assert network.training
    assert not double._forward_hooks
    with pytest.raises(ValueError, match="ReLU took no part"):
        activation_map(network, nn.ReLU(), x)


def test_the_fused_map_and_what_the_soft_threshold_adds_computed_without_hooks(samples_and_Trained):
    "Of a task."
    samples, Trained = samples_and_Trained
    run = Trained()
    images = SampleDataset(samples, ("optical",))
    loader = SampleLoader(images, run.modalities, bs=24, device="cpu")
    (x,) = loader.one_batch()
    with torch.no_grad():
        fused = run.network.body(x)
        head = run.network.heads["cover"]
        gate = torch.tanh(run.network(x)["elevation"] / (2 * head.temperature))
        added = head.threshold(gate * fused)
    close = dict(rtol=1e-4, atol=1e-6)
    found = task_activations(run, samples, "cover", "threshold", bs=7)
    np.testing.assert_allclose(found, added.abs().mean(1), **close)
    found = task_activations(run, samples, "cover")
    np.testing.assert_allclose(found, (fused + added).abs().mean(1), **close)
    assert task_activations(run, samples, "elevation").shape == (24, 8, 8)
    with pytest.raises(ValueError, match="the head of 'elevation' has no soft threshold"):
        task_activations(run, samples, "elevation", "threshold")
