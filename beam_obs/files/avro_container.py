"""An Avro container, written, of rows that are encoded already.

https://avro.apache.org/docs/1.11.1/specification/#object-container-files
"""

from __future__ import annotations

import io
import json
import os
import zlib
from collections.abc import Mapping
from typing import Any

from beam_obs.records.avro_number import avro_bytes, avro_long


class AvroContainer:
    """An Avro file of encoded rows, deflated by block.

    Args:
      file: an open binary file.
      schema: of the rows.
      metadata: more to stand in the head of the file.
      block_bytes: how long rows are gathered before they are written.
    """

    def __init__(
        self, file: Any, schema: Mapping[str, Any], metadata: Mapping[str, bytes], block_bytes: int
    ) -> None:
        self.rows = 0
        self._file = file
        self._block_bytes = block_bytes
        self._block = io.BytesIO()
        self._in_block = 0
        self._sync = os.urandom(16)
        plain = {key: value for key, value in schema.items() if not key.startswith("__")}
        head = {"avro.schema": json.dumps(plain).encode(), "avro.codec": b"deflate", **metadata}
        file.write(b"Obj\x01" + avro_long(len(head)))
        for key, value in head.items():
            file.write(avro_bytes(key.encode()) + avro_bytes(value))
        file.write(b"\0" + self._sync)

    def write(self, rows: bytes, count: int = 1) -> None:
        """Adds rows, one behind the other."""
        self._block.write(rows)
        self._in_block += count
        if self._block.tell() >= self._block_bytes:
            self.end_block()

    def end_block(self) -> None:
        """Writes the rows that were gathered; to be called at the end, too."""
        if not self._in_block:
            return
        # More effort finds little more, at five times the price.
        squeeze = zlib.compressobj(level=1, wbits=-15)
        data = squeeze.compress(self._block.getvalue()) + squeeze.flush()
        self._file.write(avro_long(self._in_block) + avro_bytes(data) + self._sync)
        self.rows += self._in_block
        self._in_block = 0
        self._block = io.BytesIO()
