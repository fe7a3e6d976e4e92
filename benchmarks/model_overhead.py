"""What a review asks of a model: calls, input tokens and the cached share of them, and whether every hunk arrives.

The model is the scripted server of the tests, without a network and without latency, with the cache of the real one: a
prefix up to a breakpoint is cached once it was sent. The first pass claims a finding in each part and the second look
confirms it. The changes are cut out of Python's standard library, the team's rules are examples/standards.

"passes" are the conversations that look for problems: one for each pass, or one for each part of a large change; "calls" are
all requests. "input" and "cached" are tokens as the server counts them, at the first review of a repository and at the next one,
of another pull request. "sent" is the text of the passes' requests without the team's rules as a multiple of the change's own
characters; "material" is the same without our instructions. Ends with 1 if a small change takes over 3 calls more than passes.

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
from bot.core.claims.rules import TeamRules, team_rules
from bot.core.code.diff import Diff, parse_diff
from bot.core.code.plan import plan
from bot.core.findings.standard import Document, Standard
from bot.core.policy import Policy
from bot.handlers.ask_model import ModelSession, PassInput
from bot.handlers.passes import Passes, PassResults
from bot.model.client import Endpoint
from bot.model.prompts import Prompts
from bot.model.responses import ResponsesModel
from bot.standards.sections import sections
from tests.support.conversation import Journal, Lookup
from tests.support.model_server import ModelServer
from tests.support.model_turns import Turn, says
from tests.support.product_with_model import Request
from tests.support.repository import pull_request
from tests.support.scripted_model import FreeAccount, findings

BLOCK = 18  # lines added together; as many stay as they are
SIZES = [20, 200, 500, 700, 1_000, 2_000, 5_000, 20_000]
SMALL, MORE = 200, 3  # lines of a small change, calls that it may take beside the passes
RULE = re.compile(r'<untrusted-(\w+)>\n\{"kind": "(?:standard|contents)".*?</untrusted-\1>\n*', re.DOTALL)
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
    return {(path, row) for path, rows in blocks for row in rows}


def sent(server: ModelServer) -> tuple[int, int]:
    """Characters of the messages of the passes without the team's rules, and of those that are not our instructions."""
    messages = [
        (item["role"], RULE.sub("", part["text"]))
        for one in server.asked
        if Request(one.body).purpose == "find"
        for item in one.body["input"]
        for part in item["content"]
    ]
    return sum(len(text) for _, text in messages), sum(len(text) for role, text in messages if role == "user")


def answer(body: dict) -> Turn:
    """The first pass finds something in the first added line that it is shown; what is found is confirmed."""
    request = Request(body)
    if request.purpose == "verify":
        seen = [f"{one['path']}: {one['quoted_code']}" for one in request.claims]
        looks = [
            {"finding": n, "evidence": [line], "reason": "It does.", "verdict": "holds"}
            for n, line in enumerate(seen, 1)
        ]
        return says({"verdicts": looks})
    if "correctness" not in request.lens:
        return says(findings())
    text = "\n".join(part["text"] for item in body["input"] for part in item["content"])
    path, rows = next(iter(FENCED.findall(text)))
    line = max((row.partition("+")[2] for row in rows.split("\n") if re.match(r"\d+\+", row)), key=len)
    claim = {"path": json.loads(path).split(",")[0], "quoted_code": line, "near": None}
    return says(findings(claim | {"evidence": [f"{claim['path']}: {line}"], "title": f"It is wrong in {path}"}))


def rules(paths: list[str]) -> TeamRules:
    """The rules of examples/standards."""
    files = sorted(bundled("examples").glob("standards/*.md"))
    found = (sections(Document(f"docs/standards/{file.name}", "0" * 40), file.read_bytes()) for file in files)
    return team_rules([section for of_file in found for section in of_file], (), paths)


def review(server: ModelServer, job: str, diff: Diff, heads: dict[str, str]) -> PassResults:
    """The passes over a change."""
    policy, words = Policy(), Prompts({file.stem: file.read_text() for file in bundled("prompts").glob("*.md")})
    model = ResponsesModel("gpt-6.2-sol", Endpoint(SecretStr("none"), "http://model.test/v1", server.transport()))
    facts = PullFacts(pull_request(body=""), diff, heads)

    async def search(query: str, path: str) -> tuple[Standard, ...]:
        return tuple(section for section in team.sections if path and set(query.split()) & set(section.text.split()))[
            :6
        ]

    team = rules(list(heads))
    pass_input = PassInput(
        job, facts, plan(diff, policy).batches, policy, rules=team, paths=frozenset(heads), search=search
    )
    results = asyncio.run(Passes(ModelSession(model, words, (Lookup(),), FreeAccount(), Journal()))(pass_input))
    if server.rejected or any(row.reason for row in results.rows if row.state == "failed"):
        raise SystemExit(f"{diff.added} lines: {server.rejected or results.rows}")
    return results


def measure(lines: int) -> tuple[str, bool]:
    """One row of the table, and whether a small change takes too many calls."""
    diff, heads = change(lines)
    server = ModelServer(answer)
    started = time.process_time()
    first = review(server, "bench-1", diff, heads).usage
    spent = time.process_time() - started
    batches = plan(diff, Policy()).batches
    own = sum(map(characters, batches))
    whole, material = sent(server)
    seen = arrived(server)
    passes = sum(Request(one.body).purpose == "find" for one in server.asked)
    again = review(server, "bench-2", diff, heads).usage
    hunks = [
        all((file.path, f"{line.new}+{line.text}") in seen for line in hunk.lines if line.added)
        for file in diff
        for hunk in file.hunks
    ]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    row = (
        f"{diff.added:>7} {len(diff.files):>5} {passes:>6} {first.calls:>5} {first.input:>8}"
        f" {100 * first.cached / first.input:>6.0f} % {100 * again.cached / again.input:>6.0f} %"
        f" {whole / own:>7.2f} {material / own:>11.2f} {100 * sum(hunks) / len(hunks):>7.1f} % {spent:>6.2f} s {memory:>4} MiB"
    )
    return row, lines <= SMALL and first.calls > passes + MORE


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, nargs="+", default=SIZES)
    print("  lines files passes calls    input   cached      next sent, x material, x   arrived      CPU      RSS")
    over = False
    for lines in parser.parse_args().lines:
        row, too_many = measure(lines)
        over = over or too_many
        print(row, flush=True)
    sys.exit(1 if over else 0)


if __name__ == "__main__":
    main()
