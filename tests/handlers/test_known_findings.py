"""A person's word on a finding holds at every later push, in whichever words it was given."""

import pytest

from tests.support.product import Theatre


@pytest.fixture(scope="module")
def theatre():
    theatre = Theatre()
    yield theatre
    theatre.close()


@pytest.mark.parametrize("reason", ["too noisy here", "thumbs down"])
def test_a_dismissal_by_command_holds_whatever_its_reason_says(theatre, reason):
    pull = theatre.open()
    theatre.settle()
    thread = next(comment for comment in pull.comments if "except" in comment.body)

    pull.reply(thread.id, "alice", f"/assistant dismiss {reason}")
    theatre.settle()
    theatre.play(pull.push({"other.py": "x = 1\n"}))
    theatre.settle()
    after = next(comment.body for comment in pull.comments if comment.id == thread.id)

    assert after.startswith("~~")
    assert f"**Dismissed** by `alice`: {reason}" in after
