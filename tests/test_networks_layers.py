"""Layers

Written by nbdev-export from the check cells of nbs/api/networks/00_layers.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import pytest
import torch
from torch import nn

from mtl_explain.modality import Modality
from mtl_explain.networks.layers import (
    Dropout, as_channels, check_input, conv_block, double_conv, make_listed, make_part, mlp, n_inputs,
    n_parameters, shape_table,
)


# a part to try it on
def brick_wall(n_in, width=8, dropout=0.0, name=""):
    return nn.Linear(n_in, width)


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


def test_a_batch_that_does_not_fit_says_why(optical, weather, zone):
    "Checked inputs."
    with pytest.raises(ValueError, match="'optical': expected 3 channels, got 4"):
        check_input(torch.zeros(2, 4, 32, 32), optical)
    with pytest.raises(ValueError, match=r"\(sample, time, channel\), got shape \(12, 2\)"):
        check_input(torch.zeros(12, 2), weather)
    with pytest.raises(ValueError, match="'zone': a label is missing"):
        check_input(torch.tensor([0, -1]), zone)
    with pytest.raises(ValueError, match="label 5 is outside its 5 classes"):
        check_input(torch.tensor([0, 5]), zone)
    assert check_input(torch.zeros(2, 3, 7, 91), optical) is None  # another image size is fine here


def test_labels_become_one_hot_channels(cover, zone, optical, weather, soil):
    "Checked inputs."
    mask = torch.randint(0, 4, (2, 5, 6), generator=torch.Generator().manual_seed(0))
    hot = as_channels(mask, cover)
    assert hot.shape == (2, 4, 5, 6)
    assert hot.dtype == torch.float32
    assert torch.equal(hot.argmax(1), mask)
    assert torch.equal(hot.sum(1), torch.ones(2, 5, 6))
    assert as_channels(torch.tensor([4, 0]), zone).tolist() == [[0, 0, 0, 0, 1], [1, 0, 0, 0, 0]]
    assert n_inputs(cover) == 4
    assert n_inputs(optical) == 3
    assert n_inputs(weather) == 2
    assert n_inputs(soil) == 5


def test_an_odd_image_is_halved_upwards():
    "Bricks."
    assert double_conv(3, 8, stride=2)(torch.zeros(1, 3, 7, 9)).shape == (1, 8, 4, 5)
    x = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    assert conv_block(3, 8)(x).min() == 0


def test_a_perceptron_sees_features_a_pixels_perceptron_one_pixel():
    "Bricks."
    torch.manual_seed(0)
    layers = mlp(3, [4, 2], batchnorm=True, pixels=True).eval()
    x = torch.randn(1, 3, 5, 5)
    assert torch.allclose(layers(x[..., 2:3, 4:5])[..., 0, 0], layers(x)[..., 2, 4], atol=1e-6)


    def layer_types(layers):
        return [type(m).__name__ for m in layers]


    all_options = mlp(5, [7], dropout=0.3, batchnorm=True)
    assert layer_types(all_options) == ["Linear", "BatchNorm1d", "ReLU", "Dropout"]
    assert layer_types(mlp(5, [7, 2], pixels=True)) == ["Conv2d", "ReLU"] * 2
    assert len(mlp(5, [])) == 0


def test_a_share_is_left_out_the_rest_scaled():
    "Bricks."
    # a share is left out, the rest scaled; memory order, gradient and evaluation as usual
    torch.manual_seed(0)
    x = torch.rand(3, 64, 41, 43).add(1).to(memory_format=torch.channels_last).requires_grad_()
    y = Dropout(0.1)(x)
    y.sum().backward()
    kept = y != 0
    assert abs(kept.float().mean() - 0.9) < 0.003
    assert torch.allclose(y[kept], x[kept] / 0.9)
    assert torch.equal(x.grad, kept / 0.9)
    assert y.is_contiguous(memory_format=torch.channels_last)
    for dim in (1, 2, 3):  # no pattern along any side
        assert all(abs(m.float().mean() - 0.9) < 0.02 for m in kept.unbind(dim))
    assert abs((kept[..., 1:] & kept[..., :-1]).float().mean() - 0.81) < 0.004
    assert Dropout(0.1).eval()(x) is x
    assert Dropout(0.0)(x) is x
    same = torch.ones(5, 7)
    assert Dropout(0.5, inplace=True)(same) is same
    assert set(same.unique().tolist()) == {0.0, 2.0}
    assert Dropout(0.5)(torch.ones(0)).shape == (0,)
    assert Dropout(0.5)(torch.ones(5, 7).T).shape == (7, 5)
    torch.manual_seed(3)
    first = Dropout(0.5)(torch.ones(1000))
    torch.manual_seed(3)
    assert torch.equal(Dropout(0.5)(torch.ones(1000)), first)


def test_parameters_of_the_bricks_by_hand():
    "Bricks."
    weights = 3 * 8 * 9
    scale_and_shift = 2 * 8  # of the normalisation
    assert n_parameters(conv_block(3, 8)) == weights + scale_and_shift
    assert n_parameters(double_conv(3, 8)) == (3 + 8) * 8 * 9 + 4 * 8
    two_layers = (5 * 7 + 7) + (7 * 4 + 4)
    assert n_parameters(mlp(5, [7, 4])) == two_layers
    assert n_parameters(mlp(5, [7, 4], pixels=True)) == two_layers
    assert n_parameters(mlp(5, [7], batchnorm=True)) == 5 * 7 + 7 + 2 * 7


def test_an_image_on_its_way_through_two_bricks():
    "Looking inside."
    two = nn.Sequential(double_conv(3, 8, stride=2), conv_block(8, 4))
    state = {k: v.clone() for k, v in two.state_dict().items()}
    table = shape_table(two, torch.ones(1, 3, 10, 10))
    assert table.output.tolist() == [(8, 5, 5), (4, 5, 5)]
    assert table.parameters.sum() == n_parameters(two)
    assert two.training
    assert all(torch.equal(v, state[k]) for k, v in two.state_dict().items())


def test_right_and_wrong_options():
    "Parts by name."
    table = {"brick": brick_wall}
    assert make_part(table, "brick", "a wall", (3,), dict(width=5, dropout=0)).out_features == 5
    with pytest.raises(ValueError, match="a wall: there is no type 'stone'; choose one of brick"):
        make_part(table, "stone", "a wall", (3,), {})
    with pytest.raises(
        ValueError, match="a wall: 'brick' has no option 'wdith'; it has width, dropout, name"
    ):
        make_part(table, "brick", "a wall", (3,), dict(wdith=5))
    with pytest.raises(ValueError, match="option 'width' cannot be 0"):
        make_part(table, "brick", "a wall", (3,), dict(width=0))
    with pytest.raises(ValueError, match="option 'width' must be a number, got 'five'"):
        make_part(table, "brick", "a wall", (3,), dict(width="five"))
    with pytest.raises(ValueError, match="option 'dropout' cannot be 1.5"):
        make_part(table, "brick", "a wall", (3,), dict(dropout=1.5))


    def scale(n_in, zero=0.0):
        return zero


    made = make_part({"scale": scale}, "scale", "a scale", (3,), dict(zero=-0.5))
    assert made == -0.5, "where zero lies may be any number"


def test_a_class_that_is_listed_is_made():
    "Parts by name."
    # a class that is listed is made; a path, a function or a list is not looked for
    listed = {"": brick_wall, "tall": brick_wall}
    assert make_listed(listed, "walls", "wall", (3,), dict(type="tall", width=4)).out_features == 4
    assert make_listed(listed, "walls", "wall", (3,), {}).out_features == 8
    for name in ("os.system", "torch.nn.Linear", "brick_wall", ["tall"], None):
        with pytest.raises(
            ValueError,
            match="there is no wall .*; known: tall; a class of your own is entered in `walls` first",
        ):
            make_listed(listed, "walls", "wall", (3,), dict(type=name))
