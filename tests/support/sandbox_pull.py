"""A sandbox with one repository and one pull request, and the App's own client to it."""

import asyncio
import functools
import inspect
import time

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bot.sandbox.sandbox import Sandbox

OLD = "".join(f"line {n}\n" for n in range(1, 41))
NEW = OLD.replace("line 5\n", "LINE 5\nline 5b\n").replace("line 30\n", "")
REPO = "/repos/octo/shop"
PULL = f"{REPO}/pulls/1"


load_key = functools.cache(functools.partial(load_pem_private_key, password=None))  # it takes longer than a review


class SandboxPull:
    """The App's view of the world. `shop` is the repository; `pull` changes a.py (lines 5, 6 and 30) and adds b.py."""

    def __init__(self, sandbox, http):
        self.sandbox = sandbox
        self.http = http
        self.token = None

    async def start(self):
        self.shop = await self.sandbox.repository("octo/shop", {"a.py": OLD, "docs/rules.md": "# Rules\n\nBe kind.\n"})
        self.pull = await self.shop.open_pull("Change five", "Fixes #9", {"a.py": NEW, "b.py": "one\ntwo\nthree\n"})
        self.token = await self.mint()
        self.sandbox.deliveries.clear()
        self.sandbox.requests.clear()

    async def __call__(self, method, path, json=None, status=None, **headers):
        """A request with the present token; asserts its status if one is named."""
        given = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        response = await self.http.request(method, path, json=json, headers=given)
        assert status in (None, response.status_code), response.text
        return response

    def app_jwt(self, key=None, algorithm="RS256", **claims):
        now = int(self.sandbox.world.clock())
        body = {"iat": now - 60, "exp": now + 540, "iss": str(self.sandbox.world.app.id)} | claims
        return jwt.encode(body, key or load_key(self.sandbox.world.app.private_key.encode()), algorithm=algorithm)

    async def as_app(self, method, path, json=None, **claims):
        """A request by the App itself."""
        bearer = {"Authorization": f"Bearer {self.app_jwt(**claims)}"}
        return await self.http.request(method, path, json=json, headers=bearer)

    async def mint(self, **wish):
        """An installation token, narrowed as wished."""
        number = self.sandbox.install("octo").id
        answer = await self.as_app("POST", f"/app/installations/{number}/access_tokens", wish)
        assert answer.status_code == 201, answer.text
        return answer.json()["token"]

    async def review(self, *comments, status=200, **fields):
        """Post a review with inline comments; what GitHub answers."""
        comments = [{"body": "Look here."} | comment for comment in comments]
        body = {"event": "COMMENT", "body": "A review.", "comments": comments} | fields
        return (await self("POST", f"{PULL}/reviews", {k: v for k, v in body.items() if v is not None}, status)).json()

    @property
    def events(self):
        """What was delivered, as "event.action"."""
        return [f"{one.event}.{one.action}" for one in self.sandbox.deliveries]


def scenario(test):
    """Run an async test whose first argument is an SandboxPull; the others are pytest's."""
    names = list(inspect.signature(test).parameters.values())[1:]

    @functools.wraps(test)
    def run(tmp_path, **arguments):
        async def play():
            sandbox = Sandbox.create(tmp_path / "sandbox", clock=time.time)
            async with sandbox.client() as http:
                github = SandboxPull(sandbox, http)
                await github.start()
                await test(github, **arguments)

        asyncio.run(play())

    place = inspect.Parameter("tmp_path", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = inspect.Signature([place, *names])
    return run
