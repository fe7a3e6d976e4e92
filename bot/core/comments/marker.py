"""Hidden markers in our comments, signed for one pull request and honoured only in comments of our own account."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass

from bot.core.code.pull_request import PullRef

_MARKER = re.compile(
    r"<!-- assistant:v1 (review|finding|reply|summary) ([0-9a-f]{16,64}) (?:([A-Za-z0-9+/=]{1,4000}) )?([0-9a-f]{32}) -->"
)


def is_review(body: str) -> bool:
    """Whether a text carries the marker of a review. The signature is not checked."""
    return any(match[1] == "review" for match in _MARKER.finditer(body))


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs markers with a secret of this deployment. Recognises them also if one of the `former` secrets signed them."""

    secret: bytes
    former: tuple[bytes, ...] = ()

    def mark(self, ref: PullRef, kind: str, name: str, detail: str = "") -> str:
        """The marker for `name` (hexadecimal) of `kind` on the pull request `ref`. `detail` is any short text."""
        packed = base64.b64encode(detail.encode(errors="replace")).decode()
        return f"<!-- assistant:v1 {' '.join(filter(None, (kind, name, packed, self._signature(ref, kind, name, packed))))} -->"

    def name(self, *parts: str) -> str:
        """A keyed hash of `parts` (32 hexadecimal digits); only this deployment can compute it."""
        return _keyed(self.secret, parts)

    def read(self, ref: PullRef, kind: str, body: str) -> tuple[str, ...]:
        """The names of `kind` that `body` carries with a valid signature for `ref`."""
        return tuple(name for name, _ in self.details(ref, kind, body))

    def details(self, ref: PullRef, kind: str, body: str) -> tuple[tuple[str, str], ...]:
        """The same names, each with the detail that was signed with it."""
        return tuple(
            (match[2], base64.b64decode(match[3] or "").decode())
            for match in _MARKER.finditer(body)
            if match[1] == kind and self._is_ours(match[4], _signed_parts(ref, kind, match[2], match[3] or ""))
        )

    def _signature(self, ref: PullRef, kind: str, name: str, packed: str) -> str:
        return self.name(*_signed_parts(ref, kind, name, packed))

    def _is_ours(self, signature: str, parts: tuple[str, ...]) -> bool:
        return any(hmac.compare_digest(signature, _keyed(secret, parts)) for secret in (self.secret, *self.former))


def _signed_parts(ref: PullRef, kind: str, name: str, packed: str) -> tuple[str, ...]:
    return "marker", str(ref.repo_id or ref.repo), str(ref.number), kind, name, packed


def _keyed(secret: bytes, parts: tuple[str, ...]) -> str:
    return hmac.new(secret, "\0".join(parts).encode(), hashlib.sha256).hexdigest()[:32]
