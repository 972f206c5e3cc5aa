"""The steps behind aggregates: what a group or a combined value was made of, and its own origin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import apache_beam as beam
from apache_beam.coders import Coder
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import PaneInfoTiming, WindowedValue

from beam_obs.beam_private import UnwindowedValues
from beam_obs.records.contributors import NO_SOURCE, ORIGIN_BYTES, UNKNOWN, Contributors, gather
from beam_obs.records.lineage_rows import AGGREGATE, derivation_row
from beam_obs.records.origin import derived_origin
from beam_obs.traces.traced_step import NONE_SAMPLED, TracedStep
from beam_obs.woven.gathered import GIVEN, WINDOWS, WindowTally, flush_gathered
from beam_obs.woven.plain_values import PlainValues
from beam_obs.woven.written_rows import WritingRows
from beam_obs.wrapper.element_forms import GROUPED, KEYED, PLAIN, WOVEN, Ends, pack
from beam_obs.wrapper.hidden_texts import REDACTED
from beam_obs.wrapper.stateless_dofn import StatelessDoFn

if TYPE_CHECKING:
    from beam_obs.traces.step_tracer import StepTracer

_GLOBALLY = GlobalWindows.windowed_value(None)
_UNZIPPED_AT_ONCE = 4096
"""Pairs that are taken apart as arguments of a call: half the price of two loops."""


class Made(NamedTuple):
    """What an aggregate was made of.

    Args:
      origin: its own.
      row: its derivation, where it needs one.
      number: of the elements that it was made of, those behind a summary too.
      of: the same as contributors.
    """

    origin: bytes
    row: bytes | None
    number: int
    of: Contributors


class Aggregate:
    """Makes the origin of an aggregate, and its derivation row.

    Args:
      step: label of the step.
      key_coder: of the key.
      window_coder: of the window.
      is_global: whether there is but the global window and one pane in it.
      limit: of contributors; None for all.
      keeps_keys: whether the row may have the key as text.
      traced: how aggregates are traced; None where they are not.
    """

    def __init__(
        self,
        step: str,
        key_coder: Coder,
        window_coder: Coder,
        is_global: bool,
        limit: int | None,
        keeps_keys: bool = True,
        traced: TracedStep | None = None,
    ) -> None:
        self.step = step
        self.traced = traced
        self._tracer: StepTracer | None = None
        self._first, self._incoming = NONE_SAMPLED
        self.limit = limit
        self.is_global = is_global
        self._keeps_keys = keeps_keys
        self._key_coder = key_coder
        self._window_coder = window_coder

    def start_bundle(self) -> None:
        """Begins a bundle."""
        if self.traced is not None:
            from beam_obs.traces.step_tracer import StepTracer

            self._tracer = self._tracer or StepTracer(self.traced)
            self._first, self._incoming = self.traced.looked_at
            self._tracer.start_bundle()

    def finish_bundle(self) -> None:
        """Sends the spans of a bundle on their way."""
        if self._tracer is not None:
            self._tracer.finish_bundle()

    def note_alone(self, provenance: bytes, key: Any) -> None:
        """Tells of an aggregate of one element, which keeps its origin."""
        # Of most aggregates this is all that there is to do.
        if self._tracer is None or len(provenance) != ORIGIN_BYTES:
            return
        if provenance[9] >= self._first or provenance in self._incoming:
            self._tracer.aggregated(provenance, (), 1, key)

    def of(self, key: Any, provenances: Iterable[bytes], windowed: WindowedValue = _GLOBALLY) -> Made:
        """Returns the origin, the row where it needs one, and the number of elements."""
        found = gather(provenances, self.limit)
        if found.count <= 1 or not found.origins:
            origin = _alone(found)
            self.note_alone(origin, key)
            return Made(origin, None, found.count, found)
        (window,) = windowed.windows
        pane = max(0, windowed.pane_info.index)
        encoded_key, encoded_window = self._key_coder.encode(key), self._window_coder.encode(window)
        child = derived_origin(self.step, encoded_key, encoded_window, pane)
        if self._tracer is not None:
            self._tracer.aggregated(child, found.origins, found.count, key)
        text = _text(key) if self._keeps_keys else REDACTED
        row = derivation_row(child, AGGREGATE, found, text, str(window), pane)
        return Made(child, row, found.count, found)


class _BehindAggregate(WritingRows, StatelessDoFn):
    """Makes the origins of aggregates, and counts the elements that are in them.

    Args:
      aggregate: makes the origin.
      gives: form of the output.
      counts_windows: whether elements are counted by window too.
      least: of sampled origins, whose windows are noted: what their hashes are at least; None notes none.

    Attributes:
      gives_at_end: whether nothing of a window is given before it is over.
    """

    gives_at_end = False

    def __init__(
        self, aggregate: Aggregate, gives: str, counts_windows: bool = False, least: bytes | None = None
    ) -> None:
        self._aggregate = aggregate
        self._gives = gives
        self._counts_windows = counts_windows
        self._least = least

    def start_bundle(self) -> None:
        super().start_bundle()
        self._gathered = 0
        self._windows = WindowTally(GIVEN, self._least)
        self._aggregate.start_bundle()

    def finish_bundle(self) -> Iterator[Any]:
        self._aggregate.finish_bundle()
        flush_gathered(self._gathered)
        yield from self._windows.rows()
        yield from super().finish_bundle()

    def _count(self, count: int, windowed: Any, origins: Sequence[bytes], are_all: bool = True) -> None:
        self._gathered += count
        if self._counts_windows:
            self._windows.add(windowed.windows, count)
            self._windows.add_late(windowed, count)
            self._windows.note(windowed.windows, origins, are_all)
            tally = self.tally
            if tally is not None and tally.tells_windows:
                timing = windowed.pane_info.timing
                if self.gives_at_end or timing in (PaneInfoTiming.ON_TIME, PaneInfoTiming.LATE):
                    tally.is_over(windowed.windows[0]._end_micros)


class GroupedDoFn(_BehindAggregate):
    """Behind a GroupByKey: takes ``(key, [(provenance, value)])``, gives the group with its own."""

    def _note(self, provenances: Sequence[bytes], origin: bytes, windowed: Any) -> None:
        tally = self.tally
        if tally is not None:
            tally.came_in(windowed.windows)
            tally.took_each(provenances)
            tally.gave(origin)

    @property
    def ends(self) -> Ends:
        """The forms of what it takes and gives."""
        return Ends(GROUPED, self._gives, {WINDOWS: PLAIN})

    def process(self, element: Any, windowed: Any = beam.DoFn.WindowedValueParam) -> Any:
        key, grouped = element
        values: Any
        if isinstance(grouped, (list, tuple, UnwindowedValues)):
            pairs = grouped if type(grouped) is list else list(grouped)
            if len(pairs) == 1 and len(pairs[0][0]) <= ORIGIN_BYTES:
                provenance, value = pairs[0]
                self._aggregate.note_alone(provenance, key)
                self._count(1, windowed, (provenance,))
                self._note((provenance,), provenance, windowed)
                return [pack(self._gives, provenance, (key, [value]))]
            provenances: Sequence[bytes]
            if len(pairs) < _UNZIPPED_AT_ONCE:
                provenances, values = zip(*pairs, strict=True) if pairs else ((), ())
                values = list(values)
            else:
                provenances, values = [provenance for provenance, _ in pairs], [value for _, value in pairs]
        else:
            provenances = [provenance for provenance, _ in grouped]
            values = PlainValues(grouped)
        origin, row, _, of = self._aggregate.of(key, provenances, windowed)
        self._count(len(provenances), windowed, of.origins, not of.truncated)
        self._note(provenances, origin, windowed)
        packed = pack(self._gives, origin, (key, values))
        return self.with_row(row, packed)


class GloballyGroupedDoFn(GroupedDoFn):
    """The same where the window is known: to ask Beam for it costs as much as all the rest."""

    def process(self, element: Any) -> Any:  # type: ignore[override]
        key, grouped = element
        if type(grouped) is list and len(grouped) == 1:
            ((provenance, value),) = grouped
            if len(provenance) <= ORIGIN_BYTES and self._gives == WOVEN:
                self._aggregate.note_alone(provenance, key)
                self._gathered += 1
                self._note((provenance,), provenance, _GLOBALLY)
                return [(provenance, (key, [value]))]
        return super().process(element, _GLOBALLY)


class CombinedDoFn(_BehindAggregate):
    """Behind a combine: takes ``(key, (summary, output))``, gives the output with its origin.

    Args:
      aggregate: makes the origin.
      gives: form of the output.
      counts_windows: whether elements are counted by window too.
      least: as of groups.
      inputs_in: gives the number of elements that went into an output, where it was not made of all of them.
    """

    def __init__(
        self,
        aggregate: Aggregate,
        gives: str,
        counts_windows: bool = False,
        least: bytes | None = None,
        inputs_in: Callable[[Any], int] | None = None,
    ) -> None:
        super().__init__(aggregate, gives, counts_windows, least)
        self._inputs_in = inputs_in

    @property
    def ends(self) -> Ends:
        """The forms of what it takes and gives."""
        return Ends(KEYED, self._gives, {WINDOWS: PLAIN})

    def process(self, element: Any, windowed: Any = beam.DoFn.WindowedValueParam) -> Any:
        key, (summary, output) = element
        if len(summary) <= ORIGIN_BYTES:
            self._aggregate.note_alone(summary, key)
            self._count(self._number(summary != NO_SOURCE, output), windowed, (summary,))
            self._note(summary, summary, windowed)
            return [pack(self._gives, summary, (key, output))]
        origin, row, count, of = self._aggregate.of(key, (summary,), windowed)
        self._count(self._number(count, output), windowed, of.origins, not of.truncated)
        self._note(summary, origin, windowed)
        packed = pack(self._gives, origin, (key, output))
        return self.with_row(row, packed)

    def _note(self, summary: bytes, origin: bytes, windowed: Any) -> None:
        tally = self.tally
        if tally is not None:
            tally.came_in(windowed.windows)
            tally.took_sum(summary)
            tally.gave(origin)

    def _number(self, contributors: int, output: Any) -> int:
        return contributors if self._inputs_in is None else self._inputs_in(output)


class GloballyCombinedDoFn(CombinedDoFn):
    """The same where the window is known."""

    def process(self, element: Any) -> Any:  # type: ignore[override]
        return super().process(element, _GLOBALLY)


def _alone(found: Contributors) -> bytes:
    if not found.count:
        return b"\0"
    return found.origins[0] if found.origins else UNKNOWN


def _text(key: Any) -> str:
    try:
        return key if isinstance(key, str) else repr(key)
    except Exception:
        return type(key).__name__
