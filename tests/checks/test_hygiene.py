"""Left-overs in code: found where they are one, not where they are something else."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from bot.checks.hygiene import RULES, Hygiene
from bot.interfaces import Source


def rules(text: str, path: str) -> list[tuple[int, str]]:
    """Line and rule of each left-over."""
    checked = asyncio.run(Hygiene().run([Source(path, text)]))
    return [(problem.line, problem.rule) for problem in checked.problems]


FOUND = [
    ("debug-statement", "a.py", "    breakpoint()"),
    ("debug-statement", "a.py", "import pdb; pdb.set_trace()"),
    ("debug-statement", "a.ts", "  debugger;"),
    ("debug-statement", "a.rb", "  binding.pry"),
    ("debug-statement", "a.php", "dd($user);"),
    ("debug-statement", "a.rs", "    let x = dbg!(y);"),
    ("console-output", "a.tsx", "  console.log(user)"),
    ("unowned-todo", "a.py", "x = 1  # TODO make it two"),
    ("unowned-todo", "a.go", "// FIXME: later"),
    ("unowned-todo", "a.java", " * TODO write this"),
    ("unowned-todo", "a.sql", "-- TODO index"),
    ("new-suppression", "a.py", "import os  # noqa"),
    ("new-suppression", "a.py", "x = f()  # type: ignore"),
    ("new-suppression", "a.py", "x = f()  # type: ignore  # noqa: E501"),
    ("new-suppression", "a.py", "# pylint: disable=all"),
    ("new-suppression", "a.py", "run(x)  # nosec"),
    ("new-suppression", "a.ts", "// @ts-ignore"),
    ("new-suppression", "a.js", "/* eslint-disable */"),
    ("new-suppression", "a.go", "x() //nolint"),
    ("new-suppression", "a.rb", "x # rubocop:disable all"),
    ("new-suppression", "a.rs", "#[allow(warnings)]"),
    ("new-suppression", "a.java", '@SuppressWarnings("all")'),
    ("new-suppression", "a.kt", "x() // NOSONAR"),
    ("new-suppression", "a.php", "/** @phpstan-ignore-next-line */"),
    ("focused-test", "a.test.ts", "describe.only('x', () => {"),
    ("focused-test", "a.test.js", "  fit('works', () => {"),
    ("focused-test", "a_spec.rb", "  it 'works', focus: true do"),
    ("skipped-test", "test_a.py", "@pytest.mark.skip"),
    ("skipped-test", "test_a.py", "@pytest.mark.xfail()"),
    ("skipped-test", "test_a.py", "    @unittest.skip"),
    ("skipped-test", "a.test.ts", "it.skip('x', () => {"),
    ("skipped-test", "a_test.go", "\tt.Skip()"),
    ("skipped-test", "a_spec.rb", "  xit 'works' do"),
    ("skipped-test", "a.rs", "#[ignore]"),
    ("skipped-test", "ATest.java", "  @Disabled"),
]
NOT_FOUND = [
    ("a.py", "<<<<<<< HEAD"),
    ("a.py", ">>>>>>> feature/x"),
    ("docs/merge.md", "```\n<<<<<<< HEAD\na\n=======\nb\n>>>>>>> topic\n```"),
    ("a.py", 'x = """\n<<<<<<< HEAD\na\n=======\nb\n>>>>>>> topic\n"""'),
    ("src/regression.js", "class R {\n  fit(x, y) {\n  }\n}"),
    ("src/term.js", "fit(document.body);"),
    ("a.spec.ts", "test.skip(browserName === 'firefox', 'no such API, see #4711');"),
    ("a.spec.ts", "test.skip(({browserName}) => browserName !== 'chromium', 'Chromium only');"),
    ("a.spec.ts", "// flaky on CI until #12 is done\nit.skip('x', () => {});"),
    ("src/a.ts", "it.skip('x', () => {})"),
    ("src/main/Entity.java", "@Ignore"),
    ("a.py", "x = '# TODO'"),
    ("a.py", 'x = """\n# TODO fill this in\n"""'),
    ("a.js", "const page = `\n  console.log(1)\n  debugger\n`;"),
    ("a.js", "/*\n  console.log(1)\n*/"),
    ("examples/a.js", "console.log(1)"),
    ("src/a.test.ts", "  console.log(user)"),
    ("bin/tool.js", "console.log(1)"),
    ("run.mjs", "#!/usr/bin/env node\nconsole.log(1)"),
    ("templates/new/a.py", "# TODO describe the app"),
    ("tests/test_a.py", "# TODO more cases"),
    ("a.py", "import os  # noqa: F401, E402"),
    ("a.py", "run(x)  # nosec B602"),
    ("a.py", "# the stubs are wrong\nx = f()  # type: ignore"),
    ("a.go", "x() //nolint:errcheck"),
    ("a.rs", "#[allow(dead_code)] // used by the FFI"),
    ("a.java", '@SuppressWarnings("unchecked")'),
    ("a.js", "/* eslint-disable no-eval */"),
    ("a.rb", "x # rubocop:disable Style/Foo"),
    ("a.md", "======="),
    ("a.py", ">>> 1 + 1"),
    ("a.py", "<<<<<<<<<<<<<<<<<<<<"),
    ("a.py", "model.fit(x, y)"),
    ("a.py", "print('debugger;')"),
    ("a.py", "breakpoint_at = 3"),
    ("a.js", "model.fit(x)"),
    ("a.js", "logger.console.log(x)"),
    ("a.js", "// debugger statements are bad"),
    ("a.py", "# TODO(ann): make it two"),
    ("a.py", "# TODO see #123"),
    ("a.py", "# TODO https://example.org/1"),
    ("a.py", "# TODO ABC-12 later"),
    ("a.py", "# TODO @ann"),
    ("a.ex", "# TODO: Remove me once the deprecation is removed"),
    ("a.java", "// TODO: update this when we are on at least API level 24"),
    ("a.ex", "# TODO: Remove rescue as this can't fail from Elixir v1.13"),
    ("a.py", "TODO = Status.TODO"),
    ("a.md", "- TODO write this"),
    ("a.py", "# a noqabout word"),
    ("a.py", "import os  # noqa: F401 - the plug-in is found by its import"),
    ("a.py", "x = f()  # type: ignore[arg-type]"),
    ("a.py", "x = f()  # type: ignore  # the stubs are wrong"),
    ("a.py", "run(x)  # nosec: the command is a constant"),
    ("a.js", "// eslint-disable-next-line no-eval -- the text is ours"),
    ("a.ts", "// @ts-ignore the types of the package are wrong"),
    ("a.go", "x() //nolint:errcheck // it only prints"),
    ("a.rs", '#[allow(dead_code, reason = "used by tests")]'),
    ("test_a.py", '@pytest.mark.skip(reason="needs a network")'),
    ("test_a.py", '@pytest.mark.skipif(WINDOWS, reason="no fork")'),
    ("test_a.py", '@unittest.skip("later")'),
    ("a_test.go", 't.Skip("needs docker")'),
    ("a.ts", "only('x')"),
    ("a.rs", '#[ignore = "slow"]'),
    ("ATest.java", '@Disabled("ABC-1")'),
    ("a.ts", "const x: @ts = 1"),
]


@pytest.mark.parametrize(("rule", "path", "line"), FOUND)
def test_a_left_over_is_found(rule: str, path: str, line: str) -> None:
    assert rules(f"first\n{line}\nlast\n", path) == [(2, rule)]


@pytest.mark.parametrize(("path", "line"), NOT_FOUND)
def test_what_is_none_is_left_alone(path: str, line: str) -> None:
    assert rules(line, path) == []


@pytest.mark.parametrize("path", ["any.txt", "a.py", "README.md", "a.unknown"])
def test_a_whole_conflict_is_one_problem(path: str) -> None:
    conflict = "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> topic\n"

    assert rules(f"first\n{conflict}{conflict}", path) == [(2, "conflict-marker"), (7, "conflict-marker")]
    assert rules(conflict.replace("\n", "\r\n"), path) == [(1, "conflict-marker")]


def test_what_a_text_interpolates_is_code() -> None:
    assert rules("const x = `${ () => {\n  console.log(1)\n} }`", "a.js") == [(2, "console-output")]


def test_every_rule_in_every_language_has_an_example() -> None:
    def examples(rule: str, pattern: str) -> list[str]:
        return [line for name, _, line in FOUND if name == rule and re.search(pattern, line)]

    assert [rule.name for rule in RULES if not examples(rule.name, rule.pattern.pattern)] == []


@pytest.mark.parametrize(
    "piece", ["# TODO", "# TODO when ", "debugger ;", "@skip", "<<<<<<<", "*", "describe", " ", "# TODO #1"]
)
def test_no_text_takes_long(piece: str) -> None:
    text = (piece * 5_000)[:5_000]

    began = time.process_time()
    for path in ("a.py", "a.ts", "a.rb", "a.go"):
        rules("\n".join([text] * 40), path)

    assert time.process_time() - began < 1
