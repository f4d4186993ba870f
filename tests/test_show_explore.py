"""Explore a run

Written by nbdev-export from the check cells of nbs/api/show/03_explore.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from pathlib import Path

import altair as alt
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mtl_explain.data.samples import modality_array
from mtl_explain.datasets import globe
from mtl_explain.modality import modality_of
from mtl_explain.show.explore import (
    chart_script, compare_runs, explore, live_chart, picture_of, plot_gallery, said_labels, selected_samples,
    selection_table,
)
from mtl_explain.show.views import chart_style
from mtl_explain.training.runs import train_run


@pytest.fixture(scope='module')
def earth_cover_and_climate():
    "A run with maps and one with a hierarchy."
    home = Path(tempfile.mkdtemp())
    earth = globe.load_sample()
    cover = train_run(earth, globe.setups["landcover-mtl"], home / "cover", epochs=3, bs=16, bar=False)
    climate = train_run(
        earth, globe.setups["climate-mtl"], home / "climate", epochs=5, bs=16, bar=False
    )
    return earth, cover, climate


def test_by_hand():
    "What is selected."
    # by hand: three samples, two of them within
    three = pd.DataFrame(
        dict(
            sample=list("abc"),
            value=[
                dict(p=[0.0, 1.0], q=[0.0, 5.0]),
                dict(p=[0.0, 2.0], q=[0.0, 6.0]),
                dict(p=[0.0, 3.0], q=[None, None]),
            ],
        )
    )
    assert selected_samples(three, dict(x=[0.5, 2.5], y=[0, 10]), 1, "p", "q") == ["a", "b"]
    assert selected_samples(three, dict(x=[3.5, 1.5], y=[5.5, 10]), 1, "p", "q") == ["b"]
    assert selected_samples(three, {}, 1, "p", "q") == []


def test_numbers_are_those_of_the_trace_the_worst_first(earth_cover_and_climate):
    "What is selected."
    earth, cover, climate = earth_cover_and_climate
    ids = climate.trace.sample.values[[3, 5, 7]].tolist()
    table = selection_table(climate.trace, ids, 4)
    assert set(table.index) == set(ids)
    assert table["climate: loss"].is_monotonic_decreasing
    loss = climate.trace.loss.sel(task="climate", sample=ids[0]).isel(epoch=4)
    assert table.loc[ids[0], "climate: loss"] == loss
    sure = climate.trace.confidence.sel(task="climate", sample=ids[0]).isel(epoch=4)
    assert table.loc[ids[0], "climate: confidence"] == sure


def test_predictions_in_the_gallery_are_the_networks_and_labels_are_told_from(earth_cover_and_climate):
    "Their maps."
    # predictions in the gallery are the network's, and labels are told from mistakes
    earth, cover, climate = earth_cover_and_climate
    ids = climate.trace.sample.values[[60, 80]]
    fig = plot_gallery(climate, earth, ids)
    told = fig.axes[1].texts[0].get_text()
    predicted = int(climate.predict(earth.sel(sample=ids)).climate[0])
    name = climate.modalities["climate"].classes[predicted]
    is_wrong = predicted != int(earth.climate.sel(sample=ids[0]))
    assert (f"✗ {name}" in told) == is_wrong
    assert picture_of(earth.optical[0]).shape == (32, 32, 3)
    assert picture_of(earth.elevation[0]).shape == (32, 32)
    plt.close(fig)


def test_one_sample_in_words(earth_cover_and_climate):
    "Their maps."
    # one sample in words: classes by name, numbers with units, what is wrong behind a cross
    earth, cover, climate = earth_cover_and_climate
    rain = modality_array("rain", np.ones((1, 5)), "tabular", channels=list("abcde"), units="mm")
    mods = dict(climate=modality_of(earth.climate), rain=modality_of(rain))
    told = said_labels(mods, dict(climate=1, rain=rain.values[0]), dict(climate=2))
    assert told.splitlines() == [
        f"climate: {mods['climate'].classes[1]} ✗ {mods['climate'].classes[2]}",
        *(f"rain ({c}): 1 mm" for c in "abcd"),
        "rain: 1 more",
    ]
    mods = dict(height=modality_of(earth.elevation_mean.rename("height")))
    assert said_labels(mods, dict(height=[12.3]), dict(height=[8.0])) == "height: 12.3 / 8 m"


def test_dense_tasks_have_three_maps_each_beside_the_image(earth_cover_and_climate):
    "Their maps."
    earth, cover, climate = earth_cover_and_climate
    fig = plot_gallery(cover, earth, cover.trace.sample.values[[60, 80]])
    dense = [t for t in cover.setup.targets if cover.modalities[t].kind in ("image", "mask")]
    assert len([ax for ax in fig.axes if ax.images]) == 2 * (1 + 3 * len(dense))
    plt.close(fig)


def test_the_script_fetches_nothing_and_keeps_its_keys():
    "The explorer."
    # the script fetches nothing, and keeps its keys; the style is that of every page with charts
    assert "lmSuppressShortcuts" in chart_script()
    assert "esm.sh" not in chart_script()
    assert live_chart(alt.Chart(pd.DataFrame(dict(a=[1]))).mark_point())._css == chart_style


def test_the_explorer_answers_to_what_the_browser_would_send(earth_cover_and_climate):
    "The explorer."
    # the explorer answers to what the browser would send: a brush, another epoch, the button
    earth, cover, climate = earth_cover_and_climate
    view = explore(climate, earth)
    view.chart._vl_selections = dict(brush=dict(value=dict(x=[0, 100], y=[0, 100]), store=[]))
    assert len(view.selected) == (earth.split == "test").sum()
    assert f"<b>{len(view.selected)} selected</b>, the 12 worst" in view.table.value
    assert not view.button.disabled
    view.button.click()
    assert view.maps.value.startswith("<img")
    assert 'alt="Input, truth' in view.maps.value
    before = view.table.value
    view.chart.params.epoch = 0
    assert view.table.value != before
    assert view.maps.value == ""
    view.chart._vl_selections = dict(brush=dict(value={}, store=[]))
    assert view.selected == []
    assert "Nothing is selected" in view.table.value
    assert view.button.disabled


def test_a_control_has_its_own_curve(earth_cover_and_climate):
    "The explorer."
    earth, cover, climate = earth_cover_and_climate
    plain, beside = (explore(climate, control=c).chart.chart.to_dict() for c in (None, climate))
    layers = [len(d["vconcat"][0]["layer"]) for d in (plain, beside)]
    assert layers[1] == layers[0] + 1


def test_without_samples_it_says_that_maps_need_them(earth_cover_and_climate):
    "The explorer."
    # without samples it says that maps need them; two runs side by side; an unfinished run is refused
    earth, cover, climate = earth_cover_and_climate
    assert "Maps need the samples" in explore(str(cover.folder)).children[2].value
    title = compare_runs(climate, climate).chart.to_dict()["title"]
    assert title == "climate: climate-mtl, climate and climate-mtl, climate"
    unfinished = type("Unfinished", (), dict(finished=False, __repr__=lambda self: "Run(x)"))()
    with pytest.raises(ValueError, match=r"Run\(x\) is not finished"):
        explore(unfinished)
    with pytest.raises(ValueError, match=r"needs a run, got a dataset; of a trace, `live_chart\("):
        explore(climate.trace)
