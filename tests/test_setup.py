"""Setup

Written by nbdev-export from the check cells of nbs/api/01_setup.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from mtl_explain.files.schemas import check_document
from mtl_explain.modality import Modality, from_dict, to_dict
from mtl_explain.setup import (
    Setup, Setups, _training, check_setup, main_share, options_by_name, plain_data, scaled_weights,
    setup_schema, setup_table, with_weights,
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
def full():
    "A setup with all fields."
    return Setup(
        inputs=dict(optical=dict(type="unet"), dem=dict(scaling=dict(mean=[0.0], std=[1.0]))),
        targets=dict(
            landcover=dict(weight=1, loss=dict(class_weights=[1, 2])), age=dict(weight=3, width=3)
        ),
        main="age",
        name="all",
        core=("optical",),
        network=dict(fusion=dict(widths=[8])),
        relations=(dict(type="consistency", tasks=["a", "b"]),),
        weighting=dict(type="dwa"),
        where=dict(crop="soybean"),
        training=dict(balance="crop", augment=dict(photos=["optical"])),
    )


# one experiment in three variants
@pytest.fixture(scope='module')
def base():
    return Setup("optical", "landcover", name="baseline")


@pytest.fixture(scope='module')
def mml():
    return Setup(("optical", "weather"), "landcover", core="optical")


@pytest.fixture(scope='module')
def mtl():
    return Setup("optical", dict(landcover=dict(weight=3), weather=dict(weight=1)), core="optical")


def test_the_weights_of_appendix_b_2_and_b_3():
    "What each task weighs."
    w = scaled_weights(
        ("lulc", "dem", "climate", "season", "weather"),
        dict(lulc=9, dem=1, climate=1, season=1, weather=1),
    )
    assert w["lulc"] == 9 / 13
    assert sum(w.values()) == pytest.approx(1)
    assert scaled_weights(("l3", "l2", "age"), dict(l3=4, l2=1, age=1))["l3"] == pytest.approx(2 / 3)
    assert scaled_weights(("a", "b"), {}) == dict(a=0.5, b=0.5)
    for bad in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="must be positive"):
            scaled_weights(("a", "b"), dict(a=1, b=bad))


def test_scaled_once_they_stay_as_they_are_to_the_last_digit_also_by_way_of():
    "What each task weighs."
    # scaled once, they stay as they are to the last digit, also by way of JSON
    rng = np.random.default_rng(0)
    for n in range(1, 9):
        for _ in range(100):
            made = scaled_weights(
                tuple("abcdefgh"[:n]), dict(zip("abcdefgh", 10 ** rng.uniform(-6, 6, n), strict=False))
            )
            again = scaled_weights(tuple(made), json.loads(json.dumps(made)))
            assert again == made
            assert math.isclose(math.fsum(made.values()), 1, rel_tol=1e-15)


def test_arrays_and_tensors_become_lists_what_is_no_data_is_refused_by_name():
    "What each task weighs."
    assert plain_data(np.array([1.0, 2.0]), "x") == [1.0, 2.0]
    assert plain_data(torch.ones(2), "x") == [1.0, 1.0]
    assert plain_data(dict(a=(np.float32(10), np.int64(3), True)), "x") == dict(a=[10.0, 3, True])
    assert type(plain_data(np.float32(10), "x")) is float
    with pytest.raises(ValueError, match="weighting.speed is of type PosixPath; a setup holds plain"):
        plain_data(dict(speed=Path("/x")), "weighting")


def test_a_name_names_names_with_options():
    "What each task weighs."
    assert options_by_name("optical") == dict(optical={})
    assert options_by_name(("optical", "dem")) == dict(optical={}, dem={})
    assert options_by_name(dict(optical=dict(width=8), dem={})) == dict(optical=dict(width=8), dem={})
    with pytest.raises(ValueError, match="options of 'optical' are 'unet', expected a dictionary"):
        options_by_name(dict(optical="unet"))


def test_sixty_per_cent_for_the_main_task():
    "What each task weighs."
    assert main_share(("lulc", "dem", "season"), 0.6) == dict(
        lulc=dict(weight=0.6), dem=dict(weight=0.2), season=dict(weight=0.2)
    )
    typed = dict(lulc=dict(type="conv"), dem={})
    assert main_share(typed, 0.8)["lulc"] == dict(type="conv", weight=0.8)
    assert main_share("lulc", 0.6) == dict(lulc={}), "one task has it all"
    assert with_weights(typed, dict(lulc=3, dem=1)) == dict(
        lulc=dict(type="conv", weight=0.75), dem=dict(weight=0.25)
    )
    with pytest.raises(ValueError, match="between 0 and 1"):
        main_share(("a", "b"), 60)


def test_a_setup_with_all_fields_fits_its_schema_after_json(full):
    "Its rules."
    # a setup with all fields fits its schema after JSON; wrong fields are named
    assert set(setup_schema["properties"]) == set(Setup.__dataclass_fields__)
    assert set(setup_schema["properties"]["training"]["properties"]) == set(_training)
    assert not [k for k in Setup.__dataclass_fields__ if not getattr(full, k)]
    plain = json.loads(json.dumps(to_dict(full)))
    check_document(plain, setup_schema, "here")
    for values, match in (
        (dict(inputs="optical"), "inputs is .optical., expected a dictionary"),
        (dict(inputs={}), "inputs .*expected at least 1"),
        (dict(targets=dict(age=dict(weight="3"))), "targets.age.weight is .3., expected a number"),
        (
            dict(inputs=dict(dem=dict(scaling=dict(mean=[0.0], std=[0])))),
            r"inputs.dem.scaling.std\[0\] is 0, expected more than 0",
        ),
        (dict(inputs=dict(optical="unet")), "inputs.optical is .unet., expected a dictionary"),
        (dict(targets=dict(age=dict(loss=[]))), "loss is .*, expected a dictionary"),
        (dict(training=dict(speed=3)), "training.speed is unknown"),
        (dict(cost=3), "cost is unknown"),
    ):
        with pytest.raises(ValueError, match=match):
            check_document(plain | values, setup_schema, "here")


def test_defaults_and_rules_of_a_setup():
    "Its rules."
    assert Setup("optical", ("landcover", "dem")).main == "landcover"
    assert Setup("optical", "landcover").core == ("optical",)
    with pytest.raises(ValueError, match="'weather' is both input and target"):
        Setup(("optical", "weather"), ("landcover", "weather"))
    with pytest.raises(ValueError, match="main task 'age' is not among"):
        Setup("optical", "landcover", main="age")
    with pytest.raises(ValueError, match="at least one input"):
        Setup((), "landcover")
    with pytest.raises(ValueError, match="at least one target"):
        Setup("optical", ())
    with pytest.raises(ValueError, match="loss weights are given for"):
        Setup("optical", dict(landcover=dict(weight=1), dem={}))
    with pytest.raises(ValueError, match="'dem' is an input and has no weight"):
        Setup(dict(optical={}, dem=dict(weight=1)), "landcover")
    with pytest.raises(ValueError, match="training has no option 'speed'; it has balance, augment"):
        Setup("optical", "landcover", training=dict(speed=1))
    with pytest.raises(
        ValueError, match="augment: photograph 'landcover' is not among the inputs optical"
    ):
        Setup("optical", "landcover", training=dict(augment=dict(photos=["landcover"])))


def test_the_variant_is_a_property_of_the_roles(base, mml, mtl):
    "Baseline, MML, MTL."
    assert [s.variant for s in (base, mml, mtl)] == ["baseline", "MML", "MTL"]
    assert mtl.auxiliary == ("weather",)
    assert base.auxiliary == ()
    assert mml.names == ("optical", "weather", "landcover")
    assert from_dict(Setup, json.loads(json.dumps(to_dict(mtl)))) == mtl
    rich = Setup(
        dict(optical=dict(scaling=dict(mean=[1.0], std=[2.0]))),
        "zone",
        relations=(dict(type="hierarchy", tasks=("zone", "zone")),),
        weighting=dict(type="uncertainty"),
        training=dict(augment=dict(photos=["optical"], place=dict(zoom=0.2))),
    )
    assert from_dict(Setup, json.loads(json.dumps(to_dict(rich)))) == rich


def test_what_stands_beside_a_name_part_by_part(full):
    "Part by part."
    assert full.encoders == dict(optical=dict(type="unet"), dem={})
    assert full.heads == dict(landcover={}, age=dict(width=3))
    assert full.losses == dict(landcover=dict(class_weights=[1, 2]))
    assert full.weights == dict(landcover=0.25, age=0.75)
    assert full.scaling == dict(dem=dict(mean=[0.0], std=[1.0]))


def test_one_option_more_another_value_one_less(base, mtl):
    "Part by part."
    wide = base.with_options("optical", type="unet", width=16)
    assert wide.encoders == dict(optical=dict(type="unet", width=16))
    assert wide.with_options("optical", width=None).encoders == dict(optical=dict(type="unet"))
    assert mtl.with_options("weather", n_layers=2).heads["weather"] == dict(n_layers=2)
    assert mtl.with_options("weather", n_layers=2).weights == mtl.weights
    with pytest.raises(ValueError, match="'age' has no role in this setup; it has optical, landcover"):
        base.with_options("age", width=2)


def test_a_modality_more_read_or_predicted(base, mml, mtl):
    "Shifting a modality."
    assert base.with_input("weather").inputs == mml.inputs
    assert base.with_input("weather", width=8).encoders["weather"] == dict(width=8)
    assert base.with_input("weather").variant == "MML"
    assert list(base.with_target("weather").targets) == list(mtl.targets)
    assert base.with_target("weather").weights == dict(landcover=0.5, weather=0.5)
    assert mtl.with_target("zone").weights == pytest.approx(
        dict(landcover=0.6, weather=0.2, zone=0.2)
    ), "3:1:1"
    assert base.variant == "baseline", "the setup one starts from stays what it is"


def test_from_mml_to_mtl_and_back_and_what_cannot_be_shifted(mml, mtl, base):
    "Shifting a modality."
    assert list(mml.shift("weather").targets) == list(mtl.targets)
    assert mml.shift("weather").variant == "MTL"
    assert mml.shift("weather").shift("weather") == mml
    narrow = Setup(
        dict(optical=dict(width=4), weather=dict(width=8, scaling=dict(mean=[0.0], std=[2.0]))),
        "landcover",
        core="optical",
    )
    with pytest.warns(UserWarning, match="'weather' is no longer an input.*dropped: width=8"):
        moved = narrow.shift("weather")
    assert moved.encoders == dict(optical=dict(width=4))
    assert moved.scaling == narrow.scaling
    tied = Setup(
        "optical",
        dict(climate=dict(loss=dict(class_weights=[1, 2])), zone={}),
        relations=(dict(type="hierarchy", tasks=("climate", "zone")),),
    )
    assert tied.with_input("weather").relations == tied.relations
    assert tied.shift("zone").relations == ()
    assert tied.with_target("age").losses == tied.losses
    lit = Setup(
        ("optical", "aerial"),
        "landcover",
        training=dict(augment=dict(photos=["optical", "aerial"], place=dict(zoom=0))),
    )
    assert lit.shift("aerial").training["augment"] == dict(photos=["optical"], place=dict(zoom=0))
    assert lit.with_target("age").training == lit.training
    with pytest.raises(ValueError, match="is the main task"):
        base.shift("landcover")
    with pytest.raises(ValueError, match="has no role"):
        base.shift("weather")
    with pytest.raises(ValueError, match="nothing to read"):
        base.shift("optical")


def test_apart_the_same_roles_another_network_and_no_ties(base):
    "The same tasks, apart."
    tied = Setup(
        "optical",
        ("climate", "zone"),
        name="levels",
        network=dict(fusion=dict(widths=[8])),
        relations=(dict(type="hierarchy", tasks=("climate", "zone")),),
        weighting=dict(type="uncertainty"),
    )
    apart = tied.separate()
    assert apart.name == "levels-separate"
    assert apart.variant == "separate"
    assert (apart.inputs, apart.targets) == (tied.inputs, tied.targets)
    assert apart.network == dict(type="separate", of=tied.network)
    assert apart.relations == ()
    assert apart.weighting == {}
    assert apart.separate() == apart
    with pytest.raises(ValueError, match="'landcover' is the only task"):
        base.separate()
    reading = Setup("optical", dict(change={}, height={}, pseudo=dict(type="soft", reads="height")))
    with pytest.raises(ValueError, match="'pseudo' reads the prediction of 'height'"):
        reading.separate()


def test_a_name_that_the_samples_lack(mml, optical, cover, weather):
    "Does the setup fit the data?"
    check_setup(mml, dict(optical=optical, landcover=cover, weather=weather))
    with pytest.raises(
        ValueError, match="names 'weather', but the samples only have landcover, optical"
    ):
        check_setup(mml, dict(optical=optical, landcover=cover))


def test_the_roles_in_words(base, mml, mtl):
    "A setup shows itself."
    table = setup_table([base, mml, mtl])
    assert list(table["weather"]) == ["", "input", "target"]
    assert list(table["landcover"]) == ["main"] * 3
    assert table.index.tolist() == ["baseline", "MML", "MTL"]


def test_a_setup_in_a_notebook_shows_its_roles_and_weights(mtl):
    "A setup shows itself."
    assert "main" in mtl._repr_html_()
    assert "0.75" in mtl._repr_html_()
    hostile = "<img src=x onerror=alert(1)>"
    assert "<img" not in Setup(hostile, (hostile + "1", hostile + "2"), name=hostile)._repr_html_()


def test_a_modality_moves_from_one_side_to_the_other(mml):
    "A setup shows itself."
    fig, axs = plt.subplots(1, 2, figsize=(9, 1.8), layout="constrained")
    for ax, s in zip(axs, (mml, mml.shift("weather")), strict=True):
        s.plot(ax)
    assert {t.get_text() for t in axs[0].texts} >= {"network", "optical", "weather", "landcover"}
    assert {t.get_text() for t in axs[1].texts} >= {
        "network",
        "optical",
        "landcover  0.50",
        "weather  0.50",
    }


def test_a_dictionary_but_for_a_name_that_is_not_there(mtl, mml):
    "Several of them, by name."
    named = Setups({"climate-mtl": mtl, "climate-mml": mml})
    assert named["climate-mtl"] is mtl and named.get("rain") is None
    with pytest.raises(KeyError, match="no setup 'climate-mlt' .did you mean 'climate-mtl'"):
        named["climate-mlt"]
    with pytest.raises(KeyError, match="no setup '9'; known: climate-mtl, climate-mml"):
        named["9"]
