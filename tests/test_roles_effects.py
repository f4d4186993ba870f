"""Effects of roles

Written by nbdev-export from the check cells of nbs/api/roles/01_effects.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from mtl_explain.roles.designs import role_design, role_names
from mtl_explain.roles.effects import (
    TrainingNoise, additivity, choose_roles, plot_role_effects, role_effects, training_noise,
)


@pytest.fixture(scope='module')
def made_up_truth_errors_and_design():
    def made_up(
        truth, seed, regions=15, seeds=2, spread=(0.4, 0.15, 0.1, 0.5), strength=2, unequal=False
    ):
        "Errors (setup, seed, sample) of an array of four modalities, and their design."
        rng = np.random.default_rng(seed)
        four = ("height", "rain", "soil", "type")
        design = role_design({n: role_names for n in four}, strength)
        sizes = rng.permutation(np.geomspace(2, 40, regions).astype(int)) if unequal else [8] * regions
        group = np.repeat(np.arange(regions), sizes)
        n = len(group)
        of_roles = [
            sum(v for (m, r), v in truth.items() if row[m] == r) for _, row in design.iterrows()
        ]
        everybody, own, training, noise = spread
        errors = 5 + np.array(of_roles)[:, None, None]
        errors = errors + rng.normal(0, everybody, regions)[group]
        size = (len(design), seeds)
        errors = errors + rng.normal(0, own, (len(design), 1, regions))[:, :, group]
        errors = errors + rng.normal(0, training, (*size, 1)) + rng.normal(0, noise, (*size, n))
        coords = dict(setup=design.index.values, seed=np.arange(seeds), group=("sample", group))
        return xr.DataArray(errors, dims=("setup", "seed", "sample"), coords=coords), design
    truth = {("height", "read"): -0.6, ("rain", "predict"): -0.5, ("soil", "read"): 0.6}
    errors, design = made_up(truth, 0)
    return made_up, truth, errors, design


@pytest.fixture(scope='module')
def in_many_worlds(made_up_truth_errors_and_design):
    made_up, truth, errors, design = made_up_truth_errors_and_design
    def in_many_worlds(truth, worlds, **options):
        "Share of intervals that hold the truth, and of worlds in which a role without effect is seen."
        held, wrong = [], []
        for seed in range(worlds):
            table = role_effects(*made_up(truth, 100 + seed, **options))
            asked = list(zip(table.modality, table.role, strict=True))
            planted = np.array([truth.get(a, 0.0) for a in asked])
            held.append((table.low < planted) & (planted < table.high))
            wrong.append(((planted == 0) & (table.p_holm < 0.05)).any())
        return np.mean(held), np.mean(wrong)
    return in_many_worlds


def test_the_noise_of_trainings_by_hand_and_in_a_world_where_it_is_known():
    "What seeds do."
    assert training_noise(np.array([[1.0, 2.0], [2.0, 5.0]])) == TrainingNoise(1.0, 1)
    rng = np.random.default_rng(1)
    many = 3 + rng.normal(0, 1, (400, 1)) + rng.normal(0, 0.2, (400, 3)) + np.array([0, 5, 9])
    assert abs(training_noise(many).variance - 0.04) < 0.004
    with pytest.raises(ValueError, match="nothing about noise: train more seeds"):
        training_noise(many[:, :1])
    line = np.arange(400.0)[:, None]
    assert abs(training_noise(3 * line + rng.normal(0, 0.2, (400, 1)), line).variance - 0.04) < 0.008


def test_what_was_planted_is_seen_with_its_sign(made_up_truth_errors_and_design):
    "The effects."
    # what was planted is seen, with its sign; the rest is not
    made_up, truth, errors, design = made_up_truth_errors_and_design
    found = role_effects(errors, design)
    said = found.set_index(["modality", "role"]).verdict
    assert said["height", "read"] == said["rain", "predict"] == "seen"
    assert said["soil", "read"] == "opposite seen"
    assert not said.drop(list(truth)).isin(["seen", "opposite seen"]).any()
    planted = pd.Series(truth).reindex(said.index, fill_value=0.0).values
    assert ((found.low < planted) & (planted < found.high)).all()
    found[["modality", "role", "estimate", "low", "high", "p_holm", "verdict"]].round(3)


def test_intervals_hold_and_where_there_is_nothing_nothing_is_seen(in_many_worlds):
    "Do the intervals hold?"
    for spread in ((0.4, 0.15, 0.1, 0.5), (0.4, 0.05, 0.4, 0.5), (0.4, 0.6, 0.02, 0.5)):
        held, wrong = in_many_worlds({}, 60, spread=spread)
        assert held > 0.93
        assert wrong <= 0.1
    for options in (dict(strength=3, seeds=1), dict(unequal=True)):
        held, wrong = in_many_worlds({}, 60, **options)
        assert held > 0.93
        assert wrong <= 0.1


def test_two_modalities_that_tell_the_same_do_not_add_up(made_up_truth_errors_and_design):
    "Do effects add?"
    # two modalities that tell the same do not add up; independent ones do; a full array cannot say
    made_up, truth, errors, design = made_up_truth_errors_and_design
    def pair(together, seed):
        rng = np.random.default_rng(seed)
        design = role_design(dict(a=("out", "read"), b=role_names))
        read = (design == "read").to_numpy()
        score = 5 - 1.0 * read.sum(1) + together * read.all(1)
        errors = score[:, None, None] + rng.normal(0, 0.05, (6, 3, 1)) + np.zeros((6, 3, 40))
        return xr.DataArray(
            errors, dims=("setup", "seed", "sample"), coords=dict(setup=design.index)
        ), design


    assert additivity(*pair(0.9, 0)).p < 0.001
    assert np.mean([additivity(*pair(0, s)).p < 0.05 for s in range(100)]) <= 0.1
    assert "not tested" in str(additivity(errors, design))
    print(additivity(*pair(0.9, 0)), additivity(*pair(0.0, 0)), additivity(errors, design), sep="\n")


def test_the_rule_on_planted_effects(made_up_truth_errors_and_design):
    "Which role, then?"
    # the rule on planted effects; reading must pay for itself
    made_up, truth, errors, design = made_up_truth_errors_and_design
    chosen = choose_roles(errors, design)
    assert chosen.role.to_dict() == dict(height="read", rain="predict", soil="out", type="out")
    dear = choose_roles(errors, design, costs=dict(height=0.6))
    assert dear.role["height"] == "out"
    both, same = made_up({("rain", "read"): -0.6, ("rain", "predict"): -0.6}, 3)
    assert choose_roles(both, same).role["rain"] == "predict"
    both, same = made_up({("rain", "read"): -1.5, ("rain", "predict"): -0.6}, 3)
    assert choose_roles(both, same).role["rain"] == "read"
    with pytest.raises(ValueError, match="costs name 'sun'"):
        choose_roles(errors, design, costs=dict(sun=1))


def test_a_picture_has_a_row_per_modality_and_says_its_units(made_up_truth_errors_and_design):
    "A picture of the effects."
    made_up, truth, errors, design = made_up_truth_errors_and_design
    shown = role_effects(errors, design)
    ax = plot_role_effects(shown, shown.assign(estimate=shown.estimate / 2), "t/ha")
    assert [t.get_text() for t in ax.get_yticklabels()] == list(design)
    assert "[t/ha]" in ax.get_xlabel()
