"""What was sent of runs already, for targets that are told what was counted since."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from beam_obs.metrics.run_numbers import RunNumbers

SeriesKey = tuple[str, tuple[object, ...]]
"""Name of a series, and its labels as the target has them."""


class SentTotals(NamedTuple):
    """What was sent of a run.

    Args:
      at: when its numbers were taken, microseconds since 1970.
      totals: of each series: what was counted, in each of its buckets where it is a histogram.
    """

    at: int
    totals: Mapping[SeriesKey, tuple[float, ...]]


class NewestSent:
    """What was sent of the newest run of each pipeline."""

    def __init__(self) -> None:
        self._newest: dict[str, tuple[str, SentTotals]] = {}

    def before(self, numbers: RunNumbers, totals: Callable[[SentTotals], SentTotals]) -> SentTotals:
        """Returns what was sent of a run before: nothing at first, or all where another may have sent it.

        Args:
          numbers: of the run.
          totals: returns those of the numbers, given what was sent of them.
        """
        run, sent = self._newest.get(numbers.pipeline, ("", None))
        if sent is not None and run == numbers.run:
            return sent
        nothing = SentTotals(numbers.began, {})
        return totals(nothing) if numbers.is_taken_over else nothing

    def keep(self, numbers: RunNumbers, sent: SentTotals) -> None:
        """Keeps what was sent of a run with its numbers; also after its last, which may be sent again."""
        self._newest[numbers.pipeline] = numbers.run, sent
