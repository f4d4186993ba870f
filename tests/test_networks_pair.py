"""Two images of one place

Written by nbdev-export from the check cells of nbs/api/networks/04_pair.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import math

import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

from mtl_explain.modality import Modality
from mtl_explain.networks.encoders import pad_to_multiple
from mtl_explain.networks.layers import n_parameters
from mtl_explain.networks.multitask import make_body, with_network
from mtl_explain.networks.pair import (
    LayerNorm2d, MixTransformer, MultiheadAttention, OverlapPatchEmbed, PairBody, ResidualBlock,
    ScaledDotProductAttention, SequenceReduction, TransformerBlock, as_map, as_tokens, check_pair, drop_path,
    init_weights, repeat_channel, upsample,
)
from mtl_explain.setup import Setup


# a network that keeps what it is given
class Listener(PairBody):
    multiple = 4
    out_features = 3

    def compare(self, early, late):
        self.heard = early, late
        return late - early


# narrow networks of all kinds, and a pair of images
def cut(x, h, w):
    return {n: v[..., :h, :w] for n, v in x.items()}


# modalities of the examples
@pytest.fixture(scope='module')
def modalities():
    def image(name, size, channels):
        return Modality(
            name,
            "image",
            (channels, size, size),
            channels=tuple(f"{name} {i}" for i in range(channels)),
        )
    return {
        m.name: m
        for m in (
            image("early_dsm", 64, 1),
            image("late_image", 64, 3),
            image("coarse", 32, 3),
            image("infrared", 64, 4),
            Modality("change", "mask", (64, 64), classes=("same", "demolished", "new")),
            image("height_change", 64, 1),
            Modality("zone", "category", classes=("a", "b")),
        )
    }


@pytest.fixture(scope='module')
def setup():
    return Setup(("early_dsm", "late_image"), ("change", "height_change"))


# narrow networks of all kinds, and a pair of images
@pytest.fixture(scope='module')
def narrow_and_narrow_body(modalities, setup):
    narrow = dict(
        fcsiamese=dict(widths=[4, 4], depths=[1, 1]),
        p2vnet=dict(video_widths=[4, 4], pair_widths=[4, 4, 4], decoder_widths=[4, 4, 4, 4]),
        snunet=dict(base=4, depth=2),
        mtbit=dict(width=8, decoder_depth=1, pos_size=8),
        mmcd=dict(widths=[8, 8, 16, 16], depths=[1, 1, 1, 1], features=8),
        changeformer=dict(widths=[8, 8, 16, 16], depths=[1, 1, 1, 1], features=8),
    )
    def narrow_body(kind):
        torch.manual_seed(0)
        return make_body(modalities, with_network(setup, kind, **narrow[kind])).eval()
    return narrow, narrow_body


@pytest.fixture(scope='module')
def scene():
    g = torch.Generator().manual_seed(0)
    return dict(
        early_dsm=torch.randn(1, 1, 160, 192, generator=g),
        late_image=torch.randn(1, 3, 160, 192, generator=g),
    )


def test_which_pairs_fit(modalities, setup):
    "Which pairs fit."
    assert [m.name for m in check_pair(modalities, setup, "MMCD")] == ["early_dsm", "late_image"]
    refused = [
        (
            ("early_dsm",),
            "compares two images of one place, early and late; the setup's inputs are early_dsm",
        ),
        (("early_dsm", "zone"), "input 'zone' is of kind category"),
        (
            ("early_dsm", "coarse"),
            "'early_dsm' has 64×64 pixels, 'coarse' 32×32: MMCD needs both on one grid",
        ),
        (
            ("late_image", "infrared"),
            "'late_image' has 3 channels, 'infrared' 4: MMCD needs the same number, or one channel",
        ),
    ]
    for inputs, why in refused:
        with pytest.raises(ValueError, match=why):
            check_pair(modalities, Setup(inputs, ("change",)), "MMCD")
    assert repeat_channel(torch.arange(4.0).view(1, 1, 2, 2), 3).sum((2, 3)).tolist() == [[6, 6, 6]]


def test_a_body_of_ones_own_and_what_it_refuses(modalities, setup):
    "The base class."
    class Difference(PairBody):
        multiple = 4
        out_features = 3
        roles = {"encoder": "mean of 3×3"}

        def __init__(self, modalities, setup, pretrained=True):
            super().__init__(modalities, setup)
            self.encoder = nn.AvgPool2d(3, 1, 1)

        def compare(self, early, late):
            return self.encoder(late - early)


    body = Difference(modalities, setup)
    pair = {"early_dsm": torch.ones(2, 1, 8, 12), "late_image": torch.ones(2, 3, 8, 12)}
    assert body(pair).shape == (2, 3, 8, 12)
    assert not body(pair).any()
    assert body(pair | {"zone": None}).shape == (2, 3, 8, 12)
    assert [p[:3] for p in body.parts] == [("encoder", "early_dsm + late_image", "mean of 3×3")]
    assert body.grid == (64, 64)
    assert body.n_in == 3
    refused = [
        (
            {"late_image": torch.ones(2, 3, 8, 9)},
            "'early_dsm' has 8×12 pixels in this batch, 'late_image' 8×9",
        ),
        ({"late_image": torch.ones(2, 4, 8, 12)}, "expected 3 channels, got 4"),
        (
            {"early_dsm": torch.ones(2, 1, 0, 9), "late_image": torch.ones(2, 3, 0, 9)},
            "'early_dsm' has 0×9 pixels in this batch: there is nothing to compare",
        ),
    ]
    for wrong, why in refused:
        with pytest.raises(ValueError, match=why):
            body(pair | wrong)
    with pytest.raises(
        ValueError, match="the network reads 'late_image', which the batch lacks; it has early_dsm"
    ):
        body({"early_dsm": pair["early_dsm"]})
    with pytest.raises(NotImplementedError, match="PairBody must define compare"):
        PairBody(modalities, setup)(pair)


def test_any_size_by_hand(modalities, setup):
    "The base class."
    body = Listener(modalities, setup)
    early = torch.arange(30.0).view(1, 1, 5, 6)
    late = torch.zeros(1, 3, 5, 6)
    found = body(dict(early_dsm=early, late_image=late))
    assert body.heard[0].shape == body.heard[1].shape == (1, 3, 8, 8)
    assert torch.equal(body.heard[0][0, 0, :5, :6], early[0, 0])
    assert body.heard[0][0, 0, 7].tolist() == [24, 25, 26, 27, 28, 29, 29, 29]
    assert torch.equal(found, -early.expand(1, 3, 5, 6))
    fitting = torch.ones(1, 3, 8, 4)
    body(dict(early_dsm=fitting[:, :1], late_image=fitting))
    assert body.heard[1] is fitting, "what fits is not touched"
    one_pixel = body(dict(early_dsm=torch.ones(2, 1, 1, 1), late_image=torch.ones(2, 3, 1, 1)))
    assert one_pixel.shape == (2, 3, 1, 1)


def test_resized_and_back_on_its_own_grid(modalities, setup):
    "The base class."
    body = Listener(modalities, setup, zoom=1.25)
    slope = torch.linspace(-20, 80, 64).expand(1, 1, 64, 64)
    found = body(dict(early_dsm=slope, late_image=torch.zeros(1, 3, 64, 64)))
    assert body.heard[0].shape == (1, 3, 80, 80)
    assert found.shape == (1, 3, 64, 64)
    assert body.heard[0].min() > -20.001
    assert body.heard[0].max() < 80.001
    torch.testing.assert_close(found[0, 0, :, 2:-2], -slope[0, 0, :, 2:-2], atol=1e-3, rtol=0)
    body(dict(early_dsm=slope[..., :32, :32], late_image=torch.zeros(1, 3, 32, 32)))
    assert body.heard[0].shape == (1, 3, 40, 40)


def test_what_a_margin_does_in_every_network(narrow_and_narrow_body, scene):
    "The base class."
    narrow, narrow_body = narrow_and_narrow_body
    with torch.no_grad():
        for kind in narrow:
            body = narrow_body(kind)
            odd = cut(scene, 41, 51)
            continued = {n: pad_to_multiple(v, body.multiple) for n, v in odd.items()}
            assert torch.equal(body(odd), body(continued)[..., :41, :51]), kind
            assert body(cut(scene, 1, 2)).isfinite().all(), kind


def test_far_from_the_margin_convolutions_say_what_they_say_of_a_larger_image(narrow_and_narrow_body, scene):
    "The base class."
    narrow, narrow_body = narrow_and_narrow_body
    with torch.no_grad():
        for kind, reach in dict(fcsiamese=16, p2vnet=88).items():
            body = narrow_body(kind)
            whole = body(scene)
            part = body(cut(scene, 139, 150))
            assert part.shape[-2:] == (139, 150)
            h = 139 - reach
            w = 150 - reach
            torch.testing.assert_close(part[..., :h, :w], whole[..., :h, :w], atol=1e-5, rtol=1e-5)
            same_edge = torch.allclose(part[..., -1, :], whole[..., 138, :150], atol=1e-5)
            assert not same_edge, "but the edge knows"


def test_a_map_and_a_sequence_are_the_same_numbers():
    "Bricks."
    x = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0)).to(
        memory_format=torch.channels_last
    )
    assert torch.equal(as_tokens(x)[1, 2 * 4 + 3], x[1, :, 2, 3])
    assert torch.equal(as_map(as_tokens(x), (3, 4)), x)
    assert as_tokens(x).data_ptr() == x.data_ptr()
    assert as_map(as_tokens(x), (3, 4)).is_contiguous(memory_format=torch.channels_last)
    y = LayerNorm2d(5)(x)
    assert torch.allclose(y.mean(1), torch.zeros(2, 3, 4), atol=1e-6)
    assert torch.allclose(y.var(1, correction=0), torch.ones(2, 3, 4), atol=1e-3)


def test_patches_by_hand():
    "Bricks."
    embed = OverlapPatchEmbed(3, 8)
    assert n_parameters(embed) == 3 * 8 * 7 * 7 + 8 + 2 * 8
    assert embed(torch.zeros(2, 3, 32, 64)).shape == (2, 8, 8, 16)
    assert OverlapPatchEmbed(3, 8, 3, 1)(torch.zeros(2, 3, 5, 7)).shape == (2, 8, 5, 7)


def test_equation_1_by_hand():
    "Bricks."
    attention = MultiheadAttention(2)
    weights = [
        (attention.q, torch.eye(2)),
        (attention.kv, torch.eye(2).repeat(2, 1)),
        (attention.proj, torch.eye(2)),
    ]
    with torch.no_grad():
        for layer, w in weights:
            layer.weight.copy_(w)
            layer.bias.zero_()
    context = torch.tensor([[[2**0.5 * math.log(3), 0.0], [0.0, 1.0]]])
    expected = 0.75 * context[:, :1] + 0.25 * context[:, 1:]
    assert torch.allclose(attention(torch.tensor([[[1.0, 0.0]]]), context), expected)


def test_attention_against_a_loop():
    "Bricks."
    torch.manual_seed(0)
    attention = MultiheadAttention(12, n_heads=3).eval()
    x = torch.randn(2, 7, 12)
    context = torch.randn(2, 4, 12)
    q = attention.q(x)
    k, v = attention.kv(context).chunk(2, -1)
    expected = torch.zeros(2, 7, 12)
    for b in range(2):
        for head in (slice(0, 4), slice(4, 8), slice(8, 12)):
            for i in range(7):
                weights = torch.softmax(k[b, :, head] @ q[b, i, head] / 4**0.5, 0)
                expected[b, i, head] = weights @ v[b, :, head]
    assert torch.allclose(attention(x, context), attention.proj(expected), atol=1e-6)
    assert n_parameters(attention) == 4 * (12 * 12 + 12)
    q, k, v = (attention.split_heads(t) for t in (q, k, v))
    stored = ScaledDotProductAttention(1e-9).train()  # the way with dropout, which drops nothing here
    assert torch.allclose(stored(q, k, v), ScaledDotProductAttention()(q, k, v), atol=1e-6)
    assert SequenceReduction(12, 4)(torch.zeros(2, 12, 8, 16)).shape == (2, 2 * 4, 12)
    assert n_parameters(SequenceReduction(12, 4)) == 12 * 12 * 16 + 12 + 24
    assert not n_parameters(SequenceReduction(12))
    with pytest.raises(ValueError, match="12 features cannot be divided among 5 heads"):
        MultiheadAttention(12, 5)


def test_whole_samples_are_left_out_the_mean_stays():
    "Bricks."
    torch.manual_seed(0)
    y = drop_path(0.25)(torch.ones(4000, 3))
    assert set(y.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert abs(y.mean() - 1) < 0.03
    assert (y == y[:, :1]).all()
    assert isinstance(drop_path(0), nn.Identity)
    assert drop_path(0.5).eval()(torch.ones(2)).tolist() == [1, 1]


def test_residual_block_and_upsampling_by_hand():
    "Bricks."
    block = ResidualBlock(4)
    assert n_parameters(block) == 2 * (4 * 4 * 9 + 4)
    for p in block.parameters():
        nn.init.constant_(p, 0)
    nn.init.constant_(block.layers[2].bias, 5)
    assert torch.equal(block(torch.ones(1, 4, 3, 3)), torch.full((1, 4, 3, 3), 1.5))
    assert upsample(torch.tensor([[[[0.0, 4.0]]]])).tolist() == [[[[0, 1, 3, 4]] * 2]]


def test_spread_of_the_first_weights():
    "Bricks."
    torch.manual_seed(0)
    layers = nn.ModuleList(
        [
            nn.Linear(200, 200),
            nn.Conv2d(50, 100, 3),
            nn.Conv2d(900, 900, 3, groups=900),
            nn.Conv2d(2, 2, 1, bias=False),
        ]
    ).apply(init_weights)
    spreads = [m.weight.detach().std().item() for m in layers[:3]]
    assert spreads == pytest.approx([0.02, (2 / 900) ** 0.5, (2 / 9) ** 0.5], rel=0.03)
    assert not layers[1].bias.any()


def test_a_block_by_hand():
    "The pyramid."
    block = TransformerBlock(8, n_heads=2, ratio=4)
    attention = 4 * (8 * 8 + 8)
    reduction = 8 * 8 * 16 + 8 + 16
    feed_forward = (8 * 32 + 32) + (9 * 32 + 32) + (32 * 8 + 8)
    normalisations = 2 * 16
    assert n_parameters(block) == attention + reduction + feed_forward + normalisations
    assert block(torch.zeros(2, 8, 4, 12)).shape == (2, 8, 4, 12)
    x = torch.randn(1, 8, 8, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    block(x)[0, :, 0, 0].sum().backward()
    assert (x.grad != 0).all()  # every pixel is heard


def test_a_pyramid_by_hand():
    "The pyramid."
    def block(b, r):
        attention = 4 * (b * b + b)
        reduction = r * r * b * b + 3 * b if r > 1 else 0
        feed_forward = 8 * b * b + 45 * b
        normalisations = 4 * b
        return attention + reduction + feed_forward + normalisations


    def stage(a, b, depth, r):
        return (49 * a * b + 3 * b) + depth * block(b, r) + 2 * b


    torch.manual_seed(0)
    encoder = MixTransformer(3, (8, 16, 24, 32), depths=(1, 2, 1, 1)).eval()
    stages = [(3, 8, 1, 8), (8, 16, 2, 4), (16, 24, 1, 2), (24, 32, 1, 1)]
    assert n_parameters(encoder) == sum(stage(*s) for s in stages)
    shapes = [tuple(m.shape[1:]) for m in encoder(torch.zeros(1, 3, 64, 96))]
    assert shapes == [(8, 16, 24), (16, 8, 12), (24, 4, 6), (32, 2, 3)]
    dropping = MixTransformer(3, (8,) * 4, (1, 1, 2, 1), drop_path_rate=0.4)
    rates = [getattr(b.drop_path, "p", 0.0) for s in dropping.stages for b in s[1:-1]]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_one_call_for_two_images():
    "The pyramid."
    torch.manual_seed(0)
    encoder = MixTransformer(3, (8, 8, 8, 8), depths=(1, 1, 1, 1)).eval()
    a, b = torch.randn(2, 2, 3, 32, 64)
    for both, early, late in zip(encoder(torch.cat([a, b])), encoder(a), encoder(b), strict=True):
        assert torch.allclose(both, torch.cat([early, late]), atol=1e-5)


def test_every_weight_of_the_bricks_is_used_also_with_half_the_precision():
    "The pyramid."
    torch.manual_seed(0)
    net = nn.Sequential(
        OverlapPatchEmbed(3, 8), TransformerBlock(8, 2, 2, 0.1, 0.1), ResidualBlock(8)
    ).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = net(torch.randn(8, 3, 32, 32))
    (y.float() * torch.randn(y.shape)).sum().backward()
    assert y.isfinite().all()
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert not [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]


def test_what_one_pixel_of_the_first_stage_listens_to():
    "The pyramid."
    torch.manual_seed(0)
    encoder = MixTransformer(1, (16, 16, 16, 16), depths=(1, 1, 1, 1)).eval()
    x = torch.randn(1, 1, 128, 128, requires_grad=True)
    token = encoder(x)[0][0, :, 16, 16]
    weighted = token * torch.randn(16)  # the plain sum is always 0 after a normalisation
    weighted.sum().backward()
    seen = x.grad[0, 0].abs()
    fig, ax = plt.subplots(figsize=(4.4, 3.4), dpi=55, layout="constrained")
    shown = ax.imshow((seen / seen.max()).clamp(1e-6).log10().numpy(), cmap="magma", vmin=-6, vmax=0)
    fig.colorbar(shown, label="log₁₀ of the gradient, relative")
    ax.set(title="influence on one token", xlabel="x [pixel]", ylabel="y [pixel]")
    assert (seen > 0).all()
