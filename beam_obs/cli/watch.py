"""`beam-obs watch`: looks after a job whose launcher has ended."""

from __future__ import annotations

import sys

import click

from beam_obs.cli.follow import display, end_as
from beam_obs.cli.shared_options import store_option, tell_problems_of
from beam_obs.reports.console import console_for
from beam_obs.reports.run_report import print_report_on
from beam_obs.store.store import Store


@click.command()
@click.argument("run", metavar="RUN")
@store_option
@click.option(
    "--job-endpoint",
    metavar="HOST:PORT",
    help="Job service that is asked; by default what the pipeline was given.",
)
def watch(run: str, store: Store, job_endpoint: str | None) -> None:
    """Keep the counts of a run that was submitted, and write its end when the job has ended.

    RUN is an id, the beginning of one, `latest`, or `PIPELINE@latest`. Its job service is asked every five
    seconds; Ctrl-C ends that, and the job goes on. The exit code is 1 where the job failed.
    """
    record = store.find(run)
    tell_problems_of(record)
    if record.end is None:
        from beam_obs.runs.watched_job import WatchedJob

        job = WatchedJob(store, record, job_endpoint)
        try:
            with display(store) as show:
                for record in job.looks():
                    if record.end is None:
                        show(record)
        except KeyboardInterrupt:
            raise click.Abort from None
    print_report_on(console_for(sys.stdout), record, store)
    end_as(record)
