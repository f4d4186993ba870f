"""Wheels as carriers

Written by nbdev-export from the check cells of nbs/api/files/02_fetch.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import errno
import hashlib
import io
import json
import os
import stat
import tarfile
import tempfile
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock

import pytest

from mtl_explain.files.fetch import (
    _tar_kind, _unpack_member, check_members, check_wheel, download, download_file, fetch_wheels,
    file_problem, file_url, read_from_wheel, record_files, safe_path, unpack, zenodo,
)
from mtl_explain.files.paths import scratch_file


# a wheel with one file in it
def tiny_wheel(folder, text="hello"):
    path = Path(folder) / "wheels" / "tiny-1.0-py3-none-any.whl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny/data.txt", text)
    return dict(
        package="tiny",
        version="1.0",
        wheel=path.name,
        file="tiny/data.txt",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


# a small web server on this machine
@contextmanager
def serving(files, hang_up_after=None, hang_ups=1, ranges=True, error=None):
    log = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            begin = int((self.headers.get("Range") or "bytes=0-")[6:].rstrip("-")) if ranges else 0
            log.append((self.path, begin))
            body = files.get(self.path.strip("/"))
            if body is None or error:
                return self.send_error(error or 404)
            if begin >= len(body) > 0:
                return self.send_error(416)
            self.send_response(206 if begin else 200)
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body) - begin))
            self.end_headers()
            cut = hang_up_after is not None and len(log) <= hang_ups
            self.wfile.write(body[begin : begin + hang_up_after] if cut else body[begin:])

        def log_message(self, *args):
            pass

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server,
        mock.patch.dict(os.environ, no_proxy="127.0.0.1", NO_PROXY="127.0.0.1"),
    ):
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        listed = [
            dict(name=n, bytes=len(b), md5=hashlib.md5(b).hexdigest()) for n, b in files.items()
        ]
        places = dict(page=base, url=base + "/{name}", api=base + "/api")
        try:
            yield dict(title="made up", files=listed, **places), log
        finally:
            server.shutdown()


# makers of archives, honest and otherwise
def zip_of(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return path


def tar_of(path, members, **odd):
    with tarfile.open(path, "w:gz") as archive:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            for k, v in odd.items():
                setattr(info, k, v)
            archive.addfile(info, io.BytesIO(body) if info.isreg() else None)
    return path


def everything(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(Path(folder).rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope='module')
def payload():
    "A small web server on this machine."
    return bytes(range(256)) * 4000


def test_another_file_under_the_same_name_is_an_error_which_names_both_hashes():
    "What a source is."
    with tempfile.TemporaryDirectory() as folder:
        source = tiny_wheel(folder)
        path = Path(folder) / "wheels" / source["wheel"]
        assert check_wheel(path, source) == path
        message = f"tiny 1.0: the wheel .* has sha256 {source['sha256']}, expected 00; remove it"
        with pytest.raises(ValueError, match=f"{message} and fetch again"):
            check_wheel(path, source | dict(sha256="00"))


def test_wheels_that_are_there_are_not_downloaded_again():
    "Downloading."
    with tempfile.TemporaryDirectory() as folder, mock.patch("subprocess.run") as run:
        source = tiny_wheel(folder)
        wheels = fetch_wheels(dict(greeting=source), folder, progress=False)
        assert not run.called
        assert wheels == dict(greeting=Path(folder) / "wheels" / source["wheel"])


def test_pip_is_asked_for_exactly_that_version_and_what_it_brings_is_moved_to():
    "Downloading."
    # pip is asked for exactly that version, and what it brings is moved to its place
    def pip(command, **options):
        assert command[1:4] == ["-m", "pip", "download"]
        assert "--no-deps" in command
        assert command[-1] == "tiny==1.0"
        tiny_wheel(there := Path(command[command.index("--dest") + 1]))
        os.replace(there / "wheels" / source["wheel"], there / source["wheel"])
        return mock.Mock(returncode=0, stderr="")


    with tempfile.TemporaryDirectory() as elsewhere, tempfile.TemporaryDirectory() as folder:
        source = tiny_wheel(elsewhere)
        with mock.patch("subprocess.run", side_effect=pip):
            assert fetch_wheels(dict(greeting=source), folder, progress=False)["greeting"].exists()
        with (
            mock.patch("subprocess.run", side_effect=pip),
            pytest.raises(ValueError, match="tiny 1.0: the wheel .* expected 00"),
        ):
            fetch_wheels(
                dict(greeting=source | dict(sha256="00")), Path(folder) / "other", progress=False
            )
        assert not list((Path(folder) / "other" / "wheels").iterdir())


def test_a_download_that_fails_is_one_clear_line():
    "Downloading."
    source = dict(package="tiny", version="1.0", wheel="tiny.whl", sha256="00")
    for answer, message in (
        (mock.Mock(returncode=1, stderr="...\nERROR: no network"), "ERROR: no network"),
        (mock.Mock(returncode=0, stderr=""), "no such wheel arrived"),
    ):
        with tempfile.TemporaryDirectory() as folder, mock.patch("subprocess.run", return_value=answer):
            with pytest.raises(OSError, match=f"could not download tiny==1.0: {message}"):
                fetch_wheels(dict(a=source), folder, progress=False)


def test_one_file_is_read_and_a_missing_or_damaged_wheel_is_one_clear_line():
    "Reading."
    with tempfile.TemporaryDirectory() as folder:
        source = tiny_wheel(folder)
        path = Path(folder) / "wheels" / source["wheel"]
        assert read_from_wheel(path, source["file"]) == b"hello"
        with pytest.raises(ValueError, match="cannot be read: .*tiny/other.txt"):
            read_from_wheel(path, "tiny/other.txt")
        path.write_bytes(b"PK and then nothing")
        with pytest.raises(ValueError, match="cannot be read"):
            read_from_wheel(path, source["file"])
    with pytest.raises(FileNotFoundError, match="nowhere.whl is missing: fetch it first"):
        read_from_wheel(Path("nowhere.whl"), "a")


def test_the_address_of_a_file():
    "A record, as data."
    record = zenodo(8121208, "ben-ge-8k")
    assert record["page"] == "https://zenodo.org/records/8121208"
    address = "https://zenodo.org/records/8121208/files/a%20b.zip?download=1"
    assert file_url(record, "a b.zip") == address
    with pytest.raises(ValueError, match="is no web address"):
        file_url(dict(url="file:///etc/{name}"), "hosts")


def test_paths_that_lead_out_are_refused():
    "A record, as data."
    assert safe_path("data", "a/./b.tif") == Path("data/a/b.tif")
    for name in ("/etc/passwd", "../a", "a/../../b", "C:/a", "a\\..\\b", "", ".", "a\0b"):
        with pytest.raises(ValueError, match="would lead out of its folder"):
            safe_path("data", name)


def test_size_and_checksum():
    "One file."
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a"
        file.write_bytes(b"abc")
        sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        md5 = "900150983cd24fb0d6963f7d28e17f72"
        for right in ({}, dict(bytes=3, md5=md5), dict(sha256=sha, md5="")):
            assert file_problem(file, right) == ""
        assert file_problem(file, dict(bytes=4)) == "it has 3 bytes instead of 4"
        assert "its md5 is 900150" in file_problem(file, dict(bytes=3, md5="00"))


def test_a_broken_line_goes_on_where_it_broke(payload):
    "One file."
    with tempfile.TemporaryDirectory() as folder:
        with serving({"a.bin": payload}, hang_up_after=300_000, hang_ups=2) as (record, log):
            path = download_file(
                file_url(record, "a.bin"),
                Path(folder) / "a.bin",
                record["files"][0],
                pause=0.01,
                progress=False,
            )
            assert path.read_bytes() == payload
            assert [begin for _, begin in log] == [0, 300_000, 600_000]
            download_file(file_url(record, "a.bin"), path, record["files"][0], progress=False)
            assert len(log) == 3
            assert [p.name for p in Path(folder).iterdir()] == ["a.bin"]
        with serving({"b.bin": payload}, hang_up_after=300_000, ranges=False) as (record, log):
            path = download_file(
                file_url(record, "b.bin"),
                Path(folder) / "b.bin",
                record["files"][0],
                pause=0.01,
                progress=False,
            )
            assert path.read_bytes() == payload
            assert len(log) == 2


def test_a_line_that_stays_broken_keeps_the_part_for_the_next_call(payload):
    "One file."
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.bin"
        with serving({"a.bin": payload}, hang_up_after=100_000, hang_ups=9) as (record, log):
            with pytest.raises(
                OSError,
                match="the line broke after 200,000 of 1,024,000 bytes; what has arrived is kept",
            ):
                download_file(
                    file_url(record, "a.bin"),
                    path,
                    record["files"][0],
                    attempts=2,
                    pause=0.01,
                    progress=False,
                )
        assert not path.exists()
        assert (Path(folder) / "a.bin.mtl_explain-part").stat().st_size == 200_000
        with serving({"a.bin": payload}) as (record, log):
            assert (
                download_file(
                    file_url(record, "a.bin"), path, record["files"][0], progress=False
                ).read_bytes()
                == payload
            )
            assert log == [("/a.bin", 200_000)]
        with serving({"a.bin": payload}, hang_up_after=300_000) as (record, log):
            assert (
                download_file(
                    file_url(record, "a.bin"), Path(folder) / "b.bin", pause=0.01, progress=False
                ).read_bytes()
                == payload
            )
            assert log[1] == ("/a.bin", 300_000)


def test_a_wrong_checksum_leaves_nothing_and_too_many_bytes_are_stopped(payload):
    "One file."
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.bin"
        with serving({"a.bin": payload}) as (record, log):
            expected = record["files"][0]
            with pytest.raises(ValueError, match="its md5 is .* instead of 00; it was removed"):
                download_file(
                    file_url(record, "a.bin"), path, expected | dict(md5="00"), progress=False
                )
            assert not list(Path(folder).iterdir())
            with pytest.raises(ValueError, match="sends more than the 1,000 bytes announced"):
                download_file(
                    file_url(record, "a.bin"), path, expected | dict(bytes=1000), progress=False
                )
            with pytest.raises(OSError, match="404"):
                download_file(file_url(record, "b.bin"), path, expected, progress=False)
            path.write_bytes(b"something else")
            with pytest.raises(ValueError, match="is not what the record says: it has 14 bytes"):
                download_file(file_url(record, "a.bin"), path, expected, progress=False)
        with serving({"a.bin": payload}, error=503) as (record, log):
            with pytest.raises(OSError, match="503.*kept"):
                download_file(
                    file_url(record, "a.bin"),
                    Path(folder) / "c",
                    attempts=3,
                    pause=0.01,
                    progress=False,
                )
            assert len(log) == 3


def test_an_error_of_the_disk_stays_one_and_the_server_is_asked_once(payload):
    "One file."
    with tempfile.TemporaryDirectory() as folder, serving({"a.bin": payload}) as (record, log):
        path = Path(folder) / "a.bin"
        scratch_file(path).mkdir()  # cannot be written
        with pytest.raises(OSError) as caught:
            download_file(file_url(record, "a.bin"), path, progress=False)
        assert caught.value.errno in (errno.EISDIR, errno.EACCES)
        assert len(log) == 1


def test_the_record_is_asked_for_its_files():
    "A whole record."
    md5 = "900150983cd24fb0d6963f7d28e17f72"
    one = dict(key="a.zip", size=3, checksum=f"md5:{md5}", links={})
    listing = json.dumps(dict(files=[one])).encode()
    unlike = json.dumps(dict(files=[one | dict(size="3")])).encode()
    with serving(dict(api=listing, odd=b"{}", cut=listing[:9], unlike=unlike)) as (record, log):
        assert record_files(record | dict(files=None)) == [dict(name="a.zip", bytes=3, md5=md5)]
        faults = {
            "/odd": "files is missing",
            "/cut": "Expecting value",
            "/unlike": r"files\[0\].size is '3', expected a whole number",
            "/none": "404",
        }
        for api, fault in faults.items():
            message = f"made up: the list of files could not be had .*{fault}"
            with pytest.raises(OSError, match=message):
                record_files(record | dict(files=None, api=record["page"] + api))


def test_a_record_of_two_files_of_which_one_is_half_there(payload):
    "A whole record."
    said = []
    with (
        tempfile.TemporaryDirectory() as folder,
        serving({"a.bin": payload, "b.bin": b"abc", "c.bin": b""}) as (record, log),
    ):
        (Path(folder) / "a.bin.mtl_explain-part").write_bytes(payload[:500_000])
        found = download(record, folder, ["a.bin", "b.bin"], said.append, progress=False)
        arrived = {n: p.read_bytes() for n, p in found.items()}
        assert arrived == {"a.bin": payload, "b.bin": b"abc"}
        assert ("/a.bin", 500_000) in log
        assert said[0].startswith("made up: 2 files, 1.0 MB, of which 0.5 MB are to be fetched")
        with pytest.raises(ValueError, match="made up has no file z; it has a.bin, b.bin"):
            download(record, folder, ["z"], said.append)
        with (
            mock.patch("shutil.disk_usage", return_value=mock.Mock(free=10)),
            pytest.raises(OSError, match="made up needs 1 MB, but only 0 MB are free"),
        ):
            download(record, Path(folder) / "new", say=said.append, progress=False)
        with pytest.raises(ValueError, match="would lead out"):
            download(record | dict(files=[dict(name="../a", bytes=3)]), folder, say=said.append)


def test_what_pythons_own_filter_lets_through_and_what_it_knows_that_a_name():
    "Unpacking."
    # what Python's own filter lets through, and what it knows that a name does not tell
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        inside = home / "inside"
        (home / "elsewhere").mkdir()
        inside.mkdir()
        (inside / "s2").symlink_to(home / "elsewhere")
        link = tarfile.TarInfo("latest")
        link.type = tarfile.SYMTYPE
        link.linkname = "s1"
        large = tarfile.TarInfo("bomb")
        large.size = 10**15
        slash = tarfile.TarInfo("/etc/passwd")
        windows = [tarfile.TarInfo(n) for n in ("C:/a", "a\\..\\..\\b")] if os.name == "posix" else []
        for member in (link, large, slash, *windows):
            tarfile.data_filter(member, inside)
            with pytest.raises(ValueError, match="a.tar: .*; nothing was unpacked"):
                told = member.name, member.size, _tar_kind(member)
                check_members("a.tar", [told], inside, 10**9, 10)
        check_members("a.tar", [("s1/a.tif", 3, "file")], inside, 10**9, 10)
        with pytest.raises(ValueError, match="'s2/a.tif' would be .*outside the destination"):
            check_members("a.zip", [("s2/a.tif", 3, "file")], inside, 10**9, 10)


def test_honest_archives():
    "Unpacking."
    honest = {"s2/60m/a.tif": b"abc", "labels.json": b"{}" * 999, "s1/": b""}
    with tempfile.TemporaryDirectory() as folder:
        files = {k: v for k, v in honest.items() if v}
        for archive in (
            zip_of(Path(folder) / "a.zip", honest),
            tar_of(Path(folder) / "a.tar.gz", files),
        ):
            out = unpack(archive, Path(folder) / archive.stem, progress=False)
            assert everything(out) == files
            (out / "labels.json").write_bytes(b"half")
            assert everything(unpack(archive, out, progress=False)) == files
        assert (Path(folder) / "a" / "s1").is_dir()


def test_archives_that_want_to_write_elsewhere_or_too_much():
    "Unpacking."
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        link = zipfile.ZipInfo("latest")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        bad = {
            "would lead out": [
                zip_of(folder / "1.zip", {"good.txt": b"x", "../evil.txt": b"x"}),
                zip_of(folder / "2.zip", {"/tmp/evil.txt": b"x"}),
                zip_of(folder / "3.zip", {"..\\evil.txt": b"x"}),
                tar_of(folder / "1.tar.gz", {"good.txt": b"x", "a/../../evil.txt": b"x"}),
                tar_of(folder / "2.tar.gz", {"/tmp/evil.txt": b"x"}),
                zip_of(folder / "4.zip", {"../evil/": b""}),
            ],
            "'latest' is a link": [
                zip_of(folder / "5.zip", {link: b"/tmp"}),
                tar_of(folder / "3.tar.gz", {"latest": b""}, type=tarfile.SYMTYPE, linkname="/tmp"),
                tar_of(folder / "4.tar.gz", {"latest": b""}, type=tarfile.LNKTYPE, linkname="../a"),
            ],
            "'pipe' is a special file": [
                tar_of(folder / "5.tar.gz", {"pipe": b""}, type=tarfile.FIFOTYPE)
            ],
            "more than 10,000,000": [zip_of(folder / "6.zip", {"bomb": bytes(20_000_000)})],
            "members, more than 20": [zip_of(folder / "7.zip", {str(i): b"" for i in range(21)})],
        }
        for message, archives in bad.items():
            for archive in archives:
                with pytest.raises(ValueError, match=f"{message}.*nothing was unpacked"):
                    unpack(archive, folder / "out", 10_000_000, 20, progress=False)
        assert not (folder / "out").exists()
        assert not (folder / "evil.txt").exists()


def test_damaged_and_lying_archives():
    "Unpacking."
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        noise = os.urandom(300_000)
        good = zip_of(folder / "a.zip", {"a": noise})
        packed = tar_of(folder / "a.tar.gz", {"a": noise})
        for i, body in enumerate(
            (
                good.read_bytes()[:1000],
                packed.read_bytes()[:1000],
                b"",
                b"no archive",
                good.read_bytes().replace(noise[:100], bytes(100)),
            )
        ):
            (folder / "b").write_bytes(body)
            with pytest.raises(ValueError, match="is damaged or no archive"):
                unpack(folder / "b", folder / f"out{i}", progress=False)
            assert not (folder / f"out{i}" / "a").exists()
        with pytest.raises(ValueError, match="larger than the 2 bytes announced"):
            _unpack_member(io.BytesIO(b"abc"), 2, folder / "c")
        with pytest.raises(ValueError, match="fewer than the 4 bytes announced"):
            _unpack_member(io.BytesIO(b"abc"), 4, folder / "c")
        assert not list(folder.glob("c*"))
        with pytest.raises(FileNotFoundError):
            unpack(folder / "none.zip", folder / "out", progress=False)
        with (
            mock.patch("shutil.disk_usage", return_value=mock.Mock(free=10)),
            pytest.raises(OSError, match="a.zip needs 0 MB") as caught,
        ):
            unpack(good, folder / "out", progress=False)
        assert caught.value.errno == errno.ENOSPC  # the disk, not the archive
