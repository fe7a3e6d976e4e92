"""Endpoints of reviews: all of a review's comments stand in the diff, or nothing is posted.

https://docs.github.com/en/rest/pulls/reviews and https://docs.github.com/en/rest/pulls/comments
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response

from bot.sandbox.api.call import Call, Endpoint, done, ok
from bot.sandbox.world import conversation, history, shape
from bot.sandbox.world.rules import (
    EVENTS,
    REVIEW_ITEM,
    Placed,
    Rejected,
    check_body,
    check_keys,
    invalid,
    place,
    place_all,
)
from bot.sandbox.world.state import Pull, Review, ReviewComment, Said

TOO_MANY = 60  # beyond about so many comments GitHub stored some of them and answered 502
REVIEW_KEYS = {"commit_id": str, "body": str, "event": str, "comments": list}
COMMENT_KEYS = REVIEW_ITEM | {"commit_id": str, "subject_type": str, "in_reply_to": int}


async def list_reviews(call: Call) -> Response:
    """GET …/pulls/{number}/reviews, oldest first; a pending review is its author's alone"""
    return call.page([shape.review(call.world, call.repo, call.pull, one) for one in _visible(call)])


async def get_review(call: Call) -> Response:
    """GET …/reviews/{review}"""
    return ok(shape.review(call.world, call.repo, call.pull, _review(call)))


async def create_review(call: Call) -> Response:
    """POST …/pulls/{number}/reviews"""
    body, event = call.body.get("body") or "", call.body.get("event")
    items = call.body.get("comments") or []
    _check_review(call, body, event, items)
    commit = await _commit(call, call.body.get("commit_id"))
    placed = place_all(items, await history.changed(call.repo, call.pull, commit))
    review = conversation.start_review(call.world, call.pull, call.me, body, commit)
    for where, item in list(zip(placed, items, strict=True))[:TOO_MANY]:
        await _hang(call, review, where, item["body"])
    if event:
        conversation.submit(call.world, call.repo, call.pull, review, event)
    if len(items) > TOO_MANY:
        raise Rejected(502, "Server Error")
    return ok(shape.review(call.world, call.repo, call.pull, review))


def _check_review(call: Call, body: str, event: str | None, items: Sequence[dict[str, object]]) -> None:
    for key in call.body:
        if key not in REVIEW_KEYS:
            raise Rejected(422, f'Invalid request.\n\n"{key}" is not a permitted key.')
    for item in items:
        check_keys(item, REVIEW_ITEM, ("path", "body"))
        check_body(str(item["body"]), "PullRequestReviewComment")
    check_body(body, "PullRequestReview", required=False)
    _check_event(call, event, body)
    _check_pending(call)


def _check_event(call: Call, event: str | None, body: str) -> None:
    if event is not None and event not in EVENTS:
        raise _unprocessable("Variable $event of type PullRequestReviewEvent was provided invalid value")
    if event in ("COMMENT", "REQUEST_CHANGES") and not body.strip():
        raise invalid("PullRequestReview", "body", "Body can't be blank", code="missing_field")
    if event in ("APPROVE", "REQUEST_CHANGES") and call.pull.author == call.me:
        what = "approve" if event == "APPROVE" else "request changes on"
        raise _unprocessable(f"Can not {what} your own pull request")


def _check_pending(call: Call) -> None:
    if any(one.state == "PENDING" and one.author == call.me for one in call.pull.reviews):
        raise _unprocessable("User can only have one pending review per pull request")


async def _commit(call: Call, wanted: str | None) -> str:
    """The commit a review is about: one of the pull request's, by default its head."""
    if wanted is None or wanted == call.pull.head_sha:
        return call.pull.head_sha
    if wanted not in {entry.sha for entry in await history.commits(call.repo, call.pull)}:
        raise _unprocessable("Start commit oid is not part of the pull request")
    return wanted


async def _hang(call: Call, review: Review, placed: Placed, body: str, subject: str = "line") -> ReviewComment:
    said = conversation.add_comment(call.world, call.pull, review, placed, body, subject=subject)
    await history.catch_up(call.repo, call.pull, said)
    return said


async def submit_review(call: Call) -> Response:
    """POST …/reviews/{review}/events"""
    review = _review(call)
    if review.state != "PENDING":
        raise _unprocessable("Can not submit a review that was submitted")
    event, body = call.body.get("event"), call.body.get("body") or review.body
    if event is None:
        raise Rejected(422, 'Invalid request.\n\n"event" wasn\'t supplied.')
    check_body(body, "PullRequestReview", required=False)
    _check_event(call, event, body)
    review.body = body
    conversation.submit(call.world, call.repo, call.pull, review, event)
    return ok(shape.review(call.world, call.repo, call.pull, review))


async def dismiss_review(call: Call) -> Response:
    """PUT …/reviews/{review}/dismissals: an approval or a request for changes stops counting"""
    review, message = _review(call), call.body.get("message")
    if not isinstance(message, str):
        raise Rejected(422, 'Invalid request.\n\n"message" wasn\'t supplied.')
    if not message.strip():
        raise invalid("PullRequestReview", "message", "Message can't be blank", code="missing_field")
    if call.body.get("event", "DISMISS") != "DISMISS":
        raise Rejected(422, "Invalid request.\n\nevent is not DISMISS.")
    if review.state not in {"APPROVED", "CHANGES_REQUESTED"}:
        raise _unprocessable(f"Can not dismiss a {review.state.lower()} pull request review")
    conversation.dismiss(call.world, call.repo, call.pull, review, call.me)
    return ok(shape.review(call.world, call.repo, call.pull, review))


async def delete_review(call: Call) -> Response:
    """DELETE …/reviews/{review}: only while it is pending"""
    review = _review(call)
    if review.state != "PENDING":
        raise _unprocessable("Can not delete a non-pending pull request review")
    for said in conversation.comments_of(call.pull, review):
        call.pull.review_comments.remove(said)
    call.pull.reviews.remove(review)
    return ok(shape.review(call.world, call.repo, call.pull, review))


async def list_review_comments(call: Call) -> Response:
    """GET …/reviews/{review}/comments"""
    return _page(call, conversation.comments_of(call.pull, _review(call)))


async def list_comments(call: Call) -> Response:
    """GET …/pulls/{number}/comments: those of submitted reviews"""
    pending = {one.id for one in call.pull.reviews if one.state == "PENDING"}
    return _page(call, [said for said in call.pull.review_comments if said.review not in pending])


async def create_comment(call: Call) -> Response:
    """POST …/pulls/{number}/comments: one comment on a line, or on a file as `subject_type` says"""
    if call.body.get("in_reply_to"):
        return _reply(call, int(call.body["in_reply_to"]))
    check_keys(call.body, COMMENT_KEYS, ("path", "body", "commit_id"))
    check_body(call.body["body"], "PullRequestReviewComment")
    _check_pending(call)
    commit = await _commit(call, call.body["commit_id"])
    compared = await history.changed(call.repo, call.pull, commit)
    subject = call.body.get("subject_type") or "line"
    if subject not in ("line", "file"):
        raise Rejected(422, "Invalid request.\n\nsubject_type is not one of line, file.")
    if compared.file(call.body["path"]) is None:
        raise invalid("PullRequestReviewComment", "pull_request_review_thread.path", "could not be resolved")
    placed = Placed(call.body["path"], "RIGHT", None, None, None, None, "")
    if subject == "line":
        try:
            placed = place(call.body, compared)
        except Rejected as rejected:
            field = "pull_request_review_thread.line"
            raise invalid("PullRequestReviewComment", field, "could not be resolved") from rejected
    review = conversation.start_review(call.world, call.pull, call.me, "", commit)
    said = await _hang(call, review, placed, call.body["body"], subject)
    conversation.submit(call.world, call.repo, call.pull, review, "COMMENT")
    return ok(shape.review_comment(call.world, call.repo, call.pull, said), 201)


async def create_reply(call: Call) -> Response:
    """POST …/comments/{comment}/replies: to a top-level comment"""
    return _reply(call, call.number("comment"))


def _reply(call: Call, number: int) -> Response:
    root = next((said for said in call.pull.review_comments if said.id == number), None)
    if root is None or root.in_reply_to:
        raise Rejected(404, "Not Found")
    check_body(call.body.get("body") or "", "PullRequestReviewComment")
    _check_pending(call)
    said = conversation.reply(call.world, call.repo, call.pull, root, call.me, call.body["body"])
    return ok(shape.review_comment(call.world, call.repo, call.pull, said), 201)


async def get_comment(call: Call) -> Response:
    """GET …/pulls/comments/{comment}"""
    pull, said = find_comment(call)
    return ok(shape.review_comment(call.world, call.repo, pull, said))


async def update_comment(call: Call) -> Response:
    """PATCH …/pulls/comments/{comment}: one's own only"""
    pull, said = find_comment(call)
    check_body(call.body.get("body") or "", "PullRequestReviewComment")
    own(call, said)
    conversation.edit(call.world, call.repo, pull, said, call.me, call.body["body"])
    return ok(shape.review_comment(call.world, call.repo, pull, said))


async def delete_comment(call: Call) -> Response:
    """DELETE …/pulls/comments/{comment}"""
    pull, said = find_comment(call)
    own(call, said)
    conversation.delete(call.world, call.repo, pull, said, call.me)
    return done()


def find_comment(call: Call) -> tuple[Pull, ReviewComment]:
    """Returns the inline comment that the path names, of any pull request."""
    number = call.number("comment")
    found = ((pull, said) for pull in call.repo.pulls for said in pull.review_comments if said.id == number)
    pair = next(found, None)
    if pair is None:
        raise Rejected(404, "Not Found")
    return pair


def own(call: Call, said: Said) -> None:
    """Checks that the comment is the App's own. Raises a 403 otherwise."""
    if said.author != call.me:
        raise Rejected(403, "Resource not accessible by integration")


def _review(call: Call) -> Review:
    found = next((one for one in _visible(call) if one.id == call.number("review")), None)
    if found is None:
        raise Rejected(404, "Not Found")
    return found


def _visible(call: Call) -> list[Review]:
    return [one for one in call.pull.reviews if one.state != "PENDING" or one.author == call.me]


def _page(call: Call, comments: Sequence[ReviewComment]) -> Response:
    return call.page([shape.review_comment(call.world, call.repo, call.pull, said) for said in comments])


def _unprocessable(problem: str) -> Rejected:
    return Rejected(422, "Unprocessable Entity", [problem])


PULL = "/repos/{owner}/{repo}/pulls/{number:int}"
REVIEW = PULL + "/reviews/{review:int}"
COMMENT = "/repos/{owner}/{repo}/pulls/comments/{comment:int}"
READ, WRITE = ("pull_requests:read",), ("pull_requests:write",)
ENDPOINTS = (
    Endpoint("GET", PULL + "/reviews", list_reviews, READ),
    Endpoint("POST", PULL + "/reviews", create_review, WRITE),
    Endpoint("GET", REVIEW, get_review, READ),
    Endpoint("DELETE", REVIEW, delete_review, WRITE),
    Endpoint("POST", REVIEW + "/events", submit_review, WRITE),
    Endpoint("PUT", REVIEW + "/dismissals", dismiss_review, WRITE),
    Endpoint("GET", REVIEW + "/comments", list_review_comments, READ),
    Endpoint("GET", PULL + "/comments", list_comments, READ),
    Endpoint("POST", PULL + "/comments", create_comment, WRITE),
    Endpoint("POST", PULL + "/comments/{comment:int}/replies", create_reply, WRITE),
    Endpoint("GET", COMMENT, get_comment, READ),
    Endpoint("PATCH", COMMENT, update_comment, WRITE),
    Endpoint("DELETE", COMMENT, delete_comment, WRITE),
)
