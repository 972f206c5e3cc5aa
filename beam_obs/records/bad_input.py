"""What can be wrong with a file or a row of it, and the refusal that becomes its dead letter.

A refusal of a read carries the bytes as they stand in the file, with file, byte offset and origin.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from beam_obs.records.errors import BeamObsError
from beam_obs.records.payload import encode_payload, payload_text
from beam_obs.wrapper.failure import Failure, fingerprint, type_name
from beam_obs.wrapper.hidden_texts import REDACTED
from beam_obs.wrapper.redaction import NONE, Redaction, scrub
from beam_obs.wrapper.refusal import Refusal

_SHOWN_NAMES = 20


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


class NotJson(BadInput):
    """A line is not a JSON object."""


class DuplicateKey(BadInput):
    """A JSON object has a key more than once, so that all values but one would be lost."""


class CorruptBlock(BadInput):
    """A block of a file, or what is left of it after a record, cannot be read."""


class NotReadBack(BadInput):
    """A record would not come back from the file that it is written to, or not as it is."""


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


class DuplicateColumns(WrongHeader):
    """A file has a column more than once, so that all values of it but one would be lost.

    Args:
      path: of the file.
      names: of such columns.
      where: what of the file has them.
    """

    def __init__(self, path: str, names: tuple[str, ...], where: str) -> None:
        shown = ", ".join(map(repr, names[:_SHOWN_NAMES])) + (" ..." if len(names) > _SHOWN_NAMES else "")
        super().__init__(f"{path} has {shown} more than once {where}", extra=names)
        self._given = (path, names, where)

    def __reduce__(self) -> tuple[type[DuplicateColumns], tuple[str, tuple[str, ...], str]]:  # type: ignore[override]
        return (DuplicateColumns, self._given)

    @classmethod
    def check(cls, path: str, names: Sequence[str], where: str) -> None:
        """Raises where a name is there twice."""
        counts = Counter(names)
        if len(counts) < len(names):
            raise cls(path, tuple(name for name, count in counts.items() if count > 1), where)


class NotText(BadFile):
    """A file that is to be read as text is of another format, or compressed."""


class NotAContainer(BadFile):
    """A file is not of its format: it has no such header or footer, or one that cannot be read."""


class FileTooLarge(BadFile):
    """A file is larger than a file that is one record may be."""


class DamagedCompression(BadFile):
    """Compressed data ends too early or is not what its format says; what could be unpacked was read."""


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
    redaction: Redaction | None = None,
    record: dict[str, Any] | None = None,
) -> Refusal:
    """Returns the refusal of a row or file.

    Args:
      raw: its bytes, without the line's end.
      error: what is wrong.
      stage: label of the read.
      origin: 32 hex digits, or None for a file as a whole.
      source_uri: the file.
      position: byte offset in the file, of compressed files in what they hold.
      redaction: what of it may be kept; None for all.
      record: what the bytes hold, with fields by name; None where they cannot be taken apart.
    """
    payload, coder, text = raw, "raw", payload_text(raw)
    failure = _failure(error, stage)
    if redaction is not None:
        failure, payload, coder, text = _redacted(failure, error, redaction, record)
    return Refusal(
        failure,
        payload,
        coder,
        text,
        time.time_ns() // 1000,
        origin,
        source_uri,
        position,
        redacted=redaction is not None,
    )


def refuse_values(
    values: Any,
    error: BadInput,
    stage: str,
    *,
    origin: str | None,
    source_uri: str,
    position: int | None,
    redaction: Redaction | None = None,
) -> Refusal:
    """Returns the refusal of a record of which there are no bytes of its own; arguments as `refuse_bytes`'s.

    Args:
      values: the record, mostly a dict.
    """
    failure = _failure(error, stage)
    if redaction is None:
        payload, coder = encode_payload(values, None, "")
        text = payload_text(values)
    else:
        failure, payload, coder, text = _redacted(failure, error, redaction, values)
    return Refusal(
        failure,
        payload,
        coder,
        text,
        time.time_ns() // 1000,
        origin,
        source_uri,
        position,
        redacted=redaction is not None,
    )


def _failure(error: BadInput, stage: str) -> Failure:
    kind, message = type_name(error), str(error)
    return Failure(kind, message, f"{kind}: {message}\n", fingerprint(kind, stage, error.detail))


def _redacted(
    failure: Failure, error: BadInput, redaction: Redaction, record: Any
) -> tuple[Failure, bytes, str, str]:
    """Returns failure, payload, its coder and text without what is to be left out."""
    kept, hidden = (REDACTED, None) if record is None else redaction.apply(record)
    if redaction.function is not None or not isinstance(error, ConversionError):
        hidden = None
    if error.detail in redaction.fields:
        # Its message shows the value, perhaps shortened, so that looking for the value would not find it.
        hidden = None
    failure = scrub(failure, hidden)
    if hidden is None and error.detail and not isinstance(error, BadFile):
        message = f"{REDACTED} ({error.detail})"
        failure = failure._replace(message=message, traceback=f"{failure.error_type}: {message}\n")
    if redaction.payload == NONE:
        return failure, b"", "none", ""
    payload, coder = encode_payload(kept, None, "")
    return failure, payload, coder, payload_text(kept)
