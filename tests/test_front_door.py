"""A real `assistant serve` under attack: what it holds in memory, what it costs, and what it shows of its secrets."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from bot.sandbox.api.auth import key_pair
from tests.support.deliveries import comment, payload, signed

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")

SECRET = "0123456789abcdef"
CANARY = "canary-4711-0123456789"
SHORT = (
    "from bot import server; from bot.cli import serve, commands; "
    "serve.bounded_protocol = lambda: server.bounded_protocol(server.CONNECTIONS, 1.0); commands.main()"
)
"""The command, with a second instead of ten for the header of a request."""
HEAD = b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\n"
MEGABYTE = 1 << 20


class Door:
    """A server whose GitHub cannot be reached. `resident` and `cpu` are MB and seconds of its process."""

    def __init__(self, folder):
        with socket.create_server(("127.0.0.1", 0)) as bound:
            self.port = bound.getsockname()[1]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "GITHUB_APP_ID": "99",
            "GITHUB_PRIVATE_KEY": key_pair().private.replace("\n", "\\n"),
            "GITHUB_WEBHOOK_SECRET": SECRET,
            "GITHUB_API_URL": "http://127.0.0.1:9",
            "OPENAI_API_KEY": CANARY,
            "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
            "HTTPS_PROXY": f"http://me:{CANARY}@127.0.0.1:9",
            "NO_PROXY": "127.0.0.1",
            "PORT": str(self.port),
            "ASSISTANT_DATA": str(folder / "data"),
        }
        with (folder / "log").open("wb") as log:
            command = [sys.executable, "-P", "-c", SHORT, "serve", "--no-worker"]
            self.process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
        self.log = folder / "log"
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20, trust_env=False)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(httpx.HTTPError):
                if self.client.get("/livez").is_success:
                    return
            time.sleep(0.05)
        pytest.fail(self.log.read_text())

    def send(self, content, event="issue_comment", **headers):
        headers, body = signed(content, event, SECRET.encode(), **headers)
        return self.client.post("/webhooks/github", headers=headers, content=body)

    @property
    def proc(self):
        return Path(f"/proc/{self.process.pid}")

    def resident(self):
        return int(re.search(r"VmRSS:\s+(\d+)", (self.proc / "status").read_text())[1]) // 1024

    def cpu(self):
        fields = (self.proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def push(self, head, megabytes=24):
        """Sends a body as fast as the server takes it, until it hangs up."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(HEAD + head + f"Content-Length: {megabytes * MEGABYTE}\r\n\r\n".encode())
            for _ in range(megabytes):
                connection.sendall(b"x" * MEGABYTE)
            connection.recv(1)
            time.sleep(0.5)


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    server = Door(tmp_path_factory.mktemp("door"))
    yield server
    server.client.close()
    server.process.terminate()
    assert server.process.wait(20) == 0


def test_the_environment_and_the_memory_of_a_server_show_no_secret(door):
    try:
        shown = (door.proc / "environ").read_bytes()
    except PermissionError:
        shown = b""  # the process is not dumpable: only root may look
    children = (door.proc / "task" / str(door.process.pid) / "children").read_text().split()

    assert os.geteuid() == 0 or shown == b""
    assert b"ASSISTANT_DATA" in shown or not shown
    assert not [secret for secret in (SECRET, CANARY, "PRIVATE KEY", "MII") if secret.encode() in shown]
    assert children == []
    assert not [secret for secret in (SECRET, CANARY, "PRIVATE KEY") if secret in door.log.read_text()]


@pytest.mark.parametrize(
    "head", [b"", b"X-Hub-Signature-256: sha256=" + b"0" * 64 + b"\r\n"], ids=["unsigned", "wrongly signed"]
)
def test_24_bodies_of_24_megabytes_fill_no_memory_and_the_server_stays_open(door, head):
    before, most = door.resident(), 0
    pushing = [threading.Thread(target=door.push, args=(head,)) for _ in range(24)]
    for thread in pushing:
        thread.start()
    while any(thread.is_alive() for thread in pushing):
        most = max(most, door.resident())
        begun = time.monotonic()
        assert door.client.get("/livez").is_success
        assert time.monotonic() - begun < 5
        time.sleep(0.02)

    assert most - before < (40 if not head else 160), "64 MB of bodies in flight, and what the sockets buffer"
    assert door.send(comment("Thanks!", comment={"id": 1, "body": str(uuid.uuid4())})).status_code == 202


def test_200_half_open_connections_are_closed_and_the_server_answers_meanwhile(door):
    held = [socket.create_connection(("127.0.0.1", door.port)) for _ in range(200)]
    for connection in held[::2]:
        connection.sendall(HEAD + b"X-A: ")
    answered = door.send(payload("opened")).status_code
    deadline = time.monotonic() + 15
    while (left := [one for one in held if _is_open(one)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for connection in held:
        connection.close()

    assert answered == 202
    assert left == []


def _is_open(connection):
    connection.setblocking(False)  # noqa: FBT003
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


@pytest.mark.parametrize("unit", ["<?", "<![CDATA[", "<!--", "*a_ ", "![", "`", "\n", "> ", "@review-assistant "])
def test_a_comment_of_64_000_characters_costs_milliseconds(door, unit):
    before = door.cpu()
    for start in ("/assistant help ", ""):
        assert door.send(comment(start + (unit * 64_000)[:64_000])).status_code == 202

    assert door.cpu() - before < 0.5


def test_one_signed_body_is_one_delivery_under_any_id_and_for_this_app_only(door):
    content = comment("/assistant help", comment={"id": 77, "body": "/assistant help once"})
    answers = [door.send(content, guid=str(uuid.uuid4())) for _ in range(4)]
    elsewhere = [door.send(content, x_github_hook_installation_target_id=target) for target in ("1", "")]

    assert [answer.json()["status"] for answer in answers] == ["accepted"] + ["duplicate"] * 3
    assert [answer.status_code for answer in elsewhere] == [400, 400]


def test_half_surrogates_nulls_and_hostile_hosts_lose_no_delivery(door):
    content = comment("/assistant help")
    halves = json.dumps(content).replace("/assistant help", "/assistant help \\ud800").encode()
    nulls = content | {"sender": None, "comment": content["comment"] | {"user": None, "author_association": None}}
    hosts = [door.client.get(path, headers={"host": "evil.test"}) for path in ("/livez/", "//evil.test", "/metrics/")]

    assert [door.send(one).json()["status"] for one in (halves, nulls)] == ["accepted", "accepted"]
    assert [answer.headers.get("location") for answer in hosts] == [None] * 3
