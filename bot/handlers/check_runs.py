"""The check run of a job: shown while the job waits and runs, and brought to an end. It never stops a review."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from bot.core.code.pull_request import PullRequest
from bot.core.comments.check_run import as_comment, in_place_of
from bot.core.comments.marker import Signer
from bot.core.comments.post import CheckRun
from bot.errors import Outage, RateLimited, Refused, Retryable
from bot.interfaces import Publisher, Step

log = logging.getLogger(__name__)


async def optional(step: Step, name: str, work: Callable[[], Awaitable[None]]) -> str:
    """Does something that a review can do without: a reaction, a label. Trouble is logged, and returned (empty: none).

    An outage is waited for as briefly as any other trouble: the review must not wait for it.
    """

    async def brief() -> None:
        try:
            await work()
        except Outage as error:
            raise Retryable(str(error), error.after, undone=error.undone) from error

    try:
        await step(name, brief, type(None))
    except (Refused, Retryable) as error:
        log.warning("%s did not succeed: %s", name, error)
        return str(error)
    return ""


@dataclass(frozen=True, slots=True)
class CheckReporter:
    """Writes check runs. GitHub may refuse them: without the permission `checks`, on a locked or a vanished commit."""

    publisher: Publisher
    signer: Signer

    async def show(self, pull: PullRequest, run: CheckRun, name: str, step: Step) -> None:
        """Shows a state that will pass, in the step `name`. Trouble is logged; the end of the job writes again."""

        async def write() -> int:
            try:
                return await self.publisher.check(pull, run)
            except RateLimited:
                raise
            except (Refused, Retryable) as error:
                log.warning("%s: the check run does not show %r: %s", pull.ref, run.title, error)
                return 0

        await step(name, write, int)

    async def end(self, pull: PullRequest, run: CheckRun, name: str, step: Step) -> bool:
        """Writes the last state, in the step `name`; returns False if GitHub does not accept it.

        A run that cannot be changed is followed by a new one, which says so: GitHub counts the newest run of a name.
        """
        try:
            await step(name, lambda: self.publisher.check(pull, run), int)
        except (Refused, Retryable) as error:
            log.warning("%s: the check run does not end: %s", pull.ref, error)
        else:
            return True
        try:
            new = in_place_of(replace(run, key=f"{run.key}+end"))
            await step(f"{name} anew", lambda: self.publisher.check(pull, new), int)
        except (Refused, Retryable) as error:
            log.warning("%s: no new check run either: %s", pull.ref, error)
            return False
        return True

    async def end_aloud(self, pull: PullRequest, run: CheckRun, name: str, step: Step) -> None:
        """Writes the last state; what GitHub does not accept stands in a comment, one for each pull request."""
        if not await self.end(pull, run, name, step):
            await step(f"{name} in a comment", lambda: self._comment(pull, run), str)

    async def _comment(self, pull: PullRequest, run: CheckRun) -> str:
        """Writes our comment about the check run, or edits it; returns its address, empty if GitHub refuses it too."""
        key = self.signer.mark(
            pull.ref, "reply", self.signer.name("check run", str(pull.ref.repo_id), str(pull.ref.number))
        )
        try:
            return await self.publisher.keep(pull.ref, f"{as_comment(run)}\n\n{key}", key)
        except Refused as error:
            log.warning("%s: nothing can be posted: %s", pull.ref, error)
            return ""
