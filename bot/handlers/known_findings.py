"""Reads known findings, updates their comments, dismisses and reopens them, and records outcomes at the merge."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from bot.core.code.plan import CoverageRow
from bot.core.code.pull_request import Permission, PostedComment, PullRef, PullRequest
from bot.core.comments.comment import GATE_LIFTED, back, restated, told
from bot.core.comments.marker import Signer
from bot.core.comments.replies import not_lifted
from bot.core.findings.known import DismissedBy, FindingState, KnownFinding, pack, unpack
from bot.core.findings.lifecycle import with_outcomes
from bot.core.findings.muting import muted_topics
from bot.core.findings.others import ForeignComment, foreign_comments
from bot.core.findings.triage import GATES
from bot.core.policy import Policy
from bot.engine.journal import from_json
from bot.errors import Forbidden, NotFound, Refused, Superseded
from bot.handlers.check_runs import optional
from bot.handlers.read import PolicyFile, read_change, read_policy
from bot.interfaces import CodeHost, Publisher, Step
from bot.job import Job, Trigger
from bot.storage.audit import AuditLog
from bot.storage.figures import Figures, Window
from bot.storage.ledger import Ledger

ABOUT_KNOWN_FINDINGS = frozenset({Trigger.RESOLVED, Trigger.UNRESOLVED, Trigger.MERGED})
"""Triggers that this handler takes: events of threads and pull requests without a comment."""
UNCHANGED = "resolved without a change"
THUMBS_DOWN = "thumbs down"
THUMB_TAKEN_BACK = "thumbs down taken back"


@dataclass(frozen=True, slots=True)
class KnownState:
    """What is known before a review: findings, comments of others, muted topics, and what was read up to head `since`.

    `unreviewed` is what the rounds before left unread at the head of this review; None if there was no such round.
    """

    known: tuple[KnownFinding, ...] = ()
    others: tuple[ForeignComment, ...] = ()
    muted: dict[str, str] = field(default_factory=dict)
    since: str = ""
    seen: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unreviewed: tuple[CoverageRow, ...] | None = None


@dataclass(frozen=True, slots=True)
class KnownFindings:
    """The findings of pull requests. `resolves`: the App may resolve threads, which needs `contents: write` on GitHub."""

    host: CodeHost
    publisher: Publisher
    ledger: Ledger
    signer: Signer
    resolves: bool = False

    async def recall(self, pull: PullRequest, policy: Policy, job: Job) -> KnownState:
        """Returns what is known before a review. Findings that the ledger has lost are read from our signed markers.

        A dismissal by a thumbs down ends, and is logged for `job`, when the thumb is taken back.
        """
        kept = {finding.identity: finding for finding in await self.ledger.findings(pull.ref)}
        said = await self.host.comments(pull.ref) if kept or pull.review_comments else ()
        for comment in said:
            for finding in self._findings_in(pull.ref, comment):
                kept[finding.identity] = _with_thread(kept.get(finding.identity, finding), finding.comment, comment)
        resolved = await self._resolvers(pull.ref, kept.values(), policy)
        known = [
            _dismiss_if_resolved(
                await self._with_reactions(job, pull.ref, finding, said, policy), resolved.get(finding.comment, "")
            )
            for finding in kept.values()
        ]
        dismissed = {finding.identity: finding for finding in known if finding.state is FindingState.DISMISSED}
        known = [_dismiss_with(finding, dismissed.get(finding.group)) for finding in known]
        reviews = await self.ledger.reviews(pull.ref, limit=20)
        since, seen = _read_blocks(reviews)
        tallies = await Figures(self.ledger.database).tallies(Window(repos=(pull.ref.repo_id,)))
        muted = muted_topics(tallies, policy.unmute)
        return KnownState(tuple(known), foreign_comments(said), muted, since, seen, _unreviewed(reviews, pull))

    async def settle(self, pull: PullRequest, known: Sequence[KnownFinding]) -> tuple[KnownFinding, ...]:
        """Updates our comments to the state of the findings, and returns the findings. Raises Superseded.

        An edit sends no notification. A reply is posted only if a finding came back, or if it is fixed and people wrote
        in its thread.
        """
        news = [finding for finding in known if finding.comment and _is_news(finding, pull.head_sha)]
        if not news:
            return tuple(known)
        now = await self.host.pull_request(pull.ref)
        if now.closed or now.head_sha != pull.head_sha:
            raise Superseded(f"{pull.ref}: its head is {now.head_sha} now, or it was closed")
        said = await self.host.comments(pull.ref)
        for finding in news:
            await self._update_thread(pull.ref, finding, said)
        return tuple(replace(finding, shown=finding.state) if finding in news else finding for finding in known)

    async def dismiss(
        self, ref: PullRef, comment: int, by: str, reason: str, *, resolved: bool = False
    ) -> KnownFinding | None:
        """Dismisses the finding whose thread has `comment`; returns None if it is not our thread."""
        return await self._change(ref, comment, lambda finding: _dismiss(finding, by, reason, resolved=resolved))

    async def dismiss_unthreaded(
        self, ref: PullRef, identity: str, by: str, reason: str, *, resolved: bool = False
    ) -> KnownFinding | None:
        """Dismisses a finding that has no thread of its own."""
        return await self.ledger.change(ref, identity, lambda finding: _dismiss(finding, by, reason, resolved=resolved))

    async def reopen(self, ref: PullRef, comment: int) -> KnownFinding | None:
        """Takes a dismissal back; returns None if `comment` is not in our thread."""
        return await self._change(ref, comment, _reopen)

    async def lift(self, pull: PullRequest, policy: Policy, step: Step) -> str:
        """Ends what blocks the merge, after a dismissal, if no open finding fails the check run any more.

        Returns a sentence if GitHub does not let it.
        """
        gate = GATES[policy.fail_on]
        if gate is None:
            return ""

        async def lift_if_free() -> None:
            findings = await self.ledger.findings(pull.ref)
            if not any(finding.standing and finding.severity >= gate for finding in findings):
                await self.publisher.lift(pull, GATE_LIFTED)

        trouble = await optional(step, "lifted", lift_if_free)
        return not_lifted(trouble) if trouble else ""

    async def __call__(self, job: Job, step: Step) -> str:
        """Handles a thread that an authorised person resolved or reopened, or a merged pull request."""
        match job.trigger:
            case Trigger.RESOLVED:
                dismissal = partial(self.dismiss, job.pull, job.comment, job.actor, UNCHANGED, resolved=True)
                if await step("kept", lambda: self._logged(job, dismissal(), "dismissed"), str):
                    pull = await step("pull", lambda: self.host.pull_request(job.pull), PullRequest)
                    policy = await step("policy", lambda: read_policy(self.host, pull), PolicyFile)
                    await self.lift(pull, policy.policy, step)
            case Trigger.UNRESOLVED:
                await step("kept", lambda: self._logged(job, self.reopen(job.pull, job.comment), "reopened"), str)
            case _:
                await step("outcomes", lambda: self._record_outcomes(job), int)
        return job.trigger.value

    async def _logged(self, job: Job, change: Awaitable[KnownFinding | None], what: str) -> str:
        """Makes a change of a finding and logs it; returns the finding's identity, empty if the thread is not ours."""
        changed = await _identity_of(change)
        if changed:
            await AuditLog(self.ledger.database).append(job, what, UNCHANGED, finding=changed)
        return changed

    async def _record_outcomes(self, job: Job) -> int:
        """Records the outcome of each finding; returns their number."""
        pull = job.seen or await self.host.pull_request(job.pull)
        policy = (await read_policy(self.host, pull)).policy
        known = (await self.recall(pull, policy, job)).known
        if known:
            change = await read_change(self.host, pull, policy, lambda _: True)
            await self.ledger.keep(pull.ref, with_outcomes(known, change.diff, change.heads))
        return len(known)

    def _findings_in(self, ref: PullRef, said: PostedComment) -> list[KnownFinding]:
        """Returns the findings in the signed markers of our comment or review."""
        found = [unpack(name, text) for name, text in self.signer.details(ref, "finding", said.body) if said.by_us]
        comment = said.id if said.kind == "inline" else 0
        return [replace(finding, comment=comment) for finding in found if finding]

    async def _with_reactions(
        self, job: Job, ref: PullRef, finding: KnownFinding, said: Sequence[PostedComment], policy: Policy
    ) -> KnownFinding:
        """Returns the finding, dismissed as long as an authorised person gives our comment a thumbs down."""
        comment = next((posted for posted in said if posted.id == finding.comment), None)
        down = finding.state is FindingState.DISMISSED and finding.dismissed_by is DismissedBy.REACTION
        if comment is None or not (finding.standing or down):
            return finding
        for login in await self.host.thumbs_down(ref, comment.id) if comment.thumbs_down else ():
            if await self._may(ref, login, policy):
                return finding if down else _dismiss_by_reaction(finding, login)
        if not down:
            return finding
        what, who = f"reopened {finding.identity}", {"by": finding.by, "how": DismissedBy.REACTION}
        await AuditLog(self.ledger.database).append(job, what, THUMB_TAKEN_BACK, finding=finding.identity, **who)
        await self.reopen(ref, comment.id)
        return replace(_reopen(finding), shown=FindingState.OPEN)

    async def _resolvers(self, ref: PullRef, known: Collection[KnownFinding], policy: Policy) -> dict[int, str]:
        """Returns the authorised persons who resolved our threads, by comment. A webhook may be lost, so this reads them."""
        if not any(finding.comment and not finding.resolved for finding in known):
            return {}
        try:
            resolved = await self.host.resolved(ref)
        except Refused:
            return {}
        new = {finding.comment for finding in known if not finding.resolved} & resolved.keys()
        heeded = {by for by in {resolved[comment] for comment in new} if await self._may(ref, by, policy)}
        return {comment: resolved[comment] for comment in new if resolved[comment] in heeded}

    async def _may(self, ref: PullRef, login: str, policy: Policy) -> bool:
        try:
            return await self.host.permission(ref, login) >= Permission[policy.minimum_permission.upper()]
        except (NotFound, Forbidden):
            return False

    async def _change(
        self, ref: PullRef, comment: int, change: Callable[[KnownFinding], KnownFinding]
    ) -> KnownFinding | None:
        said = await self.host.comments(ref)
        root = next((finding.in_reply_to or finding.id for finding in said if finding.id == comment), comment)
        ours = [finding for comment in said if comment.id == root for finding in self._findings_in(ref, comment)]
        if not ours:
            return None
        before = next(
            (finding for finding in await self.ledger.findings(ref) if finding.identity == ours[0].identity), ours[0]
        )
        await self.ledger.keep(ref, [replace(before, comment=root)])
        after = await self.ledger.change(ref, before.identity, change)
        for member in await self.ledger.findings(ref):
            if member.group == before.identity:
                await self.ledger.change(ref, member.identity, change)
        if after is not None:
            await self._edit(ref, after, said)
            after = await self.ledger.change(
                ref, before.identity, lambda finding: replace(finding, shown=finding.state)
            )
        return after

    async def _update_thread(self, ref: PullRef, finding: KnownFinding, said: Sequence[PostedComment]) -> None:
        thread = [comment for comment in said if finding.comment in {comment.id, comment.in_reply_to}]
        await self._edit(ref, finding, said)
        if finding.standing and finding.shown not in {FindingState.OPEN, FindingState.MOVED}:
            await self._answer(ref, finding, back(finding))
        elif finding.state is FindingState.FIXED and not all(comment.by_bot for comment in thread):
            await self._answer(ref, finding, told(finding))
        if self.resolves and not finding.standing and finding.state is not FindingState.DISMISSED:
            await self.publisher.resolve(ref, finding.comment)

    async def _edit(self, ref: PullRef, finding: KnownFinding, said: Sequence[PostedComment]) -> None:
        body = next((comment.body for comment in said if comment.id == finding.comment), "")
        edited = restated(body, finding, self.signer.mark(ref, "finding", finding.identity, pack(finding)))
        if body and edited != body:
            await self.publisher.edit(ref, finding.comment, edited)

    async def _answer(self, ref: PullRef, finding: KnownFinding, words: str) -> None:
        key = self.signer.mark(
            ref, "reply", self.signer.name("fate", finding.identity, finding.state.value, finding.head)
        )
        await self.publisher.answer(ref, finding.comment, f"{words}\n\n{key}", key)


def _dismiss(finding: KnownFinding, by: str, reason: str, *, resolved: bool) -> KnownFinding:
    """Returns the finding as a person dismissed it. A fixed finding stays fixed and keeps who resolved its thread.

    Resolving the thread of a dismissed or superseded finding changes nothing.
    """
    if finding.state is FindingState.SUPERSEDED or (resolved and finding.state is FindingState.DISMISSED):
        return finding
    if finding.state is FindingState.FIXED:
        return replace(finding, resolved=by if resolved else finding.resolved)
    how = DismissedBy.THREAD if resolved else DismissedBy.COMMAND
    return replace(
        finding,
        state=FindingState.DISMISSED,
        by=by,
        reason=reason,
        dismissed_by=how,
        resolved=by if resolved else "",
    )


def _dismiss_by_reaction(finding: KnownFinding, by: str) -> KnownFinding:
    """Returns the finding, dismissed by a thumbs down of `by`."""
    return replace(finding, state=FindingState.DISMISSED, by=by, reason=THUMBS_DOWN, dismissed_by=DismissedBy.REACTION)


def _reopen(finding: KnownFinding) -> KnownFinding:
    if finding.state is not FindingState.DISMISSED:
        return replace(finding, resolved="", dismissed_by=None)
    return replace(finding, state=FindingState.OPEN, by="", reason="", dismissed_by=None, resolved="")


def _dismiss_if_resolved(finding: KnownFinding, by: str) -> KnownFinding:
    """Returns the finding, dismissed if `by` resolved its thread; `by` may be empty."""
    return _dismiss(finding, by, UNCHANGED, resolved=True) if by else finding


def _dismiss_with(finding: KnownFinding, first: KnownFinding | None) -> KnownFinding:
    """Returns the finding, dismissed like the one whose comment lists its place."""
    if first is None or not finding.standing:
        return finding
    there = replace(finding, state=FindingState.DISMISSED, by=first.by, reason=first.reason)
    return replace(there, dismissed_by=first.dismissed_by, resolved=first.resolved)


def _with_thread(finding: KnownFinding, thread: int, comment: PostedComment) -> KnownFinding:
    """Returns the finding with its thread, and with the line to which GitHub moved the comment within the file."""
    follows = comment.line and comment.path == finding.path
    return replace(finding, comment=thread, line=comment.line if follows else finding.line)


def _is_news(finding: KnownFinding, head: str) -> bool:
    return finding.state is not finding.shown or (finding.state is FindingState.MOVED and finding.head == head)


async def _identity_of(changed: Awaitable[KnownFinding | None]) -> str:
    finding = await changed
    return finding.identity if finding else ""


def _read_blocks(reviews: Iterable[Mapping[str, Any]]) -> tuple[str, dict[str, tuple[str, ...]]]:
    """Returns the last head that a model read, and what it has read so far. `reviews` are rows, newest first."""
    for review in reviews:
        if seen := review["detail"].get("seen"):
            return review["head"], {path: tuple(names) for path, names in seen.items()}
    return "", {}


def _unreviewed(reviews: Iterable[Mapping[str, Any]], pull: PullRequest) -> tuple[CoverageRow, ...] | None:
    """Returns what the last review of this head left unread; None without one, or one of an older version.

    A review against another base branch read another diff, so it does not count.
    """
    last = next((review["detail"] for review in reviews if review["head"] == pull.head_sha), None)
    if last is None or "unreviewed" not in last or last.get("base") != pull.base_ref:
        return None
    return tuple(from_json(row, CoverageRow) for row in last["unreviewed"])
