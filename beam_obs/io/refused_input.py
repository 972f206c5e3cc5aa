"""The refusal that becomes the dead letter of a row or file that cannot be read.

It carries the bytes as they stand in the file, with file, byte offset and origin.
"""

from __future__ import annotations

import time
from typing import Any

from beam_obs.records.bad_input import BadFile, BadInput, ConversionError
from beam_obs.records.payload import encode_payload, payload_text
from beam_obs.wrapper.failure import Failure, fingerprint, type_name
from beam_obs.wrapper.hidden_texts import REDACTED
from beam_obs.wrapper.redaction import NONE, Redaction, scrub
from beam_obs.wrapper.refusal import Refusal


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
