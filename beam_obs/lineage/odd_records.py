"""Records that the ledger of a run found lost or too many, by their origins: where each of them came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from beam_obs.lineage.ancestry import Ancestry
from beam_obs.lineage.answers import FromAggregate, FromSource
from beam_obs.lineage.run_evidence import RunEvidence
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store


def odd_records(
    store: Store, record: RunRecord, origins: Iterable[str]
) -> Iterator[FromSource | FromAggregate]:
    """Gives what each origin was made of.

    Args:
      store: the store.
      record: the run.
      origins: 32 hex digits each.
    """
    evidence = RunEvidence(store, record)
    for origin in origins:
        yield Ancestry(evidence).of(bytes.fromhex(origin), None)
