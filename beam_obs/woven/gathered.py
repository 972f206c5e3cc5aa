"""How many elements a step that brings elements together takes, and how many are in what it gives.

What goes in and comes out in no group was dropped, or lost. In all, what comes out is counted by a Beam
counter. Where records may come too late for their window, both sides are counted by window too, and it is
noted which of sampled origins were there: a row for each window of a bundle.
"""

from __future__ import annotations

import collections
import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import PaneInfoTiming, WindowedValue

from beam_obs.metrics.names import EVENT_LAG_MS, GATHERED, LATE, NAMESPACE
from beam_obs.records.contributors import ORIGIN_BYTES
from beam_obs.records.window_counts import WindowCounts
from beam_obs.woven.tallying import Tallying
from beam_obs.wrapper.element_forms import KEYED, PLAIN, Ends
from beam_obs.wrapper.stateless_dofn import StatelessDoFn

WINDOWS = "beam_obs_windows"
"""Tag of the rows."""
TAKEN, GIVEN = 0, 1
_HASH_AT = 9
"""Where in an origin its hash begins, by which it is sampled."""


def flush_gathered(count: int) -> None:
    """Adds to the elements that are in what the current step gave."""
    if count:
        Metrics.counter(NAMESPACE, GATHERED).inc(count)


class WindowTally:
    """Elements of a bundle by window.

    Args:
      side: whether they were `TAKEN` or `GIVEN`.
      least: origins are noted whose hashes are at least this; None notes none.
    """

    def __init__(self, side: int, least: bytes | None = None) -> None:
        self._side = side
        self._least = least
        self.clear()

    def clear(self) -> None:
        """Begins anew."""
        self._counts: collections.Counter[Any] = collections.Counter()
        self._late: collections.Counter[Any] = collections.Counter()
        self._noted: dict[Any, set[bytes]] = {}
        self._floors: dict[Any, bytes] = {}

    def add(self, windows: Iterable[Any], count: int = 1) -> None:
        """Adds elements that are in each of some windows."""
        for window in windows:
            self._counts[window] += count

    def note(self, windows: Iterable[Any], origins: Iterable[bytes], are_all: bool = True) -> None:
        """Notes those of the origins of elements that are sampled.

        Args:
          windows: that all of them are in.
          origins: provenances; what is none is left out.
          are_all: whether they are all there were; if not, those with the largest hashes.
        """
        least = self._least
        if least is None:
            return
        found = [one for one in origins if one[_HASH_AT:] >= least and len(one) == ORIGIN_BYTES]
        for window in windows:
            if found:
                self._noted.setdefault(window, set()).update(found)
            if not are_all:
                floor = min((one[_HASH_AT:] for one in origins), default=b"")
                self._floors[window] = max(floor, self._floors.get(window, b""))

    def add_late(self, windowed: Any, count: int) -> None:
        """Adds elements that came late for their window, but not too late, where a pane is of such."""
        if windowed.pane_info.timing == PaneInfoTiming.LATE:
            Metrics.counter(NAMESPACE, LATE).inc(count)
            for window in windowed.windows:
                self._late[window] += count

    def rows(self) -> Iterator[TaggedOutput]:
        """Gives a row for each window, in that window."""
        for window, count in self._counts.items():
            noted = frozenset(self._noted.get(window, ()))
            if self._side == TAKEN:
                told = WindowCounts(taken=count, noted_taken=noted)
            else:
                told = WindowCounts(
                    given=count,
                    late=self._late[window],
                    noted_given=noted,
                    floor=self._floors.get(window, b""),
                )
            row = window_row(str(window), told.plus(WindowCounts()))
            yield TaggedOutput(WINDOWS, WindowedValue(row, window.max_timestamp(), (window,)))


def note_lag(timestamp: Any) -> None:
    """Notes how long ago the time of an element was, where it has one; what is of the future has no lag."""
    if MIN_TIMESTAMP < timestamp < GlobalWindow().max_timestamp():
        lag = time.time_ns() // 1_000_000 - timestamp.micros // 1000
        Metrics.distribution(NAMESPACE, EVENT_LAG_MS).update(max(0, lag))


def window_row(window: str, counts: WindowCounts) -> bytes:
    """Returns the row of one window, that `sum_of_rows` reads."""
    return json.dumps([window, counts.to_json()]).encode()


def sum_of_rows(rows: Iterable[bytes]) -> dict[str, WindowCounts]:
    """Returns what went in and came out by window.

    >>> rows = [window_row("[0, 10)", WindowCounts(3)), window_row("[0, 10)", WindowCounts(1, 2))]
    >>> found = sum_of_rows(rows)["[0, 10)"]
    >>> found.taken, found.given
    (4, 2)
    """
    found: dict[str, WindowCounts] = {}
    for row in rows:
        window, told = json.loads(row)
        found[window] = found.get(window, WindowCounts()).plus(WindowCounts.from_json(told))
    return found


LAG_SAMPLE = 128
"""Of so many elements of a bundle one is asked how old it is."""


class _Counting(StatelessDoFn):
    """Passes elements on as they are, and counts them.

    Args:
      form: of the elements.
      least: of origins it is noted where their hashes are at least this; None notes none.
    """

    def __init__(self, form: str = KEYED, least: bytes | None = None) -> None:
        self._form = form
        self._least = least

    @property
    def ends(self) -> Ends:
        """What it takes and gives."""
        return Ends(self._form, self._form, {WINDOWS: PLAIN})

    def _provenance(self, element: Any) -> bytes:
        found: bytes = element[1][0] if self._form == KEYED else element[0]
        return found


class CountWindowsDoFn(_Counting):
    """Counts what is to be grouped: gives a row for each window that any was in."""

    def start_bundle(self) -> None:
        self._tally = WindowTally(TAKEN, self._least)
        self._left = 1

    def process(self, element: Any, windowed: Any = beam.DoFn.WindowedValueParam) -> Iterable[Any]:
        self._left -= 1
        if not self._left:
            self._left = LAG_SAMPLE
            note_lag(windowed.timestamp)
        self._tally.add(windowed.windows)
        self._tally.note(windowed.windows, (self._provenance(element),))
        return (element,)

    def finish_bundle(self) -> Iterator[Any]:
        yield from self._tally.rows()


class CountToldDoFn(Tallying, _Counting):
    """Counts what was grouped and is as it was before: alone, by window, and for the ledger."""

    def start_bundle(self) -> None:
        super().start_bundle()
        self._number = 0
        self._windows = WindowTally(GIVEN, self._least)

    def process(self, element: Any, windowed: Any = beam.DoFn.WindowedValueParam) -> Iterable[Any]:
        provenance = self._provenance(element)
        self._number += 1
        self._windows.add(windowed.windows)
        self._windows.note(windowed.windows, (provenance,))
        if self.tally is not None:
            self.tally.came_in(windowed.windows)
            self.tally.took_each((provenance,))
            self.tally.gave(provenance)
        return (element,)

    def finish_bundle(self) -> Iterator[Any]:
        flush_gathered(self._number)
        yield from self._windows.rows()
        yield from super().finish_bundle()
