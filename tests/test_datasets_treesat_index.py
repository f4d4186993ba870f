"""Tables of TreeSatAI

Written by nbdev-export from the check cells of nbs/api/datasets/07_treesat_index.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mtl_explain.datasets.treesat_index import (
    block_of, halve, nearest_training, official_splits, read_fractions, read_lists, read_places,
)
from mtl_explain.datasets.treesat_labels import species
from mtl_explain.simulate.forest.patches import write_tables
from mtl_explain.simulate.forest.trees import draw_plots


@pytest.fixture(scope='module')
def home():
    "A folder that vanishes at the end."
    return tempfile.TemporaryDirectory()


@pytest.fixture(scope='module')
def plots_and_forest(home):
    "The tables of a simulated archive of 60 patches."
    plots = draw_plots(60, seed=3).set_index("file", drop=False)
    forest = write_tables(plots, Path(home.name))
    return plots, forest


def test_lists_and_labels_of_the_simulated_archive_belong_together(plots_and_forest):
    "Labels."
    plots, forest = plots_and_forest
    lists = read_lists(forest)
    fractions = read_fractions(forest)
    assert {s: len(f) for s, f in lists.items()} == dict(train=54, test=6)
    assert {f for files in lists.values() for f in files} == set(fractions)
    for plot in plots.itertuples():
        drawn = [[species[name].genus, share] for name, _, share in plot.parts]
        assert fractions[plot.file] == drawn
    with pytest.raises(FileNotFoundError, match="is this the folder"):
        read_lists(forest / "labels")


def test_labels_that_are_no_labels():
    "Labels."
    bad = {
        "UTF-8": b'{"B\xfcche": 1}',
        "no valid table of labels": b'{"a": [["Ab',
        "'a' occurs again": b'{"a": [["Abies", 1.0]], "a": [["Picea", 1.0]]}',
        "got a list": b"[1]",
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "TreeSatBA_v9_60m_multi_labels.json"
        with pytest.raises(FileNotFoundError, match="multi_labels.json"):
            read_fractions(folder)
        for message, text in bad.items():
            path.write_bytes(text)
            with pytest.raises(ValueError, match=message):
                read_fractions(folder)
        path.write_bytes(b'{"a": [], "a": []}')
        assert read_fractions(folder) == {"a": []}


def test_the_simulators_plots_are_found_where_it_put_them(plots_and_forest):
    "Places."
    plots, forest = plots_and_forest
    places = read_places(forest)
    assert np.allclose(places.loc[plots.index, ["easting", "northing"]], plots[["x", "y"]] + 30)
    assert places.year.between(2011, 2020).all()
    assert places.lat.between(51.2, 53.9).all()
    assert places.lon.between(6.6, 11.6).all()
    assert read_places(forest / "geojson").empty
    places.head(3).round(3)


def test_places_in_degrees_and_a_file_without_places(plots_and_forest):
    "Places."
    plots, forest = plots_and_forest
    places = read_places(forest)
    metres = ["easting", "northing"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "geojson").mkdir()
        path = Path(folder) / "geojson/bb_60m.GeoJSON"
        boxes = json.loads((forest / "geojson/bb_60m.GeoJSON").read_text())
        del boxes["crs"]
        for f in boxes["features"]:
            degrees = places.loc[f["properties"]["IMG_ID"] + ".tif", ["lon", "lat"]]
            f["geometry"]["coordinates"] = [[degrees.tolist()]]
        path.write_text(json.dumps(boxes))
        assert np.allclose(read_places(folder)[metres], places[metres], atol=0.01)
        for text in ('{"features": [{"properties": {}}]}', "[]"):
            path.write_text(text)
            with pytest.raises(ValueError, match="not the boxes"):
                read_places(folder)


def test_halves_are_whole_blocks_like_in_size_and_genera_and_seeded():
    "Splits."
    many = draw_plots(800, seed=1)
    files = list(many.file)
    where = pd.DataFrame(dict(easting=many.x + 30, northing=many.y + 30)).set_axis(many.file)
    blocks = block_of(where)
    halves = halve(files, blocks)
    valid = halves["valid"]
    test = halves["test"]
    assert not {blocks[f] for f in valid} & {blocks[f] for f in test}
    assert sorted(valid + test) == sorted(files)


    def genus_shares(files):
        return pd.Series([f.split("_")[0] for f in files]).value_counts(normalize=True)


    assert 0.45 < len(valid) / 800 < 0.55
    assert (genus_shares(valid) - genus_shares(test)).abs().max() < 0.04
    assert halves == halve(files, blocks) != halve(files, blocks, seed=1)
    assert block_of(pd.DataFrame(dict(easting=[412_345.0], northing=[5_801_999.0])))[0] == "E0412N5801"
    assert [len(v) for v in halve(files[:2], pd.Series(dtype=str)).values()] == [1, 1]
    with pytest.raises(ValueError, match="cannot be divided"):
        halve(files[:1], blocks)


def test_training_as_listed_the_tenth_halved(plots_and_forest):
    "Splits."
    # training as listed, the tenth halved; an official validation list is respected
    plots, forest = plots_and_forest
    lists = read_lists(forest)
    train = lists["train"]
    test = lists["test"]
    places = read_places(forest)
    found = official_splits(forest, places)
    assert found["train"] == train
    assert sorted(found["valid"] + found["test"]) == sorted(test)
    assert len(found["valid"]) == 3
    with tempfile.TemporaryDirectory() as temporary:
        for s, files in dict(train=train[:-5], val=train[-5:], test=test).items():
            (Path(temporary) / f"{s}_filenames.lst").write_text("\n".join(files))
        official = official_splits(temporary, places)
        assert official["valid"] == train[-5:]
        assert official["test"] == test


def test_worked_by_hand_and_on_the_simulated_plots(plots_and_forest):
    "Neighbours."
    plots, forest = plots_and_forest
    three = dict(easting=[0, 300, 0], northing=[0, 400, 90], split=["train", "test", "valid"])
    near = nearest_training(pd.DataFrame(three, ["a", "b", "c"]))
    assert near.to_dict() == dict(b=500, c=90)
    distance = nearest_training(read_places(forest).join(plots.split))
    assert len(distance) == 6
    assert distance.min() >= 60
    distance.describe()[["min", "50%", "max"]].round(0)
