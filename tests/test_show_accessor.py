"""Datasets that show themselves

Written by nbdev-export from the check cells of nbs/api/show/05_accessor.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import numpy as np
import pytest
import xarray as xr

from mtl_explain.data.samples import describe
from mtl_explain.datasets import globe
from mtl_explain.show.accessor import trace_table
from mtl_explain.testing.planted import planted_trace
from mtl_explain.testing.toy_samples import toy_samples
from mtl_explain.trace import shown_split


@pytest.fixture(scope='module')
def trace():
    return planted_trace()


def test_three_samples_by_hand():
    "Datasets that show themselves."
    # three samples by hand: the second epoch is the best for the main task, one label is missing
    error = np.array(
        [
            [[1.0, 4.0], [1.0, 2.0], [0.0, np.nan]],
            [[0.0, 3.0], [0.0, 1.0], [0.0, np.nan]],
            [[1.0, 2.0], [0.0, 0.0], [0.0, np.nan]],
        ]
    )
    small = xr.Dataset(
        dict(error=(("epoch", "sample", "task"), error), loss=(("epoch", "sample", "task"), error)),
        dict(
            epoch=[0, 1, 2],
            sample=["a", "b", "c"],
            task=["cover", "height"],
            split=("sample", ["valid", "valid", "valid"]),
            units=("task", ["", "m"]),
        ),
        dict(main="cover"),
    )
    found = trace_table(small)
    assert found.loc["height", ["first", "kept", "last", "units"]].tolist() == [3, 2, 1, "m"]
    cover = found.loc["cover", ["first", "kept", "last"]].astype(float)
    assert cover.round(3).tolist() == [0.667, 0, 0.333]
    assert found.missing.round(1).tolist() == [0, 33.3]
    assert shown_split(small) == "valid"
    assert shown_split(small.drop_vars("split")) == ""


def test_both_views_say_the_same_and_what_is_neither_is_refused(trace):
    "The accessor."
    assert "270 samples" in repr(globe.load_sample().mtl)
    assert "landcover" in globe.load_sample().mtl._repr_html_()
    assert repr(trace.mtl).startswith("Trace of ")
    assert str(trace.sizes["epoch"]) in trace.mtl.headline
    assert list(trace.mtl.table.index) == list(trace.task.values)
    assert toy_samples(5).mtl.table.equals(describe(toy_samples(5)))
    neither = xr.Dataset(dict(a=("x", [1, 2])))
    with pytest.raises(ValueError, match="neither a sample set .* nor a trace .* dimensions x"):
        repr(neither.mtl)
