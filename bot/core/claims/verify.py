"""The independent verification of drafts: what the model is shown, and what its verdicts mean. Keeps confirmed drafts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bot.core.claims.evidence import find_line, with_found_evidence
from bot.core.claims.material import FencedText
from bot.core.claims.refute import HeadFacts
from bot.core.claims.schemas import Verdict, Verdicts
from bot.core.code.diff import Diff, Hunk
from bot.core.code.plan import Batch, BatchPart
from bot.core.findings.anchor import anchor
from bot.core.findings.finding import Draft

GROUP = 4  # drafts of one file that are verified together
HUNKS = 3  # hunks that are shown if a draft has no place in the diff

Dropped = tuple[Draft, str]


def groups(drafts: Sequence[Draft]) -> Iterator[tuple[Draft, ...]]:
    """Yields groups of a few drafts of one file, in their order."""
    for path in dict.fromkeys(draft.path for draft in drafts):
        mine = [draft for draft in drafts if draft.path == path]
        yield from (tuple(mine[at : at + GROUP]) for at in range(0, len(mine), GROUP))


def numbered_claims(drafts: Sequence[Draft]) -> FencedText:
    """Returns the drafts as claims numbered from 1, without evidence, severity and source, which could persuade."""
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


def batch_of(drafts: Sequence[Draft], diff: Diff) -> Batch:
    """Returns the hunks of the drafts; the first hunks of the file if a quote is not in the diff."""
    anchors = [anchor(draft.path, draft.quoted, diff, draft.side, draft.near) for draft in drafts]
    hunks: dict[str, list[Hunk]] = {}
    for found in anchors:
        file = diff.file(found.path)
        for hunk in file.hunks if file else ():
            if any(line.number(found.side) == found.line for line in hunk.lines):
                hunks.setdefault(found.path, []).append(hunk)
        if file and found.line is None:
            hunks.setdefault(found.path, []).extend(file.hunks[:HUNKS])
    return Batch(tuple(BatchPart(path, tuple(dict.fromkeys(many))) for path, many in hunks.items()))


def apply_verdicts(
    drafts: Sequence[Draft], answer: Verdicts | None, facts: HeadFacts, reason: str = ""
) -> tuple[tuple[Draft, ...], tuple[Dropped, ...]]:
    """Returns the confirmed drafts, with the evidence of both passes that is found, and the others with the reason.

    A draft that got no verdict, an unsure one, or one without evidence that is found is held back: it is not verified.
    """
    verdicts = {verdict.finding: verdict for verdict in answer.verdicts} if answer else {}
    kept: list[Draft] = []
    dropped: list[Dropped] = []
    for number, draft in enumerate(drafts, 1):
        why = _drop_reason(verdicts.get(number), facts, reason)
        if why:
            dropped.append((draft, why))
        else:
            seen = dict.fromkeys((*draft.evidence, *verdicts[number].evidence))
            kept.append(with_found_evidence(replace(draft, evidence=tuple(seen)), facts))
    return tuple(kept), tuple(dropped)


def _drop_reason(verdict: Verdict | None, facts: HeadFacts, reason: str) -> str:
    if verdict is None:
        return f"held: not verified ({reason or 'no verdict was given'})"
    if verdict.verdict == "refuted":
        return f"refuted: {verdict.reason}"
    if verdict.verdict == "unsure":
        return f"held: not verified ({verdict.reason})"
    if not verdict.evidence:
        return "held: not verified (no evidence was given)"
    found = any(find_line(text, facts) for text in verdict.evidence)
    return "" if found else "held: not verified (its evidence was not found in the files)"
