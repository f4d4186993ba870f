"""On a GPU

Written by nbdev-export from the check cells of nbs/dev/10_gpu.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from mtl_explain.dev.gpu import (
    _learner, _pair_setup, _place_samples, agree, families, gpu_table, main, measure_family, tolerances,
)


def test_the_processor_agrees_with_itself_is_timed_and_what_fails_is_told():
    "Tried without a GPU."
    with tempfile.TemporaryDirectory() as folder:
        make, setup, _ = families(Path(folder))["toy"]
        row = measure_family(make(), setup, "cpu", at_once=6, which=("fp32", "bf16"), rounds=1)
    assert row["agree"], row
    assert max(row["differences"].values()) == 0
    assert row["milliseconds"]["fp32"] > 0
    assert not row["errors"]
    broken = measure_family(make(), setup, "nowhere", which=("fp32",))
    assert set(broken["errors"]) == {"compare", "fp32"}
    assert not broken["agree"]
    assert not agree(dict.fromkeys(tolerances, 0.1))


def test_a_row_of_each_family_that_needs_no_files_can_be_built_and_draws_no():
    "Tried without a GPU."
    # a row of each family that needs no files can be built, and draws no random numbers
    with tempfile.TemporaryDirectory() as folder:
        every = families(Path(folder))
    assert set(every) >= {"toy", "image-series", "globe-climate", "benge-15", "mmcd", "p2vnet"}
    samples = _place_samples(8, 64)
    for network in ("fcsiamese", "mmcd"):
        learn = _learner(samples, _pair_setup(network), "cpu")
        x, _ = next(iter(learn.dls.train))
        with torch.no_grad():
            a, b = learn.model.train()(x), learn.model(x)
        assert all((a[t] == b[t]).all() for t in a), network


def test_without_a_gpu_one_line_says_so():
    "Tried without a GPU."
    # without a GPU one line says so; an unknown family, too
    with tempfile.TemporaryDirectory() as folder:
        if not torch.cuda.is_available():
            assert main(["--data", folder, "--out", f"{folder}/gpu.json"]) == 1
        with pytest.raises(SystemExit):
            main(["--data", folder, "--families", "tpy"])


def test_the_whole_command_on_a_processor_with_one_family():
    "Tried without a GPU."
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "gpu.json"
        args = ["--data", folder, "--out", str(out), "--device", "cpu", "--families", "toy"]
        args += ["--variants", "fp32"]
        status = main(args)
        told = json.loads(out.read_text())
    assert status == 0
    assert told["families"]["toy"]["agree"]
    assert told["about"]["device"] == "cpu"
    table = gpu_table(told)
    assert table.loc["toy", "agrees"] == "yes"
    assert table.loc["toy", "outputs off by"] == 0
    assert table.loc["toy", "fp32 [ms]"] > 0
    assert np.isnan(table.loc["toy", "bf16 [ms]"])
    assert table.loc["toy", "failed"] == ""
