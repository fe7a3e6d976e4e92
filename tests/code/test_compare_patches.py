"""The patch between two versions: it undoes, and it stays within its bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.code.compare import LINES, is_binary, make_patch
from bot.core.code.diff import Status, base_text, parse_patch

LINE = st.sampled_from(["a", "b", "c", "", "-- x", "++ y", "@@ z", "a\r", "x\u2028y"])
TEXT = st.tuples(st.lists(LINE, max_size=30), st.booleans()).map(
    lambda t: "\n".join(t[0]) + "\n" * (t[1] and bool(t[0]))
)


@given(TEXT, TEXT)
def test_a_patch_undone_is_the_version_before(old, new):
    made = make_patch(old.encode(), new.encode())
    file = parse_patch("f", Status.MODIFIED, made)
    assert bool(made) == (old != new)
    if made:
        assert file.unread == ""
        assert base_text(new, file) == old


def test_it_looks_like_gits():
    old = "".join(f"{n}\n" for n in range(1, 30))
    new = old.replace("15\n", "fifteen\n").removesuffix("\n")
    assert make_patch(old.encode(), new.encode()) == (
        "@@ -12,7 +12,7 @@\n 12\n 13\n 14\n-15\n+fifteen\n 16\n 17\n 18\n"
        "@@ -26,4 +26,4 @@\n 26\n 27\n 28\n-29\n+29\n\\ No newline at end of file\n"
    )


@pytest.mark.parametrize(("old", "new", "header"), [(b"", b"x\n", "@@ -0,0 +1,1 @@"), (b"x\n", b"", "@@ -1,1 +0,0 @@")])
def test_a_file_may_come_or_go(old, new, header):
    assert make_patch(old, new).startswith(header)


def test_over_its_bounds_there_is_none():
    many = b"x\n" * (LINES + 1)
    assert make_patch(many, many + b"y\n") == ""
    one, other = (b"".join(b"%d %d\n" % (n, side) for n in range(6000)) for side in (0, 1))
    assert make_patch(one, other) == ""
    assert make_patch(b"", one) != ""


def test_binary_is_what_git_calls_so():
    assert is_binary(b"\x89PNG\0")
    assert not is_binary("é".encode("latin-1"))
