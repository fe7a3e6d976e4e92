"""What people do in the sandbox moves commits, comments and states as on GitHub, and leaves signed webhooks."""

import hashlib
import hmac
import json

import httpx
import pytest
from starlette.responses import Response

from bot.hosts.git import Git
from bot.sandbox.sandbox import Clock, Sandbox
from tests.support.sandbox_pull import NEW, OLD, PULL, REPO, scenario


def payload(github, at=-1):
    return json.loads(github.sandbox.deliveries[at].body)


@scenario
async def test_a_delivery_is_signed_over_its_exact_bytes_and_names_the_app(github):
    github.pull.comment("alice", "/assistant review \u00e9")
    delivery = github.sandbox.deliveries[-1]
    digest = hmac.new(github.sandbox.world.secret.encode(), delivery.body, hashlib.sha256).hexdigest()
    assert delivery.headers["X-Hub-Signature-256"] == f"sha256={digest}"
    assert delivery.headers["X-GitHub-Event"] == "issue_comment"
    assert delivery.headers["X-GitHub-Hook-Installation-Target-ID"] == "1234"
    told = payload(github)
    assert told["installation"]["id"] == github.sandbox.install("octo").id
    assert (told["repository"]["full_name"], told["sender"]["login"]) == ("octo/shop", "alice")
    assert "pull_request" in told["issue"]


@scenario
async def test_every_act_leaves_its_event(github):
    pull = github.pull
    pull.label("alice", "assistant:review")
    pull.unlabel("alice", "assistant:review")
    await pull.push({"b.py": "four\n"})
    pull.convert_to_draft()
    pull.ready()
    pull.rewrite(title="Better")
    said = await pull.say("bob", "Why?", "b.py", 1)
    pull.reply(said.id, "alice", "Because.")
    pull.resolve(said, "alice")
    pull.review("bob", "Fine.", "APPROVE")
    await pull.close(merged=True)
    assert github.events == [
        "pull_request.labeled",
        "pull_request.unlabeled",
        "pull_request.synchronize",
        "pull_request.converted_to_draft",
        "pull_request.ready_for_review",
        "pull_request.edited",
        "pull_request_review.submitted",
        "pull_request_review_comment.created",
        "pull_request_review.submitted",
        "pull_request_review_comment.created",
        "pull_request_review_thread.resolved",
        "pull_request_review.submitted",
        "pull_request.closed",
    ]
    assert payload(github)["pull_request"]["merged"] is True
    assert (await github("GET", f"{REPO}/contents/b.py")).json()["size"] == 5


@scenario
async def test_a_push_tells_where_the_head_was_and_is(github):
    before = github.pull.head
    after = await github.pull.push({"b.py": "four\n"})
    told = payload(github)
    assert (told["before"], told["after"], told["pull_request"]["head"]["sha"]) == (before, after, after)
    assert before != after


@scenario
async def test_a_comment_follows_its_line_through_a_push(github):
    await github.review({"path": "a.py", "start_line": 5, "line": 6}, {"path": "a.py", "line": 30, "side": "LEFT"})
    await github.pull.push({"a.py": "zero\n" + NEW})
    right, left = (await github("GET", f"{PULL}/comments")).json()
    assert (right["start_line"], right["line"], right["original_line"]) == (6, 7, 6)
    assert (left["line"], left["commit_id"]) == (30, github.pull.head)


@scenario
async def test_a_comment_whose_line_is_gone_is_outdated(github):
    await github.review({"path": "a.py", "line": 6}, {"path": "b.py", "line": 1})
    first = github.pull.head
    await github.pull.push({"a.py": NEW.replace("line 5b\n", "line five b\n"), "b.py": None})
    for told in (await github("GET", f"{PULL}/comments")).json():
        assert (told["line"], told["position"], told["commit_id"]) == (None, None, first)
        assert told["original_line"] in (6, 1)


@scenario
async def test_a_rebase_takes_reviews_of_the_same_change_along(github):
    posted = await github.review({"path": "a.py", "line": 6})
    await github.shop.push({"a.py": "top\n" + OLD})
    await github.pull.rebase()
    told = (await github("GET", f"{PULL}/reviews/{posted['id']}")).json()
    assert told["commit_id"] == github.pull.head  # so a review's commit is no proof of what was reviewed
    assert github.pull.comments[0].line == 7


@scenario
async def test_a_force_push_of_another_change_leaves_reviews_behind(github):
    first = github.pull.head
    await github.review()
    await github.pull.push({"z.py": "x\n"}, force=True)
    assert github.pull.reviews[0].commit == first
    assert (await github.review(commit_id=first, status=422))["errors"] == [
        "Start commit oid is not part of the pull request"
    ]


@scenario
async def test_merging_the_base_in_does_not_change_what_the_pull_request_changes(github):
    await github.review({"path": "a.py", "line": 30, "side": "LEFT"})
    await github.shop.push({"a.py": "top\n" + OLD, "other.py": "x\n"})
    before = [one["filename"] for one in (await github("GET", f"{PULL}/files")).json()]
    await github.pull.merge_base_in()
    assert [one["filename"] for one in (await github("GET", f"{PULL}/files")).json()] == before
    assert github.pull.comments[0].line == 31


@scenario
async def test_a_fork_is_another_repository_and_may_be_deleted(github):
    pull = await github.shop.open_pull(
        "From outside", files={"c.py": "x\n"}, author="mallory", fork=True, branch="main"
    )
    told = (await github("GET", f"{REPO}/pulls/{pull.number}")).json()
    assert (told["head"]["repo"]["full_name"], told["head"]["label"]) == ("mallory/shop", "mallory:main")
    assert github.shop.state.branches["main"] == pull.state.base_sha
    pull.delete_fork()
    assert (await github("GET", f"{REPO}/pulls/{pull.number}")).json()["head"]["repo"] is None
    with pytest.raises(ValueError, match="deleted"):
        await pull.push({"c.py": "y\n"})


@scenario
async def test_what_the_app_does_comes_back_to_it_as_webhooks(github):
    await github.review({"path": "a.py", "line": 5})
    assert github.events == ["pull_request_review.submitted", "pull_request_review_comment.created"]
    assert payload(github)["sender"] == payload(github, 0)["sender"]
    assert (payload(github)["sender"]["login"], payload(github)["sender"]["type"]) == ("review-assistant[bot]", "Bot")


@scenario
async def test_a_repository_without_the_app_sends_nothing(github):
    other = await github.sandbox.repository("else/where", {"a": "b"}, installed=False)
    await other.open_pull(files={"a": "c"})
    assert github.events == []


@scenario
async def test_deliveries_are_sent_once_and_a_failure_is_kept(github):
    answers = [500, 202]

    async def receiver(scope, receive, send):
        await Response(status_code=answers.pop(0))(scope, receive, send)

    github.pull.comment("alice", "One.")
    github.pull.comment("alice", "Two.")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(receiver), base_url="http://product") as product:
        sent = await github.sandbox.deliver(product)
        assert [one.code for one in sent] == [500, 202]
        assert await github.sandbox.deliver(product) == []


@scenario
async def test_a_failed_delivery_is_found_and_sent_again_with_the_same_guid(github):
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(503))) as product:
        github.pull.comment("alice", "Lost.")
        github.pull.comment("alice", "Lost too.")
        await github.sandbox.deliver(product, "http://product/hook")
    page = await github.as_app("GET", "/app/hook/deliveries?status=failure&per_page=1")
    newest = page.json()[0]
    assert (newest["status"], newest["status_code"]) == ("Invalid HTTP Response: 503", 503)
    older = (await github.as_app("GET", page.links["next"]["url"])).json()[0]
    whole = (await github.as_app("GET", f"/app/hook/deliveries/{older['id']}")).json()
    assert whole["request"]["payload"]["comment"]["body"] == "Lost."
    assert (await github.as_app("POST", f"/app/hook/deliveries/{older['id']}/attempts")).status_code == 202
    again = github.sandbox.deliveries[-1]
    assert (again.guid, again.redelivery, again.id == older["id"]) == (older["guid"], True, False)


@scenario
async def test_an_attempt_that_nobody_answered_is_in_no_list_of_failures(github):
    def refuse(_):
        raise httpx.ConnectError("nobody there")

    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as product:
        github.pull.comment("alice", "Lost.")
        await github.sandbox.deliver(product, "http://product/hook")
    assert (await github.as_app("GET", "/app/hook/deliveries?status=failure")).json() == []
    assert (await github.as_app("GET", "/app/hook/deliveries")).json()[0]["status"] == "failed to connect to host"


@scenario
async def test_deliveries_are_forgotten_after_three_days(github):
    clock = github.sandbox.world.clock = Clock()
    github.pull.comment("alice", "Old.")
    number = github.sandbox.deliveries[-1].id
    github.sandbox.deliveries[-1].code = 500
    clock.advance(3 * 24 * 3600 + 1)
    assert (await github.as_app("GET", "/app/hook/deliveries")).json() == []
    assert (await github.as_app("POST", f"/app/hook/deliveries/{number}/attempts")).status_code == 404


@scenario
async def test_the_same_acts_make_the_same_commits(github, tmp_path_factory):
    twin = Sandbox.create(tmp_path_factory.mktemp("twin"))
    repo = await twin.repository("octo/shop", {"a.py": OLD, "docs/rules.md": "# Rules\n\nBe kind.\n"})
    pull = await repo.open_pull("Change five", "Fixes #9", {"a.py": NEW, "b.py": "one\ntwo\nthree\n"})
    assert pull.head == github.pull.head


@scenario
async def test_a_repository_on_disk_is_borrowed_without_copying(github, tmp_path_factory):
    source = github.shop.state.git
    twin = Sandbox.create(tmp_path_factory.mktemp("borrowing"))
    pull = await twin.borrow("me/mine", Git(source.directory), "main", "change-1")
    assert (pull.head, pull.state.title) == (github.pull.head, "Change five")
    assert not list((twin.world.directory).glob("*/objects/pack/*.pack"))
