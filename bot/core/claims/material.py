"""What a model is shown of a change: every hunk, and beside them as much as the budget allows. Nothing goes in silence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bot.core.claims.prompt import fence, nonce
from bot.core.claims.requirements import points
from bot.core.code.context import EnclosingCode, context
from bot.core.code.diff import Diff, Hunk, Side
from bot.core.code.hidden import visible
from bot.core.code.plan import Batch, Part, halved
from bot.core.code.pull_request import Issue, PostedComment, PullRequest
from bot.core.findings.finding import Draft

LARGE, LINES = 20_000, 500  # characters or changed lines; above either what is sent must stay in proportion
FACTOR = 1.6  # of a large change's own characters: all that is sent of it and with it
ROOM = 12_000  # characters beside the hunks of a small change
BODY, REMARK = 4_000, 300  # characters of a description, of one comment
LISTED = 60  # files, comments


@dataclass(frozen=True, slots=True)
class FencedText:
    """Strangers' text to be fenced: what it is, and where it comes from. Neither `source` nor `text` is to be trusted."""

    kind: str
    source: str
    text: str


@dataclass(frozen=True, slots=True)
class PullFacts:
    """What is known of a pull request. `heads` are the texts of changed files at the head, by path."""

    pull: PullRequest
    diff: Diff
    heads: Mapping[str, str]
    problems: Sequence[Draft] = ()
    issues: Sequence[Issue] = ()
    said: Sequence[PostedComment] = ()


@dataclass(frozen=True, slots=True)
class Material:
    """What is shown, longest-lived first, and a phrase for each thing that is not."""

    data: tuple[FencedText, ...]
    omitted: tuple[str, ...] = ()

    @property
    def whole(self) -> tuple[FencedText, ...]:
        """What is shown, and in a word what is not."""
        return (*self.data, *([_not_shown(self.omitted)] if self.omitted else []))


def characters(batch: Batch) -> int:
    """The size of a batch as a plain diff."""
    return sum(len(line.text) + 2 for part in batch.parts for hunk in part.hunks for line in hunk.lines)


def is_large(batches: Sequence[Batch]) -> bool:
    """Whether a change is so large that what is sent must stay in proportion to it."""
    lines = (line for batch in batches for part in batch.parts for hunk in part.hunks for line in hunk.lines)
    return sum(map(characters, batches)) > LARGE or sum(line.added or line.removed for line in lines) > LINES


def budget(batch: Batch) -> int:
    """Characters for the material of what is looked at alone: generous."""
    return characters(batch) * 2 + ROOM


def materials(batches: Sequence[Batch], facts: PullFacts, ours: int) -> tuple[Material, ...]:
    """The material of each batch of a change; `ours` is how many characters we say with each.

    All that is sent of a large change stays within FACTOR of its own characters as far as the hunks allow. What there is
    room for beside them is shared alike, so that a small batch of delicate lines has the most for each; what one leaves
    is for those after it.
    """
    if not is_large(batches):
        return tuple(material(batch, facts, budget(batch)) for batch in batches)
    least = [_least(batch, facts) for batch in batches]
    room = int(FACTOR * sum(map(characters, batches))) - sum(least) - ours * len(batches)
    shown: list[Material] = []
    for batch, needs in zip(batches, least, strict=True):
        share = max(room, 0) // (len(batches) - len(shown))
        shown.append(material(batch, facts, needs + share))
        room -= sum(map(_cost, shown[-1].whole)) - needs
    return tuple(shown)


def smaller(batch: Batch, shown: Material, facts: PullFacts) -> tuple[tuple[Batch, Material], ...]:
    """What to show in place of what a model could not hold: two halves, each with half of what stood beside the hunks.

    A single hunk is shown alone; nothing is left of one that was.
    """
    halves = halved(batch)
    if not halves:
        alone = material(batch, facts, 0)
        return ((batch, alone),) if len(alone.data) < len(shown.data) else ()
    beside = sum(map(_cost, shown.data)) - _least(batch, facts)
    return tuple((half, material(half, facts, _least(half, facts) + beside // 2)) for half in halves)


def material(batch: Batch, facts: PullFacts, limit: int) -> Material:
    """The hunks of `batch`, and within `limit` characters the rest: who asks for what, what is known, then the context.

    Hunks and the title are never left out.
    """
    title, *hunks = _always(batch, facts)
    room = limit - _least(batch, facts)
    shown: list[FencedText] = []
    missing: dict[str, list[str]] = {}
    for choices in (*_known(batch, facts), *(_contexts(part, facts) for part in batch.parts)):
        fitting = next((datum for datum in choices if _cost(datum) <= room), None)
        if fitting:
            shown.append(fitting)
            room -= _cost(fitting)
        if choices and fitting is not choices[0]:
            missing.setdefault(_phrase(choices[0], partly=fitting is not None), []).append(choices[0].source)
    early = [datum for datum in shown if datum.kind in ("files", "issue")]
    omitted = (*_cut_already(facts), *(f"{what}{', '.join(sources)}" for what, sources in missing.items()))
    return Material((title, *early, *hunks, *(datum for datum in shown if datum not in early)), omitted)


def _always(batch: Batch, facts: PullFacts) -> list[FencedText]:
    """The title, then the hunks."""
    hunks = [FencedText("diff", _source(part, facts.diff), _hunks(part.hunks)) for part in batch.parts]
    return [_title(facts.pull), *hunks]


def _least(batch: Batch, facts: PullFacts) -> int:
    """Characters of what is always shown, and of saying that the rest is not."""
    return sum(map(_cost, (*_always(batch, facts), _not_shown(["the code around", *batch.paths]))))


def fenced(datum: FencedText, salt: str) -> str:
    """A datum as a model is shown it; `salt` is what whoever wrote it cannot know."""
    source, text = visible(datum.source), visible(datum.text)
    return fence(datum.kind, source, text, nonce(salt, datum.kind, source, text))


def _cost(datum: FencedText) -> int:
    """Characters that it takes when it is fenced, with the blank line after it."""
    return len(fenced(datum, "")) + 2


def _not_shown(phrases: Iterable[str]) -> FencedText:
    return FencedText("not_shown", "material", "\n".join(phrases))


def _title(pull: PullRequest) -> FencedText:
    who = f"{pull.ref} by {pull.author} ({pull.author_association})"
    return FencedText("pull_request", who, f"{pull.title}\n\n{pull.body[:BODY]}".strip())


def _cut_already(facts: PullFacts) -> Iterator[str]:
    if len(facts.pull.body) > BODY:
        yield f"the description after {BODY} characters"
    if len(facts.said) > LISTED:
        yield f"{len(facts.said) - LISTED} older comments"
    yield from (f"issue #{issue.number} after {BODY} characters" for issue in facts.issues if len(issue.body) > BODY)


def _known(batch: Batch, facts: PullFacts) -> Iterator[list[FencedText]]:
    """What is worth more than context: each a list of choices, the best first."""
    mine = [draft for draft in facts.problems if draft.path in batch.paths]
    if mine:
        yield [
            FencedText("checks", "analysers", "\n".join(f"{d.path}:{d.near or ''}: {d.rule}: {d.title}" for d in mine))
        ]
    yield from ([_issue(issue)] for issue in facts.issues)
    here = [said for said in facts.said if said.body.strip() and said.path in (None, *batch.paths)][-LISTED:]
    if here:
        yield [FencedText("threads", "comments on the pull request", "\n".join(map(_said, here)))]
    if len(facts.diff.files) > 1:
        yield [FencedText("files", "all changed files", _files(facts.diff))]


def _issue(issue: Issue) -> FencedText:
    asked = "".join(f"\nAcceptance point: {point}" for point in points(issue.body))
    return FencedText(
        "issue", f"#{issue.number} by {issue.author}", f"{issue.title}\n\n{issue.body[:BODY]}\n{asked}".strip()
    )


def _said(said: PostedComment) -> str:
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


def _contexts(part: Part, facts: PullFacts) -> list[FencedText]:
    """What encloses the hunks of a file and the bindings of what they use; or the bindings alone."""
    text = facts.heads.get(part.path, "")
    around = context(part.path, text, changed(part.hunks)) if text else EnclosingCode()
    shown = {line.number(Side.RIGHT) for hunk in part.hunks for line in hunk.lines}
    bindings = frozenset(around.bindings) - shown
    choices = dict.fromkeys((around.enclosing - shown | bindings, bindings))
    return [FencedText("context", part.path, _lines(text, lines)) for lines in choices if lines]


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


def _phrase(datum: FencedText, *, partly: bool) -> str:
    """What is missing, but for its source."""
    if datum.kind == "context":
        return f"the {'rest of the ' if partly else ''}code around "
    return f"{datum.kind}: "
