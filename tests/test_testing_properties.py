"""Properties

Written by nbdev-export from the check cells of nbs/api/testing/04_properties.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from sklearn import metrics as sk

from mtl_explain.data.samples import check_samples, modalities
from mtl_explain.data.store import open_store, save_samples
from mtl_explain.explain.correlation import merge_moments
from mtl_explain.explain.overview import explain
from mtl_explain.modality import Modality, from_dict, to_dict
from mtl_explain.setup import Setup
from mtl_explain.show.views import explorer_chart
from mtl_explain.testing.planted import map_moments
from mtl_explain.testing.properties import disguised
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.training.metrics import computed, task_scores
from mtl_explain.training.runs import train_run


@pytest.fixture(scope='module')
def values():
    return st.floats(-100, 100, width=32)


def test_the_same_numbers_other_clothes():
    "Why."
    world = toy_samples(12)
    other = disguised(
        world, dict(climate="Köppen.4"), list(range(12)), dict(climate="abcd"), dict(warmth=">f8"), {}
    )
    assert other["Köppen.4"].attrs["classes"] == list("abcd")
    assert other.warmth.dtype == np.dtype(">f8")
    assert np.array_equal(other.optical, world.optical)
    check_samples(other)


def test_what_check_samples_passes_can_be_stored_trained_on_traced_explained():
    "From the door to the chart."
    # what `check_samples` passes can be stored, trained on, traced, explained and shown
    tasks = ("climate", "zone", "warmth", "cover")
    text = st.text("aZ9 .:;<>&%_-'\"[]{}()#äß漢", min_size=1, max_size=8)
    number_types = dict(
        optical=st.sampled_from(["u1", ">u2", "i4", "f4", ">f4", ">f8"]),
        warmth=st.sampled_from(["f4", "f8", ">f4", ">f8"]),
        climate=st.sampled_from(["i1", "i2", "i4", "i8", ">i4"]),
    )
    extra = st.one_of(st.integers(-9, 9), text, st.lists(st.floats(0, 1), min_size=1))


    @settings(
        max_examples=8,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],  # a training an example: too slow to look for the smallest one
        suppress_health_check=list(HealthCheck),
    )
    @given(
        names=st.lists(text, min_size=5, max_size=5, unique=True),
        ids=st.lists(text, min_size=24, max_size=24, unique=True) | st.just(list(range(24))),
        classes=st.lists(text, min_size=4, max_size=4, unique=True),
        dtypes=st.fixed_dictionaries(number_types),
        attrs=st.dictionaries(text.filter(str.isidentifier), extra, max_size=2),
    )
    def goes_all_the_way(names, ids, classes, dtypes, attrs):
        named = dict(zip(("optical", *tasks), names, strict=True))
        samples = disguised(toy_samples(24, size=8), named, ids, dict(climate=classes), dtypes, attrs)
        try:
            check_samples(samples)
        except ValueError:
            return
        setup = Setup(
            {named["optical"]: dict(type="unet", width=2, depth=1)}, [named[t] for t in tasks]
        )
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            stored = open_store(save_samples(samples, home / "store", progress=False))
            for name in modalities(samples):
                assert np.array_equal(stored[name].values, samples[name].values, equal_nan=True)
            run = train_run(stored, setup, home / "run", epochs=1, bs=8, bar=False, device="cpu")
            assert run.predict(samples).sizes["sample"] == 24
            assert str(explain(run.trace, modalities=run.modalities))
            json.dumps(explorer_chart(run.trace, run.modalities).to_dict())


    goes_all_the_way()


def test_setups_survive_json_and_shifting_there_and_back():
    "Round trips."
    word = st.text("abcdefgh._ é", min_size=1, max_size=6)
    number = st.floats(1e-6, 1e6)


    @settings(max_examples=100, deadline=None, derandomize=True)
    @given(
        names=st.lists(word, min_size=2, max_size=6, unique=True),
        n_inputs=st.integers(1, 5),
        weights=st.lists(number, min_size=6, max_size=6),
        scaling=st.tuples(number, number),
        title=word,
    )
    def survives(names, n_inputs, weights, scaling, title):
        n_inputs = min(n_inputs, len(names) - 1)
        own = dict(scaling=dict(mean=[scaling[0]], std=[scaling[1]]))
        inputs = dict.fromkeys(names[:n_inputs], own)
        targets = {n: dict(weight=w) for n, w in zip(names[n_inputs:], weights, strict=False)}
        setup = Setup(inputs, targets, name=title, core=names[0])
        again = from_dict(Setup, json.loads(json.dumps(to_dict(setup))))
        assert again == setup
        if n_inputs > 1:
            moved = names[n_inputs - 1]
            back = setup.shift(moved).shift(moved)
            assert set(back.inputs) == set(setup.inputs)
            assert back.inputs[moved] == own
            assert list(back.targets) == list(setup.targets)


    survives()


def test_moments_of_pieces_are_those_of_the_whole_with_holes_and_give_numpys(values):
    "Pieces and the whole."
    # moments of pieces are those of the whole, with holes, and give numpy's correlation
    holes = st.one_of(values, st.just(np.nan))


    @settings(max_examples=100, deadline=None, derandomize=True)
    @given(
        maps=st.lists(st.tuples(holes, holes), min_size=6, max_size=48),
        cut=st.integers(1, 5),
    )
    def adds_up(maps, cut):
        x, y = np.array(maps, float).T
        pieces = [map_moments(a[None], b[None]) for a, b in zip(x[None].T[::1], y[None].T, strict=True)]
        blocks = [merge_moments(np.array(pieces[i : i + cut])) for i in range(0, len(pieces), cut)]
        n, mean_x, mean_y, m_xx, m_yy, m_xy = merge_moments(np.array(blocks))
        both = np.isfinite(x) & np.isfinite(y)
        assert n == both.sum()
        if n > 1:
            np.testing.assert_allclose([mean_x, mean_y], [x[both].mean(), y[both].mean()], atol=1e-6)
            expected = np.cov(x[both], y[both], bias=True) * n
            np.testing.assert_allclose([m_xx, m_yy, m_xy], expected[[0, 1, 0], [0, 1, 1]], atol=1e-4)


    adds_up()


def test_scores_of_batches_are_those_of_the_whole_as_scikit_learn_has_them(values):
    "Pieces and the whole."
    label = Modality("kind", "category", classes=tuple("abcd"))
    size = Modality("size", "tabular", (1,), channels=("m",), mean=(0.0,), std=(1.0,))


    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(
        pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=4, max_size=40),
        numbers=st.lists(st.tuples(values, values), min_size=4, max_size=40),
        cut=st.integers(1, 7),
    )
    def scores_add_up(pairs, numbers, cut):
        p, y = np.array(pairs).T
        scores = task_scores(label)
        for i in range(0, len(p), cut):
            scores.update(torch.tensor(p[i : i + cut]), torch.tensor(y[i : i + cut]))
        found = computed(scores)
        np.testing.assert_allclose(found["accuracy"], sk.accuracy_score(y, p), atol=1e-6)
        np.testing.assert_allclose(found["f1_macro"], sk.f1_score(y, p, average="macro"), atol=1e-6)
        p, y = np.array(numbers, float)[:, :, None].swapaxes(0, 1)
        scores = task_scores(size)
        for i in range(0, len(p), cut):
            scores.update(torch.tensor(p[i : i + cut]), torch.tensor(y[i : i + cut]))
        np.testing.assert_allclose(
            computed(scores)["mae"], sk.mean_absolute_error(y, p), rtol=1e-5, atol=1e-6
        )


    scores_add_up()
