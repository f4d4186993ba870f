"""P2VNet

Written by nbdev-export from the check cells of nbs/api/networks/10_p2vnet.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mtl_explain.networks.layers import n_parameters
from mtl_explain.networks.multitask import MultitaskNetwork
from mtl_explain.networks.p2vnet import (
    Bottleneck3D, Conv3D, P2VDecoder, PairEncoder, SimpleResBlock, VideoEncoder, as_video, concat_upsampled,
    pair_to_video,
)
from mtl_explain.show.figures import diagram
from mtl_explain.testing.scene import (
    example_scene, loss_curve, scene_modalities, scene_setup, unused_weights, with_total, work,
)


# examples
def block(a, b, k=9):  # parameters of a convolution of k pixels and its normalisation
    return k * a * b + 2 * b


# examples
@pytest.fixture(scope='module')
def mods():
    return scene_modalities(64)


@pytest.fixture(scope='module')
def setup():
    return scene_setup(dict(type="p2vnet"), name="P2VNet")


@pytest.fixture(scope='module')
def small():
    widths = dict(video_widths=[4, 8], pair_widths=[8, 8, 16], decoder_widths=[16, 16, 8, 8])
    return scene_setup(dict(type="p2vnet", n_frames=4) | widths, name="small P2VNet")


def test_two_encoders():
    "P2VNet."
    blue, orange, green = "#0173b2", "#de8f05", "#029e73"
    boxes = {
        "pair": (0.6, 0.6, "pair: 6", blue),
        "p1": (1.6, 1.2, "32\nat 1/2", blue),
        "p2": (2.7, 1.7, "64\nat 1/4", blue),
        "p3": (4, 2.2, "128\nat 1/8", blue),
        "video": (0.6, 3.2, "video: 8 × 3", orange),
        "stem": (1.6, 3.2, "8 × 64\nat 1/4", orange),
        "v1": (2.7, 3.2, "8 × 256\nat 1/4", orange),
        "v2": (4, 3.2, "4 × 512\nat 1/8", orange),
        "d3": (5.2, 2.2, "256\nat 1/8", green),
        "d2": (5.9, 1.7, "128\nat 1/4", green),
        "d1": (6.6, 1.2, "64\nat 1/2", green),
        "d0": (7.3, 0.6, "32\nat 1", green),
        "change": (8.6, 0.4, "head: change"),
        "height": (8.6, 0.85, "head: height"),
    }
    arrows = [
        ("pair", "p1"),
        ("p1", "p2"),
        ("p2", "p3"),
        ("pair", "video"),
        ("video", "stem"),
        ("stem", "v1"),
        ("v1", "v2"),
        ("v1", "p2"),
        ("v2", "p3"),
        ("p3", "d3"),
        ("d3", "d2"),
        ("d2", "d1"),
        ("d1", "d0"),
        ("p2", "d2"),
        ("p1", "d1"),
        ("pair", "d0"),
        ("d0", "change"),
        ("d0", "height"),
    ]
    title = (
        "P2VNet: channels of the pair (blue), frames × channels of the video (orange), decoder (green)"
    )
    ax = diagram(boxes, arrows, (9.3, 3.8), title)
    assert len(arrows) == 18


def test_a_video_by_hand_and_one_to_look_at():
    "Pair to video."
    early = torch.tensor([0.0, 10.0]).view(2, 1, 1, 1)
    late = torch.tensor([3.0, 10.0]).view(2, 1, 1, 1)
    frames = as_video(pair_to_video(early, late, 4), 4)
    assert torch.allclose(frames[:, :, 0, 0, 0], torch.tensor([[0.0, 1, 2, 3], [10.0, 10, 10, 10]]))
    x, _ = example_scene(n=1, seed=3, channels=3)
    video = pair_to_video(x["early_height"], x["late_image"], 8)
    fig, axes = plt.subplots(1, 8, figsize=(10, 1.6), layout="constrained", dpi=80)
    for t, (ax, frame) in enumerate(zip(axes, video, strict=True)):
        ax.imshow(frame[0], cmap="gray", vmin=-0.2, vmax=1.7)
        ax.set(title=f"frame {t}", xticks=[], yticks=[])
    assert torch.allclose(video[0], x["early_height"][0], atol=1e-6)
    assert torch.allclose(video[7], x["late_image"][0], atol=1e-6)


def test_against_pytorchs_three_dimensional_convolution():
    "Convolutions over space and time."
    torch.manual_seed(0)
    x = torch.randn(2, 5, 3, 9, 12)  # two videos of five frames
    for kernel, stride in ((3, 1), (9, 4)):
        ours = Conv3D(3, 4, kernel, stride)
        theirs = nn.Conv3d(
            3, 4, (3, kernel, kernel), (1, stride, stride), (1, kernel // 2, kernel // 2), bias=False
        )
        with torch.no_grad():
            theirs.weight.copy_(ours.conv.weight.unflatten(1, (3, 3)).transpose(1, 2))
        found = as_video(ours(x.flatten(0, 1), 5), 5)
        expected = theirs(x.transpose(1, 2)).transpose(1, 2)
        assert torch.allclose(found, expected, atol=1e-5)
    assert n_parameters(Conv3D(3, 4)) == 27 * 3 * 4


def test_a_block_of_videos_against_three_dimensions():
    "Convolutions over space and time."
    torch.manual_seed(0)
    ours = Bottleneck3D(6, 2, stride=2).eval()
    x = torch.randn(2, 5, 6, 8, 8)
    y, n = ours(x.flatten(0, 1), 5)
    untrained = (1 + 1e-5) ** 0.5  # untrained normalisations divide by this


    def in_3d(conv, x, **options):
        frames = 3 if conv.kernel_size[0] == 3 else 1
        weight = conv.weight.unflatten(1, (frames, -1)).transpose(1, 2)
        return F.conv3d(x, weight, **options) / untrained


    video = x.transpose(1, 2)
    inside = F.relu(in_3d(ours.conv1[0], video, stride=2))
    inside = F.relu(in_3d(ours.conv2.conv, inside, padding=1))
    shortcut = in_3d(ours.shortcut[0], video, stride=2)
    expected = F.relu(in_3d(ours.conv3[0], inside) + shortcut)
    assert n == 3
    assert torch.allclose(as_video(y, 3), expected.transpose(1, 2), atol=1e-5)
    assert n_parameters(ours) == block(6, 2, 1) + block(2, 2, 27) + block(2, 8, 1) + block(6, 8, 1)


def test_the_video_encoder_by_hand():
    "The video encoder."
    torch.manual_seed(0)
    encoder = VideoEncoder(3, (4, 8))


    def bottleneck(n_in, w):
        inside = block(n_in, w, 1) + block(w, w, 27) + block(w, 4 * w, 1)
        shortcut = block(n_in, 4 * w, 1) if n_in != 4 * w else 0
        return inside + shortcut


    stem = 27 * 9 * 3 * 4 + 2 * 4
    stages = bottleneck(4, 4) + bottleneck(16, 4) + bottleneck(16, 8) + bottleneck(32, 8)
    pooling = block(32, 16, 1) + block(64, 32, 1)
    assert n_parameters(encoder) == stem + stages + pooling
    shapes = [tuple(m.shape) for m in encoder(torch.zeros(2 * 8, 3, 32, 48), 8)]
    assert shapes == [(2, 16, 8, 12), (2, 32, 4, 6)]


def test_residual_blocks_and_upsampling_by_hand():
    "The pair encoder, and the decoder."
    assert n_parameters(SimpleResBlock(6, 4)) == block(6, 4) + block(4, 4)
    assert n_parameters(SimpleResBlock(6, 4, 3)) == block(6, 4) + 2 * block(4, 4)
    both = concat_upsampled(torch.zeros(1, 1, 2, 4), torch.tensor([[[[1.0, 2.0]]]]))
    assert both[0, 1].tolist() == [[1, 1, 2, 2]] * 2


def test_both_by_hand():
    "The pair encoder, and the decoder."
    encoder = PairEncoder(6, (4, 5, 7), (8, 16))
    decoder = P2VDecoder((6, 4, 5, 7), (9, 8, 6, 3))
    first = block(6, 4) + block(4, 4)
    second = block(4 + 8, 5) + block(5, 5)
    third = block(5 + 16, 7) + 2 * block(7, 7)
    assert n_parameters(encoder) == first + second + third
    widths = [(7 + 7, 9), (5 + 9, 8), (4 + 8, 6), (6 + 6, 3)]
    assert n_parameters(decoder) == block(7, 7) + sum(block(a, b) + block(b, b) for a, b in widths)
    maps = encoder(torch.zeros(2, 6, 16, 24), [torch.zeros(2, 8, 4, 6), torch.zeros(2, 16, 2, 3)])
    assert [tuple(m.shape[1:]) for m in maps] == [(6, 16, 24), (4, 8, 12), (5, 4, 6), (7, 2, 3)]
    assert decoder(maps).shape == (2, 3, 16, 24)


def test_parameters_by_hand(setup):
    "Against Table 3."
    net = MultitaskNetwork(scene_modalities(64, 3), setup)


    def bottleneck(n_in, w):
        inside = block(n_in, w, 1) + block(w, w, 27) + block(w, 4 * w, 1)
        shortcut = block(n_in, 4 * w, 1) if n_in != 4 * w else 0
        return inside + shortcut


    stem = 3 * 81 * 3 * 64 + 2 * 64
    stages = bottleneck(64, 64) + bottleneck(256, 64) + bottleneck(256, 128) + bottleneck(512, 128)
    pooling = block(512, 256, 1) + block(1024, 512, 1)
    first = block(6, 32) + block(32, 32)
    second = block(32 + 256, 64) + block(64, 64)
    third = block(64 + 512, 128) + 2 * block(128, 128)
    widths = [(128 + 128, 256), (64 + 256, 128), (32 + 128, 64), (6 + 64, 32)]
    decoder = block(128, 128) + sum(block(a, b) + block(b, b) for a, b in widths)
    heads = 33 * (3 + 1)
    assert n_parameters(net.body.encoder.video) == stem + stages + pooling
    assert n_parameters(net.body.encoder.pair) == first + second + third
    assert n_parameters(net.body.fusion) == decoder
    everything = stem + stages + pooling + first + second + third + decoder + heads
    assert n_parameters(net) == everything == 5_424_583 - (512 * 3 + 3)


def test_work_by_parts(setup):
    "Against Table 3."
    parts = [
        "body.encoder.video.stem",
        "body.encoder.video.stages.0",
        "body.encoder.video.stages.1",
        "body.encoder.video",
        *(f"body.encoder.pair.blocks.{i}" for i in range(3)),
        "body.fusion",
        "heads",
    ]
    table = with_total(work(setup, parts))
    prediction_from_video = 512 * 3 * 128**2 / 1e9
    video = table.computed[table.index.str.startswith("body.encoder.video")].sum()
    assert round(table.tabled["in all"] + prediction_from_video, 3) == 527.442
    assert 0.4 < video / table.computed["in all"] < 0.6
    table.style.format({"parameters": "{:,}", "tabled": "{:.2f}", "computed": "{:.2f}"})


def test_any_size_and_height_models_of_one_channel(mods, small):
    "What every change network has to stand."
    net = MultitaskNetwork(mods, small).eval()
    for h, w in ((8, 16), (40, 24), (20, 65), (1, 1)):
        y = net({"early_height": torch.randn(1, 1, h, w), "late_image": torch.randn(1, 3, h, w)})
        assert y["semantic_change"].shape == (1, 3, h, w)
        assert y["height_change"].shape == (1, 1, h, w)
        assert y["height_change"].abs().max() <= 1
    for options, why in (
        (dict(n_frames=1), "a video needs at least 2 frames, got 1"),
        (
            dict(video_widths=[8]),
            "video_widths, pair_widths and decoder_widths are 2, 3 and 4 numbers, got 1, 3 and 4",
        ),
    ):
        with pytest.raises(ValueError, match=why):
            MultitaskNetwork(mods, scene_setup(dict(type="p2vnet") | options))
    types = ["video and pair", "U-Net", "segmentation", "dense regression"]
    assert net.summary().type.tolist() == types


def test_neighbours_in_the_batch_do_not_matter(small):
    "What every change network has to stand."
    torch.manual_seed(0)
    body = MultitaskNetwork(scene_modalities(16, 3), small).body.eval()
    a, b = torch.randn(2, 3, 3, 16, 16)
    with torch.no_grad():
        assert torch.allclose(body.compare(a, b)[1:2], body.compare(a[1:2], b[1:2]), atol=1e-5)


def test_all_weights_are_used_also_with_half_the_precision(mods, setup):
    "What every change network has to stand."
    torch.manual_seed(0)
    x, _ = example_scene(n=2, size=32)
    net = MultitaskNetwork(mods, setup)
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
