"""Every command, the label, the buttons and the replies, on the sandbox: our real server, over HTTP, without a model."""

from dataclasses import replace

import pytest

from bot.cli.operate import act
from bot.core.command import Verb
from bot.errors import UserError
from bot.sandbox.world import faults
from bot.sandbox.world.hooks import emit
from bot.sandbox.world.state import User
from bot.storage.audit import AuditLog
from tests.support.product import BASE, FLAWED, RunningProduct

LISTED, UNLISTED = User(99_002, "deploy[bot]", "Bot"), User(99_001, "renovate[bot]", "Bot")


@pytest.fixture(scope="module")
def product():
    product = RunningProduct(assistant_requests_per_person_hour=10_000, assistant_bots=str(LISTED.id))
    product.sandbox.world.users |= {bot.login: bot for bot in (LISTED, UNLISTED)}
    yield product
    product.close()


@pytest.fixture(scope="module")
def reviewed(product):
    """A pull request with a finding; tests add to it, and look at what came of their own words only."""
    pull = product.open()
    product.settle()
    assert pull.comments
    return pull


def ours(said):
    return [one for one in said if one.author.login == "review-assistant[bot]"]


def say(product, pull, words, who="alice"):
    """Say something in the conversation; what we answered, and with which reactions."""
    before = len(ours(pull.state.comments))
    comment = pull.comment(who, words)
    product.settle()
    return [one.body for one in ours(pull.state.comments)[before:]], reactions(comment)


def finding(pull):
    """The comment about the bare except."""
    return next(one for one in pull.comments if "except" in one.body and one.in_reply_to is None)


def answer(product, pull, words, who="alice"):
    """Say something in the thread of that finding."""
    before = len(pull.comments)
    comment = pull.reply(finding(pull).id, who, words)
    product.settle()
    return [one.body for one in ours(pull.comments[before:])], reactions(comment)


def reactions(comment):
    return [content for _, _, content in comment.reactions]


@pytest.mark.parametrize(
    ("words", "told", "reaction"),
    [
        ("/assistant help", "| `/assistant dismiss [REASON]` |", "rocket"),
        ("/assistant", "| `/assistant help` |", "rocket"),
        ("/assistant revue", "Did you mean `/assistant review`?", "confused"),
        ("/assistant config", "| triggers.drafts | `false` | `default` |", "rocket"),
        ("/assistant config comments=30", "takes no argument", "confused"),
        ("/assistant status", "Findings: 2 open", "rocket"),
        ("/assistant standards may I use a bare except?", "docs/standards/python.md", "rocket"),
        ("/assistant standards may I wear a hat?", "do not cover", "rocket"),
        ("/assistant ask may I use a bare except?", "No model is configured", "rocket"),
        ("/assistant ask may I wear a hat?", "No model is configured", "confused"),
        ("/assistant explain", "Use this as a reply", "confused"),
        ("/assistant dismiss", "Use this as a reply", "confused"),
        ("/assistant resolve", "Use this as a reply", "confused"),
    ],
)
def test_a_command_gets_one_answer_and_a_reaction(product, reviewed, words, told, reaction):
    (body,), reacted = say(product, reviewed, words)

    assert told in body
    assert reacted == ["eyes", reaction]


def test_a_question_about_code_shows_without_a_model_what_the_documents_say(product, reviewed):
    (body,), _ = say(product, reviewed, "/assistant ask may I use a bare except?")

    assert "Never catch with a bare `except:`" in body


def test_a_command_may_stand_in_a_review(product, reviewed):
    before = len(ours(reviewed.state.comments))
    reviewed.review("alice", "/assistant status")
    product.settle()

    (said,) = ours(reviewed.state.comments)[before:]
    assert "Findings:" in said.body


def test_explain_tells_the_findings_own_data_and_the_rule(product, reviewed):
    (body,), reacted = answer(product, reviewed, "/assistant explain")

    assert "| where | `app.py:4` |" in body
    assert "docs/standards/python.md" in body
    assert reacted == ["eyes", "rocket"]


def test_a_reply_in_our_thread_is_answered_once_without_a_model(product):
    pull = product.open()
    product.settle()

    first, _ = answer(product, pull, "Why is that a problem?")
    second, _ = answer(product, pull, "I still do not see it.")

    assert "No model is configured" in first[0]
    assert second == []


def test_a_reply_in_somebody_elses_thread_is_none_of_our_business(product, reviewed):
    thread = product.play(reviewed.say("maria", "Is this right?", "app.py", 3))
    before = len(ours(reviewed.comments))
    reply = reviewed.reply(thread.id, "alice", "Yes.")
    product.settle()

    assert len(ours(reviewed.comments)) == before
    assert reactions(reply) == []


def test_dismiss_drops_a_finding_for_good(product):
    pull = product.open()
    product.settle()
    posted = len(pull.comments)

    said, reacted = answer(product, pull, "/assistant dismiss we log it upstream")
    say(product, pull, "/assistant review full")

    assert (said, reacted) == ([], ["eyes", "rocket"])
    assert "Dismissed" in finding(pull).body
    assert "we log it upstream" in finding(pull).body
    assert len(ours(pull.comments)) == posted
    assert "1 dismissed" in say(product, pull, "/assistant status")[0][0]


def test_resolve_marks_a_finding_as_dealt_with(product):
    pull = product.open()
    product.settle()

    _, reacted = answer(product, pull, "/assistant resolve")

    assert reacted == ["eyes", "rocket"]
    assert "1 dismissed" in say(product, pull, "/assistant status")[0][0]


def steer(product, pull, verb, *words):
    return product.play(act(product.app, Verb(verb), pull.repo.full_name, pull.number, *words))


def short(product, pull, words):
    """The name that `assistant status` gives to an open finding."""
    (line,) = [line for line in steer(product, pull, "status").splitlines() if line.startswith("- ") and words in line]
    return line.split("`")[1]


def test_an_operator_dismisses_a_finding_by_its_name_as_a_comment_would(product):
    pull = product.open()
    product.settle()
    before = len(pull.comments), len(pull.state.comments)
    name = short(product, pull, "except")

    said = steer(product, pull, "dismiss", name, "we log it upstream")
    say(product, pull, "/assistant review full")

    assert said.startswith(f"dismissed: `{name}` `app.py:4`")
    assert "**Dismissed** by `the operator`: we log it upstream" in finding(pull).body
    assert before[0] == len(pull.comments)
    assert name not in steer(product, pull, "status")


def test_an_operator_resolves_a_finding_and_hears_of_it_what_its_thread_would(product):
    pull = product.open()
    product.settle()
    before = len(pull.comments), len(pull.state.comments)
    name = short(product, pull, "except")

    told = steer(product, pull, "explain", name)
    done = steer(product, pull, "resolve", name)

    assert "Never catch with a bare" in told
    assert done.startswith("dismissed: ")
    assert "dealt with" in finding(pull).body
    assert before == (len(pull.comments), len(pull.state.comments))


def test_a_finding_without_a_thread_is_dismissed_in_the_ledger(product):
    pull = product.open()
    product.settle()
    ledger = product.app.ledger
    ref = product.play(ledger.address(pull.repo.full_name, pull.number))
    (one, *_) = product.play(ledger.findings(ref))
    product.play(ledger.keep(ref, [replace(one, identity="f" * 32)]))

    assert "`app.py:4`" in steer(product, pull, "explain", "ffff")
    assert steer(product, pull, "dismiss", "ffff").startswith("dismissed: `ffffffff`")
    assert "Dismissed" not in finding(pull).body


@pytest.mark.parametrize(
    ("name", "reason"), [("", "fits"), ("zz", "There is no finding"), ("0123456789", "There is no finding")]
)
def test_an_unknown_or_ambiguous_name_of_a_finding_is_a_clear_sentence(product, reviewed, name, reason):
    with pytest.raises(UserError, match=reason) as refused:
        steer(product, reviewed, "dismiss", name)

    assert f"`assistant status {reviewed.repo.full_name}#{reviewed.number}` lists their names" in str(refused.value)


def test_a_paused_pull_request_is_left_alone_until_it_is_resumed_or_asked_for(product):
    pull = product.open(draft=True)
    product.settle()
    (body,), _ = say(product, pull, "/assistant pause")
    assert "paused" in body

    pull.ready()
    product.settle()
    assert pull.reviews == []
    assert "Paused by alice" in pull.check_runs()[-1].summary

    assert "Paused by" in say(product, pull, "/assistant status")[0][0]
    say(product, pull, "/assistant review")
    assert len(pull.reviews) == 1

    say(product, pull, "/assistant resume")
    product.play(pull.push({"new.py": FLAWED}))
    product.settle()
    assert any(comment.path == "new.py" for comment in pull.comments)


def test_a_summary_is_written_once_and_edited_in_place(product):
    pull = product.open({"app.py": FLAWED, "shop/cart.py": "import app\n", "shop/till.py": "import cart\n"})
    product.settle()
    (body,), reacted = say(product, pull, "/assistant summary")

    assert "| `shop` | `shop/cart.py`, `shop/till.py` | +2 | -0 |" in body
    assert "Source files changed without any test" in body
    assert "n0 --> n1" in body
    assert reacted == ["eyes", "rocket"]

    product.play(pull.push({"docs/later.md": "# Later\n"}))
    said, _ = say(product, pull, "/assistant summary")
    (walkthrough,) = [one for one in ours(pull.state.comments) if "### Walkthrough" in one.body]

    assert said == []
    assert "docs/later.md" in walkthrough.body


@pytest.mark.parametrize(("mode", "written"), [("always", 1), ("on_request", 0), ("off", 0)])
def test_the_policy_decides_about_a_summary_after_each_review(product, mode, written):
    repo = product.repository(BASE | {".github/assistant.yml": f"summary: {mode}\n"})
    pull = product.open(repo=repo)
    product.settle()

    assert sum("### Walkthrough" in one.body for one in ours(pull.state.comments)) == written
    if mode == "off":
        assert "turned off" in say(product, pull, "/assistant summary")[0][0]


def test_a_review_of_some_paths_reads_those_and_says_what_it_left(product):
    pull = product.open({"app.py": FLAWED, "lib/b.py": FLAWED}, draft=True)
    product.settle()
    _, reacted = say(product, pull, "/assistant review lib")

    assert {comment.path for comment in pull.comments} == {"lib/b.py"}
    assert "no review of this head has read it" in pull.check_runs()[-1].text
    assert reacted == ["eyes", "rocket"]


@pytest.mark.parametrize("scope", ["", "full", "security"])
def test_a_review_of_a_draft_can_be_asked_for(product, scope):
    pull = product.open(draft=True)
    product.settle()
    say(product, pull, f"/assistant review {scope}")

    assert len(pull.reviews) == 1


def test_a_review_that_was_asked_for_and_fails_says_so_on_the_check_run(product):
    pull = product.open(draft=True)
    product.settle()
    product.sandbox.plan(faults.not_found("GET", "*/files"))
    said, reacted = say(product, pull, "/assistant review")

    assert (said, reacted) == ([], ["eyes", "confused"])
    assert pull.check_runs()[-1].status == "completed"
    assert "The review failed" in pull.check_runs()[-1].summary


def test_an_edit_is_a_command_only_when_the_command_is_new(product, reviewed):
    comment = reviewed.comment("alice", "Hello.")
    before = len(ours(reviewed.state.comments))
    for words in ("/assistant help", "/assistant help\n\nPlease.", "Never mind."):
        reviewed.edit(comment, "alice", words)
        product.settle()

    assert len(ours(reviewed.state.comments)) == before + 1


def test_the_label_asks_for_a_full_review_and_comes_off_when_it_is_done(product):
    pull = product.open(draft=True)
    product.settle()
    pull.label("alice", "assistant:review")
    product.settle()

    assert len(pull.reviews) == 1
    assert pull.state.labels == []


def test_a_label_that_is_taken_off_before_the_start_asks_for_nothing(product):
    pull = product.open(draft=True)
    product.settle()
    pull.label("alice", "assistant:review")
    pull.unlabel("alice", "assistant:review")
    product.settle()

    assert pull.reviews == []


def test_another_label_means_nothing(product):
    pull = product.open(draft=True)
    pull.label("alice", "bug")
    product.settle()

    assert pull.reviews == []


def test_the_buttons_of_the_check_run_review_again(product):
    pull = product.open(draft=True)
    product.settle()
    (run,) = pull.check_runs()
    assert [action["identifier"] for action in run.actions] == ["rerun", "full"]

    pull.rerequest(run, "alice")
    product.settle()
    assert len(pull.reviews) == 1
    assert run.title == "Not reviewed"
    assert "still open" not in pull.check_runs()[-1].title

    pull.press(run, "full", "alice")
    product.settle()
    assert len(pull.reviews) == 1
    assert "still open" in pull.check_runs()[-1].title
    assert [one.status for one in pull.check_runs()] == ["completed"] * 3


def test_on_a_closed_pull_request_questions_are_answered_and_nothing_is_reviewed(product):
    pull = product.open(draft=True)
    product.play(pull.close())
    product.settle()

    (body,), reacted = say(product, pull, "/assistant review")
    assert body.startswith("The pull request is closed.")
    assert reacted == ["confused"]
    assert pull.reviews == []
    assert "The settings" in say(product, pull, "/assistant config")[0][0]


def test_in_a_locked_conversation_nothing_is_said(product):
    pull = product.open(draft=True)
    pull.state.locked = True
    product.settle()

    assert say(product, pull, "/assistant help") == ([], [])
    pull.ready()
    product.settle()
    assert pull.reviews == []
    assert "locked" in pull.check_runs()[-1].summary


def test_in_an_archived_repository_nothing_is_written(product):
    pull = product.open()
    pull.repo.archived = True
    product.settle()

    assert (pull.reviews, pull.check_runs()) == ([], [])
    assert say(product, pull, "/assistant help") == ([], [])


def test_a_pull_request_from_a_fork_is_reviewed_like_any_other(product):
    pull = product.open(fork=True, author="alice")
    product.settle()

    assert len(pull.reviews) == 1


def test_a_merge_queue_is_never_kept_waiting(product):
    repo = product.repository()
    pull = product.open(repo=repo)
    product.play(pull.close())
    branch = f"gh-readonly-queue/main/pr-1-{pull.head}"
    candidate = product.play(repo.push({"merged.py": "x = 1\n"}, branch=branch))
    group = {"head_sha": candidate, "head_ref": f"refs/heads/{branch}", "base_ref": "refs/heads/main"}
    emit(repo.world, repo.state, "merge_group", "checks_requested", repo.user("alice", "write"), merge_group=group)
    product.settle()

    (run,) = pull.check_runs(candidate)
    assert (run.status, run.conclusion) == ("completed", "neutral")


def test_bots_are_heard_only_when_they_are_listed(product, reviewed):
    assert say(product, reviewed, "/assistant help", UNLISTED.login) == ([], [])
    assert answer(product, reviewed, "/assistant explain", UNLISTED.login) == ([], [])
    assert answer(product, reviewed, "What is this?", UNLISTED.login) == ([], [])


def test_a_listed_bot_dismisses_with_a_command_and_in_no_other_way(product):
    pull = product.open()
    product.settle()
    pull.resolve(finding(pull), LISTED.login)
    pull.react(finding(pull), LISTED.login, "-1")

    assert answer(product, pull, "This is wrong.", LISTED.login) == ([], [])
    say(product, pull, "/assistant review full")
    assert "Dismissed" not in finding(pull).body
    assert answer(product, pull, "/assistant dismiss it is logged", LISTED.login) == ([], ["eyes", "rocket"])
    assert "**Dismissed** by `deploy[bot]`: it is logged" in finding(pull).body


@pytest.mark.parametrize("bot", [UNLISTED, LISTED], ids=["unlisted", "listed"])
def test_a_bots_pull_request_from_a_fork_waits_for_a_maintainers_word(product, bot):
    pull = product.open(repo=product.repository(private=False), fork=True, author=bot.login)
    product.settle()
    (run,) = pull.check_runs()
    before = run.conclusion, "assistant:review" in run.summary, len(pull.reviews)
    say(product, pull, "/assistant review")

    assert before == ("neutral", True, 0)
    assert len(pull.reviews) == 1


def test_a_question_to_github_that_fails_once_is_asked_again_before_anybody_is_refused(product, reviewed):
    product.sandbox.plan(faults.server_error("GET", "*/permission"))

    assert say(product, reviewed, "/assistant status")[1] == ["eyes", "rocket"]


def test_the_page_names_every_verb(request):
    page = (request.config.rootpath / "docs" / "reference" / "commands.md").read_text()

    assert all(f"`/assistant {verb}" in page for verb in Verb)


def test_the_apps_name_in_a_comment_asks_through_the_same_gate(product):
    pull = product.open()
    product.settle()
    (first,) = pull.reviews

    answers, _ = say(product, pull, "Hello @review-assistant, may I catch everything?")
    refused, _ = say(product, pull, "@review-assistant may I?", who="mallory")

    assert "No model is configured" in answers[0]
    assert not any("No model is configured" in one for one in refused)
    assert "`/assistant dismiss REASON`" in first.body


def test_forty_commands_of_a_stranger_get_one_sign_and_a_maintainer_is_answered(product):
    repo = product.repository()
    repo.user("mallory", "read")
    pull = product.open(repo=repo)
    product.settle()
    writes = len(product.sandbox.requests)
    for number in range(40):
        pull.comment("mallory", f"/assistant ask {number}?")
    product.settle()
    made = [one for one in product.sandbox.requests[writes:] if one.method != "GET" and "access_tokens" not in one.path]
    signs = [one for one in made if "/reactions" in one.path or one.path.endswith("/comments")]

    assert len(signs) == 1
    assert "cannot use commands here" in str(signs[0].body)
    (said,), _ = say(product, pull, "/assistant help")
    assert "/assistant review" in said
    entries = product.play(AuditLog(product.app.ledger.database).entries(pull.repo.full_name))
    assert [entry.what for entry in entries if entry.actor == "mallory"] == ["refused"] * 40
    assert ("answer", "alice", "command") in {(entry.what, entry.actor, entry.word) for entry in entries}
    assert "reviewed" in {entry.what for entry in entries}
