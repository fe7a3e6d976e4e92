"""Pull requests read from GitHub: against the sandbox, which keeps GitHub's rules."""

import asyncio

import pytest

from bot import errors
from bot.core.code.diff import Status
from bot.core.code.pull_request import Permission, PullRequest
from bot.hosts.github.host import GitHubHost
from bot.interfaces import TreeFile
from bot.sandbox.world.faults import not_found
from tests.support.github_client import REF, ScriptedGitHub, answer, hosted, scripted

LONG = "".join(f"line {n}\n" for n in range(4000))
BASE = {
    "kept.py": "one\ntwo\nthree\n",
    "gone.py": "old\n",
    "moved.py": "".join(f"{n}\n" for n in range(50)),
    "logo.png": b"\x89PNG\0old",
    "icon.png": b"\x89PNG\0icon" * 50,
    "large.txt": LONG,
}


def play(directory, scene, files=BASE, **settings):
    """Run a scene against a sandbox with one repository."""

    async def run():
        return await scene(await hosted(directory, files, **settings))

    return asyncio.run(run())


def test_a_pull_request_is_told_in_our_words(tmp_path):
    async def scene(github):
        pull = await github.repo.open_pull("Add totals", "Fixes #1", {"a.py": "x\n"}, author="mallory", draft=True)
        pull.label("alice", "assistant:review")
        found = await github.host.pull_request(github.ref(pull))
        assert (found.title, found.body, found.author, found.draft) == ("Add totals", "Fixes #1", "mallory", True)
        assert (found.head_sha, found.base_ref, found.labels) == (pull.head, "main", ("assistant:review",))
        assert (found.from_fork, found.closed, found.merged, found.private) == (False, False, False, False)
        assert found.url.endswith("/octo/shop/pull/1")

    play(tmp_path, scene)


def test_a_fork_that_is_gone_is_still_a_fork(tmp_path):
    async def scene(github):
        pull = await github.repo.open_pull(files={"a.py": "x\n"}, author="mallory", fork=True)
        assert (await github.host.pull_request(github.ref(pull))).head_repo == "mallory/shop"
        pull.delete_fork()
        found = await github.host.pull_request(github.ref(pull))
        assert (found.head_repo, found.from_fork) == (None, True)

    play(tmp_path, scene)


def test_the_diff_is_read_file_by_file(tmp_path):
    change = {"kept.py": "one\n2\nthree\n", "gone.py": None, 'od"d\tnäme.py': "new\n", "empty.py": ""}

    async def scene(github):
        pull = await github.repo.open_pull(files=change)
        diff = await github.host.diff(await github.host.pull_request(github.ref(pull)))
        assert {file.path: (file.status, file.unread) for file in diff} == {
            "kept.py": (Status.MODIFIED, ""),
            "gone.py": (Status.REMOVED, ""),
            'od"d\tnäme.py': (Status.ADDED, ""),
            "empty.py": (Status.ADDED, ""),
        }
        assert diff.file("kept.py").added_lines == {2}
        assert await github.host.blob(github.ref(pull), diff.file("kept.py").blob) == b"one\n2\nthree\n"
        assert diff.file("gone.py").blob == ""
        assert diff.truncated == ""

    play(tmp_path, scene)


def test_what_github_leaves_out_is_read_or_marked(tmp_path):
    async def scene(github):
        change = {
            "logo.png": b"\x89PNG\0new",
            "new.png": b"\0new",
            "large.txt": LONG.replace("line", "row"),
            "big.txt": LONG,
        }
        pull = await github.repo.open_pull(files=change)
        await pull.rename("moved.py", "there.py")
        await pull.rename("icon.png", "icons/icon.png")
        diff = await github.host.diff(await github.host.pull_request(github.ref(pull)))
        assert {file.path: (len(file.hunks), file.unread) for file in diff} == {
            "big.txt": (1, ""),
            "icons/icon.png": (0, ""),
            "large.txt": (1, ""),
            "logo.png": (0, "binary"),
            "new.png": (0, "binary"),
            "there.py": (0, ""),
        }
        assert (diff.file("large.txt").additions, diff.file("large.txt").deletions) == (4000, 4000)
        assert diff.file("there.py").previous_path == "moved.py"

    play(tmp_path, scene)


def test_a_file_too_large_to_compare_is_marked(tmp_path):
    async def scene(github):
        pull = await github.repo.open_pull(files={"large.txt": LONG.replace("line", "row"), "big.txt": LONG})
        diff = await github.host.diff(await github.host.pull_request(github.ref(pull)))
        assert {file.unread for file in diff} == {"its patch was left out: too large"}

    play(tmp_path, scene, largest=10_000)


def test_only_so_many_files_are_compared_by_content(tmp_path):
    async def scene(github):
        pull = await github.repo.open_pull(files={f"{n:02}.txt": LONG + str(n) for n in range(22)})
        diff = await github.host.diff(await github.host.pull_request(github.ref(pull)))
        assert [file.path for file in diff if file.unread] == ["20.txt", "21.txt"]

    play(tmp_path, scene)


def test_without_the_merge_base_what_is_left_out_is_marked(tmp_path):
    async def scene(github):
        github.sandbox.plan(not_found("GET", "/repos/octo/shop/compare/*"))
        pull = await github.repo.open_pull(files={"large.txt": LONG.replace("line", "row"), "logo.png": b"\0x"})
        diff = await github.host.diff(await github.host.pull_request(github.ref(pull)))
        assert {file.path: bool(file.unread) for file in diff} == {"large.txt": True, "logo.png": True}

    play(tmp_path, scene)


def test_more_files_than_github_lists_are_spoken_of():
    head, files = "a" * 40, "/repos/octo/shop/pulls/1/files"
    page = [
        {"filename": f"{n}.py", "status": "added", "sha": head, "additions": 1, "patch": "@@ -0,0 +1 @@\n+x"}
        for n in range(100)
    ]
    script = ScriptedGitHub()
    turns = [answer(body=page, link=f'<https://api.github.test{files}?page={n}>; rel="next"') for n in range(29)]
    script.on("GET", files, *turns, answer(body=page))
    diff = asyncio.run(GitHubHost(scripted(script)).diff(_pull(head)))
    assert len(diff.files) == 3000
    assert diff.truncated == "GitHub lists only the first 3,000 files"


def test_a_tree_names_every_file_and_no_link(tmp_path):
    async def scene(github):
        pull = await github.repo.open_pull(files={"docs/a.md": "é\n"})
        ref = github.ref(pull)
        tree = {entry.path: entry for entry in await github.host.tree(ref, pull.head)}
        assert set(tree) == {*BASE, "docs/a.md"}
        assert tree["docs/a.md"].size == 3
        assert await github.host.blob(ref, tree["docs/a.md"].blob) == "é\n".encode()

    play(tmp_path, scene)
    link = {"path": "CLAUDE.md", "mode": "120000", "type": "blob", "sha": "b" * 40, "size": 9}
    module = {"path": "lib", "mode": "160000", "type": "commit", "sha": "c" * 40}
    file = {"path": "AGENTS.md", "mode": "100644", "type": "blob", "sha": "d" * 40, "size": 3}
    script = ScriptedGitHub().on("GET", "/repos/octo/shop/git/trees/main", answer(body={"tree": [link, module, file]}))
    tree = asyncio.run(GitHubHost(scripted(script)).tree(REF, "main"))
    assert tree == (TreeFile("AGENTS.md", "d" * 40, 3),)


def test_a_link_is_known_by_the_mode_in_the_heads_tree():
    def one_line(name):
        patch = "@@ -0,0 +1 @@\n+../lib/real.py\n\\ No newline at end of file"
        return {
            "filename": name, "status": "added", "sha": "e" * 40, "patch": patch, "additions": 1, "deletions": 0,
            "changes": 1,
        }  # fmt: skip

    link = {"path": "link.py", "mode": "120000", "type": "blob", "sha": "b" * 40, "size": 9}
    text = {"path": "path.txt", "mode": "100644", "type": "blob", "sha": "d" * 40, "size": 9}
    for tree, links in (({"tree": [link, text]}, [True, False]), ({"tree": [], "truncated": True}, [False, False])):
        script = ScriptedGitHub().on("GET", f"/repos/octo/shop/git/trees/{'a' * 40}", answer(body=tree))
        script.on("GET", "/repos/octo/shop/pulls/1/files", answer(body=[one_line("link.py"), one_line("path.txt")]))
        diff = asyncio.run(GitHubHost(scripted(script)).diff(_pull("a" * 40)))
        assert [file.link for file in diff] == links


def test_a_tree_that_github_cuts_is_too_large():
    script = ScriptedGitHub().on("GET", "/repos/octo/shop/git/trees/main", answer(body={"tree": [], "truncated": True}))
    with pytest.raises(errors.TooLarge, match="lists only a part"):
        asyncio.run(GitHubHost(scripted(script)).tree(REF, "main"))


def test_what_a_sha_names_is_asked_for_once(tmp_path):
    async def scene(github):
        pull = await github.repo.open_pull(files={"a.py": "x\n"})
        found = await github.host.pull_request(github.ref(pull))
        for _ in range(3):
            diff = await github.host.diff(found)
            await github.host.blob(found.ref, diff.file("a.py").blob)
            await github.host.tree(found.ref, found.base_sha)
        assert len(github.asked("GET")) == 4

    play(tmp_path, scene)


def test_what_one_repository_may_read_is_not_anothers():
    script = ScriptedGitHub().on("GET", "/repos/octo/shop/git/blobs/abc", answer())

    async def run():
        host = GitHubHost(scripted(script))
        await host.blob(REF, "abc")
        with pytest.raises(errors.NotFound):
            await host.blob(type(REF)("octo/other", 1, repo_id=43, installation=7), "abc")

    asyncio.run(run())


def test_a_file_larger_than_the_cache_is_read_all_the_same():
    script = ScriptedGitHub().on("GET", "/repos/octo/shop/git/blobs/abc", answer(body="x" * 100))
    host = GitHubHost(scripted(script), cached=10)
    assert len(asyncio.run(host.blob(REF, "abc"))) == 102


def test_a_file_over_the_bound_is_too_large(tmp_path):
    async def scene(github):
        pull = await github.repo.open_pull(files={"a.py": "x" * 200})
        diff = await github.host.diff(await github.host.pull_request(github.ref(pull)))
        with pytest.raises(errors.TooLarge):
            await github.host.blob(github.ref(pull), diff.file("a.py").blob)

    play(tmp_path, scene, largest=199)


def test_an_issue_comes_with_its_first_comments(tmp_path):
    async def scene(github):
        issue = github.repo.open_issue("Totals are wrong", "See **1**")
        for n in range(25):
            issue.comment("bob", f"comment {n}")
        pull = await github.repo.open_pull(files={"a.py": "x\n"})
        found = await github.host.issue(github.ref(pull), issue.number)
        assert (found.repo, found.number, found.title) == ("octo/shop", 1, "Totals are wrong")
        assert (found.body, found.state, found.author) == ("See **1**", "open", "alice")
        assert found.comments == tuple(f"bob: comment {n}" for n in range(20))
        assert (await github.host.issue(github.ref(pull), pull.number)).state == "open pull request"

    play(tmp_path, scene)


def test_an_issue_that_went_away_or_elsewhere_is_not_found(tmp_path):
    async def scene(github):
        other = await github.sandbox.repository("octo/secret", {}, private=True)
        there = other.open_issue("Private")
        pull = await github.repo.open_pull(files={"a.py": "x\n"})
        moved, deleted = github.repo.open_issue("Moved"), github.repo.open_issue("Deleted")
        moved.state.moved = f"{github.sandbox.world.api}/repositories/{other.state.id}/issues/{there.number}"
        deleted.state.deleted = True
        for number in (moved.number, deleted.number, 999):
            with pytest.raises(errors.NotFound):
                await github.host.issue(github.ref(pull), number)
        assert not [one for one in github.sandbox.requests if "secret" in one.path or "repositories" in one.path]

    play(tmp_path, scene)


@pytest.mark.parametrize("role", ["none", "read", "triage", "write", "maintain", "admin"])
def test_a_permission_is_the_exact_role(tmp_path, role):
    async def scene(github):
        github.repo.user("bob", role)
        pull = await github.repo.open_pull(files={"a.py": "x\n"})
        assert await github.host.permission(github.ref(pull), "bob") is Permission[role.upper()]

    play(tmp_path, scene, files={}, private=True)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"permission": "write", "role_name": "release-captain"}, Permission.WRITE),
        ({"permission": "read"}, Permission.READ),
        ({"permission": "read", "role_name": "triage"}, Permission.TRIAGE),
    ],
)
def test_a_role_of_the_organisations_own_counts_as_githubs_coarse_word(body, expected):
    script = ScriptedGitHub().on("GET", "/repos/octo/shop/collaborators/bob/permission", answer(body=body))
    assert asyncio.run(GitHubHost(scripted(script)).permission(REF, "bob")) is expected


@pytest.mark.parametrize(
    ("answered", "kind"),
    [
        (answer(body={"permission": "emperor", "role_name": "emperor"}), errors.Forbidden),
        (answer(body={}), errors.Retryable),
        (answer(404), errors.NotFound),
        (answer(500), errors.Retryable),
    ],
)
def test_a_permission_is_never_guessed(answered, kind):
    script = ScriptedGitHub().on("GET", "/repos/octo/shop/collaborators/bob/permission", answered)
    with pytest.raises(kind):
        asyncio.run(GitHubHost(scripted(script)).permission(REF, "bob"))


def test_a_login_cannot_lead_elsewhere():
    script = ScriptedGitHub()
    with pytest.raises(errors.NotFound):
        asyncio.run(GitHubHost(scripted(script)).permission(REF, "../../../../user"))
    assert script.asked[-1].url.raw_path == (b"/repos/octo/shop/collaborators/..%2F..%2F..%2F..%2Fuser/permission")


def test_all_that_was_said_is_heard_oldest_first(tmp_path):
    async def scene(github):
        clock = github.sandbox.world.clock
        pull = await github.repo.open_pull(files={"kept.py": "one\n2\nthree\n"})
        inline = await pull.say("bob", "Why?", "kept.py", 2)
        clock.advance(1)
        pull.reply(inline.id, "alice", "Because.")
        clock.advance(1)
        pull.comment("bob", "Fine.")
        clock.advance(1)
        pull.review("bob", "Looks good", "APPROVE")
        said = await github.host.comments(github.ref(pull))
        assert [(one.kind, one.author, one.body) for one in said if one.body] == [
            ("inline", "bob", "Why?"),
            ("inline", "alice", "Because."),
            ("comment", "bob", "Fine."),
            ("review", "bob", "Looks good"),
        ]
        question, reply = (one for one in said if one.kind == "inline")
        assert (question.path, question.line, question.side, question.commit) == ("kept.py", 2, "RIGHT", pull.head)
        assert (question.in_reply_to, reply.in_reply_to) == (None, question.id)
        assert said[-1].state == "APPROVED"
        assert not any(one.by_us or one.by_bot for one in said)

    play(tmp_path, scene)


def test_only_our_own_bot_is_us():
    bot = {"login": "us[bot]", "id": 9, "type": "Bot"}
    authors = [
        bot,
        {"login": "us[bot]", "id": 10, "type": "User"},
        {"login": "them[bot]", "id": 11, "type": "Bot"},
        None,
    ]
    comments = [{"body": "x", "user": user} for user in authors]
    comments.append(comments[2] | {"performed_via_github_app": {"id": 1234}})
    comments.append(comments[1] | {"performed_via_github_app": {"id": 1234}})
    comments = [one | {"id": 9 - n, "created_at": f"2026-01-0{n + 1}T00:00:00Z"} for n, one in enumerate(comments)]
    pending = {"id": 6, "state": "PENDING", "user": bot, "body": "not yet"}
    script = (
        ScriptedGitHub()
        .on("GET", "/app", answer(body={"id": 1234, "slug": "us"}))
        .on("GET", "/repos/octo/shop/pulls/1/reviews", answer(body=[pending]))
        .on("GET", "/repos/octo/shop/pulls/1/comments", answer(body=[]))
        .on("GET", "/repos/octo/shop/issues/1/comments", answer(body=comments))
    )
    said = asyncio.run(GitHubHost(scripted(script)).comments(REF))
    assert [one.by_us for one in said] == [True, False, False, False, True, False]
    assert [one.author for one in said][3] == "ghost"


def test_reading_never_uses_a_token_that_can_write(tmp_path):
    async def scene(github):
        pull = await github.repo.open_pull(files={"logo.png": b"\0x"})
        found = await github.host.pull_request(github.ref(pull))
        await github.host.diff(found)
        await github.host.comments(found.ref)
        await github.host.issue(found.ref, pull.number)
        reads = [one for one in github.sandbox.requests if one.caller == "installation"]
        assert reads
        assert {level for one in reads for level in one.permissions.values()} == {"read"}
        assert {one.repositories for one in reads} == {frozenset({github.repo.state.id})}
        assert {one.method for one in reads} == {"GET"}

    play(tmp_path, scene)


def _pull(head):

    return PullRequest(REF, "t", "", "a", "main", "b" * 40, head)
