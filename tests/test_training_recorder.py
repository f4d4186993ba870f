"""The trace

Written by nbdev-export from the check cells of nbs/api/training/05_recorder.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from fastai.callback.core import Callback
from fastai.learner import Learner

from mtl_explain.data.batches import sample_loaders
from mtl_explain.modality import Modality
from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.losses import MultitaskLoss
from mtl_explain.training.recorder import (
    TraceRecorder, batch_record, channel_record, co_moments, dense_pairs, epoch_dataset, error_values,
    label_confidence, sample_means, sample_record, vector_channels,
)


@pytest.fixture(scope='module')
def cover():
    return Modality("cover", "mask", (1, 3), classes=("a", "b"))


@pytest.fixture(scope='module')
def height():
    return Modality(
        "height", "tabular", (1,), channels=("height",), units="m", mean=(100.0,), std=(10.0,)
    )


@pytest.fixture(scope='module')
def scaling():
    return dict(mean=(10.0, 60.0), std=(5.0, 50.0))


# a learner that barely learns
@pytest.fixture(scope='module')
def samples():
    return toy_samples()


@pytest.fixture(scope='module')
def tiny_learner():
    setup = Setup("optical", ("cover", "elevation", "climate", "warmth"))
    class Tiny(torch.nn.Module):
        "Linear heads on the pixels and on their mean."

        def __init__(self):
            super().__init__()
            self.cover = torch.nn.Conv2d(3, 3, 1)
            self.elevation = torch.nn.Conv2d(3, 1, 1)
            self.climate = torch.nn.Linear(3, 4)
            self.warmth = torch.nn.Linear(3, 1)

        def forward(self, x):
            v = x["optical"].mean((2, 3))
            return dict(
                cover=self.cover(x["optical"]),
                elevation=self.elevation(x["optical"]),
                climate=self.climate(v),
                warmth=self.warmth(v),
            )
    def tiny_learner(samples, **kwargs):
        "The toy experiment, traced."
        dls = sample_loaders(samples, setup, bs=8, device="cpu")
        torch.manual_seed(0)
        return Learner(
            dls,
            Tiny(),
            loss_func=MultitaskLoss(dls.train.mods, setup),
            cbs=TraceRecorder(samples, "cover", **kwargs),
        )
    return tiny_learner


@pytest.fixture(scope='module')
def learn_and_trace(tiny_learner, samples):
    "Two epochs."
    learn = tiny_learner(samples)
    with learn.no_bar(), learn.no_logging():
        learn.fit(2, 1e-2)
    trace = learn.trace_recorder.dataset
    return learn, trace


def test_errors_of_pixels_and_their_mean(cover, height, scaling):
    "Errors of one task."
    logits = 9.0 * torch.eye(2)[torch.tensor([[[0, 0, 1]]])].permute(0, 3, 1, 2)
    wrong = error_values(logits, torch.tensor([[[0, 1, -1]]]), cover)
    np.testing.assert_equal(wrong.numpy(), [[[0, 1, np.nan]]])
    assert sample_means(wrong).tolist() == [0.5]
    assert sample_means(wrong * torch.nan).isnan().all()
    assert error_values(torch.tensor([[3.0]]), torch.tensor([[1.0]]), height).tolist() == [[20]]
    month = Modality("month", "tabular", (2,), channels=("t", "p"), units="°C, mm", **scaling)
    off = error_values(torch.tensor([[1.0, -1.0]]), torch.tensor([[0.0, 1.0]]), month)
    assert off.tolist() == [[1, 2]]


def test_confidence_by_hand(cover, height):
    "Errors of one task."
    # confidence by hand: odds of three to one; two pixels, of which one has no label
    odds = torch.tensor([[np.log(3.0), 0]])
    kind = Modality("kind", "category", classes=("a", "b"))
    assert label_confidence(odds, torch.tensor([1]), kind).item() == pytest.approx(0.75)
    assert label_confidence(odds, torch.tensor([-1]), kind).isnan().all()
    pixels = torch.tensor([[[[np.log(3.0), 5.0]], [[0.0, 0.0]]]])
    assert label_confidence(pixels, torch.tensor([[[0, -1]]]), cover).item() == pytest.approx(0.75)
    assert label_confidence(torch.ones(2, 1), torch.ones(2, 1), height).isnan().all()


def test_a_class_that_is_right_wrong_and_without_a_label():
    "Errors of one task."
    m = Modality("kind", "category", classes=("a", "b", "c"))
    r = sample_record(
        torch.tensor([[9.0, 0, 0], [0, 0, 9.0], [9.0, 0, 0]]), torch.tensor([0, 1, -1]), m
    )
    np.testing.assert_equal(r["error"].numpy(), [0, 1, np.nan])
    np.testing.assert_equal(r["correct"].numpy(), [1, 0, np.nan])
    np.testing.assert_equal(r["predicted"].numpy(), [0, 2, np.nan])
    np.testing.assert_equal(r["truth"].numpy(), [0, 1, np.nan])


def test_a_quantity_two_standard_deviations_of_10_m_too_high(height):
    "Errors of one task."
    r = sample_record(torch.tensor([[3.0]]), torch.tensor([[1.0]]), height)
    assert {k: v.item() for k, v in r.items() if k not in ("correct", "confidence")} == dict(
        loss=4, error=20, predicted=130, truth=110
    )


def test_a_mask_of_four_pixels_one_of_them_wrong_one_unlabelled():
    "Errors of one task."
    y = torch.tensor([[[0, 1], [1, -1]]])
    pred = 9.0 * torch.eye(2)[torch.tensor([[[0, 0], [1, 1]]])].permute(0, 3, 1, 2)
    r = sample_record(pred, y, Modality("cover", "mask", (2, 2), classes=("a", "b")))
    assert r["error"].item() == pytest.approx(1 / 3)
    assert r["correct"].item() == pytest.approx(2 / 3)
    assert r["predicted"].isnan().all()


def test_correlations_from_co_moments_against_numpy():
    "Co-moments of two error maps."
    g = torch.Generator().manual_seed(0)
    a = torch.randn(3, 8, 8, generator=g)
    b = 0.5 * a + torch.randn(3, 8, 8, generator=g) + 1e4
    c = co_moments(a, b).numpy()
    for i in range(3):
        r = np.corrcoef(a[i].double().ravel(), b[i].double().ravel())[0, 1]
        assert c[i, 5] / np.sqrt(c[i, 3] * c[i, 4]) == pytest.approx(r, abs=1e-12)
        np.testing.assert_allclose(
            c[i, :3], [64, a[i].double().mean(), b[i].double().mean()], rtol=1e-12
        )


def test_pixels_that_one_of_the_two_does_not_know_do_not_count():
    "Co-moments of two error maps."
    a = torch.tensor([[[1.0, 2.0], [3.0, torch.nan]]])
    b = torch.tensor([[[2.0, 4.0], [torch.nan, 9.0]]])
    assert co_moments(a, b).tolist() == [[2, 1.5, 3, 0.5, 2, 1]]
    assert co_moments(a * torch.nan, b).tolist() == [[0] * 6]


def test_pairs_on_the_same_grid():
    "Co-moments of two error maps."
    shapes = dict(
        cover=("mask", (8, 8)),
        elevation=("image", (1, 8, 8)),
        coarse=("image", (1, 2, 2)),
        zone=("category", ()),
    )
    extra = dict(mask=dict(classes="ab"), category=dict(classes="ab"), image=dict(channels="z"))
    mods = {n: Modality(n, kind, shape, **extra[kind]) for n, (kind, shape) in shapes.items()}
    assert dense_pairs(mods, tuple(mods)) == [("cover", "elevation")]
    assert dense_pairs(mods, ("coarse", "zone")) == []


def test_several_labels():
    "Channel by channel."
    # several labels: wrong or right one by one, the sample's error is the share of wrong ones
    trees = Modality("trees", "multilabel", (3,), ("oak", "pine", "ash"), ("absent", "present"))
    logits = torch.tensor([[[0.0, 2.0, 0.0], [1.0, 0.0, 3.0]]])  # says: present, absent, present
    found = channel_record(logits, torch.tensor([[1, 1, -1]]), trees)
    assert found["channel_error"][0, :2].tolist() == [0, 1]
    assert found["channel_error"][0, 2].isnan()
    chances = torch.tensor([1 / (1 + np.exp(-1)), 1 / (1 + np.exp(2))])
    assert torch.allclose(found["channel_loss"][0, :2], -chances.log().float(), atol=1e-5)
    assert sample_record(logits, torch.tensor([[1, 1, -1]]), trees)["error"].item() == 0.5


def test_two_months_of_two_channels_by_hand(scaling, height):
    "Channel by channel."
    # two months of two channels by hand; a missing number leaves the other channel alone
    year = Modality("year", "series", (2, 2), channels=("t", "p"), units="°C, mm", **scaling)
    truth = torch.tensor([[[0.0, 0.0], [0.0, torch.nan]]])
    made = channel_record(torch.tensor([[[1.0, 2.0], [3.0, 9.0]]]), truth, year)
    assert made["channel_error"].tolist() == [[10, 100]]
    assert made["channel_loss"].tolist() == [[5, 4]]
    month = Modality("month", "tabular", (2,), channels=("t", "p"), **scaling)
    made = channel_record(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, torch.nan]]), month)
    np.testing.assert_equal(made["channel_error"].numpy(), [[5, np.nan]])
    assert vector_channels(dict(year=year, height=height), ("height", "year")) == [
        ("year", "year (t)", "°C"),
        ("year", "year (p)", "mm"),
    ]


def test_two_batches_become_one_epoch():
    "One batch, one epoch."
    mods = dict(kind=Modality("kind", "category", classes=("a", "b")))
    batches = [
        (torch.tensor([[9.0, 0], [9.0, 0]]), torch.tensor([0, 1])),
        (torch.tensor([[0.0, 9]]), torch.tensor([1])),
    ]
    records = [batch_record(dict(kind=p), dict(kind=y), mods, ("kind",)) for p, y in batches]
    epoch = epoch_dataset(records, 7, ("kind",), mods, dict(sample=["s1", "s2", "s3"]))
    assert epoch.error.sel(epoch=7, task="kind").values.tolist() == [
        0,
        1,
        0,
    ]
    assert epoch.kind.values.tolist() == ["category"]
    assert "moments" not in epoch
    assert epoch.truth.dims == ("sample", "task")


def test_the_form_that_everything_else_relies_on(learn_and_trace):
    "A trace."
    learn, trace = learn_and_trace
    assert trace.sizes == dict(
        epoch=2, sample=32, task=4, pair=1, moment=6, shown=6, y=16, x=16, level=1
    )
    assert set(trace.split.values) == {"valid", "test"}
    assert trace.attrs["main"] == "cover"
    assert (trace.pair_x.item(), trace.pair_y.item()) == ("cover", "elevation")
    assert trace.truth.dims == ("sample", "task")
    assert "group" in trace.coords


def test_the_trace_agrees_with_a_direct_evaluation_of_the_network(learn_and_trace, samples):
    "A trace."
    learn, trace = learn_and_trace
    last = trace.isel(epoch=-1)
    dl = learn.dls[2]
    test = last.isel(sample=np.flatnonzero(last.split.values == "test"))
    x, y = next(iter(dl.new(bs=16)))
    with torch.no_grad():
        preds = learn.model.eval()(x)
    np.testing.assert_allclose(
        test.error.sel(task="cover"),
        (preds["cover"].argmax(1) != y["cover"]).float().mean((1, 2)),
        rtol=1e-5,
    )
    entropy = torch.nn.functional.cross_entropy(preds["climate"], y["climate"], reduction="none")
    np.testing.assert_allclose(test.loss.sel(task="climate"), entropy, rtol=1e-4)
    metres = (preds["elevation"] - y["elevation"]).abs().mean((1, 2, 3)) * dl.mods["elevation"].std[0]
    np.testing.assert_allclose(test.error.sel(task="elevation"), metres, rtol=1e-4)
    np.testing.assert_allclose(
        test.truth.sel(task="warmth"), samples.warmth.sel(sample=test.sample).values[:, 0], rtol=1e-5
    )
    shown = [i for i, s in enumerate(test.sample.values) if s in last.shown.values]
    np.testing.assert_array_equal(
        last.map_cover.sel(shown=test.sample[shown].values), preds["cover"].argmax(1)[shown]
    )


def test_the_constants_in_the_trace_are_those_of_a_network_that_always_says_the(learn_and_trace, samples):
    "A trace."
    # the constants in the trace are those of a network that always says the same
    learn, trace = learn_and_trace
    dl = learn.dls[2]
    _, y = next(iter(dl.new(bs=16)))
    test = trace.isel(epoch=-1, sample=np.flatnonzero(trace.split.values == "test"))
    train = samples.isel(sample=np.flatnonzero(samples.split.values == "train"))
    frequent = int(np.bincount(train.cover.values.ravel()).argmax())
    always = torch.eye(3)[frequent].reshape(1, 3, 1, 1).expand(16, 3, 16, 16)
    middle = torch.quantile(torch.tensor(train.warmth.values), 0.5, dim=0)
    warm = dl.mods["warmth"].standardise(middle.expand(16, 1))
    for task, pred in dict(cover=always, warmth=warm).items():
        record = sample_record(pred, y[task], dl.mods[task])
        np.testing.assert_allclose(test.constant_error.sel(task=task), record["error"], rtol=1e-4)
    mean = sample_record(torch.zeros(16, 1, 16, 16), y["elevation"], dl.mods["elevation"])
    np.testing.assert_allclose(test.constant_loss.sel(task="elevation"), mean["loss"], rtol=1e-4)
    assert test.constant_error.dims == test.constant_loss.dims == ("sample", "task")


def test_only_validation_after_a_training_epoch_is_traced(tiny_learner, samples):
    "A trace."
    class Stop(Callback):
        def after_batch(self):
            if self.training:
                raise KeyboardInterrupt


    fresh = tiny_learner(samples, splits=("valid",), shown=0)
    with fresh.no_bar(), fresh.no_logging():
        fresh.validate()
        with pytest.raises(KeyboardInterrupt):
            fresh.fit(1, cbs=Stop())
        fresh.validate()
        assert not fresh.trace_recorder.epochs
        fresh.fit(1)
        fresh.validate()
    t = fresh.trace_recorder.dataset
    assert t.sizes["epoch"] == 1
    assert set(t.split.values) == {"valid"}
    assert not [v for v in t if v.startswith("map_")]


def test_the_training_split_can_be_traced_in_the_order_of_its_samples(tiny_learner, samples):
    "A trace."
    both = tiny_learner(samples, splits=("train", "valid"))
    with both.no_bar(), both.no_logging():
        both.fit(1)
    t = both.trace_recorder.dataset
    assert t.sample.values.tolist() == [
        *samples.sample.values[samples.split.values == "train"],
        *samples.sample.values[samples.split.values == "valid"],
    ]
    np.testing.assert_array_equal(t.truth.sel(task="climate"), samples.climate.sel(sample=t.sample))
    assert t.shown.values.tolist() == t.sample.values[np.linspace(0, 79, 6).astype(int)].tolist()
    agrees = (t.map_cover[0].values == samples.cover.sel(sample=t.shown)).mean(("y", "x"))
    np.testing.assert_allclose(agrees, t.correct.sel(task="cover", sample=t.shown)[0], rtol=1e-6)


def test_splits_that_are_not_there(samples, tiny_learner):
    "A trace."
    with pytest.raises(ValueError, match="no split 'dev'; choose of train, valid, test"):
        TraceRecorder(samples, "cover", splits=("dev",))
    untested = tiny_learner(samples.isel(sample=samples.split.values != "test"), splits=("test",))
    with (
        pytest.raises(ValueError, match="nothing to trace: these samples have none of the splits test"),
        untested.no_bar(),
    ):
        untested.fit(1)
    assert not untested.trace_recorder.epochs


def test_a_missing_label_is_nan_in_all_variables_of_its_task_and_only_there(samples, tiny_learner):
    "A trace."
    holes = samples.copy(deep=True)
    holes["climate"][:] = -1
    holed = tiny_learner(holes)
    with holed.no_bar(), holed.no_logging():
        holed.fit(1)
    t = holed.trace_recorder.dataset
    for k in ("loss", "error", "correct", "predicted"):
        assert np.isnan(t[k].sel(task="climate")).all()
    assert not np.isnan(t.error.sel(task="cover")).any()


def test_before_the_first_epoch_there_is_no_trace(tiny_learner, samples):
    "A trace."
    with pytest.raises(ValueError, match="train at least one epoch"):
        tiny_learner(samples).trace_recorder.dataset


def test_errors_of_every_sample_and_task_after_each_epoch(learn_and_trace):
    "A trace."
    learn, trace = learn_and_trace
    fig, axs = plt.subplots(1, 2, figsize=(8, 3), layout="constrained", sharey=True)
    for ax, e in zip(axs, trace.epoch.values, strict=True):
        error = trace.error.sel(epoch=e)
        shares = error / error.max("sample")
        mesh = ax.pcolormesh(
            trace.task.values, np.arange(shares.sizes["sample"]), shares, cmap="Greys", vmin=0, vmax=1
        )
        ax.set(title=f"epoch {e}", xlabel="task")
    axs[0].set_ylabel("sample")
    fig.colorbar(mesh, ax=axs, label="error / largest")
    assert len(fig.axes) == 3
