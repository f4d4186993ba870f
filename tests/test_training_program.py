"""Out again: a program

Written by nbdev-export from the check cells of nbs/api/training/15_program.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from mtl_explain.data.batches import SampleDataset
from mtl_explain.networks.multitask import MultitaskNetwork, example_inputs
from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.program import NativeNetwork, network_program
from mtl_explain.training.runs import train_run


def native_inputs(samples, run):
    "What a program is given: numbers as they stand in the file."
    batch = SampleDataset(samples, run.setup.inputs)[np.arange(samples.sizes["sample"])][0]
    kinds = {n: m.is_label for n, m in run.modalities.items()}
    return {k: v.long() if kinds.get(k) else v.float() for k, v in batch.items()}


def largest_difference(found, run, samples):
    "Between what a program says and what the run predicts, beside the size of the numbers."
    theirs = run.predict(samples, probabilities=True)
    worst = 0.0
    for name, value in found.items():
        own = theirs[name].values
        away = np.abs(value.detach().numpy() - own) / (1 + np.abs(own))
        worst = max(worst, float(away.max()))
    return worst


@pytest.fixture(scope='module')
def toys_home_run_and_native():
    toys = toy_samples(48, size=8)
    roles = Setup(
        dict(optical=dict(type="unet", width=4, depth=1), cover={}, zone={}, months=dict(missing=0.2)),
        ("climate", "warmth", "elevation"),
    )
    home = Path(tempfile.mkdtemp())
    run = train_run(toys, roles, home / "run", epochs=2, bs=16, bar=False, device="cpu")
    native = NativeNetwork(run.network, run.temperatures)
    return toys, home, run, native


@pytest.fixture(scope='module')
def path(toys_home_run_and_native):
    toys, home, run, native = toys_home_run_and_native
    return run.export_program(home / "toys.pt2")


def test_without_being_exported_it_says_what_the_run_predicts(toys_home_run_and_native):
    "In native units."
    toys, home, run, native = toys_home_run_and_native
    with torch.no_grad():
        found = native(native_inputs(toys, run))
    assert set(found) == {"climate", "climate_probability", "warmth", "elevation"}
    assert largest_difference(found, run, toys) < 1e-5


def test_a_program_that_was_loaded_from_its_file_says_the_same_to_1e_5_for_one(path, toys_home_run_and_native):
    "For a catalogue."
    # a program that was loaded from its file says the same to 1e-5, for one sample and for many
    toys, home, run, native = toys_home_run_and_native
    program = torch.export.load(path).module()
    for n in (1, 2, 7, 48):
        some = toys.isel(sample=slice(n))
        assert largest_difference(program(native_inputs(some, run)), run, some) < 1e-5


def test_a_gap_in_an_input_that_may_be_missing_is_a_gap_for_the_program_too(path, toys_home_run_and_native):
    "For a catalogue."
    toys, home, run, native = toys_home_run_and_native
    program = torch.export.load(path).module()
    holes = toys.copy(deep=True)
    holes["months"][:5] = np.nan
    assert largest_difference(program(native_inputs(holes, run)), run, holes) < 1e-5
    whole = program(native_inputs(toys, run))["warmth"]
    assert not torch.equal(whole, program(native_inputs(holes, run))["warmth"])


def test_the_same_in_onnx_by_names_for_one_sample_and_for_many_gaps_and_all(toys_home_run_and_native):
    "For a catalogue."
    toys, home, run, native = toys_home_run_and_native
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    written = run.export_program(home / "service.onnx")
    session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
    holes = toys.copy(deep=True)
    holes["months"][:5] = np.nan
    for some in (toys.isel(sample=[3]), toys, holes):
        given = {n: v.numpy() for n, v in native_inputs(some, run).items()}
        names = [o.name for o in session.get_outputs()]
        found = dict(zip(names, map(torch.from_numpy, session.run(names, given)), strict=True))
        assert set(found) == {"climate", "climate_probability", "warmth", "elevation"}
        assert largest_difference(found, run, some) < 1e-5
    assert [i.name for i in session.get_inputs()] == list(given)
    told = json.loads(session.get_modelmeta().custom_metadata_map["mtl_explain.json"])
    assert told["weights"] == run.weights
    assert json.loads(written.with_suffix(".json").read_text())["properties"]["mlm:framework"] == "ONNX"


def test_each_kind_of_encoder_becomes_a_program_and_one_of_any_number_of():
    "For a catalogue."
    # each kind of encoder becomes a program, and one of any number of samples
    from mtl_explain.testing.devices import example_networks

    several = example_networks()
    for name in ("all inputs", "gaps", "tabm", "utae", "labels predicted", "quantiles"):
        network = MultitaskNetwork(*several[name]).eval()
        x = example_inputs(network.modalities, network.setup.inputs, n=3)
        found = network_program(network).module()(x)
        with torch.no_grad():
            expected = NativeNetwork(network)(x)
        torch.testing.assert_close(found, expected)


def test_the_file_says_what_it_takes(path, toys_home_run_and_native):
    "For a catalogue."
    toys, home, run, native = toys_home_run_and_native
    extra = {"mtl_explain.json": ""}
    torch.export.load(path, extra_files=extra)
    said = json.loads(extra["mtl_explain.json"])
    assert list(said["inputs"]) == ["optical", "cover", "zone", "months"]
    assert said["targets"]["climate"]["classes"] == list(run.modalities["climate"].classes)
    assert said["weights"] == run.weights


def test_another_folder_and_another_process_need_nothing_of_this_package(path):
    "For a catalogue."
    import subprocess
    import sys

    code = f"""
import sys, torch
program = torch.export.load({str(path)!r})
assert not [m for m in sys.modules if m.startswith(("mtl_explain", "fastai"))]
print(len(list(program.state_dict)))
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(told.stdout) > 4


def test_the_item_has_what_mlm_asks_for_and_pystac_reads_it_where_it_is(path, toys_home_run_and_native):
    "For a catalogue."
    # the item has what MLM asks for, and pystac reads it where it is installed
    toys, home, run, native = toys_home_run_and_native
    item = json.loads(path.with_suffix(".json").read_text())
    required = {"mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output"}
    assert required <= set(item["properties"])
    for entry in item["properties"]["mlm:input"]:
        assert {"name", "bands", "input"} <= set(entry)
        assert {"shape", "dim_order", "data_type"} <= set(entry["input"])
        assert len(entry["input"]["shape"]) == len(entry["input"]["dim_order"])
    for entry in item["properties"]["mlm:output"]:
        assert {"name", "tasks", "result"} <= set(entry)
        assert len(entry["result"]["shape"]) == len(entry["result"]["dim_order"])
    assert item["assets"]["model"]["href"] == "./toys.pt2"
    assert home.name not in json.dumps(item)
    pytest.importorskip("pystac.extensions.mlm")
    import pystac
    from pystac.extensions.mlm import MLMExtension

    read = MLMExtension.ext(pystac.Item.from_dict(item))
    assert read.mlm_name == "toys"
    assert [o.name for o in read.output][:2] == ["climate", "climate_probability"]
    assert read.input[0].input.shape == [-1, *run.modalities["optical"].shape]


def test_a_wrong_ending_is_one_line(toys_home_run_and_native):
    "For a catalogue."
    toys, home, run, native = toys_home_run_and_native
    with pytest.raises(ValueError, match="ends in .pt2 .* or .onnx .*e.g. toys.pt2"):
        run.export_program(home / "toys.pt")
