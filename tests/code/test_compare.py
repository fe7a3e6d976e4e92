from dataclasses import replace

import pytest

from bot.core.code.compare import blocks, blocks_read, changed_paths, new_hunks
from bot.core.code.diff import Diff, FileDiff, Hunk, Line, Status


def hunk(text, start=1, context="x"):
    """Lines as in a patch: "+a -b c"; everything else is context."""
    lines, old, new = [], start, start
    for word in f"{context} {text} {context}".split():
        lines.append(
            Line(
                word[1:] if word[0] in "+-" else word, None if word[0] == "+" else old, None if word[0] == "-" else new
            )
        )
        old, new = old + (word[0] != "+"), new + (word[0] != "-")
    return Hunk(tuple(lines))


def file(*hunks, path="a.py", **values):
    return FileDiff(path, Status.MODIFIED, tuple(hunks), **values)


def paths(diff):
    return {one.path: len(one.hunks) for one in diff}


ONE, TWO = hunk("+a -b +c"), hunk("+d", 50)
SEEN = blocks([file(ONE, TWO)])


@pytest.mark.parametrize(
    ("later", "unread"),
    [
        (file(ONE, TWO), {}),
        (file(hunk("+a -b +c", 90), hunk("+d", 140)), {}),
        (file(hunk("+a -b +c", context="rebased"), TWO), {}),
        (file(hunk("+a -b +c x +d")), {}),
        (file(ONE), {}),
        (file(ONE, TWO, hunk("+e", 99)), {"a.py": 1}),
        (file(hunk("+a -b +changed"), TWO), {"a.py": 1}),
        (file(ONE, TWO, TWO), {"a.py": 1}),
        (file(ONE, TWO, path="b.py"), {}),
        (file(ONE, TWO, path="b.py", previous_path="a.py"), {}),
        (file(ONE, hunk("+e"), path="b.py", previous_path="a.py"), {"b.py": 1}),
    ],
    ids=[
        "nothing new",
        "moved down",
        "other context",
        "two hunks became one",
        "a hunk is gone",
        "a new hunk",
        "an edited hunk",
        "the same once more",
        "another name",
        "renamed",
        "renamed with edits",
    ],
)
def test_only_blocks_that_were_not_read_are_read(later, unread):
    assert paths(new_hunks(Diff((later,)), SEEN)) == unread


def test_a_second_file_with_the_same_lines_is_news_while_the_first_is_there():
    diff = Diff((file(ONE, TWO), file(ONE, path="b.py")))

    assert paths(new_hunks(diff, SEEN)) == {"b.py": 1}


def test_without_a_memory_everything_is_news():
    assert paths(new_hunks(Diff((file(ONE, TWO),)), {})) == {"a.py": 2}


def test_what_could_not_be_read_is_not_remembered():
    whole = file(ONE, TWO)

    assert blocks_read([whole], Diff((replace(whole, hunks=(TWO,)),))) == blocks([file(ONE)])


@pytest.mark.parametrize(
    ("later", "changed"),
    [
        ([file(ONE, TWO)], set()),
        ([file(hunk("+a -b +c", 90, context="rebased"), TWO)], set()),
        ([file(ONE, TWO, path="b.py", previous_path="a.py")], set()),
        ([file(ONE)], {"a.py"}),
        ([file(ONE, TWO, hunk("+e", 90))], {"a.py"}),
        ([file(ONE, TWO), file(ONE, path="b.py")], {"b.py"}),
        ([], {"a.py"}),
    ],
    ids=["same", "rebased", "renamed", "a block went", "a block came", "a file came", "a file went"],
)
def test_a_file_is_touched_when_a_block_comes_or_goes(later, changed):
    assert changed_paths(later, SEEN) == changed
