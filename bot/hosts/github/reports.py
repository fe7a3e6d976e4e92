"""Reads the SARIF reports of a head: from code scanning, or from an artifact of a workflow run.

https://docs.github.com/en/rest/code-scanning/code-scanning · https://docs.github.com/en/rest/actions/artifacts
"""

from __future__ import annotations

import asyncio
import io
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import suppress

import structlog

from bot.core.code.pull_request import PullRequest
from bot.core.findings.sarif import LARGEST, AnalysisReport, AnalysisReports, analysed_commit
from bot.errors import Forbidden, NotFound, Refused, TooLarge, Unprocessable
from bot.hosts.github.auth import REPORTS, Grant
from bot.hosts.github.client import PER_PAGE, GitHubClient, repository
from bot.hosts.github.payloads import AnalysisAnswer, ArtifactsAnswer, Commit, MergeAnswer
from bot.interfaces import CodeHost

log = structlog.get_logger()

SARIF = "application/sarif+json"
MOST = 10
"""Reports that are read of one head."""
COMMITS = 5
"""Analysed commits that are compared with the head."""
DIRECTORY = 1024 * 1024
"""Bytes of the directory of an archive: some thousand files."""
_END_OF_ARCHIVE = b"PK\x05\x06"
# zipfile raises RuntimeError for an encrypted member, NotImplementedError for an unknown compression.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError, ValueError)


class GitHubReports:
    """The ReportSource of production."""

    def __init__(self, client: GitHubClient, host: CodeHost) -> None:
        self._client = client
        self._host = host

    def reads(self, source: str) -> bool:
        """Whether the policy names a source."""
        return bool(source)

    async def reports(self, pull: PullRequest, source: str, paths: Collection[str]) -> AnalysisReports:
        """Reads the reports. The log tells the operator what the App may not read; the review says it too."""
        name = source.partition(" ")[2]
        try:
            found = await (self._artifact(pull, name, paths) if name else self._code_scanning(pull, paths))
        except Refused as error:
            refused = isinstance(error, Forbidden | Unprocessable)
            needs = ("actions: read" if name else "security_events: read") if refused else ""
            log.warning("SARIF is not read", pull=str(pull.ref), source=source, needs=needs, reason=str(error))
            cause = f"the App may not do it without the permission {needs}; {error}" if refused else str(error)
            return AnalysisReports(problem=f"{source} cannot be read: {cause}")
        return found or AnalysisReports(missing=f"{source} has no report about this head yet")

    async def _code_scanning(self, pull: PullRequest, paths: Collection[str]) -> AnalysisReports | None:
        """The newest analysis of the head by each tool and category."""
        newest: dict[tuple[str, str], AnalysisAnswer] = {}
        commits: dict[str, bool] = {pull.head_sha: True}
        for analysis in await self._analyses(pull):
            if analysis.commit_sha not in commits and len(commits) <= COMMITS:
                commits[analysis.commit_sha] = await self._is_merge_of_head(pull, analysis.commit_sha)
            if commits.get(analysis.commit_sha):
                newest.setdefault((analysis.tool.name, analysis.category or ""), analysis)
        reports = [await self._analysis(pull, analysis, paths) for analysis in list(newest.values())[:MOST]]
        return AnalysisReports(tuple(reports)) if reports else None

    async def _analyses(self, pull: PullRequest) -> list[AnalysisAnswer]:
        """The uploads for the pull request, then the latest ones for any branch, each newest first."""
        address = repository(pull.ref.repo, "code-scanning", "analyses")
        found: list[AnalysisAnswer] = []
        for ref in (f"refs/pull/{pull.ref.number}/merge", f"refs/pull/{pull.ref.number}/head", ""):
            with suppress(NotFound):  # GitHub's answer where nothing was analysed
                wanted: dict[str, str | int] = {"per_page": PER_PAGE, **({"ref": ref} if ref else {})}
                found += (await self._client.get(_grant(pull), address, wanted)).read(list[AnalysisAnswer])
        return found

    async def _is_merge_of_head(self, pull: PullRequest, commit: str) -> bool:
        """Whether GitHub made the commit to test the head merged with its base."""
        with suppress(NotFound, Unprocessable):
            address = repository(pull.ref.repo, "commits", commit)
            found = (await self._client.get(_grant(pull), address, {"per_page": 1})).read(Commit)
            return len(found.parents) > 1 and found.parents[-1].sha == pull.head_sha
        return False

    async def _analysis(self, pull: PullRequest, analysis: AnalysisAnswer, paths: Collection[str]) -> AnalysisReport:
        address = repository(pull.ref.repo, "code-scanning", "analyses", analysis.id)
        text = await self._client.raw(_grant(pull), address, LARGEST, SARIF)
        return AnalysisReport(text.decode(errors="replace"), await self._elsewhere(pull, analysis.commit_sha, paths))

    async def _artifact(self, pull: PullRequest, name: str, paths: Collection[str]) -> AnalysisReports | None:
        """The SARIF files in the newest artifact of that name that a workflow made for the head."""
        address = repository(pull.ref.repo, "actions", "artifacts")
        page = await self._client.get(_grant(pull), address, {"per_page": PER_PAGE, "name": name})
        made = [one for one in page.read(ArtifactsAnswer).artifacts if one.name == name and not one.expired]
        chosen = next((one for one in made if one.workflow_run and one.workflow_run.head_sha == pull.head_sha), None)
        if chosen is None:
            return None
        where = repository(pull.ref.repo, "actions", "artifacts", chosen.id, "zip")
        texts = await asyncio.to_thread(sarif_files, await self._client.stored(_grant(pull), where, LARGEST))
        merge = await self._merge(pull)
        commits = [analysed_commit(text) or merge for text in texts]
        return AnalysisReports(
            tuple([
                AnalysisReport(text, await self._elsewhere(pull, commit, paths))
                for text, commit in zip(texts, commits, strict=True)
            ])
        )  # fmt: skip

    async def _merge(self, pull: PullRequest) -> str:
        """GitHub's merge of the head with its base, which a workflow on `pull_request` checks out; empty on conflicts."""
        address = repository(pull.ref.repo, "pulls", pull.ref.number)
        return (await self._client.get(_grant(pull), address)).read(MergeAnswer).merge_commit_sha or ""

    async def _elsewhere(self, pull: PullRequest, commit: str, paths: Collection[str]) -> frozenset[str]:
        """The files whose text at the analysed commit is not the head's, so that line numbers do not fit."""
        if commit == pull.head_sha:
            return frozenset()
        try:
            head = {file.path: file.blob for file in await self._host.tree(pull.ref, pull.head_sha)}
            there = {file.path: file.blob for file in await self._host.tree(pull.ref, commit)} if commit else {}
        except (NotFound, TooLarge, Unprocessable):
            return frozenset(paths)
        return frozenset(path for path in paths if head.get(path) != there.get(path))


def sarif_files(archive: bytes) -> list[str]:
    """The texts of the SARIF files in a zip archive, at most LARGEST bytes in all. Raises Refused or TooLarge."""
    end = archive.rfind(_END_OF_ARCHIVE)
    if end < 0 or int.from_bytes(archive[end + 12 : end + 16], "little") > DIRECTORY:
        raise Refused("the artifact is no zip archive, or has too many files")
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            texts = list(_texts(opened))
    except _UNREADABLE as error:
        raise Refused(f"the artifact cannot be unpacked ({type(error).__name__})") from error
    if not texts:
        raise NotFound("the artifact holds no file whose name ends with .sarif")
    return texts


def _texts(opened: zipfile.ZipFile) -> Iterator[str]:
    left = LARGEST
    named = [entry for entry in opened.infolist() if entry.filename.lower().endswith((".sarif", ".sarif.json"))]
    for entry in named[:MOST]:
        with opened.open(entry) as file:
            content = file.read(left + 1)
        left -= len(content)
        if left < 0:
            raise TooLarge(f"the SARIF files of the artifact have more than {LARGEST:,} bytes")
        yield content.decode(errors="replace")


def _grant(pull: PullRequest) -> Grant:
    return Grant.of(pull.ref, REPORTS)
