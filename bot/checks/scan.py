"""Runs pattern rules over files: ast-grep in the jail for languages with a grammar, regular expressions on lines for the rest.

Rules are data (https://ast-grep.github.io/reference/yaml.html). ast-grep reads them from one file beside the jail, never
from the repository, and one process reads all files.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pydantic import BaseModel, Field, TypeAdapter

from bot.checks.jail import FILES, Analyser, Jail
from bot.core.code.language import language
from bot.core.findings.finding import Category, Severity
from bot.core.findings.problem import Problem
from bot.deadline import compute
from bot.interfaces import CheckResult, Source


async def found_in(files: Sequence[Source], find: Callable[[Source], Iterable[Problem]]) -> CheckResult:
    """Returns the problems that `find` sees in each file, computed away from the event loop."""
    return await compute(lambda: CheckResult(tuple(problem for file in files for problem in find(file))))


class Grammar(NamedTuple):
    """The name of a language in ast-grep, and the suffix under which its files are staged."""

    name: str
    suffix: str


GRAMMARS: Mapping[str, tuple[Grammar, ...]] = {
    "bash": (Grammar("Bash", "sh"),),
    "c": (Grammar("C", "c"),),
    "cpp": (Grammar("Cpp", "cpp"),),
    "csharp": (Grammar("CSharp", "cs"),),
    "css": (Grammar("Css", "css"),),
    "dart": (Grammar("Dart", "dart"),),
    "elixir": (Grammar("Elixir", "ex"),),
    "go": (Grammar("Go", "go"),),
    "haskell": (Grammar("Haskell", "hs"),),
    "html": (Grammar("Html", "html"),),
    "java": (Grammar("Java", "java"),),
    "javascript": (Grammar("JavaScript", "js"),),
    "json": (Grammar("Json", "json"),),
    "kotlin": (Grammar("Kotlin", "kt"),),
    "lua": (Grammar("Lua", "lua"),),
    "php": (Grammar("Php", "php"),),
    "python": (Grammar("Python", "py"),),
    "ruby": (Grammar("Ruby", "rb"),),
    "rust": (Grammar("Rust", "rs"),),
    "scala": (Grammar("Scala", "scala"),),
    "solidity": (Grammar("Solidity", "sol"),),
    "swift": (Grammar("Swift", "swift"),),
    "terraform": (Grammar("Hcl", "tf"),),
    "typescript": (Grammar("TypeScript", "ts"), Grammar("Tsx", "tsx")),
    "yaml": (Grammar("Yaml", "yaml"),),
}
"""The languages that ast-grep 0.51 has built in, under our names for them."""

_LONGEST = 10  # lines of a match that a finding is about; of a longer one it is the first line
_TESTS = re.compile(
    r"(?:^|/)(?:\w*[a-z]Tests?|(?i:tests?(?:[\-_]\w+)?|specs?|__tests__|testdata|testing|fixtures?|mocks?|e2e|examples?|samples?|demos?|benches|benchmarks?))/"
    r"|(?:^|/)test_[^/]*$|[_.\-](?:tests?|spec|bench)\.\w+$|[a-z](?:Tests?|Spec|IT)\.\w+$|(?:^|/)conftest\.py$",
    re.ASCII,
)
_CPP = re.compile(r"^\s*(?:namespace|template\s*<|class\s+\w|using\s+\w)|\w::\w", re.MULTILINE)  # in a header
_IGNORE = re.compile(r"ast-grep-ignore")  # the author of a change does not switch rules off
_IGNORED = "ast-grep ignore"


@dataclass(frozen=True, slots=True)
class PatternRule:
    """A rule for some languages, with the words of its findings.

    `match` has the keys `rule`, `constraints`, `utils` and `transform` of an ast-grep rule; for languages without a
    grammar it has `line`, a regular expression, and `unless`, another one that excuses a line. A match of several lines is
    reported at its first line with `at`. Where `tests` is False, the rule does not apply to tests and examples; `paths`, if
    there is one, finds the paths that it applies to.
    """

    id: str
    languages: tuple[str, ...]
    title: str
    why: str
    match: Mapping[str, object]
    severity: Severity = Severity.WARNING
    category: Category = Category.CORRECTNESS
    url: str = ""
    at: re.Pattern[str] | None = None
    tests: bool = True
    paths: re.Pattern[str] | None = None

    def applies_to(self, path: str) -> bool:
        """Whether the rule is for the language of `path`, and for tests if `path` is one."""
        fits = self.paths is None or self.paths.search(path) is not None
        return fits and language(path) in self.languages and (self.tests or not is_test(path))


class _Position(BaseModel):
    line: int


class _Range(BaseModel):
    start: _Position
    end: _Position


class _Match(BaseModel):
    file: str
    rule: str = Field(alias="ruleId")
    range: _Range


_OUTPUT = TypeAdapter(tuple[_Match, ...])


def is_test(path: str) -> bool:
    """Whether the path belongs to tests, examples or benchmarks."""
    return _TESTS.search(path) is not None


def find_program(name: str) -> str | None:
    """The path of a program that a package installed beside our Python, or that is on the PATH; None if there is none."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.is_file() else shutil.which(name)


def grammar_of(path: str, text: str = "") -> Grammar | None:
    """The grammar for a file; None if ast-grep has none. A header with the words of C++ is C++."""
    grammars = GRAMMARS.get("cpp" if path.endswith(".h") and _CPP.search(text) else language(path), ())
    suffix = PurePosixPath(path).suffix[1:].lower()
    return next((grammar for grammar in grammars if grammar.suffix == suffix), grammars[0] if grammars else None)


async def scan(jail: Jail, rules: Sequence[PatternRule], files: Sequence[Source], source: str) -> CheckResult:
    """Run the rules that have a grammar over the files of their languages, in one process. `source` names the check.

    A file that ast-grep cannot read is in `failed`, with the reason.
    """
    wanted = [
        (file, grammar) for file in files if (grammar := grammar_of(file.path, file.text)) and _any(rules, file.path)
    ]
    if not wanted:
        return CheckResult()
    program = find_program("ast-grep")
    if program is None:
        return CheckResult(failed=tuple((file.path, "ast-grep is not installed") for file, _ in wanted))
    staged = {
        f"{number}.{grammar.suffix}": Source(f"{number}.{grammar.suffix}", _IGNORE.sub(_IGNORED, file.text))
        for number, (file, grammar) in enumerate(wanted)
    }
    originals = {name: file for name, (file, _) in zip(staged, wanted, strict=True)}
    documents = dict(_documents(rules, {grammar.name for _, grammar in wanted}))
    with tempfile.NamedTemporaryFile("w", suffix=".yml", encoding="utf-8") as pack:
        pack.write("\n---\n".join(json.dumps(document) for document in documents.values()))
        pack.flush()
        argv = [program, "scan", "--rule", pack.name, "--json=compact", "--threads", "2", FILES]

        def parse(output: bytes, batch: Sequence[Source]) -> tuple[Problem, ...]:
            return tuple(_problems(output, [originals[file.path] for file in batch], rules, source))

        checked = await Analyser(argv, jail, parse, readable=(pack.name,)).run(list(staged.values()))
    failed = tuple((originals[path].path, reason) for path, reason in checked.failed)
    return CheckResult(checked.problems, failed)


def _any(rules: Sequence[PatternRule], path: str) -> bool:
    return any("rule" in rule.match and rule.applies_to(path) for rule in rules)


def _documents(rules: Sequence[PatternRule], grammars: set[str]) -> Iterator[tuple[str, dict[str, object]]]:
    """An ast-grep rule for each rule and each grammar of its languages; its id is the number of ours and the grammar."""
    for number, rule in enumerate(rules):
        for name in rule.languages:
            for grammar in GRAMMARS.get(name, ()):
                if "rule" in rule.match and grammar.name in grammars:
                    key = f"{number}-{grammar.name}"
                    yield key, {"id": key, "language": grammar.name, "severity": "warning", "message": "", **rule.match}


def _problems(output: bytes, batch: Sequence[Source], rules: Sequence[PatternRule], source: str) -> Iterator[Problem]:
    """The problems in the JSON of ast-grep, one for each rule and line. Raises ValueError."""
    said = set()
    for match in _OUTPUT.validate_json(output):
        file = batch[int(PurePosixPath(match.file).stem)]
        rule = rules[int(match.rule.partition("-")[0])]
        first, last = _lines(match.range, rule, file.text)
        if rule.applies_to(file.path) and (file.path, rule.id, first) not in said:
            said.add((file.path, rule.id, first))
            yield problem_of(rule, file.path, first, last, source)


def _lines(matched: _Range, rule: PatternRule, text: str) -> tuple[int, int]:
    """The first and last line of a match: the first one with `at`, or all if they are few."""
    first, last = matched.start.line + 1, matched.end.line + 1
    if rule.at:
        lines = text.split("\n")[first - 1 : last]
        first += next((number for number, line in enumerate(lines) if rule.at.search(line)), 0)
        return first, first
    return (first, last) if last - first < _LONGEST else (first, first)


def problem_of(rule: PatternRule, path: str, first: int, last: int, source: str) -> Problem:
    """The problem of a match of `rule` on the lines `first` to `last`."""
    return Problem(
        path=path,
        line=first,
        end=last,
        rule=rule.id,
        title=rule.title,
        why=rule.why,
        severity=rule.severity,
        category=rule.category,
        source=source,
        url=rule.url,
    )
