"""From top to bottom

Written by nbdev-export from the check cells of nbs/dev/14_order.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import ast

from mtl_explain.dev.order import definitions, needed_names, out_of_order, taken_names
from mtl_explain.dev.site import notebooks


# a page of these cells
def page(*texts):
    cells = [dict(cell_type="code", source=[t]) for t in texts]
    return dict(cells=[dict(cell_type="markdown", source=["words"]), *cells])


def test_a_function_needs_what_it_reads_of_the_module_not_its_own_names():
    "What a cell defines, and what it needs."
    # a function needs what it reads of the module, not its own names; a patched method has a dot
    text = """
def area(side, power=2):
    grown = side**power
    return [scaled(v) for v in grown.flat]

@patch
def plot(self: Map):
    return draw(self)
"""
    found = definitions(ast.parse(text).body)
    assert found == {"area": {"scaled", ".flat"}, ".plot": {"draw", "patch", "Map"}}
    assert needed_names(ast.parse("x = area(3)\nx.plot()").body) == {"area", ".plot"}
    assert needed_names(ast.parse("def f(n):\n    return later(n)").body) == {"later"}


def test_a_name_that_is_needed_too_early_is_found_through_what_calls_it():
    "Out of order."
    # a name that is needed too early is found through what calls it; in order, nothing is said
    outer = "#| export\ndef outer():\n    return inner()"
    inner = "#| export\ndef inner():\n    return 1"
    check = "# it works\nassert outer() == 1"
    assert out_of_order(page(outer, inner, check)) == []
    assert out_of_order(page(outer, check, inner)) == [
        "'# it works' needs outer → inner, defined below"
    ]
    method = "#| export\n@patch\ndef area(self: Map): return 1"
    assert out_of_order(page("Map().area()", method)) == ["'Map().area()' needs .area, defined below"]
    assert out_of_order(page("#| eval: false\nouter()", outer, inner)) == []
    assert out_of_order(page("inner = 1\nprint(inner)", inner)) == []  # its own


def test_every_page_of_this_project_is_in_order():
    "Out of order."
    wrong = [f"{path}: {line}" for path, nb in notebooks().items() for line in out_of_order(nb)]
    assert not wrong, "\n".join(wrong)


def test_a_name_that_is_taken_is_told():
    "Names that a check takes away."
    # a name that is taken is told; an import of the same is none, nor is a name within a function
    library = "#| export\nfrom rasterio.warp import transform\n\ndef area(x): return transform(x)"
    assert taken_names(page(library, "for transform in (1, 2):\n    print(transform)")) == [
        "'for transform in (1, 2):' takes the name transform"
    ]
    assert taken_names(page(library, "area = 3")) == ["'area = 3' takes the name area"]
    assert taken_names(page(library, "from rasterio.warp import transform")) == []
    assert taken_names(page(library, "def check():\n    area = 3\n    return area")) == []


def test_no_page_of_this_project_takes_a_name_away():
    "Names that a check takes away."
    taken = [f"{path}: {line}" for path, nb in notebooks().items() for line in taken_names(nb)]
    assert not taken, "\n".join(taken)
