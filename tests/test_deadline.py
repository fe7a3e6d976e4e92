"""The clock around the readers of strangers' files."""

import asyncio
import gc
import subprocess
import sys
import threading
import time
import weakref
from contextlib import suppress
from contextvars import ContextVar

import pytest

from bot.core.findings.standard import Document
from bot.core.policy import parse
from bot.deadline import compute, within
from bot.errors import Refused, TooLarge
from bot.standards.local import FolderStandards

# Where an exception is swallowed, the interpreter prints it; the work ends all the same.
pytestmark = pytest.mark.filterwarnings("ignore:(?s).*_Late:pytest.PytestUnraisableExceptionWarning")


def test_a_computation_that_catches_everything_still_ends_in_time():
    def stubborn():
        while True:
            with suppress(Exception):  # as some readers do
                sorted(map(str, range(100)))

    begun = time.thread_time()
    with pytest.raises(TooLarge, match="to read"):
        within(0.1, stubborn)

    assert time.thread_time() - begun < 1
    assert (sys.getprofile(), sys.gettrace()) == (None, None)


def test_the_event_loop_goes_on_while_something_is_computed_and_one_thing_is_computed_at_a_time():
    job, computing, most = ContextVar("job"), [], []

    def work(number, *, done):
        computing.append(number)
        most.append(len(computing))
        assert done.wait(5)  # only the event loop sets it
        computing.pop()
        return number, job.get()

    async def both():
        job.set("review")
        done = threading.Event()
        asyncio.get_running_loop().call_later(0.01, done.set)
        return await asyncio.gather(compute(work, 1, done=done), compute(work, 2, done=done))

    assert asyncio.run(both()) == [(1, "review"), (2, "review")]
    assert most == [1, 1]


def test_a_quick_computation_returns_its_value_and_its_errors():
    assert within(1, lambda: 42) == 42
    with pytest.raises(KeyError):
        within(1, lambda: {}["x"])


def test_work_that_ends_as_its_time_runs_out_returns_or_is_late_and_nothing_comes_after_it():
    def work(seconds):
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass
        return seconds

    for step in range(40):
        seconds = 0.004 + step * 0.0001
        with suppress(TooLarge):
            assert within(0.005, lambda seconds=seconds: work(seconds)) == seconds
    work(0.03)


TRACED = """
import sys
from bot.deadline import within
from bot.errors import TooLarge

def forever():
    while True:
        sorted(range(10))

within(5, lambda: 1)
try:
    within(0.05, forever)
except TooLarge:
    pass
sys.settrace(lambda *_: None)
print(sorted(map(str, range(3))), (lambda: 1)())
"""


def test_the_interpreter_is_as_before_afterwards():
    """While it believes that an exception is on its way, each call is slower, and a traced one never ends."""
    ended = subprocess.run([sys.executable, "-c", TRACED], check=True, capture_output=True, text=True, timeout=60)

    assert ended.stdout == "['0', '1', '2'] 1\n"


def test_a_document_that_takes_too_long_is_left_out_with_the_reason(tmp_path):
    index = FolderStandards(tmp_path / "index.db")
    document = Document("a.md", "b" * 40, 1_000_000, ())

    begun = time.thread_time()
    index._parse(document, b"- a\n" * 240_000)

    assert time.thread_time() - begun < 1.5
    assert "to read" in index._row(document)[0]


def busy(*_):
    end = time.thread_time() + 0.05
    while time.thread_time() < end:
        pass


def finalized():
    class Final:
        __del__ = busy

    Final()


def collected():
    gc.callbacks.append(busy)
    gc.collect()


def no_longer_referred_to():
    value = Value()
    reference = weakref.ref(value, busy)
    del value
    assert reference() is None


def caught():
    with suppress(BaseException):
        busy()


@pytest.mark.parametrize("swallow", [finalized, collected, no_longer_referred_to, caught])
def test_work_ends_even_if_its_time_runs_out_where_exceptions_are_swallowed(swallow):
    def work():
        swallow()
        end = time.thread_time() + 2
        while time.thread_time() < end:
            pass

    try:
        with pytest.raises(TooLarge):
            within(0.01, work)
    finally:
        gc.callbacks[:] = [callback for callback in gc.callbacks if callback is not busy]


class Value:
    """A value that a weak reference can point to."""


def test_a_policy_file_of_64_kb_of_nonsense_is_read_in_a_second():
    for text in ("a: b\n" * 12_000, "".join(f"k{n}: 1\n" for n in range(7_000)), "- [" * 9_000, "? " * 20_000):
        begun = time.thread_time()
        try:
            _, problems = within(1, lambda text=text: parse(text))
        except Refused:
            problems = ("late",)

        assert problems
        assert time.thread_time() - begun < 1.5
