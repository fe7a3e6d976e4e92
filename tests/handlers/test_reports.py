"""SARIF reports of the team's own CI, read by the App: findings on changed lines, within bounds, and never silently missing."""

import io
import json
import zipfile

import pytest

from bot.core.policy import Policy, parse
from bot.errors import NotFound, Refused, TooLarge
from bot.hosts.github import reports
from bot.hosts.github.reports import sarif_files
from tests.support.product import RunningProduct

RULES = "# Python\n\n## Logging\n\nCall the logger, never `print`.\n"
TEXT = "def pay(order):\n    print(order)\n    return order\n"


@pytest.fixture(scope="module")
def product():
    product = RunningProduct()
    yield product
    product.close()


def sarif(*results, tool="scanner", **run):
    """A report with (rule, path, line) results."""
    told = [
        {
            "ruleId": rule,
            "level": "warning",
            "message": {"text": f"{rule} is wrong here"},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": path}, "region": {"startLine": line}}}],
        }
        for rule, path, line in results
    ]
    return json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": tool}}, "results": told, **run}]})


def archive(**files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, text in files.items():
            zipped.writestr(name.replace("__", "."), text)
    return content.getvalue()


def repository(product, source, **more):
    policy = f"sarif: {source}\ncites:\n  no-print: docs/standards/python.md#logging\n"
    files = {"app.py": "def pay(order):\n    return order\n", "docs/standards/python.md": RULES}
    return product.repository(files | {".github/assistant.yml": policy}, **more)


def said(pull):
    return [comment.body for comment in pull.comments]


def test_an_upload_after_the_review_brings_a_second_look_that_repeats_nothing(product):
    pull = product.open(
        {"app.py": TEXT + "try:\n    pay(1)\nexcept:\n    pass\n"}, repo=repository(product, "code-scanning")
    )
    product.settle()
    first, posted = pull.check_runs()[-1], said(pull)

    assert "code-scanning has no report about this head yet; the review is repeated when it arrives" in first.text
    assert "1 not reviewed" in first.title
    assert len(posted) == 1

    pull.end_checks(product.sandbox.world.app.id)
    product.settle()
    assert len(pull.check_runs()) == 1, "the end of our own checks starts nothing"

    pull.upload_sarif(sarif(("no-print", "app.py", 2), ("no-return", "app.py", 3), ("old", "README.md", 1)))
    pull.end_checks()
    product.settle()
    new = said(pull)[len(posted) :]

    assert len(new) == 1
    assert "no-print is wrong here" in new[0]
    assert "docs/standards/python.md" in new[0]
    assert "scanner: 2 results about changed files, 1 on changed lines" in pull.check_runs()[-1].text
    assert "not reviewed" not in pull.check_runs()[-1].title

    runs = len(pull.check_runs())
    pull.end_checks()
    product.settle()
    assert len(pull.check_runs()) == runs, "a complete review is not repeated"


def test_an_analysis_of_the_merge_counts_only_in_files_that_are_the_same_at_the_head(product):
    repo = repository(product, "code-scanning")
    product.play(repo.push({"lib.py": "a = 1\n\n\n\n\n\n\n\nb = 2\n"}))
    files = {"app.py": TEXT, "lib.py": "a = 1\n\n\n\n\n\n\n\nb = 2\nprint(b)\n"}
    product.settle()
    pull = product.open(files, repo=repo)
    product.play(repo.push({"lib.py": "import os\na = os.name\n\n\n\n\n\n\n\nb = 2\n"}))
    merged = product.play(pull.trial_merge())
    pull.upload_sarif(sarif(("in-merge", "app.py", 2), ("in-merge", "lib.py", 10)), commit=merged)
    pull.upload_sarif(sarif(("stale", "app.py", 2)), commit="0" * 40, category="stale")
    product.settle()

    assert [(comment.path, comment.line) for comment in pull.comments] == [("app.py", 2)]
    assert "1 files were analysed in another version" in pull.check_runs()[-1].text


def test_an_artifact_of_a_workflow_is_read_and_its_words_are_cleaned(product):
    pull = product.open({"app.py": TEXT}, repo=repository(product, "artifact scan results"))
    product.play(pull.trial_merge())
    report = sarif(("no-print", "app.py", 2), tool="Lint @alice ![x](https://evil.example/x.png)")
    pull.keep_artifact("scan results", archive(out__sarif=report, notes__txt="x"))
    pull.keep_artifact("other", archive(out__sarif=sarif(("other", "app.py", 2))))
    product.settle()

    assert len(said(pull)) == 1
    assert "no-print is wrong here" in said(pull)[0]
    shown = said(pull)[0] + pull.check_runs()[-1].text
    assert "@alice" not in shown
    assert "https://evil.example" not in shown
    store = [request for request in product.sandbox.requests if request.path.startswith("/_store/")]
    assert all("authorization" not in {name.lower() for name in request.headers} for request in store)


def test_a_missing_permission_is_said_to_the_operator_and_in_the_check_run(product, caplog):
    repo = repository(product, "code-scanning")
    installation = product.sandbox.world.installation_of(repo.state)
    granted = dict(installation.permissions)
    try:
        installation.permissions = {name: level for name, level in granted.items() if name != "security_events"}
        pull = product.open({"app.py": TEXT}, repo=repo)
        product.settle()
    finally:
        installation.permissions = granted

    assert "security_events: read" in [
        record.msg.get("needs") for record in caplog.records if isinstance(record.msg, dict)
    ]
    assert "without the permission security_events: read" in pull.check_runs()[-1].text
    assert pull.check_runs()[-1].conclusion == "neutral"
    pull.upload_sarif(sarif(("no-print", "app.py", 2)))
    pull.end_checks()
    product.settle()
    assert len(pull.check_runs()) == 1, "what no time heals is not repeated"


def test_reports_are_off_unless_the_base_branch_names_a_source(product):
    repo = product.repository({"app.py": "def pay(order):\n    return order\n"})
    pull = product.open({"app.py": TEXT, ".github/assistant.yml": "sarif: code-scanning\n"}, repo=repo)
    pull.upload_sarif(sarif(("no-print", "app.py", 2)))
    product.settle()

    assert said(pull) == []
    asked = [request.path for request in product.sandbox.requests if f"/{repo.state.name}/" in request.path]
    assert not any("code-scanning" in path for path in asked)


@pytest.mark.parametrize("text", ["off", "'off'", "false", "code-scanning", "artifact sarif", "artifact my results v2"])
def test_the_policy_takes_a_source_of_reports(text):
    policy, problems = parse(f"sarif: {text}\n")

    assert problems == ()
    assert policy.sarif == ("" if text.strip("'") in {"off", "false"} else text)


@pytest.mark.parametrize(
    "text", ["artifact", "artifact ../x", "'artifact a/b'", "codescanning", "'artifact a:b'", "[a]"]
)
def test_another_source_of_reports_is_named(text):
    policy, problems = parse(f"sarif: {text}\n")

    assert policy == Policy()
    assert len(problems) == 1


def test_an_archive_is_read_within_bounds(monkeypatch):
    monkeypatch.setattr(reports, "LARGEST", 1000)
    assert sarif_files(archive(a__sarif="{}", b__SARIF__json="[]", c__txt="no")) == ["{}", "[]"]
    for content, error in (
        (archive(bomb__sarif="0" * 5_000_000), TooLarge),
        (archive(**{f"part{n}__sarif": "0" * 400 for n in range(4)}), TooLarge),
        (archive(c__txt="no"), NotFound),
        (archive(**{f"{'x' * 200}{n}": "" for n in range(5000)}), Refused),
        (archive(a__sarif="{}")[:-30], Refused),
        (b"PK\x05\x06" + b"\0" * 12, Refused),
        (b"", Refused),
    ):
        with pytest.raises(error):
            sarif_files(content)
