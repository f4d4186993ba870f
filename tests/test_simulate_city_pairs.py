"""Pairs of photographs

Written by nbdev-export from the check cells of nbs/api/simulate/city/03_pairs.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import hashlib
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mtl_explain.datasets import levir
from mtl_explain.simulate.city.pairs import draw_pair, render_pair, simulate_levir, split_of


@pytest.fixture(scope='module')
def found():
    "A pair of 256 m."
    pair = draw_pair(0, 14)
    return render_pair(pair, 320, 0.8)


def test_the_two_photographs_differ_everywhere_a_little_and_much_where(found):
    "One pair."
    # the two photographs differ everywhere a little, and much where buildings changed
    difference = np.abs(found["A"].astype(float) - found["B"]).mean(-1)
    changed = found["label"] == 255
    assert set(np.unique(found["label"])) == {0, 255}
    assert 0.01 < changed.mean() < 0.3
    assert difference[changed].mean() > 1.3 * difference[~changed].mean() > 5
    axes = plt.figure(figsize=(10, 3.5), layout="constrained").subplots(1, 3)
    titles = dict(A="early (A)", B="late (B)", label="label")
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        ax.imshow(found[name], cmap="gray", extent=(0, 256, 256, 0))
        ax.set(title=title, xlabel="east [m]")


def test_637_pairs_are_split_as_published_a_dozen_into_eight_two_and_two():
    "A folder of pairs."
    assert [split_of(637).count(s) for s in ("train", "val", "test")] == [445, 64, 128]
    assert [split_of(12).count(s) for s in ("train", "val", "test")] == [8, 2, 2]


def test_the_pairs_come_through_files_and_reader_as_they_were_drawn():
    "A folder of pairs."
    with tempfile.TemporaryDirectory() as place:
        made = simulate_levir(Path(place) / "a", 6, seed=4, size=64, pixel=2.0, progress=False)
        samples = levir.load(levir.prepare(made, Path(place) / "store", progress=False))
        splits, counts = np.unique(samples.split, return_counts=True)
        assert dict(zip(splits, counts, strict=True)) == dict(train=4, valid=1, test=1)
        for k, name in ((1, "train_2"), (4, "val_5")):
            truth = render_pair(draw_pair(4, k), 64, 2.0)
            one = samples.sel(sample=name)
            assert np.array_equal(one.early.values, np.moveaxis(truth["A"], -1, 0))
            assert np.array_equal(one.late.values, np.moveaxis(truth["B"], -1, 0))
            assert np.array_equal(one.change.values, truth["label"] // 255)
        assert 0.01 < samples.change.values.mean() < 0.2


def test_the_same_bytes_with_two_processes_other_pairs_with_another_seed_more():
    "A folder of pairs."
    # the same bytes with two processes, other pairs with another seed, more pairs begin the same
    def digests(folder):
        return {
            p.name + p.parent.name: hashlib.sha256(p.read_bytes()).hexdigest()
            for p in folder.rglob("*.png")
        }


    small = dict(size=32, pixel=2.0, progress=False)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        one = digests(simulate_levir(root / "0", 2, seed=0, workers=1, **small))
        two = digests(simulate_levir(root / "1", 2, seed=0, workers=2, **small))
        other = digests(simulate_levir(root / "2", 2, seed=1, workers=1, **small))
        more = digests(simulate_levir(root / "3", 3, seed=0, workers=1, **small))
        assert one == two
        assert len(one) == 6
        assert not {v for k, v in one.items() if "label" not in k} & set(other.values())
        assert one["train_1.pngA"] == more["train_1.pngA"]
        with pytest.raises(FileExistsError, match="exists already"):
            simulate_levir(root / "0", 4)
    with pytest.raises(ValueError, match="0 pairs: at least one is needed"):
        simulate_levir("x", 0)
