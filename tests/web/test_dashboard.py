"""The dashboard over a running product: what it shows, to whom, and that strangers' words stay text."""

import re
from datetime import UTC, datetime

import httpx
import pytest

from bot.core.code.pull_request import PullRef
from bot.interfaces import RunEnd
from bot.job import Job, Trigger
from bot.storage.figures import Figures, Overview, Window
from bot.storage.runs import RunLog
from bot.web.charts import Series, columns, days_since, nice_top
from bot.web.pages import code
from bot.web.session import LocalDoor
from tests.support.careful_model import CODE, EVIL, careful
from tests.support.product import BASE
from tests.support.product_with_model import ProductWithModel


@pytest.fixture(scope="module")
def product():
    product = ProductWithModel(careful)
    yield product
    product.close()


@pytest.fixture(scope="module")
def pull(product):
    """A pull request with a hostile title that was reviewed once."""
    repo = product.repository(BASE)
    pull = product.play(repo.open_pull(f"Pay {EVIL}", "Takes payments.", {"app.py": CODE}))
    product.settle()
    return pull


@pytest.fixture(scope="module")
def show(product):
    """Returns a page of the product, as the operator of this machine sees it."""
    key = LocalDoor.of(product.app.settings.private_key).key
    base = product.here.webhook.removesuffix("/webhooks/github")
    with httpx.Client(base_url=base, cookies={"assistant-key": key}) as client:
        yield client.get


@pytest.fixture(scope="module")
def story(show, pull):
    """The page about the review of the pull request."""
    listed = show("/reviews")
    (row,) = [row for row in listed.text.split("<tr>") if f"{pull.repo.full_name}#{pull.number}" in row]
    return show(re.search(r"/reviews/[0-9a-f]{16}", row)[0]).text


def test_the_story_of_a_review_is_told_whole(story, pull):
    said, dropped = story.index("What was said"), story.index("What was dropped")
    assert "An empty order divides by zero" in story[said:dropped]
    assert "Never catch with a bare" in story[said:dropped], "the citation"
    assert "A file that is nowhere" in story[dropped:]
    assert "there is no such file" in story[dropped:]
    assert "find/correctness/1" in story
    assert "<code>grep</code>" in story, "the tool calls"
    assert "find/correctness/1/call-1" in story, "the steps"
    assert re.search(r"queue \d+\.\d s, model \d+\.\d s, post \d+\.\d s", story)
    assert f'href="{pull.url}"' in story
    assert "opened by alice" in story


def test_words_of_strangers_stay_text(story, show):
    for text in (story, show("/reviews").text, show("/dashboard").text):
        assert "<script" not in text
        assert " style=" not in text
    assert "&lt;script&gt;" in story


def test_the_dashboard_shows_the_figures_of_the_period(show, product, pull):
    overview = product.play(Overview.read(Figures(product.app.ledger.database), Window.of(7)))
    shown = show("/dashboard?days=7").text

    assert pull.repo.full_name in shown
    assert f"<strong>{overview.reviewed:,}</strong>" in shown
    assert f"{overview.tokens:,} tokens" in shown
    assert overview.tokens > 0
    assert overview.coverage.lines == overview.coverage.lines_read > 0
    assert shown.count('role="img"') == 4
    assert "Wilson&#39;s 95 % interval" in shown
    assert 'href="/dashboard?days=90"' in shown


def test_pages_load_nothing_from_elsewhere_and_are_not_stored(show):
    answer = show("/dashboard")

    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert answer.headers["cache-control"] == "no-store"
    assert "<script" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [{"host": "assistant.example"}, {"x-forwarded-for": "203.0.113.7"}, {"forwarded": "for=203.0.113.7"}],
    ids=str,
)
@pytest.mark.parametrize("path", ["/dashboard", "/reviews", "/reviews/0000000000000000"])
def test_the_local_dashboard_is_closed_to_every_other_machine(show, path, headers):
    assert show(path, headers=headers).status_code == 403


@pytest.mark.parametrize("key", ["", "0" * 32, "ü"])
def test_the_local_dashboard_needs_the_key_that_the_server_prints(product, key):
    base = product.here.webhook.removesuffix("/webhooks/github")
    with httpx.Client(base_url=base, follow_redirects=True) as stranger:
        assert stranger.get("/dashboard").status_code == 403
        assert stranger.get("/auth/local", params={"key": key}).status_code == 403
        assert stranger.get(
            "/auth/local", params={"key": LocalDoor.of(product.app.settings.private_key).key}
        ).is_success
        assert "Time to first review" in stranger.get("/dashboard").text


def test_an_unknown_review_is_a_page_that_says_so(show):
    answer = show("/reviews/0000000000000000")

    assert answer.status_code == 404
    assert "There is no such review" in answer.text


def test_links_lead_to_github_or_nowhere(product, show):
    pull = PullRef("octo/links", 1, 999, 1)
    job = Job("links", pull, Trigger.PUSHED, "h" * 40, "alice")
    product.play(RunLog(product.app.ledger.database).end(RunEnd(job, "review", "failed", EVIL, "Outage", 1.8e9)))
    evil = "UPDATE runs SET url = 'https://github.example/x', outcome = 'neutral' WHERE job = 'links'"
    product.play(product.app.ledger.database.run(lambda connection: connection.exec_driver_sql(evil)))
    (row,) = product.play(Figures(product.app.ledger.database).runs(Window(repos=(999,))))
    shown = show(f"/reviews/{row.page}").text

    assert "github.example" not in shown
    assert "The code host is out of reach or fails" in shown
    assert "&lt;script&gt;" in shown


def test_the_list_is_paged_and_its_address_may_be_nonsense(product, show):
    log, now = RunLog(product.app.ledger.database), datetime.now(UTC).timestamp()

    async def many():
        for n in range(60):
            job = Job(f"page/{n}", PullRef("octo/paged", n, 777, 1), Trigger.PUSHED, "h" * 40, "alice")
            await log.end(RunEnd(job, "review", "done", "", "", now + n))

    product.play(many())
    first = show("/reviews?repo=octo/paged").text
    older = re.search(r'href="(/reviews\?before=[^"]+)"', first)[1].replace("&amp;", "&")
    second = show(older).text

    assert (first.count("octo/paged#"), second.count("octo/paged#")) == (50, 10)
    for nonsense in ("before=x", "before=2026-11-28", "repo=nowhere", "end=done&job=%00"):
        assert show(f"/reviews?{nonsense}").status_code == 200


def test_a_chart_has_a_box_for_each_value_and_a_row_for_each_day():
    chart = columns(
        "c", "Things", ["2026-11-01", "2026-11-02"], [Series("a", {"2026-11-02": 3}), Series("b", {"2026-11-02": 1})]
    )

    assert [(box.series, box.text) for box in chart.boxes] == [(0, "2026-11-02: 3 a"), (1, "2026-11-02: 1 b")]
    assert chart.rows == (("2026-11-02", ("3", "1")),)
    assert chart.boxes[0].y + chart.boxes[0].height == pytest.approx(176)
    assert chart.boxes[1].y + chart.boxes[1].height == pytest.approx(chart.boxes[0].y)
    assert days_since("2026-11-30", datetime(2026, 12, 1, tzinfo=UTC).date()) == ("2026-11-30", "2026-12-01")
    assert [mark.text for mark in chart.scale] == ["0", "2", "4"]
    assert [nice_top(most) for most in (0, 0.3, 1, 2.65, 7, 10, 101)] == pytest.approx([1, 0.3, 1, 3, 8, 10, 200])
    few = columns("c", "Things", ["2026-11-01"], [Series("a", {"2026-11-01": 1})])
    assert [mark.text for mark in few.scale] == ["0", "0.5", "1"], "a half is not shown as none"


def test_code_in_words_of_strangers_is_marked_and_stays_text():
    assert code("Use `a < b` & no <b>") == "Use <code>a &lt; b</code> &amp; no &lt;b&gt;"
    assert code("a lone ` <i>") == "a lone ` &lt;i&gt;"
