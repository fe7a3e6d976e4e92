"""Comments, reviews and labels on issues and pull requests, of people and of the App. Each change queues its webhook."""

from __future__ import annotations

from collections.abc import Sequence

from bot.sandbox.world import shape
from bot.sandbox.world.hooks import emit
from bot.sandbox.world.rules import EVENTS, Placed
from bot.sandbox.world.state import (
    CheckRun,
    Issue,
    IssueComment,
    Pull,
    Repository,
    Review,
    ReviewComment,
    Said,
    User,
    World,
)


def announce(world: World, repo: Repository, pull: Pull, action: str, sender: User, **more: object) -> None:
    """A `pull_request` event."""
    pull.updated_at = world.now()
    emit(world, repo, "pull_request", action, sender, number=pull.number, pull_request=_pull(world, repo, pull), **more)


def comment(world: World, repo: Repository, issue: Issue, author: User, body: str) -> IssueComment:
    """Adds a comment to a conversation."""
    now = world.now()
    said = IssueComment(id=world.next_id(), author=author, body=body, created_at=now, updated_at=now)
    issue.comments.append(said)
    _announce_comment(world, repo, issue, said, "created", author)
    return said


def edit(world: World, repo: Repository, issue: Issue, said: Said, editor: User, body: str) -> None:
    """Edits a comment."""
    changes = {"body": {"from": said.body}}
    said.body, said.updated_at = body, world.now()
    _announce_comment(world, repo, issue, said, "edited", editor, changes=changes)


def delete(world: World, repo: Repository, issue: Issue, said: Said, editor: User) -> None:
    """Deletes a comment."""
    _announce_comment(world, repo, issue, said, "deleted", editor)
    if isinstance(said, IssueComment):
        issue.comments.remove(said)
    elif isinstance(said, ReviewComment) and isinstance(issue, Pull):
        issue.review_comments.remove(said)


def _announce_comment(
    world: World, repo: Repository, issue: Issue, said: Said, action: str, sender: User, **more: object
) -> None:
    if isinstance(said, IssueComment):
        about = {"issue": shape.issue(world, repo, issue), "comment": shape.issue_comment(world, repo, issue, said)}
        emit(world, repo, "issue_comment", action, sender, **about, **more)
    elif isinstance(said, ReviewComment) and isinstance(issue, Pull):
        shown = {
            "pull_request": _pull(world, repo, issue),
            "comment": shape.review_comment(world, repo, issue, said),
        }
        emit(world, repo, "pull_request_review_comment", action, sender, **shown, **more)


def react(world: World, said: Said | Issue, person: User, content: str) -> tuple[tuple[int, User, str], bool]:
    """React; whether it is new. Reactions have no webhook."""
    for given in said.reactions:
        if given[1:] == (person, content):
            return given, False
    given = (world.next_id(), person, content)
    said.reactions.append(given)
    return given, True


def label(world: World, repo: Repository, issue: Issue, person: User, name: str) -> None:
    """Adds a label, unless it is there."""
    if name not in issue.labels:
        issue.labels.append(name)
        _announce_label(world, repo, issue, person, "labeled", name)


def unlabel(world: World, repo: Repository, issue: Issue, person: User, name: str) -> None:
    """Removes a label."""
    issue.labels.remove(name)
    _announce_label(world, repo, issue, person, "unlabeled", name)


def _announce_label(world: World, repo: Repository, issue: Issue, person: User, action: str, name: str) -> None:
    about = shape.label(world, repo, name)
    if isinstance(issue, Pull):
        announce(world, repo, issue, action, person, label=about)
    else:
        emit(world, repo, "issues", action, person, issue=shape.issue(world, repo, issue), label=about)


def start_review(world: World, pull: Pull, author: User, body: str, commit: str) -> Review:
    """Starts a pending review; only its author sees it."""
    now = world.now()
    review = Review(
        id=world.next_id(),
        author=author,
        body=body,
        created_at=now,
        updated_at=now,
        state="PENDING",
        commit=commit,
        head=pull.head_sha,
    )
    pull.reviews.append(review)
    return review


def add_comment(
    world: World, pull: Pull, review: Review, placed: Placed, body: str, *, subject: str = "line"
) -> ReviewComment:
    """An inline or file comment as part of a review."""
    now = world.now()
    said = ReviewComment(
        id=world.next_id(),
        author=review.author,
        body=body,
        created_at=now,
        updated_at=now,
        review=review.id,
        path=placed.path,
        side=placed.side,
        line=placed.line,
        start_line=placed.start_line,
        start_side=placed.start_side,
        position=placed.position,
        original_line=placed.line,
        original_start_line=placed.start_line,
        original_position=placed.position,
        commit=review.commit,
        original_commit=review.commit,
        diff_hunk=placed.diff_hunk,
        subject=subject,
    )
    pull.review_comments.append(said)
    return said


def reply(world: World, repo: Repository, pull: Pull, root: ReviewComment, author: User, body: str) -> ReviewComment:
    """Answer in a thread. A reply has a review of its own, as on GitHub."""
    review = start_review(world, pull, author, "", root.commit)
    placed = Placed(root.path, root.side, root.line, root.start_line, root.start_side, root.position, root.diff_hunk)
    said = add_comment(world, pull, review, placed, body, subject=root.subject)
    said.in_reply_to = root.id
    said.original_line, said.original_start_line = root.original_line, root.original_start_line
    said.original_commit, said.original_position = root.original_commit, root.original_position
    submit(world, repo, pull, review, "COMMENT")
    return said


def submit(world: World, repo: Repository, pull: Pull, review: Review, event: str) -> None:
    """Submits a review: `event` is COMMENT, APPROVE or REQUEST_CHANGES."""
    review.state, review.submitted_at = EVENTS[event], world.now()
    about = {"pull_request": _pull(world, repo, pull), "review": shape.review(world, repo, pull, review)}
    emit(world, repo, "pull_request_review", "submitted", review.author, **about)
    for said in comments_of(pull, review):
        _announce_comment(world, repo, pull, said, "created", review.author)


def dismiss(world: World, repo: Repository, pull: Pull, review: Review, by: User) -> None:
    """Dismisses a submitted review."""
    review.state = "DISMISSED"
    about = {"pull_request": _pull(world, repo, pull), "review": shape.review(world, repo, pull, review)}
    emit(world, repo, "pull_request_review", "dismissed", by, **about)


def comments_of(pull: Pull, review: Review) -> list[ReviewComment]:
    """The inline and file comments of one review."""
    return [said for said in pull.review_comments if said.review == review.id]


def thread(pull: Pull, root: ReviewComment) -> Sequence[ReviewComment]:
    """A top-level comment and its replies."""
    return [said for said in pull.review_comments if root.id in (said.id, said.in_reply_to)]


def resolve(world: World, repo: Repository, pull: Pull, root: ReviewComment, person: User, *, done: bool) -> None:
    """Mark a thread as resolved, or not."""
    root.resolved_by = person if done else None
    said = [shape.review_comment(world, repo, pull, one) for one in thread(pull, root)]
    about = {"pull_request": _pull(world, repo, pull), "thread": {"node_id": shape.thread_node(root), "comments": said}}
    emit(world, repo, "pull_request_review_thread", "resolved" if done else "unresolved", person, **about)


def announce_check(world: World, repo: Repository, run: CheckRun, action: str, sender: User, **more: object) -> None:
    """A `check_run` event."""
    emit(world, repo, "check_run", action, sender, check_run=shape.check_run(world, repo, run), **more)


def announce_suite(world: World, repo: Repository, pull: Pull, sender: User, action: str, app: int) -> None:
    """A `check_suite` event for the head; GitHub names no pull requests for the head of a fork."""
    pulls = [] if pull.head_repo is not repo else [{"number": pull.number, "head": {"sha": pull.head_sha}}]
    suite = {"id": world.next_id(), "head_sha": pull.head_sha, "status": "completed", "pull_requests": pulls}
    emit(world, repo, "check_suite", action, sender, check_suite=suite | {"app": {"id": app}})


def _pull(world: World, repo: Repository, pull: Pull) -> shape.Json:
    return shape.pull(world, repo, pull) | {"merged": pull.merged}
