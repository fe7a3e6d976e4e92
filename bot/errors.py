"""The exceptions that this product raises, as a tree.

AssistantError
├── ConfigurationError      a setting is missing or wrong; the operator can correct it
├── UserError               its text is shown unchanged to the person who asked
├── BadDelivery             the webhook refuses a request
│   ├── SignatureMismatch       401: missing, malformed or wrong signature
│   ├── IncompleteDelivery      408: the body did not arrive
│   ├── DeliveryTooLarge        413: over 25 MB
│   ├── UnsupportedDelivery     415: signed, but not sent as JSON
│   ├── TooManyBodies           503: other deliveries fill the memory for bodies
│   └── MalformedDelivery       400: signed, but not what GitHub sends
├── NotDurable              503: the job could not be stored now; the sender may try again
│   └── DatabaseGone            the file of the database was deleted or replaced while the server runs
├── Superseded              the pull request has a newer head or is closed: stop without a comment
├── LeaseLost               another worker has the jobs of this one: stop without a write
├── Retryable               another try may succeed later (after `after` seconds)
│   └── RateLimited             GitHub or the model asked us to wait
└── Refused                 the same request will be refused again
    ├── NotFound                404, 410
    ├── Forbidden               401 after a fresh token, 403
    ├── Unprocessable           422
    ├── TooLarge                over one of our bounds or of GitHub's
    ├── TimedOut                the model took longer than a call or a review may wait
    └── BudgetExhausted         the next call would cost more than a budget allows
"""

from __future__ import annotations


class AssistantError(Exception):
    """The root of every exception that this product raises on purpose."""


class ConfigurationError(AssistantError):
    """A setting is missing or wrong; the text says which one and how to correct it."""


class UserError(AssistantError):
    """A person asked for something that cannot be done; the text is shown to that person."""


class BadDelivery(AssistantError):
    """A request to the webhook that is not a valid delivery."""

    status = 400


class SignatureMismatch(BadDelivery):
    """The HMAC-SHA256 of the body is missing, malformed or wrong."""

    status = 401


class IncompleteDelivery(BadDelivery):
    """The body did not arrive in time, or the sender closed the connection."""

    status = 408


class DeliveryTooLarge(BadDelivery):
    """The body is over GitHub's own cap of 25 MB."""

    status = 413


class UnsupportedDelivery(BadDelivery):
    """The webhook sends another content type than application/json."""

    status = 415


class TooManyBodies(BadDelivery):
    """Other deliveries fill the memory for bodies; the sender may try again."""

    status = 503


class MalformedDelivery(BadDelivery):
    """The signature is right, but a header or the JSON is not what GitHub sends."""


class NotDurable(AssistantError):
    """The job could not be stored; nothing was accepted."""


class DatabaseGone(NotDurable):
    """The file of the database was deleted or replaced: what is stored now would be lost with this process."""


class Superseded(AssistantError):
    """A newer head, a closed pull request or a cancellation made this work useless."""


class LeaseLost(AssistantError):
    """This process was superseded while it hung: another worker has its jobs, and it must not write any more."""


class Retryable(AssistantError):
    """Another try may succeed. `after` is in seconds; None leaves the delay to the engine.

    `undone` says that the server answered that it did nothing; otherwise it may have done the work.
    """

    def __init__(self, message: str, after: float | None = None, *, undone: bool = False) -> None:
        super().__init__(message)
        self.after = after
        self.undone = undone


class RateLimited(Retryable):
    """The server asked us to wait: GitHub's primary or secondary limit, or a 429 of the model."""


class Outage(Retryable):
    """The code host is out of reach or fails: the work is tried again for up to a day."""


class HostLimited(RateLimited, Outage):
    """The code host limits our requests."""


class OperatorTrouble(Outage):
    """The operator has to change something; until then the work waits. `kind` names the trouble, `cure` what to change."""

    def __init__(
        self, message: str, after: float | None = None, *, undone: bool = False, kind: str = "", cure: str = ""
    ) -> None:
        super().__init__(message, after, undone=undone)
        self.kind = kind
        self.cure = cure


class Refused(AssistantError):
    """The same request will be refused again."""


class NotFound(Refused):
    """The object does not exist, or we may not see it."""


class Forbidden(Refused):
    """The token does not have this permission."""


class Unprocessable(Refused):
    """GitHub understands the request and rejects its content."""


class TooLarge(Refused):
    """The content is over a bound: none of it was read."""


class TimedOut(Refused):
    """The server took a request and did not answer within the time that there is."""


class BudgetExhausted(Refused):
    """The call was refused before it was made; it cost nothing."""
