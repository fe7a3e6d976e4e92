"""Each statement and each commit of a review's databases fails once, in each kind: nothing is lost and nothing is doubled."""

import re
import sqlite3
import threading
from contextlib import contextmanager, suppress

import pytest
import sqlalchemy as sa

from bot.engine import workers
from bot.engine.durable import Pace
from tests.support.invariants import World, shown, violations
from tests.support.product_with_model import ProductWithModel
from tests.support.small_review import BASE, CALLS, SETTINGS, code, script

KINDS = {
    "busy": "database is locked",
    "disk full": "database or disk is full",
    "connection lost": "unable to open database file",
}


class StatementFaults:
    """Fails the first execution of each distinct statement; with `commits`, each commit that follows a new statement."""

    def __init__(self, message, *, commits=False):
        self.message, self.commits = message, commits
        self.seen, self.fresh = set(), set()
        self.struck = 0
        self.lock = threading.Lock()

    def execute(self, cursor, statement, parameters, context):
        name = re.sub(r"\s+|[0-9?,]+", " ", statement)
        with self.lock:
            if name in self.seen or statement.startswith(("PRAGMA", "BEGIN")):
                return
            self.seen.add(name)
            if self.commits:
                self.fresh.add(threading.get_ident())
                return
            self.struck += 1
        raise sqlite3.OperationalError(self.message)

    def commit(self, connection):
        with self.lock:
            if threading.get_ident() not in self.fresh:
                return
            self.fresh.discard(threading.get_ident())
            self.struck += 1
        raise sa.exc.OperationalError("COMMIT", {}, sqlite3.OperationalError(self.message))


@contextmanager
def failing(faults):
    """Every database of this process has these faults meanwhile."""
    hooks = [("do_execute", faults.execute), ("commit", faults.commit)]
    for event, hook in hooks:
        sa.event.listen(sa.Engine, event, hook)
    try:
        yield faults
    finally:
        for event, hook in hooks:
            sa.event.remove(sa.Engine, event, hook)


@pytest.fixture(scope="module")
def product():
    quick = pytest.MonkeyPatch()
    quick.setattr(workers, "_LOST_AFTER", 1.0)
    quick.setattr(workers, "_EVERY", 0.3)
    product = ProductWithModel(script, pace=Pace(debounce=0, poll=0.02, patience=60, retry=0.01), **SETTINGS)
    yield product
    product.close()
    quick.undo()


def review(product, number):
    return product.play(product.repository(BASE).open_pull(f"Pull {number}", "", code(number)))


def settled(product):
    """Waits until all is done. What the front door could not store is sent again; our own looks at the queue fail too."""
    for _ in range(40):
        with suppress(sa.exc.OperationalError):
            product.settle()
            refused = [delivery for delivery in product.sandbox.deliveries if delivery.code == 503]
            if not refused:
                return
            for delivery in refused:
                delivery.code = None
    pytest.fail("the database does not answer")


@pytest.fixture(scope="module")
def whole(product):
    pull = review(product, 0)
    product.settle()
    return shown(pull)


QUICK = {("disk full", True)}
WAYS = [
    pytest.param(kind, commits, marks=[] if (kind, commits) in QUICK else pytest.mark.long)
    for kind in KINDS
    for commits in (False, True)
]


@pytest.mark.parametrize(("kind", "commits"), WAYS)
def test_a_fault_of_any_statement_or_commit_loses_and_doubles_nothing(product, whole, kind, commits):
    asked = len(product.model.asked)
    with failing(StatementFaults(KINDS[kind], commits=commits)) as faults:
        pulls = [review(product, number) for number in range(3)]
        settled(product)
    product.settle()

    assert faults.struck > 15
    assert [shown(pull) for pull in pulls] == [whole] * len(pulls)
    assert violations(World(product.sandbox, product.app.settings.database, expected=lambda _: whole)) == []
    assert CALLS * len(pulls) <= len(product.model.asked) - asked <= CALLS * len(pulls) + 3
