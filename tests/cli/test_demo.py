"""What a newcomer sees: the demo's own words, and a delivery sent by hand."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bot.cli.demo import stage
from bot.engine.durable import Pace

ROOT = Path(__file__).parents[2]
FAST = Pace(debounce=0, poll=0.05)
FLAWED = "def pay(order):\n    try:\n        charge(order)\n    except:\n        pass\n    return order\n"


async def output(*command, stdin=b""):
    """What a program prints, while our servers go on in this process."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    out, error = await process.communicate(stdin)
    assert process.returncode == 0, error.decode()
    return out.decode()


@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("openssl"), reason="needs curl and openssl")
def test_a_delivery_signed_by_openssl_and_sent_by_curl_is_one_review(tmp_path):
    async def story():
        async with stage(tmp_path, FAST) as here:
            repo = await here.sandbox.repository(
                "octo/shop", {"app.py": "def pay(order):\n    return order\n"}, private=True
            )
            pull = await repo.open_pull("Pay", "Takes payments.", {"app.py": FLAWED})
            (delivery,) = here.sandbox.deliveries
            body = tmp_path / "delivery.json"
            body.write_bytes(delivery.body)
            secret = here.sandbox.world.secret
            signature = (await output("openssl", "dgst", "-sha256", "-hmac", secret, "-r", str(body))).split()[0]
            headers = (
                "Content-Type: application/json",
                "X-GitHub-Event: pull_request",
                f"X-GitHub-Delivery: {delivery.guid}",
                f"X-GitHub-Hook-Installation-Target-ID: {here.sandbox.world.app.id}",
                f"X-Hub-Signature-256: sha256={signature}",
            )
            options = [part for header in headers for part in ("--header", header)]
            curl = ("curl", "--silent", "--noproxy", "*", *options, "--data-binary", f"@{body}", here.webhook)

            first = await output(*curl)
            again = await output(*curl)
            await here.settle()

            assert '"accepted"' in first
            assert '"duplicate"' in again
            assert len(pull.reviews) == 1
            assert [(said.path, said.line) for said in pull.comments if "bare" in said.body] == [("app.py", 4)]

    asyncio.run(story())


def test_the_demo_prints_what_was_posted_and_leaves_nothing_behind(tmp_path):
    ran = subprocess.run(
        (sys.executable, "-P", "-m", "bot", "demo"),
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    places = re.findall(r"^(\S+):(\d+) ─", ran.stdout, re.MULTILINE)
    severities = re.findall(r"^\S+ (Error|Warning|Note): ", ran.stdout, re.MULTILINE)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(places) == len(severities) >= 3
    assert "📖 docs/standards/python.md > Python > Functions > No mutable default       \n▌ arguments" in ran.stdout
    assert "Checks only: no model was configured" in ran.stdout
    assert "Check run: neutral" in ran.stdout
    assert list(tmp_path.iterdir()) == []
