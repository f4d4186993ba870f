"""Colours

Written by nbdev-export from the check cells of nbs/api/03_palette.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import seaborn as sns

from mtl_explain.palette import (
    answer_colors, blue, brown, case_colors, green, grey, group_colors, orange, pink, purple, red,
    role_colors, sky, split_colors, yellow,
)


def test_they_are_seaborns():
    "Ten colours."
    ten = [blue, orange, green, red, purple, brown, pink, grey, yellow, sky]
    assert ten == sns.color_palette("colorblind").as_hex()


def test_within_a_table_every_colour_means_one_thing_and_a_case_has_the_colour():
    "What they stand for."
    # within a table every colour means one thing, and a case has the colour of its group
    for table in (role_colors, split_colors, answer_colors, group_colors, case_colors):
        assert len(set(table.values())) == len(table)
    for case in ("CC-in", "CF-in", "FC-out", "FF-in"):
        assert case_colors[case] == group_colors[case[:2]]
