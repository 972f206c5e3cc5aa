"""Where spans of ours are made and go, in processes that have no provider of spans of their own.

It is the process's own provider too, where nobody set one up, so that spans that user code makes while a
sampled record is worked on go where ours go. Of other records nobody asked for spans: user code gets some
that record nothing.
"""

from __future__ import annotations

import atexit
import functools
import os
import threading
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import Link, SpanContext, TraceState

from beam_obs.records.trace_settings import OTLP, TraceSettings
from beam_obs.traces.propagation import RANDOM
from beam_obs.traces.record_span import SCOPE, RecordSpan
from beam_obs.traces.span_sink import SpanSink
from beam_obs.traces.step_span import SAMPLED, SAMPLED_AND_RANDOM

if TYPE_CHECKING:
    from beam_obs.traces.bundle_spans import BundleSpans

_PROVIDER = "beam_obs-provider"
"""Key of the provider in the context of code that works on a sampled record."""
(_CURRENT_SPAN,) = trace.set_span_in_context(trace.INVALID_SPAN, contexts.Context())
"""OpenTelemetry's own key, for which it has no name."""


class OwnProvider:
    """Makes spans with the ids that are asked for.

    Args:
      settings: of the run.

    Attributes:
      sink: takes spans that have ended.
      unfinished: bundles that have spans which the sink has not.
    """

    def __init__(self, settings: TraceSettings) -> None:
        self._pipeline = settings.pipeline
        self.sink = _sink(settings)
        self.unfinished: set[BundleSpans] = set()
        # After what the sink has registered, so that it comes before it.
        atexit.register(self.give_unfinished)
        _serve_user_code()

    def start(
        self,
        name: str,
        trace_id: int,
        span_id: int,
        parent: SpanContext | None,
        state: TraceState,
        attributes: dict[str, Any],
        links: Sequence[Link],
        start_time: int,
    ) -> RecordSpan:
        """Returns a span that has begun and is current nowhere.

        Args:
          name: of the span.
          trace_id: that it is to have.
          span_id: that it is to have.
          parent: the span it is a child of; None for the first of its trace.
          state: of the trace, where it is the first.
          attributes: what is told of it.
          links: to spans of other traces.
          start_time: nanoseconds since the epoch.
        """
        if parent is None:
            # The low 56 bits of an origin are uniform.
            flags = SAMPLED_AND_RANDOM
        else:
            flags = SAMPLED_AND_RANDOM if parent.trace_flags & RANDOM else SAMPLED
            state = parent.trace_state
        context = SpanContext(trace_id, span_id, False, flags, state)
        return RecordSpan(self, name, context, parent, attributes, links, start_time)

    def give_unfinished(self) -> None:
        """Has bundles hand on what they have, whose ends have not come."""
        for bundle in tuple(self.unfinished):
            bundle.give()

    def close(self) -> None:
        """Sends what is left."""
        atexit.unregister(self.give_unfinished)
        self.give_unfinished()
        self.sink.close()

    def context_of(self, span: trace.Span) -> contexts.Context:
        """Returns the context in which a span is the current one, where nothing else is."""
        return contexts.Context({_PROVIDER: self, _CURRENT_SPAN: span})

    def around(self, context: contexts.Context) -> contexts.Context:
        """Returns a context in which spans of user code go where ours go."""
        return contexts.set_value(_PROVIDER, self, context)

    @functools.cached_property
    def of_user_code(self) -> trace.TracerProvider:
        """Makes the spans of user code."""
        from beam_obs.traces.user_spans import provider_of_user_spans

        return provider_of_user_spans(self.sink, self.resource)

    @functools.cached_property
    def resource(self) -> Any:
        """What is told of the process, as OpenTelemetry's SDK has it."""
        from beam_obs.traces.user_spans import resource_of_process

        return resource_of_process(self._pipeline)

    @functools.cached_property
    def scope(self) -> Any:
        """The scope of spans of ours, as OpenTelemetry's SDK has it."""
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        return InstrumentationScope(SCOPE)

    @functools.cached_property
    def told_of_process(self) -> Mapping[str, Any]:
        """What is told of the process in files of the store, for which the SDK is not imported."""
        given = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
        pairs = (part.partition("=") for part in given if "=" in part)
        told = {key.strip(): urllib.parse.unquote(value.strip()) for key, _, value in pairs}
        service = os.environ.get("OTEL_SERVICE_NAME") or told.get("service.name") or self._pipeline
        return {**told, "service.name": service}


def _sink(settings: TraceSettings) -> SpanSink:
    if settings.target == OTLP:
        from beam_obs.traces.otlp_sender import span_sender

        return span_sender(settings.endpoint, settings.protocol)
    from beam_obs.traces.store_sink import StoreSink

    return StoreSink(settings.folder, settings.keeps_messages)


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
        if provider is None:
            return trace.NoOpTracer()
        return provider.of_user_code.get_tracer(*arguments, **keywords)  # type: ignore[no-any-return]


_SERVING = threading.Lock()


def _serve_user_code() -> None:
    with _SERVING:
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            trace.set_tracer_provider(_OfRecords())
