"""The jail: twenty-odd attacks that work outside of it and do not inside, and the bounds of what it runs."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.checks import jail_cell as cell
from bot.checks.jail import FILES, Jail, ProgramRun

PYTHON = os.path.realpath(sys.executable)
NEEDS = (f"{sys.base_prefix}/lib",)  # all of /usr would have every program in it
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(bool(cell.obstacle()), reason=f"nothing can be confined here: {cell.obstacle()}")


def python(code: str, *arguments: str, jail: Jail | None = None) -> ProgramRun:
    """Run `code` in the jail."""
    command = [PYTHON, "-I", "-S", FILES, *arguments]
    return asyncio.run((jail or Jail()).run(command, [("attack.py", textwrap.dedent(code).encode())], NEEDS))


@dataclass(frozen=True)
class World:
    """What an attacker would like to reach: a file of ours, a program of ours, and sockets that listen."""

    file: Path
    victim: int
    socket: Path

    def arguments(self) -> tuple[str, ...]:
        """As an attack receives them."""
        return str(self.file), str(self.victim), str(self.socket)


LISTEN = """
import socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A canary file and a canary process; nobody's real secrets are in reach of an attack that works."""
    directory = tmp_path_factory.mktemp("outside")
    (directory / "file").write_text("canary")
    socket = directory / "socket"
    command = [PYTHON, "-I", "-S", "-c", LISTEN, str(socket)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env={"SECRET": "canary"}, stdin=pipe, stdout=pipe) as victim:
        victim.stdout.readline()
        yield World(directory / "file", victim.pid, socket)
        victim.communicate()


ATTACKS = {
    "read a file outside": "open(sys.argv[1]).read()",
    "read /etc/passwd": "open('/etc/passwd').read()",
    "list the root directory": "os.listdir('/')",
    "read another process's environment": "assert b'canary' in open(f'/proc/{sys.argv[2]}/environ', 'rb').read()",
    "read its own environment": "open('/proc/self/environ').read()",
    "write outside": "open(sys.argv[1] + '.new', 'w').write('x')",
    "write beside the staged files": "open('x', 'w').write('x')",
    "make a file of 200 MB": "open('x', 'wb').truncate(200 << 20)",
    "remove a file": "open(sys.argv[1] + '.old', 'w'); os.unlink(sys.argv[1] + '.old')",
    "truncate a file": "os.truncate(sys.argv[1], 6)",
    "take a file's permissions": "os.chmod(sys.argv[1], 0o600)",
    "change a file's times": "os.utime(sys.argv[1])",
    "follow a symbolic link out": "os.symlink('/etc/passwd', 'link'); open('link').read()",
    "speak TCP": "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
    "speak UDP": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "speak netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "speak to a unix socket": "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', sys.argv[3])",
    "speak to a unix socket from a pair": """
        socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', sys.argv[3])""",
    "signal its parent": "os.kill(os.getppid(), 0)",
    "signal another process": "os.kill(int(sys.argv[2]), 0)",
    "open a handle of another process": "os.pidfd_open(int(sys.argv[2]))",
    "limit another process": "resource.prlimit(int(sys.argv[2]), resource.RLIMIT_CORE, (0, 0))",
    "slow another process down": "os.setpriority(os.PRIO_PROCESS, int(sys.argv[2]), 5)",
    "fork": "os.fork() or os._exit(0)",
    "fork the modern way": "os.posix_spawn(sys.executable, [sys.executable, '-c', ''], {})",
    "trace": "assert libc.ptrace(0, 0, 0, 0) == 0",
    "run a program of the system": "os.execv('/bin/echo', ['echo', 'ESCAPED'])",
    "run a program it wrote": """
        open('x', 'w').write('#!/bin/echo ESCAPED')
        os.chmod('x', 0o700)
        os.execv('x', ['x'])""",
    "run a program from memory": """
        file = os.memfd_create('x')
        os.write(file, open('/usr/lib/os-release', 'rb').read())""",
    "ask io_uring": "assert libc.syscall(425, 1, ctypes.create_string_buffer(120)) >= 0",
    "take 4 GB of memory": "mmap.mmap(-1, 4 << 30)",
}
PRELUDE = "import ctypes, mmap, os, resource, socket, sys\nlibc = ctypes.CDLL(None)\n"


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_that_works_outside_fails_in_the_jail(attack: str, world: World, tmp_path: Path) -> None:
    code = PRELUDE + textwrap.dedent(ATTACKS[attack]) + "\nprint('ESCAPED')\n"
    (tmp_path / "attack.py").write_text(code)
    command = [PYTHON, "-I", "-S", "attack.py", *world.arguments()]

    outside = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    inside = python(code, *world.arguments())

    if attack == "ask io_uring" and b"AssertionError" in outside.stderr:
        pytest.skip("this machine has no io_uring")
    assert b"ESCAPED" in outside.stdout
    assert b"ESCAPED" not in inside.stdout
    assert inside.exit_code == 1
    assert any(error in inside.stderr_tail for error in ("Error: [Errno", "AssertionError"))


def test_a_tool_may_read_what_is_staged_and_use_threads() -> None:
    ran = python("""
        import threading
        worker = threading.Thread(target=lambda: print(len(open(__file__).read()) > 0))
        worker.start()
        worker.join()
    """)

    assert (ran.exit_code, ran.stdout, ran.trouble) == (0, b"True\n", "")


def test_files_are_staged_under_neutral_names() -> None:
    listing = [PYTHON, "-I", "-S", "-c", "import os, sys; print(sorted(os.listdir()), sys.argv[1:])", FILES]
    files = [("a/.ruff.toml", b""), ("setup.cfg", b""), ("../../x.py", b""), ("Makefile", b""), ("b.p/y", b"")]

    ran = asyncio.run(Jail().run(listing, files, NEEDS))

    names = ["0.toml", "1.cfg", "2.py", "3", "4"]
    assert f"{names} {names}\n".encode() == ran.stdout


def test_a_tool_sees_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canary")

    ran = python("import os; print(sorted(os.environ))")

    assert ran.stdout == b"['HOME', 'LANG']\n"


def test_a_tool_inherits_no_open_files(tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)  # noqa: FBT003 - the signature of os
        ran = python("import os, sys; os.fstat(int(sys.argv[1]))", str(secret.fileno()))

    assert "Bad file descriptor" in ran.stderr_tail


@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(60)"])
def test_a_tool_that_does_not_end_is_ended(code: str) -> None:
    began = time.monotonic()

    ran = python(code, jail=Jail(seconds=1))

    assert ran.trouble in {"took longer than 1 s", "died of SIGXCPU", "died of SIGKILL"}
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_200_megabytes_of_output_are_cut_by_the_kernel(stream: str) -> None:
    ran = python(f"import sys\nfor _ in range(200): sys.{stream}.write('x' * (1 << 20))")

    assert ran.trouble == "wrote more than 8 MB"
    assert len(ran.stdout) <= 8 << 20
    assert len(ran.stderr_tail) <= 2_000


def test_a_crash_is_a_word_not_an_exception() -> None:
    ran = python("import ctypes; ctypes.string_at(0)")

    assert ran.trouble == "died of SIGSEGV"


def test_a_program_that_is_not_there_is_trouble() -> None:
    ran = asyncio.run(Jail().run(["/nonexistent/ruff", "check"]))

    assert ran.trouble.startswith("could not be started")


def test_an_exit_code_is_no_trouble() -> None:
    ran = python("raise SystemExit(3)")

    assert (ran.exit_code, ran.trouble) == (3, "")


def child_of(pid: int) -> int:
    """The one child of `pid`, as soon as it has become Python with our argument."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if b"attack-of-the-orphan" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                return int(child)
    pytest.fail("the jail did not start")


ORPHAN = f"""
import asyncio, sys
from bot.checks.jail import Jail
asyncio.run(Jail().run([{PYTHON!r}, "-I", "-S", "-c", "import time; time.sleep(60)", "attack-of-the-orphan"],
                       readable=[{sys.base_prefix!r}]))
"""


def test_a_tool_does_not_outlive_us() -> None:
    with subprocess.Popen([sys.executable, "-c", ORPHAN], cwd=ROOT) as us:
        tool = child_of(us.pid)
        handle = os.pidfd_open(tool)
        us.kill()

    ended, _, _ = select.select([handle], [], [], 5)
    os.close(handle)
    assert ended


def test_a_cancelled_run_leaves_no_process() -> None:
    async def scenario() -> int:
        command = [PYTHON, "-I", "-S", "-c", "import time; time.sleep(60)", "attack-of-the-orphan"]
        run = asyncio.create_task(Jail().run(command, (), NEEDS))
        tool = await asyncio.to_thread(child_of, os.getpid())
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        return tool

    tool = asyncio.run(scenario())

    with pytest.raises(ProcessLookupError):
        os.kill(tool, 0)


WITHOUT_LANDLOCK = """
import asyncio, ctypes, struct, sys
from bot.checks import jail_cell as cell
from bot.checks.jail import Jail
cell._prctl(38, ctypes.c_ulong(1))
program = b"".join(struct.pack("=HBBI", *code) for code in (
    (0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x50000 | 38), (0x06, 0, 0, 0x7fff0000)))
code = ctypes.create_string_buffer(program, len(program))
cell._prctl(22, ctypes.c_ulong(2), ctypes.create_string_buffer(struct.pack("HP", 4, ctypes.addressof(code))))
jail = Jail(allow_unconfined=sys.argv[1] == "allowed")
code = "import os; print('ran'); os.fork()"
print(asyncio.run(jail.run([sys.executable, "-I", "-S", "-c", code], readable=[sys.base_prefix])))
"""


def without_landlock(word: str) -> str:
    """What the jail does on a kernel that answers ENOSYS to Landlock, as a seccomp filter makes this one do."""
    command = [sys.executable, "-c", WITHOUT_LANDLOCK, word]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_nothing_runs_where_it_cannot_be_confined() -> None:
    said = without_landlock("refused")

    assert "was not run, because it cannot be confined here: this kernel offers no Landlock" in said
    assert "ran\\n" not in said


def test_the_operator_may_allow_what_locks_there_are() -> None:
    said = without_landlock("allowed")

    assert "ran\\n" in said
    assert "BlockingIOError" in said or "PermissionError" in said


def test_a_lock_that_does_not_close_is_no_run() -> None:
    somebody_elses = [PYTHON, "-I", "-S", cell.__file__, "1", "536870912", "5", "1000000", "1", "/usr/lib", "--"]

    ended = subprocess.run([*somebody_elses, "/bin/echo", "ran"], capture_output=True, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (cell.LOCKED_OUT, b"", b"the parent is gone")


def decide(machine: str, number: int, argument: int = 0, arch: int | None = None) -> int:
    """Run the filter for `machine` as the kernel would: one classic BPF program over (number, arch, first argument)."""
    code = cell._program(machine, 4711)
    words = {0: number, 4: cell._ARCHITECTURES[machine] if arch is None else arch, 16: argument}
    tests: dict[int, Callable[[int, int], bool]] = {
        0x15: lambda a, k: a == k,
        0x35: lambda a, k: a >= k,
        0x45: lambda a, k: bool(a & k),
    }
    accumulator = counter = 0
    while True:
        kind, yes, no, value = cell.struct.unpack_from("=HBBI", code, counter * 8)
        counter += 1
        if kind == 0x20:
            accumulator = words[value]
        elif kind == 0x06:
            return int(value)
        else:
            counter += yes if tests[kind](accumulator, value) else no


ALLOWED, REFUSED, UNKNOWN, KILLED = 0x7FFF0000, 0x50001, 0x50026, 0x80000000


@pytest.mark.parametrize(
    ("machine", "read", "socket", "clone", "kill"), [("x86_64", 0, 41, 56, 62), ("aarch64", 63, 198, 220, 129)]
)
def test_the_filter_decides_by_call_and_argument(machine: str, read: int, socket: int, clone: int, kill: int) -> None:
    assert decide(machine, read) == ALLOWED
    assert decide(machine, socket) == REFUSED
    assert decide(machine, clone, signal.SIGCHLD) == REFUSED
    assert decide(machine, clone, 0x3D0F00) == ALLOWED  # a thread of glibc
    assert decide(machine, 435) == UNKNOWN
    assert [decide(machine, kill, pid) for pid in (0, 4711, 1)] == [ALLOWED, ALLOWED, REFUSED]
    assert decide(machine, read, arch=0x40000003) == KILLED  # the 32-bit calls of the same machine


def test_the_second_numbering_of_x86_is_refused() -> None:
    assert decide("x86_64", 0x40000000 | 41) == REFUSED
