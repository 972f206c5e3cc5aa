"""What is known of a worker process of a run: memory, time of the processor, failed bundles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

WORKERS = "workers"
"""Folder within a run's, with a file for each worker process that is not the launcher's own."""

MOST_POINTS = 60
"""Of the history: beyond them every second one is left out."""


class WorkerNumbers(NamedTuple):
    """The numbers of one worker process of a run.

    Args:
      worker: host and pid, and the id that the runner gave, where it is known.
      began: when it was first seen to work for the run, microseconds since 1970.
      at: when it was last looked at.
      memory_bytes: that are resident; None where the system does not tell.
      memory_limit_bytes: what it can have: that, and what its container, or the machine, has left.
      most_memory_bytes: the most that were seen.
      cpu_seconds: of the processor, since it began to work for the run.
      bundles_failed: bundles in which something was raised; the runner may have tried them again.
      history: seconds since it began, and bytes that were resident.
      differs: what is of another version there than where the run was launched: both versions by name.
    """

    worker: str
    began: int
    at: int
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    most_memory_bytes: int | None = None
    cpu_seconds: float = 0.0
    bundles_failed: int = 0
    history: tuple[tuple[float, int], ...] = ()
    differs: Mapping[str, list[str]] = {}

    def to_json(self) -> dict[str, Any]:
        """Returns the numbers as files have them."""
        told = {**self._asdict(), "history": [list(point) for point in self.history]}
        return {**told, "differs": dict(self.differs)}


def merged_workers(told: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns one entry for each worker, by its name, of those that files have.

    A container that was started again may have the name of the one before: what was counted is summed up, all
    else is of the one that was looked at last.

    >>> first = WorkerNumbers("host:7", 1, 5, most_memory_bytes=9, cpu_seconds=2.0).to_json()
    >>> again = WorkerNumbers("host:7", 6, 8, most_memory_bytes=4, cpu_seconds=1.0).to_json()
    >>> [(one["at"], one["most_memory_bytes"], one["cpu_seconds"]) for one in merged_workers([again, first])]
    [(8, 9, 3.0)]
    """
    found: dict[str, dict[str, Any]] = {}
    for one in sorted(told, key=lambda one: (one["worker"], one["at"])):
        before = found.get(one["worker"])
        if before is not None:
            most = [known for other in (before, one) if (known := other["most_memory_bytes"]) is not None]
            one = {
                **one,
                "began": before["began"],
                "most_memory_bytes": max(most, default=None),
                "cpu_seconds": before["cpu_seconds"] + one["cpu_seconds"],
                "bundles_failed": before["bundles_failed"] + one["bundles_failed"],
            }
        found[one["worker"]] = one
    return list(found.values())
