"""What a store knows of one run: the files its launcher wrote, and the status that follows from them."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from beam_obs.records.shown_in_notebooks import ShownInNotebooks
from beam_obs.records.wording import not_kept_text
from beam_obs.store import process

START = "start.json"
END = "end.json"
HEARTBEAT = "heartbeat.json"
LIVE = "live.json"
PIPELINE = "pipeline.json"
"""What the launcher of a job that outlives it knew of the pipeline, for whoever writes the end."""

HEARTBEAT_SECONDS = 10.0
SILENCE_SECONDS = 60.0
"""Without a heartbeat for this long, a run launched on another machine counts as lost."""


@dataclasses.dataclass(frozen=True)
class RunRecord(ShownInNotebooks):
    """One run, as its files tell it.

    Args:
      pipeline: name of the pipeline.
      id: id of the run.
      start: content of ``start.json``.
      end: content of ``end.json``, or None before the run has ended.
      heartbeat: content of ``heartbeat.json``: time, job id, whether the job outlives its launcher.
      live: content of ``live.json``: what was counted when somebody last looked, of a run that has not ended.
      refused_so_far: number of dead letters of a run that has not ended.
      problems: what of its files is missing, damaged or was changed since, each as a sentence.
      end_is_unreadable: whether there is an end, of which nothing can be read.
      job_state: the state of its job, in small letters, where it was submitted and somebody asked for it.
    """

    pipeline: str
    id: str
    start: dict[str, Any]
    end: dict[str, Any] | None = None
    heartbeat: dict[str, Any] | None = None
    refused_so_far: int = 0
    problems: tuple[str, ...] = ()
    end_is_unreadable: bool = False
    live: dict[str, Any] | None = None
    job_state: str | None = None

    @property
    def folder(self) -> str:
        """Folder of the run, relative to the store."""
        return f"runs/{self.pipeline}/{self.id}"

    @property
    def status(self) -> str:
        """One of running, submitted, template, lost, damaged, done, failed, cancelled."""
        if self.end is not None:
            return str(self.end["status"])
        if self.end_is_unreadable:
            return "damaged"
        if self.start.get("template"):
            return "template"
        heartbeat = self.heartbeat or {}
        without_launcher = "submitted" if heartbeat.get("outlives_launcher") else "lost"
        if heartbeat.get("left"):
            return without_launcher
        alive = process.is_alive(self.start.get("process") or {"machine": "unknown"})
        if alive is None:
            seen = heartbeat.get("at") or self.start["started"]
            alive = seconds_between(seen, now_text()) < SILENCE_SECONDS
        return "running" if alive else without_launcher

    @property
    def why_no_end(self) -> str:
        """Why there is no end that tells what became of the run; empty where there is one."""
        if self.end is not None:
            return ""
        return {
            "lost": "how the run ended nobody knows",
            "damaged": "nothing of the run's end can be read",
            "template": "it is a template, not a run",
        }.get(self.status, "the run has not ended")

    @property
    def last_known(self) -> dict[str, Any]:
        """The end, or what was counted before there is one; empty where nothing was."""
        return self.end if self.end is not None else self.live or {}

    @property
    def as_of(self) -> str | None:
        """When its counts were looked at, where it has not ended; None where they never were."""
        return None if self.end is not None else (self.live or {}).get("at")

    @property
    def refused(self) -> int:
        """Number of dead letters, as counted when the run ended, or those that are there before."""
        if self.end is None:
            return self.refused_so_far
        return int((self.end.get("dead_letters") or {}).get("count") or 0)

    @property
    def status_text(self) -> str:
        """The status, with what was refused wherever anything was: ``done, 14 dead``."""
        dead = f"{self.refused:,} dead" if self.refused else ""
        not_kept = not_kept_text((self.end or {}).get("dead_letters") or {}, self.status)
        job = f"job {self.job_state}" if self.job_state else ""
        return ", ".join(filter(None, (self.status, job, dead, not_kept)))

    @property
    def job_id(self) -> str | None:
        """Id of the runner's job, where it has told one."""
        for source in (self.end, self.heartbeat, self.start):
            if source and source.get("job_id"):
                return str(source["job_id"])
        return None

    @property
    def seconds(self) -> float | None:
        """How long the run took; None before it has ended."""
        return seconds_between(self.start["started"], self.end["finished"]) if self.end is not None else None


class RunRecords(ShownInNotebooks, list[RunRecord]):
    """Several runs."""


def now_text() -> str:
    """Returns the time now as the store keeps it: ISO 8601, UTC, microseconds."""
    return time_text(datetime.datetime.now(datetime.timezone.utc))


def time_text(moment: datetime.datetime) -> str:
    """Returns a time of UTC as the store keeps it.

    >>> time_text(datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc))
    '2026-01-02T03:04:05.000000Z'
    """
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime.datetime:
    """Returns a time of the store, of UTC.

    >>> parse_time("2026-01-02T03:04:05.000000Z").hour, parse_time("2026-01-02T03:04:05+02:00").hour
    (3, 1)
    """
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(datetime.timezone.utc)


def seconds_between(earlier: str, later: str) -> float:
    """Returns the seconds between two times of the store."""
    return (parse_time(later) - parse_time(earlier)).total_seconds()
