"""When a pipeline last succeeded: it outlives the numbers of a run, and no later failure may erase it."""

from __future__ import annotations

import dataclasses

from beam_obs.metrics import own_families as own
from beam_obs.metrics.run_numbers import RunNumbers


def split_last_success(numbers: RunNumbers) -> tuple[RunNumbers, RunNumbers | None]:
    """Returns the numbers without the time of the last success, and that alone where the run has one."""
    success = numbers.family(own.RUN_LAST_SUCCESS)
    others = tuple(family for family in numbers.families if family is not success)
    alone = dataclasses.replace(numbers, families=(success,)) if success is not None else None
    return dataclasses.replace(numbers, families=others), alone
