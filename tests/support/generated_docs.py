"""The generated parts of the documents: `make docs` writes them, test_docs.py compares them."""

import re
from pathlib import Path

import typer
from pydantic import SecretStr
from typer.cli import get_docs_for_click

from bot.cli.commands import cli
from bot.hosts.github.health import LIMITS, GitHubHealth, RequestOutcome
from bot.settings import Settings
from bot.telemetry.metrics import Metrics, QueueReading, Readings

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
SETTINGS_PAGE = REFERENCE / "settings.md"
COMMANDS_PAGE = REFERENCE / "command-line.md"
METRICS_PAGE = REFERENCE / "metrics.md"
PLACE = re.compile(r"(?<=<!-- settings -->\n).*(?=<!-- /settings -->)", re.DOTALL)
METRICS_PLACE = re.compile(r"(?<=<!-- metrics -->\n).*(?=<!-- /metrics -->)", re.DOTALL)


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


def metric_families():
    """Every metric with an example of each label: name -> (type, meaning, label -> values)."""
    metrics = Metrics()
    states = ("queued", "waiting", "running")
    readings = [QueueReading(queue, state, 0, 0.0) for queue in ("answers", "ingest", "reviews") for state in states]
    standing = GitHubHealth("https://api.github.com").standing()
    limits, outcomes = dict.fromkeys(LIMITS, 0), dict.fromkeys(RequestOutcome, 0)
    metrics.watch(Readings(lambda: readings, lambda: 0, lambda: outcomes, lambda: limits, lambda: standing))
    for status in ("accepted", "duplicate", "skipped", "refused", "unavailable"):
        metrics.deliveries.labels(status)
    for counter in (metrics.step_failures, metrics.model_errors):
        counter.labels("CLASS")
    found = {}
    for family in metrics.registry.collect():
        labels = {}
        for sample in family.samples:
            for label, value in sample.labels.items():
                labels.setdefault(label, {})[value] = None
        labels.pop("le", None)
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = (family.type, family.documentation, labels)
    return found


def metrics_table():
    """One row a metric."""
    rows = [
        f"| `{name}` | {kind} | {meaning} | {'; '.join(map(_label, labels.items())) or '-'} |"
        for name, (kind, meaning, labels) in metric_families().items()
    ]
    return "\n".join(["| metric | type | meaning | labels |", "|---|---|---|---|", *rows]) + "\n"


def _label(label):
    name, values = label
    return (
        f"`{name}`: {', '.join(values)}"
        if set(values) != {"CLASS"}
        else f"`{name}`: a class of `bot/errors.py`, database, internal"
    )


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
    METRICS_PAGE.write_text(METRICS_PLACE.sub(lambda _: metrics_table(), METRICS_PAGE.read_text()))
    COMMANDS_PAGE.write_text(command_line())
