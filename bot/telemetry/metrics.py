"""What `/metrics` shows to Prometheus. No label holds a name of a repository, a person or a model: each has few values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from bot.errors import NotDurable
from bot.job import Trigger

CONTENT_TYPE = CONTENT_TYPE_LATEST
REVIEW_ENDS = ("success", "neutral", "failure", "abandoned", "failed")
"""The conclusion of the check run; abandoned: superseded or stopped; failed: reported as failed."""
ANSWER_ENDS = ("answered", "abandoned", "failed")
RECOVERED = ("deliveries", "heads", "check_runs", "models", "woken")
"""Deliveries taken from the log, heads found without a review, check runs without a job, reviews repeated for their model,
jobs that an outage had laid aside."""


@dataclass(frozen=True, slots=True)
class QueueReading:
    """The runs of a queue that are in one state: how many, and the age of the oldest in seconds."""

    queue: str
    state: str
    runs: int
    oldest: float


@dataclass(frozen=True, slots=True)
class Readings:
    """Where the values come from that are read when Prometheus asks. `queues` raises NotDurable without a database."""

    queues: Callable[[], Sequence[QueueReading]]
    takeovers: Callable[[], int]
    requests: Callable[[], Mapping[str, int]]
    limits: Callable[[], Mapping[str, int]]
    troubles: Callable[[], Mapping[str, int]]


class Metrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"assistant_{name}", meaning, labels, registry=self.registry)

        self.deliveries = counter("deliveries", "Deliveries to the webhook, by outcome.", "status")
        self.acknowledged = Histogram(
            "assistant_acknowledge_seconds",
            "From the first byte read to the answer.",
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )
        self.reviews = counter("reviews", "Reviews that ended, by end and trigger.", "end", "trigger")
        self.answers = counter("answers", "Answers to comments that ended, by end.", "end")
        self.step_failures = counter(
            "step_failures", "Attempts of steps that failed, by the class of the error.", "kind"
        )
        self.model_calls = counter("model_calls", "Calls of the model that were paid for.")
        self.model_tokens = counter("model_tokens", "Tokens, by kind; cached ones are a part of the input.", "kind")
        self.model_dollars = counter("model_dollars", "US dollars, as far as the model's price is known.")
        self.model_errors = counter(
            "model_errors", "Calls of the model that failed, by the class of the error.", "kind"
        )
        self.recovered = counter("recovered", "Lost work that the reconciler found, by kind.", "kind")
        for end in REVIEW_ENDS:
            for trigger in Trigger:
                self.reviews.labels(end, trigger.value)
        for end in ANSWER_ENDS:
            self.answers.labels(end)
        for kind in RECOVERED:
            self.recovered.labels(kind)
        for kind in ("input", "cached", "output"):
            self.model_tokens.labels(kind)

    def watch(self, readings: Readings) -> None:
        """Adds the values that are read when Prometheus asks."""
        self.registry.register(_Live(readings))

    def text(self) -> bytes:
        """The page. It may ask the database."""
        return generate_latest(self.registry)

    def serve(self, host: str, port: int) -> Callable[[], None]:
        """Serves the page on a port of its own, on a thread; returns what ends it. Raises OSError."""
        server, _ = start_http_server(port, host, self.registry)

        def end() -> None:
            server.shutdown()
            server.server_close()

        return end


class _Live(Collector):
    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def describe(self) -> list[GaugeMetricFamily | CounterMetricFamily]:
        """The same metrics without values: to register asks neither the database nor GitHub."""
        return [*_families().values()]

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        read, found = self._readings, _families()
        lost = 0
        try:
            for one in read.queues():
                found["runs"].add_metric([one.queue, one.state], one.runs)
                found["oldest"].add_metric([one.queue, one.state], one.oldest)
        except NotDurable:
            lost = 1
        found["takeovers"].add_metric([], read.takeovers())
        for outcome, count in read.requests().items():
            found["requests"].add_metric([outcome], count)
        for resource, left in read.limits().items():
            found["limits"].add_metric([resource], left)
        for kind, count in {**read.troubles(), "database": lost}.items():
            found["troubles"].add_metric([kind], count)
        yield from found.values()


def _families() -> dict[str, GaugeMetricFamily | CounterMetricFamily]:
    def gauge(name: str, meaning: str, *labels: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"assistant_{name}", meaning, labels=labels)

    return {
        "runs": gauge("runs", "Runs that have not ended, by queue and state.", "queue", "state"),
        "oldest": gauge("oldest_run_seconds", "Age of the oldest such run.", "queue", "state"),
        "takeovers": CounterMetricFamily("assistant_takeovers", "Runs that this process took over from a dead worker."),
        "requests": CounterMetricFamily(
            "assistant_github_requests", "Requests to GitHub, by outcome.", labels=["outcome"]
        ),
        "limits": gauge(
            "github_limit_left", "The lowest number of requests left in GitHub's limit, by resource.", "resource"
        ),
        "troubles": gauge("trouble", "Standing troubles that the operator has to mend, by kind.", "kind"),
    }
