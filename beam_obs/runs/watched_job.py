"""A job whose launcher has ended, watched from elsewhere: its job service is asked how it goes.

The counts are kept in the run's ``live.json``, and when the job has ended its end is written, as its launcher
would have done it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability.job_server import ExternalJobServer
from apache_beam.runners.portability.portable_runner import PipelineResult
from apache_beam.runners.runner import PipelineState

from beam_obs.metrics.run_snapshot import Snapshot, snapshot_of_answer
from beam_obs.records.errors import BeamObsError
from beam_obs.records.worker_numbers import merged_workers
from beam_obs.runs.committed_so_far import CommittedSoFar
from beam_obs.runs.ending import describe_error
from beam_obs.runs.known_pipeline import KnownPipeline, read_known_pipeline
from beam_obs.runs.launched import STATUS_OF_STATE
from beam_obs.runs.live_counts import LiveCounts
from beam_obs.runs.watcher import LIVE_SECONDS
from beam_obs.runs.whole_end import whole_end
from beam_obs.store.run import end_run
from beam_obs.store.run_record import LIVE, PIPELINE, START, RunRecord, time_text
from beam_obs.store.sealing import encode_record
from beam_obs.store.store import Store
from beam_obs.store.worker_files import read_workers

_LOGGER = logging.getLogger(__name__)

_CONNECT_SECONDS = 20.0
_ANSWER_SECONDS = 60.0
_MESSAGES_SECONDS = 5.0
_ANSWERS_MISSED = 3
"""So many looks in turn may go without an answer: a job service is started again now and then."""


class CannotBeWatched(BeamObsError):
    """A run whose job nobody can be asked about.

    Args:
      run: id of the run.
      reason: why not, and what to do.
    """

    def __init__(self, run: str, reason: str) -> None:
        super().__init__(f"run {run} cannot be watched: {reason}")
        self.run = run
        self.reason = reason

    def __reduce__(self) -> tuple[type[CannotBeWatched], tuple[str, str]]:
        return (CannotBeWatched, (self.run, self.reason))


class WatchedJob:
    """The job of a run that was submitted.

    Args:
      store: the store.
      record: the run.
      endpoint: host and port of the job service; by default what the pipeline was given.

    Raises:
      CannotBeWatched: the run was not submitted, or has no job or job service; or that does not answer.
    """

    def __init__(self, store: Store, record: RunRecord, endpoint: str | None = None) -> None:
        self._store = store
        self.record = record
        _check_submitted(record)
        self.endpoint = endpoint or _endpoint_of(record)
        if record.job_id is None:
            raise CannotBeWatched(record.id, "its runner gave the job no id")
        self._job_id = record.job_id
        self._known = _known(store, record)
        self._live = LiveCounts(self._known.kinds if self._known else {}, record.start["started"])
        self._committed = CommittedSoFar(store, record.folder)
        try:
            self._service: Any = ExternalJobServer(self.endpoint, _CONNECT_SECONDS).start()
        except Exception:  # of a library that Beam brings along
            reason = f"no job service answers at {self.endpoint} (--job-endpoint names another)"
            raise CannotBeWatched(record.id, reason) from None
        try:
            self._state()
        except _NoAnswer as error:
            reason = f"the job service at {self.endpoint} does not know its job {self._job_id}: {error}"
            raise CannotBeWatched(record.id, reason) from None

    def looks(self) -> Iterator[RunRecord]:
        """Gives the run as it is every `LIVE_SECONDS`, with its counts, and last with its end.

        Raises:
          CannotBeWatched: its job service does not answer any more; the job may go on.
        """
        missed = 0
        while True:
            try:
                event = self._state()
                snapshot = self._snapshot()
                missed = 0
            except _NoAnswer as error:
                missed += 1
                if missed >= _ANSWERS_MISSED:
                    reason = f"the job service at {self.endpoint} does not answer any more: {error}"
                    raise CannotBeWatched(self.record.id, reason) from None
            else:
                state = str(PipelineResult.runner_api_state_to_pipeline_state(event.state))
                if PipelineState.is_terminal(state):
                    yield self._ended(state, _time_of(event), snapshot)
                    return
                yield self._so_far(snapshot)
            time.sleep(LIVE_SECONDS)

    def _state(self) -> Any:
        """Returns the ``JobStateEvent`` that tells the state which the job is in, and since when."""
        request = beam_job_api_pb2.GetJobStateRequest(job_id=self._job_id)
        return _answer(self._service.GetState, request)

    def _snapshot(self) -> Snapshot:
        request = beam_job_api_pb2.GetJobMetricsRequest(job_id=self._job_id)
        answer = _answer(self._service.GetJobMetrics, request)
        return snapshot_of_answer(answer, self._known.labels if self._known else {})

    def _so_far(self, snapshot: Snapshot) -> RunRecord:
        graph = self._known.graph if self._known else None
        woven = self._known.woven if self._known else None
        gatherings = woven.gatherings if woven is not None else []
        committed = self._committed.latest()
        live = self._live.told(graph, snapshot, snapshot.elements, committed, gatherings)
        with contextlib.suppress(Exception):  # a store may be away for a while
            live["workers"] = merged_workers(read_workers(self._store, self.record.folder))
            self._store.files.write(f"{self.record.folder}/{LIVE}", encode_record(live, indent=None))
            (self.record,) = self._store.read([(self.record.id, self.record.pipeline)])
        return dataclasses.replace(self.record, live=live)

    def _ended(self, state: str, finished: str | None, snapshot: Snapshot) -> RunRecord:
        status = STATUS_OF_STATE.get(state, "failed")
        error: BaseException | None = None
        if status == "failed":
            error = RuntimeError(self._last_error() or f"the job ended in the state {state}")
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
        return end_run(self._store, self.record, start, {"job_id": self._job_id, **end})

    def _last_error(self) -> str:
        request = beam_job_api_pb2.JobMessagesRequest(job_id=self._job_id)
        text = ""
        with contextlib.suppress(Exception):  # that of the time-out, where the stream is left open
            for message in self._service.GetMessageStream(request, timeout=_MESSAGES_SECONDS):
                told = message.message_response
                if told.importance == beam_job_api_pb2.JobMessage.JOB_MESSAGE_ERROR:
                    text = str(told.message_text)
        return text


def _check_submitted(record: RunRecord) -> None:
    """Raises CannotBeWatched where a run was not submitted."""
    if record.status == "running":
        reason = "the process that launched it does: beam-obs show --follow shows what it finds"
        raise CannotBeWatched(record.id, reason)
    if record.status != "submitted":
        raise CannotBeWatched(record.id, f"it is {record.status}, not submitted")


def _endpoint_of(record: RunRecord) -> str:
    """Returns the job service that a run's pipeline was given.

    Raises:
      CannotBeWatched: it was given none.
    """
    if "Dataflow" in str(record.start.get("runner")):
        reason = "jobs of Dataflow have no job service: ask Dataflow for the job"
    else:
        found = (record.start.get("options") or {}).get("job_endpoint")
        if isinstance(found, str) and found:
            return found
        reason = "its pipeline was given no job service (--job_endpoint): name it with --job-endpoint"
    raise CannotBeWatched(record.id, reason)


def _known(store: Store, record: RunRecord) -> KnownPipeline | None:
    content = store.files.read(f"{record.folder}/{PIPELINE}")
    if content is None:
        return None
    try:
        return read_known_pipeline(content)
    except ValueError as error:
        _LOGGER.warning("run %s: %s cannot be read: %s", record.id, PIPELINE, error)
        return None


def _time_of(event: Any) -> str | None:
    """Returns when a state began, as the store keeps times; None where the job service does not say."""
    if not event.timestamp.seconds:
        return None
    moment = event.timestamp.ToDatetime(datetime.timezone.utc)
    return time_text(moment)


class _NoAnswer(Exception):
    """A job service gives none, or an error."""


def _answer(call: Callable[..., Any], request: Any) -> Any:
    """Returns what a job service answers.

    Raises:
      _NoAnswer: with what it said, on one line.
    """
    try:
        return call(request, timeout=_ANSWER_SECONDS)
    except Exception as error:
        details = error.details() if hasattr(error, "details") else str(error)
        raise _NoAnswer(" ".join(str(details or type(error).__name__).split())[:300]) from error
