"""Remarks about a pull request as a whole, and about a change of its settings. They stand in the summary, never on a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import PurePosixPath

from bot.core.code.diff import Diff, FileDiff, Status
from bot.core.code.generated import generated_kind
from bot.core.code.language import language
from bot.core.code.pull_request import PullRequest
from bot.core.comments.comment import code
from bot.core.policy import PATH, LayeredPolicy, Policy, describe

_LARGE = 800  # changed lines: beyond it people read ever less of a change
_LARGE_FILE = 5_000  # added lines
_NAMED = 3
_LONGEST_NAME = 120
_NOT_TESTED = {"", "markdown", "text", "json", "yaml", "toml", "xml", "html", "css", "sql", "terraform", "dockerfile"}

_TEST = re.compile(
    r"(?:^|/)(?:tests?|spec|specs|__tests__|testing|testdata|fixtures|e2e)/"
    r"|(?:^|/)(?:test_[^/]*|conftest)\.py$|[._-](?:test|spec|tests|specs)\.[a-z]+$|[a-z0-9](?:Test|Tests|Spec|IT)\.[a-z]+$"
)
_LOCKS = {
    "package.json": (
        "package-lock.json",
        "npm-shrinkwrap.json",
        "yarn.lock",
        "pnpm-lock.yaml",
        "bun.lock",
        "bun.lockb",
    ),
    "pyproject.toml": ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml"),
    "Pipfile": ("Pipfile.lock",),
    "Cargo.toml": ("Cargo.lock",),
    "go.mod": ("go.sum",),
    "Gemfile": ("Gemfile.lock",),
    "composer.json": ("composer.lock",),
    "mix.exs": ("mix.lock",),
    "pubspec.yaml": ("pubspec.lock",),
}
_REQUIREMENT = re.compile(r"""[\^~<>=]=?\s?v?\d|["'\s]v?\d+\.\d""")
_OWN_VERSION = re.compile(r"""^\s*["']?(?:version|python|requires-python|node|go|edition|rust-version)["']?\s*[:= ]""")
_WORKFLOW = re.compile(r"(?:^|/)\.github/(?:workflows/.*\.ya?ml|actions/.*/action\.ya?ml)$")
_USES = re.compile(r"""^\s*-?\s*uses:\s*["']?(?!\./|docker://[^\s@]+@sha256:)(?P<action>[^\s"'#]+)""")
_PINNED = re.compile(r"@[0-9a-f]{40}$")
_GOVERNING = re.compile(
    r"(?:^|/)(?:CODEOWNERS|AGENTS\.md|CLAUDE\.md|GEMINI\.md|REVIEW\.md|\.editorconfig|\.pre-commit-config\.yaml|\.mcp\.json"
    r"|\.gitlab-ci\.yml|Jenkinsfile|azure-pipelines\.yml)$"
    r"|(?:^|/)\.(?:github/(?:workflows|actions|copilot-instructions|instructions)|cursor|claude|circleci|husky)(?:/|\b)"
)


def remarks(pull: PullRequest, diff: Diff) -> tuple[str, ...]:
    """The remarks about a pull request, one sentence each."""
    return tuple(
        chain(
            _description(pull),
            _size(diff),
            _tests(diff),
            _locks(diff),
            _governing(diff),
            _workflows(diff),
            _unreadable(diff),
        )
    )


def _description(pull: PullRequest) -> Iterator[str]:
    if pull.url and not pull.author_is_bot and not _said(pull.body):
        yield "The description is empty: reviewers cannot tell what this change is for."


def _said(body: str) -> bool:
    """Whether `body` has text other than comments, headings and empty check boxes of a template."""
    visible = "".join(
        part if i == 0 else part.partition("-->")[2] for i, part in enumerate(body.replace("\r\n", "\n").split("<!--"))
    )
    return any(line.strip() and not re.match(r"\s*(?:#|[-*] \[ \])", line) for line in visible.split("\n"))


def _size(diff: Diff) -> Iterator[str]:
    written = [file for file in diff if not generated_kind(file.path)]
    lines = sum(file.additions + file.deletions for file in written)
    if lines > _LARGE:
        yield f"{lines:,} lines in {len(written):,} files changed: smaller pull requests are reviewed better."


def _tests(diff: Diff) -> Iterator[str]:
    source = [
        file.path
        for file in diff
        if file.additions and language(file.path) not in _NOT_TESTED and not generated_kind(file.path)
    ]
    if source and not any(_TEST.search(file.path) for file in diff):
        yield f"Source files changed without any test: {_names(source)}."


def _locks(diff: Diff) -> Iterator[str]:
    changed = {PurePosixPath(file.path).name for file in diff}
    for manifest, locks in _LOCKS.items():
        files = [file for file in diff if PurePosixPath(file.path).name == manifest]
        if any(map(_requires, files)) and changed.isdisjoint(locks):
            yield f"Dependencies changed in {_names(file.path for file in files)}, but no lock file changed."
        if not files and (alone := sorted(changed.intersection(locks))):
            yield f"{_names(alone)} changed without {code(manifest)}."


def _requires(manifest: FileDiff) -> bool:
    """Whether a line with a version of something else was added or removed."""
    return any(
        _REQUIREMENT.search(line.text) and not _OWN_VERSION.search(line.text)
        for hunk in manifest.hunks
        for line in hunk.lines
        if line.added or line.removed
    )


def _governing(diff: Diff) -> Iterator[str]:
    if any(PATH in {file.path, file.previous_path} for file in diff):
        yield f"{code(PATH)} is changed by this pull request; the change takes effect after the merge."
    governing = [file.path for file in diff if _GOVERNING.search(file.path) or _GOVERNING.search(file.base_path)]
    if governing:
        yield f"Files that control how this repository is built or reviewed changed: {_names(governing)}."


def _workflows(diff: Diff) -> Iterator[str]:
    lines = [
        line.text
        for file in diff
        if _WORKFLOW.search(file.path)
        for hunk in file.hunks
        for line in hunk.lines
        if line.added
    ]
    loose = [used["action"] for used in map(_USES.match, lines) if used and not _PINNED.search(used["action"])]
    if loose:
        yield f"Actions are not pinned to a commit: {_names(loose)}."
    if any("pull_request_target" in line.partition("#")[0] for line in lines):
        yield "A workflow runs on `pull_request_target`: it has access to secrets and any contributor can trigger it."


def _unreadable(diff: Diff) -> Iterator[str]:
    present = [file for file in diff if file.status is not Status.REMOVED]
    if binary := [file.path for file in present if file.binary]:
        yield f"Binary files changed: {_names(binary)}."
    if generated := [file.path for file in present if generated_kind(file.path) not in {"", "lockfile"}]:
        yield f"Generated, minified or vendored files changed: {_names(generated)}."
    if large := [file.path for file in present if file.additions > _LARGE_FILE]:
        yield f"Very large additions: {_names(large)}."


def _names(paths: Iterable[str]) -> str:
    """The first few, as code, and how many more."""
    unique: Sequence[str] = list(dict.fromkeys(paths))
    shown = ", ".join(code(path[:_LONGEST_NAME]) for path in unique[:_NAMED])
    return shown + (f" and {len(unique) - _NAMED} more" if len(unique) > _NAMED else "")


SHOWN = 12
"""The most settings that are named; of mistakes, half as many."""
_LONGEST = 80


def consequences(before: Policy, after: LayeredPolicy) -> tuple[str, ...]:
    """The effect of a changed `.github/assistant.yml`: the settings that change, and a sentence for each mistake in it."""
    old = {value.name: value.value for value in describe(before, {})}
    new = {value.name: value.value for value in describe(after.policy, {})}
    steps = [f"{code(name)}: {_short(old[name])} → {_short(new[name])}" for name in new if new[name] != old[name]]
    more = f" and {len(steps) - SHOWN} more" if len(steps) > SHOWN else ""
    effect = "; ".join(steps[:SHOWN]) + more if steps else "no setting changes"
    wrong = [problem for problem in after.problems if problem.file == PATH][: SHOWN // 2]
    return (
        f"Settings once this is merged: {effect}.",
        *(f"The proposed file has a mistake: {code(str(problem))}." for problem in wrong),
    )


def _short(value: str) -> str:
    return code(value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…")
