"""What DoFns of the weave's own have in common that count for the ledger what passes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from beam_obs.records.ledger_rows import StepPoints
from beam_obs.wrapper.step_tally import StepTally


class Tallying:
    """Begins and ends what counts what passes a DoFn, beside the DoFn's class.

    Attributes:
      points: of the step; None where the ledger has nothing of it.
      tally: counts what passes them in a bundle; None likewise.
    """

    points: StepPoints | None = None
    tally: StepTally | None = None

    def start_bundle(self) -> None:
        if self.points is not None:
            self.tally = StepTally(self.points)
            self.tally.clear()

    def finish_bundle(self) -> Iterator[Any]:
        if self.tally is not None:
            yield from self.tally.rows()
