"""Sign-in with the sandbox: signs in `world.visitor` without a question, and lists what that person may read."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from bot.sandbox.world import shape
from bot.sandbox.world.faults import PREFIX
from bot.sandbox.world.state import SignInCode, User, World

CLIENT_SECRET = "sandbox-client-secret"  # noqa: S105 - the sandbox's own
LARGEST = 100
Answer = Callable[[World, Request], Awaitable[Response]]


def client_id(world: World) -> str:
    """The App's client id."""
    return f"Iv23sandbox{world.app.id}"


async def authorize(world: World, request: Request) -> Response:
    """GET /login/oauth/authorize"""
    asked = request.query_params
    if asked.get("client_id") != client_id(world) or asked.get("code_challenge_method") != "S256":
        return JSONResponse({"message": "Not Found"}, 404)
    code = f"code-{world.next_id()}"
    world.sign_ins[code] = SignInCode(
        world.user(world.visitor), asked.get("redirect_uri", ""), asked.get("code_challenge", "")
    )
    back = urlencode({"code": code, "state": asked.get("state", "")})
    return RedirectResponse(f"{asked.get('redirect_uri', '')}?{back}", 302)


async def exchange(world: World, request: Request) -> Response:
    """POST /login/oauth/access_token: GitHub answers 200 with an `error` where a code is not good"""
    values = dict(parse_qsl((await request.body()).decode()))
    if values.get("client_id") != client_id(world) or values.get("client_secret") != CLIENT_SECRET:
        return JSONResponse({"error": "incorrect_client_credentials"})
    known = world.sign_ins.pop(values.get("code", ""), None)
    verifier = hashlib.sha256(values.get("code_verifier", "").encode()).digest()
    proof = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
    if known is None or known.redirect != values.get("redirect_uri") or not hmac.compare_digest(known.challenge, proof):
        return JSONResponse({"error": "bad_verification_code"})
    token = f"ghu_{world.next_id()}"
    world.person_tokens[token] = known.user
    return JSONResponse({"access_token": token, "token_type": "bearer", "scope": "", "expires_in": 28800})


async def revoke(world: World, request: Request) -> Response:
    """DELETE /applications/{client_id}/token"""
    world.person_tokens.pop(json.loads(await request.body()).get("access_token", ""), None)
    return Response(status_code=204)


def _person(world: World, request: Request) -> User | None:
    return world.person_tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))


async def user(world: World, request: Request) -> Response:
    """GET /user"""
    person = _person(world, request)
    return JSONResponse(shape.user(world, person)) if person else _bad()


async def installations(world: World, request: Request) -> Response:
    """GET /user/installations"""
    person = _person(world, request)
    if person is None:
        return _bad()
    seen = [{"id": one.id} for one in world.installations.values() if _readable(world, one.repositories, person)]
    return _page(request, seen, "installations")


async def repositories(world: World, request: Request) -> Response:
    """GET /user/installations/{number}/repositories"""
    person, found = _person(world, request), world.installations.get(int(request.path_params["number"]))
    if person is None or found is None:
        return _bad()
    return _page(request, [{"id": id_} for id_ in _readable(world, found.repositories, person)], "repositories")


def _readable(world: World, ids: list[int], person: User) -> list[int]:
    """The repositories that a person may read: those with a role, and public ones."""
    known = {repo.id: repo for repo in world.repositories.values()}
    return [id_ for id_ in ids if known[id_].role(person) != "none"]


def _page(request: Request, items: list[dict[str, int]], name: str) -> Response:
    size = min(int(request.query_params.get("per_page", "30")), LARGEST)
    page = int(request.query_params.get("page", "1"))
    return JSONResponse({"total_count": len(items), name: items[(page - 1) * size : page * size]})


def _bad() -> Response:
    return JSONResponse({"message": "Bad credentials"}, 401)


def routes(world: World) -> list[Route]:
    """The routes of the sign-in."""

    def bind(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def bound(request: Request) -> Response:
            return await answer(world, request)

        return bound

    return [
        Route("/login/oauth/authorize", bind(authorize)),
        Route("/login/oauth/access_token", bind(exchange), methods=["POST"]),
        Route(f"{PREFIX}/user", bind(user)),
        Route(f"{PREFIX}/user/installations", bind(installations)),
        Route(f"{PREFIX}/user/installations/{{number:int}}/repositories", bind(repositories)),
        Route(f"{PREFIX}/applications/{{client}}/token", bind(revoke), methods=["DELETE"]),
    ]
