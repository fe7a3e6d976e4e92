"""Set-up from an empty folder to the first review, as a browser without scripts sees it: three presses, nothing typed."""

import re
import stat
import time
from html import unescape
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from tests.support.set_up import free_port, link_of, sandbox_on_loopback, serving

FLAWED = "def pay(order):\n    try:\n        charge(order)\n    except:\n        pass\n    return order\n"


class Browser:
    """Follows redirects, keeps cookies by host, and presses the buttons of forms."""

    def __init__(self):
        self._client = httpx.Client(follow_redirects=True, timeout=60)
        self.page = None

    def open(self, address):
        self.page = self._client.get(address)
        return self.page

    def close(self):
        self._client.close()

    def press(self, words):
        """Submit the form whose button says `words`."""
        forms = re.findall(r"<form(.*?)>(.*?)</form>", self.page.text, re.DOTALL)
        head, body = next((head, body) for head, body in forms if words in body)
        method, action = (unescape(re.search(rf'{name}="(.*?)"', head)[1]) for name in ("method", "action"))
        fields = {
            unescape(name): unescape(value)
            for name, value in re.findall(r'<input type="hidden" name="(.*?)" value="(.*?)">', body, re.DOTALL)
        }
        address = urljoin(str(self.page.url), action)
        self.page = self._client.request(method, address, data=fields)
        return self.page


def within(seconds, holds):
    end = time.monotonic() + seconds
    while not (found := holds()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


@pytest.fixture
def browser():
    opened = Browser()
    yield opened
    opened.close()


@pytest.fixture
def github(tmp_path):
    with sandbox_on_loopback(tmp_path / "github") as served:
        repo = served.play(served.sandbox.repository("you/shop", {"app.py": "x = 1\n"}, installed=False))
        served.pull = served.play(repo.open_pull("Pay", "Takes payments.", {"app.py": FLAWED}))
        yield served


def test_three_presses_lead_from_an_empty_folder_to_the_first_review(github, browser, tmp_path):
    folder, port = tmp_path / "server", free_port()
    folder.mkdir()
    with serving(folder, github.url, port) as server:
        link = link_of(server)
        browser.open(link)
        used_again = httpx.get(link)
        assert (used_again.status_code, "works once" in used_again.text) == (403, True)
        browser.press("Register on")
        browser.press("Create GitHub App")
        assert urlsplit(str(browser.page.url)).path.endswith("/installations/new")
        browser.press("Install")
        assert "installed on 1 repository: you/shop" in browser.page.text
        browser.press("Review the newest open pull request now")
        assert f"{github.pull.url}" in browser.page.text
        assert within(60, lambda: github.pull.reviews), (folder / "log.txt").read_text()
        closed = browser.open(f"http://127.0.0.1:{port}/setup")
        assert (closed.status_code, "Set-up is over" in closed.text) == (404, True)
        assert browser.open(f"http://127.0.0.1:{port}/readyz").json() == {"status": "ok"}
        secrets = folder / "data" / "secrets" / "github-app.env"
        assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
        assert stat.S_IMODE(secrets.parent.stat().st_mode) == 0o700

    with serving(folder, github.url, port) as server:
        ready = within(30, lambda: _status(f"http://127.0.0.1:{port}/readyz") == 200)
        assert ready, (folder / "log.txt").read_text()
        assert _status(f"http://127.0.0.1:{port}/setup") == 404


def _status(address):
    try:
        return httpx.get(address).status_code
    except httpx.HTTPError:
        return 0
