"""Spans of the records that a step works on: of sampled ones, and of those that it fails at.

Nothing here is called for another record. A span is current only while the user's function runs: a
generator's is again each time that the next result is asked for, and never while others have it.
"""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from apache_beam.metrics.metric import Metrics

from beam_obs.metrics.names import INTERNAL_ERRORS, NAMESPACE, TELEMETRY_LOST
from beam_obs.records.contributors import Contributors
from beam_obs.records.known_partitions import place_of
from beam_obs.records.origin import ORIGIN_BYTES, is_derived
from beam_obs.traces import attributes as names
from beam_obs.traces.bundle_spans import SpanMade, bundle_of_thread
from beam_obs.traces.incoming import INCOMING, came_with, is_traced, trace_id_of
from beam_obs.traces.process_tracer import ProcessTracer, remote_parent, trace_state
from beam_obs.traces.sampling import NEVER
from beam_obs.traces.slow_gate import SlowGate
from beam_obs.traces.span_call import attach, detach, each_within
from beam_obs.traces.span_ids import below, content_of, span_id_of
from beam_obs.traces.step_span import SpansOfStep, StepSpan
from beam_obs.traces.traced_step import TracedStep
from beam_obs.traces.tracer import Epoch, process_tracer

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanContext

    from beam_obs.traces.own_provider import OwnProvider

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
        self._before = (*step.before, *step.sources)
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
        self, function: Callable[..., Any], gives_many: bool, takes_parts: bool = False
    ) -> Callable[[bytes], Callable[..., Any]]:
        """Returns what gives, for the provenance of a sampled record, the function to call in its place.

        Args:
          function: the user's.
          gives_many: whether what it gives is iterated over, so that it may be a generator.
          takes_parts: whether it is called with the parts of an element, not with one.
        """

        least = self.least

        def traced(provenance: bytes) -> Callable[..., Any]:
            if len(provenance) != ORIGIN_BYTES or least is None:
                return function
            # `is_traced` written out: with nothing at hand each call of another function costs a microsecond.
            if provenance in INCOMING:
                if not self.is_traced(provenance):
                    return function
            elif provenance[9:] < least:
                return function
            return functools.partial(self._call, provenance, function, gives_many, takes_parts)

        return traced

    def is_traced(self, origin: bytes) -> bool:
        """Returns whether a record is sampled here, by its own bits or by the trace that it came with."""
        return is_traced(origin, self._threshold)

    def _call(
        self,
        origin: bytes,
        function: Callable[..., Any],
        gives_many: bool,
        takes_parts: bool,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        # An error of ours must not be taken for one of the user's.
        try:
            started = time.time_ns()
            element: Sequence[Any] = ()
            if self.step.has_many:
                element = _told_apart(args if takes_parts else args[:1], args)
            span = self.start(origin, started, of=element)
            context = self._known_tracer.context_of(span)  # `start` has looked whether it still is
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
        of: Sequence[Any] = (),
        is_sampled: bool = True,
    ) -> Span:
        """Returns a span of a record at this step, which has begun and is current nowhere.

        Args:
          origin: of the record, 16 bytes.
          start_time: nanoseconds since the epoch; None for now.
          links: to spans of others.
          told: attributes besides those that all have.
          is_first: whether it is the first of its trace here.
          of: the element, or its parts, by which it is told from others of its origin.
          is_sampled: whether the share has it made: a trace that begins here tells so.
        """
        bundle = self._bundle
        before = None if is_first else bundle.newest(origin, self._before)
        # To encode an element may cost more than all the rest.
        apart = content_of(of) if of and before is None and self.step.has_many else b""
        tracer = self._known_tracer if self._at_epoch == Epoch.number else self._tracer
        start_time = time.time_ns() if start_time is None else start_time
        of_step = self._of_step
        if of_step is None:
            return self._start_by_users_provider(
                tracer, origin, start_time, before, links, told, is_first, apart, is_sampled
            )
        span = StepSpan(of_step, bundle, origin, start_time, before)
        if apart:
            span.apart = apart
        if told:
            span.more = told
        if links:
            span.links = links
        if is_first:
            span.begins_here = True
        if not is_sampled:
            span.is_sampled = False
        bundle.note_begun(origin, self.step.label, span)
        if origin in INCOMING:  # of which it may know nothing any more when the bundle ends
            bundle.identify()
        return span

    def _start_by_users_provider(
        self,
        tracer: ProcessTracer,
        origin: bytes,
        start_time: int,
        before: SpanMade | StepSpan | None,
        links: Sequence[Link],
        told: Mapping[str, Any],
        is_first: bool,
        apart: bytes,
        is_sampled: bool,
    ) -> Span:
        bundle, label = self._bundle, self.step.label
        if before is not None:
            parent: SpanContext | None = before.context
            apart = below(before.key) if self.step.has_many else b""
        else:
            parent = came_with(origin) if is_first else self._parent_elsewhere(origin)
        span_id = span_id_of(origin, label, self._run, 0, apart)
        if count := bundle.count(span_id):
            span_id = span_id_of(origin, label, self._run, count, apart)
        attributes = {**self._of_records, names.ORIGIN: origin.hex(), names.BUNDLE: bundle.nonce, **told}
        if parent is None and not is_first:
            attributes.update(self._place(origin))
        trace_id, threshold = trace_id_of(origin), self._threshold if is_sampled else NEVER
        span = tracer.start(label, trace_id, span_id, parent, threshold, attributes, links, start_time)
        bundle.note(origin, label, span.get_span_context(), span_id)
        return span

    # Of what is made of several.

    def aggregated(self, origin: bytes, contributors: Sequence[bytes], count: int, key: Any = None) -> None:
        """Makes the span of an aggregate, with links to those of its sampled contributors.

        Args:
          origin: of the aggregate.
          contributors: the origins that are known; none where it keeps the origin of its only one.
          count: of the elements that it was made of.
          key: of the aggregate.
        """
        least = self.least
        # Of most aggregates this is all that there is to do: one byte takes half as long as a slice.
        if least is None or len(origin) != ORIGIN_BYTES or (origin[9] < least[0] and origin not in INCOMING):
            return
        if self.is_traced(origin):
            self._make_of(origin, contributors, count, self.step.common, (key,))

    def gathered(self, origin: bytes, found: Contributors) -> None:
        """Makes the span of what this step made of several elements, with links to their spans here.

        Args:
          origin: of what was made; one that an element has says that it was made of that alone.
          found: the elements.
        """
        if self.least is not None and is_derived(origin) and self.is_traced(origin):
            self._make_of(origin, found.origins, found.count, self.step.label)

    def _make_of(
        self, origin: bytes, contributors: Sequence[bytes], count: int, linked: str, of: Sequence[Any] = ()
    ) -> None:
        try:
            links = list(self._links(contributors, linked))
            told = {names.CONTRIBUTORS: count, names.LINKED: len(links)}
            began = time.time_ns()
            self.start(origin, began, links, told, is_first=bool(contributors), of=of).end()
        except Exception as error:
            self._note_internal(error)

    def _links(self, contributors: Sequence[bytes], label: str) -> Iterator[Link]:
        from opentelemetry.trace import Link

        threshold = self._settings.threshold_at(label)
        left = MOST_LINKS
        for origin in contributors:
            if left and len(origin) == ORIGIN_BYTES and is_traced(origin, threshold):
                left -= 1
                yield Link(self._span_before(origin, label, threshold), {names.ORIGIN: origin.hex()})

    # Of batches.

    def calling_batch(self, function: Callable[..., Any], origins: Sequence[bytes]) -> Callable[..., Any]:
        """Returns the function to call in place of one of batches: within spans of the sampled records.

        Args:
          function: the user's.
          origins: of the records of the batch.
        """
        least = self.least
        if least is None:
            return function
        sampled = [
            origin
            for origin in dict.fromkeys(origins)
            if len(origin) == ORIGIN_BYTES
            and (origin[9:] >= least or origin in INCOMING)
            and self.is_traced(origin)
        ]
        if not sampled:
            return function
        return functools.partial(self._call_batch, sampled, len(origins), function)

    def _call_batch(
        self, origins: Sequence[bytes], size: int, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        try:
            started = time.time_ns()
            first, *others = [self.start(one, started, told={names.BATCH_SIZE: size}) for one in origins]
            context = self._tracer.context_of(first)
        except Exception as error:
            self._note_internal(error)
            return function(*args, **kwargs)
        token = attach(context)
        try:
            results = function(*args, **kwargs)
        except Exception as error:
            self._bundle.failing = (first, error, time.time_ns())
            self._end_failed(others, error)
            raise
        finally:
            detach(token)
        if hasattr(results, "__next__"):
            return self._each_of_batch(results, first, others, context, time.time_ns() - started)
        ended = time.time_ns()
        for span in (first, *others):
            span.end(ended)
        return results

    def _each_of_batch(
        self, results: Iterator[Any], first: Span, others: Sequence[Span], context: Context, spent: int
    ) -> Iterator[Any]:
        try:
            yield from each_within(results, first, context, spent, self._bundle, others)
        except Exception as error:
            self._end_failed(others, error)
            raise

    def _end_failed(self, spans: Sequence[Span], error: Exception) -> None:
        for span in spans:
            end_failed(span, type(error).__qualname__, self._told_of(error), time.time_ns())

    # Of sinks.

    def passing(self, origin: bytes, results: Iterable[Any]) -> Iterator[Any]:
        """Gives what a record is to a sink, and makes its span there: it ends when the sink's steps that a
        runner has fused have taken it.

        Args:
          origin: of the record.
          results: what it is.
        """
        span = None
        try:
            span = self.start(origin)
        except Exception as error:
            self._note_internal(error)
        try:
            yield from results
        finally:
            if span is not None:
                span.end()

    # Of failures.

    def failed(self, error: BaseException, origin: bytes) -> None:
        """Tells of a record at which the step failed, and with it the bundle."""
        bundle = bundle_of_thread()
        taken = bundle.take_failing(error)
        if taken is None and len(origin) != ORIGIN_BYTES:
            return
        if taken is None:
            taken = self.start(origin, is_sampled=self.is_traced(origin)), time.time_ns()
        span, ended = taken
        end_failed(span, type(error).__qualname__, self._told_of(error), ended)
        bundle.give()
        self._tracer.flush()

    def _told_of(self, error: BaseException) -> dict[str, Any]:
        told = {names.EXCEPTION_TYPE: type(error).__qualname__}
        if self._settings.keeps_messages:
            told[names.EXCEPTION_MESSAGE] = _text(error)
        return told

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
            span, ended = self.start(origin, at, is_sampled=self.is_traced(origin)), at
        else:
            unknown = os.urandom(ORIGIN_BYTES)
            # Nothing else follows from it: neither a place nor a span before.
            told_of_none = {names.ORIGIN: ""}
            span = self.start(unknown, at, (), told_of_none, is_first=True, is_sampled=False)
            ended = at
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
        try:
            self._bundle.begin(self)
        except Exception as error:
            self._note_internal(error)
        self._began = time.time_ns()

    def finish_bundle(self, counts: Mapping[str, int] = _NOTHING) -> None:
        """Tells of a bundle in a span, sends its spans on their way, and counts those that reached nobody.

        Args:
          counts: by the name of an attribute, what the step has counted since it was made.
        """
        is_last = self._bundle.is_last(self)
        try:
            self._tell_bundle(counts)
            tracer = self._tracer
            if is_last:
                self._bundle.give()
                tracer.flush()
            if lost := tracer.take_lost():
                Metrics.counter(NAMESPACE, TELEMETRY_LOST).inc(lost)
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
            self._share(self._known_tracer.own)
        return self._known_tracer

    def _share(self, own: OwnProvider | None) -> None:
        """Puts together what the spans of records have in common that a provider of ours makes."""
        self._of_step = None
        if own is not None:
            self._of_step = SpansOfStep(
                own,
                self.step.label,
                self.step.label,
                self._run,
                self._of_records,
                trace_state(self._threshold),
                is_counted=True,
                has_many=self.step.has_many,
                tells_place=False,
                elsewhere=self._parent_elsewhere,
                place=self._place,
            )

    def _parent_elsewhere(self, origin: bytes) -> SpanContext | None:
        """Returns the span that a new one is a child of, where it is not of this bundle."""
        step = self.step
        threshold = self._settings.threshold_at(step.common)
        if step.common and is_traced(origin, threshold):
            return remote_parent(trace_id_of(origin), span_id_of(origin, step.common, self._run), threshold)
        return came_with(origin)

    def _place(self, origin: bytes) -> dict[str, Any]:
        """Returns what is told of where a record lies, as far as this process knows."""
        place = place_of(origin, self._settings.run)
        where = zip((names.SOURCE_URI, names.SOURCE_VERSION, names.POSITION), place, strict=True)
        return {name: value for name, value in where if value is not None}

    def _span_before(self, origin: bytes, label: str, threshold: int) -> SpanContext:
        known = self._bundle.newest(origin, (label,))
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


def _text(error: BaseException) -> str:
    try:
        return str(error)[:_MESSAGE_LIMIT]
    except Exception:  # a class of the user's may have no text
        return ""


def _told_apart(element: Sequence[Any], args: Sequence[Any]) -> Sequence[Any]:
    """Returns what tells an element from others of its origin: of a splittable DoFn the restriction too."""
    trackers = [argument for argument in args[1:] if hasattr(argument, "current_restriction")]
    return (*element, *(str(tracker.current_restriction()) for tracker in trackers)) if trackers else element
