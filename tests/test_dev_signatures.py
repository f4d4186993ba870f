"""Signatures

Written by nbdev-export from the check cells of nbs/dev/02_signatures.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import dataclasses
import functools

from mtl_explain.dev.notebook_tests import Cell, NotebookTestError
from mtl_explain.dev.signatures import (
    first_sentence, function_head, narrow, property_table, signature, source_text,
)
from mtl_explain.setup import Setup, with_input
from mtl_explain.simulate.city.blocks import City


def test_the_head_is_what_stands_in_the_source():
    "Functions."
    # the head is what stands in the source: every comment at its place, decorators and body gone
    @functools.cache
    def decorated(
        x: int = 1,  # a number
        **options,  # of whoever reads them
    ) -> dict:  # what was given
        # a remark
        "Nothing."
        return dict(x=x, **options)


    head = function_head(source_text(decorated)).splitlines()
    assert head[0] == "def decorated("
    assert head[2] == "    **options,  # of whoever reads them"
    assert head[-1] == ") -> dict  # what was given"
    assert function_head("def twice(x): return 2 * x") == "def twice(x)"
    assert function_head("def f():\n    @g\n    def h(): ...") == "def f()"
    assert ") -> Setup" in function_head(source_text(with_input))


def test_a_long_comment_goes_above_in_lines():
    "Classes."
    # a long comment goes above, in lines; short ones and what has none stay
    long_line = "    x: int,  # " + "words " * 20
    told = narrow(f"def f(\n{long_line}\n    y: int = 1,  # short\n)").splitlines()
    assert told[0] == "def f("
    assert told[1].startswith("    # words words")
    assert told[3] == "    x: int,"
    assert told[4] == "    y: int = 1,  # short"
    assert max(map(len, told)) <= 79
    assert narrow("x" * 90) == "x" * 90


def test_a_class_is_a_class():
    "Classes."
    # a class is a class: with the parameters of its own or inherited __init__, or its fields
    class Plain:
        "Takes nothing."


    class Short:
        "Takes one thing."

        def __init__(self, width: int):
            self.width = width


    class Long(Short):
        "Takes two things, each with a comment."

        def __init__(
            self,
            width: int,  # in pixels
            height: int = 3,  # in pixels
        ):
            super().__init__(width)


    class Inherits(Long):
        "Takes what its parent takes."


    assert signature(Plain) == "class Plain"
    assert signature(NotebookTestError) == "class NotebookTestError(ValueError)"
    assert signature(Short) == "class Short(width: int)"
    long = "class Long(\n    width: int,  # in pixels\n    height: int = 3,  # in pixels\n)"
    assert signature(Long) == long
    assert signature(Inherits) == long.replace("Long", "Inherits")
    assert "    code: str,  # without directives\n" in signature(Cell)
    assert "    directives: dict = dict(),  # e.g." in signature(Cell)
    assert "    seed: int = 0,\n" in signature(City)
    assert signature(Setup).startswith("class Setup(\n    ")
    assert "None" not in signature(Setup).splitlines()[-1]
    assert signature(3) == signature(len) == ""


def test_properties_in_rows_with_a_place_each():
    "Properties."
    # properties in rows, with a place each; a meaning stands in the docstring or beside the type
    class Owner:
        "Has two properties."

        @property
        def size(self) -> int:  # in pixels
            return 3

        @property
        def both(self) -> tuple:
            "Either | or."
            return 1, 2


    rows = property_table({"Owner.both": Owner.both, "Owner.size": Owner.size}).splitlines()
    assert rows[2] == '| <a id="owner.size"></a>`.size` | `int` | in pixels |'
    assert rows[3].endswith("| `tuple` | Either \\| or. |")


def test_one_sentence():
    "In one sentence."
    # one sentence; what a data class says of itself by default is none
    @dataclasses.dataclass
    class Silent:
        x: int


    def talks():
        "Says a thing, e.g. this. And another.\n\nAnd more."


    assert first_sentence(talks) == "Says a thing, e.g. this."
    assert first_sentence(Silent) == ""
    assert first_sentence(with_input).startswith("The setup with one more input")
