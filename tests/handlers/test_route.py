"""Drafts, newcomers, pauses, floods and refusals: what is decided once the world was asked."""

import asyncio
from dataclasses import replace

import pytest

from bot.core.code.pull_request import PullRef
from bot.core.comments.marker import Signer
from bot.handlers.permissions import Gate
from bot.handlers.route import Router
from bot.job import Job, Route, Trigger
from bot.storage.conversations import ConversationStore, RequestCount, RequestLimits
from bot.storage.database import Database
from bot.storage.ledger import Ledger
from tests.support.github_client import hosted

POLICY = ".github/assistant.yml"


class Desk:
    """A router in front of one repository of the sandbox."""

    def __init__(self, folder):
        self.folder, self.number = folder, 0
        self.ledger = Ledger(Database(f"sqlite:///{folder}/ledger.db"))
        self.ledger.database.migrate()
        self.correspondence = ConversationStore(self.ledger.database)

    async def open(self, policy="", *, private=False, limits=None, **options):
        files = {"app.py": "x = 1\n"} | ({POLICY: policy} if policy else {})
        self.github = await hosted(self.folder / "github", files, private=private)
        self.github.repo.user("alice", "write")
        gate = Gate(self.github.host, self.correspondence, (), limits or RequestLimits())
        self.router = Router(self.github.host, self.github.publisher, gate, self.correspondence, Signer(b"ours"))
        self.pull = await self.github.repo.open_pull("Pay", "", {"app.py": "x = 2\n"}, **options)
        return self

    async def route(self, trigger=Trigger.OPENED, actor="alice", text="", **more):
        self.number += 1
        person = self.github.sandbox.world.user(actor)
        comment = self.pull.comment(actor, text).id if trigger is Trigger.COMMAND else 0
        job = Job(
            f"delivery/{self.number}",
            self.github.ref(self.pull),
            trigger,
            actor=actor,
            actor_id=person.id,
            text=text,
            comment=comment,
            thread="comment" if comment else "",
        )
        job = replace(job, **more)
        routed = await self.router(job, self._step)
        if routed.visible or routed.route is Route.REVIEW:
            await self.router.announce(replace(job, seen=routed.seen), routed.reason, self._step)
        return routed

    async def _step(self, _name, work, _kind):
        return await work()

    @property
    def said(self):
        return [one.body for one in self.pull.state.comments if one.author.kind == "Bot"]

    @property
    def check(self):
        return self.pull.check_runs()[-1]


@pytest.fixture
def play(tmp_path):
    """Tell a story to a router; its argument makes the desk."""

    def run(story):
        desk = Desk(tmp_path)
        try:
            return asyncio.run(story(desk))
        finally:
            desk.ledger.database.close()

    return run


@pytest.mark.parametrize(
    ("newcomers", "private", "starts"),
    [
        ("", False, False),
        ("", True, True),
        ("always", False, True),
        ("after_label", True, False),
        ("collaborators", True, False),
    ],
)
def test_the_policy_says_what_becomes_of_a_newcomers_pull_request(play, newcomers, private, starts):
    policy = f"triggers: {{first_time_contributors: {newcomers}}}\n" if newcomers else ""

    async def story(desk):
        await desk.open(policy, private=private, author="newcomer", fork=True)
        return await desk.route(actor="newcomer"), desk

    routed, desk = play(story)

    assert (routed.route is Route.REVIEW) == starts
    if not starts:
        assert "a maintainer can start the review with the label assistant:review" in desk.check.summary


@pytest.mark.parametrize(("newcomers", "starts"), [("after_label", True), ("collaborators", False)])
def test_a_label_lets_a_newcomer_in_where_the_policy_says_so(play, newcomers, starts):
    async def story(desk):
        await desk.open(f"triggers: {{first_time_contributors: {newcomers}}}\n", author="newcomer", fork=True)
        desk.pull.label("alice", "assistant:review")
        return await desk.route(Trigger.PUSHED, actor="newcomer")

    assert (play(story).route is Route.REVIEW) == starts


@pytest.mark.parametrize(
    ("policy", "trigger", "starts"),
    [
        ("", Trigger.OPENED, True),
        ("triggers: {opened: false}", Trigger.OPENED, False),
        ("triggers: {opened: false}", Trigger.PUSHED, True),
        ("triggers: {pushed: false}", Trigger.PUSHED, False),
        ("triggers: {pushed: false}", Trigger.RECOVERED, True),
    ],
)
def test_the_policy_says_what_starts_a_review(play, policy, trigger, starts):
    async def story(desk):
        await desk.open(policy)
        return await desk.route(trigger)

    assert (play(story).route is Route.REVIEW) == starts


@pytest.mark.parametrize(("drafts", "starts"), [("true", True), ("false", False)])
def test_the_policy_says_whether_drafts_are_reviewed(play, drafts, starts):
    async def story(desk):
        await desk.open(f"triggers: {{drafts: {drafts}}}", draft=True)
        return await desk.route(), desk

    routed, desk = play(story)

    assert (routed.route is Route.REVIEW) == starts
    assert starts == (desk.check.status == "queued")


def test_a_refusal_is_said_once_a_day_to_a_person_on_a_pull_request(play):
    async def story(desk):
        await desk.open()
        for actor in ("eve", "eve", "mallory", "eve"):
            routed = await desk.route(Trigger.COMMAND, actor, "/assistant review")
            assert routed.route is Route.NOTHING
        return desk

    desk = play(story)

    assert len(desk.said) == 2
    assert all("cannot use commands here: this needs write permission or more" in body for body in desk.said)
    assert desk.pull.reviews == []
    assert [reaction for one in desk.pull.state.comments for _, _, reaction in one.reactions] == []


def test_a_crowd_of_strangers_does_not_make_us_fill_a_conversation(play):
    async def story(desk):
        await desk.open(limits=RequestLimits(refusals=3))
        for n in range(6):
            await desk.route(Trigger.COMMAND, f"stranger-{n}", "/assistant review")
        return desk

    assert len(play(story).said) == 3


def test_who_asks_too_often_is_asked_to_wait(play):
    async def story(desk):
        await desk.open(limits=RequestLimits(person=2))
        routes = [(await desk.route(Trigger.COMMAND, "alice", "/assistant status")).route for _ in range(4)]
        return routes, desk

    routes, desk = play(story)

    assert routes == [Route.ANSWER] * 2 + [Route.NOTHING] * 2
    assert ["more than 2 requests of one person within an hour" in body for body in desk.said] == [True]


def test_pushes_and_other_bases_are_reviewed_a_limited_number_of_times_a_day_and_that_is_said_once(play):
    async def story(desk):
        await desk.open(private=True, limits=RequestLimits(automatic=2))
        kinds = (Trigger.OPENED, Trigger.RETARGETED, Trigger.PUSHED, Trigger.RETARGETED, Trigger.RECOVERED)
        routes = [(await desk.route(kind)).route for kind in kinds]
        return routes, (await desk.route(Trigger.COMMAND, "alice", "/assistant review")).route, desk

    routes, asked, desk = play(story)

    assert routes == [Route.REVIEW] * 2 + [Route.NOTHING] * 3
    assert asked is Route.REVIEW, "a person may still ask"
    told = [run for run in desk.pull.check_runs() if "automatic reviews of this pull request" in str(run)]
    assert len(told) == 1
    assert desk.said == []


def test_one_person_uses_up_no_more_than_five_pull_requests_in_a_day(play):
    async def story(desk):
        await desk.open(private=True, limits=RequestLimits(automatic=1))
        routes = []
        for number in range(7):
            desk.pull = await desk.github.repo.open_pull(f"Pay {number}", "", {"app.py": f"x = {number}\n"})
            routes.append((await desk.route(Trigger.OPENED, "bob")).route)
        return routes

    assert play(story) == [Route.REVIEW] * 5 + [Route.NOTHING] * 2


@pytest.mark.parametrize("trigger", [Trigger.LABEL, Trigger.COMMAND])
def test_forty_labels_or_edits_of_somebody_without_permission_get_one_sign(play, trigger):
    async def story(desk):
        await desk.open()
        desk.pull.label("alice", "assistant:review")
        text = "assistant:review" if trigger is Trigger.LABEL else "/assistant review"
        routes = {(await desk.route(trigger, "mallory", text)).route for _ in range(40)}
        answer = await desk.route(Trigger.COMMAND, "alice", "/assistant help")
        return routes, answer.route, desk

    routes, answer, desk = play(story)

    assert routes == {Route.NOTHING}
    assert answer is Route.ANSWER
    assert len(desk.said) == 1
    assert sum(len(one.reactions) for one in desk.pull.state.comments) == 1, "the maintainer's"


def test_toggling_a_label_starts_a_limited_number_of_reviews_in_an_hour(play):
    async def story(desk):
        await desk.open(limits=RequestLimits(person=5))
        desk.pull.label("alice", "assistant:review")
        return [(await desk.route(kind, "alice", "assistant:review")).route for _ in range(8) for kind in _TOGGLES]

    routes = play(story)

    assert routes.count(Route.REVIEW) == 5
    assert routes.count(Route.STOP) == 8


_TOGGLES = (Trigger.LABEL, Trigger.UNLABEL)


def test_a_repository_is_limited_by_those_who_may_ask_alone(play):
    async def story(desk):
        await desk.open(limits=RequestLimits(repository=2))
        desk.github.repo.user("bob", "write")
        await desk.route(Trigger.COMMAND, "eve", "/assistant status")
        await desk.route(Trigger.COMMAND, "eve", "/assistant status")
        return [
            (await desk.route(Trigger.COMMAND, who, "/assistant status")).route for who in ("alice", "bob", "alice")
        ]

    assert play(story) == [Route.ANSWER, Route.ANSWER, Route.NOTHING]


def test_a_step_that_is_run_again_is_not_counted_again(tmp_path):
    ledger = Ledger(Database(f"sqlite:///{tmp_path}/ledger.db"))
    ledger.database.migrate()
    job = Job("delivery/1", PullRef("octo/shop", 1, 42), Trigger.COMMAND, actor_id=7)

    async def twice():
        book = ConversationStore(ledger.database)
        limits = RequestLimits(person=1)
        return [await book.count(job, limits, permitted=True) for _ in range(2)]

    assert asyncio.run(twice()) == [RequestCount(), RequestCount()]
    ledger.database.close()


def test_a_reply_costs_nobody_a_thought_unless_the_thread_is_ours(play):
    async def story(desk):
        await desk.open()
        said = await desk.pull.say("bob", "Is this right?", "app.py", 1)
        reply = desk.pull.reply(said.id, "alice", "Yes.")
        routed = await desk.route(
            Trigger.REPLY, "alice", "Yes.", comment=reply.id, thread="inline", in_reply_to=said.id
        )
        return routed, desk

    routed, desk = play(story)

    assert routed.route is Route.NOTHING
    assert not any("permission" in path for _, path in desk.github.asked())
    assert not any(one.reactions for one in desk.pull.comments)
