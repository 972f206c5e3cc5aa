"""Spans of records where they come into being: the first of their traces, which say file and position."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from beam_obs.records.origin import ORIGIN_BYTES
from beam_obs.traces import attributes as names
from beam_obs.traces.incoming import INCOMING, trace_id_of
from beam_obs.traces.span_ids import span_id_of
from beam_obs.traces.step_tracer import StepTracer, came_with

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
        if least is None or len(origin) != ORIGIN_BYTES or (origin[9:] < least and origin not in INCOMING):
            return
        if self.is_traced(origin):
            self._make(origin, began, time.time_ns())

    def note_each(self, origins: Sequence[bytes], began: int) -> None:
        """Makes the spans of the sampled records of a block."""
        least = self.least
        sampled = [] if least is None else [one for one in origins if one[9:] >= least]
        if sampled:
            ended = time.time_ns()
            for origin in sampled:
                if len(origin) == ORIGIN_BYTES and self.is_traced(origin):
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
            label, trace_id = self.step.label, trace_id_of(origin)
            told = {
                names.RUN: self._run,
                names.ORIGIN: origin.hex(),
                names.BUNDLE: self._bundle.nonce,
                **self._place(origin),
            }
            span_id = span_id_of(origin, self.step.common, self._run)
            parent = came_with(origin)
            span = self._tracer.start(label, trace_id, span_id, parent, self._threshold, told, (), began)
            span.end(max(ended, began + 1))
            self._bundle.note(self._bundle.of(origin), label, span.get_span_context())
        except Exception as error:
            self._note_internal(error)
