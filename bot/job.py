"""Delivery -> Job | Skip: the one decision of the front door."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bot.review.pull_request import PullRef


class Trigger(StrEnum):
    """Why there is work."""

    OPENED = "opened"
    PUSHED = "pushed"
    READY = "ready"
    LABEL = "label"
    COMMAND = "command"
    REPLY = "reply"
    RERUN = "rerun"
    RECOVERED = "recovered"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Job:
    """Work we owe for one pull request. `id` names the delivery it came from: the same one never makes two jobs.

    `head_sha` is the head the delivery spoke of, empty when it named none (comments). `text` is the command as it was
    written, `comment` the id of the comment it stands in and `thread` that comment's kind ("comment", "inline",
    "review"). `actor` is the sender: the person whose permission counts.
    """

    id: str
    pull: PullRef
    trigger: Trigger
    head_sha: str = ""
    actor: str = ""
    actor_id: int = 0
    actor_is_bot: bool = False
    actor_association: str = "NONE"
    text: str = ""
    comment: int = 0
    thread: str = ""
    in_reply_to: int = 0


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

    A head that is being reviewed or was reviewed is not reviewed again unless `forced`.
    """

    route: Route
    head: str = ""
    forced: bool = False
    reason: str = ""
