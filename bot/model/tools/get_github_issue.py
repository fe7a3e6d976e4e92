"""`get_github_issue`: the context a pull request says it belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from bot.core.claims.requirements import points
from bot.core.code.pull_request import PullRef
from bot.errors import NotFound, UserError
from bot.interfaces import CodeHost, Tool
from bot.model.tools import Arguments, ToolContext

BODY = 8_000
COMMENT = 1_000
COMMENTS = 10


def _number(value: object) -> object:
    """A number also as "#12"; whatever else names a place is denied before anybody asks the host."""
    if not isinstance(value, str):
        return value
    if not value.removeprefix("#").isdecimal():
        raise PydanticCustomError("denied", "denied: issues of this repository only, by number")
    return int(value.removeprefix("#"))


class IssueArguments(Arguments):
    """Which issue."""

    number: Annotated[int, Field(ge=1, le=2**31 - 1, description="The issue's number."), BeforeValidator(_number)]


@dataclass(frozen=True, slots=True)
class GetGitHubIssue:
    """Bound to one repository: the model chooses a number, never a place."""

    host: CodeHost
    ref: PullRef
    name: str = "get_github_issue"
    description: str = "Read an issue of this repository: title, body, acceptance points, latest comments."
    parameters: Mapping[str, Any] = field(default_factory=IssueArguments.schema_for_models)

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        """The issue as JSON. Raises UserError where the number names none."""
        number = IssueArguments.read(arguments).number
        try:
            issue = await self.host.issue(self.ref, number)
        except NotFound as error:
            raise UserError(f"there is no issue #{number} in this repository") from error
        return json.dumps(
            {
                "number": issue.number,
                "state": issue.state,
                "author": issue.author,
                "labels": issue.labels,
                "title": issue.title,
                "body": _cut(issue.body, BODY),
                "acceptance_points": points(issue.body[:BODY]),
                "comments": [_cut(comment, COMMENT) for comment in issue.comments[-COMMENTS:]],
                "comments_not_shown": max(0, len(issue.comments) - COMMENTS),
            },
            ensure_ascii=False,
        )


def offer(desk: ToolContext) -> Tool:
    """For every pull request."""
    return GetGitHubIssue(desk.host, desk.pull.ref)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} more characters)"
