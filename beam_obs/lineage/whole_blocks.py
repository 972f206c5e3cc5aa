"""Blocks of evidence that have the form that is searched: others are left out, and said."""

from __future__ import annotations

from collections.abc import Iterator

from beam_obs.records.avro_number import read_avro_long
from beam_obs.records.lineage_rows import OUTPUT_BYTES
from beam_obs.store.row_files import Block, RowFile

DERIVATIONS = "derivations"
OUTPUTS = "outputs"
FILTERED = "filtered"


def whole_blocks(kind: str, file: RowFile) -> RowFile:
    """Returns a file without the blocks that are not of the form of its kind.

    Rows of derivations are walked over as they are searched: there is no time to do so twice.
    """
    schema = file.metadata.get("avro.schema", b"")
    if kind == OUTPUTS:
        # Older releases had the label of the step in each row.
        blocks = tuple(one for one in file.blocks if len(one.data) == one.count * OUTPUT_BYTES)
        is_known = b'"step"' not in schema
    elif kind == DERIVATIONS:
        blocks, is_known = file.blocks, b'"positions"' in schema
    else:
        blocks, is_known = tuple(one for one in file.blocks if _is_filtered(one)), True
    if not is_known:
        return file._replace(blocks=(), problem=f"{file.name} has rows of a form that is not known")
    if len(blocks) == len(file.blocks):
        return file
    return file._replace(blocks=blocks, problem=f"{file.name} is damaged: not all of its rows can be read")


def filtered_rows(block: Block) -> Iterator[tuple[str, bytes]]:
    """Gives step and origin of each row of a block."""
    at = 0
    for _ in range(block.count):
        size, at = read_avro_long(block.data, at)
        end = at + size
        if size < 0 or end + 16 > len(block.data):
            raise ValueError("a row that does not end")
        yield block.data[at:end].decode(), block.data[end : end + 16]
        at = end + 16


def _is_filtered(block: Block) -> bool:
    try:
        return sum(1 for _ in filtered_rows(block)) == block.count
    except (IndexError, ValueError):
        return False
