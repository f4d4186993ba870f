"""Command line

Written by nbdev-export from the check cells of nbs/api/70_cli.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import io
import os
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from unittest import mock

import pytest
import typer

from mtl_explain.cli import main


# calling the command line in a process of its own, and in this one
def command(*words):
    "Exit code, output and lines of errors."
    code = 'from mtl_explain.cli import main; main()'
    env = {k: v for k, v in os.environ.items() if 'COLOR' not in k} | dict(COLUMNS='100', TERM='dumb')
    done = subprocess.run([sys.executable, '-c', code, *words], capture_output=True, text=True, env=env)
    return done.returncode, done.stdout, done.stderr.strip().splitlines()


def output(*words):
    "What a command that works prints."
    with redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit) as stop: main(list(words))
    assert stop.value.code == 0, out.getvalue()
    return out.getvalue()


def test_every_command_has_help():
    "Does it keep its promises?"
    for words in ([], ['demo'], ['train'], ['explain'], ['report'], ['data'], ['data', 'list'], ['data', 'fetch'], ['data', 'prepare'], ['data', 'describe']):
        code, out, err = command(*words, '--help')
        assert code == 0 and 'Usage: mtl_explain' in out and not err


def test_the_command_line_does_not_load_pytorch_before_it_has_something_to():
    "Does it keep its promises?"
    # the command line does not load PyTorch before it has something to compute
    code = 'import sys, mtl_explain.cli; print(any(m in sys.modules for m in ("torch", "fastai", "matplotlib", "xarray")))'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.strip() == 'False'


def test_datasets_are_listed_and_described():
    "Does it keep its promises?"
    assert 'globe' in output('data', 'list')
    with tempfile.TemporaryDirectory() as d:
        with mock.patch.dict(os.environ, MTL_EXPLAIN_DATA=d): described = output('data', 'describe', 'globe')  # an empty data folder: the shipped sample
    assert 'landcover' in described and 'splits: ' in described and 'landcover-mtl' in described


def test_mistakes_are_one_line_and_exit_code_1():
    "Does it keep its promises?"
    code, _, lines = command('explain', 'nowhere')
    assert (code, lines) == (1, ['error: nowhere is not a run folder: it has no config.json'])
    code, _, lines = command('data', 'describe', 'mars')
    assert code == 1 and lines == ["error: there is no dataset 'mars'; known: globe"]
    code, _, lines = command('train', 'globe', 'landcover-best')
    assert code == 1 and "there is no setup 'landcover-best'; known: landcover-baseline" in lines[-1]


def test_ctrl_c_is_exit_code_130_and_says_that_the_next_call_goes_on():
    "Does it keep its promises?"
    def interrupted(): raise KeyboardInterrupt
    probe = typer.Typer()
    probe.command()(interrupted)
    with pytest.raises(SystemExit) as stop, mock.patch.dict(main.__globals__, app=probe): main([])
    assert stop.value.code == 130


def test_the_demo_on_the_small_sample_from_nothing_to_a_report_and_again_from():
    "Does it keep its promises?"
    # the demo on the small sample, from nothing to a report, and again from what is there
    with tempfile.TemporaryDirectory() as d:
        words = ['demo', '--sample', '--family', 'precipitation', '--epochs', '2', '--out', d]
        first = output(*words)
        page = Path(d)/'sample'/'precipitation-mtl-seed0'/'report'/'report.html'
        assert str(page.resolve()) in first and page.stat().st_size > 50_000
        assert 'report:' in output(*words)
        assert '?' in output('explain', str(page.parent.parent))
        assert 'report.html' in output('report', str(page.parent.parent), '--out', str(Path(d)/'again'))
