"""The functions a model may call: what they answer, and what no argument can make them do."""

import asyncio
import json
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.code.diff import Diff, FileDiff, Status
from bot.core.code.pull_request import PostedComment
from bot.core.findings.finding import Category, Severity
from bot.core.findings.problem import Problem
from bot.core.findings.standard import Document, Hit, Shelf, Standard, verify_quote
from bot.errors import NotFound, RateLimited, UserError
from bot.handlers.standards import standards_in
from bot.interfaces import CheckResult, ToolUse
from bot.model.tools import Files, ToolContext, tools_for
from bot.model.tools.bounds import ToolLimits, bounded
from bot.model.tools.grep import ScanSearch, texts_with_word
from bot.model.tools.search_standards import SearchStandards
from tests.support.repository import HEAD, REF, Repository, issue, pull_request
from tests.support.scripted_model import use
from tests.support.strict_schema import lint

CART = "from tax import rate\n\n\nclass Cart:\n    def total(self, items):\n        return sum(items) * rate\n"
FILES = {
    "src/cart.py": CART,
    "src/tax.py": "rate = 2\n",
    "docs/note.md": "see src/cart.py\n",
    "logo.png": b"\x89PNG\0\0",
}
CHANGE = Diff((FileDiff("src/cart.py", Status.MODIFIED), FileDiff("src/gone.py", Status.REMOVED)))
ERRORS = Standard("docs/py.md", ("Python", "Errors"), "errors", 3, 9, "c" * 40, "Never swallow an exception.")


class Shelves:
    """One section, whatever is asked."""

    async def sync(self, shelf, read):
        return ()

    async def search(self, shelf, query, *, path="", language="", limit=5):
        return (Hit(ERRORS, 3.5, governs=True),) if query != "nothing" else ()


@dataclass(frozen=True)
class OneSection(Shelves):
    """Finds this section."""

    section: Standard

    async def search(self, shelf, query, *, path="", language="", limit=5):
        return (Hit(self.section, 3.5, governs=True), Hit(ERRORS, 1.5))


class Lint:
    """Finds `sum`."""

    name = "lint"

    def reads(self, path):
        return path.endswith(".py")

    async def run(self, files):
        return CheckResult(
            tuple(
                Problem(f.path, n, n, "L1", "sum is slow", "…", Severity.NOTE, Category.PERFORMANCE, "lint")
                for f in files
                for n, line in enumerate(f.text.split("\n"), 1)
                if "sum(" in line
            )
        )


def desk(repository=None, **changed):
    host = repository or Repository(FILES, base={"src/cart.py": "class Cart: pass\n"}, issues=[issue()])
    files = Files(host, pull_request())
    shelf = Shelf(REF.repo, "b" * 40, (Document("docs/py.md", "c" * 40),))
    values = {
        "host": host,
        "pull": pull_request(),
        "diff": CHANGE,
        "standards": Shelves(),
        "shelf": shelf,
        "files": files,
        "searcher": ScanSearch(files),
        "checks": (Lint(),),
    }
    return ToolContext(**values | changed)


def call(tool, at=None, **arguments):
    tools = {one.name: one for one in tools_for(at or desk())}
    return asyncio.run(tools[tool](arguments))


def test_every_tool_is_offered_by_being_a_file():
    assert [tool.name for tool in tools_for(desk())] == [
        "find_definition",
        "get_github_issue",
        "get_review_threads",
        "list_files",
        "read_file",
        "run_checks",
        "search_code",
        "search_standards",
    ]


def test_settings_and_circumstances_decide_what_is_offered():
    bare = desk(searcher=None, checks=(), shelf=Shelf(REF.repo, "b" * 40))

    assert [tool.name for tool in tools_for(desk(), {"read_file", "unknown"})] == ["read_file"]
    assert {tool.name for tool in tools_for(desk())} - {tool.name for tool in tools_for(bare)} == {
        "run_checks",
        "search_code",
        "search_standards",
    }


@pytest.mark.parametrize("tool", tools_for(desk()), ids=lambda tool: tool.name)
def test_every_schema_is_strict(tool):
    assert lint(tool.parameters) == ()


@pytest.mark.parametrize("tool", tools_for(desk()), ids=lambda tool: tool.name)
@given(
    arguments=st.dictionaries(
        st.sampled_from(["number", "path", "side", "start", "end", "pattern", "text", "symbol", "query", "repo"]),
        st.none() | st.integers() | st.text(max_size=20) | st.sampled_from(["head", "base", "../../etc/passwd"]),
        max_size=6,
    )
)
def test_whatever_the_arguments_the_answer_is_text(tool, arguments):
    (safe,) = bounded([tool])

    assert isinstance(asyncio.run(use(safe, arguments)).text, str)


def test_an_issue_is_read_as_json_with_its_acceptance_points():
    body = "Totals are off.\n\n## Acceptance criteria\n- rounds to cents\n- [ ] keeps the currency\n"
    host = Repository(FILES, issues=[issue(body=body, labels=("bug",), comments=tuple("abcdefghijklm"))])
    answer = json.loads(call("get_github_issue", desk(host), number=12))

    assert answer["title"] == "Totals are wrong"
    assert answer["acceptance_points"] == ["rounds to cents", "keeps the currency"]
    assert answer["comments"][-1] == "m"
    assert answer["comments_not_shown"] == 3


@pytest.mark.parametrize("number", ["org/private#1", "https://github.com/org/private/issues/1", "12; rm", "#-1"])
def test_an_issue_of_another_repository_is_denied_before_anybody_is_asked(number):
    host = Repository(FILES, issues=[issue()])

    with pytest.raises(UserError, match="denied"):
        call("get_github_issue", desk(host), number=number)
    assert host.asked == []


@pytest.mark.parametrize("number", [0, -1, 2**63, 99, 1.5, None, True, [12]])
def test_a_number_that_names_no_issue_is_a_clear_error(number):
    with pytest.raises(UserError):
        call("get_github_issue", number=number)


def test_a_large_issue_is_capped_and_says_so():
    host = Repository(FILES, issues=[issue(body="x" * 1_000_000, comments=("y" * 50_000,) * 5_000)])
    answer = call("get_github_issue", desk(host), number=12)

    assert len(answer) < 24_000
    assert "992000 more characters" in answer


def test_a_file_is_read_by_lines_at_either_side():
    assert call("read_file", path="src/cart.py", side="head", start=4, end=5) == (
        "src/cart.py at head, lines 4-5 of 6\n4 class Cart:\n5     def total(self, items):"
    )
    assert call("read_file", path="./src//cart.py", side="base", start=None, end=None).endswith("1 class Cart: pass")


def test_a_long_file_is_read_in_bounded_parts():
    host = Repository({"long.txt": "line\n" * 1000, "wide.txt": "x" * 100_000})

    assert call("read_file", desk(host), path="long.txt", side="head", start=601, end=None).startswith(
        "long.txt at head, lines 601-1000 of 1000\n601 line"
    )
    assert "lines 1-400 of 1000" in call("read_file", desk(host), path="long.txt", side="head", start=None, end=9999)
    assert len(call("read_file", desk(host), path="wide.txt", side="head", start=None, end=None)) < 24_000


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "src/../../etc/passwd",
        "/etc/passwd",
        "/proc/self/environ",
        "src/cart.py\0.md",
        "..\\..\\etc",
        "%2e%2e/etc/passwd",
        "src/..",
        "~/.ssh/id_rsa",
        "C:\\Windows",
        "",
        "a" * 5000,
        "src",
    ],
)
def test_no_path_leads_out_of_the_tree(path):
    host = Repository(FILES)

    with pytest.raises(UserError):
        call("read_file", desk(host), path=path, side="head", start=None, end=None)
    assert {kind for kind, *_ in host.asked} <= {"tree"}


def test_a_wrong_folder_is_answered_with_the_right_one():
    with pytest.raises(UserError, match=r"did you mean src/cart\.py"):
        call("read_file", path="lib/cart.py", side="head", start=None, end=None)


def test_a_binary_file_is_not_read():
    with pytest.raises(UserError, match="binary"):
        call("read_file", path="logo.png", side="head", start=None, end=None)


def test_files_are_listed_by_glob():
    assert call("list_files", pattern="src/*", side="head") == (
        f"2 files at head match\nsrc/cart.py ({len(CART)})\nsrc/tax.py (9)"
    )
    assert call("list_files", pattern="*", side="base") == "1 files at base match\nsrc/cart.py (17)"


def test_a_hostile_glob_costs_nothing():
    host = Repository({"a" * 300: "", "src/x.py": ""})

    assert call("list_files", desk(host), pattern="*a" * 60 + "b", side="head") == "0 files at head match"


def test_code_is_searched_as_text_or_word():
    assert call("search_code", text="rate", word=True, side="head", folder=None) == (
        "3 matches at head\n"
        "src/cart.py:1: from tax import rate\n"
        "src/cart.py:6: return sum(items) * rate\n"
        "src/tax.py:1: rate = 2"
    )
    assert call("search_code", text="rat", word=True, side="head", folder=None) == "0 matches at head"
    assert call("search_code", text="src/", word=False, side="head", folder="docs").endswith("see src/cart.py")


def test_a_repository_that_is_too_large_is_not_searched_in_part():
    host = Repository({f"{n}.py": "x\n" for n in range(500)})
    at = desk(host)
    (tool,) = bounded(tools_for(at, {"search_code"}))

    answer = asyncio.run(use(tool, {"text": "xx", "word": False, "side": "head", "folder": None}))
    assert answer.text == "not available: search unavailable: too many files; name a smaller folder"
    assert not [kind for kind, *_ in host.asked if kind == "blob"]


def test_files_that_mention_a_word_are_known_or_nothing_is():
    at = desk()

    assert asyncio.run(texts_with_word(at.searcher, at.files, "rate")).keys() == {"src/cart.py", "src/tax.py"}
    assert asyncio.run(texts_with_word(ScanSearch(at.files, most_files=2), at.files, "rate")) == {}


def test_a_definition_is_found_with_its_source():
    expected = "src/cart.py:5-6\n5     def total(self, items):\n6         return sum(items) * rate"

    assert call("find_definition", symbol="Cart.total") == expected
    assert call("find_definition", symbol="total") == expected
    assert call("find_definition", symbol="rate") == "src/tax.py:1-1\n1 rate = 2"
    assert call("find_definition", symbol="absent") == "no definition of absent was found in the repository"


def test_without_a_search_definitions_come_from_the_changed_files():
    assert call("find_definition", desk(searcher=None), symbol="rate").endswith("in the changed files")
    assert call("find_definition", desk(searcher=None), symbol="Cart::total").startswith("src/cart.py:5-6")


def test_standards_are_answered_with_their_ids_and_exact_text():
    (found,) = json.loads(call("search_standards", query="errors", language="Python", path=None))["standards"]

    assert (found["id"], found["governs"], found["text"]) == ("docs/py.md#errors", True, ERRORS.text)
    assert json.loads(call("search_standards", query="nothing", language=None, path=None)) == {"standards": []}


@pytest.mark.parametrize("sentence", ["Never swallow an exception. ", 'Say "no", \\ or\n"yes".\t'])
def test_a_section_over_the_bound_of_an_answer_is_given_by_its_beginning_and_can_be_cited(sentence):
    section = replace(ERRORS, text=sentence * 2_000)
    search = SearchStandards(OneSection(section), Shelf("octo/shop", "b" * 40))
    (tool,) = bounded([search])
    text = asyncio.run(tool({"query": "errors", "language": None, "path": None}))
    (found,) = json.loads(text)["standards"]
    (citable,) = standards_in([ToolUse("search_standards", {}, text)])

    assert 10_000 < len(text) < 24_000
    assert (found["id"], found["governs"]) == ("docs/py.md#errors", True)
    assert section.text.startswith(found["text"])
    assert found["characters_left_out"] == len(section.text) - len(found["text"])
    assert verify_quote(sentence, [citable]).text == sentence.strip()


def test_checks_run_over_the_head_of_any_file():
    assert call("run_checks", path="src/cart.py") == "1 problems by lint\nsrc/cart.py:6: L1: sum is slow"
    assert call("run_checks", path="docs/note.md") == "0 problems by no check: none reads this file"


def test_threads_are_grouped_and_bounded():
    said = (
        PostedComment(1, "inline", 5, "bob", "Why?", by_us=False, path="src/cart.py", line=6),
        PostedComment(2, "inline", 6, "alice", "Because.", by_us=False, in_reply_to=1),
        PostedComment(3, "comment", 9, "other[bot]", "x" * 5000, by_us=False, by_bot=True),
        PostedComment(4, "review", 9, "other[bot]", " ", by_us=False, by_bot=True),
    )
    answer = json.loads(call("get_review_threads", desk(Repository(FILES, said=said))))

    assert [len(thread["comments"]) for thread in answer["threads"]] == [2, 1]
    assert answer["threads"][0]["line"] == 6
    assert len(answer["threads"][1]["comments"][0]["body"]) == 600


def test_every_request_names_the_one_repository():
    host = Repository(FILES, issues=[issue()])
    at = desk(host)
    call("read_file", at, path="src/cart.py", side="head", start=None, end=None)
    call("get_github_issue", at, number="#12")
    call("find_definition", at, symbol="total")

    assert {repo for _, repo, _ in host.asked} == {REF.repo}
    assert [kind for kind, *_ in host.asked].count("tree") == 1
    assert ("tree", REF.repo, HEAD) in host.asked


@dataclass(frozen=True, slots=True)
class Echo:
    """Answers after a while, or raises."""

    answer: str = "fine"
    error: Exception | None = None
    seconds: float = 0.0
    name: str = "echo"
    description: str = "Says it."
    parameters: dict = field(default_factory=dict)
    calls: list = field(default_factory=list)

    async def __call__(self, arguments):
        self.calls.append(arguments)
        await asyncio.sleep(self.seconds)
        if self.error:
            raise self.error
        return self.answer


def ask(tool, *questions, limits=None):
    (one,) = bounded([tool], limits)

    async def conversation():
        return [(await use(one, {"q": question})).text for question in questions]

    return asyncio.run(conversation())


def test_the_same_question_is_answered_once():
    echo = Echo()

    assert ask(echo, "a", "a", "b") == ["fine"] * 3
    assert echo.calls == [{"q": "a"}, {"q": "b"}]


def test_what_is_too_much_of_an_answer_is_cut_and_said():
    (answer,) = ask(Echo("x" * 100), "a", limits=ToolLimits(result=60))

    assert answer == "x" * 60 + "\n… (40 more characters; ask for less)"


@pytest.mark.parametrize(
    ("tool", "answer"),
    [
        (Echo(error=UserError("path: no such file")), "error: path: no such file"),
        (Echo(error=NotFound("gone")), "not available: gone"),
        (Echo(seconds=5), "not available: it took longer than 0.01 seconds"),
    ],
    ids=["wrong", "refused", "slow"],
)
def test_what_goes_wrong_in_a_tool_is_an_answer(tool, answer):
    assert ask(tool, 1, limits=ToolLimits(seconds=0.01)) == [answer]


def test_being_asked_to_wait_is_the_engine_s_business():
    with pytest.raises(RateLimited):
        ask(Echo(error=RateLimited("slow down", 60)), 1)


def test_a_question_is_answered_without_the_comments_that_came_after_it():
    def comment(number, kind, second):
        written = f"2026-01-01T00:00:0{second}+00:00"
        return PostedComment(number, kind, 1, "alice", f"{kind} at {second}", by_us=False, written=written)

    comments = (comment(7, "comment", 1), comment(5, "inline", 2), comment(8, "comment", 3), comment(9, "inline", 4))
    host = Repository(FILES, said=comments, issues=[replace(issue(), number=REF.number, comments=("all of them",))])
    at = desk(host, asked=("inline", 5))

    threads = json.loads(call("get_review_threads", at))["threads"]
    bodies = [each["body"] for thread in threads for each in thread["comments"]]
    own = json.loads(call("get_github_issue", at, number=REF.number))["comments"]

    assert bodies == ["comment at 1"]
    assert own == ["comment at 1"]
    assert len(json.loads(call("get_review_threads", desk(host)))["threads"]) == 4


def test_a_nullable_argument_may_be_left_out_and_another_may_not():
    whole = call("read_file", path="src/cart.py", side="head")

    assert whole == call("read_file", path="src/cart.py", side="head", start=None, end=None)
    assert json.loads(call("search_standards", query="errors"))["standards"]
    with pytest.raises(UserError, match="side: Field required"):
        call("read_file", path="src/cart.py")
