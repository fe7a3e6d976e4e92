"""The dashboard and the page of a review in a real browser: no serious violation, light and dark, also on a phone.

With ASSISTANT_SCREENSHOTS=1 it writes the pictures of the documents anew.
"""

import os
import random
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchmarks.dashboard import finding_rows, run_rows, spending_rows
from bot.storage.tables import FINDINGS, REPOSITORIES, RUNS, SPENDING
from bot.web.session import LocalDoor
from tests.support.browser import chromium, violations
from tests.support.careful_model import CODE, DIVIDES, careful
from tests.support.product_with_model import ProductWithModel

__all__ = ["chromium"]
PICTURES = Path(__file__).parents[2] / "docs" / "images"
PLAIN = DIVIDES | {"title": "An empty order divides by zero"}
KEPT = {"dashboard-wide-light", "dashboard-phone-dark", "review-wide-light"}
OPENS = "import json\n\n\ndef load(path):\n    with open(path) as file:\n        return json.load(file)\n"
OPENS_ANYHOW = """import json


def load(path):
    try:
        with open(path) as file:
            return json.load(file)
    except:
        return {}
"""
SIZES = {"wide": (1120, 1400), "phone": (390, 844)}


def history(connection):
    """Six weeks of reviews of three repositories, always the same ones."""
    chance = random.Random(7)
    runs = run_rows(0, 420, 420, 42, chance)
    names = ("octo/shop", "octo/till", "octo/site")
    for run in runs:
        run["repo_id"] = 9000 + run["number"] % 3
        run["repo"] = names[run["repo_id"] - 9000]
        run["first"] = run["end"] == "done" and chance.random() < 0.4
        run["outcome"] = run["outcome"] and chance.choice(("neutral", "neutral", "success", "failure"))
    rows = [{"repo_id": 9000 + n, "repo": name, "installation": 1} for n, name in enumerate(names)]
    connection.execute(sa.insert(REPOSITORIES), rows)
    connection.execute(sa.insert(RUNS), runs)
    connection.execute(sa.insert(FINDINGS), finding_rows(runs, chance))
    connection.execute(sa.insert(SPENDING), spending_rows(runs))


@pytest.fixture(scope="module")
def product():
    product = ProductWithModel(partial(careful, found=PLAIN))
    repo = product.repository(
        {
            "app.py": "def pay(order):\n    return order\n",
            "docs/standards/python.md": "# Python\n\n## Bare except\n\nNever catch with a bare `except:`; name the class.\n",
        }
    )
    product.play(repo.open_pull("Charge the order in two steps", "Takes payments.", {"app.py": CODE}))
    product.settle()
    product.play(product.app.ledger.database.run(history))
    yield product
    product.close()


@pytest.fixture(scope="module")
def paths(product):
    """The pages to look at: their names and paths."""
    query = sa.select(RUNS.c.page).where(RUNS.c.title == "Charge the order in two steps")
    (page,) = product.play(product.app.ledger.database.run(lambda c: c.execute(query).scalars().all()))
    return {"dashboard": "/dashboard?days=30", "reviews": "/reviews", "review": f"/reviews/{page}"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_no_page_has_a_serious_violation_or_is_wider_than_the_screen(product, chromium, paths, scheme, size):
    width, height = SIZES[size]
    context = chromium.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=True
    )
    page = context.new_page()
    base = product.here.webhook.removesuffix("/webhooks/github")
    page.goto(f"{base}/auth/local?key={LocalDoor.of(product.app.settings.private_key).key}")
    for name, path in paths.items():
        page.goto(f"{base}{path}")
        for closed in page.locator("details").all():
            closed.evaluate("one => one.open = true")
        assert violations(page) == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        picture = f"{name}-{size}-{scheme}"
        if os.environ.get("ASSISTANT_SCREENSHOTS") and picture in KEPT:
            page.reload()
            PICTURES.mkdir(exist_ok=True)
            page.screenshot(path=PICTURES / f"{picture}.png")
    context.close()


def test_a_person_walks_from_the_dashboard_to_the_story_without_javascript(product, chromium, paths):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    base = product.here.webhook.removesuffix("/webhooks/github")
    page.goto(f"{base}/auth/local?key={LocalDoor.of(product.app.settings.private_key).key}")
    page.get_by_role("link", name="7 days").click()
    assert page.get_by_role("link", name="7 days").get_attribute("aria-current") == "true"
    page.get_by_role("link", name="Reviews", exact=True).first.click()
    page.goto(f"{base}/reviews")
    row = page.get_by_role("row").filter(has_text="Charge the order in two steps")
    row.get_by_role("link").first.click()
    assert page.url.endswith(paths["review"])
    page.get_by_text("All ", exact=False).locator("visible=true").first.wait_for()
    assert page.get_by_role("heading", name="What was said").is_visible()
    context.close()


def test_the_comment_on_a_change_shows_the_rule_that_governs(product, chromium):
    """The picture of the README."""
    rules = "# Python\n\n## Errors\n\nNever use a bare `except`: it also catches KeyboardInterrupt.\n"
    repo = product.repository({"settings.py": OPENS, "docs/standards/python.md": rules})
    pull = product.play(repo.open_pull("Load the settings", "", {"settings.py": OPENS_ANYHOW}, author="alice"))
    product.settle()
    page = chromium.new_context(viewport={"width": 900, "height": 700}, device_scale_factor=2).new_page()
    page.goto(f"{pull.url}/files")
    comment = page.locator("article").filter(has_text="Do not use bare")

    assert comment.get_by_role("link", name="docs/standards/python.md > Python > Errors").is_visible()
    if os.environ.get("ASSISTANT_SCREENSHOTS"):
        page.locator(".diff").first.screenshot(path=PICTURES / "comment.png")
    page.context.close()
