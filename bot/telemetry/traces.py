"""Traces over OTLP, with OpenTelemetry's SDK (the extra `otel`): one trace for each job, from the delivery to the post.

The id of a trace follows from the job's id, so that every process, and every attempt after a crash, adds to the same trace.
A span has the name of a step, the pull request, the trigger and how it ended: nothing of the code or of what was said.
https://opentelemetry.io/docs/specs/otel/trace/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import sha256

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from bot.job import Job

DELIVER = "deliver"
"""The span that begins a trace."""


def over_otlp(endpoint: str) -> OtelSpans:
    """Sends spans to a collector: `endpoint` is its address without `/v1/traces`."""
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    return OtelSpans(BatchSpanProcessor(exporter))


class OtelSpans:
    """The spans of one process. They go to `processor`."""

    def __init__(self, processor: SpanProcessor) -> None:
        self._ids = _JobIds()
        self._provider = TracerProvider(
            resource=Resource({"service.name": "review-assistant"}), id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("bot")

    @contextmanager
    def span(self, name: str, job: Job) -> Iterator[Callable[[str], None]]:
        """Records the block as a part of the job, below the part that it runs in."""
        trace_id, first = _ids_of(job)
        current = trace.get_current_span().get_span_context()
        context = None
        if name != DELIVER and current.trace_id != trace_id:
            remote = trace.SpanContext(trace_id, first, is_remote=True, trace_flags=trace.TraceFlags(1))
            context = trace.set_span_in_context(trace.NonRecordingSpan(remote))
        about = {"job": job.id, "pull": str(job.pull), "trigger": job.trigger.value}
        token = self._ids.next.set((trace_id, first) if name == DELIVER else None)
        try:
            span = self._tracer.start_span(name, context, attributes=about)
        finally:
            self._ids.next.reset(token)
        with trace.use_span(span, end_on_exit=True):
            yield lambda end: span.set_attribute("end", end)

    def close(self) -> None:
        """Sends what is recorded. A collector that does not answer costs ten seconds at most."""
        self._provider.shutdown()


def _ids_of(job: Job) -> tuple[int, int]:
    """The ids of a job's trace and of its first span."""
    digest = sha256(job.id.encode()).digest()
    return int.from_bytes(digest[:16], "big"), int.from_bytes(digest[16:24], "big")


class _JobIds(RandomIdGenerator):
    """Gives the first span of a job the ids that follow from the job, and any other span a random one."""

    def __init__(self) -> None:
        self.next: ContextVar[tuple[int, int] | None] = ContextVar("next", default=None)

    def generate_trace_id(self) -> int:
        ids = self.next.get()
        return ids[0] if ids else super().generate_trace_id()

    def generate_span_id(self) -> int:
        ids = self.next.get()
        return ids[1] if ids else super().generate_span_id()
