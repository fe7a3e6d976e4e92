"""GitHub's own examples of every event, through the front door: octokit collects them in an npm package."""

import asyncio
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import httpx
import pytest

from bot.server import serve
from bot.webhook import EVENTS
from tests.support.deliveries import SECRET, signed

PACKAGE = "@octokit/webhooks-examples@7.6.1"
VERSIONS = ("api.github.com", "ghes-31", "ghes-32", "ghes-33", "ghes-34", "ghes-35")


class Shelf:
    """An engine that only stores."""

    def __init__(self):
        self.jobs = {}

    async def submit(self, job):
        return self.jobs.setdefault(job.id, job) is job


async def well():
    return {}


@pytest.fixture(scope="session")
def examples(request):
    """GitHub's version -> [(event, payload)], from npm once, then from pytest's cache."""
    archive = request.config.cache.mkdir("webhooks") / f"{PACKAGE.rpartition('@')[2]}.tgz"
    if not archive.exists():
        with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
            _fetch(Path(folder)).replace(archive)
    with tarfile.open(archive) as package:
        return {version: _read(package.extractfile(f"package/{version}/index.json")) for version in VERSIONS}


def _fetch(folder):
    if shutil.which("npm") is None:
        pytest.skip("npm is not here: no payload examples")
    ran = subprocess.run(
        ("npm", "pack", PACKAGE, "--silent", "--cache", folder / "cache", "--pack-destination", folder),
        cwd=folder,
        capture_output=True,
        timeout=60,
        check=False,
    )
    if ran.returncode:
        pytest.skip(f"npm cannot fetch {PACKAGE}: {ran.stderr.decode()[-200:]}")
    return next(folder.glob("*.tgz"))


def _read(file):
    return [(event["name"], example) for event in json.load(file) for example in event["examples"]]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_example_payload_is_taken(examples, version):
    async def story():
        engine = Shelf()
        transport = httpx.ASGITransport(serve(engine, (SECRET,), well))
        async with httpx.AsyncClient(transport=transport, base_url="http://bot") as client:
            for event, example in examples[version]:
                # Apps' deliveries always name the installation; some of the older examples do not.
                for payload in (example, {**example, "installation": {"id": 1}}):
                    headers, body = signed(payload, event)
                    answer = await client.post("/webhooks/github", headers=headers, content=body)

                    assert answer.status_code in {200, 202}, (event, example.get("action"), answer.text)
        return engine.jobs.values()

    jobs = asyncio.run(story())

    assert jobs
    assert all(job.pull.number and job.actor for job in jobs)


def test_every_event_we_look_into_has_an_example(examples):
    named = {event for version in VERSIONS for event, _ in examples[version]}

    assert named >= EVENTS, EVENTS - named
