"""A run for the eyes of others: what lies below the working folder is shown from there."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from beam_obs.store.run_record import RunRecord


def seen_from_here(record: RunRecord) -> RunRecord:
    """Returns a run with the paths below the working folder as they are seen from it."""
    below = os.getcwd() + os.sep
    start, end, live = (_seen(below, told) for told in (record.start, record.end, record.live))
    return dataclasses.replace(record, start=start, end=end, live=live)


def _seen(folder: str, value: Any) -> Any:
    """Returns JSON-able values with paths below a folder as they are seen from it."""
    if isinstance(value, str):
        return value.replace(folder, "")
    if isinstance(value, list):
        return [_seen(folder, part) for part in value]
    if isinstance(value, dict):
        return {name: _seen(folder, part) for name, part in value.items()}
    return value
