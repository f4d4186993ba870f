"""fastai's callbacks, one by one

Written by nbdev-export from the check cells of nbs/api/testing/07_callbacks.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from pathlib import Path
from unittest import mock

import fastai.callback.fp16
import pytest
import torch
from IPython.utils.capture import capture_output

from mtl_explain.setup import Setup
from mtl_explain.testing.callbacks import callbacks, fastai_callbacks
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.learner import multitask_learner


@pytest.fixture(scope='module')
def tried():
    "A world of a second."
    samples = toy_samples(64, size=8)
    setup = Setup(dict(optical=dict(type="unet", width=2, depth=1)), ("cover", "climate", "warmth"))
    def on_processor(device, **options):
        "Half precision without a GPU."
        return torch.autocast("cpu", **options)
    def tried(make):
        "A training with a callback; what a fastai user does next."
        with (
            tempfile.TemporaryDirectory() as folder,
            capture_output(),  # bars and tables
            mock.patch.object(fastai.callback.fp16, "autocast", on_processor),
        ):
            learn = multitask_learner(samples, setup, bs=8, device="cpu", path=Path(folder))
            with learn.no_logging():
                learn.fit_one_cycle(2, 1e-2, cbs=make(learn))
                learn.lr_find(num_it=6, show_plot=False)
                learn.get_preds(with_loss=True)
            run = learn.export("run")
            return learn.table, run.trace, run.predict(samples), learn.predict(samples)
    return tried


def test_a_row_for_every_callback_that_fastai_has_and_for_no_other():
    "The table."
    assert set(fastai_callbacks()) == set(callbacks)
    assert {h.verdict for h in callbacks.values()} == {"works", "works, see", "does not apply"}
    assert all(h.said for h in callbacks.values() if h.verdict != "works")


def test_what_works_works_and_leaves_table_trace_and_weights_as_a_learner_has(tried):
    "Tried."
    # what works works, and leaves table, trace and weights as a learner has them
    for name, habit in callbacks.items():
        if habit.make is None or habit.verdict == "does not apply":
            continue
        table, trace, kept, own = tried(habit.make)
        assert kept.equals(own), name
        assert len(table) == trace.sizes["epoch"] == 2, name


def test_what_does_not_apply_says_so_by_failing(tried):
    "Tried."
    for name, habit in callbacks.items():
        if habit.make is None or habit.verdict != "does not apply":
            continue
        with pytest.raises((AttributeError, TypeError, AssertionError)):
            tried(habit.make)
            print(f"{name} works now: change its row")
