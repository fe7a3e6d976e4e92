"""Progress on a terminal: the step that runs now, and the end of the text that the model sends."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from bot.core.comments.sanitize import show_hidden
from bot.engine.journal import InlineSteps
from bot.interfaces import Step

T = TypeVar("T")

PATIENCE = 10.0
"""Longest wait in seconds before a step is tried again: a person is waiting."""
_KEPT = 40  # pieces of the stream
_SHOWN = 240  # characters
_SPACE = re.compile(r"\\n|\s+")


@dataclass(slots=True)
class ProgressStep:
    """A Step that shows the running step and the end of the model's stream. `step` does the work, `draw` updates the terminal."""

    step: Step = field(default_factory=lambda: InlineSteps(PATIENCE))
    doing: str = "Reading the change"
    said: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))
    spinner: Spinner = field(default_factory=lambda: Spinner("dots"))
    draw: Callable[[], None] = lambda: None

    async def __call__(self, name: str, work: Callable[[], Awaitable[T]], kind: type[T], /) -> T:
        """Show the step's name and run it."""
        self.doing = name
        self.said.clear()
        return await self.step(name, work, kind)

    def hear(self, text: str) -> None:
        """Take a piece of the model's stream."""
        self.said.append(text)
        self.draw()

    def __rich__(self) -> Group:
        words = _SPACE.sub(" ", show_hidden("".join(self.said)))[-_SHOWN:]
        self.spinner.update(text=Text(f"{self.doing} …"))
        return Group(self.spinner, *([Text(words, style="dim")] if words.strip() else []))


@contextmanager
def watched(console: Console, *, wanted: bool = True) -> Iterator[tuple[Step, Callable[[str], None] | None]]:
    """Yields a Step and a receiver for the model's stream. Both draw on a terminal; without one the receiver is None."""
    ticker = ProgressStep()
    if not wanted or not console.is_terminal:
        yield ticker, None
        return
    with Live(ticker, console=console, transient=True, refresh_per_second=8) as live:
        ticker.draw = live.refresh
        yield ticker, ticker.hear
