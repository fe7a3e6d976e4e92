from bot.core.code.pull_request import PullRef
from bot.core.comments.marker import Signer, is_review

HERE = PullRef("octo/shop", 7, repo_id=42)
ELSEWHERE = PullRef("octo/shop", 8, repo_id=42)
NAME = "0123456789abcdef"
SIGNER = Signer(b"ours")


def test_a_marker_is_read_where_it_was_made():
    assert SIGNER.read(HERE, "finding", f"text {SIGNER.mark(HERE, 'finding', NAME)}") == (NAME,)


def test_a_marker_copied_to_another_pull_request_is_worth_nothing():
    assert SIGNER.read(ELSEWHERE, "finding", SIGNER.mark(HERE, "finding", NAME)) == ()


def test_a_marker_signed_by_somebody_else_is_worth_nothing():
    assert SIGNER.read(HERE, "finding", Signer(b"theirs").mark(HERE, "finding", NAME)) == ()


def test_a_renamed_repository_keeps_its_markers():
    renamed = PullRef("octo/store", 7, repo_id=42)

    assert SIGNER.read(renamed, "finding", SIGNER.mark(HERE, "finding", NAME)) == (NAME,)


def test_a_marker_of_a_former_secret_is_recognised_and_new_ones_are_signed_with_the_new():
    signer = Signer(b"new", (b"older", b"ours"))

    assert signer.read(HERE, "finding", SIGNER.mark(HERE, "finding", NAME)) == (NAME,)
    assert signer.mark(HERE, "finding", NAME) == Signer(b"new").mark(HERE, "finding", NAME)
    assert SIGNER.read(HERE, "finding", signer.mark(HERE, "finding", NAME)) == ()


def test_a_review_is_known_by_its_marker_whoever_signed_it_and_among_others():
    finding, review = (Signer(b"theirs").mark(HERE, kind, NAME) for kind in ("finding", "review"))

    assert is_review(f"{finding} text {review}")
    assert is_review(review)
    assert not is_review(finding)
    assert not is_review("a review")
