"""Fields and classes

Written by nbdev-export from the check cells of nbs/api/explain/05_fields.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.transform import Affine
from rasterio.warp import transform as reproject
from sklearn.metrics import mean_absolute_error, r2_score

from mtl_explain.explain.fields import (
    determination, export_field, export_patch, field_maps, field_performance, grid_transform, patch_maps,
    patch_place, plot_field_maps, plot_field_performance, plot_truth_by_groups, random_share, scores_by_class,
    truth_by_groups,
)
from mtl_explain.testing.planted import planted_world


# three crops on nine fields, and what a network made of them
def pixel_world(seed=0):
    "A trace of 2,160 pixels."
    rng, crops = np.random.default_rng(seed), ['maize', 'soybean', 'wheat']
    field, row, column = (v.ravel() for v in np.meshgrid(np.arange(9), np.arange(12), np.arange(20), indexing='ij'))
    crop, truth = field % 3, np.array([9., 3., 6.])[field % 3] + rng.normal(0, .6, len(field))
    misread = (crop == 1) & (column < 10)
    wrong = np.stack([misread & (row >= 4 * e) for e in range(3)])  # fewer from epoch to epoch
    predicted = np.where(wrong, .7 * truth, truth + rng.normal(0, .1, len(field)))
    label = np.where(wrong, 2, crop)
    def both(a, b): return np.stack(np.broadcast_arrays(a, b), -1).astype('float32')
    values = dict(error=both(np.abs(predicted - truth), wrong), correct=both(np.nan, ~wrong), predicted=both(predicted, label), loss=both(np.abs(predicted - truth) ** 2, wrong))
    coords = dict(epoch=[0, 1, 2], sample=[f'p{i}' for i in range(len(field))], task=['yield', 'crop'], kind=('task', ['tabular', 'category']), units=('task', ['t/ha', '']))
    per_pixel = dict(group=np.array([f'field {f}' for f in field]), split=np.array(['train', 'valid', 'test'])[field // 3], row=row, column=column, lon=-64 + 1e-4 * column, lat=-27 - 9e-5 * row)
    trace = xr.Dataset({k: (('epoch', 'sample', 'task'), v) for k, v in values.items()} | dict(truth=(('sample', 'task'), both(truth, crop))), coords | {k: ('sample', v) for k, v in per_pixel.items()})
    return trace.assign_attrs(main='yield'), crops, misread


@pytest.fixture(scope='module')
def trace_crops_and_misread():
    "The pixel world."
    trace, crops, misread = pixel_world()
    return trace, crops, misread


@pytest.fixture(scope='module')
def table(trace_crops_and_misread):
    "Every field at three epochs."
    trace, crops, misread = trace_crops_and_misread
    return field_performance(trace, 'yield', 'crop')


@pytest.fixture(scope='module')
def world_patches_and_name():
    "Patches with two dense tasks."
    world = planted_world(n_samples=40, n_groups=5, n_epochs=2, size=24, shown=3)
    patches, name = world.samples.assign_attrs(pixel_metres=10.), str(world.trace.shown.values[1])
    return world, patches, name


def test_against_sklearn(trace_crops_and_misread):
    "How good within a class?"
    # against sklearn; within a class less is explained
    trace, crops, misread = trace_crops_and_misread
    labels = xr.DataArray(trace.truth.sel(task='crop').values.astype(int), dict(sample=trace.sample.values), attrs=dict(classes=crops))
    found = scores_by_class(trace, 'yield', labels, epoch=0).set_index('class')
    part = trace.isel(sample=trace.split.values == 'test').sel(task='yield', epoch=0)
    assert found.r2['all'] == pytest.approx(r2_score(part.truth, part.predicted), abs=1e-5)
    beans = labels.sel(sample=part.sample.values).values == 1
    assert found.mae['soybean'] == pytest.approx(mean_absolute_error(part.truth[beans], part.predicted[beans]), abs=1e-5)
    assert found.r2['soybean'] < 0 < .9 < found.r2['all'] and determination(np.array([2.]), np.array([2.])) is np.nan
    found.round(2)


def test_half_of_a_field_wrong_by_30(table, trace_crops_and_misread):
    "Field by field."
    trace, crops, misread = trace_crops_and_misread
    one = table[(table.field == 'field 1') & (table.epoch == 0)].iloc[0]
    assert (one['class'], one.split, one.accuracy, one.n) == (1, 'train', .5, 240)
    right = trace.isel(sample=(trace.group.values == 'field 1') & ~misread).sel(epoch=0, task='yield')
    assert one.error == pytest.approx(.5 * .3 + .5 * float((right.error / right.truth).mean()), abs=1e-6)
    assert len(table) == 27 and (table[table['class'] != 1].accuracy == 1).all() and table.attrs['relative']


def test_fields_become_right_from_epoch_to_epoch(table, trace_crops_and_misread):
    "Field by field."
    trace, crops, misread = trace_crops_and_misread
    fig = plot_field_performance(table, crops)
    assert len(fig.axes) == 9 and fig.axes[1].get_title() == 'soybean, epoch 0'


def test_a_field_is_laid_out_again_mistakes_included(trace_crops_and_misread):
    "Maps of a field."
    trace, crops, misread = trace_crops_and_misread
    maps = field_maps(trace, 'field 4', 'yield', 'crop', epoch=0)
    assert maps.target.shape == (12, 20) and (maps.wrong == (maps.column < 10)).all() and np.allclose(maps.relative_error[:, :10], -.3, atol=1e-6)
    ring = field_maps(trace.isel(sample=~((trace.row.values == 5) & (trace.column.values == 5))), 'field 4', 'yield')
    assert np.isnan(ring.target[5, 5]) and int(ring.target.isnull().sum()) == 1 and 'wrong' not in ring
    with pytest.raises(ValueError, match="no traced sample has group 'field 99'"): field_maps(trace, 'field 99', 'yield')
    with pytest.raises(ValueError, match="no coordinate 'row'"): field_maps(trace.drop_vars('row'), 'field 4', 'yield')


def test_two_epochs_of_one_field(trace_crops_and_misread):
    "Maps of a field."
    # two epochs of one field: the misread half shrinks, and the underestimate with it
    trace, crops, misread = trace_crops_and_misread
    fig = plot_field_maps([field_maps(trace, 'field 4', 'yield', 'crop', e) for e in (0, 2)])
    assert [a.get_title() for a in fig.axes[:4]] == ['field 4, epoch 0', 'prediction', 'relative error', 'wrong crop: 50%']


def test_a_turned_grid_and_points_on_no_grid():
    "Out into a GIS."
    column, row = (v.ravel() for v in np.meshgrid(np.arange(5), np.arange(4)))
    turned = Affine(1e-4, 2e-5, -64, 1e-5, -9e-5, -27)
    lon, lat = np.array([turned @ (c + .5, r + .5) for c, r in zip(column, row)]).T
    assert np.allclose(grid_transform(column, row, lon, lat), turned, atol=1e-9)
    with pytest.raises(ValueError, match='do not lie on a grid'): grid_transform(column, row, lon + 1e-4 * (column == 2), lat)
    with pytest.raises(ValueError, match='one line'): grid_transform(column[:5], row[:5], lon[:5], lat[:5])


def test_written_and_read_again_at_the_right_place(trace_crops_and_misread):
    "Out into a GIS."
    trace, crops, misread = trace_crops_and_misread
    wrong = field_maps(trace, 'field 4', 'yield', 'crop', epoch=0).wrong
    with tempfile.TemporaryDirectory() as folder:
        with rasterio.open(export_field(Path(folder)/'field.tif', trace, 'field 4', 'yield', 'crop', 0)) as file:
            assert file.descriptions == ('target', 'prediction', 'relative_error', 'wrong') and file.crs.to_epsg() == 4326
            assert np.allclose(file.read(4), wrong) and np.allclose(file.xy(3, 7), (-64 + 7e-4, -27 - 2.7e-4), atol=1e-7)
        assert [p.name for p in Path(folder).iterdir()] == ['field.tif']


def test_by_hand():
    "Patches, too."
    # by hand: half a degree around a centre; 10 m pixels in zone 32, whose central meridian has x = 500 km
    centres = xr.Dataset(coords=dict(sample=['a', 'b'], lat=('sample', [50., -10.]), lon=('sample', [9., np.nan])))
    place, crs = patch_place(centres.assign_attrs(pixel_degrees=.25), 'a', 2, 4)
    assert crs == 'EPSG:4326' and place @ (0, 0) == (8.5, 50.25) and place @ (4, 2) == (9.5, 49.75)
    place, crs = patch_place(centres.assign_attrs(pixel_metres=10.), 'a', 2, 4)
    assert crs == 'EPSG:32632' and np.allclose(place @ (2, 1), (500_000, 5_538_630.7), atol=.1) and np.allclose(place @ (4, 0), np.add(place @ (2, 1), (20, 10)))
    with pytest.raises(ValueError, match='how large a pixel is'): patch_place(centres, 'a', 2, 4)
    with pytest.raises(ValueError, match="'b' has no centre"): patch_place(centres.assign_attrs(pixel_metres=10.), 'b', 2, 4)
    with pytest.raises(ValueError, match='no position'): patch_place(centres.drop_vars('lat'), 'a', 2, 4)


def test_bands_say_what_they_are_stand_at_their_place_and_hold_what_the_trace(world_patches_and_name):
    "Patches, too."
    # bands say what they are, stand at their place, and hold what the trace holds
    world, patches, name = world_patches_and_name
    with tempfile.TemporaryDirectory() as folder:
        with rasterio.open(export_patch(Path(folder)/'patch.tif', world.trace, patches, name)) as file:
            assert file.descriptions == tuple(f'{t} {w}' for t in ('landcover', 'elevation') for w in ('truth', 'prediction', 'error')) and file.res == (10, 10)
            assert np.isclose(file.read(6).mean(), world.trace.error.sel(task='elevation', sample=name).isel(epoch=-1), rtol=1e-4)
            assert np.array_equal(file.read(1), patches.landcover.sel(sample=name))
            lon, lat = reproject(file.crs, 'EPSG:4326', *[[v] for v in file.xy(11.5, 11.5)])
            assert np.allclose([lat[0], lon[0]], [float(patches[c].sel(sample=name)) for c in ('lat', 'lon')], atol=1e-6)


def test_several_channels_are_several_bands_a_missing_label_is_nan_and_no_maps(world_patches_and_name):
    "Patches, too."
    # several channels are several bands, a missing label is NaN, and no maps are an error
    world, patches, name = world_patches_and_name
    cover, height = patches.landcover.copy(deep=True), patches.elevation
    cover[:, :, 0] = -1
    two = patches.drop_vars(['elevation', 'level']).assign(landcover=cover, elevation=xr.concat([height, height], 'level', combine_attrs='override').transpose(*height.dims).assign_coords(level=['low', 'high']))
    trace_of_two = world.trace.drop_vars('map_elevation').assign(map_elevation=world.trace.map_elevation.isel(level=[0, 0]).drop_vars('level', errors='ignore'))
    maps = patch_maps(trace_of_two, two, name)
    assert [n for n in maps if 'elevation' in n] == ['elevation low truth', 'elevation high truth', 'elevation low prediction', 'elevation high prediction', 'elevation error']
    assert maps['landcover truth'][:, 0].isnull().all() and maps['landcover error'][:, 0].isnull().all() and maps['landcover truth'][:, 1:].notnull().all()
    with pytest.raises(ValueError, match='keeps no maps'): patch_maps(world.trace.drop_vars(['map_landcover', 'map_elevation']), patches, name)


def test_wrong_labels_stand_where_yields_are_low_by_construction(trace_crops_and_misread):
    "What is true of the groups?"
    trace, crops, misread = trace_crops_and_misread
    groups = truth_by_groups(trace.assign_coords(task=['yield', 'crop']), 'yield', 'crop', 'crop', epoch=0)
    assert groups.group.value_counts().to_dict() == {'CC': 600, 'FF': 120} and groups.truth[groups.group == 'FF'].mean() == pytest.approx(3, abs=.2)
    plot_truth_by_groups(groups).set_title('misread pixels are soybean, whose yields are low')


def test_a_tenth_of_the_samples(trace_crops_and_misread):
    "A part of the test samples."
    # a tenth of the samples; a third of the fields
    trace, crops, misread = trace_crops_and_misread
    assert random_share(trace, .1).sizes['sample'] == 216 and len(set(random_share(trace, 1 / 3, 'group').group.values)) == 3
    assert (random_share(trace, .1).sample == random_share(trace, .1).sample).all() and not random_share(trace, .1, seed=1).equals(random_share(trace, .1))
    with pytest.raises(ValueError, match='at most at 1, got 10'): random_share(trace, 10)
