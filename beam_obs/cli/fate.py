"""`beam-obs fate`: what became of a source record."""

from __future__ import annotations

import json

import click

from beam_obs.cli.shared_options import end_if_lost, store_option
from beam_obs.reports.telling import tell
from beam_obs.store.store import Store


@click.command()
@click.argument("target", metavar="FILE:LINE | FILE@POSITION | ORIGIN")
@click.option("--run", metavar="RUN", help="The run that read it (default: the newest that did).")
@store_option
@click.option("--all", "show_all", is_flag=True, help="Follow all aggregates, not the first 200.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as one JSON object.")
def fate(target: str, run: str | None, store: Store, show_all: bool, as_json: bool) -> None:
    """Show what became of a source record: outputs, aggregates, or where it ended.

    The record is a line of a source file as `grep -n` counts it, the record N of an Avro or Parquet file, a
    position as dead letters tell it, or an origin of 32 hex digits.
    """
    from beam_obs.lineage.forward import fate as find_fate
    from beam_obs.records.errors import UsageError
    from beam_obs.reports.lineage_text import fate_lines

    try:
        answer = find_fate(target, run=run, store=store, everything=show_all)
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        click.echo(json.dumps(answer.to_json(), indent=1))
    else:
        tell(*fate_lines(answer))
    end_if_lost(answer.is_lost)
