"""A review with a model that is killed after each entry of its journal: no call is repeated, and one review is posted."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.engine.journal import to_json
from bot.job import Job, decide
from bot.webhook import parse
from tests.support.conversation import Crash, Journal
from tests.support.killed_review import CODE, FEW, World, numbered_job, script
from tests.support.product_with_model import ProductWithModel

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


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("kill"))
    yield world
    world.ledger.database.close()


@pytest.fixture(scope="module")
def whole(world):
    """A review without a crash: its journal, the number of model calls, and the posts."""
    journal = Journal()
    asyncio.run(world.live(journal, numbered_job(1)))
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
    """Entries that exist once. Diff and standards are read again after a crash, as a step with the next number."""
    return {name for name in names if ", reading " not in name}


@pytest.mark.parametrize("apart", [3, pytest.param(1, marks=pytest.mark.long)])
def test_a_crash_after_any_entry_costs_no_call_no_lookup_and_no_second_review(world, whole, apart):
    """After each entry in a long run, else after every third."""
    names, asked, reviews = whole
    for place in range(1, len(names) + 1, apart):
        before, entries = len(world.server.asked), {}
        with pytest.raises(Crash):
            asyncio.run(world.live(Journal(place, entries), numbered_job(place + 1)))
        assert len(entries) >= place, "what runs beside it may still be kept"
        kept = dict(entries)
        asyncio.run(world.live(Journal(None, entries), numbered_job(place + 1)))

        assert len(world.server.asked) - before == asked, f"after {names[place - 1]}"
        assert {name: entries[name] for name in kept} == kept
        assert once(entries) == once(names)
        assert len(world.host.reviews) == len(reviews) == 1
    assert not world.server.rejected


@pytest.mark.long
@pytest.mark.parametrize("deaths", [[17], [10, 9, 8]])
def test_processes_that_are_killed_one_after_another_finish_one_review(tmp_path, deaths):
    """Real workers are killed by SIGKILL during a review on the sandbox; the last one finishes it."""
    product = ProductWithModel(script, **FEW)
    try:
        pulls = [product.open({"app.py": CODE})]
        product.settle()
        asked = len(product.model.asked)
        pulls.append(product.open({"app.py": CODE}))
        sent = product.sandbox.deliveries[-1]
        job = decide(parse({name.lower(): value for name, value in sent.headers.items()}, sent.body))
        settings = {name: plain(getattr(product.app.settings, name)) for name in PASSED_ON}
        settings["assistant_data"] = str(tmp_path)
        spec = {"settings": settings, "job": to_json(job, Job), "deaths": deaths}
        program = [sys.executable, str(Path(__file__).parents[1] / "support" / "review_to_kill.py")]
        done = subprocess.run(program, input=json.dumps(spec), capture_output=True, text=True, timeout=120, check=False)
        again = len(product.model.asked) - asked
        reviews = [len(pull.reviews) for pull in pulls]
        ended = pulls[1].check_runs()[-1].status
    finally:
        product.close()

    assert json.loads(done.stdout.splitlines()[-1]) == [-signal.SIGKILL] * len(deaths) + [0], done.stderr
    assert asked == again == 5
    assert reviews == [1, 1]
    assert ended == "completed"
