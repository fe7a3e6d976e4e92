"""Characters that readers cannot see: they can hide instructions from people and code from reviewers (CVE-2021-42574)."""

from __future__ import annotations

import re

_PICTURE = "\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff"
_JOINING = "\u0600-\u08ff\u0900-\u0dff"  # U+200C and U+200D separate and join Arabic and Indic letters

HIDDEN = re.compile(
    r"(?!\t|\n)"
    rf"(?!(?<=[{_PICTURE}#*0-9])\ufe0f)"
    rf"(?!(?<=[{_PICTURE}\ufe0f])\u200d[{_PICTURE}])"
    rf"(?!(?<=[{_JOINING}])[\u200c\u200d][{_JOINING}])"
    "["
    "\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ud800-\udfff\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "]"
)
"""One hidden character. Joined emoji, and joiners inside words of scripts that need them, are not hidden."""

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")


def without_hidden(text: str) -> str:
    """`text` with \\n as line ending, without terminal escapes and hidden characters."""
    plain = _ESCAPE_SEQUENCE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return HIDDEN.sub("", plain)


def show_hidden(text: str) -> str:
    """`text` with each hidden character written as its code point: ⟦U+202E⟧."""
    return HIDDEN.sub(lambda match: f"⟦U+{ord(match[0]):04X}⟧", text.replace("\r\n", "\n"))
