"""What a review asks of a model: calls, how much is sent beside the change itself, and whether every hunk arrives.

The model is the scripted server of the tests, without a network and without latency; it finds nothing, so what is
measured is the looking. The changes are cut out of Python's standard library. "sent" is all the text of all requests
of the passes that look for problems, as a multiple of the change's own characters, with and without our instructions.

    python benchmarks/model_overhead.py [--lines 20 200 500 700 1000 2000 5000 20000]
"""

import argparse
import asyncio
import difflib
import json
import re
import resource
import sys
import sysconfig
import time
from pathlib import Path

from pydantic import SecretStr

sys.path.insert(0, str(Path(__file__).parents[1]))

from bot.app import bundled
from bot.core.claims.material import PullFacts, characters
from bot.core.code.diff import Diff, parse_diff
from bot.core.code.plan import plan
from bot.core.policy import Policy
from bot.handlers.ask_model import ModelSession, PassInput
from bot.handlers.passes import Passes
from bot.model.client import Endpoint
from bot.model.prompts import Prompts
from bot.model.responses import ResponsesModel
from tests.support.conversation import Journal
from tests.support.model_server import ModelServer
from tests.support.model_turns import says
from tests.support.repository import pull_request
from tests.support.scripted_model import FreeAccount

BLOCK = 18  # lines added together; as many stay as they are
SIZES = [20, 200, 500, 700, 1_000, 2_000, 5_000, 20_000]
NOTHING = {"walkthrough": "Reads well.", "findings": []}
FENCED = re.compile(r'"kind": "diff", "source": ("(?:[^"\\]|\\.)*")\}\n(.*?)\n</untrusted-', re.DOTALL)


def change(lines: int) -> tuple[Diff, dict[str, str]]:
    """A change that adds about so many lines, in blocks, to files of the standard library; and the files' texts."""
    patches, heads, added = [], {}, 0
    for file in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        if added >= lines:
            break
        head = file.read_text(encoding="utf-8").splitlines(keepends=True)
        room = min(len(head) // 2, lines - added)
        new = [at for at in range(BLOCK, len(head)) if at // BLOCK % 2][:room]
        base = [line for at, line in enumerate(head) if at not in set(new)]
        name = f"lib/{file.name}"
        patch = "".join(difflib.unified_diff(base, head, f"a/{name}", f"b/{name}"))
        patches.append(f"diff --git a/{name} b/{name}\n{patch}")
        heads[name] = "".join(head)
        added += len(new)
    return parse_diff("".join(patches)), heads


def arrived(server: ModelServer) -> set[tuple[str, str]]:
    """Each (path, numbered line) of a diff that stood in some request."""
    texts = [part["text"] for one in server.asked for item in one.body["input"] for part in item["content"]]
    blocks = [(json.loads(path), rows.split("\n")) for text in texts for path, rows in FENCED.findall(text)]
    return {(path, json.loads(row)) for path, rows in blocks for row in rows}


def sent(server: ModelServer) -> tuple[int, int]:
    """Characters of all messages, and of those that are not our instructions."""
    messages = [
        (item["role"], part["text"]) for one in server.asked for item in one.body["input"] for part in item["content"]
    ]
    return sum(len(text) for _, text in messages), sum(len(text) for role, text in messages if role == "user")


def measure(lines: int) -> str:
    """One row of the table."""
    diff, heads = change(lines)
    policy = Policy()
    batches = plan(diff, policy).batches
    server = ModelServer(lambda _: says(NOTHING))
    model = ResponsesModel("gpt-6.2-sol", Endpoint(SecretStr("none"), "http://model.test/v1", server.transport()))
    words = Prompts({file.stem: file.read_text() for file in bundled("prompts").glob("*.md")})
    brief = PassInput("bench", PullFacts(pull_request(body=""), diff, heads), batches, policy, paths=frozenset(heads))
    started = time.process_time()
    opinion = asyncio.run(Passes(ModelSession(model, words, (), FreeAccount(), Journal()))(brief))
    spent = time.process_time() - started
    if server.rejected or any(row.reason for row in opinion.rows if row.state == "failed"):
        raise SystemExit(f"{lines} lines: {server.rejected or opinion.rows}")
    own = sum(map(characters, batches))
    whole, material = sent(server)
    seen = arrived(server)
    hunks = [
        all((file.path, f"{line.new}+{line.text}") in seen for line in hunk.lines if line.added)
        for file in diff
        for hunk in file.hunks
    ]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return (
        f"{diff.added:>7} {len(diff.files):>6} {len(server.asked):>6} {own:>10} {whole / own:>8.2f} {material / own:>12.2f}"
        f" {100 * sum(hunks) / len(hunks):>7.1f} % {spent:>7.2f} s {memory:>6} MiB"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, nargs="+", default=SIZES)
    print("  lines  files  calls  diff chars  sent, x  material, x   arrived       CPU       RSS")
    for lines in parser.parse_args().lines:
        print(measure(lines), flush=True)


if __name__ == "__main__":
    main()
