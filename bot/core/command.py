"""Text -> Command: a closed grammar on the first line of a comment. No setting can be changed from here."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from enum import StrEnum

from markdown_it import MarkdownIt

from bot.errors import UserError

LONGEST = 4000
"""Characters of a question or a reason."""

MOST_PATHS = 20
"""Paths that one `review` takes: a list, not a repository."""

_OURS = re.compile(r"/assistant(?![\w-])", re.IGNORECASE)
_MARKDOWN = MarkdownIt("commonmark")


class Verb(StrEnum):
    """Everything that can be asked for, in the order `help` lists it."""

    REVIEW = "review"
    ASK = "ask"
    SUMMARY = "summary"
    STANDARDS = "standards"
    EXPLAIN = "explain"
    DISMISS = "dismiss"
    RESOLVE = "resolve"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    STATUS = "status"
    CONFIG = "config"
    HELP = "help"


class ReviewScope(StrEnum):
    """How much a `review` looks at."""

    CHANGES = "changes"
    FULL = "full"
    SECURITY = "security"
    PATHS = "paths"


_TEXT = {Verb.ASK: True, Verb.STANDARDS: True, Verb.DISMISS: False, Verb.EXPLAIN: False}
"""Verbs that take free text, and whether they need it."""


@dataclass(frozen=True, slots=True)
class Command:
    """A verb with its typed argument: `text` is a question or a reason, `paths` limit a review."""

    verb: Verb
    text: str = ""
    scope: ReviewScope = ReviewScope.CHANGES
    paths: tuple[str, ...] = ()


def first_line(comment: str) -> str | None:
    """The first line of `comment` if it is addressed to us: not in a quote, code, an HTML comment, a list or a link."""
    if not _OURS.search(comment):
        return None
    tokens = _MARKDOWN.parse(comment.replace("\r\n", "\n").replace("\0", ""))
    visible = [token for token in tokens if token.type != "html_block" or not token.content.lstrip().startswith("<!--")]
    if len(visible) < 2 or visible[0].type != "paragraph_open":  # noqa: PLR2004 - an open token and its content
        return None
    children = visible[1].children or []
    if not children or children[0].type != "text" or not _OURS.match(visible[1].content):
        return None
    return visible[1].content.split("\n", 1)[0].strip()


def parse(comment: str) -> Command | None:
    """The command a comment holds, or None. Raises UserError, with a helpful text, for one we do not understand."""
    line = first_line(comment)
    if line is None:
        return None
    return parse_words(line[len("/assistant") :])


def asked_for(comment: str) -> Command | None:
    """The review that a comment asks for; None if it asks for none."""
    try:
        command = parse(comment)
    except UserError:
        return None
    return command if command and command.verb is Verb.REVIEW else None


def parse_words(words: str) -> Command:
    """A verb and its argument, without the prefix: what the command line and a comment have in common."""
    if words and not words[0].isspace():
        raise UserError(_unknown(words.split(maxsplit=1)[0]))
    name, _, rest = words.strip(" \t").partition(" ")
    name, rest = name.lower(), rest.strip()
    if not name:
        return Command(Verb.HELP)
    if name not in list(Verb):
        raise UserError(_unknown(name))
    return _typed(Verb(name), rest)


def _typed(verb: Verb, rest: str) -> Command:
    if verb is Verb.REVIEW:
        return _review(rest.split())
    if verb in _TEXT:
        if len(rest) > LONGEST:
            raise UserError(f"That is too long: `{verb}` takes at most {LONGEST} characters.")
        if _TEXT[verb] and not rest:
            raise UserError(f"`{verb}` needs a question: `/assistant {verb} …`.")
        return Command(verb, text=rest)
    if rest:
        raise UserError(f"`{verb}` takes no argument. Settings live in `.github/assistant.yml`, not in comments.")
    return Command(verb)


def _review(words: list[str]) -> Command:
    if any(word.startswith("-") or "=" in word for word in words):
        raise UserError("`review` has no options. Settings live in `.github/assistant.yml`, not in comments.")
    if len(words) > MOST_PATHS:
        raise UserError(f"`review` takes at most {MOST_PATHS} paths.")
    match words:
        case []:
            return Command(Verb.REVIEW)
        case [ReviewScope.FULL | ReviewScope.SECURITY as scope]:
            return Command(Verb.REVIEW, scope=ReviewScope(scope))
        case [ReviewScope.FULL | ReviewScope.SECURITY as scope, *_]:
            raise UserError(f"`review {scope}` takes no paths.")
        case [word] if close := difflib.get_close_matches(
            word.lower(), [ReviewScope.FULL, ReviewScope.SECURITY], 1, 0.75
        ):
            raise UserError(f"I do not know `review {_shown(word)}`. Did you mean `review {close[0]}`?")
    return Command(Verb.REVIEW, scope=ReviewScope.PATHS, paths=tuple(words))


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name.lower(), list(Verb), 1)
    hint = f"Did you mean `/assistant {close[0]}`?" if close else "Try `/assistant help`."
    return f"I do not know `{_shown(name)}`. {hint}"


def _shown(name: str) -> str:
    """A stranger's word, safe inside a code span."""
    return re.sub(r"[^\w./*;:-]", "?", name[:40], flags=re.ASCII)
