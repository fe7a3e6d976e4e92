"""The App's own endpoints: its tokens, what they reach and its webhook deliveries."""

from __future__ import annotations

import json

from starlette.responses import Response

from bot.sandbox.api import auth
from bot.sandbox.api.call import Call, Endpoint, ok
from bot.sandbox.world import hooks, shape
from bot.sandbox.world.rules import Rejected
from bot.sandbox.world.state import World, stamp
from bot.sandbox.world.traffic import Delivery


async def get_app(call: Call) -> Response:
    """GET /app"""
    return ok(shape.app(call.world))


async def create_token(call: Call) -> Response:
    """POST /app/installations/{number}/access_tokens"""
    found = call.world.installations.get(call.number())
    if found is None:
        raise Rejected(404, "Not Found")
    if found.suspended:
        raise Rejected(403, "This installation has been suspended")
    token = auth.mint(call.world, found, call.body)
    seen = [repo for repo in call.world.repositories.values() if repo.id in token.repositories]
    about = {
        "token": token.text,
        "expires_at": stamp(token.expires),
        "permissions": dict(token.permissions),
        "repository_selection": "selected",
    }
    narrowed = "repositories" in call.body or "repository_ids" in call.body
    return ok(
        about | ({"repositories": [shape.repository(call.world, repo) for repo in seen]} if narrowed else {}), 201
    )


async def get_hook_config(call: Call) -> Response:
    """GET /app/hook/config"""
    return ok({"url": call.world.hook_url, "content_type": "json", "insecure_ssl": "0", "secret": "********"})


async def list_repositories(call: Call) -> Response:
    """GET /installation/repositories"""
    seen = call.token.repositories if call.token else frozenset()
    shown = [shape.repository(call.world, repo) for repo in call.world.repositories.values() if repo.id in seen]
    return call.page(shown, wrap="repositories")


async def list_installations(call: Call) -> Response:
    """GET /app/installations"""
    world = call.world
    return call.page([shape.installation(world, found) for found in world.installations.values()])


async def list_deliveries(call: Call) -> Response:
    """GET /app/hook/deliveries, newest first, by cursor"""
    query = call.request.query_params
    cursor, size = query.get("cursor", ""), query.get("per_page", "")
    found = [one for one in reversed(_recent(call.world)) if one.code is not None]
    if query.get("status") in ("success", "failure"):
        found = [one for one in found if _failed(one) == (query["status"] == "failure")]
    if cursor.isdecimal():
        found = [one for one in found if one.id < int(cursor)]
    limit = min(int(size), 100) if size.isdecimal() else 30
    shown = found[:limit]
    more = call.request.url.include_query_params(cursor=shown[-1].id) if len(found) > limit else None
    response = ok([delivery(one) for one in shown])
    if more:
        response.headers["Link"] = f'<{more}>; rel="next"'
    return response


async def get_delivery(call: Call) -> Response:
    """GET /app/hook/deliveries/{number}"""
    one = _find(call)
    about = {"request": {"headers": one.headers, "payload": json.loads(one.body)}}
    return ok(delivery(one) | about | {"response": {"headers": {}, "payload": None}})


async def redeliver(call: Call) -> Response:
    """POST /app/hook/deliveries/{number}/attempts"""
    hooks.redeliver(call.world, _find(call))
    return ok({}, 202)


def _recent(world: World) -> list[Delivery]:
    oldest = stamp(world.clock() - hooks.WINDOW)
    return [one for one in world.deliveries if one.delivered_at >= oldest]


def _failed(one: Delivery) -> bool:
    """Whether the status is 400 to 599. GitHub lists an attempt without an answer in neither list."""
    return one.code is not None and one.code >= 400  # noqa: PLR2004 - a 4xx or 5xx


def _find(call: Call) -> Delivery:
    found = next((one for one in _recent(call.world) if one.id == call.number()), None)
    if found is None:
        raise Rejected(404, "Not Found")
    return found


def delivery(one: Delivery) -> shape.Json:
    """A delivery in the list."""
    return {
        "id": one.id,
        "guid": one.guid,
        "delivered_at": one.delivered_at,
        "redelivery": one.redelivery,
        "duration": 0.1,
        "status": one.status,
        "status_code": one.code or 0,
        "event": one.event,
        "action": one.action,
        "installation_id": one.installation,
        "repository_id": one.repository,
        "throttled_at": None,
    }


ENDPOINTS = (
    Endpoint("GET", "/app", get_app, app=True),
    Endpoint("GET", "/app/installations", list_installations, app=True),
    Endpoint("POST", "/app/installations/{number:int}/access_tokens", create_token, app=True),
    Endpoint("GET", "/app/hook/config", get_hook_config, app=True),
    Endpoint("GET", "/app/hook/deliveries", list_deliveries, app=True),
    Endpoint("GET", "/app/hook/deliveries/{number:int}", get_delivery, app=True),
    Endpoint("POST", "/app/hook/deliveries/{number:int}/attempts", redeliver, app=True),
    Endpoint("GET", "/installation/repositories", list_repositories),
)
