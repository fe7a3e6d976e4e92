"""The GitHub Action: its steps against the sandbox GitHub, without a server, a key or a checkout."""

import asyncio
import json
import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from bot.cli.commands import cli, main
from bot.cli.serve import Server, listen
from bot.sandbox.api.auth import mint
from bot.sandbox.sandbox import Sandbox
from tests.support.product import BASE, FLAWED

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
READ_ONLY = dict.fromkeys(("contents", "pull_requests", "issues", "checks", "metadata"), "read")


class Runner:
    """A runner of GitHub Actions: the sandbox, one pull request, and the variables of a run."""

    def __init__(self, folder, sandbox, monkeypatch, capsys):
        self.folder, self.sandbox, self.monkeypatch, self.capsys = folder, sandbox, monkeypatch, capsys
        self.repo = asyncio.run(sandbox.repository("octo/shop", BASE))
        self.repo.user("alice", "write")
        self.runs = 0
        for name in ("summary", "output"):
            (folder / name).touch()

    def open(self, **options):
        self.pull = asyncio.run(self.repo.open_pull("Pay", "Pays.", {"app.py": FLAWED}, **options))
        (delivery,) = [one for one in self.sandbox.deliveries if one.event == "pull_request"]
        self.payload = json.loads(delivery.body)
        del self.payload["installation"]

    def variables(self, event, permissions=None):
        self.runs += 1
        (self.folder / "event.json").write_text(json.dumps(self.payload))
        installation = self.sandbox.world.installation_of(self.repo.state)
        token = mint(self.sandbox.world, installation, {"permissions": permissions} if permissions else {})
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": event,
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_TOKEN": token.text,
            "GITHUB_API_URL": self.sandbox.world.api,
            "GITHUB_REPOSITORY": "octo/shop",
            "GITHUB_RUN_ID": str(self.runs),
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_WORKSPACE": str(self.folder),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "GITHUB_OUTPUT": str(self.folder / "output"),
        }

    def run(self, *arguments, event="pull_request_target", permissions=None):
        """`assistant action` in this process: (exit code, standard output, standard error)."""
        with self.monkeypatch.context() as patch:
            for name, value in self.variables(event, permissions).items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            patch.setattr("sys.argv", ["assistant", "action", *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
        return (ended.value.code or 0, *self.capsys.readouterr())


@pytest.fixture
def runner(tmp_path, monkeypatch, capsys):
    for name in [name for name in os.environ if name.startswith(("ASSISTANT_", "GITHUB_", "OPENAI_", "DATABASE_"))]:
        monkeypatch.delenv(name)
    socket, url = listen()
    sandbox = Sandbox.create(tmp_path / "github", url=url, slug="github-actions", app_id=15368)
    web = Server(sandbox.asgi, socket)
    thread = threading.Thread(target=web.run, kwargs={"sockets": [socket]})
    thread.start()
    yield Runner(tmp_path, sandbox, monkeypatch, capsys)
    web.should_exit = True
    thread.join()


def test_the_steps_of_the_action_review_a_fork_without_a_checkout_and_post_once(runner):
    runner.open(author="alice", fork=True)
    (_, review) = ACTION["runs"]["steps"]
    bin_folder = runner.folder / "review-assistant" / "bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "assistant").write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m bot "$@"\n')
    (bin_folder / "assistant").chmod(0o755)
    inputs = {"FAIL_ON": "warning", "SARIF_FILE": "found.sarif", "ASSISTANT_MODEL_API": "auto", "OPENAI_API_KEY": ""}
    place = {"PATH": os.environ["PATH"], "HOME": str(runner.folder), "RUNNER_TEMP": str(runner.folder)}

    def step():
        variables = runner.variables("pull_request_target") | inputs | place | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(
            ("bash", "-e", "-c", review["run"]), env=variables, cwd=runner.folder, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    ran = step()
    again = runner.run("--fail-on", "warning")

    assert (ran.returncode, ran.stderr) == (1, "")
    assert "::warning file=app.py,line=4,endLine=4,title=" in ran.stdout
    assert [(comment.path, comment.line) for comment in runner.pull.comments] == [("app.py", 3), ("app.py", 4)]
    assert {run.conclusion for run in runner.pull.check_runs()} == {"neutral"}
    assert json.loads((runner.folder / "found.sarif").read_text())["runs"][0]["results"]
    assert (runner.folder / "summary").read_text().startswith("## 2 new findings (checks only)\n")
    assert "conclusion=neutral\n" in (runner.folder / "output").read_text()
    assert again[0] == 0
    assert len(runner.pull.reviews) == 1


def test_a_read_only_run_for_a_fork_annotates_and_posts_nothing(runner):
    runner.open(author="alice", fork=True)

    code, out, error = runner.run(event="pull_request", permissions=READ_ONLY)

    assert (code, error) == (0, "")
    assert "::warning file=app.py,line=4" in out
    assert not [one for one in runner.sandbox.requests if one.method != "GET"]


def test_a_checkout_of_the_head_beside_secrets_is_refused(runner):
    runner.open(author="alice")
    for command in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", *command], cwd=runner.folder, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=runner.folder, check=True, capture_output=True, text=True)
    runner.payload["pull_request"]["head"]["sha"] = head.stdout.strip()

    code, out, error = runner.run()

    assert (code, out) == (2, "")
    assert "checked the pull request's head out. Remove the checkout" in error


def test_an_event_without_a_review_is_a_sentence(runner):
    runner.open(author="alice", draft=True)
    assert "Nothing to do: " in runner.run()[1]

    runner.payload["action"] = "assigned"
    assert runner.run()[:2] == (0, "Nothing to do: pull_request.assigned is not handled.\n")


def test_the_action_checks_nothing_out_and_the_hook_runs_an_existing_command():
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    program, *words = shlex.split(hook["entry"])
    command = get_command(cli)
    context = command.make_context(program, words)
    name, verb, rest = command.resolve_command(context, [*context._protected_args, *context.args])

    assert not [step for step in ACTION["runs"]["steps"] if "uses" in step]
    assert verb.make_context(name, [*rest, "a b.py"], parent=context).params["what"] == ["a b.py"]
