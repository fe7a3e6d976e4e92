"""Endpoints of check runs, with their limits: https://docs.github.com/en/rest/checks/runs"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from bot.sandbox.api.call import Call, Endpoint, ok
from bot.sandbox.world import conversation, shape
from bot.sandbox.world.rules import Rejected, check_run
from bot.sandbox.world.state import CheckRun

SIMPLE = ("name", "status", "conclusion", "external_id", "details_url", "started_at", "completed_at", "actions")


async def create_run(call: Call) -> Response:
    """POST …/check-runs"""
    for key in ("name", "head_sha"):
        if not call.body.get(key):
            raise Rejected(422, f'Invalid request.\n\n"{key}" wasn\'t supplied.')
    check_run(call.body)
    sha = await call.commit(call.body["head_sha"])
    run = CheckRun(id=call.world.next_id(), name=call.body["name"], head_sha=sha)
    _apply(call, run)
    call.repo.check_runs.append(run)
    conversation.announce_check(call.world, call.repo, run, "created", call.me)
    return ok(shape.check_run(call.world, call.repo, run), 201)


async def update_run(call: Call) -> Response:
    """PATCH …/check-runs/{number}: annotations are added to those that are there"""
    run = _find(call)
    check_run(call.body)
    was = run.status
    _apply(call, run)
    if run.status == "completed" != was:
        conversation.announce_check(call.world, call.repo, run, "completed", call.me)
    return ok(shape.check_run(call.world, call.repo, run))


def _apply(call: Call, run: CheckRun) -> None:
    for key in SIMPLE:
        if key in call.body:
            setattr(run, key, call.body[key])
    output: dict[str, Any] = call.body.get("output") or {}
    if output:
        run.title, run.summary, run.text = output["title"], output["summary"], output.get("text", run.text)
        run.annotations += output.get("annotations") or []
    if call.body.get("conclusion"):
        run.status = "completed"
    if run.status == "completed":
        run.completed_at = run.completed_at or call.world.now()
    else:
        run.conclusion = run.completed_at = None
        run.started_at = run.started_at or call.world.now()


async def get_run(call: Call) -> Response:
    """GET …/check-runs/{number}"""
    return ok(shape.check_run(call.world, call.repo, _find(call)))


async def list_annotations(call: Call) -> Response:
    """GET …/check-runs/{number}/annotations"""
    return call.page(_find(call).annotations)


async def list_runs(call: Call) -> Response:
    """GET …/commits/{ref}/check-runs; by default the latest of each name"""
    sha = await call.commit(call.text("ref"))
    query = call.request.query_params
    found = [run for run in reversed(call.repo.check_runs) if run.head_sha == sha]
    if query.get("app_id", str(call.world.app.id)) != str(call.world.app.id):
        found = []
    found = [run for run in found if query.get("check_name", run.name) == run.name]
    if query.get("filter", "latest") == "latest":
        found = list({run.name: run for run in reversed(found)}.values())[::-1]
    found = [run for run in found if query.get("status", run.status) == run.status]
    return call.page([shape.check_run(call.world, call.repo, run) for run in found], wrap="check_runs")


def _find(call: Call) -> CheckRun:
    found = next((run for run in call.repo.check_runs if run.id == call.number()), None)
    if found is None:
        raise Rejected(404, "Not Found")
    return found


REPO = "/repos/{owner}/{repo}"
RUN = REPO + "/check-runs/{number:int}"
ENDPOINTS = (
    Endpoint("POST", REPO + "/check-runs", create_run, ("checks:write",)),
    Endpoint("GET", RUN, get_run, ("checks:read",)),
    Endpoint("PATCH", RUN, update_run, ("checks:write",)),
    Endpoint("GET", RUN + "/annotations", list_annotations, ("checks:read",)),
    Endpoint("GET", REPO + "/commits/{ref:path}/check-runs", list_runs, ("checks:read",)),
)
