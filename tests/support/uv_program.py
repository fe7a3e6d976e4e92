"""Runs uv for tests; a test is skipped with the reason where uv or the registry is missing."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
OFFLINE = re.compile(r"Failed to fetch|error sending request|dns error|timed out")


def uv(*arguments, cwd=ROOT, **variables):
    """Run uv to its end, or skip the test: without uv, or where a registry cannot be reached."""
    if UV is None:
        pytest.skip("uv is not here")
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | variables
    ran = subprocess.run(
        (UV, *map(str, arguments)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    if ran.returncode and OFFLINE.search(ran.stderr):
        pytest.skip(f"a registry cannot be reached: {ran.stderr[-200:]}")
    assert ran.returncode == 0, ran.stderr
