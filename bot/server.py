"""The web server (FastAPI): webhook, health and metrics. The webhook answers 202 only after the job is stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from time import perf_counter

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import ClientDisconnect

from bot.errors import BadDelivery, DeliveryTooLarge, IncompleteDelivery, NotDurable
from bot.interfaces import Engine
from bot.job import Job, Skip, decide
from bot.webhook import LIMIT, parse, verify

log = structlog.get_logger()

BODY_TIMEOUT = 10.0
"""Seconds that a body may take to arrive. GitHub waits as long for the answer."""


class Metrics:
    """The metrics for Prometheus, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.deliveries = Counter(
            "assistant_deliveries", "Deliveries to the webhook, by outcome.", ["status"], registry=self.registry
        )
        self.acknowledged = Histogram(
            "assistant_acknowledge_seconds",
            "From the first byte read to the answer.",
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )


def serve(
    engine: Engine,
    secrets: Sequence[bytes],
    ready: Callable[[], Awaitable[dict[str, str]]],
    stop: Callable[[], Awaitable[None]] | None = None,
) -> FastAPI:
    """Builds the web application. `ready` returns what is not working (empty: all works); `stop` runs at shutdown."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        if stop is not None:
            await stop()

    http = FastAPI(title="review-assistant", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)

    async def webhook(request: Request) -> JSONResponse:
        started = perf_counter()
        status, content = await _receive(request, engine, secrets)
        metrics.deliveries.labels(content["status"]).inc()
        metrics.acknowledged.observe(perf_counter() - started)
        return JSONResponse(content, status)

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
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return http


async def _receive(request: Request, engine: Engine, secrets: Sequence[bytes]) -> tuple[int, dict[str, str]]:
    """Handles one delivery; returns the HTTP status and the body of the answer."""
    try:
        body = await _body(request)
        verify(_signature(request), body, secrets)
        delivery = parse(request.headers, body)
    except BadDelivery as error:
        log.warning("delivery refused", status=error.status, reason=str(error))
        return error.status, {"status": "refused", "delivery": "", "reason": str(error)}
    decision = decide(delivery)
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


async def _body(request: Request) -> bytes:
    """The raw body. Raises DeliveryTooLarge as soon as it is larger than GitHub allows."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and len(announced) < 20 and int(announced) > LIMIT:  # noqa: PLR2004 - digits of a 64-bit number
        raise DeliveryTooLarge("the body is over 25 MB")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LIMIT:
                    raise DeliveryTooLarge("the body is over 25 MB")
    except TimeoutError:
        raise IncompleteDelivery(f"the body did not arrive within {BODY_TIMEOUT:g} s") from None
    except ClientDisconnect:
        raise IncompleteDelivery("the sender closed the connection before the body was complete") from None
    return bytes(body)


def _signature(request: Request) -> bytes | None:
    return next((value for name, value in request.headers.raw if name == b"x-hub-signature-256"), None)
