"""What can be wrong with a file or a row of it, and the refusal that becomes its dead letter.

A refusal of a read carries the bytes as they stand in the file, with file, byte offset and origin.
"""

from __future__ import annotations

import time

from beam_obs.records.errors import BeamObsError
from beam_obs.records.payload import payload_text
from beam_obs.wrapper.failure import Failure, fingerprint, type_name
from beam_obs.wrapper.refusal import Refusal


class BadInput(BeamObsError, ValueError):
    """Something read is not what it should be.

    Args:
      message: what was found, and what was expected.
      detail: what tells kinds of this error apart in its fingerprint, e.g. a column's name; no values.
    """

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail

    def __reduce__(self) -> tuple[type[BadInput], tuple[str, str]]:
        return (type(self), (str(self), self.detail))


class UndecodableBytes(BadInput):
    """Bytes of a line are not text in the file's encoding."""


class TornRow(BadInput):
    """A row has too few or too many columns, a quote that is not closed, or NUL bytes."""


class ConversionError(BadInput):
    """A value does not fit the type of its field."""


class BadFile(BadInput):
    """A file is refused as a whole."""


class EmptyFile(BadFile):
    """A file has no header."""


class WrongHeader(BadFile):
    """A file's header is not the expected one.

    Args:
      message: what was found, and what was expected.
      missing: columns that are expected and not there.
      extra: columns that are there and not expected.
    """

    def __init__(self, message: str, missing: tuple[str, ...] = (), extra: tuple[str, ...] = ()) -> None:
        super().__init__(message, ",".join((*missing, "", *extra)))
        self.missing = missing
        self.extra = extra

    def __reduce__(self) -> tuple[type[WrongHeader], tuple[str, tuple[str, ...], tuple[str, ...]]]:  # type: ignore[override]
        return (WrongHeader, (str(self), self.missing, self.extra))


class DamagedCompression(BadFile):
    """Compressed data ends too early or is not what its format says; what stood before it was read."""


class FileChanged(BeamObsError, OSError):
    """A file changed while it was read, so its version no longer says what was read."""


def refuse_bytes(
    raw: bytes,
    error: BadInput,
    stage: str,
    *,
    origin: str | None,
    source_uri: str,
    position: int | None,
) -> Refusal:
    """Returns the refusal of a row or file.

    Args:
      raw: its bytes, without the line's end.
      error: what is wrong.
      stage: label of the read.
      origin: 32 hex digits, or None for a file as a whole.
      source_uri: the file.
      position: byte offset in the file, of compressed files in what they hold.
    """
    kind = type_name(error)
    message = str(error)
    failure = Failure(kind, message, f"{kind}: {message}\n", fingerprint(kind, stage, error.detail))
    return Refusal(
        failure, raw, "raw", payload_text(raw), time.time_ns() // 1000, origin, source_uri, position
    )
