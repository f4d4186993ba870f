"""Shards

Written by nbdev-export from the check cells of nbs/api/data/03_store_shards.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import mmap
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from mtl_explain.data.statistics import training_statistics
from mtl_explain.data.store import (
    JoinedMap, content_digest, open_store, placeholder, read_manifest, save_samples, stored_faults,
    stored_statistics, verify_store,
)
from mtl_explain.data.store_shards import merged_statistics, shard_length, write_shards
from mtl_explain.files.paths import only_writer, write_json
from mtl_explain.testing.toy_samples import toy_samples


@pytest.fixture(scope='module')
def world_part_of_world_and_in_shards():
    "A world, and how a worker reads a part of it."
    world = toy_samples(100, size=16)
    def part_of_world(start, stop):
        def read_block(first, last):
            chosen = slice(start + first, start + last)
            return {n: da.values[chosen] for n, da in world.data_vars.items()}

        return read_block
    def in_shards(folder, **options):
        return write_shards(folder, world, part_of_world, dict(world=1), progress=False, **options)
    return world, part_of_world, in_shards


def test_half_a_gigabyte_in_multiples_of_a_power_of_two():
    "How large."
    def of_size(*shape):
        return xr.Dataset(dict(x=(("sample", "y"), placeholder((10, *shape), "uint8"))))


    assert shard_length(of_size(600_000)) == 512
    assert shard_length(of_size(100)) % 4096 == 0
    assert shard_length(of_size(2**30)) == 1


def test_parts_of_very_different_size_and_mean_give_the_statistics_of_the_whole():
    "The whole, summed up."
    whole = toy_samples(90, size=8)
    whole = whole.assign_coords(split=("sample", np.resize(["train", "train", "valid"], 90)))
    cut = [slice(0, 7), slice(7, 60), slice(60, 90)]
    merged = merged_statistics([training_statistics(whole.isel(sample=s)) for s in cut])
    expected = training_statistics(whole)
    assert list(merged) == list(expected)
    for name, statistics in expected.items():
        for key, values in statistics.items():
            if key in ("mean", "std"):
                np.testing.assert_allclose(merged[name][key], values, rtol=1e-6, atol=1e-6)
            else:
                assert merged[name][key] == values


def test_a_store_in_shards_is_the_same_sample_set_as_one_of_one_file_with_the(world_part_of_world_and_in_shards):
    "All shards."
    # a store in shards is the same sample set as one of one file, with the same digest and statistics
    world, part_of_world, in_shards = world_part_of_world_and_in_shards
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(2) as threads:
        one = save_samples(world, Path(name) / "one", progress=False)
        many = in_shards(Path(name) / "many", shard=32, executor=threads)
        files = [f"samples-0000{k}.nc" for k in range(4)]
        assert sorted(p.name for p in many.iterdir()) == ["coordinates.nc", "manifest.json", *files]
        joined = open_store(many)
        xr.testing.assert_identical(joined.load(), open_store(one).load())
        joined = open_store(many)
        assert content_digest(joined) == content_digest(world)
        assert all(isinstance(da.data, JoinedMap) for da in joined.data_vars.values())
        assert not joined.optical.values.flags.writeable
        rows = [99, 3, 64, 31, 32]
        assert np.array_equal(joined.optical.values[rows], world.optical.values[rows])
        known = stored_statistics(joined, list(joined.data_vars))
        assert set(known) == set(joined.data_vars)
        of_one = read_manifest(one)
        for n, statistics in of_one["statistics"].items():
            assert known[n]["count"] == statistics["count"]
            if "mean" in statistics:
                np.testing.assert_allclose(known[n]["mean"], statistics["mean"], rtol=1e-6)
        assert stored_faults(joined) == of_one["faults"]
        assert read_manifest(many)["splits"] == of_one["splits"]
        digits = [v["blocks"] for v in read_manifest(many)["blocks"].values()]
        assert digits == [v["blocks"] for v in of_one["checksums"]["variables"].values()]
        assert verify_store(many, progress=False) > 4
        assert in_shards(Path(name) / "many") == many
        del joined


def test_images_of_shards_lie_at_addresses_that_follow_each_other_and_are_not(world_part_of_world_and_in_shards):
    "All shards."
    # images of shards lie at addresses that follow each other, and are not in memory
    world, part_of_world, in_shards = world_part_of_world_and_in_shards
    with tempfile.TemporaryDirectory() as name:
        many = in_shards(Path(name) / "many", shard=32)
        image = open_store(many).optical.values
        mapped = sys.platform != "win32" and mmap.PAGESIZE == 4096
        base = image
        while isinstance(base, np.ndarray):
            base = base.base
        assert isinstance(getattr(base, "obj", base), mmap.mmap) == mapped
        assert image[32:64].sum() == world.optical.values[32:64].sum()
        del image, base


def test_a_shard_missing_of_another_store_damaged_exchanged(world_part_of_world_and_in_shards):
    "What may be missing."
    world, part_of_world, in_shards = world_part_of_world_and_in_shards
    with tempfile.TemporaryDirectory() as name:
        many = in_shards(Path(name) / "many", shard=32)
        shards = [many / f"samples-0000{k}.nc" for k in range(4)]
        first, second = shards[0].read_bytes(), shards[1].read_bytes()
        shards[1].unlink()
        with pytest.raises(FileNotFoundError, match="samples-00001.nc is missing: copy this shard"):
            open_store(many)
        shards[1].write_bytes(second[:-1])
        with pytest.raises(ValueError, match="samples-00001.nc has .* bytes instead of"):
            open_store(many)
        shards[1].write_bytes(first)
        with pytest.raises(ValueError, match="00001.nc is damaged, or a shard of another store: stru"):
            open_store(many)
        changed = bytearray(second)
        changed[-100] ^= 1
        shards[1].write_bytes(changed)
        with pytest.raises(ValueError, match="samples-00001.nc is damaged: .*; copy it again"):
            open_store(many)
        shards[1].write_bytes(second)
        assert open_store(many).sizes["sample"] == 100
        assert (many / "verified.json").exists()
        manifest = read_manifest(many)
        write_json(many / "manifest.json", manifest | dict(samples=99))
        with pytest.raises(ValueError, match="manifest.json speaks of 99 samples, its shards of 100"):
            open_store(many)


def test_what_fails_is_named_what_is_written_stays_the_next_call_goes_on(world_part_of_world_and_in_shards):
    "What may be missing."
    # what fails is named, what is written stays, the next call goes on; two callers; other settings
    world, part_of_world, in_shards = world_part_of_world_and_in_shards
    def fails_at_80(start, stop):
        read = part_of_world(start, stop)

        def read_block(first, last):
            if start + last > 80:
                raise OSError(5, "Input/output error", "tile-80.tif")
            seen.append((start, first, last))
            return read(first, last)

        return read_block


    seen = []
    with tempfile.TemporaryDirectory() as name:
        dest = Path(name) / "many"
        how = dict(settings=dict(world=1), progress=False, block=8)
        with pytest.raises(OSError, match="tile-80.tif") as told:
            write_shards(dest, world, fails_at_80, shard=32, **how)
        assert told.value.__notes__ == ["in samples-00002.nc"]
        assert not dest.exists()
        assert len(seen) == 10
        with only_writer(dest), pytest.raises(BlockingIOError, match="is being written by process"):
            write_shards(dest, world, part_of_world, **how)
        with pytest.raises(FileExistsError, match="was begun with other settings"):
            write_shards(dest, world, part_of_world, dict(world=2), progress=False)

        def noted(start, stop):
            read = part_of_world(start, stop)
            return lambda first, last: (seen.append((start, first, last)), read(first, last))[1]

        write_shards(dest, world, noted, **how)
        assert sorted(set(seen)) == sorted(seen), "nothing is read twice"
        assert [s["samples"] for s in read_manifest(dest)["shards"]] == [32, 32, 32, 4]
        assert content_digest(open_store(dest)) == content_digest(world)
