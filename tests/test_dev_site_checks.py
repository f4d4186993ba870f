"""What a reader's browser finds

Written by nbdev-export from the check cells of nbs/dev/04_site_checks.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import re
import tempfile
from pathlib import Path

import pytest

from mtl_explain.dev.browser import browser_missing
from mtl_explain.dev.site import notebooks
from mtl_explain.dev.site_checks import (
    axe_script, broken_links, browser_problems, figure_functions, file_problems, image_problems, main,
    missing_figures, page_weights, pages_of, target_of,
)


# two pages; the first has a lost link, a lost picture, pale text, wide text and an error
bad_page = """<!doctype html>
<html lang="en"><head><title>A</title></head><body><main>
<h1 id="top">A</h1>
<a href="b.html">b</a> <a href="b.html#there">there</a> <a href="#nowhere">nowhere</a>
<a href="c.html">c</a> <a href="https://quarto.org">web</a> <a href="b.html"></a>
<img src="lost.png">
<img src="data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
     alt="a dot" width="1" height="1">
<p style="color:#eee;background:#fff">pale</p>
<div style="width:3000px">wide</div>
<span class="math"></span>
<script>no_such_function()</script>
</main></body></html>"""
good_page = """<!doctype html>
<html lang="en"><head><title>B</title></head><body><main>
<h1 id="there">B</h1>
</main></body></html>"""


# a site of these two pages
def bad_site(folder):
    "Write both pages."
    site = Path(folder)
    (site / "a.html").write_text(bad_page)
    (site / "b.html").write_text(good_page)
    return site


def test_what_is_wrong_without_a_browser_is_found_and_only_that():
    "Without a browser."
    with tempfile.TemporaryDirectory() as folder:
        site = bad_site(folder)
        assert broken_links(site, pages_of(site)) == [
            "a.html: #nowhere names no place on that page",
            "a.html: c.html is not there",
        ]
        assert image_problems(site, pages_of(site)) == [
            "a.html: lost.png is not there",
            "a.html: 1 pictures without a text for those who cannot see them",
            "a.html: 1 pictures without width and height",
        ]
        assert list(page_weights(site, pages_of(site))) == ["a.html", "b.html"]
        assert file_problems(site, limit=1e-4)[-2].startswith("a.html: 0.00 MB")
        (site / "a.html").unlink()
        assert file_problems(site) == []


def test_links_within_the_site_and_out_of_it():
    "Without a browser."
    assert target_of("api/x.html", "../index.html#top") == ("index.html", "top")
    assert target_of("a.html", "#here") == ("a.html", "here")
    assert target_of("a.html", "https://quarto.org") is None
    assert target_of("a.html", "mailto:a@b.c") is None


def test_the_page_shows_all_of_them_and_an_empty_page_none():
    "All figures."
    assert not (lost := missing_figures(notebooks()["gallery/figures.ipynb"])), lost
    assert len(missing_figures({"cells": []})) == len(figure_functions()) > 20
    other = {"cell_type": "code", "source": "plot_patch(x)\ntreesat.plot_patch(x)"}
    assert "globe.plot_patch" in missing_figures({"cells": [other]})


def test_chromium_finds_errors_lost_pictures_empty_formulas_and_wide_text_axe():
    "In Chromium."
    # Chromium finds errors, lost pictures, empty formulas and wide text, axe what cannot be read
    if missing := browser_missing():
        pytest.skip(missing)
    with tempfile.TemporaryDirectory() as folder:
        site = bad_site(folder)
        axe = axe_script()
        found = browser_problems(site, ["a.html", "b.html"], axe, folder)
        assert len(list(site.glob("*.png"))) == 8
        assert not (odd := [f for f in found if f.startswith("b.html")]), odd
        for part in (
            "a.html (390, dark): error: ",
            "no_such_function is not defined",
            "1 pictures could not be shown",
            "1 formulas are empty",
            "wider than the window",
        ):
            assert any(part in f for f in found), part
        if axe:
            rules = {re.sub(r".*: ([\w-]+) \(.*", r"\1", f) for f in found if "×" in f}
            assert {"color-contrast", "image-alt", "link-name"} <= rules


def test_a_folder_without_a_site_is_refused():
    "The command."
    # a folder without a site is refused; a bad site is told in words
    with tempfile.TemporaryDirectory() as folder, pytest.raises(SystemExit, match="holds no site"):
        main([folder])
