"""Any analyser that writes SARIF 2.1.0, as the operator configured it; a repository can never name one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from bot.checks.jail import Jail
from bot.checks.jail_analyser import Analyser
from bot.interfaces import Checked, Source
from bot.review.finding import Category, Severity
from bot.review.problem import Problem

_SEVERITY = {"error": Severity.ERROR, "warning": Severity.WARNING, "note": Severity.NOTE, "none": Severity.NOTE}


@dataclass(frozen=True, slots=True)
class Sarif:
    """A check made of a command: `argv` with FILES among its words, the files it reads by suffix (empty: all).

    The first word is the absolute path of the program; `readable` are more paths that it needs.
    """

    name: str
    argv: tuple[str, ...]
    jail: Jail
    suffixes: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    whole: bool = True

    def reads(self, path: str) -> bool:
        """Whether the file has one of the suffixes."""
        return not self.suffixes or path.endswith(self.suffixes)

    async def run(self, files: Sequence[Source]) -> Checked:
        """What the analyser says; the exit code says nothing."""
        return await Analyser(self.argv, self.jail, partial(_problems, self.name), self.readable).run(files)


class _Part(BaseModel):
    """https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html, the part that is needed."""

    model_config = ConfigDict(alias_generator=to_camel)


class _Text(_Part):
    text: str = ""


class _Region(_Part):
    start_line: int = 1
    end_line: int | None = None


class _Artifact(_Part):
    uri: str = ""


class _Physical(_Part):
    artifact_location: _Artifact
    region: _Region = _Region()


class _Location(_Part):
    physical_location: _Physical


class _Configuration(_Part):
    level: str = "warning"


class _Rule(_Part):
    id: str
    help_uri: str = ""
    short_description: _Text = _Text()
    default_configuration: _Configuration = _Configuration()
    properties: dict[str, object] = {}


class _Result(_Part):
    rule_id: str = ""
    level: str | None = None
    message: _Text = _Text()
    locations: tuple[_Location, ...] = ()


class _Driver(_Part):
    rules: tuple[_Rule, ...] = ()


class _Tool(_Part):
    driver: _Driver


class _Run(_Part):
    tool: _Tool
    results: tuple[_Result, ...] = ()


class _Log(_Part):
    runs: tuple[_Run, ...]


def _problems(source: str, output: bytes, files: Sequence[Source]) -> tuple[Problem, ...]:
    """Raises ValueError for what is not SARIF, or speaks of files that were not staged."""
    found = []
    for run in _Log.model_validate_json(output).runs:
        rules = {rule.id: rule for rule in run.tool.driver.rules}
        for result in run.results:
            rule = rules.get(result.rule_id, _Rule(id=result.rule_id))
            found += [
                _problem(source, result, rule, location.physical_location, files) for location in result.locations
            ]
    return tuple(found)


def _problem(source: str, result: _Result, rule: _Rule, place: _Physical, files: Sequence[Source]) -> Problem:
    file = _staged(place.artifact_location.uri, files)
    count = file.text.count("\n") + 1
    line = min(max(place.region.start_line, 1), count)
    words = " ".join(result.message.text.split())
    tags = rule.properties.get("tags")
    return Problem(
        path=file.path,
        line=line,
        end=min(max(place.region.end_line or line, line), count),
        rule=rule.id,
        title=words[:200],
        why=" ".join(rule.short_description.text.split())[:500],
        severity=_SEVERITY.get(result.level or rule.default_configuration.level, Severity.WARNING),
        category=Category.SECURITY if isinstance(tags, list) and "security" in tags else Category.CORRECTNESS,
        source=source,
        url=rule.help_uri,
    )


def _staged(uri: str, files: Sequence[Source]) -> Source:
    """The file behind a relative, absolute or file:// address: it was staged as its number."""
    number = int(PurePosixPath(unquote(urlsplit(uri).path)).stem)
    if not 0 <= number < len(files):
        raise ValueError(f"no file {number} was staged")
    return files[number]
