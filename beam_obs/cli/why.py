"""`beam-obs why`: from a record of an output to the source records that it was made of."""

from __future__ import annotations

import json
from typing import BinaryIO

import click

from beam_obs.cli.shared_options import end_if_lost, store_option
from beam_obs.reports.telling import tell
from beam_obs.store.store import Store

_MOST_BYTES = 1 << 26


@click.command()
@click.argument("target", metavar="FILE[:N] | ORIGIN | SINK")
@click.option(
    "--match",
    "matches",
    metavar="FIELD=VALUE",
    multiple=True,
    help="Find the record by the value of a field; may be given several times. FILE may then be a pattern, "
    "or the prefix that a sink was given.",
)
@click.option(
    "--record",
    "given",
    type=click.File("rb"),
    metavar="FILE",
    help="The record itself, as JSON or as it was written, or several of which --match chooses one; - for "
    "standard input. For tables and topics, e.g. bigquery:PROJECT.DATASET.TABLE, which are not read here.",
)
@click.option("--run", metavar="RUN", help="The run that wrote it (default: the newest that did).")
@store_option
@click.option(
    "--all", "show_all", is_flag=True, help="Show all contributors that were kept, not the first ten."
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as one JSON object.")
def why(
    target: str,
    matches: tuple[str, ...],
    given: BinaryIO | None,
    run: str | None,
    store: Store,
    show_all: bool,
    as_json: bool,
) -> None:
    """Show why a record of an output is what it is.

    The record is the line N of a text, CSV or JSON file, or the record N of an Avro or Parquet file, counted
    from 1; an origin of 32 hex digits; or of a table or topic what --record hands over. The answer names the
    steps it passed, for an aggregate how many elements it was made of and their source records, read again
    and verified; and how sure all of it is.
    """
    from beam_obs.lineage.backward import why as find_why
    from beam_obs.records.errors import UsageError
    from beam_obs.reports.lineage_text import why_lines

    wanted: dict[str, str] = {}
    for match in matches:
        name, sign, value = match.partition("=")
        if not sign or not name:
            raise click.UsageError(f"--match {match}: give FIELD=VALUE")
        wanted[name] = value
    try:
        record = None if given is None else given.read(_MOST_BYTES)
        answer = find_why(target, wanted, run=run, store=store, all_contributors=show_all, record=record)
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        click.echo(json.dumps(answer.to_json(), indent=1))
    else:
        tell(*why_lines(answer))
    end_if_lost(answer.is_lost)
