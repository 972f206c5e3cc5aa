"""The job that an update replaces, and the pipeline that it runs."""

from __future__ import annotations

from typing import Any

from beam_obs.dataflow.dataflow_calls import JobPlace, call, dataflow_types
from beam_obs.dataflow.launched_template import NoTemplate, read_file, read_template
from beam_obs.records.errors import BeamObsError


class NotRunning(BeamObsError):
    """No job of a name runs.

    Args:
      job_name: the name.
      running: names of jobs that run.
    """

    def __init__(self, job_name: str, running: list[str]) -> None:
        told = f"those that do are {', '.join(running)}" if running else "none does"
        super().__init__(f"no job named {job_name!r} runs: {told}; leave out --update to launch a new one")
        self.job_name = job_name
        self.running = running

    def __reduce__(self) -> tuple[type[NotRunning], tuple[str, list[str]]]:
        return (NotRunning, (self.job_name, self.running))


def running_job(place: JobPlace, job_name: str) -> Any:
    """Returns the ``Job`` of a name that runs, with all that is known of it.

    Args:
      place: where it is.
      job_name: its name.

    Raises:
      NotRunning: there is none.
      DataflowError: the service does not tell.
    """
    dataflow = dataflow_types()
    asked = dataflow.ListJobsRequest(
        project_id=place.project, location=place.region, filter=dataflow.ListJobsRequest.Filter.ACTIVE
    )
    active = call(place.endpoint, "JobsV1Beta3Client", "list_jobs", asked, "list jobs")
    ids = [job.id for job in active if job.name == job_name]
    if not ids:
        raise NotRunning(job_name, sorted(job.name for job in active))
    return job_of(place, ids[0])


def job_of(place: JobPlace, job_id: str, seconds: float = 60.0, is_patient: bool = True) -> Any:
    """Returns a ``Job`` with all that is known of it.

    Args:
      place: where it is.
      job_id: its id.
      seconds: within which the service has to answer.
      is_patient: whether it is asked again while a quota is used up.

    Raises:
      DataflowError: the service does not tell.
    """
    dataflow = dataflow_types()
    asked = dataflow.GetJobRequest(
        project_id=place.project,
        location=place.region,
        job_id=job_id,
        view=dataflow.JobView.JOB_VIEW_ALL,
    )
    task = f"tell of job {job_id}"
    return call(place.endpoint, "JobsV1Beta3Client", "get_job", asked, task, seconds, is_patient)


def is_batch(job: Any) -> bool:
    """Returns whether a ``Job`` ends by itself, so that Dataflow does not update it."""
    return bool(job.type_ == dataflow_types().JobType.JOB_TYPE_BATCH)


def pipeline_of(job: Any) -> Any:
    """Returns the portable pipeline of a ``Job``, as its launcher staged it; None where it is not there.

    Args:
      job: as the service tells it.
    """
    options = dict(job.environment.sdk_pipeline_options or {}).get("options") or {}
    location = dict(options).get("pipelineUrl")
    return read_pipeline(location) if isinstance(location, str) else None


def read_pipeline(location: str) -> Any:
    """Returns a portable pipeline; None where there is no such file.

    Args:
      location: its file, or that of a classic template, which tells where it is.

    Raises:
      NoTemplate: it is no pipeline.
    """
    from apache_beam.portability.api import beam_runner_api_pb2 as api
    from google.protobuf.message import DecodeError

    content = read_file(location)
    if content is None:
        return None
    if content.lstrip()[:1] == b"{":
        template = read_template(location)
        if template.graph is None:
            raise NoTemplate(
                location, "it does not tell its pipeline: give the file pipeline.pb that was staged"
            )
        return read_pipeline(template.graph)
    try:
        pipeline = api.Pipeline.FromString(content)
    except DecodeError:
        pipeline = api.Pipeline()
    # Some files that are none can be parsed as one that has no steps.
    if not pipeline.components.transforms:
        reason = (
            "it is no portable pipeline: give the file pipeline.pb that was staged, or a classic template"
        )
        raise NoTemplate(location, reason)
    return pipeline
