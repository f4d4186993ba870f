"""What a page looks like

Written by nbdev-export from the check cells of nbs/dev/02a_look.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mtl_explain.dev.look import (
    lighter_picture, narrow_code, noted_sizes, page_links, picture_key, plain_tables, silent_pictures,
    unnested, with_mathml,
)


def test_long_calls_are_broken_directives_and_comments_stay_what_is_no_python():
    "Code."
    # long calls are broken, directives and comments stay, what is no Python stays as it is
    long_call = "draw(" + ", ".join(f"parameter_{i}={i}" for i in range(8)) + ");"
    told, same = narrow_code([f"#| code-fold: true\n# why\n{long_call}", "x = 1"])
    assert max(map(len, told.splitlines())) <= 80
    assert told.startswith("#| code-fold: true\n# why\ndraw(\n")
    assert told.endswith("\n)")
    assert same == "x = 1"
    assert narrow_code(["a b c"]) == ["a b c"]
    assert narrow_code([]) == []


def test_one_name_two_names_a_name_between_words():
    "Links and pictures."
    # one name, two names, a name between words; other links stay
    assert unnested("[[`f`](/a.html#f)](b.ipynb)") == "[`f`](b.ipynb)"
    assert (
        unnested("[[`f`](/a.html), [`g`](/a.html)](b.ipynb) · [c](d)") == "[`f`, `g`](b.ipynb) · [c](d)"
    )
    assert unnested("see [the [`f`](/a) of b](c), [`g`](/a)") == "see [the `f` of b](c), [`g`](/a)"
    assert unnested("`x[0]` and a[`b`] (c)") == "`x[0]` and a[`b`] (c)"


def test_links_to_notebooks_with_and_without_a_place_on_the_page():
    "Links and pictures."
    # links to notebooks, with and without a place on the page; other addresses stay
    def without_number(name):
        return name.removesuffix(".ipynb").lstrip("0123456789_")


    assert (
        page_links("[a](../01_b.ipynb#c) [d](e.ipynb)", without_number)
        == "[a](../b.html#c) [d](e.html)"
    )
    for kept in ("[a](https://b.org/c.ipynb)", "[a](#c.ipynb)", "`c.ipynb`", "[a](b.png)"):
        assert page_links(kept, without_number) == kept


def test_a_lone_picture_and_those_that_are_no_figure():
    "Links and pictures."
    assert silent_pictures('a\n\n![b "c"](d.png)\n') == "a\n\n![](d.png){fig-alt=\"b 'c'\"}\n"
    for kept in ("see ![b](d.png) here", "![](d.png)", "[b](d.png)", '![b](d.png){width="3"}'):
        assert silent_pictures(kept) == kept


def test_the_name_of_an_index_moves_up():
    "Tables."
    # the name of an index moves up; two names of one column stay in two rows; empty headers are cells
    table = pd.DataFrame(dict(share_of_wrong_pixels=[1]), index=pd.Index(["a"], name="task"))
    told = plain_tables(table.to_html())
    assert "<thead><tr><th>task</th><th>share_<wbr>of_<wbr>wrong_<wbr>pixels</th></tr></thead>" in told
    assert "<th>a</th>" in told
    assert "<th></th>" not in plain_tables(pd.DataFrame(dict(a=[1])).to_html())
    both = table.rename_axis(columns="score")
    assert plain_tables(both.to_html()).count("<tr") == 3
    assert plain_tables("<p>a_b</p>") == "<p>a_b</p>"


def test_a_fraction_is_drawn_and_nothing_is_fetched():
    "Formulas."
    pytest.importorskip("latex2mathml")
    page = (
        '<link rel="stylesheet" href="https://cdn.org/katex.min.css">'
        '<script src="https://cdn.org/katex.min.js" defer></script>'
        '<p><span class="math display">\\[\\frac{a}{b} &lt; 1\\]</span></p>'
    )
    told = with_mathml(page)
    assert "<mfrac>" in told
    assert 'display="block"' in told
    assert '"application/x-tex">\\frac{a}{b} &lt; 1</annotation>' in told
    assert "katex" not in told
    assert with_mathml("<p>no formula</p>") == "<p>no formula</p>"


def test_pictures_with_a_note_of_either_kind_and_one_without():
    "Figures."
    pixels = io.BytesIO()
    Image.new("L", (6, 4)).save(pixels, format="png")
    data = base64.b64encode(pixels.getvalue()).decode()
    output = {"data": {"image/png": data + "\n"}, "metadata": {"image/png": {"width": 3, "height": 2}}}
    photo = {"data": {"image/jpeg": "/9j/Z"}, "metadata": {"image/jpeg": {"width": 8, "height": 5}}}
    found = noted_sizes({"cells": [{"outputs": [output, photo, {"data": {}, "metadata": {}}]}, {}]})
    assert found == {picture_key(data): (3, 2), "5/9j/Z": (8, 5)}


def test_a_drawing_gets_lighter_and_looks_the_same():
    "Figures."
    # a drawing gets lighter and looks the same; noise in all colours stays
    def as_data(pixels):
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, format="png", compress_level=0)
        return base64.b64encode(out.getvalue()).decode()


    def as_pixels(data):
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


    drawing = np.full((120, 120, 3), 255, np.uint8)
    drawing[40:60, 20:100] = (1, 115, 178)
    light = lighter_picture(as_data(drawing))
    assert len(light) < len(as_data(drawing)) / 10
    assert np.array_equal(as_pixels(light), drawing)
    noise = np.random.default_rng(0).integers(0, 256, (120, 120, 3), dtype=np.uint8)
    assert lighter_picture(as_data(noise)) == as_data(noise)
