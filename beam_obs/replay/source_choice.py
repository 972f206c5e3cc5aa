"""Which records of its sources a run read, of those that a person names: by file and line, or by origin."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from beam_obs.lineage.backward import as_origin
from beam_obs.lineage.opened_files import same_file
from beam_obs.lineage.place_ranges import ranges_of_numbers
from beam_obs.lineage.run_choice import is_known_to_differ, no_lineage
from beam_obs.lineage.run_evidence import RunEvidence
from beam_obs.records.errors import BeamObsError, UsageError
from beam_obs.records.origin import Partition, is_derived
from beam_obs.records.wanted_places import Ranges, WantedPlaces, wanted_places
from beam_obs.store.run_record import RunRecord
from beam_obs.store.source_partition import SourcePartition, identity_of
from beam_obs.store.store import Store
from beam_obs.store.unknown_name import UnknownName

_LINES = re.compile(r"\d+(-\d*)?(,\d+(-\d*)?)*")


class SourceChanged(BeamObsError):
    """A file is not the one any more that a run read.

    Args:
      uri: the file.
      run: id of the run.
      version: that it had.
    """

    def __init__(self, uri: str, run: str, version: str) -> None:
        super().__init__(
            f"{uri} is not the file that run {run} read, which was {version}: its lines may be others. "
            "Put that one back, or run the pipeline over it as it is now"
        )
        self.uri = uri
        self.run = run
        self.version = version


@dataclasses.dataclass(frozen=True)
class ChosenRecords:
    """Records of sources that a run read.

    Args:
      record: the run.
      asked: as a person named them.
      wanted: the records.
      sources: labels of the steps that read them.
    """

    record: RunRecord
    asked: tuple[str, ...]
    wanted: tuple[WantedPlaces, ...]
    sources: frozenset[str]

    def described(self) -> list[dict[str, Any]]:
        """Returns what ``start.json`` says of them."""
        return [
            {**one.partition._asdict(), "ranges": [list(span) for span in one.ranges]} for one in self.wanted
        ]


def choose_records(store: Store, record: RunRecord, asked: Sequence[str]) -> ChosenRecords:
    """Returns the records of its sources that a run read and that are asked for.

    Args:
      store: the store.
      record: the run.
      asked: each ``FILE:LINES`` with lines as ``7``, ``100-200``, ``100-`` or several of them by commas;
        ``FILE``; ``FILE@POSITION``; or an origin of 32 hex digits.

    Raises:
      UsageError: it cannot be told what is meant.
      UnknownName: the run read no such file.
      NoSuchPlace: a file has not so many lines.
      SourceChanged: a file is not the one any more that was read.
      BeamObsError: the run has no lineage, or an origin is of no record that can be read again.
    """
    evidence = RunEvidence(store, record)
    without = no_lineage(evidence)
    if without:
        raise BeamObsError(f"run {record.id}: {without}, so that its records cannot be told apart")
    ranges: dict[Partition, list[tuple[int, int]]] = {}
    in_blocks: dict[Partition, bool] = {}
    whole: set[Partition] = set()
    sources: set[str] = set()
    for one in asked:
        for partition, found in _found(evidence, one):
            if is_known_to_differ(partition):
                raise SourceChanged(str(partition.uri), record.id, partition.version)
            identity = identity_of(partition)
            sources.add(partition.source)
            in_blocks[identity] = partition.positions == "blocks"
            ranges.setdefault(identity, []).extend(found)
            if not found:
                whole.add(identity)
    wanted = tuple(
        wanted_places(identity, () if identity in whole else merged(found), in_blocks[identity])
        for identity, found in ranges.items()
    )
    return ChosenRecords(record, tuple(asked), wanted, frozenset(sources))


def merged(ranges: Sequence[tuple[int, int]]) -> Ranges:
    """Returns ranges sorted, those that meet as one.

    >>> merged([(7, 9), (1, 3), (3, 5), (8, 12)])
    ((1, 5), (7, 12))
    """
    found: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(stop, found[-1][1])
        else:
            found.append((start, stop))
    return tuple(found)


def _found(evidence: RunEvidence, asked: str) -> list[tuple[SourcePartition, Ranges]]:
    """Returns the partitions that are meant, with the positions in each; none of them for all."""
    origin = as_origin(asked)
    if origin is not None:
        return [_of_origin(evidence, asked, origin)]
    file, at, position = asked.rpartition("@")
    if at and position.isdigit():
        there: Ranges = ((int(position), int(position) + 1),)
        return [(one, there) for one in _read(evidence, file)]
    file, colon, numbers = asked.rpartition(":")
    if not colon or not _partitions(evidence, file):
        return [(one, ()) for one in _read(evidence, asked)]
    if _LINES.fullmatch(numbers) is None:
        raise UsageError(f"{asked}: give lines as 7, 100-200, 100- or several of them, as 7,100-200")
    spans = [_span(asked, one) for one in numbers.split(",")]
    return [
        (one, merged([span for first, last in spans for span in ranges_of_numbers(one, first, last)]))
        for one in _read(evidence, file)
    ]


def _span(asked: str, text: str) -> tuple[int, int | None]:
    begin, dash, end = text.partition("-")
    first, last = int(begin), int(end) if end else None if dash else int(begin)
    if first < 1:
        raise UsageError(f"{asked}: lines and records are counted from 1")
    if last is not None and last < first:
        raise UsageError(f"{asked}: {text} ends before it begins")
    return first, last


def _read(evidence: RunEvidence, file: str) -> list[SourcePartition]:
    found = _partitions(evidence, file)
    if not found:
        known = [one.uri for one in evidence.all_partitions if one.uri is not None]
        raise UnknownName(f"run {evidence.record.id} read no file {file!r}", file, known)
    for one in found:
        if not one.located or one.positions not in ("bytes", "blocks", "files"):
            raise BeamObsError(
                f"{one.source!r} of run {evidence.record.id} keeps no places of the records of {one.uri}: "
                "they cannot be read again one by one"
            )
    return found


def _partitions(evidence: RunEvidence, file: str) -> list[SourcePartition]:
    return [one for one in evidence.all_partitions if one.uri is not None and same_file(one.uri, file)]


def _of_origin(evidence: RunEvidence, asked: str, origin: bytes) -> tuple[SourcePartition, Ranges]:
    if is_derived(origin):
        raise BeamObsError(
            f"{asked} is an aggregate: give the origins of what it was made of, which "
            f"`beam-obs why {asked}` tells"
        )
    found = evidence.partition_of(origin)
    if found is None:
        raise BeamObsError(f"run {evidence.record.id} knows no source of the origin {asked}")
    partition, position = found
    if position is None or partition.uri is None:
        where = partition.uri or partition.name
        raise BeamObsError(f"{asked} is of {where}, whose records have no places: it cannot be read again")
    return partition, ((position, position + 1),)
