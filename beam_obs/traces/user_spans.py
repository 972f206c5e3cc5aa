"""The provider of the spans that user code makes while it works on a sampled record, where it has none.

It is OpenTelemetry's SDK, which is imported only then. Its spans go where ours go.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util import types

from beam_obs.traces.record_span import (
    LONGEST,
    MOST_ATTRIBUTES,
    MOST_EVENTS,
    MOST_LINKS,
    MOST_OF_EVENT,
    bounded_status,
)
from beam_obs.traces.span_sink import SpanSink

LIMITS = SpanLimits(
    max_span_attributes=MOST_ATTRIBUTES,
    max_events=MOST_EVENTS,
    max_links=MOST_LINKS,
    max_attribute_length=LONGEST,
    max_event_attributes=MOST_OF_EVENT,
)
"""What one span may hold at most, whatever user code puts on it."""


def provider_of_user_spans(sink: SpanSink, resource: Resource) -> TracerProvider:
    """Returns a provider whose spans are recorded below sampled ones, and go to a sink.

    Args:
      sink: takes them when they end.
      resource: what is told of the process.
    """
    provider = TracerProvider(_BelowSampled(), resource, shutdown_on_exit=False, span_limits=LIMITS)
    provider.add_span_processor(_ToSink(sink))
    return provider


def resource_of_process(pipeline: str) -> Resource:
    """Returns what is told of the process: its service is the pipeline, where no variable says another."""
    return Resource.create({} if names_service(os.environ) else {"service.name": pipeline})


def names_service(variables: Mapping[str, str]) -> bool:
    """Returns whether variables of the environment give the service a name."""
    told = variables.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
    return bool(variables.get("OTEL_SERVICE_NAME")) or any(
        name.strip() == "service.name" and value.strip()
        for name, _, value in (one.partition("=") for one in told)
    )


class _BelowSampled(Sampler):
    """Records what is below a sampled span: whether a record is traced has been decided before."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: types.Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        parent = trace.get_current_span(parent_context).get_span_context()
        if parent.is_valid and parent.trace_flags.sampled:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, parent.trace_state)
        return SamplingResult(Decision.DROP, None, parent.trace_state)

    def get_description(self) -> str:
        return "beam_obs by origin"


class _ToSink(SpanProcessor):
    def __init__(self, sink: SpanSink) -> None:
        self._sink = sink

    def on_end(self, span: ReadableSpan) -> None:
        self._sink.take(_bounded(span))


def _bounded(span: ReadableSpan) -> ReadableSpan:
    """Returns a span with what the SDK's limits leave out bounded too: its name, and the text of its status,
    which has the message of an exception."""
    if len(span.name) <= LONGEST and len(span.status.description or "") <= LONGEST:
        return span
    return ReadableSpan(
        span.name[:LONGEST],
        span.context,
        span.parent,
        span.resource,
        span.attributes,
        span.events,
        span.links,
        span.kind,
        status=bounded_status(span.status),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
