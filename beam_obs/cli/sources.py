"""`beam-obs sources`: what a run read."""

from __future__ import annotations

import json
import sys

import click

from beam_obs.cli.options import end_if_lost, store_option
from beam_obs.runs.store import Store


@click.command()
@click.argument("run", metavar="RUN")
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print the answer as one JSON object.")
def sources(run: str, store: Store, as_json: bool) -> None:
    """List what a run read: each part of each source, with its version, records and refusals.

    RUN is an id, the beginning of one, `latest`, or `PIPELINE@latest`.
    """
    from beam_obs.cli.lineage_text import certainty_text, partition_row, run_text
    from beam_obs.lineage.run_sources import sources as find_sources

    answer = find_sources(run, store=store)
    if as_json:
        click.echo(json.dumps(answer.to_json(), indent=1))
        end_if_lost(answer.is_lost)
        return
    click.echo(f"run       {run_text(answer.run)}")
    click.echo(f"answer    {certainty_text(answer.certainty)}")
    if not answer.partitions:
        end_if_lost(answer.is_lost)
        return
    from rich import box
    from rich.table import Table

    from beam_obs.runs.report import console_for, print_plainly

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("source")
    table.add_column("file", overflow="fold")
    table.add_column("version")
    for name in ("records", "dead"):
        table.add_column(name, justify="right", no_wrap=True)
    for partition in answer.partitions:
        table.add_row(*partition_row(partition))
    click.echo()
    print_plainly(console_for(sys.stdout), table)
