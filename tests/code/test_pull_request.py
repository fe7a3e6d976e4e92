"""The comments of a pull request in time: what stood when a question was asked."""

from bot.core.code.pull_request import PostedComment, written_before


def comment(number, kind="comment", written="2026-01-01T00:00:00+00:00"):
    return PostedComment(number, kind, 1, "alice", f"{kind} {number}", by_us=False, written=written)


EARLY, ASKED, LATE = (f"2026-01-01T00:00:0{second}+00:00" for second in (1, 2, 3))


def test_comments_of_another_kind_are_ordered_by_their_time_and_not_by_their_id():
    question = comment(50, "inline", ASKED)
    comments = (comment(900, written=EARLY), question, comment(10, written=LATE), comment(3, "review", LATE))

    assert [each.body for each in written_before(comments, "inline", 50)] == ["comment 900"]


def test_comments_of_the_same_kind_are_ordered_by_their_id():
    comments = (comment(1), comment(2), comment(3))

    assert [each.id for each in written_before(comments, "comment", 2)] == [1]


def test_without_the_question_itself_comments_of_other_kinds_are_left_out():
    assert written_before((comment(1, "review", EARLY), comment(2)), "comment", 9) == (comment(2),)
