"""From problems to drafts: only what this change brought in, on the lines it added."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bot.core.code.diff import Diff, FileDiff, Status, parse_patch
from bot.core.findings.anchor import Place, anchor
from bot.core.findings.finding import Category, Draft, Severity
from bot.core.findings.problem import Problem, drafts, moved_lines, without_moved

BEFORE = "a = 1\nb = eval(a)\nc = 3\n"
AFTER = "a = 1\nb = eval(a)\nd = eval(a)\nc = 3\n"
FILE = parse_patch("x.py", Status.MODIFIED, "@@ -1,3 +1,4 @@\n a = 1\n b = eval(a)\n+d = eval(a)\n c = 3\n")


def problem(line: int, end: int = 0, rule: str = "S307", source: str = "ruff") -> Problem:
    """A problem on `line`..`end` of x.py."""
    return Problem(
        "x.py", line, end or line, rule, "eval is used", "It runs code.", Severity.WARNING, Category.SECURITY, source
    )


def test_a_problem_on_an_added_line_becomes_a_draft() -> None:
    found = drafts([problem(2)], [problem(2), replace(problem(3), url="https://docs/S307")], FILE, BEFORE, AFTER)

    assert found == (
        Draft(
            path="x.py",
            quoted="d = eval(a)",
            title="eval is used",
            why="It runs code.",
            severity=Severity.WARNING,
            category=Category.SECURITY,
            source="ruff",
            rule="S307",
            rule_url="https://docs/S307",
            near=3,
        ),
    )


def test_a_problem_on_a_line_that_was_there_is_not_news() -> None:
    assert drafts([], [problem(2)], FILE, BEFORE, AFTER) == ()


def test_a_line_that_moved_brings_nothing_new() -> None:
    moved = parse_patch("x.py", Status.MODIFIED, "@@ -1,3 +1,3 @@\n-b = eval(a)\n a = 1\n c = 3\n+  b = eval(a)\n")

    assert drafts([problem(1)], [problem(3)], moved, "b = eval(a)\na = 1\nc = 3", "a = 1\nc = 3\n  b = eval(a)") == ()


def test_a_second_copy_of_a_problem_is_news() -> None:
    copied = parse_patch("x.py", Status.MODIFIED, "@@ -1 +1,2 @@\n+b = eval(a)\n b = eval(a)\n")

    found = drafts([problem(1)], [problem(1), problem(2)], copied, "b = eval(a)\n", "b = eval(a)\nb = eval(a)\n")

    assert [draft.near for draft in found] == [1]


def test_two_tools_that_mean_the_same_are_heard_once() -> None:
    ours = problem(3, rule="debug-statement", source="hygiene")
    ruffs = replace(problem(3, rule="T100"), url="https://docs/T100")

    said = drafts([], [ours, ruffs, problem(3, rule="S602")], FILE, BEFORE, AFTER)

    assert [draft.rule for draft in said] == ["T100", "S602"]


def test_the_code_that_documents_name_comes_before_that_of_our_rules() -> None:
    ours = replace(problem(3, rule="sql-from-values", source="ast-grep"), url="https://cwe.mitre.org/89")
    ruffs = replace(problem(3, rule="S608"), url="https://docs/S608")

    assert [draft.rule for draft in drafts([], [ours, ruffs], FILE, BEFORE, AFTER)] == ["S608"]


def test_a_range_needs_only_touch_an_added_line() -> None:
    (draft,) = drafts([], [problem(1, 4)], FILE, BEFORE, AFTER)

    assert (draft.quoted, draft.near) == (AFTER.removesuffix("\n"), 1)


def test_a_replacement_is_offered_for_exactly_the_quoted_lines() -> None:
    (draft,) = drafts([], [replace(problem(3), replacement="d = a")], FILE, BEFORE, AFTER)

    assert (draft.quoted, draft.replacement) == ("d = eval(a)", "d = a")


def test_what_is_outside_of_the_hunk_is_not_quoted_and_not_replaced() -> None:
    lines = [f"line {number}" for number in range(1, 60)]
    file = parse_patch("x.py", Status.MODIFIED, "@@ -39,2 +39,3 @@\n line 39\n+line 40\n line 41\n")

    (draft,) = drafts([], [replace(problem(1, 59), replacement="x")], file, "", "\n".join(lines))

    assert (draft.quoted, draft.near) == ("line 39\nline 40\nline 41", 39)
    assert draft.replacement is None


def test_a_long_range_is_quoted_in_part_and_the_part_holds_an_added_line() -> None:
    context = "".join(f" line {number}\n" for number in range(1, 31))
    file = parse_patch("x.py", Status.MODIFIED, f"@@ -1,30 +1,31 @@\n{context}+new\n")

    (draft,) = drafts([], [problem(1, 31)], file, "", "\n".join(f"line {n}" for n in range(1, 31)) + "\nnew")

    assert draft.quoted == "new"


LINES = st.lists(st.sampled_from(["x = eval(a)", "y = 2", "", "  x = eval(a)", "\tz"]), max_size=12)


@st.composite
def changes(draw: st.DrawFn) -> tuple[FileDiff, str, str, list[Problem], list[Problem]]:
    """A change of a small file, with any problems on either side."""
    marks = draw(st.lists(st.tuples(st.sampled_from("+- "), st.sampled_from(["x = eval(a)", "y = 2", ""])), min_size=1))
    before = [text for mark, text in marks if mark != "+"]
    after = [text for mark, text in marks if mark != "-"]
    header = f"@@ -{min(1, len(before))},{len(before)} +{min(1, len(after))},{len(after)} @@\n"
    file = parse_patch("x.py", Status.MODIFIED, header + "".join(f"{mark}{text}\n" for mark, text in marks))

    def problems(lines: list[str]) -> st.SearchStrategy[list[Problem]]:
        spans = st.tuples(st.integers(1, len(lines) + 1), st.integers(0, 12), st.sampled_from(["S307", "F401"]))
        return st.lists(spans.map(lambda span: problem(span[0], span[0] + span[1], span[2])), max_size=8)

    return file, "\n".join(before), "\n".join(after), draw(problems(before)), draw(problems(after))


@given(changes())
def test_nothing_is_reported_on_lines_that_were_not_added(
    change: tuple[FileDiff, str, str, list[Problem], list[Problem]],
) -> None:
    file, text_before, text_after, before, after = change

    found = drafts(before, after, file, text_before, text_after)

    lines = text_after.split("\n")
    for draft in found:
        assert draft.near is not None
        quoted = draft.quoted.split("\n")
        span = range(draft.near, draft.near + len(quoted))
        assert not file.added_lines.isdisjoint(span)
        assert [lines[number - 1] for number in span] == quoted
        assert len(quoted) <= 10
        assert any(one.line <= draft.near <= one.end and one.rule == draft.rule for one in after)
    assert len(found) <= len(after)


@given(changes())
def test_every_draft_finds_its_place_in_the_diff(
    change: tuple[FileDiff, str, str, list[Problem], list[Problem]],
) -> None:
    file, text_before, text_after, before, after = change

    for draft in drafts(before, after, file, text_before, text_after):
        if draft.quoted.strip():
            assert anchor(draft.path, draft.quoted, Diff((file,)), near=draft.near).place is Place.INLINE


@given(LINES, st.sets(st.sampled_from(["S307", "F401"])))
def test_an_unchanged_set_of_problems_is_silence(lines: list[str], rules: set[str]) -> None:
    text = "\n".join(lines)
    body = "".join(f"+{line}\n" for line in lines)
    file = parse_patch("x.py", Status.ADDED, f"@@ -0,0 +1,{len(lines)} @@\n{body}" if lines else "")
    everywhere = [problem(number, rule=rule) for number in range(1, len(lines) + 1) for rule in rules]

    assert drafts(everywhere, everywhere, file, text, text) == ()


BLOCK = ["def f(rows=[]):", "    # TODO later", "    try:", "        return rows", "    except:", "        return None"]


def in_file(path: str, line: int, rule: str = "E722", source: str = "ruff") -> Problem:
    """A problem on one line of a file."""
    return replace(problem(line, rule=rule, source=source), path=path)


def moved(rows: list[str], to: list[str] | None = None) -> tuple[FileDiff, FileDiff]:
    """A change that removes rows 2… of a.py and adds them, or others, to b.py after its first line."""
    count, more = len(rows), to or rows
    gone = "".join(f"-{row}\n" for row in rows)
    come = "".join(f"+{row}\n" for row in more)
    return (
        parse_patch("a.py", Status.MODIFIED, f"@@ -1,{count + 1} +1 @@\n x = 1\n{gone}"),
        parse_patch("b.py", Status.MODIFIED, f"@@ -1 +1,{len(more) + 1} @@\n y = 1\n{come}"),
    )


def test_a_problem_that_moved_with_its_code_to_another_file_is_not_news() -> None:
    moves = moved_lines(moved(BLOCK, ["class C:", *(f"    {row}" for row in BLOCK)]))

    assert without_moved([in_file("b.py", 7)], [in_file("a.py", 6)], moves) == []


def test_moved_code_in_which_the_problem_was_not_found_before_is_news() -> None:
    moves = moved_lines(moved(BLOCK))
    now = [in_file("b.py", 6)]

    assert without_moved(now, [in_file("a.py", 6, rule="F821"), in_file("a.py", 2)], moves) == now


def test_a_secret_that_moves_is_news() -> None:
    now = [in_file("b.py", 6, "aws-access-key", "secrets")]

    assert without_moved(now, [in_file("a.py", 6, "aws-access-key", "secrets")], moved_lines(moved(BLOCK))) == now


def test_one_common_line_is_not_moved_code() -> None:
    moves = moved_lines(moved(BLOCK, ["def g(box):", "    try:", "        box.send()", "    except:", "        pass"]))

    assert moves == {}


def test_a_copy_is_not_moved_code() -> None:
    assert moved_lines(moved(BLOCK)[1:]) == {}


def test_a_suppression_that_is_narrowed_is_not_news() -> None:
    before, after = '@SuppressWarnings({"unchecked", "rawtypes"})', '@SuppressWarnings("unchecked")'
    file = parse_patch("x.py", Status.MODIFIED, f"@@ -1 +1 @@\n-{before}\n+{after}\n")

    assert drafts([problem(1)], [problem(1)], file, before, after) == ()
    back = parse_patch("x.py", Status.MODIFIED, f"@@ -1 +1 @@\n-{after}\n+{before}\n")
    assert len(drafts([problem(1)], [problem(1)], back, after, before)) == 1
