"""Aggregation of gradients

Written by nbdev-export from the check cells of nbs/api/41_aggregation.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import sys
from unittest import mock

import pandas as pd
import pytest
import torch
from fastai.callback.core import Callback

from mtl_explain.aggregation import aggregator
from mtl_explain.learner import multitask_learner
from mtl_explain.modality import Setup
from mtl_explain.samples import toy_samples


@pytest.fixture(scope='module')
def samples_base_and_gradients():
    "A toy world with three tasks."
    samples = toy_samples(96)
    base = dict(inputs='optical', targets=('cover', 'elevation', 'climate'), encoders=dict(optical=dict(type='unet', width=4, depth=2)))
    def gradients(weighting):
        "Gradients of all weights after one batch."
        learn, found = multitask_learner(samples, Setup(**base, weighting=weighting), bs=96, lr=0., device='cpu', trace=(), metrics=[]), {}
        class Look(Callback):
            def after_backward(self): found.update({n: p.grad.clone() for n, p in self.model.named_parameters()})
            def after_cancel_backward(self): self.after_backward()
        with learn.no_bar(), learn.no_logging(), learn.added_cbs(Look()): learn.fit(1)
        return found
    return samples, base, gradients


def test_the_conflict_on_paper():
    "Which direction?"
    # the conflict on paper; no task loses
    jacobian = torch.tensor([[1., 0.], [-1., 1.]])
    found = {m: aggregator(m, **o)(jacobian) for m, o in dict(Mean={}, UPGrad={}, PCGrad={}, MGDA={}, CAGrad=dict(c=.5)).items()}
    torch.testing.assert_close(found['Mean'], torch.tensor([0., .5]))
    torch.testing.assert_close(found['UPGrad'], torch.tensor([.25, .75]), atol=1e-3, rtol=0)
    assert (jacobian @ found['UPGrad'] > 0).all() and not (jacobian @ found['Mean'] > 0).all()
    pd.DataFrame({m: dict(zip(('x', 'y', 'first task', 'second task'), [*g.tolist(), *(jacobian @ g).tolist()])) for m, g in found.items()}).T.round(2)


def test_what_is_not_there_says_so():
    "Which direction?"
    with pytest.raises(ValueError, match="TorchJD has no aggregator 'Magic'; it has "): aggregator('Magic')
    with pytest.raises(ValueError, match="aggregator 'CAGrad': .*'c'"): aggregator('CAGrad')
    with mock.patch.dict(sys.modules, torchjd=None), pytest.raises(ImportError, match='mtl_explain.aggregation'): aggregator('UPGrad')


def test_the_sum_of_gradients_is_the_gradient_of_the_sum(samples_base_and_gradients):
    "As a weighting."
    samples, base, gradients = samples_base_and_gradients
    plain, summed, upgrad = gradients({}), gradients(dict(type='aggregation', method='Sum')), gradients(dict(type='aggregation', method='UPGrad'))
    for name in plain: torch.testing.assert_close(summed[name], plain[name], atol=1e-5, rtol=1e-3)
    assert all(torch.allclose(upgrad[n], plain[n], atol=1e-5, rtol=1e-3) for n in plain if n.startswith('heads'))
    assert any(not torch.allclose(upgrad[n], plain[n], atol=1e-4) for n in plain if n.startswith('body'))


def test_the_loss_falls(samples_base_and_gradients):
    "As a weighting."
    samples, base, gradients = samples_base_and_gradients
    learn = multitask_learner(samples, Setup(**base, weighting=dict(type='aggregation', method='UPGrad')), bs=16, lr=1e-2, device='cpu', trace=(), metrics=[])
    with learn.no_bar(), learn.no_logging(): learn.fit(4)
    losses = [row[0] for row in learn.recorder.values]
    assert losses[-1] < losses[0] and not learn.model.body._forward_hooks
