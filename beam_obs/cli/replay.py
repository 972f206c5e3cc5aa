"""`beam-obs replay`: records of a source, which a run has read, go through a program again from a step on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from beam_obs.cli.replaying import (
    check_program,
    dry_run_option,
    program_arguments,
    program_option,
    replace_files_option,
    run_replaying,
    tell_cut,
    told_cut,
)
from beam_obs.cli.shared_options import end_if_lost, json_option, store_argument, store_option
from beam_obs.records.errors import BeamObsError, UsageError
from beam_obs.records.number_text import counted
from beam_obs.records.replayed import records_label
from beam_obs.records.run_id import SHORT_ID
from beam_obs.records.wording import clean
from beam_obs.reports.telling import tell
from beam_obs.store.letter_states import NO_SUCCESS
from beam_obs.store.step_counts import step_counts
from beam_obs.store.store import Store
from beam_obs.store.unknown_name import UnknownName

if TYPE_CHECKING:
    from beam_obs.replay.source_replay import SourceReplay
    from beam_obs.store.run_record import RunRecord


@click.command()
@click.argument("run", metavar="RUN")
@program_arguments
@store_option
@program_option
@click.option(
    "--from",
    "step",
    required=True,
    metavar="STEP",
    help="The label of the step from which on the records go through all again; any step, also the read.",
)
@click.option(
    "--source",
    "sources",
    required=True,
    multiple=True,
    metavar="FILE:LINES",
    help="Which records of a file: lines as 7, 100-200, 100- or 7,100-200; of an Avro or Parquet file its "
    "records. FILE alone for all of them; or an origin. May be given several times.",
)
@click.option(
    "--partial-results",
    is_flag=True,
    help="Replay also where aggregates, state or side inputs are of these records alone.",
)
@replace_files_option
@dry_run_option
@json_option
def replay(
    run: str,
    arguments: tuple[str, ...],
    store: Store,
    program: str,
    step: str,
    sources: tuple[str, ...],
    partial_results: bool,
    replace_files: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Let some records of a source go through a pipeline again, from a step on: a backfill of a part.

    RUN has read them. The program is run with ARGS; its pipeline reads these records and no others, and of
    all that is made of them only what leads to STEP, STEP, and what is behind it is run. It is a run of its
    own, with the same origins. Unlike dead letters, records that are asked for twice are replayed twice.
    """
    check_program(program)
    from beam_obs.replay.source_choice import choose_records
    from beam_obs.replay.source_replay import SourceReplay

    record = store.find(run)
    try:
        chosen = choose_records(store, record, sources)
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    under_way = SourceReplay(store, chosen, step, replace_files, partial_results, dry_run)
    plan = run_replaying(
        under_way, program, arguments, lambda: None, lambda: _tell_outcome(under_way, as_json)
    )
    if plan is not None and as_json:
        told = {"run": record.id, "pipeline": record.pipeline, **under_way.described()}
        click.echo(json.dumps({**told, **told_cut(plan.cut)}))
    elif plan is not None:
        tell_cut(plan.cut)
        of = ", ".join(map(clean, sources))
        tell(f"nothing was done: without --dry-run {of} would be replayed from {clean(repr(step))} on")
    elif under_way.run is None:
        message = f"{program} has run no pipeline that has a step {step!r}: nothing was replayed"
        raise UnknownName(message, step, under_way.labels_seen)
    else:
        _tell_outcome(under_way, as_json)


def _tell_outcome(under_way: SourceReplay, as_json: bool) -> None:
    record = under_way.store.find(str(under_way.run))
    read = _records_read(under_way, record)
    if as_json:
        told = {"run": record.id, "parent_run": under_way.parent, "status": record.status}
        click.echo(json.dumps({**told, "records": read, "refused": record.refused}))
    else:
        did = "was to replay" if record.status in NO_SUCCESS else "replayed"
        of = f"{'records' if read is None else counted(read, 'record')} of run {under_way.parent[:SHORT_ID]}"
        tell(f"run {record.id[:SHORT_ID]} ({record.status_text}) {did} {of} from {under_way.step!r} on")
        if record.refused:
            where = store_argument(under_way.store)
            tell(f"beam-obs dead-letters list {record.id[:SHORT_ID]} --letters{where}")
    end_if_lost(record.status in NO_SUCCESS)
    if read == 0:
        raise BeamObsError(
            f"none of the records was read: no record begins in {', '.join(under_way.chosen.asked)}, or the "
            "program has read something else"
        )


def _records_read(under_way: SourceReplay, record: RunRecord) -> int | None:
    """Returns how many of the records came; None where that is not known."""
    counts = step_counts(record)
    total = 0
    for source in under_way.chosen.sources:
        found = counts.get(records_label(source)) or counts.get(source)
        if found is None or found.given is None:
            return None
        total += found.given + (found.dead or 0)
    return total
