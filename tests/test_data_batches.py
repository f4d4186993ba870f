"""Batches

Written by nbdev-export from the check cells of nbs/api/data/05_batches.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from unittest import mock

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr

from mtl_explain.data.batches import (
    SampleDataset, SampleLoader, as_tensor, class_balance, filter_classes, sample_loaders, scaled_modalities,
    split_loaders, whole_batch,
)
from mtl_explain.data.samples import check_samples, modality_array
from mtl_explain.data.store import open_store, save_samples, stored_statistics
from mtl_explain.modality import modality_of
from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.trace import split_names


# the toy world and an MTL setup on it
@pytest.fixture(scope='module')
def samples():
    return toy_samples()


@pytest.fixture(scope='module')
def setup():
    return Setup(("optical", "months"), ("cover", "elevation", "climate", "warmth"), core="optical")


@pytest.fixture(scope='module')
def dls(samples, setup):
    "The loaders of the toy experiment."
    return sample_loaders(samples, setup, bs=16, device="cpu")


@pytest.fixture(scope='module')
def order(samples, setup):
    "The order in which a fresh loader would visit the training samples."
    def order(seed, epoch):
        dl = sample_loaders(samples, setup, bs=8, seed=seed, device="cpu").train
        dl.set_epoch(epoch)
        return dl.get_idxs()
    return order


def test_against_numpy_over_the_training_split_alone_without_the_missing_value(samples):
    "Scaling."
    holes = samples.copy(deep=True)
    holes["warmth"][0] = np.nan
    scaled = scaled_modalities(holes, ("optical", "warmth", "cover"))
    train = holes.isel(sample=holes.split.values == "train")
    assert list(scaled) == ["optical", "warmth", "cover"]
    assert not scaled["cover"].is_scaled
    v = train.optical.values.astype("float64")
    np.testing.assert_allclose(scaled["optical"].mean, v.mean((0, 2, 3)), rtol=1e-7)
    np.testing.assert_allclose(scaled["optical"].std, v.std((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(
        scaled["warmth"].mean, np.nanmean(train.warmth.values.astype("float64"), 0), rtol=1e-12
    )


def test_a_store_is_not_read_again(samples):
    "Scaling."
    # a store is not read again: its manifest knows; what was changed since, or split otherwise, is
    with tempfile.TemporaryDirectory() as folder:
        stored = open_store(save_samples(samples, Path(folder) / "world", progress=False))
        assert scaled_modalities(stored) == scaled_modalities(samples)
        assert set(stored_statistics(stored, ["optical", "warmth"])) == {"optical", "warmth"}
        warmer = stored.assign(warmth=stored.warmth + 1)
        assert set(stored_statistics(warmer, ["optical", "warmth"])) == {"optical"}
        assert np.isclose(
            scaled_modalities(warmer)["warmth"].mean[0],
            scaled_modalities(samples)["warmth"].mean[0] + 1,
        )
        other = stored.assign_coords(split=("sample", stored.split.values[::-1]))
        assert stored_statistics(other, ["optical", "warmth"]) == {}


def test_a_constant_channel_keeps_its_values_an_empty_one_is_an_error(samples):
    "Scaling."
    flat = samples.copy(deep=True)
    flat["warmth"][:] = 3
    constant = scaled_modalities(flat, ("warmth",))["warmth"]
    assert (constant.mean, constant.std) == ((3.0,), (1.0,))
    given = scaled_modalities(flat, ("warmth",), dict(warmth=dict(mean=[1.0], std=[2.0])))["warmth"]
    assert (given.mean, given.std) == ((1.0,), (2.0,))
    flat["warmth"][:] = np.nan
    with pytest.raises(
        ValueError, match="'warmth' has no value at all in the training split for temperature"
    ):
        scaled_modalities(flat, ("warmth",))


def test_the_training_split_of_an_image_there_and_back(samples):
    "Scaling."
    # the training split of an image, there and back (`Modality.standardise`)
    m = scaled_modalities(samples, ("optical",))["optical"]
    v = torch.tensor(samples.optical.values[samples.split.values == "train"])
    z = m.standardise(v)
    assert torch.allclose(z.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(z.std((0, 2, 3)), torch.ones(3), atol=1e-3)
    assert torch.allclose(m.to_native(z), v.float(), atol=1e-3)


def test_bytes_stay_bytes_every_type_of_number_keeps_its_values_whatever_its():
    "A batch is one indexing operation."
    # bytes stay bytes, every type of number keeps its values, whatever its byte order
    for kind in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "g", "?"):
        for order in "<>":
            v = np.array([0, 1, 1, 0, 1], kind).astype(np.dtype(kind).newbyteorder(order))
            assert as_tensor(v).tolist() == [0, 1, 1, 0, 1]
    assert as_tensor(np.array([200], "u1")).dtype == torch.uint8
    assert as_tensor(np.array([60_000], ">u2")).tolist() == [60_000]
    assert as_tensor(np.array([4_294_967_295], "u4")).tolist() == [4_294_967_295]
    every = np.arange(2**16, dtype="u2")
    assert as_tensor(every).dtype == torch.float32
    assert np.array_equal(as_tensor(every).numpy(), every)
    assert as_tensor(np.array([2**64 - 1], "u8")).tolist() == [2.0**64]  # rounded, never negative
    assert as_tensor(np.array([2.5], ">f4")).dtype == torch.float32


def test_three_samples_out_of_order(samples, setup):
    "A batch is one indexing operation."
    x, y = SampleDataset(samples, setup.inputs, setup.targets)[[3, 1, 4]]
    assert list(x) == ["optical", "months", "months_time"]
    assert list(y) == [
        "cover",
        "elevation",
        "climate",
        "warmth",
    ]
    assert x["optical"].shape == (3, 3, 16, 16)
    assert x["optical"].dtype == torch.uint8
    assert x["months_time"].shape == (3, 12)
    assert (y["cover"][1].numpy() == samples.cover.values[1]).all()


def test_prediction_no_targets_and_every_input(samples, setup):
    "A batch is one indexing operation."
    (x,) = SampleDataset(samples[["optical", "months"]], setup.inputs)[[0]]
    assert list(x) == ["optical", "months", "months_time"]
    with pytest.raises(
        ValueError, match="input modality 'months' is missing: the network reads optical, months"
    ):
        SampleDataset(samples.drop_vars("months"), setup.inputs)


def test_a_loader_of_three_samples(samples):
    "A fastai loader."
    # a loader of three samples: bytes become standard numbers, labels long, times stay
    mods = scaled_modalities(samples)
    few = SampleDataset(samples, ("optical", "months"), ("cover",), rows=[7, 8, 9])
    x, y = next(iter(SampleLoader(few, mods, bs=3)))
    mean, std = (np.reshape(v, (3, 1, 1)) for v in (mods["optical"].mean, mods["optical"].std))
    expected = (samples.optical.values[7:10] - mean) / std
    np.testing.assert_allclose(x["optical"], expected, atol=1e-5)
    assert y["cover"].dtype == torch.int64
    assert x["months_time"][0, 0] == 15


def test_eastings_that_differ_by_centimetres_stay_apart_and_what_is_stored_as():
    "A fastai loader."
    # eastings that differ by centimetres stay apart, and what is stored as whole numbers scales alike
    place = 4_500_000 + np.arange(6) / 100
    stored = xr.Dataset(
        dict(
            easting=modality_array("easting", place[:, None], "tabular"),
            counts=modality_array("counts", np.round(100 * place[:, None]).astype("int64"), "tabular"),
        )
    )
    by_name = {
        n: replace(modality_of(da), mean=(float(da.mean()),), std=(float(da.std()),))
        for n, da in stored.items()
    }
    (x,) = next(iter(SampleLoader(SampleDataset(stored, ("easting", "counts")), by_name, bs=6)))
    expected = (np.arange(6) - 2.5) / np.arange(6).std()
    for name in ("easting", "counts"):
        assert x[name].dtype == torch.float32
        np.testing.assert_allclose(x[name][:, 0], expected, atol=1e-5)


def test_a_copy_keeps_what_concerns_the_samples(samples):
    "A fastai loader."
    drawn = SampleLoader(
        SampleDataset(samples, ("optical",)), bs=8, shuffle=True, seed=4, weights=np.arange(1.0, 97)
    )
    drawn.set_epoch(3)
    copy = drawn.new(bs=16)
    assert (copy.bs, copy.seed, copy.epoch) == (16, 4, 3)
    assert copy.get_idxs() == drawn.get_idxs()
    assert drawn.new(weights=None).weights is None
    assert drawn.new(SampleDataset(samples, ("optical",), rows=[1, 2])).weights is None


def test_a_store_is_asked_for_four_batches_before_they_are_needed_each_sample(samples):
    "A fastai loader."
    # a store is asked for four batches before they are needed, each sample once, in the loader's order
    asked = []
    with tempfile.TemporaryDirectory() as folder:
        stored = open_store(save_samples(samples, Path(folder) / "world", progress=False))
        own = SampleLoader(SampleDataset(stored, ("optical",), ("cover",)), bs=10, shuffle=True)
        noted = mock.patch.object(own.dataset, "read_ahead", asked.append)
        plain = [own.dataset[idxs] for idxs in np.array_split(own.get_idxs(), range(10, 96, 10))]
        threads = threading.active_count()
        with noted:
            for k, (batch, expected) in enumerate(zip(own, plain, strict=True)):
                assert len(asked) == min(k + 1 + own.ahead, 10)
                for part, other in zip(batch, expected, strict=True):
                    assert all(part[name].equal(other[name]) for name in other)
        assert sum(asked, []) == own.get_idxs()
        next(iter(own))  # left in the middle
        assert threading.active_count() == threads
        del stored, own, noted, plain


def test_the_second_half_of_a_batch(samples):
    "A fastai loader."
    # the second half of a batch: its inputs, and the targets of all
    mods = scaled_modalities(samples)
    three = SampleDataset(samples, ("optical", "months"), ("cover",), rows=[7, 8, 9])
    halved = SampleLoader(three, mods, bs=3)
    halved.own_part = lambda n: slice(n // 2, n)
    own, of_all = next(iter(halved.new()))
    x, y = next(iter(SampleLoader(three, mods, bs=3)))
    assert len(own.pop(whole_batch)) == 3
    assert list(own) == list(x) and all(torch.equal(own[n], v[1:]) for n, v in x.items())
    assert torch.equal(of_all["cover"], y["cover"])


def test_each_class_weighs_the_same_in_all(samples):
    "A fastai loader."
    weights = class_balance(samples, "climate")
    train = samples.split.values == "train"
    present = np.unique(samples.climate.values[train])
    assert np.allclose([weights[train & (samples.climate.values == c)].sum() for c in present], 1)
    drawn = SampleLoader(
        SampleDataset(samples, ("optical",), rows=np.flatnonzero(train)),
        bs=8,
        shuffle=True,
        weights=weights[train],
    )
    counts = np.bincount(
        np.concatenate(
            [
                samples.climate.values[train][drawn.shuffle_fn(range(int(train.sum())))]
                for drawn.epoch in range(200)
            ]
        )
    )
    assert np.abs(counts[present] / counts.sum() - 1 / len(present)).max() < 0.01
    with pytest.raises(
        ValueError, match="'cover' is no category of these samples; categories: climate, zone"
    ):
        class_balance(samples, "cover")
    holes = samples.copy(deep=True)
    holes["zone"][np.flatnonzero(train)[:2]] = -1
    with pytest.raises(ValueError, match="2 training samples have no 'zone'"):
        class_balance(holes, "zone")


def test_a_batch_and_where_it_comes_from(dls):
    "A fastai loader."
    x, y = dls.train.one_batch()
    assert {n: tuple(v.shape) for n, v in x.items()} == dict(
        optical=(16, 3, 16, 16), months=(16, 12, 1), months_time=(16, 12)
    )
    assert y["cover"].dtype == torch.int64
    assert y["elevation"].dtype == torch.float32
    assert {s: len(dl.dataset) for s, dl in split_loaders(dls).items()} == dict(
        train=64, valid=16, test=16
    )


def test_processes_that_read_give_the_same_batches_in_the_same_order(samples, setup):
    "A fastai loader."
    def batches_with(workers):
        dl = sample_loaders(samples, setup, bs=10, device="cpu").train.new(num_workers=workers)
        return [y["warmth"] for _, y in dl]


    alone, two = batches_with(0), batches_with(2)
    assert len(alone) == len(two) == 6
    assert all(a.equal(b) for a, b in zip(alone, two, strict=True))


def test_a_store_is_neither_checked_nor_summed_up_again(samples, setup, dls):
    "A fastai loader."
    # a store is neither checked nor summed up again: its manifest says what is in it
    with tempfile.TemporaryDirectory() as folder:
        stored = open_store(save_samples(samples, Path(folder) / "world", progress=False))
        refuse = mock.Mock(side_effect=AssertionError("the values were read again"))
        with (
            mock.patch.dict(check_samples.__globals__, count_faults=refuse),
            mock.patch.dict(scaled_modalities.__globals__, training_statistics=refuse),
        ):
            again = sample_loaders(stored, setup, bs=16, device="cpu")
            assert again.train.mods == dls.train.mods
            with pytest.raises(AssertionError, match="read again"):
                sample_loaders(samples, setup, bs=16, device="cpu")


def test_one_class_only(samples):
    "A fastai loader."
    # one class only: loaders and scaling see nothing else
    some = sample_loaders(
        samples, Setup("optical", "warmth", where=dict(zone="warm half")), bs=8, device="cpu"
    )
    kept = samples.zone.values == samples.zone.attrs["classes"].index("warm half")
    assert [len(dl.dataset) for dl in some.loaders] == [
        int((kept & (samples.split.values == s)).sum()) for s in split_names
    ]
    assert np.isclose(
        some.train.mods["warmth"].mean[0],
        samples.warmth.values[kept & (samples.split.values == "train")].mean(),
    )
    for where, match in (
        (dict(cover="rock"), "'cover' is no category"),
        (dict(zone="north"), "'zone' has no class 'north'; it has warm half, cold half"),
    ):
        with pytest.raises(ValueError, match=match):
            filter_classes(samples, where)
    with pytest.raises(ValueError, match="the split 'valid' has no sample with"):
        filter_classes(samples.isel(sample=samples.split.values == "train"), dict(zone="warm half"))


def test_scaled_with_the_statistics_of_the_training_split_not_of_the_split(samples, dls):
    "A fastai loader."
    # scaled with the statistics of the training split, not of the split itself
    v = samples.warmth.values[samples.split.values == "valid"]
    m = scaled_modalities(samples, ("warmth",))["warmth"]
    y = torch.cat([y["warmth"] for _, y in dls.valid])
    np.testing.assert_allclose(y, (v - m.mean) / m.std, rtol=1e-4, atol=1e-5)
    assert abs(y.mean()) > 1e-3


def test_every_training_sample_once_an_epoch_in_an_order_that_depends_on_seed(order):
    "A fastai loader."
    # every training sample once an epoch, in an order that depends on seed and epoch alone
    assert sorted(order(0, 0)) == list(range(64))
    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_validation_keeps_the_order_of_the_samples(dls, samples):
    "A fastai loader."
    assert dls.valid.get_idxs() == list(range(len(dls.valid.dataset)))
    assert (
        dls.valid.dataset.ids.tolist()
        == samples.sample.values[samples.split.values == "valid"].tolist()
    )


def test_missing_labels_stay_missing(samples, setup):
    "A fastai loader."
    holes = samples.copy(deep=True)
    holes["warmth"][:] = np.where(np.arange(96)[:, None] % 2, np.nan, holes.warmth.values)
    holes["climate"][::2] = -1
    x, y = next(iter(sample_loaders(holes, setup, bs=16, device="cpu").valid))
    assert torch.isnan(y["warmth"]).sum() == 8
    assert (y["climate"] == -1).sum() == 8


def test_channels_that_never_vary_overrides_and_a_series_with_times_by_sample(samples, setup):
    "A fastai loader."
    flat = samples.copy(deep=True)
    flat["warmth"][:] = 3
    fixed = setup.with_options("elevation", scaling=dict(mean=[0.0], std=[1000.0]))
    dls_flat = sample_loaders(flat, fixed, device="cpu")
    x, y = next(iter(dls_flat.valid))
    assert (y["warmth"] == 0).all()
    np.testing.assert_allclose(
        y["elevation"].numpy() * 1000, flat.elevation.values[flat.split.values == "valid"], rtol=1e-5
    )
    own = samples.assign_coords(
        months_time=(("sample", "months_time"), np.random.default_rng(0).uniform(0, 365, (96, 12)))
    )
    x, _ = SampleDataset(own, ("months",), ("warmth",))[[5]]
    np.testing.assert_allclose(x["months_time"][0], own.months_time.values[5], rtol=1e-6)


def test_what_cannot_be_loaded_says_why(samples, setup):
    "A fastai loader."
    with pytest.raises(ValueError, match="split 'valid' is empty"):
        sample_loaders(samples.isel(sample=samples.split.values != "valid"), setup)
    with pytest.raises(ValueError, match="names 'rain'"):
        sample_loaders(samples, Setup("rain", "cover"))


def test_as_the_validation_loader_reads_its_own_samples_with_the_truths_and():
    "A loader of new samples."
    # as the validation loader reads its own samples, with the truths and without
    world = toy_samples(48)
    loaders = sample_loaders(world, Setup(("optical", "months"), ("cover", "warmth")), device="cpu")
    valid = world.isel(sample=world.split.values == "valid")
    own = next(iter(loaders.valid))
    again = next(iter(loaders.test_dl(valid.isel(band=[2, 1, 0]), with_labels=True)))
    for one, other in zip(own, again, strict=True):
        assert list(one) == list(other)
        for name in one:
            assert one[name].equal(other[name])
    (x,) = next(iter(loaders.test_dl(valid, bs=4)))
    assert x["optical"].equal(own[0]["optical"][:4])
    with pytest.raises(ValueError, match="no 'warmth': leave `with_labels` away"):
        loaders.test_dl(valid.drop_vars("warmth"), with_labels=True)


def test_order_and_scaling_as_pictures(order, samples, dls):
    "What it looks like."
    fig, axs = plt.subplots(1, 3, figsize=(10, 2.4), layout="constrained")
    axs[0].imshow([order(0, epoch)[:40] for epoch in range(6)], aspect="auto", cmap="viridis")
    axs[1].hist(samples.optical[:, 1].values.ravel(), 40, color="#0173b2")
    axs[2].hist(
        torch.cat([x["optical"][:, 1] for x, _ in dls.train]).ravel().numpy(), 40, color="#de8f05"
    )
    axs[0].set(title="order of the samples", xlabel="place in the epoch", ylabel="epoch")
    axs[1].set(title="green band, bytes", xlabel="value")
    axs[2].set(title="the same in batches", xlabel="standard deviations from the mean")
    assert axs[1].get_xlim()[1] > 100
    assert axs[2].get_xlim()[1] < 10
