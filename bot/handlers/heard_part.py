"""What was heard of a change, batch by batch: which passes ran, what they were not shown, which files nobody read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bot.core.code.coverage_part import Covered, State
from bot.core.code.diff import Hunk
from bot.core.code.plan import Batch
from bot.core.findings.finding import Draft
from bot.interfaces import Answer


@dataclass(frozen=True, slots=True)
class Heard:
    """One reading of one batch: what was answered, or why nothing was."""

    lens: str
    batch: Batch
    answer: Answer
    drafts: tuple[Draft, ...] = ()
    omitted: tuple[str, ...] = ()


def ran(heard: Sequence[Heard]) -> Iterator[Covered]:
    """A row for each pass."""
    for name in dict.fromkeys(one.lens for one in heard):
        yield row(name, [one.answer for one in heard if one.lens == name])


def row(name: str, answers: Sequence[Answer]) -> Covered:
    """Whether all readings of a pass came to an answer, and if not, why."""
    reasons = dict.fromkeys(answer.reason or "no answer" for answer in answers if answer.value is None)
    if not reasons:
        return Covered(name, State.REVIEWED, by=(f"{len(answers)} of {len(answers)} readings",))
    failed = sum(answer.value is None for answer in answers)
    return Covered(name, State.FAILED, f"{failed} of {len(answers)} readings failed: {'; '.join(reasons)}")


def left_out(heard: Iterable[Heard]) -> Iterable[Covered]:
    """A row for each thing that was not shown."""
    phrases = dict.fromkeys(phrase for one in heard for phrase in one.omitted)
    return [Covered("material", State.SKIPPED, f"not shown to the model: {phrase}") for phrase in phrases]


def missed(heard: Sequence[Heard]) -> tuple[tuple[str, str], ...]:
    """Files with a hunk that no pass could read, and why."""
    read = {hunk for one in heard if one.answer.value is not None for hunk in _hunks(one.batch)}
    failed = [one for one in heard if one.answer.value is None]
    unread = [
        (path, one.answer.reason) for one in failed for path, hunk in _hunks(one.batch) if (path, hunk) not in read
    ]
    return tuple(dict(unread).items())


def _hunks(batch: Batch) -> Iterator[tuple[str, Hunk]]:
    return ((part.path, hunk) for part in batch.parts for hunk in part.hunks)
