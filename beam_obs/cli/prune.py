"""`beam-obs prune`: removes old runs from a store."""

from __future__ import annotations

import json
import os
import sys

import click
from rich.text import Text

from beam_obs.cli.erase import erase_person
from beam_obs.cli.shared_options import in_seconds, store_option
from beam_obs.records.errors import BeamObsError
from beam_obs.records.number_text import counted
from beam_obs.records.run_id import SHORT_ID
from beam_obs.records.wording import bytes_text, clean
from beam_obs.reports.console import console_for, print_plainly
from beam_obs.reports.fitting import FittingColumn, FittingTable, whole
from beam_obs.reports.telling import tell
from beam_obs.store.folder import is_local, local_path
from beam_obs.store.leftovers import Leftover, remove_leftovers
from beam_obs.store.prune import (
    FAILED,
    LINK,
    NEWEST,
    OPEN,
    RUNNING,
    UNFINISHED,
    YOUNG,
    PrunePlan,
    plan_prune,
)
from beam_obs.store.prune import prune as prune_runs
from beam_obs.store.store import Store

_REASONS = {
    YOUNG: "not old enough",
    RUNNING: "running",
    OPEN: "submitted or templates, whose jobs may go on (--include-open)",
    NEWEST: "newest of their pipelines (--keep-newest)",
    FAILED: "failed or lost (--keep-failed)",
    LINK: "links to other folders, which are left alone",
    UNFINISHED: "unfinished files: of runs that may go on, or written to in the last day",
}


def _folders(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for uri in values:
        if is_local(uri) and not os.path.isdir(local_path(uri)):
            raise click.BadParameter(f"{uri!r} is no folder")
    return values


@click.command()
@click.option(
    "--older-than",
    "seconds",
    callback=in_seconds,
    metavar="AGE",
    help="Only runs that ended so long ago, e.g. 30d, 12h, 2w.",
)
@click.option(
    "--match",
    metavar="FIELD=VALUE",
    help="In place of runs: erase the evidence of whoever has this value in this field, from all runs.",
)
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="The same for a record's origin, 32 hex digits; may be given several times.",
)
@click.option("--pipeline", metavar="NAME", help="Only runs of this pipeline.")
@click.option("--keep-failed", is_flag=True, help="Keep runs that failed or were lost.")
@click.option(
    "--keep-newest",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="Keep the newest N runs of each pipeline, however old.",
)
@click.option(
    "--include-open",
    is_flag=True,
    help="Also runs whose job was left to its runner (submitted), and templates: their jobs may go on.",
)
@click.option(
    "--leftovers-in",
    "folders",
    callback=_folders,
    multiple=True,
    metavar="FOLDER",
    help="Look for unfinished files in this folder, too, e.g. of dead letters; may be given several times.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print what was removed as one JSON object.")
def prune(
    seconds: int | None,
    match: str | None,
    origins: tuple[str, ...],
    pipeline: str | None,
    keep_failed: bool,
    keep_newest: int,
    include_open: bool,
    folders: tuple[str, ...],
    dry_run: bool,
    store: Store,
    as_json: bool,
) -> None:
    """Remove old runs from a store, with their dead letters and all other evidence.

    A run that is running is never removed. What a pipeline itself wrote is not touched.

    Files that killed processes left half written (.partial-..., .write-check-...) go with them: those of runs
    that have ended, and others that were last written to so long ago, a day at least.

    With --match or --origin the runs stay, and one person's evidence is erased from them: dead letters,
    examples, rows of output indexes, notes of filtered elements, contributors of aggregates, errors, spans.
    """
    if (seconds is None) == (match is None and not origins):
        raise click.UsageError("give --older-than AGE, or --match FIELD=VALUE, or --origin ORIGIN")
    if pipeline is not None:
        store.check_pipeline(pipeline)
    if seconds is None:
        if keep_failed or include_open or keep_newest != 1 or folders:
            raise click.UsageError("--match and --origin erase from all runs: give them without --keep-...")
        erase_person(store, match, origins, pipeline, dry_run, as_json)
        return
    plan = plan_prune(
        store,
        seconds,
        pipeline=pipeline,
        keep_failed=keep_failed,
        keep_newest=keep_newest,
        include_open=include_open,
        folders=folders,
    )
    failures = [] if dry_run else prune_runs(store, [record for record, _ in plan.remove])
    stuck = [] if dry_run else remove_leftovers(plan.leftovers)
    failed, left = {record.id for record, _ in failures}, {leftover for leftover, _ in stuck}
    done = PrunePlan(
        tuple((record, size) for record, size in plan.remove if record.id not in failed),
        plan.kept,
        tuple(leftover for leftover in plan.leftovers if leftover not in left),
    )
    _print_json(done, dry_run) if as_json else _print(done, dry_run)
    told = [f"{record.id} ({record.pipeline}): {problem}" for record, problem in failures]
    told += [f"{clean(leftover.path)}: {problem}" for leftover, problem in stuck]
    if told:
        what = " and ".join(
            counted(number, name)
            for number, name in ((len(failures), "run"), (len(stuck), "unfinished file"))
            if number
        )
        raise BeamObsError("\n  ".join((f"{what} could not be removed:", *told)))


def _print_json(plan: PrunePlan, dry_run: bool) -> None:
    runs = [
        {
            "id": record.id,
            "pipeline": record.pipeline,
            "status": record.status,
            "dead": record.refused,
            "bytes": size,
        }
        for record, size in plan.remove
    ]
    total = sum(size for _, size in plan.remove)
    leftovers = [{"path": leftover.path, "bytes": leftover.size} for leftover in plan.leftovers]
    told = {"dry_run": dry_run, "removed": runs, "bytes": total, "leftovers": leftovers, "kept": plan.kept}
    click.echo(json.dumps(told))


def _print(plan: PrunePlan, dry_run: bool) -> None:
    if plan.remove:
        columns = (
            FittingColumn("", "left"),
            FittingColumn("", "left", 16),
            FittingColumn("", "left", name="started"),
            FittingColumn("", "left", 8, is_last=True),
            FittingColumn("", name="size"),
        )
        rows = [
            (
                Text(record.id[:SHORT_ID]),
                whole(clean(record.pipeline)),
                Text(record.start["started"][:19].replace("T", " ")),
                whole(record.status_text),
                Text(bytes_text(size)),
            )
            for record, size in plan.remove
        ]
        print_plainly(console_for(sys.stdout), FittingTable(columns, rows))
    number, total = len(plan.remove), sum(size for _, size in plan.remove)
    dead = sum(record.refused for record, _ in plan.remove)
    letters = f", with {counted(dead, 'dead letter')}" if dead else ""
    verb = "would remove" if dry_run else "removed"
    what = f"{counted(number, 'run')}, {bytes_text(total)}{letters}" if number else "nothing"
    if number or not plan.leftovers:
        tell(f"{verb} {what}")
    if plan.leftovers:
        _print_leftovers(plan.leftovers, verb)
    tell(*(f"kept {count:,}: {_REASONS[reason]}" for reason, count in plan.kept.items()))


def _print_leftovers(leftovers: tuple[Leftover, ...], verb: str) -> None:
    """Names the unfinished files: they are few, and none of them is seen elsewhere."""
    total = sum(leftover.size for leftover in leftovers)
    tell(f"{verb} {counted(len(leftovers), 'unfinished file')}, {bytes_text(total)}:")
    tell(*(f"  {clean(leftover.path)}  {bytes_text(leftover.size)}" for leftover in leftovers))
