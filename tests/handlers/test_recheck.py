"""What a push does to findings whose own lines it leaves alone: a guard elsewhere fixes them, and a model has to see it."""

import asyncio
from dataclasses import replace

import pytest

from bot.core.findings.finding import Severity
from bot.core.findings.known import FindingState
from bot.errors import Forbidden, Refused
from tests.support.review_rounds import Critic, ReviewRounds, ours, over, replies

BASE = {"shop.py": "def pay(items):\n    return 0\n", "till.py": "def count(items):\n    return items\n"}
LONG = "".join(f"    step_{n}(items)\n" for n in range(30))
FLAWED = {"shop.py": f"def pay(items):\n{LONG}    return items.total('flaw_one') / len(items)\n"}
GUARD = "    if not items:\n        return 0\n"
GUARDED = {"shop.py": FLAWED["shop.py"].replace("def pay(items):\n", f"def pay(items):\n{GUARD}")}
UNGUARDED = FLAWED
SEEN = ["shop.py:2 if not items:"]


class Skeptic(Critic):
    """Confirms what is new, and says `verdict` of what it is asked about again."""

    def __init__(self):
        super().__init__()
        self.verdict, self.evidence, self.again = "refuted", SEEN, []
        self.reads = True

    async def ask(self, prompt, tools, step, account):
        if prompt.name.startswith("find") and not self.reads:
            raise Refused("the model refused")
        if prompt.name.startswith("verify/again"):
            self.again.append(prompt)
            if isinstance(self.verdict, Exception):
                raise self.verdict
        return await super().ask(prompt, tools, step, account)

    def _found(self, source, line):
        """As a reviewer would: what it has read before is no news, and what is guarded is no flaw."""
        return () if any("not items" in one for one in self.read) else super()._found(source, line)

    def _answer(self, prompt):
        answer = super()._answer(prompt)
        if prompt.name.startswith("verify/again"):
            said = {"evidence": self.evidence, "reason": "An empty cart returns early", "verdict": self.verdict}
            answer = {"verdicts": [one | said for one in answer["verdicts"]]}
        return answer


@pytest.fixture
def tell(tmp_path):
    """Tells a story on a pull request whose flaw was said."""

    def tell(story, model, files=FLAWED):
        async def whole():
            here = ReviewRounds(tmp_path, model)
            here.repo = await here.sandbox.repository("octo/shop", BASE, private=True)
            here.repo.user("alice", "write")
            pull = await here.repo.open_pull("Pay", "", files)
            await here.settle()
            await story(here, pull)

        asyncio.run(whole())

    return tell


async def push(here, pull, files):
    await pull.push(files)
    await here.settle()


def test_a_guard_elsewhere_fixes_a_finding_until_it_is_gone_again(tell):
    model = Skeptic()

    async def story(here, pull):
        (thread,) = ours(pull)
        await push(here, pull, GUARDED)
        assert f"**Fixed** in `{pull.head[:7]}`: An empty cart returns early" in thread.body
        assert "flaw_one" in model.again[0].material
        assert "+    if not items:" in model.again[0].material
        await push(here, pull, {"till.py": "x = 2\n"})
        assert "No new findings" in pull.check_runs()[-1].title
        assert (over(pull), len(model.again), len(pull.reviews)) == ([thread], 1, 1)
        assert replies(pull) == []
        model.verdict = "holds"
        model.evidence = ["shop.py:1: def pay(items):"]
        await push(here, pull, UNGUARDED)

        assert (ours(pull), over(pull)) == ([thread], [])
        assert f"This problem is back in `{pull.head[:7]}`" in replies(pull)[0].body

    tell(story, model)


@pytest.mark.parametrize(
    ("verdict", "evidence"),
    [
        ("unsure", SEEN),
        ("holds", SEEN),
        ("refuted", []),
        ("refuted", ["shop.py:2 if items is None:"]),
        ("refuted", ["till.py:1 def count(items):"]),
        ("refuted", ["lib/shop.py:1 def pay(items):", "workshop.py:2 x", "shop.py.orig:2 x"]),
        (Forbidden("the quota is used up"), SEEN),
    ],
    ids=[
        "unsure",
        "holds",
        "no evidence",
        "evidence that stands nowhere",
        "evidence of what did not change",
        "evidence from elsewhere",
        "failed",
    ],
)
def test_what_is_not_shown_to_be_dealt_with_stays_open_in_silence(tell, verdict, evidence):
    model = Skeptic()
    model.verdict, model.evidence = verdict, evidence

    async def story(here, pull):
        (thread,) = ours(pull)
        was = thread.body
        await push(here, pull, GUARDED)

        assert len(model.again) == 1
        assert (thread.body, replies(pull), len(pull.reviews)) == (was, [], 1)
        assert pull.check_runs()[-1].title.startswith("No new findings, 1 still open")
        assert "failed" not in pull.check_runs()[-1].text

    tell(story, model)


def test_a_finding_is_weighed_once_for_each_head_and_only_where_something_changed(tell):
    model = Skeptic()
    model.verdict = "unsure"

    async def story(here, pull):
        await push(here, pull, {"till.py": "def count(items):\n    return 1\n"})
        pull.comment("alice", "/assistant review full")
        await here.settle()
        assert model.again == []
        await push(here, pull, GUARDED)
        (row,) = await here.ledger.reviews(here.ref, limit=1)
        pull.comment("alice", "/assistant review")
        await here.settle()
        pull.comment("alice", "/assistant review full")
        await here.settle()

        assert len(model.again) == 1
        assert row["detail"]["usage"]["calls"] == 2  # one reads what is new, one weighs what is known

    tell(story, model)


def test_a_head_that_could_not_be_read_whole_is_not_paid_for_twice(tell):
    model = Skeptic()
    model.verdict = "unsure"

    async def story(here, pull):
        model.reads = False
        await push(here, pull, GUARDED)
        assert len(model.again) == 1
        model.reads = True
        pull.comment("alice", "/assistant review")
        await here.settle()

        assert len(model.again) == 1

    tell(story, model)


def test_a_dozen_findings_are_weighed_at_most_and_the_worst_are_among_them(tell):
    model = Skeptic()
    flaws = "".join(f"    items.total('flaw_{n}')\n" for n in range(13)) + "    items.total('flawed_indeed')\n"

    async def story(here, pull):
        assert len(ours(pull)) == 10
        await push(here, pull, {"shop.py": f"def pay(items):\n{GUARD}{LONG}{flaws}"})
        known = await here.ledger.findings(here.ref)

        assert [prompt.name for prompt in model.again] == ["verify/again/1", "verify/again/2"]
        assert sum(one.state is FindingState.FIXED for one in known) == 12
        assert {one.severity for one in known if one.standing} == {Severity.WARNING}

    tell(story, model, {"shop.py": f"def pay(items):\n{LONG}{flaws}"})


def test_a_file_that_the_evidence_names_counts_as_around(tell):
    model = Skeptic()
    model.evidence = ["till.py:1 def count(items):"]

    async def story(here, pull):
        (known,) = await here.ledger.findings(here.ref)
        await here.ledger.keep(here.ref, [replace(known, named=("till.py",))])
        await push(here, pull, {"till.py": "def count(items):\n    return items or [0]\n"})

        assert len(over(pull)) == 1

    tell(story, model)


def test_a_lost_database_leaves_what_was_dealt_with_as_it_is(tell):
    model = Skeptic()

    async def story(here, pull):
        await push(here, pull, GUARDED)
        here.restart(forgetful=True)
        await push(here, pull, {"till.py": "x = 2\n"})

        assert len(over(pull)) == len(ours(pull)) == 1

    tell(story, model)


@pytest.mark.parametrize("state", [FindingState.DISMISSED, FindingState.OUTDATED])
def test_nobody_is_asked_about_what_is_over(tell, state):
    model = Skeptic()

    async def story(here, pull):
        (known,) = await here.ledger.findings(here.ref)
        await here.ledger.keep(here.ref, [replace(known, state=state, by="alice")])
        await push(here, pull, GUARDED)

        assert model.again == []

    tell(story, model)


def test_a_finding_of_a_model_is_not_called_gone_by_a_round_that_asked_no_model(tell):
    model = Skeptic()

    async def story(here, pull):
        (thread,) = ours(pull)
        was = thread.body
        model.available = False
        await push(here, pull, {"shop.py": f"def pay(items):\n{LONG}    return 1\n"})
        assert (thread.body, over(pull)) == (was, [])
        assert "1 still open" in pull.check_runs()[-1].title
        model.available = True
        await push(here, pull, {"till.py": "x = 3\n"})

        assert over(pull) == [thread]

    tell(story, model)
