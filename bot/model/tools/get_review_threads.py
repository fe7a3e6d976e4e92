"""`get_review_threads`: what people and other bots already said on the pull request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.core.code.pull_request import PostedComment, PullRef
from bot.interfaces import CodeHost, Tool
from bot.model.tools import Arguments, ToolContext

THREADS = 60
BODY = 600


class ThreadArguments(Arguments):
    """Nothing to choose."""


@dataclass(frozen=True, slots=True)
class GetReviewThreads:
    """Lets the model see what it should not say again."""

    host: CodeHost
    ref: PullRef
    name: str = "get_review_threads"
    description: str = "Read the reviews and comments that already stand on this pull request."
    parameters: Mapping[str, Any] = field(default_factory=ThreadArguments.schema_for_models)

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        """JSON: {"threads": [{path, line, comments: [{author, is_bot, body}]}]}, oldest thread first."""
        ThreadArguments.read(arguments)
        threads: dict[int, list[PostedComment]] = {}
        for said in await self.host.said(self.ref):
            if said.body.strip():
                threads.setdefault(said.in_reply_to or said.id, []).append(said)
        shown = [_thread(said) for said in threads.values()][-THREADS:]
        return json.dumps({"threads": shown, "not_shown": len(threads) - len(shown)}, ensure_ascii=False)


def offer(desk: ToolContext) -> Tool:
    """For every pull request."""
    return GetReviewThreads(desk.host, desk.pull.ref)


def _thread(said: list[PostedComment]) -> dict[str, object]:
    first = said[0]
    return {
        "path": first.path,
        "line": first.line,
        "comments": [{"author": one.author, "is_bot": one.by_bot, "body": one.body[:BODY]} for one in said],
    }
