"""Runs on the hub

Written by nbdev-export from the check cells of nbs/api/files/07_hub.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from pathlib import Path
from unittest import mock

import pytest

from mtl_explain.files.hub import hub_folder, is_hub_name, parsed_hub_name


def test_names_of_runs_on_the_hub_and_what_is_none():
    "Runs on the hub."
    assert is_hub_name("hub:owner/name")
    assert not is_hub_name("runs/hub:owner")
    assert not is_hub_name(Path("hub:owner/name"))
    assert parsed_hub_name("hub:an-owner/a.name") == ("an-owner/a.name", None)
    assert parsed_hub_name("hub:owner/name@v1.0") == ("owner/name", "v1.0")
    for odd in ("hub:", "hub:name", "hub:a/b/c", "hub:../x", "hub:a/..", "hub:a/b@", "hub:a b/c"):
        with pytest.raises(ValueError, match="is no run on the hub: expected 'hub:owner/name'"):
            parsed_hub_name(odd)


def test_nothing_but_the_files_of_a_run_is_asked_for():
    "Runs on the hub."
    # nothing but the files of a run is asked for; a run that is not there is one line
    pytest.importorskip("huggingface_hub")
    with tempfile.TemporaryDirectory() as home:
        with mock.patch("huggingface_hub.snapshot_download", return_value=home) as fetched:
            assert hub_folder("hub:owner/name@main") == Path(home)
    assert fetched.call_args.args == ("owner/name",)
    assert fetched.call_args.kwargs["revision"] == "main"
    allowed = fetched.call_args.kwargs["allow_patterns"]
    assert not [a for a in allowed if a.endswith((".py", ".pkl", ".pt", ".bin", "*"))]
    refused = mock.patch(
        "huggingface_hub.snapshot_download", side_effect=OSError("404 not found\nRequest ID: 1")
    )
    with refused, pytest.raises(FileNotFoundError, match=r"cannot be had .*\(404 not found\)$"):
        hub_folder("hub:owner/name")


def test_without_the_library_the_line_says_what_to_install():
    "Runs on the hub."
    with mock.patch.dict("sys.modules", huggingface_hub=None):
        with pytest.raises(ImportError, match=r"pip install 'mtl_explain\[hub\]'"):
            hub_folder("hub:owner/name")
