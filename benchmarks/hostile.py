"""CPU of every parser that a stranger can reach, on hostile input: ten times the input costs at most twelve times the CPU.

Each parser gets 100 KB and 1 MB of each text. 1 MB may cost at most one second, or the bound of the reader where it reads
less. Exits with 1 if a bound is broken.

    python benchmarks/hostile.py [--size 1000000] [PARSER …]
"""

import argparse
import hashlib
import hmac
import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from bot.core.claims.evidence import HeadFacts, find_line
from bot.core.code.diff import Diff, Status, parse_diff, parse_patch
from bot.core.code.hidden import show_hidden
from bot.core.code.secrets import redact, without_secrets
from bot.core.command import first_line
from bot.core.command import parse as parse_command
from bot.core.comments.comment import code
from bot.core.comments.sanitize import clean, plain, without_repetition
from bot.core.findings.anchor import anchor
from bot.core.policy import parse as parse_policy
from bot.deadline import within
from bot.errors import AssistantError
from bot.standards.formats import markdown
from bot.standards.formats import plain as plain_text
from bot.webhook import parse as parse_webhook
from bot.webhook import verify

SECRET = b"0123456789abcdef"
SECRETS = ("correct-horse-battery-staple", "sk-proj-" + "x9" * 20)
HEADERS = {
    "content-type": "application/json",
    "x-github-event": "issue_comment",
    "x-github-delivery": "00000000-0000-0000-0000-000000000000",
}
MARKS = (
    "a ", "<?", "<? ", "<![CDATA[", "*a_ ", "![", "`", "``a`", "<!--", "<!-- -->\n", "\n", "> ", ">", "[x](", "[a]: b\n", "\\", "&amp;",
    "\t-", "- a\n", "1. a\n", "|a", "|a|\n|-|\n", "a\n=\n", "a\n-\n", "```\n", "@a ", "#1 ", "http://a ", "\u200b", "\U000e0041", "\u202e",
    "~~a", "$a$", "<a>", "</", "ghp_", "-----BEGIN PRIVATE KEY-----", "eyJhbGciOi.eyJ", "- ", "  ", "a: b\n", "{", "[", "a: &a [*a]\n",
    "? ", "@@ -1 +1 @@\n", "+a\n", "diff --git a/a b/a\n", "fixes: ", "/assistant ", "import os\n",
)  # fmt: skip
"""The pieces of hostile Markdown, YAML and diffs; a text repeats one of them."""
LIMIT, SECONDS, NOISE = 12.0, 1.2, 0.08


def webhook(text: str) -> None:
    """Signature and payload of a comment."""
    payload = {
        "action": "created",
        "comment": {"id": 1, "body": text, "user": {"login": "a"}},
        "issue": {"number": 1, "pull_request": {}},
    }
    body = json.dumps(payload).encode()
    verify(b"sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest().encode(), body, (SECRET,))
    parse_webhook(HEADERS, body)


def command(text: str) -> None:
    """A comment that begins like a command, and one that does not."""
    for comment in (f"/assistant help {text}", text, f"<!-- {text}"):
        if first_line(comment) is not None:
            parse_command(comment)


def diff(text: str) -> None:
    """A whole diff, and the patch of one file."""
    parse_diff(f"diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,9 +1,9 @@\n{text}")
    parse_patch("a", Status.MODIFIED, f"@@ -1,9 +1,9 @@\n{text}")


def quotes(text: str) -> None:
    """Quotes of a file of which they are a part; the answer of a model holds at most 6,000 characters of each."""
    rows = text.split("\n")
    patch = f"@@ -0,0 +1,{len(rows)} @@\n" + "\n".join(f"+{row}" for row in rows)
    change = Diff((parse_patch("a.py", Status.ADDED, patch),))
    for quoted in (text[:6000], text[1:6000] + "\nnot there", text[:3000] + "\n...\n" + text[3000:6000]):
        anchor("a.py", quoted, change)
    facts = HeadFacts(change, {"a.py": text})
    find_line(f"a.py:3: {text[:200]}", facts)


PARSERS: dict[str, Callable[[str], object]] = {
    "webhook": webhook,
    "command": command,
    "hidden": show_hidden,
    "redact": lambda text: redact(text, SECRETS),
    "withhold": lambda text: without_secrets(text, SECRETS),
    "repetition": without_repetition,
    "plain": lambda text: plain(text, secrets=SECRETS),
    "clean": lambda text: clean(text, secrets=SECRETS),
    "code": code,
    "diff": diff,
    "quotes": quotes,
    "policy": lambda text: within(1.0, lambda: parse_policy(text[:64_000])),
    "markdown": lambda text: within(1.0, lambda: markdown(text)),
    "plain text": lambda text: within(1.0, lambda: plain_text(text)),
}


def cpu(parser: Callable[[str], object], text: str) -> float:
    """CPU seconds; a refusal is an answer."""
    begun = time.process_time()
    with suppress(AssistantError):
        parser(text)
    return time.process_time() - begun


def main() -> None:
    """Measure, print the worst text of each parser, and exit with 1 for a broken bound."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--size", type=int, default=1_000_000)
    options.add_argument("parsers", nargs="*", default=list(PARSERS))
    arguments = options.parse_args()
    broken = 0
    print(f"{'parser':12}{'worst text':>36}{'CPU s':>9}{'ratio':>8}")
    for name in arguments.parsers:
        rows = []
        for mark in MARKS:
            small, large = (mark * (size // len(mark)) for size in (arguments.size // 10, arguments.size))
            seconds = cpu(PARSERS[name], small)
            rows.append((cpu(PARSERS[name], large) if seconds < SECONDS else 10 * LIMIT * seconds, seconds, mark))
        for worst, seconds, mark in sorted(rows, reverse=True)[: 1 if not broken else 3]:
            ratio = worst / max(seconds, NOISE)
            bad = worst > SECONDS or ratio > LIMIT
            broken += bad
            print(f"{name:12}{mark[:30]!r:>36}{worst:9.3f}{ratio:8.1f}{'  TOO MUCH' if bad else ''}", flush=True)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
