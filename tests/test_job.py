"""The one decision of the front door, event by event."""

import pytest

from bot.job import Job, Skip, Trigger, decide
from bot.webhook import parse
from tests.support.deliveries import ADA, REPOSITORY, comment, payload, signed


def decided(content, event="pull_request"):
    headers, body = signed(content, event)
    return decide(parse(headers, body))


@pytest.mark.parametrize(
    ("action", "trigger"),
    [
        ("opened", Trigger.OPENED),
        ("reopened", Trigger.OPENED),
        ("ready_for_review", Trigger.READY),
        ("synchronize", Trigger.PUSHED),
        ("closed", Trigger.CLOSED),
        ("converted_to_draft", Trigger.CLOSED),
    ],
)
def test_pull_request_actions_that_are_work(action, trigger):
    job = decided(payload(action))

    assert (job.trigger, job.head_sha, job.actor, job.pull.repo_id) == (trigger, "a" * 40, "ada", 42)


def test_the_label_travels_with_the_job():
    job = decided(payload("labeled", label={"name": "assistant:review"}))

    assert (job.trigger, job.text) == (Trigger.LABEL, "assistant:review")


def test_another_base_branch_is_another_diff():
    assert decided(payload("edited", changes={"base": {"ref": {"from": "main"}}})).trigger is Trigger.RETARGETED
    assert isinstance(decided(payload("edited", changes={"title": {"from": "x"}})), Skip)


def test_a_command_carries_its_first_line_and_where_it_stands():
    job = decided(comment("/assistant ask why?\nthe rest"), "issue_comment")

    assert (job.trigger, job.text, job.comment, job.thread) == (Trigger.COMMAND, "/assistant ask why?", 11, "comment")


def test_a_reply_in_a_thread_knows_its_thread():
    content = {
        **payload("created"),
        "comment": {"id": 12, "body": "/assistant dismiss", "in_reply_to_id": 9, "user": ADA},
    }

    job = decided(content, "pull_request_review_comment")

    assert (job.thread, job.in_reply_to) == ("inline", 9)


def test_a_review_body_may_hold_a_command():
    content = {**payload("submitted"), "review": {"id": 13, "body": "/assistant review", "user": ADA}}

    assert decided(content, "pull_request_review").thread == "review"


@pytest.mark.parametrize(
    ("before", "sender", "works"),
    [
        ("typo", ADA, True),
        ("/assistant review", ADA, False),
        ("typo", {"login": "eve", "id": 8}, False),
        (None, ADA, False),
    ],
    ids=["new-command", "old-command", "edited-by-another", "nothing-changed"],
)
def test_an_edit_counts_only_when_its_author_brings_a_new_command(before, sender, works):
    changes = {"body": {"from": before}} if before is not None else {}

    job = decided(comment("/assistant review", "edited", changes=changes, sender=sender), "issue_comment")

    assert isinstance(job, Job) is works


def test_our_own_check_run_leads_back_to_its_pull_request_even_from_a_fork():
    run = {"id": 1, "head_sha": "a" * 40, "external_id": f"review/{REPOSITORY['id']}/3/{'a' * 40}", "pull_requests": []}

    job = decided(
        {**payload("requested_action", check_run=run), "requested_action": {"identifier": "full"}}, "check_run"
    )

    assert (job.trigger, job.pull.number, job.text) == (Trigger.RERUN, 3, "full")


def test_a_check_run_that_names_another_repository_is_not_ours():
    run = {"id": 1, "external_id": "review/43/3/abc"}

    assert isinstance(decided(payload("rerequested", check_run=run), "check_run"), Skip)


def test_a_mention_of_the_app_is_a_question_and_needs_its_name():
    headers, body = signed(comment("Hello @review-bot, why?"), "issue_comment")
    delivery = parse(headers, body)

    job = decide(delivery, "review-bot")

    assert (job.trigger, job.text, job.thread) == (Trigger.COMMAND, "/assistant ask Hello why?", "comment")
    assert isinstance(decide(delivery, "other"), Skip)
    assert isinstance(decide(delivery), Skip)
