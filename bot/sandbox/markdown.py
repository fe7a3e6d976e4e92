"""Markdown to HTML for the pages. Untrusted HTML stays text; a suggestion is shown as a diff."""

from __future__ import annotations

import re
from collections.abc import MutableMapping, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from markupsafe import Markup, escape

from bot.sandbox.world.state import ReviewComment

COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
PLAIN_TAG = re.compile(r"&lt;(/?(?:details|summary|sub|sup|kbd|b|i|em|strong|br)) ?/?&gt;")
Tokens = Sequence[Token]
Env = MutableMapping[str, Any]


def _html(_: RendererHTML, tokens: Tokens, at: int, __: OptionsDict, ___: Env) -> str:
    """Bare tags of a short list; everything else is shown as it was written. Comments are not shown, as on GitHub."""
    text = str(escape(COMMENT.sub("", tokens[at].content)))
    return PLAIN_TAG.sub(r"<\1>", text)


def _image(_: RendererHTML, tokens: Tokens, at: int, __: OptionsDict, ___: Env) -> str:
    return f'<span class="no-image">{escape(tokens[at].content or "image")}</span>'


def _fence(_: RendererHTML, tokens: Tokens, at: int, __: OptionsDict, env: Env) -> str:
    token = tokens[at]
    if token.info.strip() != "suggestion":
        return f"<pre><code>{escape(token.content)}</code></pre>\n"
    old = [("-", line) for line in env.get("lines", ())]
    new = [("+", line) for line in token.content.splitlines()]
    rows = "".join(
        f'<tr class="{"add" if kind == "+" else "del"}"><td class="mark">{kind}</td><td>{escape(line)}</td></tr>'
        for kind, line in (*old, *new)
    )
    return f'<div class="suggestion"><div>Suggested change</div><table>{rows}</table></div>\n'


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    for rule, render in {"html_block": _html, "html_inline": _html, "image": _image, "fence": _fence}.items():
        parser.add_render_rule(rule, render)
    return parser


PARSER = _parser()


def render(text: str, lines: Sequence[str] = ()) -> Markup:
    """A body as HTML. `lines` are the commented lines that a suggestion would replace."""
    return Markup(PARSER.render(text, {"lines": list(lines)}))  # noqa: S704 - every rule above escapes


def render_comment(said: ReviewComment) -> Markup:
    """An inline comment with its suggestions."""
    count = (said.original_line or 0) - (said.original_start_line or said.original_line or 0) + 1
    kept = [line[1:] for line in said.diff_hunk.split("\n")[1:] if line[:1] in (" ", "+")]
    return render(said.body, kept[-count:] if said.side == "RIGHT" else ())
