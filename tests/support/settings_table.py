"""The settings as a table for docs/reference/settings.md: `make docs` writes it, test_docs.py reads it."""

import re
from pathlib import Path

from pydantic import SecretStr

from bot.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"
PLACE = re.compile(r"(?<=<!-- settings -->\n).*(?=<!-- /settings -->)", re.DOTALL)


def table():
    """One row a variable, in the order of the settings."""
    rows = [
        f"| `{name.upper()}` | {_default(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows]) + "\n"


def _default(field):
    value = field.get_default(call_default_factory=True)
    secret = isinstance(value, SecretStr)
    return "" if secret or value in ("", None, {}) else f"`{str(value).lower() if value is False else value}`"


if __name__ == "__main__":
    PAGE.write_text(PLACE.sub(lambda _: table(), PAGE.read_text()))
