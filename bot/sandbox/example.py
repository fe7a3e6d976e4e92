"""Loads the example from disk: a repository with its standards, an issue, and the pull request to review."""

from __future__ import annotations

from pathlib import Path

from bot.sandbox.sandbox import Sandbox
from bot.sandbox.world.people import PullRequest
from bot.sandbox.world.repo import Repo

STANDARDS = "docs/standards"
POLICY = ".github/assistant.yml"


async def load(sandbox: Sandbox, directory: Path, name: str = "octo/shop") -> PullRequest:
    """Builds the history in `directory`: base/, then head/ on top. Standards and policy come from the folder above."""
    repo = await sandbox.repository(name, _base(directory), private=True)
    repo.user("alice", "write")
    title, body = _words(directory / "issue.md")
    repo.open_issue(title, body, author="maria")
    return await _open(repo, directory)


def _base(directory: Path) -> dict[str, bytes | str | None]:
    files = _files(directory / "base")
    files |= {f"{STANDARDS}/{path}": content for path, content in _files(directory.parent / "standards").items()}
    return files | {POLICY: (directory.parent / "assistant.yml").read_bytes()}


async def _open(repo: Repo, directory: Path) -> PullRequest:
    title, body = _words(directory / "pull.md")
    return await repo.open_pull(title, body, _files(directory / "head"), author="alice", branch="vouchers")


def _files(root: Path) -> dict[str, bytes | str | None]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def _words(path: Path) -> tuple[str, str]:
    """A title and a body from a Markdown file that begins with a heading."""
    heading, _, rest = path.read_text(encoding="utf-8").partition("\n")
    return heading.lstrip("# "), rest.strip() + "\n"
