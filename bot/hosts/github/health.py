"""What keeps us from GitHub now: outages, and the faults that only the operator can mend.

Each trouble is logged once when it begins and once when it is over, and counted; readiness and metrics show it meanwhile.
"""

from __future__ import annotations

import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import httpx
import structlog

from bot.errors import OperatorTrouble, Outage

log = structlog.get_logger()

LIMITS = ("core", "graphql", "search", "code_search")
"""GitHub's limits that we meet. https://docs.github.com/en/rest/rate-limit/rate-limit"""
_MOST_LIMITS = 10_000
_SUSPICIOUS = 3
"""Requests in a row without an answer after which GitHub counts as unreachable. Before the first answer one is enough."""

_LASTING = 15.0
"""Seconds after which readiness reports that GitHub cannot be reached."""


class TroubleKind(StrEnum):
    """The kinds of trouble, as metrics name them."""

    CREDENTIALS = "credentials"
    SUSPENDED = "suspended"
    ADDRESS = "address"
    CERTIFICATE = "certificate"
    PROXY = "proxy"
    UNREACHABLE = "unreachable"


class RequestOutcome(StrEnum):
    """What became of a request, as metrics name it."""

    ANSWERED = "answered"
    REFUSED = "refused"
    LIMITED = "limited"
    FAILED = "failed"


_CURES = {
    TroubleKind.CREDENTIALS: "Compare GITHUB_APP_ID and the private key with the App's settings page on GitHub; "
    "a new key is made there under Private keys.",
    TroubleKind.SUSPENDED: "An owner of the account can lift the suspension under Settings > GitHub Apps.",
    TroubleKind.ADDRESS: "Correct GITHUB_API_URL: https://api.github.com, or https://HOST/api/v3 for GitHub Enterprise Server.",
    TroubleKind.CERTIFICATE: "Set SSL_CERT_FILE to a file with the certificate authority that GitHub's server, or your proxy, uses.",
    TroubleKind.PROXY: "Correct HTTPS_PROXY and NO_PROXY, or let the proxy pass requests to GitHub.",
    TroubleKind.UNREACHABLE: "Check GITHUB_API_URL, the name server, the firewall, and HTTPS_PROXY where a proxy is needed.",
}
# A successful request proves that these are over. Only the App's own requests prove its credentials.
_PROVEN = frozenset(TroubleKind) - {TroubleKind.CREDENTIALS, TroubleKind.SUSPENDED}


def trouble(kind: TroubleKind, cause: str) -> OperatorTrouble:
    """The error for a trouble of the operator's, with its cure."""
    return OperatorTrouble(cause, kind=kind, cure=_CURES[kind])


def connection_error(error: httpx.RequestError, request: str) -> Outage:
    """The error for a request that got no answer: the operator's trouble where the cause is known, otherwise an outage."""
    if isinstance(error, httpx.ProxyError):
        return trouble(TroubleKind.PROXY, f"the proxy does not pass requests to GitHub on ({error})")
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return trouble(
                TroubleKind.CERTIFICATE, f"the certificate of GitHub's server is not trusted ({cause.verify_message})"
            )
    return Outage(f"GitHub did not answer {request} ({type(error).__name__})")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@dataclass(frozen=True, slots=True)
class _Standing:
    """A trouble that is not over. `since` is in seconds of a monotonic clock."""

    error: OperatorTrouble
    since: float


class GitHubHealth:
    """The troubles that stand between us and the GitHub at `url`."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url, self._clock = url, clock
        self._standing: dict[tuple[str, int], _Standing] = {}
        self._unanswered = 0
        self._others: set[int] = set()
        self.answered = False
        self.counts: Counter[str] = Counter()
        self.requests: Counter[str] = Counter(dict.fromkeys(RequestOutcome, 0))
        self._limits: dict[tuple[str, float], int] = {}

    def succeeded(self) -> None:
        """Records an answer of GitHub's API to any request."""
        self.answered, self._unanswered = True, 0
        for kind, installation in [key for key in self._standing if key[0] in _PROVEN]:
            self._end(kind, installation)

    def accepted(self, installation: int = 0) -> None:
        """Records that GitHub accepted the App's own credential, for one installation or for itself."""
        self._end(TroubleKind.CREDENTIALS, 0)
        if installation:
            self._end(TroubleKind.SUSPENDED, installation)
            self._others.add(installation)

    def failed(self, error: Outage, installation: int = 0) -> None:
        """Records a failed request. An installation's own trouble is kept apart from the App's."""
        if isinstance(error, OperatorTrouble):
            suspended = error.kind == TroubleKind.SUSPENDED
            self._others.discard(installation)
            self._begin(error, installation if suspended else 0)
            return
        self._unanswered += 1
        if self._unanswered >= (_SUSPICIOUS if self.answered else 1):
            self._begin(trouble(TroubleKind.UNREACHABLE, f"{self._url} does not work: {error}"), 0)

    def counted(self, outcome: RequestOutcome) -> None:
        """Counts a request."""
        self.requests[outcome] += 1

    def limited(self, headers: Mapping[str, str]) -> None:
        """Records what is left of a limit. The installations' limits differ in the time of their reset."""
        resource, left, reset = (headers.get(f"x-ratelimit-{name}", "") for name in ("resource", "remaining", "reset"))
        if resource in LIMITS and left.isdecimal() and reset.isdecimal() and len(self._limits) < _MOST_LIMITS:
            self._limits[resource, float(reset)] = int(left)

    def limits_left(self, now: float) -> dict[str, int]:
        """Returns the lowest number of requests left by resource, of the limits that are not reset yet (seconds since 1970)."""
        self._limits = {key: left for key, left in self._limits.items() if key[1] > now}
        lowest: dict[str, int] = {}
        for (resource, _), left in self._limits.items():
            lowest[resource] = min(left, lowest.get(resource, left))
        return lowest

    def problems(self) -> dict[str, str]:
        """Returns what readiness reports, by kind.

        One suspended installation among working ones is not reported, and a GitHub that cannot be reached only when that
        lasts: deliveries can be stored meanwhile.
        """
        return {
            f"github {kind}": f"{standing.error}. {standing.error.cure}"
            for (kind, _), standing in self._standing.items()
            if (kind != TroubleKind.SUSPENDED or not self._others)
            and (kind != TroubleKind.UNREACHABLE or self._clock() - standing.since >= _LASTING)
        }

    def standing(self) -> Counter[str]:
        """Returns how many troubles of each kind stand now, for metrics."""
        counts = Counter({str(kind): 0 for kind in TroubleKind})
        counts.update(str(kind) for kind, _ in self._standing)
        return counts

    def _begin(self, error: OperatorTrouble, installation: int) -> None:
        key = (error.kind, installation)
        if key not in self._standing:
            self._standing[key] = _Standing(error, self._clock())
            self.counts[error.kind] += 1
            about = {"installation": installation} if installation else {}
            log.error("GitHub cannot be used", cause=str(error), cure=error.cure, kind=str(error.kind), **about)

    def _end(self, kind: str, installation: int) -> None:
        if standing := self._standing.pop((kind, installation), None):
            seconds = round(self._clock() - standing.since)
            log.info("GitHub can be used again", kind=str(kind), after_seconds=seconds)
