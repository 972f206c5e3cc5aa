"""The runs that a replay comes from: it reads no source itself, so that its records are of theirs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from beam_obs.store.evidence import read_evidence
from beam_obs.store.partitions_file import partitions_of
from beam_obs.store.run_record import RunRecord
from beam_obs.store.source_partition import SourcePartition
from beam_obs.store.store import RunNotFound, Store

_MOST = 100


def parents_of(store: Store, record: RunRecord) -> Iterator[RunRecord]:
    """Gives the run whose dead letters a run replays, the one whose letters that replayed, and so on.

    Args:
      store: the store.
      record: the run.

    Raises:
      RunNotFound: one of them is not in the store any more; raised behind those that are.
    """
    seen = {record.id}
    while (parent := record.start.get("parent_run")) and parent not in seen and len(seen) < _MOST:
        record = store.find(parent)
        seen.add(parent)
        yield record


def partitions_with_parents(store: Store, record: RunRecord) -> list[SourcePartition]:
    """Returns what a run read, and what the runs read that its records come from, as far as that is known."""
    found: list[SourcePartition] = []
    records = [record]
    with contextlib.suppress(RunNotFound):
        records.extend(parents_of(store, record))
    for one in records:
        found.extend(partitions_of(store, one, read_evidence(store, one.folder, one.end))[0])
    return list(dict.fromkeys(found))
