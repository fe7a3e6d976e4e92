"""Delivery -> Job | Skip: the decision of the webhook, made from the delivery alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from bot.core.code.pull_request import PullRef, PullRequest
from bot.core.command import LONGEST, Command, ReviewScope, Verb, first_line, requested_review
from bot.webhook import (
    EVENTS,
    CheckRunEvent,
    CheckSuiteEvent,
    Delivery,
    EventAccount,
    EventComment,
    EventPull,
    EventThread,
    MergeGroup,
    Payload,
)

REPEATED = "repeated"
"""The text of a job that repeats the review of a head, because the first lacked its model or reports."""


class Trigger(StrEnum):
    """The event that caused a job."""

    OPENED = "opened"
    PUSHED = "pushed"
    RETARGETED = "retargeted"
    READY = "ready"
    LABEL = "label"
    UNLABEL = "unlabel"
    COMMAND = "command"
    REPLY = "reply"
    RERUN = "rerun"
    RECOVERED = "recovered"
    SET_UP = "set_up"
    CHECKS_ENDED = "checks_ended"
    MERGE_GROUP = "merge_group"
    CLOSED = "closed"
    MERGED = "merged"
    RESOLVED = "resolved"
    UNRESOLVED = "unresolved"


@dataclass(frozen=True, slots=True)
class Job:
    """Work for one pull request. `id` is the delivery's, so that the same delivery never makes two jobs.

    `head_sha` is the head that the delivery names; comments name none. `text` is the command as it was written (or the
    text of a reply), `comment` the id of its comment and `thread` that comment's kind ("comment", "inline", "review").
    `actor` is the sender: the person whose permission counts, or a bot, which may act for the App `actor_app`. `seen` is
    the pull request as the router read it: the review uses that head, title and body. `digest` is the SHA-256 of the
    delivery's body; empty for a job that no delivery made. `received` is when the engine took it, in seconds since 1970.
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
    digest: str = ""
    received: float = 0.0

    @property
    def is_question(self) -> bool:
        """Whether a person waits for an answer, not for a review."""
        return self.trigger is Trigger.REPLY or (
            self.trigger is Trigger.COMMAND and requested_review(self.text) is None
        )

    @property
    def scope(self) -> Command:
        """The review that the job asks for: a command's scope; everything for the label and for the button."""
        if self.trigger is Trigger.COMMAND:
            return requested_review(self.text) or Command(Verb.REVIEW)
        is_full = self.trigger is Trigger.LABEL or (self.trigger is Trigger.RERUN and self.text == ReviewScope.FULL)
        return Command(Verb.REVIEW, scope=ReviewScope.FULL if is_full else ReviewScope.CHANGES)

    @property
    def is_requested(self) -> bool:
        """Whether a person asked for this review. Such a request stays valid when the head moves."""
        return self.trigger in {Trigger.LABEL, Trigger.COMMAND, Trigger.RERUN}

    @property
    def is_repetition(self) -> bool:
        """Whether the job repeats a review of exactly its head."""
        return self.trigger is Trigger.CHECKS_ENDED or (self.trigger is Trigger.RECOVERED and self.text == REPEATED)

    @property
    def owes_review(self) -> bool:
        """Whether the event may lead to a review, so that its failure belongs on a check run."""
        return self.is_requested or self.trigger in {
            Trigger.OPENED,
            Trigger.PUSHED,
            Trigger.RETARGETED,
            Trigger.READY,
            Trigger.RECOVERED,
            Trigger.SET_UP,
            Trigger.CHECKS_ENDED,
        }

    def covers(self, other: Job) -> bool:
        """Whether a review for this job reads everything that a review for `other` reads."""
        return self.scope.scope is ReviewScope.FULL or self.scope == other.scope

    @property
    def as_full_review(self) -> Job:
        """The same request for a full review."""
        return replace(
            self, text=ReviewScope.FULL if self.trigger is Trigger.RERUN else f"/assistant review {ReviewScope.FULL}"
        )


@dataclass(frozen=True, slots=True)
class Skip:
    """The reason why a delivery makes no job."""

    reason: str


class Route(StrEnum):
    """Where a job goes, after GitHub was asked."""

    NOTHING = "nothing"
    REVIEW = "review"
    ANSWER = "answer"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class RouteDecision:
    """What to do with a job: review `head`, answer, stop the work on the pull request, or nothing; `reason` says why.

    A head that is being reviewed or was reviewed is not reviewed again unless `forced`. `visible` says that the reason
    is posted on the pull request, for a person who waits for a review. `settle` says that after the stop the job goes
    to `answer`, which records how the work ended. `seen` becomes `Job.seen`. `unread` says that the pull request could not be
    read, so that a redelivery starts the job again. `silent` says that the
    person gets no reaction: a refused request has its one sign for the day.
    """

    route: Route
    head: str = ""
    forced: bool = False
    reason: str = ""
    visible: bool = False
    settle: bool = False
    seen: PullRequest | None = None
    unread: bool = False
    silent: bool = False


_TRIGGERS = {
    "opened": Trigger.OPENED,
    "reopened": Trigger.OPENED,
    "ready_for_review": Trigger.READY,
    "synchronize": Trigger.PUSHED,
    "labeled": Trigger.LABEL,
    "unlabeled": Trigger.UNLABEL,
    "closed": Trigger.CLOSED,
    "converted_to_draft": Trigger.CLOSED,
}
_OWN_CHECK = re.compile(r"review/(\d{1,18})/(\d{1,18})/", re.ASCII)
_QUEUED = re.compile(r"pr-(\d{1,18})-[^/]*", re.ASCII)
_QUEUE = "gh-readonly-queue/"


def decide(delivery: Delivery, name: str = "") -> Job | Skip:
    """Decides whether a delivery makes a job. The router decides later whether its sender may ask for it.

    `name` is the login of our App: a comment that mentions it is a question.
    """
    payload, kind = delivery.payload, f"{delivery.event}.{delivery.payload.action}".rstrip(".")
    if delivery.event == "ping":
        return Skip("ping: the webhook works")
    if delivery.event not in EVENTS:
        return Skip(f"the event {delivery.event} is not handled")
    if payload.installation is None or payload.repository is None:
        return Skip("not sent for an installation on a repository")
    work = _work(delivery, name)
    if work is None:
        return Skip(f"{kind} is not handled")
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
        digest=delivery.digest,
    )


@dataclass(frozen=True, slots=True)
class _Work:
    """The fields of a job that depend on the event."""

    trigger: Trigger
    number: int
    head: str = ""
    text: str = ""
    comment: int = 0
    thread: str = ""
    in_reply_to: int = 0
    association: str = "NONE"
    app: int = 0


def _work(delivery: Delivery, name: str) -> _Work | Skip | None:
    payload = delivery.payload
    match delivery.event:
        case "pull_request" if payload.pull_request:
            return _pull(payload, payload.pull_request)
        case "check_run" if payload.check_run and payload.action in {"rerequested", "requested_action"}:
            return _check(payload, payload.check_run)
        case "check_suite" if payload.check_suite and payload.action in {"rerequested", "completed"}:
            return _suite(payload, payload.check_suite, delivery.target)
        case "pull_request_review_thread" if payload.pull_request and payload.thread:
            return _thread(payload, payload.thread, payload.pull_request.number)
        case "merge_group" if payload.merge_group and payload.action == "checks_requested":
            return _merge_group(payload.merge_group)
    return _comment_work(delivery.event, payload, name)


def _comment_work(event: str, payload: Payload, name: str) -> _Work | Skip | None:
    """The work for a comment in the conversation, an inline comment or a review."""
    match event:
        case "issue_comment" if payload.issue and payload.comment:
            if payload.issue.pull_request is None:
                return Skip("a comment on an issue, not on a pull request")
            return _comment(payload, payload.comment, payload.issue.number, "comment", name)
        case "pull_request_review_comment" if payload.pull_request and payload.comment:
            return _comment(payload, payload.comment, payload.pull_request.number, "inline", name)
        case "pull_request_review" if payload.pull_request and payload.review and payload.action == "submitted":
            review = payload.review
            comment = EventComment(
                id=review.id, body=review.body, user=review.user, author_association=review.author_association
            )
            return _comment(payload, comment, payload.pull_request.number, "review", name)
    return None


def _pull(payload: Payload, pull: EventPull) -> _Work | None:
    trigger = _TRIGGERS.get(payload.action)
    if payload.action == "edited" and payload.changes and payload.changes.base:
        trigger = Trigger.RETARGETED  # another base branch is another diff
    if trigger is Trigger.CLOSED and pull.merged:
        trigger = Trigger.MERGED
    if trigger is None:
        return None
    return _Work(trigger, pull.number, pull.head.sha, text=payload.label.name if payload.label else "")


def _comment(payload: Payload, comment: EventComment, number: int, thread: str, name: str) -> _Work | Skip | None:
    if payload.action not in {"created", "edited", "submitted"}:
        return None
    body = comment.body or ""
    line = first_line(body, name)
    if line is None:
        return _reply(payload, comment, number, thread)
    if payload.action == "edited":
        before = payload.changes.body.get("from") if payload.changes and payload.changes.body else None
        by_author = comment.user is not None and payload.sender is not None and comment.user.id == payload.sender.id
        if not isinstance(before, str) or not by_author or first_line(before, name) == line:
            return Skip("the edit adds no new command by the comment's author")
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
    """The work for a reply without a command. The router finds out whether the thread is ours."""
    if payload.action != "created" or not comment.in_reply_to_id or not (comment.body or "").strip():
        return Skip("no command on the first line")
    if payload.sender is None or payload.sender.type == "Bot":
        return Skip("a reply by a bot; only commands by bots are answered")
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
        return Skip("a thread that a bot resolved or reopened")
    return _Work(Trigger(payload.action), number, comment=thread.comments[0].id)


def _merge_group(group: MergeGroup) -> _Work:
    queued = _QUEUED.fullmatch(group.head_ref.rpartition("/")[2]) if _QUEUE in group.head_ref else None
    return _Work(Trigger.MERGE_GROUP, int(queued[1]) if queued else 0, group.head_sha)


def _suite(payload: Payload, suite: CheckSuiteEvent, target: str) -> _Work | Skip:
    """The work for "Re-run all checks", which GitHub sends to the App whose suite it is, and for the end of others' checks."""
    here = payload.repository.id if payload.repository else 0
    numbers = [
        pull.number
        for pull in suite.pull_requests
        if pull.base is None or pull.base.repo is None or pull.base.repo.id == here
    ]
    ended = payload.action == "completed"
    if ended and suite.app is not None and str(suite.app.id) == target:
        return Skip("our own checks have ended")
    if not numbers:
        return Skip("GitHub does not say to which pull request this check suite belongs; use Re-run on the check run")
    return _Work(Trigger.CHECKS_ENDED if ended else Trigger.RERUN, numbers[0], suite.head_sha)


def _check(payload: Payload, run: CheckRunEvent) -> _Work | Skip:
    own_check = _OWN_CHECK.match(run.external_id or "")
    if own_check is None or payload.repository is None or int(own_check[1]) != payload.repository.id:
        return Skip("not one of our check runs")
    text = payload.requested_action.identifier if payload.requested_action else ""
    return _Work(Trigger.RERUN, int(own_check[2]), run.head_sha, text=text)
