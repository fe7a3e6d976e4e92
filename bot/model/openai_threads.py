"""OpenAI Conversations: what a thread said, kept on their side until it is deleted.

https://platform.openai.com/docs/api-reference/conversations
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.model.client import Endpoint, spoken


@dataclass(frozen=True, slots=True)
class ResponsesConversations:
    """Conversations that the Responses API can continue. They say nothing of whose they are."""

    endpoint: Endpoint

    async def create(self) -> str:
        """The id of a new, empty one. Raises as Model.ask does."""
        with spoken():
            return (await self.endpoint.client.conversations.create()).id

    async def delete(self, conversation: str) -> None:
        """Delete one with all that was said in it. Raises as Model.ask does, NotFound if it is gone."""
        with spoken():
            await self.endpoint.client.conversations.delete(conversation)
