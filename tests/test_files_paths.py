"""Files and folders

Written by nbdev-export from the check cells of nbs/api/files/00_paths.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import platformdirs
import pytest
import xarray as xr

from mtl_explain.files.paths import (
    _files, _mark, _note, atomic_file, check_replaceable, check_space, data_folder, discard_folder,
    finish_folder, is_ours, json_digest, load_netcdf, marker, new_folder, only_writer, read_json_if_any,
    replace_folder, save_netcdf, scratch_file, take_folder, write_beside, write_json,
)


class Killed(BaseException):
    "Instead of a real kill: nothing may catch it."
class Fuse:
    "Count the calls that change the disk, and fail at one of them."

    def __init__(self, at):
        self.left = at

    def burn(self, action):
        def call(*args, **kwargs):
            self.left -= 1
            if self.left < 0:
                raise Killed
            return action(*args, **kwargs)

        return call


@pytest.fixture(scope='module')
def disk_calls():
    disk_calls = [(os, n) for n in ("mkdir", "replace", "unlink", "rmdir", "open")]
    disk_calls += [(Path, n) for n in ("mkdir", "unlink", "rmdir", "write_text")] + [(shutil, "rmtree")]
    return disk_calls


def test_beside_its_place_and_not_called_like_anything_else():
    "A file."
    assert scratch_file("maps/change.tif") == Path("maps/change.tif.mtl_explain-part")


def test_whole_or_not_at_all_and_nothing_of_anybody_else_is_touched():
    "A file."
    with tempfile.TemporaryDirectory() as d:
        path = Path(d) / "a.txt"
        theirs = [Path(d) / f"a.txt.{ending}" for ending in ("part", "partial", "new", "tmp")]
        for file in theirs:
            file.write_text("ten years")
        scratch_file(path).write_text("what a kill has left, which is longer")
        with atomic_file(path) as scratch:
            scratch.write_text("old")
            assert not path.exists()
        for error in (ValueError, OSError, KeyboardInterrupt):
            with pytest.raises(error), atomic_file(path) as scratch:
                scratch.write_text("half")
                raise error
            assert path.read_text() == "old"
            assert set(Path(d).iterdir()) == {path, *theirs}
        with pytest.raises(FileNotFoundError), atomic_file(path):
            pass  # nothing was written
        assert path.read_text() == "old"
        assert {file.read_text() for file in theirs} == {"ten years"}


def test_the_new_content_replaces_the_old_and_nothing_else_is_left():
    "A file."
    with tempfile.TemporaryDirectory() as d:
        path = Path(d) / "a.json"
        for text in ("old", "new"):
            write_beside(path, text)
        assert path.read_text() == "new"
        assert read_json_if_any(path) is None
        write_json(path, dict(place=Path("Müritz"), n=1))
        assert read_json_if_any(path) == dict(place="Müritz", n=1)
        assert os.listdir(d) == ["a.json"]
        for content in (b"", b"\xff", b"[" * 10**5):
            path.write_bytes(content)
            assert read_json_if_any(path) is None
        for nothing in (Path(d), path / "b.json", Path(d) / "nowhere.json"):
            assert read_json_if_any(nothing) is None


def test_a_dataset_comes_back_and_a_crash_while_writing_leaves_the_old_one():
    "A file."
    old = xr.Dataset(dict(a=("x", [1.0, 2.0])))
    new = xr.Dataset(dict(a=("x", [3.0, 4.0])))
    with tempfile.TemporaryDirectory() as d:
        path = Path(d) / "trace" / "000.nc"
        save_netcdf(old, path)
        with mock.patch.object(os, "replace", side_effect=OSError("power cut")), pytest.raises(OSError):
            save_netcdf(new, path)
        assert xr.load_dataset(path).equals(old)
        assert os.listdir(path.parent) == ["000.nc"]
        save_netcdf(new, path)
        assert xr.load_dataset(path).equals(new)
        assert os.listdir(path.parent) == ["000.nc"]


def test_text_of_any_kind_comes_back_as_it_was_and_takes_little_room():
    "A file."
    texts = dict(sample=[f"Fläche {i:05d}" for i in range(4000)], task=["ä", ""], units=["", ""])
    numbers = dict(error=(("epoch", "sample", "task"), np.zeros((2, 4000, 2), "float32")))
    written = xr.Dataset(numbers, texts | dict(units=("task", texts["units"]), epoch=[0, 1]))
    with tempfile.TemporaryDirectory() as d:
        save_netcdf(written, Path(d) / "trace.nc")
        read = load_netcdf(Path(d) / "trace.nc")
        assert read.identical(written)
        assert {n: read[n].dtype for n in texts} == {n: written[n].dtype for n in texts}
        save_netcdf(read, Path(d) / "again.nc")
        assert load_netcdf(Path(d) / "again.nc").identical(written)
        assert (Path(d) / "again.nc").read_bytes() == (Path(d) / "trace.nc").read_bytes()
        assert (Path(d) / "trace.nc").stat().st_size < 40_000


def test_a_marker_is_read_back_and_what_is_no_marker_is_none():
    "The marker."
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        assert _note(folder) is None
        _mark(folder, "store", "world")
        assert _note(folder) == dict(written_by="mtl_explain", kind="store", name="world", files=None)
        others = '{"written_by": "somebody"}', '{"written_by": "mtl_explain", "files": 3}'
        for text in ("", "[]", *others):
            (folder / marker).write_text(text)
            assert _note(folder) is None


def test_files_in_all_depths_links_as_links():
    "The marker."
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "a"
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "one.txt").write_text("1")
        (folder / "away").symlink_to(name)
        _mark(folder, "report", "a")
        assert _files(folder) == {"deep/one.txt": 1, "away": -1}


def test_what_we_took_is_removed_with_all_that_is_in_it():
    "Take, discard."
    with tempfile.TemporaryDirectory() as name:
        partial = take_folder(Path(name) / "world.partial", "store")
        (partial / "deep").mkdir()
        (partial / "deep" / "one.txt").write_text("1")
        assert take_folder(partial, "store") == partial
        assert (partial / "deep" / "one.txt").exists()
        discard_folder(partial, "store")
        assert list(Path(name).iterdir()) == []
        discard_folder(partial, "store")  # nothing there is nothing to do


def test_somebody_elses_folder_file_or_link_stays_as_it_is_and_one_line_says_so():
    "Take, discard."
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        for thing in ("thesis.partial", "kept"):
            (home / thing).mkdir()
            (home / thing / "thesis.tex").write_text("ten years")
        (home / "file.partial").write_text("ten years")
        (home / "link.partial").symlink_to(home / "kept")
        ours = take_folder(home / "world.partial", "store")
        (ours / "samples.nc").write_text("")
        shutil.copytree(ours, home / "other.partial")
        cases = {
            "thesis.partial": "nothing proves that mtl_explain wrote it",
            "file.partial": "it is a file",
            "link.partial": "it is a link",
            "other.partial": "it is the store of world",
        }
        for thing, message in cases.items():
            for action in (check_replaceable, take_folder, discard_folder):
                expected = f"{thing} is in the way and {message}.*move it"
                with pytest.raises(FileExistsError, match=expected):
                    action(home / thing, "store")
        with pytest.raises(FileExistsError, match="it is the store of world"):
            discard_folder(ours, "report")
        for path in ("thesis.partial/thesis.tex", "kept/thesis.tex", "other.partial/samples.nc"):
            assert (home / path).exists()


def test_links_inside_are_removed_and_not_followed():
    "Take, discard."
    # links inside are removed and not followed; an older version's folder may be proven otherwise
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "kept").mkdir()
        (home / "kept" / "thesis.tex").write_text("ten years")
        partial = take_folder(home / "world.partial", "store")
        (partial / "away").symlink_to(home / "kept")
        discard_folder(partial, "store")
        assert not partial.exists()
        assert (home / "kept" / "thesis.tex").exists()
        old = home / "old.partial"
        old.mkdir()
        (old / "progress.json").write_text("{}")
        assert not is_ours(old, "store")
        assert is_ours(old, "store", lambda f: (f / "progress.json").exists())
        take_folder(old, "store", lambda f: (f / "progress.json").exists())
        assert is_ours(old, "store")
        assert not is_ours(home / "nothing", "store")


def test_a_report_replaces_a_report_and_nothing_else():
    "When it is finished."
    def report(text):
        partial = take_folder(home / "page.partial", "report")
        (partial / "figures").mkdir(exist_ok=True)
        (partial / "figures" / "one.png").write_text(text)
        (partial / "report.html").write_text(text)
        return replace_folder(partial, home / "page", "report")


    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        report("old")
        (home / "page" / ".DS_Store").write_text("")
        page = report("new")
        assert (page / "report.html").read_text() == "new"
        assert sorted(_files(page)) == ["figures/one.png", "report.html"]
        (page / "figures" / "mine.png").write_text("mine")
        expected = "page is in the way and it holds figures/mine.png, which"
        with pytest.raises(FileExistsError, match=expected):
            report("newer")
        assert (page / "figures" / "mine.png").read_text() == "mine"
        assert (page / "report.html").read_text() == "new"
        (page / "figures" / "mine.png").unlink()
        (page / "report.html").write_text("with my remarks")
        with pytest.raises(FileExistsError, match="it holds report.html, which was changed since"):
            report("newer")
        (page / "report.html").write_text("new")
        report("newest")
        assert [p.name for p in home.iterdir()] == ["page"]


def test_a_finished_folder_is_the_users():
    "When it is finished."
    with tempfile.TemporaryDirectory() as name:
        partial = take_folder(Path(name) / "world.partial", "store")
        (partial / "samples.nc").write_text("")
        world = finish_folder(partial, Path(name) / "world")
        assert [p.name for p in world.iterdir()] == ["samples.nc"]
        assert not is_ours(world, "store")


def test_whatever_moment_it_is_killed_at_the_next_call_goes_on_and_ends_the(disk_calls):
    "Killed at any moment."
    # whatever moment it is killed at, the next call goes on and ends the same
    def cycle(home):
        discard_folder(home / "world.partial", "report")
        partial = take_folder(home / "world.partial", "report")
        (partial / "deep").mkdir()
        (partial / "deep" / "one.txt").write_text("1")
        (partial / "two.txt").write_text("2")
        replace_folder(partial, home / "world", "report")


    killed = 0
    for before in (0, 1):
        for at in range(100):
            with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
                home = Path(name)
                for _ in range(before):
                    cycle(home)
                fuse = Fuse(at)
                for owner, call in disk_calls:
                    patch.setattr(owner, call, fuse.burn(getattr(owner, call)))
                try:
                    cycle(home)
                except Killed:
                    killed += 1
                patch.undo()
                cycle(home)
                assert _files(home / "world") == {"deep/one.txt": 1, "two.txt": 1}
                assert [p.name for p in home.iterdir()] == ["world"]
            if fuse.left >= 0:
                break
    print(f"killed at {killed} moments")
    assert killed > 20


def test_the_second_writer_is_refused_in_one_line_another_place_is_free_and():
    "One writer at a time."
    # the second writer is refused in one line, another place is free, and nothing is left
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        with only_writer(home / "deep" / "world"):
            with (
                pytest.raises(
                    BlockingIOError, match=f"world is being written by process {os.getpid()}"
                ),
                only_writer(home / "deep" / "world"),
            ):
                pass
            with only_writer(home / "deep" / "other"):
                pass
        assert list((home / "deep").iterdir()) == []
        with only_writer(home / "deep" / "world"):
            pass


def test_a_lock_ends_with_its_process_even_if_that_is_killed():
    "One writer at a time."
    script = """
import sys, time
from mtl_explain.files.paths import only_writer
with only_writer(sys.argv[1]):
    print('mine', flush=True)
    time.sleep(600)
"""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "world"
        other = subprocess.Popen(
            [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert other.stdout.readline() == "mine\n"
        with pytest.raises(BlockingIOError, match=f"by process {other.pid} on"), only_writer(path):
            pass
        other.kill()
        other.communicate()
        with only_writer(path):
            pass
        assert list(Path(name).iterdir()) == []


def test_where_nothing_can_be_written_the_path_is_named_that_was_asked_for_not():
    "One writer at a time."
    # where nothing can be written, the path is named that was asked for, not one of ours
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "missing" / "p.json"
        with (
            pytest.raises(FileNotFoundError, match="choose another place: '.*missing/p.json'$") as said,
            atomic_file(path),
        ):
            pass
        assert said.value.filename == str(path) and "part" not in str(said.value)
        read_only = OSError(errno.EROFS, "Read-only file system", name)
        with (
            mock.patch.object(Path, "touch", side_effect=read_only),
            pytest.raises(OSError, match="Read-only.*it cannot be written there.*run'$") as said,
            only_writer(Path(name) / "run"),
        ):
            pass
        assert said.value.errno == errno.EROFS and "lock" not in str(said.value)
        assert list(Path(name).iterdir()) == []
    if sys.platform == "linux":  # a lock there fails in a way that looks like that of another writer
        with (
            pytest.raises(OSError, match="cannot be written there.*'/proc/run'"),
            only_writer("/proc/run"),
        ):
            pass


def test_whole_or_not_at_all():
    "A folder that appears when it is complete."
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "worlds" / "a"
        with pytest.raises(KeyboardInterrupt), new_folder(world) as beside:
            (beside / "half.txt").write_text("half")
            raise KeyboardInterrupt
        assert list(world.parent.iterdir()) == []
        with new_folder(world) as beside:
            (beside / "whole.txt").write_text("whole")
            assert not world.exists()
        assert [p.name for p in world.iterdir()] == ["whole.txt"]
        with (
            pytest.raises(FileExistsError, match="exists already: choose another folder"),
            new_folder(world),
        ):
            pass


def test_somebodys_folder_beside_it_is_left_alone():
    "A folder that appears when it is complete."
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "a"
        other = Path(folder) / "a.partial"
        other.mkdir()
        (other / "thesis.tex").write_text("ten years")
        with pytest.raises(FileExistsError, match="a.partial is in the way"), new_folder(world):
            pass
        assert (other / "thesis.tex").exists()
        assert not world.exists()


def test_an_argument_comes_before_the_environment_the_environment_before_the():
    "The machine."
    # an argument comes before the environment, the environment before the cache
    with mock.patch.dict(os.environ, MTL_EXPLAIN_DATA="there"):
        assert data_folder("here") == Path("here")
        assert data_folder() == Path("there")
    with mock.patch.dict(os.environ):
        os.environ.pop("MTL_EXPLAIN_DATA", None)
        assert data_folder() == Path(platformdirs.user_cache_dir("mtl_explain"))


def test_a_disk_without_room_is_noticed_before_anything_is_written_and_is_no():
    "The machine."
    # a disk without room is noticed before anything is written, and is no fault of the data
    with mock.patch("shutil.disk_usage", return_value=mock.Mock(free=2_000_000)):
        check_space(Path("nowhere/at/all"), 2_000_000)
        with pytest.raises(OSError, match="a.zip needs 3 MB, but only 2 MB are free at") as caught:
            check_space(Path("nowhere/at/all"), 3_000_000, "a.zip")
        assert caught.value.errno == errno.ENOSPC


def test_the_order_of_keys_does_not_matter_values_do():
    "The machine."
    assert json_digest(dict(a=1, b=Path("c"))) == json_digest(dict(b="c", a=1))
    assert json_digest(dict(a=1)) != json_digest(dict(a=2))
