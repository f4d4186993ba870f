"""Losses of change

Written by nbdev-export from the check cells of nbs/api/change/01_losses.ipynb.
Do not edit: change the notebook, then `make export`.
"""

from dataclasses import replace

import pytest
import torch

from mtl_explain.change.losses import (
    default_temperature, height_ranges, in_other_units, loss_presets, range_scaling, scaled_zero, with_losses,
)
from mtl_explain.modality import Modality
from mtl_explain.networks.heads import SoftThresholdHead, soft_threshold
from mtl_explain.networks.multitask import MultitaskNetwork
from mtl_explain.setup import Setup
from mtl_explain.training.losses import MultitaskLoss


@pytest.fixture(scope='module')
def paper_scaling():
    "The paper's range."
    return range_scaling(*height_ranges["paper"])


@pytest.fixture(scope='module')
def full():
    "A setup with its losses."
    return Setup(("early_height", "late_image"), ("semantic_change", "pseudo_change", "height_change"))


def test_the_range_by_hand(paper_scaling):
    "Heights in the network's units."
    s = paper_scaling
    fixed = {k: tuple(v) for k, v in s.items()}
    height = Modality("height", "image", (1, 1, 3), channels=("height",), units="m", **fixed)
    scaled = height.standardise(torch.tensor([[[[-27.29, 0.0, 87.26]]]])).flatten().tolist()
    assert scaled == pytest.approx([-1, scaled_zero(s), 1], abs=1e-6)
    assert scaled_zero(s) == pytest.approx(-0.5235, abs=1e-4)
    assert 1 / s["std"][0] == pytest.approx(0.01746, abs=1e-5)
    assert scaled_zero(range_scaling(*height_ranges["released"])) == pytest.approx(-0.506, abs=5e-4)
    with pytest.raises(ValueError, match="low < high, got 3 and 3"):
        range_scaling(3, 3)


def test_the_numbers_of_the_paper_and_of_the_code_written_once_more():
    "Heights in the network's units."
    assert height_ranges == dict(paper=(-27.29, 87.26), released=(-27.291, 83.266))
    assert range_scaling(-2, 6) == dict(mean=[2.0], std=[4.0])
    assert scaled_zero(dict(mean=[2.0], std=[4.0])) == -0.5
    assert default_temperature == 0.5
    with pytest.raises(ValueError, match="low < high, got 4 and 3"):
        range_scaling(4, 3)


def test_presets_by_hand(full, paper_scaling):
    "Separately supervised."
    paper, explicit, released = (with_losses(full, p) for p in loss_presets)
    assert paper.weights == pytest.approx(
        dict(semantic_change=0.6, pseudo_change=0.2, height_change=0.2)
    )
    assert paper.relations == ()
    masks = Modality("masks", "mask", (4, 4), classes=("a", "b"))
    assert SoftThresholdHead(8, masks, reads="height").temperature == default_temperature
    assert paper.losses == {
        t: dict(class_weights=[0.05, 0.95, 0.95]) for t in ("semantic_change", "pseudo_change")
    }
    assert paper.heads["pseudo_change"] == dict(
        type="soft-threshold", reads="height_change", zero=scaled_zero(paper_scaling)
    )
    assert paper.heads["semantic_change"] == {}
    assert paper.scaling == dict(height_change=paper_scaling)
    assert explicit == replace(
        paper,
        relations=(dict(type="consistency", tasks=["pseudo_change", "semantic_change"], weight=0.2),),
    )
    assert released.weights == pytest.approx(
        dict(semantic_change=0.2, pseudo_change=0.2, height_change=0.6)
    )
    assert released.relations[0]["weight"] == 0.1
    assert released.heads["semantic_change"] == dict(
        type="soft-threshold", reads="height_change", gate="sigmoid", temperature=1, zero=0
    )
    assert released.heads["pseudo_change"] == {}
    own = with_losses(full.with_options("pseudo_change", temperature=0.1))
    assert own.heads["pseudo_change"] == paper.heads["pseudo_change"] | dict(temperature=0.1)
    with pytest.raises(ValueError, match="no preset 'best'; choose one of paper, explicit, released"):
        with_losses(full, "best")
    with pytest.raises(ValueError, match="knows the tasks of none of these names; the setup has age"):
        with_losses(Setup("late_image", "age"))


def test_tasks_of_other_names_and_what_a_setup_says_itself():
    "Separately supervised."
    renamed = dict(semantic="change", pseudo="sign", height="metres")
    own = with_losses(Setup("x", ("change", "sign", "metres")), "released", renamed)
    assert own.weights == pytest.approx(dict(change=0.2, sign=0.2, metres=0.6))
    assert own.heads["change"]["reads"] == "metres"
    assert own.relations == (
        dict(type="consistency", tasks=["sign", "change"], weight=0.1, distance="cross-entropy"),
    )
    assert own.scaling == dict(metres=range_scaling(*height_ranges["released"]))
    assert own.heads["metres"] == dict(activation="tanh")
    own = dict(semantic_change=dict(weight=9), height_change=dict(weight=1, width=3))
    heavy = with_losses(Setup("x", own))
    assert heavy.weights == pytest.approx(dict(semantic_change=0.75, height_change=0.25))
    assert heavy.heads["height_change"] == dict(activation="tanh", width=3)
    with pytest.raises(
        ValueError, match="knows the tasks height_change; the setup has height_change, "
    ):
        with_losses(Setup("x", ("height_change", "age")))


def test_table_5_as_setups(full):
    "Separately supervised."
    def row(*targets):
        return with_losses(Setup(("early_height", "late_image"), targets), "explicit")


    assert row("semantic_change").weights == dict(semantic_change=1)
    assert row("semantic_change").heads == dict(semantic_change={})
    assert row("semantic_change").scaling == {}
    assert row("height_change").losses == {}
    assert row("height_change").heads == dict(height_change=dict(activation="tanh"))
    assert row("semantic_change", "height_change").weights == pytest.approx(
        dict(semantic_change=0.75, height_change=0.25)
    )
    assert row("semantic_change", "height_change").relations == ()
    assert row("height_change", "pseudo_change").heads["pseudo_change"]["reads"] == "height_change"
    assert row("height_change", "pseudo_change").relations == ()
    assert row("semantic_change", "pseudo_change").heads == dict(semantic_change={}, pseudo_change={})
    assert row("semantic_change", "pseudo_change").relations == with_losses(full, "explicit").relations


def test_thresholds_keep_their_metres(full, paper_scaling):
    "Heights in other units."
    tens = in_other_units(with_losses(full), "height_change", dict(mean=[0.0], std=[10.0]))
    half = paper_scaling["std"][0]
    assert tens.scaling == dict(height_change=dict(mean=[0.0], std=[10.0]))
    assert tens.heads["pseudo_change"]["zero"] == pytest.approx(0, abs=1e-12)
    assert tens.heads["pseudo_change"]["temperature"] * 10 == pytest.approx(0.5 * half)
    there_and_back = in_other_units(tens, "height_change", paper_scaling).heads["pseudo_change"]
    assert there_and_back["zero"] == pytest.approx(scaled_zero(paper_scaling))
    assert there_and_back["temperature"] == pytest.approx(0.5)

    # the gate itself, at heights in metres, by both setups
    metres = torch.tensor([-20.0, -1.0, 0.0, 5.0, 40.0])


    def gate(setup):
        of_height, head = setup.scaling["height_change"], setup.heads["pseudo_change"]
        x = (metres - of_height["mean"][0]) / of_height["std"][0] - head["zero"]
        return soft_threshold(x, head.get("temperature", 0.5))


    torch.testing.assert_close(gate(tens), gate(with_losses(full)))
    assert gate(tens)[2].abs() < 1e-6

    # the head of the released code, whose zero is the middle of its range, keeps that too
    released_tens = in_other_units(
        with_losses(full, "released"), "height_change", dict(mean=[0.0], std=[10.0])
    )
    middle = range_scaling(*height_ranges["released"])["mean"][0]
    assert released_tens.heads["semantic_change"]["zero"] * 10 == pytest.approx(middle)
    alone = with_losses(Setup(("early_height", "late_image"), "height_change"))
    assert in_other_units(alone, "height_change", paper_scaling) == alone
    with pytest.raises(ValueError, match="'semantic_change' has no fixed scaling in this setup"):
        in_other_units(full, "semantic_change", paper_scaling)


def test_a_head_that_says_neither_zero_nor_temperature_has_those_of_its_class(full, paper_scaling):
    "Heights in other units."
    # a head that says neither zero nor temperature has those of its class; others stay as they are
    reads = dict(type="soft-threshold", reads="h")
    roles = Setup("x", dict(h=dict(scaling=dict(mean=[2.0], std=[4.0])), sign=reads, other={}))
    moved = in_other_units(roles, "h", dict(mean=[-1.0], std=[2.0]))
    assert moved.heads["sign"] == reads | dict(zero=(2 + 1) / 2, temperature=0.5 * 4 / 2)
    assert moved.heads["other"] == {} and moved.weights == roles.weights
    own = in_other_units(
        roles.with_options("sign", zero=0.5, temperature=0.1), "h", dict(mean=[0.0], std=[1.0])
    )
    assert own.heads["sign"]["zero"] == 2 + 4 * 0.5
    assert own.heads["sign"]["temperature"] == pytest.approx(0.4)
    with pytest.raises(
        ValueError, match="'sign' has no fixed scaling in this setup; those that have: h"
    ):
        in_other_units(roles, "sign", dict(mean=[0.0], std=[1.0]))
    with pytest.raises(ValueError, match="those that have: none"):
        in_other_units(full, "height_change", paper_scaling)


def test_each_preset_trains(full):
    "Heights in other units."
    shapes = dict(early_height=(1, 16, 16), late_image=(3, 16, 16), height_change=(1, 16, 16))
    mods = {n: Modality(n, "image", s, channels=tuple("abc"[: s[0]])) for n, s in shapes.items()}
    for n in ("semantic_change", "pseudo_change"):
        mods[n] = Modality(n, "mask", (16, 16), classes=("unchanged", "demolished", "newly built"))
    g = torch.Generator().manual_seed(0)
    x = {n: torch.randn(2, *shapes[n], generator=g) for n in full.inputs}
    y = dict(height_change=torch.rand(2, *shapes["height_change"], generator=g) * 2 - 1)
    for n in ("semantic_change", "pseudo_change"):
        y[n] = torch.randint(-1, 3, (2, 16, 16), generator=g)
    readers = dict(paper="pseudo_change", explicit="pseudo_change", released="semantic_change")
    for preset, reader in readers.items():
        setup = with_losses(full, preset)
        torch.manual_seed(0)
        net = MultitaskNetwork(mods, setup)
        loss = MultitaskLoss(mods, setup)
        preds = net(x)
        parts = loss.parts(preds, y)
        heights = net.heads["height_change"].parameters()
        slopes = torch.autograd.grad(parts[reader], heights, retain_graph=True)
        assert all(v.any() for v in slopes), "the class loss trains the height"
        weighted = sum(w * parts[t].item() for t, w in setup.weights.items())
        related = sum(
            r["weight"] * relation(preds, y).item()
            for r, relation in zip(setup.relations, loss.relations, strict=True)
        )
        assert loss(preds, y).item() == pytest.approx(weighted + related, rel=1e-5)
        assert bool(related) == (preset != "paper")
        assert net.order.index("height_change") < net.order.index(reader)
