"""How often a check's finding cites the sentence that governs it, on guides in the style of public ones.

    python benchmarks/citations.py

The guides are in benchmarks/guides, what governs is in guides.toml. Every finding of the built-in checks is put to every guide:
most of them are governed by nothing there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bot.checks import hygiene, ruff, secrets
from bot.core.code.language import language
from bot.core.findings.standard import Document, Hit, Standard
from bot.standards.local_index import Index
from bot.standards.sections import sections

HOME = Path(__file__).parent
MESSAGES = {
    "ASYNC210": "Async functions should not call blocking HTTP methods",
    "ASYNC251": "Async functions should not call `time.sleep`",
    "B002": "Python does not support the unary prefix increment operator (`++`)",
    "B005": "Using `.strip()` with multi-character strings is misleading",
    "B006": "Do not use mutable data structures for argument defaults",
    "B012": "`return` inside `finally` blocks cause exceptions to be silenced",
    "B017": "Do not assert blind exception: `Exception`",
    "B018": "Found useless expression. Either assign it to a variable or remove it.",
    "B020": "Loop control variable `row` overrides iterable it iterates",
    "B023": "Function definition does not bind loop variable `row`",
    "E711": "Comparison to `None` should be `cond is None`",
    "E712": "Avoid equality comparisons to `True`; use `paid:` for truth checks",
    "E721": "Use `is` and `is not` for type comparisons, or `isinstance()` for isinstance checks",
    "E722": "Do not use bare `except`",
    "F401": "`os` imported but unused",
    "F403": "`from shop import *` used; unable to detect undefined names",
    "F541": "f-string without any placeholders",
    "F601": 'Dictionary key literal `"id"` repeated',
    "F631": "Assert test is a non-empty tuple, which is always `True`",
    "F632": "Use `==` to compare constant literals",
    "F811": "Redefinition of unused `total` from line 3",
    "F821": "Undefined name `price`",
    "F841": "Local variable `rows` is assigned to but never used",
    "PLR0124": "Name compared with itself, consider replacing `a == a`",
    "RUF006": "Store a reference to the return value of `asyncio.create_task`",
    "S102": "Use of `exec` detected",
    "S103": "`os.chmod` setting a permissive mask `0o777` on file or directory",
    "S113": "Probable use of `requests` call without timeout",
    "S201": "Use of `debug=True` in Flask app detected",
    "S202": "Uses of `tarfile.extractall()`",
    "S301": "`pickle` and modules that wrap it can be unsafe when used to deserialize untrusted data, possible security issue",
    "S306": "Use of insecure and deprecated function (`mktemp`)",
    "S307": "Use of possibly insecure function; consider using `ast.literal_eval`",
    "S501": "Probable use of `requests` call with `verify=False` disabling SSL certificate checks",
    "S505": "RSA key sizes below 2048 bits are considered breakable",
    "S506": "Probable use of unsafe loader `Loader` with `yaml.load`. Allows instantiation of arbitrary objects.",
    "S602": "`subprocess` call with `shell=True` identified, security issue",
    "S605": "Starting a process with a shell, possible injection detected",
    "S608": "Possible SQL injection vector through string-based query construction",
    "S701": "By default, jinja2 sets `autoescape` to `False`. Consider using `autoescape=True`.",
    "T100": "Trace found: `breakpoint` used",
}
"""Ruff's messages of one finding of each rule."""
SECRETS = ("aws-access-key", "private-key", "hardcoded-secret")


@dataclass(frozen=True)
class Guide:
    """A document, the file that is reviewed, and for each rule words of the lines that govern it."""

    part: str
    name: str
    text: str
    path: str
    governs: dict[str, tuple[str, ...]]
    document: str
    questions: tuple[tuple[str, str], ...] = ()

    def sections(self, document: str = "") -> tuple[Standard, ...]:
        """The sections of the guide, as those of its document or of the given one."""
        suffix = PurePosixPath(self.document).suffix
        place = str(PurePosixPath(document).with_suffix(suffix)) if document else self.document
        return sections(Document(place, self.name), self.text.encode())

    def index(self) -> Index:
        """The guide as a shelf of its own."""
        return Index.of(self.sections())

    def lines(self, rule: str) -> set[int]:
        """The lines that govern a rule."""
        wanted = self.governs.get(rule, ())
        return {n for n, line in enumerate(self.text.splitlines(), 1) for words in wanted if words in line}


@dataclass(frozen=True)
class Outcome:
    """What one finding cited in one guide."""

    guide: Guide
    rule: str
    cited: Hit | None

    @property
    def right(self) -> bool:
        """Whether the cited sentence begins on a line that governs."""
        if self.cited is None:
            return False
        standard, quote = self.cited.standard, self.cited.quote
        first = standard.start + standard.text[: max(standard.text.find(quote), 0)].count("\n")
        last = first + quote.count("\n")
        return bool(self.guide.lines(self.rule) & set(range(first, last + 1)))

    @property
    def wrong(self) -> bool:
        """Whether something was cited that does not govern."""
        return self.cited is not None and not self.right


def guides() -> Iterator[Guide]:
    """Every guide, those of the first part first."""
    for part, table in tomllib.loads((HOME / "guides.toml").read_text()).items():
        for name, entry in table.items():
            governs = {rule: tuple(words.split("|")) for rule, words in entry.get("governs", {}).items()}
            file = next((HOME / "guides" / part).glob(f"{name}.*"))
            document = entry.get("document", f"docs/standards/guide{file.suffix}")
            questions = tuple(entry.get("questions", {}).items())
            yield Guide(part, name, file.read_text(), entry["path"], governs, document, questions)


def findings(path: str) -> dict[str, str]:
    """The query of one finding of each rule that the checks have for a file at `path`."""
    suffix = PurePosixPath(path).suffix
    why = {code: rule.why for rule in ruff.RULES for code in rule.codes.split()}
    found = {
        rule.name: f"{rule.title}. {rule.why}"
        for rule in (*hygiene.RULES, hygiene.CONFLICT)
        if not rule.suffixes or suffix in rule.suffixes
    }
    found |= {rule.name: f"{rule.kind} is in the code." for rule in secrets.RULES if rule.name in SECRETS}
    if suffix == ".py":
        found |= {code: f"{message}. {_of(code, why)}" for code, message in MESSAGES.items()}
    return {rule: f"{rule} {text}" for rule, text in found.items()}


def _of(code: str, why: dict[str, str]) -> str:
    return next(text for beginning, text in why.items() if code.startswith(beginning))


def outcomes(guide: Guide) -> Iterator[Outcome]:
    """What each finding cites in a guide."""
    index = guide.index()
    for rule, query in findings(guide.path).items():
        hits = index.search(query, guide.path, language(guide.path), 1)
        yield Outcome(guide, rule, next((hit for hit in hits if hit.governs), None))
    index.close()


@dataclass(frozen=True)
class Score:
    """Counts of findings: governed by a sentence, cited rightly, cited wrongly, and all."""

    governed: int
    right: int
    wrong: int
    asked: int

    @classmethod
    def of(cls, found: list[Outcome]) -> Score:
        """Counts outcomes."""
        governed = sum(bool(one.guide.lines(one.rule)) for one in found)
        return cls(governed, sum(one.right for one in found), sum(one.wrong for one in found), len(found))

    def __str__(self) -> str:
        precision = self.right / max(self.right + self.wrong, 1)
        return (
            f"{self.asked} findings, {self.governed} governed: found {self.right / max(self.governed, 1):.0%}; "
            f"citations right {precision:.1%}; wrong {self.wrong / self.asked:.1%} of all"
        )


def answered() -> Iterator[tuple[Guide, str, bool]]:
    """Each question in its guide's language, and whether a line that answers it is among the first five hits.

    All guides are on one shelf.
    """
    everything = tuple(guides())
    shelf = [section for guide in everything for section in guide.sections(f"docs/{guide.name}.md")]
    index = Index.of(shelf)
    for guide in everything:
        for question, words in guide.questions:
            wanted = {
                n for n, line in enumerate(guide.text.splitlines(), 1) for part in words.split("|") if part in line
            }
            hits = [hit.standard for hit in index.search(question, guide.path, language(guide.path), 5)]
            own = [standard for standard in hits if standard.blob == guide.name]
            yield guide, question, any(wanted & set(range(one.start, one.end + 1)) for one in own)
    index.close()


def main() -> None:
    """Prints the score of each part and guide, and what went wrong."""
    asked = tuple(answered())
    print(
        f"{len(asked)} questions in the documents' languages: recall@5 {sum(one[2] for one in asked) / len(asked):.2f}"
    )
    for guide, question, found in asked:
        if not found:
            print(f"  not among the first five: {guide.name}: {question}")
    found = [outcome for guide in guides() for outcome in outcomes(guide)]
    for part in dict.fromkeys(one.guide.part for one in found):
        own = [one for one in found if one.guide.part == part]
        print(f"{part}: {Score.of(own)}")
        for name in dict.fromkeys(one.guide.name for one in own):
            here = [one for one in own if one.guide.name == name]
            print(f"  {name:22} {Score.of(here)}")
            for one in here:
                if one.wrong and one.cited:
                    print(f"    wrong {one.rule}: {' '.join(one.cited.quote.split())[:100]!r}")
                elif one.guide.lines(one.rule) and not one.right:
                    print(f"    missed {one.rule}")


if __name__ == "__main__":
    main()
