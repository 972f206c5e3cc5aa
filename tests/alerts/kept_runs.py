"""Stores whose runs are written by hand: histories that would take days to make."""

from __future__ import annotations

import datetime
import json
import pathlib
from collections.abc import Mapping
from typing import Any

BEGAN = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
HOUR = 3600.0


def keep_run(
    store: pathlib.Path,
    pipeline: str,
    after_seconds: float,
    seconds: float = 60.0,
    status: str = "done",
    stages: Mapping[str, tuple[int, int]] = {"parse": (1000, 0)},
    start: Mapping[str, Any] = {},
    window_seconds: float | None = None,
) -> None:
    """Writes a run.

    Args:
      store: folder of the store.
      pipeline: its name.
      after_seconds: when it began, since the first day of 2026.
      seconds: how long it took.
      status: how it ended; ``running`` for one that has not.
      stages: records taken and refused, by label.
      start: what else its start says.
      window_seconds: how long its windows are; None without any.
    """
    began = BEGAN + datetime.timedelta(seconds=after_seconds)
    digits = f"{int(began.timestamp() * 1000):012x}"
    folder = store / "runs" / pipeline / f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000"
    folder.mkdir(parents=True)
    told = {"started": _text(began), "runner": "FnApiRunner", **start}
    (folder / "start.json").write_text(json.dumps(told))
    if status == "running":
        return
    counts = [
        {"label": label, "kind": "Map", "in": taken, "out": taken - dead, "dead": dead}
        for label, (taken, dead) in stages.items()
    ]
    end = {
        "status": status,
        "finished": _text(began + datetime.timedelta(seconds=seconds)),
        "counts_from": "result",
        "stages": counts,
        "balance": {"holds": True},
        "waiting": [{"step": "group", "oldest": None, "window_seconds": window_seconds}],
    }
    (folder / "end.json").write_text(json.dumps(end))


def keep_hourly_runs(store: pathlib.Path, pipeline: str, runs: int = 10, **run: Any) -> None:
    """Writes a run for each of some hours."""
    for hour in range(runs):
        keep_run(store, pipeline, hour * HOUR, **run)


def _text(moment: datetime.datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
