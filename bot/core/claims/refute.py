"""Refutes typed claims with the code itself: looks up what a model says about names, files and calls.

A reason is returned only if there is evidence against the claim. None means that the claim may be true.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from bot.core.code.calls import calls, fits, signatures
from bot.core.code.diff import Diff, Side
from bot.core.code.language import is_test
from bot.core.code.outline import Name, Outline, Scope
from bot.core.code.syntax import Node, node_text, nodes, outline, tree
from bot.core.findings.anchor import anchor
from bot.core.findings.finding import Draft


@dataclass(frozen=True, slots=True)
class HeadFacts:
    """The facts about the head: the change, the texts of some files, and the paths of all files (empty: unknown)."""

    diff: Diff
    texts: Mapping[str, str]
    paths: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of a claim: a line of a text that could be parsed, and the name that the claim is about."""

    path: str
    text: str
    seen: Outline
    line: int
    name: str
    facts: HeadFacts

    @property
    def function(self) -> Scope | None:
        scope = self.seen.named(self.line)
        return None if scope is None or scope.is_type else scope

    @property
    def around(self) -> str:
        """The enclosing function's source, or the whole file's."""
        scope = self.function or self.seen.scopes[0]
        return "\n".join(self.text.split("\n")[scope.start - 1 : scope.end])


@dataclass(frozen=True, slots=True)
class _About:
    """A claim about files: its subject as written, and the path of its draft."""

    path: str
    subject: str
    facts: HeadFacts


CLAIMS: Mapping[str, str] = {
    "unused": "the name used nowhere",
    "undefined": "the name",
    "unreachable": "the first dead statement",
    "missing_await": "the function",
    "never_closed": "the variable",
    "duplicate": "the path that has it already",
    "signature_mismatch": "the function called",
    "missing_file": "the path",
    "missing_test": "the name that no test mentions",
}
"""The kinds of typed claims, and what follows the colon of each."""


def claimed_name(claim: str) -> str:
    """Returns the bare name that a claim is about: "unused: Cart.total()" is about "total"."""
    return _last(claim.partition(":")[2])


def _key(claim: str) -> str:
    """Returns the name as an outline writes it: a member of the own object begins with a dot."""
    own = re.match(r"\s*[`'\"]?(?:self|this|cls)(?:\.|->)", claim.partition(":")[2])
    return f".{claimed_name(claim)}" if own else claimed_name(claim)


def _last(name: str) -> str:
    return re.split(r"[.:#>]", name.strip("`'\" ").removesuffix("()"))[-1]


_THING = r"(?:local |global |private |public |imported |loop |module-level )*"
_THING += (
    r"(?:variable|name|constant|import|function|method|class|parameter|argument|symbol|helper|module|file|path|call)"
)
_NAME = r"[`'\"]?(?P<name>[\w./$:-]*\w(?:\(\))?)[`'\"]?"
_IS = r"(?: (?:is|are|was|stays|remains|seems))?"
_WHERE = (
    r"(?: (?:here|anywhere|at all|now|yet|any ?more|in (?:this|the) (?:file|module|function|scope|change|repository)))*"
)
_SAID = {
    "unused": (
        rf"(?:the )?(?:{_THING} )?{_NAME}{_IS} (?:unused|never (?:used|read|referenced|called)|not (?:used|referenced|called)|unreferenced)",
        rf"unused (?:{_THING} )?{_NAME}",
        rf"(?:nothing|nobody|no one) (?:uses|calls|references|reads) (?:the )?(?:{_THING} )?{_NAME}",
    ),
    "undefined": (
        (
            rf"(?:the )?(?:{_THING} )?{_NAME}{_IS} (?:undefined|undeclared|unresolved|not (?:defined|declared|imported)"
            rf"|never (?:defined|declared|imported)|missing (?:an )?import)"
        ),
        rf"(?:undefined|undeclared|unresolved|unknown) {_THING} {_NAME}",
        rf"(?:undeclared|unresolved) {_NAME}",
        rf"missing (?:import|definition|declaration) (?:of|for) {_NAME}",
    ),
    "unreachable": (rf"{_NAME}{_IS} unreachable",),
    "missing_await": (
        rf"(?:the )?(?:{_THING} )?(?:to )?{_NAME}{_IS} (?:not|never) awaited",
        rf"missing await (?:on|for|of|before) {_NAME}",
    ),
    "never_closed": (rf"(?:the )?(?:file |handle |connection )?{_NAME}{_IS} (?:never|not) (?:closed|released)",),
    "missing_file": (
        rf"(?:the )?(?:file |path )?{_NAME} (?:does not exist|doesn't exist|is missing)",
        rf"missing file:? {_NAME}",
    ),
    "missing_test": (
        rf"(?:the )?(?:{_THING} )?{_NAME}{_IS} (?:untested|not tested|never tested)",
        rf"(?:no|missing) tests? (?:for|of) (?:the )?(?:{_THING} )?{_NAME}",
    ),
}
_titles = tuple(
    (kind, re.compile(rf"{form}{_WHERE}\.?", re.IGNORECASE)) for kind, forms in _SAID.items() for form in forms
)


def with_typed_claim(draft: Draft) -> Draft:
    """Returns the draft with the claim that its whole title makes, so that code can check it.

    A title with a condition ("x is undefined when the cart is empty") says something else and stays untyped, and so does
    one about a word that is no name in the quoted code.
    """
    title = " ".join(draft.title.split())
    for kind, form in () if draft.claim else _titles:
        match = form.fullmatch(title)
        if match and _is_subject(kind, match["name"], draft):
            return replace(draft, claim=f"{kind}: {match['name'].removesuffix('()')}")
    return draft


def _is_subject(kind: str, name: str, draft: Draft) -> bool:
    """Whether the title means a name of the code, or a path; in JavaScript a value that exists may be undefined."""
    if kind == "missing_file":
        return "/" in name or bool(PurePosixPath(name).suffix)
    if kind == "undefined" and PurePosixPath(draft.path).suffix in _VALUE_MAY_BE_UNDEFINED:
        return False
    return re.search(rf"(?<!\w){re.escape(_last(name))}(?!\w)", draft.quoted) is not None


_VALUE_MAY_BE_UNDEFINED = frozenset({".js", ".jsx", ".ts", ".tsx", ".mjs", ".cjs", ".mts", ".cts", ".vue", ".svelte"})


def refute(draft: Draft, facts: HeadFacts) -> str | None:
    """Returns why the draft's typed claim is false; None if it is true or cannot be decided."""
    kind, _, about = draft.claim.partition(":")
    if kind in _BY_PATH:
        return _BY_PATH[kind](_About(draft.path, about.strip().removeprefix("./"), facts))
    if kind not in _BY_PLACE or (place := _place(draft, facts)) is None:
        return None
    return _BY_PLACE[kind](place)


def _place(draft: Draft, facts: HeadFacts) -> _Place | None:
    found = anchor(draft.path, draft.quoted, facts.diff, draft.side, draft.near)
    text = facts.texts.get(found.path, "")
    seen = outline(found.path, text) if text else None
    if seen is None or found.line is None or found.side is not Side.RIGHT:
        return None
    return _Place(found.path, text, seen, found.start or found.line, _key(draft.claim), facts)


def _unused(place: _Place) -> str | None:
    bound = place.seen.binding(place.name, place.line)
    if bound is None:
        return None
    for use in _uses(place.seen, bound):
        return f"`{place.name}` is used at {place.path}:{use.line}"
    if not bound.imported and place.seen.is_outside(bound) and _definitions(place) == 1:
        for path, use in _elsewhere(place):
            return f"`{place.name}` is used at {path}:{use.line}"
    return None


def _uses(seen: Outline, bound: Name) -> Iterator[Name]:
    """Yields the uses of this binding in the file, outside its own definition."""
    own = next((s for s in seen.scopes[1:] if s.start <= bound.line <= s.body and _last(s.name) == bound.key), None)
    keys = {bound.key, f".{bound.key}"} if seen.scopes[bound.scope].is_type else {bound.key}
    for name in seen.names:
        if name.binds or name.key not in keys or (own and own.has(name.line)):
            continue
        meant = seen.binding(name.key, name.line)
        if meant and (meant.scope == bound.scope or bound.key.startswith(".")):
            yield name


def _elsewhere(place: _Place) -> Iterator[tuple[str, Name]]:
    for path, text in place.facts.texts.items():
        seen = outline(path, text) if path != place.path and place.name in text else None
        for name in seen.names if seen else ():
            if name.key in (place.name, f".{place.name}") and (name.imported or not name.binds):
                yield path, name


def _definitions(place: _Place) -> int:
    """Returns how many definitions of that name the files have; with two, a use may mean either."""
    known = ((path, text) for path, text in place.facts.texts.items() if place.name in text)
    outlines = [seen for path, text in known if (seen := outline(path, text))]
    return sum(_last(found.name) == place.name for seen in outlines for found in seen.definitions())


def _undefined(place: _Place) -> str | None:
    bound = place.seen.binding(place.name, place.line)
    if bound and _is_certain(place, bound):
        return f"`{place.name}` is defined at {place.path}:{bound.line}"
    if bound is None and place.path.endswith(".py") and hasattr(builtins, place.name):
        return f"`{place.name}` is a builtin of Python"
    return None


def _is_certain(place: _Place, bound: Name) -> bool:
    """Whether the name is always bound at the line: above it, not indented deeper, or in an enclosing scope."""
    if bound.scope != place.seen.chain(place.line)[0]:
        return True
    lines = place.text.split("\n")
    return bound.line <= place.line and _indent(lines[bound.line - 1]) <= _indent(lines[place.line - 1])


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


_block = re.compile(r".*block|compound_statement|body_statement|statement_list|module|program|source_file|.*_body")
_leaves = re.compile(r"(?:return|raise|throw|break|continue|goto)(?:_statement|_expression)?|.*(?:while|loop).*")
_exits = re.compile(r"\b(?:exit|_exit|abort|panic|fatal|die|fail|throw|unreachable|todo)\b", re.IGNORECASE)
_passes_through = re.compile(r"with_.*|try_statement|using_.*|synchronized_.*|function.*|method.*|.*_item|decorated_.*")


def _unreachable(place: _Place) -> str | None:
    """Refutes if no statement before it, in its block or around it, can leave the block or branch."""
    root = tree(place.path, place.text)
    node = _statement(root, place.line) if root else None
    while node and node.parent:
        before = node.prev_named_sibling
        while before:
            if _may_leave(before):
                return None
            before = before.prev_named_sibling
        block = node.parent.parent if node.parent.type == "statement_list" else node.parent
        owner = block.parent if block else None
        if owner is None or _is_function(owner):
            return f"nothing before {place.path}:{place.line} returns, raises or leaves its block"
        node = owner if _block.fullmatch(node.parent.type) and _passes_through.fullmatch(owner.type) else None
    return None


def _statement(root: Node, line: int) -> Node | None:
    """Returns the outermost node of a block that begins on the line."""
    starts = (node for _, _, node in nodes(root) if node.is_named and node.start_point.row + 1 == line)
    return next(
        (n for n in starts if n.parent and _block.fullmatch(n.parent.type) and not _block.fullmatch(n.type)), None
    )


def _may_leave(node: Node) -> bool:
    return bool(_exits.search(node_text(node))) or any(_leaves.fullmatch(inner.type) for _, _, inner in nodes(node))


def _is_function(node: Node) -> bool:
    return node.child_by_field_name("parameters") is not None and node.child_by_field_name("body") is not None


def _missing_await(place: _Place) -> str | None:
    name = re.escape(place.name)
    if re.search(rf"\bawait\s+[\w.]*\b{name}\s*\(", place.text.split("\n")[place.line - 1]):
        return f"the call at {place.path}:{place.line} is awaited"
    found = [
        (path, text, scope)
        for path, text in place.facts.texts.items()
        if path.endswith(".py") and place.name in text and (seen := outline(path, text))
        for scope in seen.scopes[1:]
        if _last(scope.name) == place.name and not scope.is_type
    ]
    if len(found) != 1:
        return None
    path, text, scope = found[0]
    source = "\n".join(text.split("\n")[scope.start - 1 : scope.end])
    if re.search(r"\basync\b|\byield\b|^\s*@|\breturn\s+\S|\blambda\b", source, re.MULTILINE):
        return None
    return f"`{place.name}` at {path}:{scope.start} is not a coroutine and returns nothing"


def _never_closed(place: _Place) -> str | None:
    name = re.escape(place.name)
    closing = (
        rf"\b{name}\??\.(?:a?close|dispose|disposeasync|shutdown|release|disconnect|terminate|end|quit)\b"
        rf"|\bwith\b[^\n]*\bas\s+\(?[^\n:]*\b{name}\b|\bwith\b[^\n]*\b{name}\b|\b(?:await\s+)?using\b[^\n]*\b{name}\b"
        rf"|\btry\s*\([^)\n]*\b{name}\b|\benter(?:_async)?_context\(\s*{name}\b|\bclosing\(\s*{name}\b"
    )
    found = re.search(closing, place.around, re.IGNORECASE)
    return f"`{place.name}` is closed in the same function: {found[0].strip()[:80]}" if found else None


def _signature_mismatch(place: _Place) -> str | None:
    if not place.path.endswith(".py"):
        return None
    known = [
        (path, signatures(path, text, place.name))
        for path, text in place.facts.texts.items()
        if path.endswith(".py") and f"def {place.name}" in text
    ]
    made = calls(place.path, place.text, place.name, place.line)
    if len(known) != 1 or not made or not known[0][1] or len(known[0][1]) != 1:
        return None
    path, (signature,) = known[0][0], known[0][1]
    return f"the call fits `{place.name}` at {path}:{signature.line}" if all(fits(c, signature) for c in made) else None


def _duplicate(about: _About) -> str | None:
    path = about.subject.partition(":")[0]
    is_path = "/" in path or PurePosixPath(path).suffix
    return f"there is no file {path}" if is_path and about.facts.paths and path not in about.facts.paths else None


def _missing_file(about: _About) -> str | None:
    beside = str(PurePosixPath(about.path).parent / about.subject)
    found = next((path for path in (about.subject, beside) if path in about.facts.paths), None)
    return f"{found} exists" if found else None


def _missing_test(about: _About) -> str | None:
    name = _last(about.subject)
    for path, text in about.facts.texts.items():
        seen = outline(path, text) if is_test(path) and name in text else None
        for found in seen.names if seen else ():
            if found.key in (name, f".{name}"):
                return f"`{name}` is tested at {path}:{found.line}"
    return None


_BY_PLACE: Mapping[str, Callable[[_Place], str | None]] = {
    "unused": _unused,
    "undefined": _undefined,
    "unreachable": _unreachable,
    "missing_await": _missing_await,
    "never_closed": _never_closed,
    "signature_mismatch": _signature_mismatch,
}
_BY_PATH: Mapping[str, Callable[[_About], str | None]] = {
    "duplicate": _duplicate,
    "missing_file": _missing_file,
    "missing_test": _missing_test,
}
