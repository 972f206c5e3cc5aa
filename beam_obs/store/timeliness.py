"""Whether the runs of a pipeline start when they are to, and take no longer than they may."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from typing import NamedTuple

from beam_obs.records.duration import duration_text
from beam_obs.records.run_id import SHORT_ID
from beam_obs.records.wording import seconds_text
from beam_obs.store.run_record import parse_time, seconds_between
from beam_obs.store.run_summary import RunSummary
from beam_obs.store.schedule import Schedule

UNDER_WAY = ("running", "submitted")

_EARLY = datetime.timedelta(seconds=5)
"""The clock of a scheduler may be ahead of its worker's."""
_LEAST_RUNS = 5
LOOKED_AT = 30
_LEAST_SECONDS = 60.0
"""Of runs that take less, twice as much is nothing."""


class DurationLimit(NamedTuple):
    """How long a run of a pipeline may take.

    Args:
      seconds: so long.
      is_set: whether its schedule says so; else it is twice what 95 of 100 of its runs keep within.
    """

    seconds: float
    is_set: bool


@dataclasses.dataclass(frozen=True)
class Timeliness:
    """How a pipeline keeps its times.

    Args:
      due: when the earliest scheduled start that no run answered was to be, or the next one will be; None
        without a schedule.
      is_overdue: whether that start is missed.
      has_run: whether there is any run.
      limit: how long a run may take; None where that cannot be told.
      too_long: the newest run that takes longer; one that has ended only where its schedule says how long.
      too_long_seconds: how long that one took, or has been running.
      now: when that was, as the store keeps times.
    """

    due: datetime.datetime | None
    is_overdue: bool
    has_run: bool
    limit: DurationLimit | None
    too_long: RunSummary | None
    too_long_seconds: float
    now: str

    @property
    def is_kept(self) -> bool:
        """Whether nothing is missed and nothing takes too long."""
        return not self.is_overdue and self.too_long is None

    @property
    def due_text(self) -> str:
        """When the next start is due, or the missed one was; empty without a schedule."""
        return "" if self.due is None else f"{self.due:%Y-%m-%d %H:%M:%S} UTC"

    @property
    def missed(self) -> list[str]:
        """What is to be said where something is missed or takes too long, a line for each."""
        return [text for text in (self.overdue_text, self.too_long_text) if text]

    @property
    def overdue_text(self) -> str:
        """What is to be said of a start that is missed; empty where none is.

        >>> due = datetime.datetime(2026, 1, 2, 6, tzinfo=datetime.timezone.utc)
        >>> Timeliness(due, True, False, None, None, 0.0, "2026-01-02T09:00:00Z").overdue_text
        'never ran: a run was due at 2026-01-02 06:00:00 UTC, 3 h 0 min ago'
        """
        if not self.is_overdue or self.due is None:
            return ""
        since = (parse_time(self.now) - self.due).total_seconds()
        told = f"was due at {self.due_text}, {seconds_text(since)} ago"
        return f"no run has started that {told}" if self.has_run else f"never ran: a run {told}"

    @property
    def too_long_text(self) -> str:
        """What is to be said of a run that takes too long; empty where none does."""
        if self.too_long is None or self.limit is None:
            return ""
        verb = "took" if self.too_long.has_ended else "has been running for"
        limit = duration_text(self.limit.seconds) if self.limit.is_set else seconds_text(self.limit.seconds)
        why = "its schedule says" if self.limit.is_set else "twice what 95 of 100 runs keep within"
        return (
            f"run {self.too_long.id[:SHORT_ID]} {verb} {seconds_text(self.too_long_seconds)}, "
            f"longer than {limit} ({why})"
        )


def timeliness(runs: Sequence[RunSummary], schedule: Schedule | None, now: str) -> Timeliness:
    """Returns how a pipeline keeps its times.

    A run answers every start that was due until it began, however late, and however it ended.

    Args:
      runs: its newest runs, newest first; there may be none.
      schedule: its schedule; None without one, and nothing is overdue.
      now: the time now, as the store keeps times.

    Raises:
      UsageError: the schedule is wrong.
      MissingExtra: the ``watching`` extra is not installed.
    """
    started = [run for run in runs if run.status != "template"]
    due = None if schedule is None else _due(schedule, started, parse_time(now))
    is_overdue = (
        schedule is not None
        and due is not None
        and parse_time(now) > due + datetime.timedelta(seconds=schedule.start_within_seconds)
    )
    limit = duration_limit(started, schedule)
    too_long, seconds = _too_long(started, limit, now)
    return Timeliness(due, is_overdue, bool(started), limit, too_long, seconds, now)


def duration_limit(runs: Sequence[RunSummary], schedule: Schedule | None = None) -> DurationLimit | None:
    """Returns how long a run may take: as its schedule says, else twice what 95 of 100 runs keep within.

    None where fewer than 5 of the newest 30 runs are done, and for a stream, which does not end.

    Args:
      runs: the newest runs of a pipeline, newest first.
      schedule: its schedule.
    """
    if schedule is not None and schedule.takes_at_most_seconds is not None:
        return DurationLimit(schedule.takes_at_most_seconds, True)
    if runs and runs[0].is_streaming:
        return None
    took = sorted(run.seconds for run in runs[:LOOKED_AT] if run.is_success and run.seconds is not None)
    if len(took) < _LEAST_RUNS:
        return None
    return DurationLimit(max(_LEAST_SECONDS, 2 * took[-(-len(took) * 95 // 100) - 1]), False)


def _due(schedule: Schedule, runs: Sequence[RunSummary], now: datetime.datetime) -> datetime.datetime:
    begins = schedule.begins
    answered = parse_time(runs[0].started) + _EARLY if runs else None
    if begins is not None and (answered is None or answered < begins):
        answered = begins - datetime.timedelta(seconds=1)  # a start at that very time counts
    if answered is not None:
        return schedule.next_start(answered)
    return schedule.last_start(now - datetime.timedelta(seconds=schedule.start_within_seconds))


def _too_long(
    runs: Sequence[RunSummary], limit: DurationLimit | None, now: str
) -> tuple[RunSummary | None, float]:
    if limit is None:
        return None, 0.0
    for at, run in enumerate(runs):
        if run.status in UNDER_WAY:
            seconds = max(0.0, seconds_between(run.started, now))
        elif at == 0 and limit.is_set and run.seconds is not None:
            seconds = run.seconds
        else:
            continue
        if seconds > limit.seconds:
            return run, seconds
    return None, 0.0
