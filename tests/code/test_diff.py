"""Patches -> Diff: read whole or not at all, and undone exactly."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.code.diff import MAX_LINES, Diff, FileDiff, Side, Status, base_text, parse_diff, parse_patch
from bot.errors import UserError
from tests.support.patches import Repository, changes, unified

SEVEN = b"a\nb\nc\nd\ne\nf\ng\n"
OLD = {
    "b/ b/x.py": b"1\n2\n",
    "sub a b/a b.py": b"1\n",
    "café.py": b"a\n",
    'q"t\ty\\.py': b"a\n",
    "line\nbreak": b"a\n",
    "mode.sh": b"x\n",
    "both.sh": b"x\n",
    "moved.py": SEVEN + SEVEN,
    "edited and moved.py": SEVEN,
    "binary": b"\0\1",
    "gone.sql": b"-- x\n++ y\n",
    "empty": b"",
    "filled": b"",
    "emptied": b"x\n",
    "crlf": b"a\r\nb\r\nc\r\n",
    "no newline": b"a\nb",
    "newline": b"a\nb\n",
    "separators": b"a\x0cb\xe2\x80\xa8c\rd\n" * 3,
    "latin1": b"caf\xe9\n",
    " leading and trailing ": b"x\n",
}
NEW = OLD | {
    "b/ b/x.py": b"1\n3\n",
    "sub a b/a b.py": b"2\n",
    "café.py": b"b\n",
    'q"t\ty\\.py': b"b\n",
    "line\nbreak": b"b\n",
    "both.sh": b"y\n",
    "binary": b"\0\2",
    "empty too": b"",
    "filled": b"--- a/x\n+++ b/x\n@@ -1 +1 @@\ndiff --git a/x b/x\n-- \n",
    "emptied": b"",
    "crlf": b"a\r\nB\r\nc\n",
    "no newline": b"a\nb\n",
    "newline": b"a\nc",
    "separators": b"a\x0cb\xe2\x80\xa8c\rd\n" * 2 + b"e\x0b\x1c\x85\n",
    "latin1": b"caf\xe9s\n",
    "née/new.py": SEVEN.replace(b"g", b"G"),
    "new name.py": SEVEN + SEVEN,
    " leading and trailing ": b"y\n",
}
LEFT = ("moved.py", "edited and moved.py", "gone.sql")


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    made = Repository(tmp_path_factory.mktemp("torture"))
    made.write(OLD)
    made.commit()
    for path in LEFT:
        (made.directory / path).unlink()
    made.write({path: content for path, content in NEW.items() if path not in LEFT})
    for path in ("mode.sh", "both.sh"):
        (made.directory / path).chmod(0o755)
    made.commit()
    return made


def text(content):
    return content.decode(errors="replace")


@pytest.mark.parametrize(
    "options", [(), ("--no-prefix",), ("--unified=0",), ("--unified=100",), ("--full-index",), ("-R",), ("-M100%",)]
)
def test_every_file_of_a_torture_repository_is_read_as_git_means_it(repository, options):
    found = parse_diff(text(repository.git("diff", *options, "HEAD~1", "HEAD")))

    names = repository.git("diff", "--name-only", "-z", *options, "HEAD~1", "HEAD")
    assert [file.path for file in found] == [text(name) for name in names.split(b"\0")[:-1]]
    assert [file.path for file in found if file.unread] == ["binary"]
    old, new = (OLD, NEW) if "-R" not in options else (NEW, OLD)
    for file in found:
        if not file.unread and file.path != "mode.sh":
            base = "" if file.status is Status.ADDED else text(old[file.base_path])
            head = "" if file.status is Status.REMOVED else text(new[file.path])
            assert base_text(head, file) == base


def test_renames_modes_and_removals_have_githubs_status(repository):
    found = {file.path: file for file in parse_diff(text(repository.git("diff", "HEAD~1", "HEAD")))}

    assert found["new name.py"] == FileDiff("new name.py", Status.RENAMED, previous_path="moved.py")
    assert (found["née/new.py"].status, found["née/new.py"].previous_path) == (Status.RENAMED, "edited and moved.py")
    assert found["mode.sh"] == FileDiff("mode.sh", Status.CHANGED)
    assert found["gone.sql"].status is Status.REMOVED
    assert found["both.sh"].status is found["emptied"].status is found["filled"].status is Status.MODIFIED
    assert found["empty too"].status is Status.ADDED


def test_a_patch_mail_is_a_diff(repository):
    mail = text(repository.git("format-patch", "--stdout", "-1"))

    assert parse_diff(mail) == parse_diff(text(repository.git("diff", "--binary", "HEAD~1", "HEAD")))


def test_a_full_index_names_the_heads_blob(repository):
    file = parse_diff(text(repository.git("diff", "--full-index", "HEAD~1", "HEAD"))).file("crlf")

    assert file.blob == text(repository.git("rev-parse", "HEAD:crlf")).strip()


def test_what_a_series_of_patches_changes_twice_is_not_guessed(tmp_path):
    repository = Repository(tmp_path)
    for content in (b"1\n", b"2\n", b"3\n"):
        repository.write({"twice": content, content.decode().strip(): b"x\n"})
        repository.commit()

    found = parse_diff(text(repository.git("format-patch", "--stdout", "-2")))

    assert [(file.path, bool(file.unread)) for file in found] == [("2", False), ("twice", True), ("3", False)]


def test_a_merges_combined_diff_is_named_and_unread():
    combined = "diff --cc a b.py\nindex 1,2..3\n--- a/a b.py\n+++ b/a b.py\n@@@ -1,1 -1,1 +1,1 @@@\n- x\n -y\n++z\n"

    (file,) = parse_diff(combined)

    assert (file.path, file.hunks, file.unread) == ("a b.py", (), "a merge's combined diff")


def test_a_plain_diff_needs_no_git():
    plain = "--- old/x.py\t2020-01-01\n+++ new/x.py\t2020-01-02\n@@ -1 +1 @@\n--- a\n+++ b\n--- /dev/null\n+++ b/y\n@@ -0,0 +1 @@\n+y\n"

    one, two = parse_diff(plain)

    assert (one.path, one.status, one.additions) == ("new/x.py", Status.MODIFIED, 1)
    assert (two.path, two.status) == ("y", Status.ADDED)


@pytest.mark.parametrize("nothing", ["", "\n", "  \n\n"])
def test_no_text_is_an_empty_diff(nothing):
    assert parse_diff(nothing) == Diff()


@pytest.mark.parametrize(
    "other", ["hello", "{}", "diff --git a/x b/x\n", "--- \n", "@@ -1 +1 @@\n-a\n+b\n", "diff --git"]
)
def test_what_is_no_diff_is_said_so(other):
    with pytest.raises(UserError, match="not a diff"):
        parse_diff(other)


PATCH = "@@ -1,2 +1,2 @@ def f():\n a\n-b\n+c"


def test_a_patch_of_the_files_api_has_its_numbers_and_section():
    file = parse_patch("f.py", Status.MODIFIED, PATCH, additions=1, deletions=1, blob="abc")

    (hunk,) = file.hunks
    assert hunk.section == "def f():"
    assert [(line.old, line.new, line.text) for line in hunk.lines] == [(1, 1, "a"), (2, None, "b"), (None, 2, "c")]
    assert [line.new for line in hunk.on(Side.RIGHT)] == [1, 2]
    assert [line.old for line in hunk.on(Side.LEFT)] == [2]
    assert file.added_lines == {2}


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        ("@@ -1,3 +1,2 @@\n a\n-b\n+c", "shorter"),
        ("@@ -1 +1 @@\n-a\n+b\n+c", "outside of every hunk"),
        ("-a\n+b", "outside of every hunk"),
        ("nonsense", "outside of every hunk"),
        ("@@@ -1 -1 +1 @@@\n--a\n++b", "outside of every hunk"),
        (f"@@ -1 +{'9' * 5000} @@\n-a\n+b", "outside of every hunk"),
        ("@@ -9 +9 @@\n-a\n+b\n@@ -1 +1 @@\n-a\n+b", "out of order"),
        ("@@ -1 +0 @@\n-a\n+b", "out of order"),
        ("@@ -1 +1 @@\n-a\n+b\ndiff --git a/y b/y", "outside of every hunk"),
        ("@@ -1 +1 @@\n-a\n+b\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n-a\n+b", "more than one file"),
        ("@@ -0,0 +1,20001 @@\n" + "+a\n" * 20001, "over 1,000,000 characters or 20,000 lines"),
        ("@@ -0,0 +1 @@\n+" + "a" * 1_000_000, "over 1,000,000 characters"),
    ],
)
def test_what_cannot_be_read_is_unread_for_a_reason(patch, reason):
    file = parse_patch("f.py", Status.MODIFIED, patch)

    assert file.hunks == ()
    assert reason in file.unread


def test_a_patch_that_lacks_lines_is_cut():
    assert "cut" in parse_patch("f.py", Status.MODIFIED, PATCH, additions=5, deletions=1).unread


@pytest.mark.parametrize(
    ("status", "known", "unread"),
    [
        (Status.RENAMED, {}, ""),
        (Status.ADDED, {"blob": "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"}, ""),
        (Status.MODIFIED, {}, "binary, or only its mode changed"),
        (Status.MODIFIED, {"additions": 9}, "its patch was left out: too large"),
    ],
)
def test_a_file_without_a_patch_is_unread_unless_nothing_changed(status, known, unread):
    assert parse_patch("f", status, "", **known).unread == unread


@given(changes(), st.sampled_from([0, 1, 3]))
def test_undoing_a_patch_gives_back_the_base(change, context):
    old, new = change
    file = parse_patch("f", Status.RENAMED, unified(old, new, context))

    assert not file.unread
    assert base_text(new, file) == old


@given(changes(), changes())
def test_a_patch_is_undone_only_where_it_fits(change, other):
    file = parse_patch("f", Status.RENAMED, unified(*change))
    undone = base_text(other[1], file)

    if undone is not None and file.hunks:
        kept = [line.text + line.ending for hunk in file.hunks for line in hunk.lines if not line.removed]
        assert all(line in other[1] for line in kept)


@pytest.mark.parametrize(
    "lying",
    [
        "@@ -1 +2 @@\n-a\n+b\n",
        "@@ -2 +1 @@\n-a\n+b\n",
        "@@ -1 +3 @@\n-a\n+b\n@@ -2 +3,0 @@\n-c\n",
    ],
)
def test_a_patch_whose_numbers_lie_is_not_undone(lying):
    file = parse_patch("f", Status.MODIFIED, lying)

    assert file.hunks
    assert base_text("b\nb\nb\n", file) is None


def test_a_patch_that_windows_saved_is_read():
    patch = "diff --git a/x.py b/y.py\nrename from x.py\nrename to y.py\n--- a/x.py\n+++ b/y.py\n@@ -1 +1 @@\n-a\n+b\n"

    (file,) = parse_diff(patch.replace("\n", "\r\n"))

    assert (file.path, file.previous_path, file.status, file.additions) == ("y.py", "x.py", Status.RENAMED, 1)


@given(changes(), st.data())
def test_no_patch_however_broken_raises(change, data):
    patch = unified(*change)
    at = data.draw(st.integers(0, len(patch)))
    to = data.draw(st.integers(at, len(patch)))
    broken = patch[:at] + data.draw(st.text(alphabet="+- @\\,0123456789\n\r\tadb/", max_size=20)) + patch[to:]

    file = parse_patch("f", Status.MODIFIED, broken, additions=data.draw(st.integers(0, 3)))

    assert not (file.unread and file.hunks)
    with contextlib.suppress(UserError):
        parse_diff(f"diff --git a/f b/f\n--- a/f\n+++ b/f\n{broken}")


@pytest.mark.parametrize(
    "hostile",
    [
        "diff --git a/x b/x\nindex 1..2\nBinary files a/" + " and x" * 20_000 + "\n",
        "diff --git a/" + " b/" * 100_000 + "\nnew mode 100644\n",
        "diff --git a/x b/x\n" * 50_000,
        "--- a\n+++ b\n" * 50_000,
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n" + "@@ -1,99999999 +1,99999999 @@\n" * 50_000,
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,9 +1,9 @@\n" + "Binary files x and x" * 20_000 + "\n",
        'diff --git "' + "\\" * 100_000 + '" b\n',
        "".join(f"diff --git a/{n} b/{n}\n--- a/{n}\n+++ b/{n}\n@@ -1 +1 @@\n-a\n+b\n" for n in range(5_000)),
    ],
)
def test_hostile_patches_take_linear_time(hostile):
    began = time.process_time()
    with contextlib.suppress(UserError):
        parse_diff(hostile)

    assert time.process_time() - began < 3


def test_a_large_patch_is_read_in_full():
    patch = "@@ -0,0 +1,19999 @@\n" + "+a\n" * (MAX_LINES - 1)

    assert len(parse_patch("f", Status.ADDED, patch).added_lines) == MAX_LINES - 1
