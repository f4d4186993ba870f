"""Area of applicability

Written by nbdev-export from the check cells of nbs/api/trust/03_applicability.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.runs import load_run, train_run
from mtl_explain.trust.applicability import (
    area_file, area_of_applicability, dissimilarity, fused_features, load_area, record_area, run_area,
    upper_whisker,
)


@pytest.fixture(scope='module')
def rng_block_cloud_and_area():
    rng = np.random.default_rng(0)
    block = np.repeat(np.arange(20), 15)
    cloud = rng.normal(size=(20, 4))[block] + rng.normal(size=(300, 4))
    area = area_of_applicability(cloud, block)
    return rng, block, cloud, area


@pytest.fixture(scope='module')
def samples_run_dense_and_apart():
    home = Path(tempfile.mkdtemp())
    samples = toy_samples(192)
    setup = Setup("optical", ("climate", "zone", "warmth"), main="climate")
    options = dict(epochs=2, bs=32, lr=1e-2, bar=False, device="cpu")
    run = train_run(samples, setup, home / "run", **options)
    dense = train_run(samples, Setup("optical", "cover"), home / "dense", **options)
    apart = train_run(samples, setup.separate(), home / "apart", **options)
    return samples, run, dense, apart


def test_three_samples_by_hand_and_rs_box_plot():
    "The index."
    line = area_of_applicability(np.array([[0.0], [1], [5]]), np.arange(3))
    assert line.threshold == pytest.approx(4 / (10 / 3))
    np.testing.assert_allclose(line.dissimilarity(np.array([[0.0], [3], [9.1]])), [0, 0.6, 1.23])
    assert line.dissimilarity(np.empty((0, 1))).shape == (0,)
    assert upper_whisker(np.array([1.0, 2, 3, 4, 100])) == 4  # hinges 2 and 4: up to 7
    assert upper_whisker(np.array([1.0, 2, 3, 4, 7])) == 7
    assert upper_whisker(np.array([1.0, 2, 10, 11])) == 11


def test_a_second_implementation(rng_block_cloud_and_area):
    "The index."
    # a second implementation: loops, and R's five numbers; it knows nothing of ours
    rng, block, cloud, area = rng_block_cloud_and_area
    def fivenum(x):
        "R's `fivenum`, as it is written there."
        x = sorted(x)
        n = len(x)
        n4 = np.floor((n + 3) / 2) / 2
        at = [1, n4, (n + 1) / 2, n + 1 - n4, n]
        return [(x[int(np.floor(d)) - 1] + x[int(np.ceil(d)) - 1]) / 2 for d in at]


    def index_by_loops(train, blocks, new):
        scaled = [(row - train.mean(0)) / train.std(0) for row in train]
        pairs = [np.linalg.norm(a - b) for i, a in enumerate(scaled) for b in scaled[:i]]
        mean = np.mean(pairs)
        index = [
            min(np.linalg.norm(a - b) for b, j in zip(scaled, blocks, strict=True) if i != j) / mean
            for a, i in zip(scaled, blocks, strict=True)
        ]
        five = fivenum(index)
        fence = five[3] + 1.5 * (five[3] - five[1])
        moved = [(row - train.mean(0)) / train.std(0) for row in new]
        found = [min(np.linalg.norm(a - b) for b in scaled) / mean for a in moved]
        return max(v for v in index if v <= fence), found


    some = slice(0, 300, 5)
    new = rng.normal(size=(9, 4)) * 2
    theirs = index_by_loops(cloud[some], block[some], new)
    ours = area_of_applicability(cloud[some], block[some])
    assert ours.threshold == pytest.approx(theirs[0])
    np.testing.assert_allclose(ours.dissimilarity(new), theirs[1])


def test_inside_says_inside_a_shifted_cloud_is_outside(rng_block_cloud_and_area):
    "The index."
    # inside says inside, a shifted cloud is outside; new blocks need the comparison by blocks
    rng, block, cloud, area = rng_block_cloud_and_area
    again = rng.normal(size=(20, 4))[block] + rng.normal(size=(300, 4))
    inside = (area.dissimilarity(again) <= area.threshold).mean()
    shifted = (area.dissimilarity(again + 8) <= area.threshold).mean()
    by_sample = area_of_applicability(cloud, np.arange(300))
    careless = (by_sample.dissimilarity(again) <= by_sample.threshold).mean()
    print(
        f"inside: {inside:.1%} of new blocks, {shifted:.1%} of those moved away; "
        f"{careless:.1%} of new blocks if samples pass for blocks"
    )
    assert inside > 0.9
    assert shifted < 0.01
    assert by_sample.threshold < area.threshold
    assert careless < inside


def test_more_samples_than_are_kept_features_that_never_vary_and_what_cannot_be(rng_block_cloud_and_area):
    "The index."
    rng, block, cloud, area = rng_block_cloud_and_area
    few = area_of_applicability(cloud, block, most=100)
    assert len(few.features) == 100
    assert few.threshold > 0
    flat = np.c_[cloud, np.full(300, 1e6)]
    assert area_of_applicability(flat, block).threshold == pytest.approx(area.threshold)
    for wrong, codes, match in (
        (cloud, np.zeros(300, int), "all training samples are of one block"),
        (np.ones((300, 2)), block, "all training samples have the same features"),
        (np.where(cloud > 2, np.nan, cloud), block, "features that are not finite"),
    ):
        with pytest.raises(ValueError, match=match):
            area_of_applicability(wrong, codes)
    with pytest.raises(ValueError, match=r"features are of shape \(300, 5\), expected \(samples, 4\)"):
        area.dissimilarity(flat)


def test_for_a_vector_a_map_and_a_network_for_each_task(samples_run_dense_and_apart):
    "In the network's own features."
    # for a vector, a map, and a network for each task: a row per sample, as computed step by step
    samples, run, dense, apart = samples_run_dense_and_apart
    few = samples.isel(sample=slice(0, 9))
    for one in (run, dense, apart):
        told = fused_features(one, few, bs=4)
        m = one.modalities["optical"]
        x = m.standardise(torch.as_tensor(few.optical.values))
        with torch.no_grad():
            body = one.network.body
            body = body.bodies["climate"] if one is apart else body
            fused = body(dict(optical=x))
        by_hand = fused.mean((2, 3)) if fused.ndim == 4 else fused
        np.testing.assert_allclose(told, by_hand, rtol=1e-4, atol=1e-5)
        assert told.dims == ("sample", "feature")
        assert (told.sample == few.sample).all()


def test_to_the_file_and_back(samples_run_dense_and_apart):
    "Beside the run."
    # to the file and back; most of the validation samples lie inside, another world does not
    samples, run, dense, apart = samples_run_dense_and_apart
    kept = record_area(run, samples)
    computed = run_area(load_run(dense.folder), samples)
    assert not (dense.folder / area_file).exists()
    assert computed.threshold > 0
    held = samples.isel(sample=samples.split.values == "valid")
    index = dissimilarity(run, held[["optical"]])
    assert index.dims == ("sample",)
    assert (index <= index.threshold).mean() > 0.8
    stripes = np.where(np.arange(16) % 2, 255, 0).astype("uint8") * np.ones((1, 3, 16, 16), "uint8")
    stripes = stripes * np.array([1, 0, 1], "uint8")[:, None, None]
    odd = held[["optical"]].copy(data=dict(optical=np.repeat(stripes, held.sizes["sample"], 0)))
    assert (dissimilarity(run, odd, check_range=False) > kept.threshold).all()
    own = samples.isel(sample=samples.split.values == "train")
    assert dissimilarity(run, own).max() < 1e-3  # a training sample is no distance from itself


def test_what_is_not_known_or_known_of_something_else_in_a_line(samples_run_dense_and_apart):
    "Beside the run."
    samples, run, dense, apart = samples_run_dense_and_apart
    with pytest.raises(FileNotFoundError, match="`record_area.run, samples.` makes it"):
        load_area(apart)
    with pytest.raises(ValueError, match="the samples that it was trained on; these are others"):
        record_area(run, samples.isel(sample=slice(0, 96)))
    record_area(run, samples)
    path = apart.folder / area_file
    path.write_bytes((run.folder / area_file).read_bytes())
    with pytest.raises(ValueError, match="made for the weights .*, those of the run are"):
        load_area(apart)
    table = xr.load_dataset(path, engine="h5netcdf")
    for lacking, match in (
        (table.drop_vars("std"), "'std' is missing"),
        (table.drop_attrs(), "the attribute 'mean_distance' is missing"),
    ):
        lacking.to_netcdf(path, engine="h5netcdf")
        with pytest.raises(ValueError, match=match):
            load_area(apart)
    path.unlink()
