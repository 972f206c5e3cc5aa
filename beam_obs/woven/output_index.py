"""The step before a sink: rows of the output index, by which what was written is known again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindows

from beam_obs.records.contributors import ORIGIN_BYTES
from beam_obs.records.ledger_rows import StepPoints
from beam_obs.records.lineage_rows import NOT_KNOWN
from beam_obs.records.origin import RANDOM_BITS, randomness
from beam_obs.records.record_content import output_digest, record_content
from beam_obs.traces.traced_step import NONE_SAMPLED, TracedStep
from beam_obs.wrapper.element_forms import PLAIN, ROWS, WOVEN, Ends, unpack
from beam_obs.wrapper.stateless_dofn import StatelessDoFn
from beam_obs.wrapper.step_tally import StepTally

if TYPE_CHECKING:
    from beam_obs.traces.step_tracer import StepTracer

_ROWS_AT_ONCE = 1024


class IndexDoFn(StatelessDoFn):
    """Gives rows of the output index for the elements that enter a sink, and the elements, plain.

    In global windows rows leave many at a time.

    Args:
      takes: form of the elements.
      encode: gives the bytes that the sink makes of an element; None where its fields tell them.
      share: of the elements that are noted, decided by their origin.
      is_global: whether the elements are in the global window.
      passes_on: whether elements leave too.
    """

    def __init__(
        self,
        takes: str,
        encode: Callable[[Any], bytes] | None = None,
        share: float = 1.0,
        is_global: bool = False,
        passes_on: bool = True,
    ) -> None:
        self._settings = (takes, encode, share, is_global, passes_on)
        self._points: StepPoints | None = None
        self._traced: TracedStep | None = None
        self.writer: Any = None
        """The DoFn that writes the rows; None where they leave."""
        self._bind()

    def __getstate__(self) -> Any:
        return self._settings, self._points, self._traced, self.writer

    def __setstate__(self, state: Any) -> None:
        self._settings, self._points, self._traced, self.writer = state
        self._bind()

    @property
    def points(self) -> StepPoints | None:
        """What the ledger has of the step; None where it has nothing."""
        return self._points

    @points.setter
    def points(self, points: StepPoints) -> None:
        self._points = points
        self._bind()

    @property
    def traced(self) -> TracedStep | None:
        """How the records that enter are traced; None where they are not."""
        return self._traced

    @traced.setter
    def traced(self, traced: TracedStep | None) -> None:
        self._traced = traced
        self._bind()

    @property
    def ends(self) -> Ends:
        """The forms of what it takes and gives."""
        return Ends(self._settings[0], PLAIN)

    def _bind(self) -> None:
        takes, encode, share, is_global, passes_on = self._settings
        content_of = encode or record_content
        least = int((1.0 - share) * 2**RANDOM_BITS)
        self._rows: list[bytes] = []
        add, rows, given, all_rows = self._rows.append, self._rows, self._given, self._all_rows
        self._tally = None if self._points is None else StepTally(self._points)
        took = None if self._tally is None else self._tally.took

        self._tracer = tracer = None if self._traced is None else _tracer_of(self._traced)
        first, incoming = NONE_SAMPLED if self._traced is None else self._traced.looked_at

        def process(element: Any) -> Any:
            provenance, value = element if takes == WOVEN else unpack(takes, element)
            if took is not None:
                took(provenance)
            origin = provenance if len(provenance) == ORIGIN_BYTES else NOT_KNOWN
            results: tuple[Any, ...] = (value,) if passes_on else ()
            if not least or randomness(origin) >= least:
                try:
                    row = output_digest(content_of(value)) + origin
                except Exception:
                    row = b""
                if row and is_global:
                    add(row)
                    row = all_rows() if len(rows) >= _ROWS_AT_ONCE else b""
                if row:
                    results = (*given(row), *results)
            is_sampled = (origin[9] >= first or origin in incoming) and origin is provenance
            if is_sampled and tracer is not None and tracer.is_traced(origin):
                return tracer.passing(origin, results)
            return results

        self.process = process  # type: ignore[method-assign]

    def start_bundle(self) -> None:
        if self._tracer is not None:
            self._tracer.start_bundle()
        self._rows.clear()
        if self._tally is not None:
            self._tally.clear()
        if self.writer is not None:
            self.writer.start_bundle()

    def process(self, element: Any) -> Any:
        """Replaced by what `_bind` makes of the settings."""
        raise NotImplementedError

    def finish_bundle(self) -> Any:
        if self._tracer is not None:
            self._tracer.finish_bundle()
        if self._rows:
            rows = self._all_rows()
            yield from self._given(rows if self.writer is not None else GlobalWindows.windowed_value(rows))
        if self.writer is not None:
            yield from map(self._tagged, self.writer.finish_bundle())
        if self._tally is not None:
            yield from self._tally.rows()

    def _all_rows(self) -> bytes:
        rows = b"".join(self._rows)
        self._rows.clear()
        return rows

    def _given(self, rows: Any) -> tuple[Any, ...]:
        """Returns what leaves where there are rows: nothing, where they are written here."""
        if self.writer is None:
            return (self._tagged(rows),)
        self.writer.process(rows)
        return ()

    def _tagged(self, rows: Any) -> Any:
        passes_on = self._settings[-1]
        return TaggedOutput(ROWS, rows) if passes_on else rows


def _tracer_of(traced: TracedStep) -> StepTracer:
    from beam_obs.traces.step_tracer import StepTracer

    return StepTracer(traced)
