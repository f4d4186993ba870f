"""Publishing

Written by nbdev-export from the check cells of nbs/dev/11_publish.ipynb.
Do not edit: change the notebook, then `make export`.
"""

from pathlib import Path
from unittest import mock

import yaml
from fastcore.nbio import mk_cell
from nbdev.config import get_config

from mtl_explain.dev.publish import LessonBadges, about_text, absolute_links, github_name, lesson_badges


there = "https://github.com/me/it"
text = """See [a](nbs/a.ipynb), [b](https://b.c) and ![c [d]](nbs/c.png).
```
[a](nbs/a.ipynb)
```
"""


def test_links_and_pictures_lead_into_the_repository():
    "Links of the README."
    # links and pictures lead into the repository; what is absolute, or code, stays
    found = absolute_links(text, there)
    assert "[a](https://github.com/me/it/blob/main/nbs/a.ipynb), [b](https://b.c)" in found
    assert "![c [d]](https://raw.githubusercontent.com/me/it/main/nbs/c.png)" in found
    assert found.endswith("```\n[a](nbs/a.ipynb)\n```\n")


def test_without_an_address_or_elsewhere_than_on_github_nothing_changes():
    "Links of the README."
    assert absolute_links(text, "") == text
    assert absolute_links(text, "https://git.example.org/me/it") == text
    assert github_name("https://github.com/me/it.git") == "me/it"


def test_nothing_but_the_version_until_there_is_an_address():
    "What the site says of itself."
    def about(*addresses):
        return yaml.safe_load(about_text("1.2", *addresses))["website"]


    assert set(about("", "")) == {"page-footer", "open-graph"}
    assert about("", "")["page-footer"]["left"] == "mtl_explain 1.2 · Apache-2.0"
    full = about("https://github.com/me/it", "https://me.github.io/it")
    assert full["navbar"]["right"][0]["href"] == "https://github.com/me/it"
    assert full["open-graph"]["image"] == full["twitter-card"]["image"] == "result.png"
    assert "&" not in about_text("1.2", "https://github.com/me/it", "https://me.github.io/it")
    assert (Path(get_config().nbs_path) / "result.png").exists()


def test_lessons_have_badges_other_pages_and_other_places_have_none():
    "Badges of the lessons."
    shown = lesson_badges("tutorials/4-what-errors-tell.ipynb", there)
    assert "colab" in shown and "me/it" in shown
    assert "labpath=nbs/tutorials/4-what-errors-tell.ipynb" in shown
    assert lesson_badges("tutorials/teaching.ipynb", there) == ""
    assert lesson_badges("index.ipynb", there) == ""
    assert lesson_badges("tutorials/4-what-errors-tell.ipynb", "") == ""


def test_a_page_gets_its_badges_behind_the_cell_with_its_title_if_there_is_an():
    "Badges of the lessons."
    # a page gets its badges behind the cell with its title, if there is an address
    def prepared(name, address):
        "The cells of a page of two cells, after the processor."
        page = mock.Mock(path_=get_config().nbs_path / name, cells=[mk_cell("1"), mk_cell("2")])
        config = mock.Mock(git_url=address, nbs_path=get_config().nbs_path)
        with mock.patch.dict(LessonBadges.begin.__globals__, get_config=lambda: config):
            LessonBadges.begin(mock.Mock(nb=page))
        return [cell.source for cell in page.cells]


    lesson = "tutorials/4-what-errors-tell.ipynb"
    assert prepared(lesson, "") == ["1", "2"]
    assert prepared("index.ipynb", there) == ["1", "2"]
    assert "colab" in prepared(lesson, there)[1]


def test_the_workflow_can_be_read_installs_quarto_and_asks_for_the_address():
    "The workflow."
    # the workflow can be read, installs Quarto, and asks for the address before it publishes
    root = Path(get_config().config_path)
    workflow = yaml.safe_load((root / ".github" / "workflows" / "site.yml").read_text())
    uses = [step.get("uses", "") for job in workflow["jobs"].values() for step in job["steps"]]
    assert any(step.startswith("quarto-dev/quarto-actions/setup") for step in uses)
    assert "address" in workflow["jobs"]["publish"]["if"]
