"""The site and the README

Written by nbdev-export from the check cells of nbs/dev/03_site.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import base64
import contextlib
import json
import sys
import tempfile
from pathlib import Path
from unittest import mock

import altair as alt
import pandas as pd
import pytest
import yaml
from PIL import Image
from fastcore.nbio import mk_cell
from nbdev.config import get_config

from mtl_explain.dev.look import picture_key
from mtl_explain.dev.notebook_tests import Cell
from mtl_explain.dev.papers_to_code import Item
from mtl_explain.dev.site import (
    cell_text, chart_spec, dead_links, describe_pictures, folded_source, in_order, leaks, links, local_charts,
    main, missing_pages, module_of, notebooks, output_text, page_name, prepare, property_docs, readme,
    relative_links, render_stand_in, shown_properties_of, sidebar, sidebar_text, site_problems, sized,
    stand_in_copy, symbol_docs, title_of,
)


# a notebook as it lies on disk
page = {
    "cells": [
        {
            "cell_type": "markdown",
            "source": ["# Error `correlation`\n", "> Do two tasks fail together?"],
        },
        {"cell_type": "code", "source": "#| default_exp explain.correlation", "outputs": []},
        {"cell_type": "code", "source": "#| hide\nsecret = 1", "outputs": []},
        {
            "cell_type": "markdown",
            "source": "See [the tutorial](../tutorials/start.ipynb) and `error_correlation`.",
        },
        {
            "cell_type": "code",
            "source": "print(1 + 1)",
            "outputs": [{"output_type": "stream", "name": "stdout", "text": ["2\n"]}],
        },
    ]
}
# the settings of a project with a site
settings = """[project]
name = "sitepkg"
[tool.nbdev]
doc_path = "_site"
custom_sidebar = true
update_pyproject = false
skip_procs = "exec_show_docs"
doc_procs = ["mtl_explain.dev.site:SymbolDocs", "mtl_explain.dev.site:ForReaders"]
"""
quarto = "project:\n  type: website\nmetadata-files: [nbdev.yml, sidebar.yml]\n"


# a project with a home page and one room
@contextlib.contextmanager
def inside(root):
    "Work inside a project, as if its package were installed."
    with (
        contextlib.chdir(root),
        mock.patch.object(sys, "path", [str(root), *sys.path]),
        mock.patch.dict(sys.modules),
    ):
        yield


def site_project(folder, home="The function `twice_over`."):
    "Make a small project, exported; returns its folder."
    root = Path(folder).resolve() / "project"
    nbs = root / "nbs"
    library = root / "sitepkg"
    (nbs / "api").mkdir(parents=True)
    library.mkdir()
    (root / "pyproject.toml").write_text(settings)
    (library / "__init__.py").write_text("")
    (library / "room.py").write_text("def twice_over(x): return 2 * x\n")
    room = [
        "# Room\n\n> A room",
        "#| default_exp room",
        "#| export\ndef twice_over(x): return 2 * x",
        "#| hide\nsecret = 1",
        "twice_over(2)",
    ]
    write_page(nbs / "api" / "00_modality.ipynb", *room)
    write_page(nbs / "index.ipynb", "# Home\n\n> A home page", "Come in.\n\n" + home)
    (nbs / "_quarto.yml").write_text(quarto)
    (nbs / "sidebar.yml").write_text(sidebar_text(notebooks(nbs)))
    return root
def write_page(path, *sources):
    "A notebook; sources that begin with a capital or a heading are markdown."
    cells = []
    for i, source in enumerate(sources):
        text = source[0].isupper() or source.startswith("# ")
        cell = {"id": f"c{i}", "metadata": {}, "source": source}
        if text:
            cells.append(cell | {"cell_type": "markdown"})
        else:
            cells.append(cell | {"cell_type": "code", "outputs": [], "execution_count": None})
    nb = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    path.write_text(json.dumps(nb))


@pytest.fixture(scope='module')
def front_and_five():
    "A project of five notebooks."
    def front(order):
        return {"cells": [{"cell_type": "raw", "source": f"---\norder: {order}\n---"}]}
    five = {
        "api/90_cli.ipynb": {"cells": []},
        "api/explain/01_correlation.ipynb": page,
        "index.ipynb": {"cells": []},
        "tutorials/a.ipynb": front(2),
        "tutorials/b.ipynb": front(1),
    }
    return front, five


def test_title_module_and_page_name():
    "Reading notebooks."
    assert title_of(page) == "Error correlation"
    assert module_of(page) == "explain.correlation"
    assert module_of({"cells": []}) == ""
    assert page_name("nbs/api/50_correlation.ipynb") == "correlation"
    assert page_name("index.ipynb") == "index"


def test_notebooks_are_found_by_folder_and_number_checkpoints_are_not():
    "Reading notebooks."
    with tempfile.TemporaryDirectory() as folder:
        for name in (
            "api/20_b.ipynb",
            "api/10_c.ipynb",
            "index.ipynb",
            "api/.ipynb_checkpoints/10_c.ipynb",
            "_proc/a.ipynb",
        ):
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).write_text(json.dumps(page))
        assert list(notebooks(Path(folder))) == ["api/10_c.ipynb", "api/20_b.ipynb", "index.ipynb"]


def test_tutorials_in_reading_order_the_reference_in_sections(front_and_five):
    "The sidebar."
    front, five = front_and_five
    home, tutorials, reference = sidebar(five)
    assert home["href"] == "index.ipynb"
    assert tutorials == {"section": "Learn", "contents": ["tutorials/b.ipynb", "tutorials/a.ipynb"]}
    assert [s["section"] for s in reference["contents"]] == ["Explanations", "Running it"]
    with pytest.raises(ValueError, match="api/cellar/00_wine.ipynb: there is no room 'cellar'"):
        sidebar(five | {"api/cellar/00_wine.ipynb": page})
    with pytest.raises(ValueError, match="studies/new.ipynb: the sidebar does not know this study"):
        sidebar(five | {"studies/new.ipynb": page})
    two = {f"studies/{name}.ipynb": page for name in ("benge", "globe")} | {"claims.ipynb": page}
    claims, real, simulated = sidebar(five | two)[2]["contents"]
    assert claims == "claims.ipynb"
    assert real == {"section": "On the real Earth", "contents": ["studies/globe.ipynb"]}
    assert simulated["contents"] == ["studies/benge.ipynb"]
    assert yaml.safe_load(sidebar_text(five))["website"]["sidebar"]["contents"] == sidebar(five)
    others = {"papers-to-code.ipynb": page, "changes.ipynb": front(2), "glossary.ipynb": front(1)}
    assert sidebar(five | others)[2::2] == ["papers-to-code.ipynb", "glossary.ipynb"]


def test_documentation_of_one_of_the_functions_above():
    "Documentation of symbols."
    text = symbol_docs("page_name", globals())
    source = folded_source("page_name", {"page_name": page_name})
    assert "### page_name" in text
    assert "path: Path,  # a notebook" in text
    assert "file name without the number" in text
    assert "[source]" not in text or get_config().git_url
    assert source.startswith("#| code-fold: true")
    assert "def page_name(" in source
    assert folded_source("x", {"x": 3}) == ""


def test_a_class_is_shown_as_a_class_properties_in_a_table_with_one_fold():
    "Documentation of symbols."
    text = symbol_docs("Item", {"Item": Item})
    assert "class Item(\n    paper: str,  # 'A' or 'B'\n" in text
    assert "One numbered item of a paper" in text
    assert "kwargs" not in text
    table, fold = property_docs(["Cell.comment", "Cell.tree"], {"Cell": Cell})
    assert table.source.count('<a id="cell.') == 2
    assert "Source of the properties" in fold.source
    assert "def tree(self)" in fold.source


def test_from_the_reference_to_the_reference_and_from_the_home_page():
    "Documentation of symbols."
    def linked(text, page="index.ipynb"):
        return relative_links(text, page)


    assert linked("[`f`](/api/site.html#f)", "api/80_x.ipynb") == "[`f`](../api/site.html#f)"
    assert linked("[`f`](/api/site.html#f)") == "[`f`](api/site.html#f)"
    assert linked("[web](https://quarto.org)") == "[web](https://quarto.org)"
    assert linked("[`_f`](/api/site.html#_f), [`f`](/a.html#f)") == "`_f`, [`f`](a.html#f)"
    assert linked("[[`f`](/a.html#f)](b.ipynb), [so [`f`](/a.html) does](c)") == (
        "[`f`](b.ipynb), [so `f` does](c)"
    )


def test_a_property_has_an_owner_a_function_has_none():
    "Documentation of symbols."
    seen = [mk_cell(s) for s in ("show_doc(Cell.tree)", "show_doc(Cell)", "x = 1")]
    assert [shown_properties_of(c, {"Cell": Cell}) for c in seen] == ["Cell", "", ""]


def test_only_rows_of_documentation_are_put_in_order():
    "Documentation of symbols."
    cells = [mk_cell(s) for s in ("x = 1", "show_doc(b)", "show_doc(a)", "y = 2", "show_doc(a.f)")]
    assert [c.source for c in in_order(cells, ["a", "b"])] == [
        "x = 1",
        "show_doc(a)",
        "show_doc(b)",
        "y = 2",
        "show_doc(a.f)",
    ]


def test_the_text_of_a_picture():
    "Documentation of symbols."
    # the text of a picture: heading and comment, or the last line; what is there already stays
    cells = [
        mk_cell("## Two maps", "markdown"),
        mk_cell("# errors\nplot()"),
        mk_cell("a = 1\nplot(a)"),
        mk_cell('#| fig-alt: "mine"\nplot()'),
        mk_cell("2 + 2"),
    ]
    for cell in cells[1:4]:
        cell.outputs = [{"output_type": "display_data", "data": {"image/png": "x"}}]
    describe_pictures(cells)
    assert [c.source.splitlines()[0] for c in cells[1:]] == [
        '#| fig-alt: "Two maps: errors"',
        '#| fig-alt: "Two maps: plot(a)"',
        '#| fig-alt: "mine"',
        "2 + 2",
    ]


def test_charts_become_local_the_first_one_brings_the_scripts():
    "Documentation of symbols."
    # charts become local, the first one brings the scripts; other html stays
    chart = alt.Chart(pd.DataFrame(dict(x=[1, 2]))).mark_point().encode(x="x:Q")
    html = chart._repr_mimebundle_(None, None)["text/html"]


    def shows(html):
        return dict(data={"text/html": html})


    cells = [
        dict(outputs=[shows(html)]),
        dict(outputs=[shows(html), shows("<b>x</b>"), dict(text="y")]),
        dict(source="no outputs"),
    ]
    local_charts(cells)
    first = cells[0]["outputs"][0]["data"]["text/html"]
    second = cells[1]["outputs"][0]["data"]["text/html"]
    other = cells[1]["outputs"][1]["data"]["text/html"]
    assert "cdn" in html
    assert "cdn.jsdelivr" not in first + second
    assert "window.vegaEmbed=" in first
    assert "window.vegaEmbed=" not in second
    assert other == "<b>x</b>"
    assert chart_spec(html)["mark"]["type"] == "point"
    assert chart_spec("<p>nothing</p>") is None


def test_a_project_with_one_page_too_few_one_leak_and_one_page_without_a_title():
    "Preparing."
    front_matter = {"cell_type": "raw", "source": "---\ntitle: A\n---"}
    leak = page["cells"][2] | {"source": "secret = 1"}
    made = {"a.ipynb": {"cells": [front_matter, leak]}, "b.ipynb": {"cells": []}}
    assert missing_pages({"a.ipynb": page, "b.ipynb": page, "c.ipynb": page}, made) == [
        "c.ipynb: is not on the site",
        "b.ipynb: has no title cell (`# Title`, `> description`)",
    ]
    assert leaks({"a.ipynb": page}, made) == ["a.ipynb: shows the hidden cell 'secret = 1'"]
    assert leaks({"a.ipynb": page}, {}) == []


def test_links_are_found_in_text_not_in_code():
    "Preparing."
    assert links(page) == ["../tutorials/start.ipynb"]
    text = '`[a](b)` [c](d.html#e) [f](https://g.h) ![i](j.png "k")'
    assert links({"cells": [{"cell_type": "markdown", "source": text}]}) == ["d.html", "j.png"]


def test_a_link_to_a_page_to_its_html_and_to_nothing():
    "Preparing."
    made = {
        "api/50_correlation.ipynb": page,
        "index.ipynb": {
            "cells": [{"cell_type": "markdown", "source": "[a](api/correlation.html) [b](lost.png)"}]
        },
    }
    assert dead_links(made, Path(".")) == [
        "api/50_correlation.ipynb: links to ../tutorials/start.ipynb, which is not there",
        "index.ipynb: links to lost.png, which is not there",
    ]


def test_pages_links_and_sidebar_get_their_final_names():
    "Rendering."
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in" / "api").mkdir(parents=True)
        (Path(folder) / "in" / "api" / "50_correlation.ipynb").write_text(json.dumps(page))
        (Path(folder) / "in" / "sidebar.yml").write_text("- api/50_correlation.ipynb\n")
        stand_in_copy(Path(folder) / "in", Path(folder) / "out")
        assert (Path(folder) / "out" / "api" / "correlation.ipynb").exists()
        assert (Path(folder) / "out" / "sidebar.yml").read_text() == "- api/correlation.ipynb\n"


def test_the_size_of_a_picture_of_3_by_2_pixels_inside_the_page_and_beside_it():
    "Rendering."
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.png"
        Image.new("L", (3, 2)).save(path)
        inside_page = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
        for src in (inside_page, "a.png"):
            told = sized(f'<img alt="a" src="{src}">', path.parent, {})
            assert told == f'<img width="3" height="2" alt="a" src="{src}">'
        for html in (
            '<img src="https://quarto.org/a.png">',
            '<img width="3" src="a.png">',
            '<img src="a.svg">',
        ):
            assert sized(html, path.parent, {}) == html
        noted = {picture_key(inside_page.partition(",")[2]): (6, 4)}
        told = sized(f'<img src="{inside_page}">', path.parent, noted)
        assert told.startswith('<img width="6" height="4"')


def test_code_output_links_and_hidden_cells_in_a_readme():
    "The README."
    expected = """<!-- Written from nbs/index.ipynb by `make export`. -->

# Error `correlation`
> Do two tasks fail together?

See [the tutorial](tutorials/start.ipynb) and `error_correlation`.

```python
print(1 + 1)
```

```
2
```
"""
    assert readme(page) == expected
    text = {"cell_type": "markdown", "source": "[a](tutorials/a.ipynb) [b](https://c.d)"}
    assert "(nbs/tutorials/a.ipynb)" in readme({"cells": [text]})


def test_outputs_of_a_readme():
    "The README."
    def shown_as(**data):
        return output_text({"output_type": "display_data", "data": data})


    def code_cell(source):
        outputs = [{"output_type": "stream", "text": "a\n"}]
        return {"cell_type": "code", "source": source, "outputs": outputs}


    assert shown_as(**{"text/markdown": ["**a**"]}) == "**a**"
    assert shown_as(**{"image/png": "x", "text/plain": "<Figure>"}) == ""
    assert cell_text(code_cell("#| echo: false\nf()")) == "```\na\n```"
    assert cell_text(code_cell("#| output: false\nf()")) == "```python\nf()\n```"
    assert cell_text({"cell_type": "raw", "source": "---"}) == ""


def test_two_pages_from_notebooks_to_html():
    "The command."
    with tempfile.TemporaryDirectory() as folder, inside(site_project(folder)):
        prepared = prepare()
        assert site_problems(prepared) == []
        render_stand_in(prepared, Path("_site"))
        html = Path("_site/api/modality.html").read_text()
        assert Path("_site/index.html").exists()
        assert "twice_over" in html
        assert "Source" in html
        assert "secret" not in html


def test_the_command_stops_at_a_dead_link():
    "The command."
    with (
        tempfile.TemporaryDirectory() as folder,
        inside(site_project(folder, "See [this](lost.ipynb).")),
    ):
        assert main(["--check"]) == 1
        assert not Path("_site").exists()
