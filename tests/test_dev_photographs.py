"""Figures of photographs

Written by nbdev-export from the check cells of nbs/dev/15_photographs.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import base64
import io
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
from IPython.core.formatters import DisplayFormatter
from IPython.core.pylabtools import print_figure
from PIL import Image

from mtl_explain.dev.photographs import photographs, sharp_jpeg


def test_twice_as_many_pixels_as_it_takes_on_the_page_and_lighter_than_a_png():
    "One figure."
    fig, ax = plt.subplots(figsize=(4, 3))
    ax.imshow(np.random.default_rng(0).random((60, 80, 3)), interpolation="bilinear")
    data, size = sharp_jpeg(fig)
    picture = base64.b64decode(data)
    assert Image.open(io.BytesIO(picture)).format == "JPEG"
    assert Image.open(io.BytesIO(picture)).width // 2 == size["width"]
    assert len(picture) < len(print_figure(fig, fmt="retina")) / 2
    once = Image.open(io.BytesIO(print_figure(fig))).size
    assert abs(once[0] - size["width"]) <= 1 and abs(once[1] - size["height"]) <= 1
    assert sharp_jpeg(plt.figure()) is None
    plt.close("all")


def test_a_kernel_shows_jpeg_from_now_on():
    "All figures of a page."
    # a kernel shows JPEG from now on; what is no kernel is left alone
    kernel = SimpleNamespace(kernel=True, display_formatter=DisplayFormatter())
    fig, ax = plt.subplots()
    photographs(70, kernel)
    shown, about = kernel.display_formatter.format(fig)
    assert "image/png" not in shown
    assert base64.b64decode(shown["image/jpeg"])[:3] == b"\xff\xd8\xff"
    assert set(about["image/jpeg"]) == {"width", "height"}
    plain = SimpleNamespace(display_formatter=DisplayFormatter())
    photographs(70, plain)
    assert "image/jpeg" not in plain.display_formatter.format(fig)[0]
    plt.close(fig)
