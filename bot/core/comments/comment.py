"""Finding, Review -> Markdown: the comments of a review, and their update when a finding is fixed, moved or dismissed."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

from bot.core.code.diff import Side
from bot.core.code.plan import FileState
from bot.core.code.pull_request import PullRequest
from bot.core.code.syntax import has_grammar
from bot.core.comments.post import Comment
from bot.core.comments.sanitize import clean, plain, show_hidden
from bot.core.findings.anchor import Anchor, Place
from bot.core.findings.finding import Draft, Finding, Severity
from bot.core.findings.known import DismissedBy, FindingState, KnownFinding
from bot.core.findings.standard import ARCHIVES, Standard, verify_quote
from bot.core.findings.suggestion import fence
from bot.core.findings.triage import Review

_LINE = "<!-- assistant:state -->"
_MARKERS = "<!-- assistant:v1"
_MOST_PLACES = 20
_OVER = frozenset({FindingState.FIXED, FindingState.DISMISSED, FindingState.OUTDATED, FindingState.SUPERSEDED})


def told(one: KnownFinding) -> str:
    """The line that states what became of a finding; empty while it is open at its first place."""
    sha = code(one.head[:7])
    match one.state:
        case FindingState.FIXED:
            return f"**Fixed** in {sha}" + (f": {plain(one.reason, 200)}" if one.reason else ".")
        case FindingState.OUTDATED:
            return f"**Outdated** since {sha}: this code is no longer part of the change."
        case FindingState.SUPERSEDED:
            return f"**Posted again** in a newer comment: the code became worse in {sha}."
        case FindingState.MOVED:
            return f"**Moved** to {code(f'{one.path}:{one.line}')} in {sha}; still open."
        case FindingState.DISMISSED:
            by = f" by {code(one.by)}" if one.by else ""
            done = "Resolved" if one.dismissed_by is DismissedBy.THREAD else "Dismissed"
            return f"**{done}**{by}" + (f": {plain(one.reason, 200)}" if one.reason else ".")
    return ""


def restated(body: str, one: KnownFinding, mark: str) -> str:
    """Our comment with the current state of the finding; an earlier state is replaced."""
    paragraphs = body.partition(_MARKERS)[0].replace("\r\n", "\n").rstrip().split("\n\n")
    title, *rest = [paragraph for paragraph in paragraphs if not paragraph.endswith(_LINE)]
    title = title.removeprefix("~~").removesuffix("~~")
    line = told(one)
    head = [f"~~{title}~~" if one.state in _OVER else title, *([f"{line} {_LINE}"] if line else [])]
    return "\n\n".join([*head, *rest, mark])


def back(one: KnownFinding) -> str:
    """The reply in the thread of a finding that was fixed and is open again."""
    return (
        f"This problem is back in {code(one.head[:7])}, at {code(f'{one.path}:{one.line}' if one.line else one.path)}."
    )


_ICON = {Severity.ERROR: "🔴", Severity.WARNING: "🟠", Severity.NOTE: "🔵"}
_WORD = {Severity.ERROR: "Error", Severity.WARNING: "Warning", Severity.NOTE: "Note"}
CHECKS_ONLY = "Checks only: no model was configured; logic, design and cross-file effects were not reviewed."
HOW_TO_ANSWER = (
    "<sub>Reply in a thread to discuss a finding. `/assistant dismiss REASON` in its thread, or 👎, drops it for good. "
    "`/assistant help` lists all commands.</sub>"
)
"""Ends the first review of a pull request."""
REQUESTS_CHANGES = "An open finding fails the check (`fail_on`). A request for changes is withdrawn when each such finding is fixed or dismissed."
GATE_LIFTED = "No open finding fails the check any more: each was fixed or dismissed."
"""Ends a failed check run and a request for changes."""


@dataclass(frozen=True, slots=True)
class LinkBase:
    """The addresses for links: the repository, the pull request, and the commit at which standards were read."""

    repo_url: str = ""
    standards_commit: str = ""
    pull_url: str = ""

    @classmethod
    def of(cls, pull: PullRequest) -> LinkBase:
        """The addresses for a review of `pull`."""
        return cls(pull.url.partition("/pull/")[0], pull.base_sha, pull.url if "/pull/" in pull.url else "")

    def changed_file(self, path: str, line: int | None = None, side: Side = Side.RIGHT) -> str:
        """The address of a file, or of one of its lines, in the diff of the pull request."""
        anchor = hashlib.sha256(path.encode(errors="replace")).hexdigest()
        return f"{self.pull_url}/files#diff-{anchor}" + (f"{side.value[0]}{line}" if line else "")

    def standard(self, standard: Standard, words: str = "") -> str:
        """A permalink to the lines of `words` in a section, or to the section; its path and line where there is no page.

        A Word document has no lines to link to, a PDF has pages. Other repositories' documents are on the same server.
        """
        exact = verify_quote(words, [standard]) if words else None
        start, end = (exact.start, exact.end) if exact else (standard.start, standard.end)
        suffix = PurePosixPath(standard.document).suffix.lower()
        if not self.repo_url:
            place = f"{standard.repo}:{standard.document}" if standard.repo else standard.document
            return place if suffix in ARCHIVES else f"{place}:{start}"
        home = f"{self.repo_url.rsplit('/', 2)[0]}/{standard.repo}" if standard.repo else self.repo_url
        page = f"{home}/blob/{standard.commit or self.standards_commit}/{quote(standard.document)}"
        if suffix in ARCHIVES:
            return f"{page}#{standard.anchor}" if standard.anchor.startswith("page=") else page
        return f"{page}?plain=1#L{start}-L{end}"


def inline(finding: Finding, address: LinkBase, mark: str) -> Comment:
    """The comment for a finding whose anchor is inline."""
    place = finding.anchor
    many = place.start is not None and place.start != place.line
    return Comment(
        path=place.path,
        body=body(finding, address, mark),
        line=place.line or 1,
        side=place.side.value,
        start_line=place.start if many else None,
        start_side=place.side.value if many else None,
    )


def body(finding: Finding, address: LinkBase, mark: str = "") -> str:
    """The text of a finding: the problem, why it matters, the rule it breaks, a suggestion, and the hidden marker last."""
    draft = finding.draft
    parts = [f"{_ICON[draft.severity]} **{_WORD[draft.severity]}: {plain(draft.title)}**", plain(finding.again, 300)]
    parts += [clean(draft.why), _places(finding, address)]
    parts += [_cite(standard, address, draft.standard_quote) for standard in finding.standards[:2]]
    if finding.suggestion is not None:
        parts += [fence(finding.suggestion, "suggestion"), _proof(finding)]
    parts.append(_source(draft))
    return "\n\n".join([part for part in parts if part] + ([mark] if mark else []))


def _places(finding: Finding, address: LinkBase) -> str:
    """The other places of the same mistake, with links into the diff."""
    if not finding.places:
        return ""
    shown = [_place(place, address) for place in finding.places[:_MOST_PLACES]]
    more = len(finding.places) - len(shown)
    return f"The same problem at {', '.join(shown)}" + (f" and {more} more {_plural('place', more)}." if more else ".")


def _place(place: Anchor, address: LinkBase) -> str:
    name = code(f"{place.path}:{place.line}" if place.line else place.path)
    return f"[{name}]({address.changed_file(place.path, place.line, place.side)})" if address.pull_url else name


def _cite(standard: Standard, address: LinkBase, words: str) -> str:
    link = address.standard(standard, words)
    title = plain(f"{standard.document} > {standard.title}", 160)
    where = f"[{title}]({link})" if link.startswith("http") else f"{title} ({code(link)})"
    said = "\n".join(f"> {line}" for line in quoted(words).split("\n")) if words else ""
    return f"> 📖 {where}" + (f"\n{said}" if said else "")


def quoted(words: str) -> str:
    """A document's own words, unchanged, as a quotation: as prose where that is harmless, else as code."""
    harmless = clean(words, limit=len(words) + 1) == words
    return "\n".join(f"> {line}" for line in words.split("\n")) if harmless else fence(words, "text")


def _proof(finding: Finding) -> str:
    """The tests that a suggestion passed."""
    parsed = ", the file still parses" if has_grammar(finding.anchor.path) else ""
    checked = f", {' and '.join(finding.verified)} found nothing new" if finding.verified else ""
    return f"<sub>Tested on this commit: it applies to exactly these lines{parsed}{checked}.</sub>"


def _source(draft: Draft) -> str:
    rule = f"[{code(draft.rule)}]({draft.rule_url})" if draft.rule and draft.rule_url else code(draft.rule)
    also = f" · also found by {plain(', '.join(draft.seconds), 80)}" if draft.seconds else ""
    return f"<sub>{plain(draft.source, 60)}{' · ' + rule if draft.rule else ''} · {draft.category.value}{also}</sub>"


def review_body(review: Review, address: LinkBase, mark: str) -> str:
    """The body of a review: the counts, and in full the findings that have no line in the diff.

    GitHub's REST API takes no comments on whole files in a review. They stand in the body, so that there is one notification.
    """
    lines = [f"{_count(review)}. {_reach(review)}"]
    if not review.model:
        lines.append(CHECKS_ONLY)
    if review.requests_changes and review.failing:
        lines.append(REQUESTS_CHANGES)
    loose = [finding for finding in review.findings if finding.anchor.place is not Place.INLINE]
    lines += [f"**{_file(finding, address)}** {body(finding, address)}" for finding in loose]
    if not review.known:  # the first review of this pull request
        lines.append(HOW_TO_ANSWER)
    return "\n\n".join([*lines, mark])


def _file(finding: Finding, address: LinkBase) -> str:
    """The file of a finding without a line; a link to its diff where it is part of the change."""
    path = finding.anchor.path
    changed = finding.anchor.place is Place.FILE and address.pull_url
    return f"[{code(path)}]({address.changed_file(path)})" if changed else code(path)


def _count(review: Review) -> str:
    counts = review.by_severity
    words = [
        f"{counts[level]} {_plural(_WORD[level].lower(), counts[level])}" for level in sorted(counts, reverse=True)
    ]
    more = f"; {len(review.listed)} of them only in the check run" if review.listed else ""
    return f"**{', '.join(words)}**{more}" if words else "**No new findings**"


def _reach(review: Review) -> str:
    rows = review.coverage.files
    seen = sum(row.state is FileState.REVIEWED for row in rows)
    return f"{seen} of {len(rows)} {_plural('file', len(rows))} reviewed; the check run lists the rest and why."


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def code(text: str) -> str:
    """An untrusted string as an inline code span that it cannot break out of."""
    flat = " ".join(show_hidden(text).split()).replace("|", "\\|")
    if not flat:
        return ""
    longest = max((len(run) for run in re.findall(r"`+", flat)), default=0)
    ticks = "`" * (longest + 1)
    return f"{ticks} {flat} {ticks}" if longest else f"`{flat}`"
