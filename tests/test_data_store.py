"""The store

Written by nbdev-export from the check cells of nbs/api/data/03_store.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import errno
import json
import mmap
import os
import pickle
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from mtl_explain.data.samples import modalities
from mtl_explain.data.statistics import training_statistics
from mtl_explain.data.store import (
    SentSamples, _check_block, _check_template, _differences, _hdf5_file, _reserve, block_checksums,
    content_digest, contiguous_layout, existing_store, identity, open_store, placeholder, read_ahead,
    read_manifest, refuse_external, save_samples, storable, store_format, verify_store, write_store,
)
from mtl_explain.files.paths import only_writer
from mtl_explain.testing.toy_samples import toy_samples


@pytest.fixture(scope='module')
def world():
    "A small made-up world."
    return toy_samples()


@pytest.fixture(scope='module')
def grown(world):
    "A small netCDF file with something added by means of HDF5."
    def grown(home, grow):
        path = home / "samples.nc"
        world.coords.to_dataset().to_netcdf(path, engine="h5netcdf")
        with h5py.File(path, "a") as file:
            grow(file)
        return path
    return grown


@pytest.fixture(scope='module')
def reader_of(world):
    "Reads the made-up world, notes each call, and may be interrupted at one of them."
    def reader_of(calls, stop_at=None):
        def read_block(start, stop):
            if start == stop_at:
                raise KeyboardInterrupt
            calls.append(start)
            return {n: world[n].values[start:stop] for n in world.data_vars}

        return read_block
    return reader_of


def test_a_terabyte_of_nothing():
    "The structure of the file."
    assert placeholder((10**9, 32, 32), "uint8").nbytes == 1024 * 10**9


def test_what_netcdf_holds_is_kept_as_it_will_come_back():
    "The structure of the file."
    # what netCDF holds is kept, as it will come back; what it does not hold is named
    dressed = toy_samples(4)
    dressed.warmth.attrs.update(one=["a"], some=(1, 0.5), number=np.float32(2), text="m²")
    dressed = dressed.assign_coords(
        region=("sample", pd.Categorical(list("abab"))),
        when=("sample", pd.date_range("2020-07-01", periods=4, tz="Europe/Amsterdam")),
    )
    kept = storable(dressed)
    assert {k: kept.warmth.attrs[k] for k in ("one", "some", "number", "text")} == dict(
        one="a", some=[1.0, 0.5], number=2.0, text="m²"
    )
    assert list(kept.region.values) == list("abab")
    assert kept.when.values[1] == "2020-07-01T22:00:00"
    scalars = None, True, pd.Timestamp("2020-01-01"), dict(a=1), Path("x")
    for value in (*scalars, [1, "a"], [True], [[1], [1, 2]]):
        for named in (dressed, dressed.warmth):
            with (
                mock.patch.dict(named.attrs, extra=value),
                pytest.raises(ValueError, match="attribute 'extra' of"),
            ):
                storable(dressed)
    with pytest.raises(
        ValueError, match="attribute 'scale_factor' of 'warmth' cannot be stored: readers change values"
    ):
        storable(dressed.assign(warmth=dressed.warmth.assign_attrs(scale_factor=0.1)))
    for odd, why in (1, "int is neither text nor a number"), (b"\xff", "'utf-8' codec can't decode"):
        with pytest.raises(ValueError, match=f"coordinate 'odd' cannot be stored: {why}"):
            storable(dressed.assign_coords(odd=("sample", np.array(["a", odd, "b", "c"], object))))
    with pytest.raises(ValueError, match="the name 'B8A/B04' cannot be kept"):
        storable(dressed.rename(warmth="B8A/B04"))


def test_each_modality_has_its_place_aligned_to_memory_pages(world):
    "The structure of the file."
    with tempfile.TemporaryDirectory() as folder:
        _reserve(Path(folder) / "a.nc", world)
        layout = contiguous_layout(Path(folder) / "a.nc")
        assert set(world.data_vars) <= set(layout)
        for n, da in world.data_vars.items():
            offset, *kind = layout[n]
            assert offset % 4096 == 0
            assert kind == [da.dtype, da.shape]
        empty = xr.open_dataset(Path(folder) / "a.nc", engine="h5netcdf").load()
    assert list(empty.sample.values) == list(world.sample.values)
    assert list(empty.band.values) == ["red", "green", "blue"]


def test_what_is_wrong_with_a_block_is_said_before_it_is_written(world):
    "One block."
    climate = world.climate[:4]
    months = world.months[:4]
    ids = world.sample.values[:4]
    assert np.array_equal(_check_block("climate", climate.values, climate, ids), climate.values)
    with pytest.raises(
        ValueError, match=r"'climate': a label outside 0..3 .* in 1 samples, first in s0002"
    ):
        _check_block("climate", np.array([0, -1, 4, 1]), climate, ids)
    with pytest.raises(ValueError, match="'months': infinite values in 4 samples"):
        _check_block("months", months.values + np.float32(np.inf), months, ids)
    with pytest.raises(ValueError, match=r"expected shape \(4, 12, 1\), got \(4, 11, 1\)"):
        _check_block("months", months.values[:, 1:], months, ids)
    with pytest.raises(ValueError, match="expected type float32, got float64"):
        _check_block("months", months.values.astype(float), months, ids)


def test_the_identity_says_what_differs(world):
    "Who made this store?"
    settings = dict(size=32)
    sources = [dict(name="a.tif", sha256="00")]
    one = identity(settings, sources, world)
    assert _differences(one, identity(settings, sources, world)) == ""
    other = identity(dict(size=48), [dict(name="a.tif", sha256="01")])
    assert _differences(one, other) == "settings and sources"
    fewer = world.isel(sample=slice(9))
    assert _differences(one, identity(settings, sources, fewer)) == "samples"


def test_checksums_know_values_and_types_not_byte_orders_memory_layouts_or(world):
    "Checksums."
    # checksums know values and types, not byte orders, memory layouts or numbers of blocks
    height = world.elevation
    assert block_checksums(height) == block_checksums(height.astype(">f4"))
    assert block_checksums(height) == block_checksums(height.copy(data=np.asfortranarray(height)))
    large = xr.DataArray(np.zeros((5, 2**20), "float32"), dims=("sample", "pixel"))
    assert len(block_checksums(large)) == 5
    assert len(set(block_checksums(large))) == 1
    large[3, 7] = 1e-30
    pairs = zip(block_checksums(large), block_checksums(0 * large), strict=True)
    assert [a == b for a, b in pairs] == [True, True, True, False, True]


def test_what_points_out_of_the_file_holds_objects_or_is_absurdly_large_is(grown):
    "Opening."
    # what points out of the file, holds objects or is absurdly large is refused by name
    def virtual(file):
        layout = h5py.VirtualLayout((3,), "u1")
        layout[:] = h5py.VirtualSource("secret.h5", "x", (3,))
        file.create_virtual_dataset("x", layout)


    def linked(link, name="x"):
        def link_to(file):
            file[name] = link

        return link_to


    def variable(*args, **options):
        return lambda file: file.create_dataset("x", *args, **options)


    outside = h5py.ExternalLink("secret.h5", "/a")
    cases = {
        "is a link to secret.h5": linked(outside),
        "is a link to /lat": linked(h5py.SoftLink("/lat")),
        "keeps its values in another file": variable((9,), "u1", external=[("/etc/hostname", 0, 9)]),
        r"takes its values from other files \(a virtual dataset\)": virtual,
        "holds objects": variable((3,), h5py.ref_dtype),
        r"has the shape \(1000000000000,\)": variable((10**12,), "f8", chunks=(10**6,)),
    }
    with tempfile.TemporaryDirectory() as folder:
        refuse_external(grown(Path(folder), lambda file: None))
        for message, grow in cases.items():
            with pytest.raises(ValueError, match=f"samples.nc: 'x' {message}.*it is refused"):
                refuse_external(grown(Path(folder), grow))
        with pytest.raises(ValueError, match="'deep/x' is a link to secret.h5"):
            refuse_external(grown(Path(folder), linked(outside, "deep/x")))
        (Path(folder) / "text.nc").write_text("no HDF5")
        with pytest.raises(OSError, match="text.nc cannot be read as HDF5"):
            refuse_external(Path(folder) / "text.nc")


def test_whatever_hdf5_says_about_a_damaged_file_the_file_is_named(grown):
    "Opening."
    with tempfile.TemporaryDirectory() as folder:
        path = grown(Path(folder), lambda file: None)
        whole = path.read_bytes()
        for place in range(0, len(whole), max(1, len(whole) // 40)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
            try:
                refuse_external(path)
            except (OSError, ValueError) as error:
                assert str(path) in str(error)


def test_a_mistake_of_ours_is_not_put_down_to_the_file(grown):
    "Opening."
    with tempfile.TemporaryDirectory() as folder:
        path = grown(Path(folder), lambda file: None)
        for mistake in (AttributeError("no such method"), IndexError("none"), MemoryError()):
            with pytest.raises(type(mistake)), _hdf5_file(path):
                raise mistake


def test_what_stands_in_the_way_is_told_apart():
    "Are two sample sets equal?"
    with tempfile.TemporaryDirectory() as folder:
        assert not existing_store(Path(folder) / "new", {}, [])
        with pytest.raises(FileExistsError, match="is in the way: .* has no manifest.json"):
            existing_store(folder, {}, [])
        for text, message in (
            ("{", "is damaged"),
            ('{"store_format": 0}', "store format 0, this version reads format 1"),
        ):
            (Path(folder) / "manifest.json").write_text(text)
            with pytest.raises(ValueError, match=message):
                read_manifest(folder)
        manifest = dict(store_format=store_format, identity=identity(dict(size=32), []))
        with pytest.raises(ValueError, match="manifest.json: settings is missing"):
            (Path(folder) / "manifest.json").write_text(json.dumps(manifest))
            read_manifest(folder)
        manifest |= dict.fromkeys(("settings", "splits", "dropped", "units", "statistics"), {})
        manifest |= dict(sources=[], bytes=0, samples=0)
        (Path(folder) / "manifest.json").write_text(json.dumps(manifest))
        assert existing_store(folder, dict(size=32), [])
        with pytest.raises(FileExistsError, match="other settings: choose"):
            existing_store(folder, dict(size=16), [])
    with pytest.raises(FileNotFoundError, match="no store at nowhere"):
        read_manifest("nowhere")


def test_ids_classes_and_places_of_any_alphabet_come_back():
    "Are two sample sets equal?"
    names = [f"Übersee {i}, 漢 <{i}>" for i in range(24)]
    with tempfile.TemporaryDirectory() as folder:
        far = toy_samples(24).assign_coords(sample=names, region=("sample", names[::-1]))
        far["climate"].attrs["classes"] = ["heiß", "warm", "mäßig", "kühl"]
        stored = open_store(save_samples(far, Path(folder) / "Köln", progress=False))
        assert stored.sample.values.tolist() == names
        assert stored.region.values.tolist() == names[::-1]
        assert list(stored.climate.attrs["classes"]) == far.climate.attrs["classes"]


def test_one_writer_at_a_time_and_what_a_faster_one_has_written_is_used():
    "Are two sample sets equal?"
    with tempfile.TemporaryDirectory() as folder:
        dest = Path(folder) / "world"
        with only_writer(dest), pytest.raises(BlockingIOError, match="world is being written by"):
            save_samples(toy_samples(24), dest, progress=False)
        assert not dest.exists()
        assert save_samples(toy_samples(24), dest, progress=False) == dest
        assert [p.name for p in Path(folder).iterdir()] == ["world"]


def test_what_is_stored_is_read_back_with_and_without_this_package(world):
    "Are two sample sets equal?"
    with tempfile.TemporaryDirectory() as folder:
        path = save_samples(world, Path(folder) / "world", block=20, progress=False)
        back = open_store(path)
        theirs = xr.open_dataset(path / "samples.nc", engine="h5netcdf").load()
        for other in (back, theirs):
            xr.testing.assert_equal(other, world)
            assert modalities(other) == modalities(world)
        assert not (Path(folder) / "world.partial").exists()
        assert sorted(p.name for p in path.iterdir()) == ["manifest.json", "samples.nc"]
        del back


def test_modalities_are_memory_maps(world):
    "Are two sample sets equal?"
    with tempfile.TemporaryDirectory() as folder:
        back = open_store(save_samples(world, Path(folder) / "world", progress=False))
        data = back.optical.variable._data
        while data.base is not None and not isinstance(data, np.memmap):
            data = data.base
        assert isinstance(data, np.memmap)
        assert not back.optical.values.flags.writeable
        batch = back.isel(sample=[5, 2, 90])
        assert np.array_equal(batch.optical, world.optical[[5, 2, 90]])
        del back, data


def test_the_pages_of_these_samples_are_asked_for_of_one_file_and_of_any_view(world):
    "What will be needed soon."
    # the pages of these samples are asked for, of one file and of any view; values in memory are not
    asked = mock.Mock()
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(read_ahead.__globals__, _madvise=lambda: asked),
    ):
        stored = open_store(save_samples(world, Path(folder) / "world", progress=False))
        for values in (stored.optical.values, stored.optical.values[::-1], stored.warmth.values):
            asked.reset_mock()
            read_ahead(values, np.array([5, 2]))
            for row, call in zip([5, 2], asked.call_args_list, strict=True):
                start, size, _ = call.args
                assert start % mmap.PAGESIZE == 0
                assert start <= values[row : row + 1].__array_interface__["data"][0]
                assert size >= values[row].nbytes
        asked.reset_mock()
        read_ahead(world.optical.values, np.arange(5))
        asked.assert_not_called()
        del stored, values


def test_what_the_manifest_of_the_made_up_world_says(world):
    "What will be needed soon."
    with tempfile.TemporaryDirectory() as folder:
        manifest = read_manifest(
            save_samples(
                world,
                Path(folder) / "world",
                settings=dict(seed=0),
                sources=[dict(name="made up", sha256="")],
                dropped={"under water": 3},
                progress=False,
            )
        )
    long = ("created", "statistics", "checksums")
    statistics = {k: manifest["statistics"][k] for k in ("warmth", "climate")}
    print(json.dumps({k: v for k, v in manifest.items() if k not in long}, indent=1))
    print("statistics of the training split:", json.dumps(statistics, indent=1))
    assert manifest["samples"] == 96
    assert manifest["splits"] == dict(train=64, valid=16, test=16)
    assert manifest["statistics"] == training_statistics(world)


def test_what_was_interrupted_goes_on(world, reader_of):
    "Interrupted."
    first = []
    second = []
    with tempfile.TemporaryDirectory() as folder:
        dest = Path(folder) / "world"
        with pytest.raises(KeyboardInterrupt):
            write_store(dest, world, reader_of(first, 20), block=10, progress=False)
        assert not dest.exists()
        assert first == [0, 10]
        write_store(dest, world, reader_of(second), block=10, progress=False)
        assert second == list(range(20, 96, 10))
        xr.testing.assert_equal(open_store(dest).load(), world)
        at_once = write_store(Path(folder) / "at once", world, reader_of([]), progress=False)
        one, two = (read_manifest(store)["checksums"] | dict(modified=0) for store in (dest, at_once))
        assert one == two
        assert verify_store(dest, progress=False) == 8


def test_a_full_disk_is_one_clear_line_and_what_was_written_stays(world):
    "Interrupted."
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")


    with tempfile.TemporaryDirectory() as folder:
        dest = Path(folder) / "world"
        with (
            mock.patch("shutil.disk_usage", return_value=mock.Mock(free=10**5)),
            pytest.raises(OSError, match="needs 1 MB, but only 0 MB are free"),
        ):
            save_samples(world, dest, progress=False)
        assert not list(Path(folder).iterdir())
        with (
            mock.patch("os.fsync", side_effect=full),
            pytest.raises(OSError, match="the disk is full; what is written stays in .*world.partial"),
        ):
            save_samples(world, dest, progress=False)
        assert not dest.exists()
        save_samples(world, dest, progress=False)
        xr.testing.assert_equal(open_store(dest).load(), world)


def test_bad_data_leave_nothing_behind(world):
    "Interrupted."
    bad = world.copy(deep=True)
    bad.elevation[50, 0, 3, 3] = np.inf
    with tempfile.TemporaryDirectory() as folder:
        dest = Path(folder) / "world"
        message = "'elevation': infinite values in 1 samples, first in s0050"
        with pytest.raises(ValueError, match=message):
            save_samples(bad, dest, block=10, progress=False)
        with pytest.raises(ValueError, match="the split 'train' is empty"):
            save_samples(world.isel(sample=world.split.values == "test"), dest, progress=False)
        with pytest.raises(ValueError, match="no values for 'climate' in samples s0000 .. s0095"):
            write_store(dest, world, lambda a, b: dict(cover=world.cover.values[a:b]), progress=False)
        assert not list(Path(folder).iterdir())


def test_the_same_store_is_reused_another_one_is_never_overwritten(world, reader_of):
    "Interrupted."
    with tempfile.TemporaryDirectory() as folder:
        dest = Path(folder) / "world"
        calls = []
        save_samples(world, dest, settings=dict(size=16), progress=False)
        before = (dest / "manifest.json").read_text()
        write_store(dest, world, reader_of(calls), settings=dict(size=16), progress=False)
        assert calls == []
        assert (dest / "manifest.json").read_text() == before
        with pytest.raises(FileExistsError, match="was made with other settings"):
            save_samples(world, dest, settings=dict(size=8), progress=False)
        with pytest.raises(KeyboardInterrupt):
            write_store(
                Path(folder) / "b", world, reader_of([], 0), settings=dict(size=16), progress=False
            )
        with pytest.raises(FileExistsError, match=r"b.partial was begun with other settings"):
            save_samples(world, Path(folder) / "b", settings=dict(size=8), progress=False)


def test_samples_in_memory_and_in_a_store_have_the_same_digest_and_whatever_is(world):
    "Interrupted."
    # samples in memory and in a store have the same digest, and whatever is changed changes it
    with tempfile.TemporaryDirectory() as folder:
        back = open_store(save_samples(world, Path(folder) / "world", progress=False))
        first = slice(50)
        assert content_digest(back) == content_digest(world) == content_digest(back.load())
        assert content_digest(back.isel(sample=first)) == content_digest(world.isel(sample=first))
        assert content_digest(back[["cover"]]) == content_digest(world[["cover"]])
        del back


    def other(change):
        found = world.copy(deep=True)
        change(found)
        return content_digest(found)


    changes = [
        lambda w: w.cover.values.__setitem__((95, 3, 3), (w.cover.values[95, 3, 3] + 1) % 3),
        lambda w: w.warmth.attrs.update(units="K"),
        lambda w: w.attrs.update(title="another"),
        lambda w: w.lat.values.__setitem__(0, 1.0),
        lambda w: w.split.values.__setitem__(0, "test"),
        lambda w: w.update(dict(zone=w.zone.astype("int16"))),
    ]
    assert len({content_digest(world), *map(other, changes)}) == 1 + len(changes)
    # what is no modality is no obstacle
    one, two = (
        world.assign(note=("sample", np.array([text] * 96, object)), year=2020) for text in "ab"
    )
    assert content_digest(one) != content_digest(two)
    assert content_digest(two) == content_digest(two.copy(deep=True))


def test_the_values_of_an_unchanged_store_are_not_read_for_its_digest(world):
    "Interrupted."
    with tempfile.TemporaryDirectory() as folder:
        back = open_store(save_samples(world, Path(folder) / "world", progress=False))
        with mock.patch.dict(
            content_digest.__globals__,
            block_checksums=mock.Mock(side_effect=AssertionError("values were read")),
        ):
            assert content_digest(back) == content_digest(back.drop_vars([]))
            assert content_digest(back[["cover", "months"]])
            with pytest.raises(AssertionError, match="values were read"):
                content_digest(back.isel(sample=slice(1, None)))
        del back


def test_other_samples_at_the_same_place_are_refused_the_same_ones_are_there(world):
    "Interrupted."
    # other samples at the same place are refused, the same ones are there already
    with tempfile.TemporaryDirectory() as folder:
        dest = save_samples(world, Path(folder) / "world", progress=False)
        before = (dest / "manifest.json").read_text()
        assert save_samples(world, dest, progress=False) == dest
        assert (dest / "manifest.json").read_text() == before
        save_samples(open_store(dest), dest, progress=False)
        relabelled = world.copy(deep=True)
        relabelled.climate[0] = (relabelled.climate[0] + 1) % 4
        with pytest.raises(
            FileExistsError, match="world holds other samples: choose another folder, or remove it"
        ):
            save_samples(relabelled, dest, progress=False)
        with (
            mock.patch.dict(
                write_store.__globals__, _write_blocks=mock.Mock(side_effect=KeyboardInterrupt)
            ),
            pytest.raises(KeyboardInterrupt),
        ):
            save_samples(world, Path(folder) / "b", progress=False)
        with pytest.raises(FileExistsError, match="b.partial was begun with other contents: remove it"):
            save_samples(relabelled, Path(folder) / "b", progress=False)


def test_one_flipped_bit_anywhere_in_the_file_is_found_and_named(world):
    "Interrupted."
    with tempfile.TemporaryDirectory() as folder:
        dest = save_samples(world, Path(folder) / "world", progress=False)
        assert verify_store(dest, progress=False) == 1 + len(world.data_vars)
        whole = bytearray((dest / "samples.nc").read_bytes())
        layout = contiguous_layout(dest / "samples.nc")
        lat = layout["lat"][0]
        places = {
            layout["cover"][0]: "'cover' in samples number 0 .. 95",
            layout["zone"][0] + world.zone.nbytes - 1: "'zone' in samples",
            lat: "structure, attributes or coordinates",
        }
        for place, message in places.items():
            whole[place] ^= 16
            (dest / "samples.nc").write_bytes(whole)
            with pytest.raises(ValueError, match=f"samples.nc is damaged: {message}.*; copy it again"):
                open_store(dest, verify=True)
            whole[place] ^= 16
        (dest / "samples.nc").write_bytes(whole)
        for place in (8, len(whole) // 2, len(whole) - 1):
            whole[place] ^= 1
            (dest / "samples.nc").write_bytes(whole)
            with pytest.raises(ValueError, match="samples.nc is damaged"):
                verify_store(dest, progress=False)
            whole[place] ^= 1


def test_a_store_that_moved_is_verified_once(world):
    "Interrupted."
    # a store that moved is verified once; one that cannot remember it warns
    with tempfile.TemporaryDirectory() as folder:
        dest = save_samples(world, Path(folder) / "world", progress=False)
        with mock.patch.dict(open_store.__globals__, _damages=mock.Mock(return_value=[])) as patched:
            open_store(dest)
            assert patched["_damages"].call_count == 0
            shutil.copytree(dest, Path(folder) / "copy", copy_function=shutil.copyfile)
            for _ in range(3):
                open_store(Path(folder) / "copy")
            assert patched["_damages"].call_count == 1
            assert (Path(folder) / "copy" / "verified.json").exists()
        os.utime(dest / "samples.nc", ns=(1, 1))
        with (
            mock.patch("os.access", return_value=False),
            pytest.warns(UserWarning, match="data verify .*world"),
        ):
            open_store(dest)


def test_stores_of_the_version_before_have_no_checksums_and_open(world):
    "Interrupted."
    with tempfile.TemporaryDirectory() as folder:
        dest = save_samples(world, Path(folder) / "world", progress=False)
        manifest = json.loads((dest / "manifest.json").read_text())
        del manifest["checksums"], manifest["identity"]["contents"]
        (dest / "manifest.json").write_text(json.dumps(manifest))
        with pytest.warns(UserWarning, match="has no checksums"):
            xr.testing.assert_equal(open_store(dest, verify=True).load(), world)
        with pytest.raises(ValueError, match="world has no checksums"):
            verify_store(dest)
        assert save_samples(world, dest, progress=False) == dest
        assert content_digest(open_store(dest)) == content_digest(world)


def test_a_manifest_that_is_not_what_it_should_be_or_belongs_to_another_file_is(world):
    "Interrupted."
    # a manifest that is not what it should be, or belongs to another file, is one line
    def manifest_with(manifest, path, value):
        found = json.loads(json.dumps(manifest))
        *way, last = path.split(".")
        part = found
        for key in way:
            part = part[key]
        part[last] = value
        return json.dumps(found)


    wrong = {
        "bytes": ("12", "bytes is .12., expected a whole number"),
        "samples": (None, "samples is None, expected a whole number"),
        "splits": ([], r"splits is \[\], expected a dictionary"),
        "splits.train": (True, "splits.train is True, expected a whole number"),
        "identity": ("x", "identity is .x., expected a dictionary"),
        "sources": (["a.tif"], r"sources\[0\] is .a.tif., expected a dictionary"),
        "statistics.optical.mean": (None, "statistics.optical.mean is None, expected a list"),
        "statistics.optical.std": (["x"], r"optical.std\[0\] is .x., expected a number or nothing"),
        "statistics.optical.max": ([1.0], "statistics.optical.max has 1 entries, expected 3"),
        "checksums": ({}, "checksums.algorithm is missing"),
        "checksums.variables.cover.blocks": ([7], r"cover.blocks\[0\] is 7, expected text"),
        "checksums.variables.cover.shape": (
            [96, 16],
            "'cover' in samples.nc is not what manifest.json says",
        ),
    }
    with tempfile.TemporaryDirectory() as folder:
        dest = save_samples(world, Path(folder) / "world", progress=False)
        manifest = json.loads((dest / "manifest.json").read_text())
        for path, (value, message) in wrong.items():
            (dest / "manifest.json").write_text(manifest_with(manifest, path, value))
            with pytest.raises(ValueError, match=message):
                open_store(dest)
        for text in ("[]", '"a"', "[" * 10**5):
            (dest / "manifest.json").write_text(text)
            with pytest.raises(ValueError, match="manifest.json is damaged"):
                open_store(dest)
        (dest / "manifest.json").write_text(json.dumps(manifest | dict(samples=95)))
        with pytest.raises(ValueError, match="speaks of 95 samples, samples.nc has 96"):
            open_store(dest)
        del manifest["checksums"]["variables"]["cover"]
        (dest / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(ValueError, match="manifest.json does not know 'cover'"):
            open_store(dest)


def test_somebodys_folder_beside_a_store_is_left_alone(world, reader_of):
    "Interrupted."
    # somebody's folder beside a store is left alone; one of the version before is taken over
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "world.partial"
        dest = Path(folder) / "world"
        other.mkdir()
        (other / "progress.json").write_text('{"done": 3}')
        with pytest.raises(FileExistsError, match="world.partial is in the way and nothing proves"):
            save_samples(world, dest, progress=False)
        assert (other / "progress.json").exists()
        assert not dest.exists()
        discarded = Path(folder) / "old"
        with pytest.raises(KeyboardInterrupt):
            write_store(discarded, world, reader_of([], 20), block=10, progress=False)
        (Path(folder) / "old.partial" / ".mtl_explain.json").unlink()
        calls = []
        write_store(discarded, world, reader_of(calls), block=10, progress=False)
        assert calls[0] == 20
        xr.testing.assert_equal(open_store(discarded).load(), world)


def test_a_file_system_without_locks_and_attributes_that_cannot_be_stored_leave(world):
    "Interrupted."
    # a file system without locks, and attributes that cannot be stored, leave nothing behind
    with tempfile.TemporaryDirectory() as folder:
        dest = save_samples(world, Path(folder) / "world", progress=False)
        real = h5py.File

        def without_locks(path, *args, **options):
            if options.get("locking", True):
                raise BlockingIOError("unable to lock file")
            return real(path, *args, **options)

        with mock.patch("h5py.File", without_locks):
            assert contiguous_layout(dest / "samples.nc")["cover"][2] == world.cover.shape
        with pytest.raises(
            ValueError, match="attribute 'extra' of 'warmth' cannot be stored: NoneType is neither"
        ):
            save_samples(
                world.assign(warmth=world.warmth.assign_attrs(extra=None)),
                Path(folder) / "b",
                progress=False,
            )
        assert [p.name for p in Path(folder).iterdir()] == ["world"]


def test_a_damaged_store_is_one_clear_line(world):
    "Interrupted."
    with tempfile.TemporaryDirectory() as folder:
        dest = save_samples(world, Path(folder) / "world", progress=False)
        whole = (dest / "samples.nc").read_bytes()
        (dest / "samples.nc").write_bytes(whole[:-1000])
        with pytest.raises(ValueError, match="it is truncated or was changed"):
            open_store(dest)
        (dest / "samples.nc").unlink()
        with pytest.raises(FileNotFoundError, match="it has no samples.nc"):
            open_store(dest)
        manifest = json.loads((dest / "manifest.json").read_text()) | dict(store_format=99)
        (dest / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(
            ValueError, match="was written in store format 99, this version reads format 1"
        ):
            open_store(dest)


def test_a_template_that_cannot_become_a_store_is_refused(world):
    "Interrupted."
    for odd, message in (
        (world.drop_vars(list(world.data_vars)), "nothing to store"),
        (world.assign(note=("sample", np.zeros(96))), "'note' is no modality"),
        (
            world.assign_coords(split=("sample", np.where(np.arange(96) < 50, "train", "holdout"))),
            "unknown split 'holdout'",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            _check_template(odd)


def test_what_is_sent_is_small_and_what_arrives_is_the_same(world):
    "Samples on their way to another process."
    # what is sent is small, and what arrives is the same; what was changed is sent
    with tempfile.TemporaryDirectory() as folder:
        stored = open_store(save_samples(world, Path(folder) / "world", progress=False))
        changed = stored.assign(warmth=stored.warmth + 1).assign_coords(
            split=("sample", np.resize(["train", "valid"], 96))
        )
        for given in (stored, changed, world):
            packed = pickle.dumps(SentSamples(given))
            arrived = pickle.loads(packed).samples
            xr.testing.assert_identical(arrived.load(), given.load())
            assert list(arrived.data_vars) == list(given.data_vars)
            assert content_digest(arrived) == content_digest(given)
            assert (len(packed) < world.nbytes / 2) == (given is not world)
        del stored, changed, given, arrived
