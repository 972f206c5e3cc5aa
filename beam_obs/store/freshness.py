"""How long ago a pipeline last succeeded, and whether that is longer than is usual for it."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence

from beam_obs.store.run_record import seconds_between

LOOKED_AT = 30
"""Successes that tell what is usual."""

_LEAST_INTERVALS = 5
_LEAST_SECONDS = 60.0
"""Runs that follow each other faster are started by hand."""
_LATE, _PAUSE = 2.0, 1.25
_REGULAR = 4.0
"""Where nearly all intervals are within so many times the median: workdays only are regular too."""


@dataclasses.dataclass(frozen=True)
class Freshness:
    """How fresh what a pipeline gives is.

    Args:
      seconds: since its last success began.
      usual_seconds: between two successes, as a rule; None where they come at no regular intervals.
      late_seconds: after so many it is late; None where that cannot be told.
      most_seconds: between two successes, at most, nine times in ten.
    """

    seconds: float
    usual_seconds: float | None = None
    late_seconds: float | None = None
    most_seconds: float | None = None

    @property
    def is_late(self) -> bool:
        """Whether the last success is longer ago than usual."""
        return self.late_seconds is not None and self.seconds > self.late_seconds

    def seconds_beyond(self, times: float) -> float | None:
        """Returns after how many seconds so many times the usual time has gone by, and no pause that is usual
        too, as a weekend, explains it; None where nothing is usual."""
        if self.usual_seconds is None or self.most_seconds is None:
            return None
        return max(times * self.usual_seconds, _PAUSE * self.most_seconds)


def freshness(successes: Sequence[str], now: str) -> Freshness | None:
    """Returns how fresh a pipeline is; None where it never succeeded.

    It is late after twice the usual time, the median of the times between its last successes; and not before
    one and a quarter of the time that nine in ten keep within, so that a weekend is none too long.

    Args:
      successes: when its successful runs began, newest first, as the store keeps times.
      now: the time now.

    >>> hourly = [f"2026-01-02T{hour:02}:00:00Z" for hour in range(12, 2, -1)]
    >>> found = freshness(hourly, "2026-01-02T13:30:00Z")
    >>> found.usual_seconds, found.is_late, freshness(hourly, "2026-01-02T14:30:00Z").is_late
    (3600.0, False, True)
    >>> freshness(hourly[:3], "2026-01-02T14:30:00Z").usual_seconds is None
    True
    """
    if not successes:
        return None
    since = max(0.0, seconds_between(successes[0], now))
    looked_at = successes[:LOOKED_AT]
    intervals = sorted(seconds_between(*pair) for pair in zip(looked_at[1:], looked_at, strict=False))
    if len(intervals) < _LEAST_INTERVALS:
        return Freshness(since)
    usual, most = statistics.median(intervals), intervals[len(intervals) * 9 // 10]
    if usual < _LEAST_SECONDS or most > _REGULAR * usual:
        return Freshness(since)
    late = max(_LATE * usual, _PAUSE * most)
    return Freshness(since, usual, late, most)
