"""Every way in which a model server is known to fail, in the middle of a whole review: no green check, no lost job."""

import asyncio
import time
from dataclasses import replace

import pytest

from bot.app import UseCases, build_model, build_reviewer
from bot.core.code.pull_request import PullRef
from bot.core.comments.marker import Signer
from bot.engine import journal
from bot.engine.durable import Pace
from bot.errors import Forbidden, NotFound
from bot.hosts.local import LocalHost
from bot.job import Job, Trigger
from bot.settings import Settings
from bot.standards.local import FolderStandards
from bot.storage.database import Database
from bot.storage.ledger import Ledger
from tests.support.model_faults import AGAIN, FAULTS, WAIT
from tests.support.model_server import ModelServer
from tests.support.model_turns import calls, ends, fails, refuses, says
from tests.support.product_with_model import ProductWithModel, Request
from tests.support.scripted_model import findings

BASE = {"app.py": "def pay(order):\n    return order\n", "README.md": "Pays.\n"}
CODE = {
    "app.py": "def pay(order):\n    return order.total\n",
    "tests/test_app.py": "def test_pay():\n    assert True\n",
}
PATCH = "--- /dev/null\n+++ b/app.py\n@@ -0,0 +1,2 @@\n+def pay(order):\n+    return order.total\n"
FEW = {"assistant_checks": "hygiene", "assistant_passes": "correctness,security"}

ANSWERS = {
    "cut off once": ([ends("length", '{"walk')], ""),
    "cut off twice": ([ends("length"), ends("length")], "the answer was cut off at 48000 tokens"),
    "content filter": ([ends("content_filter")], "the answer is incomplete: content_filter"),
    "steered": ([ends("steered", "{}")], "the answer is incomplete: steered"),
    "refusal": ([refuses()], "the model refused to answer"),
    "not JSON, once": ([says("{not json")], ""),
    "not JSON, twice": ([says("{not json"), says("sorry")], "the model gave no valid answer"),
    "another shape, twice": ([says({"findings": 1}), says({"findings": 2})], "the model gave no valid answer"),
    "only thoughts, twice": ([says(""), says("")], "the model gave no valid answer"),
    "tools for ever": ([calls(("no_such_tool", {}))] * 14, "it kept calling tools"),
}
TROUBLE = {name: ([turn], kind, detail) for name, (turn, kind, detail) in FAULTS.items()}
TROUBLE |= {name: (turns, None if reason else AGAIN, reason) for name, (turns, reason) in ANSWERS.items()}
LASTING = "down all day"
TRANSIENT = [name for name, (_, kind, _) in TROUBLE.items() if kind in {WAIT, AGAIN}]
FATAL = [name for name, (_, kind, _) in TROUBLE.items() if kind in {Forbidden, NotFound}]
PARTIAL = [name for name in TROUBLE if name not in {*TRANSIENT, *FATAL}]


class Troubled:
    """Answers well but for what befalls the first pass of the pull request with the trouble's name."""

    def __init__(self):
        self.left = {name: list(turns) for name, (turns, _, _) in TROUBLE.items()}
        self.asked = {}

    def __call__(self, body):
        asked = Request(body)
        name = asked.blocks["pull_request"][0].partition("\n")[0]
        self.asked.setdefault(name, []).append(asked.lens)
        if name == LASTING and asked.lens == "correctness":
            return fails(500)
        left = self.left.get(name, ())
        return left.pop(0) if left and asked.lens == "correctness" else says(findings())


@pytest.fixture(scope="module")
def troubled():
    return Troubled()


@pytest.fixture(scope="module")
def checks(troubled, tmp_path_factory):
    """The check run of a review in each trouble, by its name. Waiting takes no time."""
    folder, server = tmp_path_factory.mktemp("trouble"), ModelServer(troubled)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "delay", lambda *_: 0.0)
        return asyncio.run(reviewed(folder, server, (*TROUBLE, LASTING)))


async def reviewed(folder, server, names):
    """Review the same change under many titles, each by our own use case, which posts to a host of its own."""
    settings = Settings.read(_env_file=None, openai_api_key="sk-secret", openai_base_url="http://model.test/v1", **FEW)
    ledger = Ledger(Database(f"sqlite:///{folder}/ledger.db"))
    ledger.database.migrate()
    model = build_model(settings, b"pepper")
    model.endpoint.transport = server.transport()
    checks = {}
    for number, name in enumerate(names, 1):
        host = await LocalHost.from_patch(PATCH, folder)
        host.pull = replace(host.pull, ref=PullRef("octo/shop", number, number, 1), title=name)
        parts = UseCases(settings, host, host, FolderStandards(":memory:"), ledger, Signer(b"key"), model)
        await build_reviewer(parts)(Job(f"job-{number}", host.pull.ref, Trigger.OPENED), journal.InlineSteps())
        checks[name] = host.concluded
    await model.close()
    ledger.database.close()
    return checks


def ended(check):
    assert check.status == "completed"
    return check


def row(check, name):
    return next(line for line in check.text.splitlines() if f"| `{name}` |" in line)


@pytest.mark.parametrize("name", TRANSIENT)
def test_what_passes_is_tried_again_and_the_review_is_whole(checks, troubled, name):
    check = ended(checks[name])

    assert len(troubled.asked[name]) == 2 + len(TROUBLE[name][0])
    assert row(check, "correctness") == "| reviewed | `correctness` | 1 of 1 readings |"
    assert check.conclusion == "success"


@pytest.mark.parametrize("name", PARTIAL)
def test_a_pass_that_fails_is_a_row_with_its_reason_and_no_green_check(checks, name):
    check = ended(checks[name])

    assert row(check, "correctness").startswith("| failed |")
    assert TROUBLE[name][2].removesuffix(" (HTTP 400 invalid_value") in row(check, "correctness")
    assert row(check, "security") == "| reviewed | `security` | 1 of 1 readings |"
    assert check.conclusion == "neutral"
    assert "1 not reviewed" in check.title


@pytest.mark.parametrize("name", FATAL)
def test_a_server_that_will_not_serve_us_is_asked_once(checks, troubled, name):
    check = ended(checks[name])

    assert troubled.asked[name] == ["correctness"]
    assert TROUBLE[name][2] or name == "unknown model"
    for lens in ("correctness", "security"):
        assert row(check, lens).startswith("| failed |")
        assert str(TROUBLE[name][2]) in row(check, lens)
    assert check.conclusion == "neutral"
    assert "not reviewed" in check.title
    assert "sk-" not in check.text


def test_a_server_that_stays_away_ends_in_a_failed_pass_not_in_a_lost_job(checks, troubled):
    check = ended(checks[LASTING])

    assert troubled.asked[LASTING].count("correctness") == 8
    assert "the model server failed (HTTP 500)" in row(check, "correctness")
    assert row(check, "security").startswith("| reviewed |")
    assert check.conclusion == "neutral"


def test_a_long_wait_gives_the_worker_back():
    """One worker: while the first review waits as it was told to, the second is done."""
    told, order = [], []

    def script(body):
        name = Request(body).blocks["pull_request"][0].partition("\n")[0]
        if name == "first" and not told:
            told.append(time.monotonic())
            return fails(429, "rate_limit_exceeded", retry_after="1")
        order.append(name)
        return says(findings())

    product = ProductWithModel(script, pace=Pace(debounce=0, poll=0.03, patience=0.5, retry=0.05, workers=1), **FEW)
    try:
        repo = product.repository(BASE)
        first = product.play(repo.open_pull("first", "", CODE))
        product.play(product.here.deliver())
        while not told:
            time.sleep(0.01)
        second = product.play(repo.open_pull("second", "", CODE))
        product.settle()
        waited = time.monotonic() - told[0]
    finally:
        product.close()

    assert order == ["second", "second", "first", "first"]
    assert waited >= 1
    assert [pull.check_runs()[0].conclusion for pull in (first, second)] == ["success", "success"]
