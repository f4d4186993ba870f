"""Backing off

Written by nbdev-export from the check cells of nbs/api/trust/01_backoff.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest

from mtl_explain.modality import Modality
from mtl_explain.trust.backoff import (
    answered_level, climb, climb_heads, climbed, information_kept, label_levels, leaf_counts, levels_answered,
    planted_tree, plot_levels,
)


@pytest.fixture(scope='module')
def mods_and_levels():
    mods = dict(
        tree=Modality(
            "tree", "category", classes=("spruce", "fir", "oak"), parent="leaf", parent_index=(0, 0, 1)
        ),
        leaf=Modality("leaf", "category", classes=("needle", "broad")),
    )
    levels = label_levels(mods, "tree")
    return mods, levels


@pytest.fixture(scope='module')
def p_labels_and_sure(mods_and_levels):
    mods, levels = mods_and_levels
    p = np.array([[0.5, 0.45, 0.05], [0.1, 0.1, 0.8], [0.4, 0.2, 0.4]])
    labels, sure = climb(p, levels)
    return p, labels, sure


def test_three_trees_in_two_kinds(mods_and_levels):
    "Levels of a label."
    # three trees in two kinds; a parent that is not at hand still has its numbers
    mods, levels = mods_and_levels
    assert [v.name for v in levels] == ["tree", "leaf"]
    assert levels[1].index.tolist() == [0, 0, 1]
    assert leaf_counts(levels).tolist() == [[1, 2], [1, 2], [1, 1]]
    alone = label_levels(dict(tree=mods["tree"]), "tree")
    assert alone[1].classes == ("0", "1")


def test_by_hand(p_labels_and_sure, mods_and_levels):
    "Climbing."
    # by hand: spruce or fir, but surely a needle tree; an oak at once; and nobody knows
    p, labels, sure = p_labels_and_sure
    mods, levels = mods_and_levels
    assert labels.tolist() == [[0, 0], [2, 1], [0, 0]]
    np.testing.assert_allclose(sure, [[0.5, 0.95], [0.8, 0.8], [0.4, 0.6]])
    assert answered_level(sure, [0.3, 0.7]).tolist() == [[0, 1], [0, 0], [0, 2]]
    heads = [p, np.array([[0.9, 0.1], [0.3, 0.7], [0.2, 0.8]])]
    np.testing.assert_allclose(climb_heads(heads, levels)[1], [[0.5, 0.9], [0.8, 0.7], [0.4, 0.2]])


def test_confidence_grows_on_the_way_up_whatever_the_probabilities(mods_and_levels):
    "Climbing."
    mods, levels = mods_and_levels
    rng = np.random.default_rng(0)
    random = rng.dirichlet(np.ones(3), 200)
    assert (np.diff(climb(random, levels)[1], axis=1) >= -1e-9).all()


def test_two_of_three_classes_open(p_labels_and_sure, mods_and_levels):
    "Climbing."
    p, labels, sure = p_labels_and_sure
    mods, levels = mods_and_levels
    level = answered_level(sure, [0.3, 0.7])
    kept = information_kept(level, p.argmax(1), levels)
    np.testing.assert_allclose(kept, [[1, 1 - np.log(2) / np.log(3)], [1, 1], [1, 0]])


def test_with_a_tree_that_means_something_climbing_keeps_more_at_the_same_risk():
    "Of a trace."
    # with a tree that means something, climbing keeps more at the same risk; by lot it does not
    gains = {}
    for related in (True, False):
        table = levels_answered(*planted_tree(60, related=related))
        climbing = np.interp(0.1, table["undetected"][::-1], table["kept"][::-1])
        plain = np.interp(0.1, table["plain_undetected"][::-1], table["plain_kept"][::-1])
        gains[related] = climbing - plain
        assert (np.diff(table["undetected"]) <= 1e-12).all()
        np.testing.assert_allclose(table[["kind", "family", "order", "ask"]].sum(axis=1), 1)
    print({("meaningful" if k else "by lot"): round(v, 2) for k, v in gains.items()})
    assert gains[True] > 0.1
    assert gains[False] < 0.05


def test_the_meaningful_tree():
    "Of a trace."
    ax = plot_levels(levels_answered(*planted_tree()))
    assert len(ax.collections) == 4


def test_what_cannot_back_off_in_a_line():
    "Of a trace."
    trace, planted_mods = planted_tree(4)
    for task, match in (("order", "'order' cannot back off"), ("soil", "'soil' cannot back off")):
        with pytest.raises(ValueError, match=match):
            climbed(trace, planted_mods, task)
    with pytest.raises(ValueError, match="does not keep the probabilities of 'kind'"):
        climbed(trace.drop_vars("probability_kind"), planted_mods)
