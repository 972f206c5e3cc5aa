"""What the status of a run means, where it has not come to an end that says so itself."""

from __future__ import annotations

from beam_obs.records.run_id import SHORT_ID
from beam_obs.records.wording import clean
from beam_obs.store.run_record import RunRecord, parse_time

_ENDED = ("done", "failed", "cancelled", "drained", "updated")
"""States of a job that goes on no more."""


def status_lines(record: RunRecord) -> list[str]:
    """Returns sentences about a run that is no longer watched or never will be; none of one that ended."""
    if record.status == "template":
        return [
            f"A classic template of Dataflow: {clean(record.start['template'])}",
            (
                "Each job that is started from it has a run of its own, which its workers begin: "
                "beam-obs watch JOB writes its end."
            ),
        ]
    heartbeat = record.heartbeat or {}
    seen = f" at {parse_time(heartbeat['at']):%Y-%m-%d %H:%M:%S} UTC" if heartbeat.get("at") else ""
    if record.status == "lost":
        return [f"How it ended nobody knows: its launcher{' was last seen' if seen else ' is gone'}{seen}."]
    if record.status == "submitted":
        job = f" as job {clean(record.job_id)}" if record.job_id else ""
        if record.job_state in _ENDED:
            watch = f"beam-obs watch {record.id[:SHORT_ID]} writes the end of the run"
            return [f"Its launcher has left{seen}; the job is {record.job_state}{job}: {watch}."]
        return [f"Its launcher has left{seen}, the job goes on without it{job}."]
    if record.status == "damaged":
        return ["It has ended, but nothing of its end can be read."]
    return []
