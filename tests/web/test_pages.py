"""The frame of the pages: no script, no foreign origin, no redirect by Host, and every value is text."""

import pytest
from jinja2 import UndefinedError
from starlette.applications import Starlette
from starlette.testclient import TestClient

from bot.web.pages import JINJA, STYLE, front, message, page, security_headers


@pytest.fixture
def browser():
    return TestClient(Starlette(routes=front()), base_url="http://127.0.0.1", follow_redirects=False)


def test_the_front_page_loads_our_style_and_nothing_else(browser):
    answer = browser.get("/")

    assert answer.status_code == 200
    assert f'href="{STYLE}"' in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert answer.headers["cache-control"] == "no-store"
    assert browser.get(STYLE).headers["content-type"].startswith("text/css")


def test_no_template_has_a_script_a_style_attribute_or_an_unescaped_value():
    for name in JINJA.list_templates():
        source, _, _ = JINJA.loader.get_source(JINJA, name)
        for hole in ("<script", "javascript:", " style=", "|safe", "| safe", "autoescape false", " onclick"):
            assert hole not in source, name


def test_what_a_page_says_is_text():
    assert b"<b>" not in message("<b>Title</b>", "<b>x</b>", status=404).body


def test_a_forgotten_value_is_an_error():
    with pytest.raises(UndefinedError):
        page("message.html", title="Only a title")


def test_forms_may_post_only_where_the_page_says():
    assert (
        "form-action 'self' https://github.com;" in security_headers(["https://github.com"])["Content-Security-Policy"]
    )
