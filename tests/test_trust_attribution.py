"""Which input carries which task

Written by nbdev-export from the check cells of nbs/api/trust/09_attribution.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from mtl_explain.data.batches import scaled_modalities
from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.learner import multitask_learner
from mtl_explain.trust.attribution import (
    attribution_table, dealt, every, input_attribution, planted_inputs, plot_attribution, read_attribution,
)


@pytest.fixture(scope='module')
def samples_Knows_network_and_z():
    setup = Setup(("rain", "heat"), ("harvest", "frost", "dice"))
    samples = planted_inputs()
    mods = scaled_modalities(samples)
    class Knows(nn.Module):
        "Answers each task with what it was made of."

        def __init__(self, sources):
            super().__init__()
            self.setup = setup
            self.modalities = mods
            self.sources = sources
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, x):
            nothing = 0.0 * x["rain"]
            of = self.sources
            return {
                t: self.scale * x[of[t][0]] * of[t][1] if t in of else nothing for t in setup.targets
            }
    network = Knows(dict(harvest=("rain", 1.0), frost=("heat", -1.0)))
    tested = samples.isel(sample=samples.split.values == "test")
    z = {n: ((tested[n] - mods[n].mean[0]) / mods[n].std[0]).values[:, 0] for n in ("rain", "harvest")}
    return samples, Knows, network, z


@pytest.fixture(scope='module')
def toys_and_learn():
    toys = toy_samples(96, size=8)
    roles = Setup(
        dict(optical=dict(type="unet", width=4, depth=1), zone={}, months=dict(missing=0.2)),
        ("climate", "warmth", "elevation"),
    )
    learn = multitask_learner(toys, roles, seed=0, bs=16, trace=(), device="cpu")
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(6, 1e-2)
    return toys, learn


def test_nobody_keeps_its_own_everybody_gives_to_one():
    "One input is taken away."
    for n in (2, 3, 50):
        circle = dealt(n, np.random.default_rng(n))
        assert sorted(circle) == list(range(n))
        assert not (circle == np.arange(n)).any()
    assert dealt(1, np.random.default_rng(0)).tolist() == [0]


def test_what_was_planted_is_found(samples_Knows_network_and_z):
    "The table."
    # what was planted is found: one input for each of two tasks, none for the third
    samples, Knows, network, z = samples_Knows_network_and_z
    found = input_attribution(network, samples)
    table = attribution_table(found).set_index(["way", "task", "input"])
    for way in ("permuted", "mean"):
        part = table.loc[way]
        assert (part.loc[[("harvest", "rain"), ("frost", "heat")], "low"] > 0.5).all()
        assert (part.loc[[("harvest", "rain"), ("frost", "heat")], "p_holm"] < 0.01).all()
        others = [("harvest", "heat"), ("frost", "rain"), ("dice", "rain"), ("dice", "heat")]
        assert (part.loc[others, "rise"] == 0).all()
        assert (part.loc[others, "p_holm"] == 1).all()
    # the permuted input is as wrong as two strangers are: twice the variance, minus nothing
    assert table.loc[("permuted", "harvest", "rain"), "rise"] == pytest.approx(1.8, abs=0.5)


def test_by_hand(samples_Knows_network_and_z):
    "The table."
    # by hand: mean squared error with the input of somebody else, without a library
    samples, Knows, network, z = samples_Knows_network_and_z
    circles = np.random.default_rng(0)
    rises = []
    for _ in range(5):
        stranger = dealt(len(z["rain"]), circles)
        rises.append((z["rain"][stranger] - z["harvest"]) ** 2 - (z["rain"] - z["harvest"]) ** 2)
    found = input_attribution(network, samples, repeats=5)
    ours = found.loss_rise.sel(way="permuted", input="rain", task="harvest").values
    np.testing.assert_allclose(ours, np.mean(rises, 0), rtol=1e-4, atol=1e-4)


def test_where_no_task_needs_any_input_nothing_is_found_in_95_of_worlds(samples_Knows_network_and_z):
    "The table."
    samples, Knows, network, z = samples_Knows_network_and_z
    none = Knows(dict(harvest=("heat", 0.05), frost=("rain", 0.05)))
    wrong = 0
    for seed in range(60):
        world = planted_inputs(40, 4, seed=seed)
        found = input_attribution(none, world, repeats=1)
        table = attribution_table(found)
        inputs = table[(table.input != every) & (table.way == "permuted")]
        wrong += bool((inputs.p_holm < 0.05).any())
    assert wrong <= 7, wrong  # 3 are expected; more than 7 in 2 % of such counts


def test_integrated_gradients_divide_the_fall_of_the_loss_exactly_and_agree(samples_Knows_network_and_z):
    "The table."
    # integrated gradients divide the fall of the loss exactly, and agree with a sum of ten lines
    samples, Knows, network, z = samples_Knows_network_and_z
    pytest.importorskip("captum")
    found = input_attribution(network, samples, gradients=True)
    falls = found.loss_rise.sel(way="gradients")
    mean = found.loss_rise.sel(way="mean", input=every)
    np.testing.assert_allclose(falls.sel(input=every), mean, atol=1e-4)
    x = torch.as_tensor(z["rain"])
    y = torch.as_tensor(z["harvest"])
    total = torch.zeros_like(x)
    for t in (torch.arange(64) + 0.5) / 64:
        at = (t * x).requires_grad_()
        total += torch.autograd.grad(((at - y) ** 2).sum(), at)[0] / 64
    np.testing.assert_allclose(falls.sel(input="rain", task="harvest"), -x * total, atol=1e-4)
    assert float(abs(falls.sel(task="dice")).max()) == 0


def test_errors_in_units_a_single_input_a_missing_truth_wrong_words(samples_Knows_network_and_z):
    "The table."
    samples, Knows, network, z = samples_Knows_network_and_z
    found = input_attribution(network, samples, repeats=2)
    table = attribution_table(found, "error").set_index(["way", "task", "input"])
    assert table.loc[("mean", "frost", "heat"), "units"] == "d"
    assert table.loc[("mean", "frost", "heat"), "rise"] > 2
    with pytest.raises(ValueError, match="measure is 'r2', expected 'loss' or 'error'"):
        attribution_table(found, "r2")
    with pytest.raises(ValueError, match="'frost' is not among the samples"):
        input_attribution(network, samples.drop_vars("frost"))
    with pytest.raises(ValueError, match="repeats is 0"):
        input_attribution(network, samples, repeats=0)
    with pytest.raises(ValueError, match="no samples of split 'nowhere'"):
        input_attribution(network, samples, "nowhere")


def test_the_sentence_names_what_is_sure_and_says_where_nothing_is(samples_Knows_network_and_z):
    "Read it."
    samples, Knows, network, z = samples_Knows_network_and_z
    planted = attribution_table(input_attribution(network, samples, repeats=1))
    said = read_attribution(planted)
    assert "harvest rests on rain (" in said
    assert "frost rests on heat (" in said
    assert "No input is shown to carry dice." in said
    with pytest.raises(ValueError, match="no way 'shapley' in this table; it has permuted, mean"):
        read_attribution(planted, "shapley")
    ax = plot_attribution(planted, "mean")
    assert [t.get_text() for t in ax.get_yticklabels()] == ["harvest", "frost", "dice"]
    plt.close(ax.figure)


def test_every_kind_of_input_can_be_taken_away_and_a_label_has_no_gradient(toys_and_learn):
    "A network of ours, with every kind of input."
    toys, learn = toys_and_learn
    pytest.importorskip("captum")
    found = input_attribution(learn.model, toys, repeats=1, gradients=True, steps=8)
    assert found.loss_rise.dims == ("way", "input", "sample", "task")
    assert list(found["input"].values) == ["optical", "zone", "months", every]
    by_input = found.loss_rise.mean("sample").sel(way="gradients")
    assert np.isnan(by_input.sel(input="zone")).all()
    assert np.isfinite(by_input.sel(input="optical")).all()
    assert np.isfinite(found.loss_rise.sel(way=["permuted", "mean"])).all()
