"""Findings on real code, through the files API, against the rules by which the sandbox takes a review: none is refused."""

import asyncio
import sys
import sysconfig
from collections import Counter
from pathlib import Path

import pytest

from bot.core.code.diff import Side
from bot.core.code.pull_request import PullRef
from bot.core.comments.comment import LinkBase, inline
from bot.core.findings.anchor import Place
from bot.core.findings.finding import Category, Draft, Severity
from bot.core.findings.lifecycle import View
from bot.core.findings.triage import TriageContext, triage
from bot.core.policy import Policy
from bot.sandbox.world import history
from bot.sandbox.world.rules import Rejected, place
from tests.support.review_rounds import ReviewRounds

QUOTES = (
    lambda lines: lines[0],
    "\n".join,
    lambda lines: f"+{lines[0].strip()}",
    lambda lines: f"{lines[0]}\n...\n{lines[-1]}",
    lambda _: "this_line_was(made_up)",
)


def modules(files):
    """Real code before and after a change: modules of the standard library, each without some lines of its own."""
    for module in sorted(Path(sysconfig.get_path("stdlib")).glob("[a-z]*.py"))[:files]:
        lines = module.read_text(errors="replace").splitlines(keepends=True)
        before = "".join(line for n, line in enumerate(lines, 1) if n % 37)
        yield module.name, before, "".join(line for n, line in enumerate(lines, 1) if n % 53 and n % 29)


def drafts(diff):
    """A claim about some lines of every hunk, quoted in ways that models have, and one about a file nobody touched."""
    hunks = [(file, hunk) for file in diff for hunk in file.hunks]
    for n, (file, hunk) in enumerate(hunks):
        side = Side.RIGHT if hunk.on(Side.RIGHT) else Side.LEFT
        lines = [line for line in hunk.on(side) if line.text.strip()][:4]
        if lines:
            quoted = QUOTES[n % len(QUOTES)]([line.text for line in lines])
            yield draft(file.path, quoted, side, lines[0].number(side))
    yield draft("untouched.py", "x = 1", Side.RIGHT, 1)


def draft(path, quoted, side, near):
    claim = {"title": "Look here", "why": "Because.", "severity": Severity.NOTE, "category": Category.CORRECTNESS}
    return Draft(path, quoted, source="test", rule=f"R{near}", side=side, near=near, **claim)


async def tried(folder, files):
    """How many hunks there were, where their findings went, and what was refused."""
    here, texts = ReviewRounds(folder), list(modules(files))
    repo = await here.sandbox.repository("octo/lib", {name: before for name, before, _ in texts})
    pull = await repo.open_pull("Change", "", {name: after for name, _, after in texts})
    installation = here.sandbox.world.installation_of(repo.state)
    diff = await here.host.diff(await here.host.pull_request(PullRef("octo/lib", 1, repo.state.id, installation.id)))
    claimed = list(drafts(diff))
    review = triage(claimed, TriageContext(View(pull.head, diff), Policy()))
    found = (*review.findings, *review.listed)
    compared, refused = await history.changed(repo.state, pull.state), []
    for finding in found:
        if finding.anchor.place is Place.INLINE:
            comment = inline(finding, LinkBase(), "")
            item = {"path": comment.path, "line": comment.line, "side": comment.side}
            ends = {"start_line": comment.start_line, "start_side": comment.start_side} if comment.start_line else {}
            try:
                place(item | ends, compared)
            except Rejected as rejected:
                refused.append((finding.anchor, str(rejected)))
        elif finding.anchor.place is Place.FILE and compared.file(finding.anchor.path) is None:
            refused.append((finding.anchor, "no such file"))
    assert len(found) + len(review.dropped) == len(claimed)
    return sum(len(file.hunks) for file in diff), Counter(one.anchor.place for one in found), refused


@pytest.mark.parametrize(("files", "least"), [(12, 300), pytest.param(200, 2_000, marks=pytest.mark.long)])
def test_every_finding_on_real_code_hangs_where_the_sandbox_takes_it(files, least, tmp_path, capsys):
    hunks, places, refused = asyncio.run(tried(tmp_path, files))

    with capsys.disabled():
        counts = ", ".join(f"{places[where]} {where}" for where in Place)
        sys.stdout.write(f"\n{hunks} hunks of the standard library: {counts}, {len(refused)} refused\n")
    assert hunks >= least
    assert min(places[where] for where in Place) >= 1
    assert refused == []
