"""What is shown while work runs: the log, and on a terminal the step that runs now and the end of the model's text.

Headers and bodies are never logged.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from string import hexdigits
from typing import TypeVar

import structlog
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
_SHOWN = 240  # characters
_KEPT = 4 * _SHOWN
_SPACE = re.compile(r"\s+")
_ESCAPES = {"n": " ", "t": " ", "r": " ", "b": "", "f": " "}


def configure(level: str = "INFO") -> None:
    """Write our own log lines and those of all libraries to standard error, in one format."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    terminal = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("httpx", "httpx2", "httpcore", "openai", "alembic", "dbos", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


@dataclass(slots=True)
class StreamText:
    """Reads a model's stream piece by piece and keeps the end of its text. Of JSON it keeps the string values only."""

    text: str = ""
    depth: int = 0
    in_string: bool = False
    escape: str = ""
    is_value: bool = False

    def add(self, piece: str) -> None:
        """Read the next piece; a piece may end anywhere, also within a string or an escape."""
        for character in piece:
            self.text += self._in_string(character) if self.in_string else self._outside(character)
        self.text = self.text[-_KEPT:]

    def _outside(self, character: str) -> str:
        if character in "{[" and (self.depth or character == "{"):
            self.depth += 1
        elif character in "}]" and self.depth:
            self.depth -= 1
        elif character == '"' and self.depth:
            self.in_string = True
            return " " if self.is_value else ""
        if self.depth == 0:
            return "" if character == "}" else character
        self.is_value = character in ":[" or (self.is_value and character not in "{,}")
        return ""

    def _in_string(self, character: str) -> str:
        if self.escape:
            return self._escaped(character)
        if character == "\\":
            self.escape = character
        elif character == '"':
            self.in_string = False
            return " " if self.is_value else ""
        return character if self.is_value and character not in '"\\' else ""

    def _escaped(self, character: str) -> str:
        self.escape += character
        if self.escape[1] != "u":
            shown = _ESCAPES.get(character, character)
        elif len(self.escape) < len("\\u0000"):
            return ""
        else:
            digits = self.escape[2:]
            shown = chr(int(digits, 16)) if all(one in hexdigits for one in digits) else "?"
        self.escape = ""
        return shown if self.is_value and not "\ud800" <= shown <= "\udfff" else ""


@dataclass(slots=True)
class ProgressStep:
    """A Step that shows the running step and the end of the model's stream. `step` does the work, `draw` updates the terminal."""

    step: Step = field(default_factory=lambda: InlineSteps(PATIENCE))
    doing: str = "Reading the change"
    stream: StreamText = field(default_factory=StreamText)
    spinner: Spinner = field(default_factory=lambda: Spinner("dots"))
    draw: Callable[[], None] = lambda: None

    async def __call__(self, name: str, work: Callable[[], Awaitable[T]], kind: type[T], /) -> T:
        """Show the step's name and run it."""
        self.doing = name
        self.stream = StreamText()
        return await self.step(name, work, kind)

    def hear(self, text: str) -> None:
        """Take a piece of the model's stream."""
        self.stream.add(text)
        self.draw()

    def __rich__(self) -> Group:
        words = _SPACE.sub(" ", show_hidden(self.stream.text))[-_SHOWN:]
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
