"""The part of the composition root that loads the vendor's SDK: only settings that name a model or a vector store need it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from bot.core.costs import PRICES, ConversationLimits, Price, find_price, longest_answer, takes_effort
from bot.errors import ConfigurationError
from bot.handlers.ask_model import PASSES
from bot.interfaces import Connection, Model
from bot.model.chat import ChatModel, chat_fields
from bot.model.client import OPENAI, Endpoint
from bot.model.conversation import Capabilities
from bot.model.responses import (
    FULL,
    ResponsesConversations,
    ResponsesModel,
    code_interpreter,
    file_search,
    responses_fields,
)
from bot.model.task_models import TaskModels
from bot.settings import Settings
from bot.standards.local import FolderStandards
from bot.standards.vector_store import VectorStoreStandards
from bot.standards.vector_store_api import VectorStoreClient


def build_model(settings: Settings, secret: bytes, progress: Callable[[str], None] | None = None) -> Model:
    """The model behind the API that these settings name, with other models for the tasks that have one.

    Raises ConfigurationError for an address, prices, capabilities, options or tasks that cannot work.
    """
    _require_tasks(settings)
    default = _build_model(settings, settings.assistant_model, secret, progress)
    others = {name: _build_model(settings, name, secret, progress) for name in {*settings.task_models.values()}}
    return (
        TaskModels(default, {task: others[name] for task, name in settings.task_models.items()}) if others else default
    )


def _build_model(settings: Settings, name: str, secret: bytes, progress: Callable[[str], None] | None) -> Model:
    endpoint = endpoint_of(settings)
    able, limits = _capabilities(settings, endpoint), limits_of(settings)
    prices, options = price_table(settings), _options(settings)
    if settings.model_api == "chat":
        return ChatModel(name, endpoint, able, limits, prices, options, progress=progress)
    effort = settings.assistant_effort if takes_effort(name) else ""
    return ResponsesModel(
        name, endpoint, able, limits, prices, effort, _hosted(settings), secret, progress, options=options
    )


_TASKS = ("verify", "requirements", "summary", "answer", "explain")


def _require_tasks(settings: Settings) -> None:
    """Raises ConfigurationError for a pass or task that does not exist."""
    known = (*PASSES, *_TASKS)
    if unknown := sorted(set(settings.task_models) - set(known)):
        raise ConfigurationError(f"ASSISTANT_MODEL_TASKS: {', '.join(unknown)}: there are only {', '.join(known)}")


_OURS = frozenset(
    {
        "model",
        "messages",
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "response_format",
        "stream",
        "stream_options",
        "store",
        "conversation",
        "previous_response_id",
        "include",
        "prompt",
        "background",
        "n",
        "functions",
        "function_call",
    }
)
"""Fields of a request that the product sets itself: another value would break its promises or its reading."""
_ON_BOTH = frozenset({"reasoning"})  # OpenRouter takes it on Chat Completions too
_OUTPUT = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens"})


def _options(settings: Settings) -> Mapping[str, object]:
    """The operator's own fields of a request. Raises ConfigurationError for those that do not apply."""
    if not settings.assistant_model_options:
        return {}
    is_chat = settings.model_api == "chat"
    theirs = responses_fields() - chat_fields() - _ON_BOTH if is_chat else chat_fields() - responses_fields()
    for name, value in settings.assistant_model_options.items():
        if name in _OUTPUT:
            reason = "ASSISTANT_OUTPUT_TOKENS sets this limit"
        elif name in _OURS or (name == "text" and isinstance(value, Mapping) and "format" in value):
            reason = "the product sets this itself"
        elif name in theirs:
            reason = f"the {settings.model_api} API does not know this field"
        elif name == "text" and not isinstance(value, Mapping):
            reason = "an object is expected"
        else:
            continue
        raise ConfigurationError(f"ASSISTANT_MODEL_OPTIONS: {name}: {reason}")
    return settings.assistant_model_options


def _require_address(url: str) -> None:
    """Raises ConfigurationError for an address that is not the root of an API, with the form that works."""
    parts = urlsplit(url)
    if parts.query or parts.fragment or "/deployments/" in parts.path:
        azure = "; Azure's address without one is https://NAME.openai.azure.com/openai/v1/"
        raise ConfigurationError(
            f"OPENAI_BASE_URL: {url} has a query or a deployment in it, which every request would lose{azure}"
        )
    for ending in ("/chat/completions", "/responses", "/models"):
        if parts.path.rstrip("/").endswith(ending):
            root = url.rstrip("/").removesuffix(ending)
            raise ConfigurationError(f"OPENAI_BASE_URL: {url} is the address of one function; write {root}")


def endpoint_of(settings: Settings) -> Endpoint:
    """The model server, with its key and how it is reached. Raises ConfigurationError for an address that cannot work."""
    url = settings.openai_base_url
    _require_address(url)
    return Endpoint(
        settings.openai_api_key, url, connection=Connection(settings.proxy_for(url or OPENAI), settings.ca_file)
    )


def limits_of(settings: Settings) -> ConversationLimits:
    """The bounds of a conversation: output tokens by the task, or the operator's own number for every call."""
    limits, output = ConversationLimits(input=settings.assistant_input_tokens), settings.assistant_output_tokens
    return replace(limits, output=output, longest=2 * output, by_task=False) if output else limits


def hosted_standards(settings: Settings, local: FolderStandards) -> VectorStoreStandards:
    """The vendor's search over the sections of the `local` index. Raises ConfigurationError without a key."""
    if not settings.openai_api_key.get_secret_value():
        raise ConfigurationError("ASSISTANT_STANDARDS=vector_store needs OPENAI_API_KEY")
    endpoint = endpoint_of(settings)
    return VectorStoreStandards(VectorStoreClient(endpoint), local, time.time)


def hosted_conversations(settings: Settings) -> ResponsesConversations:
    """The vendor's memory of threads. Raises ConfigurationError if the server has none."""
    if settings.model_api != "responses":
        raise ConfigurationError(
            f"ASSISTANT_MEMORY=openai needs the Responses API; the model's is {settings.model_api}"
        )
    endpoint = endpoint_of(settings)
    if not _capabilities(settings, endpoint).conversations:
        raise ConfigurationError(
            "ASSISTANT_MEMORY=openai needs a server that keeps conversations; if OPENAI_BASE_URL is one, add "
            "`conversations` to ASSISTANT_CAPABILITIES"
        )
    return ResponsesConversations(endpoint)


def _capabilities(settings: Settings, endpoint: Endpoint) -> Capabilities:
    """What the server understands, as the operator's setting says or as its address implies."""
    wanted, responses = settings.capabilities, settings.model_api == "responses"
    if wanted is None:
        return FULL if responses and endpoint.is_openai else Capabilities(schema_with_tools=responses)
    names = [capability.name for capability in fields(Capabilities)]
    if unknown := sorted(set(wanted) - set(names)):
        raise ConfigurationError(f"ASSISTANT_CAPABILITIES: {', '.join(unknown)}: there are only {', '.join(names)}")
    return Capabilities(**{name: name in wanted for name in names})


def _hosted(settings: Settings) -> tuple[Mapping[str, Any], ...]:
    """The tools that the model server runs itself."""
    search = (file_search(settings.vector_stores),) if settings.vector_stores else ()
    return (*search, *((code_interpreter(),) if settings.assistant_code_interpreter else ()))


def price_table(settings: Settings) -> Mapping[str, Price]:
    """The prices of the models in use: the operator's own, then our dated ones, then those that genai-prices ships with.

    The library is loaded only for a model that the first two do not price: it takes 0.4 s. It reads its bundled data and
    fetches nothing. Raises ConfigurationError for prices that are not numbers.
    """
    prices = {**PRICES, **_operator_prices(settings)}
    for model in settings.models:
        if find_price(model, prices) is None and (price := _library_price(model, settings.openai_base_url)):
            prices[model] = price
    return prices


def _operator_prices(settings: Settings) -> Mapping[str, Price]:
    try:
        return {name: _operator_price(row) for name, row in settings.prices.items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(
            "ASSISTANT_PRICES: each model needs input, cached, written and output, and may have long, longest and context"
        ) from error


def _operator_price(row: Mapping[str, float]) -> Price:
    whole = {"longest", "context"}
    return Price(**{key: int(value) if key in whole else float(value) for key, value in row.items()})  # type: ignore[arg-type]


def _library_price(model: str, base_url: str) -> Price | None:
    """The price at the server of that address, or else at OpenAI's own; None for a model that the library does not know."""
    from genai_prices import Usage, calc_price  # noqa: PLC0415 - slow to load, seldom needed

    tokens = 1000  # below every price step for long input
    counts = (
        Usage(input_tokens=tokens),
        Usage(input_tokens=tokens, cache_read_tokens=tokens),
        Usage(input_tokens=tokens, cache_write_tokens=tokens),
        Usage(output_tokens=tokens),
    )
    for calculate in (partial(calc_price, provider_api_url=base_url), partial(calc_price, provider_id="openai")):
        with suppress(LookupError):
            costs = [calculate(count, model) for count in counts]
            fresh, cached, written, output = (float(cost.total_price * 1_000_000 / tokens) for cost in costs)
            steps = getattr(costs[0].model_price.input_mtok, "tiers", ())
            long, context = float(steps[0].start) if steps else math.inf, costs[0].model.context_window or 0
            return Price(fresh, cached, written, output, long, longest_answer(model), context)
    return None
