"""The web server (FastAPI): webhook, health and metrics. The webhook answers 202 only after the job is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect
from uvicorn.protocols.http.h11_impl import H11Protocol

from bot.errors import BadDelivery, DeliveryTooLarge, IncompleteDelivery, NotDurable, TooManyBodies
from bot.interfaces import Engine
from bot.job import Job, Skip, decide
from bot.telemetry.metrics import CONTENT_TYPE, Metrics
from bot.webhook import LIMIT, parse, signed_digest, verify

log = structlog.get_logger()

BODY_TIMEOUT = 10.0
"""Seconds that a body may take to arrive. GitHub waits as long for the answer."""

BODIES = 64 * 1024 * 1024
"""Bytes of all bodies that are read at the same time."""

CONNECTIONS = 512
"""The most open connections."""

HEADER_TIMEOUT = 10.0
"""Seconds that the header of a request may take to arrive, from the first byte or from the connection on."""


class BodyBudget:
    """Bytes that the bodies of all requests may hold at the same time."""

    def __init__(self, size: int) -> None:
        self.left = size

    @contextmanager
    def share(self) -> Iterator[BodyShare]:
        """The part that one request takes; it is given back at the end."""
        share = BodyShare(self)
        try:
            yield share
        finally:
            self.left += share.taken


class BodyShare:
    """The bytes that the body of one request holds."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.taken = 0

    def take(self, size: int) -> None:
        """Takes `size` more bytes. Raises TooManyBodies if there are not as many left."""
        if size > self._budget.left:
            raise TooManyBodies("too many bodies arrive at the same time; deliver it again")
        self._budget.left -= size
        self.taken += size


def serve(
    engine: Engine,
    secrets: Sequence[bytes],
    ready: Callable[[], Awaitable[dict[str, str]]],
    app: str = "",
    name: Callable[[], str] = lambda: "",
    metrics: Metrics | None = None,
) -> FastAPI:
    """Builds the web application. `ready` returns what is not working (empty: all works).

    `app` is the numeric id of our App: deliveries for another one are refused; empty accepts all. `name` returns its
    login, empty until GitHub has told it: a comment that mentions it is a question.
    """
    metrics, budget = metrics or Metrics(), BodyBudget(BODIES)

    http = FastAPI(title="review-assistant", docs_url=None, redoc_url=None, openapi_url=None)
    http.router.redirect_slashes = False  # the address of such a redirect would come from the Host header

    async def webhook(request: Request) -> JSONResponse:
        started = perf_counter()
        with budget.share() as share:
            status, content = await _receive(request, share, engine, secrets, (app, name()))
        metrics.deliveries.labels(content["status"]).inc()
        metrics.acknowledged.observe(perf_counter() - started)
        refused = content["status"] == "refused"  # perhaps before all of the body was read
        return JSONResponse(content, status, {"connection": "close"} if refused else None)

    http.add_route("/webhooks/github", webhook, methods=["POST"])  # a plain route: FastAPI would read the body

    @http.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @http.get("/readyz")
    async def readyz() -> JSONResponse:
        problems = await ready()
        return JSONResponse({"status": "unavailable" if problems else "ok", **problems}, 503 if problems else 200)

    @http.get("/metrics")
    async def exposition() -> Response:
        return Response(await asyncio.to_thread(metrics.text), media_type=CONTENT_TYPE)

    return http


async def _receive(
    request: Request, share: BodyShare, engine: Engine, secrets: Sequence[bytes], us: tuple[str, str]
) -> tuple[int, dict[str, str]]:
    """Handles one delivery; returns the HTTP status and the body of the answer. `us` is the id and the name of our App."""
    try:
        signature = _signature(request)
        signed_digest(signature)  # without a well-formed signature, nothing of the body is read
        body = await _body(request, share)
        verify(signature, body, secrets)
        delivery = parse(request.headers, body, us[0])
    except BadDelivery as error:
        log.warning("delivery refused", status=error.status, reason=str(error))
        return error.status, {"status": "refused", "delivery": "", "reason": str(error)}
    decision = decide(delivery, us[1])
    answer = {"delivery": delivery.guid, "reason": ""}
    if isinstance(decision, Skip):
        return 200 if delivery.event == "ping" else 202, {"status": "skipped", **answer, "reason": decision.reason}
    return await _submit(decision, engine, answer)


async def _submit(job: Job, engine: Engine, answer: dict[str, str]) -> tuple[int, dict[str, str]]:
    try:
        new = await engine.submit(job)
    except NotDurable as error:
        log.error("delivery not stored", job=job.id, reason=str(error))  # noqa: TRY400 - the reason is enough
        return 503, {"status": "unavailable", **answer, "reason": "the job could not be stored; deliver it again"}
    log.info(
        "delivery accepted" if new else "delivery already known", job=job.id, pull=str(job.pull), trigger=job.trigger
    )
    return 202, {"status": "accepted" if new else "duplicate", **answer}


async def _body(request: Request, share: BodyShare) -> bytearray:
    """The raw body. Raises DeliveryTooLarge as soon as it is larger than GitHub allows, and TooManyBodies."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and len(announced) < 20 and int(announced) > LIMIT:  # noqa: PLR2004 - digits of a 64-bit number
        raise DeliveryTooLarge("the body is over 25 MB")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for chunk in request.stream():
                share.take(len(chunk))
                body += chunk
                if len(body) > LIMIT:
                    raise DeliveryTooLarge("the body is over 25 MB")
    except TimeoutError:
        raise IncompleteDelivery(f"the body did not arrive within {BODY_TIMEOUT:g} s") from None
    except ClientDisconnect:
        raise IncompleteDelivery("the sender closed the connection before the body was complete") from None
    return body


def _signature(request: Request) -> bytes | None:
    return next((value for name, value in request.headers.raw if name == b"x-hub-signature-256"), None)


class BoundedProtocol(H11Protocol):
    """HTTP for uvicorn: a bounded number of connections, and a bounded time to send the header of a request.

    When there are too many, the one that has waited longest without a request is closed; if all have one, the new one.
    """

    waiting: dict[BoundedProtocol, asyncio.TimerHandle]
    most: int
    seconds: float

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most:
            next(iter(self.waiting), self).transport.abort()
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget()
        elif self not in self.waiting:
            self.waiting[self] = self.loop.call_later(self.seconds, self.transport.abort)

    def _forget(self) -> None:
        if timer := self.waiting.pop(self, None):
            timer.cancel()


def bounded_protocol(connections: int = CONNECTIONS, seconds: float = HEADER_TIMEOUT) -> type[BoundedProtocol]:
    """The protocol of one server, with its own list of waiting connections. `seconds` are for the header of a request."""
    return type("BoundedProtocol", (BoundedProtocol,), {"waiting": {}, "most": connections, "seconds": seconds})
