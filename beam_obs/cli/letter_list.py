"""Single dead letters as `beam-obs dead-letters list` prints them: those that are there, or as they come."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from typing import NamedTuple

import click
from rich.console import Console, RenderableType
from rich.text import Text

from beam_obs.cli.dead_letter_kinds import check_stage, stages_of
from beam_obs.cli.follow import has_ended, until_ended
from beam_obs.cli.shared_options import store_argument, tell_problems, tell_problems_of
from beam_obs.metrics.names import is_within
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.errors import BeamObsError
from beam_obs.records.wanted_letters import WantedLetters
from beam_obs.records.wording import clean
from beam_obs.reports.console import console_for, print_plainly
from beam_obs.reports.fitting import MOST_TEXT, clipped, hanging
from beam_obs.reports.letter_text import place_text
from beam_obs.reports.telling import tell
from beam_obs.store.evidence import DEAD_LETTERS, Standing
from beam_obs.store.found_letter import short_letter_id
from beam_obs.store.kinds_of_refusal import dead_letters_of
from beam_obs.store.run_record import RunRecord
from beam_obs.store.source_places import placed_letters
from beam_obs.store.store import Store
from beam_obs.store.unknown_name import UnknownName


class AskedLetters(NamedTuple):
    """Which letters of a run are asked for.

    Args:
      stage: label of their stage, or of what it is in; None for all.
      fingerprint: its beginning, in small letters; empty for all.
      source: the file that their records were read from; None for all.
      text: what their records have in them; empty for all.
    """

    stage: str | None
    fingerprint: str
    source: str | None
    text: str


def list_letters(store: Store, record: RunRecord, asked: AskedLetters, limit: int, as_json: bool) -> None:
    """Prints single letters of a run.

    Args:
      store: the store.
      record: the run.
      asked: which.
      limit: at most so many; 0 for all.
      as_json: whether to print JSON lines.

    Raises:
      BeamObsError: they are lost.
      UnknownName: there is no such stage, kind or file.
    """
    problems: list[str] = []
    stages = _check_kind(store, record, asked.stage, asked.fingerprint)
    found: Iterator[tuple[DeadLetter, Standing]] = itertools.chain.from_iterable(
        placed_letters(store, record, WantedLetters(one, asked.fingerprint, text=asked.text), problems)
        for one in stages
    )
    if asked.source is not None:
        found = _read_from(asked.source, found)
    console = console_for(sys.stdout)
    shown = 0
    for letter, standing in itertools.islice(found, limit or None):
        shown += 1
        _print_letter(console, letter, standing, as_json)
    more = next(found, None) is not None
    if not shown and problems:
        raise BeamObsError(f"dead letters of run {record.id} are lost: {'; '.join(problems)}")
    tell_problems_of(record)
    tell_problems(problems)
    if as_json:
        return
    if not shown:
        if asked.source is not None:
            _check_source(store, record, asked.source)
        tell(f"no such dead letters in run {record.id} ({record.pipeline}, {record.status_text})")
        return
    if more:
        tell("and more (--limit 0 lists all)")
    tell(f"\nbeam-obs dead-letters show ID{store_argument(store)}")


def follow_letters(store: Store, record: RunRecord, asked: AskedLetters, as_json: bool) -> None:
    """Prints single letters of a run as they are found, each once, until it ends.

    Args:
      store: the store.
      record: the run.
      asked: which; what is not there may come yet.
      as_json: whether to print JSON lines.
    """
    console = console_for(sys.stdout)
    wanted = WantedLetters(None, asked.fingerprint, text=asked.text)
    seen: set[str] = set()
    files: list[str] = []
    for now in until_ended(store, record):
        names = [name for name in store.files.names(now.folder) if name.startswith(DEAD_LETTERS)]
        if names == files and not has_ended(now):
            continue
        files = names
        found = placed_letters(store, now, wanted, [])
        if asked.source is not None:
            found = _read_from(asked.source, found)
        for letter, standing in found:
            if letter.id not in seen and (asked.stage is None or is_within(letter.stage, asked.stage)):
                seen.add(letter.id)
                _print_letter(console, letter, standing, as_json)
        sys.stdout.flush()


def _print_letter(console: Console, letter: DeadLetter, standing: Standing, as_json: bool) -> None:
    if as_json:
        click.echo(letter_json(letter, standing))
    else:
        print_plainly(console, _entry(letter, standing, console))


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
    store: Store, record: RunRecord, stage: str | None, fingerprint: str
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
    if not fingerprint or refused.get("other_fingerprints") or not kinds:
        return stages
    if not any(kind.startswith(fingerprint) for kind in kinds):
        of = f" of stage {stage!r}" if stage is not None else ""
        raise UnknownName(
            f"run {record.id} has no kind of refusal{of} whose fingerprint is {fingerprint!r} or begins so",
            fingerprint,
            kinds,
        )
    return stages


def letter_json(letter: DeadLetter, standing: Standing) -> str:
    """Returns a dead letter as an object on a line."""
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
    entry.append(short_letter_id(letter.id), "cyan").append(f"  {clean(letter.stage)}", "bold")
    entry.append(f"  {letter.fingerprint}", "dim")
    entry.append("" if standing is Standing.COMMITTED else f"  {standing.value}", "yellow")
    error = clipped(f"{clean(letter.error_type)}: {clean(letter.error_message)}", most_text)
    entry.append(f"\n  {error}", "red").append(f"\n  {clipped(clean(letter.payload_text), most_text)}")
    if letter.source_uri:
        entry.append(f"\n  {place_text(letter)}", "dim")
    return hanging(entry)
