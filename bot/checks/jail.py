"""Runs external analysers over untrusted files: staged under neutral names, confined by the kernel, within bounds.

If a file makes an analyser fail, the other files are still analysed.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO

from bot.checks.jail_cell import LOCKED_OUT, obstacle
from bot.core.findings.problem import Problem
from bot.deadline import compute
from bot.interfaces import CheckResult, Source

FILES = "{files}"
"""Stands in a command line for the names of the staged files."""

_CELL = Path(__file__).with_name("jail_cell.py")
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
_ENVIRONMENT = {"LANG": "C.UTF-8", "HOME": "/nonexistent"}
_TAIL = 2_000
_MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class ProgramRun:
    """The result of running a program. `trouble` says why its output cannot be used; empty if it can.

    Analysers use exit codes other than 0 to report findings, so they are not trouble. None: the program did not run.
    """

    exit_code: int | None = None
    stdout: bytes = b""
    stderr_tail: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Jail:
    """Runs a program that may read only its own files, the system's libraries and the staged files; see jail_cell.py.

    `memory` (address space) and `output` are in bytes, `seconds` is both wall and CPU time. Where the machine lacks a
    lock, nothing runs unless the operator set `allow_unconfined`: then the other locks and the bounds still hold.
    """

    allow_unconfined: bool = False
    memory: int = 512 * _MEGABYTE
    seconds: int = 10
    output: int = 8 * _MEGABYTE

    async def run(
        self, argv: Sequence[str], files: Sequence[tuple[str, bytes]] = (), readable: Sequence[str] = ()
    ) -> ProgramRun:
        """Run `argv` beside `files`, pairs of a path and its content.

        The first argument is the absolute path of the program. File number 7 is staged as 7 with the path's suffix;
        the argument FILES becomes all the staged names. `readable` are more paths the program needs.
        """
        if (reason := obstacle()) and not self.allow_unconfined:
            return ProgramRun(trouble=f"was not run, because it cannot be confined here: {reason}")
        try:
            with tempfile.TemporaryDirectory(prefix="check-") as stage, tempfile.TemporaryFile() as out:
                names = await asyncio.to_thread(_stage, Path(stage), files)
                tool = [part for word in argv for part in (names if word == FILES else [word])]
                cell_argv = self._cell([*_LIBRARIES, tool[0], stage, *readable])
                return await self._supervise([*cell_argv, *tool], stage, out)
        except OSError as error:
            return ProgramRun(trouble=f"could not be started: {error.strerror}")

    def _cell(self, readable: Sequence[str]) -> list[str]:
        numbers = (os.getpid(), self.memory, self.seconds, self.output, int(not self.allow_unconfined))
        existing = [path for path in readable if Path(path).exists()]
        return [sys.executable, "-I", "-S", str(_CELL), *map(str, numbers), *existing, "--"]

    async def _supervise(self, argv: Sequence[str], stage: str, out: IO[bytes]) -> ProgramRun:
        """Output goes to files whose size the kernel bounds, so that reading them needs no care."""
        with tempfile.TemporaryFile() as err:
            try:
                async with asyncio.timeout(self.seconds), _process(argv, stage, out, err) as process:
                    code = await process.wait()
            except TimeoutError:
                return ProgramRun(-signal.SIGKILL, trouble=f"took longer than {self.seconds} s")
            stdout, stderr = _read(out), _read(err)
        tail = stderr[-_TAIL:].decode(errors="replace")
        if code == LOCKED_OUT:
            return ProgramRun(trouble=f"could not be started: {tail}")
        return ProgramRun(code, stdout, tail, self._trouble(code, max(len(stdout), len(stderr))))

    def _trouble(self, code: int, size: int) -> str:
        if code == -signal.SIGXFSZ or size >= self.output:
            return f"wrote more than {self.output // _MEGABYTE} MB"
        if code < 0:
            return f"died of {signal.Signals(-code).name}"
        return ""


def _stage(directory: Path, files: Sequence[tuple[str, bytes]]) -> list[str]:
    names = []
    for number, (path, content) in enumerate(files):
        suffix = PurePosixPath(path).suffix
        name = f"{number}{suffix if re.fullmatch(r'[.][A-Za-z0-9]{1,12}', suffix) else ''}"
        (directory / name).write_bytes(content)
        names.append(name)
    return names


def _read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


@asynccontextmanager
async def _process(
    argv: Sequence[str], stage: str, out: IO[bytes], err: IO[bytes]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process in a group of its own, which is gone, with all of its group, when the block ends."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=stage,
        env=_ENVIRONMENT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):  # it ended just now
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


Parse = Callable[[bytes, Sequence[Source]], tuple[Problem, ...]]
"""Output and staged files -> problems; file number 7 was staged under the name 7. Raises ValueError for nonsense."""

_RUNS, _CLOCK = 16, 2
"""The most runs of one program, and how many times the jail's seconds all of them may take together."""
_BARE_RETURN = re.compile(r"\r(?!\n)")  # a line break for some tools and not for git: line numbers would be wrong


@dataclass(frozen=True, slots=True)
class Analyser:
    """A command for the jail and what its output means. Whether it worked is decided on the output alone.

    `readable` are paths that the program needs beside the staged files.
    """

    argv: Sequence[str]
    jail: Jail
    parse: Parse
    readable: Sequence[str] = ()

    async def run(self, files: Sequence[Source]) -> CheckResult:
        """Analyse all files at once; in halves, at most 16 runs in all, as long as a file among them breaks the tool.

        All runs together take at most twice the jail's seconds.
        """
        deadline = time.monotonic() + self.jail.seconds * _CLOCK
        failed = [(file.path, "has bare carriage returns") for file in files if _BARE_RETURN.search(file.text)]
        waiting = [[file for file in files if not _BARE_RETURN.search(file.text)]]
        problems: list[Problem] = []
        runs = 0
        while waiting:
            batch = waiting.pop()
            runs += 1
            found, trouble, may_split = await self._try(batch, deadline - time.monotonic())
            problems.extend(found)
            if trouble and may_split and len(batch) > 1 and runs + len(waiting) < _RUNS - 1:
                half = len(batch) // 2
                waiting += [batch[half:], batch[:half]]
            elif trouble:
                failed += [(file.path, trouble) for file in batch]
        return CheckResult(tuple(problems), tuple(failed))

    async def _try(self, batch: Sequence[Source], left: float) -> tuple[tuple[Problem, ...], str, bool]:
        """Problems, or the trouble and whether a file may be the cause of it. `left` are the seconds for all runs."""
        if not batch:
            return (), "", False
        if left < 1:
            return (), f"was not analysed: the program took {self.jail.seconds * _CLOCK} s for the files before", False
        staged = [(file.path, file.text.encode(errors="replace")) for file in batch]
        jail = replace(self.jail, seconds=min(self.jail.seconds, int(left)))
        ran = await jail.run(self.argv, staged, self.readable)
        if ran.trouble:
            return (), ran.trouble, ran.exit_code is not None
        try:
            return await compute(self.parse, ran.stdout, batch), "", False
        except ValueError:
            last_words = " ".join(ran.stderr_tail.split())[-200:]
            return (), f"gave no output that can be read: {last_words}", True
