"""Out again: the hub

Written by nbdev-export from the check cells of nbs/api/show/09_hub.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import xarray as xr

from mtl_explain.explain.skill import skill
from mtl_explain.setup import Setup
from mtl_explain.show.hub import model_card, plain_markdown, push_to_hub
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.runs import load_run, train_run
from mtl_explain.trust.promise import check_promise, load_certificate, promise, read_check


class LocalHub:
    "A hub that is a folder."

    def __init__(self, folder):
        self.folder = Path(folder)
        self.private = {}

    def create_repo(self, repository, private, exist_ok):
        self.private[repository] = private
        (self.folder / repository).mkdir(parents=True, exist_ok=exist_ok)

    def upload_folder(self, repo_id, folder_path, allow_patterns, commit_message):
        shutil.copytree(folder_path, self.folder / repo_id, dirs_exist_ok=True)

    def snapshot_download(self, repository, revision, allow_patterns):
        return str(self.folder / repository)


def files_of(path):
    "What lies in a folder."
    return sorted(p.relative_to(path).as_posix() for p in Path(path).rglob("*") if p.is_file())


@pytest.fixture(scope='module')
def toys_setup_folder_runs_and_run():
    toys = toy_samples(64, size=8).assign_attrs(title="Toys <b>of</b> [a](b) | world")
    setup = Setup(
        dict(optical=dict(type="unet", width=2, depth=1), zone={}), ("climate", "warmth"), name="toys"
    )
    folder = Path(tempfile.mkdtemp())
    options = dict(epochs=2, bs=16, bar=False, device="cpu")
    runs = [train_run(toys, setup, folder / f"seed-{s}", seed=s, **options) for s in (0, 1)]
    run = runs[0]
    return toys, setup, folder, runs, run


def test_a_title_stays_a_title():
    "Words of others in a page of Markdown."
    assert plain_markdown("Height of trees, m") == "Height of trees, m"
    assert plain_markdown("a\n# b") == r"a \# b"
    assert plain_markdown("<script>x</script>") == r"&lt;script&gt;x&lt;/script&gt;"
    assert plain_markdown("[x](http://a.b) | c") == r"\[x\]\(http://a.b\) \| c"
    assert len(plain_markdown("x" * 999)) == 200


def test_the_card_says_what_the_run_says(toys_setup_folder_runs_and_run):
    "The page."
    # the card says what the run says: roles, scores over seeds, the constant, no promise
    toys, setup, folder, runs, run = toys_setup_folder_runs_and_run
    card = model_card(run, "cc-by-4.0", others=runs, datasets=["me/data"], name="me/toys")
    head = card.split("---")[1]
    assert 'license: "cc-by-4.0"' in head
    assert 'datasets: ["me/data"]' in head
    assert "it reads optical, zone and predicts climate, warmth. The main task is climate." in card
    test = [r.scores[r.scores.split == "test"].set_index(["task", "metric"]).value for r in runs]
    mean = (test[0] + test[1])[("climate", "accuracy")] / 2
    assert f"| climate | accuracy |  | {mean:.4g} |" in card
    beside = skill(run.trace)
    assert f"| {beside.loc['warmth', 'skill']:.4g} | {beside.loc['warmth', 'low']:.4g} |" in card
    assert "## What is promised\n\nNothing." in card
    assert "none was made" in card
    assert "load_run('hub:me/toys')" in card
    # and words of others stay words
    assert "<b>" not in card
    assert r"Toys &lt;b&gt;of&lt;/b&gt; \[a\]\(b\) \| world" in card


def test_the_head_is_yaml_whatever_names_hold(toys_setup_folder_runs_and_run):
    "The page."
    toys, setup, folder, runs, run = toys_setup_folder_runs_and_run
    yaml = pytest.importorskip("yaml")
    odd = model_card(run, "other", tags=['a: b"\n---\n# c'], datasets=["x/y"])
    read = yaml.safe_load(odd[4 : odd.index("\n---\n", 4)])
    assert read["tags"][-1] == 'a: b"\n---\n# c'
    assert read["license"] == "other"
    assert read["library_name"] == "mtl_explain"


def test_there_and_back(toys_setup_folder_runs_and_run):
    "To the hub."
    # there and back: the same predictions, probabilities and scores; no sample went along
    toys, setup, folder, runs, run = toys_setup_folder_runs_and_run
    pytest.importorskip("huggingface_hub")
    hub = LocalHub(folder / "hub")
    name = push_to_hub(run, "me/toys", "mit", others=runs, api=hub)
    assert name == "hub:me/toys"
    assert hub.private == {"me/toys": True}
    weights = f"best-{run.epoch:03d}.safetensors"
    wanted = ["README.md", weights, "confidence.nc", "config.json", "metrics.csv", "scores.csv"]
    assert files_of(hub.folder / "me/toys") == sorted(wanted)
    with mock.patch("huggingface_hub.snapshot_download", hub.snapshot_download):
        there = load_run(name)
    assert there.weights == run.weights
    assert there.epoch == run.epoch
    found = there.predict(toys, probabilities=True)
    assert found.identical(run.predict(toys, probabilities=True))
    assert there.scores.equals(run.scores)
    record = xr.open_dataset(hub.folder / "me/toys" / "confidence.nc", engine="h5netcdf")
    assert "sample" not in record.dims
    record.close()


def test_a_run_with_a_promise(toys_setup_folder_runs_and_run):
    "To the hub."
    # a run with a promise: the card says it and what became of it, and the certificate goes along
    toys, setup, folder, runs, run = toys_setup_folder_runs_and_run
    pytest.importorskip("huggingface_hub")
    world = toy_samples(384)
    plain = Setup("optical", "climate")
    sure = train_run(world, plain, folder / "sure", epochs=1, bs=32, bar=False)
    made = promise(sure, 0.4)
    card = model_card(sure, "mit", name="me/sure")
    assert plain_markdown(made.sentence, 2000) in card
    became = read_check(check_promise(made, sure.trace, "test", sure.modalities), "test")
    assert plain_markdown(became, 2000) in card
    assert "none was made" not in card
    hub = LocalHub(folder / "sure-hub")
    push_to_hub(sure, "me/sure", "mit", api=hub)
    with mock.patch("huggingface_hub.snapshot_download", hub.snapshot_download):
        there = load_run("hub:me/sure")
    path = there.folder / "promise.json"
    asked = there.predict(world, promise=load_certificate(path))["climate_ask"]
    assert asked.equals(sure.predict(world, promise=made)["climate_ask"])
    shutil.copy(path, run.folder / "promise.json")
    with pytest.raises(ValueError, match="a promise of another run"):
        model_card(run)
    (run.folder / "promise.json").unlink()


def test_with_the_trace_the_other_side_explains_the_same(toys_setup_folder_runs_and_run):
    "To the hub."
    toys, setup, folder, runs, run = toys_setup_folder_runs_and_run
    pytest.importorskip("huggingface_hub")
    hub = LocalHub(folder / "open")
    push_to_hub(run, "me/toys", trace=True, private=False, api=hub)
    with mock.patch("huggingface_hub.snapshot_download", hub.snapshot_download):
        there = load_run("hub:me/toys")
    assert there.trace.identical(run.trace)
    assert skill(there.trace).equals(skill(run.trace))


def test_what_comes_from_the_hub_is_data(toys_setup_folder_runs_and_run):
    "To the hub."
    # what comes from the hub is data: it is checked like any stranger's folder
    toys, setup, folder, runs, run = toys_setup_folder_runs_and_run
    pytest.importorskip("huggingface_hub")
    hub = LocalHub(folder / "strange")
    push_to_hub(run, "me/toys", api=hub)
    config = hub.folder / "me/toys" / "config.json"
    changed = json.loads(config.read_text())
    changed["setup"]["network"] = dict(type="os.system")
    config.write_text(json.dumps(changed))
    with mock.patch("huggingface_hub.snapshot_download", hub.snapshot_download):
        with pytest.raises(ValueError, match="os.system"):
            load_run("hub:me/toys").network
        config.write_text("{}")
        with pytest.raises(ValueError, match="format None"):
            load_run("hub:me/toys")


def test_bad_questions_get_one_line(toys_setup_folder_runs_and_run):
    "To the hub."
    toys, setup, folder, runs, run = toys_setup_folder_runs_and_run
    with pytest.raises(ValueError, match="'hub:toys' is no run on the hub"):
        push_to_hub(run, "toys", api=LocalHub(folder / "none"))
    with pytest.raises(ValueError, match="a revision is made by the push"):
        push_to_hub(run, "me/toys@v1", api=LocalHub(folder / "none"))
    other = train_run(toys, replace(setup, name="x"), folder / "other", epochs=1, bs=16, bar=False)
    with pytest.raises(ValueError, match="is a run of another setup: a card is about one"):
        model_card(run, others=[other])
