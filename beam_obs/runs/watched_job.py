"""A job whose launcher has ended, watched from elsewhere: who runs it is asked how it goes.

The counts are kept in the run's ``live.json``, and when the job has ended its end is written, as its launcher
would have done it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Iterator
from typing import Any

from apache_beam.runners.runner import PipelineState

from beam_obs.exporters.exporter_group import ExporterGroup
from beam_obs.metrics.run_snapshot import Snapshot
from beam_obs.records.worker_numbers import merged_workers
from beam_obs.runs.asked_job import AskedJob, CannotBeWatched, NoAnswer
from beam_obs.runs.committed_so_far import CommittedSoFar
from beam_obs.runs.ending import describe_error
from beam_obs.runs.known_pipeline import KnownPipeline, read_known_pipeline
from beam_obs.runs.launched import STATUS_OF_STATE
from beam_obs.runs.live_counts import LiveCounts
from beam_obs.runs.watcher import LIVE_SECONDS
from beam_obs.runs.whole_end import whole_end
from beam_obs.store.numbers_of_run import numbers_of_run
from beam_obs.store.run import end_run
from beam_obs.store.run_record import LIVE, PIPELINE, START, RunRecord
from beam_obs.store.sealing import encode_record
from beam_obs.store.store import Store
from beam_obs.store.worker_files import read_workers

_LOGGER = logging.getLogger(__name__)

pause = time.sleep
ANSWERS_MISSED = 3
"""So many looks in turn may go without an answer: a job service is started again now and then."""


class WatchedJob:
    """The job of a run that was submitted.

    Args:
      store: the store.
      record: the run.
      job: who is asked.
      exporters: that are given the numbers of each look.
    """

    def __init__(
        self, store: Store, record: RunRecord, job: AskedJob, exporters: ExporterGroup | None = None
    ) -> None:
        self._store = store
        self.record = record
        self._job = job
        self._exporters = exporters or ExporterGroup()
        self._known = _known(store, record)
        self._live = LiveCounts(self._known.kinds if self._known else {}, record.start["started"])
        self._committed = CommittedSoFar(store, record.folder)

    def looks(self) -> Iterator[RunRecord]:
        """Gives the run as it is every `LIVE_SECONDS`, with its counts, and last with its end.

        Raises:
          CannotBeWatched: who runs the job does not answer any more; the job may go on.
        """
        missed = 0
        labels = self._known.labels if self._known else {}
        while True:
            try:
                look = self._job.look(labels)
                missed = 0
            except NoAnswer as error:
                missed += 1
                if missed >= ANSWERS_MISSED:
                    reason = f"{self._job.where} does not answer any more, and the job may go on: {error}"
                    raise CannotBeWatched(self.record.id, reason) from None
            else:
                if PipelineState.is_terminal(look.state):
                    record = self._ended(look.state, look.since, look.snapshot)
                    self._export(record)
                    yield record
                    return
                record = self._so_far(look.snapshot)
                self._export(record)
                yield record
            pause(LIVE_SECONDS)

    def _export(self, record: RunRecord) -> None:
        if self._exporters:
            self._exporters.export(numbers_of_run(record))

    def _so_far(self, snapshot: Snapshot) -> RunRecord:
        graph = self._known.graph if self._known else None
        woven = self._known.woven if self._known else None
        committed = self._committed.latest()
        live = self._live.told(graph, snapshot, snapshot.elements, committed, woven)
        with contextlib.suppress(Exception):  # a store may be away for a while
            live["workers"] = merged_workers(read_workers(self._store, self.record.folder))
            self._store.files.write(f"{self.record.folder}/{LIVE}", encode_record(live, indent=None))
            (self.record,) = self._store.read([(self.record.id, self.record.pipeline)])
        return dataclasses.replace(self.record, live=live)

    def _ended(self, state: str, finished: str | None, snapshot: Snapshot) -> RunRecord:
        status = STATUS_OF_STATE.get(state, "failed")
        error: BaseException | None = None
        if status == "failed":
            error = RuntimeError(self._job.last_error() or f"the job ended in the state {state}")
        known = self._known
        hides_values = known is None or known.hides_values
        if known is None:
            end: dict[str, Any] = {"status": status}
        else:
            end, verdict = whole_end(self._store, self.record.folder, known, snapshot, True, status, None)
            error = error or verdict
        end["error"] = None if error is None else describe_error(error, hides_values)
        if finished is not None and finished > self.record.start["started"]:
            end["finished"] = finished
        start = self._store.files.read(f"{self.record.folder}/{START}") or b""
        return end_run(self._store, self.record, start, {"job_id": self._job.id, **end})


def check_submitted(record: RunRecord) -> None:
    """Makes sure that a run was submitted, so that its job may be asked for.

    Raises:
      CannotBeWatched: it was not.
    """
    if record.status == "running":
        reason = "the process that launched it does: beam-obs show --follow shows what it finds"
        raise CannotBeWatched(record.id, reason)
    if record.status != "submitted":
        raise CannotBeWatched(record.id, f"it is {record.status}, not submitted")


def _known(store: Store, record: RunRecord) -> KnownPipeline | None:
    content = store.files.read(f"{record.folder}/{PIPELINE}")
    if content is None:
        return None
    try:
        return read_known_pipeline(content)
    except ValueError as error:
        _LOGGER.warning("run %s: %s cannot be read: %s", record.id, PIPELINE, error)
        return None
