"""Executable rules: what a section may say, what is refused, and which waivers count."""

import pytest

from bot.core.code.diff import FileDiff, Hunk, Line, Status
from bot.core.findings.executable_rules import MOST_RULES, executable_rules, rule_drafts, waiver
from bot.core.findings.finding import Category, Draft, Severity
from bot.core.findings.standard import Document, Standard
from bot.standards.sections import sections

BLOCK = "```yaml ast-grep\nlanguage: python\nrule: {pattern: print($A)}\n```\n"
TEXT = f"## Log\n\nRule: `no-print`; severity: note; scope: `services/**`, *.pyi; enforcement: gate\n\nUse the log.\n\n{BLOCK}"
EXAMPLES = "```python bad\nprint(1)\n```\n\n```py good\nlog(1)\n```\n\n```go bad\nprint(1)\n```\n"


def section(text, number=0, **values):
    place = {"heading": ("Guide", f"Log {number}"), "anchor": f"log-{number}", "start": 5, "end": 30, "blob": "b" * 40}
    return Standard(document="docs/log.md", text=text, **place | values)


def only(text, **values):
    read = executable_rules([section(text, **values)])
    assert not read.unusable
    return read.rules[0]


def refused(*texts):
    read = executable_rules(section(text, number) for number, text in enumerate(texts))
    return [str(one) for one in read.unusable]


def test_a_section_names_its_rule_in_one_line():
    rule = only(TEXT + EXAMPLES)

    assert (rule.id, rule.language) == ("no-print", "python")
    assert rule.severity is Severity.ERROR, "a gate is an error"
    assert (rule.title, rule.why, rule.scope) == ("Log 0", "Use the log.", ("services/**", "*.pyi"))
    assert [(one.is_bad, one.code, one.line) for one in rule.examples] == [
        (True, "print(1)", 16),
        (False, "log(1)", 20),
    ]


def test_a_rule_without_a_line_has_the_anchor_of_its_section():
    assert (only(BLOCK).id, only(BLOCK).severity) == ("log-0", Severity.WARNING)


def test_front_matter_names_the_rule_and_its_severity_where_the_section_does_not():
    document = b"---\nid: SHOP-7\nseverity: error\n---\n# Log\n\n" + BLOCK.encode() + b"\n## More\n\n" + BLOCK.encode()
    read = executable_rules(sections(Document("docs/log.md", "b" * 40), document))

    assert [(rule.id, rule.severity) for rule in read.rules] == [("SHOP-7", Severity.ERROR), ("more", Severity.ERROR)]
    named = only(TEXT.replace("; enforcement: gate", ""), front=(("id", "SHOP-7"), ("severity", "error")))
    assert (named.id, named.severity) == ("no-print", Severity.NOTE)
    assert "severity" in str(executable_rules([section(BLOCK, front=(("severity", "high"),))]).unusable[0])


def test_examples_in_a_later_piece_of_the_section_belong_to_the_rule():
    read = executable_rules([section(TEXT), section(EXAMPLES, start=40, anchor="")])

    assert [one.line for one in read.rules[0].examples] == [41, 45]


def test_a_rule_applies_to_its_language_within_its_scope():
    rule, scoped = only(TEXT), only(BLOCK, scope=("web/**",))

    assert [path for path in ("services/a.py", "a.pyi", "a.py", "services/a.go") if rule.applies_to(path)] == [
        "services/a.py",
        "a.pyi",
    ]
    assert scoped.applies_to("web/a.py")
    assert not scoped.applies_to("a.py")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("```ast-grep\nlanguage: [\n```", "it is not YAML"),
        ("```ast-grep\nlanguage: python\n```", "rule: Field required"),
        ("```ast-grep\nlanguage: klingon\nrule: {kind: x}\n```", "klingon is no language"),
        ("```ast-grep\nlanguage: python\nrule: {kind: x}\nfix: y\n```", "fix: Extra inputs"),
        ("```ast-grep\njust words\n```", "a mapping of keys to values"),
        ("```ast-grep\nlanguage: &a python\nrule: {kind: *a}\n```", "aliases"),
        (f"```ast-grep\nlanguage: python\nrule: {{kind: {'x' * 5_000}}}\n```", "over 4,000 characters"),
        (f"Rule: x; severity: fatal\n\n{BLOCK}", "severity: Input should be"),
        (f"Rule: x y\n\n{BLOCK}", "needs an id"),
        (f"Rule: x; owner: me\n\n{BLOCK}", "owner: Extra inputs"),
        (f"Rule: x; scope: {'**/' * 9}\n\n{BLOCK}", "a glob that cannot be used"),
    ],
)
def test_a_block_that_is_no_rule_is_named_with_its_line(text, reason):
    (said,) = refused(text)

    assert said.startswith("docs/log.md:")
    assert reason in said


def test_two_rules_of_one_name_and_too_many_rules_are_named():
    assert "stands in docs/log.md already" in refused(TEXT, TEXT)[0]
    assert "more than 100 rules" in refused(*[BLOCK] * (MOST_RULES + 1))[0]


def test_blocks_without_the_mark_are_no_rules():
    assert (
        executable_rules([section("```yaml\nlanguage: python\nrule: {kind: x}\n```\nast-grep is a tool.")]).rules == ()
    )


@pytest.mark.parametrize(
    ("comment", "counts"),
    [
        ("# assistant: allow no-print — the console is the output", True),
        ("// assistant: allow no-print: the console is the output", True),
        ("# assistant: allow no-print", False),
        ("# assistant: allow no-prints — another rule", False),
        ("# allow no-print — not for us", False),
    ],
)
def test_a_waiver_names_its_rule_and_its_reason(comment, counts):
    lines = ["import x", comment, "print(1)", "print(2)"]

    assert (waiver("no-print", 3, lines, frozenset({2, 3})) is not None) is counts
    assert waiver("no-print", 3, lines, frozenset({3})) is None, "the waiver was there before"
    assert waiver("no-print", 4, lines, frozenset({2, 3, 4})) is None, "it is about another line"


HEAD = "print(1)  # assistant: allow no-print — a script\n"


def drafted(waivable):
    draft = Draft(
        "a.py", "print(1)", "T", "W.", Severity.WARNING, Category.MAINTAINABILITY, "standards", "no-print", near=1
    )
    file = FileDiff("a.py", Status.ADDED, (Hunk((Line(HEAD.strip(), None, 1),)),), additions=1)
    return draft, rule_drafts([draft], executable_rules([section(TEXT)]).rules, {"a.py": HEAD}, [file], waivable)


@pytest.mark.parametrize("waivable", [["*"], ["no-print"]])
def test_a_waiver_takes_the_draft_out_where_the_policy_allows_it(waivable):
    _, found = drafted(waivable)

    assert found.drafts == ()
    assert [(draft.standard_refs, why) for draft, why in found.waived] == [
        (("docs/log.md#log-0",), "waived on line 1: a script")
    ]


def test_without_the_policys_word_a_waiver_does_not_count_and_the_finding_says_so():
    _, found = drafted(["other"])

    assert found.waived == ()
    assert found.drafts[0].standard_refs == ("docs/log.md#log-0",)
    assert "does not count" in found.drafts[0].why
