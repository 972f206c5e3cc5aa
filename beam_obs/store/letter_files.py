"""Files of dead letters, read: Avro or JSON lines, each letter of the types that readers expect.

Rows are decoded by a schema of plain fields only, so that a file that someone else wrote costs no more time
than it has bytes; and only those of blocks that may have what is asked for.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from beam_obs.records.dead_letter import DEAD_LETTER_SCHEMA, DeadLetter
from beam_obs.records.letter_index import LetterIndex
from beam_obs.records.wanted_letters import WantedLetters
from beam_obs.store.form import parse_object
from beam_obs.store.row_files import Block, BlockFile, PackedBlock

_TYPES: dict[str, Any] = {field["name"]: field["type"] for field in DEAD_LETTER_SCHEMA["fields"]}
_OTHERWISE: dict[str, Any] = {
    field["name"]: field["default"] for field in DEAD_LETTER_SCHEMA["fields"] if "default" in field
}
_PLAIN = ("string", "bytes", "int", "long", "boolean", "float", "double")
_PYTHON: dict[str, type] = {"string": str, "bytes": bytes, "int": int, "long": int, "boolean": bool}
_LARGEST = 1 << 63

Opens = Callable[[], contextlib.AbstractContextManager[BinaryIO]]
"""Opens a file for reading, at any place."""


class LetterFile:
    """The dead letters of a file, given one by one.

    Args:
      name: of the file.
      opens: opens it; every reading does.

    Attributes:
      unreadable: how many rows could not be decoded, of those that were looked at so far.
    """

    def __init__(self, name: str, opens: Opens) -> None:
        self.name = name
        self.unreadable = 0
        self._opens = opens
        self._is_lines = name.endswith(".jsonl")

    @classmethod
    def of_content(cls, name: str, content: bytes) -> LetterFile:
        """Returns the letters of a file that was read."""
        return cls(name, lambda: io.BytesIO(content))

    @property
    def rows(self) -> int:
        """How many letters it says that it has."""
        with self._opens() as file:
            if self._is_lines:
                return sum(1 for _ in file)
            return sum(block.count for block in BlockFile(file).packed())

    @property
    def metadata(self) -> Mapping[str, bytes]:
        """What its header says."""
        with self._opens() as file:
            return {} if self._is_lines else BlockFile(file).metadata

    def __iter__(self) -> Iterator[DeadLetter]:
        """Gives the letters that can be read."""
        return self.wanted(WantedLetters())

    def wanted(self, wanted: WantedLetters, index: LetterIndex | None = None) -> Iterator[DeadLetter]:
        """Gives those of the letters that are wanted, in the order of the file.

        Args:
          wanted: what is asked for.
          index: of this very file, where there is one: only blocks that it names are looked at.
        """
        return (letter for _, letter in self.numbered(wanted, index))

    def numbered(
        self, wanted: WantedLetters, index: LetterIndex | None = None, first: int = 0
    ) -> Iterator[tuple[int, DeadLetter]]:
        """Gives the same, each with the number of its row, from 0; what is before a row is not read.

        Args:
          wanted: what is asked for.
          index: of this very file, where there is one.
          first: the row that it begins at.
        """
        with self._opens() as file:
            if self._is_lines:
                found = self._of_lines(file, wanted, first)
            else:
                found = self._of_blocks(file, wanted, index, first)
            yield from ((row, letter) for row, letter in found if row >= first and wanted.has(letter))

    def _of_lines(
        self, file: BinaryIO, wanted: WantedLetters, first: int
    ) -> Iterator[tuple[int, DeadLetter]]:
        searched = _as_in_json(wanted)
        for row, line in enumerate(file):
            if row < first:
                continue
            # What others wrote may have any character as an escape.
            if not searched.may_be_in(line) and b"\\u" not in line and b"\\/" not in line:
                continue
            letter = letter_of_json(line)
            self.unreadable += letter is None
            if letter is not None:
                yield row, letter

    def _of_blocks(
        self, file: BinaryIO, wanted: WantedLetters, index: LetterIndex | None, first: int
    ) -> Iterator[tuple[int, DeadLetter]]:
        blocks = BlockFile(file)
        packed = blocks.packed()
        schema = letter_schema(blocks.metadata)
        if schema is None:
            self.unreadable += sum(block.count for block in packed)
            return
        named = list(_named(packed, index, wanted, first))
        inflated = blocks.inflated(head for _, head in named)
        for (row, head), block in zip(named, inflated, strict=True):
            if block is None:
                self.unreadable += head.count
            elif wanted.is_all or wanted.may_be_in(block.data):
                read = 0
                for letter in letters_of_block(block, schema):
                    yield row + read, letter
                    read += 1
                self.unreadable += head.count - read


def _as_in_json(wanted: WantedLetters) -> WantedLetters:
    """Returns what is asked for as JSON lines have it."""

    def escaped(text: str) -> str:
        return json.dumps(text, ensure_ascii=False)[1:-1]

    stage, fingerprint, error_types, origin, own_id, _, stages = wanted
    return WantedLetters(  # the bytes of a payload are in base64: its text is looked for when it is read
        None if stage is None else escaped(stage),
        escaped(fingerprint),
        None if error_types is None else tuple(map(escaped, error_types)),
        None if origin is None else escaped(origin),
        escaped(own_id),
        stages=None if stages is None else tuple(map(escaped, stages)),
    )


def _named(
    packed: list[PackedBlock], index: LetterIndex | None, wanted: WantedLetters, first: int
) -> Iterator[tuple[int, PackedBlock]]:
    """Gives the blocks that have rows from `first` on, and that an index names, each with its first row."""
    may_be_in = None if index is None else index.rows_of(wanted)
    row = 0
    for block in packed:
        end = row + block.count
        if end > first and (may_be_in is None or may_be_in(max(row, first), end)):
            yield row, block
        row = end


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
