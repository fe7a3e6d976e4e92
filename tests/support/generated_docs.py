"""The generated parts of the documents: `make docs` writes them, test_docs.py compares them."""

import re
from pathlib import Path

import typer
from pydantic import SecretStr
from typer.cli import get_docs_for_click

from bot.cli.commands import cli
from bot.settings import Settings

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
SETTINGS_PAGE = REFERENCE / "settings.md"
COMMANDS_PAGE = REFERENCE / "command-line.md"
PLACE = re.compile(r"(?<=<!-- settings -->\n).*(?=<!-- /settings -->)", re.DOTALL)


def settings_table():
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


def command_line():
    """Every command of the `assistant` program with its arguments and options, as Markdown."""
    command = typer.main.get_command(cli)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="assistant", title="The command line")
    for needless in (
        r"^\* `--(?:help|install-completion|show-completion)`: .*\n",
        r"^\*\*Commands\*\*:\n\n(?:\* .*\n)+\n",  # cut in mid-sentence; each command has its own heading below
        r"^\*\*Options\*\*:\n\n(?!\*)",
        r"^\*\*Usage\*\*:\n\n",
    ):
        text = re.sub(needless, "", text, flags=re.MULTILINE)
    return text.replace("```console\n$ ", "```text\n").strip() + "\n"


if __name__ == "__main__":
    SETTINGS_PAGE.write_text(PLACE.sub(lambda _: settings_table(), SETTINGS_PAGE.read_text()))
    COMMANDS_PAGE.write_text(command_line())
