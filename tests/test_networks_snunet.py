"""SNUNet

Written by nbdev-export from the check cells of nbs/api/networks/07_snunet.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import pytest
import torch
from torch import nn

from mtl_explain.networks.layers import n_parameters
from mtl_explain.networks.multitask import MultitaskNetwork
from mtl_explain.networks.snunet import ChannelAttention, ECAM, Nest, Node
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
    return scene_setup(dict(type="snunet", base=8, depth=3, narrow=2), name="small SNUNet")


def test_the_triangle():
    "SNUNet."
    blue, orange, green = "#0173b2", "#de8f05", "#029e73"


    def at(i):
        return 0.6 + 0.8 * i  # height of a row, inches


    boxes = {
        f"{i} {j}": (1.9 + j + 0.36 * i, at(i), f"{16 * 2**i}", green)
        for i in range(4)
        for j in range(1, 5 - i)
    } | {"ECAM": (6.9, 0.6, "ECAM: 64")}
    boxes |= {
        f"late {i}": (1.85 + 0.36 * i, at(i) + 0.15, f"{16 * 2**i}", orange) for i in range(5)
    } | {f"early {i}": (1.45 + 0.36 * i, at(i) - 0.15, f"{16 * 2**i}", blue) for i in range(4)}
    boxes |= {
        "change": (8.3, 0.4, "head: change"),
        "height": (8.3, 0.85, "head: height"),
        **{
            f"scale {i}": (0.5, at(i), s, "white")
            for i, s in enumerate(("1", "1/2", "1/4", "1/8", "1/16"))
        },
    }
    arrows = [
        (f"{name} {i}", f"{name} {i + 1}") for name, n in (("early", 3), ("late", 4)) for i in range(n)
    ] + [("0 4", "ECAM"), ("ECAM", "change"), ("ECAM", "height")]
    for i in range(4):
        arrows += [
            (f"early {i}", f"{i} 1"),
            (f"late {i}", f"{i} 1"),
            *((f"{i} {j}", f"{i} {j + 1}") for j in range(1, 4 - i)),
        ]
        arrows += [
            (f"{i + 1} {j - 1}" if j > 1 else f"late {i + 1}", f"{i} {j}") for j in range(1, 5 - i)
        ]
    ax = diagram(boxes, arrows, (9, 4.5), "SNUNet: early (blue), late (orange), nested (green)")
    assert len(boxes) == 10 + 1 + 9 + 2 + 5


def test_a_node_by_hand():
    "A node."
    node = Node(6, 4).eval()
    assert n_parameters(node) == (9 * 6 * 4 + 4) + 9 * 4 * 4 + 2 * 2 * 4
    x = torch.randn(2, 6, 5, 5, generator=torch.Generator().manual_seed(0))
    nn.init.zeros_(node.second[2].weight)  # no correction
    assert torch.allclose(node(x), node.first(x).relu(), atol=1e-6)


def test_the_nest_is_what_the_equation_says():
    "The nest."
    torch.manual_seed(0)
    widths = (2, 3, 4, 5)
    nest = Nest(widths).eval()
    maps = [list(torch.randn(2, 1, w, 16 // 2**i, 16 // 2**i)) for i, w in enumerate(widths[:-1])] + [
        torch.randn(1, 5, 2, 2)
    ]


    def node(i, j):
        if j == 0:
            return maps[i][1] if i < 3 else maps[3]
        own = [node(i, k) for k in range(1, j)]
        return nest.nodes[j - 1][i](
            torch.cat([*maps[i], *own, nest.up[j - 1][i](node(i + 1, j - 1))], 1)
        )


    found = nest(maps)
    assert len(found) == 3
    assert all(torch.allclose(x, node(0, j), atol=1e-5) for j, x in enumerate(found, 1))
    assert [[m.first.in_channels for m in column] for column in nest.nodes] == [
        [2 * 2 + 3, 2 * 3 + 4, 2 * 4 + 5],
        [3 * 2 + 3, 3 * 3 + 4],
        [4 * 2 + 3],
    ]


def test_channel_attention_by_hand():
    "ECAM: whom to believe."
    attention = ChannelAttention(2, 2)
    with torch.no_grad():
        attention.layers[0].weight.fill_(1)
        attention.layers[2].weight.copy_(torch.tensor([1.0, 2.0]).view(2, 1, 1, 1))
    assert torch.allclose(
        attention(torch.tensor([[[[0.0, 2.0]], [[0.0, 4.0]]]])).flatten(),
        torch.tensor([9.0, 18.0]).sigmoid(),
    )
    assert n_parameters(attention) == 4


def test_ecam_against_loops_over_samples_and_channels():
    "ECAM: whom to believe."
    torch.manual_seed(0)
    ecam = ECAM(4, 3, narrow=2)
    maps = list(torch.randn(3, 2, 4, 5, 6))
    assert n_parameters(ecam) == 2 * 4 * 2 + 2 * 12 * 2
    assert n_parameters(ECAM(16, 4)) == 2 * 16 * 4 + 2 * 64 * 4


    def worth(attention, x):  # of one sample's channels, (C,)
        first, second = (attention.layers[i].weight[:, :, 0, 0] for i in (0, 2))
        return torch.sigmoid(
            sum(
                second @ (first @ torch.stack([f(c) for c in x])).clamp(min=0)
                for f in (torch.mean, torch.max)
            )
        )


    for b, found in enumerate(ecam(maps)):
        x = torch.cat([m[b] for m in maps])
        total = worth(ecam.common, sum(m[b] for m in maps))
        each = worth(ecam.each, x)
        for c in range(12):
            assert torch.allclose(found[c], each[c] * (x[c] + total[c % 4]), atol=1e-6)


def test_parameters_by_hand(setup):
    "Against Table 3."
    net = MultitaskNetwork(scene_modalities(64, 3), setup)
    widths = (16, 32, 64, 128, 256)
    node = lambda a, b: 9 * a * b + b + 9 * b * b + 4 * b
    encoder = node(3, 16) + sum(node(w, 2 * w) for w in widths[:-1])
    nest = sum(
        node((j + 1) * w + 2 * w, w) + (2 * w) ** 2 * 4 + 2 * w
        for i, w in enumerate(widths)
        for j in range(1, 5 - i)
    )
    assert (
        n_parameters(net)
        == encoder + nest + (2 * 16 * 4 + 2 * 64 * 4) + 65 * (3 + 1)
        == 3_012_308 - 912
    )
    assert 912 == sum((5 - i) * w for i, w in enumerate(widths))  # a bias of each channel of each node


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
    with pytest.raises(ValueError, match="narrow must divide base, got 4 and 6"):
        MultitaskNetwork(mods, scene_setup(dict(type="snunet", base=6)))
    assert net.summary().type.tolist() == ["nodes", "nested, ECAM", "segmentation", "dense regression"]


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
