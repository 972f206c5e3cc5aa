"""A run as one line of JSON in a list of runs, for programs."""

from __future__ import annotations

import json
from typing import Any

from beam_obs.store.run_record import RunRecord


def run_line(record: RunRecord) -> str:
    """Returns what a list of runs says of a run, as one JSON object."""
    end = record.end or {}
    told: dict[str, Any] = {
        "id": record.id,
        "pipeline": record.pipeline,
        "status": record.status,
        "dead": record.refused,
        "started": record.start["started"],
        "finished": end.get("finished"),
        "seconds": record.seconds,
        "runner": record.start.get("runner"),
        "code": (record.start.get("code") or {}).get("version"),
        "balanced": (end.get("balance") or {}).get("holds"),
        "job_id": record.job_id,
        "job_state": record.job_state,
        "as_of": record.as_of,
    }
    return json.dumps(told)
