"""Hi-BCD

Written by nbdev-export from the check cells of nbs/api/24_hibcd.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr

from mtl_explain.datasets.hibcd import (
    _weights, build_tiles, change_table, check_codes, cumulative_heights, describe, fetch, fill_holes,
    folders, height_difference, index_tiles, intersection_rates, load, make_labels, plot_cumulative,
    plot_tile, prepare, pseudo_label, read_tile, semantic_label, setups, split_tiles, table_2, template,
    to_classes,
)
from mtl_explain.modality import setup_table
from mtl_explain.native import BadSample
from mtl_explain.raster import read_raster
from mtl_explain.samples import check_samples, modalities
from mtl_explain.simulate.city import simulate_city
from mtl_explain.store import read_manifest


# rasters of noise, on disk, and in memory
def noisy_rasters(folder, rows, columns, seed=0):
    rng, crs = np.random.default_rng(seed), 'EPSG:28992'
    transform = rasterio.transform.from_origin(120_000, 487_000, .25, .25)
    paths, values = {}, {}
    for name, count, dtype in (('early_dsm', 1, 'float32'), ('late_dsm', 1, 'float32'), ('early_buildings', 1, 'uint8'), ('late_buildings', 1, 'uint8'), ('relevance', 1, 'int8'), ('late_image', 3, 'uint8')):
        low, high = dict(relevance=(-1, 2), late_image=(0, 256)).get(name, (0, 2))
        found = (rng.integers(low, high, (count, rows, columns)) if dtype != 'float32' else rng.normal(5, 5, (1, rows, columns))).astype(dtype)
        if dtype == 'float32': found[:, :, :7] = 3.4028235e38
        paths[name], values[name] = Path(folder)/f'{name}.tif', found
        with rasterio.open(paths[name], 'w', driver='GTiff', count=count, height=rows, width=columns, dtype=dtype, crs=crs, transform=transform) as file: file.write(found)
    return paths, values


# a copy of the native tiles, each of nine tiles spoilt in its own way
def spoilt_copy(source, dest):
    shutil.copytree(source, dest, ignore=shutil.ignore_patterns('rasters'))
    tiles = index_tiles(dest)
    names = list(tiles.index[tiles.split == 'train'][:9])
    def at(k, m): return Path(tiles.folder[names[k]])/folders[m]/tiles.file[names[k]]
    def rewrite(k, m, change, **new):
        with rasterio.open(at(k, m)) as file: profile, values = file.profile, change(file.read())
        with rasterio.open(at(k, m), 'w', **profile | dict(dtype=values.dtype, height=values.shape[1], width=values.shape[2], count=len(values)) | new) as file: file.write(values)
    at(0, 'height_change').unlink()
    at(1, 'early_height').write_bytes(at(1, 'early_height').read_bytes()[:700])
    rewrite(2, 'semantic_change', lambda v: v[:, :50])
    rewrite(3, 'semantic_change', lambda v: v.astype('float32'))
    rewrite(4, 'semantic_change', lambda v: np.where(v == 0, 9, v).astype('uint8'))
    rewrite(5, 'late_image', lambda v: v, transform=rasterio.transform.from_origin(0, 0, 2, 2))
    rewrite(6, 'early_height', lambda v: np.full_like(v, np.inf))
    rewrite(7, 'late_image', lambda v: v[:2])
    for f in folders.values():
        other = Path(tiles.folder[names[8]]).parent/'test'/f/tiles.file[names[8]]
        other.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(tiles.folder[names[8]])/f/tiles.file[names[8]], other)
    return names


@pytest.fixture(scope='module')
def _folder_and_native():
    "Two small simulated cities in the published layout."
    _folder = tempfile.TemporaryDirectory()
    native = simulate_city(Path(_folder.name)/'native', n=24, seed=2, tile=64, pixel=2., cities=('amsterdam', 'utrecht'), rasters=True, progress=False)
    return _folder, native


@pytest.fixture(scope='module')
def samples(_folder_and_native):
    "The simulated cities as a sample set."
    _folder, native = _folder_and_native
    return load(prepare(native, Path(_folder.name)/'store', progress=False))


def test_fetch_says_where_to_look_and_what_to_expect_and_finds_what_is_there():
    "Where it comes from."
    with tempfile.TemporaryDirectory() as folder:
        with pytest.raises(FileNotFoundError, match='behind links that need a browser: open https://.+ into .+Hi-BCD, such that there is {city}_025'): fetch(folder)
        tile = Path(folder)/'Hi-BCD/delft_025/train/img_1k/delft_00_00.tif'
        tile.parent.mkdir(parents=True)
        tile.touch()
        assert fetch(folder) == dict(tiles=Path(folder)/'Hi-BCD')


def test_the_eleven_cases_of_section_4_a_pixel_each():
    "From heights to labels."
    cases = pd.DataFrame([
        ('new house on a meadow',            0.,  9.,  1, 0, 1, 2, 2),
        ('house gone',                       8.,  0.,  1, 1, 0, 1, 1),
        ('rebuilt higher',                   6., 12.,  1, 1, 1, 2, 2),
        ('rebuilt lower',                   12.,  6.,  1, 1, 1, 1, 1),
        ('house gone, under a grown tree',   9., 11., -1, 1, 0, 1, 2),
        ('new glass roof, laser on floor',  .2, -.2,  -1, 0, 1, 2, 1),
        ('house gone, tree taken as height', 9., 11.,  1, 1, 0, 0, 2),
        ('garden inside the mask',           0.,  2.,  1, 0, 0, 0, 2),
        ('untouched house',                  8.,  8.1, 0, 1, 1, 0, 0),
        ('same height to the millimetre',    8.,  8.,  1, 1, 1, 0, 0),
        ('new house where water was',    np.inf,  9.,  1, 0, 1, 0, -1),
    ], columns=['what', 'early', 'late', 'M', 'before', 'after', 'semantic', 'pseudo'])
    difference = height_difference(cases.early.values, cases.late.values, cases.M.values)
    assert semantic_label(difference, cases.M, cases.before, cases.after).tolist() == cases.semantic.tolist()
    assert pseudo_label(difference).tolist() == cases.pseudo.tolist()
    cases.assign(change=difference.round(1)).set_index('what')


def test_the_threshold_of_equation_3_is_strict_and_symmetric():
    "From heights to labels."
    x = np.array([-7.3, -1.2, -1, -.4, 0, .6, 1, 1.2, 7.9])
    assert pseudo_label(x).tolist() == [1, 1, 1, 1, 0, 2, 2, 2, 2]
    assert pseudo_label(x, 1.).tolist() == [1, 1, 0, 0, 0, 0, 0, 2, 2]
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # huge and infinite nodata must not overflow on the way
        nothing = height_difference(np.array([3.4028235e38, -np.inf, np.nan, -9999], 'float32'), np.array([-3.4e38, 1, 2, 3], 'float32'), np.ones(4))
    assert np.isnan(nothing).all()


def test_500_tiles_are_split_into_340_40_and_120_as_published():
    "Tiles from rasters."
    # 500 tiles are split into 340, 40 and 120 as published; blocks stay together but for one at each cut
    names, number = np.unique(split_tiles(25, 20), return_counts=True)
    assert dict(zip(names.tolist(), number.tolist())) == dict(test=120, train=340, val=40)
    blocked = split_tiles(25, 20, block=5).reshape(4, 5, 5, 5).swapaxes(1, 2).reshape(20, 25)
    assert sum(len(set(b)) > 1 for b in blocked) <= 2
    assert (split_tiles(25, 20, seed=1) != split_tiles(25, 20)).any() and all(len(set(split_tiles(n, 1).ravel())) == 3 for n in range(3, 20))


def test_tiles_built_by_windows_are_what_the_equations_say_of_the_whole_raster():
    "Tiles from rasters."
    with tempfile.TemporaryDirectory() as folder:
        paths, whole = noisy_rasters(folder, 130, 170)
        made = build_tiles(paths, folder, 'delft', 32, progress=False)
        change, semantic = make_labels({n: v[0] for n, v in whole.items()})
        files = sorted(made.glob('*/mask2d_1k/*.tif'))
        assert len(files) == 4 * 5 and files[0].name.startswith('delft_') and not Path(folder, 'delft_025.partial').exists()
        for path in files:
            col, row = (int(k) for k in path.stem.split('_')[1:])
            at = np.s_[row * 32:row * 32 + 32, col * 32:col * 32 + 32]
            def other(name): return read_raster(path.parent.parent/folders[name]/path.name)
            assert np.array_equal(read_raster(path, dtype='uint8')[0], semantic[at]) and np.array_equal(other('height_change')[0], change[at], equal_nan=True)
            assert np.array_equal(other('early_height')[0], whole['early_dsm'][0][at]) and np.array_equal(other('late_image'), whole['late_image'][:, *at])
        with pytest.raises(FileExistsError, match='exists already'): build_tiles(paths, folder, 'delft', 32)
    assert set(np.unique(semantic)) == {0, 1, 2, 3}


def test_tiles_are_built_within_48_mb_from_rasters_of_96_mb():
    "Never whole in memory."
    script = '''
import resource, sys, pathlib
import numpy as np, rasterio
from mtl_explain.datasets.hibcd import build_tiles, raster_names
folder = pathlib.Path(sys.argv[1])
used = next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmData')) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + 48 * 2**20,) * 2)
build_tiles({n: folder/f'{n}.tif' for n in raster_names}, folder, 'delft', 500, cache=8, progress=False)
try: held = [np.ones(rasterio.open(folder/f'{n}.tif').shape, 'float32') for n in raster_names]
except MemoryError: print('the limit bites')
'''
    if sys.platform == 'linux':
        with tempfile.TemporaryDirectory() as folder:
            size = sum(v.nbytes for v in noisy_rasters(folder, 2000, 3430)[1].values())
            done = subprocess.run([sys.executable, '-c', script, folder], capture_output=True, text=True, env=os.environ | dict(OMP_NUM_THREADS='1', OPENBLAS_NUM_THREADS='1'))
            assert done.returncode == 0 and 'the limit bites' in done.stdout, done.stderr
            assert size > 90e6 and len(list(Path(folder).glob('delft_025/*/dsm_1k/*.tif'))) == 24


def test_rasters_that_do_not_fit_together_are_refused_by_name():
    "Never whole in memory."
    with tempfile.TemporaryDirectory() as folder:
        paths, _ = noisy_rasters(folder, 40, 40)
        Path(folder, 'small').mkdir()
        small, _ = noisy_rasters(Path(folder, 'small'), 30, 40)
        with pytest.raises(ValueError, match=r'late_dsm.tif: its shape is \(30, 40\), that of'): build_tiles(paths | dict(late_dsm=small['late_dsm']), folder, 'a', 32)
        with pytest.raises(ValueError, match="no raster 'relevance'"): build_tiles({k: v for k, v in paths.items() if k != 'relevance'}, folder, 'a', 32)
        with pytest.raises(FileNotFoundError, match='nowhere.tif'): build_tiles(paths | dict(late_dsm='nowhere.tif'), folder, 'a', 32)
        with pytest.raises(ValueError, match='smaller than one tile of 50'): build_tiles(paths, folder, 'a', 50)
        with rasterio.open(paths['relevance'], 'r+') as file: file.write(np.full((1, 40, 40), 7, 'int8'))
        with pytest.raises(ValueError, match='relevance 7; expected 1, -1 or 0'): build_tiles(paths, folder, 'a', 32, progress=False)


def test_the_index_knows_split_city_and_place_of_each_tile(_folder_and_native):
    "Reading the tiles."
    _folder, native = _folder_and_native
    tiles = index_tiles(native)
    assert len(tiles) == 24 and tiles.index.is_unique and set(tiles.split) == {'train', 'valid', 'test'} and set(tiles.city) == {'amsterdam', 'utrecht'}
    one = tiles.loc['amsterdam_01_02']
    assert (one.col, one.row, one.edge, one.group) == (1, 2, 64, 'amsterdam_01_02')
    assert tiles.lat.between(51, 54).all() and tiles.lon.between(3, 7.5).all() and tiles.easting.nunique() > 3
    with pytest.raises(ValueError, match='no tiles; expected'): index_tiles(native.parent.parent/native.parent.name)
    with pytest.raises(FileNotFoundError, match='no such folder'): index_tiles('nowhere')


def test_holes_are_filled_from_the_nearest_height_and_counted_codes_are_mapped():
    "One tile."
    # holes are filled from the nearest height and counted, codes are mapped or refused
    h, inf = np.array([[1., 3.4e38, 5.], [1., -np.inf, 5.2], [np.nan, 2., -9999]]), np.inf
    filled, share = fill_holes(h)
    assert np.isfinite(filled).all() and share == pytest.approx(4 / 9) and set(filled.ravel().round(1)) <= {1., 5., np.float32(5.2), 2.} and filled[0, 0] == 1
    assert np.isnan(fill_holes(np.full((2, 2), inf))[0]).all() and fill_holes(np.zeros((2, 2)))[1] == 0
    assert to_classes(np.array([0, 1, 2, 3], 'uint8')).tolist() == [0, 1, 2, 2] and to_classes(np.array([1, 2]), {1: 2, 2: 1}).tolist() == [2, 1]
    with pytest.raises(ValueError, match='unknown label code 255'): to_classes(np.array([0, 255], 'uint8'))
    with pytest.raises(ValueError, match='whole numbers as labels, got float32'): to_classes(np.zeros(3, 'float32'))


def test_a_tile_as_it_comes_from_its_files(_folder_and_native):
    "One tile."
    _folder, native = _folder_and_native
    tile = read_tile(index_tiles(native).loc['amsterdam_01_02'], 64)
    assert {n: (v.shape, str(v.dtype)) for n, v in tile.items()} == dict(
        early_height=((1, 64, 64), 'float32'), late_image=((3, 64, 64), 'uint8'), semantic_change=((64, 64), 'int8'), height_change=((1, 64, 64), 'float32'),
        pseudo_change=((64, 64), 'int8'), early_nodata=((1,), 'float32'))
    assert np.isfinite(tile['early_height']).all() and set(np.unique(tile['semantic_change'])) <= {0, 1, 2}


def test_the_classes_go_the_right_way_and_swapped_codes_are_noticed(_folder_and_native):
    "A store."
    _folder, native = _folder_and_native
    share = check_codes(index_tiles(native))
    assert share['demolished'] < .3 and share['newly built'] > .8
    with pytest.raises(ValueError, match='are the codes swapped'): check_codes(index_tiles(native), {0: 0, 1: 2, 2: 1, 3: 1})


def test_the_sample_set_keeps_the_rules_and_its_values_are_those_of_the_files(samples, _folder_and_native):
    "A store."
    _folder, native = _folder_and_native
    check_samples(samples)
    assert samples.sizes['sample'] == 24 and list(modalities(samples)) == list(template().data_vars)
    for tile in ('amsterdam_00_00', 'utrecht_02_01'):
        values = read_tile(index_tiles(native).loc[tile], 64)
        for name, v in values.items(): assert np.array_equal(samples[name].sel(sample=tile).values, v, equal_nan=v.dtype.kind == 'f')
    assert samples.lat.dims == ('sample',) and set(samples.city.values) == {'amsterdam', 'utrecht'}
    describe(samples)


def test_each_kind_of_bad_tile_is_named_and_left_out_where_that_is_asked(_folder_and_native):
    "Bad tiles."
    _folder, native = _folder_and_native
    words = ['no file for', 'truncated', r'expected shape \(64, 64\), got \(50, 64\)', 'whole numbers as labels, got float32', 'unknown label code 9', 'georeference differs', 'nothing but nodata', 'expected 3 bands, got 2']
    with tempfile.TemporaryDirectory() as folder:
        names = spoilt_copy(native, Path(folder)/'native')
        rows = index_tiles(Path(folder)/'native')
        rows = rows[~rows.index.duplicated()]
        for name, word in zip(names, words):
            with pytest.raises(BadSample, match=word): read_tile(rows.loc[name], 64)
        with pytest.raises(ValueError, match='bad sample'): prepare(Path(folder)/'native', Path(folder)/'store', progress=False)
        made = prepare(Path(folder)/'native', Path(folder)/'store', skip_bad=True, progress=False)
        dropped = read_manifest(made)['dropped']
        assert {d['sample'] for d in dropped} == set(names) and load(made).sizes['sample'] == 24 - 8
        assert any('occurred before' in d['problem'] for d in dropped)
    with pytest.raises(FileNotFoundError, match='make it with `mtl_explain data prepare hibcd SOURCE`'): load('nowhere')


def test_counted_by_hand():
    "What the paper tells of it."
    # counted by hand: one tile with two objects of four pixels, half of one contradicted, and a ring that only pseudo change sees
    semantic, pseudo = np.zeros((2, 1, 8, 8), 'int8')
    semantic[0, 1:3, 1:3], semantic[0, 5:7, 5:7] = 1, 2
    pseudo[0] = semantic[0]
    pseudo[0, 5, 5:7], pseudo[0, 1:3, 3] = 1, 1
    small = xr.Dataset(dict(semantic_change=(('sample', 'y', 'x'), semantic), pseudo_change=(('sample', 'y', 'x'), pseudo)), dict(sample=['t'], split=('sample', ['test']), city=('sample', ['delft'])))
    row = change_table(small, 4).loc['t']
    assert (row.changed, row.demolished, row.newly_built, row.agree, row.union, row.demolished_objects, row.newly_built_objects) == (8, 4, 4, 6, 10, 1, 1)
    assert change_table(small, 5).newly_built_objects.sum() == 0
    assert intersection_rates(change_table(small))['of either change'].test == 60 and intersection_rates(change_table(small))['of semantic change'].test == 75
    assert table_2(change_table(small, 4)).delft.tolist() == [1, 1, 0, 12.5, 1, 100]


def test_the_tables_of_the_small_simulated_cities(samples):
    "What the paper tells of it."
    tiles_ = change_table(samples, 3)
    assert tiles_.agree.sum() <= tiles_.changed.sum() <= tiles_.union.sum() * 1.01 and list(intersection_rates(tiles_).index) == ['train', 'valid', 'test']
    intersection_rates(tiles_)


def test_shares_grow_to_one_and_are_those_of_numpy(samples):
    "What the paper tells of it."
    table = cumulative_heights(samples)
    values = samples.height_change.values[:, 0][samples.semantic_change.values == 2]
    assert (np.diff(table, axis=0) >= 0).all() and np.allclose(table.iloc[-1], 1)
    for metres in (-5., 0., 3., 10.): assert table['newly built'][metres] == pytest.approx(np.mean(values <= metres), abs=1e-6)
    assert table['demolished'][0.] > .7 > .3 > table['newly built'][0.]


def test_demolished_left_of_zero_newly_built_right_of_it_and_a_tail_of_each_on(samples):
    "What the paper tells of it."
    # demolished left of zero, newly built right of it, and a tail of each on the wrong side
    ax = plot_cumulative(samples)
    assert len(ax.lines) == 2 and ax.get_xlabel() == 'height change [m]'


def test_the_tile_with_most_change(samples):
    "What the paper tells of it."
    busiest = change_table(samples).changed.idxmax()
    axes = plot_tile(samples, busiest)
    assert [ax.get_title() for ax in axes] == ['early height [m]', 'late image', 'height change [m]', 'semantic change', 'pseudo change']


def test_the_setups_fit_the_samples_and_have_the_papers_weights(samples):
    "Setups."
    for s in setups.values(): check_samples(samples, s)
    assert setups['consistency'].weights == pytest.approx(_weights) and setups['multitask'].weights['semantic_change'] == pytest.approx(.75)
    assert all(s.main == 'semantic_change' for s in setups.values() if s.name != 'height')
    setup_table(setups.values())


def test_the_truth_of_the_simulator_comes_through_scanner_annotator_equation_8(_folder_and_native, samples):
    "What the simulator knows."
    # the truth of the simulator comes through scanner, annotator, equation 8, files and reader
    _folder, native = _folder_and_native
    for city in ('amsterdam', 'utrecht'):
        truth = read_raster(native/'rasters'/city/'event.tif')[0]
        part = samples.isel(sample=samples.city.values == city)
        read = np.zeros(truth.shape, int)
        for k in range(part.sizes['sample']): read[int(part.row[k]) * 64:, int(part.col[k]) * 64:][:64, :64] = part.semantic_change[k].values
        once = (truth == 1) | (truth == 2)
        assert once.sum() > 100 and (read == truth)[once].mean() > .85 and not read[truth == 0].any()
        assert set(np.unique(read[truth == 3])) <= {0, 1, 2}
