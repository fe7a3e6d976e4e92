"""Reads pull requests on GitHub with a token that can only read one repository. publisher.py posts.

Read next: client.py (requests; the only user of githubkit), auth.py (tokens), refusals.py (errors).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from cachetools import Cache, LRUCache

from bot.core.code.diff import Diff
from bot.core.code.pull_request import Issue, Permission, PostedComment, PullRef, PullRequest
from bot.errors import AssistantError, Forbidden, HostLimited, NotFound, OperatorTrouble, Refused, TooLarge
from bot.hosts.clone import PartialClone
from bot.hosts.github.auth import READ, Grant
from bot.hosts.github.client import GitHubClient, repository
from bot.hosts.github.files import LISTED, complete, needs_base, read_together
from bot.hosts.github.payloads import (
    GHOST,
    AppAccount,
    ChangedFile,
    Collaborator,
    CommentAnswer,
    Commit,
    Comparison,
    IssueAnswer,
    LabelAnswer,
    PullAnswer,
    Reaction,
    RepositoryAnswer,
    ReviewAnswer,
    TreeAnswer,
)
from bot.hosts.github.threads import threads
from bot.interfaces import OrganisationStandards, Remote, TreeFile

V = TypeVar("V")
Key = tuple[int, str, str, str]

MEGABYTE = 1024 * 1024
ISSUE_COMMENTS = 20
LINK_MODE = "120000"
CLONES = 4
"""Copies of large changes that are kept on disk."""
AT_ONCE = 10
"""Files that are read one by one at the same time."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Listing:
    """A commit's files, and the object ids and sizes of its links."""

    files: tuple[TreeFile, ...]
    links: tuple[tuple[str, int], ...] = ()

    def sizes(self) -> Iterator[tuple[str, int]]:
        yield from ((file.blob, file.size) for file in self.files)
        yield from self.links


class GitHubHost:
    """The CodeHost of production.

    The content of a SHA never changes and is cached in memory, within bounds: `cached` bytes of files, and beside them some
    trees and diffs. A file over `largest` bytes is not read. A change of more than `listed` files is fetched with git.
    `defaults` (owner/name) holds the organisation's files, `library` (owner/name or owner/name@branch) its standards.
    """

    def __init__(
        self,
        client: GitHubClient,
        *,
        largest: int = MEGABYTE,
        cached: int = 32 * MEGABYTE,
        listed: int = 300,
        defaults: str = "",
        library: str = "",
    ) -> None:
        self._client = client
        self._defaults = defaults
        self._library = library
        self._largest = largest
        self._listed = listed
        self._blobs: Cache[Key, bytes] = LRUCache(cached, len)
        self._trees: Cache[Key, _Listing] = LRUCache(150_000, lambda listing: len(listing.files))
        self._clones: Cache[Key, PartialClone] = LRUCache(CLONES)
        self._diffs: Cache[Key, Diff] = LRUCache(60_000, _lines)

    async def pull_request(self, ref: PullRef) -> PullRequest:
        """Returns the current pull request."""
        answer = await self._client.get(_grant(ref), repository(ref.repo, "pulls", ref.number))
        pull = pull_request(ref, answer.read(PullAnswer))
        return replace(pull, url=self._client.page(pull.url))

    async def diff(self, pull: PullRequest) -> Diff:
        """Returns what changed since the merge base: of a large change by git, else by the files API."""
        key = _key(pull.ref, "diff", f"{pull.base_sha}...{pull.head_sha}")
        if (kept := self._diffs.get(key)) is not None:
            return kept
        fetched = await self._fetched(pull, key) if pull.changed_files > self._listed else None
        return _keep(self._diffs, key, fetched or await self._listed_diff(pull))

    async def _listed_diff(self, pull: PullRequest) -> Diff:
        """The diff of the files API; makes missing patches from the contents within bounds, else marks them."""
        address = repository(pull.ref.repo, "pulls", pull.ref.number, "files")
        files = await self._client.every(_grant(pull.ref), address, list[ChangedFile])
        base = await self._base(pull) if needs_base(files) else {}
        return await self._with_links(pull, await complete(files, base, partial(self.blob, pull.ref)))

    async def _fetched(self, pull: PullRequest, key: Key) -> Diff | None:
        """The diff of a large change and its files, fetched with git; None if that is not possible."""
        try:
            base = await self._merge_base(pull)
            listings = [await self._listing(pull.ref, commit) for commit in (base, pull.head_sha)]
            sizes = {sha: size for listing in listings for sha, size in listing.sizes()}
            clone = PartialClone(base, pull.head_sha, sizes, self._largest)
            diff = await clone.fetch(await self.remote(pull.ref))
        except (HostLimited, OperatorTrouble):
            raise
        except AssistantError as error:
            log.warning("git cannot fetch the change of %s, so its files are listed: %s", pull.ref, error)
            return None
        self._clones[key] = clone
        most = f"only the first {LISTED:,} files are read" if len(diff.files) > LISTED else ""
        return Diff(diff.files[:LISTED], most)

    async def tree(self, ref: PullRef, commit: str) -> tuple[TreeFile, ...]:
        """Every file at `commit`, links and submodules left out. Raises TooLarge if GitHub lists only a part."""
        return (await self._listing(ref, commit)).files

    async def _listing(self, ref: PullRef, commit: str) -> _Listing:
        key = _key(ref, "tree", commit)
        if (kept := self._trees.get(key)) is not None:
            return kept
        address = repository(ref.repo, "git", "trees", commit)
        answer = (await self._client.get(_grant(ref), address, {"recursive": 1})).read(TreeAnswer)
        if answer.truncated:
            raise TooLarge(f"the tree of {commit} is over 100,000 entries or 7 MB: GitHub lists only a part of it")
        blobs = [node for node in answer.tree if node.type == "blob"]
        files = tuple(TreeFile(node.path, node.sha, node.size) for node in blobs if node.mode != LINK_MODE)
        links = tuple((node.sha, node.size) for node in blobs if node.mode == LINK_MODE)
        return _keep(self._trees, key, _Listing(files, links))

    async def blob(self, ref: PullRef, sha: str) -> bytes:
        """A file's content by git object id. Raises TooLarge."""
        key = _key(ref, "blob", sha)
        if (kept := self._blobs.get(key)) is not None:
            return kept
        address = repository(ref.repo, "git", "blobs", sha)
        return _keep(self._blobs, key, await self._client.raw(_grant(ref), address, self._largest))

    async def blobs(self, ref: PullRef, shas: Collection[str]) -> Mapping[str, bytes | Refused]:
        """Several files' contents: from the cache, a copy that git fetched, few GraphQL queries, and what is left one by one."""
        found: dict[str, bytes | Refused] = {}

        def left() -> list[str]:
            return [sha for sha in dict.fromkeys(shas) if sha not in found]

        found |= {sha: kept for sha in left() if (kept := self._blobs.get(_key(ref, "blob", sha))) is not None}
        for key, clone in list(self._clones.items()):
            if key[:2] == _key(ref, "", "")[:2]:
                found |= await clone.blobs(left())
        if len(left()) > 1:
            together = await read_together(self._client, _grant(ref), left())
            found |= {sha: _keep(self._blobs, _key(ref, "blob", sha), content) for sha, content in together.items()}
        gate = asyncio.Semaphore(AT_ONCE)

        async def read(sha: str) -> bytes | Refused:
            async with gate:
                try:
                    return await self.blob(ref, sha)
                except Refused as error:
                    return error

        rest = left()
        return found | dict(zip(rest, await asyncio.gather(*map(read, rest)), strict=True))

    async def issue(self, ref: PullRef, number: int) -> Issue:
        """Returns an issue with its first comments. A pull request is an issue too, and its state says so."""
        address = repository(ref.repo, "issues", number)
        found = (await self._client.get(_grant(ref), address)).read(IssueAnswer)
        comments: list[CommentAnswer] = []
        if found.comments:
            address = repository(ref.repo, "issues", number, "comments")
            answer = await self._client.get(_grant(ref), address, {"per_page": ISSUE_COMMENTS})
            comments = answer.read(list[CommentAnswer])[:ISSUE_COMMENTS]
        return Issue(
            repo=ref.repo,
            number=found.number,
            title=found.title,
            body=found.body or "",
            state=f"{found.state} pull request" if found.pull_request else found.state,
            author=(found.user or GHOST).login,
            labels=tuple(label.name if isinstance(label, LabelAnswer) else label for label in found.labels),
            comments=tuple(f"{(comment.user or GHOST).login}: {comment.body or ''}" for comment in comments),
        )

    async def remote(self, ref: PullRef) -> Remote:
        """Returns the URL and a read-only credential with which git fetches the repository."""
        return await self._client.remote(_grant(ref))

    async def permission(self, ref: PullRef, login: str) -> Permission:
        """Returns the permission of `login`, by the exact role if that is standard. Raises Forbidden for unknown names."""
        address = repository(ref.repo, "collaborators", login, "permission")
        found = (await self._client.get(_grant(ref), address)).read(Collaborator)
        for name in (found.role_name, found.permission):
            with suppress(KeyError):
                return Permission[name.upper()]
        raise Forbidden(f"GitHub names a permission that is not known: {found.permission!r}")

    async def is_us(self, login: str, app: int) -> bool:
        """Whether this is our App, by its slug or its id."""
        us = await self._client.app()
        return login == f"{us.slug}[bot]" or app == us.id

    async def organisation_file(self, ref: PullRef, path: str) -> bytes:
        """Reads the default branch. A token belongs to one owner, so other owners' repositories have no defaults."""
        if not self._defaults or _owner(self._defaults) != _owner(ref.repo):
            raise NotFound(f"no defaults were named for {ref.repo}")
        where = PullRef(self._defaults, 0, installation=ref.installation)
        return await self._client.raw(
            _grant(where), repository(where.repo, "contents", *path.split("/")), self._largest
        )

    async def library(self, ref: PullRef) -> OrganisationStandards | None:
        """Returns the tip of the named branch or of the default branch, for repositories of the same owner."""
        name, _, branch = self._library.partition("@")
        if not name or _owner(name) != _owner(ref.repo) or name.lower() == ref.repo.lower():
            return None
        where = PullRef(name, 0, installation=ref.installation)
        about = (await self._client.get(_grant(where), repository(name))).read(RepositoryAnswer)
        segments = (branch or about.default_branch).split("/")
        tip = await self._client.get(_grant(where), repository(name, "commits", *segments), {"per_page": 1})
        return OrganisationStandards(where, tip.read(Commit).sha, about.private)

    async def comments(self, pull: PullRef) -> tuple[PostedComment, ...]:
        """Submitted reviews, comments on the diff and in the conversation, oldest first."""
        us, grant = await self._client.app(), _grant(pull)
        on_pull, on_issue = ((pull.repo, kind, pull.number) for kind in ("pulls", "issues"))
        reviews = await self._client.every(grant, repository(*on_pull, "reviews"), list[ReviewAnswer])
        inline = await self._client.every(grant, repository(*on_pull, "comments"), list[CommentAnswer])
        comments = await self._client.every(grant, repository(*on_issue, "comments"), list[CommentAnswer])
        dated = [(review.submitted_at, _review(review, us)) for review in reviews if review.submitted_at]
        dated += [(comment.created_at, _comment("inline", comment, us)) for comment in inline]
        dated += [(comment.created_at, _comment("comment", comment, us)) for comment in comments]
        ordered = [posted for _, posted in sorted(dated, key=lambda pair: (pair[0], pair[1].id))]
        return tuple(replace(posted, url=self._client.page(posted.url)) for posted in ordered)

    async def thumbs_down(self, ref: PullRef, comment: int) -> tuple[str, ...]:
        """Returns the people who reacted to an inline comment with a thumbs down."""
        address = repository(ref.repo, "pulls", "comments", comment, "reactions")
        given = await self._client.every(_grant(ref), address, list[Reaction], {"content": "-1"})
        return tuple(
            reaction.user.login
            for reaction in given
            if reaction.content == "-1" and reaction.user and not reaction.user.is_bot
        )

    async def resolved(self, ref: PullRef) -> Mapping[int, str]:
        """The threads that people resolved: who, by the id of the comment that opened it."""
        return {
            thread.comments.nodes[0].id: thread.by.login
            async for thread in threads(self._client, _grant(ref), ref)
            if thread.resolved and thread.by and thread.by.kind == "User" and thread.comments.nodes
        }

    async def _with_links(self, pull: PullRequest, diff: Diff) -> Diff:
        """Marks the symbolic links: the files API has no modes, so the head's tree is asked about files that may be one."""
        if not any(file.may_be_link for file in diff):
            return diff
        try:
            paths = {entry.path for entry in await self.tree(pull.ref, pull.head_sha)}
        except (NotFound, TooLarge):
            return diff  # read as text: a link's target does no harm
        files = (replace(file, link=file.may_be_link and file.path not in paths) for file in diff)
        return replace(diff, files=tuple(files))

    async def _base(self, pull: PullRequest) -> dict[str, TreeFile]:
        """Returns the files at the merge base by path; none if GitHub cannot list them."""
        try:
            entries = await self.tree(pull.ref, await self._merge_base(pull))
        except (NotFound, TooLarge):
            return {}
        return {entry.path: entry for entry in entries}

    async def _merge_base(self, pull: PullRequest) -> str:
        address = repository(pull.ref.repo, "compare", f"{pull.base_sha}...{pull.head_sha}")
        answer = await self._client.get(_grant(pull.ref), address, {"per_page": 1, "page": 2})  # 1 has the files
        return answer.read(Comparison).merge_base_commit.sha


def pull_request(ref: PullRef, pull: PullAnswer) -> PullRequest:
    """Converts GitHub's answer to a PullRequest."""
    author = pull.user or GHOST
    home = pull.base.repo
    return PullRequest(
        ref=ref,
        title=pull.title,
        body=pull.body or "",
        author=author.login,
        base_ref=pull.base.ref,
        base_sha=pull.base.sha,
        head_sha=pull.head.sha,
        author_id=author.id,
        author_association=pull.author_association,
        author_is_bot=author.is_bot,
        head_repo=pull.head.repo.full_name if pull.head.repo else None,
        private=home.private if home else True,
        draft=pull.draft,
        closed=pull.state != "open",
        merged=pull.merged,
        locked=pull.locked,
        archived=home.archived if home else False,
        labels=tuple(label.name for label in pull.labels),
        url=pull.html_url,
        review_comments=pull.review_comments,
        changed_files=pull.changed_files,
    )


def _review(review: ReviewAnswer, us: AppAccount) -> PostedComment:
    author = review.user or GHOST
    return PostedComment(
        id=review.id,
        kind="review",
        author_id=author.id,
        author=author.login,
        body=review.body or "",
        by_us=us.is_author(review.user),
        by_bot=author.is_bot,
        commit=review.commit_id or "",
        url=review.html_url,
        state=review.state,
        written=_utc(review.submitted_at),
    )


def _comment(kind: str, comment: CommentAnswer, us: AppAccount) -> PostedComment:
    author = comment.user or GHOST
    return PostedComment(
        id=comment.id,
        kind=kind,
        author_id=author.id,
        author=author.login,
        body=comment.body or "",
        by_us=us.is_author(comment.user, comment.performed_via_github_app),
        by_bot=author.is_bot,
        path=comment.path,
        line=comment.line,
        side=comment.side,
        commit=comment.commit_id,
        in_reply_to=comment.in_reply_to_id,
        written=_utc(comment.created_at),
        url=comment.html_url,
        thumbs_down=comment.reactions.thumbs_down,
    )


def _owner(repo: str) -> str:
    return repo.partition("/")[0].lower()


def _grant(ref: PullRef) -> Grant:
    return Grant.of(ref, READ)


def _key(ref: PullRef, kind: str, name: str) -> Key:
    """Returns a cache key that repositories never share: a reader of one may not read the other."""
    return (ref.installation, str(ref.repo_id or ref.repo), kind, name)


def _keep(cache: Cache[Key, V], key: Key, value: V) -> V:
    with suppress(ValueError):  # larger than the whole cache
        cache[key] = value
    return value


def _lines(diff: Diff) -> int:
    return sum(len(hunk.lines) for file in diff for hunk in file.hunks)


def _utc(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat() if moment else ""
