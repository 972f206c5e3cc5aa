"""What a run read: its partitions, with their versions, records and refusals."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from beam_obs.lineage import run_choice
from beam_obs.lineage.answers import RunOf
from beam_obs.lineage.certainty import COMPLETELY, Certainty, not_recorded
from beam_obs.lineage.run_evidence import RunEvidence
from beam_obs.store.source_partition import SourcePartition
from beam_obs.store.store import Store, store_at


@dataclasses.dataclass(frozen=True)
class Sources:
    """What a run read.

    Args:
      run: the run.
      certainty: whether it is all.
      partitions: each part of each source, in one version.
    """

    run: RunOf
    certainty: Certainty
    partitions: tuple[SourcePartition, ...]

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be said since files of the store are missing or damaged."""
        return self.certainty.is_damaged and not self.partitions

    def to_json(self) -> dict[str, Any]:
        """Returns the answer as JSON-able values."""
        return {
            "certainty": self.certainty.to_json(),
            "run": self.run.to_json(),
            "partitions": [one.to_json() for one in self.partitions],
        }


def sources(run: str = "latest", *, store: Store | str | os.PathLike[str] | None = None) -> Sources:
    """Returns what a run read.

    Args:
      run: as `Store.find` takes it.
      store: where the run is kept, or its folder; by default that of the commands.

    Raises:
      RunNotFound: there is no such run.

    >>> import apache_beam as beam, pathlib
    >>> import beam_obs as obs
    >>> import beam_obs.lineage as lineage
    >>> _ = pathlib.Path("fares.csv").write_text("city,fare\\nrome,12.5\\n")
    >>> with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="fares") as p:
    ...     _ = p | obs.ReadFromCsv("fares.csv") | obs.WriteToJson("fares", num_shards=1)
    >>> [(part.name, part.records) for part in lineage.sources("fares@latest").partitions]
    [('fares.csv', 1)]
    """
    store = store_at(store)
    evidence = RunEvidence(store, store.find(run))
    record = evidence.record
    certainty = COMPLETELY
    if record.end is None or record.status != "done":
        certainty = not_recorded(f"the run is {record.status}: what it read is not all committed")
    elif not evidence.partitions:
        certainty = not_recorded(run_choice.no_lineage(evidence) or "the run noted no sources")
    partitions = evidence.partitions
    return Sources(run_choice.run_of(record), evidence.sure(certainty), partitions)
