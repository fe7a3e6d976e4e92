"""OpenAI Conversations: OpenAI keeps the messages of a review thread until they are deleted.

https://platform.openai.com/docs/api-reference/conversations
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.model.client import Endpoint, translated_errors


@dataclass(frozen=True, slots=True)
class ResponsesConversations:
    """Conversations that the Responses API can continue. They hold no information about their owner."""

    endpoint: Endpoint

    async def create(self) -> str:
        """Creates an empty conversation and returns its id. Raises as Model.ask does."""
        with translated_errors():
            return (await self.endpoint.client.conversations.create()).id

    async def delete(self, conversation: str) -> None:
        """Deletes a conversation with all its messages. Raises as Model.ask does, NotFound if it does not exist."""
        with translated_errors():
            await self.endpoint.client.conversations.delete(conversation)
