"""The `assistant` command line: every verb with its options. The work is done in the other modules of this room.

The help text of `assistant` lists the exit codes.
"""

from __future__ import annotations

import io
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bot.cli.jobs import backup, jobs, restore
from bot.errors import AssistantError, ConfigurationError, UserError

EXIT_CODES = """Exit codes: 0 done; 1 findings at or above --fail-on, or troubles and mistakes found by `doctor` and `config check`; 2 wrong usage or settings;
3 something was not reviewed or answered, or GitHub, the model or this machine failed."""
cli = typer.Typer(
    name="assistant",
    help="Reviews pull requests against the team's own coding standards.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
config = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
standards = typer.Typer(help="List, search and index the team's standards.", no_args_is_help=True)
cli.add_typer(standards, name="standards")
cli.add_typer(jobs, name="jobs")
cli.command()(backup)
cli.command()(restore)
cli.add_typer(config, name="config", help="Check, show and describe .github/assistant.yml.")
FOUND, USAGE, FAILED = 1, 2, 3
POSIX_ONLY = {"fcntl", "resource"}
"""Modules of Python that Windows does not have."""


class Format(StrEnum):
    """The formats of a printed review."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"
    RDJSON = "rdjson"
    GCC = "gcc"


class FailOn(StrEnum):
    """The lowest severity that makes `review` exit with 1."""

    NEVER = "never"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


Range = Annotated[
    str,
    typer.Option(
        "--range", help="A..B or A; by default the uncommitted changes, else the branch's commits.", metavar="RANGE"
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Use no model, also if a key is in the environment.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version as installed

        typer.echo(installed("review-assistant"))
        raise typer.Exit


@cli.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Reviews pull requests against the team's own coding standards."""


@cli.command()
def demo(
    repo: Annotated[Path | None, typer.Option(help="Review this repository, not the example.", metavar="PATH")] = None,
    base: Annotated[str, typer.Option(help="The base commit in --repo.")] = "HEAD~1",
    head: Annotated[str, typer.Option(help="The head commit in --repo.")] = "HEAD",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the pages open until Ctrl-C.")] = False,
) -> None:
    """Review an example pull request on a sandbox GitHub. Needs no key, account or service."""
    from bot.cli.demo import run

    run(repo, base, head, keep=keep)


@cli.command()
def review(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RANGE|PATCH|-|PATH",
            help="First A..B, A, a patch file, or - for standard input; then paths to review. With --staged only paths.",
        ),
    ] = None,
    *,
    repo: Repository = Path(),
    staged: Annotated[bool, typer.Option("--staged", help="Review the staged changes.")] = False,
    offline: Offline = False,
    form: Annotated[
        Format, typer.Option("--format", help="sarif: code scanning; github: Actions; rdjson: reviewdog; gcc: editors.")
    ] = Format.TEXT,
    as_json: Annotated[bool, typer.Option("--json", help="Short for --format json.")] = False,
    sarif: Annotated[bool, typer.Option("--sarif", help="Short for --format sarif.")] = False,
    with_sarif: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Add the results of another analyser, a SARIF file. Repeatable."),
    ] = None,
    fail_on: Annotated[
        FailOn | None, typer.Option(help="Exit with 1 for findings of this severity or above; by default the policy's.")
    ] = None,
) -> None:
    """Review a local change. By default: the uncommitted changes, or if there are none, the commits of the branch."""
    from bot.cli.review import LocalChange, review_locally

    first, *paths = what or [""]
    if staged:
        first, paths = "", list(what or ())
    form = Format.JSON if as_json else Format.SARIF if sarif else form
    change = LocalChange(first, repo, tuple(paths), staged, tuple(with_sarif or ()))
    raise typer.Exit(review_locally(change, form.value, fail_on and fail_on.value, offline=offline))


@cli.command()
def ask(
    question: Annotated[
        list[str], typer.Argument(metavar="QUESTION", help="The question, about the change or the repository.")
    ],
    repo: Repository = Path(),
    what: Range = "",
    offline: Offline = False,
) -> None:
    """Ask about a local change. Without a model, print the standards that fit the question."""
    _answer(f"ask {' '.join(question)}", what, repo, offline=offline)


@cli.command()
def summary(repo: Repository = Path(), what: Range = "", offline: Offline = False) -> None:
    """Print the walkthrough of a local change."""
    _answer("summary", what, repo, offline=offline)


def _answer(words: str, what: str, repo: Path, *, offline: bool) -> None:
    from bot.cli.ask import answer_locally
    from bot.cli.review import LocalChange

    text, answered = answer_locally(words, LocalChange(what, repo), offline=offline)
    typer.echo(text, err=not answered)
    raise typer.Exit(0 if answered else FAILED)


PullRequest = Annotated[
    str, typer.Argument(metavar="OWNER/REPO#NUMBER", help="The pull request, as the server's database knows it.")
]
Finding = Annotated[
    str, typer.Argument(metavar="FINDING", help="The finding's name or the beginning of it; `status` lists them.")
]
Question = Annotated[
    list[str] | None, typer.Argument(metavar="[QUESTION]", help="A question about the finding; by default: explain it.")
]
Reason = Annotated[
    list[str] | None, typer.Argument(metavar="[REASON]", help="The reason, shown in the finding's comment.")
]


@cli.command()
def status(pull: PullRequest) -> None:
    """Show reviews, findings, cost and pauses of a pull request."""
    _steer("status", pull)


@cli.command()
def explain(pull: PullRequest, finding: Finding, question: Question = None) -> None:
    """Explain a finding on the terminal. Posts nothing."""
    _steer("explain", pull, finding, question)


@cli.command()
def dismiss(pull: PullRequest, finding: Finding, reason: Reason = None) -> None:
    """Dismiss a finding for good and note it in its comment."""
    _steer("dismiss", pull, finding, reason)


@cli.command()
def resolve(pull: PullRequest, finding: Finding) -> None:
    """Mark a finding as resolved and note it in its comment."""
    _steer("resolve", pull, finding)


@cli.command()
def pause(pull: PullRequest) -> None:
    """Stop automatic reviews of a pull request."""
    _steer("pause", pull)


@cli.command()
def resume(pull: PullRequest) -> None:
    """Review a pull request automatically again."""
    _steer("resume", pull)


@cli.command()
def stop(pull: PullRequest) -> None:
    """Cancel the running reviews of a pull request."""
    _steer("stop", pull)


def _steer(verb: str, pull: str, finding: str = "", words: list[str] | None = None) -> None:
    from bot.cli.operate import steer
    from bot.core.command import Verb

    typer.echo(steer(Verb(verb), pull, finding, " ".join(words or ())))


@cli.command("help")
def show_help() -> None:
    """List the commands for comments on a pull request."""
    from bot.core.command import Verb
    from bot.core.comments.replies import usage
    from bot.core.policy import Policy

    typer.echo(usage(list(Verb), Policy().label))


@config.command()
def check(
    file: Annotated[Path, typer.Argument(help="The policy file of a repository.")] = Path(".github/assistant.yml"),
) -> None:
    """List the mistakes in a policy file with line and column. Exits with 1 if there are any."""
    from bot.cli.ask import check_config

    problems = check_config(file)
    for problem in problems:
        typer.echo(problem)
    raise typer.Exit(FOUND if problems else 0)


@config.command()
def show(
    file: Annotated[Path | None, typer.Argument(help="The policy file of a repository.")] = None,
    defaults: Annotated[Path | None, typer.Option(help="The organisation's policy file.", metavar="FILE")] = None,
) -> None:
    """Print every policy setting with its value and the file it comes from."""
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
    host: Annotated[str | None, typer.Option(help="The address to listen on; by default $HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on; by default $PORT.")] = None,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Only receive webhooks; `assistant work` runs the reviews.")
    ] = False,
) -> None:
    """Run the server: receive webhooks and review pull requests. Without an App it prints a link that sets one up."""
    from bot.settings import Settings

    changes = {name: value for name, value in {"host": host, "port": port}.items() if value is not None}
    settings = Settings.read(**changes)
    if settings.names_app:
        settings.require_app()  # fail before the heavy imports
    from bot.cli.serve import serve as run

    run(settings, work=not no_worker)


@cli.command()
def work(
    metrics_port: Annotated[
        int | None, typer.Option(help="Serve /metrics at $HOST on this port; by default no port is opened.")
    ] = None,
) -> None:
    """Run a worker: review what a server received."""
    from bot.settings import Settings

    settings = Settings.read().require_app()
    from bot.cli.serve import work as run

    run(settings, metrics_port)


@cli.command()
def replay(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="DELIVERY-FILE", help="A JSON file with the headers and the payload, as GitHub shows them."
        ),
    ],
    url: Annotated[str, typer.Option(help="The server's address; by default http://$HOST:$PORT.")] = "",
    event: Annotated[str, typer.Option(help="The X-GitHub-Event of a file without headers.")] = "pull_request",
) -> None:
    """Send a stored webhook delivery to a running server."""
    from bot.cli.replay import replay as run
    from bot.settings import Settings

    settings = Settings.read()
    typer.echo(run(settings, file, url or f"http://{settings.host}:{settings.port}", event))


@cli.command()
def stats(
    days: Annotated[int, typer.Option(min=0, help="Count the last DAYS days; 0: all.")] = 0, as_json: AsJson = False
) -> None:
    """Show what became of findings, and the cost. Counts merged pull requests."""
    from bot.cli.stats import stats as show_stats

    show_stats(days, as_json=as_json)


@cli.command()
def audit(
    pull: Annotated[str, typer.Argument(metavar="[OWNER/REPO[#NUMBER]]", help="Without it: everything.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The newest entries that are shown.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show what was decided, by whom and on whose word; the log is append-only."""
    from bot.cli.stats import audit as show_audit

    show_audit(pull, limit, as_json=as_json)


@cli.command()
def healthcheck(
    live: Annotated[
        bool, typer.Option("--live", help="Ask only if it answers: a restart mends no outage of GitHub.")
    ] = False,
) -> None:
    """Ask the local server if it is ready. Exits with 3 if not."""
    from bot.cli.replay import healthy
    from bot.settings import Settings

    raise typer.Exit(0 if healthy(Settings.read(), live=live) else FAILED)


@cli.command()
def action(
    fail_on: Annotated[FailOn | None, typer.Option(help="As for `review`; by default the policy's.")] = None,
    sarif: Annotated[Path | None, typer.Option(help="Write SARIF to this file.", metavar="FILE")] = None,
) -> None:
    """Handle the event of a GitHub Actions run; see `action.yml`."""
    from bot.cli.action import run

    raise typer.Exit(run(os.environ, fail_on and fail_on.value, sarif))


@cli.command()
def doctor(as_json: AsJson = False) -> None:
    """Examine this installation and name each trouble with its cure. Exits with 1 if there is one."""
    from bot.cli.doctor import run

    raise typer.Exit(run(as_json=as_json))


@cli.command()
def version(as_json: AsJson = False) -> None:
    """Print the version."""
    import json
    from importlib.metadata import version as installed

    number = installed("review-assistant")
    typer.echo(json.dumps({"version": number, "python": sys.version.split()[0]}) if as_json else number)


def read_utf8() -> None:
    """Starts this program again in Python's UTF-8 mode where the locale has another encoding, as git's paths are UTF-8.

    https://docs.python.org/3/library/os.html#python-utf-8-mode
    """
    if sys.getfilesystemencoding() != "utf-8" and sys.executable:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - ourselves


def main() -> None:
    """Run the command line; print our own errors and errors of the system as one sentence, and exit with their code."""
    read_utf8()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a path may hold bytes that are not text
    try:
        cli(prog_name="assistant")
    except (ConfigurationError, UserError) as error:
        typer.echo(f"assistant: {error}", err=True)
        sys.exit(USAGE)
    except ModuleNotFoundError as error:
        if error.name not in POSIX_ONLY:
            raise
        typer.echo("assistant: this system is not supported; use Linux or macOS, on Windows inside WSL.", err=True)
        sys.exit(USAGE)
    except AssistantError as error:
        typer.echo(f"assistant: {error}", err=True)
        sys.exit(FAILED)
    except OSError as error:  # a full disk, a file that may not be read
        typer.echo(f"assistant: {error.strerror or error}{f': {error.filename}' if error.filename else ''}", err=True)
        sys.exit(FAILED)


Repository = Annotated[
    Path, typer.Option("--repo", help="The git repository; by default the current folder.", metavar="PATH")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Name = Annotated[str, typer.Option("--name", help="The repository's name on GitHub: owner/name.", metavar="NAME")]


WorkingTree = Annotated[
    bool, typer.Option("--working-tree", help="Read what is not committed yet, of the files that git tracks.")
]


@standards.command("test")
@standards.command("try")
def standards_test(
    query: Annotated[str, typer.Argument(help="Code, the message of a linter, or a question.")],
    language: Annotated[str, typer.Option(help="The language of the code: python, typescript, …")] = "",
    path: Annotated[str, typer.Option(help="Show only rules that apply to this file.")] = "",
    repo: Repository = Path(),
    working_tree: WorkingTree = False,
    as_json: AsJson = False,
) -> None:
    """Show the sections that govern the query, or say that no document covers it."""
    from bot.cli.standards import search

    search(repo, query, language, path, working_tree=working_tree, as_json=as_json)


@standards.command("ls")
def standards_ls(repo: Repository = Path(), working_tree: WorkingTree = False, as_json: AsJson = False) -> None:
    """List the documents of the last commit, their sections, and what is left out."""
    from bot.cli.standards import listing

    listing(repo, working_tree=working_tree, as_json=as_json)


@standards.command("sync")
def standards_sync(repo: Repository = Path(), name: Name = "", as_json: AsJson = False) -> None:
    """Update the server's index, local or hosted, to the last commit."""
    from bot.cli.standards import sync

    sync(repo, name, as_json=as_json)


@standards.command("prune")
def standards_prune(repo: Repository = Path(), name: Name = "", as_json: AsJson = False) -> None:
    """Remove from the server's index the documents that the last commit does not have."""
    from bot.cli.standards import prune

    prune(repo, name, as_json=as_json)


@standards.command("check")
def standards_check(
    files: Annotated[list[Path] | None, typer.Argument(help="Documents; by default those of the last commit.")] = None,
    repo: Repository = Path(),
    as_json: AsJson = False,
) -> None:
    """Run each executable rule over its own good and bad examples. Exits with 1 if one is wrong."""
    from bot.cli.rules import check

    if not check(repo, files or [], as_json=as_json):
        raise typer.Exit(1)


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
