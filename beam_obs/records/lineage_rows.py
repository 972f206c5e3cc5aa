"""What lineage leaves behind: derivations of aggregates, the index of outputs, what steps gave nothing of.

A row leaves the step that makes it as bytes, in Avro's binary form without a schema, through an output
of its own; the writer behind it only puts rows into blocks. The step of derivations and of the output
index is in the metadata of their file, `STEP_METADATA`.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import fastavro

from beam_obs.records.avro_number import avro_long
from beam_obs.records.contributors import Contributors
from beam_obs.records.origin import ORIGIN_BYTES, Partition
from beam_obs.records.record_content import DIGEST_BYTES

STEP_METADATA = "beam_obs.step"
"""Key of the step's label in the metadata of a file of rows."""

RUN_METADATA = "beam_obs.run"
"""Key of the run's id, where it is known."""

KEY_TEXT_BYTES = 256
OUTPUT_BYTES = DIGEST_BYTES + ORIGIN_BYTES
NOT_KNOWN = bytes(ORIGIN_BYTES)
"""In the output index: the origin of a record that has none."""

AGGREGATE = "aggregate"
BATCH = "batch"
STATE = "state"
BUNDLE = "bundle"

_POSITION_BYTES = 5

DERIVATION_SCHEMA: Any = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Derivation",
        "namespace": "beam_obs",
        "doc": "One aggregate and what it was made of.",
        "fields": [
            {"name": "child", "type": {"type": "fixed", "name": "Origin", "size": ORIGIN_BYTES}},
            {
                "name": "kind",
                "type": "string",
                "doc": "aggregate and batch are exact; state and bundle are supersets of what contributed.",
            },
            {"name": "key_text", "type": "string"},
            {"name": "window", "type": "string"},
            {"name": "pane", "type": "long"},
            {"name": "count", "type": "long", "doc": "Elements."},
            {"name": "unknown", "type": "long", "doc": "Elements whose origin is not known."},
            {
                "name": "sources",
                "type": {"type": "array", "items": "long"},
                "doc": "Partition codes, 0 derived; none where complete: contributors tell them.",
            },
            {"name": "more_sources", "type": "boolean"},
            {"name": "complete", "type": "boolean", "doc": "Whether contributors are all of them."},
            {
                "name": "positions",
                "type": {
                    "type": "array",
                    "items": {
                        "type": "record",
                        "name": "Positions",
                        "fields": [
                            {
                                "name": "partition",
                                "type": {"type": "fixed", "name": "Code", "size": 4},
                            },
                            {
                                "name": "positions",
                                "type": "bytes",
                                "doc": "5 bytes each, big endian, sorted.",
                            },
                        ],
                    },
                },
                "doc": "Contributors whose hash follows from partition and position.",
            },
            {"name": "origins", "type": "bytes", "doc": "All other contributors, 16 bytes each, sorted."},
        ],
    }
)

OUTPUT_SCHEMA: Any = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Output",
        "namespace": "beam_obs",
        "doc": "One record as it entered a sink, and where it came from.",
        "fields": [
            {"name": "digest", "type": {"type": "fixed", "name": "Digest", "size": DIGEST_BYTES}},
            {
                "name": "origin",
                "type": {"type": "fixed", "name": "Origin", "size": ORIGIN_BYTES},
                "doc": "All zero where it is not known.",
            },
        ],
    }
)


FILTERED_SCHEMA: Any = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Filtered",
        "namespace": "beam_obs",
        "doc": "An element of which a step gave nothing.",
        "fields": [
            {"name": "step", "type": "string"},
            {"name": "origin", "type": {"type": "fixed", "name": "Origin", "size": ORIGIN_BYTES}},
        ],
    }
)


class Derivation(NamedTuple):
    """One aggregate and what it was made of.

    Args:
      child: origin of the aggregate.
      step: label of the step that made it.
      kind: one of the names above.
      key_text: the key, for people.
      window: the window, for people.
      pane: index of the pane.
      count: elements it was made of.
      unknown: those of them whose origin is not known.
      sources: partition codes.
      more_sources: whether there were more than are named.
      complete: whether `contributors` and `unresolved` are all of them.
      contributors: their origins, sorted.
      unresolved: (partition code, position) of contributors whose partition is not among those given.
    """

    child: bytes
    step: str
    kind: str
    key_text: str
    window: str
    pane: int
    count: int  # type: ignore[assignment]
    unknown: int
    sources: tuple[int, ...]
    more_sources: bool
    complete: bool
    contributors: tuple[bytes, ...]
    unresolved: tuple[tuple[int, int], ...] = ()

    @property
    def aggregate(self) -> tuple[bytes, str, str, str, str, int, int]:
        """The aggregate by itself: origin, step, kind, key, window, pane and count."""
        return self.child, self.step, self.kind, self.key_text, self.window, self.pane, self.count


class Output(NamedTuple):
    """One record as it entered a sink; its origin is empty where it is not known."""

    digest: bytes
    origin: bytes


class Filtered(NamedTuple):
    """An element of which a step gave nothing."""

    step: str
    origin: bytes


# Derivations.


def derivation_row(
    child: bytes,
    kind: str,
    found: Contributors,
    key_text: str = "",
    window: str = "",
    pane: int = 0,
) -> bytes:
    """Returns the row of an aggregate."""
    codes = () if found.complete else found.codes
    parts = [
        child,
        _text(kind),
        _text(key_text, KEY_TEXT_BYTES),
        _text(window),
        avro_long(pane),
        avro_long(found.count),
        avro_long(found.unknown),
    ]
    if codes:
        parts.append(avro_long(len(codes)))
        parts.extend(map(avro_long, codes))
    parts.append(b"\0")
    parts.append(b"\1" if found.more_codes and not found.complete else b"\0")
    parts.append(b"\1" if found.complete else b"\0")
    _add_contributors(parts, found.origins)
    return b"".join(parts)


def _add_contributors(parts: list[bytes], origins: tuple[bytes, ...]) -> None:
    """Adds positions and origins of a row; sorted origins are derived ones, located ones, all others."""
    if not origins:
        parts.append(b"\0\0")
        return
    first, last = origins[0], origins[-1]
    if first[:4] == last[:4] and b"\0\0\0\0" < first[:4] < b"\x80":
        parts += (b"\2", first[:4], _bytes(_positions(origins)), b"\0\0")
        return
    others: list[bytes] = []
    located: list[tuple[bytes, list[bytes]]] = []
    for code, of_code in itertools.groupby(origins, _code_of):
        if b"\0\0\0\0" < code < b"\x80":
            located.append((code, [origin[4:9] for origin in of_code]))
        else:
            others.extend(of_code)
    if located:
        parts.append(avro_long(len(located)))
        for code, positions in located:
            parts += (code, _bytes(b"".join(positions)))
    parts += (b"\0", _bytes(b"".join(others)))


def _positions(origins: tuple[bytes, ...]) -> bytes:
    """Returns the positions in origins one behind the other, byte by byte of all of them at once."""
    joined = b"".join(origins)
    positions = bytearray(_POSITION_BYTES * len(origins))
    for byte in range(_POSITION_BYTES):
        positions[byte::_POSITION_BYTES] = joined[4 + byte :: ORIGIN_BYTES]
    return bytes(positions)


def partitions_by_code(partitions: Iterable[Partition]) -> dict[int, Partition]:
    """Returns partitions by their codes, without those that share one: their records cannot be told apart.

    >>> a = Partition("a", "1")
    >>> partitions_by_code([a, a]) == {a.code: a}
    True
    """
    found: dict[int, Partition] = {}
    shared: set[int] = set()
    for partition in partitions:
        if found.setdefault(partition.code, partition) != partition:
            shared.add(partition.code)
    return {code: partition for code, partition in found.items() if code not in shared}


def read_derivation(
    row: bytes | Mapping[str, Any], step: str, partitions: Mapping[int, Partition]
) -> Derivation:
    """Returns what `derivation_row` wrote.

    Args:
      row: as it was written, or its fields as Avro's readers give them.
      step: label of the step, from the metadata of the row's file.
      partitions: of the run, by code.
    """
    fields: Any = row
    if isinstance(row, bytes):
        fields = fastavro.schemaless_reader(io.BytesIO(row), DERIVATION_SCHEMA, None)
    packed = fields["origins"]
    origins = [packed[at : at + ORIGIN_BYTES] for at in range(0, len(packed), ORIGIN_BYTES)]
    codes = {int.from_bytes(origin[:4], "big") for origin in origins}
    unresolved: list[tuple[int, int]] = []
    for of_partition in fields["positions"]:
        code = int.from_bytes(of_partition["partition"], "big")
        codes.add(code)
        positions = positions_of(of_partition["positions"])
        partition = partitions.get(code)
        if partition is None:
            unresolved.extend((code, position) for position in positions)
        else:
            origins.extend(origins_of(partition, positions))
    return Derivation(
        fields["child"],
        step,
        fields["kind"],
        fields["key_text"],
        fields["window"],
        fields["pane"],
        fields["count"],
        fields["unknown"],
        tuple(sorted(codes)) if fields["complete"] else tuple(fields["sources"]),
        fields["more_sources"],
        fields["complete"],
        tuple(sorted(origins)),
        tuple(unresolved),
    )


def positions_of(packed: bytes) -> list[int]:
    """Returns the positions of a derivation's contributors of one partition.

    >>> positions_of(bytes(4) + b"\\7" + bytes(3) + b"\\1\\0")
    [7, 256]
    """
    starts = range(0, len(packed), _POSITION_BYTES)
    return [int.from_bytes(packed[at : at + _POSITION_BYTES], "big") for at in starts]


def origins_of(partition: Partition, positions: list[int]) -> Iterator[bytes]:
    """Gives the origins of records of a partition."""
    return map(partition.origin, positions)


# Outputs.


def output_row(digest: bytes, origin: bytes) -> bytes:
    """Returns the row of a record that enters a sink: 24 bytes.

    Args:
      digest: of its content, 8 bytes.
      origin: 16 bytes, or none where it is not known.
    """
    return digest + (origin or NOT_KNOWN)


def read_outputs(rows: bytes) -> list[Output]:
    """Returns what `output_row` wrote, of as many rows as there are, e.g. of a block of a file.

    >>> read_outputs(output_row(b"12345678", b""))
    [Output(digest=b'12345678', origin=b'')]
    """
    found = []
    for at in range(0, len(rows), OUTPUT_BYTES):
        origin = rows[at + DIGEST_BYTES : at + OUTPUT_BYTES]
        found.append(Output(rows[at : at + DIGEST_BYTES], b"" if origin == NOT_KNOWN else origin))
    return found


# What steps gave nothing of.


def filtered_row(step: str, origin: bytes) -> bytes:
    """Returns the row of an element of this origin, of which a step gave nothing."""
    return _text(step) + origin


def read_filtered(row: bytes) -> Filtered:
    """Returns what `filtered_row` wrote.

    >>> read_filtered(filtered_row("keep", b"0123456789abcdef")).step
    'keep'
    """
    fields: Any = fastavro.schemaless_reader(io.BytesIO(row), FILTERED_SCHEMA, None)
    return Filtered(**fields)


# Avro's binary form.


def _bytes(data: bytes) -> bytes:
    return avro_long(len(data)) + data


def _text(text: str, most: int | None = None) -> bytes:
    encoded = text.encode("utf-8", "replace")
    if most is not None and len(encoded) > most:
        encoded = encoded[:most].decode("utf-8", "ignore").encode()
    return avro_long(len(encoded)) + encoded


def _code_of(origin: bytes) -> bytes:
    return origin[:4]
