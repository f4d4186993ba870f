"""LEVIR-CD

Written by nbdev-export from the check cells of nbs/api/datasets/11_levir.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import io
import shutil
import tempfile
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from PIL import Image

from mtl_explain.data.augment import Augment
from mtl_explain.data.samples import check_samples, describe, modalities, modality_array
from mtl_explain.data.store import read_manifest
from mtl_explain.datasets.levir import (
    _pair, convention, dataset, fetch, load, mask_scale, pair_folder, pair_index, plot_pair, prepare,
    read_pair, recipe, setups, sources, tile_index, to_change,
)
from mtl_explain.networks.multitask import bodies, with_network
from mtl_explain.testing.scene import example_scene, scene_setup
from mtl_explain.training.learner import multitask_learner
from mtl_explain.training.recipe import recipe_table
from mtl_explain.training.runs import train_run


# writes made-up pairs in one of the conventions
def made_up_pair(number, size=32):
    rng = np.random.default_rng(number)
    early = np.clip(rng.normal((90, 120, 70), 6, (size, size, 3)), 1, 255).astype("uint8")
    late = np.clip(early * 0.9 + rng.normal(8, 4, early.shape), 1, 255).astype("uint8")
    change = np.zeros((size, size), "uint8")
    for k in range(4):
        y, x = rng.integers(0, size - 8, 2)
        roof = rng.integers(150, 250, 3)
        place = np.s_[y : y + 7, x : x + 6]
        late[place] = roof
        if k < 2:
            early[place] = roof
        change[place] = 0 if k < 2 else 255
    return early, late, change
def write_pairs(root, convention, counts=None, size=32):
    counts = counts or dict(train=4, val=2, test=2)
    root = Path(root)
    number = 0
    for split, n in counts.items():
        for i in range(1, n + 1):
            for kind, values in zip(("A", "B", "label"), made_up_pair(number, size), strict=True):
                file = (
                    root / split / kind / f"{i}.png"
                    if convention == "folders"
                    else root / kind / f"{split}_{i}.png"
                )
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(file)
            number += 1
        if convention == "lists":
            (root / "list").mkdir(exist_ok=True)
            (root / "list" / f"{split}.txt").write_text(
                "".join(f"{split}_{i}.png\n" for i in range(1, n + 1))
            )
    return root


# a folder where nine pairs are bad
def bad_pairs(root):
    root = write_pairs(root, "lists", dict(train=10, val=1, test=1))
    noise = np.random.default_rng(0).integers(1, 255, (40, 40, 3), "uint8")
    (root / "B" / "train_1.png").unlink()
    (root / "A" / "train_2.png").write_bytes((root / "A" / "train_2.png").read_bytes()[:900])
    Image.fromarray(noise).save(root / "B" / "train_3.png")
    Image.fromarray(noise[:32, :32, 0]).save(root / "A" / "train_4.png")
    Image.fromarray(noise[:32, :32, 0].astype("uint16")).save(root / "label" / "train_5.png")
    Image.fromarray(noise[:32, :32] * 0).save(root / "A" / "train_6.png")
    (root / "label" / "train_7.png").write_bytes(b"no picture")
    with open(root / "list" / "test.txt", "a") as file:
        file.write("train_8.png\ntest_99.png\n")
    return root


# sample sets for both steps: pairs of photographs, and heights with photographs
def boxes(n=16, size=32):
    x, y = example_scene(n, size)
    plane = dict(semantic_change=dict(classes=["no change", "demolished", "newly built"]))
    arrays = [
        modality_array(
            k,
            v.numpy(),
            "mask" if k in plane else "image",
            ("y", "x") if k in plane else (f"{k} channel", "y", "x"),
            **plane.get(k, {}),
        )
        for k, v in (x | y).items()
    ]
    return xr.Dataset(
        {a.name: a for a in arrays},
        dict(
            sample=[f"tile {i}" for i in range(n)],
            split=("sample", ["train", "train", "valid", "test"] * (n // 4)),
        ),
    )


@pytest.fixture(scope='module')
def pairs():
    "Sample sets for both steps: pairs of photographs, and heights with photographs."
    with tempfile.TemporaryDirectory() as folder:
        pairs = load(
            prepare(
                write_pairs(folder, "flat", dict(train=8, val=2, test=2)),
                Path(folder) / "store",
                progress=False,
            )
        ).load()
    return pairs


def test_archives_are_checked_and_unpacked():
    "Getting it."
    # archives are checked and unpacked; without them it says how to get them
    with tempfile.TemporaryDirectory() as folder:
        with pytest.raises(
            FileNotFoundError, match="open https://.* put train.zip, val.zip, test.zip into"
        ):
            fetch(folder)
        (Path(folder) / "LEVIR-CD").mkdir()
        with zipfile.ZipFile(Path(folder) / "LEVIR-CD" / "train.zip", "w") as archive:
            archive.writestr("A/train_1.png", b"no picture")
        with pytest.raises(ValueError, match="train.zip is not the official archive: its md5 is"):
            fetch(folder, dict(train=sources["train"]))
        root = fetch(folder, dict(train=dict(name="train.zip")), progress=False)["pairs"]
        assert (root / "A" / "train_1.png").read_bytes() == b"no picture"


def test_the_three_conventions_are_told_apart():
    "Which convention?"
    with tempfile.TemporaryDirectory() as folder:
        for name in ("flat", "folders", "lists"):
            assert convention(write_pairs(Path(folder) / name, name)) == name
        (Path(folder) / "above" / "LEVIR-CD+").mkdir(parents=True)
        assert pair_folder(Path(folder) / "above").name == "LEVIR-CD+"
        with pytest.raises(
            ValueError, match="holds no pairs of LEVIR-CD: .* found flat, folders, lists|found above"
        ):
            convention(Path(folder))
        with pytest.raises(FileNotFoundError, match="no such folder"):
            convention(Path(folder) / "nowhere")


def test_the_same_pairs_whatever_the_convention():
    "The index."
    with tempfile.TemporaryDirectory() as folder:
        found = [
            pair_index(write_pairs(Path(folder) / name, name)) for name in ("flat", "folders", "lists")
        ]
        for index in found:
            assert set(index.index) == {
                "train_1",
                "train_2",
                "train_3",
                "train_4",
                "val_1",
                "val_2",
                "test_1",
                "test_2",
            }
            assert dict(index.split.value_counts()) == dict(train=4, valid=2, test=2)
            assert all(p.exists() for c in ("early", "late", "change") for p in index[c])
        plus = pair_index(write_pairs(Path(folder) / "LEVIR-CD+", "folders", dict(train=20, test=3)))
        assert list(plus.index[plus.split == "valid"]) == ["train_10", "train_20"]
        for kind in ("A", "B", "label"):
            (Path(folder) / "empty" / kind).mkdir(parents=True)
        with pytest.raises(ValueError, match="holds no pairs: its folders and lists are empty"):
            pair_index(Path(folder) / "empty")
        # lists of other names are named; they decide nothing where the files say the split
        beside = write_pairs(Path(folder) / "beside", "flat")
        (beside / "list").mkdir()
        (beside / "list" / "demo.txt").write_text("train_1.png")
        assert convention(beside) == "flat"
        assert len(pair_index(beside)) == 8
        nameless = Path(folder) / "nameless"
        shutil.copytree(beside, nameless)
        for path in nameless.glob("*/*.png"):
            path.rename(path.with_name(path.name.replace("_", "")))
        with pytest.raises(ValueError, match="no train.txt, there is demo.txt; .* do not begin with"):
            pair_index(nameless)
        (nameless / "list" / "test.txt").write_text("test1.png")
        (nameless / "list" / "trainval.txt").write_text("train1.png")
        with pytest.raises(ValueError, match="there is test.txt, demo.txt, trainval.txt; the lists"):
            pair_index(nameless)


def test_values_above_half_are_change_and_all_others_than_two_are_counted():
    "One pair."
    mask = made_up_pair(0)[2]
    packed = io.BytesIO()
    Image.fromarray(mask).save(packed, "JPEG", quality=75)
    noisy = np.asarray(Image.open(packed))
    found, between = to_change(noisy[None])
    assert len(np.unique(noisy)) > 2
    assert np.array_equal(found, mask > 0)
    assert np.array_equal(between, (noisy > 0) & (noisy < 255))
    twice = np.asarray(Image.fromarray(mask).resize((64, 64), Image.BILINEAR))
    sharp = np.asarray(Image.fromarray(mask).resize((64, 64), Image.NEAREST)) > 0
    assert (to_change(twice[None])[0] != sharp).mean() < 0.01
    ones = (mask > 0).astype("uint8")
    assert np.array_equal(to_change(ones[None], 1)[0], mask > 0)
    assert not to_change(ones[None], 255)[0].any()  # a 1 among 255s is noise
    with pytest.raises(ValueError, match="a mask of 0 and 1 has the value 2"):
        to_change(2 * ones[None], 1)
    with pytest.raises(ValueError, match="neither dark nor bright: a picture, and no mask"):
        to_change(made_up_pair(0)[0].transpose(2, 0, 1))


def test_a_pair_whole_and_in_tiles():
    "One pair."
    with tempfile.TemporaryDirectory() as folder:
        index = pair_index(write_pairs(folder, "flat"))
        early, late, change = made_up_pair(0)
        got = read_pair(index.loc["train_1"], (32, 32))
        assert np.array_equal(got["early"], early.transpose(2, 0, 1))
        assert np.array_equal(got["late"], late.transpose(2, 0, 1))
        assert np.array_equal(got["change"], change > 0)
        tiles = tile_index(index, (32, 32), 16)
        assert len(tiles) == 32
        assert tiles.index[tiles.group == "train_1"].tolist() == [
            "train_1_0_0",
            "train_1_0_16",
            "train_1_16_0",
            "train_1_16_16",
        ]
        assert np.array_equal(
            read_pair(tiles.loc["train_1_0_16"], (32, 32), 16)["late"],
            late[:16, 16:].transpose(2, 0, 1),
        )
        with pytest.raises(ValueError, match="tiles of 64 pixels are larger than the images, 32 × 32"):
            tile_index(index, (32, 32), 64)


def test_the_same_mask_in_other_forms():
    "One pair."
    with tempfile.TemporaryDirectory() as folder:
        index = pair_index(write_pairs(folder, "flat"))
        row = index.loc["train_1"]
        mask = made_up_pair(0)[2]
        ones = (mask > 0).astype("uint8")
        four = np.dstack([mask, mask, mask, np.full_like(mask, 255)])
        coloured = Image.fromarray(ones)
        coloured.putpalette([0, 0, 0, 255, 255, 255])
        for other in (Image.fromarray(ones), Image.fromarray(four), coloured):
            other.save(row.change)
            scale = mask_scale([row.change])
            _pair.cache_clear()
            found = read_pair(row, (32, 32), scale=scale)
            assert np.array_equal(found["change"], mask > 0)
            assert found["change_between"] == 0
        Image.fromarray(3 * ones).save(row.change)
        with pytest.raises(ValueError, match="the masks hold values up to 3, expected 0 and 255, or 0"):
            mask_scale([row.change])
        assert mask_scale(list(index.change)) == 255


def test_the_recipe_and_who_states_it():
    "The store."
    assert Augment(**recipe.augment).place == dict(turn=False)
    recipe_table(recipe)


def test_the_same_store_whatever_the_convention():
    "The store."
    with tempfile.TemporaryDirectory() as folder:
        stores = [
            load(
                prepare(
                    write_pairs(Path(folder) / name, name),
                    Path(folder) / f"{name}-store",
                    progress=False,
                )
            )
            .load()
            .sortby("sample")
            for name in ("flat", "folders", "lists")
        ]
        check_samples(stores[0], setups["levir-change"])
        for other in stores[1:]:
            xr.testing.assert_identical(stores[0], other)
        tiles = load(prepare(Path(folder) / "flat", Path(folder) / "tiles", tile=16, progress=False))
        assert tiles.sizes["sample"] == 32
        assert tiles.early.shape[2:] == (16, 16)
        assert tiles.group.values[0] == tiles.sample.values[0].rsplit("_", 2)[0]
        plus = prepare(
            write_pairs(Path(folder) / "LEVIR-CD+", "folders", dict(train=11, test=2)),
            Path(folder) / "plus",
            progress=False,
        )
        assert read_manifest(plus)["settings"]["valid"] == "every tenth training pair"
        assert read_manifest(plus)["splits"] == dict(train=10, valid=1, test=2)
        del tiles
    describe(stores[0])


def test_masks_through_jpeg_are_the_same_masks_counted():
    "The store."
    # masks through JPEG are the same masks, counted; most images decide the size; nothing else is said
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        clean = load(prepare(write_pairs(Path(folder) / "a", "flat"), Path(folder) / "b", workers=1))
        assert clean.change_between.values.sum() == 0
        noisy = write_pairs(Path(folder) / "c", "flat")
        for path in noisy.glob("label/*.png"):
            packed = io.BytesIO()
            Image.open(path).save(packed, "JPEG", quality=75)
            Image.open(packed).save(path)
        with pytest.warns(UserWarning, match="of 8 masks lie between 0 and 255 .*: above half counts"):
            found = load(prepare(noisy, Path(folder) / "d", workers=1, progress=False))
        assert np.array_equal(found.change, clean.change)
        assert found.change_between.values.sum() > 100
        with pytest.warns(UserWarning, match="masks lie between"):
            tiles = load(prepare(noisy, Path(folder) / "e", tile=16, workers=1, progress=False))
        assert tiles.change_between.values.sum() == found.change_between.values.sum()
        for name in ("A", "B", "label"):
            path = noisy / name / "train_1.png"
            Image.open(path).resize((40, 40)).save(path)
        with pytest.raises(ValueError, match=r"train_1.png: expected shape \(32, 32\), got \(40, 40\)"):
            prepare(noisy, Path(folder) / "f", workers=1, progress=False)
        other = write_pairs(Path(folder) / "g", "flat")
        for path in other.glob("label/*.png"):
            Image.fromarray(np.asarray(Image.open(path)) // 85).save(path)  # 0 and 3
        with pytest.raises(ValueError, match="the masks hold values up to 3, expected 0 and 255, or 0"):
            prepare(other, Path(folder) / "h", workers=1, progress=False)


def test_bad_pairs_stop_it_or_are_left_out_and_listed():
    "Bad pairs."
    with tempfile.TemporaryDirectory() as folder:
        root = bad_pairs(Path(folder) / "pairs")
        dest = Path(folder) / "store"
        with pytest.raises(
            ValueError, match="(?s)1 bad sample among 14:.*train_8: this id occurred before"
        ):
            prepare(root, dest, progress=False)
        path = prepare(root, dest, skip_bad=True, progress=False)
        dropped = pd.DataFrame(read_manifest(path)["dropped"])
        kept = load(path).sample.values.tolist()
        assert kept == ["train_8", "train_9", "train_10", "val_1", "test_1"]
        (root / "list" / "test.txt").write_text("test_1.png\n")
        with pytest.raises(
            ValueError, match="(?s)7 bad samples among 12:.*train_1: .*no such file.*skip_bad"
        ):
            prepare(root, Path(folder) / "other", progress=False)
    expected = [
        "this id occurred before",
        "no such file",
        "it is truncated",
        "expected shape",
        "three bands",
        "expected dtype uint8, got uint16",
        "all pixels are black",
        "no raster",
        "no such file",
    ]
    assert len(dropped) == 9 and all(e in p for e, p in zip(expected, dropped.problem, strict=True)), (
        dropped.problem.tolist()
    )


def test_names_without_a_split_an_unreadable_folder():
    "Bad pairs."
    with tempfile.TemporaryDirectory() as folder:
        root = write_pairs(Path(folder) / "flat", "flat")
        for kind in ("A", "B", "label"):
            (root / kind / "train_1.png").rename(root / kind / "houston.png")
        with pytest.raises(
            ValueError, match="(?s)1 bad sample among 8:.*houston: unknown split 'houston.png'"
        ):
            prepare(root, Path(folder) / "store", progress=False)
        for file in (root / "A").iterdir():
            file.write_bytes(b"")
        with pytest.raises(ValueError, match="none of 8 early images can be read"):
            prepare(root, Path(folder) / "store", skip_bad=True, progress=False)
        (Path(folder) / "lists" / "list").mkdir(parents=True)
        for kind in ("A", "B", "label"):
            (Path(folder) / "lists" / kind).mkdir()
        (Path(folder) / "lists" / "list" / "train.txt").write_bytes("Gebäude_1.png".encode("latin-1"))
        with pytest.raises(ValueError, match="train.txt: not in the encoding UTF-8"):
            prepare(Path(folder) / "lists", Path(folder) / "store", progress=False)


def test_a_made_up_pair():
    "A picture."
    with tempfile.TemporaryDirectory() as folder:
        samples = load(
            prepare(write_pairs(folder, "flat", size=64), Path(folder) / "store", progress=False)
        ).load()
    axes = plot_pair(samples, "train_2")
    assert axes[2].get_title() == "building change"
    assert modalities(samples)["change"].classes == (
        "no change",
        "change",
    )


def test_the_same_body_first_on_pairs_of_photographs_then_on_heights_and(pairs):
    "Before heights: pairs of photographs."
    # the same body, first on pairs of photographs, then on heights and photographs
    slim = dict(
        fcsiamese=dict(widths=[4, 8], depths=[1, 1]),
        snunet=dict(base=4, depth=2),
        mmcd=dict(widths=[8, 8, 16, 16], depths=[1, 1, 1, 1], features=8),
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, options in slim.items():
            first = replace(setups[f"levir-{name}"], network=setups[f"levir-{name}"].network | options)
            run = train_run(
                pairs, first, Path(folder) / name, epochs=1, bs=4, trace=(), bar=False, device="cpu"
            )
            second = multitask_learner(
                boxes(),
                with_network(scene_setup(), name, **options),
                bs=4,
                start=Path(folder) / name,
                trace=(),
                device="cpu",
            )
            body = run.network.body.state_dict()
            assert all(torch.equal(v, body[k]) for k, v in second.model.body.state_dict().items())
            assert str(second.started).startswith(
                f"{len(body)} of {len(body)} tensors of the body taken"
            )
            assert all(k.startswith("heads.change.") for k in second.started.left)
        with second.no_bar(), second.no_logging():
            second.fit(1)
        assert np.isfinite(second.recorder.values[-1][0])
        with pytest.raises(ValueError, match="these are the weights of another network"):
            multitask_learner(
                boxes(),
                with_network(scene_setup(), "snunet"),
                start=Path(folder) / "mmcd",
                device="cpu",
            )
    compared = [n for n in bodies if n not in ("", "separate")]
    assert list(setups) == ["levir-change", *(f"levir-{n}" for n in compared)]


def test_it_says_what_it_is():
    "The dataset."
    assert dataset.scores is None
