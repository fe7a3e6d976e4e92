"""A delivery becomes a review: our real server against the sandbox GitHub, over HTTP."""

import asyncio

import httpx
import pytest

from bot.demo import stage
from bot.engines.durable import Pace
from bot.sandbox import faults
from tests.deliveries import signed

FAST = Pace(debounce=0, poll=0.05, patience=60)
RULES = "# Errors\n\n## Bare except\n\nNever catch with a bare `except:`; name the exception class.\n"
BASE = {"app.py": "def pay(order):\n    return order\n", "docs/standards/python.md": RULES}
FLAWED = "def pay(order):\n    try:\n        charge(order)\n    except:\n        pass\n    return order\n"


async def opened(here, files=None, **options):
    repo = await here.sandbox.repository("octo/shop", BASE, private=True)
    repo.user("alice", "write")
    return await repo.open_pull("Pay", "Takes payments.", files or {"app.py": FLAWED}, **options)


def test_an_opened_pull_request_gets_one_review_with_inline_comments_and_a_check_run(tmp_path):
    async def story():
        async with stage(tmp_path, FAST) as here:
            pull = await opened(here)
            await here.settle()

            (review,) = pull.reviews
            (check,) = pull.check_runs()
            assert review.state == "COMMENTED"
            assert "Checks only" in review.body
            assert {comment.path for comment in pull.comments} == {"app.py"}
            assert any("docs/standards/python.md" in comment.body for comment in pull.comments)
            assert (check.status, check.conclusion) == ("completed", "neutral")
            assert "Coverage" in check.text

    asyncio.run(story())


@pytest.mark.parametrize("again", ["same", "push"])
def test_what_was_said_is_not_said_again(tmp_path, again):
    async def story():
        async with stage(tmp_path, FAST) as here:
            pull = await opened(here)
            await here.settle()
            said = len(pull.comments)
            if again == "push":
                await pull.push({"app.py": "# Payments.\n" + FLAWED})
            else:
                pull.comment("alice", "/assistant review")
            await here.settle()

            assert said
            assert len(pull.comments) == said
            assert len(pull.reviews) == 1
            assert "still open" in pull.check_runs()[-1].title

    asyncio.run(story())


def test_one_delivery_sent_a_hundred_times_at_once_is_one_review(tmp_path):
    async def story():
        async with stage(tmp_path, FAST) as here:
            pull = await opened(here)
            (delivery,) = here.sandbox.deliveries
            async with httpx.AsyncClient() as client:
                answers = await asyncio.gather(
                    *(client.post(here.webhook, content=delivery.body, headers=delivery.headers) for _ in range(100))
                )
            await here.settle()

            statuses = sorted(answer.json()["status"] for answer in answers)
            assert statuses == ["accepted"] + ["duplicate"] * 99
            assert len(pull.reviews) == 1

    asyncio.run(story())


def test_a_clean_change_gets_no_review_and_says_in_the_check_what_it_is_worth(tmp_path):
    async def story():
        async with stage(tmp_path, FAST) as here:
            pull = await opened(here, {"app.py": "def pay(order):\n    return order.total\n"})
            await here.settle()

            assert pull.reviews == []
            (check,) = pull.check_runs()
            assert check.conclusion == "neutral"
            assert "Checks only" in check.summary

    asyncio.run(story())


@pytest.mark.parametrize(
    ("who", "role", "words", "reviews", "answers"),
    [
        ("alice", "write", "/assistant review", 1, 0),
        ("alice", "write", "/assistant help", 0, 1),
        ("alice", "write", "/assistant revue", 0, 1),
        ("alice", "write", "/assistant standards may I use a bare except?", 0, 1),
        ("mallory", "read", "/assistant review", 0, 0),
        ("mallory", "triage", "/assistant help", 0, 0),
        ("stranger", "none", "/assistant review", 0, 0),
    ],
)
def test_commands_are_obeyed_for_those_who_may_write(tmp_path, who, role, words, reviews, answers):
    async def story():
        async with stage(tmp_path, FAST) as here:
            repo = await here.sandbox.repository("octo/shop", BASE, private=True)
            repo.user(who, role)
            pull = await repo.open_pull("Pay", "", {"app.py": FLAWED}, draft=True)
            await here.settle()
            pull.comment(who, words)
            await here.settle()

            assert len(pull.reviews) == reviews
            assert len([said for said in pull.state.comments if said.author.kind == "Bot"]) == answers

    asyncio.run(story())


def test_the_label_of_somebody_who_may_write_starts_a_review_of_a_draft(tmp_path):
    async def story():
        async with stage(tmp_path, FAST) as here:
            pull = await opened(here, draft=True)
            await here.settle()
            assert pull.reviews == []
            pull.label("alice", "assistant:review")
            await here.settle()

            assert len(pull.reviews) == 1
            assert pull.state.labels == []

    asyncio.run(story())


@pytest.mark.parametrize(
    "fault",
    [
        faults.server_error("GET", "*/pulls/*"),
        faults.server_error("GET", "*/files"),
        faults.lost_answer("POST", "*/reviews"),
        faults.dropped("POST", "*/reviews"),
        faults.bad_credentials("GET", "*/files"),
        faults.bad_credentials("POST", "*/reviews"),
        faults.server_error("POST", "*/check-runs"),
    ],
    ids=lambda fault: f"{fault.status}-{fault.method}-{fault.path.strip('*/')}",
)
def test_one_fault_of_github_costs_a_retry_and_nothing_is_said_twice(tmp_path, fault):
    async def story():
        async with stage(tmp_path, FAST) as here:
            here.sandbox.plan(fault)
            pull = await opened(here)
            await here.settle()

            assert len(pull.reviews) == 1
            assert [run.status for run in pull.check_runs()] == ["completed"]

    asyncio.run(story())


def test_a_forged_delivery_leaves_nothing_behind(tmp_path):
    async def story():
        async with stage(tmp_path, FAST) as here:
            headers, body = signed({"action": "opened"}, secret=b"guessed")
            async with httpx.AsyncClient() as client:
                answer = await client.post(here.webhook, content=body, headers=headers)

            assert answer.status_code == 401
            assert await here.app.engine.jobs() == ()

    asyncio.run(story())
