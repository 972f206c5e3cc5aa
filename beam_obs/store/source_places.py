"""Where in its sources a record of a run lies, by its origin.

A worker that refuses a record knows the files that it has read itself; the run's partitions are of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.known_partitions import SourcePlace
from beam_obs.records.origin import TOP_BIT, is_derived, parse_origin
from beam_obs.records.wanted_letters import ALL_LETTERS, WantedLetters
from beam_obs.store.evidence import Evidence, Standing, dead_letters, read_evidence
from beam_obs.store.partitions_file import describe_partitions, partitions_of
from beam_obs.store.run_record import RunRecord
from beam_obs.store.source_partition import (
    SourcePartition,
    code_of,
    partition_of,
    position_in,
)
from beam_obs.store.store import Store

_IN_FILES = ("bytes", "blocks")
"""What positions count that are places in a file."""


class SourcePlaces:
    """The places of a run's source records.

    Args:
      partitions: what the run read.
    """

    def __init__(self, partitions: Iterable[SourcePartition]) -> None:
        self._by_code: dict[int, list[SourcePartition]] = {}
        for one in partitions:
            self._by_code.setdefault(one.code & ~TOP_BIT, []).append(one)

    def of(self, origin: str | None) -> SourcePlace:
        """Returns what is known of the record of an origin, 32 hex digits; of copies no file is told."""
        try:
            parsed = parse_origin(origin or "")
        except ValueError:  # a record's own attributes may say anything
            return SourcePlace()
        if is_derived(parsed):
            return SourcePlace()
        hits = [
            (one, position)
            for one in self._by_code.get(code_of(parsed) & ~TOP_BIT, ())
            if one.uri is not None and (position := position_in(one, parsed)) is not None
        ]
        if not hits:
            return SourcePlace()
        first, position = hits[0]
        is_one = all(one.uri == first.uri for one, _ in hits)
        return SourcePlace(
            first.uri if is_one else None, first.version, position if first.positions in _IN_FILES else None
        )


def placed_letters(
    store: Store,
    record: RunRecord,
    wanted: WantedLetters = ALL_LETTERS,
    problems: list[str] | None = None,
) -> Iterator[tuple[DeadLetter, Standing]]:
    """Gives the dead letters of a run as `dead_letters` does, each with its place in its source where the run
    knows it."""
    return with_places(store, record, dead_letters(store, record, wanted, problems))


def with_places(
    store: Store, record: RunRecord, letters: Iterable[tuple[DeadLetter, Standing]]
) -> Iterator[tuple[DeadLetter, Standing]]:
    """Gives dead letters of a run, each with its place in its source where the run knows it."""
    places: SourcePlaces | None = None
    for letter, standing in letters:
        if letter.origin is None or letter.source_uri is not None:
            yield letter, standing
            continue
        if places is None:
            evidence = read_evidence(store, record.folder, record.end)
            places = SourcePlaces(partitions_of(store, record, evidence)[0])
        uri, _, position = places.of(letter.origin)
        at = position if letter.position is None else letter.position
        yield letter._replace(source_uri=uri, position=at), standing


def place_examples(refused: dict[str, Any], evidence: Evidence) -> dict[str, Any]:
    """Returns the ``dead_letters`` of a run with the places of the examples that lack them.

    Args:
      refused: as `summarize_dead_letters` gives them.
      evidence: of the run.
    """
    rows = describe_partitions(evidence.of_kind("inputs"), {})
    places = SourcePlaces(map(partition_of, rows))
    kinds = []
    for kind in refused["by_fingerprint"]:
        if kind.get("origin") and not kind.get("source_uri"):
            uri, _, position = places.of(kind["origin"])
            at = position if kind.get("position") is None else kind["position"]
            kind = {**kind, "source_uri": uri, "position": at}
        kinds.append(kind)
    return refused | {"by_fingerprint": kinds}
