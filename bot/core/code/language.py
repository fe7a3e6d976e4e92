"""The programming language of a path or of a word, as one lower-case name."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

_SUFFIXES = {
    "bash": "bash sh zsh",
    "c": "c h",
    "clojure": "clj cljc cljs",
    "cpp": "cc cpp cxx hh hpp hxx ipp",
    "csharp": "cs csx",
    "css": "css less sass scss",
    "dart": "dart",
    "elixir": "ex exs",
    "erlang": "erl hrl",
    "fsharp": "fs fsi fsx",
    "go": "go",
    "graphql": "gql graphql",
    "groovy": "gradle groovy",
    "haskell": "hs lhs",
    "html": "htm html xhtml",
    "java": "java",
    "javascript": "cjs js jsx mjs",
    "json": "json json5 jsonc",
    "jupyter": "ipynb",
    "kotlin": "kt kts",
    "lua": "lua",
    "markdown": "markdown md mdx",
    "ocaml": "ml mli",
    "perl": "pl pm",
    "php": "php phtml",
    "powershell": "ps1 psm1",
    "protobuf": "proto",
    "python": "py pyi pyw",
    "r": "r",
    "ruby": "gemspec rake rb",
    "rust": "rs",
    "scala": "sbt scala",
    "solidity": "sol",
    "sql": "ddl sql",
    "svelte": "svelte",
    "swift": "swift",
    "terraform": "hcl tf tfvars",
    "text": "adoc rst txt",
    "toml": "toml",
    "typescript": "cts mts ts tsx",
    "vue": "vue",
    "xml": "plist xml xsd xsl",
    "yaml": "yaml yml",
    "zig": "zig",
}
_BY_SUFFIX = {suffix: name for name, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
_BY_NAME = {
    "cmakelists.txt": "cmake",
    "dockerfile": "dockerfile",
    "gemfile": "ruby",
    "gnumakefile": "make",
    "jenkinsfile": "groovy",
    "makefile": "make",
    "rakefile": "ruby",
    "vagrantfile": "ruby",
}
LANGUAGES = frozenset(_SUFFIXES) | frozenset(_BY_NAME.values())
_ALIASES = {
    "c#": "csharp",
    "c++": "cpp",
    "golang": "go",
    "pgsql": "sql",
    "postgresql": "sql",
    "shell": "bash",
}
_EVERYDAY = {"html", "make", "markdown", "r", "text"}
"""Languages whose names are everyday words and mean nothing in a document's path."""
_SUPERSETS = {"typescript": "javascript", "cpp": "c"}


def language(path: str) -> str:
    """The language of the file at `path`, judged by its name; empty if unknown."""
    name = PurePosixPath(path.lower())
    known = _BY_NAME.get(name.name) or _BY_SUFFIX.get(name.suffix[1:], "")
    return known or ("dockerfile" if name.stem == "dockerfile" else "")


_SHEBANG = re.compile(r"#!\s*(?:/\S*/)?env\s+(?:-\S+\s+)*(?:\w+=\S*\s+)*(\S+)|#!\s*(\S+)")
_INTERPRETERS = {
    "bash": "sh", "dash": "sh", "ksh": "sh", "sh": "sh", "zsh": "sh", "python": "py", "pypy": "py", "node": "js", "bun": "ts",
    "deno": "ts", "ruby": "rb", "perl": "pl", "php": "php", "lua": "lua", "rscript": "r", "pwsh": "ps1", "elixir": "exs",
    "groovy": "groovy", "kotlin": "kts", "swift": "swift", "uv": "py", "uvx": "py", "tsx": "ts", "ts-node": "ts",
}  # fmt: skip


def is_nameless(path: str) -> bool:
    """Whether the name of the file says nothing about its language, so that only its first line can."""
    return not PurePosixPath(path).suffix and not language(path)


def script_suffix(path: str, first: str) -> str:
    """The suffix, such as ".py", of a script without one, by its first line `#!/usr/bin/env python3`; else empty."""
    found = _SHEBANG.match(first[:200]) if is_nameless(path) else None
    program = PurePosixPath(found[1] or found[2]).name.lower() if found else ""
    suffix = _INTERPRETERS.get(program) or _INTERPRETERS.get(program.rstrip("0123456789."), "")
    return f".{suffix}" if suffix else ""


def script_language(path: str, first: str) -> str:
    """The language of a script without a suffix, by its first line; empty if unknown."""
    return _BY_SUFFIX.get(script_suffix(path, first)[1:], "")


def language_named(word: str) -> str:
    """The language that `word` names, as in a code fence: `py` and `Python` are python; empty if unknown."""
    lower = word.lower()
    return lower if lower in LANGUAGES else _ALIASES.get(lower) or _BY_SUFFIX.get(lower, "")


def language_of_document(path: str) -> str:
    """The language that a document's path names: `docs/standards/python/naming.md` -> python; empty if none."""
    parts = PurePosixPath(path.lower()).with_suffix("").parts
    words = [word for part in reversed(parts) for word in part.replace("_", "-").split("-")]
    found = (_ALIASES.get(word, word) for word in words)
    return next((word for word in found if word in LANGUAGES - _EVERYDAY), "")


def rules_apply_to(language: str, other: str) -> bool:
    """Whether rules for `other` also apply to `language`: those for JavaScript to TypeScript, those for C to C++."""
    return language == other or _SUPERSETS.get(language) == other
