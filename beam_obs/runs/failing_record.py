"""The record that a run failed at: told by the note on its exception, and read again in its source."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_obs.files.file_state import state_of
from beam_obs.files.file_version import file_version
from beam_obs.records.known_partitions import read_of
from beam_obs.records.origin import Partition
from beam_obs.records.secrets import redact_text
from beam_obs.wrapper.exception_note import NOTE, Noted, note_of, parse_note

_LONGEST = 500
_MOST_BYTES = 1 << 28
"""A line that lies further back in its file is not looked for."""

_LONGEST_LINE = 1 << 16
_CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class FailingRecord:
    """The record that a run failed at.

    Args:
      noted: what the exception's note says.
      kind: class of the read that it came from; empty where it is not known.
      size: of its file; None where that is not known.
      line: its number in a file of lines, from 1; None where it was not looked for.
      record: the line, or its beginning; None where it is not kept, or the file is not the one that was read.
    """

    noted: Noted
    kind: str = ""
    size: int | None = None
    line: int | None = None
    record: str | None = None

    @property
    def text(self) -> str:
        """What is shown behind the exception's message."""
        noted = self.noted
        if self.line is None or noted.read is None:
            return noted.text
        shown = "" if self.record is None else f": {self.record!r}"
        return (
            f"{NOTE}in step {noted.step!r}, line {self.line} of {noted.read.uri} (position {noted.position}, "
            f"origin {noted.origin.hex()}){shown}"
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the record as ``end.json`` keeps it, beside the error."""
        read = self.noted.read
        return {
            "step": self.noted.step,
            "origin": self.noted.origin.hex(),
            "position": self.noted.position,
            "source": read.source if read is not None else None,
            "uri": redact_text(read.uri) if read is not None else None,
            "version": read.version if read is not None else None,
            "line": self.line,
            "record": self.record,
        }

    def partition(self) -> dict[str, Any] | None:
        """Returns the file as ``partitions.json`` keeps it; None where it is not known."""
        read = self.noted.read
        found = _partition(self.noted) if read is not None else None
        if read is None or found is None:
            return None
        return {
            "code": f"{found.code:08x}",
            "name": found.name,
            "version": found.version,
            "located": True,
            "wide": found.wide,
            "positions": read.positions,
            "uri": redact_text(read.uri),
            "size": self.size,
            "source": read.source,
            "kind": self.kind,
            "records": None,
            "dead": 0,
        }


def failing_record(
    error: BaseException, kinds: Mapping[str, str], hides_values: bool = False, run: str | None = None
) -> FailingRecord | None:
    """Returns the record that an exception was raised for; None where nothing tells it.

    Args:
      error: what the run failed with.
      kinds: label of a read -> name of its class.
      hides_values: whether values of records are not to be shown or kept.
      run: id of the run, whose reads may be known to this process; None for none.
    """
    note = note_of(error)
    noted = parse_note(note) if note is not None else None
    if noted is None:
        return None
    here = read_of(noted.origin, run) if run is not None else None
    noted = noted._replace(read=here or noted.read)
    if noted.read is None:
        return FailingRecord(noted)
    kind = kinds.get(noted.read.source, "")
    found = FailingRecord(noted, kind)
    with contextlib.suppress(Exception):  # the source may be gone, or closed to this process
        state = state_of(noted.read.uri)
        if state is None:
            return found
        found = dataclasses.replace(found, size=state.size)
        is_lines = noted.read.positions == "bytes" and "tfrecord" not in kind.lower()
        if is_lines and file_version(noted.read.uri, state) == noted.read.version:
            line, record = _line(noted.read.uri, noted.position)
            return dataclasses.replace(found, line=line, record=None if hides_values else record)
    return found


def _line(uri: str, position: int | None) -> tuple[int | None, str | None]:
    """Returns the number of the line at a place, and the line; None and None where it is too far back."""
    if position is None or position > _MOST_BYTES:
        return None, None
    number, left = 1, position
    with FileSystems.open(uri) as file:
        while left:
            chunk = file.read(min(left, _CHUNK))
            if not chunk:
                return None, None
            number += chunk.count(b"\n")
            left -= len(chunk)
        line = file.read(_LONGEST_LINE).split(b"\n", 1)[0]
    text = line.decode("utf-8-sig", "backslashreplace").rstrip("\r")
    return number, text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _partition(noted: Noted) -> Partition | None:
    """Returns the partition of an origin, whose name is an end of its file's."""
    read, code, position = noted.read, int.from_bytes(noted.origin[:4], "big"), noted.position
    assert read is not None
    names = (read.uri[at:] for at in range(len(read.uri)))
    found = (Partition(name, read.version, wide=wide) for name in names for wide in (False, True))
    return next(
        (
            one
            for one in found
            if one.code == code and (position is None or one.origin(position) == noted.origin)
        ),
        None,
    )
