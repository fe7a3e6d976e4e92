"""Drafts into a review: every draft is accounted for, nothing equal is lost, nothing is said twice."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.code.diff import Diff, FileDiff, Hunk, Line, Status
from bot.core.comments.comment import LinkBase, body
from bot.core.findings.anchor import Place
from bot.core.findings.finding import Category, Draft, DropReason, Severity, identity, sketch
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

    (first,) = review.findings
    everywhere = (first, *review.listed)
    assert sorted(one.anchor.line for one in everywhere) == [2, 4, 7]
    assert len({one.identity for one in everywhere}) == 3
    assert [one.line for one in first.places] == [one.anchor.line for one in review.listed]
    assert {one.repeats for one in review.listed} == {first.identity}
    assert [new_known_finding(one, "h").group for one in everywhere] == ["", first.identity, first.identity]


def test_one_mistake_counts_once_in_the_budget_and_secrets_are_never_one():
    same = [draft(f"x{n} = {n}", n) for n in range(3)]
    other = draft("x9 = 9", 9, title="Another mistake")
    keys = [draft(f"x{n} = {n}", n, title="A key", source="secrets", rule="key") for n in (20, 21)]

    assert len(judged(*same, other, policy=Policy(comments=2)).findings) == 2
    assert len(judged(*keys).findings) == 2


def claimed(title, **changed):
    """What a model says of the line that `draft` is about."""
    return draft(**{"source": "correctness", "rule": "", "title": title, "why": title} | changed)


def test_two_claims_of_one_pass_about_one_line_are_two_findings():
    review = judged(claimed("An admin may pay twice"), claimed("A negative amount charges the customer"))

    assert {one.draft.title for one in review.findings} == {
        "An admin may pay twice",
        "A negative amount charges the customer",
    }
    assert len({one.identity for one in review.findings}) == len({one.topic for one in review.findings}) == 2


def test_a_claim_that_is_repeated_word_for_word_is_merged():
    review = judged(*[claimed("An admin may pay twice")] * 30)

    assert len(review.findings) == 1
    assert [reason for _, reason in review.dropped] == ["merged with: An admin may pay twice"] * 29


@pytest.mark.parametrize("severity", list(Severity))
def test_a_proven_finding_is_never_dropped_for_a_claim(severity):
    review = judged(draft(), claimed("The cart keeps its first item", severity=severity, confidence=1.0))

    assert {one.draft.rule for one in review.findings} == {"L1", ""}


@pytest.mark.parametrize(
    "said",
    [
        {"title": "The cart is emptied", "why": "As L1 says."},
        {"title": "No charge for the cart", "severity": Severity.ERROR},
    ],
    ids=["names the rule", "same words"],
)
def test_what_a_check_and_a_model_say_is_one_finding_that_names_both(said):
    review = judged(draft(title="No charge: the cart is free"), claimed(**{"why": "It costs."} | said))

    (one,) = review.findings
    assert (one.draft.rule, one.draft.source, one.draft.seconds) == ("L1", "lint", ("correctness",))
    assert "lint · `L1` · correctness · also found by correctness" in body(one, LinkBase())
    assert [reason for _, reason in review.dropped] == ["merged with: No charge: the cart is free"]


def test_a_rule_below_the_threshold_takes_no_claim_with_it():
    review = judged(
        draft(severity=Severity.NOTE), claimed("No charge", severity=Severity.ERROR), policy=Policy(severity="error")
    )

    assert [one.draft.source for one in review.findings] == ["correctness"]


def test_a_claim_about_style_needs_a_standard_that_was_retrieved():
    style = {"category": Category.MAINTAINABILITY, "standard_refs": ("docs/made-up.md#1",)}
    review = judged(claimed("The name is too short", **style))

    assert [reason for _, reason in review.dropped] == [DropReason.STYLE]


def test_a_new_claim_about_a_line_with_a_known_finding_is_news():
    (known,) = (new_known_finding(one, "g" * 40) for one in judged(claimed("An admin may pay twice")).findings)
    review = judged(claimed("Admins may pay twice here"), claimed("A negative amount charges them"), known=[known])

    assert [one.draft.title for one in review.findings] == ["A negative amount charges them"]
    assert review.said == (known.identity,)


@pytest.mark.parametrize("title", ["An admin may pay twice", "Said in quite another way"])
def test_a_finding_that_an_earlier_version_kept_is_recognised(title):
    now = judged(claimed("An admin may pay twice")).findings[0]
    kept = new_known_finding(now, "g" * 40)
    old = replace(kept, topic="correctness", identity=identity("correctness", now.draft.symbol, now.code))
    back = unpack(old.identity, pack(old))
    review = judged(claimed(title), known=[back])

    assert old.identity == kept.identity
    assert review.findings == ()
    assert review.said == (old.identity,)


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
    drafts = [draft(f"x{n} = {n}", n, severity=Severity(n % 3), title=f"Mistake {n}") for n in range(60)]
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
            title=st.sampled_from(["No charge", "Nothing is charged here", "A negative amount pays out"]),
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
    plain = Counter((one.quoted, one.near, one.source, one.rule, one.path, one.severity, one.title) for one in told)

    assert plain == Counter(
        (one.quoted, one.near, one.source, one.rule, one.path, one.severity, one.title) for one in drafts
    )


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


def test_new_suppressions_are_counted_and_posted_only_if_the_policy_asks():
    said = {"rule": "new-suppression", "category": Category.HYGIENE, "severity": Severity.NOTE}
    drafts = (draft(near=2, **said), draft(near=4, **said), draft(near=7))

    counted, asked = judged(*drafts), judged(*drafts, policy=Policy(unmute=("new-suppression",)))

    assert [finding.topic for finding in (*counted.findings, *counted.listed)] == ["L1"]
    assert [reason for _, reason in counted.dropped] == ["counted in the check run"] * 2
    (notice,) = counted.notices
    assert notice.startswith("2 warnings are newly suppressed with neither a rule nor a reason: `a.py:2`, `a.py:4`.")
    assert len((*asked.findings, *asked.listed)) == 3
    assert asked.notices == ()
