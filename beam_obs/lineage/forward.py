"""Forward: what became of a source record, or of an aggregate: outputs, aggregates, or where it ended."""

from __future__ import annotations

import dataclasses
import os

from beam_obs.lineage import run_choice
from beam_obs.lineage.answers import Fate, Into
from beam_obs.lineage.backward import as_origin
from beam_obs.lineage.certainty import COMPLETELY, least, not_recorded
from beam_obs.lineage.future import Future, named_letter, refused_by
from beam_obs.lineage.opened_files import FileGone
from beam_obs.lineage.positions import NoSuchPlace, place_of_number, why_no_record
from beam_obs.lineage.refused_together import refused_together, takes_in
from beam_obs.lineage.replays import with_other_runs
from beam_obs.lineage.run_evidence import RunEvidence
from beam_obs.lineage.source_records import UNVERIFIED, SourceRecord, read_source_record
from beam_obs.records.errors import BeamObsError, UsageError
from beam_obs.records.origin import is_derived
from beam_obs.store.source_partition import SourcePartition, identity_of
from beam_obs.store.store import Store, store_at
from beam_obs.store.unknown_name import nearest_text

_FAR = 1 << 62
"""A position behind any other."""


class NotRead(BeamObsError):
    """No run of the store read a file.

    Args:
      message: what was asked and what there is.
    """


def fate(
    target: str,
    *,
    run: str | None = None,
    store: Store | str | os.PathLike[str] | None = None,
    everything: bool = False,
) -> Fate:
    """Returns what became of a source record, or of an aggregate; also where it was replayed.

    Args:
      target: ``FILE:N``, the line N of a file, or the record N of a file of blocks, from 1; ``FILE@POSITION``
        as origins and dead letters tell it; or an origin of 32 hex digits.
      run: as `Store.find` takes it; by default the newest that read the file as it is now.
      store: where the run is kept, or its folder; by default that of the commands.
      everything: whether all aggregates are followed, not only the first 200.

    Raises:
      UsageError: it cannot be told which record is meant.
      RunNotFound: there is no such run.
      NotRead: no run read the file.
      NoSuchPlace: the file has no such line or record.
      FileGone: there is no such file.

    >>> import apache_beam as beam, pathlib
    >>> import beam_obs as obs
    >>> import beam_obs.lineage as lineage
    >>> _ = pathlib.Path("fares.csv").write_text("city,fare\\nrome,12.5\\n")
    >>> with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="fares") as p:
    ...     _ = p | obs.ReadFromCsv("fares.csv") | obs.WriteToJson("fares", num_shards=1)
    >>> answer = lineage.fate("fares.csv:2")
    >>> answer.certainty.kind, answer.into.written[0].places
    ('complete', ('fares-00000-of-00001.jsonl:1',))
    """
    store = store_at(store)
    origin = as_origin(target)
    if origin is not None:
        answer = _of_origin(store, origin, run, everything)
    else:
        answer = _of_target(store, target, run, everything)
    return with_other_runs(store, answer, everything)


def _of_target(store: Store, target: str, run: str | None, everything: bool) -> Fate:
    file, is_position, number = _parts(target)
    overlooked: list[str] = []
    found = run_choice.of_source(store, file, run, overlooked)
    if found is None:
        where = f"run {run}" if run else f"no run in the store {store.shown_uri}"
        raise NotRead(
            f"{where} {'did not read' if run else 'says that it read'} {file}"
            f"{run_choice.overlooked_text(overlooked)}{nearest_text(file, run_choice.known_sources(store))}"
        )
    evidence, partitions = found
    partitions.sort(key=lambda one: one.positions == "files")
    answers = [_of_place(evidence, one, is_position, number, everything) for one in partitions]
    # A file that is read twice has two origins for each record; one of them may have gone nowhere.
    went = [answer for answer in answers if answer.into is not None and not answer.into.end]
    best = (went or answers)[0]
    if len(answers) > 1:
        source = best.partition.source if best.partition else ""
        told = f"the run read the file {len(answers)} times; this is of the read {source!r}"
        best = dataclasses.replace(best, notes=(*best.notes, told))
    return best


def _parts(target: str) -> tuple[str, bool, int]:
    for sign in ("@", ":"):
        file, found, number = target.rpartition(sign)
        if found and file and number.isdigit():
            if sign == ":" and int(number) < 1:
                raise UsageError(f"{target}: lines and records are counted from 1")
            return file, sign == "@", int(number)
    raise UsageError(
        f"{target}: give FILE:LINE (as `grep -n` tells it), FILE@POSITION, or an origin of 32 hex digits"
    )


def _of_origin(store: Store, origin: bytes, run: str | None, everything: bool) -> Fate:
    overlooked: list[str] = []
    evidence = run_choice.of_origin(store, origin, run, overlooked)
    if evidence is None:
        return Fate(None, run_choice.unknown_origin(store, origin, overlooked))
    found = None if is_derived(origin) else evidence.partition_of(origin)
    partition, position = found or (None, None)
    record = None if partition is None else read_source_record(partition, position)
    return _answer(evidence, origin, partition, position, record, (), everything)


def _of_place(
    evidence: RunEvidence, partition: SourcePartition, is_position: bool, number: int, everything: bool
) -> Fate:
    run = run_choice.run_of(evidence.record)
    if not partition.located:
        reason = (
            f"the source {partition.source!r} keeps no positions: read the file by obs.ReadFrom..., "
            "or ask for an origin"
        )
        return Fate(run, not_recorded(reason), partition=partition)
    notes: tuple[str, ...] = ()
    positions: tuple[int, ...] = (number,)
    doubt = ""
    if partition.records == 0:
        whole = _without_place(evidence, partition, None)
        if whole is not None:
            return whole
    if not is_position:
        try:
            place = place_of_number(partition, number)
        except NoSuchPlace:
            behind = _without_place(evidence, partition, _FAR) if partition.positions == "bytes" else None
            if behind is None:
                raise
            unknown = not_recorded(f"what {partition.uri} holds behind the damage is not known")
            return dataclasses.replace(behind, certainty=unknown)
        except BeamObsError:
            raise
        except Exception as error:
            reason = f"it cannot be read: {type(error).__name__}: {error}"[:500]
            raise FileGone(str(partition.uri), reason) from error
        notes = (place.note,) if place.note else ()
        positions, doubt = place.positions, place.doubt
    if run_choice.is_known_to_differ(partition):
        notes += (f"{partition.uri} is not the file that was read: it was {partition.version}",)
    if not positions:
        return Fate(run, evidence.sure(COMPLETELY), None, partition, None, None, notes)
    answer: Fate | None = None
    for position in positions:
        origin = identity_of(partition).origin(position)
        record = read_source_record(partition, position)
        other = _answer(evidence, origin, partition, position, record, notes, everything)
        if answer is None or takes_in(evidence, partition, other, positions[0]):
            answer = other
        if answer.into is not None and not answer.into.end:
            break
    assert answer is not None
    found = answer.into
    is_guess = answer.position != positions[0] and partition.multiline is None
    if found is not None and (found.end or is_guess):
        # Nothing is known of a record that begins there, which proves something only where one does.
        shown = answer.record
        if partition.positions == "blocks" and shown and shown.state == UNVERIFIED and shown.text is None:
            doubt = f"that there is such a record is not known: {shown.note}"
        if doubt:
            into = dataclasses.replace(found, end="no trace of it", ended_at=()) if found.end else found
            sure = least([answer.certainty, not_recorded(doubt)])
            return dataclasses.replace(answer, certainty=sure, into=into)
    return answer


def _without_place(evidence: RunEvidence, partition: SourcePartition, position: int | None) -> Fate | None:
    """Returns the answer about a line that cannot be read, as the read could not; None where it could.

    Args:
      position: as `refused_together` takes it.
    """
    together = refused_together(evidence, partition, position)
    if together is None:
        return None
    letter, standing, note = together
    origin = identity_of(partition).origin(letter.position or 0)
    into = Into(origin, dead_letters=(named_letter(letter, standing),))
    run = run_choice.run_of(evidence.record)
    return Fate(run, evidence.sure(COMPLETELY), into, partition, None, None, (note,))


def _answer(
    evidence: RunEvidence,
    origin: bytes,
    partition: SourcePartition | None,
    position: int | None,
    record: SourceRecord | None,
    notes: tuple[str, ...],
    everything: bool,
) -> Fate:
    run = run_choice.run_of(evidence.record)
    notes = (*notes, *run_choice.notes_on(evidence))
    if not is_derived(origin) and evidence.taken is not None and not evidence.taken.has(origin):
        not_taken = Into(origin, end="not among the records that this run replayed")
        return Fate(run, evidence.sure(COMPLETELY), not_taken, partition, position, record, notes)
    reason = run_choice.no_lineage(evidence)
    if reason:
        refused = refused_by(evidence, origin)
        known = Into(origin, dead_letters=refused) if refused else None
        return Fate(run, not_recorded(reason), known, partition, position, record, notes)
    future = Future(evidence, everything)
    given_by = evidence.taken.given_by(origin) if evidence.taken is not None else None
    into = future.of(origin, given_by or (partition.source if partition is not None else None))
    if into.end and partition is not None and position is not None and run_choice.is_as_read(partition):
        together = refused_together(evidence, partition, position)
        nothing = why_no_record(partition, position) if together is None else ""
        if together is not None:
            letter, standing, note = together
            notes = (*notes, note)
            into = dataclasses.replace(
                into, dead_letters=(named_letter(letter, standing),), end="", ended_at=()
            )
        if nothing:
            return Fate(run, evidence.sure(COMPLETELY), None, partition, position, None, (*notes, nothing))
    copies = evidence.copies_of(partition) if partition is not None else ()
    if copies:
        told = ", ".join(copies)
        notes = (*notes, f"this is also of the same record of {told}: these files are copies of one another")
    return Fate(
        run, evidence.sure(future.certainty(into)), into, partition, position, record, (*notes, *future.notes)
    )
