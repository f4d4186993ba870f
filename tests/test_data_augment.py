"""Augmentation

Written by nbdev-export from the check cells of nbs/api/data/06_augment.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from fastai.callback.core import Callback
from matplotlib.colors import ListedColormap
from scipy import ndimage
from torchvision.transforms.v2 import functional as V

from mtl_explain.data.augment import (
    Augment, augment_batch, augmentation, draw_look, draw_place, move, move_back, relight, turn_views,
)
from mtl_explain.data.batches import sample_loaders
from mtl_explain.modality import Modality
from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.learner import multitask_learner
from mtl_explain.training.runs import train_run


# the callback in a short training
class Seen(Callback):
    "Keeps what the network gets to see."

    order = 50

    def before_fit(self):
        self.batches = []

    def before_batch(self):
        self.batches.append((self.training, self.xb[0]["optical"].clone()))
def train(*cbs, epochs=1, seed=0, resumed=0):
    small = toy_samples(n=24, size=16)
    learner = multitask_learner(
        small,
        Setup(dict(optical=dict(width=4)), ("cover", "elevation")),
        bs=8,
        seed=seed,
        trace=(),
        device="cpu",
        cbs=[*cbs, seen := Seen()],
    )
    learner.seed_epochs.done = resumed
    with learner.no_bar(), learner.no_logging():
        learner.fit(epochs)
    return seen.batches


# a setup that varies its photographs
class StopAt(Callback):
    "Somebody who presses Ctrl-C in the middle of an epoch."

    def __init__(self, epoch):
        self.at = epoch

    def after_batch(self):
        if self.training and self.epoch == self.at and self.iter:
            raise KeyboardInterrupt


@pytest.fixture(scope='module')
def still():
    "Nothing is moved."
    return dict(flip=False, turns=0, zoom=1, shift=[0, 0])


# a batch of the toy world, with an image, heights and classes
@pytest.fixture(scope='module')
def world_loader_x_and_y():
    world = toy_samples(n=48, size=64)
    roles = Setup(("optical", "months"), ("cover", "elevation", "warmth"))
    loader = sample_loaders(world, roles, bs=4, device="cpu").train
    x, y = next(iter(loader))
    return world, loader, x, y


@pytest.fixture(scope='module')
def places_and_looks():
    rng = np.random.default_rng(4)
    places = [draw_place(rng) for _ in range(4)]
    looks = [draw_look(rng) for _ in range(4)]
    return places, looks


@pytest.fixture(scope='module')
def varied():
    "A setup that varies its photographs."
    return Setup(
        dict(optical=dict(width=4)),
        ("cover", "elevation"),
        training=dict(augment=dict(photos=["optical"], place=dict(zoom=0.2))),
    )


def test_four_pixels_by_hand(still):
    "Where things are."
    tiny = torch.tensor([[0.0, 1], [2, 3]])
    assert move(tiny, still | dict(flip=True), True, [0]).tolist() == [[1, 0], [3, 2]]
    assert move(tiny, still | dict(turns=1), True, [0]).tolist() == [[1, 3], [0, 2]]
    assert move(tiny, still | dict(flip=True, turns=1), True, [0]).tolist() == [[0, 2], [1, 3]]
    seen = [
        move(tiny, still | dict(flip=flip, turns=turns), True, [0]).flatten().tolist()
        for flip in (False, True)
        for turns in range(4)
    ]
    assert len(set(map(tuple, seen))) == 8
    wide = torch.arange(6.0).reshape(2, 3)
    assert torch.equal(move(wide, still | dict(turns=1), True, [0]), wide)
    assert torch.equal(move(wide, still | dict(turns=3), True, [0]), wide.flip(0, 1))
    shifted = move(torch.ones(1, 4, 4), still | dict(shift=[0.25, 0]), True, [-1])
    assert shifted[0].tolist() == [[-1, 1, 1, 1]] * 4, "a quarter to the right"


def test_zoom_and_shift_against_scipy(still):
    "Where things are."
    rng = np.random.default_rng(0)
    v = rng.random((20, 20))
    c = 9.5
    for zoom, dx, dy in ((1.37, 2, -1), (0.61, -1, 3), (1, 4, 2)):
        place = still | dict(zoom=zoom, shift=[dx / 20, dy / 20])
        origin = [c - (c + dy) / zoom, c - (c + dx) / zoom]
        inside = ndimage.affine_transform(np.ones((20, 20)), np.eye(2) / zoom, origin, order=1) == 1
        for order, nearest in ((0, True), (1, False)):
            other = ndimage.affine_transform(v, np.eye(2) / zoom, origin, order=order, cval=-1)
            ours = move(torch.tensor(v)[None], place, nearest, [-1])[0].numpy()
            np.testing.assert_allclose(ours[inside], other[inside], atol=1e-5)
            assert inside.sum() > 80


def test_labels_stay_labels_unknown_stays_unknown_and_nothing_is_invented(still):
    "Where things are."
    labels = torch.randint(-1, 4, (1, 24, 24), generator=torch.Generator().manual_seed(0))
    heights = torch.where(labels == -1, torch.nan, 3.0 * labels)
    for seed in range(20):
        place = draw_place(np.random.default_rng(seed))
        a = move(labels, place, True, [-1])
        b = move(heights, place, True, [torch.nan])
        assert a.dtype == torch.long
        assert a.unique().tolist() == [-1, 0, 1, 2, 3]
        assert torch.equal(torch.where(a == -1, torch.nan, 3.0 * a).nan_to_num(-9), b.nan_to_num(-9))
    places = [draw_place(np.random.default_rng(s)) for s in range(400)]
    assert 0.5 <= min(p["zoom"] for p in places) < 0.52
    assert 1.48 < max(p["zoom"] for p in places) <= 1.5
    assert 0.09 < max(abs(s) for p in places for s in p["shift"]) <= 0.1
    assert 150 < sum(p["flip"] for p in places) < 250
    assert all(70 < sum(p["turns"] == t for p in places) < 130 for t in range(4))
    assert draw_place(np.random.default_rng(1), False, False, 0, 0) == still


def test_light_by_hand():
    "How things look."
    grey = torch.tensor([0.25, 0.75]).repeat(3, 4, 2)
    plain = dict(brightness=1.0, contrast=1.0, gamma=1.0, blur=0.0, noise=0.0, seed=0)
    torch.testing.assert_close(relight(grey, plain), grey)
    torch.testing.assert_close(relight(grey, plain | dict(brightness=0.8)), grey * 0.8)
    torch.testing.assert_close(relight(grey, plain | dict(gamma=1.2)), grey**1.2)
    torch.testing.assert_close(relight(grey, plain | dict(contrast=0.5)), 0.5 + 0.5 * (grey - 0.5))
    photo = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0))
    for factor in (0.7, 1.4):  # against torchvision's own, which know one and three channels
        brighter = relight(photo, plain | dict(brightness=factor))
        torch.testing.assert_close(brighter, V.adjust_brightness(photo, factor))
        harder = relight(photo, plain | dict(contrast=factor))
        torch.testing.assert_close(harder, V.adjust_contrast(photo, factor))
    big = torch.full((3, 64, 64), 0.5)
    assert relight(big, plain | dict(noise=0.02)).std().item() == pytest.approx(0.02, rel=0.03)
    assert relight(grey, plain | dict(brightness=1.4)).max().item() == 1, "white is white"
    for sigma in (0.6, 1, 2.1):
        blurred = ndimage.gaussian_filter(photo[0].numpy(), sigma, truncate=2, mode="mirror")
        ours = relight(photo, plain | dict(blur=sigma))[0]
        np.testing.assert_allclose(ours, blurred, atol=1e-5)


def test_before_and_after(world_loader_x_and_y, places_and_looks):
    "A batch."
    world, loader, x, y = world_loader_x_and_y
    places, looks = places_and_looks
    def show(axs, x, y, i):
        photo = loader.mods["optical"].to_native(x["optical"])[i] / 255
        height = loader.mods["elevation"].to_native(y["elevation"])[i, 0]
        cover = np.ma.masked_equal(y["cover"][i].numpy(), -1)
        colors = ListedColormap(world.cover.attrs["colors"])
        axs[0].imshow(photo.permute(1, 2, 0).clamp(0, 1).numpy())
        axs[1].imshow(height.numpy(), cmap="cividis", vmin=0, vmax=1500)
        axs[2].imshow(cover, cmap=colors, vmin=0, vmax=2, interpolation="nearest")
        for ax in axs:
            ax.set(xticks=[], yticks=[], facecolor="white")


    after = augment_batch(x, y, loader.mods, places, looks, ("optical",))
    fig, axs = plt.subplots(2, 9, figsize=(10, 2.6), layout="constrained", dpi=75)
    for i in range(3):
        show(axs[0, 3 * i : 3 * i + 3], x, y, i)
        show(axs[1, 3 * i : 3 * i + 3], *after, i)
    for ax, title in zip(axs[0], 3 * ("photograph", "elevation", "classes"), strict=True):
        ax.set_title(title, fontsize=8)
    for i, place in enumerate(places[:3]):
        mirrored = "mirrored, " if place["flip"] else ""
        label = f"{mirrored}{90 * place['turns']}°, × {place['zoom']:.2f}"
        axs[1, 3 * i].set_xlabel(label, fontsize=8, loc="left")
    assert (after[1]["cover"] == -1).any()
    assert torch.equal(after[1]["cover"] == -1, after[1]["elevation"][:, 0].isnan())


def test_truths_move_together_heights_keep_their_metres(world_loader_x_and_y, places_and_looks):
    "A batch."
    world, loader, x, y = world_loader_x_and_y
    places, looks = places_and_looks
    def classes_of(z):
        return torch.where(z.isnan(), -1, (z > -0.3).long() + (z > 0.5))[:, 0]


    tied = y | dict(cover=classes_of(y["elevation"]))
    new_x, new_y = augment_batch(x, tied, loader.mods, places)
    assert torch.equal(new_y["cover"], classes_of(new_y["elevation"]))
    assert (new_y["cover"] == -1).any()
    for before, moved in zip(tied["elevation"], new_y["elevation"], strict=True):
        assert set(moved[~moved.isnan()].tolist()) <= set(before.flatten().tolist())
    assert new_x["months"] is x["months"]
    assert new_y["warmth"] is y["warmth"]
    assert new_x["optical"].shape == x["optical"].shape
    assert not torch.equal(new_x["optical"], x["optical"])
    assert list(new_x) == list(x)
    assert list(new_y) == list(y)
    _, released = augment_batch(x, tied, loader.mods, places, outside="unchanged")
    edge = new_y["cover"] == -1
    assert not released["cover"][edge].any()
    torch.testing.assert_close(
        loader.mods["elevation"].to_native(released["elevation"])[:, 0][edge],
        torch.zeros(edge.sum()),
        atol=1e-3,
        rtol=0,
    )


def test_light_is_for_photographs_alone(world_loader_x_and_y, still, places_and_looks):
    "A batch."
    # light is for photographs alone; a coarser grid moves along; a photograph that is none
    world, loader, x, y = world_loader_x_and_y
    places, looks = places_and_looks
    lit, same = augment_batch(x, y, loader.mods, [still] * 4, looks, ("optical",))
    assert not torch.equal(lit["optical"], x["optical"])
    assert all(torch.equal(same[n], y[n]) for n in y)
    shown = loader.mods["optical"].to_native(lit["optical"])
    assert -0.01 < shown.min()
    assert shown.max() < 255.01
    spot = torch.zeros(1, 1, 64, 64)
    spot[0, 0, 20:28, 36:44] = 1
    grids = dict(fine=spot, coarse=torch.nn.functional.avg_pool2d(spot, 4))
    mods = {n: Modality(n, "image", v.shape[1:], channels=("z",)) for n, v in grids.items()}
    place = still | dict(zoom=1.3, shift=[0.1, -0.05], turns=1, flip=True)
    pair, _ = augment_batch(grids, {}, mods, [place])
    centre = [
        (np.array(ndimage.center_of_mass(v[0, 0].numpy())) + 0.5) / v.shape[-1] for v in pair.values()
    ]
    np.testing.assert_allclose(*centre, atol=0.01)
    message = "photograph 'optical': values from .*, expected 0 to white=100"
    with pytest.raises(ValueError, match=message):
        augment_batch(x, y, loader.mods, places, looks, ("optical",), white=100)


def test_training_only_by_seed_and_epoch():
    "In a training."
    def of(batches, training):
        return torch.cat([v for t, v in batches if t == training])


    never = train()
    once = train(Augment(["optical"]))
    again = train(Augment(["optical"]))
    twice = train(Augment(["optical"]), epochs=2)
    assert torch.equal(of(once, False), of(never, False))
    assert not torch.equal(of(once, True), of(never, True))
    assert torch.equal(of(once, True), of(again, True))
    assert not torch.equal(of(once, True), of(train(Augment(["optical"], seed=1)), True))
    first, second = of(twice, True).chunk(2)
    assert torch.equal(first, of(once, True))
    assert torch.equal(second, of(train(Augment(["optical"]), resumed=1), True))
    nothing = Augment(place=dict(flip=False, turn=False, zoom=0, shift=0))
    same = torch.equal(of(train(nothing), True), of(never, True))
    assert same, "without photographs and without moves nothing happens"
    with pytest.raises(ValueError, match="photograph 'elevation' is no image among the inputs optical"):
        train(Augment(["elevation"]))
    with pytest.raises(ValueError, match="'unknown' or 'unchanged', got 'zero'"):
        Augment(outside="zero")
    message = "augment: place: there is no option 'rotate'; it has flip, turn, zoom, shift"
    with pytest.raises(ValueError, match=message):
        Augment(place=dict(rotate=90))


def test_a_setup_with_augmentation(varied):
    "In a setup."
    # a setup with augmentation: as the callback by hand, and resumed as if nothing had happened
    small = toy_samples(n=24, size=16)


    def learnt(setup, seed=0, **options):
        learner = multitask_learner(small, setup, bs=8, seed=seed, trace=(), device="cpu", **options)
        with learner.no_bar(), learner.no_logging():
            learner.fit(1)
        return torch.cat([p.flatten() for p in learner.model.parameters()]).detach()


    by_setup = learnt(varied)
    plain = replace(varied, training={})
    assert torch.equal(by_setup, learnt(plain, cbs=[Augment(["optical"], dict(zoom=0.2), seed=0)]))
    assert not torch.equal(by_setup, learnt(plain))
    assert not torch.equal(by_setup, learnt(varied, seed=1))
    with tempfile.TemporaryDirectory() as folder:
        options = dict(epochs=3, bs=8, bar=False, device="cpu")
        whole = train_run(small, varied, Path(folder) / "whole", **options)
        with pytest.raises(KeyboardInterrupt):
            train_run(small, varied, Path(folder) / "stopped", cbs=[StopAt(1)], **options)
        resumed = train_run(small, varied, Path(folder) / "stopped", **options)
        assert resumed.trace.equals(whole.trace)
        assert whole.setup == varied
        for a, b in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
            assert torch.equal(a, b)
        with pytest.raises(FileExistsError, match="setup.training: the folder has .*zoom"):
            train_run(small, plain, Path(folder) / "whole", **options)
    known = "photos, place, look, white, outside, seed"
    mistakes = {
        f"augment: there is no option 'photo'; it has {known}": dict(photo=["optical"]),
        "augment: look: there is no option 'hue'": dict(look=dict(hue=1)),
    }
    for message, options in mistakes.items():
        with pytest.raises(ValueError, match=message):
            augmentation(replace(varied, training=dict(augment=options)))
    assert augmentation(plain) == []


def test_seven_further_views_of_a_square_each_undone_exactly():
    "Several looks at one sample."
    # seven further views of a square, each undone exactly; three of another rectangle
    views = turn_views(Setup("optical", "cover"))
    assert len(set(views)) == 7
    values = torch.arange(24.0).reshape(2, 3, 2, 2)
    seen = set()
    for flip, turns in views:
        place = dict(flip=flip, turns=turns, zoom=1, shift=(0, 0))
        moved = move(values, place, True, [])
        assert torch.equal(move_back(moved, place), values)
        seen.add(tuple(moved[0, 0].flatten().tolist()))
    assert len(seen) == 7
    assert tuple(values[0, 0].flatten().tolist()) not in seen
    assert turn_views(Setup("optical", "cover"), square=False) == [
        (True, 0),
        (False, 2),
        (True, 2),
    ]
    fixed = dict(augment=dict(place=dict(flip=False, turn=False)))
    assert turn_views(Setup("optical", "cover", training=fixed)) == []
