"""A delivery becomes a review: our real server against the sandbox GitHub, over HTTP."""

import asyncio

import httpx
import pytest

from bot.sandbox.world import faults
from tests.support.deliveries import signed
from tests.support.product import FLAWED, RunningProduct
from tests.support.run_records import run_records


@pytest.fixture(scope="module")
def product():
    product = RunningProduct()
    yield product
    product.close()


def test_an_opened_pull_request_gets_one_review_with_inline_comments_and_a_check_run(product):
    pull = product.open()
    product.settle()

    (review,) = pull.reviews
    (check,) = pull.check_runs()
    assert review.state == "COMMENTED"
    assert "Checks only" in review.body
    assert {comment.path for comment in pull.comments} == {"app.py"}
    assert any("docs/standards/python.md" in comment.body for comment in pull.comments)
    assert (check.status, check.conclusion) == ("completed", "neutral")
    assert "Coverage" in check.text


@pytest.mark.parametrize("again", ["asked", "pushed"])
def test_what_was_said_is_not_said_again(product, again):
    pull = product.open()
    product.settle()
    said = len(pull.comments)
    if again == "pushed":
        product.play(pull.push({"app.py": "# Payments.\n" + FLAWED}))
    else:
        pull.comment("alice", "/assistant review")
    product.settle()

    assert said
    assert len(pull.comments) == said
    assert len(pull.reviews) == 1
    assert "still open" in pull.check_runs()[-1].title


def test_one_delivery_sent_a_hundred_times_at_once_is_one_review(product):
    pull = product.open()
    delivery = product.sandbox.deliveries[-1]

    async def burst():
        async with httpx.AsyncClient() as client:
            send = (
                client.post(product.here.webhook, content=delivery.body, headers=delivery.headers) for _ in range(100)
            )
            return await asyncio.gather(*send)

    answers = product.play(burst())
    product.settle()

    assert sorted(answer.json()["status"] for answer in answers) == ["accepted"] + ["duplicate"] * 99
    assert len(pull.reviews) == 1


def test_a_clean_change_gets_no_review_and_says_in_the_check_what_it_is_worth(product):
    pull = product.open({"app.py": "def pay(order):\n    return order.total\n"})
    product.settle()

    assert pull.reviews == []
    (check,) = pull.check_runs()
    assert check.conclusion == "neutral"
    assert "Checks only" in check.summary


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
def test_commands_are_obeyed_for_those_who_may_write(product, who, role, words, reviews, answers):
    repo = product.repository()
    repo.user(who, role)
    pull = product.open(repo=repo, draft=True)
    product.settle()
    pull.comment(who, words)
    product.settle()

    assert len(pull.reviews) == reviews
    replies = [
        said for said in pull.state.comments if said.author.kind == "Bot" and "cannot use commands" not in said.body
    ]
    assert len(replies) == answers


def test_the_label_of_somebody_who_may_write_starts_a_review_of_a_draft_and_is_taken_off(product):
    pull = product.open(draft=True)
    product.settle()
    assert pull.reviews == []
    pull.label("alice", "assistant:review")
    product.settle()

    assert len(pull.reviews) == 1
    assert pull.state.labels == []


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
def test_one_fault_of_github_costs_a_retry_and_nothing_is_said_twice(product, fault):
    product.sandbox.plan(fault)
    pull = product.open()
    product.settle()

    assert fault.seen
    assert len(pull.reviews) == 1
    assert [run.status for run in pull.check_runs()] == ["completed"]


def test_a_forged_delivery_leaves_nothing_behind(product):
    before = product.play(run_records(product.app.engine))
    headers, body = signed({"action": "opened"}, secret=b"guessed")

    answer = httpx.post(product.here.webhook, content=body, headers=headers)

    assert answer.status_code == 401
    assert product.play(run_records(product.app.engine)) == before
