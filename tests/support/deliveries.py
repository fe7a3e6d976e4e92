"""Deliveries as GitHub sends them: signed bytes and headers, for the tests of the front door."""

import hashlib
import hmac
import json
import uuid

SECRET = b"rotate-me"
REPOSITORY = {"id": 42, "full_name": "octo/shop", "private": True}
ADA = {"login": "ada", "id": 7, "type": "User"}


def payload(action="opened", **parts):
    """A pull_request payload with what every delivery of an App carries; `parts` replace or add."""
    return {
        "action": action,
        "repository": REPOSITORY,
        "installation": {"id": 5},
        "sender": ADA,
        "pull_request": {"number": 3, "head": {"sha": "a" * 40}},
        **parts,
    }


def comment(body, action="created", **parts):
    """An issue_comment payload on pull request 3."""
    return {
        "action": action,
        "repository": REPOSITORY,
        "installation": {"id": 5},
        "sender": ADA,
        "issue": {"number": 3, "pull_request": {"url": "https://example.test"}},
        "comment": {"id": 11, "body": body, "user": ADA, "author_association": "MEMBER"},
        **parts,
    }


def signed(content, event="pull_request", secret=SECRET, guid=None, **headers):
    """Headers and body of a delivery; `content` is JSON-able or bytes."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    digest = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return {
        "content-type": "application/json",
        "x-github-event": event,
        "x-github-delivery": guid or str(uuid.uuid4()),
        "x-github-hook-installation-target-id": "99",
        "x-hub-signature-256": f"sha256={digest}",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }, body
