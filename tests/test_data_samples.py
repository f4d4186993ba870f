"""Sample sets

Written by nbdev-export from the check cells of nbs/api/data/00_samples.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from mtl_explain.data.samples import (
    _problems_in_coordinates, _problems_in_values, block_size, check_inputs, check_samples, count_faults,
    describe, is_wide, missing_share, modalities, modality_array, problems_in_names, sample_blocks,
)
from mtl_explain.modality import Modality, modality_of
from mtl_explain.setup import Setup
from mtl_explain.testing.toy_samples import toy_samples


@pytest.fixture(scope='module')
def radar():
    "A radar image with two named channels."
    return modality_array(
        "radar", np.zeros((4, 2, 8, 8), "float32"), "image", channels=["VV", "VH"], units="dB"
    )


@pytest.fixture(scope='module')
def samples():
    "The toy world."
    return toy_samples()


def test_the_variable_says_what_it_is(radar):
    "Making a variable."
    assert modality_of(radar) == Modality(
        "radar", "image", (2, 8, 8), channels=("VV", "VH"), units="dB"
    )
    assert radar.dims == ("sample", "radar_channel", "radar_y", "radar_x")


def test_times_by_step_or_by_sample_numbered_features_and_an_unknown_kind():
    "Making a variable."
    daily = modality_array("rain", np.zeros((4, 3, 1)), "series", time=[0, 1, 2])
    own = modality_array("rain", np.zeros((4, 3, 1)), "series", time=np.zeros((4, 3)))
    assert daily.rain_time.dims == ("rain_time",)
    assert own.rain_time.dims == ("sample", "rain_time")
    assert modality_of(daily).channels == ("0",)
    assert modality_of(modality_array("soil", np.zeros((4, 2)), "tabular")).channels == ("0", "1")
    with pytest.raises(ValueError, match="modality 'radar': kind is 'picture', expected one of image"):
        modality_array("radar", np.zeros(3), "picture")


def test_other_variables_are_no_modalities(radar):
    "Reading the modalities back."
    assert modalities(xr.Dataset(dict(radar=radar, clouds=("sample", [0.0, 0.2, 0.1, 0.9])))) == dict(
        radar=modality_of(radar)
    )


def test_all_five_kinds_the_same_world_for_the_same_seed_and_groups_that_stay(samples):
    "Reading the modalities back."
    # all five kinds, the same world for the same seed, and groups that stay together
    assert {m.kind for m in modalities(samples).values()} == {
        "image",
        "mask",
        "series",
        "tabular",
        "category",
    }
    assert modalities(samples)["climate"].parent == "zone"
    assert toy_samples(seed=1).identical(toy_samples(seed=1))
    assert not toy_samples(seed=1).identical(toy_samples(seed=2))
    assert samples.split.to_series().value_counts().to_dict() == dict(train=64, valid=16, test=16)
    assert samples.split.to_series().groupby(samples.group.values).nunique().eq(1).all()


def test_one_sample_as_a_picture(samples):
    "Reading the modalities back."
    fig, axs = plt.subplots(1, 4, figsize=(10, 2.4), layout="constrained")
    one = samples.isel(sample=3)
    axs[0].imshow(one.optical.transpose("y", "x", "band"))
    one.elevation[0].plot(ax=axs[1], cmap="viridis", yincrease=False)
    one.cover.plot(
        ax=axs[2],
        levels=[-0.5, 0.5, 1.5, 2.5],
        colors=list(one.cover.attrs["colors"]),
        add_colorbar=False,
        yincrease=False,
    )
    axs[3].plot(one.months_time, one.months)
    for ax, title in zip(
        axs,
        (
            "optical",
            "elevation [m]",
            "land cover",
            f"temperature at {abs(one.lat):.0f}° {'NS'[int(one.lat < 0)]}",
        ),
        strict=True,
    ):
        ax.set_title(title)
    for ax in axs[:3]:
        ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
    axs[3].set(xlabel="day of the year", ylabel="°C")
    assert len(axs[3].lines) == 1


def test_tiles_of_four_million_pixels_one_by_one_numbers_by_the_million():
    "What is in a sample set?"
    tile, number = (
        xr.DataArray(np.broadcast_to(np.int8(0), shape)) for shape in ((3, 2048, 2048), (5,))
    )
    assert block_size(tile) == 1
    assert block_size(number) == 2**22
    assert [len(b) for b in sample_blocks(tile)] == [1, 1, 1]
    assert [len(b) for b in sample_blocks(number)] == [5]
    kinds_of_numbers = ("u1", "i2", "f4", "i4", "i8", "f8", "g")
    assert [k for k in kinds_of_numbers if is_wide(np.dtype(k))] == ["i4", "i8", "f8", "g"]


def test_missing_values_are_counted_not_hidden(samples):
    "What is in a sample set?"
    holes = samples.copy(deep=True)
    holes["warmth"][:24] = np.nan
    holes["climate"][:48] = -1
    assert describe(holes).missing.to_dict() == dict(
        optical=0, elevation=0, cover=0, climate=0.5, zone=0, months=0, warmth=0.25
    )
    describe(holes)


def test_what_pads_a_series_counts_nowhere_be_it_zero_or_nan():
    "Does it keep the rules?"
    # what pads a series counts nowhere, be it zero or NaN; a series without any step is missing
    days = np.array([[0.0, 30, np.nan], [0, 30, 60], [np.nan] * 3])
    for pad in (0, np.nan):
        values = np.array([[5.0, 6, pad], [7, np.nan, 9], [pad] * 3])[..., None]
        rain = modality_array("rain", values, "series", time=days)
        assert missing_share(rain) == 4 / 8
        assert count_faults(rain, modality_of(rain))["missing"] == 2
        assert count_faults(rain[:1], modality_of(rain))["missing"] == 0
    shorts = modality_array("s2", np.zeros((3, 3, 1, 2, 2), "int16"), "image_series", time=days)
    assert missing_share(shorts) == 3 / 8
    assert count_faults(shorts, modality_of(shorts))["missing"] == 1


def test_a_missing_label_is_fine_as_a_target_an_impossible_one_never(radar):
    "Does it keep the rules?"
    soil = modality_array("soil", np.array([0, 2, -1, 3]), "category", classes=["clay", "silt", "sand"])
    impossible = "'soil': class index outside 0..2 (and not -1 for missing) in 1 of 4 samples"
    assert _problems_in_values(soil, modality_of(soil), False) == [impossible]
    assert _problems_in_values(soil, modality_of(soil), True) == [
        impossible,
        "'soil': missing label, but it is an input in 1 of 4 samples; leave them out, or let the "
        "network read gaps: setup.with_options('soil', missing=0.1)",
    ]
    assert _problems_in_values(radar, modality_of(radar), True) == []


def test_labels_as_names_categories_or_with_none_and_complex_images_are_refused():
    "Does it keep the rules?"
    # labels as names, categories or with None, and complex images are refused by name
    names = np.array(["clay", "silt", "sand", "clay"])
    for given in (
        names,
        names.astype(object),
        pd.Categorical(names),
        np.array([0, 1, None, 2], object),
    ):
        as_text = modality_array("soil", given, "category", classes=["clay", "silt", "sand"])
        found = _problems_in_values(as_text, modality_of(as_text), False)
        assert found[0].startswith("'soil': class indices must be integers (positions in `classes`")
    slc = modality_array("slc", np.ones((4, 1, 2, 2), "complex64"), "image")
    assert "'slc': complex numbers" in _problems_in_values(slc, modality_of(slc), True)[0]
    when = modality_array("when", np.zeros((4, 1), "datetime64[D]"), "tabular")
    assert "'when': the values are no numbers" in _problems_in_values(when, modality_of(when), True)[0]
    cloud = modality_array("cloud", np.ones((4, 1, 2, 2), bool), "image")
    assert _problems_in_values(cloud, modality_of(cloud), True) == []


def test_a_group_may_not_leak_from_one_split_into_another(samples):
    "Does it keep the rules?"
    leak = samples.copy(deep=True)
    leak["split"][0] = "test"
    assert _problems_in_coordinates(samples) == []
    assert _problems_in_coordinates(leak) == ["1 groups stand in more than one split, e.g. 0"]


def test_a_slash_in_a_name_and_ids_as_bytes_are_found_by_name(samples):
    "Does it keep the rules?"
    slash = samples.rename(elevation="B8A/B04")
    assert problems_in_names(samples) == []
    assert "'B8A/B04'" in problems_in_names(slash)[0]
    assert len(problems_in_names(slash)) == 1
    assert problems_in_names(samples.rename(elevation=3))[0] == "the name 3 is no text: rename it"
    read = samples.assign_coords(sample=samples.sample.values.astype("S"))
    assert problems_in_names(read) == [
        "'sample' holds bytes, not text: "
        "samples.assign_coords(sample=samples.sample.values.astype(str))"
    ]
    # text of a table as pandas keeps it, where Arrow is installed
    pytest.importorskip("pyarrow")
    texts = pd.array(samples.split.values.tolist(), dtype="string[pyarrow]")
    (told,) = problems_in_names(samples.assign_coords(farm=("sample", texts)))
    assert told.startswith("'farm' holds an array of pandas (string), from which xarray")
    assert told.endswith("samples.assign_coords(farm=('sample', samples['farm'].to_numpy()))")
    assert describe(samples.assign_coords(farm=("sample", texts))).equals(describe(samples))
    fixed = samples.assign_coords(farm=("sample", texts))
    fixed = fixed.assign_coords(farm=("sample", fixed["farm"].to_numpy()))
    assert problems_in_names(fixed) == []


def test_all_problems_come_at_once_each_with_its_count(samples):
    "Does it keep the rules?"
    check_samples(samples)  # a sound set passes
    bad = samples.copy(deep=True)
    bad["climate"][:3] = 7
    bad["elevation"][5, 0, 2, 2] = np.inf
    bad["split"][:] = "train"
    with pytest.raises(ValueError) as e:
        check_samples(bad)
    expected = (
        "split 'valid' is empty",
        "'climate': class index outside 0..3",
        "in 3 of 96 samples",
        "'elevation': infinite values in 1 of 96",
    )
    assert all(text in str(e.value) for text in expected)
    print(e.value)


def test_with_a_setup_only_what_it_uses_is_checked_and_its_inputs_must_be(samples):
    "Does it keep the rules?"
    # with a setup, only what it uses is checked, and its inputs must be complete
    holes = samples.copy(deep=True)
    holes["zone"][:5] = -1
    holes["climate"][:] = 99
    check_samples(holes, Setup("optical", ("cover", "zone")))
    with pytest.raises(ValueError) as e:
        check_samples(holes, Setup(("optical", "zone"), "cover"))
    assert str(e.value) == (
        "these samples cannot be used: 'zone': missing label, but it is an input in 5 of 96 samples; "
        "leave them out, or let the network read gaps: setup.with_options('zone', missing=0.1)"
    )
    check_samples(holes, Setup(("optical", "zone"), "cover").with_options("zone", missing=0))


def test_less_common_mistakes(samples):
    "Does it keep the rules?"
    def refused(match, *args):
        with pytest.raises(ValueError, match=match):
            check_samples(*args)
        return True


    assert refused("no modality", xr.Dataset())
    assert refused("no coordinate `split`", samples.drop_vars("split"))
    assert refused("no coordinate `sample`", samples.drop_vars("sample"))
    assert refused(
        "unknown split 'dev'",
        samples.assign_coords(split=samples.split.where(samples.split != "test", "dev")),
    )
    assert refused("duplicate sample ids", samples.isel(sample=[0, 0, *range(96)]))
    swapped = samples.assign_coords(lat=samples.lon, lon=samples.lat)
    assert refused("samples are nowhere: no place on Earth has the latitude .* swapped", swapped)
    assert refused("must be integers", samples.assign(zone=samples.zone.astype(float)))
    assert refused("names 'rain'", samples, Setup("optical", "rain"))
    assert refused(
        "first dimension must be `sample`",
        samples.assign(cover=samples.cover.transpose("y", "x", "sample")),
    )
    gap = samples.copy(deep=True)
    gap["warmth"][0] = np.nan
    assert refused(
        "'warmth': missing values .NaN., but it is an input in 1 of 96",
        gap,
        Setup(("optical", "warmth"), "cover"),
    )


def test_the_first_input_that_is_missing_is_named_and_what_there_is_instead(samples):
    "Does it keep the rules?"
    check_inputs(samples, ("optical", "elevation"))
    with pytest.raises(ValueError) as e:
        check_inputs(samples, ("optical", "radar"))
    print(e.value)
    assert "'radar' is missing: the network reads optical, radar, the samples have" in str(e.value)
