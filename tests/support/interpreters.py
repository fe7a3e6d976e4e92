"""The Pythons of this machine: on the PATH, or where pyenv keeps them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def interpreter(minor):
    """A Python 3.`minor` of this machine; without one the test is skipped."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python3.{minor}"), *sorted(root.glob(f"3.{minor}.*/bin/python3"))]
    if sys.version_info[1] == minor:
        found.insert(0, sys.executable)
    return next((str(place) for place in found if place and _runs(place)), None) or pytest.skip(
        f"Python 3.{minor} is not here"
    )


def _runs(python):
    ran = subprocess.run((python, "-c", "import sqlite3, venv"), capture_output=True, check=False, timeout=20)
    return ran.returncode == 0
