"""Ensembles of seeds

Written by nbdev-export from the check cells of nbs/api/training/14_ensemble.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.confidence import least_scale
from mtl_explain.training.ensemble import Ensemble
from mtl_explain.training.runs import train_run
from mtl_explain.trust.promise import certify, promise, with_promise


@pytest.fixture(scope='module')
def home_samples_setup_runs_and_ensemble():
    home = Path(tempfile.mkdtemp())
    samples = toy_samples(160, size=8)
    setup = Setup(dict(optical=dict(type="conv")), ("climate", "warmth", "months"))
    runs = [
        train_run(samples, setup, home / f"seed{k}", epochs=2, bs=16, seed=k, bar=False, device="cpu")
        for k in range(3)
    ]
    ensemble = Ensemble(runs)
    return home, samples, setup, runs, ensemble


@pytest.fixture(scope='module')
def trace(home_samples_setup_runs_and_ensemble):
    home, samples, setup, runs, ensemble = home_samples_setup_runs_and_ensemble
    return ensemble.trace(samples)


@pytest.fixture(scope='module')
def test(home_samples_setup_runs_and_ensemble):
    home, samples, setup, runs, ensemble = home_samples_setup_runs_and_ensemble
    return samples.isel(sample=np.isin(samples.split.values, ("valid", "test")))


def test_means_and_spreads_are_those_of_the_runs(home_samples_setup_runs_and_ensemble):
    "Why."
    home, samples, setup, runs, ensemble = home_samples_setup_runs_and_ensemble
    found = ensemble.predict(samples)
    each = [r.predict(samples, probabilities=True) for r in runs]
    chance = np.mean([e.climate_probability for e in each], 0)
    np.testing.assert_allclose(found.climate_probability, chance, rtol=1e-5)
    assert (found.climate.values == found.climate_probability.argmax("class_climate").values).all()
    np.testing.assert_array_equal(
        found.climate_confidence, found.climate_probability.max("class_climate")
    )
    for task in ("warmth", "months"):
        values = np.stack([e[task] for e in each])
        np.testing.assert_allclose(found[task], values.mean(0), rtol=1e-5)
        std = np.array(ensemble.modalities[task].std)
        expected = values.std(0, ddof=1) + least_scale * std
        np.testing.assert_allclose(found[f"{task}_scale"], expected, rtol=1e-4)
        assert found[f"{task}_scale"].dims == found[task].dims
    assert set(found.coords) == set(each[0].coords)


def test_its_trace_is_a_trace(home_samples_setup_runs_and_ensemble, test, trace):
    "Why."
    # its trace is a trace: errors of the mean, a record of confidence, errors in units of the scale
    home, samples, setup, runs, ensemble = home_samples_setup_runs_and_ensemble
    together = ensemble.predict(test)
    wrong = (together.climate != test.climate).values
    np.testing.assert_array_equal(trace.error.sel(task="climate", epoch=0), wrong)
    assert trace.attrs["main"] == "climate"
    assert trace.scaled.values.all()
    assert {"certainty", "brier", "bin_error", "constant_error"} <= set(trace)
    assert set(trace.split.values) == {"valid", "test"}


def test_what_is_no_ensemble_is_refused(home_samples_setup_runs_and_ensemble):
    "Why."
    home, samples, setup, runs, ensemble = home_samples_setup_runs_and_ensemble
    with pytest.raises(ValueError, match="two runs or more, got 1"):
        Ensemble(runs[:1])
    with pytest.raises(ValueError, match="seed 0 is there twice"):
        Ensemble([runs[0], runs[0]])
    alone = Setup(dict(optical=dict(type="conv")), ("climate", "warmth"))
    options = dict(epochs=1, bs=16, seed=9, bar=False, device="cpu")
    odd = train_run(samples, alone, home / "other", **options)
    with pytest.raises(ValueError, match="another setup than"):
        Ensemble([runs[0], odd])
    assert Ensemble(runs).weights != Ensemble(runs[:2]).weights


def test_runs_with_quantiles(home_samples_setup_runs_and_ensemble, test):
    "Why."
    # runs with quantiles: the spread of the seeds, and the mean of what each says of itself
    home, samples, setup, runs, ensemble = home_samples_setup_runs_and_ensemble
    roles = setup.with_options("warmth", quantiles=(0.1, 0.5, 0.9))
    how = dict(epochs=1, bs=16, bar=False, device="cpu")
    sure = [train_run(samples, roles, home / f"sure{k}", seed=k, **how) for k in range(2)]
    each = [r.predict(test) for r in sure]
    found = Ensemble(sure).predict(test)
    spread = np.std([e.warmth for e in each], 0, ddof=1)
    own = np.mean([e.warmth_scale for e in each], 0)
    np.testing.assert_allclose(found.warmth_scale, spread + own, rtol=1e-4)
    assert "months_scale" not in each[0] and "months_scale" in found
    assert Ensemble(sure).trace(samples).scaled.values.all()


def test_intervals_in_units_of_the_spread_applied(trace, home_samples_setup_runs_and_ensemble, test):
    "Why."
    # intervals in units of the spread, applied; another network's promise is refused
    home, samples, setup, runs, ensemble = home_samples_setup_runs_and_ensemble
    made = certify(trace, 0.4, "warmth", "interval", unit="sample", weights=ensemble.weights)
    assert made.scaled
    promised = ensemble.predict(test, promise=made)
    width = promised.warmth_high - promised.warmth_low
    np.testing.assert_allclose(width, 2 * made.threshold * promised.warmth_scale, rtol=1e-5)
    other = promise(runs[0], 0.4, "climate", unit="sample")
    with pytest.raises(ValueError, match="a promise of another run"):
        ensemble.predict(test, promise=other)
    with pytest.raises(ValueError, match="no 'warmth_scale': an `Ensemble` gives it"):
        with_promise(made, ensemble.modalities, runs[0].predict(test, probabilities=True))
