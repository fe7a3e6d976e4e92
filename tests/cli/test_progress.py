"""People who wait on a terminal see what the model says as it says it; nobody else is streamed to."""

import asyncio
import io
import json
import os
import pty
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from rich.console import Console

from bot.cli.progress import ProgressStep, StreamText, watched
from bot.cli.serve import Server, listen
from bot.errors import Retryable
from tests.support.model_server import ModelServer
from tests.support.model_turns import calls, says
from tests.support.product_with_model import Request

PATCH = "--- a/app.py\n+++ b/app.py\n@@ -1,2 +1,3 @@\n def pay(order):\n+    order.check()\n     return order\n"
SLOWLY = {"walkthrough": "It checks an order before it is paid.", "findings": []}


def script(body):
    if not Request(body).told and Request(body).lens == "correctness":
        return calls(("list_files", {"pattern": "*", "side": "head"}))
    return says(SLOWLY, seconds=0.3)


@contextmanager
def serving(server):
    """A model server on loopback, in a thread."""
    socket, url = listen()
    web = Server(server.app, socket)
    thread = threading.Thread(target=web.run, kwargs={"sockets": [socket]})
    thread.start()
    try:
        yield f"{url}/v1"
    finally:
        web.should_exit = True
        thread.join()


def review(url, folder, stderr):
    """`assistant review -` as a person runs it; its standard output."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "xterm", "OPENAI_BASE_URL": url}
    environment |= {"OPENAI_API_KEY": "sk-test", "ASSISTANT_CHECKS": "hygiene", "ASSISTANT_PASSES": "correctness"}
    program = [sys.executable, "-m", "bot", "review", "-", "--repo", str(folder)]
    path = {"PYTHONPATH": os.getcwd()}  # noqa: PTH109 - where the tests run
    done = subprocess.run(
        program,
        input=PATCH,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=environment | path,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 3  # outside a repository the whole file cannot be read
    return done.stdout


def test_a_terminal_shows_the_steps_and_the_words_as_they_come(tmp_path):
    server, (ours, theirs) = ModelServer(script), pty.openpty()
    seen = []
    reader = threading.Thread(target=lambda: drain(ours, seen))
    reader.start()
    try:
        with serving(server) as url:
            out = review(url, tmp_path, theirs)
    finally:
        os.close(theirs)
        reader.join()
    shown = b"".join(seen).decode()

    assert "find/correctness/1/call-1 …" in shown
    assert "It checks an order before it is paid." in shown
    assert "[list_files]" in shown
    assert "Traceback" not in shown
    assert "It checks an order" not in out
    assert "No new findings" in out
    assert all(one.body["stream"] for one in server.asked)
    assert not server.rejected


def test_what_is_no_terminal_gets_the_review_alone(tmp_path):
    server = ModelServer(script)
    with serving(server) as url:
        out = review(url, tmp_path, subprocess.PIPE)

    assert "No new findings" in out
    assert not any(one.body.get("stream") for one in server.asked)


def drain(terminal, seen):
    """Read what is drawn until the terminal is closed."""
    try:
        while piece := os.read(terminal, 65536):
            seen.append(piece)
    except OSError:  # Linux says so when the other end is gone
        os.close(terminal)


def test_what_the_model_says_cannot_draw_on_the_terminal():
    drawn = io.StringIO()
    with watched(Console(file=drawn, force_terminal=True, width=200)) as (_, hear):
        hear('{"findings": [{"why": "x' + "\x1b]0;owned\x07 [red]x[/red] \\n tail")

    assert "\x1b]0;" not in drawn.getvalue()
    assert "[red]x[/red]" in drawn.getvalue()


def test_only_the_end_of_the_stream_is_kept():
    ticker = ProgressStep()
    for number in range(10_000):
        ticker.hear(f"{number} ")

    assert ticker.stream.text.endswith(" 9998 9999 ")
    assert len(ticker.stream.text) < 1_000


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_stream_of_json_is_shown_as_text(size):
    answer = {
        "walkthrough": 'Says "x".\nIt\u00e9 \U0001f40d C:\\dir',
        "findings": [{"line": 3, "title": "Open {file}"}],
    }
    stream, told = StreamText(), f"Let me see. [list_files] {json.dumps(answer)} Done {{"
    for at in range(0, len(told), size):
        stream.add(told[at : at + size])

    words = " ".join(stream.text.split())
    assert words == 'Let me see. [list_files] Says "x". It\u00e9 C:\\dir Open {file} Done'


def test_what_fails_for_a_moment_is_tried_again_while_somebody_looks_on(monkeypatch):
    monkeypatch.setattr("bot.engine.journal.delay", lambda *_: 0.0)
    answers = [Retryable("502"), Retryable("502"), "done"]

    async def work():
        answer = answers.pop(0)
        if isinstance(answer, Retryable):
            raise answer
        return answer

    assert asyncio.run(ProgressStep()("asking", work, str)) == "done"


def test_nobody_who_looks_on_waits_for_long(monkeypatch):
    monkeypatch.setattr("bot.engine.journal.delay", lambda *_: 11.0)

    async def work():
        raise Retryable("502")

    with pytest.raises(Retryable):
        asyncio.run(ProgressStep()("asking", work, str))
