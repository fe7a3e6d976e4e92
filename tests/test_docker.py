"""The Dockerfile, instruction by instruction, without Docker: what it builds runs as a user who owns nothing."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bot.sandbox.api.auth import key_pair
from tests.support.app_address import app_address
from tests.support.uv_program import ROOT, uv

UID = 10001


def stages():
    """The stages of the Dockerfile, each a list of (instruction, arguments)."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    instructions = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    starts = [number for number, (name, _) in enumerate(instructions) if name == "FROM"]
    return [instructions[begin:end] for begin, end in zip(starts, [*starts[1:], None], strict=True)]


def named(stage, name):
    return [arguments for instruction, arguments in stage if instruction == name]


def variables(stage):
    return dict(pair.split("=", 1) for line in named(stage, "ENV") for pair in shlex.split(line))


@pytest.fixture(scope="module")
def image():
    """The last stage's file system and environment, below a folder that everybody may read."""
    build, final = stages()
    python = "/usr/bin/python3" if os.geteuid() == 0 else sys.executable
    if not Path(python).exists():
        pytest.skip("needs a Python that everybody may run")
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        _build(build, root, {"UV_PYTHON": python, **variables(build)})
        (root / "data").mkdir()
        if os.geteuid() == 0:
            os.chown(root / "data", UID, UID)
        shell = {"PATH": "/usr/bin:/bin"}
        for name, value in variables(final).items():
            shell[name] = (
                value.replace("$PATH", shell["PATH"]).replace("/src", f"{root}/src").replace("/data", f"{root}/data")
            )
        yield root, shell


def _build(stage, root, environment):
    """Do what the instructions of the build stage say, below `root`."""
    (directory,) = named(stage, "WORKDIR")
    place = root / directory.lstrip("/")
    place.mkdir()
    for instruction, arguments in stage:
        if instruction == "COPY":
            *sources, target = arguments.split()
            for source in sources:
                _copy(ROOT / source, place / target)
        elif instruction == "RUN":
            command = shlex.split(re.sub(r"--mount=\S+", "", arguments))
            assert command[0] == "uv"
            uv(*command[1:], cwd=place, **environment)


def _copy(source, target):
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


def unprivileged(*command):
    """A command as the image's user, if we may become it; that user owns none of the code."""
    drop = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs")
    return (*drop, *command) if os.geteuid() == 0 else command


def test_the_image_runs_as_a_user_and_asks_itself_how_it_is():
    _, final = stages()

    assert named(final, "USER") == [str(UID)]
    assert named(final, "STOPSIGNAL") == ["SIGTERM"]
    assert named(final, "ENTRYPOINT") == ['["assistant"]']
    assert named(final, "CMD") == ['["serve"]']
    assert named(final, "HEALTHCHECK")[0].endswith('CMD ["assistant", "healthcheck", "--live"]')


def test_nothing_that_is_copied_is_kept_out_of_the_context():
    copied = {source for arguments in named(stages()[0], "COPY") for source in arguments.split()[:-1]}
    ignored = set((ROOT / ".dockerignore").read_text().split())

    assert all((ROOT / source).exists() for source in copied)
    assert copied & ignored == set()
    assert ignored >= {".git", ".env", "data"}


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="cannot become another user")
def test_what_the_image_holds_serves_and_is_healthy_for_a_user_who_owns_nothing(image):
    root, environment = image
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    environment |= {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "GITHUB_APP_ID": "1234",
        "GITHUB_PRIVATE_KEY": key_pair().private.replace("\n", "\\n"),
        "GITHUB_WEBHOOK_SECRET": "0123456789abcdef",
    }

    def run(*arguments):
        command = unprivileged("assistant", *arguments)
        return subprocess.run(command, cwd=root / "data", env=environment, capture_output=True, text=True, check=False)

    version = json.loads(run("version", "--json").stdout)["version"]
    demo = run("demo")
    command = unprivileged("assistant", "serve")
    with (
        app_address() as environment["GITHUB_API_URL"],
        subprocess.Popen(command, cwd=root / "data", env=environment, stderr=subprocess.PIPE, text=True) as server,
    ):
        for line in server.stderr:
            if "running on" in line:
                break
        healthy = run("healthcheck")
        server.terminate()
        server.stderr.read()

    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert (demo.returncode, demo.stderr) == (0, "")
    assert (healthy.returncode, healthy.stderr, server.returncode) == (0, "", 0)
    assert (root / "data" / "assistant.db").exists()
