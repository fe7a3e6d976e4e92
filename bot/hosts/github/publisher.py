"""Posts on GitHub, each thing once, with a token that can write to one repository.

After a doubtful answer it reads what exists. A create-review call is all or nothing, does not name the comment that it
refuses, and may have succeeded although it answered 502.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from cachetools import LRUCache

from bot.core.code.pull_request import PullRef, PullRequest
from bot.core.comments.marker import is_review
from bot.core.comments.post import CheckRun, ReviewPost
from bot.errors import NotFound, RateLimited, Refused, Retryable, Superseded, Unprocessable
from bot.hosts.github.auth import WRITE, Grant
from bot.hosts.github.bodies import (
    ANNOTATIONS,
    BODY,
    as_text,
    bounded,
    check_run,
    fit,
    review,
    with_comments_in_body,
    without_failure,
)
from bot.hosts.github.client import GitHubClient, GitHubWriter, repository
from bot.hosts.github.host import pull_request
from bot.hosts.github.payloads import CheckRunAnswer, CheckRuns, CommentAnswer, PullAnswer, ReviewAnswer
from bot.hosts.github.threads import resolve
from bot.job import Job

log = logging.getLogger(__name__)


class GitHubPublisher:
    """The Publisher of production. `name` is what people see in the list of checks, `pages` the address of our own pages."""

    def __init__(self, client: GitHubClient, *, name: str = "review-assistant", pages: str = "") -> None:
        self._client, self._pages = client, pages.rstrip("/")
        self._name = name
        self._runs: LRUCache[str, tuple[int, int]] = LRUCache(1024)  # key -> id, annotations it has

    async def review(self, pull: PullRequest, post: ReviewPost) -> str:
        """Posts one review, which is one notification: its body also has what hangs on whole files. Returns its URL.

        Raises Superseded, with nothing posted, if the pull request is not what was reviewed any more.
        """
        post = bounded(post)
        async with self._client.turn(_grant(pull.ref)) as write:
            ours = await self._reviews(pull.ref)
            posted, whole = _carrying(post.key, ours), False
            if posted is None:
                await self._discard_pending(pull.ref, ours, write)
                await self._fresh(pull, post.commit)
                posted, whole = await self._post(pull.ref, post, write)
            await self._complete(pull.ref, post, posted, write, whole=whole)
        return posted.html_url

    async def lift(self, pull: PullRequest, words: str) -> None:
        """Makes our failed check runs of the head neutral, and dismisses our reviews that request changes.

        https://docs.github.com/en/rest/pulls/reviews#dismiss-a-review-for-a-pull-request
        """
        async with self._client.turn(_grant(pull.ref)) as write:
            async for run in self._runs_of(pull):
                if run.conclusion == "failure":
                    address = repository(pull.ref.repo, "check-runs", run.id)
                    await write("PATCH", address, without_failure(run.output, words))
            for posted in await self._reviews(pull.ref):
                if posted.requests_changes and is_review(posted.body or ""):
                    address = _address(pull.ref, "pulls", "reviews", posted.id, "dismissals")
                    await write("PUT", address, {"message": words, "event": "DISMISS"})

    async def check(self, pull: PullRequest, run: CheckRun) -> int:
        """Creates or updates the check run with the external id `run.key`; returns its id."""
        number, sent = self._runs.pop(run.key, (0, 0))
        async with self._client.turn(_grant(pull.ref)) as write:
            if not number:
                number, sent = await self._run(pull, run.key)
            for start in range(sent, max(sent + 1, len(run.annotations)), ANNOTATIONS):
                number = await self._update_run(pull, number, check_run(run, start, self._pages), write)
        self._runs[run.key] = (number, max(sent, len(run.annotations)))
        return number

    async def reply(self, job: Job, body: str, key: str, *, courtesy: bool = False) -> str:
        """Replies in the thread of the question, or in the conversation if that thread does not exist."""
        text = fit(body, BODY, key)
        async with self._client.turn(_grant(job.pull), courtesy=courtesy) as write:
            if job.thread == "inline":
                comments = _address(job.pull, "pulls", "comments")
                first = job.in_reply_to or job.comment  # the only comment of a thread that takes replies
                replies = _address(job.pull, "pulls", "comments", first, "replies")
                with suppress(NotFound):
                    return await self._say(job.pull, comments, replies, text, key, write)
            return await self._say_aside(job.pull, text, key, write)

    async def keep(self, pull: PullRef, body: str, key: str) -> str:
        """Our comment with `key`: edited if its words differ, created if there is none."""
        text = fit(body, BODY, key)
        async with self._client.turn(_grant(pull)) as write:
            found = await self._comment(pull, _address(pull, "issues", "comments"), key)
            if found is None:
                return await self._say_aside(pull, text, key, write)
            if _normal(found.body) != _normal(text):
                await write("PATCH", repository(pull.repo, "issues", "comments", found.id), {"body": text})
        return found.html_url

    async def edit(self, pull: PullRef, comment: int, body: str) -> None:
        """Replaces the text of an inline comment of ours; ignores a deleted comment."""
        with suppress(NotFound):
            address = repository(pull.repo, "pulls", "comments", comment)
            await self._client.write(_grant(pull), "PATCH", address, {"body": fit(body, BODY)})

    async def answer(self, pull: PullRef, comment: int, body: str, key: str) -> None:
        """Replies in a thread; ignores a deleted thread."""
        comments, replies = (_address(pull, "pulls", "comments", *segments) for segments in ((), (comment, "replies")))
        async with self._client.turn(_grant(pull)) as write:
            with suppress(NotFound):
                await self._say(pull, comments, replies, fit(body, BODY, key), key, write)

    async def resolve(self, pull: PullRef, comment: int) -> bool:
        """Resolve a thread, with a token that may: https://docs.github.com/en/graphql/reference/mutations"""
        try:
            return await resolve(self._client, pull, comment)
        except Refused as refused:
            log.warning("%s: the thread of comment %d stays open: %s", pull, comment, refused)
            return False

    async def react(self, job: Job, reaction: str) -> None:
        """A reaction to the job's comment, of which GitHub keeps one of each kind. Reviews cannot have any."""
        kind = {"comment": "issues", "inline": "pulls"}.get(job.thread)
        if kind is not None:
            address = repository(job.pull.repo, kind, "comments", job.comment, "reactions")
            with suppress(NotFound):  # the comment was deleted
                await self._client.write(_grant(job.pull), "POST", address, {"content": reaction})

    async def unlabel(self, pull: PullRef, label: str) -> None:
        """Removes a label; ignores a missing one."""
        with suppress(NotFound):
            await self._client.write(_grant(pull), "DELETE", _address(pull, "issues", "labels", label))

    async def _reviews(self, ref: PullRef) -> list[ReviewAnswer]:
        """Returns our own reviews, also a pending one."""
        us = await self._client.app()
        reviews = await self._client.every(_grant(ref), _address(ref, "pulls", "reviews"), list[ReviewAnswer])
        return [posted for posted in reviews if us.is_author(posted.user)]

    async def _discard_pending(self, ref: PullRef, ours: Sequence[ReviewAnswer], write: GitHubWriter) -> None:
        """Deletes our pending review, which would block every other one."""
        for leftover in (posted for posted in ours if posted.pending):
            with suppress(NotFound):
                await write("DELETE", _address(ref, "pulls", "reviews", leftover.id))

    async def _fresh(self, reviewed: PullRequest, commit: str) -> None:
        """Raises Superseded if the pull request changed since the review."""
        ref = reviewed.ref
        now = pull_request(ref, (await self._client.get(_grant(ref), _address(ref, "pulls"))).read(PullAnswer))
        changes = {
            "it was merged": now.merged,
            "it was closed": now.closed,
            "it became a draft": now.draft and not reviewed.draft,
            "its repository became public": reviewed.private and not now.private,
            f"its head is {now.head_sha} now": now.head_sha != commit,
        }
        if reasons := [reason for reason, true in changes.items() if true]:
            raise Superseded(f"{ref}: {', '.join(reasons)}")

    async def _post(self, ref: PullRef, post: ReviewPost, write: GitHubWriter) -> tuple[ReviewAnswer, bool]:
        """The review, and whether all of it is certain to be there.

        No value says what GitHub refuses. If it is the request for changes, as on our own pull request, the review makes none; if it is an inline
        comment, the review's body has all of them.
        """
        *others, last = _forms(post)
        for form in others:
            try:
                return await self._create(ref, form, write)
            except Unprocessable as refused:
                if (found := _carrying(post.key, await self._reviews(ref))) is not None:
                    return found, False
                what = "a request for changes" if form.requests_changes else "a review"
                log.warning("%s: GitHub refused %s with %d comments: %s", ref, what, len(form.comments), refused)
        return await self._create(ref, last, write)

    async def _create(self, ref: PullRef, post: ReviewPost, write: GitHubWriter) -> tuple[ReviewAnswer, bool]:
        try:
            answer = await write("POST", _address(ref, "pulls", "reviews"), review(post))
            return answer.read(ReviewAnswer), True
        except RateLimited:
            raise
        except Retryable:
            if (found := _carrying(post.key, await self._reviews(ref))) is not None:
                return found, False
            raise

    async def _complete(
        self, ref: PullRef, post: ReviewPost, posted: ReviewAnswer, write: GitHubWriter, *, whole: bool
    ) -> None:
        """Posts, in one comment, the comments of the review that GitHub lost."""
        if whole or not post.comments:
            return
        us = await self._client.app()
        comments = await self._client.every(_grant(ref), _address(ref, "pulls", "comments"), list[CommentAnswer])
        existing = {(found.path, _normal(found.body)) for found in comments if us.is_author(found.user)}
        lost = [
            comment
            for comment in post.comments
            if (comment.path, _normal(comment.body)) not in existing and comment.body not in (posted.body or "")
        ]
        if lost:
            await self._say_aside(ref, fit(as_text(lost), BODY, post.key), post.key, write)

    async def _say_aside(self, ref: PullRef, text: str, key: str, write: GitHubWriter) -> str:
        conversation = _address(ref, "issues", "comments")
        return await self._say(ref, conversation, conversation, text, key, write)

    async def _say(self, ref: PullRef, where: str, address: str, text: str, key: str, write: GitHubWriter) -> str:
        """Post a comment at `address` unless the list at `where` has one of ours with `key`; its page."""
        if (found := await self._comment(ref, where, key)) is not None:
            return found.html_url
        try:
            answer = await write("POST", address, {"body": text})
            return answer.read(CommentAnswer).html_url
        except RateLimited:
            raise
        except Retryable:
            if (found := await self._comment(ref, where, key)) is not None:
                return found.html_url
            raise

    async def _comment(self, ref: PullRef, where: str, key: str) -> CommentAnswer | None:
        us = await self._client.app()
        comments = await self._client.every(_grant(ref), where, list[CommentAnswer])
        ours = (found for found in comments if us.is_author(found.user, found.performed_via_github_app))
        return next((found for found in ours if key in (found.body or "")), None)

    async def _run(self, pull: PullRequest, key: str) -> tuple[int, int]:
        """Our check run of that key at the head: its id, 0 for none, and how many annotations it has.

        An unfinished run of an older version, whose key names no job, is taken over.
        """
        async for run in self._runs_of(pull):
            unfinished = run.status != "completed"
            if run.external_id == key or (unfinished and run.external_id == key.rpartition("/")[0]):
                return run.id, run.output.annotations_count
        return 0, 0

    async def _runs_of(self, pull: PullRequest) -> AsyncIterator[CheckRunAnswer]:
        """Our check runs at the head."""
        us = await self._client.app()
        address = repository(pull.ref.repo, "commits", pull.head_sha, "check-runs")
        mine: dict[str, str | int] = {"app_id": us.id, "check_name": self._name, "filter": "all"}
        async for page in self._client.pages(_grant(pull.ref), address, mine):
            for run in page.read(CheckRuns).check_runs:
                yield run

    async def _update_run(self, pull: PullRequest, number: int, body: dict[str, Any], write: GitHubWriter) -> int:
        """Changes the check run, or creates it; returns its id."""
        if number:
            await write("PATCH", repository(pull.ref.repo, "check-runs", number), body)
            return number
        named = {"name": self._name, "head_sha": pull.head_sha, **body}
        answer = await write("POST", repository(pull.ref.repo, "check-runs"), named)
        return answer.read(CheckRunAnswer).id


def _forms(post: ReviewPost) -> list[ReviewPost]:
    """The forms in which a review is tried, the wanted one first."""
    texts = [post, with_comments_in_body(post, post.comments)] if post.comments else [post]
    wishes = [True, False] if post.requests_changes else [False]
    return [replace(text, requests_changes=wish) for text in texts for wish in wishes]


def _carrying(key: str, ours: Sequence[ReviewAnswer]) -> ReviewAnswer | None:
    return next((posted for posted in ours if not posted.pending and key in (posted.body or "")), None)


def _normal(body: str | None) -> str:
    return (body or "").replace("\r\n", "\n").strip()


def _address(ref: PullRef, kind: str, *segments: str | int) -> str:
    """An address below the pull request, which GitHub keeps among its pulls and its issues."""
    return repository(ref.repo, kind, ref.number, *segments)


def _grant(ref: PullRef) -> Grant:
    return Grant.of(ref, WRITE)
