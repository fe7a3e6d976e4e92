"""A person with a browser connects the server: three clicks, nothing typed, in less than two minutes; pictures are taken."""

import time
from pathlib import Path

import pytest

from tests.support.browser import chromium  # noqa: F401 - a fixture
from tests.support.set_up import link_of, sandbox_on_loopback, serving

PORT = 8000
IMAGES = Path(__file__).parents[2] / "docs" / "images"
FLAWED = "def pay(order):\n    try:\n        charge(order)\n    except:\n        pass\n    return order\n"


def picture(page, name):
    """Writes what the page shows to docs/images."""
    IMAGES.mkdir(exist_ok=True)
    page.screenshot(path=IMAGES / f"{name}.png", full_page=True)


class Person:
    """Somebody who only clicks; `actions` counts it."""

    def __init__(self, page):
        self.page, self.actions = page, 0

    def click(self, words):
        """Press the one button or link that says so."""
        self.actions += 1
        self.page.get_by_role("button", name=words).or_(self.page.get_by_role("link", name=words)).click()


@pytest.mark.long
def test_a_person_connects_the_server_with_three_clicks(chromium, tmp_path):  # noqa: F811 - the fixture
    folder = tmp_path / "server"
    folder.mkdir()
    with sandbox_on_loopback(tmp_path / "github") as github:
        repo = github.play(github.sandbox.repository("you/shop", {"app.py": "x = 1\n"}, installed=False))
        pull = github.play(repo.open_pull("Pay", "Takes payments.", {"app.py": FLAWED}))
        with (
            serving(folder, github.url, PORT) as server,
            chromium.new_page(viewport={"width": 1100, "height": 860}) as page,
        ):
            person, begun = Person(page), time.monotonic()
            complaints = []
            page.on("console", lambda message: complaints.append(message.text))
            page.goto(link_of(server))
            picture(page, "setup-register")
            person.click("Register on")
            person.click("Create GitHub App")
            person.click("Install")
            page.get_by_role("heading", name="Connected").wait_for()
            picture(page, "setup-connected")
            assert person.actions <= 3
            assert time.monotonic() - begun < 120
            person.click("Review the newest open pull request now")
            page.get_by_role("heading", name="under way").wait_for()
            while not pull.reviews and time.monotonic() - begun < 120:
                page.wait_for_timeout(200)
            person.click("Open you/shop#")
            picture(page, "setup-first-review")

    assert pull.reviews
    assert not [one for one in complaints if "Content Security Policy" in one], "nothing of the pages is blocked"
