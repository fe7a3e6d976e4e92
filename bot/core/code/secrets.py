"""Finds secrets by their look, and by their value in any common encoding, so that no text we post holds one."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

REDACTED = "REDACTED"
WITHHELD = "This text was withheld: it contained a secret."
_PEM_BEGIN = r"-----BEGIN[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_LOOKS = re.compile(
    rf"{_PEM_BEGIN}[^-]*(?:-{{1,4}}[^-]+)*(?:-----END[A-Z0-9 ]{{0,40}}-----)?"
    r"|\b(?:gh[pousr]_|github_pat_)[A-Za-z0-9_.\-]{16,}"
    r"|\bsk-(?=[A-Za-z_\-]{0,60}[0-9])[A-Za-z0-9_\-]{16,}"
    r"|\b(?:AKIA|ASIA|AGPA|AROA|AIDA)[A-Z0-9]{16}\b"
    r"|\bxox[abeoprs]-[A-Za-z0-9\-]{10,}"
    r"|\bAIza[A-Za-z0-9_\-]{35}"
    r"|\b(?:glpat|glptt|gldt)-[A-Za-z0-9_\-]{16,}"
    r"|\b(?:npm|hf|dop_v1|shpat|rk_live|sk_live|whsec)_[A-Za-z0-9]{16,}"
    r"|\bpypi-[A-Za-z0-9_\-]{32,}"
    r"|\beyJ[A-Za-z0-9_\-]{8,1000}\.eyJ[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]+)?"
)
_MARKER = re.compile(r"(<!-- assistant:[^\n>]{0,4200} -->)")
_SUGGESTION = re.compile(r"^(`{3,})suggestion\n.*?^\1$(?:\n\n<sub>[^\n]*</sub>)?", re.DOTALL | re.MULTILINE)
_SHORTEST = 8
_CUT = 7
"""First characters that may be missing: a hijacked model can drop some, to pass a scanner that knows the whole value."""


def redact(text: str, secrets: Collection[str] = ()) -> str:
    """`text` without anything that looks like a secret and without `secrets`, plain or encoded."""
    text = _LOOKS.sub(REDACTED, text)
    for form in _all_forms(frozenset(secrets)).plain:
        text = text.replace(form, REDACTED)
    return text


def carries_secret(text: str, secrets: Collection[str] = ()) -> bool:
    """Whether `text` holds a secret, even one split by spaces and punctuation."""
    bare = _bare(text)
    return bool(_LOOKS.search(text)) or any(form in bare for form in _all_forms(frozenset(secrets)).bare)


def without_secrets(text: str, secrets: Collection[str]) -> str:
    """A finished comment without `secrets`; its signed markers stay as they are.

    A suggestion with a secret is withheld with its note, because a redacted line must not be committed. Where a split secret
    cannot be cut out, its paragraph is withheld. Where that is not enough, or would leave a fence open, only the markers
    remain.
    """
    if not carries_secret(text, secrets):
        return text
    text = _SUGGESTION.sub(lambda block: WITHHELD if carries_secret(block[0], secrets) else block[0], text)
    parts = [part if _MARKER.fullmatch(part) else redact(part, secrets) for part in _MARKER.split(text)]
    redacted = "".join(parts)
    if not carries_secret(_MARKER.sub("", redacted), secrets):
        return redacted
    paragraphs = [_withheld(paragraph, secrets) for paragraph in redacted.split("\n\n")]
    whole = "\n\n".join(paragraphs)
    if not carries_secret(_MARKER.sub("", whole), secrets) and whole.count("```") % 2 == redacted.count("```") % 2 == 0:
        return whole
    return "\n\n".join([WITHHELD, *_MARKER.findall(text)])


def _withheld(paragraph: str, secrets: Collection[str]) -> str:
    if not carries_secret(_MARKER.sub("", paragraph), secrets):
        return paragraph
    return "\n\n".join([WITHHELD, *_MARKER.findall(paragraph)])


def _bare(text: str) -> str:
    return "".join(filter(str.isalnum, text))


class _SecretForms(NamedTuple):
    """The forms to search for: every form of our secrets, longest first, and the same without punctuation."""

    plain: tuple[str, ...]
    bare: tuple[str, ...]


@lru_cache(maxsize=64)
def _all_forms(secrets: frozenset[str]) -> _SecretForms:
    forms = sorted(set(_forms(secrets)), key=len, reverse=True)
    return _SecretForms(tuple(forms), tuple({bare for form in forms if len(bare := _bare(form)) >= _SHORTEST}))


def _forms(secrets: Collection[str]) -> Iterator[str]:
    """Each secret, and each line of a secret with several lines, in its encodings."""
    for secret in secrets:
        for value in {secret, *secret.splitlines()}:
            if not value.startswith("-----"):  # the first and last lines of a PEM are not secret
                yield from (form for form in _encodings(value.strip()) if len(form) >= _SHORTEST)


def _encodings(value: str) -> Iterator[str]:
    if len(value) < _SHORTEST:
        return
    parts = (value, value[_CUT:]) if len(value) >= 3 * _CUT else (value,)
    for part in parts:
        raw = part.encode(errors="replace")
        yield from (part, part[::-1], raw.hex(), raw.hex().upper(), quote(part, safe=""))
        for shift in range(3):
            yield from _base64(raw, shift)


def _base64(raw: bytes, shift: int) -> Iterator[str]:
    """The characters that encode only `raw`, when it begins at `shift` bytes (modulo 3) of an encoded text."""
    padded = b"\0" * shift + raw
    whole = len(padded) * 8 // 6
    first = -(-shift * 8 // 6)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(padded).decode()[first:whole]
