"""The second look: what it is told of the drafts, and what becomes of each. Only what was confirmed is said."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bot.core.claims.material import FencedText
from bot.core.claims.schemas import Verdict, Verdicts
from bot.core.code.diff import Diff, Hunk
from bot.core.code.plan import Batch, Part
from bot.core.findings.anchor import anchor
from bot.core.findings.finding import Draft

GROUP = 4  # drafts of one file that are looked at together
HUNKS = 3  # shown where a draft has no place in the diff

Dropped = tuple[Draft, str]


def groups(drafts: Sequence[Draft]) -> Iterator[tuple[Draft, ...]]:
    """Drafts of one file, a few at a time, in their order."""
    for path in dict.fromkeys(draft.path for draft in drafts):
        mine = [draft for draft in drafts if draft.path == path]
        yield from (tuple(mine[at : at + GROUP]) for at in range(0, len(mine), GROUP))


def claims(drafts: Sequence[Draft]) -> FencedText:
    """The drafts as claims with numbers from 1, without what would make them persuasive: evidence, severity, sources."""
    rows = [
        {
            "finding": number,
            "path": draft.path,
            "side": draft.side.value,
            "quoted_code": draft.quoted,
            "title": draft.title,
            "why": draft.why,
            "standard_refs": draft.standard_refs,
            "standard_quote": draft.standard_quote,
        }
        for number, draft in enumerate(drafts, 1)
    ]
    return FencedText("claims", "other reviewers", json.dumps(rows, ensure_ascii=False, indent=1))


def scene(drafts: Sequence[Draft], diff: Diff) -> Batch:
    """The hunks that the drafts speak of; the first few of their file where a quote is not in the diff."""
    anchors = [anchor(draft.path, draft.quoted, diff, draft.side, draft.near) for draft in drafts]
    hunks: dict[str, list[Hunk]] = {}
    for found in anchors:
        file = diff.file(found.path)
        for hunk in file.hunks if file else ():
            if any(line.number(found.side) == found.line for line in hunk.lines):
                hunks.setdefault(found.path, []).append(hunk)
        if file and found.line is None:
            hunks.setdefault(found.path, []).extend(file.hunks[:HUNKS])
    return Batch(tuple(Part(path, tuple(dict.fromkeys(many))) for path, many in hunks.items()))


def judged(
    drafts: Sequence[Draft], answer: Verdicts | None, reason: str = ""
) -> tuple[tuple[Draft, ...], tuple[Dropped, ...]]:
    """What holds, with the evidence of both looks, and what does not, with the reason.

    A draft that got no verdict, an unsure one, or one without evidence is held back: it was not verified.
    """
    verdicts = {verdict.finding: verdict for verdict in answer.verdicts} if answer else {}
    kept: list[Draft] = []
    dropped: list[Dropped] = []
    for number, draft in enumerate(drafts, 1):
        why = _why_not(verdicts.get(number), reason)
        if why:
            dropped.append((draft, why))
        else:
            kept.append(replace(draft, evidence=(*draft.evidence, *verdicts[number].evidence)))
    return tuple(kept), tuple(dropped)


def _why_not(verdict: Verdict | None, reason: str) -> str:
    if verdict is None:
        return f"held: not verified ({reason or 'no verdict was given'})"
    if verdict.verdict == "refuted":
        return f"refuted: {verdict.reason}"
    if verdict.verdict == "unsure":
        return f"held: not verified ({verdict.reason})"
    return "" if verdict.evidence else "held: not verified (no evidence was given)"
