"""The span of a run, in the launcher: the parent of what is told of its bundles."""

from __future__ import annotations

import dataclasses
import logging
import sys
from typing import TYPE_CHECKING

from beam_obs.records.run_context import RunContext
from beam_obs.records.trace_settings import TraceSettings
from beam_obs.traces import attributes as names
from beam_obs.traces.tracer import close_tracers, process_tracer

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanContext

_LOGGER = logging.getLogger(__name__)
_MESSAGE_LIMIT = 4_096


class RunSpan:
    """The span of a run that has begun.

    Args:
      span: of OpenTelemetry.
      settings: of the run.
    """

    def __init__(self, span: Span, settings: TraceSettings) -> None:
        self._span = span
        self._settings = settings

    def end(self, status: str, error: BaseException | None) -> int:
        """Ends the span, and sends what this process has left of the run's spans; returns how many of those
        reached nobody.

        Args:
          status: of the run.
          error: that it failed by.
        """
        import time

        span, now = self._span, time.time_ns()
        span.set_attribute(names.STATUS, status)
        if error is not None:
            kind = type(error).__qualname__
            told = {names.EXCEPTION_TYPE: kind}
            if self._settings.keeps_messages:
                told[names.EXCEPTION_MESSAGE] = str(error)[:_MESSAGE_LIMIT]
            from beam_obs.traces.step_tracer import end_failed

            end_failed(span, kind, told, now)
        else:
            span.end(now)
        lost = close_tracers(self._settings.run)
        if lost:
            _LOGGER.warning("%d spans of the run %s reached nobody", lost, self._settings.run)
        return lost


def start_run_span(context: RunContext) -> RunSpan | None:
    """Begins the span of a run, and notes in its context where its workers find it; None without traces.

    A span that is current in the program is its parent.

    Args:
      context: of the run.
    """
    settings = context.traces
    if settings is None:
        return None
    above = _current()
    told = {names.PIPELINE: context.pipeline, names.RUN: context.run, names.CODE_VERSION: context.code}
    trace_id = settings.trace_id if above is None else above.trace_id
    tracer = process_tracer(settings)
    span = tracer.start(context.pipeline, trace_id, settings.span_id, above, 0, told)
    own = span.get_span_context()
    context.traces = dataclasses.replace(settings, trace_id=own.trace_id, span_id=own.span_id)
    return RunSpan(span, settings)


def _current() -> SpanContext | None:
    """Returns the span that is current in the program; asks nothing where OpenTelemetry is not imported."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import trace

    found = trace.get_current_span().get_span_context()
    return found if found.is_valid and found.trace_flags.sampled else None
