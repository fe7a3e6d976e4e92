"""What a model is shown: every hunk, and beside them what fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.claims.material import (
    FACTOR,
    PullFacts,
    budget,
    changed_lines,
    characters,
    fence_text,
    is_large,
    material,
    materials,
)
from bot.core.claims.requirements import linked_issues, points
from bot.core.code.diff import Diff, FileDiff, Hunk, Line, Status
from bot.core.code.plan import Batch, BatchPart
from bot.core.code.pull_request import PostedComment
from bot.core.findings.finding import Category, Draft, Severity
from tests.support.repository import issue, pull_request

CART = (
    "from tax import rate\n\n\nclass Cart:\n    size = 0\n\n"
    "    def total(self, items):\n        net = sum(items)\n        gross = net * rate\n        return gross\n"
)
HUNK = Hunk(
    (
        Line("        net = sum(items)", 8, 8),
        Line("        gross = net", 9, None),
        Line("        gross = net * rate", None, 9),
        Line("        return gross", 10, 10),
    ),
    "def total(self, items):",
)
PART = BatchPart("cart.py", (HUNK,))
DIFF = Diff((FileDiff("cart.py", Status.MODIFIED, (HUNK,)),))
BATCH = Batch((PART,))


def facts(**values):
    return PullFacts(**{"pull": pull_request(), "diff": DIFF, "heads": {"cart.py": CART}} | values)


def kinds(shown):
    return [datum.kind for datum in shown.data]


def test_hunks_are_shown_with_numbers_and_marks():
    shown = material(BATCH, facts(), 10_000)

    assert next(datum.text for datum in shown.data if datum.kind == "diff") == (
        "@@ def total(self, items):\n"
        "8         net = sum(items)\n"
        "9-        gross = net\n"
        "9+        gross = net * rate\n"
        "10         return gross"
    )


def test_context_is_what_encloses_a_hunk_and_binds_its_names_without_repeating_it():
    (context,) = [datum for datum in material(BATCH, facts(), 10_000).data if datum.kind == "context"]

    assert context.text == "1 from tax import rate\n…\n4 class Cart:\n…\n7     def total(self, items):"


@pytest.mark.parametrize("whole", [False, True])
def test_a_file_that_the_hunks_show_whole_has_no_context(whole):
    lines = tuple(Line(text, None, n) for n, text in enumerate(CART.splitlines(), 1))
    part = BatchPart("cart.py", (Hunk(lines),))
    added = Diff((FileDiff("cart.py", Status.ADDED, part.hunks),))

    assert "context" not in kinds(material(Batch((part,)), facts(diff=added, whole=whole), 10_000))


def test_everything_known_stands_beside_the_hunks_longest_lived_first():
    problem = Draft("cart.py", "x", "sum is slow", "…", Severity.NOTE, Category.PERFORMANCE, "lint", rule="L1", near=8)
    said = PostedComment(1, "inline", 5, "bob", "Why\nnot Decimal?", by_us=False, path="cart.py", line=9)
    elsewhere = PostedComment(2, "inline", 5, "bob", "Other file", by_us=False, path="order.py", line=9)
    shown = material(
        BATCH,
        facts(
            problems=[problem],
            issues=[issue(body="## Acceptance\n- rounds to cents\n")],
            said=[said, elsewhere],
            diff=Diff((*DIFF.files, FileDiff("order.py", Status.ADDED, additions=3))),
        ),
        10_000,
    )
    texts = {datum.kind: datum.text for datum in shown.data}

    assert kinds(shown) == ["pull_request", "issue", "files", "diff", "checks", "threads", "context"]
    assert texts["checks"] == "cart.py:8: L1: sum is slow"
    assert texts["threads"] == "cart.py:9 bob: Why not Decimal?"
    assert texts["issue"].endswith("Acceptance point: rounds to cents")
    assert texts["files"] == "cart.py (modified, +0 -0)\norder.py (added, +3 -0)"
    assert shown.omitted == ()


def test_over_the_budget_context_goes_first_and_is_said_to_be_missing():
    whole = next(limit for limit in range(10_000) if not material(BATCH, facts(), limit).omitted)
    partly = material(BATCH, facts(), whole - 1)
    none = material(BATCH, facts(), 0)

    assert partly.data[-1].text == "1 from tax import rate"
    assert partly.omitted == ("the rest of the code around cart.py",)
    assert kinds(none) == ["pull_request", "diff"]
    assert none.omitted == ("the code around cart.py",)


def test_what_is_cut_is_said():
    shown = material(BATCH, facts(pull=pull_request(body="x" * 9000), issues=[issue(body="y" * 9000)]), 100_000)

    assert shown.omitted == ("the description after 4000 characters", "issue #12 after 4000 characters")


def test_a_file_that_could_not_be_read_is_shown_without_context():
    assert kinds(material(BATCH, facts(heads={}), 10_000)) == ["pull_request", "diff"]


def test_a_removal_counts_at_the_lines_around_it():
    hunk = Hunk((Line("a", 1, 1), Line("b", 2, None), Line("c", 3, None), Line("d", 4, 2)))

    assert changed_lines([hunk]) == {1, 2}


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=8), limit=st.integers(0, 4000), body=st.integers(0, 5000)
)
def test_every_hunk_is_shown_whatever_the_budget(sizes, limit, body):
    hunks = [Hunk(tuple(Line(f"line {i} {n}", None, n) for n in range(1, size + 1))) for i, size in enumerate(sizes)]
    batch = Batch(tuple(BatchPart(f"{i}.py", (hunk,)) for i, hunk in enumerate(hunks)))
    shown = material(batch, facts(pull=pull_request(body="b" * body), diff=Diff(), issues=[issue()]), limit)
    text = "\n".join(datum.text for datum in shown.data if datum.kind == "diff")

    assert all(f"{line.new}+{line.text}" in text for hunk in hunks for line in hunk.lines)


def test_a_large_change_stays_in_proportion_to_its_own_size_and_no_batch_goes_without_context():
    function = [f"    value_{n} = compute_something(value_{n - 1}, options)" for n in range(1, 71)]
    text = "\n".join(["def compute(options):", "    value_0 = 1", *function] * 20)
    lines = text.split("\n")
    hunk = Hunk(tuple(Line(line, None, n) for n, line in enumerate(lines, 1) if n % 4 == 1))
    files = [f"module_{n}.py" for n in range(4)]
    small = Batch((PART,))
    batches = (small, Batch(tuple(BatchPart(path, (hunk,)) for path in files)))
    shown = materials(batches, facts(heads={"cart.py": CART} | dict.fromkeys(files, text)), ours=4000)
    sent = sum(len(fence_text(datum, "")) + 2 for one in shown for datum in one.whole) + 2 * 4000

    assert sent <= FACTOR * sum(map(characters, batches))
    assert [kinds(one)[-1] for one in shown] == ["context", "context"]
    assert shown[1].omitted == ("the code around module_2.py, module_3.py",)
    assert [datum.text for datum in shown[1].whole if datum.kind == "not_shown"] == [*shown[1].omitted]


def test_where_our_own_words_leave_no_room_the_hunks_are_shown_all_the_same():
    lines = tuple(Line("    step(1)", None, n) for n in range(4000))
    shown = materials((BATCH, Batch((BatchPart("a.py", (Hunk(lines),)),))), facts(), ours=100_000)

    assert [kinds(one) for one in shown] == [["pull_request", "diff"]] * 2
    assert shown[0].omitted == ("the code around cart.py",)


def test_many_short_lines_are_a_large_change_too():
    lines = tuple(Line("x", None, n) for n in range(501))

    assert is_large([Batch((BatchPart("a.py", (Hunk(lines),)),))])
    assert not is_large([Batch((BatchPart("a.py", (Hunk(lines[1:]),)),))])


def test_a_small_change_is_shown_generously():
    assert budget(BATCH, facts()) > 10_000


def test_acceptance_points_are_tasks_and_items_below_a_heading_that_announces_them():
    body = (
        "Totals are off.\n- just a remark\n\n## Acceptance criteria\n* rounds to cents\n1. keeps `EUR`\n\n"
        "## Notes\n- not this\n- [x] but this task\n<!-- - [ ] not hidden -->\n```\n- [ ] nor code\n```\n"
    )

    assert points(body) == ("rounds to cents", "keeps", "but this task")


def test_an_issue_of_a_megabyte_has_a_bounded_number_of_points():
    assert len(points("- [ ] point\n- [ ] other\n" * 50_000)) == 2
    assert len(points("\n".join(f"- [ ] point {n}" for n in range(1000)))) == 20
    assert points("`" * 100_000 + "\n" + "<!--" * 10_000) == ()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("Fixes #12", (12,)),
        ("See #3. Closes: #4 and resolves octo/shop#5", (4, 5, 3)),
        ("fixed https://github.com/octo/shop/issues/6", (6,)),
        ("Fixes other/repo#7, https://github.com/other/repo/issues/8", ()),
        ("<!-- Fixes #9 -->\n```\nFixes #10\n```\n`#11`", ()),
        ("<!-- Fixes #9", ()),
        ("abc#13 #14x /pull#15 #0", ()),
        ("#1 #2 #3 #4 #5 #6 #7", (1, 2, 3, 4, 5)),
        ("", ()),
    ],
)
def test_linked_issues_are_those_of_the_own_repository(body, expected):
    assert linked_issues(body, "octo/shop") == expected
