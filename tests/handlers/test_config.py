"""The repository's file, the organisation's under it, the operator's bounds over both: every key does something."""

import asyncio
import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

import bot.checks
import bot.model.tools
from bot.app import (
    UseCases,
    build_answerer,
    build_checks,
    build_model_review,
    build_question_answerer,
    build_reviewer,
    build_router,
)
from bot.cli.ask import check_config
from bot.cli.commands import cli
from bot.core.code.diff import FileDiff, Hunk, Line, Status
from bot.core.comments.check_run import conclusion
from bot.core.comments.marker import Signer
from bot.core.costs import ReviewBudget
from bot.core.findings.executable_rules import executable_rules, rule_drafts
from bot.core.findings.finding import Category, Draft, Severity
from bot.core.findings.muting import TopicTally, muted_topics
from bot.core.findings.standard import Standard
from bot.core.policy import Budgets, Policy, PolicyLayer, describe, merge_layers, schema
from bot.handlers.read import read_policy
from bot.hosts.github.host import GitHubHost
from bot.hosts.github.reports import GitHubReports
from bot.job import Job, Trigger
from bot.model.prompts import Prompts
from bot.settings import Settings
from bot.standards.documents import select
from bot.standards.local import FolderStandards
from bot.storage.database import Database
from bot.storage.ledger import Ledger
from tests.support.github_client import hosted
from tests.support.scripted_model import ScriptedModel, finding, findings

PATH = ".github/assistant.yml"
RULE = "# Python\n\n## Bare except\n\nNever catch with a bare `except:`; name the exception class.\n"
FLAWED = "import os\n\n\ndef pay(order):\n    try:\n        charge(order)\n    except:\n        pass\n"
BASE = {
    "app.py": "x = 1\n",
    "docs/standards/python.md": RULE,
    "rules/python.md": RULE,
    "AGENTS.md": "# Agents\n\nBe kind.\n",
}
CLAIM = finding(path="app.py", quoted_code="        pass", near=8, suggestion="        raise", title="Failures vanish")


class Lab:
    """One pull request of one policy, with a scripted model; nothing is queued, everything runs at once."""

    def __init__(self, folder, policy, **settings):
        self.folder, self.policy, self.number = folder, policy, 0
        verdict = {"finding": 1, "evidence": ["app.py:8: pass"], "reason": "so", "verdict": "holds"}
        answers = {"find/correctness": findings(CLAIM), "find": findings(), "verify": {"verdicts": [verdict]}}
        self.model = ScriptedModel(answers | {"summary": {"points": [], "careful": [], "sentence": "It pays."}})
        self.settings = Settings.read(_env_file=None, assistant_model_api="offline", **settings)
        self.ledger = Ledger(Database(f"sqlite:///{folder}/ledger.db"))

    async def start(self, **options):
        self.ledger.database.migrate()
        files = BASE | ({PATH: self.policy} if self.policy else {})
        self.github = await hosted(self.folder / "github", files)
        self.github.repo.user("alice", "write")
        self.github.repo.user("tess", "triage")
        self.pull = await self.github.repo.open_pull("Pay", "Pays.", {"app.py": FLAWED, "uv.lock": "a\n"}, **options)
        standards, host = FolderStandards(self.folder / "standards.db"), self.github.host
        self.parts = UseCases(
            self.settings, host, self.github.publisher, standards, self.ledger, Signer(b"ours"), self.model
        )
        self.parts = replace(self.parts, reports=GitHubReports(self.github.client, host))
        return self

    def job(self, trigger=Trigger.OPENED, actor="alice", text=""):
        self.number += 1
        return Job(f"delivery/{self.number}", self.github.ref(self.pull), trigger, actor=actor, text=text)

    async def review(self):
        seen = await self.github.host.pull_request(self.github.ref(self.pull))
        return await build_reviewer(self.parts).review(self.job(), seen, _step)

    async def route(self, *job):
        return (await build_router(self.parts)(self.job(*job), _step)).route


async def _step(_name, work, _kind):
    return await work()


def routed(*job, **options):
    """Where a job goes."""

    async def observe(lab):
        await lab.start(**options)
        if job and job[0] is Trigger.LABEL:
            lab.pull.label("alice", job[2])
        return await lab.route(*job)

    return observe


def seen(look):
    """Something of the review."""

    async def observe(lab):
        return look(await (await lab.start()).review())

    return observe


def asked(look):
    """Something of the prompts."""

    async def observe(lab):
        await (await lab.start()).review()
        return [look(prompt) for prompt in lab.model.prompts]

    return observe


async def spending(lab):
    """The bounds on money, calls, tools and time that a conversation is given."""
    await lab.start()
    pull = await lab.github.host.pull_request(lab.github.ref(lab.pull))
    policy = (await read_policy(lab.github.host, pull)).policy
    answerer = build_question_answerer(lab.parts)
    passes, _ = await answerer.model_review.prepare(lab.job(), await answerer.inputs(pull, policy, _step), _step)
    return passes.account.bounds, passes.step.allowed


async def talking(lab):
    await lab.start()
    await build_reviewer(lab.parts)(lab.job(), _step)
    return len(lab.pull.state.comments)


async def shelved(lab):
    policy = merge_layers([PolicyLayer(PATH, lab.policy)]).policy
    return select([("docs/standards/python.md", "b" * 40, 9)], policy, changed=["app.py"]).documents


async def choosing(lab):
    await lab.start()
    policy = merge_layers([PolicyLayer(PATH, lab.policy)]).policy
    review = replace(build_model_review(lab.parts), choices={"other": lab.model})
    return review.unknown(policy), policy.model in review.choices


async def waives(lab):
    policy = merge_layers([PolicyLayer(PATH, lab.policy)]).policy
    block = "```ast-grep\nid: no-pay\nlanguage: python\nrule: {pattern: pay($A)}\n```\n"
    rules = executable_rules([Standard("r.md", ("Pay",), "pay", 1, 9, "b" * 40, block)]).rules
    line = "pay(1)  # assistant: allow no-pay — a test"
    draft = Draft("a.py", line, "T", "W", Severity.NOTE, Category.HYGIENE, source="standards", rule="no-pay", near=1)
    file = FileDiff("a.py", Status.ADDED, (Hunk((Line(line, None, 1),)),), additions=1)
    return rule_drafts([draft], rules, {"a.py": line}, [file], policy.waivers).waived


async def mutes(lab):
    policy = merge_layers([PolicyLayer(PATH, lab.policy)]).policy
    return muted_topics([TopicTally("E722", "hygiene", dismissed=40)], policy.unmute)


def files(review):
    return [(row.path, row.state) for row in review.coverage.files]


def cited(review):
    return [(finding.draft.rule, standard.anchor) for finding in review.findings for standard in finding.standards]


def rows(review):
    return [(row.path, row.state, row.by) for row in review.coverage.passes]


def posted(review):
    return [one.identity for one in review.findings]


FILES, ROWS, POSTED, RULES, OPENED = seen(files), seen(rows), seen(posted), asked(lambda prompt: prompt.rules), routed()
DEFAULTS = {}  # what is observed where nothing is set
EFFECTS = {
    "triggers.opened": ("triggers: {opened: false}", OPENED),
    "triggers.pushed": ("triggers: {pushed: false}", routed(Trigger.PUSHED)),
    "triggers.drafts": ("triggers: {drafts: true}", routed(draft=True)),
    "triggers.first_time_contributors": (
        "triggers: {first_time_contributors: always}",
        routed(Trigger.OPENED, "eve", author="eve", fork=True),
    ),
    "label": ("label: please", routed(Trigger.LABEL, "alice", "please")),
    "ignore": ("ignore: [app.py]", FILES),
    "generated": ("generated: [app.py]", FILES),
    "review": ("review: [uv.lock]", FILES),
    "path_instructions": (
        "path_instructions: [{paths: [app.py], instructions: Mind cents.}]",
        RULES,
    ),
    "languages": ("languages: [go]", FILES),
    "standards.paths": (
        "standards: {paths: [rules/*.md]}",
        seen(lambda r: [s.id for f in r.findings for s in f.standards]),
    ),
    "standards.conventions": ("standards: {conventions: false}", ROWS),
    "standards.public": ("standards: {public: ['docs/**']}", shelved),
    "checks": ("checks: [secrets]", ROWS),
    "sarif": ("sarif: code-scanning", ROWS),
    "passes": ("passes: [security]", asked(lambda p: p.name)),
    "model": ("model: other", choosing),
    "severity": ("severity: error", POSTED),
    "comments": ("comments: 0", POSTED),
    "summary": ("summary: always", talking),
    "suggestions": ("suggestions: false", seen(lambda r: [f.suggestion for f in r.findings])),
    "tone": ("tone: terse", RULES),
    "language": ("language: pt-BR", RULES),
    "cites": ("cites: {F401: docs/standards/python.md#bare-except}", seen(cited)),
    "waivers": ("waivers: [no-pay]", waives),
    "fail_on": ("fail_on: warning", seen(conclusion)),
    "request_changes": ("request_changes: true", seen(lambda review: review.requests_changes)),
    "unmute": ("unmute: [E722]", mutes),
    "minimum_permission": ("minimum_permission: triage", routed(Trigger.COMMAND, "tess", "/assistant status")),
    "budgets.dollars": ("budgets: {dollars: 0.01}", spending),
    "budgets.tokens": ("budgets: {tokens: 10}", spending),
    "budgets.calls": ("budgets: {calls: 3}", spending),
    "budgets.tool_calls": ("budgets: {tool_calls: 3}", spending),
    "budgets.tool_characters": ("budgets: {tool_characters: 3}", spending),
    "budgets.seconds": ("budgets: {seconds: 3}", spending),
}


def test_every_key_is_in_the_table():
    assert set(EFFECTS) == {one.name for one in describe(Policy(), {})}


@pytest.mark.parametrize("key", EFFECTS)
def test_every_key_has_an_effect(tmp_path, key):
    text, observe = EFFECTS[key]

    def observed(name, policy):
        if name == "default" and observe in DEFAULTS:
            return DEFAULTS[observe]
        folder = tmp_path / name
        folder.mkdir()
        lab = Lab(folder, policy)
        try:
            result = asyncio.run(observe(lab))
        finally:
            lab.ledger.database.close()
        return DEFAULTS.setdefault(observe, result) if name == "default" else result

    assert merge_layers([PolicyLayer(PATH, text)]).problems == ()
    assert observed("set", text) != observed("default", "")


def test_a_repository_can_only_lower_what_the_operator_allows():
    allowed = ReviewBudget(dollars=1.0, tokens=1000)

    assert allowed.limited_by(Budgets(dollars=0.5, tokens=10)) == ReviewBudget(dollars=0.5, tokens=10)
    assert allowed.limited_by(Budgets(dollars=50, tokens=10**9, calls=10**9)) == allowed


def test_the_organisations_defaults_hold_where_the_repository_is_silent():
    found = merge_layers(
        [
            PolicyLayer("org", "label: theirs\ncomments: 3\ntriggers: {drafts: true, pushed: false}\nignore: [a]\n"),
            PolicyLayer("own", "label: ours\ntriggers: {pushed: true}\nignore: [b]\n"),
        ]
    )
    holds = {one.name: (one.value, one.source) for one in describe(found.policy, dict(found.sources))}

    assert holds["label"] == ('"ours"', "own")
    assert holds["comments"] == ("3", "org")
    assert holds["triggers.drafts"] == ("true", "org")
    assert holds["triggers.pushed"] == ("true", "own")
    assert holds["triggers.opened"] == ("true", "default")
    assert holds["ignore"] == ('["b"]', "own")


def test_what_is_wrong_in_one_file_costs_the_other_nothing():
    found = merge_layers([PolicyLayer("org", "comments: 3\nlable: x\n"), PolicyLayer("own", "tone: [\n")])

    assert found.policy.comments == 3
    assert [str(problem) for problem in found.problems] == [
        "org:2:1: lable is not a setting; did you mean label?",
        "own:2:1: not YAML: expected the node content, but found '<stream end>'; the defaults apply",
    ]


def test_off_is_a_word_here_and_not_a_truth_value():
    assert merge_layers([PolicyLayer("own", "summary: off\n")]).policy.summary == "off"


@pytest.mark.parametrize(
    ("defaults", "label", "trouble"),
    [
        ("octo/standards", "org", 0),
        ("OCTO/standards", "org", 0),
        ("octo/missing", "assistant:review", 1),
        ("other/standards", "assistant:review", 0),
        ("", "assistant:review", 0),
    ],
)
def test_defaults_are_read_from_the_owners_own_repository_only(tmp_path, defaults, label, trouble):
    async def story():
        here = await hosted(tmp_path, BASE | {PATH: "comments: 3\n"})
        for owner in ("octo", "other"):
            await here.sandbox.repository(f"{owner}/standards", {PATH: "label: org\ncomments: 9\n"})
        pull = await here.repo.open_pull("Pay", "", {"app.py": FLAWED})
        host = GitHubHost(here.client, defaults=defaults)
        return await read_policy(host, await host.pull_request(here.ref(pull)))

    file = asyncio.run(story())

    assert (file.policy.label, file.policy.comments) == (label, 3)
    assert len(file.problems) == trouble
    assert ("comments", PATH) in file.sources


def test_an_invalid_file_stops_nothing_and_is_named_in_the_check_run(tmp_path):
    async def story():
        lab = await Lab(tmp_path, "severity: fatal\n").start()
        await build_reviewer(lab.parts)(lab.job(), _step)
        lab.ledger.database.close()
        return lab.pull

    pull = asyncio.run(story())

    assert pull.reviews
    assert f"{PATH}:1:1: severity: Input should be" in pull.check_runs()[-1].summary


def test_a_check_or_a_pass_that_there_is_not_is_named_in_the_check_run_and_by_config(tmp_path):
    async def story():
        lab = await Lab(tmp_path, "checks: [secret, hygiene]\npasses: [securty, correctness]\n").start()
        await build_reviewer(lab.parts)(lab.job(), _step)
        await build_answerer(lab.parts)(lab.job(trigger=Trigger.COMMAND, text="/assistant config"), _step)
        lab.ledger.database.close()
        return lab.pull.check_runs()[-1].summary, lab.pull.state.comments[-1].body

    for said in asyncio.run(story()):
        assert "checks: secret is not offered here; did you mean secrets?" in said
        assert "passes: securty is not offered here; did you mean security?" in said
        assert "hygiene is not" not in said


def test_the_published_schema_is_that_of_the_code(request):
    published = json.loads((request.config.rootpath / "examples" / "assistant.schema.json").read_text())

    assert published == schema()


def test_the_page_names_every_key_and_its_example_is_valid(request):
    page = (request.config.rootpath / "docs" / "reference" / "configuration.md").read_text()
    example = page.partition("```yaml\n")[2].partition("```")[0]

    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    assert {
        name: one.value in rows.get(name, "") for one in describe(Policy(), {}) for name in [one.name]
    } == dict.fromkeys(EFFECTS, True)
    assert merge_layers([PolicyLayer(PATH, example)]).problems == ()


def test_a_terminal_checks_shows_and_describes(tmp_path):
    own, org = tmp_path / "own.yml", tmp_path / "org.yml"
    own.write_text("label: ours\ncoments: 3\npasses: [securty]\n")
    org.write_text("tone: calm\n")

    def run(*arguments):
        result = CliRunner().invoke(cli, ["config", *map(str, arguments)])
        return result.exit_code, result.output

    assert run("check", org) == (0, "")
    unknown = "passes: securty is not offered here; did you mean security?"
    wrong = f"{own}:2:1: coments is not a setting; did you mean comments?\n{own}: {unknown}\n"
    assert run("check", own) == (1, wrong)
    code, shown = run("show", own, "--defaults", org)
    assert code == 0
    assert f'label = "ours"  ({own})' in shown
    assert unknown in shown
    assert f'tone = "calm"  ({org})' in shown
    assert 'severity = "note"  (default)' in shown
    assert json.loads(run("schema")[1]) == schema()


CHECK = """
from bot.interfaces import CheckResult

class Shouting:
    name, whole = "shouting", False
    def reads(self, path): return True
    async def run(self, files): return CheckResult()

def offer(jail): return Shouting()
"""
TOOL = """
class Weather:
    name, description = "weather", "Tells the weather."
    parameters = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    async def __call__(self, arguments): return "rain"

def offer(desk): return Weather()
"""


def test_a_check_a_tool_and_a_pass_are_one_new_file_each(tmp_path, monkeypatch):
    for package, name, source in ((bot.checks, "shouting", CHECK), (bot.model.tools, "weather", TOOL)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"{name}.py").write_text(source)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])

    async def story():
        lab = await Lab(tmp_path, "").start()
        model_review = build_model_review(lab.parts)
        words = Prompts({**model_review.words.texts, "find_licences": "Look for licences."})
        lab.model.uses = [("weather", {})]
        reviewer = replace(build_reviewer(lab.parts), model_review=replace(model_review, words=words))
        review = await reviewer.review(lab.job(), await lab.github.host.pull_request(lab.github.ref(lab.pull)), _step)
        lab.ledger.database.close()
        return review, lab.model

    review, model = asyncio.run(story())

    assert "check: shouting" in [row.path for row in review.coverage.passes]
    assert "licences" in [row.path for row in review.coverage.passes]
    assert {one.text for one in model.looked_up} == {"rain"}
    assert "Look for licences." in next(one.ask for one in model.prompts if one.name.startswith("find/licences"))


def test_what_the_operator_does_not_offer_no_repository_can_have(tmp_path):
    async def story():
        lab = Lab(
            tmp_path,
            "passes: [correctness, security]\nchecks: [ruff, secrets]\n",
            assistant_passes="security,standards",
            assistant_checks="secrets,hygiene",
            assistant_tools="read_file",
        )
        lab.model.uses = [("read_file", {"path": "app.py", "version": "head", "start": None, "end": None})]
        review = await (await lab.start()).review()
        lab.ledger.database.close()
        return review, build_model_review(lab.parts), build_checks(lab.settings), lab.model

    review, model_review, checks, model = asyncio.run(story())

    assert {row.path for row in review.coverage.passes if row.path.startswith("check:")} == {"check: secrets"}
    assert "checks: ruff is not offered here; it is ignored" in review.notices
    assert "passes: correctness is not offered here; it is ignored" in review.notices
    assert {prompt.name.split("/")[1] for prompt in model.prompts if prompt.name.startswith("find")} == {"security"}
    assert [check.name for check in checks] == ["hygiene", "secrets"]
    assert model_review.tools == ("read_file",)


def test_config_check_names_globs_that_do_nothing(tmp_path):
    policy = tmp_path / "assistant.yml"
    policy.write_text(
        'ignore: ["build", "*.md", "!keep.py"]\nstandards: {paths: ["./docs/**"]}\nreview: ["app/[id]/**"]\n'
    )

    assert [line.removeprefix(f"{policy}: ") for line in check_config(policy)] == [
        "review: the glob `app/[id]/**` reads brackets as one of the characters in them; write `app/\\[id\\]/**`",
        "ignore: the glob `build` matches only a file of that name, not what is in a folder; write `build/**`",
        "ignore: the glob `!keep.py` is no exception: name the files under `review` instead",
        "standards.paths: the glob `./docs/**` matches nothing: paths begin at the root of the repository; write `docs/**`",
    ]
