"""The faults of model servers: how each is played, the error that it becomes, and what the error says or waits."""

import httpx2

from bot.errors import Forbidden, NotFound, RateLimited, Refused, Retryable, TooLarge
from tests.support.model_turns import Turn, fails, garbles, raises

WAIT, AGAIN, STOP, LONG, POLICY = RateLimited, Retryable, Refused, TooLarge, Forbidden

FAULTS = {
    "rate limit": (fails(429, "rate_limit_exceeded", retry_after="7"), WAIT, 7.0),
    "rate limit in ms": (fails(429, retry_after_ms="200"), WAIT, 0.2),
    "rate limit, an hour": (fails(429, retry_after="3600"), WAIT, 3600.0),
    "rate limit, no time named": (fails(429), WAIT, None),
    "requests used up": (
        fails(
            429, x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests="6m0s", x_ratelimit_reset_tokens="9h"
        ),
        WAIT,
        360.0,
    ),
    "slow down": (fails(503, message="Slow Down"), WAIT, 60.0),
    "quota": (fails(429, "insufficient_quota", "insufficient_quota"), POLICY, "no quota left"),
    "balance": (fails(429, "credit_balance_exhausted", "insufficient_quota"), POLICY, "no quota left"),
    "organization's limit": (fails(429, "organization_spend_limit_exceeded"), POLICY, "no quota left"),
    "project's limit": (fails(429, "project_spend_limit_exceeded"), POLICY, "no quota left"),
    "usage limit": (fails(429, "organization_usage_limit_exceeded"), POLICY, "no quota left"),
    "key": (
        fails(401, "invalid_api_key", message="Incorrect API key: sk-abc***xyz"),
        POLICY,
        "does not accept the key",
    ),
    "forbidden": (fails(403, "unsupported_country"), POLICY, "forbids"),
    "misalignment": (fails(403, "misalignment_policy_violation"), POLICY, "by policy"),
    "unknown model": (fails(404, "model_not_found"), NotFound, "does not know the model"),
    "bad request": (fails(400, "invalid_value"), STOP, "refused the request (HTTP 400 invalid_value"),
    "unprocessable": (fails(422), STOP, "HTTP 422"),
    "context": (fails(400, "context_length_exceeded"), LONG, "too long"),
    "context, in words": (fails(400, message="This model's maximum context length is 8192 tokens"), LONG, "too long"),
    "body": (fails(413), LONG, "too long"),
    "timeout at the server": (fails(408), AGAIN, None),
    "conflict": (fails(409), AGAIN, None),
    "server error": (fails(500, "server_error"), AGAIN, None),
    "bad gateway": (fails(502), AGAIN, None),
    "unavailable, with a time": (fails(503, retry_after="3"), AGAIN, 3.0),
    "overloaded": (fails(529), AGAIN, None),
    "not worth a retry": (fails(500, x_should_retry="false"), STOP, "HTTP 500"),
    "worth a retry": (fails(400, x_should_retry="true"), AGAIN, None),
    "connection": (raises(httpx2.ConnectError("refused")), AGAIN, None),
    "reset": (raises(httpx2.ReadError("reset")), AGAIN, None),
    "read timeout": (raises(httpx2.ReadTimeout("slow")), AGAIN, None),
    "half an answer": (garbles('{"id": "resp_1", "outp'), AGAIN, None),
    "nothing": (garbles(""), AGAIN, None),
    "a web page": (garbles("<html>502</html>"), AGAIN, None),
    "another shape": (garbles('{"choices": [], "output": {}}'), AGAIN, None),
    "a list": (garbles("[]"), AGAIN, None),
    "odd items": (garbles('{"output": ["x"], "choices": [{}]}'), AGAIN, None),
    "failed": (Turn(failed="server_error"), AGAIN, None),
    "failed, too many": (Turn(failed="rate_limit_exceeded"), WAIT, None),
    "failed, bio": (Turn(failed="bio_policy"), POLICY, "by policy"),
    "failed, misaligned": (Turn(failed="misalignment_policy_violation"), POLICY, "by policy"),
    "failed, store": (Turn(failed="vector_store_timeout"), STOP, "vector_store_timeout"),
}
