"""The partitions that the reads of this process have found: with them an origin is a file and a place.

Reads note each partition when they open it; stamps and dead letters ask. A record that another process read
is not known here: then only the place is told, which the origin itself holds, and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from beam_obs.records.origin import Partition

ANY_RUN = ""
"""For partitions of reads that do not know their run."""

_MOST = 1 << 16


class SourcePlace(NamedTuple):
    """Where a source record lies; None for what is not known.

    Args:
      uri: file or topic.
      version: of it.
      position: byte offset or index; None where the origin does not hold it whole.
    """

    uri: str | None = None
    version: str | None = None
    position: int | None = None


class ReadOf(NamedTuple):
    """Which read of this process found a partition.

    Args:
      uri: file or topic.
      version: of it.
      source: label of the step that read it.
      positions: what its positions count, as ``partitions.json`` calls it.
    """

    uri: str
    version: str
    source: str
    positions: str


class _Known(NamedTuple):
    partition: Partition
    uri: str | None
    origin_of: Callable[[int], bytes]
    source: str
    positions: str


_KNOWN: dict[tuple[str, bytes], _Known] = {}


def note_partition(
    partition: Partition, uri: str, run: str = ANY_RUN, source: str = "", positions: str = ""
) -> None:
    """Notes that a read of `run` has found a partition.

    Args:
      partition: which.
      uri: where; two files that are copies of one another are one partition, of which no file is told.
      run: id of the run.
      source: label of the step that reads it.
      positions: what its positions count.
    """
    key = (run, partition.code.to_bytes(4, "big"))
    # Attributes are written as UTF-8, and a file's name need not be.
    uri = uri.encode("utf-8", "backslashreplace").decode()
    known = _KNOWN.get(key)
    if known is None:
        if len(_KNOWN) >= _MOST:
            _KNOWN.clear()
        _KNOWN[key] = _Known(partition, uri, partition.origin_of_each(), source, positions)
    elif known.partition != partition or known.uri not in (uri, None):
        _KNOWN[key] = known._replace(uri=None)
    elif known.source != source:
        _KNOWN[key] = known._replace(source=source, positions=positions)


def place_of(origin: bytes, run: str = ANY_RUN) -> SourcePlace:
    """Returns what is known of the source record that an origin names.

    Args:
      origin: 16 bytes.
      run: id of the run that asks.

    >>> january = Partition("01.csv", "30453-c5f1")
    >>> note_partition(january, "gs://flights/2013/01.csv", "a run")
    >>> place_of(january.origin(1024), "a run")
    SourcePlace(uri='gs://flights/2013/01.csv', version='30453-c5f1', position=1024)
    >>> place_of(Partition("02.csv", "1-9e").origin(7), "a run")
    SourcePlace(uri=None, version=None, position=7)
    """
    code = origin[:4]
    if code == _DERIVED:
        return _NOWHERE
    position = int.from_bytes(origin[4:9], "big") if origin[0] < _NOT_WHOLE else None
    known = _KNOWN.get((run, code)) or _KNOWN.get((ANY_RUN, code))
    if known is None or known.uri is None or (position is not None and known.origin_of(position) != origin):
        return SourcePlace(None, None, position)
    return SourcePlace(known.uri, known.partition.version, position)


def read_of(origin: bytes, run: str | None = None) -> ReadOf | None:
    """Returns the read of this process that found the partition of an origin; None where there is none, or
    it is of several files that are copies of one another.

    Args:
      origin: 16 bytes.
      run: id of the run; None for the newest read, of whatever run.

    >>> february = Partition("02.csv", "1-9e")
    >>> note_partition(february, "/2013/02.csv", "a run", "read", "bytes")
    >>> read_of(february.origin(7))
    ReadOf(uri='/2013/02.csv', version='1-9e', source='read', positions='bytes')
    """
    code = origin[:4]
    position = int.from_bytes(origin[4:9], "big") if origin[0] < _NOT_WHOLE else None
    for (of_run, of_code), known in reversed(list(_KNOWN.items())):
        if of_code == code and run in (None, of_run):
            if known.uri is None or (position is not None and known.origin_of(position) != origin):
                return None
            return ReadOf(known.uri, known.partition.version, known.source, known.positions)
    return None


_NOWHERE = SourcePlace()
_DERIVED = b"\0\0\0\0"
_NOT_WHOLE = 0x80
"""First byte of origins that do not hold the whole position, as `origin.holds_position` has it."""
