"""Merging the drafts of several passes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.claims.drafts import agreeing
from bot.core.claims.drafts import merge as merge_all
from bot.core.findings.finding import Category, Draft, Severity

DRAFT = Draft(
    path="cart.py",
    quoted="    return total / count",
    title="Division by zero when the cart is empty",
    why="count is 0 for an empty cart",
    severity=Severity.WARNING,
    category=Category.CORRECTNESS,
    source="correctness",
    near=12,
    confidence=0.6,
)


def merge(passes):
    return merge_all(passes)[0]


def other(**changed):
    return replace(DRAFT, **{"source": "security", "title": "An empty cart causes a division by zero"} | changed)


def test_what_two_passes_saw_is_one_draft_that_weighs_more():
    (one,) = merge([[DRAFT], [other(confidence=0.5, severity=Severity.ERROR)]])

    assert one.source == "correctness+security"
    assert agreeing(one) == 2
    assert one.confidence == pytest.approx(0.8)
    assert one.severity is Severity.ERROR


def test_the_better_founded_draft_speaks_with_the_evidence_of_both():
    proven = other(evidence=("cart.py:3 count = len(items)", "cart.py:12"), confidence=0.3, why="because")
    (one,) = merge([[replace(DRAFT, evidence=("cart.py:12",), standard_refs=("py.md#math",))], [proven]])

    assert one.why == "because"
    assert one.evidence == ("cart.py:3 count = len(items)", "cart.py:12")
    assert one.standard_refs == ("py.md#math",)


@pytest.mark.parametrize(
    "changed",
    [
        {"path": "order.py"},
        {"quoted": "    return rate"},
        {"near": 90},
        {"title": "The variable shadows a builtin"},
    ],
    ids=["file", "code", "distance", "topic"],
)
def test_what_differs_in_place_or_topic_stays_apart(changed):
    assert len(merge([[DRAFT], [other(**changed)]])) == 2


def test_typed_claims_decide_over_words():
    unused, undefined = replace(DRAFT, claim="unused: rate"), other(claim="undefined: rate", title=DRAFT.title)

    assert len(merge([[unused], [undefined]])) == 2
    assert len(merge([[unused], [replace(undefined, claim="unused: rate", title="Dead code")]])) == 1


def test_a_quote_is_compared_without_its_white_space():
    assert len(merge([[DRAFT], [other(quoted="return total/count\n")]])) == 1


def test_one_pass_that_repeats_itself_does_not_agree_with_itself():
    (one,) = merge([[DRAFT, replace(DRAFT, confidence=0.4)]])

    assert one.confidence == 0.6
    assert agreeing(one) == 1


def test_what_one_pass_tells_apart_stays_apart():
    assert len(merge([[DRAFT, replace(DRAFT, title=DRAFT.title + " and divides twice")]])) == 2


def test_agreement_ranks_before_severity():
    alone = replace(DRAFT, path="a.py", severity=Severity.ERROR, confidence=0.99)

    assert [draft.path for draft in merge([[alone, DRAFT], [other()]])] == ["cart.py", "a.py"]


@given(
    st.lists(
        st.lists(
            st.builds(
                replace,
                st.just(DRAFT),
                title=st.sampled_from(
                    ["The amount is not checked", "The owner is not checked", "An owner was never checked", DRAFT.title]
                ),
                source=st.sampled_from(["correctness", "security"]),
                quoted=st.sampled_from([DRAFT.quoted, "    return rate"]),
                claim=st.sampled_from(["", "unused: rate"]),
                near=st.integers(1, 20),
            ),
            max_size=6,
        ),
        max_size=3,
    )
)
def test_every_draft_is_kept_or_leaves_a_row(passes):
    kept, absorbed = merge_all(passes)

    assert len(kept) + len(absorbed) == sum(map(len, passes))
    assert {draft.title for drafts in passes for draft in drafts} == {
        draft.title for draft in (*kept, *(draft for draft, _ in absorbed))
    }
    assert all(reason.startswith("merged with: ") for _, reason in absorbed)


def test_claims_that_share_common_words_are_not_merged():
    one = replace(DRAFT, title="The amount of the refund is not checked for admins")
    two = other(title="The owner of the order is not checked for a closed account")

    assert [draft.confidence for draft in merge([[one], [two]])] == [DRAFT.confidence] * 2
