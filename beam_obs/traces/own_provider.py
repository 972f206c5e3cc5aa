"""A provider of spans of our own, for processes that have none: ids as asked for, one sink.

It is the process's own too, where nobody set one up, so that spans that user code makes while a sampled
record is worked on go where ours go. Of other records nobody asked for spans: user code gets some that
record nothing.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util import types

from beam_obs.records.trace_settings import OTLP, TraceSettings
from beam_obs.traces.span_sink import SpanSink

LIMITS = SpanLimits(
    max_span_attributes=64, max_events=32, max_links=128, max_attribute_length=4_096, max_event_attributes=8
)
"""What one span may hold at most, whatever user code puts on it."""

_PROVIDER = "beam_obs-provider"
"""Key of the provider in the context of code that works on a sampled record."""


class OwnProvider:
    """Makes spans with the ids that are asked for.

    Args:
      settings: of the run.

    Attributes:
      ids: takes the ids of the next span.
      sink: takes spans that have ended.
      tracer: makes spans.
      context: in which spans of user code are made by this provider, and nothing else is.
    """

    def __init__(self, settings: TraceSettings) -> None:
        self.ids = ExpectedIds()
        self.sink = _sink(settings)
        self.provider = TracerProvider(
            sampler=_Chosen(self.ids),
            resource=_resource(settings),
            shutdown_on_exit=False,
            id_generator=self.ids,
            span_limits=LIMITS,
        )
        self.provider.add_span_processor(_ToSink(self.sink))
        self.tracer = self.provider.get_tracer("beam_obs")
        self.context = self.around(contexts.Context())
        _serve_user_code()

    def around(self, context: contexts.Context) -> contexts.Context:
        """Returns a context in which spans of user code are made by this provider."""
        return contexts.set_value(_PROVIDER, self.provider, context)


class ExpectedIds(IdGenerator):
    """Gives the ids that this thread has asked for, once; to anybody else random ones."""

    def __init__(self) -> None:
        self._next = threading.local()
        self._random = random.Random(os.urandom(16))

    def expect(self, trace_id: int, span_id: int, state: TraceState) -> None:
        """Says which ids and which ``tracestate`` the next span of this thread is to have."""
        self._next.ids = (trace_id, span_id, state)

    @property
    def state(self) -> TraceState | None:
        """The ``tracestate`` of the next span; None where it is one of user code."""
        ids = getattr(self._next, "ids", None)
        return None if ids is None else ids[2]

    def generate_trace_id(self) -> int:
        ids = getattr(self._next, "ids", None)
        return ids[0] if ids is not None else self._random.getrandbits(128) or 1

    def generate_span_id(self) -> int:
        ids = getattr(self._next, "ids", None)
        self._next.ids = None
        return ids[1] if ids is not None else self._random.getrandbits(64) or 1

    def is_trace_id_random(self) -> bool:
        """Says that the low 56 bits of trace ids are uniform, as those of origins are."""
        return True


class _Chosen(Sampler):
    """Records what was asked for: whether a record is traced has been decided before."""

    def __init__(self, ids: ExpectedIds) -> None:
        self._ids = ids

    def should_sample(
        self,
        parent_context: contexts.Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: types.Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        state = self._ids.state
        if state is not None:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, state)
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
        self._sink.take(span)


def _sink(settings: TraceSettings) -> SpanSink:
    if settings.target == OTLP:
        from beam_obs.traces.otlp_sink import OtlpSink

        return OtlpSink(settings.endpoint, settings.protocol)
    from beam_obs.traces.store_sink import StoreSink

    return StoreSink(settings.folder, settings.keeps_messages)


def _resource(settings: TraceSettings) -> Resource:
    """Returns what is told of the process: its service is the pipeline, where no variable says another."""
    named = "OTEL_SERVICE_NAME" in os.environ
    named = named or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return Resource.create({} if named else {"service.name": settings.pipeline})


class _OfRecords(trace.TracerProvider):
    """The process's provider for user code, where nobody has set up another."""

    is_of_beam_obs = True

    def get_tracer(self, *arguments: Any, **keywords: Any) -> trace.Tracer:
        return _TracerOfRecords(arguments, keywords)


class _TracerOfRecords(trace.Tracer):
    """Makes spans by the provider of the run whose sampled record this thread works on."""

    def __init__(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self._asked = (arguments, keywords)

    def start_span(
        self, name: str, context: contexts.Context | None = None, *arguments: Any, **keywords: Any
    ) -> trace.Span:
        return self._tracer(context).start_span(name, context, *arguments, **keywords)

    @contextmanager
    def start_as_current_span(  # type: ignore[override]
        self, name: str, context: contexts.Context | None = None, *arguments: Any, **keywords: Any
    ) -> Iterator[trace.Span]:
        with self._tracer(context).start_as_current_span(name, context, *arguments, **keywords) as span:
            yield span

    def _tracer(self, context: contexts.Context | None) -> trace.Tracer:
        provider: Any = contexts.get_value(_PROVIDER, context)
        arguments, keywords = self._asked
        return trace.NoOpTracer() if provider is None else provider.get_tracer(*arguments, **keywords)


_SERVING = threading.Lock()


def _serve_user_code() -> None:
    with _SERVING:
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            trace.set_tracer_provider(_OfRecords())
