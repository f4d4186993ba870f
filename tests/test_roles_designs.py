"""Designs of roles

Written by nbdev-export from the check cells of nbs/api/roles/00_designs.ipynb.
Do not edit: change the notebook, then `make export`.
"""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from mtl_explain.roles.designs import (
    every_design, neighbour_design, orthogonal_array, role_contrasts, role_design, role_names, role_setup,
)
from mtl_explain.setup import Setup


@pytest.fixture(scope='module')
def allowed_and_design():
    allowed = dict(height=role_names, rain=role_names, type=("out", "predict"), soil=role_names)
    design = role_design(allowed)
    return allowed, design


def test_the_array_by_hand():
    "The array."
    # the array by hand: with two digits a, b the directions are b, a, a + b and a + 2b
    nine = orthogonal_array(4)
    a, b = np.divmod(np.arange(9), 3)
    assert np.array_equal(nine, np.column_stack([b, a, (a + b) % 3, (a + 2 * b) % 3]))
    pd.DataFrame(nine, columns=["A", "B", "C", "D"])


def test_each_two_columns_meet_in_all_nine_combinations_equally_often():
    "The array."
    for factors, rows in ((1, 3), (2, 9), (4, 9), (5, 27), (13, 27), (14, 81)):
        found = orthogonal_array(factors)
        assert found.shape == (rows, factors)
        for i in range(factors):
            for j in range(i):
                _, counts = np.unique(3 * found[:, i] + found[:, j], return_counts=True)
                assert counts.tolist() == [rows // 9] * 9
    with pytest.raises(ValueError, match="0 factors"):
        orthogonal_array(0)


def test_of_strength_three():
    "The array."
    # of strength three: each three columns meet in all 27 combinations, equally often
    for factors, rows in ((3, 27), (4, 27), (5, 81), (8, 81)):
        found = orthogonal_array(factors, strength=3)
        assert found.shape == (rows, factors)
        for three in combinations(found.T, 3):
            _, counts = np.unique(np.dot([9, 3, 1], three), return_counts=True)
            assert counts.tolist() == [rows // 27] * 27
    with pytest.raises(ValueError, match="strength 4"):
        orthogonal_array(4, 4)


def test_constraints_are_kept_no_setup_is_there_twice_and_small_questions_are(allowed_and_design):
    "From digits to roles."
    # constraints are kept, no setup is there twice, and small questions are asked completely
    allowed, design = allowed_and_design
    assert len(design) == len(set(design.index)) == 9
    assert set(design.type) == {"out", "predict"}
    assert len(role_design(dict(a=role_names))) == 3
    assert len(role_design(dict(a=role_names, b=("out", "predict")))) == 6
    assert len(every_design(allowed)) == 54
    assert set(design.index) < set(every_design(allowed).index)
    assert len(role_design({n: role_names for n in "ABCD"}, strength=3)) == 27
    with pytest.raises(ValueError, match="'a' has no role 'write'"):
        role_design(dict(a=("out", "write")))
    with pytest.raises(ValueError, match="'a' must be allowed to be left out"):
        role_design(dict(a=("read", "predict")))


def test_neighbours_by_hand():
    "Around one setup."
    beside = neighbour_design(
        dict(height="read", type="out"), dict(height=role_names, type=("out", "predict"))
    )
    assert beside.index.tolist() == ["ro", "oo", "po", "rp"]


def test_a_setup_by_hand():
    "A row as a setup."
    # a setup by hand: rain is predicted, height is read, soil has no part
    base = Setup("optical", "cover", training=dict(augment=dict(noise=0.1)))
    roles = dict(height="read", rain="predict", soil="out")
    made = role_setup(base, roles, dict(height=dict(read=dict(width=8))))
    assert made.name == "rpo"
    assert made.inputs == dict(optical={}, height=dict(width=8))
    assert made.weights == dict(cover=0.6, rain=0.4)
    assert made.main == "cover" and made.variant == "MTL"
    assert made.training == base.training
    assert role_setup(base, dict(height="out"), {}).weights == dict(cover=1.0)


def test_in_a_full_array_an_effect_is_the_mean_of_the_setups_in_a_role_less():
    "Effects are weights of setups."
    # in a full array an effect is the mean of the setups in a role less that of those without it
    four = role_design({n: role_names for n in "ABCD"})
    weights = role_contrasts(four)
    for (name, role), row in weights.iterrows():
        by_hand = (four[name] == role) / 3 - (four[name] == "out") / 3
        assert np.allclose(row, by_hand)
    weights.round(2)


def test_what_was_put_into_scores_comes_out_under_constraints_too(allowed_and_design):
    "Effects are weights of setups."
    allowed, design = allowed_and_design
    rng = np.random.default_rng(0)
    truth = {("height", "read"): -2.0, ("type", "predict"): 0.5, ("soil", "predict"): 1.0}
    scores = [
        10 + sum(v for (n, r), v in truth.items() if row[n] == r) for row in design.to_dict("records")
    ]
    found = role_contrasts(design) @ np.array(scores)
    expected = pd.Series(truth).reindex(found.index, fill_value=0.0)
    assert np.allclose(found, expected)
    assert ("type", "read") not in found.index
    star = neighbour_design(design.iloc[3].to_dict(), allowed)
    by_code = star.apply(lambda row: sum(v for (n, r), v in truth.items() if row[n] == r), axis=1)
    again = role_contrasts(star) @ by_code
    assert np.allclose(again, expected.reindex(again.index))
    hidden = pd.DataFrame(dict(a=["out", "read"], b=["out", "read"]), index=["oo", "rr"])
    with pytest.raises(ValueError, match="2 setups cannot tell 2 effects apart"):
        role_contrasts(hidden)
