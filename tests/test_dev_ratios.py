"""A table of ratios

Written by nbdev-export from the check cells of nbs/dev/09_ratios.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import tempfile
from pathlib import Path

import pandas as pd
import pytest

from mtl_explain.dev.ratios import columns, is_reached, keep_ratio, read_ratios


def test_rows_are_replaced_by_newer_ones_and_keep_their_order():
    "Why."
    # rows are replaced by newer ones and keep their order; a goal is reached from its side
    with tempfile.TemporaryDirectory() as d:
        path = Path(d) / "ratios.csv"
        assert read_ratios(path).empty
        keep_ratio("slow", 3.0, 1.05, path=path)
        keep_ratio("fast", 9.12345, -8, "times", path=path)
        keep_ratio("slow", 1.0, 1.05, path=path)
        table = read_ratios(path)
        assert table["what"].tolist() == ["fast", "slow"]
        assert table["measured"].tolist() == [9.12, 1.0]
        assert table["goal"].tolist() == ["at least 8", "at most 1.05"]
        assert [is_reached(row) for _, row in table.iterrows()] == [True, True]
        assert not is_reached(pd.Series(dict(measured=7.9, goal="at least 8")))
        assert list(table) == columns
        with pytest.raises(ValueError, match="could not convert"):
            is_reached(pd.Series(dict(measured=1, goal="at most much")))
