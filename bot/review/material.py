"""What a model is shown of a change: every hunk, and beside them as much as the budget allows. Nothing goes in silence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bot.review.acceptance import points
from bot.review.context import Context, context
from bot.review.diff import Diff, Hunk, Side
from bot.review.finding import Draft
from bot.review.hidden import visible
from bot.review.plan import Batch, Part
from bot.review.prompt import fence, nonce
from bot.review.pull_request import Issue, PullRequest, Said

LARGE = 20_000  # characters of a change; above it what is sent must stay in proportion
ROOM = 12_000  # characters beside the hunks of a small change
FACTOR, INSTRUCTIONS = 1.6, 8_800  # of a large change's own characters, less what our instructions take
FENCE, QUOTED = 150, 3  # characters that fencing adds to a datum, and to each of its lines
BODY, REMARK = 4_000, 300  # characters of a description, of one comment
LISTED = 60  # files, comments


@dataclass(frozen=True, slots=True)
class Datum:
    """Strangers' text to be fenced: what it is, and where it comes from. Neither `source` nor `text` is to be trusted."""

    kind: str
    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a pull request. `heads` are the texts of changed files at the head, by path."""

    pull: PullRequest
    diff: Diff
    heads: Mapping[str, str]
    problems: Sequence[Draft] = ()
    issues: Sequence[Issue] = ()
    said: Sequence[Said] = ()


@dataclass(frozen=True, slots=True)
class Material:
    """What is shown, longest-lived first, and a phrase for each thing that is not."""

    data: tuple[Datum, ...]
    omitted: tuple[str, ...] = ()


def characters(batch: Batch) -> int:
    """The size of a batch as a plain diff."""
    return sum(len(line.text) + 2 for part in batch.parts for hunk in part.hunks for line in hunk.lines)


def budget(batch: Batch, change: int) -> int:
    """Characters for the material of a batch in a change of so many: generous while it is small, else in proportion."""
    own = characters(batch)
    return int(own * FACTOR) - INSTRUCTIONS if change > LARGE else own * 2 + ROOM


def material(batch: Batch, facts: Facts, limit: int) -> Material:
    """The hunks of `batch`, and within `limit` characters the rest: who asks for what, what is known, then the context.

    Hunks and the title are never left out.
    """
    hunks = [Datum("diff", _source(part, facts.diff), _hunks(part.hunks)) for part in batch.parts]
    title = _title(facts.pull)
    room = limit - sum(map(_cost, (title, *hunks)))
    shown: list[Datum] = []
    omitted = list(_cut_already(facts))
    for choices in (*_known(batch, facts), *(_contexts(part, facts) for part in batch.parts)):
        fitting = next((datum for datum in choices if _cost(datum) <= room), None)
        if fitting:
            shown.append(fitting)
            room -= _cost(fitting)
        if choices and fitting is not choices[0]:
            omitted.append(_phrase(choices[0], partly=fitting is not None))
    early = [datum for datum in shown if datum.kind in ("files", "issue")]
    return Material((title, *early, *hunks, *(datum for datum in shown if datum not in early)), tuple(omitted))


def fenced(datum: Datum, salt: str) -> str:
    """A datum as a model is shown it; `salt` is what whoever wrote it cannot know."""
    source, text = visible(datum.source), visible(datum.text)
    return fence(datum.kind, source, text, nonce(salt, datum.kind, source, text))


def _cost(datum: Datum) -> int:
    return len(datum.text) + FENCE + QUOTED * (datum.text.count("\n") + 1)


def _title(pull: PullRequest) -> Datum:
    who = f"{pull.ref} by {pull.author} ({pull.author_association})"
    return Datum("pull_request", who, f"{pull.title}\n\n{pull.body[:BODY]}".strip())


def _cut_already(facts: Facts) -> Iterator[str]:
    if len(facts.pull.body) > BODY:
        yield f"the description after {BODY} characters"
    if len(facts.said) > LISTED:
        yield f"{len(facts.said) - LISTED} older comments"
    yield from (f"issue #{issue.number} after {BODY} characters" for issue in facts.issues if len(issue.body) > BODY)


def _known(batch: Batch, facts: Facts) -> Iterator[list[Datum]]:
    """What is worth more than context: each a list of choices, the best first."""
    mine = [draft for draft in facts.problems if draft.path in batch.paths]
    if mine:
        yield [Datum("checks", "analysers", "\n".join(f"{d.path}:{d.near or ''}: {d.rule}: {d.title}" for d in mine))]
    yield from ([_issue(issue)] for issue in facts.issues)
    here = [said for said in facts.said if said.body.strip() and said.path in (None, *batch.paths)][-LISTED:]
    if here:
        yield [Datum("threads", "comments on the pull request", "\n".join(map(_said, here)))]
    if len(facts.diff.files) > 1:
        yield [Datum("files", "all changed files", _files(facts.diff))]


def _issue(issue: Issue) -> Datum:
    asked = "".join(f"\nAcceptance point: {point}" for point in points(issue.body))
    return Datum(
        "issue", f"#{issue.number} by {issue.author}", f"{issue.title}\n\n{issue.body[:BODY]}\n{asked}".strip()
    )


def _said(said: Said) -> str:
    place = f"{said.path}:{said.line or ''} " if said.path else ""
    return f"{place}{said.author}: {' '.join(said.body[:REMARK].split())}"


def _files(diff: Diff) -> str:
    rows = [f"{file.path} ({file.status.value}, +{file.additions} -{file.deletions})" for file in diff.files[:LISTED]]
    rest = len(diff.files) - LISTED
    return "\n".join([*rows, f"and {rest} more"] if rest > 0 else rows)


def _source(part: Part, diff: Diff) -> str:
    file = diff.file(part.path)
    moved = f", formerly {file.previous_path}" if file and file.previous_path else ""
    return f"{part.path}{moved}"


def _hunks(hunks: Iterable[Hunk]) -> str:
    return "\n".join(row for hunk in hunks for row in _rows(hunk))


def _rows(hunk: Hunk) -> Iterator[str]:
    """Each line as its number, a mark and its text; a removed line has its old number."""
    yield f"@@ {hunk.section}".rstrip()
    for line in hunk.lines:
        mark = "+" if line.added else "-" if line.removed else " "
        yield f"{line.old if line.removed else line.new}{mark}{line.text}"


def _contexts(part: Part, facts: Facts) -> list[Datum]:
    """What encloses the hunks of a file and the bindings of what they use; or the bindings alone."""
    text = facts.heads.get(part.path, "")
    around = context(part.path, text, changed(part.hunks)) if text else Context()
    shown = {line.number(Side.RIGHT) for hunk in part.hunks for line in hunk.lines}
    bindings = frozenset(around.bindings) - shown
    choices = dict.fromkeys((around.enclosing - shown | bindings, bindings))
    return [Datum("context", part.path, _lines(text, lines)) for lines in choices if lines]


def changed(hunks: Iterable[Hunk]) -> frozenset[int]:
    """The head's numbers of added lines, and of the lines at which others were taken out."""
    found: set[int] = set()
    for hunk in hunks:
        found.update(line.new for line in hunk.lines if line.added and line.new)
        for line, after in pairwise(hunk.lines):
            if line.removed and after.new:
                found.add(after.new)
            elif after.removed and line.new:
                found.add(line.new)
    return frozenset(found)


def _lines(text: str, numbers: Iterable[int]) -> str:
    """Numbered lines; where some are left out stands an ellipsis."""
    lines = text.split("\n")
    rows: list[str] = []
    last = 0
    for number in sorted(n for n in numbers if n <= len(lines)):
        if number != last + 1:
            rows.append("…")
        rows.append(f"{number} {lines[number - 1]}")
        last = number
    return "\n".join(rows)


def _phrase(datum: Datum, *, partly: bool) -> str:
    if datum.kind == "context":
        return f"the {'rest of the ' if partly else ''}code around {datum.source}"
    return f"{datum.kind}: {datum.source}"
