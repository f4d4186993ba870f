"""Modalities and setups

Written by nbdev-export from the check cells of nbs/api/00_modality.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from mtl_explain.modality import (
    Modality, Setup, check_setup, from_dict, kind_table, main_share, modality_of, scaled_weights, setup_table,
    to_dict,
)


# three modalities to play with
@pytest.fixture(scope='module')
def optical():
    return Modality('optical', 'image', (3, 32, 32), channels=('red', 'green', 'blue'), long_name='Blue Marble')


@pytest.fixture(scope='module')
def cover():
    return Modality('landcover', 'mask', (32, 32), classes=('water', 'forest', 'grass'), colors=('#4477aa', '#228833', '#ccbb44'))


@pytest.fixture(scope='module')
def weather():
    return Modality('weather', 'series', (12, 2), channels=('temperature', 'precipitation'))


# one experiment in three variants
@pytest.fixture(scope='module')
def base():
    return Setup('optical', 'landcover', name='baseline')


@pytest.fixture(scope='module')
def mml():
    return Setup(('optical', 'weather'), 'landcover', core='optical')


@pytest.fixture(scope='module')
def mtl():
    return Setup('optical', ('landcover', 'weather'), core='optical', weights=dict(landcover=3, weather=1))


def test_every_kind_is_complete():
    "Five kinds."
    assert list(kind_table().index) == ['image', 'mask', 'series', 'tabular', 'category']
    assert kind_table().notna().all(axis=None)


def test_what_follows_from_the_kind(optical, cover, weather):
    "One modality."
    assert (optical.n_channels, cover.n_classes, weather.n_channels) == (3, 3, 2)
    assert optical.is_dense and cover.is_dense and not weather.is_dense
    assert cover.n_outputs == 3 and weather.n_outputs == 2
    assert optical.label == 'Blue Marble'


def test_a_wrong_description_is_refused_where_it_is_made():
    "One modality."
    with pytest.raises(ValueError, match="kind is 'picture', expected one of image"): Modality('optical', 'picture', (3, 8, 8))
    with pytest.raises(ValueError, match='2 dimensions'): Modality('weather', 'series', (12,), channels=('t',))
    with pytest.raises(ValueError, match='at least two classes'): Modality('cover', 'mask', (8, 8), classes=('forest',))
    with pytest.raises(ValueError, match='3 channels but 2 channel names'): Modality('optical', 'image', (3, 8, 8), channels=('r', 'g'))
    with pytest.raises(ValueError, match='3 classes but 2 entries in parent_index'):
        Modality('code', 'category', classes=('a', 'b', 'c'), parent='group', parent_index=(0, 1))


def test_an_image_variable_with_named_bands():
    "From and to an xarray variable."
    da = xr.DataArray(np.zeros((5, 2, 8, 8)), dims=('sample', 'band', 'y', 'x'), name='radar', coords={'band': ['VV', 'VH']},
                      attrs=dict(kind='image', units='dB'))
    assert modality_of(da) == Modality('radar', 'image', (2, 8, 8), channels=('VV', 'VH'), units='dB')


def test_a_label_with_a_hierarchy():
    "From and to an xarray variable."
    da = xr.DataArray(np.zeros(5, int), dims='sample', name='code',
                      attrs=dict(kind='category', classes=['Af', 'Am', 'BW'], parent='group', parent_index=[0, 0, 1]))
    assert modality_of(da).parent_index == (0, 0, 1) and modality_of(da).shape == ()


def test_there_and_back_through_json(optical, cover, weather):
    "From and to an xarray variable."
    import json
    for m in (optical, cover, weather): assert from_dict(Modality, json.loads(json.dumps(to_dict(m)))) == m
    with pytest.raises(ValueError, match='no field colour'): from_dict(Modality, dict(name='a', kind='category', colour='red'))


def test_the_weights_of_appendix_b_2_and_b_3():
    "A setup: who is read, who is predicted."
    w = scaled_weights(('lulc', 'dem', 'climate', 'season', 'weather'), dict(lulc=9, dem=1, climate=1, season=1, weather=1))
    assert w['lulc'] == 9 / 13 and sum(w.values()) == pytest.approx(1)
    assert scaled_weights(('l3', 'l2', 'age'), dict(l3=4, l2=1, age=1))['l3'] == pytest.approx(2 / 3)
    assert scaled_weights(('a', 'b'), {}) == dict(a=.5, b=.5)


def test_sixty_per_cent_for_the_main_task():
    "A setup: who is read, who is predicted."
    assert main_share(('lulc', 'dem', 'season'), .6) == dict(lulc=.6, dem=.2, season=.2)
    with pytest.raises(ValueError, match='between 0 and 1'): main_share(('a', 'b'), 60)


def test_the_variant_is_a_property_of_the_roles(base, mml, mtl):
    "A setup: who is read, who is predicted."
    assert [s.variant for s in (base, mml, mtl)] == ['baseline', 'MML', 'MTL']
    assert mtl.auxiliary == ('weather',) and base.auxiliary == ()
    assert mtl.weights == dict(landcover=.75, weather=.25)


def test_rules_of_a_setup():
    "A setup: who is read, who is predicted."
    with pytest.raises(ValueError, match="'weather' is both input and target"): Setup(('optical', 'weather'), ('landcover', 'weather'))
    with pytest.raises(ValueError, match="main task 'age' is not among"): Setup('optical', 'landcover', main='age')
    with pytest.raises(ValueError, match='at least one input'): Setup((), 'landcover')
    with pytest.raises(ValueError, match='loss weights are given for'): Setup('optical', 'landcover', weights=dict(weather=1))
    with pytest.raises(ValueError, match="for 'weather', which this setup does not use"): Setup('optical', 'landcover', encoders=dict(weather={}))


def test_from_mml_to_mtl_and_back(mml, mtl, base):
    "Shifting a modality."
    assert mml.shift('weather').targets == mtl.targets and mml.shift('weather').variant == 'MTL'
    assert mml.shift('weather').shift('weather').inputs == mml.inputs
    assert base.with_target("weather").targets == mtl.targets


def test_what_cannot_be_shifted(base):
    "Shifting a modality."
    with pytest.raises(ValueError, match='is the main task'): base.shift('landcover')
    with pytest.raises(ValueError, match='has no role'): base.shift('weather')
    with pytest.raises(ValueError, match='nothing to read'): base.shift('optical')


def test_a_name_that_the_samples_lack(mml, optical, cover, weather):
    "Does the setup fit the data?"
    with pytest.raises(ValueError, match="names 'weather', but the samples only have landcover, optical"):
        check_setup(mml, dict(optical=optical, landcover=cover))
    check_setup(mml, dict(optical=optical, landcover=cover, weather=weather))


def test_the_arrows(base, mml, mtl):
    "A setup shows itself."
    table = setup_table([base, mml, mtl])
    assert list(table['weather']) == ['', '→□', '□→'] and list(table['landcover']) == ['□⇒'] * 3
    assert 'landcover' in mtl._repr_html_()


def test_the_mtl_variant_as_a_picture(mml, mtl):
    "A setup shows itself."
    fig, axs = plt.subplots(1, 2, figsize=(9, 1.8), layout='constrained')
    for ax, s in zip(axs, (mml, mtl)): s.plot(ax)
    assert {t.get_text() for t in axs[1].texts} >= {'network', 'optical', 'landcover  0.75', 'weather  0.25'}
