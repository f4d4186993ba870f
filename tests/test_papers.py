"""The papers' experiments

Written by nbdev-export from the check cells of nbs/api/70_papers.ipynb.
Do not edit: change the notebook, then `make export`.
"""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from mtl_explain.datasets.catalog import dataset
from mtl_explain.modality import Modality
from mtl_explain.networks.layers import n_parameters
from mtl_explain.networks.multitask import MultitaskNetwork
from mtl_explain.papers import beside_paper, experiments, reported_scores, rows_in_paper


def test_as_printed():
    "What the paper reports."
    assert reported_scores("cropyield")["7"] == pytest.approx(
        {
            "yield r2": 0.82,
            "yield r2 soybean": 0.52,
            "yield r2 wheat": 0.82,
            "yield r2 maize": 0.63,
            "crop accuracy": 0.994,
        }
    )
    assert reported_scores("benge")["15"]["climate accuracy"] == pytest.approx(0.9477)
    assert len(reported_scores("benge")) == 15
    assert reported_scores("globe") == {}
    assert reported_scores("treesat")["3"] == pytest.approx(
        {"genus accuracy": 0.743, "stand_type accuracy": 0.782}
    )
    assert reported_scores("hibcd")["mmcd-consistency"][
        "semantic_change iou newly built"
    ] == pytest.approx(0.409)
    assert reported_scores("hibcd")["mtbit-height"]["height_change zncc"] == 0.179


def test_every_row_of_the_papers_is_there_and_every_number_that_they_print():
    "All rows."
    # every row of the papers is there, and every number that they print belongs to a task of its row
    assert len(rows_in_paper("hibcd")) == len(reported_scores("hibcd")) == 23
    assert len(rows_in_paper("globe")) == len(dataset("globe").setups)
    assert {d: len(experiments(dataset=d)) for d in ("cropyield", "benge", "treesat")} == dict(
        cropyield=13, benge=15, treesat=8
    )
    for e in experiments:
        assert all(column.split()[0] in e.setup.targets for column in e.reported), e.row
        if e.table:
            assert {c.split()[0] for c in e.reported} == set(e.setup.targets) - {"pseudo_change"}, (
                e.row
            )  # pseudo change is a means to an end
    # roles and scores are tables of their own where there are scores
    assert experiments(dataset="benge")._repr_html_().count("<table") == 2
    assert experiments(dataset="globe")._repr_html_().count("<table") == 1


def test_which_rows_predict_the_age_of_trees_which_read_the_weather():
    "All rows."
    assert [e.row for e in experiments(dataset="treesat", predicts="age")] == ["5", "7", "8"]
    assert [e.row for e in experiments(dataset="benge", reads="weather")] == ["5", "7", "8"]
    assert {e.setup.variant for e in experiments(variant="MML")} == {"MML"}
    assert experiments(row="1.a")[0].setup.where == {"crop": "soybean"}
    with pytest.raises(ValueError, match="not by 'size'"):
        experiments(size=3)
    experiments(dataset="treesat", predicts="age").frame()


def test_the_arrows_of_tables_1_2_and_3():
    "Row by row against the tables."
    letters = dict(
        crop="c",
        weather="w",
        dem="d",
        elevation="e",
        climate="z",
        season="s",
        weather_target="w",
        age="a",
        stand_type="2",
        foliage="1",
    )


    def arrows(setup):
        return "".join(
            sorted(
                [letters[n] for n in setup.inputs if n in letters]
                + [letters[t].upper() + "!" for t in setup.auxiliary]
            )
        )


    printed = dict(
        cropyield="1.a 1.b 1.c 1.d 2c 3w 4cw 5dw 6cdw 7C! 8C!w 9C!dw 10C!D!w",
        benge="1 2e 3z 4s 5w 6es 7ew 8eswz 9E! 10Z! 11S! 12W! 13E!S! 14E!W! 15E!S!W!Z!",
        treesat="1 2a 32! 41! 5A! 61!2! 72!A! 81!2!A!",
    )
    for name, text in printed.items():
        assert {e.row + "".join(sorted(arrows(e.setup))) for e in experiments(dataset=name)} == {
            w[: len(r)] + "".join(sorted(w[len(r) :]))
            for w, r in zip(text.split(), dataset(name).setups, strict=True)
        }


def test_parameters_of_the_three_networks_that_the_paper_explains():
    "As many parameters as by hand."
    def described(name, kind, *shape, channels=0, classes=0):
        return Modality(
            name,
            kind,
            shape,
            channels=tuple(map(str, range(channels))),
            classes=tuple(map(str, range(classes))),
        )


    worlds = dict(
        cropyield=[
            described("satellite", "series", 24, 25, channels=25),
            described("yield", "tabular", 1, channels=1),
            described("crop", "category", classes=3),
        ],
        benge=[
            described("sentinel2", "image", 12, 120, 120, channels=12),
            described("sentinel1", "image", 2, 120, 120, channels=2),
            described("landcover", "mask", 120, 120, classes=12),
            described("elevation", "image", 1, 120, 120, channels=1),
            described("climate", "category", classes=12),
            described("season", "tabular", 1, channels=1),
            described("weather_target", "tabular", 3, channels=3),
        ],
        treesat=[
            described("aerial", "image", 3, 304, 304, channels=3),
            described("s1", "image", 3, 6, 6, channels=3),
            described("s2", "image", 12, 6, 6, channels=12),
            described("genus", "category", classes=15),
            described("stand_type", "category", classes=9),
            described("age", "tabular", 1, channels=1),
        ],
    )
    counts = {}
    for name, row in dict(cropyield="7", benge="15", treesat="7").items():
        with torch.device("meta"):
            counts[name, row] = n_parameters(
                MultitaskNetwork(
                    {m.name: m for m in worlds[name]}, dataset(name).setups[row], pretrained=False
                )
            )
    assert counts == {
        ("cropyield", "7"): 54_020,
        ("benge", "15"): 62_170_797,
        ("treesat", "7"): 12_925_017,
    }
    pd.Series(counts, name="parameters").to_frame().style.format("{:,}")


def test_two_runs_of_one_row_as_tables_see_them():
    "Ours beside theirs."
    def run(value, seed):
        return SimpleNamespace(
            setup=dataset("treesat").setups["3"],
            scores=pd.DataFrame(
                dict(
                    task=["genus", "stand_type", "genus"],
                    metric=["accuracy", "accuracy", "f1_macro"],
                    value=[value, 0.8, 0.5],
                    units="",
                    split="test",
                )
            ),
        )


    table = beside_paper([run(0.70, 0), run(0.72, 1)], "treesat")
    assert table.loc["3", "genus accuracy"] == "0.710 ± 0.014 (0.743)"
    assert table.loc["3", "stand_type accuracy"] == "0.800 ± 0.000 (0.782)"
    assert table.loc["3", "genus f1_macro"] == "0.500 ± 0.000"
