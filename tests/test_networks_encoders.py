"""Encoders

Written by nbdev-export from the check cells of nbs/api/networks/01_encoders.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import math
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import ResNet18_Weights, resnet18

from mtl_explain.modality import Modality
from mtl_explain.networks.encoders import (
    BandStatistics, ConvEncoder, EmbeddingEncoder, Encoder, FlatMLP, MLPEncoder, ResNet18, SeriesTransformer,
    UNet, adapt_stem, check_depth, masked_mean, pad_to_multiple, pixel_quantiles, time_encoding,
)
from mtl_explain.networks.layers import as_channels, n_parameters, shape_table


# modalities of the examples
@pytest.fixture(scope='module')
def optical():
    return Modality("optical", "image", (3, 32, 32), channels=("red", "green", "blue"))


@pytest.fixture(scope='module')
def cover():
    return Modality("cover", "mask", (32, 32), classes=("water", "forest", "crops", "city"))


@pytest.fixture(scope='module')
def weather():
    return Modality("weather", "series", (12, 2), channels=("temperature", "precipitation"))


@pytest.fixture(scope='module')
def zone():
    return Modality("zone", "category", (), classes=("tropical", "arid", "temperate", "cold", "polar"))


@pytest.fixture(scope='module')
def soil():
    return Modality("soil", "tabular", (5,), channels=("clay", "silt", "sand", "carbon", "pH"))


def test_an_encoder_of_ones_own_needs_little(optical, soil):
    "The common ground."
    class Brightness(Encoder):
        kinds = ("image",)
        out_features = 1

        def forward(self, x):
            return as_channels(x, self.modality).mean((1, 2, 3))[:, None]


    assert Brightness(optical)(torch.ones(4, 3, 9, 9)).tolist() == [[1.0]] * 4
    with pytest.raises(ValueError, match="'soil' is of kind tabular; Brightness reads image"):
        Brightness(soil)


def test_the_next_multiple_or_a_refusal(optical):
    "U-Net: a pixel in its surroundings."
    assert pad_to_multiple(torch.zeros(1, 2, 9, 16), 8).shape == (1, 2, 16, 16)
    row = pad_to_multiple(torch.arange(3.0).view(1, 1, 1, 3), 4)
    assert row[0, 0].tolist() == [[0, 1, 2, 2]] * 4
    same = torch.zeros(1, 2, 16, 8)
    assert pad_to_multiple(same, 8) is same
    check_depth(optical, 8, 900, 3)
    with pytest.raises(
        ValueError,
        match="'optical': a U-Net of depth 3 needs at least 8 pixels a side, "
        "the image has 6×40; choose depth 2",
    ):
        check_depth(optical, 6, 40, 3)
    with pytest.raises(ValueError, match="the image has 1×1; read it another way"):
        check_depth(optical, 1, 1, 1)


def test_parameters_of_a_u_net_by_hand(optical, cover):
    "U-Net: a pixel in its surroundings."
    def double(a, b):
        return 9 * (a + b) * b + 4 * b


    def level(a, b):  # down, up, and what follows the skip connection
        return double(a, b) + (4 * a * b + a) + double(2 * a, a)


    def by_hand(n_in, width, depth):
        widths = [width * 2**i for i in range(depth + 1)]
        return double(n_in, width) + sum(level(a, b) for a, b in pairwise(widths))


    assert n_parameters(UNet(optical, width=4, depth=2)) == by_hand(3, 4, 2) == 7544
    assert n_parameters(UNet(optical, width=4, depth=2, out_features=7)) == 7544 + 4 * 7 + 7
    assert n_parameters(UNet(cover, width=4, depth=1)) == by_hand(4, 4, 1)
    with torch.device("meta"):
        original = UNet(optical, width=64, depth=4)
    assert n_parameters(original) == by_hand(3, 64, 4) == 31_037_568


def test_any_image_size_from_two_to_the_depth_on(optical, cover):
    "U-Net: a pixel in its surroundings."
    unet = UNet(optical, width=4, depth=3).eval()
    for h, w in ((8, 8), (32, 32), (33, 40), (9, 57)):
        assert unet(torch.zeros(1, 3, h, w)).shape == (1, 4, h, w)
    with pytest.raises(ValueError, match="depth 3 needs at least 8 pixels a side"):
        unet(torch.zeros(1, 3, 6, 40))
    with pytest.raises(ValueError, match="of depth 6 needs at least 64 pixels"):
        UNet(optical, depth=6)
    assert UNet(cover, width=4).eval()(torch.zeros(2, 17, 16, dtype=torch.long)).shape == (2, 4, 17, 16)


def test_down_to_four_by_four_pixels_and_up_again(optical):
    "U-Net: a pixel in its surroundings."
    table = shape_table(UNet(optical, width=16, depth=3), torch.zeros(1, 3, 32, 32))
    assert table.output["stem"] == (16, 32, 32)
    assert table.output["down 2"] == (128, 4, 4)
    assert table.output["out"] == (16, 32, 32)
    assert table.parameters.sum() == n_parameters(UNet(optical, width=16, depth=3))


def test_what_the_centre_pixel_can_see():
    "U-Net: a pixel in its surroundings."
    def receptive_field(depth, size=105):
        grey = Modality("grey", "image", (1, size, size), channels=("grey",))
        torch.manual_seed(0)
        net = UNet(grey, width=8, depth=depth).eval()
        x = torch.zeros(1, 1, size, size, requires_grad=True)
        x.data += torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
        net(x)[0, :, size // 2, size // 2].sum().backward()
        return x.grad[0, 0].abs().numpy()


    def pixels_across(field):
        return int((field > 0).any(0).sum())


    fig, axes = plt.subplots(1, 3, figsize=(8, 3), layout="constrained")
    fields = {d: receptive_field(d) for d in (1, 2, 3)}
    for ax, (d, field) in zip(axes, fields.items(), strict=True):
        ax.imshow(np.log10((field / field.max()).clip(1e-6)), cmap="magma", vmin=-6, vmax=0)
        ax.set(
            title=f"depth {d}: {pixels_across(field)} pixels wide",
            xlabel="x [pixel]",
            ylabel="y [pixel]" if d == 1 else "",
        )
    sides = [pixels_across(f) for f in fields.values()]
    assert sides == sorted(sides)


def test_one_vector_for_each_image_whatever_its_size(optical, cover):
    "Convolutional encoder: one vector for a picture."
    conv = ConvEncoder(optical, width=4, depth=3).eval()
    assert conv.out_features == 16
    for size in ((1, 1), (2, 9), (32, 32), (33, 65)):
        assert conv(torch.zeros(2, 3, *size)).shape == (2, 16)


    def two_convolutions(a, b):
        return 9 * (a + b) * b + 4 * b


    assert n_parameters(conv) == sum(two_convolutions(*ab) for ab in ((3, 4), (4, 8), (8, 16)))
    masks = torch.zeros(2, 8, 8, dtype=torch.long)
    assert ConvEncoder(cover, out_features=5).eval()(masks).shape == (2, 5)


def test_a_grey_image_excites_the_adapted_layer_as_before():
    "ResNet-18: experience from photographs."
    torch.manual_seed(0)
    stem = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
    grey = torch.rand(2, 1, 9, 9)
    adapted = adapt_stem(stem, 12, pretrained=True)
    assert torch.allclose(adapted(grey.expand(2, 12, 9, 9)), stem(grey.expand(2, 3, 9, 9)), atol=1e-5)
    fresh = adapt_stem(stem, 12, pretrained=False).weight
    assert fresh.shape == (8, 12, 7, 7)  # He et al. 2015, fan out
    assert abs(fresh.std() - (2 / (8 * 49)) ** 0.5) < 0.005


def test_five_hundred_and_twelve_features_from_any_image(optical):
    "ResNet-18: experience from photographs."
    radar = Modality("radar", "image", (2, 64, 64), channels=("VV", "VH"))
    net = ResNet18(radar).eval()
    for size in ((32, 32), (47, 64)):
        assert net(torch.zeros(1, 2, *size)).shape == (1, 512)
    with torch.device("meta"):
        three = ResNet18(optical)
    torchvisions = 11_689_512
    classifier = 512 * 1000 + 1000
    assert n_parameters(three) == torchvisions - classifier == 11_176_512
    assert n_parameters(net) == 11_176_512 - 64 * 49


def test_without_network_a_plain_warning_and_random_weights_else_the_weights(optical):
    "ResNet-18: experience from photographs."
    with pytest.MonkeyPatch.context() as patch:

        def offline(*args, **kwargs):
            raise OSError("no route to host")

        patch.setattr(type(ResNet18_Weights.DEFAULT), "get_state_dict", offline)
        with pytest.warns(
            UserWarning, match="cannot be loaded .no route to host.; starting from random weights"
        ):
            assert ResNet18(optical, pretrained=True).out_features == 512
        torch.manual_seed(0)
        state = resnet18().state_dict()
        patch.setattr(type(ResNet18_Weights.DEFAULT), "get_state_dict", lambda *args, **kwargs: state)
        three = ResNet18(optical, pretrained=True)
        one = ResNet18(Modality("pan", "image", (1, 32, 32), channels=("pan",)), pretrained=True)
    assert torch.equal(three.net.conv1.weight, state["conv1.weight"])
    assert torch.equal(one.net.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])
    assert torch.allclose(one.net.conv1.weight, state["conv1.weight"].sum(1, keepdim=True), atol=1e-6)


def test_linear_layers_by_hand(soil, zone):
    "Multilayer perceptrons: tables, and very small images."
    encoder = MLPEncoder(soil, width=8, n_layers=3, out_features=4)
    assert n_parameters(encoder) == (5 * 8 + 8) + (8 * 8 + 8) + (8 * 4 + 4)
    assert encoder(torch.zeros(2, 5)).shape == (2, 4)
    one_hot = MLPEncoder(zone, width=8, n_layers=1)
    w = one_hot.layers[0].weight
    b = one_hot.layers[0].bias
    assert torch.allclose(one_hot(torch.tensor([3])), F.relu(w[:, 3] + b)[None])


def test_a_satellite_patch_of_six_by_six_pixels():
    "Multilayer perceptrons: tables, and very small images."
    sentinel2 = Modality("sentinel2", "image", (12, 6, 6), channels=tuple(f"B{i}" for i in range(12)))
    flat = FlatMLP(sentinel2, width=512)
    assert flat(torch.zeros(2, 12, 6, 6)).shape == (2, 512)
    assert n_parameters(flat) == (12 * 36 * 512 + 512) + 2 * (512 * 512 + 512)
    assert [type(m).__name__ for m in flat.layers] == ["Linear", "ReLU", "Dropout"] * 3
    with pytest.raises(
        ValueError, match=r"made for, \(6, 6\), got \(7, 6\); the encoder 'conv' takes any"
    ):
        flat(torch.zeros(2, 12, 7, 6))


def test_quantiles_of_1_to_5_by_hand_and_of_noise_as_torch_has_them():
    "Multilayer perceptrons: tables, and very small images."
    assert pixel_quantiles(torch.tensor([3.0, 1, 5, 2, 4]), (0, 0.1, 0.5, 1)) == [1, 1.4, 3, 5]
    noise = torch.randn(3, 2, 50, generator=torch.Generator().manual_seed(0))
    shares = (0.02, 0.1, 0.5, 0.93)
    for own, theirs in zip(
        pixel_quantiles(noise, shares), noise.quantile(torch.tensor(shares), dim=-1), strict=True
    ):
        torch.testing.assert_close(own, theirs)


def test_statistics_of_the_bands_by_hand_in_any_order_of_the_pixels_and_at_any():
    "Multilayer perceptrons: tables, and very small images."
    # statistics of the bands by hand, in any order of the pixels and at any size
    s2 = Modality("s2", "image", (12, 6, 6), channels=tuple(f"B{i}" for i in range(12)))
    torch.manual_seed(0)
    bands = BandStatistics(s2, width=16, n_layers=1, dropout=0.0, batchnorm=False)
    x = torch.randn(2, 12, 6, 6)
    flat = x.flatten(2).numpy()
    by_hand = [flat.mean(2), flat.std(2), *np.quantile(flat, [0.1, 0.5, 0.9], axis=2)]
    by_hand = torch.tensor(np.concatenate(by_hand, 1), dtype=torch.float32)
    with torch.no_grad():
        assert torch.allclose(bands(x), bands.layers(by_hand), atol=1e-5)
        assert torch.allclose(bands(x), bands(x.rot90(1, (2, 3)).flip(3)), atol=1e-5)
        assert torch.allclose(bands(x), bands(x.repeat(1, 1, 2, 1)), atol=0.1)
    assert bands(torch.zeros(2, 12, 9, 7)).shape == (2, 16)
    assert n_parameters(bands) == 5 * 12 * 16 + 16


def test_the_first_features_of_two_days_by_hand():
    "Transformer: what happened, and when."
    code = time_encoding(torch.tensor([0.0, 3.0]), 4)
    day_3 = [math.sin(3), math.cos(3), math.sin(0.03), math.cos(0.03)]
    assert torch.allclose(code[0], torch.tensor([0.0, 1.0, 0.0, 1.0]))
    assert torch.allclose(code[1], torch.tensor(day_3))
    assert time_encoding(torch.zeros(2, 12), 5).shape == (2, 12, 5)  # odd widths, too


def test_irregular_times_are_visible_in_their_encoding():
    "Transformer: what happened, and when."
    days = torch.tensor([3.0, 8, 13, 17, 23, 30, 38, 110, 118, 131, 142, 150])
    code = time_encoding(days, 32).numpy()
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained", width_ratios=[3, 2])
    image = left.imshow(code, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    left.set(
        title="positional encoding of twelve passes",
        xlabel="feature",
        ylabel="day",
        yticks=range(12),
        yticklabels=days.int().tolist(),
    )
    fig.colorbar(image, ax=left)
    image = right.imshow(code @ code.T / 16, cmap="viridis", vmin=0.2, vmax=1)
    right.set(
        title="similarity of the steps",
        xlabel="day",
        ylabel="day",
        xticks=range(0, 12, 2),
        yticks=range(12),
        xticklabels=days.int().tolist()[::2],
        yticklabels=days.int().tolist(),
    )
    fig.colorbar(image, ax=right)
    alike = code @ code.T
    assert alike[0, 1] > alike[0, 6] > alike[0, 11]
    assert alike[6, 7] < alike[7, 8]


def test_only_present_steps_count():
    "Transformer: what happened, and when."
    steps = torch.tensor([[[1.0], [3.0], [100.0]], [[5.0], [6.0], [7.0]]])
    present = torch.tensor([[True, True, False], [False, False, False]])
    assert masked_mean(steps, present).tolist() == [[2.0], [0.0]]


def test_absent_steps_change_nothing(weather):
    "Transformer: what happened, and when."
    torch.manual_seed(0)
    net = SeriesTransformer(weather, dropout=0.0)
    x = torch.randn(2, 6, 2)
    t = torch.arange(6.0).expand(2, 6) * 30
    padded = torch.cat([x, torch.full((2, 3, 2), torch.nan)], 1)
    times = torch.cat([t, torch.full((2, 3), torch.nan)], 1)
    for mode in (True, False):  # PyTorch takes another path through attention in evaluation
        net.train(mode)
        with torch.no_grad():
            assert torch.allclose(net(x, t), net(padded, times), atol=1e-5)


def test_the_order_of_the_rows_does_not_matter_their_times_do(weather):
    "Transformer: what happened, and when."
    torch.manual_seed(0)
    net = SeriesTransformer(weather).eval()
    x = torch.randn(3, 12, 2)
    t = torch.rand(3, 12) * 365
    order = torch.randperm(12)
    with torch.no_grad():
        y = net(x, t)
        assert torch.allclose(y, net(x[:, order], t[:, order]), atol=1e-5)
        assert not torch.allclose(y, net(x, t[:, order]), atol=1e-2)
        # neighbours in the batch do not matter either
        assert torch.allclose(y[:1], net(x[:1], t[:1]), atol=1e-5)


def test_a_sample_without_any_step_is_represented_by_zeros(weather):
    "Transformer: what happened, and when."
    torch.manual_seed(0)
    net = SeriesTransformer(weather)
    x = torch.randn(2, 12, 2)
    t = torch.rand(2, 12) * 365
    t[1] = torch.nan
    y = net(x, t)
    y.sum().backward()
    assert y[1].abs().sum() == 0
    assert y[0].abs().sum() > 0
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_parameters_of_a_transformer_by_hand(weather):
    "Transformer: what happened, and when."
    d, f = 32, 128
    attention = 4 * d * d + 4 * d
    feedforward = 2 * d * f + d + f
    normalisations = 4 * d
    layer = attention + feedforward + normalisations
    assert n_parameters(SeriesTransformer(weather, width=d, n_layers=3)) == (2 * d + d) + 3 * layer
    first, second = (layer.linear1.weight for layer in SeriesTransformer(weather).layers)
    assert not torch.equal(first, second)  # each layer has its own start
    with pytest.raises(ValueError, match="'weather': 5 attention heads do not divide 32 features"):
        SeriesTransformer(weather, n_heads=5)


def test_the_same_class_the_same_vector(zone):
    "Embedding: looking up a name."
    torch.manual_seed(0)
    net = EmbeddingEncoder(zone, width=6)
    y = net(torch.tensor([2, 0, 2]))
    assert y.shape == (3, 6)
    assert torch.equal(y[0], y[2])
    assert not torch.equal(y[0], y[1])
    assert n_parameters(net) == 5 * 6
    with pytest.raises(ValueError, match="'zone': a label is missing"):
        net(torch.tensor([-1, 2]))
