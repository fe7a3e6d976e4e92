"""The part of the composition root that needs the vendor's SDK: it is loaded only where a model or a vector store is named."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from bot.core.costs import PRICES, ConversationLimits, Price
from bot.errors import ConfigurationError
from bot.interfaces import Model
from bot.model.chat import ChatModel
from bot.model.client import Endpoint
from bot.model.conversation import Capabilities
from bot.model.openai_threads import ResponsesConversations
from bot.model.responses import FULL, ResponsesModel, code_interpreter, file_search
from bot.settings import Settings
from bot.standards.local import FolderStandards
from bot.standards.vector_store import VectorStoreStandards
from bot.standards.vector_store_api import VectorStoreClient


def model_of(settings: Settings, secret: bytes, progress: Callable[[str], None] | None = None) -> Model:
    """The model behind the API these settings name. Raises ConfigurationError for prices or capabilities that are none."""
    endpoint = Endpoint(settings.openai_api_key, settings.openai_base_url)
    able, limits = _capabilities(settings, endpoint), ConversationLimits(input=settings.assistant_input_tokens)
    prices = {**PRICES, **_prices(settings)}
    if settings.model_api == "chat":
        options = settings.assistant_model_options
        return ChatModel(settings.assistant_model, endpoint, able, limits, prices, options, progress=progress)
    return ResponsesModel(
        settings.assistant_model,
        endpoint,
        able,
        limits,
        prices,
        settings.assistant_effort,
        _hosted(settings),
        secret,
        progress,
    )


def hosted_standards(settings: Settings, local: FolderStandards) -> VectorStoreStandards:
    """The vendor's search above the `local` index, whose sections it finds. Raises ConfigurationError without a key."""
    if not settings.openai_api_key.get_secret_value():
        raise ConfigurationError("ASSISTANT_STANDARDS=vector_store needs OPENAI_API_KEY")
    endpoint = Endpoint(settings.openai_api_key, settings.openai_base_url)
    return VectorStoreStandards(VectorStoreClient(endpoint), local, time.time)


def hosted_conversations(settings: Settings) -> ResponsesConversations:
    """What the vendor remembers of threads. Raises ConfigurationError where the server cannot."""
    if settings.model_api != "responses":
        raise ConfigurationError(
            f"ASSISTANT_MEMORY=openai needs the Responses API; the model's is {settings.model_api}"
        )
    endpoint = Endpoint(settings.openai_api_key, settings.openai_base_url)
    if not _capabilities(settings, endpoint).conversations:
        raise ConfigurationError(
            "ASSISTANT_MEMORY=openai needs a server that keeps conversations; if OPENAI_BASE_URL is one, add "
            "`conversations` to ASSISTANT_CAPABILITIES"
        )
    return ResponsesConversations(endpoint)


def _capabilities(settings: Settings, endpoint: Endpoint) -> Capabilities:
    """What the server understands, by the operator's word or by its address."""
    wanted, responses = settings.capabilities, settings.model_api == "responses"
    if wanted is None:
        return FULL if responses and endpoint.is_openai else Capabilities(schema_with_tools=responses)
    names = [one.name for one in fields(Capabilities)]
    if unknown := sorted(set(wanted) - set(names)):
        raise ConfigurationError(f"ASSISTANT_CAPABILITIES: {', '.join(unknown)}: there are only {', '.join(names)}")
    return Capabilities(**{name: name in wanted for name in names})


def _hosted(settings: Settings) -> tuple[Mapping[str, Any], ...]:
    """Tools that the model server runs."""
    search = (file_search(settings.vector_stores),) if settings.vector_stores else ()
    return (*search, *((code_interpreter(),) if settings.assistant_code_interpreter else ()))


def _prices(settings: Settings) -> Mapping[str, Price]:
    try:
        return {
            name: Price(**{key: float(price) for key, price in row.items()}) for name, row in settings.prices.items()
        }
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError("ASSISTANT_PRICES: each model needs input, cached, written and output") from error
