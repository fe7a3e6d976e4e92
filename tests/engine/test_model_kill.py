"""A review with a model that is killed after each entry of its journal: nothing is paid twice, one review is posted."""

import asyncio
import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.app import UseCases, model_of, reviewer_of
from bot.core.code.pull_request import PullRef
from bot.core.comments.marker import Signer
from bot.engine.journal import to_json
from bot.hosts.local import LocalHost
from bot.job import Job, Trigger, decide
from bot.settings import Settings
from bot.standards.local import FolderStandards
from bot.storage.ledger import Ledger
from bot.webhook import parse
from tests.support.conversation import Crash, Journal
from tests.support.model_server import ModelServer
from tests.support.model_turns import calls, says
from tests.support.product_with_model import ModelTheatre, Request
from tests.support.scripted_model import findings

CODE = "def pay(order):\n    return order.total / order.count\n"
PATCH = "--- /dev/null\n+++ b/app.py\n@@ -0,0 +1,2 @@\n" + "".join(f"+{line}\n" for line in CODE.splitlines())
FOUND = findings(
    {"path": "app.py", "quoted_code": "    return order.total / order.count", "near": 2, "title": "It divides by zero"}
)
LOOK = (
    ("read_file", {"path": "app.py", "side": "head", "start": None, "end": None}),
    ("list_files", {"pattern": "*", "side": "head"}),
)
PASSED_ON = (
    "github_app_id",
    "github_private_key",
    "github_webhook_secret",
    "github_api_url",
    "openai_api_key",
    "openai_base_url",
    "assistant_model_api",
    "assistant_checks",
    "assistant_passes",
    "assistant_write_spacing",
)
FEW = {"assistant_checks": "hygiene", "assistant_passes": "correctness,security"}


def script(body):
    asked = Request(body)
    if not asked.told and asked.purpose == "find":
        return calls(*LOOK)
    if asked.purpose == "find":
        return says(FOUND if asked.lens == "correctness" else findings())
    verdict = {"finding": 1, "evidence": ["app.py:2"], "reason": "so it is", "verdict": "holds"}
    return says({"verdicts": [verdict]})


class Host(LocalHost):
    """A host that, like GitHub, knows a review that it has by its key."""

    reviews = ()

    async def review(self, pull, post):
        keys = [one.key for one in self.reviews]
        self.reviews = (*self.reviews, *([] if post.key in keys else [post]))
        return await super().review(pull, post)


class World:
    """What outlives a process: the pull request, the ledger, the model server and what was asked of tools."""

    def __init__(self, folder):
        self.server = ModelServer(script)
        self.settings = Settings.read(
            _env_file=None, openai_api_key="sk-secret", openai_base_url="http://model.test/v1", **FEW
        )
        self.ledger = Ledger(f"sqlite:///{folder}/ledger.db")
        self.ledger.migrate()
        self.folder = folder
        self.host = None

    async def live(self, step, number):
        """One process: everything is built anew but what is on the disk."""
        if self.host is None or self.host.pull.ref.number != number:
            made = await Host.from_patch(PATCH, self.folder)
            self.host = Host(
                replace(made.pull, ref=PullRef("octo/shop", number, number, 1)), made.changes, None, made.contents
            )
        model = model_of(self.settings, b"pepper")
        model.endpoint.transport = self.server.transport()
        standards = FolderStandards(":memory:")
        wired = UseCases(self.settings, self.host, self.host, standards, self.ledger, Signer(b"key"), model)
        try:
            return await reviewer_of(wired)(Job(f"job-{number}", self.host.pull.ref, Trigger.OPENED), step)
        finally:
            await model.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("kill"))
    yield world
    world.ledger.close()


@pytest.fixture(scope="module")
def whole(world):
    """A review that nobody disturbs: its journal, how often the model was asked, and what was posted."""
    journal = Journal()
    asyncio.run(world.live(journal, 1))
    assert {
        "find/correctness/1/call-1",
        "find/correctness/1/tool-1-2",
        "verify/1/call-1",
        "publish",
    } <= journal.entries.keys()
    return list(journal.entries), len(world.server.asked), world.host.reviews


def plain(value):
    """A setting as JSON."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def once(names):
    """Entries that a replay does not add to: material is read again, as a step of the next number."""
    return {name for name in names if ", reading " not in name}


def test_a_crash_after_any_entry_costs_no_call_no_lookup_and_no_second_review(world, whole):
    names, asked, reviews = whole
    for place, _ in enumerate(names, 1):
        before, entries = len(world.server.asked), {}
        with pytest.raises(Crash):
            asyncio.run(world.live(Journal(place, entries), place + 1))
        assert len(entries) >= place, "what runs beside it may still be kept"
        kept = dict(entries)
        asyncio.run(world.live(Journal(None, entries), place + 1))

        assert len(world.server.asked) - before == asked, f"after {names[place - 1]}"
        assert {name: entries[name] for name in kept} == kept
        assert once(entries) == once(names)
        assert len(world.host.reviews) == len(reviews) == 1
    assert not world.server.rejected


@pytest.mark.parametrize("deaths", [[17], pytest.param([10, 9, 8], marks=pytest.mark.long)])
def test_processes_that_are_killed_one_after_another_finish_one_review(tmp_path, deaths):
    """Real workers die by SIGKILL in the middle of a review on the sandbox; one more ends it."""
    theatre = ModelTheatre(script, **FEW)
    try:
        pulls = [theatre.open({"app.py": CODE})]
        theatre.settle()
        asked = len(theatre.model.asked)
        pulls.append(theatre.open({"app.py": CODE}))
        sent = theatre.sandbox.deliveries[-1]
        job = decide(parse({name.lower(): value for name, value in sent.headers.items()}, sent.body))
        settings = {name: plain(getattr(theatre.app.settings, name)) for name in PASSED_ON}
        settings["assistant_data"] = str(tmp_path)
        spec = {"settings": settings, "job": to_json(job, Job), "deaths": deaths}
        program = [sys.executable, str(Path(__file__).parents[1] / "support" / "review_to_kill.py")]
        done = subprocess.run(program, input=json.dumps(spec), capture_output=True, text=True, timeout=120, check=False)
        again = len(theatre.model.asked) - asked
        reviews = [len(pull.reviews) for pull in pulls]
        ended = pulls[1].check_runs()[-1].status
    finally:
        theatre.close()

    assert json.loads(done.stdout.splitlines()[-1]) == [-signal.SIGKILL] * len(deaths) + [0], done.stderr
    assert asked == again == 5
    assert reviews == [1, 1]
    assert ended == "completed"
