"""The client of an OpenAI-compatible server: pinned to one host; the server's errors become errors of ours.

Also reads untrusted JSON: values of the wrong type become empty.
https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx2
from pydantic import SecretStr

from bot.errors import AssistantError, Forbidden, NotFound, RateLimited, Refused, Retryable, TooLarge
from bot.interfaces import Connection
from bot.model.replies import mapping, mappings, text

if TYPE_CHECKING:
    from openai import APIError, AsyncOpenAI

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
    r"context_length_exceeded|string_above_max_length|exceed_context_size|n_ctx|context\s?_?(length|window|size|limit)"
    r"|(maximum|max) (context|prompt|input)|too many (input |prompt )?tokens"
    r"|(prompt|input|inputs|request|messages?|content|conversation)\b.{0,60}? too (long|large|big)"
    r"|(prompt|input|request|message)\S* .{0,80}?(longer|greater|larger|more) than"
    r"|range of input length|reduce (the length|your (prompt|input|messages?))"
    r"|(number of|input|prompt|model|inputs?`?) tokens?\b.{0,80}?(exceed|limit|must be <|maximum)"
    r"|exceed\w*\b.{0,60}?\b(tokens?|context)\b|超长|超过.{0,20}(长度|token)",
    re.IGNORECASE | re.DOTALL,
)
"""Servers name an input that is too long in no field but the message, each in its own words."""
_TOO_LARGE_A_REQUEST = re.compile(r"request (is )?too large|limit:? (\d+),? requested:? (\d+)", re.IGNORECASE)
_UNREADABLE = re.compile(
    r"output that does not match the expected|failed to parse (the )?(model )?output", re.IGNORECASE
)
"""llama.cpp's words for an answer in another format than its grammar's, mostly one that its limit cut off."""
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
    param: str = ""

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
    if is_too_long(fault):
        return TooLarge(f"the input is too long for the model ({fault.named})")
    if _UNREADABLE.search(fault.message):
        return Refused(f"the model server could not read the model's answer ({fault.named}): it was cut off or garbled")
    return _transient(fault) or _final(fault)


def is_too_long(fault: ServerFault) -> bool:
    """Says whether fewer words would help. A 429 is that only if the one request is over the limit of a whole minute."""
    if fault.status == _BUSY or fault.code == "rate_limit_exceeded":
        said = _TOO_LARGE_A_REQUEST.search(fault.message)
        return said is not None and (said[2] is None or int(said[3]) > int(said[2]))
    if fault.status in {_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND}:
        return False
    return fault.status == _LARGE or bool(_TOO_LONG.search(f"{fault.code} {fault.kind} {fault.message}"))


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
    if target := fault.headers.get("location"):
        return Refused(
            f"the model server redirects to {target[:LONGEST_QUOTE]} ({fault.named}): OPENAI_BASE_URL has to name the "
            "address itself"
        )
    if fault.status == _NOT_FOUND:
        return NotFound(f"the model server does not know the model or the address ({quoted})")
    return Refused(f"the model server refused the request ({quoted})")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds to wait: what the server asks for, else the time until the exhausted limit resets."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "")
        if re.fullmatch(r"\d+(\.\d+)?", value):
            return float(value) * unit
        if (date := _date(value)) is not None:
            return max(date.timestamp() - time.time(), 0.0)
    waits = [
        duration(headers.get(f"x-ratelimit-reset-{what}", ""))
        for what in ("requests", "tokens", "project-tokens")
        if headers.get(f"x-ratelimit-remaining-{what}") == "0"
    ]
    return max(waits, default=None)


def _date(value: str) -> datetime | None:
    """Reads the date of a Retry-After header."""
    try:
        return parsedate_to_datetime(value)
    except ValueError:
        return None


def duration(text: str) -> float:
    """Returns the seconds in a text like 6m0s or 250ms."""
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text))


def sdk() -> Any:  # noqa: ANN401 - a module
    """Returns the vendor's SDK. The first call of a model loads it: that takes half a second of CPU."""
    import openai  # noqa: PLC0415

    return openai


OPENAI = "https://api.openai.com/v1"
_CONNECT, _READ, _WRITE = 5.0, 630.0, 30.0  # a conversation stops waiting first


@dataclass(slots=True)
class Endpoint:
    """A server at `base_url`. It never follows a redirect and never retries: the engine owns retries.

    `transport` replaces the network, for tests; `connection` names a proxy and a private certificate authority.
    """

    key: SecretStr
    base_url: str = ""
    transport: httpx2.AsyncBaseTransport | None = None
    connection: Connection = field(default_factory=Connection)
    _client: AsyncOpenAI | None = field(default=None, init=False)

    @property
    def is_openai(self) -> bool:
        """Whether this is OpenAI itself, which accepts every field."""
        return httpx2.URL(self.base_url or OPENAI).host == httpx2.URL(OPENAI).host

    @property
    def client(self) -> AsyncOpenAI:
        """The SDK's client. It reads neither key nor address from the environment."""
        if self._client is None:
            self._client = sdk().AsyncOpenAI(
                api_key=self.key.get_secret_value() or "none",
                base_url=self.base_url or OPENAI,
                max_retries=0,
                http_client=httpx2.AsyncClient(
                    transport=self.transport or self._opened(),
                    trust_env=False,
                    timeout=httpx2.Timeout(connect=_CONNECT, read=_READ, write=_WRITE, pool=_WRITE),
                    follow_redirects=False,
                    event_hooks={"request": [self._pinned], "response": [_bounded]},
                ),
            )
        return self._client

    def _opened(self) -> httpx2.AsyncHTTPTransport:
        """Returns a transport that goes through the connection's proxy and trusts its certificates. Reads no environment."""
        context = httpx2.create_ssl_context(trust_env=False)
        if self.connection.ca_file:
            context.load_verify_locations(self.connection.ca_file)
        return httpx2.AsyncHTTPTransport(verify=context, trust_env=False, proxy=self.connection.proxy or None)

    async def _pinned(self, request: httpx2.Request) -> None:
        home = httpx2.URL(self.base_url or OPENAI)
        if (request.url.scheme, request.url.host, request.url.port) != (home.scheme, home.host, home.port):
            raise Forbidden(f"a model request to {request.url.host} was stopped: only {home.host} is allowed")

    async def close(self) -> None:
        """Closes the connections; the next use opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()


ERROR_BYTES = 64 * 1024
"""Bytes of an error's body that are read, still compressed: the SDK reads all of it."""


class _Beginning(httpx2.AsyncByteStream):
    """The first bytes of a body."""

    def __init__(self, whole: httpx2.AsyncByteStream) -> None:
        self._whole = whole

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = ERROR_BYTES
        async for part in self._whole:
            yield part[:left]
            left -= len(part)
            if left <= 0:
                return

    async def aclose(self) -> None:
        await self._whole.aclose()


async def _bounded(response: httpx2.Response) -> None:
    if response.is_error and isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Beginning(response.stream)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Replaces the SDK's errors with ours. Raises Retryable, RateLimited, Forbidden, NotFound, TooLarge, Refused."""
    try:
        yield
    except sdk().APIStatusError as failed:
        raise error_for(fault_of(failed)) from failed
    except sdk().APIConnectionError as lost:
        if isinstance(lost.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout):  # nothing was sent
            raise Retryable("cannot connect to the model server (OPENAI_BASE_URL names it)", undone=True) from lost
        raise Retryable(f"the model server could not be reached ({lost.message.rstrip('.').lower()})") from lost
    except sdk().APIError as failed:  # reported in the middle of a stream
        raise _stream_error(fault_of(failed)) from failed
    except json.JSONDecodeError as broken:
        raise Retryable("the model server broke off in the middle of its answer") from broken


def fault_of(failed: APIError) -> ServerFault:
    """Returns what an error of the SDK says, read from a body of any shape."""
    if isinstance(failed, sdk().APIStatusError):
        return fault_in(failed.body, failed.status_code, failed.response.headers)
    return fault_in(failed.body or failed.message)


def fault_in(body: object, status: int = 0, headers: Mapping[str, str] | None = None) -> ServerFault:
    """Returns the fault that a body describes. A code that is an HTTP status is one if there is no other."""
    fields = next(_objects(body), {})
    code = fields.get("code")
    named = int(code) if isinstance(code, int | str) and re.fullmatch(r"[45]\d\d", str(code)) else 0
    return ServerFault(
        status or named,
        "" if named or not isinstance(code, str) else code,
        text(fields.get("type")) or text(fields.get("status")),
        reason_in(body),
        dict((headers or {}).items()),
        text(fields.get("param")),
    )


def _objects(body: object) -> Iterator[Mapping[str, Any]]:
    """Yields the objects of an error body that hold a code or a message, without the wrappers around them."""
    for item in mappings(body) or [mapping(body)]:
        inner = item.get("error")
        yield from _objects(inner) if isinstance(inner, dict | list) else [item]


_REASONS = ("message", "error", "detail", "msg", "error_description", "title", "errors")
_DEEPEST = 5


def reason_in(body: object, depth: int = 0) -> str:
    """Returns what an error body of any shape tells people: a text, a web page, an object, or a list of these."""
    if isinstance(body, str):
        return _page_title(body) if body.lstrip().startswith("<") else body.strip()
    if depth == _DEEPEST:
        return ""
    if isinstance(body, list):
        return "; ".join(filter(None, (reason_in(item, depth + 1) for item in body)))
    fields = mapping(body)
    reason = next(filter(None, (reason_in(fields.get(name), depth + 1) for name in _REASONS)), "")
    place = fields.get("loc")
    return f"{'.'.join(map(str, place))}: {reason}" if isinstance(place, list) and reason else reason


def _page_title(page: str) -> str:
    """Returns the words of a web page's title, or else of its beginning."""
    title = re.search(r"<title[^>]*>([^<]*)", page[:10_000], re.IGNORECASE)
    return " ".join((title[1] if title else re.sub(r"<[^>]*>", " ", page[:2_000])).split())


def _stream_error(fault: ServerFault) -> AssistantError:
    """Returns the error for a fault that a server reports after its answer began: without a better name it may pass."""
    error = error_for(fault)
    if type(error) is Refused and not fault.status:
        return Retryable(f"the model server broke off its answer ({fault.named})")
    return error
