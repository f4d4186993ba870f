"""SNUNet

Written by nbdev-export from the check cells of nbs/api/networks/07_snunet.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import pytest
import torch
from torch import nn

from mtl_explain.networks.layers import n_parameters
from mtl_explain.networks.multitask import MultitaskNetwork
from mtl_explain.networks.snunet import ChannelAttention, ECAM, NestedConvBlock, NestedDecoder
from mtl_explain.show.figures import diagram
from mtl_explain.testing.scene import (
    example_scene, loss_curve, scene_modalities, scene_setup, unused_weights, with_total, work,
)


# examples
@pytest.fixture(scope='module')
def mods():
    return scene_modalities(64)


@pytest.fixture(scope='module')
def setup():
    return scene_setup(dict(type="snunet"), name="SNUNet")


@pytest.fixture(scope='module')
def small():
    return scene_setup(dict(type="snunet", base=8, depth=3, ratio=2), name="small SNUNet")


def test_the_triangle():
    "SNUNet."
    blue, orange, green = "#0173b2", "#de8f05", "#029e73"


    def at(i):
        return 0.6 + 0.8 * i  # height of a row, inches


    nodes = [(i, j) for i in range(4) for j in range(1, 5 - i)]  # scale, column
    scales = ("1", "1/2", "1/4", "1/8", "1/16")
    boxes = {
        "ECAM": (6.9, 0.6, "ECAM: 64"),
        "change": (8.3, 0.4, "head: change"),
        "height": (8.3, 0.85, "head: height"),
    }
    for i, j in nodes:
        boxes[f"{i} {j}"] = (1.9 + j + 0.36 * i, at(i), f"{16 * 2**i}", green)
    for i, scale in enumerate(scales):
        boxes[f"scale {i}"] = (0.5, at(i), scale, "white")
        boxes[f"late {i}"] = (1.85 + 0.36 * i, at(i) + 0.15, f"{16 * 2**i}", orange)
        if i < 4:
            boxes[f"early {i}"] = (1.45 + 0.36 * i, at(i) - 0.15, f"{16 * 2**i}", blue)
    arrows = [("0 4", "ECAM"), ("ECAM", "change"), ("ECAM", "height")]
    arrows += [(f"early {i}", f"early {i + 1}") for i in range(3)]
    arrows += [(f"late {i}", f"late {i + 1}") for i in range(4)]
    for i in range(4):
        arrows += [(f"early {i}", f"{i} 1"), (f"late {i}", f"{i} 1")]
    for i, j in nodes:
        from_below = f"{i + 1} {j - 1}" if j > 1 else f"late {i + 1}"
        arrows.append((from_below, f"{i} {j}"))
        if j > 1:
            arrows.append((f"{i} {j - 1}", f"{i} {j}"))
    ax = diagram(boxes, arrows, (9, 4.5), "SNUNet: early (blue), late (orange), nested (green)")
    assert len(boxes) == 10 + 1 + 9 + 2 + 5


def test_a_node_by_hand():
    "A node."
    node = NestedConvBlock(6, 4).eval()
    assert n_parameters(node) == (9 * 6 * 4 + 4) + 9 * 4 * 4 + 2 * 2 * 4
    x = torch.randn(2, 6, 5, 5, generator=torch.Generator().manual_seed(0))
    nn.init.zeros_(node.residual[2].weight)  # no correction
    assert torch.allclose(node(x), node.conv1(x).relu(), atol=1e-6)


def test_the_decoder_is_what_the_equation_says():
    "The nested decoder."
    torch.manual_seed(0)
    widths = (2, 3, 4, 5)
    decoder = NestedDecoder(widths).eval()
    pairs = [list(torch.randn(2, 1, w, 16 // 2**i, 16 // 2**i)) for i, w in enumerate(widths[:-1])]
    coarsest = torch.randn(1, 5, 2, 2)


    def x(i, j):
        if j == 0:
            return pairs[i][1] if i < 3 else coarsest
        own = [x(i, k) for k in range(1, j)]
        doubled = decoder.up[j - 1][i](x(i + 1, j - 1))
        return decoder.nodes[j - 1][i](torch.cat([*pairs[i], *own, doubled], 1))


    found = decoder([*pairs, coarsest])
    assert len(found) == 3
    assert all(torch.allclose(y, x(0, j), atol=1e-5) for j, y in enumerate(found, 1))
    assert [[m.conv1.in_channels for m in column] for column in decoder.nodes] == [
        [2 * 2 + 3, 2 * 3 + 4, 2 * 4 + 5],
        [3 * 2 + 3, 3 * 3 + 4],
        [4 * 2 + 3],
    ]


def test_channel_attention_by_hand():
    "ECAM: whom to believe."
    attention = ChannelAttention(2, 2)
    with torch.no_grad():
        attention.mlp[0].weight.fill_(1)
        attention.mlp[2].weight.copy_(torch.tensor([1.0, 2.0]).view(2, 1, 1, 1))
    x = torch.tensor([[[[0.0, 2.0]], [[0.0, 4.0]]]])
    assert torch.allclose(attention(x).flatten(), torch.tensor([9.0, 18.0]).sigmoid())
    assert n_parameters(attention) == 4


def test_ecam_against_loops_over_samples_and_channels():
    "ECAM: whom to believe."
    torch.manual_seed(0)
    ecam = ECAM(4, 3, ratio=2)
    maps = list(torch.randn(3, 2, 4, 5, 6))
    assert n_parameters(ecam) == 2 * 4 * 2 + 2 * 12 * 2
    assert n_parameters(ECAM(16, 4)) == 2 * 16 * 4 + 2 * 64 * 4


    def worth(attention, x):  # of one sample's channels, (C,)
        first, second = (attention.mlp[i].weight[:, :, 0, 0] for i in (0, 2))
        total = 0
        for summary in (torch.mean, torch.max):
            hidden = first @ torch.stack([summary(c) for c in x])
            total = total + second @ hidden.clamp(min=0)
        return torch.sigmoid(total)


    for b, found in enumerate(ecam(maps)):
        x = torch.cat([m[b] for m in maps])
        intra = worth(ecam.intra, sum(m[b] for m in maps))
        inter = worth(ecam.inter, x)
        for c in range(12):
            assert torch.allclose(found[c], inter[c] * (x[c] + intra[c % 4]), atol=1e-6)


def test_parameters_by_hand(setup):
    "Against Table 3."
    net = MultitaskNetwork(scene_modalities(64, 3), setup)
    widths = (16, 32, 64, 128, 256)


    def node(a, b):
        return (9 * a * b + b) + 9 * b * b + 4 * b


    def up(w):
        return w * w * 4 + w


    encoder = node(3, 16) + sum(node(w, 2 * w) for w in widths[:-1])
    nested = sum(
        node((j + 1) * w + 2 * w, w) + up(2 * w) for i, w in enumerate(widths) for j in range(1, 5 - i)
    )
    ecam = 2 * 16 * 4 + 2 * 64 * 4
    heads = 65 * (3 + 1)
    unused_biases = sum((5 - i) * w for i, w in enumerate(widths))  # one a channel of each node
    assert unused_biases == 912
    assert n_parameters(net) == encoder + nested + ecam + heads == 3_012_308 - unused_biases


def test_work_by_parts(setup):
    "Against Table 3."
    paths = [
        "body.encoder",
        *(f"body.fusion.0.{part}.{j}" for j in range(4) for part in ("nodes", "up")),
        "body.fusion.1",
        "heads",
    ]
    table = with_total(work(setup, paths))
    means = (16 + 64) * 1024**2 / 1e9
    assert round(table.tabled["in all"] + means, 3) == 220.696
    assert table.computed["in all"] < 0.86 * table.tabled["in all"]
    table.style.format({"parameters": "{:,}", "tabled": "{:.2f}", "computed": "{:.2f}"})


def test_any_size_and_height_models_of_one_channel(mods, setup):
    "What every change network has to stand."
    net = MultitaskNetwork(mods, setup).eval()
    for h, w in ((16, 48), (24, 23), (1, 1)):
        y = net({"early_height": torch.randn(1, 1, h, w), "late_image": torch.randn(1, 3, h, w)})
        assert y["semantic_change"].shape == (1, 3, h, w)
        assert y["height_change"].shape == (1, 1, h, w)
        assert y["height_change"].abs().max() <= 1
    with pytest.raises(ValueError, match="ratio must divide base, got 4 and 6"):
        MultitaskNetwork(mods, scene_setup(dict(type="snunet", base=6)))
    types = ["convolutions", "nested, ECAM", "segmentation", "dense regression"]
    assert net.summary().type.tolist() == types


def test_all_weights_are_used_also_with_half_the_precision(setup, small, mods):
    "What every change network has to stand."
    x, _ = example_scene(n=2, size=32)
    for s in (setup, small):
        torch.manual_seed(0)
        net = MultitaskNetwork(mods, s)
        assert not unused_weights(net, x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = net(x)
        assert all(v.isfinite().all() for v in y.values())


def test_it_learns(mods, small):
    "What every change network has to stand."
    torch.manual_seed(0)
    x, y = example_scene(n=4, size=32)
    curve = loss_curve(MultitaskNetwork(mods, small), x, y, steps=8, lr=0.01)
    assert curve[-1] < 0.75 * curve[0], curve
