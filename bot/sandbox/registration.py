"""The registration of an App from its manifest, and its installation: the pages that people press, and the exchange of the code.

https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
"""

from __future__ import annotations

import ipaddress
import json
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from bot.sandbox.api import auth
from bot.sandbox.pages import JINJA, SECURITY
from bot.sandbox.world import shape
from bot.sandbox.world.state import App, Installation, User, World

PERSON = "you"
LONGEST_NAME = 34
_FORMS = {**SECURITY, "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action *"}
View = Callable[[World, Request], Awaitable[Response]]


def routes(world: World) -> list[Route]:
    """The pages of registration and installation."""
    views: dict[str, tuple[View, str]] = {
        "/settings/apps/new": (new, "POST"),
        "/organizations/{owner}/settings/apps/new": (new, "POST"),
        "/settings/apps": (create, "POST"),
        "/apps/{slug}/installations/new": (choose, "GET"),
        "/apps/{slug}/installations": (install, "POST"),
    }
    return [Route(path, _bind(world, view), methods=[method]) for path, (view, method) in views.items()]


def conversion(world: World) -> Route:
    """POST /app-manifests/{code}/conversions, which needs no credential beside the code"""

    async def answer(request: Request) -> Response:
        manifest = world.manifests.pop(request.path_params["code"], None)
        if manifest is None:
            return JSONResponse({"message": "Not Found", "status": "404"}, 404)
        return JSONResponse(_registered(world, manifest), 201)

    return Route("/app-manifests/{code}/conversions", answer, methods=["POST"])


def _bind(world: World, view: View) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        response = await view(world, request)
        response.headers.update(_FORMS)
        return response

    return answer


def _page(template: str, world: World, *, status: int = 200, **values: object) -> Response:
    return HTMLResponse(JINJA.get_template(template).render(app=world.app, **values), status)


async def new(world: World, request: Request) -> Response:
    """POST …/settings/apps/new: shows what the manifest asks for"""
    text = (await _form(request)).get("manifest", "")
    wrong = _mistake(text)
    owner = request.path_params.get("owner", PERSON)
    state = request.query_params.get("state", "")
    manifest = {} if wrong else json.loads(text)
    return _page(
        "register.html",
        world,
        status=422 if wrong else 200,
        wrong=wrong,
        owner=owner,
        state=state,
        text=text,
        manifest=manifest,
    )


async def create(world: World, request: Request) -> Response:
    """POST /settings/apps: registers the App, and sends the person back with a code"""
    form = await _form(request)
    if wrong := _mistake(form.get("manifest", "")):
        return _page("register.html", world, status=422, wrong=wrong, owner="", state="", text="", manifest={})
    manifest = json.loads(form["manifest"])
    code = secrets.token_hex(20)
    world.manifests[code] = manifest
    query = {"code": code} | ({"state": form["state"]} if form.get("state") else {})
    return RedirectResponse(f"{manifest['redirect_url']}?{urlencode(query)}", 302)


async def choose(world: World, request: Request) -> Response:
    """GET /apps/{slug}/installations/new: the account's repositories"""
    if request.path_params["slug"] != world.app.slug:
        return _page("missing.html", world, status=404)
    return _page("install.html", world, repositories=list(world.repositories.values()))


async def install(world: World, request: Request) -> Response:
    """POST /apps/{slug}/installations: installs the App on all repositories"""
    if request.path_params["slug"] != world.app.slug:
        return _page("missing.html", world, status=404)
    for repo in world.repositories.values():
        found = next((one for one in world.installations.values() if one.account == repo.owner), None)
        if found is None:
            found = Installation(
                id=world.next_id(),
                account=repo.owner,
                permissions=dict(world.app.permissions),
                created_at=world.now(),
            )
            world.installations[found.id] = found
        found.repositories = sorted({*found.repositories, repo.id})
    number = max(world.installations, default=0)
    query = urlencode({"installation_id": number, "setup_action": "install"})
    return RedirectResponse(f"{world.app.setup_url}?{query}" if world.app.setup_url else "/", 302)


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode()))


def _mistake(text: str) -> str:
    """Why GitHub refuses a manifest; empty if it takes it."""
    try:
        manifest = json.loads(text)
    except ValueError:
        return "The manifest is not JSON"
    if not isinstance(manifest, dict) or not manifest.get("url") or not manifest.get("redirect_url"):
        return "The manifest lacks url or redirect_url"
    hook = manifest.get("hook_attributes", {}).get("url", "")
    if _is_private(urlsplit(hook).hostname or "localhost"):
        return "Hook url is not supported because it isn't reachable over the public Internet"
    if not 0 < len(str(manifest.get("name", ""))) <= LONGEST_NAME:
        return "Name is too long (maximum is 34 characters)"
    levels = set(manifest.get("default_permissions", {}).values())
    return "" if levels <= set(auth.LEVELS) else "Permissions are invalid"


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or "." not in host


def _registered(world: World, manifest: dict[str, Any]) -> dict[str, Any]:
    """Makes the App of the manifest the World's App, installed nowhere; returns GitHub's answer with its secrets."""
    number = world.next_id()
    slug = re.sub(r"[^a-z0-9]+", "-", manifest["name"].lower()).strip("-")
    keys, bot = auth.key_pair(), User(number, f"{slug}[bot]", "Bot")
    events, permissions = tuple(manifest.get("default_events", ())), dict(manifest.get("default_permissions", {}))
    world.app = App(
        number, slug, keys.private, keys.public, bot, permissions, events, str(manifest.get("setup_url", ""))
    )
    world.users[bot.login] = bot
    world.secret, world.hook_url = secrets.token_hex(20), manifest["hook_attributes"]["url"]
    world.installations.clear()
    return shape.app(world) | {
        "client_secret": secrets.token_hex(20),
        "webhook_secret": world.secret,
        "pem": keys.private,
    }
