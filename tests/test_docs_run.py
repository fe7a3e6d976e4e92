"""What the documents tell a reader to type is typed here: each page is one shell session, in the place that it speaks of."""

import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from bot.sandbox.api.auth import key_pair
from tests.support.app_address import app_address
from tests.support.interpreters import interpreter
from tests.support.uv_program import uv
from tests.support.warm_assistant import warm_assistant

ROOT = Path(__file__).parents[1]
PAGES = [page for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")) if "```console" in page.read_text()]
ELSEWHERE = ("docker", "kubectl", "pg_dump", "pg_restore", "psql", "reviewdog", "systemctl")  # not on this machine
SERVE = """\
import subprocess, sys
server = subprocess.Popen([sys.argv[1], "serve", "--host", "127.0.0.1"], stderr=subprocess.PIPE, text=True)
started = any("running on" in line for line in server.stderr)
server.terminate()
server.stderr.read()
sys.exit(server.wait() if started else 1)
"""


def blocks(page):
    """The commands of each shell block, with the output that stands below it or None."""
    tokens = [token for token in MarkdownIt("commonmark").parse(page.read_text()) if token.type == "fence"]
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        if token.info.strip() == "console":
            shown = after is not None and after.info.strip() == "text"
            yield re.sub(r"^\$ ", "", token.content, flags=re.MULTILINE), after.content if shown else None


def fits(expected, output):
    """Whether the output is what the page shows; a line `…` stands for any lines."""
    pattern = "".join(r"(?:.*\n)*?" if line == "…" else re.escape(line) + r"\n" for line in expected.splitlines())
    return re.fullmatch(pattern, output) is not None


@pytest.fixture
def place(tmp_path):
    """A team's repository with a change under way, which is also a clone of ours: a `.venv` and a Makefile."""
    shop = tmp_path / "shop"
    shutil.copytree(ROOT / "examples" / "shop" / "base", shop)
    shutil.copytree(ROOT / "examples" / "standards", shop / "docs" / "standards", dirs_exist_ok=True)
    (shop / "docs" / "standards" / "executable.md").unlink()
    page = (ROOT / "docs" / "how-to" / "standards.md").read_text()
    (shop / "docs" / "standards" / "services.md").write_text("# Services\n\n" + "\n".join(_rule(page)))
    (shop / "key.pem").write_text(key_pair().private)
    (shop / "webhook-secret.txt").write_text(secrets.token_hex(32))
    git(shop, "init", "-q", "-b", "main")
    (shop / ".git" / "info" / "exclude").write_text("Makefile\nuv.lock\n.venv\nkey.pem\nwebhook-secret.txt\n")
    for name in ("Makefile", "uv.lock"):
        (shop / name).symlink_to(ROOT / name)
    git(shop, "add", ".")
    git(shop, "commit", "-qm", "Sell things")
    git(shop, "checkout", "-q", "-b", "change")
    shutil.copytree(ROOT / "examples" / "shop" / "head", shop, dirs_exist_ok=True)
    git(shop, "add", ".")
    git(shop, "commit", "-qm", "Take vouchers")
    (shop / "shop" / "cart.py").write_text("import os\n" + (shop / "shop" / "cart.py").read_text())
    return shop


def git(folder, *arguments):
    """Runs git with an author of its own."""
    author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True)


def _rule(page):
    """The paragraph and the code that the page about standards shows for an executable rule."""
    shown = [token.content for token in MarkdownIt("commonmark").parse(page) if token.type == "fence"]
    return [text for text in shown if text.startswith(("## Log with the logger", "```yaml ast-grep"))]


@pytest.fixture(scope="module")
def assistant(tmp_path_factory):
    """The command that runs `assistant`, without its imports."""
    with warm_assistant(tmp_path_factory.mktemp("warm")) as words:
        yield shlex.join(words)


@pytest.fixture
def environment(place, tmp_path, assistant):
    """What a reader's shell has, with stand-ins: a server stops once it runs, and make says what it would do."""
    program = Path(sys.executable).with_name("assistant")
    bin_folder, home = place / ".venv" / "bin", tmp_path / "home"
    bin_folder.mkdir(parents=True)
    home.mkdir()
    (bin_folder / "serve.py").write_text(SERVE)
    serve = f"{shlex.quote(sys.executable)} {bin_folder / 'serve.py'} {program}"
    scripts = {
        "assistant": f'[ "$1" = serve ] && exec {serve}\nexec {assistant} "$@"',
        "make": f'exec {shutil.which("make")} -n "$@"',
        **dict.fromkeys(ELSEWHERE, "exec cat > /dev/null"),
    }
    for name, script in scripts.items():
        (bin_folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (bin_folder / name).chmod(0o755)
    (place / ".venv" / ".ready").touch()
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    with app_address() as github:
        yield {
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "HOME": str(home),
            "GITHUB_API_URL": github,
            "PORT": str(port),
            "COLUMNS": "100",
            "ASSISTANT_CHECKS": "ruff,hygiene,secrets,standards",  # the others start programs of their own
        }


def type_in(shown, start, environment):
    """Types the commands in one shell, and compares what they print with what the page shows."""
    script = "set -e\nexec 2>&1 < /dev/null\n" + "".join(f"echo '@@@'\n{commands}\n" for commands, _ in shown)
    ran = subprocess.run(
        ["bash", "-c", script], cwd=start, env=environment, capture_output=True, text=True, check=False
    )
    outputs = ran.stdout.split("@@@\n")[1:]

    assert ran.returncode == 0, outputs[-1]
    for (commands, expected), output in zip(shown, outputs, strict=True):
        assert expected is None or fits(expected, output), f"{commands}\nprinted:\n{output}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_the_page_tells_to_type_works_and_prints_what_it_shows(page, place, environment):
    start = environment["HOME"] if page.parent.name == "tutorial" else place
    type_in([block for block in blocks(page) if "pip install" not in block[0]], start, environment)


@pytest.mark.long
@pytest.mark.parametrize("minor", [11, 12, 13, 14])
def test_the_tutorial_works_from_the_wheel_alone(minor, tmp_path):
    """With an empty HOME, and nothing of this checkout in sight."""
    python = interpreter(minor)
    uv("build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", tmp_path / "dist")
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(python)
    (tmp_path / "home").mkdir()
    reachable = {
        name: text for name, text in os.environ.items() if name.lower().endswith(("_proxy", "_index_url", "_cert_file"))
    }
    environment = {
        **reachable,
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "HOME": str(tmp_path / "home"),
        "COLUMNS": "100",
    }
    page = next(page for page in PAGES if page.stem == "first-review")

    shown = [(commands.replace("--quiet .", f"--quiet {wheel}"), expected) for commands, expected in blocks(page)]
    assert str(wheel) in shown[0][0]
    type_in(shown, tmp_path / "home", environment)
