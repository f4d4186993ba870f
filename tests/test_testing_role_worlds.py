"""Worlds with roles

Written by nbdev-export from the check cells of nbs/api/testing/08_role_worlds.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pandas as pd
import pytest

from mtl_explain.testing.role_worlds import right_roles, role_world


@pytest.fixture(scope='module')
def world():
    return role_world()


def test_each_nature_is_what_it_is_said_to_be(world):
    "Worlds with roles."
    assert set(world.data_vars) == {"image", "answer", *right_roles}
    known = world.isel(sample=np.isfinite(world.answer.values[:, 0]))
    assert 100 < (known.split == "train").sum() < 140
    held = known.isel(sample=known.split.values != "train")
    r = {m: np.corrcoef(held[m].values[:, 0], held.answer.values[:, 0])[0, 1] for m in right_roles}
    assert r["clean"] > 0.4
    assert all(abs(r[n]) < 0.1 for n in ("noisy", "shifted", "unrelated"))
    learnt = known.isel(sample=known.split.values == "train")
    assert np.corrcoef(learnt.shifted.values[:, 0], learnt.answer.values[:, 0])[0, 1] > 0.4
    pd.Series(r).round(2)


def test_other_worlds(world):
    "Worlds with roles."
    # other worlds: of one nature, of another seed; a nature that is not known is refused
    nothing = role_world(("unrelated",) * 4, n=200)
    assert [m for m in nothing if m.startswith("unrelated")] == [
        "unrelated",
        "unrelated_2",
        "unrelated_3",
        "unrelated_4",
    ]
    assert not np.array_equal(role_world(seed=1).image, world.image)
    assert np.array_equal(role_world(seed=0).image, world.image)
    with pytest.raises(ValueError, match="no nature 'dirty'"):
        role_world(("dirty",))
