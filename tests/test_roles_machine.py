"""The role machine

Written by nbdev-export from the check cells of nbs/api/roles/05_machine.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pandas as pd
import pytest

from mtl_explain.roles.designs import every_design, role_names
from mtl_explain.roles.machine import machine_numbers, role_machine


@pytest.fixture(scope='module')
def every_rows_and_numbers():
    every = every_design(dict(height=role_names, type=("out", "predict")))
    rng = np.random.default_rng(0)
    rows = [
        dict(setup=c, seed=k, error=1 - 0.3 * (c[0] == "r") + 0.05 * rng.normal())
        for c in every.index
        for k in range(3)
    ]
    numbers = machine_numbers(every, pd.DataFrame(rows))
    return every, rows, numbers


def test_every_setup_is_there_with_its_mean_and_spread(every_rows_and_numbers):
    "Its page."
    # every setup is there with its mean and spread; a missing one is said
    every, rows, numbers = every_rows_and_numbers
    assert set(numbers["setups"]) == set(every.index) and len(every) == 6
    assert numbers["setups"]["ro"][0] < numbers["setups"]["oo"][0]
    assert all(n == 3 for _, _, n in numbers["setups"].values())
    with pytest.raises(ValueError, match="no error of setup 'oo'.* all 6 setups; 1 are missing"):
        machine_numbers(every, pd.DataFrame([r for r in rows if r["setup"] != "oo"]))


def test_names_are_data(every_rows_and_numbers):
    "Its page."
    # names are data: neither html nor script comes out of them
    every, rows, numbers = every_rows_and_numbers
    hostile = dict(numbers, names=["<img src=x onerror=alert(1)>", "</script><b>"])
    page = role_machine(hostile, "<i>rain</i>", "mm")
    assert "<img" not in page and "<b>" not in page and "<i>" not in page
    assert page.count("<script") == 2 == page.count("</script>")
    assert page.count('type="radio"') == 5  # type is never read
    with pytest.raises(ValueError, match="begin: there is no setup 'rr'"):
        role_machine(numbers, "rain", begin="rr")
