"""ChangeFormer

Written by nbdev-export from the check cells of nbs/api/networks/08_changeformer.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import pytest
import torch

from mtl_explain.modality import Modality
from mtl_explain.networks.changeformer import DifferenceDecoder
from mtl_explain.networks.cost import operations
from mtl_explain.networks.layers import n_parameters
from mtl_explain.networks.multitask import MultitaskNetwork, example_inputs
from mtl_explain.setup import Setup


# modalities and setups of the examples
@pytest.fixture(scope='module')
def scene_and_modalities():
    def image(name, size, channels):
        return Modality(
            name,
            "image",
            (channels, size, size),
            channels=tuple(f"{name} {i}" for i in range(channels)),
        )
    def scene(size):
        return {
            m.name: m
            for m in (
                image("early_dsm", size, 1),
                image("late_image", size, 3),
                image("height_change", size, 1),
                Modality("change", "mask", (size, size), classes=("same", "demolished", "new")),
            )
        }
    modalities = scene(64)
    return scene, modalities


@pytest.fixture(scope='module')
def setup_and_small():
    setup = Setup(
        ("early_dsm", "late_image"),
        ("change", "height_change"),
        network=dict(type="changeformer"),
        name="ChangeFormer",
    )
    small = Setup(
        setup.inputs,
        setup.targets,
        network=dict(type="changeformer", widths=[8, 8, 16, 16], depths=[1, 1, 1, 1], features=8),
    )
    return setup, small


@pytest.fixture(scope='module')
def full_and_work(scene_and_modalities, setup_and_small):
    "The network of Table 3, without numbers."
    scene, modalities = scene_and_modalities
    setup, small = setup_and_small
    with torch.device("meta"):
        full = MultitaskNetwork(scene(1024), setup)
        x = example_inputs(scene(1024), setup.inputs, n=1)
        work = operations(full, x)
    return full, work


def test_a_difference_by_hand():
    "Differences, learned."
    decoder = DifferenceDecoder((2,), features=1).eval()
    first, _, norm, last, _ = decoder.difference[0]
    for p in decoder.parameters():
        torch.nn.init.zeros_(p)
    with torch.no_grad():
        decoder.proj[0].weight[0, 0] = 1  # the second channel is ignored
        first.weight[0, :, 1, 1] = torch.tensor([-1.0, 1.0])  # late minus early
        norm.weight[0] = 1
        last.weight[0, 0, 1, 1] = 1
    early = torch.tensor([[3.0, 1.0], [4.0, 5.0]])
    late = torch.tensor([[1.0, 2.0], [9.0, 5.0]])
    maps = torch.stack([torch.stack([m, 100 * m]) for m in (early, late)])
    found = []
    decoder.difference[0].register_forward_hook(lambda m, args, out: found.append(out[0, 0]))
    assert decoder([maps]).shape == (1, 1, 8, 8)
    assert torch.allclose(found[0], torch.tensor([[0.0, 1.0], [5.0, 0.0]]), atol=1e-4)


def test_parameters_and_multiply_adds_of_table_3(full_and_work):
    "Against Table 3."
    full, work = full_and_work
    def block(b, r):
        attention = 4 * (b * b + b)
        reduction = r * r * b * b + 3 * b if r > 1 else 0
        feed_forward = 8 * b * b + 45 * b
        normalisations = 4 * b
        return attention + reduction + feed_forward + normalisations


    def stage(a, b, depth, r):
        return (49 * a * b + 3 * b) + depth * block(b, r) + 2 * b


    encoder = stage(3, 64, 3, 8) + stage(64, 128, 3, 4) + stage(128, 320, 4, 2) + stage(320, 512, 3, 1)
    proj = (64 + 128 + 320 + 512) * 64 + 4 * 64
    differences = 4 * (128 * 64 * 9 + 64 + 128 + 64 * 64 * 9 + 64)
    linear_fuse = 256 * 64 + 64 + 128
    upsampling = 2 * (64 * 64 * 16 + 64) + 4 * (64 * 64 * 9 + 64)
    heads = (64 * 3 * 9 + 3) + (64 * 9 + 1)
    assert n_parameters(full.body.encoder) == encoder
    assert n_parameters(full.body.decoder) == proj + differences + linear_fuse + upsampling
    assert n_parameters(full.heads) == heads
    # convolution, normalisation, convolution: once a scale
    unused = (64 * 3 * 9 + 3) + 2 * 3 + (3 * 3 * 9 + 3)
    unused_work = sum((256 // 2**i) ** 2 * (64 * 3 * 9 + 4 * 3 + 3 * 3 * 9) for i in range(4))
    assert n_parameters(full) == 29_744_388
    assert n_parameters(full) + 4 * unused == 29_751_672
    assert round((work.tabled.sum() + unused_work) / 1e9, 3) == 340.165


def test_where_the_work_is(full_and_work):
    "Against Table 3."
    full, work = full_and_work
    def part_of(layer):
        words = layer.split(".")
        if words[1] == "encoder" or words[2] == "difference":
            return " ".join(words[1:4])  # stage by stage
        if words[0] == "body":
            return " ".join(words[1:3])
        return " ".join(words[:2])


    table = work.groupby(part_of, sort=False)[["parameters", "tabled", "computed"]].sum()
    table[["tabled", "computed"]] /= 1e9
    table.loc["all"] = table.sum()
    assert table.parameters["all"] == n_parameters(full)
    table.style.format({"parameters": "{:,.0f}", "tabled": "{:.2f}", "computed": "{:.2f}"})


def test_any_size_and_clear_words_for_what_is_missing(scene_and_modalities, setup_and_small):
    "Does it do what it should?"
    scene, modalities = scene_and_modalities
    setup, small = setup_and_small
    torch.manual_seed(0)
    net = MultitaskNetwork(modalities, small).eval()
    for size in ((32, 32), (64, 96), (48, 65), (1, 1)):
        y = net({"early_dsm": torch.randn(2, 1, *size), "late_image": torch.randn(2, 3, *size)})
        assert y["change"].shape == (2, 3, *size)
        assert y["height_change"].shape == (2, 1, *size)
        assert y["height_change"].abs().max() <= 1
    with pytest.raises(ValueError, match="the network reads 'early_dsm', which the batch lacks"):
        net({"late_image": torch.zeros(1, 3, 64, 64)})


def test_no_dead_weights_also_with_half_the_precision(scene_and_modalities, setup_and_small):
    "Does it do what it should?"
    scene, modalities = scene_and_modalities
    setup, small = setup_and_small
    torch.manual_seed(0)
    net = MultitaskNetwork(modalities, small)
    for half in (False, True):
        net.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            y = net(example_inputs(modalities, setup.inputs, n=4, seed=0))
        sum((v.float() * torch.randn_like(v.float())).mean() for v in y.values()).backward()
        assert all(v.isfinite().all() for v in y.values())
        assert not [k for k, p in net.named_parameters() if p.grad is None or not p.grad.any()]


def test_every_part_is_in_the_summary(scene_and_modalities, setup_and_small):
    "Does it do what it should?"
    scene, modalities = scene_and_modalities
    setup, small = setup_and_small
    torch.manual_seed(0)
    net = MultitaskNetwork(modalities, small)
    assert net.summary().parameters.sum() == n_parameters(net)
    assert net.summary().role.tolist() == ["encoder", "decoder", "head", "head"]
