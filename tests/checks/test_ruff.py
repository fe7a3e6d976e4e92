"""Ruff in the jail: what it finds, what its authors may silence, and what a repository cannot make it do."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from textwrap import dedent

import pytest
from ruff import find_ruff_bin

from bot.checks import jail_cell
from bot.checks.jail import Jail
from bot.checks.ruff import RULES, Ruff
from bot.core.findings.finding import Category, Severity
from bot.core.findings.problem import Problem
from bot.interfaces import CheckResult, Source

pytestmark = pytest.mark.skipif(
    bool(jail_cell.obstacle()), reason=f"nothing can be confined here: {jail_cell.obstacle()}"
)


def check(*files: tuple[str, str]) -> CheckResult:
    """What ruff says about files given as (path, text)."""
    return asyncio.run(Ruff(Jail()).run([Source(path, dedent(text)) for path, text in files]))


def problems(text: str, path: str = "app.py") -> tuple[Problem, ...]:
    """What ruff says about one file."""
    return check((path, text)).problems


def rules(text: str, path: str = "app.py") -> list[tuple[int, str]]:
    """Line and rule of each problem."""
    return sorted((problem.line, problem.rule) for problem in problems(text, path))


ORDINARY = '''
    """A module as people write them."""

    from __future__ import annotations

    import json
    from dataclasses import dataclass
    from pathlib import Path


    @dataclass
    class Shelf:
        """Books by title."""

        books: dict[str, Later]

        def read(self, path: Path) -> None:
            """Add what is in `path`."""
            with path.open() as file:
                self.books.update(json.load(file))
            try:
                path.unlink()
            except OSError as error:
                print(f"{path}: {error}")


    class Later: ...


    def first[T](items: list[T], default: T | None = None) -> T | None:
        match items:
            case [one, *_]:
                return one
        assert items == [], "empty"
        return default
'''


def test_an_ordinary_file_is_clean() -> None:
    assert check(("shelf.py", ORDINARY)) == CheckResult()


PLANTED = {
    "F401": "import os\n",
    "F541": 'x = f"a"\n',
    "F632": "x = 1\ny = x is 1\n",
    "F811": "def f(): ...\ndef f(): ...\n",
    "F821": "print(missing)\n",
    "F841": "def f():\n    x = 1\n",
    "F601": 'x = {"a": 1, "a": 2}\n',
    "F631": 'assert (1, "always")\n',
    "F507": 'x = "%s %s" % (1,)\n',
    "B006": "def f(x=[]): ...\n",
    "B012": "def f():\n    try:\n        g = 1\n    finally:\n        return g\n",
    "B015": "x = 1\nx == 2\n",
    "B023": "fs = []\nfor i in range(3):\n    fs.append(lambda: i)\n",
    "E711": "x = 1\ny = x == None\n",
    "E721": "x = 1\ny = type(x) == type(2)\n",
    "E722": "try:\n    x = 1\nexcept:\n    x = 2\n",
    "PLE1205": 'import logging\nlogging.info("%s", 1, 2)\n',
    "PLR0124": "x = 1\ny = x == x\n",
    "RUF006": "import asyncio\nasync def f(): ...\nasync def g():\n    asyncio.create_task(f())\n",
    "ASYNC251": "import time\nasync def f():\n    time.sleep(1)\n",
    "ASYNC221": "import subprocess\nasync def f():\n    subprocess.run(['ls'])\n",
    "T100": "breakpoint()\n",
    "S102": "exec('x')\n",
    "S113": "import requests\nrequests.get('https://example.org')\n",
    "S301": "import pickle\npickle.loads(b'')\n",
    "S306": "import tempfile\ntempfile.mktemp()\n",
    "S307": "eval('1')\n",
    "S501": "import requests\nrequests.get('https://example.org', verify=False, timeout=1)\n",
    "S506": "import yaml\nyaml.load('a')\n",
    "S602": "import subprocess\nx = 'a'\nsubprocess.run(x, shell=True)\n",
    "S605": "import os\nx = 'a'\nos.system(f'ls {x}')\n",
    "S608": "def f(x):\n    return f'select * from t where a = {x}'\n",
    "invalid-syntax": "def f(:\n    pass\n",
}


def test_every_planted_problem_is_found_and_explained() -> None:
    found = check(*((f"{rule}.py", text) for rule, text in PLANTED.items()))

    by_path = {problem.path.removesuffix(".py"): problem for problem in found.problems}
    assert {path: problem.rule for path, problem in by_path.items()} == {rule: rule for rule in PLANTED}
    for problem in by_path.values():
        assert 5 < len(problem.title) <= 200
        assert problem.why.endswith(".")
        assert problem.url.startswith("https://docs.astral.sh/ruff/rules/") or problem.rule == "invalid-syntax"
    assert by_path["F821"].severity is Severity.ERROR
    assert by_path["S608"].severity is Severity.WARNING
    assert by_path["S602"].category is Category.SECURITY


def test_every_rule_of_the_list_is_known_to_ruff() -> None:
    codes = ",".join(code for rule in RULES for code in rule.codes.split())
    command = [find_ruff_bin(), "check", "--isolated", "--select", codes, "-"]

    ran = subprocess.run(command, input=b"", capture_output=True, check=False)

    assert (ran.returncode, ran.stderr) == (0, b"")


def test_a_noqa_counts_for_style_and_not_for_security() -> None:
    text = """
        import os  # noqa: F401
        import pickle
        # ruff: disable[F401, S301]
        import sys
        pickle.loads(b"")  # noqa
        # ruff: enable[F401, S301]
    """

    assert rules(text) == [(6, "S301")]


def test_a_file_that_silences_everything_is_still_read_for_security() -> None:
    assert rules("# ruff: noqa\nimport os\nx = eval('1')\n") == [(3, "S307")]


def test_a_repository_cannot_configure_ruff() -> None:
    config = "[lint]\nselect = []\n[lint.per-file-ignores]\n'*' = ['ALL']\n"
    files = [("ruff.toml", config), (".ruff.toml", config), ("pyproject.toml", "[tool.ruff]\nexclude=['*']\n")]

    found = check(*files, ("app.py", "import os\n"))

    assert [problem.rule for problem in found.problems if problem.path == "app.py"] == ["F401"]


def test_a_package_alone_knows_its_own_path() -> None:
    assert rules("print(__path__)\n", "pkg/__init__.py") == []
    assert rules("print(__path__)\n", "pkg/shop.py") == [(1, "F821")]


def test_reexports_are_not_called_unused() -> None:
    assert rules("from os import path\n", "pkg/__init__.py") == []
    assert rules("from fixtures import client\n", "tests/conftest.py") == []


def test_only_python_is_read() -> None:
    assert [path for path in ("a.py", "a.pyi", "a.js", "py", "a.ipynb") if Ruff(Jail()).reads(path)] == [
        "a.py",
        "a.pyi",
    ]


def fixed(text: str) -> Iterator[str]:
    """The whole text after each offered replacement on its own."""
    lines = text.split("\n")
    for problem in problems(text):
        if problem.replacement is not None:
            new = problem.replacement.split("\n") if problem.replacement else []
            yield "\n".join([*lines[: problem.line - 1], *new, *lines[problem.end :]])


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ('x = (\n    f"a"\n)\ny = 1\n', 'x = (\n    "a"\n)\ny = 1\n'),
        ('ä, x = "é", f"ü"\n', 'ä, x = "é", "ü"\n'),
        ('x = f"a"', 'x = "a"'),
    ],
)
def test_a_safe_fix_replaces_exactly_its_lines(text: str, after: str) -> None:
    assert list(fixed(text)) == [after]


def test_a_fix_in_a_file_with_windows_line_endings() -> None:
    (problem,) = problems('y = 1\r\nx = f"a"\r\n')

    assert (problem.line, problem.end, problem.replacement) == (2, 2, 'x = "a"')


@pytest.mark.parametrize("text", ["def f(x=[]): ...\n", "import os"])
def test_a_fix_that_is_unsafe_or_ambiguous_is_not_offered(text: str) -> None:
    (problem,) = problems(text)

    assert problem.replacement is None


def test_a_file_ruff_cannot_read_costs_the_others_nothing() -> None:
    nested = "(" * 200_000 + ")" * 200_000
    found = check(("good.py", "import os\n"), ("deep.py", nested), ("bad.py", "import sys\n"), ("cr.py", "a = 1\rb\n"))

    assert {problem.path for problem in found.problems} >= {"good.py", "bad.py"}
    assert ("cr.py", "has bare carriage returns") in found.failed
    assert {path for path, _ in found.failed} <= {"deep.py", "cr.py"}


def test_characters_that_cannot_be_written_do_no_harm() -> None:
    assert rules("x = '\ud800'\nimport os\n") == [(2, "F401")]


def test_where_ruff_does_not_run_the_files_are_named() -> None:
    cramped = Ruff(Jail(memory=1 << 20))

    checked = asyncio.run(cramped.run([Source("a.py", "import os\n"), Source("b.py", "x\n")]))

    assert checked.problems == ()
    assert [path for path, _ in checked.failed] == ["a.py", "b.py"]
    assert all(reason for _, reason in checked.failed)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("shop/apps.py", "def ready():\n    from shop import signals\n"),
        ("pkg/compat.py", "import sys\nfrom json import JSONDecodeError\n\nPY = sys.version_info\n"),
        ("migrations/env.py", "import app.models\n"),
        ("app.py", "import os\n"),
    ],
)
def test_an_import_that_another_file_may_need_is_not_deleted(path: str, text: str) -> None:
    found = asyncio.run(Ruff(Jail()).run([Source(path, text)]))

    assert [(problem.rule, problem.replacement) for problem in found.problems] == [("F401", None)]


@pytest.mark.parametrize(
    ("path", "text", "reason", "other"),
    [
        (
            "tests/test_a.py",
            "from fixtures import db\n\n\ndef test_a(db):\n    print(1)\n",
            "test_a(db)",
            "test_a(x)",
        ),
        (
            "probe.py",
            "try:\n    import orjson\n    A = 1\nexcept ImportError:\n    A = 2\n",
            "ImportError",
            "ValueError",
        ),
        ("a.py", "def f(p, x):\n    with p.raises(TypeError):\n        x < 1\n", "raises", "opens"),
        ("a.py", "def f(s, U):\n    return s.filter(U.on == True)\n", "filter", "show"),
        ("a.py", "def f(df):\n    return df[df.ok == True]\n", "[df.ok == True]", ".add(df.ok == True)"),
        ("site_scons/site_tools/t.py", "env = Environment()\n", "Environment()", "Environment(\nimport os"),
        ("a.py", "TABLE = 'a'\n\n\ndef f(x):\n    return f'select * from {TABLE}'\n", "{TABLE}", "{x}"),
        (
            "a.py",
            "def f(c, ids):\n    marks = ','.join('?' for _ in range(3))\n    c.x(f'select a from t where b in ({marks})', ids)\n",
            "({marks})",
            "({ids})",
        ),
        ("a.py", "def f(x):\n    n = 10\n    return 'select a from t limit %d' % n\n", "% n", "% x"),
    ],
)
def test_what_the_code_around_explains_is_no_problem(path: str, text: str, reason: str, other: str) -> None:
    assert rules(text, path) == []
    assert rules(text.replace(reason, other), path) != []


def test_a_rule_about_outside_values_is_a_note_in_a_test() -> None:
    text = "import subprocess\n\n\ndef test_a():\n    assert subprocess.run('ls | wc', shell=True)\n"

    assert [problem.severity for problem in check(("tests/test_a.py", text)).problems] == [Severity.NOTE]
    assert [problem.severity for problem in check(("app/a.py", text)).problems] == [Severity.WARNING]


def test_names_that_the_base_branch_declares_are_defined() -> None:
    text = "def hello():\n    return _('Hello')\n"
    declared = Source("a.py", text, builtins=frozenset("_"))

    assert rules(text, "a.py") == [(2, "F821")]
    assert asyncio.run(Ruff(Jail()).run([declared])).problems == ()
