"""Everything that can go wrong, drawn once.

AssistantError
├── ConfigurationError      the operator can mend it: a setting is missing or wrong
├── UserError               its text is shown, word for word, to the person who asked
├── BadDelivery             the front door refuses a request
│   ├── SignatureMismatch       401: missing, malformed or wrong signature
│   ├── IncompleteDelivery      408: the body did not arrive
│   ├── DeliveryTooLarge        413: over 25 MB
│   ├── UnsupportedDelivery     415: signed, but not sent as JSON
│   └── MalformedDelivery       400: signed, but not what GitHub sends
├── NotDurable              503: the job could not be stored now; the sender may try again
├── Superseded              the pull request moved on: stop quietly, say nothing
├── Retryable               the world may answer differently later (`after` seconds)
│   └── RateLimited             GitHub or the model asked us to wait
└── Refused                 the world said no, and will say it again
    ├── NotFound                404, 410
    ├── Forbidden               401 after a fresh token, 403
    ├── Unprocessable           422
    ├── TooLarge                over a bound of ours or of GitHub's
    └── BudgetExhausted         the next call would cost more than somebody allowed
"""

from __future__ import annotations


class AssistantError(Exception):
    """The root: whatever this product raises on purpose."""


class ConfigurationError(AssistantError):
    """A setting is missing or wrong; the text says which and how to mend it."""


class UserError(AssistantError):
    """Somebody asked for something that cannot be done; the text is for them."""


class BadDelivery(AssistantError):
    """A request at the front door that is not a delivery."""

    status = 400


class SignatureMismatch(BadDelivery):
    """The HMAC-SHA256 of the body is missing, malformed or not ours."""

    status = 401


class IncompleteDelivery(BadDelivery):
    """The body did not arrive in time, or the sender hung up."""

    status = 408


class DeliveryTooLarge(BadDelivery):
    """The body is over GitHub's own cap of 25 MB."""

    status = 413


class UnsupportedDelivery(BadDelivery):
    """The webhook is set to another content type than application/json."""

    status = 415


class MalformedDelivery(BadDelivery):
    """Correctly signed, but a header or the JSON is not what GitHub sends."""


class NotDurable(AssistantError):
    """The job could not be stored; nothing was accepted."""


class Superseded(AssistantError):
    """A newer head, a close or a cancel made this work pointless."""


class Retryable(AssistantError):
    """Worth another try. `after` is in seconds; None leaves the delay to the engine.

    `undone` says that the world itself answered that it did nothing; otherwise the work may have been done.
    """

    def __init__(self, message: str, after: float | None = None, *, undone: bool = False) -> None:
        super().__init__(message)
        self.after = after
        self.undone = undone


class RateLimited(Retryable):
    """Asked to wait: primary or secondary limit of GitHub, or a model's 429."""


class Refused(AssistantError):
    """The same request would be refused again."""


class NotFound(Refused):
    """It is not there, or not for us."""


class Forbidden(Refused):
    """The token may not do this."""


class Unprocessable(Refused):
    """GitHub understood the request and rejects its content."""


class TooLarge(Refused):
    """Over a bound: nothing was cut, nothing was read."""


class BudgetExhausted(Refused):
    """Refused before the call was made; nothing was spent."""
