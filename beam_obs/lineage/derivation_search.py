"""Derivations, searched: what an aggregate was made of, and which aggregates a record went into.

Blocks are searched as bytes; only the rows that are hit are parsed.
"""

from __future__ import annotations

import bisect
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from beam_obs.lineage.answers import MayBeIn
from beam_obs.lineage.derivation_rows import DamagedRows, RowSources, RowSpan, row_sources, row_spans
from beam_obs.records.avro_number import avro_long, read_avro_long
from beam_obs.records.contributors import MAX_CODES
from beam_obs.records.lineage_rows import Derivation, positions_of, read_derivation
from beam_obs.records.origin import Partition
from beam_obs.store.row_files import Block, RowFile, find_all
from beam_obs.store.source_partition import code_of, is_of_narrow_position

_SEARCHED_ONE_BY_ONE = 24
"""Of more origins than that, every row is looked at once, in place of a search for each."""

_MANY_SAMPLES = 64
"""For more of them numpy is worth its import."""

_POSITION_BYTES = 5
_LARGEST = b"\xff" * 17


class DerivationSearch:
    """The derivations of one run.

    Args:
      files: of derivations.
      partitions: of the run, by code.
      limit: contributors that are kept of an aggregate; None for all.
      codes: how many partitions the run has; of very many, rows do not name all codes.
    """

    def __init__(
        self, files: list[RowFile], partitions: Mapping[int, Partition], limit: int | None, codes: int
    ) -> None:
        self._files = files
        self._partitions = partitions
        self._limit = limit
        self._may_leave_codes_out = codes >= MAX_CODES

    @property
    def steps(self) -> frozenset[str]:
        """Labels of the steps that made aggregates."""
        return frozenset(file.step for file in self._files)

    def of(self, child: bytes) -> Derivation | None:
        """Returns what an aggregate was made of; None where there is no row of it."""
        return self.of_all([child]).get(child)

    def of_all(self, children: Collection[bytes]) -> dict[bytes, Derivation]:
        """Returns what aggregates were made of, by origin."""
        found: dict[bytes, Derivation] = {}
        if len(children) > _SEARCHED_ONE_BY_ONE:
            wanted = frozenset(children)
            for file, block in self._blocks():
                for span in row_spans(block):
                    if block.data[span.start : span.start + 16] in wanted:
                        derivation = self._derivation(file, block, span)
                        found[derivation.child] = derivation
            return found
        for child in children:
            for file, block in self._blocks():
                hits = list(find_all(block.data, child))
                for span in _spans_at(block, hits):
                    if block.data.startswith(child, span.start):
                        found[child] = self._derivation(file, block, span)
                if child in found:
                    break
        return found

    def naming(self, origin: bytes) -> list[Derivation]:
        """Returns the aggregates that name an origin among their contributors."""
        narrow = is_of_narrow_position(origin)
        found = []
        for file, block in self._blocks():
            data = block.data
            if narrow:
                hits = list(find_all(data, origin[4:9]))
                spans = [span for span in _spans_at(block, hits) if _names(data, span, origin, hits)]
            else:
                spans = list(_spans_at(block, list(find_all(data, origin))))
            for span in spans:
                derivation = self._derivation(file, block, span)
                if origin in derivation.contributors or _is_unresolved(derivation, origin):
                    found.append(derivation)
        return found

    def samples_for(self, origin: bytes, may_reach: Callable[[str], bool] | None = None) -> list[MayBeIn]:
        """Returns the aggregates that keep a sample of their contributors, and may have this one too.

        The largest by hash were kept: one that is larger than the smallest kept would be there.

        Args:
          origin: of a record or aggregate.
          may_reach: of the label of a step that makes aggregates, whether the origin may get there.
        """
        code = code_of(origin)
        listed = avro_long(code)
        may_be_unlisted = self._may_leave_codes_out
        rows: list[tuple[str, dict[str, Any]]] = []
        for file, block in self._blocks():
            if may_reach is not None and not may_reach(file.step):
                continue
            if code and not may_be_unlisted:
                spans: Iterable[RowSpan] = _spans_at(block, list(find_all(block.data, listed)))
            else:
                spans = row_spans(block)
            for span in spans:
                if not span.complete:
                    fields = _fields(block.data[span.start : span.end])
                    if code in fields["sources"] or fields["more_sources"]:
                        rows.append((file.step, fields))
        return [
            MayBeIn(
                fields["child"],
                step,
                fields["key_text"],
                fields["window"],
                fields["count"],
                share,
                fields["pane"],
            )
            for step, fields in rows
            for share in [self._kept_share(fields)]
            if share < 1.0 and _by_hash(origin) < self._smallest(fields, len(rows) > _MANY_SAMPLES)
        ]

    def _kept_share(self, fields: dict[str, Any]) -> float:
        kept = _kept(fields)
        if self._limit is None or kept < self._limit:
            return 1.0
        known: int = fields["count"] - fields["unknown"]
        return min(1.0, kept / max(1, known))

    def _smallest(self, fields: dict[str, Any], by_numpy: bool) -> bytes:
        """Returns the smallest by hash of the contributors that were kept; larger than any where unknown."""
        packed = fields["origins"]
        found = [packed[at : at + 16] for at in range(0, len(packed), 16)]
        for code, positions in _narrow_positions(fields):
            partition = self._partitions.get(code)
            if partition is None:
                return _LARGEST
            if by_numpy:
                rows = partition.origins(positions)
                found.append(rows[(rows[:, 8:].copy().view(">u8")[:, 0] << 8).argmin()].tobytes())
            else:
                found.extend(map(partition.origin, positions))
        return min(map(_by_hash, found), default=_LARGEST)

    def windowed_steps(self) -> list[str]:
        """Returns the labels of steps whose aggregates are of windows, by the first of each file."""
        found = []
        for file in self._files:
            for span in row_spans(file.blocks[0]) if file.blocks else ():
                if _fields(file.blocks[0].data[span.start : span.end])["window"] not in ("", "GlobalWindow"):
                    found.append(file.step)
                break
        return found

    def is_truncated(self, derivation: Derivation) -> bool:
        """Returns whether an aggregate has more contributors than were kept."""
        kept = len(derivation.contributors) + len(derivation.unresolved)
        return not derivation.complete and self._limit is not None and kept >= self._limit

    def sources(self) -> Iterator[RowSources]:
        """Gives what each derivation says of its contributors."""
        for _, block in self._blocks():
            yield from row_sources(block)

    def _derivation(self, file: RowFile, block: Block, span: RowSpan) -> Derivation:
        try:
            return read_derivation(block.data[span.start : span.end], file.step, self._partitions)
        except Exception:  # a decoder of what may be anything
            raise DamagedRows from None

    def _blocks(self) -> Iterator[tuple[RowFile, Block]]:
        return ((file, block) for file in self._files for block in file.blocks)


def _spans_at(block: Block, hits: list[int]) -> Iterator[RowSpan]:
    """Gives the rows in which these places lie; `hits` is sorted."""
    if not hits:
        return
    at = 0
    for span in row_spans(block):
        if hits[at] < span.end:
            yield span
            at = bisect.bisect_left(hits, span.end, at)
            if at == len(hits):
                return


def _names(data: bytes, span: RowSpan, origin: bytes, hits: list[int]) -> bool:
    """Returns whether one of these places is that of a position in the row's list for the partition."""
    code = origin[:4]
    at = data.find(code, span.start, span.end)
    while at >= 0:
        size, start = _size_at(data, at + 4)
        if size > 0 and start + size <= span.end and size % _POSITION_BYTES == 0:
            first = bisect.bisect_left(hits, start)
            for hit in hits[first : bisect.bisect_left(hits, start + size)]:
                if (hit - start) % _POSITION_BYTES == 0:
                    return True
        at = data.find(code, at + 1, span.end)
    return False


def _size_at(data: bytes, at: int) -> tuple[int, int]:
    """Returns the number at a place; 0 where there is none, since anything may stand there."""
    try:
        return read_avro_long(data, at)
    except (IndexError, ValueError):
        return 0, at


def _is_unresolved(derivation: Derivation, origin: bytes) -> bool:
    position = int.from_bytes(origin[4:9], "big")
    return (code_of(origin), position) in derivation.unresolved


def _by_hash(origin: bytes) -> bytes:
    return origin[9:] + origin[:9]


def kept_share(derivation: Derivation) -> float:
    """Returns the share of an aggregate's elements of known origin whose origins were kept, 0 to 1.

    Elements of one origin are counted each, so of the origins it is this share or more.
    """
    if derivation.complete:
        return 1.0
    kept = len(derivation.contributors) + len(derivation.unresolved)
    return min(1.0, kept / max(1, derivation.count - derivation.unknown))


def _fields(row: bytes) -> dict[str, Any]:
    import fastavro

    from beam_obs.records.lineage_rows import DERIVATION_SCHEMA

    try:
        fields: Any = fastavro.schemaless_reader(io.BytesIO(row), DERIVATION_SCHEMA, None)
    except Exception:  # a decoder of what may be anything
        raise DamagedRows from None
    return fields  # type: ignore[no-any-return]


def _kept(fields: dict[str, Any]) -> int:
    positions = sum(len(one["positions"]) for one in fields["positions"])
    return positions // _POSITION_BYTES + len(fields["origins"]) // 16


def _narrow_positions(fields: dict[str, Any]) -> Iterator[tuple[int, list[int]]]:
    """Gives the positions in a stored row, by the code of their partition."""
    for of_partition in fields["positions"]:
        yield int.from_bytes(of_partition["partition"], "big"), positions_of(of_partition["positions"])
