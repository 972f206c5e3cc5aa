"""What went through each step of a run, as histories compare it over runs."""

from __future__ import annotations

from typing import NamedTuple

from beam_obs.store.folding import folded_record
from beam_obs.store.run_record import RunRecord


class StepCounts(NamedTuple):
    """What went through a step.

    Args:
      taken: records that it took; None where nobody counted.
      given: records that it gave.
      dead: records that it refused; None of a step that is no stage.
      filtered: records that it filtered.
      p50_us: median of its time for one record, in microseconds; None where it was not taken.
      p99_us: time that 99 of 100 records keep within.
    """

    taken: int | None
    given: int | None
    dead: int | None = None
    filtered: int | None = None
    p50_us: float | None = None
    p99_us: float | None = None


def step_counts(record: RunRecord) -> dict[str, StepCounts]:
    """Returns the counts of the steps of a run as people see them, by label, in the order of the graph."""
    known = folded_record(record).last_known
    if known.get("counts_from") is None:
        return {}
    stages = {stage["label"]: stage for stage in known.get("stages") or ()}
    steps = known.get("steps") or list(stages.values())
    found = {}
    for step in steps:
        stage = stages.get(step["label"])
        if stage is None:
            found[step["label"]] = StepCounts(step.get("in"), step.get("out"))
        else:
            names = ("in", "out", "dead", "filtered", "p50_us", "p99_us")
            found[step["label"]] = StepCounts(*(stage.get(name) for name in names))
    return found
