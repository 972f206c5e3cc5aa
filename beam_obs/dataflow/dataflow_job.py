"""A job of Dataflow, asked how it goes: state, numbers, what it says, and why it failed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from beam_obs.dataflow.dataflow_calls import DataflowError, JobPlace, call, dataflow_types
from beam_obs.dataflow.launcher_log import launcher_lines
from beam_obs.dataflow.running_job import job_of
from beam_obs.records.secrets import redact_text
from beam_obs.records.wording import clean
from beam_obs.store.run_record import RunRecord, time_text

if TYPE_CHECKING:
    from beam_obs.runs.asked_job import JobLook

_JOB_ID = re.compile(r"\d{4}-\d\d-\d\d_\d\d_\d\d_\d\d-\d+")
_TRUSTED_ENDPOINT = re.compile(
    r"https://([a-z0-9-]+\.)*googleapis\.com/?|http://(localhost|127\.0\.0\.1)(:\d+)?/?"
)
_PREFIX = "JOB_STATE_"
_ENDED = ("DONE", "FAILED", "CANCELLED", "UPDATED", "DRAINED")
_ENDED_WELL = ("DONE", "UPDATED", "DRAINED")
_LAUNCH = re.compile(r"launch(er)?\b", re.IGNORECASE)
_MOST_ERRORS = 3


def is_job_id(text: str) -> bool:
    """Returns whether a text is the id of a job of Dataflow.

    >>> is_job_id("2026-01-02_03_04_05-678901"), is_job_id("019a2241-ec6b")
    (True, False)
    """
    return _JOB_ID.fullmatch(text) is not None


def is_of_dataflow(record: RunRecord) -> bool:
    """Returns whether a run's job is one of Dataflow."""
    return "Dataflow" in str(record.start.get("runner"))


def place_of(record: RunRecord, asked: JobPlace | None = None) -> JobPlace | None:
    """Returns where the job of a run is, as the options of its pipeline say; None where they do not.

    Args:
      record: the run.
      asked: what was said besides; it goes before them.
    """
    if asked is not None:
        return asked
    options = record.start.get("options") or {}
    told = [options.get(name) for name in ("project", "region", "dataflow_endpoint")]
    project, region, endpoint = (one if isinstance(one, str) and one else None for one in told)
    # Who wrote the store says so, and is not to get the reader's credentials.
    if endpoint is not None and _TRUSTED_ENDPOINT.fullmatch(endpoint) is None:
        return None
    return JobPlace(project, region, endpoint) if project and region else None


class DataflowJob:
    """A job.

    Args:
      place: where it is.
      job_id: its id.
    """

    def __init__(self, place: JobPlace, job_id: str) -> None:
        self.place = place
        self.id = job_id
        self.where = "Dataflow"
        self._told: set[str] = set()
        self._told_until: Any = None
        self._errors: list[str] = []

    def described(self, seconds: float = 60.0) -> Any:
        """Returns the ``Job`` as the service tells it.

        Args:
          seconds: within which it has to answer.

        Raises:
          DataflowError: it does not.
        """
        return job_of(self.place, self.id, seconds)

    def look(self, labels: Mapping[str, str]) -> JobLook:
        """Returns how the job goes.

        Args:
          labels: full labels of the pipeline's steps by their ids in its portable form.

        Raises:
          NoAnswer: the service does not tell.
        """
        from beam_obs.metrics.dataflow_numbers import numbers_told
        from beam_obs.metrics.run_snapshot import ElementCounts, snapshot_of
        from beam_obs.runs.asked_job import JobLook, NoAnswer

        dataflow = dataflow_types()
        asked = dataflow.GetJobMetricsRequest(
            project_id=self.place.project, location=self.place.region, job_id=self.id
        )
        try:
            job = self.described()
            told = call(
                self.place.endpoint,
                "MetricsV1Beta3Client",
                "get_job_metrics",
                asked,
                f"tell the numbers of job {self.id}",
            )
        except DataflowError as error:
            raise NoAnswer(error.reason) from None
        numbers = numbers_told(job, told, labels)
        since = time_text(job.current_state_time) if job.current_state_time else None
        return JobLook(state_of(job), since, snapshot_of(numbers.metrics, ElementCounts({}), {}))

    def new_messages(self) -> list[str]:
        """Returns what the job says since the last time that it was asked, oldest first; raises nothing."""
        dataflow = dataflow_types()
        asked = dataflow.ListJobMessagesRequest(
            project_id=self.place.project,
            location=self.place.region,
            job_id=self.id,
            minimum_importance=dataflow.JobMessageImportance.JOB_MESSAGE_BASIC,
            start_time=self._told_until,  # a job that runs for months has many
        )
        try:
            told = call(
                self.place.endpoint,
                "MessagesV1Beta3Client",
                "list_job_messages",
                asked,
                f"tell the messages of job {self.id}",
            )
        except DataflowError:
            return []
        found = []
        for message in told:
            if message.id in self._told:
                continue
            self._told.add(message.id)
            if message.time and (self._told_until is None or message.time > self._told_until):
                self._told_until = message.time
            found.append(message.message_text)
            if message.message_importance == dataflow.JobMessageImportance.JOB_MESSAGE_ERROR:
                self._errors.append(message.message_text)
        return found

    def last_error(self) -> str:
        """Returns what the job said of its errors; where it was not launched what its launcher logged."""
        self.new_messages()
        told = list(dict.fromkeys(self._errors))[-_MOST_ERRORS:]
        if not told or any(_LAUNCH.search(text) for text in told):
            told += launcher_lines(self.place, self.id)
        # A launcher logs its command, with what its parameters were given.
        return "\n".join(clean(redact_text(line)) for text in told for line in text.splitlines())


def state_of(job: Any) -> str:
    """Returns the state of a ``Job``, as Beam names it."""
    state = dataflow_types().JobState(job.current_state)
    return str(state.name).removeprefix(_PREFIX)


def has_ended(state: str) -> bool:
    """Returns whether a job in a state goes on no more."""
    return state in _ENDED


def has_ended_well(state: str) -> bool:
    """Returns whether a job in a state has done what it should."""
    return state in _ENDED_WELL
