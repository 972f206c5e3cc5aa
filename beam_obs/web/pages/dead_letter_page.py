"""One dead letter: the record as it was refused, its error, its line in its source, its kind elsewhere."""

from __future__ import annotations

import dataclasses
import reprlib
import shlex
from typing import Any

from beam_obs.lineage.readable_files import ReadableFiles, only_files
from beam_obs.lineage.run_evidence import RunEvidence
from beam_obs.lineage.source_lines import SourceLine, source_record_in_lines
from beam_obs.lineage.source_records import VERIFIED, SourceRecord
from beam_obs.records.data_coders import MayRunCode
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.origin import is_derived, parse_origin
from beam_obs.records.record_content import fields_of
from beam_obs.records.wording import moment_text
from beam_obs.reports.folded_traceback import traceback_parts
from beam_obs.reports.hex_rows import hex_rows
from beam_obs.reports.letter_text import place_text, standing_text, time_text
from beam_obs.reports.lineage_words import source_place_text
from beam_obs.reports.store_argument import store_argument
from beam_obs.store.evidence import Standing
from beam_obs.store.found_letter import LetterNotFound, find_letter, refused_record, short_letter_id
from beam_obs.store.kinds_of_refusal import Kinds, counts_by_run
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store
from beam_obs.web.bounded_text import BLOCK, MOST_OF_LINE, BoundedText, bounded
from beam_obs.web.page import NotThere, Page
from beam_obs.web.stored_runs import StoredRuns

_MOST_DECODED = 1 << 20
"""Bytes of a payload that is decoded; a larger one is shown as text and in hexadecimal only."""

_MOST_FIELDS = 200
_RUNS_LOOKED_AT = 30
_RUNS_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class Decoded:
    """A payload as a value.

    Args:
      fields: name and value of each, as text; none where it has none.
      more_fields: how many are left out.
      value: of a record without fields, as Python prints it.
      problem: why it is not decoded; empty where it is.
    """

    fields: tuple[tuple[str, BoundedText], ...] = ()
    more_fields: int = 0
    value: BoundedText | None = None
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class InSource:
    """A refused record in its source.

    Args:
      place: file, line and position.
      record: as it is there now.
      lines: of its file, where they may be shown.
    """

    place: str
    record: SourceRecord
    lines: tuple[tuple[SourceLine, BoundedText], ...]


def dead_letter_page(runs: StoredRuns, id: str, files: ReadableFiles) -> Page:
    """Returns the page of a dead letter.

    Args:
      runs: of the store.
      id: of the letter.
      files: sources that may be shown.

    Raises:
      NotThere: there is no such letter.
      RunNotFound: there is no such run.
    """
    try:
        record, letter, standing = find_letter(runs.store, id)
    except LetterNotFound as error:
        raise NotThere(str(error)) from None
    with only_files(files):
        source = _in_source(runs.store, record, letter)
    others = _other_runs(runs, record, letter)
    return Page(
        "dead_letter.html",
        f"Dead letter {short_letter_id(letter.id)}",
        {
            "run": record,
            "letter": letter,
            "short_id": short_letter_id(letter.id),
            "error_type": bounded(letter.error_type).text,
            "message": bounded(letter.error_message, BLOCK),
            "is_committed": standing is Standing.COMMITTED,
            "standing": standing_text(standing),
            "facts": _facts(letter),
            "text": bounded(letter.payload_text, BLOCK),
            "size": len(letter.payload),
            "coder": bounded(letter.payload_coder).text,
            "decoded": _decoded(record, letter),
            "hex": hex_rows(letter.payload),
            "traceback": traceback_parts(letter.traceback[:BLOCK]) if letter.traceback else [],
            "traceback_left_out": max(0, len(letter.traceback) - BLOCK),
            "source": source,
            "source_text": _verified_text(source),
            "source_header": bounded((source.record.header if source else "") or "").text,
            "others": [one for one in others if one[1]][:_RUNS_SHOWN],
            "in_others": sum(1 for one in others if one[1]),
            "looked_at": len(others),
            "commands": _commands(runs.store, letter),
        },
    )


def _facts(letter: DeadLetter) -> list[tuple[str, str]]:
    """Returns what else is known, by name; nothing of what is empty."""
    place = place_text(letter)
    facts = [
        ("refused", f"{moment_text(letter.failed_at)} UTC"),
        ("event time", time_text(letter.event_time)),
        ("window", f"{letter.window} {letter.pane}".strip()),
        ("attempt", f"{letter.attempt:,}" if letter.attempt != 1 else ""),
        ("code", letter.code),
        ("source", place),
    ]
    return [(name, bounded(text).text) for name, text in facts if text not in ("", "none")]


def _decoded(record: RunRecord, letter: DeadLetter) -> Decoded:
    if len(letter.payload) > _MOST_DECODED:
        return Decoded(problem=f"its {len(letter.payload):,} bytes are too many to be decoded on a page")
    try:
        value = refused_record(record, letter)
    except MayRunCode as error:
        return Decoded(problem=f"{error}, and no code that a store chooses is run")
    except Exception as error:  # bytes that anyone may have written
        return Decoded(problem=f"{type(error).__name__}: {error}"[:600])
    fields = fields_of(value)
    if fields is None:
        return Decoded(value=bounded(_shown(value), BLOCK))
    shown = tuple((str(name)[:200], bounded(_shown(one))) for name, one in [*fields.items()][:_MOST_FIELDS])
    return Decoded(shown, max(0, len(fields) - _MOST_FIELDS))


_PRINTING = reprlib.Repr()
_PRINTING.maxlevel, _PRINTING.maxstring, _PRINTING.maxother = 8, BLOCK, BLOCK
_PRINTING.maxdict = _PRINTING.maxlist = _PRINTING.maxtuple = _PRINTING.maxset = 200


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else _PRINTING.repr(value)


def _in_source(store: Store, record: RunRecord, letter: DeadLetter) -> InSource | None:
    try:
        origin = parse_origin(letter.origin or "")
    except ValueError:
        return None
    found = None if is_derived(origin) else RunEvidence(store, record).partition_of(origin)
    if found is None or found[0].uri is None:
        return None
    partition, position = found
    read, lines = source_record_in_lines(partition, position)
    place = source_place_text(partition, position, read)
    return InSource(place, read, tuple((line, bounded(line.text, MOST_OF_LINE)) for line in lines))


def _verified_text(source: InSource | None) -> BoundedText | None:
    if source is None or source.record.state != VERIFIED or source.record.text is None:
        return None
    return bounded(source.record.text, BLOCK)


def _other_runs(runs: StoredRuns, record: RunRecord, letter: DeadLetter) -> list[tuple[RunRecord, int]]:
    """Returns other runs of the pipeline, newest first, each with how many letters of the kind it has."""
    newest = [one for one in runs.newest(record.pipeline, _RUNS_LOOKED_AT + 1) if one.id != record.id]
    others = newest[:_RUNS_LOOKED_AT]
    (counts,) = counts_by_run([_kind_of(record, letter)], [_kinds_of(one) for one in others])
    return list(zip(others, counts, strict=True))


def _kind_of(record: RunRecord, letter: DeadLetter) -> dict[str, Any]:
    for kind in _kinds_of(record):
        if (kind["stage"], kind["fingerprint"]) == (letter.stage, letter.fingerprint):
            return dict(kind)
    return {**letter._asdict(), "fingerprint_version": None, "count": 1}


def _kinds_of(record: RunRecord) -> Kinds:
    return ((record.end or {}).get("dead_letters") or {}).get("by_fingerprint") or ()


def _commands(store: Store, letter: DeadLetter) -> list[str]:
    where = store_argument(store)
    show = f"beam-obs dead-letters show {shlex.quote(letter.id)}"
    commands = [f"{show}{where}", f"{show} --payload{where} > record.bin"]
    if letter.origin:
        commands.append(f"beam-obs fate {shlex.quote(letter.origin)} --run {shlex.quote(letter.run)}{where}")
    return commands
