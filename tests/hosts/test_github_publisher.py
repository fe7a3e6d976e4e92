"""Posting on GitHub, once: against the sandbox, with everything that can go wrong in between."""

import asyncio
import logging

import pytest

from bot import errors
from bot.core.comments.post import Annotation, CheckRun, Comment, Conclusion
from bot.hosts.github.bodies import BODY, CUT, fit
from bot.hosts.github.host import GitHubHost
from bot.hosts.github.publisher import GitHubPublisher
from bot.job import Job, Trigger
from bot.sandbox.world import conversation
from bot.sandbox.world.faults import Fault, bad_credentials, dropped, lost_answer, secondary_limit, server_error
from tests.support.github_client import KEY, REF, ScriptedGitHub, answer, connect, hosted, post, scripted, sent

REVIEWS = "/repos/octo/shop/pulls/1/reviews"
INLINE = Comment("a.py", "**Error**: two", 2)
RANGE = Comment("a.py", "**Note**: both", 2, "RIGHT", 1, "RIGHT")
OUTSIDE = Comment("a.py", "**Error**: nowhere", 99)


def play(directory, scene, **settings):
    """Run a scene on pull request 1 of octo/shop, which adds two lines in a.py."""

    async def run():
        github = await hosted(directory, {"old.py": "x\n"}, **settings)
        pull = await github.repo.open_pull(files={"a.py": "one\ntwo\n"})
        return await scene(github, pull, await github.host.pull_request(github.ref(pull)))

    return asyncio.run(run())


def submitted(pull):
    """All reviews: each is one notification."""
    return list(pull.reviews)


def job(github, pull, thread="", comment=0, in_reply_to=0):
    return Job("1", github.ref(pull), Trigger.COMMAND, comment=comment, thread=thread, in_reply_to=in_reply_to)


# A review


def test_a_review_has_its_comments_on_their_lines(tmp_path):
    async def scene(github, pull, found):
        url = await github.publisher.review(found, post(pull.head, INLINE, RANGE))
        (review,) = submitted(pull)
        assert (review.state, review.commit, review.author.login) == ("COMMENTED", pull.head, "review-assistant[bot]")
        assert url.endswith(f"/octo/shop/pull/1#pullrequestreview-{review.id}")
        assert [(one.path, one.start_line, one.line, one.subject, one.body) for one in pull.comments] == [
            ("a.py", None, 2, "line", INLINE.body),
            ("a.py", 1, 2, "line", RANGE.body),
        ]

    play(tmp_path, scene)


def test_a_review_asked_for_again_is_the_one_that_is_there(tmp_path):
    async def scene(github, pull, found):
        review = post(pull.head, INLINE, RANGE)
        first = await github.publisher.review(found, review)
        fresh = GitHubPublisher(connect(github.sandbox))  # another process
        assert await fresh.review(found, review) == first
        assert (len(submitted(pull)), len(pull.comments)) == (1, 2)

    play(tmp_path, scene)


@pytest.mark.parametrize("fault", [lost_answer("POST", REVIEWS), dropped("POST", REVIEWS)])
def test_a_review_whose_answer_was_lost_is_posted_once(tmp_path, fault):
    async def scene(github, pull, found):
        github.sandbox.plan(fault)
        url = await github.publisher.review(found, post(pull.head, INLINE))
        assert fault.seen == 1
        assert url.endswith(f"-{submitted(pull)[0].id}")
        assert (len(submitted(pull)), len(pull.comments)) == (1, 1)

    play(tmp_path, scene)


@pytest.mark.parametrize("fault", [server_error("POST", REVIEWS, status=502), dropped("POST", REVIEWS, after=False)])
def test_a_review_that_was_not_taken_may_be_tried_again(tmp_path, fault):
    async def scene(github, pull, found):
        github.sandbox.plan(fault)
        with pytest.raises(errors.Retryable):
            await github.publisher.review(found, post(pull.head, INLINE))
        assert not pull.reviews
        await github.publisher.review(found, post(pull.head, INLINE))
        assert len(submitted(pull)) == 1

    play(tmp_path, scene)


def test_a_rate_limit_is_passed_on_without_another_look(tmp_path):
    async def scene(github, pull, found):
        github.sandbox.plan(secondary_limit("POST", REVIEWS))
        with pytest.raises(errors.RateLimited) as caught:
            await github.publisher.review(found, post(pull.head, INLINE))
        assert caught.value.after == 60
        assert github.asked(ending="/reviews") == [("GET", REVIEWS), ("POST", REVIEWS)]

    play(tmp_path, scene)


def test_a_token_that_expires_meanwhile_is_replaced(tmp_path):
    async def scene(github, pull, found):
        github.sandbox.plan(bad_credentials("POST", REVIEWS))
        await github.publisher.review(found, post(pull.head, INLINE))
        assert len(submitted(pull)) == 1

    play(tmp_path, scene)


def test_a_leftover_pending_review_of_ours_is_cleared_away(tmp_path):
    async def scene(github, pull, found):
        us = github.sandbox.world.app.bot
        conversation.start_review(github.sandbox.world, pull.state, us, post(pull.head).body, pull.head)
        await github.publisher.review(found, post(pull.head, INLINE))
        assert [review.state for review in pull.reviews] == ["COMMENTED"]

    play(tmp_path, scene)


def test_somebody_elses_copy_of_the_marker_is_no_review_of_ours(tmp_path):
    async def scene(github, pull, found):
        pull.review("mallory", f"Nothing to see here. {KEY}")
        await github.publisher.review(found, post(pull.head, INLINE))
        assert [review.author.login for review in submitted(pull)] == ["mallory", "review-assistant[bot]"]

    play(tmp_path, scene)


async def _push(pull):
    await pull.push({"b.py": "x\n"})


async def _close(pull):
    await pull.close()


async def _merge(pull):
    await pull.close(merged=True)


async def _draft(pull):
    pull.convert_to_draft()


async def _publish(pull):
    pull.repo.private = False


@pytest.mark.parametrize(
    ("event", "why"),
    [(_push, "head"), (_close, "closed"), (_merge, "merged"), (_draft, "draft"), (_publish, "public")],
)
def test_a_pull_request_that_moved_on_gets_nothing(tmp_path, event, why):
    async def scene(github, pull, found):
        await event(pull)
        with pytest.raises(errors.Superseded, match=why):
            await github.publisher.review(found, post(found.head_sha, INLINE, RANGE))
        assert not pull.reviews
        assert {method for method, path in github.asked() if "access_tokens" not in path} == {"GET"}

    play(tmp_path, scene, private=True)


def test_what_github_refuses_inline_is_said_in_the_body(tmp_path, caplog):
    async def scene(github, pull, found):
        for _ in range(2):
            await github.publisher.review(found, post(pull.head, INLINE, OUTSIDE))
        assert not pull.state.comments
        (review,) = submitted(pull)
        assert "`a.py:2` — **Error**: two" in review.body
        assert "`a.py:99` — **Error**: nowhere" in review.body
        assert KEY in review.body
        assert pull.comments == []
        assert len(github.asked("POST", "/reviews")) == 2

    with caplog.at_level(logging.WARNING):
        play(tmp_path, scene)
    assert "GitHub refused a review with 2 comments" in caplog.text


def test_a_review_that_is_refused_without_any_inline_comment_is_not_tried_again(tmp_path):
    async def scene(github, pull, found):
        github.sandbox.plan(Fault("POST", REVIEWS, 422, "Validation Failed"))
        with pytest.raises(errors.Unprocessable, match="Validation Failed"):
            await github.publisher.review(found, post(pull.head))
        assert not pull.reviews

    play(tmp_path, scene)


def test_what_github_lost_of_a_review_it_took_is_said_in_the_conversation(tmp_path):
    async def scene(github, pull, found):
        fault = lost_answer("POST", REVIEWS)
        github.sandbox.plan(fault)
        await github.publisher.review(found, post(pull.head, INLINE, RANGE))
        pull.state.review_comments.pop()  # as when GitHub answers 502 and keeps some of them
        for _ in range(2):
            await GitHubPublisher(connect(github.sandbox)).review(found, post(pull.head, INLINE, RANGE))
        (said,) = pull.state.comments
        assert "`a.py:1-2` — **Note**: both" in said.body
        assert INLINE.body not in said.body

    play(tmp_path, scene)


@pytest.mark.parametrize("status", [422, 502])
def test_a_review_that_was_refused_and_posted_all_the_same_loses_nothing(status):
    us = {"login": "us[bot]", "type": "Bot"}
    orphan = {"id": 5, "state": "COMMENTED", "user": us, "html_url": "https://x/5", "body": f"Two findings. {KEY}"}
    said = {"id": 6, "html_url": "https://x/6", "created_at": "2026-01-01T00:00:00Z"}
    script = (
        _scripted_pull()
        .on("GET", REVIEWS, answer(body=[]), answer(body=[orphan]))
        .on("POST", REVIEWS, answer(status, {"message": "Line could not be resolved"}))
        .on("GET", "/repos/octo/shop/pulls/1/comments", answer(body=[]))
        .on("GET", "/repos/octo/shop/issues/1/comments", answer(body=[]))
        .on("POST", "/repos/octo/shop/issues/1/comments", answer(201, said))
    )
    assert asyncio.run(_publish_scripted(script, post("a" * 40, INLINE))) == "https://x/5"
    assert [path for _, path in script.said("POST")] == [REVIEWS, "/repos/octo/shop/issues/1/comments"]
    assert sent(script.asked[-1]) == {"body": f"`a.py:2` — {INLINE.body}\n\n{KEY}"}


def test_a_review_has_at_most_thirty_inline_comments(tmp_path):
    many = [Comment("a.py", f"finding {n}.", 1) for n in range(33)]

    async def scene(github, pull, found):
        await github.publisher.review(found, post(pull.head, *many))
        assert len(pull.comments) == 30
        (review,) = submitted(pull)
        assert [n for n in range(33) if f"finding {n}." in review.body] == [30, 31, 32]

    play(tmp_path, scene)


def test_a_body_that_is_too_long_is_cut_and_keeps_its_marker(tmp_path):
    async def scene(github, pull, found):
        long = Comment("a.py", "line\n" * 30_000, 1)
        await github.publisher.review(found, post(pull.head, long, body="line\n" * 30_000))
        (review,) = submitted(pull)
        for body in (review.body, pull.comments[0].body):
            assert len(body) <= BODY
            assert CUT in body
        assert review.body.endswith(KEY)

    play(tmp_path, scene)


def test_writing_uses_a_token_of_its_own(tmp_path):
    async def scene(github, pull, found):
        reader = github.sandbox.requests[-1].token
        await github.publisher.review(found, post(pull.head, INLINE, RANGE))
        writes = [one for one in github.sandbox.requests if one.caller == "installation" and one.method != "GET"]
        assert writes
        assert reader not in {one.token for one in writes}
        assert all(
            one.permissions == {"metadata": "read", "checks": "write", "pull_requests": "write"} for one in writes
        )

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("text", "mark", "fitted"),
    [
        ("short", "", "short"),
        ("short", "<!-- m -->", "short\n\n<!-- m -->"),
        ("has <!-- m -->", "<!-- m -->", "has <!-- m -->"),
        ("first\n" + "x" * 100, "", f"first\n\n{CUT}"),
        ("x" * 200, "", "x" * 34 + f"\n\n{CUT}"),
    ],
)
def test_text_is_cut_at_the_end_of_a_line(text, mark, fitted):
    assert fit(text, 36 + len(CUT), mark) == fitted


# A check run


def run(status="queued", **about):
    return CheckRun(**{"key": "run-1", "status": status, "title": "Review", "summary": "…"} | about)


def test_a_check_run_goes_from_queued_to_its_conclusion(tmp_path):
    async def scene(github, pull, found):
        number = await github.publisher.check(found, run())
        assert await github.publisher.check(found, run("in_progress")) == number
        last = run("completed", conclusion=Conclusion.NEUTRAL, text="table", actions=(("Again", "Do it", "again"),))
        assert await github.publisher.check(found, last) == number
        (shown,) = pull.check_runs()
        assert (shown.name, shown.external_id) == ("review-assistant", "run-1")
        assert (shown.status, shown.conclusion, shown.text) == ("completed", "neutral", "table")
        assert shown.actions == [{"label": "Again", "description": "Do it", "identifier": "again"}]
        assert len(github.asked("GET", "/check-runs")) == 1

    play(tmp_path, scene)


def test_a_check_run_is_found_again_by_another_process(tmp_path):
    async def scene(github, pull, found):
        await github.publisher.check(found, run(key="run-0"))
        number = await github.publisher.check(found, run())
        other = GitHubPublisher(connect(github.sandbox))
        assert await other.check(found, run("in_progress")) == number
        assert [(one.external_id, one.status) for one in pull.check_runs()] == [
            ("run-0", "queued"),
            ("run-1", "in_progress"),
        ]

    play(tmp_path, scene)


def test_a_check_run_whose_answer_was_lost_is_made_once(tmp_path):
    async def scene(github, pull, found):
        github.sandbox.plan(lost_answer("POST", "/repos/octo/shop/check-runs"))
        with pytest.raises(errors.Retryable):
            await github.publisher.check(found, run())
        await github.publisher.check(found, run())
        assert len(pull.check_runs()) == 1

    play(tmp_path, scene)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_annotations_arrive_in_portions_and_once(tmp_path, lost):
    notes = tuple(Annotation("a.py", n, n, "notice", f"title {n}", "message") for n in range(1, 121))

    async def scene(github, pull, found):
        await github.publisher.check(found, run())
        github.sandbox.plan(lost_answer("PATCH", "/repos/octo/shop/check-runs/*", nth=lost))
        for _ in range(2):
            try:
                await github.publisher.check(found, run("completed", conclusion=Conclusion.NEUTRAL, annotations=notes))
            except errors.Retryable:
                assert lost
        (shown,) = pull.check_runs()
        assert [one["title"] for one in shown.annotations] == [one.title for one in notes]

    play(tmp_path, scene)


def test_a_check_run_stays_within_githubs_limits(tmp_path):
    action = ("label " * 9, "description " * 9, "identifier" * 9)
    note = Annotation("a.py", 1, 1, "notice", "t" * 300, "m\n" * 40_000)
    large = run(
        title="t" * 300, summary="line\n" * 20_000, text="line\n" * 20_000, actions=(action,) * 5, annotations=(note,)
    )

    async def scene(github, pull, found):
        await github.publisher.check(found, large)
        (shown,) = pull.check_runs()
        assert len(shown.summary) <= 65_535
        assert shown.summary.endswith(CUT)
        assert shown.text.endswith(CUT)
        assert [len(shown.actions[0][name]) for name in ("label", "description", "identifier")] == [20, 40, 20]
        assert len(shown.actions) == 3

    play(tmp_path, scene)


# Answers, reactions, labels


def test_a_command_in_the_conversation_is_answered_there_once(tmp_path):
    async def scene(github, pull, _):
        asked = pull.comment("alice", "/assistant help")
        here = job(github, pull, "comment", asked.id)
        urls = {await github.publisher.reply(here, "Here is help.", KEY) for _ in range(2)}
        assert [one.body for one in pull.state.comments[1:]] == [f"Here is help.\n\n{KEY}"]
        assert urls == {f"{pull.url}#issuecomment-{pull.state.comments[1].id}"}

    play(tmp_path, scene)


@pytest.mark.parametrize("reply_to_reply", [False, True])
def test_a_command_in_a_thread_is_answered_in_the_thread(tmp_path, reply_to_reply):
    async def scene(github, pull, _):
        first = await pull.say("bob", "/assistant help", "a.py", 1)
        asked = pull.reply(first.id, "bob", "/assistant help") if reply_to_reply else first
        here = job(github, pull, "inline", asked.id, first.id if reply_to_reply else 0)
        for _ in range(2):
            await github.publisher.reply(here, "Here is help.", KEY)
        answers = [one for one in pull.comments if KEY in one.body]
        assert [one.in_reply_to for one in answers] == [first.id]

    play(tmp_path, scene)


def test_an_answer_to_a_thread_that_is_gone_goes_to_the_conversation(tmp_path):
    async def scene(github, pull, _):
        await github.publisher.reply(job(github, pull, "inline", 4711), "Here is help.", KEY)
        assert len(pull.state.comments) == 1

    play(tmp_path, scene)


def test_an_answer_whose_own_answer_was_lost_is_said_once(tmp_path):
    async def scene(github, pull, _):
        github.sandbox.plan(lost_answer("POST", "/repos/octo/shop/issues/1/comments"))
        await github.publisher.reply(job(github, pull), "Here is help.", KEY)
        assert len(pull.state.comments) == 1

    play(tmp_path, scene)


def test_an_answer_that_was_not_taken_may_be_tried_again(tmp_path):
    async def scene(github, pull, _):
        github.sandbox.plan(server_error("POST", "/repos/octo/shop/issues/1/comments"))
        with pytest.raises(errors.Retryable):
            await github.publisher.reply(job(github, pull), "Here is help.", KEY)
        assert not pull.state.comments

    play(tmp_path, scene)


def test_the_comment_that_asked_gets_a_reaction(tmp_path):
    async def scene(github, pull, _):
        comment, inline = pull.comment("alice", "/assistant review"), await pull.say("bob", "/assistant", "a.py", 1)
        for _ in range(2):
            await github.publisher.react(job(github, pull, "comment", comment.id), "eyes")
            await github.publisher.react(job(github, pull, "inline", inline.id), "rocket")
        assert [[content for *_, content in one.reactions] for one in (comment, inline)] == [["eyes"], ["rocket"]]
        await github.publisher.react(job(github, pull, "comment", 4711), "eyes")  # gone
        before = len(github.sandbox.requests)
        await github.publisher.react(job(github, pull, "review", 1), "eyes")
        await github.publisher.react(job(github, pull), "eyes")
        assert len(github.sandbox.requests) == before

    play(tmp_path, scene)


@pytest.mark.parametrize(
    "fault",
    [
        None,
        lost_answer("POST", "*/issues/1/comments"),
        dropped("POST", "*/issues/1/comments"),
        bad_credentials("PATCH", "*/issues/comments/*"),
    ],
    ids=["well", "lost", "dropped", "stale-token"],
)
def test_a_kept_comment_is_written_once_and_edited_in_place(tmp_path, fault):
    async def scene(github, pull, found):
        pull.comment("eve", f"Mine: {KEY}")  # a key that somebody copied is worth nothing
        github.sandbox.plan(*([fault] if fault else []))
        urls = [await github.publisher.keep(found.ref, f"{words}\n\n{KEY}", KEY) for words in ("One", "Two", "Two")]
        (kept,) = [one for one in pull.state.comments if one.author.kind == "Bot"]
        assert kept.body == f"Two\n\n{KEY}"
        assert len(set(urls)) == 1
        assert len(github.asked("PATCH")) == (2 if fault and fault.method == "PATCH" else 1)

    play(tmp_path, scene)


def test_we_know_ourselves_by_our_slug_and_by_our_id(tmp_path):
    async def scene(github, _pull, _found):
        us = github.sandbox.world.app
        who = [("review-assistant[bot]", 0), ("renamed[bot]", us.id), ("renovate[bot]", 0), ("alice", 0)]
        assert [await github.host.is_us(*one) for one in who] == [True, True, False, False]

    play(tmp_path, scene)


def test_a_label_that_is_off_stays_off(tmp_path):
    async def scene(github, pull, found):
        for name in ("assistant:review", "other"):
            pull.label("alice", name)
        for _ in range(2):
            await github.publisher.unlabel(found.ref, "assistant:review")
        assert pull.state.labels == ["other"]

    play(tmp_path, scene)


def test_an_inline_comment_says_its_side():
    script = (
        _scripted_pull()
        .on("GET", REVIEWS, answer(body=[]))
        .on("POST", REVIEWS, answer(body={"id": 5, "state": "COMMENTED", "html_url": "https://x/5"}))
    )
    left = Comment("a.py", "gone", 4, "LEFT", 3)
    assert asyncio.run(_publish_scripted(script, post("a" * 40, left))) == "https://x/5"
    assert sent(script.asked[-1]) == {
        "commit_id": "a" * 40,
        "event": "COMMENT",
        "body": f"Two findings.\n\n{KEY}",
        "comments": [
            {"path": "a.py", "body": "gone", "line": 4, "side": "LEFT", "start_line": 3, "start_side": "LEFT"}
        ],
    }


async def _publish_scripted(script, review):
    client = scripted(script)
    publisher = GitHubPublisher(client)
    return await publisher.review(await GitHubHost(client).pull_request(REF), review)


def _scripted_pull():
    home = {"id": 42, "full_name": "octo/shop"}
    pull = {
        "number": 1,
        "title": "t",
        "head": {"sha": "a" * 40, "ref": "x", "repo": None},
        "base": {"sha": "b" * 40, "ref": "main", "repo": home},
    }
    app = answer(body={"id": 1, "slug": "us"})
    return ScriptedGitHub().on("GET", "/app", app).on("GET", "/repos/octo/shop/pulls/1", answer(body=pull))
