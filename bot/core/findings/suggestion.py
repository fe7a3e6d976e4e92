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
    the standard library and for `parses` (path, text), adds no hidden characters, secrets or downloads that are run, and
    is not about a file that controls permissions.
    """
    if anchor.place is not Place.INLINE or anchor.side is not Side.RIGHT or anchor.line is None:
        return "a suggestion must replace lines of the new version"
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
    return _unsafe_reason(suggestion, anchor.text) or _parse_problem(parses, path, changed) or suggestion


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
_DOWNLOAD = re.compile(r"\b(?:curl|wget|iwr)\b")
_SHELL = re.compile(r"\|\s*(?:sudo\s+)?(?:/?\w+/)*(?:ba|z|da|k)?sh\b|\|\s*iex\b|\beval\b|[<$]\(")


def _unsafe_reason(suggestion: Suggestion, anchored: str) -> str:
    """Returns why committing this with one click would be unsafe; empty if it is safe."""
    code, path = suggestion.code, suggestion.path
    if _GUARDED.search(path) or path == policy.PATH:
        return "the file controls permissions"
    if generated_kind(path) == "lockfile":
        return "a tool writes this lockfile"
    if len(code) > MAX_CHARACTERS:
        return f"it is over {MAX_CHARACTERS:,} characters"
    if set(HIDDEN.findall(code)) - set(HIDDEN.findall(anchored)):
        return "it contains hidden characters"
    if carries_secret(code) and not carries_secret(anchored):
        return "it contains what looks like a secret"
    if any(
        _DOWNLOAD.search(line) and _SHELL.search(line) for line in set(code.split("\n")) - set(anchored.split("\n"))
    ):
        return "it runs what it downloads"
    return ""


def _parse_problem(parses: Callable[[str, str], bool] | None, path: str, changed: str) -> str:
    """Says if the file would not parse. The standard library is stricter than some tree-sitter grammars."""
    valid = parses_by_itself(path, changed) and (parses is None or parses(path, changed))
    return "" if valid else "the file would not parse"
