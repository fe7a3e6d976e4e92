"""Watches a product in this process for requests to GitHub or a model that a run makes outside of its steps."""

from contextlib import contextmanager

import httpx2
from dbos._context import get_local_dbos_context

from bot.hosts.github.transport import KeptOpen


def is_outside(context):
    """Whether a run is under way here, and no step of it. Nothing runs for the webhook and for the reconciler."""
    return context is not None and context.is_workflow()


@contextmanager
def watched_requests():
    """Yields what is found: method and URL of each request outside of a step, and the number of all within one."""
    outside, inside = [], []
    wires = (KeptOpen, httpx2.AsyncHTTPTransport)
    originals = [wire.handle_async_request for wire in wires]

    def watch(original):
        async def handle_async_request(self, request):
            context = get_local_dbos_context()
            if is_outside(context):
                outside.append(f"{request.method} {request.url}")
            elif context is not None and context.is_step():
                inside.append(f"{request.method} {request.url}")
            return await original(self, request)

        return handle_async_request

    for wire, original in zip(wires, originals, strict=True):
        wire.handle_async_request = watch(original)
    try:
        yield outside, inside
    finally:
        for wire, original in zip(wires, originals, strict=True):
            wire.handle_async_request = original
