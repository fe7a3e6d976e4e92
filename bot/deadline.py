"""Ends a computation that takes too long: the readers of documents and policy files run under it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import thread_time
from types import FrameType
from typing import Any, TypeVar

from bot.errors import TooLarge

T = TypeVar("T")
Hook = Callable[[FrameType, str, Any], Any]

_EVERY = 200
"""Calls of functions between two looks at the clock."""


class _Late(BaseException):
    """The time is over. It is no Exception, so that a reader that catches everything does not catch it."""


def within(seconds: float, work: Callable[[], T]) -> T:
    """Returns what `work` returns. Raises TooLarge when it has used `seconds` of this thread's CPU time.

    The interpreter's profiling hook looks at the clock, so that `work` needs no cooperation; only one long call into C
    cannot be ended. A hook that raises is removed, and in a finalizer or a callback of a weak reference its exception
    reaches no caller: so the tracing hook puts it back, until an exception ends the work.
    https://docs.python.org/3/library/sys.html#sys.setprofile
    """
    end, calls, over, here = thread_time() + seconds, 0, False, sys._getframe()  # noqa: SLF001 - its documented name

    def look(frame: FrameType, _event: str, _argument: object) -> None:
        nonlocal calls
        calls += 1
        if calls % _EVERY == 0 and not over and thread_time() > end:
            calls -= 1  # from now on, every call is a look
            _trace(frame, here, again)
            raise _Late

    def again(_frame: FrameType, _event: str, _argument: object) -> Hook:
        sys.setprofile(look)
        return again

    before, traced = sys.getprofile(), sys.gettrace()
    sys.setprofile(look)
    try:
        return work()
    except _Late:
        over = True
        raise TooLarge(f"it takes more than {seconds:.1f} s to read") from None
    finally:
        over = True
        sys.settrace(traced)
        sys.setprofile(before)


def _trace(frame: FrameType | None, last: FrameType, hook: Hook) -> None:
    """Lets `hook` see the next line or call of every frame from here up to `last`, which it does not see."""
    while frame is not None and frame is not last:
        frame.f_trace = hook
        frame = frame.f_back
    sys.settrace(hook)
