"""The Model for an installation without one: reviews run checks only and say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.core.claims.prompt import Prompt
from bot.interfaces import Account, ModelAnswer, Step, Tool


@dataclass(frozen=True, slots=True)
class OfflineModel:
    """Answers at once, free of charge, that no model was configured."""

    name: str = "offline"
    available: bool = False

    async def ask(self, prompt: Prompt, tools: Sequence[Tool], step: Step, account: Account) -> ModelAnswer:
        """Returns no answer, with the reason."""
        return ModelAnswer(None, "no model was configured")

    async def close(self) -> None:
        """Does nothing: there are no connections."""
