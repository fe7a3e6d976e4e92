"""Whose runs are taken over: those of a worker that is gone, and none when only the database was."""

import asyncio
import os
import threading
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest
from sqlalchemy.exc import OperationalError

from bot.engine import workers
from bot.engine.leases import WorkerLease
from bot.engine.workers import Heartbeat, ProcessLocks, Reaper, hold_jobs_as
from tests.support.engine_stage import create_tables

LIMIT = 30.0


@pytest.fixture
def lease(tmp_path):
    """Makes leases on one database."""
    url, made = f"sqlite:///{tmp_path}/jobs.db", []
    create_tables(url)

    def make(name=""):
        lease = WorkerLease(url)
        lease.name = name or lease.name
        made.append(lease)
        return lease

    yield make
    for each in made:
        each.engine.dispose()


@pytest.fixture
def scene(monkeypatch, lease, tmp_path):
    """A reaper that looks when a test says so, beside another worker with a run; time passes as the test says."""
    scene = SimpleNamespace(now=0.0, taken=[], down=False, me=lease("me"), other=lease("other"))
    scene.me.take(lambda _: None)
    scene.other.take(lambda _: None)
    scene.locks, scene.theirs = ProcessLocks(tmp_path / "jobs.db"), ProcessLocks(tmp_path / "jobs.db")
    scene.theirs.take("other")

    def running():
        if scene.down:
            raise OperationalError("SELECT", {}, Exception("the database is restarting"))
        return {"me/1": [], "other/1": ["review/1~2"]} if not scene.taken else {}

    scene.runs = SimpleNamespace(running=running, broken=lambda _: (), unstored=lambda _: (), progress=lambda _: 4)
    dbos = SimpleNamespace(_recover_pending_workflows=lambda names: scene.taken.extend(names) or names)
    monkeypatch.setattr(workers, "DBOS", dbos)
    monkeypatch.setattr(workers, "monotonic", lambda: scene.now)
    reaper = Reaper(SimpleNamespace(here={}), scene.runs, scene.me, scene.locks, None, LIMIT)
    reaper._tidied = float("inf")  # there is nothing to tidy
    scene.reaper = reaper

    def look(*times):
        """Looks through the reaper's own loop, which survives trouble."""
        for scene.now in times:
            reaper._stop = Event()
            monkeypatch.setattr(reaper._stop, "wait", lambda _: reaper._stop.set())
            reaper._work()

    scene.look = look
    yield scene
    scene.theirs.release()


def crashes(scene):
    with scene.me.engine.connect() as connection:
        return connection.exec_driver_sql("SELECT run, holder, steps FROM assistant_crashes").all()


def test_a_worker_that_stays_silent_is_superseded_and_its_end_is_charged_to_its_runs(scene):
    scene.look(*range(0, 29, 2))
    assert scene.taken == []
    scene.look(30)
    assert scene.taken == ["other/1"]
    assert not scene.other.is_held()
    assert crashes(scene) == [("review/1", "other/1", 4)]
    assert scene.reaper.counts == {"workers": 1, "runs": 1}


def test_a_worker_that_renews_its_lease_lives(scene):
    for at in range(0, 120, 10):
        scene.look(*range(at, at + 10, 2))
        assert scene.other.renew()
    assert scene.taken == []


def test_an_outage_of_the_database_is_no_death(scene):
    """The time begins anew when it answers, and the worker renews its lease in that time."""
    scene.look(*range(0, 28, 2))
    scene.down = True
    scene.look(28, 60, 90)
    scene.down = False
    scene.look(*range(92, 120, 2))
    assert scene.taken == []


def test_a_pause_of_this_process_makes_nobody_silent(scene):
    """A laptop was closed for a while: both workers wake up."""
    scene.look(0, 2, 2000, 2002)
    assert scene.taken == []


def test_a_worker_that_renews_at_the_last_moment_keeps_its_lease(scene):
    """Between the look and the verdict the lease was renewed: the verdict speaks of an older beat."""
    stale = scene.me.workers()["other/1"]
    assert scene.other.renew()
    assert not scene.me.supersede(stale)
    assert scene.other.is_held()


def test_a_stopped_worker_leaves_its_runs_at_once_and_nothing_is_charged(scene):
    scene.other.release()
    scene.look(0)
    assert scene.taken == ["other/1"]
    assert crashes(scene) == []


def test_the_lock_of_a_process_tells_at_once_that_it_ended(scene, tmp_path):
    scene.look(0, 2)
    assert scene.taken == []
    held, scene.theirs._held = scene.theirs._held, None
    os.close(held[1])  # the kernel does this when a process is killed; the file stays
    scene.look(4)
    assert scene.taken == ["other/1"]
    assert crashes(scene) == [("review/1", "other/1", 4)]
    assert list((tmp_path / "jobs.db.workers").iterdir()) == []


def test_a_worker_without_a_row_is_taken_over_after_its_silence(scene):
    """It is of a version that had no rows."""
    scene.other.release()
    with scene.me.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM assistant_workers WHERE name='other'")
    scene.look(*range(0, 29, 2))
    assert scene.taken == []
    scene.look(30)
    assert scene.taken == ["other/1"]


def test_a_woken_worker_stops_its_runs_and_starts_anew_without_their_crash(scene):
    """Its run ends at its next await; then it holds a new epoch, under which DBOS claims jobs."""
    ended, awake = [], threading.Event()

    async def run():
        awake.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    task = loop.call_soon_threadsafe(lambda: here.setdefault("review/1", loop.create_task(run())))
    here = {}
    assert task is not None
    assert awake.wait(5)

    def interrupt():
        names = list(here)
        for each in here.values():
            loop.call_soon_threadsafe(each.cancel)
        return names

    flows = SimpleNamespace(interrupt=interrupt, call_soon=lambda answer: answer() or True)
    heart = Heartbeat(scene.other, flows, 5.0)
    scene.look(*range(0, 31, 2))
    heart._beat()
    assert not scene.other.held
    assert scene.other.holder == "other/1"
    while not ended:
        pass
    here.clear()
    heart._beat()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    assert (scene.other.holder, scene.other.is_held()) == ("other/2", True)
    assert workers.GlobalParams.executor_id == "other/2"
    assert crashes(scene) == []
    hold_jobs_as("local")


def test_a_hanging_event_loop_stops_the_renewals(lease):
    other = lease("other")
    other.take(lambda _: None)
    answers = []
    heart = Heartbeat(other, SimpleNamespace(call_soon=lambda answer: answers.append(answer) or True), 5.0)
    beats = []
    for _ in range(5):
        heart._beat()
        beats.append(other.workers()["other/1"].beat)
    assert beats == [1, 2, 2, 2, 2]
    answers.pop()()
    heart._beat()
    assert other.workers()["other/1"].beat == 3


def test_a_lock_that_cannot_be_taken_is_no_proof(tmp_path, monkeypatch):
    (tmp_path / f"review-assistant-{os.getuid()}").write_text("a file where the folder should be")
    monkeypatch.setattr(workers.tempfile, "gettempdir", lambda: tmp_path)
    locks = ProcessLocks(None)
    locks.take("me")
    assert not locks.is_free("other")
    locks.release()


def test_a_folder_of_another_user_proves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(workers.tempfile, "gettempdir", lambda: tmp_path)
    mine = ProcessLocks(None)
    mine.take("ended")
    os.close(mine._held[1])
    assert ProcessLocks(None).is_free("ended")
    mine._folder.rename(tmp_path / "review-assistant-4000000")
    monkeypatch.setattr(workers.os, "getuid", lambda: 4_000_000)
    assert not ProcessLocks(None).is_free("ended")
    ProcessLocks(None).take("me")
    assert not (tmp_path / "review-assistant-4000000" / "me").exists()


def test_locks_for_postgres_lie_in_the_users_own_folder():
    locks = ProcessLocks(None)
    locks.take("me")
    folder = Path(locks._folder)
    assert folder.stat().st_mode & 0o077 == 0
    assert not ProcessLocks(None).is_free("me")
    locks.release()
    assert not (folder / "me").exists()
