"""`beam-obs trace`: the way of a record through a pipeline, with times."""

from __future__ import annotations

import json

import click

from beam_obs.cli.shared_options import store_option
from beam_obs.reports.telling import tell
from beam_obs.store.store import Store


@click.command()
@click.argument("target", metavar="ORIGIN | FILE:LINE")
@click.option("--run", metavar="RUN", help="The run that it was in (default: the newest that traced it).")
@store_option
@click.option(
    "--trace-url",
    metavar="URL",
    help="Address of a trace in your backend, with {trace_id} in it, e.g. "
    "http://localhost:16686/trace/{trace_id} (default: trace_url of beam_obs.toml).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as one JSON object.")
@click.option("--svg", is_flag=True, help="Print a picture of it.")
def trace(
    target: str, run: str | None, store: Store, trace_url: str | None, as_json: bool, svg: bool
) -> None:
    """Show a record's way through a pipeline as a tree, with times.

    The record is an origin of 32 hex digits, or the line or record N of a source or an output. The spans are
    those that the run has kept in its folder; where they were sent to a backend, its address is shown.
    """
    from beam_obs.lineage.way_of_record import record_trace
    from beam_obs.records.errors import UsageError
    from beam_obs.reports.trace_picture import trace_picture
    from beam_obs.reports.trace_text import trace_lines
    from beam_obs.store.configuration import check_trace_url, find_configuration

    if as_json and svg:
        raise click.UsageError("--json and --svg: give one of them")
    try:
        if trace_url is not None:
            check_trace_url(trace_url, "--trace-url")
        template = trace_url or find_configuration().trace_url
        answer = record_trace(target, run=run, store=store)
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    url = template.replace("{trace_id}", answer.trace_id) if template else None
    if svg:
        if not answer.roots:
            raise click.ClickException("there are no spans to draw: " + "; ".join(answer.notes))
        click.echo(trace_picture(answer), nl=False)
    elif as_json:
        click.echo(json.dumps({**answer.to_json(), "url": url}, indent=1))
    else:
        tell(*trace_lines(answer, url))
