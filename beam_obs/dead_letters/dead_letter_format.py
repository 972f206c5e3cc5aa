"""Refusals made into dead letters: window, event time and pane are added behind the stage."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import apache_beam as beam
from apache_beam import coders
from apache_beam.transforms.window import GlobalWindow, IntervalWindow
from apache_beam.utils.windowed_value import PANE_INFO_UNKNOWN

from beam_obs.dead_letters.letter_snapshot import earlier_attempt
from beam_obs.records.dead_letter import DeadLetter, dead_letter_key
from beam_obs.records.known_partitions import SourcePlace, place_of
from beam_obs.records.origin import parse_origin
from beam_obs.records.run_context import RunContext
from beam_obs.traces.traced_step import TracedStep
from beam_obs.wrapper.failure import in_words
from beam_obs.wrapper.refusal import Refusal
from beam_obs.wrapper.refused_span import told_in_span
from beam_obs.wrapper.untyped import Untyped

if TYPE_CHECKING:
    from beam_obs.traces.step_tracer import StepTracer

coders.registry.register_coder(DeadLetter, coders.RowCoder)


class FormatDeadLetters(Untyped, beam.DoFn):
    """Makes a `DeadLetter` of each `Refusal`.

    Args:
      stage: full label of the stage that refused.
      context: the run.
    """

    def __init__(self, stage: str, context: RunContext) -> None:
        self._stage = stage
        self._context = context

    def start_bundle(self) -> None:
        """Draws the bundle's nonce."""
        self._nonce = os.urandom(6).hex()
        self._index = -1
        self._further = 0
        self._refusal: Refusal | None = None
        self._window: Any = None
        self._window_text = ""
        self._tracers: dict[str, StepTracer] = {}

    def process(
        self,
        refusal: Refusal,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
        pane: Any = beam.DoFn.PaneInfoParam,
    ) -> Iterable[DeadLetter]:
        """Gives the dead letter of one refusal."""
        return [self.letter_of(refusal, timestamp.micros, window, pane)]

    def letter_of(self, refusal: Refusal, event_time: int, window: Any, pane: Any) -> DeadLetter:
        """Returns the dead letter of one refusal.

        Args:
          refusal: the refusal.
          event_time: of its element, in microseconds since the epoch.
          window: of its element.
          pane: of its element.
        """
        context = self._context
        # Beam calls for each window of an element, one after the other.
        self._further = self._further + 1 if refusal is self._refusal else 0
        self._refusal = refusal
        if context.traces is not None:
            refusal = self._told(refusal, refusal.stage or self._stage)
        (
            failure,
            payload,
            payload_coder,
            payload_text,
            failed_at,
            origin,
            source_uri,
            position,
            stage,
            redacted,
            letter,
            traceparent,
            attempt,
        ) = refusal
        error_type, message, traceback, kind = in_words(failure)
        stage = stage or self._stage
        if origin is not None and source_uri is None and position is None:
            source_uri, _, position = _place_of(origin, context.run)
        self._index += not self._further
        identity = f"{context.run}.{letter or f'{self._nonce}.{self._index}'}"
        if self._further:
            identity = f"{identity}.{self._further}"
        if window is not self._window:
            self._window, self._window_text = window, window_text(window)
        key = dead_letter_key(context.pipeline, stage, origin, payload)
        first_failed_at, root_id = failed_at, identity
        if context.replayed is not None:
            before = earlier_attempt(context.replayed, key, stage, origin)
            if before is not None:
                attempt += before.attempt
                first_failed_at, root_id = before.first_failed_at, before.root_id
                if before.source_uri is not None:
                    source_uri, position = before.source_uri, before.position
        # Without the class's own `__new__`, which takes as long as all else that makes a tuple of it.
        return tuple.__new__(
            DeadLetter,
            (
                identity,
                key,
                context.run,
                context.pipeline,
                stage,
                origin,
                source_uri,
                position,
                event_time,
                self._window_text,
                "" if pane is PANE_INFO_UNKNOWN else pane_text(pane),
                failed_at,
                error_type,
                message,
                traceback,
                kind,
                payload,
                payload_coder,
                payload_text,
                attempt,
                first_failed_at,
                root_id,
                context.code,
                traceparent,
                redacted,
            ),
        )

    def finish_bundle(self) -> None:
        """Sends the spans of the bundle on their way."""
        for tracer in self._tracers.values():
            tracer.finish_bundle()

    def _told(self, refusal: Refusal, stage: str) -> Refusal:
        """Returns a refusal with the span that tells of it, where it has none yet."""
        traces = self._context.traces
        if traces is None or refusal.traceparent is not None:
            return refusal
        if stage not in self._tracers:
            from beam_obs.traces.step_tracer import StepTracer

            self._tracers[stage] = StepTracer(TracedStep(stage, traces))
        with contextlib.suppress(Exception):  # the dead letter is what counts
            return told_in_span(refusal, None, self._tracers[stage])
        return refusal


def _place_of(origin: str, run: str) -> SourcePlace:
    try:
        return place_of(parse_origin(origin), run)
    except ValueError:  # a record's own attributes may say anything
        return SourcePlace()


def window_text(window: Any) -> str:
    """Returns a window as text: ``global``, or start and end as ISO times.

    >>> window_text(IntervalWindow(0, 60))
    '[1970-01-01T00:00:00Z, 1970-01-01T00:01:00Z)'
    """
    if isinstance(window, GlobalWindow):
        return "global"
    if isinstance(window, IntervalWindow):
        try:
            return f"[{window.start.to_rfc3339()}, {window.end.to_rfc3339()})"
        except (OverflowError, ValueError):  # before the year 1, as where elements have no timestamps
            return f"[{window.start.micros / 1e6}, {window.end.micros / 1e6})"
    return str(window)


def pane_text(pane: Any) -> str:
    """Returns a pane as text: timing and index, e.g. ``EARLY 2``; empty where there is only one."""
    if pane is None or (pane.is_first and pane.is_last) or pane.timing == 3:
        return ""
    names = {0: "EARLY", 1: "ON_TIME", 2: "LATE"}
    return f"{names.get(pane.timing, pane.timing)} {pane.index}"
