"""Search

Written by nbdev-export from the check cells of nbs/api/roles/06_search.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import sys
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from fastai.callback.core import Callback

from mtl_explain.roles.search import main_losses, search_roles
from mtl_explain.setup import Setup
from mtl_explain.testing.role_worlds import role_world
from mtl_explain.training.experiments import train_table


@pytest.fixture(scope='module')
def home_world_begun_how_and_found():
    home = Path(tempfile.mkdtemp())
    world = role_world(("clean", "noisy", "unrelated"), n=600, regions=24, answered=0.5, seed=1)
    begun = Setup(dict(image=dict(width=32)), "answer")
    how = dict(epochs=6, bs=128, lr=1e-2, bar=False)
    found = search_roles(world, begun, home / "search", trials=20, **how)
    found.table.round(3).head(6)
    return home, world, begun, how, found


@pytest.fixture(scope='module')
def luck(home_world_begun_how_and_found):
    home, world, begun, how, found = home_world_begun_how_and_found
    quick = dict(how, epochs=4)
    rows = []
    for seed in range(5):
        nothing = role_world(("unrelated",) * 3, n=600, regions=24, answered=0.5, seed=seed)
        lucky = search_roles(nothing, begun, home / f"lucky-{seed}", trials=12, **quick)
        fresh = train_table(nothing, [lucky.setup], home / f"fresh-{seed}", (100, 101, 102), **quick)
        anew = np.mean([np.nanmin(main_losses(run.folder, "answer")) for run in fresh])
        every = lucky.trials.loss
        rows.append((lucky.code, every.mean(), every.std(), lucky.table.loss.iloc[0], anew))
    columns = ["chosen", "loss of all", "sd", "loss of the chosen", "with new seeds"]
    luck = pd.DataFrame(rows, columns=columns).rename_axis("world")
    luck.round(4)
    return luck


def test_the_clean_one_is_read(home_world_begun_how_and_found):
    "A world in which it matters."
    # the clean one is read; every training stands in the table once, seeds of a setup are its own
    home, world, begun, how, found = home_world_begun_how_and_found
    assert found.table.iloc[0]["clean"] == "read"
    assert len(found.trials) == 20 == found.table.trainings.sum() + found.table.pruned.sum()
    assert not found.trials.duplicated(["code", "seed"]).any()
    assert found.setup.name == found.code


def test_called_again_it_reads_with_more_trials_it_goes_on(home_world_begun_how_and_found):
    "A world in which it matters."
    # called again it reads, with more trials it goes on; the first ones stay as they were
    home, world, begun, how, found = home_world_begun_how_and_found
    written = {p: p.stat().st_mtime_ns for p in home.rglob("search/*/*.csv")}
    again = search_roles(world, begun, home / "search", trials=20, **how)
    assert written == {p: p.stat().st_mtime_ns for p in home.rglob("search/*/*.csv")}
    pd.testing.assert_frame_equal(again.trials, found.trials)
    longer = search_roles(world, begun, home / "search", trials=22, **how)
    pd.testing.assert_frame_equal(longer.trials.head(20), found.trials)
    assert len(longer.trials) == 22


def test_a_training_that_is_interrupted_is_gone_on_with_and_is_not_counted(home_world_begun_how_and_found):
    "A world in which it matters."
    # a training that is interrupted is gone on with, and is not counted twice
    home, world, begun, how, found = home_world_begun_how_and_found
    class Stop(Callback):
        def after_epoch(self):
            if self.epoch == 2:
                raise KeyboardInterrupt


    few = dict(how, epochs=4)
    with pytest.raises(KeyboardInterrupt):
        search_roles(world, begun, home / "stopped", trials=1, cbs=[Stop()], **few)
    (begun_run,) = [p for p in (home / "stopped").iterdir() if p.is_dir()]
    after = search_roles(world, begun, home / "stopped", trials=1, **few)
    assert len(after.trials) == 1
    assert [p for p in (home / "stopped").iterdir() if p.is_dir()] == [begun_run]
    assert len(main_losses(begun_run, "answer")) == 4


def test_another_search_in_the_folder_no_trials_no_optuna(home_world_begun_how_and_found):
    "A world in which it matters."
    # another search in the folder, no trials, no Optuna: one line each
    home, world, begun, how, found = home_world_begun_how_and_found
    with pytest.raises(ValueError, match="this folder holds another search: roles was .* now"):
        search_roles(world, begun, home / "search", ("clean",), trials=30, **how)
    with pytest.raises(ValueError, match="trials is 0, expected at least 1"):
        search_roles(world, begun, home / "none", trials=0)
    with mock.patch.dict(sys.modules, {"optuna": None}):
        with pytest.raises(ImportError, match=r"pip install 'mtl_explain\[search\]'"):
            search_roles(world, begun, home / "none")
    assert not (home / "none").exists()


def test_the_best_of_a_search_is_too_good_where_nothing_is_to_be_found(luck):
    "Where there is nothing to find."
    assert (luck["loss of the chosen"] < luck["loss of all"]).all()
    assert (luck["with new seeds"] - luck["loss of the chosen"]).mean() > 0
