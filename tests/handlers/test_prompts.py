"""Every word said to the model: complete, strict, and steady."""

import json

import pytest
from jinja2 import UndefinedError

from bot.core.claims.refute import CLAIMS
from bot.core.claims.schemas import FindingOnWire, TypedClaim
from bot.core.code.diff import Diff
from bot.core.findings.standard import Shelf
from bot.handlers.ask_model import PASSES
from bot.model.prompts import Prompts
from bot.model.tools import ToolContext, tools_for
from tests.support.repository import pull_request
from tests.support.scripted_model import WORDS
from tests.support.strict_schema import ANSWERS

VALUES = {
    "policy": {"claims": CLAIMS},
    "find": {"lenses": PASSES},
    "find_together": {"lenses": PASSES},
    "rules": {
        "tone": "calm",
        "instructions": [{"paths": ["*.py"], "instructions": "x"}],
        "standards": True,
        "contents": True,
    },
}


@pytest.mark.parametrize("name", sorted(WORDS.texts))
def test_every_prompt_renders_without_a_trace_of_its_template(name):
    said = WORDS.say(name, **VALUES.get(name, {}))

    assert said
    assert not any(mark in said for mark in ("{{", "{%", "}}", "%}", "\n\n\n"))


@pytest.mark.parametrize("name", sorted(VALUES))
def test_a_missing_variable_is_an_error(name):
    with pytest.raises(UndefinedError):
        WORDS.say(name)


def test_the_policy_with_the_tools_before_it_is_long_enough_for_a_cache_to_keep():
    tools = tools_for(ToolContext(None, pull_request(), Diff(), None, Shelf("octo/shop", "b" * 40), None))
    said = [WORDS.say("policy", claims=CLAIMS), *(f"{tool.description}{json.dumps(tool.parameters)}" for tool in tools)]

    assert sum(map(len, said)) > 4.5 * 1024


def test_what_goes_with_every_batch_is_short():
    assert len(WORDS.say("policy", claims=CLAIMS)) + len(WORDS.say("find", lenses=PASSES)) < 4_000


def test_the_policy_names_every_typed_claim_and_the_fields_it_speaks_of():
    said = WORDS.say("policy", claims=CLAIMS)

    assert set(CLAIMS) == set(TypedClaim.model_json_schema()["properties"]["kind"]["enum"])
    assert all(f"`{kind}` ({subject})" in said for kind, subject in CLAIMS.items())
    assert {"claim", "near"} <= set(FindingOnWire.model_fields)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("verify", ("holds", "refuted", "unsure")),
        ("requirements", ("met", "unmet", "unclear")),
        ("answer", ("known",)),
        ("find_standards", ("standard_refs", "standard_quote")),
    ],
)
def test_prompts_and_answers_use_the_same_words(name, words):
    schemas = str([answer.model_json_schema() for answer in ANSWERS])

    assert all(f"`{word}`" in WORDS.texts[name] and f"'{word}'" in schemas for word in words)


def test_every_pass_has_its_prompt():
    assert {f"find_{name}" for name in PASSES} <= set(WORDS.texts)


def test_a_changed_word_is_another_version():
    versions = dict(WORDS.versions)
    changed = dict(Prompts({**WORDS.texts, "verify": WORDS.texts["verify"] + "!"}).versions)

    assert {name for name in versions if versions[name] != changed[name]} == {"verify"}
