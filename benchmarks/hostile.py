"""CPU of every parser that a stranger can reach, on hostile input: ten times the input costs at most twelve times the CPU.

Each parser gets 10 KB and 100 KB of each text, and 1 MB of the texts that cost most and of those that grow fastest (with
--thorough, of all). 1 MB may cost at most one second. Word and PDF documents come from the base branch, which a stranger cannot
write, and are packed: they may cost their own clock (`bot/standards/local.py`). Exits with 1 if a bound is broken.

    python benchmarks/hostile.py [--size 1000000] [--thorough] [PARSER …]
"""

import argparse
import asyncio
import hashlib
import hmac
import io
import json
import logging
import sys
import time
import tomllib
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from html import escape

import httpx
from pydantic import ValidationError

from bot.checks.hygiene import offer as hygiene
from bot.checks.invisible import offer as invisible
from bot.checks.jail import Jail
from bot.checks.secrets import offer as secrets
from bot.core.claims.evidence import HeadFacts, find_line
from bot.core.claims.prompt import fence as data_fence
from bot.core.claims.prompt import nonce
from bot.core.claims.requirements import linked_issues, points
from bot.core.claims.schemas import Findings, to_drafts
from bot.core.code.diff import Diff, Status, parse_diff, parse_patch
from bot.core.code.generated import PathAttributes
from bot.core.code.hidden import show_hidden
from bot.core.code.pull_request import PullRef
from bot.core.code.secrets import redact, without_secrets
from bot.core.code.syntax import definitions
from bot.core.command import first_line
from bot.core.command import parse as parse_command
from bot.core.comments.comment import code
from bot.core.comments.marker import Signer
from bot.core.comments.sanitize import clean, plain, without_repetition
from bot.core.findings.anchor import Anchor, Place, anchor
from bot.core.findings.executable_rules import executable_rules
from bot.core.findings.sarif import read_sarif
from bot.core.findings.standard import Document
from bot.core.findings.suggestion import prove
from bot.core.policy import parse as parse_policy
from bot.deadline import within
from bot.errors import AssistantError
from bot.hosts.github.refusals import refusal
from bot.hosts.github.transport import page
from bot.interfaces import Check, Source
from bot.model.replies import arguments_of, read_answer
from bot.standards import READERS
from bot.standards.documents import imports
from bot.standards.local import allowed_seconds
from bot.standards.sections import sections
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


def document(path: str, content: bytes) -> None:
    """The sections of a document, under the product's clock, and the rules in them."""
    clock = allowed_seconds(Document(path, "blob"), content)
    executable_rules(within(clock, lambda: sections(Document(path, "blob"), content, READERS)))


def word(text: str) -> None:
    """A Word document with a paragraph for each line of the text."""
    home = "http://schemas.openxmlformats.org"
    space, kind = f"{home}/wordprocessingml/2006/main", "application/vnd.openxmlformats"
    rows = "".join(f"<w:p><w:r><w:t>{escape(row)}</w:t></w:r></w:p>" for row in text.split("\n") if row.isprintable())
    types = (
        f'<Types xmlns="{home}/package/2006/content-types"><Default Extension="rels" ContentType="{kind}-package.relationships+xml"/>'
        f'<Override PartName="/d.xml" ContentType="{kind}-officedocument.wordprocessingml.document.main+xml"/></Types>'
    )
    links = (
        f'<Relationships xmlns="{home}/package/2006/relationships"><Relationship Id="r1" '
        f'Type="{home}/officeDocument/2006/relationships/officeDocument" Target="d.xml"/></Relationships>'
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("[Content_Types].xml", types)
        made.writestr("_rels/.rels", links)
        made.writestr("d.xml", f'<w:document xmlns:w="{space}"><w:body>{rows}</w:body></w:document>')
    document("a.docx", packed.getvalue())


def pdf(text: str) -> None:
    """A PDF of one page, whose packed commands are the text between two commands that print."""
    stream = zlib.compress(f"BT /F1 9 Tf (a) Tj {text} (a) Tj ET".encode("latin-1", "replace"))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    body, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = "".join(f"{place:010} 00000 n \n" for place in places).encode()
    end = b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % len(body)
    document("a.pdf", body + b"xref\n0 6\n0000000000 65535 f \n" + table + end)


def reply(text: str) -> None:
    """A model's answer around and inside of JSON, and the arguments of a tool call."""
    finding = {"path": text[:500], "quoted_code": text[:6000], "title": text, "why": text}
    for said in (text, json.dumps({"walkthrough": "", "findings": [finding]}), f'{text}{{"findings": []}}{text}'):
        with suppress(ValidationError):
            if isinstance(answer := read_answer(Findings, said), Findings):
                to_drafts(answer, "model")
        arguments_of(said)


def headers(text: str) -> None:
    """The headers of a delivery, GitHub's Link, the address of a page and the words of a refusal."""
    for name in ("content-type", "x-github-event", "x-github-delivery", "x-github-hook-installation-target-id"):
        with suppress(AssistantError):
            parse_webhook(HEADERS | {name: text}, b"{}")
    with suppress(AssistantError):
        verify(f"sha256={text}".encode(), b"", (SECRET,))
    plain_text = text.encode("ascii", "replace").decode().replace("\n", " ")
    with suppress(httpx.InvalidURL):
        _ = httpx.Response(200, headers={"link": f'<https://a/{plain_text[:60_000]}>; rel="next"'}).links
    page(httpx.URL("https://api.github.com"), f"https://github.com/{text}/pull/1")
    refusal(403, {"retry-after": text, "date": text}, text.encode()[: 16 * 1024], 0.0)


def suggestion(text: str) -> None:
    """A replacement of one line of a file that holds the text too; a model's answer has at most 6,000 characters."""
    head = f"x = 1\n{text}"
    prove(text[:6000], Anchor(Place.INLINE, "a.py", line=1, text="x = 1", exact=True), "a.py", head)


def issue(text: str) -> None:
    """The body of an issue or a pull request: its points, the issues that it names, and its fence."""
    points(text)
    linked_issues(text, "octo/shop")
    Signer(SECRET).details(PullRef("octo/shop", 1, 42), "finding", text)
    data_fence("issue", "#1", text, nonce("salt", "issue", "#1", text))


def checked(offer: Callable[[Jail], Check], path: str) -> Callable[[str], object]:
    """A check of our own on a file of the change. The others run in the jail, which bounds them."""
    return lambda text: asyncio.run(offer(Jail()).run([Source(path, text)]))


def settings(text: str) -> None:
    """The files of the base branch that say something about paths; at most 64,000 bytes of each are read."""
    attributes = PathAttributes.of(
        {".gitattributes": text[:64_000], "a/.gitattributes": f"*.py linguist-generated\n{text}"[:64_000]}
    )
    attributes.kind("a/b/c.py")
    with suppress(tomllib.TOMLDecodeError, RecursionError):
        tomllib.loads(text[:64_000])


def tree(text: str) -> None:
    """The outline of a file of the change; one over 512 KB has none, nor has one that takes far more steps than code."""
    definitions("a.py", text)


def sarif(text: str) -> None:
    """A report of another analyser."""
    place = {"physicalLocation": {"artifactLocation": {"uri": text[:2000]}, "region": {"startLine": 1}}}
    result = {"ruleId": text[:2000], "message": {"text": text}, "locations": [place]}
    run = {"tool": {"driver": {"name": text[:2000], "rules": []}}, "results": [result] * 3}
    for report in (text, json.dumps({"version": "2.1.0", "runs": [run]})):
        with suppress(AssistantError):
            read_sarif(report, ("a.py",))


PARSERS: dict[str, Callable[[str], object]] = {
    "webhook": webhook,
    "headers": headers,
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
    "reply": reply,
    "suggestion": suggestion,
    "issue": issue,
    "hygiene": checked(hygiene, "a.py"),
    "invisible": checked(invisible, "a.py"),
    "secrets": checked(secrets, "a.yml"),
    "tree": tree,
    "policy": lambda text: within(1.0, lambda: parse_policy(text[:64_000])),
    "settings": settings,
    "sarif": sarif,
    "imports": lambda text: imports(text, "AGENTS.md"),
    "markdown": lambda text: document("a.md", text.encode()[:1_000_000]),
    "rst": lambda text: document("a.rst", text.encode()[:1_000_000]),
    "html": lambda text: document("a.html", text.encode()[:1_000_000]),
    "editorconfig": lambda text: document(".editorconfig", text.encode()[:1_000_000]),
    "front matter": lambda text: document("a.md", f"---\n{text}\n---\n".encode()[:1_000_000]),
    "docx": word,
    "pdf": pdf,
}
OWN_CLOCK = {"docx": 2.2, "pdf": 2.2}
"""Seconds that an archive of 1 MB may cost."""
DEAREST, FASTEST = 3, 2
"""Of how many texts 1 MB is tried: those that cost most at 100 KB, and those that grow fastest up to there."""


def cpu(parser: Callable[[str], object], text: str) -> float:
    """CPU seconds; a refusal is an answer."""
    begun = time.process_time()
    with suppress(AssistantError):
        parser(text)
    return time.process_time() - begun


def rows(parser: Callable[[str], object], size: int, *, thorough: bool) -> list[tuple[float, float, str]]:
    """(seconds, how much ten times the input costs, text) for the texts that were tried at `size`, the dearest first."""
    tried = []
    for mark in MARKS:
        tenth, hundredth = (cpu(parser, mark * (part // len(mark))) for part in (size // 10, size // 100))
        tried.append((tenth, tenth / max(hundredth, NOISE / 10), mark))
    dearest = sorted(tried, reverse=True)
    fastest = sorted(tried, key=lambda row: row[1], reverse=True)
    chosen = dict.fromkeys(dearest if thorough else [*dearest[:DEAREST], *fastest[:FASTEST]])
    measured = []
    for tenth, _, mark in chosen:
        whole = (
            cpu(parser, mark * (size // len(mark))) if tenth <= SECONDS else 10 * LIMIT * tenth
        )  # do not wait for it
        measured.append((whole, whole / max(tenth, NOISE), mark))
    return sorted(measured, reverse=True)


def main() -> None:
    """Measure, print the worst texts of each parser, and exit with 1 for a broken bound."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--size", type=int, default=1_000_000)
    options.add_argument("--thorough", action="store_true", help="try every text at full size")
    options.add_argument("parsers", nargs="*", default=list(PARSERS))
    arguments = options.parse_args()
    logging.disable()  # pypdf warns of every broken object
    broken, begun = 0, time.process_time()
    print(f"{'parser':14}{'worst text':>34}{'CPU s':>9}{'ratio':>8}")
    for name in arguments.parsers:
        for number, (seconds, ratio, mark) in enumerate(
            rows(PARSERS[name], arguments.size, thorough=arguments.thorough)
        ):
            bad = seconds > OWN_CLOCK.get(name, SECONDS) or ratio > LIMIT
            broken += bad
            if bad or not number:
                print(f"{name:14}{mark[:30]!r:>34}{seconds:9.3f}{ratio:8.1f}{'  TOO MUCH' if bad else ''}", flush=True)
    spent = time.process_time() - begun
    print(f"{len(arguments.parsers)} parsers, {len(MARKS)} texts, {broken} bounds broken, {spent:.0f} s of CPU")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
