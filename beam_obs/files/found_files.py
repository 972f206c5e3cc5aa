"""The files that a pattern finds on any Beam filesystem."""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.pvalue import PCollection

from beam_obs.files.file_state import FileState
from beam_obs.records.errors import PlacedError, UsageError
from beam_obs.records.given import given_path, is_known_later
from beam_obs.records.wanted_places import WantedPlaces

_GLOB = re.compile(r"[*?\[]")


class NoFilesFound(PlacedError, OSError):
    """A pattern finds no file.

    Args:
      pattern: the pattern.
      label: label of the read.
    """

    def __init__(self, pattern: str, label: str) -> None:
        what = "no file matches" if _GLOB.search(pattern) else "there is no file"
        super().__init__(f"{label}: {what} {pattern!r}")
        self.pattern = pattern
        self.label = label


class FoundFile(NamedTuple):
    """A file to be read.

    Args:
      path: the URI that records and dead letters name.
      location: with which Beam opens it: the path, but for what is no text in a file's name.
      name: relative to the fixed part of the pattern: the same for a clone of the data elsewhere.
      size: bytes.
      compression: one of Beam's `CompressionTypes`, not ``auto``.
      is_splittable: whether it can be read from the middle.
      range_bytes: length of the ranges to begin with.
      min_range_bytes: below which no range is made.
      expected_columns: names that its header must have, or None.
      state: in which it was when it was found, or opened to be read.
      wanted: which of its records are read; None for all.
      refused: why it is not to be read; empty where it is.
    """

    path: str
    location: str
    name: str
    size: int
    compression: str
    is_splittable: bool
    range_bytes: int
    min_range_bytes: int
    expected_columns: tuple[str, ...] | None = None
    state: FileState | None = None
    wanted: WantedPlaces | None = None
    refused: str = ""


def find_files(
    pattern: str,
    label: str,
    compression_type: str = CompressionTypes.AUTO,
    splittable: bool = True,
    range_bytes: int = 1 << 26,
    min_range_bytes: int = 0,
) -> list[FoundFile]:
    """Returns the files of a pattern, sorted by path.

    Args:
      pattern: a path, or one with ``*``, ``?``, ``[...]`` or ``**``.
      label: of the read, for the error.
      compression_type: one of Beam's `CompressionTypes`.
      splittable: whether uncompressed files can be read from the middle.
      range_bytes: length of the ranges to begin with.
      min_range_bytes: below which no range is made.

    Raises:
      NoFilesFound: there are none.
    """
    matched = FileSystems.match([pattern])[0].metadata_list
    if not matched:
        raise NoFilesFound(pattern, label)
    for one in matched:
        if "://" not in one.path and os.path.isdir(one.path):
            raise _folder_given(pattern, one.path)
    start = len(fixed_part(pattern))
    files = []
    for metadata in sorted(matched, key=lambda one: str(one.path)):
        compression = compression_type
        if compression == CompressionTypes.AUTO:
            compression = CompressionTypes.detect_compression_type(metadata.path)
        files.append(
            FoundFile(
                path=as_text(metadata.path),
                location=metadata.path,
                name=as_text(metadata.path[start:].replace(os.sep, "/")),
                size=metadata.size_in_bytes,
                compression=compression,
                is_splittable=splittable and compression == CompressionTypes.UNCOMPRESSED,
                range_bytes=range_bytes,
                min_range_bytes=min_range_bytes,
                state=FileState(metadata.size_in_bytes, int((metadata.last_updated_in_seconds or 0) * 1e9)),
            )
        )
    return files


def as_text(path: str) -> str:
    """Returns a path as text. Names of local files are bytes: what of them is not UTF-8 is written out.

    >>> as_text(b"caf\\xe9.csv".decode("utf-8", "surrogateescape"))
    'caf\\\\xe9.csv'
    """
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def fixed_part(pattern: str) -> str:
    """Returns the folders at the start of a pattern that hold no wildcard.

    >>> fixed_part("gs://bucket/flights/2013-*/part-?.csv"), fixed_part("/data/one.csv")
    ('gs://bucket/flights/', '/data/')
    """
    found = _GLOB.search(pattern)
    literal = pattern[: found.start()] if found else pattern
    return literal[: max(literal.rfind("/"), literal.rfind(os.sep)) + 1]


def checked_pattern(pattern: Any) -> Any:
    """Returns the pattern that a user gave; of a relative local path the absolute one.

    A pattern that is a `ValueProvider` is returned as it is: it is known only when the job runs.

    Raises:
      UsageError: it is no pattern.
    """
    if is_known_later(pattern):
        return pattern
    if isinstance(pattern, PCollection):
        raise UsageError(
            f"file_pattern={pattern!r}: give a path or pattern; files whose names are records are read by "
            "beam.io.ReadAllFromText and its kind"
        )
    if isinstance(pattern, (list, tuple, set)):
        raise UsageError(
            f"file_pattern={pattern!r}: give one path or pattern, e.g. 'gs://bucket/flights-*.csv'; for "
            "several, a read of each and a beam.Flatten()"
        )
    pattern = given_path(
        pattern, "file_pattern", "'gs://bucket/flights-*.csv'", "a path or pattern that is not empty"
    )
    if "://" in pattern:
        return pattern
    if os.path.isdir(pattern):
        raise _folder_given(pattern, pattern)
    return os.path.abspath(pattern)


def _folder_given(pattern: str, folder: str) -> UsageError:
    return UsageError(f"{pattern!r} is a folder: give a pattern of files, e.g. {os.path.join(folder, '*')!r}")
