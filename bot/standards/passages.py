"""Divides a section into the passages that a finding may cite, and tells which of its sentences state a rule.

Each item of a list and each row of a table is a passage of its own. A sentence that permits something, or that belongs to
a withdrawn rule, a list of advantages or an explanation, is not a rule against a finding.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from bot.core.findings.standard import FEWEST, LINE, Standard, word_count
from bot.standards.query import language_of_text, tokens_of

FEWEST_ITEMS = 2
"""A list of fewer items is not divided."""
MOST_ITEMS = 300
"""Most items of a section."""
WIDEST = 1_000
"""Most characters of a line or sentence in which its meaning is looked for."""

_BULLET = re.compile(
    r"[ \t]*(?:[-*+•]|\(?\d{1,3}(?:\.\d{1,3})*[.)]|\d{1,3}(?:\.\d{1,3})+|\(?[a-z]\)|<li\b[^>]{0,200}>)(?:[ \t]+|(?<=>))(?=\S)"
)
_ROW = re.compile(r"[ \t]*\|.*\|[ \t]*$|[ \t]*<tr\b")
_RULER = re.compile(r"[ \t]*\|?[ \t]*:?-{2,}:?[ \t]*(?:\|[ \t:|-]*)?$")
_FENCE = re.compile(r"[ \t]*(?:[-*+]\s+)?(`{3,}|~{3,})")
_HEADING = re.compile(r"[ \t]*#{1,6}\s|[ \t]*(?:=+|-{3,}|~+|\^+)[ \t]*$")
_ANCHOR = re.compile(r"<a\s[^>]{0,200}></a>|</?[a-z][^<>]{0,200}>", re.IGNORECASE)
_SENTENCE_END = re.compile(
    r"(?<=[.!?])[\"')*_`\]]*\s+(?=[^\s\da-zà-ÿа-я])|(?<=[。！？；])|(?<=;)\s+|\n[ \t]*\n|\n(?=[ \t]*(?:[-*+•]|\d{1,3}[.)]|\d{1,3}(?:\.\d{1,3})+)[ \t])|[ \t]\|[ \t]"
)
_CLAUSE = re.compile(
    r"[;；—–]|, (?:but|though|although|aber|jedoch|doch|mais|pero|mas|но|а)\b|(?:，|、)?(?:但|不过|ただし|但し|ただ)"
)

_STATUS = (
    r"retired|dropped|abandoned|discontinued|withdrawn|obsolete[ds]?|superseded|repealed|deprecated|abolished|rescinded|revoked|archived|historical|historic"
    r"|no longer (?:applies|apply|valid|in force|in effect|enforced|used|binding|required)|not in force|void"
    r"|zur[üu]ckgezogen\w*|aufgehoben\w*|veraltet\w*|au[ßs]+er kraft\w*|abgel[öo]st\w*|abgeschafft\w*|ung[üu]ltig\w*|gilt nicht mehr|nicht mehr g[üu]ltig"
    r"|abrog[ée]+\w*|retir[ée]+\w*|obsol[èe]te\w*|caduc\w*|p[ée]rim[ée]+\w*|plus en vigueur|ne s'appliquent? plus"
    r"|derogad\w*|retirad\w*|obsolet\w*|ya no (?:se aplica|aplica|est[áa] en vigor)\w*|revogad\w*|descontinuad\w*|n[ãa]o se aplica mais|n[ãa]o vale mais"
    r"|устарел\w*|устаревш\w*|отмен[её]н\w*|отозван\w*|утратил\w* силу|больше не (?:действу|применя)\w*|недействительн\w*"
    r"|已?废[弃止除]|弃用|已?作废|已?撤[销回]|已?失效|不再(?:适用|有效|使用|执行)|已?取消|已过时|过时"
    r"|廃止(?:済み|された|した)?|撤回(?:済み|された|した)?|非推奨|失効(?:した)?|無効(?:になった)?|適用(?:しない|されない)|旧(?=規|ル)"
)
_RULE_NOUN = (
    r"\b(?:rules?|guidelines?|standards?|sections?|advice|conventions?|policy|policies|decisions?|document|page"
    r"|\w*regeln?|\w*richtlinien?|\w*vorgaben?|\w*vorschrift(?:en)?|abschnitte?|r[èe]gles?|consignes?|directives?|reglas?|normas?|directrices"
    r"|regras?|diretrizes?|правил\w*|норм\w*|раздел\w*|требовани\w*)\b|规则|规范|条款|规定|准则|章节|ルール|規則|規約|条項|標準|規定|指針"
)
_RETIRED_HEADING = (
    re.compile(rf"[(\[（【〔]\s*(?:{_STATUS})[^)\]）】〕]{{0,60}}[)\]）】〕]", re.IGNORECASE),
    re.compile(rf"^\W*(?:{_STATUS})(?:\s+(?:in|since|seit|depuis|desde|с|on|as of)?\s*[\d./-]+)?\W*$", re.IGNORECASE),
    re.compile(rf"^\W*(?:{_STATUS})\s*[:：—–-]", re.IGNORECASE),
    re.compile(rf"[:：—–-]\s*(?:{_STATUS})\W*$", re.IGNORECASE),
)
_RETIRED_RULES = (re.compile(rf"(?<!\w)(?:{_STATUS})", re.IGNORECASE), re.compile(_RULE_NOUN, re.IGNORECASE))
_RETIRED_LINE = (
    re.compile(
        rf"^\W*(?:status|state|stand|[ée]tat|statut|estado|статус|状态|状態|ステータス)\W*[:：=|]\W*(?:{_STATUS})",
        re.IGNORECASE,
    ),
    re.compile(
        rf"^\W*(?:{_STATUS})\s*(?:[.:：。!*_)\]（(—–-]|in\b|since\b|seit\b|depuis\b|desde\b|with\b|by\b|am\b|ab\b|с\b|于|$)",
        re.IGNORECASE,
    ),
    re.compile(
        r"\b(?:this|these|diese[rs]?|cette|ces|est[ae]s?|и?эт[оаи])\b(?:\s+\w+){0,3}?\s+"
        rf"(?:\w+\s+){{0,4}}?(?:{_STATUS})",
        re.IGNORECASE,
    ),
    re.compile(
        rf"(?:本|该|此|这[条项]|この|当該|本)(?:规则|规范|条款?|节|章|文档|规定|ルール|規則|規約|節|章|項|文書)[^。]{{0,20}}?(?:{_STATUS})"
    ),
    re.compile(rf"\|\s*(?:{_STATUS})(?:\s+(?:in |since |seit |depuis |desde )?[\d./-]+)?\s*(?:\||$)", re.IGNORECASE),
    re.compile(rf"[(\[（【]\s*(?:{_STATUS})[^)\]）】]{{0,60}}[)\]）】]", re.IGNORECASE),
    re.compile(r"^\W*~~.{3,}~~\W*$"),
)
_THIS_RULE = re.compile(
    r"\b(?:rule|guideline|section|document|page|standard|policy|convention|advice|regel|richtlinie|vorgabe|abschnitt|dokument|r[èe]gle|section|document|regla|norma|secci[óo]n|documento|regra|se[çc][ãa]o|правил\w*|раздел\w*|документ\w*|норм\w*)\b",
    re.IGNORECASE,
)

_PERMITS = re.compile(
    r"\b(?:may|might|allowed|permitted|permissible|acceptable|accepted|okay|ok|fine|tolerated|exempt(?:ed)?|optional|harmless"
    r"|can be (?:used|ignored|skipped|omitted)|need(?:s)? not|not (?:required|needed|necessary|enforced|a problem)|no need|free to|welcome"
    r"|(?:don't|do not|doesn't|does not) (?:need|have) to|(?:is|are) (?:disabled|turned off|switched off)|we ignore|not checked"
    r"|erlaubt|zul[äa]ssig|gestattet|darf|d[üu]rfen|in ordnung|akzeptabel|nicht (?:n[öo]tig|erforderlich|notwendig)|deaktiviert|unbedenklich"
    r"|autoris[ée]\w*|permis\w*|peut|peuvent|tol[ée]r[ée]\w*|facultati\w*|acceptables?|d[ée]sactiv[ée]\w*"
    r"|permitid\w*|permite\w*|puede|pueden|aceptables?|opcional\w*|tolera\w*|pode|podem|aceit[áa]ve\w*|desativad\w*"
    r"|разреш\w+|допуска\w+|допустим\w*|можно|может|могут|необязательн\w*|отключен\w*)\b"
    r"|允许|可以|可用|可接受|无需|不必|不需要|可不|例外情况|许可|許可|許容|認め|[てで]もよい|[てで]よい|[てで]も良い|可能|[かか]まわない|構わない|差し支えない|任意|不要である",
    re.IGNORECASE,
)
_DEMANDS = re.compile(
    r"\b(?:never|must|mustn't|do not|don't|shall|should|always|only|forbidden|prohibited|avoid|banned|disallowed|cannot|can't|required?"
    r"|(?:not|never|longer|may not|nor|hardly|rarely)\s+(?:be\s+)?(?:allowed|permitted|acceptable|accepted|okay|ok|fine|optional|welcome|tolerated)|may not|may never|with an? (?:\w+ )?(?:reason|justification|comment|explanation|ticket|issue)|unacceptable|no \w+ (?:may|is allowed|are allowed)"
    r"|nie|niemals|verboten|untersagt|unzul[äa]ssig|muss|m[üu]ssen|soll|sollen|vermeide\w*|stets|immer|nur|ausschlie[ßs]lich|keine?[nmrs]?|nicht (?:erlaubt|zul[äa]ssig|gestattet)|d[üu]rfen nicht|darf nicht|unerw[üu]nscht"
    r"|jamais|interdi\w*|doit|doivent|[ée]vite\w*|toujours|seulement|uniquement|proscri\w*|ne \w+ pas|ne peu\w+|n'est pas|aucun\w*|pas (?:permis|autoris|tol)\w*"
    r"|nunca|prohibid\w*|deben?|evit\w*|siempre|s[óo]lo|[úu]nicamente|jam[áa]s|no (?:se )?(?:permit|pued|acept)\w*|proibid\w*|deve[m]?|sempre|somente|apenas|n[ãa]o (?:se |[ée] )?(?:permit|pod|aceit)\w*|ning[úu]n\w*|nenhum\w*"
    r"|нельзя|никогда|запрещ\w+|должн\w+|избега\w+|всегда|только|недопустим\w*|не (?:допуска|разреша|мо[жг]|следует|должн)\w*|обязательн\w*)\b"
    r"|禁止|不得|不允许|不许|不可|不能|不要|不应|必须|避免|严禁|应当|应该|切勿|请勿|勿|务必|一律|只能|仅"
    r"|ならない|いけない|しないこと|こと[。.]?$|こと。|必ず|避け|許可しない|許されない|認めない|認められない|のみ|べき|だけ|不可|すべて",
    re.IGNORECASE,
)
_STATES = re.compile(
    r"\b(?:not?|none|every|all|each|any|nothing|nowhere|without|instead|rather|prefer\w*|ensure|mandatory|needs?|has to|have to|belongs?|wherever|whenever|rejected|reject|error|violation|bug"
    r"|nicht|kein\w*|jede\w*|alle\w*|ohne|statt|bevorzug\w*|geh[öo]r\w+|werden?|wird"
    r"|pas|sans|chaque|tou[ts]\w*|plut[ôo]t|pr[ée]f[ée]r\w*|faut|sin|cada|tod[ao]s?|prefer\w*|hay|sem|n[ãa]o|prefir\w*"
    r"|не|без|кажд\w+|все|вместо|предпоч\w*|нужно|следует|надо|необходимо)\b"
    r"|不|无|所有|每|都|应|须|需|要|使用|采用|ない|ず|ください|使う|用いる|する",
    re.IGNORECASE,
)
_ORDERS = re.compile(
    r"^\W*(?:use|prefer|catch|give|pass|set|keep|write|raise|return|check|compare|name|log|validate|call|close|put|store|read|load|run|add|remove|delete|handle|escape|bind|build|choose|pin|state|explain|include|import|list|limit|verify|test|wrap|make|let|declare|define|encode|sanitize|sanitise|parameteri[sz]e|await|treat|chain|mark|document|format|move|replace|resolve|sort|split|start|stop|stick|strip|turn|update|wait|watch)\b",
    re.IGNORECASE,
)
_EXCEPT = re.compile(
    r"\b(?:except(?:ion)?s?(?: (?:in|for|inside|within|are|is))|unless|other than|outside(?: of)?|apart from|but not in|not in|exempt|ausser|außer|ausgenommen|sauf|hormis|excepto|salvo|exceto|кроме|за исключением)\b(?P<west>[^.;]{1,120})"
    r"|(?P<east>[^。；，、]{1,40})(?:除外|以外|を除く|を除き|は除く|は例外)|(?:除了?|除非)(?P<east2>[^。；]{1,40})",
    re.IGNORECASE,
)
_EXPLAINS = re.compile(
    r"^\W*(?:[\d.]+\W*)?(?:pros?(?: and cons)?|cons?|definitions?|advantages?|disadvantages?|benefits?|drawbacks?|background|history|rationale|reason(?:s|ing)?|motivation|why|context|(?:table of )?contents|toc|overview|changelog|change log|changes|release notes|glossary|terms|references|see also|further reading|links|related|discussion|faq|questions|bad|wrong|anti-?patterns? explained|examples?|non-?goals"
    r"|vorteile?|nachteile?|hintergr[üu]nde?|begr[üu]ndung(?:en)?|warum|inhalt(?:sverzeichnis)?|glossar|begriffe|definition(?:en)?|änderungen|geschichte|beispiele?"
    r"|avantages?|inconv[ée]nients?|contexte|historique|sommaire|glossaire|d[ée]finitions?|pourquoi|exemples?|justification"
    r"|ventajas?|desventajas?|inconvenientes|contexto|historia|[íi]ndice|glosario|definici[óo]n(?:es)?|ejemplos?|motivaci[óo]n"
    r"|vantage[nm]s?|desvantage[nm]s?|hist[óo]rico|sum[áa]rio|gloss[áa]rio|defini[çc](?:[ãa]o|[õo]es)|exemplos?|motiva[çc][ãa]o"
    r"|преимущества|недостатки|плюсы|минусы|история|содержание|глоссарий|определени[ея]|обоснование|причин[аы]|примеры?|контекст"
    r"|优点|缺点|优势|劣势|定义|背景|目录|历史|术语|理由|原因|示例|例子|说明|利点|欠点|長所|短所|メリット|デメリット|目次|履歴|用語|経緯|例|解説)\W*$",
    re.IGNORECASE,
)
_METADATA = re.compile(r"Rule: *`[^`\n]{1,100}`")  # names a rule that is run as code
_LABEL = re.compile(r"^\W{0,6}([^\W\d][\w '’-]{0,30}?)\s*[*_]{0,2}\s*[:：]\s*[*_]{0,2}")


_AGENTS = frozenset(
    {"AGENTS.md", "CLAUDE.md", "GEMINI.md", "copilot-instructions.md", ".cursorrules", ".windsurfrules"}
)
"""Files for coding agents, in which rules stand among instructions."""
_OPERATES = re.compile(
    r"\b(?:set-?up|install\w*|getting started|quick ?start|build\w*|commands?|run|running|usage|architecture|overview|structure|layout"
    r"|directory|directories|map|deploy\w*|releas\w+|environment|development|workflow|stack|dependencies|tools?|tooling|troubleshooting"
    r"|einrichtung|befehle|aufbau|architektur|installation|commandes|comandos|instalaci[óo]n|instala[çc][ãa]o|команды|установка)\b"
    r"|安装|命令|架构|构建|运行|目录|セットアップ|コマンド|構成|ビルド|アーキテクチャ",
    re.IGNORECASE,
)
_REVIEWS = re.compile(
    r"\breview\b|\brules?\b|\bregeln\b|\br[èe]gles\b|\breglas\b|\bregras\b|правила|规则|规范|评审|レビュー|規則|規約|ルール",
    re.IGNORECASE,
)


def passages(section: Standard) -> tuple[Standard, ...]:
    """Returns the items of the lists and tables of a section; the section itself if it has fewer than FEWEST_ITEMS.

    An item has the section's heading, its own lines and text, and the section's id in `section`.
    """
    found = tuple(_items(section))
    return found if len(found) >= FEWEST_ITEMS else (section,)


def _items(section: Standard) -> Iterator[Standard]:
    starts = [0, *(match.end() for match in LINE.finditer(section.text))]
    for first, last in _spans(LINE.split(section.text))[:MOST_ITEMS]:
        begin = starts[first]
        end = starts[last + 1] if last + 1 < len(starts) else len(section.text)
        text = section.text[begin:end]
        if word_count(text) < FEWEST:
            continue
        yield replace(
            section,
            anchor="",
            start=section.start + first,
            end=section.start + last,
            text=text.strip(),
            section=section.id,
        )


def _spans(rows: Sequence[str]) -> list[tuple[int, int]]:
    """Returns the first and last line of each item or table row. Lines of code blocks begin nothing."""
    found: list[tuple[int, int]] = []
    fence, open_, indent, blank = "", -1, 0, False
    for number, row in enumerate(one[:WIDEST] for one in rows):
        mark = _FENCE.match(row)
        if fence:
            fence = "" if mark and mark[1].startswith(fence) else fence
        elif mark:
            fence = mark[1]
        width = len(row) - len(row.lstrip())
        bullet = None if fence or (mark and not _BULLET.match(row)) else _BULLET.match(row)
        table = not fence and _ROW.match(row) and not _RULER.match(row) and not _is_table_head(rows, number)
        ends = open_ >= 0 and not fence and not mark and row.strip() and blank and width <= indent and not bullet
        if bullet or table or ends or (open_ >= 0 and _RULER.match(row)):
            if open_ >= 0:
                found.append((open_, _last(rows, open_, number - 1)))
            open_, indent = (number, width) if bullet or table else (-1, 0)
        blank = not row.strip()
    if open_ >= 0:
        found.append((open_, _last(rows, open_, len(rows) - 1)))
    return found


def _is_table_head(rows: Sequence[str], number: int) -> bool:
    return number + 1 < len(rows) and bool(_RULER.match(rows[number + 1][:WIDEST])) and "|" in rows[number + 1]


def _last(rows: Sequence[str], first: int, last: int) -> int:
    while last > first and not rows[last].strip():
        last -= 1
    return last


@dataclass(frozen=True, slots=True)
class Passage:
    """A row of the index: a section or one of its items.

    `prose` is its own text, for a section with items what is left of it. `context` is the line that introduces a list.
    """

    standard: Standard
    language: str
    prose: str
    context: str = ""
    whole: bool = True

    @property
    def heading(self) -> tuple[str, ...]:
        """The words of the nearest heading and of the context, as terms are compared with them."""
        last = self.standard.heading[-1] if self.standard.heading else ""
        return tokens_of(f"{last} {self.context}")


def passages_of(sections: Sequence[Standard]) -> Iterator[Passage]:
    """Yields each section, followed by its items; the language of a document is told from its first sections."""
    by_document: defaultdict[tuple[str, str], list[Standard]] = defaultdict(list)
    for section in sections:
        by_document[section.repo, section.document].append(section)
    for own in by_document.values():
        language = language_of_text(" ".join(section.text for section in own[:40]))
        for section in own:
            items = passages(section)
            if items == (section,):
                yield Passage(section, language, section.text)
                continue
            yield Passage(section, language, _without(section, items))
            for item in items:
                yield Passage(item, language, item.text, _context(section, item), whole=False)


def _without(section: Standard, items: Sequence[Standard]) -> str:
    """Returns the text of a section without the lines of its items."""
    rows = LINE.split(section.text)
    for item in items:
        first = item.start - section.start
        rows[first : item.end - section.start + 1] = [""] * (item.end - item.start + 1)
    return "\n".join(rows)


def _context(section: Standard, item: Standard) -> str:
    """Returns the line above a list that introduces it, if it ends with a colon."""
    above = section.text.split("\n")[: item.start - section.start]
    for row in reversed(above):
        if row.strip() and not re.match(r"\s*(?:[-*+•|]|\d+[.)])", row):
            return row.strip()[:300] if row.rstrip().endswith((":", "：", ":**")) else ""
    return ""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage, word for word.

    `rule` is whether it may govern: it explains and permits nothing. It is `firm` if it has a word of rules or is an item of a
    list, and `strict` if it demands or forbids.
    """

    text: str
    rule: bool
    firm: bool
    strict: bool


def sentences(prose: str, context: str = "", *, listed: bool = False) -> tuple[Sentence, ...]:
    """Returns the sentences of a passage in order, without headings and code blocks.

    `context` is the line above a list, such as "These are allowed:"; `listed` is whether it is an item of one.
    """
    found: list[Sentence] = []
    explained = False
    for paragraph in re.split(r"\n[ \t]*\n", _prose(prose)):
        if _METADATA.match(paragraph.lstrip()):
            continue
        label = _LABEL.match(paragraph.lstrip()[:WIDEST])
        explained = bool(_EXPLAINS.match(label[1])) if label else explained and not listed
        for text in _split(paragraph):
            permitted = permits(text) or (permits(context) and not demands(text))
            strict = demands(text)
            firm = listed or strict or _is_firm(text)
            found.append(Sentence(text, not explained and not permitted, firm, strict))
    return tuple(found)


def _is_firm(text: str) -> bool:
    return bool(_STATES.search(text[:WIDEST]) or _ORDERS.match(text[:WIDEST]))


def _prose(text: str) -> str:
    """Returns the text with headings and code blocks blanked out; offsets do not matter, words do."""
    kept: list[str] = []
    fence = ""
    for row in LINE.split(text):
        mark = _FENCE.match(row[:WIDEST])
        if fence:
            fence = "" if mark and mark[1].startswith(fence) else fence
            continue
        if mark:
            fence = mark[1]
            continue
        kept.append("" if _HEADING.match(row[:WIDEST]) or _RULER.match(row[:WIDEST]) else row)
    return "\n".join(kept)


def _split(paragraph: str) -> Iterator[str]:
    for part in _SENTENCE_END.split(paragraph):
        bare = _ANCHOR.sub("", part or "").strip()
        bullet = _BULLET.match(bare)
        bare = (bare[bullet.end() :] if bullet else bare).strip(" \t\n|>")
        if re.search(r"\w", bare):
            yield bare


def permits(text: str) -> bool:
    """Whether every clause of a sentence that speaks of permission permits and none demands or forbids."""
    clauses = [clause for clause in _CLAUSE.split(text[:WIDEST]) if clause]
    return any(_PERMITS.search(clause) and not _DEMANDS.search(clause) for clause in clauses[:1]) or (
        bool(_PERMITS.search(text[:WIDEST])) and not _DEMANDS.search(text[:WIDEST])
    )


def demands(text: str) -> bool:
    """Whether a sentence demands or forbids something."""
    return bool(_DEMANDS.search(text[:WIDEST]))


def excepts(text: str, path: str) -> bool:
    """Whether a sentence makes an exception for a file like `path`: "except in tests", "unless in `scripts/`"."""
    parts = {part.lower() for part in PurePosixPath(path).parts} | {PurePosixPath(path).name.lower()}
    stems = {re.sub(r"^_+|_+$", "", PurePosixPath(part).stem) for part in parts} | parts
    kinds = {name for name, shape in _KINDS.items() if shape.search(path.lower())}
    for match in _EXCEPT.finditer(text[:WIDEST]):
        named = (match["west"] or match["east"] or match["east2"] or "").lower()
        found = {word.strip("_/.`") for word in re.findall(r"[\w./-]+", named)}
        if any(word and (word in stems or word.rstrip("s") in stems) for word in found):
            return True
        if any(word in named for kind in kinds for word in _WORDS_OF_KIND[kind]):
            return True
    return False


_KINDS = {
    "test": re.compile(r"(?:^|/)(?:tests?|specs?|__tests__)/|(?:^|/)test_|_test\.|\.(?:test|spec)\.|conftest\.py"),
    "script": re.compile(r"(?:^|/)(?:scripts?|bin|tools)/|(?:^|/)manage\.py|__main__\.py|(?:^|/)cli"),
    "package": re.compile(r"(?:^|/)__init__\.pyi?$"),
    "migration": re.compile(r"(?:^|/)migrations?/"),
}
_WORDS_OF_KIND = {
    "test": ("test", "spec", "prueba", "teste", "тест", "测试", "テスト"),
    "script": ("script", "skript", "command line", "cli", "tool", "скрипт", "脚本", "スクリプト"),
    "package": ("__init__", "package", "re-export", "reexport"),
    "migration": ("migration", "миграц", "迁移", "マイグレーション"),
}


def is_retired(heading: Sequence[str], text: str) -> bool:
    """Whether headings or the first lines of a section or item say that it is withdrawn, deprecated or replaced."""
    if any(_retired_heading(title[:200]) for title in heading):
        return True
    rows = [row.strip()[:WIDEST] for row in LINE.split(text) if row.strip() and not _HEADING.match(row[:WIDEST])]
    if any(pattern.search(row) for row in rows[:2] for pattern in (*_RETIRED_LINE[:2], *_RETIRED_LINE[4:])):
        return True
    return any(_retired_sentence(row) for row in rows[:40])


def _retired_heading(title: str) -> bool:
    if any(pattern.search(title) for pattern in _RETIRED_HEADING):
        return True
    status, noun = _RETIRED_RULES
    return bool(status.search(title) and noun.search(title))


def _retired_sentence(row: str) -> bool:
    east = _RETIRED_LINE[3].search(row)
    west = _RETIRED_LINE[2].search(row)
    return bool(east or (west and _THIS_RULE.search(west[0])))


def explains(heading: Sequence[str]) -> bool:
    """Whether the last heading is that of an explanation: pros, background, contents, a glossary."""
    return bool(heading) and bool(_EXPLAINS.match(heading[-1][:80]))


def instructs(document: str, heading: Sequence[str]) -> bool:
    """Whether a section of a file for coding agents says how to work on the repository: set-up, commands, architecture.

    A section "Code Review Rules", and what stands below one, holds rules wherever it stands.
    """
    if PurePosixPath(document).name not in _AGENTS or any(_REVIEWS.search(title) for title in heading[1:]):
        return False
    return any(_OPERATES.search(title[:80]) for title in heading[1:])


def permits_heading(heading: Sequence[str]) -> bool:
    """Whether the last heading permits something: "Allowed in scripts", "Exceptions to this rule"."""
    last = heading[-1][:120] if heading else ""
    return bool(_PERMITS.search(last) and not _DEMANDS.search(last)) or bool(
        re.search(
            r"\b(?:exceptions? (?:to|from)|ausnahmen? von|exceptions? (?:à|aux?)|excepciones? a|exceções? [àa]|исключения из)\b|例外情况|ルールの例外",
            last,
            re.IGNORECASE,
        )
    )
