"""Counts of the stages that run in this process, read while they run.

Some runners give no result before the end, and none at all when the job fails; with workers in the
launcher's own process their counts can be looked at here. A bundle that was tried twice counts twice.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from beam_obs.metrics.tally import Counts, Tally

_LOCK = threading.Lock()
_TALLIES: dict[tuple[str, str], list[Tally]] = {}


def register(run: str, stage: str, tally: Tally) -> None:
    """Makes the counts of a wrapper of `stage` visible in this process."""
    with _LOCK:
        _TALLIES.setdefault((run, stage), []).append(tally)


def live_counts(run: str) -> dict[str, Counts]:
    """Returns the counts of each stage of a run whose workers live in this process, by label."""
    with _LOCK:
        tallies = {stage: list(found) for (of_run, stage), found in _TALLIES.items() if of_run == run}
    result: dict[str, Counts] = {}
    for stage, found in tallies.items():
        readings = [tally.read() for tally in found]
        columns = zip(*readings, strict=True)
        result[stage] = type(readings[0])(*map(sum, columns))
    return result


def forget(run: str) -> None:
    """Drops the counts of a run that has ended."""
    with _LOCK:
        for key in [key for key in _TALLIES if key[0] == run]:
            del _TALLIES[key]
