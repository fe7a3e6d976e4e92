"""Repositories are written with git's plumbing: one process per commit, nothing is ever checked out."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence

from bot.hosts.git import Git

QUICK = ("-c", "core.fsync=none", "-c", "fastimport.unpackLimit=1")
"""Faster: no fsync, and one pack a commit in place of a file for each object."""


async def init(git: Git) -> None:
    """Make an empty bare repository at `git.directory`."""
    git.directory.mkdir(parents=True, exist_ok=True)
    await git.run(("init", "--bare", "--quiet", "--template=", "--initial-branch=main"))


async def borrow(git: Git, other: Git) -> None:
    """See every object of `other` without copying it, as git's alternates do."""
    out = await other.run(("rev-parse", "--path-format=absolute", "--git-path", "objects", "--git-path", "shallow"))
    objects, shallow = out.decode().splitlines()
    information = git.directory / "objects" / "info"
    information.mkdir(parents=True, exist_ok=True)
    (information / "alternates").write_text(objects + "\n")
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(shallow, git.directory / "shallow")


async def point(git: Git, ref: str, commit: str) -> None:
    """Points `ref` to `commit`, also if it pointed elsewhere before."""
    await git.run(("update-ref", ref, commit))


async def commit(
    git: Git, ref: str, files: Mapping[str, bytes | None], message: str, *, parent: str | None = None, time: int = 0
) -> str:
    """Commit `files` (None deletes) on top of `parent` and let `ref` name it; the new commit's id."""
    out = await git.run(
        (*QUICK, "fast-import", "--quiet", "--force", "--done"), _stream(ref, files, message, parent, time)
    )
    return out.decode().strip()


async def commit_tree(git: Git, tree: str, parents: Sequence[str], message: str, *, time: int = 0) -> str:
    """A commit of a tree that exists, named by no ref yet."""
    links = [part for parent in parents for part in ("-p", parent)]
    out = await git.run(("commit-tree", tree, *links), message.encode(), more=_dated(f"@{time} +0000"))
    return out.decode().strip()


async def merge(git: Git, ours: str, theirs: str) -> str:
    """The tree of a merge (git 2.38 or newer). Raises Refused on a conflict."""
    out = await git.run(("merge-tree", "--write-tree", ours, theirs))
    return out.decode().split("\n", 1)[0]


def _stream(ref: str, files: Mapping[str, bytes | None], message: str, parent: str | None, time: int) -> bytes:
    """A fast-import stream of one commit that ends by asking for its id: git-fast-import(1)."""
    text = message.encode()
    parts = [
        f"commit {ref}\nmark :1\ncommitter sandbox <sandbox@localhost> {time} +0000\n".encode(),
        b"data %d\n%s\n" % (len(text), text),
        f"from {parent}\n".encode() if parent else b"",
    ]
    for path, content in files.items():
        name = _quoted(path)
        if content is None:
            parts.append(b"D " + name + b"\n")
        else:
            parts.append(b"M 100644 inline %s\ndata %d\n%s\n" % (name, len(content), content))
    return b"".join([*parts, b"\nget-mark :1\ndone\n"])


def _dated(date: str) -> list[tuple[str, str]]:
    return [("GIT_AUTHOR_DATE", date), ("GIT_COMMITTER_DATE", date)]


def _quoted(path: str) -> bytes:
    raw = path.encode(errors="surrogateescape")
    return b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'
