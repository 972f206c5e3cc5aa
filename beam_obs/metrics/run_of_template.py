"""The run of a job that was started from a classic template: its workers begin it, nobody else can."""

from __future__ import annotations

import datetime
import json
import logging
from typing import Any

from beam_obs.files.whole_file import write_whole
from beam_obs.records.run_context import RunContext

_LOGGER = logging.getLogger(__name__)
_START, _HEARTBEAT, _PIPELINE = "start.json", "heartbeat.json", "pipeline.json"
_BEGUN: set[str] = set()


def begin_run_of_template(context: RunContext) -> None:
    """Writes what is known of a run, unless another worker has: what its template left, with the job's id.

    The run is one that was submitted, so that it can be watched, and gets its end.

    Args:
      context: of a job that was started from a template.
    """
    folder, template = context.folder, context.template_folder
    if folder is None or template is None or context.run in _BEGUN:
        return
    _BEGUN.add(context.run)
    try:
        if _read(f"{folder}/{_START}") is not None:
            return
        told = json.loads(_read(f"{template}/{_START}") or b"{}")
        known = _read(f"{template}/{_PIPELINE}")
        if known is not None:
            write_whole(f"{folder}/{_PIPELINE}", known)
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds")
        now = now.replace("+00:00", "Z")
        beat = {"at": now, "job_id": context.job_id, "outlives_launcher": True, "left": True}
        write_whole(f"{folder}/{_HEARTBEAT}", _encoded(beat))
        start = {name: value for name, value in told.items() if name not in ("template", "sealed")}
        start |= {"id": context.run, "pipeline": context.pipeline, "started": now}
        start |= {"job_id": context.job_id, "template_run": context.template_run}
        write_whole(f"{folder}/{_START}", _encoded(start))
    except Exception as error:  # a store may be away for a while; what is counted is no less right
        _BEGUN.discard(context.run)
        _LOGGER.warning("the run of job %s cannot be begun in %s: %s", context.job_id, folder, error)


def _encoded(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=1).encode()


def _read(path: str) -> bytes | None:
    from apache_beam.io.filesystems import FileSystems

    if not FileSystems.exists(path):
        return None
    with FileSystems.open(path) as file:
        return bytes(file.read())
