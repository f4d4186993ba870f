"""Wheels as carriers

Written by nbdev-export from the check cells of nbs/api/16_wheels.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import hashlib
import os
import tempfile
import zipfile
from pathlib import Path
from unittest import mock

import platformdirs
import pytest

from mtl_explain.wheels import check_wheel, data_folder, fetch_wheels, read_from_wheel


# a wheel with one file in it
def tiny_wheel(folder, text='hello'):
    path = Path(folder)/'wheels'/'tiny-1.0-py3-none-any.whl'
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, 'w') as wheel: wheel.writestr('tiny/data.txt', text)
    return dict(package='tiny', version='1.0', wheel=path.name, file='tiny/data.txt', sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_an_argument_comes_before_the_environment_the_environment_before_the():
    "Wheels as carriers."
    # an argument comes before the environment, the environment before the cache
    with mock.patch.dict(os.environ, MTL_EXPLAIN_DATA='there'):
        assert data_folder('here') == Path('here') and data_folder() == Path('there')
    with mock.patch.dict(os.environ):
        os.environ.pop('MTL_EXPLAIN_DATA', None)
        assert data_folder() == Path(platformdirs.user_cache_dir('mtl_explain'))


def test_another_file_under_the_same_name_is_an_error_which_names_both_hashes():
    "What a source is."
    with tempfile.TemporaryDirectory() as folder:
        source = tiny_wheel(folder)
        path = Path(folder)/'wheels'/source['wheel']
        assert check_wheel(path, source) == path
        with pytest.raises(ValueError, match=f"tiny 1.0: the wheel .* has sha256 {source['sha256']}, expected 00; remove it and fetch again"): check_wheel(path, source | dict(sha256='00'))


def test_wheels_that_are_there_are_not_downloaded_again():
    "Downloading."
    with tempfile.TemporaryDirectory() as folder, mock.patch('subprocess.run') as run:
        source = tiny_wheel(folder)
        wheels = fetch_wheels(dict(greeting=source), folder, progress=False)
        assert not run.called and wheels == dict(greeting=Path(folder)/'wheels'/source['wheel'])


def test_pip_is_asked_for_exactly_that_version_and_what_it_brings_is_moved_to():
    "Downloading."
    # pip is asked for exactly that version, and what it brings is moved to its place
    def pip(command, **options):
        assert command[1:4] == ['-m', 'pip', 'download'] and '--no-deps' in command and command[-1] == 'tiny==1.0'
        tiny_wheel(there := Path(command[command.index('--dest') + 1]))
        os.replace(there/'wheels'/source['wheel'], there/source['wheel'])
        return mock.Mock(returncode=0, stderr='')
    with tempfile.TemporaryDirectory() as elsewhere, tempfile.TemporaryDirectory() as folder:
        source = tiny_wheel(elsewhere)
        with mock.patch('subprocess.run', side_effect=pip): assert fetch_wheels(dict(greeting=source), folder, progress=False)['greeting'].exists()
        with mock.patch('subprocess.run', side_effect=pip), pytest.raises(ValueError, match='tiny 1.0: the wheel .* expected 00'):
            fetch_wheels(dict(greeting=source | dict(sha256='00')), Path(folder)/'other', progress=False)
        assert not list((Path(folder)/'other'/'wheels').iterdir())


def test_a_download_that_fails_is_one_clear_line():
    "Downloading."
    source = dict(package='tiny', version='1.0', wheel='tiny.whl', sha256='00')
    for answer, message in ((mock.Mock(returncode=1, stderr='...\nERROR: no network'), 'ERROR: no network'), (mock.Mock(returncode=0, stderr=''), 'no such wheel arrived')):
        with tempfile.TemporaryDirectory() as folder, mock.patch('subprocess.run', return_value=answer):
            with pytest.raises(OSError, match=f'could not download tiny==1.0: {message}'): fetch_wheels(dict(a=source), folder, progress=False)


def test_one_file_is_read_and_a_missing_or_damaged_wheel_is_one_clear_line():
    "Reading."
    with tempfile.TemporaryDirectory() as folder:
        source = tiny_wheel(folder)
        path = Path(folder)/'wheels'/source['wheel']
        assert read_from_wheel(path, source['file']) == b'hello'
        with pytest.raises(ValueError, match="cannot be read: .*tiny/other.txt"): read_from_wheel(path, 'tiny/other.txt')
        path.write_bytes(b'PK and then nothing')
        with pytest.raises(ValueError, match='cannot be read'): read_from_wheel(path, source['file'])
    with pytest.raises(FileNotFoundError, match='nowhere.whl is missing: fetch it first'): read_from_wheel(Path('nowhere.whl'), 'a')
