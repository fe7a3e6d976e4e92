"""Hidden markers in what we post: signed, so that a copied or invented one is worth nothing.

A marker is honoured only on a comment of our own account; the signature binds it to one pull request.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass

from bot.review.pull_request import PullRef, Said

_MARKER = re.compile(r"<!-- assistant:v1 (review|finding|reply|summary) ([0-9a-f]{16,64}) ([0-9a-f]{32}) -->")


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs and recognises markers with a secret of this deployment."""

    secret: bytes

    def mark(self, ref: PullRef, kind: str, name: str) -> str:
        """The marker for `name` (hexadecimal) of `kind` on the pull request `ref`."""
        return f"<!-- assistant:v1 {kind} {name} {self._signature(ref, kind, name)} -->"

    def name(self, *parts: str) -> str:
        """A name (32 hexadecimal digits) that only this deployment can make for `parts`."""
        return hmac.new(self.secret, "\0".join(parts).encode(), hashlib.sha256).hexdigest()[:32]

    def read(self, ref: PullRef, kind: str, body: str) -> tuple[str, ...]:
        """The names of `kind` that `body` carries with a valid signature for `ref`."""
        return tuple(
            match[2]
            for match in _MARKER.finditer(body)
            if match[1] == kind and hmac.compare_digest(match[3], self._signature(ref, kind, match[2]))
        )

    def findings(self, ref: PullRef, said: Iterable[Said]) -> frozenset[str]:
        """The identities of the findings that our own comments on `ref` already carry."""
        return frozenset(name for one in said if one.by_us for name in self.read(ref, "finding", one.body))

    def _signature(self, ref: PullRef, kind: str, name: str) -> str:
        return self.name("marker", str(ref.repo_id or ref.repo), str(ref.number), kind, name)
