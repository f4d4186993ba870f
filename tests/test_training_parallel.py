"""Several processes, one network

Written by nbdev-export from the check cells of nbs/api/training/01_parallel.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

from mtl_explain.training.parallel import (
    ShareBatches, _is_shared_norm, _part, _shared_norms, as_of_first, joined_processes, own_part,
    process_count, process_number, shared_training, wait_for_all,
)
from mtl_explain.training.runs import load_run


program = """
import os, signal, sys
import torch
import numpy as np
from fastai.callback.core import Callback
from fastai.optimizer import SGD
from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.learner import multitask_learner
from mtl_explain.training import runs
from mtl_explain.training.parallel import joined_processes, process_number, shared_training
from mtl_explain.training.runs import train_run

write = runs.save_netcdf

def by_the_first(ds, path):
    if process_number():
        raise RuntimeError(f"process {process_number()} writes {path.name}, too")
    write(ds, path)

runs.save_netcdf = by_the_first

class Die(Callback):
    def before_epoch(self):
        if self.epoch == 2 and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)

def world():
    samples = toy_samples(96, size=8).copy(deep=True)
    rng = np.random.default_rng(1)
    samples["warmth"].values[rng.random(96) < 0.5] = np.nan
    samples["cover"].values[rng.random((96, 8, 8)) < 0.3] = -1
    unet = dict(optical=dict(type="unet", width=4, depth=1))
    more = dict(weighting=dict(type="uncertainty"), training=dict(augment=dict(look=dict())))
    return samples, Setup(unet, ("cover", "warmth"), **more)

def trained(folder, *cbs):
    options = dict(epochs=3, bs=13, lr=1e-2, bar=False, cbs=cbs)
    return train_run(*world(), folder, **options)

def tuned():
    learn = multitask_learner(*world(), bs=13, opt_func=SGD, trace=())
    with shared_training(learn), learn.no_bar(), learn.no_logging():
        learn.freeze()
        learn.fit(1, 1e-2)
        learn.unfreeze()
        learn.fit(1, 1e-2)
    return torch.cat([p.detach().flatten() for p in learn.model.parameters()])

if __name__ == "__main__":
    with joined_processes(timeout=60) as first:
        trained("two")
        weights = tuned()
        if first:
            torch.save(weights, "tuned.pt")
        trained("died", Die())
"""


@pytest.fixture(scope='module')
def codes_said_done_compared_ids_and_tuned():
    def in_two(folder):
        "Run the program in two processes; what came of each: exit code, and what it said."
        port = 20_000 + os.getpid() % 10_000  # below those that the system gives to others
        here = [p for p in (os.getcwd(), os.environ.get("PYTHONPATH")) if p]
        plain = dict(os.environ, MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE="2")
        plain |= dict(PYTHONPATH=os.pathsep.join(here))
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)
        words = [sys.executable, "-c", program]
        two = [subprocess.Popen(words, env=plain | dict(RANK=str(k)), **pipes) for k in range(2)]
        said = [p.communicate(timeout=300)[1] for p in two]
        return [p.returncode for p in two], said
    def largest_differences(one, other):
        "Of two runs: in the table of epochs, in the scores, in the trace."
        a, b = (run.metrics.drop(columns="seconds") for run in (one, other))
        errors = [np.abs(one.trace[n] - other.trace[n]).max().item() for n in ("loss", "error")]
        scores = np.abs(one.scores["value"] - other.scores["value"]).max()
        return np.abs(a - b).max().max(), scores, *errors
    with tempfile.TemporaryDirectory() as folder:
        codes, said = in_two(folder)
        if not (Path(folder) / "died").exists():
            raise RuntimeError(f"{codes}\n{said[0]}\n{said[1]}")
        namespace = {}
        exec(program, namespace)
        one = namespace["trained"](Path(folder) / "one")
        two = load_run(Path(folder) / "two")
        done = load_run(Path(folder) / "died").state
        resumed = namespace["trained"](Path(folder) / "died")
        compared = {
            name: largest_differences(one, run) for name, run in dict(two=two, resumed=resumed).items()
        }
        ids = [run.trace["sample"].values.tolist() for run in (one, two)]
        tuned = namespace["tuned"](), torch.load(Path(folder) / "tuned.pt", weights_only=True)
    return codes, said, done, compared, ids, tuned


def test_alone_one_is_the_first_of_one():
    "Who is there?"
    assert (process_count(), process_number()) == (1, 0)


def test_parts_follow_each_other_and_are_nearly_equal():
    "Who is there?"
    # parts follow each other and are nearly equal; alone, one has it all
    with mock.patch.dict(_part.__globals__, process_count=lambda: 3):
        assert [_part(k, 8) for k in range(3)] == [slice(0, 2), slice(2, 5), slice(5, 8)]
        assert _part(0, 2) == slice(0, 0)
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
    ours.__class__ = _shared_norms[nn.BatchNorm2d]
    assert isinstance(ours, nn.BatchNorm2d)
    for module in (theirs, ours):
        module.running_mean += 99  # as after some batches


    def alone(module):
        "Values and gradient, where there is nobody to add up with."
        with mock.patch.dict(_part.__globals__, _added_up=lambda v: v):
            values = torch.relu_(module(far))
            return values, torch.autograd.grad((values * weights).sum(), far)[0]


    for ours_is, theirs_is in zip(alone(ours), alone(theirs), strict=True):
        torch.testing.assert_close(ours_is, theirs_is, atol=1e-4, rtol=1e-4)
    for name, v in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], v)
    torch.testing.assert_close(ours.eval()(far), theirs.eval()(far))


def test_two_processes_train_what_one_trains(codes_said_done_compared_ids_and_tuned):
    "The same network."
    # two processes train what one trains: the table, the scores, the error of each sample
    codes, said, done, compared, ids, tuned = codes_said_done_compared_ids_and_tuned
    assert max(compared["two"]) < 1e-5
    assert ids[0] == ids[1] and len(set(ids[1])) == len(ids[1])


def test_frozen_then_trained_again_as_a_whole_within_one_block(codes_said_done_compared_ids_and_tuned):
    "The same network."
    codes, said, done, compared, ids, tuned = codes_said_done_compared_ids_and_tuned
    torch.testing.assert_close(tuned[1], tuned[0], atol=1e-5, rtol=1e-5)


def test_the_other_one_says_in_a_line_that_it_was_left_alone_and_the_run_goes(codes_said_done_compared_ids_and_tuned):
    "A process that dies."
    # the other one says in a line that it was left alone, and the run goes on, with one process too
    codes, said, done, compared, ids, tuned = codes_said_done_compared_ids_and_tuned
    line = said[0].strip().splitlines()[-1]
    assert codes == [1, -9], said
    assert "process 0 of 2: another process of this training has ended" in line
    assert done == "2 of 3 epochs"
    assert max(compared["resumed"]) < 1e-5


def test_what_is_asked_for_wrongly_is_one_line():
    "A process that dies."
    with mock.patch.dict("os.environ", dict(WORLD_SIZE="4")):
        with pytest.raises(ValueError, match="WORLD_SIZE is 4, but RANK is not set: start the proc"):
            with joined_processes():
                pass
    with joined_processes() as first:
        assert first
    learn = mock.Mock(**{"dls.train.bs": 3, "dls.train.dataset": range(9)})
    with mock.patch.dict(_part.__globals__, process_count=lambda: 4):
        sharing = ShareBatches()
        sharing.learn = learn
        with pytest.raises(ValueError, match="a batch of 3 samples cannot be shared by 4 processes"):
            sharing.before_fit()
        with pytest.raises(ValueError, match="weighting 'aggregation' needs the gradient of each"):
            with shared_training(learn):
                pass
