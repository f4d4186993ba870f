"""The list behind *From the papers to the code*

Written by nbdev-export from the check cells of nbs/dev/11_papers_to_code.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import re

import pytest

from mtl_explain.dev.papers_to_code import (
    anchor, dead_ends, found_function, function_link, headings, item_table, items, page_of, telling,
    tests_using, uses_in_tests, wrong_numbers,
)
from mtl_explain.dev.site import notebooks


@pytest.fixture(scope='module')
def first():
    "One item for the checks."
    return items[0]


def test_functions_that_are_there_and_that_are_not():
    "Where an item points."
    # functions that are there and that are not; tests by the names they use; headings
    assert found_function("networks.heads.soft_threshold")
    assert not found_function("networks.heads.no_threshold")
    assert not found_function("nowhere.at_all")
    uses = uses_in_tests()
    assert any("test_networks_heads" in t for t in tests_using("networks.heads.soft_threshold", uses))
    assert not tests_using("networks.heads.no_such_name", uses)
    of_trees = tests_using("datasets.treesat.setups", uses)
    assert of_trees
    assert not set(of_trees) & set(tests_using("datasets.benge.setups", uses))
    assert telling(items[1], items) == ["datasets.benge.setups"]
    text = dict(cell_type="markdown", source="# One\n\ntext\n## Two (figure 2)")
    assert headings(dict(cells=[text])) == ["One", "Two (figure 2)"]
    assert anchor("Tables 3 and 4: one branch and two") == "tables-3-and-4-one-branch-and-two"
    assert anchor("7 maps") == "maps"
    assert anchor("Does 90 % mean 90 %?") == "does-90-mean-90"


def test_the_list_is_complete_and_points_somewhere():
    "Where an item points."
    problems = wrong_numbers(items) + dead_ends(items, notebooks(), uses_in_tests())
    assert not problems, "\n".join(problems)


def test_what_is_wrong_with_a_list_is_said(first):
    "Where an item points."
    assert len(wrong_numbers(items[1:])) == 1
    assert wrong_numbers(items[1:])[0] == "paper A, table 1: missing"
    assert wrong_numbers([*items, first]) == ["paper A, table 1: stands 2 times"]
    assert wrong_numbers([*items, first._replace(number=99)]) == [
        "paper A, table 99: the paper has none"
    ]
    bad = first._replace(functions="networks.heads.nothing", page="studies/none.ipynb", data="guessed")
    assert dead_ends([bad], {}, {}) == [
        "paper A, table 1: there is no networks.heads.nothing",
        "paper A, table 1: no test uses any of its own functions",
        "paper A, table 1: there is no notebook studies/none.ipynb",
        "paper A, table 1: unknown kind of data 'guessed'",
    ]
    assert dead_ends([first._replace(section="Nothing")], notebooks(), uses_in_tests()) == [
        "paper A, table 1: studies/cropyield.ipynb has no section 'Nothing'"
    ]


def test_rows_with_links(first):
    "Its rows."
    assert page_of("studies/change.ipynb", "x") == "studies/change.html#x"
    assert page_of("index.ipynb") == "index.html"
    row = item_table([first], notebooks(), uses_in_tests()).splitlines()[2]
    assert "[`beside_paper`](api/papers.html#beside_paper)" in row
    assert "[Tables 1 and 6](studies/cropyield.html#tables-1-and-6)" in row
    assert re.search(r"\), \*simulated\* \| [1-9]\d* \|$", row)
    link = function_link("networks.heads.soft_threshold", notebooks())
    assert link == "[`soft_threshold`](api/networks/heads.html#soft_threshold)"
    assert function_link("modality.kinds", notebooks()) == "[`kinds`](api/modality.html)"
