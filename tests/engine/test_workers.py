"""Whose runs are taken over: those of a worker that is gone, and none when only the database was."""

from contextlib import contextmanager
from threading import Event
from types import SimpleNamespace

import pytest
from sqlalchemy.exc import OperationalError

from bot.engine import workers
from bot.engine.workers import FileLiveness, PostgresLiveness, Reaper


class Life:
    """Locks that a test sets."""

    grace = 15.0

    def __init__(self):
        self.free = set()

    def take(self):
        pass

    @contextmanager
    def dead(self, worker):
        yield worker in self.free


@pytest.fixture
def scene(monkeypatch):
    """A reaper that looks when a test says so, beside one other worker; time passes as the test says."""
    scene = SimpleNamespace(now=0.0, taken=[], life=Life(), down=False)

    def running():
        if scene.down:
            raise OperationalError("SELECT", {}, Exception("the database is restarting"))
        return {"me": [], "other": ["review/1"]}

    runs = SimpleNamespace(running=running, broken=lambda _: ())
    dbos = SimpleNamespace(_recover_pending_workflows=lambda names: scene.taken.extend(names) or names)
    monkeypatch.setattr(workers, "DBOS", dbos)
    monkeypatch.setattr(workers, "monotonic", lambda: scene.now)
    reaper = Reaper(SimpleNamespace(here=set()), runs, scene.life, "me", None)

    def look(at):
        """One look through the reaper's own loop, which survives trouble."""
        scene.now = at
        reaper._stop = Event()
        monkeypatch.setattr(reaper._stop, "wait", lambda _: reaper._stop.set())
        reaper._work()

    scene.look = look
    return scene


def test_a_worker_whose_lock_stays_free_is_dead_after_the_grace(scene):
    scene.life.free = {"other"}
    for at in (0, 5, 14):
        scene.look(at)
    assert scene.taken == []
    scene.look(15)
    assert scene.taken == ["other"]


def test_a_worker_that_takes_its_lock_again_lives(scene):
    scene.life.free = {"other"}
    scene.look(0)
    scene.life.free = set()
    scene.look(10)
    scene.life.free = {"other"}
    for at in (14, 20, 28):
        scene.look(at)
    assert scene.taken == []


def test_a_restart_of_the_database_is_no_death(scene):
    """Its locks are gone with it. The time begins anew when it answers, and the worker takes its lock in that time."""
    scene.life.free = {"other"}
    scene.look(0)
    scene.down = True
    for at in (10, 60):
        scene.look(at)
    scene.down = False
    scene.look(62)
    scene.life.free = set()
    scene.look(90)
    assert scene.taken == []


def test_a_lock_on_a_file_ends_with_its_process_only():
    assert FileLiveness.grace == 0
    assert PostgresLiveness.grace >= 2 * workers._EVERY + 5
