"""How many elements a step that brings elements together takes, and how many are in what it gives.

What goes in and comes out in no group was dropped, or lost. In all, what comes out is counted by a Beam
counter. Where records may come too late for their window, both sides are counted by window too: a row for
each window of a bundle.
"""

from __future__ import annotations

import collections
import json
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.windowed_value import WindowedValue

from beam_obs.metrics.names import GATHERED, NAMESPACE
from beam_obs.wrapper.element_forms import KEYED, PLAIN, Ends
from beam_obs.wrapper.stateless_dofn import StatelessDoFn

WINDOWS = "beam_obs_windows"
"""Tag of the rows."""
TAKEN, GIVEN = 0, 1


def flush_gathered(count: int) -> None:
    """Adds to the elements that are in what the current step gave."""
    if count:
        Metrics.counter(NAMESPACE, GATHERED).inc(count)


class WindowTally:
    """Elements of a bundle by window.

    Args:
      side: whether they were `TAKEN` or `GIVEN`.
    """

    def __init__(self, side: int) -> None:
        self._side = side
        self._counts: collections.Counter[Any] = collections.Counter()

    def clear(self) -> None:
        """Begins anew."""
        self._counts.clear()

    def add(self, windows: Iterable[Any], count: int = 1) -> None:
        """Adds elements that are in each of some windows."""
        for window in windows:
            self._counts[window] += count

    def rows(self) -> Iterator[TaggedOutput]:
        """Gives a row for each window, in that window."""
        for window, count in self._counts.items():
            row = window_row(str(window), *((0, count) if self._side == GIVEN else (count, 0)))
            yield TaggedOutput(WINDOWS, WindowedValue(row, window.max_timestamp(), (window,)))


def window_row(window: str, taken: int, given: int) -> bytes:
    """Returns the row of one window, that `sum_of_rows` reads."""
    return json.dumps([window, taken, given]).encode()


def sum_of_rows(rows: Iterable[bytes]) -> dict[str, list[int]]:
    """Returns what went in and came out by window.

    >>> sum_of_rows([window_row("[0, 10)", 3, 0), window_row("[0, 10)", 1, 2)])
    {'[0, 10)': [4, 2]}
    """
    found: dict[str, list[int]] = {}
    for row in rows:
        window, taken, given = json.loads(row)
        counts = found.setdefault(window, [0, 0])
        counts[TAKEN] += taken
        counts[GIVEN] += given
    return found


class CountWindowsDoFn(StatelessDoFn):
    """Passes keyed elements on as they are, and gives a row for each window that any was in."""

    @property
    def ends(self) -> Ends:
        """What it takes and gives."""
        return Ends(KEYED, KEYED, {WINDOWS: PLAIN})

    def start_bundle(self) -> None:
        self._tally = WindowTally(TAKEN)

    def process(self, element: Any, windowed: Any = beam.DoFn.WindowedValueParam) -> Iterable[Any]:
        self._tally.add(windowed.windows)
        return (element,)

    def finish_bundle(self) -> Iterator[Any]:
        yield from self._tally.rows()
