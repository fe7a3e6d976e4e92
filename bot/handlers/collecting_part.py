"""Which documents govern a change, and what the change would do to them: the repository's own and the organisation's.

All of them are read at commits of base branches. What the pull request says about the rules counts once it is merged.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from bot.core.code.diff import Diff, Status
from bot.core.code.pull_request import PullRef, PullRequest
from bot.core.comments.config_change_part import consequences
from bot.core.findings.standard import Document, Shelf
from bot.core.layers_part import Layer, layered
from bot.core.policy import PATH, Policy, parse
from bot.errors import Refused
from bot.handlers.read import ORGANISATION
from bot.interfaces import CodeHost, Entry, Library
from bot.standards.documents import DEPTH, Selection, audience, imported, importing, select, tampered

SAID = 50
"""Documents that are left out and named."""


@dataclass(frozen=True, slots=True)
class Collected:
    """The shelf of a change. `skipped` says what was left out and why, `failed` what could not be looked for.

    `tampered` has a line for each file of the change that alters the rules themselves.
    """

    shelf: Shelf
    skipped: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    tampered: tuple[str, ...] = ()


async def collect(host: CodeHost, pull: PullRequest, policy: Policy, diff: Diff) -> Collected:
    """What governs `diff`. A repository whose files cannot be listed costs its documents, never the review."""
    found, failed = Selection(), []
    try:
        found = await documents(host, pull, policy, [file.path for file in diff])
    except Refused as error:
        failed.append(str(error))
    library = Selection()
    try:
        library = await _organisations(host, pull)
    except Refused as error:
        failed.append("the organisation's documents could not be read" + (f": {error}" if pull.private else ""))
    shelf = Shelf(pull.ref.repo, pull.base_sha, audience((*library.documents, *found.documents), pull.private))
    left_out = [f"{path}: {reason}" for path, reason in (*library.skipped, *found.skipped)]
    more = [f"and {len(left_out) - SAID} more"] if len(left_out) > SAID else []
    own = {document.path for document in found.documents}
    return Collected(
        shelf,
        skipped=(*left_out[:SAID], *more),
        failed=tuple(failed),
        tampered=(*tampered(diff, policy, own), *await _settings(host, pull, policy, diff)),
    )


async def documents(host: CodeHost, pull: PullRequest, policy: Policy, changed: Sequence[str]) -> Selection:
    """The repository's own documents at the base commit that speak of the files `changed`, and what they import."""
    files = _listed(await host.tree(pull.ref, pull.base_sha))
    found = select(files, policy, changed=changed)
    kept, fresh = found.documents, [one for one in found.documents if importing(one.path)]
    for _ in range(DEPTH):
        contents = {one.path: await _content(host, pull.ref, one) for one in fresh}
        fresh = list(imported(kept, contents, files))
        kept = (*kept, *fresh)
    return replace(found, documents=kept)


def home(pull: PullRequest, document: Document) -> PullRef:
    """Where a document is read: each repository of an installation with a token of its own."""
    return PullRef(document.repo, 0, installation=pull.ref.installation) if document.repo else pull.ref


async def _organisations(host: CodeHost, pull: PullRequest) -> Selection:
    """The organisation's documents. Which of them are public is said by their own repository, never by the reviewed one."""
    library = await host.library(pull.ref)
    if library is None:
        return Selection()
    entries = await host.tree(library.ref, library.commit)
    policy = await _policy(host, library, entries)
    rules = policy.standards.model_copy(update={"conventions": False})  # those speak of work on that repository
    found = select(_listed(entries), policy.model_copy(update={"standards": rules}), changed=())
    kept = (
        replace(
            one,
            repo=library.ref.repo,
            commit=library.commit,
            visibility=one.visibility if library.private else "public",
        )
        for one in found.documents
    )
    told = pull.private or not library.private
    skipped = tuple((f"{library.ref.repo}:{path}", reason) for path, reason in found.skipped) if told else ()
    return Selection(tuple(kept), skipped)


async def _policy(host: CodeHost, library: Library, entries: Collection[Entry]) -> Policy:
    entry = next((entry for entry in entries if entry.path == PATH), None)
    if entry is None:
        return Policy()
    return parse((await host.blob(library.ref, entry.blob)).decode(errors="replace"))[0]


async def _content(host: CodeHost, ref: PullRef, document: Document) -> bytes:
    """A document's bytes; nothing if it cannot be read, which the index will say."""
    try:
        return await host.blob(ref, document.blob)
    except Refused:
        return b""


async def _settings(host: CodeHost, pull: PullRequest, policy: Policy, diff: Diff) -> tuple[str, ...]:
    """What a change to `.github/assistant.yml` would set, over the organisation's defaults."""
    file = next((one for one in diff if PATH in {one.path, one.base_path}), None)
    if file is None:
        return ()
    layers = []
    with suppress(Refused):
        layers.append(Layer(ORGANISATION, (await host.organisation_file(pull.ref, PATH)).decode(errors="replace")))
    if file.path == PATH and file.status is not Status.REMOVED:
        try:
            layers.append(Layer(PATH, (await host.blob(pull.ref, file.blob)).decode(errors="replace")))
        except Refused as error:
            return (f"What `{PATH}` would set once this is merged cannot be told: {error}",)
    return consequences(policy, layered(layers))


def _listed(entries: Collection[Entry]) -> list[tuple[str, str, int]]:
    return [(entry.path, entry.blob, entry.size) for entry in entries]
