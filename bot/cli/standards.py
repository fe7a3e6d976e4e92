"""`assistant standards …`: lists and searches the team's documents, updates the server's index, reports on the rules."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from bot.app import build_standards
from bot.core.comments.sanitize import show_hidden
from bot.core.findings.standard import Document, Hit, Shelf, Standard
from bot.core.policy import Policy
from bot.errors import Refused
from bot.handlers.read import read_policy
from bot.handlers.standards import documents, pinned
from bot.hosts.git import NO_OBJECT
from bot.hosts.local import LocalHost
from bot.interfaces import Standards
from bot.settings import Settings
from bot.standards import READERS
from bot.standards.conflicts import conflicts
from bot.standards.documents import select
from bot.standards.local import FolderStandards
from bot.standards.rule_usage import RuleUsage, RuleUsageReport, tallied
from bot.standards.sections import sections
from bot.storage.database import Database
from bot.storage.ledger import Ledger

if TYPE_CHECKING:
    from bot.standards.vector_store import VectorStoreStandards

REVIEWS = 5_000
"""Most reviews that a report counts."""
SHOWN = 12
"""Most lines of a section that are printed."""


@dataclass(frozen=True, slots=True)
class CommittedStandards:
    """The documents of a repository's last commit or working tree; `skipped` says what was left out and why."""

    host: LocalHost
    shelf: Shelf
    skipped: tuple[str, ...]

    @classmethod
    async def of(cls, repo: Path, name: str = "", *, working_tree: bool = False) -> CommittedStandards:
        """Returns the documents of the repository at `repo`, whose name on GitHub is `name`. Raises UserError without one.

        With `working_tree` they, and the policy, are those that git follows in the working tree.
        """
        host = await LocalHost.from_range(repo)
        pull = replace(host.pull, base_sha=NO_OBJECT) if working_tree else host.pull
        policy = (await read_policy(host, pull)).policy
        everything = [entry.path for entry in await host.tree(pull.ref, pull.base_sha)]
        found = await documents(host, pull, policy, everything)
        loose = [(path, path, 0) for path in host.unfollowed] if working_tree else []
        unfollowed = select(loose, policy, changed=everything).documents
        reasons = (*found.skipped, *((document.path, "git does not follow it: git add -N") for document in unfollowed))
        skipped = tuple(f"{path}: {reason}" for path, reason in reasons)
        return cls(host, Shelf(name or pull.ref.repo, pull.base_sha, found.documents), skipped)

    async def sync(self, index: Standards) -> tuple[str, ...]:
        """Makes the shelf searchable, with a progress bar on a terminal. Returns what is left out, and why."""
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            bar = progress.add_task("Reading documents", total=len(self.shelf.documents))

            async def read(documents: Sequence[Document]) -> Mapping[Document, bytes | Refused]:
                contents = await self.host.blobs(self.host.pull.ref, [document.blob for document in documents])
                progress.advance(bar, len(documents))
                return {document: contents[document.blob] for document in documents}

            return (*self.skipped, *map(str, await index.sync(self.shelf, read)))


def unplaced_citations(policy: Policy, file: Path) -> tuple[str, ...]:
    """Returns a sentence for each of the policy's `cites` that no document beside its `file` has.

    Documents are read from the working tree. A file outside of a repository's .github folder is not checked.
    """
    home = file.resolve().parent
    if home.name != ".github" or not policy.cites:
        return ()
    paths = sorted({place.partition("#")[0].removeprefix("./") for place in policy.cites.values()})
    texts = {path: (home.parent / path).read_bytes() for path in paths if (home.parent / path).is_file()}
    found: list[Standard] = []
    listed = select([(path, "", len(text)) for path, text in texts.items()], policy, changed=paths)
    for document in listed.documents:
        with suppress(Refused):
            found += sections(document, texts[document.path], READERS)
    return tuple(row.reason for row in pinned(found, policy.cites)[1])


def search(repo: Path, query: str, language: str, path: str, *, working_tree: bool, as_json: bool) -> None:
    """Prints the sections about `query`, or that the documents do not cover it."""
    hits = asyncio.run(_search(repo, query, language, path, working_tree=working_tree))
    governing = [hit for hit in hits if hit.governs]
    if as_json:
        _print_json({"query": query, "covered": bool(governing), "hits": [_hit(hit) for hit in hits]})
        return
    console = _console()
    for hit in governing:
        _show(hit, console)
    if not governing:
        console.print("The team's documents do not cover this.")
        for hit in hits[:3]:
            console.print(f"  [dim]near: {_safe(hit.standard.id)}[/dim]")


async def _search(repo: Path, query: str, language: str, path: str, *, working_tree: bool) -> tuple[Hit, ...]:
    async with _parsed(repo, working_tree=working_tree) as (shelf, index, _):
        return await index.search(shelf, query, path=path, language=language.lower())


def listing(repo: Path, *, working_tree: bool, as_json: bool) -> None:
    """Prints the documents on the shelf, their sections, and what was left out."""
    shelf, sections, skipped = asyncio.run(_sections(repo, working_tree=working_tree))
    rows = [
        _row(document, [section for section in sections if section.document == document.path])
        for document in shelf.documents
    ]
    if as_json:
        _print_json({"repo": shelf.repo, "commit": shelf.commit, "documents": rows, "skipped": skipped})
        return
    console = _console()
    columns = ("path", "sections", "languages", "scope")
    console.print(_table(columns, [[_cell(row[column]) for column in columns] for row in rows]))
    _tell(skipped, console)
    place = "in the working tree" if working_tree else f"at {shelf.commit[:10]}"
    console.print(f"{len(rows)} documents with {len(sections)} sections {place}.")


async def committed_sections(repo: Path) -> tuple[Standard, ...]:
    """Returns the sections of the documents of the last commit of `repo`."""
    return (await _sections(repo))[1]


async def _sections(repo: Path, *, working_tree: bool = False) -> tuple[Shelf, tuple[Standard, ...], tuple[str, ...]]:
    async with _parsed(repo, working_tree=working_tree) as (shelf, index, skipped):
        return shelf, await index.sections(shelf), skipped


@asynccontextmanager
async def _parsed(repo: Path, *, working_tree: bool) -> AsyncIterator[tuple[Shelf, FolderStandards, tuple[str, ...]]]:
    """Yields the shelf of a repository, an index of it in memory, and what is left out."""
    books, index = await CommittedStandards.of(repo, working_tree=working_tree), FolderStandards(":memory:")
    try:
        yield books.shelf, index, await books.sync(index)
    finally:
        await index.close()


def sync(repo: Path, name: str, *, as_json: bool) -> None:
    """Updates the server's index, local or hosted, to the repository's last commit."""
    count, skipped = asyncio.run(_synced(repo, name))
    if as_json:
        _print_json({"documents": count, "skipped": skipped})
        return
    console = _console()
    _tell(skipped, console)
    console.print(f"{count} documents are searchable.")


def prune(repo: Path, name: str, *, as_json: bool) -> None:
    """Removes from the server's index what is not among the repository's documents."""
    count = asyncio.run(_pruned(repo, name))
    if as_json:
        _print_json({"removed": count})
    else:
        _console().print(f"{count} documents removed.")


async def _synced(repo: Path, name: str) -> tuple[int, tuple[str, ...]]:
    async with _servers_index() as index:
        books = await CommittedStandards.of(repo, name)
        return len(books.shelf.documents), await books.sync(index)


async def _pruned(repo: Path, name: str) -> int:
    async with _servers_index() as index:
        books = await CommittedStandards.of(repo, name)
        await books.sync(index)
        return await index.prune([books.shelf])


@asynccontextmanager
async def _servers_index() -> AsyncIterator[FolderStandards | VectorStoreStandards]:
    """Yields the index of a server with these settings.

    Settings come from the environment only: the current folder may be an untrusted repository with its own .env.
    """
    settings = Settings.read(_env_file=None)
    index = build_standards(settings, settings.assistant_data / "standards.db")
    try:
        yield index
    finally:
        await index.close()


def report(repo: Path | None, *, as_json: bool) -> None:
    """Prints from the ledger which rules never fire and which are mostly dismissed.

    With `repo`, prints the possible conflicts between the documents of that repository instead.
    """
    found = asyncio.run(_tallied() if repo is None else _conflicting(repo))
    if as_json:
        _print_json([_as_json(one) for one in found])
        return
    console = _console()
    for one in found:
        _report(one, console)
    if not found:
        console.print("No review with standards is recorded yet.")


async def _tallied() -> tuple[RuleUsageReport, ...]:
    with Database(Settings.read().database) as database:
        ledger = Ledger(database)
        return tallied(await ledger.reviews(limit=REVIEWS), await ledger.dismissed())


async def _conflicting(repo: Path) -> tuple[RuleUsageReport, ...]:
    shelf, sections, _ = await _sections(repo)
    return (RuleUsageReport(shelf.repo, 0, (), conflicts(sections)),)


def _report(rules: RuleUsageReport, console: Console) -> None:
    console.print(f"[bold]{_safe(rules.repo)}[/bold], {rules.reviews} reviews with standards")
    fired = sorted((one for one in rules.rules if one.violated), key=lambda one: -one.violated)
    parts = {
        "Never fires": [one for one in rules.rules if one.silent],
        "Mostly dismissed": [one for one in rules.rules if one.rejected],
        "Fired": fired,
    }
    columns = ("id", "in_scope", "checked", "violated", "dismissed")
    for title, listed in parts.items():
        if listed:
            console.print(_table(columns, [[_cell(value) for value in asdict(one).values()] for one in listed], title))
    if not rules.conflicts and not rules.reviews:
        console.print("No contradictions found among the documents.")
    for conflict in rules.conflicts:
        console.print(f"Possible conflict: {_safe(conflict.one)} and {_safe(conflict.other)}")
        console.print(f"  “{_safe(conflict.says)}”\n  “{_safe(conflict.against)}”")


def _as_json(rules: RuleUsageReport) -> dict[str, Any]:
    def ids(listed: Iterable[RuleUsage]) -> list[str]:
        return [one.id for one in listed]

    return {
        "repo": rules.repo,
        "reviews": rules.reviews,
        "never_fires": ids(one for one in rules.rules if one.silent),
        "mostly_dismissed": ids(one for one in rules.rules if one.rejected),
        "possible_conflicts": [asdict(one) for one in rules.conflicts],
        "rules": [asdict(one) for one in rules.rules],
    }


def _row(document: Document, sections: Sequence[Standard]) -> dict[str, Any]:
    scopes = dict.fromkeys(glob for section in sections for glob in section.scope)
    return {
        "path": document.path,
        "bytes": document.size,
        "sections": len(sections),
        "languages": sorted({name for section in sections for name in section.languages}),
        "scope": list(scopes),
        "visibility": document.visibility,
    }


def _hit(hit: Hit) -> dict[str, Any]:
    found = {"id": hit.standard.id, "governs": hit.governs, "score": round(hit.score, 4), "quote": hit.quote}
    return found | asdict(hit.standard)


def _show(hit: Hit, console: Console) -> None:
    """Prints a section with its lines, and the sentence that a finding would cite."""
    standard = hit.standard
    console.print(f"[cyan]{_safe(standard.document)}:{standard.start}[/cyan] {_safe(standard.title)}")
    lines = standard.text.strip().splitlines()
    for line in lines[:SHOWN]:
        console.print(f"    {_safe(line)}")
    if len(lines) > SHOWN:
        console.print(f"    [dim]… {len(lines) - SHOWN} more lines[/dim]")
    if hit.quote:
        console.print(f"    [bold]cites:[/bold] “{_safe(hit.quote)}”")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _tell(skipped: Iterable[str], console: Console) -> None:
    for reason in skipped:
        console.print(f"[dim]skipped: {_safe(reason)}[/dim]")


def _cell(value: object) -> str:
    return _safe(" ".join(map(str, value)) if isinstance(value, list) else str(value))


def _safe(text: str) -> str:
    """Returns a document's text on one line, without styles: it cannot imitate our own output."""
    return escape(" ".join(show_hidden(text).split("\n")))


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201 - this is the output
