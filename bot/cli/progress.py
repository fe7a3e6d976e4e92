"""For people who wait: what is being done now, and the end of what the model is saying."""

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
"""Seconds at most that a step waits before it is tried again: somebody is looking on."""
_KEPT = 40  # pieces of what was said
_SHOWN = 240  # characters
_SPACE = re.compile(r"\\n|\s+")


@dataclass(slots=True)
class ProgressStep:
    """A Step that draws what is being done and what was said last. `draw` puts it on the terminal, `step` does the work."""

    step: Step = field(default_factory=lambda: InlineSteps(PATIENCE))
    doing: str = "Reading the change"
    said: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))
    spinner: Spinner = field(default_factory=lambda: Spinner("dots"))
    draw: Callable[[], None] = lambda: None

    async def __call__(self, name: str, work: Callable[[], Awaitable[T]], kind: type[T], /) -> T:
        """Say what is being done, and do it."""
        self.doing = name
        self.said.clear()
        return await self.step(name, work, kind)

    def hear(self, text: str) -> None:
        """Take a piece of what the model says."""
        self.said.append(text)
        self.draw()

    def __rich__(self) -> Group:
        words = _SPACE.sub(" ", show_hidden("".join(self.said)))[-_SHOWN:]
        self.spinner.update(text=Text(f"{self.doing} …"))
        return Group(self.spinner, *([Text(words, style="dim")] if words.strip() else []))


@contextmanager
def watched(console: Console, *, wanted: bool = True) -> Iterator[tuple[Step, Callable[[str], None] | None]]:
    """A Step, and where a model's words go: drawn on a terminal until the block ends; elsewhere nothing is streamed."""
    ticker = ProgressStep()
    if not wanted or not console.is_terminal:
        yield ticker, None
        return
    with Live(ticker, console=console, transient=True, refresh_per_second=8) as live:
        ticker.draw = live.refresh
        yield ticker, ticker.hear
