"""The numbers that stand for a pipeline: those of its newest run, and when it last succeeded."""

from __future__ import annotations

import dataclasses
import threading

from beam_obs.metrics import own_families as own
from beam_obs.metrics.families import Family
from beam_obs.metrics.run_numbers import RunNumbers


class NewestRuns:
    """The newest run of each pipeline, with the last success of all that were added."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[str, RunNumbers] = {}
        self._successes: dict[str, Family] = {}

    def add(self, numbers: RunNumbers) -> None:
        """Adds the numbers of a run, in place of what there was of it."""
        success = numbers.family(own.RUN_LAST_SUCCESS)
        pipeline = numbers.pipeline
        with self._lock:
            newest = self._newest.get(pipeline)
            if newest is None or newest.run <= numbers.run:  # ids of runs sort by time
                self._newest[pipeline] = numbers
            known = self._successes.get(pipeline)
            if success is not None and (known is None or _time_of(known) < _time_of(success)):
                self._successes[pipeline] = success

    def forget(self, pipeline: str) -> None:
        """Drops all that is kept of a pipeline."""
        with self._lock:
            self._newest.pop(pipeline, None)
            self._successes.pop(pipeline, None)

    def keep_only(self, pipelines: set[str]) -> None:
        """Drops all pipelines but these."""
        with self._lock:
            for pipeline in self._newest.keys() - pipelines:
                del self._newest[pipeline]
                self._successes.pop(pipeline, None)

    def all(self) -> list[RunNumbers]:
        """Returns the numbers of each pipeline, by its name."""
        with self._lock:
            return [self._with_success(self._newest[pipeline]) for pipeline in sorted(self._newest)]

    def _with_success(self, numbers: RunNumbers) -> RunNumbers:
        success = self._successes.get(numbers.pipeline)
        if success is None or numbers.family(own.RUN_LAST_SUCCESS) is success:
            return numbers
        others = (family for family in numbers.families if family.name != own.RUN_LAST_SUCCESS)
        return dataclasses.replace(numbers, families=(*others, success))


def _time_of(success: Family) -> float:
    return success.samples[0].value or 0.0
