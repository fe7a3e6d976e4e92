"""Oxlint and zizmor in the jail: what they find, and what they say of files that they cannot read."""

from __future__ import annotations

import asyncio

import pytest

from bot.checks import jail_cell, oxlint, zizmor
from bot.checks.jail import Jail
from bot.checks.oxlint import RULES, Oxlint
from bot.core.findings.finding import Severity
from bot.core.findings.problem import Problem
from bot.interfaces import CheckResult, Source

pytestmark = pytest.mark.skipif(
    bool(jail_cell.obstacle()), reason=f"nothing can be confined here: {jail_cell.obstacle()}"
)

EXAMPLES = {
    "no-const-assign": ("const a = 1; a = 2;", "const a = 1;\na += 2;", "let a = 1; a = 2;", "const a = []; a.push(1);"),
    "no-dupe-keys": ("f({ a: 1, a: 2 });", "f({ 'a': 1, b: 2, a: 3 });", "f({ a: 1, b: 2 });", "f({ ...a, ...a });"),
    "no-duplicate-case": (
        "switch (a) { case 1: f(); break; case 1: g(); }",
        "switch (a) { case 'x': f(); break; case 'x': g(); }",
        "switch (a) { case 1: f(); break; case 2: g(); }",
        "switch (a) { case f(1): g(); break; case f(2): g(); }",
    ),
    "no-self-compare": ("if (a === a) f();", "if (a.b > a.b) f();", "if (a === b) f();", "if (a.b > a.c) f();"),
    "use-isnan": ("if (a == NaN) f();", "if (NaN !== a) f();", "if (isNaN(a)) f();", "if (Number.isNaN(a)) f();"),
    "valid-typeof": (
        "if (typeof a === 'strnig') f();",
        "if (typeof a == 'undefnied') f();",
        "if (typeof a === 'string') f();",
        "if (typeof a === b) f();",
    ),
    "no-constant-binary-expression": (
        "f(a ?? {} ?? b);",
        "f(!a == null);",
        "f(a ?? b);",
        "f(a == null);",
    ),
    "no-unsafe-negation": ("if (!a in b) f();", "if (!a instanceof B) f();", "if (!(a in b)) f();", "if (a in b) f();"),
    "no-unsafe-finally": (
        "function f() { try { g(); } finally { return 1; } } f();",
        "function f() { try { g(); } finally { throw new Error(); } } f();",
        "function f() { try { g(); } finally { h(); } } f();",
        "function f() { try { return g(); } catch { return 1; } } f();",
    ),
    "no-unreachable": (
        "function f() { return 1; g(); } f();",
        "for (const a of b) { break; f(a); }",
        "function f() { if (a) return 1; g(); } f();",
        "function f() { return g(); function g() { return 1; } } f();",
    ),
    "for-direction": (
        "for (let i = 0; i < 9; i--) f(i);",
        "for (let i = 9; i > 0; i++) f(i);",
        "for (let i = 0; i < 9; i++) f(i);",
        "for (let i = 9; i > 0; i--) f(i);",
    ),
    "array-callback-return": (
        "f(a.map((x) => { x + 1; }));",
        "f(a.filter(function (x) { if (x) { return true; } }));",
        "f(a.map((x) => x + 1));",
        "a.forEach((x) => { f(x); });",
    ),
    "constructor-super": (
        "f(class A extends B { constructor() { f(); } });",
        "f(class A extends B { constructor(a) { if (a) { super(); } } });",
        "f(class A extends B { constructor() { super(); } });",
        "f(class A { constructor() { f(); } });",
    ),
    "no-async-promise-executor": (
        "f(new Promise(async (a) => a(1)));",
        "f(new Promise(async function (a) { a(await g()); }));",
        "f(new Promise((a) => a(1)));",
        "f(async () => new Promise((a) => a(1)));",
    ),
    "no-invalid-regexp": ("f(new RegExp('['));", "f(new RegExp('a', 'qq'));", "f(new RegExp('[a]'));", "f(RegExp(a));"),
    "no-loss-of-precision": ("f(9007199254740993);", "f(5123000000000000000000000000001);", "f(9007199254740992);", "f(1.5);"),
    "no-template-curly-in-string": ("f('a ${b}');", 'f("${b.c}");', "f(`a ${b}`);", "f('a {b}');"),
    "no-throw-literal": ("throw 'no';", "throw 42;", "throw new Error('no');", "throw error;"),
    "no-unassigned-vars": ("let a; f(a);", "let a; if (a) f();", "let a; a = g(); f(a);", "let a = 1; f(a);"),
    "no-unused-expressions": ("a === b;", "a.b + 1;", "a && f();", "f`x`;"),
    "no-unused-vars": (
        "import { a } from 'a';\nf();",
        "export function f() {\n  const a = 1;\n}",
        "import { a } from 'a';\na();",
        "function f(a) { return 1; }",
    ),
    "rules-of-hooks": (
        "import 'react';\nexport function A(p) { if (p.x) { useState(1); } return null; }",
        "import { useEffect } from 'react';\nexport function A(p) { for (const x of p.xs) { useEffect(x); } return null; }",
        "import 'react';\nexport function A(p) { const [a] = useState(1); return a; }",
        "import 'pinia';\nexport function A(p) { if (p.x) { useStore(1); } return null; }",
    ),
    "jsx-key": (
        "export const A = (p) => p.xs.map((x) => <li>{x}</li>);",
        "export const A = () => [<b />, <i />];",
        "export const A = (p) => p.xs.map((x) => <li key={x}>{x}</li>);",
        "export const A = () => <b />;",
    ),
    "no-debugger": ("debugger;", "function f() { debugger; } f();", "f('debugger');", "a.debugger = 1;"),
    "no-class-assign": ("class A {}\nA = 1;\nf(A);", "f(class A { b() { A = 1; } });", "let A = class {};\nA = 1;\nf(A);", "class A {}\nA.b = 1;\nf(A);"),
    "no-func-assign": ("function a() {}\na = 1;\nf(a);", "f(function a() { a = 1; });", "let a = function () {};\na = 1;\nf(a);", "function a() {}\na.b = 1;\nf(a);"),
    "no-import-assign": ("import a from 'a';\na = 1;", "import * as a from 'a';\na.b = 1;", "import a from 'a';\na.b = 1;", "import { a } from 'a';\na.b.c = 1;"),
    "no-ex-assign": ("try { f(); } catch (e) { e = 1; g(e); }", "try { f(); } catch (e) { [e] = g(); h(e); }", "try { f(); } catch (e) { let a = e; a = 1; g(a); }", "let e = 1;\ntry { f(); } catch { e = 2; }\nf(e);"),
    "no-global-assign": ("Object = null;", "undefined = 1;", "Object.a = 1;", "let Object = 1;\nObject = 2;\nf(Object);"),
    "no-dupe-class-members": ("f(class { a() {} a() {} });", "f(class { static a() {} static a() {} });", "f(class { a() {} b() {} });", "f(class { a() {} static a() {} });"),
    "no-duplicate-enum-values": ("export enum A { B = 1, C = 1 }", "export enum A { B = 'x', C = 'x' }", "export enum A { B = 1, C = 2 }", "export enum A { B = 'x', C = 'y' }"),
    "jsx-no-duplicate-props": ("f(<a b='1' b='2' />);", "f(<A b={1} c={2} b={3} />);", "f(<a b='1' c='2' />);", "f(<A b={1} {...c} />);"),
    "no-dupe-else-if": ("if (a) f(); else if (a) g();", "if (a || b) f(); else if (a) g();", "if (a) f(); else if (b) g();", "if (a && b) f(); else if (a) g();"),
    "no-self-assign": ("a = a;", "[a, b] = [a, b];", "a = b;", "[a, b] = [b, a];"),
    "no-compare-neg-zero": ("if (a === -0) f();", "if (a < -0) f();", "if (a === 0) f();", "if (Object.is(a, -0)) f();"),
    "bad-object-literal-comparison": ("if (a === {}) f();", "if (a == []) f();", "if (a.length === 0) f();", "if (a === b) f();"),
    "bad-char-at-comparison": ("if (a.charAt(4) === 'aa') f();", "if (a.charAt(0) !== 'ab') f();", "if (a.charAt(4) === 'a') f();", "if (a.charAt(0) === b) f();"),
    "const-comparisons": ("if (a <= 400 && a > 500) f();", "if (a < 200 && a <= 200) f();", "if (a <= 500 && a > 400) f();", "if (a < 100 || a > 200) f();"),
    "double-comparisons": ("if (a === b || a < b) f();", "if (a < b || a > b) f();", "if (a <= b) f();", "if (a === b || a < c) f();"),
    "bad-comparison-sequence": ("if (a == b == c) f();", "if (a < b < c) f();", "if (a == b && b == c) f();", "if (a < b && b < c) f();"),
    "no-unsafe-optional-chaining": ("f((a?.b).c);", "f([...a?.b]);", "f(a?.b.c);", "f((a?.b ?? {}).c);"),
    "no-non-null-asserted-optional-chain": ("f(a?.b!);", "f(a?.b()!);", "f(a?.b);", "f(a!.b);"),
    "getter-return": ("f({ get a() { g(); } });", "f(class { get a() { if (b) { return 1; } } });", "f({ get a() { return 1; } });", "f(class { get a() { throw new Error(); } });"),
    "no-setter-return": ("f({ set a(b) { return b; } });", "f(class { set a(b) { if (b) { return 1; } } });", "f({ set a(b) { g(b); } });", "f(class { set a(b) { if (!b) return; g(b); } });"),
    "uninvoked-array-callback": ("f(new Array(5).map((_) => g()));", "f(new Array(5).filter((_) => g()));", "f([1, 2].map((_) => g()));", "f(new Array(5).fill(0).map((_) => g()));"),
    "no-this-before-super": ("f(class extends A { constructor() { this.a = 1; super(); } });", "f(class extends A { constructor() { super.b(); super(); } });", "f(class extends A { constructor() { super(); this.a = 1; } });", "f(class { constructor() { this.a = 1; } });"),
    "no-new-native-nonconstructor": ("f(new Symbol('a'));", "f(new BigInt(9));", "f(Symbol('a'));", "f(BigInt(9));"),
    "no-obj-calls": ("f(Math());", "f(new JSON());", "f(Math.abs(a));", "f(JSON.parse(a));"),
    "no-misused-new": ("export interface A { new (): A; }", "export interface A { constructor(): void; }", "export interface A { make(): A; }", "export interface A { new (): B; }"),
    "no-await-in-promise-methods": ("f(async () => Promise.all([await a, b]));", "f(async () => Promise.race([await a(), b]));", "f(async () => await Promise.all([a, b]));", "f(async () => Promise.all([a(), b]));"),
    "no-invalid-fetch-options": ("f(fetch(a, { body: 'b' }));", "f(new Request(a, { method: 'GET', body: 'b' }));", "f(fetch(a, { method: 'POST', body: 'b' }));", "f(fetch(a, { method: 'GET' }));"),
    "no-invalid-remove-event-listener": ("a.removeEventListener('b', () => f());", "a.removeEventListener('b', f.bind(a));", "a.removeEventListener('b', f);", "a.removeEventListener('b', a.f);"),
    "missing-throw": ("function a() { new Error('b'); }\na();", "function a(b) { f(b); new Error('b'); }\na();", "function a() { throw new Error('b'); }\na();", "const a = () => new Error('b');\na();"),
    "erasing-op": ("f(a * 0);", "f(0 & a);", "f(a * 1);", "f(0 + a);"),
    "bad-min-max-func": ("f(Math.min(Math.max(100, a), 0));", "f(Math.max(1000, Math.min(0, a)));", "f(Math.max(Math.min(100, a), 0));", "f(Math.min(a, 100));"),
    "number-arg-out-of-range": ("f(a.toString(42));", "f(a.toFixed(101));", "f(a.toString(36));", "f(a.toFixed(2));"),
    "bad-replace-all-arg": ("f(a.replaceAll(/b/, 'c'));", "f(a.replaceAll(new RegExp('b', 'i'), 'c'));", "f(a.replaceAll(/b/g, 'c'));", "f(a.replaceAll('b', 'c'));"),
    "bad-array-method-on-arguments": ("function a() { return arguments.map((b) => b); }\na();", "function a() { arguments.forEach((b) => f(b)); }\na();", "function a() { return Array.from(arguments).map((b) => b); }\na();", "function a(...b) { return b.map((c) => c); }\na();"),
    "no-empty-character-class": ("f(/a[]/);", "f(/^abc[]/.test(b));", "f(/a[b]/);", "f(/a\\[]/);"),
    "no-misleading-character-class": ("f(/^[👍]$/);", "f(/[👨‍👩‍👦]/u);", "f(/^[👍]$/u);", "f(/👍/);"),
    "no-useless-backreference": ("f(/\\1(a)/);", "f(/(?:a|(b))\\2(c)/);", "f(/(a)\\1/);", "f(/(a)(b)\\2/);"),
    "no-sparse-arrays": ("f([1, , 2]);", "f([, 1]);", "f([1, 2]);", "f([1, 2,]);"),
    "no-direct-mutation-state": ("import React from 'react';\nexport class A extends React.Component { b() { this.state.c = 1; } }", "import { Component } from 'react';\nexport class A extends Component { b() { this.state.c.d++; } }", "import React from 'react';\nexport class A extends React.Component { b() { this.setState({ c: 1 }); } }", "export class A { b() { this.state.c = 1; } }"),
}  # fmt: skip
TYPED = {"no-duplicate-enum-values", "no-non-null-asserted-optional-chain", "no-misused-new"}


def check(*files: tuple[str, str]) -> CheckResult:
    """What oxlint says about files given as (path, text)."""
    return asyncio.run(Oxlint(Jail()).run([Source(path, text) for path, text in files]))


def test_each_kind_of_rule_finds_its_bad_examples_and_not_its_good_ones() -> None:
    files = [
        (f"{rule}-{number}.{'tsx' if rule in TYPED else 'jsx'}", f"{text}\n")
        for rule, texts in EXAMPLES.items()
        for number, text in enumerate(texts)
    ]
    checked = check(*files)

    found = {(problem.path.partition(".")[0], problem.rule) for problem in checked.problems}
    wrong = [
        (rule, text)
        for rule, texts in EXAMPLES.items()
        for number, text in enumerate(texts)
        if ((f"{rule}-{number}", rule) in found) != (number < 2)
    ]
    assert checked.failed == ()
    assert wrong == []
    for problem in checked.problems:
        assert problem.why.endswith(".")
        assert problem.url.startswith("https://oxc.rs/")


def test_every_rule_of_the_list_is_known_to_oxlint(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for rule in RULES for name in rule.names.split()]

    assert len(names) == len(set(names))
    assert {name.rpartition("/")[2] for name in names} == EXAMPLES.keys()
    assert check(("a.ts", "f();\n")) == CheckResult()
    monkeypatch.setattr(oxlint, "_config", lambda: {"rules": {"no-such-rule": "error"}})
    assert check(("a.ts", "f();\n")).failed  # so an unknown name would not pass unseen


def test_a_page_or_a_test_is_not_told_what_is_usual_there() -> None:
    script = "function shown() { return 1; }\n"

    assert check(("page.js", script), ("a.test.js", "import a from 'a';\nexpect(b).to.be.true;\n")) == CheckResult()


def test_a_file_that_cannot_be_parsed_has_one_problem_and_the_flow_dialect_has_failed() -> None:
    checked = check(
        ("a.js", "const a = {;\nconst b = [;\n"), ("b.js", "// @flow\nconst a: ?b = 1;\n"), ("c.js", "debugger;\n")
    )

    assert [(problem.path, problem.rule) for problem in checked.problems] == [
        ("a.js", "invalid-syntax"),
        ("c.js", "no-debugger"),
    ]
    assert checked.failed == (("b.js", "is written in Flow, which oxlint does not know"),)


def test_a_repository_cannot_configure_oxlint_but_its_authors_may_silence_a_line() -> None:
    checked = check(
        (".oxlintrc.json", '{"rules": {"no-debugger": "off"}, "ignorePatterns": ["**"]}'),
        ("a.js", "debugger;\n// eslint-disable-next-line no-debugger -- shown in the course\ndebugger;\n"),
    )

    assert [(problem.path, problem.line) for problem in checked.problems] == [("a.js", 1)]


def test_a_component_is_read_and_where_oxlint_does_not_run_the_files_are_named() -> None:
    view = "<template><b /></template>\n<script setup>\nif (a === a) f();\n</script>\n"
    cramped = asyncio.run(Oxlint(Jail(memory=1 << 20)).run([Source("a.ts", "f();\n")]))

    assert [(problem.rule, problem.line) for problem in check(("a.vue", view)).problems] == [("no-self-compare", 3)]
    assert [path for path, reason in cramped.failed if reason] == ["a.ts"]


def audit(**workflows: str) -> tuple[list[Problem], tuple[tuple[str, str], ...]]:
    """What zizmor says about workflows given by name."""
    analyser = zizmor.offer(Jail())
    assert analyser
    files = [Source(f".github/workflows/{name}.yml", text) for name, text in workflows.items()]
    checked = asyncio.run(analyser.run(files))
    return sorted(checked.problems, key=lambda problem: (problem.path, problem.line)), checked.failed


JOB = "on: {on}\npermissions: {{}}\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: |\n          date\n          {run}\n"


def test_zizmor_finds_injection_and_dangerous_triggers_and_names_what_is_no_workflow() -> None:
    found, failed = audit(
        injected=JOB.format(on="issues", run='echo "${{ github.event.issue.title }}"'),
        quoted=JOB.format(on="issues", run='echo "$TITLE"'),
        target=JOB.format(on="pull_request_target", run="make"),
        safe=JOB.format(on="pull_request", run="make"),
        broken="on: [",
    )

    assert [(problem.path.rpartition("/")[2], problem.line, problem.rule, problem.severity) for problem in found] == [
        ("injected.yml", 9, "template-injection", Severity.ERROR),
        ("target.yml", 1, "dangerous-triggers", Severity.WARNING),
    ]
    assert [path for path, _ in failed] == [".github/workflows/broken.yml"]


def test_without_the_extra_zizmor_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zizmor, "find_program", lambda _: None)

    assert zizmor.offer(Jail()) is None
    assert Oxlint(Jail()).reads("src/a.mts")
    assert not Oxlint(Jail()).reads("src/a.d.ts")
