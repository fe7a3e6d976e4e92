import pytest

from bot.core.findings.muting import TopicTally, muted_topics, rates, wilson


@pytest.mark.parametrize(
    ("good", "all_of_them", "low", "high"),
    [(0, 0, 0.0, 1.0), (5, 10, 0.2366, 0.7634), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (1, 1, 0.2065, 1.0)],
)
def test_the_interval_is_wilsons(good, all_of_them, low, high):
    assert wilson(good, all_of_them) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("tally", "silent"),
    [
        (TopicTally("T201", "hygiene", dismissed=9), True),
        (TopicTally("T201", "hygiene", dismissed=8), False),
        (TopicTally("T201", "hygiene", fixed=1, dismissed=14), True),
        (TopicTally("T201", "hygiene", fixed=5, dismissed=9), False),
        (TopicTally("leak", "security", dismissed=50), False),
        (TopicTally("correctness", "correctness", dismissed=50, mutable=False), False),
    ],
    ids=["dismissed", "too few", "mostly dismissed", "often heeded", "security", "no rule"],
)
def test_a_rule_is_muted_only_when_even_the_upper_end_is_low(tally, silent):
    assert bool(muted_topics([tally], ())) is silent


def test_muting_says_so_and_how_to_undo_it():
    tally = TopicTally("T201", "hygiene", dismissed=9)

    assert muted_topics([tally], ["T201"]) == {}
    assert "dismissed 9 of 9 times" in muted_topics([tally], ())["T201"]
    assert "`unmute`" in muted_topics([tally], ())["T201"]


def test_rates_tell_what_others_saw_from_what_we_judged():
    (rate,) = rates([("o/r", "tests", "addressed", 2), ("o/r", "tests", "fixed", 1), ("o/r", "tests", "ignored", 1)])

    assert rate.total == 4
    assert (rate.strict[0], rate.judged[0]) == (0.5, 0.75)
