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
_RETIRED: dict[tuple[str, str], Counts] = {}


def register(run: str, stage: str, tally: Tally) -> None:
    """Makes the counts of a wrapper of `stage` visible in this process."""
    with _LOCK:
        _TALLIES.setdefault((run, stage), []).append(tally)


def retire(run: str, stage: str, tally: Tally) -> None:
    """Keeps the counts of a wrapper that is torn down, but not the wrapper: a stream makes many."""
    with _LOCK:
        tallies = _TALLIES.get((run, stage), [])
        if tally in tallies:
            tallies.remove(tally)
            _RETIRED[run, stage] = _sum(tally.read(), _RETIRED.get((run, stage)))


def live_counts(run: str) -> dict[str, Counts]:
    """Returns the counts of each stage of a run whose workers live in this process, by label."""
    with _LOCK:
        result = {stage: counts for (of_run, stage), counts in _RETIRED.items() if of_run == run}
        tallies = [
            (stage, tally) for (of_run, stage), found in _TALLIES.items() if of_run == run for tally in found
        ]
    for stage, tally in tallies:
        result[stage] = _sum(tally.read(), result.get(stage))
    return result


def forget(run: str) -> None:
    """Drops the counts of a run that has ended."""
    with _LOCK:
        for kept in (_TALLIES, _RETIRED):
            for key in [key for key in kept if key[0] == run]:
                del kept[key]


def _sum(counts: Counts, others: Counts | None) -> Counts:
    return counts if others is None else type(counts)(*map(sum, zip(counts, others, strict=True)))
