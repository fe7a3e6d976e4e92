"""Random histories of a pull request, against a model of what must stand on it: nothing twice, nothing lost.

A flaw is a line that the critic will find, in new words each time. After each review there is exactly one thread for
every flaw that a review ever saw, and it is open exactly if the flaw is there and nobody dismissed it.
"""

import asyncio
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.support.review_rounds import Critic, ReviewRounds, ours

MOST = 8  # flaws in one history, within the attention budget of a review
NAMED = re.compile(r"flaw_(\d+)")
PATHS = ("shop.py", "till.py", "lib/cart.py")


class History(RuleBasedStateMachine):
    """A pull request, and what must be true of it."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.files = {path: [] for path in PATHS}  # the flaws of each file, in order
        self.before = dict.fromkeys(PATHS, 0)  # lines of comment above them
        self.edits = {}
        self.seen, self.judged = set(), {}
        self.pushed, self.gone, self.renamed, self.base, self.threads = set(), [], 0, 0, 0

    def teardown(self):
        self.loop.close()
        self.folder.cleanup()

    def run(self, awaitable):
        return self.loop.run_until_complete(awaitable)

    @initialize()
    def opened(self):
        self.run(self._open())
        self._reviewed()

    async def _open(self):
        self.critic = Critic()
        self.here = ReviewRounds(Path(self.folder.name), self.critic)
        base = {path: self._text(path) for path in PATHS[:2]} | {"base.py": "x = 0\n"}
        self.repo = await self.here.sandbox.repository("octo/shop", base, private=True)
        self.repo.user("alice", "write")
        self.files["shop.py"], self.files["lib/cart.py"] = [0], [1]
        changed = {path: self._text(path) for path in PATHS}
        self.pushed = set(PATHS)
        self.pull = await self.repo.open_pull("Pay", "", changed)
        await self.here.settle()

    def _text(self, path):
        lines = [f"# note {n} on {path}" for n in range(self.before[path])]
        body = [
            f"    ledger_{n}.entry_{n}('flaw_{n}', amount_{n}{', again' * self.edits.get(n, 0)})"
            for n in self.files[path]
        ]
        return "\n".join([*lines, "def run(items):", "    first = items[0]", *body, "    return first", ""])

    def _push(self, settled, **options):
        changed = {path: self._text(path) for path in self.files} | dict.fromkeys(self.pushed - set(self.files))
        self.pushed = set(self.files)
        self.run(self.pull.push(changed, **options))
        if settled:
            self._settle()

    def _settle(self):
        self.run(self.here.settle())
        self._reviewed()

    def _reviewed(self):
        """What must be true after a review of the head."""
        present = {flaw for flaws in self.files.values() for flaw in flaws}
        for flaw in [flaw for flaw, how in self.judged.items() if how == "resolved" and flaw not in present]:
            del self.judged[flaw]  # its thread was resolved, and then its code changed: fixed
        self.seen |= present
        threads = [(int(NAMED.search(said.body)[1]), said) for said in ours(self.pull)]
        assert sorted(flaw for flaw, _ in threads) == sorted(self.seen)
        standing = {flaw for flaw, said in threads if not said.body.startswith("~~")}
        assert standing == present - self.judged.keys()
        assert {said.original_commit for _, said in threads[self.threads :]} <= {self.pull.head}
        self.threads = len(threads)
        assert [run.status for run in self.pull.check_runs()] == ["completed"] * len(self.pull.check_runs())
        assert sum(map(_accounted, self.repo.state.check_runs)) == self.critic.claimed

    @property
    def present(self):
        return [(path, flaw) for path in sorted(self.files) for flaw in self.files[path]]

    @property
    def open(self):
        return [flaw for _, flaw in self.present if flaw in self.seen and flaw not in self.judged]

    def _thread(self, flaw):
        return next(said for said in ours(self.pull) if f"flaw_{flaw}" in said.body)

    @rule(path=st.integers(0, 2), at=st.integers(0, 3), settled=st.booleans())
    def adds_a_flaw(self, path, at, settled):
        number = 1 + max([*self.seen, *self.gone, *(flaw for _, flaw in self.present)])
        if number < MOST:
            self.files[sorted(self.files)[path]].insert(at, number)
            self._push(settled)

    @precondition(lambda self: self.present)
    @rule(which=st.integers(0, MOST), settled=st.booleans())
    def fixes_a_flaw(self, which, settled):
        path, flaw = self.present[which % len(self.present)]
        self.files[path].remove(flaw)
        self.gone.append(flaw)
        self._push(settled)

    @precondition(lambda self: self.gone)
    @rule(path=st.integers(0, 2), settled=st.booleans())
    def brings_a_flaw_back(self, path, settled):
        self.files[sorted(self.files)[path]].append(self.gone.pop())
        self._push(settled)

    @precondition(lambda self: self.present)
    @rule(which=st.integers(0, MOST), settled=st.booleans())
    def edits_a_flaw(self, which, settled):
        _, flaw = self.present[which % len(self.present)]
        self.edits[flaw] = self.edits.get(flaw, 0) ^ 1
        self._push(settled)

    @rule(path=st.integers(0, 2), settled=st.booleans())
    def shifts_lines(self, path, settled):
        self.before[sorted(self.files)[path]] += 1
        self._push(settled)

    @precondition(lambda self: self.present)
    @rule(which=st.integers(0, MOST), to=st.integers(0, 2), settled=st.booleans())
    def moves_a_flaw_to_another_file(self, which, to, settled):
        path, flaw = self.present[which % len(self.present)]
        self.files[path].remove(flaw)
        self.files[sorted(self.files)[to]].append(flaw)
        self._push(settled)

    @rule(path=st.integers(0, 2), settled=st.booleans())
    def renames_a_file_with_edits(self, path, settled):
        old = sorted(self.files)[path]
        self.renamed += 1
        new = f"lib/renamed_{self.renamed}.py"
        self.files[new], self.before[new] = self.files.pop(old), self.before.pop(old) + 1
        self._push(settled)

    @rule(how=st.sampled_from(["rebase", "merge_base_in", "squash"]))
    def rewrites_history(self, how):
        if how == "squash":
            self._push(settled=True, force=True)
        else:
            self.base += 1
            self.run(self.repo.push({"base.py": f"x = {self.base}\n"}))
            self.run(getattr(self.pull, how)())
            self._settle()

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, MOST), how=st.sampled_from(["dismissed", "resolved", "resolved, unheard"]))
    def judges_a_finding(self, which, how):
        self._settle()
        if self.open:
            flaw = self.open[which % len(self.open)]
            self.judged[flaw] = how.partition(",")[0]
            if how == "resolved":
                self.pull.resolve(self._thread(flaw), "alice")
                self._settle()
            elif how == "resolved, unheard":
                self.pull.resolve(self._thread(flaw), "alice")
                self.here.lose()
                self.asks_for_everything_again()
            else:
                self.run(self.here.known_findings.dismiss(self.here.ref, self._thread(flaw).id, "alice", "No"))

    @rule()
    def asks_for_everything_again(self):
        self.pull.comment("alice", "/assistant review full")
        self._settle()

    @rule(forgetful=st.booleans())
    def restarts_the_server(self, forgetful):
        self._settle()
        self.here.restart(forgetful=forgetful)

    @rule()
    def closes_and_reopens(self):
        self.run(self.pull.close())
        self.run(self.here.settle())
        self.pull.reopen()
        self._settle()


def _accounted(run):
    """The drafts that a check run accounts for: posted, listed, merged or dropped."""
    sections = run.text.split("### ")
    return sum(
        section.count("\n- ") for section in sections if section.startswith(("Findings", "Considered and not posted"))
    )


def histories(number, steps):
    """Run that many."""
    chosen = settings(
        max_examples=number,
        stateful_step_count=steps,
        database=None,
        derandomize=number < 100,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(History, settings=chosen)


def test_twenty_histories_leave_nothing_twice_and_nothing_lost():
    histories(20, 5)


@pytest.mark.long
def test_five_hundred_histories_leave_nothing_twice_and_nothing_lost():
    histories(500, 14)
