"""Endpoints of conversations: issues, comments, reactions, labels. A pull request is an issue here, as on GitHub."""

from __future__ import annotations

from starlette.responses import Response

from bot.sandbox.api import auth
from bot.sandbox.api.call import Call, Endpoint, done, ok
from bot.sandbox.api.review import find_comment, own
from bot.sandbox.world import conversation, shape
from bot.sandbox.world.rules import REACTIONS, Rejected, check_body
from bot.sandbox.world.state import Issue, IssueComment, Pull, Said


async def get_issue(call: Call) -> Response:
    """GET …/issues/{number}"""
    _check(call, call.issue, "read")
    return ok(shape.issue(call.world, call.repo, call.issue))


async def list_comments(call: Call) -> Response:
    """GET …/issues/{number}/comments, oldest first"""
    _check(call, call.issue, "read")
    found = call.issue.comments
    return call.page([shape.issue_comment(call.world, call.repo, call.issue, said) for said in found])


async def create_comment(call: Call) -> Response:
    """POST …/issues/{number}/comments"""
    _check(call, call.issue, "write")
    check_body(call.body.get("body") or "", "IssueComment")
    if call.issue.locked:
        raise Rejected(403, "Unable to create comment because issue is locked.")
    said = conversation.comment(call.world, call.repo, call.issue, call.me, call.body["body"])
    return ok(shape.issue_comment(call.world, call.repo, call.issue, said), 201)


async def get_comment(call: Call) -> Response:
    """GET …/issues/comments/{comment}"""
    issue, said = _find(call, "read")
    return ok(shape.issue_comment(call.world, call.repo, issue, said))


async def update_comment(call: Call) -> Response:
    """PATCH …/issues/comments/{comment}: one's own only"""
    issue, said = _find(call, "write")
    check_body(call.body.get("body") or "", "IssueComment")
    own(call, said)
    conversation.edit(call.world, call.repo, issue, said, call.me, call.body["body"])
    return ok(shape.issue_comment(call.world, call.repo, issue, said))


async def delete_comment(call: Call) -> Response:
    """DELETE …/issues/comments/{comment}"""
    issue, said = _find(call, "write")
    own(call, said)
    conversation.delete(call.world, call.repo, issue, said, call.me)
    return done()


async def react_to_comment(call: Call) -> Response:
    """POST …/issues/comments/{comment}/reactions: 200 if it was there already"""
    return _react(call, _find(call, "write")[1])


async def react_to_review_comment(call: Call) -> Response:
    """POST …/pulls/comments/{comment}/reactions"""
    return _react(call, find_comment(call)[1])


async def react_to_issue(call: Call) -> Response:
    """POST …/issues/{number}/reactions"""
    _check(call, call.issue, "write")
    return _react(call, call.issue)


async def list_reactions(call: Call) -> Response:
    """GET …/issues/comments/{comment}/reactions"""
    return call.page([shape.reaction(call.world, given) for given in _find(call, "read")[1].reactions])


async def list_review_reactions(call: Call) -> Response:
    """GET …/pulls/comments/{comment}/reactions"""
    return call.page([shape.reaction(call.world, given) for given in find_comment(call)[1].reactions])


async def list_labels(call: Call) -> Response:
    """GET …/issues/{number}/labels"""
    _check(call, call.issue, "read")
    return call.page([shape.label(call.world, call.repo, name) for name in call.issue.labels])


async def add_labels(call: Call) -> Response:
    """POST …/issues/{number}/labels"""
    _check(call, call.issue, "write")
    names = call.body.get("labels")
    if not isinstance(names, list) or not all(isinstance(name, str) and 0 < len(name) <= 50 for name in names):  # noqa: PLR2004 - GitHub's bound
        raise Rejected(422, 'Invalid request.\n\n"labels" wasn\'t supplied.')
    for name in names:
        conversation.label(call.world, call.repo, call.issue, call.me, name)
    return ok([shape.label(call.world, call.repo, name) for name in call.issue.labels])


async def remove_label(call: Call) -> Response:
    """DELETE …/issues/{number}/labels/{name}"""
    _check(call, call.issue, "write")
    if call.text("name") not in call.issue.labels:
        raise Rejected(404, "Label does not exist")
    conversation.unlabel(call.world, call.repo, call.issue, call.me, call.text("name"))
    return ok([shape.label(call.world, call.repo, name) for name in call.issue.labels])


def _react(call: Call, said: Said | Issue) -> Response:
    content = call.body.get("content")
    if content not in REACTIONS:
        raise Rejected(422, "Invalid request.\n\ncontent is not a reaction.")
    given, new = conversation.react(call.world, said, call.me, content)
    return ok(shape.reaction(call.world, given), 201 if new else 200)


def _find(call: Call, level: str) -> tuple[Issue, IssueComment]:
    number = call.number("comment")
    found = ((issue, said) for issue in call.repo.issues.values() for said in issue.comments if said.id == number)
    pair = next(found, None)
    if pair is None:
        raise Rejected(404, "Not Found")
    _check(call, pair[0], level)
    return pair


def _check(call: Call, issue: Issue, level: str) -> None:
    """On a pull request either permission is enough; on an issue only the one for issues."""
    names = ("issues", "pull_requests") if isinstance(issue, Pull) else ("issues",)
    if call.token:
        auth.authorize(call.token, call.repo, [f"{name}:{level}" for name in names], call.request.method)


REPO = "/repos/{owner}/{repo}"
ISSUE = REPO + "/issues/{number:int}"
COMMENT = REPO + "/issues/comments/{comment:int}"
REVIEW_COMMENT = REPO + "/pulls/comments/{comment:int}"
EITHER = ("issues:read", "pull_requests:read")  # narrowed by _check once the issue is known
ENDPOINTS = (
    Endpoint("GET", ISSUE, get_issue, EITHER),
    Endpoint("GET", ISSUE + "/comments", list_comments, EITHER),
    Endpoint("POST", ISSUE + "/comments", create_comment, EITHER),
    Endpoint("GET", COMMENT, get_comment, EITHER),
    Endpoint("PATCH", COMMENT, update_comment, EITHER),
    Endpoint("DELETE", COMMENT, delete_comment, EITHER),
    Endpoint("GET", COMMENT + "/reactions", list_reactions, EITHER),
    Endpoint("POST", COMMENT + "/reactions", react_to_comment, EITHER),
    Endpoint("POST", ISSUE + "/reactions", react_to_issue, EITHER),
    Endpoint("GET", REVIEW_COMMENT + "/reactions", list_review_reactions, ("pull_requests:read",)),
    Endpoint("POST", REVIEW_COMMENT + "/reactions", react_to_review_comment, ("pull_requests:write",)),
    Endpoint("GET", ISSUE + "/labels", list_labels, EITHER),
    Endpoint("POST", ISSUE + "/labels", add_labels, EITHER),
    Endpoint("DELETE", ISSUE + "/labels/{name:path}", remove_label, EITHER),
)
