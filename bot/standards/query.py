"""Turns a question, a finding or a few lines of code into the words to search for.

The lexicon adds the words in which people write rules: a rule about `except:` speaks of bare exceptions. Each entry is a
pattern to find in a query, and the words to add. It contains nothing from a team's documents.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LEXICON = {
    # errors
    r"except\s*:|bare.?except|\bE722\b|\bBLE001\b": "bare except catch exceptions",
    r"except\b.*:\s*\n?\s*pass\b|catch\s*(\(\w*\))?\s*\{\s*\}|\bS110\b|swallow": "swallow exceptions ignore empty catch pass",
    r"\braise\s+\w+.*\bfrom\b|\bB904\b|__cause__": "chain exceptions cause",
    r"\bfinally\b|\bB012\b": "finally return exception",
    r"throw\s+[\"'`{]": "throw error objects",
    # names and where they come from
    r"import\s+\*|\bF40[35]\b|wildcard": "wildcard import star",
    r"\bF401\b|imported but unused|unused import": "unused import",
    r"\bF82[123]\b|undefined name|is not defined|NameError": "undefined name exist",
    r"\bF841\b|assigned to but never used|no-unused-vars|unused variable": "unused variable assigned never read",
    r"\bF811\b|redefinition|redefined": "redefinition defined twice duplicate",
    r"\bF601\b|\bB035\b|dictionary key .*repeated": "duplicate key twice redefinition",
    r"cannot import name|circular": "circular imports cycle",
    # functions
    r"def\s+\w+\([^)]*=\s*(\[|\{|list\(|dict\(|set\()|\bB006\b|mutable (data|default)": "mutable default arguments shared",
    r"\bB023\b|does not bind loop variable|closure": "closure loop variable lambda",
    r"\w+\s*=\s*lambda\b|\bE731\b": "lambda assign name def",
    r"\(\s*(?:[\w.]+,\s*)*(?:True|False|true|false)\s*[,)]|\bFBT00\d\b": "boolean parameter flag keyword",
    r"TODO|FIXME|XXX": "todo fixme owner issue",
    # comparisons
    r"[!=]=\s*None|\bE711\b": "compare none is identity",
    r"[!=]=\s*(True|False)\b|\bE712\b": "compare true false booleans",
    r"type\(\w+\)\s*[!=]=|\bE721\b": "isinstance type check",
    r"\bis\s+(not\s+)?[\"'\d]|\bF632\b": "literals identity compare",
    r"[^=!]==[^=]\s*(null|undefined|[\"'])|eqeqeq|\s!=\s": "strict equality loose comparison",
    # strings
    r"\bF541\b|f-string without|f\"[^{}\"]*\"": "f-string placeholder",
    r"\.format\(|\"\s*%\s*[(\w]|\bUP03[12]\b": "format f-strings build text",
    r"\.l?r?strip\(\s*[\"'][^\"']{2,}|\bB005\b": "strip prefix removeprefix characters",
    r"[\"']\s*\+\s*\w+|\w+\s*\+\s*[\"'`]": "template literals joining strings concatenation",
    # left-overs
    r"\bprint\s*\(|\bT20[13]\b": "print output logging",
    r"breakpoint\(\)|set_trace|\bpdb\b|\bdebugger\b|debug statement|\bT100\b": "breakpoint debugger debugging left-overs",
    r"console\.\w+\(|no-console|console output": "console log output",
    r"<{7}|>{7}|conflict": "conflict markers merge",
    r"noqa|type:\s*ignore|eslint-disable|@ts-|nolint|NOSONAR|warning is silenced|suppress": "suppress silence warning reason ignore",
    r"^\s*(#|//)\s*\w+.*[({;=].*$": "commented-out code",
    r"invisible|zero.?width|bidi": "invisible characters bidirectional",
    # tests
    r"\.only\(|\bfdescribe\b|\bfit\(|only this test": "focused test only",
    r"\.skip\b|\bxit\(|\bxdescribe\b|mark\.(skip|xfail)|test is skipped": "skipped test reason",
    r"\b(time\.)?sleep\(": "sleep wait blocking",
    r"Mock\(|\bpatch\(|jest\.mock": "mock fake",
    r"assert\s*\(.*,|\bF631\b|\bB011\b|assertRaises\(Exception|\bB017\b": "assertion always true fail",
    r"\bassert\s+\w|\bS101\b": "assert production",
    # security
    r"AKIA|BEGIN [A-Z ]*PRIVATE KEY|hard.?coded|access key|api.?key|password|credential|secret": "secret password key credential token hard-coded",
    r"shell\s*=\s*True|os\.system|\bS60[2459]\b|\bexecSync?\(": "shell command injection",
    r"pickle|yaml\.load|marshal|\bS30[12]\b|\bS506\b": "pickle yaml deserialisation load",
    r"\beval\s*\(|\bexec\s*\(|new Function|\bS307\b|\bS102\b": "eval exec dynamic code",
    r"md5|sha1|DES\b|\bS32[45]\b|\bS303\b|\bS505\b": "cryptography weak hash algorithm",
    r"random\.(random|choice|randint)|Math\.random|\bS311\b": "random token cryptographic randomness",
    r"verify\s*=\s*False|rejectUnauthorized|CERT_NONE|\bS501\b|\bS323\b": "tls certificate verified verification",
    r"requests\.\w+\(|httpx\.\w+\(|urlopen|without timeout|\bS113\b": "timeout network request",
    r"innerHTML|dangerouslySetInnerHTML|\|\s*safe\b|mark_safe|\bS308\b|\bS701\b": "cross-site scripting escape sanitise html",
    r"SELECT\b.*(\{|%s|\+)|f[\"'](SELECT|INSERT|UPDATE|DELETE)|\bS608\b|sql injection": "sql injection parameters query",
    r"chmod|0o?777|\bS103\b": "file permissions writable",
    r"extractall|\.\./|\bS202\b": "path traversal archive",
    r"/tmp/|mktemp|\bS108\b|\bS306\b": "temporary file predictable",  # noqa: S108 - looked for, not written to
    r"debug\s*=\s*True|\bS201\b": "debug mode production",
    # data
    r"SELECT\s+\*": "select star columns",
    r"(UPDATE|DELETE FROM)\s+\w+(?!.*WHERE)": "update delete where condition",
    r"for\s+\w+\s+in\b[\s\S]*\.(query|get|execute|filter)\(": "query loop rows",
    r"\bOFFSET\b": "pagination offset page",
    r"ALTER TABLE|CREATE INDEX|ADD COLUMN|DROP COLUMN": "migration column index lock",
    r"datetime\.(now|utcnow)\(|Date\.now|new Date|\bDTZ\d+\b": "time zone utc clock date",
    r"float\(\w*(price|amount|total)|(price|amount|total)\w*\s*[*/]": "money float decimal amounts",
    # concurrency
    r"create_task|ensure_future|\bRUF006\b": "task reference event loop",
    r"coroutine .*never awaited|without await|\bASYNC105\b": "await coroutine",
    r"async def|\bASYNC2\d\d\b": "async blocking coroutine",
    r"\.then\(|new Promise|no-floating-promises": "promise await then",
    # files and pipelines
    r"\bopen\(|\bSIM115\b": "file with context manager close",
    r"os\.path|\bPTH\d+\b": "pathlib path",
    r"uses:\s*\S+@": "action pinned commit",
    r"permissions:|GITHUB_TOKEN": "permissions token workflow",
    r"\bvar\s+\w+\s*=|no-var|prefer-const": "const let var",
    r":\s*any\b|as any|no-explicit-any": "any type unknown",
    r"\benviron\b|process\.env|get_?env": "environment configuration variables",
}
CONCEPTS = tuple((re.compile(pattern, re.IGNORECASE | re.MULTILINE), words) for pattern, words in _LEXICON.items())

STOP_WORDS = frozenset(
    """
    a about after all also an and any are as at be because been before but by can cannot could do does each for from had
    has have here how i if in into is it its just may me more most must my no nor not of on one only or other our out
    over own same she should so some such than that the their them then there these they this those to too under until
    up use used uses using was we were what when where which while who whoever why will with would you your
    def self return new function
    """.split()  # noqa: SIM905 - a list of words reads better than 130 strings
)


LONGEST = 4_000
"""Most characters of a query that are read."""
MOST = 40
"""Most words of the text, and of its concepts."""

_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_RULE = re.compile(r"^(?:[A-Z]{1,8}\d{2,4}|[a-z0-9]+(?:[-/:]+[a-z0-9_]+)+)\s")  # E722, no-console, react/prop-types


@dataclass(frozen=True, slots=True)
class Query:
    """All words to search for, those of the first sentence, and those of each concept in it.

    The first sentence says what a text is about. It does not include an analyser's rule code.
    """

    every: tuple[str, ...]
    said: tuple[str, ...]
    meant: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, text: str) -> Query:
        """Reads `text`. Concepts are those of its first sentence, or else of all of it."""
        text = text[:LONGEST].strip()
        first = _SENTENCE.split(text, maxsplit=1)[0]
        meant = _concepts(first) or _concepts(text)
        added = dict.fromkeys(word for concept in meant for word in concept)
        every = dict.fromkeys((*words(text)[:MOST], *tuple(added)[:MOST]))
        return cls(tuple(every), words(_RULE.sub("", first))[:MOST], meant)

    @property
    def judged(self) -> tuple[str, ...]:
        """The words that decide whether a section governs."""
        return tuple(dict.fromkeys((*self.said, *(word for concept in self.meant for word in concept))))


def words(text: str) -> tuple[str, ...]:
    """Returns the words that carry meaning, in lower case, each once."""
    found = (word for word in spread(text).lower().split() if word not in STOP_WORDS and len(word) > 1)
    return tuple(dict.fromkeys(found))


def spread(text: str) -> str:
    """Returns the words of `text`, and after each camelCase name the words inside it."""
    return " ".join(f"{word} {_CAMEL.sub(' ', word)}" if _CAMEL.search(word) else word for word in _WORD.findall(text))


def _concepts(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(words(concept) for pattern, concept in CONCEPTS if pattern.search(text))
