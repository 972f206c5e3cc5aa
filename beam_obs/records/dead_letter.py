"""A dead letter: one refused element, whole, with what refused it, why, and where it came from.

The schema is stable (docs/stages-and-dead-letters.md); a change gets a new version of it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, NamedTuple

from beam_obs.records.public_names import known_by_public_name

PAYLOAD_TEXT_LIMIT = 4096
"""Longest `payload_text`, in bytes of UTF-8."""

_copy_of_empty = hashlib.blake2b(digest_size=16).copy

_EXAMPLE_LIMIT = 500
_DOTS_OF_ID = 2
"""Characters of each text of the letter that stands for its kind."""


FINGERPRINT_VERSION = 2
"""Of what fingerprints are made: 2 of stage, type, function and the message's shape; 1, which nobody noted,
of a line in place of the shape. Those of different versions cannot be compared."""


@known_by_public_name
class DeadLetter(NamedTuple):
    """One refused element.

    Args:
      id: unique per refused element: run, nonce of the bundle, index in the bundle; of an element in several
        windows, which has a letter in each, behind the first the number of the window too.
      key: the same for the same refusal seen again: a hash of pipeline, stage, origin and payload.
      run: id of the run.
      pipeline: name of the pipeline.
      stage: full label of the stage that refused the element.
      origin: 32 hex digits, where the element carried lineage attributes.
      source_uri: file or topic the element came from, where known.
      position: byte offset or index of the element in its source, where known.
      event_time: timestamp of the element, in microseconds since the epoch.
      window: the element's window, as text.
      pane: the element's pane, as text; empty for the only pane.
      failed_at: when it was refused, in microseconds since the epoch.
      error_type: full name of the exception's class.
      error_message: text of the exception.
      traceback: the frames of the user's code, as Python prints them.
      fingerprint: 16 hex digits, equal for refusals of one kind: see `beam_obs.wrapper.failure_kind`.
      payload: the element, encoded.
      payload_coder: how: a Beam coder's name, ``pickle``, ``repr`` or ``none``.
      payload_text: the element for people, at most 4 KiB.
      attempt: how often the record was tried, by retries and replays too.
      first_failed_at: `failed_at` of the first attempt.
      root_id: `id` of the first attempt.
      code: version of the pipeline's code.
      traceparent: W3C trace context, where the element carried one.
      redacted: whether values were left out of payload, texts and traceback; it cannot be replayed then.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> with beam.Pipeline("DirectRunner") as p:
    ...     _, dead = p | beam.Create(["x"]) | "parse" >> obs.Stage(beam.Map(int)).with_dead_letters()
    ...     _ = dead | beam.Map(lambda letter: print(letter.stage, letter.error_type, letter.payload_text))
    parse ValueError x
    """

    id: str
    key: str
    run: str
    pipeline: str
    stage: str
    origin: str | None
    source_uri: str | None
    position: int | None
    event_time: int
    window: str
    pane: str
    failed_at: int
    error_type: str
    error_message: str
    traceback: str
    fingerprint: str
    payload: bytes
    payload_coder: str
    payload_text: str
    attempt: int
    first_failed_at: int
    root_id: str
    code: str
    traceparent: str | None = None
    redacted: bool = False

    def to_json_dict(self) -> dict[str, Any]:
        """Returns the dead letter as JSON-able values; the payload is base64."""
        values = self._asdict()
        values["payload"] = base64.b64encode(self.payload).decode("ascii")
        return values

    def to_json(self) -> str:
        """Returns the dead letter as one line of JSON."""
        return json.dumps(self.to_json_dict(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> DeadLetter:
        """Returns the dead letter that `to_json` wrote as `text`."""
        values = json.loads(text)
        values["payload"] = base64.b64decode(values["payload"])
        return cls(**values)


def is_of_further_window(letter_id: str) -> bool:
    """Returns whether a letter is of a refusal that has one in another window too, before it.

    >>> [is_of_further_window(f"01955a30-5f80.0123456789ab.7{window}") for window in ("", ".1")]
    [False, True]
    """
    return letter_id.count(".") > _DOTS_OF_ID


def dead_letter_key(pipeline: str, stage: str, origin: str | None, payload: bytes) -> str:
    """Returns the key of a refusal, 32 hex digits: equal whenever the same record is refused again.

    >>> dead_letter_key("p", "s", None, b"x") == dead_letter_key("p", "s", None, b"x")
    True
    """
    digest = _copy_of_empty()  # half the price of a new one
    digest.update(payload)
    digest.update(f"{pipeline}\0{stage}\0{origin or ''}".encode())
    return digest.hexdigest()


def example_of_kind(letter: DeadLetter) -> dict[str, Any]:
    """Returns what a store tells of a kind of refusal by one of its dead letters."""
    return {
        "error_type": letter.error_type,
        "error_message": letter.error_message[:_EXAMPLE_LIMIT],
        "payload_text": letter.payload_text[:_EXAMPLE_LIMIT],
        "origin": letter.origin,
        "source_uri": letter.source_uri,
        "position": letter.position,
        "id": letter.id,
        "first": letter.failed_at,
        "last": letter.failed_at,
    }


def _field(name: str, kind: Any) -> dict[str, Any]:
    if isinstance(kind, list):
        return {"name": name, "type": kind, "default": None}
    return {"name": name, "type": kind}


DEAD_LETTER_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "DeadLetter",
    "namespace": "beam_obs",
    "doc": "One refused element of an Apache Beam pipeline. Times in microseconds since the epoch, UTC.",
    "fields": [
        _field("id", "string"),
        _field("key", "string"),
        _field("run", "string"),
        _field("pipeline", "string"),
        _field("stage", "string"),
        _field("origin", ["null", "string"]),
        _field("source_uri", ["null", "string"]),
        _field("position", ["null", "long"]),
        _field("event_time", "long"),
        _field("window", "string"),
        _field("pane", "string"),
        _field("failed_at", "long"),
        _field("error_type", "string"),
        _field("error_message", "string"),
        _field("traceback", "string"),
        _field("fingerprint", "string"),
        _field("payload", "bytes"),
        _field("payload_coder", "string"),
        _field("payload_text", "string"),
        _field("attempt", "int"),
        _field("first_failed_at", "long"),
        _field("root_id", "string"),
        _field("code", "string"),
        _field("traceparent", ["null", "string"]),
        {"name": "redacted", "type": "boolean", "default": False},
    ],
}
"""Avro schema of `beam_obs.DeadLetter`. Event times may lie outside what Avro's timestamp types allow."""
