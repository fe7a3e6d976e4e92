"""How well the embedded search finds the team's rules, beside plain full-text search without boost and lexicon.

    python benchmarks/standards.py

Queries and their labels are in standards.toml, the documents in examples/standards. Citations on guides in the style of
public ones, in eight languages, follow: see citations.py. Each engine runs in a process of
its own, so that its memory can be told.
"""

from __future__ import annotations

import json
import re
import resource
import sqlite3
import statistics
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.core.code.language import language
from bot.core.findings.standard import Document, Hit, Standard
from bot.standards.local_index import Index
from bot.standards.sections import sections

ROOT = Path(__file__).parents[1]
KINDS = ("prose", "code", "finding")
Search = Callable[["Query"], Sequence[Hit]]


@dataclass(frozen=True)
class Query:
    """`wanted` are ids of sections, any of which is right; none for what the documents do not cover."""

    kind: str
    text: str
    path: str = ""
    wanted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Score:
    """Of one kind of query: how often the first five, and how high up the first right one."""

    count: int
    recall: float
    rank: float


def queries() -> list[Query]:
    """The labelled queries, and those that nothing should answer."""
    read = tomllib.loads((ROOT / "benchmarks" / "standards.toml").read_text())
    return [
        Query(kind, one["text"], one.get("path", ""), tuple(one.get("wanted", ())))
        for kind in (*KINDS, "uncovered")
        for one in read[kind]
    ]


def standards() -> list[Standard]:
    """Every section of the example's documents. Ids are short: python#no-bare-except."""
    files = sorted((ROOT / "examples" / "standards").glob("*.md"))
    found = [sections(Document(f"{file.stem}.md", file.name), file.read_bytes()) for file in files]
    return [one for standards in found for one in standards]


def ours(shelf: list[Standard]) -> Search:
    """The index as the product uses it."""
    index = Index.of(shelf)
    return lambda query: index.search(query.text, query.path, language(query.path), 5)


def plain(shelf: list[Standard]) -> Search:
    """FTS5 with porter stems, all words of the query, nothing else."""
    rows = sqlite3.connect(":memory:")
    rows.execute("CREATE VIRTUAL TABLE search USING fts5 (heading, body, tokenize='porter')")
    rows.executemany(
        "INSERT INTO search (rowid, heading, body) VALUES (?, ?, ?)",
        [(number, one.title, one.text) for number, one in enumerate(shelf)],
    )

    def search(query: Query) -> list[Hit]:
        words = " OR ".join(f'"{word}"' for word in re.findall(r"\w+", query.text)) or '""'
        found = rows.execute("SELECT rowid FROM search WHERE search MATCH ? ORDER BY bm25(search) LIMIT 5", (words,))
        return [Hit(shelf[row], 0.0) for (row,) in found]

    return search


ENGINES = {"ours": ours, "plain": plain}


def evaluate(search: Search) -> dict[str, Score]:
    """Recall at five and mean reciprocal rank, for each kind and overall."""
    ranks: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for query in queries():
        if query.wanted:
            found = [hit.standard.id.replace(".md#", "#") for hit in search(query)]
            place = next((n for n, one in enumerate(found, 1) if one in query.wanted), None)
            ranks[query.kind].append(1 / place if place else 0.0)
    ranks["overall"] = [rank for kind in KINDS for rank in ranks[kind]]
    return {
        kind: Score(len(found), sum(rank > 0 for rank in found) / len(found), statistics.mean(found))
        for kind, found in ranks.items()
    }


def governed(search: Search) -> dict[str, tuple[int, int, int]]:
    """For each kind: queries answered by a right section that governs, by a wrong one, and all of them."""
    counts = {kind: [0, 0, 0] for kind in (*KINDS, "uncovered")}
    for query in queries():
        best = next((hit for hit in search(query) if hit.governs), None)
        right = best is not None and best.standard.id.replace(".md#", "#") in query.wanted
        counts[query.kind][0] += right
        counts[query.kind][1] += best is not None and not right
        counts[query.kind][2] += 1
    return {kind: (right, wrong, total) for kind, (right, wrong, total) in counts.items()}


def measure(engine: str) -> dict[str, object]:
    """Everything about one engine, in this process."""
    shelf = standards()
    begun = time.perf_counter()
    search = ENGINES[engine](shelf)
    built = time.perf_counter() - begun
    taken = []
    for query in queries() * 5:
        begun = time.perf_counter()
        search(query)
        taken.append(time.perf_counter() - begun)
    return {
        "sections": len(shelf),
        "index_ms": built * 1000,
        "p50_ms": statistics.median(taken) * 1000,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "scores": {kind: vars(score) for kind, score in evaluate(search).items()},
        "governed": governed(search),
    }


def main() -> None:
    """Print the table."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
        return
    for engine in ENGINES:
        output = subprocess.run([sys.executable, __file__, engine], check=True, capture_output=True, text=True).stdout
        found = json.loads(output)
        print(f"{engine}: {found['sections']} sections, index {found['index_ms']:.0f} ms,", end=" ")
        print(f"p50 {found['p50_ms']:.2f} ms, {found['rss_mb']:.0f} MB")
        for kind, score in found["scores"].items():
            print(f"  {kind:8} n={score['count']:<3} recall@5 {score['recall']:.2f}  MRR {score['rank']:.2f}")
        if engine == "ours":
            for kind, (right, wrong, total) in found["governed"].items():
                print(f"  {kind:9} cited right {right:2}, wrong {wrong}, of {total}", flush=True)
    subprocess.run([sys.executable, str(Path(__file__).with_name("citations.py"))], check=True)


if __name__ == "__main__":
    main()
