"""Which job this process works for, where it is a worker of Dataflow, and the run that the job is.

A classic template is built once and started any number of times: its pipeline cannot know whose run it is
before it runs. All workers of a job find the same id: it follows from the template's run and the job.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import os
import re
import uuid

_OF_WORKER = "CONTROL_API_SERVICE_DESCRIPTOR"
"""Variable that Beam's containers set for the process that works."""
_JOB = "JOB_ID"
"""Variable in which Dataflow tells that process its job; Beam's own profiler reads it, too."""
_OF_DATAFLOW = re.compile(r"(\d{4}-\d\d-\d\d_\d\d_\d\d_\d\d)-\d+")
_TIME = "%Y-%m-%d_%H_%M_%S"
_PACIFIC = datetime.timezone(datetime.timedelta(hours=-8))
"""Ids of jobs have the time of California; without its summer time, which needs a data base."""


def job_of_worker() -> str | None:
    """Returns the id of the job of Dataflow that this process works for; None where it works for none."""
    return _job(os.environ.get(_OF_WORKER), os.environ.get(_JOB))


@functools.cache
def _job(of_worker: str | None, told: str | None) -> str | None:
    if not of_worker:
        return None
    if told and _OF_DATAFLOW.fullmatch(told):
        return told
    try:
        # The machine tells it, too.
        from apache_beam.io.gcp.gce_metadata_util import fetch_dataflow_job_id

        found = fetch_dataflow_job_id()
    except ImportError:
        return None
    return found if _OF_DATAFLOW.fullmatch(found) else None


def run_of_job(template_run: str, job_id: str) -> str:
    """Returns the id of the run that a job is: a UUIDv7 of the job's time.

    Args:
      template_run: id under which the template is kept.
      job_id: id of the job.

    >>> run_of_job("0198-a", "2026-01-02_03_04_05-678")
    '019b7e61-...-7...'
    >>> run_of_job("0198-a", "2026-01-02_03_04_05-678") == run_of_job("0198-a", "2026-01-02_03_04_05-678")
    True
    """
    match = _OF_DATAFLOW.fullmatch(job_id)
    if match is None:
        raise ValueError(f"found {job_id!r}, expected the id of a job of Dataflow")
    moment = datetime.datetime.strptime(match[1], _TIME).replace(tzinfo=_PACIFIC)
    digest = hashlib.blake2b(f"{template_run}/{job_id}".encode(), digest_size=10).digest()
    value = int(moment.timestamp() * 1000) << 80 | int.from_bytes(digest, "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))
