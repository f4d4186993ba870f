"""Affinity of tasks

Written by nbdev-export from the check cells of nbs/api/roles/04_affinity.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile

import pytest
import torch
from safetensors.torch import load_file

from mtl_explain.roles.affinity import task_affinity
from mtl_explain.roles.designs import role_setup
from mtl_explain.setup import Setup
from mtl_explain.testing.role_worlds import role_world
from mtl_explain.training.runs import train_run
from mtl_explain.training.weights import weights_file


@pytest.fixture(scope='module')
def world():
    return role_world(n=1200, answered=0.5)


@pytest.fixture(scope='module')
def begun():
    return Setup(dict(image=dict(width=64)), "answer")


@pytest.fixture(scope='module')
def fast():
    return dict(epochs=4, bs=128, lr=1e-2, bar=False)


def test_the_recorder_changes_nothing(world, begun, fast):
    "A joint training."
    # the recorder changes nothing: weights are those of a training without it
    with tempfile.TemporaryDirectory() as d:
        table = task_affinity(world, begun, f"{d}/joint", every=2, **fast)
        joint = role_setup(begun, dict.fromkeys(table.index, "predict"), {})
        plain = train_run(world, joint, f"{d}/plain", trace=(), **fast)
        looked, not_looked = (load_file(weights_file(f"{d}/{n}")) for n in ("joint", "plain"))
        again = task_affinity(world, begun, f"{d}/joint", every=2, **fast)
    assert all(torch.equal(v, not_looked[n]) for n, v in looked.items())
    assert table.equals(again)
    table.round(4)


def test_a_task_that_is_the_main_one_itself_agrees_wholly(world, begun, fast):
    "A joint training."
    # a task that is the main one itself agrees wholly; its opposite in disguise, too; noise does not
    twins = world.drop_vars(["noisy", "shifted"]).assign(
        clean=(world.clean.dims, world.answer.values, world.clean.attrs)
    )
    with tempfile.TemporaryDirectory() as d:
        found = task_affinity(twins, begun, f"{d}/run", every=1, **fast)
    assert found.cosine["clean"] > found.cosine["unrelated"] + 0.2
    assert found.lookahead["clean"] > found.lookahead["unrelated"]
    found.round(4)
