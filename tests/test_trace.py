"""The trace

Written by nbdev-export from the check cells of nbs/api/45_trace.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest
import torch
from fastai.learner import Learner

from mtl_explain.batches import sample_loaders
from mtl_explain.losses import MultitaskLoss
from mtl_explain.modality import Modality, Setup
from mtl_explain.samples import toy_samples
from mtl_explain.trace import TraceRecorder, co_moments, sample_record


# a learner that barely learns
@pytest.fixture(scope='module')
def samples():
    return toy_samples()


@pytest.fixture(scope='module')
def tiny_learner():
    setup = Setup('optical', ('cover', 'elevation', 'climate', 'warmth'))
    class Tiny(torch.nn.Module):
        "Linear heads on the pixels and on their mean."
        def __init__(self):
            super().__init__()
            self.cover, self.elevation = torch.nn.Conv2d(3, 3, 1), torch.nn.Conv2d(3, 1, 1)
            self.climate, self.warmth = torch.nn.Linear(3, 4), torch.nn.Linear(3, 1)
        def forward(self, x):
            v = x['optical'].mean((2, 3))
            return dict(cover=self.cover(x['optical']), elevation=self.elevation(x['optical']), climate=self.climate(v), warmth=self.warmth(v))
    def tiny_learner(samples, **kwargs):
        "The toy experiment, traced."
        dls = sample_loaders(samples, setup, bs=8, device='cpu')
        torch.manual_seed(0)
        return Learner(dls, Tiny(), loss_func=MultitaskLoss(dls.train.mods, setup), cbs=TraceRecorder(samples, 'cover', **kwargs))
    return tiny_learner


@pytest.fixture(scope='module')
def learn_and_trace(tiny_learner, samples):
    "Two epochs."
    learn = tiny_learner(samples)
    with learn.no_bar(), learn.no_logging(): learn.fit(2, 1e-2)
    trace = learn.trace_recorder.dataset
    return learn, trace


def test_a_class_by_hand():
    "Errors of one task."
    # a class, by hand: right, wrong, and no label
    m = Modality('kind', 'category', classes=('a', 'b', 'c'))
    r = sample_record(torch.tensor([[9., 0, 0], [0, 0, 9.], [9., 0, 0]]), torch.tensor([0, 1, -1]), m)
    np.testing.assert_equal(r['error'].numpy(), [0, 1, np.nan])
    np.testing.assert_equal(r['correct'].numpy(), [1, 0, np.nan])
    np.testing.assert_equal(r['predicted'].numpy(), [0, 2, np.nan])
    np.testing.assert_equal(r['truth'].numpy(), [0, 1, np.nan])


def test_a_quantity_by_hand():
    "Errors of one task."
    # a quantity, by hand: two standard deviations of 10 m too high
    r = sample_record(torch.tensor([[3.]]), torch.tensor([[1.]]), Modality('z', 'tabular', (1,), channels=('z',), units='m'), dict(mean=[100.], std=[10.]))
    assert {k: v.item() for k, v in r.items() if k != 'correct'} == dict(loss=4, error=20, predicted=130, truth=110)


def test_a_mask_of_four_pixels_one_of_them_wrong_one_unlabelled():
    "Errors of one task."
    y = torch.tensor([[[0, 1], [1, -1]]])
    pred = 9. * torch.eye(2)[torch.tensor([[[0, 0], [1, 1]]])].permute(0, 3, 1, 2)
    r = sample_record(pred, y, Modality('cover', 'mask', (2, 2), classes=('a', 'b')))
    assert r['error'].item() == pytest.approx(1 / 3) and r['correct'].item() == pytest.approx(2 / 3) and r['predicted'].isnan().all()


def test_against_numpy():
    "Co-moments of two error maps."
    g = torch.Generator().manual_seed(0)
    a = torch.randn(3, 8, 8, generator=g)
    b = .5 * a + torch.randn(3, 8, 8, generator=g) + 1e4
    c = co_moments(a, b).numpy()
    for i in range(3):
        r = np.corrcoef(a[i].double().ravel(), b[i].double().ravel())[0, 1]
        assert c[i, 5] / np.sqrt(c[i, 3] * c[i, 4]) == pytest.approx(r, abs=1e-12)
        np.testing.assert_allclose(c[i, :3], [64, a[i].double().mean(), b[i].double().mean()], rtol=1e-12)


def test_pixels_that_one_of_the_two_does_not_know_do_not_count():
    "Co-moments of two error maps."
    a, b = torch.tensor([[[1., 2.], [3., torch.nan]]]), torch.tensor([[[2., 4.], [torch.nan, 9.]]])
    assert co_moments(a, b).tolist() == [[2, 1.5, 3, .5, 2, 1]]
    assert co_moments(a * torch.nan, b).tolist() == [[0] * 6]


def test_the_form_that_everything_else_relies_on(learn_and_trace):
    "A trace."
    learn, trace = learn_and_trace
    assert trace.sizes == dict(epoch=2, sample=32, task=4, pair=1, moment=6, shown=6, y=16, x=16, level=1)
    assert set(trace.split.values) == {'valid', 'test'} and trace.attrs['main'] == 'cover'
    assert (trace.pair_x.item(), trace.pair_y.item()) == ('cover', 'elevation')
    assert trace.truth.dims == ('sample', 'task') and 'group' in trace.coords


def test_the_trace_agrees_with_a_direct_evaluation_of_the_network(learn_and_trace, samples):
    "A trace."
    learn, trace = learn_and_trace
    last, dl = trace.isel(epoch=-1), learn.dls[2]
    test = last.isel(sample=np.flatnonzero(last.split.values == 'test'))
    x, y = next(iter(dl.new(bs=16)))
    with torch.no_grad(): preds = learn.model.eval()(x)
    np.testing.assert_allclose(test.error.sel(task='cover'), (preds['cover'].argmax(1) != y['cover']).float().mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(test.loss.sel(task='climate'), torch.nn.functional.cross_entropy(preds['climate'], y['climate'], reduction='none'), rtol=1e-4)
    metres = (preds['elevation'] - y['elevation']).abs().mean((1, 2, 3)) * dl.scaling['elevation']['std'][0]
    np.testing.assert_allclose(test.error.sel(task='elevation'), metres, rtol=1e-4)
    np.testing.assert_allclose(test.truth.sel(task='warmth'), samples.warmth.sel(sample=test.sample).values[:, 0], rtol=1e-5)


def test_validation_inside_a_training_epoch_is_traced_a_call_of_validate_or_a(tiny_learner, samples):
    "A trace."
    # validation inside a training epoch is traced, a call of `validate` or a search for the learning rate is not
    fresh = tiny_learner(samples, splits=('valid',), shown=0)
    with fresh.no_bar(), fresh.no_logging():
        fresh.validate()
        assert not fresh.trace_recorder.epochs
        fresh.fit(1)
        fresh.validate()
    t = fresh.trace_recorder.dataset
    assert t.sizes['epoch'] == 1 and set(t.split.values) == {'valid'} and not [v for v in t if v.startswith('map_')]


def test_a_missing_label_is_nan_in_all_variables_of_its_task_and_only_there(samples, tiny_learner):
    "A trace."
    holes = samples.copy(deep=True)
    holes['climate'][:] = -1
    holed = tiny_learner(holes)
    with holed.no_bar(), holed.no_logging(): holed.fit(1)
    t = holed.trace_recorder.dataset
    for k in ('loss', 'error', 'correct', 'predicted'): assert np.isnan(t[k].sel(task='climate')).all()
    assert not np.isnan(t.error.sel(task='cover')).any()


def test_before_the_first_epoch_there_is_no_trace(tiny_learner, samples):
    "A trace."
    with pytest.raises(ValueError, match='train at least one epoch'): tiny_learner(samples).trace_recorder.dataset
