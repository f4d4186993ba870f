"""Pages of the reference

Written by nbdev-export from the check cells of nbs/dev/12_reference.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import pytest
from fastcore.nbio import mk_cell

from mtl_explain.dev.reference import (
    Entry, _before_text, documented_name, entries_of, fold_checks, home_of, index_text, is_method,
    links_to_classes, main_entry, names_used, outside_address, outside_links, page_head, pages_text,
    pages_using, used_in,
)
from mtl_explain.dev.signatures import first_sentence
from mtl_explain.explain.correlation import error_correlation


@pytest.fixture(scope='module')
def three():
    "Three names of a page."
    return [
        Entry("small", "m", "api/m.ipynb", "Small.", "function"),
        Entry("large", "m", "api/m.ipynb", "Large.", "class"),
        Entry("table", "m", "api/m.ipynb", "A value: dict.", "value"),
    ]


def test_what_a_module_exports_in_its_order_with_a_sentence_each():
    "Every public name."
    found = entries_of("explain.correlation", "api/explain/01_correlation.ipynb")
    by_name = {entry.name: entry for entry in found}
    assert by_name["error_correlation"].said == first_sentence(error_correlation)
    assert by_name["error_correlation"].address == "api/explain/correlation.html#error_correlation"
    assert by_name["error_correlation"].dotted == "explain.correlation.error_correlation"
    assert [e.name for e in found].index("merge_moments") == 0
    kinds = {e.name: e for e in entries_of("modality", "api/00_modality.ipynb")}["kinds"]
    assert kinds.said == "A value: dict." and kinds.address == "api/modality.html"
    assert entries_of("no.such_module", "") == []
    method = {e.name: e for e in entries_of("modality", "api/00_modality.ipynb")}["Modality.to_native"]
    assert method.address == "api/modality.html#modality.to_native"
    assert method.said


def test_a_made_up_lesson():
    "Where a name is used."
    # a made-up lesson: a star, an alias, a module, a method
    lesson = """from mtl_explain.all import *
from mtl_explain.setup import setup_table as table
from mtl_explain.datasets import globe
describe(globe.setups); table([x.shift('y')])
"""
    nb = dict(cells=[dict(cell_type="code", source=s) for s in (lesson, "%matplotlib nothing\n?", "(")])
    used = names_used(nb)
    assert {"data.samples.describe", "setup.setup_table", "datasets.globe.setups", ".shift"} <= used
    shift = Entry("shift", "setup", "api/01_setup.ipynb", "", "function")
    other = Entry("separate", "setup", "api/01_setup.ipynb", "", "function")
    using = pages_using({"tutorials/1-a.ipynb": nb, "api/b.ipynb": nb}, [shift, other])
    assert using == {"setup.shift": ["tutorials/1-a.ipynb"], "setup.separate": []}
    assert home_of("all.describe") == "data.samples.describe"
    assert not is_method("explain.correlation.error_correlation")


def test_lessons_by_number_others_by_name():
    "Where a name is used."
    line = used_in(["tutorials/4-what.ipynb", "studies/globe.ipynb"], "api/explain/01_x.ipynb")
    assert line == (
        "Used in lessons [4](../../tutorials/4-what.html) · studies [globe](../../studies/globe.html)."
    )
    assert used_in([], "index.ipynb") == ""


def test_the_main_thing_stands_first_and_is_marked(three):
    "The head of a page."
    head = page_head(three, {"m.large": ["tutorials/1-a.ipynb"]}, {"m.large"})
    assert head.startswith("```python\nfrom mtl_explain.m import large\n```")
    assert head.splitlines()[6] == "| **[`large`](#large)** | Large. |"
    assert head.splitlines()[7] == "| [`small`](#small) | Small. |"
    assert "Values: `table`." in head
    assert head.endswith("`from mtl_explain.all import *` brings `large`.")
    assert main_entry(three, {}) is None
    assert "**" not in page_head(three, {}, set())


def test_checks_and_imports_are_folded_examples_stay_open_what_is_folded():
    "Checks under a fold."
    # checks and imports are folded, examples stay open, what is folded already stays as it is
    sources = [
        "import os",
        '# two is "`two`"\nassert 2 == 2',
        "f(2)",
        "#| code-fold: true\nassert f",
        "!ls",
    ]
    cells = [mk_cell(s) for s in sources]
    fold_checks(cells)
    assert cells[0].source.splitlines()[1] == '#| code-summary: "Imports"'
    assert cells[1].source.splitlines()[1] == '#| code-summary: "Check: two is two"'
    assert [c.source for c in cells[2:]] == sources[2:]


def test_names_of_others_lead_to_others():
    "Names of other packages."
    # names of others lead to others; our own, headings, code and links stay
    assert outside_links("A `xr.Dataset` of") == (
        "A [`xr.Dataset`](https://docs.xarray.dev/en/stable/generated/xarray.Dataset.html) of"
    )
    assert outside_address("nn.Module").endswith("generated/torch.nn.Module.html")
    assert outside_address("torch.utils.data.Dataset").endswith("data.html#torch.utils.data.Dataset")
    assert outside_address("torch.hub.get_dir").endswith("stable/hub.html")
    assert outside_address("np.inf").endswith("constants.html#numpy.inf")
    assert outside_address("Learner") == "https://docs.fast.ai/learner.html#learner"
    assert outside_address("lr_find") == outside_address("Learner.lr_find")
    for text in ("# `np.mean`", "[`np.mean`](x)", "```\n`np.mean`\n```", "`accuracy`", "`numpy`"):
        assert outside_links(text) == text


def test_names_in_order_with_their_places(three):
    "From A to Z."
    # names in order, with their places; pages in their rooms
    text = index_text(three, "reference.ipynb").splitlines()
    assert text[2] == "[L](#names-l) · [S](#names-s) · [T](#names-t)"
    assert "| [`large`](api/m.html#large) | Large. *m* |" in text
    title = dict(cell_type="markdown", source="# Kinds\n\n> Of modalities")
    text = pages_text({"api/00_modality.ipynb": dict(cells=[title])}, "reference.ipynb")
    assert "### Modalities, setups, traces" in text
    assert text.endswith("| [Kinds](api/modality.html) | Of modalities |")


def test_a_method_with_a_place_and_one_without():
    "From A to Z."
    # a method with a place and one without; other sites stay
    text = "[`a`](../x.html#c.here) [`b`](x.html#c.there) [web](https://a.b/x.html#c.d)"
    assert links_to_classes(text, {"c.here"}) == text.replace("#c.there", "#c")


def test_cells_that_document_something_are_told_by_their_heading():
    "In the preparation of the site."
    assert documented_name(mk_cell("---\n\n### Setup\n\ntext", "markdown")) == "Setup"
    assert documented_name(mk_cell("---\n\n## Why it is so\n\ntext", "markdown")) == ""
    assert documented_name(mk_cell("x = 1")) == ""
    assert _before_text(mk_cell("<!-- made -->", "markdown"))
