"""Finds invisible characters: they make code look different from what runs, or carry hidden instructions (CVE-2021-42574)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.checks.jail import Jail
from bot.checks.scan import found_in
from bot.core.code.hidden import HIDDEN
from bot.core.code.language import is_code, language
from bot.core.findings.finding import Category, Severity
from bot.core.findings.problem import Problem
from bot.interfaces import Check, CheckResult, Source

_FLAG = re.compile(
    "(?<=\U0001f3f4)[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f"
)  # of England and others
_MARKS = "\u200e\u200f\u061c"  # belong into text that is written from right to left
_BRAILLE = re.compile("[\u2801-\u28ff]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_LAYOUT = "\r\f"
_COLOUR = re.compile(
    r"\x1b\[(?:(?:[34]8;5;\d{1,3}|[34]8;2(?:;\d{1,3}){3}|0?[0-79]|[1-9]\d{1,2})?(?:;|(?=m))){0,9}m"
)  # any but 8, which conceals
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Invisible:
    """A check for any text. It accepts emoji, letters of scripts that need joiners or marks, and colours in recorded output."""

    name: str = "invisible"
    whole: bool = False

    def reads(self, path: str) -> bool:
        """Every file."""
        return True

    async def run(self, files: Sequence[Source]) -> CheckResult:
        """One problem a line, with the list of its code points."""
        return await found_in(files, _hidden)


def _hidden(file: Source) -> Iterator[Problem]:
    if file.text.isascii() and not _CONTROL.search(file.text):
        return
    for number, line in enumerate(file.text.removeprefix("\ufeff").split("\n"), 1):
        if found := _without_reason(line if is_code(language(file.path)) else _COLOUR.sub("", line)):
            names = dict.fromkeys(f"U+{ord(one):04X} {unicodedata.name(one, 'unnamed')}" for one in found)
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            yield Problem(
                path=file.path,
                line=number,
                end=number,
                rule="invisible-characters",
                title=f"{len(found)} invisible character{'s' if len(found) > 1 else ''} on this line",
                why=f"Readers see a different text from the one that programs read: {', '.join([*names][:_SHOWN])}{more}.",
                severity=Severity.ERROR,
                category=Category.SECURITY,
                source="invisible",
            )


def _without_reason(line: str) -> list[str]:
    """The hidden characters of `line` that its script does not explain."""
    found = HIDDEN.findall(_FLAG.sub("", line))
    if not found:
        return []
    explained = set(_LAYOUT)
    if any(unicodedata.bidirectional(one) in {"R", "AL"} for one in line if one not in _MARKS):
        explained |= set(_MARKS)
    if _BRAILLE.search(line):
        explained.add("\u2800")
    return [one for one in found if one not in explained]


def offer(_: Jail) -> Check:
    """For every change."""
    return Invisible()
