"""What a bad file, or a bad version of the code, has touched: runs, and what they wrote."""

from __future__ import annotations

import collections
import dataclasses
import os
from typing import Any

from beam_obs.lineage import run_choice
from beam_obs.lineage.answers import RunOf
from beam_obs.lineage.certainty import (
    COMPLETELY,
    NOT_RECORDED,
    Certainty,
    damaged,
    least,
    not_recorded,
    sampled,
)
from beam_obs.lineage.derivation_rows import DamagedRows
from beam_obs.lineage.opened_files import same_file
from beam_obs.lineage.run_evidence import RunEvidence
from beam_obs.lineage.step_graph import StepGraph
from beam_obs.records.errors import UsageError
from beam_obs.records.lineage_rows import OUTPUT_BYTES
from beam_obs.records.number_text import counted
from beam_obs.records.origin import TOP_BIT, is_derived
from beam_obs.records.record_content import DIGEST_BYTES
from beam_obs.store.source_partition import SourcePartition
from beam_obs.store.store import Store, store_at


@dataclasses.dataclass(frozen=True)
class TouchedSink:
    """What of a sink was touched.

    Args:
      label: of the sink, or of a step that gives nothing further.
      uri: where it writes; None where that is not known.
      records: how many of its records were touched; None where that is not known.
      by_aggregates: those of them that are aggregates, or were made of them.
      of: how many records it got in all; None where that is not known.
      files: those that it wrote, as far as they are known.
    """

    label: str
    uri: str | None
    records: int | None
    by_aggregates: int
    of: int | None
    files: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class TouchedRun:
    """What of a run was touched.

    Args:
      run: the run.
      versions: of the file as the run read it; none where a version of the code was asked for.
      read: records that the run read from the file; None where that is not known, or code was asked for.
      dead: how many of them were refused as they were read.
      sinks: those that were touched.
      side_readers: steps that read it as a side input: all that they gave may have been influenced, and the
        sinks behind them have no count.
      also_needed: other files that the touched aggregates were made of: a backfill of them reads these too.
      certainty: of the counts.
    """

    run: RunOf
    versions: tuple[str, ...]
    read: int | None
    dead: int
    sinks: tuple[TouchedSink, ...]
    side_readers: tuple[str, ...]
    also_needed: tuple[str, ...]
    certainty: Certainty

    def to_json(self) -> dict[str, Any]:
        """Returns the run as JSON-able values."""
        told = {"run": self.run.to_json(), "certainty": self.certainty.to_json()}
        return dataclasses.asdict(self) | told


@dataclasses.dataclass(frozen=True)
class Affected:
    """What was touched.

    Args:
      source: the file that was asked for.
      code: the version of the code that was asked for.
      runs: those that were touched, the newest first.
      certainty: of the answer as a whole.
      overlooked: runs that may have been touched, and cannot be read, each with why.
    """

    source: str | None
    code: str | None
    runs: tuple[TouchedRun, ...]
    certainty: Certainty
    overlooked: tuple[str, ...] = ()

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be said since files of the store are missing or damaged."""
        return self.certainty.is_damaged and not any(run.sinks for run in self.runs)

    def to_json(self) -> dict[str, Any]:
        """Returns the answer as JSON-able values."""
        return {
            "certainty": self.certainty.to_json(),
            "source": self.source,
            "code": self.code,
            "runs": [one.to_json() for one in self.runs],
            "overlooked": list(self.overlooked),
        }


def affected(
    *,
    source: str | None = None,
    code: str | None = None,
    store: Store | str | os.PathLike[str] | None = None,
    limit: int | None = None,
) -> Affected:
    """Returns the runs and outputs that a file, or a version of the code, has touched.

    Args:
      source: the file, in any version.
      code: the version of the code, or its beginning.
      store: where the runs are kept, or its folder; by default that of the commands.
      limit: at most so many runs, from the newest back; None for all.

    Raises:
      UsageError: neither a file nor a version is given, or both are.

    >>> import apache_beam as beam, pathlib
    >>> import beam_obs as obs
    >>> import beam_obs.lineage as lineage
    >>> _ = pathlib.Path("fares.csv").write_text("city,fare\\nrome,12.5\\n")
    >>> with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="fares") as p:
    ...     _ = p | obs.ReadFromCsv("fares.csv") | obs.WriteToJson("fares", num_shards=1)
    >>> [(sink.uri, sink.records) for sink in lineage.affected(source="fares.csv").runs[0].sinks]
    [('fares', 1)]
    """
    if (source is None) == (code is None):
        raise UsageError("give a source or a version of the code, not both")
    store = store_at(store)
    touched: list[TouchedRun] = []
    overlooked: list[str] = []
    for one in store.ids():
        if limit is not None and len(touched) >= limit:
            break
        evidence = RunEvidence(store, store.read([one])[0])
        try:
            found = _touched(evidence, source, code)
        except DamagedRows as error:
            overlooked.append(f"run {evidence.record.id} cannot be read ({error})")
            continue
        if found is not None:
            touched.append(found)
        elif evidence.problems:
            overlooked.append(f"run {evidence.record.id} cannot be read ({evidence.problems[0]})")
    certainty = least([*(run.certainty for run in touched), *([damaged(overlooked)] if overlooked else [])])
    return Affected(source, code, tuple(touched), certainty, tuple(overlooked))


def _touched(evidence: RunEvidence, source: str | None, code: str | None) -> TouchedRun | None:
    """Returns what of a run was touched; None where nothing was."""
    if code is not None:
        version = str((evidence.record.start.get("code") or {}).get("version") or "")
        return _by_code(evidence) if version.startswith(code) else None
    found = [
        part for part in evidence.partitions if part.uri is not None and same_file(part.uri, str(source))
    ]
    return _by_source(evidence, found) if found else None


def _by_code(evidence: RunEvidence) -> TouchedRun:
    """All that a run wrote was made by its code."""
    record = evidence.record
    totals = _totals(evidence)
    labels = dict.fromkeys([*(label for label in totals), *run_choice.all_sinks(record)])
    sinks = tuple(
        TouchedSink(
            label,
            run_choice.uri_of_sink(record, label),
            totals.get(label),
            0,
            totals.get(label),
            tuple(run_choice.files_of_sink(record, label)),
        )
        for label in labels
    )
    certainty = COMPLETELY
    if record.status != "done":
        certainty = not_recorded(f"the run is {record.status}: it may have written more")
    return TouchedRun(run_choice.run_of(record), (), None, 0, sinks, (), (), evidence.sure(certainty))


def _by_source(evidence: RunEvidence, found: list[SourcePartition]) -> TouchedRun:
    record = evidence.record
    codes = {part.code for part in found}
    known = [part.records for part in found if part.records is not None]
    touched = _Touched(evidence, codes)
    totals = _totals(evidence)
    sinks = tuple(
        TouchedSink(
            label,
            run_choice.uri_of_sink(record, label),
            touched.records[label],
            touched.by_aggregates[label],
            totals.get(label),
            tuple(run_choice.files_of_sink(record, label)),
        )
        for label in sorted(touched.records)
    )
    graph = StepGraph(record.end)
    readers = tuple(dict.fromkeys(one for part in found for one in graph.readers_beside(part.source)))
    behind = {step for reader in readers for step in (reader, *graph.behind(reader))}
    sinks += tuple(
        TouchedSink(
            label,
            run_choice.uri_of_sink(record, label),
            None,
            0,
            totals.get(label),
            tuple(run_choice.files_of_sink(record, label)),
        )
        for label in dict.fromkeys([*totals, *run_choice.all_sinks(record)])
        if graph.step_of(label) in behind and label not in touched.records
    )
    certainty = touched.certainty
    if readers and certainty.kind != NOT_RECORDED:
        certainty = not_recorded(
            f"a side input keeps no origins, and it is read as one by {', '.join(readers)}"
        )
    uris = {part.code: part.uri or part.source for part in evidence.partitions}
    also = sorted({str(uris[one]) for one in touched.other_codes - codes if one in uris})
    return TouchedRun(
        run_choice.run_of(record),
        tuple(dict.fromkeys(part.version for part in found)),
        sum(known) if known else None,
        sum(part.dead for part in found),
        sinks,
        readers,
        tuple(also),
        evidence.sure(certainty),
    )


class _Touched:
    """The outputs of a run that some partitions have to do with, directly or through aggregates."""

    def __init__(self, evidence: RunEvidence, codes: set[int]) -> None:
        import numpy as np

        self.records: collections.Counter[str] = collections.Counter()
        self.by_aggregates: collections.Counter[str] = collections.Counter()
        self.other_codes: set[int] = set()
        children, unsure = self._aggregates(evidence, codes)
        wanted = np.array([int.from_bytes(child[4:12], "big") for child in children], dtype=np.uint64)
        wanted.sort()
        # A position beyond 40 bits in a narrow partition has the code of a wide one.
        narrow = np.array(sorted({one | bit for one in codes for bit in (0, TOP_BIT)}), dtype=np.uint32)
        by_sink: dict[str, list[bytes]] = {}
        for label, data in evidence.output_blocks():
            by_sink.setdefault(label, []).append(data)
        for label, parts in by_sink.items():
            rows = np.frombuffer(b"".join(parts), dtype=np.uint8).reshape(-1, OUTPUT_BYTES)[:, DIGEST_BYTES:]
            heads = np.ascontiguousarray(rows[:, :4]).view(">u4")[:, 0].astype(np.uint32)
            direct = sum(int((heads == code).sum()) for code in narrow)
            derived = 0
            if len(wanted):
                middles = np.ascontiguousarray(rows[heads == 0, 4:12]).view(">u8")[:, 0].astype(np.uint64)
                places = np.minimum(np.searchsorted(wanted, middles), len(wanted) - 1)
                derived = int((wanted[places] == middles).sum())
            if direct or derived:
                self.records[label] += direct + derived
                self.by_aggregates[label] += derived
        self.certainty = self._certainty(evidence, unsure)

    def _aggregates(self, evidence: RunEvidence, codes: set[int]) -> tuple[set[bytes], int]:
        """Returns the aggregates that have contributors of the partitions, and how many more may have."""
        parents: dict[bytes, list[bytes]] = {}
        touched: set[bytes] = set()
        open_ones: set[bytes] = set()
        sources: dict[bytes, bytes] = {}
        is_wanted: dict[bytes, bool] = {b"": False}
        wanted = {(code | bit).to_bytes(4, "big") for code in codes for bit in (0, TOP_BIT)}
        for row in evidence.derivations.sources():
            mine = row.codes
            for at in range(0, len(row.origins), 16):
                origin = row.origins[at : at + 16]
                if is_derived(origin):
                    parents.setdefault(origin, []).append(row.child)
                else:
                    mine += origin[:4]
            if mine not in is_wanted:
                is_wanted[mine] = not wanted.isdisjoint(_codes(mine))
            if is_wanted[mine]:
                touched.add(row.child)
            elif row.is_open:
                open_ones.add(row.child)
            sources[row.child] = mine
        todo = list(touched)
        while todo:
            for child in parents.get(todo.pop(), ()):
                if child not in touched:
                    touched.add(child)
                    todo.append(child)
        for combined in {sources[child] for child in touched}:
            self.other_codes.update(int.from_bytes(code, "big") for code in _codes(combined))
        return touched, len(open_ones - touched)

    def _certainty(self, evidence: RunEvidence, unsure: int) -> Certainty:
        record = evidence.record
        reason = run_choice.no_lineage(evidence)
        if reason:
            return not_recorded(reason)
        if record.status != "done":
            return not_recorded(f"the run is {record.status}: it may have written more")
        opaque = run_choice.opaque_steps(evidence)
        if opaque:
            told = "; ".join(f"{label} - {reason}" for label, reason in opaque.items())
            return not_recorded(f"opaque steps keep no origins, and more may be touched: {told}")
        if evidence.erased:
            return not_recorded(evidence.erased)
        if evidence.output_share <= 0:
            return not_recorded("the run kept no output index (--obs_output_index=off)")
        if evidence.output_share < 1:
            return sampled(evidence.output_share, "the output index has a share of the records")
        if unsure:
            return sampled(
                0.0,
                f"{counted(unsure, 'more aggregate')} {'keeps' if unsure == 1 else 'keep'} a sample of "
                "contributors, and may be touched",
            )
        return COMPLETELY


def _codes(packed: bytes) -> set[bytes]:
    return {packed[at : at + 4] for at in range(0, len(packed), 4)}


def _totals(evidence: RunEvidence) -> dict[str, int]:
    """Returns how many records each sink got, by the output index or its own account."""
    totals: dict[str, int] = {}
    for label, data in evidence.output_blocks():
        totals[label] = totals.get(label, 0) + len(data) // OUTPUT_BYTES
    if evidence.output_share < 1:
        totals = {}
    for output in (evidence.record.end or {}).get("outputs") or ():
        if output.get("records") is not None and not any(
            label == output["label"] or label.startswith(f"{output['label']}/") for label in totals
        ):
            totals[output["label"]] = output["records"]
    return totals
