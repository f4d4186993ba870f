"""Figures

Written by nbdev-export from the check cells of nbs/api/show/00_figures.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import matplotlib.pyplot as plt

from mtl_explain.palette import blue, green, orange
from mtl_explain.show.figures import diagram, edge_point, figure_png, shown_size


def test_an_inch_is_110_pixels_on_a_page():
    "Figures."
    _, ax = plt.subplots(figsize=(4, 2), layout="constrained")
    width, height = shown_size(figure_png(ax))
    assert 4 * 110 * 0.9 < width < 4 * 110 * 1.1
    assert 2 * 110 * 0.9 < height < 2 * 110 * 1.1


def test_where_an_arrow_leaves_its_box():
    "Seeing it."
    assert edge_point((2, 2, 1, 0.5), (6, 2)) == (3, 2)
    assert edge_point((2, 2, 1, 0.5), (2, 0)) == (2, 1.5)
    assert edge_point((2, 2, 1, 0.5), (4, 4)) == (2.5, 2.5)


def test_a_block_of_the_transformer_as_a_diagram():
    "Seeing it."
    boxes = {
        "in": (0.6, 0.9, "map\nC×H×W"),
        "norm": (1.9, 0.9, "norm"),
        "q": (3.1, 0.5, "question", blue),
        "r": (3.1, 1.3, "reduction\nr×r", green),
        "att": (4.6, 0.9, "attention", blue),
        "add": (5.6, 0.9, "+"),
        "norm2": (6.3, 0.9, "norm"),
        "mlp": (7.5, 0.9, "MLP with\n3×3", orange),
        "add2": (8.6, 0.9, "+"),
    }
    arrows = [
        ("in", "norm"),
        ("norm", "q"),
        ("norm", "r"),
        ("q", "att"),
        ("r", "att"),
        ("att", "add"),
        ("add", "norm2"),
        ("norm2", "mlp"),
        ("mlp", "add2"),
        ("in", "add", -0.28),
        ("add", "add2", -0.28),
    ]
    ax = diagram(boxes, arrows, (9, 1.8))
    assert len(ax.texts) >= len(boxes)
