"""What to type next about a run."""

from __future__ import annotations

import shlex

from beam_obs.records.run_id import SHORT_ID
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store


def next_commands(record: RunRecord, store: Store) -> list[str]:
    """Returns the commands that tell more of a run, as they are typed."""
    short = record.id[:SHORT_ID]
    where = "" if store.is_default else f" --store {shlex.quote(store.shown_uri)}"
    listed = [f"beam-obs dead-letters list {short}{where}"] if record.refused else []
    verbs = {"running": f"show {short} --follow", "submitted": f"watch {short}"}
    watched = [f"beam-obs {verbs[record.status]}{where}"] if record.status in verbs else []
    return [*watched, *listed, f"beam-obs show {short} --json{where}"]
