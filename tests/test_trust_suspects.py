"""Bad inputs, wrong labels

Written by nbdev-export from the check cells of nbs/api/trust/08_suspects.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest

from mtl_explain.explain.resampling import difference, estimate
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.trust.flags import planted_flags
from mtl_explain.trust.suspects import alone_suspicious, corrupted, corruptions, label_quality, precision_at


def suspicious_world(seed, told=True):
    "Precision among as many as were changed: by the label alone, and against the other task."
    world = planted_flags(spoilt=0.1, sharpness=8.0, n_blocks=30, seed=seed)
    g = np.random.default_rng(seed)
    flipped = g.random(len(world.truth)) < 0.1
    given = np.where(flipped, (world.truth + g.integers(1, 5, len(flipped))) % 5, world.truth)
    quality = label_quality(world.evidence.probability, given)
    losses = world.evidence.auxiliary["auxiliary"]
    losses = dict(other=losses if told else g.permutation(losses))
    alone = alone_suspicious(quality, losses, world.groups)
    k = int(flipped.sum())
    own, other = (precision_at(s, flipped, world.groups, k) for s in (1 - quality, alone))
    return own, other


@pytest.fixture(scope='module')
def samples():
    return toy_samples(48)


def test_what_is_spoilt_is_what_was_asked_for_nothing_else_and_within_the_range(samples):
    "Spoilt inputs."
    # what is spoilt is what was asked for, nothing else, and within the range and type of the numbers
    bad = np.arange(48) % 4 == 0
    for kind in (*corruptions, "any"):
        found = corrupted(samples, kind, bad, ("optical",))
        same = (found.optical == samples.optical).all(("band", "y", "x")).values
        assert (same == ~bad).all(), kind
        assert found.optical.dtype == samples.optical.dtype
        assert ((found.spoilt != "") == bad).all()
        assert found.drop_vars(["optical", "spoilt"]).equals(samples.drop_vars("optical"))
        assert found.equals(corrupted(samples, kind, np.flatnonzero(bad), ("optical",)))
        assert not found.equals(corrupted(samples, kind, bad, ("optical",), seed=1)) or kind == "haze"
    bright = np.quantile(samples.optical.values, 0.999, axis=(0, 2, 3))[:, None, None]
    hazy = corrupted(samples, "haze", [0], ("optical",)).optical[0]
    assert (abs(hazy - (samples.optical[0] + bright) / 2) < 1.01).all()
    dead = corrupted(samples, "dead band", [0], ("optical",)).optical[0]
    assert (dead.std(("y", "x")) == 0).sum() == 1
    moved = corrupted(samples, "registration", [0], ("optical",)).optical[0].values
    own = samples.optical[0].values
    assert any(
        (moved[:, a:, b:][:, :12, :12] == own[:, c:, d:][:, :12, :12]).all()
        for a, c in ((4, 0), (0, 4))
        for b, d in ((4, 0), (0, 4))
    )
    warm = corrupted(samples, "season", [0], ("optical",)).optical[0]
    assert abs(warm.mean() - samples.optical[0].mean()) > 1
    for options, match in (
        (dict(kind="snow"), "a corruption is 'any' or one of cloud"),
        (dict(kind="haze", inputs=("months",)), "'months' is no image of these samples"),
    ):
        with pytest.raises(ValueError, match=match):
            corrupted(samples, which=bad, **options)
    with pytest.raises(ValueError, match="no image to spoil"):
        corrupted(samples[["months"]], "haze", bad)


def test_by_hand_and_what_cleanlab_2_9_0_gave_for_ten_samples_of_a_seed():
    "Wrong labels."
    # by hand, and what cleanlab 2.9.0 gave for ten samples of a seed (`get_normalized_margin...`)
    p = np.array([[0.7, 0.2, 0.1]] * 4)
    np.testing.assert_allclose(label_quality(p, [0, 1, 2, -1]), [0.75, 0.25, 0.2, np.nan])
    rng = np.random.default_rng(5)
    q = rng.dirichlet(np.ones(4), 10)
    given = rng.integers(0, 4, 10)
    theirs = [
        0.3404820818743034,
        0.24947584045101506,
        0.33283919956911157,
        0.5143976875141626,
        0.48425763182444637,
        0.3008239519580959,
        0.607982720799927,
        0.5386521931934029,
        0.39196170323542306,
        0.5585969874505239,
    ]
    np.testing.assert_allclose(label_quality(q, given), theirs, atol=1e-12)


def test_the_other_task_helps_where_it_knows_of_the_bad_inputs_and_changes():
    "Wrong labels."
    # the other task helps where it knows of the bad inputs, and changes little where it knows nothing
    own, other = suspicious_world(0)
    row = estimate(difference(other, own)).loc[0]
    print(
        f"precision {estimate(own).value[0]:.2f} alone, {estimate(other).value[0]:.2f} beside the other"
    )
    assert row.low > 0
    nothing = [suspicious_world(s, told=False) for s in range(5)]
    less = [estimate(difference(b, a)).value[0] for a, b in nothing]
    assert abs(np.mean(less)) < 0.02
    with pytest.raises(ValueError, match="k is 0, expected 1 to 3, as are known"):
        precision_at(np.array([1.0, 2, 3, np.nan]), np.ones(4), np.arange(4), 0)
