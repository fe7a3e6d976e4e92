"""What must not stand in a text that we post, judged by the HTML that Markdown makes of it; and marks of hostile Markdown."""

import re
from html.parser import HTMLParser

from hypothesis import strategies as st
from markdown_it import MarkdownIt

TAGS = set(
    re.findall(
        r"\w+", "p br hr h1 h2 h3 h4 h5 h6 em strong s a code pre blockquote ul ol li table thead tbody tr th td"
    )
)
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u115f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0\U000e0000-\U000e0fff]"
)
LIVE = re.compile(r"@\w|(?<!&)#\d|://|(?<![a-z0-9])(?:gh-\d|www\.|(?:mailto|xmpp):\S)", re.IGNORECASE)
ALLOWED = re.compile(r"https://docs\.example(?:[/#][^?]*)?|https://github\.com/octo/repo/(?:blob|tree)/(?!.*\.\.)[^?]*")


# Code blocks that GitHub does not show as code.
RENDERED = {f"language-{name}" for name in ("suggestion", "mermaid", "geojson", "topojson", "stl", "math")}


class Page(HTMLParser):
    """What a reader's browser would get."""

    def __init__(self, markdown):
        super().__init__()
        self.faults, self.inside = [], []
        self.feed(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown))

    def handle_starttag(self, tag, attrs):
        self.inside.append(tag)
        for name, value in attrs:
            fine = (tag, name) == ("a", "href") and ALLOWED.fullmatch(value)
            style = (name == "class" and value not in RENDERED) or name in {"start", "style"}
            self.faults += [] if fine or style else [f"<{tag} {name}={value}>"]
        self.faults += [] if tag in TAGS else [f"<{tag}>"]

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_comment(self, data):
        self.faults.append(f"<!--{data}-->")

    def handle_decl(self, decl):
        self.faults.append(f"<!{decl}>")

    unknown_decl = handle_pi = handle_decl

    def handle_data(self, data):
        if not {"code", "a"} & set(self.inside):
            self.faults += LIVE.findall(data)


def faults(cleaned):
    """Everything in a cleaned text that should not be there."""
    found = list(Page(cleaned).faults)
    found += HIDDEN.findall(cleaned)
    found += re.findall(r"^/[A-Za-z].*", cleaned, re.MULTILINE)
    found += re.findall("<!--", cleaned)
    return found


WORDS = (
    "```",
    "://",
    "<!--",
    "-->",
    "\n\n",
    "    ",
    "> ",
    "- ",
    "1. ",
    "|-|",
    "\u200b",
    "&#64;",
    "fixes ",
    "www.",
    "[x]: ",
)
MARKS = st.sampled_from("`*_[]()<>!#@/\\|~-+=&;:.\n\t 0a") | st.sampled_from(WORDS)
