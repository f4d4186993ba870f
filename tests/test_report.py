"""Reports

Written by nbdev-export from the check cells of nbs/api/61_report.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import re
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from mtl_explain.experiments import train_table
from mtl_explain.modality import Setup
from mtl_explain.report import figure_png, table_html, training_curves, write_report
from mtl_explain.samples import toy_samples


@pytest.fixture(scope='module')
def samples_home_and_runs():
    "A table of three runs."
    samples = toy_samples(192)
    unet = dict(optical=dict(type='unet', width=8, depth=2))
    setups = [Setup('optical', 'cover', name='baseline', encoders=unet),
              Setup(('optical', 'months'), 'cover', core='optical', name='mml', encoders=unet),
              Setup('optical', ('cover', 'elevation', 'climate', 'zone', 'warmth'), core='optical', name='mtl', weights=dict(cover=4, elevation=1, climate=1, zone=1, warmth=1), encoders=unet)]
    home = Path(tempfile.mkdtemp())
    runs = train_table(samples, setups, home, epochs=3, bs=16, lr=1e-2, bar=False, device='cpu')
    return samples, home, runs


def test_a_figure_becomes_bytes_a_table_html():
    "Pieces."
    fig, ax = plt.subplots()
    assert figure_png(ax)[:4] == b'\x89PNG' and not plt.fignum_exists(fig.number)
    html = table_html(pd.DataFrame(dict(a=[1.23456789, float('nan')])), rows=1)
    assert '1.235' in html and 'the first 1 of 2 rows' in html


def test_the_training_at_a_glance(samples_home_and_runs):
    "A report on the toy world."
    samples, home, runs = samples_home_and_runs
    fig = training_curves(runs[-1])
    assert [ax.get_title() for ax in fig.axes][:2] == ['loss', 'cover accuracy']


def test_one_self_contained_page_with_figures_and_tables_beside_it(samples_home_and_runs):
    "A report on the toy world."
    samples, home, runs = samples_home_and_runs
    page = write_report(runs[-1], samples, others=runs, n_boot=100, bar=False)
    text = page.read_text()
    assert re.findall(r'(?:src|href)="(?!data:)', text) == [], 'nothing points outside the page'
    assert text.count('<img') == 1 + len(list((page.parent/'figures').glob('*.png'))) and '{{' not in text
    assert {'baseline', 'mml', 'mtl'} <= set(pd.read_csv(page.parent/'tables'/'scores.csv', header=[0, 1], index_col=0).index)
    for question in ('Do other tasks fail where cover fails?',): assert question in text


def test_written_again_it_replaces_itself(samples_home_and_runs):
    "A report on the toy world."
    # written again, it replaces itself; a folder of something else is left alone
    samples, home, runs = samples_home_and_runs
    again = write_report(runs[-1], samples, others=runs, n_boot=100, bar=False)
    assert again.exists() and not list(again.parent.parent.glob('*.partial'))
    with tempfile.TemporaryDirectory() as d:
        (Path(d)/'thesis.tex').write_text('')
        with pytest.raises(FileExistsError, match='holds no report'): write_report(runs[-1], samples, folder=d, bar=False)


def test_without_the_samples_the_maps_are_left_out_and_the_page_says_so(samples_home_and_runs):
    "A report on the toy world."
    samples, home, runs = samples_home_and_runs
    text = write_report(runs[-1], folder=home/'bare', n_boot=100, bar=False).read_text()
    assert 'What does not apply' in text
