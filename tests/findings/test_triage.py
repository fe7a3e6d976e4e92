"""Drafts into a review: every draft is accounted for, nothing equal is lost, nothing is said twice."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.code.diff import Diff, FileDiff, Hunk, Line, Status
from bot.core.findings.anchor import Place
from bot.core.findings.finding import Category, Draft, Severity, identity, sketch
from bot.core.findings.known import FindingState, new_known_finding, pack, unpack
from bot.core.findings.lifecycle import View
from bot.core.findings.muting import TopicTally, muted_topics
from bot.core.findings.triage import HARD_CAP, TriageContext, triage
from bot.core.policy import Policy

TEXT = "def pay():\n    charge()\n    log()\n    charge()\n\ndef other():\n    charge()\n" + "".join(
    f"x{n} = {n}\n" for n in range(60)
)


def view(text=TEXT, path="a.py"):
    rows = text.removesuffix("\n").split("\n")
    file = FileDiff(path, Status.ADDED, (Hunk(tuple(Line(row, None, n) for n, row in enumerate(rows, 1))),))
    return View("h" * 40, Diff((file,)), {path: text}, {path: ("lint",)}, {path})


def draft(quoted="    charge()", near=2, **changed):
    values = {
        "path": "a.py",
        "title": "No charge",
        "why": "It costs.",
        "severity": Severity.WARNING,
        "category": Category.CORRECTNESS,
        "source": "lint",
        "rule": "L1",
    }
    return Draft(quoted=quoted, near=near, **values | changed)


def judged(*drafts, **context):
    return triage(drafts, TriageContext(**{"view": view(), "policy": Policy(comments=30)} | context))


def test_equal_code_at_several_places_is_several_findings_with_names_of_their_own():
    review = judged(draft(near=2), draft(near=4), draft(near=7))

    assert sorted(one.anchor.line for one in review.findings) == [2, 4, 7]
    assert len({one.identity for one in review.findings}) == 3


def test_a_place_is_told_once_by_one_source_and_once_by_all():
    review = judged(draft(), draft(title="In other words"), draft(source="model", rule=""))

    assert len(review.findings) == 1
    assert Counter(reason for _, reason in review.dropped) == {
        "the same finding twice in this round": 1,
        "another finding says the same about the same lines": 1,
    }


def test_what_is_known_is_not_said_again_and_the_second_of_two_equals_is_not_lost():
    (known,) = (new_known_finding(one, "g" * 40) for one in judged(draft(near=2)).findings)
    review = judged(draft(near=2, title="Otherwise put"), draft(near=4), known=[known])

    assert [one.anchor.line for one in review.findings] == [4]
    assert review.said == (known.identity,)
    assert review.findings[0].identity != known.identity


def test_a_draft_of_a_check_learns_its_symbol():
    (finding,) = judged(draft(near=7)).findings

    assert finding.draft.symbol == "other"


def test_a_muted_rule_is_dropped_with_a_notice():
    silent = muted_topics([TopicTally("L1", "correctness", dismissed=9)], ())
    review = judged(draft(near=2), draft(near=4), draft(rule="L2", near=7), muted=silent)

    assert [one.topic for one in review.findings] == ["L2"]
    assert review.notices == (silent["L1"],)


@pytest.mark.parametrize("comments", [0, 3, 30])
def test_the_budget_counts_comments_and_the_rest_is_listed_worst_first(comments):
    drafts = [draft(f"x{n} = {n}", n, severity=Severity(n % 3)) for n in range(60)]
    review = judged(*drafts, policy=Policy(comments=comments))
    ranked = [one.draft.severity for one in (*review.findings, *review.listed)]

    assert len(review.findings) == min(comments, HARD_CAP)
    assert len(ranked) == 60
    assert ranked == sorted(ranked, reverse=True)


@given(
    st.lists(
        st.builds(
            draft,
            st.sampled_from(["    charge()", "    log()", "x1 = 1", "made up", ""]),
            st.integers(1, 12),
            severity=st.sampled_from(Severity),
            source=st.sampled_from(["lint", "model"]),
            rule=st.sampled_from(["L1", "L2", ""]),
            path=st.sampled_from(["a.py", "b.py"]),
        ),
        max_size=12,
    ),
    st.sampled_from(["note", "error"]),
    st.integers(0, 4),
)
def test_posted_and_listed_and_dropped_are_all_there_was(drafts, severity, comments):
    review = judged(*drafts, policy=Policy(severity=severity, comments=comments))
    told = [one.draft for one in (*review.findings, *review.listed)] + [one for one, _ in review.dropped]
    plain = Counter((one.quoted, one.near, one.source, one.rule, one.path, one.severity) for one in told)

    assert plain == Counter((one.quoted, one.near, one.source, one.rule, one.path, one.severity) for one in drafts)


@pytest.mark.parametrize("code", ["x = 1\n", "\tx  =  1", "x = 1\n\n", "   x = 1   "])
def test_white_space_does_not_change_an_identity(code):
    assert identity("L1", "f", code) == identity("L1", "f", "x = 1")


@pytest.mark.parametrize(
    "other", [("L2", "f", "x = 1"), ("L1", "g", "x = 1"), ("L1", "f", "x = 2"), ("L1", "f", "x = 1", 1)]
)
def test_topic_symbol_code_and_occurrence_do(other):
    assert identity(*other) != identity("L1", "f", "x = 1")


def test_of_a_secret_not_even_a_sketch_is_kept():
    (finding,) = judged(draft("    log()", 3, source="secrets", category=Category.SECURITY)).findings
    known = new_known_finding(finding, "h" * 40)

    assert (known.words, known.suggestion) == ((), "")
    assert sketch("log()") != ()


def test_a_rule_of_the_team_that_a_model_saw_broken_is_no_finding_of_a_check():
    (rule,) = judged(draft(rule="L1", category=Category.CORRECTNESS, why="Why.", evidence=("a.py:3 x",))).findings
    known = new_known_finding(rule, "h" * 40)
    told = new_known_finding(replace(rule, draft=replace(rule.draft, category=Category.STANDARDS)), "h" * 40)

    assert (known.check, known.why, known.named) == (rule.draft.source, "", ())
    assert (told.check, told.why, told.named) == ("", "Why.", ("a.py",))


def test_a_marker_brings_a_finding_back_without_its_words():
    known = new_known_finding(judged(draft(near=7)).findings[0], "h" * 40)
    back = unpack(known.identity, pack(known))

    assert back is not None
    assert (back.title, back.line) == ("", 7)
    assert (back.topic, back.symbol, back.print, back.words, back.path, back.check, back.severity, back.state) == (
        known.topic,
        known.symbol,
        known.print,
        known.words,
        known.path,
        known.check,
        known.severity,
        FindingState.OPEN,
    )


def test_a_finding_on_no_changed_file_stands_in_the_summary():
    (finding,) = judged(draft(path="elsewhere.py")).findings

    assert finding.anchor.place is Place.SUMMARY
