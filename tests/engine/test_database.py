"""The engine's database and locks: rows cannot run as code, and locks end with their process."""

import json

import pytest

from bot.engine.database import JsonSerializer
from bot.engine.workers import FileLiveness, PostgresLiveness
from bot.errors import RateLimited, Superseded, Unprocessable, UserError

pytest_plugins = ["tests.support.postgres"]


@pytest.mark.parametrize(
    "error",
    [RateLimited("wait", after=7.5), Unprocessable("422"), UserError("no"), Superseded("moved"), ValueError("x")],
)
def test_an_error_comes_back_from_the_database_as_what_it_was(error):
    back = JsonSerializer().deserialize(JsonSerializer().serialize(error))

    assert type(back) is (RuntimeError if isinstance(error, ValueError) else type(error))
    assert str(error) in str(back)
    assert getattr(back, "after", None) == getattr(error, "after", None)


def test_data_that_looks_like_an_error_stays_data():
    value = {"ok": {"$error": {"type": "Superseded", "message": "", "after": None}}}

    assert JsonSerializer().deserialize(json.dumps(value)) == value


def liveness(kind, tmp_path, request):
    if kind == "file":
        return lambda worker: FileLiveness(tmp_path, worker)
    dsn = request.getfixturevalue("new_postgres")()
    return lambda worker: PostgresLiveness(dsn, worker)


@pytest.mark.parametrize("kind", ["file", "postgres"])
def test_a_worker_is_dead_when_its_lock_is_free(kind, tmp_path, request):
    create = liveness(kind, tmp_path, request)
    one, other = create("one"), create("other")
    one.take()
    other.take()

    with other.dead("one") as dead:
        assert not dead
    one.release()
    with other.dead("one") as dead:
        assert dead
    other.release()


def test_a_worker_takes_its_lock_again_when_the_connection_was_cut(new_postgres):
    dsn = new_postgres()
    one, other = PostgresLiveness(dsn, "one"), PostgresLiveness(dsn, "other")
    one.take()
    other.take()
    other._connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype='advisory' AND pid<>pg_backend_pid()"
    )
    with pytest.raises(Exception, match="terminat"):
        one._ask("SELECT 1 WHERE %s IS NOT NULL", "one")
    one.take()

    with other.dead("one") as dead:
        assert not dead
    one.release()
    other.release()
