"""Heads

Written by nbdev-export from the check cells of nbs/api/networks/03_heads.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import math

import pytest
import torch
import torch.nn.functional as F

from mtl_explain.modality import Modality, kinds
from mtl_explain.networks.heads import (
    DenseHead, SoftThresholdHead, VectorHead, gates, heads, make_activation, make_head, soft_threshold,
)
from mtl_explain.networks.layers import n_parameters


# targets of the examples
@pytest.fixture(scope='module')
def cover():
    return Modality("cover", "mask", (24, 24), classes=tuple(f"class {i}" for i in range(12)))


@pytest.fixture(scope='module')
def elevation():
    return Modality("elevation", "image", (1, 24, 24), channels=("elevation",))


@pytest.fixture(scope='module')
def zone():
    return Modality("zone", "category", (), classes=tuple(f"zone {i}" for i in range(12)))


@pytest.fixture(scope='module')
def season():
    return Modality("season", "tabular", (1,), channels=("season",))


@pytest.fixture(scope='module')
def weather():
    return Modality("weather", "series", (12, 2), channels=("temperature", "precipitation"))


@pytest.fixture(scope='module')
def change():
    "A target with two kinds of change."
    return Modality("change", "mask", (4, 4), classes=("unchanged", "demolished", "newly built"))


def test_bounded_outputs():
    "Output activation."
    x = torch.linspace(-3, 3, 7)
    assert make_activation("sigmoid")(x).min() > 0
    assert make_activation("sigmoid")(x).max() < 1
    assert torch.equal(make_activation("")(x), x)
    assert torch.equal(make_activation(None)(x), x)
    with pytest.raises(
        ValueError, match="no output activation 'cosine'; choose one of sigmoid, tanh, softplus"
    ):
        make_activation("cosine")


def test_the_dense_heads_of_ben_ge(cover, elevation):
    "A prediction for each pixel."
    cover_head = DenseHead(64, cover)
    elevation_head = DenseHead(64, elevation, n_layers=3)
    assert n_parameters(cover_head) == 64 * 12 + 12
    assert n_parameters(elevation_head) == 2 * (64 * 64 * 9 + 64) + 64 + 1
    assert n_parameters(DenseHead(64, cover, last_kernel=3)) == 64 * 12 * 9 + 12  # paper B
    fused = torch.zeros(2, 64, 7, 9)
    assert DenseHead(64, cover, last_kernel=3)(fused).shape == (2, 12, 7, 9)
    assert cover_head(fused).shape == (2, 12, 7, 9)
    assert elevation_head(fused).shape == (2, 1, 7, 9)


def test_options_of_a_dense_head(cover, elevation):
    "A prediction for each pixel."
    head = DenseHead(
        8, cover, n_layers=3, width=5, kernel=1, dropout=0.1, batchnorm=True, activation="sigmoid"
    ).eval()
    assert n_parameters(head) == (8 * 5 + 5 + 10) + (5 * 5 + 5 + 10) + (5 * 12 + 12)
    assert 0 < head(torch.randn(1, 8, 3, 3, generator=torch.Generator().manual_seed(0))).min() < 1
    with pytest.raises(ValueError, match="'cover' is dense, but the fused representation is not a map"):
        DenseHead(8, cover, dense=False)
    head = DenseHead(8, elevation, activation="tanh", bias_init=-0.5)
    assert torch.allclose(head(torch.zeros(1, 8, 4, 4)), torch.full((1, 1, 4, 4), -0.5).tanh()), (
        "no feature, no change: the prediction before training"
    )
    for options in (dict(kernel=4), dict(last_kernel=4)):
        with pytest.raises(ValueError, match="the kernel must be odd, got 4"):
            DenseHead(8, cover, **options)


def test_heads_on_a_vector_by_hand(season, zone):
    "A prediction for the sample."
    def layer_types(head):
        return [type(m).__name__ for m in head.layers]


    yield_head = VectorHead(32, season, batchnorm=True)  # CropYield: two layers with normalisation
    assert n_parameters(yield_head) == (32 * 32 + 32 + 64) + (32 + 1)
    assert layer_types(yield_head) == ["Linear", "BatchNorm1d", "ReLU", "Linear", "Identity"]
    level3 = VectorHead(1536, zone, n_layers=1)  # TreeSatAI
    level2 = VectorHead(1536, zone, width=256, dropout=0.25)
    assert n_parameters(level3) == 1536 * 12 + 12
    assert n_parameters(level2) == (1536 * 256 + 256) + (256 * 12 + 12)
    assert layer_types(level2) == ["Linear", "ReLU", "Dropout", "Linear", "Identity"]
    assert level3(torch.zeros(2, 1536)).shape == (2, 12)


def test_heads_on_a_map_by_hand(zone, season):
    "A prediction for the sample."
    convolution = 64 * 16 + 16
    climate = VectorHead(64, zone, dense=True, n_layers=1, conv_width=16, dropout=0.5)
    assert n_parameters(climate) == convolution + (16 * 12 + 12)
    assert [type(m).__name__ for m in climate.layers] == ["Dropout", "Linear", "Identity"]
    bounded = VectorHead(
        64, season, dense=True, conv_width=16, dropout=0.2, activation="sigmoid"
    ).eval()
    assert n_parameters(bounded) == convolution + (16 * 16 + 16) + (16 + 1)
    x = torch.randn(2, 64, 9, 9, generator=torch.Generator().manual_seed(0))
    assert bounded(x).shape == (2, 1)
    assert 0 < bounded(x).min()
    assert bounded(x).max() < 1


def test_the_place_and_the_size_of_the_image_do_not_matter(zone):
    "A prediction for the sample."
    torch.manual_seed(0)
    head = VectorHead(8, zone, dense=True).eval()
    x = torch.randn(1, 8, 6, 6)
    assert torch.allclose(head(x), head(x.flip(2)), atol=1e-5)
    assert torch.allclose(head(x), head(x.repeat(1, 1, 2, 3)), atol=1e-5)


def test_a_series_is_predicted_at_all_its_steps(weather):
    "A prediction for the sample."
    head = VectorHead(10, weather, n_layers=1)
    assert head(torch.zeros(3, 10)).shape == (3, 12, 2)
    assert n_parameters(head) == 10 * 24 + 24


def test_the_soft_threshold_by_hand_and_what_it_becomes_for_small_t():
    "A head that reads another task."
    x = torch.tensor([-3.0, -0.5, 0.0, 0.5, 3.0], requires_grad=True)
    assert soft_threshold(x, 0.5)[3].item() == pytest.approx(2 / (1 + math.exp(-1)) - 1)
    torch.testing.assert_close(soft_threshold(x, 0.3), 2 * torch.sigmoid(x / 0.3) - 1)
    assert torch.equal(soft_threshold(x, 1e-4), torch.sign(x))
    assert torch.autograd.grad(soft_threshold(x, 0.5).sum(), x)[0][2] == 1
    assert torch.autograd.grad(soft_threshold(x, 1e-4).sum(), x)[0].tolist() == [0, 0, 5000, 0, 0]
    gaps = [(soft_threshold(x, t) - torch.sign(x)).abs().max().item() for t in (1, 0.5, 0.25, 0.125)]
    assert gaps == sorted(gaps, reverse=True)
    with pytest.raises(ValueError, match="must be above 0, got 0"):
        soft_threshold(x, 0)


def test_one_pixel_by_hand(change):
    "A head that reads another task."
    head = SoftThresholdHead(1, change, reads="height", temperature=0.2, zero=-0.5)
    head.threshold = torch.nn.Identity()
    head.classifier.weight.data.zero_()
    head.classifier.bias.data.zero_()
    head.classifier.weight.data[:, 0, 1, 1] = torch.tensor([0.0, 1.0, -1.0])
    fused = torch.full((1, 1, 1, 1), 3.0)
    gate = 2 / (1 + math.exp(-1)) - 1
    out = head(fused, torch.full((1, 1, 1, 1), -0.3))
    assert out.flatten().tolist() == pytest.approx([0, 3 + 3 * gate, -3 - 3 * gate])
    out = head(fused, torch.full((1, 1, 1, 1), -0.5))
    assert out[0, 1].item() == 3, "no change closes the gate"


def test_weights_of_the_soft_threshold_and_the_same_with_linear_layers(change):
    "A head that reads another task."
    head = SoftThresholdHead(64, change, reads="height").eval()
    small = SoftThresholdHead(64, change, reads="height", variant="small")
    assert n_parameters(head.threshold) == 8960 == 2 * (64 * 64 + 64) + 64 * 9 + 64
    assert n_parameters(head.classifier) == 64 * 3 * 9 + 3
    assert n_parameters(small.threshold) == (32 + 32) + (32 * 2 * 9 + 32) + (32 + 1) == 705
    g = torch.Generator().manual_seed(0)
    x = torch.randn(2, 64, 5, 6, generator=g)
    height = torch.rand(2, 1, 5, 6, generator=g) * 2 - 1
    first, middle, _, _, second, _ = head.threshold
    linear = torch.nn.functional.linear
    flat = linear((x * torch.tanh(height)).flatten(2).mT, first.weight.flatten(1), first.bias)
    flat = torch.nn.functional.gelu(middle(flat.mT.reshape(x.shape))).flatten(2).mT
    flat = linear(flat, second.weight.flatten(1), second.bias).mT.reshape(x.shape)
    torch.testing.assert_close(head(x, height), head.classifier(x + flat), atol=1e-5, rtol=1e-5)


def test_the_gradient_reaches_the_height_and_the_band_gets_narrow_with_t(change):
    "A head that reads another task."
    height = torch.linspace(-1, 1, 41).reshape(1, 1, 1, 41)


    def gradient(**options):
        torch.manual_seed(0)
        h = height.clone().requires_grad_()
        head = SoftThresholdHead(8, change, reads="height", **options).eval()
        head(torch.ones(1, 8, 1, 41), h).square().sum().backward()
        return h.grad.flatten().abs()


    for gate in gates:
        for variant in ("full", "small"):
            assert (gradient(gate=gate, variant=variant) > 0).all()


    def band(t):
        g = gradient(temperature=t)
        return (g > g.max() / 100).sum().item()


    assert band(0.5) == 41 > band(0.1) > band(0.02) > 0


def test_a_height_on_a_coarser_grid_is_brought_to_the_maps_and_what_is_refused(change):
    "A head that reads another task."
    head = SoftThresholdHead(8, change, reads="height").eval()
    fused = torch.ones(1, 8, 4, 4)
    coarse = torch.full((1, 1, 2, 2), 0.3)
    fine = torch.full((1, 1, 4, 4), 0.3)
    assert torch.allclose(head(fused, coarse), head(fused, fine))
    with pytest.raises(ValueError, match="needs one channel, but 'height' has 2"):
        head(fused, torch.ones(1, 2, 4, 4))
    for options, match in (
        (dict(reads=""), "`reads` must name"),
        (dict(gate="step"), "no gate 'step'; choose one of symmetric, sigmoid"),
        (dict(variant="big"), "no variant 'big'"),
        (dict(temperature=0), "temperature must be above 0, got 0"),
        (dict(dense=False), "is not a map"),
    ):
        with pytest.raises(ValueError, match=match):
            SoftThresholdHead(8, change, **dict(reads="height") | options)


def test_one_head_for_each_kind_of_target(cover, elevation, zone, season, weather):
    "How sure of a number."
    assert {k.head for k in kinds.values() if k.head} | {"soft-threshold"} == set(heads)
    fused = torch.zeros(2, 8, 24, 24)
    for modality, shape in (
        (cover, (12, 24, 24)),
        (elevation, (1, 24, 24)),
        (zone, (12,)),
        (season, (1,)),
        (weather, (12, 2)),
    ):
        assert make_head(8, modality, dense=True)(fused).shape[1:] == shape
    assert n_parameters(make_head(8, elevation, True)) == 8 * 8 * 9 + 8 + 8 + 1
    with pytest.raises(
        ValueError,
        match="head of 'zone': 'classification' has no option 'kernel'; "
        "it has n_layers, width, conv_width",
    ):
        make_head(8, zone, kernel=3)
    with pytest.raises(
        ValueError, match="head of 'zone': there is no type 'svm'; choose one of segmentation"
    ):
        make_head(8, zone, type="svm")
    with pytest.raises(ValueError, match="'zone' is of kind category; DenseHead predicts image, mask"):
        make_head(8, zone, True, type="segmentation")


def test_several_labels():
    "How sure of a number."
    # several labels: two logits for each
    trees = Modality("trees", "multilabel", (3,), ("oak", "pine", "ash"), ("absent", "present"))
    for dense, fused in ((True, torch.zeros(2, 8, 24, 24)), (False, torch.zeros(2, 8))):
        assert make_head(8, trees, dense)(fused).shape == (2, 2, 3)


def test_no_dead_weights_in_any_head(cover, elevation, zone, season, weather):
    "How sure of a number."
    torch.manual_seed(0)
    for modality in (cover, elevation, zone, season, weather):
        head = make_head(8, modality, dense=True, dropout=0.1, batchnorm=True)
        out = head(torch.randn(4, 8, 6, 6))
        (out * torch.randn_like(out)).sum().backward()
        assert all(p.grad is not None and p.grad.any() for p in head.parameters()), modality.name


def test_quantiles_never_cross_the_median_is_the_one_in_the_middle(elevation, season, weather, cover):
    "How sure of a number."
    # quantiles never cross, the median is the one in the middle; every kind of number has them
    torch.manual_seed(1)
    for modality, shape in ((elevation, (1, 6, 6)), (season, (1,)), (weather, (12, 2))):
        head = make_head(8, modality, True, quantiles=(0.05, 0.25, 0.5, 0.9))
        for p in head.parameters():
            p.data.normal_(0, 3)
        found = head(torch.randn(50, 8, 6, 6))
        assert found.shape[1:] == (4, *shape)
        assert (found.diff(dim=1) >= 0).all()
        x = torch.randn(2, 8, 6, 6)
        assert torch.equal(head(x)[:, head.middle], head.median(x))
        steps = [F.softplus(s(x)) for s in head.steps]  # by hand
        torch.testing.assert_close(head(x)[:, 0], head.median(x) - steps[1] - steps[0])
        torch.testing.assert_close(head(x)[:, 3], head.median(x) + steps[2])
    bounded = make_head(8, elevation, True, quantiles=[0.1, 0.5, 0.9], activation="tanh")
    assert bounded(100 * x)[:, 1].abs().max() <= 1 < bounded(100 * x)[:, 2].max()
    for quantiles in ((0.1, 0.9), (0.5, 0.9), (0.9, 0.5, 0.1), (0.1, 0.5, 1), "0.5", (0.1, "0.5", 0.9)):
        with pytest.raises(ValueError, match="expected rising numbers between 0 and 1 with 0.5 inside"):
            make_head(8, elevation, True, quantiles=quantiles)
    with pytest.raises(ValueError, match="'cover': it is of kind mask; only numbers have quantiles"):
        make_head(8, cover, True, quantiles=(0.1, 0.5, 0.9))
