"""What else a change may break: callers, overrides and tests of what it alters or removes, in several languages."""

import difflib

import pytest

from bot.core.claims.uses import DEFINITIONS, changed_definitions, used_definition
from bot.core.code.diff import parse_diff

CART = "class Cart:\n    def total(self, items):\n        return sum(items)\n\n    def clear(self):\n        self.items = []\n\n\ndef rate(country):\n    return 2\n\n\nLIMIT = 5\n"


def changes(path, before, after):
    rows = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{path}", f"b/{path}"
    )
    diff = parse_diff(f"diff --git a/{path} b/{path}\n" + "".join(rows))
    return changed_definitions(diff.files, {path: after})


def test_removed_definitions_come_first_then_signatures_then_bodies():
    after = CART.replace("def rate(country)", "def rate(country, year)").replace("sum(items)", "sum(items) + 1")
    after = after.replace("    def clear(self):\n        self.items = []\n\n\n", "\n")

    found = changes("shop/cart.py", CART, after.replace("LIMIT = 5", "LIMIT = 6"))

    assert [(one.name, one.line > 0, one.signature) for one in found] == [
        ("Cart.clear", False, True),
        ("rate", True, True),
        ("LIMIT", True, True),
        ("Cart.total", True, False),
    ]


def test_a_new_definition_and_a_variable_of_a_function_have_no_callers_to_show():
    after = CART.replace("    return 2\n", "    value = 2\n    return value\n") + "\n\ndef extra():\n    return 1\n"

    assert [one.name for one in changes("cart.py", CART, after)] == ["rate"]


def test_a_removed_file_removes_its_definitions_and_a_test_has_none():
    removed = CART.replace("\n", "\n-").removesuffix("-")
    text = f"diff --git a/p b/p\ndeleted file mode 100644\n--- a/p\n+++ /dev/null\n@@ -1,{CART.count(chr(10))} +0,0 @@\n-{removed}"

    names = [one.name for one in changed_definitions(parse_diff(text.replace("/p", "/cart.py")).files, {})]
    assert names == ["Cart", "Cart.total", "Cart.clear", "rate", "LIMIT"]
    assert changed_definitions(parse_diff(text.replace("/p", "/test_cart.py")).files, {}) == ()


def test_a_large_change_is_bounded():
    before = "".join(f"def function_{n}(a):\n    return a\n\n\n" for n in range(60))

    assert len(changes("m.py", before, before.replace("return a", "return -a"))) == DEFINITIONS


def test_callers_overrides_and_tests_are_named_with_their_lines():
    (total,) = changes("shop/cart.py", CART, CART.replace("sum(items)", "sum(items) + 1"))
    texts = {
        "shop/cart.py": CART.replace("sum(items)", "sum(items) + 1"),
        "shop/order.py": "from shop.cart import Cart\n\n\ndef pay(cart):\n    return cart.total([1])\n",
        "shop/gift.py": "class Gift(Cart):\n    def total(self, items):\n        return 0\n",
        "tests/test_cart.py": "def test_it():\n    assert Cart().total([1]) == 1\n",
        "web/app.js": "cart.total(items)\n",
        "README.md": "total\n",
    }

    assert used_definition(total, texts).text == (
        "Cart.total (shop/cart.py:2, body changed)\n"
        "  used at shop/order.py:5: return cart.total([1])\n"
        "  also defined at shop/gift.py:2: def total(self, items):\n"
        "  tested at tests/test_cart.py:2: assert Cart().total([1]) == 1"
    )


def test_what_is_used_nowhere_is_said_to_be_used_nowhere_and_many_uses_are_counted():
    (rate,) = changes("cart.py", CART, CART.replace("def rate(country)", "def rate(land)"))
    many = {"order.py": "".join(f"a_{n} = rate({n})\n" for n in range(50))}

    assert used_definition(rate, {"cart.py": CART}).text == ("rate (cart.py:9, signature changed)\n  no use was found")
    assert used_definition(rate, many).text.endswith("used at 42 more places")


@pytest.mark.parametrize(
    ("path", "before", "after", "name", "user", "line"),
    [
        (
            "a.go",
            "package a\n\nfunc Pay(o int) int {\n\treturn o\n}\n",
            ("o int", "o, p int"),
            "Pay",
            "b.go",
            "package a\n\nfunc b() {\n\tPay(1)\n}\n",
        ),
        (
            "a.ts",
            "export function pay(o: number) {\n  return o;\n}\n",
            ("o: number", "o: number, p: number"),
            "pay",
            "b.tsx",
            'import { pay } from "./a";\npay(1);\n',
        ),
        (
            "A.java",
            "class A {\n  int pay(int o) {\n    return o;\n  }\n}\n",
            ("int o)", "long o)"),
            "A.pay",
            "B.java",
            "class B {\n  int x() {\n    return a.pay(1);\n  }\n}\n",
        ),
        ("a.rb", "def pay(o)\n  o\nend\n", ("pay(o)", "pay(o, p)"), "pay", "b.rb", "def x\n  pay(1)\nend\n"),
    ],
    ids=["go", "typescript", "java", "ruby"],
)
def test_every_language_with_a_grammar_has_its_callers_shown(path, before, after, name, user, line):
    (changed,) = changes(path, before, before.replace(*after))
    text = used_definition(changed, {user: line}).text

    assert (changed.name, changed.signature) == (name, True)
    assert f"used at {user}:" in text
