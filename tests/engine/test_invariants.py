"""The invariant checker finds nothing in a world that is whole, and each hand-made violation by its number."""

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tests.support.invariants import INVARIANTS, World, shown, violations
from tests.support.product import RunningProduct

OTHER = "octo/other"
FAILED_RUN = (
    "CREATE TABLE failed AS SELECT * FROM runs LIMIT 1; UPDATE failed SET job = 'lost/1', page = 'p', \"end\" = 'failed';"
    "INSERT INTO runs SELECT * FROM failed; DROP TABLE failed"
)
SPENT = (
    "INSERT INTO spending (id, installation, repo_id, number, job, tokens, dollars, settled, at)"
    " VALUES ('x', 1, 1, 1, 'j', 99000000, 0, 1, '2026-01-01')"
)
STATUS = "UPDATE workflow_status SET status = '{}' WHERE name = 'ingest'"
TWIN = (
    "CREATE TABLE twin AS SELECT * FROM reviews LIMIT 1; UPDATE twin SET job = 'twin/1';"
    "INSERT INTO reviews SELECT * FROM twin; DROP TABLE twin"
)


@pytest.fixture(scope="module")
def product():
    product = RunningProduct()
    yield product
    product.close()


@pytest.fixture(scope="module")
def scene(product):
    """A reviewed pull request, beside a private repository of others. The engine has stopped: it would repair the rows."""
    product.play(product.sandbox.repository(OTHER, {"a.py": "A = 1\n"}, private=True))
    pull = product.open()
    product.settle()
    product.app.engine.stop(0)
    return SimpleNamespace(
        pull=pull, review=pull.reviews[0], comment=pull.comments[0], run=pull.check_runs()[0], repo=pull.repo
    )


@pytest.fixture
def look(product):
    """Looks at the world as it is now."""

    def look(**options):
        secrets = [product.sandbox.world.secret]
        return violations(World(product.sandbox, product.app.settings.database, secrets=secrets, **options))

    return look


@contextmanager
def changed(_, target, name, value):
    """An object of the sandbox with another value for a while."""
    before = getattr(target, name)
    setattr(target, name, value)
    yield
    setattr(target, name, before)


@contextmanager
def stored(product, change, undo):
    """A database with other rows for a while."""
    file = product.app.settings.database.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, timeout=10)) as connection:
        connection.executescript(change)
        yield
        connection.executescript(undo)


def again(said):
    """The same object under another id."""
    return replace(said, id=said.id + 100_000)


WAYS = {
    "I1 a delivery vanished": lambda product, _: stored(
        product,
        "UPDATE workflow_status SET workflow_uuid = 'x' || workflow_uuid WHERE name = 'ingest'",
        "UPDATE workflow_status SET workflow_uuid = substr(workflow_uuid, 2) WHERE name = 'ingest'",
    ),
    "I1 a run waits": lambda product, _: stored(product, STATUS.format("ENQUEUED"), STATUS.format("SUCCESS")),
    "I1 a head has no check run": lambda product, scene: changed(product, scene.repo, "check_runs", []),
    "I2 a review is doubled": lambda product, scene: changed(
        product, scene.pull.state, "reviews", [scene.review, again(scene.review)]
    ),
    "I2 a comment is doubled": lambda product, scene: changed(
        product, scene.pull.state, "review_comments", [*scene.pull.comments, again(scene.comment)]
    ),
    "I2 a head is reviewed twice": lambda product, _: stored(product, TWIN, "DELETE FROM reviews WHERE job = 'twin/1'"),
    "I2 a check run is doubled": lambda product, scene: changed(
        product, scene.repo, "check_runs", [scene.run, again(scene.run)]
    ),
    "I3 a review is of an older head": lambda product, scene: changed(product, scene.review, "head", "f" * 40),
    "I4 success without a model": lambda product, scene: changed(product, scene.run, "conclusion", "success"),
    "I5 a budget is exceeded": lambda product, _: stored(product, SPENT, "DELETE FROM spending WHERE id = 'x'"),
    "I5 a text is too long": lambda product, scene: changed(product, scene.review, "body", "x" * 70_000),
    "I6 a comment has a secret": lambda product, scene: changed(
        product, scene.comment, "body", f"The secret is {product.sandbox.world.secret}."
    ),
    "I7 another private repository is named": lambda product, scene: changed(
        product, scene.comment, "body", f"As in {OTHER}."
    ),
    "I8 a check run never ends": lambda product, scene: changed(product, scene.run, "status", "in_progress"),
    "I8 a failure is not shown": lambda product, _: stored(
        product, FAILED_RUN, "DELETE FROM runs WHERE job = 'lost/1'"
    ),
    "I9 a run is of a worker that is gone": lambda product, _: stored(
        product,
        f"{STATUS.format('PENDING')}; UPDATE workflow_status SET executor_id = 'gone/1' WHERE name = 'ingest'",
        STATUS.format("SUCCESS"),
    ),
    "I9 a run ended without a report": lambda product, _: stored(
        product, STATUS.format("MAX_RECOVERY_ATTEMPTS_EXCEEDED"), STATUS.format("SUCCESS")
    ),
}
"""Ways to break a world: each begins with the number of the invariant that it violates."""


def test_a_whole_world_has_no_violation(look, scene):
    assert look(expected=lambda _: shown(scene.pull), quiet=frozenset({OTHER})) == []
    assert (shown(scene.pull).reviews, len(shown(scene.pull).comments)) == (1, 2)
    assert {way[:2] for way in WAYS} == set(INVARIANTS)


@pytest.mark.parametrize("way", WAYS)
def test_each_violation_is_found_by_its_number(product, scene, look, way):
    with WAYS[way](product, scene):
        found = {violation.invariant for violation in look()}

    assert way[:2] in found
    assert look() == []


def test_another_end_than_without_a_fault_is_a_violation(look, scene):
    found = look(expected=lambda _: replace(shown(scene.pull), reviews=2))

    assert {violation.invariant for violation in found} == {"I9"}


def test_a_secret_in_the_log_is_a_violation(product, look, scene):
    assert scene.review
    [found] = look(logs=f"started with {product.sandbox.world.secret}")

    assert (found.invariant, found.where) == ("I6", "the log")
