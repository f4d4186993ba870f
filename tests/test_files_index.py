"""Tables

Written by nbdev-export from the check cells of nbs/api/files/04_index.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mtl_explain.files.index import (
    check_index, file_source, index_from_splits, place_problems, read_csv_checked, read_json_checked,
    read_list_checked, read_text_checked, utc_text,
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


def test_latitudes_beyond_the_poles_and_places_that_only_make_sense_swapped():
    "Places and times."
    assert place_problems([52.1, np.nan], [9.5, np.nan]) == ["", ""]
    assert place_problems([-33.0], [300.0]) == [""]
    assert place_problems([120.0], [-30.0]) == [
        "no place on Earth has the latitude 120: are lat and lon swapped?"
    ]
    assert "the latitude 5.8e+06: other units?" in place_problems([5.8e6], [4e5])[0]
    assert "the longitude -200" in place_problems([10.0], [-200.0])[0]
    known = ([52.0, 52, 52], [9.0, 9, 9])
    found = place_problems([52.4, 9.1, 30.0], [9.9, 52.3, 30.0], known)
    assert found[0] == found[2] == ""
    assert found[1] == (
        "latitude 9.1 and longitude 52.3, where it lies at about 52 and 9: are lat and lon swapped?"
    )


def test_zones_become_utc_texts_that_may_mean_two_things_stay_as_they_are():
    "Places and times."
    noon = "2017-06-13T12:00:00"
    assert utc_text("2017-06-13T12:00:00Z") == utc_text("2017-06-13 14:00:00+02:00") == noon
    assert utc_text(pd.Timestamp("2017-06-13T14:00", tz="Europe/Berlin")) == noon
    assert utc_text(datetime(2017, 6, 13, 7, tzinfo=timezone(timedelta(hours=-5)))) == noon
    assert utc_text(np.datetime64("2017-06-13T12:00")) == utc_text(datetime(2017, 6, 13, 12)) == noon
    assert utc_text(date(2017, 6, 13)) == "2017-06-13T00:00:00"
    assert utc_text("03/04/2017") == "03/04/2017"
    assert utc_text("farm 7") == "farm 7"
    assert utc_text(pd.NaT) == ""


def test_rows_that_cannot_be_used_are_marked():
    "Places and times."
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
    "Places and times."
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
