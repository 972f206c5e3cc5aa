"""What DoFns of the weave's own have in common: they count for the ledger what passes, make spans of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from beam_obs.records.ledger_rows import StepPoints
from beam_obs.traces.traced_step import TracedStep
from beam_obs.wrapper.step_tally import StepTally

if TYPE_CHECKING:
    from beam_obs.traces.source_tracer import SourceTracer


class Tallying:
    """Begins and ends what counts what passes a DoFn, beside the DoFn's class, and what makes its spans.

    Attributes:
      points: of the step; None where the ledger has nothing of it.
      tally: counts what passes them in a bundle; None likewise.
      traced: how its records are traced; None where they are not.
      tracer: makes their spans; None likewise.
    """

    points: StepPoints | None = None
    tally: StepTally | None = None
    traced: TracedStep | None = None
    tracer: SourceTracer | None = None

    def start_bundle(self) -> None:
        if self.points is not None:
            self.tally = StepTally(self.points)
            self.tally.clear()
        if self.traced is not None:
            from beam_obs.traces.source_tracer import SourceTracer

            self.tracer = self.tracer or SourceTracer(self.traced)
            self.tracer.start_bundle()

    def finish_bundle(self) -> Iterator[Any]:
        if self.tracer is not None:
            self.tracer.finish_bundle()
        if self.tally is not None:
            yield from self.tally.rows()
