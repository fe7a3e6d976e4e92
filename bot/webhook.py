"""Bytes -> Delivery. The signature is checked before anything is parsed.

https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from bot.errors import MalformedDelivery, SignatureMismatch, UnsupportedDelivery

LIMIT = 25 * 1024 * 1024
"""GitHub's own cap on a payload, in bytes."""

EVENTS = frozenset({
    "check_run",
    "check_suite",
    "issue_comment",
    "merge_group",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_review_thread",
})  # fmt: skip
"""The events that are read in full; of all others only the envelope is read."""

_SIGNATURE = re.compile(rb"sha256=([0-9a-f]{64})")
_EVENT = re.compile(r"[a-z][a-z0-9_]{0,63}")
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


_Number = Annotated[int, Field(ge=0, lt=2**63)]
_Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
_Association = Annotated[str, BeforeValidator(lambda value: "NONE" if value is None else value)]
_Flag = Annotated[bool, BeforeValidator(lambda value: False if value is None else value)]
_List = BeforeValidator(lambda value: () if value is None else value)


class _Part(BaseModel):
    """A part of a payload. It holds only the fields we read, so that new fields of GitHub's cannot break it.

    A null counts as a missing field, except where nothing can be done without the value: an id, a number, a name.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")


class EventAccount(_Part):
    """A person, a bot or an organisation."""

    login: _Text
    id: Annotated[_Number, BeforeValidator(lambda value: value or 0)] = 0
    type: Annotated[str, BeforeValidator(lambda value: value or "User")] = "User"


class EventRepository(_Part):
    """The repository of a delivery."""

    id: _Number
    full_name: str


class Installation(_Part):
    """The installation of the App that received the event."""

    id: _Number


class EventHead(_Part):
    """The head of a pull request."""

    sha: _Text = ""


class EventPull(_Part):
    """A pull request in an event."""

    number: _Number
    head: Annotated[EventHead, BeforeValidator(lambda value: EventHead() if value is None else value)] = EventHead()
    merged: _Flag = False


class EventIssue(_Part):
    """An issue; with `pull_request`, it is the conversation of a pull request."""

    number: _Number
    pull_request: Mapping[str, object] | None = None


class EventApp(_Part):
    """The App through which a comment was made."""

    id: _Number


class EventComment(_Part):
    """A comment in the conversation or in a thread."""

    id: _Number
    body: str | None = None
    user: EventAccount | None = None
    author_association: _Association = "NONE"
    in_reply_to_id: _Number | None = None
    performed_via_github_app: EventApp | None = None


class EventThread(_Part):
    """A thread that was resolved or reopened; its first comment comes first."""

    comments: Annotated[tuple[EventApp, ...], _List] = ()


class SubmittedReview(_Part):
    """A submitted review; its body can hold a command."""

    id: _Number
    body: str | None = None
    user: EventAccount | None = None
    author_association: _Association = "NONE"


class EventLabel(_Part):
    """The label that was added or removed."""

    name: str


class CheckRunEvent(_Part):
    """The check run to run again. Its `external_id`, which we set, names the pull request."""

    id: _Number
    head_sha: _Text = ""
    external_id: str | None = None


class SuiteBase(_Part):
    """The base of a pull request of a check suite."""

    repo: EventApp | None = None


class SuitePull(_Part):
    """A pull request of a check suite; it may belong to another repository that has the same head."""

    number: _Number
    base: SuiteBase | None = None


class CheckSuiteEvent(_Part):
    """All checks of a head by one App, which ended or are wanted again. GitHub lists no pull requests for a fork's head."""

    head_sha: _Text = ""
    app: EventApp | None = None
    pull_requests: Annotated[tuple[SuitePull, ...], _List] = ()


class RequestedAction(_Part):
    """The button that was pressed."""

    identifier: str


class Changes(_Part):
    """The old values in an `edited` event."""

    body: Mapping[str, object] | None = None
    base: Mapping[str, object] | None = None


class MergeGroup(_Part):
    """The candidate commit of a merge queue; its branch is named after the last pull request in it."""

    head_sha: _Text = ""
    head_ref: _Text = ""


class Envelope(_Part):
    """The fields that every event has."""

    action: _Text = ""
    repository: EventRepository | None = None
    installation: Installation | None = None
    sender: EventAccount | None = None


class Payload(Envelope):
    """The fields we read of the events we subscribe to."""

    pull_request: EventPull | None = None
    issue: EventIssue | None = None
    comment: EventComment | None = None
    review: SubmittedReview | None = None
    thread: EventThread | None = None
    label: EventLabel | None = None
    check_run: CheckRunEvent | None = None
    check_suite: CheckSuiteEvent | None = None
    requested_action: RequestedAction | None = None
    changes: Changes | None = None
    merge_group: MergeGroup | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One verified webhook. `target` is the hook's installation target, `guid` is GitHub's X-GitHub-Delivery.

    The GUID names an event, not a delivery: two Apps get the same GUID, and a redelivery keeps it. So `id` has both.
    Neither header is signed. `digest`, the SHA-256 of the body, tells when the same body comes under another GUID.
    """

    target: str
    guid: str
    event: str
    payload: Payload
    digest: str = ""

    @property
    def id(self) -> str:
        """The identity of the delivery: the same for a redelivery, different for every other delivery."""
        return f"delivery/{self.target or '0'}/{self.guid.lower()}"


def signed_digest(signature: bytes | None) -> bytes:
    """The hexadecimal digest in a signature header. Raises SignatureMismatch if it is missing or malformed."""
    match = _SIGNATURE.fullmatch(signature or b"")
    if match is None:
        raise SignatureMismatch("X-Hub-Signature-256 is missing or malformed")
    return match[1]


def verify(signature: bytes | None, body: bytes | bytearray, secrets: Iterable[bytes]) -> None:
    """Raises SignatureMismatch unless `signature` is the HMAC-SHA256 of `body` under one of `secrets`.

    Compares bytes in constant time. Several secrets can be valid during a rotation. SHA-1 is never accepted.
    """
    claimed = signed_digest(signature)
    expected = [hmac.new(secret, body, hashlib.sha256).hexdigest().encode() for secret in secrets if secret]
    if not any([hmac.compare_digest(claimed, digest) for digest in expected]):  # noqa: C419 - no early exit: constant time
        raise SignatureMismatch(
            "X-Hub-Signature-256 does not match; a proxy in front of the server must not change the body"
        )


def parse(headers: Mapping[str, str], body: bytes | bytearray, app: str = "") -> Delivery:
    """The delivery in a verified body and its headers (lower-case names). Raises MalformedDelivery, UnsupportedDelivery.

    `app` is the numeric id of our App; a delivery for another target is refused. Without it every target is accepted.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedDelivery("set the webhook's content type to application/json")
    event, guid = headers.get("x-github-event", ""), headers.get("x-github-delivery", "")
    if not _EVENT.fullmatch(event):
        raise MalformedDelivery("X-GitHub-Event is missing or malformed")
    if not _GUID.fullmatch(guid):
        raise MalformedDelivery("X-GitHub-Delivery is not a GUID")
    target = headers.get("x-github-hook-installation-target-id", "")
    if target and not target.isdecimal():
        raise MalformedDelivery("X-GitHub-Hook-Installation-Target-ID is not a number")
    if app and target != app:
        raise MalformedDelivery("X-GitHub-Hook-Installation-Target-ID is not the id of this App")
    try:
        payload = _read(event, body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MalformedDelivery(f"the payload is not what GitHub sends: {where or 'body'}: {first['msg']}") from error
    return Delivery(target, guid, event, payload, hashlib.sha256(body).hexdigest())


def _read(event: str, body: bytes | bytearray) -> Payload:
    """The payload. Half of a surrogate pair in a string, which JSON allows and Unicode does not, becomes U+FFFD."""
    try:
        return _validated(event, body)
    except ValidationError:
        mended = _ESCAPE.sub(lambda escape: _REPLACEMENT if escape["lone"] else escape[0], body)
        if mended == body:
            raise
    return _validated(event, mended)


_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)
_REPLACEMENT = b"\\ufffd"


def _validated(event: str, body: bytes | bytearray) -> Payload:
    if event in EVENTS:
        return Payload.model_validate_json(body)
    return Payload.model_construct(**dict(Envelope.model_validate_json(body)))
