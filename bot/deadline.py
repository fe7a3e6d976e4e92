"""Ends a computation that takes too long: the readers of documents and policy files run under it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from time import thread_time
from types import FrameType
from typing import TypeVar

from bot.errors import TooLarge

T = TypeVar("T")

_EVERY = 200
"""Calls of functions between two looks at the clock."""


class _Late(BaseException):
    """The time is over. It is no Exception, so that a reader that catches everything does not catch it."""


def within(seconds: float, work: Callable[[], T]) -> T:
    """Returns what `work` returns. Raises TooLarge when it has used `seconds` of this thread's CPU time.

    The interpreter's profiling hook looks at the clock, so that `work` needs no cooperation; only one long call into C
    cannot be ended.
    """
    end, calls = thread_time() + seconds, 0

    def look(frame: FrameType, _event: str, _argument: object) -> None:
        nonlocal calls
        calls += 1
        if calls % _EVERY == 0 and thread_time() > end and not _is_swallowed(frame):
            raise _Late

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        return work()
    except _Late:
        raise TooLarge(f"it takes more than {seconds:.1f} s to read") from None
    finally:
        sys.setprofile(before)


def _is_swallowed(frame: FrameType | None) -> bool:
    """Whether an exception raised here reaches no caller: the interpreter prints those of finalizers and of gc callbacks.

    A hook that raises is removed, so raising there would let `work` run for ever. https://docs.python.org/3/library/gc.html#gc.callbacks
    """
    callbacks = [getattr(callback, "__code__", None) for callback in gc.callbacks]
    while frame is not None:
        if frame.f_code.co_name == "__del__" or frame.f_code in callbacks:
            return True
        frame = frame.f_back
    return False
