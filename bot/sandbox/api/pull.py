"""Endpoints about pull requests themselves, and who may do what."""

from __future__ import annotations

from starlette.responses import Response

from bot.sandbox.api.call import Call, Endpoint, ok
from bot.sandbox.api.code import FILES_MOST, changed_file, commit, diff
from bot.sandbox.world import history, shape
from bot.sandbox.world.rules import Rejected

COMMITS = 250


async def list_pulls(call: Call) -> Response:
    """GET …/pulls, newest first or those that were updated last"""
    query = call.request.query_params
    state = query.get("state", "open")
    found = [pull for pull in call.repo.pulls if state in ("all", pull.state)]
    found.sort(key=lambda pull: pull.updated_at if query.get("sort") == "updated" else pull.created_at, reverse=True)
    return call.page([shape.pull(call.world, call.repo, pull) for pull in found])


async def get_pull(call: Call) -> Response:
    """GET …/pulls/{number}, as JSON or as a diff"""
    compared = await history.changed(call.repo, call.pull)
    if call.accepts("diff"):
        return diff(compared.text, len(compared.files))
    count = len(await history.commits(call.repo, call.pull))
    return ok(shape.whole_pull(call.world, call.repo, call.pull, compared.files, count))


async def list_files(call: Call) -> Response:
    """GET …/pulls/{number}/files, at most 3,000"""
    compared = await history.changed(call.repo, call.pull)
    head = call.pull.head_sha
    return call.page([changed_file(call.world, call.repo, head, file) for file in compared.files[:FILES_MOST]])


async def list_commits(call: Call) -> Response:
    """GET …/pulls/{number}/commits, at most 250"""
    entries = await history.commits(call.repo, call.pull)
    return call.page([commit(call.world, call.repo, entry) for entry in entries[:COMMITS]])


async def get_permission(call: Call) -> Response:
    """GET …/collaborators/{login}/permission: `permission` is coarse, `role_name` is not"""
    person = call.world.users.get(call.text("login").lower())
    if person is None:
        raise Rejected(404, f"{call.text('login')[:100]} is not a user")
    role = call.repo.role(person)
    coarse = {"maintain": "write", "triage": "read"}.get(role, role)
    return ok({"permission": coarse, "role_name": role, "user": shape.user(call.world, person)})


REPO = "/repos/{owner}/{repo}"
PULL = REPO + "/pulls/{number:int}"
READ = ("pull_requests:read",)
ENDPOINTS = (
    Endpoint("GET", REPO + "/pulls", list_pulls, READ),
    Endpoint("GET", PULL, get_pull, READ),
    Endpoint("GET", PULL + "/files", list_files, READ),
    Endpoint("GET", PULL + "/commits", list_commits, READ),
    Endpoint("GET", REPO + "/collaborators/{login}/permission", get_permission, ("metadata:read",)),
)
