"""`assistant standards …`: what the team's documents say, and the index that searches them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Repository = Annotated[Path, typer.Option("--repo", help="A git repository.", metavar="PATH")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, for programs.")]
standards = typer.Typer(help="The team's own documents: what a review cites.", no_args_is_help=True)
Name = Annotated[str, typer.Option("--name", help="The repository's name on GitHub: owner/name.", metavar="NAME")]


@standards.command("test")
def standards_test(
    query: Annotated[str, typer.Argument(help="Code, a linter's words, or a question.")],
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
    """Show rules that never fire, rules that are mostly dismissed, and possible conflicts."""
    from bot.cli.standards import report

    report(repo, as_json=as_json)
