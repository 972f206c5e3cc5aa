"""`beam-obs dead-letters list` and `beam-obs dead-letters show`."""

from __future__ import annotations

import base64
import contextlib
import datetime
import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.text import Text

from beam_obs.cli.dead_letter_kinds import (
    check_stage,
    list_kinds_of_pipeline,
    list_kinds_of_run,
    short_letter_id,
    stages_of,
)
from beam_obs.cli.shared_options import (
    json_option,
    store_argument,
    store_option,
    tell_problems,
    tell_problems_of,
)
from beam_obs.metrics.names import is_within
from beam_obs.records.data_coders import MayRunCode
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.errors import BeamObsError
from beam_obs.records.number_text import counted
from beam_obs.records.wanted_letters import WantedLetters
from beam_obs.records.wording import clean
from beam_obs.reports.console import console_for, print_plainly
from beam_obs.reports.fitting import MOST_TEXT, clipped, hanging
from beam_obs.reports.telling import tell
from beam_obs.store.evidence import Standing
from beam_obs.store.kinds_of_refusal import dead_letters_of
from beam_obs.store.run_record import RunRecord
from beam_obs.store.source_places import placed_letters
from beam_obs.store.store import Store
from beam_obs.store.unknown_name import UnknownName, beginning_of

_COMMITTED = {
    Standing.COMMITTED: "yes",
    Standing.UNCOMMITTED: (
        "no: its bundle failed or was tried again, or the run ended before it could be committed"
    ),
    Standing.SUPERSEDED: "superseded: the engine started the job again, and what it refused then counts",
}


@click.group(name="dead-letters")
def dead_letters() -> None:
    """List and show refused records, by kind and one by one."""


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
) -> None:
    """List the kinds of dead letters of a run: refusals that have the fingerprint in common.

    RUN is an id, the beginning of one, `latest`, or `PIPELINE@latest`. With --letters, --fingerprint,
    --source or --text single letters are listed; one is uncommitted when the bundle that refused it failed or
    was tried again, or the run ended before it could be committed; it is superseded when the engine started
    the whole job again.
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
    limit = (0 if as_json else 20) if limit is None else limit
    if pipeline is not None:
        list_kinds_of_pipeline(store, pipeline, stage, limit, as_json)
    elif letters:
        _list_letters(store, store.find(str(run)), stage, fingerprint, source, text or "", limit, as_json)
    else:
        list_kinds_of_run(store, store.find(str(run)), stage, limit, as_json)


def _list_letters(
    store: Store,
    record: RunRecord,
    stage: str | None,
    fingerprint: str | None,
    source: str | None,
    text: str,
    limit: int,
    as_json: bool,
) -> None:
    problems: list[str] = []
    fingerprint = None if fingerprint is None else beginning_of(fingerprint)
    stages = _check_kind(store, record, stage, fingerprint)
    begins = (fingerprint or "").lower()
    found: Iterator[tuple[DeadLetter, Standing]] = itertools.chain.from_iterable(
        placed_letters(store, record, WantedLetters(one, begins, text=text), problems) for one in stages
    )
    if source is not None:
        found = _read_from(source, found)
    console = console_for(sys.stdout)
    shown = 0
    for letter, standing in itertools.islice(found, limit or None):
        shown += 1
        if as_json:
            click.echo(_json(letter, standing))
        else:
            print_plainly(console, _entry(letter, standing, console))
    more = next(found, None) is not None
    if not shown and problems:
        raise BeamObsError(f"dead letters of run {record.id} are lost: {'; '.join(problems)}")
    tell_problems_of(record)
    tell_problems(problems)
    if as_json:
        return
    if not shown:
        if source is not None:
            _check_source(store, record, source)
        tell(f"no such dead letters in run {record.id} ({record.pipeline}, {record.status_text})")
        return
    if more:
        tell("and more (--limit 0 lists all)")
    tell(f"\nbeam-obs dead-letters show ID{store_argument(store)}")


def _read_from(
    source: str, letters: Iterator[tuple[DeadLetter, Standing]]
) -> Iterator[tuple[DeadLetter, Standing]]:
    """Gives those of the dead letters whose records were read from a file."""
    from beam_obs.lineage.opened_files import same_file

    for letter, standing in letters:
        if letter.source_uri is not None and same_file(letter.source_uri, source):
            yield letter, standing


def _check_source(store: Store, record: RunRecord, source: str) -> None:
    """Looks whether a run read a file.

    Raises:
      UnknownName: it read others.
    """
    from beam_obs.lineage.opened_files import same_file
    from beam_obs.lineage.run_evidence import RunEvidence

    known = [one.uri for one in RunEvidence(store, record).partitions if one.uri is not None]
    if known and not any(same_file(uri, source) for uri in known):
        raise UnknownName(f"run {record.id} read no file {source!r}", source, known)


def _check_kind(
    store: Store, record: RunRecord, stage: str | None, fingerprint: str | None
) -> list[str] | list[None]:
    """Returns the stages that are asked for by the label of one, or of what they are in; None for all.

    Raises:
      UnknownName: the run has no such stage, or no kind of such a fingerprint.
    """
    refused = dead_letters_of(store, record)
    stages: list[str] | list[None] = [None]
    if stage is not None:
        known = stages_of(record) | set(refused["by_stage"])
        check_stage(stage, known, f"run {record.id}")
        stages = sorted(one for one in known if is_within(one, stage))
    kinds = [
        kind["fingerprint"]
        for kind in refused["by_fingerprint"]
        if stage is None or is_within(kind["stage"], stage)
    ]
    if fingerprint is None or refused.get("other_fingerprints") or not kinds:
        return stages
    if not any(kind.startswith(fingerprint) for kind in kinds):
        of = f" of stage {stage!r}" if stage is not None else ""
        raise UnknownName(
            f"run {record.id} has no kind of refusal{of} whose fingerprint is {fingerprint!r} or begins so",
            fingerprint,
            kinds,
        )
    return stages


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
    record, letter, standing = _find(store, id)
    if payload:
        if letter.redacted:
            click.echo("beam-obs: redacted: these are not the record's own bytes", err=True)
        sys.stdout.buffer.write(letter.payload)
        return
    if as_json:
        click.echo(_json(letter, standing))
        return
    rows: list[tuple[str, Any]] = [
        ("id", letter.id),
        ("run", f"{letter.run} ({record.pipeline}, {record.status_text})"),
        ("stage", letter.stage),
        ("error", f"{letter.error_type}: {letter.error_message}"),
        ("fingerprint", letter.fingerprint),
        ("key", letter.key),
        ("refused", _time(letter.failed_at)),
        ("event time", _time(letter.event_time)),
        ("window", f"{letter.window} {letter.pane}".strip()),
        ("source", _place(letter) if letter.source_uri else None),
        ("origin", letter.origin),
        ("attempt", letter.attempt),
        ("code", letter.code),
        ("committed", _COMMITTED[standing]),
        ("coder", f"{letter.payload_coder}, {counted(len(letter.payload), 'byte')}"),
        ("redacted", "yes: values were left out, it is not the whole record" if letter.redacted else None),
    ]
    for name, value in rows:
        if value not in (None, ""):
            tell(f"{name:<12} {clean(value)}")
    tell(f"\n{_indented('payload', _decoded(record, letter, trust_pickles))}")
    if letter.traceback:
        tell(f"\n{_indented('traceback', letter.traceback)}")


def _json(letter: DeadLetter, standing: Standing) -> str:
    return json.dumps(
        {
            **letter.to_json_dict(),
            "committed": standing is Standing.COMMITTED,
            "superseded": standing is Standing.SUPERSEDED,
        }
    )


def _entry(letter: DeadLetter, standing: Standing, console: Console) -> RenderableType:
    """Returns a dead letter as the list shows it: what refused it, the error, the record, and its place."""
    entry = Text()
    most_text = MOST_TEXT if console.is_terminal else None
    entry.append(_short_id(letter), "cyan").append(f"  {clean(letter.stage)}", "bold")
    entry.append(f"  {letter.fingerprint}", "dim")
    entry.append("" if standing is Standing.COMMITTED else f"  {standing.value}", "yellow")
    error = clipped(f"{clean(letter.error_type)}: {clean(letter.error_message)}", most_text)
    entry.append(f"\n  {error}", "red").append(f"\n  {clipped(clean(letter.payload_text), most_text)}")
    if letter.source_uri:
        entry.append(f"\n  {_place(letter)}", "dim")
    return hanging(entry)


def _find(store: Store, id: str) -> tuple[RunRecord, DeadLetter, Standing]:
    run, _, rest = beginning_of(id).partition(".")
    if not rest:
        raise click.UsageError(
            f"{id!r} is no id of a dead letter, as RUN.PART: `beam-obs dead-letters list RUN --letters` "
            "tells them, and with --fingerprint HEX those of one kind"
        )
    record = store.find(run)
    found = []
    problems: list[str] = []
    wanted = WantedLetters(own_id=rest)
    for letter, standing in placed_letters(store, record, wanted, problems) if rest else ():
        if letter.id.partition(".")[2] == rest:
            return record, letter, standing
        found.append((letter, standing))
    if len(found) == 1:
        return record, *found[0]
    if found:
        listed = "".join(f"\n  {_short_id(letter)}" for letter, _ in found[:8])
        raise BeamObsError(f"{id!r} may be any of {len(found)} dead letters:{listed}")
    lost = f"; it may be among those that are lost: {'; '.join(problems)}" if problems else ""
    raise BeamObsError(
        f"no dead letter {id!r} in run {record.id}: `beam-obs dead-letters list {run}` lists them{lost}"
    )


def _short_id(letter: DeadLetter) -> str:
    return short_letter_id(letter.id)


def _decoded(record: RunRecord, letter: DeadLetter, trust_pickles: bool) -> str:
    """Returns the element as Python prints it, by the coder that the run kept; else its text."""
    portable = b""
    with contextlib.suppress(KeyError, ValueError):
        kept = record.start["coders"][letter.stage]
        if kept["coder"] == letter.payload_coder:
            portable = base64.b64decode(kept["portable"])
    if letter.payload_coder == "beam:coder:string_utf8:v1":  # the commonest, and Beam need not be waited for
        return repr(letter.payload.decode("utf-8", "backslashreplace"))
    try:
        from beam_obs.records.payload import decode_payload

        return repr(
            decode_payload(letter.payload, letter.payload_coder, portable, trust_pickles=trust_pickles)
        )
    except MayRunCode as error:
        return f"{letter.payload_text}\n(not decoded: {error}; --trust-pickles lets it)"
    except Exception as error:
        return f"{letter.payload_text}\n(not decoded: {type(error).__name__}: {error})"


def _indented(title: str, text: str) -> str:
    lines = [clean(line) for line in text.rstrip("\n").split("\n")]
    return "\n".join([title, *(f"  {line}" for line in lines)])


def _place(letter: DeadLetter) -> str:
    at = f" at {letter.position:,}" if letter.position is not None else ""
    return f"{clean(letter.source_uri)}{at}" if letter.source_uri else ""


def _time(microseconds: int) -> str:
    try:
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        moment = epoch + datetime.timedelta(microseconds=microseconds)
    except OverflowError:
        return "none" if microseconds < 0 else "end of time"
    return moment.isoformat().replace("+00:00", "Z")
