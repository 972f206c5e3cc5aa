"""What a run is told to have replayed."""

from __future__ import annotations

from typing import Any

from beam_obs.records.number_text import counted
from beam_obs.records.run_id import SHORT_ID
from beam_obs.records.wording import clean


def replay_text(start: dict[str, Any]) -> str:
    """Returns what a run replayed, as a line; nothing of one that was no replay.

    Args:
      start: content of its ``start.json``.

    >>> replay_text({"parent_run": "01a22681-f8b9-7305-96ae-2f63534fa2f0", "replay": {"letters": 2}})
    'replay of run 01a22681-f8b9: 2 dead letters'
    """
    parent = start.get("parent_run")
    if not parent:
        return ""
    told = start.get("replay") or {}
    what = [counted(told["letters"], "dead letter")] if told.get("letters") else []
    if told.get("records"):
        files = ", ".join(dict.fromkeys(one["name"] for one in told["records"]))
        what.append(f"records of {files}, from {told.get('from')!r} on")
    return clean(f"replay of run {parent[:SHORT_ID]}{': ' if what else ''}{', '.join(what)}")
