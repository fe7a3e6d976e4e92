"""The frame of every page: the template environment, the headers, and the routes of a section of pages.

The pages load our own style and nothing else, run no script, and escape every value: what strangers wrote stays text.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

HERE = Path(__file__).parent
STYLE = "/assistant.css"
JINJA = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def code(text: str) -> Markup:
    """Returns a text with what stands between its backticks as code. Everything is escaped."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick without its other half
        return escape(text)
    return Markup().join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))


JINJA.filters["code"] = code
View = Callable[[Request], Awaitable[Response]]


def security_headers(form_targets: Sequence[str] = ()) -> dict[str, str]:
    """The headers of every page. `form_targets` are the other origins that its forms may post to."""
    forms = " ".join(["'self'", *form_targets])
    return {
        "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
        f"form-action {forms}; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


def page(template: str, *, status: int = 200, form_targets: Sequence[str] = (), **values: object) -> Response:
    """A page from a template. Raises jinja2.UndefinedError for a value that the template needs and does not get."""
    text = JINJA.get_template(template).render(style=STYLE, **values)
    return HTMLResponse(text, status, headers=security_headers(form_targets))


def message(title: str, text: str, *, status: int) -> Response:
    """A page that only says something: what is missing, or what went wrong and what to do."""
    return page("message.html", status=status, title=title, text=text)


def routes(views: Mapping[str, View], *, methods: Sequence[str] = ("GET",)) -> list[Route]:
    """Routes of pages by path. They redirect nowhere by themselves: such an address would come from the Host header."""
    return [Route(path, view, methods=list(methods)) for path, view in views.items()]


async def style(_: Request) -> Response:
    """GET /assistant.css"""
    return FileResponse(HERE / "style.css", media_type="text/css", headers={"X-Content-Type-Options": "nosniff"})


async def home(_: Request) -> Response:
    """GET /: says that the server runs, and nothing about what it does for whom."""
    return message(
        "The server runs", "It receives the webhooks of its GitHub App and reviews pull requests.", status=200
    )


def front() -> list[Route]:
    """The pages that every server has."""
    return routes({"/": home, STYLE: style})
