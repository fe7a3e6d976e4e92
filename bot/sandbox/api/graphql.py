"""POST /graphql: review threads and what may be done with them, folding comments away, and files. Nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from starlette.responses import Response

from bot.errors import Refused
from bot.sandbox.api import auth
from bot.sandbox.api.call import SHA, Call, Endpoint, ok
from bot.sandbox.api.graphql_query import GraphQLError, parse, select
from bot.sandbox.world import conversation, shape
from bot.sandbox.world.rules import Rejected
from bot.sandbox.world.state import Pull, Repository, ReviewComment, Said, User

CLASSIFIERS = ("ABUSE", "DUPLICATE", "OFF_TOPIC", "OUTDATED", "RESOLVED", "SPAM")
NODES = {"IC": "IssueComment", "PRRC": "PullRequestReviewComment", "PRR": "PullRequestReview"}
MOST = 100
TEXT = 512 * 1024


async def graphql(call: Call) -> Response:
    """POST /graphql: always 200, with `errors` where something is wrong"""
    try:
        kind, fields = parse(str(call.body.get("query") or ""), call.body.get("variables") or {})
        return ok({"data": await select(fields, _mutations(call) if kind == "mutation" else _queries(call))})
    except GraphQLError as error:
        problem = {"message": str(error), "locations": [{"line": 1, "column": 1}]}
        return ok({"data": None, "errors": [problem | ({"type": error.kind} if error.kind else {})]})


def _queries(call: Call) -> dict[str, Any]:
    def repository(owner: str, name: str) -> dict[str, Any]:
        repo = call.world.repository(owner, name)
        if repo is None:
            raise _missing(f"Could not resolve to a Repository with the name '{owner}/{name}'.")
        _allow(call, repo, "pull_requests:read")
        return _repository(call, repo)

    return {
        "__typename": "Query",
        "repository": repository,
        "viewer": {"__typename": "User", "login": call.me.login, "databaseId": call.me.id},
    }


def _repository(call: Call, repo: Repository) -> dict[str, Any]:
    def pull_request(number: int) -> dict[str, Any]:
        pull = repo.issues.get(number)
        if not isinstance(pull, Pull):
            raise _missing(f"Could not resolve to a PullRequest with the number of {number}.")
        return {
            "__typename": "PullRequest",
            "id": shape.node("PR", pull.id),
            "number": pull.number,
            "headRefOid": pull.head_sha,
            "reviewThreads": _connection([_thread(call, repo, pull, root) for root in _roots(pull)]),
        }

    async def git_object(expression: str | None = None, oid: str | None = None) -> dict[str, Any] | None:
        _allow(call, repo, "contents:read")
        if (expression is None) == (oid is None):
            raise GraphQLError("Field 'object' needs exactly one of 'expression' and 'oid'")
        if oid is not None and not SHA.fullmatch(oid):
            raise GraphQLError(
                f"Argument 'oid' on Field 'object' has an invalid value ({oid}). Expected type 'GitObjectID'."
            )
        try:
            sha = oid or await repo.git.resolve(expression or "", kind="blob")
            return _blob(sha, await repo.git.blob(sha))
        except Refused:
            return None

    about = {"__typename": "Repository", "id": shape.node("R", repo.id), "nameWithOwner": repo.full_name}
    return about | {"pullRequest": pull_request, "object": git_object}


def _blob(sha: str, content: bytes) -> dict[str, Any]:
    """A file as GitHub gives it: a text only if it is UTF-8 without a NUL, cut after half a megabyte."""
    binary = b"\0" in content
    cut = content[:TEXT]
    return {
        "__typename": "Blob",
        "oid": sha,
        "byteSize": len(content),
        "isBinary": binary,
        "isTruncated": len(content) > len(cut),
        "text": None if binary else cut.decode(errors="replace"),
    }


def _roots(pull: Pull) -> list[ReviewComment]:
    pending = {one.id for one in pull.reviews if one.state == "PENDING"}
    return [said for said in pull.review_comments if not said.in_reply_to and said.review not in pending]


def _thread(call: Call, repo: Repository, pull: Pull, root: ReviewComment) -> dict[str, Any]:
    said = [_comment(call, repo, pull, one) for one in conversation.thread(pull, root)]
    return {
        "__typename": "PullRequestReviewThread",
        "id": shape.thread_node(root),
        "isResolved": root.resolved_by is not None,
        "isOutdated": root.line is None and root.subject == "line",
        "isCollapsed": root.resolved_by is not None,
        "resolvedBy": _actor(root.resolved_by) if root.resolved_by else None,
        "path": root.path,
        "line": root.line,
        "startLine": root.start_line,
        "originalLine": root.original_line,
        "diffSide": root.side,
        "subjectType": root.subject.upper(),
        "comments": _connection(said),
    }


def _comment(call: Call, repo: Repository, pull: Pull, said: ReviewComment) -> dict[str, Any]:
    return {
        "__typename": "PullRequestReviewComment",
        "id": shape.node("PRRC", said.id),
        "databaseId": said.id,
        "fullDatabaseId": str(said.id),
        "body": said.body,
        "author": _actor(said.author),
        "createdAt": said.created_at,
        "path": said.path,
        "isMinimized": bool(said.minimized),
        "minimizedReason": said.minimized.lower() or None,
        "url": shape.review_comment(call.world, repo, pull, said)["html_url"],
    }


def _actor(person: User) -> dict[str, Any]:
    login = person.login.removesuffix("[bot]")  # GraphQL knows Apps without their suffix
    return {"__typename": person.kind, "login": login, "databaseId": person.id}


def _connection(items: Sequence[dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def connection(first: int | None = None, after: str | None = None) -> dict[str, Any]:
        if first is None or not 0 < first <= MOST:
            raise GraphQLError(
                "You must provide a `first` value between 1 and 100 to properly paginate the connection."
            )
        start = int(after) if after and after.isdecimal() else 0
        shown = list(items[start : start + first])
        end = start + len(shown)
        return {
            "__typename": "Connection",
            "totalCount": len(items),
            "pageInfo": {"__typename": "PageInfo", "hasNextPage": end < len(items), "endCursor": str(end)},
            "nodes": shown,
        }

    return connection


def _mutations(call: Call) -> dict[str, Any]:
    def resolver(*, done: bool) -> Callable[..., dict[str, Any]]:
        def resolve(input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002 - GraphQL's name for it
            repo, pull, root = _find_thread(call, str(input.get("threadId")))
            _allow(call, repo, "pull_requests:write")
            _allow(call, repo, "contents:write")
            conversation.resolve(call.world, repo, pull, root, call.me, done=done)
            return {"__typename": "Payload", "thread": _thread(call, repo, pull, root)} | _echo(input)

        return resolve

    def minimize(input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002 - GraphQL's name for it
        repo, said, kind = _find_said(call, str(input.get("subjectId")))
        _allow(call, repo, "pull_requests:write")
        if input.get("classifier") not in CLASSIFIERS:
            raise GraphQLError(
                "Argument 'classifier' has an invalid value. Expected type 'ReportedContentClassifiers!'."
            )
        said.minimized = input["classifier"]
        folded = {"__typename": kind, "isMinimized": True, "minimizedReason": said.minimized.lower()}
        return {"__typename": "Payload", "minimizedComment": folded} | _echo(input)

    return {
        "__typename": "Mutation",
        "resolveReviewThread": resolver(done=True),
        "unresolveReviewThread": resolver(done=False),
        "minimizeComment": minimize,
    }


def _echo(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"clientMutationId": arguments.get("clientMutationId")}


def _find_thread(call: Call, node: str) -> tuple[Repository, Pull, ReviewComment]:
    for repo in call.world.repositories.values():
        for pull in repo.pulls:
            for root in _roots(pull):
                if shape.thread_node(root) == node:
                    return repo, pull, root
    raise _missing(f"Could not resolve to a node with the global id of '{node}'")


def _find_said(call: Call, node: str) -> tuple[Repository, Said, str]:
    for repo in call.world.repositories.values():
        for said, kind in _everything_said(repo):
            if shape.node(kind, said.id) == node:
                return repo, said, NODES[kind]
    raise _missing(f"Could not resolve to a node with the global id of '{node}'")


def _everything_said(repo: Repository) -> list[tuple[Said, str]]:
    said: list[tuple[Said, str]] = [(one, "IC") for issue in repo.issues.values() for one in issue.comments]
    said += [(one, "PRRC") for pull in repo.pulls for one in pull.review_comments]
    return said + [(one, "PRR") for pull in repo.pulls for one in pull.reviews]


def _allow(call: Call, repo: Repository, need: str) -> None:
    if call.token is None:
        raise _forbidden()
    try:
        auth.authorize(call.token, repo, (need,), "GET" if need.endswith(":read") else "POST")
    except Rejected as rejected:
        raise (_missing("Could not resolve") if rejected.status == 404 else _forbidden()) from rejected  # noqa: PLR2004 - HTTP


def _forbidden() -> GraphQLError:
    return GraphQLError(auth.FORBIDDEN, "FORBIDDEN")


def _missing(message: str) -> GraphQLError:
    return GraphQLError(message[:200], "NOT_FOUND")


ENDPOINTS = (Endpoint("POST", "/graphql", graphql),)
