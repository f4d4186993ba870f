"""Reading code

Written by nbdev-export from the check cells of nbs/dev/01_code.ipynb.
Do not edit: change the notebook, then `make export`.
"""

import ast

from mtl_explain.dev.code import (
    Import, body_and_return, docstring, drop_display, format_imports, group_statements, imports_of, indent,
    leading_comment, mutated, names, split_directives, statement_texts,
)


# free and bound names of small pieces of code
def free_bound(code):
    found = names(ast.parse(code).body)
    return " ".join(found.free), " ".join(found.bound)


def test_directives_are_told_from_code():
    "The top of a cell."
    assert split_directives("#| export\nx = 1;") == ({"export": ""}, "x = 1")
    assert split_directives("#| eval: false\n%time\nf(2)") == ({"eval": "false"}, "f(2)")
    assert split_directives("") == ({}, "")


def test_a_comment_at_the_top_over_one_line_or_several():
    "The top of a cell."
    assert leading_comment("# three pixels by hand\n# (see the sketch)\nx = 1") == [
        "three pixels by hand",
        "(see the sketch)",
    ]
    assert leading_comment("x = 1  # not at the top") == []


def test_a_name_is_read_before_it_is_made_again():
    "Which names it reads, and which it makes."
    assert free_bound("x = f(x)\ny = x") == ("f x", "x y")
    assert free_bound("n += 1") == ("n", "n")
    assert free_bound("import numpy as np\nimport os.path\nnp.ones(k)") == ("k", "np os")


def test_scopes_keep_their_variables():
    "Which names it reads, and which it makes."
    assert free_bound("a = [i * k for i in range(n)]") == ("n k", "a")
    assert free_bound("f = lambda x, y=d: x + y + z") == ("d z", "f")
    assert free_bound("def f(x: T):\n    y = x + g\n    return y + late\nlate = 1") == ("T g", "f late")
    assert free_bound("class A(B):\n    c = d\n    def m(self): return self.c, e") == ("B d e", "A")
    assert free_bound("for i, v in pairs: print(i, v)\nwith open(p) as fh: fh.read()") == (
        "pairs p",
        "i v fh",
    )
    assert free_bound("try: g()\nexcept E as err: print(err)") == ("g E", "err")


def test_changes_of_objects_from_outside_are_seen():
    "Which names it reads, and which it makes."
    assert mutated(ast.parse("samples['x'].attrs['units'] = 'm'").body) == {"samples"}
    assert mutated(ast.parse("own = copy(samples)\nown.units = 1\ndel other[0]").body) == {"other"}


def test_statements_keep_their_comments():
    "Taking code apart."
    assert statement_texts("# one\nx = 1\n\n# two\ny = (2 +\n     3)  # five") == [
        "# one\nx = 1",
        "# two\ny = (2 +\n     3)  # five",
    ]
    assert statement_texts("@cache\ndef f(): pass\nx = 1") == ["@cache\ndef f(): pass", "x = 1"]
    assert statement_texts("x = 1; y = 2") == ["x = 1; y = 2"]


def test_independent_lines_come_apart_dependent_ones_stay_together():
    "Taking code apart."
    assert group_statements(["a = f()", "b = g()", "c = a + 1"]) == [
        ["b = g()"],
        ["a = f()", "c = a + 1"],
    ]
    assert group_statements(["torch.manual_seed(0)", "net = Net()", "x = draw()"]) == [
        ["torch.manual_seed(0)", "net = Net()", "x = draw()"]
    ]
    assert group_statements(["a = rng.normal()", "b = rng.normal()"], {"rng"}) == [
        ["a = rng.normal()", "b = rng.normal()"]
    ]
    assert group_statements(["net = Net()", "net.eval()", "x = 2"]) == [
        ["net = Net()", "net.eval()"],
        ["x = 2"],
    ]


def test_only_a_line_that_shows_is_dropped():
    "Taking code apart."
    assert drop_display("x = 1\nx") == "x = 1"
    assert drop_display('x = 1\nx.attrs["a"]') == "x = 1"
    assert drop_display("x = 1\nf(x)") == "x = 1\nf(x)"
    assert drop_display("x") == "x"


def test_imports_by_name():
    "Imports."
    assert imports_of(ast.parse("import numpy as np\nfrom os import path, sep as s").body) == [
        Import("numpy", "", "np"),
        Import("os", "path"),
        Import("os", "sep", "s"),
    ]
    assert [i.bound for i in imports_of(ast.parse("import a.b\nfrom c import d as e").body)] == [
        "a",
        "e",
    ]


def test_imports_are_sorted_in_three_blocks():
    "Imports."
    text = format_imports(
        {
            Import("mtl_explain.room", "double"),
            Import("numpy", "", "np"),
            Import("os", "sep"),
            Import("os", "path"),
            Import("ast"),
        }
    )
    standard, others, ours = text.split("\n\n")
    assert standard == "import ast\nfrom os import path, sep"
    assert others == "import numpy as np"
    assert ours == "from mtl_explain.room import double"
    assert format_imports({Import("m", "x" * 60), Import("m", "y" * 60)}).count("\n") == 3


def test_strings_over_several_lines_stay_as_they_are():
    "Moving code into a function."
    assert (
        indent('x = """a\nb"""\n\ny = (1 +\n     2)')
        == '    x = """a\nb"""\n\n    y = (1 +\n         2)'
    )


def test_fixtures_return_in_one_line_where_they_can():
    "Moving code into a function."
    assert body_and_return("x = 1\ny = x + 1", "y") == "x = 1\nreturn x + 1"
    assert body_and_return("x = 1\nx.f()", "x") == "x = 1\nx.f()\nreturn x"
    assert body_and_return("y = 2", "x, y") == "y = 2\nreturn x, y"
    assert body_and_return("f(1)", "") == "f(1)"


def test_a_docstring_for_every_sentence():
    "Moving code into a function."
    assert docstring('Two "words".') == ["    \"Two 'words'.\""]
    assert docstring("") == []
    assert docstring("Why?") == ['    "Why?"']
    assert docstring("the set \\Omega")[0].startswith('    r"')
