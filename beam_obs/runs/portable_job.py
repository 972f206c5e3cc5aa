"""A job that a job service runs, asked by Beam's own protocol."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Mapping
from typing import Any

from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability.job_server import ExternalJobServer
from apache_beam.runners.portability.portable_runner import PipelineResult

from beam_obs.metrics.run_snapshot import snapshot_of_answer
from beam_obs.runs.asked_job import CannotBeWatched, JobLook, NoAnswer
from beam_obs.store.run_record import RunRecord, time_text

_CONNECT_SECONDS = 20.0
_ANSWER_SECONDS = 60.0
_MESSAGES_SECONDS = 5.0


class PortableJob:
    """The job of a run, behind a job service.

    Args:
      record: the run.
      endpoint: host and port of the job service; by default what the pipeline was given.

    Raises:
      CannotBeWatched: the run has no job or job service; or that does not answer.
    """

    def __init__(self, record: RunRecord, endpoint: str | None = None) -> None:
        self._endpoint = endpoint or _endpoint_of(record)
        self.where = f"the job service at {self._endpoint}"
        if record.job_id is None:
            raise CannotBeWatched(record.id, "its runner gave the job no id")
        self.id = record.job_id
        try:
            self._service: Any = ExternalJobServer(self._endpoint, _CONNECT_SECONDS).start()
        except Exception:  # of a library that Beam brings along
            reason = f"no job service answers at {self._endpoint} (--job-endpoint names another)"
            raise CannotBeWatched(record.id, reason) from None
        try:
            self._state()
        except NoAnswer as error:
            reason = f"{self.where} does not know its job {self.id}: {error}"
            raise CannotBeWatched(record.id, reason) from None

    def look(self, labels: Mapping[str, str]) -> JobLook:
        """Returns how the job goes.

        Args:
          labels: full labels of the pipeline's steps by their ids in its portable form.

        Raises:
          NoAnswer: the job service gives none.
        """
        event = self._state()
        request = beam_job_api_pb2.GetJobMetricsRequest(job_id=self.id)
        answer = _answer(self._service.GetJobMetrics, request)
        state = str(PipelineResult.runner_api_state_to_pipeline_state(event.state))
        return JobLook(state, _time_of(event), snapshot_of_answer(answer, labels))

    def last_error(self) -> str:
        """Returns what the job said last of an error; nothing where it said nothing."""
        request = beam_job_api_pb2.JobMessagesRequest(job_id=self.id)
        text = ""
        with contextlib.suppress(Exception):  # that of the time-out, where the stream is left open
            for message in self._service.GetMessageStream(request, timeout=_MESSAGES_SECONDS):
                told = message.message_response
                if told.importance == beam_job_api_pb2.JobMessage.JOB_MESSAGE_ERROR:
                    text = str(told.message_text)
        return text

    def _state(self) -> Any:
        """Returns the ``JobStateEvent`` that tells the state which the job is in, and since when."""
        return _answer(self._service.GetState, beam_job_api_pb2.GetJobStateRequest(job_id=self.id))


def _endpoint_of(record: RunRecord) -> str:
    """Returns the job service that a run's pipeline was given.

    Raises:
      CannotBeWatched: it was given none.
    """
    found = (record.start.get("options") or {}).get("job_endpoint")
    if isinstance(found, str) and found:
        return found
    reason = "its pipeline was given no job service (--job_endpoint): name it with --job-endpoint"
    raise CannotBeWatched(record.id, reason)


def _time_of(event: Any) -> str | None:
    """Returns when a state began, as the store keeps times; None where the job service does not say."""
    if not event.timestamp.seconds:
        return None
    moment = event.timestamp.ToDatetime(datetime.timezone.utc)
    return time_text(moment)


def _answer(call: Callable[..., Any], request: Any) -> Any:
    """Returns what a job service answers.

    Raises:
      NoAnswer: with what it said, on one line.
    """
    try:
        return call(request, timeout=_ANSWER_SECONDS)
    except Exception as error:
        details = error.details() if hasattr(error, "details") else str(error)
        raise NoAnswer(" ".join(str(details or type(error).__name__).split())[:300]) from error
