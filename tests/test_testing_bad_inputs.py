"""Bad inputs

Written by nbdev-export from the check cells of nbs/api/testing/05_bad_inputs.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import contextlib
import copy
import errno
import functools
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from mtl_explain.cli import main
from mtl_explain.data.samples import modality_array
from mtl_explain.data.store import open_store, save_samples, verify_store
from mtl_explain.explain.overview import explain
from mtl_explain.files.paths import load_netcdf, only_writer, save_netcdf
from mtl_explain.files.raster import write_geotiff
from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.runs import load_run, train_run


def toy():
    "Samples that are all right."
    return toy_samples(48, size=8)
def setup_with(**fields):
    "A setup that is all right, but for these fields."
    encoder = dict(type="unet", width=2, depth=1)
    plain = dict(inputs=dict(optical=encoder), targets=("climate", "zone", "warmth"))
    return Setup(**plain | fields)
def trained(folder, samples=None, setup=None, **options):
    "A training that is all right, but for what is given."
    how = dict(epochs=2, bs=16, bar=False, device="cpu") | options
    samples = toy() if samples is None else samples
    return train_run(samples, setup_with() if setup is None else setup, folder, **how)
def pairs():
    "A height model of before, a photograph of after, and what has changed."
    rng = np.random.default_rng(0)
    arrays = [
        modality_array("before", rng.random((4, 1, 16, 16), "float32"), "image"),
        modality_array("after", rng.integers(0, 255, (4, 3, 16, 16), "uint8"), "image"),
        modality_array(
            "change", rng.integers(0, 2, (4, 16, 16), "int8"), "mask", classes=["no", "yes"]
        ),
    ]
    return xr.Dataset(
        {a.name: a for a in arrays},
        dict(sample=list("abcd"), split=("sample", ["train", "train", "valid", "test"])),
    )
def rasters(folder):
    "Rasters that a network for change can read, and some that it cannot."
    rng = np.random.default_rng(1)
    heights = rng.random((1, 24, 24), "float32")
    photo = rng.integers(0, 255, (3, 24, 24), "uint8")
    for name, values, place, crs in (
        ("dsm", heights, (1000, 2000), "EPSG:28992"),
        ("photo", photo, (1000, 2000), "EPSG:28992"),
        ("twobands", np.concatenate([heights, heights]), (1000, 2000), "EPSG:28992"),
        ("far", photo, (9000, 9000), "EPSG:28992"),
        ("feet", photo, (1000, 2000), "EPSG:2263"),
        ("small", photo[:, :4, :4], (1000, 2000), "EPSG:28992"),
    ):
        write_geotiff(folder / f"{name}.tif", values, place, 0.5, crs)
    (folder / "text.tif").write_text("no picture")
@functools.cache
def sound():
    "A folder with all of it, made once."
    folder = tempfile.TemporaryDirectory()
    place = Path(folder.name)
    save_samples(toy(), place / "sound-store", progress=False)
    trained(place / "sound-run")
    network = dict(type="fcsiamese", widths=[4], depths=[1])
    compares = Setup(("before", "after"), "change", network=network)
    trained(place / "pair-run", pairs(), compares, bs=2, epochs=1)
    rasters(place)
    (place / "file").write_text("x")
    for name in ("empty", "full"):
        (place / name).mkdir()
    (place / "full" / "somebody's.txt").write_text("x")
    return folder
@contextlib.contextmanager
def workplace():
    "A copy of it, which is the current folder for a while."
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        yield Path(shutil.copytree(sound().name, folder, dirs_exist_ok=True))


def fresh(name):
    "A copy of something sound, to be damaged."
    shutil.rmtree(name, ignore_errors=True)
    return Path(shutil.copytree(f"sound-{name}", name))


def answer_of_command(words):
    "Exit code, and the lines of errors, of a command."
    out = io.StringIO()
    err = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(w) for w in words])
        except SystemExit as stop:
            return stop.code, err.getvalue().strip()
        except BaseException as error:
            return "traceback", repr(error)
    return 0, err.getvalue().strip()


def answer_of(act):
    "The same for a call of the library."
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            act()
        except (ValueError, OSError) as error:
            return 1, f"error: {error}"
        except BaseException as error:
            return "traceback", repr(error)
    return 0, ""


def table(text):
    "Rows of a table in text: what is fed, and behind the arrow what the answer says."
    rows = [line.split("→") for line in text.strip().splitlines()]
    return [(fed.strip(), said.strip()) for fed, said in rows]


def fault(answer, said):
    "What is wrong with an answer; '' if it is one line that holds the words."
    code, line = answer
    if code not in (1, 2):
        return f"ended with {code}: {line or 'accepted'}"
    if len(line.splitlines()) != 1 or not line.startswith("error: "):
        return f"not one line: {line}"
    missing = [words for words in said.split(" & ") if words not in line]
    return f"lacks '{missing[0]}': {line}" if missing else ""
def problems(rows):
    "Of rows (what is fed, answer, words), those with a faulty answer."
    found = [(fed, fault(answer, said)) for fed, answer, said in rows]
    return [f"{fed}: {text}" for fed, text in found if text]


def changed_field(document, path, value):
    "A document with another value at one place."
    document = copy.deepcopy(document)
    at = document
    *way, last = path
    for key in way:
        at = at[key]
    if value == "-":
        del at[last]
    else:
        at[last] = value
    return document
def opened(folder):
    "All that a run or a store has to tell."
    if folder.name == "store":
        verify_store(folder, progress=False)
        return open_store(folder)
    run = load_run(folder)
    return run.trace, run.scores, run.network
def answer_to_field(file, path, value):
    "What opening says after one field was changed."
    folder, name = file.split("/")
    document = json.loads(Path(f"sound-{file}").read_text())
    place = fresh(folder)
    text = json.dumps(changed_field(document, path, value))
    (place / name).write_text(text)
    return answer_of(lambda: opened(place))


def an_epoch_a_file(run):
    "The trace as it is until a training has finished."
    whole = run / "trace" / "all.nc"
    trace = load_netcdf(whole)
    for k in range(trace.sizes["epoch"]):
        save_netcdf(trace.isel(epoch=[k]), run / "trace" / f"{k:03d}.nc")
    whole.unlink()


@pytest.fixture(scope='module')
def commands():
    return table("""
nowhere → No such command 'nowhere' & mtl_explain --help
--nowhere → No such option: --nowhere
data nowhere → No such command 'nowhere' & mtl_explain data --help
data fetch nowhere → no dataset 'nowhere'; known: globe
data fetch cropyield → confidential & data simulate cropyield FOLDER
data fetch hibcd → open https:// & {city}_025
data fetch levir → open https:// & train.zip
data fetch benge --option edition → KEY=VALUE, got 'edition'
data fetch benge --option edition=9 → option edition is 9, expected text
data fetch benge --option edition=huge → 'huge' is not fetched & take ben-ge-8k
data fetch benge --option version=9 → no option 'version'; it has folder, edition
data fetch benge --option folder=x → folder is no --option & data fetch --help
data prepare nowhere → no dataset 'nowhere'
data prepare benge empty out → empty & no table …_meta.csv
data prepare treesat empty out → TreeSatBA_v9_60m_multi_labels.json & empty/labels
data prepare cropyield empty out → empty has no fields.csv
data prepare cropyield file out → no such folder: file
data prepare hibcd empty out → empty: no tiles; expected {city}_025
data prepare levir empty out → empty holds no pairs & expected folders A, B and label
data prepare levir full out → found somebody's.txt
data prepare levir none out → none
data prepare cropyield empty out --option workers=two → workers is 'two', expected a whole number
data prepare treesat empty out --option seed=1.5 → seed is 1.5, expected a whole number
data prepare treesat empty out --option block=nan → block is 'nan', expected a number
data prepare treesat empty out --option block=1e999 → block is inf, expected a number
data prepare treesat empty out --option bands=R → bands is 'R', expected a tuple
data prepare treesat empty out --option merge=5 → merge is 5, expected a dictionary
data prepare benge empty out --option skip_bad=perhaps → 'perhaps', expected True or False
data prepare benge empty out --option radar_floor=low → 'low', expected a number or None
data prepare benge empty out --option dest=x → dest is no --option
data simulate nowhere out → no dataset 'nowhere'
data simulate globe out → globe is real & known: cropyield
data simulate cropyield full → full exists already: choose another folder
data simulate cropyield file → file exists already
data simulate cropyield out --option workers=two → 'two', expected a whole number or None
data simulate cropyield out --option workers=-1 → workers is -1, expected a whole number
data simulate cropyield out --option seed=abc → seed is no --option & data simulate --help
data simulate cropyield out --option years=3 → no option 'years'; it has folder, n, seed, hectares
data simulate hibcd out --option tile=abc → tile is 'abc', expected a whole number
data simulate levir out --n 0 → '--n' & greater than or equal to 1
data simulate levir out --n x → '--n' & valid integer
data simulate levir out --seed -1 → '--seed' & greater than or equal to 0
data simulate levir file/out → file is a file; choose another place
data describe nowhere → no dataset 'nowhere'
data describe globe --store none → no store at none & data prepare
data describe globe --store file → file
data describe globe --store full → full is no store: it has no manifest.json
data describe globe --store sound-run → sound-run is no store
data describe cropyield --store none → none & data prepare cropyield FOLDER
data verify none → no store at none
data verify full → full is no store
data verify sound-run → sound-run is no store
train nowhere x → no dataset 'nowhere'
train globe → Missing argument 'setup' & train --help
train globe nowhere → no setup 'nowhere'; known: landcover-baseline
train globe climate-baseline-separate → 'climate' is the only task & with_target
train globe climate-mtl --recipe large → no recipe 'large'; known: paper, small
train globe climate-mtl --epochs 0 → '--epochs' & greater than or equal to 1
train globe climate-mtl --epochs two → '--epochs' & valid integer
train globe climate-mtl --lr 0 → lr is 0.0, expected more than 0
train globe climate-mtl --lr inf → lr is inf
train globe climate-mtl --bs 0 → '--bs'
train globe climate-mtl --width 0 → '--width'
train globe climate-mtl --store none → no store at none
train globe climate-mtl --store sound-store → names 'climate_type' & only have climate, cover
train globe climate-mtl --out full → full exists and is not a run folder & choose another folder
train globe climate-mtl --out file → file is a file, expected a folder
train globe climate-mtl --out file/x → file is a file; choose another place
train globe climate-mtl --start nothing → no file of weights at nothing
train globe climate-mtl --start full → full holds no weights
train globe climate-mtl --start sound-run → weights of another network & none of its
train hibcd fcsiamese → no setup 'fcsiamese'; known: fcsiamese-semantic
table nowhere → no dataset 'nowhere'
table globe --rows climate-mtl,nowhere → no setup 'nowhere'
table globe --rows , → no setup ''
table globe --seeds 0 → '--seeds'
table globe --rows climate-mtl --store sound-store → names 'climate_type'
table globe --rows climate-mtl --start sound-run → begin with no other dataset & train --help
table globe --rows climate-mtl --recipe big → no recipe 'big'
table globe --rows climate-mtl --out file → file is a file; choose another place
table change → no finished run in & --start none
explain none → none is not a run folder: it has no config.json
explain full → full is not a run folder
explain sound-store → sound-store is not a run folder
explain sound-run --split nowhere → no samples of split 'nowhere' here; there are test, valid
explain sound-run --split train → no samples of split 'train'
explain sound-run --control none → none is not a run folder
explain sound-run --control sound-run → the control is the run itself & SETUP-separate
explain sound-run --seed -1 → '--seed'
report none → none is not a run folder
report sound-run --compare full → full is not a run folder
report sound-run --store none → no store at none
report sound-run --store sound-run → sound-run is no store
report sound-run --out full → full is in the way & move it away, or write elsewhere
report sound-run --out file → file is in the way and it is a file
report sound-run --out sound-store → sound-store is in the way
report sound-run --control sound-run → the control is the run itself
predict none --raster optical=photo.tif --out out → none is not a run folder
predict sound-run --out out → Missing option '--raster'
predict sound-run --raster optical=photo.tif → Missing option '--out'
predict sound-run --raster photo.tif --out out → a raster is given as NAME=PATH, got 'photo.tif'
predict sound-run --raster dem=dsm.tif --out out → no raster of 'optical' was given & reads optical
predict sound-run --raster optical=photo.tif --raster a=dsm.tif --out out → 'a' is no input of this
predict sound-run --raster optical=a --raster optical=b --out out → two rasters of 'optical'
predict sound-run --raster optical=none.tif --out out → no such raster: none.tif
predict sound-run --raster optical=text.tif --out out → text.tif: cannot be read
predict sound-run --raster optical=dsm.tif --out out → dsm.tif: expected 3 bands for 'optical'
predict sound-run --raster optical=5 --out out → of kind image: expected a raster, got 5
predict sound-run --raster optical=photo.tif --out full → full exists already: choose another folder
predict sound-run --raster optical=photo.tif --out file/x → file is a file; choose another place
predict sound-run --raster optical=photo.tif --out out --promise none.json → none.json
predict sound-run --raster optical=photo.tif --out out --promise file → file & JSON
predict sound-run --raster optical=photo.tif --out out --overlap 9 → overlap=9: expected 0 to 7
predict sound-run --raster optical=photo.tif --out out --size 0 → '--size'
predict pair-run --raster before=dsm.tif --out out → no raster of 'after' was given
predict pair-run --raster before=dsm.tif --raster after=far.tif --out out → it does not overlap
predict pair-run --raster before=dsm.tif --raster after=feet.tif --out out → EPSG:2263
detect --dsm a.tif --image b.tif → Missing option '--run'
detect --dsm a.tif --image b.tif --run none → none is not a run folder
detect --dsm dsm.tif --image photo.tif --run sound-run → reads optical & compare two images
detect --dsm none.tif --image photo.tif --run pair-run → none.tif
detect --dsm text.tif --image photo.tif --run pair-run → text.tif
detect --dsm twobands.tif --image photo.tif --run pair-run → twobands.tif & band
detect --dsm dsm.tif --image dsm.tif --run pair-run → dsm.tif & band
detect --dsm dsm.tif --image far.tif --run pair-run → far.tif
detect --dsm dsm.tif --image feet.tif --run pair-run → feet.tif & EPSG:2263
detect --dsm dsm.tif --image photo.tif --run pair-run --size 0 → '--size'
detect --dsm dsm.tif --image photo.tif --run pair-run --overlap 99 → overlap
detect --dsm dsm.tif --image photo.tif --run pair-run --out file/x.tif → file
course full → full holds somebody's.txt, which is no lesson & new folder
course file → file is a file, expected a folder
course out --lesson 99 → no lesson 99; there are 1-
course out --lesson x → '--lesson'
course out --repository nonsense → owner/name, got 'nonsense'
demo --family nowhere → no family 'nowhere'; known: landcover
demo --sample --epochs 0 → '--epochs'
demo --sample --out file → file is a file; choose another place
""")


@pytest.fixture(scope='module')
def fields():
    return {
        "run/config.json": table("""
format 7 → has format 7 & reads format 2
setup "x" → setup is 'x', expected a dictionary
setup - → setup is missing
setup.inputs {} → setup.inputs is {}, expected at least 1 fields
setup.inputs {"nobody": {}} → setup names 'nobody', which modalities lacks
setup.inputs.optical 5 → setup.inputs.optical is 5, expected a dictionary
setup.inputs.optical.type "x" → there is no type 'x'; choose one of
setup.inputs.optical.width 0 → option 'width' cannot be 0
setup.inputs.optical.width "two" → option 'width' must be a number
setup.inputs.optical.width true → option 'width' must be a number
setup.inputs.optical.depth 1000000 → option 'depth' cannot be 1000000
setup.inputs.optical.colour 1 → 'unet' has no option 'colour'
setup.targets [] → setup.targets is [], expected a dictionary
setup.targets.climate.weight -1 → setup.targets.climate.weight is -1, expected more than 0
setup.targets.climate.loss 3 → setup.targets.climate.loss is 3, expected a dictionary
setup.main "nobody" → main task 'nobody' is not among the targets
setup.core ["nobody"] → core names 'nobody'
setup.colour 1 → setup.colour is unknown; known: core
setup.network {"type": "os.system"} → 'os.system' & known
setup.relations [5] → setup.relations[0] is 5, expected a dictionary
setup.training {"speed": 1} → setup.training.speed is unknown; known: augment, balance
modalities {} → modalities is {}, expected at least 2 fields
modalities.zone - → setup names 'zone', which modalities lacks
modalities.optical.kind "x" → modalities.optical.kind is 'x', expected one of
modalities.optical.name "x" → modalities.optical.name is 'x', expected 'optical'
modalities.optical.shape [3] → a sample of kind image has 3 dimensions
modalities.optical.shape [3, 0, 8] → modalities.optical.shape[1] is 0, expected at least 1
modalities.optical.mean [1] → has 3 channels but 1 numbers in `mean`
modalities.optical.std [0, 1, 1] → modalities.optical.std[0] is 0, expected more than 0
modalities.optical.std "wide" → modalities.optical.std is 'wide', expected a list
modalities.optical.channels ["a", "a", "b"] → has the channel 'a' twice
modalities.climate.classes ["a"] → needs at least two classes
modalities.climate.parent_index [0, 0, 1, 9] → class 9 of 'zone', which has 0 to 1
modalities.climate.parent "warmth" → its parent 'warmth' is of kind tabular, expected a label
modalities.climate.parent "climate" → is its own parent
modalities.zone.parent "climate" → has 2 classes but 0 entries in parent_index
options - → options is missing
options.epochs "two" → options.epochs is 'two', expected a whole number
options.epochs 0 → options.epochs is 0, expected at least 1
options.lr 0 → options.lr is 0, expected more than 0
options.seed "abc" → options.seed is 'abc', expected a whole number
options.seed -1 → options.seed is -1, expected at least 0
options.keep "some" → options.keep is 'some', expected one of best, last
options.trace ["x"] → options.trace[0] is 'x', expected one of train, valid, test
options.trace 5 → options.trace is 5, expected a list
versions 5 → versions is 5, expected a dictionary
"""),
        "store/manifest.json": table("""
store_format 9 → store format 9, this version reads format 1 & prepare the store again
identity - → identity is missing
sources "x" → sources is 'x', expected a list
bytes "x" → bytes is 'x', expected a whole number
bytes 5 → instead of 5
samples -1 → samples is -1, expected at least 0
samples 7 → manifest.json speaks of 7 samples, samples.nc has 48
splits {"train": "x"} → splits.train is 'x', expected a whole number
statistics {"optical": 1} → statistics.optical is 1, expected a dictionary
statistics.warmth.mean [1, 2] → statistics.warmth.mean has 2 entries, expected 1
statistics.warmth.mean [1e999] → statistics.warmth.mean is inf, expected a finite number
statistics.warmth.std ["x"] → statistics.warmth.std[0] is 'x', expected a number
statistics.warmth.count [-3] → statistics.warmth.count[0] is -3, expected at least 0
faults {"warmth": {"missing": "x"}} → faults.warmth.missing is 'x'
checksums.rest "x" → is damaged: structure, attributes or coordinates
checksums.variables.warmth.dtype "x" → warmth.dtype is 'x', expected text like
checksums.variables.warmth.shape [] → warmth.shape is [], expected at least 1 entries
checksums.variables.warmth.step 0 → checksums.variables.warmth.step is 0, expected at least 1
checksums.variables.warmth.offset -1 → checksums.variables.warmth.offset is -1
checksums.variables.warmth.blocks [] → blocks has 0 entries, expected 1
checksums.variables.warmth.blocks ["x"] → is damaged: 'warmth' in samples number 0 .. 47
"""),
    }


@pytest.fixture(scope='module')
def damages_files_goes_on_and_damage_rows():
    def halved(path):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    def a_folder(path):
        path.unlink()
        path.mkdir()
    def a_link(path):
        path.unlink()
        path.symlink_to("nowhere-at-all")
    damages = {
        "missing": Path.unlink,
        "empty": lambda p: p.write_bytes(b""),
        "cut short": halved,
        "random bytes": lambda p: p.write_bytes(np.random.default_rng(0).bytes(3000)),
        "another table": lambda p: p.write_text("hello,world\n1,2\n"),
        "another JSON": lambda p: p.write_text("[1, 2]"),
        "a folder": a_folder,
        "a link to nowhere": a_link,
    }
    files = {  # what reads it, and the states in which it is as good as new
        "run/config.json": ("opened", ()),
        "run/scores.csv": ("opened", ()),
        "run/metrics.csv": ("opened", ()),
        "run/trace/all.nc": ("opened", ()),
        "run/confidence.nc": ("opened", ("missing", "a link to nowhere")),  # as of an older version
        "run/best-001.safetensors": ("opened", ()),
        "run/state-001/weights.safetensors": ("goes on", ()),
        "run/state-001/optimiser.safetensors": ("goes on", ()),
        "run/state-001/optimiser.json": ("goes on", ()),
        "run/state-001/loss.safetensors": ("goes on", ()),
        "store/manifest.json": ("opened", ()),
        "store/samples.nc": ("opened", ()),
    }
    def goes_on(folder):
        (folder / "scores.csv").unlink()
        return trained(folder)
    def damage_rows():
        readers = {"opened": opened, "goes on": goes_on}
        for file, (reader, harmless) in files.items():
            for state, damage in damages.items():
                if state in harmless:
                    continue
                place = fresh(file.split("/")[0])
                damage(Path(file))
                answer = answer_of(partial(readers[reader], place))
                said = str(place) + " & " + Path(file).stem.split("-")[0]
                yield f"{file}, {state}", answer, said
    return damages, files, goes_on, damage_rows


@pytest.fixture(scope='module')
def traces():
    def with_value(variable, value, task=None):
        "A change of the first sample."

        def change(trace):
            at = dict(sample=0) | (dict(task=list(trace["task"].values).index(task)) if task else {})
            trace[variable][at] = value
            return trace

        return change
    return [
        ("class 999 predicted", with_value("predicted", 999, "climate"), "class 999, expected 0 to 3"),
        ("class 1.5 as truth", with_value("truth", 1.5, "climate"), "the class 1.5, expected 0 to 3"),
        ("an infinite error", with_value("error", np.inf), "'error' is infinite"),
        ("an error below 0", with_value("error", -1), "errors of 'climate' are below 0"),
        ("correct is 2", with_value("correct", 2), "'correct' of 'climate' lies outside 0 to 1"),
        ("confidence is -1", with_value("confidence", -1, "climate"), "'confidence' of 'climate'"),
        ("no errors", lambda t: t.drop_vars("error"), "'error' is there otherwise than in 000.nc"),
        ("no truth", lambda t: t.drop_vars("truth"), "'truth' is there otherwise"),
        ("errors as text", lambda t: t.assign(error=t.error.astype(str)), "'error' is of type"),
        ("errors without epoch", lambda t: t.assign(error=t.error[0]), "'error' is there otherwise"),
        ("no kinds", lambda t: t.drop_vars("kind"), "'kind' is there otherwise"),
        ("no main task", lambda t: t.assign_attrs(main="nobody"), "main task 'nobody' is not among"),
        (
            "another task",
            lambda t: t.assign_coords(task=["climate", "a", "warmth"]),
            "task 'a' is no modality",
        ),
        ("no split", lambda t: t.drop_vars("split"), "'split' is there otherwise"),
    ]


@pytest.fixture(scope='module')
def samples():
    def first_value(name, value):
        def change(s):
            s[name][0] = value
            return s

        return change
    def coordinate(name, values):
        return lambda s: s.assign_coords({name: ("sample", np.broadcast_to(values, 48))})
    def values(name, make):
        return lambda s: s.assign({name: make(s[name]).assign_attrs(s[name].attrs)})
    def attribute(name, **attrs):
        def change(s):
            s[name].attrs.update(attrs)
            return s

        return change
    circle = attribute("zone", parent="climate", parent_index=[0, 2])
    return [
        ("a circle of parents", circle, "go round in a circle & coarsest label has no `parent`"),
        ("own parent", attribute("climate", parent="climate"), "'climate': is its own parent"),
        ("parent 7", attribute("climate", parent_index=[0, 0, 1, 7]), "class 7 of 'zone'"),
        ("parent -1", attribute("climate", parent_index=[0, 0, 1, -1]), "is [0, 0, 1, -1]"),
        ("half a parent", attribute("climate", parent_index=[0, 0.5, 1, 1]), "expected a whole number"),
        ("parents too few", attribute("climate", parent_index=[0]), "4 classes but 1 entries"),
        ("parents as text", attribute("climate", parent_index="x"), "parent_index is 'x'"),
        ("parents None", attribute("climate", parent_index=None), "parent_index is None"),
        ("parent no label", attribute("climate", parent="warmth"), "'warmth' is of kind tabular"),
        ("classes twice", attribute("climate", classes=list("aabc")), "the class 'a' twice"),
        ("one class", attribute("climate", classes=["a"]), "needs at least two classes"),
        ("no classes", attribute("climate", classes=[]), "needs at least two classes"),
        ("red", attribute("cover", colors=["red", "#000000", "#ffffff"]), "'red', expected one like"),
        ("one colour", attribute("cover", colors=["#000000"]), "3 classes but 1 colours"),
        ("kind label", attribute("climate", kind="label"), "kind is 'label', expected one of image"),
        ("units 3", attribute("warmth", units=3), "units is 3, expected text"),
        ("channels twice", lambda s: s.assign_coords(band=list("rrb")), "the channel 'r' twice"),
        ("class 99", first_value("climate", 99), "class index outside 0..3"),
        ("class -5", first_value("climate", -5), "class index outside 0..3"),
        ("infinite", first_value("warmth", np.inf), "'warmth': infinite values in 1 of 48 samples"),
        ("no split", lambda s: s.drop_vars("split"), "no coordinate `split` with 'train'"),
        ("no ids", lambda s: s.drop_vars("sample"), "no coordinate `sample` with an id"),
        ("one id", lambda s: s.assign_coords(sample=["a"] * 48), "47 duplicate sample ids, e.g. a"),
        ("no training", lambda s: s.isel(sample=s.split.values != "train"), "split 'train' is empty"),
        ("no validation", lambda s: s.isel(sample=s.split.values != "valid"), "'valid' is empty"),
        ("one group", coordinate("group", 0), "1 groups stand in more than one split, e.g. 0"),
        ("latitude 999", coordinate("lat", 999.0), "no place on Earth has the latitude 999"),
        ("text", values("warmth", lambda v: v.astype(str)), "'warmth': the values are no numbers"),
        ("objects", values("warmth", lambda v: v.astype(object)), "no numbers, the dtype is object"),
        ("complex", values("warmth", lambda v: v.astype(complex)), "'warmth': complex numbers"),
        ("labels 0.0", values("climate", lambda v: v.astype(float)), "class indices must be integers"),
        ("axes turned", values("optical", lambda v: v.transpose("band", ...)), "first dimension"),
        ("an axis less", values("optical", lambda v: v[:, :, 0]), "kind image has 3 dimensions"),
        ("a slash", lambda s: s.rename(warmth="a/b"), "names 'warmth', but the samples only have a/b"),
        ("a dictionary", lambda s: dict(s), "of type dict, expected an `xarray.Dataset`"),
        ("a number", lambda s: 5, "of type int, expected an `xarray.Dataset`"),
        ("one array", lambda s: s.warmth, "of type DataArray, expected an `xarray.Dataset`"),
        ("no modality", lambda s: s.drop_vars(list(s.data_vars)), "no modality in these samples"),
    ]


@pytest.fixture(scope='module')
def setups():
    def optical(**options):
        return dict(inputs=dict(optical=dict(type="unet", width=2, depth=1) | options))
    def climate(**options):
        return dict(targets=dict(climate=options))
    hierarchy = dict(type="hierarchy", tasks=["climate", "zone"])
    return [
        (dict(inputs={}), "at least one input"),
        (dict(targets=()), "at least one target"),
        (dict(inputs=("nobody",)), "names 'nobody', but the samples only have climate"),
        (dict(targets=("nobody",)), "names 'nobody', but the samples only have climate"),
        (dict(targets=("optical",)), "'optical' is both input and target"),
        (dict(main="nobody"), "main task 'nobody' is not among the targets climate"),
        (dict(core=("nobody",)), "core names 'nobody', which has no role"),
        (dict(inputs=dict(optical="unet")), "options of 'optical' are 'unet', expected a dictionary"),
        (optical(type="x"), "there is no type 'x'; choose one of"),
        (optical(colour=1), "'unet' has no option 'colour'; it has"),
        (optical(width=0), "option 'width' cannot be 0"),
        (optical(width=-2), "option 'width' cannot be -2"),
        (optical(width="two"), "option 'width' must be a number, got 'two'"),
        (optical(width=True), "option 'width' must be a number, got True"),
        (optical(width=10**9), "option 'width' cannot be 1000000000"),
        (optical(width=np.nan), "option 'width' cannot be nan"),
        (optical(depth=9), "8"),
        (optical(depth=10**6), "option 'depth' cannot be 1000000"),
        (optical(weight=1), "'optical' is an input and has no weight"),
        (optical(scaling="x"), "scaling of 'optical' is 'x', expected dict(mean=[...]"),
        (optical(scaling=dict(m=1)), "scaling of 'optical'"),
        (optical(scaling=dict(mean=[1], std=[1])), "has 3 channels but 1 numbers in `mean`"),
        (optical(scaling=dict(mean=[1, 1, 1], std=[0, 1, 1])), "expected positive numbers"),
        (optical(scaling=dict(mean=[np.nan, 1, 1], std=[1, 1, 1])), "expected finite numbers"),
        (climate(scaling=dict(mean=[1], std=[1])), "classes are not scaled"),
        (climate(weight=0), "loss weights must be positive numbers"),
        (climate(weight=-1), "loss weights must be positive numbers"),
        (climate(weight=np.nan), "loss weights must be positive numbers"),
        (climate(weight="x"), "loss weights must be positive numbers"),
        (dict(targets=dict(climate=dict(weight=1), zone={})), "weights are given for ['climate']"),
        (climate(type="x"), "there is no type 'x'"),
        (climate(colour=1), "no option 'colour'"),
        (climate(loss="x"), "loss of 'climate' is 'x', expected a dictionary"),
        (climate(loss=dict(type="x")), "the loss of 'climate' has no option 'type'"),
        (climate(loss=dict(class_weights=[1, 2])), "2 weights for 4 classes"),
        (climate(loss=dict(class_weights=[-1, 2, 1, 1])), "class_weights of 'climate' are [-1"),
        (climate(loss=dict(class_weights=[0, 0, 0, 0])), "not all 0"),
        (dict(network="x"), "network is 'x', expected a dictionary"),
        (dict(network=dict(type="x")), "'x'; known"),
        (dict(network=dict(colour=1)), "no option 'colour'"),
        (dict(network=dict(type=print)), "a setup holds plain data only"),
        (dict(relations=(5,)), "a relation is 5, expected a dictionary"),
        (dict(relations=(dict(type="x"),)), "'x'"),
        (dict(relations=(hierarchy | dict(tasks=["climate"]),)), "expected two targets of the setup"),
        (dict(relations=(hierarchy | dict(tasks=["climate", "nobody"]),)), "nobody"),
        (dict(relations=(hierarchy | dict(tasks=["climate", "warmth"]),)), "warmth"),
        (dict(relations=(hierarchy | dict(weight="x"),)), "weight of a relation is 'x'"),
        (dict(relations=(hierarchy | dict(weight=-1),)), "weight of a relation is -1"),
        (dict(weighting="dwa"), "weighting is 'dwa', expected a dictionary"),
        (dict(weighting=dict(type="x")), "'x'; known"),
        (dict(weighting=dict(type="dwa", colour=1)), "'dwa' has no option 'colour'"),
        (dict(weighting=dict(type="dwa", temperature=0)), "temperature"),
        (dict(weighting=dict(type="aggregation", method="x")), "'x'"),
        (dict(where="x"), "where is 'x', expected a dictionary"),
        (dict(where=dict(nobody=["a"])), "where: 'nobody' is no category"),
        (dict(where=dict(climate=["x"])), "where: 'climate' has no class 'x'; it has hot"),
        (dict(where=dict(climate=3)), "where: 'climate' has no class '3'; it has hot"),
        (dict(where=dict(climate=[])), "where: the split 'train' has no sample"),
        (dict(training="x"), "training is 'x', expected a dictionary"),
        (dict(training=dict(speed=1)), "training has no option 'speed'; it has balance, augment"),
        (dict(training=dict(balance="nobody")), "balance: 'nobody' is no category"),
        (dict(training=dict(balance="warmth")), "balance: 'warmth' is no category"),
        (dict(training=dict(augment="x")), "training.augment is 'x', expected a dictionary"),
        (dict(training=dict(augment=dict(colour=1))), "colour"),
        (dict(training=dict(augment=dict(photos=["warmth"]))), "photograph 'warmth' is not among"),
    ]


@pytest.fixture(scope='module')
def trainings():
    return [
        (dict(epochs=0), "train_run: epochs is 0, expected at least 1"),
        (dict(epochs="two"), "train_run: epochs is 'two', expected a whole number"),
        (dict(epochs=1.5), "train_run: epochs is 1.5, expected a whole number"),
        (dict(epochs=None), "train_run: epochs is None, expected a whole number"),
        (dict(lr="x"), "train_run: lr is 'x', expected a number"),
        (dict(lr=-1), "train_run: lr is -1, expected more than 0"),
        (dict(lr=np.nan), "train_run: lr is nan, expected a finite number"),
        (dict(lr=np.inf), "train_run: lr is inf, expected a finite number"),
        (dict(bs=0), "train_run: bs is 0, expected at least 1"),
        (dict(bs="x"), "train_run: bs is 'x', expected a whole number"),
        (dict(bs=1.5), "train_run: bs is 1.5, expected a whole number"),
        (dict(seed="abc"), "seed is 'abc', expected a whole number"),
        (dict(seed=-1), "seed is -1, expected a whole number from 0"),
        (dict(seed=None), "seed is None, expected a whole number"),
        (dict(keep="some"), "train_run: keep is 'some', expected one of best, last"),
        (dict(schedule="x"), "train_run: schedule is 'x', expected one of one-cycle, constant"),
        (dict(trace=("x",)), "train_run: trace[0] is 'x', expected one of train, valid, test"),
        (dict(trace=5), "train_run: trace is 5, expected a list"),
        (dict(shown=-1), "train_run: shown is -1, expected at least 0"),
        (dict(shown="x"), "train_run: shown is 'x', expected a whole number"),
        (dict(recipe="x"), "train_run: recipe is 'x', expected a dictionary"),
        (dict(device="x"), "device is 'x', which cannot be used here & 'cpu' always can"),
        (dict(start="nowhere"), "there is no file of weights at nowhere"),
        (dict(start="full"), "full holds no weights"),
        (dict(setup="climate"), "of type str, expected `Setup(inputs, targets)`"),
        (dict(setup=dict(inputs="optical")), "of type dict, expected `Setup(inputs, targets)`"),
    ]


@pytest.fixture(scope='module')
def machine():
    return [
        (errno.ENOENT, "there is no such file or folder"),
        (errno.EEXIST, "is there already: choose another place"),
        (errno.ENOTDIR, "leads through a file: choose another place"),
        (errno.EISDIR, "is a folder, expected a file"),
        (errno.EACCES, "may not be read or written by you & choose another place"),
        (errno.EPERM, "may not be read or written by you"),
        (errno.EROFS, "a disk that is only read: choose another place"),
        (errno.ENOSPC, "no room is left on the disk: make room and call again"),
        (errno.EDQUOT, "your quota is used up: make room and call again"),
        (errno.ENAMETOOLONG, "the name is too long: choose a shorter one"),
        (errno.EMFILE, "too many files are open & ulimit -n"),
        (errno.EIO, "the disk cannot be read or written there"),
        (errno.ESTALE, os.strerror(errno.ESTALE)),
    ]


@pytest.fixture(scope='module')
def counts(commands, fields, damages_files_goes_on_and_damage_rows, traces, samples, setups, trainings, machine):
    damages, files, goes_on, damage_rows = damages_files_goes_on_and_damage_rows
    kinds = {
        "words of the command line": len(commands),
        "fields of config.json and manifest.json": sum(map(len, fields.values())),
        "files of a run or a store": len(files) * len(damages),
        "values of a trace": len(traces),
        "samples": len(samples),
        "setups": len(setups),
        "options of a training": len(trainings),
        "what the machine says": len(machine),
    }
    return pd.Series(kinds, name="bad inputs")


def test_what_is_typed(commands):
    "Words of the command line."
    with workplace() as place:
        before = sorted(p for p in place.rglob("*") if ".lock" not in p.name)
        answers = [(fed, answer_of_command(fed.split()), said) for fed, said in commands]
        assert not (found := problems(answers)), "\n".join(found)
        after = sorted(p for p in place.rglob("*") if ".lock" not in p.name)
        assert after == before, f"left behind: {sorted(set(after) - set(before))}"


def test_fields_with_a_value_of_another_kind_out_of_range_or_of_another(fields):
    "Fields of a run and of a store."
    # fields with a value of another kind, out of range, or of another structure
    def field_rows():
        for file, rows in fields.items():
            for fed, said in rows:
                path, value = fed.split(" ", 1)
                value = value if value == "-" else json.loads(value)
                yield f"{file} {fed}", answer_to_field(file, path.split("."), value), said


    with workplace():
        assert not (found := problems(field_rows())), "\n".join(found)


def test_any_field_anything_in_it(fields):
    "Fields of a run and of a store."
    # any field, anything in it: one line, or accepted
    anything = ["x", -1, 0.5, None, [], {}, [[]], True, 10**9, "-"]


    def all_paths(value, path=()):
        if path:
            yield path
        inner = list(enumerate(value)) if isinstance(value, list) else []
        for key, part in value.items() if isinstance(value, dict) else inner[:1]:
            yield from all_paths(part, (*path, key))


    with workplace():
        rng = np.random.default_rng(0)
        wrong = []
        for file in fields:
            paths = list(all_paths(json.loads(Path(f"sound-{file}").read_text())))
            for _ in range(75):
                path = paths[rng.integers(len(paths))]
                value = anything[rng.integers(len(anything))]
                answer = answer_to_field(file, path, value)
                if answer[0] != 0 and fault(answer, ""):
                    wrong.append(f"{file} {path} {value!r}: {answer}")
        assert not wrong, "\n".join(wrong)


def test_damaged_files_are_named(damages_files_goes_on_and_damage_rows):
    "Files that are not what they were."
    damages, files, goes_on, damage_rows = damages_files_goes_on_and_damage_rows
    with workplace():
        assert not (found := problems(damage_rows())), "\n".join(found)


def test_what_a_training_needs_to_go_on(damages_files_goes_on_and_damage_rows):
    "Files that are not what they were."
    damages, files, goes_on, damage_rows = damages_files_goes_on_and_damage_rows
    with workplace():
        for file in ("metrics.csv", "trace/all.nc", "trace/000.nc"):
            for state in ("missing", "empty", "cut short", "another table"):
                place = fresh("run")
                if file == "trace/000.nc":
                    an_epoch_a_file(place)
                damages[state](place / file)
                answer = answer_of(partial(goes_on, place))
                assert not fault(answer, f"run/{file}"), (file, state, answer)


def test_impossible_traces(traces):
    "Values of a trace."
    def explained(folder):
        return explain(load_run(folder))


    def trace_rows():
        for fed, change, said in traces:
            place = fresh("run")
            an_epoch_a_file(place)
            piece = place / "trace" / "000.nc"
            save_netcdf(change(load_netcdf(piece)), piece)
            yield fed, answer_of(partial(explained, place)), said


    with workplace():
        assert not (found := problems(trace_rows())), "\n".join(found)


def test_samples_of_all_kinds_of_badness(samples):
    "Samples."
    def sample_rows():
        for fed, change, said in samples:
            yield fed, answer_of(partial(trained, "r", change(toy()))), said


    with workplace():
        assert not (found := problems(sample_rows())), "\n".join(found)
        assert not Path("r").exists()


def test_stores_of_bad_samples(samples):
    "Samples."
    unstored = {"a circle of parents", "own parent", "parent 7", "classes twice"}
    unstored |= {"infinite", "class 99"}


    def store_rows():
        for fed, change, said in samples:
            if fed in unstored:
                words = dict(infinite="infinite values", **{"class 99": "a label outside 0..3"})
                act = partial(save_samples, change(toy()), "s", progress=False)
                yield fed, answer_of(act), words.get(fed, said)


    with workplace():
        assert not (found := problems(store_rows())), "\n".join(found)
        assert not Path("s").exists()


def test_setups_and_options_of_training(setups, trainings):
    "Setups and trainings."
    def trained_as(fields):
        return trained("r", setup=setup_with(**fields))


    def training_rows():
        for given, said in setups:
            yield given, answer_of(partial(trained_as, given)), said
        for given, said in trainings:
            yield given, answer_of(partial(trained, "r", **given)), said


    with workplace():
        assert not (found := problems(training_rows())), "\n".join(found)
        assert not Path("r").exists()


def test_what_the_machine_says(machine):
    "The machine."
    def machine_rows():
        for code, said in machine:
            fails = mock.Mock(side_effect=OSError(code, os.strerror(code), "there/x.nc"))
            with (
                mock.patch.dict(sys.modules["mtl_explain.cli"].__dict__, need_stores=mock.Mock()),
                mock.patch.dict(sys.modules["mtl_explain.data.store"].__dict__, verify_store=fails),
            ):
                answer = answer_of_command(["data", "verify", "there"])
            yield errno.errorcode[code], answer, f"there/x.nc: & {said}"


    assert not (found := problems(machine_rows())), "\n".join(found)


def test_a_folder_that_is_only_read():
    "The machine."
    with workplace():
        Path("locked").mkdir(mode=0o555)
        if not os.access("locked", os.W_OK):
            for act in (
                lambda: trained("locked/run"),
                lambda: save_samples(toy(), "locked/store", progress=False),
            ):
                code, line = answer_of(act)
                assert code == 1 and "locked" in line, line
        os.utime("sound-store/samples.nc")
        nowhere = mock.Mock(side_effect=OSError(errno.EROFS, "Read-only file system", "x"))
        with mock.patch.dict(open_store.__globals__, write_json=nowhere):
            assert open_store("sound-store").sizes["sample"] == 48
        assert nowhere.called


def test_a_place_that_is_being_written_a_name_that_is_too_long():
    "The machine."
    def place_rows():
        with only_writer("out"):
            for act in (lambda: save_samples(toy(), "out", progress=False), lambda: trained("out")):
                who = f"out is being written by process {os.getpid()} & wait for it"
                yield "locked", answer_of(act), who
        yield "long", answer_of_command(["data", "verify", "x" * 300]), "too long & shorter"


    with workplace():
        assert not (found := problems(place_rows())), "\n".join(found)


def test_places_with_unusual_names():
    "The machine."
    odd_places = ["a b  c", "Körner & Früchte", "農地 🌾", 'it\'s "so"', "100%_[x]*?", "d" * 200]
    odd_places.append("/".join(["deep" * 10] * 20))
    with workplace():
        for name in odd_places:
            place = Path(name)
            save_samples(toy(), place / "store", progress=False)
            stored = open_store(place / "store", verify=True)
            run = trained(place / "run", stored, epochs=1)
            assert run.predict(stored).sizes["sample"] == 48
            assert run.trace.sizes["epoch"] == 1
            code, line = answer_of_command(["data", "verify", place / "store"])
            assert (code, line) == (0, "")
            shutil.rmtree(name.split("/")[0])


def test_a_clock_that_runs_backwards():
    "The machine."
    def backwards():
        return next(times)


    with workplace():
        times = iter(np.arange(1e9, 0, -3600))
        with mock.patch.object(time, "time", backwards):
            run = trained("run")
        assert run.metrics.seconds.lt(0).all()
        weights = load_run("sound-run").network.state_dict()
        assert all(torch.equal(v, weights[n]) for n, v in run.network.state_dict().items())


def test_in_a_process_of_its_own_without_a_home_in_a_plain_locale():
    "The machine."
    def typed(*words, **env):
        code = "from mtl_explain.cli import main; main()"
        plain = {k: v for k, v in os.environ.items() if k != "HOME" and not k.startswith("LC_")}
        plain |= dict(LC_ALL="C", LANG="C", PYTHONIOENCODING="ascii") | env
        command = [sys.executable, "-c", code, *words]
        return subprocess.run(command, capture_output=True, text=True, env=plain)


    with workplace(), mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(map(str, sys.path))):
        shutil.copytree("sound-run", "das Büro/run")
        done = typed("explain", "das Büro/run")
        assert (done.returncode, done.stderr) == (0, "")
        assert "epoch 1 kept" in done.stdout
        done = typed("data", "fetch", "Büro")
        assert done.returncode == 1
        assert done.stderr.startswith("error: there is no dataset 'B")
        assert len(done.stderr.splitlines()) == 1


def test_the_table_of_kinds(counts):
    "How many."
    assert counts.sum() >= 150
    counts.to_frame().rename_axis("kind")
