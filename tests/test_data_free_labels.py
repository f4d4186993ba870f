"""Free labels

Written by nbdev-export from the check cells of nbs/api/data/08_free_labels.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest
import xarray as xr

from mtl_explain.data.free_labels import with_free_labels
from mtl_explain.data.samples import check_samples
from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples


@pytest.fixture(scope='module')
def samples_more_others_and_lent():
    "The toy world: 64 training samples, 32 others."
    samples = toy_samples()
    more = with_free_labels(samples, "cover")
    others = np.isin(samples.split.values, ("valid", "test"))
    lent = more.isel(sample=slice(96, None))
    return samples, more, others, lent


def test_the_others_stand_in_training_without_the_main_label(samples_more_others_and_lent):
    "Why."
    # the others stand in training, without the main label; what was there is as it was
    samples, more, others, lent = samples_more_others_and_lent
    assert more.sizes["sample"] == 96 + 32
    first = more.isel(sample=slice(96))
    xr.testing.assert_equal(first.drop_vars("group"), samples.drop_vars("group"))
    assert first.split.values.tolist() == samples.split.values.tolist()
    assert (lent.cover == -1).all()
    assert set(lent.split.values) == {"train"}
    assert lent.sample.values[0] == f"{samples.sample.values[others][0]} lent"
    np.testing.assert_array_equal(lent.climate, samples.climate.values[others])
    np.testing.assert_array_equal(lent.optical, samples.optical.values[others])
    assert lent.cover.dtype == samples.cover.dtype and lent.optical.dtype == samples.optical.dtype
    assert lent.cover.attrs == samples.cover.attrs
    check_samples(more, Setup("optical", ("cover", "climate", "warmth")))
    number = with_free_labels(samples, "warmth", splits=("test",))
    assert number.sizes["sample"] == 96 + 16
    assert np.isnan(number.warmth[96:]).all() and not np.isnan(number.warmth[:96]).any()


def test_the_control(samples_more_others_and_lent):
    "Why."
    # the control: the same labels, at other images, and only where they are lent
    samples, more, others, lent = samples_more_others_and_lent
    control = with_free_labels(samples, "cover", shuffled=("climate", "elevation"))
    swapped = control.isel(sample=slice(96, None))
    assert not np.array_equal(swapped.climate, lent.climate)
    assert sorted(swapped.climate.values) == sorted(lent.climate.values)
    order = [
        int(np.flatnonzero((lent.elevation.values == v).all((1, 2, 3)))[0])
        for v in swapped.elevation.values
    ]
    np.testing.assert_array_equal(swapped.climate, lent.climate.values[order])
    np.testing.assert_array_equal(swapped.optical, lent.optical)
    np.testing.assert_array_equal(swapped.warmth, lent.warmth)
    xr.testing.assert_equal(control.isel(sample=slice(96)), more.isel(sample=slice(96)))
    assert control.equals(with_free_labels(samples, "cover", shuffled=("climate", "elevation")))


def test_what_is_refused(samples_more_others_and_lent):
    "Why."
    samples, more, others, lent = samples_more_others_and_lent
    with pytest.raises(ValueError, match="there is no modality 'soil'"):
        with_free_labels(samples, "soil")
    with pytest.raises(ValueError, match="no samples in dev, so none can lend"):
        with_free_labels(samples, "cover", ("dev",))
