"""Network

Written by nbdev-export from the check cells of nbs/api/networks/14_multitask.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from mtl_explain.modality import Modality, from_dict, to_dict
from mtl_explain.networks.layers import n_parameters
from mtl_explain.networks.multitask import (
    MultitaskNetwork, example_inputs, head_options, part_name, reading_order, reference_input, scaled_size,
    target_grid, with_network,
)
from mtl_explain.setup import Setup, with_weights


# modalities of the examples
@pytest.fixture(scope='module')
def made_up_and_modalities():
    def made_up(name, kind, *shape, n=0):
        names = tuple(f"{name} {i}" for i in range(n))
        if kind in ("mask", "category"):
            return Modality(name, kind, shape, classes=names)
        return Modality(name, kind, shape, channels=names)
    modalities = {
        m.name: m
        for m in (
            made_up("optical", "image", 3, 32, 32, n=3),
            made_up("elevation", "image", 1, 32, 32, n=1),
            made_up("moisture", "image", 1, 8, 8, n=1),
            made_up("weather", "series", 12, 2, n=2),
            made_up("zone", "category", n=5),
            made_up("cover", "mask", 32, 32, n=4),
            made_up("season", "tabular", 1, n=1),
        )
    }
    return made_up, modalities


@pytest.fixture(scope='module')
def setup():
    return Setup(
        inputs=("optical", "weather", "zone"), targets=("cover", "elevation", "season"), name="example"
    )


def test_a_batch_has_what_a_setup_reads(made_up_and_modalities, setup):
    "A batch to try."
    made_up, modalities = made_up_and_modalities
    batch = example_inputs(modalities, setup.inputs, n=4, seed=0)
    assert {k: tuple(v.shape) for k, v in batch.items()} == {
        "optical": (4, 3, 32, 32),
        "weather": (4, 12, 2),
        "weather_time": (4, 12),
        "zone": (4,),
    }
    assert batch["zone"].dtype == torch.int64
    assert 0 <= batch["zone"].min()
    assert batch["zone"].max() < 5
    again = example_inputs(modalities, setup.inputs, n=4, seed=0)
    assert all(torch.equal(v, batch[k]) for k, v in again.items())
    assert not example_inputs(modalities, ["optical", "zone"])["optical"].any()


def test_sizes_keep_their_proportion(made_up_and_modalities, setup):
    "Which grid?"
    made_up, modalities = made_up_and_modalities
    assert scaled_size((500, 700), (32, 32), (32, 32)) == (500, 700)
    assert scaled_size((500, 700), (32, 32), (8, 8)) == (125, 175)
    assert scaled_size((3, 3), (32, 32), (8, 8)) == (1, 1)
    assert target_grid(modalities, setup) == (32, 32)
    assert target_grid(modalities, Setup(("optical",), ("zone", "moisture"))) == (8, 8)
    assert target_grid(modalities, Setup(("optical",), ("zone",))) is None
    assert reference_input(modalities, Setup(("moisture", "optical"), ("cover",))) == "optical"
    assert reference_input(modalities, Setup(("moisture",), ("cover",))) == "moisture"
    assert reference_input(modalities, Setup(("weather",), ("cover",))) is None


def test_reserved_names_are_avoided():
    "Names of parts."
    assert part_name("optical") == "optical"
    assert part_name("type") == "type·"
    assert part_name("keys") == "keys·"
    assert part_name("a.b") == "a·b"
    names = ("type", "training", "items", "a.b")
    assert len(nn.ModuleDict({part_name(n): nn.Identity() for n in names})) == 4


def test_readers_come_after_what_they_read():
    "Heads on a body."
    # readers come after what they read; a head of another type does without the body's options
    body = nn.Module()
    body.head_options = {"mask": dict(last_kernel=3)}
    assert head_options(body, "mask", dict(dropout=0.1)) == dict(last_kernel=3, dropout=0.1)
    assert head_options(body, "mask", dict(type="mine")) == dict(type="mine")
    assert head_options(body, "image", {}) == head_options(nn.Module(), "mask", {}) == {}
    assert reading_order(dict(pseudo="height", change="", height="")) == ["change", "height", "pseudo"]
    for reads in (dict(pseudo="height"), dict(a="b", b="c", c=""), dict(a="a")):
        with pytest.raises(ValueError, match="which must be another target whose head reads none"):
            reading_order(reads)


def test_dict_in_dict_out(made_up_and_modalities, setup):
    "Heads on a body."
    made_up, modalities = made_up_and_modalities
    torch.manual_seed(0)
    net = MultitaskNetwork(modalities, setup)
    y = net(example_inputs(modalities, setup.inputs, n=3, seed=1))
    assert {k: tuple(v.shape) for k, v in y.items()} == {
        "cover": (3, 4, 32, 32),
        "elevation": (3, 1, 32, 32),
        "season": (3, 1),
    }
    assert net.dense
    assert not MultitaskNetwork(modalities, Setup(("optical", "weather"), ("zone", "season"))).dense


def test_only_what_is_asked_for_and_what_that_is_read_from(made_up_and_modalities, setup):
    "Heads on a body."
    made_up, modalities = made_up_and_modalities
    def calls(net, x, targets):
        "Names of the heads that work, and what is returned."
        worked = []
        hooks = [
            head.register_forward_hook(lambda *_, name=name: worked.append(name))
            for name, head in net.heads.items()
        ]
        y = net(x, targets)
        for hook in hooks:
            hook.remove()
        return sorted(worked), y


    torch.manual_seed(0)
    reader = dict(cover=dict(type="soft-threshold", reads="elevation"), elevation={}, season={})
    net = MultitaskNetwork(modalities, Setup(setup.inputs, reader)).eval()
    x = example_inputs(modalities, setup.inputs, n=1, seed=1)
    whole = net(x)
    for asked, worked in (
        (["season"], ["season"]),
        (["cover"], ["cover", "elevation"]),
        (["season", "elevation"], ["elevation", "season"]),
    ):
        names, y = calls(net, x, asked)
        assert names == worked
        assert list(y) == asked
        assert all(torch.equal(y[t], whole[t]) for t in asked)


def test_a_scene_of_another_size_than_the_training_patches_and_one_sample_alone(made_up_and_modalities):
    "Heads on a body."
    made_up, modalities = made_up_and_modalities
    torch.manual_seed(0)
    roles = Setup(("moisture", "optical", "season"), ("cover", "elevation"))
    net = MultitaskNetwork(modalities, roles).eval()
    x = {
        "optical": torch.randn(1, 3, 40, 72),
        "moisture": torch.randn(1, 1, 10, 18),
        "season": torch.zeros(1, 1),
    }
    assert net(x)["cover"].shape == (1, 4, 40, 72)
    assert net.body.fused_size(x) == (40, 72)
    vector = MultitaskNetwork(modalities, Setup(("optical",), ("zone",))).eval()
    assert vector({"optical": torch.randn(1, 3, 17, 90)})["zone"].shape == (1, 5)


def test_targets_on_a_coarser_grid_and_a_map_from_vectors_alone(made_up_and_modalities):
    "Heads on a body."
    made_up, modalities = made_up_and_modalities
    torch.manual_seed(0)
    net = MultitaskNetwork(modalities, Setup(("optical",), ("cover", "moisture"))).eval()
    y = net({"optical": torch.randn(2, 3, 64, 32)})
    assert y["cover"].shape == (2, 4, 64, 32)
    assert y["moisture"].shape == (2, 1, 16, 8)
    roles = Setup(("weather", "zone"), ("cover",))
    y = MultitaskNetwork(modalities, roles)(example_inputs(modalities, roles.inputs))
    assert y["cover"].shape == (2, 4, 32, 32)
    net = MultitaskNetwork(modalities, Setup(("moisture",), ("cover",))).eval()
    assert net({"moisture": torch.randn(1, 1, 16, 16)})["cover"].shape == (1, 4, 64, 64)


def test_a_number_with_quantiles(made_up_and_modalities):
    "Heads on a body."
    # a number with quantiles: they stand beside its median, on its own grid
    made_up, modalities = made_up_and_modalities
    torch.manual_seed(0)
    roles = Setup(("optical",), ("cover", "moisture"))
    sure = roles.with_options("moisture", quantiles=(0.1, 0.5, 0.9))
    net = MultitaskNetwork(modalities, sure).eval()
    y = net({"optical": torch.randn(2, 3, 64, 32)})
    assert list(y) == ["cover", "moisture", "moisture_quantiles"]
    assert y["moisture_quantiles"].shape == (2, 3, 1, 16, 8)
    assert torch.equal(y["moisture_quantiles"][:, 1], y["moisture"])
    assert (y["moisture_quantiles"].diff(dim=1) >= 0).all()


def test_every_kind_as_input_and_as_target(made_up_and_modalities):
    "Heads on a body."
    made_up, modalities = made_up_and_modalities
    def expected_shape(m):
        if m.kind == "mask":
            return (m.n_classes, *m.shape)
        return (m.n_classes,) if m.kind == "category" else m.shape


    torch.manual_seed(0)
    for roles in (
        Setup(("cover", "elevation", "weather", "zone", "season"), ("optical",)),
        Setup(("optical",), ("elevation", "weather", "zone", "season", "cover")),
        Setup(("cover", "weather"), ("zone", "season")),
        Setup(("optical", "zone", "season"), ("weather",)),
    ):
        y = MultitaskNetwork(modalities, roles)(example_inputs(modalities, roles.inputs, n=2, seed=0))
        for t in roles.targets:
            assert tuple(y[t].shape[1:]) == expected_shape(modalities[t])


def test_a_missing_input_is_named_what_is_not_read_is_ignored(made_up_and_modalities, setup):
    "Heads on a body."
    made_up, modalities = made_up_and_modalities
    net = MultitaskNetwork(modalities, setup).eval()
    x = example_inputs(modalities, setup.inputs, seed=0)
    for lost in ("optical", "weather_time", "zone"):
        with pytest.raises(ValueError, match=f"the network reads '{lost}', which the batch lacks"):
            net({k: v for k, v in x.items() if k != lost})
    y = net(x)
    more = net(x | {"elevation": torch.ones(2, 1, 32, 32)})
    assert all(torch.equal(y[t], more[t]) for t in y)


def test_what_cannot_be_built_says_why(made_up_and_modalities):
    "Heads on a body."
    made_up, modalities = made_up_and_modalities
    with pytest.raises(ValueError, match="the setup names 'snow', but the samples only have"):
        MultitaskNetwork(modalities, Setup(("snow",), ("zone",)))
    with pytest.raises(ValueError, match="there is no network 'vit'"):
        MultitaskNetwork(modalities, with_network(Setup(("optical",), ("zone",)), "vit"))
    one = Setup(dict(optical=dict(width=8)), "zone", name="one", network=dict(fusion=dict(widths=[4])))
    assert with_network(one, "mmcd", features=8) == Setup(
        "optical", "zone", name="one", network=dict(type="mmcd", features=8)
    )
    unknown = Setup({"optical": dict(type="vit")}, "zone")
    with pytest.raises(ValueError, match="encoder of 'optical': there is no type 'vit'"):
        MultitaskNetwork(modalities, unknown)
    deep = Setup({"moisture": dict(depth=4)}, "cover")
    with pytest.raises(
        ValueError,
        match="'moisture': a U-Net of depth 4 needs at least 16 pixels a side, "
        "the image has 8×8; choose depth 3",
    ):
        MultitaskNetwork(modalities, deep)
    net = MultitaskNetwork(modalities, Setup(("optical",), ("zone",)))
    with pytest.raises(ValueError, match="input 'optical': expected 3 channels, got 5"):
        net({"optical": torch.zeros(1, 5, 32, 32)})


def test_reserved_names_of_modalities():
    "Heads on a body."
    odd = {n: Modality(n, "tabular", (2,), channels=("a", "b")) for n in ("type", "keys", "a.b")}
    roles = Setup(("type", "keys"), ("a.b",))
    assert MultitaskNetwork(odd, roles)(example_inputs(odd, roles.inputs))["a.b"].shape == (2, 2)


def test_a_mistyped_fusion_option(made_up_and_modalities):
    "Heads on a body."
    made_up, modalities = made_up_and_modalities
    with pytest.raises(
        ValueError,
        match="fusion: 'concatenation' has no option 'width'; it has widths, dropout, batchnorm",
    ):
        MultitaskNetwork(modalities, Setup("optical", "zone", network=dict(fusion=dict(width=3))))


def test_rebuilt_from_two_json_texts(made_up_and_modalities):
    "Heads on a body."
    made_up, modalities = made_up_and_modalities
    torch.manual_seed(0)
    roles = Setup(
        inputs={"optical": dict(type="unet", width=8, depth=2), "weather": {}},
        targets={"cover": {}, "season": dict(n_layers=1, activation="sigmoid")},
        network=dict(fusion=dict(widths=[24])),
    )
    net = MultitaskNetwork(modalities, roles).eval()
    modalities_text = json.dumps({n: to_dict(m) for n, m in modalities.items()})
    setup_text = json.dumps(to_dict(roles))
    read = {n: from_dict(Modality, m) for n, m in json.loads(modalities_text).items()}
    again = MultitaskNetwork(read, from_dict(Setup, json.loads(setup_text))).eval()
    again.load_state_dict(net.state_dict())
    x = example_inputs(modalities, roles.inputs, seed=0)
    assert all(torch.equal(net(x)[t], again(x)[t]) for t in roles.targets)


def test_no_dead_weights_in_a_whole_network(made_up_and_modalities):
    "Heads on a body."
    made_up, modalities = made_up_and_modalities
    torch.manual_seed(0)
    roles = Setup(("optical", "weather", "zone"), ("cover", "elevation", "moisture", "season"))
    net = MultitaskNetwork(modalities, roles)
    y = net(example_inputs(modalities, roles.inputs, n=4, seed=0))
    sum((v * torch.randn_like(v)).mean() for v in y.values()).backward()
    assert not [k for k, p in net.named_parameters() if p.grad is None or not p.grad.any()]


def test_half_precision_on_the_way_as_mixed_precision_training_does(made_up_and_modalities, setup):
    "Heads on a body."
    made_up, modalities = made_up_and_modalities
    net = MultitaskNetwork(modalities, setup)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = net(example_inputs(modalities, setup.inputs, seed=0))
    assert all(v.isfinite().all() for v in y.values())


def test_a_row_per_part(made_up_and_modalities, setup):
    "Seeing it."
    made_up, modalities = made_up_and_modalities
    net = MultitaskNetwork(modalities, setup)
    table = net.summary()
    assert table.role.tolist() == ["encoder"] * 3 + ["fusion"] + ["head"] * 3
    assert table.parameters.sum() == n_parameters(net)
    assert table.set_index("modality").output["cover"] == (4, 32, 32)
    assert table.type[0] == "unet"
    assert repr(net).startswith("MultitaskNetwork(optical, weather, zone → cover, elevation, season; ")
    assert net.training
    assert "<table" in net._repr_html_()
    assert f"{n_parameters(net):,}" in net._repr_html_()


def test_a_name_that_looks_like_html_is_shown_not_obeyed(made_up_and_modalities):
    "Seeing it."
    made_up, modalities = made_up_and_modalities
    image = "<img src=x onerror=alert(1)>"
    named = dict(modalities)
    named[image] = replace(named.pop("cover"), name=image)
    small = dict(type="unet", width=4, depth=1)
    page = MultitaskNetwork(named, Setup(dict(optical=small), image))._repr_html_()
    assert "<img" not in page
    assert page.count("&lt;img src=x") == 2


def test_a_picture_of_the_parts(made_up_and_modalities, setup):
    "Seeing it."
    made_up, modalities = made_up_and_modalities
    ax = MultitaskNetwork(modalities, setup).plot()
    assert "example" in ax.get_title()
    assert len(ax.texts) >= 7 + 6


def test_what_separate_networks_learn_of_one_task_does_not_depend_on_the_other(made_up_and_modalities):
    "Seeing it."
    made_up, modalities = made_up_and_modalities
    torch.manual_seed(0)
    shared = Setup(("optical", "weather"), ("cover", "elevation", "zone"))
    apart = MultitaskNetwork(modalities, shared.separate())
    together = MultitaskNetwork(modalities, shared)
    x = example_inputs(modalities, shared.inputs, n=3, seed=1)
    y = apart(x)
    assert {t: v.shape for t, v in y.items()} == {t: v.shape for t, v in together(x).items()}
    heads = n_parameters(together.heads)
    assert n_parameters(apart) == 3 * n_parameters(together.body) + heads
    y["cover"].sum().backward()
    own = apart.body.bodies["cover"]
    assert all(p.grad is not None for p in own.parameters() if p.requires_grad)
    others = [apart.body.bodies["elevation"], apart.body.bodies["zone"], apart.heads["zone"]]
    assert all(p.grad is None for part in others for p in part.parameters())
    together(x)["cover"].sum().backward()
    assert all(p.grad is not None for p in together.body.encoders.parameters() if p.requires_grad)
    first, second = (next(apart.body.bodies[t].parameters()) for t in ("cover", "elevation"))
    assert (first != second).any()  # begun elsewhere
    table = apart.summary()
    assert list(table.role).count("fusion") == 3
    assert "optical for zone" in list(table.modality)
    for odd in (dict(type="separate"), "unet"):
        with pytest.raises(ValueError, match="separate networks are each of one architecture"):
            MultitaskNetwork(modalities, replace(shared, network=dict(type="separate", of=odd)))


def test_cropyield_experiment_7_by_hand(made_up_and_modalities):
    "The papers' networks are parameters."
    made_up, modalities = made_up_and_modalities
    crops = {
        m.name: m
        for m in (
            made_up("satellite", "series", 24, 25, n=25),
            made_up("yield", "tabular", 1, n=1),
            made_up("crop", "category", n=3),
        )
    }
    roles = Setup(
        inputs={"satellite": dict(n_heads=1, n_layers=4, width=32)},
        targets={
            "yield": dict(batchnorm=True, weight=0.67),
            "crop": dict(batchnorm=True, weight=0.33),
        },
        name="CropYield 7",
    )
    with torch.device("meta"):
        net = MultitaskNetwork(crops, roles)
    embedding = 25 * 32 + 32
    layer = (4 * 32**2 + 4 * 32) + (2 * 32 * 128 + 32 + 128) + 4 * 32
    hidden = 32 * 32 + 32 + 64
    assert n_parameters(net) == embedding + 4 * layer + (hidden + 33) + (hidden + 99) == 54_020
    assert net.body.out_features == 32
    assert not net.dense


def test_ben_ge_experiment_15_by_hand(made_up_and_modalities):
    "The papers' networks are parameters."
    made_up, modalities = made_up_and_modalities
    benge = {
        m.name: m
        for m in (
            made_up("sar", "image", 2, 120, 120, n=2),
            made_up("optical", "image", 12, 120, 120, n=12),
            made_up("landcover", "mask", 120, 120, n=12),
            made_up("elevation", "image", 1, 120, 120, n=1),
            made_up("zone", "category", n=12),
            made_up("season", "tabular", 1, n=1),
            made_up("weather", "tabular", 3, n=3),
        )
    }
    heads = {
        "landcover": dict(n_layers=1),
        "elevation": dict(n_layers=3),
        "zone": dict(n_layers=1, conv_width=16, dropout=0.5),
        "season": dict(conv_width=16, dropout=0.2, activation="sigmoid"),
        "weather": dict(conv_width=16, dropout=0.2),
    }
    roles = Setup(
        inputs={n: dict(type="unet", width=64, depth=4) for n in ("sar", "optical")},
        targets=with_weights(heads, dict.fromkeys(heads, 1) | {"landcover": 9}),
        name="ben-ge 15",
        network=dict(fusion=dict(widths=[64, 64])),
    )
    with torch.device("meta"):
        net = MultitaskNetwork(benge, roles)
    count = {name: n_parameters(encoder) for name, encoder in net.body.encoders.items()}
    count["fusion"] = n_parameters(net.body.fusion)
    for target, head in net.heads.items():
        count[f"to {target}"] = n_parameters(head)


    def double(a, b):
        return 9 * (a + b) * b + 4 * b


    levels = sum(double(c, 2 * c) + 8 * c * c + c + double(2 * c, c) for c in (64, 128, 256, 512))
    assert count == {
        "sar": double(2, 64) + levels,
        "optical": double(12, 64) + levels,
        "fusion": 128 * 64 + 64 + 64 * 64 + 64,
        "to landcover": 64 * 12 + 12,
        "to elevation": 2 * (64 * 64 * 9 + 64) + 65,
        "to zone": 1040 + 16 * 12 + 12,
        "to season": 1040 + 272 + 17,
        "to weather": 1040 + 272 + 51,
    }
    assert n_parameters(net) == sum(count.values()) == 62_170_797


def test_treesatai_experiment_7_by_hand(made_up_and_modalities):
    "The papers' networks are parameters."
    made_up, modalities = made_up_and_modalities
    trees = {
        m.name: m
        for m in (
            made_up("sentinel1", "image", 3, 6, 6, n=3),
            made_up("sentinel2", "image", 12, 6, 6, n=12),
            made_up("aerial", "image", 3, 304, 304, n=3),
            made_up("L3", "category", n=15),
            made_up("L2", "category", n=9),
            made_up("age", "tabular", 1, n=1),
        )
    }
    flat = dict(type="flat-mlp", width=512, n_layers=3, dropout=0.3)
    roles = Setup(
        inputs={
            "sentinel1": flat,
            "sentinel2": flat,
            "aerial": dict(type="resnet18", pretrained=True),
        },
        targets={
            "L3": dict(n_layers=1, weight=4),
            "L2": dict(width=256, dropout=0.25, weight=1),
            "age": dict(n_layers=1, weight=1),
        },
        name="TreeSatAI 7",
    )
    with torch.device("meta"):
        net = MultitaskNetwork(trees, roles, pretrained=False)


    def linear(a, b):
        return a * b + b


    satellites = [linear(c * 36, 512) + 2 * linear(512, 512) for c in (3, 12)]
    heads = [linear(1536, 15), linear(1536, 256) + linear(256, 9), linear(1536, 1)]
    assert net.body.out_features == 1536
    assert satellites == [581_120, 747_008]
    assert n_parameters(net) == sum(satellites) + 11_176_512 + sum(heads) == 12_925_017


def test_activations_keep_the_channels_together(made_up_and_modalities, setup):
    "Order in memory."
    made_up, modalities = made_up_and_modalities
    net = MultitaskNetwork(modalities, setup).eval()
    found = []


    def note(module, args, output):
        found.append(output.is_contiguous(memory_format=torch.channels_last))


    convolutions = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    hooks = [m.register_forward_hook(note) for m in net.modules() if isinstance(m, convolutions)]
    net(example_inputs(modalities, setup.inputs, seed=0))
    assert len(found) == len(hooks)
    assert all(found)
