"""LiteLLM's proxy in a process of its own, in front of another server. uv installs it apart: its requirements are not ours."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bot.cli.serve import listen
from tests.support.uv_program import OFFLINE, UV

KEY = "sk-" + "0123456789abcdef" * 4
PACKAGE = "litellm[proxy]==1.108.7"


@contextmanager
def litellm_proxy(folder, upstream):
    """Runs the proxy before the server at `upstream`; yields its base URL. Skips the test where it cannot be installed."""
    if UV is None:
        pytest.skip("uv is not here")
    socket, url = listen()
    port = socket.getsockname()[1]
    socket.close()
    routed = {"model": "openai/m", "api_base": upstream, "api_key": "sk-up"}
    config = Path(folder) / "litellm.json"
    config.write_text(json.dumps({"model_list": [{"model_name": "m", "litellm_params": routed}]}))
    log = (Path(folder) / "litellm.log").open("wb")
    command = (
        UV,
        "tool",
        "run",
        "--from",
        PACKAGE,
        "litellm",
        "--config",
        config,
        "--port",
        port,
        "--host",
        "127.0.0.1",
    )
    quiet = {"LITELLM_TELEMETRY": "False", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": KEY}
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | quiet
    process = subprocess.Popen(
        [str(part) for part in command], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    try:
        _await_health(url, process, Path(log.name))
        yield f"{url}/v1"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        log.close()


def _await_health(url, process, log):
    for _ in range(600):
        if process.poll() is not None:
            said = log.read_text(errors="replace")[-2000:]
            if OFFLINE.search(said):
                pytest.skip(f"a registry cannot be reached: {said[-200:]}")
            pytest.fail(f"LiteLLM does not start: {said}")
        try:
            with urllib.request.urlopen(f"{url}/health/liveliness", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail("LiteLLM did not start within two minutes")
