"""The corpus of hostile input, judged by its effects. Each channel has one file of inputs and one test here.

The rows are those of the threat table in docs/explanation/security.md. `test_hijacked_product.py` plays the same inputs over HTTP.
"""

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
import re
from urllib.parse import quote

import httpx
import pytest

from bot.core.claims.prompt import fence, nonce
from bot.core.code.diff import Diff, FileDiff, Side, Status, parse_patch
from bot.core.code.secrets import carries_secret, without_secrets
from bot.core.command import Verb, parse
from bot.core.comments.sanitize import clean, plain
from bot.core.findings.anchor import Place, anchor
from bot.core.policy import Policy
from bot.core.policy import parse as parse_policy
from bot.errors import MalformedDelivery, NotFound, SignatureMismatch, UnsupportedDelivery, UserError
from bot.hosts.github.auth import READ, GitHubApp, Grant
from bot.hosts.github.client import GitHubClient
from bot.job import Skip, decide
from bot.sandbox.api.auth import key_pair
from bot.webhook import parse as parse_delivery
from bot.webhook import verify
from tests.support.corpus import FOLDER, corpus, names
from tests.support.deliveries import SECRET, payload, signed
from tests.support.posted_text import faults
from tests.support.store_change import DIFF

CORPUS = {name: corpus(name) for name in names()}
OLD = b"the-old-secret-of-two"
OURS = "correct7horse9battery2staple"
ROWS = [
    "W01",
    "W02",
    "W03",
    "W04",
    "W05",
    "W06",
    "W07",
    "W08",
    "W09",
    "W10",
    "W11",
    "W12",
    "A01",
    "A02",
    "A03",
    "A04",
    "A05",
    "A06",
    "A07",
    "A08",
    "I01",
    "I02",
    "I03",
    "I04",
    "I05",
    "I08",
    "I09",
    "I10",
    "I11",
    "I12",
    "I13",
    "I14",
    "I15",
    "I17",
    "M01",
    "M02",
    "M03",
    "M04",
    "M05",
    "M06",
    "M07",
    "M08",
    "M09",
    "D01",
    "D02",
    "D03",
    "S01",
    "S02",
    "S03",
    "B01",
    "L01",
]
ELSEWHERE = {
    "W06": "engine/test_durable.py::test_the_same_delivery_a_hundred_times_at_once_is_one_review",
    "A01": "handlers/test_commands.py::test_forty_commands_of_a_stranger_get_one_sign_and_a_maintainer_is_answered",
    "A02": "handlers/test_permissions_all.py::test_what_somebody_asks_for_takes_the_permission_that_the_policy_names",
    "A06": "handlers/test_permissions_all.py::test_what_somebody_asks_for_takes_the_permission_that_the_policy_names",
    "A07": "hosts/test_github_host.py::test_a_permission_is_never_guessed",
    "I01": "corpus/test_hijacked_product.py::test_no_request_of_the_hijacked_model_leaves",
    "I03": "claims/test_prompt.py::test_hostile_text_cannot_leave_its_fence",
    "I04": "checks/test_invisible.py::test_a_hidden_character_is_named",
    "I05": "checks/test_invisible.py::test_what_people_write_is_left_alone",
    "I08": "code/test_plan.py::test_noise_cannot_bury_code_that_is_relevant_to_security",
    "I11": "claims/test_prompt.py::test_hostile_text_cannot_leave_its_fence",
    "I12": "claims/test_material.py::test_an_issue_of_a_megabyte_has_a_bounded_number_of_points",
    "I14": "test_deadline.py::test_a_document_that_takes_too_long_is_left_out_with_the_reason",
    "I15": "standards/test_documents.py::test_on_a_public_pull_request_another_repositorys_documents_need_the_label_public",
    "M01": "corpus/test_corpus.py::test_a_text_of_the_model_is_dead_when_it_is_posted",
    "M02": "corpus/test_corpus.py::test_a_text_of_the_model_is_dead_when_it_is_posted",
    "M04": "handlers/test_hijack.py::test_wishes_are_denied_and_three_thousand_calls_are_a_few",
    "M06": "findings/test_suggestion.py::test_what_is_not_offered_has_a_reason",
    "M08": "corpus/test_hijacked_product.py::test_nothing_that_the_hijacked_model_wrote_can_act",
    "D02": "hosts/test_github_host.py::test_what_github_leaves_out_is_read_or_marked",
    "D03": "code/test_plan.py::test_what_is_not_read_has_a_reason",
    "B01": "hosts/test_github_client.py::test_a_wrong_clock_is_set_by_githubs",
    "L01": "handlers/test_permissions_all.py::test_two_of_our_bots_exchange_at_most_one_reply_each",
}
"""Rows that another test covers."""


def channel(name):
    return pytest.mark.parametrize("entry", CORPUS[name], ids=lambda entry: entry["id"])


def test_the_corpus_has_every_row_and_at_least_200_inputs_with_names_of_their_own():
    entries = [entry for entries in CORPUS.values() for entry in entries]
    rows = {entry.get("row", "") for entry in entries}
    tests = FOLDER.parent

    assert len(entries) >= 400
    for entries in CORPUS.values():
        assert len({entry["id"] for entry in entries}) == len(entries)
    assert [row for row in ROWS if row not in rows and row not in ELSEWHERE] == []
    named = {row: place.split("::") for row, place in ELSEWHERE.items()}
    missing = {row for row, (file, name) in named.items() if f"def {name}(" not in (tests / file).read_text()}
    assert missing == set()


def test_every_rule_of_the_security_page_names_a_test_that_exists():
    page = (FOLDER.parents[1] / "docs" / "explanation" / "security.md").read_text()
    named = re.findall(r"^\| (R\d+) .*`tests/(\S+)::(\w+)` \|$", page, re.MULTILINE)

    assert [rule for rule, _, _ in named] == [f"R{n}" for n in range(1, len(named) + 1)]
    assert len(named) >= 10
    for _, file, name in named:
        assert f"def {name}(" in (FOLDER.parent / file).read_text()


def _delivery(entry):
    content = payload(action="opened") | entry.get("body", {}) if entry.get("merge") else payload()
    raw = entry.get("raw")
    body = {
        None: json.dumps(content).encode(),
        "deep": b'{"action": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        "not-utf-8": b'{"action": "\xff"}',
        "gzip": gzip.compress(b"0" * 100_000),
    }.get(raw, (raw or "").encode())
    headers, body = signed(body, entry.get("event", "pull_request"))
    headers |= {name: str(value) for name, value in entry.get("headers", {}).items()}
    good, how = headers["x-hub-signature-256"].encode(), entry["signature"]
    digest = {name: hmac.new(key, body, name).hexdigest() for name, key in (("sha1", SECRET), ("sha256", OLD))}
    signature = {
        "good": good,
        "none": None,
        "": b"",
        "old": b"sha256=" + digest["sha256"].encode(),
        "sha1": b"sha1=" + digest["sha1"].encode(),
        "upper": good.upper(),
        " space": b" " + good,
        "empty-secret": b"sha256=" + hmac.new(b"", body, hashlib.sha256).hexdigest().encode(),
    }.get(how, how.encode("latin-1"))
    if how == "newline":
        signature, body = good, body + b"\n"
    if how == "reserialised":
        signature, body = good, json.dumps(json.loads(body), indent=1).encode()
    return signature, headers, body


@channel("webhook")
def test_a_delivery_gets_its_status_and_is_stored_or_not(entry):
    signature, headers, body = _delivery(entry)
    try:
        verify(signature, body, (SECRET, OLD, b""))
        work = decide(parse_delivery(headers, body, "99"))
    except (SignatureMismatch, UnsupportedDelivery, MalformedDelivery) as error:
        status, stored = error.status, False
    else:
        stored = not isinstance(work, Skip)
        status = 200 if headers["x-github-event"] == "ping" else 202

    assert {"status": status, "stored": stored} == entry["effects"]


@channel("comments")
def test_a_comment_starts_its_command_or_nothing(entry):
    try:
        command = parse(entry["input"])
    except UserError as error:
        got, words = "help", str(error)
    else:
        words = ""
        got = "none" if command is None else "help-command" if command.verb is Verb.HELP else command.verb.value

    assert got == entry["effects"]["command"]
    assert "@" not in words
    assert len(words) < 300


@channel("model_text")
def test_a_text_of_the_model_is_dead_when_it_is_posted(entry):
    assert faults(clean(entry["text"], secrets=(OURS,))) == []


@channel("titles")
def test_a_title_of_the_model_is_one_dead_line(entry):
    title = plain(entry["input"])

    assert "\n" not in title
    assert len(title) <= 120
    assert faults(title) == []


def _disguised(secret):
    encoded = base64.b64encode(secret.encode()).decode()
    return {
        "plain": secret,
        "base64": encoded,
        "base64 shifted": base64.b64encode(f"x{secret}".encode()).decode(),
        "urlsafe base64": base64.urlsafe_b64encode(secret.encode()).decode(),
        "hex": secret.encode().hex(),
        "upper hex": secret.encode().hex().upper(),
        "reversed": secret[::-1],
        "minus first 7": secret[7:],
        "quoted for a URL": quote(secret, safe=""),
        "split by spaces": " ".join(secret),
        "split by hyphens": "-".join(secret),
        "split by zero-width": "\u200b".join(secret),
        "split by newlines": "\n".join(secret),
        "split by dots": ".".join(secret),
        "in a code block": f"```\n{secret}\n```",
        "in a link": f"[x](https://evil.example/{secret})",
        "in a table": f"| a |\n|---|\n| {secret} |",
        "twice": f"{secret} {secret}",
        "inside a word": f"x{secret}y",
    }


@channel("secrets")
def test_a_secret_is_in_nothing_that_is_posted(entry):
    text = entry.get("text") or _disguised(OURS)[entry["form"]]
    cleaned = clean(f"The key is {text}.", secrets=(OURS,))

    assert text not in cleaned
    for posted in (cleaned, without_secrets(f"Fine.\n\nThe key is {text}.", (OURS,)), plain(text, secrets=(OURS,))):
        assert not carries_secret(posted, (OURS,))


@channel("quotes")
def test_a_claimed_place_is_a_line_of_the_diff_or_no_line(entry):
    quoted = {"MEGABYTE": "x" * 1_000_000, "EQUAL": "import os\n" * 599}.get(entry["quoted"], entry["quoted"])
    place = anchor(entry["path"], quoted, DIFF, Side(entry.get("side", "RIGHT")), entry.get("near"))

    if place.place is not Place.INLINE:
        assert place.line is place.start is None
        return
    file = DIFF.file(place.path)
    numbers = {line.number(place.side) for hunk in file.hunks for line in hunk.lines}
    assert {place.line, place.start or place.line} <= numbers
    assert (place.start or 0) < place.line


@channel("diffs")
def test_added_lines_of_a_patch_have_numbers_or_the_file_is_unread(entry):
    patch = "@@ -0,0 +1 @@\n+" + "x" * 1_000_000 if entry["input"] == "WIDE" else entry["input"]
    file = parse_patch("a.py", Status.MODIFIED, patch)
    added = [line for hunk in file.hunks for line in hunk.lines if line.added]

    assert isinstance(file, FileDiff)
    assert all(line.new and line.new > 0 for line in added)
    assert [line.new for line in added] == sorted({line.new for line in added}) or not added
    anchor("a.py", "x", Diff((file,)))


@channel("policies")
def test_a_wrong_policy_file_leaves_the_defaults_and_names_a_problem(entry):
    policy, problems = parse_policy(entry["input"])

    assert problems
    assert policy.minimum_permission == Policy().minimum_permission
    assert policy.comments in {Policy().comments, 3, 4}
    assert all(len(str(problem)) < 1_000 for problem in problems)


@channel("addresses")
@pytest.mark.parametrize("header", ["location", "link"])
def test_no_address_of_a_server_leads_elsewhere(entry, header):
    asked = []

    class Server(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            asked.append(request.url)
            if request.url.path.endswith("/access_tokens"):
                return httpx.Response(201, json={"token": "ghs_x", "expires_at": "2099-12-31T00:00:00Z"})
            said = {"location": entry["location"]} if header == "location" else {}
            said |= {"link": f'<{entry["location"]}>; rel="next"'} if header == "link" and entry["location"] else {}
            return httpx.Response(301 if header == "location" else 200, headers=said, json=[])

    client = GitHubClient(GitHubApp("1", key_pair().private), "https://api.github.test", transport=Server())
    grant = Grant(7, "octo/shop", 42, READ)
    try:
        asyncio.run(client.every(grant, "/repos/octo/shop/pulls", list[int]))
    except NotFound:
        pass
    else:
        assert header == "link"
        assert not entry["location"]

    assert [url.path for url in asked] == ["/app/installations/7/access_tokens", "/repos/octo/shop/pulls"]


@channel("material")
def test_a_strangers_text_stays_inside_its_fence(entry):
    name = nonce("salt", "title", "a", entry["input"])
    text = entry["input"].replace("NONCE", name)
    fenced = fence("title", text[:50].replace("\n", " "), text, name)

    assert fenced.count(name) == 2
    assert fenced.startswith(f"<untrusted-{name}>\n")
    assert fenced.endswith(f"\n</untrusted-{name}>")
    assert len(re.findall(r"</untrusted-[0-9a-f]{16}>", fenced)) == 1
