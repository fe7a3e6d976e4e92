"""A person's word on a finding holds at every later push, in whichever words it was given."""

import pytest

from tests.support.product import RunningProduct


@pytest.fixture(scope="module")
def product():
    product = RunningProduct()
    yield product
    product.close()


@pytest.mark.parametrize("reason", ["too noisy here", "thumbs down"])
def test_a_dismissal_by_command_holds_whatever_its_reason_says(product, reason):
    pull = product.open()
    product.settle()
    thread = next(comment for comment in pull.comments if "except" in comment.body)

    pull.reply(thread.id, "alice", f"/assistant dismiss {reason}")
    product.settle()
    product.play(pull.push({"other.py": "x = 1\n"}))
    product.settle()
    after = next(comment.body for comment in pull.comments if comment.id == thread.id)

    assert after.startswith("~~")
    assert f"**Dismissed** by `alice`: {reason}" in after


LEVEL = "def level(items):\n    try:\n        return sum(items)\n    except{}:\n        return 0\n"
SHIP = "def ship(box):\n    try:\n        return box.send()\n    except:\n        pass\n"


@pytest.mark.parametrize("dismissed", [False, True])
@pytest.mark.parametrize("same_file", [False, True])
def test_a_mistake_repaired_here_and_made_there_is_new_there(product, dismissed, same_file):
    pull = product.open({"depot/stock.py": LEVEL.format("")})
    product.settle()
    (thread,) = pull.comments
    if dismissed:
        pull.reply(thread.id, "alice", "/assistant dismiss meant so")
        product.settle()
    repaired = LEVEL.format(" TypeError")
    files = (
        {"depot/stock.py": f"{repaired}\n\n{SHIP}"}
        if same_file
        else {"depot/stock.py": repaired, "depot/ship.py": SHIP}
    )
    product.play(pull.push(files))
    product.settle()
    new = [comment for comment in pull.comments if comment.in_reply_to is None and comment.id != thread.id]
    old = next(comment.body for comment in pull.comments if comment.id == thread.id)

    assert [(comment.path, comment.line) for comment in new] == [
        ("depot/stock.py", 11) if same_file else ("depot/ship.py", 4)
    ]
    assert ("**Dismissed**" if dismissed else "**Fixed**") in old


LIST = "def add(x, rows=[]):\n    rows.append(x)\n    return rows\n"


@pytest.mark.parametrize("how", ["resolve", "command"])
@pytest.mark.parametrize("away", ["deleted", "repaired", "force-pushed"])
def test_a_dismissal_outlives_its_code_however_it_was_made(product, how, away):
    pull = product.open({"a.py": LIST, "b.py": "x = 1\n"})
    product.settle()
    (thread,) = pull.comments
    if how == "resolve":
        pull.resolve(thread, "alice")
    else:
        pull.reply(thread.id, "alice", "/assistant dismiss meant so")
    product.settle()
    gone = {"a.py": LIST.replace("[]", "None")} if away == "repaired" else {"a.py": None}
    product.play(pull.push({**gone, "n.py": "y = 1\n"}, **({"force": True} if away == "force-pushed" else {})))
    product.settle()
    before = len(pull.comments)
    product.play(pull.push({"a.py": LIST}))
    product.settle()

    assert len(pull.comments) == before
    assert "still open" not in pull.check_runs()[-1].title
    body = next(comment.body for comment in pull.comments if comment.id == thread.id)
    assert ("**Resolved** by `alice`" if how == "resolve" else "**Dismissed** by `alice`") in body


def test_one_mistake_at_several_places_is_one_comment_whose_places_live_apart(product):
    pull = product.open({"a.py": f"{LIST}\n\n{SHIP}", "b.py": SHIP, "c.py": SHIP})
    product.settle()
    mistakes = [comment for comment in pull.comments if "except" in comment.body]

    assert [(comment.path, comment.line) for comment in mistakes] == [("a.py", 9)]
    assert "The same problem at [`b.py:4`](" in mistakes[0].body
    assert "`c.py:4`" in mistakes[0].body
    assert pull.check_runs()[-1].title.startswith("4 new findings")

    product.play(pull.push({"b.py": LEVEL.format(" TypeError")}))
    product.settle()
    assert "3 still open" in pull.check_runs()[-1].title

    pull.reply(mistakes[0].id, "alice", "/assistant dismiss meant so")
    product.settle()
    product.play(pull.push({"n.py": "y = 1\n"}))
    product.settle()
    assert "1 still open" in pull.check_runs()[-1].title
