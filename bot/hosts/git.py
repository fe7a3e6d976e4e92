"""Runs git, hardened: no hooks, only our configuration, no checkout, no network unless the caller allows it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from bot.errors import NotFound, Refused, Retryable, TooLarge, UserError

if TYPE_CHECKING:
    from bot.interfaces import Remote

Pairs = Sequence[tuple[str, str]]
MEGABYTE = 1024 * 1024
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
NO_OBJECT = "0" * 40

ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "GIT_ALLOW_PROTOCOL": "",  # a fetch has to name its protocols
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_AUTHOR_NAME": "sandbox",
    "GIT_AUTHOR_EMAIL": "sandbox@localhost",
    "GIT_COMMITTER_NAME": "sandbox",
    "GIT_COMMITTER_EMAIL": "sandbox@localhost",
    "HOME": "/nonexistent",
    "LC_ALL": "C",
}
# A repository's .git/config is untrusted: these settings override all that run programs or change the output.
CONFIGURATION = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.quotePath=true",
    "core.commitGraph=false",
    "core.pager=cat",
    "diff.suppressBlankEmpty=false",
    "diff.orderFile=/dev/null",
    "diff.ignoreSubmodules=none",
    "log.showSignature=false",
    "gc.auto=0",
)
FORMAT = "--format=%H%x00%P%x00%an%x00%at%x00%B"
COMPARE = (
    "--find-renames",
    "--diff-algorithm=myers",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--no-relative",
    "--no-abbrev",
    "--submodule=short",
)
FETCH = (
    "--quiet",
    "--depth=1",
    "--no-tags",
    "--no-write-fetch-head",
    "--no-recurse-submodules",
    "--no-auto-maintenance",
    "--stdin",
)
PATCH = ("--full-index", "--unified=3", "--inter-hunk-context=0", "--src-prefix=a/", "--dst-prefix=b/")


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """A file in a commit's tree. `mode` is git's ("100644", "120000" a link, "160000" a submodule); `size` in bytes."""

    path: str
    blob: str
    size: int
    mode: str = "100644"


@dataclass(frozen=True, slots=True)
class GitChange:
    """A changed file: git's status letter, the object ids of both sides, and the lines added and deleted.

    `status` is one of A D M R C T. For binary files the counts are None. A missing side has NO_OBJECT. Modes are git's.
    """

    status: str
    path: str
    previous_path: str | None
    old_blob: str
    new_blob: str
    additions: int | None
    deletions: int | None
    old_mode: str = ""
    new_mode: str = ""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A commit: its author, its time (seconds since 1970) and its whole message."""

    sha: str
    parents: tuple[str, ...]
    author: str
    time: int
    message: str


@dataclass(frozen=True, slots=True)
class Git:
    """The repository at `directory`, bare or not. Each command may take `seconds` and print `limit` bytes.

    Raises Refused when git fails, TooLarge and Retryable over the bounds, UserError without a repository.
    """

    directory: Path
    seconds: float = 60.0
    limit: int = 64 * MEGABYTE

    @classmethod
    async def temporary(cls, owner: object) -> Git:
        """Returns a new bare repository in a temporary directory, which is deleted with `owner`."""
        git = cls(Path(tempfile.mkdtemp(prefix="assistant-")))
        weakref.finalize(owner, shutil.rmtree, git.directory, ignore_errors=True)
        await git.run(("init", "--quiet", "--bare", "--template=", "."))
        return git

    async def resolve(self, revision: str, kind: str = "commit") -> str:
        """Returns the commit (or its "tree") that a branch, tag or other revision names. Raises NotFound."""
        if revision.startswith("-") or not revision or "\0" in revision:
            raise NotFound(f"{revision!r} is not a revision")
        code, out, error = await self._git(
            ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{{kind}}}")
        )
        if code:
            _explain(error)
            raise NotFound(f"{revision} names no {kind} here")
        return out.decode().strip()

    async def merge_base(self, first: str, second: str) -> str:
        """Returns the merge base of two commits. Raises NotFound if they have no common ancestor."""
        code, out, error = await self._git(("merge-base", _revision(first), _revision(second)))
        if code:
            _explain(error)
            raise NotFound(f"{first} and {second} have no common ancestor")
        return out.decode().strip()

    async def diff(self, base: str, head: str, paths: Sequence[str] = ()) -> bytes:
        """Returns the patch from `base` to `head` (of `paths` alone, if any are named), with renames found; binary files
        as "Binary files … differ".
        """
        return await self.run(("diff", *COMPARE, *PATCH, _revision(base), _revision(head), "--", *paths))

    async def diff_staged(self, base: str) -> bytes:
        """Returns the patch from a commit or tree to the index, in the format of `diff`."""
        return await self.run(("diff", "--cached", *COMPARE, *PATCH, _revision(base), "--"))

    async def staged(self) -> list[TreeEntry]:
        """Returns every file of the index. A file with a conflict is left out."""
        out = await self.run(("ls-files", "-s", "-z"))
        records = [record.split(b"\t", 1) for record in out.split(b"\0") if record]
        entries = [(_text(path), *meta.decode().split()) for meta, path in records]
        wanted = [(path, mode, sha) for path, mode, sha, stage in entries if stage == "0"]
        question = "".join(f"{sha}\n" for _, _, sha in wanted).encode()
        sizes = (await self.run(("cat-file", "--batch-check=%(objectsize)"), question)).decode().splitlines()
        return [
            TreeEntry(path, sha, int(size) if size.isdecimal() else 0, mode)
            for (path, mode, sha), size in zip(wanted, sizes, strict=True)
        ]

    async def symbolic_ref(self, name: str) -> str:
        """Returns the ref that a symbolic ref points to; empty without one."""
        out = await self.run(("symbolic-ref", "--quiet", name), fine=(0, 1))
        return _text(out).strip()

    async def changes(self, base: str, head: str) -> list[GitChange]:
        """Returns the changed files between two commits, in the order of `diff`."""
        out = await self.run(("diff", *COMPARE, "--raw", "--numstat", "-z", _revision(base), _revision(head), "--"))
        return _changes(out)

    async def changed_entries(self, base: str, head: str) -> list[GitChange]:
        """Returns the changed files as the folders alone tell them: without contents, so without renames and counts."""
        return _changes(
            await self.run(
                ("diff-tree", "-r", "--raw", "--no-renames", "--no-abbrev", "-z", _revision(base), _revision(head))
            )
        )

    async def tree(self, commit: str, *, directories: bool = False) -> list[TreeEntry]:
        """Returns every file of a commit or tree, submodules with size 0; with `directories` also these (mode "040000")."""
        arguments = ("ls-tree", "-r", "-z", "-l", "--full-tree", *(("-t",) if directories else ()), _revision(commit))
        return [_tree_entry(record) for record in (await self.run(arguments)).split(b"\0") if record]

    async def blob(self, sha: str) -> bytes:
        """Returns a file's content by object id. Raises NotFound, and TooLarge over `limit`."""
        code, out, error = await self._git(("cat-file", "blob", _revision(sha)))
        if code:
            _explain(error)
            raise NotFound(f"{sha} is not a blob here")
        return out

    async def blobs(self, shas: Collection[str], largest: int) -> dict[str, bytes]:
        """Returns the contents of those blobs that are here and have at most `largest` bytes, by object id."""
        wanted = dict.fromkeys(map(_revision, shas))
        out = await self.run(("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)"), _lines(wanted))
        rows = [line.split(" ") for line in out.decode().splitlines()]
        sizes = {row[0]: int(row[2]) for row in rows if row[1] == "blob" and int(row[2]) <= largest}
        found: dict[str, bytes] = {}
        for chunk in _chunks(sizes, self.limit // 2):
            found |= _contents(await self.run(("cat-file", "--batch", "--buffer"), _lines(chunk)))
        return found

    async def fetch(self, remote: Remote, objects: Collection[str], *, blobs: bool = True) -> None:
        """Fetches commits, without their history, and other objects from `remote`; without `blobs` only what is named.

        The credential and the proxy are passed in the environment, so no file or process list shows them. Git follows
        no redirects, and trusts only the certificates of a private authority where there is one.
        """
        settings = [("http.followRedirects", "false"), ("http.extraHeader", f"Authorization: {remote.authorization}")]
        settings += [("http.proxy", remote.connection.proxy)]
        settings += [] if blobs else [("fetch.negotiationAlgorithm", "noop")]
        settings += [("http.sslCAInfo", remote.connection.ca_file)] if remote.connection.ca_file else []
        more = [("GIT_ALLOW_PROTOCOL", "http:https"), ("GIT_CONFIG_COUNT", str(len(settings)))]
        for number, (name, value) in enumerate(settings):
            more += [(f"GIT_CONFIG_KEY_{number}", name), (f"GIT_CONFIG_VALUE_{number}", value)]
        some = () if blobs else ("--filter=blob:none",)
        await self.run(("fetch", *FETCH, *some, "--", remote.url), _lines(map(_revision, objects)), more=more)

    async def log(self, base: str, head: str) -> list[LogEntry]:
        """Returns the commits of `head` that `base` does not have, oldest first."""
        return _log(await self.run(("log", "-z", "--reverse", FORMAT, _revision(head), f"^{_revision(base)}", "--")))

    async def about(self, commit: str) -> LogEntry:
        """Returns one commit."""
        return _log(await self.run(("log", "-z", "--max-count=1", FORMAT, _revision(commit), "--")))[0]

    async def root(self) -> Path:
        """Returns the top of the working tree, or the repository itself if it has none."""
        code, out, _ = await self._git(("rev-parse", "--show-toplevel"))
        if code:
            out = await self.run(("rev-parse", "--absolute-git-dir"))
        return Path(_text(out).removesuffix("\n"))

    async def run(
        self, arguments: Sequence[str], stdin: bytes = b"", *, more: Pairs = (), fine: Collection[int] = (0,)
    ) -> bytes:
        """Runs any other git command; returns its output. `more` extends the environment, `fine` are accepted exit codes."""
        code, out, error = await self._git(arguments, stdin, more)
        if code not in fine:
            _refuse(arguments[0], error)
        return out

    async def _git(self, arguments: Sequence[str], stdin: bytes = b"", more: Pairs = ()) -> tuple[int, bytes, bytes]:
        options = [part for setting in CONFIGURATION for part in ("-c", setting)]
        if any("\0" in argument for argument in arguments):
            raise Refused("a NUL cannot be part of a git command")
        if (program := shutil.which("git")) is None:
            raise UserError("git is not installed, or its folder is not in PATH")
        try:
            process = await asyncio.create_subprocess_exec(
                program,
                "--no-pager",
                *options,
                *arguments,
                cwd=self.directory,
                env=ENVIRONMENT | dict(more),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UserError(f"cannot run git in {self.directory}: {error.strerror}") from error
        try:
            async with asyncio.timeout(self.seconds):
                out, problem = await self._exchange(process, stdin)
                return await process.wait(), out, problem
        except TimeoutError as error:
            raise Retryable(f"git {arguments[0]} took longer than {self.seconds:g} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _exchange(self, process: asyncio.subprocess.Process, stdin: bytes) -> tuple[bytes, bytes]:
        _, out, error = await asyncio.gather(
            _feed(process.stdin, stdin), _drain(process.stdout, self.limit), _drain(process.stderr, MEGABYTE)
        )
        return out, error


async def _feed(pipe: asyncio.StreamWriter | None, data: bytes) -> None:
    if pipe is None:
        return
    try:
        pipe.write(data)
        await pipe.drain()
        pipe.close()
        await pipe.wait_closed()
    except (BrokenPipeError, ConnectionResetError):
        return  # git stopped reading; its exit code says why


async def _drain(pipe: asyncio.StreamReader | None, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while pipe and (part := await pipe.read(MEGABYTE)):
        size += len(part)
        if size > limit:
            raise TooLarge(f"git answered with more than {limit} bytes")
        parts.append(part)
    return b"".join(parts)


def _revision(text: str) -> str:
    if text.startswith("-") or not text:
        raise Refused(f"{text!r} is not a revision")
    return text


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def _chunks(sizes: Mapping[str, int], most: int) -> Iterator[list[str]]:
    """Yields object ids in groups of at most `most` bytes together."""
    chunk: list[str] = []
    total = 0
    for sha, size in sizes.items():
        if chunk and total + size > most:
            yield chunk
            chunk, total = [], 0
        chunk.append(sha)
        total += size
    if chunk:
        yield chunk


def _contents(out: bytes) -> dict[str, bytes]:
    """Reads the records of `cat-file --batch`: a line with id, type and size, the content, a newline."""
    found: dict[str, bytes] = {}
    at = 0
    while at < len(out):
        end = out.index(b"\n", at)
        sha, _, size = out[at:end].decode().split(" ")
        found[sha] = out[end + 1 : end + 1 + int(size)]
        at = end + 1 + int(size) + 1
    return found


def _explain(stderr: bytes) -> None:
    """Raises UserError for two problems that git reports only in its text, in English because of LC_ALL=C."""
    if b"not a git repository" in stderr:
        raise UserError("there is no git repository here")
    if b"dubious ownership" in stderr:
        raise UserError("the repository belongs to another user; git refuses to read it")


def _refuse(verb: str, stderr: bytes) -> NoReturn:
    _explain(stderr)
    raise Refused(f"git {verb}: {stderr.decode(errors='replace').strip()[:500] or 'failed'}")


def _text(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")


def _tree_entry(record: bytes) -> TreeEntry:
    meta, path = record.split(b"\t", 1)
    mode, _, sha, size = meta.decode().split()
    return TreeEntry(_text(path), sha, int(size) if size.isdecimal() else 0, mode)


def _log(out: bytes) -> list[LogEntry]:
    fields = out.decode(errors="replace").split("\0")
    return [_log_entry(*fields[at : at + 5]) for at in range(0, len(fields) - 4, 5)]


def _log_entry(sha: str, parents: str, author: str, time: str, message: str) -> LogEntry:
    return LogEntry(sha.strip(), tuple(parents.split()), author, int(time), message.rstrip("\n"))


def _changes(out: bytes) -> list[GitChange]:
    tokens = iter(out.split(b"\0"))
    raw: list[tuple[list[str], str | None, str]] = []
    counts: dict[str, tuple[int | None, int | None]] = {}
    for token in tokens:
        if token.startswith(b":"):
            meta = token[1:].decode().split()
            first = _text(next(tokens))
            raw.append((meta, first, _text(next(tokens))) if meta[4][0] in "RC" else (meta, None, first))
        elif token:
            added, deleted, path = token.split(b"\t", 2)
            if not path:
                next(tokens)
                path = next(tokens)
            counts[_text(path)] = (_count(added), _count(deleted))
    return [
        GitChange(meta[4][0], path, previous, meta[2], meta[3], *counts.get(path, (0, 0)), *meta[:2])
        for meta, previous, path in raw
    ]


def _count(number: bytes) -> int | None:
    return None if number == b"-" else int(number)
