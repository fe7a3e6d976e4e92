"""GitHub for tests of the hosts: the sandbox behind our client, or answers from a script."""

import json
from dataclasses import dataclass

import httpx

from bot.core.code.pull_request import PullRef
from bot.core.comments.post import ReviewPost
from bot.hosts.github.auth import GitHubApp
from bot.hosts.github.client import GitHubClient
from bot.hosts.github.host import GitHubHost
from bot.hosts.github.publisher import GitHubPublisher
from bot.sandbox.api.auth import key_pair
from bot.sandbox.sandbox import Clock, Sandbox

API = "https://api.github.test"
REF = PullRef("octo/shop", 1, repo_id=42, installation=7)
NOW = 1_800_000_000
KEY = "<!-- assistant:v1 review 0123456789abcdef0123456789abcdef 0123456789abcdef0123456789abcdef -->"


@dataclass
class Hosted:
    """A sandbox and the product's two halves that speak to it."""

    sandbox: Sandbox
    repo: object
    client: GitHubClient
    host: GitHubHost
    publisher: GitHubPublisher

    def ref(self, pull):
        """The address of a pull request of the sandbox."""
        return PullRef(self.repo.state.full_name, pull.number, self.repo.state.id, self.installation.id)

    @property
    def installation(self):
        return self.sandbox.world.installation_of(self.repo.state)

    def asked(self, method="", ending=""):
        """The requests to the API, as (method, path)."""
        requests = [(one.method, one.path) for one in self.sandbox.requests]
        return [one for one in requests if one[0].startswith(method) and one[1].endswith(ending)]


def connect(sandbox, **settings):
    """A client of the sandbox's API, without a socket and without waiting."""
    app = sandbox.world.app
    return GitHubClient(
        GitHubApp(str(app.id), app.private_key),
        sandbox.world.api,
        transport=httpx.ASGITransport(sandbox.asgi),
        clock=sandbox.world.clock,
        **{"spacing": 0.0} | settings,
    )


async def hosted(directory, files, *, largest=1024 * 1024, **settings):
    """A sandbox with one repository of `files`, and us installed in it."""
    sandbox = Sandbox.create(directory, clock=Clock())
    repo = await sandbox.repository("octo/shop", files, **settings)
    client = connect(sandbox)
    return Hosted(sandbox, repo, client, GitHubHost(client, largest=largest), GitHubPublisher(client))


class ScriptedGitHub(httpx.AsyncBaseTransport):
    """A GitHub that answers from a script: (method, path) -> answers in turn, of which the last one stays.

    Tokens it gives itself, unless the script says otherwise. What was asked is in `asked`.
    """

    def __init__(self, **answers):
        self.answers = {}
        self.asked = []
        self.tokens = 0

    def on(self, method, path, *answers):
        self.answers[method, path] = list(answers)
        return self

    async def handle_async_request(self, request):
        self.asked.append(request)
        found = self.answers.get((request.method, request.url.path))
        if found is None and request.url.path.endswith("/access_tokens"):
            return self._token()
        if found is None:
            return answer(404, {"message": "Not Found"})
        now = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(now, Exception):
            raise now
        return (
            now(request) if callable(now) else httpx.Response(now.status_code, headers=now.headers, content=now.content)
        )

    def _token(self):
        self.tokens += 1
        return answer(201, {"token": f"ghs_secret{self.tokens}" + "x" * 500, "expires_at": "2027-12-31T00:00:00Z"})

    def said(self, method=""):
        """(method, path) of the requests, without those for tokens."""
        return [
            (one.method, one.url.path)
            for one in self.asked
            if one.method.startswith(method) and not one.url.path.endswith("/access_tokens")
        ]


def answer(status=200, body=None, **headers):
    """An answer in JSON; header names with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json={} if body is None else body, headers=named)


def scripted(script, **settings):
    """A client that speaks to a script."""
    app = GitHubApp("1234", key_pair().private)
    return GitHubClient(app, API, transport=script, **{"spacing": 0.0, "clock": lambda: NOW} | settings)


def sent(request):
    """The JSON of a request."""
    return json.loads(request.content)


def post(commit, *comments, body="Two findings.", key=KEY):
    """A review to post."""
    return ReviewPost(key, commit, f"{body}\n\n{key}", comments)
