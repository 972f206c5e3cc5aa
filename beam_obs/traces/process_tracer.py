"""Makes the spans of a run in one process, by a provider of ours or by that of the process.

A process that has set up a provider of spans itself keeps it, where the settings say so: then spans have the
trace id that they ought to, as children of a remote parent, and ids of the provider's choice. Else the
provider is ours, with ids that are the same whenever a bundle is tried again.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, TraceFlags, Tracer, TraceState

from beam_obs.records.trace_settings import TraceSettings
from beam_obs.traces.own_provider import OwnProvider
from beam_obs.traces.provider_flush import flush_of
from beam_obs.traces.record_span import SCOPE
from beam_obs.traces.sampling import NEVER, tracestate_of
from beam_obs.traces.tracer import users_provider

if TYPE_CHECKING:
    from beam_obs.traces.span_sink import SpanSink

SPAN_KEY = "beam.span_key"
"""The id that a span would have had, where a provider of the user's chose another."""

_LOGGER = logging.getLogger(__name__)
_SAID_DROPPED: set[str] = set()
"""Runs of which it was said that spans are left out."""
_ALWAYS_OFF = "AlwaysOffSampler"
"""How the sampler of OpenTelemetry's SDK describes itself that takes nothing."""
_NO_CONTEXT = Context()
_INTERNAL = trace.SpanKind.INTERNAL


class ProcessTracer:
    """Makes the spans of one run in this process.

    Args:
      settings: of the run.

    Attributes:
      own: makes them, where the process has no provider of the user's to be taken.
    """

    def __init__(self, settings: TraceSettings) -> None:
        self.settings = settings
        users = users_provider() if settings.takes_users_provider else None
        self._sink: SpanSink | None = None
        self.own: OwnProvider | None = None
        self._provider: Any = users
        self._flush_users = flush_of(users)
        self._tracer: Tracer | None = None
        if users is None:
            self.own = OwnProvider(settings)
            self._sink = self.own.sink
        else:
            self._tracer = trace.get_tracer(SCOPE, tracer_provider=users)

    def start(
        self,
        name: str,
        trace_id: int,
        span_id: int,
        parent: SpanContext | None,
        threshold: int,
        attributes: dict[str, Any],
        links: Sequence[Link] = (),
        start_time: int | None = None,
    ) -> Span:
        """Returns a span that has begun and is current nowhere.

        Args:
          name: of the span.
          trace_id: that it is to have.
          span_id: that it is to have; a provider of the user's gives another.
          parent: the span it is a child of; None for the first of its trace.
          threshold: that it was sampled by; `NEVER` where it is made whatever the share.
          attributes: what is told of it.
          links: to spans of other traces.
          start_time: nanoseconds since the epoch; None for now.
        """
        start_time = time.time_ns() if start_time is None else start_time
        if self.own is not None:
            state = trace_state(threshold)
            return self.own.start(name, trace_id, span_id, parent, state, attributes, links, start_time)
        assert self._tracer is not None
        attributes = {**attributes, SPAN_KEY: f"{span_id:016x}"}
        remote = parent if parent is not None else remote_parent(trace_id, span_id, threshold)
        context = _context_of(remote)
        span = self._tracer.start_span(name, context, _INTERNAL, attributes, links, start_time)
        if not span.is_recording() and self.settings.run not in _SAID_DROPPED:
            _SAID_DROPPED.add(self.settings.run)
            self._tell_dropped(name)
        return span

    def _tell_dropped(self, name: str) -> None:
        """Says that the program's provider leaves a span out, unless nothing was asked for."""
        sampler: Any = getattr(self._provider, "sampler", None)
        described = sampler.get_description() if sampler is not None else "..."
        settings = self.settings
        if described == _ALWAYS_OFF and settings.threshold == NEVER and not settings.thresholds:
            return
        _LOGGER.warning(
            "the provider of spans that this process has set up leaves out spans that were to be made, such "
            "as %r: have its sampler heed the flag of the parent, as ParentBased(%s) does, and "
            "parentbased_... in OTEL_TRACES_SAMPLER, or give --obs_traces=otlp",
            name,
            described,
        )

    def context_of(self, span: Span) -> Context:
        """Returns the context in which a span is the current one, for code of the user's that is called."""
        around = contexts.get_current()
        if self.own is not None:
            if not around:
                return self.own.context_of(span)
            around = self.own.around(around)
        return trace.set_span_in_context(span, around)

    def flush(self) -> None:
        """Sends what has ended on its way, at the end of a bundle; waits for it no longer than a bound."""
        if self._sink is not None:
            self._sink.flush()
        else:
            self._flush_users()

    def close(self) -> None:
        """Sends what is left, when the run has ended, or the process does."""
        if self.own is not None:
            self.own.close()
        else:
            self.flush()

    def take_lost(self) -> int:
        """Returns how many spans reached nobody since it was asked last."""
        return 0 if self._sink is None else self._sink.take_lost()


def remote_parent(trace_id: int, span_id: int, threshold: int) -> SpanContext:
    """Returns the context of a sampled span that another process made, or might have made."""
    return SpanContext(trace_id, span_id, True, TraceFlags(TraceFlags.SAMPLED), trace_state(threshold))


@functools.lru_cache(maxsize=64)
def trace_state(threshold: int) -> TraceState:
    """Returns the state of a trace that was sampled by a threshold; it says nothing for `NEVER`."""
    told = tracestate_of(threshold)
    return TraceState([("ot", told)] if told else None)


def _context_of(parent: SpanContext) -> Context:
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), _NO_CONTEXT)
