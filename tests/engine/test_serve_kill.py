"""`kill -9` of the real `assistant serve` around each of its requests to GitHub, then a restart: one review is posted."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import httpx
import pytest

from bot.cli.serve import Server, listen
from bot.sandbox.sandbox import Sandbox
from tests.support.product import BASE, FLAWED

PATIENCE = 60.0
LAST = 18  # more requests than a review makes


class Killer:
    """The sandbox; it kills its client before or after it answers the `nth` request to the API."""

    def __init__(self, sandbox, nth, *, after):
        self.asgi, self.nth, self.after = sandbox.asgi, nth, after
        self.seen, self.victim, self.killed = 0, None, False

    async def __call__(self, scope, receive, send):
        mine = False
        if scope["type"] == "http" and scope["path"].startswith("/api/"):
            self.seen += 1
            mine = self.seen == self.nth
        if mine and not self.after:
            self.kill()
        with suppress(OSError, RuntimeError):
            await self.asgi(scope, receive, send)
        if mine and self.after:
            self.kill()

    def kill(self):
        os.kill(self.victim.pid, signal.SIGKILL)
        self.killed = True


def serve(sandbox, url, folder, port):
    """The real command, with settings for the sandbox only."""
    app = sandbox.world.app
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GITHUB_APP_ID": str(app.id),
        "GITHUB_PRIVATE_KEY": app.private_key,
        "GITHUB_WEBHOOK_SECRET": sandbox.world.secret,
        "GITHUB_API_URL": f"{url}/api/v3",
        "ASSISTANT_DATA": str(folder / "data"),
        "ASSISTANT_WRITE_SPACING": "0",
        "ASSISTANT_DEBOUNCE": "0",
        "PORT": str(port),
    }
    with (folder / "serve.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "bot", "serve"], env=environment, cwd=folder, stdout=log, stderr=log
        )


async def until(holds, what):
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.03)


async def ready(url):
    async with httpx.AsyncClient() as client:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if (await client.get(f"{url}/readyz")).is_success:
                    return
            await asyncio.sleep(0.05)
    pytest.fail("the server did not start")


async def story(folder, nth, *, after):
    (github, url), (ours, ours_url) = listen(), listen()
    port = ours.getsockname()[1]
    ours.close()
    sandbox = Sandbox.create(folder / "github", url=url)
    killer = Killer(sandbox, nth, after=after)
    server = Server(killer, github)
    serving = asyncio.create_task(server.run_here())
    repo = await sandbox.repository("octo/shop", BASE, private=True)
    repo.user("alice", "write")
    killer.victim = serve(sandbox, url, folder, port)
    try:
        await ready(ours_url)
        pull = await repo.open_pull("Pay", "", {"app.py": FLAWED}, author="alice")
        async with httpx.AsyncClient() as client:
            await sandbox.deliver(client, f"{ours_url}/webhooks/github")
        assert sandbox.deliveries[-1].code == 202
        done = lambda: any(run.status == "completed" for run in pull.check_runs())  # noqa: E731 - asked twice
        await until(lambda: killer.killed or done(), "neither killed nor done")
        if killer.killed:
            killer.victim.wait()
            killer.victim = serve(sandbox, url, folder, port)
        await until(done, (folder / "serve.log").read_text()[-3000:])
        killer.victim.terminate()
        assert await asyncio.to_thread(killer.victim.wait, 30) in {0, -signal.SIGTERM}
    finally:
        killer.victim.kill()
        server.should_exit = True
        await serving
    return pull, killer


def check(folder, nth, *, after):
    pull, killer = asyncio.run(story(folder, nth, after=after))

    assert len(pull.reviews) == 1, pull.check_runs()
    assert len({comment.body for comment in pull.comments}) == len(pull.comments) > 0
    assert [run.status for run in pull.check_runs()] == ["completed"]
    return killer


@pytest.mark.parametrize(("nth", "after"), [(13, True)])
def test_a_killed_server_posts_its_review_once_after_its_restart(tmp_path, nth, after):
    assert check(tmp_path, nth, after=after).killed


@pytest.mark.long
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("nth", range(1, LAST))
def test_a_server_killed_around_any_request_posts_its_review_once(tmp_path, nth, after):
    check(tmp_path, nth, after=after)
