"""Credentials as operators write them: keys in many spellings, secrets that are none, and the file of a registered App."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_WIDTH = 64  # characters of base64 in a line of PEM
_STRONG, _VARIED = 12, 5  # characters, and different ones
_PLACEHOLDERS = {"", "changeme", "change-me", "your-secret", "your-webhook-secret", "secret-here", "xxx"}
_OURS = {"assistant", "review-assistant", "sandbox-webhook-secret", "/assistant review", *_PLACEHOLDERS}
"""Words of our own, and the secrets of our own examples."""


def stored_app(data: Path) -> Path:
    """The file below the data folder in which set-up stores the App: lines NAME=value, as in .env."""
    return data / "secrets" / "github-app.env"


def pem(text: str) -> str:
    """Returns the first PEM block of `text` as PEM; without one, `text` without white space at its ends.

    Reads real or escaped line ends, spaces for line ends, quotes or other text around the block, and base64 of it all.
    """
    found = _PEM.search(_unescaped(text)) or _PEM.search(_unescaped(_from_base64(text)))
    if found is None:
        return text.strip()
    label, body = found.groups()
    if ":" in body:  # a header, of a key with a passphrase
        return found[0]
    code = "".join(body.split())
    lines = [code[at : at + _WIDTH] for at in range(0, len(code), _WIDTH)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----"])


def _unescaped(text: str) -> str:
    return text.replace("\\r", "").replace("\\n", "\n").replace("\r", "")


def _from_base64(text: str) -> str:
    try:
        return base64.b64decode("".join(text.strip("\ufeff \t\r\n\"'").split()), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""


def is_weak(secret: str) -> bool:
    """Whether a secret is short or a word: it can be guessed, and to cut it out of every text would cut out words."""
    is_word = secret.isalpha() and secret in {secret.lower(), secret.upper(), secret.title()}
    return is_word or len(secret) < _STRONG or len(set(secret)) < _VARIED


def is_placeholder(secret: str) -> bool:
    """Whether a secret is the "…" or the "changeme" of an example."""
    return secret.strip("….<>").lower() in _PLACEHOLDERS


def is_example(secret: str) -> bool:
    """Whether a secret is one that our own texts or examples name. The sandbox's may be used with a sandbox."""
    return secret in _OURS
