"""`assistant jobs …`, `backup` and `restore`: the jobs of a server and copies of its database, for its operator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

jobs = typer.Typer(help="The server's jobs: what they wait for, how they ended.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The id that `jobs ls` shows.")]


@jobs.command("ls")
def jobs_ls(
    state: Annotated[str, typer.Option(help="queued, waiting, running, done, failed, superseded, cancelled, …")] = "",
    as_json: AsJson = False,
) -> None:
    """List the newest 100 jobs with their state and reason."""
    from bot.cli.operate import list_jobs

    typer.echo(list_jobs(state, as_json=as_json))


@jobs.command("show")
def jobs_show(job: JobId, as_json: AsJson = False) -> None:
    """Show one job."""
    from bot.cli.operate import list_jobs

    typer.echo(list_jobs(id_=job, as_json=as_json))


@jobs.command("retry")
def jobs_retry(
    job: Annotated[str, typer.Argument(metavar="[JOB]", help="The id that `jobs ls` shows.")] = "",
    reason: Annotated[str, typer.Option(help="Retry every failed job whose reason contains these words.")] = "",
) -> None:
    """Start a job again, or all that failed for a reason."""
    from bot.cli.operate import retry_jobs

    typer.echo(retry_jobs(job, reason))


@jobs.command("cancel")
def jobs_cancel(job: JobId) -> None:
    """Stop a job at its next step and report it on the pull request."""
    from bot.cli.operate import cancel_job

    typer.echo(cancel_job(job))


def backup(file: Annotated[Path, typer.Argument(help="The copy to write; it must not exist.")]) -> None:
    """Copy the SQLite database, also while the server runs."""
    from bot.cli.operate import copy_database, database_file

    typer.echo(copy_database(database_file(), file))


def restore(file: Annotated[Path, typer.Argument(help="A copy that `backup` wrote.")]) -> None:
    """Put a backup in the place of a missing SQLite database. Stop the server and move the old file away first."""
    from bot.cli.operate import copy_database, database_file

    typer.echo(copy_database(file, database_file()))
