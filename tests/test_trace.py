"""Trace

Written by nbdev-export from the check cells of nbs/api/02_trace.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest
import xarray as xr

from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.trace import best_epoch, chosen_epoch, label_correct, split_positions


@pytest.fixture(scope='module')
def samples():
    "Sixteen of the toy world's samples are test samples."
    return toy_samples(96, 4)


def test_the_positions_of_a_split(samples):
    "Which samples."
    test = split_positions(samples, 'test')
    assert set(samples.split.values[test]) == {'test'} and len(test) == (samples.split == 'test').sum()
    assert len(split_positions(samples, None)) == 96
    with pytest.raises(ValueError, match="no samples of split 'tset'.*test, train, valid"): split_positions(samples, 'tset')


def test_the_best_epoch_is_chosen_on_validation_samples():
    "Which epoch."
    # the best epoch is chosen on validation samples; what was kept, or asked for, comes first
    loss = np.array([[3., 3], [1, 2], [2, 1]])  # three epochs; a validation and a test sample
    told = xr.Dataset(dict(loss=(('epoch', 'sample', 'task'), loss[..., None])), dict(epoch=range(3), task=['a'], split=('sample', ['valid', 'test'])), dict(main='a'))
    assert best_epoch(told) == 1 and best_epoch(told, split='test') == 2 and best_epoch(told.drop_vars('split')) == 2
    assert best_epoch(told.where(told.epoch != 1)) == 2 and best_epoch(told * np.nan, 'a') == 2, 'without a loss: not that one; without any: the last'
    assert chosen_epoch(told) == 1 and chosen_epoch(told.assign_attrs(kept=2)) == 2 and chosen_epoch(told, 0) == 0
    with pytest.raises(ValueError, match='there is no epoch 7 in the trace; it has 0 to 2'): chosen_epoch(told, 7)


def test_right_wrong_no_label():
    "Which labels are right."
    # right, wrong, no label; what is no label is refused by name
    labels = xr.Dataset(
        dict(correct=(('epoch', 'sample', 'task'), np.array([[[1., np.nan], [0, np.nan], [np.nan, np.nan]]]))),
        dict(task=['kind', 'height'], kind=('task', ['category', 'image'])),
    )
    np.testing.assert_array_equal(label_correct(labels, 'kind', np.array([0, 1, 2])), [[1, 0, np.nan]])
    with pytest.raises(ValueError, match="'height' is of kind image"): label_correct(labels, 'height', np.arange(3))
    with pytest.raises(ValueError, match="'soil' is no task of this trace; it has kind, height"): label_correct(labels, 'soil', np.arange(3))
