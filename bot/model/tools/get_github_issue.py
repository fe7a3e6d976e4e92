"""`get_github_issue`: an issue of the repository."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from bot.core.claims.requirements import points
from bot.core.code.pull_request import Issue
from bot.errors import NotFound, UserError
from bot.interfaces import Tool
from bot.model.tools import Arguments, ToolContext

BODY = 8_000
COMMENT = 1_000
COMMENTS = 10


def _number(value: object) -> object:
    """Accepts a number, also as "#12"; denies any other text, which could name another repository."""
    if not isinstance(value, str):
        return value
    if not value.removeprefix("#").isdecimal():
        raise PydanticCustomError("denied", "denied: issues of this repository only, by number")
    return int(value.removeprefix("#"))


class IssueArguments(Arguments):
    """The issue's number."""

    number: Annotated[int, Field(ge=1, le=2**31 - 1, description="The issue's number."), BeforeValidator(_number)]


@dataclass(frozen=True, slots=True)
class GetGitHubIssue:
    """Reads issues of one repository: the model chooses only the number."""

    context: ToolContext
    name: str = "get_github_issue"
    description: str = "Read an issue of this repository: title, body, acceptance points, latest comments."
    parameters: Mapping[str, Any] = field(default_factory=IssueArguments.schema_for_models)

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        """Returns the issue as JSON. Raises UserError if there is none with that number."""
        number = IssueArguments.read(arguments).number
        try:
            issue = await self._issue(number)
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

    async def _issue(self, number: int) -> Issue:
        """The issue; of the pull request itself only the comments that the model may see."""
        ref = self.context.pull.ref
        issue = await self.context.host.issue(ref, number)
        if number != ref.number or self.context.asked is None:
            return issue
        comments = await self.context.comments()
        return replace(issue, comments=tuple(comment.body for comment in comments if comment.kind == "comment"))


def offer(context: ToolContext) -> Tool:
    """Returns the tool; every pull request has it."""
    return GetGitHubIssue(context)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} more characters)"
