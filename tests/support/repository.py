"""A repository in memory, shaped like `CodeHost`: two commits, issues, comments, and a list of the calls."""

import hashlib

from bot.core.code.diff import Diff
from bot.core.code.pull_request import Issue, Permission, PullRef, PullRequest
from bot.errors import NotFound, Refused
from bot.interfaces import TreeFile

REF = PullRef("octo/shop", 7)
BASE, HEAD = "b" * 40, "a" * 40


def pull_request(**changed):
    """A pull request from `head` to `base` with a title and a body."""
    values = {
        "ref": REF,
        "title": "Add totals",
        "body": "Fixes #12",
        "author": "alice",
        "base_ref": "main",
        "base_sha": BASE,
        "head_sha": HEAD,
        "head_repo": REF.repo,
    }
    return PullRequest(**values | changed)


def blob_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class Repository:
    """Files at two commits; issues by number; `asked` lists the calls."""

    def __init__(self, head, base=None, issues=(), said=(), diff=None):
        self.commits = {HEAD: self._bytes(head), BASE: self._bytes(head if base is None else base)}
        self.contents = {blob_id(content): content for files in self.commits.values() for content in files.values()}
        self.issues = {issue.number: issue for issue in issues}
        self.threads = tuple(said)
        self.change = diff or Diff()
        self.asked = []

    @staticmethod
    def _bytes(files):
        return {path: text if isinstance(text, bytes) else text.encode() for path, text in files.items()}

    async def pull_request(self, ref):
        return pull_request(ref=ref)

    async def diff(self, pull):
        return self.change

    async def tree(self, ref, commit):
        self.asked.append(("tree", ref.repo, commit))
        return tuple(TreeFile(path, blob_id(content), len(content)) for path, content in self.commits[commit].items())

    async def blob(self, ref, sha):
        self.asked.append(("blob", ref.repo, sha))
        return self.contents[sha]

    async def blobs(self, ref, shas):
        found = {}
        for sha in shas:
            try:
                found[sha] = await self.blob(ref, sha)
            except Refused as error:
                found[sha] = error
        return found

    async def issue(self, ref, number):
        self.asked.append(("issue", ref.repo, number))
        if number not in self.issues:
            raise NotFound(f"#{number}")
        return self.issues[number]

    async def permission(self, ref, login):
        return Permission.NONE

    async def comments(self, pull):
        return self.threads


def issue(number=12, **changed):
    """An issue of the repository."""
    values = {"repo": REF.repo, "number": number, "title": "Totals are wrong", "body": "Please fix.", "author": "bob"}
    return Issue(**values | changed)
