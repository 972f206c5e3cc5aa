"""Counts of one wrapper on one worker: plain ints, flushed as Beam counters when a bundle ends.

The hot path keeps its own ints; `read` gives them, ever growing, so that a flush reports what came
since the last one and a progress display can look at any time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import NamedTuple

from apache_beam.metrics.metric import Metrics

from beam_obs.metrics import names


class Counts(NamedTuple):
    """Elements since the wrapper was made.

    Args:
      taken: given to the stage.
      out: outputs passed on.
      dead: refusals, among them `leftovers`.
      leftovers: refusals that stand for no element.
      filtered: elements that gave no output.
      internal_errors: errors of our own code, swallowed.
      combined: elements that are in aggregates.
      retried: attempts beside the first ones.
    """

    taken: int = 0
    out: int = 0
    dead: int = 0
    leftovers: int = 0
    filtered: int = 0
    internal_errors: int = 0
    combined: int = 0
    retried: int = 0


_COUNTERS = (
    names.IN,
    names.OUT,
    names.DEAD,
    names.DEAD_LEFTOVERS,
    names.FILTERED,
    names.INTERNAL_ERRORS,
    names.COMBINED,
    names.RETRIED,
)


class Tally:
    """Counts and latencies of one wrapper.

    Args:
      read: gives the counts so far.
    """

    def __init__(self, read: Callable[[], Counts]) -> None:
        self.read = read
        self._flushed = Counts()
        self._latencies = [0] * len(names.LATENCY_NAMES)

    def observe_latency(self, nanoseconds: int) -> None:
        """Notes how long one element took."""
        self._latencies[bisect_left(names.LATENCY_BOUNDS_US, nanoseconds / 1000)] += 1

    def flush(self) -> None:
        """Adds what came since the last flush to the Beam counters of the current step."""
        counts = self.read()
        for name, now, before in zip(_COUNTERS, counts, self._flushed, strict=True):
            if now != before:
                Metrics.counter(names.NAMESPACE, name).inc(now - before)
        self._flushed = counts
        cumulative = 0
        for position, name in enumerate(names.LATENCY_NAMES):
            cumulative += self._latencies[position]
            if cumulative:
                Metrics.counter(names.NAMESPACE, name).inc(cumulative)
        self._latencies = [0] * len(names.LATENCY_NAMES)
