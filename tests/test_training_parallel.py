"""Several processes, one network

Written by nbdev-export from the check cells of nbs/api/training/01_parallel.ipynb.
Do not edit: change the notebook, then `make export`.
"""

from unittest import mock

import torch
from torch import nn

from mtl_explain.training.parallel import (
    SharedBatchNorm, _is_shared_norm, _part, as_of_first, own_part, process_count, process_number,
    wait_for_all,
)


def test_alone_one_is_the_first_of_one():
    "Who is there?"
    assert (process_count(), process_number()) == (1, 0)


def test_parts_follow_each_other_and_are_nearly_equal():
    "Who is there?"
    # parts follow each other and are nearly equal; alone, one has it all
    with mock.patch("mtl_explain.training.parallel.process_count", return_value=3):
        assert [_part(k, 8) for k in range(3)] == [slice(0, 2), slice(2, 5), slice(5, 8)]
        assert [own_part(2), _part(0, 2)] == [slice(0, 1), slice(0, 0)]
    assert own_part(8) == slice(0, 8)
    wait_for_all()
    assert as_of_first("mine") == "mine"


def test_alone_it_is_pytorchs_batch_normalisation():
    "Batch normalisation."
    # alone, it is PyTorch's batch normalisation: values, gradients, running statistics
    torch.manual_seed(0)
    far = (100 + 3 * torch.randn(6, 4, 5, 5)).requires_grad_()
    weights = torch.randn(6, 4, 5, 5)
    theirs, ours = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
    assert _is_shared_norm(ours)
    ours.__class__ = SharedBatchNorm
    for module in (theirs, ours):
        module.running_mean += 99  # as after some batches
    with mock.patch("mtl_explain.training.parallel._added_up", side_effect=lambda v: v):
        found = [torch.relu_(module(far)) for module in (theirs, ours)]
        slopes = [torch.autograd.grad((v * weights).sum(), far)[0] for v in found]
    torch.testing.assert_close(found[1], found[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(slopes[1], slopes[0], atol=1e-4, rtol=1e-4)
    for name, v in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], v)
    torch.testing.assert_close(ours.eval()(far), theirs.eval()(far))
