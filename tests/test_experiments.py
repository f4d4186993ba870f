"""Experiments

Written by nbdev-export from the check cells of nbs/api/60_experiments.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from pathlib import Path

import pytest

from mtl_explain.experiments import comparison, durations, find_runs, mean_sd, paper_table, train_table
from mtl_explain.modality import Setup
from mtl_explain.samples import toy_samples


@pytest.fixture(scope='module')
def samples_setups_home_and_runs():
    "Three variants of one question in the toy world."
    samples = toy_samples(96, size=8)
    unet = dict(optical=dict(type='unet', width=4, depth=1))
    setups = [Setup('optical', 'cover', name='baseline', encoders=unet),
              Setup(('optical', 'months'), 'cover', core='optical', name='mml', encoders=unet),
              Setup('optical', ('cover', 'warmth'), core='optical', name='mtl', encoders=unet)]
    home = Path(tempfile.mkdtemp())
    runs = train_table(samples, setups, home, seeds=(0, 1), epochs=2, bs=16, lr=1e-2, bar=False, device='cpu')
    return samples, setups, home, runs


def test_means_and_standard_deviations_by_hand(samples_setups_home_and_runs):
    "Comparing."
    samples, setups, home, runs = samples_setups_home_and_runs
    table = comparison(runs).set_index(['setup', 'task', 'metric'])
    values = [r.scores.query("split == 'test' and task == 'cover' and metric == 'accuracy'").value.item() for r in runs if r.setup.name == 'mml']
    assert table.loc[('mml', 'cover', 'accuracy'), 'mean'] == pytest.approx(sum(values) / 2)
    assert table.loc[('mml', 'cover', 'accuracy'), 'sd'] == pytest.approx(abs(values[0] - values[1]) / 2 ** .5)
    assert mean_sd(.7123, .0041) == '0.712 ± 0.004' and mean_sd(.7123) == '0.712'


def test_roles_and_scores_in_one_table(samples_setups_home_and_runs):
    "Comparing."
    samples, setups, home, runs = samples_setups_home_and_runs
    table = paper_table(runs)
    assert table.index.tolist() == ['baseline', 'mml', 'mtl'] and table['', 'variant'].tolist() == ['baseline', 'MML', 'MTL']
    assert table['warmth', 'mae'].tolist()[:2] == ['', ''] and '±' in table['warmth', 'mae']['mtl']
    assert list(durations(runs).index) == ['baseline', 'mml', 'mtl'] and (durations(runs) > 0).all()


def test_a_table_that_is_finished_is_only_read_and_can_be_found_again(samples_setups_home_and_runs):
    "Comparing."
    samples, setups, home, runs = samples_setups_home_and_runs
    stamps = {p: p.stat().st_mtime_ns for p in home.glob('**/*.safetensors')}
    again = train_table(samples, setups, home, seeds=(0, 1), epochs=2, bs=16, lr=1e-2, bar=False, device='cpu')
    assert stamps == {p: p.stat().st_mtime_ns for p in home.glob('**/*.safetensors')}
    assert paper_table(again).equals(paper_table(runs)) and len(find_runs(home)) == 6


def test_setups_without_names_of_their_own_would_share_a_folder(samples_setups_home_and_runs):
    "Comparing."
    samples, setups, home, runs = samples_setups_home_and_runs
    with pytest.raises(ValueError, match='need names that differ'): train_table(samples, [setups[0], setups[0]], home)
