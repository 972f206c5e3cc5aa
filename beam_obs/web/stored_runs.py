"""Runs of a store as pages ask for them: what has ended is read once and kept, since it does not change.

Of thousands of runs only what lists say is kept; of the newest that were asked for, all.
"""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, NamedTuple, TypeVar

from beam_obs.records.errors import BeamObsError
from beam_obs.store.run_record import RunRecord
from beam_obs.store.run_summary import RunSummary, summary_of
from beam_obs.store.schedule import Schedule
from beam_obs.store.step_counts import StepCounts, step_counts
from beam_obs.store.store import Store

_MOST_RECORDS = 200
_MOST_SUMMARIES = 50_000
_MOST_COUNTS = 2_000
_READ_AT_ONCE = 32
"""Runs between two looks at the clock, and objects of a remote store that are asked for together."""

_LISTING_SHARE = 10
"""A listing that took a second is good for ten: to list a store of objects is slow, and costs."""
_LONGEST_LISTING_SECONDS = 60.0
_UNENDED_SECONDS = 2.0
"""For so long a run that has not ended is as it was: those that were lost are not read for each page."""

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")

RunId = tuple[str, str]
"""Id of a run, and the name of its pipeline."""


class _Listing(NamedTuple):
    ids: list[RunId]
    good_until: float


class StoredRuns:
    """The runs of a store.

    Args:
      store: the store.
      patience_seconds: for so long one page reads runs, where the rest can come with the next; None for as
        long as it takes.
      schedules: when runs are to start, by name of the pipeline.
    """

    def __init__(
        self,
        store: Store,
        patience_seconds: float | None = None,
        schedules: Mapping[str, Schedule] | None = None,
    ) -> None:
        self.store = store
        self.schedules = schedules or {}
        self._patience_seconds = patience_seconds
        self._records: _Kept[str, RunRecord] = _Kept(_MOST_RECORDS)
        self._summaries: _Kept[str, RunSummary] = _Kept(_MOST_SUMMARIES)
        self._counts: _Kept[str, dict[str, StepCounts]] = _Kept(_MOST_COUNTS)
        self._listing: _Listing | None = None
        self._reader: threading.Thread | None = None
        self._starting = threading.Lock()

    def until(self) -> float | None:
        """Returns when, by `time.monotonic`, a page that begins now reads no further run; None for never."""
        return None if self._patience_seconds is None else time.monotonic() + self._patience_seconds

    def ids(self, pipeline: str | None = None) -> list[RunId]:
        """Returns the runs of a pipeline, or of all, newest first; reads none of them.

        A store that is slow to list is not listed for each page: a run that began since may be missing for
        ten times as long as listing takes, and for a minute at most.

        Raises:
          StoreNotFound: there is no store.
        """
        listing = self._listing
        began = time.monotonic()
        if listing is None or began >= listing.good_until:
            found = self.store.ids()
            ended = time.monotonic()
            good_for = min(_LISTING_SHARE * (ended - began), _LONGEST_LISTING_SECONDS)
            self._listing = listing = _Listing(found, ended + good_for)
        return [one for one in listing.ids if pipeline in (None, one[1])]

    def ids_by_pipeline(self) -> dict[str, list[RunId]]:
        """Returns the runs of each pipeline, newest first; the pipeline with the newest run first."""
        found: dict[str, list[RunId]] = {}
        for one in self.ids():
            found.setdefault(one[1], []).append(one)
        return found

    def newest(self, pipeline: str | None = None, limit: int | None = None) -> list[RunRecord]:
        """Returns the runs of a pipeline, or of all, newest first.

        Args:
          pipeline: name of the pipeline; None for all.
          limit: at most this many; None for all.

        Raises:
          StoreNotFound: there is no store.
        """
        return self.read(self.ids(pipeline)[:limit])

    def read(self, ids: list[RunId]) -> list[RunRecord]:
        """Returns the runs with these ids, each given with the name of its pipeline, in order."""
        found = self._records.those_of([run for run, _ in ids])
        for record in self.store.read([one for one in ids if one[0] not in found]):
            found[record.id] = record
            if record.end is not None:
                self._records.keep(record.id, record)
        return [found[run] for run, _ in ids]

    def find(self, selector: str) -> RunRecord:
        """Returns the run that is meant by an id, the beginning of one, or ``PIPELINE@latest``.

        Raises:
          RunNotFound: there is no such run, or more than one.
        """
        kept = self._records.those_of([selector])
        if kept:
            return kept[selector]
        known = [] if self._listing is None else [one for one in self._listing.ids if one[0] == selector]
        return self.read(known)[0] if len(known) == 1 else self.store.find(selector)

    def summaries(self, ids: list[RunId], until: float | None = None) -> dict[str, RunSummary]:
        """Returns what lists say of runs, by id.

        Args:
          ids: the runs, those that are wanted most first.
          until: by `time.monotonic`, when no further one is read; None to read all.
        """
        return self._of_each(ids, self._summaries, summary_of, until)

    def read_on(self, ids: list[RunId]) -> None:
        """Reads what lists say of runs in a thread, while others are answered; one thread at a time."""
        with self._starting:
            if self._reader is not None and self._reader.is_alive():
                return
            self._reader = threading.Thread(target=self._read_quietly, args=(ids,), daemon=True)
            self._reader.start()

    def _read_quietly(self, ids: list[RunId]) -> None:
        with contextlib.suppress(BeamObsError, OSError):  # whoever asks for a page is told
            self.summaries(ids)

    def last_success(self, ids: list[RunId], until: float | None = None) -> tuple[RunSummary | None, bool]:
        """Returns the first of some runs that is done, and whether that is sure: all before it were read.

        Args:
          ids: the runs, newest first.
          until: by `time.monotonic`, when no further one is read; None to read as many as it takes.
        """
        for start in range(0, len(ids), _READ_AT_ONCE):
            some = ids[start : start + _READ_AT_ONCE]
            found = self.summaries(some, until)
            if len(found) < len(some):
                return None, False
            done = next((found[run] for run, _ in some if found[run].is_success), None)
            if done is not None:
                return done, True
        return None, True

    def step_counts(self, ids: list[RunId]) -> dict[str, dict[str, StepCounts]]:
        """Returns the counts of the steps of runs, as people see them, by id and label."""
        return self._of_each(ids, self._counts, step_counts, None)

    def _of_each(
        self,
        ids: list[RunId],
        kept: _Kept[str, _Value],
        value_of: Callable[[RunRecord], _Value],
        until: float | None,
    ) -> dict[str, _Value]:
        found = kept.those_of([run for run, _ in ids])
        wanted = [one for one in ids if one[0] not in found]
        for start in range(0, len(wanted), _READ_AT_ONCE):
            if until is not None and time.monotonic() >= until:
                break
            for record in self._read_passing(wanted[start : start + _READ_AT_ONCE]):
                found[record.id] = value = value_of(record)
                good_for = None if record.end is not None else _UNENDED_SECONDS
                kept.keep(record.id, value, good_for)
                if kept is not self._summaries:  # lists will ask for it, and the record is at hand
                    self._summaries.keep(record.id, summary_of(record), good_for)
        return found

    def _read_passing(self, ids: list[RunId]) -> list[RunRecord]:
        """Returns runs of which all is wanted only for a moment."""
        known = self._records.those_of([run for run, _ in ids])
        read = self.store.read([one for one in ids if one[0] not in known])
        return [*known.values(), *read]


class _Kept(Generic[_Key, _Value]):
    """What was asked for last, as much as there is room for. Threads may share it.

    Args:
      most: as many are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: collections.OrderedDict[_Key, tuple[_Value, float | None]] = collections.OrderedDict()
        self._lock = threading.Lock()

    def those_of(self, keys: list[_Key]) -> dict[_Key, _Value]:
        """Returns those of the values that are kept, by key."""
        found = {}
        now = time.monotonic()
        with self._lock:
            for key in keys:
                kept = self._values.get(key)
                if kept is not None and (kept[1] is None or now < kept[1]):
                    self._values.move_to_end(key)
                    found[key] = kept[0]
        return found

    def keep(self, key: _Key, value: _Value, seconds: float | None = None) -> None:
        """Keeps a value, for so many seconds or for good."""
        with self._lock:
            self._values[key] = value, None if seconds is None else time.monotonic() + seconds
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)
