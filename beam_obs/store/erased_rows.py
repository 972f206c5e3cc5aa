"""Evidence files written again without the rows that are to be erased; the header says how many went.

Blocks without such rows stay as they are. A file of which nothing goes is not touched.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from beam_obs.records.avro_number import avro_long, read_avro_long
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.lineage_rows import DERIVATION_SCHEMA, OUTPUT_BYTES
from beam_obs.store.letter_files import letter_schema, letters_of_block
from beam_obs.store.row_files import Block, RowFile

ERASED = "beam_obs.erased"
"""Key of a header: how many rows, or contributors in them, were erased from the file."""

ERASED_TEXT = "[erased]"

_ORIGIN = 16
_POSITION = 5


class ErasedFile(NamedTuple):
    """A file written again.

    Args:
      content: its bytes.
      rows: how many it has.
      erased: rows and contributors that went now.
    """

    content: bytes
    rows: int
    erased: int


Rows = tuple[list[bytes], int]
"""The rows of a block that stay, encoded, and how many rows or contributors went."""


def erased_so_far(metadata: Mapping[str, bytes]) -> int:
    """Returns how many rows and contributors a file has lost to erasures."""
    told = metadata.get(ERASED, b"")
    return int(told) if told.isdigit() and len(told) < 19 else 0


def rewrite(file: RowFile, rows_of: Callable[[Block], Rows | None]) -> ErasedFile | None:
    """Returns a file without what is to be erased; None where there is nothing.

    Args:
      file: the file.
      rows_of: of a block, what stays of it; None where all does.
    """
    blocks: list[Block] = []
    erased = 0
    for block in file.blocks:
        kept = rows_of(block)
        if kept is None:
            blocks.append(block)
            continue
        rows, gone = kept
        erased += gone
        if rows:
            blocks.append(Block(len(rows), b"".join(rows)))
    if not erased:
        return None
    metadata = {**file.metadata, ERASED: str(erased_so_far(file.metadata) + erased).encode()}
    return ErasedFile(_container(metadata, blocks), sum(block.count for block in blocks), erased)


def _container(metadata: Mapping[str, bytes], blocks: Iterable[Block]) -> bytes:
    sync = zlib.crc32(repr(sorted(metadata.items())).encode()).to_bytes(4, "big") * 4
    parts = [b"Obj\x01", avro_long(len(metadata))]
    for key, value in {**metadata, "avro.codec": b"deflate"}.items():
        parts += [_bytes(key.encode()), _bytes(value)]
    parts += [b"\0", sync]
    for block in blocks:
        squeeze = zlib.compressobj(wbits=-15)
        parts += [avro_long(block.count), _bytes(squeeze.compress(block.data) + squeeze.flush()), sync]
    return b"".join(parts)


def _bytes(data: bytes) -> bytes:
    return avro_long(len(data)) + data


# What stays of a block, by kind.


def without_letters(file: RowFile, is_erased: Callable[[DeadLetter], bool]) -> Callable[[Block], Rows | None]:
    """Returns what leaves out dead letters."""
    import fastavro

    schema = letter_schema(file.metadata)

    def rows_of(block: Block) -> Rows | None:
        if schema is None:
            return None
        letters = list(letters_of_block(block, schema))
        kept = [letter for letter in letters if not is_erased(letter)]
        if len(kept) == len(letters):
            return None
        names = [field["name"] for field in schema["fields"]]
        rows = []
        for letter in kept:
            row = io.BytesIO()
            fastavro.schemaless_writer(row, schema, {name: getattr(letter, name, None) for name in names})
            rows.append(row.getvalue())
        return rows, len(letters) - len(kept)

    return rows_of


def without_outputs(origins: frozenset[bytes]) -> Callable[[Block], Rows | None]:
    """Returns what leaves out rows of the output index by origin."""

    def rows_of(block: Block) -> Rows | None:
        if not any(origin in block.data for origin in origins):
            return None
        starts = range(0, block.count * OUTPUT_BYTES, OUTPUT_BYTES)
        rows = [block.data[at : at + OUTPUT_BYTES] for at in starts]
        kept = [row for row in rows if row[-_ORIGIN:] not in origins]
        return kept, len(rows) - len(kept)

    return rows_of


def without_filtered(origins: frozenset[bytes]) -> Callable[[Block], Rows | None]:
    """Returns what leaves out notes of filtered elements by origin."""

    def rows_of(block: Block) -> Rows | None:
        if not any(origin in block.data for origin in origins):
            return None
        kept, at = [], 0
        for _ in range(block.count):
            size, behind = read_avro_long(block.data, at)
            end = behind + size + _ORIGIN
            if block.data[end - _ORIGIN : end] not in origins:
                kept.append(block.data[at:end])
            at = end
        return kept, block.count - len(kept)

    return rows_of


def without_contributors(
    origins: frozenset[bytes], names_person: Callable[[str], bool]
) -> Callable[[Block], Rows | None]:
    """Returns what takes origins out of derivations, and the text of keys that name the person.

    An aggregate that is erased itself loses its row; one that loses a contributor has one of unknown origin.
    """
    import fastavro

    def rows_of(block: Block) -> Rows | None:
        kept: list[bytes] = []
        gone = 0
        rows = io.BytesIO(block.data)
        for _ in range(block.count):
            start = rows.tell()
            row: Any = fastavro.schemaless_reader(rows, DERIVATION_SCHEMA, None)
            if row["child"] in origins:
                gone += 1
                continue
            lost = _take_out(row, origins)
            if names_person(row["key_text"]):
                row["key_text"] = ERASED_TEXT
                gone += not lost
            elif not lost:
                kept.append(block.data[start : rows.tell()])
                continue
            gone += lost
            changed = io.BytesIO()
            fastavro.schemaless_writer(changed, DERIVATION_SCHEMA, row)
            kept.append(changed.getvalue())
        return (kept, gone) if gone else None

    return rows_of


def _take_out(row: dict[str, Any], origins: frozenset[bytes]) -> int:
    """Takes contributors out of a derivation; returns how many."""
    whole = list(_parts(row["origins"], _ORIGIN))
    kept = [origin for origin in whole if origin not in origins]
    lost = len(whole) - len(kept)
    codes = {int.from_bytes(origin[:4], "big") for origin in whole}
    row["origins"] = b"".join(kept)
    places = {(origin[:4], origin[4:9]) for origin in origins}
    listed = []
    for one in row["positions"]:
        codes.add(int.from_bytes(one["partition"], "big"))
        positions = list(_parts(one["positions"], _POSITION))
        left = [position for position in positions if (one["partition"], position) not in places]
        lost += len(positions) - len(left)
        if left:
            listed.append({**one, "positions": b"".join(left)})
    row["positions"] = listed
    if lost:
        row["unknown"] = min(row["count"], row["unknown"] + lost)
        if row["complete"]:
            row["complete"], row["sources"] = False, sorted(codes)[:64]
            row["more_sources"] = len(codes) > 64
    return lost


def _parts(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))
