"""What a change leaves broken elsewhere is proven by code in every language, and doubt is silence."""

from __future__ import annotations

import asyncio
import re
import sys

import pytest

from bot.core.claims.imports import imports, meant
from bot.core.claims.references import HeadFiles, broken, missing_settings, suspects
from bot.core.code.diff import Diff, Side, Status, parse_patch
from bot.core.findings.finding import Category, Severity
from bot.handlers.run_checks import find_references
from bot.model.tools import Files
from bot.model.tools.grep import ScanSearch
from tests.support.patches import unified
from tests.support.repository import Repository, pull_request


def diff_of(base: dict[str, str], head: dict[str, str]) -> Diff:
    """The change between two sets of files; a path that only one of them has was added or removed."""
    files = []
    for path in sorted({**base, **head}):
        before, after = base.get(path, ""), head.get(path, "")
        status = Status.ADDED if path not in base else Status.REMOVED if path not in head else Status.MODIFIED
        if before != after:
            files.append(parse_patch(path, status, unified(before, after)))
    return Diff(tuple(files))


def found(base: dict[str, str], changed: dict[str, str | None]) -> list[tuple[str, tuple[str, ...]]]:
    """The rules and the places of all findings; None in `changed` deletes a file."""
    head = {path: text for path, text in {**base, **changed}.items() if text is not None}
    diff = diff_of(base, head)
    heads = {file.path: head[file.path] for file in diff if file.path in head}
    drafts = []
    for suspect in suspects(diff, heads):
        word = re.compile(rf"(?<!\\w){re.escape(suspect.word)}(?!\\w)")
        texts = {path: text for path, text in head.items() if word.search(text)}
        drafts.append(broken(suspect, diff, HeadFiles(frozenset(head), heads, texts, sys.stdlib_module_names)))
    drafts += missing_settings(diff, heads, {path: head[path] for path in head if path.endswith(".example")})
    return [(draft.rule, draft.evidence) for draft in drafts if draft]


REMOVED, GONE, MISFIT = "removed-name-used", "removed-file-used", "call-does-not-fit"
PY = {"shop/__init__.py": "", "shop/cart.py": "def total(rows):\n    return sum(rows)\n\n\ndef keep():\n    return 1\n"}
LESS_PY = "def keep():\n    return 1\n"
TS = {"src/cart.ts": "export function total(rows: number[]): number {\n  return 1;\n}\nexport const keep = 1;\n"}
LESS_TS = "export const keep = 1;\n"
GO = {
    "a/x.go": "package a\n\nfunc Total(n int) int {\n\treturn n\n}\n\nfunc Keep() {}\n",
    "a/y.go": "package a\n\nfunc use() int {\n\treturn Total(1)\n}\n",
}
LESS_GO = "package a\n\nfunc Keep() {}\n"
RS = {
    "src/cart.rs": "pub fn total(n: u8) -> u8 {\n    n\n}\npub fn keep() {}\n",
    "src/pay.rs": "use crate::cart::{keep, total};\n\npub fn run() {\n    total(1);\n}\n",
}
JAVA = {
    "src/main/java/shop/Cart.java": "package shop;\n\npublic class Cart {}\n",
    "src/main/java/pay/Pay.java": "package pay;\n\nimport shop.Cart;\n\nclass Pay { Cart cart; }\n",
}

PROVEN = {
    "python import": (PY | {"a.py": "from shop.cart import total\n"}, {"shop/cart.py": LESS_PY}, REMOVED, "a.py:1"),
    "python relative": (PY | {"shop/a.py": "import os\nfrom .cart import keep, total as t\n"}, {"shop/cart.py": LESS_PY}, REMOVED, "shop/a.py:2"),
    "python in src": ({f"src/{p}": t for p, t in PY.items()} | {"tests/test_a.py": "from shop.cart import total\n"}, {"src/shop/cart.py": LESS_PY}, REMOVED, "tests/test_a.py:1"),
    "python renamed": (PY | {"a.py": "from shop.cart import total\n"}, {"shop/cart.py": PY["shop/cart.py"].replace("total", "summed")}, REMOVED, "a.py:1"),
    "python file": (PY | {"a.py": "import shop.cart\n"}, {"shop/cart.py": None}, GONE, "a.py:1"),
    "python submodule": (PY | {"a.py": "from shop import cart\n"}, {"shop/cart.py": None}, GONE, "a.py:1"),
    "python arity": (PY | {"a.py": "from shop.cart import total\n\nprint(total([1]))\n"}, {"shop/cart.py": PY["shop/cart.py"].replace("total(rows)", "total(rows, tax)")}, MISFIT, "a.py:3"),
    "python parameter name": (PY | {"a.py": "from shop.cart import total\n\nprint(total(rows=[1]))\n"}, {"shop/cart.py": PY["shop/cart.py"].replace("(rows)", "(items)")}, MISFIT, "a.py:3"),
    "python same file": ({"a.py": "def f(x):\n    return x\n\n\n\n\n\n\nprint(fun(1))\n".replace("def f(", "def fun(")}, {"a.py": "def fun(x, y):\n    return x\n\n\n\n\n\n\nprint(fun(1))\n"}, MISFIT, "a.py:9"),
    "python class": ({"m.py": "class Cart:\n    def __init__(self, rows):\n        self.rows = rows\n", "a.py": "from m import Cart\n\nCart([])\n"}, {"m.py": "class Cart:\n    def __init__(self, rows, owner):\n        self.rows = rows\n"}, MISFIT, "a.py:3"),
    "typescript import": (TS | {"src/a.ts": "import { keep, total } from './cart';\n"}, {"src/cart.ts": LESS_TS}, REMOVED, "src/a.ts:1"),
    "typescript js suffix": (TS | {"src/b/a.ts": "import { total } from '../cart.js';\n"}, {"src/cart.ts": LESS_TS}, REMOVED, "src/b/a.ts:1"),
    "typescript re-export": (TS | {"src/index.ts": "export { total } from './cart';\n"}, {"src/cart.ts": LESS_TS}, REMOVED, "src/index.ts:1"),
    "typescript file": (TS | {"src/a.ts": "import { total } from './cart';\n"}, {"src/cart.ts": None}, GONE, "src/a.ts:1"),
    "typescript arity": (TS | {"src/a.ts": "import { total } from './cart';\n\ntotal([]);\n"}, {"src/cart.ts": TS["src/cart.ts"].replace("rows: number[]", "rows: number[], tax: number")}, MISFIT, "src/a.ts:3"),
    "javascript require": ({"cart.js": "exports.total = () => 1;\nexports.keep = 1;\n", "a.js": "const { total } = require('./cart');\n"}, {"cart.js": None}, GONE, "a.js:1"),
    "go package": (GO, {"a/x.go": LESS_GO}, REMOVED, "a/y.go:4"),
    "go arity": (GO, {"a/x.go": GO["a/x.go"].replace("n int", "n, m int")}, MISFIT, "a/y.go:4"),
    "rust use": (RS, {"src/cart.rs": "pub fn keep() {}\n"}, REMOVED, "src/pay.rs:1"),
    "rust arity": (RS, {"src/cart.rs": RS["src/cart.rs"].replace("n: u8", "n: u8, m: u8")}, MISFIT, "src/pay.rs:4"),
    "rust mod": ({"src/lib.rs": "pub mod cart;\n", "src/cart.rs": "pub fn total() {}\n"}, {"src/cart.rs": None}, GONE, "src/lib.rs:1"),
    "java class": (JAVA, {"src/main/java/shop/Cart.java": None}, GONE, "src/main/java/pay/Pay.java:3"),
    "php class": ({"src/Shop/Cart.php": "<?php\nnamespace App\\Shop;\nclass Cart {}\n", "src/Pay.php": "<?php\nuse App\\Shop\\Cart;\n"}, {"src/Shop/Cart.php": None}, GONE, "src/Pay.php:2"),
    "c include": ({"inc/cart.h": "int total(void);\n", "src/a.c": '#include "cart.h"\n'}, {"inc/cart.h": None}, GONE, "src/a.c:1"),
    "ruby require": ({"lib/cart.rb": "class Cart; end\n", "lib/a.rb": "require_relative 'cart'\n"}, {"lib/cart.rb": None}, GONE, "lib/a.rb:1"),
    "workflow": ({"scripts/deploy.sh": "echo\n", ".github/workflows/ci.yml": "run: ./scripts/deploy.sh now\n"}, {"scripts/deploy.sh": None}, GONE, ".github/workflows/ci.yml:1"),
    "setting": ({"a.py": "import os\nA = os.environ['SHOP_A']\n", ".env.example": "SHOP_A=1\n"}, {"a.py": "import os\nA = os.environ['SHOP_A']\nB = os.environ['SHOP_B']\n"}, "setting-not-in-example", ".env.example:1"),
}  # fmt: skip


@pytest.mark.parametrize("name", PROVEN)
def test_what_is_left_broken_is_found_at_its_place(name: str) -> None:
    base, changed, rule, place = PROVEN[name]

    assert found(base, changed) == [(rule, (place,))]


CALLER = {"a.py": "from shop.cart import total\n\nprint(total([1]))\n"}
DOUBTFUL = {
    "the importer is changed too": (PY | CALLER, {"shop/cart.py": LESS_PY, "a.py": "print(1)\n"}),
    "the name is imported instead": (PY | CALLER, {"shop/cart.py": "from shop.sums import total\n", "shop/sums.py": "total = sum\n"}),
    "a module attribute hook": (PY | CALLER, {"shop/cart.py": f"{LESS_PY}\ndef __getattr__(name):\n    return 1\n"}),
    "a star import": (PY | CALLER, {"shop/cart.py": f"from shop.sums import *\n{LESS_PY}"}),
    "a probe": (PY | {"a.py": "try:\n    from shop.cart import total\nexcept ImportError:\n    total = sum\n"}, {"shop/cart.py": LESS_PY}),
    "a type checker's import": (PY | {"a.py": "if TYPE_CHECKING:\n    from shop.cart import total\n"}, {"shop/cart.py": LESS_PY}),
    "another module of that name": (PY | {"other/cart.py": "total = 1\n", "other/a.py": "from cart import total\n"}, {"shop/cart.py": LESS_PY}),
    "a standard module": ({"tests/json.py": "x = 1\n", "a.py": "import json\n"}, {"tests/json.py": None}),
    "a module that shadowed a standard one": ({"logging.py": "x = 1\n", "a.py": "import logging\n"}, {"logging.py": None}),
    "a package in its place": (PY | {"a.py": "import shop.cart\n"}, {"shop/cart.py": None, "shop/cart/__init__.py": "total = sum\n"}),
    "the file is made by a tool now": (PY | {"a.py": "import shop.cart\n"}, {"shop/cart.py": None, ".gitignore": "shop/cart.py\n"}),
    "an optional parameter": (PY | CALLER, {"shop/cart.py": PY["shop/cart.py"].replace("(rows)", "(rows, tax=0)")}),
    "a decorated function": (PY | CALLER, {"shop/cart.py": "@adds_tax\n" + PY["shop/cart.py"].replace("(rows)", "(rows, tax)")}),
    "a call that unpacks": (PY | {"a.py": "from shop.cart import total\n\nprint(total(*x))\n"}, {"shop/cart.py": PY["shop/cart.py"].replace("(rows)", "(rows, tax)")}),
    "a name that is bound again": (PY | {"a.py": "from shop.cart import total\n\ntotal = sum\ntotal([1])\n"}, {"shop/cart.py": PY["shop/cart.py"].replace("(rows)", "(rows, tax)")}),
    "a method of that name": (PY | {"a.py": "x.total([1])\n"}, {"shop/cart.py": PY["shop/cart.py"].replace("(rows)", "(rows, tax)")}),
    "a package from a registry": (TS | {"src/a.ts": "import { total } from 'cart';\n"}, {"src/cart.ts": LESS_TS}),
    "an export of everything": (TS | {"src/a.ts": "import { total } from './cart';\n"}, {"src/cart.ts": f"export * from './sums';\n{LESS_TS}"}),
    "an overload": (TS | {"src/a.ts": "import { total } from './cart';\n\ntotal([]);\n"}, {"src/cart.ts": "export function total(a: number[], b: number): number;\n" + TS["src/cart.ts"].replace("rows: number[]", "rows: number[], tax?: number")}),
    "another file of the Go package": (GO, {"a/x.go": LESS_GO, "a/z.go": "package a\n\nfunc Total(n int) int {\n\treturn n\n}\n"}),
    "a Go build tag": (GO | {"a/y.go": f"//go:build linux\n\n{GO['a/y.go']}"}, {"a/x.go": LESS_GO}),
    "a Java class that moved to another module": (JAVA, {"src/main/java/shop/Cart.java": None, "core/src/main/java/shop/Cart.java": "package shop;\n\npublic class Cart {}\n"}),
    "a Kotlin file with the class": (JAVA, {"src/main/java/shop/Cart.java": None, "src/main/kotlin/shop/all.kt": "package shop\n\nclass Cart\n"}),
    "a header from a template": ({"config.h": "x\n", "a.c": '#include "config.h"\n'}, {"config.h": None, "config.h.in": "x\n"}),
    "a conditional include": ({"inc/cart.h": "x\n", "a.c": '#ifdef CART\n#include "cart.h"\n#endif\n'}, {"inc/cart.h": None}),
    "a comment about the path": ({"scripts/deploy.sh": "echo\n", "Makefile": "# scripts/deploy.sh is gone\n"}, {"scripts/deploy.sh": None}),
    "a setting with a default": ({"a.py": "import os\nA = os.environ['SHOP_A']\n", ".env.example": "SHOP_A=1\n"}, {"a.py": "import os\nA = os.environ['SHOP_A']\nB = os.environ.get('SHOP_B', 1)\n"}),
    "an example about other code": ({"a.py": "import os\n", ".env.example": "WEB=1\n"}, {"a.py": "import os\nB = os.environ['SHOP_B']\n"}),
}  # fmt: skip


@pytest.mark.parametrize("name", DOUBTFUL)
def test_doubt_is_silence(name: str) -> None:
    base, changed = DOUBTFUL[name]

    assert found(base, changed) == []


TYPED = {
    "java": {
        "src/shop/Cart.java": "package shop;\n\npublic class Cart {\n    public static int total(int rows) {\n        return rows;\n    }\n\n    public Cart(int owner) {\n    }\n\n    void keep() {\n    }\n}\n",
        "src/pay/Pay.java": "package pay;\n\nimport shop.Cart;\n\nclass Pay {\n    int a = Cart.total(1);\n    Cart b = new Cart(1);\n}\n",
    },
    "kotlin": {
        "src/shop/Cart.kt": "package shop\n\nfun total(rows: Int): Int {\n    return rows\n}\n\nclass Cart(val owner: Int) {\n    companion object {\n        fun make(n: Int) = Cart(n)\n    }\n}\n",
        "src/pay/Pay.kt": "package pay\n\nimport shop.Cart\nimport shop.total\n\nfun pay() {\n    total(rows = 1)\n    Cart.make(1)\n    Cart(1)\n}\n",
    },
    "csharp": {
        "Shop/Cart.cs": "namespace Shop;\n\npublic class Cart\n{\n    public static int Total(int rows)\n    {\n        return rows;\n    }\n\n    public Cart(int owner)\n    {\n    }\n}\n",
        "Pay/Pay.cs": "using Shop;\n\nnamespace Pay;\n\nclass Till\n{\n    int a = Cart.Total(rows: 1);\n    Cart b = new Cart(1);\n}\n",
    },
    "php": {
        "src/Cart.php": "<?php\nnamespace Shop;\n\nfunction total($rows)\n{\n    return $rows;\n}\n\nclass Cart\n{\n    public static function make(int $n)\n    {\n    }\n\n    public function __construct(private int $owner)\n    {\n    }\n}\n",
        "src/Pay.php": "<?php\nnamespace Shop;\n\ntotal(rows: 1);\nCart::make(1);\n$cart = new Cart(1);\n",
    },
    "swift": {
        "Sources/Shop/Cart.swift": "func total(rows: Int) -> Int {\n    return rows\n}\n\nstruct Cart {\n    static func make(n: Int) -> Int {\n        return n\n    }\n}\n",
        "Sources/Shop/Pay.swift": "func pay() {\n    _ = total(rows: 1)\n    _ = Cart.make(n: 1)\n}\n",
    },
    "ruby": {
        "lib/cart.rb": "class Cart\n  def self.total(rows)\n    rows\n  end\nend\n",
        "lib/pay.rb": "def pay\n  Cart.total(1)\nend\n",
    },
    "c": {
        "inc/cart.h": "int cart_total(int rows);\n",
        "src/cart.c": '#include "cart.h"\n\nint cart_total(int rows)\n{\n    return rows;\n}\n',
        "src/pay.c": '#include "cart.h"\n\nint pay(void)\n{\n    return cart_total(1);\n}\n',
    },
    "cpp": {
        "inc/cart.hpp": "int cart_total(int rows);\n",
        "src/cart.cpp": '#include "cart.hpp"\n\nint cart_total(int rows)\n{\n    return rows;\n}\n',
        "src/pay.cpp": '#include "cart.hpp"\n\nint pay()\n{\n    return cart_total(1);\n}\n',
    },
}  # fmt: skip


def edited(name: str, *edits: tuple[str, str]) -> dict[str, str]:
    """The files that define something, with replaced text; in C and C++ the header too."""
    changed = {path: text for path, text in TYPED[name].items() if "art." in path}
    for old, new in edits:
        changed = {path: text.replace(old, new) for path, text in changed.items()}
    return {path: text for path, text in changed.items() if text != TYPED[name][path]}


ALTERED = {
    "java static arity": ("java", [("int rows", "int rows, int tax")], MISFIT, "src/pay/Pay.java:6"),
    "java constructor arity": ("java", [("int owner", "int owner, int tax")], MISFIT, "src/pay/Pay.java:7"),
    "java static removed": ("java", [("total(int", "summed(int")], REMOVED, "src/pay/Pay.java:6"),
    "kotlin arity": ("kotlin", [("rows: Int)", "rows: Int, tax: Int)")], MISFIT, "src/pay/Pay.kt:7"),
    "kotlin parameter name": ("kotlin", [("(rows: Int", "(items: Int"), ("return rows", "return items")], MISFIT, "src/pay/Pay.kt:7"),
    "kotlin companion arity": ("kotlin", [("n: Int", "n: Int, m: Int")], MISFIT, "src/pay/Pay.kt:8"),
    "kotlin removed": ("kotlin", [("fun total", "fun summed")], REMOVED, "src/pay/Pay.kt:7"),
    "csharp static arity": ("csharp", [("int rows", "int rows, int tax")], MISFIT, "Pay/Pay.cs:7"),
    "csharp parameter name": ("csharp", [("int rows", "int items"), ("return rows", "return items")], MISFIT, "Pay/Pay.cs:7"),
    "csharp constructor arity": ("csharp", [("int owner", "int owner, int tax")], MISFIT, "Pay/Pay.cs:8"),
    "csharp removed": ("csharp", [("Total(", "Summed(")], REMOVED, "Pay/Pay.cs:7"),
    "php function arity": ("php", [("($rows)", "($rows, $tax)")], MISFIT, "src/Pay.php:4"),
    "php parameter name": ("php", [("$rows", "$items")], MISFIT, "src/Pay.php:4"),
    "php static arity": ("php", [("int $n", "int $n, int $m")], MISFIT, "src/Pay.php:5"),
    "php constructor arity": ("php", [("private int $owner", "private int $owner, int $m")], MISFIT, "src/Pay.php:6"),
    "php static removed": ("php", [("function make", "function build")], REMOVED, "src/Pay.php:5"),
    "swift arity": ("swift", [("rows: Int)", "rows: Int, tax: Int)")], MISFIT, "Sources/Shop/Pay.swift:2"),
    "swift label": ("swift", [("rows: Int", "items rows: Int")], MISFIT, "Sources/Shop/Pay.swift:2"),
    "swift static arity": ("swift", [("n: Int", "n: Int, m: Int")], MISFIT, "Sources/Shop/Pay.swift:3"),
    "swift removed": ("swift", [("func total", "func summed")], REMOVED, "Sources/Shop/Pay.swift:2"),
    "ruby arity": ("ruby", [("(rows)", "(rows, tax)")], MISFIT, "lib/pay.rb:2"),
    "c arity": ("c", [("int rows", "int rows, int tax")], MISFIT, "src/pay.c:5"),
    "cpp arity": ("cpp", [("int rows", "int rows, int tax")], MISFIT, "src/pay.cpp:5"),
}  # fmt: skip


@pytest.mark.parametrize("name", ALTERED)
def test_a_call_by_a_type_or_a_package_is_found_where_it_is_left_broken(name: str) -> None:
    written_in, edits, rule, place = ALTERED[name]

    assert (rule, (place,)) in found(TYPED[written_in], edited(written_in, *edits))


SILENT = {
    "java overload": ("java", [("int rows) {", "int rows, int tax) {"), ("    void keep", "    static int total(int a) {\n        return a;\n    }\n\n    void keep")], {}),
    "java variable arguments": ("java", [("int rows)", "int... rows)")], {}),
    "java other method of that name": ("java", [("int rows", "int rows, int tax")], {"src/a/B.java": "package a;\n\nclass B {\n    static int total(int a) {\n        return a;\n    }\n}\n"}),
    "java removed and inherited": ("java", [("total(int", "summed(int"), ("class Cart", "class Cart extends Base")], {}),
    "java another package": ("java", [("int rows", "int rows, int tax"), ("package shop", "package other")], {}),
    "java syntax error": ("java", [("int rows", "int rows, int tax")], {"src/pay/Pay.java": "package pay;\nimport shop.Cart;\nclass Pay { int a = Cart.total(1) +; }\n"}),
    "kotlin default": ("kotlin", [("rows: Int)", "rows: Int, tax: Int = 1)")], {}),
    "kotlin secondary constructor": ("kotlin", [("val owner: Int)", "val owner: Int, val tax: Int)"), ("    companion", "    constructor(owner: Int) : this(owner, 0)\n\n    companion")], {}),
    "kotlin default of null": ("kotlin", [("rows: Int)", "rows: Int, tax: Int? = null)")], {}),
    "kotlin in the standard library": ("kotlin", [("fun total", "fun summed")], {"src/pay/Pay.kt": "package shop\n\nfun pay() {\n    total(1)\n}\n"}),
    "java static import": ("java", [("total(int", "summed(int")], {"src/shop/B.java": "package shop;\n\nimport static java.lang.Math.total;\n\nclass B {\n    int a = total(1);\n}\n", "src/pay/Pay.java": "package pay;\n"}),
    "csharp type of a framework": ("csharp", [("class Cart", "class Till"), ("public Cart", "public Till")], {}),
    "php builtin function": ("php", [("function total", "function summed")], {}),
    "kotlin local function": ("kotlin", [("fun total", "fun summed")], {"src/pay/Pay.kt": "package pay\n\nimport shop.total\n\nfun pay(total: (Int) -> Int) {\n    total(1)\n}\n"}),
    "kotlin moved": ("kotlin", [("fun total(rows: Int)", "fun summed(rows: Int)")], {"src/shop/Sums.kt": "package shop\n\nfun total(rows: Int) = rows\n"}),
    "kotlin in Scala": ("kotlin", [("fun total", "fun summed")], {"src/shop/A.scala": "package shop\nobject A { def total(a: Int) = a }\n"}),
    "csharp optional": ("csharp", [("int rows", "int rows, int tax = 0")], {}),
    "csharp other namespace": ("csharp", [("int rows", "int rows, int tax"), ("namespace Shop", "namespace Store")], {}),
    "csharp extension elsewhere": ("csharp", [("Total(", "Summed(")], {"Pay/More.cs": "namespace Pay;\nstatic class More { public static int Total(this int a) { return a; } }\n"}),
    "php default": ("php", [("($rows)", "($rows, $tax = 0)")], {}),
    "php unpacked": ("php", [("($rows)", "($rows, $tax)")], {"src/Pay.php": "<?php\nnamespace Shop;\n\ntotal(...$all);\n"}),
    "php other namespace": ("php", [("($rows)", "($rows, $tax)")], {"src/Pay.php": "<?php\nnamespace Pay;\n\ntotal(1);\n"}),
    "swift default": ("swift", [("rows: Int)", "rows: Int, tax: Int = 1)")], {}),
    "swift other module": ("swift", [("rows: Int)", "rows: Int, tax: Int)")], {"Sources/Shop/Pay.swift": "\n", "Sources/Pay/Pay.swift": "func pay() {\n    _ = total(rows: 1)\n}\n"}),
    "ruby splat": ("ruby", [("(rows)", "(*rows)")], {}),
    "c macro": ("c", [("int rows", "int rows, int tax")], {"inc/wrap.h": "#define cart_total(a) cart_total2(a, 0)\n"}),
    "c two programs": ("c", [("int rows", "int rows, int tax")], {"tools/cart.c": "int cart_total(int rows)\n{\n    return rows;\n}\n"}),
    "c removed": ("c", [("cart_total", "cart_sum")], {}),
    "cpp default in the header": ("cpp", [("int rows)\n{", "int rows, int tax)\n{"), ("int rows);", "int rows, int tax = 0);")], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", SILENT)
def test_a_call_that_may_mean_something_else_is_not_reported(name: str) -> None:
    written_in, edits, more = SILENT[name]

    assert found(TYPED[written_in], edited(written_in, *edits) | more) == []


def test_a_finding_stands_on_the_removed_line_and_names_the_places() -> None:
    base = PY | {f"a{n}.py": "from shop.cart import total\n" for n in range(5)}
    head = base | {"shop/cart.py": LESS_PY}
    host = Repository(head, base, diff=diff_of(base, head))
    files = Files(host, pull_request())

    checked = asyncio.run(find_references(ScanSearch(files), files, host.change, {"shop/cart.py": LESS_PY}))

    (draft,) = checked.drafts
    assert (draft.path, draft.side, draft.near, draft.quoted) == ("shop/cart.py", Side.LEFT, 1, "def total(rows):")
    assert (draft.severity, draft.category, draft.source) == (Severity.ERROR, Category.CORRECTNESS, "references")
    assert draft.title == "`total` is removed but still used"
    assert "`a0.py:1` (`from shop.cart import total`)" in draft.why
    assert draft.why.endswith(", and 2 more.")
    assert checked.row.by == ("1 names looked up",)


def test_a_repository_that_cannot_be_searched_is_said_to_be() -> None:
    base = PY | CALLER
    head = base | {"shop/cart.py": LESS_PY}
    host = Repository(head, base, diff=diff_of(base, head))
    files = Files(host, pull_request())

    checked = asyncio.run(
        find_references(ScanSearch(files, most_files=1), files, host.change, {"shop/cart.py": LESS_PY})
    )

    assert checked.drafts == ()
    assert "could not be searched" in checked.row.reason


def test_a_language_without_a_reader_has_no_imports() -> None:
    assert imports("a.scala", "import shop.Cart") == ()
    assert meant("a.scala", "shop.Cart", {"shop/Cart.scala"}) == frozenset()
