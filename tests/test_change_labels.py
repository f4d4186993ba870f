"""Labels of change

Written by nbdev-export from the check cells of nbs/api/change/00_labels.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import warnings

import numpy as np
import pandas as pd

from mtl_explain.change.labels import height_difference, pseudo_label, semantic_label


def test_the_eleven_cases_of_section_4_a_pixel_each():
    "From heights to labels."
    cases = pd.DataFrame(
        [
            ("new house on a meadow", 0.0, 9.0, 1, 0, 1, 2, 2),
            ("house gone", 8.0, 0.0, 1, 1, 0, 1, 1),
            ("rebuilt higher", 6.0, 12.0, 1, 1, 1, 2, 2),
            ("rebuilt lower", 12.0, 6.0, 1, 1, 1, 1, 1),
            ("house gone, under a grown tree", 9.0, 11.0, -1, 1, 0, 1, 2),
            ("new glass roof, laser on floor", 0.2, -0.2, -1, 0, 1, 2, 1),
            ("house gone, tree taken as height", 9.0, 11.0, 1, 1, 0, 0, 2),
            ("garden inside the mask", 0.0, 2.0, 1, 0, 0, 0, 2),
            ("untouched house", 8.0, 8.1, 0, 1, 1, 0, 0),
            ("same height to the millimetre", 8.0, 8.0, 1, 1, 1, 0, 0),
            ("new house where water was", np.inf, 9.0, 1, 0, 1, 0, -1),
        ],
        columns=["what", "early", "late", "M", "before", "after", "semantic", "pseudo"],
    )
    difference = height_difference(cases.early.values, cases.late.values, cases.M.values)
    semantic = semantic_label(difference, cases.M, cases.before, cases.after)
    assert semantic.tolist() == cases.semantic.tolist()
    assert pseudo_label(difference).tolist() == cases.pseudo.tolist()
    cases.assign(change=difference.round(1)).set_index("what")


def test_the_threshold_of_equation_3_is_strict_and_symmetric():
    "From heights to labels."
    x = np.array([-7.3, -1.2, -1, -0.4, 0, 0.6, 1, 1.2, 7.9])
    assert pseudo_label(x).tolist() == [1, 1, 1, 1, 0, 2, 2, 2, 2]
    assert pseudo_label(x, 1.0).tolist() == [1, 1, 0, 0, 0, 0, 0, 2, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # huge and infinite nodata must not overflow on the way
        nothing = height_difference(
            np.array([3.4028235e38, -np.inf, np.nan, -9999, -999], "float32"),
            np.array([-3.4e38, 1, 2, 3, 4], "float32"),
            np.ones(5),
        )
    assert np.isnan(nothing).all()
