"""Pages for people."""

from __future__ import annotations

from starlette.routing import Route

from bot.sandbox.world import World


def routes(_: World) -> list[Route]:
    """Where they are."""
    return []
