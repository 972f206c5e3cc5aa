"""Spans of records where they come into being: the first of their traces, which say file and position."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from beam_obs.records.origin import ORIGIN_BYTES
from beam_obs.traces import attributes as names
from beam_obs.traces.incoming import INCOMING, came_with, trace_id_of
from beam_obs.traces.process_tracer import trace_state
from beam_obs.traces.span_ids import span_id_of
from beam_obs.traces.step_span import SpansOfStep, StepSpan
from beam_obs.traces.step_tracer import StepTracer

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from beam_obs.traces.own_provider import OwnProvider

Woven = tuple[bytes, object]


class SourceTracer(StepTracer):
    """Makes the spans of a source's records.

    The span of a record begins when the source began to make it, or the block that it is in, and ends when it
    was there.
    """

    def note(self, origin: bytes, began: int) -> None:
        """Makes the span of a record, where it is sampled.

        Args:
          origin: of the record.
          began: nanoseconds since the epoch.
        """
        least = self.least
        if least is None or len(origin) != ORIGIN_BYTES or (origin[9] < least[0] and origin not in INCOMING):
            return
        if self.is_traced(origin):
            self._make(origin, began, time.time_ns())

    def note_each(self, origins: Sequence[bytes], began: int) -> None:
        """Makes the spans of the sampled records of a block."""
        if self.least is None:
            return
        least = self.least[0]
        if sampled := [one for one in origins if len(one) == ORIGIN_BYTES and one[9] >= least]:
            ended = time.time_ns()
            for origin in sampled:
                if self.is_traced(origin):
                    self._make(origin, began, ended)

    def each(self, woven: Iterable[Woven]) -> Iterator[Woven]:
        """Gives records with their origins as they come, and makes spans of those that are sampled."""
        note, now = self.note, time.time_ns
        began = now()
        for element in woven:
            note(element[0], began)
            yield element
            began = now()

    def _make(self, origin: bytes, began: int, ended: int) -> None:
        try:
            self._begin(origin, began).end(max(ended, began + 1))
        except Exception as error:
            self._note_internal(error)

    def _begin(self, origin: bytes, began: int) -> Span:
        tracer, bundle, label = self._tracer, self._bundle, self.step.label
        if self._of_source is not None:
            span = StepSpan(self._of_source, bundle, origin, began, None)
            span.begins_here = True
            bundle.note_begun(origin, label, span)
            if origin in INCOMING:
                bundle.identify()
            return span
        told = {
            names.RUN: self._run,
            names.ORIGIN: origin.hex(),
            names.BUNDLE: bundle.nonce,
            **self._place(origin),
        }
        span_id, trace_id = span_id_of(origin, self.step.common, self._run), trace_id_of(origin)
        made = tracer.start(label, trace_id, span_id, came_with(origin), self._threshold, told, (), began)
        bundle.note(origin, label, made.get_span_context(), span_id)
        return made

    def _share(self, own: OwnProvider | None) -> None:
        super()._share(own)
        self._of_source = None
        if own is not None:
            self._of_source = SpansOfStep(
                own,
                self.step.label,
                self.step.common,
                self._run,
                {names.RUN: self._run},
                trace_state(self._threshold),
                is_counted=False,
                has_many=False,
                tells_place=True,
                elsewhere=self._parent_elsewhere,
                place=self._place,
            )
