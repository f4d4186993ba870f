"""Promises

Written by nbdev-export from the check cells of nbs/api/trust/02_promise.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import math
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from scipy.stats import binom

from mtl_explain.data.samples import modality_array
from mtl_explain.explain.resampling import cluster_codes
from mtl_explain.modality import Modality
from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.trace import confidence_edges
from mtl_explain.training.foreign import trace_of
from mtl_explain.training.runs import load_run, train_run
from mtl_explain.trust.backoff import planted_tree
from mtl_explain.trust.promise import (
    Exposure, block_losses, certify, check_promise, exchangeability, exposure, load_certificate, methods,
    plot_promise, promise, promise_floor, read_check, safe_threshold, with_promise,
)
from mtl_explain.trust.risk import planted_confidence


def graded(seed, per_band=10, bands=6):
    "Regions in bands of latitude, 10 degrees apart; the farther north, the worse."
    parts = []
    for k in range(bands):
        one = planted_confidence(per_band, shift=0.5 * k, between=0.1, seed=100 * seed + k)
        n = one.sizes["sample"]
        places = dict(lat=("sample", np.full(n, 10.0 * k)), lon=("sample", np.zeros(n)))
        names = dict(group=("sample", [f"band {k} {g}" for g in one.group.values]))
        ids = dict(sample=[f"{k} {i}" for i in range(n)], split=("sample", np.full(n, "valid")))
        parts.append(one.assign_coords(places | names | ids))
    return xr.concat(parts, "sample", data_vars="minimal", coords="minimal", join="override")


def true_risks(k):
    "What goes wrong at each threshold in a band, from many regions."
    many = planted_confidence(300, shift=0.5 * k, between=0.1, seed=99)
    exposed = exposure(many, "cover", split="test")
    return pd.Series(exposed.harm.sum(0) / exposed.amount.sum(), exposed.thresholds)


def numbers(honest, seed, n_blocks=40, per=30, split="valid"):
    "A trace of numbers with and without their scale, and the scale."
    rng = np.random.default_rng(seed)
    n = n_blocks * per
    spread = rng.lognormal(0, 0.8, n)
    off = (spread if honest else rng.permutation(spread)) * rng.normal(size=n)
    true = rng.normal(0, 3, n)
    warmth = Modality("warmth", "tabular", shape=(1,), channels=("t",), mean=(0.0,), std=(3.0,))
    options = dict(
        modalities=dict(warmth=warmth),
        groups=np.repeat(np.arange(n_blocks), per).astype(str),
        split=split,
    )
    pair = dict(warmth=(true + off)[:, None]), dict(warmth=true[:, None])
    scaled = trace_of(*pair, scales=dict(warmth=spread[:, None]), **options)
    return trace_of(*pair, **options), scaled, spread


def noisy_world(constant, n_blocks=48, per=50, seed=0):
    "A number whose noise depends on a signal, or not; and the standard deviation of that noise."
    rng = np.random.default_rng(seed)
    block = np.repeat(np.arange(n_blocks), per)
    signal = rng.uniform(-2, 2, (len(block), 2))
    noise = np.full(len(block), 1.5) if constant else np.where(signal[:, 1] > 0, 3.0, 0.6)
    warmth = 20 + 3 * np.sin(signal[:, :1]) + noise[:, None] * rng.normal(size=(len(block), 1))
    arrays = dict(
        signal=modality_array("signal", signal.astype("float32"), "tabular"),
        warmth=modality_array("warmth", warmth.astype("float32"), "tabular", units="°C"),
    )
    split = np.repeat(["train", "valid", "test"], np.array([2, 1, 1]) * n_blocks // 4)
    coords = dict(
        sample=[f"s{i}" for i in range(len(block))],
        split=("sample", split[block]),
        group=("sample", [f"region {b}" for b in block]),
    )
    return xr.Dataset(arrays, coords), noise
def noisy_run(constant, **options):
    "A small network of that world, trained for some seconds; test samples, and their noise."
    data, noise = noisy_world(constant)
    setup = Setup(dict(signal=dict(type="mlp")), dict(warmth=options))
    folder = Path(tempfile.mkdtemp()) / "run"
    how = dict(epochs=12, bs=64, lr=1e-2, bar=False, device="cpu", shown=0)
    tested = data.split.values == "test"
    return train_run(data, setup, folder, **how), data.isel(sample=tested), noise[tested]


@pytest.fixture(scope='module')
def world_and_certificate():
    world = planted_confidence(27, seed=3).assign_attrs(dataset="planted")
    world = world.assign_coords(split=("sample", np.full(world.sizes["sample"], "valid")))
    certificate = certify(world, 0.1)
    return world, certificate


@pytest.fixture(scope='module')
def between_alpha_true_risk_drawn_and_risks():
    between, alpha = 1.5, 0.1
    many_regions = planted_confidence(2000, 10, 25, between=between, seed=77)
    everywhere = exposure(many_regions, "cover", split="test")
    true_risk = pd.Series(everywhere.harm.sum(0) / everywhere.amount.sum(), everywhere.thresholds)
    drawn = [planted_confidence(27, 150, 16, between=between, seed=1000 + s) for s in range(150)]
    def risks(**options):
        "The true risk of what is promised in each of several worlds."
        thresholds = [certify(one, alpha, split="test", **options).threshold for one in drawn]
        return true_risk[thresholds].to_numpy()
    return between, alpha, true_risk, drawn, risks


@pytest.fixture(scope='module')
def answered(between_alpha_true_risk_drawn_and_risks):
    between, alpha, true_risk, drawn, risks = between_alpha_true_risk_drawn_and_risks
    rows = {
        n: {
            m: certify(planted_confidence(n, seed=5), alpha, split="test", method=m).answered
            for m in methods
        }
        for n in (27, 54, 100, 200)
    }
    return pd.DataFrame(rows).T.rename_axis("blocks")


@pytest.fixture(scope='module')
def home_samples_setup_run_few_made_and_cover():
    home = Path(tempfile.mkdtemp())
    samples = toy_samples(384)
    setup = Setup("optical", ("climate", "cover", "warmth", "elevation"), main="climate")
    run = train_run(samples, setup, home / "run", epochs=2, bs=32, lr=1e-2, bar=False, device="cpu")
    few = samples.isel(sample=slice(0, 20))
    made = promise(run, 0.3)
    cover = promise(run, 0.3, "cover", out=home / "cover.json")
    return home, samples, setup, run, few, made, cover


def test_two_blocks_by_hand():
    "What goes wrong, at each threshold."
    # two blocks by hand: one patch of 400 pixels, and three; all answered, half of it, nothing
    hand = Exposure(
        np.array([0, 0.5, np.inf]),
        np.array([[40, 8, 0], [100, 20, 0], [100, 20, 0], [100, 20, 0]]),
        np.array([[400, 200, 0]] * 4),
        np.full(4, 400),
    )
    losses, answered = block_losses(hand, np.array([0, 1, 1, 1]))
    np.testing.assert_allclose(losses, [[0.1, 0.02, 0], [0.25, 0.05, 0]])
    np.testing.assert_allclose(answered, [[1, 0.5, 0], [1, 0.5, 0]])


def test_losses_never_grow_with_the_threshold_and_the_last_one_is_safe():
    "What goes wrong, at each threshold."
    # losses never grow with the threshold, and the last one is safe; samples of a planted world
    world = planted_confidence(12, pixels=50)
    exposed = exposure(world, "cover", split="test")
    assert (np.diff(exposed.harm, axis=1) <= 0).all()
    assert (exposed.harm[:, -1] == 0).all()
    np.testing.assert_allclose(exposed.harm[:, 0], exposed.amount * world.error[0, :, 0])
    half = exposed.thresholds.tolist().index(0.75)
    sure = world.bin_count.sel(mask="cover").isel(bin=confidence_edges[:-1] >= 0.75).sum("bin")
    assert (exposed.answered[:, half] == sure).all()


def test_by_hand():
    "The threshold."
    # by hand: 9 blocks, losses 0.2, 0.1, 0; (9 x 0.1 + 1) / 10 = 0.19
    steps = np.tile([0.2, 0.1, 0.0], (9, 1))
    assert safe_threshold(steps, 0.19) == 1
    assert safe_threshold(steps, 0.18) == 2
    assert safe_threshold(steps, 0.28) == 0
    assert promise_floor(27) == pytest.approx(1 / 28)
    # weights of 1 are no weights; with a weight of a half, (9 x 0.5 x 0.1 + 1) / 5.5 = 0.26
    for alpha in (0.1, 0.18, 0.19, 0.28):
        assert safe_threshold(steps, alpha, weights=np.ones(9)) == safe_threshold(steps, alpha)
    assert safe_threshold(steps, 0.27, weights=np.full(9, 0.5)) == 1
    assert safe_threshold(steps, 0.26, weights=np.full(9, 0.5)) == 2
    # with certainty: without any error, (1 - alpha)^n must reach 10 %
    clean = np.zeros((22, 2))
    assert promise_floor(22, "learn then test") < 0.1 < promise_floor(21, "learn then test")
    assert safe_threshold(clean, 0.1, "learn then test") == 0
    assert safe_threshold(clean[:21], 0.1, "learn then test") == 1


def test_learn_then_test_goes_from_strict_to_loose_and_stops_at_the_first():
    "The threshold."
    # learn then test goes from strict to loose, and stops at the first threshold that fails
    gap = np.tile([0.0, 0.3, 0.0, 0.0], (60, 1))
    assert safe_threshold(gap, 0.1, "learn then test") == 2


def test_a_drift_from_south_to_north_is_seen_and_none_is_seen_where_none_is():
    "Are the blocks exchangeable?"
    rng = np.random.default_rng(0)
    level = rng.uniform(0, 0.2, 40)
    place = dict(latitude=np.linspace(-60, 60, 40), longitude=rng.uniform(-180, 180, 40))
    drifting = level + np.linspace(0, 0.2, 40)
    assert exchangeability(drifting, place).loc["latitude", "p"] < 0.01
    still = [exchangeability(rng.permutation(level), place, s).loc["latitude"] for s in range(40)]
    assert np.mean([row.p < 0.05 for row in still]) < 0.15
    assert np.mean([row.objects for row in still]) < 0.15


def test_a_certificate_its_words_and_the_way_to_a_file_and_back(world_and_certificate):
    "The certificate."
    world, certificate = world_and_certificate
    assert certificate.objecting == ()
    warned = replace(certificate, objecting=("latitude",)).sentence
    assert "A martingale objects along latitude." in warned
    print(certificate.sentence)
    assert certificate.risk < 0.1
    assert 0.3 < certificate.answered < 1
    assert "at most 10% of cover is answered wrongly; 59% of it is answered" in certificate.sentence
    assert "27 regions" in certificate.sentence
    surer = certify(world, 0.1, method="learn then test")
    assert surer.threshold >= certificate.threshold
    assert "with 90% certainty" in surer.sentence
    with tempfile.TemporaryDirectory() as d:
        certificate.save(f"{d}/promise.json")
        assert load_certificate(f"{d}/promise.json") == certificate
        hopeless = world.assign(bin_wrong=world.bin_count)
        assert certify(hopeless, 0.036).sentence.startswith("No answer about cover can be given")
        hopeless = hopeless.copy(deep=True)  # many pixels that are very sure, and wrong
        hopeless.bin_wrong[:, :, 60:] = hopeless.bin_count[:, :, 60:] = 50
        nothing = certify(hopeless, 0.036)
        assert math.isinf(nothing.threshold)
        nothing.save(f"{d}/promise.json")
        assert load_certificate(f"{d}/promise.json") == nothing


def test_what_cannot_be_promised_in_a_line(world_and_certificate):
    "The certificate."
    world, certificate = world_and_certificate
    for match, options in (
        ("27 regions allow no promise below 3.6%, asked for is 2.0%", dict(alpha=0.02)),
        ("alpha is 0, expected a share between 0 and 1", dict(alpha=0)),
        ("a method is one of risk control, learn then test; got 'hope'", dict(method="hope")),
        ("not trained on; not from 'train'", dict(split="train")),
        ("no samples of split 'test' here; there are valid", dict(split="test")),
        ("a promise is about one of undetected, level, set, interval; got 'all'", dict(about="all")),
        ("'soil' is no task of this trace; it has cover", dict(task="soil")),
        ("here it can be about undetected or set", dict(about="interval")),
    ):
        with pytest.raises(ValueError, match=match):
            certify(world, **options)
    with pytest.raises(ValueError, match="needs the modalities, which know the label tree"):
        certify(planted_tree()[0], about="level", split="test")
    with pytest.raises(ValueError, match="nobody knows what a region is"):
        certify(world.drop_vars("group"))
    with pytest.raises(ValueError, match="lacks 'certainty'.*record_confidence"):
        certify(world.drop_vars("certainty"))
    with pytest.raises(ValueError, match="no sample of the split 'valid' has a label of 'cover'"):
        certify(world.assign(bin_count=0 * world.bin_count))


def test_how_much_is_answered_in_words_that_leave_no_rest_where_there_is_none(world_and_certificate):
    "The certificate."
    world, certificate = world_and_certificate
    for share, said in ((1.0, "all of it is"), (0.996, "more than 99%"), (0.994, "99% of it")):
        assert said in replace(certificate, answered=share).sentence
    assert "the rest" not in replace(certificate, answered=1.0).sentence
    assert (
        "all of it is answered at some level"
        in replace(certificate, answered=1.0, about="level").sentence
    )
    assert "27 regions of the split 'valid', in which" in certificate.sentence


def test_by_blocks_both_promises_are_kept(between_alpha_true_risk_drawn_and_risks):
    "Does it keep its word?"
    # by blocks both promises are kept; by patches the second one is broken
    between, alpha, true_risk, drawn, risks = between_alpha_true_risk_drawn_and_risks
    average = risks()
    broken = {
        unit: int((risks(method="learn then test", unit=unit) > alpha).sum())
        for unit in ("group", "sample")
    }
    most = binom.ppf(0.99, len(drawn), 0.1)  # as many as chance allows to a promise that is kept
    print(
        f"risk control by blocks: {average.mean():.1%} of {alpha:.0%}; learn then test, of "
        f"{len(drawn)} worlds ({most:.0f} allowed): broken in {broken['group']} by blocks, "
        f"in {broken['sample']} by patches"
    )
    assert average.mean() < alpha
    assert broken["group"] <= most < broken["sample"]


def test_unequal_regions(between_alpha_true_risk_drawn_and_risks):
    "Does it keep its word?"
    # unequal regions: the promises by blocks are kept, the one by patches is broken
    between, alpha, true_risk, drawn, risks = between_alpha_true_risk_drawn_and_risks
    sizes = np.random.default_rng(0).integers(1, 300, 27)
    seeds = range(3000, 3150)
    unequal = [planted_confidence(27, sizes, 16, between=between, seed=s) for s in seeds]


    def risks_of(unit, method):
        "The true risk of what is promised in each of these worlds."
        made = [certify(one, alpha, split="test", unit=unit, method=method) for one in unequal]
        return true_risk[[c.threshold for c in made]].to_numpy()


    test = "learn then test"
    by_unit = {unit: int((risks_of(unit, test) > alpha).sum()) for unit in ("group", "sample")}
    print(f"learn then test, {len(unequal)} worlds: broken by regions and by patches {by_unit}")
    assert risks_of("group", "risk control").mean() < alpha
    assert by_unit["group"] <= binom.ppf(0.99, len(unequal), 0.1) < by_unit["sample"]


def test_power_against_the_number_of_blocks(answered):
    "Does it keep its word?"
    assert answered.loc[200].min() > 0.4
    assert answered.loc[27, "risk control"] > 0.4 > 0.2 > answered.loc[27, "learn then test"]
    answered.round(2)


def test_for_anywhere():
    "For one place."
    # for anywhere: broken in the north; for the place: kept at both ends, more answered in the south
    truth = {k: true_risks(k) for k in (0, 5)}
    rows = []
    for seed in range(4):
        few = graded(seed)
        anywhere = certify(few, 0.15)
        for k in truth:
            there = certify(few, 0.15, near=(10.0 * k, 0.0), reach_km=1500)
            risks_there = truth[k][anywhere.threshold], truth[k][there.threshold]
            rows.append((k, *risks_there, anywhere.answered, there.answered, there.counted))
    columns = ["band", "risk, anywhere", "risk, there", "answered", "answered, there", "counted"]
    found = pd.DataFrame(rows, columns=columns).groupby("band").mean()
    assert found["risk, anywhere"][5] > 0.15
    assert (found["risk, there"] < 0.15).all()
    assert found["answered, there"][0] > found["answered, there"][5]
    assert (found.counted < 60).all()
    few = graded(0)
    there = certify(few, 0.15, near=(50, 0), reach_km=1500)
    assert "around latitude 50.0, longitude 0.0" in there.sentence
    assert f"which count as {there.counted:.1f}" in there.sentence
    assert there.floor == pytest.approx(1 / (there.counted + 1))
    same = certify(few, 0.15, near=(50, 0), reach_km=1e9)
    assert same.threshold == certify(few, 0.15).threshold
    with tempfile.TemporaryDirectory() as d:
        there.save(f"{d}/promise.json")
        assert load_certificate(f"{d}/promise.json") == there
    for match, options in (
        ("counts all blocks alike", dict(near=(50, 0), method="learn then test")),
        ("expected latitude and longitude", dict(near=(95, 0))),
        ("reach_km is 0", dict(near=(50, 0), reach_km=0)),
        ("which count as 0.0, allow no promise below 100.0%", dict(near=(-85, 180), alpha=0.05)),
    ):
        with pytest.raises(ValueError, match=match):
            certify(few, **options)
    with pytest.raises(ValueError, match="no positions"):
        certify(few.drop_vars("lat"), near=(50, 0))


def test_for_one_place_regions_of_5_to_200_patches():
    "For one place."
    # for one place, regions of 5 to 200 patches: kept in both directions, and where there is none
    def unequal_band(k, slope, seed, per=5):
        "A band of latitude: as many small regions, which are harder, as large ones."
        rng = np.random.default_rng(seed)
        parts = []
        for least, most, harder in ((5, 20, 0.8), (60, 200, 0.0)):
            sizes = rng.integers(least, most + 1, per)
            how = dict(shift=slope * k + harder, between=0.3, seed=rng.integers(2**31))
            one = planted_confidence(per, sizes, 16, **how)
            n = one.sizes["sample"]
            places = dict(lat=("sample", np.full(n, 10.0 * k)), lon=("sample", np.zeros(n)))
            names = dict(group=("sample", [f"{k} {least} {g}" for g in one.group.values]))
            ids = dict(split=("sample", np.full(n, "valid")))
            parts.append(one.assign_coords(places | names | ids))
        return joined_regions(parts)


    def joined_regions(parts):
        how = dict(data_vars="minimal", coords="minimal", join="override")
        whole = xr.concat(parts, "sample", **how)
        return whole.assign_coords(sample=np.arange(whole.sizes["sample"]))


    for slope in (0.4, 0.0):
        worlds = [
            joined_regions([unequal_band(k, slope, 10 * seed + k) for k in range(6)])
            for seed in range(2)
        ]
        told = {}
        for k in (0, 5):
            many = unequal_band(k, slope, 7, per=60)
            exposed = exposure(many, "cover")
            losses, _ = block_losses(exposed, cluster_codes(many, np.arange(many.sizes["sample"])))
            true = pd.Series(losses.mean(0), exposed.thresholds)
            made = [certify(w, 0.15, near=(10.0 * k, 0.0), reach_km=1500) for w in worlds]
            assert np.mean([true[c.threshold] for c in made]) < 0.15
            told[k] = np.mean([c.answered for c in made])
        if slope:
            assert told[0] > told[5] + 0.1
        else:
            assert abs(told[0] - told[5]) < 0.1
            assert max(told.values()) < np.mean([certify(w, 0.15).answered for w in worlds])


def test_kept_where_the_regions_are_alike_broken_where_they_are_worse(world_and_certificate):
    "Using it."
    world, certificate = world_and_certificate
    fresh = planted_confidence(60, seed=8)
    assert check_promise(certificate, fresh)["verdict"].item() == "seen"
    assert read_check(check_promise(certificate, fresh)).endswith("less than 10%: seen.")
    worse = check_promise(certificate, planted_confidence(60, shift=1.5, seed=8))
    assert worse["verdict"].item() == "opposite seen"
    check_promise(certificate, fresh).round(3)


def test_years_that_every_split_has_are_not_new_and_are_called_years(world_and_certificate):
    "Using it."
    # years that every split has are not new, and are called years; those of one split are
    world, certificate = world_and_certificate
    years = np.arange(world.sizes["sample"]) % 6
    splits = np.where(np.arange(len(years)) % 2, "valid", "test")
    known = world.assign_coords(Jahr=("sample", 2016 + years), split=("sample", splits))
    apart = known.assign_coords(split=("sample", np.where(years < 5, "valid", "test")))
    everywhere = known.assign_coords(Jahr=("sample", 2016 + years // 2))
    with pytest.warns(UserWarning, match="by Jahr: of these 3 values of Jahr there are 3 in 'test' as"):
        made = certify(everywhere, 0.5, unit="Jahr")
    print(made.sentence)
    assert made.shared == dict(test=3)
    assert "On these values of Jahr, at most 50%" in made.sentence
    assert "made from 3 values of Jahr of" in made.sentence
    assert "no promise about new ones" in made.sentence
    assert "region" not in made.sentence and "on average over these;" in made.sentence
    with tempfile.TemporaryDirectory() as d:
        made.save(f"{d}/promise.json")
        assert load_certificate(f"{d}/promise.json") == made
    new = certify(apart, 0.5, unit="Jahr")
    assert new.shared == {} and "On new values of Jahr like these" in new.sentence
    assert "On the 1 value of Jahr of" in read_check(check_promise(new, apart))
    with pytest.raises(ValueError, match="5 values of Jahr allow no promise below 16.7%.*more values"):
        certify(apart, 0.1, unit="Jahr")
    assert certify(known.assign_coords(split=world.split), 0.5, unit="sample").shared == {}


def test_no_error_at_all_in_a_few_regions_is_no_proof(world_and_certificate):
    "Using it."
    # no error at all in a few regions is no proof: then the number of regions decides
    world, certificate = world_and_certificate
    sure = planted_confidence(4, 8, 60, seed=3)
    sure = sure.assign(bin_wrong=0 * sure.bin_wrong)
    four = check_promise(certificate, sure).iloc[0]
    assert four.risk == 0 and four.verdict == "could not be seen"
    assert four.high == pytest.approx(1 - 0.025 ** (1 / 4))  # the exact interval of 0 in 4
    many = planted_confidence(100, 1, 60, seed=3)
    assert (
        check_promise(certificate, many.assign(bin_wrong=0 * many.bin_wrong)).verdict.item() == "seen"
    )


def test_a_small_run(home_samples_setup_run_few_made_and_cover):
    "Using it."
    # a small run: a promise for a category, a mask and a number, each in the way that fits it
    home, samples, setup, run, few, made, cover = home_samples_setup_run_few_made_and_cover
    assert load_certificate(run.folder / "promise.json") == made
    found = run.predict(few, promise=made)
    assert (found.climate_ask == (found.climate_confidence < made.threshold)).all()
    pixels = run.predict(few, promise=cover)
    assert pixels.cover_ask.dims == pixels.cover.dims
    named = run.predict(few, promise=promise(run, 0.2, "climate", "set", out=home / "set.json"))
    assert (named.climate_set.sum("class_climate") >= 1).all()
    between = run.predict(few, promise=promise(run, 0.2, "warmth", "interval", out=home / "w.json"))
    inside = (between.warmth_low <= samples.warmth[:20]) & (samples.warmth[:20] <= between.warmth_high)
    assert inside.mean() > 0.5
    rows = [
        check_promise(load_certificate(p), run.trace).assign(about=load_certificate(p).about)
        for p in (home / "cover.json", home / "set.json", home / "w.json", run.folder / "promise.json")
    ]
    tree = promise(run, 0.2, "climate", "level", out=home / "level.json")
    rows.append(check_promise(tree, run.trace, mods=run.modalities).assign(about="level"))
    climbing = run.predict(few, promise=tree)
    assert (climbing.climate_as_zone[climbing.climate_level <= 1] >= 0).all()
    assert (climbing.climate_as_climate[climbing.climate_level > 0] == -1).all()
    assert tree.answered >= promise(run, 0.2, out=home / "x.json").answered
    table = pd.concat(rows)
    assert set(table["about"]) == {"undetected", "set", "interval", "level"}
    assert not (table["verdict"] == "opposite seen").any()
    table.round(3)


def test_the_threshold_of_the_record_is_the_threshold_of_the_prediction(home_samples_setup_run_few_made_and_cover):
    "Using it."
    # the threshold of the record is the threshold of the prediction: what is asked is what was counted
    home, samples, setup, run, few, made, cover = home_samples_setup_run_few_made_and_cover
    tested = samples.isel(sample=samples.split.values == "test")
    answers = run.predict(tested, promise=cover)
    told = check_promise(cover, run.trace)["answered"].item()
    answered = (~answers.cover_ask).mean(("cover_y", "cover_x"))
    by_block = answered.groupby(tested.group).mean()
    assert told == pytest.approx(by_block.mean().item(), abs=1e-6)


def test_where_the_samples_of_the_training_are_given_a_promise_says_where_it(home_samples_setup_run_few_made_and_cover):
    "Using it."
    # where the samples of the training are given, a promise says where it does not apply
    home, samples, setup, run, few, made, cover = home_samples_setup_run_few_made_and_cover
    assert made.max_dissimilarity is None
    assert "climate_outside" not in run.predict(few, promise=made)
    placed = promise(run, 0.3, out=home / "placed.json", samples=samples)
    assert "does not apply to samples whose dissimilarity" in placed.sentence
    assert load_certificate(home / "placed.json") == placed
    again = promise(run, 0.3, out=home / "again.json")  # the area lies beside the run now
    assert again.max_dissimilarity == placed.max_dissimilarity
    told = run.predict(few, promise=placed)
    assert told.climate_outside.dims == ("sample",)
    assert told.climate_outside.mean() < 0.3
    stripes = few.optical.copy(data=np.full_like(few.optical, 255))
    stripes[..., ::2] = 0
    odd = few.assign(optical=stripes)
    assert run.predict(odd, check_range=False, promise=placed).climate_outside.all()
    assert "climate_outside" not in placed.applied(run, run.predict(few, probabilities=True))
    (run.folder / "applicability.nc").unlink()
    with pytest.raises(FileNotFoundError, match="applicability.nc is missing"):
        run.predict(few, promise=placed)
    print(placed.sentence)


def test_a_promise_of_another_run_and_damaged_certificates(home_samples_setup_run_few_made_and_cover):
    "Using it."
    home, samples, setup, run, few, made, cover = home_samples_setup_run_few_made_and_cover
    other = train_run(samples, setup, home / "other", epochs=1, bs=32, bar=False, device="cpu")
    with pytest.raises(ValueError, match="a promise of another run: it was made for the weights"):
        other.predict(few, promise=made)
    text = (run.folder / "promise.json").read_text()
    for broken, match in (
        (text.replace("0.3", "3.0", 1), "alpha"),
        (text.replace('"undetected"', '"everything"'), "about"),
        (text.replace('"task"', '"tusk"'), "tusk|task"),
        ("[]", "expected a dictionary"),
    ):
        (home / "broken.json").write_text(broken)
        with pytest.raises(ValueError, match=match):
            load_certificate(home / "broken.json")


def test_kept_with_and_without():
    "Numbers with a scale of their own."
    # kept with and without; narrower only where the scale is honest
    for honest in (True, False):
        plain, scaled, spread = numbers(honest, 0)
        wide = certify(plain, 0.1, about="interval")
        own = certify(scaled, 0.1, about="interval")
        assert own.scaled and not wide.scaled
        fresh = numbers(honest, 1, split="test")
        for made, trace in ((wide, fresh[0]), (own, fresh[1])):
            assert check_promise(made, trace)["risk"].item() < 0.12
        width, own_width = wide.threshold * 3.0, own.threshold * spread.mean()
        assert (own_width < 0.9 * width) if honest else (own_width > width)


def test_quantiles_where_it_is_noisy_is_found_and_the_interval_is_as_wide_as():
    "Numbers with a scale of their own."
    # quantiles: where it is noisy is found, and the interval is as wide as there is noise
    quantiles = (0.1, 0.5, 0.9)
    run_of_both, tested, noise = noisy_run(False, quantiles=quantiles)
    made = promise(run_of_both, 0.1, about="interval")
    assert made.scaled and load_run(run_of_both.folder).trace["scaled"].item()
    assert check_promise(made, run_of_both.trace).verdict.item() == "seen"
    found = run_of_both.predict(tested, promise=made)
    scale = found.warmth_scale.values[:, 0]
    quiet = noise < 1
    # half the way between the quantiles of a normal distribution, and a tenth of all spread
    spread = run_of_both.modalities["warmth"].std[0]
    for part in (quiet, ~quiet):
        expected = stats.norm.ppf(0.9) * noise[part][0] + 0.1 * spread
        assert scale[part].mean() == pytest.approx(expected, rel=0.35)
    inside = (found.warmth_low <= tested.warmth) & (tested.warmth <= found.warmth_high)
    assert inside.values[quiet].mean() > 0.88 and inside.values[~quiet].mean() > 0.88
    width = (found.warmth_high - found.warmth_low).values[:, 0]
    plain, *_ = noisy_run(False)
    alike = plain.predict(tested, promise=promise(plain, 0.1, about="interval"))
    widths = (alike.warmth_high - alike.warmth_low).values[:, 0]
    assert np.ptp(widths) < 1e-3 and width[quiet].mean() < 0.6 * widths.mean()
    table = pd.DataFrame({"quantiles": width, "one width": widths}).groupby(noise).mean()
    table.rename_axis("noise [°C]").add_prefix("interval [°C], ").round(2)


def test_constant_noise():
    "Numbers with a scale of their own."
    # constant noise: a constant scale; and what has no scale is told
    run_of_one, tested, noise = noisy_run(True, quantiles=[0.1, 0.5, 0.9])
    found = run_of_one.predict(tested)
    assert found.warmth_scale.attrs["units"] == "°C"
    scale = found.warmth_scale.values
    assert scale.std() < 0.1 * scale.mean()
    made = promise(run_of_one, 0.1, about="interval")
    with pytest.raises(ValueError, match="or a target with `quantiles`"):
        with_promise(made, run_of_one.modalities, found.drop_vars("warmth_scale"))


def test_the_picture_of_the_planted_world(world_and_certificate):
    "Numbers with a scale of their own."
    world, certificate = world_and_certificate
    ax = plot_promise(world)
    assert len(ax.lines) == 27 + 3
