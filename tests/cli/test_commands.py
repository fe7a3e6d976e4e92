"""The `assistant` command as a person or a script runs it, in real git repositories: in this process, or as one."""

import io
import json
import os
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from bot.app import build_model
from bot.cli import ask as local_ask
from bot.cli import review as local_review
from bot.cli.commands import main
from bot.sandbox.api.auth import key_pair
from tests.support.app_address import app_address
from tests.support.deliveries import payload
from tests.support.model_server import ModelServer
from tests.support.model_turns import rejects

ROOT = Path(__file__).parents[2]
FLAWED = "import os\n\n\ndef pay(order):\n    try:\n        charge(order)\n    except:\n        pass\n"
RULES = "# Errors\n\n## Bare except\n\nNever catch with a bare `except:`; name the exception class.\n"
HEAVY = {"alembic", "dbos", "fastapi", "githubkit", "httpx", "openai", "pydantic", "sqlalchemy", "uvicorn"}
KEYS = {"title", "conclusion", "model", "scope", "findings", "dropped", "coverage", "remarks", "notices", "usage"}
FINDING_KEYS = {
    "identity", "path", "line", "start_line", "side", "place", "posted", "severity", "category", "source", "rule",
    "rule_url", "title", "why", "suggestion", "standards",
}  # fmt: skip
PATCH = "--- a/app.py\n+++ b/app.py\n@@ -1,2 +1,3 @@\n def pay(order):\n+    breakpoint()\n     return order\n"


def environment(home, **settings):
    """Nothing but the way to git and to this code, and a home without files."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), **settings}


@pytest.fixture
def program(tmp_path):
    """Runs `assistant` as a process to its end: (exit code, standard output, standard error). It never ends in a traceback."""
    home = tmp_path / "home"
    home.mkdir()

    def run(*arguments, cwd, stdin=b"", **settings):
        ran = subprocess.run(
            (sys.executable, "-P", "-m", "bot", *arguments),
            cwd=cwd,
            input=stdin,
            env=environment(home, **settings),
            capture_output=True,
            timeout=60,
            check=False,
        )
        out, error = ran.stdout.decode(), ran.stderr.decode()
        assert "Traceback" not in error, error
        return ran.returncode, out, error

    return run


@pytest.fixture
def assistant(monkeypatch, capsys):
    """Runs `assistant` in this process: (exit code, standard output, standard error)."""
    for name in [name for name in os.environ if name.startswith(("ASSISTANT_", "GITHUB_", "OPENAI_", "DATABASE_"))]:
        monkeypatch.delenv(name)

    def run(*arguments, cwd, stdin=b"", **settings):
        with monkeypatch.context() as patch:
            patch.chdir(cwd)
            patch.setattr("sys.argv", ["assistant", *arguments])
            patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            for name, value in settings.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main()
        return (ended.value.code or 0, *capsys.readouterr())

    return run


class Repository:
    """A git repository on disk."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments, stdin=None):
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        ran = subprocess.run(
            ("git", *who, *arguments), cwd=self.directory, input=stdin, check=True, capture_output=True
        )
        return ran.stdout.decode().strip()

    def write(self, files):
        for path, content in files.items():
            place = self.directory / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, files=None):
        self.write(files or {})
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "Change")


@pytest.fixture
def repo(tmp_path):
    """One commit that keeps its own standards, and a flawed change that is not committed."""
    repo = Repository(tmp_path / "shop")
    repo.commit({"app.py": "def pay(order):\n    return order\n", "docs/standards/python.md": RULES})
    repo.write({"app.py": FLAWED})
    return repo


def test_a_review_without_a_model_loads_no_engine_and_no_sdk(tmp_path):
    code = "import sys, bot.cli.review; print(sorted({'dbos', 'openai', 'fastapi', 'uvicorn'} & set(sys.modules)))"
    ran = subprocess.run(
        (sys.executable, "-P", "-c", code), env=environment(tmp_path), capture_output=True, text=True, check=True
    )

    assert ran.stdout == "[]\n"


def test_help_names_every_verb_and_loads_nothing_heavy(tmp_path):
    code = (
        "import sys\nfrom bot.cli.commands import main\nsys.argv = ['assistant', '--help']\n"
        f"try: main()\nexcept SystemExit: print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    ran = subprocess.run(
        (sys.executable, "-P", "-c", code), env=environment(tmp_path), capture_output=True, text=True, check=True
    )
    for verb in (
        "demo",
        "review",
        "serve",
        "work",
        "replay",
        "healthcheck",
        "version",
        "status",
        "pause",
        "resume",
        "stop",
    ):
        assert f"\n  {verb} " in ran.stdout
    assert ran.stdout.splitlines()[-1] == "[]"


def test_what_is_not_committed_is_reviewed_by_the_rules_of_the_repository(assistant, repo):
    code, out, error = assistant("review", cwd=repo.directory / "docs")

    assert (code, error) == (0, "")
    assert "app.py:7: warning" in out
    assert "docs/standards/python.md:3" in out
    assert "Checks only: no model was configured" in out
    assert "1 of 1 files reviewed." in out


@pytest.fixture
def odd(tmp_path):
    """A repository whose last commit has everything that paths and contents can be."""
    repo = Repository(tmp_path / "odd")
    repo.commit(
        {
            "old name.py": "def f():\n    return 1\n" * 5,
            "crlf.py": "a = 1\r\nb = 2\r\n",
            "docs/standards/python.md": RULES,
        }
    )
    repo.git("mv", "old name.py", "new.py")
    repo.write(
        {
            "new.py": "def f():\n    return 1\n" * 5 + "breakpoint()\n",
            "crlf.py": "a = 1\r\nbreakpoint()\r\nb = 2\r\n",
            "end.py": "a = 1\nbreakpoint()",
            "latin.py": b"# -*- coding: latin-1 -*-\nname = 'caf\xe9'\nbreakpoint()\n",
            'quo"te.py': "breakpoint()\n",
            "with space & 100%.py": "breakpoint()\n",
            "new\nline.py": "breakpoint()\n",
            "größe 🐍.py": "breakpoint()\n",
            "\x1b[31mred.py": "breakpoint()\n",
            "photo.png": b"\x89PNG\r\n\x1a\n\0\0\0\0",
            "empty.py": "",
        }
    )
    (repo.directory / "link.py").symlink_to("/etc/passwd")
    (repo.directory / os.fsdecode(b"b\xe9.py")).write_text("breakpoint()\n")
    repo.git("add", "-A")
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{repo.git('rev-parse', 'HEAD')},vendored")
    repo.git("commit", "-q", "-m", "Odd")
    return repo


def test_no_content_and_no_path_breaks_a_review(assistant, odd):
    code, out, _ = assistant("review", "HEAD~1..HEAD", "--json", "--fail-on", "warning", cwd=odd.directory)
    review = json.loads(out)
    found = {(one["path"], one["line"]) for one in review["findings"] if one["rule"] == "T100"}
    states = {row["path"]: row["state"] for row in review["coverage"]["files"]}

    assert code == 1
    assert found >= {("new.py", 11), ("crlf.py", 2), ("end.py", 2), ('quo"te.py', 1), ("with space & 100%.py", 1)}
    assert found >= {("new\nline.py", 1), ("größe 🐍.py", 1), ("\x1b[31mred.py", 1)}
    assert {states[path] for path in ("photo.png", "link.py", "vendored")} == {"skipped"}
    assert all(row["reason"] for row in review["coverage"]["files"] if row["state"] != "reviewed")


def test_sarif_names_every_place_as_a_uri(assistant, odd):
    code, out, _ = assistant("review", "HEAD~1..HEAD", "--sarif", cwd=odd.directory)
    sarif = json.loads(out)
    (run,) = sarif["runs"]
    places = [place["physicalLocation"] for result in run["results"] for place in result["locations"]]
    rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}

    assert (code, sarif["version"]) == (0, "2.1.0")
    assert {result["ruleId"] for result in run["results"]} == rules == {"ruff/T100"}
    assert {result["level"] for result in run["results"]} == {"warning"}
    assert all(result["message"]["text"] and result["partialFingerprints"] for result in run["results"])
    assert {place["artifactLocation"]["uri"]: place["region"]["startLine"] for place in places} | {
        "new.py": 11,
        "with%20space%20%26%20100%25.py": 1,
        "new%0Aline.py": 1,
        "gr%C3%B6%C3%9Fe%20%F0%9F%90%8D.py": 1,
    } == {place["artifactLocation"]["uri"]: place["region"]["startLine"] for place in places}


def test_no_path_can_pretend_to_be_output(program, odd):
    code, out, _ = program("review", "HEAD~1..HEAD", cwd=odd.directory, PYTHONIOENCODING="ascii")

    assert code == 0
    assert "\x1b" not in out
    assert not [line for line in out.splitlines() if line.startswith("line.py")]
    assert "with space & 100%.py:1: warning" in out


def test_a_patch_is_reviewed_inside_and_outside_of_a_repository(assistant, repo, tmp_path):
    (tmp_path / "the.patch").write_text(PATCH)

    inside = assistant("review", "../the.patch", "--json", cwd=repo.directory)
    outside = assistant("review", "-", "--json", cwd=tmp_path, stdin=PATCH.encode())

    for expected, (code, out, error) in ((0, inside), (3, outside)):  # outside, ruff has no whole file to read
        review = json.loads(out)
        assert (code, error) == (expected, "")
        assert set(review) >= KEYS
        assert [row["path"] for row in review["coverage"]["files"]] == ["app.py"]
    assert set(json.loads(inside[1])["findings"][0]) >= FINDING_KEYS
    assert [(one["path"], one["line"]) for one in json.loads(inside[1])["findings"]] == [("app.py", 2)]


@pytest.mark.parametrize(("arguments", "words"), [(("HEAD..HEAD",), "no file changed"), (("HEAD~1..HEAD",), "HEAD~1")])
def test_an_empty_range_and_a_first_commit_are_answered(assistant, repo, arguments, words):
    _, out, error = assistant("review", *arguments, cwd=repo.directory)
    assert words in out + error


def test_before_the_first_commit_everything_is_a_change(assistant, tmp_path):
    repo = Repository(tmp_path / "new")
    repo.write({"app.py": FLAWED})
    repo.git("add", "-A")

    code, out, _ = assistant("review", "--fail-on", "error", cwd=repo.directory)

    assert code == 1
    assert "app.py:7: warning" in out


def test_a_question_without_a_model_is_answered_by_the_documents_or_exits_with_3(assistant, repo):
    covered = assistant("ask", "may I use a bare except?", cwd=repo.directory)
    uncovered = assistant("ask", "may I wear a hat?", cwd=repo.directory)

    assert (covered[0], uncovered[0]) == (0, 3), (covered, uncovered)
    assert "do not cover" in "".join(uncovered[1:])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("review", "main..nowhere"), "no revision 'nowhere'"),
        (("review", "--fail-on", "banana"), "banana"),
        (("review", "--repo", "/nowhere", "x" * 300), "xxx"),
        (("review", "-"), "This is not a diff"),
        (("review", "--output=/tmp/x"), "No such option"),
        (("banana",), "No such command"),
        (("demo", "--repo", ".", "--base", "nowhere"), "nowhere names no commit here; see --base"),
        (("work",), "`assistant demo` needs none"),
        (("replay", "missing.json"), "missing.json"),
        (("replay", "app.py"), "app.py is not a stored delivery"),
        (("replay", "accent.json"), "accent.json is not a stored delivery: one of its headers is not ASCII"),
    ],
)
def test_a_mistake_is_named_and_exits_with_2(assistant, repo, arguments, words):
    repo.write({"accent.json": '{"headers": {"X-GitHub-Event": "é"}, "payload": {}}'})

    code, out, error = assistant(*arguments, cwd=repo.directory, stdin=b"no patch at all\n")

    assert (code, out) == (2, "")
    assert words in error


def test_a_stranger_cannot_configure_a_review_of_his_repository(assistant, repo):
    repo.write({".env": "ASSISTANT_MODEL_API=chat\nOPENAI_BASE_URL=http://attacker.test\nPORT=none\n"})

    code, out, _ = assistant("review", cwd=repo.directory, OPENAI_API_KEY="", ASSISTANT_MODEL_API="auto")

    assert code == 0
    assert "Checks only: no model was configured" in out
    assert "Untracked, so not reviewed (`git add -N` includes it): `.env`." in out


@pytest.fixture
def github_address():
    with app_address() as address:
        yield address


@pytest.fixture
def server(tmp_path, github_address):
    """`assistant serve` on a free port, with settings that suffice: its process, its settings and its first log lines."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    (tmp_path / "key.pem").write_text(key_pair().private)
    settings = {
        "PORT": str(port),
        "GITHUB_APP_ID": "1234",
        "GITHUB_PRIVATE_KEY_FILE": str(tmp_path / "key.pem"),
        "GITHUB_WEBHOOK_SECRET": "new-0123456789,old-0123456789",
        "GITHUB_API_URL": github_address,
        "ASSISTANT_DATA": str(tmp_path / "data"),
        "ASSISTANT_EFORT": "high",
    }
    process = subprocess.Popen(
        (sys.executable, "-P", "-m", "bot", "serve", "--no-worker"),
        env=environment(tmp_path, **settings),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = []
    for line in process.stderr:
        lines.append(json.loads(line))
        if "running on" in lines[-1]["event"]:
            break
    yield process, settings, lines
    process.kill()
    process.wait()
    process.stderr.close()


def test_a_server_takes_a_replayed_delivery_says_that_it_is_well_and_leaves_when_told(assistant, server, tmp_path):
    process, settings, lines = server
    stored = {"headers": {"X-GitHub-Delivery": str(uuid.UUID(int=7)), "X-GitHub-Event": "pull_request"}}
    (tmp_path / "delivery.json").write_text(json.dumps({"request": {**stored, "payload": payload()}}))

    replays = [assistant("replay", "delivery.json", cwd=tmp_path, **settings) for _ in range(2)]
    forged = assistant("replay", "delivery.json", cwd=tmp_path, **{**settings, "GITHUB_WEBHOOK_SECRET": "other"})
    well = assistant("healthcheck", cwd=tmp_path, **settings)
    process.terminate()
    left = process.wait(timeout=30)
    gone = assistant("healthcheck", cwd=tmp_path, **settings)
    nobody = assistant("replay", "delivery.json", cwd=tmp_path, **settings)

    assert [json.loads(out.partition(" ")[2])["status"] for _, out, _ in replays] == ["accepted", "duplicate"]
    assert (forged[0], well[0], left, gone[0], nobody[0]) == (3, 0, 0, 3, 3)
    assert "answered 401" in forged[2]
    assert "does not answer" in nobody[2]
    assert "ASSISTANT_EFORT is not a setting; did you mean ASSISTANT_EFFORT?" in lines[0]["event"]
    assert {"started", "stopped"} <= {line["event"] for line in [*lines, *map(json.loads, process.stderr)]}


@pytest.mark.parametrize(("fault", "named"), [(401, "does not accept the key"), (404, "does not know the model")])
def test_a_model_that_refuses_is_named_and_the_exit_code_is_3(fault, named, tmp_path, monkeypatch, capsys):
    """Through the front door; a budget is never blamed for what the server refused."""
    (tmp_path / "a.patch").write_text(PATCH)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    server = ModelServer(lambda _body: rejects(fault, {"error": {"message": "no"}}))
    monkeypatch.setattr(
        local_review, "build_model", lambda settings, secret, hear: over(server, build_model(settings, secret, hear))
    )

    assert local_review.review_locally(local_review.LocalChange("a.patch", tmp_path), "text", "never") == 3
    said = capsys.readouterr().out
    assert named in said
    assert "may cost" not in said


def over(server, model):
    """The model, on this server instead of the network."""
    model.endpoint.transport = server.transport()
    return model


@pytest.fixture
def moved(tmp_path):
    """A branch that adds b.py, cut before main repaired a.py."""
    repo = Repository(tmp_path / "moved")
    repo.commit({"a.py": "def load(path):\n    return open(path).read()\n"})
    repo.commit({"a.py": FLAWED})
    repo.git("checkout", "-qb", "feature")
    repo.commit({"b.py": "breakpoint()\n", "docs/c.md": "text\n"})
    repo.git("checkout", "-q", "main")
    repo.commit({"a.py": "def load(path):\n    return open(path).read()\n"})
    repo.git("checkout", "-q", "feature")
    return repo


def reviewed_paths(out):
    return sorted(row["path"] for row in json.loads(out)["coverage"]["files"])


def test_a_range_and_a_clean_branch_mean_what_a_pull_request_means(assistant, moved):
    for arguments in (["main..HEAD"], ["main...HEAD"], ["main"], []):
        code, out, error = assistant("review", *arguments, "--json", cwd=moved.directory)
        assert (code, error, reviewed_paths(out)) == (0, "", ["b.py", "docs/c.md"])
    assert json.loads(out)["remarks"][0] == "Nothing is uncommitted, so the commits since main are reviewed."

    code, out, _ = assistant("review", "main", "b.py", "--json", cwd=moved.directory)
    assert (code, reviewed_paths(out)) == (0, ["b.py"])

    moved.git("checkout", "-q", "main")
    assert "no file changed" in assistant("review", cwd=moved.directory)[1]


def test_staged_content_is_reviewed_as_it_is_in_the_index(assistant, repo):
    repo.write({"app.py": "import os\nbreakpoint()\n", "b [1].py": "breakpoint()\n", "c.py": "breakpoint()\n"})
    repo.git("add", "-A")
    repo.write({"app.py": "def pay(order):\n    return order\n"})

    code, out, _ = assistant("review", "--staged", "--fail-on", "warning", "--json", cwd=repo.directory)
    found = {(one["path"], one["line"]) for one in json.loads(out)["findings"] if one["rule"] == "T100"}
    assert (code, found) == (1, {("app.py", 2), ("b [1].py", 1), ("c.py", 1)})

    code, out, _ = assistant("review", "--staged", "../b [1].py", "app.py", "--json", cwd=repo.directory / "docs")
    assert (code, reviewed_paths(out)) == (0, ["b [1].py"])


def test_the_conventions_of_a_command_line_hold(program, assistant, tmp_path):
    version = assistant("version", cwd=tmp_path)
    completed = program(cwd=tmp_path, _ASSISTANT_COMPLETE="complete_bash", COMP_WORDS="assistant rev", COMP_CWORD="1")
    stats = assistant("stats", cwd=tmp_path)

    assert assistant("--version", cwd=tmp_path) == version
    assert "Exit codes: 0 done; 1 findings" in assistant("-h", cwd=tmp_path)[1]
    assert assistant("review", "-h", cwd=tmp_path) == assistant("review", "--help", cwd=tmp_path)
    assert completed[1].split() == ["review"]
    assert (stats[0], stats[2].partition(";")[0]) == (2, "assistant: There is no database data/assistant.db")
    assert not (tmp_path / "data").exists()


def test_a_model_server_is_named_before_the_change_is_sent_and_offline_sends_nothing(assistant, repo, monkeypatch):
    server = ModelServer(lambda _body: rejects(401, {"error": {"message": "no"}}))
    key = {
        "OPENAI_API_KEY": "sk-x",
        "OPENAI_BASE_URL": "http://user:pass@127.0.0.1:9/v1",
        "ASSISTANT_PASSES": "security",
    }
    for verb, expected in ((["review"], 0), (["ask", "why?"], 3)):  # nothing answers the question
        code, _, error = assistant(*verb, "--offline", cwd=repo.directory, **key)
        assert (code, "is sent to" in error) == (expected, False)
    monkeypatch.setattr(local_ask, "build_model", lambda *arguments: over(server, build_model(*arguments)))
    code, out, error = assistant("ask", "why?", cwd=repo.directory, **key)

    assert error.startswith("The change is sent to 127.0.0.1:9, as the environment says. --offline reviews without")
    assert "The question could not be answered" in error
    assert (code, out) == (3, "")


def test_a_locale_without_utf8_changes_nothing(program, repo):
    repo.commit({"docs/standards/fehlermeldungen-für-alle.md": RULES.replace("bare", "nackte „bare“")})
    repo.write({"grün.py": FLAWED})
    repo.git("add", "-N", ".")
    said = [program("review", cwd=repo.directory, LC_ALL=name, PYTHONUTF8="0") for name in ("C.UTF-8", "C")]

    assert said[0] == said[1]
    assert "grün.py:7: warning Do not use bare `except`" in said[1][1]


def test_a_system_without_posix_gets_one_sentence(repo):
    code = "import sys\nsys.modules['fcntl'] = sys.modules['resource'] = None\nfrom bot.cli.commands import main\nsys.argv = ['assistant', 'review']\nmain()"
    ran = subprocess.run(
        (sys.executable, "-P", "-c", code), env=environment(repo.directory), cwd=repo.directory, capture_output=True,
        text=True, check=False,
    )  # fmt: skip

    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "assistant: this system is not supported; use Linux or macOS, on Windows inside WSL.\n"


@pytest.mark.parametrize(("change", "own"), [("HEAD~0..HEAD", True), ("", True), ("a.patch", False), ("-", False)])
def test_only_ones_own_code_is_checked_unconfined_by_default(tmp_path, monkeypatch, change, own):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.patch").write_text(PATCH)
    monkeypatch.setattr(local_review, "obstacle", lambda: "darwin has no Landlock")
    is_own = local_review.LocalChange(change).is_own_code
    settings, remarks = local_review._confinement(local_review.Settings.read(_env_file=None), own_code=is_own)

    assert (is_own, settings.assistant_unconfined_checks, bool(remarks)) == (own, own, own)
    assert all("darwin has no Landlock" in remark for remark in remarks)
