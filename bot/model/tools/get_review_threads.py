"""`get_review_threads`: the comments of people and other bots on the pull request."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.core.code.pull_request import PostedComment
from bot.interfaces import Tool
from bot.model.tools import Arguments, ToolContext

THREADS = 60
BODY = 600


class ThreadArguments(Arguments):
    """No arguments."""


@dataclass(frozen=True, slots=True)
class GetReviewThreads:
    """Shows the model existing comments, so that it does not repeat them."""

    comments: Callable[[], Awaitable[tuple[PostedComment, ...]]]
    name: str = "get_review_threads"
    description: str = "Read the reviews and comments that already stand on this pull request."
    parameters: Mapping[str, Any] = field(default_factory=ThreadArguments.schema_for_models)

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        """Returns {"threads": [{path, line, comments: [{author, is_bot, body}]}]} as JSON, oldest thread first."""
        ThreadArguments.read(arguments)
        threads: dict[int, list[PostedComment]] = {}
        for comment in await self.comments():
            if comment.body.strip():
                threads.setdefault(comment.in_reply_to or comment.id, []).append(comment)
        shown = [_thread(comments) for comments in threads.values()][-THREADS:]
        return json.dumps({"threads": shown, "not_shown": len(threads) - len(shown)}, ensure_ascii=False)


def offer(context: ToolContext) -> Tool:
    """Returns the tool; every pull request has it."""
    return GetReviewThreads(context.comments)


def _thread(comments: list[PostedComment]) -> dict[str, object]:
    first = comments[0]
    return {
        "path": first.path,
        "line": first.line,
        "comments": [
            {"author": comment.author, "is_bot": comment.by_bot, "body": comment.body[:BODY]} for comment in comments
        ],
    }
