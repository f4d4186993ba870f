"""Heads

Written by nbdev-export from the check cells of nbs/api/32_heads.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import pytest
import torch

from mtl_explain.heads import DenseHead, VectorHead, heads, make_activation, make_head
from mtl_explain.layers import n_parameters
from mtl_explain.modality import Modality, kinds


# targets of the examples
@pytest.fixture(scope='module')
def cover():
    return Modality('cover', 'mask', (24, 24), classes=tuple(f'class {i}' for i in range(12)))


@pytest.fixture(scope='module')
def elevation():
    return Modality('elevation', 'image', (1, 24, 24), channels=('elevation',))


@pytest.fixture(scope='module')
def zone():
    return Modality('zone', 'category', (), classes=tuple(f'zone {i}' for i in range(12)))


@pytest.fixture(scope='module')
def season():
    return Modality('season', 'tabular', (1,), channels=('season',))


@pytest.fixture(scope='module')
def weather():
    return Modality('weather', 'series', (12, 2), channels=('temperature', 'precipitation'))


def test_bounded_outputs():
    "Last touches."
    x = torch.linspace(-3, 3, 7)
    assert make_activation('sigmoid')(x).min() > 0 and make_activation('sigmoid')(x).max() < 1
    assert torch.equal(make_activation('')(x), x) and torch.equal(make_activation(None)(x), x)
    with pytest.raises(ValueError, match="no output activation 'cosine'; choose one of sigmoid, tanh, softplus"): make_activation('cosine')


def test_the_dense_heads_of_ben_ge(cover, elevation):
    "A prediction for each pixel."
    cover_head, elevation_head = DenseHead(64, cover), DenseHead(64, elevation, n_layers=3)
    assert n_parameters(cover_head) == 64 * 12 + 12
    assert n_parameters(elevation_head) == 2 * (64 * 64 * 9 + 64) + 64 + 1
    assert n_parameters(DenseHead(64, cover, last_kernel=3)) == 64 * 12 * 9 + 12  # paper B
    fused = torch.zeros(2, 64, 7, 9)
    assert DenseHead(64, cover, last_kernel=3)(fused).shape == (2, 12, 7, 9)
    assert cover_head(fused).shape == (2, 12, 7, 9) and elevation_head(fused).shape == (2, 1, 7, 9)


def test_options_of_a_dense_head(cover):
    "A prediction for each pixel."
    head = DenseHead(8, cover, n_layers=3, width=5, kernel=1, dropout=.1, batchnorm=True, activation='sigmoid').eval()
    assert n_parameters(head) == (8 * 5 + 5 + 10) + (5 * 5 + 5 + 10) + (5 * 12 + 12)
    assert 0 < head(torch.randn(1, 8, 3, 3, generator=torch.Generator().manual_seed(0))).min() < 1
    with pytest.raises(ValueError, match="'cover' is dense, but the fused representation is not a map"): DenseHead(8, cover, dense=False)
    for options in (dict(kernel=4), dict(last_kernel=4)):
        with pytest.raises(ValueError, match='the kernel must be odd, got 4'): DenseHead(8, cover, **options)


def test_heads_on_a_vector_by_hand(season, zone):
    "A prediction for the sample."
    yield_head = VectorHead(32, season, batchnorm=True)  # CropYield: two fully connected layers with batch normalisation and ReLU
    assert n_parameters(yield_head) == (32 * 32 + 32 + 64) + (32 + 1)
    assert [type(m).__name__ for m in yield_head.layers] == ['Linear', 'BatchNorm1d', 'ReLU', 'Linear', 'Identity']
    level3, level2 = VectorHead(1536, zone, n_layers=1), VectorHead(1536, zone, width=256, dropout=.25)  # TreeSatAI
    assert n_parameters(level3) == 1536 * 12 + 12 and n_parameters(level2) == (1536 * 256 + 256) + (256 * 12 + 12)
    assert [type(m).__name__ for m in level2.layers] == ['Linear', 'ReLU', 'Dropout', 'Linear', 'Identity']
    assert level3(torch.zeros(2, 1536)).shape == (2, 12)


def test_heads_on_a_map_by_hand(zone, season):
    "A prediction for the sample."
    climate = VectorHead(64, zone, dense=True, n_layers=1, conv_width=16, dropout=.5)  # ben-ge: fewer channels, then one layer with dropout
    assert n_parameters(climate) == (64 * 16 + 16) + (16 * 12 + 12)
    assert [type(m).__name__ for m in climate.layers] == ['Dropout', 'Linear', 'Identity']
    bounded = VectorHead(64, season, dense=True, conv_width=16, dropout=.2, activation='sigmoid').eval()  # ben-ge: 16 channels, two layers, sigmoid
    assert n_parameters(bounded) == (64 * 16 + 16) + (16 * 16 + 16) + (16 + 1)
    x = torch.randn(2, 64, 9, 9, generator=torch.Generator().manual_seed(0))
    assert bounded(x).shape == (2, 1) and 0 < bounded(x).min() and bounded(x).max() < 1


def test_the_place_and_the_size_of_the_image_do_not_matter(zone):
    "A prediction for the sample."
    torch.manual_seed(0)
    head, x = VectorHead(8, zone, dense=True).eval(), torch.randn(1, 8, 6, 6)
    assert torch.allclose(head(x), head(x.flip(2)), atol=1e-5)
    assert torch.allclose(head(x), head(x.repeat(1, 1, 2, 3)), atol=1e-5)


def test_a_series_is_predicted_at_all_its_steps(weather):
    "A prediction for the sample."
    head = VectorHead(10, weather, n_layers=1)
    assert head(torch.zeros(3, 10)).shape == (3, 12, 2) and n_parameters(head) == 10 * 24 + 24


def test_one_head_for_each_kind_of_target(cover, elevation, zone, season, weather):
    "Choosing by kind."
    assert {k.head for k in kinds.values()} == set(heads)
    fused = torch.zeros(2, 8, 24, 24)
    shapes = {m.name: tuple(make_head(8, m, dense=True)(fused).shape[1:]) for m in (cover, elevation, zone, season, weather)}
    assert shapes == {'cover': (12, 24, 24), 'elevation': (1, 24, 24), 'zone': (12,), 'season': (1,), 'weather': (12, 2)}
    assert n_parameters(make_head(8, elevation, True)) == 8 * 8 * 9 + 8 + 8 + 1
    with pytest.raises(ValueError, match="head of 'zone': 'classification' has no option 'kernel'; it has n_layers, width, conv_width"): make_head(8, zone, kernel=3)
    with pytest.raises(ValueError, match="head of 'zone': there is no type 'svm'; choose one of segmentation"): make_head(8, zone, type='svm')
    with pytest.raises(ValueError, match="'zone' is of kind category; DenseHead predicts image, mask"): make_head(8, zone, True, type='segmentation')


def test_no_dead_weights_in_any_head(cover, elevation, zone, season, weather):
    "Choosing by kind."
    torch.manual_seed(0)
    for modality in (cover, elevation, zone, season, weather):
        head = make_head(8, modality, dense=True, dropout=.1, batchnorm=True)
        out = head(torch.randn(4, 8, 6, 6))
        (out * torch.randn_like(out)).sum().backward()
        assert all(p.grad is not None and p.grad.any() for p in head.parameters()), modality.name
