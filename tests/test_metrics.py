"""Metrics

Written by nbdev-export from the check cells of nbs/api/43_metrics.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from mtl_explain.batches import sample_loaders
from mtl_explain.metrics import comparable, computed, score_table, task_scores
from mtl_explain.modality import Modality, Setup
from mtl_explain.samples import toy_samples


# a label and a quantity
@pytest.fixture(scope='module')
def label():
    return Modality('kind', 'category', classes=('a', 'b', 'c'))


@pytest.fixture(scope='module')
def height():
    return Modality('height', 'image', (1, 2, 2), channels=('height',), units='m')


@pytest.fixture(scope='module')
def s():
    return dict(mean=[100.], std=[10.])


@pytest.fixture(scope='module')
def dl():
    "A network that knows the answers scores perfectly, one that answers the mean has R² = 0."
    samples = toy_samples()
    return sample_loaders(samples, Setup('optical', ('cover', 'warmth')), bs=16, device='cpu').valid


def test_labels_by_hand(label):
    "Predictions and targets, comparable."
    # labels by hand: the third has no truth
    p, t = comparable(torch.tensor([[9., 0, 0], [0, 0, 1.], [0, 1, 0]]), torch.tensor([0, 1, -1]), label)
    assert p.tolist() == [0, 2] and t.tolist() == [0, 1]


def test_metres_by_hand(height, s):
    "Predictions and targets, comparable."
    # metres by hand: one standard deviation too high is ten metres
    y = torch.tensor([[[[0., 1.], [2., torch.nan]]]])
    p, t = comparable(y.nan_to_num() + 1, y, height, s)
    assert t.ravel().tolist() == [100, 110, 120] and (p - t).ravel().tolist() == [10, 10, 10]


def test_labels_against_scikit_learn_in_several_updates_with_a_class_that_never():
    "The metrics of a task."
    # labels against scikit-learn, in several updates, with a class that never occurs
    rng = np.random.default_rng(0)
    m = Modality('cover', 'mask', (8, 8), classes=tuple('abcde'))
    y, p = rng.integers(0, 4, (10, 64)), rng.integers(0, 4, (10, 64))
    scores = task_scores(m)
    for a, b in zip(p, y): scores.update(torch.tensor(a), torch.tensor(b))
    got, y, p = computed(scores), y.ravel(), p.ravel()
    assert got['accuracy'] == pytest.approx(sk.accuracy_score(y, p)) == pytest.approx(sk.f1_score(y, p, average='micro'))
    assert got['f1_macro'] == pytest.approx(sk.f1_score(y, p, average='macro'))
    assert got['iou'] == pytest.approx(sk.jaccard_score(y, p, average='macro'))


def test_quantities_against_scikit_learn_two_channels():
    "The metrics of a task."
    rng = np.random.default_rng(0)
    y = rng.normal(size=(50, 2)).astype('float32')
    p = y + rng.normal(0, .3, (50, 2)).astype('float32')
    scores = task_scores(Modality('z', 'tabular', (2,), channels='ab'))
    for a, b in zip(np.split(p, 5), np.split(y, 5)): scores.update(torch.tensor(a), torch.tensor(b))
    assert computed(scores) == pytest.approx(dict(mae=sk.mean_absolute_error(y, p), r2=sk.r2_score(y, p)), rel=1e-4)


def test_not_defined_is_nan_not_an_error(height):
    "The metrics of a task."
    scores = task_scores(height)
    assert all(np.isnan(v) for v in computed(scores).values())
    scores.update(torch.zeros(1, 1), torch.ones(1, 1))
    assert computed(scores)['mae'] == 1 and np.isnan(computed(scores)['r2'])


def test_a_perfect_network_and_one_that_always_gives_the_mean(dl):
    "On a whole split."
    class Answers(torch.nn.Module):
        "Gives prepared answers, batch after batch."
        def __init__(self, answers): super().__init__(); self.answers = iter(answers)
        def forward(self, x): return next(self.answers)
    truths = [y for _, y in dl]
    mean = torch.cat([y['warmth'] for y in truths]).mean()
    right = [dict(cover=10. * torch.eye(3)[y['cover']].permute(0, 3, 1, 2), warmth=y['warmth']) for y in truths]
    flat = [dict(cover=r['cover'], warmth=r['warmth'] * 0 + mean) for r in right]
    def values(answers): return score_table(Answers(answers), dl).set_index(['task', 'metric']).value
    assert values(right)['cover', 'accuracy'] == values(right)['cover', 'iou'] == values(right)['warmth', 'r2'] == 1
    assert values(right)['warmth', 'mae'] < 1e-5 and abs(values(flat)['warmth', 'r2']) < 1e-5
