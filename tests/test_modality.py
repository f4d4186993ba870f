"""Modalities

Written by nbdev-export from the check cells of nbs/api/00_modality.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from mtl_explain.files.schemas import check_document
from mtl_explain.modality import (
    Modality, _names, ancestor_index, axis_names, channel_axis, from_dict, kind_table, kinds, modality_of,
    modality_schema, to_dict,
)


# three modalities to play with
@pytest.fixture(scope='module')
def optical():
    return Modality(
        "optical", "image", (3, 32, 32), channels=("red", "green", "blue"), long_name="Blue Marble"
    )


@pytest.fixture(scope='module')
def cover():
    return Modality(
        "landcover",
        "mask",
        (32, 32),
        classes=("water", "forest", "grass"),
        colors=("#4477aa", "#228833", "#ccbb44"),
    )


@pytest.fixture(scope='module')
def weather():
    return Modality(
        "weather", "series", (12, 2), channels=("temperature", "precipitation"), units="mixed"
    )


@pytest.fixture(scope='module')
def month(weather):
    return replace(weather, shape=(1, 2), mean=(10.0, 50.0), std=(5.0, 25.0))


@pytest.fixture(scope='module')
def mods():
    "Eleven climates in four zones."
    letters = tuple("abcdefghijk")
    return dict(
        climate=Modality(
            "climate",
            "category",
            classes=letters,
            parent="zone",
            parent_index=(0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3),
        ),
        zone=Modality("zone", "category", classes=("hot", "dry", "mild", "cold")),
    )


def test_every_kind_is_complete():
    "Seven kinds."
    as_in_paper = ["image", "mask", "series", "tabular", "category"]
    assert list(kind_table().index) == [*as_in_paper, "image_series", "multilabel"]
    assert (kind_table().loc[as_in_paper, ["head", "loss"]] != "").all(axis=None)
    kind_table()


def test_where_the_channels_are():
    "Seven kinds."
    assert {k: channel_axis(k) for k in kinds} == dict(
        image=0, mask=None, series=1, tabular=0, category=None, image_series=1, multilabel=0
    )
    assert all(len(axis_names(k)) == v.rank for k, v in kinds.items())
    assert axis_names("mask") == ("y", "x")
    assert axis_names("category") == ()
    assert channel_axis("picture") is None


def test_what_follows_from_the_kind(optical, cover, weather):
    "One modality."
    assert (optical.n_channels, cover.n_channels, weather.n_channels) == (
        3,
        1,
        2,
    )
    assert cover.n_classes == 3
    assert optical.is_dense
    assert cover.is_dense
    assert not weather.is_dense
    assert cover.is_label
    assert not optical.is_label
    assert (optical.n_outputs, cover.n_outputs, weather.n_outputs) == (3, 3, 2)
    assert optical.label == "Blue Marble"
    assert weather.label == "weather [mixed]"


def test_a_wrong_description_is_refused_where_it_is_made():
    "One modality."
    assert Modality("code", "category", classes=("a", "b")).shape == ()
    with pytest.raises(
        ValueError, match="modality 'optical': kind is 'picture', expected one of image"
    ):
        Modality("optical", "picture", (3, 8, 8))
    with pytest.raises(ValueError, match="2 dimensions"):
        Modality("weather", "series", (12,), channels=("t",))
    with pytest.raises(ValueError, match="at least two classes"):
        Modality("cover", "mask", (8, 8), classes=("forest",))
    with pytest.raises(ValueError, match="3 channels but 2 channel names"):
        Modality("optical", "image", (3, 8, 8), channels=("r", "g"))
    with pytest.raises(ValueError, match="2 classes but 1 colours"):
        Modality("code", "category", classes=("a", "b"), colors=("#000000",))
    with pytest.raises(ValueError, match="3 classes but 2 entries in parent_index"):
        Modality("code", "category", classes=("a", "b", "c"), parent="group", parent_index=(0, 1))


def test_a_scaling_fits_its_channels_and_classes_have_none(weather, cover):
    "One modality."
    learnt = replace(weather, mean=(11.0, 60.0), std=(9.0, 40.0))
    assert learnt.is_scaled
    assert not weather.is_scaled
    for m, scaling, message in (
        (weather, dict(mean=(11.0,), std=(9.0, 40.0)), "has 2 channels but 1 numbers in `mean`"),
        (weather, dict(mean=(11.0, 60.0), std=(9.0, 0.0)), "expected positive numbers"),
        (weather, dict(mean=(11.0, np.nan), std=(9.0, 4.0)), "expected finite numbers"),
        (cover, dict(mean=(1.0,), std=(1.0,)), "classes are not scaled"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(m, **scaling)


def test_a_month_by_hand_as_an_array_and_as_a_tensor(month, weather):
    "One modality."
    for made in (np.array, torch.tensor):
        assert month.standardise(made([[[20, 25]]])).tolist() == [[[2, -1]]]
        assert month.to_native(made([[[2, -1]]])).tolist() == [[[20, 25]]]
        assert month.native_difference(made([[[2, -1]]])).tolist() == [[[10, -25]]]
    with pytest.raises(ValueError, match="'weather' has no scaling: learn it from samples"):
        weather.standardise(np.zeros((1, 12, 2)))


def test_arrays_and_tensors_to_the_last_digit_alike_and_there_and_back(optical):
    "One modality."
    picture = replace(optical, mean=(100.0, 90.1, 80.7), std=(31.0, 7.3, 11.0))
    bytes_ = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), "uint8")
    z = picture.standardise(bytes_)
    assert np.array_equal(z, picture.standardise(torch.from_numpy(bytes_)).numpy())
    assert z.dtype == np.float32
    np.testing.assert_allclose(picture.to_native(z), bytes_, atol=1e-4)


def test_a_pressure_keeps_its_last_digit_from_double_precision_and_from_whole():
    "One modality."
    # a pressure keeps its last digit, from double precision and from whole numbers
    pressure = Modality("p", "tabular", (1,), channels=("p",), mean=(101325.0,), std=(30.0,))
    exact = np.array([[101325.003], [101325.006]])
    whole = np.array([[101355]])
    for made in (np.asarray, torch.from_numpy):
        z = pressure.standardise(made(exact))
        np.testing.assert_allclose(np.ravel(z), [1e-4, 2e-4], rtol=1e-4)
        np.testing.assert_allclose(np.ravel(pressure.native_difference(z)), [3e-3, 6e-3], rtol=1e-4)
        assert pressure.standardise(made(whole)).tolist() == [[1]]


def test_two_channels_are_told_in_standard_deviations_one_in_its_own_units(month, cover):
    "Units of errors."
    off = np.array([[[5.0, 50.0]]])
    assert month.to_error_units(off).tolist() == [[[1, 2]]]
    assert month.error_units == "sd"
    assert replace(month, units="°C, mm/month").channel_units == ("°C", "mm/month")
    assert replace(month, units="K").channel_units == ("K", "K")
    height = Modality("height", "tabular", (1,), channels=("height",), units="m")
    assert height.to_error_units(off) is off
    assert height.error_units == "m"
    assert not height.is_vector
    assert not cover.is_vector


def test_one_name_several_none():
    "From an xarray variable."
    # one name, several, none; a class without a name keeps its place
    assert _names("optical") == _names(["optical"]) == ("optical",)
    assert _names(np.array(["VV", "VH"])) == ("VV", "VH")
    assert _names("") == _names([]) == ()
    assert _names(["", "water"]) == ("", "water")


def test_a_described_image_a_described_label_and_a_variable_that_nobody():
    "From an xarray variable."
    # a described image, a described label, and a variable that nobody described
    da = xr.DataArray(
        np.zeros((5, 2, 8, 8)),
        dims=("sample", "band", "y", "x"),
        name="radar",
        coords={"band": ["VV", "VH"]},
        attrs=dict(kind="image", units="dB"),
    )
    assert modality_of(da) == Modality("radar", "image", (2, 8, 8), channels=("VV", "VH"), units="dB")
    assert modality_of(da.drop_vars("band")).channels == ("0", "1"), (
        "channels without names are numbered"
    )
    assert modality_of(da.assign_attrs(pixel_size=np.float32(10))).pixel_size == 10
    assert modality_of(da).pixel_size is None, "not known"
    for size in (0, "ten", -1.0, np.inf):
        with pytest.raises(ValueError, match="'radar': pixel_size is .* expected a positive number of"):
            modality_of(da.assign_attrs(pixel_size=size))
    with pytest.raises(ValueError, match="modality 'radar': kind is ''"):
        modality_of(da.drop_attrs())
    da = xr.DataArray(
        np.zeros(5, int),
        dims="sample",
        name="code",
        attrs=dict(kind="category", classes=["Af", "Am", "BW"], parent="group", parent_index=[0, 0, 1]),
    )
    assert modality_of(da).parent_index == (0, 0, 1)
    assert modality_of(da).shape == ()


def test_there_and_back_through_json(weather, optical, cover):
    "To and from JSON."
    scaled = replace(weather, mean=(11.0, 60.0), std=(9.0, 40.0))
    for m in (optical, cover, weather, scaled, replace(optical, pixel_size=10.0)):
        assert from_dict(Modality, json.loads(json.dumps(to_dict(m)))) == m
    assert "units" not in to_dict(optical)
    with pytest.raises(ValueError, match="Modality has no field colour"):
        from_dict(Modality, dict(name="a", kind="category", colour="red"))


def test_what_to_dict_writes_fits_the_schema(weather, optical, cover):
    "To and from JSON."
    # what `to_dict` writes fits the schema; what it could not have written is named
    scaled = replace(weather, mean=(11.0, 60.0), std=(9.0, 40.0))
    for m in (optical, cover, weather, scaled, replace(optical, pixel_size=10.0)):
        check_document(json.loads(json.dumps(to_dict(m))), modality_schema, "here")
    for field_, value, match in (
        ("kind", "video", "here: kind is .video., expected one of image"),
        ("shape", [3, -1], r"here: shape\[1\] is -1, expected at least 1"),
        ("classes", "abc", "here: classes is .abc., expected a list"),
        ("colour", 1, "here: colour is unknown; known: channels"),
        ("colors", ["red"], r"here: colors\[0\] is .red., expected text like"),
        ("pixel_size", 0, "here: pixel_size is 0, expected more than 0"),
    ):
        with pytest.raises(ValueError, match=match):
            check_document(to_dict(optical) | {field_: value}, modality_schema, "here")


def test_parent_and_grandparent(mods):
    "A hierarchy of labels."
    name, index = ancestor_index(mods, "climate")
    assert name == "zone"
    assert index.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3]
    three = mods | dict(
        zone=replace(mods["zone"], parent="half", parent_index=(0, 0, 1, 1)),
        half=replace(mods["zone"], name="half", classes=("warm", "cool")),
    )
    assert ancestor_index(three, "climate", "half")[1].tolist() == [0] * 5 + [1] * 6
    with pytest.raises(ValueError, match="'zone' has no parent label"):
        ancestor_index(mods, "zone")
    with pytest.raises(ValueError, match="'half' is not above 'climate': the hierarchy ends at 'zone'"):
        ancestor_index(mods, "climate", "half")
    finest = min(mods, key=lambda n: not mods[n].parent)
    with pytest.raises(ValueError, match="leads to '.*', which is not here"):
        ancestor_index({finest: mods[finest]}, finest, "elsewhere")
