"""Conversations, labels, reactions, check runs and GraphQL in the sandbox keep GitHub's rules."""

import pytest

from tests.support.sandbox_pull import REPO, scenario

THREADS = """
query ($number: Int!, $after: String) {
  repository(owner: "octo", name: "shop") {
    pullRequest(number: $number) {
      reviewThreads(first: 1, after: $after) {
        pageInfo { hasNextPage endCursor }
        nodes { id isResolved isOutdated resolvedBy { login } comments(first: 10) { nodes { databaseId author { login } } } }
      }
    }
  }
}
"""
RESOLVE = "mutation ($id: ID!) { resolveReviewThread(input: {threadId: $id}) { thread { isResolved } } }"
MINIMIZE = """
mutation ($id: ID!) {
  minimizeComment(input: {subjectId: $id, classifier: OUTDATED}) { minimizedComment { isMinimized minimizedReason } }
}
"""
RUN = {"name": "assistant", "status": "in_progress"}
NOTE = {"path": "a.py", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "Look."}


async def graphql(github, query, **variables):
    answer = await github("POST", "http://sandbox.test/api/graphql", {"query": query, "variables": variables}, 200)
    return answer.json()


def output(**more):
    return {"title": "Title", "summary": "Summary."} | more


@scenario
async def test_issues_and_pull_requests_share_their_numbers(github):
    github.shop.open_issue("A bug", "It is broken.", author="maria")
    told = (await github("GET", f"{REPO}/issues/2", status=200)).json()
    assert (told["title"], told["user"]["login"], "pull_request" in told) == ("A bug", "maria", False)
    assert "pull_request" in (await github("GET", f"{REPO}/issues/1", status=200)).json()
    for number in (0, 3, 2**63):
        await github("GET", f"{REPO}/issues/{number}", status=404)
    await github("GET", f"{REPO}/issues/-1", status=404)


@scenario
async def test_a_deleted_issue_is_gone_and_a_moved_one_redirects(github):
    gone, moved = github.shop.open_issue("Gone"), github.shop.open_issue("Moved")
    gone.state.deleted, moved.state.moved = True, "https://api.github.com/repos/other/place/issues/7"
    await github("GET", f"{REPO}/issues/2", status=410)
    assert "other/place" in (await github("GET", f"{REPO}/issues/3", status=301)).headers["location"]


@scenario
async def test_a_conversation_is_read_in_order_and_only_own_words_are_changed(github):
    theirs = github.pull.comment("alice", "First.")
    ours = (await github("POST", f"{REPO}/issues/1/comments", {"body": "Second."}, 201)).json()
    told = (await github("GET", f"{REPO}/issues/1/comments", status=200)).json()
    assert [one["body"] for one in told] == ["First.", "Second."]
    await github("PATCH", f"{REPO}/issues/comments/{ours['id']}", {"body": "Changed."}, 200)
    await github("PATCH", f"{REPO}/issues/comments/{theirs.id}", {"body": "Changed."}, 403)
    await github("DELETE", f"{REPO}/issues/comments/{ours['id']}", status=204)
    assert github.events == [f"issue_comment.{action}" for action in ("created", "created", "edited", "deleted")]
    await github("POST", f"{REPO}/issues/1/comments", {"body": " "}, 422)
    github.pull.state.locked = True
    await github("POST", f"{REPO}/issues/1/comments", {"body": "Too late."}, 403)


@scenario
async def test_the_same_reaction_twice_is_one_and_leaves_no_webhook(github):
    said = github.pull.comment("alice", "/assistant review")
    github.sandbox.deliveries.clear()
    path = f"{REPO}/issues/comments/{said.id}/reactions"
    first = (await github("POST", path, {"content": "eyes"}, 201)).json()
    assert (await github("POST", path, {"content": "eyes"}, 200)).json()["id"] == first["id"]
    await github("POST", path, {"content": "applause"}, 422)
    github.pull.react(said, "alice", "-1")
    assert [one["content"] for one in (await github("GET", path)).json()] == ["eyes", "-1"]
    assert github.events == []


@scenario
async def test_inline_comments_can_be_reacted_to(github):
    await github.review({"path": "a.py", "line": 5})
    path = f"{REPO}/pulls/comments/{github.pull.comments[0].id}"
    await github("POST", f"{path}/reactions", {"content": "+1"}, 201)
    assert (await github("GET", path)).json()["reactions"]["+1"] == 1


@scenario
async def test_labels_go_on_once_and_off_by_their_encoded_name(github):
    added = await github("POST", f"{REPO}/issues/1/labels", {"labels": ["assistant:review", "a/b c"]}, 200)
    assert [one["name"] for one in added.json()] == ["assistant:review", "a/b c"]
    await github("POST", f"{REPO}/issues/1/labels", {"labels": ["a/b c"]}, 200)
    await github("DELETE", f"{REPO}/issues/1/labels/a%2Fb%20c", status=200)
    await github("DELETE", f"{REPO}/issues/1/labels/a%2Fb%20c", status=404)
    assert github.events == ["pull_request.labeled", "pull_request.labeled", "pull_request.unlabeled"]


@scenario
async def test_a_check_run_goes_from_queued_to_its_conclusion(github):
    run = (await github("POST", f"{REPO}/check-runs", RUN | {"head_sha": github.pull.head}, 201)).json()
    assert (run["status"], run["conclusion"], run["pull_requests"][0]["number"]) == ("in_progress", None, 1)
    path = f"{REPO}/check-runs/{run['id']}"
    done = (await github("PATCH", path, {"conclusion": "neutral", "output": output()}, 200)).json()
    assert (done["status"], done["conclusion"], done["output"]["title"]) == ("completed", "neutral", "Title")
    assert github.events == ["check_run.created", "check_run.completed"]
    await github("PATCH", path, {"status": "completed"}, 422)


@scenario
async def test_annotations_are_added_fifty_at_a_time(github):
    body = RUN | {"head_sha": github.pull.head, "output": output(annotations=[NOTE] * 50)}
    run = (await github("POST", f"{REPO}/check-runs", body, 201)).json()
    path = f"{REPO}/check-runs/{run['id']}"
    await github("PATCH", path, {"output": output(annotations=[NOTE] * 51)}, 422)
    more = await github("PATCH", path, {"output": output(annotations=[NOTE] * 20)}, 200)
    assert more.json()["output"]["annotations_count"] == 70
    assert len((await github("GET", f"{path}/annotations?per_page=100")).json()) == 70


@pytest.mark.parametrize(
    "body",
    [
        {"output": output(summary="x" * 65_536)},
        {"output": output(text="x" * 65_536)},
        {"output": {"title": "No summary"}},
        {"output": output(annotations=[NOTE | {"title": "x" * 256}])},
        {"output": output(annotations=[NOTE | {"message": "\u00e9" * 32_769}])},
        {"output": output(annotations=[NOTE | {"annotation_level": "error"}])},
        {"output": output(annotations=[NOTE | {"start_line": 2}])},
        {"actions": [{"label": "x", "description": "x", "identifier": "x"}] * 4},
        {"actions": [{"label": "x" * 21, "description": "x", "identifier": "x"}]},
        {"actions": [{"label": "x", "description": "x" * 41, "identifier": "x"}]},
        {"actions": [{"label": "x", "description": "x", "identifier": "x" * 21}]},
        {"conclusion": "fine"},
        {"status": "done"},
        {"head_sha": "0" * 40},
        {"name": ""},
    ],
)
@scenario
async def test_a_check_run_over_its_limits_is_refused(github, body):
    await github("POST", f"{REPO}/check-runs", RUN | {"head_sha": github.pull.head} | body, 422)
    assert github.pull.check_runs() == []


@scenario
async def test_a_check_run_at_its_limits_is_accepted(github):
    action = {"label": "x" * 20, "description": "x" * 40, "identifier": "x" * 20}
    body = {"output": output(summary="x" * 65_535), "actions": [action] * 3, "head_sha": github.pull.head}
    await github("POST", f"{REPO}/check-runs", RUN | body, 201)


@scenario
async def test_the_latest_run_of_a_name_is_listed_unless_all_are_asked_for(github):
    for name in ("assistant", "assistant", "lint"):
        await github("POST", f"{REPO}/check-runs", {"name": name, "head_sha": github.pull.head}, 201)
    path = f"{REPO}/commits/{github.pull.head}/check-runs"
    first, second, lint = github.pull.check_runs()
    assert [one["id"] for one in (await github("GET", path)).json()["check_runs"]] == [lint.id, second.id]
    every = (await github("GET", f"{path}?check_name=assistant&filter=all&app_id=1234")).json()
    assert [one["id"] for one in every["check_runs"]] == [second.id, first.id]
    assert (await github("GET", f"{path}?app_id=1")).json()["total_count"] == 0


@scenario
async def test_a_check_run_does_not_know_pull_requests_from_forks(github):
    pull = await github.shop.open_pull(files={"c.py": "x\n"}, author="mallory", fork=True)
    run = (await github("POST", f"{REPO}/check-runs", RUN | {"head_sha": pull.head}, 201)).json()
    assert run["pull_requests"] == []


@scenario
async def test_buttons_of_a_check_run_come_back_as_events(github):
    await github("POST", f"{REPO}/check-runs", RUN | {"head_sha": github.pull.head, "external_id": "r/1"}, 201)
    run = github.pull.check_runs()[0]
    github.pull.rerequest(run, "alice")
    github.pull.press(run, "full", "alice")
    assert github.events[1:] == ["check_run.rerequested", "check_run.requested_action"]
    assert b'"requested_action":{"identifier":"full"}' in github.sandbox.deliveries[-1].body


@scenario
async def test_threads_are_listed_page_by_page(github):
    await github.review({"path": "a.py", "line": 5}, {"path": "b.py", "line": 1})
    github.pull.reply(github.pull.comments[0].id, "alice", "Why?")
    github.pull.resolve(github.pull.comments[1], "alice")
    first = (await graphql(github, THREADS, number=1))["data"]["repository"]["pullRequest"]["reviewThreads"]
    said = first["nodes"][0]["comments"]["nodes"]
    assert [one["author"]["login"] for one in said] == ["review-assistant", "alice"]
    assert first["pageInfo"]["hasNextPage"]
    rest = await graphql(github, THREADS, number=1, after=first["pageInfo"]["endCursor"])
    second = rest["data"]["repository"]["pullRequest"]["reviewThreads"]["nodes"]
    assert [(one["isResolved"], one["resolvedBy"]["login"]) for one in second] == [(True, "alice")]


@scenario
async def test_resolving_a_thread_needs_contents_write(github):
    await github.review({"path": "a.py", "line": 5})
    found = await graphql(github, THREADS, number=1)
    thread = found["data"]["repository"]["pullRequest"]["reviewThreads"]["nodes"][0]["id"]
    refused = await graphql(github, RESOLVE, id=thread)
    assert refused["errors"][0]["type"] == "FORBIDDEN"
    assert github.pull.comments[0].resolved_by is None
    github.sandbox.install("octo", dict(github.sandbox.world.app.permissions) | {"contents": "write"})
    github.token = await github.mint()
    done = await graphql(github, RESOLVE, id=thread)
    assert done["data"]["resolveReviewThread"]["thread"]["isResolved"]
    undone = await graphql(github, RESOLVE.replace("resolve", "unresolve"), id=thread)
    assert not undone["data"]["unresolveReviewThread"]["thread"]["isResolved"]


@scenario
async def test_a_comment_can_be_folded_away(github):
    said = (await github("POST", f"{REPO}/issues/1/comments", {"body": "Old news."}, 201)).json()
    done = await graphql(github, MINIMIZE, id=said["node_id"])
    assert done["data"]["minimizeComment"]["minimizedComment"] == {"isMinimized": True, "minimizedReason": "outdated"}
    assert github.pull.state.comments[0].minimized == "OUTDATED"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ('{ repository(owner: "octo", name: "shop") { secrets { value } } }', "Field 'secrets' doesn't exist"),
        ("mutation { deleteRepository(input: {}) { id } }", "Field 'deleteRepository' doesn't exist"),
        ('{ repository(owner: "octo", name: "shop", x: 1) { id } }', "doesn't accept these arguments"),
        ('{ repository(owner: "octo", name: "nowhere") { id } }', "Could not resolve to a Repository"),
        (THREADS.replace("first: 1, ", ""), "You must provide a `first` value"),
        ('{ repository(owner: "octo"', "Parse error"),
        ("subscription { x }", "Parse error"),
        ("", "Parse error"),
    ],
)
@scenario
async def test_any_other_graphql_is_an_error(github, query, words):
    answer = await graphql(github, query, number=1)
    assert words in answer["errors"][0]["message"]
    assert answer["data"] is None


@scenario
async def test_graphql_sees_no_more_than_its_token(github):
    await github.sandbox.repository("octo/hidden", {"x": "1"}, private=True)
    github.token = await github.mint(repositories=["shop"])
    answer = await graphql(github, '{ repository(owner: "octo", name: "hidden") { id } }')
    assert answer["errors"][0]["type"] == "NOT_FOUND"
