"""Generated sequences of events on our real server: at rest, every check run of ours has ended and says what is true."""

import itertools
import random

import pytest

from bot.core.comments.check_run import NOT_REVIEWED
from bot.engine.durable import Pace
from bot.sandbox.world import faults
from tests.support.product import FLAWED, RunningProduct

NUMBERS = itertools.count()
COMMANDS = ("review", "review full", "review security", "review app.py", "review nope/**", "stop", "pause", "resume")
EVENTS = (
    "push",
    "close",
    "reopen",
    "draft",
    "ready",
    "opened again",
    "pushed again",
    "retarget",
    "label",
    "re-run",
    "re-run all",
    "merge",
)
NO_CHANGE = ("opened again", "pushed again", "close", "reopen", "draft", "ready")
TROUBLE = (
    faults.server_error("POST", "*/check-runs", times=2),
    faults.lost_answer("POST", "*/check-runs"),
    faults.server_error("PATCH", "*/check-runs/*", times=2),
    faults.lost_answer("PATCH", "*/check-runs/*"),
    faults.server_error("GET", "*/pulls/1", times=3),
    faults.server_error("POST", "*/reactions", times=9),
    faults.server_error("DELETE", "*/labels/*", times=9),
    faults.server_error("GET", "*/pulls/*/files", times=9),
    faults.lost_answer("POST", "*/pulls/*/reviews"),
)


@pytest.fixture(scope="module")
def product():
    product = RunningProduct(Pace(debounce=0, poll=0.02, patience=60, retry=0.005, lasting=8))
    yield product
    product.close()


async def happens(event, pull):
    """One event; one that cannot happen now does nothing."""
    is_open, is_draft = pull.state.state == "open", pull.state.draft
    if event in COMMANDS:
        pull.comment("alice", f"/assistant {event}")
    elif event in ("push", "close", "merge", "retarget") and is_open:
        await changes(event, pull)
    elif event == "reopen" and not is_open and not pull.state.merged:
        pull.reopen()
    elif event in ("draft", "ready") and is_open and is_draft == (event == "ready"):
        pull.ready() if is_draft else pull.convert_to_draft()
    else:
        is_told(event, pull)


async def changes(event, pull):
    match event:
        case "push":
            await pull.push({"app.py": f"# {next(NUMBERS)}\n{FLAWED}"})
        case "retarget":
            await pull.retarget("other" if pull.state.base_ref == "main" else "main")
        case _:
            await pull.close(merged=event == "merge")


def is_told(event, pull):
    match event:
        case "opened again" | "pushed again":
            pull._announce({"opened again": "opened", "pushed again": "synchronize"}[event], "alice")
        case "label":
            pull.label("alice", "assistant:review")
        case "re-run" if pull.check_runs():
            pull.rerequest(pull.check_runs()[-1], "alice")
        case "re-run all":
            pull.rerequest_all("alice")


def at_rest(pull):
    """What is true whenever there is nothing left to do."""
    runs = pull.repo.check_runs
    assert [(run.status, run.title) for run in runs if run.status != "completed"] == []
    assert {run.conclusion for run in runs} <= {"neutral"}  # no model: never green
    assert len({run.external_id for run in runs}) == len(runs)


def play(product, steps, trouble=None):
    repo = product.repository()
    repo.state.branches.setdefault("other", repo.state.branches["main"])
    product.sandbox.asgi.planned.clear()
    pull = product.open(repo=repo)
    if trouble is not None:
        fault = TROUBLE[trouble]
        product.sandbox.plan(faults.Fault(fault.method, fault.path, fault.status, times=fault.times, after=fault.after))
    for event, settled in steps:
        product.play(happens(event, pull))
        if settled:
            product.settle()
            at_rest(pull)
        else:
            product.play(product.here.deliver())
    product.settle()
    at_rest(pull)
    return pull


def steps_of(seed, events=EVENTS + COMMANDS):
    """Up to six events, and after which of them the server comes to rest."""
    chance = random.Random(seed)
    return [(chance.choice(events), chance.random() < 0.5) for _ in range(chance.randint(1, 6))]


def seeds(first, quick, most):
    """The seeds from `first` on: `quick` of them in every run of the suite, up to `most` in the long runs."""
    return [pytest.param(first + n, marks=[pytest.mark.long] if n >= quick else []) for n in range(most)]


@pytest.mark.parametrize("seed", seeds(0, 5, 25))
def test_every_check_run_ends_after_any_events(product, seed):
    play(product, steps_of(seed))


@pytest.mark.parametrize("seed", seeds(99, 3, 4 * len(TROUBLE)))
def test_every_check_run_ends_after_any_events_with_trouble(product, seed):
    play(product, steps_of(seed), trouble=seed % len(TROUBLE))


@pytest.mark.parametrize("seed", seeds(200, 3, 12))
def test_events_that_change_nothing_leave_the_review_of_the_head_in_its_check_run(product, seed):
    pull = play(product, [("opened again", True), *((event, True) for event, _ in steps_of(seed, NO_CHANGE))])

    assert len(pull.reviews) == 1
    assert [run.title for run in pull.check_runs() if run.title != NOT_REVIEWED] == ["2 new findings (checks only)"]
    assert pull.check_runs()[-1].title != NOT_REVIEWED
