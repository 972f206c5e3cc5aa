"""Files of rows that lineage leaves behind: Avro containers written without encoding a row again."""

from __future__ import annotations

import io
import json
import os
import zlib
from typing import Any

from beam_obs.records.avro_number import avro_long
from beam_obs.records.instrument_rows import INSTRUMENT_SCHEMA, INSTRUMENTS
from beam_obs.records.lineage_rows import (
    DERIVATION_SCHEMA,
    FILTERED_SCHEMA,
    OUTPUT_BYTES,
    OUTPUT_SCHEMA,
    RUN_METADATA,
    STEP_METADATA,
)
from beam_obs.records.manifest import Manifest
from beam_obs.records.run_context import RunContext
from beam_obs.weaving.weave_state import DERIVATIONS, FILTERED, OUTPUTS

OUTPUT_INDEX = "output_index"
_BLOCK_BYTES = 1 << 16
_KINDS: dict[str, tuple[Any, str, int | None]] = {
    DERIVATIONS: (DERIVATION_SCHEMA, DERIVATIONS, None),
    OUTPUTS: (OUTPUT_SCHEMA, OUTPUT_INDEX, OUTPUT_BYTES),
    FILTERED: (FILTERED_SCHEMA, FILTERED, None),
    INSTRUMENTS: (INSTRUMENT_SCHEMA, INSTRUMENTS, None),
}
"""Schema of the rows, kind of the manifest, size of a row where it is fixed: several may come at once."""


def open_rows(kind: str, step: str, run: RunContext | None, file: Any) -> EncodedRows:
    """Returns a file of rows of a kind, as the weave calls it."""
    schema, of_manifest, row_bytes = _KINDS[kind]
    return EncodedRows(schema, of_manifest, step, row_bytes, run, file)


class EncodedRows:
    """An Avro file of rows that are encoded already.

    Args:
      schema: of the rows.
      kind: of the manifest.
      step: label of the step; empty where rows tell it.
      row_bytes: size of a row, where it is fixed: several rows may come at once then.
      run: the run, where it is known.
      file: an open binary file.
    """

    def __init__(
        self, schema: Any, kind: str, step: str, row_bytes: int | None, run: RunContext | None, file: Any
    ) -> None:
        self._kind = kind
        self._row_bytes = row_bytes
        self._file = file
        self._step = step
        self._count = self._in_block = 0
        self._block = io.BytesIO()
        self._sync = os.urandom(16)
        plain = {key: value for key, value in schema.items() if not key.startswith("__")}
        head = {
            "avro.schema": json.dumps(plain).encode(),
            "avro.codec": b"deflate",
            STEP_METADATA: step.encode(),
        }
        if run is not None:
            head[RUN_METADATA] = run.run.encode()
        file.write(b"Obj\x01" + avro_long(len(head)))
        for key, value in head.items():
            file.write(_bytes(key.encode()) + _bytes(value))
        file.write(b"\0" + self._sync)

    def write(self, row: bytes) -> None:
        """Adds one row, or rows of fixed size."""
        self._block.write(row)
        self._in_block += 1 if self._row_bytes is None else len(row) // self._row_bytes
        if self._block.tell() >= _BLOCK_BYTES:
            self._end_block()

    def close(self) -> Manifest:
        """Ends the file."""
        self._end_block()
        return Manifest(self._kind, self._step, "", self._count)

    def index(self) -> bytes:
        """Returns nothing: its blocks are searched as they are."""
        return b""

    def _end_block(self) -> None:
        if not self._in_block:
            return
        # Of hashes and of sorted positions more effort finds next to nothing more, at five times the price.
        squeeze = zlib.compressobj(level=1, wbits=-15)
        data = squeeze.compress(self._block.getvalue()) + squeeze.flush()
        self._file.write(avro_long(self._in_block) + _bytes(data) + self._sync)
        self._count += self._in_block
        self._in_block = 0
        self._block = io.BytesIO()


def _bytes(data: bytes) -> bytes:
    return avro_long(len(data)) + data
