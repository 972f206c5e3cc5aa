"""The dead letters that a replay takes, as a file in its run's folder: what it reads, and what was before."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import fastavro
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from beam_obs.dead_letters.dead_letter_files import AvroRows
from beam_obs.records.dead_letter import DeadLetter


class EarlierAttempt(NamedTuple):
    """The attempt before, of a record that is refused again.

    Args:
      attempt: its number, from 1.
      first_failed_at: when the first one was refused, in microseconds since the epoch.
      root_id: id of the first one's dead letter.
      source_uri: where the record came from.
      position: its place there.
    """

    attempt: int
    first_failed_at: int
    root_id: str
    source_uri: str | None = None
    position: int | None = None


def snapshot_of(letters: Iterable[DeadLetter]) -> bytes:
    """Returns letters as the content of a file."""
    file = io.BytesIO()
    rows = AvroRows(file, "")
    for letter in letters:
        rows.write(letter)
    rows.close()
    return file.getvalue()


def read_letters(path: str) -> Iterator[DeadLetter]:
    """Gives the letters of such a file.

    Args:
      path: of the file, on any filesystem of Beam.
    """
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        for row in fastavro.reader(file):
            yield DeadLetter(**row)  # type: ignore[arg-type]


@functools.lru_cache(maxsize=8)
def _attempts(path: str) -> dict[tuple[str, ...], EarlierAttempt | None]:
    found: dict[tuple[str, ...], EarlierAttempt | None] = {}
    for letter in read_letters(path):
        attempt = EarlierAttempt(
            letter.attempt, letter.first_failed_at, letter.root_id, letter.source_uri, letter.position
        )
        found[letter.key,] = attempt
        if letter.origin is not None:
            # Of several records of one origin nobody knows which is refused again, but by what they hold.
            place = letter.stage, letter.origin
            found[place] = None if place in found else attempt
    return found


def earlier_attempt(path: str, key: str, stage: str, origin: str | None) -> EarlierAttempt | None:
    """Returns the attempt before, of a record that a replay refuses; None where it was not replayed there.

    Args:
      path: of the replay's snapshot.
      key: of the refusal, as its dead letter has it.
      stage: that refuses it.
      origin: of the record.
    """
    found = _attempts(path)
    return found.get((key,)) or found.get((stage, origin or ""))
