"""Each Python that is at hand, with its own SQLite and with the newest: the demo runs in a C locale, and a server starts."""

import socket
import subprocess
import time

import pytest

from bot.sandbox.api.auth import key_pair
from tests.support.app_address import app_address
from tests.support.interpreters import interpreter
from tests.support.uv_program import uv

C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0"}
NEWEST = """import sys
import pysqlite3
from pysqlite3 import dbapi2
sys.modules |= {"sqlite3": pysqlite3, "sqlite3.dbapi2": dbapi2}
"""
VERSIONS = "import sys, sqlite3; print(sys.version.split()[0], sqlite3.sqlite_version)"


@pytest.mark.long
@pytest.mark.parametrize("newest", [False, True], ids=["its own SQLite", "the newest SQLite"])
@pytest.mark.parametrize("minor", [11, 12, 13, 14])
def test_the_demo_and_a_server_run_on_every_python_at_hand(minor, newest, tmp_path):
    python = interpreter(minor)
    place, bin_ = tmp_path / "env", tmp_path / "env" / "bin"
    uv("sync", "--locked", "--no-dev", "--quiet", "--python", python, UV_PROJECT_ENVIRONMENT=str(place))
    environment = {"PATH": f"{bin_}:/usr/bin:/bin", "HOME": str(tmp_path), **C_LOCALE}
    if newest:
        uv("pip", "install", "--quiet", "--python", bin_ / "python", "pysqlite3-binary")
        (tmp_path / "path").mkdir()
        (tmp_path / "path" / "sitecustomize.py").write_text(NEWEST)
        environment["PYTHONPATH"] = str(tmp_path / "path")

    def run(*command):
        ran = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", timeout=120, check=False
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout

    versions = run(bin_ / "python", "-c", VERSIONS).split()
    begun = time.monotonic()
    demo = run(bin_ / "assistant", "demo")
    middle = time.monotonic()
    _serve_and_leave(bin_ / "assistant", tmp_path, environment, run)
    print(  # noqa: T201 - the figures of `make matrix`
        f"Python {versions[0]}, SQLite {versions[1]}: demo {middle - begun:.1f} s, server {time.monotonic() - middle:.1f} s"
    )

    assert "📖 docs/standards/" in demo


def _serve_and_leave(assistant, folder, environment, run):
    with socket.create_server(("127.0.0.1", 0)) as bound:
        environment["PORT"] = str(bound.getsockname()[1])
    environment |= {
        "GITHUB_APP_ID": "1234",
        "GITHUB_PRIVATE_KEY": key_pair().private,
        "GITHUB_WEBHOOK_SECRET": "9f6e0c1d2b3a48576a7b8c9d",
    }
    with (
        app_address() as environment["GITHUB_API_URL"],
        subprocess.Popen((assistant, "serve"), cwd=folder, env=environment, stderr=subprocess.PIPE) as server,
    ):
        for line in server.stderr:
            if b"running on" in line:
                break
        run(assistant, "healthcheck")
        server.terminate()
        server.stderr.read()
    assert server.returncode == 0
