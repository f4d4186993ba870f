"""Native files

Written by nbdev-export from the check cells of nbs/api/data/04_native.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from mtl_explain.data.native import (
    BadSample, _chunk_sizes, _concatenate, as_bad_sample, block_reader, complaint, expectations,
    full_template, over_cores, prepare_samples, read_sample,
)
from mtl_explain.data.samples import modality_array
from mtl_explain.data.store import open_store, read_manifest
from mtl_explain.files.executor import open_executor


# the toy dataset: its template, its reader, its files, and a folder with three bad ones
def toy_read(row):
    with np.load(row.path) as file:
        return {k: file[k] for k in ("optical", "crop", "weather")}


def toy_folder(folder, n):
    rng = np.random.default_rng(0)
    folder = Path(folder)
    for i in range(n):
        np.savez(
            folder / f"s{i:04d}.npz",
            optical=rng.integers(0, 255, (2, 4, 4), "uint8"),
            crop=np.int8(i % 3),
            weather=rng.normal(10, 5, 2).astype("float32"),
        )
    ids = [f"s{i:04d}" for i in range(n)]
    index = pd.DataFrame(
        dict(
            path=[str(folder / f"{s}.npz") for s in ids],
            split=np.resize(["train", "train", "valid", "test"], n),
            lat=np.linspace(50, 53, n),
        ),
        ids,
    )
    return index
def bad_folder(folder):
    index = toy_folder(folder, 30)
    Path(index.path.iloc[3]).unlink()
    Path(index.path.iloc[11]).write_bytes(Path(index.path.iloc[11]).read_bytes()[:200])
    np.savez(
        index.path.iloc[20],
        optical=np.zeros((2, 4, 5), "uint8"),
        crop=np.int8(0),
        weather=np.zeros(2, "float32"),
    )
    return index


# a script that prepares 1,000 samples; each reading leaves a dot in a file named after its process
def written(folder):
    state = folder / "store.staged" / "all.partial" / "progress.json"
    return json.loads(state.read_text())["done"] if state.exists() else 0


def readers(folder):
    return {int(f.stem): f.stat().st_size for f in folder.glob("*.reads")}


def wait_until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def gone(pids):
    def alive(pid):
        try:
            return (
                Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
                if Path("/proc").exists()
                else not os.kill(pid, 0)
            )
        except OSError:
            return False

    return not any(alive(p) for p in pids)


def fails(i):
    return 1 / (i - 3)


@pytest.fixture(scope='module')
def toy():
    "The toy dataset: its template, its reader, its files, and a folder with three bad ones."
    return xr.Dataset(
        {
            da.name: da
            for da in (
                modality_array(
                    "optical",
                    np.zeros((0, 2, 4, 4), "uint8"),
                    "image",
                    ("band", "y", "x"),
                    ["red", "nir"],
                ),
                modality_array(
                    "crop", np.zeros(0, "int8"), "category", classes=["maize", "wheat", "soy"]
                ),
                modality_array(
                    "weather",
                    np.zeros((0, 2), "float32"),
                    "tabular",
                    ("feature",),
                    ["temperature", "rain"],
                    units="°C, mm",
                ),
            )
        }
    )


@pytest.fixture(scope='module')
def start():
    "A script that prepares 1,000 samples; each reading leaves a dot in a file named after its process."
    script = """
import os, signal, sys, time
from pathlib import Path
import numpy as np, pandas as pd, xarray as xr
from mtl_explain.data.native import BadSample, prepare_samples
from mtl_explain.data.samples import modality_array

signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore it
folder, pause = Path(sys.argv[1]), float(sys.argv[2])

def read(row):
    with open(folder/f'{os.getpid()}.reads', 'a') as file: file.write('.')
    time.sleep(pause)
    if row.name == 's0011': raise BadSample(row.name, 's0011.tif', 'truncated')
    for mark in list(folder.glob('murder*'))[:1] if row.name == 's0700' else ():
        mark.unlink()
        os.kill(os.getpid(), 9)
    return dict(level=np.float32([row.number]))

template = xr.Dataset(dict(level=modality_array('level', np.zeros((0, 1), 'float32'), 'tabular')))
ids = [f's{i:04d}' for i in range(1000)]
index = pd.DataFrame(dict(split='train', number=np.arange(1000.)), ids)
prepare_samples(index, read, template, folder/'store', workers=2, skip_bad=True, progress=False)
"""
    def start(folder, pause):
        return subprocess.Popen(
            [sys.executable, "-c", script, str(folder), str(pause)],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    return start


def test_a_bad_sample_says_which_where_and_what_even_after_it_came_from_another():
    "A bad sample."
    # a bad sample says which, where and what, even after it came from another process
    bad = pickle.loads(pickle.dumps(BadSample("s3", "dem/s3.tif", "all pixels are nodata")))
    assert isinstance(bad, ValueError)
    assert str(bad) == "s3: dem/s3.tif: all pixels are nodata"
    assert bad.problem == "all pixels are nodata"
    assert str(BadSample("s3", "", "no row in the table")) == "s3: no row in the table"


def test_files_at_fault_are_told_from_a_machine_at_fault():
    "A bad sample."
    assert (
        str(as_bad_sample(FileNotFoundError(errno.ENOENT, "No such file or directory", "a.tif"), "s1"))
        == "s1: a.tif: no such file or directory"
    )
    assert (
        str(as_bad_sample(ValueError("a.tif: expected shape (6, 6), got (6, 5)"), "s1"))
        == "s1: a.tif: expected shape (6, 6), got (6, 5)"
    )
    assert as_bad_sample(OSError(errno.EMFILE, "Too many open files"), "s1") is None
    assert as_bad_sample(KeyError("path"), "s1") is None


def test_one_sample_good_or_bad(toy):
    "One sample."
    with tempfile.TemporaryDirectory() as folder:
        index = toy_folder(folder, 3)
        values, bad = read_sample(toy_read, expectations(toy), index.iloc[1])
        assert bad is None
        assert values["crop"] == 1
        assert values["optical"].shape == (2, 4, 4)
        for odd, text in (
            (dict(optical=np.zeros((2, 4, 4))), r"'optical': expected type uint8, got float64"),
            (dict(crop=np.int8(7)), "'crop': a label outside 0..2"),
            (dict(weather=np.float32([1, np.inf])), "'weather': infinite values"),
            (dict(weather=None), "'weather': the reader gave no values"),
            (dict(crop=np.zeros(2, "int8")), r"'crop': expected shape \(\), got \(2,\)"),
        ):
            changed = values | odd
            _, bad = read_sample(lambda row, v=changed: v, expectations(toy), index.iloc[1])
            with pytest.raises(BadSample, match=f"s0001: {text}"):
                raise bad
        Path(index.path.iloc[2]).unlink()
        assert "no such file" in str(read_sample(toy_read, expectations(toy), index.iloc[2])[1])


def test_small_samples_go_in_blocks_of_256_images_of_a_megapixel_one_by_one(toy):
    "Many samples, all cores, constant memory."
    assert _chunk_sizes(expectations(toy)) == (32, 256)
    megapixel = (3, 1024, 1024), np.dtype("uint8"), 0
    assert _chunk_sizes(dict(image=megapixel, late=megapixel)) == (1, 8)


def test_two_processes_give_the_same_as_one_in_the_same_order(toy):
    "Many samples, all cores, constant memory."
    with tempfile.TemporaryDirectory() as folder:
        index = toy_folder(folder, 300)
        Path(index.path.iloc[270]).write_bytes(b"PK no archive")
        results = []
        for workers in (1, 2):
            with block_reader(toy_read, toy, index, workers) as (read_block, block):
                blocks = [read_block(i, min(i + block, 300)) for i in range(0, 300, block)]
                results.append(_concatenate(blocks))
    for name, values in results[0][0].items():
        np.testing.assert_array_equal(values, results[1][0][name])
    assert [i for i, bad in results[0][1]] == [i for i, bad in results[1][1]] == [270]
    assert list(results[0][0]["crop"][268:273]) == [1, 2, -1, 1, 2]


def test_columns_of_all_sorts_become_coordinates(toy):
    "From index to template."
    several = pd.DataFrame(
        dict(
            split=["train", "test"],
            lat=[50.0, 51],
            n=pd.array([1, None], "Int64"),
            seen=pd.to_datetime(["2017-07-01 09:30:31", None]),
            farm=["north", None],
            zoned=[pd.Timestamp("2017-07-01 12:00", tz="Europe/Berlin"), "2017-07-01T08:00-02:00"],
            days=[np.arange(3.0), np.arange(3.0) + 1],
        ),
        ["a", "b"],
    )
    sample_set = full_template(
        toy.assign_coords(days=(("sample", "time"), np.zeros((0, 3)), dict(units="days"))),
        several,
        ["lat", "n", "seen", "farm", "zoned", "days"],
    )
    assert dict(sample_set.sizes) == dict(sample=2, band=2, y=4, x=4, feature=2, time=3)
    assert sample_set.optical.nbytes == 64
    assert list(sample_set.seen.values) == ["2017-07-01T09:30:31", ""]
    assert list(sample_set.farm.values) == ["north", ""]
    assert list(sample_set.zoned.values) == ["2017-07-01T10:00:00", "2017-07-01T10:00:00"]  # UTC
    assert np.isnan(sample_set.n[1])
    assert sample_set.days.values[1, 2] == 3
    assert sample_set.days.attrs == dict(units="days")
    assert list(sample_set.sample.values) == ["a", "b"]
    with pytest.raises(ValueError, match="no column 'field' in the index"):
        full_template(toy, several, ["field"])


def test_the_first_ten_and_a_count():
    "Stopping, or leaving out."
    text = complaint([BadSample(f"s{i}", f"dem/s{i}.tif", "truncated") for i in range(12)], 320, 8000)
    print(text)
    assert text.startswith("12 bad samples among the first 320 of 8,000:")
    assert "s9: dem/s9.tif" in text
    assert "s10" not in text
    assert "... and 2 more" in text
    assert complaint([BadSample("a", "", "odd")], 5, 5).startswith("1 bad sample among 5:")


def test_native_files_become_a_store(toy):
    "On a cluster, in shards."
    with tempfile.TemporaryDirectory() as folder:
        index = toy_folder(folder, 12)
        path = prepare_samples(
            index,
            toy_read,
            toy,
            Path(folder) / "store",
            dict(dataset="toy"),
            coords=["lat"],
            progress=False,
        )
        samples = open_store(path)
        for i in (0, 7, 11):
            with np.load(index.path.iloc[i]) as file:
                assert np.array_equal(samples.optical[i], file["optical"])
                assert np.allclose(samples.weather[i], file["weather"])
        assert list(samples.sample.values) == list(index.index)
        assert np.allclose(samples.lat, index.lat)
        assert list(samples.split.values) == list(index.split)
        assert read_manifest(path)["dropped"] == {}
        assert sorted(p.name for p in Path(folder).iterdir() if p.is_dir()) == ["store"]
        assert prepare_samples(index, None, toy, path, dict(dataset="toy"), progress=False) == path
        print(samples)
        del samples


def test_by_default_bad_samples_stop_it_and_nothing_is_left_behind(toy):
    "On a cluster, in shards."
    with tempfile.TemporaryDirectory() as folder:
        index = bad_folder(folder)
        message = (
            r"(?s)3 bad samples among 30:.*s0003: .*npz: no such file.*s0011: .*"
            r"s0020: .optical.: expected shape \(2, 4, 4\), got \(2, 4, 5\).*skip_bad"
        )
        with pytest.raises(ValueError, match=message) as error:
            prepare_samples(index, toy_read, toy, Path(folder) / "store", progress=False)
        index.loc["s0029", "split"] = "holdout"
        with pytest.raises(
            ValueError, match="(?s)1 bad sample among 30:.*s0029: unknown split 'holdout'"
        ):
            prepare_samples(index, toy_read, toy, Path(folder) / "store", progress=False)
        assert not [p for p in Path(folder).iterdir() if p.is_dir()]
    print(str(error.value).replace(folder, "..."))


def test_left_out_and_said_so_in_the_manifest(toy):
    "On a cluster, in shards."
    with tempfile.TemporaryDirectory() as folder:
        index = bad_folder(folder)
        index.loc["s0029", "split"] = "holdout"
        path = prepare_samples(
            index, toy_read, toy, Path(folder) / "store", skip_bad=True, progress=False
        )
        dropped = pd.DataFrame(read_manifest(path)["dropped"])
        samples = open_store(path).load()
        assert list(dropped["sample"]) == ["s0029", "s0003", "s0011", "s0020"]
        assert dropped.problem[1] == "no such file or directory"
        assert samples.sizes["sample"] == 26
        assert not set(dropped["sample"]) & set(samples.sample.values)
        with np.load(index.path["s0012"]) as file:
            assert np.array_equal(samples.optical.sel(sample="s0012"), file["optical"])
        assert sorted(p.name for p in Path(folder).iterdir() if p.is_dir()) == ["store"]
        with pytest.raises(ValueError, match="(?s)no sample can be read.*30 bad samples among 30"):
            prepare_samples(
                index.assign(split="train", path="none.npz"),
                toy_read,
                toy,
                Path(folder) / "none",
                skip_bad=True,
                progress=False,
            )
    dropped.assign(file=[Path(f).name for f in dropped.file])


def test_nothing_bad(toy):
    "On a cluster, in shards."
    # nothing bad: the same store either way
    with tempfile.TemporaryDirectory() as folder:
        index = toy_folder(folder, 12)
        options = dict(coords=["lat"], progress=False)
        one = prepare_samples(index, toy_read, toy, Path(folder) / "one", skip_bad=False, **options)
        two = prepare_samples(index, toy_read, toy, Path(folder) / "two", skip_bad=True, **options)
        xr.testing.assert_identical(open_store(one).load(), open_store(two).load())
        assert read_manifest(one)["identity"] == read_manifest(two)["identity"]


def test_on_a_cluster(toy):
    "On a cluster, in shards."
    # on a cluster: the same samples in shards, the same bad ones left out or named
    with tempfile.TemporaryDirectory() as folder:
        index = bad_folder(folder)
        index.loc["s0029", "split"] = "holdout"
        options = dict(coords=["lat"], progress=False, skip_bad=True)
        one = prepare_samples(index, toy_read, toy, Path(folder) / "one", **options)
        with ThreadPoolExecutor(2) as threads, open_executor(threads):
            two = prepare_samples(index, toy_read, toy, Path(folder) / "two", shard=8, **options)
            with pytest.raises(
                ValueError, match="(?s)2 bad samples among 8:.*s0020: 'optical'"
            ) as told:
                rows = index[16:24].assign(split="train")
                rows.loc["s0018", "path"] = "none.npz"
                prepare_samples(rows, toy_read, toy, Path(folder) / "three", shard=8, progress=False)
        assert told.value.__notes__[0].startswith("in samples-00000.nc, process ")
        assert len(read_manifest(two)["shards"]) == 4
        assert read_manifest(two)["dropped"] == read_manifest(one)["dropped"]
        xr.testing.assert_identical(open_store(two).load(), open_store(one).load())
        assert not (Path(folder) / "two.staged").exists()
        good = index[12:20]
        three = prepare_samples(good, toy_read, toy, Path(folder) / "four", shard=3, progress=False)
        assert list(open_store(three).sample.values) == list(good.index)


def test_interrupted_then_killed_then_finished(start):
    "Interrupted."
    # interrupted, then killed, then finished: no process is left behind, and little is read twice
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = start(folder, 0.002)
        assert wait_until(lambda: written(folder) >= 256), first.communicate()
        os.killpg(first.pid, signal.SIGINT)
        assert "KeyboardInterrupt" in first.communicate(timeout=120)[1]
        assert gone(readers(folder))
        assert not (folder / "store").exists()
        second = start(folder, 0.002)
        before = written(folder)
        assert wait_until(lambda: written(folder) > before), second.communicate()
        second.kill()
        second.communicate()
        assert wait_until(lambda: gone(readers(folder)))
        assert len(readers(folder)) == 4
        assert not (folder / "store").exists()
        third = start(folder, 0)
        assert third.communicate(timeout=120) == (None, "")
        assert third.returncode == 0
        reads = sum(readers(folder).values())
        dropped = read_manifest(folder / "store")["dropped"]
        samples = open_store(folder / "store").load()
        assert dropped == [dict(sample="s0011", file="s0011.tif", problem="truncated")]
        assert np.array_equal(samples.level[:, 0], np.delete(np.arange(1000), 11))
        assert 1000 <= reads < 1000 + 2 * (256 + 8 * 32)
        assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == ["store"]
    print(f"{reads:,} readings for 1,000 samples, with two interruptions")


def test_a_reading_process_that_is_killed_is_begun_again(start):
    "Interrupted."
    # a reading process that is killed is begun again; the third time it is one clear line
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for i in range(3):
            (folder / f"murder{i}").touch()
        done = start(folder, 0)
        words = "ChildProcessError: samples s0672 .. s0703: the process that did it was killed 3 times"
        assert words in done.communicate(timeout=120)[1]
        assert done.returncode == 1
        assert written(folder) in (256, 512)
        assert gone(readers(folder))
        assert not (folder / "store").exists()


def test_what_is_not_the_samples_fault_is_not_put_down_to_it(toy):
    "Interrupted."
    def crowded(row):
        raise OSError(errno.EMFILE, "Too many open files")


    def careless(row):
        return dict(optical=row["no such column"])


    with tempfile.TemporaryDirectory() as folder:
        index = toy_folder(folder, 3)
        for reader, error in ((crowded, OSError), (careless, KeyError)):
            with pytest.raises(error):
                prepare_samples(
                    index, reader, toy, Path(folder) / "store", skip_bad=True, progress=False
                )
        assert not (Path(folder) / "store").exists()


def test_a_systematic_mistake_is_seen_early(toy):
    "Interrupted."
    with tempfile.TemporaryDirectory() as folder:
        index = pd.DataFrame(dict(split="train", path="none.npz"), [f"s{i}" for i in range(3000)])
        with pytest.raises(
            ValueError, match="(?s)256 bad samples among the first 256 of 3,000:.*s9: .*and 246 more"
        ):
            prepare_samples(index, toy_read, toy, Path(folder) / "store", workers=2, progress=False)
        with pytest.raises(ValueError, match="(?s)1 bad sample among 3:.*b: this id occurred before"):
            prepare_samples(
                index[:3].set_axis(["a", "b", "b"]),
                toy_read,
                toy,
                Path(folder) / "store",
                progress=False,
            )


def test_one_process_or_two():
    "All cores."
    # one process or two: the same results in the same order
    assert (
        over_cores(abs, [-3, 1, -2], workers=2, progress=False)
        == over_cores(abs, [-3, 1, -2], progress=False)
        == [3, 1, 2]
    )
    assert over_cores(abs, [], progress=False) == []


def test_a_mistake_in_a_job_keeps_its_own_name_and_says_which_job_what_cannot():
    "All cores."
    # a mistake in a job keeps its own name and says which job, what cannot be sent is refused
    with pytest.raises(ZeroDivisionError) as told:
        over_cores(fails, range(8), workers=2, progress=False)
    assert told.value.__notes__[0].startswith("in simulating, number 3, process ")
    with pytest.raises(TypeError, match="pickle"):
        over_cores(threading.Lock().acquire, range(8), workers=2, progress=False)
