"""A push re-verifies: the model is asked again about open findings around whose lines the code changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from bot.core.claims.material import budget, material
from bot.core.claims.recheck import Doubt, setting, weighed
from bot.core.claims.schemas import Verdicts
from bot.core.claims.verify import claims, groups
from bot.handlers.passes import Brief, Opinion, Passes
from bot.interfaces import Answer


async def reverified(passes: Passes, brief: Brief, opinion: Opinion, doubts: Sequence[Doubt]) -> Opinion:
    """The opinion with what became of each of `doubts`. One that could not be judged is left out, and stays open.

    It comes last: money that is short goes to what is new. That it failed is no gap in the review of the change.
    """
    if not doubts:
        return opinion
    by_draft = {doubt.draft: doubt for doubt in doubts}
    grouped = [tuple(by_draft[draft] for draft in group) for group in groups(tuple(by_draft))]
    answers = await asyncio.gather(*(_ask(passes, brief, n, group) for n, group in enumerate(grouped, 1)))
    judged = [
        weighed(group, Verdicts.model_validate(answer.value))
        for group, answer in zip(grouped, answers, strict=True)
        if answer.value is not None
    ]
    return replace(
        opinion,
        weighed=tuple(one for group in judged for one in group),
        usage=sum((answer.usage for answer in answers), opinion.usage),
        versions=passes.words.versions,
    )


async def _ask(passes: Passes, brief: Brief, number: int, group: Sequence[Doubt]) -> Answer:
    batch = setting(group, brief.facts.diff)
    facts = replace(brief.facts, issues=(), said=(), problems=())
    shown = material(batch, facts, budget(batch))
    data = (*shown.data, claims([doubt.draft for doubt in group]))
    return await passes.ask(f"verify/again/{number}", "reverify", data, Verdicts, brief)
