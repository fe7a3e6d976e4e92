"""The sandbox refuses what GitHub refuses in a review, in GitHub's words, and posts all of a review or nothing."""

import pytest

from tests.support.sandbox_pull import NEW, PULL, REPO, scenario

OUTSIDE = "Pull request review thread line must be part of the diff"
BLANK = "Pull request review thread diff hunk can't be blank"


@scenario
async def test_a_comment_may_stand_on_an_added_line(github):
    await github.review({"path": "a.py", "line": 6, "side": "RIGHT"})
    assert [(said.line, said.position) for said in github.pull.comments] == [(6, 6)]


@scenario
async def test_a_comment_may_stand_on_a_context_line(github):
    await github.review({"path": "a.py", "line": 7})
    assert github.pull.comments[0].diff_hunk.splitlines()[-1] == " line 6"


@scenario
async def test_a_comment_may_stand_on_a_removed_line_of_the_left_side(github):
    await github.review({"path": "a.py", "line": 30, "side": "LEFT"})
    assert github.pull.comments[0].diff_hunk.endswith("-line 30")


@pytest.mark.parametrize(
    ("path", "line", "side"),
    [
        ("a.py", 20, "RIGHT"),  # between the hunks
        ("a.py", 20, "LEFT"),
        ("a.py", 4, "LEFT"),  # context: it is on the right side
        ("a.py", 41, "RIGHT"),
        ("a.py", 0, "RIGHT"),
        ("a.py", 10**9, "RIGHT"),
        ("b.py", 4, "RIGHT"),
        ("b.py", 1, "LEFT"),
    ],
)
@scenario
async def test_a_line_outside_the_diff_is_refused(github, path, line, side):
    answer = await github.review({"path": path, "line": line, "side": side}, status=422)
    assert answer["errors"] == [OUTSIDE, BLANK]


@pytest.mark.parametrize("path", ["docs/rules.md", "nowhere.py", "../a.py", "/a.py", "a.py\0", ""])
@scenario
async def test_a_path_that_did_not_change_is_refused(github, path):
    await github.review({"path": path, "line": 5}, status=422)
    assert not github.pull.reviews


@scenario
async def test_one_bad_comment_posts_nothing_and_is_not_named(github):
    answer = await github.review(
        {"path": "a.py", "line": 5}, {"path": "a.py", "line": 20}, {"path": "b.py", "line": 9}, status=422
    )
    assert answer["errors"] == [OUTSIDE, BLANK]
    assert not github.pull.reviews
    assert not github.pull.comments


@scenario
async def test_a_range_lies_in_one_hunk(github):
    await github.review({"path": "a.py", "start_line": 5, "line": 8, "start_side": "RIGHT", "side": "RIGHT"})
    answer = await github.review({"path": "a.py", "start_line": 5, "line": 30}, status=422)
    assert answer["errors"] == ["Pull request review thread start line must be part of the same hunk as the line."]


@pytest.mark.parametrize("start", [6, 7])
@scenario
async def test_a_range_starts_before_it_ends(github, start):
    answer = await github.review({"path": "a.py", "start_line": start, "line": 6}, status=422)
    assert answer["errors"] == ["Pull request review thread start line must precede the end line."]


@scenario
async def test_a_range_may_go_from_the_left_side_to_the_right(github):
    await github.review({"path": "a.py", "start_line": 5, "start_side": "LEFT", "line": 6, "side": "RIGHT"})
    answer = await github.review(
        {"path": "a.py", "start_line": 6, "start_side": "RIGHT", "line": 5, "side": "LEFT"}, status=422
    )
    assert answer["errors"] == ["Pull request review thread start line must precede the end line."]


@scenario
async def test_the_old_position_parameter_still_works(github):
    await github.review({"path": "a.py", "position": 4})
    assert (github.pull.comments[0].side, github.pull.comments[0].line) == ("LEFT", 5)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"line": 5}, '"path" wasn\'t supplied.'),
        ({"path": "a.py", "line": "5"}, "For 'properties/line', '5' is not an integer."),
        ({"path": "a.py", "line": 5, "subject_type": "file"}, '"subject_type" is not a permitted key.'),
        ({"path": "a.py", "line": 5, "body": None}, '"body" wasn\'t supplied.'),
    ],
)
@scenario
async def test_a_comment_of_another_shape_is_refused(github, item, words):
    answer = await github.review(item, status=422)
    assert answer["message"] == f"Invalid request.\n\n{words}"


@pytest.mark.parametrize("length", [65_536, 65_537])
@scenario
async def test_a_body_has_at_most_65536_characters(github, length):
    right = length == 65_536
    await github.review(body="x" * length, status=200 if right else 422)
    await github.review({"path": "a.py", "line": 5, "body": "x" * length}, status=200 if right else 422)
    answer = await github("POST", f"{REPO}/issues/1/comments", {"body": "x" * length}, 201 if right else 422)
    assert right or "is too long (maximum is 65536 characters)" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("event", ["COMMENT", "REQUEST_CHANGES"])
@scenario
async def test_a_comment_or_a_request_needs_a_body(github, event):
    await github.review({"path": "a.py", "line": 5}, event=event, body="", status=422)
    assert not github.pull.reviews


@scenario
async def test_a_review_without_an_event_is_pending_and_invisible(github):
    pending = await github.review({"path": "a.py", "line": 5}, event=None)
    assert pending["state"] == "PENDING"
    assert github.events == []
    assert (await github("GET", f"{PULL}/comments")).json() == []


@scenario
async def test_only_one_review_may_be_pending_and_it_blocks_replies_too(github):
    posted = await github.review({"path": "a.py", "line": 5})
    comment = (await github("GET", f"{PULL}/reviews/{posted['id']}/comments")).json()[0]
    pending = await github.review(event=None)
    blocked = "User can only have one pending review per pull request"
    assert (await github.review(status=422))["errors"] == [blocked]
    reply = await github("POST", f"{PULL}/comments/{comment['id']}/replies", {"body": "Hm."}, 422)
    assert reply.json()["errors"] == [blocked]
    await github("DELETE", f"{PULL}/reviews/{pending['id']}", status=200)
    await github.review()


@scenario
async def test_a_pending_review_can_be_submitted_later(github):
    pending = await github.review({"path": "a.py", "line": 5}, event=None)
    submitted = await github("POST", f"{PULL}/reviews/{pending['id']}/events", {"event": "COMMENT"}, 200)
    assert submitted.json()["state"] == "COMMENTED"
    assert github.events == ["pull_request_review.submitted", "pull_request_review_comment.created"]


@scenario
async def test_a_submitted_review_cannot_be_deleted(github):
    posted = await github.review()
    await github("DELETE", f"{PULL}/reviews/{posted['id']}", status=422)


@scenario
async def test_nobody_approves_their_own_pull_request(github):
    github.pull.state.author = github.sandbox.world.app.bot
    approved = await github.review(event="APPROVE", status=422)
    assert approved["errors"] == ["Can not approve your own pull request"]
    asked = await github.review(event="REQUEST_CHANGES", status=422)
    assert asked["errors"] == ["Can not request changes on your own pull request"]


@scenario
async def test_a_request_for_changes_is_dismissed_once_with_a_message(github):
    told, asked = await github.review(), await github.review(event="REQUEST_CHANGES")
    address = f"{PULL}/reviews/{asked['id']}/dismissals"
    for wrong in ({}, {"message": " "}, {"message": "So.", "event": "APPROVE"}):
        await github("PUT", address, wrong, 422)
    refused = await github("PUT", f"{PULL}/reviews/{told['id']}/dismissals", {"message": "So."}, 422)
    assert refused.json()["errors"] == ["Can not dismiss a commented pull request review"]
    await github("PUT", f"{PULL}/reviews/9/dismissals", {"message": "So."}, 404)

    dismissed = await github("PUT", address, {"message": "So.", "event": "DISMISS"}, 200)
    assert dismissed.json()["state"] == "DISMISSED"
    assert github.events[-1] == "pull_request_review.dismissed"
    again = await github("PUT", address, {"message": "So."}, 422)
    assert again.json()["errors"] == ["Can not dismiss a dismissed pull request review"]
    github.token = await github.mint(permissions={"pull_requests": "read"})
    await github("PUT", address, {"message": "So."}, 403)


@scenario
async def test_an_earlier_commit_of_the_pull_request_is_accepted_and_the_comment_follows(github):
    first = github.pull.head
    await github.pull.push({"a.py": "zero\n" + NEW})
    await github.review({"path": "a.py", "line": 6}, commit_id=first)
    said = github.pull.comments[0]
    assert (said.original_line, said.line, said.original_commit, said.commit) == (6, 7, first, github.pull.head)


@scenario
async def test_a_commit_that_is_not_in_the_pull_request_is_refused(github):
    answer = await github.review(commit_id=github.pull.state.base_sha, status=422)
    assert answer["errors"] == ["Start commit oid is not part of the pull request"]


@scenario
async def test_more_than_sixty_comments_are_stored_in_part_and_answered_with_502(github):
    await github.review(*[{"path": "b.py", "line": 1 + n % 3} for n in range(61)], status=502)
    assert len(github.pull.reviews) == 1
    assert len(github.pull.comments) == 60


@scenario
async def test_a_file_comment_needs_the_other_endpoint(github):
    body = {"path": "b.py", "commit_id": github.pull.head, "body": "The file.", "subject_type": "file"}
    posted = (await github("POST", f"{PULL}/comments", body, 201)).json()
    assert (posted["subject_type"], posted["line"], posted["position"]) == ("file", None, None)


@scenario
async def test_a_single_comment_outside_the_diff_is_refused_by_its_field(github):
    body = {"path": "a.py", "commit_id": github.pull.head, "body": "Here.", "line": 20, "side": "RIGHT"}
    answer = (await github("POST", f"{PULL}/comments", body, 422)).json()
    assert answer["errors"][0]["field"] == "pull_request_review_thread.line"
    assert answer["errors"][0]["message"] == "could not be resolved"
    assert not github.pull.reviews


@scenario
async def test_replies_go_to_a_top_level_comment_only(github):
    await github.review({"path": "a.py", "line": 5})
    root = github.pull.comments[0].id
    reply = (await github("POST", f"{PULL}/comments/{root}/replies", {"body": "And?"}, 201)).json()
    assert reply["in_reply_to_id"] == root
    await github("POST", f"{PULL}/comments/{reply['id']}/replies", {"body": "And?"}, 404)


@scenario
async def test_own_comments_can_be_changed_and_deleted_but_not_other_peoples(github):
    await github.review({"path": "a.py", "line": 5})
    own = f"{REPO}/pulls/comments/{github.pull.comments[0].id}"
    assert (await github("PATCH", own, {"body": "Better."}, 200)).json()["body"] == "Better."
    await github("DELETE", own, status=204)
    await github("GET", own, status=404)
    other = await github.pull.say("alice", "Mine.", "a.py", 5)
    await github("PATCH", f"{REPO}/pulls/comments/{other.id}", {"body": "Yours."}, 403)


@scenario
async def test_a_renamed_file_is_named_by_its_new_path(github):
    await github.pull.rename("a.py", "c.py")
    await github.review({"path": "a.py", "line": 5}, status=422)
    await github.review({"path": "c.py", "line": 5}, {"path": "c.py", "line": 30, "side": "LEFT"})
