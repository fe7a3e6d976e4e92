"""What is kept of each rule, and what a report makes of it."""

import json

import pytest

from bot.core.findings.anchor import Anchor, Place
from bot.core.findings.finding import Category, Draft, Finding, Severity
from bot.core.findings.standard import Document
from bot.standards.conflicts import MOST, conflicts
from bot.standards.rule_usage import FEWEST, SILENT, entry, tallied
from bot.standards.sections import sections

TEXTS = {
    "docs/python.md": "# Python\n\n## Errors\n\nName the exception.\n\n## Names\n\nUse snake_case.\n",
    "docs/web.md": '---\napplyTo: "web/**"\n---\n# Web\n\n## Colours\n\nUse the palette.\n',
}


def parsed(texts):
    return [one for path, text in texts.items() for one in sections(Document(path, f"b {path}"), text.encode())]


def finding(standard):
    draft = Draft("a.py", "x", "t", "w", Severity.NOTE, Category.STANDARDS, "standards")
    return Finding(draft, Anchor("a.py", Place.SUMMARY), (standard,))


def row(number, kept, repo="octo/shop"):
    return {"repo": repo, "repo_id": 1, "number": number, "detail": {"rules": json.loads(json.dumps(kept))}}


def test_a_section_is_in_scope_where_it_speaks_of_a_reviewed_file():
    all_of_them = parsed(TEXTS)

    assert entry(all_of_them, ["api/a.py"], [], [])["in_scope"] == {"docs/python.md": ["errors", "names"]}
    assert "docs/web.md" in entry(all_of_them, ["web/a.ts"], [], [])["in_scope"]
    assert "docs/python.md" not in entry(all_of_them, ["web/a.ts"], [], [])["in_scope"]


def test_a_review_does_not_look_for_conflicts_among_documents():
    assert entry(parsed(TEXTS), ["a.py"], [], []).keys() == {"in_scope", "checked", "violated"}


def test_what_a_large_shelf_leaves_in_the_ledger_stays_small():
    text = "# Rules\n\n" + "\n\n".join(f"## Rule number {n}\n\nDo not do {n} things." for n in range(1_500))

    assert len(json.dumps(entry(parsed({"STYLE.md": text}), ["a.py"], [], []))) < 40_000


def test_a_rule_that_is_never_broken_is_silent_once_it_had_its_chances():
    kept = entry(parsed(TEXTS), ["a.py"], ["docs/python.md#names"], [])

    (few,) = tallied([row(n, kept) for n in range(SILENT - 1)], ())
    (many,) = tallied([row(n, kept) for n in range(SILENT)], ())

    assert not any(rule.silent for rule in few.rules)
    assert [rule.id for rule in many.rules if rule.silent] == ["docs/python.md#errors", "docs/python.md#names"]
    assert [rule.checked for rule in many.rules] == [0, SILENT]


@pytest.mark.parametrize(("dismissed", "rejected"), [(0, False), (1, False), (2, True), (3, True)])
def test_a_rule_whose_findings_are_mostly_dismissed_is_named(dismissed, rejected):
    errors = parsed(TEXTS)[0]
    found = finding(errors)
    kept = entry(parsed(TEXTS), ["a.py"], [], [found])

    (rules,) = tallied([row(n, kept) for n in range(FEWEST)], [(1, n, found.identity) for n in range(dismissed)])

    rule = next(one for one in rules.rules if one.id == errors.id)
    assert (rule.violated, rule.dismissed, rule.rejected) == (FEWEST, dismissed, rejected)


def test_the_same_finding_of_two_reviews_counts_once():
    kept = entry(parsed(TEXTS), ["a.py"], [], [finding(parsed(TEXTS)[0])])

    (rules,) = tallied([row(7, kept), row(7, kept)], ())

    assert rules.rules[0].violated == 1


def test_repositories_are_told_apart_and_reviews_from_before_the_ledger_are_no_trouble():
    kept = entry(parsed(TEXTS), ["a.py"], [], [])
    old = {"repo": "octo/old", "repo_id": 2, "number": 1, "detail": {}}

    found = tallied([row(1, kept), row(2, kept, "octo/other"), old], ())

    assert [(one.repo, one.reviews) for one in found] == [("octo/other", 1), ("octo/shop", 1)]


def doc(heading, text, front=""):
    return f"{front}# D\n\n## {heading}\n\n{text}\n"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Always log exceptions before raising them.", "Never log exceptions before raising them."),
        ("You must pin every dependency version.", "You must not pin a dependency version."),
        ("- Use four spaces for indentation.", "- Use tabs for indentation."),
        ("Do write docstrings for private functions.", "Don\u2019t write docstrings for private functions."),
        ("Use single quotes.", "Prefer double quotes."),
    ],
)
def test_opposite_advice_under_the_same_heading_is_a_possible_conflict(one, other):
    (found,) = conflicts(parsed({"a.md": doc("Style", one), "b.md": doc("Style", other)}))

    assert (found.one, found.other) == ("a.md#style", "b.md#style")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (doc("Style", "Always log errors with context."), doc("Style", "Always log errors with context.")),
        (
            doc("Logging", "Always log exceptions before raising."),
            doc("Naming", "Never log exceptions before raising."),
        ),
        (doc("Style", "Always close files you open."), doc("Style", "Never commit generated code.")),
        (doc("Style", "Use tabs, not spaces."), doc("Style", "Indent with tabs.")),
        (
            doc("Style", "Use tabs.", '---\napplyTo: "**/*.go"\n---\n'),
            doc("Style", "Use spaces.", '---\napplyTo: "**/*.py"\n---\n'),
        ),
        (doc("Style", "```\nUse tabs\n```\n\nSee above, please."), doc("Style", "Use spaces.")),
    ],
    ids=["agree", "other heading", "other matter", "names both", "other code", "example"],
)
def test_what_only_looks_like_a_conflict_is_none(a, b):
    assert conflicts(parsed({"a.md": a, "b.md": b})) == ()


def test_a_document_does_not_conflict_with_itself():
    assert conflicts(parsed({"a.md": "# A\n\n## Style\n\nUse tabs.\n\n## Style\n\nUse spaces.\n"})) == ()


def test_the_examples_do_not_contradict_each_other(pytestconfig):
    texts = {file.name: file.read_text() for file in (pytestconfig.rootpath / "examples" / "standards").glob("*.md")}

    assert conflicts(parsed(texts)) == ()


def test_conflicts_have_an_end():
    texts = {f"{n}.md": doc("Style", "Use tabs." if n % 2 else "Use spaces.") for n in range(60)}

    assert len(conflicts(parsed(texts))) == MOST
