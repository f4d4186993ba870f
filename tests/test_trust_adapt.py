"""Adapting with what is free

Written by nbdev-export from the check cells of nbs/api/trust/07_adapt.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from scipy.stats import binom
from torch.testing import assert_close

from mtl_explain.data.free_labels import without_labels
from mtl_explain.data.samples import modality_array
from mtl_explain.setup import Setup
from mtl_explain.training.learner import multitask_learner, predict_samples
from mtl_explain.trust.adapt import adapt, adapt_regions, label_entropy, learn_rule, sample_task_errors, ways


def of_region(samples, name):
    return samples.isel(sample=samples.group.values == name)
def regions_of(samples, split="test"):
    return np.unique(samples.group.values[samples.split.values == split])
def error_by_way(samples, network, **options):
    "Mean error of the state over the test regions."
    parts = [of_region(samples, r) for r in regions_of(samples)]
    return pd.Series(
        {
            way: np.mean(
                [
                    sample_task_errors(adapt(network, p, way=way, **options), p, "state").mean()
                    for p in parts
                ]
            )
            for way in ways
        }
    )


@pytest.fixture(scope='module')
def trained_network_planted_regions_worlds_and_networks():
    shared = Setup(
        inputs=dict(signal=dict(type="mlp", batchnorm=True)), targets=("state", "terrain"), main="state"
    )
    def trained_network(samples, setup=shared):
        "A small network, trained for a second or two."
        learn = multitask_learner(samples, setup, bs=32, lr=1e-2, trace=(), device="cpu")
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(15)
        return learn.model.eval()
    def planted_regions(
        kind,  # 'shifted' or 'turned'
        regions=(12, 12, 12),  # in training, validation, test
        n=24,  # samples a region; or the least and the most
        seed=0,
    ):
        "A sample set in which adapting helps, or harms."
        rng = np.random.default_rng(seed)
        n_regions = sum(regions)
        new = np.arange(n_regions) >= regions[0]
        sizes = np.exp(rng.uniform(*np.log(n), n_regions)).astype(int) if np.ndim(n) else n
        region = np.repeat(np.arange(n_regions), sizes)
        hidden = rng.normal(size=(len(region), 2))
        mixing = rng.normal(size=(2, 6))
        far = rng.choice([0.2, 2], n_regions) if kind == "shifted" else np.zeros(n_regions)
        offset = rng.normal(size=(n_regions, 6)) * np.where(new, far, 0.3)[:, None]
        signal = hidden @ mixing + offset[region] + 0.1 * rng.normal(size=(len(region), 6))
        angle = np.where(new & (kind == "turned"), rng.uniform(-2.5, 2.5, n_regions), 0)[region]
        a, b = hidden.T
        terrain = np.stack(
            [np.cos(angle) * a - np.sin(angle) * b, np.sin(angle) * a + np.cos(angle) * b], 1
        )
        state = 2 * (a > 0) + (b > 0)
        arrays = dict(
            signal=modality_array("signal", signal.astype("float32"), "tabular"),
            terrain=modality_array("terrain", terrain.astype("float32"), "tabular"),
            state=modality_array("state", state.astype("int8"), "category", classes=list("abcd")),
        )
        coords = dict(
            sample=[f"s{i:03d}" for i in range(len(region))],
            split=("sample", np.repeat(["train", "valid", "test"], regions)[region]),
            group=("sample", [f"region {r:02d}" for r in region]),
        )
        return xr.Dataset(arrays, coords)
    worlds = {kind: planted_regions(kind) for kind in ("shifted", "turned")}
    networks = {
        (kind, name): trained_network(samples, setup)
        for kind, samples in worlds.items()
        for name, setup in dict(shared=shared, separate=shared.separate()).items()
    }
    return trained_network, planted_regions, worlds, networks


@pytest.fixture(scope='module')
def network(trained_network_planted_regions_worlds_and_networks):
    trained_network, planted_regions, worlds, networks = trained_network_planted_regions_worlds_and_networks
    return networks["shifted", "shared"]


@pytest.fixture(scope='module')
def samples_and_part(trained_network_planted_regions_worlds_and_networks):
    trained_network, planted_regions, worlds, networks = trained_network_planted_regions_worlds_and_networks
    samples = worlds["shifted"]
    part = of_region(samples, regions_of(samples)[0])
    return samples, part


def test_entropy_by_hand_for_an_even_and_a_sure_prediction():
    "Ways to adapt."
    class TwoClasses:
        setup = Setup(dict(signal={}), ("state",))


    even = dict(state=torch.zeros(3, 2))
    assert_close(label_entropy(even, {}, TwoClasses, ()), torch.tensor(np.log(2), dtype=torch.float32))
    sure = dict(state=torch.tensor([[30.0, -30.0]]))
    assert label_entropy(sure, {}, TwoClasses, ()) < 1e-6


def test_where_it_must_help_it_does_and_more_than_what_needs_no_label(trained_network_planted_regions_worlds_and_networks):
    "A world in which it must help, and one in which it must harm."
    # where it must help, it does, and more than what needs no label; where it must harm, it harms
    trained_network, planted_regions, worlds, networks = trained_network_planted_regions_worlds_and_networks
    errors = pd.DataFrame({key: error_by_way(worlds[key[0]], net) for key, net in networks.items()})
    shifted = errors["shifted", "shared"]
    assert shifted["auxiliary, statistics"] < 0.5 * shifted["statistics"] < 0.5 * shifted["nothing"]
    turned = errors["turned", "shared"]
    assert turned["auxiliary"] > turned["nothing"] + 0.05


def test_the_control(trained_network_planted_regions_worlds_and_networks):
    "A world in which it must help, and one in which it must harm."
    # the control: tasks that share nothing cannot be corrected by one another
    trained_network, planted_regions, worlds, networks = trained_network_planted_regions_worlds_and_networks
    for kind in worlds:
        alone = error_by_way(worlds[kind], networks[kind, "separate"])
        assert alone["auxiliary"] == alone["nothing"]
        assert alone["auxiliary, statistics"] == alone["statistics"]


def test_the_network_stays_as_it_was_and_only_what_a_way_says_is_moved(network, samples_and_part):
    "A world in which it must help, and one in which it must harm."
    samples, part = samples_and_part
    before = {k: v.clone() for k, v in network.state_dict().items()}
    same = adapt(network, part, way="nothing")
    for way in ways:
        changed = adapt(network, part, way=way).state_dict()
        moved = {k for k, v in changed.items() if not torch.equal(v, before[k])}
        assert not any(k.startswith("heads") for k in moved)
        assert bool(moved) == (way != "nothing")
        if way in ("statistics", "auxiliary"):
            assert all(("running" in k or "batches" in k) == (way == "statistics") for k in moved)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert predict_samples(same, part).identical(predict_samples(network, part))


def test_the_same_seed_gives_the_same_network_with_and_without_labels_of_the(network, samples_and_part):
    "A world in which it must help, and one in which it must harm."
    # the same seed gives the same network, with and without labels of the main task
    samples, part = samples_and_part
    one = adapt(network, part)
    hidden = part.assign(state=without_labels(part["state"]))
    for region in (part, hidden, part.drop_vars("state")):
        other = adapt(network, region)
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_what_cannot_be_done_says_so(network, samples_and_part):
    "A world in which it must help, and one in which it must harm."
    samples, part = samples_and_part
    for text, wrong in {
        "main task": dict(tasks=("state",)),
        "no auxiliary task": dict(tasks=("rain",)),
        "one of nothing, statistics": dict(way="magic"),
    }.items():
        with pytest.raises(ValueError, match=text):
            adapt(network, part, **wrong)
    with pytest.raises(ValueError, match="no 'terrain'"):
        adapt(network, part.drop_vars("terrain"))
    with pytest.raises(ValueError, match="single sample"):
        adapt(network, part.isel(sample=[0]))


def test_a_batch_more_for_one_sample_is_none(samples_and_part, network):
    "A world in which it must help, and one in which it must harm."
    # a batch more for one sample is none; and the statistics are those of all samples alike
    samples, part = samples_and_part
    one_more = samples.isel(sample=slice(0, 65))
    moved = adapt(network, one_more, way="statistics", bs=64)
    once = adapt(network, one_more, way="statistics", bs=65)
    norm = next(k for k in moved.state_dict() if k.endswith("running_mean"))
    assert_close(moved.state_dict()[norm], once.state_dict()[norm], rtol=0.05, atol=0.01)


def test_by_hand():
    "A rule when not to."
    # by hand: gains where the loss is high; from there on, and not below
    rows = pd.DataFrame(dict(loss=[1.0, 2, 3, 4, 5, 6], gain=[-2.0, -1, 1, 1, 1, 1]))
    rule = learn_rule(rows, ("terrain",))
    assert rule.threshold == 3
    assert rule.says(3.5) and not rule.says(2.9)
    # region 3 left out, the others say: from 4 on; so it gains nothing
    assert rule.gain == 3 / 6
    assert "loss is 3 or more" in repr(rule)
    never = learn_rule(rows.assign(gain=-rows.gain.abs()))
    assert np.isinf(never.threshold) and "never" in repr(never)
    with pytest.raises(ValueError, match="three regions"):
        learn_rule(rows.iloc[:2])


def test_worth_nothing():
    "A rule when not to."
    # worth nothing: the rule says so in about 95 of 100 worlds; where it helps, it sees it
    def planted_gains(kind, n, rng):
        "Loss and gain of n regions."
        loss = rng.lognormal(0, 0.5, n)
        noise = 0.05 * rng.normal(size=n)
        gain = dict(nothing=0 * loss, harm=0 * loss - 0.03, high=np.where(loss > 1, 0.1, -0.05))[kind]
        return pd.DataFrame(dict(loss=loss, gain=gain + noise))


    rng = np.random.default_rng(0)
    for n in (6, 14, 27):
        used = {
            kind: np.mean(
                [np.isfinite(learn_rule(planted_gains(kind, n, rng)).threshold) for _ in range(300)]
            )
            for kind in ("nothing", "harm", "high")
        }
        assert used["nothing"] < 0.1 and used["harm"] < 0.02, used
        assert n < 14 or used["high"] > 0.8, used


def test_regions_of_5_to_200_samples():
    "A rule when not to."
    # regions of 5 to 200 samples: as seldom wrong as with equal ones, in both directions
    def unequal_gains(kind, n, rng):
        "Loss and gain of n regions, both as noisy as their few samples make them."
        size = np.exp(rng.uniform(np.log(5), np.log(200), n))
        loss = np.exp(rng.normal(0, 0.2 + 1.5 / np.sqrt(size)))
        gain = dict(nothing=0 * loss, harm=0 * loss - 0.03, high=np.where(loss > 1, 0.1, -0.05))[kind]
        return pd.DataFrame(dict(loss=loss, gain=gain + 0.5 * rng.normal(size=n) / np.sqrt(size)))


    rng = np.random.default_rng(1)
    n_worlds = 400
    chance = binom.ppf(0.99, n_worlds, 0.05) / n_worlds  # of a rule that is wrong in 5 of 100
    rows = {}
    for n in (6, 14, 27, 50):
        rows[n] = {
            kind: np.mean(
                [
                    np.isfinite(learn_rule(unequal_gains(kind, n, rng)).threshold)
                    for _ in range(n_worlds)
                ]
            )
            for kind in ("nothing", "harm", "high")
        }
    table = pd.DataFrame(rows).T.rename_axis("regions").add_prefix("adapts where: ")
    assert (table["adapts where: nothing"] <= chance).all()
    assert (table["adapts where: harm"] < 0.02).all()
    assert table["adapts where: high"].is_monotonic_increasing and rows[50]["high"] > 0.9
    table.round(3)


def test_what_is_too_small_is_left_as_it_is_and_said(samples_and_part, network):
    "Many regions."
    # what is too small is left as it is, and said; a world without regions is refused
    samples, part = samples_and_part
    few = samples.isel(sample=np.flatnonzero(samples.split.values == "valid")[:29])
    table = adapt_regions(network, few)
    assert table.n.tolist() == [24, 5]
    assert table.adapted.tolist() == [True, False]
    assert table.gain.iloc[1] == 0 != table.gain.iloc[0]
    with pytest.raises(ValueError, match="no coordinate `group`"):
        adapt_regions(network, few.drop_vars("group"))
    with pytest.raises(ValueError, match="no samples of the split 'test'"):
        adapt_regions(network, few, "test")


def test_the_rule_of_validation_regions_keeps_most_of_the_help_on_test_regions(trained_network_planted_regions_worlds_and_networks):
    "Many regions."
    # the rule of validation regions keeps most of the help on test regions, and forbids the harm
    trained_network, planted_regions, worlds, networks = trained_network_planted_regions_worlds_and_networks
    for kind, net in networks.items():
        if kind[1] == "separate":
            continue
        world = worlds[kind[0]]
        learnt = learn_rule(adapt_regions(net, world), ("terrain",))
        table = adapt_regions(net, world, "test")
        kept = table.gain.where([learnt.says(v) for v in table.loss], 0)
        if kind[0] == "shifted":
            assert np.isfinite(learnt.threshold)
            assert kept.sum() > 0.8 * table.gain.sum() > 0
        else:
            assert np.isinf(learnt.threshold)
            region = of_region(world, table.index[0])
            left = adapt(net, region, rule=learnt)
            assert predict_samples(left, region).identical(predict_samples(net, region))


def test_unequal_regions(trained_network_planted_regions_worlds_and_networks):
    "Many regions."
    # unequal regions: the help is kept, and the harm forbidden
    trained_network, planted_regions, worlds, networks = trained_network_planted_regions_worlds_and_networks
    for kind in ("shifted", "turned"):
        world = planted_regions(kind, (12, 20, 20), (5, 200), seed=3)
        net = trained_network(world)
        learnt = learn_rule(adapt_regions(net, world), ("terrain",))
        table = adapt_regions(net, world, "test")
        assert table.n.max() > 10 * table.n.min()
        gain = table.gain.where([learnt.says(v) for v in table.loss], 0)
        print(f"{kind}: {learnt}; on test regions {gain.mean():+.3f}, always {table.gain.mean():+.3f}")
        if kind == "shifted":
            assert gain.sum() > 0.8 * table.gain.sum() > 0
        else:
            assert np.isinf(learnt.threshold) and table.gain.mean() < 0
