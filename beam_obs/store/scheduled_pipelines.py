"""The pipelines that have a schedule, and how each keeps it: also those of which a store has no run."""

from __future__ import annotations

from collections.abc import Mapping

from beam_obs.store.run_record import now_text
from beam_obs.store.run_summary import RunSummary, summary_of
from beam_obs.store.schedule import Schedule
from beam_obs.store.store import Store
from beam_obs.store.taken_records import is_replay
from beam_obs.store.timeliness import LOOKED_AT, Timeliness, timeliness


def newest_summaries(store: Store, pipeline: str) -> list[RunSummary]:
    """Returns the runs of a pipeline that tell how it keeps its times, newest first: no replay does."""
    return [summary_of(record) for record in store.runs(pipeline, LOOKED_AT) if not is_replay(record)]


def scheduled_pipelines(
    store: Store, schedules: Mapping[str, Schedule], pipeline: str | None = None
) -> dict[str, Timeliness]:
    """Returns how pipelines keep their schedules, by name.

    Args:
      store: whose runs are looked at.
      schedules: by name of the pipeline.
      pipeline: the one that is looked at; None for all that have a schedule.

    Raises:
      UsageError: a schedule is wrong.
      MissingExtra: there are some, and the ``watching`` extra is not installed.
    """
    now = now_text()
    return {
        name: timeliness(newest_summaries(store, name), schedule, now)
        for name, schedule in schedules.items()
        if pipeline in (None, name)
    }
