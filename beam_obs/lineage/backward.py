"""Backward: from a record of an output, or an origin, to the source records that it was made of."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
from collections.abc import Mapping

from beam_obs.lineage import run_choice
from beam_obs.lineage.answers import FromAggregate, FromSource, SourceShare, Why
from beam_obs.lineage.certainty import COMPLETELY, Certainty, least, not_recorded, sampled
from beam_obs.lineage.files import FileGone
from beam_obs.lineage.output_records import (
    NoSuchRecord,
    OutputRecord,
    check_fields,
    files_of,
    matching_records,
    only_record,
    record_at,
)
from beam_obs.lineage.partitions import code_of
from beam_obs.lineage.run_evidence import RunEvidence, kept_share
from beam_obs.lineage.source_records import UNVERIFIED, SourceRecord, read_source_record
from beam_obs.lineage.step_graph import StepGraph
from beam_obs.records.errors import BeamObsError, UsageError
from beam_obs.records.origin import is_derived, parse_origin
from beam_obs.runs.store import RunNotFound, Store
from beam_obs.wrapper.traced_rows import BUNDLE, STATE, Derivation

SHOWN_CONTRIBUTORS = 10
DEPTH = 8
_MOST_SHOWN = 200
_EQUAL_SHOWN = 5
_OTHERS_SHOWN = 20


def why(
    target: str,
    match: Mapping[str, str] | None = None,
    *,
    run: str | None = None,
    store: Store | None = None,
    all_contributors: bool = False,
) -> Why:
    """Returns why a record is what it is.

    Args:
      target: ``FILE:N``, the line or record N of an output, from 1; a file of one record; an origin of 32
        hex digits; or with `match` a file, a pattern or the prefix that a sink was given.
      match: value by name of the field, of the record that is asked for.
      run: as `Store.find` takes it; by default the run of the record's stamp, else the newest that wrote it.
      store: where the run is kept.
      all_contributors: whether all contributors that were kept are read, not only the first ten.

    Raises:
      UsageError: it cannot be told which record is meant.
      RunNotFound: no such run, or none that wrote the file.
      FileGone: there is no such file.
      NoSuchRecord: the file has no such record.
    """
    store = store or Store()
    origin = as_origin(target)
    if origin is not None and not match:
        return _of_origin(store, origin, run, all_contributors)
    try:
        record, others = _record(target, match)
    except (BeamObsError, UsageError):
        raise
    except Exception as error:
        raise FileGone(target, f"it cannot be read: {type(error).__name__}: {error}"[:500]) from error
    stamp = record.stamp
    if stamp is not None:
        return _of_stamp(store, record, stamp, run, all_contributors, others)
    return _of_index(store, record, run, all_contributors, others)


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
            f"{target} is {len(files):,} files: name one of them, or find the record by --match FIELD=VALUE"
        )
    return only_record(files[0]), ()


# Ways to the origin.


def _of_origin(store: Store, origin: bytes, run: str | None, all_contributors: bool) -> Why:
    evidence = run_choice.of_origin(store, origin, run)
    if evidence is None:
        reason = f"no run of the store {store.shown_uri} knows the origin {origin.hex()}"
        return Why(None, not_recorded(reason), found_by="given")
    tree = Ancestry(evidence, all_contributors).of(origin, None)
    return Why(
        run_choice.run_of(evidence.record),
        _certainty_of(tree),
        found_by="given",
        made_of=(tree,),
        notes=run_choice.notes_on(evidence),
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
        _certainty_of(tree),
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
        found = _indexed(evidence, record)
        if found:
            answer = _of_rows(evidence, record, found, all_contributors, others)
            newer = run_choice.newer_without_lineage(store, evidence.record) if run is None else []
            if newer:
                told = f"newer runs kept no lineage, and may have written the file anew: {', '.join(newer)}"
                answer = dataclasses.replace(answer, notes=(*answer.notes, told))
            if evidence is first:
                return answer
            newest = f"the newest run that wrote there, {first.record.id}, has no such record"
            return dataclasses.replace(answer, notes=(*answer.notes, newest))
        if run_choice.no_lineage(evidence) or evidence.output_share < 1:
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


def _indexed(evidence: RunEvidence, record: OutputRecord) -> list[tuple[str, bytes]]:
    sinks = run_choice.sinks_of(evidence.record, record.file)
    if sinks:
        found = evidence.origins_of(record.digests, lambda label: _is_of(label, sinks))
        if found:
            return found
        known = run_choice.all_sinks(evidence.record)
        return evidence.origins_of(record.digests, lambda label: not _is_of(label, known))
    return evidence.origins_of(record.digests, None)


def _of_rows(
    evidence: RunEvidence,
    record: OutputRecord,
    found: list[tuple[str, bytes]],
    all_contributors: bool,
    others: tuple[str, ...],
) -> Why:
    origins = list(dict.fromkeys(origin for _, origin in found))
    sinks = tuple(dict.fromkeys(label for label, _ in found))
    notes = list(run_choice.notes_on(evidence))
    by_sink = collections.Counter(label for label, _ in found)
    equal = max(by_sink.values())
    if equal > 1:
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
    certainties = [_certainty_of(tree) for tree in trees]
    if b"" in origins:
        certainties.append(
            not_recorded(f"its origin was not known as it entered the sink{_opaque(evidence)}")
        )
    return Why(
        run_choice.run_of(evidence.record),
        least(certainties),
        record,
        "output index",
        sinks,
        trees,
        tuple(notes),
        others,
    )


def _why_not_indexed(evidence: RunEvidence, record: OutputRecord) -> Certainty:
    reason = run_choice.no_lineage(evidence)
    if reason:
        return not_recorded(reason)
    if evidence.output_share <= 0:
        return not_recorded("the run kept no output index (--obs_output_index=off)")
    if evidence.output_share < 1:
        reason = "the output index has a share of the records, and this is not among them"
        return sampled(evidence.output_share, reason)
    reason = (
        "the run's output index has no record of these bytes: the file changed since, another run wrote it, "
        "or the line is no record of its own, such as a header"
    )
    return not_recorded(reason)


def _opaque(evidence: RunEvidence) -> str:
    opaque = evidence.lineage.get("opaque") or {}
    if not opaque:
        return ""
    return f": opaque steps: {'; '.join(f'{label} - {reason}' for label, reason in opaque.items())}"


def _is_of(label: str, sinks: tuple[str, ...]) -> bool:
    return any(label == sink or label.startswith(f"{sink}/") for sink in sinks)


# What it was made of.


class Ancestry:
    """What origins of a run were made of, down to their sources.

    Args:
      evidence: of the run.
      all_contributors: whether all that were kept are read.
    """

    def __init__(self, evidence: RunEvidence, all_contributors: bool = False) -> None:
        self._evidence = evidence
        self._graph = StepGraph(evidence.record.end)
        self._all = all_contributors
        self._left = _MOST_SHOWN

    def of(self, origin: bytes, end: str | None) -> FromSource | FromAggregate:
        """Returns what an origin was made of.

        Args:
          origin: of a record or aggregate.
          end: label of the step that it was taken by; None where it is not known.
        """
        derivations = self._evidence.derivations_of([origin]) if is_derived(origin) else {}
        return self._node(origin, end, derivations, 0)

    def _node(
        self, origin: bytes, end: str | None, derivations: Mapping[bytes, Derivation], depth: int
    ) -> FromSource | FromAggregate:
        if not is_derived(origin):
            return self._source(origin, end)
        derivation = derivations.get(origin)
        if derivation is None:
            reason = "no committed derivation names it"
            return FromAggregate(
                origin, "", "aggregate", "", "", 0, 0, 0, 0, (), False, (), not_recorded(reason)
            )
        return self._aggregate(derivation, end, depth)

    def _source(self, origin: bytes, end: str | None) -> FromSource:
        found = self._evidence.partition_of(origin)
        if found is None:
            note = "the run's list of partitions has none that this origin is of"
            return FromSource(origin, None, None, SourceRecord(UNVERIFIED, note))
        partition, position = found
        record = read_source_record(partition, position)
        copies = self._evidence.copies_of(partition)
        if copies:
            told = f"or the same record of {', '.join(copies)}: these files are copies of one another"
            record = dataclasses.replace(record, note=f"{record.note}; {told}" if record.note else told)
        path = self._graph.between(partition.source, end) if end else ()
        return FromSource(origin, partition, position, record, path)

    def _aggregate(self, derivation: Derivation, end: str | None, depth: int) -> FromAggregate:
        kept = derivation.contributors
        shown = kept if self._all else kept[: min(SHOWN_CONTRIBUTORS, max(0, self._left))]
        note = ""
        if depth >= DEPTH:
            shown, note = (
                (),
                f"what it was made of is not shown: {DEPTH} aggregates deep; ask `why` of its origin",
            )
        elif not shown and kept:
            note = "its contributors are not shown: there are too many above; ask `why` of its origin"
        self._left -= len(shown)
        below = self._evidence.derivations_of([one for one in shown if is_derived(one)])
        if derivation.kind in (STATE, BUNDLE):
            what = "the key's state" if derivation.kind == STATE else "its bundle"
            note = (
                f"names all that {what} had seen: some may not have contributed{'; ' + note if note else ''}"
            )
        return FromAggregate(
            derivation.child,
            derivation.step,
            derivation.kind,
            derivation.key_text,
            derivation.window,
            derivation.pane,
            derivation.count,
            derivation.unknown,
            len(kept) + len(derivation.unresolved),
            self._sources(derivation),
            derivation.more_sources,
            tuple(self._node(one, derivation.step, below, depth + 1) for one in shown),
            self._certainty(derivation),
            self._graph.between(derivation.step, end) if end else (),
            note,
        )

    def _sources(self, derivation: Derivation) -> tuple[SourceShare, ...]:
        counts = collections.Counter(map(code_of, derivation.contributors))
        counts.update(code for code, _ in derivation.unresolved)
        names: dict[int, list[str]] = {0: ["aggregates"]}
        for partition in self._evidence.partitions:
            names.setdefault(partition.code, []).append(partition.uri or partition.source or partition.name)
        return tuple(
            SourceShare(
                " or ".join(dict.fromkeys(names.get(code, ["a source that is not known"]))),
                f"{code:08x}",
                counts.get(code, 0),
            )
            for code in derivation.sources
        )

    def _certainty(self, derivation: Derivation) -> Certainty:
        if derivation.complete:
            return COMPLETELY
        found = []
        if derivation.unknown:
            found.append(
                not_recorded(
                    f"the origins of {derivation.unknown:,} of its {derivation.count:,} elements are not "
                    f"known{_opaque(self._evidence)}"
                )
            )
        if self._evidence.is_truncated(derivation):
            kept = len(derivation.contributors) + len(derivation.unresolved)
            reason = f"{kept:,} contributors are kept of {derivation.count:,} elements, a uniform sample"
            found.append(sampled(kept_share(derivation), reason))
        return least(found) if found else not_recorded("not all of its contributors were kept")


def _certainty_of(tree: FromSource | FromAggregate) -> Certainty:
    if isinstance(tree, FromSource):
        if tree.partition is None:
            return not_recorded(tree.record.note)
        return COMPLETELY
    return least([tree.certainty, *(_certainty_of(one) for one in tree.contributors)])
