"""Finished comments without our secrets."""

from bot.core.code.secrets import WITHHELD, without_secrets
from bot.hosts.github.transport import vetted

SECRET = "correct7horse9battery"
MARKER = "<!-- assistant:v1 finding 0123456789abcdef Y29ycmVjdDdob3JzZTliYXR0ZXJ5 0123456789abcdef0123456789abcdef -->"


def test_a_split_secret_withholds_its_paragraph_and_not_the_comment():
    text = f"First finding.\n\nThe key is {'.'.join(SECRET)}.\n\nLast finding.\n\n{MARKER}"

    assert without_secrets(text, [SECRET]) == f"First finding.\n\n{WITHHELD}\n\nLast finding.\n\n{MARKER}"


def test_a_marker_stays_whole_whatever_it_encodes():
    assert without_secrets(f"Key {SECRET}.\n\n{MARKER}", [SECRET]) == f"Key REDACTED.\n\n{MARKER}"


def test_a_paragraph_that_opens_a_fence_is_not_withheld_alone():
    text = f"One.\n\n```text\n{'-'.join(SECRET)}\n\n@everyone\n```\n\n{MARKER}"

    assert without_secrets(text, [SECRET]) == f"{WITHHELD}\n\n{MARKER}"


def test_only_free_text_of_a_call_is_looked_through():
    call = {
        "name": f"review-{SECRET}", "external_id": SECRET, "body": f"x {SECRET}",
        "comments": [{"path": f"{SECRET}.py", "body": SECRET, "line": 1}],
        "output": {"title": SECRET, "annotations": [{"path": SECRET, "message": SECRET}]},
    }  # fmt: skip

    assert vetted(call, [SECRET]) == {
        "name": f"review-{SECRET}", "external_id": SECRET, "body": "x REDACTED",
        "comments": [{"path": f"{SECRET}.py", "body": "REDACTED", "line": 1}],
        "output": {"title": "REDACTED", "annotations": [{"path": SECRET, "message": "REDACTED"}]},
    }  # fmt: skip


def test_a_suggestion_with_a_secret_is_withheld_with_its_note_and_others_stay():
    offered = "```suggestion\nx = 1\n```\n\n<sub>Tested.</sub>"
    text = f"One.\n\n{offered.replace('1', SECRET)}\n\n{offered}\n\n<sub>secrets</sub>\n\n{MARKER}"

    assert without_secrets(text, [SECRET]) == f"One.\n\n{WITHHELD}\n\n{offered}\n\n<sub>secrets</sub>\n\n{MARKER}"
