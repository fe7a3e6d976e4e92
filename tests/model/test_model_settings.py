"""What the operator says of the model: effort, fields of each request, the address, and a model for each task."""

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from bot.app_openai import build_model, endpoint_of, price_table
from bot.core.costs import find_price
from bot.errors import ConfigurationError
from bot.model.task_models import TaskModels
from bot.settings import Settings
from tests.support.conversation import YES, Lookup, ask
from tests.support.model_server import ModelServer
from tests.support.model_turns import calls, says
from tests.support.scripted_model import ScriptedModel


def settings(api="responses", **changes):
    ours = {"assistant_model_api": api, "openai_api_key": "sk-test", "openai_base_url": "http://model.test/v1"}
    return Settings.read(_env_file=None, **ours | changes)


def asked(api="responses", *turns, tools=(), **changes):
    """The bodies of the requests of one conversation."""
    server = ModelServer(turns or [says(YES)])
    model = build_model(settings(api, **changes), b"secret")
    model.endpoint.transport = server.transport()
    assert ask(model, *tools).value == YES
    assert not server.rejected
    return [one.body for one in server.asked]


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
def test_every_published_effort_is_sent(effort, monkeypatch):
    monkeypatch.setenv("ASSISTANT_EFFORT", effort)
    (body,) = asked()
    assert body["reasoning"] == {"effort": effort}


def test_an_effort_that_is_set_to_nothing_is_not_sent(monkeypatch, tmp_path):
    assert asked()[0]["reasoning"] == {"effort": "medium"}
    assert "reasoning" not in asked(assistant_model="gpt-4.1-mini")[0]
    monkeypatch.setenv("ASSISTANT_EFFORT", "")
    monkeypatch.setenv("ASSISTANT_MODEL", "")
    assert "reasoning" not in asked()[0]
    assert asked()[0]["model"] == "gpt-6.2-sol"
    monkeypatch.delenv("ASSISTANT_EFFORT")
    (tmp_path / ".env").write_text("ASSISTANT_EFFORT=\nASSISTANT_MODEL=\n")
    assert Settings.read(_env_file=tmp_path / ".env").assistant_effort == ""
    monkeypatch.setenv("ASSISTANT_EFFORT", "enormous")
    with pytest.raises(ConfigurationError, match="ASSISTANT_EFFORT"):
        settings()


@pytest.mark.parametrize(
    ("api", "options"),
    [
        ("responses", {"temperature": 0.1, "service_tier": "flex", "reasoning": {"effort": "low", "summary": "auto"}}),
        ("responses", {"parallel_tool_calls": False, "truncation": "auto", "prompt_cache_key": "ours"}),
        ("chat", {"temperature": 0.1, "top_p": 0.9, "seed": 7, "reasoning_effort": "low"}),
        ("chat", {"parallel_tool_calls": False, "service_tier": "flex"}),
    ],
)
def test_what_the_options_set_is_in_every_request_as_it_was_written(api, options):
    look = calls(("look_up", {"q": "x"}))
    bodies = asked(api, look, says(YES), says(YES), tools=[Lookup()], assistant_model_options=options)
    assert len(bodies) > 1
    assert all(body.items() >= options.items() for body in bodies if "tools" in body)


def test_options_about_the_text_leave_the_schema_in_place():
    (body,) = asked(assistant_model_options={"text": {"verbosity": "high"}}, assistant_capabilities="schema,extras")
    assert body["text"]["verbosity"] == "high"
    assert body["text"]["format"]["type"] == "json_schema"


@pytest.mark.parametrize(
    ("api", "options", "words"),
    [
        ("responses", {"store": True}, "store: the product sets this itself"),
        ("responses", {"text": {"format": {"type": "text"}}}, "text: the product sets this itself"),
        ("responses", {"text": "short"}, "text: an object is expected"),
        ("responses", {"max_output_tokens": 5}, "max_output_tokens: ASSISTANT_OUTPUT_TOKENS sets this limit"),
        ("responses", {"seed": 7}, "seed: the responses API does not know this field"),
        ("responses", {"reasoning_effort": "low"}, "reasoning_effort: the responses API does not know this field"),
        ("chat", {"max_tokens": 5}, "max_tokens: ASSISTANT_OUTPUT_TOKENS sets this limit"),
        ("chat", {"truncation": "auto"}, "truncation: the chat API does not know this field"),
        ("chat", {"tools": []}, "tools: the product sets this itself"),
    ],
)
def test_options_that_do_not_apply_stop_the_start(api, options, words):
    with pytest.raises(ConfigurationError, match=words):
        build_model(settings(api, assistant_model_options=options), b"secret")


def test_fields_of_a_servers_own_are_options_too():
    own = {"chat_template_kwargs": {"enable_thinking": False}, "top_k": 20}
    server, model = ModelServer([says(YES)]), build_model(settings("chat", assistant_model_options=own), b"secret")
    server.allowed |= own.keys()
    model.endpoint.transport = server.transport()
    assert ask(model).value == YES
    assert server.asked[0].body.items() >= own.items()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (
            "https://x.openai.azure.com/openai/v1/?api-version=2024-10-21",
            "https://NAME.openai.azure.com/openai/v1/",
        ),
        ("https://x.openai.azure.com/openai/deployments/gpt", "https://NAME.openai.azure.com/openai/v1/"),
        ("http://127.0.0.1:8000/v1/chat/completions", "write http://127.0.0.1:8000/v1"),
        ("https://gateway.corp/openai/responses/", "write https://gateway.corp/openai"),
    ],
)
def test_an_address_that_cannot_work_stops_the_start_with_the_one_that_does(url, words):
    with pytest.raises(ConfigurationError, match=words):
        endpoint_of(settings(openai_base_url=url))


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_the_v1_address_of_azure_works(api):
    server = ModelServer([says(YES)])
    model = build_model(settings(api, openai_base_url="https://x.openai.azure.com/openai/v1/"), b"secret")
    model.endpoint.transport = httpx2.ASGITransport(app=Starlette(routes=[Mount("/openai", app=server.app)]))
    assert ask(model).value == YES
    assert server.asked[0].headers["authorization"] == "Bearer sk-test"
    assert server.asked[0].headers["host"] == "x.openai.azure.com"


def test_each_pass_and_task_is_asked_of_its_own_model():
    usual, guard, second = ScriptedModel(), ScriptedModel(), ScriptedModel()
    usual.name, guard.name, second.name = "usual", "guard", "second"
    models = TaskModels(usual, {"security": guard, "verify": second})
    assert models.name == "usual; security: guard; verify: second"
    expected = {
        "find/correctness/1": usual,
        "find/security/2.1": guard,
        "find/correctness+security/1": usual,
        "verify/3": second,
        "verify/again/1": second,
        "requirements": usual,
        "answer": usual,
    }
    assert {name: models.model_for(name) for name in expected} == expected


def test_the_models_of_tasks_come_from_the_settings_with_their_prices():
    chosen = settings(
        assistant_model_verify="gpt-4.1",
        assistant_model_tasks="security = gpt-6.2-astra, summary=our/small",
        assistant_model_choices="gpt-5.6-luna",
    )
    model = build_model(chosen, b"secret")
    assert model.name == "gpt-6.2-sol; security: gpt-6.2-astra; summary: our/small; verify: gpt-4.1"
    priced = {name: find_price(name, price_table(chosen)) is not None for name in chosen.models}
    assert priced == dict.fromkeys(priced, True) | {"our/small": False}
    assert chosen.models[-1] == "gpt-5.6-luna"
    with pytest.raises(ConfigurationError, match="ASSISTANT_MODEL_TASKS: securty: there are only correctness,"):
        build_model(settings(assistant_model_tasks="securty=x"), b"secret")
    with pytest.raises(ConfigurationError, match="ASSISTANT_MODEL_TASKS"):
        settings(assistant_model_tasks="gpt-4.1")
