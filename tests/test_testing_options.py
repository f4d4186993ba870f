"""Options of training

Written by nbdev-export from the check cells of nbs/api/testing/03_options.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import contextlib
import io
import itertools
import tempfile
from pathlib import Path
from unittest import mock

import fastai.callback.fp16
import numpy as np
import pytest
import torch
from fastai.callback.core import Callback

from mtl_explain.testing.options import covering_groups, exclusive, option_pairs, options, plain_training
from mtl_explain.training.runs import train_run


def on_processor(device, dtype):
    return torch.amp.autocast("cpu", dtype=dtype)
class StopOnce(Callback):
    "Interrupts the training before its second epoch, once."

    def __init__(self):
        self.armed = True

    def before_epoch(self):
        if self.armed and self.epoch == 1:
            self.armed = False
            raise KeyboardInterrupt
def weights_of(training, folder, stop):
    "The weights at the end of a training, in one go or in two."
    callbacks = [make() for make in training.callbacks]
    how = dict(epochs=2, bs=8, lr=5e-3, bar=False, device="cpu", keep="last", trace=("test",))
    if stop:
        with pytest.raises(KeyboardInterrupt):
            train_run(*parts(training), folder, cbs=[*callbacks, StopOnce()], **how)
        callbacks = [make() for make in training.callbacks]
    run = train_run(*parts(training), folder, cbs=callbacks, **how)
    assert np.isfinite(run.metrics[["train_loss", "valid_loss"]].values).all()
    predicted = run.predict(training.samples)
    assert all(np.isfinite(predicted[t].values).all() for t in training.setup.targets)
    return run.network.state_dict()
def parts(training):
    return training.samples, training.setup
def problem_of(names):
    "What goes wrong with some options together; empty if nothing."
    training = plain_training()
    for name in names:
        training = options[name](training)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),  # where SaveModel keeps its model
        contextlib.redirect_stdout(io.StringIO()),
        mock.patch.object(fastai.callback.fp16, "autocast", on_processor),
    ):
        try:
            whole, resumed = (
                weights_of(training, Path(folder) / str(stop), stop) for stop in (False, True)
            )
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    different = [n for n, v in whole.items() if not torch.equal(v, resumed[n])]
    return f"resumed, {len(different)} tensors differ" if different else ""


@pytest.fixture(scope='module')
def groups():
    return covering_groups()


def test_each_pair_stands_in_a_group_and_no_group_has_two_weightings(groups):
    "Every pair."
    covered = {frozenset(p) for g in groups for p in itertools.combinations(g, 2)}
    assert option_pairs() <= covered
    assert all(len(exclusive & set(g)) == 1 for g in groups)
    print(f"{len(option_pairs())} pairs of {len(options)} options in {len(groups)} groups")


def test_all_pairs_compose(groups):
    "Every pair."
    problems = {}
    for group in groups:
        if problem_of(group):
            problems |= {p: problem_of(p) for p in itertools.combinations(group, 2)}
    assert not {p: text for p, text in problems.items() if text}
