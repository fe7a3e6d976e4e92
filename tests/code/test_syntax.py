"""Outlines in twelve languages: scopes, bindings, definitions and syntax errors."""

import time

import pytest

from bot.core.code.context import EnclosingCode, context
from bot.core.code.syntax import LARGEST, definitions, errors, has_grammar, is_well_formed, outline, symbol_at

# Each has a class-like `Cart` with a method-like `total` (or a function `total`) whose last changed line uses a
# parameter, a local variable and something imported or defined at the top.
SOURCES = {
    "cart.py": (
        "from tax import rate\nclass Cart:\n    def total(self, items):\n        net = sum(items)\n        return net * rate\n",
        5,
    ),
    "cart.js": (
        "import { rate } from './tax';\nclass Cart {\n  total(items) {\n    const net = sum(items);\n    return net * rate;\n  }\n}\n",
        5,
    ),
    "cart.ts": (
        "import { rate } from './tax';\nclass Cart {\n  total(items: number[]): number {\n    const net = sum(items);\n    return net * rate;\n  }\n}\n",
        5,
    ),
    "cart.tsx": (
        "import { rate } from './tax';\nclass Cart {\n  total(items: number[]) {\n    const net = sum(items);\n    return <b>{net * rate}</b>;\n  }\n}\n",
        5,
    ),
    "cart.go": (
        "package cart\nconst rate = 2\nfunc (c *Cart) total(items []int) int {\n\tnet := sum(items)\n\treturn net * rate\n}\n",
        5,
    ),
    "Cart.java": (
        "import tax.rate;\nclass Cart {\n  int total(List items) {\n    int net = sum(items);\n    return net * rate;\n  }\n}\n",
        5,
    ),
    "cart.rs": (
        "use tax::rate;\nimpl Cart {\n  fn total(&self, items: Vec<u8>) -> u8 {\n    let net = sum(items);\n    net * rate\n  }\n}\n",
        5,
    ),
    "cart.cpp": (
        "const int rate = 2;\nclass Cart {\n  int total(int items) {\n    int net = sum(items);\n    return net * rate;\n  }\n};\n",
        5,
    ),
    "cart.rb": ("RATE = 2\nclass Cart\n  def total(items)\n    net = items.sum\n    net * RATE\n  end\nend\n", 5),
    "cart.php": (
        "<?php\nclass Cart {\n  function total($items) {\n    $net = sum($items);\n    return $net * rate();\n  }\n}\nfunction rate() { return 2; }\n",
        5,
    ),
    "Cart.cs": (
        "using Tax;\nclass Cart {\n  int Total(int items) {\n    var net = Sum(items);\n    return net * Rate;\n  }\n  int Rate = 2;\n}\n",
        5,
    ),
}


@pytest.mark.parametrize("path", SOURCES)
def test_a_line_knows_the_qualified_name_around_it(path):
    text, line = SOURCES[path]

    assert symbol_at(path, text, line).lower() == "cart.total"
    assert is_well_formed(path, text)


@pytest.mark.parametrize("path", SOURCES)
def test_the_name_around_a_line_is_that_of_the_whole_outline(path):
    text = SOURCES[path][0] * 3 + "\n@wraps(\n    rate,\n)\ndef price(): return lambda: 1\n"
    whole = outline(path, text)

    named = {line: scope.name if (scope := whole.named(line)) else "" for line in range(1, text.count("\n") + 2)}
    assert {line: symbol_at(path, text, line) for line in named} == named


@pytest.mark.parametrize("path", SOURCES)
def test_a_used_name_is_traced_to_its_nearest_binding(path):
    text, line = SOURCES[path]
    seen = outline(path, text)
    used = {name.key for name in seen.names if name.line == line and not name.binds}
    bound = {key.lower(): found.line for key in used if (found := seen.binding(key, line))}

    assert bound.pop("net") == 4
    assert bound == {
        "rate": next(n for n, row in enumerate(text.split("\n"), 1) if "rate" in row.lower() and n != line)
    }


def test_functions_stand_alone_in_c_and_bash():
    c = "struct cart { int n; };\nstatic int *total(int items, char *b) {\n  int net = items;\n  return net;\n}\n"
    shell = "total() {\n  local net=1\n  echo $net\n}\ntotal\n"

    assert [d.name for d in definitions("cart.c", c)] == ["cart", "cart.n", "total"]
    assert symbol_at("cart.c", c, 4) == "total"
    assert symbol_at("cart.sh", shell, 3) == "total"
    assert outline("cart.sh", shell).binding("total", 5).line == 1


def test_definitions_are_functions_types_and_top_level_names_but_not_imports_or_locals():
    text = "import os\nLIMIT = 3\nclass Cart:\n    size: int = 0\n    @cached\n    def total(self):\n        net = 1\n        return net\nrun = lambda: 1\n"

    assert definitions("cart.py", text) == (
        ("LIMIT", 2, 2),
        ("Cart", 3, 8),
        ("Cart.size", 4, 4),
        ("Cart.total", 5, 8),
        ("run", 9, 9),
    )


@pytest.mark.parametrize("path", SOURCES)
def test_the_definitions_of_a_file_need_no_bodies_of_functions(path):
    text = SOURCES[path][0]

    assert outline(path, text, bodies=False).definitions() == outline(path, text).definitions()


def test_an_outline_without_bodies_knows_the_function_around_each_line():
    text = "class Cart:\n    rate = 1\n    def total(self):\n        def net(): return 1\n        return net()\n"
    short = outline("cart.py", text, bodies=False)

    assert [short.named(line).name for line in range(1, 6)] == ["Cart", "Cart", *["Cart.total"] * 3]
    assert [one.name for one in short.definitions()] == ["Cart", "Cart.rate", "Cart.total"]


def test_an_arrow_function_is_known_by_what_it_is_assigned_to():
    text = "const total = (items) => {\n  return items\n}\nexports.tax = function () {\n  return 1\n}\n"

    assert symbol_at("cart.js", text, 2) == "total"
    assert symbol_at("cart.js", text, 5) == "exports.tax"


def test_a_member_is_traced_to_where_its_class_sets_it():
    text = (
        "class Other:\n    def __init__(self):\n        self.rate = 1\n"
        "class Cart:\n    def __init__(self):\n        self.rate = 2\n    def total(self):\n        return self.rate + self.net()\n"
        "    def net(self):\n        return 1\n"
    )
    seen = outline("cart.py", text)

    assert seen.binding(".rate", 8).line == 6
    assert seen.binding(".net", 8).line == 9
    assert seen.binding(".gross", 8) is None


def test_syntax_errors_are_counted():
    assert errors("cart.py", "def total(:\n    return (1\n") > 0
    assert not is_well_formed("cart.js", "function ( {")
    assert is_well_formed("cart.py", "def total():\n    return 1\n")


def test_an_unknown_language_has_no_outline_and_cannot_be_called_wrong():
    assert not has_grammar("notes.txt")
    assert outline("notes.txt", "def f(") is None
    assert is_well_formed("notes.txt", "def f(")
    assert symbol_at("notes.txt", "def f(", 1) == ""


@pytest.mark.parametrize("hostile", ["(" * 100_000, "[" * 2_000 + "]" * 2_000, "\0" * 1000, "\udcff = 1", ""])
def test_hostile_text_is_outlined_without_recursion(hostile):
    assert outline("deep.py", hostile) is not None


def test_a_file_over_the_cap_is_not_parsed():
    assert outline("big.py", "x = 1\n" * (LARGEST // 6 + 1)) is None


def test_the_context_of_a_change_is_its_function_its_class_header_and_its_bindings():
    text = (
        "from tax import rate\n" + "\n" * 10 + "class Cart:\n    size = 0\n\n"
        "    def other(self):\n        return 0\n\n    def total(self, items):\n        net = sum(items)\n        return net * rate\n"
    )
    changed = text.split("\n").index("        return net * rate") + 1

    assert context("cart.py", text, [changed]) == EnclosingCode(blocks=((12, 12), (18, 20)), bindings=(1,))


def test_of_a_long_function_the_signature_and_the_neighbourhood_are_shown():
    body = "".join(f"    step({n})\n" for n in range(100))
    text = f"def long(\n    items,\n):\n    limit = 3\n{body}    return limit\n"

    assert context("long.py", text, [60]) == EnclosingCode(blocks=((1, 3), (48, 72)), bindings=())
    assert context("long.py", text, [105]) == EnclosingCode(blocks=((1, 3), (93, 105)), bindings=(4,))


def test_where_the_language_is_unknown_the_context_is_twenty_lines_around():
    assert context("notes.txt", "line\n" * 100, [50]).blocks == ((30, 70),)
    assert context("notes.txt", "line\n" * 100, [1, 99]).blocks == ((1, 21), (79, 100))


def test_lines_that_do_not_exist_have_no_context():
    assert context("cart.py", "x = 1\n", [0, -1, 99]) == EnclosingCode()


def test_nonsense_that_takes_quadratic_time_to_repair_has_no_outline_and_a_large_file_with_mistakes_has_one():
    begun = time.process_time()
    for path in ("a.py", "a.rb", "a.go", "a.cs"):
        assert outline(path, "<!--" * 10_000) is None
    assert time.process_time() - begun < 2

    row = "def total_{}(items):\n    return sum(items)\n\n\n"
    code = "".join(row.format(n) if n % 20 else "retur n (\n" for n in range(5_000))
    found = outline("a.py", code)
    assert found.errors
    assert len(found.definitions()) > 3_000
