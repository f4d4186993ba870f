"""The learner

Written by nbdev-export from the check cells of nbs/api/training/07_learner.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import pickle
import tempfile
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from mtl_explain.data.batches import sample_loaders
from mtl_explain.data.samples import modalities
from mtl_explain.modality import modality_of
from mtl_explain.setup import Setup, main_share
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.learner import (
    as_prediction, layer_groups, multitask_learner, predict_samples, seeded_network,
)


# weights of a part, as one vector
def weights_of(part):
    return torch.cat([p.flatten() for p in part.parameters() if p.ndim > 1]).detach().clone()


# the toy world
@pytest.fixture(scope='module')
def samples():
    return toy_samples(384)


@pytest.fixture(scope='module')
def setup():
    unet = dict(optical=dict(type="unet", width=8, depth=2))
    return Setup(unet, main_share(("cover", "elevation", "climate", "warmth"), 0.5))


@pytest.fixture(scope='module')
def learn(samples, setup):
    "Five epochs."
    learn = multitask_learner(samples, setup, bs=16, device="cpu")
    with learn.no_bar():
        learn.fit_one_cycle(5, 1e-2)
    return learn


@pytest.fixture(scope='module')
def valid(samples):
    "The validation samples."
    return samples.isel(sample=samples.split.values == "valid")


def test_what_was_learnt_beats_the_most_frequent_class_and_the_mean(learn, samples):
    "Learning the toy world."
    score = learn.scores("test").set_index(["task", "metric"]).value
    cover = samples.cover.values[samples.split.values == "test"]
    assert score["cover", "accuracy"] > np.bincount(cover.ravel()).max() / cover.size + 0.05
    assert score["warmth", "r2"] > 0.5
    learn.scores("test")


def test_the_error_of_each_task_over_the_epochs(learn):
    "Learning the toy world."
    fig, ax = plt.subplots(figsize=(5, 2.6), layout="constrained")
    error = learn.trace.error.mean("sample")
    for t, color in zip(error.task.values, ("#0173b2", "#de8f05", "#029e73", "#cc78bc"), strict=True):
        ax.plot(error.epoch, error.sel(task=t) / error.sel(task=t)[0], "o-", label=t, color=color)
    ax.set(
        title="error of each task",
        xlabel="epoch",
        ylabel="relative to epoch 0",
        xticks=error.epoch.values,
        ylim=(0, None),
    )
    ax.legend(fontsize=8, ncol=2)
    assert len(ax.lines) == 4
    assert (error[-1] < error[0]).all()


def test_two_identical_seeds_give_identical_traces_another_seed_another_one(samples, setup):
    "Learning the toy world."
    def trained(seed):
        learn = multitask_learner(samples, setup, seed=seed, bs=32, device="cpu")
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(1, 1e-2)
        return learn.trace


    first = trained(0)
    assert first.identical(trained(0))
    assert not first.equals(trained(1))


def test_making_a_network_leaves_the_global_random_state_alone(samples, setup):
    "Learning the toy world."
    before = torch.random.get_rng_state()
    seeded_network(modalities(samples), setup, 3)
    assert torch.equal(before, torch.random.get_rng_state())
    for seed in (-1, 2**32, 0.5, "1", True):
        with pytest.raises(ValueError, match="seed is .*, expected a whole number from 0 to"):
            seeded_network(modalities(samples), setup, seed)


def test_a_learner_without_a_trace_says_so_and_an_unknown_split_too(samples, setup):
    "Learning the toy world."
    plain = multitask_learner(samples, setup, trace=(), device="cpu")
    with pytest.raises(NotImplementedError, match="`learn.export.folder.` keeps"):
        pickle.dumps(plain)
    with pytest.raises(ValueError, match="keeps no trace"):
        plain.trace
    with pytest.raises(ValueError, match="no split 'dev'; this learner has train, valid, test"):
        plain.scores("dev")


def test_described_like_the_original(samples):
    "Prediction."
    for name in ("cover", "elevation", "climate"):
        assert modalities(samples)[name] == modality_of(
            as_prediction(samples[name].values, modalities(samples)[name])
        )


def test_the_auxiliary_modalities_can_be_taken_away_the_predictions_stay(learn, samples):
    "Prediction."
    full = learn.predict(samples)
    bare = learn.predict(samples[["optical"]])
    assert full.equals(bare)
    assert bare.sizes["sample"] == 384
    described = {n: (v.attrs["kind"], v.attrs.get("units", "")) for n, v in bare.items()}
    assert described == dict(
        cover=("mask", ""), elevation=("image", "m"), climate=("category", ""), warmth=("tabular", "°C")
    )


def test_predictions_agree_with_the_trace(learn, samples):
    "Prediction."
    last = learn.trace.isel(epoch=-1)
    one = learn.predict(samples.sel(sample=last.sample))
    np.testing.assert_allclose(one.warmth[:, 0], last.predicted.sel(task="warmth"), rtol=1e-4)
    assert (one.climate.values == last.predicted.sel(task="climate")).all()


def test_probabilities_of_every_class_by_name_the_likeliest_is_the_label_and_64(samples, learn):
    "Prediction."
    # probabilities: of every class, by name; the likeliest is the label, and 64 degrees make all alike
    few = samples[["optical"]].isel(sample=slice(0, 9))
    told = learn.predict(few, probabilities=True)
    assert told.climate_probability.dims == ("sample", "class_climate")
    assert told.cover_probability.dims == ("sample", "class_cover", "cover_y", "cover_x")
    for task in ("climate", "cover"):
        chance = told[f"{task}_probability"]
        np.testing.assert_allclose(chance.sum(f"class_{task}"), 1, atol=1e-5)
        assert (chance.argmax(f"class_{task}") == told[task]).all()
        assert (told[f"{task}_confidence"] == chance.max(f"class_{task}")).all()
    assert "warmth_probability" not in told
    warm = predict_samples(learn.model, samples[["optical"]], 64, True, True, dict(climate=64.0))
    assert warm.climate_confidence.max() < told.climate_confidence.min()


def test_another_image_size_and_a_missing_input(learn, samples):
    "Prediction."
    assert learn.predict(toy_samples(4, size=48)).cover.shape == (4, 48, 48)
    with pytest.raises(
        ValueError, match="input modality 'optical' is missing: the network reads optical"
    ):
        learn.predict(samples[["elevation"]])


def test_bands_in_another_order_gaps_and_numbers_of_another_kind(samples, learn):
    "Prediction."
    few = samples.isel(sample=slice(0, 30))[["optical"]]
    assert learn.predict(few.isel(band=[2, 1, 0])).equals(learn.predict(few))
    with pytest.raises(ValueError, match="channels are red, green; the network was trained on red, "):
        learn.predict(few.isel(band=[0, 1]))
    values = few.optical.astype("float32")
    for other, match in (
        (values.where(values > 40), r"missing values \(NaN\) in .* of 30 samples"),
        (values / 255, "'optical' was .* in training: other units, or another type of numbers"),
    ):
        changed = few.assign(optical=other.assign_attrs(few.optical.attrs))
        with pytest.raises(ValueError, match=match):
            learn.predict(changed)
    dark = few.assign(optical=(values / 255).assign_attrs(few.optical.attrs))
    assert "cover" in learn.predict(dark, check_range=False)


def test_predictions_of_a_split(learn, valid, setup):
    "Prediction."
    # predictions of a split: fastai's places, a dictionary in each
    with learn.no_bar():
        inputs, chances, truths, decoded, losses = learn.get_preds(
            with_input=True, with_decoded=True, with_loss=True
        )
        assert len(learn.get_preds()) == 2
    found = learn.predict(valid, probabilities=True)
    n = valid.sizes["sample"]
    assert inputs["optical"].shape == (n, 3, 16, 16)
    for task in setup.targets:
        np.testing.assert_allclose(truths[task], valid[task], rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(decoded[task], found[task], rtol=1e-4, atol=1e-3)
        recorded = learn.trace.loss.isel(epoch=-1).sel(task=task, sample=valid.sample)
        np.testing.assert_allclose(losses[task], recorded, rtol=1e-4, atol=1e-5)
    for task in ("cover", "climate"):
        np.testing.assert_allclose(chances[task], found[f"{task}_probability"], atol=1e-5)


def test_a_loader_that_shuffles_comes_back_in_order(learn, valid):
    "Prediction."
    # a loader that shuffles comes back in order; new samples have no truth; raw outputs if asked for
    with learn.no_bar():
        in_order, _ = learn.get_preds(dl=learn.dls.valid)
        mixed, _ = learn.get_preds(dl=learn.dls.valid.new(shuffle=True, seed=3))
        as_drawn, _ = learn.get_preds(dl=learn.dls.valid.new(shuffle=True, seed=3), reorder=False)
        logits, _ = learn.get_preds(act=lambda raw: raw)
        new, nothing = learn.get_preds(dl=learn.dls.test_dl(valid[["optical"]]))
        with pytest.raises(ValueError, match="with_loss needs truths: .*with_labels=True"):
            learn.get_preds(dl=learn.dls.test_dl(valid[["optical"]]), with_loss=True)
    assert nothing is None
    for task, values in in_order.items():
        torch.testing.assert_close(mixed[task], values)
        torch.testing.assert_close(new[task], values)
    assert not torch.equal(as_drawn["warmth"], in_order["warmth"])
    torch.testing.assert_close(logits["climate"].softmax(1), in_order["climate"])


def test_bfloat16_rounds_a_little_learns_the_same_and_leaves_no_mark(samples, setup):
    "Prediction."
    # bfloat16 rounds a little, learns the same, and leaves no mark; unknown names are refused
    def score_of(precision):
        learn = multitask_learner(samples, setup, bs=32, device="cpu", precision=precision)
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(3, 1e-2)
        assert {p.dtype for p in learn.model.parameters()} == {torch.float32}
        assert learn.model(learn.dls.one_batch()[0])["warmth"].dtype == torch.float32
        return learn, learn.scores("valid").set_index(["task", "metric"]).value


    (_, exact), (learn_half, half) = map(score_of, ("fp32", "bf16"))
    assert not exact.equals(half)
    assert abs(exact["warmth", "r2"] - half["warmth", "r2"]) < 0.1
    assert abs(exact["cover", "accuracy"] - half["cover", "accuracy"]) < 0.05
    assert learn_half.trace.loss.dtype == "float32"
    preds, _ = learn_half.get_preds()
    assert preds["warmth"].dtype == torch.float32
    with pytest.raises(RuntimeError), learn_half.no_bar(), learn_half.no_logging():
        learn_half.model.body.register_forward_hook(lambda *_: torch.zeros(1))
        learn_half.fit(1)
    assert not torch.is_autocast_enabled("cpu")
    with pytest.raises(ValueError, match="precision is 'half', expected 'fp32' or 'bf16'"):
        multitask_learner(samples, setup, precision="half")


def test_an_answer_about_a_mirrored_image_is_mirrored_back(learn, valid, samples):
    "Prediction."
    # an answer about a mirrored image is mirrored back; the mean of the views is a mean
    with learn.no_bar():
        (turned, plain), truths = learn.tta(n=1, beta=None)
        mixed, _ = learn.tta(n=1)
        mirrored = valid.assign(optical=valid.optical[..., ::-1])
        by_hand, _ = learn.get_preds(dl=learn.dls.test_dl(mirrored))
    torch.testing.assert_close(turned["cover"], by_hand["cover"].flip(-1))
    torch.testing.assert_close(turned["climate"], by_hand["climate"])
    torch.testing.assert_close(mixed["warmth"], 0.75 * turned["warmth"] + 0.25 * plain["warmth"])
    assert truths["cover"].shape == turned["cover"].argmax(1).shape
    no_image = multitask_learner(samples, Setup("months", "warmth"), trace=(), device="cpu")
    with pytest.raises(ValueError, match="tta turns images, and this network reads none .*months"):
        no_image.tta()
    with pytest.raises(ValueError, match="there is no other view: n is 0"):
        learn.tta(n=0)


def test_the_search_for_a_learning_rate_leaves_no_mark_a_second_fit_goes_on(samples, setup):
    "It stays fastai."
    with tempfile.TemporaryDirectory() as folder:
        other = multitask_learner(samples, setup, bs=32, device="cpu", path=folder)
        with other.no_bar():
            other.lr_find(num_it=12, show_plot=False)
        assert not other.trace_recorder.epochs
        assert other.seed_epochs.done == 0
    plain = multitask_learner(samples, setup, bs=32, device="cpu")
    for one in (other, plain):
        with one.no_bar(), one.no_logging():
            one.fit(1, 1e-3)
            one.fit(1, 1e-3)
    assert other.trace.epoch.values.tolist() == [0, 1]
    assert other.trace.identical(plain.trace)


def test_frozen_the_body_stays_as_it_is(samples, setup):
    "It stays fastai."
    # frozen, the body stays as it is; fine-tuned, everything learns, and the table has all epochs
    tuned = multitask_learner(samples, setup, bs=32, device="cpu")
    assert tuned.table.empty


    before = weights_of(tuned.model.body), weights_of(tuned.model.heads)
    with tuned.no_bar(), tuned.no_logging():
        tuned.freeze()
        tuned.fit(1, 1e-3)
        assert torch.equal(weights_of(tuned.model.body), before[0])
        assert not torch.equal(weights_of(tuned.model.heads), before[1])
        tuned.fine_tune(1, 1e-3)
        assert not torch.equal(weights_of(tuned.model.body), before[0])
        tuned.validate()
        tuned.get_preds()
    assert tuned.table.epoch.tolist() == tuned.trace.epoch.values.tolist() == [0, 1, 2]
    assert {"train_loss", "valid_loss", "cover_accuracy", "seconds"} <= set(tuned.table)
    assert [h["lr"] for h in tuned.opt.hypers][0] < tuned.opt.hypers[1]["lr"]


def test_encoders_that_began_from_weights_of_others_are_a_group_of_their_own(samples):
    "It stays fastai."
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "learnt.safetensors")
        save_file(timm.create_model("resnet10t").state_dict(), path)
        read = dict(optical=dict(type="timm:resnet10t", weights=path), elevation={})
        gentle = Setup(inputs=read, targets="warmth")
        tuned = multitask_learner(samples, gentle, bs=32, device="cpu", trace=())
        sizes = [len(g) for g in layer_groups(tuned.model)]
        body = tuned.model.body
        assert sizes[0] == len(list(body.encoders["optical"].parameters()))
        assert sum(sizes) == len(list(tuned.model.parameters()))
        before = [weights_of(body.encoders[n]) for n in ("optical", "elevation")]
        with tuned.no_bar(), tuned.no_logging():
            tuned.freeze_to(1)
            tuned.fit(1, 1e-3)
            assert torch.equal(weights_of(body.encoders["optical"]), before[0])
            assert not torch.equal(weights_of(body.encoders["elevation"]), before[1])
            tuned.unfreeze()
            tuned.fit_one_cycle(1, slice(1e-5, 1e-3))
        assert not torch.equal(weights_of(body.encoders["optical"]), before[0])
        rates = [h["lr"] for h in tuned.opt.hypers]
        assert rates[0] < rates[1] < rates[2]
        frozen = dict(optical=read["optical"] | dict(freeze=True), elevation={})
        tuned = multitask_learner(samples, Setup(frozen, "warmth"), bs=32, device="cpu", trace=())
        assert len(layer_groups(tuned.model)) == 2
        with tuned.no_bar(), tuned.no_logging():
            tuned.fit(1, 1e-3)
        assert torch.equal(weights_of(tuned.model.body.encoders["optical"]), before[0])


def test_weights_know_their_epoch_also_when_earlier_ones_come_back(samples, setup):
    "It stays fastai."
    # weights know their epoch, also when earlier ones come back; others are of none
    with tempfile.TemporaryDirectory() as folder:
        one = multitask_learner(samples, setup, bs=64, device="cpu", path=folder)
        with one.no_bar(), one.no_logging():
            assert one.history.epoch_of(one.model) is None
            one.fit(1, 1e-3)
            one.save("first")
            one.fit(1, 1e-3)
            assert one.history.epoch_of(one.model) == 1
            one.load("first")
    assert one.history.epoch_of(one.model) == 0
    with torch.no_grad():
        next(one.model.parameters()).mul_(2)
    assert one.history.epoch_of(one.model) is None


def test_on_a_gpu_where_there_is_one_in_half_precision(samples, setup):
    "It stays fastai."
    if torch.cuda.is_available():
        half = multitask_learner(samples, setup, bs=16).to_fp16()
        with half.no_bar(), half.no_logging():
            half.fit(1, 1e-3)
        assert np.isfinite(half.trace.loss).all()
    assert (
        next(multitask_learner(samples, setup).model.parameters()).device
        == sample_loaders(samples, setup).device
    )
