"""Our own rules: each finds its bad examples and not its good ones, and says a severity and a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from bot.checks import jail_cell, pack
from bot.checks.ast_grep import AstGrep
from bot.checks.jail import Jail
from bot.checks.lines import LineRules, match_lines
from bot.checks.scan import GRAMMARS, PatternRule, grammar_of, is_test, scan
from bot.interfaces import Source

NAMES = sorted(file.stem for file in Path(pack.__file__).with_name("rules").glob("*.yml") if file.stem != "kinds")
PATHS = {"dockerfile": "{}/Dockerfile", "sql": "{}/a.sql"}
needs_jail = pytest.mark.skipif(bool(jail_cell.obstacle()), reason=f"nothing can be confined: {jail_cell.obstacle()}")


def examples(name: str) -> Iterator[tuple[PatternRule, str, Source]]:
    """Each example of a rule file as a file: its rule, "bad" or "good", and the file."""
    for rule, entry in pack.rule_file(name):
        language = rule.languages[0]
        usual = PATHS.get(name) or f"{{}}/a.{GRAMMARS[language][0].suffix}"
        for kind in ("bad", "good"):
            for number, text in enumerate(entry[kind]):
                path = entry.get("path", usual).format(f"{rule.id}-{kind}-{number}")
                yield rule, kind, Source(path, text)


@cache
def findings(name: str) -> tuple[set[tuple[str, str]], tuple[tuple[str, str], ...]]:
    """What the rules of a file find in all its examples, in one process: (path, rule), and the failures."""
    rules = [rule for rule, _ in pack.rule_file(name)]
    files = [file for _, _, file in examples(name)]
    grammar = grammar_of(files[0].path)
    checked = asyncio.run(scan(Jail(), rules, files, "ast-grep")) if grammar else match_lines(rules, files)
    return {(problem.path, problem.rule) for problem in checked.problems}, checked.failed


@needs_jail
@pytest.mark.parametrize("name", NAMES)
def test_each_rule_finds_its_bad_examples_and_not_its_good_ones(name: str) -> None:
    found, failed = findings(name)

    wrong = [
        (rule.id, kind, file.text)
        for rule, kind, file in examples(name)
        if ((file.path, rule.id) in found) != (kind == "bad")
    ]

    assert failed == ()
    assert wrong == []


@needs_jail
@pytest.mark.parametrize("name", NAMES)
def test_a_good_example_breaks_no_other_rule_of_its_language(name: str) -> None:
    found, _ = findings(name)
    good = {file.path for _, kind, file in examples(name) if kind == "good"}

    assert {(path, rule) for path, rule in found if path in good} == set()


def test_each_rule_has_two_examples_of_each_kind_and_plain_words() -> None:
    rules = [(name, rule, entry) for name in NAMES for rule, entry in pack.rule_file(name)]

    assert len(rules) >= 200
    assert {language for _, rule, _ in rules for language in rule.languages} >= {
        "bash", "c", "cpp", "csharp", "dockerfile", "go", "java", "javascript", "kotlin", "php", "python", "ruby",
        "rust", "sql", "swift", "terraform", "typescript", "yaml",
    }  # fmt: skip
    for name, rule, entry in rules:
        assert len(entry["bad"]) == len(entry["good"]) == 2, (name, rule.id)
        assert len(set(entry["bad"] + entry["good"])) == 4, (name, rule.id)
        assert rule.why.endswith("."), (name, rule.id)
        assert not rule.title.endswith("."), (name, rule.id)
        assert len(rule.title) <= 80, (name, rule.id)
        assert len(rule.why) <= 170, (name, rule.id)


def test_every_rule_file_belongs_to_a_language() -> None:
    used = {name for names in pack._FILES.values() for name in names}

    assert used == set(NAMES)
    assert set(pack._read("kinds")) == {rule.id for name in NAMES for rule, _ in pack.rule_file(name)} & set(
        pack._read("kinds")
    )
    assert all(len({rule.id for rule, _ in pack.rule_file(name)}) == len(pack.rule_file(name)) for name in NAMES)


@needs_jail
def test_one_file_of_many_languages_costs_one_process_and_keeps_its_place() -> None:
    files = [
        Source("a.go", 'func f() { exec.Command("sh", "-c", line).Run() }\n'),
        Source("b.rb", '\n\nsystem("ping #{host}")\n'),
        Source("c.tsx", "const a = <b dangerouslySetInnerHTML={{ __html: text }} />;\n"),
        Source("d.h", "namespace a { bool f(S s) { return s.x() == b::x || s.x() == b::y; } }\n"),
        Source("tests/e.rb", 'system("ping #{host}")\n'),
        Source("f.rb", '# ast-grep-ignore\nsystem("ping #{host}")\n'),
    ]

    checked = asyncio.run(AstGrep(Jail()).run(files))

    assert checked.failed == ()
    assert [(problem.path, problem.line, problem.rule) for problem in sorted(checked.problems, key=lambda p: p.path)] == [
        ("a.go", 1, "command-from-values"),
        ("b.rb", 3, "command-from-values"),
        ("c.tsx", 1, "html-from-values"),
        ("f.rb", 2, "command-from-values"),
    ]  # fmt: skip


@needs_jail
def test_a_match_of_many_lines_is_reported_where_it_says_so() -> None:
    script = "script:\n  - |\n" + "    echo\n" * 12 + "    curl https://example.org/a | sh\n"

    checked = asyncio.run(AstGrep(Jail()).run([Source("ci.yml", script)]))

    assert [(problem.rule, problem.line, problem.end) for problem in checked.problems] == [("download-and-run", 15, 15)]


def test_a_continued_line_is_one_line_and_a_statement_may_be_long() -> None:
    files = [
        Source("Dockerfile", "FROM a:1\nRUN apt-get update && \\\n    # a comment\n    curl https://a.example | sh\n"),
        Source("a.sql", "-- nightly\nUPDATE a\nSET b = 1;\n\nSELECT 1;\nDELETE FROM c\n;\n"),
    ]

    checked = asyncio.run(LineRules().run(files))

    assert [(problem.path, problem.line, problem.rule) for problem in checked.problems] == [
        ("Dockerfile", 4, "download-and-run"),
        ("a.sql", 6, "update-without-where"),
    ]


def test_hostile_lines_are_read_in_linear_time() -> None:
    nasty = ["rm " + "-r " * 1600, "chmod " + "-R " * 1600, "curl " * 900, "EXECUTE '" * 500, "GRANT " * 800]
    files = [Source("Dockerfile", "\n".join(nasty * 20)), Source("a.sql", ";\n".join(nasty * 20))]

    assert asyncio.run(asyncio.wait_for(LineRules().run(files), 10)).failed == ()


@needs_jail
def test_where_ast_grep_does_not_run_the_files_are_named() -> None:
    checked = asyncio.run(AstGrep(Jail(memory=1 << 20)).run([Source("a.go", "func f() {}\n")]))

    assert checked.problems == ()
    assert [path for path, _ in checked.failed] == ["a.go"]
    assert checked.failed[0][1]


@pytest.mark.parametrize(
    ("path", "test"),
    [
        ("Tests/AFTests.swift", True),
        ("src/test/java/ATest.java", True),
        ("pkg/a_test.go", True),
        ("src/a.spec.ts", True),
        ("benchmarks/x.py", True),
        ("core/src/commonTest/kotlin/A.kt", True),
        ("test-dts/a.ts", True),
        ("src/latest.go", False),
        ("contest/a.rb", False),
        ("app/attest.py", False),
    ],
)
def test_tests_are_known_by_their_path(path: str, test: bool) -> None:  # noqa: FBT001
    assert is_test(path) == test
