"""The traffic between the sandbox and the App: webhooks out, requests in, and the hourly rate limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, kw_only=True)
class Delivery:
    """One attempt to deliver a webhook. `code` is None while it is pending, 0 when there was no answer."""

    id: int
    guid: str
    event: str
    action: str | None
    headers: dict[str, str]
    body: bytes
    delivered_at: str
    repository: int | None
    installation: int
    redelivery: bool = False
    status: str = "pending"
    code: int | None = None


@dataclass(slots=True)
class Recorded:
    """A request to the API as it was answered. `caller` is "app", "installation" or "anonymous"; `fault` names a fault."""

    method: str
    path: str
    status: int = 0
    caller: str = "anonymous"
    token: str = ""
    permissions: Mapping[str, str] = field(default_factory=dict)
    repositories: frozenset[int] = frozenset()
    body: Any = None
    fault: str = ""


@dataclass(slots=True)
class Window:
    """How much of the hour's primary rate limit an installation has used; `reset` in seconds since 1970."""

    reset: float
    used: int = 0
