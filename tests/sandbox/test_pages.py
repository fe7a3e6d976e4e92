"""The sandbox's pages show a pull request as GitHub does, and let no stranger's word become more than a word."""

import pytest

from tests.support.sandbox_pull import PULL, REPO, scenario

HOSTILE = (
    "<script>alert(1)</script>\n\n"  # a block of HTML
    "So <img src=x onerror=alert(1)> and <details onclick=alert(1)> [x](javascript:alert(1))\n\n"
    "![beacon](https://evil.test/x.png) ![again][b]\n\n[b]: https://evil.test/y.png\n"
)


async def page(github, path, status=200):
    answer = await github.http.get(f"http://sandbox.test{path}")
    assert answer.status_code == status
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    return answer.text


@scenario
async def test_the_first_page_lists_repositories_and_what_is_open(github):
    github.shop.open_issue("A bug")
    text = await page(github, "/")
    assert 'href="/octo/shop/pull/1"' in text
    assert 'href="/octo/shop/issues/2"' in text


@scenario
async def test_the_files_tab_has_both_line_numbers_and_the_comment_under_its_line(github):
    await github.review({"path": "a.py", "line": 6, "body": "Too long."})
    text = await page(github, "/octo/shop/pull/1/files")
    line = text.index('<td class="code">line 5b</td>')
    assert '<tr class="add"><td class="num"></td><td class="num">6</td>' in text[line - 120 : line]
    assert (
        line < text.index("Comment on line +6") < text.index("Too long.") < text.index('<td class="code">line 6</td>')
    )


@scenario
async def test_a_suggestion_is_shown_as_the_change_it_makes(github):
    body = "Say it better.\n\n```suggestion\nline five\n```"
    await github.review({"path": "a.py", "start_line": 5, "line": 6, "body": body})
    text = await page(github, "/octo/shop/pull/1/files")
    shown = text[text.index("Suggested change") :]
    for kind, mark, words in (("del", "-", "LINE 5"), ("del", "-", "line 5b"), ("add", "+", "line five")):
        assert f'<tr class="{kind}"><td class="mark">{mark}</td><td>{words}</td></tr>' in shown


@scenario
async def test_the_address_of_a_comment_review_or_check_opens_at_its_place(github):
    review = await github.review({"path": "a.py", "line": 6})
    run = await github("POST", f"{REPO}/check-runs", {"name": "assistant", "head_sha": github.pull.head}, 201)
    comment = (await github("GET", f"{PULL}/comments")).json()[0]
    said = (await github("POST", f"{REPO}/issues/1/comments", {"body": "Hi."}, 201)).json()
    for address in (review["html_url"], comment["html_url"], said["html_url"]):
        path, _, anchor = address.removeprefix("http://sandbox.test").partition("#")
        assert f'id="{anchor}"' in await page(github, path)
    assert "assistant" in await page(github, run.json()["html_url"].removeprefix("http://sandbox.test"))


@scenario
async def test_a_check_run_shows_its_summary_and_annotations(github):
    note = {"path": "a.py", "start_line": 3, "end_line": 4, "annotation_level": "warning", "message": "Mind this."}
    output = {"title": "2 findings", "summary": "| file |\n|---|\n| a.py |", "annotations": [note]}
    body = {"name": "assistant", "head_sha": github.pull.head, "conclusion": "neutral", "output": output}
    await github("POST", f"{REPO}/check-runs", body, 201)
    text = await page(github, "/octo/shop/pull/1/checks")
    assert "<td>a.py</td>" in text
    assert "a.py#L3-L4" in text
    assert "Mind this." in text


@scenario
async def test_outdated_resolved_and_folded_comments_say_so(github):
    await github.review({"path": "b.py", "line": 1}, {"path": "a.py", "line": 6})
    github.pull.resolve(github.pull.comments[1], "alice")
    said = github.pull.comment("alice", "Old news.")
    said.minimized = "OUTDATED"
    await github.pull.push({"b.py": "other\n"})
    text = await page(github, "/octo/shop/pull/1")
    assert "Outdated" in text
    assert "Resolved by alice" in text
    assert "hidden as outdated" in text


@scenario
async def test_a_cited_section_opens_by_its_lines(github):
    sha = github.pull.state.base_sha
    text = await page(github, f"/octo/shop/blob/{sha}/docs/rules.md?plain=1")
    assert 'id="L3"' in text
    assert 'id="L1-L3"' in text
    assert "Be kind." in text
    await github.shop.push({"docs/code.md": "# Code\n\n```\n# no heading\n```\nEnd.\n## Next\n"})
    text = await page(github, "/octo/shop/blob/main/docs/code.md")
    assert 'id="L1-L6"' in text
    assert 'id="L4-L5"' not in text


@scenario
async def test_markdown_is_rendered_but_html_and_images_are_not(github):
    github.pull.rewrite(title=HOSTILE, body=HOSTILE)
    github.pull.comment("mallory", HOSTILE)
    github.pull.label("mallory", HOSTILE[:40])
    await github.review(
        {"path": "a.py", "line": 6, "body": f"**bold** <!-- marker -->\n\n```suggestion\n{HOSTILE}\n```"}
    )
    for path in ("/", "/octo/shop/pull/1", "/octo/shop/pull/1/files", "/octo/shop/pull/1/checks"):
        text = await page(github, path)
        assert "<script" not in text
        assert "<img" not in text
        assert 'href="javascript' not in text
        assert "<details onclick" not in text
        assert '="https://evil.test' not in text
        assert "marker" not in text
    assert "<strong>bold</strong>" in await page(github, "/octo/shop/pull/1")


@pytest.mark.parametrize(
    "path",
    [
        "/nobody/nothing",
        "/octo/shop/pull/99",
        "/octo/shop/pull/0/files",
        "/octo/shop/issues/99",
        "/octo/shop/runs/99",
        "/octo/shop/blob/main/../../../../etc/passwd",
        "/octo/shop/blob/main/%2e%2e/%2e%2e/etc/passwd",
        "/octo/shop/blob/main/a.py%00",
        "/octo/shop/blob/--help/a.py",
        "/octo/shop/blob/HEAD~1/a.py",
    ],
)
@scenario
async def test_an_address_of_nothing_is_not_found(github, path):
    await page(github, path, status=404)
