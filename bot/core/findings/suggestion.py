"""Checks that a replacement can be offered as a suggestion block, or says why it cannot."""

from __future__ import annotations

import ast
import json
import re
import tomllib
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from bot.core import policy
from bot.core.code.diff import Side
from bot.core.code.generated import generated_kind
from bot.core.code.hidden import HIDDEN
from bot.core.code.language import language
from bot.core.code.secrets import carries_secret
from bot.core.findings.anchor import Anchor, Place

MAX_CHARACTERS = 10_000
LARGEST_FILE = 200_000
"""Characters of a file up to which a suggestion is applied and parsed: that costs seconds for a megabyte of hostile code."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """New code for exactly the lines `start`..`line` of the head. Empty code deletes them."""

    path: str
    start: int
    line: int
    code: str


def prove(
    replacement: str, anchor: Anchor, path: str, head_text: str, parses: Callable[[str, str], bool] | None = None
) -> Suggestion | str:
    """Returns the suggestion, or the reason why it is not offered.

    It is offered if it replaces exactly the anchored lines of the head, changes them, leaves a file that is valid for
    the standard library and for `parses` (path, text), adds no hidden characters, secrets, network addresses or programs,
    and is not about a file that controls permissions, reviews or builds.
    """
    if anchor.place is not Place.INLINE or anchor.side is not Side.RIGHT or anchor.line is None:
        return "a suggestion must replace lines of the new version"
    if len(head_text) > LARGEST_FILE:
        return f"the file has more than {LARGEST_FILE:,} characters, too many to try a suggestion"
    if not anchor.exact:
        return "the quote is not exactly the lines it would replace"
    start = anchor.start or anchor.line
    code = replacement.replace("\r\n", "\n").removesuffix("\n")
    suggestion = Suggestion(path, start, anchor.line, code)
    changed = _apply(suggestion, head_text, anchor.text)
    if changed is None:
        return "the head does not have the lines it would replace"
    if changed == head_text:
        return "it changes nothing"
    return _unsafe_reason(suggestion, anchor.text, head_text) or _parse_problem(parses, path, changed) or suggestion


def apply_replacement(code: str, anchor: Anchor, head_text: str) -> str | None:
    """Returns the head's text with `code` in place of the anchored lines; None if they are not there."""
    if anchor.line is None:
        return None
    return _apply(Suggestion(anchor.path, anchor.start or anchor.line, anchor.line, code), head_text, anchor.text)


def fence(code: str, info: str = "suggestion") -> str:
    """Returns `code` as a fenced block that the code cannot close. https://spec.commonmark.org/0.31.2/#fenced-code-blocks"""
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    ticks = "`" * max(3, longest + 1)
    return "\n".join([f"{ticks}{info}", *([code] if code else []), ticks])


def parses_by_itself(path: str, text: str) -> bool:
    """Whether `text` is valid in its language, as far as the standard library can tell."""
    read = _READERS.get(language(path))
    if read is None:
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(text.removeprefix("\ufeff"))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return False
    return True


_READERS: dict[str, Callable[[str], object]] = {"python": ast.parse, "json": json.loads, "toml": tomllib.loads}


def _apply(suggestion: Suggestion, head: str, anchored: str) -> str | None:
    """Returns the head with the suggestion applied; None if its lines are not the anchored ones."""
    lines = head.split("\n")
    old = lines[suggestion.start - 1 : suggestion.line]
    if "\n".join(line.removesuffix("\r") for line in old) != anchored:
        return None
    ending = "\r" if old[0].endswith("\r") else ""
    new = [line + ending for line in suggestion.code.split("\n")] if suggestion.code else []
    return "\n".join(lines[: suggestion.start - 1] + new + lines[suggestion.line :])


_GUARDED = re.compile(r"(?:^|/)(?:CODEOWNERS|\.gitlab-ci\.yml|action\.ya?ml|\.gitmodules)$|^\.github/")
_GOVERNING = re.compile(
    r"(?:^|/)(?:(?:[\w.-]+\.)?(?:docker|container)file(?:\.[\w.-]+)?|(?:docker-)?compose[\w.-]*\.ya?ml|jenkinsfile[\w.-]*"
    r"|azure-pipelines[\w.-]*\.ya?ml|bitbucket-pipelines\.ya?ml|appveyor\.ya?ml|cloudbuild\.ya?ml|buildspec[\w.-]*\.ya?ml"
    r"|\.(?:travis|drone|cirrus|appveyor|pre-commit-config|pre-commit-hooks|readthedocs|woodpecker|gitlab-ci[\w.-]*)\.ya?ml"
    r"|package\.json|deno\.jsonc?|composer\.json|gemfile|rakefile|[\w-]+\.gemspec|pyproject\.toml|setup\.(?:py|cfg)|tox\.ini"
    r"|noxfile\.py|pipfile|[\w.-]*requirements[\w.-]*\.(?:txt|in)|cargo\.toml|build\.rs|go\.(?:mod|work)|pom\.xml"
    r"|(?:build|settings)\.gradle(?:\.kts)?|(?:gnu)?makefile|[\w.-]+\.mk|justfile|taskfile\.ya?ml|cmakelists\.txt"
    r"|\.(?:npmrc|yarnrc|yarnrc\.yml|pnpmfile\.cjs|pypirc|netrc|envrc|gitattributes|gitconfig)|pip\.conf|nuget\.config"
    r"|(?:agents|claude|gemini|copilot|conventions|contributing)\.md|\.(?:cursor|windsurf|cline)rules|\.coderabbit\.ya?ml)$"
    r"|(?:^|/)\.(?:circleci|buildkite|woodpecker|gitlab|gitea|forgejo|teamcity|husky|cursor|claude|cargo|tekton|azuredevops)/"
    r"|(?:^|/)(?:coding[_-]?)?(?:standards|guidelines)/[^/].*\.(?:md|rst|html?|txt)$",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"\b[a-z][a-z0-9+.-]{1,20}://(?:[^\s/@\"'`<>]*@)?([^\s/:?#\"'`<>)\]},;]+)"
    r"|\b(?:[\w-]+@)([\w-]+(?:\.[\w-]+)+):|(?<![\w.])(\d{1,3}(?:\.\d{1,3}){3})(?![\w.])",
    re.IGNORECASE,
)
_PROGRAM = re.compile(
    r"(?<![\w.-])(?:curl|wget|iwr|iex|invoke-(?:webrequest|restmethod|expression)|nc|ncat|socat|ssh|scp|sftp|rsync|sudo|xargs"
    r"|(?:ba|z|da|k|c|fi)?sh|pwsh|powershell|eval|exec|python[\d.]*|perl|ruby|node|deno|bun|php|npx|bunx|uvx|pipx)(?![\w.=-])"
    r"|\b(?:pip3?|npm|pnpm|yarn|gem|cargo|go|apt(?:-get)?|apk|dnf|yum|brew)[ \t]+(?:install|add|i)\b"
    r"|`\w+ [^`\n]*`",
    re.IGNORECASE,
)
_CALL = re.compile(
    r"\b(?:os\.(?:system|popen|exec\w*|spawn\w*)|subprocess|child_process|(?:exec|spawn)(?:Sync|File)?|eval|Runtime\.getRuntime"
    r"|ProcessBuilder|exec\.Command|Process\.Start|shell_exec|passthru|proc_open|__import__)(?=[ \t]*[(.])"
)
_SCRIPT_PROGRAM = re.compile(
    r"(?:^|[;&|(`]|\b(?:then|do|else)\b)[ \t]*([./~]*[A-Za-z][\w./+-]*)(?=[ \t;&|)`]|$)(?!=)", re.MULTILINE
)
_SHELL_WORDS = frozenset(
    [
        "if",
        "then",
        "elif",
        "else",
        "fi",
        "for",
        "while",
        "until",
        "do",
        "done",
        "case",
        "esac",
        "in",
        "function",
        "local",
        "export",
        "readonly",
        "declare",
        "set",
        "unset",
        "shift",
        "return",
        "exit",
        "break",
        "continue",
        "echo",
        "printf",
        "test",
        "true",
        "false",
        "cd",
        "pwd",
        "trap",
        "wait",
        "read",
    ]
)
_PROSE = frozenset({"markdown", "text"})
_COMMANDS = frozenset({"bash", "powershell", "yaml", "json", "toml", "xml", ""})
_SCRIPTS = frozenset({"bash"})
_LOOKALIKE = re.compile(
    r"\b\w*(?:[A-Za-z]\w*[\u0370-\u052f\uff21-\uff5a]|[\u0370-\u052f\uff21-\uff5a]\w*[A-Za-z])\w*\b"
)


def _unsafe_reason(suggestion: Suggestion, anchored: str, head: str) -> str:
    """Returns why committing this with one click would be unsafe; empty if it is safe."""
    code, path = suggestion.code, suggestion.path
    reasons = (
        (_GUARDED.search(path) or path == policy.PATH, "the file controls permissions"),
        (generated_kind(path) == "lockfile", "a tool writes this lockfile"),
        (_GOVERNING.search(path), "the file governs reviews or builds"),
        (len(code) > MAX_CHARACTERS, f"it is over {MAX_CHARACTERS:,} characters"),
    )
    return next((reason for holds, reason in reasons if holds), "") or _unsafe_code(path, code, anchored, head)


def _unsafe_code(path: str, code: str, anchored: str, head: str) -> str:
    """Returns what the new code adds that must be read before it is committed; empty if there is nothing."""
    reasons = (
        (set(HIDDEN.findall(code)) - set(HIDDEN.findall(anchored)), "it contains hidden characters"),
        (carries_secret(code) and not carries_secret(anchored), "it contains what looks like a secret"),
        (
            set(_LOOKALIKE.findall(code)) - set(_LOOKALIKE.findall(anchored)),
            "it contains letters that look like others",
        ),
        (_addresses(code) - _addresses(head), "it contains a new network address"),
        (_programs(path, code) - _programs(path, head), "it starts a new program"),
    )
    return next((reason for holds, reason in reasons if holds), "")


def _addresses(text: str) -> set[str]:
    return {next(filter(None, groups)).lower() for groups in _ADDRESS.findall(text)}


def _programs(path: str, text: str) -> set[str]:
    """What the code starts; in a script, where any word can be a program, every first word of a command."""
    spoken = language(path)
    if spoken in _PROSE:
        return set()
    started = {" ".join(match[0].split()) for match in _CALL.finditer(text)}
    if spoken in _COMMANDS:
        started |= {" ".join(match[0].split()) for match in _PROGRAM.finditer(text)}
    if spoken in _SCRIPTS:
        started |= set(_SCRIPT_PROGRAM.findall(text)) - _SHELL_WORDS
    return started


def _parse_problem(parses: Callable[[str, str], bool] | None, path: str, changed: str) -> str:
    """Says if the file would not parse. The standard library is stricter than some tree-sitter grammars."""
    valid = parses_by_itself(path, changed) and (parses is None or parses(path, changed))
    return "" if valid else "the file would not parse"
