"""Git over HTTP, as far as fetching needs it: the smart protocol, for tokens that may read a repository's contents.

https://git-scm.com/docs/http-protocol
"""

from __future__ import annotations

import base64
import binascii
import gzip

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.sandbox.api import auth
from bot.sandbox.world.rules import Rejected
from bot.sandbox.world.state import Repository, World
from bot.sandbox.world.traffic import Recorded

SERVICE = "git-upload-pack"
ALLOWED = ("-c", "uploadpack.allowAnySHA1InWant=true", "-c", "uploadpack.allowFilter=true")
SERVE = (*ALLOWED, "upload-pack", "--stateless-rpc")
BANNER = b"001e# service=git-upload-pack\n0000"


def routes(world: World) -> list[Route]:
    """The two addresses that a fetch needs."""

    async def refs(request: Request) -> Response:
        repository = _admitted(world, request)
        if isinstance(repository, Response):
            return repository
        if request.query_params.get("service") != SERVICE:
            return PlainTextResponse("Read-only.", 403)
        out = await repository.git.run((*SERVE, "--advertise-refs", "."), more=_version(request))
        return Response(BANNER + out, media_type=f"application/x-{SERVICE}-advertisement")

    async def pack(request: Request) -> Response:
        repository = _admitted(world, request)
        if isinstance(repository, Response):
            return repository
        body = await request.body()
        wanted = gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body
        out = await repository.git.run((*SERVE, "."), wanted, more=_version(request))
        return Response(out, media_type=f"application/x-{SERVICE}-result")

    place = "/{owner}/{name}.git"
    return [Route(f"{place}/info/refs", refs), Route(f"{place}/{SERVICE}", pack, methods=["POST"])]


def _admitted(world: World, request: Request) -> Repository | Response:
    """The repository, if the request may read it; else what GitHub says."""
    found = world.repository(request.path_params["owner"], request.path_params["name"])
    token = _password(request.headers.get("authorization", ""))
    world.requests.append(Recorded(request.method, request.url.path, caller="installation", token=token))
    if found is None:
        return PlainTextResponse("Repository not found.", 404)
    try:
        auth.authorize(auth.authenticate(world, token), found, ("contents:read",), "GET")
    except Rejected as refused:
        challenge = {"WWW-Authenticate": 'Basic realm="GitHub"'} if refused.status == 401 else {}  # noqa: PLR2004 - HTTP
        return PlainTextResponse("Repository not found.", refused.status, challenge)
    return found


def _version(request: Request) -> tuple[tuple[str, str], ...]:
    """The protocol version that the client asks for, as upload-pack reads it."""
    wanted = request.headers.get("git-protocol", "")
    return (("GIT_PROTOCOL", "version=2"),) if wanted == "version=2" else ()


def _password(authorization: str) -> str:
    kind, _, value = authorization.partition(" ")
    try:
        return base64.b64decode(value).decode().partition(":")[2] if kind.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""
