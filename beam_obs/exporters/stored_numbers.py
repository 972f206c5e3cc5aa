"""The numbers of all pipelines of a store, looked at again and again: what has ended is read once."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterable, Iterator, Mapping

from beam_obs.exporters.newest_runs import NewestRuns
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.store.evidence import committed_kinds, read_evidence
from beam_obs.store.numbers_of_pipeline import numbers_of_pipeline
from beam_obs.store.numbers_of_run import numbers_of_run
from beam_obs.store.run_record import RunRecord, now_text, parse_time
from beam_obs.store.run_summary import RunSummary, summary_of
from beam_obs.store.schedule import Schedule
from beam_obs.store.store import Store
from beam_obs.store.timeliness import LOOKED_AT

MOST_LOOKED_BACK = 300
"""So many runs of a pipeline are read to find its last success."""

_READ_AT_ONCE = 16
_UNENDED_SECONDS = 60.0
"""So long an earlier run that has no end is taken to be as it was."""

_RunId = tuple[str, str]


@dataclasses.dataclass
class _Pipeline:
    """What is kept of a pipeline.

    Args:
      summaries: of its newest runs, by id, with when each was read.
      numbers: of its newest run.
      succeeded: whether a run is known that is done, or that none of those that are looked at is.
    """

    summaries: dict[str, tuple[RunSummary, float]] = dataclasses.field(default_factory=dict)
    numbers: RunNumbers | None = None
    succeeded: bool = False


class StoredNumbers:
    """The numbers of the newest run of each pipeline, with when it last succeeded and when it is due.

    Args:
      store: the store.
      schedules: when runs are to start, by name of the pipeline.
    """

    def __init__(self, store: Store, schedules: Mapping[str, Schedule] | None = None) -> None:
        self._store = store
        self._schedules = schedules or {}
        self._pipelines: dict[str, _Pipeline] = {}
        self._newest = NewestRuns()
        self._looking = threading.Lock()
        self._looked_at = -float("inf")

    def all(self) -> list[RunNumbers]:
        """Returns the numbers of each pipeline as the last look found them, by its name."""
        return self._newest.all()

    def look(self, no_older_than: float = 0.0) -> list[RunNumbers]:
        """Looks at the store, and returns the numbers that are new or changed.

        Args:
          no_older_than: seconds; after a look that was made since then nothing is looked at.

        Raises:
          BeamObsError, OSError: the store cannot be read.
        """
        with self._looking:
            if time.monotonic() - self._looked_at < no_older_than:
                return []
            before = {numbers.pipeline: numbers for numbers in self._newest.all()}
            self._look()
            self._looked_at = time.monotonic()
            return [
                numbers
                for numbers in self._newest.all()
                if not numbers.is_final or not _same(numbers, before.get(numbers.pipeline))
            ]

    def _look(self) -> None:
        ids: dict[str, list[_RunId]] = {}
        for run, name in self._store.ids():
            ids.setdefault(name, []).append((run, name))
        for gone in self._pipelines.keys() - ids.keys():
            del self._pipelines[gone]
        self._read(one for of_pipeline in ids.values() for one in self._wanted(of_pipeline))
        for name, of_pipeline in ids.items():
            self._find_success(name, of_pipeline[LOOKED_AT:])
        now = now_text()
        for name in ids.keys() | self._schedules.keys():
            self._tell(name, [run for run, _ in ids.get(name, ())], now)
        self._newest.keep_only({*ids, *self._schedules})

    def _wanted(self, ids: list[_RunId]) -> Iterator[_RunId]:
        """Yields those of the newest runs of a pipeline that have to be read."""
        name = ids[0][1]
        pipeline = self._pipelines.setdefault(name, _Pipeline())
        if pipeline.numbers is not None and (pipeline.numbers.run, name) not in ids:  # it was removed
            self._newest.forget(name)
            pipeline = self._pipelines[name] = _Pipeline()
        known = pipeline.summaries
        newest = {run for run, _ in ids[:LOOKED_AT]}
        for run in known.keys() - newest:
            del known[run]
        now = time.monotonic()
        for one in ids[:LOOKED_AT]:
            summary, read_at = known.get(one[0], (None, 0.0))
            is_shown = pipeline.numbers is None or pipeline.numbers.run == one[0]
            is_good = now - read_at < (0.0 if is_shown else _UNENDED_SECONDS)
            if summary is None or not (summary.has_ended or is_good):
                yield one

    def _read(self, ids: Iterable[_RunId]) -> None:
        wanted = list(ids)
        for start in range(0, len(wanted), _READ_AT_ONCE):
            for record in self._store.read(wanted[start : start + _READ_AT_ONCE]):
                self._take(record)

    def _take(self, record: RunRecord) -> None:
        pipeline = self._pipelines[record.pipeline]
        # Lists of kinds are of no use here, and there are many.
        summary = dataclasses.replace(summary_of(record), kinds=())
        pipeline.summaries[record.id] = summary, time.monotonic()
        if record.status == "template":
            return
        is_newest = pipeline.numbers is None or pipeline.numbers.run <= record.id
        if is_newest or summary.is_success:
            numbers = numbers_of_run(self._with_kinds(record) if is_newest else record)
            self._newest.add(numbers)
            pipeline.succeeded = pipeline.succeeded or summary.is_success
            if is_newest:
                pipeline.numbers = numbers

    def _with_kinds(self, record: RunRecord) -> RunRecord:
        """Returns a run that lives with its kinds of refusal, which its evidence tells."""
        if record.end is not None or record.live is None or not record.refused_so_far:
            return record
        kinds = committed_kinds(read_evidence(self._store, record.folder))
        return dataclasses.replace(record, live={**record.live, "dead_letters": {"by_fingerprint": kinds}})

    def _find_success(self, name: str, earlier: list[_RunId]) -> None:
        """Looks for the last success among runs that are not read otherwise; once, since they stay."""
        pipeline = self._pipelines[name]
        if pipeline.succeeded:
            return
        looked_at = earlier[: MOST_LOOKED_BACK - LOOKED_AT]
        for start in range(0, len(looked_at), _READ_AT_ONCE):
            for record in self._store.read(looked_at[start : start + _READ_AT_ONCE]):
                if record.status == "done":
                    self._newest.add(numbers_of_run(record))
                    pipeline.succeeded = True
                    return
        pipeline.succeeded = True

    def _tell(self, name: str, runs: list[str], now: str) -> None:
        """Adds what is known of a pipeline as a whole to the numbers of its newest run."""
        pipeline = self._pipelines.get(name, _Pipeline())
        summaries = [pipeline.summaries[run][0] for run in runs if run in pipeline.summaries]
        families = numbers_of_pipeline(summaries, self._schedules.get(name), now)
        if pipeline.numbers is not None:
            own = (*pipeline.numbers.families, *families)
            self._newest.add(dataclasses.replace(pipeline.numbers, families=own))
        elif families:
            at = int(parse_time(now).timestamp() * 1_000_000)
            self._newest.add(RunNumbers(name, "", at, families))


def _same(numbers: RunNumbers, before: RunNumbers | None) -> bool:
    return before is not None and numbers.run == before.run and numbers.families == before.families
