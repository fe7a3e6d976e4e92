"""Usage: what a model call cost, in tokens and, where a price is known, in US dollars."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more calls. `dollars` is None as soon as one of them has no known price."""

    calls: int = 0
    input: int = 0
    cached: int = 0
    written: int = 0
    output: int = 0
    tool_calls: int = 0
    dollars: float | None = 0.0

    def __add__(self, other: Usage) -> Usage:
        known = self.dollars is not None and other.dollars is not None
        return Usage(
            self.calls + other.calls,
            self.input + other.input,
            self.cached + other.cached,
            self.written + other.written,
            self.output + other.output,
            self.tool_calls + other.tool_calls,
            (self.dollars or 0.0) + (other.dollars or 0.0) if known else None,
        )
