"""MTBIT

Written by nbdev-export from the check cells of nbs/api/networks/09_mtbit.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import pytest
import torch
import torch.nn.functional as F
from torchvision.models import resnet18

from mtl_explain.networks.layers import n_parameters
from mtl_explain.networks.mtbit import Backbone, PositionalEmbedding, SemanticTokenizer, TransformerLayer
from mtl_explain.networks.multitask import MultitaskNetwork
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
    return scene_setup(dict(type="mtbit"), name="MTBIT")


@pytest.fixture(scope='module')
def small():
    return scene_setup(dict(type="mtbit", decoder_depth=2, pos_size=8), name="small MTBIT")


def test_pixels_tokens_pixels():
    "MTBIT."
    blue, orange, green = "#0173b2", "#de8f05", "#029e73"
    boxes = {
        "early": (0.5, 0.5, "early", blue),
        "late": (0.5, 2.1, "late", orange),
        "resnet": (1.7, 1.3, "ResNet-18\nto 1/8, ×2"),
        "pixels a": (3, 0.5, "pixels: 32 at 1/4", blue),
        "pixels b": (3, 2.1, "pixels: 32 at 1/4", orange),
        "tokens a": (3.9, 1.05, "4 tokens", blue),
        "tokens b": (3.9, 1.55, "4 tokens", orange),
        "encoder": (4.9, 1.3, "encoder:\n1 layer", green),
        "decoder a": (6, 0.5, "decoder: 8 layers", blue),
        "decoder b": (6, 2.1, "decoder: 8 layers", orange),
        "minus": (7, 1.3, "late − early\n×4", green),
        "change": (8.3, 1.05, "head: change"),
        "height": (8.3, 1.55, "head: height"),
    }
    arrows = [
        ("early", "resnet"),
        ("late", "resnet"),
        ("resnet", "pixels a"),
        ("resnet", "pixels b"),
        ("minus", "change"),
        ("minus", "height"),
    ]
    for k in "ab":
        arrows += [
            (f"pixels {k}", f"tokens {k}"),
            (f"tokens {k}", "encoder"),
            ("encoder", f"decoder {k}"),
            (f"pixels {k}", f"decoder {k}"),
            (f"decoder {k}", "minus"),
        ]
    title = "MTBIT: pixels of early (blue) and late (orange) read tokens that know both"
    ax = diagram(boxes, arrows, (9, 2.9), title)
    assert len(boxes) == 13


def test_the_backbone_by_hand():
    "The backbone."
    def block(a, b):
        shortcut = a * b + 2 * b if a != b else 0
        return 9 * a * b + 9 * b * b + 4 * b + shortcut


    backbone = Backbone(3, 32)
    stem = 49 * 3 * 64 + 2 * 64
    stages = [(64, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256)]
    proj = 9 * 256 * 32 + 32
    assert n_parameters(backbone) == stem + sum(block(a, b) for a, b in stages) + proj
    assert backbone(torch.zeros(1, 3, 64, 96)).shape == (1, 32, 16, 24)
    assert Backbone(4, 8)(torch.zeros(1, 4, 32, 32)).shape == (1, 8, 8, 8)


def test_tokens_by_hand():
    "From pixels to tokens."
    # tokens by hand: one looks at one pixel alone, the other at all alike
    tokenizer = SemanticTokenizer(2, 2)
    x = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 9.0]]])[None]
    with torch.no_grad():
        tokenizer.score.weight.copy_(torch.tensor([[0.0, 99.0], [0.0, 0.0]])[:, :, None, None])
    assert torch.allclose(tokenizer(x), torch.tensor([[[4.0, 9.0], [2.5, 2.25]]]))


def test_attention_to_tokens_against_a_loop_and_against_the_fused_kernel():
    "The transformer layer."
    torch.manual_seed(0)
    layer = TransformerLayer(6, 2, 5)
    x = torch.randn(3, 7, 6)
    tokens = torch.randn(3, 4, 6)
    q = layer.q(x)
    k = layer.k(tokens)
    v = layer.v(tokens)
    answer = torch.zeros(3, 7, 10)
    for b in range(3):
        for i in range(7):
            for head in (slice(0, 5), slice(5, 10)):
                weights = torch.softmax(k[b, :, head] @ q[b, i, head] / 5**0.5, 0)
                answer[b, i, head] = weights @ v[b, :, head]
    assert torch.allclose(layer.attend(x, tokens), layer.proj(answer), atol=1e-6)
    q, k, v = (t.unflatten(-1, (2, 5)).transpose(1, 2) for t in (q, k, v))
    fused = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    assert torch.allclose(layer.attend(x, tokens), layer.proj(fused), atol=1e-6)
    projections = 3 * 6 * 10 + (10 * 6 + 6)
    normalisations = 2 * (2 * 6)
    perceptron = (6 * 12 + 12) + (12 * 6 + 6)
    assert n_parameters(layer) == projections + normalisations + perceptron


def test_positions_of_any_size():
    "Where a pixel is: the positional embedding."
    torch.manual_seed(0)
    embedding = PositionalEmbedding(3, 8)
    assert torch.equal(embedding(torch.zeros(1, 3, 8, 8)), embedding.weight)
    for size in ((2, 4), (16, 12)):
        embedding.zero_grad()
        y = embedding(torch.zeros(2, 3, *size))
        (y * torch.randn_like(y)).sum().backward()
        assert y.shape == (2, 3, *size)
        assert (embedding.weight.grad != 0).all()


def test_no_change_no_difference(small):
    "The network."
    torch.manual_seed(0)
    body = MultitaskNetwork(scene_modalities(64, 3), small).body.eval()
    x = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        assert body.compare(x, x).abs().max() > 0
        assert torch.allclose(body.compare(x, x.flip(0))[:1], body.compare(x[:1], x[1:]), atol=1e-5)
        body.fusion.token_pos_embedding.zero_()
        assert body.compare(x, x).abs().max() < 1e-5
        assert body.compare(x, -x).abs().max() > 0.01


def test_parameters_by_hand(setup, mods):
    "Against Table 3."
    net = MultitaskNetwork(scene_modalities(64, 3), setup)


    def layer(d):
        projections = 3 * 32 * 8 * d + (8 * d * 32 + 32)
        perceptron = (32 * 64 + 64) + (64 * 32 + 32)
        return projections + 4 * 32 + perceptron


    tokens = 32 * 4 + 8 * 32 + layer(64) + 8 * layer(16)
    heads = 2 * 9 * 32 * 32 + 2 * 2 * 32 + (9 * 32 + 1) * (3 + 1)
    unused = 8_393_728 + 513_000 + (256 * 256 * 16 + 256)
    assert n_parameters(net.body.encoder) == 2_856_544
    assert tokens == 236_160
    assert n_parameters(net.body.fusion) == tokens + 32 * 256**2 - 32
    assert heads == 19_716
    assert n_parameters(net) == 2_856_544 + tokens + 32 * 256**2 - 32 + heads + 64
    assert unused == 9_955_560
    assert n_parameters(net) == 15_165_132 - unused + 32
    coarse = MultitaskNetwork(mods, scene_setup(dict(type="mtbit", pos_size=16)))
    assert n_parameters(coarse) == n_parameters(net) - 32 * (256**2 - 16**2)


def test_work_by_parts(setup):
    "Against Table 3."
    parts = [
        "body.encoder",
        "body.fusion.tokenizer",
        "body.fusion.encoder",
        "body.fusion.decoder",
        "body.fusion",
        "heads",
    ]
    table = with_total(work(setup, parts))
    moved = 8 * 2 * (2 * 256**2) * 32 * 128 / 1e9
    products = 8 * (2 * 256**2) * 2 * 32 * 32 / 1e9
    interpolated = (2 * 256 * 256**2 + 11 * 32 * 1024**2) / 1e9
    decoder = table.loc["body.fusion.decoder"]
    assert round(table.tabled["in all"] + moved + interpolated, 2) == 154.72
    assert 8.5 < moved < 8.6
    assert decoder.computed - decoder.tabled == pytest.approx(products)
    table.style.format({"parameters": "{:,}", "tabled": "{:.2f}", "computed": "{:.2f}"})


def test_any_size_and_height_models_of_one_channel(mods, setup):
    "What every change network has to stand."
    net = MultitaskNetwork(mods, setup).eval()
    for h, w in ((16, 24), (64, 40), (20, 65), (1, 1)):
        y = net({"early_height": torch.randn(1, 1, h, w), "late_image": torch.randn(1, 3, h, w)})
        assert y["semantic_change"].shape == (1, 3, h, w)
        assert y["height_change"].shape == (1, 1, h, w)
        assert y["height_change"].abs().max() <= 1
    assert net.summary().type.tolist() == ["ResNet-18", "tokens", "segmentation", "dense regression"]


def test_all_weights_are_used_also_with_half_the_precision(mods, setup):
    "What every change network has to stand."
    torch.manual_seed(0)
    x, _ = example_scene(n=2, size=64)
    net = MultitaskNetwork(mods, setup)
    assert not unused_weights(net, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = net(x)
    assert all(v.isfinite().all() for v in y.values())


def test_it_learns(mods, small):
    "What every change network has to stand."
    torch.manual_seed(0)
    x, y = example_scene(n=4, size=32)
    curve = loss_curve(MultitaskNetwork(mods, small), x, y, steps=10)
    assert curve[-1] < 0.75 * curve[0], curve


def test_imagenets_weights_without_the_network(mods):
    "What every change network has to stand."
    import mtl_explain.networks.mtbit as module

    state = {k: v for k, v in resnet18().state_dict().items() if not k.startswith("fc.")}
    asked = dict(type="mtbit", imagenet=True, pos_size=8)
    loaded = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "imagenet_weights", lambda: loaded.append(1) or state)
        net = MultitaskNetwork(mods, scene_setup(asked))
        MultitaskNetwork(mods, scene_setup(asked), pretrained=False)
    assert len(loaded) == 1
    assert torch.equal(net.body.encoder.stages[0].weight, state["conv1.weight"])
    assert torch.equal(net.body.encoder.stages[6][1].conv2.weight, state["layer3.1.conv2.weight"])
