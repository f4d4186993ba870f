"""New samples for a trained network

Written by nbdev-export from the check cells of nbs/api/data/09_inputs.ipynb.
Do not edit: change the notebook, then `make export`.
"""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from mtl_explain.data.batches import scaled_modalities
from mtl_explain.data.inputs import (
    channel_order, fit_modality, fit_samples, is_numbered, plain_name, range_problem, raster_bands,
    unit_conversion, with_missing,
)
from mtl_explain.data.samples import modality_array
from mtl_explain.modality import Modality, modality_of
from mtl_explain.testing.toy_samples import toy_samples


@pytest.fixture(scope='module')
def rgb():
    "A photograph of three bands."
    return Modality("photo", "image", (3, 8, 8), ("red", "green", "blue"))


@pytest.fixture(scope='module')
def learnt_and_some():
    "A small made-up world."
    world = toy_samples()
    learnt = scaled_modalities(world)
    some = world.isel(sample=slice(0, 6))
    return learnt, some


def test_spellings_of_a_band():
    "Channels by name."
    assert {plain_name(n) for n in ("Red", " red", "R", "RED")} == {"red"}
    assert plain_name("B02") == plain_name("b2") == "b2"
    assert plain_name("B8A") == "b8a"
    assert plain_name("Near_Infrared") == plain_name("NIR") == "nir"
    assert plain_name("temperature max") == plain_name("temperature_max")
    assert is_numbered(("0", "1", "2"))
    assert is_numbered(("1", "2", "3"))
    assert not is_numbered(("2", "1", "0"))


def test_channels_are_found_by_name_or_refused(rgb):
    "Channels by name."
    assert channel_order(("red", "green", "blue"), rgb, "x") == [0, 1, 2]
    assert channel_order(("blue", "green", "red"), rgb, "x") == [2, 1, 0]
    assert channel_order(("B", "G", "R"), rgb, "x") == [2, 1, 0]
    assert channel_order(("nir", "red", "green", "blue"), rgb, "x") == [1, 2, 3]
    assert channel_order(("0", "1", "2"), rgb, "x") == [0, 1, 2]
    counted = replace(rgb, channels=("0", "1", "2"))
    assert channel_order(("red", "green", "blue"), counted, "x") == [0, 1, 2]
    assert channel_order(("2", "1", "0"), counted, "x") == [2, 1, 0]  # somebody turned them around
    with pytest.raises(
        ValueError,
        match="^'photo': its channels are nir, red, green; the network was trained on red, green, blue",
    ):
        channel_order(("nir", "red", "green"), rgb, "'photo'")
    with pytest.raises(ValueError, match=r"4 channels, the network was trained on 3 \(red, green"):
        channel_order(("1", "2", "3", "4"), rgb, "'photo'")
    with pytest.raises(ValueError, match="its channels are red, red, blue"):
        channel_order(("red", "red", "blue"), rgb, "'photo'")
    # names that differ in case alone are names
    pair = Modality("table", "tabular", (2,), ("a", "A"))
    assert channel_order(("A", "a"), pair, "x") == [1, 0]


def test_colours_and_descriptions_say_which_bands_are_read(rgb):
    "Channels by name."
    assert raster_bands(("", "", ""), rgb, "a.tif") == [1, 2, 3]
    assert raster_bands(("red", "green", "blue", "alpha"), rgb, "a.tif") == [1, 2, 3]
    assert raster_bands(("blue", "green", "red", "alpha"), rgb, "a.tif") == [3, 2, 1]
    assert raster_bands(("B", "G", "R"), rgb, "a.tif") == [3, 2, 1]
    assert raster_bands(("nir", "red", "green", "blue"), rgb, "a.tif") == [2, 3, 4]
    assert raster_bands(("Band 1", "Band 2", "Band 3"), rgb, "a.tif") == [1, 2, 3]
    sentinel = replace(rgb, channels=("B04", "B03", "B02"))
    assert raster_bands(("red", "green", "blue"), sentinel, "a.tif") == [1, 2, 3]  # by default
    level = Modality("dsm", "image", (1, 8, 8), ("height",))
    assert raster_bands(("DSM 2020",), level, "a.tif") == [1]
    assert raster_bands(("slope", "height"), level, "a.tif") == [2]
    assert raster_bands(("", "alpha"), level, "a.tif") == [1]
    for names, match in (
        (("nir", "red", "green"), r"a.tif: its bands are nir, red, green, expected .photo. \("),
        (("cyan", "magenta", "yellow"), "its bands are cyan, magenta, yellow"),
        (("", "", "", ""), "expected 3 bands for 'photo' .*, got 4$"),
        (("palette",), r"expected 3 bands for 'photo' \(red, green, blue\), got 1: palette"),
    ):
        with pytest.raises(ValueError, match=match):
            raster_bands(names, rgb, "a.tif")


def test_centimetres_become_metres_kelvin_become_degrees():
    "Units."
    # centimetres become metres, kelvin become degrees; metres become no degrees
    def converted(number, units, wanted):
        factor, offset = unit_conversion(units, wanted)
        return factor * number + offset


    assert converted(250, "cm", "m") == 2.5
    assert converted(300.0, "K", "°C") == pytest.approx(26.85)
    assert converted(50, "°F", "celsius") == pytest.approx(10)
    assert converted(0.5, "1", "%") == pytest.approx(50)
    assert converted(7, "Metres", "m") == 7
    assert converted(7, "", "m") == 7
    assert converted(7, "reflectance × 10,000", "reflectance × 10,000") == 7
    assert unit_conversion("m", "°C") is None
    assert unit_conversion("furlong", "m") is None


def test_bands_features_and_classes_in_another_order(learnt_and_some):
    "One modality."
    # bands, features and classes in another order; other units
    learnt, some = learnt_and_some
    turned = fit_modality(some.optical.isel(band=[2, 1, 0]), learnt["optical"])
    np.testing.assert_array_equal(turned, some.optical)
    same = fit_modality(some.optical, learnt["optical"])
    assert np.shares_memory(same.data, some.optical.data)

    centimetres = (100 * some.elevation).assign_attrs(some.elevation.attrs | dict(units="cm"))
    np.testing.assert_allclose(
        fit_modality(centimetres, learnt["elevation"]), some.elevation, rtol=1e-5
    )
    kelvin = (some.months + 273.15).assign_attrs(some.months.attrs | dict(units="K"))
    np.testing.assert_allclose(fit_modality(kelvin, learnt["months"]), some.months, atol=1e-3)

    names = some.cover.attrs["classes"]
    other = (2 - some.cover).assign_attrs(some.cover.attrs | dict(classes=names[::-1]))
    np.testing.assert_array_equal(fit_modality(other, learnt["cover"]), some.cover)
    # a class without a sample may be new
    more = some.cover.assign_attrs(some.cover.attrs | dict(classes=[*names, "lava"], colors=[]))
    np.testing.assert_array_equal(fit_modality(more, learnt["cover"]), some.cover)


def test_features_of_tables_with_a_unit_each_are_sorted_together_with_it():
    "One modality."
    table = Modality("weather", "tabular", (2,), ("temperature", "rain"), units="°C, mm")
    given = modality_array(
        "weather", [[12.0, 290.0]], "tabular", channels=["rain", "temperature"], units="mm, K"
    )
    np.testing.assert_allclose(fit_modality(given, table), [[16.85, 12.0]], rtol=1e-5)


def test_what_cannot_be_brought_into_order_is_refused_in_one_line(learnt_and_some):
    "One modality."
    learnt, some = learnt_and_some
    def refuses(da, name, text):
        with pytest.raises(ValueError, match=text) as caught:
            fit_modality(da, learnt[name])
        assert "\n" not in str(caught.value)


    last = modality_array("optical", some.optical.values.transpose(0, 2, 3, 1), "image")
    refuses(last, "optical", "'optical': 16 channels, .* trained on 3 .*: do the channels stand last")
    refuses(some.optical.isel(band=[0, 1]), "optical", "channels are red, green; the network was")
    refuses(some.optical.astype(complex), "optical", "'optical': expected real numbers, got complex")
    refuses(some.optical.astype(str), "optical", "got no numbers")
    refuses(some.cover.astype("float32"), "cover", "'cover': expected whole numbers, got fractions")
    refuses(some.optical[0], "optical", r"first dimension must be `sample`, .* `samples.isel\(sample=")
    feet = some.elevation.assign_attrs(units="fathoms")
    refuses(feet, "elevation", "'elevation' is in fathoms; the network was trained on m: convert it")
    lava = some.cover.assign_attrs(classes=["meadow", "lava", "rock"])
    refuses(lava, "cover", "the class 'lava' is unknown to the network, .* meadow, forest, rock")
    as_mask = modality_array("optical", some.cover.values, "mask", classes=["a", "b", "c"])
    refuses(as_mask, "optical", "'optical': expected|is of kind mask; the network was trained on image")
    packed = some.elevation.assign_attrs(scale_factor=0.1)
    refuses(packed, "elevation", "has the attribute scale_factor, so its numbers are still packed")


def test_other_units_and_other_types_of_numbers_are_noticed_a_dark_or_a_bright(rgb):
    "Numbers far from the training's."
    # other units and other types of numbers are noticed, a dark or a bright place is not
    photo = replace(rgb, mean=(120.0, 110, 100), std=(70.0, 65, 60))
    height = Modality("height", "image", (1, 8, 8), ("height",), units="m", mean=(2.0,), std=(6.0,))


    def problem(scale, m):
        return range_problem(np.multiply(scale, m.mean), np.multiply(scale, m.std), m)


    assert problem(1, photo) == problem(0.2, photo) == problem(1.9, photo) == ""
    assert "numbers of 0.4706 ± 0.275, where 'photo' was 120 ± 70" in problem(1 / 255, photo)
    assert "other units" in problem(257, photo)
    assert "other units" in problem(10, height)
    assert "other units" in problem(0.001, height)
    water = range_problem([30, 28, 33], [0.5, 0.5, 0.5], photo)
    assert water == ""
    rare = Modality("kind", "tabular", (2,), ("snow", "lake"), mean=(0.001, 0.2), std=(0.03, 0.4))
    assert range_problem([0.7, 0.1], [0.4, 0.3], rare, share=[True, True]) == ""
    assert "'kind' (snow)" in range_problem([70, 0.1], [40, 0.3], rare, share=[False, True])


def test_a_trained_networks_radar_is_not_there():
    "All of them."
    # a trained network's radar is not there: missing everywhere, and said
    optical = xr.Dataset({"optical": modality_array("optical", np.ones((3, 1, 2, 2)), "image")})
    optical = optical.assign_coords(sample=list("abc"))
    known = dict(
        radar=Modality("radar", "image", (2, 4, 4), channels=("VV", "VH"), units="dB"),
        zone=Modality("zone", "category", (), classes=("dry", "wet")),
        rain=Modality("rain", "series", (5, 1), channels=("rain",)),
    )
    with pytest.warns(UserWarning, match="predicted without radar, zone, rain: not among the samples"):
        filled = with_missing(optical, known, ["radar", "zone", "rain"])
    assert filled.radar.isnull().all()
    assert modality_of(filled.radar).channels == ("VV", "VH")
    assert (filled.zone == -1).all()
    assert filled.rain_time.isnull().all()
    assert with_missing(filled, known, ["radar"]) is filled


def test_what_was_learnt_is_compared_modality_by_modality(learnt_and_some):
    "All of them."
    learnt, some = learnt_and_some
    names = ("optical", "elevation", "months", "climate")
    same = fit_samples(some, learnt, names)
    for n in names:
        np.testing.assert_array_equal(same[n], some[n])
    np.testing.assert_array_equal(same.months_time, some.months_time)
    assert same.sample.equals(some.sample)
    assert fit_samples(same, learnt, names).equals(same)
    turned = fit_samples(some.isel(band=[1, 2, 0]), learnt, names)
    np.testing.assert_array_equal(turned.optical, some.optical)

    with pytest.raises(ValueError, match="input modality 'optical' is missing: the network reads"):
        fit_samples(some[["elevation"]], learnt, names)
    with pytest.raises(ValueError, match="there is no sample to predict"):
        fit_samples(some.isel(sample=[]), learnt, names)


def test_gaps_other_numbers_and_other_sizes_are_refused(learnt_and_some):
    "All of them."
    learnt, some = learnt_and_some
    def changed(name, values, **attrs):
        return some.assign({name: values.assign_attrs(some[name].attrs | attrs)})


    def refused(samples, text):
        with pytest.raises(ValueError, match=text) as caught:
            fit_samples(samples, learnt, ("optical", "elevation", "months", "climate"))
        assert "\n" not in str(caught.value)


    image = some.optical.astype("float32")
    refused(changed("optical", image.where(image > 40)), r"'optical': missing values \(NaN\) in 5 of 6")
    refused(changed("optical", image.where(image > 40, np.inf)), "'optical': infinite values in")
    few = some.climate.where(some.sample != some.sample[0], -1)
    refused(changed("climate", few), r"'climate': missing labels \(-1\) in 1 of 6 samples")
    hole = some.elevation.where(some.sample != some.sample[0], -9999.0)
    refused(
        changed("elevation", hole, nodata=-9999.0), "its nodata -9999, which means nothing, in 1 of"
    )
    refused(changed("elevation", hole), "'elevation': values of -9999, which mostly means that there")
    refused(changed("elevation", hole - 9e3), "where 'elevation' was .* in training: other units")
    refused(changed("optical", image / 255), "'optical' was .* in training: other units, .*check_range")
    refused(changed("optical", image * 257), "'optical' was .* in training: other units")
    refused(changed("months", some.months + 273.15), "where 'months' was")
    coarse = modality_array(
        "elevation", some.elevation.values[..., ::2, ::2], "image", channels=["elevation"], units="m"
    )
    refused(
        some.drop_vars("elevation").assign(elevation=coarse),
        "'elevation' has 8×8 pixels, 'optical' 16×16; in training it was 16×16 and 16×16",
    )
    dates = np.datetime64("2024-01-01") + np.arange(some.months.shape[1])
    with pytest.raises(ValueError, match="'months_time': expected days as numbers, .* got datetime64"):
        dated = some.drop_vars("months_time").assign_coords(months_time=(some.months.dims[1:2], dates))
        fit_samples(dated, learnt, ("months",))
    # unless somebody knows better
    assert fit_samples(changed("optical", image / 255), learnt, ("optical",), check_range=False)
