"""The numbers of a pipeline as a whole: when its next run is due, and how long one may take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from beam_obs.metrics import own_families as own
from beam_obs.metrics.families import Family, Sample
from beam_obs.store.run_summary import RunSummary
from beam_obs.store.schedule import Schedule
from beam_obs.store.timeliness import timeliness


def numbers_of_pipeline(
    runs: Sequence[RunSummary], schedule: Schedule | None, now: str
) -> tuple[Family, ...]:
    """Returns the numbers of a pipeline, to be sent with its name and without a run.

    Args:
      runs: its newest runs, newest first: 30 tell how long they usually take; none where it never ran.
      schedule: its schedule; None without one.
      now: the time now, as the store keeps times.

    Raises:
      UsageError: the schedule is wrong.
      MissingExtra: the ``watching`` extra is not installed.

    >>> daily = Schedule("flights", "0 6 * * *")
    >>> (due,) = numbers_of_pipeline([], daily, "2026-01-02T09:00:00Z")
    >>> due.name, due.samples[0].value  # 2026-01-02 06:00 UTC
    ('beam_obs_schedule_due_timestamp_seconds', 1767333600.0)
    """
    return tuple(_families(runs, schedule, now))


def _families(runs: Sequence[RunSummary], schedule: Schedule | None, now: str) -> Iterator[Family]:
    found = timeliness(runs, schedule, now)
    if found.due is not None:
        yield own.own_family(own.SCHEDULE_DUE, [Sample("", value=found.due.timestamp())])
    if found.limit is not None:
        yield own.own_family(own.RUN_DURATION_LIMIT, [Sample("", value=found.limit.seconds)])
