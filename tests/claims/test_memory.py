"""What is remembered of a conversation: exchanges stay whole, nothing is forgotten without a line, all within the room."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.claims.memory import Exchange, Memory, MemoryBudget, recall
from bot.core.costs import estimate

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=400)
EXCHANGES = st.lists(st.builds(Exchange, st.just("ada"), WORDS, WORDS), max_size=60)


def exchange(n, answer="It is fine."):
    return Exchange("ada", f"Question {n}: what about part {n}?", answer)


def long(n):
    return exchange(n, f"Part {n} is fine. " + "The loop ends because the counter grows in each round. " * 20)


def test_a_short_conversation_is_kept_whole():
    exchanges = [exchange(n) for n in range(5)]

    assert recall(exchanges, "And now?") == Memory(recent=tuple(exchanges))


def test_of_a_long_one_the_last_exchanges_stay_whole_and_the_others_keep_a_line():
    exchanges = [long(n) for n in range(1, 41)]

    memory = recall(exchanges, "And now?", MemoryBudget(recent=1_000, recalled=0, summary=2_000))

    assert memory.recent == tuple(exchanges[-len(memory.recent) :])
    assert len(memory.summary) == 40 - len(memory.recent)
    assert memory.summary[0].startswith("1. Question 1: what about part 1? -> Part 1 is fine.")


def test_an_old_exchange_comes_back_whole_when_the_question_is_about_it():
    told = Exchange("ada", "Which timeout did we agree on?", "The gateway timeout is 37 seconds, see docs/gateway.md.")
    exchanges = [exchange(1), exchange(2), told, *(long(n) for n in range(4, 41))]

    memory = recall(exchanges, "Remind me: what was the gateway timeout?")

    assert told in memory.recalled
    assert told not in memory.recent


@given(EXCHANGES, WORDS, st.builds(MemoryBudget, *[st.integers(0, 500)] * 3))
def test_nothing_is_cut_nothing_is_twice_and_nothing_exceeds_its_room(exchanges, question, room):
    memory = recall(exchanges, question, room)

    assert sum(estimate(str(one)) for one in memory.recent) <= room.recent
    assert sum(estimate(str(one)) for one in memory.recalled) <= room.recalled
    assert sum(map(estimate, memory.summary)) <= room.summary
    assert tuple(memory.recent) == tuple(exchanges[len(exchanges) - len(memory.recent) :])
    assert len(memory.summary) + len(memory.recalled) + len(memory.recent) <= len(exchanges)


@pytest.mark.parametrize("count", [40, 400])
def test_a_summary_has_room_for_many(count):
    memory = recall([long(n) for n in range(1, count + 1)], "And now?")

    assert len(memory.summary) + len(memory.recalled) + len(memory.recent) >= min(count, 100)
    assert memory.tokens <= 12_000
