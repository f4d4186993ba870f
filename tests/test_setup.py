"""Setup

Written by nbdev-export from the check cells of nbs/api/01_setup.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
import math

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mtl_explain.files.schemas import check_document
from mtl_explain.modality import Modality, from_dict, modality_schema, to_dict
from mtl_explain.setup import Setup, check_setup, main_share, scaled_weights, setup_schema, setup_table


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


# one experiment in three variants
@pytest.fixture(scope='module')
def base():
    return Setup("optical", "landcover", name="baseline")


@pytest.fixture(scope='module')
def mml():
    return Setup(("optical", "weather"), "landcover", core="optical")


@pytest.fixture(scope='module')
def mtl():
    return Setup(
        "optical", ("landcover", "weather"), core="optical", weights=dict(landcover=3, weather=1)
    )


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
    # scaled once, they stay as they are to the last digit, also by way of JSON: a run knows its own folder again
    rng = np.random.default_rng(0)
    for n in range(1, 9):
        for _ in range(100):
            made = scaled_weights(
                tuple("abcdefgh"[:n]), dict(zip("abcdefgh", 10 ** rng.uniform(-6, 6, n), strict=False))
            )
            again = scaled_weights(tuple(made), json.loads(json.dumps(made)))
            assert again == made
            assert math.isclose(math.fsum(made.values()), 1, rel_tol=1e-15)


def test_sixty_per_cent_for_the_main_task():
    "What each task weighs."
    assert main_share(("lulc", "dem", "season"), 0.6) == dict(lulc=0.6, dem=0.2, season=0.2)
    with pytest.raises(ValueError, match="between 0 and 1"):
        main_share(("a", "b"), 60)


def test_a_setup_with_all_fields_fits_its_schema_after_json():
    "Its rules."
    # a setup with all fields fits its schema after JSON; wrong fields are named
    assert set(setup_schema["properties"]) == set(Setup.__dataclass_fields__)
    assert set(modality_schema["properties"]) == set(Modality.__dataclass_fields__)
    full = Setup(
        ("optical", "dem"),
        ("landcover", "age"),
        "age",
        dict(landcover=1, age=3),
        "all",
        ("optical",),
        dict(optical=dict(type="unet")),
        dict(age=dict(width=3)),
        dict(widths=[8]),
        dict(type=""),
        dict(landcover=dict(class_weights=[1, 2])),
        (dict(type="consistency", tasks=["a", "b"]),),
        dict(type="dwa"),
        dict(dem=dict(mean=[0.0], std=[1.0])),
        dict(crop="soybean"),
        "crop",
        dict(photos=["optical"]),
    )
    check_document(json.loads(json.dumps(to_dict(full))), setup_schema, "here")
    for values, match in (
        (dict(inputs="optical"), "inputs is .optical., expected a list"),
        (dict(inputs=[]), "expected at least 1 entries"),
        (dict(weights=dict(age="3")), "weights.age is .3., expected a number"),
        (
            dict(scaling=dict(dem=dict(mean=[0.0], std=[0]))),
            r"scaling.dem.std\[0\] is 0, expected more than 0",
        ),
        (dict(encoders=dict(optical="unet")), "encoders.optical is .unet., expected a dictionary"),
        (dict(losses=[]), "losses is .*, expected a dictionary"),
        (dict(cost=3), "cost is unknown"),
    ):
        with pytest.raises(ValueError, match=match):
            check_document(json.loads(json.dumps(to_dict(full))) | values, setup_schema, "here")


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
        Setup("optical", "landcover", weights=dict(weather=1))
    with pytest.raises(ValueError, match="for 'weather', which this setup does not use"):
        Setup("optical", "landcover", encoders=dict(weather={}))
    with pytest.raises(
        ValueError, match="augment: photograph 'landcover' is not among the inputs optical"
    ):
        Setup("optical", "landcover", augment=dict(photos=["landcover"]))


def test_the_variant_is_a_property_of_the_roles(base, mml, mtl):
    "Baseline, MML, MTL."
    assert [s.variant for s in (base, mml, mtl)] == ["baseline", "MML", "MTL"]
    assert mtl.auxiliary == ("weather",)
    assert base.auxiliary == ()
    assert mml.names == ("optical", "weather", "landcover")
    assert mtl.weights == dict(landcover=0.75, weather=0.25)
    assert from_dict(Setup, json.loads(json.dumps(to_dict(mtl)))) == mtl
    rich = Setup(
        "optical",
        "zone",
        augment=dict(photos=["optical"], place=dict(zoom=0.2)),
        relations=(dict(type="hierarchy", tasks=("zone", "zone")),),
        scaling=dict(optical=dict(mean=[1.0], std=[2.0])),
        weighting=dict(type="uncertainty"),
    )
    assert to_dict(from_dict(Setup, json.loads(json.dumps(to_dict(rich))))) == json.loads(
        json.dumps(to_dict(rich))
    )


def test_a_modality_more_read_or_predicted(base, mml, mtl):
    "Shifting a modality."
    assert base.with_input("weather").inputs == mml.inputs
    assert base.with_input("weather").variant == "MML"
    assert base.with_target("weather").targets == mtl.targets
    assert base.with_target("weather").weights == dict(landcover=0.5, weather=0.5)
    assert mtl.with_target("zone").weights == pytest.approx(
        dict(landcover=0.6, weather=0.2, zone=0.2)
    ), "3:1:1"
    assert base.variant == "baseline", "the setup one starts from stays what it is"


def test_from_mml_to_mtl_and_back_and_what_cannot_be_shifted(mml, mtl, base):
    "Shifting a modality."
    assert mml.shift("weather").targets == mtl.targets
    assert mml.shift("weather").variant == "MTL"
    assert mml.shift("weather").shift("weather") == mml
    narrow = Setup(
        ("optical", "weather"),
        "landcover",
        core="optical",
        encoders=dict(weather=dict(width=8), optical=dict(width=4)),
    )
    assert narrow.shift("weather").encoders == dict(optical=dict(width=4))
    tied = Setup(
        "optical",
        ("climate", "zone"),
        relations=(dict(type="hierarchy", tasks=("climate", "zone")),),
        losses=dict(climate=dict(class_weights=[1, 2])),
    )
    assert tied.with_input("weather").relations == tied.relations
    assert tied.shift("zone").relations == ()
    assert tied.with_target("age").losses == tied.losses
    lit = Setup(
        ("optical", "aerial"),
        "landcover",
        augment=dict(photos=["optical", "aerial"], place=dict(zoom=0)),
    )
    assert lit.shift("aerial").augment == dict(photos=["optical"], place=dict(zoom=0))
    assert lit.with_target("age").augment == lit.augment
    with pytest.raises(ValueError, match="is the main task"):
        base.shift("landcover")
    with pytest.raises(ValueError, match="has no role"):
        base.shift("weather")
    with pytest.raises(ValueError, match="nothing to read"):
        base.shift("optical")


def test_a_name_that_the_samples_lack(mml, optical, cover, weather):
    "Does the setup fit the data?"
    check_setup(mml, dict(optical=optical, landcover=cover, weather=weather))
    with pytest.raises(
        ValueError, match="names 'weather', but the samples only have landcover, optical"
    ):
        check_setup(mml, dict(optical=optical, landcover=cover))


def test_the_arrows(base, mml, mtl):
    "A setup shows itself."
    table = setup_table([base, mml, mtl])
    assert list(table["weather"]) == ["", "→□", "□→"]
    assert list(table["landcover"]) == ["□⇒"] * 3
    assert table.index.tolist() == ["baseline", "MML", "MTL"]


def test_a_setup_in_a_notebook_shows_its_roles_and_weights(mtl):
    "A setup shows itself."
    assert "□⇒" in mtl._repr_html_()
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
