"""A hook of the web site: links to files of the repository outside docs/ become plain text, for the site does not hold them."""

import posixpath
import re

LINK = re.compile(r"\[([^\]]+)\]\(((?!https?:|#)[^)\s]+)\)")


def on_page_markdown(markdown, *, page, **_):
    """The page's text as the site shows it. https://www.mkdocs.org/dev-guide/plugins/#on_page_markdown"""

    def plain(link):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), link[2]))
        return link[1] if target.startswith("../") else link[0]

    return LINK.sub(plain, markdown)
