"""A run as a gate looks at it: what it did, and what its pipeline did before."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from beam_obs.store.evidence_problems import evidence_problems
from beam_obs.store.kinds_of_refusal import dead_letters_of
from beam_obs.store.records_told import records_told
from beam_obs.store.run_record import RunRecord, now_text, seconds_between
from beam_obs.store.run_summary import RunSummary, is_finished, summary_of
from beam_obs.store.schedule import Schedule
from beam_obs.store.scheduled_pipelines import newest_summaries
from beam_obs.store.store import Store
from beam_obs.store.taken_records import is_replay
from beam_obs.store.timeliness import LOOKED_AT, UNDER_WAY, Timeliness, timeliness

_READ_AT_ONCE = 32


class GatedRun:
    """A run, or a pipeline that has none.

    Args:
      store: that has it.
      pipeline: its name.
      record: the run; None where there is none.
      schedule: of the pipeline.
    """

    def __init__(
        self, store: Store, pipeline: str, record: RunRecord | None, schedule: Schedule | None = None
    ) -> None:
        self.store = store
        self.pipeline = pipeline
        self.record = record
        self.schedule = schedule
        self.now = now_text()

    @functools.cached_property
    def doubt(self) -> str:
        """Why nothing that its files say can be relied on; empty where it can."""
        if self.record is None:
            return "there is no run"
        if self.record.problems:
            return f"its files do not tell: {self.record.problems[0]}"
        return "it is a template, not a run" if self.record.status == "template" else ""

    @functools.cached_property
    def evidence_problems(self) -> list[str]:
        """What of its evidence is missing, damaged or was changed, as sentences."""
        if self.record is None:
            return []
        return list(dict.fromkeys([*self.record.problems, *evidence_problems(self.store, self.record)]))

    @property
    def is_under_way(self) -> bool:
        """Whether it runs, or its job goes on without its launcher."""
        return self.record is not None and self.record.status in UNDER_WAY

    @functools.cached_property
    def summary(self) -> RunSummary | None:
        """What lists say of it."""
        return None if self.record is None else summary_of(self.record)

    @functools.cached_property
    def refused(self) -> int:
        """How many records it refused, so far where it runs; those too that no file has."""
        if self.record is None:
            return 0
        if self.record.end is None:
            return max(self.record.refused, records_told(self.record.last_known)["dead"])
        not_kept = (self.record.end.get("dead_letters") or {}).get("not_kept") or {}
        return int(self.record.refused + sum(not_kept.values()))

    @property
    def seconds(self) -> float | None:
        """How long it took, or has been running; None where nobody knows."""
        if self.record is None or (self.record.end is None and not self.is_under_way):
            return None
        started = self.record.start["started"]
        return self.record.seconds if self.record.end is not None else seconds_between(started, self.now)

    @functools.cached_property
    def earlier(self) -> list[RunSummary]:
        """The runs of its pipeline before it but for replays, newest first, as many as tell what is usual."""
        before = self.store.read(self._ids_before[:LOOKED_AT])
        return [summary_of(record) for record in before if not is_replay(record)]

    @functools.cached_property
    def previous_finished(self) -> RunRecord | None:
        """The newest run before it, no replay, that has ended with counts; None where there is none."""
        return next((record for record in self._each(self._ids_before) if is_finished(record)), None)

    @functools.cached_property
    def last_success(self) -> RunRecord | None:
        """The newest run of its pipeline that is done, and was no replay; None where there is none."""
        runs = self._each(self.store.ids(self.pipeline))
        return next((record for record in runs if record.status == "done"), None)

    @functools.cached_property
    def times(self) -> Timeliness:
        """How its pipeline keeps its schedule."""
        return timeliness(newest_summaries(self.store, self.pipeline), self.schedule, self.now)

    def kinds(self, record: RunRecord) -> Mapping[str, Any]:
        """Returns the dead letters of a run by kind."""
        return dead_letters_of(self.store, record)

    @property
    def _ids_before(self) -> list[tuple[str, str]]:
        if self.record is None:
            return []
        return [one for one in self.store.ids(self.pipeline) if one[0] < self.record.id]

    def _each(self, ids: list[tuple[str, str]]) -> Iterator[RunRecord]:
        for start in range(0, len(ids), _READ_AT_ONCE):
            found = self.store.read(ids[start : start + _READ_AT_ONCE])
            yield from (record for record in found if not is_replay(record))
