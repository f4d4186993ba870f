"""The course

Written by nbdev-export from the check cells of nbs/api/80_course.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import json
import tempfile
from pathlib import Path

import pytest

from mtl_explain.course import badges, bare_lesson, with_badges, without_answers, write_course


@pytest.fixture(scope='module')
def lesson():
    "A page by hand, and its lesson."
    page = dict(
        cells=[
            dict(cell_type="raw", source="---\norder: 1\n---"),
            dict(
                cell_type="markdown",
                source=[
                    "# One\n",
                    "See [correlation](../api/explain/01_correlation.ipynb) and [lesson "
                    "2](2-two.ipynb).",
                ],
            ),
            dict(
                cell_type="code",
                source="#| code-fold: true\nx = 1\n",
                outputs=[dict(text="1")],
                execution_count=3,
            ),
            dict(
                cell_type="markdown",
                source="**1.** What is "
                "x?\n\n<details>\n<summary>Answer</summary>\n\nOne.\n\n</details>\n\nAnd now?",
            ),
        ]
    )
    return bare_lesson(page)


def test_front_matter_a_directive_and_an_output_go_links_become_text(lesson):
    "A lesson without its page."
    assert ["".join(c["source"]) for c in lesson["cells"][:2]] == [
        "# One\nSee *correlation* and [lesson 2](2-two.ipynb).",
        "x = 1\n",
    ]
    assert lesson["cells"][1]["outputs"] == []
    assert len(lesson["cells"]) == 3


def test_the_answer_is_gone_its_place_is_there_and_what_follows_it_stays(lesson):
    "Without answers."
    asked = without_answers(lesson)["cells"]
    assert ["".join(c["source"]) for c in asked[2:]] == [
        "**1.** What is x?",
        "# your answer\n",
        "And now?",
    ]
    assert asked[3]["cell_type"] == "code"
    assert "One." in str(lesson)
    assert "One." not in str(asked)


def test_the_badges_name_repository_and_lesson(lesson):
    "For a public repository."
    assert "mybinder.org/v2/gh/me/course/HEAD?labpath=nbs/tutorials/1-one.ipynb" in badges(
        "me/course", "1-one.ipynb"
    )
    assert "github/me/course/blob/HEAD/" in badges("me/course", "1-one.ipynb")
    with pytest.raises(ValueError, match="owner/name"):
        badges("https://somewhere", "1-one.ipynb")
    assert [c["id"] for c in with_badges(lesson, "me/course", "1-one.ipynb")["cells"]][1:3] == [
        "badges",
        "install",
    ]


def test_two_lessons_go_out_with_answers_or_without_and_nothing_is_overwritten(lesson):
    "Copying the course."
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for n in (1, 2):
            (folder / f"{n}-lesson.ipynb").write_text(json.dumps(lesson))
        source = sorted(folder.glob("*.ipynb"))
        assert [p.name for p in write_course(folder / "all", source=source)] == [
            "1-lesson.ipynb",
            "2-lesson.ipynb",
        ]
        assert "One." in (folder / "all" / "1-lesson.ipynb").read_text()
        (written,) = write_course(
            folder / "asked", answers=False, numbers=[2], source=source, repository="me/course"
        )
        assert "One." not in written.read_text()
        assert "# your answer" in written.read_text()
        assert "mybinder" in written.read_text()
        with pytest.raises(FileExistsError, match="1-lesson.ipynb exists .and 1 more."):
            write_course(folder / "all", source=source)
        with pytest.raises(ValueError, match="there is no lesson 7"):
            write_course(folder / "x", numbers=[7], source=source)
        assert not list(folder.rglob("*.mtl_explain-part"))
