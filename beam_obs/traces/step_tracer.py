"""Spans of the records that a step works on: of sampled ones, and of those that it fails at.

Nothing here is called for another record. A span is current only while the user's function runs: a
generator's is again each time that the next result is asked for, and never while others have it.
"""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from apache_beam.metrics.metric import Metrics

from beam_obs.metrics.names import INTERNAL_ERRORS, NAMESPACE, SPANS_LOST
from beam_obs.records.known_partitions import place_of
from beam_obs.records.origin import ORIGIN_BYTES, is_derived
from beam_obs.traces import attributes as names
from beam_obs.traces.bundle_spans import SpanMade, bundle_of_thread
from beam_obs.traces.incoming import INCOMING, is_traced, trace_id_of
from beam_obs.traces.process_tracer import ProcessTracer, remote_parent
from beam_obs.traces.slow_gate import SlowGate
from beam_obs.traces.span_call import attach, detach, each_within
from beam_obs.traces.span_ids import span_id_of
from beam_obs.traces.traced_step import TracedStep
from beam_obs.traces.tracer import Epoch, process_tracer

if TYPE_CHECKING:
    from opentelemetry.trace import Link, Span, SpanContext

MOST_LINKS = 64
"""Contributors of an aggregate that its span links to."""
_BUNDLES_AT_ONCE = 20
_SECONDS_A_BUNDLE = 10.0
_LOGGER = logging.getLogger(__name__)
_MESSAGE_LIMIT = 4_096
_NOTHING: Mapping[str, Any] = {}


class StepTracer:
    """Makes the spans of a step's records.

    Args:
      step: what is known of the step.
    """

    def __init__(self, step: TracedStep) -> None:
        self.step = step
        self.least = step.least
        self._threshold = step.threshold
        self._settings = step.settings
        self._run = step.settings.run
        self._internal_errors = 0
        self._began: int | None = None
        self._told: dict[str, int] = {}
        self._bundles_told = SlowGate(_BUNDLES_AT_ONCE, _SECONDS_A_BUNDLE)
        self._bundle = bundle_of_thread()
        self._of_records = {names.RUN: step.settings.run}
        if step.function:
            self._of_records[names.FUNCTION] = step.function
        self._at_epoch = -1

    # Of sampled records.

    def calling(
        self, function: Callable[..., Any], gives_many: bool
    ) -> Callable[[bytes], Callable[..., Any]]:
        """Returns what gives, for the provenance of a sampled record, the function to call in its place.

        Args:
          function: the user's.
          gives_many: whether what it gives is iterated over, so that it may be a generator.
        """

        def traced(provenance: bytes) -> Callable[..., Any]:
            if len(provenance) != ORIGIN_BYTES or not self.is_traced(provenance):
                return function
            return functools.partial(self._call, provenance, function, gives_many)

        return traced

    def is_traced(self, origin: bytes) -> bool:
        """Returns whether a record is sampled here, by its own bits or by the trace that it came with."""
        return is_traced(origin, self._threshold)

    def _call(
        self, origin: bytes, function: Callable[..., Any], gives_many: bool, *args: Any, **kwargs: Any
    ) -> Any:
        # An error of ours must not be taken for one of the user's.
        try:
            started = time.time_ns()
            span = self.start(origin, started)
            context = self._tracer.context_of(span)
        except Exception as error:
            self._note_internal(error)
            return function(*args, **kwargs)
        token = attach(context)
        try:
            results = function(*args, **kwargs)
        except Exception as error:
            self._bundle.failing = (span, error, time.time_ns())
            raise
        finally:
            detach(token)
        if gives_many and hasattr(results, "__next__"):
            return each_within(results, span, context, time.time_ns() - started, self._bundle)
        span.end()
        return results

    def start(
        self,
        origin: bytes,
        start_time: int | None = None,
        links: Sequence[Link] = (),
        told: Mapping[str, Any] = _NOTHING,
        is_first: bool = False,
    ) -> Span:
        """Returns a span of a record at this step, which has begun and is current nowhere.

        Args:
          origin: of the record, 16 bytes.
          start_time: nanoseconds since the epoch; None for now.
          links: to spans of others.
          told: attributes besides those that all have.
          is_first: whether it is the first of its trace here.
        """
        bundle, label = self._bundle, self.step.label
        made = bundle.of(origin)
        before = made.get(label)
        trace_id = trace_id_of(origin)
        span = self._tracer.start(
            label,
            trace_id,
            span_id_of(origin, label, self._run, 0 if before is None else before.number),
            _came_with(origin) if is_first else self._parent(origin, trace_id, made, start_time),
            self._threshold,
            {**self._of_records, names.ORIGIN: origin.hex(), names.BUNDLE: bundle.nonce, **told},
            links,
            start_time,
        )
        bundle.note(made, label, span.get_span_context())
        return span

    # Of aggregates.

    def aggregated(self, origin: bytes, contributors: Sequence[bytes], count: int) -> None:
        """Makes the span of an aggregate, with links to those of its sampled contributors.

        Args:
          origin: of the aggregate.
          contributors: the origins that are known; none where it keeps the origin of its only one.
          count: of the elements that it was made of.
        """
        least = self.least
        # Of most aggregates this is all that there is to do; INCOMING is empty where no messages are read.
        if least is None or len(origin) != ORIGIN_BYTES or (origin[9:] < least and origin not in INCOMING):
            return
        if not self.is_traced(origin):
            return
        try:
            links = list(self._links(contributors))
            told = {names.CONTRIBUTORS: count, names.LINKED: len(links)}
            self.start(origin, None, links, told, is_first=bool(contributors)).end()
        except Exception as error:
            self._note_internal(error)

    def _links(self, contributors: Sequence[bytes]) -> Iterator[Link]:
        from opentelemetry.trace import Link

        label = self.step.common
        threshold = self._settings.threshold_at(label)
        left = MOST_LINKS
        for origin in contributors:
            if left and len(origin) == ORIGIN_BYTES and is_traced(origin, threshold):
                left -= 1
                yield Link(self._span_before(origin, label, threshold), {names.ORIGIN: origin.hex()})

    # Of failures.

    def failed(self, error: BaseException, origin: bytes) -> None:
        """Tells of a record at which the step failed, and with it the bundle."""
        taken = bundle_of_thread().take_failing(error)
        if taken is None and len(origin) != ORIGIN_BYTES:
            return
        span, ended = taken if taken is not None else (self.start(origin), time.time_ns())
        kind = type(error).__qualname__
        told = {names.EXCEPTION_TYPE: kind}
        if self._settings.keeps_messages:
            told[names.EXCEPTION_MESSAGE] = _text(error)
        end_failed(span, kind, told, ended)
        self._tracer.flush()

    def refused(
        self, error: BaseException | None, origin: bytes | None, letter: str, told: Mapping[str, str], at: int
    ) -> str:
        """Tells of a record that the step refused, sampled or not; returns the ``traceparent`` of its span.

        Args:
          error: what the user's code raised; None where that is not at hand.
          origin: of the record; None where it is not known, and the trace has an id that says nothing.
          letter: id of the dead letter.
          told: attributes of the exception, redacted as the dead letter is.
          at: when it was refused, in nanoseconds since the epoch.
        """
        taken = bundle_of_thread().take_failing(error) if error is not None else None
        if taken is not None:
            span, ended = taken
        elif origin is not None:
            span, ended = self.start(origin, at), at
        else:
            unknown = os.urandom(ORIGIN_BYTES)
            span, ended = self.start(unknown, at, (), {names.ORIGIN: ""}), at
        span.set_attribute(names.DEAD_LETTER, letter)
        kept = {name: value[:_MESSAGE_LIMIT] for name, value in told.items()}
        if not self._settings.keeps_messages:
            kept = {names.EXCEPTION_TYPE: kept[names.EXCEPTION_TYPE]}
        end_failed(span, told[names.EXCEPTION_TYPE], kept, ended)
        context = span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 3:02x}"

    # Of bundles.

    def start_bundle(self) -> None:
        """Begins a bundle."""
        self._bundle = bundle_of_thread()
        self._bundle.begin()
        self._began = time.time_ns()

    def finish_bundle(self, counts: Mapping[str, int] = _NOTHING) -> None:
        """Tells of a bundle in a span, sends its spans on their way, and counts those that reached nobody.

        Args:
          counts: by the name of an attribute, what the step has counted since it was made.
        """
        try:
            self._tell_bundle(counts)
            tracer = self._tracer
            tracer.flush()
            if lost := tracer.take_lost():
                Metrics.counter(NAMESPACE, SPANS_LOST).inc(lost)
        except Exception as error:
            self._note_internal(error)
        if self._internal_errors:
            Metrics.counter(NAMESPACE, INTERNAL_ERRORS).inc(self._internal_errors)
            self._internal_errors = 0

    def _tell_bundle(self, counts: Mapping[str, int]) -> None:
        """Makes the span of a bundle, below that of the run; of many small bundles some have none."""
        began, self._began = self._began, None
        if began is None or not self._bundles_told.may_go():
            return
        settings = self._settings
        told = {name: count - self._told.get(name, 0) for name, count in counts.items()}
        self._told = dict(counts)
        span_id = span_id_of(self._bundle.nonce.encode(), self.step.label, self._run)
        run = remote_parent(settings.trace_id, settings.span_id, 0)
        attributes = {
            names.STEP: self.step.label,
            **self._of_records,
            names.BUNDLE: self._bundle.nonce,
            **told,
        }
        name = f"{self.step.label} bundle"
        self._tracer.start(name, settings.trace_id, span_id, run, 0, attributes, (), began).end()

    # Parts.

    def _note_internal(self, error: Exception) -> None:
        if not self._internal_errors:
            _LOGGER.warning("spans of %r cannot be made: %s", self.step.label, error, exc_info=True)
        self._internal_errors += 1

    @property
    def _tracer(self) -> ProcessTracer:
        if self._at_epoch != Epoch.number:
            self._at_epoch, self._known_tracer = Epoch.number, process_tracer(self._settings)
        return self._known_tracer

    def _parent(
        self, origin: bytes, trace_id: int, made: dict[str, SpanMade], start_time: int | None
    ) -> SpanContext | None:
        """Returns the span that a new one is a child of: that of the step which the element came from."""
        step = self.step
        known = [made[label] for label in (*step.before, *step.sources) if label in made]
        if known:
            return max(known, key=_serial).context
        if len(step.sources) == 1 and not step.before and not is_derived(origin):
            return self._of_source(origin, trace_id, made, start_time or time.time_ns())
        threshold = self._settings.threshold_at(step.common)
        if step.common and is_traced(origin, threshold):
            return remote_parent(trace_id, span_id_of(origin, step.common, self._run), threshold)
        return _came_with(origin)

    def _of_source(self, origin: bytes, trace_id: int, made: dict[str, SpanMade], at: int) -> SpanContext:
        """Returns the span of a record where its source gave it, which is made now: it says from where."""
        (source,) = self.step.sources
        told: dict[str, Any] = {names.RUN: self._run}
        told[names.ORIGIN], told[names.BUNDLE] = origin.hex(), self._bundle.nonce
        place = place_of(origin, self._settings.run)
        where = zip((names.SOURCE_URI, names.SOURCE_VERSION, names.POSITION), place, strict=True)
        told.update((name, value) for name, value in where if value is not None)
        span_id, parent = span_id_of(origin, source, self._run), _came_with(origin)
        span = self._tracer.start(source, trace_id, span_id, parent, self._threshold, told, (), at)
        span.end(at)
        self._bundle.note(made, source, span.get_span_context())
        return span.get_span_context()

    def _span_before(self, origin: bytes, label: str, threshold: int) -> SpanContext:
        known = self._bundle.of(origin).get(label)
        if known is not None:
            return known.context
        return remote_parent(trace_id_of(origin), span_id_of(origin, label, self._run), threshold)


def end_failed(span: Span, kind: str, told: dict[str, Any], ended: int) -> None:
    """Ends the span of a call that failed.

    Args:
      span: to be ended.
      kind: name of the exception's class.
      told: attributes of the event.
      ended: nanoseconds since the epoch.
    """
    from opentelemetry.trace import Status, StatusCode

    span.add_event(names.EXCEPTION_EVENT, told, ended)
    span.set_attribute(names.ERROR_TYPE, kind)
    span.set_status(Status(StatusCode.ERROR, kind))
    span.end(ended)


def _came_with(origin: bytes) -> SpanContext | None:
    """Returns the span that the producer of a message sent it from; None where it came with none."""
    incoming = INCOMING.get(origin)
    return None if incoming is None else incoming.context


def _serial(made: SpanMade) -> int:
    return made.serial


def _text(error: BaseException) -> str:
    try:
        return str(error)[:_MESSAGE_LIMIT]
    except Exception:  # a class of the user's may have no text
        return ""
