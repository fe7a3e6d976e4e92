"""The vendor's SDK is loaded by the first call of a model, not by the start of a server."""

import subprocess
import sys

STORY = """
import sys
import bot.cli.serve
from bot.app import build_model
from bot.model.client import sdk
from bot.settings import Settings

build_model(Settings.read(_env_file=None, openai_api_key="sk-test-0123456789abcdef"), b"secret")
assert "openai" not in sys.modules
assert sdk().AsyncOpenAI and "openai" in sys.modules
"""


def test_a_server_starts_without_the_sdk_of_its_model():
    ended = subprocess.run([sys.executable, "-c", STORY], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
