"""The input of the passes: by default a change of one file."""

from bot.core.claims.material import PullFacts
from bot.core.claims.rules import team_rules
from bot.core.code.diff import Diff, FileDiff, Hunk, Line, Status
from bot.core.code.plan import plan
from bot.core.findings.standard import Standard
from bot.core.policy import Policy
from bot.handlers.ask_model import PassInput
from tests.support.repository import pull_request

CART = "import os\n\n\ndef average(items):\n    return sum(items) / len(items)\n"
SECTION = Standard("docs/py.md", ("Python", "Errors"), "errors", 3, 9, "c" * 40, "Never divide without a check.")


def whole(path, text):
    """A new file as a diff."""
    rows = text.removesuffix("\n").split("\n")
    hunk = Hunk(tuple(Line(row, None, n) for n, row in enumerate(rows, 1)))
    return FileDiff(path, Status.ADDED, (hunk,), additions=len(rows))


def pass_input(files=None, policy=None, mentions=None, pull=None, sections=(SECTION,), conventions=(), **values):
    files = files or {"cart.py": CART}
    diff = Diff(tuple(whole(path, text) for path, text in files.items()))
    known = {"pull": pull or pull_request(), "diff": diff, "heads": files}
    facts = PullFacts(**known | {key: values.pop(key) for key in ("issues", "said", "problems") if key in values})
    policy = policy or Policy()
    return PassInput(
        "delivery-1",
        facts,
        plan(diff, policy).batches,
        policy,
        paths=frozenset(files),
        rules=team_rules(sections, conventions, list(files)),
        mentions=mentions,
        **values,
    )
