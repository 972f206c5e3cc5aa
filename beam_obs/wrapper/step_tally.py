"""What passes a step in a bundle: the provenances of its elements, held until it ends, then summed up.

To add up the hash of each element costs 75 ns, to hold its provenance 15; numpy sums them up at the end.
Steps behind each other in a bundle mostly take the same, which is summed up but once.

Where elements are in windows they are summed up by window too. To ask Beam for the window of an element costs
900 ns, so that but the first of several steps does; those behind it know the window by the origin, when the
bundle ends. An origin that is in several windows, or came from elsewhere, is in none that is known.
"""

from __future__ import annotations

import itertools
import operator
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindows

from beam_obs.records.contributors import NO_SOURCE, total_in
from beam_obs.records.ledger_rows import (
    BY_WINDOW,
    GIVEN,
    LATER,
    MISSED,
    REFUSED,
    TAGS,
    TAKEN,
    UNTAKEN,
    StepPoints,
    row_of,
)
from beam_obs.records.origin_sums import OriginSums, Total, sum_of_totals
from beam_obs.records.window_sums import Window, WindowSums, totals_by

LEDGER_TAG = "beam_obs_ledger"
"""Tag of the output by which rows of the ledger leave a step."""

HELD_MOST = 8_192
"""Provenances that are held of a point at most where what comes at once is known: then they are summed up."""
_FEW = 64


class _OfThread(threading.local):
    """What was summed up last in this thread, and what is counted in the bundle that it processes.

    Attributes:
      held: what was summed up.
      sums: of it.
      by_window: the same by the end of the window, by who tells windows.
      tallies: of the steps of the bundle.
      told: in which windows elements are, by first point of who tells it.
    """

    def __init__(self) -> None:
        self.held: list[bytes] = []
        self.sums = OriginSums()
        self.by_window: dict[int, list[tuple[int, Total]]] = {}
        self.tallies: weakref.WeakSet[StepTally] = weakref.WeakSet()
        self.told: dict[int, _Told] = {}


class _Told:
    """In which window elements are, as a step tells it.

    Attributes:
      ends: by origin, the end of its window in microseconds since 1970; None where it is in several.
      moved: origins of elements that a step behind it put into another window.
      starts: of the windows, by their ends.
    """

    def __init__(self) -> None:
        self.ends: dict[bytes, int | None] = {}
        self.moved: set[bytes] = set()
        self.starts: dict[int, int] = {}
        self._last = b""

    def add(self, origins: list[bytes], windows: list[Any]) -> list[int | None]:
        """Adds elements and the windows that they are in; returns the ends of these."""
        ends = _ends_of(windows)
        for end, window in dict(zip(ends, windows, strict=True)).items():
            if end is not None:
                self.starts[end] = window._start_micros
        known, before = self.ends, list(self.ends.items())
        known.update(zip(origins, ends, strict=True))
        known.update(dict.fromkeys(self.moved.intersection(known)))
        if len(known) < len(before) + len(origins):
            for origin, end in itertools.chain(before, zip(origins, ends, strict=True)):
                if known[origin] != end:
                    known[origin] = None
        if origins:  # The last element may not have left all steps yet.
            self._last = origins[-1]
        return ends

    def forget(self) -> None:
        """Forgets all elements but the last."""
        self.ends = {self._last: self.ends[self._last]} if self._last in self.ends else {}
        self.moved.clear()


_HERE = _OfThread()


def settle_all() -> int:
    """Sums up what the steps of the bundle hold, so that memory stays flat; returns after how many elements
    it is to be done again.

    Called before an element or a block enters the first step of several in a bundle, where all have the same.
    """
    tallies = list(_HERE.tallies)
    for tally in tallies:
        tally.tell_windows()
    for tally in tallies:
        tally.settle()
    for told in _HERE.told.values():
        told.forget()
    return HELD_MOST


class StepTally:
    """Counts what passes the points of a step.

    Args:
      points: of the step.

    Attributes:
      took, missed, later, gave, refused: note a provenance.
      tags: what notes the provenance of an output, by its tag.
      has_taken, has_given: whether the process function notes all that came in, and all that left.
      gives_given: whether it notes each main output as given, not only those beyond one for each element.
      settles: whether it is to call `settle_all` now and then.
      knows_windows: whether it is summed up by window.
      tells_windows: whether it is to be told in which window each element is that came in.
      came_in: tells it; called once for each of them, after `took` or before.
    """

    def __init__(self, points: StepPoints) -> None:
        self.has_taken = self.has_given = self.gives_given = False
        self.settles, self.tells_windows = points.is_first, points.tells_windows
        self.knows_windows = bool(points.told_by)
        self._first, self._told_by = points.first, points.told_by
        self._held: list[list[bytes]] = [[] for _ in range(points.number)]
        self._sums: dict[int, OriginSums] = {}
        self._totals: list[Total] = []
        self._by_window: dict[int, WindowSums] = {}
        self._windows: list[Any] = []
        self._groups: list[tuple[Any, int]] = []
        self._is_split: set[int] = set()
        self.came_in = self._windows.append
        notes: list[Callable[[bytes], None]] = [held.append for held in self._held]
        self.took, self.missed, self.later = notes[TAKEN], notes[MISSED], notes[LATER]
        self.gave, self.refused = notes[GIVEN], notes[REFUSED]
        self.tags: dict[str, Callable[[bytes], None]] = _Tags(notes[UNTAKEN])
        self.tags.update({tag: notes[TAGS + at] for at, tag in enumerate(points.tags)})
        self._took_each, self._gave_each = self._held[TAKEN].extend, self._held[GIVEN].extend

    @property
    def names(self) -> dict[str, Any]:
        """What the names in the texts of `process_text` stand for."""
        return {
            "took": self.took,
            "missed": self.missed,
            "given_later": self.later,
            "gave": self.gave,
            "gave_more": self.gave_more,
            "died": self.refused,
            "settle_all": settle_all,
            "held_most": HELD_MOST,
        }

    def notes(self, taken: bool, given: bool, gives_given: bool = False) -> None:
        """Says what the process function that was made notes."""
        self.has_taken, self.has_given, self.gives_given = taken, given, gives_given

    def clear(self) -> None:
        """Begins a bundle."""
        for held in self._held:
            held.clear()
        _HERE.tallies.add(self)
        _HERE.told.clear()
        _HERE.by_window.clear()
        self._sums.clear()
        self._totals.clear()
        self._by_window.clear()
        self._windows.clear()
        self._groups.clear()
        self._is_split.clear()

    def took_each(self, provenances: Iterable[bytes]) -> None:
        """Notes several elements that came in."""
        if len(self._held[TAKEN]) > HELD_MOST:
            settle_all()
        self._took_each(provenances)

    def gave_each(self, provenances: Iterable[bytes]) -> None:
        """Notes several outputs."""
        if len(self._held[GIVEN]) > HELD_MOST:
            settle_all()
        self._gave_each(provenances)

    def gave_more(self, provenance: bytes, number: int) -> None:
        """Notes the outputs of an element, one of which is counted as the element is."""
        if number > 1:
            self._gave_each([provenance] * (number - 1))
        elif not number:
            self.later(provenance)

    def took_sum(self, summary: bytes, window: Any = None) -> None:
        """Notes elements that came in, of which but their summary is known, and the window of all of them."""
        if summary != NO_SOURCE:
            total = total_in(summary)
            self._totals.append(total)
            if hasattr(window, "_end_micros"):
                one = Window(window._start_micros, window._end_micros)
                self._sums_by_window_of(TAKEN).add(one, total)
            if len(self._totals) > HELD_MOST:
                self._settle_totals()

    def gave_group(self, window: Any, taken: int) -> None:
        """Notes the window of an output, and of those that came in since the one before it."""
        self._groups.append((window, taken))

    def has_moved(self, provenance: bytes) -> None:
        """Notes that the step gives an element a time, or windows, of its own."""
        told = self._told()
        told.moved.add(provenance)
        if provenance in told.ends:  # when a bundle ends
            told.ends[provenance] = None
            _HERE.by_window.clear()

    def tell_windows(self) -> None:
        """Tells in which windows the elements are that came in, or of an aggregate those that it gave."""
        if self._groups:
            windows = [window for window, _ in self._groups]
            taken = [window for window, number in self._groups for _ in range(number)]
            self._groups.clear()
            if len(windows) == len(self._held[GIVEN]):
                self._tell(GIVEN, windows)
                if len(taken) == len(self._held[TAKEN]):
                    self._note_windows(TAKEN, _ends_of(taken))
        elif self._windows:
            # Of the element that is under way the window may be here before it.
            number = min(len(self._windows), len(self._held[TAKEN]))
            windows = self._windows[:number]
            del self._windows[:number]
            if number == len(self._held[TAKEN]):
                self._tell(TAKEN, windows)

    def settle(self) -> None:
        """Sums up what is held."""
        for at, held in enumerate(self._held):
            if len(held) > (0 if self._told_by else _FEW):
                self._settle(at)
        self._settle_totals()

    def rows(self) -> Iterator[TaggedOutput]:
        """Gives the row of the bundle, unless nothing passed."""
        _HERE.tallies.discard(self)
        self.tell_windows()
        row = row_of(self._parts())
        if row:
            yield TaggedOutput(LEDGER_TAG, GlobalWindows.windowed_value(row))

    def _settle_totals(self) -> None:
        if self._totals:
            self._sums_of(TAKEN).add_total(sum_of_totals(self._totals))
            self._totals.clear()

    def _parts(self) -> Iterator[tuple[int, bytes]]:
        self._settle_totals()
        for at, held in enumerate(self._held):
            if at in self._sums:
                self._settle(at)
                yield self._first + at, self._sums[at].encode()
            elif held:
                yield self._first + at, _sums_of(held).encode()
                self._split(at, held)
        for at, by_window in filter(operator.itemgetter(1), self._by_window.items()):
            yield self._first + at | BY_WINDOW, by_window.encode()

    def _tell(self, at: int, windows: list[Any]) -> None:
        self._note_windows(at, self._told().add(self._held[at], windows))

    def _told(self) -> _Told:
        return _HERE.told.setdefault(self._told_by, _Told())

    def _note_windows(self, at: int, ends: list[int | None]) -> None:
        """Sums up by window what is held, each element in the window that ends then."""
        if ends:
            self._add_by_window(at, totals_by(ends, self._held[at]))
            self._is_split.add(at)

    def _split(self, at: int, held: list[bytes]) -> None:
        """Sums up by window what is held, unless that was done when windows were told."""
        if at in self._is_split:
            self._is_split.discard(at)
        elif self._told_by in _HERE.told:
            self._add_by_window(at, self._totals_of(held))

    def _totals_of(self, held: list[bytes]) -> Iterable[tuple[int, Total]]:
        ends = _HERE.told[self._told_by].ends
        if len(held) <= _FEW:
            return totals_by(list(map(ends.get, held)), held)
        # `held` was summed up as a whole just now.
        if self._told_by not in _HERE.by_window:
            _HERE.by_window[self._told_by] = list(totals_by(list(map(ends.get, held)), held))
        return _HERE.by_window[self._told_by]

    def _add_by_window(self, at: int, totals: Iterable[tuple[int, Total]]) -> None:
        starts, sums = _HERE.told[self._told_by].starts, self._sums_by_window_of(at)
        for end, total in totals:
            sums.add(Window(starts[end], end), total)

    def _sums_by_window_of(self, at: int) -> WindowSums:
        return self._by_window.setdefault(at, WindowSums())

    def _settle(self, at: int) -> None:
        held = self._held[at]
        if held:
            self._sums_of(at).merge(_sums_of(held))
            self._split(at, held)
            held.clear()

    def _sums_of(self, at: int) -> OriginSums:
        return self._sums.setdefault(at, OriginSums())


class _Tags(dict[str, Callable[[bytes], None]]):
    """By tag; of one that no PCollection has, what notes all of those."""

    def __init__(self, other: Callable[[bytes], None]) -> None:
        super().__init__()
        self._other = other

    def __missing__(self, tag: str) -> Callable[[bytes], None]:
        return self._other


def _sums_of(held: list[bytes]) -> OriginSums:
    """Returns the sums of provenances; they are not to be changed."""
    if len(held) > _FEW:
        if held == _HERE.held:
            return _HERE.sums
        _HERE.held = list(held)
        _HERE.by_window.clear()
    sums = OriginSums()
    sums.add(held)
    if len(held) > _FEW:
        _HERE.sums = sums
    return sums


def _ends_of(windows: list[Any]) -> list[int | None]:
    try:
        return [window._end_micros for window in windows]
    except AttributeError:  # A user's function may put what it gives into any window.
        return [getattr(window, "_end_micros", None) for window in windows]
