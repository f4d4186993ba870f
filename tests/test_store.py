"""The store

Written by nbdev-export from the check cells of nbs/api/11_store.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import errno
import json
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import xarray as xr

from mtl_explain.samples import modalities, toy_samples
from mtl_explain.store import (
    _check_block, _check_template, _differences, _merge, _moments, _reserve, contiguous_layout,
    existing_store, identity, open_store, placeholder, read_manifest, save_samples, store_format,
    training_statistics, write_store,
)


@pytest.fixture(scope='module')
def world():
    "A small made-up world."
    return toy_samples()


@pytest.fixture(scope='module')
def reader_of(world):
    "Reads the made-up world, notes each call, and may be interrupted at one of them."
    def reader_of(calls, stop_at=None):
        def read_block(start, stop):
            if start == stop_at: raise KeyboardInterrupt
            calls.append(start)
            return {n: world[n].values[start:stop] for n in world.data_vars}
        return read_block
    return reader_of


def test_a_terabyte_of_nothing():
    "The structure of the file."
    assert placeholder((10**9, 32, 32), 'uint8').nbytes == 1024 * 10**9


def test_each_modality_has_its_place_aligned_to_memory_pages(world):
    "The structure of the file."
    with tempfile.TemporaryDirectory() as folder:
        _reserve(Path(folder)/'a.nc', world)
        layout = contiguous_layout(Path(folder)/'a.nc')
        assert set(world.data_vars) <= set(layout)
        assert all(layout[n][0] % 4096 == 0 and layout[n][1:] == (world[n].dtype, world[n].shape) for n in world.data_vars)
        empty = xr.open_dataset(Path(folder)/'a.nc', engine='h5netcdf').load()
    assert list(empty.sample.values) == list(world.sample.values) and list(empty.band.values) == ['red', 'green', 'blue']


def test_what_is_wrong_with_a_block_is_said_before_it_is_written(world):
    "One block."
    climate, months, ids = world.climate[:4], world.months[:4], world.sample.values[:4]
    assert np.array_equal(_check_block('climate', climate.values, climate, ids), climate.values)
    with pytest.raises(ValueError, match=r"'climate': a label outside 0..3 .* in 1 samples, first in s0002"): _check_block('climate', np.array([0, -1, 4, 1]), climate, ids)
    with pytest.raises(ValueError, match="'months': infinite values in 4 samples"): _check_block('months', months.values + np.float32(np.inf), months, ids)
    with pytest.raises(ValueError, match=r'expected shape \(4, 12, 1\), got \(4, 11, 1\)'): _check_block('months', months.values[:, 1:], months, ids)
    with pytest.raises(ValueError, match='expected type float32, got float64'): _check_block('months', months.values.astype(float), months, ids)


def test_the_identity_says_what_differs(world):
    "Who made this store?"
    one = identity(dict(size=32), [dict(name='a.tif', sha256='00')], world)
    assert _differences(one, identity(dict(size=32), [dict(name='a.tif', sha256='00')], world)) == ''
    assert _differences(one, identity(dict(size=48), [dict(name='a.tif', sha256='01')])) == 'settings and sources'
    assert _differences(one, identity(dict(size=32), [dict(name='a.tif', sha256='00')], world.isel(sample=slice(9)))) == 'samples'


def test_what_stands_in_the_way_is_told_apart():
    "Who made this store?"
    with tempfile.TemporaryDirectory() as folder:
        assert not existing_store(Path(folder)/'new', {}, [])
        with pytest.raises(FileExistsError, match='is in the way: .* has no manifest.json'): existing_store(folder, {}, [])
        for text, message in (('{', 'is damaged'), ('{"store_format": 0}', 'store format 0, this version reads format 1')):
            (Path(folder)/'manifest.json').write_text(text)
            with pytest.raises(ValueError, match=message): read_manifest(folder)
        (Path(folder)/'manifest.json').write_text(json.dumps(dict(store_format=store_format, identity=identity(dict(size=32), []))))
        assert existing_store(folder, dict(size=32), [])
        with pytest.raises(FileExistsError, match='other settings: choose'): existing_store(folder, dict(size=16), [])
    with pytest.raises(FileNotFoundError, match='no store at nowhere'): read_manifest('nowhere')


def test_merged_moments_are_those_of_numpy_where_naive_sums_in_float32_fail():
    "Statistics of the training split."
    values = np.random.default_rng(0).normal(1e4, 1, (1, 200_000))
    values[0, ::7] = np.nan
    n, mean, squares, low, high = _merge(_moments(values[:, :50]), _merge(_moments(values[:, 50:9999]), _moments(values[:, 9999:])))
    assert n == np.isfinite(values).sum() and np.isclose(mean, np.nanmean(values), rtol=1e-14) and np.isclose(squares / n, np.nanvar(values), rtol=1e-10)
    assert (low, high) == (np.nanmin(values), np.nanmax(values))
    x = values[np.isfinite(values)].astype('float32')
    naive = np.cumsum(x**2, dtype='float32')[-1] / len(x) - (np.cumsum(x, dtype='float32')[-1] / len(x)) ** 2
    print(f'variance: numpy {np.nanvar(values):.4f}, merged {squares[0] / n[0]:.4f}, naive float32 sums {naive:.0f}')


def test_statistics_are_those_of_numpy_over_the_training_split_whatever_the(world):
    "Statistics of the training split."
    # statistics are those of numpy over the training split, whatever the block
    train = world.isel(sample=world.split.values == 'train')
    for block in (7, None):
        stats = training_statistics(world, block=block)
        assert np.allclose(stats['optical']['mean'], train.optical.mean(('sample', 'y', 'x'))) and np.allclose(stats['optical']['std'], train.optical.astype(float).std(('sample', 'y', 'x')))
        assert stats['months']['channels'] == ['temperature'] and np.isclose(stats['months']['max'][0], train.months.max())
        assert stats['cover']['count'] == [int((train.cover == k).sum()) for k in range(3)]


def test_missing_values_are_counted_and_change_nothing_else(world):
    "Statistics of the training split."
    gaps = world.copy(deep=True)
    gaps.climate[:5], gaps.months[0, :3] = -1, np.nan
    gaps.warmth[:] = np.nan
    stats = training_statistics(gaps)
    assert stats['climate']['missing'] == 5 and sum(stats['climate']['count']) == (world.split == 'train').sum() - 5
    assert stats['months']['missing'] == [3] and np.isclose(stats['months']['mean'][0], np.nanmean(gaps.months[gaps.split.values == 'train'], dtype=float))
    assert stats['warmth']['mean'] == [None] and stats['warmth']['count'] == [0]
    with pytest.raises(ValueError, match="the split 'train' is empty"): training_statistics(world.isel(sample=world.split.values == 'test'))


def test_what_is_stored_is_read_back_with_and_without_this_package(world):
    "Opening."
    with tempfile.TemporaryDirectory() as folder:
        path = save_samples(world, Path(folder)/'world', block=20, progress=False)
        back, theirs = open_store(path), xr.open_dataset(path/'samples.nc', engine='h5netcdf').load()
        for other in (back, theirs):
            xr.testing.assert_equal(other, world)
            assert modalities(other) == modalities(world)
        assert not (Path(folder)/'world.partial').exists() and sorted(p.name for p in path.iterdir()) == ['manifest.json', 'samples.nc']
        del back


def test_modalities_are_memory_maps(world):
    "Opening."
    with tempfile.TemporaryDirectory() as folder:
        back = open_store(save_samples(world, Path(folder)/'world', progress=False))
        data = back.optical.variable._data
        while data.base is not None and not isinstance(data, np.memmap): data = data.base
        assert isinstance(data, np.memmap) and not back.optical.values.flags.writeable
        batch = back.isel(sample=[5, 2, 90])
        assert np.array_equal(batch.optical, world.optical[[5, 2, 90]])
        del back, data


def test_what_the_manifest_of_the_made_up_world_says(world):
    "Opening."
    with tempfile.TemporaryDirectory() as folder:
        manifest = read_manifest(save_samples(world, Path(folder)/'world', settings=dict(seed=0), sources=[dict(name='made up', sha256='')], dropped={'under water': 3}, progress=False))
    print(json.dumps({k: v for k, v in manifest.items() if k not in ('created', 'statistics')}, indent=1))
    print('statistics of the training split:', json.dumps({k: manifest['statistics'][k] for k in ('warmth', 'climate')}, indent=1))
    assert manifest['samples'] == 96 and manifest['splits'] == dict(train=64, valid=16, test=16) and manifest['statistics'] == training_statistics(world)


def test_what_was_interrupted_goes_on(world, reader_of):
    "Interrupted."
    first, second = [], []
    with tempfile.TemporaryDirectory() as folder:
        dest = Path(folder)/'world'
        with pytest.raises(KeyboardInterrupt): write_store(dest, world, reader_of(first, 20), block=10, progress=False)
        assert not dest.exists() and first == [0, 10]
        write_store(dest, world, reader_of(second), block=10, progress=False)
        assert second == list(range(20, 96, 10))
        xr.testing.assert_equal(open_store(dest).load(), world)


def test_a_full_disk_is_one_clear_line_and_what_was_written_stays(world):
    "Interrupted."
    def full(*args): raise OSError(errno.ENOSPC, 'No space left on device')
    with tempfile.TemporaryDirectory() as folder:
        dest = Path(folder)/'world'
        with mock.patch('shutil.disk_usage', return_value=mock.Mock(free=10**5)), pytest.raises(OSError, match='needs 1 MB, but only 0 MB are free'):
            save_samples(world, dest, progress=False)
        assert not list(Path(folder).iterdir())
        with mock.patch('os.fsync', side_effect=full), pytest.raises(OSError, match='the disk is full; what is written stays in .*world.partial'):
            save_samples(world, dest, progress=False)
        assert not dest.exists()
        save_samples(world, dest, progress=False)
        xr.testing.assert_equal(open_store(dest).load(), world)


def test_bad_data_leave_nothing_behind(world):
    "Interrupted."
    bad = world.copy(deep=True)
    bad.elevation[50, 0, 3, 3] = np.inf
    with tempfile.TemporaryDirectory() as folder:
        with pytest.raises(ValueError, match="'elevation': infinite values in 1 samples, first in s0050"): save_samples(bad, Path(folder)/'world', block=10, progress=False)
        with pytest.raises(ValueError, match="the split 'train' is empty"): save_samples(world.isel(sample=world.split.values == 'test'), Path(folder)/'world', progress=False)
        with pytest.raises(ValueError, match="no values for 'climate' in samples s0000 .. s0095"): write_store(Path(folder)/'world', world, lambda a, b: dict(cover=world.cover.values[a:b]), progress=False)
        assert not list(Path(folder).iterdir())


def test_the_same_store_is_reused_another_one_is_never_overwritten(world, reader_of):
    "Interrupted."
    with tempfile.TemporaryDirectory() as folder:
        dest, calls = Path(folder)/'world', []
        save_samples(world, dest, settings=dict(size=16), progress=False)
        before = (dest/'manifest.json').read_text()
        write_store(dest, world, reader_of(calls), settings=dict(size=16), progress=False)
        assert calls == [] and (dest/'manifest.json').read_text() == before
        with pytest.raises(FileExistsError, match='was made with other settings'): save_samples(world, dest, settings=dict(size=8), progress=False)
        with pytest.raises(KeyboardInterrupt): write_store(Path(folder)/'b', world, reader_of([], 0), settings=dict(size=16), progress=False)
        with pytest.raises(FileExistsError, match=r'b.partial was begun with other settings'): save_samples(world, Path(folder)/'b', settings=dict(size=8), progress=False)


def test_a_damaged_store_is_one_clear_line(world):
    "Interrupted."
    with tempfile.TemporaryDirectory() as folder:
        dest = save_samples(world, Path(folder)/'world', progress=False)
        whole = (dest/'samples.nc').read_bytes()
        (dest/'samples.nc').write_bytes(whole[:-1000])
        with pytest.raises(ValueError, match='it is truncated or was changed'): open_store(dest)
        (dest/'samples.nc').unlink()
        with pytest.raises(FileNotFoundError, match='it has no samples.nc'): open_store(dest)
        manifest = json.loads((dest/'manifest.json').read_text()) | dict(store_format=99)
        (dest/'manifest.json').write_text(json.dumps(manifest))
        with pytest.raises(ValueError, match='was written in store format 99, this version reads format 1'): open_store(dest)


def test_a_template_that_cannot_become_a_store_is_refused(world):
    "Interrupted."
    for odd, message in ((world.drop_vars(list(world.data_vars)), 'nothing to store'), (world.assign(note=('sample', np.zeros(96))), "'note' is no modality"),
                         (world.assign_coords(split=('sample', np.where(np.arange(96) < 50, 'train', 'holdout'))), "unknown split 'holdout'")):
        with pytest.raises(ValueError, match=message): _check_template(odd)
