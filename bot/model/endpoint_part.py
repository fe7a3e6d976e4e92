"""The door to an OpenAI-compatible server: one client, made when first used, pinned to one host, speaking our errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx2
from openai import APIConnectionError, APIError, APIStatusError, AsyncOpenAI
from pydantic import SecretStr

from bot.errors import Forbidden, Retryable
from bot.model.client import Fault, error

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
        """Whether this is OpenAI itself, which understands every field."""
        return httpx2.URL(self.base_url or OPENAI).host == httpx2.URL(OPENAI).host

    @property
    def client(self) -> AsyncOpenAI:
        """The SDK's client. Nothing is read from the environment: neither key nor address."""
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
        """Give connections back; the next use opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()


@contextmanager
def spoken() -> Iterator[None]:
    """Turn the SDK's errors into ours. Raises Retryable, RateLimited, Forbidden, NotFound, TooLarge, Refused."""
    try:
        yield
    except APIStatusError as failed:
        raise error(_fault(failed, failed.status_code, failed.response.headers)) from failed
    except APIConnectionError as lost:
        raise Retryable(f"the model server could not be reached ({lost.message.rstrip('.').lower()})") from lost
    except APIError as failed:  # reported in the middle of a stream
        raise error(_fault(failed, 0, httpx2.Headers())) from failed
    except json.JSONDecodeError as broken:
        raise Retryable("the model server broke off in the middle of its answer") from broken


def _fault(failed: APIError, status: int, headers: httpx2.Headers) -> Fault:
    body = failed.body if isinstance(failed.body, dict) else {}
    message = str(body.get("message") or failed.message)
    return Fault(status, failed.code or "", failed.type or "", message, dict(headers.items()))
