"""Files of dead letters, read: Avro or JSON lines, each letter of the types that readers expect.

Rows are decoded by a schema of plain fields only, so that a file that someone else wrote costs no more time
than it has bytes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from typing import Any

from beam_obs.records.dead_letter import DEAD_LETTER_SCHEMA, DeadLetter
from beam_obs.runs.form import parse_object
from beam_obs.runs.row_files import Block, blocks_of, count_rows, read_metadata

_TYPES: dict[str, Any] = {field["name"]: field["type"] for field in DEAD_LETTER_SCHEMA["fields"]}
_OTHERWISE: dict[str, Any] = {
    field["name"]: field["default"] for field in DEAD_LETTER_SCHEMA["fields"] if "default" in field
}
_PLAIN = ("string", "bytes", "int", "long", "boolean", "float", "double")
_PYTHON: dict[str, type] = {"string": str, "bytes": bytes, "int": int, "long": int, "boolean": bool}
_LARGEST = 1 << 63


class LetterFile:
    """The dead letters of a file, given one by one.

    Args:
      name: of the file.
      content: its bytes.
    """

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name
        self._content = content
        self._is_lines = name.endswith(".jsonl")

    @property
    def rows(self) -> int:
        """How many letters it says that it has."""
        if self._is_lines:
            return self._content.count(b"\n") + (not self._content.endswith(b"\n") and bool(self._content))
        return count_rows(self._content)

    def __iter__(self) -> Iterator[DeadLetter]:
        """Gives the letters that can be read."""
        if self._is_lines:
            for line in self._content.splitlines():
                letter = letter_of_json(line)
                if letter is not None:
                    yield letter
            return
        schema = letter_schema(read_metadata(self._content))
        if schema is None:
            return
        for block in blocks_of(self._content):
            if block is not None:
                yield from letters_of_block(block, schema)


def letter_schema(metadata: Mapping[str, bytes]) -> Any:
    """Returns the schema by which the rows of a file are decoded; None where they are no dead letters."""
    try:
        given = parse_object(metadata.get("avro.schema", b""))
        fields = [{"name": field["name"], "type": field["type"]} for field in given["fields"]]
        names = [field["name"] for field in fields]
        known = all(field["type"] == _TYPES.get(field["name"], field["type"]) for field in fields)
        plain = all(_is_plain(field["type"]) for field in fields)
        if len(set(names)) != len(names) or not known or not plain or not set(names) >= _NEEDED:
            return None
        import fastavro

        return fastavro.parse_schema({"type": "record", "name": "beam_obs.DeadLetter", "fields": fields})
    except Exception:  # it may be anything
        return None


_NEEDED = _TYPES.keys() - _OTHERWISE.keys()


def letters_of_block(block: Block, schema: Any) -> Iterator[DeadLetter]:
    """Gives the letters of a block, up to one that cannot be decoded."""
    import fastavro

    rows = io.BytesIO(block.data)
    for _ in range(block.count):
        try:
            row: Any = fastavro.schemaless_reader(rows, schema, None)
        except Exception:
            return
        yield _letter(row)


def letter_of_json(line: bytes) -> DeadLetter | None:
    """Returns the letter of a line; None where it is none."""
    try:
        values = parse_object(line)
        values["payload"] = base64.b64decode(values["payload"])
    except (ValueError, KeyError, TypeError):
        return None
    letter = _letter(values)
    return letter if all(_has_type(getattr(letter, name), kind) for name, kind in _TYPES.items()) else None


def _letter(values: Mapping[str, Any]) -> DeadLetter:
    return DeadLetter._make(values.get(name, _OTHERWISE.get(name)) for name in DeadLetter._fields)


def _is_plain(kind: Any) -> bool:
    if isinstance(kind, list):
        return len(kind) == 2 and kind[0] == "null" and kind[1] in _PLAIN
    return kind in _PLAIN


def _has_type(value: Any, kind: Any) -> bool:
    if isinstance(kind, list):
        return value is None or _has_type(value, kind[1])
    if type(value) is not _PYTHON[kind]:
        return False
    return not isinstance(value, int) or -_LARGEST <= value < _LARGEST
