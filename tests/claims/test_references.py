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
    assert imports("a.kt", "import shop.Cart") == ()
    assert meant("a.kt", "shop.Cart", {"shop/Cart.kt"}) == frozenset()
