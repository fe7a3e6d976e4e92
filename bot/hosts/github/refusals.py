"""GitHub's error answers -> errors of ours, by what the caller may do about each.

https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from bot.errors import AssistantError, Forbidden, HostLimited, NotFound, Outage, Refused, TooLarge, Unprocessable
from bot.hosts.github.health import TroubleKind, trouble

SECONDARY_LIMIT_SECONDS = 60.0
MESSAGE_LENGTH = 1000
_REFUSED: dict[int, type[Refused]] = {
    HTTPStatus.BAD_REQUEST: Unprocessable,
    HTTPStatus.FORBIDDEN: Forbidden,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.NOT_ACCEPTABLE: TooLarge,  # https://docs.github.com/en/rest/pulls/pulls#get-a-pull-request
    HTTPStatus.GONE: NotFound,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: TooLarge,
    HTTPStatus.UNPROCESSABLE_ENTITY: Unprocessable,
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS: Forbidden,
}
_PAGE = re.compile(r"^\s*<|<(!doctype|html|head|body|title)\b", re.IGNORECASE)
_ANSWERED_IN_JSON = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}
_LIMITED = {HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}


class Unauthorized(Forbidden):
    """401: the credential is expired, revoked or not yet valid. `date` is GitHub's clock, seconds since 1970."""

    def __init__(self, message: str, date: float | None) -> None:
        super().__init__(message)
        self.date = date


class WebPage(Outage):
    """A web page instead of an answer of the API: a proxy's, a login page, or another server than GitHub."""


def is_page(headers: Mapping[str, str]) -> bool:
    """Whether an answer is a web page."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "text/html"


def refusal(status: int, headers: Mapping[str, str], content: bytes, now: float) -> AssistantError:
    """The error for an answer of `status` >= 400 received at `now` (seconds since 1970)."""
    message = f"GitHub {status}: {_message(content)}"
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return trouble(TroubleKind.PROXY, f"the proxy refuses our requests ({message})")
    if status in _ANSWERED_IN_JSON and is_page(headers):
        return WebPage(f"a web page answers instead of GitHub's API (HTTP {status})")
    if status == HTTPStatus.UNAUTHORIZED:
        return Unauthorized(message, server_time(headers))
    if status in _LIMITED and (after := _wait(status, headers, message, now)) is not None:
        return HostLimited(message, after)
    if status == HTTPStatus.REQUEST_TIMEOUT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Outage(message, _seconds(headers.get("retry-after")))
    return _REFUSED.get(status, Refused)(message)


def server_time(headers: Mapping[str, str]) -> float | None:
    """The answer's Date, seconds since 1970."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError):
        return None


def _wait(status: int, headers: Mapping[str, str], message: str, now: float) -> float | None:
    """Returns the seconds to wait if this is a rate limit: as GitHub asks, until its reset, or a minute.

    GitHub names a secondary limit only in the message: its documentation says to look there.
    """
    if (asked := _seconds(headers.get("retry-after"))) is not None:
        return asked
    if "secondary rate limit" in message.lower() or "abuse detection" in message.lower():
        return SECONDARY_LIMIT_SECONDS
    reset = _seconds(headers.get("x-ratelimit-reset"))
    if headers.get("x-ratelimit-remaining") == "0" and reset is not None:
        return max(0.0, reset - (server_time(headers) or now)) + 1
    return SECONDARY_LIMIT_SECONDS if status == HTTPStatus.TOO_MANY_REQUESTS or "retry-after" in headers else None


def _seconds(value: str | None) -> float | None:
    return float(value) if value and value.isascii() and value.isdigit() else None


def _message(content: bytes) -> str:
    """Returns GitHub's message, followed by each error."""
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return _words(content[:MESSAGE_LENGTH].decode(errors="replace"))
    if not isinstance(answer, dict):
        return str(answer)[:MESSAGE_LENGTH]
    errors = answer.get("errors")
    words = [_words(str(answer.get("message", ""))), *(map(_error, errors) if isinstance(errors, list) else ())]
    return "; ".join(words)[:MESSAGE_LENGTH]


def _words(text: str) -> str:
    """Returns the text unless it is a page of HTML, which is for browsers."""
    return "an error page instead of an answer" if _PAGE.search(text) else text.strip() or "no message"


def _error(error: Any) -> str:  # noqa: ANN401 - any JSON
    if not isinstance(error, dict):
        return str(error)
    return " ".join(str(error[key]) for key in ("resource", "field", "code", "message") if error.get(key))
