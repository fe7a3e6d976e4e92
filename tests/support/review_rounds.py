"""Rounds of review on the sandbox with the real reviewer in this process: what each push changes.

The critic is a model that finds a flaw wherever a changed line says so, and never says it twice in the same words.
"""

import json
import re
import tempfile
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path

import httpx

from bot.app import UseCases, build_reviewer
from bot.core.comments.marker import Signer
from bot.core.costs import Usage
from bot.handlers.known_findings import ABOUT_KNOWN_FINDINGS
from bot.hosts.github.auth import GitHubApp
from bot.hosts.github.client import GitHubClient
from bot.hosts.github.host import GitHubHost
from bot.hosts.github.publisher import GitHubPublisher
from bot.interfaces import Handlers, ModelAnswer
from bot.job import Job, Route, RouteDecision, Trigger, decide
from bot.model.offline import OfflineModel
from bot.sandbox.sandbox import Sandbox
from bot.settings import Settings
from bot.standards.local import FolderStandards
from bot.storage.database import Database
from bot.storage.ledger import Ledger
from bot.webhook import parse
from tests.support.inline_engine import InlineEngine
from tests.support.scripted_model import FreeAccount

SHOWN = re.compile(r"\s*(\d+)\+(.*)")
BLOCK = re.compile(r"<untrusted-(\w+)>\n(.*)\n((?s:.*?))\n</untrusted-\1>")
FLAW = re.compile(r"flaw(\w*)")
WORDS = ("{} is wrong here", "This line has a problem: {}", "Consider what happens to {}", "{}, and that is a mistake")


class Critic:
    """Finds `flaw_x()` on changed lines and words it differently each time; "flawed" is an error, everything else a warning."""

    name, available = "critic", True

    def __init__(self):
        self.read, self.claimed, self._said = [], 0, count()

    async def ask(self, prompt, tools, step, account):
        value = prompt.answer.model_validate(self._answer(prompt)).model_dump()
        return ModelAnswer(value, "", Usage(calls=1))

    def _answer(self, prompt):
        if prompt.name.startswith("verify"):
            claims = [block for block in _blocks(prompt) if block["kind"] == "claims"]
            return {"verdicts": list(map(_holds, json.loads("\n".join(claims[0]["lines"]))))}
        if not prompt.name.startswith("find/correctness"):
            return {"walkthrough": "", "findings": []}
        shown = [
            (block["source"], line) for block in _blocks(prompt) if block["kind"] == "diff" for line in block["lines"]
        ]
        self.read += [line for _, line in shown]
        found = [one for source, line in shown for one in self._found(source, line)]
        self.claimed += len(found)
        return {"walkthrough": "Read it.", "findings": found}

    def _found(self, source, line):
        match = SHOWN.match(line)
        if match and FLAW.search(match[2]):
            flaw = FLAW.search(match[2])[0]
            yield {
                "path": source.split()[0].rstrip(":,"),
                "side": "RIGHT",
                "quoted_code": match[2],
                "near": int(match[1]),
                "evidence": [f"line {match[1]}"],
                "category": "correctness",
                "claim": None,
                "standard_refs": [],
                "standard_quote": None,
                "why": WORDS[next(self._said) % len(WORDS)].format(flaw),
                "suggestion": None,
                "title": WORDS[next(self._said) % len(WORDS)].format(flaw),
                "severity": "error" if "flawed" in match[2] else "warning",
                "confidence": 0.9,
            }

    async def close(self):
        """No finding is open."""


def _holds(claim):
    shown = f"{claim['path']}: {claim['quoted_code']}"
    return {"finding": claim["finding"], "evidence": [shown], "reason": "it does", "verdict": "holds"}


def _blocks(prompt):
    for _, head, text in BLOCK.findall(prompt.material):
        yield {**json.loads(head), "lines": text.split("\n")}


class ReviewRounds:
    """A server beside one sandbox. `settle` handles the pending deliveries in order."""

    def __init__(self, folder, model=None, checks=()):
        self.folder, self.model, self.checks = folder, model or OfflineModel(), checks
        self.sandbox = Sandbox.create(folder / "github")
        self.ended, self.ref = [], None
        self.restart()

    def restart(self, *, forgetful=False):
        """Start the server again; with `forgetful` its database is lost."""
        if forgetful:
            self.ledger.database.close()
            (self.folder / "ledger.db").rename(self.folder / f"lost-{len(self.ended)}.db")
        world = self.sandbox.world
        client = GitHubClient(
            GitHubApp(str(world.app.id), world.app.private_key),
            f"{world.url}/api/v3",
            transport=httpx.ASGITransport(self.sandbox.asgi),
            spacing=0,
        )
        self.host, self.publisher = GitHubHost(client), GitHubPublisher(client)
        if not (self.folder / "ledger.db").exists():
            (self.folder / "ledger.db").write_bytes(_empty_ledger())
        self.ledger = Ledger(Database(f"sqlite:///{self.folder}/ledger.db"))
        standards = FolderStandards(self.folder / "standards.db")
        parts = UseCases(_settings(), self.host, self.publisher, standards, self.ledger, Signer(b"ours"))
        reviewer = build_reviewer(parts)
        model_review = replace(
            reviewer.model_review, model=self.model, passes=("correctness",), account=lambda *_: FreeAccount()
        )
        self.reviewer = replace(reviewer, model_review=model_review, checks=self.checks)
        self.known_findings = self.reviewer.known_findings

    def lose(self):
        """Drops the pending deliveries: GitHub sends a webhook once."""
        list(self._pending())

    async def settle(self):
        """Work on every delivery that is pending, the newest head only."""
        await self.work(self.jobs())

    def jobs(self):
        """What the pending deliveries ask for."""
        jobs = [job for delivery in self._pending() if isinstance(job := decide(delivery), Job)]
        newest = {job.pull.number: job for job in jobs if self._reviews(job)}
        return [job for job in jobs if job in newest.values() or job.trigger in ABOUT_KNOWN_FINDINGS]

    async def work(self, jobs):
        """Runs the jobs one after another."""
        for job in jobs:
            await self._work(job)

    def _pending(self):
        for delivery in self.sandbox.deliveries:
            if delivery.code is None:
                delivery.code = 202
                yield parse({name.lower(): value for name, value in delivery.headers.items()}, delivery.body)

    def _reviews(self, job):
        return job.trigger in {Trigger.OPENED, Trigger.PUSHED, Trigger.LABEL} or job.text.startswith(
            "/assistant review"
        )

    async def _work(self, job):
        self.ref = job.pull

        handlers = Handlers(_route, self.reviewer, self.known_findings, self._abandon, self._abandon)
        await InlineEngine(handlers).submit(job)

    async def _abandon(self, _job, reason, _step):
        self.ended.append(reason)
        return "abandoned"


@cache
def _settings():
    return Settings.read(_env_file=None, assistant_model_api="offline")


@cache
def _empty_ledger():
    """The database after its migrations, made once: it is the same for every story."""
    with tempfile.TemporaryDirectory() as folder:
        with Database(f"sqlite:///{folder}/ledger.db"):
            pass
        return (Path(folder) / "ledger.db").read_bytes()


async def _route(job, _step):
    return RouteDecision(Route.ANSWER if job.trigger in ABOUT_KNOWN_FINDINGS else Route.REVIEW, seen=job.seen)


def ours(pull):
    """The threads that the product opened."""
    return [said for said in pull.comments if said.author.kind == "Bot" and not said.in_reply_to]


def over(pull):
    """The threads whose title we struck through."""
    return [said for said in ours(pull) if said.body.startswith("~~")]


def replies(pull):
    """The product's replies in the threads that it opened."""
    return [said for said in pull.comments if said.author.kind == "Bot" and said.in_reply_to]
