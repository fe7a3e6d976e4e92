"""The dashboard: the figures of a period, the list of reviews, and the story of one review."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot import errors
from bot.core.findings.muting import DEFINITIONS
from bot.interfaces import CALL, TOOL, StepRecord
from bot.storage.figures import METRICS, CostDay, Figures, Overview, ReviewDay, RunCursor, Window
from bot.storage.runs import RunLog, RunPage, RunRow
from bot.web.charts import Columns, Series, TimeLine, columns, days_since, spans
from bot.web.pages import message, page, routes

PERIODS = (7, 30, 90)
PAGE = 50
_MOST_SPANS, _MOST_ROWS = 40, 20
RESULTS = {
    "success": "nothing found",
    "failure": "failed the gate",
    "neutral": "findings or not complete",
    "failed": "failed",
    "superseded": "not finished",
    "stopped": "not finished",
}
"""The result of a review in words, by its conclusion or, if it has none, by how it ended."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person who looks at the pages, and the ids of the repositories that this person may read; None for all.

    `signed_in` says that there is a session that can end. `notice` is shown on each page.
    """

    name: str
    repos: tuple[int, ...] | None
    signed_in: bool = False
    notice: str = ""

    def sees(self, repo_id: int) -> bool:
        """Whether the viewer may read a repository."""
        return self.repos is None or repo_id in self.repos


Door = Callable[[Request], Awaitable[Viewer | Response]]
"""Returns who looks, or the answer that keeps a stranger out."""


class RepositoryCost(NamedTuple):
    """What a repository cost in the period."""

    repo: str
    tokens: int
    dollars: float


@dataclass(frozen=True, slots=True)
class Dashboard:
    """The pages. `github` is the address of GitHub's own pages; `queue` returns the runs that have not ended, by queue."""

    figures: Figures
    runs: RunLog
    door: Door
    github: str
    queue: Callable[[], Awaitable[Mapping[str, int]]]

    def routes(self) -> list[Route]:
        """The routes of the pages."""
        return routes({"/dashboard": self.overview, "/reviews": self.reviews, "/reviews/{page}": self.review})

    async def overview(self, request: Request) -> Response:
        """GET /dashboard: the figures of 7, 30 or 90 days, of all repositories that the viewer sees or of one."""
        viewer = await self.door(request)
        if isinstance(viewer, Response):
            return viewer
        days = next((n for n in PERIODS if str(n) == request.query_params.get("days")), 30)
        known = [one for one in await self.figures.repositories() if viewer.sees(one[0])]
        chosen = next((one for one in known if one[1] == request.query_params.get("repo")), None)
        window = Window.of(days, _ids(viewer, known, chosen))
        overview = await Overview.read(self.figures, window)
        failed = await self.figures.runs(window, limit=5, end="failed")
        return page(
            "dashboard.html",
            viewer=viewer,
            here="dashboard",
            days=days,
            periods=PERIODS,
            repositories=known,
            chosen=chosen[1] if chosen else "",
            overview=overview,
            charts=charts(overview),
            costs=by_repository(overview.costs)[:_MOST_ROWS],
            rules=overview.rules[:_MOST_ROWS],
            queue=await self.queue() if viewer.repos is None else None,
            failed=[run for run in failed if run.ended >= datetime.fromisoformat(window.since).replace(tzinfo=UTC)],
            metrics=METRICS,
            definitions=DEFINITIONS,
            cause=cause_in_words,
            query=lambda **changed: _query(days=changed.get("days", days), repo=chosen[1] if chosen else ""),
        )

    async def reviews(self, request: Request) -> Response:
        """GET /reviews: the reviews that ended last, 50 a page."""
        viewer = await self.door(request)
        if isinstance(viewer, Response):
            return viewer
        known = [one for one in await self.figures.repositories() if viewer.sees(one[0])]
        chosen = next((one for one in known if one[1] == request.query_params.get("repo")), None)
        window = Window(repos=_ids(viewer, known, chosen))
        end = "failed" if request.query_params.get("end") == "failed" else ""
        found = await self.figures.runs(window, _cursor(request), PAGE + 1, end)
        last = found[PAGE - 1] if len(found) > PAGE else None
        repo = chosen[1] if chosen else ""
        more = _query(before=last.ended.isoformat(), job=last.job, repo=repo, end=end) if last else ""
        return page(
            "reviews.html",
            viewer=viewer,
            here="reviews",
            runs=found[:PAGE],
            more=more,
            chosen=repo,
            repositories=known,
            end=end,
            result=result_in_words,
            link=self._link,
            pull=self._pull,
        )

    async def review(self, request: Request) -> Response:
        """GET /reviews/{page}: the whole story of one review."""
        viewer = await self.door(request)
        if isinstance(viewer, Response):
            return viewer
        found = await self.runs.page(request.path_params["page"])
        if found is None or not viewer.sees(found.run.pull.repo_id):
            text = "There is no such review, or it has not ended yet, or you may not read its repository."
            return message("No such review", text, status=404)
        return page(
            "review.html",
            viewer=viewer,
            here="review",
            run=found.run,
            story=found.story,
            steps=step_rows(found.steps),
            line=time_line(found),
            result=result_in_words,
            cause=cause_in_words,
            link=self._link,
            pull=self._pull,
            commit=self._commit,
        )

    def _link(self, url: str) -> str:
        """Returns an address if it is on GitHub's own pages; else an empty text."""
        ours, theirs = urlsplit(self.github), urlsplit(url)
        same = (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc)
        return url if same and "\\" not in url else ""

    def _pull(self, run: RunRow) -> str:
        return f"{self.github}/{quote(run.pull.repo)}/pull/{run.pull.number}"

    def _commit(self, run: RunRow) -> str:
        return f"{self.github}/{quote(run.pull.repo)}/commit/{quote(run.head)}"


def charts(overview: Overview) -> dict[str, Columns]:
    """The charts of a period, by name."""
    days = days_since(overview.window.since)
    results = list(dict.fromkeys(RESULTS.values()))
    by_result: dict[str, dict[str, float]] = {name: {} for name in results}
    for row in overview.reviews:
        counts = by_result[result_of(row)]
        counts[row.day] = counts.get(row.day, 0) + row.total
    by_severity = {
        name: {row.day: float(row.total) for row in overview.severities if row.severity == name}
        for name in ("error", "warning", "note")
    }
    dollars: dict[str, float] = {}
    for cost in overview.costs:
        dollars[cost.day] = dollars.get(cost.day, 0.0) + cost.dollars
    waits = {day: seconds / 60 for day, seconds in overview.times.days}
    return {
        "reviews": columns("reviews", "Reviews per day", days, [Series(*one) for one in by_result.items()]),
        "times": columns(
            "times", "Minutes to the first review, median of the day", days, [Series("minutes", waits)], "{:.1f}"
        ),
        "dollars": columns("dollars", "US dollars per day", days, [Series("dollars", dollars)], "{:.2f}"),
        "findings": columns("findings", "Findings per day", days, [Series(*one) for one in by_severity.items()]),
    }


def by_repository(costs: Sequence[CostDay]) -> list[RepositoryCost]:
    """What each repository cost, the dearest first."""
    sums: dict[str, RepositoryCost] = {}
    for cost in costs:
        before = sums.get(cost.repo, RepositoryCost(cost.repo, 0, 0.0))
        sums[cost.repo] = RepositoryCost(cost.repo, before.tokens + cost.tokens, before.dollars + cost.dollars)
    return sorted(sums.values(), key=lambda one: (-one.dollars, -one.tokens, one.repo))


def result_of(row: ReviewDay) -> str:
    """The result of the reviews of a row, in words."""
    return RESULTS.get(row.outcome if row.end == "done" else row.end, RESULTS["failed"])


def result_in_words(run: RunRow) -> str:
    """The result of a review, in words."""
    return RESULTS.get(run.outcome if run.end == "done" else run.end, RESULTS["failed"])


def cause_in_words(cause: str) -> str:
    """What the class of an error means: the first sentence about it."""
    kind = getattr(errors, cause, None) if cause.isidentifier() else None
    if isinstance(kind, type) and issubclass(kind, errors.AssistantError) and kind.__doc__:
        return kind.__doc__.splitlines()[0].rstrip(".")
    return f"an internal error ({cause})" if cause else "the run was given up"


class StepRow(NamedTuple):
    """A step in the table: its start in seconds after the first one's."""

    step: StepRecord
    after: float


def step_rows(steps: Sequence[StepRecord]) -> list[StepRow]:
    """The steps by their start."""
    first = min((step.began for step in steps), default=0.0)
    return sorted((StepRow(step, step.began - first) for step in steps), key=lambda row: row.after)


def time_line(found: RunPage) -> TimeLine | None:
    """The time line of the longest steps; None if no step is kept."""
    rows = step_rows(found.steps)
    longest = {row.step.name for row in sorted(rows, key=lambda row: -row.step.seconds)[:_MOST_SPANS]}
    shown = [(row.step.name, row.after, row.step.seconds, _kind(row.step)) for row in rows if row.step.name in longest]
    return spans("line", "Steps over time", shown) if shown else None


def _kind(step: StepRecord) -> int:
    """The series of a step: failed or tried again, a model call, a tool, or anything else."""
    if step.failed or step.retries:
        return 3
    return 1 if CALL in step.name else 2 if TOOL in step.name else 0


def _ids(viewer: Viewer, known: Sequence[tuple[int, str]], chosen: tuple[int, str] | None) -> tuple[int, ...] | None:
    """The ids of the repositories to count: the chosen one, else those that the viewer sees; None for all."""
    if chosen is not None:
        return (chosen[0],)
    return None if viewer.repos is None else tuple(id_ for id_, _ in known)


def _cursor(request: Request) -> RunCursor | None:
    """The place in the list that the address names; None for the beginning, and for an address that names none."""
    try:
        ended = datetime.fromisoformat(request.query_params.get("before", ""))
    except ValueError:
        return None
    return RunCursor(ended if ended.tzinfo else ended.replace(tzinfo=UTC), request.query_params.get("job", ""))


def _query(**values: str | int) -> str:
    return "?" + urlencode({name: value for name, value in values.items() if value})
