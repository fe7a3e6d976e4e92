"""SARIF of other analysers becomes findings on changed lines, and nothing in it is trusted."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bot.cli import review as local_review
from bot.core.code.diff import Status, parse_patch
from bot.core.findings.finding import Category, Severity
from bot.core.findings.sarif import LARGEST, MOST, AnalysisReport, AnalysisReports, read_sarif
from bot.errors import UserError
from bot.handlers.run_checks import CheckedChange, ReadFiles, with_reports

PATHS = ("src/a.py", "src/b/a.py", "odd name.py")


def result(uri="src/a.py", line=2, **changed):
    place = {"artifactLocation": {"uri": uri}, "region": {"startLine": line}}
    return {
        "ruleId": "py.bad",
        "message": {"text": "Bad.\n\nIt is bad."},
        "locations": [{"physicalLocation": place}],
        **changed,
    }


def log(*results, name="Semgrep OSS", rules=()):
    return json.dumps(
        {
            "version": "2.1.0",
            "runs": [{"tool": {"driver": {"name": name, "rules": list(rules)}}, "results": list(results)}],
        }
    )


def problem(*results, **run):
    (found,) = read_sarif(log(*results, **run), PATHS).problems
    return found


def test_a_result_is_a_problem_of_its_tool():
    found = problem(result(level="error"))

    assert (found.path, found.line, found.end, found.rule, found.source) == (
        "src/a.py",
        2,
        2,
        "py.bad",
        "sarif:semgrep-oss",
    )
    assert (found.title, found.why) == ("Bad.", "It is bad.")
    assert (found.severity, found.category, found.url, found.replacement) == (
        Severity.ERROR,
        Category.CORRECTNESS,
        "",
        None,
    )


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("src/a.py", "src/a.py"),
        ("./src/a.py", "src/a.py"),
        ("odd%20name.py", "odd name.py"),
        ("file:///builds/shop/src/b/a.py", "src/b/a.py"),
        ("/builds/src/a.py", "src/a.py"),
        ("../src/a.py", None),
        ("a.py", None),
        ("https://example.org/src/a.py", None),
        ("", None),
    ],
)
def test_an_address_is_a_file_of_the_repository_or_nothing(uri, path):
    report = read_sarif(log(result(uri)), PATHS)

    assert [found.path for found in report.problems] == ([path] if path else [])
    assert report.left_out == (path is None)


@pytest.mark.parametrize(
    ("changed", "severity", "category"),
    [
        ({}, Severity.WARNING, Category.MAINTAINABILITY),
        ({"level": "note"}, Severity.NOTE, Category.MAINTAINABILITY),
        ({"level": "none"}, Severity.NOTE, Category.MAINTAINABILITY),
        ({"properties": {"security-severity": "8.1"}}, Severity.ERROR, Category.SECURITY),
        ({"properties": {"security-severity": "high"}}, Severity.WARNING, Category.SECURITY),
        ({"properties": {"tags": ["external/cwe/cwe-79"]}}, Severity.WARNING, Category.SECURITY),
    ],
)
def test_the_level_and_the_tags_decide(changed, severity, category):
    found = problem(result(**changed))

    assert (found.severity, found.category) == (severity, category)


def test_what_the_result_leaves_out_its_rule_says():
    rule = {
        "id": "R1",
        "shortDescription": {"text": "Short."},
        "fullDescription": {"text": "Full."},
        "defaultConfiguration": {"level": "error"},
    }
    found = problem(result(ruleId=None, ruleIndex=0, message={}), rules=[rule])

    assert (found.rule, found.title, found.why, found.severity) == ("R1", "Short.", "Full.", Severity.ERROR)


@pytest.mark.parametrize(
    "changed",
    [
        {"suppressions": [{"kind": "inSource"}]},
        {"baselineState": "unchanged"},
        {"kind": "pass"},
        {"locations": []},
        {"locations": [{"physicalLocation": {"artifactLocation": {"uri": "src/a.py"}}}]},
        {"locations": "src/a.py:1"},
        {"ruleId": None},
    ],
)
def test_what_is_no_news_or_has_no_place_is_left_out(changed):
    report = read_sarif(log(result(**changed)), PATHS)

    assert (report.problems, report.left_out) == ((), 1)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"version": "1.0", "runs": []}', '{"version": "2.1.0"}', "[" * 100_000, " " * (LARGEST + 1)],
)
def test_another_text_is_refused_in_a_sentence(text):
    with pytest.raises(UserError, match="SARIF"):
        read_sarif(text, PATHS)


def test_a_report_is_read_within_bounds_and_its_words_are_cut():
    many = read_sarif(log(*[result(message={"text": "x" * 900}, ruleId="<b>r</b>" * 99)] * (MOST + 5)), PATHS)

    assert (len(many.problems), many.left_out) == (MOST, 5)
    assert len(many.problems[0].title) == 200
    assert len(many.problems[0].rule) == 100
    assert "<" not in many.problems[0].rule
    assert read_sarif(log(result(line=1, name=3), 7, None, {"locations": [None]}, name=["x"]), PATHS).sources == (
        "sarif:unnamed",
    )


def test_only_changed_lines_are_reported_and_the_row_counts():
    file = parse_patch("src/a.py", Status.MODIFIED, "@@ -1,2 +1,3 @@\n x = 1\n+y = eval(x)\n z = 2\n")
    read = ReadFiles((file,), {"src/a.py": "x = 1\ny = eval(x)\nz = 2\n"})
    before = CheckedChange(readers=(("src/a.py", ("ruff",)),))

    checked = with_reports(before, AnalysisReports((AnalysisReport(log(result(line=2), result(line=3))),)), read)

    assert [(draft.near, draft.quoted, draft.proven) for draft in checked.drafts] == [(2, "y = eval(x)", True)]
    assert checked.rows[-1].by == ("semgrep-oss: 2 results about changed files, 1 on changed lines",)
    assert checked.readers == (("src/a.py", ("ruff", "sarif:semgrep-oss")),)


def test_the_command_line_adds_a_report_to_the_review(tmp_path, monkeypatch, capsys):
    (tmp_path / "a.patch").write_text("--- /dev/null\n+++ b/a.txt\n@@ -0,0 +1,2 @@\n+one\n+two\n")
    (tmp_path / "r.sarif").write_text(
        log(result("a.txt", message={"text": "Ask @everyone ![x](https://evil.example/x)"}))
    )
    monkeypatch.chdir(tmp_path)

    change = local_review.LocalChange("a.patch", tmp_path, reports=(tmp_path / "r.sarif",))
    local_review.review_locally(change, "json", "never", offline=True)

    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["path"], finding["line"], finding["rule"]) == ("a.txt", 2, "py.bad")
    with pytest.raises(UserError, match="cannot be read"):
        local_review.review_locally(replace(change, reports=(tmp_path / "none.sarif",)), "json", "never", offline=True)
