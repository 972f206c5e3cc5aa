"""The source of a replay: records of dead letters, each at its time, in its window and with its origin."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.coders import Coder
from apache_beam.transforms.window import GlobalWindow, GlobalWindows, IntervalWindow, WindowFn
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from beam_obs.dead_letters.dead_letter_format import window_text
from beam_obs.dead_letters.letter_snapshot import read_letters
from beam_obs.records.known_partitions import note_partition
from beam_obs.records.origin import Partition, parse_origin
from beam_obs.wrapper.untyped import Untyped

_INTERVAL = re.compile(r"\[(.+), (.+)\)")


class HeldRecord(NamedTuple):
    """What a dead letter holds of its record.

    Args:
      payload: the record, encoded.
      origins: of the record, alone; None where it had none.
    """

    payload: bytes
    origins: tuple[bytes, ...] | None


class FindLetters(Untyped, beam.DoFn):
    """Gives what the letters of a stage hold, of those that a replay has chosen.

    Args:
      file: their snapshot.
      stage: full label of the stage.
    """

    gives_records = False

    def __init__(self, file: str, stage: str) -> None:
        self._file = file
        self._stage = stage

    def process(self, element: Any) -> Iterator[Any]:
        for letter in read_letters(self._file):
            if letter.stage == self._stage:
                held = HeldRecord(letter.payload, origins_of(letter.origin))
                yield WindowedValue(held, Timestamp(micros=letter.event_time), [parse_window(letter.window)])


class KnownPartition(NamedTuple):
    """A partition of a source that records come from.

    Args:
      partition: by which their origins are made.
      uri: file or topic.
      source: label of the step that read it.
      positions: what its positions count.
    """

    partition: Partition
    uri: str
    source: str
    positions: str


class GiveRecords(Untyped, beam.DoFn):
    """Gives the records that letters hold; their origins are those that they had.

    Args:
      coder: of the records, as the program has it.
      partitions: that they come from, for whoever stamps or refuses them.
      run: id of the replay.
    """

    passes_blocks = True

    def __init__(self, coder: Coder, partitions: Sequence[KnownPartition] = (), run: str = "") -> None:
        self._coder = coder
        self._partitions = partitions
        self._run = run

    def setup(self) -> None:
        """Notes where the records come from."""
        for partition, uri, source, positions in self._partitions:
            note_partition(partition, uri, self._run, source, positions)

    def process(self, block: HeldRecord) -> list[Any]:
        return [self._coder.decode(block.payload)]


def origins_of(origin: str | None) -> tuple[bytes, ...] | None:
    """Returns an origin as bytes; None where there is none, or what a record's own attributes say is none.

    >>> origins_of("?") is None
    True
    """
    try:
        return (parse_origin(origin),) if origin is not None else None
    except ValueError:
        return None


@functools.lru_cache(maxsize=1024)
def parse_window(text: str) -> Any:
    """Returns the window that a dead letter tells as text.

    Raises:
      ValueError: it is none that can be had back from its text.

    >>> parse_window("[1970-01-01T00:00:00Z, 1970-01-01T00:01:00Z)")
    [0.0, 60.0)
    """
    if text == "global":
        return GlobalWindow()
    found = _INTERVAL.fullmatch(text)
    if found is not None:
        window = IntervalWindow(_moment(found[1]), _moment(found[2]))
        if window_text(window) == text:
            return window
    raise ValueError(f"the window {text!r} cannot be had back from its text")


def _moment(text: str) -> Timestamp:
    return Timestamp.from_rfc3339(text) if text.endswith("Z") else Timestamp(micros=round(float(text) * 1e6))


def is_window_of(text: str, window_fn: WindowFn) -> bool:
    """Returns whether a text tells a window that a function may have made."""
    try:
        window = parse_window(text)
    except Exception:  # what Beam's parser raises is its own
        return False
    if isinstance(window_fn, GlobalWindows):
        return isinstance(window, GlobalWindow)
    is_interval = type(window_fn.get_window_coder()).__name__ == "IntervalWindowCoder"
    return is_interval and isinstance(window, IntervalWindow)
