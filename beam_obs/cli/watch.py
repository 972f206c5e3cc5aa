"""`beam-obs watch`: looks after a job whose launcher has ended."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import click

from beam_obs.cli.follow import display
from beam_obs.cli.launch import asked_place, place_options
from beam_obs.cli.shared_options import STORE_HELP, tell_problems_of
from beam_obs.dataflow.dataflow_calls import DataflowError, JobPlace
from beam_obs.dataflow.dataflow_job import is_job_id
from beam_obs.exporters.exporter_group import make_exporters_that_work
from beam_obs.exporters.targets import chosen_targets
from beam_obs.records.run_id import SHORT_ID
from beam_obs.records.wording import clean
from beam_obs.reports.columns import is_terminal
from beam_obs.reports.console import console_for
from beam_obs.reports.run_report import print_report_on
from beam_obs.reports.store_argument import store_argument
from beam_obs.reports.telling import tell
from beam_obs.store.configuration import find_configuration
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store

if TYPE_CHECKING:
    from beam_obs.runs.asked_job import AskedJob


@click.command()
@click.argument("run", metavar="RUN", required=False)
@click.option("--job", metavar="JOB", help="The id of a job of Dataflow, in place of a run.")
@click.option("--store", "root", metavar="FOLDER", help=STORE_HELP)
@click.option(
    "--job-endpoint",
    metavar="HOST:PORT",
    help="Job service that is asked; by default what the pipeline was given.",
)
@place_options
def watch(
    run: str | None,
    job: str | None,
    root: str | None,
    job_endpoint: str | None,
    project: str | None,
    region: str | None,
    endpoint: str | None,
) -> None:
    """Keep the counts of a run that was submitted, and write its end when the job has ended.

    RUN is an id, the beginning of one, `latest`, `PIPELINE@latest`, or the id of a job of Dataflow. Who
    runs the job is asked every five seconds; Ctrl-C ends that, and the job goes on. A job that could not be
    launched is told with what its launcher logged. The exit code is 1 where it failed or was cancelled.
    """
    if (run is None) == (job is None):
        raise click.UsageError("give either a RUN or --job JOB")
    if job is not None and not is_job_id(job):
        raise click.UsageError(
            f"--job: found {job!r}, expected the id of a job, as 2026-01-02_03_04_05-678901: "
            "`gcloud dataflow jobs list` tells it"
        )
    wanted = job or run or ""
    asked = job or project or region or endpoint or is_job_id(wanted)
    place = asked_place(project, region, endpoint) if asked else None
    # A store's word is somebody else's: where its runs sent their numbers does not count here.
    targets = chosen_targets({}, find_configuration(), "--{}")
    if job is not None or is_job_id(wanted):
        assert place is not None
        watch_job(wanted, Store(root), place, targets)
        return
    store = Store(root, must_exist=True)
    record = store.find(wanted)
    again = f"beam-obs watch {record.id[:SHORT_ID]}{store_argument(store)}"
    with _interrupted(f"the job of run {record.id}", again):
        _watch_run(store, record, job_endpoint, place, targets)


def watch_job(
    job_id: str, store: Store, place: JobPlace, targets: Mapping[str, str], is_new: bool = False
) -> None:
    """Shows a job of Dataflow to its end, and its run from when it is there; ends the command as it ended.

    Args:
      job_id: its id.
      store: that its run is in.
      place: where it is.
      targets: where its numbers are sent, as `chosen_targets` gives them.
      is_new: whether it was launched just now, so that it is there even where nobody answers for a while.
    """
    with _interrupted(f"job {job_id}", watch_command(job_id, place, _root(store))):
        _watch_job(job_id, store, place, targets, is_new)


def watch_command(job_id: str, place: JobPlace, store: str | None) -> str:
    """Returns the command that follows a job, from anywhere.

    Args:
      job_id: its id.
      place: where it is.
      store: that its run is in; None for the default one.
    """
    given = {
        "project": place.project,
        "region": place.region,
        "endpoint": place.endpoint,
        "store": store,
    }
    options = "".join(f" --{name} {shlex.quote(value)}" for name, value in given.items() if value)
    return f"beam-obs watch {job_id}{options}"


@contextlib.contextmanager
def _interrupted(what: str, again: str) -> Iterator[None]:
    """Lets Ctrl-C end the command, and the job go on."""
    try:
        yield
    except KeyboardInterrupt:
        _say_it_goes_on(what, again)
        raise click.Abort from None


def _say_it_goes_on(what: str, again: str) -> None:
    click.echo(f"beam-obs: {what} goes on: {again} follows it", err=True)


def _root(store: Store) -> str | None:
    return None if store.is_default else store.shown_uri


def _watch_run(
    store: Store,
    record: RunRecord,
    job_endpoint: str | None,
    place: JobPlace | None,
    targets: Mapping[str, str],
    job: AskedJob | None = None,
) -> None:
    """Shows a run to its end, and ends the command as it ended; its job is found where none is given."""
    tell_problems_of(record)
    if record.end is None:
        from beam_obs.dataflow.job_of_run import job_of_run
        from beam_obs.runs.watched_job import WatchedJob

        asked = job or job_of_run(record, job_endpoint, place)
        exporters = make_exporters_that_work(targets)
        says = _messages_of(asked)
        try:
            with display(store) as show:
                for now in WatchedJob(store, record, asked, exporters).looks():
                    record = now
                    if now.end is None:
                        says()
                        show(now)
            says()
        finally:
            exporters.close()
    print_report_on(console_for(sys.stdout), record, store)
    if record.status != "done":
        raise click.exceptions.Exit(1)


def _messages_of(asked: AskedJob) -> Callable[[], None]:
    """Returns what prints the new messages of a job; not on a terminal, where the report is drawn anew."""
    from beam_obs.dataflow.dataflow_job import DataflowJob

    def say() -> None:
        if isinstance(asked, DataflowJob) and not is_terminal(sys.stdout):
            tell(*(clean(message) for message in asked.new_messages()))

    return say


def _watch_job(
    job_id: str, store: Store, place: JobPlace, targets: Mapping[str, str], has_answered: bool
) -> None:
    """Shows a job of Dataflow until it has ended, or until its run is there."""
    from beam_obs.dataflow.dataflow_job import DataflowJob, has_ended, has_ended_well, state_of
    from beam_obs.dataflow.job_of_run import run_of_job, where_its_run_is
    from beam_obs.runs.watched_job import ANSWERS_MISSED, pause
    from beam_obs.runs.watcher import LIVE_SECONDS

    job = DataflowJob(place, job_id)
    before, missed, is_told = "", 0, False
    while True:
        try:
            told = job.described()
        except DataflowError as error:
            missed += 1
            # Where nobody has answered yet the request is wrong, rather than the service away.
            if not (has_answered and error.may_pass):
                raise
            if missed >= ANSWERS_MISSED:
                _say_it_goes_on(f"job {job_id}", watch_command(job_id, place, _root(store)))
                raise
            pause(LIVE_SECONDS)
            continue
        missed, has_answered = 0, True
        state = state_of(told)
        record = run_of_job(store, told)
        if record is not None and (record.status == "submitted" or record.end is not None):
            _watch_run(store, record, None, place, targets, job)
            return
        elsewhere = where_its_run_is(told) if record is None else None
        if elsewhere and not is_told:  # now: the job may go on for months
            click.echo(f"beam-obs: no run of job {job_id} is in {store.shown_uri}: {elsewhere}", err=True)
            is_told = True
        if state != before:
            tell(f"{job_id}  {state.lower()}")
            before = state
        tell(*(clean(message) for message in job.new_messages()))
        if has_ended(state):
            break
        pause(LIVE_SECONDS)
    if record is None and not is_told:
        click.echo(f"beam-obs: no run of job {job_id} is in {store.shown_uri}", err=True)
    if state == "FAILED":
        reason = job.last_error() or f"it does not say why, look at {place.console(job_id)}"
        click.echo(f"beam-obs: job {job_id} failed: {reason}", err=True)
    if not has_ended_well(state):
        raise click.exceptions.Exit(1)
