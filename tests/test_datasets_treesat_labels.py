"""Names in TreeSatAI

Written by nbdev-export from the check cells of nbs/api/datasets/06_treesat_labels.ipynb.
Do not edit: change the notebook, then `make export`.
"""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from mtl_explain.datasets.treesat_labels import (
    PatchName, Species, fraction_vector, genera, label_levels, labelled_species, level_classes,
    parse_patch_file, patch_file, species,
)


# from a species up the hierarchy, step by step
def walk(name):
    levels = label_levels()
    found = [name]
    index = list(species).index(name)
    for level, up in (("species", "genus"), ("genus", "stand_type"), ("stand_type", "foliage")):
        index = levels[level]["parent_index"][index]
        found.append(levels[up]["classes"][index])
    return found


def test_20_species_and_15_genera_with_cleared():
    "What grows here: the hierarchy as a table."
    # 20 species and 15 genera with Cleared; nine groups and two kinds of foliage without it
    table = pd.DataFrame(species, index=Species._fields).T
    assert len(table) == 20
    assert len(genera) == 15
    assert not table.eq("").any().any()
    trees = table.drop(index="Cleared")
    assert trees.genus.nunique() == 14
    assert trees.group.nunique() == 9
    assert trees.foliage.nunique() == 2
    assert (table.groupby("genus").group.nunique() == 1).all()
    assert (table.groupby("group").foliage.nunique() == 1).all()
    table.groupby(["foliage", "group"]).genus.unique().map(", ".join).to_frame()


def test_the_readings_give_the_counts_of_the_table_above():
    "Three, nine, fifteen."
    def counts(**options):
        levels = label_levels(**options)
        return [len(levels[n]["classes"]) for n in ("foliage", "stand_type", "genus", "species")]


    assert counts() == [3, 9, 15, 20]
    assert counts(merge={}) == [3, 10, 15, 20]
    assert counts(merge={}, cleared="unlabelled") == [3, 9, 15, 20]
    assert min(min(v.get("parent_index", [0])) for v in label_levels().values()) == 0
    bare = label_levels("unlabelled", {})["genus"]
    orphans = [g for g, p in zip(bare["classes"], bare["parent_index"], strict=True) if p < 0]
    assert orphans == ["Cleared"]
    with pytest.raises(ValueError, match="cleared is 'gone'"):
        label_levels("gone")


def test_four_species_walked_up_by_hand():
    "Three, nine, fifteen."
    assert walk("Fagus sylvatica") == ["Fagus sylvatica", "Fagus", "beech", "broadleaf"]
    assert walk("Cleared") == ["Cleared", "Cleared", "cleared", "cleared"]
    assert walk("Larix kaempferi")[1:] == ["Larix", "larch", "needleleaf"]
    assert walk("Abies alba")[2] == walk("Picea abies")[2] == "spruce and fir"


def test_classes_of_all_levels_by_species():
    "Three, nine, fifteen."
    # classes of all levels by species; a cleared plot can be without a stand type
    levels = label_levels()
    classes = level_classes(levels)
    for i, name in enumerate(species):
        for level, wanted in zip(
            ("species", "genus", "stand_type", "foliage"), walk(name), strict=True
        ):
            assert levels[level]["classes"][classes[level][i]] == wanted
    bare = level_classes(label_levels("unlabelled", {}))
    cleared = list(species).index("Cleared")
    assert bare["stand_type"][cleared] == -1
    assert bare["foliage"][cleared] == levels["foliage"]["classes"].index("cleared")


def test_the_traps():
    "What a file name says."
    beech = parse_patch_file("Fagus_sylvatica_1_6647_WEFL_NLF.tif")
    alder = parse_patch_file("Alnus_spec._5_13114_WEFL_NLF.tif")
    cleared = parse_patch_file("Cleared_0_1006_WEFL_NLF.tif")
    assert beech == ("Fagus sylvatica", 1, 6647, "WEFL_NLF")
    assert alder == ("Alnus spec.", 5, 13114, "WEFL_NLF")
    assert cleared == ("Cleared", 0, 1006, "WEFL_NLF")
    assert parse_patch_file("Pseudotsuga_menziesii_11_5_BI_NLF.tif").age == 11
    for wrong, why in (
        ("Fagus_sylvatica_1_6647_WEFL_NLF", "no file name"),
        ("Fagus_sylvatica_6647_WEFL_NLF.tif", "no file name"),
        ("Fagus_silvatica_1_6647_WEFL_NLF.tif", "unknown species"),
        ("Fagus_sylvatica_1_6647_WEFL_NLF.tif.aux.xml", "no file name"),
        ("Fagus_sylvatica_13_1_WEFL_NLF.tif", "age class 13"),
    ):
        with pytest.raises(ValueError, match=why):
            parse_patch_file(wrong)


def test_names_survive_a_round_trip():
    "What a file name says."
    kinds = product(species, (0, 5, 12), ("WEFL_NLF", "BI_NLF"))
    names = [PatchName(name, age, n, source) for n, (name, age, source) in enumerate(kinds)]
    assert [parse_patch_file(patch_file(n)) for n in names] == names
    assert len({patch_file(n) for n in names}) == 120


def test_by_hand_and_what_is_refused():
    "How much of each genus."
    one = fraction_vector([["Quercus", 0.4], ["Abies", 0.58]])
    assert one[0] == np.float32(0.58)
    assert one[genera.index("Quercus")] == np.float32(0.4)
    assert (one > 0).sum() == 2
    np.testing.assert_allclose(fraction_vector([["Abies", 1.0], ["Quercus", 1.0]]).sum(), 1)
    assert fraction_vector([["Abies", 0.9], ["Quercus", 0.3]])[0] == np.float32(0.75)
    assert fraction_vector([["Abies", 0.5], ["Abies", 0.7]])[0] == 1
    for wrong, why in (
        ([["Abies", 1.0], ["Quercus", 1.0], ["Picea", 0.1]], "sum to 2.1"),
        ([["Oak", 1.0]], "unknown genus"),
        ([["Quercus", 1.5]], "sum to 1.5"),
        ([], "sum to 0"),
        ([["Quercus", 1.2], ["Abies", -0.2]], "sum to 1"),
        ([["Abies", float("nan")]], "sum to nan"),
    ):
        with pytest.raises(ValueError, match=why):
            fraction_vector(wrong)


def test_the_largest_fraction_can_disagree_with_the_name():
    "How much of each genus."
    fraction = fraction_vector([["Abies", 0.4], ["Quercus", 0.6]])
    one = pd.DataFrame(dict(species=[0], fraction=[fraction]))
    assert labelled_species(one) == [0]
    assert list(species.values())[labelled_species(one, "largest")[0]].genus == "Quercus"
    with pytest.raises(ValueError, match="label is 'main'"):
        labelled_species(one, "main")
