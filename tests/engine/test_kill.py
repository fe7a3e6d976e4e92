"""Real processes, real SIGKILL, both databases: no job is lost and no step runs twice."""

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytest_plugins = ["tests.support.postgres"]

KILLED = [-signal.SIGKILL]
STEPS = ("route", "left", "right", "post", "check")
MOMENTS = ["submitted", *(f"{step} {when}" for step in STEPS for when in ("before", "inside", "after"))]


def from_(first, count):
    return list(range(first, first + count))


def at_random(lives, jobs, seed):
    """This many lives, each with its own jobs and a kill; then one that may finish."""
    chance = random.Random(seed)
    return [
        *(
            {"submit": from_(life * jobs + 1, jobs), "pace": 0.02, "killed_after": chance.uniform(0.1, 0.8)}
            for life in range(lives)
        ),
        {},
    ]


PLANS = {
    # Each life takes on a job and dies at its moment of it.
    # Every other life is of a newer version, whose review has one step more and another order.
    "every moment": [
        *(
            {"submit": [number], "dies": f"delivery/1/{number} {moment}", "newer": number % 2 == 0}
            for number, moment in enumerate(MOMENTS, 1)
        ),
        {},
    ],
    "at random": at_random(lives=3, jobs=10, seed=1),
    # A front door takes eight jobs in. A worker begins, another comes, the first dies in the middle, and nobody starts it again.
    "takeover": [
        {"submit": from_(1, 8), "work": False, "dies": "delivery/1/8 submitted"},
        [{"pace": 0.2, "dies": "any left inside"}, {"pace": 0.2, "workers": 1, "once": "began"}],
    ],
    # The front door alone, then the next version of the worker.
    "update": [{"submit": [1, 2, 3], "work": False, "dies": "delivery/1/3 submitted"}, {"newer": True}],
}


class World:
    """The lines that the lives wrote."""

    def __init__(self, file):
        self.lines = [json.loads(line) for line in file.read_text().splitlines()]

    def jobs(self, what):
        return Counter(line["job"] for line in self.lines if line["what"] == what)

    def codes(self):
        return [line["codes"] for line in self.lines if line["what"] == "ended"]

    def again(self):
        """Steps that began after their result was journaled."""
        kept, again = set(), []
        for line in self.lines:
            this = line.get("job"), line.get("step")
            if line["what"] == "kept":
                kept.add(this)
            if line["what"] == "began" and this in kept:
                again.append(this)
        return again

    def is_whole(self):
        """Every accepted job is posted once, and no failure is reported."""
        assert set(self.jobs("accepted")) <= set(self.jobs("posted"))
        assert set(self.jobs("posted").values()) == {1}
        assert not self.jobs("failed")
        assert not self.again()


def live(plans, new_url, folder):
    """Runs the plans side by side. Returns what each wrote."""
    folders = {name: folder / str(number) for number, name in enumerate(plans)}
    for each in folders.values():
        each.mkdir()
    work = [[new_url(folders[name]), str(folders[name]), plan] for name, plan in plans.items()]
    program = [sys.executable, str(Path(__file__).parents[1] / "support" / "worker_to_kill.py"), json.dumps(work)]
    done = subprocess.run(program, stderr=subprocess.PIPE, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return {name: World(each / "world") for name, each in folders.items()}


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def new_url(request):
    """Makes databases of each kind, for a folder."""
    if request.param == "sqlite":
        return lambda folder: f"sqlite:///{folder}/jobs.db"
    create = request.getfixturevalue("new_postgres")
    return lambda _: create()


@pytest.fixture(scope="module")
def worlds(new_url, tmp_path_factory):
    return live(PLANS, new_url, tmp_path_factory.mktemp("lives"))


def test_a_kill_at_any_moment_loses_nothing_and_repeats_nothing(worlds):
    world = worlds["every moment"]

    assert world.codes() == [KILLED] * len(MOMENTS) + [[0]]
    assert len(world.jobs("accepted")) == len(MOMENTS)
    world.is_whole()


def test_kills_at_random_moments_lose_nothing_and_repeat_nothing(worlds):
    world = worlds["at random"]

    assert world.codes() == [KILLED] * 3 + [[0]]
    assert len(world.jobs("accepted")) > 8
    world.is_whole()


def test_a_living_worker_takes_over_from_a_dead_one(worlds):
    world = worlds["takeover"]

    assert world.codes()[-1] == [-signal.SIGKILL, 0]
    assert len(world.jobs("posted")) == 8
    world.is_whole()
    dead, alive = (line["pid"] for line in world.lines if line["what"] == "started")
    assert {line["pid"] for line in world.lines if line["what"] == "began"} == {dead, alive}


def test_jobs_outlive_an_update(worlds):
    world = worlds["update"]

    assert len(world.jobs("accepted")) == 3
    assert len([line for line in world.lines if line.get("step") == "added by the next version"]) == 6
    world.is_whole()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_a_hundred_kills(new_url, seed, tmp_path):
    live({"at random": at_random(20, 15, seed)}, new_url, tmp_path)["at random"].is_whole()
