"""Text -> Command: a closed grammar on the first line of a comment. No command can change a setting."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from enum import StrEnum

from bot.errors import UserError

LONGEST = 4000
"""The most characters of a question or a reason."""

MOST_PATHS = 20
"""The most paths that one `review` takes."""

_OURS = re.compile(r" {0,3}(/assistant(?![\w-]).*)", re.IGNORECASE)
_HTML_COMMENT = re.compile(r" {0,3}<!--")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
_LONGEST_LINE = LONGEST + 100


class Verb(StrEnum):
    """Every command, in the order in which `help` lists them."""

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
    """How much of the change a `review` reads."""

    CHANGES = "changes"
    FULL = "full"
    SECURITY = "security"
    PATHS = "paths"


_NEEDS_TEXT = {Verb.ASK: True, Verb.STANDARDS: True, Verb.DISMISS: False, Verb.EXPLAIN: False}
"""The verbs that take free text, and whether they need it."""


@dataclass(frozen=True, slots=True)
class Command:
    """A verb with its argument: `text` is a question or a reason, `paths` limit a review."""

    verb: Verb
    text: str = ""
    scope: ReviewScope = ReviewScope.CHANGES
    paths: tuple[str, ...] = ()


def first_line(comment: str, name: str = "") -> str | None:
    """The first line of `comment` if it is a command. Lines in quotes, code, HTML comments, lists and links are not.

    With `name`, the login of the App, a first line that mentions it anywhere becomes `/assistant ask` with the other words.

    Blank lines and HTML comments before it do not count. The time is linear in the length of `comment`; a command is cut
    a little above the most characters that one may have, so that `parse` still says that it is too long.
    """
    rest = comment.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    at = 0
    while at < len(rest):
        end = _line_end(rest, at)
        line = rest[at:end]
        if _HTML_COMMENT.match(line):
            closed = rest.find("-->", rest.index("<!--", at) + len("<!--"))
            if closed < 0:
                return None
            end = _line_end(rest, closed)
        elif line.strip():
            command = _command_line(line, rest[end + 1 : _line_end(rest, end + 1)])
            return command or (_mention(line, name) if name else None)
        at = end + 1
    return None


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _command_line(line: str, following: str) -> str | None:
    """`line` if it is a command and `following` does not make a heading of it."""
    found = _OURS.fullmatch(line)
    if found is None or _UNDERLINE.fullmatch(following):
        return None
    return found[1].strip()[:_LONGEST_LINE]


def _mention(line: str, name: str) -> str | None:
    """The question in a line that mentions `name` outside of quotes and code, as a command."""
    line = line[:_LONGEST_LINE]
    found = re.search(rf"(?<![\w`/@.-])@{re.escape(name)}(?:\[bot\])?(?![\w-])", line, re.IGNORECASE)
    is_quoted = line.lstrip(" ").startswith((">", "```", "~~~")) or line.startswith(("    ", "\t"))
    if found is None or is_quoted or line.count("`", 0, found.start()) % 2:
        return None
    words = f"{line[: found.start()].strip()} {line[found.end() :].strip(' ,:;')}".strip()
    return f"/assistant ask {words}" if words.strip(".,:;!? ") else "/assistant help"


def parse(comment: str) -> Command | None:
    """The command in a comment, or None. Raises UserError, with a helpful text, for a command that is not valid."""
    line = first_line(comment)
    if line is None:
        return None
    return parse_words(line[len("/assistant") :])


def requested_review(comment: str) -> Command | None:
    """The review command in a comment; None if there is none, or another one."""
    try:
        command = parse(comment)
    except UserError:
        return None
    return command if command and command.verb is Verb.REVIEW else None


def parse_words(words: str) -> Command:
    """Parses a verb and its argument without the prefix, for comments and the command line. Raises UserError."""
    if len(words) > LONGEST + len("standards "):
        raise UserError(f"That is too long: a command takes at most {LONGEST} characters.")
    if words and not words[0].isspace():
        raise UserError(_unknown_verb(words.split(maxsplit=1)[0]))
    name, _, rest = words.strip(" \t").partition(" ")
    name, rest = name.lower(), rest.strip()
    if not name:
        return Command(Verb.HELP)
    if name not in list(Verb):
        raise UserError(_unknown_verb(name))
    return _with_argument(Verb(name), rest)


def _with_argument(verb: Verb, rest: str) -> Command:
    if verb is Verb.REVIEW:
        return _review(rest.split())
    if verb in _NEEDS_TEXT:
        if len(rest) > LONGEST:
            raise UserError(f"That is too long: `{verb}` takes at most {LONGEST} characters.")
        if _NEEDS_TEXT[verb] and not rest:
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


def _unknown_verb(name: str) -> str:
    close = difflib.get_close_matches(name.lower(), list(Verb), 1)
    hint = f"Did you mean `/assistant {close[0]}`?" if close else "Try `/assistant help`."
    return f"I do not know `{_shown(name)}`. {hint}"


def _shown(name: str) -> str:
    """A word of the user, made safe for a code span."""
    return re.sub(r"[^\w./*;:-]", "?", name[:40], flags=re.ASCII)
