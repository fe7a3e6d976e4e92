"""What a model wrote -> a title: one line that reads the same as plain text and as Markdown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from bot.core.code.hidden import without_hidden
from bot.core.code.secrets import WITHHELD, carries_secret, redact


def plain(text: str, limit: int = 120, *, secrets: Collection[str] = ()) -> str:
    """One line of words for a title: what would be Markdown, a mention or a link is replaced by a look-alike."""
    flat = " ".join(redact(unicodedata.normalize("NFC", without_hidden(text)), secrets).split())
    if carries_secret(flat, secrets):
        return WITHHELD
    title = flat if len(flat) <= limit else flat[: limit - 1].rstrip() + "…"
    for pattern, look_alike in _LOOK_ALIKES:
        title = pattern.sub(look_alike, title)
    return title


_LOOK_ALIKES = tuple(
    (re.compile(pattern, re.IGNORECASE), look_alike)
    for pattern, look_alike in (
        (r"^(?:(?:[-+=>#*]+|[0-9]+[.)]) )+", ""),
        (r"`", "'"),
        (r"\*(?=\S)|(?<=\S)\*", "\N{FULLWIDTH ASTERISK}"),
        (r"(?<![^\W_])_|_(?![^\W_])", "\N{FULLWIDTH LOW LINE}"),
        (r"\[", "\N{FULLWIDTH LEFT SQUARE BRACKET}"),
        (r"\]", "\N{FULLWIDTH RIGHT SQUARE BRACKET}"),
        (r"\\", "\N{FULLWIDTH REVERSE SOLIDUS}"),
        (r"\|", "\N{FULLWIDTH VERTICAL LINE}"),
        (r"~~", "\N{FULLWIDTH TILDE}" * 2),
        (r"<(?=\S)", "\N{FULLWIDTH LESS-THAN SIGN}"),
        (r"&(?=#?\w+;)", "\N{FULLWIDTH AMPERSAND}"),
        (r"@(?=\S)", "\N{FULLWIDTH COMMERCIAL AT}"),
        (r"#(?=[0-9])", "\N{FULLWIDTH NUMBER SIGN}"),
        (r"(?<=gh)-(?=[0-9])", "\N{NON-BREAKING HYPHEN}"),
        (r":(?=//)|(?<=mailto):|(?<=xmpp):", "\N{FULLWIDTH COLON}"),
        (r"(?<=www)\.", "\N{FULLWIDTH FULL STOP}"),
        (r"^/(?=\w)", "\N{FULLWIDTH SOLIDUS}"),
    )
)
