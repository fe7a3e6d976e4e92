"""Computations that take long: one thread does them, away from the event loops, and those that read documents end in time."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event, RLock, Thread, get_ident
from typing import ParamSpec, TypeVar

from bot.errors import TooLarge

T = TypeVar("T")
P = ParamSpec("P")

_AGAIN = 0.01
"""CPU seconds between two attempts to end the work: code that swallows every exception gets the next one."""

_COMPUTER = ThreadPoolExecutor(1, "compute")


async def compute(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Returns what `work` returns, computed in a thread, so that the event loop goes on.

    There is one such thread. More would not be faster, because only one thread runs Python code at a time, and a request
    would wait for each of them in turn.
    """
    called = partial(contextvars.copy_context().run, work, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_COMPUTER, called)


class _Late(BaseException):
    """The time is over. It is no Exception, so that a reader that catches everything does not catch it."""


def within(seconds: float, work: Callable[[], T]) -> T:
    """Returns what `work` returns. Raises TooLarge when it has used `seconds` of this thread's CPU time.

    Another thread looks at the clock, so that `work` needs no cooperation and is not slower than without it; only one long
    call into C cannot be ended.
    """
    watch = _Watch(seconds)
    try:
        try:
            watch.start()
            return work()
        finally:
            watch.stop()
    except _Late:
        watch.stop()  # the exception may have come while it was stopped; the next one is 10 ms of CPU away
        raise TooLarge(f"it takes more than {seconds:.1f} s to read") from None


class _Watch:
    """Raises _Late in the thread that made it, again and again, from `seconds` of its CPU time until it is stopped.

    https://docs.python.org/3/c-api/threads.html#c.PyThreadState_SetAsyncExc
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._worker = get_ident()
        self._used = _cpu_clock(self._worker)
        self._end = self._used() + seconds
        self._raised = False
        self._stopped, self._lock = Event(), RLock()  # an exception on the way into a block may leave it locked

    def start(self) -> None:
        """Starts the thread that looks at the clock."""
        Thread(target=self._look, name="deadline", daemon=True).start()

    def stop(self) -> None:
        """Ends the watch, in the thread that made it: from now on nothing is raised."""
        with self._lock:
            self._stopped.set()
            if self._raised:
                _let_arrive()

    def _look(self) -> None:
        left = self._seconds
        while not self._stopped.wait(max(left, _AGAIN)):
            with self._lock:  # the worker is in `work` as long as it is not stopped
                if self._stopped.is_set():
                    return
                left = self._end - self._used()
                if left <= 0:
                    self._raised = True
                    _raise_in(self._worker, _Late)
                    self._end += _AGAIN - left


def _cpu_clock(thread: int) -> Callable[[], float]:
    """The CPU seconds of a thread, for every thread to read; where the system does not have them (macOS), real time."""
    if hasattr(time, "pthread_getcpuclockid"):
        return partial(time.clock_gettime, time.pthread_getcpuclockid(thread))
    return time.monotonic


def _let_arrive() -> None:
    """Lets an exception that is on its way to this thread arrive here.

    It could be taken back, but only its arrival resets CPython's mark that one is on its way: until then every call of a
    function is slower, and a traced one never ends (CPython 3.11).
    """
    try:
        _raise_in(get_ident(), _Late)
        while True:
            pass
    except _Late:
        return


def _raise_in(thread: int, error: type[BaseException]) -> None:
    """Lets `thread` raise `error` as soon as it runs Python code, instead of one that it has not yet raised."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))
