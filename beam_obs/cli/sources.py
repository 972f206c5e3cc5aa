"""`beam-obs sources`: what a run read."""

from __future__ import annotations

import json
import sys

import click

from beam_obs.cli.shared_options import end_if_lost, store_option
from beam_obs.reports.telling import tell
from beam_obs.store.store import Store


@click.command()
@click.argument("run", metavar="RUN")
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print the answer as one JSON object.")
def sources(run: str, store: Store, as_json: bool) -> None:
    """List what a run read: each part of each source, with its version, records and refusals.

    RUN is an id, the beginning of one, `latest`, or `PIPELINE@latest`.
    """
    from beam_obs.lineage.run_sources import sources as find_sources
    from beam_obs.reports.lineage_text import certainty_text, partition_row, run_text

    answer = find_sources(run, store=store)
    if as_json:
        click.echo(json.dumps(answer.to_json(), indent=1))
        end_if_lost(answer.is_lost)
        return
    tell(f"run       {run_text(answer.run)}", f"answer    {certainty_text(answer.certainty)}")
    if not answer.partitions:
        end_if_lost(answer.is_lost)
        return
    from rich import box

    from beam_obs.reports.console import console_for, print_below, writes_unicode
    from beam_obs.reports.fitting import FittingColumn, FittingTable, whole

    console = console_for(sys.stdout)
    columns = [FittingColumn(name, "left", least) for name, least in (("source", 8), ("file", 12))]
    columns.append(FittingColumn("version", "left"))
    columns.extend(map(FittingColumn, ("records", "dead")))
    rows = [tuple(map(whole, partition_row(partition))) for partition in answer.partitions]
    lines = box.SIMPLE_HEAD if writes_unicode(console) else None
    table = FittingTable(columns, rows, ("version",), lines)
    print_below(console, table)
