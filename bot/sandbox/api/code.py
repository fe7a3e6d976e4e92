"""Endpoints that read code: trees, blobs, contents, commits, comparisons, search."""

from __future__ import annotations

import base64
from urllib.parse import quote

from starlette.responses import Response

from bot.errors import Refused
from bot.hosts.git import LogEntry, TreeEntry
from bot.sandbox.api.call import SHA, Call, Endpoint, ok
from bot.sandbox.world import history, shape
from bot.sandbox.world.patch import FilePatch
from bot.sandbox.world.rules import Rejected
from bot.sandbox.world.state import Repository, World, stamp

MEGABYTE = 1024 * 1024
LISTED = 1000
COMMITS = 250
FILES = 300
FILES_MOST = 3000
DIFF_LINES = 20_000


async def get_repository(call: Call) -> Response:
    """GET /repos/{owner}/{repo}"""
    return ok(shape.repository(call.world, call.repo))


async def get_tree(call: Call) -> Response:
    """GET …/git/trees/{ref}: a commit, a tree or a branch"""
    ref = call.text("ref")
    try:
        tree = await call.repo.git.resolve(ref if SHA.fullmatch(ref) else await call.commit(ref), kind="tree")
    except Refused as error:
        raise Rejected(404, "Not Found") from error
    entries = await call.repo.git.tree(tree, directories=True)
    if "recursive" not in call.request.query_params:
        entries = [entry for entry in entries if "/" not in entry.path]
    limit = call.world.tree_limit
    shown = [_entry(call, entry) for entry in entries[:limit]]
    return ok({"sha": tree, "tree": shown, "truncated": len(entries) > limit})


def _entry(call: Call, entry: TreeEntry) -> shape.Json:
    kind = {"040000": "tree", "160000": "commit"}.get(entry.mode, "blob")
    about = {"path": shape.text(entry.path), "mode": entry.mode, "type": kind, "sha": entry.blob}
    if kind != "blob":
        return about
    return about | {"size": entry.size, "url": f"{shape.root(call.world, call.repo)}/git/blobs/{entry.blob}"}


async def get_blob(call: Call) -> Response:
    """GET …/git/blobs/{sha}, as JSON or raw"""
    sha = call.text("sha")
    if not SHA.fullmatch(sha):
        raise Rejected(422, "The sha parameter must be exactly 40 characters and contain only [0-9a-f].")
    try:
        content = await call.repo.git.blob(sha)
    except Refused as error:
        raise Rejected(404, "Not Found") from error
    if call.accepts("raw"):
        return Response(content, media_type="application/vnd.github.raw; charset=utf-8")
    return ok(
        {"sha": sha, "size": len(content), "encoding": "base64", "content": _base64(content)}
        | {"url": f"{shape.root(call.world, call.repo)}/git/blobs/{sha}"}
    )


async def get_content(call: Call) -> Response:
    """GET …/contents/{path}?ref=: looked up in git's own listing, so that a path cannot lead elsewhere"""
    path = call.text("path").strip("/")
    try:
        commit = await call.commit(call.request.query_params.get("ref", call.repo.default_branch))
    except Rejected as rejected:
        raise Rejected(404, "No commit found for the ref") from rejected
    entries = await call.repo.git.tree(commit, directories=True)
    found = next((entry for entry in entries if entry.path == path and entry.mode != "040000"), None)
    if found is None:
        return ok(_directory(call, entries, path))
    content = await call.repo.git.blob(found.blob)
    if call.accepts("raw"):
        return Response(content, media_type="application/vnd.github.raw; charset=utf-8")
    small = len(content) <= MEGABYTE
    encoded = {"encoding": "base64", "content": _base64(content)} if small else {"encoding": "none", "content": ""}
    return ok(_file(call.world, call.repo, found) | encoded)


def _directory(call: Call, entries: list[TreeEntry], path: str) -> list[shape.Json]:
    prefix = f"{path}/" if path else ""
    inside = [entry for entry in entries if entry.path.startswith(prefix) and "/" not in entry.path[len(prefix) :]]
    if not inside:
        raise Rejected(404, "Not Found")
    return [_file(call.world, call.repo, entry) for entry in inside[:LISTED]]


def _file(world: World, repo: Repository, entry: TreeEntry) -> shape.Json:
    path = shape.text(entry.path)
    return {
        "type": {"040000": "dir", "120000": "symlink", "160000": "submodule"}.get(entry.mode, "file"),
        "name": path.rpartition("/")[2],
        "path": path,
        "sha": entry.blob,
        "size": entry.size,
        "url": f"{shape.root(world, repo)}/contents/{quote(path)}",
    }


async def get_commit(call: Call) -> Response:
    """GET …/commits/{ref}"""
    sha = await call.commit(call.text("ref"))
    entry = await call.repo.git.about(sha)
    base = entry.parents[0] if entry.parents else sha
    compared = await history.three_dots(call.repo, base, sha)
    files = [changed_file(call.world, call.repo, sha, file) for file in compared.files[:FILES]]
    return ok(commit(call.world, call.repo, entry) | {"files": files})


async def compare(call: Call) -> Response:
    """GET …/compare/{base}...{head}; a head in a fork is owner:branch or its id"""
    base_name, dots, head_name = call.text("basehead").partition("...")
    if not dots:
        raise Rejected(404, "Not Found")
    try:
        base, head = await call.commit(base_name), await call.commit(head_name.rpartition(":")[2])
        compared = await history.three_dots(call.repo, base, head)
    except Refused as error:
        raise Rejected(404, "Not Found") from error
    if call.accepts("diff"):
        return diff(compared.text, len(compared.files))
    git = call.repo.git
    parted = await git.merge_base(base, head)
    ahead, behind = await git.log(base, head), await git.log(head, base)
    status = ("diverged" if behind else "ahead") if ahead else ("behind" if behind else "identical")
    files = compared.files[:FILES] if call.request.query_params.get("page", "1") == "1" else ()
    return ok(
        {
            "status": status,
            "ahead_by": len(ahead),
            "behind_by": len(behind),
            "total_commits": len(ahead),
            "base_commit": {"sha": base},
            "merge_base_commit": {"sha": parted},
            "commits": [commit(call.world, call.repo, entry) for entry in ahead[:COMMITS]],
            "files": [changed_file(call.world, call.repo, head, file) for file in files],
        }
    )


def diff(text: str, files: int) -> Response:
    """A diff as text, unless GitHub would find it too large."""
    lines = text.count("\n")
    if lines > DIFF_LINES or files > FILES:
        what = f"number of lines ({DIFF_LINES})" if lines > DIFF_LINES else f"number of files ({FILES})"
        message = f"Sorry, the diff exceeded the maximum {what}."
        errors = [{"resource": "PullRequest", "field": "diff", "code": "too_large"}]
        raise Rejected(406, message, errors)
    return Response(text, media_type="application/vnd.github.diff; charset=utf-8")


def changed_file(world: World, repo: Repository, head: str, file: FilePatch) -> shape.Json:
    """An entry of the files API. `patch` is left out for binary, unchanged and very large files."""
    change = file.change
    path = quote(change.path.encode(errors="surrogateescape"))
    about: shape.Json = {
        "sha": change.old_blob if change.status == "D" else change.new_blob,
        "filename": shape.text(change.path),
        "status": file.status,
        "additions": file.added,
        "deletions": file.deleted,
        "changes": file.changed,
        "blob_url": f"{shape.page(world, repo)}/blob/{head}/{path}",
        "raw_url": f"{shape.page(world, repo)}/raw/{head}/{path}",
        "contents_url": f"{shape.root(world, repo)}/contents/{path}?ref={head}",
    }
    if change.previous_path:
        about["previous_filename"] = shape.text(change.previous_path)
    return about | ({"patch": file.text} if file.shown else {})


def commit(world: World, repo: Repository, entry: LogEntry) -> shape.Json:
    """A commit in a list."""
    person = {"name": entry.author, "email": "author@example.com", "date": stamp(entry.time)}
    return {
        "sha": entry.sha,
        "commit": {"message": entry.message, "author": person, "committer": person},
        "parents": [{"sha": parent} for parent in entry.parents],
        "author": None,
        "html_url": f"{shape.page(world, repo)}/commit/{entry.sha}",
    }


def _base64(content: bytes) -> str:
    return base64.encodebytes(content).decode()


REPO = "/repos/{owner}/{repo}"
ENDPOINTS = (
    Endpoint("GET", REPO, get_repository, ("metadata:read",)),
    Endpoint("GET", REPO + "/git/trees/{ref:path}", get_tree, ("contents:read",)),
    Endpoint("GET", REPO + "/git/blobs/{sha}", get_blob, ("contents:read",)),
    Endpoint("GET", REPO + "/contents/{path:path}", get_content, ("contents:read",)),
    Endpoint("GET", REPO + "/compare/{basehead:path}", compare, ("contents:read",)),
)
LAST = (Endpoint("GET", REPO + "/commits/{ref:path}", get_commit, ("contents:read",)),)
