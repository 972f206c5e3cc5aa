"""What committed bundles of a run that lives have in its store, looked at now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from beam_obs.metrics.families import Family
from beam_obs.records.window_counts import WindowCounts
from beam_obs.store.evidence import committed_kinds, read_evidence, summarize_windows
from beam_obs.store.instrument_values import kept_families
from beam_obs.store.store import Store

LOOK_SECONDS = 15.0
"""Least time between two looks; a look takes a listing of the run's folder, and its new manifests."""


class Committed(NamedTuple):
    """What there was at the last look.

    Args:
      families: gauges and summaries.
      kinds: kinds of refusal, as ``by_fingerprint`` of ``end.json`` has them.
      problems: what cannot be read, as sentences.
      windows: by step and window, what steps took and gave that count by window.
    """

    families: tuple[Family, ...] = ()
    kinds: tuple[dict[str, Any], ...] = ()
    problems: tuple[str, ...] = ()
    windows: Mapping[str, Mapping[str, WindowCounts]] = {}


class CommittedSoFar:
    """Looks in threads of its own, so that no store that is slow, or away, holds anybody up.

    Args:
      store: the store.
      folder: the run's folder, relative to the store.
    """

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._folder = folder
        self._latest = Committed()
        self._began = -LOOK_SECONDS
        self._thread: threading.Thread | None = None

    def latest(self) -> Committed:
        """Returns what the last look found, and begins a new one where that is due."""
        is_looking = self._thread is not None and self._thread.is_alive()
        if not is_looking and time.monotonic() - self._began >= LOOK_SECONDS:
            self._began = time.monotonic()
            self._thread = threading.Thread(target=self._look, name="beam_obs committed", daemon=True)
            self._thread.start()
        return self._latest

    def _look(self) -> None:
        try:
            self._latest = read_committed(self._store, self._folder)
        except Exception:  # a store may be away for a while
            return


def read_committed(store: Store, folder: str) -> Committed:
    """Returns what committed bundles of a run have in the store.

    Args:
      store: the store.
      folder: the run's folder, relative to the store.
    """
    evidence = read_evidence(store, folder)
    problems: list[str] = []
    families = tuple(kept_families(store, folder, evidence, problems))
    windows = summarize_windows(evidence)
    return Committed(families, tuple(committed_kinds(evidence)), tuple(problems), windows)
