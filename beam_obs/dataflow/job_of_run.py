"""Who is asked about the job of a run: Dataflow, or the job service that its pipeline was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from beam_obs.dataflow.dataflow_calls import DataflowError, JobPlace
from beam_obs.dataflow.dataflow_job import DataflowJob, is_of_dataflow, place_of
from beam_obs.records.dataflow_names import RUN_LABEL
from beam_obs.records.secrets import redact_text
from beam_obs.records.wording import clean
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store

if TYPE_CHECKING:
    from beam_obs.runs.asked_job import AskedJob

_MOST_LOOKED_AT = 200


def job_of_run(record: RunRecord, job_endpoint: str | None = None, place: JobPlace | None = None) -> AskedJob:
    """Returns the job of a run that was submitted.

    Args:
      record: the run.
      job_endpoint: host and port of its job service; by default what the pipeline was given.
      place: where its job of Dataflow is; by default what the pipeline's options say.

    Raises:
      CannotBeWatched: the run was not submitted, or has no job that anybody can be asked about.
    """
    from beam_obs.runs.asked_job import CannotBeWatched
    from beam_obs.runs.portable_job import PortableJob
    from beam_obs.runs.watched_job import check_submitted

    check_submitted(record)
    if not is_of_dataflow(record):
        return PortableJob(record, job_endpoint)
    if record.job_id is None:
        raise CannotBeWatched(record.id, "the id of its job is not known: beam-obs watch --job JOB")
    found = place_of(record, place)
    if found is None:
        reason = (
            "the place of its job is not known: give --project and --region, and --endpoint if it has one"
        )
        raise CannotBeWatched(record.id, reason)
    job = DataflowJob(found, record.job_id)
    try:
        job.described()
    except DataflowError as error:
        raise CannotBeWatched(record.id, str(error)) from None
    return job


def run_of_job(store: Store, job: Any) -> RunRecord | None:
    """Returns the run of a job of Dataflow, by the label that the job has, else by the id that the run noted.

    Args:
      store: the store; by what they noted the newest runs are looked at.
      job: a ``Job``.
    """
    labelled = dict(job.labels).get(RUN_LABEL)
    ids = store.ids()
    named = [one for one in ids if labelled in one]
    for record in store.read(named or ids[:_MOST_LOOKED_AT]):
        if record.job_id == job.id or record.id == labelled:
            return record
    return None


def where_its_run_is(job: Any) -> str | None:
    """Returns where the run is of a job of Dataflow that has none in a store; None where it has no run yet.

    Args:
      job: a ``Job``.
    """
    labelled = dict(job.labels).get(RUN_LABEL)
    if labelled is None:
        return None
    options = dict(job.environment.sdk_pipeline_options or {}).get("options") or {}
    store = dict(options).get("obs_store")
    shown = clean(redact_text(store)) if isinstance(store, str) and store else "FOLDER"
    return f"it is run {clean(labelled)}, whose store is given by --store {shown}"
