"""The gallery's thumbnails

Written by nbdev-export from the check cells of nbs/dev/13_gallery.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import base64
import io
import re

import pytest
from PIL import Image

from mtl_explain.dev.gallery import card, gallery_text, page_pictures, thumbnail


@pytest.fixture(scope='module')
def small_page():
    "A page with two pictures under one heading, and one without a heading."
    def drawn(color, code):
        file = io.BytesIO()
        Image.new("RGBA", (640, 320), color).save(file, "PNG")
        data = {"image/png": base64.b64encode(file.getvalue()).decode()}
        return dict(cell_type="code", source=code, outputs=[dict(data=data)])
    return dict(
        cells=[
            dict(cell_type="markdown", source="# Three pictures"),
            drawn("red", "# all of it\nplot()"),
            dict(cell_type="markdown", source="## Parts\n\nof it"),
            dict(cell_type="code", source="1 + 1", outputs=[dict(data={"text/plain": "2"})]),
            drawn("green", "plot_part()"),
            drawn("blue", "plot_rest()"),
        ]
    )


def test_the_first_picture_of_each_heading_small_with_a_text(small_page):
    "The pictures of a page."
    pictures = page_pictures(small_page)
    assert list(pictures) == ["Three pictures", "Parts"]
    assert pictures["Parts"][1] == "Parts: plot_part()"
    address, size = thumbnail(pictures["Parts"][0])
    assert size == (160, 80)
    tall = io.BytesIO()
    Image.new("L", (320, 900)).save(tall, "PNG")
    assert thumbnail(tall.getvalue())[1] == (160, 110)
    small = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    assert small.size == (320, 160)
    assert small.getpixel((0, 0))[1] > 100 > small.getpixel((0, 0))[0]


def test_a_card_a_page_one_without_a_picture_a_card_a_figure(small_page):
    "Cards."
    # a card a page, one without a picture, a card a figure; what leads there is relative
    text_page = dict(cells=[dict(cell_type="markdown", source="# Only <text>\n\n> And why.")])
    small_gallery = {
        "gallery/index.ipynb": text_page,
        "gallery/figures.ipynb": small_page,
        "gallery/a.ipynb": small_page,
        "gallery/b.ipynb": text_page,
        "studies/c.ipynb": small_page,
    }
    html = gallery_text(small_gallery)
    assert re.findall(r'href="([^"]*)"', html) == [
        "a.html",
        "b.html",
        "figures.html#three-pictures",
        "figures.html#parts",
    ]
    assert html.count("<img ") == html.count(" alt=") == 3
    assert "<b>Only &lt;text&gt;</b>" in html
    assert '<span class="no-picture">And why.</span>' in html
    assert card("t", "u", None).count("<img") == 0
