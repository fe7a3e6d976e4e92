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

LANGUAGES = {"python", "typescript", "go", "java", "rust", "cpp", "ruby", "sql"}
VALUES = {
    "policy": {"claims": CLAIMS, "tools": True},
    "find": {"lenses": PASSES, "languages": LANGUAGES, "tools": True},
    "find_together": {"lenses": PASSES},
    "hints": {"languages": LANGUAGES},
    "reduced": {"lenses": PASSES},
    "rules": {
        "language": "de",
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
    said = [
        WORDS.say("policy", **VALUES["policy"]),
        *(f"{tool.description}{json.dumps(tool.parameters)}" for tool in tools),
    ]

    assert sum(map(len, said)) > 4.5 * 1024


def test_what_goes_with_every_batch_is_short():
    shown = [WORDS.say("policy", **VALUES["policy"]), WORDS.say("find", **VALUES["find"] | {"languages": {"python"}})]

    assert sum(map(len, shown)) < 9_000


def test_a_large_change_is_read_with_the_whole_checklist_of_each_pass():
    together = WORDS.say("find", **VALUES["find"])

    assert all(WORDS.say(f"find_{name}") in together for name in PASSES)


@pytest.mark.parametrize("name", PASSES)
def test_each_pass_keeps_to_its_kind_with_hints_for_the_languages_of_the_change(name):
    others = [WORDS.say(f"find_{other}") for other in PASSES if other != name]
    said = WORDS.say("find", lenses=(name,), languages={"go"}, tools=False)

    assert "Keep to this kind" in said
    assert not any(other in said for other in others)
    assert ("Go: an ignored error" in said, "Python:" in said, "no tools" in said) == (True, False, True)


def test_the_cached_instructions_have_an_example_of_a_finding_of_none_and_of_a_verdict():
    said = WORDS.say("policy", **VALUES["policy"])

    assert all(words in said for words in ("A finding, in its", "Not a finding:", "A verdict:"))
    assert "# Tools" not in WORDS.say("policy", claims=CLAIMS, tools=False)


def test_the_policy_names_every_typed_claim_and_the_fields_it_speaks_of():
    said = WORDS.say("policy", **VALUES["policy"])

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
