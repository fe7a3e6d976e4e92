"""Which sentence of which section a finding cites: its item, its code, its language, and nothing that permits or is over."""

import time

import pytest

from bot.core.findings.standard import Document, verify_quote
from bot.standards.local_index import Index
from bot.standards.passages import excepts, is_retired, passages, permits, sentences
from bot.standards.query import Query, language_of_text
from bot.standards.sections import sections

EXCEPT = "E722 Do not use bare `except`. This also catches KeyboardInterrupt."
TIMEOUT = "S113 Probable use of `requests` call without timeout. Without a timeout a silent server blocks the caller."
IMPORT = "F401 `os` imported but unused. An unused import costs start-up time."
SECRET = "aws-access-key An AWS access key id is in the code."


known = Query.of


def shelf(**documents):
    return [
        section
        for name, text in documents.items()
        for section in sections(Document(f"docs/{name.replace('__', '/')}.md", name), text.encode())
    ]


def cited(query, path="app/a.py", language="python", **documents):
    """The document and the sentence that a finding cites; None without one."""
    index = Index.of(shelf(**documents))
    hits = [hit for hit in index.search(query, path, language) if hit.governs]
    index.close()
    return (hits[0].standard.blob, hits[0].quote) if hits else None


def test_of_a_list_of_rules_the_one_item_is_cited_by_its_lines():
    text = "# Rules\n\n- Every call has a timeout.\n- No bare `except`.\n\n  It hides bugs.\n- Close files.\n"
    (section,) = shelf(rules=text)
    index = Index.of([section])

    (hit, *_) = index.search(EXCEPT, "a.py", "python")

    assert (hit.standard.start, hit.standard.end) == (4, 6)
    assert hit.quote == "No bare `except`."
    assert hit.standard.section == section.id
    assert hit.standard.id == "docs/rules.md#L4"
    assert hit.whole == section
    assert verify_quote(hit.quote, [hit.standard])


def test_of_a_table_the_one_row_is_cited():
    text = "# R\n\n| Id | Rule |\n|---|---|\n| A1 | HTTP calls have a timeout. |\n| A2 | Names are English. |\n"

    assert cited(TIMEOUT, rules=text) == ("rules", "HTTP calls have a timeout.")


@pytest.mark.parametrize(
    "text",
    [
        "# R\n\n## Handlers\n\nWe follow E722 and nothing else.\n\n## Bare except\n\nNever write a bare except.\n",
        "# R\n\n* X100: bare except is bad.\n* E722: see the wiki.\n",
        "# R\n\n## E722\n\nSee the wiki for this.\n\n## Bare except\n\nNever write a bare except.\n",
    ],
)
def test_the_section_that_names_the_code_comes_first(text):
    assert "Never write" not in cited(EXCEPT, rules=text)[1]
    assert "X100" not in cited(EXCEPT, rules=text)[1]


def test_a_name_of_a_rule_counts_where_it_is_marked_as_code():
    marked = "# R\n\n## Output\n\nThe linter's `no-shadow` is on.\n"
    plain = "# R\n\n## Light\n\nThe no-shadow lamp is on.\n"
    query = "no-shadow 'name' is already declared in the upper scope"

    assert cited(query, "a.js", "javascript", rules=marked) is not None
    assert cited(query, "a.js", "javascript", rules=plain) is None


@pytest.mark.parametrize(
    "text",
    [
        "# R\n\n## Handlers\n\nA bare `except` is allowed at the top level.\n",
        "# R\n\n## Handlers\n\nYou may write a bare except in scripts.\n",
        "# R\n\n## Exceptions to the rules\n\n- Bare `except` in workers.\n- Wildcard imports.\n",
        "# R\n\nThese are fine:\n\n- a bare `except` around a plug-in\n- a wildcard import of constants\n",
        "# R\n\n## Erlaubt\n\nEin nacktes `except` darf in Skripten stehen.\n",
        "# R\n\n## 允许\n\n脚本中可以使用裸 `except`。\n",
        "# R\n\n## 例外\n\nスクリプトでは裸の `except` を使ってもよい。\n",
        "# R\n\n## Handlers\n\n#### Pros\n\nA bare except never misses an error.\n",
        "# R\n\n## Handlers\n\nPros: a bare except is short and never misses anything.\n",
        "# R\n\n## Retired rules\n\n- Never write a bare except.\n- Use tabs always.\n",
        "# R\n\n## Bare except (withdrawn)\n\nNever write a bare except.\n",
        "# R\n\n## Bare except\n\nStatus: deprecated\n\nNever write a bare except.\n",
        "# R\n\n## Bare except\n\nThis rule no longer applies.\n\nNever write a bare except.\n",
        "# R\n\n- ~~Never write a bare except.~~\n- Never use tabs.\n",
        "# R\n\n| Rule | Status |\n|---|---|\n| Never write a bare except. | retired 2021 |\n| Use spaces. | valid |\n",
        "---\nstatus: retired\n---\n# R\n\n## Bare except\n\nNever write a bare except.\n",
        "# R\n\nThis document is obsolete.\n\n## Bare except\n\nNever write a bare except.\n",
        "# R\n\n## Veraltete Regeln\n\nNie ein nacktes `except` schreiben.\n",
        "# R\n\n## Отменённые правила\n\nНикогда не писать голый `except`.\n",
        "# R\n\n## 已废止的条款\n\n禁止使用裸 `except`。\n",
        "# R\n\n## 廃止された規則\n\n裸の `except` は禁止する。\n",
        "# R\n\n## E722\n\nE722 is disabled: we may catch everything.\n",
    ],
)
def test_what_permits_explains_or_is_over_is_not_cited(text):
    assert cited(EXCEPT, rules=text) is None


@pytest.mark.parametrize(
    ("sentence", "path", "excepted"),
    [
        ("Never use `print`, except in tests.", "tests/test_a.py", True),
        ("Never use `print`, except in tests.", "app/a.py", False),
        ("Unused imports are an error, except in `__init__.py`.", "app/__init__.py", True),
        ("Kein `print`, außer in Skripten.", "scripts/run.py", True),
        ("测试除外，禁止使用 `print`。", "tests/test_a.py", True),
        ("Never use `print`.", "tests/test_a.py", False),
    ],
)
def test_an_exception_for_a_path_is_an_exception_there_only(sentence, path, excepted):
    assert excepts(sentence, path) == excepted


def test_a_rule_with_an_exception_governs_everywhere_else():
    rule = "# R\n\n## Imports\n\nUnused imports are removed, except in `__init__.py`.\n"

    assert cited(IMPORT, "app/a.py", rules=rule) is not None
    assert cited(IMPORT, "app/__init__.py", rules=rule) is None


def test_one_query_is_judged_once_and_still_excepts_by_path(monkeypatch):
    text = "# R\n\n## Imports\n\nUnused imports are removed, except in `__init__.py`.\n"
    index = Index.of(shelf(rules=text))
    asked = []
    monkeypatch.setattr(Query, "of", lambda *words: asked.append(words) or known(*words))
    paths = ["app/__init__.py", "app/a.py", "app/b.py", "lib/__init__.py"]

    governed = [any(hit.governs for hit in index.search(IMPORT, path, "python", 1)) for path in paths]
    assert governed == [False, True, True, False]
    assert len(asked) == 1
    index.close()


def test_rules_of_other_languages_are_never_cited():
    rule = "# Rules\n\n## Imports\n\nNo unused imports.\n"

    assert cited(IMPORT, typescript=rule) is None
    assert cited(IMPORT, kubernetes=rule) is None
    assert cited(IMPORT, rules="# TypeScript\n\n## Imports\n\nNo unused imports.\n") is None
    assert cited(IMPORT, rules='---\napplyTo: "web/**"\n---\n# R\n\n## Imports\n\nNo unused imports.\n') is None
    assert cited(IMPORT, rules=rule) == ("rules", "No unused imports.")
    assert cited(IMPORT, typescript=rule, python=rule, rules=rule) == ("python", "No unused imports.")


def test_rules_for_sql_hold_for_the_sql_in_programs():
    rule = "# SQL\n\n## Parameters\n\nStatements have bound parameters, never values glued into SQL.\n"
    query = "S608 Possible SQL injection vector through string-based query construction."

    assert cited(query, sql=rule) is not None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("# Regeln\n\n## Netz\n\nJeder Aufruf eines fremden Dienstes hat ein Zeitlimit.\n", "Jeder Aufruf"),
        ("# Règles\n\n## Réseau\n\nChaque requête a un délai d'expiration.\n", "Chaque requête"),
        ("# Reglas\n\n## Red\n\nToda petición tiene un tiempo de espera.\n", "Toda petición"),
        ("# Regras\n\n## Rede\n\nToda requisição tem um tempo limite.\n", "Toda requisição"),
        ("# Правила\n\n## Сеть\n\nУ каждого запроса есть таймаут.\n", "У каждого"),
        ("# 规范\n\n## 网络\n\n所有请求必须设置超时。\n", "所有请求"),
        ("# 規約\n\n## 通信\n\nすべてのリクエストにタイムアウトを設定する。\n", "すべての"),
    ],
)
def test_a_finding_cites_a_rule_in_any_language(text, sentence):
    _, quote = cited(TIMEOUT, rules=text)

    assert quote.startswith(sentence)


def test_a_section_that_shares_only_ordinary_words_is_not_cited():
    text = (
        "# Names\n\n## Names to avoid\n\nPrivate keys of a dictionary are no names for variables in code.\n\n"
        "## Certificates\n\nThe star on a certificate is important for imports of goods.\n"
    )

    assert cited("F403 `from shop import *` used; unable to detect undefined names", rules=text) is None
    assert cited(EXCEPT, rules=text) is None


def test_instructions_for_agents_are_no_rules_and_review_rules_are():
    text = (
        "# Agents\n\n## Commands\n\nIf a request times out, raise the timeout of the client.\n\n"
        "## Commands\n\n### Code Review Rules\n\n- A request without a timeout is a bug.\n- Be kind.\n"
    )
    (_, *rest) = sections(Document("AGENTS.md", "agents"), text.encode())
    index = Index.of(sections(Document("AGENTS.md", "agents"), text.encode()))

    governing = [hit.quote for hit in index.search(TIMEOUT, "a.py", "python") if hit.governs]

    assert governing == ["A request without a timeout is a bug."]
    assert rest


def test_a_word_that_is_rare_answers_a_question_of_one_word():
    text = (
        "# R\n\n## HTTP\n\nEvery request has a timeout.\n\n## Names\n\nNames are short.\n\n## Logs\n\nLogs are short.\n"
    )

    assert cited("timeout", rules=text) == ("rules", "Every request has a timeout.")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Never write a bare except when the caller must know.", "en"),
        ("Ein Fehler, den niemand sieht, wird nicht behoben und ist verboten.", "de"),
        ("Les mots de passe ne figurent pas dans le code source et les requêtes sont paramétrées.", "fr"),
        ("No se guardan las contraseñas en el repositorio y los errores se registran.", "es"),
        ("As senhas não ficam no código e os erros são registrados para uma análise.", "pt"),
        ("Пароли не хранятся в коде.", "ru"),
        ("密码不得写入源代码。", "zh"),
        ("パスワードをコードに書かない。", "ja"),
        ("```python\nx = 1\n```", ""),
    ],
)
def test_the_language_of_a_document_is_told_from_its_words(text, language):
    assert language_of_text(text) == language


def test_code_in_a_fence_begins_no_item_and_states_no_rule():
    text = "# R\n\n## A\n\nSome words here.\n\n```md\n- Never write a bare except.\n- Never.\n```\n"
    (section,) = shelf(rules=text)

    assert passages(section) == (section,)
    assert [sentence.text for sentence in sentences(section.text)] == ["Some words here."]
    assert cited(EXCEPT, rules=text) is None


def test_only_may_is_a_demand_and_may_is_a_permission():
    assert permits("Use of `eval` is allowed in tests.")
    assert not permits("Use of `eval` is only allowed in tests.")
    assert not permits("`eval` may not be used.")
    assert is_retired(("Rules", "Old rules (retired)"), "")
    assert not is_retired(("Rules", "Deprecated functions"), "Do not call deprecated functions.")


@pytest.mark.parametrize(
    "hostile",
    [
        "- a\n" * 5_000,
        "| a " * 10_000,
        "a. " * 20_000,
        " " * 60_000 + "x y",
        "(" * 25_000,
        "`" * 25_000,
        "deprecated " * 5_000,
        "除" * 25_000,
    ],
)
def test_a_hostile_document_takes_linear_time(hostile):
    begun = time.process_time()

    found = sections(Document("docs/a.md", "a"), f"# A\n\n{hostile}\n".encode())
    index = Index.of(found)
    index.search(EXCEPT, "a.py", "python")
    index.search(Query.of(hostile[:4_000]).text, "a.py", "python")

    assert time.process_time() - begun < 5
