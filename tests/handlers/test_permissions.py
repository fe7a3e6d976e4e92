"""The gate alone: every kind of sender and what it decides, against one repository of the sandbox."""

import asyncio
from dataclasses import replace

import pytest

from bot.core.policy import Policy
from bot.errors import Refused, Retryable
from bot.handlers.permissions import Admission, Gate
from bot.job import Job, Trigger
from bot.storage.conversations import ConversationStore, RequestCount, RequestLimits
from bot.storage.database import Database
from bot.storage.tables import ASKED
from tests.support.github_client import hosted

ROLES = {"rita": "read", "tim": "triage", "wanda": "write", "mia": "maintain", "anna": "admin"}


class Porch:
    """A gate, and a pull request of a repository whose people have every role."""

    def __init__(self, folder):
        self.folder, self.asked, self.number = folder, [], 0
        self.database = Database(f"sqlite:///{folder}/ledger.db")
        self.database.migrate()
        asyncio.run(self._build())

    async def _build(self):
        self.github = await hosted(self.folder / "github", {"app.py": "x = 1\n"})
        for login, role in ROLES.items():
            self.github.repo.user(login, role)
        self.ref = self.github.ref(await self.github.repo.open_pull("Pay", "", {"app.py": "x = 2\n"}))
        self.pull = await self.github.host.pull_request(self.ref)

    def gate(self, **limits):
        return Gate(self.github.host, ConversationStore(self.database), (0, 8, 9), RequestLimits(**limits))

    def job(self, actor="wanda", trigger=Trigger.COMMAND, **more):
        self.number += 1
        who = {"actor": actor, "actor_id": self.github.sandbox.world.user(actor).id} if actor else {}
        return Job(f"delivery/{self.number}", self.ref, trigger, **who | more)

    async def step(self, name, work, _kind):
        self.asked.append(name)
        return await work()

    def admission(self, gate, job, policy=None, step=None):
        return asyncio.run(gate(job, policy or Policy(), self.pull, step or self.step))


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    porch = Porch(tmp_path_factory.mktemp("porch"))
    yield porch
    porch.database.close()


@pytest.fixture
def porch(house):
    """Each test begins a day on which nothing was asked."""
    house.asked.clear()
    asyncio.run(house.database.run(lambda connection: connection.execute(ASKED.delete())))
    return house


@pytest.mark.parametrize(
    ("actor_id", "app", "is_bot", "reason"),
    [
        (7, 0, False, ""),
        (50, 0, True, "bots cannot use commands"),
        (0, 0, True, "bots cannot use commands"),
        (1, 1, True, "bots cannot use commands"),
        (8, 0, True, ""),
        (50, 9, True, ""),
        (8, 1234, True, "never ourselves"),
    ],
)
def test_of_bots_only_those_on_the_list_may_ask_and_never_we_ourselves(porch, actor_id, app, is_bot, reason):
    app_id = porch.github.sandbox.world.app.id if app == 1234 else app
    job = replace(porch.job("robot[bot]"), actor_id=actor_id, actor_is_bot=is_bot, actor_app=app_id)

    assert asyncio.run(porch.gate().ignores(job, porch.step)) == reason


@pytest.mark.parametrize("minimum", ["triage", "write"])
def test_the_permission_that_the_policy_names_is_enough_and_less_is_refused_with_its_name(porch, minimum):
    order = [*ROLES.values()]
    for login, role in ROLES.items():
        decided = porch.admission(porch.gate(), porch.job(login), Policy(minimum_permission=minimum))

        if order.index(role) >= order.index(minimum):
            assert decided == Admission(admitted=True)
        else:
            reason = f"{login} cannot use commands here: this needs {minimum} permission or more"
            assert decided == Admission(admitted=False, reason=reason, tell=True)


def test_only_an_owner_is_believed_without_asking_github(porch):
    for association in ("OWNER", "MEMBER", "COLLABORATOR", "CONTRIBUTOR", "NONE"):
        stranger = porch.job("eve", actor_association=association)
        assert porch.admission(porch.gate(), stranger).admitted == (association == "OWNER")
        assert porch.asked == ["counted"] if association == "OWNER" else porch.asked[0] == "permission of eve"
        porch.asked.clear()
    assert not porch.admission(porch.gate(), porch.job("")).admitted
    assert porch.asked == ["counted"]


@pytest.mark.parametrize("error", [Retryable, Refused])
def test_a_permission_that_cannot_be_found_out_is_a_no(porch, error):
    async def unsure(name, work, kind):
        if name.startswith("permission"):
            raise error(name)
        return await porch.step(name, work, kind)

    assert not porch.admission(porch.gate(), porch.job("anna"), step=unsure).admitted


def test_a_listed_bot_is_asked_for_no_permission(porch):
    assert porch.admission(porch.gate(), porch.job("robot[bot]", actor_is_bot=True)) == Admission(admitted=True)
    assert porch.asked == ["counted"]


def test_a_refusal_may_be_told_once_a_day(porch):
    decided = [porch.admission(porch.gate(), porch.job("eve")) for _ in range(3)]

    assert [(one.admitted, one.tell) for one in decided] == [(False, True), (False, False), (False, False)]
    assert len({one.reason for one in decided}) == 1


def test_one_request_too_many_is_refused_with_the_limit_and_told_once(porch):
    decided = [porch.admission(porch.gate(person=1), porch.job()) for _ in range(3)]

    limit = "more than 1 requests of one person within an hour"
    assert decided[0] == Admission(admitted=True)
    assert [(one.admitted, one.tell, limit in one.reason) for one in decided[1:]] == [
        (False, True, True),
        (False, False, True),
    ]


@pytest.mark.parametrize("trigger", [Trigger.RESOLVED, Trigger.UNRESOLVED, Trigger.UNLABEL])
def test_what_nobody_is_answered_for_is_not_counted_unless_it_is_refused(porch, trigger):
    gate = porch.gate(person=1)
    for _ in range(3):
        assert porch.admission(gate, porch.job(trigger=trigger)) == Admission(admitted=True)
    assert "counted" not in porch.asked
    assert porch.admission(gate, porch.job()) == Admission(admitted=True)

    assert not porch.admission(gate, porch.job("eve", trigger)).admitted
    assert porch.asked[-1] == "counted"


def test_events_that_start_a_review_by_themselves_are_bounded(porch):
    gate = porch.gate(automatic=1)
    counted = [asyncio.run(gate.bounds(porch.job(trigger=Trigger.PUSHED), porch.step)) for _ in range(2)]

    over = "more than 1 automatic reviews of this pull request within a day"
    assert counted == [RequestCount(), RequestCount(over, tell=True)]
