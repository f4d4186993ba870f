"""Batches

Written by nbdev-export from the check cells of nbs/api/14_batches.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest
import torch

from mtl_explain.batches import SampleDataset, sample_loaders, to_native, to_standard, training_scaling
from mtl_explain.modality import Setup
from mtl_explain.samples import modalities, toy_samples


# the toy world and an MTL setup on it
@pytest.fixture(scope='module')
def samples():
    return toy_samples()


@pytest.fixture(scope='module')
def setup():
    return Setup(('optical', 'months'), ('cover', 'elevation', 'climate', 'warmth'), core='optical')


@pytest.fixture(scope='module')
def dls(samples, setup):
    "The loaders of the toy experiment."
    return sample_loaders(samples, setup, bs=16, device='cpu')


def test_against_numpy_over_the_training_split_alone_without_the_missing_value(samples):
    "Scaling."
    holes = samples.copy(deep=True)
    holes['warmth'][0] = np.nan
    s, train = training_scaling(holes, ('optical', 'warmth', 'cover')), holes.isel(sample=holes.split.values == 'train')
    assert list(s) == ['optical', 'warmth']
    v = train.optical.values.astype('float64')
    np.testing.assert_allclose(s['optical']['mean'], v.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(s['optical']['std'], v.std((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(s['warmth']['mean'], np.nanmean(train.warmth.values.astype('float64'), 0), rtol=1e-12)


def test_a_constant_channel_keeps_its_values_an_empty_one_is_an_error(samples):
    "Scaling."
    flat = samples.copy(deep=True)
    flat['warmth'][:] = 3
    assert training_scaling(flat, ('warmth',)) == dict(warmth=dict(mean=[3.], std=[1.]))
    flat['warmth'][:] = np.nan
    with pytest.raises(ValueError, match="'warmth' has no value at all in the training split for temperature"): training_scaling(flat, ('warmth',))


def test_there_and_back(samples):
    "Scaling."
    m, s = modalities(samples)['optical'], training_scaling(samples, ('optical',))['optical']
    v = torch.tensor(samples.optical.values[samples.split.values == 'train'])
    z = to_standard(v, m, s)
    assert torch.allclose(z.mean((0, 2, 3)), torch.zeros(3), atol=1e-5) and torch.allclose(z.std((0, 2, 3)), torch.ones(3), atol=1e-3)
    assert torch.allclose(to_native(z, m, s), v.float(), atol=1e-3)


def test_three_samples_out_of_order(samples, setup):
    "A batch is one indexing operation."
    x, y = SampleDataset(samples, setup.inputs, setup.targets)[[3, 1, 4]]
    assert list(x) == ['optical', 'months', 'months_time'] and list(y) == ['cover', 'elevation', 'climate', 'warmth']
    assert x['optical'].shape == (3, 3, 16, 16) and x['optical'].dtype == torch.uint8 and x['months_time'].shape == (3, 12)
    assert (y['cover'][1].numpy() == samples.cover.values[1]).all()


def test_an_input_that_is_not_there(samples, setup):
    "A batch is one indexing operation."
    with pytest.raises(ValueError, match="input modality 'months' is missing: the network reads optical, months"):
        SampleDataset(samples.drop_vars('months'), setup.inputs)


def test_a_batch(dls):
    "A fastai loader."
    x, y = dls.train.one_batch()
    assert {n: tuple(v.shape) for n, v in x.items()} == dict(optical=(16, 3, 16, 16), months=(16, 12, 1), months_time=(16, 12))
    assert y['cover'].dtype == torch.int64 and y['elevation'].dtype == torch.float32
    assert x['months_time'][0, 0] == 15, 'times stay in days'


def test_scaled_with_the_statistics_of_the_training_split_not_of_the_split(samples, dls):
    "A fastai loader."
    # scaled with the statistics of the training split, not of the split itself
    v = samples.warmth.values[samples.split.values == 'valid']
    s = training_scaling(samples, ('warmth',))['warmth']
    y = torch.cat([y['warmth'] for _, y in dls.valid])
    np.testing.assert_allclose(y, (v - s['mean']) / s['std'], rtol=1e-4, atol=1e-5)


def test_every_training_sample_once_an_epoch_in_an_order_that_depends_on_seed(samples, setup):
    "A fastai loader."
    # every training sample once an epoch, in an order that depends on seed and epoch alone
    def order(seed, epoch):
        dl = sample_loaders(samples, setup, bs=8, seed=seed, device='cpu').train
        dl.set_epoch(epoch)
        return dl.get_idxs()
    assert sorted(order(0, 0)) == list(range(64))
    assert order(0, 0) == order(0, 0) and order(0, 0) != order(0, 1) and order(0, 0) != order(1, 0)


def test_validation_keeps_the_order_of_the_samples(dls, samples):
    "A fastai loader."
    assert dls.valid.get_idxs() == list(range(len(dls.valid.dataset)))
    assert dls.valid.dataset.ids.tolist() == samples.sample.values[samples.split.values == 'valid'].tolist()


def test_missing_labels_stay_missing(samples, setup):
    "A fastai loader."
    holes = samples.copy(deep=True)
    holes['warmth'][:] = np.where(np.arange(96)[:, None] % 2, np.nan, holes.warmth.values)
    holes['climate'][::2] = -1
    x, y = next(iter(sample_loaders(holes, setup, bs=16, device='cpu').valid))
    assert torch.isnan(y['warmth']).sum() == 8 and (y['climate'] == -1).sum() == 8


def test_channels_that_never_vary_overrides_and_a_series_with_times_by_sample(samples, setup):
    "A fastai loader."
    flat = samples.copy(deep=True)
    flat['warmth'][:] = 3
    dls_flat = sample_loaders(flat, setup, scaling=dict(elevation=dict(mean=[0.], std=[1000.])), device='cpu')
    x, y = next(iter(dls_flat.valid))
    assert (y['warmth'] == 0).all()
    np.testing.assert_allclose(y['elevation'].numpy() * 1000, flat.elevation.values[flat.split.values == 'valid'], rtol=1e-5)
    own = samples.assign_coords(months_time=(('sample', 'months_time'), np.random.default_rng(0).uniform(0, 365, (96, 12))))
    x, _ = SampleDataset(own, ('months',), ('warmth',))[[5]]
    np.testing.assert_allclose(x['months_time'][0], own.months_time.values[5], rtol=1e-6)


def test_what_cannot_be_loaded_says_why(samples, setup):
    "A fastai loader."
    with pytest.raises(ValueError, match="split 'valid' is empty"): sample_loaders(samples.isel(sample=samples.split.values != 'valid'), setup)
    with pytest.raises(ValueError, match="names 'rain'"): sample_loaders(samples, Setup('rain', 'cover'))
