"""A partition of a source: which part of which source a code in an origin stands for."""

from __future__ import annotations

import dataclasses
from typing import Any

from beam_obs.records.block_position import INDEX_BITS
from beam_obs.records.origin import POSITION_BITS, TOP_BIT, Partition, is_derived

_MOST_CANDIDATES = 1 << 16


@dataclasses.dataclass(frozen=True)
class SourcePartition:
    """One partition of a source, as a run read it.

    Args:
      code: as in origins.
      name: of the partition, e.g. the file's name relative to the fixed part of its pattern.
      version: e.g. the file's generation, or size and digest.
      located: whether its records have positions.
      wide: whether positions go beyond 40 bits.
      positions: what they count: ``bytes``, ``blocks`` (see `beam_obs.records.block_position`), ``files``,
        ``index``, or empty where it is not known.
      uri: the file or topic; None where it is neither.
      size: of the file, in bytes; None where it is not known.
      source: label of the step that read it.
      kind: name of that step's class, e.g. ``ReadFromCsv``.
      records: how many were read; None where it is not known.
      dead: how many were refused as they were read.
      changed_while_read: whether it was written to while it was read.
      multiline: whether a row of it may take more than one line; None where it is not known.
      first: byte offset of its first record, of a compressed file in what it holds; None where it is not
        known.
      header: that of its header; None where it has none, or `first` is not known.
    """

    code: int
    name: str
    version: str
    located: bool
    wide: bool
    positions: str
    uri: str | None
    size: int | None
    source: str
    kind: str
    records: int | None
    dead: int
    changed_while_read: bool = False
    multiline: bool | None = None
    first: int | None = None
    header: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the partition as JSON-able values."""
        return dataclasses.asdict(self) | {"code": f"{self.code:08x}"}


def partition_of(fields: dict[str, Any]) -> SourcePartition:
    """Returns a partition as ``partitions.json`` has it."""
    return SourcePartition(
        int(fields["code"], 16),
        fields["name"],
        fields.get("version") or "",
        bool(fields.get("located", True)),
        bool(fields.get("wide", False)),
        fields.get("positions") or "",
        fields.get("uri"),
        fields.get("size"),
        fields.get("source") or "",
        fields.get("kind") or "",
        fields.get("records"),
        int(fields.get("dead") or 0),
        bool(fields.get("changed_while_read", False)),
        multiline if isinstance(multiline := fields.get("multiline"), bool) else None,
        _offset(fields.get("first")),
        _offset(fields.get("header")),
    )


def identity_of(part: SourcePartition) -> Partition:
    """Returns what the origins of a partition are made of."""
    return Partition(part.name, part.version, part.located, part.wide)


def has_code(part: SourcePartition, code: int) -> bool:
    """Returns whether origins of this code may be of a partition; long positions have another."""
    return code in (part.code, part.code | TOP_BIT if part.located else part.code)


def position_in(part: SourcePartition, origin: bytes) -> int | None:
    """Returns the position that an origin was made of; None where it is not of the partition."""
    if not part.located:
        return None
    bound = 1 << POSITION_BITS
    if int.from_bytes(origin[:4], "big") & TOP_BIT:
        shift = INDEX_BITS if part.positions == "blocks" else 0
        bound = ((part.size or 0) + 1) << shift
        # What a compressed file holds may be far longer than the file.
        bound = max(bound, _MOST_CANDIDATES << POSITION_BITS)
    return identity_of(part).position_of(origin, bound)


def _offset(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def code_of(origin: bytes) -> int:
    """Returns the code of the partition that an origin names; 0 for an aggregate's."""
    return int.from_bytes(origin[:4], "big")


def is_of_narrow_position(origin: bytes) -> bool:
    """Returns whether an origin's 40 bits hold the whole position: derivations keep only that then."""
    return not is_derived(origin) and not code_of(origin) & TOP_BIT
