"""`beam-obs dead-letters`: `list` and `show`, beside `replay` and `reset`."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from beam_obs.cli.dead_letter_kinds import (
    follow_kinds_of_run,
    list_kinds_of_pipeline,
    list_kinds_of_run,
)
from beam_obs.cli.follow import follow_option
from beam_obs.cli.letter_list import AskedLetters, follow_letters, letter_json, list_letters
from beam_obs.cli.replay_letters import replay, reset
from beam_obs.cli.shared_options import json_option, store_option
from beam_obs.records.data_coders import MayRunCode
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.number_text import counted
from beam_obs.records.run_id import SHORT_ID
from beam_obs.records.wording import clean
from beam_obs.reports.letter_text import place_text, standing_text, time_text
from beam_obs.reports.telling import tell
from beam_obs.store.found_letter import find_letter, no_letter_id, refused_record, short_letter_id
from beam_obs.store.letter_life import LetterLife, letter_life
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store
from beam_obs.store.unknown_name import beginning_of


@click.group(name="dead-letters")
def dead_letters() -> None:
    """List and show refused records, by kind and one by one, and replay them."""


dead_letters.add_command(replay)
dead_letters.add_command(reset)


@dead_letters.command(name="list")
@click.argument("run", metavar="[RUN]", required=False)
@store_option
@click.option(
    "--pipeline",
    metavar="NAME",
    help="In place of RUN: what is new, recurring and gone in the newest finished run of this pipeline.",
)
@click.option("--letters", is_flag=True, help="List single dead letters, not kinds.")
@click.option("--stage", metavar="LABEL", help="Only what this stage, or a part of it, refused.")
@click.option(
    "--fingerprint", metavar="HEX", help="List the dead letters of this kind, or of kinds that begin so."
)
@click.option(
    "--source", metavar="FILE", help="List the dead letters whose records were read from this file."
)
@click.option("--text", metavar="TEXT", help="List the dead letters whose records have this text in them.")
@click.option(
    "--limit", type=click.IntRange(min=0), help="At most so many; 0: all (default: 20, with --json all)."
)
@json_option
@follow_option
def list_(
    run: str | None,
    store: Store,
    pipeline: str | None,
    letters: bool,
    stage: str | None,
    fingerprint: str | None,
    source: str | None,
    text: str | None,
    limit: int | None,
    as_json: bool,
    follow: bool,
) -> None:
    """List the kinds of dead letters of a run: refusals that have the fingerprint in common.

    RUN is an id, the beginning of one, `latest`, or `PIPELINE@latest`. With --letters, --fingerprint,
    --source or --text single letters are listed; one is uncommitted when the bundle that refused it failed or
    was tried again, or the run ended before it could be committed; it is superseded when the engine started
    the whole job again. With --follow kinds, or letters, are listed as they come, each once, until the run
    ends.
    """
    if (run is None) == (pipeline is None):
        raise click.UsageError("give a RUN, e.g. latest, or --pipeline NAME to compare its newest two runs")
    if "" in (source, text):
        raise click.UsageError("--source and --text want a file and a text, and got nothing")
    letters = letters or any(one is not None for one in (fingerprint, source, text))
    if pipeline is not None and letters:
        raise click.UsageError(
            "--pipeline compares kinds; for single letters give a RUN in its place: "
            f"beam-obs dead-letters list {pipeline}@latest --letters"
        )
    if follow and (pipeline is not None or limit is not None):
        raise click.UsageError("--follow lists all of a RUN as it comes: no --pipeline, no --limit")
    limit = (0 if as_json else 20) if limit is None else limit
    if pipeline is not None:
        list_kinds_of_pipeline(store, pipeline, stage, limit, as_json)
    elif letters:
        asked = AskedLetters(stage, beginning_of(fingerprint or "").lower(), source, text or "")
        if follow:
            follow_letters(store, store.find(str(run)), asked, as_json)
        else:
            list_letters(store, store.find(str(run)), asked, limit, as_json)
    elif follow:
        follow_kinds_of_run(store, store.find(str(run)), stage, as_json)
    else:
        list_kinds_of_run(store, store.find(str(run)), stage, limit, as_json)


@dead_letters.command()
@click.argument("id", metavar="ID")
@store_option
@click.option(
    "--payload", is_flag=True, help="Write the record's own bytes to standard output, nothing else."
)
@click.option(
    "--trust-pickles",
    is_flag=True,
    help="Decode the record by any coder, also one that unpickles: whoever can write to the store may have "
    "chosen what code that runs.",
)
@json_option
def show(id: str, store: Store, payload: bool, trust_pickles: bool, as_json: bool) -> None:
    """Show one dead letter.

    ID is as `list` prints it: the beginning of a run's id, then the letter's own part.
    """
    if not beginning_of(id).partition(".")[2]:
        raise click.UsageError(no_letter_id(id))
    record, letter, standing = find_letter(store, id)
    if payload:
        if letter.redacted:
            click.echo("beam-obs: redacted: these are not the record's own bytes", err=True)
        sys.stdout.buffer.write(letter.payload)
        return
    life = letter_life(store, record, letter)
    if as_json:
        click.echo(json.dumps({**json.loads(letter_json(letter, standing)), **life.to_json()}))
        return
    rows: list[tuple[str, Any]] = [
        ("id", letter.id),
        ("run", f"{letter.run} ({record.pipeline}, {record.status_text})"),
        ("stage", letter.stage),
        ("error", f"{letter.error_type}: {letter.error_message}"),
        ("fingerprint", letter.fingerprint),
        ("key", letter.key),
        ("refused", time_text(letter.failed_at)),
        ("event time", time_text(letter.event_time)),
        ("window", f"{letter.window} {letter.pane}".strip()),
        ("source", place_text(letter) if letter.source_uri else None),
        ("origin", letter.origin),
        ("attempt", letter.attempt),
        ("first", letter.root_id if letter.root_id != letter.id else None),
        ("state", f"{life.state.state} ({life.state.reason})" if life.state.reason else life.state.state),
        ("code", letter.code),
        ("committed", standing_text(standing)),
        ("coder", f"{letter.payload_coder}, {counted(len(letter.payload), 'byte')}"),
        ("redacted", "yes: values were left out, it is not the whole record" if letter.redacted else None),
    ]
    for name, value in rows:
        if value not in (None, ""):
            tell(f"{name:<12} {clean(value)}")
    tell(f"\n{_indented('life', _life_text(life))}")
    tell(f"\n{_indented('payload', _decoded(record, letter, trust_pickles))}")
    if letter.traceback:
        tell(f"\n{_indented('traceback', letter.traceback)}")


def _life_text(life: LetterLife) -> str:
    """Returns what happened to a letter, a line for each event."""
    lines = []
    for event in life.events:
        named = short_letter_id(event.letter) if event.letter is not None else (event.run or "")[:SHORT_ID]
        lines.append(f"{event.at[:19].replace('T', ' ')}  {event.what}  {named}".rstrip())
    return "\n".join(lines)


def _decoded(record: RunRecord, letter: DeadLetter, trust_pickles: bool) -> str:
    """Returns the element as Python prints it, by the coder that the run kept; else its text."""
    try:
        return repr(refused_record(record, letter, trust_pickles=trust_pickles))
    except MayRunCode as error:
        return f"{letter.payload_text}\n(not decoded: {error}; --trust-pickles lets it)"
    except Exception as error:
        return f"{letter.payload_text}\n(not decoded: {type(error).__name__}: {error})"


def _indented(title: str, text: str) -> str:
    lines = [clean(line) for line in text.rstrip("\n").split("\n")]
    return "\n".join([title, *(f"  {line}" for line in lines)])
