"""Kinds of dead letters as `beam-obs dead-letters list` prints them: of one run, or of two of a pipeline."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.text import Text

from beam_obs.cli.follow import until_ended
from beam_obs.cli.shared_options import store_argument, tell_problems_of
from beam_obs.metrics.names import is_within
from beam_obs.records.errors import BeamObsError
from beam_obs.records.number_text import counted
from beam_obs.records.run_id import SHORT_ID
from beam_obs.records.wording import clean, letters_beside, moment_text
from beam_obs.reports.console import console_for, print_plainly, writes_unicode
from beam_obs.reports.fitting import MOST_TEXT, clipped, hanging, whole
from beam_obs.reports.kinds_wording import left_out_text, may_be_there_text, since_text, unreached_text
from beam_obs.reports.telling import tell
from beam_obs.store.folding import WITHIN, kinds_by_row
from beam_obs.store.found_letter import short_letter_id
from beam_obs.store.kinds_of_refusal import (
    GONE,
    NEW,
    RECURRING,
    KindChange,
    PipelineKinds,
    dead_letters_of,
    pipeline_kinds,
)
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store
from beam_obs.store.unknown_name import UnknownName

_STATE_STYLES = {NEW: "bold red", RECURRING: "yellow", GONE: "green"}


def check_stage(stage: str, known: Collection[str], where: str) -> None:
    """Raises an UnknownName where there is no such stage."""
    if not any(is_within(one, stage) for one in known):
        raise UnknownName(f"{where} has no stage {stage!r}", stage, sorted(known))


def stages_of(record: RunRecord) -> set[str]:
    """Returns the labels of the stages of a run, as far as its files tell them."""
    stages = {stage["label"] for stage in record.last_known.get("stages") or ()}
    return stages | set(record.start.get("coders") or {})


def list_kinds_of_run(store: Store, record: RunRecord, stage: str | None, limit: int, as_json: bool) -> None:
    """Prints the kinds of one run, the commonest first.

    Args:
      store: the store.
      record: the run.
      stage: label of the stage; None for all.
      limit: at most so many; 0 for all.
      as_json: whether to print JSON lines.
    """
    tell_problems_of(record)
    refused = dead_letters_of(store, record)
    if stage is not None:
        check_stage(stage, stages_of(record) | set(refused["by_stage"]), f"run {record.id}")
    every = [
        kind
        for kind in refused.get("by_fingerprint") or ()
        if stage is None or is_within(kind["stage"], stage)
    ]
    kinds = every[: limit or None]
    if as_json:
        for kind in kinds:
            click.echo(json.dumps({"run": record.id, "pipeline": record.pipeline, **kind}))
        return
    if not every:
        tell(f"no such dead letters in run {record.id} ({record.pipeline}, {record.status_text})")
        return
    console = console_for(sys.stdout)
    kinds = kinds_by_row(record.last_known, kinds)
    stages = len({kind["stage"] for kind in kinds_by_row(record.last_known, every)})
    title = whole(f"{clean(record.pipeline)}  {record.id[:SHORT_ID]}  ", "bold")
    title.append(f"{record.status_text}: {counted(len(every), 'kind')} in {counted(stages, 'stage')}")
    print_plainly(console, title)
    for kind in kinds:
        _print_kind(console, kind)
    if len(every) > len(kinds):
        tell(f"\nand {counted(len(every) - len(kinds), 'more kind')} (--limit 0 lists all)")
    if others := refused.get("other_fingerprints"):
        tell(f"\nand {counted(others, 'letter')} of kinds beyond the first 1,000 of a bundle")
    for line in letters_beside(refused, record.status):
        tell(f"\n{line}")
    where = store_argument(store)
    tell(f"\nbeam-obs dead-letters list {record.id[:SHORT_ID]} --fingerprint HEX{where}")
    tell(f"beam-obs dead-letters show ID{where}")


def follow_kinds_of_run(store: Store, record: RunRecord, stage: str | None, as_json: bool) -> None:
    """Prints the kinds of a run as they are found, each once, until it ends.

    Args:
      store: the store.
      record: the run.
      stage: label of the stage; None for all.
      as_json: whether to print JSON lines.
    """
    console = console_for(sys.stdout)
    seen: set[tuple[str, str]] = set()
    for now in until_ended(store, record):
        for kind in dead_letters_of(store, now)["by_fingerprint"] if now.refused else ():
            key = kind["stage"], kind["fingerprint"]
            if key in seen or not (stage is None or is_within(kind["stage"], stage)):
                continue
            seen.add(key)
            if as_json:
                click.echo(json.dumps({"run": record.id, "pipeline": record.pipeline, **kind}))
            else:
                _print_kind(console, *kinds_by_row(now.last_known, [kind]))
            sys.stdout.flush()


def _print_kind(console: Console, kind: dict[str, Any]) -> None:
    entry = Text()
    entry.append(f"\n{kind['count']:>9,}  ", "bold red")
    _tell(entry, kind, console)
    print_plainly(console, hanging(entry))


def list_kinds_of_pipeline(store: Store, pipeline: str, stage: str | None, limit: int, as_json: bool) -> None:
    """Prints what is new, recurring and gone in the newest finished run of a pipeline.

    Args:
      store: the store.
      pipeline: name of the pipeline.
      stage: label of the stage; None for all.
      limit: at most so many kinds; 0 for all.
      as_json: whether to print JSON lines.

    Raises:
      BeamObsError: the pipeline has no finished run.
      UnknownName: there is no such pipeline, or stage in it.
    """
    store.check_pipeline(pipeline)
    found = pipeline_kinds(store, pipeline)
    if found.newest is None:
        told = f"{counted(len(found.left_out), 'run')}, none of which has finished"
        raise BeamObsError(f"pipeline {pipeline!r} has {told} in the store {store.uri!r}")
    tell_problems_of(*(one for one in (found.newest, found.previous) if one is not None), *found.left_out)
    if stage is not None:
        of_gone = {change.kind["stage"] for change in found.changes}
        check_stage(stage, stages_of(found.newest) | of_gone, f"pipeline {pipeline!r}")
    every = [change for change in found.changes if stage is None or is_within(change.kind["stage"], stage)]
    changes = every[: limit or None]
    if as_json:
        runs = {"run": found.newest.id, "previous_run": found.previous.id if found.previous else None}
        for change in changes:
            click.echo(json.dumps({**runs, **change.to_json()}))
        return
    console = console_for(sys.stdout)
    _print_runs(console, found)
    if not every:
        click.echo("\nno dead letters in either" if found.previous else "\nno dead letters")
    for state in (NEW, RECURRING, GONE):
        of_state = [change for change in every if change.state == state]
        if of_state:
            print_plainly(console, Text(f"\n{state}  {len(of_state):,}", _STATE_STYLES[state]))
        for change in changes:
            if change.state == state:
                print_plainly(console, _change(change, found, console))
    if len(every) > len(changes):
        tell(f"\nand {counted(len(every) - len(changes), 'more kind')} (--limit 0 lists all)")
    where = store_argument(store)
    if every:
        tell(f"\nbeam-obs dead-letters list {found.newest.id[:SHORT_ID]} --fingerprint HEX{where}")
    if found.previous is not None:
        ids = f"{found.previous.id[:SHORT_ID]} {found.newest.id[:SHORT_ID]}"
        tell(f"beam-obs diff {ids}{where}")


def _print_runs(console: Console, found: PipelineKinds) -> None:
    assert found.newest is not None
    for name, record in (("newest", found.newest), ("before it", found.previous)):
        if record is None:
            tell(f"{name:<10} none: every kind is new")
            continue
        line = Text(f"{name:<10} {record.id[:SHORT_ID]}  ")
        line.append(f"{record.start['started'][:19].replace('T', ' ')}  {record.status_text}", "bold")
        print_plainly(console, hanging(line))
        if may_be_there := may_be_there_text(record):
            tell(f"           {may_be_there}")
    if left_out := left_out_text(found):
        tell(f"           {left_out}")


def _change(change: KindChange, found: PipelineKinds, console: Console) -> RenderableType:
    arrow = "→" if writes_unicode(console) else "->"
    entry = Text()
    before = f"{change.before:,} {arrow} " if found.previous is not None else ""
    entry.append(f"{before + format(change.after, ','):>9}  ", "bold")
    assert found.newest is not None
    (kind,) = kinds_by_row(found.newest.end, [change.kind])
    _tell(entry, kind, console)
    if since := since_text(change, found):
        entry.append(f"\n           {since}", "yellow" if change.came_back else "dim")
    if unreached := unreached_text(change):
        entry.append(f"\n           {unreached}", "yellow")
    return hanging(entry)


def _tell(entry: Text, kind: dict[str, Any], console: Console) -> None:
    """Adds what a kind is: stage, error, an example, its place, and when it was seen."""
    indent = "\n" + 11 * " "
    entry.append(clean(kind["stage"]), "bold")
    if kind.get(WITHIN):
        entry.append(f", in {clean(kind[WITHIN])}")
    entry.append(f"  {kind['fingerprint']}", "dim")
    error = kind["error_type"].rpartition(".")[2]
    most_text = MOST_TEXT if console.is_terminal else None
    message = f"{clean(error)}: {clean(kind['error_message'])}"
    entry.append(f"{indent}{clipped(message, most_text)}", "red")
    if kind.get("payload_text"):
        entry.append(f"{indent}{clipped(clean(kind['payload_text']), most_text)}")
    if kind.get("source_uri"):
        at = f" at {kind['position']:,}" if kind.get("position") is not None else ""
        entry.append(f"{indent}{clean(kind['source_uri'])}{at}", "dim")
    seen = f"{moment_text(kind['first'], kind['last'])}, e.g. {short_letter_id(kind['id'])}"
    entry.append(f"{indent}{seen}", "dim")
