"""What operators see of a running server: metrics, alerts and traces, through the front door."""

import re
import sys
from pathlib import Path

import httpx
import pytest
import yaml
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from bot.app import build_spans
from bot.core.costs import Usage
from bot.errors import ConfigurationError, NotDurable
from bot.handlers.reconcile import Reconciler
from bot.hosts.github.health import GitHubHealth
from bot.hosts.github.installations import GitHubInstallations
from bot.hosts.github.publisher import GitHubPublisher
from bot.interfaces import Handlers
from bot.settings import Settings
from bot.telemetry.metrics import Metrics, Readings
from bot.telemetry.traces import OtelSpans
from bot.telemetry.use_cases import NoSpans, Telemetry
from tests.support.generated_docs import metric_families
from tests.support.model_turns import fails, says
from tests.support.product_with_model import ProductWithModel
from tests.support.scripted_model import findings

ALERTS = Path(__file__).parents[2] / "examples" / "deploy" / "alerts.yml"
NOWHERE = "http://127.0.0.1:9/webhooks/github"


@pytest.fixture(scope="module")
def exporter():
    return InMemorySpanExporter()


@pytest.fixture(scope="module")
def product(exporter):
    turns = [fails(500)]
    product = ProductWithModel(
        lambda _: turns.pop() if turns else says(findings()),
        spans=OtelSpans(SimpleSpanProcessor(exporter)),
    )
    yield product
    product.close()


def shown(product):
    """The samples of the page: (name, its labels) -> value."""
    page = httpx.get(product.here.webhook.replace("/webhooks/github", "/metrics")).text
    families = text_string_to_metric_families(page)
    return {(one.name, *sorted(one.labels.values())): one.value for family in families for one in family.samples}


def test_a_review_shows_in_the_metrics_and_is_one_trace(product, exporter):
    pull = product.open()
    product.settle()
    after = shown(product)
    [(end,)] = {(run.conclusion,) for run in pull.check_runs()}

    assert after["assistant_reviews_total", *sorted((end, "opened"))] == 1
    assert after["assistant_deliveries_total", "accepted"] == 1
    assert (
        after["assistant_model_errors_total", "Retryable"] == after["assistant_step_failures_total", "Retryable"] == 1
    )
    assert after["assistant_model_calls_total",] == len(product.model.asked) - 1
    assert after["assistant_model_tokens_total", "input"] > after["assistant_model_tokens_total", "output"] > 0
    assert after["assistant_model_dollars_total",] > 0
    assert after["assistant_github_requests_total", "answered"] > 5
    assert 0 < after["assistant_github_limit_left", "core"] <= 15000
    runs = [value for (name, *labels), value in after.items() if name == "assistant_runs" and "reviews" in labels]
    assert runs == [0, 0, 0]
    assert {value for (name, *_), value in after.items() if name == "assistant_trouble"} == {0}

    spans = exporter.get_finished_spans()
    [first] = [span for span in spans if span.parent is None]
    by_name = {span.name: span for span in spans}
    assert {span.context.trace_id for span in spans} == {first.context.trace_id}
    assert (first.name, first.attributes["end"], first.attributes["pull"]) == (
        "deliver",
        "accepted",
        str(pull.repo.full_name) + f"#{pull.number}",
    )
    assert by_name["review"].parent.span_id == first.context.span_id
    assert by_name["review"].attributes["end"] == end
    assert by_name["publish"].parent.span_id == by_name["review"].context.span_id
    assert not any("charge" in str(span.to_json()) for span in spans)


def test_recovered_deliveries_and_waiting_runs_show_in_the_metrics(product):
    product.open()
    product.play(product.sandbox.deliver(product.here.client, NOWHERE))
    app = product.app
    reconciler = Reconciler(GitHubInstallations(app.client), GitHubPublisher(app.client), app.ledger)
    nothing = Handlers(None, None, None, None, None, reconcile=reconciler)
    product.play(app.telemetry.handlers(nothing).reconcile(app.engine, {}))
    product.settle()

    assert shown(product)["assistant_recovered_total", "deliveries"] == 1


def test_metrics_answer_without_a_database_and_name_it():
    def queues():
        raise NotDurable("gone")

    metrics = Metrics()
    metrics.watch(Readings(queues, lambda: 3, dict, dict, lambda: {"proxy": 1}))
    end = metrics.serve("127.0.0.1", 0)
    end()
    page = metrics.text().decode()

    assert 'assistant_trouble{kind="database"} 1.0' in page
    assert 'assistant_trouble{kind="proxy"} 1.0' in page
    assert "assistant_takeovers_total 3.0" in page


def test_of_a_limit_the_lowest_that_stands_is_shown():
    health = GitHubHealth("https://api.github.com")
    for resource, left, reset in (
        ("core", "90", "200"),
        ("core", "40", "100"),
        ("core", "70", "300"),
        ("mine", "1", "300"),
    ):
        headers = {"x-ratelimit-resource": resource, "x-ratelimit-remaining": left, "x-ratelimit-reset": reset}
        health.limited(headers)
    health.limited({"x-ratelimit-resource": "core", "x-ratelimit-remaining": "-1"})

    assert [health.limits_left(now) for now in (50, 150, 250, 350)] == [{"core": 40}, {"core": 70}, {"core": 70}, {}]


def test_calls_that_cost_nothing_are_no_calls():
    class Account:
        async def settle(self, _name, _actual):
            return True

    metrics = Metrics()
    counted = Telemetry(metrics, NoSpans()).account(Account())
    for usage in (Usage(), Usage(1, 5, output=2, dollars=None)):
        with pytest.raises(StopIteration):
            counted.settle("x", usage).send(None)

    assert "assistant_model_calls_total 1.0" in metrics.text().decode()


def test_traces_need_the_extra_and_are_off_without_the_setting(monkeypatch):
    assert isinstance(build_spans(Settings()), NoSpans)
    monkeypatch.setitem(sys.modules, "bot.telemetry.traces", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'review-assistant\[otel\]'"):
        build_spans(Settings(otel_exporter_otlp_endpoint="http://127.0.0.1:4318"))


def test_every_alert_asks_for_metrics_and_labels_that_exist():
    families = metric_families()
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    asked = [part for rule in rules for part in re.findall(r"(assistant_\w+)(?:\{([^}]*)\})?", rule["expr"])]
    aliases = {name: labels for name, (_, _, labels) in families.items()}

    assert {name for name, _ in asked} <= aliases.keys()
    for name, matchers in asked:
        for label, value in re.findall(r'(\w+)="([^"]*)"', matchers):
            assert value in aliases[name][label] or "CLASS" in aliases[name][label], (name, label, value)
    assert {rule["labels"]["severity"] for rule in rules} == {"page", "ticket"}
    assert all(rule["annotations"]["summary"] for rule in rules)
