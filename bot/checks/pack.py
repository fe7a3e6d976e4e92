"""Our own rules for many languages: data in the folder `rules`, one file for each language, with bad and good examples."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from bot.checks.scan import PatternRule
from bot.core.findings.finding import Category, Severity

_CWE = "https://cwe.mitre.org/data/definitions/{}.html"
_MATCHER = ("rule", "constraints", "utils", "transform", "line", "unless", "last", "statement")
_FILES = {
    "bash": ("shell",),
    "c": ("c",),
    "cpp": ("c", "cpp"),
    "csharp": ("csharp",),
    "dart": ("dart",),
    "dockerfile": ("dockerfile",),
    "elixir": ("elixir",),
    "go": ("go",),
    "java": ("java",),
    "javascript": ("javascript",),
    "kotlin": ("kotlin",),
    "make": ("dockerfile",),
    "php": ("php",),
    "python": ("python",),
    "ruby": ("ruby",),
    "rust": ("rust",),
    "scala": ("scala",),
    "sql": ("sql",),
    "swift": ("swift",),
    "terraform": ("terraform",),
    "typescript": ("javascript",),
    "yaml": ("yaml", "kubernetes", "actions"),
}
"""The rule files for each language; only these are read when a file of the language changed."""


def has_rules(language: str) -> bool:
    """Whether there are rules for the language."""
    return language in _FILES


def rules_for(languages: Iterable[str]) -> tuple[PatternRule, ...]:
    """All rules for the languages, each once."""
    names = dict.fromkeys(name for language in languages for name in _FILES.get(language, ()))
    return tuple(rule for name in names for rule, _ in rule_file(name))


@cache
def rule_file(name: str) -> tuple[tuple[PatternRule, Mapping[str, Any]], ...]:
    """The rules of one file, each with its entry as written. Raises KeyError or ValueError for an entry that is wrong."""
    content, shared = _read(name), _read("kinds")
    return tuple(
        (_rule(shared.get(entry["id"], {}) | entry, content["languages"]), entry) for entry in content["rules"]
    )


@cache
def _read(name: str) -> dict[str, Any]:
    text = (files(__package__) / "rules" / f"{name}.yml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    return content


def _rule(entry: Mapping[str, Any], languages: list[str]) -> PatternRule:
    return PatternRule(
        id=entry["id"],
        languages=tuple(languages),
        title=entry["title"],
        why=entry["why"],
        match={key: entry[key] for key in _MATCHER if key in entry},
        severity=Severity[entry["severity"].upper()],
        category=Category(entry["category"]),
        url=entry.get("url") or (_CWE.format(entry["cwe"]) if "cwe" in entry else ""),
        at=re.compile(entry["at"]) if "at" in entry else None,
        tests=entry.get("tests", True),
        paths=re.compile(entry["paths"]) if "paths" in entry else None,
    )
