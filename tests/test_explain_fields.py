"""Fields and classes

Written by nbdev-export from the check cells of nbs/api/explain/05_fields.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error, r2_score

from mtl_explain.explain.correctness import comparison_statistic
from mtl_explain.explain.fields import (
    determination, field_maps, field_performance, plot_field_maps, plot_field_performance,
    plot_truth_by_groups, random_share, scores_by_class, truth_by_groups, within_fields_statistic,
)
from mtl_explain.explain.resampling import estimate


# three crops on nine fields, and what a network made of them
def pixel_world(seed=0):
    "A trace of 2,160 pixels."
    rng = np.random.default_rng(seed)
    crops = ["maize", "soybean", "wheat"]
    grid = np.meshgrid(np.arange(9), np.arange(12), np.arange(20), indexing="ij")
    field, row, column = (v.ravel() for v in grid)
    crop = field % 3
    truth = np.array([9.0, 3.0, 6.0])[crop] + rng.normal(0, 0.6, len(field))
    misread = (crop == 1) & (column < 10)
    wrong = np.stack([misread & (row >= 4 * e) for e in range(3)])  # fewer from epoch to epoch
    predicted = np.where(wrong, 0.7 * truth, truth + rng.normal(0, 0.1, len(field)))
    label = np.where(wrong, 2, crop)

    def both(a, b):
        return np.stack(np.broadcast_arrays(a, b), -1).astype("float32")

    values = dict(
        error=both(np.abs(predicted - truth), wrong),
        correct=both(np.nan, ~wrong),
        predicted=both(predicted, label),
        loss=both(np.abs(predicted - truth) ** 2, wrong),
    )
    trace = xr.Dataset(
        {name: (("epoch", "sample", "task"), v) for name, v in values.items()},
        dict(
            epoch=[0, 1, 2],
            sample=[f"p{i}" for i in range(len(field))],
            task=["yield", "crop"],
            kind=("task", ["tabular", "category"]),
            units=("task", ["t/ha", ""]),
        ),
        dict(main="yield"),
    )
    per_pixel = dict(
        group=np.array([f"field {f}" for f in field]),
        split=np.array(["train", "valid", "test"])[field // 3],
        row=row,
        column=column,
        lon=-64 + 1e-4 * column,
        lat=-27 - 9e-5 * row,
    )
    trace = trace.assign_coords({name: ("sample", v) for name, v in per_pixel.items()})
    trace["truth"] = ("sample", "task"), both(truth, crop)
    return trace, crops, misread


def hard_fields(seed, n_fields=30, n=40):
    "Errors and mistakes that share the field, and nothing else."
    rng = np.random.default_rng(seed)
    field = np.repeat(np.arange(n_fields), n)
    hard = rng.gamma(2, 0.5, n_fields)[field]
    error = hard * rng.exponential(0.2, len(field))
    wrong = rng.random(len(field)) < 0.12 * hard
    values = np.stack([error, wrong], -1)[None].astype("float32")
    trace = xr.Dataset(
        dict(
            error=(("epoch", "sample", "task"), values),
            correct=(("epoch", "sample", "task"), 1 - values),
            truth=(("sample", "task"), np.ones((len(field), 2), "float32")),
        ),
        dict(epoch=[0], task=["yield", "crop"], kind=("task", ["tabular", "category"])),
    )
    return trace.assign_coords(group=("sample", field))


@pytest.fixture(scope='module')
def trace_crops_and_misread():
    "The pixel world."
    trace, crops, misread = pixel_world()
    return trace, crops, misread


@pytest.fixture(scope='module')
def table(trace_crops_and_misread):
    "Every field at three epochs."
    trace, crops, misread = trace_crops_and_misread
    return field_performance(trace, "yield", "crop")


def test_against_sklearn(trace_crops_and_misread):
    "How good within a class?"
    # against sklearn; within a class less is explained
    trace, crops, misread = trace_crops_and_misread
    labels = xr.DataArray(
        trace.truth.sel(task="crop").values.astype(int),
        dict(sample=trace.sample.values),
        attrs=dict(classes=crops),
    )
    found = scores_by_class(trace, "yield", labels, epoch=0).set_index("class")
    part = trace.isel(sample=trace.split.values == "test").sel(task="yield", epoch=0)
    assert found.r2["all"] == pytest.approx(r2_score(part.truth, part.predicted), abs=1e-5)
    beans = labels.sel(sample=part.sample.values).values == 1
    assert found.mae["soybean"] == pytest.approx(
        mean_absolute_error(part.truth[beans], part.predicted[beans]), abs=1e-5
    )
    assert found.r2["soybean"] < 0 < 0.9 < found.r2["all"]
    assert determination(np.array([2.0]), np.array([2.0])) is np.nan
    found.round(2)


def test_half_of_a_field_wrong_by_30(table, trace_crops_and_misread):
    "Field by field."
    trace, crops, misread = trace_crops_and_misread
    one = table[(table.field == "field 1") & (table.epoch == 0)].iloc[0]
    assert (one["class"], one.split, one.accuracy, one.n) == (1, "train", 0.5, 240)
    right = trace.isel(sample=(trace.group.values == "field 1") & ~misread).sel(epoch=0, task="yield")
    other_half = float((right.error / right.truth).mean())
    assert one.error == pytest.approx(0.5 * 0.3 + 0.5 * other_half, abs=1e-6)
    assert len(table) == 27
    assert (table[table["class"] != 1].accuracy == 1).all()
    assert table.attrs["relative"]


def test_fields_become_right_from_epoch_to_epoch(table, trace_crops_and_misread):
    "Field by field."
    trace, crops, misread = trace_crops_and_misread
    fig = plot_field_performance(table, crops)
    assert len(fig.axes) == 9
    assert fig.axes[1].get_title() == "soybean, epoch 0"


def test_planted_in_soybean_fields(trace_crops_and_misread):
    "Misread and misjudged, within a field."
    # planted in soybean fields; the same as fixed effects
    trace, crops, misread = trace_crops_and_misread
    found = estimate(within_fields_statistic(trace, "yield", "crop", split=None), over="epoch")
    assert found.value.between(0.26, 0.3).all()
    assert (found.clusters == 3).all()
    signed = within_fields_statistic(trace, "yield", "crop", signed=True, split=None, together=True)
    assert estimate(signed).value["all"] == pytest.approx(-0.3, abs=0.01)
    part = trace.sel(epoch=0)
    ones = pd.get_dummies(part.group.values).values
    x = np.column_stack([1 - part.correct.sel(task="crop").values, ones])
    y = part.error.sel(task="yield").values / part.truth.sel(task="yield").values
    slope = LinearRegression(fit_intercept=False).fit(x, y).coef_[0]
    assert found.value[0] == pytest.approx(slope, abs=1e-6)
    found.round(3)


def test_fields_that_are_hard_for_both_tasks_are_no_difference_within_fields():
    "Misread and misjudged, within a field."
    pooled = within = 0
    for seed in range(200):
        world = hard_fields(seed)
        everywhere = comparison_statistic(world, "yield", "crop", split=None)
        pooled += estimate(everywhere).loc["difference"].low.iloc[0] > 0
        inside = estimate(within_fields_statistic(world, "yield", "crop", split=None)).iloc[0]
        within += not inside.low < 0 < inside.high
    print(f"a difference is seen in {pooled} of 200 worlds over all pixels, in {within} within fields")
    assert pooled > 100
    assert within <= 18


def test_a_field_with_pixels_of_one_kind_tells_nothing_and_a_world_of_such(trace_crops_and_misread):
    "Misread and misjudged, within a field."
    # a field with pixels of one kind tells nothing, and a world of such fields has no value
    trace, crops, misread = trace_crops_and_misread
    alone = trace.isel(sample=trace.group.values != "field 1")
    few = within_fields_statistic(alone, "yield", "crop", split=None)
    assert estimate(few).clusters.tolist() == [2, 2, 2]
    nothing = within_fields_statistic(alone, "yield", "crop", positions=np.arange(5))
    assert estimate(nothing).value.isna().all()


def test_a_field_is_laid_out_again_mistakes_included(trace_crops_and_misread):
    "Maps of a field."
    trace, crops, misread = trace_crops_and_misread
    maps = field_maps(trace, "field 4", "yield", "crop", epoch=0)
    assert maps.target.shape == (12, 20)
    assert (maps.wrong == (maps.column < 10)).all()
    assert np.allclose(maps.relative_error[:, :10], -0.3, atol=1e-6)
    hole = (trace.row.values == 5) & (trace.column.values == 5)
    ring = field_maps(trace.isel(sample=~hole), "field 4", "yield")
    assert np.isnan(ring.target[5, 5])
    assert int(ring.target.isnull().sum()) == 1
    assert "wrong" not in ring
    with pytest.raises(ValueError, match="no traced sample has group 'field 99'"):
        field_maps(trace, "field 99", "yield")
    with pytest.raises(ValueError, match="no coordinate 'row'"):
        field_maps(trace.drop_vars("row"), "field 4", "yield")


def test_two_epochs_of_one_field(trace_crops_and_misread):
    "Maps of a field."
    # two epochs of one field: the misread half shrinks, and the underestimate with it
    trace, crops, misread = trace_crops_and_misread
    fig = plot_field_maps([field_maps(trace, "field 4", "yield", "crop", e) for e in (0, 2)])
    assert [a.get_title() for a in fig.axes[:4]] == [
        "field 4, epoch 0: truth",
        "prediction",
        "relative error",
        "wrong crop (orange): 50%",
    ]


def test_without_a_label_there_are_three_maps_and_beside_a_field_with_one_the(trace_crops_and_misread):
    "Maps of a field."
    # without a label there are three maps, and beside a field with one the fourth stays empty
    trace, crops, misread = trace_crops_and_misread
    plain = field_maps(trace, "field 4", "yield")
    assert len([ax for ax in plot_field_maps([plain]).axes if ax.images]) == 3
    both = plot_field_maps([field_maps(trace, "field 4", "yield", "crop"), plain])
    assert not both.axes[7].axison
    plt.close("all")


def test_wrong_labels_stand_where_yields_are_low_by_construction(trace_crops_and_misread):
    "What is true of the groups?"
    trace, crops, misread = trace_crops_and_misread
    groups = truth_by_groups(trace, "yield", "crop", "crop", epoch=0)
    assert groups.group.value_counts().to_dict() == {"CC": 600, "FF": 120}
    assert groups.truth[groups.group == "FF"].mean() == pytest.approx(3, abs=0.2)
    plot_truth_by_groups(groups).set_title("misread pixels are soybean, whose yields are low")


def test_a_tenth_of_the_samples(trace_crops_and_misread):
    "A part of the test samples."
    # a tenth of the samples; a third of the fields
    trace, crops, misread = trace_crops_and_misread
    assert random_share(trace, 0.1).sizes["sample"] == 216
    assert len(set(random_share(trace, 1 / 3, "group").group.values)) == 3
    assert (random_share(trace, 0.1).sample == random_share(trace, 0.1).sample).all()
    assert not random_share(trace, 0.1, seed=1).equals(random_share(trace, 0.1))
    with pytest.raises(ValueError, match="at most at 1, got 10"):
        random_share(trace, 10)
