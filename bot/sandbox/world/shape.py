"""State -> JSON in GitHub's shapes, with addresses that open in the sandbox's pages."""

from __future__ import annotations

import base64
from collections import Counter
from typing import Any
from urllib.parse import quote

from bot.sandbox.world.patch import FilePatch
from bot.sandbox.world.rules import REACTIONS
from bot.sandbox.world.state import (
    CheckRun,
    Installation,
    Issue,
    IssueComment,
    Pull,
    Repository,
    Review,
    ReviewComment,
    Said,
    User,
    World,
)

Json = dict[str, Any]


def node(kind: str, number: int) -> str:
    """A GraphQL node id."""
    return f"{kind}_" + base64.urlsafe_b64encode(str(number).encode()).decode().rstrip("=")


def user(world: World, person: User) -> Json:
    """A simple user."""
    return {
        "login": person.login,
        "id": person.id,
        "node_id": node("U", person.id),
        "type": person.kind,
        "site_admin": False,
        "url": f"{world.api}/users/{quote(person.login)}",
        "html_url": f"{world.url}/{quote(person.login)}",
    }


def repository(world: World, repo: Repository) -> Json:
    """A minimal repository."""
    return {
        "id": repo.id,
        "node_id": node("R", repo.id),
        "name": repo.name,
        "full_name": repo.full_name,
        "private": repo.private,
        "visibility": "private" if repo.private else "public",
        "owner": user(world, repo.owner),
        "html_url": f"{world.url}/{repo.full_name}",
        "url": root(world, repo),
        "description": None,
        "fork": repo.parent is not None,
        "default_branch": repo.default_branch,
        "archived": repo.archived,
    }


def label(world: World, repo: Repository, name: str) -> Json:
    """A label. Its id is computed from its name."""
    return {
        "id": sum(name.encode()),
        "node_id": node("LA", sum(name.encode())),
        "url": f"{root(world, repo)}/labels/{quote(name, safe='')}",
        "name": name,
        "color": "ededed",
        "default": False,
        "description": None,
    }


def issue(world: World, repo: Repository, item: Issue) -> Json:
    """An issue, or a pull request as the issues API sees it."""
    kind = "pull" if isinstance(item, Pull) else "issues"
    about = {
        "id": item.id,
        "node_id": node("I", item.id),
        "number": item.number,
        "title": item.title,
        "body": item.body or None,
        "state": item.state,
        "user": user(world, item.author),
        "labels": [label(world, repo, name) for name in item.labels],
        "locked": item.locked,
        "comments": len(item.comments),
        "author_association": repo.association(item.author),
        "created_at": item.created_at,
        "updated_at": item.updated_at,
        "url": f"{root(world, repo)}/issues/{item.number}",
        "html_url": f"{page(world, repo)}/{kind}/{item.number}",
        "reactions": reactions(item.reactions),
    }
    if isinstance(item, Pull):
        about["pull_request"] = {
            "url": f"{root(world, repo)}/pulls/{item.number}",
            "html_url": f"{page(world, repo)}/pull/{item.number}",
            "merged_at": item.closed_at if item.merged else None,
        }
    return about


def pull(world: World, repo: Repository, item: Pull) -> Json:
    """A pull request, as in the list and in webhooks."""
    return {
        "id": item.id,
        "node_id": node("PR", item.id),
        "number": item.number,
        "state": item.state,
        "locked": item.locked,
        "title": item.title,
        "body": item.body or None,
        "user": user(world, item.author),
        "author_association": repo.association(item.author),
        "labels": [label(world, repo, name) for name in item.labels],
        "draft": item.draft,
        "created_at": item.created_at,
        "updated_at": item.updated_at,
        "closed_at": item.closed_at,
        "merged_at": item.closed_at if item.merged else None,
        "head": _end(world, item.head_repo, item.head_ref, item.head_sha, item.author),
        "base": _end(world, repo, item.base_ref, item.base_sha, repo.owner),
        "url": f"{root(world, repo)}/pulls/{item.number}",
        "html_url": f"{page(world, repo)}/pull/{item.number}",
        "issue_url": f"{root(world, repo)}/issues/{item.number}",
        "diff_url": f"{page(world, repo)}/pull/{item.number}.diff",
        "auto_merge": None,
    }


def whole_pull(world: World, repo: Repository, item: Pull, files: tuple[FilePatch, ...], commits: int) -> Json:
    """A pull request asked for by number: with its counts."""
    return pull(world, repo, item) | {
        "merged": item.merged,
        "merge_commit_sha": item.trial_merge,
        "mergeable": None if item.state == "closed" else True,
        "comments": len(item.comments),
        "review_comments": len(item.review_comments),
        "commits": commits,
        "additions": sum(one.added for one in files),
        "deletions": sum(one.deleted for one in files),
        "changed_files": len(files),
    }


def _end(world: World, repo: Repository | None, ref: str, sha: str, owner: User) -> Json:
    return {
        "label": f"{(repo.owner if repo else owner).login}:{ref}",
        "ref": ref,
        "sha": sha,
        "user": user(world, repo.owner if repo else owner),
        "repo": repository(world, repo) if repo else None,
    }


def reactions(given: list[tuple[int, User, str]]) -> Json:
    """The roll-up of reactions on a comment."""
    counts = Counter(content for _, _, content in given)
    return {"total_count": len(given)} | {content: counts[content] for content in REACTIONS}


def reaction(world: World, given: tuple[int, User, str]) -> Json:
    """One reaction."""
    return {"id": given[0], "node_id": node("REA", given[0]), "user": user(world, given[1]), "content": given[2]}


def _said(world: World, repo: Repository, item: Said, kind: str) -> Json:
    return {
        "id": item.id,
        "node_id": node(kind, item.id),
        "user": user(world, item.author),
        "author_association": repo.association(item.author),
        "body": item.body,
        "created_at": item.created_at,
        "updated_at": item.updated_at,
    }


def issue_comment(world: World, repo: Repository, item: Issue, comment: IssueComment) -> Json:
    """A comment in a conversation."""
    kind = "pull" if isinstance(item, Pull) else "issues"
    return _said(world, repo, comment, "IC") | {
        "url": f"{root(world, repo)}/issues/comments/{comment.id}",
        "issue_url": f"{root(world, repo)}/issues/{item.number}",
        "html_url": f"{page(world, repo)}/{kind}/{item.number}#issuecomment-{comment.id}",
        "reactions": reactions(comment.reactions),
    }


def review(world: World, repo: Repository, item: Pull, one: Review) -> Json:
    """A review."""
    said = _said(world, repo, one, "PRR")
    return {key: value for key, value in said.items() if key not in ("created_at", "updated_at")} | {
        "state": one.state,
        "commit_id": one.commit,
        "submitted_at": one.submitted_at,
        "pull_request_url": f"{root(world, repo)}/pulls/{item.number}",
        "html_url": f"{page(world, repo)}/pull/{item.number}#pullrequestreview-{one.id}",
    }


def review_comment(world: World, repo: Repository, item: Pull, comment: ReviewComment) -> Json:
    """An inline or file comment."""
    about = _said(world, repo, comment, "PRRC") | {
        "pull_request_review_id": comment.review,
        "path": comment.path,
        "diff_hunk": comment.diff_hunk,
        "commit_id": comment.commit,
        "original_commit_id": comment.original_commit,
        "side": comment.side,
        "line": comment.line,
        "start_side": comment.start_side,
        "start_line": comment.start_line,
        "position": comment.position,
        "original_line": comment.original_line,
        "original_start_line": comment.original_start_line,
        "original_position": comment.original_position,
        "subject_type": comment.subject,
        "url": f"{root(world, repo)}/pulls/comments/{comment.id}",
        "pull_request_url": f"{root(world, repo)}/pulls/{item.number}",
        "html_url": f"{page(world, repo)}/pull/{item.number}#discussion_r{comment.id}",
        "reactions": reactions(comment.reactions),
    }
    return about | ({"in_reply_to_id": comment.in_reply_to} if comment.in_reply_to else {})


def check_run(world: World, repo: Repository, run: CheckRun) -> Json:
    """A check run. Pull requests from forks are not listed, as on GitHub."""
    pulls = [item for item in repo.pulls if item.head_sha == run.head_sha and item.head_repo is repo]
    return {
        "id": run.id,
        "node_id": node("CR", run.id),
        "name": run.name,
        "head_sha": run.head_sha,
        "external_id": run.external_id,
        "status": run.status,
        "conclusion": run.conclusion,
        "started_at": run.started_at,
        "completed_at": run.completed_at,
        "details_url": run.details_url,
        "url": f"{root(world, repo)}/check-runs/{run.id}",
        "html_url": f"{page(world, repo)}/runs/{run.id}",
        "output": {
            "title": run.title,
            "summary": run.summary,
            "text": run.text,
            "annotations_count": len(run.annotations),
            "annotations_url": f"{root(world, repo)}/check-runs/{run.id}/annotations",
        },
        "check_suite": {"id": sum(run.head_sha.encode())},
        "app": app(world),
        "pull_requests": [
            {
                "id": item.id,
                "number": item.number,
                "url": f"{root(world, repo)}/pulls/{item.number}",
                "head": {"ref": item.head_ref, "sha": item.head_sha},
                "base": {"ref": item.base_ref, "sha": item.base_sha},
            }
            for item in pulls
        ],
    }


def installation(world: World, found: Installation) -> Json:
    """An installation of the App."""
    return {
        "id": found.id,
        "account": user(world, found.account),
        "app_id": world.app.id,
        "permissions": dict(found.permissions),
        "created_at": found.created_at,
        "suspended_at": found.created_at if found.suspended else None,
    }


def app(world: World) -> Json:
    """The App."""
    return {
        "id": world.app.id,
        "node_id": node("A", world.app.id),
        "slug": world.app.slug,
        "name": world.app.slug,
        "client_id": f"Iv23sandbox{world.app.id}",
        "permissions": dict(world.app.permissions),
        "events": list(world.app.events),
        "owner": user(world, world.user(world.owner)),
        "html_url": f"{world.url}/apps/{world.app.slug}",
    }


def text(path: str) -> str:
    """A path as JSON can carry it: bytes that are not UTF-8 become U+FFFD, as GitHub shows them."""
    return path.encode(errors="surrogateescape").decode(errors="replace")


def root(world: World, repo: Repository) -> str:
    """A repository's address in the API."""
    return f"{world.api}/repos/{repo.full_name}"


def page(world: World, repo: Repository) -> str:
    """A repository's address for people."""
    return f"{world.url}/{repo.full_name}"


def thread_node(root_comment: ReviewComment) -> str:
    """The GraphQL id of a thread, named by its first comment."""
    return node("PRRT", root_comment.id)
