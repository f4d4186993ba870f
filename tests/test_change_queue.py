"""A queue of changes

Written by nbdev-export from the check cells of nbs/api/change/04_queue.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
import os
import tempfile
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from scipy.ndimage import gaussian_filter, label
from scipy.special import expit
from scipy.stats import binom

from mtl_explain.change.queue import (
    change_queue, change_regions, load_recall_promise, object_scores, recall_losses, recall_promise,
)
from mtl_explain.files.raster import geotiff_writer, write_geotiff
from mtl_explain.palette import blue, orange
from mtl_explain.simulate.aerial import Window as Place
from mtl_explain.simulate.city.blocks import City
from mtl_explain.simulate.city.tiles import make_labels, survey


@pytest.fixture(scope='module')
def detection_home_kinds_drawn_gone_new_rise_and_drawn():
    def detection(path, classes, chances, height, pixel=2.0):
        "A raster as `detect_change` writes it."
        names = ["unchanged", "demolished", "newly built"]
        about = dict(
            names=["semantic_change", "height_change", *(f"probability of {n}" for n in names)],
            units=["", "m", "", "", ""],
            tags=[dict(classes="0 unchanged, 1 demolished, 2 newly built"), {}, {}, {}, {}],
            nodata=np.nan,
        )
        values = np.stack([classes, height, *chances]).astype("float32")
        place = (from_origin(120_000, 487_000, pixel, pixel), "EPSG:28992")
        with geotiff_writer(path, values.shape, "float32", *place, **about) as file:
            file.write(values)
        return path
    home = Path(tempfile.mkdtemp())
    kinds_drawn = np.zeros((6, 8))
    kinds_drawn[0, 0] = kinds_drawn[1, 1] = 1  # one place: its pixels share a corner
    kinds_drawn[4:6, 2:4] = 1
    kinds_drawn[0:2, 5:8] = 2
    gone = np.where(kinds_drawn == 1, 0.6, 0.1)
    gone[4:6, 2:4] = 0.9
    new = np.where(kinds_drawn == 2, 0.8, 0.05)
    rise = np.where(kinds_drawn == 1, -6, np.where(kinds_drawn == 2, 9, 0))
    drawn = detection(home / "drawn.tif", kinds_drawn, [1 - gone - new, gone, new], rise)
    return detection, home, kinds_drawn, gone, new, rise, drawn


@pytest.fixture(scope='module')
def two_nine_and_ours():
    two = np.tile([0.9, 0.4], 9)
    nine = np.repeat(np.arange(9), 2)
    ours = recall_promise(two, nine, alpha=0.54, weights="aaaa1111" * 8)
    return two, nine, ours


@pytest.fixture(scope='module')
def misses():
    def planted_objects(n_blocks, seed, between=1.2, most=40):
        "Scores of objects, and the block of each; the light of a block is common to its objects."
        rng = np.random.default_rng(seed)
        sizes = rng.integers(1, most + 1, n_blocks)
        blocks = np.repeat(np.arange(n_blocks), sizes)
        light = rng.normal(1.5, between, n_blocks)[blocks]
        return expit(light + rng.normal(0, 1.0, len(blocks))), blocks
    everywhere = planted_objects(4000, 77)
    steps = np.linspace(0, 1, 2001)
    true_miss = recall_losses(*everywhere, steps).mean(0)
    def misses(seeds, by_object=False, **options):
        "What the promises of several worlds miss in truth."
        found = []
        for seed in seeds:
            scores, blocks = planted_objects(30, seed)
            blocks = np.arange(len(scores)) if by_object else blocks
            found.append(recall_promise(scores, blocks, **options).threshold)
        return np.interp(found, steps, true_miss)
    return misses


@pytest.fixture(scope='module')
def cities_of_city_scores_of_all_old_and_recalled():
    def city_objects(seed, side=96, pixel=2.5):
        "Probability that a building is gone, and where one is: a city that nobody has seen before."
        rng = np.random.default_rng(seed)
        city = City("a city", int(rng.integers(2**31)), change=0.9, shares=(0.1, 0.8, 0.1))
        place = survey(city, Place(0, 0, side, side, pixel))
        change, kinds = make_labels(place)
        before = np.where(np.abs(place["early_dsm"]) < 1e3, place["early_dsm"], 0)
        after = np.where(np.abs(place["late_dsm"]) < 1e3, place["late_dsm"], 0)
        weather = rng.uniform(0.3, 3)
        seen = gaussian_filter(after + rng.normal(0, weather, after.shape), 0.8 * weather**0.5)
        return expit(gaussian_filter(before, 0.5) - seen - 3.0), kinds == 1
    n_cities = dict(small=(20, 24), study=(40, 160))[os.environ.get("MTL_EXPLAIN_SCALE", "small")]
    cities = [city_objects(seed) for seed in range(sum(n_cities))]
    found = [object_scores(*city) for city in cities]
    of_city = np.repeat(np.arange(len(cities)), [len(s) for s in found])
    scores_of_all = np.concatenate(found)
    old = of_city < n_cities[0]
    recalled = recall_promise(scores_of_all[old], of_city[old], alpha=0.2)
    return cities, of_city, scores_of_all, old, recalled


def test_regions_by_hand(detection_home_kinds_drawn_gone_new_rise_and_drawn):
    "Regions."
    # regions by hand: the most doubtful first, with their area, height and place
    detection, home, kinds_drawn, gone, new, rise, drawn = detection_home_kinds_drawn_gone_new_rise_and_drawn
    table = change_regions(drawn)
    assert table["kind"].tolist() == ["demolished", "newly built", "demolished"]
    np.testing.assert_allclose(table["confidence"], [0.6, 0.8, 0.9], atol=1e-6)
    np.testing.assert_allclose(table["area"], np.array([2, 6, 4]) * 4, rtol=0.02)
    assert table["height"].tolist() == [-6, 9, -6]
    assert table[["x", "y"]].iloc[2].tolist() == [120_006, 486_990]
    outline = np.array(table["geometry"][2]["coordinates"][0])
    assert outline.min(0).tolist() == [120_004, 486_988]
    assert outline.max(0).tolist() == [120_008, 486_992]
    surer = change_regions(drawn, 0.7, ["demolished"])
    assert len(surer) == 1
    assert len(change_regions(drawn, 0.1, ["demolished"])) == 1, "everything hangs together"
    table.drop(columns="geometry").round(2)


def test_what_is_no_detection_and_what_is_asked_for_that_is_not_there(detection_home_kinds_drawn_gone_new_rise_and_drawn):
    "Regions."
    detection, home, kinds_drawn, gone, new, rise, drawn = detection_home_kinds_drawn_gone_new_rise_and_drawn
    write_geotiff(home / "plain.tif", np.zeros((4, 4), "uint8"), (1000, 2000), 2.0, "EPSG:28992")
    for match, path, options in (
        ("plain.tif: expected classes and the probability of each", home / "plain.tif", {}),
        ("no class 'flooded'; .* has unchanged, demolished", drawn, dict(kinds=["flooded"])),
        ("threshold is 2, expected a probability from 0 to 1", drawn, dict(threshold=2)),
    ):
        with pytest.raises(ValueError, match=match):
            change_regions(path, **options)


def test_scores_by_hand():
    "A promise on recall."
    # scores by hand: of four pixels one must be in the queue, of five two
    truth = np.zeros((4, 6), bool)
    truth[0, :4] = True
    truth[2:, 3] = truth[3, 3:6] = True
    chance = np.arange(24).reshape(4, 6) / 24
    scores = object_scores(chance, truth)
    assert scores.tolist() == [3 / 24, 23 / 24]
    assert object_scores(chance, truth, 1.0).tolist() == [0, 15 / 24]
    assert object_scores(chance, truth, 0.5).tolist() == [2 / 24, 22 / 24]
    assert object_scores(chance, ~truth & False).size == 0
    found, _ = label(chance >= scores[0], np.ones((3, 3)))
    assert (found[truth] > 0).sum() >= 1, "at its score an object still is in the queue"


def test_by_hand(two_nine_and_ours):
    "A promise on recall."
    # by hand: 9 blocks with two objects; missing one of each is 0.5, (9 x 0.5 + 1) / 10 = 0.55
    two, nine, ours = two_nine_and_ours
    assert recall_promise(two, nine, alpha=0.54).threshold == 0.4
    assert recall_promise(two, nine, alpha=0.56).threshold == 0.9
    assert recall_losses(two, nine, np.array([0.95, 0.9, 0.5, 0.4])).mean(0).tolist() == [
        1,
        0.5,
        0.5,
        0,
    ]
    assert "at least 46% of the objects 'demolished'" in recall_promise(two, nine, alpha=0.54).sentence
    for match, options in (
        (
            "9 blocks with objects allow no promise of more than 90.0%, asked for is 95",
            dict(alpha=0.05),
        ),
        ("alpha is 2, expected a share between 0 and 1", dict(alpha=2)),
        ("a method is one of risk control, learn then test; got 'hope'", dict(method="hope")),
    ):
        with pytest.raises(ValueError, match=match):
            recall_promise(two, nine, **options)
    with pytest.raises(ValueError, match="no object 'demolished' to make a promise from"):
        recall_promise(np.empty(0), np.empty(0))


def test_a_certificate(two_nine_and_ours):
    "A promise on recall."
    # a certificate: written and read back, refused where it is none, or where it is another run's
    two, nine, ours = two_nine_and_ours
    with tempfile.TemporaryDirectory() as d:
        path = Path(d) / "recall.json"
        ours.save(path)
        assert load_recall_promise(path) == ours
        assert datetime.fromisoformat(ours.made) <= datetime.now(UTC)
        told = json.loads(path.read_text())
        assert told["about"] == "recall" and told["blocks"] == 9 and told["share"] == 0.25
        for match, wrong in (
            ("alpha is 2, expected less than 1", told | dict(alpha=2)),
            ("about is 'undetected', expected recall", told | dict(about="undetected")),
            ("weights is missing", {k: v for k, v in told.items() if k != "weights"}),
            ("extra is unknown", told | dict(extra=1)),
        ):
            path.write_text(json.dumps(wrong))
            with pytest.raises(ValueError, match=f"recall.json: {match}"):
                load_recall_promise(path)
    ours.check_run(SimpleNamespace(weights="aaaa1111" * 8))
    with pytest.raises(ValueError, match="a promise of another run: it was made for the weights aaaa"):
        ours.check_run(SimpleNamespace(weights="bbbb2222" * 8))


def test_by_blocks_the_promises_are_kept_by_objects_they_are_broken(misses):
    "Planted: does it keep its word?"
    seeds = range(500, 700)
    average = misses(seeds)
    naive = misses(seeds, by_object=True)
    test = dict(alpha=0.15, method="learn then test")
    broken = int((misses(seeds, **test) > 0.15).sum())
    broken_naive = int((misses(seeds, by_object=True, **test) > 0.15).sum())
    most = binom.ppf(0.99, len(seeds), 0.1)  # as many as chance allows to a promise that is kept
    print(
        f"risk control, 10% promised: {average.mean():.1%} missed by blocks, {naive.mean():.1%} by "
        f"objects\nlearn then test, {len(seeds)} worlds ({most:.0f} allowed): broken in {broken} by "
        f"blocks, in {broken_naive} by objects"
    )
    assert average.mean() < 0.1
    assert broken <= most < broken_naive


def test_a_promise_from_some_cities_and_what_became_of_it_in_others(cities_of_city_scores_of_all_old_and_recalled):
    "Simulated cities."
    cities, of_city, scores_of_all, old, recalled = cities_of_city_scores_of_all_old_and_recalled
    at = np.array([recalled.threshold])
    losses = recall_losses(scores_of_all[~old], of_city[~old], at)[:, 0]
    spread = losses.std(ddof=1) / len(losses) ** 0.5
    print(recalled.sentence)
    print(f"In {len(losses)} other cities {losses.mean():.1%} ± {spread:.1%} were missed.")
    assert losses.mean() - 2 * spread < 0.2
    assert recalled.threshold > 0, "a queue that holds everything promises nothing"


def test_the_price_of_recall(cities_of_city_scores_of_all_old_and_recalled):
    "Simulated cities."
    # the price of recall: the lower the threshold, the less is missed, and the longer is the queue
    cities, of_city, scores_of_all, old, recalled = cities_of_city_scores_of_all_old_and_recalled
    steps = np.linspace(0.02, 0.98, 25)
    missed = recall_losses(scores_of_all, of_city, steps).mean(0)
    length = [np.mean([label(p >= t, np.ones((3, 3)))[1] for p, _ in cities]) for t in steps]
    fig, ax = plt.subplots(figsize=(5.4, 3.4), layout="constrained", dpi=80)
    ax.plot(steps, missed, color=blue, label="missed objects")
    ax.axvline(recalled.threshold, color="#999999", ls="--", lw=1)
    ax.axhline(recalled.alpha, color="#999999", ls=":", lw=1)
    ax.set(xlabel="threshold on the probability of change", ylabel="share missed", ylim=(0, None))
    other = ax.twinx()
    other.plot(steps, length, color=orange)
    other.set_ylabel("regions a city", color=orange)
    ax.set_title("What a queue misses, and how long it is")
    assert np.all(np.diff(missed) >= 0)


def test_polygons_in_a_file_in_the_order_of_doubt(detection_home_kinds_drawn_gone_new_rise_and_drawn):
    "A file for a map program."
    # polygons in a file, in the order of doubt; or one line that says what is missing
    detection, home, kinds_drawn, gone, new, rise, drawn = detection_home_kinds_drawn_gone_new_rise_and_drawn
    if find_spec("geopandas") is None:
        with pytest.raises(
            ImportError, match=r"needs GeoPandas, .*: pip install 'mtl_explain\[queue\]'"
        ):
            change_queue(drawn, home / "queue.gpkg")
    else:
        import geopandas

        made = change_queue(drawn, home / "queue.gpkg")
        read = geopandas.read_file(made)
        assert read["class"].tolist() == ["demolished", "newly built", "demolished"]
        assert read.crs.to_epsg() == 28992
        assert read.geometry.area.round().tolist() == [8, 24, 16]
        with pytest.warns(UserWarning, match="1 of 3 regions are smaller than 10 m² and left out"):
            assert len(geopandas.read_file(change_queue(drawn, home / "large.gpkg", least=10))) == 2
        for error, match, path in (
            (FileExistsError, "queue.gpkg exists already", home / "queue.gpkg"),
            (ValueError, "whose name ends in .gpkg", home / "queue.shp"),
        ):
            with pytest.raises(error, match=match):
                change_queue(drawn, path)
        assert sorted(p.name for p in home.glob("*gpkg*")) == ["large.gpkg", "queue.gpkg"]


def test_beside_the_queue(two_nine_and_ours, detection_home_kinds_drawn_gone_new_rise_and_drawn):
    "A file for a map program."
    # beside the queue; a raster that another network wrote, or nobody knows which, makes no queue
    two, nine, ours = two_nine_and_ours
    detection, home, kinds_drawn, gone, new, rise, drawn = detection_home_kinds_drawn_gone_new_rise_and_drawn
    def written_by(folder, weights):
        "The drawn raster, as some run would have written it."
        path = folder / f"by {weights}.tif"
        detection(path, kinds_drawn, [1 - gone - new, gone, new], rise)
        with rasterio.open(path, "r+") as file:
            file.update_tags(**(dict(weights=weights * 8) if weights else {}))
        return path


    with tempfile.TemporaryDirectory() as d:
        folder = Path(d)
        ours.save(folder / "recall.json")
        own = written_by(folder, "aaaa1111")
        ours.check_raster(own)
        for weights, match in (("bbbb2222", "by the weights bbbb2222"), ("", "it does not name")):
            with pytest.raises(ValueError, match=f"a promise of another run: .*{match}"):
                ours.check_raster(written_by(folder, weights))
        if find_spec("geopandas"):
            with pytest.raises(ValueError, match="a promise of another run"):
                change_queue(written_by(folder, "cccc3333"), folder / "no.gpkg", ours)
            assert not list(folder.glob("no.*"))
            for k, given in enumerate((ours, folder / "recall.json")):
                made = change_queue(own, folder / f"queue {k}.gpkg", given)
                assert load_recall_promise(made.with_suffix(".json")) == ours
            made.unlink()
            with pytest.raises(FileExistsError, match="queue 1.json exists already"):
                change_queue(own, made, ours)
