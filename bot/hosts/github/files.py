"""Entries of the files API -> FileDiff: a patch that GitHub omits is made from the contents, or marked as missing.

Reads many files in few GraphQL queries; git's object id proves each text, so a wrong or missing one is never used.

https://docs.github.com/en/rest/pulls/pulls#list-pull-requests-files
https://docs.github.com/en/graphql/reference/git-management#object-blob
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

from bot.core.code.compare import is_binary, make_patch
from bot.core.code.diff import EMPTY_BLOB, Diff, FileDiff, Status, blob_id, parse_patch
from bot.errors import HostLimited, NotFound, OperatorTrouble, Outage, Refused, TooLarge
from bot.hosts.github.auth import Grant
from bot.hosts.github.client import GitHubClient
from bot.hosts.github.payloads import ChangedFile
from bot.interfaces import TreeFile

LISTED = 3000  # GitHub names no more
COMPARED = 20  # files of one pull request that are compared by content

Read = Callable[[str], Awaitable[bytes]]
Base = Mapping[str, TreeFile]


def needs_base(files: Sequence[ChangedFile]) -> bool:
    """Whether a file without a patch needs its version at the merge base."""
    return any(file.patch is None and file.status not in {Status.ADDED, Status.REMOVED} for file in files)


async def complete(files: Sequence[ChangedFile], base: Base, read: Read) -> Diff:
    """Returns the whole diff. `base` has the known files of the merge base; `read` reads a blob within a bound."""
    diffs: list[FileDiff] = []
    compared = 0
    for file in files:
        large = file.patch is None and bool(file.additions or file.deletions)
        compared += large
        if large and compared <= COMPARED:
            diffs.append(await _compare(file, base.get(file.base_path), read))
        else:
            diffs.append(await asyncio.to_thread(_listed, file, base.get(file.base_path)))
    truncated = f"GitHub lists only the first {LISTED:,} files" if len(files) >= LISTED else ""
    return Diff(tuple(diffs), truncated)


def _listed(file: ChangedFile, old: TreeFile | None) -> FileDiff:
    """Converts an entry with its patch, or with the reason why it has none."""
    if file.patch is not None or file.additions or file.deletions:
        return _parsed(file, file.patch or "", file.additions, file.deletions)
    if file.sha == EMPTY_BLOB or file.status is Status.UNCHANGED or (old and old.blob == file.sha):
        return _without_hunks(file)
    if old or file.status in {Status.ADDED, Status.REMOVED}:
        return _without_hunks(file, binary=True)
    return _parsed(file, "")


async def _compare(file: ChangedFile, old: TreeFile | None, read: Read) -> FileDiff:
    """Compares the two versions of an entry whose patch GitHub omits as too large, if both are small enough."""
    if old is None and file.status is not Status.ADDED:
        return _listed(file, old)
    try:
        before = await read(old.blob) if old else b""
        after = b"" if file.status is Status.REMOVED else await read(file.sha or "")
    except (NotFound, TooLarge):
        return _listed(file, old)
    if is_binary(before) or is_binary(after):
        return _without_hunks(file, binary=True)
    made = await asyncio.to_thread(make_patch, before, after)
    return _parsed(file, made) if made else _listed(file, old)


def _parsed(file: ChangedFile, text: str, additions: int = 0, deletions: int = 0) -> FileDiff:
    return parse_patch(
        file.filename,
        file.status,
        text,
        previous_path=file.previous_filename,
        blob=file.blob,
        additions=additions,
        deletions=deletions,
    )


def _without_hunks(file: ChangedFile, *, binary: bool = False) -> FileDiff:
    return FileDiff(
        file.filename,
        file.status,
        previous_path=file.previous_filename,
        blob=file.blob,
        unread="binary" if binary else "",
        binary=binary,
    )


TOGETHER, FEWEST = 100, 25
"""Most files of a query, and the size at which a query that fails is not halved again."""
LIMIT = 24 * 1024 * 1024  # bytes of an answer
AT_ONCE = 4  # queries
_OBJECT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


async def read_together(client: GitHubClient, grant: Grant, shas: Sequence[str]) -> dict[str, bytes]:
    """Returns the contents, by object id, of those files that GitHub gave as whole texts; the others are left to the caller.

    GitHub gives no text of a binary file, cuts a long one, and may refuse or time out a large query, which is then
    halved. Raises HostLimited and OperatorTrouble.
    """
    gate = asyncio.Semaphore(AT_ONCE)

    async def read(batch: Sequence[str]) -> dict[str, bytes]:
        try:
            async with gate:
                return await _query(client, grant, batch)
        except (HostLimited, OperatorTrouble):
            raise
        except (Refused, Outage):
            half = len(batch) // 2
            halves = [batch[:half], batch[half:]] if half >= FEWEST else []
        return {sha: content for part in halves for sha, content in (await read(part)).items()}

    wanted = [sha for sha in shas if _OBJECT_ID.fullmatch(sha)]
    batches = [wanted[start : start + TOGETHER] for start in range(0, len(wanted), TOGETHER)]
    found = await asyncio.gather(*map(read, batches))
    return {sha: content for part in found for sha, content in part.items()}


async def _query(client: GitHubClient, grant: Grant, shas: Sequence[str]) -> dict[str, bytes]:
    owner, _, name = grant.repo.partition("/")
    data = await client.graphql(grant, _text(shas), {"owner": owner, "name": name}, limit=LIMIT)
    return await asyncio.to_thread(_proven, shas, data.get("repository"))


def _text(shas: Sequence[str]) -> str:
    """The query. The ids have only hexadecimal digits, and each has a name of its own in the answer."""
    objects = "".join(
        f'b{number}: object(oid: "{sha}") {{ ... on Blob {{ text }} }}\n' for number, sha in enumerate(shas)
    )
    return "query($owner: String!, $name: String!) { repository(owner: $owner, name: $name) {" + objects + "} }"


def _proven(shas: Sequence[str], answer: object) -> dict[str, bytes]:
    """The texts whose object id is the one that was asked for."""
    objects: Mapping[str, object] = answer if isinstance(answer, dict) else {}
    found = {}
    for number, sha in enumerate(shas):
        blob = objects.get(f"b{number}")
        text = blob.get("text") if isinstance(blob, dict) else None
        content = text.encode(errors="replace") if isinstance(text, str) else None
        if content is not None and blob_id(content, len(sha)) == sha:
            found[sha] = content
    return found
