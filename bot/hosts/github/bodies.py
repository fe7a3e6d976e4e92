"""The bodies of GitHub's write calls, within its limits; every cut is marked.

https://docs.github.com/en/rest/pulls/reviews · https://docs.github.com/en/rest/checks/runs
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bot.core.comments.post import Annotation, CheckRun, Comment, ReviewPost
from bot.hosts.github.payloads import CheckRunOutput

BODY = 65_536  # characters of a comment or a review
OUTPUT = 65_535  # characters of a check run's summary or text
TITLE = 255
INLINE = 30  # comments in one review: with more, GitHub has been seen to answer 502 and to keep some of them
ANNOTATIONS = 50  # in one request; further ones are appended
ACTIONS = 3
ACTION = {"label": 20, "description": 40, "identifier": 20}
CUT = "… cut here: there is more than GitHub shows."


def fit(text: str, limit: int, mark: str = "") -> str:
    """`text` with `mark` in it, in at most `limit` characters; cut at the end of a line, and says so."""
    if mark not in text:
        text = f"{text}\n\n{mark}"
    if len(text) <= limit:
        return text
    tail = f"\n\n{CUT}\n\n{mark}" if mark else f"\n\n{CUT}"
    head = (text.replace(mark, "") if mark else text)[: limit - len(tail)]
    return (head[: head.rfind("\n")] if "\n" in head else head) + tail


def bounded(post: ReviewPost) -> ReviewPost:
    """Returns `post` with at most as many inline comments as one review accepts; its body has the others."""
    over = post.comments[INLINE:]
    return with_comments_in_body(post, over) if over else post


def with_comments_in_body(post: ReviewPost, comments: Sequence[Comment]) -> ReviewPost:
    """Returns `post` with `comments` in its body instead."""
    rest = tuple(comment for comment in post.comments if comment not in comments)
    return replace(post, body=f"{post.body}\n\n{as_text(comments)}", comments=rest)


def as_text(comments: Sequence[Comment]) -> str:
    """Returns comments as text, each with its place."""
    return "\n\n".join(f"`{_place(comment)}` — {comment.body}" for comment in comments)


def review(post: ReviewPost) -> dict[str, Any]:
    """The body of create-review. Without its event, GitHub would leave the review pending."""
    return {
        "commit_id": post.commit,
        "event": "REQUEST_CHANGES" if post.requests_changes else "COMMENT",
        "body": fit(post.body, BODY, post.key),
        "comments": [_inline(comment) for comment in post.comments],
    }


def without_failure(output: CheckRunOutput, words: str) -> dict[str, Any]:
    """The body that makes a failed check run neutral: `words` stand before what it said."""
    said: dict[str, Any] = {
        "title": output.title or words,
        "summary": fit("\n\n".join(filter(None, (words, output.summary))), OUTPUT),
    }
    if output.text:
        said["text"] = output.text
    return {"status": "completed", "conclusion": "neutral", "output": said}


def check_run(run: CheckRun, sent: int, pages: str = "") -> dict[str, Any]:
    """The body that brings a check run up to date, with the annotations that follow the first `sent`.

    Its details are on our page about the job, below the address `pages` if there is one; the key ends with the page's name.
    """
    output: dict[str, Any] = {
        "title": run.title[:TITLE],
        "summary": fit(run.summary, OUTPUT),
        "annotations": [_annotation(annotation) for annotation in run.annotations[sent : sent + ANNOTATIONS]],
    }
    if run.text:
        output["text"] = fit(run.text, OUTPUT)
    body: dict[str, Any] = {"status": run.status, "external_id": run.key, "output": output}
    if pages and run.key.startswith("review/"):
        body["details_url"] = f"{pages}/reviews/{run.key.rpartition('/')[2].removesuffix('+end')}"
    if run.conclusion is not None:
        body["conclusion"] = run.conclusion.value
    if run.actions:
        body["actions"] = [_action(action) for action in run.actions[:ACTIONS]]
    return body


def _place(comment: Comment) -> str:
    lines = f"{comment.start_line}-{comment.line}" if comment.start_line else f"{comment.line}"
    return f"{comment.path}:{lines}"


def _inline(comment: Comment) -> dict[str, Any]:
    body = {"path": comment.path, "body": fit(comment.body, BODY), "line": comment.line, "side": comment.side}
    if comment.start_line is not None:
        body |= {"start_line": comment.start_line, "start_side": comment.start_side or comment.side}
    return body


def _annotation(annotation: Annotation) -> dict[str, Any]:
    return {
        "path": annotation.path,
        "start_line": annotation.start,
        "end_line": annotation.end,
        "annotation_level": annotation.level,
        "title": annotation.title[:TITLE],
        "message": fit(annotation.message, OUTPUT),
    }


def _action(action: tuple[str, str, str]) -> dict[str, str]:
    return {name: text[:limit] for (name, limit), text in zip(ACTION.items(), action, strict=True)}
