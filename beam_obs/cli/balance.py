"""`beam-obs balance`: whether every record of a run is accounted for."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from beam_obs.cli.shared_options import json_option, store_option, tell_problems_of
from beam_obs.reports.telling import tell
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store


@click.command()
@click.argument("run", metavar="RUN")
@json_option
@store_option
def balance(run: str, as_json: bool, store: Store) -> None:
    """Show whether every record of a run is accounted for; exit code 1 where that is not so, or not known.

    What each step put out is held against what the next took, by count and by sums of the records' origins,
    which show a loss that a doubling hides. An edge that does not hold is told with the records that are lost
    or too many, as far as they can be named. Of a run that has not ended, windows that are over are.
    RUN is an id, the beginning of one, `latest`, or `PIPELINE@latest`.
    """
    from beam_obs.lineage.odd_records import odd_records
    from beam_obs.reports.ledger_text import examples_of
    from beam_obs.store.folding import folded_record

    record = store.find(run)
    tell_problems_of(record)
    end = folded_record(record).last_known
    found, ledger = end.get("balance") or {}, end.get("ledger")
    holds = found.get("holds") if record.end is not None else (ledger or {}).get("holds")
    origins = examples_of(ledger)
    records = dict(zip(origins, odd_records(store, record, origins), strict=True)) if origins else {}
    if as_json:
        told = {
            "run": record.id,
            "pipeline": record.pipeline,
            "status": record.status,
            "holds": holds,
            "unchecked": found.get("unchecked") if record.end is not None else record.why_no_end,
            "balance": found or None,
            "ledger": ledger,
            "examples": {origin: one.to_json() for origin, one in records.items()},
        }
        click.echo(json.dumps(told))
    elif record.end is None and not ledger:
        tell(f"balance not checked: {record.why_no_end}")
    else:
        _tell(record, end, ledger, records)
    if holds is not True:
        raise click.exceptions.Exit(1)


def _tell(record: RunRecord, end: Any, ledger: Any, records: Any) -> None:
    from beam_obs.records.wording import clean
    from beam_obs.reports.ledger_text import (
        broken_edges,
        edge_name,
        edge_rows,
        example_lines,
        found_text,
        ledger_text,
        step_rows,
        window_lines,
    )
    from beam_obs.reports.run_notes import balance_notes, so_far_notes
    from beam_obs.store.step_counts import step_counts

    tell(f"{clean(record.pipeline)}  {record.id}")
    has_ended = "status" in end
    notes = balance_notes(end, names=False) if has_ended else so_far_notes(end)[:1]
    tell(*(f"{'    ' if note.is_detail else '  '}{note.text}" for note in notes))
    if has_ended and (ledger or {}).get("holds") is None:
        tell(f"    {ledger_text(ledger)}")
    for edge in broken_edges(ledger):
        tell(f"    {edge_name(edge)}: {found_text(edge)}")
        tell(*(f"      {line}" for line in window_lines(edge)))
        tell(*(f"      {line}" for line in example_lines(edge, records)))
    edges, steps = (ledger or {}).get("edges") or (), (ledger or {}).get("steps") or ()
    if edges:
        _print_table(("edge", "given", "taken", "found"), edge_rows(edges))
    if steps:
        heads = ("step", "in", "passed on", "filtered", "dead", "out")
        _print_table(heads, step_rows(steps, step_counts(record)))


_LEAST_WIDTHS = {"edge": 16, "step": 16, "found": 14}
"""To how many columns texts are narrowed; numbers are not."""


def _print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box

    from beam_obs.reports.console import console_for, print_below, writes_unicode
    from beam_obs.reports.fitting import FittingColumn, FittingTable, whole

    console = console_for(sys.stdout)
    columns = [
        FittingColumn(head, "left" if head in _LEAST_WIDTHS else "right", _LEAST_WIDTHS.get(head))
        for head in heads
    ]
    lines = box.SIMPLE_HEAD if writes_unicode(console) else None
    table = FittingTable(columns, [tuple(map(whole, row)) for row in rows], ("passed on", "filtered"), lines)
    print_below(console, table)
