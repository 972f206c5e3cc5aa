"""Dead letters as files: Avro, or JSON lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from beam_obs.files.avro_container import AvroContainer
from beam_obs.records.dead_letter import (
    DEAD_LETTER_SCHEMA,
    FINGERPRINT_VERSION,
    DeadLetter,
    example_of_kind,
    is_of_further_window,
)
from beam_obs.records.letter_index import LetterIndexWriter
from beam_obs.records.letter_row import LetterRows
from beam_obs.records.manifest import FURTHER_WINDOWS, Manifest

_FINGERPRINT_LIMIT = 1000
_BLOCK_BYTES = 256_000


class _Census:
    """Counts by fingerprint, with one example each: what a report shows without reading the letters."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._count = self._further = 0
        self._by_fingerprint: dict[str, dict[str, Any]] = {}
        self._others = 0

    def add(self, letters: Sequence[DeadLetter]) -> None:
        self._count += len(letters)
        known = self._by_fingerprint
        for letter in letters:
            self._further += is_of_further_window(letter.id)
            entry = known.get(letter.fingerprint)
            if entry is not None:
                entry["count"] += 1
                entry["last"] = letter.failed_at
            elif len(known) < _FINGERPRINT_LIMIT:
                known[letter.fingerprint] = {
                    "count": 1,
                    "fingerprint_version": FINGERPRINT_VERSION,
                    **example_of_kind(letter),
                }
            else:
                self._others += 1

    def manifest(self) -> Manifest:
        details: dict[str, Any] = {"fingerprints": self._by_fingerprint}
        if self._others:
            details["others"] = self._others
        if self._further:
            details[FURTHER_WINDOWS] = self._further
        return Manifest("dead_letters", self._stage, "", self._count, "", details)


class AvroRows:
    """Dead letters as an Avro file, zlib-compressed by block.

    Args:
      file: an open binary file.
      stage: label of the stage that refused.
    """

    def __init__(self, file: Any, stage: str) -> None:
        self._blocks = AvroContainer(file, DEAD_LETTER_SCHEMA, {}, _BLOCK_BYTES)
        self._rows = LetterRows()
        self._census = _Census(stage)
        self._index = LetterIndexWriter()

    def write(self, letter: DeadLetter) -> None:
        """Adds one dead letter."""
        self.write_all((letter,))

    def write_all(self, letters: Sequence[DeadLetter]) -> None:
        """Adds dead letters: many at once cost less."""
        encode, write = self._rows.encode, self._blocks.write
        if sum([len(letter.payload) for letter in letters]) < _BLOCK_BYTES:
            write(encode(letters), len(letters))
        else:  # a block is not to be much longer than others
            for letter in letters:
                write(encode((letter,)))
        self._census.add(letters)
        self._index.add(letters)

    def close(self) -> Manifest:
        """Ends the file."""
        self._blocks.end_block()
        return self._census.manifest()

    def index(self) -> bytes:
        """Returns what says where its letters are, where they are many."""
        return self._index.content()


class JsonRows:
    """Dead letters as JSON lines; the payload is base64.

    Args:
      file: an open binary file.
      stage: label of the stage that refused.
    """

    def __init__(self, file: Any, stage: str) -> None:
        self._file = file
        self._census = _Census(stage)

    def write(self, letter: DeadLetter) -> None:
        """Adds one dead letter."""
        self.write_all((letter,))

    def write_all(self, letters: Sequence[DeadLetter]) -> None:
        """Adds dead letters."""
        for letter in letters:
            self._file.write(letter.to_json().encode("utf-8", "backslashreplace") + b"\n")
        self._census.add(letters)

    def close(self) -> Manifest:
        """Ends the file."""
        return self._census.manifest()

    def index(self) -> bytes:
        """Returns nothing: lines are read from the first to the last."""
        return b""
