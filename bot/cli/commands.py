"""The `assistant` command. Exit codes: 0 done, 1 findings at or above --fail-on, 2 usage or settings, 3 the world failed.

A review whose model answered nothing, for want of a connection, a key or money, is printed and ends with 3.

`assistant standards …`: what the team's documents say, and the index that searches them.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bot.errors import AssistantError, ConfigurationError, UserError

cli = typer.Typer(
    name="assistant",
    help="Reviews pull requests against the team's own coding standards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
config = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
standards = typer.Typer(help="The team's own documents: what a review cites.", no_args_is_help=True)
cli.add_typer(standards, name="standards")
cli.add_typer(config, name="config", help="Check, show and describe .github/assistant.yml.")
FOUND, USAGE, FAILED = 1, 2, 3


class FailOn(StrEnum):
    """The lowest severity that makes `review` exit with 1."""

    NEVER = "never"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


Range = Annotated[
    str, typer.Option("--range", help="A..B or REV; by default the uncommitted changes.", metavar="RANGE")
]


@cli.command()
def demo(
    repo: Annotated[Path | None, typer.Option(help="Use a repository of your own.", metavar="PATH")] = None,
    base: Annotated[str, typer.Option(help="The base revision in --repo.")] = "HEAD~1",
    head: Annotated[str, typer.Option(help="The head revision in --repo.")] = "HEAD",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the pages open until Ctrl-C.")] = False,
) -> None:
    """Review an example pull request through the real path. Needs no key, no account, no service."""
    from bot.cli.demo import run

    run(repo, base, head, keep=keep)


@cli.command()
def review(
    what: Annotated[
        str, typer.Argument(metavar="[RANGE|PATCH|-]", help="A..B, REV, a patch file, or - for stdin.")
    ] = "",
    repo: Repository = Path(),
    as_json: AsJson = False,
    sarif: Annotated[bool, typer.Option("--sarif", help="SARIF 2.1.0, for code scanning.")] = False,
    fail_on: Annotated[FailOn, typer.Option(help="Exit with 1 for findings at or above this.")] = FailOn.NEVER,
) -> None:
    """Review a local git range or a patch; without an argument, the uncommitted changes."""
    from bot.cli.review import review_locally

    raise typer.Exit(review_locally(what, repo, "json" if as_json else "sarif" if sarif else "text", fail_on.value))


@cli.command()
def ask(
    question: Annotated[list[str], typer.Argument(metavar="QUESTION", help="About the change or the repository.")],
    repo: Repository = Path(),
    what: Range = "",
) -> None:
    """Ask about a local change; without a model, the documents are shown."""
    from bot.cli.ask import answer_locally

    typer.echo(answer_locally(f"ask {' '.join(question)}", what, repo))


@cli.command()
def summary(repo: Repository = Path(), what: Range = "") -> None:
    """Print the walkthrough of a local change."""
    from bot.cli.ask import answer_locally

    typer.echo(answer_locally("summary", what, repo))


PullRequest = Annotated[str, typer.Argument(metavar="OWNER/REPO#NUMBER", help="On the server's own database.")]
Finding = Annotated[str, typer.Argument(metavar="FINDING", help="The finding's id or its beginning: see `status`.")]
Question = Annotated[list[str] | None, typer.Argument(metavar="[QUESTION]", help="Without an option: explain it.")]
Reason = Annotated[list[str] | None, typer.Argument(metavar="[REASON]", help="The reason shown in its comment.")]


@cli.command()
def status(pull: PullRequest) -> None:
    """Print what was reviewed on a pull request, what is open, what it cost, and who paused it."""
    _steer("status", pull)


@cli.command()
def explain(pull: PullRequest, finding: Finding, question: Question = None) -> None:
    """Say more about a finding; nothing is posted."""
    _steer("explain", pull, finding, question)


@cli.command()
def dismiss(pull: PullRequest, finding: Finding, reason: Reason = None) -> None:
    """Drop a finding for good, and say so in its comment."""
    _steer("dismiss", pull, finding, reason)


@cli.command()
def resolve(pull: PullRequest, finding: Finding) -> None:
    """Mark a finding as dealt with, and say so in its comment."""
    _steer("resolve", pull, finding)


@cli.command()
def pause(pull: PullRequest) -> None:
    """Start no automatic reviews on a pull request."""
    _steer("pause", pull)


@cli.command()
def resume(pull: PullRequest) -> None:
    """Start automatic reviews on a pull request again."""
    _steer("resume", pull)


@cli.command()
def stop(pull: PullRequest) -> None:
    """Cancel the running reviews of a pull request at their next step."""
    _steer("stop", pull)


def _steer(verb: str, pull: str, finding: str = "", words: list[str] | None = None) -> None:
    from bot.cli.operate import steer
    from bot.core.command import Verb

    typer.echo(steer(Verb(verb), pull, finding, " ".join(words or ())))


@cli.command("help")
def show_help() -> None:
    """Print what can be said in a comment on a pull request."""
    from bot.core.command import Verb
    from bot.core.comments.replies import usage
    from bot.core.policy import Policy

    typer.echo(usage(list(Verb), Policy().label))


@config.command()
def check(
    file: Annotated[Path, typer.Argument(help="A repository's file.")] = Path(".github/assistant.yml"),
) -> None:
    """Say what is wrong in a file, with line and column; exit 1 if something is."""
    from bot.cli.ask import check_config

    problems = check_config(file)
    for problem in problems:
        typer.echo(problem)
    raise typer.Exit(FOUND if problems else 0)


@config.command()
def show(
    file: Annotated[Path | None, typer.Argument(help="A repository's file.")] = None,
    defaults: Annotated[Path | None, typer.Option(help="The organisation's file.", metavar="FILE")] = None,
) -> None:
    """Print every setting with its value and where that comes from."""
    from bot.cli.ask import show_config

    typer.echo("\n".join(show_config(file, defaults)))


@config.command()
def schema() -> None:
    """Print the JSON Schema of .github/assistant.yml."""
    import json

    from bot.core.policy import schema as schema_of

    typer.echo(json.dumps(schema_of(), indent=2))


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [HOST].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [PORT].")] = None,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Only receive; `assistant work` does the rest.")
    ] = False,
) -> None:
    """Receive webhooks and work on them."""
    from bot.settings import Settings

    changes = {name: value for name, value in {"host": host, "port": port}.items() if value is not None}
    settings = Settings.read(**changes).require_app()  # what is missing is said before anything heavy is loaded
    from bot.cli.serve import serve as run

    run(settings, work=not no_worker)


@cli.command()
def work() -> None:
    """Work on what was received, without listening."""
    from bot.settings import Settings

    settings = Settings.read().require_app()
    from bot.cli.serve import work as run

    run(settings)


@cli.command()
def replay(
    file: Annotated[
        Path, typer.Argument(metavar="DELIVERY-FILE", help="JSON with headers and payload, as GitHub shows it.")
    ],
    url: Annotated[str, typer.Option(help="Where the server listens.")] = "",
    event: Annotated[str, typer.Option(help="X-GitHub-Event, if the file has no headers.")] = "pull_request",
) -> None:
    """Sign a stored delivery with our own secret and send it to a running server."""
    from bot.cli.replay import replay as run
    from bot.settings import Settings

    settings = Settings.read()
    typer.echo(run(settings, file, url or f"http://{settings.host}:{settings.port}", event))


@cli.command()
def stats(as_json: AsJson = False) -> None:
    """Show what became of the findings of merged pull requests: addressed, fixed, dismissed, ignored."""
    from bot.cli.stats import stats as show_stats

    show_stats(as_json=as_json)


@cli.command()
def healthcheck() -> None:
    """Ask the server on this machine whether it is ready; exit 3 if it is not."""
    from bot.cli.replay import healthy
    from bot.settings import Settings

    raise typer.Exit(0 if healthy(Settings.read()) else FAILED)


@cli.command()
def version(as_json: AsJson = False) -> None:
    """Print the version."""
    import json
    from importlib.metadata import version as installed

    number = installed("review-assistant")
    typer.echo(json.dumps({"version": number, "python": sys.version.split()[0]}) if as_json else number)


def main() -> None:
    """Run the command line; whatever is raised on purpose becomes a sentence and an exit code."""
    try:
        cli()
    except (ConfigurationError, UserError) as error:
        typer.echo(f"assistant: {error}", err=True)
        sys.exit(USAGE)
    except AssistantError as error:
        typer.echo(f"assistant: {error}", err=True)
        sys.exit(FAILED)
    except OSError as error:  # a full disk, a file that may not be read
        typer.echo(f"assistant: {error.strerror or error}{f': {error.filename}' if error.filename else ''}", err=True)
        sys.exit(FAILED)


Repository = Annotated[Path, typer.Option("--repo", help="A git repository.", metavar="PATH")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, for programs.")]
Name = Annotated[str, typer.Option("--name", help="The repository's name on GitHub: owner/name.", metavar="NAME")]


@standards.command("test")
def standards_test(
    query: Annotated[str, typer.Argument(help="Code, a linter's message, or a question.")],
    language: Annotated[str, typer.Option(help="The language of the code: python, typescript, …")] = "",
    path: Annotated[str, typer.Option(help="Only rules that hold for this file.")] = "",
    repo: Repository = Path(),
    as_json: AsJson = False,
) -> None:
    """Show the sections that govern something, or say that the documents do not cover it."""
    from bot.cli.standards import search

    search(repo, query, language, path, as_json=as_json)


@standards.command("ls")
def standards_ls(repo: Repository = Path(), as_json: AsJson = False) -> None:
    """List the documents of the last commit, what they hold, and what is left out."""
    from bot.cli.standards import listing

    listing(repo, as_json=as_json)


@standards.command("sync")
def standards_sync(repo: Repository = Path(), name: Name = "", as_json: AsJson = False) -> None:
    """Bring the server's index, local or hosted, up to date with the last commit."""
    from bot.cli.standards import sync

    sync(repo, name, as_json=as_json)


@standards.command("prune")
def standards_prune(repo: Repository = Path(), name: Name = "", as_json: AsJson = False) -> None:
    """Remove from the server's index what is not among the documents of the last commit."""
    from bot.cli.standards import prune

    prune(repo, name, as_json=as_json)


@standards.command("report")
def standards_report(
    repo: Annotated[
        Path | None, typer.Option("--repo", help="Only conflicts, in a git repository.", metavar="PATH")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show rules that never fire and rules that are mostly dismissed; with --repo, possible conflicts."""
    from bot.cli.standards import report

    report(repo, as_json=as_json)
