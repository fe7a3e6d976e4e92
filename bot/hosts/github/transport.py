"""The connections to GitHub: they stay open, and lead to the configured host only."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, Generic, TypeVar
from urllib.parse import unquote
from weakref import WeakKeyDictionary

import httpx

from bot.core.code.secrets import without_secrets
from bot.errors import Forbidden, Refused, TooLarge
from bot.interfaces import Connection, Remote

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One value for each running event loop: asyncio connections and locks belong to the loop that made them."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: WeakKeyDictionary[asyncio.AbstractEventLoop, T] = WeakKeyDictionary()

    def __call__(self) -> T:
        """The running loop's value."""
        loop = asyncio.get_running_loop()
        if loop not in self._made:
            self._made[loop] = self._make()
        return self._made[loop]


class KeptOpen(httpx.AsyncBaseTransport):
    """A transport that outlives the clients made over it, and refuses every host but the one of `url`.

    githubkit makes a client per call and closes it; its `aclose` does nothing here, `close` does. Raises Forbidden
    before anything is connected.
    """

    def __init__(self, url: httpx.URL, make: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self._url = url
        self._inner = PerLoop(make)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends one request."""
        if not same_origin(request.url, self._url):
            raise Forbidden(f"{request.url.host} is not the configured GitHub host")
        response = await self._inner().handle_async_request(request)
        if response.is_error and isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _Beginning(response.stream)
        return response

    async def aclose(self) -> None:
        """Does nothing: the connections stay open for the next call."""

    async def close(self) -> None:
        """Closes the connections of the running event loop."""
        await self._inner().aclose()


ERROR_BYTES = 16 * 1024
"""Bytes of an error's body that are read, still compressed: githubkit reads all of it, and no sender may fill the memory."""


class _Beginning(httpx.AsyncByteStream):
    """The first bytes of a body."""

    def __init__(self, whole: httpx.AsyncByteStream) -> None:
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


async def from_store(transport: httpx.AsyncBaseTransport, url: httpx.URL, limit: int) -> bytes:
    """Reads a file as it is stored: nothing is decompressed, so that a small answer cannot become a large one.

    Raises TooLarge over `limit` bytes, and Refused if there is no such answer.
    """
    headers = {"Accept-Encoding": "identity", "User-Agent": "review-assistant"}
    content = bytearray()
    try:
        async with (
            httpx.AsyncClient(transport=transport, trust_env=False, timeout=httpx.Timeout(10, read=30)) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise Refused(f"the store of files at {url.host} answers with {response.status_code}")
            async for part in response.aiter_raw():
                content += part
                if len(content) > limit:
                    raise TooLarge(f"more than {limit:,} bytes")
    except httpx.HTTPError as error:
        raise Refused(f"the store of files at {url.host} does not answer ({type(error).__name__})") from error
    return bytes(content)


def same_origin(first: httpx.URL, second: httpx.URL) -> bool:
    """Whether scheme, host and port are the same."""
    return (first.scheme, first.host, _port(first)) == (second.scheme, second.host, _port(second))


def stays_below(url: httpx.URL, home: str) -> bool:
    """Whether the path of `url`, as it is sent, is `home` or lies below it.

    A segment that decodes to something with a slash, a backslash or dots alone may lead elsewhere on the server.
    """
    segments = url.raw_path.partition(b"?")[0].decode("ascii").split("/")
    wanted = home.rstrip("/").split("/")
    return segments[: len(wanted)] == wanted and not any(map(_leads_away, segments))


def _leads_away(segment: str) -> bool:
    decoded = segment
    while (once := unquote(decoded)) != decoded:
        decoded = once
    return "/" in decoded or "\\" in decoded or decoded in {".", ".."}


def _port(url: httpx.URL) -> int | None:
    return url.port or {"https": 443, "http": 80}.get(url.scheme)


def opened(connection: Connection) -> httpx.AsyncHTTPTransport:
    """Returns a transport that goes through the connection's proxy and trusts its certificates. Reads no environment."""
    context = httpx.create_ssl_context(trust_env=False)
    if connection.ca_file:
        context.load_verify_locations(connection.ca_file)
    return httpx.AsyncHTTPTransport(verify=context, trust_env=False, proxy=connection.proxy or None)


def remote(api: httpx.URL, address: str, token: str, connection: Connection) -> Remote:
    """A repository as git fetches it, on the API's own authority; that of https://api.github.com is https://github.com."""
    credential = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    return Remote(str(web(api).copy_with(path=f"{address}.git")), f"Basic {credential}", connection)


def web(api: httpx.URL) -> httpx.URL:
    """The address of GitHub's pages: on the API's own authority; that of https://api.github.com is https://github.com."""
    host = api.host if api.path.strip("/") else api.host.removeprefix("api.")
    return api.copy_with(host=host, path="/")


def page(api: httpx.URL, address: str) -> str:
    """`address` if it is a page of a pull request or issue on the web server of `api`; nothing if it leads elsewhere.

    GitHub's answers name pages; a proxy or a hostile answer could name any. Links in our comments begin with them.
    """
    found = _PAGE.fullmatch(address)
    if found is None or not same_origin(httpx.URL(found["origin"]), web(api)):
        return ""
    return address


_NAME = r"(?!\.{1,2}/)[\w.-]{1,100}"
_PAGE = re.compile(
    rf"(?P<origin>https?://(?:[\w.-]{{1,255}}|\[[0-9a-f:.]{{2,45}}\])(?::\d{{1,5}})?)/{_NAME}/{_NAME}/(?:pull|issues)/\d{{1,18}}(?:#[\w-]{{1,100}})?",
    re.ASCII,
)


FREE_TEXT = frozenset({"body", "title", "summary", "text", "message"})
"""The fields of GitHub's write calls that hold prose. All others are names, paths, numbers and states."""


def vetted(value: Any, secrets: Collection[str]) -> Any:  # noqa: ANN401 - JSON has no better name
    """Returns a request body with our own secrets removed from its free text; a name or a path stays as it is."""
    match value:
        case dict():
            return {
                key: without_secrets(inner, secrets)
                if key in FREE_TEXT and isinstance(inner, str)
                else vetted(inner, secrets)
                for key, inner in value.items()
            }
        case list() | tuple():
            return [vetted(inner, secrets) for inner in value]
    return value
