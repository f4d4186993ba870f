"""Relations

Written by nbdev-export from the check cells of nbs/api/training/02_relations.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import math
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import rel_entr

from mtl_explain.change.losses import height_ranges, range_scaling
from mtl_explain.modality import Modality
from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.learner import multitask_learner
from mtl_explain.training.relations import (
    Consistency, HierarchyConsistency, ParentView, SignView, distances, make_view, parent_scores,
    sign_classes, sign_scores,
)


@pytest.fixture(scope='module')
def paper_scaling():
    "Heights as paper B predicts them: between -1 and 1, the ends of a fixed range."
    return range_scaling(*height_ranges["paper"])


# tasks for the examples
@pytest.fixture(scope='module')
def plane_changes_and_change_mods():
    plane = (1, 3)
    changes = ("unchanged", "demolished", "newly built")
    change_mods = dict(
        image=Modality("image", "image", (1, *plane), channels=("x",)),
        height=Modality("height", "image", (1, *plane), channels=("height",), units="m"),
        **{n: Modality(n, "mask", plane, classes=changes) for n in ("semantic", "pseudo")},
    )
    return plane, changes, change_mods


@pytest.fixture(scope='module')
def zone_mods():
    return dict(
        type=Modality(
            "type",
            "category",
            classes=("Af", "Am", "BW", "BS"),
            parent="zone",
            parent_index=(0, 0, 1, 1),
        ),
        zone=Modality("zone", "category", classes=("A", "B")),
    )


@pytest.fixture(scope='module')
def change_setup():
    ten_metres = dict(mean=[5.0], std=[10.0])  # 0 m is -0.5
    return Setup("image", dict(semantic={}, pseudo={}, height=dict(scaling=ten_metres)))


@pytest.fixture(scope='module')
def adherence():
    "Toy climates and zones, labelled in different training samples."
    world = toy_samples(size=8)
    split_labels = world.copy(deep=True)
    first = np.flatnonzero(world.split.values == "train")
    split_labels.climate[first[::2]], split_labels.zone[first[1::2]] = -1, -1
    unseen = world.isel(sample=world.split.values != "train")
    def adherence(seed, *relations):
        "Share of unseen samples whose predicted climate lies in their predicted zone, and accuracies."
        learner = multitask_learner(
            split_labels,
            Setup("optical", ("climate", "zone"), relations=relations),
            seed=seed,
            bs=16,
            lr=3e-3,
            trace=(),
            device="cpu",
        )
        with learner.no_bar(), learner.no_logging():
            learner.fit(10)
        p = learner.predict(unseen)
        index = np.array(world.climate.attrs["parent_index"])
        inside = index[p.climate.values] == p.zone.values
        return [
            v.mean()
            for v in (
                inside,
                p.climate.values == unseen.climate.values,
                p.zone.values == unseen.zone.values,
            )
        ]
    return adherence


def test_three_heights_by_hand_and_the_hard_threshold_as_t_vanishes():
    "A height as classes."
    x = torch.tensor([[-0.5, 0.0, 1.0]])
    half = 2 / (1 + math.exp(-1)) - 1
    one = 2 / (1 + math.exp(-2)) - 1
    torch.testing.assert_close(
        sign_scores(x, 0.5)[0].T, torch.tensor([[1 - half, half, 0], [1, 0, 0], [1 - one, 0, one]])
    )
    assert sign_classes(torch.tensor([-3.0, -0.1, 0.0, 0.1, torch.nan, 2.0]), 0.1).tolist() == [
        1,
        0,
        0,
        0,
        -1,
        2,
    ]
    wide = torch.arange(-100, 101)[None] / 100
    assert torch.equal(sign_scores(wide, 1e-5), F.one_hot(sign_classes(wide), 3).movedim(-1, 1).float())
    torch.testing.assert_close(sign_scores(wide, 0.3).sum(1), torch.ones(1, 201))


def test_a_height_at_the_tolerance_has_not_changed():
    "A height as classes."
    # a height at the tolerance has not changed; the temperature divides the height
    assert sign_classes(torch.tensor([-0.5, 0.5, -0.75, 0.75]), 0.5).tolist() == [0, 0, 1, 2]
    assert sign_classes(torch.tensor([-1e-9, 0.0, 1e-9])).tolist() == [1, 0, 2]
    torch.testing.assert_close(
        sign_scores(torch.tensor([[3.0]]), 2.0), sign_scores(torch.tensor([[1.5]]), 1.0)
    )


def test_probabilities_against_metres_for_three_temperatures(paper_scaling):
    "A height as classes."
    metres = torch.linspace(-15, 15, 301)
    fig, axs = plt.subplots(1, 3, figsize=(9, 2.3), sharey=True, layout="constrained", dpi=75)
    for ax, t in zip(axs, (0.5, 0.1, 0.02), strict=True):
        p = sign_scores(metres[None] / paper_scaling["std"][0], t)[0]
        for line, name, color in zip(
            p,
            ("unchanged", "demolished", "newly built"),
            ("#949494", "#0173b2", "#de8f05"),
            strict=True,
        ):
            ax.plot(metres, line, color=color, label=name)
        ax.set(title=f"t = {t}", xlabel="height change [m]")
    axs[0].set(ylabel="probability")
    axs[0].legend(fontsize=8)
    ten, one = (
        sign_scores(torch.tensor([[m]]) / paper_scaling["std"][0], t)[0, :, 0]
        for m, t in ((10.0, 0.5), (1.0, 0.02))
    )
    assert round(ten[0].item(), 2) == 0.83
    assert round(one[2].item(), 2) == 0.41
    assert sign_scores(torch.tensor([[10.0]]) / paper_scaling["std"][0], 0.02)[0, 2, 0] > 0.99


def test_four_children_by_hand_and_on_a_map():
    "A class as its parent."
    p = torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    index = torch.tensor([0, 1, 0, 1])
    torch.testing.assert_close(parent_scores(p, index, 2), torch.tensor([[0.4, 0.6]]))
    maps = torch.rand(2, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        parent_scores(maps, index, 2), torch.stack([maps[:, ::2].sum(1), maps[:, 1::2].sum(1)], 1)
    )


def test_what_a_view_of_a_height_means_if_nothing_is_said():
    "Three views."
    # what a view of a height means if nothing is said: 0.5 in the network's units, a millimetre
    metres = Modality("h", "image", (1, 1, 1), channels=("h",), units="m", mean=(5.0,), std=(10.0,))
    view = SignView(metres)
    assert view.temperature == 0.5
    assert view.tolerance == pytest.approx(1e-4)
    assert view.zero.tolist() == [-0.5]


def test_truths_as_seen_by_each_view(plane_changes_and_change_mods, change_setup, zone_mods):
    "Three views."
    plane, changes, change_mods = plane_changes_and_change_mods
    y = torch.tensor([[[[-0.5 - 0.3, -0.5, torch.nan]]]])
    assert make_view(change_mods["height"], change_mods["semantic"], change_mods, change_setup).classes(
        y
    ).tolist() == [[[1, 0, -1]]]
    view = make_view(change_mods["height"], change_mods["semantic"], change_mods, change_setup)
    assert view.temperature == 0.5
    assert not view.state_dict(), "weights of a run hold nothing that the setup says"
    three = ParentView((2, 0, 1), 3)
    assert three.classes(torch.tensor([-1, 0, 1, 2])).tolist() == [-1, 2, 0, 1]
    assert make_view(zone_mods["type"], zone_mods["zone"], zone_mods, None).classes(
        torch.tensor([0, 1, 2, -1])
    ).tolist() == [0, 0, 1, -1]
    assert make_view(change_mods["pseudo"], change_mods["semantic"], change_mods, None).classes(
        torch.tensor([2, -1])
    ).tolist() == [2, -1]


def test_a_true_change_of_exactly_0_m_is_none_whatever_the_scaling(plane_changes_and_change_mods, change_setup, zone_mods):
    "Three views."
    # a true change of exactly 0 m is none, whatever the scaling; views that make no sense are refused
    plane, changes, change_mods = plane_changes_and_change_mods
    for scaling in (
        range_scaling(*height_ranges["paper"]),
        dict(mean=[0.1], std=[0.3]),
        dict(mean=[1 / 3], std=[7.0]),
    ):
        view = make_view(
            change_mods["height"],
            change_mods["semantic"],
            change_mods,
            change_setup.with_options("height", scaling=scaling),
            tolerance=0.0,
        )
        native = torch.tensor([[[[0.0, 1e-2, -1e-2]]]])
        height = replace(change_mods["height"], mean=tuple(scaling["mean"]), std=tuple(scaling["std"]))
        assert view.classes(height.standardise(native)).tolist() == [[[0, 2, 1]]]
    wind = Modality("wind", "image", (2, *plane), channels=("u", "v"))
    for m, space, match in (
        (
            wind,
            change_mods["semantic"],
            "'wind' is no height: expected an image of one channel, it is image with 2",
        ),
        (change_mods["semantic"], zone_mods["zone"], "neither the same classes nor a hierarchy"),
        (change_mods["height"], zone_mods["zone"], "the label has 2"),
        (zone_mods["zone"], zone_mods["type"], "in which 'type' stands above 'zone'"),
    ):
        with pytest.raises(ValueError, match=match):
            make_view(m, space, zone_mods, change_setup)
    with pytest.raises(ValueError, match="the setup must fix what 0 m is"):
        make_view(
            change_mods["height"],
            change_mods["semantic"],
            change_mods,
            Setup("image", ("semantic", "height")),
        )


def test_tolerance_and_temperature_have_the_units_that_they_say(plane_changes_and_change_mods, change_setup):
    "Three views."
    plane, changes, change_mods = plane_changes_and_change_mods
    view = make_view(
        change_mods["height"], change_mods["semantic"], change_mods, change_setup, 0.2, 0.5
    )
    assert view.temperature == 0.2
    native = torch.tensor([[[[-0.6, 0.4, 0.6]]]])  # metres: half a metre is no change
    assert view.classes((native - 5) / 10).tolist() == [[[1, 0, 2]]]
    torch.testing.assert_close(
        view.scores(torch.tensor([[[[0.5]]]])), sign_scores(torch.tensor([[[1.0]]]), 0.2)
    )
    default = make_view(change_mods["height"], change_mods["semantic"], change_mods, change_setup)
    assert default.tolerance == pytest.approx(1e-4)  # a millimetre of ten metres
    flat = Modality("flat", "tabular", (1,), channels=("x",), units="m")
    with pytest.raises(
        ValueError, match="'flat' is no height: expected an image of one channel, it is t"
    ):
        make_view(flat, change_mods["semantic"], change_mods, change_setup)


def test_distances_by_hand_and_against_scipy():
    "Distances."
    p = torch.tensor([[0.5, 0.5, 0]])
    q = torch.tensor([[0.25, 0.5, 0.25]])
    assert distances["l1"](p, q, 0).item() == 0.5
    assert distances["l2"](p, q, 0).item() == 0.125
    assert distances["cross-entropy"](p, q, 0).item() == pytest.approx(math.log(2)), (
        "the most likely class of q is the second"
    )
    g = torch.Generator().manual_seed(0)
    p, q = (torch.randn(6, 4, 2, generator=g, dtype=torch.float64).softmax(1) for _ in "pq")
    np.testing.assert_allclose(
        distances["kl"](p, q, 0),
        (rel_entr(p.numpy(), q.numpy()) + rel_entr(q.numpy(), p.numpy())).sum(1) / 2,
    )
    mixed = [0.9 * v.numpy() + 0.1 / 4 for v in (p, q)]
    np.testing.assert_allclose(
        distances["kl"](p, q, 0.1), (rel_entr(*mixed) + rel_entr(*mixed[::-1])).sum(1) / 2
    )
    certain = torch.eye(3)[:2]
    assert 5 < distances["kl"](certain, certain.flip(0), 1e-4)[0] < 11
    assert not distances["kl"](certain, certain, 1e-4).any()


def test_the_share_of_undecided_in_each_logarithm_by_hand():
    "Distances."
    p, q = torch.tensor([[1.0, 0, 0]]), torch.tensor([[0.0, 0.4, 0.6]])
    sure = distances["cross-entropy"](p, q, 0.1)  # the third class has 0.1 / 3
    assert sure.item() == pytest.approx(-math.log(0.1 / 3), rel=1e-6)
    right = distances["cross-entropy"](q, p.roll(2), 0.1)
    assert right.item() == pytest.approx(-math.log(0.9 * 0.6 + 0.1 / 3), rel=1e-6)
    assert distances["l1"](p, q, 0.1).item() == pytest.approx(2)
    assert distances["l2"](p, q, 0.1).item() == pytest.approx(1 + 0.16 + 0.36)


def test_three_pixels_by_hand(plane_changes_and_change_mods, change_setup):
    "Where two tasks may be expected to agree."
    plane, changes, change_mods = plane_changes_and_change_mods
    half = 2 / (1 + math.exp(-1)) - 1
    preds = dict(
        height=torch.tensor([[[[0.0, -0.5, -1.0]]]]),
        semantic=100 * torch.eye(3)[:, [2, 0, 2]].reshape(1, 3, 1, 3),
    )
    y = dict(height=torch.tensor([[[[0.0, -0.5, -1.0]]]]), semantic=torch.tensor([[[2, 0, 2]]]))
    relation = Consistency(change_mods, change_setup, ["height", "semantic"])
    assert relation.agreement(y).tolist() == [[[True, True, False]]]
    assert relation(preds, y).item() == pytest.approx((2 * (1 - half) + 0) / 2, rel=1e-5)
    everywhere = Consistency(change_mods, change_setup, ["semantic", "height"], where="everywhere")
    assert everywhere(preds, {}).item() == pytest.approx((2 * (1 - half) + 0 + 2) / 3, rel=1e-5), (
        "the third: (.54, .46, 0) and (0, 0, 1)"
    )
    unlabelled = y | dict(semantic=torch.tensor([[[2, -1, 2]]]))
    assert relation(preds, unlabelled).item() == pytest.approx(2 * (1 - half), rel=1e-5)


def test_two_unknown_truths_do_not_agree_and_where_nothing_can_be_compared(plane_changes_and_change_mods, change_setup):
    "Where two tasks may be expected to agree."
    # two unknown truths do not agree, and where nothing can be compared nothing is paid
    plane, changes, change_mods = plane_changes_and_change_mods
    nobody = dict(height=torch.full((1, 1, 1, 3), torch.nan), semantic=torch.full((1, 1, 3), -1))
    plain = Consistency(change_mods, change_setup, ["height", "semantic"])
    assert not plain.agreement(nobody).any()
    random_preds = dict(height=torch.randn(1, 1, 1, 3), semantic=torch.randn(1, 3, 1, 3))
    assert plain(random_preds, nobody) == 0
    assert (plain.distance, plain.where, plain.floor) == ("l1", "agree", 1e-4)
    assert plain.views[0].temperature == 0.5
    assert plain.views[0].tolerance == pytest.approx(1e-4)
    own = Consistency(change_mods, change_setup, ["height", "semantic"], "kl", floor=0.1, tolerance=2.0)
    assert (own.distance, own.floor, own.views[0].tolerance) == ("kl", 0.1, 0.2)


def test_what_is_refused_by_name(plane_changes_and_change_mods, zone_mods):
    "Where two tasks may be expected to agree."
    plane, changes, change_mods = plane_changes_and_change_mods
    for tasks, options, match in (
        (["semantic"], {}, "relation of 'semantic': expected two targets of the setup, which has sem"),
        ([], {}, "relation of no tasks: expected two targets"),
        (["semantic", "soil"], {}, "relation of 'semantic' and 'soil': expected two targets"),
        (["height", "semantic", "pseudo"], {}, "expected two targets"),
        (["height", "semantic"], dict(distance="l3"), "no distance 'l3'; choose one of l1, l2, kl"),
        (["height", "semantic"], dict(where="here"), "is 'agree' or 'everywhere', got 'here'"),
        (["height", "depth"], {}, "at least one of them must be a label"),
        (["small", "semantic"], {}, r"different grids, \(2, 2\) and \(1, 3\)"),
        (["type", "semantic"], {}, r"different grids, \(\) and \(1, 3\)"),
    ):
        more = dict(
            depth=replace(change_mods["height"], name="depth"),
            small=Modality("small", "mask", (2, 2), classes=changes),
            type=zone_mods["type"],
        )
        roles = Setup("image", ("semantic", "pseudo", "height", "depth", "small", "type"))
        with pytest.raises(ValueError, match=match):
            Consistency(change_mods | more, roles, tasks, **options)


def test_the_hard_threshold_in_the_limit(plane_changes_and_change_mods, change_setup):
    "Where two tasks may be expected to agree."
    plane, changes, change_mods = plane_changes_and_change_mods
    right = torch.tensor([[[[0.0, -0.5, -1.0]]]])
    y = dict(height=torch.tensor([[[[0.0, -0.5, -1.0]]]]), semantic=torch.tensor([[[2, 0, 1]]]))
    classes = 100 * torch.eye(3)[:, [2, 0, 1]].reshape(1, 3, 1, 3)
    for d in distances:
        losses = [
            Consistency(change_mods, change_setup, ["height", "semantic"], distance=d, temperature=t)(
                dict(height=right, semantic=classes), y
            ).item()
            for t in (0.5, 0.1, 0.02, 1e-4)
        ]
        assert losses == sorted(losses, reverse=True) and losses[-1] < 1e-3 < losses[0], d
    wrong = Consistency(change_mods, change_setup, ["height", "semantic"], temperature=1e-4)(
        dict(height=right.flip(-1), semantic=classes), y
    )
    assert wrong.item() == pytest.approx((2 + 0 + 2) / 3)


def test_gradients_against_finite_differences(plane_changes_and_change_mods, change_setup, zone_mods):
    "Where two tasks may be expected to agree."
    plane, changes, change_mods = plane_changes_and_change_mods
    g = torch.Generator().manual_seed(0)


    def random(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64, requires_grad=True)


    def checked(relation, a, b, y):
        return torch.autograd.gradcheck(
            lambda p, q: relation(dict(zip(relation.tasks, (p, q), strict=True)), y), (a, b)
        )


    y = dict(
        height=torch.tensor([[[[0.0, -0.5, -1.0]]]]),
        semantic=torch.tensor([[[2, 0, 1]]]),
        pseudo=torch.tensor([[[2, 1, 1]]]),
        type=torch.tensor([0, 3, -1]),
        zone=torch.tensor([0, 1, 1]),
    )
    for d in ("l1", "l2", "kl"):
        assert checked(
            Consistency(change_mods, change_setup, ["height", "semantic"], d),
            random(1, 1, 1, 3),
            random(1, 3, 1, 3),
            y,
        )
        assert checked(
            Consistency(change_mods, change_setup, ["pseudo", "semantic"], d),
            random(1, 3, 1, 3),
            random(1, 3, 1, 3),
            y,
        )
        assert checked(
            Consistency(zone_mods, Setup("image", ("type", "zone")), ["type", "zone"], d),
            random(3, 4),
            random(3, 2),
            y,
        )
    one_sided = Consistency(change_mods, change_setup, ["pseudo", "semantic"], "cross-entropy")
    a = random(1, 3, 1, 3)
    b = random(1, 3, 1, 3)
    one_sided(dict(pseudo=a, semantic=b), y).backward()
    assert a.grad.any()
    assert b.grad is None


def test_two_samples_by_hand(zone_mods, plane_changes_and_change_mods):
    "A label hierarchy."
    plane, changes, change_mods = plane_changes_and_change_mods
    relation = HierarchyConsistency(zone_mods, Setup("image", ("type", "zone")), ["type", "zone"])
    preds = dict(
        type=torch.tensor([[0.4, 0.3, 0.2, 0.1], [1, 1e-30, 1e-30, 1e-30]]).log(),
        zone=torch.tensor([[0.5, 0.5], [1e-30, 1.0]]).log(),
    )
    assert relation(preds, {}).item() == pytest.approx((0.4 + 2) / 2)
    labelled = HierarchyConsistency(
        zone_mods, Setup("image", ("type", "zone")), ["type", "zone"], where="agree"
    )
    assert labelled(
        preds, dict(type=torch.tensor([0, -1]), zone=torch.tensor([0, 1]))
    ).item() == pytest.approx(0.4), "the second has no type"
    with pytest.raises(ValueError, match="'type' stands above 'zone'"):
        HierarchyConsistency(zone_mods, Setup("image", ("type", "zone")), ["zone", "type"])
    twins = Setup("image", ("semantic", "pseudo"))
    with pytest.raises(ValueError, match="relation of 'semantic' and 'pseudo': no hierarchy"):
        HierarchyConsistency(change_mods, twins, ["semantic", "pseudo"])


def test_the_floor_is_passed_on_and_the_distance(zone_mods):
    "A label hierarchy."
    between = torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    apart = dict(type=torch.tensor([[0.5, 0.3, 0.1, 0.1]] * 2).log(), zone=between.log())
    tree = HierarchyConsistency(
        zone_mods, Setup("image", ("type", "zone")), ["type", "zone"], "kl", floor=0.5
    )
    expected = distances["kl"](torch.tensor([[0.8, 0.2]]), between[:1], 0.5)
    assert tree(apart, {}).item() == pytest.approx(expected.item(), rel=1e-5)
    assert (
        HierarchyConsistency(zone_mods, Setup("image", ("type", "zone")), ["type", "zone"]).floor
        == 1e-4
    )


def test_the_constraint_raises_adherence_where_labels_are_split(adherence):
    "Does it help?"
    tie = dict(type="hierarchy", tasks=["climate", "zone"], distance="kl")
    free, tied = (
        np.array([adherence(seed, *relations) for seed in range(2)]) for relations in ((), (tie,))
    )
    for name, found in (("without", free), ("with", tied)):
        print(
            f"{name:8} adherence {found[:, 0].mean():.0%} (by seed "
            f"{', '.join(f'{v:.0%}' for v in found[:, 0])}), accuracy of climate "
            f"{found[:, 1].mean():.0%}, of zone {found[:, 2].mean():.0%}"
        )
    assert tied[:, 0].mean() > free[:, 0].mean() + 0.05
    assert adherence(0, tie | dict(where="agree")) == free[0].tolist(), (
        "where both truths must agree, there is nothing to compare"
    )
