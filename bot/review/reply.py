"""Answers to people -> Markdown: help, what went wrong, what stands in the documents."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pydantic import BaseModel

from bot.review.command import Verb
from bot.review.comment import Address, code
from bot.review.policy import Policy
from bot.review.sanitize import plain
from bot.review.standard import Hit


class FindingState(Protocol):
    """A finding as the ledger knows it."""

    @property
    def state(self) -> str:
        """open, fixed, dismissed, …"""


_WHAT = {
    Verb.REVIEW: ("review [full | security | PATH …]", "review what changed, everything, or some files"),
    Verb.ASK: ("ask QUESTION", "answer a question about this pull request"),
    Verb.SUMMARY: ("summary", "write or refresh the walkthrough"),
    Verb.STANDARDS: ("standards QUESTION", "answer from the team's documents, with citations"),
    Verb.EXPLAIN: ("explain", "in a thread: say more about the finding"),
    Verb.DISMISS: ("dismiss [REASON]", "in a thread: drop the finding for good"),
    Verb.RESOLVE: ("resolve", "in a thread: mark the finding as dealt with"),
    Verb.PAUSE: ("pause", "no automatic reviews on this pull request"),
    Verb.RESUME: ("resume", "automatic reviews again"),
    Verb.STOP: ("stop", "cancel what is running"),
    Verb.STATUS: ("status", "what was reviewed, what is open, what it cost"),
    Verb.CONFIG: ("config", "the settings that hold here, and where they come from"),
    Verb.HELP: ("help", "this list"),
}


def usage(verbs: Sequence[Verb], label: str) -> str:
    """The list of commands that are offered here."""
    rows = [f"| `/assistant {_WHAT[verb][0].replace('|', chr(92) + '|')}` | {_WHAT[verb][1]} |" for verb in verbs]
    return "\n".join(
        [
            "Say one of these on the first line of a comment:",
            "",
            "| command | what it does |",
            "|---|---|",
            *rows,
            "",
            f"The label {code(label)} asks for a full review too. Settings live in `.github/assistant.yml`.",
        ]
    )


def sections(question: str, hits: Sequence[Hit], address: Address) -> str:
    """What the documents say, or that they do not cover it."""
    if not hits:
        return f"The team's documents do not cover {code(plain(question, 200))}."
    parts = [f"What the team's documents say about {code(plain(question, 200))}:"]
    for hit in hits:
        standard, link = hit.standard, address.standard(hit.standard)
        title = plain(f"{standard.document} > {standard.title}", 160)
        where = f"[{title}]({link})" if link.startswith("http") else f"{title} ({code(link)})"
        quoted = "\n".join(f"> {line}" for line in standard.text.strip().splitlines()[:12])
        parts.append(f"**{where}**\n\n{quoted}")
    return "\n\n".join(parts)


def config(policy: Policy) -> str:
    """The settings that hold for this pull request, each with where it comes from."""
    rows = []
    for name in type(policy).model_fields:
        source = "`.github/assistant.yml`" if name in policy.model_fields_set else "default"
        rows.append(f"| {name} | {code(_value(getattr(policy, name)))} | {source} |")
    return "\n".join(["The settings on the base branch:", "", "| setting | value | from |", "|---|---|---|", *rows])


def _value(value: object) -> str:
    if isinstance(value, BaseModel):
        return json.dumps(value.model_dump(mode="json", exclude_none=True), ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False, default=str)


def status(reviews: Sequence[Mapping[str, Any]], findings: Sequence[FindingState]) -> str:
    """What was reviewed here of late, and what is open."""
    if not reviews:
        return "Nothing was reviewed on this pull request yet."
    states = Counter(one.state for one in findings)
    lines = ["| head | why | outcome | posted | cost |", "|---|---|---|---|---|"]
    for row in reviews:
        dollars = row["detail"]["usage"]["dollars"]
        cost = "unknown" if dollars is None else f"${dollars:.4f}"
        posted = row["detail"]["posted"]
        lines.append(f"| {code(row['head'][:10])} | {row['trigger']} | {row['outcome']} | {posted} | {cost} |")
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none"
    return "\n".join([*lines, "", f"Findings: {counts}."])
