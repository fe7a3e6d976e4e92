"""Findings that were said, kept up to date where people see them: recalled, edited, dismissed, settled at the merge."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from bot.core.code.pull_request import Permission, PostedComment, PullRef, PullRequest
from bot.core.comments import comment as fate
from bot.core.comments.marker import Signer
from bot.core.findings.known import FindingState, KnownFinding, packed, unpacked
from bot.core.findings.lifecycle import merged
from bot.core.findings.muting import muted
from bot.core.findings.others import ForeignComment, remarks
from bot.core.policy import Policy
from bot.errors import Forbidden, NotFound, Refused, Superseded
from bot.handlers.read import read_change, read_policy
from bot.interfaces import CodeHost, Publisher, Step
from bot.job import Job, Trigger
from bot.storage.ledger import Ledger

KEPT = frozenset({Trigger.RESOLVED, Trigger.UNRESOLVED, Trigger.MERGED})
"""What happens to threads and pull requests without a word being said."""
UNCHANGED = "resolved without a change"
THUMBS_DOWN = "thumbs down"


@dataclass(frozen=True, slots=True)
class KnownState:
    """What earlier rounds left: findings, what others said on lines, muted topics, and what `since` has read."""

    known: tuple[KnownFinding, ...] = ()
    others: tuple[ForeignComment, ...] = ()
    muted: dict[str, str] = field(default_factory=dict)
    since: str = ""
    seen: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KnownFindings:
    """`resolves` says that the App may resolve threads, for which GitHub wants `contents: write`."""

    host: CodeHost
    publisher: Publisher
    ledger: Ledger
    signer: Signer
    resolves: bool = False

    async def recall(self, pull: PullRequest, policy: Policy) -> KnownState:
        """What is known before a review. What the ledger has lost is read from our own signed markers."""
        kept = {one.identity: one for one in await self.ledger.findings(pull.ref)}
        said = await self.host.said(pull.ref) if kept or pull.review_comments else ()
        for comment in said:
            for one in self._marked(pull.ref, comment):
                kept[one.identity] = _placed(kept.get(one.identity, one), one.comment, comment)
        resolved = await self._resolved(pull.ref, kept.values(), policy)
        known = [
            _resolved(await self._judged(pull.ref, one, said, policy), resolved.get(one.comment, ""))
            for one in kept.values()
        ]
        since, seen = await self._read(pull.ref)
        tallies = await self.ledger.tallies(pull.ref.repo_id)
        return KnownState(tuple(known), remarks(said), muted(tallies, policy.unmute), since, seen)

    async def settle(self, pull: PullRequest, known: Sequence[KnownFinding]) -> tuple[KnownFinding, ...]:
        """Show on our own comments what became of the findings; as they are then known. Raises Superseded.

        Quiet: an edit notifies nobody. Only what came back, and a fix in a thread that people joined, gets a reply.
        """
        news = [one for one in known if one.comment and _is_news(one, pull.head_sha)]
        if not news:
            return tuple(known)
        now = await self.host.pull_request(pull.ref)
        if now.closed or now.head_sha != pull.head_sha:
            raise Superseded(f"{pull.ref}: its head is {now.head_sha} now, or it was closed")
        said = await self.host.said(pull.ref)
        for one in news:
            await self._tell(pull.ref, one, said)
        return tuple(replace(one, shown=one.state) if one in news else one for one in known)

    async def dismiss(
        self, ref: PullRef, comment: int, by: str, reason: str, *, resolved: bool = False
    ) -> KnownFinding | None:
        """Dismiss the finding whose thread has `comment`; None if that is no thread of ours."""
        return await self._change(ref, comment, lambda one: _dismissed(one, by, reason, resolved=resolved))

    async def dismiss_unthreaded(
        self, ref: PullRef, identity: str, by: str, reason: str, *, resolved: bool = False
    ) -> KnownFinding | None:
        """The same for a finding that hangs on no line: no comment tells of it."""
        return await self.ledger.change(ref, identity, lambda one: _dismissed(one, by, reason, resolved=resolved))

    async def reopen(self, ref: PullRef, comment: int) -> KnownFinding | None:
        """Take a dismissal back; None if `comment` is in no thread of ours."""
        return await self._change(ref, comment, _reopened)

    async def __call__(self, job: Job, step: Step) -> str:
        """A thread was resolved or reopened by somebody who may command, or the pull request was merged."""
        match job.trigger:
            case Trigger.RESOLVED:
                await step(
                    "kept", lambda: _name(self.dismiss(job.pull, job.comment, job.actor, UNCHANGED, resolved=True)), str
                )
            case Trigger.UNRESOLVED:
                await step("kept", lambda: _name(self.reopen(job.pull, job.comment)), str)
            case _:
                await step("outcomes", lambda: self._merged(job), int)
        return job.trigger.value

    async def _merged(self, job: Job) -> int:
        """Write down what had become of each finding; how many there were."""
        pull = job.seen or await self.host.pull_request(job.pull)
        policy = (await read_policy(self.host, pull)).policy
        known = (await self.recall(pull, policy)).known
        if known:
            change = await read_change(self.host, pull, policy, lambda _: True)
            await self.ledger.keep(pull.ref, merged(known, change.diff, change.heads))
        return len(known)

    def _marked(self, ref: PullRef, said: PostedComment) -> list[KnownFinding]:
        """The findings that a comment or a review of ours carries."""
        found = [unpacked(name, text) for name, text in self.signer.details(ref, "finding", said.body) if said.by_us]
        comment = said.id if said.kind == "inline" else 0
        return [replace(one, comment=comment) for one in found if one]

    async def _judged(
        self, ref: PullRef, one: KnownFinding, said: Sequence[PostedComment], policy: Policy
    ) -> KnownFinding:
        """Dismissed as long as somebody who may command gives our comment a thumbs down."""
        comment = next((each for each in said if each.id == one.comment), None)
        down = one.state is FindingState.DISMISSED and one.reason == THUMBS_DOWN
        if comment is None or not (one.standing or down):
            return one
        for login in await self.host.thumbs_down(ref, comment.id) if comment.thumbs_down else ():
            if await self._may(ref, login, policy):
                return one if down else replace(one, state=FindingState.DISMISSED, by=login, reason=THUMBS_DOWN)
        if not down:
            return one
        await self.reopen(ref, comment.id)
        return replace(_reopened(one), shown=FindingState.OPEN)

    async def _resolved(self, ref: PullRef, known: Collection[KnownFinding], policy: Policy) -> dict[int, str]:
        """Who resolved our threads, of those who may command: GitHub does not send a webhook twice, so we look."""
        if not any(one.comment and not one.resolved for one in known):
            return {}
        try:
            resolved = await self.host.resolved(ref)
        except Refused:
            return {}
        new = {one.comment for one in known if not one.resolved} & resolved.keys()
        heeded = {by for by in {resolved[comment] for comment in new} if await self._may(ref, by, policy)}
        return {comment: resolved[comment] for comment in new if resolved[comment] in heeded}

    async def _may(self, ref: PullRef, login: str, policy: Policy) -> bool:
        try:
            return await self.host.permission(ref, login) >= Permission[policy.minimum_permission.upper()]
        except (NotFound, Forbidden):
            return False

    async def _read(self, ref: PullRef) -> tuple[str, dict[str, tuple[str, ...]]]:
        """The last head that a model read, and what it has read by now."""
        for review in await self.ledger.reviews(ref, limit=20):
            if seen := review["detail"].get("seen"):
                return review["head"], {path: tuple(names) for path, names in seen.items()}
        return "", {}

    async def _change(
        self, ref: PullRef, comment: int, change: Callable[[KnownFinding], KnownFinding]
    ) -> KnownFinding | None:
        said = await self.host.said(ref)
        root = next((one.in_reply_to or one.id for one in said if one.id == comment), comment)
        ours = [one for each in said if each.id == root for one in self._marked(ref, each)]
        if not ours:
            return None
        before = next((one for one in await self.ledger.findings(ref) if one.identity == ours[0].identity), ours[0])
        await self.ledger.keep(ref, [replace(before, comment=root)])
        after = await self.ledger.change(ref, before.identity, change)
        if after is not None:
            await self._edit(ref, after, said)
            after = await self.ledger.change(ref, before.identity, lambda one: replace(one, shown=one.state))
        return after

    async def _tell(self, ref: PullRef, one: KnownFinding, said: Sequence[PostedComment]) -> None:
        thread = [each for each in said if one.comment in {each.id, each.in_reply_to}]
        await self._edit(ref, one, said)
        if one.standing and one.shown not in {FindingState.OPEN, FindingState.MOVED}:
            await self._answer(ref, one, fate.back(one))
        elif one.state is FindingState.FIXED and not all(each.by_bot for each in thread):
            await self._answer(ref, one, fate.told(one))
        if self.resolves and not one.standing and one.state is not FindingState.DISMISSED:
            await self.publisher.resolve(ref, one.comment)

    async def _edit(self, ref: PullRef, one: KnownFinding, said: Sequence[PostedComment]) -> None:
        body = next((each.body for each in said if each.id == one.comment), "")
        restated = fate.restated(body, one, self.signer.mark(ref, "finding", one.identity, packed(one)))
        if body and restated != body:
            await self.publisher.edit(ref, one.comment, restated)

    async def _answer(self, ref: PullRef, one: KnownFinding, words: str) -> None:
        key = self.signer.mark(ref, "reply", self.signer.name("fate", one.identity, one.state.value, one.head))
        await self.publisher.answer(ref, one.comment, f"{words}\n\n{key}", key)


def _dismissed(one: KnownFinding, by: str, reason: str, *, resolved: bool) -> KnownFinding:
    """The finding on a person's word. What is fixed stays so, with its witness.

    Whoever only tidies up adds nothing: a thread is resolved after its finding was dismissed, or was said again elsewhere.
    """
    if one.state is FindingState.SUPERSEDED or (resolved and one.state is FindingState.DISMISSED):
        return one
    if one.state is FindingState.FIXED:
        return replace(one, resolved=by if resolved else one.resolved)
    return replace(one, state=FindingState.DISMISSED, by=by, reason=reason, resolved=by if resolved else "")


def _reopened(one: KnownFinding) -> KnownFinding:
    if one.state is not FindingState.DISMISSED:
        return replace(one, resolved="")
    return replace(one, state=FindingState.OPEN, by="", reason="", resolved="")


def _resolved(one: KnownFinding, by: str) -> KnownFinding:
    """The finding whose thread `by` resolved, if anybody did."""
    return _dismissed(one, by, UNCHANGED, resolved=True) if by else one


def _placed(one: KnownFinding, thread: int, comment: PostedComment) -> KnownFinding:
    """The finding with its thread, and with the line to which GitHub carried it while it stays in its file."""
    follows = comment.line and comment.path == one.path
    return replace(one, comment=thread, line=comment.line if follows else one.line)


def _is_news(one: KnownFinding, head: str) -> bool:
    return one.state is not one.shown or (one.state is FindingState.MOVED and one.head == head)


async def _name(changed: Awaitable[KnownFinding | None]) -> str:
    one = await changed
    return one.identity if one else ""
