"""An unbounded source at a steady rate that ends when it is told to, so that its stream can be balanced."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Duration, Timestamp

_MOST = 1 << 40
_PAUSE_SECONDS = 0.2
_AT_ONCE = 1000
"""Elements at most that are given before the runner is asked again: a bundle stays small."""


class _Whole(OffsetRestrictionTracker):
    """Keeps what is to come in one piece: another would begin far in the future."""

    def try_split(self, fraction: float) -> Any:
        return super().try_split(0) if fraction == 0 else None


class _Numbers(RestrictionProvider):
    def initial_restriction(self, element: Any) -> OffsetRange:
        return OffsetRange(0, _MOST)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        return _Whole(restriction)

    def restriction_size(self, element: Any, restriction: OffsetRange) -> int:
        return 1


class _Give(beam.DoFn):
    tracker_param = beam.DoFn.RestrictionParam(_Numbers())
    watermark_param = beam.DoFn.WatermarkEstimatorParam(ManualWatermarkEstimator.default_provider())

    def __init__(self, rate: float, until: pathlib.Path | int) -> None:
        self._rate = rate
        self._until = until

    @beam.DoFn.unbounded_per_element()
    def process(
        self, began: float, tracker: Any = tracker_param, watermark: Any = watermark_param
    ) -> Iterator[TimestampedValue]:
        first = number = tracker.current_restriction().start
        while (due := began + number / self._rate) <= time.time() and number < first + _AT_ONCE:
            if self._is_over(number):
                tracker.try_claim(_MOST - 1)
                return
            if not tracker.try_claim(number):
                return
            watermark.set_watermark(Timestamp.of(due))
            yield TimestampedValue(number, due)
            number += 1
        tracker.defer_remainder(Duration(0 if number == first + _AT_ONCE else _PAUSE_SECONDS))

    def _is_over(self, number: int) -> bool:
        return number >= self._until if isinstance(self._until, int) else self._until.exists()


def steady(pipeline: beam.Pipeline, rate: float, until: pathlib.Path | int, label: str = "numbers") -> Any:
    """Gives 0, 1, 2, ... by the clock, each at the time at which it is due, until it is to end.

    Args:
      pipeline: that they begin in.
      rate: how many in a second.
      until: a file, with which it ends when it is there; or how many.
      label: of the step.
    """
    return (
        pipeline
        | f"{label} begin" >> beam.Create([time.time()], reshuffle=False)
        | label >> beam.ParDo(_Give(rate, until)).with_output_types(int)
    )
