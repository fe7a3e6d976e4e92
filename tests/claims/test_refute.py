"""Typed claims against code: what is refuted, and what is left standing for want of evidence."""

import pytest

from bot.core.claims.refute import CLAIMS, HeadFacts, claimed_name, refute
from bot.core.code.diff import Diff, FileDiff, Hunk, Line, Side, Status
from bot.core.findings.finding import Category, Draft, Severity


def facts(files, paths=()):
    """The given files, all of them new."""
    diff = Diff(
        tuple(
            FileDiff(
                path,
                Status.ADDED,
                (Hunk(tuple(Line(row, None, n) for n, row in enumerate(text.removesuffix("\n").split("\n"), 1))),),
            )
            for path, text in files.items()
        )
    )
    return HeadFacts(diff, files, frozenset((*files, *paths)))


def draft(claim, quoted, path="shop.py", **values):
    return Draft(
        path=path,
        quoted=quoted,
        title="…",
        why="…",
        severity=Severity.WARNING,
        category=Category.CORRECTNESS,
        source="correctness",
        claim=claim,
        **values,
    )


def judged(claim, quoted, text, path="shop.py", others=None):
    return refute(draft(claim, quoted, path), facts({path: text} | (others or {})))


SHOP = """\
import json
import os
from tax import rate as vat


def total(items, currency):
    net = sum(items)
    spare = 3
    if net:
        late = 1
    print(late)
    return net * vat


def load(path):
    return json.loads(path)


class Cart:
    def __init__(self):
        self.items = []
        self.cache = {}

    def add(self, item):
        self.items.append(item)
        return self._check(item) + self.gone

    def _check(self, item):
        return total([item], None)

    def forgotten(self):
        return self.forgotten()
"""


@pytest.mark.parametrize(
    ("claim", "quoted", "reason"),
    [
        ("unused: json", "import json", "`json` is used at shop.py:16"),
        ("unused: vat", "from tax import rate as vat", "`vat` is used at shop.py:12"),
        ("unused: net", "    net = sum(items)", "`net` is used at shop.py:9"),
        ("unused: total()", "def total(items, currency):", "`total` is used at shop.py:29"),
        ("unused: Cart._check", "    def _check(self, item):", "`_check` is used at shop.py:26"),
        ("unused: self.items", "        self.items = []", "used at shop.py:25"),
        ("unused: os", "import os", None),
        ("unused: spare", "    spare = 3", None),
        ("unused: currency", "def total(items, currency):", None),
        ("unused: self.cache", "        self.cache = {}", None),
        ("unused: forgotten", "    def forgotten(self):", None),
        ("undefined: net", "    return net * vat", "`net` is defined at shop.py:7"),
        ("undefined: vat", "    return net * vat", "`vat` is defined at shop.py:3"),
        ("undefined: sum", "    net = sum(items)", "`sum` is a builtin of Python"),
        ("undefined: total", "        return total([item], None)", "`total` is defined at shop.py:6"),
        ("undefined: self._check", "        return self._check(item) + self.gone", "defined at shop.py:28"),
        ("undefined: self.gone", "        return self._check(item) + self.gone", None),
        ("undefined: late", "    print(late)", None),
    ],
)
def test_names_are_looked_up_in_their_scopes(claim, quoted, reason):
    found = judged(claim, quoted, SHOP)

    assert found is None if reason is None else reason in found


def test_a_public_function_is_used_where_another_file_imports_it():
    other = {"order.py": "from shop import load\n\nload('x')\n"}

    assert judged("unused: load", "def load(path):", SHOP) is None
    assert judged("unused: load", "def load(path):", SHOP, others=other) == "`load` is used at order.py:1"


def test_with_two_definitions_a_use_elsewhere_proves_nothing():
    other = {"order.py": "def load(): ...\n\nload()\n"}

    assert judged("unused: load", "def load(path):", SHOP, others=other) is None


@pytest.mark.parametrize(
    ("path", "text", "quoted", "refuted"),
    [
        ("a.py", "def f(x):\n    y = x\n    g(y)\n", "    g(y)", True),
        ("a.py", "def f(x):\n    with x:\n        y = x\n        g(y)\n", "        g(y)", True),
        ("a.py", "def f(x):\n    return x\n    g(x)\n", "    g(x)", False),
        ("a.py", "def f(x):\n    if x:\n        return\n    g(x)\n", "    g(x)", False),
        ("a.py", "def f(x):\n    if x:\n        g(x)\n", "        g(x)", False),
        ("a.py", "def f(x):\n    sys.exit(1)\n    g(x)\n", "    g(x)", False),
        ("a.py", "def f(x):\n    while x:\n        h()\n    g(x)\n", "    g(x)", False),
        ("a.js", "function f(x) {\n  const y = x;\n  g(y);\n}\n", "  g(y);", True),
        ("a.js", "function f(x) {\n  throw x;\n  g(y);\n}\n", "  g(y);", False),
        ("a.go", "package m\nfunc f(x int) {\n\ty := x\n\tg(y)\n}\n", "\tg(y)", True),
        ("a.go", "package m\nfunc f(x int) {\n\tpanic(x)\n\tg(x)\n}\n", "\tg(x)", False),
    ],
)
def test_a_statement_is_reachable_where_nothing_before_it_can_leave(path, text, quoted, refuted):
    assert bool(judged("unreachable: g", quoted, text, path)) is refuted


@pytest.mark.parametrize(
    ("text", "refuted"),
    [
        ("async def f():\n    await save()\n\nasync def save(): ...\n", True),
        ("async def f():\n    save()\n\ndef save():\n    x = 1\n", True),
        ("async def f():\n    save()\n\nasync def save(): ...\n", False),
        ("async def f():\n    save()\n\ndef save():\n    return post()\n", False),
        ("async def f():\n    save()\n\n@background\ndef save():\n    x = 1\n", False),
        ("async def f():\n    save()\n\nclass A:\n    def save(self): ...\nclass B:\n    def save(self): ...\n", False),
        ("async def f():\n    save()\n", False),
    ],
)
def test_an_await_is_not_missing_where_it_stands_or_there_is_nothing_to_await(text, refuted):
    quoted = text.split("\n")[1]

    assert bool(judged("missing_await: save", quoted, text)) is refuted


@pytest.mark.parametrize(
    ("text", "refuted"),
    [
        ("def f(p):\n    file = open(p)\n    file.close()\n", True),
        ("def f(p):\n    file = open(p)\n    with file:\n        pass\n", True),
        ("def f(p):\n    file = open(p)\n    stack.enter_context(file)\n", True),
        ("def f(p):\n    file = open(p)\n    return file.read()\n", False),
        ("def f(p):\n    file = open(p)\n    return 1\n\ndef g(file):\n    file.close()\n", False),
    ],
)
def test_what_is_closed_in_the_same_function_is_closed(text, refuted):
    assert bool(judged("never_closed: file", "    file = open(p)", text)) is refuted


SIGNATURES = (
    "def send(to, body, *, urgent=False, retries: int = 3): ...\n"
    "class Mail:\n    def post(self, to, /, body: str = ''): ...\n"
    "def free(*args, **named): ...\n"
    "def typed(*args: int, key): ...\n"
    "@wrapped\ndef odd(a): ...\n"
)


@pytest.mark.parametrize(
    ("name", "call", "refuted"),
    [
        ("send", "send('a', 'b')", True),
        ("send", "send('a', body='b', urgent=True)", True),
        ("send", "send('a')", False),
        ("send", "send('a', 'b', True)", False),
        ("send", "send('a', 'b', later=True)", False),
        ("send", "send('a', 'b', to='c')", False),
        ("send", "send(*everything)", False),
        ("post", "mail.post('a')", True),
        ("post", "mail.post('a', body='b')", True),
        ("post", "mail.post(to='a')", False),
        ("free", "free(1, 2, x=3)", True),
        ("typed", "typed(1, 2, key=3)", True),
        ("typed", "typed(1, 2)", False),
        ("odd", "odd(1)", False),
        ("unknown", "unknown(1)", False),
    ],
)
def test_a_call_is_held_against_the_one_definition_it_can_mean(name, call, refuted):
    text = f"{SIGNATURES}\n{call}\n"

    assert bool(judged(f"signature_mismatch: {name}", call, text)) is refuted


def test_a_claim_about_a_file_is_held_against_the_tree():
    known = facts({"src/shop.py": "x = 1\n"}, paths=("src/tax.py", "README.md"))
    at = "src/shop.py"

    assert refute(draft("missing_file: README.md", "x = 1", at), known) == "README.md exists"
    assert refute(draft("missing_file: ./tax.py", "x = 1", at), known) == "src/tax.py exists"
    assert refute(draft("missing_file: src/rate.py", "x = 1", at), known) is None
    assert refute(draft("duplicate: src/old.py:12", "x = 1", at), known) == "there is no file src/old.py"
    assert refute(draft("duplicate: src/tax.py", "x = 1", at), known) is None
    assert refute(draft("duplicate: src/old.py", "x = 1", at), HeadFacts(known.diff, known.texts)) is None


def test_a_test_that_mentions_the_name_is_a_test():
    known = facts({"shop.py": SHOP, "tests/test_shop.py": "from shop import total\n", "docs/load.py": "load()\n"})

    assert refute(draft("missing_test: total", "x"), known) == "`total` is tested at tests/test_shop.py:1"
    assert refute(draft("missing_test: load", "x"), known) is None


@pytest.mark.parametrize("kind", [*CLAIMS, "", "nonsense", "unused"])
def test_what_cannot_be_decided_stands(kind):
    unknown = draft(f"{kind}: name", "not in the diff", "other.txt")
    removed = draft(f"{kind}: total", "    net = sum(items)", side=Side.LEFT)

    assert refute(unknown, facts({"shop.py": SHOP})) is None
    assert refute(removed, HeadFacts(Diff(), {})) is None


def test_a_claim_names_its_subject():
    assert claimed_name("unused: `Cart.total()`") == "total"
    assert claimed_name("undefined: shop::rate") == "rate"
    assert claimed_name("unused") == ""
