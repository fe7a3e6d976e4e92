"""The sections of the team's rules that a prompt has: a small shelf whole, of a large one what applies and what is found."""

import pytest

from bot.core.claims.rules import (
    BATCH,
    SEARCHES,
    batch_rules,
    in_turn,
    rules_rows,
    searches,
    sections_by_key,
    team_rules,
)
from bot.core.code.diff import Diff
from bot.core.code.plan import plan
from bot.core.costs import estimate
from bot.core.findings.standard import Standard, applies_to
from bot.core.policy import Policy
from tests.support.pass_input import whole

WORDS = "Never keep a connection open across a request. "


def section(name, document="docs/py.md", text=WORDS, start=1, **rest):
    return Standard(document, ("Rules", name), name.lower(), start, start + 3, "c" * 40, f"{name}: {text}", **rest)


def large(count=60):
    return tuple(section(f"Rule{n}", text=WORDS * 30) for n in range(count))


def batch_of_files(files):
    (batch,) = plan(Diff(tuple(whole(path, text) for path, text in files.items())), Policy()).batches
    return batch


PYTHON = batch_of_files({"app.py": "import requests\n\n\ndef pay(order):\n    return requests.get(order.url)\n"})


def test_a_small_shelf_is_shown_whole_in_its_order_whatever_the_change():
    sections = (section("B"), section("A"), section("Go", languages=("go",)))

    for paths in (["app.py"], ["web/app.ts", "x.go"], []):
        rules = team_rules(sections, (), paths)
        assert (rules.shown, rules.contents) == (sections, "")
        assert rules.whole


def test_of_a_large_shelf_the_convention_files_that_apply_and_a_table_of_contents_are_shown():
    web = section("Web", "web/AGENTS.md", scope=("web/**",))
    agents = section("Agents", "AGENTS.md")
    rules = team_rules((*large(), web, agents), {"AGENTS.md", "web/AGENTS.md"}, ["app.py"])

    assert rules.shown == (agents,)
    assert not rules.whole
    assert "docs/py.md: Rule0; Rule1;" in rules.contents
    assert "web/AGENTS.md: Web" in rules.contents


def test_a_table_of_contents_is_bounded_and_says_what_it_leaves_out():
    many = tuple(section(f"R{n}", f"docs/{'long-name-' * 8}{n}.md", WORDS * 9) for n in range(900))

    contents = team_rules(many, (), ["app.py"]).contents

    assert estimate(contents) < 2_100
    assert contents.split("\n")[-1].endswith("more documents")


def test_a_batch_gets_the_sections_found_that_apply_in_the_order_of_the_shelf():
    go, one, two = section("Go", languages=("go",)), section("One"), section("Two")
    rules = team_rules((one, go, two, *large()), (), ["app.py"])

    assert batch_rules((two, go, one, two), rules, PYTHON) == (one, two)


def test_the_sections_of_a_batch_are_bounded_the_best_first():
    sections = large()
    rules = team_rules(sections, (), ["app.py"])

    chosen = batch_rules(reversed(sections), rules, PYTHON)

    assert chosen == sections[-len(chosen) :]
    assert 0 < sum(estimate(one.text) for one in chosen) <= BATCH


def test_without_a_hit_the_first_sections_that_apply_are_shown():
    rules = team_rules((section("Go", languages=("go",)), *large()), (), ["app.py"])

    assert batch_rules((), rules, PYTHON)[0].anchor == "rule0"


def test_a_batch_is_searched_for_by_the_names_it_uses_and_by_its_code():
    (names, code) = searches(
        PYTHON, {"app.py": "import requests\n\n\ndef pay(order):\n    return requests.get(order.url)\n"}
    )

    assert names[0] == code[0] == "app.py"
    assert {"requests", "order", "pay"} <= set(names[1].split())
    assert "return requests.get(order.url)" in code[1]


def test_no_more_files_are_read_than_are_searched_for():
    class Heads(dict):
        def get(self, path, default=""):
            asked.append(path)
            return default

    asked = []
    files = {f"m{n}.py": f"def name_{n}(): return other_{n}" for n in range(3 * SEARCHES)}

    assert [path for path, _ in searches(batch_of_files(files), Heads())] == asked == [*files][:SEARCHES]


def test_each_file_is_searched_for_before_a_second_piece_of_any():
    files = {f"m{n}.txt": "\n".join(f"line {i} of a long file with words" for i in range(40)) for n in range(4)}

    assert [path for path, _ in searches(batch_of_files(files), {})][:8] == [*files, *files]


@pytest.mark.parametrize(
    ("path", "scope", "languages", "applies"),
    [
        ("web/a.ts", ("web/**",), (), True),
        ("api/a.ts", ("web/**",), (), False),
        ("api/a.ts", (), ("javascript",), True),
        ("api/a.js", (), ("typescript",), False),
        ("api/a.py", (), (), True),
        ("README", (), ("python",), False),
    ],
)
def test_scope_and_language_decide_whether_a_section_applies(path, scope, languages, applies):
    assert applies_to(section("A", scope=scope, languages=languages), path) is applies


def test_every_piece_of_a_section_that_is_cut_keeps_a_key_of_its_own():
    first, second = section("Long"), section("Long", text="The rest.", start=40)

    assert sections_by_key((first, second, first)) == {first.id: first, f"{first.id}@40": second}


def test_lists_are_read_in_turn_each_element_once():
    assert in_turn([[1, 2, 3], [2, 4], []]) == (1, 2, 4, 3)


def test_the_rows_name_what_each_part_was_shown():
    small, big = team_rules((section("A"),), (), []), team_rules(large(), (), [])

    assert [row.reason for row in rules_rows(small, [()], [""])] == ["1 of 1 sections were shown to the model"]
    rows = list(rules_rows(big, [(big.sections[2],), ()], ["", "the index did not answer in time"]))
    assert [(row.path, row.state.value, row.reason) for row in rows] == [
        ("rules, part 1", "reviewed", "1 of 60 sections were shown to the model: docs/py.md#rule2"),
        ("rules, part 2", "reviewed", "0 of 60 sections were shown to the model"),
        ("rules", "failed", "the standards could not be searched: the index did not answer in time"),
    ]
