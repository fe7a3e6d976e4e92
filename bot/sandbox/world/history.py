"""The git side of a pull request: its changes, and the positions of its comments after a push."""

from __future__ import annotations

from collections.abc import Mapping

from bot.hosts.git import LogEntry
from bot.sandbox.world import writer
from bot.sandbox.world.patch import Compared, compare
from bot.sandbox.world.state import Pull, Repository, ReviewComment, World

Files = Mapping[str, bytes | str | None]
"""Path -> content; None deletes."""


async def commit(world: World, repo: Repository, branch: str, files: Files, message: str, parent: str | None) -> str:
    """Makes a commit with a fixed author and a fixed time, so that its id is the same on every run."""
    content = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    ref = f"refs/{f'forks/{repo.owner.id}' if repo.parent else 'heads'}/{branch}"
    sha = await writer.commit(repo.git, ref, content, message, parent=parent, time=next(world.commits))
    repo.branches[branch] = sha
    return sha


async def three_dots(repo: Repository, base: str, head: str) -> Compared:
    """`base...head`: what `head` changed since the two parted. Kept, since commits never change."""
    if (base, head) not in repo.compared:
        parted = await repo.git.merge_base(base, head)
        repo.compared[base, head] = await compare(repo.git, parted, head)
    return repo.compared[base, head]


async def changed(repo: Repository, pull: Pull, commit: str = "") -> Compared:
    """What the pull request changes, as its files tab shows it; or as it was at an earlier `commit`."""
    return await three_dots(repo, pull.base_sha, commit or pull.head_sha)


async def commits(repo: Repository, pull: Pull) -> list[LogEntry]:
    """The commits of the pull request, oldest first."""
    return await repo.git.log(pull.base_sha, pull.head_sha)


async def move_head(repo: Repository, pull: Pull, head: str, base: str) -> None:
    """Moves comments after a push: each follows its line or becomes outdated. Reviews follow a pure rebase."""
    before = await changed(repo, pull)
    old_head, old_base = pull.head_sha, pull.base_sha
    pull.head_sha, pull.base_sha = head, base
    after = await changed(repo, pull)
    kept = {entry.sha for entry in await commits(repo, pull)}
    if old_head not in kept and before.fingerprint == after.fingerprint:
        for review in pull.reviews:
            review.commit = head if review.commit == old_head else review.commit
    moved = Moved(
        await compare(repo.git, await repo.git.merge_base(old_base, old_head), await repo.git.merge_base(base, head)),
        await compare(repo.git, old_head, head),
        after,
        head,
    )
    for comment in pull.review_comments:
        moved.carry(comment)


async def catch_up(repo: Repository, pull: Pull, comment: ReviewComment) -> None:
    """A comment that was made on an earlier commit of the pull request appears where its line is now."""
    if comment.commit != pull.head_sha:
        there = await compare(repo.git, comment.commit, pull.head_sha)
        Moved(Compared((), ""), there, await changed(repo, pull), pull.head_sha).carry(comment)


class Moved:
    """A push: how the lines of each side moved, and what the pull request changes `now`."""

    def __init__(self, left: Compared, right: Compared, now: Compared, head: str) -> None:
        self.sides = {"LEFT": left, "RIGHT": right}
        self.now = now
        self.head = head

    def carry(self, comment: ReviewComment) -> None:
        """Moves a comment to the new head. A comment without a line there keeps its original line and commit."""
        if comment.subject == "file":
            comment.commit = self.head
            return
        if comment.line is None:
            return
        line = self._follow(comment.path, comment.side, comment.line)
        start_side = comment.start_side or comment.side
        start = self._follow(comment.path, start_side, comment.start_line) if comment.start_line else None
        file = self.now.file(comment.path)
        found = file.at(comment.side, line) if file and line else None
        if found is None or (comment.start_line and (start is None or found[0].at(start_side, start) is None)):
            comment.line = comment.start_line = comment.position = None
            return
        comment.line, comment.start_line, comment.position = line, start, found[1].position
        comment.commit = self.head

    def _follow(self, path: str, side: str, line: int) -> int | None:
        file = self.sides[side].file(path)
        return file.follow(line) if file else line
