"""What committed bundles of a run that lives have in its store, looked at now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from beam_obs.metrics.families import Family
from beam_obs.records.instrument_rows import InstrumentRow
from beam_obs.records.ledger_rows import LEDGER, PointSums
from beam_obs.records.open_windows import without_whole
from beam_obs.records.window_counts import WindowCounts
from beam_obs.runs.live_ledger import KEPT_WINDOWS, CommittedSums
from beam_obs.store.evidence import (
    Evidence,
    committed_kinds,
    kinds_together,
    manifests_of,
    read_evidence,
    read_manifest_files,
    summarize_ledger,
    summarize_windows,
    windows_together,
)
from beam_obs.store.instrument_values import kept_families, kept_rows, merged_families, rows_that_count
from beam_obs.store.store import Store

LOOK_SECONDS = 15.0
"""Least time between two looks; a look reads the manifests that are new in the run's folder."""
LOOKED_SHARE = 0.05
"""Most CPU time of a core that looking takes: a stream of weeks has many windows."""


class Committed(NamedTuple):
    """What there was at the last look.

    Args:
      families: gauges and summaries.
      kinds: kinds of refusal, as ``by_fingerprint`` of ``end.json`` has them.
      problems: what cannot be read, as sentences.
      windows: by step and window, what steps took and gave that count by window.
      ledger: what rows of the ledger come to; None where some are missing or damaged.
    """

    families: tuple[Family, ...] = ()
    kinds: tuple[dict[str, Any], ...] = ()
    problems: tuple[str, ...] = ()
    windows: Mapping[str, Mapping[str, WindowCounts]] = {}
    ledger: CommittedSums | None = None


class CommittedSoFar:
    """Looks in threads of its own, so that no store that is slow, or away, holds anybody up.

    Args:
      store: the store.
      folder: the run's folder, relative to the store.
    """

    def __init__(self, store: Store, folder: str) -> None:
        self._read = ReadSoFar(store, folder)
        self._latest = Committed()
        self._due = float("-inf")
        self._thread: threading.Thread | None = None

    def latest(self) -> Committed:
        """Returns what the last look found, and begins a new one where that is due."""
        is_looking = self._thread is not None and self._thread.is_alive()
        if not is_looking and time.monotonic() >= self._due:
            self._thread = threading.Thread(target=self._look, name="beam_obs committed", daemon=True)
            self._thread.start()
        return self._latest

    def _look(self) -> None:
        began = time.thread_time()
        try:
            self._latest = self._read.look()
        except Exception:  # a store may be away for a while
            return
        finally:
            took = time.thread_time() - began
            self._due = time.monotonic() + max(LOOK_SECONDS, took / LOOKED_SHARE)


class ReadSoFar:
    """What the manifests of a run say that were read so far: a look adds what new ones say.

    Where one may take the place of another, as those of a batch, or is damaged, all are read anew.

    Args:
      store: the store.
      folder: the run's folder, relative to the store.
    """

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._folder = folder
        self._names = frozenset[str]()
        self._manifests = frozenset[tuple[str, str, str]]()
        self._rows: list[InstrumentRow] = []
        self._told = Committed()

    def look(self) -> Committed:
        """Returns what there is now."""
        names = [name for name in self._store.files.names(self._folder) if name not in self._names]
        read = read_manifest_files(self._store, self._folder, names)
        if any(one.problem or one.takes_place for one in read):
            return read_committed(self._store, self._folder)
        found = {(one.kind, one.stage, one.file): one for one in manifests_of(one.content for one in read)}
        new = Evidence(tuple(found[key] for key in found if key not in self._manifests), (), ())
        problems = list(self._told.problems)
        rows = [*self._rows, *kept_rows(self._store, self._folder, new, problems)]
        rows = rows_that_count(rows, problems)
        families = tuple(merged_families(rows, []))
        fresh = _committed(new, families, tuple(problems))
        if fresh.ledger is None and new.of_kind(LEDGER):
            return read_committed(self._store, self._folder)
        told = _together(self._told, fresh)
        self._names = self._names.union(one.name for one in read)
        self._manifests, self._rows, self._told = self._manifests.union(found), rows, told
        return told


def read_committed(store: Store, folder: str) -> Committed:
    """Returns what committed bundles of a run have in the store.

    Args:
      store: the store.
      folder: the run's folder, relative to the store.
    """
    evidence = read_evidence(store, folder)
    problems: list[str] = []
    families = tuple(kept_families(store, folder, evidence, problems))
    return _committed(evidence, families, tuple(problems))


def _committed(evidence: Evidence, families: tuple[Family, ...], problems: tuple[str, ...]) -> Committed:
    is_told = not evidence.problems and evidence.of_kind(LEDGER)
    ledger = _sums_of(evidence) if is_told else None
    kinds = tuple(committed_kinds(evidence))
    return Committed(families, kinds, problems, summarize_windows(evidence), ledger)


def _sums_of(evidence: Evidence) -> CommittedSums | None:
    try:
        return CommittedSums(summarize_ledger(evidence), len(evidence.of_kind(LEDGER)))
    except ValueError:  # damaged: the end says so
        return None


def _together(before: Committed, new: Committed) -> Committed:
    """Returns what was told and what is new, in objects of its own: another thread has those told."""
    windows = windows_together(before.windows, new.windows)
    return new._replace(
        kinds=tuple(kinds_together([*before.kinds, *new.kinds])),
        windows={step: without_whole(counts, KEPT_WINDOWS) for step, counts in windows.items()},
        ledger=_sums_together(before.ledger, new.ledger),
    )


def _sums_together(before: CommittedSums | None, new: CommittedSums | None) -> CommittedSums | None:
    if before is None or new is None:
        return new or before
    sums = PointSums()
    sums.merge(before.sums)
    sums.merge(new.sums)
    sums.keep_windows(KEPT_WINDOWS)
    return CommittedSums(sums, before.commits + new.commits)
