"""What a conversation and a review may use at most."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from bot.core.policy import Budgets

NEARLY = 0.8
"""The share of a limit beyond which a conversation is brought to its end."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one conversation: model `calls`, `tool_calls`, tokens in and out of one call, and `seconds` of waiting.

    `hosted` is how often the server may use tools of its own in one call; the fees of all are reserved before it.

    An answer that is cut off at `output` tokens is asked for once more with `longest`. `input` stays under the size
    from which a request costs twice as much.
    """

    calls: int = 12
    tool_calls: int = 30
    hosted: int = 8
    input: int = 260_000
    output: int = 25_000
    longest: int = 50_000
    seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Allowed:
    """What one review may use: money, tokens, model `calls`, calls of our tools and the characters that these answer.

    `seconds` are those of waiting for the model's answers.
    """

    dollars: float = 1.0
    tokens: int = 1_500_000
    calls: int = 200
    tool_calls: int = 120
    tool_characters: int = 480_000
    seconds: float = 1200.0

    def lowered(self, wish: Budgets) -> Allowed:
        """What is left of it by a repository's own policy, which can take but not give."""
        wanted = {one.name: getattr(wish, one.name) for one in fields(self)}
        return replace(
            self, **{name: min(value, getattr(self, name)) for name, value in wanted.items() if value is not None}
        )
