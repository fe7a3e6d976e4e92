"""Review -> CheckRun: coverage, findings, dropped drafts with reasons, and the conclusion that follows from them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from bot.core.claims.requirements import JudgedPoint
from bot.core.code.language import written_name
from bot.core.code.plan import CoverageRow, FileState
from bot.core.code.pull_request import PullRequest
from bot.core.comments.comment import CHECKS_ONLY, code
from bot.core.comments.post import Annotation, CheckRun, Conclusion
from bot.core.comments.sanitize import plain
from bot.core.findings.anchor import Place
from bot.core.findings.finding import Finding, Severity
from bot.core.findings.standard import RuleLook, RuleState
from bot.core.findings.triage import Review

NOT_REVIEWED = "Not reviewed"
"""The title of a check run whose review did not happen."""
ACTIONS = (
    ("Re-run", "Review the changes again", "rerun"),
    ("Full review", "Review the whole pull request again", "full"),
)
_LEVEL = {Severity.ERROR: "failure", Severity.WARNING: "warning", Severity.NOTE: "notice"}
_MOST_ROWS = 300
UNCERTAIN = (
    "The model claims these problems, but a second look could neither confirm nor refute them. A person should decide."
)
_MOST_DROPPED = 60
_MOST_FOUND = 300
_MOST_RULES = 200


def check_key(pull: PullRequest, job: str) -> str:
    """The `external_id` of the check run of one job at a head: it leads back to the pull request even from a fork.

    Each review of a head has a check run of its own: a finished run is never moved back.
    """
    digest = hashlib.sha256(job.encode()).hexdigest()[:16]
    return f"review/{pull.ref.repo_id}/{pull.ref.number}/{pull.head_sha}/{digest}"


def waiting(key: str) -> CheckRun:
    """The check run before a worker took the job."""
    return CheckRun(key, "queued", "Waiting for a worker", "The review will start as soon as a worker is free.")


def started(key: str) -> CheckRun:
    """The check run while the review runs."""
    return CheckRun(key, "in_progress", "Review in progress", "The review is running.")


def held(key: str, reason: str, until: str) -> CheckRun:
    """The check run while the review waits; `until` is the time of the next attempt."""
    words = f"{plain(reason, 800).rstrip('. ')}. The review is tried again at {until} and goes on by itself."
    return CheckRun(key, "in_progress", "Waiting to be tried again", words)


def lost(key: str) -> CheckRun:
    """The check run of a review that no process works on any more."""
    return stopped(key, "The work on this review was lost. A new review was started.")


def stopped(key: str, reason: str) -> CheckRun:
    """The check run of a review that did not happen: neutral, with the reason, never green."""
    return CheckRun(key, "completed", NOT_REVIEWED, plain(reason, 1000), "", Conclusion.NEUTRAL, (), ACTIONS)


def failed(key: str, reason: str) -> CheckRun:
    """The check run of a review that failed: neutral, with the reason and what starts it again."""
    words = f"The review failed: {plain(reason, 800).rstrip('. ')}. The next push, Re-run or `/assistant review` starts it again."
    return CheckRun(key, "completed", NOT_REVIEWED, words, "", Conclusion.NEUTRAL, (), ACTIONS)


def queued_to_merge(key: str) -> CheckRun:
    """The check run of a merge queue's candidate: neutral at once, so that a required check never holds up the queue."""
    words = "The pull request was reviewed before it entered the queue; see its own check run."
    return CheckRun(key, "completed", "Reviewed before the queue", words, "", Conclusion.NEUTRAL)


def concluded(review: Review, key: str, posted: str = "") -> CheckRun:
    """The check run of a finished review. `posted` is the address of the review on the pull request, if there is one."""
    return CheckRun(
        key=key,
        status="completed",
        title=title(review),
        summary=summary(review, posted),
        text=text(review),
        conclusion=conclusion(review),
        annotations=tuple(_annotation(finding) for finding in review.listed[:_MOST_FOUND] if finding.anchor.line),
        actions=ACTIONS,
    )


def in_place_of(run: CheckRun) -> CheckRun:
    """The check run that follows one which GitHub does not let us change, and says which of the two counts."""
    words = "GitHub did not accept a change of the earlier check run of this review, which may still be shown as waiting or running. This one counts."
    return replace(run, summary=f"{run.summary}\n\n{words}")


def as_comment(run: CheckRun) -> str:
    """The text of a check run that GitHub did not accept, for a comment."""
    return f"GitHub did not accept the check run of this review. Its text:\n\n**{run.title}**\n\n{run.summary}"


def since(commit: str, files: int) -> tuple[str, ...]:
    """The notice that a model read only what is new since an earlier head; empty without such a head."""
    if not commit:
        return ()
    what = "nothing" if not files else f"{files} file{'' if files == 1 else 's'} with changes"
    return (f"Since {code(commit[:7])}, the model read {what}; `/assistant review full` reads everything again.",)


def conclusion(review: Review) -> Conclusion:
    """FAILURE if the policy's `fail_on` says so. SUCCESS only if all was reviewed, by a model too, and no finding is open.

    Else NEUTRAL, which blocks no merge.
    """
    if review.failing:
        return Conclusion.FAILURE
    complete = review.coverage.complete and bool(review.model)
    quiet = not (review.findings or review.listed or review.said or review.uncertain)
    return Conclusion.SUCCESS if complete and quiet else Conclusion.NEUTRAL


def title(review: Review) -> str:
    """One line for the list of checks."""
    found, again = len(review.findings) + len(review.listed), len(review.said)
    words = f"{found} new finding{'' if found == 1 else 's'}" if found else "No new findings"
    if again:
        words += f", {again} still open"
    failed = sum(row.state is FileState.FAILED for row in (*review.coverage.files, *review.coverage.passes))
    if failed:
        words += f", {failed} not reviewed"
    limited = sum(bool(row.unanalysed) for row in review.coverage.files)
    if limited and not review.model:
        words += f", {limited} without an analyser"
    return words if review.model else f"{words} (checks only)"


def limits(row: CoverageRow) -> str:
    """What limits the look at a file that no analyser reads."""
    return f"secrets and patterns only: no analyser for {written_name(row.unanalysed)}"


def summary(review: Review, posted: str = "") -> str:
    """The summary: the title, notices, remarks and the address of the review."""
    lines = [f"{title(review)}."]
    if not review.model:
        lines.append(CHECKS_ONLY)
    if review.gate is not None and review.failing:
        failing = f"{review.failing} open finding{'' if review.failing == 1 else 's'}"
        lines.append(f"The check failed: {failing} of severity {review.gate.name.lower()} or above (`fail_on`).")
    lines += review.notices
    lines += [f"- {remark}" for remark in review.remarks]
    if review.uncertain:
        count = len(review.uncertain)
        lines.append(f"{count} uncertain claim{'' if count == 1 else 's'} of a grave problem: see “Worth a look”.")
    if posted:
        lines.append(f"[The review on the pull request]({posted})")
    return "\n\n".join(lines)


def text(review: Review) -> str:
    """The details, as Markdown."""
    parts = [
        _section("Findings", _findings((*review.findings, *review.listed))),
        _section("Worth a look", _uncertain(review)),
        _section("Coverage", _coverage(review.coverage.files)),
        _section("Checks and passes", _coverage(review.coverage.passes)),
        _section("Considered and not posted", _dropped(review)),
        _rules(review.rule_states),
        _section("Cost", _cost(review)),
    ]
    return "\n\n".join(part for part in parts if part)


def requirement(judged: JudgedPoint) -> str:
    """The result for one point of a linked issue, with the line that implements it if there is one."""
    where = f" ({code(f'{judged.path}:{judged.line}')})" if judged.path else ""
    reason = f": {plain(judged.reason, 300)}" if judged.reason else ""
    return f"#{judged.point.issue} {plain(judged.point.text, 200)}: **{judged.status}**{where}{reason}"


def _section(heading: str, lines: Iterable[str]) -> str:
    rows = list(lines)
    return "\n".join([f"### {heading}", "", *rows]) if rows else ""


def _findings(found: tuple[Finding, ...]) -> list[str]:
    lines = [_finding(finding) for finding in found[:_MOST_FOUND]]
    more = len(found) - _MOST_FOUND
    return [*lines, f"- … and {more} more"] if more > 0 else lines


def _finding(finding: Finding) -> str:
    place, draft = finding.anchor, finding.draft
    where = code(f"{place.path}:{place.line}" if place.line else place.path)
    note = f" ({plain(place.why)})" if place.place is not Place.INLINE and place.why else ""
    link = f" ([posted here]({finding.elsewhere}))" if finding.elsewhere.startswith("http") else ""
    return f"- **{draft.severity.name.lower()}** {where} {plain(draft.title)}{note}{link}"


def _coverage(rows: tuple[CoverageRow, ...]) -> list[str]:
    if not rows:
        return []
    order = {FileState.FAILED: 0, FileState.REVIEWED: 1, FileState.SKIPPED: 2}
    ranked = sorted(rows, key=lambda row: order[row.state])
    table = ["| | what | by or why |", "|---|---|---|"]
    for row in ranked[:_MOST_ROWS]:
        why = _cell(row.reason) or ", ".join(row.by)
        if row.unanalysed:
            why += f" ({limits(row)})"
        table.append(f"| {row.state.value} | {code(row.path)} | {why} |")
    if len(rows) > _MOST_ROWS:
        counts = ", ".join(
            f"{sum(row.state is state for row in ranked[_MOST_ROWS:])} {state.value}" for state in FileState
        )
        table.append(f"| … | {len(rows) - _MOST_ROWS} more | {counts} |")
    return table


def _rules(states: tuple[RuleState, ...]) -> str:
    """A folded table of the team's rules in scope, those first that a finding cites."""
    if not states:
        return ""
    counts = Counter(state.look for state in states)
    words = ", ".join(f"{counts[look]} {look.value}" for look in RuleLook if counts[look])
    ranked = sorted(states, key=lambda state: [*RuleLook].index(state.look))
    rows = [f"| {code(state.id)} | {state.look.value} | {_cell(state.why)} |" for state in ranked[:_MOST_RULES]]
    if more := len(states) - _MOST_RULES if len(states) > _MOST_RULES else 0:
        rows.append(f"| … | {more} more | |")
    table = "\n".join(["| rule | | why |", "|---|---|---|", *rows])
    return f"<details>\n<summary>Rules in scope: {words}</summary>\n\n{table}\n\n</details>"


def _cell(text: str) -> str:
    return plain(text, 200).replace("|", "\\|")


def _uncertain(review: Review) -> list[str]:
    """Grave claims that a second look could neither confirm nor refute."""
    rows = [
        f"- {code(f'{draft.path}:{draft.near}' if draft.near else draft.path)} {plain(draft.title)}: {plain(draft.why, 300)}"
        for draft, _ in review.uncertain
    ]
    return [UNCERTAIN, "", *rows] if rows else []


def _dropped(review: Review) -> list[str]:
    lines = [
        f"- {code(draft.path)} {plain(draft.title)}: {plain(reason, 200)}"
        for draft, reason in review.dropped[:_MOST_DROPPED]
    ]
    more = len(review.dropped) - _MOST_DROPPED
    return [*lines, f"- … and {more} more"] if more > 0 else lines


def _cost(review: Review) -> list[str]:
    usage = review.usage
    if not usage.calls:
        return []
    price = "cost unknown" if usage.dollars is None else f"${usage.dollars:.4f}"
    versions = ", ".join(f"{name} {version}" for name, version in review.versions)
    calls = f"{usage.calls} model calls, {usage.tool_calls} tool calls"
    tokens = f"{usage.input} tokens in ({usage.cached} cached), {usage.output} out"
    return [
        f"{calls}; {tokens}; {price}; model {code(review.model)}.",
        *([f"Prompts: {versions}."] if versions else []),
    ]


def _annotation(finding: Finding) -> Annotation:
    place, draft = finding.anchor, finding.draft
    line = place.line or 1
    return Annotation(
        place.path, place.start or line, line, _LEVEL[draft.severity], plain(draft.title, 255), plain(draft.why, 2000)
    )
