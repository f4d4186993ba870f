"""FC-Siamese

Written by nbdev-export from the check cells of nbs/api/networks/06_fcsiamese.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import pytest
import torch

from mtl_explain.networks.fcsiamese import FCDecoder, FCEncoder, conv_stage
from mtl_explain.networks.layers import conv_block, n_parameters
from mtl_explain.networks.multitask import MultitaskNetwork
from mtl_explain.show.figures import diagram
from mtl_explain.testing.scene import (
    example_scene, loss_curve, scene_modalities, scene_setup, unused_weights, with_total, work,
)


# examples
def block(a, b):  # parameters of a convolution from `a` to `b` channels and its normalisation
    return 9 * a * b + 2 * b


# examples
@pytest.fixture(scope='module')
def mods():
    return scene_modalities(64)


@pytest.fixture(scope='module')
def setups():
    return {
        merge: scene_setup(dict(type="fcsiamese", merge=merge), name=f"FC-Siamese, {merge}")
        for merge in ("concatenate", "difference", "early")
    }


def test_the_concatenating_network():
    "FC-Siamese."
    blue, orange, green = "#0173b2", "#de8f05", "#029e73"
    boxes = {
        "bottom": (4.6, 3.6, "128 at 1/16", orange),
        "change": (8.3, 0.4, "head: change"),
        "height": (8.3, 0.85, "head: height"),
    }
    arrows = [("late 3", "bottom"), ("bottom", "up 3"), ("up 0", "change"), ("up 0", "height")]
    for i, (width, scale) in enumerate([(16, "1"), (32, "1/2"), (64, "1/4"), (128, "1/8")]):
        y = 0.62 + 0.78 * i
        boxes |= {
            f"early {i}": (1.4 + 0.5 * i, y - 0.15, f"{width}", blue),
            f"late {i}": (2.1 + 0.5 * i, y + 0.15, f"{width}", orange),
            f"up {i}": (6.7 - 0.3 * i, y, f"{width} + {width} + {width}", green),
            f"scale {i}": (0.5, y, scale, "white"),
        }
        arrows += [(f"late {i}", f"up {i}"), (f"early {i}", f"up {i}")]
        if i > 0:
            arrows += [
                (f"early {i - 1}", f"early {i}"),
                (f"late {i - 1}", f"late {i}"),
                (f"up {i}", f"up {i - 1}"),
            ]
    title = "FC-Siamese: channels of early (blue), late (orange) and merged maps (green)"
    ax = diagram(boxes, arrows, (9, 4), title)
    assert len(boxes) == 3 + 4 * 4


def test_a_stage_by_hand():
    "Stages."
    assert n_parameters(conv_stage(3, 16, 16, 8)) == block(3, 16) + block(16, 16) + block(16, 8)
    encoder = FCEncoder(3, (16, 32), (2, 3))
    shapes = [tuple(m.shape[1:]) for m in encoder(torch.zeros(2, 3, 16, 24))]
    assert shapes == [(16, 16, 24), (32, 8, 12), (32, 4, 6)]
    assert n_parameters(encoder) == block(3, 16) + block(16, 16) + block(16, 32) + 2 * block(32, 32)


def test_a_decoder_by_hand():
    "The decoder."
    torch.manual_seed(0)
    decoder = FCDecoder((4, 8), (2, 3), n_skips=2)
    doubling = (9 * 4 * 4 + 4) + (9 * 8 * 8 + 8)
    assert n_parameters(decoder) == doubling + block(3 * 8, 8) + block(8, 8) + block(8, 4)
    fine = torch.randn(1, 4, 8, 8)
    coarse = torch.randn(1, 8, 4, 4)
    bottom = torch.randn(1, 8, 2, 2)
    x = decoder([[fine, -fine], [coarse, coarse], bottom])
    expected = decoder.up[0](decoder.stages[0](torch.cat([decoder.up[1](bottom), coarse, coarse], 1)))
    assert x.shape == (1, 12, 8, 8)
    assert torch.allclose(x[:, :4], expected, atol=1e-5)
    assert torch.equal(x[:, 4:8], fine)
    assert torch.equal(x[:, 8:], -fine)


def test_what_the_three_compare(setups, mods):
    "The network."
    torch.manual_seed(0)
    a, b = torch.randn(2, 1, 3, 16, 16)
    nets = {
        merge: MultitaskNetwork(scene_modalities(16, 3), s).body.eval() for merge, s in setups.items()
    }


    def skips(merge, *pair):
        return nets[merge].compare(*pair)[:, 16:]


    both = torch.cat([nets["concatenate"].encoder(image)[0] for image in (a, b)], 1)
    assert not skips("difference", a, a).any()
    assert torch.allclose(skips("difference", a, b), skips("difference", b, a), atol=1e-5)
    assert torch.allclose(skips("concatenate", a, b), both, atol=1e-5)
    assert torch.equal(skips("early", a, b), nets["early"].encoder(torch.cat([a, b], 1))[0])
    assert [net.out_features for net in nets.values()] == [48, 32, 32]
    for options, why in (
        (dict(merge="late"), "merge is one of concatenate, difference, early; got 'late'"),
        (dict(widths=[8, 16]), "a width and a depth for each scale, got 2 widths and 4 depths"),
    ):
        with pytest.raises(ValueError, match=why):
            MultitaskNetwork(mods, scene_setup(dict(type="fcsiamese") | options))


def test_parameters_by_hand(setups):
    "Against Table 3."
    net = MultitaskNetwork(scene_modalities(64, 3), setups["concatenate"])
    encoder = (
        block(3, 16)
        + block(16, 16)
        + block(16, 32)
        + block(32, 32)
        + block(32, 64)
        + 2 * block(64, 64)
        + block(64, 128)
        + 2 * block(128, 128)
    )
    decoder = (
        block(384, 128)
        + block(128, 128)
        + block(128, 64)
        + block(192, 64)
        + block(64, 64)
        + block(64, 32)
        + block(96, 32)
        + block(32, 16)
    )
    doubling = sum(9 * w * w + w for w in (16, 32, 64, 128))
    heads = 2 * (block(48, 16) + 16) + (9 * 16 + 1) * (3 + 1)
    assert n_parameters(net) == encoder + decoder + doubling + heads == 1_552_004 + 32
    fewer = 9 * (128**2 + 64**2 + 32**2 + 2 * 16**2)  # one map less in each skip connection
    n_others = [
        n_parameters(MultitaskNetwork(scene_modalities(64, 3), setups[merge]))
        for merge in ("difference", "early")
    ]
    assert n_others == [n_parameters(net) - fewer, n_parameters(net) - fewer + 9 * 3 * 16]


def test_work_by_parts(setups):
    "Against Table 3."
    numbered = [("encoder.stages", 4), ("fusion.stages", 3), ("fusion.up", 4)]
    paths = [f"body.{part}.{i}" for part, n in numbered for i in range(n)]
    table = with_total(work(setups["concatenate"], [*paths, "heads"]))
    assert round(table.tabled["in all"], 3) == 92.908
    assert table.computed["in all"] < 0.93 * table.tabled["in all"]
    at_coarsest = ["body.encoder.stages.3", "body.fusion.stages.2", "body.fusion.up.3"]
    share = table.loc[at_coarsest].sum() / table.loc["in all"]
    assert share.parameters > 0.75
    assert share.computed < 0.3
    table.style.format({"parameters": "{:,}", "tabled": "{:.2f}", "computed": "{:.2f}"})


def test_separate_calls_are_evaluated_otherwise_than_trained_a_common_one_is():
    "One call for both images."
    # separate calls are evaluated otherwise than trained, a common one is not
    torch.manual_seed(0)
    heights = 3 + 0.2 * torch.randn(8, 3, 16, 16)
    colours = torch.randn(8, 3, 16, 16)


    def gap(calls):
        layer = conv_block(3, 4)
        layer[1].momentum = None  # plain average over all calls
        trained = torch.cat([layer(c) for c in calls]).detach()
        return float((layer.eval()(torch.cat(calls)).detach() - trained).abs().mean() / trained.std())


    assert gap([torch.cat([heights, colours])]) < 0.01
    assert gap([heights, colours]) > 0.2


def test_any_size_and_height_models_of_one_channel(mods, setups):
    "What every change network has to stand."
    net = MultitaskNetwork(mods, setups["concatenate"]).eval()
    for h, w in ((16, 16), (48, 80), (40, 65), (1, 1)):
        y = net({"early_height": torch.randn(1, 1, h, w), "late_image": torch.randn(1, 3, h, w)})
        assert y["semantic_change"].shape == (1, 3, h, w)
        assert y["height_change"].shape == (1, 1, h, w)
        assert y["height_change"].abs().max() <= 1
    assert net.summary().type.tolist() == ["convolutions", "U-Net", "segmentation", "dense regression"]


def test_all_weights_are_used_also_with_half_the_precision(setups, mods):
    "What every change network has to stand."
    x, _ = example_scene(n=2, size=32)
    for s in setups.values():
        torch.manual_seed(0)
        net = MultitaskNetwork(mods, s)
        assert not unused_weights(net, x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = net(x)
        assert all(v.isfinite().all() for v in y.values())


def test_it_learns_with_two_tasks_and_with_one(mods):
    "What every change network has to stand."
    x, y = example_scene(n=4, size=32)
    for targets in (("semantic_change", "height_change"), ("height_change",)):
        torch.manual_seed(0)
        net = MultitaskNetwork(mods, scene_setup(dict(type="fcsiamese"), targets))
        curve = loss_curve(net, x, y, steps=8)
        assert curve[-1] < 0.75 * curve[0], curve
