"""Policy: what a repository wants, from .github/assistant.yml on its base branch, above its organisation's defaults."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

PATH = ".github/assistant.yml"
LABEL = "assistant:review"
LARGEST = 64_000
"""The most characters of the file."""
LONGEST_PLACE = 300
"""The most characters of a document's path with an anchor."""
MOST_PROBLEMS = 100
"""Wrong settings that are reported one by one."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Triggers(_Section):
    """When a review starts by itself."""

    opened: bool = Field(default=True, description="Review when a pull request is opened, reopened or made ready.")
    pushed: bool = Field(default=True, description="Review again when commits are pushed.")
    drafts: bool = Field(default=False, description="Review drafts too.")
    first_time_contributors: Literal["always", "collaborators", "after_label"] | None = Field(
        None,
        description="Automatic review for people new to the repository. "
        "Default: after_label in public repositories, always elsewhere.",
    )


class PathInstruction(_Section):
    """Extra guidance for some files."""

    paths: tuple[str, ...] = Field(description="Globs of the files to which this applies.")
    instructions: str = Field(max_length=4000, description="What the reviewer should know or check there.")


class StandardsSection(_Section):
    """Where the team's rules are, on the base branch."""

    paths: tuple[str, ...] = Field(
        ("docs/standards/**", "docs/coding-standards*", "STYLE*.md", "CONTRIBUTING.md"),
        description="Globs of the documents.",
    )
    conventions: bool = Field(
        default=True, description="Also read AGENTS.md, CLAUDE.md, REVIEW.md, Copilot and Cursor rules, .editorconfig."
    )
    public: tuple[str, ...] = Field(
        (), description="Globs of the documents that readers of a public repository may see."
    )


class Budgets(_Section):
    """Bounds of one review; they can only lower what the operator allows."""

    dollars: float | None = Field(None, ge=0, description="At most this many US dollars per review.")
    tokens: int | None = Field(None, ge=0, description="At most this many tokens per review.")
    calls: int | None = Field(None, ge=0, description="At most this many model calls per review.")
    tool_calls: int | None = Field(None, ge=0, description="At most this many calls of tools per review.")
    tool_characters: int | None = Field(None, ge=0, description="At most this many characters of the answers of tools.")
    seconds: float | None = Field(None, ge=0, description="At most this many seconds of waiting for the model.")


def _citation(place: str) -> str:
    """Checks the place of a section: a path in the repository, and after # its anchor."""
    if len(place) > LONGEST_PLACE or not re.fullmatch(r"(?!/|\.\./)[^\s#][^#\n]*(?:#\S+)?", place):
        raise ValueError("write the path of a document and the anchor of a section: docs/rules.md#errors")
    return place


def _report_source(source: str) -> str:
    """Checks where SARIF reports come from: code scanning, or an artifact with this name."""
    if source and not re.fullmatch(r"code-scanning|artifact [^\s\"*:<>|?\\/][^\n\"*:<>|?\\/]{0,99}", source):
        raise ValueError("write off, code-scanning, or artifact and its name: artifact sarif")
    return source


class Policy(_Section):
    """The whole file. Every key is optional."""

    triggers: Triggers = Field(default=Triggers(), description="When a review starts by itself.")
    label: str = Field(LABEL, max_length=50, description="The label that asks for a full review.")
    ignore: tuple[str, ...] = Field((), description="Globs of files that are not reviewed.")
    generated: tuple[str, ...] = Field(
        (), description="Globs of generated or vendored files, in addition to the usual ones."
    )
    review: tuple[str, ...] = Field(
        (),
        description="Globs of files that are reviewed even if `ignore` names them or they look generated or vendored.",
    )
    path_instructions: tuple[PathInstruction, ...] = Field((), description="Extra guidance for some files.")
    languages: tuple[str, ...] = Field((), description="Review only these languages; empty: all.")
    standards: StandardsSection = Field(default=StandardsSection(), description="Where the team's rules are.")
    checks: tuple[str, ...] | None = Field(None, description="Which checks run; default: all the operator offers.")
    sarif: Annotated[str, AfterValidator(_report_source)] = Field(
        "",
        description="Where the reports of other analysers come from: off, code-scanning, or artifact NAME of a workflow.",
    )
    passes: tuple[str, ...] | None = Field(
        None, description="Which model passes run; default: all the operator offers."
    )
    model: str = Field("", max_length=200, description="The model that reviews, among those the operator offers.")
    severity: Literal["note", "warning", "error"] = Field("note", description="Report nothing below this severity.")
    cites: dict[str, Annotated[str, AfterValidator(_citation)]] = Field(
        default_factory=dict,
        description="The section that a rule of a check cites: E722: docs/standards/python.md#exceptions.",
    )
    fail_on: Literal["never", "warning", "error"] = Field(
        "never", description="The check run fails while a finding of this severity or above is open."
    )
    request_changes: bool = Field(
        default=False, description="Where `fail_on` fails the check run, the review also requests changes."
    )
    unmute: tuple[str, ...] = Field((), description="Rules to report even if the team keeps dismissing them.")
    comments: int = Field(10, ge=0, le=30, strict=True, description="At most this many inline comments per review.")
    summary: Literal["off", "on_request", "always"] = Field("on_request", description="When to post a walkthrough.")
    suggestions: bool = Field(default=True, description="Offer committable suggestions where they are proven to apply.")
    tone: str = Field("", max_length=200, description="Tone of voice for the model, for example: friendly.")
    waivers: tuple[str, ...] = Field(
        (),
        description="Executable rules that a comment `assistant: allow RULE — reason` switches off for a line; `*`: all.",
    )
    language: str = Field(
        "",
        max_length=35,
        description="Language of what the model writes, as a BCP 47 tag, for example: de, pt-BR, zh-Hans. Default: English.",
    )
    minimum_permission: Literal["triage", "write"] = Field("write", description="The permission that commands need.")
    budgets: Budgets = Field(default=Budgets(), description="Bounds of one review.")

    @field_validator("language")
    @classmethod
    def _tag(cls, value: str) -> str:
        """A BCP 47 tag, as far as its form goes: https://www.rfc-editor.org/rfc/rfc5646#section-2.1"""
        if value and not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}", value):
            raise ValueError("is not a language tag such as de, pt-BR or zh-Hans")
        return value

    @field_validator("sarif", mode="before")
    @classmethod
    def _without_reports(cls, value: object) -> object:
        """`off` is a boolean in YAML."""
        return "" if value is False or value == "off" else value

    @field_validator("summary", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        """`off` is a boolean in YAML."""
        return "off" if value is False else value


Place = tuple[int, int]
"""A line and a column, both 1-based."""


@dataclass(frozen=True, slots=True)
class PolicyProblem:
    """A problem in the file: its place, and a text that says what is wrong and what applies instead."""

    line: int
    column: int
    text: str
    file: str = PATH

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.text}"


def parse(text: str, file: str = PATH) -> tuple[Policy, tuple[PolicyProblem, ...]]:
    """The policy in the text of `file`. Never raises: a wrong value is reported, and its default applies."""
    policy, problems = _parse(text)
    return policy, tuple(replace(problem, file=file) for problem in problems)


def unavailable_names(
    policy: Policy, checks: Collection[str], passes: Collection[str], models: Collection[str] = ()
) -> tuple[str, ...]:
    """A sentence for each check, pass and model that the policy names and the operator does not offer. All are ignored."""
    model = (policy.model,) if policy.model else ()
    named = (("checks", policy.checks, checks), ("passes", policy.passes, passes), ("model", model, models))
    return tuple(
        f"{key}: {name} is not offered here{_hint(name, offered)}"
        for key, wanted, offered in named
        for name in dict.fromkeys(wanted or ())
        if name not in offered
    )


class _Alias(Exception):
    """The file has an alias: a few of them can stand for a text of any size."""


class _Loader(yaml.SafeLoader):
    """YAML without aliases, read once."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise _Alias
        return super().compose_node(parent, index)


def _parse(text: str) -> tuple[Policy, tuple[PolicyProblem, ...]]:
    if len(text) > LARGEST:
        return Policy(), (PolicyProblem(1, 1, f"over {LARGEST} characters; the defaults apply"),)
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        value = loader.construct_document(node) if node is not None else None
    except _Alias:
        return Policy(), (PolicyProblem(1, 1, "aliases (*name) are not supported; the defaults apply"),)
    except yaml.MarkedYAMLError as error:
        line, column = (error.problem_mark.line + 1, error.problem_mark.column + 1) if error.problem_mark else (1, 1)
        return Policy(), (PolicyProblem(line, column, f"not YAML: {error.problem}; the defaults apply"),)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return Policy(), (PolicyProblem(1, 1, f"not YAML: {type(error).__name__}; the defaults apply"),)
    if node is None:
        return Policy(), ()
    if not isinstance(value, dict):
        return Policy(), (PolicyProblem(1, 1, "not a mapping of keys to values; the defaults apply"),)
    places = list(_places(node, ()))
    policy, problems = _validated(value, dict(places))
    return policy, tuple(sorted((*_repeated(places), *problems), key=lambda problem: (problem.line, problem.column)))


def _validated(
    value: dict[str, Any], places: Mapping[tuple[Any, ...], Place]
) -> tuple[Policy, tuple[PolicyProblem, ...]]:
    """Validates the file. Removes each wrong key and tries again, so that the rest of the file still applies."""
    problems: list[PolicyProblem] = []
    while True:
        try:
            return Policy.model_validate(value), tuple(problems)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
        if len(problems) + len(found) > MOST_PROBLEMS:
            return Policy(), (PolicyProblem(1, 1, f"more than {MOST_PROBLEMS} settings are wrong; the defaults apply"),)
        for details in found:
            where = tuple(details["loc"])
            line, column = next(places[where[:n]] for n in range(len(where), -1, -1) if where[:n] in places)
            problems.append(PolicyProblem(line, column, _problem_text(where, details["type"], details["msg"])))
        for details in found:
            _remove(value, details["loc"])


def _remove(value: Any, where: Sequence[Any]) -> None:  # noqa: ANN401 - what YAML holds
    """Removes the mapping key at `where`; an error inside a list removes the list."""
    holder = value
    for position, key in enumerate(where):
        inner = holder.get(key) if isinstance(holder, dict) else None
        if not isinstance(inner, dict) or position == len(where) - 1:
            if isinstance(holder, dict):
                holder.pop(key, None)
            return
        holder = inner


def _problem_text(where: Sequence[Any], kind: str, message: str) -> str:
    name = ".".join(str(part) for part in where)
    if kind != "extra_forbidden":
        return f"{name}: {message.replace('tuple', 'list')}; the default applies"
    return f"{name} is not a setting{_hint(str(where[-1]), _keys(where[:-1]))}"


def _hint(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]}?" if close else "; it is ignored"


def _keys(where: Sequence[Any]) -> list[str]:
    model: type[BaseModel] = Policy
    for part in where:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return list(model.model_fields)


def _repeated(places: Iterable[tuple[tuple[Any, ...], Place]]) -> Iterator[PolicyProblem]:
    """Problems for keys that occur twice, of which YAML takes the last. Keys below such a key are not reported as well."""
    seen: set[tuple[Any, ...]] = set()
    twice: set[tuple[Any, ...]] = set()
    for where, place in places:
        if where in seen and not any(where[:n] in twice for n in range(1, len(where))):
            twice.add(where)
            yield PolicyProblem(*place, f"{'.'.join(map(str, where))} occurs twice; the last value applies")
        seen.add(where)


def _places(node: yaml.Node, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Place]]:
    """The place of each key: its path in the file -> line and column."""
    if not path:
        yield (), (1, 1)
    if isinstance(node, yaml.MappingNode):
        for key, inner in node.value:
            yield (*path, key.value), (key.start_mark.line + 1, key.start_mark.column + 1)
            yield from _places(inner, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, inner in enumerate(node.value):
            yield (*path, index), (inner.start_mark.line + 1, inner.start_mark.column + 1)
            yield from _places(inner, (*path, index))


DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class PolicyLayer:
    """The text of a policy file, and the name by which it is shown."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class PolicyValue:
    """One setting: its dotted name, its value as JSON, and the file that sets it."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class LayeredPolicy:
    """The policy that applies, the problems in its files, and for each setting the file that sets it."""

    policy: Policy
    problems: tuple[PolicyProblem, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()


def merge_layers(layers: Sequence[PolicyLayer]) -> LayeredPolicy:
    """Merges files key by key; later files win. A problem in one file does not affect the others."""
    values: dict[str, Any] = {}
    problems: list[PolicyProblem] = []
    sources: dict[str, str] = {}
    for layer in layers:
        policy, found = parse(layer.text, layer.name)
        settings = policy.model_dump(exclude_unset=True)
        values = _merge(values, settings)
        problems += found
        sources |= dict.fromkeys(_names(settings), layer.name)
    return LayeredPolicy(Policy.model_validate(values), tuple(problems), tuple(sources.items()))


def describe(policy: Policy, sources: Mapping[str, str]) -> tuple[PolicyValue, ...]:
    """Every setting with its value and its source, in the order of the schema."""
    return tuple(
        PolicyValue(name, json.dumps(value, ensure_ascii=False), sources.get(name) or _source_within(name, sources))
        for name, value in _settings(policy)
    )


def _source_within(name: str, sources: Mapping[str, str]) -> str:
    """The last file that sets a key of the mapping `name`."""
    return next((file for key, file in reversed(tuple(sources.items())) if key.startswith(f"{name}.")), DEFAULT)


def schema() -> dict[str, Any]:
    """The JSON Schema of `.github/assistant.yml`, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Policy.model_json_schema(),
        "title": PATH,
        "description": "What a repository wants from the assistant. Every key is optional.",
    }


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with the values of `above`. Mappings are merged; other values are replaced."""
    merged = dict(below)
    for key, value in above.items():
        known = merged.get(key)
        merged[key] = _merge(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged


def _names(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _names(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _settings(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _settings(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", section.model_dump(mode="json", include={name})[name]
