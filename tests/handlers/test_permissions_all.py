"""Who may: every event we subscribe to, by every kind of person and bot, through the one gate."""

import asyncio
import itertools

import pytest

from bot.app import UseCases, build_answerer, build_reviewer, build_router
from bot.core.code.pull_request import PullRef
from bot.core.comments.check_run import waiting
from bot.core.comments.marker import Signer
from bot.core.comments.post import Comment, ReviewPost
from bot.handlers.permissions import Gate
from bot.handlers.route import Router
from bot.hosts.github.host import GitHubHost
from bot.hosts.github.publisher import GitHubPublisher
from bot.interfaces import Handlers
from bot.job import Job, Route, decide
from bot.sandbox.sandbox import Sandbox
from bot.sandbox.world import conversation, faults
from bot.sandbox.world.hooks import emit
from bot.sandbox.world.state import User
from bot.settings import Settings
from bot.standards.local import FolderStandards
from bot.storage.conversations import ConversationStore, RequestLimits
from bot.storage.database import Database
from bot.storage.ledger import Ledger
from bot.webhook import EVENTS, parse
from tests.support.github_client import connect
from tests.support.inline_engine import InlineEngine

BASE = {"app.py": "x = 1\n"}
TRIAGE = BASE | {".github/assistant.yml": "minimum_permission: triage\n"}
RENOVATE, LISTED = User(9_001, "renovate[bot]", "Bot"), User(9_002, "deploy[bot]", "Bot")
EVERYBODY = ["reader", "stranger", "triage", "triage_by_policy", "writer", "maintainer", "owner", "member_in_private"]
EVERYBODY += ["unknown_to_the_api", "broken_api", "silent_api", "bot", "listed_bot", "ourselves"]
CONCEALED = {"member_in_private", "unknown_to_the_api", "broken_api", "silent_api"}
MAY = {"triage_by_policy", "writer", "maintainer", "owner", "member_in_private", "listed_bot"}
ROLES = {
    "reader": "read",
    "triage": "triage",
    "triage_by_policy": "triage",
    "writer": "write",
    "maintainer": "maintain",
}


class Scene:
    """One repository with a pull request that has a finding of ours, and the router."""

    numbers = itertools.count(1)

    def __init__(self, world, kind):
        self.world, self.kind = world, kind

    async def start(self):
        sandbox = self.world.sandbox
        files = TRIAGE if self.kind == "triage_by_policy" else BASE
        self.repo = await sandbox.repository(f"acme/shop-{next(self.numbers)}", files)
        self.repo.user("alice", "write")
        self.who = self._person()
        self.pull = await self.repo.open_pull("Pay", "Takes payments.", {"app.py": "x = 2\n"}, author="alice")
        installation = sandbox.world.installation_of(self.repo.state)
        self.ref = PullRef(self.repo.state.full_name, self.pull.number, self.repo.state.id, installation.id)
        key = self.world.signer.mark(self.ref, "review", "0" * 32)
        said = Comment("app.py", f"Hm. {self.world.signer.mark(self.ref, 'finding', '1' * 32)}", 1)
        reviewed = await self.world.host.pull_request(self.ref)
        await self.world.publisher.review(reviewed, ReviewPost(key, self.pull.head, f"One. {key}", (said,)))
        return self

    def _person(self):
        name = {"bot": RENOVATE.login, "listed_bot": LISTED.login, "ourselves": self.world.us.login, "owner": "acme"}
        login = name.get(self.kind, f"{self.kind}-{self.repo.state.name}")
        if login not in {*name.values()} and self.kind != "stranger":
            self.repo.user(login, ROLES.get(self.kind, "write"))
        if self.kind in CONCEALED:
            self.repo.state.concealed.add(login)
        return login

    async def act(self, event):
        """Let it happen; the jobs that came of it, as the sender is shown to us."""
        self.world.sandbox.deliveries.clear()
        await ACTS[event](self)
        deliveries = [one for one in self.world.sandbox.deliveries if f"{one.event}.{one.action}" == event]
        assert deliveries, [f"{one.event}.{one.action}" for one in self.world.sandbox.deliveries]
        parsed = [parse({k.lower(): v for k, v in one.headers.items()}, one.body) for one in deliveries]
        return [job for job in map(decide, parsed) if isinstance(job, Job)]

    async def route(self, event):
        """What the router makes of it; None where the front door let nothing in."""
        routed = None
        for job in await self.act(event):
            self._break_the_api()
            routed = await self.world.router(job, _step)
            self.world.sandbox.asgi.planned.clear()
        return routed

    def _break_the_api(self):
        asked = ("GET", "*/permission")
        broken = {
            "broken_api": faults.server_error(*asked),
            "silent_api": faults.dropped(*asked),
            "unknown_to_the_api": faults.not_found(*asked),
        }
        if self.kind in broken:
            self.world.sandbox.plan(broken[self.kind])


async def _step(_name, work, _kind):
    return await work()


async def _comment(scene):
    scene.pull.comment(scene.who, "/assistant review")


async def _edited(scene):
    said = scene.pull.comment(scene.who, "Hello.")
    scene.pull.edit(said, scene.who, "/assistant review")


async def _reply(scene):
    scene.pull.reply(scene.pull.comments[0].id, scene.who, "Why?")


async def _review(scene):
    scene.pull.review(scene.who, "/assistant review")


async def _label(scene):
    scene.pull.label(scene.who, "assistant:review")


async def _unlabel(scene):
    scene.pull.state.labels.append("assistant:review")
    scene.pull.unlabel(scene.who, "assistant:review")


async def _resolve(scene):
    scene.pull.resolve(scene.pull.comments[0], scene.who)


async def _unresolve(scene):
    scene.pull.resolve(scene.pull.comments[0], scene.who, done=False)


async def _suite(scene):
    scene.pull.rerequest_all(scene.who)


def _check(action):
    async def act(scene):
        key = f"review/{scene.ref.repo_id}/{scene.ref.number}/{scene.pull.head}"
        run = await scene.world.check_run(scene, key)
        scene.pull.press(run, "full", scene.who) if action else scene.pull.rerequest(run, scene.who)

    return act


async def _open(scene):
    fork = not scene.who.endswith("[bot]")  # a bot pushes to the repository it is installed on
    scene.opened = await scene.repo.open_pull("Mine", "It is.", {"b.py": "y = 1\n"}, author=scene.who, fork=fork)


async def _push(scene):
    await _open(scene)
    await scene.opened.push({"c.py": "z = 1\n"})


async def _ready(scene):
    await _open(scene)
    scene.opened.ready(scene.who)


async def _reopen(scene):
    await _open(scene)
    scene.opened.reopen(scene.who)


async def _rebase_onto_another_branch(scene):
    await _open(scene)
    changes = {"base": {"ref": {"from": "old"}}}
    who = scene.repo.world.user(scene.who)
    conversation.announce(scene.repo.world, scene.repo.state, scene.opened.state, "edited", who, changes=changes)


async def _close(scene):
    await scene.pull.close(scene.who)


async def _draft(scene):
    scene.pull.convert_to_draft(scene.who)


async def _queue(scene):
    group = {"head_sha": scene.pull.head, "head_ref": f"refs/heads/gh-readonly-queue/main/pr-1-{scene.pull.head}"}
    world, repo = scene.repo.world, scene.repo.state
    emit(world, repo, "merge_group", "checks_requested", world.user(scene.who), merge_group=group)


ASKED = {
    "issue_comment.created": _comment,
    "issue_comment.edited": _edited,
    "pull_request_review_comment.created": _reply,
    "pull_request_review.submitted": _review,
    "pull_request.labeled": _label,
    "pull_request.unlabeled": _unlabel,
    "pull_request_review_thread.resolved": _resolve,
    "pull_request_review_thread.unresolved": _unresolve,
    "check_run.rerequested": _check(""),
    "check_run.requested_action": _check("full"),
    "check_suite.rerequested": _suite,
}
AUTOMATIC = {
    "pull_request.opened": _open,
    "pull_request.synchronize": _push,
    "pull_request.ready_for_review": _ready,
    "pull_request.reopened": _reopen,
    "pull_request.edited": _rebase_onto_another_branch,
}
FREE = {
    "pull_request.closed": _close,
    "pull_request.converted_to_draft": _draft,
    "merge_group.checks_requested": _queue,
}
ACTS = ASKED | AUTOMATIC | FREE


class House:
    """A sandbox, our client to it, and the router with its gate, which lists a bot and, by mistake, ourselves."""

    def __init__(self, folder):
        self.sandbox, self.scenes = Sandbox.create(folder / "github"), {}
        self.us = self.sandbox.world.app.bot
        self.sandbox.world.users |= {bot.login: bot for bot in (RENOVATE, LISTED)}
        client = connect(self.sandbox)
        self.host, self.publisher = GitHubHost(client), GitHubPublisher(client)
        self.signer = Signer(b"ours")
        self.ledger = Ledger(Database(f"sqlite:///{folder}/ledger.db"))
        self.ledger.database.migrate()
        correspondence = ConversationStore(self.ledger.database)
        limits = RequestLimits(person=10_000, repository=10_000)
        gate = Gate(self.host, correspondence, {LISTED.id, self.us.id, self.sandbox.world.app.id}, limits)
        self.router = Router(self.host, self.publisher, gate, correspondence, self.signer)

    async def check_run(self, scene, key):
        await self.publisher.check(await self.host.pull_request(scene.ref), waiting(key))
        return scene.pull.check_runs()[-1]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    house = House(tmp_path_factory.mktemp("house"))
    yield house
    house.ledger.database.close()


def routed(house, kind, event):
    """What becomes of an event by a person; they act on one pull request, unless the act is its end."""

    async def play():
        scene = None if event in FREE else house.scenes.get(kind)
        if scene is None:
            scene = await Scene(house, kind).start()
        if event not in FREE:
            house.scenes[kind] = scene
            scene.pull.state.labels.clear()
        return await scene.route(event), scene

    return asyncio.run(play())


def test_every_event_we_subscribe_to_is_in_the_table():
    assert {event.partition(".")[0] for event in ACTS} == EVENTS


@pytest.mark.parametrize("event", ASKED)
@pytest.mark.parametrize("kind", EVERYBODY)
def test_what_somebody_asks_for_takes_the_permission_that_the_policy_names(house, kind, event):
    decided, _ = routed(house, kind, event)

    answered = decided is not None and decided.route is not Route.NOTHING
    bots_are_not_asked = kind == "listed_bot" and event in {
        "pull_request_review_comment.created",
        "pull_request_review_thread.resolved",
        "pull_request_review_thread.unresolved",
    }
    assert answered == (kind in MAY and not bots_are_not_asked)


@pytest.mark.parametrize("event", AUTOMATIC)
@pytest.mark.parametrize("kind", EVERYBODY)
def test_in_public_a_newcomer_waits_for_the_label_and_nobody_else_does(house, kind, event):
    decided, _ = routed(house, kind, event)

    known = MAY | {"reader", "triage"}  # GitHub shows these as collaborators: they are not new
    known |= {"bot", "listed_bot", "ourselves"}  # who pushes to the repository could write there before
    assert (decided.route is Route.REVIEW) == (kind in known)
    assert decided.visible == (kind not in known)


@pytest.mark.parametrize("event", FREE)
@pytest.mark.parametrize("kind", ["stranger", "bot", "writer"])
def test_what_costs_nothing_is_done_for_everybody(house, kind, event):
    decided, scene = routed(house, kind, event)

    if event.startswith("merge_group"):
        assert decided.route is Route.NOTHING
        assert [(run.status, run.conclusion) for run in scene.pull.check_runs()] == [("completed", "neutral")]
    else:
        assert decided.route is Route.STOP


class Instance:
    """One of two deployments: an App of its own on a GitHub of its own, which lists the other's bot. Nothing is queued."""

    def __init__(self, folder):
        folder.mkdir()
        self.sandbox, self.told = Sandbox.create(folder / "github"), 0
        self.sandbox.world.users[OTHER.login] = OTHER
        self.ledger = Ledger(Database(f"sqlite:///{folder}/ledger.db"))
        self.ledger.database.migrate()
        settings = Settings.read(_env_file=None, assistant_model_api="offline", assistant_bots=str(OTHER.id))
        client = connect(self.sandbox)
        standards = FolderStandards(folder / "standards.db")
        parts = UseCases(settings, GitHubHost(client), GitHubPublisher(client), standards, self.ledger, Signer(b"ours"))
        reviewer, answerer = build_reviewer(parts), build_answerer(parts)
        handlers = Handlers(build_router(parts), reviewer, answerer, reviewer.abandon, answerer.fail)
        self.engine = InlineEngine(handlers)

    async def settle(self):
        """Work on what was delivered, until nothing is left; what we said since the last time."""
        while pending := [one for one in self.sandbox.deliveries if one.code is None]:
            for one in pending:
                one.code = 202
                job = decide(parse({name.lower(): value for name, value in one.headers.items()}, one.body))
                if isinstance(job, Job):
                    await self.engine.submit(job)
        said = [one.body for one in self.pull.state.comments if one.author == self.sandbox.world.app.bot]
        new, self.told = said[self.told :], len(said)
        return new


OTHER = User(5_001, "other[bot]", "Bot")


def test_two_of_our_bots_exchange_at_most_one_reply_each(tmp_path):
    """They are on one pull request and list each other: what one says, the other hears from its bot, again and again."""

    async def story():
        here, there = Instance(tmp_path / "here"), Instance(tmp_path / "there")
        for one in (here, there):
            repo = await one.sandbox.repository("acme/shop", BASE, private=True)
            one.pull = await repo.open_pull("Pay", "", {"app.py": "x = 2\n"}, draft=True)
            await one.settle()
        here.pull.comment(OTHER.login, "/assistant help")
        said = []
        for _ in range(3):
            for one, other in ((here, there), (there, here)):
                words = await one.settle()
                said += words
                for body in words:
                    other.pull.comment(OTHER.login, body)
        for one in (here, there):
            one.ledger.database.close()
        return said

    (answer,) = asyncio.run(story())

    assert "| `/assistant help` |" in answer
