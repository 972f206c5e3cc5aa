"""Backward: from a record of an output, or an origin, to the source records that it was made of."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from beam_obs.lineage import run_choice
from beam_obs.lineage.ancestry import Ancestry, certainty_of, opaque_text
from beam_obs.lineage.answers import Why
from beam_obs.lineage.certainty import Certainty, damaged, least, not_recorded, sampled
from beam_obs.lineage.given_records import given_records, record_of_fields
from beam_obs.lineage.line_spans import MOST_LINES, Span, spans_around
from beam_obs.lineage.opened_files import FileGone, read_content
from beam_obs.lineage.output_records import (
    AVRO,
    GIVEN,
    PARQUET,
    NoSuchRecord,
    OutputRecord,
    check_fields,
    files_of,
    has,
    matching_records,
    only_record,
    record_at,
)
from beam_obs.lineage.run_evidence import RunEvidence
from beam_obs.records.errors import BeamObsError, UsageError
from beam_obs.records.lineage_rows import OUTPUT_BYTES
from beam_obs.records.origin import is_derived, parse_origin
from beam_obs.store.store import RunNotFound, Store, store_at

_EQUAL_SHOWN = 5
_OTHERS_SHOWN = 20


def why(
    target: str,
    match: Mapping[str, str] | None = None,
    *,
    run: str | None = None,
    store: Store | str | os.PathLike[str] | None = None,
    all_contributors: bool = False,
    record: bytes | None = None,
    first: int = 0,
) -> Why:
    """Returns why a record is what it is.

    Args:
      target: ``FILE:N``, the line or record N of an output, from 1; a file of one record; an origin of 32
        hex digits; with `match` a file, a pattern or the prefix that a sink was given; or with `record` any
        sink, such as ``bigquery:PROJECT.DATASET.TABLE``.
      match: value by name of the field, of the record that is asked for; of a table or topic of all fields.
      run: as `Store.find` takes it; by default the run of the record's stamp, else the newest that wrote it.
      store: where the run is kept, or its folder; by default that of the commands.
      all_contributors: whether all contributors that were kept are read, not only the first ten.
      record: the record itself, or several of which `match` chooses one, as JSON or as it was written.
      first: of an origin, the contributor that is read first, from 0: the next ten are from 10 on.

    Raises:
      UsageError: it cannot be told which record is meant.
      RunNotFound: no such run, or none that wrote the file.
      FileGone: there is no such file.
      NoSuchRecord: the file has no such record.

    >>> import apache_beam as beam, pathlib
    >>> import beam_obs as obs
    >>> import beam_obs.lineage as lineage
    >>> _ = pathlib.Path("fares.csv").write_text("city,fare\\nrome,12.5\\n")
    >>> with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="fares") as p:
    ...     _ = p | obs.ReadFromCsv("fares.csv") | obs.WriteToJson("fares", num_shards=1)
    >>> answer = lineage.why("fares-00000-of-00001.jsonl:1")
    >>> answer.certainty.kind, answer.made_of[0].record.text, answer.made_of[0].record.line
    ('complete', 'rome,12.5', 2)
    """
    store = store_at(store)
    origin = as_origin(target)
    if origin is not None and not match and record is None:
        return _of_origin(store, origin, run, all_contributors, first)
    others: tuple[str, ...] = ()
    if record is not None or run_choice.is_service(target):
        run_choice.check_sink(store, target, run)
    try:
        if record is not None:
            read = _given(target, record, match)
        elif run_choice.is_service(target):
            if not match:
                raise UsageError(_what_is_needed(target))
            read = record_of_fields(target, match)
        else:
            read, others = _record(target, match)
    except (BeamObsError, UsageError):
        raise
    except Exception as error:
        raise FileGone(target, f"it cannot be read: {type(error).__name__}: {error}"[:500]) from error
    stamp = read.stamp
    if stamp is not None:
        return _of_stamp(store, read, stamp, run, all_contributors, others)
    return _of_index(store, read, run, all_contributors, others)


def _given(target: str, content: bytes, match: Mapping[str, str] | None) -> OutputRecord:
    """Returns the record that was handed over, or the one that matches.

    Raises:
      UsageError: there is none, or several.
    """
    records = given_records(target, content)
    found = [one for one in records if has(one.fields or {}, dict(match))] if match else records
    if not found:
        check_fields(records[0], dict(match or {}))
        raise UsageError("none of the records that were handed over has these values")
    if len(found) > 1:
        raise UsageError(f"{len(found):,} records were handed over: choose one by --match FIELD=VALUE")
    return found[0]


def _what_is_needed(target: str) -> str:
    return (
        f"of the records of {target} a run keeps a digest and the origin, not the fields: hand over the "
        "whole record, as JSON with all of its fields or as it was written, by --record FILE or --record -, "
        "and choose among several by --match FIELD=VALUE; or give all of its fields by --match; or ask for "
        "the origin that a stamped record has in its column or attributes (_lineage)"
    )


def as_origin(target: str) -> bytes | None:
    """Returns the origin that a text is, or None."""
    try:
        return parse_origin(target)
    except ValueError:
        return None


def _record(target: str, match: Mapping[str, str] | None) -> tuple[OutputRecord, tuple[str, ...]]:
    if match:
        found = list(matching_records(files_of(target), dict(match)))
        if not found:
            files = files_of(target)
            asked = ", ".join(f"{name}={value}" for name, value in match.items())
            with contextlib.suppress(NoSuchRecord):
                check_fields(record_at(files[0], 2 if ".csv" in files[0].lower() else 1), dict(match))
            raise UsageError(f"no record of {target} has {asked}")
        others = [f"{one.file}:{one.number}" for one in found[1:]]
        if len(others) > _OTHERS_SHOWN:
            others[_OTHERS_SHOWN:] = [f"and {len(others) - _OTHERS_SHOWN:,} more"]
        return found[0], tuple(others)
    file, colon, number = target.rpartition(":")
    if colon and number.isdigit():
        if int(number) < 1:
            raise UsageError(f"{target}: lines and records are counted from 1")
        files = files_of(file)
        if len(files) > 1:
            raise UsageError(f"{file} is {len(files):,} files: {', '.join(files[:5])}; name one of them")
        return record_at(files[0], int(number)), ()
    files = files_of(target)
    if len(files) > 1:
        raise UsageError(
            f"{target} is {len(files):,} files: name one of them; "
            f"`beam-obs why {target} --match FIELD=VALUE` finds a record in all"
        )
    return only_record(files[0]), ()


# Ways to the origin.


def _of_origin(store: Store, origin: bytes, run: str | None, all_contributors: bool, first: int) -> Why:
    overlooked: list[str] = []
    evidence = run_choice.of_origin(store, origin, run, overlooked)
    if evidence is None:
        return Why(None, run_choice.unknown_origin(store, origin, overlooked), found_by="given")
    tree = Ancestry(evidence, all_contributors, first).of(origin, None)
    return Why(
        run_choice.run_of(evidence.record),
        evidence.sure(certainty_of(tree)),
        found_by="given",
        made_of=(tree,),
        notes=(*run_choice.notes_on(evidence), *filter(None, [evidence.failed_at(origin)])),
    )


def _of_stamp(
    store: Store,
    record: OutputRecord,
    stamp: dict[str, object],
    run: str | None,
    all_contributors: bool,
    others: tuple[str, ...],
) -> Why:
    origin = as_origin(str(stamp["origin"]))
    if origin is None:
        reason = f"its stamp has no origin, but {stamp['origin']!r}"
        return Why(None, not_recorded(reason), record, "stamp", others=others)
    try:
        evidence = RunEvidence(store, store.find(run or str(stamp.get("run") or "?")))
    except RunNotFound as error:
        if run is not None:
            raise
        where = f"{stamp.get('source_uri')} at {stamp.get('position')}"
        reason = f"the run of its stamp is not in the store: {str(error).splitlines()[0]}"
        told = f"its stamp says that it came from {where}, version {stamp.get('source_version')}"
        notes = () if is_derived(origin) or not stamp.get("source_uri") else (told,)
        return Why(None, not_recorded(reason), record, "stamp", notes=notes, others=others)
    sinks = run_choice.sinks_of(evidence.record, record.file)
    if len(sinks) != 1:
        entered = tuple(dict.fromkeys(label for label, _ in evidence.outputs_of(origin)))
        sinks = tuple(label for label in entered if _is_of(label, sinks)) or entered
    tree = Ancestry(evidence, all_contributors).of(origin, sinks[0] if len(sinks) == 1 else None)
    return Why(
        run_choice.run_of(evidence.record),
        evidence.sure(certainty_of(tree)),
        record,
        "stamp",
        sinks,
        (tree,),
        run_choice.notes_on(evidence),
        others,
    )


def _of_index(
    store: Store, record: OutputRecord, run: str | None, all_contributors: bool, others: tuple[str, ...]
) -> Why:
    first: RunEvidence | None = None
    for evidence in run_choice.of_output(store, record.file, run):
        first = first or evidence
        found = _found(evidence, record)
        if found.rows:
            answer = _of_rows(evidence, found, all_contributors, others)
            newer = run_choice.newer_without_lineage(store, evidence.record) if run is None else []
            if newer:
                told = f"newer runs kept no lineage, and may have written the file anew: {', '.join(newer)}"
                answer = dataclasses.replace(answer, notes=(*answer.notes, told))
            if evidence is first:
                return answer
            newest = f"the newest run that wrote there, {first.record.id}, has no such record"
            return dataclasses.replace(answer, notes=(*answer.notes, newest))
        blind = run_choice.without_origins(evidence, run_choice.sinks_of(evidence.record, record.file))
        is_sure = evidence.output_share == 1 and not evidence.problems
        if blind or run_choice.no_lineage(evidence) or not is_sure:
            # It may have written the record without a note of it: no older run must answer in its place.
            break
    assert first is not None
    return Why(
        run_choice.run_of(first.record),
        _why_not_indexed(first, record),
        record,
        "output index",
        notes=run_choice.notes_on(first),
        others=others,
    )


class _Found(NamedTuple):
    """A record in an output index: its rows, as label and origin; empty where it is not there."""

    record: OutputRecord
    rows: list[tuple[str, bytes]]
    notes: tuple[str, ...] = ()


def _found(evidence: RunEvidence, record: OutputRecord) -> _Found:
    sinks = run_choice.sinks_of(evidence.record, record.file)
    known = run_choice.all_sinks(evidence.record)
    for is_wanted in (
        lambda label: not sinks or _is_of(label, sinks),
        lambda label: not _is_of(label, known),
    ):
        rows = evidence.origins_of(record.digests, is_wanted)
        spans = [] if record.format in (AVRO, PARQUET, GIVEN) else _spans(evidence, record, is_wanted)
        if spans:
            return _of_lines(evidence, record, rows, spans, is_wanted)
        if rows or not sinks:
            return _Found(record, rows)
    return _Found(record, [])


def _spans(evidence: RunEvidence, record: OutputRecord, is_wanted: Callable[[str], bool]) -> list[Span]:
    rows = evidence.output_rows(is_wanted)
    return spans_around(read_content(record.file), record.number, rows, OUTPUT_BYTES)


def _of_lines(
    evidence: RunEvidence,
    record: OutputRecord,
    rows: list[tuple[str, bytes]],
    spans: list[Span],
    is_wanted: Callable[[str], bool],
) -> _Found:
    """Returns the records of several lines that a line is a part of, beside the one that it may be itself."""
    places = [f"lines {span.first} to {span.last}" for span in spans]
    found = [row for span in spans for row in evidence.origins_of((span.digest,), is_wanted)]
    if rows or len(spans) > 1:
        own = ("a record of its own",) if rows else ()
        note = (
            f"line {record.number} may be {' or part of '.join((*own, *places))}: all of these were written"
        )
        return _Found(record, [*rows, *found], (note,))
    (span,) = spans
    text = span.content.decode("utf-8", "backslashreplace")
    whole = dataclasses.replace(record, number=span.first, text=text, digests=(span.digest,))
    return _Found(whole, found, (f"line {record.number} is part of the record of {places[0]}",))


def _of_rows(evidence: RunEvidence, found: _Found, all_contributors: bool, others: tuple[str, ...]) -> Why:
    rows = found.rows
    origins = list(dict.fromkeys(origin for _, origin in rows))
    sinks = tuple(dict.fromkeys(label for label, _ in rows))
    notes = [*found.notes, *run_choice.notes_on(evidence)]
    by_sink = collections.Counter(label for label, _ in rows)
    equal = max(by_sink.values())
    if equal > 1 and not (len(found.notes) and len(origins) > 1):
        told = f"{equal:,} records of the sink have equal bytes"
        if len(origins) > 1:
            told += f", of {len(origins):,} origins: this is one of them, and which cannot be told"
        notes.append(told)
    ancestry = Ancestry(evidence, all_contributors)
    end = sinks[0] if len(sinks) == 1 else None
    known = [origin for origin in origins if origin]
    trees = tuple(ancestry.of(origin, end) for origin in known[:_EQUAL_SHOWN])
    if len(known) > _EQUAL_SHOWN:
        notes.append(f"{len(known) - _EQUAL_SHOWN:,} of the origins are not shown")
    certainties = [certainty_of(tree) for tree in trees]
    if b"" in origins:
        certainties.append(
            not_recorded(f"its origin was not known as it entered the sink{opaque_text(evidence)}")
        )
    if evidence.erased:
        certainties.append(not_recorded(f"another record of equal bytes may be gone: {evidence.erased}"))
    return Why(
        run_choice.run_of(evidence.record),
        evidence.sure(least(certainties)),
        found.record,
        "output index",
        sinks,
        trees,
        tuple(notes),
        others,
    )


def _why_not_indexed(evidence: RunEvidence, record: OutputRecord) -> Certainty:
    if evidence.problems:
        return damaged(evidence.problems)
    reason = run_choice.no_lineage(evidence)
    if reason:
        return not_recorded(reason)
    if evidence.erased:
        return not_recorded(evidence.erased)
    if evidence.output_share <= 0:
        return not_recorded("the run kept no output index (--obs_output_index=off)")
    blind = run_choice.without_origins(evidence, run_choice.sinks_of(evidence.record, record.file))
    if blind:
        return not_recorded(blind)
    if evidence.output_share < 1:
        reason = "the output index has a share of the records, and this is not among them"
        return sampled(evidence.output_share, reason)
    if record.format == GIVEN:
        return not_recorded(_why_no_given(evidence, record))
    reason = (
        "the run's output index has no record of these bytes: the file changed since, another run wrote it, "
        "or the line is no record, such as a header, or part of one of more than "
        f"{MOST_LINES} lines"
    )
    return not_recorded(reason)


def _why_no_given(evidence: RunEvidence, record: OutputRecord) -> str:
    reason = "the run's output index has no record of these values: it is not whole, or not as it was written"
    sinks = run_choice.sinks_of(evidence.record, record.file)
    if any(_is_of(label, sinks) for label in run_choice.stamped_sinks(evidence)):
        return f"{reason}; records of this sink are stamped: hand over their lineage attributes too"
    return f"{reason}; {_what_is_needed(record.file)}"


def _is_of(label: str, sinks: tuple[str, ...]) -> bool:
    return any(label == sink or label.startswith(f"{sink}/") for sink in sinks)
