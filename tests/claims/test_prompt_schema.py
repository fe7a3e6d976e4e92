"""Only what a strict server accepts leaves the house."""

from typing import Literal

import pytest
from pydantic import BaseModel, Field

from bot.core.claims.prompt import strict_schema
from tests.support.strict_schema import ANSWERS, lint


class Leaf(BaseModel):
    """A leaf."""

    kind: Literal["a", "b"] | None = None
    title: str = Field("x", description="A field that is named like a keyword.")


class Tree(BaseModel):
    default: list[Leaf]
    other: Leaf
    count: int = 3


@pytest.mark.parametrize("answer", [*ANSWERS, Tree], ids=lambda answer: answer.__name__)
def test_every_answer_is_within_the_strict_subset(answer):
    assert lint(strict_schema(answer)) == ()


def test_a_schema_keeps_the_order_of_fields_and_loses_defaults_and_titles():
    schema = strict_schema(Tree)
    assert schema["title"] == "Tree"
    assert list(schema["properties"]) == schema["required"] == ["default", "other", "count"]
    assert schema["properties"]["count"] == {"type": "integer"}
    assert list(schema["$defs"]["Leaf"]["properties"]) == ["kind", "title"]


def test_what_was_seen_comes_before_what_is_concluded():
    (findings, *_) = ANSWERS
    keys = list(strict_schema(findings)["$defs"]["FindingOnWire"]["properties"])
    assert keys.index("quoted_code") < keys.index("evidence") < keys.index("why") < keys.index("severity")


class Sizes(BaseModel):
    name: str = Field(max_length=3)


class Open(BaseModel):
    names: dict[str, str]


class Pair(BaseModel):
    pair: tuple[int, int]


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Zoo(BaseModel):
    animal: Cat | Dog = Field(discriminator="kind")


class Unique(BaseModel):
    names: set[str]


@pytest.mark.parametrize("answer", [Sizes, Open, Pair, Zoo, Unique])
def test_what_pydantic_can_say_and_strict_servers_cannot_is_found(answer):
    assert lint(strict_schema(answer))


CLOSED = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
DEEP: dict = {"type": "string"}
for _ in range(11):
    DEEP = {"type": "object", "properties": {"a": DEEP}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "array", "items": {"type": "string"}}, "the root is not an object"),
        ({"anyOf": [CLOSED, {"type": "null"}]}, "the root is not an object"),
        (CLOSED | {"additionalProperties": True}, "additionalProperties"),
        (CLOSED | {"properties": {"a": {"type": "string"}}}, "not every property is required"),
        (CLOSED | {"properties": {"a": {"oneOf": []}}, "required": ["a"]}, "/a: oneOf is not supported"),
        (CLOSED | {"properties": {"a": {"format": "uri"}}, "required": ["a"]}, "the format uri"),
        (DEEP, "nested deeper than 10"),
        (CLOSED | {"properties": {"a": {"enum": list(range(1001))}}, "required": ["a"]}, "enum values"),
        (CLOSED | {"properties": {"a": {"enum": ["x" * 120_001]}}, "required": ["a"]}, "characters"),
        (
            CLOSED
            | {
                "properties": {str(n): {"type": "null"} for n in range(5_001)},
                "required": [str(n) for n in range(5_001)],
            },
            "more than 5000 properties",
        ),
    ],
)
def test_the_linter_names_each_rule(schema, problem):
    assert any(problem in found for found in lint(schema))
