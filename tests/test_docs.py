"""What the documents say exists: every command, target, setting, file and link in them."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt
from typer.main import get_command

from bot.cli.commands import cli
from bot.core.command import Verb
from bot.core.policy import Policy, parse
from bot.hosts.github.auth import READ, REPORTS, WRITE
from bot.sandbox.sandbox import PERMISSIONS
from bot.settings import Settings
from bot.webhook import EVENTS
from tests.support.generated_docs import (
    COMMANDS_PAGE,
    METRICS_PAGE,
    METRICS_PLACE,
    PLACE,
    SETTINGS_PAGE,
    command_line,
    metrics_table,
    settings_table,
)

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "SECURITY")),
    *sorted(set((ROOT / "docs").rglob("*.md")) - {COMMANDS_PAGE}),
]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
SETTINGS = {name.upper() for name in Settings.model_fields}


@pytest.fixture(params=PAGES, ids=lambda page: page.name)
def page(request):
    return request.param


def tokens(page):
    for token in MarkdownIt("commonmark").parse(page.read_text()):
        yield token
        yield from token.children or ()


def fences(page, *languages):
    """The content of each code block in one of these languages."""
    return [token.content for token in tokens(page) if token.type == "fence" and token.info.strip() in languages]


def commands(page):
    """Every command of ours that stands in a sentence; test_docs_run.py types the ones in blocks."""
    for token in tokens(page):
        if token.type == "code_inline" and re.match(r"(assistant|make) [a-z]", token.content):
            yield token.content


def check(words):
    """Raise unless `assistant` has this verb with these options."""
    command = get_command(cli)
    context = command.make_context("assistant", list(words))
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)


def test_every_command_exists(page):
    for command in commands(page):
        program, *words = shlex.split(command.replace("…", "X"))
        if program == "assistant":
            check(words)
        else:
            targets = {word for word in words if "=" not in word}
            rooms = {word.removeprefix("ROOM=") for word in words if "=" in word}
            assert targets <= TARGETS, command
            assert all((ROOT / "tests" / room).is_dir() for room in rooms), command


def test_a_command_that_does_not_exist_is_noticed():
    for words in (["revue"], ["serve", "--prot", "1"], ["standards", "burn"]):
        with pytest.raises(Exception, match="No such"):
            check(words)


def test_every_word_said_to_the_assistant_is_a_command(page):
    said = re.findall(r"`/assistant ([a-z]+)", page.read_text())

    assert set(said) <= set(Verb)


def test_every_block_of_data_can_be_read(page):
    for block in fences(page, "json"):
        json.loads(block)
    for block in fences(page, "python"):
        compile(block, page.name, "exec")
    for block in fences(page, "yaml", "yml"):
        if yaml.safe_load(block).keys() <= Policy.model_fields.keys():
            assert parse(block)[1] == ()


def test_every_relative_link_leads_somewhere(page):
    links = [token.attrs["href"] for token in tokens(page) if token.type == "link_open"]
    for link in links:
        path, _, heading = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.parent / path) if path else page
        assert target.exists(), link
        assert not heading or heading in headings(target), link


def headings(page):
    """The anchors that GitHub gives a page's headings."""
    found = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in found}


def test_every_variable_that_is_named_is_a_setting(page):
    code = " ".join(token.content for token in tokens(page) if token.type in {"code_inline", "fence"})
    named = set(re.findall(r"(?<![\w$])((?:ASSISTANT|GITHUB|OPENAI|DATABASE)_[A-Z_]+[A-Z])\b", code))

    assert named <= SETTINGS


def test_every_setting_is_documented():
    assert PLACE.search(SETTINGS_PAGE.read_text())[0] == settings_table(), "run `make docs`"


def test_every_metric_is_documented():
    assert METRICS_PLACE.search(METRICS_PAGE.read_text())[0] == metrics_table(), "run `make docs`"


def test_the_reference_of_the_command_line_is_current():
    assert COMMANDS_PAGE.read_text() == command_line(), "run `make docs`"


def test_every_page_stands_in_the_navigation_of_the_site():
    nav = re.search(r"^nav:\n(.*)", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE | re.DOTALL)[0]
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}

    assert set(re.findall(r"\S+\.md", nav)) == pages


def test_the_policy_example_is_valid_and_complete():
    text = (ROOT / "examples" / "assistant.yml").read_text()

    assert parse(text)[1] == ()
    assert yaml.safe_load(text).keys() == Policy.model_fields.keys()


def test_the_manifest_asks_for_what_is_used_and_no_more():
    manifest = yaml.safe_load((ROOT / "app.yml").read_text())
    levels = {"read": 0, "write": 1}
    used = {"merge_queues": "read"}  # for the event alone
    for name, level in (*READ, *WRITE, *REPORTS):
        used[name] = max(level, used.get(name, "read"), key=levels.get)

    assert manifest["default_permissions"] == used == PERMISSIONS
    assert set(manifest["default_events"]) == EVENTS
    assert manifest["public"] is False


def test_the_services_of_the_compose_file_run_verbs_that_exist():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    for service in services.values():
        if "build" in service:
            check(service["command"])
            assert service["read_only"]
            assert ("healthcheck" in service) == (service["command"] == ["work"])


def test_every_image_that_is_not_built_here_is_pinned_by_its_digest():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    images = [*bases, *(service["image"] for service in services.values() if "build" not in service)]

    assert len(images) == 4
    assert [image for image in images if not re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", image)] == []


def test_the_scale_profile_connects_every_service_to_its_own_postgres():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    postgres = "postgresql://assistant@postgres/assistant?passfile=/secrets/pgpass"

    assert services["worker"]["environment"]["DATABASE_URL"] == f"${{DATABASE_URL:-{postgres}}}"
    assert services["server"]["environment"]["DATABASE_URL"] == f"${{DATABASE_URL:-${{COMPOSE_PROFILES:+{postgres}}}}}"
    assert services["server"]["depends_on"]["postgres"] == {"condition": "service_healthy", "required": False}
    assert "app:/data/secrets" in services["server"]["volumes"], "what set-up stores …"
    assert "app:/data/secrets:ro" in services["worker"]["volumes"], "… the workers read"
    assert "POSTGRES_PASSWORD" not in services["postgres"]["environment"], "a random one, from a file"


def manifests_of(name):
    return list(yaml.safe_load_all((ROOT / "examples" / "deploy" / name).read_text()))


@pytest.mark.parametrize(("name", "deployments"), [("kubernetes.yaml", 2), ("kubernetes-small.yaml", 1)])
def test_the_kubernetes_manifests_fit_together_and_grant_little(name, deployments):
    manifests = [one for one in manifests_of(name) if one]
    pods = [one["spec"]["template"] for one in manifests if one["kind"] == "Deployment"]
    claims = {one["metadata"]["name"] for one in manifests if one["kind"] == "PersistentVolumeClaim"}

    assert len(pods) == deployments
    for one in manifests:
        assert set(one) <= {"apiVersion", "kind", "metadata", "spec", "type", "stringData"}
        assert one["metadata"]["name"].startswith("assistant")
    for pod in pods:
        (container,) = pod["spec"]["containers"]
        check(container["args"])
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        assert not pod["spec"]["automountServiceAccountToken"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["spec"]["volumes"]}
        assert {
            one["persistentVolumeClaim"]["claimName"]
            for one in pod["spec"]["volumes"]
            if len(one) > 1 and "persistentVolumeClaim" in one
        } <= claims
        assert {"livenessProbe" in container, "readinessProbe" in container} == {"ports" in container}
    labels = [pod["metadata"]["labels"] for pod in pods]
    selectors = [one["spec"]["podSelector"]["matchLabels"] for one in manifests if one["kind"] == "NetworkPolicy"]
    selectors += [one["spec"]["selector"] for one in manifests if one["kind"] == "Service"]
    for selector in selectors:
        assert any(selector.items() <= label.items() for label in labels), "it selects a pod of this file"


def test_the_systemd_unit_and_the_proxies_fit_the_server():
    folder = ROOT / "examples" / "deploy"
    (start,) = re.findall(r"^ExecStart=\S+/assistant (.+)$", (folder / "assistant.service").read_text(), re.MULTILINE)

    check(start.split())
    public = ["/webhooks/github", "setup", "auth", "dashboard", "reviews", "css"]
    for proxy in ("Caddyfile", "nginx.conf"):
        rules = re.sub(r"#.*", "", (folder / proxy).read_text())
        assert [word for word in public if word not in rules] == []
        assert not [word for word in ("metrics", "readyz", "livez") if word in rules]
