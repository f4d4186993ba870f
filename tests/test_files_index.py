"""Tables

Written by nbdev-export from the check cells of nbs/api/files/04_index.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from pathlib import Path

import pandas as pd
import pytest

from mtl_explain.files.index import (
    check_index, file_source, index_from_splits, read_csv_checked, read_json_checked, read_list_checked,
    read_text_checked,
)


def test_a_lake_whose_name_is_spelt_in_two_encodings():
    "Files of text."
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lakes.txt"
        file.write_text("\ufeffMüritz", encoding="utf-8")
        assert read_text_checked(file) == "Müritz"
        file.write_bytes("Müritz".encode("latin-1"))
        with pytest.raises(
            ValueError, match="lakes.txt: not in the encoding UTF-8 .byte 0xfc at place 1"
        ):
            read_text_checked(file)
        file.write_bytes(b"a,b\0\n")
        with pytest.raises(ValueError, match="lakes.txt: no text file, or damaged"):
            read_text_checked(file)
        with pytest.raises(FileNotFoundError, match="none.txt"):
            read_text_checked(Path(folder) / "none.txt")


def test_blanks_and_empty_lines_do_not_count():
    "Files of text."
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train.txt").write_bytes(b"a\r\n b \r\n\r\n")
        assert read_list_checked(Path(folder) / "train.txt") == ["a", "b"]


def test_whole_and_cut_off():
    "Files of text."
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "labels.json"
        file.write_text('{"a": [1, 2]}')
        assert read_json_checked(file) == dict(a=[1, 2])
        file.write_text('{"a": [1, 2')
        with pytest.raises(ValueError, match="labels.json: no valid JSON"):
            read_json_checked(file)


def test_tables_that_are_not_what_they_seem():
    "Files of text."
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "meta.csv"
        file.write_text("patch_id , lat\nMüritz,53.4\n", encoding="utf-8")
        assert read_csv_checked(file, ("patch_id", "lat")).patch_id[0] == "Müritz"
        with pytest.raises(ValueError, match="meta.csv: no column lon, season; it has patch_id, lat"):
            read_csv_checked(file, ("lon", "lat", "season"))
        for content in (b"", b'a,b\n1,2,3,4\n1,2\n"'):
            file.write_bytes(content)
            with pytest.raises(ValueError, match="meta.csv: no valid table"):
                read_csv_checked(file)


def test_a_source_is_known_by_its_content():
    "Files of text."
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "meta.csv").write_bytes(b"abc")
        assert file_source(Path(folder) / "meta.csv") == dict(
            name="meta.csv",
            bytes=3,
            sha256="ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        )


def test_rows_that_cannot_be_used_are_marked():
    "The index."
    marked = check_index(
        pd.DataFrame(
            dict(split=["train", "holdout", "test", "test"], problem=[None, None, "no label", None]),
            [1, 2, 3, 3],
        )
    )
    problems = ["", "unknown split 'holdout'", "no label", "this id occurred before"]
    assert list(marked.problem) == problems
    assert marked.index[0] == "1"
    with pytest.raises(ValueError, match="the index is empty"):
        check_index(pd.DataFrame())
    with pytest.raises(ValueError, match="no column `split`"):
        check_index(pd.DataFrame(dict(path=["a"]), ["a"]))


def test_what_is_listed_joined_with_what_is_known():
    "The index."
    table = pd.DataFrame(dict(path=["a.npz", "b.npz", "c.npz", "c2.npz"]), ["a", "b", "c", "c"])
    index = index_from_splits(table, dict(train=["a", "x", "c"], test=["b", "a"]))
    assert list(index.index) == ["a", "x", "c", "b", "a"]
    assert list(index.path[["b"]]) == ["b.npz"]
    assert list(index.problem) == [
        "",
        "listed in split train, but nothing else is known of it",
        "this id has several rows in the table",
        "",
        "this id occurred before",
    ]
