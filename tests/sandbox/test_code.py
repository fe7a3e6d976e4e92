"""The sandbox tells about code what git says, within GitHub's limits, and no path leads out of the repository."""

import base64

import pytest

from tests.support.sandbox_pull import NEW, OLD, PULL, REPO, scenario

ESCAPES = [
    "../../../../etc/passwd",
    "%2e%2e/%2e%2e/etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%00",
    "a.py%00.md",
    "/etc/passwd",
    "%2Fetc%2Fpasswd",
    "-c",
    "--upload-pack=touch",
    "main:a.py",
    ":(top)a.py",
    "x" * 4096,
    "a.py%0A",
    "$(id)",
]


@scenario
async def test_the_files_carry_what_git_says(github):
    changed, added = (await github("GET", f"{PULL}/files", status=200)).json()
    assert (changed["filename"], changed["status"], changed["additions"], changed["deletions"]) == (
        "a.py",
        "modified",
        2,
        2,
    )
    assert changed["patch"].startswith("@@ -2,7 +2,8 @@")
    assert (added["status"], added["patch"]) == ("added", "@@ -0,0 +1,3 @@\n+one\n+two\n+three")
    content = await github("GET", f"{REPO}/git/blobs/{changed['sha']}", status=200, Accept="application/vnd.github.raw")
    assert content.text == NEW


@scenario
async def test_a_binary_a_rename_a_deletion_and_an_odd_name_are_told_apart(github):
    files = {
        "logo.png": b"\x89PNG\0",
        'caf\u00e9 "x"\n.md': "# Hi\n",
        "docs/rules.md": None,
        "a.py": None,
        "moved.py": NEW,
    }
    await github.pull.push(files)
    told = {one["filename"]: one for one in (await github("GET", f"{PULL}/files")).json()}
    assert set(told) == {"logo.png", 'caf\u00e9 "x"\n.md', "docs/rules.md", "moved.py", "b.py"}
    assert "patch" not in told["logo.png"]
    assert told["moved.py"]["status"] == "renamed"
    assert told["moved.py"]["previous_filename"] == "a.py"
    assert told["docs/rules.md"]["status"] == "removed"


@scenario
async def test_the_patch_of_a_long_file_is_left_out(github):
    await github.pull.push({"long.txt": "x\n" * 3001, "short.txt": "x\n" * 3000})
    told = {one["filename"]: one for one in (await github("GET", f"{PULL}/files")).json()}
    assert "patch" not in told["long.txt"]
    assert told["long.txt"]["additions"] == 3001
    assert "patch" in told["short.txt"]


@scenario
async def test_lists_come_in_pages_with_the_others_in_link(github):
    await github.pull.push({f"f{n:03}.txt": "x\n" for n in range(70)})
    url, seen = f"{PULL}/files?per_page=30", []
    while url:
        page = await github("GET", url, status=200)
        seen += [one["filename"] for one in page.json()]
        url = page.links.get("next", {}).get("url")
    assert len(seen) == len(set(seen)) == 72
    assert len((await github("GET", f"{PULL}/files?per_page=1000")).json()) == 72
    assert 'rel="last"' in (await github("GET", f"{PULL}/files?per_page=10")).headers["link"]


@pytest.mark.long
@scenario
async def test_no_more_than_3000_files_are_listed(github):
    await github.pull.push({f"f{n:04}.txt": "x\n" for n in range(3100)})
    last = await github("GET", f"{PULL}/files?per_page=100&page=30", status=200)
    assert len(last.json()) == 100
    assert (await github("GET", f"{PULL}/files?per_page=100&page=31")).json() == []


@scenario
async def test_the_diff_media_type_is_gits_own_patch(github):
    diff = await github("GET", PULL, status=200, Accept="application/vnd.github.diff")
    assert diff.text.startswith("diff --git a/a.py b/a.py\n")
    assert "+LINE 5" in diff.text


@pytest.mark.parametrize("files", [{f"f{n}": "x\n" for n in range(301)}, {"long": "x\n" * 20_001}])
@scenario
async def test_a_diff_over_20000_lines_or_300_files_is_too_large(github, files):
    await github.pull.push(files)
    answer = await github("GET", PULL, status=406, Accept="application/vnd.github.v3.diff")
    assert (answer.json()["errors"][0]["field"], answer.json()["errors"][0]["code"]) == ("diff", "too_large")


@scenario
async def test_a_tree_is_read_by_branch_commit_or_tree(github):
    base = github.pull.state.base_sha
    named = (await github("GET", f"{REPO}/git/trees/main?recursive=1", status=200)).json()
    by_commit = (await github("GET", f"{REPO}/git/trees/{base}?recursive=1", status=200)).json()
    by_tree = (await github("GET", f"{REPO}/git/trees/{named['sha']}?recursive=1", status=200)).json()
    assert named == by_commit == by_tree
    assert [(one["path"], one["type"]) for one in named["tree"]] == [
        ("a.py", "blob"),
        ("docs", "tree"),
        ("docs/rules.md", "blob"),
    ]
    assert [one["path"] for one in (await github("GET", f"{REPO}/git/trees/main")).json()["tree"]] == ["a.py", "docs"]


@scenario
async def test_a_tree_that_is_too_long_says_that_it_is_cut(github):
    github.sandbox.world.tree_limit = 2
    tree = (await github("GET", f"{REPO}/git/trees/main?recursive=1")).json()
    assert tree["truncated"]
    assert len(tree["tree"]) == 2


@scenario
async def test_contents_come_as_json_raw_or_a_listing(github):
    answer = (await github("GET", f"{REPO}/contents/a.py", status=200)).json()
    assert base64.b64decode(answer["content"]).decode() == OLD
    raw = await github("GET", f"{REPO}/contents/a.py?ref=change-1", Accept="application/vnd.github.raw+json")
    assert raw.text == NEW
    assert [one["path"] for one in (await github("GET", f"{REPO}/contents/docs")).json()] == ["docs/rules.md"]
    await github("GET", f"{REPO}/contents/a.py?ref=nowhere", status=404)


@scenario
async def test_contents_over_a_megabyte_come_raw_only(github):
    await github.shop.push({"big.txt": "x" * 1_048_577})
    assert (await github("GET", f"{REPO}/contents/big.txt")).json()["encoding"] == "none"
    raw = await github("GET", f"{REPO}/contents/big.txt", Accept="application/vnd.github.raw")
    assert len(raw.content) == 1_048_577


@pytest.mark.parametrize("path", ESCAPES)
@scenario
async def test_a_hostile_path_finds_nothing(github, path):
    for url in (f"contents/{path}", f"contents/a.py?ref={path}", f"git/trees/{path}", f"git/blobs/{path}"):
        answer = await github("GET", f"{REPO}/{url}")
        assert answer.status_code in (400, 404, 422), url
        assert b"root:" not in answer.content


@scenario
async def test_a_comparison_names_commits_and_files_from_the_merge_base(github):
    await github.shop.push({"other.py": "x\n"})
    told = (await github("GET", f"{REPO}/compare/main...change-1", status=200)).json()
    assert (told["status"], told["ahead_by"], told["behind_by"]) == ("diverged", 1, 1)
    assert [one["filename"] for one in told["files"]] == ["a.py", "b.py"]
    assert told["merge_base_commit"]["sha"] == github.pull.state.base_sha
    await github("GET", f"{REPO}/compare/main...nowhere", status=404)


@scenario
async def test_a_commit_is_told_with_its_files(github):
    told = (await github("GET", f"{REPO}/commits/{github.pull.head}", status=200)).json()
    assert told["commit"]["message"] == "Change five"
    assert [one["filename"] for one in told["files"]] == ["a.py", "b.py"]
    await github("GET", f"{REPO}/commits/{'0' * 40}", status=422)


@scenario
async def test_roles_are_told_coarse_and_fine(github):
    roles = {"ann": "admin", "max": "maintain", "wim": "write", "tri": "triage", "rea": "read"}
    for login, role in roles.items():
        github.shop.user(login, role)
    told = {login: (await github("GET", f"{REPO}/collaborators/{login}/permission")).json() for login in roles}
    assert {login: one["role_name"] for login, one in told.items()} == roles
    assert [told[login]["permission"] for login in roles] == ["admin", "write", "write", "read", "read"]
    github.sandbox.world.user("stranger")
    assert (await github("GET", f"{REPO}/collaborators/stranger/permission")).json()["permission"] == "read"
    github.shop.state.private = True
    assert (await github("GET", f"{REPO}/collaborators/stranger/permission")).json()["permission"] == "none"
    await github("GET", f"{REPO}/collaborators/nobody/permission", status=404)


@scenario
async def test_a_pull_request_knows_its_size(github):
    whole = (await github("GET", PULL)).json()
    assert (whole["changed_files"], whole["additions"], whole["commits"], whole["merged"]) == (2, 5, 1, False)
