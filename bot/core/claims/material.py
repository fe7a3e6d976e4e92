"""The material that a model reads of a change: every hunk, and more as far as the budget allows. Lists what is left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from bot.core.claims.prompt import fence, nonce
from bot.core.claims.requirements import points
from bot.core.code.context import EnclosingCode, context
from bot.core.code.diff import Diff, Hunk, Side
from bot.core.code.hidden import show_hidden
from bot.core.code.plan import Batch, BatchPart, split_batch
from bot.core.code.pull_request import Issue, PostedComment, PullRequest
from bot.core.findings.finding import Draft

LARGE, LINES = 20_000, 500  # characters or changed lines; above either, the size of the material is limited
FACTOR = 3  # times a large change's own characters: limit for all that is sent
ROOM = 12_000  # more characters than the hunks of a small change
WIDER = 4  # times the room if the model cannot look anything up
BODY, REMARK = 4_000, 300  # characters of a description, of one comment
LISTED = 60  # files, comments
FIRST = 3  # definitions whose uses are shown where there is no room for all


@dataclass(frozen=True, slots=True)
class FencedText:
    """Untrusted text that will be fenced: its kind, its source and the text. `source` is untrusted too."""

    kind: str
    source: str
    text: str


@dataclass(frozen=True, slots=True)
class UsedDefinition:
    """A definition in the file at `path` that the change alters or removes, and lines about its uses as `text`."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class PullFacts:
    """The facts about a pull request. `heads` has the texts of changed files at the head, by path.

    `uses` are the definitions that the change alters or removes. `whole` is true if whole files are shown where they fit,
    because the model cannot look anything up.
    """

    pull: PullRequest
    diff: Diff
    heads: Mapping[str, str]
    problems: Sequence[Draft] = ()
    issues: Sequence[Issue] = ()
    said: Sequence[PostedComment] = ()
    uses: Sequence[UsedDefinition] = ()
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Material:
    """The material of one batch, the most stable parts first, and a phrase for each thing that was left out.

    `rules` are sections of the team's rules for this batch.
    """

    data: tuple[FencedText, ...]
    omitted: tuple[str, ...] = ()
    rules: tuple[FencedText, ...] = ()

    @property
    def whole(self) -> tuple[FencedText, ...]:
        """The rules, the material, and the list of what was left out."""
        return (*self.rules, *self.data, *([_not_shown(self.omitted)] if self.omitted else []))


def characters(batch: Batch) -> int:
    """Returns the size of a batch as a plain diff."""
    return sum(len(line.text) + 2 for part in batch.parts for hunk in part.hunks for line in hunk.lines)


def is_large(batches: Sequence[Batch]) -> bool:
    """Whether a change is so large that the size of its material is limited."""
    lines = (line for batch in batches for part in batch.parts for hunk in part.hunks for line in hunk.lines)
    return sum(map(characters, batches)) > LARGE or sum(line.added or line.removed for line in lines) > LINES


def budget(batch: Batch, facts: PullFacts) -> int:
    """Returns the limit of characters for the material of a batch that is read alone: more if whole files are shown."""
    return characters(batch) * 2 + (ROOM * WIDER if facts.whole else ROOM)


def materials(batches: Sequence[Batch], facts: PullFacts, ours: int) -> tuple[Material, ...]:
    """Returns the material of each batch of a change; `ours` is the size of our own instructions for each.

    All that is sent of a large change stays within FACTOR times its own characters, as far as the hunks allow. The room
    that the hunks leave is shared equally between the batches; what a batch does not use goes to the following ones.
    """
    if not is_large(batches):
        return tuple(material(batch, facts, budget(batch, facts)) for batch in batches)
    least = [_least(batch, facts) for batch in batches]
    room = int(FACTOR * sum(map(characters, batches))) - sum(least) - ours * len(batches)
    shown: list[Material] = []
    for batch, needs in zip(batches, least, strict=True):
        share = max(room, 0) // (len(batches) - len(shown))
        shown.append(material(batch, facts, needs + share))
        room -= sum(map(_cost, shown[-1].whole)) - needs
    return tuple(shown)


def split_material(batch: Batch, shown: Material, facts: PullFacts) -> tuple[tuple[Batch, Material], ...]:
    """Returns two halves of a batch that was too large for the model, each with half of the room beside the hunks.

    A single hunk is returned without context; if it had none, nothing is returned.
    """
    halves = split_batch(batch)
    if not halves:
        alone = material(batch, facts, 0)
        return ((batch, alone),) if len(alone.data) < len(shown.data) + len(shown.rules) else ()
    beside = sum(map(_cost, shown.data)) - _least(batch, facts)
    return tuple(
        (half, replace(material(half, facts, _least(half, facts) + beside // 2), rules=shown.rules)) for half in halves
    )


def material(batch: Batch, facts: PullFacts, limit: int) -> Material:
    """Returns the title and hunks of `batch`, and within `limit` characters the rest: issues, known facts, context.

    The title and the hunks are never left out.
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
    """Returns the title, then the hunks."""
    hunks = [FencedText("diff", _source(part, facts.diff), _hunks(part.hunks)) for part in batch.parts]
    return [_title(facts.pull), *hunks]


def _least(batch: Batch, facts: PullFacts) -> int:
    """Returns the size of what is always shown, and of the list of what is left out."""
    return sum(map(_cost, (*_always(batch, facts), _not_shown(["the code around", *batch.paths]))))


def fence_text(datum: FencedText, salt: str) -> str:
    """Returns the text as a fenced block; its author cannot know `salt`."""
    source, text = show_hidden(datum.source), show_hidden(datum.text)
    return fence(datum.kind, source, text, nonce(salt, datum.kind, source, text))


def _cost(datum: FencedText) -> int:
    """Returns the size of the fenced block, with the blank line after it."""
    return len(fence_text(datum, "")) + 2


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
    """Yields what is more important than context: each a list of choices, the best first."""
    mine = [draft for draft in facts.problems if draft.path in batch.paths]
    if mine:
        yield [
            FencedText("checks", "analysers", "\n".join(f"{d.path}:{d.near or ''}: {d.rule}: {d.title}" for d in mine))
        ]
    yield from ([_issue(issue)] for issue in facts.issues)
    used = [one.text for one in facts.uses if one.path in batch.paths]
    if used:
        yield [FencedText("uses", "uses of changed definitions", "\n".join(rows)) for rows in (used, used[:FIRST])]
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


def _source(part: BatchPart, diff: Diff) -> str:
    file = diff.file(part.path)
    moved = f", formerly {file.previous_path}" if file and file.previous_path else ""
    return f"{part.path}{moved}"


def _hunks(hunks: Iterable[Hunk]) -> str:
    return "\n".join(row for hunk in hunks for row in _rows(hunk))


def _rows(hunk: Hunk) -> Iterator[str]:
    """Yields each line as its number, a mark and its text; a removed line has its old number."""
    yield f"@@ {hunk.section}".rstrip()
    for line in hunk.lines:
        mark = "+" if line.added else "-" if line.removed else " "
        yield f"{line.old if line.removed else line.new}{mark}{line.text}"


def _contexts(part: BatchPart, facts: PullFacts) -> list[FencedText]:
    """Returns choices: the code that encloses the hunks with the bindings that they use, or the bindings alone.

    If whole files are shown, the first choice is the rest of the file.
    """
    text = facts.heads.get(part.path, "")
    shown = {line.number(Side.RIGHT) for hunk in part.hunks for line in hunk.lines}
    if shown.issuperset(range(1, text.count("\n") + (not text.endswith("\n")) + 1)):
        return []  # the hunks show the whole file
    around = context(part.path, text, changed_lines(part.hunks)) if text else EnclosingCode()
    bindings = frozenset(around.bindings) - shown
    rest = [frozenset(range(1, text.count("\n") + 2)) - shown] if facts.whole and text else []
    choices = dict.fromkeys((*rest, around.enclosing - shown | bindings, bindings))
    return [FencedText("context", part.path, _lines(text, lines)) for lines in choices if lines]


def changed_lines(hunks: Iterable[Hunk]) -> frozenset[int]:
    """Returns the numbers, at the head, of added lines and of lines next to removed ones."""
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
    """Returns the numbered lines; an ellipsis marks a gap."""
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
    """Returns the words for a left-out text, without its source."""
    if datum.kind == "context":
        return f"the {'rest of the ' if partly else ''}code around "
    return f"{datum.kind}: "
