"""`assistant review`: reviews a local change and prints it as text, JSON or SARIF."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape

from bot.app import UseCases, build_model, build_reviewer
from bot.checks.jail_cell import obstacle
from bot.cli.progress import configure, watched
from bot.core.code.plan import FileState, globs_of
from bot.core.code.pull_request import PullRequest
from bot.core.comments.check_run import limits, title
from bot.core.comments.comment import CHECKS_ONLY, code
from bot.core.comments.export import as_gcc, as_github, as_json, as_rdjson, as_sarif
from bot.core.comments.marker import Signer
from bot.core.comments.sanitize import show_hidden
from bot.core.findings.finding import Finding, Severity
from bot.core.findings.sarif import AnalysisReport, AnalysisReports
from bot.core.findings.triage import Review
from bot.errors import UserError
from bot.hosts.git import NO_OBJECT
from bot.hosts.local import LocalHost
from bot.job import Job, Trigger
from bot.model.tools import SearcherFactory, Version
from bot.model.tools.grep import GitGrep, ScanSearch
from bot.settings import Settings
from bot.standards.local import FolderStandards
from bot.storage.database import Database
from bot.storage.ledger import Ledger

_COLOUR = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "blue"}
_GATES = {"never": None, **{severity.name.lower(): severity for severity in Severity}}
FOUND, NOT_REVIEWED = 1, 3


@dataclass(frozen=True, slots=True)
class LocalChange:
    """The change to review: a range or a patch (`what`), the staged changes, or by default the current changes.

    `paths` limits the review to these files, folders and globs.
    """

    what: str = ""
    repo: Path = Path()
    paths: tuple[str, ...] = ()
    staged: bool = False
    reports: tuple[Path, ...] = ()

    def sarif(self) -> tuple[str, ...]:
        """The texts of the SARIF files of other analysers. Raises UserError."""
        try:
            return tuple(report.read_text(encoding="utf-8", errors="replace") for report in self.reports)
        except OSError as error:
            raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error

    async def host(self) -> LocalHost:
        """Reads the change. Raises UserError."""
        host = await self._whole()
        if self.paths:
            names = [self._from_root(path, host) for path in self.paths]
            wanted = globs_of(names)
            files = [file for file in host.changes if file.path in names or wanted.match(file.path)]
            host.changes = replace(host.changes, files=tuple(files))
        return host

    def _from_root(self, path: str, host: LocalHost) -> str:
        """A path as the change names it: from the top of the repository."""
        if host.git is None:
            return path
        place = os.path.relpath(Path.cwd() / path, host.git.directory)
        return path if place.startswith("..") else place

    async def _whole(self) -> LocalHost:
        patch = None if self.staged else _patch(self.what)
        if patch is not None:
            return await LocalHost.from_patch(patch, self.repo)
        if self.staged:
            return await LocalHost.from_index(self.repo)
        return await (LocalHost.from_range(self.repo, self.what) if self.what else LocalHost.from_current(self.repo))

    @property
    def is_own_code(self) -> bool:
        """Whether the change lies in a repository on this machine. A patch may come from anywhere."""
        return self.staged or not (self.what == "-" or (self.what and Path(self.what).is_file()))


@dataclass(frozen=True, slots=True)
class GivenReports:
    """The SARIF texts that the command line names; the policy's source is not read."""

    texts: tuple[str, ...]

    def reads(self, _source: str) -> bool:
        """Whether there are any."""
        return bool(self.texts)

    async def reports(self, _pull: PullRequest, _source: str, _paths: Collection[str]) -> AnalysisReports:
        """All of them."""
        return AnalysisReports(tuple(map(AnalysisReport, self.texts)))


def review_locally(change: LocalChange, form: str, fail_on: str | None, *, offline: bool = False) -> int:
    """Review a change on this machine and print the review. Returns the exit code. Raises UserError."""
    configure("WARNING")
    review = asyncio.run(_review(change, local_settings(offline=offline), progress=form == "text"))
    if form == "text":
        show(review, Console(highlight=False, soft_wrap=True))
    else:
        print(_exported(review, form))  # noqa: T201 - this is the output
    return exit_code(review, fail_on)


def exit_code(review: Review, fail_on: str | None) -> int:
    """The exit code of a review: 3 if something was not reviewed, 1 for findings at `fail_on` or above, else 0.

    Without `fail_on`, the policy's applies.
    """
    if not review.coverage.complete:
        return NOT_REVIEWED
    gate = review.gate if fail_on is None else _GATES[fail_on]
    return FOUND if gate is not None and any(level >= gate for level in review.by_severity) else 0


def _exported(review: Review, form: str) -> str:
    """The review for a program: json, sarif, rdjson, github or gcc."""
    match form:
        case "json":
            return json.dumps(as_json(review), indent=2, ensure_ascii=False)
        case "sarif":
            return json.dumps(as_sarif(review, version("review-assistant")), indent=2)
        case "rdjson":
            return json.dumps(as_rdjson(review), indent=2, ensure_ascii=False)
        case "github":
            return "\n".join(as_github(review))
    return "\n".join(as_gcc(review))


def local_settings(*, offline: bool) -> Settings:
    """Settings from the environment alone: the repository is untrusted, and so is its .env. Names the model's server."""
    settings = Settings.read(_env_file=None, **({"assistant_model_api": "offline"} if offline else {}))
    if settings.model_api != "offline":
        server = urlsplit(settings.openai_base_url or "https://api.openai.com").netloc.rpartition("@")[2]
        told = f"The change is sent to {server}, as the environment says. --offline reviews without a model."
        print(told, file=sys.stderr)  # noqa: T201 - before anything is sent
    return settings


async def _review(change: LocalChange, settings: Settings, *, progress: bool) -> Review:
    reports, host = GivenReports(change.sarif()), await change.host()
    settings, unconfined = _confinement(settings, own_code=change.is_own_code)
    with tempfile.TemporaryDirectory() as folder, Database(f"sqlite:///{folder}/ledger.db") as database:
        standards = FolderStandards(Path(folder) / "standards.db")
        signer, job = Signer(b"local"), Job("local", host.pull.ref, Trigger.COMMAND)
        with watched(Console(stderr=True), wanted=progress) as (step, hear):
            model = build_model(settings, signer.secret, hear)
            parts = UseCases(settings, host, host, standards, Ledger(database), signer, model, local_search(host))
            reviewer = build_reviewer(replace(parts, reports=reports))
            if hear:  # the terminal shows one stream
                reviewer = replace(reviewer, model_review=replace(reviewer.model_review, at_once=1))
            review = await reviewer.review(job, host.pull, step)
            scope = filter(None, [host.scope])
            return replace(review, remarks=(*scope, *unconfined, *review.remarks, *_unfollowed(host.unfollowed)))


def _confinement(settings: Settings, *, own_code: bool) -> tuple[Settings, tuple[str, ...]]:
    """Lets external checks run unconfined over one's own code where this machine cannot confine them, with a remark."""
    reason = obstacle()
    if not reason or settings.assistant_unconfined_checks or not own_code:
        return settings, ()
    remark = f"External checks ran unconfined: {reason}. The code is your own, so this is the default."
    return settings.model_copy(update={"assistant_unconfined_checks": True}), (remark,)


def _unfollowed(paths: Sequence[str]) -> Iterator[str]:
    if paths:
        named = ", ".join(map(code, paths[:3])) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")  # noqa: PLR2004 - as named
        yield f"Untracked, so not reviewed (`git add -N` includes it): {named}."


def local_search(host: LocalHost) -> SearcherFactory:
    """Returns the search for the model's tools: `git grep` in commits, else a scan of the files."""
    git, pull = host.git, host.pull
    sides: tuple[tuple[Version, str], ...] = (("head", pull.head_sha), ("base", pull.base_sha))
    commits = {version: commit for version, commit in sides if commit not in {"", NO_OBJECT}}
    return ScanSearch if git is None else lambda files: GitGrep(git, commits, ScanSearch(files))


def _patch(what: str) -> str | None:
    """Returns the text of a patch if `what` is a file or a dash, else None. Raises UserError."""
    if what == "-":
        return sys.stdin.buffer.read().decode(errors="replace")
    try:
        return Path(what).read_bytes().decode(errors="replace") if what and Path(what).is_file() else None
    except OSError as error:
        raise UserError(f"{what} cannot be read: {error.strerror}") from error


def show(review: Review, console: Console) -> None:
    """Print the findings, what was not reviewed, and the dropped claims with their reasons."""
    for finding in (*review.findings, *review.listed):
        _show(finding, console)
    console.print(f"[bold]{escape(title(review))}[/bold]")
    if not review.model:
        console.print(CHECKS_ONLY)
    for notice in (*review.notices, *review.remarks):
        console.print(f"- {escape(_line(notice))}")
    rows = review.coverage.files
    seen = sum(row.state is FileState.REVIEWED for row in rows)
    console.print(f"{seen} of {len(rows)} files reviewed." if rows else "Nothing to review: no file changed.")
    for row in (*rows, *review.coverage.passes):
        if row.state is not FileState.REVIEWED:
            console.print(f"  [dim]{escape(_line(f'{row.state.value}: {row.path}: {row.reason}'))}[/dim]")
        elif row.unanalysed and not review.model:
            console.print(f"  [dim]{escape(_line(f'{row.path}: {limits(row)}'))}[/dim]")
    for draft, reason in review.dropped:
        console.print(f"  [dim]dropped: {escape(_line(f'{draft.path}: {draft.title}: {reason}'))}[/dim]")


def _show(finding: Finding, console: Console) -> None:
    draft, place = finding.draft, finding.anchor
    where = _line(place.path) + (f":{place.line}" if place.line else "")
    colour = _COLOUR[draft.severity]
    rule = f" ({draft.source} {draft.rule})" if draft.rule else f" ({draft.source})"
    console.print(
        f"{escape(where)}: [{colour}]{draft.severity.name.lower()}[/{colour}] {escape(_line(draft.title))}[dim]{escape(rule)}[/dim]"
    )
    console.print(f"    {escape(show_hidden(draft.why))}")
    for standard in finding.standards:
        console.print(
            f"    [cyan]{escape(_line(standard.document))}:{standard.start}[/cyan] {escape(_line(standard.title))}"
        )
    if finding.suggestion is not None:
        for line in finding.suggestion.splitlines():
            console.print(f"    [green]+ {escape(show_hidden(line))}[/green]")


def _line(text: str) -> str:
    """Returns the text on one line. A path may contain anything; it must not look like a line of ours."""
    return show_hidden(text).replace("\n", "⟦U+000A⟧")
