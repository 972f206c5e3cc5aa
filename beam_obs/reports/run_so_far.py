"""A run that has not ended, with what is known of its dead letters by now."""

from __future__ import annotations

import dataclasses

from beam_obs.store.kinds_of_refusal import dead_letters_of
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store

MOST_READ = 100_000
"""Of dead letters that are gone through for the report of a run that has not ended."""


def with_refusals(record: RunRecord, store: Store, most_read: int = MOST_READ) -> RunRecord:
    """Returns a run that has not ended with what is known of its dead letters, as an end has it.

    Args:
      record: the run; one that has ended is given back as it is.
      store: where it is kept.
      most_read: so many dead letters are gone through at most: of a run that has more nothing is added.
    """
    if record.end is not None or not 0 < record.refused <= most_read:
        return record
    live = {**(record.live or {}), "dead_letters": dead_letters_of(store, record)}
    return dataclasses.replace(record, live=live)
