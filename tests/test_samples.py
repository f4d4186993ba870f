"""Sample sets

Written by nbdev-export from the check cells of nbs/api/10_samples.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest
import xarray as xr

from mtl_explain.modality import Setup, modality_of
from mtl_explain.samples import check_samples, describe, modalities, modality_array, toy_samples


@pytest.fixture(scope='module')
def radar():
    "A radar image with two named channels."
    return modality_array('radar', np.zeros((4, 2, 8, 8), 'float32'), 'image', channels=['VV', 'VH'], units='dB')


@pytest.fixture(scope='module')
def samples():
    "The toy world."
    return toy_samples()


def test_the_variable_says_what_it_is(radar):
    "Making a variable."
    m = modality_of(radar)
    assert (m.kind, m.channels, m.units, m.shape) == ('image', ('VV', 'VH'), 'dB', (2, 8, 8))
    with pytest.raises(ValueError, match="expected one of image"): modality_array('radar', np.zeros(3), 'picture')


def test_all_five_kinds_are_there(samples):
    "A toy world."
    assert {m.kind for m in modalities(samples).values()} == {'image', 'mask', 'series', 'tabular', 'category'}
    assert modalities(samples)['climate'].parent == 'zone'
    assert toy_samples(seed=1).identical(toy_samples(seed=1)) and not toy_samples(seed=1).identical(toy_samples(seed=2))


def test_missing_values_are_counted_not_hidden(samples):
    "What is in a sample set?"
    holes = samples.copy(deep=True)
    holes['warmth'][:24] = np.nan
    holes['climate'][:48] = -1
    assert describe(holes).missing.to_dict() == dict(optical=0, elevation=0, cover=0, climate=.5, zone=0, months=0, warmth=.25)


def test_all_problems_come_at_once_each_with_its_count(samples):
    "Does it keep the rules?"
    bad = samples.copy(deep=True)
    bad['climate'][:3] = 7
    bad['elevation'][5, 0, 2, 2] = np.inf
    bad['split'][:] = 'train'
    with pytest.raises(ValueError) as e: check_samples(bad)
    for text in ("split 'valid' is empty", "'climate': class index outside 0..3", 'in 3 of 96 samples', "'elevation': infinite values in 1 of 96"): assert text in str(e.value)


def test_a_missing_label_is_fine_as_a_target_an_error_as_an_input(samples):
    "Does it keep the rules?"
    holes = samples.copy(deep=True)
    holes['zone'][:5] = -1
    check_samples(holes, Setup('optical', ('cover', 'zone')))
    with pytest.raises(ValueError, match="'zone': missing label, but it is an input in 5 of 96"): check_samples(holes, Setup(('optical', 'zone'), 'cover'))


def test_a_group_may_not_leak_from_one_split_into_another(samples):
    "Does it keep the rules?"
    leak = samples.copy(deep=True)
    leak['split'][0] = 'test'
    with pytest.raises(ValueError, match='1 groups stand in more than one split'): check_samples(leak)


def test_less_common_mistakes(samples):
    "Does it keep the rules?"
    with pytest.raises(ValueError, match='no modality'): check_samples(xr.Dataset())
    with pytest.raises(ValueError, match='no coordinate `split`'): check_samples(samples.drop_vars('split'))
    with pytest.raises(ValueError, match='no coordinate `sample`'): check_samples(samples.drop_vars('sample'))
    with pytest.raises(ValueError, match="unknown split 'dev'"): check_samples(samples.assign_coords(split=samples.split.where(samples.split != 'test', 'dev')))
    with pytest.raises(ValueError, match='duplicate sample ids'): check_samples(samples.isel(sample=[0, 0, *range(96)]))
    with pytest.raises(ValueError, match='must be integers'): check_samples(samples.assign(zone=samples.zone.astype(float)))
    with pytest.raises(ValueError, match="names 'rain'"): check_samples(samples, Setup('optical', 'rain'))
    with pytest.raises(ValueError, match='first dimension must be `sample`'): check_samples(samples.assign(cover=samples.cover.transpose('y', 'x', 'sample')))
