"""Signed webhook deliveries. Each is sent once; only a redelivery sends it again, as on GitHub."""

from __future__ import annotations

import hmac
import json
import uuid

import httpx

from bot.sandbox.world import shape
from bot.sandbox.world.state import Repository, User, World
from bot.sandbox.world.traffic import Delivery

WINDOW = 3 * 24 * 3600  # https://docs.github.com/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks
HOOK_ID = 4242


def emit(
    world: World, repository: Repository, event: str, action: str | None, sender: User, **content: object
) -> Delivery | None:
    """Queue a delivery for the App, if it is installed on the repository and subscribes to the event."""
    installation = world.installation_of(repository)
    if installation is None or event not in world.app.events:
        return None
    payload: dict[str, object] = ({"action": action} if action else {}) | content
    payload |= {
        "repository": shape.repository(world, repository),
        "sender": shape.user(world, sender),
        "installation": {"id": installation.id, "node_id": shape.node("Installation", installation.id)},
    }
    number = world.next_id()
    delivery = Delivery(
        id=number,
        guid=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{world.url}/{number}")),
        event=event,
        action=action,
        headers={},
        body=json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode(),
        delivered_at=world.now(),
        repository=repository.id,
        installation=installation.id,
    )
    delivery.headers = headers(world, delivery)
    world.deliveries.append(delivery)
    return delivery


def headers(world: World, delivery: Delivery) -> dict[str, str]:
    """The request headers of a delivery, signed with the World's present secret."""
    signature = {
        f"X-Hub-Signature{suffix}": f"{name}={hmac.new(world.secret.encode(), delivery.body, name).hexdigest()}"
        for suffix, name in (("", "sha1"), ("-256", "sha256"))
    }
    return {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/5a7d0c1",
        "X-GitHub-Delivery": delivery.guid,
        "X-GitHub-Event": delivery.event,
        "X-GitHub-Hook-ID": str(HOOK_ID),
        "X-GitHub-Hook-Installation-Target-ID": str(world.app.id),
        "X-GitHub-Hook-Installation-Target-Type": "integration",
    } | signature


async def deliver(world: World, client: httpx.AsyncClient, url: str) -> list[Delivery]:
    """Send what is pending to `url`, oldest first. A failure is recorded; nothing is sent again by itself."""
    pending = [delivery for delivery in world.deliveries if delivery.code is None]
    for delivery in pending:
        try:
            response = await client.post(url, content=delivery.body, headers=delivery.headers)
        except httpx.TimeoutException:
            settle(delivery, 0, "timed out")
        except httpx.TransportError:
            settle(delivery, 0, "failed to connect to host")
        else:
            settle(delivery, response.status_code)
    return pending


def settle(delivery: Delivery, code: int, status: str = "") -> None:
    """Record how an attempt ended."""
    delivery.code = code
    delivery.status = status or ("OK" if code < 400 else f"Invalid HTTP Response: {code}")  # noqa: PLR2004 - a 4xx


def redeliver(world: World, delivery: Delivery) -> Delivery:
    """Queue another attempt. It keeps the GUID: that names the event, not the attempt."""
    again = Delivery(
        id=world.next_id(),
        guid=delivery.guid,
        event=delivery.event,
        action=delivery.action,
        headers={},
        body=delivery.body,
        delivered_at=world.now(),
        repository=delivery.repository,
        installation=delivery.installation,
        redelivery=True,
    )
    again.headers = headers(world, again)
    world.deliveries.append(again)
    return again
