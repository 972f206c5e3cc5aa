"""Runs written into a store as their files: begun when, and taken as long as, a test wants."""

from __future__ import annotations

import datetime
import json
import pathlib
import uuid
import zlib
from typing import Any

from beam_obs.store.run_record import time_text


def ago(**length: float) -> datetime.datetime:
    """Returns the time so long ago."""
    return datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(**length)


def write_run(
    root: pathlib.Path,
    pipeline: str,
    started: datetime.datetime,
    seconds: float | None = 60.0,
    status: str = "done",
    start: dict[str, Any] | None = None,
    **end: Any,
) -> str:
    """Writes a run, and returns its id.

    Args:
      root: of the store.
      pipeline: its name.
      started: when it began.
      seconds: how long it took; None for one that still runs, on another machine.
      status: how it ended.
      start: more of ``start.json``.
      end: more of ``end.json``, or of ``live.json`` of one that runs.
    """
    digits = f"{int(started.timestamp() * 1000):012x}7{uuid.uuid4().hex[:3]}8{uuid.uuid4().hex[:15]}"
    run = str(uuid.UUID(digits))
    folder = root / "runs" / pipeline / run
    folder.mkdir(parents=True)
    begun = {"id": run, "pipeline": pipeline, "started": time_text(started), "runner": "FnApiRunner"}
    _write(folder / "start.json", begun | (start or {}))
    if seconds is None:
        now = time_text(ago())
        _write(folder / "heartbeat.json", {"at": now, "machine": "elsewhere"})
        if end:
            _write(folder / "live.json", {"at": now, **end})
    else:
        finished = time_text(started + datetime.timedelta(seconds=seconds))
        _write(folder / "end.json", {"status": status, "finished": finished, **end})
    return run


def counted(
    taken: int, dead: int = 0, written: int | None = None, kind: str = "ValueError"
) -> dict[str, Any]:
    """Returns what ``end.json`` says of a run that read and parsed records, refused some and wrote some.

    Args:
      taken: how many records came in.
      dead: how many of them were refused.
      written: how many were written; None where it writes none.
      kind: type of the error by which they were refused.
    """
    given = taken - dead
    stage = {"label": "parse", "in": taken, "out": given, "dead": dead, "filtered": 0}
    by_kind = {
        "stage": "parse",
        "fingerprint": f"{zlib.crc32(kind.encode()):016x}",
        "error_type": kind,
        "error_message": "it is wrong",
        "count": dead,
    }
    outputs = [] if written is None else [{"label": "write", "name": "out", "uri": "out", "records": written}]
    return {
        "counts_from": "result",
        "stages": [stage],
        "steps": [
            {"label": "read", "in": None, "out": taken, "after": []},
            {"label": "parse", "is_stage": True, "in": taken, "out": given, "after": ["read"]},
        ],
        "balance": {"holds": True, "checked": 2, "edges": 1, "edges_checked": 1},
        "dead_letters": {"count": dead, "by_stage": {}, "by_fingerprint": [by_kind] if dead else []},
        "outputs": outputs,
    }


def _write(file: pathlib.Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content))
