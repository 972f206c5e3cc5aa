"""What passes a step in a bundle: the provenances of its elements, held until it ends, then summed up.

To add up the hash of each element costs 75 ns, to hold its provenance 15; numpy sums them up at the end.
Steps behind each other in a bundle mostly take the same, which is summed up but once.

Where elements are in windows they are summed up by window too. To ask Beam for the window of an element costs
900 ns, so that but the first of several steps does, and notes each provenance with its window; those behind
it know the window by the origin, when the bundle ends. There an origin that is in several windows, or came
from elsewhere, is in none that is known. Where windows overlap each step asks, and an element counts in each.
"""

from __future__ import annotations

import itertools
import operator
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindows, TimestampedValue, WindowFn

from beam_obs.records.contributors import NO_SOURCE, total_in
from beam_obs.records.ledger_rows import (
    BY_WINDOW,
    GIVEN,
    LATER,
    LEDGER,
    MISSED,
    OVER,
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
LEDGER_KEY = LEDGER.encode()
"""Under which rows leave: as a stream gathers them, so that no step need put them under it."""
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
    """

    def __init__(self) -> None:
        self.ends: dict[bytes, int | None] = {}
        self.moved: set[bytes] = set()
        self._last = b""

    def add(self, origins: list[bytes], ends: list[int | None]) -> None:
        """Adds elements and the ends of the windows that they are in."""
        known, before = self.ends, list(self.ends.items())
        known.update(zip(origins, ends, strict=True))
        known.update(dict.fromkeys(self.moved.intersection(known)))
        if len(known) < len(before) + len(origins):
            for origin, end in itertools.chain(before, zip(origins, ends, strict=True)):
                if known[origin] != end:
                    known[origin] = None
        if origins:  # The last element may not have left all steps yet.
            self._last = origins[-1]

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
      tells_windows: whether it is to be told in which windows each element is, before it notes it.
      is_over: tells the end of a window, in microseconds since 1970, of which all has come that came in time.
    """

    def __init__(self, points: StepPoints) -> None:
        self.has_taken = self.has_given = self.gives_given = False
        self.settles, self.tells_windows = points.is_first, points.tells_windows
        self.knows_windows = bool(points.told_by)
        self._points, self._first, self._told_by = points, points.first, points.told_by
        self._held: list[list[bytes]] = [[] for _ in range(points.number)]
        self._windows: list[list[Any]] = [[] for _ in range(points.number)]
        self._here: list[Any] = []
        self._sums: dict[int, OriginSums] = {}
        self._totals: list[Total] = []
        self._by_window: dict[int, WindowSums] = {}
        self._is_split: set[int] = set()
        self._over: set[int] = set()
        self.is_over = self._over.add
        notes: list[Callable[[bytes], None]] = [held.append for held in self._held]
        if self.tells_windows:
            both = zip(self._held, self._windows, strict=True)
            notes = [_noting(held, windows, self._here) for held, windows in both]
        self.took, self.missed, self.later = notes[TAKEN], notes[MISSED], notes[LATER]
        self.gave, self.refused, self._untaken = notes[GIVEN], notes[REFUSED], notes[UNTAKEN]
        self.tags: dict[str, Callable[[bytes], None]] = _Tags(self._untaken)
        self.tags.update({tag: notes[TAGS + at] for at, tag in enumerate(points.tags)})

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
        for held in (*self._held, *self._windows):
            held.clear()
        _HERE.tallies.add(self)
        _HERE.told.clear()
        _HERE.by_window.clear()
        self._sums.clear()
        self._totals.clear()
        self._by_window.clear()
        self._is_split.clear()
        self._over.clear()

    def came_in(self, windows: Iterable[Any]) -> None:
        """Tells in which windows that is which is noted from now on; None for one that is not known."""
        self._here[:] = windows

    def took_each(self, provenances: Iterable[bytes]) -> None:
        """Notes several elements that came in."""
        if len(self._held[TAKEN]) > HELD_MOST:
            settle_all()
        self._note_each(TAKEN, provenances)

    def gave_each(self, provenances: Iterable[bytes]) -> None:
        """Notes several outputs."""
        if len(self._held[GIVEN]) > HELD_MOST:
            settle_all()
        self._note_each(GIVEN, provenances)

    def gave_more(self, provenance: bytes, number: int) -> None:
        """Notes the outputs of an element, one of which is counted as the element is."""
        if number > 1:
            self._note_each(GIVEN, [provenance] * (number - 1))
        elif not number:
            self.later(provenance)

    def took_sum(self, summary: bytes) -> None:
        """Notes elements that came in, of which but their summary is known."""
        if summary == NO_SOURCE:
            return
        total, windows = total_in(summary), self._here if self.tells_windows else []
        self._totals.extend([total] * (len(windows) if self.tells_windows else 1))
        for window, end in zip(windows, self._ends_of(TAKEN, windows), strict=True):
            if end is not None:
                one = Window(window._start_micros, end)
                self._sums_by_window_of(TAKEN).add(one, total)
        if len(self._totals) > HELD_MOST:
            self._settle_totals()

    def has_moved(self, provenance: bytes, result: Any, tag: str | None = None) -> None:
        """Notes an output that has a time, or windows, of its own.

        Args:
          provenance: of the element that it comes of.
          result: a `TimestampedValue` or `WindowedValue`.
          tag: of the output; None of the main one.
        """
        if self.knows_windows and not self._points.in_several:
            told = _HERE.told.setdefault(self._told_by, _Told())
            told.moved.add(provenance)
            if provenance in told.ends:  # when a bundle ends
                told.ends[provenance] = None
                _HERE.by_window.clear()
        note_tag = None if tag is None else self.tags[tag]
        if not self.tells_windows:
            if note_tag is not None:
                note_tag(provenance)
            return
        before = list(self._here)
        self._untaken(provenance)  # as given it is noted in the windows in which its element came
        self.came_in(self._windows_of(result) * len(before))
        self.gave(provenance)
        if note_tag is not None:
            note_tag(provenance)
        self.came_in(before)

    def tell_windows(self) -> None:
        """Tells in which windows elements are: of a step of the user's those that came in, of others those
        that they gave."""
        if self.tells_windows and not self._points.in_several:
            at = GIVEN if self._points.window_fn is None else TAKEN
            ends = self._ends_of(at, self._windows[at])
            _HERE.told.setdefault(self._told_by, _Told()).add(self._held[at], ends)
            self._split_by(at, ends)
            self._is_split.add(at)

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
            yield TaggedOutput(LEDGER_TAG, GlobalWindows.windowed_value((LEDGER_KEY, row)))

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
        if self._over:
            self._add_by_window(OVER, ((end, Total(1, 0, 0)) for end in self._over))
        for at, by_window in filter(operator.itemgetter(1), self._by_window.items()):
            yield self._first + at | BY_WINDOW, by_window.encode()

    def _note_each(self, at: int, provenances: Iterable[bytes]) -> None:
        if not self.tells_windows:
            self._held[at].extend(provenances)
            return
        held = list(provenances)
        for window in self._here:
            self._held[at].extend(held)
            self._windows[at].extend([window] * len(held))

    def _windows_of(self, result: Any) -> list[Any]:
        """Returns the windows of an output that has a time of its own, None for those that it has itself."""
        if not isinstance(result, TimestampedValue):
            return [None] * len(result.windows)
        context = WindowFn.AssignContext(result.timestamp, result.value)
        return list(self._points.window_fn.assign(context))

    def _micros(self, at: int) -> int:
        """Returns how long windows are."""
        before = self._points.micros_before
        return self._points.window_micros if before is None or at != TAKEN else before

    def _ends_of(self, at: int, windows: list[Any]) -> list[int | None]:
        """Returns the ends of windows; None for one that is not as long as those of the step."""
        micros = self._micros(at)
        try:
            ends = [window._end_micros for window in windows]
            starts = [window._start_micros for window in windows]
        except AttributeError:  # A user's function may put what it gives into any window.
            return [_end_of(window, micros) for window in windows]
        if set(map(operator.sub, ends, starts)) <= {micros}:
            return ends
        return [_end_of(window, micros) for window in windows]

    def _split_by(self, at: int, ends: list[int | None]) -> None:
        """Sums up by window what is held, each element in the window that ends then."""
        if ends:
            self._add_by_window(at, totals_by(ends, self._held[at]))
        self._windows[at].clear()

    def _split(self, at: int, held: list[bytes]) -> None:
        """Sums up by window what is held, unless that was done when windows were told."""
        if at in self._is_split:
            self._is_split.discard(at)
        elif self.tells_windows:
            self._split_by(at, self._ends_of(at, self._windows[at]))
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
        micros, sums = self._micros(at), self._sums_by_window_of(at)
        for end, total in totals:
            sums.add(Window(end - micros, end), total)

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


def _noting(held: list[bytes], windows: list[Any], here: list[Any]) -> Callable[[bytes], None]:
    """Returns what notes a provenance once for each window in which it is."""
    hold, add = held.append, windows.append

    def note(provenance: bytes) -> None:
        for window in here:
            hold(provenance)
            add(window)

    return note


def _end_of(window: Any, micros: int) -> int | None:
    end: int | None = getattr(window, "_end_micros", None)
    return end if end is not None and end - window._start_micros == micros else None
