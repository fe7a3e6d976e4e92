"""A whole review with a model, on the sandbox, over HTTP: what is looked up, proven, posted, counted and written down."""

import json
import sqlite3
import threading
from collections import defaultdict
from contextlib import closing

import pytest

from bot.checks import hygiene, invisible, secrets
from bot.handlers import passes, read, review, run_checks
from tests.support.model_turns import calls, says
from tests.support.product_with_model import ProductWithModel, Request
from tests.support.run_records import run_records
from tests.support.scripted_model import findings

RULES = "# Python\n\n## Output\n\nLog through `logging`, never through `print`.\n"
BASE = {
    "app.py": "def pay(order):\n    return order\n",
    "docs/standards/python.md": RULES,
    "money.py": "RATE = 2\n",
    ".github/assistant.yml": "tone: friendly\n",
}
CODE = (
    "import os\n\n\n"
    "def pay(order):\n"
    "    share = order.total / order.count\n"
    "    print(share)\n"
    "    return share, os.getpid()\n"
)
ISSUE = "## Acceptance\n\n- pay() computes the share\n- failures are logged\n"
FULL = "schema,schema_with_tools,parallel_tools,count_tokens,encrypted_reasoning,extras"
LOOKUPS = (
    ("search_standards", {"query": "print logging output", "language": "python", "path": "app.py"}),
    ("get_github_issue", {"number": 1}),
    ("read_file", {"path": "money.py", "side": "base", "start": None, "end": None}),
    ("search_code", {"text": "RATE", "word": True, "side": "head", "folder": None}),
)
DIVIDES = {
    "path": "app.py",
    "quoted_code": "    share = order.total / order.count",
    "near": 5,
    "evidence": ["app.py:5 order.count"],
    "title": "An empty order divides by zero",
    "suggestion": "    share = order.total / order.count if order.count else 0",
}
PRINTS = {
    "path": "app.py",
    "quoted_code": "    print(share)",
    "near": 6,
    "category": "standards",
    "severity": "warning",
    "standard_refs": ["docs/standards/python.md#output"],
    "standard_quote": "Log through `logging`, never through `print`.",
    "title": "The share is printed",
    "why": "It goes to standard output instead of the log.",
}
INVENTED = PRINTS | {"title": "A rule that is nowhere", "standard_quote": "Never divide numbers at all."}
UNUSED = {
    "path": "app.py",
    "quoted_code": "import os",
    "near": 1,
    "claim": {"kind": "unused", "subject": "os"},
    "title": "The import is not used",
}
DOUBTFUL = {
    "path": "app.py",
    "quoted_code": "    return share, os.getpid()",
    "near": 7,
    "title": "The result is a pair",
}
FOUND = {"correctness": findings(DIVIDES, UNUSED, DOUBTFUL), "standards": findings(PRINTS, INVENTED)}
POINTS = [
    {
        "point": 1,
        "path": "app.py",
        "quoted_line": "share = order.total / order.count",
        "reason": "it divides",
        "status": "met",
    },
    {"point": 2, "path": None, "quoted_line": None, "reason": "nothing logs", "status": "unmet"},
]


def careful(body):
    """A model that looks everything up first, finds what it finds, and is sure of all but one thing."""
    asked = Request(body)
    if not asked.told and asked.purpose != "requirements":
        return calls(*LOOKUPS)
    if asked.purpose == "find":
        return says(FOUND.get(asked.lens, findings()))
    if asked.purpose == "requirements":
        return says({"points": POINTS})
    return says({"verdicts": [verdict(number, claim) for number, claim in enumerate(asked.claims, 1)]})


def verdict(number, claim):
    word = "unsure" if claim["title"] == DOUBTFUL["title"] else "holds"
    return {"finding": number, "evidence": ["app.py:5 / order.count"], "reason": "as the code says", "verdict": word}


@pytest.fixture(scope="module", params=["responses", "chat"])
def product(request):
    product = ProductWithModel(careful, request.param, assistant_capabilities=FULL)
    yield product
    product.close()


COSTLY = {
    (read, "plan"),
    (secrets, "_secrets"),
    (hygiene, "_remains"),
    (invisible, "_hidden"),
    (run_checks, "suspects"),
    (passes, "changed_definitions"),
    (passes, "materials"),
    (review, "triage"),
}
"""Pure functions whose work grows with the size of the change."""


@pytest.fixture(scope="module")
def threads():
    """The names of the threads in which each of the costly functions ran, from now on."""
    ran = defaultdict(set)

    def watched(function):
        def called(*arguments, **options):
            ran[function.__name__].add(threading.current_thread().name)
            return function(*arguments, **options)

        return called

    with pytest.MonkeyPatch.context() as patch:
        for module, name in COSTLY:
            patch.setattr(module, name, watched(getattr(module, name)))
        yield ran


@pytest.fixture(scope="module")
def pull(product, threads):
    """A pull request that was reviewed once."""
    threads.clear()
    repo = product.repository(BASE)
    repo.open_issue("Shares", ISSUE)
    pull = product.play(repo.open_pull("Compute the share", "Fixes #1", {"app.py": CODE}))
    product.settle()
    return pull


@pytest.fixture(scope="module")
def check(pull):
    (check,) = pull.check_runs()
    return check


@pytest.fixture(scope="module")
def asked(product, pull):
    """What the model was asked in the first review."""
    assert pull.reviews
    return [Request(one.body) for one in product.model.asked if one.path != "/v1/responses/input_tokens"]


@pytest.mark.usefixtures("pull")
def test_what_grows_with_a_change_is_computed_in_one_thread_away_from_the_event_loop(threads):
    assert threads.keys() == {name for _, name in COSTLY}
    assert set.union(*threads.values()) == {"compute_0"}


@pytest.mark.usefixtures("pull")
def test_the_server_rejects_nothing_of_what_we_send(product):
    assert product.model.rejected == []


def test_the_linked_issue_is_given_up_front(asked):
    for one in asked:
        if one.purpose != "verify":
            assert "Acceptance point: failures are logged" in one.blocks["issue"][0]


def test_what_is_asked_for_at_once_is_answered_at_once(asked):
    issue = next(told for one in asked for told in one.told if told.startswith('{"number"'))
    after = next(one for one in asked if one.told)

    assert len(after.told) == len(LOOKUPS)
    assert json.loads(issue)["acceptance_points"] == ["pay() computes the share", "failures are logged"]
    assert any("1 RATE = 2" in told for told in after.told)
    assert any(told == "1 matches at head\nmoney.py:1: RATE = 2" for told in after.told)


@pytest.mark.usefixtures("pull")
def test_the_code_was_searched_by_git_in_a_fetched_copy(product):
    fetches = [one for one in product.sandbox.requests if one.path.endswith("/git-upload-pack")]

    assert fetches
    assert all(product.sandbox.world.tokens[one.token].permissions["contents"] == "read" for one in fetches)


def test_what_was_verified_is_posted_with_its_suggestion_and_its_rule(pull):
    (review,) = pull.reviews
    divides, prints = sorted(pull.comments, key=lambda comment: comment.line)

    assert review.state == "COMMENTED"
    assert (divides.path, divides.line) == ("app.py", 5)
    assert "```suggestion\n    share = order.total / order.count if order.count else 0\n```" in divides.body
    assert (prints.path, prints.line) == ("app.py", 6)
    assert "docs/standards/python.md?plain=1#L5" in prints.body
    assert "> > Log through `logging`, never through `print`." in prints.body


def test_what_was_refuted_held_or_invented_stands_in_the_check_run_with_its_reason(check):
    dropped = check.text.partition("### Considered and not posted")[2]

    assert "The import is not used: refuted by the code: 'os' is used at app.py:7" in dropped
    assert "The result is a pair: held: not verified (as the code says)" in dropped
    assert "A rule that is nowhere: no standard that was retrieved contains the rule it quotes" in dropped


def test_each_point_of_the_issue_is_judged_with_its_place(check):
    assert "#1 pay() computes the share: **met** (`app.py:5`)" in check.summary
    assert "#1 failures are logged: **unmet**: nothing logs" in check.summary


def test_the_check_run_says_what_it_cost_and_what_was_said_to_the_model(check, asked):
    cost = check.text.partition("### Cost")[2]

    assert f"{len(asked)} model calls" in cost
    assert "$0." in cost
    assert "find_correctness " in cost
    assert check.conclusion == "neutral"
    assert "| reviewed | `correctness` | 1 of 1 readings |" in check.text


def test_the_ledger_has_what_each_call_cost(product, pull, asked):
    with closing(sqlite3.connect(product.app.settings.database.removeprefix("sqlite:///"))) as connection:
        rows = connection.execute(
            "SELECT tokens, dollars, settled FROM spending WHERE repo_id = ?", (pull.repo.id,)
        ).fetchall()

    assert len(rows) == len(asked)
    assert all(tokens > 0 and dollars > 0 and settled for tokens, dollars, settled in rows)


def test_the_journal_shows_each_call_and_each_lookup(product, pull, asked):
    (run,) = [
        run for run in product.play(run_records(product.app.engine)) if run.kind == "review" and pull.head in run.id
    ]
    names = product.app.engine._open.runs.journal(run.id)[0]

    assert len([name for name in names if "/call-" in name]) == len(asked)
    assert {f"find/security/1/tool-1-{n}" for n in (1, 2, 3, 4)} <= names.keys()
    assert "refute" in names


@pytest.fixture(scope="module")
def pushed(product, pull, check):
    """The pull request after another push; the requests of both reviews, as they came."""
    assert check.status == "completed"
    before = len(product.model.raw)
    product.play(pull.push({"app.py": CODE.replace("print(share)", "print(share, order)")}))
    product.settle()
    return product.model.raw[:before], product.model.raw[before:]


def test_the_second_push_begins_with_the_same_bytes(product, pushed):
    if "messages" in product.model.asked[0].body:
        pytest.skip("this API has no breakpoints")
    first, second = (by_schema(requests) for requests in pushed)

    assert first.keys() == second.keys() == {"Findings", "Verdicts", "Requirements"}
    for schema, requests in first.items():
        assert len({kept(raw, 2) for raw in (*requests, *second[schema])}) == 1, "our instructions and the team's rules"
    assert [len({kept(raw, 3) for raw in each["Findings"]}) for each in (first, second)] == [1, 1], "the material"
    assert kept(first["Findings"][0], 3) != kept(second["Findings"][0], 3)


@pytest.mark.usefixtures("pull")
def test_within_a_conversation_each_request_begins_with_the_one_before(product):
    before, after = (raw.decode() for raw in product.model.raw[:2])
    name = next(name for name in ('"input":', '"messages":') if name in before)
    start = before.index(name) + len(name)
    end = json.JSONDecoder().raw_decode(before, start)[1]

    assert after.startswith(before[: end - 1] + ",")


def by_schema(requests):
    found = {}
    for raw in requests:
        body = json.loads(raw)
        if "store" in body:
            found.setdefault(body["text"]["format"]["name"], []).append(raw)
    return found


def kept(raw, marks):
    """The bytes up to so many breakpoints, and what else a cache hangs on."""
    mark = b'"prompt_cache_breakpoint":{"mode":"explicit"}'
    end = -1
    for _ in range(marks):
        end = raw.index(mark, end + 1)
    body = json.loads(raw)
    rest = {key: body[key] for key in ("model", "tools", "text", "reasoning", "parallel_tool_calls", "include")}
    return raw[:end], json.dumps(rest)
