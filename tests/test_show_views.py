"""Linked views

Written by nbdev-export from the check cells of nbs/api/show/01_views.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
import re

import altair as alt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from mtl_explain.data.samples import modalities
from mtl_explain.show.views import (
    _as_lists, _better, _in_both_runs, chart_html, comparison_chart, epoch_control, explorer_chart,
    flow_chart, flow_table, hierarchy_chart, hierarchy_table, linked_chart, measure_of, rows_of,
    sample_points, script_json,
)
from mtl_explain.testing.planted import planted_trace, planted_world


# a small world with known errors
def row_counts(chart):
    "How many rows each dataset of a chart has, in order."
    tables = chart.to_dict()["datasets"].values()
    return sorted(len(json.loads(v) if isinstance(v, str) else v) for v in tables)


@pytest.fixture(scope='module')
def trace():
    "A small world with known errors."
    world = planted_world(n_samples=60, n_groups=6, n_epochs=4)
    return world.trace


@pytest.fixture(scope='module')
def world():
    world = planted_world(n_samples=150, n_groups=15, n_epochs=6)
    both = alt.vconcat(
        hierarchy_chart(world.trace, modalities(world.samples), "climate"),
        flow_chart(world.trace, "zone", "climate"),
    )
    both.add_params(epoch_control(world.trace)).resolve_scale(color="independent")
    return world


@pytest.fixture(scope='module')
def other():
    "A second run, one epoch shorter."
    return planted_world(n_samples=60, n_groups=6, n_epochs=3, seed=1).trace


def test_lists_are_the_values_of_the_trace_in_order(trace):
    "A sample per row."
    # lists are the values of the trace, in order; what is too much is left out and counted
    points = sample_points(trace)
    one = points.iloc[3]
    assert len(points) == (trace.split == "test").sum()
    assert points.attrs["left_out"] == 0
    assert set(one.value) == set(trace.task.values)
    kept = trace.sel(sample=one["sample"])
    assert one.value["elevation"] == pytest.approx(kept.error.sel(task="elevation").values, rel=1e-3)
    assert one.value["climate"] == pytest.approx(kept.loss.sel(task="climate").values, rel=1e-3)
    assert one.correct["climate"] == kept.correct.sel(task="climate").values.tolist()
    assert one.correct["elevation"] == one.correct["landcover"] == [None] * 4
    assert "sure" not in points  # nobody said it in this world
    half = trace.assign(confidence=trace.confidence.fillna(0.5))
    assert sample_points(half).sure[3]["climate"] == [0.5] * 4
    few = sample_points(trace, limit=10)
    assert len(few) == 10
    assert few.attrs["left_out"] == len(points) - 10
    numbers = np.array([[[0.0123456, 98765.4, np.nan, 0, -2.5]]]).transpose(2, 0, 1)
    assert _as_lists(numbers) == [[[0.01235, 98770.0, None, 0, -2.5]]]
    table = pd.DataFrame(dict(lat=[1.5, np.nan], value=[dict(a=[1, None]), {}]))
    rows = [dict(lat=1.5, value=dict(a=[1, None])), dict(lat=None, value={})]
    assert json.loads(rows_of(table).values) == rows
    assert measure_of(trace, "elevation") == ("error", "elevation: absolute error [m]")
    assert measure_of(trace, "climate") == ("loss", "climate: loss")


def test_the_chart_names_its_controls_holds_each_sample_once_and_says_what_it(trace):
    "The linked chart."
    # the chart names its controls, holds each sample once, and says what it left out
    chart = linked_chart(trace, limit=20)
    spec = chart.to_dict()
    assert {p["name"] for p in spec["params"]} >= {"epoch", "main", "auxiliary", "brush"}
    assert "A slider chooses the epoch" in spec["description"]
    assert row_counts(chart)[1] == 20
    assert "left out at random" in spec["title"]["subtitle"]
    many = planted_trace(n_samples=5500, n_groups=10, n_epochs=1)
    beside = linked_chart(trace, limit=20, control=trace).to_dict()
    assert "share nothing" in beside["vconcat"][0]["title"][1]
    assert len(beside["vconcat"][0]["layer"]) == len(spec["vconcat"][0]["layer"]) + 1
    assert row_counts(linked_chart(many))[-1] == 5500
    assert "How sure" not in json.dumps(spec)
    half = trace.assign(confidence=trace.confidence.fillna(0.5))
    assert "How sure" in json.dumps(linked_chart(half).to_dict())
    nowhere = linked_chart(trace.drop_vars(["lat", "lon"])).to_dict()
    assert "no map" in nowhere["title"]["subtitle"]
    with pytest.raises(ValueError, match="one task, 'elevation'"):
        linked_chart(trace.sel(task=["elevation"]))
    with pytest.raises(ValueError, match="no samples"):
        linked_chart(trace.isel(sample=trace.split.values == "nothing"), split=None)


def test_by_hand():
    "Groups that flow."
    # by hand: three samples, of which one goes from FF to CC
    error = np.array([[[1.0, 1.0], [0, 0], [0, 1]], [[0, 0], [0, 0], [0, 1]]])
    dims = ("epoch", "sample", "task")
    mini = xr.Dataset(
        dict(correct=(dims, 1 - error), error=(dims, error)),
        dict(epoch=[0, 1], sample=list("abc"), task=["p", "q"], kind=("task", ["category"] * 2)),
        dict(main="p"),
    )
    found = flow_table(mini, "p", "q", None).query("step == 1")
    counts = found.drop_duplicates("band").set_index("band")["count"].to_dict()
    assert counts == {"CC → CC": 1, "CF → CF": 1, "FF → CC": 1}
    corrected = found.query("band == 'FF → CC'")[["side", "low", "high"]]
    assert corrected.values.tolist() == [["first epoch", 2, 3], ["chosen epoch", 1, 2]]


def test_classes_are_counted_right_children_stand_within_their_parents_and_in(trace):
    "A hierarchy with its errors."
    # classes are counted right, children stand within their parents, and -in and -out add up
    mods = modalities(planted_world(n_samples=60, n_groups=6, n_epochs=4).samples)
    t = hierarchy_table(trace, mods, "climate").query("step == 3")
    n = (trace.split == "test").sum().item()
    assert t.groupby("level").n.sum().tolist() == [n, n]
    assert t.groupby("level").x2.max().tolist() == [n, n]
    children = t[t.level == "climate"]
    assert ((children.inside + children.outside) == (children.wrong * children.n).round()).all()
    wrong = children.wrong.mul(children.n).sum() / n
    error = trace.error.sel(task="climate", epoch=3).mean().item()
    assert wrong == pytest.approx(error, abs=0.01)


def test_with_a_hierarchy_there_are_two_views_more_without_one_the_reason(world):
    "Everything that applies."
    specs = [
        explorer_chart(t, modalities(world.samples)).to_dict()
        for t in (world.trace, world.trace.sel(task=["landcover", "elevation", "climate"]))
    ]
    assert [len(s["vconcat"]) for s in specs] == [5, 3]
    assert specs[0]["title"]["subtitle"] == [f"{(world.trace.split == 'test').sum().item()} samples"]
    assert specs[1]["title"]["subtitle"][1:] == [
        "no hierarchy: no label task refines another",
        "no flow: there are no two label tasks with one label per sample",
    ]


def test_the_same_run_twice_lies_on_the_line(trace, other):
    "Two runs."
    # the same run twice lies on the line; the other one is compared sample by sample
    both = _in_both_runs(trace, other, "landcover", "test")
    assert len(both) == (trace.split == "test").sum()
    assert len(both.one[0]) == 3
    same = _in_both_runs(trace, trace, "landcover", "test")
    assert same.one.tolist() == same.two.tolist()
    with pytest.raises(ValueError, match="run 'second' has no task 'landcover'"):
        comparison_chart(trace, other.sel(task=["elevation", "weather"]))
    many = planted_trace(n_samples=5500, n_groups=10, n_epochs=1)
    assert row_counts(comparison_chart(many, many))[-1] == 5500
    assert comparison_chart(trace, other, ("MTL", "other")).to_dict()["params"][0]["name"] == "epoch"


def test_what_a_name_may_try():
    "In any page."
    # what a name may try: it comes out as it was, and neither html nor a Vega expression obeys it
    hostile = [
        "<img src=x onerror=alert(1)>",
        "'\"]; </script><script>alert(1)</script>",
        "<!--<script",
        "\u2028\u2029",
    ]
    written = script_json(hostile)
    assert json.loads(written) == hostile
    assert "<" not in written
    assert written.isascii()
    small = dict(description=hostile[1], title=hostile[0])
    page = chart_html(small, hostile[0] + '"', scripts=False)
    assert page.count("<") == 6
    assert page.count("<script") == page.count("</script") == 1
    expression = (
        """datum.x > datum.y ? "better in b'" : datum.x < datum.y ? "better in a" : 'the same'"""
    )
    assert _better("a", "b'") == expression


def test_a_page_with_two_charts_carries_the_scripts_once_and_no_address_of(trace, other):
    "In any page."
    # a page with two charts carries the scripts once, and no address of anybody
    page = chart_html(comparison_chart(trace, other).to_dict(), "one")
    page += chart_html(linked_chart(trace).to_dict(), "two", scripts=False)
    assert page.count("window.vegaEmbed=") == 1
    assert page.count("vegaEmbed(document") == 2
    assert 'aria-label="Errors of the tasks' in page
    assert "src=" not in re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert len(page) < 1.3e6
