"""The wheel, alone in an empty environment: everything it needs travels with it."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from tests.support.set_up import free_port, link_of
from tests.support.uv_program import ROOT, uv


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def assistant(wheel, tmp_path_factory):
    """Runs the installed `assistant` with an empty HOME, far from this checkout and from its environment."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "home").mkdir()
    locked = folder / "locked.txt"
    uv("export", "--frozen", "--no-dev", "--no-emit-project", "--no-hashes", "--quiet", "--output-file", locked)
    uv("venv", "--python", sys.executable, folder / "env")
    uv("pip", "install", "--python", folder / "env", "--constraint", locked, wheel)

    environment = {"PATH": str(Path(shutil.which("git")).parent), "HOME": str(folder / "home"), "COLUMNS": "80"}
    program = folder / "env" / "bin" / "assistant"

    def run(*arguments, cwd=folder):
        ran = subprocess.run(
            (program, *arguments), cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout

    run.program, run.environment = program, environment
    return run


def test_the_wheel_carries_all_that_is_not_code(wheel):
    carried = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ("git", "ls-files", "bot", "prompts", "examples", "app.yml"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    expected = {path if path.startswith("bot/") else f"bot/_data/{path}" for path in tracked}

    assert expected - carried == set()
    assert not [path for path in carried if path.startswith(("tests/", "docs/", "benchmarks/"))]


def test_installed_alone_it_runs_the_demo_and_reviews_a_repository(assistant, tmp_path):
    demo = assistant("demo")
    places = re.findall(r"^(\S+):(\d+) ─+\n\S+ (Error|Warning|Note): ", demo, re.MULTILINE)
    for command in (
        ("init", "--quiet"),
        ("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "--allow-empty", "-m", "Begin"),
    ):
        subprocess.run(("git", *command), cwd=tmp_path, check=True)
    (tmp_path / "app.py").write_text("def pay():\n    breakpoint()\n")
    subprocess.run(("git", "add", "app.py"), cwd=tmp_path, check=True)
    review = json.loads(assistant("review", "--json", cwd=tmp_path))

    assert len(places) >= 3
    assert "📖 docs/standards/" in demo
    assert [(one["path"], one["line"], one["rule"]) for one in review["findings"]] == [("app.py", 2, "T100")]


def test_the_bill_of_materials_is_cyclonedx_and_names_every_locked_dependency_with_its_version(tmp_path):
    uv("export", "-q", "--frozen", "--no-dev", "--all-extras", "--format", "cyclonedx1.5", "-o", tmp_path / "sbom.json")
    bill = json.loads((tmp_path / "sbom.json").read_text())
    named = {part["name"]: part for part in bill["components"]}

    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert named.keys() >= {"githubkit", "dbos", "openai", "fastapi", "sqlalchemy", "markdown-it-py"}
    assert not [
        name for name, part in named.items() if not part.get("version") or not part["purl"].startswith("pkg:pypi/")
    ]


def test_installed_alone_it_starts_and_serves_the_pages_of_its_set_up(assistant, tmp_path):
    environment = assistant.environment | {"PORT": str(free_port())}
    command = (assistant.program, "serve")
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        link = link_of(server)
        with httpx.Client(follow_redirects=True) as browser:
            page = browser.get(link)
            style = browser.get(urljoin(link, "/assistant.css"))
        server.terminate()
        server.wait(30)

    assert (page.status_code, "Register on github.com" in page.text) == (200, True)
    assert (style.status_code, server.returncode) == (200, 0)
