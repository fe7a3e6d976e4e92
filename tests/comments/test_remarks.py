"""Remarks: what the summary says about a pull request as a whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.core.code.diff import Diff, FileDiff, Status, parse_patch
from bot.core.code.pull_request import PullRef, PullRequest
from bot.core.comments.remarks import remarks

PULL = PullRequest(
    PullRef("octo/repo", 1),
    "Add a thing",
    "Because of a reason.",
    "ann",
    "main",
    "0" * 40,
    "1" * 40,
    url="https://github.test/octo/repo/pull/1",
)
TEST = parse_patch("tests/test_a.py", Status.ADDED, "@@ -0,0 +1 @@\n+x = 1\n")


def added(path: str, *lines: str) -> FileDiff:
    """A file to which `lines` were added."""
    return parse_patch(path, Status.ADDED, f"@@ -0,0 +1,{len(lines)} @@\n" + "".join(f"+{line}\n" for line in lines))


def said(*files: FileDiff, body: str = PULL.body) -> tuple[str, ...]:
    """The remarks about a change of `files` that comes with a test."""
    return remarks(replace(PULL, body=body), Diff((*files, TEST)))


def test_an_ordinary_change_is_not_remarked_upon() -> None:
    assert said(added("src/a.py", "x = 1"), added("README.md", "Words.")) == ()


def test_source_without_tests() -> None:
    change = Diff((added("src/a.py", "x = 1"), added("docs/a.md", "Words.")))

    assert remarks(PULL, change) == ("Source files changed without any test: `src/a.py`.",)


@pytest.mark.parametrize(
    "path",
    [
        "tests/a.py",
        "test_a.py",
        "src/a.test.ts",
        "pkg/a_test.go",
        "src/AppTest.java",
        "spec/a_spec.rb",
        "a/conftest.py",
    ],
)
def test_tests_are_known_in_many_languages(path: str) -> None:
    assert remarks(PULL, Diff((added("src/a.py", "x = 1"), added(path, "x")))) == ()


@pytest.mark.parametrize("path", ["docs/guide.md", "settings.json", "site.css", "uv.lock", "vendor/a/b.go"])
def test_what_is_not_source_needs_no_test(path: str) -> None:
    assert not any("without any test" in remark for remark in remarks(PULL, Diff((added(path, "x"),))))


@pytest.mark.parametrize(
    "body", ["", "  \n", "<!-- describe -->", "## What\n\n<!-- a\nb -->\n## Why\n- [ ] Tests\n* [ ] Docs", "<!-- open"]
)
def test_an_empty_description(body: str) -> None:
    assert said(body=body) == ("The description is empty: reviewers cannot tell what this change is for.",)


@pytest.mark.parametrize("body", ["Fixes a bug.", "## What\nIt.", "- [x] Tests", "<!-- a --> but <!-- b -->"])
def test_a_description_with_any_word_will_do(body: str) -> None:
    assert said(body=body) == ()


def test_a_robot_needs_no_description() -> None:
    assert remarks(replace(PULL, body="", author_is_bot=True), Diff((TEST,))) == ()


def test_a_very_large_change() -> None:
    large = replace(added("src/a.py", "x = 1"), additions=500, deletions=400)
    lock = replace(added("uv.lock", "x"), additions=9_000)

    assert said(large) == ("901 lines in 2 files changed: smaller pull requests are reviewed better.",)
    assert not any("smaller pull requests" in remark for remark in said(lock))


@pytest.mark.parametrize(
    ("manifest", "line", "lock"),
    [
        ("package.json", '    "left-pad": "^1.3.0",', "pnpm-lock.yaml"),
        ("pyproject.toml", '  "httpx>=0.27",', "uv.lock"),
        ("web/pyproject.toml", 'httpx = "0.27.0"', "poetry.lock"),
        ("Cargo.toml", 'serde = { version = "1.0" }', "Cargo.lock"),
        ("go.mod", "\tgithub.com/pkg/errors v0.9.1", "go.sum"),
        ("Gemfile", "gem 'rails', '~> 7.1'", "Gemfile.lock"),
    ],
)
def test_a_manifest_and_its_lock_file_change_together(manifest: str, line: str, lock: str) -> None:
    name = manifest.rpartition("/")[2]

    assert said(added(manifest, line)) == (f"Dependencies changed in `{manifest}`, but no lock file changed.",)
    assert said(added(lock, line)) == (f"`{lock}` changed without `{name}`.",)
    assert said(added(manifest, line), added(lock, line)) == ()


@pytest.mark.parametrize("line", ['  "version": "1.2.3",', '  "test": "vitest run",', 'requires-python = ">=3.12"'])
def test_a_manifest_holds_other_things_than_dependencies(line: str) -> None:
    assert said(added("package.json", line)) == ()


@pytest.mark.parametrize(
    "path", ["CODEOWNERS", ".github/CODEOWNERS", "AGENTS.md", ".cursor/rules/a.mdc", ".editorconfig"]
)
def test_a_change_of_the_rules_is_named(path: str) -> None:
    assert said(added(path, "x")) == (
        f"Files that control how this repository is built or reviewed changed: `{path}`.",
    )


def test_a_rule_that_is_moved_away_is_named_too() -> None:
    moved = FileDiff("old/CODEOWNERS.txt", Status.RENAMED, previous_path=".github/CODEOWNERS")

    assert any("is built or reviewed" in remark for remark in said(moved))


def test_our_own_policy_takes_effect_after_the_merge() -> None:
    assert said(added(".github/assistant.yml", "comments: 0")) == (
        "`.github/assistant.yml` is changed by this pull request; the change takes effect after the merge.",
    )


def test_loose_actions_and_a_dangerous_trigger() -> None:
    workflow = added(
        ".github/workflows/ci.yml",
        "on: pull_request_target",
        "      - uses: actions/checkout@v4",
        "      - uses: 'actions/cache@" + "a" * 40 + "'  # v4",
        "      - uses: ./.github/actions/ours",
        "        uses: docker://alpine:3",
    )

    assert said(workflow)[1:] == (
        "Actions are not pinned to a commit: `actions/checkout@v4`, `docker://alpine:3`.",
        "A workflow runs on `pull_request_target`: it has access to secrets and any contributor can trigger it.",
    )


def test_only_added_lines_of_a_workflow_count() -> None:
    patch = (
        "@@ -1,3 +1,3 @@\n on: pull_request_target\n   - uses: a/b@v1\n-  - uses: c/d@v1\n+  # pull_request_target\n"
    )

    assert len(said(parse_patch(".github/workflows/ci.yml", Status.MODIFIED, patch))) == 1


def test_what_nobody_can_read() -> None:
    binary = FileDiff("logo.png", Status.ADDED, unread="binary", binary=True)
    generated = added("api_pb2.py", "x = 1")
    huge = replace(added("dist/app.min.js", "x"), additions=6_000)

    assert said(binary, generated, huge) == (
        "Binary files changed: `logo.png`.",
        "Generated, minified or vendored files changed: `api_pb2.py`, `dist/app.min.js`.",
        "Very large additions: `dist/app.min.js`.",
    )


def test_a_hostile_path_stays_a_short_piece_of_code() -> None:
    path = "`![x](https://evil)`\n@team \u202e" + "a" * 4_000 + ".py"

    (remark,) = remarks(PULL, Diff((added(path, "x = 1"),)))

    assert "\n" not in remark
    assert "\u202e" not in remark
    assert len(remark) < 250
    assert remark.startswith("Source files changed without any test: `` `![x]")


def test_a_description_of_unclosed_comments_is_read_in_linear_time() -> None:
    assert len(said(body="<!--" * 500_000)) == 1


def test_a_change_on_this_machine_needs_no_description():
    assert not any("description" in remark for remark in remarks(replace(PULL, body="", url=""), Diff()))
