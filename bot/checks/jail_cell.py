"""The program that locks itself in and then becomes an analyser: it may read a few paths, and do nothing else.

Run as a script in a process of its own, never called from ours:

    python -I -S jail_cell.py PARENT MEMORY SECONDS OUTPUT STRICT READABLE... -- TOOL ARGUMENT...

Landlock decides what it may read (https://docs.kernel.org/userspace-api/landlock.html), seccomp which system calls it
may make (https://docs.kernel.org/userspace-api/seccomp_filter.html), rlimits how much of everything. If STRICT is 1
and a lock does not close, the program ends with the exit code LOCKED_OUT and a sentence on standard error; if it is 0,
a lock that this machine does not have is left out.
"""

import ctypes
import os
import resource
import signal
import stat
import struct
import sys

LOCKED_OUT = 126

_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # how many file rights each version of Landlock knows; 16 from version 5 on
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
_SET_PDEATHSIG, _SET_SECCOMP, _SET_NO_NEW_PRIVS = 1, 22, 38
_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CLONE_THREAD = 0x00010000
_EPERM, _ENOSYS = 1, 38

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_FORBIDDEN = {
    "x86_64": (
        # talk: socket socketpair mq_open shmget msgget semget
        *(41, 53, 240, 29, 68, 64),
        # multiply or run what it wrote: fork vfork execveat memfd_create memfd_secret unshare setns
        *(57, 58, 322, 319, 447, 272, 308),
        # touch others: tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open pidfd_send_signal pidfd_getfd ptrace
        # process_vm_readv process_vm_writev process_madvise kcmp setpriority sched_setscheduler ioprio_set
        *(200, 129, 297, 434, 424, 438, 101, 310, 311, 440, 312, 141, 144, 251),
        # change files that Landlock leaves alone: chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat
        # setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat
        # utime utimes futimesat utimensat truncate file_setattr
        *(90, 91, 268, 452, 92, 93, 94, 260, 188, 189, 190, 463, 197, 198, 199, 466, 132, 235, 261, 280, 76, 469),
        # reach into the kernel: io_uring_setup bpf perf_event_open userfaultfd add_key request_key keyctl
        # open_by_handle_at mount
        *(425, 321, 298, 323, 248, 249, 250, 304, 165),
    ),
    "aarch64": (
        *(198, 199, 180, 194, 186, 190),
        *(281, 279, 447, 97, 268),
        *(130, 138, 240, 434, 424, 438, 117, 270, 271, 440, 272, 140, 119, 30),
        *(52, 53, 452, 55, 54, 5, 6, 7, 463, 14, 15, 16, 466, 88, 45, 469),
        *(425, 280, 241, 282, 217, 218, 219, 265, 40),
    ),
}
_ON_ITSELF = {"x86_64": (62, 234, 302, 203), "aarch64": (129, 131, 261, 122)}  # kill tgkill prlimit64 sched_setaffinity
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # classic BPF
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000


def obstacle() -> str:
    """Why nothing can be locked in on this machine; empty when it can."""
    if sys.platform != "linux":
        return f"{sys.platform} has no Landlock"
    if os.uname().machine not in _ARCHITECTURES:
        return f"no table of system calls for {os.uname().machine}"
    if _landlock_version() < 1:
        return "this kernel offers no Landlock"
    return ""


def _landlock_version() -> int:
    """The version of Landlock; -1 when there is none."""
    return int(_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _must(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def _prctl(option: int, *arguments: object) -> None:
    padding = [ctypes.c_ulong(0)] * (4 - len(arguments))
    _must(_libc().prctl(option, *arguments, *padding), f"prctl {option}")


def _limit(memory: int, seconds: int, output: int) -> None:
    on_linux = {resource.RLIMIT_AS: memory, resource.RLIMIT_NPROC: 4096} if sys.platform == "linux" else {}
    wanted = {  # NPROC counts the user's threads everywhere, ours included: seccomp is what forbids forks
        **on_linux,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: output,
        resource.RLIMIT_NOFILE: 256,
        resource.RLIMIT_CORE: 0,
    }
    for name, value in wanted.items():
        hard = resource.getrlimit(name)[1]
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (bound, bound))
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and what is ignored stays so after exec
        signal.signal(number, signal.SIG_DFL)


def _renounce(parent: int) -> None:
    """No new privileges, no capabilities (root keeps nothing but its name), no life after the parent."""
    _prctl(_SET_NO_NEW_PRIVS, ctypes.c_ulong(1))
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    _must(_libc().capset(header, ctypes.create_string_buffer(24)), "capset")
    _prctl(_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != parent:
        raise OSError("the parent is gone")


def _fence(readable: list[str]) -> None:
    """Landlock: read and execute below `readable`, nothing else anywhere."""
    libc = _libc()
    version = _must(_landlock_version(), "Landlock")
    handled = struct.pack("=Q", (1 << _RIGHTS.get(version, 16)) - 1)
    size = ctypes.c_size_t(len(handled))
    ruleset = _must(libc.syscall(_CREATE_RULESET, handled, size, ctypes.c_uint32(0)), "Landlock ruleset")
    for path in readable:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rights = _EXECUTE | _READ_FILE | (_READ_DIR if stat.S_ISDIR(os.fstat(place).st_mode) else 0)
        rule = struct.pack("=Qi", rights, place)
        _must(libc.syscall(_ADD_RULE, ruleset, 1, rule, ctypes.c_uint32(0)), "Landlock rule")
    _must(libc.syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)), "Landlock")


def _program(machine: str, pid: int) -> bytes:
    """The seccomp filter: other architectures die, the forbidden calls fail, the rest passes."""
    refuse, pass_on = (_RETURN, 0, 0, _ERRNO | _EPERM), (_RETURN, 0, 0, _ALLOW)
    code = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _ARCHITECTURES[machine]), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    if machine == "x86_64":
        code += [(_AT_LEAST, 0, 1, 0x40000000), refuse]  # the x32 numbers of the same calls
    for number in _FORBIDDEN[machine]:
        code += [(_EQUAL, 0, 1, number), refuse]
    code += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]  # its flags are out of sight: libc takes clone
    code += [(_EQUAL, 0, 4, _CLONE[machine]), (_LOAD, 0, 0, 16), (_ANY_BIT, 1, 0, _CLONE_THREAD), refuse, pass_on]
    for number in _ON_ITSELF[machine]:
        code += [(_EQUAL, 0, 5, number), (_LOAD, 0, 0, 16), (_EQUAL, 2, 0, 0), (_EQUAL, 1, 0, pid), refuse, pass_on]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in [*code, pass_on])


def _mute() -> None:
    program = _program(os.uname().machine, os.getpid())
    code = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("HP", len(program) // 8, ctypes.addressof(code)))
    _prctl(_SET_SECCOMP, ctypes.c_ulong(_FILTER), header)


def main(argv: list[str]) -> None:
    """Lock in, then become the tool. Never returns."""
    parent, memory, seconds, output, strict = map(int, argv[:5])
    end = argv.index("--")
    tool = argv[end + 1 :]
    try:
        _limit(memory, seconds, output)
        if strict or sys.platform == "linux":
            _renounce(parent)
        if strict or not obstacle():
            _fence(argv[5:end])
        if strict or (sys.platform == "linux" and os.uname().machine in _ARCHITECTURES):
            _mute()
        os.execv(tool[0], tool)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.stderr.write(str(error))
        sys.exit(LOCKED_OUT)


if __name__ == "__main__":
    main(sys.argv[1:])
