"""Endpoints of what workflows leave behind: analyses of code scanning, and artifacts.

https://docs.github.com/en/rest/code-scanning/code-scanning · https://docs.github.com/en/rest/actions/artifacts
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.sandbox.api.call import Call, Endpoint, ok
from bot.sandbox.world import shape
from bot.sandbox.world.rules import Rejected
from bot.sandbox.world.state import Analysis, Artifact, World

SARIF = "application/sarif+json"
STORE = "/_store/artifacts/{number:int}"


async def list_analyses(call: Call) -> Response:
    """GET …/code-scanning/analyses, newest first; a 404 where nothing was analysed"""
    ref = call.request.query_params.get("ref", "")
    found = [one for one in reversed(call.repo.analyses) if ref in ("", one.ref)]
    if not found:
        raise Rejected(404, "no analysis found")
    return call.page([_analysis(call, one) for one in found])


async def get_analysis(call: Call) -> Response:
    """GET …/code-scanning/analyses/{number}, as JSON or SARIF"""
    found = next((one for one in call.repo.analyses if one.id == call.number()), None)
    if found is None:
        raise Rejected(404, "Not Found")
    if SARIF in call.request.headers.get("accept", ""):
        return Response(found.sarif, media_type=SARIF)
    return ok(_analysis(call, found))


def _analysis(call: Call, analysis: Analysis) -> shape.Json:
    return {
        "id": analysis.id,
        "ref": analysis.ref,
        "commit_sha": analysis.commit,
        "analysis_key": ".github/workflows/scan.yml:scan",
        "category": analysis.category,
        "created_at": analysis.created_at,
        "tool": {"name": analysis.tool, "guid": None, "version": "1.0"},
        "error": "",
        "warning": "",
        "url": f"{shape.root(call.world, call.repo)}/code-scanning/analyses/{analysis.id}",
    }


async def list_artifacts(call: Call) -> Response:
    """GET …/actions/artifacts, newest first"""
    name = call.request.query_params.get("name", "")
    found = [one for one in reversed(call.repo.artifacts) if name in ("", one.name)]
    return call.page([_artifact(call, one) for one in found], wrap="artifacts")


async def download(call: Call) -> Response:
    """GET …/actions/artifacts/{number}/zip: a redirect to the store, which asks for no token"""
    found = next((one for one in call.repo.artifacts if one.id == call.number()), None)
    if found is None or found.expired:
        raise Rejected(410 if found else 404, "Artifact has expired" if found else "Not Found")
    return Response(
        status_code=302, headers={"Location": call.world.url + STORE.replace("{number:int}", str(found.id))}
    )


def _artifact(call: Call, artifact: Artifact) -> shape.Json:
    return {
        "id": artifact.id,
        "name": artifact.name,
        "size_in_bytes": len(artifact.archive),
        "archive_download_url": f"{shape.root(call.world, call.repo)}/actions/artifacts/{artifact.id}/zip",
        "expired": artifact.expired,
        "created_at": artifact.created_at,
        "workflow_run": {"id": 1, "repository_id": call.repo.id, "head_sha": artifact.head},
    }


def routes(world: World) -> list[Route]:
    """The store of artifacts."""

    async def store(request: Request) -> Response:
        number = request.path_params["number"]
        kept = [one for repo in world.repositories.values() for one in repo.artifacts if one.id == number]
        return Response(kept[0].archive, media_type="application/zip") if kept else Response(status_code=404)

    return [Route(STORE, store)]


REPO = "/repos/{owner}/{repo}"
ANALYSES, ARTIFACTS = REPO + "/code-scanning/analyses", REPO + "/actions/artifacts"
ENDPOINTS = (
    Endpoint("GET", ANALYSES, list_analyses, ("security_events:read",)),
    Endpoint("GET", ANALYSES + "/{number:int}", get_analysis, ("security_events:read",)),
    Endpoint("GET", ARTIFACTS, list_artifacts, ("actions:read",)),
    Endpoint("GET", ARTIFACTS + "/{number:int}/zip", download, ("actions:read",)),
)
