"""MMCD

Written by nbdev-export from the check cells of nbs/api/networks/05_mmcd.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import pandas as pd
import pytest
import torch

from mtl_explain.modality import Modality
from mtl_explain.networks.cost import operations
from mtl_explain.networks.layers import n_parameters
from mtl_explain.networks.mmcd import CrossModalFusion
from mtl_explain.networks.multitask import MultitaskNetwork, example_inputs
from mtl_explain.networks.pair import as_map, as_tokens
from mtl_explain.setup import Setup


# modalities of the examples
@pytest.fixture(scope='module')
def scene_and_modalities():
    def image(name, size, channels):
        return Modality(
            name,
            "image",
            (channels, size, size),
            channels=tuple(f"{name} {i}" for i in range(channels)),
        )
    def scene(size, dsm=1):
        masks = (
            Modality(n, "mask", (size, size), classes=("same", "demolished", "new"))
            for n in ("change", "pseudo")
        )
        return {
            m.name: m
            for m in (
                image("early_dsm", size, dsm),
                image("late_image", size, 3),
                image("height_change", size, 1),
                *masks,
            )
        }
    modalities = scene(64)
    return scene, modalities


@pytest.fixture(scope='module')
def mmcd_setup_three_soft_and_small():
    mmcd = dict(type="mmcd")
    setup = Setup(("early_dsm", "late_image"), ("change", "height_change"), network=mmcd, name="MMCD")
    three = Setup(setup.inputs, ("change", "height_change", "pseudo"), network=mmcd)
    soft = Setup(
        three.inputs,
        dict.fromkeys(three.targets, {})
        | {"pseudo": dict(type="soft-threshold", reads="height_change")},
        network=mmcd,
    )
    small = Setup(
        setup.inputs,
        setup.targets,
        network=dict(type="mmcd", widths=[8, 8, 16, 16], depths=[1, 1, 1, 1], features=8),
    )
    return mmcd, setup, three, soft, small


@pytest.fixture(scope='module')
def full_full_soft_work_and_work_soft(scene_and_modalities, mmcd_setup_three_soft_and_small):
    "The networks of Table 3, without numbers."
    scene, modalities = scene_and_modalities
    mmcd, setup, three, soft, small = mmcd_setup_three_soft_and_small
    with torch.device("meta"):
        full = MultitaskNetwork(scene(1024), three)
        full_soft = MultitaskNetwork(scene(1024), soft)
        x = example_inputs(scene(1024), three.inputs, n=1)
        work = operations(full, x)
        work_soft = operations(full_soft, x)
    return full, full_soft, work, work_soft


def test_equation_2_by_a_loop_and_its_symmetry():
    "Cross-modal fusion."
    torch.manual_seed(0)
    block = CrossModalFusion(4, 6, n_heads=2, ratio=1).eval()
    early, late = torch.randn(2, 1, 4, 3, 5)
    heights, photograph = (
        as_tokens(norm(embed(m)))[0]
        for norm, embed, m in zip(block.norm1, block.embed, (early, late), strict=True)
    )
    attention = block.attention[0]
    queries = attention.q(heights)
    keys, values = attention.kv(photograph).chunk(2, -1)
    answer = torch.zeros(15, 6)
    for p in range(15):
        for head in (slice(0, 3), slice(3, 6)):
            products = torch.stack([queries[p, head] @ keys[o, head] for o in range(15)])
            weights = torch.softmax(products / 3**0.5, 0)
            answer[p, head] = sum(w * values[o, head] for o, w in enumerate(weights))
    asked = block.embed[0](early) + as_map(attention.proj(answer)[None], (3, 5))
    expected = block.proj(block.norm2[0](asked).permute(0, 2, 3, 1))[0, :, :, 2]
    assert torch.allclose(block.cross_attend(early, late)[0][0, 2], expected, atol=1e-5)
    for pair in (block.embed, block.attention, block.norm1, block.norm2):
        pair[1].load_state_dict(pair[0].state_dict())
    exchanged = block.cross_attend(late, early)[::-1]
    for a, b in zip(block.cross_attend(early, late), exchanged, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_the_fusions_parameters_by_hand():
    "Cross-modal fusion."
    def fusion(width, ratio, f=64):
        embed = f * width * 9 + 3 * width
        attention = 4 * (width**2 + width)
        normalisations = 4 * width
        reduction = width**2 * ratio**2 + 3 * width if ratio > 1 else 0
        proj = width * f + f
        merge = (2 * f * f * 9 + f) + 2 * f + (f * f * 9 + f)
        return 2 * (embed + attention + normalisations) + reduction + proj + merge


    for width, n_heads, ratio in ((320, 8, 1), (128, 4, 2), (64, 2, 4), (128, 1, 8)):
        assert n_parameters(CrossModalFusion(64, width, n_heads, ratio)) == fusion(width, ratio)
    assert fusion(6, 2, f=4) == n_parameters(CrossModalFusion(4, 6, 1, 2))


def test_parameters_and_multiply_adds_of_table_3(full_full_soft_work_and_work_soft):
    "The network."
    full, full_soft, work, work_soft = full_full_soft_work_and_work_soft
    def block(b, r):
        attention = 4 * (b * b + b)
        reduction = r * r * b * b + 3 * b if r > 1 else 0
        feed_forward = 8 * b * b + 45 * b
        normalisations = 4 * b
        return attention + reduction + feed_forward + normalisations


    def stage(a, b, depth, r):
        return (49 * a * b + 3 * b) + depth * block(b, r) + 2 * b


    def fusion(w, r):
        embed = 64 * w * 9 + 3 * w
        attention = 4 * (w * w + w)
        reduction = w * w * r * r + 3 * w if r > 1 else 0
        proj = w * 64 + 64
        merge = 128 * 64 * 9 + 64 + 128 + 64 * 64 * 9 + 64
        return 2 * (embed + attention + 4 * w) + reduction + proj + merge


    encoder = stage(3, 32, 3, 8) + stage(32, 64, 3, 4) + stage(64, 128, 4, 2) + stage(128, 320, 3, 1)
    fusions = fusion(128, 8) + fusion(64, 4) + fusion(128, 2) + fusion(320, 1)
    proj = (32 + 64 + 128 + 320) * 64 + 4 * 64
    linear_fuse = 256 * 64 + 64 + 128
    residual_blocks = 4 * (64 * 64 * 9 + 64)
    heads = 2 * (64 * 3 * 9 + 3) + 64 * 9 + 1
    assert n_parameters(full.body.encoder) == encoder == 7_924_416
    assert n_parameters(full.body.fusion) == fusions + proj + linear_fuse + residual_blocks
    assert n_parameters(full.heads) == heads
    assert n_parameters(full) == 11_658_503
    assert n_parameters(full_soft) == 11_667_463
    assert round(work.tabled.sum() / 1e9, 3) == 168.893
    assert round(work_soft.tabled.sum() / 1e9, 1) == 178.1


def test_where_the_work_is(full_full_soft_work_and_work_soft):
    "The network."
    full, full_soft, work, work_soft = full_full_soft_work_and_work_soft
    def part_of(layer):
        words = layer.split(".")
        if words[1] == "encoder" or words[2] == "cross_modal":
            return " ".join(words[1:4])  # stage by stage
        if words[0] == "body":
            return " ".join(words[1:3])
        return " ".join(words[:2])


    table = work.groupby(part_of, sort=False)[["tabled", "computed"]].sum() / 1e9
    once = work[~work.index.duplicated()]  # a layer used twice has its parameters once
    table.insert(0, "parameters", once.groupby(part_of).parameters.sum())
    table.loc["all"] = table.sum()
    assert table.parameters["all"] == n_parameters(full)
    table.style.format({"parameters": "{:,.0f}", "tabled": "{:.2f}", "computed": "{:.2f}"})


def test_single_task_variants_are_setups(mmcd_setup_three_soft_and_small, scene_and_modalities):
    "Setups, not classes."
    mmcd, setup, three, soft, small = mmcd_setup_three_soft_and_small
    scene, modalities = scene_and_modalities
    mask = 64 * 3 * 9 + 3
    height = 64 * 9 + 1
    body = 11_658_503 - 2 * mask - height
    expected = {
        ("change",): body + mask,
        ("height_change",): body + height,
        ("change", "height_change"): body + mask + height,
        ("height_change", "pseudo"): body + mask + height,
        tuple(three.targets): body + 2 * mask + height,
    }
    counts = {}
    for targets in expected:
        with torch.device("meta"):
            net = MultitaskNetwork(modalities, Setup(setup.inputs, targets, network=mmcd))
        counts[targets] = n_parameters(net)
    assert counts == expected
    pd.DataFrame(
        [(", ".join(t), f"{n:,}") for t, n in counts.items()], columns=["targets", "parameters"]
    ).style.hide(axis="index")


def test_any_size(scene_and_modalities, mmcd_setup_three_soft_and_small):
    "Does it do what it should?"
    scene, modalities = scene_and_modalities
    mmcd, setup, three, soft, small = mmcd_setup_three_soft_and_small
    torch.manual_seed(0)
    net = MultitaskNetwork(modalities, small).eval()
    for size in ((32, 32), (64, 96), (96, 32), (50, 64), (1, 1)):
        y = net({"early_dsm": torch.randn(2, 1, *size), "late_image": torch.randn(2, 3, *size)})
        assert y["change"].shape == (2, 3, *size)
        assert y["height_change"].shape == (2, 1, *size)
        assert y["height_change"].abs().max() <= 1
    with pytest.raises(ValueError, match="MMCD compares two images of one place"):
        MultitaskNetwork(modalities, Setup(("late_image",), ("change",), network=mmcd))
    mistyped = Setup(setup.inputs, ("change",), network=dict(type="mmcd", width=3))
    with pytest.raises(
        ValueError,
        match="network: 'mmcd' has no option 'width'; "
        "it has widths, fusion_widths, depths, features, dropout, zoom",
    ):
        MultitaskNetwork(modalities, mistyped)


def test_a_repeated_channel_and_images_that_are_told_apart(scene_and_modalities, mmcd_setup_three_soft_and_small):
    "Does it do what it should?"
    scene, modalities = scene_and_modalities
    mmcd, setup, three, soft, small = mmcd_setup_three_soft_and_small
    torch.manual_seed(0)
    net = MultitaskNetwork(modalities, small).eval()
    stacked = MultitaskNetwork(scene(64, dsm=3), small).eval()
    stacked.load_state_dict(net.state_dict())
    x = example_inputs(modalities, setup.inputs, n=2, seed=1)
    y = net(x)
    again = stacked(x | {"early_dsm": x["early_dsm"].repeat(1, 3, 1, 1)})
    assert all(torch.allclose(y[t], again[t], atol=1e-6) for t in y)
    assert not torch.allclose(y["change"][0], y["change"][1])
    assert not torch.allclose(y["change"], net(x | {"early_dsm": -x["early_dsm"]})["change"], atol=1e-4)


def test_no_dead_weights_also_with_half_the_precision(scene_and_modalities, mmcd_setup_three_soft_and_small):
    "Does it do what it should?"
    scene, modalities = scene_and_modalities
    mmcd, setup, three, soft, small = mmcd_setup_three_soft_and_small
    torch.manual_seed(0)
    net = MultitaskNetwork(modalities, small)
    for half in (False, True):
        net.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            y = net(example_inputs(modalities, setup.inputs, n=4, seed=0))
        sum((v.float() * torch.randn_like(v.float())).mean() for v in y.values()).backward()
        assert all(v.isfinite().all() for v in y.values())
        assert not [k for k, p in net.named_parameters() if p.grad is None or not p.grad.any()]


def test_maps_stay_in_the_order_in_which_convolutions_are_fast(scene_and_modalities, mmcd_setup_three_soft_and_small):
    "Does it do what it should?"
    scene, modalities = scene_and_modalities
    mmcd, setup, three, soft, small = mmcd_setup_three_soft_and_small
    net = MultitaskNetwork(modalities, small).eval()
    found = []


    def note(module, args, output):
        found.append(args[0].is_contiguous(memory_format=torch.channels_last))


    for m in net.modules():
        if isinstance(m, torch.nn.Conv2d):
            m.register_forward_hook(note)
    net(example_inputs(modalities, setup.inputs))
    assert all(found[1:])  # the first one gets the images as the loader made them
    assert len(found) == 37


def test_a_picture_of_the_parts(scene_and_modalities, mmcd_setup_three_soft_and_small):
    "Does it do what it should?"
    scene, modalities = scene_and_modalities
    mmcd, setup, three, soft, small = mmcd_setup_three_soft_and_small
    torch.manual_seed(0)
    net = MultitaskNetwork(modalities, setup)
    assert net.summary().parameters.sum() == n_parameters(net)
