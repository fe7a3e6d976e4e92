"""Debian's chromium for tests of pages, and the check of their accessibility by axe-core."""

import shutil

import pytest

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
)
GRAVE = {"serious", "critical"}


@pytest.fixture(scope="module")
def chromium():
    """A browser without a profile; the test is skipped where there is none (`uv sync --group browser`, chromium)."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: uv sync --group browser"
    )
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("there is no chromium here")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


def violations(page):
    """The serious and critical violations that axe-core finds on a page, as (rule, places)."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    found = axe.Axe().run(page).response["violations"]
    return [(one["id"], [node["html"][:120] for node in one["nodes"]][:3]) for one in found if one["impact"] in GRAVE]
