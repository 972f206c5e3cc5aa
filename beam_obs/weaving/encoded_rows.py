"""Files of rows that lineage leaves behind: Avro containers written without encoding a row again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from beam_obs.files.avro_container import AvroContainer
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
        self._step = step
        metadata = {STEP_METADATA: step.encode()}
        if run is not None:
            metadata[RUN_METADATA] = run.run.encode()
        self._blocks = AvroContainer(file, schema, metadata, _BLOCK_BYTES)

    def write(self, row: bytes) -> None:
        """Adds one row, or rows of fixed size."""
        self._blocks.write(row, 1 if self._row_bytes is None else len(row) // self._row_bytes)

    def write_all(self, rows: Iterable[bytes]) -> None:
        """Adds several rows."""
        for row in rows:
            self.write(row)

    def close(self) -> Manifest:
        """Ends the file."""
        self._blocks.end_block()
        return Manifest(self._kind, self._step, "", self._blocks.rows)

    def index(self) -> bytes:
        """Returns nothing: its blocks are searched as they are."""
        return b""
