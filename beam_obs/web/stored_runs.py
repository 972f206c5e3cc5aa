"""Runs of a store as pages ask for them: what has ended is read once and kept, since it does not change."""

from __future__ import annotations

import collections
import threading

from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store

_MOST_KEPT = 20_000


class StoredRuns:
    """The runs of a store.

    Args:
      store: the store.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._ended: collections.OrderedDict[str, RunRecord] = collections.OrderedDict()
        self._lock = threading.Lock()

    def newest(self, pipeline: str | None = None, limit: int | None = None) -> list[RunRecord]:
        """Returns the runs of a pipeline, or of all, newest first.

        Args:
          pipeline: name of the pipeline; None for all.
          limit: at most this many; None for all.

        Raises:
          StoreNotFound: there is no store.
        """
        return self.read(self.store.ids(pipeline)[:limit])

    def read(self, ids: list[tuple[str, str]]) -> list[RunRecord]:
        """Returns the runs with these ids, each given with the name of its pipeline, in order."""
        with self._lock:
            found = {run: self._ended[run] for run, _ in ids if run in self._ended}
        for record in self.store.read([(run, name) for run, name in ids if run not in found]):
            found[record.id] = record
            if record.end is not None:
                self._keep(record)
        return [found[run] for run, _ in ids]

    def find(self, selector: str) -> RunRecord:
        """Returns the run that is meant by an id, the beginning of one, or ``PIPELINE@latest``.

        Raises:
          RunNotFound: there is no such run, or more than one.
        """
        with self._lock:
            kept = self._ended.get(selector)
        return kept or self.store.find(selector)

    def _keep(self, record: RunRecord) -> None:
        with self._lock:
            self._ended[record.id] = record
            while len(self._ended) > _MOST_KEPT:
                self._ended.popitem(last=False)
