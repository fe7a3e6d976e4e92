"""Delivery -> Job | Skip: the one decision of the front door."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from bot.core.code.pull_request import PullRef, PullRequest
from bot.core.command import LONGEST, Command, ReviewScope, Verb, asked_for, first_line
from bot.webhook import (
    EVENTS,
    CheckRunEvent,
    Delivery,
    EventAccount,
    EventComment,
    EventPull,
    EventThread,
    MergeGroup,
    Payload,
)


class Trigger(StrEnum):
    """Why there is work."""

    OPENED = "opened"
    PUSHED = "pushed"
    READY = "ready"
    LABEL = "label"
    UNLABEL = "unlabel"
    COMMAND = "command"
    REPLY = "reply"
    RERUN = "rerun"
    RECOVERED = "recovered"
    MERGE_GROUP = "merge_group"
    CLOSED = "closed"
    MERGED = "merged"
    RESOLVED = "resolved"
    UNRESOLVED = "unresolved"


@dataclass(frozen=True, slots=True)
class Job:
    """Work we owe for one pull request. `id` names the delivery it came from: the same one never makes two jobs.

    `head_sha` is the head the delivery spoke of, empty when it named none (comments). `text` is the command as it was
    written (or a reply's words), `comment` the id of the comment it stands in and `thread` that comment's kind
    ("comment", "inline", "review"). `actor` is the sender: the person whose permission counts, or a bot, which may act
    for the App `actor_app`. `seen` is the pull request as the router saw it: what is reviewed is that head, with the
    words it had then.
    """

    id: str
    pull: PullRef
    trigger: Trigger
    head_sha: str = ""
    actor: str = ""
    actor_id: int = 0
    actor_is_bot: bool = False
    actor_app: int = 0
    actor_association: str = "NONE"
    text: str = ""
    comment: int = 0
    thread: str = ""
    in_reply_to: int = 0
    seen: PullRequest | None = None

    @property
    def is_question(self) -> bool:
        """Whether somebody waits for words, and not for a review."""
        return self.trigger is Trigger.REPLY or (self.trigger is Trigger.COMMAND and asked_for(self.text) is None)

    @property
    def scope(self) -> Command:
        """What kind of review this asks for: a command's, or everything where a label or the button was used."""
        if self.trigger is Trigger.COMMAND:
            return asked_for(self.text) or Command(Verb.REVIEW)
        everything = self.trigger is Trigger.LABEL or (self.trigger is Trigger.RERUN and self.text == ReviewScope.FULL)
        return Command(Verb.REVIEW, scope=ReviewScope.FULL if everything else ReviewScope.CHANGES)

    @property
    def is_wish(self) -> bool:
        """Whether a person asked for this review: that does not end with the head they saw."""
        return self.trigger in {Trigger.LABEL, Trigger.COMMAND, Trigger.RERUN}

    def covers(self, other: Job) -> bool:
        """Whether a review for this job looks at all that one for `other` would."""
        return self.scope.scope is ReviewScope.FULL or self.scope == other.scope

    @property
    def widened(self) -> Job:
        """The same wish, for everything."""
        return replace(
            self, text=ReviewScope.FULL if self.trigger is Trigger.RERUN else f"/assistant review {ReviewScope.FULL}"
        )


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing to do for this delivery, and why."""

    reason: str


class Route(StrEnum):
    """Where a job goes once the world was asked."""

    NOTHING = "nothing"
    REVIEW = "review"
    ANSWER = "answer"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Routed:
    """What to do with a job: review `head`, answer, stop running work on the pull request, or nothing, and why.

    A head that is being reviewed or was reviewed is not reviewed again unless `forced`. `visible` says that the reason
    belongs on the pull request, for a person who waits for a review. `settle` says that once the work is stopped the job
    is handed to `answer`, to write down how it ended. `seen` goes on to the work, as `Job.seen`.
    """

    route: Route
    head: str = ""
    forced: bool = False
    reason: str = ""
    visible: bool = False
    settle: bool = False
    seen: PullRequest | None = None


_REVIEWS = {
    "opened": Trigger.OPENED,
    "reopened": Trigger.OPENED,
    "ready_for_review": Trigger.READY,
    "synchronize": Trigger.PUSHED,
    "labeled": Trigger.LABEL,
    "unlabeled": Trigger.UNLABEL,
    "closed": Trigger.CLOSED,
    "converted_to_draft": Trigger.CLOSED,
}
_OWN_CHECK = re.compile(r"review/(\d+)/(\d+)/")
_QUEUED = re.compile(r"gh-readonly-queue/.*/pr-(\d+)-")


def decide(delivery: Delivery) -> Job | Skip:
    """Whether a delivery is work, from the delivery alone. Whether its sender may ask is decided by the router."""
    payload, where = delivery.payload, f"{delivery.event}.{delivery.payload.action}".rstrip(".")
    if delivery.event == "ping":
        return Skip("ping: the webhook works")
    if delivery.event not in EVENTS:
        return Skip(f"no use for the event {delivery.event}")
    if payload.installation is None or payload.repository is None:
        return Skip("not sent for an installation on a repository")
    work = _work(delivery)
    if work is None:
        return Skip(f"no use for {where}")
    if isinstance(work, Skip):
        return work
    ref = PullRef(payload.repository.full_name, work.number, payload.repository.id, payload.installation.id)
    sender = payload.sender or EventAccount(login="")
    return Job(
        id=delivery.id,
        pull=ref,
        trigger=work.trigger,
        head_sha=work.head,
        actor=sender.login,
        actor_id=sender.id,
        actor_is_bot=sender.type == "Bot",
        actor_app=work.app,
        actor_association=work.association,
        text=work.text,
        comment=work.comment,
        thread=work.thread,
        in_reply_to=work.in_reply_to,
    )


@dataclass(frozen=True, slots=True)
class _Work:
    """The part of a job that depends on the event."""

    trigger: Trigger
    number: int
    head: str = ""
    text: str = ""
    comment: int = 0
    thread: str = ""
    in_reply_to: int = 0
    association: str = "NONE"
    app: int = 0


def _work(delivery: Delivery) -> _Work | Skip | None:
    payload = delivery.payload
    match delivery.event:
        case "pull_request" if payload.pull_request:
            return _pull(payload, payload.pull_request)
        case "check_run" if payload.check_run and payload.action in {"rerequested", "requested_action"}:
            return _check(payload, payload.check_run)
        case "pull_request_review_thread" if payload.pull_request and payload.thread:
            return _thread(payload, payload.thread, payload.pull_request.number)
        case "merge_group" if payload.merge_group and payload.action == "checks_requested":
            return _merge_group(payload.merge_group)
    return _said(delivery.event, payload)


def _said(event: str, payload: Payload) -> _Work | Skip | None:
    """What people say, in the three places where they can."""
    match event:
        case "issue_comment" if payload.issue and payload.comment:
            if payload.issue.pull_request is None:
                return Skip("a comment on an issue, not on a pull request")
            return _comment(payload, payload.comment, payload.issue.number, "comment")
        case "pull_request_review_comment" if payload.pull_request and payload.comment:
            return _comment(payload, payload.comment, payload.pull_request.number, "inline")
        case "pull_request_review" if payload.pull_request and payload.review and payload.action == "submitted":
            review = payload.review
            comment = EventComment(
                id=review.id, body=review.body, user=review.user, author_association=review.author_association
            )
            return _comment(payload, comment, payload.pull_request.number, "review")
    return None


def _pull(payload: Payload, pull: EventPull) -> _Work | None:
    trigger = _REVIEWS.get(payload.action)
    if payload.action == "edited" and payload.changes and payload.changes.base:
        trigger = Trigger.PUSHED  # another base branch is another diff
    if trigger is Trigger.CLOSED and pull.merged:
        trigger = Trigger.MERGED
    if trigger is None:
        return None
    return _Work(trigger, pull.number, pull.head.sha, text=payload.label.name if payload.label else "")


def _comment(payload: Payload, comment: EventComment, number: int, thread: str) -> _Work | Skip | None:
    if payload.action not in {"created", "edited", "submitted"}:
        return None
    body = comment.body or ""
    line = first_line(body)
    if line is None:
        return _reply(payload, comment, number, thread)
    if payload.action == "edited":
        before = payload.changes.body.get("from") if payload.changes and payload.changes.body else None
        by_author = comment.user is not None and payload.sender is not None and comment.user.id == payload.sender.id
        if not isinstance(before, str) or not by_author or first_line(before) == line:
            return Skip("an edit that brings no new command of its author")
    return _Work(
        Trigger.COMMAND,
        number,
        text=line,
        comment=comment.id,
        thread=thread,
        in_reply_to=comment.in_reply_to_id or 0,
        association=comment.author_association,
        app=comment.performed_via_github_app.id if comment.performed_via_github_app else 0,
    )


def _reply(payload: Payload, comment: EventComment, number: int, thread: str) -> _Work | Skip:
    """Words in a thread without a command. Whether the thread is one of ours, the router finds out."""
    if payload.action != "created" or not comment.in_reply_to_id or not (comment.body or "").strip():
        return Skip("no command on the first line")
    if payload.sender is None or payload.sender.type == "Bot":
        return Skip("a bot's reply: bots are answered when they command")
    return _Work(
        Trigger.REPLY,
        number,
        text=(comment.body or "")[:LONGEST],
        comment=comment.id,
        thread=thread,
        in_reply_to=comment.in_reply_to_id,
        association=comment.author_association,
    )


def _thread(payload: Payload, thread: EventThread, number: int) -> _Work | Skip | None:
    if payload.action not in {"resolved", "unresolved"} or not thread.comments:
        return None
    if payload.sender is None or payload.sender.type == "Bot":
        return Skip("a bot's word on a thread is no judgement of ours")
    return _Work(Trigger(payload.action), number, comment=thread.comments[0].id)


def _merge_group(group: MergeGroup) -> _Work:
    named = _QUEUED.search(group.head_ref)
    return _Work(Trigger.MERGE_GROUP, int(named[1]) if named else 0, group.head_sha)


def _check(payload: Payload, run: CheckRunEvent) -> _Work | Skip:
    ours = _OWN_CHECK.match(run.external_id or "")
    if ours is None or payload.repository is None or int(ours[1]) != payload.repository.id:
        return Skip("not a check run of ours")
    text = payload.requested_action.identifier if payload.requested_action else ""
    return _Work(Trigger.RERUN, int(ours[2]), run.head_sha, text=text)
