"""Samples and predictions, drawn

Written by nbdev-export from the check cells of nbs/api/show/07_samples.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from mtl_explain.data.samples import modalities
from mtl_explain.datasets import globe
from mtl_explain.setup import Setup
from mtl_explain.show.samples import MultitaskInterpretation, _predicted, batch_samples, plot_samples
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.learner import multitask_learner


@pytest.fixture(scope='module')
def samples_five_learn_and_valid():
    "A world with all five kinds, its loaders, and what they read."
    samples = toy_samples(96)
    five = Setup(
        dict(optical=dict(type="unet", width=4, depth=1), months={}),
        ("cover", "elevation", "climate", "warmth"),
    )
    learn = multitask_learner(samples, five, bs=16, device="cpu")
    valid = samples.isel(sample=samples.split.values == "valid")
    return samples, five, learn, valid


@pytest.fixture(scope='module')
def cover():
    "300 real patches of the Earth, and a small network for land cover."
    earth = globe.load_sample()
    cover = multitask_learner(earth, globe.setups["landcover-mtl"], bs=16, device="cpu")
    with cover.no_bar(), cover.no_logging():
        cover.fit_one_cycle(6, 5e-3)
    return cover


def test_out_of_a_batch_come_the_samples_that_went_in_with_units_and_times(samples_five_learn_and_valid):
    "Out of a batch."
    samples, five, learn, valid = samples_five_learn_and_valid
    back = batch_samples(learn.dls.valid.one_batch(), learn.modalities, valid.sample.values)
    for name in five.names:
        np.testing.assert_allclose(back[name], valid[name], rtol=1e-4, atol=1e-2)
        assert modalities(back)[name].units == modalities(valid)[name].units
    assert (back.sample == valid.sample).all()
    np.testing.assert_allclose(back.months_time[0], samples.months_time)
    assert batch_samples(learn.dls.valid.one_batch(), learn.modalities, n=3).sizes["sample"] == 3


def test_truth_and_prediction_of_a_map_share_one_scale(samples_five_learn_and_valid):
    "A row per sample."
    # truth and prediction of a map share one scale; words tell classes, numbers and mistakes
    samples, five, learn, valid = samples_five_learn_and_valid
    few = valid.isel(sample=slice(0, 3))
    shift = few.elevation.copy(data=few.elevation.values + 100).assign_attrs(few.elevation.attrs)
    guess = xr.Dataset(dict(elevation=shift, climate=(few.climate + 1) % 4))
    axs = plot_samples(few, guess)
    titles = [ax.get_title() for ax in axs[0]]
    k = titles.index("elevation")
    assert titles[k + 1] == "predicted"
    first, second = (axs[0, i].images[0] for i in (k, k + 1))
    assert first.get_clim() == second.get_clim()
    np.testing.assert_allclose(second.get_array() - first.get_array(), 100, rtol=1e-4)
    told = axs[0, -1].texts[0].get_text()
    classes = few.climate.attrs["classes"]
    assert f"climate: {classes[int(few.climate[0])]} ✗ {classes[int(guess.climate[0])]}" in told
    assert f"{float(few.warmth[0, 0]):.4g} °C" in told
    assert [ax.get_ylabel() for ax in axs[:, 0]] == few.sample.values.tolist()
    legend = [t.get_text() for t in axs[0, 0].figure.legends[0].get_texts()]
    assert legend == [few.cover.attrs["classes"][c] for c in np.unique(few.cover)]
    plt.close(axs[0, 0].figure)
    with pytest.raises(ValueError, match="there is no sample to draw"):
        plot_samples(few.isel(sample=[]))


def test_the_batch_that_is_shown_is_the_loaders_by_the_ids_of_its_samples(samples_five_learn_and_valid):
    "Three views of a learner."
    samples, five, learn, valid = samples_five_learn_and_valid
    learn.dls.show_batch(max_n=2)
    figure = plt.gcf()
    order = learn.dls.train.get_idxs()[:2]
    ids = [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()]
    assert ids[:2] == learn.dls.train.dataset.ids[order].tolist()
    plt.close(figure)
    learn.dls.valid.show_batch(learn.dls.valid.one_batch(), max_n=1)
    assert plt.gcf().axes[0].get_ylabel() == "0"
    plt.close("all")


def test_what_is_shown_is_what_the_network_predicts(samples_five_learn_and_valid):
    "Three views of a learner."
    samples, five, learn, valid = samples_five_learn_and_valid
    truth, found = _predicted(learn, learn.dls.valid, [3, 0])
    told = learn.predict(valid)
    for task in five.targets:
        np.testing.assert_allclose(found[task], told[task].isel(sample=[3, 0]), rtol=1e-4, atol=1e-3)
    assert found.sample.values.tolist() == valid.sample.values[[3, 0]].tolist()
    learn.show_results(max_n=2, shuffle=False)
    ids = [ax.get_ylabel() for ax in plt.gcf().axes if ax.get_ylabel()]
    assert ids[:2] == valid.sample.values[:2].tolist()
    plt.close("all")


def test_the_worst_are_those_of_the_trace(cover, samples_five_learn_and_valid):
    "Three views of a learner."
    # the worst are those of the trace; samples without a label are not among them
    samples, five, learn, valid = samples_five_learn_and_valid
    valid_of_earth = cover.trace.sel(task="climate", epoch=5).loss
    mine = valid_of_earth.isel(sample=valid_of_earth.split.values == "valid")
    look = MultitaskInterpretation.from_learner(cover, task="climate")
    values, positions = look.top_losses(5)
    worst = mine.sortby(mine, ascending=False)[:5]
    np.testing.assert_allclose(values, worst, rtol=1e-4)
    assert cover.dls.valid.dataset.ids[positions].tolist() == worst.sample.values.tolist()
    assert look.top_losses(1, largest=False)[0].item() == pytest.approx(float(mine.min()), rel=1e-3)
    some = samples.copy(deep=True)
    some["climate"][:-3] = -1
    few = learn.dls.test_dl(some, with_labels=True)
    values, positions = MultitaskInterpretation.from_learner(learn, dl=few, task="climate").top_losses()
    assert sorted(positions.tolist()) == [93, 94, 95]
    with pytest.raises(ValueError, match="no task 'snow'; it has cover, elevation, climate, warmth"):
        MultitaskInterpretation.from_learner(learn, task="snow")
