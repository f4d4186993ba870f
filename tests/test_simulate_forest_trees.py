"""Simulated trees

Written by nbdev-export from the check cells of nbs/api/simulate/forest/00_trees.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree

from mtl_explain.datasets.treesat_labels import genera, species
from mtl_explain.simulate.forest.trees import (
    age_table, archive, canopy, draw_parts, draw_places, draw_plots, draw_shares, draw_species, extent,
    grow_stands, growth, habits, plant_trees, random_field, species_share, stand_map,
)


def test_the_counts_are_of_one_archive():
    "What the archive looks like."
    assert sum(archive["genus"].values()) == 50_381
    assert sum(archive["source"].values()) == 50_381
    assert sum(archive["genera_in_patch"]) == 50_381
    assert sum(archive["age"]) == 50_381
    assert set(archive["genus"]) == set(genera) == set(archive["mean_age"]) | {"Cleared"}


def test_ages_meet_both_margins():
    "What the archive looks like."
    table = age_table()
    assert np.allclose(table.sum(axis=1), 1)
    means = table @ np.arange(12)
    assert all(abs(means[g] - m) < 1e-6 for g, m in archive["mean_age"].items())
    assert means["Cleared"] == 0
    together = table.mul(pd.Series(archive["genus"]), axis=0).sum()
    assert np.abs(together - archive["age"]).max() < 0.007 * 50_381
    table.round(2)


def test_shares_of_20_000_patches_are_like_those_of_the_archive():
    "What the archive looks like."
    rng = np.random.default_rng(0)
    shares = [draw_shares(rng) for _ in range(20_000)]
    largest = np.array([max(s) for s in shares])
    found = dict(
        largest_median=np.median(largest),
        largest_above_99=(largest > 0.99).mean(),
        name_not_largest=np.mean([s[0] < max(s) for s in shares]),
    )
    assert all(abs(found[k] - archive[k]) < 0.015 for k in found)
    assert min(min(s) for s in shares) > 0
    assert all(sum(s) < 1 + 1e-9 for s in shares)
    pd.DataFrame(dict(archive={k: archive[k] for k in found}, simulated=found)).round(3)


def test_the_shares_of_the_species_of_a_genus_sum_to_1():
    "What the archive looks like."
    shares = pd.Series({n: species_share.get(n, 1.0) for n in species})
    genus = {n: s.genus for n, s in species.items()}
    assert np.allclose(shares.groupby(genus).sum(), 1)
    assert draw_species("Abies", np.random.default_rng(0)) == "Abies alba"


def test_partners_are_other_genera_their_ages_are_near_that_of_the_main_stand():
    "What the archive looks like."
    ages = {g: p.to_numpy() for g, p in age_table().iterrows()}
    rng = np.random.default_rng(1)
    drawn = [draw_parts("Fagus", ages, rng) for _ in range(600)]
    for parts in drawn:
        assert len({species[n].genus for n, _, _ in parts}) == len(parts)
        assert parts[0][0] == "Fagus sylvatica"
    mixed = [parts[:2] for parts in drawn if len(parts) > 1 and parts[1][0] != "Cleared"]
    main = np.array([first[1] for first, _ in mixed])
    second = np.array([second[1] for _, second in mixed])
    assert np.corrcoef(main, second)[0, 1] > 0.3
    assert abs(main.mean() - archive["mean_age"]["Fagus"]) < 0.5


def test_plots_are_clustered_on_a_lattice_of_60_m_none_twice():
    "What the archive looks like."
    places = draw_places(200, np.random.default_rng(0))
    near = cKDTree(places[["x", "y"]]).query(places[["x", "y"]], k=2)[0][:, 1]
    assert near.min() >= 60
    assert np.median(near) < 1500
    assert (places[["x", "y"]] % 60 == 0).all().all()
    assert places.x.between(380e3, 640e3).all()
    assert places.y.between(5_710e3, 5_940e3).all()


def test_plots_are_unique_a_tenth_is_for_testing_the_same_seed_gives_the_same():
    "What the archive looks like."
    # plots are unique, a tenth is for testing, the same seed gives the same plots
    plots = draw_plots(500)
    assert plots.file.is_unique
    assert not plots[["x", "y"]].duplicated().any()
    assert (plots.split == "test").sum() == 50
    assert plots.equals(draw_plots(500))
    assert not plots.equals(draw_plots(500, seed=1))
    for parts in plots.parts:
        assert abs(sum(share for _, _, share in parts) - 1) < 0.21
        assert len({species[name].genus for name, _, _ in parts}) == len(parts)
    with pytest.raises(ValueError, match="2 plots cannot be divided"):
        draw_plots(2)
    plots.head(3)


def test_trees_grow_and_beech_gets_wider_than_spruce():
    "From stands to trees."
    assert set(habits) == set(species)
    crowns = {}
    for name in ("Fagus sylvatica", "Picea abies", "Populus spec."):
        sizes = np.array([growth(name, age) for age in range(12)])
        assert (np.diff(sizes, axis=0) >= 0).all()
        crowns[name] = sizes[:, 0]
    crowns = pd.DataFrame(crowns)
    assert crowns["Fagus sylvatica"][11] > 1.7 * crowns["Picea abies"][11]
    ax = crowns.plot(color=["#0173b2", "#de8f05", "#029e73"], figsize=(5, 2.4))
    ax.set(xlabel="age class [20 years]", ylabel="crown width [m]", title="crowns grow with age")


def test_neighbours_are_alike_at_the_scale_of_the_grain_and_along_the_streaks():
    "From stands to trees."
    # neighbours are alike at the scale of the grain and along the streaks, and only there
    fine, coarse = (random_field(128, g, np.random.default_rng(0)) for g in (0.3, 6))
    lines = random_field(128, 1, np.random.default_rng(0), stretch=8)


    def neighbour(f, step):
        return np.corrcoef(f[:, step:].ravel(), f[:, :-step].ravel())[0, 1]


    assert neighbour(lines, 4) > 0.7 > 0.2 > abs(neighbour(lines.T, 4))
    # a field blurred by s has the correlation exp(-d² / 4s²)
    assert np.isclose(neighbour(coarse, 6), np.exp(-1 / 4), atol=0.1)
    assert 0.3 > neighbour(fine, 3)
    assert np.isclose(coarse.std(), 1, atol=1e-3)
    assert abs(coarse.mean()) < 1e-3


def test_fractions_are_met_to_the_pixel_the_rest_is_road():
    "From stands to trees."
    stands = stand_map([0.5, 0.3, 0.1], 100, np.random.default_rng(1))
    assert [(stands == k).sum() for k in (0, 1, 2, -1)] == [5000, 3000, 1000, 1000]
    assert (stand_map([1.0], 30, np.random.default_rng(0)) == 0).all()
    look = dict(cmap="cividis", vmin=-1, vmax=2, interpolation="nearest")
    fig, axes = plt.subplots(1, 4, figsize=(7, 1.9), dpi=70)
    for i, ax in enumerate(axes):
        shares = [0.5, 0.3, 0.1] if i < 2 else [0.7, 0.3]
        ax.imshow(stand_map(shares, 100, np.random.default_rng(i + 1)), **look)
        ax.set(xticks=[], yticks=[], xlabel="60.8 m")
    fig.suptitle("maps of stands: straight edges, groups of trees, a road (dark)", fontsize=10)


def test_old_beech_is_wide_tall_and_sparse():
    "From stands to trees."
    # old beech is wide, tall and sparse; young spruce is narrow, low, dense and in rows
    rng = np.random.default_rng(0)
    beech = plant_trees("Fagus sylvatica", 7, rng)
    spruce = plant_trees("Picea abies", 1, rng)
    assert beech.radius.median() > 4 > 1 > spruce.radius.median()
    assert beech.height.median() > 25 > 8 > spruce.height.median()
    assert len(spruce) > 20 * len(beech)
    places = spruce[["x", "y"]]
    distance = cKDTree(places).query(places, k=2)[0][:, 1]
    assert distance.std() / distance.mean() < 0.2
    assert len(plant_trees("Cleared", 0, rng)) < 0.15 * len(plant_trees("Quercus robur", 5, rng))


def test_every_tree_stands_in_its_own_stand_none_on_the_road():
    "From stands to trees."
    parts = [("Picea abies", 4, 0.6), ("Fagus sylvatica", 6, 0.3)]
    stands, trees = grow_stands(parts, 76, np.random.default_rng(0))
    inside = trees[trees.x.between(0, extent) & trees.y.between(0, extent)]
    row = (inside.y * 76 / extent).astype(int)
    col = (inside.x * 76 / extent).astype(int)
    assert (stands[row, col] == inside.part).all()
    assert set(trees.part) == {0, 1}


def test_one_cone_worked_by_hand():
    "The canopy."
    one = pd.DataFrame(
        dict(
            x=[30.4],
            y=[30.4],
            radius=[5.0],
            height=[20.0],
            form=[1.0],
            depth=[0.5],
            lobes=[6],
            ragged=[0.0],
            phase=[0.0],
        )
    )
    z, tree = canopy(one, 304)
    assert abs(z.max() - 20) < 0.3
    assert abs(z[152, 152 + 12] - 20 * (1 - 0.5 * 2.5 / 5)) < 0.3
    assert z[152, 152 + 30] == 0
    assert abs((tree == 0).mean() * extent**2 - np.pi * 25) < 1.5
    assert (z[tree < 0] == 0).all()
    assert canopy(one.iloc[:0], 8)[0].max() == 0


def test_three_canopies():
    "The canopy."
    stands = {
        "spruce, 30 years": [("Picea abies", 2, 1.0)],
        "beech, 110 years": [("Fagus sylvatica", 6, 1.0)],
        "pine 50 %, birch 30 %, cleared 20 %": [
            ("Pinus sylvestris", 5, 0.5),
            ("Betula spec.", 3, 0.3),
            ("Cleared", 0, 0.2),
        ],
    }
    fig, axes = plt.subplots(1, 3, figsize=(8, 2.7), dpi=75, layout="constrained")
    for ax, (title, parts) in zip(axes, stands.items(), strict=True):
        _, trees = grow_stands(parts, 152, np.random.default_rng(4))
        z, tree = canopy(trees, 152)
        assert z.max() < 45
        assert (tree >= 0).mean() > 0.5
        shown = ax.imshow(z, cmap="viridis", vmin=0, vmax=36, extent=(0, extent, extent, 0))
        ax.set_title(title, fontsize=9)
        ax.set(xlabel="east [m]")
    axes[0].set(ylabel="south [m]")
    fig.colorbar(shown, ax=axes, label="height [m]", shrink=0.85)
