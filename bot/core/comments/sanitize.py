"""Cleans untrusted text before it is posted: `clean` for Markdown, `plain` for one line, without repetitions.

`clean` parses Markdown, disarms it token by token and writes it out again, until another pass changes nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from urllib.parse import urlsplit

import mdformat.plugins
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdformat.renderer import DEFAULT_RENDERERS, MDRenderer, RenderContext, RenderTreeNode

from bot.core.code.hidden import show_hidden, without_hidden
from bot.core.code.language import LANGUAGES
from bot.core.code.secrets import WITHHELD, carries_secret, redact
from bot.core.findings.suggestion import fence


def plain(text: str, limit: int = 120, *, secrets: Collection[str] = ()) -> str:
    """One line for a title, at most `limit` characters; look-alikes replace what would be Markdown, a mention or a link."""
    flat = " ".join(redact(unicodedata.normalize("NFC", without_hidden(text)), secrets).split())
    if carries_secret(flat, secrets):
        return WITHHELD
    title = flat if len(flat) <= limit else flat[: limit - 1].rstrip() + "…"
    for pattern, look_alike in _LOOK_ALIKES:
        title = pattern.sub(look_alike, title)
    return title


_LOOK_ALIKES = tuple(
    (re.compile(pattern, re.IGNORECASE), look_alike)
    for pattern, look_alike in (
        (r"^(?:(?:[-+=>#*]+|[0-9]+[.)]) )+", ""),
        (r"`", "'"),
        (r"\*(?=\S)|(?<=\S)\*", "\N{FULLWIDTH ASTERISK}"),
        (r"(?<![^\W_])_|_(?![^\W_])", "\N{FULLWIDTH LOW LINE}"),
        (r"\[", "\N{FULLWIDTH LEFT SQUARE BRACKET}"),
        (r"\]", "\N{FULLWIDTH RIGHT SQUARE BRACKET}"),
        (r"\\", "\N{FULLWIDTH REVERSE SOLIDUS}"),
        (r"\|", "\N{FULLWIDTH VERTICAL LINE}"),
        (r"~~", "\N{FULLWIDTH TILDE}" * 2),
        (r"<(?=\S)", "\N{FULLWIDTH LESS-THAN SIGN}"),
        (r"&(?=#?\w+;)", "\N{FULLWIDTH AMPERSAND}"),
        (r"@(?=\S)", "\N{FULLWIDTH COMMERCIAL AT}"),
        (r"#(?=[0-9])", "\N{FULLWIDTH NUMBER SIGN}"),
        (r"(?<=gh)-(?=[0-9])", "\N{NON-BREAKING HYPHEN}"),
        (r":(?=//)|(?<=mailto):|(?<=xmpp):", "\N{FULLWIDTH COLON}"),
        (r"(?<=www)\.", "\N{FULLWIDTH FULL STOP}"),
        (r"^/(?=\w)", "\N{FULLWIDTH SOLIDUS}"),
    )
)


_MOST_TIMES = 12
_LONGEST_PHRASE = 6
_KEPT = 3
_RUN = re.compile(r"([^\s])\1{99,}")


def without_repetition(text: str) -> str:
    """`text` with long runs of one character, and of repeated phrases of a few words, cut to their beginning."""
    shorter = _RUN.sub(lambda run: run[0][:_KEPT] + "…", text)
    words = re.split(r"(\s+)", shorter)
    if max(Counter(words[::2]).values()) < _MOST_TIMES:
        return shorter
    for length in range(1, _LONGEST_PHRASE + 1):
        words = _collapsed(words, length)
    return "".join(words)


def _collapsed(words: list[str], length: int) -> list[str]:
    """Words stand at even places, the white space behind them at odd ones."""
    said = words[::2]
    kept: list[str] = []
    at = 0
    while at < len(said):
        end = at + length
        while end < len(said) and said[end] == said[end - length]:
            end += 1
        if end - at >= length * _MOST_TIMES:
            kept += words[2 * at : 2 * (at + length * _KEPT)]
            kept += ["…", "\n"]
            at = end
        else:
            kept += words[2 * at : 2 * at + 2]
            at += 1
    return kept


__all__ = ["clean", "plain", "show_hidden"]

_ROUNDS = 6
_LONGEST_LINK = 200


def clean(
    text: str, *, hosts: Collection[str] = (), repo_url: str = "", limit: int = 1500, secrets: Collection[str] = ()
) -> str:
    """Markdown that may be posted, at most `limit` characters.

    Nothing in it is an image, raw HTML, a mention, a reference, a command or a hidden character; links are https and
    lead to `hosts` or to files of the repository at `repo_url`; none of `secrets` is in it.
    """
    cleaner = _Cleaner(frozenset(hosts), repo_url.rstrip("/"), limit, tuple(secrets))
    now = _cut(cleaner.disclosed(text), 2 * limit)
    try:
        return cleaner.at_rest(now)
    except (_Intricate, RecursionError):
        return cleaner.as_code(now)


class _Intricate(Exception):
    """The text has too many marks to render in a short time, or cleaning it again keeps changing it."""


_BARE = re.compile(r"(?<!\\)((?:\\\\)*)<(?! )")


def _escaped(node: RenderTreeNode, context: RenderContext) -> str:
    """A text as mdformat writes it, with every `<` escaped: of two in a row mdformat leaves the second alone."""
    return _BARE.sub(r"\1\\<", DEFAULT_RENDERERS["text"](node, context))


def _parser(*, tables: bool) -> MarkdownIt:
    markdown = MarkdownIt("commonmark")
    markdown.options["mdformat"] = {"compact_tables": True}  # padding grows with rows times columns
    markdown.options["parser_extension"] = [SimpleNamespace(RENDERERS={"text": _escaped})]
    if tables:
        extension = mdformat.plugins.PARSER_EXTENSIONS["tables"]
        markdown.options["parser_extension"].append(extension)
        extension.update_mdit(markdown)
    return markdown


_TABLES, _NO_TABLES = _parser(tables=True), _parser(tables=False)
_MARKS = "_*[`<!&"
_MOST_MARKS = 6_000
_MOST_DEFINITIONS = 200
_MOST_CELLS = 5_000
_MOST_TOKENS = 20_000
_MOST_ITEMS = 500
_MOST_SIBLINGS = 1_000


def _intricate(tokens: Sequence[Token]) -> bool:
    """Whether the renderer, which looks for neighbours again and again, would take long."""
    items = sum(token.type in {"bullet_list_open", "ordered_list_open", "list_item_open"} for token in tokens)
    widest = max((len(token.children or ()) for token in tokens), default=0)
    return len(tokens) > _MOST_TOKENS or items > _MOST_ITEMS or widest > _MOST_SIBLINGS


@dataclass(frozen=True, slots=True)
class _Cleaner:
    hosts: frozenset[str]
    repo_url: str
    limit: int
    secrets: tuple[str, ...]

    def disclosed(self, text: str) -> str:
        """`text` without hidden characters, secrets and repetitions."""
        shown = unicodedata.normalize("NFC", without_hidden(text)).strip("\n")
        return without_repetition(redact(shown, self.secrets))

    def at_rest(self, text: str) -> str:
        """Cleaned until another time changes nothing. Raises _Intricate."""
        for _ in range(_ROUNDS):
            last, text = text, self.passed(text)
            if text == last:
                return text
        raise _Intricate

    def passed(self, text: str) -> str:
        """Cleaned once. A text that comes out as it went in is clean. Raises _Intricate."""
        if sum(map(text.count, _MARKS)) > _MOST_MARKS or text.count("]:") > _MOST_DEFINITIONS:
            raise _Intricate
        rows = text.split("\n")
        parser = _TABLES if max(row.count("|") for row in rows) * len(rows) <= _MOST_CELLS else _NO_TABLES
        tokens = parser.parse(self.disclosed(text))
        if _intricate(tokens):
            raise _Intricate
        disarmed = [kept for token in tokens for kept in self._disarmed(token)]
        out = MDRenderer().render(disarmed, parser.options, {}, finalize=False).strip("\n")
        return WITHHELD if carries_secret(out, self.secrets) else _cut(out, self.limit)

    def as_code(self, text: str) -> str:
        """The last resort: the whole text as a block of code. Its own result stays the same."""
        text = text.removeprefix("```text\n").removesuffix("\n```")
        code = _harmless(_cut(self.disclosed(text).replace("`", "'"), self.limit - 20).strip("\n"))
        return WITHHELD if carries_secret(code, self.secrets) else fence(code, "text")

    def _disarmed(self, token: Token) -> list[Token]:
        if token.type == "html_block":
            return _paragraph(token.content)
        if token.type in {"fence", "code_block"}:
            word = token.info.strip().partition(" ")[0].lower()
            token.info = word if word in _HIGHLIGHTED else ""
            token.content = _harmless(token.content.rstrip("\n") + "\n")  # an unclosed fence may lack its newline
        elif token.children is not None:
            token.children = _joined(self._worded(_joined(self._unlinked(token.children))))
        return [token]

    def _unlinked(self, tokens: Sequence[Token]) -> Iterator[Token]:
        """Images and HTML become text; a link to another place becomes its text, with the address as code."""
        left: Token | None = None
        for token in tokens:
            if token.type == "image":
                yield _text(_spoken(token))
            elif token.type == "html_inline":
                yield _text(token.content)
            elif token.type == "link_open" and not self._may_lead_to(str(token.attrs["href"])):
                left = token
            elif token.type == "link_close" and left is not None:
                yield from _address(left)
                left = None
            elif left is None or left.info != "auto":
                token.attrs.pop("title", None)
                yield token

    def _may_lead_to(self, url: str) -> bool:
        found = _LINK.fullmatch(url)
        if not found or len(url) > _LONGEST_LINK or _DEVIOUS.search(url):
            return False
        if found[1] == urlsplit(self.repo_url).hostname:
            return url.startswith((f"{self.repo_url}/blob/", f"{self.repo_url}/tree/"))
        return found[1] in self.hosts

    def _worded(self, tokens: Sequence[Token]) -> Iterator[Token]:
        """Words that GitHub or a bot would act on become code."""
        first, linked = True, False
        for token in tokens:
            linked = token.type == "link_open" or (linked and token.type != "link_close")
            if token.type == "text":
                yield from self._words(token.content, first=first, linked=linked)
            else:
                token.content = _unmarked(token.content)
                yield token
            first = token.type in {"softbreak", "hardbreak"}

    def _words(self, content: str, *, first: bool, linked: bool) -> Iterator[Token]:
        shown = _unmarked(content).replace("\n", " ")
        if not _SUSPECT.search(shown) and not (first and "/" in shown):
            yield _text(shown)
            return
        for space, word in _WORD.findall(shown):
            core = word.lstrip(_OPENING).rstrip(_ENDING)
            if not core or not (_SUSPECT.search(word) or (first and _COMMAND.match(word))):
                yield _text(space + word)
            else:
                lead, _, tail = word.partition(core)
                yield _text(space + lead)
                yield from _autolink(core) if not linked and self._may_lead_to(core) else [_code(core)]
                yield _text(tail)
            first = first and not word


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _paragraph(content: str) -> list[Token]:
    """A block of HTML as text; the next pass reads it as Markdown."""
    lines = [line for line in _unmarked(content).split("\n") if line.strip()]
    children = [token for line in lines for token in (Token("softbreak", "br", 0), _text(line))][1:]
    around = Token("paragraph_open", "p", 1), Token("paragraph_close", "p", -1)
    return [around[0], Token("inline", "", 0, children=children), around[1]]


def _code(content: str) -> Token:
    return Token("code_inline", "code", 0, markup="`", content=content)


def _autolink(url: str) -> Iterator[Token]:
    yield Token("link_open", "a", 1, attrs={"href": url}, markup="autolink", info="auto")
    yield _text(url)
    yield Token("link_close", "a", -1, markup="autolink", info="auto")


def _address(link: Token) -> Iterator[Token]:
    """The address of a removed link, as code."""
    url = str(link.attrs["href"])
    shown = _code(_unmarked(url if len(url) <= _LONGEST_LINK else url[:_LONGEST_LINK] + "…"))
    if link.info == "auto":
        yield shown
    elif url:
        yield from (_text(" ("), shown, _text(")"))


def _spoken(image: Token) -> str:
    """The alternative text of an image."""
    return "".join(child.content if not child.children else _spoken(child) for child in image.children or ())


def _joined(tokens: Iterable[Token]) -> list[Token]:
    """Joins neighbouring texts, and neighbouring code, so that nothing can hide where two tokens meet."""
    joined: list[Token] = []
    for token in tokens:
        if token.type == "text" and not token.content:
            continue
        if joined and token.type == joined[-1].type and token.type in {"text", "code_inline"}:
            joined[-1].content += token.content
        else:
            joined.append(token)
    return joined


def _unmarked(text: str) -> str:
    """Text without an HTML comment, because our signed markers are HTML comments."""
    return text.replace("<!--", "<! --")


def _harmless(code: str) -> str:
    """Code in which no line begins like a command to a bot."""
    return _COMMAND_LINE.sub(" ", _unmarked(code))


def _cut(text: str, limit: int) -> str:
    """At most `limit` characters, ended at a paragraph, a line or a word, with room for what the end leaves open."""
    if len(text) <= limit:
        return text
    head = text[: limit - min(limit // 4, 100)]
    at = next((at for mark in ("\n\n", "\n", " ") if (at := head.rfind(mark)) > len(head) * 2 // 3), len(head))
    return head[:at].rstrip() + " …"


_LINK = re.compile(r"https://([a-z0-9.\-]+)(?:/[A-Za-z0-9._~!$&*+,;=:%/\-]*)?(?:#[A-Za-z0-9._~%:\-]*)?")
_DEVIOUS = re.compile(r"/\.{1,2}(?:/|$|#)|%2e|%2f|%5c|(?<!:)//", re.IGNORECASE)
_CLOSES = r"(?:close[sd]?|fix(?:es|ed)?|resolve[sd]?):?\s+(?=\S{0,200}#[0-9]|gh-[0-9]|https?:)"
_WORD = re.compile(rf"(\s*)((?:{_CLOSES})?\S*)", re.IGNORECASE)
_SUSPECT = re.compile(r"@\S|#[0-9]|://|(?<![a-z0-9])(?:www\.|gh-[0-9]|(?:mailto|xmpp):\S)", re.IGNORECASE)
_COMMAND = re.compile(r"/[A-Za-z]")
_COMMAND_LINE = re.compile(r"^(?=/[A-Za-z]|@[\w/\-]+[ \t]+\S)", re.MULTILINE)
_OPENING, _ENDING = "([{'\"*_~", ")]}'\"*_~.,;:!?"
_ALIASES = {
    "console",
    "cs",
    "diff",
    "ini",
    "js",
    "jsx",
    "log",
    "py",
    "rb",
    "rs",
    "sh",
    "shell",
    "text",
    "ts",
    "tsx",
    "yml",
}
_HIGHLIGHTED = LANGUAGES | _ALIASES
