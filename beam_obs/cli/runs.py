"""`beam-obs runs` and `beam-obs show`."""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Iterator

import click

from beam_obs.cli.follow import end_as, follow_option, show_until_ended, until_ended
from beam_obs.cli.shared_options import (
    all_steps_option,
    json_option,
    store_option,
    tell_problems,
    tell_problems_of,
)
from beam_obs.dataflow.jobs_of_runs import with_jobs
from beam_obs.records.errors import MissingExtra
from beam_obs.reports.console import console_for, print_plainly, writes_unicode
from beam_obs.reports.report_picture import report_svg
from beam_obs.reports.run_line import run_line
from beam_obs.reports.run_report import print_report_on, record_json
from beam_obs.reports.runs_table import render_runs
from beam_obs.reports.telling import tell
from beam_obs.store.configuration import usable_schedules
from beam_obs.store.run_record import RunRecord
from beam_obs.store.scheduled_pipelines import scheduled_pipelines
from beam_obs.store.store import Store
from beam_obs.web.web_extra import web_extra


@click.command()
@store_option
@click.option("--pipeline", metavar="NAME", help="Only runs of this pipeline.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=20, show_default=True, help="At most so many; 0: all."
)
@json_option
def runs(store: Store, pipeline: str | None, limit: int, as_json: bool) -> None:
    """List runs, the newest first.

    What the schedules of beam_obs.toml say is overdue or takes too long is told on standard error.
    """
    tell_problems(_missed(store, pipeline))
    if pipeline is not None:
        store.check_pipeline(pipeline)
    ids = store.ids(pipeline)
    found, problems = with_jobs(store.read(ids[: limit or None]))
    tell_problems_of(*found)
    tell_problems(problems)
    if as_json:
        for record in found:
            click.echo(run_line(record))
        return
    console = console_for(sys.stdout)
    if not found:
        tell(f"no runs in the store {store.shown_uri}")
        return
    print_plainly(console, render_runs(found, ascii_only=not writes_unicode(console)))
    more = len(ids) - len(found)
    if more > 0:
        click.echo(f"and {more:,} older (--limit 0 lists all)")


def _missed(store: Store, pipeline: str | None) -> Iterator[str]:
    """Yields what is overdue or takes too long, of the pipelines that have a schedule."""
    try:
        schedules = usable_schedules()
    except MissingExtra as error:  # a list needs none of that
        yield str(error)
        return
    for name, times in scheduled_pipelines(store, schedules, pipeline).items():
        yield from (f"{name}: {told}" for told in times.missed)


@click.command()
@click.argument("run", metavar="RUN")
@store_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print all that is known of the run as one JSON object."
)
@click.option(
    "--svg", type=click.Path(dir_okay=False, path_type=pathlib.Path), help="Write the report as a picture."
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=pathlib.Path),
    metavar="FILE",
    help="Write its page as one file that needs nothing beside it; - for standard output.",
)
@all_steps_option
@follow_option
def show(
    run: str,
    store: Store,
    as_json: bool,
    svg: pathlib.Path | None,
    html: pathlib.Path | None,
    all_steps: bool,
    follow: bool,
) -> None:
    """Show the report of a run; of one that has not ended the counts so far.

    RUN is an id, the beginning of one, `latest`, or `PIPELINE@latest`. JSON has all steps. With --follow a
    terminal shows the report anew until the run ends, and the exit code is 1 where it failed; elsewhere each
    look is a line, and with --json an object on a line. The exit code is 1 too where its end cannot be read.
    """
    (record,), problems = with_jobs([store.find(run)])
    tell_problems_of(record)
    tell_problems(problems)
    if follow and as_json:
        for now in until_ended(store, record):
            click.echo(json.dumps(record_json(now, store)))
            sys.stdout.flush()
        end_as(now)
        return
    if follow:
        record = show_until_ended(store, record, all_steps)
    if svg is not None:
        svg.write_text(report_svg(record, store, all_steps=all_steps), encoding="utf-8")
        tell(f"wrote {svg}")
    elif html is not None:
        _write_html(record, store, html)
    elif as_json:
        click.echo(json.dumps(record_json(record, store), indent=1))
    else:
        print_report_on(console_for(sys.stdout), record, store, all_steps)
    if follow:
        end_as(record)
    if record.status == "damaged":
        raise click.exceptions.Exit(1)


def _write_html(record: RunRecord, store: Store, file: pathlib.Path) -> None:
    with web_extra():
        from beam_obs.web.one_file import run_as_one_file
    page = run_as_one_file(store, record)
    if str(file) == "-":
        click.echo(page.encode(), nl=False)
    else:
        file.write_text(page, encoding="utf-8")
        tell(f"wrote {file}")
