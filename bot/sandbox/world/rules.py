"""GitHub's rules for what may be posted, with its own words of refusal. Pure.

https://docs.github.com/en/rest/pulls/reviews#create-a-review-for-a-pull-request
https://docs.github.com/en/rest/checks/runs#create-a-check-run
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.errors import Refused
from bot.sandbox.world.patch import Compared, FilePatch, Hunk, Row

BODY = 65_536
OUTPUT = 65_535
ANNOTATIONS = 50
BLOB = 64 * 1024
ACTIONS = {"label": 20, "description": 40, "identifier": 20}
EVENTS = {"COMMENT": "COMMENTED", "APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED"}
REACTIONS = ("+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes")
CONCLUSIONS = ("action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out")
REVIEW_ITEM = {
    "path": str,
    "body": str,
    "line": int,
    "side": str,
    "start_line": int,
    "start_side": str,
    "position": int,
}


class Rejected(Refused):
    """GitHub's answer to a request it will not carry out. `errors` go into the body as they are."""

    def __init__(
        self, status: int, message: str, errors: Iterable[Any] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = list(errors)
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a comment hangs: proven to be in the diff."""

    path: str
    side: str
    line: int | None
    start_line: int | None
    start_side: str | None
    position: int | None
    diff_hunk: str


def check_keys(item: Mapping[str, Any], allowed: Mapping[str, type], required: Iterable[str]) -> None:
    """Refuse keys and types that the endpoint's schema does not have."""
    for key in required:
        if item.get(key) is None:
            raise Rejected(422, f'Invalid request.\n\n"{key}" wasn\'t supplied.')
    for key, value in item.items():
        if key not in allowed:
            raise Rejected(422, f'Invalid request.\n\n"{key}" is not a permitted key.')
        if value is not None and (not isinstance(value, allowed[key]) or isinstance(value, bool)):
            kind = {str: "string", int: "integer"}[allowed[key]]
            raise Rejected(
                422, f"Invalid request.\n\nFor 'properties/{key}', {value!r} is not {_article(kind)} {kind}."
            )


def check_body(body: str, resource: str, *, required: bool = True) -> None:
    """Refuse a body that is empty or too long: https://github.com/orgs/community/discussions/27190."""
    if required and not body.strip():
        raise invalid(resource, "body", "Body can't be blank", code="missing_field")
    if len(body) > BODY:
        raise invalid(resource, "body", f"body is too long (maximum is {BODY} characters)")


def invalid(resource: str, field: str, message: str, code: str = "custom") -> Rejected:
    """GitHub's usual 422."""
    return Rejected(
        422, "Validation Failed", [{"resource": resource, "code": code, "field": field, "message": message}]
    )


def place_all(items: Iterable[Mapping[str, Any]], compared: Compared) -> list[Placed]:
    """Place every comment of a review, or none: the refusal does not say which one is bad."""
    placed: list[Placed] = []
    problems: dict[str, None] = {}
    for item in items:
        try:
            placed.append(place(item, compared))
        except Rejected as rejected:
            problems.update(dict.fromkeys(rejected.errors))
    if problems:
        raise Rejected(422, "Unprocessable Entity", problems)
    return placed


def place(item: Mapping[str, Any], compared: Compared) -> Placed:
    """Where one line comment hangs in the diff."""
    file = compared.file(str(item["path"]))
    if file is None:
        raise _unplaced("path is invalid", "diff hunk can't be blank")
    side = _side(item.get("side"), "RIGHT")
    if item.get("line") is None and item.get("position") is not None:
        return _at_position(file, int(item["position"]))
    end = file.at(side, item["line"]) if item.get("line") is not None else None
    if end is None:
        raise _unplaced("line must be part of the diff", "diff hunk can't be blank")
    hunk, row = end
    start_side = _start(item, hunk, side)
    return Placed(
        file.change.path, side, item["line"], item.get("start_line"), start_side, row.position, hunk.until(row)
    )


def _start(item: Mapping[str, Any], hunk: Hunk, side: str) -> str | None:
    """The side of a range's first line, which is before the last one and in the same hunk."""
    start = item.get("start_line")
    if start is None:
        if item.get("start_side") is not None:
            raise _unplaced("start line can't be blank")
        return None
    start_side = _side(item.get("start_side"), side)
    if start_side == side and start >= item["line"]:
        raise _unplaced("start line must precede the end line.")
    first, last = hunk.at(start_side, start), hunk.at(side, item["line"])
    if first is None or last is None:
        raise _unplaced("start line must be part of the same hunk as the line.")
    if first.position >= last.position:
        raise _unplaced("start line must precede the end line.")
    return start_side


def _at_position(file: FilePatch, position: int) -> Placed:
    rows: list[tuple[Hunk, Row]] = [(hunk, row) for hunk in file.hunks for row in hunk.rows if row.position == position]
    if not rows or rows[0][1].kind == "\\":
        raise _unplaced("position is invalid", "diff hunk can't be blank")
    hunk, row = rows[0]
    side, line = ("LEFT", row.old) if row.kind == "-" else ("RIGHT", row.new)
    return Placed(file.change.path, side, line, None, None, position, hunk.until(row))


def _side(value: str | None, default: str) -> str:
    if value not in (None, "LEFT", "RIGHT"):
        raise _unplaced("side is invalid")
    return value or default


def _unplaced(*problems: str) -> Rejected:
    return Rejected(422, "Unprocessable Entity", [f"Pull request review thread {problem}" for problem in problems])


def check_run(fields: Mapping[str, Any]) -> None:
    """The limits of a check run's status, output and buttons."""
    if fields.get("status") not in (None, "queued", "in_progress", "completed"):
        raise _bad_run(f'"{fields["status"]}" is not a status')
    if fields.get("status") == "completed" and not fields.get("conclusion"):
        raise _bad_run("a conclusion is required when the status is completed")
    if fields.get("conclusion") not in (None, *CONCLUSIONS):
        raise _bad_run(f'"{fields["conclusion"]}" is not a conclusion')
    _check_output(fields.get("output"))
    actions = fields.get("actions") or []
    if len(actions) > len(ACTIONS):
        raise _bad_run("no more than 3 actions are allowed")
    for action in actions:
        _bounded(action, ACTIONS)


def _check_output(output: Mapping[str, Any] | None) -> None:
    if output is None:
        return
    if output.get("title") is None or output.get("summary") is None:
        raise _bad_run('"title" and "summary" weren\'t supplied')
    _bounded(output, {"summary": OUTPUT, "text": OUTPUT}, optional=True)
    annotations = output.get("annotations") or []
    if len(annotations) > ANNOTATIONS:
        raise _bad_run(f"No more than {ANNOTATIONS} annotations are allowed per request")
    for annotation in annotations:
        _check_annotation(annotation)


def _check_annotation(annotation: Mapping[str, Any]) -> None:
    for key in ("path", "start_line", "end_line", "annotation_level", "message"):
        if annotation.get(key) in (None, ""):
            raise _bad_run(f'"{key}" wasn\'t supplied')
    if annotation["annotation_level"] not in ("notice", "warning", "failure"):
        raise _bad_run(f'"{annotation["annotation_level"]}" is not an annotation level')
    if annotation["start_line"] > annotation["end_line"]:
        raise _bad_run("start_line must precede end_line")
    _bounded(annotation, {"title": 255}, optional=True)
    _bounded(annotation, {"message": BLOB, "raw_details": BLOB}, optional=True, size=_bytes)


def _bounded(
    item: Mapping[str, Any], limits: Mapping[str, int], *, optional: bool = False, size: Callable[[str], int] = len
) -> None:
    for key, limit in limits.items():
        value = item.get(key)
        if value is None and optional:
            continue
        if not value and not optional:
            raise _bad_run(f'"{key}" wasn\'t supplied')
        if size(str(value)) > limit:
            raise _bad_run(f"{key} exceeds a maximum length of {limit}")


def _bytes(text: str) -> int:
    return len(text.encode(errors="replace"))


def _bad_run(problem: str) -> Rejected:
    return Rejected(422, f"Invalid request.\n\n{problem[:300]}.")


def _article(kind: str) -> str:
    return "an" if kind[0] in "aeiou" else "a"
