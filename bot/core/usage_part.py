"""Usage: what a model call cost, in tokens and, where a price is known, in US dollars."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more calls. `dollars` is None as soon as one of them has no known price.

    `cached` and `written` are the parts of `input` that were read from, or written to, the server's prompt cache.
    `tool_calls` counts functions of ours and tools that the server ran; of the latter, `file_searches` and `code_runs`
    are billed by the call.
    """

    calls: int = 0
    input: int = 0
    cached: int = 0
    written: int = 0
    output: int = 0
    tool_calls: int = 0
    dollars: float | None = 0.0
    file_searches: int = 0
    code_runs: int = 0

    @property
    def tokens(self) -> int:
        """All of them, whatever they cost."""
        return self.input + self.output

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
            self.file_searches + other.file_searches,
            self.code_runs + other.code_runs,
        )
