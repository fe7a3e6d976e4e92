"""The programming language of a path or of a word, as one lower-case name."""

from __future__ import annotations

import re
from functools import lru_cache
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
_EVERY_GUIDE = frozenset(
    """
    a and at best code coding convention conventions developer engineering for guide guideline guidelines handbook idioms in language of our
    practices programming projects project rule rules services specific standard standards style styleguide team teams the
    für regeln richtlinien code codierrichtlinien programmierrichtlinien standards pour règles de guide du le reglas para
    guía estilo regras правила для стиль 编码 规范 编码规范 代码规范 规则 开发规范 コーディング規約 規約 ガイド ルール
    """.split()  # noqa: SIM905 - a list of words reads better
)
"""Words in the title of every guide."""
_SUPERSETS = {
    "typescript": {"javascript"},
    "cpp": {"c"},
    "vue": {"javascript", "typescript", "html", "css"},
    "svelte": {"javascript", "typescript", "html", "css"},
    "jupyter": {"python"},
}
_EMBEDDED = {"graphql", "html", "sql"}
"""Languages that programs of every language contain as text."""
_MARKUP = {"css", "json", "markdown", "text", "toml", "xml", "yaml"}
_TECHNOLOGIES = {
    "angular": "javascript", "ansible": "yaml", "django": "python", "docker": "dockerfile", "express": "javascript",
    "fastapi": "python", "flask": "python", "helm": "yaml", "jest": "javascript", "k8s": "yaml", "kubernetes": "yaml",
    "laravel": "php", "nextjs": "javascript", "nodejs": "javascript", "pandas": "python", "rails": "ruby",
    "react": "javascript", "spring": "java",
}  # fmt: skip
"""Technologies whose names in a document's path say which language it is about."""
_TEST = re.compile(
    r"(?:^|/)(?:tests?|specs?|__tests__)/|(?:^|/)test_[^/]*$|[._-](?:test|spec)s?\.[^/]*$", re.IGNORECASE
)


@lru_cache(maxsize=10_000)
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


_WRITTEN = {
    "cmake": "CMake",
    "cpp": "C++",
    "csharp": "C#",
    "css": "CSS",
    "fsharp": "F#",
    "graphql": "GraphQL",
    "html": "HTML",
    "javascript": "JavaScript",
    "ocaml": "OCaml",
    "php": "PHP",
    "powershell": "PowerShell",
    "protobuf": "Protocol Buffers",
    "sql": "SQL",
    "typescript": "TypeScript",
    "yaml": "YAML",
}
_DATA = frozenset({"json", "markdown", "text", "toml", "xml", "yaml", "jupyter"})


def is_code(language: str) -> bool:
    """Whether the language, one of LANGUAGES, holds instructions and not only data or prose."""
    return language in LANGUAGES - _DATA


def written_name(language: str) -> str:
    """The name of one of LANGUAGES as people write it: csharp -> C#."""
    return _WRITTEN.get(language, language.capitalize())


def language_named(word: str) -> str:
    """The language that `word` names, as in a code fence: `py` and `Python` are python; empty if unknown."""
    lower = word.lower()
    return lower if lower in LANGUAGES else _ALIASES.get(lower) or _BY_SUFFIX.get(lower, "")


def language_of_document(path: str) -> str:
    """The language that a document's path names: `docs/standards/python/naming.md` -> python; empty if none."""
    parts = PurePosixPath(path.lower()).with_suffix("").parts
    words = [word for part in reversed(parts) for word in part.replace("_", "-").split("-")]
    found = (_ALIASES.get(word) or _TECHNOLOGIES.get(word, word) for word in words)
    return next((word for word in found if word in LANGUAGES - _EVERYDAY), "")


def language_of_heading(title: str) -> str:
    """Returns the language that a heading names and nothing else: "Python", "Rules for Go", "TypeScript style guide"."""
    names = [word for word in re.findall(r"[^\W_]+[+#]*", title) if word.lower() not in _EVERY_GUIDE]
    if len(names) != 1:
        return ""
    lower = names[0].lower()
    known = _ALIASES.get(lower) or _TECHNOLOGIES.get(lower, lower)
    everyday = known in _EMBEDDED | _MARKUP | _EVERYDAY or (
        known in {"go", "swift", "dart", "rust"} and names[0] == lower
    )
    return known if known in LANGUAGES and not everyday else ""


def rules_apply_to(language: str, other: str) -> bool:
    """Whether rules for `other` also apply to `language`: JavaScript's to TypeScript, C's to C++, SQL's to every program."""
    embedded = other in _EMBEDDED and bool(language) and language not in _MARKUP
    return language == other or other in _SUPERSETS.get(language, ()) or embedded


def is_test(path: str) -> bool:
    """Whether the path is that of a test, by the usual names of files and folders."""
    return _TEST.search(path) is not None
