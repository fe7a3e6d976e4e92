"""The client of an OpenAI-compatible server: pinned to one host; the server's errors become errors of ours.

Also reads untrusted JSON: values of the wrong type become empty.
https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from openai import APIConnectionError, APIError, APIStatusError, AsyncOpenAI
from pydantic import SecretStr

from bot.errors import AssistantError, Forbidden, NotFound, RateLimited, Refused, Retryable, TooLarge


def mapping(value: object) -> Mapping[str, Any]:
    """Returns the fields of a JSON object."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> Sequence[Mapping[str, Any]]:
    """Returns the objects of a JSON list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    """Returns a JSON string."""
    return value if isinstance(value, str) else ""


def count(value: object) -> int:
    """Returns a whole number that is not negative: a negative count would lower the bill."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def number(value: object) -> float:
    """Returns a JSON number."""
    return float(value) if isinstance(value, int | float) else 0.0


SLOW_DOWN = 60.0
"""Seconds to wait after a 503 that asks for fewer requests and names no time."""
LONGEST_QUOTE = 300

_NO_MONEY = {
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "billing_hard_limit_reached",
}
_POLICY = {"misalignment_policy_violation", "safety_identifier_blocked", "bio_policy", "invalid_prompt"}
_TOO_LONG = re.compile(
    r"context_length_exceeded|string_above_max_length|context (length|window)|maximum context|too many tokens",
    re.IGNORECASE,
)
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _LARGE, _BUSY, _UNAVAILABLE = 401, 403, 404, 413, 429, 503
_AGAIN = {408, 409}
_UNDONE = {409, 500, 503, 529}  # the server itself answers these; after a gateway's 502 or 504 the call may have run
_SERVER = 500  # and above
_TRANSIENT = {"server_error", "rate_limit_exceeded"}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class ServerFault:
    """An error that a server reported. `status` is 0 for a failure reported inside a response or a stream."""

    status: int = 0
    code: str = ""
    kind: str = ""
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def named(self) -> str:
        """The status and the name of the fault, without its message: the message of a 401 may quote a part of the key."""
        name = self.code or self.kind
        return f"HTTP {self.status} {name}".strip() if self.status else name or "an error without a name"


def error_for(fault: ServerFault) -> AssistantError:
    """Returns the error to raise. Its text may be shown to people.

    Compatible servers name neither an input that is too long nor a request to slow down in any field but the message.
    """
    names = {fault.code, fault.kind}
    if names & _NO_MONEY:
        return Forbidden(f"the model account has no quota left ({fault.named})")
    if names & _POLICY:
        return Forbidden(f"the model server stopped this conversation by policy ({fault.named})")
    if fault.status == _LARGE or _TOO_LONG.search(f"{fault.code} {fault.message}"):
        return TooLarge(f"the input is too long for the model ({fault.named})")
    return _transient(fault) or _final(fault)


def _transient(fault: ServerFault) -> Retryable | None:
    if fault.headers.get("x-should-retry") == "false":
        return None
    wait = retry_after(fault.headers)
    if fault.status == _BUSY or fault.code == "rate_limit_exceeded":
        return RateLimited(f"the model server asks to wait ({fault.named})", wait)
    if fault.status == _UNAVAILABLE and "slow down" in fault.message.lower():
        return RateLimited(f"the model server asks to slow down ({fault.named})", wait or SLOW_DOWN)
    asked = fault.headers.get("x-should-retry") == "true"
    if asked or fault.status >= _SERVER or fault.status in _AGAIN or fault.code in _TRANSIENT:
        return Retryable(f"the model server failed ({fault.named})", wait, undone=fault.status in _UNDONE)
    return None


def _final(fault: ServerFault) -> Refused:
    if fault.status == _UNAUTHORIZED:
        return Forbidden("the model server does not accept the key (HTTP 401)")
    if fault.status == _FORBIDDEN:
        return Forbidden(f"the model server forbids it ({fault.named})")
    quoted = f"{fault.named}: {fault.message[:LONGEST_QUOTE]}" if fault.message else fault.named
    if fault.status == _NOT_FOUND:
        return NotFound(f"the model server does not know the model or the address ({quoted})")
    return Refused(f"the model server refused the request ({quoted})")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds to wait: what the server asks for, else the time until the exhausted limit resets."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "")
        if re.fullmatch(r"\d+(\.\d+)?", value):
            return float(value) * unit
    waits = [
        duration(headers.get(f"x-ratelimit-reset-{what}", ""))
        for what in ("requests", "tokens", "project-tokens")
        if headers.get(f"x-ratelimit-remaining-{what}") == "0"
    ]
    return max(waits, default=None)


def duration(text: str) -> float:
    """Returns the seconds in a text like 6m0s or 250ms."""
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text))


OPENAI = "https://api.openai.com/v1"
_CONNECT, _READ, _WRITE = 5.0, 600.0, 30.0


@dataclass(slots=True)
class Endpoint:
    """A server at `base_url`. It never follows a redirect and never retries: the engine owns retries.

    `transport` replaces the network, for tests.
    """

    key: SecretStr
    base_url: str = ""
    transport: httpx2.AsyncBaseTransport | None = None
    _client: AsyncOpenAI | None = field(default=None, init=False)

    @property
    def is_openai(self) -> bool:
        """Whether this is OpenAI itself, which accepts every field."""
        return httpx2.URL(self.base_url or OPENAI).host == httpx2.URL(OPENAI).host

    @property
    def client(self) -> AsyncOpenAI:
        """The SDK's client. It reads neither key nor address from the environment."""
        if self._client is None:
            self._client = AsyncOpenAI(
                api_key=self.key.get_secret_value() or "none",
                base_url=self.base_url or OPENAI,
                max_retries=0,
                http_client=httpx2.AsyncClient(
                    transport=self.transport,
                    timeout=httpx2.Timeout(connect=_CONNECT, read=_READ, write=_WRITE, pool=_WRITE),
                    follow_redirects=False,
                    event_hooks={"request": [self._pinned]},
                ),
            )
        return self._client

    async def _pinned(self, request: httpx2.Request) -> None:
        home = httpx2.URL(self.base_url or OPENAI)
        if (request.url.scheme, request.url.host, request.url.port) != (home.scheme, home.host, home.port):
            raise Forbidden(f"a model request to {request.url.host} was stopped: only {home.host} is allowed")

    async def close(self) -> None:
        """Closes the connections; the next use opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()


@contextmanager
def translated_errors() -> Iterator[None]:
    """Replaces the SDK's errors with ours. Raises Retryable, RateLimited, Forbidden, NotFound, TooLarge, Refused."""
    try:
        yield
    except APIStatusError as failed:
        raise error_for(_fault(failed, failed.status_code, failed.response.headers)) from failed
    except APIConnectionError as lost:
        raise Retryable(f"the model server could not be reached ({lost.message.rstrip('.').lower()})") from lost
    except APIError as failed:  # reported in the middle of a stream
        raise error_for(_fault(failed, 0, httpx2.Headers())) from failed
    except json.JSONDecodeError as broken:
        raise Retryable("the model server broke off in the middle of its answer") from broken


def _fault(failed: APIError, status: int, headers: httpx2.Headers) -> ServerFault:
    body = failed.body if isinstance(failed.body, dict) else {}
    message = str(body.get("message") or failed.message)
    return ServerFault(status, failed.code or "", failed.type or "", message, dict(headers.items()))
