"""Pages for people: a pull request, its files with the comments in place, its checks, an issue, a file.

They work without scripts, and strangers' words cannot bring any in: autoescape, and a policy that loads only our style.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from bot.errors import Refused
from bot.sandbox.api.call import SHA
from bot.sandbox.markdown import render, render_comment
from bot.sandbox.world import conversation, history
from bot.sandbox.world.patch import FilePatch, Hunk
from bot.sandbox.world.state import CheckRun, Issue, Pull, Repository, ReviewComment, Said, World

HERE = Path(__file__).parent
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
HEADING = re.compile(r"(#{1,6})\s")
SHOWN_LINES = 5000
JINJA = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
JINJA.filters |= {"markdown": render, "comment": render_comment}
Event = tuple[str | None, str, Said, list[dict[str, Any]]]
View = Callable[[World, Request], Awaitable[Response]]


def routes(world: World) -> list[Route]:
    """The pages, and their style sheet."""
    views: dict[str, View] = {
        "/": home,
        "/style.css": style,
        "/{owner}/{repo}": home,
        "/{owner}/{repo}/pull/{number:int}": talk,
        "/{owner}/{repo}/pull/{number:int}/files": files,
        "/{owner}/{repo}/pull/{number:int}/checks": checks,
        "/{owner}/{repo}/runs/{run:int}": run,
        "/{owner}/{repo}/issues/{number:int}": issue,
        "/{owner}/{repo}/blob/{ref}/{path:path}": blob,
    }
    return [Route(path, _bind(world, view), methods=["GET"]) for path, view in views.items()]


def _bind(world: World, view: View) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            response = await view(world, request)
        except LookupError:
            response = _page("missing.html", world, status=404)
        response.headers.update(SECURITY)
        return response

    return answer


def _page(template: str, world: World, *, status: int = 200, **values: object) -> Response:
    return HTMLResponse(JINJA.get_template(template).render(app=world.app, **values), status)


async def style(_: World, __: Request) -> Response:
    """GET /style.css"""
    return FileResponse(HERE / "style.css", media_type="text/css")


async def home(world: World, request: Request) -> Response:
    """GET /: the repositories with their pull requests and issues"""
    shown = [_repository(world, request)] if "repo" in request.path_params else list(world.repositories.values())
    return _page("home.html", world, repositories=[repo for repo in shown if repo.parent is None])


async def talk(world: World, request: Request) -> Response:
    """GET /{owner}/{repo}/pull/{number}: the conversation"""
    repo, pull = _pull(world, request)
    threads = [_thread(pull, root) for root in _roots(pull)]
    reviews: list[Event] = [
        (review.submitted_at, "review", review, [one for one in threads if one["root"].review == review.id])
        for review in pull.reviews
        if review.state != "PENDING" and (review.body or any(one["root"].review == review.id for one in threads))
    ]
    comments: list[Event] = [(said.created_at, "comment", said, []) for said in pull.comments]
    events = sorted([*reviews, *comments], key=lambda event: (str(event[0]), event[2].id))
    return _page("talk.html", world, events=events, **await _tabs(repo, pull, "talk"))


async def files(world: World, request: Request) -> Response:
    """GET …/pull/{number}/files: the diff, each comment under its line"""
    repo, pull = _pull(world, request)
    compared = await history.changed(repo, pull)
    shown = [_file(pull, file) for file in compared.files]
    return _page("files.html", world, files=shown, **await _tabs(repo, pull, "files"))


async def checks(world: World, request: Request) -> Response:
    """GET …/pull/{number}/checks: the check runs on the head"""
    repo, pull = _pull(world, request)
    return _page("checks.html", world, **await _tabs(repo, pull, "checks"))


async def run(world: World, request: Request) -> Response:
    """GET /{owner}/{repo}/runs/{run}: one check run"""
    repo = _repository(world, request)
    found = {one.id: one for one in repo.check_runs}[request.path_params["run"]]
    return _page("run.html", world, repo=repo, runs=[found])


async def issue(world: World, request: Request) -> Response:
    """GET /{owner}/{repo}/issues/{number}"""
    repo = _repository(world, request)
    found: Issue = repo.issues[request.path_params["number"]]
    return _page("issue.html", world, repo=repo, issue=found)


async def blob(world: World, request: Request) -> Response:
    """GET /{owner}/{repo}/blob/{ref}/{path}: a file at a commit, its lines named #L1, its sections #L1-L9"""
    repo = _repository(world, request)
    ref, path = request.path_params["ref"], request.path_params["path"]
    commit = repo.branches.get(ref) or (ref if SHA.fullmatch(ref) else "")
    try:
        entry = {entry.path: entry for entry in await repo.git.tree(commit)}[path]
        content = (await repo.git.blob(entry.blob)).decode(errors="replace")
    except Refused as error:
        raise LookupError(path) from error
    lines = content.split("\n")[:SHOWN_LINES]
    names = _sections(lines) if path.endswith((".md", ".mdc")) else {}
    return _page("blob.html", world, repo=repo, path=path, commit=commit, lines=lines, names=names)


def _sections(lines: list[str]) -> dict[int, list[str]]:
    """Names of the line ranges that begin at a heading: a browser can only jump to a range that has a name."""
    levels: dict[int, int] = {}
    fenced = False
    for at, line in enumerate(lines, 1):
        fenced ^= line.startswith("```")
        if not fenced and (match := HEADING.match(line)):
            levels[at] = len(match[1])
    names = {}
    for start, level in levels.items():
        after = (at for at, other in levels.items() if at > start and other <= level)
        names[start] = [f"L{start}-L{end}" for end in range(start, next(after, len(lines) + 1))]
    return names


def _repository(world: World, request: Request) -> Repository:
    found = world.repository(request.path_params["owner"], request.path_params["repo"])
    if found is None:
        raise LookupError("no such repository")
    return found


def _pull(world: World, request: Request) -> tuple[Repository, Pull]:
    repo = _repository(world, request)
    found = {pull.number: pull for pull in repo.pulls}[request.path_params["number"]]
    return repo, found


async def _tabs(repo: Repository, pull: Pull, tab: str) -> dict[str, Any]:
    compared = await history.changed(repo, pull)
    return {
        "repo": repo,
        "pull": pull,
        "tab": tab,
        "runs": [run for run in repo.check_runs if run.head_sha == pull.head_sha],
        "compared": compared,
        "commits": await history.commits(repo, pull),
        "icon": icon,
    }


def icon(run: CheckRun) -> str:
    """The name of a check run's sign."""
    return (run.conclusion or run.status) if run.status == "completed" else run.status


def _roots(pull: Pull) -> list[ReviewComment]:
    return [said for said in pull.review_comments if said.in_reply_to is None]


def _thread(pull: Pull, root: ReviewComment) -> dict[str, Any]:
    context = root.diff_hunk.split("\n")
    return {"root": root, "said": conversation.thread(pull, root), "context": context[:1] + context[1:][-4:]}


def _file(pull: Pull, file: FilePatch) -> dict[str, Any]:
    """A file of the files tab: its rows, each with the threads that hang on it, and the threads on the whole file."""
    pending = {review.id for review in pull.reviews if review.state == "PENDING"}
    roots = [root for root in _roots(pull) if root.path == file.change.path and root.review not in pending]
    return {
        "patch": file,
        "hunks": [(hunk.header, list(_rows(pull, hunk, roots))) for hunk in file.hunks],
        "on_file": [_thread(pull, root) for root in roots if root.subject == "file"],
        "outdated": sum(root.line is None and root.subject == "line" for root in roots),
    }


def _rows(pull: Pull, hunk: Hunk, roots: list[ReviewComment]) -> list[tuple[Any, list[dict[str, Any]]]]:
    rows = []
    for row in hunk.rows:
        here = [root for root in roots if root.position == row.position]
        rows.append((row, [_thread(pull, root) for root in here]))
    return rows
