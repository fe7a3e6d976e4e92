"""A review with a scripted model on a host in memory, and everything around it that outlives a killed process."""

from dataclasses import replace

from bot.app import UseCases, build_model, build_reviewer
from bot.core.code.pull_request import PullRef
from bot.core.comments.marker import Signer
from bot.hosts.local import LocalHost
from bot.job import Job, Trigger
from bot.settings import Settings
from bot.standards.local import FolderStandards
from bot.storage.database import Database
from bot.storage.ledger import Ledger
from tests.support.model_server import ModelServer
from tests.support.model_turns import calls, says
from tests.support.product_with_model import Request
from tests.support.scripted_model import findings

CODE = "def pay(order):\n    return order.total / order.count\n"
PATCH = "--- /dev/null\n+++ b/app.py\n@@ -0,0 +1,2 @@\n" + "".join(f"+{line}\n" for line in CODE.splitlines())
FOUND = findings(
    {"path": "app.py", "quoted_code": "    return order.total / order.count", "near": 2, "title": "It divides by zero"}
)
LOOK = (
    ("read_file", {"path": "app.py", "side": "head", "start": None, "end": None}),
    ("list_files", {"pattern": "*", "side": "head"}),
)
FEW = {"assistant_checks": "hygiene", "assistant_passes": "correctness,security"}


def script(body):
    """Each pass calls two tools, then answers; the verification confirms the one finding."""
    request = Request(body)
    if not request.told and request.purpose == "find":
        return calls(*LOOK)
    if request.purpose == "find":
        return says(FOUND if request.lens == "correctness" else findings())
    verdict = {
        "finding": 1,
        "evidence": ["app.py:2: return order.total / order.count"],
        "reason": "so it is",
        "verdict": "holds",
    }
    return says({"verdicts": [verdict]})


class Host(LocalHost):
    """A host that, like GitHub, posts only one review for a key."""

    reviews = ()

    async def review(self, pull, post):
        keys = [review.key for review in self.reviews]
        self.reviews = (*self.reviews, *([] if post.key in keys else [post]))
        return await super().review(pull, post)


class World:
    """What outlives a process: the pull request, the ledger, and the model server with the requests it received."""

    def __init__(self, folder):
        self.server = ModelServer(script)
        self.settings = Settings.read(
            _env_file=None, openai_api_key="sk-secret", openai_base_url="http://model.test/v1", **FEW
        )
        self.ledger = Ledger(Database(f"sqlite:///{folder}/ledger.db"))
        self.ledger.database.migrate()
        self.folder = folder
        self.host = None

    async def live(self, step, job):
        """Reviews as one process does, with new objects for everything that is not on the disk."""
        if self.host is None or self.host.pull.ref != job.pull:
            local = await Host.from_patch(PATCH, self.folder)
            self.host = Host(replace(local.pull, ref=job.pull), local.changes, None, local.contents)
        model = build_model(self.settings, b"pepper")
        model.endpoint.transport = self.server.transport()
        standards = FolderStandards(":memory:")
        parts = UseCases(self.settings, self.host, self.host, standards, self.ledger, Signer(b"key"), model)
        try:
            return await build_reviewer(parts)(job, step)
        finally:
            await model.close()


def numbered_job(number):
    """A job for a pull request of its own."""
    return Job(f"job-{number}", PullRef("octo/shop", number, number, 1), Trigger.OPENED)
