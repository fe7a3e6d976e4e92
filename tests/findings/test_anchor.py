"""Quoted code -> a place GitHub accepts. The oracle walks the raw patch by GitHub's rule, without our parser."""

import json
import re
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.code.diff import Diff, Side, Status, parse_diff, parse_patch
from bot.core.findings.anchor import (
    Place,
    _exact_lines,
    _inline,
    _line_with_number,
    _occurrences,
    _Same,
    _views,
    anchor,
)
from tests.support.patches import changes, lines_of, unified
from tests.support.store_change import DIFF, PATCH

ROOT = Path(__file__).parents[2]


def placed(quoted, side=Side.RIGHT, near=None, path="src/store.py"):
    return anchor(path, quoted, DIFF, side, near)


def test_a_line_hangs_where_it_stands():
    place = placed("    file = open(path)")

    assert (place.place, place.side, place.start, place.line) == (Place.INLINE, Side.RIGHT, None, 4)
    assert (place.text, place.exact, place.why) == ("    file = open(path)", True, "")


def test_several_lines_are_a_range():
    place = placed("    file = open(path)\n    text = file.read()\n    return text\n")

    assert (place.start, place.line, place.exact) == (4, 6, True)


def test_a_context_line_can_carry_a_comment():
    assert placed("import os").line == 1


@pytest.mark.parametrize(
    ("quoted", "start", "line", "exact"),
    [
        ("file = open(path)\ntext = file.read()", 4, 5, False),  # without its indentation
        ("    file  =  open(path)", None, 4, False),
        ("+    file = open(path)\n+    text = file.read()", 4, 5, True),  # with a diff's marks
        ("-    return open(path).read()\n+    file = open(path)", None, 4, True),  # both sides: ours counts
        ("4+    file = open(path)\n5+    text = file.read()", 4, 5, True),  # with the numbers it was shown
        ("3 def load(path):\n4+    file = open(path)", 3, 4, True),
        ("4 | file = open(path)\n5 | text = file.read()", 4, 5, False),
        ("L4:     file = open(path)", None, 4, True),
        ("```python\n    file = open(path)\n```", None, 4, True),
        ("\n\n    file = open(path)   \n\n", None, 4, True),
        ("def load(path):\n    ...\n    return text", 3, 6, False),  # with lines left out
        ("    file = open(path)\n# ...", None, 4, False),
        ("    file = open(path)\n    this line was made up", None, 4, False),  # only one line is real
        ("open(path)\n", None, 4, False),  # a part of a line
    ],
)
def test_models_quote_in_many_ways(quoted, start, line, exact):
    place = placed(quoted)

    assert (place.place, place.start, place.line, place.exact) == (Place.INLINE, start, line, exact)


def test_among_equals_the_nearest_changed_line_wins():
    assert placed("return text").line == 6
    assert placed("return text", near=24).line == 24
    assert placed("return text", near=1).line == 6
    assert placed("return text", near=8).line == 6
    assert placed("return text", near=20).line == 24


def test_a_changed_line_wins_over_a_nearer_one():
    diff = Diff((parse_patch("a.py", Status.MODIFIED, "@@ -1,2 +1,3 @@\n x = 1\n y = 2\n+x = 1\n"),))

    assert anchor("a.py", "x = 1", diff, near=1).line == 3


def test_a_removed_line_hangs_on_the_left():
    place = placed("    return open(path).read()", side=Side.LEFT)

    assert (place.place, place.side, place.line) == (Place.INLINE, Side.LEFT, 4)


def test_a_removed_line_quoted_as_new_hangs_on_the_left_too():
    assert placed("    return open(path).read()").side is Side.LEFT


def test_whole_lines_of_the_base_are_better_than_one_line_of_the_head():
    place = placed("    a = 1\n    b = 2\n    c = 3", side=Side.RIGHT)

    assert (place.side, place.start, place.line) == (Side.LEFT, 21, 22)


def test_on_the_left_a_range_is_drawn_in_to_removed_lines():
    place = placed("    a = 1\n    b = 2\n    c = 3\n    d = 4", side=Side.LEFT)

    assert (place.side, place.start, place.line, place.exact) == (Side.LEFT, 21, 22, False)


def test_a_quote_across_two_hunks_hangs_on_one_line_of_one():
    place = placed("    return text\n\ndef save(path):\n    a = 1\n    b = 20")

    assert (place.start, place.line) == (None, 8)
    assert "only one line" in place.why


@pytest.mark.parametrize(
    ("path", "quoted", "place", "path_then", "why"),
    [
        ("src/store.py", "nowhere to be found", Place.FILE, "src/store.py", "not in the changed part"),
        ("src/store.py", "", Place.FILE, "src/store.py", "not in the changed part"),
        ("src/store.py", "...\n@@ -1 @@", Place.FILE, "src/store.py", "not in the changed part"),
        ("logo.png", "x", Place.FILE, "logo.png", "binary"),
        ("a.py", "x", Place.FILE, "b.py", "no line of the file changed"),
        ("other.py", "import os", Place.SUMMARY, "other.py", "not part of this change"),
        ("", "import os", Place.SUMMARY, "", "not part of this change"),
        ("store.py", "import os", Place.INLINE, "src/store.py", ""),
        ("b/src/store.py", "import os", Place.INLINE, "src/store.py", ""),
        ("./src/store.py", "import os", Place.INLINE, "src/store.py", ""),
        ("py", "import os", Place.SUMMARY, "py", "not part of this change"),
    ],
)
def test_nothing_is_lost(path, quoted, place, path_then, why):
    found = anchor(path, quoted, DIFF)

    assert (found.place, found.path) == (place, path_then)
    assert why in found.why
    assert found.place is Place.INLINE or (found.start, found.line, found.exact) == (None, None, False)


def test_an_ambiguous_path_is_not_guessed():
    twins = Diff(tuple(parse_patch(f"{name}/x.py", Status.MODIFIED, PATCH) for name in "ab"))

    assert anchor("x.py", "import os", twins).place is Place.SUMMARY


def open_lines(patch):
    """(side, line) -> number of the hunk, for every line GitHub takes a comment on. Walks the raw text."""
    allowed, old, new, hunk = {}, 0, 0, 0
    for line in patch.split("\n"):
        if header := re.match(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@", line):
            old, new, hunk = int(header[1]), int(header[2]), hunk + 1
        elif line.startswith("+"):
            allowed[Side.RIGHT, new] = hunk
            new += 1
        elif line.startswith("-"):
            allowed[Side.LEFT, old] = hunk
            old += 1
        elif line.startswith(" "):
            allowed[Side.RIGHT, new] = hunk
            old, new = old + 1, new + 1
    return allowed


def accepted(place, patch, path):
    """Whether GitHub takes a comment at this place. https://docs.github.com/en/rest/pulls/reviews"""
    if place.place is not Place.INLINE:
        return place.start is None and place.line is None and (place.place is Place.SUMMARY or place.path == path)
    allowed = open_lines(patch)
    ends = [place.line] if place.start is None else [place.start, place.line]
    hunks = {allowed.get((place.side, end)) for end in ends}
    ordered = place.start is None or place.start < place.line
    return place.path == path and ordered and len(hunks) == 1 and None not in hunks


def test_the_oracle_can_refuse():
    place = placed("    file = open(path)\n    text = file.read()")

    assert accepted(place, PATCH, "src/store.py")
    assert not accepted(place, PATCH.replace("+1,8", "+90,8"), "src/store.py")
    assert not accepted(place, PATCH, "elsewhere.py")


MANGLED = st.sampled_from(
    [
        lambda lines: lines,
        lambda lines: [line.strip() for line in lines],
        lambda lines: [f"+{line}" for line in lines],
        lambda lines: [f"{n}: {line}" for n, line in enumerate(lines, 7)],
        lambda lines: [lines[0], "...", lines[-1]],
        lambda lines: [*lines, "made up"],
        lambda lines: [lines[0][2:6]],
    ]
)


@given(
    changes(), st.sampled_from([0, 1, 3]), st.sampled_from(Side), st.none() | st.integers(-5, 40), MANGLED, st.data()
)
def test_every_place_is_accepted_whatever_is_quoted(change, context, side, near, mangled, data):
    old, new = change
    patch = unified(old, new, context)
    diff = Diff((parse_patch("f.py", Status.MODIFIED, patch),))
    source = lines_of(data.draw(st.sampled_from([old, new, patch]))) or ["x"]
    at = data.draw(st.integers(0, len(source) - 1))
    quoted = "\n".join(mangled([line.removesuffix("\n") for line in source[at : at + data.draw(st.integers(1, 6))]]))

    place = anchor("f.py", quoted, diff, side, near)

    assert accepted(place, patch, "f.py")


def _is_fence(text):
    return re.match(r"\s*(```|~~~|@@ )", text) is not None


@given(st.lists(st.sampled_from("ab"), max_size=12), st.lists(st.sampled_from("ab"), min_size=1, max_size=5))
def test_runs_of_lines_are_found_where_a_plain_search_finds_them(texts, want):
    found = [at for at in range(len(texts)) if texts[at : at + len(want)] == want]

    assert list(_occurrences(texts, want)) == found


@given(changes(), st.sampled_from(Side), st.data())
def test_the_line_a_check_names_is_the_one_a_search_finds(change, side, data):
    file = parse_patch("f.py", Status.MODIFIED, unified(*change))
    lines = [line for hunk in file.hunks for line in hunk.lines if line.number(side)]
    if not lines:
        return
    line = data.draw(st.sampled_from(lines))

    named = _line_with_number(file, line.text, side, line.number(side))

    assert (named is not None) == (line.added or line.removed) or not line.text.strip() or _is_fence(line.text)
    if named is not None:
        searched = _inline(file, line.text, side, line.number(side), (_exact_lines,))
        assert (named, named.exact, named.why) == (searched, searched.exact, searched.why)


@given(changes(), st.data())
def test_whole_lines_of_one_hunk_always_find_their_place(change, data):
    patch = unified(*change)
    file = parse_patch("f.py", Status.MODIFIED, patch)
    spans = [hunk.on(Side.RIGHT) for hunk in file.hunks if any(line.text.strip() for line in hunk.on(Side.RIGHT))]
    if not spans:
        return
    view = data.draw(st.sampled_from(spans))
    at = data.draw(st.integers(0, len(view) - 1))
    lines = view[at : data.draw(st.integers(at + 1, len(view)))]
    quoted = "\n".join(line.text for line in lines)
    if not quoted.strip() or re.match(r"\s*@@ ", quoted):
        return

    place = anchor("f.py", quoted, Diff((file,)), near=lines[-1].new)

    assert place.place is Place.INLINE
    assert place.exact


def history(commits):
    """The patches of this repository's own commits, newest first."""
    git = ["git", "log", "--no-merges", f"-{commits}", "--format=%x00", "--patch", "--find-renames", "--no-ext-diff"]
    run = subprocess.run(git, cwd=ROOT, capture_output=True, check=False)
    if run.returncode:
        pytest.skip("no git history here")
    return [patch for patch in run.stdout.decode(errors="replace").split("\0") if patch.strip()]


def rejected(patches):
    """How many hunks were tried, and the places for one changed line of each that GitHub would not take."""
    hunks, refused = 0, []
    for patch in patches:
        diff, raw = parse_diff(patch), raw_patches(patch)
        for file in diff:
            for hunk in file.hunks:
                line = next((line for line in hunk.lines if (line.added or line.removed) and line.text.strip()), None)
                if line:
                    side = Side.LEFT if line.removed else Side.RIGHT
                    place = anchor(file.path, line.text, diff, side, line.number(side))
                    hunks += 1
                    if place.place is not Place.INLINE or not accepted(place, raw[file.path], file.path):
                        refused.append(place)
    return hunks, refused


@pytest.mark.parametrize("commits", [40, pytest.param(100_000, marks=pytest.mark.long)])
def test_every_place_in_this_repositorys_history_is_accepted(commits, capsys):
    hunks, refused = rejected(history(commits))

    with capsys.disabled():
        sys.stdout.write(f"\n{hunks} hunks of this repository's history, {len(refused)} places refused\n")
    assert hunks
    assert refused == []


@pytest.mark.parametrize("files", [70, pytest.param(400, marks=pytest.mark.long)])
def test_every_place_in_changed_modules_of_the_standard_library_is_accepted(files, tmp_path, capsys):
    for module in sorted(Path(sysconfig.get_path("stdlib")).glob("[a-z]*.py"))[:files]:
        lines = module.read_bytes().splitlines(keepends=True)
        for name, keep in (("old", lambda n: n % 37), ("new", lambda n: n % 53 and n % 29)):
            (tmp_path / name).mkdir(exist_ok=True)
            kept = [line for n, line in enumerate(lines, 1) if keep(n)]
            (tmp_path / name / module.name).write_bytes(b"".join(kept))
    git = ["git", "diff", "--no-index", "--no-ext-diff", "--src-prefix=a/", "--dst-prefix=b/", "old", "new"]
    patch = subprocess.run(git, cwd=tmp_path, capture_output=True, check=False).stdout.decode(errors="replace")
    hunks, refused = rejected([patch.replace(" a/old/", " a/").replace(" b/new/", " b/")])

    with capsys.disabled():
        sys.stdout.write(f"\n{hunks} hunks of the standard library, {len(refused)} places refused\n")
    assert hunks >= 2_000
    assert refused == []


def raw_patches(patch):
    """path -> its hunks, cut out of a commit's patch without our parser."""
    found = {}
    for part in re.split(r"^diff --git .*\n", patch, flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n@@")
        if names := re.findall(r"^(?:\+\+\+ b/|--- a/)(.*?)\t?$", head, flags=re.MULTILINE):
            found[names[-1]] = f"@@{body}"
    return found


COPIED = [
    "    return db.execute(f\"select * from users where name = '{name}'\")",
    r'    pattern = re.compile("\\d+\\s")',
    "    say(`ls`)",
]


@pytest.mark.parametrize("text", COPIED)
@pytest.mark.parametrize(
    "copy",
    [
        json.dumps,
        lambda row: json.dumps(f"26+{row}"),
        lambda row: json.dumps(f"26+{row}") + ",",
        lambda row: '"26+' + row,
        lambda row: json.dumps(row)[1:-1],
        lambda row: f"`{row}`",
        lambda row: f"``{row}``",
        lambda row: f"```python\n{row}\n```",
        lambda row: f"26+{row}",
        lambda row: row.strip(),
    ],
)
def test_a_line_copied_in_the_spelling_of_a_view_finds_its_line(text, copy):
    diff = Diff((parse_patch("a.py", Status.MODIFIED, f"@@ -1 +1,3 @@\n a = 1\n+def f():\n+{text}\n"),))

    assert anchor("a.py", copy(text), diff).line == 3


def test_lines_with_escaped_ends_or_each_in_quotes_find_their_lines():
    diff = Diff((parse_patch("a.py", Status.MODIFIED, '@@ -1 +1,3 @@\n a = 1\n+def f():\n+    return "x"\n'),))
    rows = ["def f():", '    return "x"']

    for quoted in (
        "\\n".join(rows),
        "\n".join(map(json.dumps, rows)),
        ",\n".join(json.dumps(f"9+{row}") for row in rows),
    ):
        found = anchor("a.py", quoted, diff)
        assert (found.start, found.line) == (2, 3)


def added(*rows):
    """A diff that adds these lines to a.py, below one line of context."""
    patch = f"@@ -1 +1,{len(rows) + 1} @@\n import os\n" + "".join(f"+{row}\n" for row in rows)
    return Diff((parse_patch("a.py", Status.MODIFIED, patch),))


@pytest.mark.parametrize(("between", "found"), [(27, (2, 31)), (28, None)])
def test_a_quote_may_leave_out_so_many_lines_that_the_whole_has_thirty(between, found):
    """Two lines above the dots and one below them; with one more, none of them alone is unique."""
    rows = ["first()", "second()", *["fill()"] * between, "last()"]
    place = anchor("a.py", "first()\nsecond()\n...\nlast()", added(*rows))

    assert (found is not None) == (place.why == "the quote skips lines")
    assert found is None or (place.start, place.line) == found


def test_the_lines_below_the_dots_are_looked_for_below_those_above_them():
    place = anchor("a.py", "one()\none()\n...\none()", added("one()", "one()", "two()", "one()", "tail()"))

    assert (place.start, place.line) == (2, 5)


def test_dots_at_an_end_leave_the_lines_on_one_side_of_them():
    diff = added("one()", "two()", "three()")

    for quoted in ("one()\ntwo()\n...", "...\none()\ntwo()"):
        place = anchor("a.py", quoted, diff)
        assert (place.start, place.line, place.why) == (2, 3, "the quote skips lines")
    assert anchor("a.py", "...", diff).place is Place.FILE


def test_only_if_every_line_is_marked_are_the_marks_taken_away():
    diff = added("12 monkeys", "", "return text", "`ls`")

    for quoted in (
        "12 monkeys\n\nreturn text",
        "2+12 monkeys\n\n4+return text",
        "`12 monkeys`\n\n`return text`",
        '"12 monkeys",\n\n"return text"',
    ):
        place = anchor("a.py", quoted, diff)
        assert (place.start, place.line, place.exact) == (2, 4, True), quoted


@pytest.mark.parametrize(("quoted", "line"), [("four", 2), ("thr", None), ("eight888", 3), ("seven77", None)])
def test_a_line_of_four_letters_or_a_part_of_eight_is_enough_to_find_it(quoted, line):
    diff = added("four", "x = eight888(1)", "y = seven77(2)", "thr")
    place = anchor("a.py", f"nothing like it\n{quoted}", diff)

    assert place.line == line


def test_of_equal_lines_the_first_changed_one_is_taken_and_the_nearest_if_one_is_named():
    diff = added("same()", "other()", "same()", "other()", "same()")

    assert [anchor("a.py", "same()", diff, near=near).line for near in (None, 1, 2, 3, 4, 5, 6, 99)] == [
        2, 2, 2, 2, 4, 4, 6, 6,
    ]  # fmt: skip


def test_views_are_made_once_for_a_file():
    file = added("x = 1").files[0]

    assert _views(_Same(file), Side.RIGHT) is _views(_Same(file), Side.RIGHT)
    assert _views(_Same(file), Side.RIGHT) is not _views(_Same(replace(file)), Side.RIGHT)
    assert _Same(file) != file
