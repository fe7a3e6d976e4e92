"""Replies to people as Markdown: help, answers, sections of documents, settings, status, errors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from bot.core.claims.evidence import CitedPlace
from bot.core.claims.schemas import Point, Walkthrough
from bot.core.command import Verb
from bot.core.comments.comment import LinkBase, code, quoted
from bot.core.comments.sanitize import clean, plain
from bot.core.comments.walkthrough import WalkthroughFacts
from bot.core.costs import Balance
from bot.core.findings.known import KnownFinding
from bot.core.findings.standard import Hit, Standard
from bot.core.findings.topic import kind_of
from bot.core.policy import PolicyValue

LONGEST, POINTS, NAMED, LISTED = 4_000, 7, 5, 20
SHORT = 8
"""Characters of a finding's name that are shown."""
NO_MODEL = "No model is configured, so questions about the code cannot be answered."
PAUSED = "Automatic reviews of this pull request are paused. `/assistant resume` starts them again."
RESUMED = "Automatic reviews are on again. The next push starts one."
SUMMARY_IS_OFF = "The walkthrough is turned off in this repository (`summary: off` in `.github/assistant.yml`)."
FORGOTTEN = "The database has no record of this finding."
NO_THREAD = "Use this as a reply to one of my review comments."
_WHAT = {
    Verb.REVIEW: ("review [full | security | PATH …]", "review what is new, everything, or some files"),
    Verb.ASK: ("ask QUESTION", "answer a question about this pull request"),
    Verb.SUMMARY: ("summary", "write or refresh the walkthrough"),
    Verb.STANDARDS: ("standards QUESTION", "answer from the team's documents, with citations"),
    Verb.EXPLAIN: ("explain", "in the thread of a finding: explain the finding"),
    Verb.DISMISS: ("dismiss [REASON]", "in the thread of a finding: dismiss it; it is not posted again"),
    Verb.RESOLVE: ("resolve", "in the thread of a finding: mark it as resolved"),
    Verb.PAUSE: ("pause", "stop automatic reviews of this pull request"),
    Verb.RESUME: ("resume", "start automatic reviews again"),
    Verb.STOP: ("stop", "cancel the running review"),
    Verb.STATUS: ("status", "show reviews, open findings and costs"),
    Verb.CONFIG: ("config", "show the settings and where each comes from"),
    Verb.HELP: ("help", "show this list"),
}


def usage(verbs: Sequence[Verb], label: str) -> str:
    """The list of commands that are offered here."""
    rows = [f"| `/assistant {_WHAT[verb][0].replace('|', chr(92) + '|')}` | {_WHAT[verb][1]} |" for verb in verbs]
    return "\n".join(
        [
            "Write one of these on the first line of a comment:",
            "",
            "| command | what it does |",
            "|---|---|",
            *rows,
            "",
            f"The label {code(label)} also starts a full review. Settings are in `.github/assistant.yml`.",
        ]
    )


def sections(question: str, hits: Sequence[Hit], address: LinkBase) -> str:
    """The sections that answer a question, or a sentence that the documents do not cover it."""
    if not hits:
        return f"The team's documents do not cover {code(plain(question, 200))}."
    parts = [f"What the team's documents say about {code(plain(question, 200))}:"]
    return "\n\n".join([*parts, *(_section(hit.standard, address) for hit in hits)])


def _section(standard: Standard, address: LinkBase) -> str:
    words = "\n".join(standard.text.strip().split("\n")[:12])
    return f"**{link(standard, address)}**\n\n{quoted(words)}"


def link(standard: Standard, address: LinkBase) -> str:
    """A section's name with its address."""
    to, title = address.standard(standard), plain(f"{standard.document} > {standard.title}", 160)
    return f"[{title}]({to})" if to.startswith("http") else f"{title} ({code(to)})"


def config(values: Iterable[PolicyValue], problems: Sequence[str]) -> str:
    """The settings of this pull request, each with its source, and the problems in the files."""
    rows = [f"| {one.name} | {code(one.value)} | {code(one.source)} |" for one in values]
    table = ["The settings on the base branch:", "", "| setting | value | from |", "|---|---|---|", *rows]
    wrong = ["", "Ignored settings:", "", *(f"- {plain(problem, 300)}" for problem in problems)] if problems else []
    return "\n".join([*table, *wrong])


def no_file_matches(paths: Sequence[str]) -> str:
    """For a review of paths that match no changed file."""
    return f"No changed file matches {', '.join(code(path[:200]) for path in paths[:NAMED])}."


def refused(reason: str) -> str:
    """The reply to a person who may not use commands; posted at most once a day."""
    return f"{plain(reason, 300)}. This notice is posted once a day."


def answered(text: str, cited: Sequence[CitedPlace], address: LinkBase, head: str, *, known: bool) -> str:
    """A model's answer with its confirmed sources; `known` is false if the model does not know the answer."""
    said = clean(text, repo_url=address.repo_url, limit=LONGEST)
    places = [f"- {_place(one, address, head)}" for one in cited]
    if not known:
        said = f"I do not know. {said}"
    elif not places:
        said = f"{said}\n\n<sub>No line of code and no section of a document could be confirmed as a source.</sub>"
    return "\n".join([said, "", *places]) if places else said


def proposal(check: str) -> str:
    """The note under an answer in which the model concedes: the finding stays, and a person may dismiss it."""
    who = f"The check {code(check)} found this; an answer of the model does not withdraw it. " if check else ""
    return f"<sub>{who}The finding is unchanged; `/assistant dismiss REASON` in this thread dismisses it.</sub>"


def _place(cited: CitedPlace, address: LinkBase, head: str) -> str:
    if cited.standard is not None:
        return f"📖 {link(cited.standard, address)}"
    where = code(f"{cited.path}:{cited.line}")
    if not address.repo_url:
        return where
    return f"[{where}]({address.repo_url}/blob/{head}/{quote(cited.path)}#L{cited.line})"


def not_lifted(reason: str) -> str:
    """Says that something of ours still blocks the merge, and who can end that."""
    return (
        "No open finding fails the check any more, but the failed check run or my request for changes could not be "
        f"withdrawn ({code(reason)}). A person who may dismiss reviews can do it on the pull request; "
        "`/assistant review` tries again."
    )


def explained(known: KnownFinding, standards: Sequence[Standard], address: LinkBase) -> str:
    """The stored data of a finding, and the text of the rules it cites."""
    rows = [
        ("finding", f"{plain(known.title)} ({known.severity.name.lower()}, {known.category.value})"),
        ("where", code(f"{known.path}:{known.line}" if known.line else known.path)),
        ("rule", code(kind_of(known.topic))),
        ("found by", plain(known.check, 60) if known.check else "a model"),
        ("first posted at", code(known.first_head[:10])),
        ("state", known.state.value),
    ]
    table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows if value)])
    return "\n\n".join([NO_MODEL, table, *(_section(standard, address) for standard in standards)])


def walkthrough(tour: WalkthroughFacts, head: str) -> str:
    """The walkthrough: the model's part if there is one, then the facts of the diff."""
    told = [] if tour.told is None else _told(tour.told, tour)
    rows = [f"| {code(one.name)} | {_names(one.files)} | +{one.added} | -{one.removed} |" for one in tour.areas]
    parts = [
        "### Walkthrough",
        *told,
        "\n".join(["| area | files | added | removed |", "|---|---|---|---|", *rows]),
        "\n".join(["**Risk**", "", *(f"- {risk}" for risk in tour.risks)]) if tour.risks else "",
        f"Not reviewed: {_names(tour.left_out)}." if tour.left_out else "",
        _diagram(tour.edges),
        f"<sub>As of {code(head[:10])}; `/assistant summary` updates it.</sub>" if head.strip("0") else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _told(told: Walkthrough, tour: WalkthroughFacts) -> list[str]:
    changed = {path for area in tour.areas for path in area.files}
    careful = [f"- Look closely: {_point(one, changed)}" for one in told.careful[:POINTS]]
    return [
        plain(told.sentence, 400),
        "\n".join([*(f"- {_point(one, changed)}" for one in told.points[:POINTS]), *careful]),
    ]


def _point(point: Point, changed: Collection[str]) -> str:
    """A point of the walkthrough; a file that is not part of the change is not named."""
    where = f"{code(point.path)}: " if point.path in changed else ""
    return f"{where}{plain(point.text, 300)}"


def _names(paths: Sequence[str]) -> str:
    shown = ", ".join(code(path) for path in paths[:NAMED])
    return shown + (f" and {len(paths) - NAMED} more" if len(paths) > NAMED else "")


def _diagram(edges: Sequence[tuple[str, str]]) -> str:
    """A diagram of which changed file imports which, from two arrows on."""
    if len(edges) < 2:  # noqa: PLR2004 - one arrow is a sentence, not a picture
        return ""
    nodes = {path: f"n{n}" for n, path in enumerate(dict.fromkeys(path for edge in edges for path in edge))}
    names = [f'  {node}["{re.sub(r"[^ -!#-;=?-_a-~]", "?", path)}"]' for path, node in nodes.items()]
    arrows = [f"  {nodes[one]} --> {nodes[other]}" for one, other in edges]
    return "\n".join(["```mermaid", "graph LR", *names, *arrows, "```"])


def status(
    reviews: Sequence[Mapping[str, Any]],
    findings: Sequence[KnownFinding],
    paused: str = "",
    balances: Sequence[Balance] = (),
) -> str:
    """The newest reviews, what is open, who paused it, what was spent and what is left."""
    quiet = f"\n\nPaused by {code(paused)}; use `/assistant resume` to continue." if paused else ""
    if not reviews:
        return "\n".join(["This pull request has not been reviewed yet.", *_money(balances)]) + quiet
    states = Counter(one.state for one in findings)
    lines = ["| head | trigger | outcome | posted | cost |", "|---|---|---|---|---|"]
    for row in reviews:
        dollars = row["detail"]["usage"]["dollars"]
        cost = "unknown" if dollars is None else f"${dollars:.4f}"
        posted = row["detail"]["posted"]
        lines.append(f"| {code(row['head'][:10])} | {row['trigger']} | {row['outcome']} | {posted} | {cost} |")
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none"
    return "\n".join([*lines, "", f"Findings: {counts}.", *_standing(findings), *_money(balances)]) + quiet


_SCOPES = {"pull": "this pull request", "repository": "this repository", "installation": "the installation"}


def spender(balance: Balance) -> str:
    """The scope of a balance and its days, in words."""
    days = f", {balance.days} day{'s' * (balance.days > 1)}" if balance.days else ""
    return (_SCOPES.get(balance.scope) or code(balance.person)) + days


def _money(balances: Sequence[Balance]) -> list[str]:
    """A table of what was spent, reservations included, and what is left."""
    rows = [
        f"| {spender(one)} | {one.tokens} | ${one.dollars:.2f} | {'no limit' if one.left is None else f'${one.left:.2f}'} |"
        for one in balances
    ]
    return ["", "| spent on | tokens | dollars | left |", "|---|---|---|---|", *rows] if rows else []


def _standing(findings: Iterable[KnownFinding]) -> list[str]:
    """A line for each finding that is open, with its short name."""
    found = sorted((one for one in findings if one.standing), key=lambda one: (one.path, one.line or 0, one.identity))
    rows = [f"- {named(one)}" for one in found[:LISTED]]
    more = [f"- … and {len(found) - LISTED} more"] if len(found) > LISTED else []
    return ["", *rows, *more] if rows else []


def named(one: KnownFinding) -> str:
    """A finding in one line: its short name, its place and its title."""
    where = code(f"{one.path}:{one.line}" if one.line else one.path)
    return f"{code(one.identity[:SHORT])} {where} {plain(one.title or kind_of(one.topic), 160)}"
