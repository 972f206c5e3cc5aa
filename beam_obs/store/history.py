"""What went through a pipeline, or through one of its steps, over its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from beam_obs.store.run_summary import RunSummary
from beam_obs.store.step_counts import StepCounts


class HistoryPoint(NamedTuple):
    """A run in a history.

    Args:
      run: the run.
      taken: records that came in, or that the step took; None where nobody counted, or there is no such step.
      given: records that were written, or that the step gave.
      dead: records that were refused; None of a step that is no stage.
      filtered: records that the step filtered; None of a whole run.
      seconds: how long the run took.
      p50_us: median of the step's time for one record, in microseconds.
      p99_us: time that 99 of 100 records keep within.
    """

    run: RunSummary
    taken: int | None
    given: int | None
    dead: int | None
    filtered: int | None
    seconds: float | None
    p50_us: float | None
    p99_us: float | None

    @property
    def dead_share(self) -> float | None:
        """Part of the records that were refused, from 0 to 1; None where that cannot be told."""
        if not self.taken or self.dead is None:
            return None
        return min(1.0, self.dead / self.taken)


def history_of_runs(runs: Sequence[RunSummary]) -> list[HistoryPoint]:
    """Returns what went through a pipeline, a point for each run, in their order."""
    return [
        HistoryPoint(run, run.taken, run.written, run.refused, None, run.seconds, None, None) for run in runs
    ]


def history_of_step(
    runs: Sequence[RunSummary], counts: Mapping[str, Mapping[str, StepCounts]], step: str
) -> list[HistoryPoint]:
    """Returns what went through a step, a point for each run, in their order.

    Args:
      runs: the runs.
      counts: of their steps, by id of the run and label.
      step: label of the step.
    """
    points = []
    for run in runs:
        found = counts.get(run.id, {}).get(step, StepCounts(None, None))
        points.append(
            HistoryPoint(
                run,
                found.taken,
                found.given,
                found.dead,
                found.filtered,
                run.seconds,
                found.p50_us,
                found.p99_us,
            )
        )
    return points


def steps_over_runs(runs: Sequence[str], counts: Mapping[str, Mapping[str, StepCounts]]) -> list[str]:
    """Returns the labels of all steps that the runs had: those of the newest in the order of its graph first.

    Args:
      runs: ids, newest first.
      counts: of their steps, by id and label.
    """
    return list(dict.fromkeys(label for run in runs for label in counts.get(run, {})))
