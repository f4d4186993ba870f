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
    axe_script, broken_links, browser_problems, copy_problems, figure_functions, file_problems,
    image_problems, main, markdown_links, missing_figures, page_weights, pages_of, readme_problems, target_of,
    text_problems,
)


# two pages; the first has a lost link, a lost picture, pale text, wide text and an error
good_page = """<!doctype html>
<html lang="en"><head><title>B</title></head><body><main>
<h1 id="there">B</h1>
<a href="b.html">b</a>
<style>@media (prefers-color-scheme: dark) {
  html { background: #222; color: #eee }
  a { color: #8cf } }</style>
</main></body></html>"""


@pytest.fixture(scope='module')
def bad_page():
    "Two pages; the first has a lost link, a lost picture, pale text, wide text and an error."
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
<p>[`f`](c.html) and <code>[x](y)</code></p> <pre>&rarr;&#9633;</pre>
<table><tr><th></th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>
<div class="cell-output"><pre style="white-space:pre;overflow-x:auto">LONG</pre></div>
<div class="vega-embed"><canvas></canvas></div>
<style>:focus { outline: none !important }</style>
<script src="https://cdn.org/katex.js"></script>
<script>no_such_function()</script>
</main></body></html>"""
    return bad_page.replace("LONG", "long " * 300)


@pytest.fixture(scope='module')
def bad_site(bad_page):
    "A site of these two pages."
    def bad_site(folder):
        "Write both pages."
        site = Path(folder)
        (site / "a.html").write_text(bad_page)
        (site / "b.html").write_text(good_page)
        return site
    return bad_site


def test_a_copy_and_a_readme_with_a_good_link_and_a_lost_one():
    "Without a browser."
    with tempfile.TemporaryDirectory() as folder:
        lines = "[a](a.html#b) [web](https://quarto.org) `[x](y)` ![p](lost.png)\n```\n[c](d)\n```\n"
        (Path(folder) / "a.html").write_text("<p>")
        (Path(folder) / "a.html.md").write_text(lines)
        assert copy_problems(folder) == ["a.html.md: lost.png is not there"]
        assert readme_problems(folder) == []
        (Path(folder) / "README.md").write_text(lines)
        assert readme_problems(folder) == ["README.md: lost.png is not there"]
    assert markdown_links("[a](b.ipynb#c) [d](#e) [f](/g.html)") == ["b.ipynb", "/g.html"]


def test_what_is_wrong_without_a_browser_is_found_and_only_that(bad_site):
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
        markdown, signs, network = text_problems(pages_of(site))
        assert markdown == "a.html: 1 times Markdown is seen: '[`f`](c.html) and  '"
        assert signs == "a.html: 1 signs that read as missing letters"
        assert network == "a.html: needs a network for https://cdn.org/katex.js"
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


def test_chromium_finds_errors_lost_pictures_empty_formulas_and_wide_text_axe(bad_site):
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
            "a.html (1280, light): 1 blocks of code or output are cut off",
            "1 headers are empty",
            "1 charts without a description",
            "a.html (390, dark): light, though the system asks for dark",
            "a.html (1280, dark): what has the focus looks as before: <a href",
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
