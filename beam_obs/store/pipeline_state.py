"""How a pipeline is, by its newest runs: whether it failed, is late, or refuses what it did not before."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from beam_obs.store.freshness import Freshness, freshness
from beam_obs.store.kinds_of_refusal import NEW, KindChange, compare_kinds
from beam_obs.store.run_summary import RunSummary
from beam_obs.store.schedule import Schedule
from beam_obs.store.timeliness import UNDER_WAY, Timeliness, timeliness

FAILED, LATE, CHANGED, WELL = "failed", "late", "changed", "well"
ORDER = (FAILED, LATE, CHANGED, WELL)
"""What needs a look first: its newest run failed; its last success is longer ago than usual, a scheduled
start was missed or a run takes too long; its newest run refuses kinds of records that the one before did not,
or does not balance."""

_FAILED = ("failed", "lost", "damaged")
_NOT_OVER = (*UNDER_WAY, "template")


@dataclasses.dataclass(frozen=True)
class PipelineState:
    """A pipeline by its newest runs.

    Args:
      name: of the pipeline.
      runs: its newest runs that were read, newest first; one at least.
      last_success: its newest run that is done, however long ago; None where none is known.
      freshness: how long ago that was, and what is usual.
      timeliness: whether its runs start when they are to, and take no longer than they may.
      new_kinds: kinds of refusal of its newest finished run that the one before did not have.
      newest_over: its newest run that is over; None where none is among these.
      state: one of `ORDER`.
    """

    name: str
    runs: tuple[RunSummary, ...]
    last_success: RunSummary | None
    freshness: Freshness | None
    timeliness: Timeliness
    new_kinds: tuple[KindChange, ...]
    newest_over: RunSummary | None
    state: str

    @property
    def newest(self) -> RunSummary:
        """Its newest run."""
        return self.runs[0]


def pipeline_state(
    name: str,
    runs: Sequence[RunSummary],
    last_success: RunSummary | None,
    now: str,
    schedule: Schedule | None = None,
) -> PipelineState:
    """Returns how a pipeline is.

    Args:
      name: of the pipeline.
      runs: its newest runs, newest first; one at least.
      last_success: its newest run that is done.
      now: the time now, as the store keeps times.
      schedule: when its runs are to start; None where nobody said.
    """
    successes = [run.started for run in runs if run.is_success]
    if not successes and last_success is not None:
        successes = [last_success.started]
    fresh = freshness(successes, now)
    times = timeliness(runs, schedule, now)
    over = next((run for run in runs if run.status not in _NOT_OVER), None)
    finished = [run for run in runs if run.is_finished][:2]
    new_kinds = _new_kinds(*finished) if len(finished) == 2 else ()
    if over is not None and over.status in _FAILED:
        state = FAILED
    elif (fresh is not None and fresh.is_late) or not times.is_kept:
        state = LATE
    elif new_kinds or (finished and finished[0].is_balanced is False):
        state = CHANGED
    else:
        state = WELL
    return PipelineState(name, tuple(runs), last_success, fresh, times, new_kinds, over, state)


def _new_kinds(newest: RunSummary, previous: RunSummary) -> tuple[KindChange, ...]:
    changes = compare_kinds({"by_fingerprint": previous.kinds}, {"by_fingerprint": newest.kinds})
    return tuple(change for change in changes if change.state == NEW)
