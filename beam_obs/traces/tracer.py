"""The tracer of a process: set up once, when the first span is to be made, never where a step is built.

A process that has set up a provider of spans itself keeps it, where the settings say so: then spans have the
trace id that they ought to, as children of a remote parent, and ids of the provider's choice. Else the
provider is ours, with ids that are the same whenever a bundle is tried again.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from beam_obs.records.errors import MissingExtra
from beam_obs.records.trace_settings import TraceSettings
from beam_obs.traces.sampling import tracestate_of

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanContext, Tracer

    from beam_obs.traces.span_sink import SpanSink

SCOPE = "beam_obs"
"""Name of the instrumentation scope of all spans of ours."""
SPAN_KEY = "beam.span_key"
"""The id that a span would have had, where a provider of the user's chose another."""


class ProcessTracer:
    """Makes the spans of one run in this process.

    Args:
      settings: of the run.

    Attributes:
      is_ours: whether the provider is ours, so that span ids are those that were asked for.
      lost: spans that were made and reached nobody, since `take_lost` was called.
    """

    def __init__(self, settings: TraceSettings) -> None:
        from opentelemetry import trace

        self.settings = settings
        users = users_provider() if settings.takes_users_provider else None
        self.is_ours = users is None
        self._sink: SpanSink | None = None
        if users is None:
            from beam_obs.traces.own_provider import OwnProvider

            self._own = OwnProvider(settings)
            self._sink = self._own.sink
            self._tracer: Tracer = self._own.tracer
        else:
            self._provider: Any = users
            self._tracer = trace.get_tracer(SCOPE, tracer_provider=users)

    def start(
        self,
        name: str,
        trace_id: int,
        span_id: int,
        parent: SpanContext | None,
        threshold: int,
        attributes: Mapping[str, Any],
        links: Sequence[Link] = (),
        start_time: int | None = None,
    ) -> Span:
        """Returns a span that has begun and is current nowhere.

        Args:
          name: of the span.
          trace_id: that it is to have.
          span_id: that it is to have; a provider of the user's gives another.
          parent: the span it is a child of; None for the first of its trace.
          threshold: that it was sampled by.
          attributes: what is told of it.
          links: to spans of other traces.
          start_time: nanoseconds since the epoch; None for now.
        """
        from opentelemetry import trace

        if self.is_ours:
            self._own.ids.expect(trace_id, span_id, threshold)
            context = _no_context() if parent is None else _context_of(parent)
        else:
            attributes = {**attributes, SPAN_KEY: f"{span_id:016x}"}
            remote = parent if parent is not None else remote_parent(trace_id, span_id, threshold)
            context = _context_of(remote)
        return self._tracer.start_span(
            name, context, trace.SpanKind.INTERNAL, attributes, list(links), start_time
        )

    def context_of(self, span: Span) -> Context:
        """Returns the context in which a span is the current one, for code of the user's that is called."""
        from opentelemetry import trace

        context = trace.set_span_in_context(span)
        return self._own.around(context) if self.is_ours else context

    def flush(self) -> None:
        """Sends what has ended on its way, at the end of a bundle; waits for it no longer than a bound."""
        if self._sink is not None:
            self._sink.flush()
        else:
            with contextlib.suppress(Exception):
                self._provider.force_flush(FLUSH_MILLISECONDS)

    def close(self) -> None:
        """Sends what is left, when the run has ended, or the process does."""
        if self._sink is not None:
            self._sink.close()
        else:
            self.flush()

    def take_lost(self) -> int:
        """Returns how many spans reached nobody since it was asked last."""
        return 0 if self._sink is None else self._sink.take_lost()


FLUSH_MILLISECONDS = 2_000
"""Longest that the end of a bundle waits for its spans to be on their way."""

_LOCK = threading.Lock()
_TRACERS: dict[TraceSettings, ProcessTracer] = {}
_OF_PROCESS = os.getpid()


def process_tracer(settings: TraceSettings) -> ProcessTracer:
    """Returns the tracer of a run in this process, set up on first use; a forked process has its own.

    Args:
      settings: of the run.

    Raises:
      MissingExtra: the ``otel`` extra is not installed, and the process has no provider of its own.
    """
    global _OF_PROCESS
    found = _TRACERS.get(settings)
    if found is not None and os.getpid() == _OF_PROCESS:
        return found
    with _LOCK:
        if os.getpid() != _OF_PROCESS:
            _TRACERS.clear()
            _OF_PROCESS = os.getpid()
        if settings not in _TRACERS:
            _TRACERS[settings] = ProcessTracer(settings)
        return _TRACERS[settings]


def close_tracers(run: str) -> int:
    """Sends what this process has left of a run's spans; returns how many reached nobody."""
    with _LOCK:
        found = [_TRACERS.pop(settings) for settings in list(_TRACERS) if settings.run == run]
    for tracer in found:
        tracer.close()
    return sum(tracer.take_lost() for tracer in found)


def check_tracing(target: str) -> None:
    """Raises what is missing for spans to be made and sent, before anything runs.

    Args:
      target: where they are to go.

    Raises:
      MissingExtra: the ``otel`` extra is not installed.
    """
    try:
        import opentelemetry.sdk.trace
    except ImportError:
        raise MissingExtra("Traces", "otel") from None
    if target == "otlp":
        try:
            import opentelemetry.exporter.otlp.proto.http  # noqa: F401
        except ImportError:
            raise MissingExtra("Traces by OTLP", "otel") from None


def users_provider() -> Any:
    """Returns the provider of spans that this process has set up itself; None where there is none."""
    from opentelemetry import trace

    found = trace.get_tracer_provider()
    if isinstance(found, (trace.ProxyTracerProvider, trace.NoOpTracerProvider)):
        return None
    return None if getattr(found, "is_of_beam_obs", False) else found


def remote_parent(trace_id: int, span_id: int, threshold: int) -> SpanContext:
    """Returns the context of a sampled span that another process made, or might have made."""
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(trace_id, span_id, True, TraceFlags(TraceFlags.SAMPLED), _trace_state(threshold))


@functools.lru_cache(maxsize=64)
def _trace_state(threshold: int) -> Any:
    from opentelemetry.trace import TraceState

    return TraceState([("ot", tracestate_of(threshold))])


def _no_context() -> Context:
    from opentelemetry.context import Context

    return Context()


def _context_of(parent: SpanContext) -> Context:
    from opentelemetry import trace

    return trace.set_span_in_context(trace.NonRecordingSpan(parent), _no_context())
